//! Transaction blocks, savepoints, failure, and implicit transactions.

use expect_test::expect;
use heliosdb_sql::TransactionStatus;

use super::support::{Db, check};

#[test]
fn a_failed_block_accepts_only_its_end() {
    check(
        "CREATE TABLE t (a int PRIMARY KEY);
         BEGIN; INSERT INTO t VALUES (1); SELECT 1/0; SELECT 1; COMMIT;
         SELECT count(*) FROM t;
         BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (1);
         ROLLBACK TO s; INSERT INTO t VALUES (2); RELEASE s; COMMIT;
         SELECT count(*) FROM t;
         BEGIN; BEGIN; COMMIT; COMMIT; ROLLBACK;
         SAVEPOINT x;
         BEGIN; ROLLBACK TO nope; ROLLBACK;
         BEGIN ISOLATION LEVEL SNAPSHOT;
         BEGIN READ ONLY; INSERT INTO t VALUES (3); ROLLBACK;
         BEGIN ISOLATION LEVEL REPEATABLE READ; SHOW transaction_isolation; COMMIT;
         SHOW transaction_isolation;
         LOCK TABLE t;
         BEGIN; LOCK TABLE t IN SHARE MODE; COMMIT AND CHAIN; ROLLBACK;",
        expect![[r#"
            CREATE TABLE
            BEGIN
            INSERT 0 1
            ERROR 22012: division by zero
            ERROR 25P02: current transaction is aborted, commands ignored until end of transaction block
            ROLLBACK
            count
            0
            BEGIN
            INSERT 0 1
            SAVEPOINT
            ERROR 23505: duplicate key value violates unique constraint "t_pkey"
            DETAIL: Key (a)=(1) already exists.
            ROLLBACK
            INSERT 0 1
            RELEASE
            COMMIT
            count
            2
            BEGIN
            WARNING: there is already a transaction in progress
            BEGIN
            COMMIT
            WARNING: there is no transaction in progress
            COMMIT
            WARNING: there is no transaction in progress
            ROLLBACK
            ERROR 25P01: SAVEPOINT can only be used in transaction blocks
            BEGIN
            ERROR 3B001: savepoint "nope" does not exist
            ROLLBACK
            ERROR 0A000: isolation level SNAPSHOT is not supported
            BEGIN
            ERROR 25006: cannot execute INSERT in a read-only transaction
            ROLLBACK
            BEGIN
            transaction_isolation
            repeatable read
            SHOW
            COMMIT
            transaction_isolation
            read committed
            SHOW
            ERROR 25P01: LOCK TABLE can only be used in transaction blocks
            BEGIN
            LOCK TABLE
            COMMIT
            ROLLBACK
        "#]],
    );
}

#[test]
fn statements_of_one_message_are_one_transaction() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE t (a int PRIMARY KEY)");
    assert!(
        s.0.execute_text("INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)")
            .is_err()
    );
    assert_eq!(s.run("SELECT count(*) FROM t"), "count\n0\n");
    s.0.execute_text("INSERT INTO t VALUES (1); BEGIN; INSERT INTO t VALUES (2)")
        .unwrap();
    assert_eq!(s.0.transaction_status(), TransactionStatus::InTransaction);
    s.run("ROLLBACK");
    assert_eq!(s.run("SELECT count(*) FROM t"), "count\n0\n");
}

#[test]
fn a_cancel_stops_a_running_query() {
    let db = Db::new();
    let mut s = db.session();
    let cancel = s.0.cancel_handle();
    let sql = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b";
    let statement = s.0.parse(sql).unwrap().remove(0);
    let outcome = s.0.execute(&statement, &[]).unwrap();
    cancel.cancel();
    let heliosdb_sql::Outcome::Rows(rows) = outcome else {
        panic!("no rows")
    };
    assert_eq!(rows.collect().err().unwrap().code.as_str(), "57014");
    s.run("SET statement_timeout = 50");
    let printed = s.run(sql);
    assert_eq!(
        printed,
        "ERROR 57014: canceling statement due to statement timeout\n"
    );
}

/// One batch of rows takes some hundred million runs of the inner queries, and all threads that compute are in one
/// when the time is over.
#[test]
fn a_timeout_ends_subqueries_that_run_once_per_row() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE t (i int); INSERT INTO t SELECT generate_series(1, 20000)");
    s.ok("SET statement_timeout = 50");
    let part = "SELECT i FROM t
                WHERE (SELECT sum(j) FROM generate_series(1, 20000) AS g(j)
                       WHERE (SELECT 1 WHERE i < g.j ORDER BY 1 LIMIT 1) IS NULL) = 0";
    let parts = [part; 8].join(" UNION ALL ");
    assert_eq!(
        s.run(&format!("SELECT count(*) FROM ({parts}) AS u")),
        "ERROR 57014: canceling statement due to statement timeout\n"
    );
}
