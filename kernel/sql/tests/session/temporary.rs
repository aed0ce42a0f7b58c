//! Temporary tables are their session's, and gone with it. What they do is compared with PostgreSQL
//! (`scripts/temporary.sql`).

use super::dump;
use super::support::Db;

const SCHEMAS: &str = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg\\_temp\\_%'";
const OF_OTHERS: &str = "ERROR 0A000: cannot access temporary tables of other sessions\n";

#[test]
fn sessions_have_their_own() {
    let db = Db::new();
    let (mut a, mut b) = (db.session(), db.session());
    a.ok("CREATE TABLE t (id int); INSERT INTO t VALUES (0)");
    let by_key = "SELECT id FROM t WHERE id = 1";
    assert_eq!(b.run(by_key), "id\n");
    a.ok("CREATE TEMP TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    assert_eq!(b.run("SELECT * FROM t"), "id\n0\n");
    b.ok("CREATE TEMP TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)");
    assert_eq!(a.run("SELECT count(*) FROM t"), "count\n1\n");
    assert_eq!(a.run(by_key), "id\n1\n");
    assert_eq!(b.run("SELECT count(*) FROM t"), "count\n2\n");
    let schema = a.run("SELECT pg_my_temp_schema()::regnamespace");
    let schema = schema.lines().nth(1).unwrap();
    for statement in [
        "SELECT * FROM {}.t",
        "INSERT INTO {}.t VALUES (3)",
        "DROP TABLE {}.t",
        "ALTER TABLE {}.t ADD COLUMN x int",
        "TRUNCATE {}.t",
        "CREATE VIEW v AS SELECT * FROM {}.t",
    ] {
        assert_eq!(
            b.run(&statement.replace("{}", schema)),
            OF_OTHERS,
            "{statement}"
        );
    }
    a.ok("CREATE TEMP SEQUENCE q; CREATE TEMP TABLE only_here (id int)");
    for call in ["nextval('{}.q')", "setval('{}.q', 9)", "currval('{}.q')"] {
        let call = format!("SELECT {}", call.replace("{}", schema));
        assert_eq!(b.run(&call), OF_OTHERS, "{call}");
    }
    assert_eq!(b.run(&format!("COPY {schema}.t TO STDOUT")), OF_OTHERS);
    b.ok(&format!("SET search_path = {schema}, public"));
    assert_eq!(b.run("INSERT INTO only_here VALUES (9)"), OF_OTHERS);
    b.ok("RESET search_path");
    let made = b.run(&format!("CREATE TABLE {schema}.u (id int)"));
    assert!(made.starts_with("ERROR 42P16"), "{made}");
    let dropped = b.run(&format!("DROP SCHEMA {schema} CASCADE"));
    assert!(dropped.starts_with("ERROR 2BP01"), "{dropped}");
    let shown = "SELECT count(*) FROM information_schema.columns WHERE table_name = 't'";
    assert_eq!(b.run(shown), "count\n2\n");
}

#[test]
fn they_end_with_their_session() {
    let db = Db::new();
    let mut other = db.session();
    let mut s = db.session();
    s.ok("CREATE TEMP TABLE t (id serial PRIMARY KEY); INSERT INTO t DEFAULT VALUES");
    s.ok("SET default_transaction_read_only = on; BEGIN; SELECT * FROM t");
    assert_eq!(other.run(SCHEMAS), "count\n1\n");
    drop(s);
    assert_eq!(other.run(SCHEMAS), "count\n0\n");
    // Who changes the catalog is not waited for: the next one to make such a schema drops it.
    let mut s = db.session();
    s.ok("CREATE TEMP TABLE t (id int)");
    other.ok("BEGIN; CREATE TABLE kept (id int)");
    drop(s);
    other.ok("COMMIT");
    assert_eq!(other.run(SCHEMAS), "count\n1\n");
    let mut next = db.session();
    next.ok("CREATE TEMP TABLE t (id int)");
    assert_eq!(other.run(SCHEMAS), "count\n1\n");
    assert_eq!(next.run("SELECT * FROM t"), "id\n");
    // One that does not commit has not dropped it.
    other.ok("BEGIN; CREATE TABLE more (id int)");
    drop(next);
    other.ok("ROLLBACK");
    let mut next = db.session();
    next.ok("BEGIN; CREATE TEMP TABLE t (id int); ROLLBACK");
    assert_eq!(other.run(SCHEMAS), "count\n1\n");
    next.ok("CREATE TEMP TABLE t (id int)");
    assert_eq!(other.run(SCHEMAS), "count\n1\n");
    // What nobody has dropped when the server ends goes with the next start.
    other.ok("BEGIN; CREATE TABLE late (id int)");
    drop(next);
    drop(other);
    let db = db.reopen();
    let mut s = db.session();
    assert_eq!(s.run(SCHEMAS), "count\n0\n");
    assert!(s.run("SELECT * FROM t").starts_with("ERROR 42P01"));
    s.ok("CREATE TEMP TABLE t (id int); SELECT * FROM kept");
    assert_eq!(s.run("SELECT * FROM t"), "id\n");
}

#[test]
fn they_are_in_no_dump() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE t (id int); INSERT INTO t VALUES (1)");
    let dump = |options: &str| {
        let dump = dump::read(dump::export(&mut db.session(), options), Vec::new());
        let manifest = dump.manifest();
        let tables = manifest.tables.iter().map(|t| (t.name.clone(), t.rows));
        let objects = manifest.objects.iter().map(|o| o.name.clone());
        (
            tables.collect::<Vec<_>>(),
            objects.collect::<Vec<_>>(),
            manifest.sequences.len(),
        )
    };
    let plain = dump("");
    let options = ["", "WITH (history)"];
    for sql in [
        "CREATE TEMP TABLE u (id serial PRIMARY KEY, CHECK (id > 0));
         INSERT INTO u SELECT FROM generate_series(1, 10);
         CREATE TEMP VIEW v AS SELECT * FROM u; CREATE TEMP SEQUENCE q;
         COMMENT ON COLUMN u.id IS 'gone'; COMMENT ON TABLE u IS 'gone'",
        "CHECKPOINT; DELETE FROM u",
    ] {
        s.ok(sql);
        assert_eq!(options.map(dump), [plain.clone(), plain.clone()], "{sql}");
    }
}
