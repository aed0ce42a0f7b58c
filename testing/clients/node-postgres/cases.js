'use strict'
// node-postgres: types, parameters, named statements, cursors, streams, COPY, pools, errors, notifications.

const assert = require('assert').strict
const { pipeline } = require('stream/promises')
const { Readable } = require('stream')
const { Client, Pool, types } = require('pg')
const Cursor = require('pg-cursor')
const QueryStream = require('pg-query-stream')
const copy = require('pg-copy-streams')
const { run, test } = require('telling')

async function connected(work, options) {
  const client = new Client(options)
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

test('values_by_their_types', () =>
  connected(async (client) => {
    const { rows, fields } = await client.query(`SELECT true AS b, 1::int2 AS i2, 2::int4 AS i4, 9007199254740993::int8 AS i8,
      1.5::float4 AS f4, 1e100::float8 AS f8, 1.10::numeric AS n, 'tëxt' AS t, '\\x00ff'::bytea AS y,
      '{"a":[1,null]}'::jsonb AS j, '{"b": 1}'::json AS k, ARRAY[1,2,NULL] AS a, ARRAY['x,y','"']::text[] AS s,
      '2024-02-29 12:00:00+00'::timestamptz AS z, NULL::int AS nothing,
      '12345678-1234-1234-1234-123456789abc'::uuid AS u`)
    assert.deepEqual(rows, [{
      b: true, i2: 1, i4: 2, i8: '9007199254740993', f4: 1.5, f8: 1e100, n: '1.10', t: 'tëxt', y: Buffer.from([0, 255]),
      j: { a: [1, null] }, k: { b: 1 }, a: [1, 2, null], s: ['x,y', '"'], z: new Date('2024-02-29T12:00:00Z'), nothing: null,
      u: '12345678-1234-1234-1234-123456789abc'
    }])
    assert.deepEqual(fields.map((f) => f.dataTypeID), [16, 21, 23, 20, 700, 701, 1700, 25, 17, 3802, 114, 1007, 1009, 1184, 23, 2950])
  }))

test('parameters_of_all_kinds', () =>
  connected(async (client) => {
    await client.query('CREATE TEMP TABLE bound (i int, t text, j jsonb, a int[], s text[], d timestamptz, y bytea, b bool, n numeric)')
    const date = new Date('2024-02-29T12:00:00.123Z')
    const values = [7, 'it\'s', { a: 1 }, [1, 2], ['a', null, '"q"'], date, Buffer.from('bytes'), false, '1.50']
    const { rows } = await client.query('INSERT INTO bound VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9) RETURNING *', values)
    assert.deepEqual(rows[0], { i: 7, t: 'it\'s', j: { a: 1 }, a: [1, 2], s: ['a', null, '"q"'], d: date, y: Buffer.from('bytes'), b: false, n: '1.50' })
    const found = await client.query('SELECT i FROM bound WHERE i = ANY($1) AND t LIKE $2 AND d > $3', [[7, 8], 'it%', new Date(0)])
    assert.deepEqual(found.rows, [{ i: 7 }])
    assert.equal((await client.query('UPDATE bound SET i = i + $1', [1])).rowCount, 1)
  }))

test('named_statements', () =>
  connected(async (client) => {
    const query = (n) => ({ name: 'twice', text: 'SELECT $1::int * 2 AS n', values: [n] })
    for (const n of [1, 2, 3]) assert.equal((await client.query(query(n))).rows[0].n, 2 * n)
    await assert.rejects(client.query({ name: 'twice', text: 'SELECT 1' }), /Prepared statements must be unique/)
  }))

test('results_as_arrays_and_binary', () =>
  connected(async (client) => {
    const { rows } = await client.query({ text: 'SELECT 1 AS a, 2 AS a', rowMode: 'array' })
    assert.deepEqual(rows, [[1, 2]])
    const binary = await client.query({ text: 'SELECT $1::int4 AS i, $2::text AS t, $3::float8 AS f', values: [5, 'x', 2.5], binary: true })
    assert.deepEqual(binary.rows, [{ i: 5, t: 'x', f: 2.5 }])
  }))

test('many_statements_in_one_query', () =>
  connected(async (client) => {
    const results = await client.query('CREATE TEMP TABLE several (i int); INSERT INTO several VALUES (1), (2); SELECT * FROM several')
    assert.deepEqual(results.map((r) => [r.command, r.rowCount]), [['CREATE', null], ['INSERT', 2], ['SELECT', 2]])
  }))

test('transactions', () =>
  connected(async (client) => {
    await client.query('CREATE TABLE node_tx (i int PRIMARY KEY)')
    await client.query('BEGIN')
    await client.query('INSERT INTO node_tx VALUES (1)')
    await client.query('SAVEPOINT s')
    await assert.rejects(client.query('INSERT INTO node_tx VALUES (1)'), (e) => {
      assert.equal(e.code, '23505')
      assert.equal(e.constraint, 'node_tx_pkey')
      assert.equal(e.detail, 'Key (i)=(1) already exists.')
      assert.equal(e.table, 'node_tx')
      return true
    })
    await assert.rejects(client.query('SELECT 1'), { code: '25P02' })
    await client.query('ROLLBACK TO s')
    await client.query('INSERT INTO node_tx VALUES (2)')
    await client.query('COMMIT')
    assert.equal((await client.query('SELECT count(*)::int AS n FROM node_tx')).rows[0].n, 2)
    await client.query('DROP TABLE node_tx')
  }))

test('cursors', () =>
  connected(async (client) => {
    const cursor = client.query(new Cursor('SELECT n FROM generate_series(1, $1::int) n', [250]))
    assert.deepEqual((await cursor.read(2)).map((r) => r.n), [1, 2])
    assert.equal((await cursor.read(100)).length, 100)
    assert.equal((await cursor.read(1000)).length, 148)
    assert.equal((await cursor.read(10)).length, 0)
    await cursor.close()
    const early = client.query(new Cursor('SELECT n FROM generate_series(1, 1000) n'))
    assert.equal((await early.read(1))[0].n, 1)
    await early.close()
    assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1)
  }))

test('streams_of_rows', () =>
  connected(async (client) => {
    const stream = client.query(new QueryStream('SELECT n, n::text AS t FROM generate_series(1, $1::int) n', [5000], { batchSize: 77 }))
    let sum = 0
    for await (const row of stream) sum += row.n + row.t.length
    assert.equal(sum, 12502500 + 9 + 90 * 2 + 900 * 3 + 4001 * 4)
  }))

test('copy_streams', () =>
  connected(async (client) => {
    await client.query('CREATE TEMP TABLE streamed (i int, t text)')
    const lines = Array.from({ length: 3000 }, (_, i) => `${i}\tline ${i}\n`)
    const into = client.query(copy.from('COPY streamed FROM STDIN'))
    await pipeline(Readable.from(lines), into)
    assert.equal(into.rowCount, 3000)
    const chunks = []
    for await (const chunk of client.query(copy.to('COPY streamed TO STDOUT'))) chunks.push(chunk)
    assert.equal(Buffer.concat(chunks).toString(), lines.join(''))
  }))

test('pools', async () => {
  const pool = new Pool({ max: 5 })
  const got = await Promise.all(Array.from({ length: 50 }, (_, i) => pool.query('SELECT $1::int + 1 AS n', [i])))
  assert.deepEqual(got.map((r) => r.rows[0].n), Array.from({ length: 50 }, (_, i) => i + 1))
  assert.ok(pool.totalCount <= 5)
  await pool.end()
})

test('errors_and_where_they_are', () =>
  connected(async (client) => {
    await assert.rejects(client.query('SELECT nothing FROM pg_class'), { code: '42703', position: '8', severity: 'ERROR' })
    await assert.rejects(client.query('SELEC 1'), { code: '42601', position: '1' })
    await assert.rejects(client.query('SELECT $1::int', ['x']), { code: '22P02' })
    await assert.rejects(client.query('SELECT $1::int + $2::int', [1]), { code: '08P01' })
    assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1)
  }))

test('notices', () =>
  connected(async (client) => {
    const seen = []
    client.on('notice', (notice) => seen.push([notice.severity, notice.message, notice.code]))
    await client.query('DROP TABLE IF EXISTS node_never')
    assert.deepEqual(seen, [['NOTICE', 'table "node_never" does not exist, skipping', '00000']])
  }))

test('settings_and_timeouts', () =>
  connected(async (client) => {
    assert.equal((await client.query('SHOW application_name')).rows[0].application_name, 'node cases')
    await assert.rejects(
      client.query('SELECT count(*) FROM generate_series(1, 200000) a, generate_series(1, 200000) b WHERE a + b = -1'),
      { code: '57014' })
    assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1)
  }, { application_name: 'node cases', statement_timeout: 700 }))

test('type_parsers', () =>
  connected(async (client) => {
    const parsers = { getTypeParser: (oid, format) => oid === 20 ? (v) => BigInt(v) : types.getTypeParser(oid, format) }
    const { rows } = await client.query({ text: 'SELECT 9007199254740993::int8 AS big', types: parsers })
    assert.equal(rows[0].big, 9007199254740993n)
  }))

test('json_both_ways', () =>
  connected(async (client) => {
    const value = { text: 'ünï', list: [1, 2.5, null, { deep: true }], empty: {} }
    await client.query('CREATE TEMP TABLE docs (id int, doc jsonb)')
    await client.query('INSERT INTO docs VALUES (1, $1), (2, $2)', [value, JSON.stringify([1, 2])])
    const { rows } = await client.query(`SELECT doc, doc->'list'->3->>'deep' AS deep, doc @> '{"empty": {}}' AS has FROM docs ORDER BY id`)
    assert.deepEqual(rows, [{ doc: value, deep: 'true', has: true }, { doc: [1, 2], deep: null, has: false }])
  }))

test('notifications', () =>
  connected((listener) =>
    connected(async (teller) => {
      const heard = new Promise((resolve) => listener.on('notification', resolve))
      await listener.query('LISTEN node_news')
      await teller.query("NOTIFY node_news, 'hello'")
      const message = await heard
      assert.deepEqual([message.channel, message.payload], ['node_news', 'hello'])
    })))

test('arrays_of_two_dimensions', () =>
  connected(async (client) => {
    const { rows } = await client.query('SELECT $1::int[] AS a', [[[1, 2], [3, 4]]])
    assert.deepEqual(rows, [{ a: [[1, 2], [3, 4]] }])
  }))

run(require('pg/package.json').version)
