//! Queries: indexes, views, parameters, settings, plans.

use expect_test::expect;
use heliosdb_sql::{Outcome, Value};

use super::support::{Db, check};

#[test]
fn an_index_is_used_where_it_helps() {
    check(
        "CREATE TABLE t (a int, b int, c text, PRIMARY KEY (a, b));
         CREATE INDEX ON t (c);
         INSERT INTO t SELECT i / 10, i % 10, 'c' || (i % 7) FROM generate_series(0, 99) AS g(i);
         EXPLAIN SELECT c FROM t WHERE a = 3 AND b = 4;
         SELECT c FROM t WHERE a = 3 AND b = 4;
         SELECT count(*) FROM t WHERE a = 3;
         SELECT count(*) FROM t WHERE a = 3 AND b > 6;
         SELECT count(*) FROM t WHERE c = 'c1';
         SELECT a, b FROM t WHERE a IN (1, 2) AND b IN (0, 1) ORDER BY 1, 2;
         SELECT count(*) FROM t WHERE a = 3 AND b = 100;
         SELECT count(*) FROM t WHERE a BETWEEN 2 AND 4;
         SELECT count(*) FROM t WHERE a < 0 OR a > 8;",
        expect![[r#"
            CREATE TABLE
            CREATE INDEX
            INSERT 0 100
            QUERY PLAN
            FastPath
              Projection: expr=[c@2 as c]
                Filter: a@0 = 3 AND b@1 = 4, by the key
                  PointRead: table=t, index=t_pkey
            EXPLAIN
            c
            c6
            count
            10
            count
            3
            count
            15
            a | b
            1 | 0
            1 | 1
            2 | 0
            2 | 1
            count
            0
            count
            30
            count
            10
        "#]],
    );
}

#[test]
fn parameters_take_the_types_of_what_they_meet() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE t (id int PRIMARY KEY, d date, n numeric(6,2), s varchar(9))");
    let insert =
        s.0.prepare("INSERT INTO t VALUES ($1, $2, $3, $4) RETURNING id", &[])
            .unwrap();
    let select =
        s.0.prepare("SELECT s, d FROM t WHERE id = $1 AND n > $2", &[])
            .unwrap();
    let update =
        s.0.prepare("UPDATE t SET n = n + $1 WHERE id = $2", &[])
            .unwrap();
    let types = |p: &heliosdb_sql::Prepared| {
        p.param_types
            .iter()
            .map(|t| t.name().to_owned())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut out = format!(
        "{}\n{}\n{}\n",
        types(&insert),
        types(&select),
        types(&update)
    );
    for column in select.columns.as_ref().unwrap().iter() {
        out += &format!("{} {} {}\n", column.name, column.ty.name(), column.typmod);
    }
    let text = |s: &str| Value::Text(s.to_owned());
    for i in 1..=3 {
        let values = [
            text(&i.to_string()),
            text("2020-02-03"),
            text("1.25"),
            Value::Null,
        ];
        assert!(matches!(
            s.0.execute_prepared(&insert, &values),
            Ok(Outcome::Rows(_))
        ));
    }
    s.0.execute_prepared(&update, &[text("2"), text("2")])
        .unwrap();
    for i in ["1", "2"] {
        let outcome =
            s.0.execute_prepared(&select, &[text(i), text("2")])
                .unwrap();
        out += &s.print(outcome);
    }
    let e =
        s.0.execute_prepared(&select, &[text("x"), text("2")])
            .err()
            .unwrap();
    out += &format!("{e}\n");
    s.ok("ALTER TABLE t DROP COLUMN d");
    let e =
        s.0.execute_prepared(&select, &[text("1"), text("2")])
            .err()
            .unwrap();
    out += &format!("{e}\n");
    expect![[r#"
        integer, date, numeric, character varying
        integer, numeric
        numeric, integer
        s character varying 13
        d date -1
        s | d
        s | d
        NULL | 2020-02-03
        invalid input syntax for type integer: "x" (SQLSTATE 22P02)
        column "d" does not exist (SQLSTATE 42703)
    "#]]
    .assert_eq(&out);
}

#[test]
fn settings_are_transactional() {
    check(
        "SHOW timezone;
         BEGIN; SET timezone = 'America/New_York'; SHOW timezone; ROLLBACK; SHOW timezone;
         BEGIN; SET LOCAL timezone = 'Asia/Tokyo'; SHOW timezone; COMMIT; SHOW timezone;
         SET timezone TO 'Nowhere/Land';
         SET datestyle = 'German';
         SET nonsense = 1;
         SET client_encoding = 'LATIN1';
         SET statement_timeout = '2s'; SHOW statement_timeout; RESET statement_timeout; SHOW statement_timeout;
         SET server_version = '1';
         SELECT current_setting('application_name');",
        expect![[r#"
            TimeZone
            UTC
            SHOW
            BEGIN
            SET
            TimeZone
            America/New_York
            SHOW
            ROLLBACK
            TimeZone
            UTC
            SHOW
            BEGIN
            SET
            TimeZone
            Asia/Tokyo
            SHOW
            COMMIT
            TimeZone
            UTC
            SHOW
            ERROR 22023: time zone "Nowhere/Land" not recognized
            ERROR 0A000: DateStyle "german" is not supported
            ERROR 42704: unrecognized configuration parameter "nonsense"
            ERROR 0A000: value "LATIN1" for parameter "client_encoding" is not supported
            SET
            statement_timeout
            2s
            SHOW
            RESET
            statement_timeout
            0
            SHOW
            ERROR 55P02: parameter "server_version" cannot be changed
            current_setting

        "#]],
    );
}

#[test]
fn errors_point_at_what_is_wrong() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE t (a int)");
    let mut out = String::new();
    for sql in [
        "SELECT b FROM t",
        "SELECT *\n  FROM nope",
        "SELEC 1",
        "SELECT 1 +",
        "SELECT 'a",
        "SELECT a FROM t WHERE a = 'x'",
        "SELECT a, count(*) FROM t",
        "SELECT 1/0",
        "SELECT 2147483647 + 1",
        "SELECT nofunction(1)",
        "  -- two lines\n  SELECT nofunction('x', 1.5, a)\n FROM t",
        "SELECT * FROM nofunction(1)",
        "SELECT 1; SELECT abs(nofunction())",
        "SELECT upper(a) FROM t",
        "SELECT 1, t.bogus FROM t",
        "SELECT x.bogus FROM t AS x WHERE a = 1",
        "SELECT a FROM t WHERE u.a = 1",
        "SELECT 'abc'::int",
        "SELECT 1, date '2013-02-30'",
        "SELECT interval 'soon'",
        "SELECT a + date '2000-01-01' * 2 FROM t",
        "SELECT sum(a), a FROM t",
        "SELECT a FROM t ORDER BY 3",
        "SELECT a FROM t WHERE a",
        "SELECT '1'::nonesuch",
        "INSERT INTO t VALUES (1), ('x')",
        "INSERT INTO t (b) VALUES (1)",
        "UPDATE t SET a = 1, b = 2",
    ] {
        let result =
            s.0.parse(sql)
                .and_then(|st| match s.0.execute(&st[st.len() - 1], &[])? {
                    Outcome::Rows(rows) => rows.collect().map(drop),
                    _ => Ok(()),
                });
        let e = result.err().unwrap();
        out += &format!(
            "{sql:?}\n  {} {} at {:?}\n",
            e.code.as_str(),
            e.message,
            e.position
        );
    }
    expect![[r#"
        "SELECT b FROM t"
          42703 column "b" does not exist at Some(8)
        "SELECT *\n  FROM nope"
          42P01 relation "nope" does not exist at Some(17)
        "SELEC 1"
          42601 syntax error at or near "SELEC" at Some(1)
        "SELECT 1 +"
          42601 syntax error at end of input at Some(11)
        "SELECT 'a"
          42601 unterminated quoted string at Some(8)
        "SELECT a FROM t WHERE a = 'x'"
          22P02 invalid input syntax for type integer: "x" at Some(27)
        "SELECT a, count(*) FROM t"
          42803 column "t.a" must appear in the GROUP BY clause or be used in an aggregate function at Some(8)
        "SELECT 1/0"
          22012 division by zero at None
        "SELECT 2147483647 + 1"
          22003 integer out of range at None
        "SELECT nofunction(1)"
          42883 function nofunction(integer) does not exist at Some(8)
        "  -- two lines\n  SELECT nofunction('x', 1.5, a)\n FROM t"
          42883 function nofunction(unknown, numeric, integer) does not exist at Some(8)
        "SELECT * FROM nofunction(1)"
          42883 function nofunction(integer) does not exist at Some(15)
        "SELECT 1; SELECT abs(nofunction())"
          42883 function nofunction() does not exist at Some(12)
        "SELECT upper(a) FROM t"
          42883 function upper(integer) does not exist at Some(8)
        "SELECT 1, t.bogus FROM t"
          42703 column t.bogus does not exist at Some(11)
        "SELECT x.bogus FROM t AS x WHERE a = 1"
          42703 column x.bogus does not exist at Some(8)
        "SELECT a FROM t WHERE u.a = 1"
          42P01 missing FROM-clause entry for table "u" at Some(23)
        "SELECT 'abc'::int"
          22P02 invalid input syntax for type integer: "abc" at Some(8)
        "SELECT 1, date '2013-02-30'"
          22008 date/time field value out of range: "2013-02-30" at Some(16)
        "SELECT interval 'soon'"
          22007 invalid input syntax for type interval: "soon" at Some(17)
        "SELECT a + date '2000-01-01' * 2 FROM t"
          42883 operator does not exist: date * integer at Some(30)
        "SELECT sum(a), a FROM t"
          42803 column "t.a" must appear in the GROUP BY clause or be used in an aggregate function at Some(16)
        "SELECT a FROM t ORDER BY 3"
          42P10 ORDER BY position 3 is not in select list at Some(26)
        "SELECT a FROM t WHERE a"
          42804 argument of WHERE must be type boolean, not type integer at Some(23)
        "SELECT '1'::nonesuch"
          42704 type "nonesuch" does not exist at Some(13)
        "INSERT INTO t VALUES (1), ('x')"
          22P02 invalid input syntax for type integer: "x" at Some(28)
        "INSERT INTO t (b) VALUES (1)"
          42703 column "b" of relation "t" does not exist at Some(16)
        "UPDATE t SET a = 1, b = 2"
          42703 column "b" of relation "t" does not exist at Some(21)
    "#]].assert_eq(&out);
}

#[test]
fn queries_of_many_kinds() {
    check(
        "CREATE TABLE t (id int PRIMARY KEY, g text, n int);
         INSERT INTO t VALUES (1,'a',10),(2,'a',20),(3,'b',NULL),(4,'b',5);
         SELECT g, sum(n), count(*), avg(n) FROM t GROUP BY g ORDER BY g;
         WITH x AS (SELECT * FROM t WHERE n > 5) SELECT count(*) FROM x;
         WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 5) SELECT sum(i) FROM r;
         SELECT id, (SELECT max(n) FROM t u WHERE u.g = t.g) AS m FROM t ORDER BY id;
         SELECT * FROM t WHERE EXISTS (SELECT 1 FROM t u WHERE u.id = t.id + 1) ORDER BY n DESC;
         SELECT DISTINCT g FROM t ORDER BY 1;
         SELECT id, row_number() OVER (PARTITION BY g ORDER BY id DESC) FROM t ORDER BY id;
         SELECT a.id, b.id FROM t a LEFT JOIN t b ON b.n = a.n / 2 ORDER BY 1, 2;
         SELECT id FROM t UNION SELECT n FROM t ORDER BY 1 NULLS FIRST LIMIT 3;
         CREATE TABLE copy AS SELECT id, n FROM t;
         SELECT id INTO copy2 FROM t;
         SELECT count(*) FROM copy JOIN copy2 USING (id);
         SELECT relname, relkind FROM pg_class WHERE relname LIKE 'copy%' ORDER BY 1;
         SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't';",
        expect![[r#"
            CREATE TABLE
            INSERT 0 4
            g | sum | count | avg
            a | 30 | 2 | 15.0000000000000000
            b | 5 | 2 | 5.0000000000000000
            count
            2
            sum
            15
            id | m
            1 | 20
            2 | 20
            3 | 5
            4 | 5
            id | g | n
            3 | b | NULL
            2 | a | 20
            1 | a | 10
            g
            a
            b
            id | row_number
            1 | 2
            2 | 1
            3 | 2
            4 | 1
            id | id
            1 | 4
            2 | 1
            3 | NULL
            4 | NULL
            id
            NULL
            1
            2
            SELECT 4
            SELECT 4
            count
            4
            relname | relkind
            copy | r
            copy2 | r
            column_name | data_type
            id | integer
            g | text
            n | integer
        "#]],
    );
}

#[test]
fn table_is_short_for_select_star() {
    check(
        "CREATE TABLE t (a int, b text);
         INSERT INTO t VALUES (2, 'y'), (1, 'x'), (3, 'z');
         TABLE t ORDER BY a;
         (TABLE public.t) ORDER BY 1 FETCH FIRST ROW ONLY;
         TABLE t UNION ALL TABLE t ORDER BY 1 OFFSET 4;
         CREATE TABLE u AS TABLE t;
         INSERT INTO u TABLE t;
         INSERT INTO u (a, b) TABLE t LIMIT 1;
         WITH w AS (TABLE u) SELECT count(*) FROM w;
         EXPLAIN TABLE nope;",
        expect![[r#"
            CREATE TABLE
            INSERT 0 3
            a | b
            1 | x
            2 | y
            3 | z
            a | b
            1 | x
            a | b
            3 | z
            3 | z
            SELECT 3
            INSERT 0 3
            INSERT 0 1
            count
            7
            ERROR 42P01: relation "nope" does not exist
        "#]],
    );
}

#[test]
fn fetch_first_is_limit() {
    check(
        "CREATE TABLE t (a int);
         INSERT INTO t SELECT generate_series(1, 9);
         SELECT a FROM t ORDER BY a FETCH FIRST 2 ROWS ONLY;
         SELECT a FROM t ORDER BY a OFFSET 3 ROWS FETCH NEXT ROW ONLY;
         SELECT (SELECT a FROM t ORDER BY a DESC FETCH FIRST 1 ROW ONLY);
         SELECT a FROM t ORDER BY a FETCH FIRST 1 ROW ONLY FOR UPDATE;
         SELECT a FROM t ORDER BY a FETCH FIRST 1 ROW WITH TIES;
         SELECT a FROM t ORDER BY a LIMIT -1;
         SELECT a FROM t ORDER BY a OFFSET -1;
         SELECT a FROM t ORDER BY a LIMIT 3 FETCH FIRST ROW ONLY;
         SELECT DISTINCT a % 2 FROM t ORDER BY a;",
        expect![[r#"
            CREATE TABLE
            INSERT 0 9
            a
            1
            2
            a
            4
            a
            9
            a
            1
            a
            1
            ERROR 2201W: LIMIT must not be negative
            ERROR 2201X: OFFSET must not be negative
            ERROR 42601: multiple LIMIT clauses not allowed
            ERROR 42P10: for SELECT DISTINCT, ORDER BY expressions must appear in select list
        "#]],
    );
}

/// Not only what prints a timestamptz asks for the zone.
#[test]
fn the_time_zone_of_the_session_holds_in_every_expression() {
    check(
        "SET TimeZone = 'America/New_York';
         CREATE TABLE t (at timestamptz);
         INSERT INTO t VALUES ('2013-01-01 10:00+00'), ('2013-01-01 22:00');
         SELECT at, at::text, at::date, at::timestamp, extract(hour FROM at) AS hour,
                date_trunc('day', at) AS day, to_char(at, 'HH24') AS h FROM t;
         SET TimeZone = 'UTC';
         SELECT at::text FROM t WHERE at >= '2013-01-02';",
        expect![[r#"
            SET
            CREATE TABLE
            INSERT 0 2
            at | at | at | at | hour | day | h
            2013-01-01 05:00:00-05 | 2013-01-01 05:00:00-05 | 2013-01-01 | 2013-01-01 05:00:00 | 5 | 2013-01-01 00:00:00-05 | 05
            2013-01-01 22:00:00-05 | 2013-01-01 22:00:00-05 | 2013-01-01 | 2013-01-01 22:00:00 | 22 | 2013-01-01 00:00:00-05 | 22
            SET
            at
            2013-01-02 03:00:00+00
        "#]],
    );
}

/// As the extended protocol does it: planned once, and run with other values each time.
#[test]
fn windows_take_parameters() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE t AS SELECT i FROM generate_series(1, 4) i");
    let sql = "SELECT lag(i, $1) OVER (ORDER BY i) AS l, ntile($2) OVER (ORDER BY i) AS n, \
               sum(i) OVER (ORDER BY i ROWS BETWEEN $3 PRECEDING AND $3 - 1 FOLLOWING) AS s FROM t ORDER BY i";
    let prepared = s.0.prepare(sql, &[]).unwrap();
    let types: Vec<_> = prepared.param_types.iter().map(|t| t.name()).collect();
    assert_eq!(types, ["integer", "integer", "bigint"]);
    let mut out = String::new();
    for values in [
        ["1", "2", "1"],
        ["2", "4", "2"],
        ["0", "1", "0"],
        ["1", "0", "1"],
        ["1", "1", "-1"],
    ] {
        let values = values.map(|value| Value::Text(value.to_owned()));
        match s.0.execute_prepared(&prepared, &values) {
            Ok(outcome) => out += &s.print(outcome),
            Err(e) => out += &format!("{e}\n"),
        }
    }
    expect![[r#"
        l | n | s
        NULL | 1 | 1
        1 | 1 | 3
        2 | 2 | 5
        3 | 2 | 7
        l | n | s
        NULL | 1 | 3
        NULL | 2 | 6
        1 | 3 | 10
        2 | 4 | 9
        frame ending offset must not be negative (SQLSTATE 22013)
        argument of ntile must be greater than zero (SQLSTATE 22014)
        frame starting offset must not be negative (SQLSTATE 22013)
    "#]]
    .assert_eq(&out);
}

#[test]
fn limits_take_parameters() {
    let db = super::support::Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE t AS SELECT i FROM generate_series(1, 9) i");
    let out = s.run(
        "PREPARE a AS SELECT i FROM t ORDER BY i LIMIT $1 OFFSET $2;
         EXECUTE a (2, 3); EXECUTE a (NULL, 7); EXECUTE a (-1, 0); EXECUTE a (1, -1);
         PREPARE b (int, smallint) AS SELECT i FROM t ORDER BY i DESC LIMIT $1 OFFSET $2;
         EXECUTE b (2, 1); EXECUTE b (1, NULL);",
    );
    expect![[r#"
        PREPARE
        i
        4
        5
        i
        8
        9
        ERROR 2201W: LIMIT must not be negative
        ERROR 2201X: OFFSET must not be negative
        PREPARE
        i
        8
        7
        i
        9
    "#]]
    .assert_eq(&out);
}

#[test]
fn refusals_name_the_feature() {
    check(
        "CREATE TABLE t (a int, b text);
         INSERT INTO t VALUES (1, 'x');
         SELECT count(DISTINCT (a, b)) FROM t;
         SELECT * FROM (WITH x AS (DELETE FROM t RETURNING a) SELECT count(*) FROM x) AS y;
         SELECT a FROM t WHERE row_number() OVER () = 1;
         SELECT a FROM t WHERE unnest(array[1]) = 1;
         SELECT a FROM t LIMIT (SELECT 1);
         SELECT b LIKE ANY (array['x']) FROM t;
         SELECT sum(sum(a)) FROM t;
         SELECT DISTINCT ON (a) a, b FROM t ORDER BY b;
         SELECT * FROM (VALUES (1, 2), (3)) v;
         SELECT (SELECT sum(t.a + u.a) FROM t u) FROM t;
         SELECT * FROM t TABLESAMPLE SYSTEM (10);
         SELECT abs(a) OVER () FROM t;
         SELECT abs(DISTINCT a) FROM t;
         SELECT $1;",
        expect![[r#"
            CREATE TABLE
            INSERT 0 1
            ERROR 0A000: a row value in this place is not supported
            ERROR 0A000: WITH clause containing a data-modifying statement must be at the top level
            ERROR 42P20: window functions are not allowed in this place
            ERROR 0A000: set-returning functions are not allowed in this place
            ERROR 0A000: an expression that is not constant in LIMIT is not supported
            ERROR 0A000: LIKE ANY is not supported
            ERROR 42803: aggregate function calls cannot be nested
            ERROR 42P10: SELECT DISTINCT ON expressions must match initial ORDER BY expressions
            ERROR 42601: VALUES lists must all be the same length
            ERROR 0A000: an aggregate over columns of an outer query is not supported
            ERROR 0A000: TABLESAMPLE is not supported
            ERROR 42809: OVER specified, but abs is not a window function nor an aggregate function
            ERROR 42809: DISTINCT specified, but abs is not an aggregate function
            ERROR 42P02: there is no parameter $1
        "#]],
    );
}

#[test]
fn small_functions() {
    check(
        "CREATE TABLE t (a int, b text);
         INSERT INTO t VALUES (1, 'x'), (2, NULL);
         SELECT json_agg(a ORDER BY a DESC), jsonb_object_agg(a, b), json_object_agg(b, a) FILTER (WHERE b = 'x') FROM t;
         SELECT jsonb_object_agg(a, b) FROM t WHERE false;
         SELECT json_object_agg(b, a) FROM t;
         SELECT array_dims(array[1,2,3]), array_dims('{}'::int[]), array_dims(null::int[]);
         SELECT make_interval(days => 10, secs => 1.5), make_interval(1,2,3,4,5,6,7.25), make_interval(), make_interval(1, months => 3);
         SELECT make_interval(dayz => 10);
         SELECT make_interval(days => 10, 3);
         SELECT make_interval(years => 2147483647);
         SELECT json_typeof('[1]'), json_array_length('[1, 2]'), json_extract_path('{\"a\": 2}', 'a'), json_strip_nulls('{\"a\": null}');
         SELECT json_array_elements_text('[1, \"b\"]');
         SELECT * FROM json_array_elements('[1]');",
        expect![[r#"
            CREATE TABLE
            INSERT 0 2
            json_agg | jsonb_object_agg | json_object_agg
            [2, 1] | {"1": "x", "2": null} | { "x" : 1 }
            jsonb_object_agg
            NULL
            ERROR 22023: field name must not be null
            array_dims | array_dims | array_dims
            [1:3] | NULL | NULL
            make_interval | make_interval | make_interval | make_interval
            10 days 00:00:01.5 | 1 year 2 mons 25 days 05:06:07.25 | 00:00:00 | 1 year 3 mons
            ERROR 42883: function make_interval(dayz => …) does not exist
            ERROR 42601: positional argument cannot follow named argument
            ERROR 22008: interval out of range
            json_typeof | json_array_length | json_extract_path | json_strip_nulls
            array | 2 | 2 | {}
            json_array_elements_text
            1
            b
            value
            1
        "#]],
    );
}
/// A chain is parsed in a loop and planned recursively: too long a one must be refused, and the
/// longest that is not must run, also on a small stack.
#[test]
fn deep_statements_are_refused_before_they_overflow_a_stack() {
    let small_stack = std::thread::Builder::new().stack_size(2 << 20);
    let run = || {
        let db = super::support::Db::new();
        let mut s = db.session();
        s.ok("CREATE TABLE t AS SELECT 1 AS a");
        let chain = |what: &str, with: &str, n: usize| vec![what; n].join(with);
        let mut out = String::new();
        for n in [200, 5_000] {
            out += &s.run(&format!("SELECT {} AS n FROM t", chain("a", "+", n)));
            out += &s.run(&format!(
                "SELECT count(*) FROM t WHERE {}",
                chain("a = 0", " OR ", n / 2)
            ));
            out += &s.run(&format!("SELECT {}1 AS n", chain("- ", "", n / 50)));
            out += &s.run(&format!(
                "SELECT count(*) FROM ({}) u",
                chain("SELECT 1", " UNION ALL ", n / 8)
            ));
        }
        out += &s.run(&format!(
            "SELECT count(*) FROM t WHERE a IN ({})",
            chain("7", ",", 1_000)
        ));
        out
    };
    let out = small_stack.spawn(run).unwrap().join().unwrap();
    expect![[r#"
        n
        200
        count
        0
        n
        1
        count
        25
        ERROR 54001: stack depth limit exceeded
        HINT: An expression may chain and nest 250 operators. Use IN (…), VALUES or ANY (array) for long lists.
        ERROR 54001: stack depth limit exceeded
        HINT: An expression may chain and nest 250 operators. Use IN (…), VALUES or ANY (array) for long lists.
        n
        1
        ERROR 54001: stack depth limit exceeded
        HINT: An expression may chain and nest 250 operators. Use IN (…), VALUES or ANY (array) for long lists.
        count
        0
    "#]].assert_eq(&out);
}

/// What begins with a prefix stands together in an index and in zone maps. A subquery that no condition
/// reaches into makes use of neither, and must give the same rows.
#[test]
fn patterns_with_a_prefix_read_a_range() {
    const APART: &str = "(SELECT * FROM words LIMIT 1000000000) w";
    let db = Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE words (id int PRIMARY KEY, s text, n int, c char(6))");
    s.ok(
        "INSERT INTO words SELECT i, chr(97 + i % 26) || chr(97 + i / 26 % 26) || i, i, chr(97 + i % 26) || 'b'
         FROM generate_series(1, 2000) i",
    );
    s.ok(
        r"INSERT INTO words VALUES (3001, '', 1, ''), (3002, 'ab', 1, 'ab'), (3003, 'ab%', 1, 'ab%'),
          (3004, 'ab_c', 1, 'ab_c'), (3005, 'ab\', 1, 'ab\'), (3006, 'abé', 1, 'abé'), (3007, NULL, NULL, NULL),
          (3008, 'ab' || chr(1114111), 1, 'ab'), (3009, 'ac', 1, 'ac'), (3010, 'AB', 1, 'AB'),
          (3011, chr(1114111), 1, ''), (3012, chr(1114111) || 'x', 1, '')",
    );
    let patterns = [
        "ab%",
        "ab",
        "ab_",
        "ab_%",
        "a%",
        "%",
        "",
        "_b%",
        r"ab\%",
        r"ab\%%",
        r"ab\\",
        "abé%",
        "ab%c",
        "zz%",
        "\u{10ffff}%",
        "ab\u{10ffff}%",
    ];
    let mut check = |what: &str| {
        for pattern in patterns {
            for column in ["s", "c"] {
                let ids = |of: &str| {
                    format!("SELECT id FROM {of} WHERE {column} LIKE '{pattern}' ORDER BY id")
                };
                let (found, same) = (s.ok(&ids("words")), s.ok(&ids(APART)));
                assert_eq!(found, same, "{what}: {column} LIKE '{pattern}'");
            }
        }
        for list in ["3, 1999, 7", "NULL, 5", "-1, 100000", "2000, 2000"] {
            let ids = |of: &str| format!("SELECT id FROM {of} WHERE n IN ({list}) ORDER BY id");
            let (found, same) = (s.ok(&ids("words")), s.ok(&ids(APART)));
            assert_eq!(found, same, "{what}: IN ({list})");
        }
        for condition in [
            "s IN ('ab', 'ac')",
            "s IN ('ab', 'a', 'AB', 'zz', 'ac', NULL)",
            "s = 'ab' OR 'ac' = s",
            "s = 'ab' OR s = NULL",
            "s = 'ab' OR s IN ('a', 'ac') OR s = 'zz'",
            "s = 'ab' OR n = 3",
            "s = 'ab' OR s > 'word1'",
            "s = c OR s = 'ab'",
            "(n = 5 OR n = 7) AND (n = 7 OR n = 9)",
            "n = 5 OR n IS NULL",
            "s = 'ab' OR s LIKE 'ac%'",
        ] {
            let ids = |of: &str| format!("SELECT id FROM {of} WHERE {condition} ORDER BY id");
            let (found, same) = (s.ok(&ids("words")), s.ok(&ids(APART)));
            assert_eq!(found, same, "{what}: {condition}");
        }
    };
    check("in memory");
    db.session().ok("CHECKPOINT");
    check("in a segment");
    db.session().ok("CREATE INDEX by_s ON words (s)");
    check("with an index");
    let mut s = db.session();
    let plan = s.ok("EXPLAIN SELECT id, n FROM words WHERE s LIKE 'ab%'");
    assert!(plan.contains("by_s"), "{plan}");
    let plan = s.ok("EXPLAIN SELECT id, n FROM words WHERE s LIKE '%b'");
    assert!(!plan.contains("by_s"), "{plan}");
    for (condition, by_index) in [
        ("s IN ('ab', 'ac')", true),
        ("s = 'ab' OR 'ac' = s", true),
        ("s = 'ab' OR n = 3", false),
        ("s = 'ab' OR s > 'word1'", false),
    ] {
        let plan = s.ok(&format!(
            "EXPLAIN SELECT id, n FROM words WHERE {condition}"
        ));
        assert_eq!(plan.contains("by_s"), by_index, "{condition}: {plan}");
    }
    s.ok("PREPARE two (text, text) AS SELECT count(*) FROM words WHERE s IN ($1, $2)");
    for (a, b) in [("'ab'", "'ac'"), ("NULL", "'ab'"), ("NULL", "NULL")] {
        let found = s.ok(&format!("EXECUTE two ({a}, {b})"));
        let same = s.ok(&format!(
            "SELECT count(*) FROM {APART} WHERE s IN ({a}, {b})"
        ));
        assert_eq!(found, same, "{a} {b}");
    }
    s.ok("PREPARE p (text) AS SELECT count(*) FROM words WHERE s LIKE $1");
    for pattern in ["ab%", "%", "b%"] {
        let found = s.ok(&format!("EXECUTE p ('{pattern}')"));
        let same = s.ok(&format!(
            "SELECT count(*) FROM {APART} WHERE s LIKE '{pattern}'"
        ));
        assert_eq!(found, same, "{pattern}");
    }
}
