//! What sessions see of each other, and how they stop each other.

use std::thread;

use heliosdb_sql::SessionOptions;

use super::support::stage::Stage;
use super::support::{Client, Db};

/// What a query gives in one row of one column.
fn one(session: &mut Client, sql: &str) -> String {
    let out = session.ok(sql);
    out.split_once('\n').unwrap().1.trim_end().to_owned()
}

fn pid(session: &mut Client) -> String {
    one(session, "SELECT pg_backend_pid()")
}

#[test]
fn a_session_shows_what_it_does() {
    let db = Db::new();
    let (mut a, mut b) = (db.session(), db.session());
    let of_b = format!(
        "SELECT state, query, wait_event_type, wait_event, xact_start IS NULL AS x, state_change >= query_start AS c
         FROM pg_stat_activity WHERE pid = {}",
        pid(&mut b)
    );
    let (of_b, columns) = (
        of_b.as_str(),
        "state | query | wait_event_type | wait_event | x | c\n",
    );
    let shown = |a: &mut Client| a.ok(of_b).strip_prefix(columns).unwrap().to_owned();
    assert_eq!(
        shown(&mut a),
        "idle | SELECT pg_backend_pid() | Client | ClientRead | t | t\n"
    );
    b.ok("BEGIN");
    assert_eq!(
        shown(&mut a),
        "idle in transaction | BEGIN | Client | ClientRead | f | t\n"
    );
    b.run("SELECT nothing");
    assert_eq!(
        shown(&mut a),
        "idle in transaction (aborted) | SELECT nothing | Client | ClientRead | f | t\n"
    );
    b.ok("ROLLBACK");
    assert_eq!(
        shown(&mut a),
        "idle | ROLLBACK | Client | ClientRead | t | t\n"
    );
    // A known text, with another constant, and a prepared statement.
    b.ok("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    for n in 0..4 {
        b.ok(&format!("SELECT id FROM t WHERE id = {n}"));
        assert!(shown(&mut a).starts_with(&format!("idle | SELECT id FROM t WHERE id = {n} | ")));
    }
    assert_eq!(
        a.ok(
            "SELECT state, usename, datname, backend_type, application_name, client_addr, client_port,
                    query LIKE 'SELECT state, usename%' AS q, xact_start = now() AS x,
                    query_start = statement_timestamp() AS s, backend_start <= now() AS b
             FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        ),
        "state | usename | datname | backend_type | application_name | client_addr | client_port | q | x | s | b\n\
         active | helios | helios | client backend |  | NULL | NULL | t | t | t | t\n"
    );
    a.ok("SET application_name = 'named'");
    assert_eq!(
        one(
            &mut b,
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'named'"
        ),
        "1"
    );
    assert_eq!(one(&mut b, "SELECT count(*) FROM pg_stat_activity"), "2");
    drop(a);
    assert_eq!(one(&mut b, "SELECT count(*) FROM pg_stat_activity"), "1");
}

/// Rows that are not read yet are of a statement that runs.
#[test]
fn a_statement_runs_as_long_as_its_rows_are_read() {
    let db = Db::new();
    let (mut a, mut b) = (db.session(), db.session());
    let state = format!(
        "SELECT state FROM pg_stat_activity WHERE pid = {}",
        pid(&mut b)
    );
    b.ok("CREATE TABLE t AS SELECT n FROM generate_series(1, 100) AS n");
    let statement =
        b.0.parse("SELECT n, count(*) FROM t GROUP BY n")
            .unwrap()
            .remove(0);
    let rows = b.0.execute(&statement, &[]).unwrap();
    assert_eq!(one(&mut a, &state), "active");
    b.print(rows);
    assert_eq!(one(&mut a, &state), "idle");
    let rows = b.0.execute(&statement, &[]).unwrap();
    b.ok("BEGIN");
    drop(rows);
    assert_eq!(one(&mut a, &state), "idle in transaction");
}

#[test]
fn those_who_wait_for_locks_are_shown_with_those_who_hold_them() {
    let db = Db::new();
    let mut watcher = db.session();
    watcher.ok("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0)");
    let mut stage = Stage::new(&db, 3);
    let number = |out: String| out.trim_end().rsplit('\n').next().unwrap().to_owned();
    let pids = [1, 2, 3].map(|who| number(stage.run(who, "SELECT pg_backend_pid()")));
    let [first, second, third] = &pids;

    stage.run(
        1,
        "SELECT pg_advisory_lock(1, 2); BEGIN; UPDATE t SET n = 1",
    );
    stage.waits(2, "SELECT pg_advisory_lock_shared(1, 2)");
    stage.waits(3, "DELETE FROM t");
    let mut event = |pid: &str| {
        one(
            &mut watcher,
            &format!(
                "SELECT state || ' ' || wait_event_type || ' ' || wait_event || ' ' || query
                 FROM pg_stat_activity WHERE pid = {pid}"
            ),
        )
    };
    assert_eq!(
        event(second),
        "active Lock advisory SELECT pg_advisory_lock_shared(1, 2)"
    );
    assert_eq!(event(third), "active Lock tuple DELETE FROM t");
    for pid in [second, third] {
        assert_eq!(
            one(&mut watcher, &format!("SELECT pg_blocking_pids({pid})")),
            format!("{{{first}}}")
        );
    }
    assert_eq!(
        one(&mut watcher, &format!("SELECT pg_blocking_pids({first})")),
        "{}"
    );
    assert_eq!(one(&mut watcher, "SELECT pg_blocking_pids(-1)"), "{}");
    let mut blocked = |who: &str, others: &str| {
        let sql = format!("SELECT pg_isolation_test_session_is_blocked({who}, '{{{others}}}')");
        one(&mut watcher, &sql)
    };
    assert_eq!(blocked(second, &format!("{third},{first}")), "t");
    assert_eq!(blocked(second, third), "f");
    assert_eq!(blocked(first, &format!("{second},{third}")), "f");
    let locks = watcher.ok(&format!(
        "SELECT CASE pid WHEN {first} THEN 1 WHEN {second} THEN 2 ELSE 3 END AS who, locktype, relation::regclass,
                classid, objid, objsubid, mode, granted
         FROM pg_locks WHERE pid <> pg_backend_pid()
         AND (relation = 't'::regclass OR locktype = 'advisory') ORDER BY 1, 2, 7, 8"
    ));
    assert_eq!(
        locks,
        "who | locktype | relation | classid | objid | objsubid | mode | granted\n\
         1 | advisory | NULL | 1 | 2 | 2 | ExclusiveLock | t\n\
         1 | relation | t | NULL | NULL | NULL | RowExclusiveLock | t\n\
         1 | relation | t | NULL | NULL | NULL | RowShareLock | t\n\
         1 | tuple | t | NULL | NULL | NULL | ExclusiveLock | t\n\
         2 | advisory | NULL | 1 | 2 | 2 | ShareLock | f\n\
         3 | relation | t | NULL | NULL | NULL | RowExclusiveLock | t\n\
         3 | relation | t | NULL | NULL | NULL | RowShareLock | t\n\
         3 | tuple | t | NULL | NULL | NULL | AccessExclusiveLock | f\n"
    );

    assert_eq!(
        one(&mut watcher, &format!("SELECT pg_cancel_backend({second})")),
        "t"
    );
    assert_eq!(
        stage.wakes(2),
        "ERROR 57014: canceling statement due to user request\n"
    );
    assert_eq!(
        one(
            &mut watcher,
            &format!("SELECT pg_terminate_backend({third})")
        ),
        "t"
    );
    let terminated = "ERROR 57P01: terminating connection due to administrator command\n";
    assert_eq!(stage.wakes(3), terminated);
    assert_eq!(stage.run(3, "SELECT 1"), terminated);
    assert_eq!(stage.run(2, "SELECT 1 AS one"), "one\n1\n");
    stage.run(1, "ROLLBACK; SELECT pg_advisory_unlock_all()");
    assert_eq!(one(&mut watcher, "SELECT count(*) FROM pg_locks"), "0");
}

#[test]
fn who_is_not_there_is_not_stopped() {
    let db = Db::new();
    let mut a = db.session();
    assert_eq!(
        a.run("SELECT pg_cancel_backend(4711); SELECT pg_terminate_backend(-1)"),
        "WARNING: PID 4711 is not a PostgreSQL server process\npg_cancel_backend\nf\n\
         WARNING: PID -1 is not a PostgreSQL server process\npg_terminate_backend\nf\n"
    );
    let pid = pid(&mut a);
    assert_eq!(
        a.run(&format!("SELECT pg_cancel_backend({pid})")),
        "ERROR 57014: canceling statement due to user request\n"
    );
    let mut b = db.session();
    assert_eq!(
        b.run(&format!("SELECT pg_terminate_backend({pid}, -1)")),
        "ERROR 22003: \"timeout\" must not be negative\n"
    );
    // It holds on to its session, so it has not ended in time.
    assert_eq!(
        b.run(&format!("SELECT pg_terminate_backend({pid}, 30)")),
        format!(
            "WARNING: backend with PID {pid} did not terminate within 30 milliseconds\n\
             pg_terminate_backend\nf\n"
        )
    );
    let waiting = thread::spawn({
        let pid = pid.clone();
        move || {
            (
                b.run(&format!("SELECT pg_terminate_backend({pid}, 60000)")),
                b,
            )
        }
    });
    drop(a);
    let (out, mut b) = waiting.join().unwrap();
    // The session may have been gone before.
    assert!(
        out.ends_with("pg_terminate_backend\nt\n") || out.contains("is not a PostgreSQL"),
        "{out}"
    );
    assert_eq!(
        b.run("SELECT pg_terminate_backend(pg_backend_pid())"),
        "ERROR 57P01: terminating connection due to administrator command\n"
    );
}

#[test]
fn others_are_hidden_from_ordinary_roles() {
    let db = Db::new();
    let mut admin = db.session();
    admin.ok("CREATE ROLE r LOGIN; CREATE ROLE s LOGIN");
    let (mut r, mut again, mut s) = (db.session_of("r"), db.session_of("r"), db.session_of("s"));
    s.ok("SELECT 'a secret'");
    again.ok("SELECT 'known'");
    let pids = [&mut admin, &mut again, &mut s].map(pid);
    let [admin_pid, own, other] = &pids;
    s.ok("SELECT 'a secret'");
    again.ok("SELECT 'known'");
    let mut shown = |pid: &str| {
        r.ok(&format!(
            "SELECT usename, query, state, query_start IS NULL AS h, backend_type FROM pg_stat_activity WHERE pid = {pid}"
        ))
    };
    let columns = "usename | query | state | h | backend_type\n";
    assert_eq!(
        shown(other),
        format!("{columns}s | <insufficient privilege> | NULL | t | NULL\n")
    );
    assert_eq!(
        shown(own),
        format!("{columns}r | SELECT 'known' | idle | f | client backend\n")
    );
    assert_eq!(
        r.run(&format!(
            "SELECT pg_cancel_backend({admin_pid}); SELECT pg_terminate_backend({admin_pid});
             SELECT pg_cancel_backend({other}); SELECT pg_terminate_backend({other})"
        )),
        "ERROR 42501: must be a superuser to cancel superuser query\n\
         ERROR 42501: must be a superuser to terminate superuser process\n\
         ERROR 42501: must be a member of the role whose query is being canceled or member of pg_signal_backend\n\
         ERROR 42501: must be a member of the role whose process is being terminated or member of pg_signal_backend\n"
    );
    assert_eq!(
        one(&mut r, &format!("SELECT pg_terminate_backend({own})")),
        "t"
    );
    assert!(again.run("SELECT 1").starts_with("ERROR 57P01"));
    assert_eq!(s.run("SELECT 1 AS one"), "one\n1\n");
}

#[test]
fn a_sleep_is_shown_and_canceled() {
    let db = Db::new();
    let (mut a, mut b) = (db.session(), db.session());
    let pid = pid(&mut b);
    let sleeping = thread::spawn(move || b.run("SELECT pg_sleep(3600)"));
    let event = format!("SELECT coalesce(wait_event, '') FROM pg_stat_activity WHERE pid = {pid}");
    while one(&mut a, &event) != "PgSleep" {
        thread::yield_now();
    }
    assert_eq!(
        one(&mut a, &format!("SELECT pg_cancel_backend({pid})")),
        "t"
    );
    assert_eq!(
        sleeping.join().unwrap(),
        "ERROR 57014: canceling statement due to user request\n"
    );
}

#[test]
fn a_role_has_as_many_sessions_as_it_may() {
    let db = Db::new();
    let mut admin = db.session();
    admin.ok("CREATE ROLE r LOGIN CONNECTION LIMIT 2");
    let open = |user: &str| {
        db.instance.session(SessionOptions {
            user: user.to_owned(),
            database: "helios".to_owned(),
            ..SessionOptions::default()
        })
    };
    let first = open("r").unwrap();
    let _second = open("r").unwrap();
    for user in ["r", "nobody"] {
        if user == "nobody" {
            admin.ok("CREATE ROLE nobody LOGIN CONNECTION LIMIT 0");
        }
        let refused = open(user).unwrap_err();
        assert_eq!(refused.code.as_str(), "53300");
        assert_eq!(
            refused.message,
            format!("too many connections for role \"{user}\"")
        );
    }
    drop(first);
    assert!(open("r").is_ok());
    admin.ok("ALTER ROLE r CONNECTION LIMIT 1");
    assert!(open("r").is_err());
    admin.ok("ALTER ROLE r SUPERUSER");
    assert!(open("r").is_ok(), "of superusers there may be any number");
}
