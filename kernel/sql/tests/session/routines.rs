//! Functions of users: what survives a restart, what a dump has of them, and what they do to statements around
//! them. What they mean is in the script `functions.sql`.

use heliosdb_sql::Value;
use heliosdb_sql::error::state;
use heliosdb_sql::types::PgType;

use crate::support::Db;

const WORLD: &str = "
    CREATE TABLE log (id serial PRIMARY KEY, what text);
    CREATE FUNCTION note(what text) RETURNS int LANGUAGE sql AS
        'INSERT INTO log (what) VALUES (note.what) RETURNING id';
    CREATE FUNCTION half(n int, OUT a int, OUT b int) LANGUAGE sql IMMUTABLE AS 'SELECT n / 2, n - n / 2';
    CREATE PROCEDURE wipe() LANGUAGE sql AS 'DELETE FROM log';
    CREATE VIEW halves AS SELECT x, h.a, h.b FROM generate_series(1, 3) x, half(x) h;
    COMMENT ON FUNCTION note(text) IS 'writes';
    REVOKE EXECUTE ON FUNCTION note(text) FROM PUBLIC;";

#[test]
fn they_survive_a_restart() {
    let db = Db::new();
    let mut session = db.session();
    session.ok(WORLD);
    session.ok("SELECT note('before')");
    drop(session);
    let db = db.reopen();
    let mut session = db.session();
    for (sql, expected) in [
        ("SELECT note('after') > 1", "?column?\nt\n"),
        (
            "SELECT * FROM halves",
            "x | a | b\n1 | 0 | 1\n2 | 1 | 1\n3 | 1 | 2\n",
        ),
        ("CALL wipe()", "CALL\n"),
        ("SELECT count(*) FROM log", "count\n0\n"),
        (
            "SELECT obj_description('note'::regproc, 'pg_proc')",
            "obj_description\nwrites\n",
        ),
        (
            "SELECT proacl::text FROM pg_proc WHERE proname = 'note'",
            "proacl\n{helios=X/helios}\n",
        ),
    ] {
        assert_eq!(session.ok(sql), expected, "{sql}");
    }
}

/// What a dump says of them is what an import is held against.
#[test]
fn a_dump_describes_them() {
    let db = Db::new();
    db.session().ok(WORLD);
    let view = db.instance.engine().visible_view();
    let described = db.instance.describe(&view, "lite", None).unwrap();
    let routines = described.objects.iter();
    let routines = routines.filter(|o| matches!(o.kind.as_str(), "function" | "procedure"));
    let found: Vec<_> = routines
        .map(|o| (o.name.as_str(), o.comment.as_deref()))
        .collect();
    assert_eq!(
        found,
        [
            ("public.half(integer)", None),
            ("public.note(text)", Some("writes")),
            ("public.wipe()", None),
        ]
    );
    let note = described
        .objects
        .iter()
        .find(|o| o.name == "public.note(text)")
        .unwrap();
    for part in [
        "RETURNS integer",
        "INSERT INTO log",
        "PRIVILEGES helios=X/helios",
    ] {
        assert!(note.definition.contains(part), "{}", note.definition);
    }
}

/// What a function wrote goes with the statement, the savepoint or the transaction that it was called in.
#[test]
fn what_they_write_is_the_statements() {
    let db = Db::new();
    let mut session = db.session();
    session.ok(WORLD);
    let failed =
        session.run("SELECT note('lost'), 1 / (SELECT count(*) FROM log WHERE what = 'none')");
    assert!(
        failed.contains(state::DIVISION_BY_ZERO.as_str()),
        "{failed}"
    );
    session.ok(
        "BEGIN; SAVEPOINT s; SELECT note('undone'); ROLLBACK TO s; SELECT note('kept'); COMMIT",
    );
    assert_eq!(session.ok("SELECT what FROM log"), "what\nkept\n");
    // Another session sees nothing before the commit.
    let mut other = db.session();
    session.ok("BEGIN; SELECT note('open')");
    assert_eq!(other.ok("SELECT count(*) FROM log"), "count\n1\n");
    session.ok("COMMIT");
    assert_eq!(other.ok("SELECT count(*) FROM log"), "count\n2\n");
}

/// A function that calls itself for ever ends with an error, and the session goes on.
#[test]
fn recursion_has_an_end() {
    let db = Db::new();
    let mut session = db.session();
    session.ok("SET check_function_bodies = off");
    session.ok("CREATE FUNCTION down(n int) RETURNS int LANGUAGE sql AS 'SELECT down(n + 1)'");
    session.ok("CREATE FUNCTION sum_to(n int) RETURNS int LANGUAGE sql AS 'SELECT CASE WHEN n = 0 THEN 0 ELSE n + sum_to(n - 1) END'");
    assert_eq!(session.ok("SELECT sum_to(40)"), "sum_to\n820\n");
    let failed = session.run("SELECT down(1)");
    assert!(
        failed.contains(state::STATEMENT_TOO_COMPLEX.as_str()),
        "{failed}"
    );
    assert_eq!(session.ok("SELECT sum_to(3)"), "sum_to\n6\n");
}

/// Plans are made again when what a body names has changed.
#[test]
fn bodies_follow_the_catalog() {
    let db = Db::new();
    let mut session = db.session();
    session.ok("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    session.ok("CREATE FUNCTION f() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(a) FROM t'");
    session.ok("PREPARE p AS SELECT f()");
    assert_eq!(session.ok("EXECUTE p"), "f\n1\n");
    session.ok("ALTER TABLE t ALTER COLUMN a TYPE bigint; UPDATE t SET a = 5000000000");
    assert_eq!(session.ok("EXECUTE p"), "f\n5000000000\n");
    session.ok(
        "CREATE OR REPLACE FUNCTION f() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 7::bigint'",
    );
    assert_eq!(session.ok("EXECUTE p"), "f\n7\n");
    session.ok("DROP FUNCTION f()");
    let failed = session.run("EXECUTE p");
    assert!(
        failed.contains(state::UNDEFINED_FUNCTION.as_str()),
        "{failed}"
    );
}

/// Calls that never end listen to a timeout.
#[test]
fn recursion_can_be_cancelled() {
    let db = Db::new();
    let mut session = db.session();
    session.ok("SET check_function_bodies = off");
    session.ok("CREATE FUNCTION fib(n int) RETURNS int LANGUAGE sql AS 'SELECT CASE WHEN n < 2 THEN n ELSE fib(n - 1) + fib(n - 2) END'");
    session.ok("SET statement_timeout = '100ms'");
    let failed = session.run("SELECT fib(60)");
    assert!(failed.contains(state::QUERY_CANCELED.as_str()), "{failed}");
    session.ok("SET statement_timeout = 0");
    assert_eq!(session.ok("SELECT fib(10)"), "fib\n55\n");
}

/// Rows of a function are of the memory of queries.
#[test]
fn rows_of_a_function_have_a_limit() {
    let db = Db::within(32 << 20);
    let mut session = db.session();
    session.ok("CREATE FUNCTION n(bigint) RETURNS SETOF bigint LANGUAGE sql AS 'SELECT * FROM generate_series(1, $1)'");
    let failed = session.run("SELECT count(*) FROM n(40000000)");
    assert!(failed.contains(state::OUT_OF_MEMORY.as_str()), "{failed}");
    assert_eq!(session.ok("SELECT count(*) FROM n(1000)"), "count\n1000\n");
}

/// EXPLAIN ANALYZE runs what is written, too.
#[test]
fn explain_analyze_lends() {
    let db = Db::new();
    let mut session = db.session();
    session.ok(WORLD);
    session.ok("EXPLAIN ANALYZE SELECT note('x')");
    assert_eq!(session.ok("SELECT what FROM log"), "what\nx\n");
}

/// A statement of a function that runs on the threads of queries needs none of them.
#[test]
fn unions_of_calls_of_unions_end() {
    let db = Db::new();
    let mut session = db.session();
    session.ok("CREATE TABLE t (a int); INSERT INTO t SELECT i FROM generate_series(1, 50) g(i)");
    session.ok("CREATE FUNCTION f(int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM (SELECT a FROM t WHERE a = $1 UNION ALL SELECT a FROM t) x'");
    let parts = ["SELECT f(a) AS n FROM t"; 8].join(" UNION ALL ");
    let all = session.ok(&format!("SELECT count(*), min(n), max(n) FROM ({parts}) x"));
    assert_eq!(all, "count | min | max\n400 | 51 | 51\n");
}

/// Who listens is told what a function with its owner's rights notifies of.
#[test]
fn a_definer_notifies() {
    let db = Db::new();
    let (mut listener, mut session) = (db.session(), db.session());
    listener.ok("LISTEN ch");
    session.ok("CREATE FUNCTION tell(m text) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ SELECT pg_notify('ch', m) $$");
    session.ok("SELECT tell('hello')");
    let told = listener.0.take_notifications();
    let told: Vec<_> = told.iter().map(|n| n.payload.as_str()).collect();
    assert_eq!(told, ["hello"]);
}

/// As drivers do it: by Parse, Describe, Bind and Execute.
#[test]
fn a_procedure_is_called_with_parameters() {
    let db = Db::new();
    let mut session = db.session();
    session.ok("CREATE TABLE log (what text);
         CREATE PROCEDURE note(what text) LANGUAGE sql AS 'INSERT INTO log VALUES (what)';
         CREATE PROCEDURE twice(INOUT n int, INOUT t text) LANGUAGE sql AS 'SELECT n * 2, t || t'");
    let text = |text: &str| Value::Text(text.to_owned());
    let note = session.0.prepare("CALL note($1)", &[]).unwrap();
    assert_eq!(note.param_types, [PgType::Text]);
    assert!(note.columns.is_none());
    for what in ["a", "b"] {
        let outcome = session.0.execute_prepared(&note, &[text(what)]).unwrap();
        assert_eq!(session.print(outcome), "CALL\n");
    }
    let twice = session.0.prepare("CALL twice($1, $2)", &[]).unwrap();
    assert_eq!(twice.param_types, [PgType::Int4, PgType::Text]);
    let columns = twice.columns.clone().unwrap();
    let columns: Vec<_> = columns.iter().map(|c| (c.name.as_str(), &c.ty)).collect();
    assert_eq!(columns, [("n", &PgType::Int4), ("t", &PgType::Text)]);
    let outcome = session.0.execute_prepared(&twice, &[text("21"), text("x")]);
    let outcome = outcome.unwrap();
    assert_eq!(session.print(outcome), "n | t\n42 | xx\nCALL\n");
    // One that is planned still calls what has the name now.
    session.ok("CREATE OR REPLACE PROCEDURE note(what text) LANGUAGE sql AS
             'INSERT INTO log VALUES (what || ''!'')'");
    let outcome = session.0.execute_prepared(&note, &[text("c")]).unwrap();
    assert_eq!(session.print(outcome), "CALL\n");
    assert_eq!(
        session.ok("SELECT what FROM log ORDER BY what"),
        "what\na\nb\nc!\n"
    );
}

/// What a star stands for is found once for each subquery.
#[test]
fn stars_of_nested_subqueries_are_planned() {
    let plan = || {
        let db = Db::new();
        let mut session = db.session();
        session.ok("CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 10), (2, 20)");
        let mut nested = "t".to_owned();
        for depth in 0..30 {
            nested = format!("(SELECT * FROM {nested}) AS s{depth}");
        }
        session.ok(&format!(
            "CREATE FUNCTION deep(a int, c int) RETURNS bigint LANGUAGE sql AS
                 'SELECT sum(b + c) FROM {nested} WHERE a >= deep.a'"
        ));
        assert_eq!(session.ok("SELECT deep(2, 1)"), "deep\n21\n");
    };
    // More than a thread of tests has.
    let thread = std::thread::Builder::new().stack_size(256 << 20);
    thread.spawn(plan).unwrap().join().unwrap();
}
