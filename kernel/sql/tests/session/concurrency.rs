//! What two sessions see of each other.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::support::Db;

/// Runs `blocked` in another session; it must not come back before `release` has run.
fn while_blocked(db: &Db, begin: &str, blocked: &str, release: impl FnOnce()) -> (String, String) {
    let mut other = db.session();
    other.run(begin);
    let (done, waiting) = mpsc::channel();
    let blocked = blocked.to_owned();
    let thread = thread::spawn(move || {
        let out = other.run(&blocked);
        done.send(()).unwrap();
        let after = other.run("COMMIT");
        (out, after)
    });
    // Either it waits for the lock, or it fails the test by not waiting.
    assert!(
        waiting.recv_timeout(Duration::from_millis(300)).is_err(),
        "it did not wait"
    );
    release();
    thread.join().unwrap()
}

#[test]
fn read_committed_looks_again_at_a_row_it_waited_for() {
    let db = Db::new();
    let mut a = db.session();
    a.ok("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 10), (2, 20)");
    a.ok("BEGIN; UPDATE t SET n = n + 1 WHERE id = 1");
    let (out, _) = while_blocked(&db, "BEGIN", "UPDATE t SET n = n * 2 WHERE id = 1", || {
        a.ok("COMMIT");
    });
    assert_eq!(out, "UPDATE 1\n");
    assert_eq!(a.run("SELECT n FROM t WHERE id = 1"), "n\n22\n");

    // It is found by its key and has another one now.
    a.ok("INSERT INTO t VALUES (3, 30); BEGIN; UPDATE t SET id = 4 WHERE id = 3");
    let (out, _) = while_blocked(&db, "BEGIN", "UPDATE t SET n = 0 WHERE id = 3", || {
        a.ok("COMMIT");
    });
    assert_eq!(out, "UPDATE 0\n");
    assert_eq!(a.run("SELECT n FROM t WHERE id = 4"), "n\n30\n");

    // The row no longer qualifies.
    a.ok("BEGIN; UPDATE t SET n = 0 WHERE id = 2");
    let (out, _) = while_blocked(&db, "BEGIN", "DELETE FROM t WHERE n = 20", || {
        a.ok("COMMIT");
    });
    assert_eq!(out, "DELETE 0\n");

    // The row is gone.
    a.ok("BEGIN; DELETE FROM t WHERE id = 2");
    let (out, _) = while_blocked(&db, "BEGIN", "UPDATE t SET n = 5 WHERE id = 2", || {
        a.ok("COMMIT");
    });
    assert_eq!(out, "UPDATE 0\n");
}

#[test]
fn repeatable_read_refuses_a_row_that_changed() {
    let db = Db::new();
    let mut a = db.session();
    a.ok("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 10)");
    let mut b = db.session();
    b.ok("BEGIN ISOLATION LEVEL REPEATABLE READ");
    assert_eq!(b.run("SELECT n FROM t"), "n\n10\n");
    a.ok("UPDATE t SET n = 11");
    assert_eq!(b.run("SELECT n FROM t"), "n\n10\n");
    assert_eq!(
        b.run("UPDATE t SET n = 12"),
        "ERROR 40001: could not serialize access due to concurrent update\n"
    );
    b.run("ROLLBACK");
    assert_eq!(b.run("SELECT n FROM t"), "n\n11\n");
}

#[test]
fn a_unique_key_is_settled_by_who_commits() {
    let db = Db::new();
    let mut a = db.session();
    a.ok("CREATE TABLE t (id int PRIMARY KEY)");
    a.ok("BEGIN; INSERT INTO t VALUES (1)");
    let (out, _) = while_blocked(&db, "BEGIN", "INSERT INTO t VALUES (1)", || {
        a.ok("ROLLBACK");
    });
    assert_eq!(out, "INSERT 0 1\n");
    a.ok("BEGIN; INSERT INTO t VALUES (2)");
    let (out, _) = while_blocked(&db, "BEGIN", "INSERT INTO t VALUES (2)", || {
        a.ok("COMMIT");
    });
    assert!(out.starts_with("ERROR 23505"), "{out}");
}

#[test]
fn a_parent_cannot_go_while_a_child_comes() {
    let db = Db::new();
    let mut a = db.session();
    a.ok(
        "CREATE TABLE p (id int PRIMARY KEY, n int); CREATE TABLE c (p int REFERENCES p);
          INSERT INTO p VALUES (1, 0)",
    );
    a.ok("BEGIN; INSERT INTO c VALUES (1)");
    // A change of another column of the parent does not wait.
    assert_eq!(db.session().run("UPDATE p SET n = 1"), "UPDATE 1\n");
    let (out, _) = while_blocked(&db, "BEGIN", "DELETE FROM p", || {
        a.ok("COMMIT");
    });
    assert!(out.starts_with("ERROR 23503"), "{out}");
}

#[test]
fn ddl_waits_for_writers_and_they_for_it() {
    let db = Db::new();
    let mut a = db.session();
    a.ok("CREATE TABLE t (id int)");
    a.ok("BEGIN; INSERT INTO t VALUES (1)");
    let (out, _) = while_blocked(&db, "", "ALTER TABLE t ADD COLUMN n int DEFAULT 3", || {
        a.ok("COMMIT");
    });
    assert_eq!(out, "ALTER TABLE\n");
    assert_eq!(a.run("SELECT * FROM t"), "id | n\n1 | 3\n");
}

#[test]
fn for_update_waits_skips_or_fails() {
    let db = Db::new();
    let mut a = db.session();
    a.ok(
        "CREATE TABLE q (id int PRIMARY KEY, s text); INSERT INTO q VALUES (1,'a'),(2,'b'),(3,'c')",
    );
    a.ok("BEGIN; SELECT * FROM q WHERE id = 1 FOR UPDATE");
    let mut b = db.session();
    assert_eq!(
        b.run("SELECT id FROM q ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"),
        "id\n2\n"
    );
    assert_eq!(
        b.run("SELECT * FROM q WHERE id = 1 FOR UPDATE NOWAIT"),
        "ERROR 55P03: could not obtain lock on row in relation \"q\"\n"
    );
    assert_eq!(b.run("SELECT * FROM q WHERE id = 1"), "id | s\n1 | a\n");
    let (out, _) = while_blocked(
        &db,
        "BEGIN",
        "SELECT s FROM q WHERE id = 1 FOR SHARE",
        || {
            a.ok("UPDATE q SET s = 'new' WHERE id = 1; COMMIT");
        },
    );
    assert_eq!(out, "s\nnew\n");
}

#[test]
fn a_deadlock_ends_one_of_the_two() {
    let db = Db::new();
    let mut a = db.session();
    a.ok("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0)");
    a.ok("BEGIN; UPDATE t SET n = 1 WHERE id = 1");
    let mut mine = String::new();
    let (theirs, _) = while_blocked(
        &db,
        "BEGIN; UPDATE t SET n = 2 WHERE id = 2",
        "UPDATE t SET n = 2 WHERE id = 1",
        || mine = a.run("UPDATE t SET n = 1 WHERE id = 2") + &a.run("ROLLBACK"),
    );
    let dead = [&mine, &theirs]
        .iter()
        .filter(|o| o.contains("40P01"))
        .count();
    assert_eq!(dead, 1, "{mine}{theirs}");
}
