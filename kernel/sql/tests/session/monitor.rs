//! What is counted for operators: statements, tables, transactions.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use heliosdb_sql::{STATEMENT_LOG, Value};
use tracing::field::{Field, Visit};
use tracing::span;

use super::support::{Client, Db};

/// The rows of a query, without the names of its columns.
fn rows(session: &mut Client, sql: &str) -> String {
    let out = session.ok(sql);
    out.split_once('\n').unwrap().1.to_owned()
}

/// Calls and rows of statements like a pattern, by text.
fn statements(session: &mut Client, like: &str) -> String {
    rows(
        session,
        &format!(
            "SELECT query, calls, rows FROM pg_stat_statements WHERE query LIKE '{like}' ORDER BY 1"
        ),
    )
}

#[test]
fn statements_are_counted_without_their_constants() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE t (k int PRIMARY KEY, v text)");
    s.ok("INSERT INTO t VALUES (1, 'a'), (2, 'b')");
    s.ok("INSERT INTO t SELECT i, 'x' FROM generate_series(3, 12) AS g(i)");
    // The first is planned, the second finds its plan kept, and so do those that follow.
    for k in 1..=7 {
        s.ok(&format!("SELECT v FROM t WHERE k = {k}"));
    }
    s.ok("select  V from t where K=100 ;");
    s.ok("UPDATE t SET v = 'y' WHERE k < 4");
    s.run("SELECT 1 / 0 FROM t");
    s.ok("SELECT count(*) FROM t a, t b WHERE a.k > 5");
    assert_eq!(
        statements(&mut s, "%t%"),
        "CREATE TABLE t (k int PRIMARY KEY, v text) | 1 | 0\n\
         INSERT INTO t SELECT i, $1 FROM generate_series($2, $3) AS g(i) | 1 | 10\n\
         INSERT INTO t VALUES ($1, $2), ($3, $4) | 1 | 2\n\
         SELECT count(*) FROM t a, t b WHERE a.k > $1 | 1 | 1\n\
         SELECT v FROM t WHERE k = $1 | 8 | 7\n\
         UPDATE t SET v = $1 WHERE k < $2 | 1 | 3\n"
    );
    assert_eq!(
        rows(
            &mut s,
            "SELECT userid = (SELECT oid FROM pg_roles WHERE rolname = 'helios') AS u,
                    dbid = (SELECT oid FROM pg_database WHERE datname = 'helios') AS d, toplevel,
                    queryid <> 0 AS q, plans BETWEEN 1 AND calls AS p, total_plan_time > 0 AS pt,
                    min_exec_time > 0 AND min_exec_time <= mean_exec_time
                        AND mean_exec_time <= max_exec_time AS e,
                    abs(total_exec_time - mean_exec_time * calls) < 0.001 AS m,
                    stddev_exec_time BETWEEN 0 AND max_exec_time - min_exec_time AS s,
                    wal_bytes, shared_blks_hit, jit_functions, jit_emission_time
             FROM pg_stat_statements WHERE query LIKE 'SELECT v FROM t%'"
        ),
        "t | t | t | t | t | t | t | t | t | 0 | 0 | 0 | 0\n"
    );
}

#[test]
fn prepared_statements_are_counted_by_their_own_text() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE t (k int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')");
    let prepared = Arc::new(s.0.prepare("SELECT v FROM t WHERE k = $1", &[]).unwrap());
    for k in 0..5 {
        let param = Value::Text(k.to_string());
        let outcome = s.0.execute_prepared(&prepared, &[param]).unwrap();
        s.print(outcome);
    }
    let wanted = "SELECT v FROM t WHERE k = $1 | 5 | 1\n";
    assert_eq!(statements(&mut s, "SELECT v%"), wanted);
    // What it counted stays when it goes.
    drop(prepared);
    assert_eq!(statements(&mut s, "SELECT v%"), wanted);
    s.ok("PREPARE p AS SELECT k FROM t WHERE v = $1");
    s.ok("EXECUTE p('a'); EXECUTE p('b')");
    s.ok("DEALLOCATE p");
    assert_eq!(statements(&mut s, "EXECUTE%"), "");
    assert_eq!(statements(&mut s, "PREPARE%"), "");
    assert_eq!(
        statements(&mut s, "SELECT k%"),
        "SELECT k FROM t WHERE v = $1 | 2 | 1\n"
    );
    // The statement that asks is the one that runs.
    assert_eq!(
        rows(
            &mut s,
            "SELECT count(*) FROM pg_stat_activity a WHERE a.pid = pg_backend_pid() AND a.query_id IS NOT NULL"
        ),
        "1\n"
    );
}

#[test]
fn a_copy_and_a_cursor_are_counted_with_their_rows() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE t (k int)");
    assert_eq!(s.copy_in("COPY t FROM STDIN", b"1\n2\n3\n"), "COPY 3\n");
    s.copy_in("COPY t FROM STDIN", b"x\n");
    s.ok("COPY t TO STDOUT");
    s.ok("BEGIN; DECLARE c CURSOR FOR SELECT k FROM t; FETCH 2 FROM c; MOVE 1 FROM c; COMMIT");
    assert_eq!(
        rows(
            &mut s,
            "SELECT query, calls, rows FROM pg_stat_statements
             WHERE query !~ '^(SELECT|CREATE)' ORDER BY query COLLATE \"C\""
        ),
        "BEGIN | 1 | 0\n\
         COMMIT | 1 | 0\n\
         COPY t FROM STDIN | 1 | 3\n\
         COPY t TO STDOUT | 1 | 3\n\
         DECLARE c CURSOR FOR SELECT k FROM t | 1 | 0\n\
         FETCH 2 FROM c | 1 | 2\n\
         MOVE 1 FROM c | 1 | 0\n"
    );
}

#[test]
fn who_may_see_and_reset_statements() {
    let db = Db::new();
    let mut admin = db.session();
    admin.ok("CREATE ROLE r LOGIN PASSWORD 'opensesame'");
    let mut r = db.session_of("r");
    r.ok("SELECT 'mine'");
    assert_eq!(
        rows(
            &mut r,
            "SELECT userid = (SELECT oid FROM pg_roles WHERE rolname = 'r') AS own, queryid IS NULL AS hidden, query
             FROM pg_stat_statements ORDER BY 1, 3"
        ),
        "f | t | <insufficient privilege>\nt | f | SELECT $1\n"
    );
    assert_eq!(
        statements(&mut admin, "CREATE ROLE%"),
        "CREATE ROLE r LOGIN PASSWORD $1 | 1 | 0\n"
    );
    assert_eq!(
        r.run("SELECT pg_stat_statements_reset()"),
        "ERROR 42501: permission denied for function pg_stat_statements_reset\n"
    );
    admin.ok(
        "SELECT pg_stat_statements_reset(userid, dbid, queryid) FROM pg_stat_statements WHERE query LIKE 'CREATE ROLE%'",
    );
    assert_eq!(statements(&mut admin, "CREATE ROLE%"), "");
    assert_eq!(
        statements(&mut admin, "SELECT $1"),
        "SELECT $1 | 1 | 0\n".replace("| 0", "| 1")
    );
    admin.ok("SELECT pg_stat_statements_reset()");
    assert_eq!(
        rows(
            &mut admin,
            "SELECT dealloc, stats_reset BETWEEN pg_postmaster_start_time() AND clock_timestamp() AS r
             FROM pg_stat_statements_info"
        ),
        "0 | t\n"
    );
    assert_eq!(statements(&mut admin, "SELECT $1"), "");
    // Those whose plans were kept go on from 0.
    r.ok("CREATE TEMP TABLE t (k int PRIMARY KEY)");
    for k in 0..4 {
        r.ok(&format!("SELECT k FROM t WHERE k = {k}"));
    }
    admin.ok("SELECT pg_stat_statements_reset()");
    for k in 0..4 {
        r.ok(&format!("SELECT k FROM t WHERE k = {k}"));
    }
    assert_eq!(
        statements(&mut admin, "SELECT k FROM t%"),
        "SELECT k FROM t WHERE k = $1 | 4 | 0\n"
    );
    assert_eq!(
        rows(
            &mut admin,
            "SELECT current_setting('pg_stat_statements.max')"
        ),
        "5000\n"
    );
    assert!(
        admin
            .run("SET pg_stat_statements.max = 7")
            .starts_with("ERROR 55P02")
    );
}

/// What is counted of the table `t`.
const OF_T: &str = "SELECT seq_scan, seq_tup_read, idx_scan, idx_tup_fetch, n_tup_ins, n_tup_upd, n_tup_del, n_live_tup, n_dead_tup FROM pg_stat_user_tables WHERE relname = 't'";

#[test]
fn what_is_read_and_changed_is_counted_by_table_and_index() {
    let db = Db::new();
    let (mut s, mut other) = (db.session(), db.session());
    s.ok("CREATE TABLE t (k int PRIMARY KEY, v int); CREATE INDEX t_v ON t (v); CREATE TABLE u (k int)");
    assert_eq!(
        rows(&mut other, OF_T),
        "0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0\n"
    );
    s.ok("INSERT INTO t SELECT i, i / 10 FROM generate_series(1, 100) AS g(i)");
    s.ok("SELECT count(*), sum(v) FROM t");
    // A key, one that nobody has, and a range; on both routes.
    for route in ["on", "off"] {
        s.ok(&format!("SET helios.fast_path = {route}"));
        s.ok("SELECT v FROM t WHERE k = 7");
        s.ok("SELECT v FROM t WHERE k = 700");
        s.ok("SELECT k FROM t WHERE v = 3");
    }
    assert_eq!(
        rows(&mut other, OF_T),
        "1 | 100 | 6 | 22 | 100 | 0 | 0 | 100 | 0\n"
    );
    s.ok("UPDATE t SET v = 0 WHERE k = 1");
    s.ok("BEGIN; DELETE FROM t WHERE k = 1; ROLLBACK");
    s.ok("DELETE FROM t WHERE k = 2");
    assert_eq!(
        rows(&mut other, OF_T),
        "1 | 100 | 9 | 25 | 100 | 1 | 2 | 99 | 0\n"
    );
    assert_eq!(
        rows(
            &mut other,
            "SELECT indexrelname, idx_scan, idx_tup_read, idx_tup_fetch FROM pg_stat_user_indexes ORDER BY 1"
        ),
        "t_pkey | 7 | 5 | 5\nt_v | 2 | 20 | 20\n"
    );
    // Without an index there is none to scan.
    assert_eq!(
        rows(
            &mut other,
            "SELECT idx_scan, seq_scan, last_analyze, analyze_count FROM pg_stat_all_tables WHERE relname = 'u'"
        ),
        "NULL | 0 | NULL | 0\n"
    );
    s.ok("ANALYZE t; INSERT INTO t VALUES (200, 1), (201, 1)");
    let maintained = "SELECT last_analyze <= clock_timestamp() AS a, analyze_count, n_mod_since_analyze, last_vacuum IS NULL AS v, vacuum_count, n_ins_since_vacuum FROM pg_stat_user_tables WHERE relname = 't'";
    assert_eq!(rows(&mut other, maintained), "t | 1 | 2 | t | 0 | 102\n");
    s.ok("VACUUM");
    assert_eq!(rows(&mut other, maintained), "t | 1 | 2 | f | 1 | 0\n");
    s.ok("INSERT INTO t VALUES (202, 1); VACUUM ANALYZE t (v); VACUUM u");
    assert_eq!(rows(&mut other, maintained), "t | 2 | 0 | f | 2 | 0\n");
}

#[test]
fn vacuum_tells_what_it_did() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE t (k int); INSERT INTO t VALUES (1), (2)");
    // Whatever else the client wants to be told.
    s.ok("SET client_min_messages = error");
    let told = s.run("VACUUM (FULL, VERBOSE, ANALYZE) t");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 5, "{told}");
    assert!(lines[0].starts_with("INFO: vacuuming \"") && lines[0].ends_with(".public.t\""));
    assert!(lines[1].starts_with("INFO: finished vacuuming: "), "{told}");
    assert_eq!(
        lines[2..],
        [
            "INFO: analyzing \"public.t\"",
            "INFO: \"t\": 2 estimated total rows",
            "VACUUM"
        ]
    );
    assert_eq!(s.run("VACUUM t"), "VACUUM\n");
}

/// What is not the role's is left out of a VACUUM of all.
#[test]
fn vacuum_of_all_is_of_what_the_role_owns() {
    let db = Db::new();
    let mut root = db.session();
    root.ok("CREATE TABLE t (k int); CREATE USER ann; CREATE TABLE a (k int); ALTER TABLE a OWNER TO ann");
    let skipped = "WARNING: skipping \"t\" --- only table or database owner can";
    let mut ann = db.session_of("ann");
    assert_eq!(
        ann.run("VACUUM; ANALYZE"),
        format!("{skipped} vacuum it\nVACUUM\n{skipped} analyze it\nANALYZE\n")
    );
    let counts = "SELECT relname, vacuum_count, analyze_count FROM pg_stat_user_tables ORDER BY 1";
    assert_eq!(rows(&mut root, counts), "a | 1 | 1\nt | 0 | 0\n");
}

#[test]
fn the_end_of_transactions_is_counted() {
    let db = Db::new();
    let (mut s, mut other) = (db.session(), db.session());
    s.ok("CREATE TABLE t (k int PRIMARY KEY)");
    let counts = "SELECT xact_commit, xact_rollback, tup_inserted, tup_updated, tup_deleted, tup_fetched, deadlocks, numbackends, sessions FROM pg_stat_database";
    let mut counted = |s: &mut Client, sql: &[&str]| {
        other.ok("SELECT pg_stat_reset()");
        for sql in sql {
            s.run(sql);
        }
        // The reset itself ends behind what it begins.
        rows(&mut other, counts)
    };
    assert_eq!(
        counted(
            &mut s,
            &["INSERT INTO t VALUES (1), (2)", "SELECT 1", "SHOW timezone"]
        ),
        "4 | 0 | 2 | 0 | 0 | 0 | 0 | 2 | 0\n"
    );
    assert_eq!(
        counted(
            &mut s,
            &["INSERT INTO t VALUES (1)", "SELECT 1 / 0", "SELECT nothing"]
        ),
        "1 | 3 | 0 | 0 | 0 | 0 | 0 | 2 | 0\n"
    );
    assert_eq!(
        counted(
            &mut s,
            &["BEGIN", "UPDATE t SET k = 3 WHERE k = 1", "COMMIT"]
        ),
        "2 | 0 | 0 | 1 | 0 | 1 | 0 | 2 | 0\n"
    );
    assert_eq!(
        counted(
            &mut s,
            &[
                "BEGIN",
                "DELETE FROM t WHERE k = 3",
                "SELECT 1 / 0",
                "COMMIT"
            ]
        ),
        "1 | 1 | 0 | 0 | 1 | 1 | 0 | 2 | 0\n"
    );
    // What is prepared is no transaction.
    let prepared = s.0.prepare("SELECT k FROM t WHERE k = $1", &[]).unwrap();
    drop(prepared);
    assert_eq!(
        counted(&mut s, &["BEGIN", "ROLLBACK"]),
        "1 | 1 | 0 | 0 | 0 | 0 | 0 | 2 | 0\n"
    );
    // What a session counted stays when it ends.
    let mut third = db.session();
    assert_eq!(
        counted(&mut third, &["SELECT 1"]),
        "2 | 0 | 0 | 0 | 0 | 0 | 0 | 3 | 0\n"
    );
    drop(third);
    drop(db.session());
    assert_eq!(
        rows(&mut s, "SELECT sessions, numbackends FROM pg_stat_database"),
        "1 | 2\n"
    );
    s.ok("CREATE ROLE r LOGIN");
    assert_eq!(
        db.session_of("r").run("SELECT pg_stat_reset()"),
        "ERROR 42501: permission denied for function pg_stat_reset\n"
    );
}

/// Gathers what is logged of statements: the message, then each field but the statement's number.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn take(&self) -> String {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = match field.name() {
            "statement_id" => return,
            // How long it took is another number each time.
            "duration_ms" => "some".to_owned(),
            _ => format!("{value:?}"),
        };
        match field.name() {
            "message" => write!(self.0, "{value}:").unwrap(),
            name => write!(self.0, " {name}={value}").unwrap(),
        }
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == STATEMENT_LOG
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut log = self.0.lock().unwrap();
        event.record(&mut Fields(&mut log));
        log.push('\n');
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[test]
fn statements_are_logged_as_settings_say_and_without_passwords() {
    let db = Db::new();
    let (mut s, log) = (db.session(), Log::default());
    let _guard = tracing::subscriber::set_default(log.clone());
    s.ok("CREATE TABLE t (k int PRIMARY KEY)");
    s.run("SELECT 1 / 0");
    s.run("SELECT nothing; SELEC 1");
    s.run("SELEC 1");
    assert_eq!(
        log.take(),
        "statement failed: user=helios database=helios sqlstate=22012 error=division by zero statement=SELECT 1 / 0\n\
         statement failed: user=helios database=helios sqlstate=42601 error=syntax error at or near \"SELEC\" statement=SELECT nothing; SELEC 1\n\
         statement failed: user=helios database=helios sqlstate=42601 error=syntax error at or near \"SELEC\" statement=SELEC 1\n"
    );
    // Rows that fail while they are read.
    s.run("SELECT 1 / (g - 5000) FROM generate_series(1, 9000) AS g");
    assert!(
        log.take()
            .contains("error=division by zero statement=SELECT 1 / (g - 5000)")
    );
    // As drivers do it.
    s.0.prepare("SELECT nothing", &[]).unwrap_err();
    assert_eq!(
        log.take(),
        "statement failed: user=helios database=helios sqlstate=42703 error=column \"nothing\" does not exist statement=SELECT nothing\n"
    );
    s.ok("SET log_min_error_statement = panic");
    s.run("SELECT 1 / 0");
    assert_eq!(log.take(), "");
    s.ok("SET log_min_duration_statement = 0");
    s.ok("SELECT k FROM t WHERE k = 1; SELECT g FROM generate_series(1, 2) AS g");
    s.ok("CREATE ROLE r LOGIN PASSWORD 'opensesame'");
    s.ok("RESET log_min_duration_statement; SELECT 2");
    assert_eq!(
        log.take(),
        "slow statement: user=helios database=helios duration_ms=some statement=SELECT k FROM t WHERE k = 1\n\
         slow statement: user=helios database=helios duration_ms=some statement=SELECT g FROM generate_series(1, 2) AS g\n\
         slow statement: user=helios database=helios duration_ms=some statement=CREATE ROLE r LOGIN PASSWORD $1\n\
         slow statement: user=helios database=helios duration_ms=some statement=RESET log_min_duration_statement\n"
    );
    let mut logged = |level: &str| {
        s.ok(&format!("SET log_statement = {level}"));
        log.take();
        s.ok("CREATE TABLE u (k int); INSERT INTO u VALUES (1); TRUNCATE u; SELECT 1");
        s.ok("PREPARE p AS DELETE FROM u; EXECUTE p; DEALLOCATE p; DROP TABLE u");
        s.ok("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION f()");
        let lines = log.take();
        let texts = lines.lines().map(|line| {
            let text = line.strip_prefix("statement: user=helios database=helios statement=");
            text.unwrap().split(' ').next().unwrap().to_owned()
        });
        texts.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(logged("ddl"), "CREATE DROP CREATE DROP");
    assert_eq!(
        logged("mod"),
        "CREATE INSERT TRUNCATE PREPARE DROP CREATE DROP"
    );
    assert_eq!(
        logged("all"),
        "CREATE INSERT TRUNCATE SELECT PREPARE EXECUTE DEALLOCATE DROP CREATE DROP"
    );
    s.ok("SET log_statement = none; SET log_min_error_statement = error");
    log.take();
    s.run("ALTER ROLE r PASSWORD 'opensesame' 'twice'");
    s.run("ALTER ROLE nobody PASSWORD 'opensesame'");
    s.run("ALTER ROLE r PASSWORD 'opensesame");
    let logged = log.take();
    assert_eq!(logged.lines().count(), 3, "{logged}");
    assert!(!logged.contains("sesame"), "{logged}");
    // An ordinary role has no say.
    let mut r = db.session_of("r");
    for sql in [
        "SET log_statement = 'all'",
        "RESET log_min_duration_statement",
        "SELECT set_config('log_min_error_statement', 'panic', false)",
    ] {
        let parameter = sql
            .split(['\'', ' '])
            .find(|word| word.starts_with("log_"))
            .unwrap();
        assert_eq!(
            r.run(sql),
            format!("ERROR 42501: permission denied to set parameter \"{parameter}\"\n")
        );
    }
    assert_eq!(
        rows(
            &mut r,
            "SELECT name, setting, context, vartype FROM pg_settings WHERE name LIKE 'log\\_%' ORDER BY 1"
        ),
        "log_min_duration_statement | -1 | superuser | integer\n\
         log_min_error_statement | error | superuser | enum\n\
         log_statement | none | superuser | enum\n"
    );
    assert!(s.run("SET log_statement = some").starts_with("ERROR 22023"));
    assert_eq!(
        s.ok("SET log_min_duration_statement = '2 s'; SHOW log_min_duration_statement"),
        "SET\nlog_min_duration_statement\n2s\nSHOW\n"
    );
}
