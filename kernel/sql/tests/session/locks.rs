//! Locks, held against the tables of PostgreSQL's manual (section 13.3), through SQL.

use super::support::stage::Stage;
use super::support::{Client, Db};

const ROW_MODES: [&str; 4] = ["KEY SHARE", "SHARE", "NO KEY UPDATE", "UPDATE"];
/// Table 13.3: `X` where the mode asked for conflicts with the one held.
const ROW_CONFLICTS: [&str; 4] = ["...X", "..XX", ".XXX", "XXXX"];

const TABLE_MODES: [&str; 8] = [
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
];
/// Table 13.2.
const TABLE_CONFLICTS: [&str; 8] = [
    ".......X", "......XX", "....XXXX", "...XXXXX", "..XX.XXX", "..XXXXXX", ".XXXXXXX", "XXXXXXXX",
];

fn database() -> Db {
    let db = Db::new();
    db.session().ok(
        "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0);
         CREATE TABLE child (t int REFERENCES t)",
    );
    db
}

/// Whether a statement fails because a lock is not free; it must not fail for another reason.
fn blocked(session: &mut Client, sql: &str) -> bool {
    let out = session.run(sql);
    let other = out.replace("ERROR 55P03", "");
    assert!(!other.contains("ERROR"), "{sql}: {out}");
    out.contains("ERROR 55P03")
}

/// As the manual's tables are written.
fn marks(conflicts: impl Iterator<Item = bool>) -> String {
    conflicts.map(|x| if x { 'X' } else { '.' }).collect()
}

#[test]
fn row_locks_conflict_as_in_the_manual() {
    let db = database();
    let (mut a, mut b) = (db.session(), db.session());
    for (asked, expected) in ROW_MODES.iter().zip(ROW_CONFLICTS) {
        let conflicts = ROW_MODES.iter().map(|held| {
            a.ok(&format!("BEGIN; SELECT * FROM t WHERE id = 1 FOR {held}"));
            let sql = format!("SELECT id FROM t WHERE id = 1 FOR {asked}");
            b.ok("BEGIN");
            let skipped = b.run(&format!("{sql} SKIP LOCKED")) == "id\n";
            let refused = blocked(&mut b, &format!("{sql} NOWAIT"));
            b.run("ROLLBACK");
            a.ok("ROLLBACK");
            assert_eq!(skipped, refused, "FOR {asked} beside FOR {held}");
            refused
        });
        assert_eq!(marks(conflicts), expected, "FOR {asked}");
    }
}

#[test]
fn table_locks_conflict_as_in_the_manual() {
    let db = database();
    let (mut a, mut b) = (db.session(), db.session());
    for (asked, expected) in TABLE_MODES.iter().zip(TABLE_CONFLICTS) {
        let conflicts = TABLE_MODES.iter().map(|held| {
            a.ok(&format!("BEGIN; LOCK TABLE t IN {held} MODE"));
            b.ok("BEGIN");
            let refused = blocked(&mut b, &format!("LOCK TABLE t IN {asked} MODE NOWAIT"));
            b.run("ROLLBACK");
            a.ok("ROLLBACK");
            refused
        });
        assert_eq!(marks(conflicts), expected, "{asked}");
    }
}

/// Each statement waits for just those who hold what conflicts with the mode that the manual names; CREATE
/// INDEX also for another who builds one, since it lets writers in until its last step.
#[test]
fn statements_take_the_table_locks_of_the_manual() {
    let db = database();
    let (mut a, mut b) = (db.session(), db.session());
    b.ok("SET lock_timeout = 1");
    for (statement, mode) in [
        ("SELECT * FROM t", "ACCESS SHARE"),
        ("SELECT * FROM t FOR KEY SHARE", "ROW SHARE"),
        ("SELECT * FROM t FOR UPDATE", "ROW SHARE"),
        ("INSERT INTO t VALUES (3, 0)", "ROW EXCLUSIVE"),
        ("UPDATE t SET n = 1", "ROW EXCLUSIVE"),
        ("DELETE FROM t", "ROW EXCLUSIVE"),
        ("ALTER TABLE t ADD COLUMN more int", "ACCESS EXCLUSIVE"),
        ("TRUNCATE t, child", "ACCESS EXCLUSIVE"),
        ("DROP TABLE t CASCADE", "ACCESS EXCLUSIVE"),
    ] {
        let modes = mode.split(", then ").map(|mode| {
            let place = TABLE_MODES.iter().position(|name| *name == mode);
            TABLE_CONFLICTS[place.unwrap()].as_bytes()
        });
        let modes: Vec<&[u8]> = modes.collect();
        let expected = marks((0..8).map(|held| modes.iter().any(|mode| mode[held] == b'X')));
        let conflicts = TABLE_MODES.iter().map(|held| {
            a.ok(&format!("BEGIN; LOCK TABLE t IN {held} MODE"));
            b.ok("BEGIN");
            let refused = blocked(&mut b, statement);
            b.run("ROLLBACK");
            a.ok("ROLLBACK");
            refused
        });
        assert_eq!(marks(conflicts), expected, "{statement}");
    }
}

/// UPDATE of other columns leaves the key alone; of the key, and DELETE, take the strongest lock.
#[test]
fn statements_take_the_row_locks_of_the_manual() {
    let db = database();
    let (mut a, mut b) = (db.session(), db.session());
    for (statement, mode) in [
        ("UPDATE t SET n = 1 WHERE id = 1", "NO KEY UPDATE"),
        ("UPDATE t SET id = 9 WHERE id = 1", "UPDATE"),
        ("DELETE FROM t WHERE id = 1", "UPDATE"),
    ] {
        let held = ROW_MODES.iter().position(|name| *name == mode).unwrap();
        a.ok(&format!("BEGIN; {statement}"));
        let conflicts = ROW_MODES.iter().map(|asked| {
            b.ok("BEGIN");
            let sql = format!("SELECT * FROM t WHERE id = 1 FOR {asked} NOWAIT");
            let refused = blocked(&mut b, &sql);
            b.run("ROLLBACK");
            refused
        });
        // The table is symmetric.
        assert_eq!(marks(conflicts), ROW_CONFLICTS[held], "{statement}");
        a.ok("ROLLBACK");
    }
}

#[test]
fn a_wait_ends_with_its_timeout() {
    let db = database();
    let (mut a, mut b) = (db.session(), db.session());
    a.ok("BEGIN; UPDATE t SET n = 1 WHERE id = 1");
    b.ok("SET lock_timeout = '1ms'");
    for sql in [
        "UPDATE t SET n = 2 WHERE id = 1",
        "SELECT * FROM t WHERE id = 1 FOR SHARE",
        "INSERT INTO t VALUES (2, 0) ON CONFLICT (id) DO UPDATE SET n = 3; ALTER TABLE t DROP COLUMN n",
    ] {
        let out = b.run(sql);
        let error = out.lines().last().unwrap();
        assert_eq!(
            error,
            "ERROR 55P03: canceling statement due to lock timeout"
        );
    }
    a.ok("COMMIT");
}

/// Both share a row and both want it for themselves.
#[test]
fn two_who_share_a_row_and_want_it_are_a_deadlock() {
    let db = database();
    let mut stage = Stage::new(&db, 2);
    for who in [1, 2] {
        stage.run(who, "BEGIN; SELECT * FROM t WHERE id = 1 FOR SHARE");
    }
    stage.waits(1, "UPDATE t SET n = 1 WHERE id = 1");
    let out = stage.run(2, "UPDATE t SET n = 2 WHERE id = 1");
    assert!(out.starts_with("ERROR 40P01: deadlock detected\n"), "{out}");
    stage.run(2, "ROLLBACK");
    assert_eq!(stage.wakes(1), "UPDATE 1\n");
    assert_eq!(stage.run(1, "COMMIT"), "COMMIT\n");
}

/// Who came first is served first: a weak lock does not pass those who wait for a strong one.
#[test]
fn nobody_starves_in_the_queue() {
    let db = database();
    let mut stage = Stage::new(&db, 3);
    stage.run(1, "BEGIN; LOCK TABLE t IN ACCESS SHARE MODE");
    stage.run(2, "BEGIN");
    stage.waits(2, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    stage.run(3, "BEGIN");
    stage.waits(3, "LOCK TABLE t IN ACCESS SHARE MODE");
    stage.run(1, "COMMIT");
    assert_eq!(stage.wakes(2), "LOCK TABLE\n");
    stage.run(2, "COMMIT");
    assert_eq!(stage.wakes(3), "LOCK TABLE\n");
    stage.run(3, "COMMIT");
}
