//! Advisory locks between sessions, and sleeping beside others.

use std::sync::mpsc;
use std::thread;

use super::support::Db;
use super::support::stage::Stage;

/// What a statement prints if it has to wait for longer than it may.
const TIMEOUT: &str = "ERROR 55P03: canceling statement due to lock timeout\n";

#[test]
fn a_lock_keeps_others_out_until_it_was_given_back_as_often_as_taken() {
    let db = Db::new();
    let mut stage = Stage::new(&db, 3);
    stage.run(1, "SELECT pg_advisory_lock(1); SELECT pg_advisory_lock(1)");
    assert_eq!(
        stage.run(
            2,
            "SELECT pg_try_advisory_lock(1), pg_try_advisory_lock(0, 1)"
        ),
        "pg_try_advisory_lock | pg_try_advisory_lock\nf | t\n"
    );
    stage.waits(2, "SELECT pg_advisory_lock(1)");
    // Whoever waits holds up nobody.
    assert_eq!(stage.run(3, "SELECT 1 AS one"), "one\n1\n");
    stage.run(1, "SELECT pg_advisory_unlock(1)");
    assert_eq!(
        stage.run(3, "SELECT pg_try_advisory_lock(1)"),
        "pg_try_advisory_lock\nf\n"
    );
    stage.run(1, "SELECT pg_advisory_unlock(1)");
    assert_eq!(stage.wakes(2), "pg_advisory_lock\n\n");
    assert_eq!(
        stage.run(1, "SELECT pg_try_advisory_lock(1)"),
        "pg_try_advisory_lock\nf\n"
    );
    stage.run(2, "SELECT pg_advisory_unlock_all()");
    assert_eq!(
        stage.run(1, "SELECT pg_try_advisory_lock(1)"),
        "pg_try_advisory_lock\nt\n"
    );
}

#[test]
fn shared_locks_go_together() {
    let db = Db::new();
    let mut stage = Stage::new(&db, 3);
    stage.run(1, "SELECT pg_advisory_lock_shared(4, 5)");
    stage.run(2, "SELECT pg_advisory_lock_shared(4, 5)");
    stage.waits(3, "SELECT pg_advisory_lock(4, 5)");
    // In the order in which they came.
    assert!(
        stage
            .run(2, "SELECT pg_try_advisory_lock_shared(4, 5)")
            .ends_with("\nt\n")
    );
    stage.run(1, "SELECT pg_advisory_unlock_shared(4, 5)");
    stage.run(2, "SELECT pg_advisory_unlock_shared(4, 5)");
    stage.run(2, "SELECT pg_advisory_unlock_shared(4, 5)");
    assert_eq!(stage.wakes(3), "pg_advisory_lock\n\n");
    stage.waits(1, "SELECT pg_advisory_lock_shared(4, 5)");
    // It holds both now, and gives back one.
    stage.run(3, "SELECT pg_advisory_lock_shared(4, 5)");
    stage.run(3, "SELECT pg_advisory_unlock(4, 5)");
    assert_eq!(stage.wakes(1), "pg_advisory_lock_shared\n\n");
}

#[test]
fn a_transactions_locks_end_with_it_and_fall_back_with_it() {
    let db = Db::new();
    let (mut a, mut b) = (db.session(), db.session());
    let mut free = |key: i32| {
        let out = b.ok(&format!("SELECT pg_try_advisory_xact_lock({key})"));
        out == "pg_try_advisory_xact_lock\nt\n"
    };
    a.ok("SELECT pg_advisory_xact_lock(1)");
    assert!(free(1), "the statement is over");
    for end in ["COMMIT", "ROLLBACK", "SELECT nothing"] {
        a.ok("BEGIN; SELECT pg_advisory_xact_lock(1); SELECT pg_advisory_lock(2)");
        assert!(!free(1) && !free(2));
        a.run(end);
        assert!(free(1) && !free(2), "{end}");
        a.run("ROLLBACK");
        a.ok("SELECT pg_advisory_unlock(2)");
        assert!(free(2), "{end}");
    }
    a.ok("BEGIN; SELECT pg_advisory_xact_lock(1); SAVEPOINT s; SELECT pg_advisory_xact_lock(1)");
    a.ok("SELECT pg_advisory_xact_lock(2); SELECT pg_advisory_lock(3)");
    a.ok("ROLLBACK TO s");
    assert!(!free(1) && free(2) && !free(3));
    a.ok("SELECT pg_advisory_xact_lock(2); RELEASE s");
    assert!(!free(2));
    a.ok("SAVEPOINT t; SELECT pg_advisory_xact_lock(4)");
    a.run("SELECT nothing");
    assert!(
        !free(1) && !free(2) && free(4),
        "of a failed block, what came since the savepoint"
    );
    a.ok("ROLLBACK TO t; COMMIT");
    assert!(free(1) && free(2) && !free(3));
    drop(a);
    assert!(free(3), "the session is over");
}

#[test]
fn a_wait_ends_with_the_timeout_and_with_a_cancel() {
    let db = Db::new();
    let (mut a, mut b) = (db.session(), db.session());
    a.ok("SELECT pg_advisory_lock(1)");
    b.ok("SET lock_timeout = 10");
    assert_eq!(b.run("SELECT pg_advisory_lock(1)"), TIMEOUT);
    assert_eq!(b.run("SELECT pg_advisory_xact_lock_shared(1)"), TIMEOUT);
    b.ok("RESET lock_timeout; SET statement_timeout = 10");
    assert_eq!(
        b.run("SELECT pg_advisory_lock(1)"),
        "ERROR 57014: canceling statement due to statement timeout\n"
    );
    b.ok("RESET statement_timeout");
    let cancel = b.0.cancel_handle();
    let (done, ended) = mpsc::channel();
    let waiting = thread::spawn(move || done.send(b.run("SELECT pg_advisory_lock(1)")).unwrap());
    while db.instance.engine().stats().lock_waits == 0 {
        thread::yield_now();
    }
    cancel.cancel();
    assert_eq!(
        ended.recv().unwrap(),
        "ERROR 57014: canceling statement due to user request\n"
    );
    waiting.join().unwrap();
    a.ok("SELECT pg_advisory_unlock(1)");
    assert_eq!(db.instance.engine().stats().locked_objects, 0);
}

/// The cycle goes through a row that a transaction has written and a lock that a session holds.
#[test]
fn a_deadlock_of_rows_and_advisory_locks_is_found() {
    let db = Db::new();
    db.session()
        .ok("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0)");
    let mut stage = Stage::new(&db, 2);
    stage.run(1, "SELECT pg_advisory_lock(7, 8)");
    stage.run(2, "BEGIN; UPDATE t SET n = 1");
    stage.waits(2, "SELECT pg_advisory_xact_lock(7, 8)");
    let out = stage.run(1, "UPDATE t SET n = 2");
    assert!(
        out.starts_with("ERROR 40P01: deadlock detected\nDETAIL: Process "),
        "{out}"
    );
    assert!(
        out.contains("waits for ExclusiveLock on advisory lock [7,8,2]; blocked by process"),
        "{out}"
    );
    assert_eq!(
        stage.run(1, "SELECT pg_advisory_unlock(7, 8)"),
        "pg_advisory_unlock\nt\n"
    );
    assert_eq!(stage.wakes(2), "pg_advisory_xact_lock\n\n");
    assert_eq!(stage.run(2, "COMMIT"), "COMMIT\n");
    // Two advisory locks alone.
    stage.run(1, "SELECT pg_advisory_lock(1)");
    stage.run(2, "SELECT pg_advisory_lock(2)");
    stage.waits(1, "SELECT pg_advisory_lock(2)");
    let out = stage.run(2, "SELECT pg_advisory_lock(1)");
    assert!(out.starts_with("ERROR 40P01"), "{out}");
    stage.run(2, "SELECT pg_advisory_unlock_all()");
    assert_eq!(stage.wakes(1), "pg_advisory_lock\n\n");
}

/// More of them wait, in parallel parts of their queries, than there are threads for queries; the one that they
/// wait for goes on all the same.
#[test]
fn those_who_wait_leave_the_threads_to_others() {
    let db = Db::new();
    let mut holder = db.session();
    holder.ok("CREATE TABLE t AS SELECT n FROM generate_series(1, 20000) AS n");
    holder.ok("SELECT pg_advisory_lock(1)");
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let mut session = db.session();
            thread::spawn(move || {
                session.run(
                    "SELECT count(*) FROM (SELECT pg_advisory_lock_shared(1) UNION ALL
                     SELECT pg_advisory_lock_shared(1) UNION ALL SELECT pg_sleep(0)) AS all_of_them",
                )
            })
        })
        .collect();
    while db.instance.engine().stats().lock_waits < waiting.len() {
        thread::yield_now();
    }
    assert_eq!(
        holder.ok("SELECT count(*), sum(a.n) FROM t AS a JOIN t AS b USING (n)"),
        "count | sum\n20000 | 200010000\n"
    );
    holder.ok("SELECT pg_advisory_unlock(1)");
    for session in waiting {
        assert_eq!(session.join().unwrap(), "count\n3\n");
    }
    assert_eq!(db.instance.engine().stats().locked_objects, 0);
}

#[test]
fn a_cancel_ends_a_sleep() {
    let db = Db::new();
    let mut session = db.session();
    let cancel = session.0.cancel_handle();
    let (done, ended) = mpsc::channel();
    let sleeping = thread::spawn(move || {
        let out = session.run("SELECT pg_sleep(3600)");
        done.send((out, session)).unwrap();
    });
    // A cancel before the statement began is forgotten when it does.
    let (out, mut session) = loop {
        cancel.cancel();
        match ended.try_recv() {
            Ok(ended) => break ended,
            Err(_) => thread::yield_now(),
        }
    };
    assert_eq!(
        out,
        "ERROR 57014: canceling statement due to user request\n"
    );
    assert_eq!(session.run("SELECT pg_sleep(0)"), "pg_sleep\n\n");
    sleeping.join().unwrap();
}
