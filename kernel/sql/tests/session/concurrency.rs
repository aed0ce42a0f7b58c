//! What two sessions see of each other.

use std::sync::atomic::{AtomicBool, Ordering};
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
fn a_key_share_lock_leaves_a_snapshot_as_it_is() {
    let db = Db::new();
    let mut a = db.session();
    a.ok("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 10)");
    let mut b = db.session();
    b.ok("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t");
    a.ok("UPDATE t SET n = 11");
    assert_eq!(b.run("SELECT n FROM t FOR KEY SHARE"), "n\n10\n");
    assert_eq!(
        b.run("SELECT n FROM t FOR SHARE"),
        "ERROR 40001: could not serialize access due to concurrent update\n"
    );
    b.run("ROLLBACK");
    b.ok("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t");
    a.ok("UPDATE t SET id = 2");
    assert_eq!(
        b.run("SELECT n FROM t FOR KEY SHARE"),
        "ERROR 40001: could not serialize access due to concurrent update\n"
    );
    b.run("ROLLBACK");
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

/// The row that comes is made of the newest version of what is locked, and of what it was made of for the rest.
#[test]
fn for_update_of_a_join_looks_again_at_what_it_locks() {
    let db = Db::new();
    let mut a = db.session();
    a.ok("CREATE TABLE o (id int PRIMARY KEY, state text);
          CREATE TABLE l (id int PRIMARY KEY, o int, n int);
          INSERT INTO o VALUES (1, 'open'), (2, 'open'), (3, 'open');
          INSERT INTO l VALUES (10, 1, 1), (11, 1, 2), (20, 2, 3), (30, 3, 4)");
    let join = "SELECT o.id, l.id, state, n FROM o JOIN l ON l.o = o.id";
    a.ok(&format!("BEGIN; {join} WHERE l.id = 11 FOR UPDATE OF l"));
    let mut b = db.session();
    // Only the rows of the tables that are named are locked, and only those.
    let ids = b.ok(&format!("{join} ORDER BY l.id FOR UPDATE SKIP LOCKED"));
    assert_eq!(
        ids,
        "id | id | state | n\n1 | 10 | open | 1\n2 | 20 | open | 3\n3 | 30 | open | 4\n"
    );
    let all = b.ok(&format!(
        "{join} WHERE o.id = 1 ORDER BY l.id FOR UPDATE OF o NOWAIT"
    ));
    assert_eq!(
        all,
        "id | id | state | n\n1 | 10 | open | 1\n1 | 11 | open | 2\n"
    );
    assert_eq!(
        b.run(&format!("{join} WHERE o.id = 1 FOR SHARE NOWAIT")),
        "ERROR 55P03: could not obtain lock on row in relation \"l\"\n"
    );
    a.ok("ROLLBACK");

    // One row changes, one no longer joins, one goes.
    a.ok(
        "BEGIN; UPDATE l SET n = n + 100 WHERE id = 10; UPDATE l SET o = 9 WHERE id = 11;
          DELETE FROM o WHERE id = 2; UPDATE o SET state = 'shut' WHERE id = 3",
    );
    let sql = format!("{join} ORDER BY l.id FOR UPDATE");
    let (out, _) = while_blocked(&db, "BEGIN", &sql, || {
        a.ok("COMMIT");
    });
    assert_eq!(
        out,
        "id | id | state | n\n1 | 10 | open | 101\n3 | 30 | shut | 4\n"
    );

    // Of one table twice, each row is its own.
    a.ok("TRUNCATE o; INSERT INTO o VALUES (1, 'a'), (2, 'b'), (3, 'c')");
    a.ok("BEGIN; UPDATE o SET state = state || '!' WHERE id = 2");
    let twice = "SELECT x.id, x.state, y.id, y.state FROM o AS x JOIN o AS y ON x.id + 1 = y.id
                 ORDER BY 1 FOR UPDATE";
    let (out, _) = while_blocked(&db, "BEGIN", twice, || {
        a.ok("COMMIT");
    });
    assert_eq!(
        out,
        "id | state | id | state\n1 | a | 2 | b!\n2 | b! | 3 | c\n"
    );
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

/// Writers neither wait for an index that is being built nor are missed by it: each asserts that its
/// statements succeed, and what the indexes find is what a scan finds.
#[test]
fn indexes_are_built_while_others_write() {
    const WRITERS: i64 = 2;
    let db = Db::new();
    let mut a = db.session();
    a.ok("CREATE TABLE t (id int PRIMARY KEY, n int, name text);
          INSERT INTO t SELECT i, i % 50, 'name ' || i FROM generate_series(1, 3000) AS g(i)");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (db, is_over) = (&db, &is_over);
            scope.spawn(move || {
                let mut session = db.session();
                let mut next = 10_000 * (writer + 1);
                while !is_over.load(Ordering::Acquire) {
                    next += 1;
                    let old = next % 1500 * WRITERS + writer + 1;
                    session.ok(&format!(
                        "INSERT INTO t VALUES ({next}, {next} % 50, 'new {next}');
                         UPDATE t SET n = n + 1, name = name || '+' WHERE id = {old};
                         BEGIN; DELETE FROM t WHERE id = {next};
                         INSERT INTO t VALUES ({next}, 7, 'new {next}'); COMMIT"
                    ));
                }
            });
        }
        for _ in 0..3 {
            a.ok("CREATE INDEX t_n ON t (n);
                  CREATE UNIQUE INDEX CONCURRENTLY t_name ON t (name);
                  CREATE INDEX t_part ON t ((n + 1)) WHERE n > 25");
            for n in [7, 30] {
                let counts = a.ok(&format!(
                    "BEGIN ISOLATION LEVEL REPEATABLE READ;
                     SELECT count(*) FROM t WHERE n = {n};
                     SELECT count(*) FROM t WHERE n * 1 = {n};
                     SELECT count(*) FROM t WHERE n + 1 = {n} + 1 AND n > 25;
                     SELECT count(*) FROM t WHERE n * 1 = {n} AND n > 25; COMMIT"
                ));
                let counts: Vec<&str> = counts
                    .lines()
                    .filter(|l| l.parse::<u64>().is_ok())
                    .collect();
                assert_eq!((counts[0], counts[2]), (counts[1], counts[3]), "n = {n}");
            }
            a.ok("DROP INDEX t_n; DROP INDEX t_name; DROP INDEX t_part");
        }
        is_over.store(true, Ordering::Release);
    });
}

#[test]
fn an_index_waits_for_the_writers_there_are_and_has_their_rows() {
    let db = Db::new();
    let (mut a, mut c) = (db.session(), db.session());
    a.ok("CREATE TABLE t (id int); BEGIN; INSERT INTO t VALUES (1)");
    let (out, _) = while_blocked(&db, "", "CREATE UNIQUE INDEX t_id ON t (id)", || {
        a.ok("COMMIT");
    });
    assert_eq!(out, "CREATE INDEX\n");
    assert!(c.run("INSERT INTO t VALUES (1)").starts_with("ERROR 23505"));

    // One that comes to have a key twice is no index.
    a.ok("DROP INDEX t_id; BEGIN; INSERT INTO t VALUES (1)");
    let (out, _) = while_blocked(&db, "", "CREATE UNIQUE INDEX t_id ON t (id)", || {
        a.ok("COMMIT");
    });
    assert!(
        out.starts_with("ERROR 23505: could not create unique index"),
        "{out}"
    );
    assert_eq!(
        a.run("SELECT count(*) FROM pg_indexes WHERE indexname = 't_id'"),
        "count\n0\n"
    );
    assert_eq!(
        a.run("BEGIN; CREATE INDEX CONCURRENTLY ON t (id); ROLLBACK"),
        "BEGIN\nERROR 25001: CREATE INDEX CONCURRENTLY cannot run inside a transaction block\nROLLBACK\n"
    );
}

/// The catalog that such a transaction has is as old as its snapshot. What it wrote by that would be missed
/// by the index, or be against the constraint.
#[test]
fn a_kept_snapshot_does_not_write_to_a_table_that_was_altered_since() {
    let db = Db::new();
    let (mut a, mut b) = (db.session(), db.session());
    a.ok("CREATE TABLE other (id int)");
    let alterations = [
        "CREATE UNIQUE INDEX t_n ON t (n)",
        "ALTER TABLE t ADD CHECK (n > 1)",
        "ALTER TABLE t ALTER COLUMN n SET NOT NULL",
        "ALTER TABLE t ADD COLUMN m int DEFAULT 3",
        "CREATE TABLE c (t int REFERENCES t)",
    ];
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        for alteration in alterations {
            a.ok("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 2)");
            b.ok(&format!(
                "BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM other"
            ));
            a.ok(alteration);
            let out = b.run("INSERT INTO t VALUES (2, 2)");
            assert!(out.starts_with("ERROR 40001"), "{alteration}: {out}");
            b.ok("ROLLBACK; INSERT INTO t VALUES (2, 3)");
            // What has nothing to do with the table is not in the way.
            b.ok(&format!(
                "BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM other"
            ));
            a.ok("CREATE TABLE unrelated (id int)");
            b.ok("INSERT INTO t VALUES (3, 4); COMMIT");
            a.ok("DROP TABLE IF EXISTS c; DROP TABLE t; DROP TABLE unrelated");
        }
    }
}

/// A referential action waits for an index of the children's table, and keeps it.
#[test]
fn a_cascade_keeps_an_index_that_it_waited_for() {
    let db = Db::new();
    let mut a = db.session();
    a.ok("CREATE TABLE p (id int PRIMARY KEY);
          CREATE TABLE c (p int REFERENCES p ON DELETE CASCADE, n int);
          INSERT INTO p VALUES (1), (2); INSERT INTO c VALUES (1, 10), (2, 20)");
    a.ok("BEGIN; CREATE UNIQUE INDEX c_n ON c (n)");
    let (out, _) = while_blocked(&db, "BEGIN", "DELETE FROM p WHERE id = 1", || {
        a.ok("COMMIT");
    });
    assert_eq!(out, "DELETE 1\n");
    // Its entry has gone with the row.
    assert_eq!(a.run("INSERT INTO c VALUES (2, 10)"), "INSERT 0 1\n");
}

/// The rows of a kept snapshot are not those that an index has which is built now.
#[test]
fn a_kept_snapshot_makes_no_index_of_other_rows() {
    let db = Db::new();
    let (mut a, mut b) = (db.session(), db.session());
    a.ok("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1), (2, 2)");
    b.ok("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t");
    a.ok("DELETE FROM t WHERE id = 1");
    let out = b.run("CREATE INDEX t_n ON t (n)");
    assert!(out.starts_with("ERROR 40001"), "{out}");
    b.ok("ROLLBACK");
    b.ok("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t");
    b.ok("CREATE INDEX t_n ON t (n); COMMIT");
}

/// ALTER COLUMN TYPE and CLUSTER write all rows anew: those that there are when they have their lock.
#[test]
fn what_was_written_meanwhile_is_written_anew() {
    let db = Db::new();
    let mut a = db.session();
    a.ok("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 10), (2, 20)");
    for (rewrite, id) in [
        ("ALTER TABLE t ALTER n TYPE bigint", 3),
        ("CLUSTER t USING t_pkey", 4),
    ] {
        a.ok(&format!("BEGIN; INSERT INTO t VALUES ({id}, 30); DELETE FROM t WHERE id < {}; UPDATE t SET n = n + 1", id - 1));
        let (out, _) = while_blocked(&db, "BEGIN", rewrite, || {
            a.ok("COMMIT");
        });
        assert!(!out.starts_with("ERROR"), "{out}");
    }
    assert_eq!(
        a.run("SELECT * FROM t ORDER BY id"),
        "id | n\n3 | 32\n4 | 31\n"
    );

    // A snapshot that is kept does not show them.
    a.ok("CREATE TABLE u (a int)");
    for rewrite in ["ALTER TABLE t ALTER n TYPE int", "CLUSTER t USING t_pkey"] {
        let mut b = db.session();
        b.ok("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM u");
        a.ok("UPDATE t SET n = n + 1");
        let out = b.run(rewrite);
        assert!(out.starts_with("ERROR 40001"), "{out}");
        b.run("ROLLBACK");
    }
    assert_eq!(
        a.run("SELECT * FROM t ORDER BY id"),
        "id | n\n3 | 34\n4 | 33\n"
    );
}

/// A parent or a child that was written anew since a snapshot is not looked for where it was.
#[test]
fn references_follow_a_table_that_was_written_anew() {
    let db = Db::new();
    let mut a = db.session();
    a.ok("CREATE TABLE u (a int);
          CREATE TABLE p (id int PRIMARY KEY, n int); CREATE TABLE c (id int, p int REFERENCES p);
          INSERT INTO p VALUES (1, 1), (2, 2), (3, 3), (4, 4); INSERT INTO c VALUES (1, 1)");
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM u";

    let mut b = db.session();
    b.ok(begin);
    a.ok("ALTER TABLE p ALTER n TYPE bigint; DELETE FROM p WHERE id = 2");
    let out = b.run("INSERT INTO c VALUES (2, 2); COMMIT");
    assert!(out.starts_with("ERROR 40001"), "{out}");
    b.run("ROLLBACK");

    b.ok(begin);
    a.ok("ALTER TABLE c ALTER id TYPE bigint; INSERT INTO c VALUES (3, 3)");
    let out = b.run("DELETE FROM p WHERE id = 3; COMMIT");
    assert!(out.starts_with("ERROR 40001"), "{out}");
    b.run("ROLLBACK");

    b.ok(begin);
    a.ok("ALTER TABLE p ALTER n TYPE int");
    let out = b.run("SELECT * FROM p WHERE id = 1 FOR UPDATE");
    assert!(out.starts_with("ERROR 40001"), "{out}");
    b.run("ROLLBACK");

    // Who waits finds them where they are.
    a.ok("BEGIN; ALTER TABLE p ALTER n TYPE bigint; DELETE FROM p WHERE id = 4");
    let (out, _) = while_blocked(&db, "BEGIN", "INSERT INTO c VALUES (4, 4)", || {
        a.ok("COMMIT");
    });
    assert!(out.starts_with("ERROR 23503"), "{out}");
    a.ok("BEGIN; ALTER TABLE c ALTER id TYPE int; INSERT INTO c VALUES (5, 3)");
    let (out, _) = while_blocked(&db, "BEGIN", "DELETE FROM p WHERE id = 3", || {
        a.ok("COMMIT");
    });
    assert!(out.starts_with("ERROR 23503"), "{out}");
}

/// A row that waits for its parent holds up nobody who writes that one, and finds it at the end.
#[test]
fn a_deferred_reference_lets_others_write_its_parent() {
    let db = Db::new();
    let mut a = db.session();
    a.ok("CREATE TABLE parent (id int PRIMARY KEY);
          CREATE TABLE child (p int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)");
    let mut b = db.session();
    a.ok("BEGIN; INSERT INTO child VALUES (77)");
    b.ok("INSERT INTO parent VALUES (77)");
    a.ok("COMMIT");
    // Both do both.
    a.ok("BEGIN; INSERT INTO child VALUES (78)");
    b.ok("BEGIN; INSERT INTO child VALUES (78); INSERT INTO parent VALUES (78)");
    b.ok("COMMIT");
    a.ok("INSERT INTO parent VALUES (78) ON CONFLICT DO NOTHING; COMMIT");
    assert_eq!(a.run("SELECT count(*) FROM child"), "count\n3\n");
    // A parent that somebody is deleting is looked for again, and so is one that somebody deletes later.
    for ends in ["ROLLBACK", "COMMIT"] {
        a.ok("INSERT INTO parent VALUES (79) ON CONFLICT DO NOTHING");
        b.ok("BEGIN; DELETE FROM parent WHERE id = 79");
        a.ok("BEGIN; INSERT INTO child VALUES (79)");
        b.ok(ends);
        let committed = a.run("COMMIT");
        match ends {
            "COMMIT" => assert!(committed.starts_with("ERROR 23503"), "{committed}"),
            _ => a.ok("DELETE FROM child WHERE p = 79").truncate(0),
        }
        b.ok("INSERT INTO parent VALUES (80) ON CONFLICT DO NOTHING");
        a.ok("BEGIN; INSERT INTO child VALUES (80)");
        let delete = "DELETE FROM parent WHERE id = 80";
        let (_, after) = while_blocked(&db, "BEGIN", delete, || {
            a.ok(ends);
        });
        assert_eq!(
            after.starts_with("ERROR 23503"),
            ends == "COMMIT",
            "{after}"
        );
    }
}

/// What it read of the row is not what the row is, so that it runs again: the row is changed once more, or
/// nothing matches any more, or another clause does.
#[test]
fn merge_begins_again_when_a_row_has_changed() {
    let db = Db::new();
    let mut a = db.session();
    a.ok("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)");
    a.ok("CREATE TABLE log (n int); CREATE TABLE child (id int REFERENCES t DEFERRABLE INITIALLY DEFERRED)");
    let merge = "MERGE INTO t USING (VALUES (0), (1), (4)) AS v (id) ON t.id = v.id \
                 WHEN MATCHED AND n > 1000 THEN DELETE WHEN MATCHED THEN UPDATE SET n = t.n * 2 \
                 WHEN NOT MATCHED THEN INSERT VALUES (v.id, 0)";
    a.ok("BEGIN; UPDATE t SET n = n + 1 WHERE id = 1");
    let (out, _) = while_blocked(&db, "BEGIN", merge, || {
        a.ok("COMMIT");
    });
    assert_eq!(out, "MERGE 3\n");
    assert_eq!(
        a.run("SELECT * FROM t ORDER BY id"),
        "id | n\n0 | 0\n1 | 22\n2 | 20\n3 | 30\n4 | 0\n"
    );

    // Another clause.
    a.ok("DELETE FROM t WHERE id IN (0, 4); BEGIN; UPDATE t SET n = 2000 WHERE id = 1");
    let (out, _) = while_blocked(&db, "BEGIN", merge, || {
        a.ok("COMMIT");
    });
    assert_eq!(out, "MERGE 3\n");
    assert_eq!(a.run("SELECT count(*) FROM t WHERE id = 1"), "count\n0\n");

    // Nothing matches.
    a.ok("INSERT INTO t VALUES (1, 5); DELETE FROM t WHERE id IN (0, 4)");
    a.ok("BEGIN; DELETE FROM t WHERE id = 1");
    let (out, _) = while_blocked(&db, "BEGIN", merge, || {
        a.ok("COMMIT");
    });
    assert_eq!(out, "MERGE 3\n");
    assert_eq!(a.run("SELECT n FROM t WHERE id = 1"), "n\n0\n");

    // Other parts of the statement have run once in the end, and what waits for COMMIT is of that run alone.
    a.ok("BEGIN; UPDATE t SET n = 7 WHERE id = 1");
    let parts = "WITH l AS (INSERT INTO log VALUES (1) RETURNING n), c AS (INSERT INTO child VALUES (1)) \
                 MERGE INTO t USING l ON t.id = l.n WHEN MATCHED THEN UPDATE SET n = t.n + 1";
    let (out, after) = while_blocked(&db, "BEGIN", parts, || {
        a.ok("COMMIT");
    });
    assert_eq!((out.as_str(), after.as_str()), ("MERGE 1\n", "COMMIT\n"));
    assert_eq!(a.run("SELECT n FROM t WHERE id = 1"), "n\n8\n");
    assert_eq!(
        a.run("SELECT (SELECT count(*) FROM log), (SELECT count(*) FROM child)"),
        "count | count\n1 | 1\n"
    );

    a.ok("BEGIN; UPDATE t SET n = 9 WHERE id = 1");
    let (out, _) = while_blocked(
        &db,
        "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM t",
        merge,
        || {
            a.ok("COMMIT");
        },
    );
    assert_eq!(
        out,
        "ERROR 40001: could not serialize access due to concurrent update\n"
    );
}

#[test]
fn queries_in_with_that_write_look_again_at_rows_they_waited_for() {
    let db = Db::new();
    let mut a = db.session();
    a.ok("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 10), (2, 20)");
    a.ok("CREATE TABLE archive (id int, n int)");
    a.ok("BEGIN; UPDATE t SET n = n + 1 WHERE id = 1; DELETE FROM t WHERE id = 2");
    let moves = "WITH ids AS (SELECT id FROM t), d AS (DELETE FROM t USING ids WHERE t.id = ids.id RETURNING t.*) \
                 INSERT INTO archive SELECT * FROM d RETURNING *";
    let (out, _) = while_blocked(&db, "BEGIN", moves, || {
        a.ok("COMMIT");
    });
    assert_eq!(out, "id | n\n1 | 11\nINSERT 0 1\n");
    assert_eq!(a.run("SELECT count(*) FROM t"), "count\n0\n");
}
