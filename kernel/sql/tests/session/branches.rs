//! Sessions on branches: each branch has its rows, its tables and its last values of sequences; roles are the
//! database's.

use heliosdb_sql::SessionOptions;
use heliosdb_storage::ids::{TimelineId, Ts};

use super::support::{Client, Db};

/// A branch of what another one shows now.
fn branch(db: &Db, name: &str, from: &str) -> TimelineId {
    let engine = db.instance.engine();
    let from = engine.timeline(from).unwrap();
    let now: Ts = engine.latest_view_on(from).unwrap().ts();
    engine.create_timeline(name, from, now).unwrap()
}

fn on(db: &Db, branch: &str) -> Client {
    let mut session = db.session();
    session.ok(&format!("SET branch = '{branch}'"));
    session
}

#[test]
fn what_is_written_on_a_branch_stays_there() {
    let db = Db::new();
    let mut main = db.session();
    main.ok(
        "CREATE TABLE t (id serial PRIMARY KEY, n int UNIQUE); INSERT INTO t (n) VALUES (1), (2)",
    );
    branch(&db, "dev", "main");
    let mut dev = on(&db, "dev");
    assert_eq!(dev.ok("SHOW branch"), "branch\ndev\nSHOW\n");
    assert_eq!(
        dev.ok("SELECT * FROM t ORDER BY id"),
        "id | n\n1 | 1\n2 | 2\n"
    );
    dev.ok(
        "UPDATE t SET n = 10 WHERE id = 1; DELETE FROM t WHERE n = 2; INSERT INTO t (n) VALUES (3)",
    );
    main.ok("INSERT INTO t (n) VALUES (10), (3)");
    // One allocator, so no key is given twice.
    assert_eq!(
        dev.ok("SELECT * FROM t ORDER BY id"),
        "id | n\n1 | 10\n3 | 3\n"
    );
    assert_eq!(
        main.ok("SELECT * FROM t ORDER BY id"),
        "id | n\n1 | 1\n2 | 2\n4 | 10\n5 | 3\n"
    );
    assert_eq!(dev.ok("SELECT last_value FROM t_id_seq"), "last_value\n3\n");
    assert_eq!(
        main.ok("SELECT last_value FROM t_id_seq"),
        "last_value\n5\n"
    );
    assert!(
        dev.run("INSERT INTO t (n) VALUES (10)")
            .starts_with("ERROR 23505")
    );
    // By the key, and by the planner.
    for fast in ["on", "off"] {
        dev.ok(&format!("SET helios.fast_path = {fast}"));
        assert_eq!(dev.ok("SELECT n FROM t WHERE id = 1"), "n\n10\n");
    }
    branch(&db, "below", "dev");
    let mut below = on(&db, "below");
    below.ok("INSERT INTO t (n) VALUES (77)");
    assert_eq!(below.ok("SELECT count(*) FROM t"), "count\n3\n");
    assert_eq!(dev.ok("SELECT count(*) FROM t"), "count\n2\n");
    drop((main, dev, below));
    let db = db.reopen();
    assert_eq!(on(&db, "below").ok("SELECT count(*) FROM t"), "count\n3\n");
    assert_eq!(on(&db, "dev").ok("SELECT count(*) FROM t"), "count\n2\n");
    assert_eq!(db.session().ok("SELECT count(*) FROM t"), "count\n4\n");
}

#[test]
fn tables_of_a_branch_are_its_own() {
    let db = Db::new();
    let mut main = db.session();
    main.ok("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    branch(&db, "dev", "main");
    let mut dev = on(&db, "dev");
    dev.ok("ALTER TABLE t ADD COLUMN note text DEFAULT 'of dev'; CREATE TABLE mine (a int); CREATE VIEW v AS SELECT note FROM t");
    main.ok("ALTER TABLE t ADD COLUMN price int DEFAULT 7; CREATE TABLE mine (b text)");
    main.ok("INSERT INTO mine VALUES ('main')");
    dev.ok("INSERT INTO mine VALUES (5)");
    assert_eq!(dev.ok("SELECT * FROM t"), "id | note\n1 | of dev\n");
    assert_eq!(main.ok("SELECT * FROM t"), "id | price\n1 | 7\n");
    assert_eq!(dev.ok("SELECT * FROM v, mine"), "note | a\nof dev | 5\n");
    assert!(main.run("SELECT * FROM v").starts_with("ERROR 42P01"));
    // One session goes to and fro, with a statement that it has prepared.
    let mut both = db.session();
    both.ok("PREPARE q AS SELECT * FROM mine");
    assert_eq!(both.ok("EXECUTE q"), "b\nmain\n");
    both.ok("SET branch = dev");
    assert_eq!(both.ok("SELECT * FROM mine"), "a\n5\n");
    both.ok("RESET branch");
    assert_eq!(both.ok("EXECUTE q"), "b\nmain\n");
    // The past of a branch is its own, and before the fork that of its parent.
    let columns = dev.ok("SELECT count(*) FROM t AS OF TIMESTAMP now()");
    assert_eq!(columns, "count\n1\n");
}

#[test]
fn a_session_changes_its_branch_between_transactions() {
    let db = Db::new();
    branch(&db, "dev", "main");
    let mut s = db.session();
    assert!(s.run("SET branch = 'nothing'").starts_with("ERROR 42704"));
    assert!(s.run("SET LOCAL branch = 'dev'").starts_with("ERROR 0A000"));
    s.ok("BEGIN");
    assert!(s.run("SET branch = 'dev'").starts_with("ERROR 25001"));
    s.ok("ROLLBACK");
    assert!(
        s.run("SELECT set_config('branch', 'dev', false)")
            .starts_with("ERROR 55P02")
    );
    s.ok("CREATE TEMP TABLE mine (a int)");
    assert!(s.run("SET branch = 'dev'").starts_with("ERROR 55006"));
    s.ok("DROP TABLE mine; SET branch = 'dev'; DISCARD ALL");
    assert_eq!(s.ok("SHOW branch"), "branch\nmain\nSHOW\n");
    s.ok("SET branch = 'dev'; CREATE TABLE t (a int)");
    let engine = db.instance.engine();
    engine
        .drop_timeline(engine.timeline("dev").unwrap())
        .unwrap();
    assert_eq!(
        s.run("SELECT * FROM t"),
        "ERROR 42704: the branch of this session was dropped\nHINT: SET branch = 'main' chooses another one.\n"
    );
    s.ok("SET branch = 'main'");
    assert!(s.run("SELECT * FROM t").starts_with("ERROR 42P01"));
}

#[test]
fn roles_are_the_databases() {
    let db = Db::new();
    let mut main = db.session();
    main.ok("CREATE ROLE ann; CREATE TABLE t (a int); GRANT SELECT ON t TO ann");
    branch(&db, "dev", "main");
    let mut dev = on(&db, "dev");
    dev.ok("CREATE TABLE u (a int)");
    main.ok("CREATE ROLE bob; CREATE ROLE carl; ALTER ROLE ann SUPERUSER");
    assert_eq!(
        dev.ok("SELECT rolname, rolsuper FROM pg_roles WHERE rolname IN ('ann', 'bob') ORDER BY 1"),
        "rolname | rolsuper\nann | t\nbob | f\n"
    );
    dev.ok("GRANT SELECT ON u TO bob; SET ROLE bob");
    assert_eq!(dev.ok("SELECT count(*) FROM u"), "count\n0\n");
    assert!(dev.run("SELECT * FROM t").starts_with("ERROR 42501"));
    dev.ok("RESET ROLE");
    for statement in [
        "CREATE ROLE eve",
        "ALTER ROLE bob SUPERUSER",
        "DROP ROLE carl",
        "ALTER ROLE carl RENAME TO eve",
        "GRANT CONNECT ON DATABASE helios TO bob",
    ] {
        assert!(dev.run(statement).starts_with("ERROR 0A000"), "{statement}");
    }
}

/// What another branch says of its tables is said with what is there, and no one's definitions here count.
#[test]
fn definitions_of_another_branch_read_that_branch() {
    let db = Db::new();
    let mut main = db.session();
    main.ok("CREATE ROLE eve LOGIN; GRANT CREATE ON SCHEMA public TO eve;
             CREATE TABLE member (who text, tenant int);
             CREATE TABLE doc (tenant int, body text); INSERT INTO doc VALUES (7, 'secret'), (8, 'open');
             ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
             CREATE POLICY p ON doc USING (tenant IN (SELECT tenant FROM member WHERE who = current_user));
             GRANT SELECT ON doc, member TO eve;
             CREATE TABLE pay (n int); INSERT INTO pay VALUES (1);
             CREATE VIEW total AS SELECT sum(n) AS n FROM pay AS OF NOW");
    branch(&db, "dev", "main");
    let mut dev = on(&db, "dev");
    dev.ok(
        "GRANT INSERT ON member TO eve; GRANT SELECT ON pay TO eve; INSERT INTO pay VALUES (10)",
    );
    assert_eq!(
        dev.ok("SELECT m.n, d.n FROM total@main m, total d"),
        "n | n\n1 | 11\n"
    );
    let mut eve = on(&db, "dev");
    eve.ok("SET SESSION AUTHORIZATION eve; INSERT INTO member VALUES ('eve', 7)");
    assert_eq!(eve.ok("SELECT body FROM doc"), "body\nsecret\n");
    assert_eq!(eve.ok("SELECT body FROM doc@main"), "body\n");
    assert_eq!(eve.ok("SELECT body FROM doc@dev"), "body\nsecret\n");
    // What eve may read here opens neither the other branch nor the time that both share.
    assert_eq!(eve.ok("SELECT count(*) FROM pay"), "count\n2\n");
    assert!(eve.run("SELECT * FROM pay@main").starts_with("ERROR 42501"));
    eve.ok("CREATE VIEW seen AS SELECT * FROM pay AS OF NOW");
    main.ok("INSERT INTO pay VALUES (100)");
    let mut eve_on_main = db.session();
    eve_on_main.ok("SET SESSION AUTHORIZATION eve");
    assert_eq!(eve_on_main.ok("SELECT sum(n) FROM seen@dev"), "sum\n11\n");
    main.ok(
        "CREATE FUNCTION may_see(text) RETURNS bool LANGUAGE sql AS 'SELECT false';
             CREATE POLICY q ON doc USING (may_see(body))",
    );
    eve.ok("CREATE FUNCTION may_see(text) RETURNS bool LANGUAGE sql AS 'SELECT true'");
    let said = eve.run("SELECT * FROM doc@main");
    assert!(said.starts_with("ERROR 0A000"), "{said}");
}

/// A grant on a branch is for what is on the branch, not for what its parent had before.
#[test]
fn a_branchs_past_before_its_fork_is_its_parents() {
    let db = Db::new();
    let mut main = db.session();
    main.ok("CREATE ROLE eve; CREATE TABLE pay (n int); INSERT INTO pay VALUES (1)");
    let scn = main.ok("SELECT helios_current_scn()");
    let scn = scn.lines().nth(1).unwrap();
    branch(&db, "dev", "main");
    let mut dev = on(&db, "dev");
    dev.ok("DELETE FROM pay; GRANT SELECT ON pay TO eve; SET ROLE eve");
    assert_eq!(dev.ok("SELECT count(*) FROM pay"), "count\n0\n");
    assert!(
        dev.run(&format!("SELECT * FROM pay AS OF SCN {scn}"))
            .starts_with("ERROR 42501")
    );
    main.ok("GRANT SELECT ON pay TO eve");
    assert_eq!(
        dev.ok(&format!("SELECT * FROM pay AS OF SCN {scn}")),
        "n\n1\n"
    );
}

/// What is committed no more does not go on; who was on the branch that became the main one follows the name.
#[test]
fn sessions_follow_the_main_branch() {
    let db = Db::new();
    let engine = db.instance.engine();
    let mut main = db.session();
    main.ok("CREATE TABLE t (a int)");
    let branch = branch(&db, "dev", "main");
    let (mut dev, mut reader) = (on(&db, "dev"), db.session());
    let home = SessionOptions {
        user: "helios".to_owned(),
        database: "helios/dev".to_owned(),
        ..SessionOptions::default()
    };
    let mut home = Client(db.instance.session(home).unwrap());
    main.ok("BEGIN; INSERT INTO t VALUES (1)");
    reader.ok("BEGIN; SELECT * FROM t");
    let first = engine.main_timeline();
    engine.swap_timelines(first, branch).unwrap();
    for open in [&mut main, &mut reader] {
        assert!(open.run("SELECT * FROM t").starts_with("ERROR 40001"));
        assert!(open.run("SELECT * FROM t").starts_with("ERROR 25P02"));
        open.ok("ROLLBACK; SELECT * FROM t");
    }
    for session in [&mut dev, &mut home] {
        assert_eq!(session.ok("SELECT * FROM t"), "a\n");
        assert_eq!(session.ok("SHOW branch"), "branch\nmain\nSHOW\n");
    }
    dev.ok("CREATE ROLE ann; INSERT INTO t VALUES (2)");
    engine.swap_timelines(first, branch).unwrap();
    main.ok("INSERT INTO t VALUES (3)");
    home.ok("RESET branch");
    for session in [&mut dev, &mut home] {
        assert_eq!(session.ok("SELECT * FROM t"), "a\n3\n");
    }
    assert_eq!(on(&db, "dev").ok("SELECT * FROM t"), "a\n2\n");
    drop((main, dev, reader, home));
    db.reopen();
}

/// On a timeline that somebody has closed nobody else begins anything, and afterwards everybody does.
#[test]
fn who_writes_on_a_closed_timeline_is_told_to_come_again() {
    let db = Db::new();
    let engine = db.instance.engine();
    let mut session = db.session();
    session.ok("CREATE TABLE t (a int)");
    let closed = engine.close_timelines(&[engine.main_timeline()]).unwrap();
    assert!(
        session
            .run("INSERT INTO t VALUES (1)")
            .starts_with("ERROR 40001")
    );
    assert_eq!(session.ok("SELECT count(*) FROM t"), "count\n0\n");
    drop(closed);
    session.ok("INSERT INTO t VALUES (1)");
    drop(session);
    db.reopen();
}

/// Names with a slash are those of restores that are not done; one that never will be leaves nothing behind.
#[test]
fn what_an_unfinished_restore_left_goes() {
    let db = Db::new();
    branch(&db, "restore/1", "main");
    branch(&db, "restored", "main");
    let db = db.reopen();
    let names = db.instance.engine().timelines().into_iter();
    let names: Vec<String> = names.map(|info| info.name).collect();
    assert_eq!(names, ["main", "restored"]);
}

/// A plan that calls nextval is its session's: others have their own, on their branches.
#[test]
fn a_default_that_is_a_sequences_next_value_is_of_the_session() {
    let db = Db::new();
    let mut main = db.session();
    main.ok("CREATE TABLE t (id serial, n int)");
    branch(&db, "dev", "main");
    let (mut other, mut dev) = (db.session(), on(&db, "dev"));
    let insert = |session: &mut Client, value: i32| {
        session.ok("INSERT INTO t (n) VALUES (7)");
        assert_eq!(
            session.ok("SELECT lastval()"),
            format!("lastval\n{value}\n")
        );
        assert_eq!(
            session.ok("SELECT last_value FROM t_id_seq"),
            format!("last_value\n{value}\n")
        );
    };
    insert(&mut main, 1);
    insert(&mut other, 2);
    insert(&mut dev, 3);
    insert(&mut main, 4);
    assert_eq!(dev.ok("SELECT last_value FROM t_id_seq"), "last_value\n3\n");
    drop((main, other, dev));
    db.reopen();
}
