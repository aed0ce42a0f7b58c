//! The compiled route beside the general one: the same statements give the same rows, types, tags and
//! errors, and leave the same data; and EXPLAIN says which route a statement takes.

use expect_test::expect;
use heliosdb_plugin_api::root;
use heliosdb_sql::types::{PgType, encode_text};
use heliosdb_sql::{Outcome, SqlError, Value};

use super::support::points::Points;
use super::support::{Client, Db, Plugins, check};

/// Numbers that look random (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// A key type with values of it, and some that are none.
struct Key {
    ty: &'static str,
    values: &'static [&'static str],
    wrong: &'static [&'static str],
}

const KEYS: &[Key] = &[
    Key {
        ty: "int2",
        values: &["1", "2", "-3", "32767", "-32768"],
        wrong: &["32768", "abc", "1.5", "9223372036854775808"],
    },
    Key {
        ty: "int4",
        values: &["1", "2", "-3", "2147483647"],
        wrong: &["2147483648", "", "1e3"],
    },
    Key {
        ty: "int8",
        values: &["1", "2", "-3", "9223372036854775807"],
        wrong: &["9223372036854775808", "x"],
    },
    Key {
        ty: "text",
        values: &["a", "b", "", "ä'b", "a "],
        wrong: &[],
    },
    Key {
        ty: "varchar(3)",
        values: &["a", "b", "", "abc"],
        wrong: &["abcd"],
    },
    Key {
        ty: "char(3)",
        values: &["a", "b", "abc", "a "],
        wrong: &["abcd"],
    },
    Key {
        ty: "bool",
        values: &["t", "f", "true"],
        wrong: &["maybe"],
    },
    Key {
        ty: "date",
        values: &["2020-02-29", "1999-12-31", "infinity"],
        wrong: &["2021-02-29", "soon"],
    },
    Key {
        ty: "timestamp",
        values: &["2020-02-29 12:00:00", "1999-12-31 23:59:59.999999"],
        wrong: &["2020-02-30"],
    },
    Key {
        ty: "timestamptz",
        values: &["2020-02-29 12:00:00+01", "1999-12-31 23:59:59"],
        wrong: &["never"],
    },
    Key {
        ty: "uuid",
        values: &[
            "00000000-0000-0000-0000-000000000001",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ],
        wrong: &["1"],
    },
    Key {
        ty: "numeric",
        values: &["1", "1.0", "1.50", "-0.001", "NaN"],
        wrong: &["one"],
    },
    Key {
        ty: "numeric(6,2)",
        values: &["1", "1.00", "1.5", "-3.14"],
        wrong: &["10000", "one"],
    },
    Key {
        ty: "float8",
        values: &["0", "-0", "1.5", "NaN", "Infinity"],
        wrong: &["1e400"],
    },
    Key {
        ty: "bytea",
        values: &["\\x00", "\\x", "\\xdeadbeef"],
        wrong: &["\\x0"],
    },
    Key {
        ty: "timestamp(0)",
        values: &["2020-02-29 12:00:00.6", "1999-12-31 23:59:59.4", "infinity"],
        wrong: &["2020-02-30"],
    },
    Key {
        ty: "timestamptz(3)",
        values: &[
            "2020-02-29 12:00:00.0006+01",
            "1999-12-31 23:59:59.9994",
            "-infinity",
        ],
        wrong: &["never"],
    },
    Key {
        ty: "time(1)",
        values: &["12:00:00.06", "23:59:59.99", "00:00:00"],
        wrong: &["25:00"],
    },
    Key {
        ty: "interval(0)",
        values: &["1 day 00:00:00.6", "-00:00:01.4", "1 mon"],
        wrong: &["a while"],
    },
    Key {
        ty: "numeric(40,2)",
        values: &["1.005", "-3.14159", "7", "NaN"],
        wrong: &["1e39", "one"],
    },
];

impl Key {
    fn value(&self, random: &mut Random) -> Option<String> {
        match random.below(12) {
            0 => None,
            1 if !self.wrong.is_empty() => Some(random.one(self.wrong).to_owned()),
            _ => Some(random.one(self.values).to_owned()),
        }
    }
}

/// Two databases, of which the second knows no compiled route.
struct Pair {
    fast: Client,
    general: Client,
    log: Vec<String>,
    _databases: [Db; 2],
}

impl Pair {
    fn new(setup: &str) -> Pair {
        let databases = [Db::new(), Db::new()];
        let mut clients = databases.each_ref().map(|db| {
            let mut client = db.session();
            client.ok(setup);
            client
        });
        clients[1].ok("SET helios.fast_path = off");
        let [fast, general] = clients;
        Pair {
            fast,
            general,
            log: Vec::new(),
            _databases: databases,
        }
    }

    /// Runs a statement in both and compares everything that a client can see of it.
    fn same(&mut self, sql: &str, params: &[Option<String>], types: &[Option<PgType>]) {
        let values: Vec<Value> = params
            .iter()
            .map(|p| p.clone().map_or(Value::Null, Value::Text))
            .collect();
        let shown = format!("{sql} {params:?} {types:?}");
        let fast = seen(&mut self.fast, sql, &values, types);
        let general = seen(&mut self.general, sql, &values, types);
        assert_eq!(fast, general, "{shown}\nafter:\n{}", self.log.join("\n"));
        self.log.push(shown);
    }
}

fn seen(client: &mut Client, sql: &str, params: &[Value], types: &[Option<PgType>]) -> String {
    let outcome = match params.is_empty() {
        true => {
            let statement = client.0.parse(sql).map(|mut s| s.remove(0));
            statement.and_then(|s| client.0.execute(&s, &[]))
        }
        false => match client.0.prepare(sql, types) {
            // Twice, because the second execution is the one of a cached plan.
            Ok(prepared) if params.len() == prepared.param_types.len() => {
                let first = client.0.execute_prepared(&prepared, params);
                let first = told(client, first);
                let second = client.0.execute_prepared(&prepared, params);
                return format!(
                    "{:?}\n{first}{}",
                    prepared.param_types,
                    told(client, second)
                );
            }
            Ok(prepared) => return format!("{:?}", prepared.param_types),
            Err(e) => Err(e),
        },
    };
    told(client, outcome)
}

/// An outcome as a client sees it; rows in the order of their text, because SQL promises none.
fn told(client: &mut Client, outcome: Result<Outcome, SqlError>) -> String {
    let told = || -> Result<String, SqlError> {
        Ok(match outcome? {
            Outcome::Rows(mut rows) => {
                let columns = rows.columns().to_vec();
                let format = client.0.info().format();
                let mut lines = Vec::new();
                while let Some(batch) = rows.next_batch()? {
                    for row in 0..batch.num_rows() {
                        let mut line = String::new();
                        for (column, array) in columns.iter().zip(batch.columns()) {
                            line.push('|');
                            match array.is_null(row) {
                                true => line.push_str("NULL"),
                                false => {
                                    encode_text(array.as_ref(), row, &column.ty, &format, &mut line)
                                }
                            }
                        }
                        lines.push(line);
                    }
                }
                let tag = rows.tag(lines.len() as u64).0;
                lines.sort();
                let described = columns.iter().map(|c| {
                    format!(
                        "{} {:?} {} {} {}",
                        c.name, c.ty, c.typmod, c.column_attnum, c.table_oid
                    )
                });
                let described: Vec<String> = described.collect();
                format!("{}\n{}\n{tag}\n", described.join(", "), lines.join("\n"))
            }
            Outcome::Command(tag) => format!("{}\n", tag.0),
            _ => "something else\n".to_owned(),
        })
    };
    told().unwrap_or_else(|e| {
        format!(
            "{} {} {:?} {:?} {:?} {:?} {:?}\n",
            e.code.as_str(),
            e.message,
            e.detail,
            e.hint,
            e.constraint,
            e.column,
            e.position
        )
    })
}

/// A statement about table `t` with key `k` of this type, and its parameters.
fn generated(random: &mut Random, key: &Key) -> (String, Vec<Option<String>>, Vec<Option<PgType>>) {
    let mut params = Vec::new();
    // A value of the key, as a parameter or in the text.
    let as_literals = random.below(2) == 0;
    let mut value = |random: &mut Random| {
        let value = key.value(random);
        if as_literals {
            return match value {
                None => "NULL".to_owned(),
                Some(v) if random.below(2) == 0 && key.ty.starts_with("int") && !v.is_empty() => v,
                Some(v) => format!("'{}'", v.replace('\'', "''")),
            };
        }
        params.push(value);
        format!("${}", params.len())
    };
    let condition = match random.below(9) {
        0..=3 => format!("k = {}", value(random)),
        4 => format!("{} = k AND n > 0", value(random)),
        5 => format!("k IN ({}, {})", value(random), value(random)),
        6 => format!("k >= {} AND k < {}", value(random), value(random)),
        7 => format!("k BETWEEN {} AND {}", value(random), value(random)),
        _ => format!("k = {} AND k = {}", value(random), value(random)),
    };
    let list = random.one(&[
        "*",
        "k",
        "n, k, n",
        "n + 1, n * 2 AS \"Twice\", n / 2",
        "k, n / (n - 2)",
        "n + 2147483647",
        "upper(s), length(s), s || 'x'",
        "\"A b\", CASE WHEN n > 1 THEN 'many' ELSE s END",
        "n::int8 + 1, n % 2 = 0",
        "coalesce(s, 'none'), nullif(n, 2)",
        "now() IS NOT NULL, n",
        "1, NULL, 'x'",
    ]);
    let set = random.one(&[
        "n = n + 1",
        "n = n - 2, s = s || 'y'",
        "n = n / 0",
        "n = 2147483647 + n",
        "s = NULL",
        "n = NULL",
        "n = -1",
        "s = 'much longer than ten'",
        "\"A b\" = n * 1.5",
        "n = DEFAULT",
        "u = n",
        "k = k",
        "n = 5, s = upper(s)",
    ]);
    let returning = random.one(&["", "", " RETURNING *", " RETURNING n + 1, k"]);
    let sql = match random.below(12) {
        0..=3 => format!("SELECT {list} FROM t WHERE {condition}"),
        10 => {
            let calls = random.one(&[
                "count(*), count(s), sum(n), avg(\"A b\")",
                "min(s), max(n), sum(n * 2) AS total, sum(\"A b\") + 1",
                "sum(n) FILTER (WHERE n > 1), count(*) FILTER (WHERE s IS NULL)",
                "count(k), count(DISTINCT n), sum(n)",
                "sum(1 / (n - 2)), max(\"A b\")",
                "sum(2147483647 + n)",
                "string_agg(s, ',' ORDER BY s), bool_and(n > 1), bool_or(n > 1)",
            ]);
            let having = random.one(&["", "", " HAVING count(*) > 1", " GROUP BY n"]);
            format!("SELECT {calls} FROM t WHERE {condition}{having}")
        }
        11 => {
            let columns = random.one(&["s", "n, s", "k", "\"A b\", n", "n % 2", "1", "upper(s)"]);
            let order = random.one(&["", " ORDER BY 1", " ORDER BY 1 DESC LIMIT 1"]);
            format!("SELECT DISTINCT {columns} FROM t WHERE {condition}{order}")
        }
        4 => {
            let limit = match random.below(3) {
                0 if !as_literals => {
                    let counts = ["0", "1", "2", "-1", "many"];
                    let mut count = |random: &mut Random| {
                        let count = match random.below(6) {
                            0 => None,
                            _ => Some(random.one(&counts).to_owned()),
                        };
                        params.push(count);
                        params.len()
                    };
                    format!(" LIMIT ${} OFFSET ${}", count(random), count(random))
                }
                _ => random
                    .one(&["", " LIMIT 1", " LIMIT 2 OFFSET 1", " LIMIT 0"])
                    .to_owned(),
            };
            let order = random.one(&["k", "k DESC", "n DESC NULLS LAST, k", "s, k"]);
            format!("SELECT k, n FROM t WHERE {condition} ORDER BY {order}{limit}")
        }
        5 | 6 => format!("UPDATE t SET {set} WHERE {condition}{returning}"),
        7 => format!("DELETE FROM t WHERE {condition}{returning}"),
        8 => format!("SELECT n FROM t WHERE {condition} FOR UPDATE"),
        _ => {
            let conflict = random.one(&[
                "",
                " ON CONFLICT DO NOTHING",
                " ON CONFLICT (k) DO UPDATE SET n = t.n + excluded.n",
            ]);
            let k = value(random);
            let row = random.one(&[
                "1, 'new'",
                "DEFAULT, DEFAULT",
                "1 + 1, lower('NEW')",
                "-5, ''",
            ]);
            format!("INSERT INTO t (k, n, s) VALUES ({k}, {row}){conflict}{returning}")
        }
    };
    let types = match random.below(4) {
        0 => vec![Some(PgType::Int8); params.len()],
        1 => vec![Some(PgType::Text); params.len()],
        _ => Vec::new(),
    };
    (sql, params, types)
}

fn routes_agree(seed: u64, keys: &[Key], statements: usize) {
    let mut random = Random(seed);
    for key in keys {
        let unique = random.one(&["PRIMARY KEY", "UNIQUE"]);
        let mut pair = Pair::new(&format!(
            "CREATE TABLE t (s varchar(10) DEFAULT 'seven', k {} {unique}, u int UNIQUE,
                             n int DEFAULT 7 CHECK (n >= 0), \"A b\" numeric(8, 3));
             CREATE INDEX ON t (n DESC, k)",
            key.ty
        ));
        for (i, value) in key.values.iter().enumerate() {
            let value = Some((*value).to_owned());
            let sql = format!("INSERT INTO t (k, n, s, u) VALUES ($1, {i}, 's{i}', {i})");
            pair.same(&sql, &[value], &[]);
        }
        for _ in 0..statements {
            let (sql, params, types) = generated(&mut random, key);
            pair.same(&sql, &params, &types);
            if random.below(8) == 0 {
                pair.same("SELECT s, k, u, n, \"A b\" FROM t", &[], &[]);
            }
        }
        pair.same("SELECT s, k, u, n, \"A b\" FROM t", &[], &[]);
    }
}

#[test]
fn both_routes_agree_on_keys_that_are_numbers() {
    let (integers, rest) = KEYS.split_at(3);
    routes_agree(11, integers, 40);
    let numbers = rest
        .iter()
        .filter(|k| k.ty.starts_with("n") || k.ty == "float8");
    for (seed, key) in (12..).zip(numbers) {
        routes_agree(seed, std::slice::from_ref(key), 30);
    }
}

#[test]
fn both_routes_agree_on_other_keys() {
    let others = KEYS[3..]
        .iter()
        .filter(|k| !k.ty.starts_with("n") && k.ty != "float8");
    for (seed, key) in (21..).zip(others) {
        routes_agree(seed, std::slice::from_ref(key), 25);
    }
}

#[test]
fn explain_says_which_route_a_statement_takes() {
    check(
        "CREATE TABLE t (a int, b text, c int, PRIMARY KEY (a, b));
         CREATE INDEX t_c ON t (c);
         INSERT INTO t SELECT i, 'b', i / 10 FROM generate_series(1, 5000) AS g(i);
         EXPLAIN SELECT c + 1 AS d FROM t WHERE a = 3 AND b = 'b';
         EXPLAIN SELECT a FROM t WHERE c = 3 AND b > 'a' ORDER BY a DESC LIMIT 2;
         EXPLAIN SELECT now() FROM t WHERE a = 3 AND b = 'b';
         EXPLAIN UPDATE t SET c = 1 WHERE a = 3 AND b = 'b';
         EXPLAIN DELETE FROM t WHERE c = 3;
         EXPLAIN (ANALYZE, SUMMARY off) SELECT a FROM t WHERE c = 3;
         EXPLAIN SELECT a FROM t WHERE c > 3;
         EXPLAIN SELECT random() FROM t WHERE c = 3;
         SET helios.fast_path = off;
         EXPLAIN SELECT c FROM t WHERE a = 3 AND b = 'b';",
        expect![[r#"
            CREATE TABLE
            CREATE INDEX
            INSERT 0 5000
            QUERY PLAN
            FastPath
              Projection: expr=[$+(c@2, 1) as d]
                Filter: a@0 = 3 AND b@1 = b, by the key
                  PointRead: table=t, index=t_pkey
            EXPLAIN
            QUERY PLAN
            FastPath
              Sort: expr=[a@0 DESC NULLS FIRST], fetch=2
                Projection: expr=[a@0 as a]
                  Filter: c@2 = 3 AND b@1 > a
                    IndexRead: table=t, index=t_c
            EXPLAIN
            QUERY PLAN
            FastPath
              Projection: expr=[$1 as now]
                Filter: a@0 = 3 AND b@1 = b, by the key
                  PointRead: table=t, index=t_pkey
            EXPLAIN
            QUERY PLAN
            Update on t
              FastPath
                Projection: expr=[_rowid@2 as _rowid, a@0 as new_0, b@1 as new_1, 1 as new_2]
                  Filter: a@0 = 3 AND b@1 = b, by the key
                    PointRead: table=t, index=t_pkey
            EXPLAIN
            QUERY PLAN
            Delete on t
              FastPath
                Projection: expr=[_rowid@1 as _rowid]
                  Filter: c@0 = 3
                    IndexRead: table=t, index=t_c
            EXPLAIN
            QUERY PLAN
            FastPath, metrics=[output_rows=10]
              Projection: expr=[a@0 as a]
                Filter: c@1 = 3
                  IndexRead: table=t, index=t_c
            EXPLAIN
            QUERY PLAN
            FilterExec: c@1 > 3, projection=[a@0]
              CooperativeExec
                TableScan: table=t, zone_maps=1
            EXPLAIN
            QUERY PLAN
            ProjectionExec: expr=[random() as random]
              FilterExec: c@0 = 3
                CooperativeExec
                  IndexScan: table=t, index=t_c, ranges=1
            EXPLAIN
            SET
            QUERY PLAN
            FilterExec: a@0 = 3 AND b@1 = b, projection=[c@2]
              CooperativeExec
                IndexScan: table=t, index=t_pkey, ranges=1
            EXPLAIN
        "#]],
    );
}

#[test]
fn a_plan_follows_the_catalog_and_the_settings() {
    let db = Db::new();
    let mut client = db.session();
    client.ok("CREATE TABLE t (k int PRIMARY KEY, at timestamptz, n int);
               INSERT INTO t VALUES (1, '2020-01-01 00:00:00+00', 10);
               CREATE SCHEMA other; CREATE TABLE other.t (k int PRIMARY KEY, at timestamptz, n int);
               INSERT INTO other.t VALUES (1, '2021-01-01 00:00:00+00', 20)");
    let prepared = client
        .0
        .prepare("SELECT at::text, n FROM t WHERE k = $1", &[]);
    let prepared = prepared.unwrap();
    let run = |client: &mut Client| {
        let outcome = client
            .0
            .execute_prepared(&prepared, &[Value::Text("1".to_owned())]);
        outcome.map_or_else(|e| e.message, |o| client.print(o))
    };
    let mut out = run(&mut client);
    for change in [
        "SET TimeZone = 'Asia/Tokyo'",
        "SET search_path = other, public",
        "SET search_path = public",
        "ALTER TABLE t DROP CONSTRAINT t_pkey",
        "ALTER TABLE t ADD COLUMN extra int; UPDATE t SET n = 11",
        "BEGIN; CREATE UNIQUE INDEX ON t (k); UPDATE t SET n = 12",
        "ROLLBACK",
        "ALTER TABLE t DROP COLUMN n; ALTER TABLE t ADD COLUMN n text",
        "DROP TABLE t",
    ] {
        client.ok(change);
        out.push_str(&run(&mut client));
    }
    expect![[r#"
        at | n
        2020-01-01 00:00:00+00 | 10
        at | n
        2020-01-01 09:00:00+09 | 10
        at | n
        2021-01-01 09:00:00+09 | 20
        at | n
        2020-01-01 09:00:00+09 | 10
        at | n
        2020-01-01 09:00:00+09 | 10
        at | n
        2020-01-01 09:00:00+09 | 11
        at | n
        2020-01-01 09:00:00+09 | 12
        at | n
        2020-01-01 09:00:00+09 | 11
        cached plan must not change result typerelation "t" does not exist"#]]
    .assert_eq(&out);
    // Somebody else's change counts as much.
    let prepared = client.0.prepare("SELECT n FROM other.t WHERE k = $1", &[]);
    let prepared = prepared.unwrap();
    db.session().ok("DROP TABLE other.t");
    let gone = client
        .0
        .execute_prepared(&prepared, &[Value::Text("1".to_owned())]);
    assert_eq!(gone.err().unwrap().code.as_str(), "42P01");
}

#[test]
fn now_is_that_of_each_transaction() {
    let db = Db::new();
    let mut client = db.session();
    client.ok("CREATE TABLE t (k serial PRIMARY KEY, at timestamptz DEFAULT now(), n int)");
    let mut prepare = |sql: &str| client.0.prepare(sql, &[]).unwrap();
    let insert = prepare("INSERT INTO t (n) VALUES ($1)");
    let update = prepare("UPDATE t SET at = CURRENT_TIMESTAMP WHERE k = $1 RETURNING at = now()");
    let run = |client: &mut Client, statement, value: &str| {
        let params = [Value::Text(value.to_owned())];
        let outcome = client.0.execute_prepared(statement, &params).unwrap();
        client.print(outcome)
    };
    client.ok("BEGIN");
    run(&mut client, &insert, "1");
    run(&mut client, &insert, "2");
    client.ok("COMMIT");
    run(&mut client, &insert, "3");
    let times = "SELECT count(*), count(DISTINCT at) FROM t";
    assert_eq!(client.ok(times), "count | count\n3 | 2\n");
    for k in ["1", "2", "3"] {
        assert_eq!(run(&mut client, &update, k), "?column?\nt\nUPDATE 1\n");
    }
    assert_eq!(client.ok(times), "count | count\n3 | 3\n");
}

#[test]
fn a_text_without_its_constants_is_known_again() {
    let db = Db::new();
    let mut client = db.session();
    client.ok("CREATE TABLE t (k int PRIMARY KEY, s varchar(3)); INSERT INTO t VALUES (1, 'a')");
    let mut out = String::new();
    for sql in [
        "SELECT * FROM t WHERE k = 1",
        "SELECT * FROM t WHERE k = 2;",
        "SELECT * FROM t WHERE k = 1",
        "SELECT * FROM t WHERE k = 5000000000",
        "SELECT * FROM t WHERE k = -1",
        "SELECT * FROM t WHERE k = 'one'",
        "SELECT * FROM t WHERE k = 'two'",
        "SELECT * FROM t WHERE k = 'three'",
        "INSERT INTO t VALUES (2, 'b')",
        "INSERT INTO t VALUES (3, 'c')",
        "INSERT INTO t VALUES (4, 'long')",
        "INSERT INTO t VALUES (3000000000, 'c')",
        "INSERT INTO t VALUES (3, 'c')",
        "ALTER TABLE t ADD COLUMN n int DEFAULT 7",
        "SELECT * FROM t WHERE k = 1",
        "INSERT INTO t VALUES (5, 'd')",
        "SELECT * FROM t WHERE k = 5",
        "BEGIN",
        "SELECT * FROM t WHERE k = 1",
        "SELECT nope FROM t WHERE k = 1",
        "SELECT * FROM t WHERE k = 1",
        "ROLLBACK",
        "SELECT * FROM t WHERE k = 1",
    ] {
        out.push_str(&client.run(sql));
    }
    expect![[r#"
        k | s
        1 | a
        k | s
        k | s
        1 | a
        k | s
        k | s
        ERROR 22P02: invalid input syntax for type integer: "one"
        ERROR 22P02: invalid input syntax for type integer: "two"
        ERROR 22P02: invalid input syntax for type integer: "three"
        INSERT 0 1
        INSERT 0 1
        ERROR 22001: value too long for type character varying(3)
        ERROR 22003: value "3000000000" is out of range for type integer
        ERROR 23505: duplicate key value violates unique constraint "t_pkey"
        DETAIL: Key (k)=(3) already exists.
        ALTER TABLE
        k | s | n
        1 | a | 7
        INSERT 0 1
        k | s | n
        5 | d | 7
        BEGIN
        k | s | n
        1 | a | 7
        ERROR 42703: column "nope" does not exist
        ERROR 25P02: current transaction is aborted, commands ignored until end of transaction block
        ROLLBACK
        k | s | n
        1 | a | 7
    "#]]
    .assert_eq(&out);
}

#[test]
fn a_point_read_of_the_past_is_compiled_too() {
    let db = Db::new();
    let mut client = db.session();
    client.ok("CREATE TABLE t (k int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1)");
    let before = db.instance.visible_ts().0;
    client.ok("UPDATE t SET n = 2 WHERE k = 1");
    let sql = format!("SELECT n FROM t AS OF SCN {before} WHERE k = 1");
    assert_eq!(client.ok(&sql), "n\n1\n");
    let plan = client.ok(&format!("EXPLAIN {sql}"));
    assert!(
        plan.contains("PointRead: table=t, index=t_pkey, as_of="),
        "{plan}"
    );
}

/// Types whose modifier rounds a value or refuses it, and values that have to be rounded.
const MODIFIED: [(&str, &str, &str); 8] = [
    (
        "timestamp(0)",
        "2020-01-01 00:00:00.6",
        "2020-01-01 00:00:01",
    ),
    (
        "timestamptz(2)",
        "2020-01-01 00:00:00.126+00",
        "2020-01-01 00:00:00.13+00",
    ),
    ("time(1)", "12:00:00.06", "12:00:00.1"),
    ("interval(0)", "1 day 00:00:00.6", "1 day 00:00:01"),
    ("numeric(40,2)", "1.005", "1.01"),
    ("numeric(6,2)", "1.005", "1.01"),
    ("numeric(40,2)[]", "{1.005,2}", "{1.01,2.00}"),
    (
        "timestamp(0)[]",
        "{2020-01-01 00:00:00.6}",
        "{\"2020-01-01 00:00:01\"}",
    ),
];

/// A text that came before is run without its constants, which then have no modifier of their own; nor
/// has a parameter.
#[test]
fn a_type_modifier_holds_for_every_execution() {
    let db = Db::new();
    let mut client = db.session();
    for (ty, given, stored) in MODIFIED {
        client.ok(&format!(
            "CREATE TABLE t (k int PRIMARY KEY, v {ty}, d {ty} DEFAULT ('{given}'))"
        ));
        for k in 1..=3 {
            client.ok(&format!("INSERT INTO t VALUES ({k}, '{given}')"));
        }
        for k in 4..=6 {
            client.ok(&format!("INSERT INTO t (k) VALUES ({k})"));
            client.ok(&format!("UPDATE t SET v = '{given}' WHERE k = {k}"));
        }
        let insert = client.0.prepare("INSERT INTO t VALUES ($1, $2)", &[]);
        let insert = insert.unwrap();
        for k in 7..=8 {
            let values = [Value::Text(k.to_string()), Value::Text(given.to_owned())];
            client.0.execute_prepared(&insert, &values).unwrap();
        }
        let plain = ty.split('(').next().unwrap();
        let array = if ty.ends_with("[]") { "[]" } else { "" };
        client.ok(&format!(
            "INSERT INTO t SELECT 9, '{given}'::{plain}{array}"
        ));
        let shown = client.ok("SELECT v, d, count(*) FROM t GROUP BY v, d");
        assert_eq!(
            shown,
            format!("v | d | count\n{stored} | {stored} | 9\n"),
            "{ty}"
        );
        client.ok("DROP TABLE t");
    }
}

#[test]
fn what_a_type_modifier_refuses_is_refused_every_time() {
    let db = Db::new();
    let mut client = db.session();
    client.ok(
        "CREATE TABLE t (k int PRIMARY KEY, a varchar(3)[], n numeric(40,2));
               INSERT INTO t VALUES (0, '{abc}', 1)",
    );
    let mut out = String::new();
    for k in 1..=3 {
        out.push_str(&client.run(&format!("INSERT INTO t (k, a) VALUES ({k}, '{{a,long}}')")));
    }
    for _ in 0..3 {
        out.push_str(&client.run("UPDATE t SET a = '{a,long}' WHERE k = 0"));
    }
    for k in 1..=3 {
        let n = "9".repeat(39);
        out.push_str(&client.run(&format!("INSERT INTO t (k, n) VALUES ({k}, '{n}')")));
    }
    out.push_str(&client.run("SELECT * FROM t"));
    expect![[r#"
        ERROR 22001: value too long for type character varying(3)
        ERROR 22001: value too long for type character varying(3)
        ERROR 22001: value too long for type character varying(3)
        ERROR 22001: value too long for type character varying(3)
        ERROR 22001: value too long for type character varying(3)
        ERROR 22001: value too long for type character varying(3)
        ERROR 22003: numeric field overflow
        DETAIL: A field with precision 40, scale 2 must round to an absolute value less than 10^38.
        ERROR 22003: numeric field overflow
        DETAIL: A field with precision 40, scale 2 must round to an absolute value less than 10^38.
        ERROR 22003: numeric field overflow
        DETAIL: A field with precision 40, scale 2 must round to an absolute value less than 10^38.
        k | a | n
        0 | {abc} | 1.00
    "#]]
    .assert_eq(&out);
}

/// A type of a plugin has its modifier applied by the plugin, and an UPDATE of another column leaves the
/// value alone.
#[test]
fn a_modifier_of_a_plugins_type_holds_for_every_execution() {
    let plugins = Plugins {
        roots: vec![root::<Points>()],
        ..Plugins::default()
    };
    let db = Db::with(&plugins);
    let mut client = db.session();
    client.ok("CREATE TABLE t (k int PRIMARY KEY, p point2(9), n int)");
    let mut out = String::new();
    for k in 1..=3 {
        out.push_str(&client.run(&format!("INSERT INTO t VALUES ({k}, '(1,2)')")));
        out.push_str(&client.run(&format!("INSERT INTO t VALUES ({k}0, '(1,20)')")));
    }
    out.push_str(&client.run("UPDATE t SET n = 1; SELECT * FROM t WHERE k = 3"));
    expect![[r#"
        INSERT 0 1
        ERROR 22023: (1,20) lies outside of point2(9)
        INSERT 0 1
        ERROR 22023: (1,20) lies outside of point2(9)
        INSERT 0 1
        ERROR 22023: (1,20) lies outside of point2(9)
        UPDATE 3
        k | p | n
        3 | (1,2) | 1
    "#]]
    .assert_eq(&out);
}

/// Defaults and conditions are compiled under the settings of the statement that needs them first.
#[test]
fn defaults_and_conditions_follow_the_settings() {
    check(
        "SET TimeZone = 'UTC';
         CREATE TABLE t (k int PRIMARY KEY, s text DEFAULT to_jsonb('2020-01-01 00:00+00'::timestamptz)::text,
                         at timestamptz CHECK (extract(hour FROM at) < 12));
         CREATE TABLE today (k int, at timestamptz DEFAULT date_trunc('day', now()));
         INSERT INTO today VALUES (1);
         INSERT INTO t (k, at) VALUES (1, '2020-01-01 11:00+00');
         INSERT INTO t (k, at) VALUES (2, '2020-01-01 13:00+00');
         SET TimeZone = 'America/New_York';
         INSERT INTO today VALUES (2) RETURNING at = date_trunc('day', now()) AS is_midnight;
         INSERT INTO t (k, at) VALUES (3, '2020-01-01 13:00+00');
         INSERT INTO t (k, at) VALUES (4, '2020-01-01 17:00+00');
         BEGIN; SET LOCAL TimeZone = 'UTC'; INSERT INTO t (k, at) VALUES (5, '2020-01-01 13:00+00');
         ROLLBACK;
         BEGIN; SET LOCAL TimeZone = 'UTC'; INSERT INTO t (k, at) VALUES (6, '2020-01-01 05:00+00');
         COMMIT;
         UPDATE t SET at = '2020-01-01 16:00+00' WHERE k = 1;
         SET TimeZone = 'UTC';
         UPDATE t SET at = '2020-01-01 16:00+00' WHERE k = 1;
         SELECT k, s FROM t ORDER BY k",
        expect![[r#"
            SET
            CREATE TABLE
            CREATE TABLE
            INSERT 0 1
            INSERT 0 1
            ERROR 23514: new row for relation "t" violates check constraint "t_at_check"
            DETAIL: Failing row contains (2, "2020-01-01T00:00:00+00:00", 2020-01-01 13:00:00+00).
            SET
            is_midnight
            t
            INSERT 0 1
            INSERT 0 1
            ERROR 23514: new row for relation "t" violates check constraint "t_at_check"
            DETAIL: Failing row contains (4, "2019-12-31T19:00:00-05:00", 2020-01-01 12:00:00-05).
            BEGIN
            SET
            ERROR 23514: new row for relation "t" violates check constraint "t_at_check"
            DETAIL: Failing row contains (5, "2020-01-01T00:00:00+00:00", 2020-01-01 13:00:00+00).
            ROLLBACK
            BEGIN
            SET
            INSERT 0 1
            COMMIT
            UPDATE 1
            SET
            ERROR 23514: new row for relation "t" violates check constraint "t_at_check"
            DETAIL: Failing row contains (1, "2020-01-01T00:00:00+00:00", 2020-01-01 16:00:00+00).
            k | s
            1 | "2020-01-01T00:00:00+00:00"
            3 | "2019-12-31T19:00:00-05:00"
            6 | "2020-01-01T00:00:00+00:00"
        "#]],
    );
}

/// A statement would throw away what the COPY has sent so far.
#[test]
fn nothing_else_runs_while_a_copy_is_in_progress() {
    let db = Db::new();
    let mut client = db.session();
    client.ok("CREATE TABLE t (k int PRIMARY KEY, n int)");
    let rows = |from: usize| -> String {
        let rows = (from..from + 20_000).map(|k| format!("{k}\t{k}\n"));
        rows.collect()
    };
    // Its plan is made when it comes a second time.
    client.run("SELECT n FROM t WHERE k = 1");
    let copy = client.0.parse("COPY t FROM STDIN").unwrap().remove(0);
    let begun = client.0.execute(&copy, &[]).unwrap();
    assert!(matches!(begun, Outcome::CopyIn { .. }));
    client.0.copy_in_data(rows(0).as_bytes()).unwrap();
    let mut refused = vec![client.run("SELECT n FROM t WHERE k = 2")];
    let codes = [
        client.0.prepare("SELECT n FROM t WHERE k = $1", &[]).err(),
        client.0.prepare("SELEC", &[]).err(),
        client.0.execute_text("SELECT 1").err(),
        client.0.execute_text("SELECT 1; SELECT 2").err(),
    ];
    refused.extend(codes.map(|e| e.map_or_else(String::new, |e| e.code.as_str().to_owned())));
    client.0.copy_in_data(rows(20_000).as_bytes()).unwrap();
    assert_eq!(client.0.copy_in_done().unwrap().0, "COPY 40000");
    assert_eq!(client.ok("SELECT count(*) FROM t"), "count\n40000\n");
    assert_eq!(
        refused,
        [
            "ERROR 08P01: COPY FROM STDIN is in progress\n",
            "08P01",
            "08P01",
            "08P01",
            "08P01"
        ]
    );
}

/// The statements of one text are one transaction, which has ended when the data would come.
#[test]
fn a_copy_is_a_text_of_its_own() {
    let db = Db::new();
    let mut client = db.session();
    client.ok("CREATE TABLE t (k int PRIMARY KEY)");
    for text in [
        "INSERT INTO t VALUES (1); COPY t FROM STDIN",
        "COPY t FROM STDIN; INSERT INTO t VALUES (1)",
    ] {
        let error = client.0.execute_text(text).err();
        assert_eq!(
            error.map(|e| e.code.as_str().to_owned()).as_deref(),
            Some("0A000")
        );
        let error = client.0.copy_in_data(b"2\n").err();
        assert_eq!(
            error.map(|e| e.code.as_str().to_owned()).as_deref(),
            Some("08P01")
        );
    }
    assert_eq!(client.ok("SELECT count(*) FROM t"), "count\n0\n");
}
