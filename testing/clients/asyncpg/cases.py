"""asyncpg: its binary codecs, prepared statements, cursors, COPY, transactions, introspection, pools."""

import asyncio
import datetime as dt
import decimal
import io
import json
import uuid

import asyncpg

from telling import case, equal, run

D = decimal.Decimal
UTC = dt.timezone.utc


async def connect(**options):
    return await asyncpg.connect(ssl=False, **options)


VALUES = [
    ("bool", [True, False, None]),
    ("int2", [-32768, 32767]),
    ("int4", [-(2**31), 2**31 - 1]),
    ("int8", [-(2**63), 2**63 - 1]),
    ("float4", [1.5, float("inf")]),
    ("float8", [1e300, -5e-324, float("-inf")]),
    ("numeric", [D("0"), D("-0.001"), D("12345678901234567890123456789.123456789")]),
    ("text", ["", "ünï \U0001f600", "a" * 100000]),
    ("varchar(3)", ["abc"]),
    ("char(3)", ["abc"]),
    ("bytea", [b"", bytes(range(256))]),
    ("date", [dt.date(1, 1, 1), dt.date(2024, 2, 29), dt.date(9999, 12, 31)]),
    ("time", [dt.time(0), dt.time(23, 59, 59, 999999)]),
    ("timestamp", [dt.datetime(1, 1, 1), dt.datetime(2024, 2, 29, 1, 2, 3, 456789)]),
    ("timestamptz", [dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)]),
    ("interval", [dt.timedelta(days=40, seconds=3, microseconds=1), dt.timedelta(days=-1)]),
    ("uuid", [str(uuid.UUID(int=2**128 - 1))]),
    ("json", ['{"a": [1, 2]}']),
    ("jsonb", ['{"a": [1, 2]}']),
    ("int4[]", [[], [1, None, 3]]),
    ("text[]", [["a", None, ""]]),
    ("numeric[]", [[D("1.5"), None]]),
    ("timestamptz[]", [[dt.datetime(2024, 1, 1, tzinfo=UTC)]]),
    ("jsonb[]", [['{"a": 1}']]),
    ("oid", [0, 2**32 - 1]),
    ("name", ["a_name"]),
]


@case
async def types_go_and_come():
    conn = await connect()
    wrong = []
    for kind, values in VALUES:
        for value in values:
            try:
                got = await conn.fetchval(f"SELECT $1::{kind}", value)
                if kind == "uuid":
                    # asyncpg's own class, equal to Python's.
                    assert isinstance(got, uuid.UUID)
                    got = str(got)
                # Numerics are compared with their scales.
                equal(str(got) if isinstance(got, D) else got, str(value) if isinstance(value, D) else value, kind)
            except Exception as e:
                wrong.append(f"{kind}: {str(e)[:100]}")
    await conn.close()
    assert not wrong, "; ".join(wrong)


@case
async def types_of_the_network():
    import ipaddress

    conn = await connect()
    equal(await conn.fetchval("SELECT $1::inet", ipaddress.IPv4Address("10.0.0.1")), ipaddress.IPv4Address("10.0.0.1"))
    await conn.close()


@case
async def ranges():
    conn = await connect()
    equal(await conn.fetchval("SELECT $1::int4range", asyncpg.Range(1, 5)), asyncpg.Range(1, 5))
    await conn.close()


@case
async def records_of_rows():
    conn = await connect()
    row = await conn.fetchval("SELECT ROW(1, 'a'::text, NULL::int)")
    equal(tuple(row), (1, "a", None))
    await conn.close()


@case
async def whole_rows_as_values():
    conn = await connect()
    await conn.execute("CREATE TEMP TABLE wholes (id int, t text)")
    await conn.execute("INSERT INTO wholes VALUES (1, 'x')")
    row = await conn.fetchval("SELECT w FROM wholes w")
    equal(dict(row), {"id": 1, "t": "x"})
    await conn.close()


@case
async def prepared_statements_describe_themselves():
    conn = await connect()
    await conn.execute("CREATE TEMP TABLE described (id int PRIMARY KEY, n numeric(8,2), v varchar(9), tags text[])")
    statement = await conn.prepare("SELECT * FROM described WHERE id = $1 AND v = $2 AND n > $3 AND $4 = ANY(tags)")
    equal([(a.name, a.type.name) for a in statement.get_attributes()],
          [("id", "int4"), ("n", "numeric"), ("v", "varchar"), ("tags", "text[]")])
    equal([t.name for t in statement.get_parameters()], ["int4", "text", "numeric", "text"])
    equal(await statement.fetch(1, "x", D(1), "t"), [])
    await conn.close()


@case
async def many_executions():
    conn = await connect()
    await conn.execute("CREATE TEMP TABLE many (id int, t text)")
    await conn.executemany("INSERT INTO many VALUES ($1, $2)", [(i, str(i)) for i in range(2000)])
    equal(await conn.fetchval("SELECT sum(id) FROM many"), 1999000)
    try:
        await conn.executemany("INSERT INTO many VALUES ($1 / $2::int, 'x')", [(1, 1), (1, 0)])
    except asyncpg.DivisionByZeroError:
        pass
    # executemany is one transaction.
    equal(await conn.fetchval("SELECT count(*) FROM many"), 2000)
    rows = await conn.fetchmany("INSERT INTO many VALUES ($1, 'y') RETURNING id", [(5001,), (5002,)])
    equal([r["id"] for r in rows], [5001, 5002])
    equal(await conn.execute("UPDATE many SET t = 'z' WHERE id < 10"), "UPDATE 10")
    await conn.close()


@case
async def cursors():
    conn = await connect()
    async with conn.transaction():
        got = [r["n"] async for r in conn.cursor("SELECT generate_series(1, 500) AS n", prefetch=33)]
        equal(got, list(range(1, 501)))
        cursor = await conn.cursor("SELECT n FROM generate_series(1, $1::int) n", 100)
        equal([r["n"] for r in await cursor.fetch(2)], [1, 2])
        equal((await cursor.fetchrow())["n"], 3)
        equal(len(await cursor.fetch(1000)), 97)
        equal(await cursor.fetchrow(), None)
    await conn.close()


@case
async def cursors_move():
    conn = await connect()
    async with conn.transaction():
        cursor = await conn.cursor("SELECT n FROM generate_series(1, $1::int) n", 100)
        equal(await cursor.forward(10), 10)
        equal([r["n"] for r in await cursor.fetch(2)], [11, 12])
    await conn.close()


@case
async def copy_both_ways():
    conn = await connect()
    await conn.execute("CREATE TEMP TABLE copied (id int, t text, d date)")
    source = io.BytesIO(b"1,one,2024-01-01\n2,,\n")
    equal(await conn.copy_to_table("copied", source=source, format="csv"), "COPY 2")
    out = io.BytesIO()
    equal(await conn.copy_from_query("SELECT * FROM copied WHERE id > $1 ORDER BY id", 0, output=out, format="csv"), "COPY 2")
    equal(out.getvalue(), b"1,one,2024-01-01\n2,,\n")
    out = io.BytesIO()
    await conn.copy_from_table("copied", columns=["t"], output=out)
    equal(out.getvalue(), b"one\n\\N\n")
    await conn.close()


@case
async def copy_of_records_in_binary():
    conn = await connect()
    await conn.execute("CREATE TEMP TABLE copied (id int, t text, d date)")
    records = [(i, str(i), dt.date(2024, 1, 1)) for i in range(1000)]
    equal(await conn.copy_records_to_table("copied", records=records), "COPY 1000")
    equal(await conn.fetchval("SELECT sum(id) FROM copied"), 499500)
    await conn.close()


@case
async def transactions_nest():
    conn = await connect()
    await conn.execute("CREATE TEMP TABLE nested (id int PRIMARY KEY)")
    async with conn.transaction(isolation="repeatable_read"):
        equal(await conn.fetchval("SHOW transaction_isolation"), "repeatable read")
        await conn.execute("INSERT INTO nested VALUES (1)")
        try:
            async with conn.transaction():
                await conn.execute("INSERT INTO nested VALUES (2)")
                await conn.execute("INSERT INTO nested VALUES (1)")
        except asyncpg.UniqueViolationError as e:
            equal(e.constraint_name, "nested_pkey")
            equal(e.detail, "Key (id)=(1) already exists.")
    equal([r[0] for r in await conn.fetch("SELECT id FROM nested")], [1])
    await conn.close()


@case
async def errors_by_class():
    conn = await connect()
    for query, error in (
        ("SELECT * FROM nowhere", asyncpg.UndefinedTableError),
        ("SELECT 1 +", asyncpg.PostgresSyntaxError),
        ("SELECT 'x'::int", asyncpg.InvalidTextRepresentationError),
        ("SELECT 10000000000::int", asyncpg.NumericValueOutOfRangeError),
        ("SELECT nope()", asyncpg.UndefinedFunctionError),
    ):
        try:
            await conn.fetch(query)
        except error:
            continue
        raise AssertionError(f"{query} was no {error.__name__}")
    try:
        await conn.fetch("SELECT $1::int", "text")
    except asyncpg.DataError:
        pass
    equal(await conn.fetchval("SELECT 1"), 1)
    await conn.close()


@case
async def scripts_of_many_statements():
    conn = await connect()
    await conn.execute("CREATE TEMP TABLE scripted (i int); INSERT INTO scripted VALUES (1), (2); DELETE FROM scripted WHERE i = 1;")
    equal(await conn.fetchval("SELECT i FROM scripted"), 2)
    await conn.close()


@case
async def codecs_of_ones_own():
    conn = await connect()
    await conn.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    equal(await conn.fetchval("SELECT $1::jsonb", {"a": [1]}), {"a": [1]})
    await conn.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=float, format="text")
    equal(await conn.fetchval("SELECT $1::numeric", 1.5), 1.5)
    await conn.close()


@case
async def types_of_the_database():
    conn = await connect()
    await conn.execute("CREATE TYPE asyncpg_mood AS ENUM ('sad', 'ok')")
    equal(await conn.fetchval("SELECT $1::asyncpg_mood", "ok"), "ok")
    equal(await conn.fetchval("SELECT ARRAY['sad', 'ok']::asyncpg_mood[]"), ["sad", "ok"])
    await conn.close()


@case
async def pools_reset_their_connections():
    async with asyncpg.create_pool(ssl=False, min_size=2, max_size=4) as pool:
        async def work(i):
            async with pool.acquire() as conn:
                await conn.execute(f"SET work_mem = '{i + 1}MB'")
                async with conn.transaction():
                    return await conn.fetchval("SELECT $1::int * 2", i)

        equal(await asyncio.gather(*[work(i) for i in range(40)]), [2 * i for i in range(40)])
        fresh = await connect()
        default = await fresh.fetchval("SHOW work_mem")
        await fresh.close()
        equal(await pool.fetchval("SHOW work_mem"), default)


@case
async def settings_of_the_server():
    conn = await connect(server_settings={"application_name": "asyncpg cases", "search_path": "pg_temp, public"})
    equal(await conn.fetchval("SHOW application_name"), "asyncpg cases")
    equal(await conn.fetchval("SHOW search_path"), "pg_temp, public")
    equal(conn.get_settings().server_encoding, "UTF8")
    assert conn.get_server_version().major >= 15
    await conn.close()


@case
async def a_timeout_cancels():
    conn = await connect()
    try:
        await conn.fetchval("SELECT count(*) FROM generate_series(1, 200000) a, generate_series(1, 200000) b WHERE a + b = -1", timeout=0.7)
    except asyncio.TimeoutError:
        pass
    else:
        raise AssertionError("it ran to its end")
    equal(await conn.fetchval("SELECT 1"), 1)
    await conn.close()


@case
async def listeners():
    told, teller = await connect(), await connect()
    got = asyncio.get_running_loop().create_future()
    await told.add_listener("asyncpg_news", lambda c, pid, channel, payload: got.set_result((channel, payload)))
    await teller.execute("NOTIFY asyncpg_news, 'hello'")
    equal(await asyncio.wait_for(got, 10), ("asyncpg_news", "hello"))
    await told.close()
    await teller.close()


@case
async def changes_of_a_table_under_statements():
    conn, other = await connect(), await connect()
    await conn.execute("CREATE TABLE changing (id int)")
    await conn.execute("INSERT INTO changing VALUES (1)")
    for _ in range(3):
        equal(dict((await conn.fetch("SELECT * FROM changing"))[0]), {"id": 1})
    await other.execute("ALTER TABLE changing ADD COLUMN extra text DEFAULT 'e'")
    equal(dict((await conn.fetch("SELECT * FROM changing"))[0]), {"id": 1, "extra": "e"})
    await other.execute("DROP TABLE changing")
    await conn.close()
    await other.close()


run(asyncpg.__version__)
