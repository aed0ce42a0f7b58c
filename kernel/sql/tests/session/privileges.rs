//! Privileges and row security beyond what scripts of one session show: over restarts, in dumps, in sessions that
//! are open, and where this database reads rows in ways of its own.

use expect_test::expect;
use heliosdb_sql::error::state;

use crate::support::Db;

/// Two roles, a table of both with a policy, and one of which a role may read a column.
const SETUP: &str = "
    CREATE ROLE ann LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE staff NOLOGIN;
    GRANT staff TO bob;
    CREATE TABLE notes (id int PRIMARY KEY, who text, body text);
    INSERT INTO notes VALUES (1, 'ann', 'a'), (2, 'bob', 'b');
    ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON notes USING (who = current_user);
    GRANT SELECT, INSERT, UPDATE ON notes TO ann, bob;
    CREATE TABLE pay (id int, amount int);
    INSERT INTO pay VALUES (1, 100);
    GRANT SELECT (id) ON pay TO staff;
    ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO staff";

/// What each role sees.
fn seen(db: &Db) -> String {
    let mut out = String::new();
    for role in ["ann", "bob"] {
        let mut session = db.session_of(role);
        out += &session.run("SELECT id FROM notes; SELECT id FROM pay; SELECT amount FROM pay");
    }
    out
}

const SEEN: &str = "id
1
ERROR 42501: permission denied for table pay
ERROR 42501: permission denied for table pay
id
2
id
1
ERROR 42501: permission denied for table pay
";

#[test]
fn they_survive_a_restart() {
    let db = Db::new();
    db.session().ok(SETUP);
    assert_eq!(seen(&db), SEEN);
    let db = db.reopen();
    assert_eq!(seen(&db), SEEN);
    let mut root = db.session();
    root.ok("CREATE TABLE later (i int)");
    assert_eq!(db.session_of("bob").run("SELECT * FROM later"), "i\n");
}

/// A plan is no one else's, and none of a time when more was allowed.
#[test]
fn plans_are_made_again_when_rights_change() {
    let db = Db::new();
    let mut root = db.session();
    root.ok(SETUP);
    root.ok("GRANT SELECT ON pay TO ann");
    let mut ann = db.session_of("ann");
    ann.ok("PREPARE p AS SELECT amount FROM pay WHERE id = 1");
    for _ in 0..3 {
        assert_eq!(ann.run("EXECUTE p"), "amount\n100\n");
        assert_eq!(
            ann.run("SELECT amount FROM pay WHERE id = 1"),
            "amount\n100\n"
        );
    }
    root.ok("REVOKE SELECT ON pay FROM ann");
    let denied = "ERROR 42501: permission denied for table pay\n";
    assert_eq!(ann.run("EXECUTE p"), denied);
    assert_eq!(ann.run("SELECT amount FROM pay WHERE id = 1"), denied);
    // The same text as another role, in one session.
    for _ in 0..3 {
        assert_eq!(root.run("SELECT id FROM notes WHERE id = 2"), "id\n2\n");
    }
    root.ok("SET ROLE ann");
    assert_eq!(root.run("SELECT id FROM notes WHERE id = 2"), "id\n");
    root.ok("RESET ROLE; ALTER ROLE ann SUPERUSER");
    assert_eq!(ann.run("EXECUTE p"), "amount\n100\n");
    root.ok("ALTER ROLE ann NOSUPERUSER");
    assert_eq!(ann.run("EXECUTE p"), denied);
}

/// The past is seen by the policies of now, and what would go round them is refused.
#[test]
fn ways_of_our_own_do_not_go_round_policies() {
    let db = Db::new();
    let mut root = db.session();
    root.ok(SETUP);
    root.ok("UPDATE notes SET who = 'bob' WHERE id = 1");
    let mut bob = db.session_of("bob");
    assert_eq!(
        bob.run("SELECT id FROM notes AS OF NOW ORDER BY id"),
        "id\n1\n2\n"
    );
    let mut ann = db.session_of("ann");
    assert_eq!(ann.run("SELECT id FROM notes AS OF NOW"), "id\n");
    let refused = ann.run("SELECT * FROM helios_changes('notes', 0)");
    assert!(
        refused.starts_with(&format!("ERROR {}", state::FEATURE_NOT_SUPPORTED.as_str())),
        "{refused}"
    );
    let refused = ann.run(
        "MERGE INTO notes USING (VALUES (1)) AS v (id) ON notes.id = v.id
         WHEN MATCHED THEN UPDATE SET body = 'x'",
    );
    assert!(refused.contains("row-level security"), "{refused}");
    let denied = ann.run("SELECT amount FROM pay AS OF NOW");
    assert_eq!(denied, "ERROR 42501: permission denied for table pay\n");
    let denied = ann.run("SELECT * FROM helios_changes('pay', 0)");
    assert_eq!(denied, "ERROR 42501: permission denied for table pay\n");
    // Statements that write, in WITH.
    let denied = ann.run("WITH w AS (UPDATE pay SET amount = 0 RETURNING *) SELECT * FROM w");
    assert_eq!(denied, "ERROR 42501: permission denied for table pay\n");
    let none = ann.run("WITH w AS (UPDATE notes SET body = '' RETURNING id) SELECT * FROM w");
    assert_eq!(none, "id\n");
}

/// What fails in a condition of the statement fails for no row that is hidden, by whatever way it is read.
#[test]
fn a_condition_tells_nothing_of_hidden_rows() {
    let db = Db::new();
    let mut root = db.session();
    root.ok(SETUP);
    root.ok("CREATE INDEX ON notes (who); UPDATE notes SET body = '0' WHERE id = 1");
    let mut ann = db.session_of("ann");
    for condition in [
        "body::int = 0",
        "1 / (id - 2) < 0",
        "id IN (1, 2) AND 1 / (id - 2) < 0",
        "body::int = 0 AND who > ''",
    ] {
        assert_eq!(
            ann.run(&format!("SELECT id FROM notes WHERE {condition}")),
            "id\n1\n",
            "{condition}"
        );
    }
    let joined = ann
        .run("SELECT a.id FROM notes AS a JOIN notes AS b ON a.id = b.id AND 1 / (b.id - 2) < 0");
    assert_eq!(joined, "id\n1\n");
}

#[test]
fn a_database_lets_in_whom_it_may() {
    let db = Db::new();
    let mut root = db.session();
    root.ok(SETUP);
    root.ok("REVOKE CONNECT, TEMPORARY ON DATABASE helios FROM PUBLIC");
    let options = heliosdb_sql::SessionOptions {
        user: "ann".to_owned(),
        database: "helios".to_owned(),
        ..Default::default()
    };
    let refused = db.instance.session(options).unwrap_err();
    assert_eq!(refused.code, state::INSUFFICIENT_PRIVILEGE);
    assert_eq!(refused.message, "permission denied for database helios");
    root.ok("GRANT CONNECT ON DATABASE helios TO ann; SET ROLE ann");
    assert_eq!(
        root.run("CREATE TEMP TABLE t (i int)"),
        "ERROR 42501: permission denied to create temporary tables in database \"helios\"\n"
    );
    root.ok("RESET ROLE; GRANT TEMPORARY ON DATABASE helios TO ann, bob; SET ROLE ann");
    root.ok("CREATE TEMP TABLE t (i int); SET ROLE bob; CREATE TEMP TABLE u (i int)");
    let denied = root.run("SELECT * FROM t");
    assert_eq!(denied, "ERROR 42501: permission denied for table t\n");
    assert_eq!(db.session_of("ann").run("SELECT 1 AS a"), "a\n1\n");
}

/// Every right is in what a dump says of its objects, so that an import that lost one is found out.
#[test]
fn a_dump_tells_of_every_right() {
    let db = Db::new();
    db.session().ok(SETUP);
    db.session().ok(
        "CREATE ROLE audit BYPASSRLS; ALTER TABLE notes FORCE ROW LEVEL SECURITY;
         CREATE POLICY short ON notes AS RESTRICTIVE FOR INSERT TO ann WITH CHECK (length(body) < 9);
         GRANT USAGE ON SCHEMA public TO ann WITH GRANT OPTION",
    );
    let view = db.instance.engine().visible_view();
    let described = db.instance.describe(&view, "lite", None).unwrap();
    let mut out = String::new();
    for object in described.objects {
        let mut lines = object.definition.lines();
        let kept = lines.by_ref().filter(|line| {
            let first = line.split(' ').next().unwrap_or_default();
            matches!(
                first,
                "PRIVILEGES" | "MEMBER" | "DEFAULT" | "ROW" | "POLICY"
            ) || line.contains("BYPASSRLS")
        });
        for line in kept {
            out += &format!("{} {}: {line}\n", object.kind, object.name);
        }
    }
    expect![[r#"
        role audit: CREATE ROLE audit WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN BYPASSRLS
        role bob: MEMBER OF staff BY helios
        role helios: DEFAULT PRIVILEGES r helios=arwdDxt/helios, staff=r/helios
        schema public: PRIVILEGES helios=UC/helios, =U/helios, ann=U*/helios
        table public.notes: ROW LEVEL SECURITY FORCED
        table public.notes: POLICY own AS PERMISSIVE FOR ALL TO PUBLIC USING (who = current_user)
        table public.notes: POLICY short AS RESTRICTIVE FOR INSERT TO ann WITH CHECK (length(body) < 9)
        table public.notes: PRIVILEGES helios=arwdDxt/helios, ann=arw/helios, bob=arw/helios
        table public.pay: PRIVILEGES (column 1) staff=r/helios
    "#]]
    .assert_eq(&out);
}

/// What was found by reading the code, each with the script that showed it.
#[test]
fn no_statement_goes_round_what_was_granted() {
    let db = Db::new();
    let mut root = db.session();
    root.ok(
        "CREATE ROLE maker LOGIN CREATEROLE; CREATE ROLE d LOGIN; CREATE ROLE other LOGIN;
         CREATE TABLE t (id int PRIMARY KEY, secret text); INSERT INTO t VALUES (1, 'x');
         GRANT DELETE, TRUNCATE, UPDATE (id), REFERENCES (secret) ON t TO d;
         GRANT CREATE ON SCHEMA public TO d;
         CREATE TABLE s (id serial); GRANT TRUNCATE ON s TO d;
         CREATE SCHEMA p; CREATE TABLE p.t (a int); GRANT SELECT ON p.t TO d",
    );
    let mut maker = db.session_of("maker");
    assert_eq!(
        maker.run("CREATE ROLE evil LOGIN IN ROLE helios"),
        "ERROR 42501: must be superuser to alter superusers\n"
    );
    let mut d = db.session_of("d");
    let denied = "ERROR 42501: permission denied for table t\n";
    for statement in [
        "DELETE FROM t RETURNING *",
        "DELETE FROM t RETURNING t.*",
        "DELETE FROM t AS u RETURNING u.*",
        "UPDATE t SET id = 1 RETURNING t.*",
        "WITH w AS (DELETE FROM t RETURNING t.*) SELECT * FROM w",
        "SELECT * FROM \"$lock\".public.t",
        "CREATE TABLE c (x int REFERENCES t)",
        "LOCK TABLE t IN ACCESS SHARE MODE",
    ] {
        d.run("ROLLBACK; BEGIN");
        let out = d.run(statement);
        assert!(
            out == denied || out.starts_with("ERROR 0A000"),
            "{statement}: {out}"
        );
    }
    d.run("ROLLBACK");
    let other_query =
        "WITH t AS (SELECT 0 AS id, '' AS secret) SELECT id, secret FROM t FOR UPDATE";
    // What WITH gives has the name alone, and no rows to lock.
    assert_eq!(d.run(other_query), "id | secret\n0 | \n");
    assert_eq!(
        d.run("TRUNCATE s RESTART IDENTITY"),
        "ERROR 42501: must be owner of sequence s_id_seq\n"
    );
    assert_eq!(
        d.run("CREATE SEQUENCE q OWNED BY s.id"),
        "ERROR 55000: sequence must have same owner as table it is linked to\n"
    );
    assert_eq!(
        d.run("SELECT * FROM helios_changes('p.t', 0)"),
        "ERROR 42501: permission denied for schema p\n"
    );
    // SET LOCAL ROLE ends with the transaction, and not with more than there was.
    let mut session = db.session();
    session.ok("BEGIN; SET LOCAL ROLE d; SET SESSION AUTHORIZATION other; COMMIT");
    assert_eq!(
        session.run("SELECT session_user, current_user"),
        "session_user | current_user\nother | other\n"
    );
    assert!(session.run("SELECT * FROM t").contains("42501"));
}

/// A right that nothing asks for is not granted, nor taken away.
#[test]
fn rights_that_would_mean_nothing_are_refused() {
    let db = Db::new();
    let mut root = db.session();
    root.ok("CREATE ROLE r; CREATE TYPE mood AS ENUM ('ok')");
    for statement in [
        "ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC",
        "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA pg_catalog FROM PUBLIC",
        "REVOKE EXECUTE ON FUNCTION lower(text) FROM PUBLIC",
        "REVOKE USAGE ON TYPE mood FROM PUBLIC",
    ] {
        let out = root.run(statement);
        assert!(out.starts_with("ERROR 0A000"), "{statement}: {out}");
    }
    // There are none to grant it on.
    root.ok("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO r");
}

/// DDL moves and checks all rows, seen or not.
#[test]
fn ddl_looks_behind_policies() {
    let db = Db::new();
    let mut root = db.session();
    root.ok("CREATE ROLE o LOGIN; GRANT CREATE ON SCHEMA public TO o");
    let mut owner = db.session_of("o");
    owner.ok("CREATE TABLE f (id int PRIMARY KEY, n int);
         INSERT INTO f SELECT g, g FROM generate_series(1, 5) AS g;
         ALTER TABLE f ENABLE ROW LEVEL SECURITY; ALTER TABLE f FORCE ROW LEVEL SECURITY;
         CREATE POLICY p ON f USING (id < 3);
         ALTER TABLE f ALTER n TYPE bigint; CLUSTER f USING f_pkey");
    assert_eq!(owner.run("SELECT count(*) FROM f"), "count\n2\n");
    assert_eq!(root.run("SELECT count(*) FROM f"), "count\n5\n");
    owner.ok("CREATE DOMAIN d AS int; ALTER TABLE f ADD COLUMN v d");
    root.ok("UPDATE f SET v = -1 WHERE id = 5");
    let violated = owner.run("ALTER DOMAIN d ADD CHECK (VALUE > 0)");
    assert!(violated.starts_with("ERROR 23514"), "{violated}");
}

/// Types that policies name keep their names there.
#[test]
fn policies_follow_the_types_that_they_name() {
    let db = Db::new();
    let mut root = db.session();
    root.ok(
        "CREATE ROLE r LOGIN; CREATE TYPE mood AS ENUM ('ok', 'bad');
         CREATE TABLE m (s mood, t text); INSERT INTO m VALUES ('ok', 'ok'), ('bad', 'bad');
         ALTER TABLE m ENABLE ROW LEVEL SECURITY; GRANT SELECT ON m TO r;
         CREATE POLICY p ON m USING (s = 'ok' AND t::mood = 'ok'::mood);
         ALTER TYPE mood RENAME VALUE 'bad' TO 'worse'; ALTER TYPE mood RENAME TO feeling",
    );
    root.ok("UPDATE m SET t = 'ok'");
    assert_eq!(db.session_of("r").run("SELECT s FROM m"), "s\nok\n");
    let refused = root.run("DROP TYPE feeling");
    assert!(refused.contains("policy p on table m"), "{refused}");
}
