//! EXPLAIN's options, and ANALYZE of what writes. Plans themselves are not PostgreSQL's.

use expect_test::expect;
use heliosdb_sql::Value;

use super::support::{Client, Db, check};

/// Two columns of a table, and a client.
fn table(db: &Db) -> Client {
    let mut client = db.session();
    client.ok(
        "CREATE TABLE t (k int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 10), (2, 20), (3, 30);
         CREATE TABLE log (k int)",
    );
    client
}

#[test]
fn analyze_runs_what_writes() {
    let db = Db::new();
    let mut s = table(&db);
    let plan =
        s.ok("EXPLAIN (ANALYZE, TIMING off, SUMMARY off) UPDATE t SET n = n + 1 WHERE k = 2");
    assert!(
        plan.contains(
            "Update on t, metrics=[output_rows=1]\n  FastPath, metrics=[output_rows=1]\n"
        ),
        "{plan}"
    );
    assert_eq!(s.run("SELECT n FROM t WHERE k = 2"), "n\n21\n");
    let plan = s.ok("EXPLAIN (ANALYZE, TIMING off, SUMMARY off) INSERT INTO t VALUES (4, 40), (5, 50) RETURNING k");
    assert!(
        plan.contains("Insert on t, metrics=[output_rows=2]\n"),
        "{plan}"
    );
    let plan = s.ok(
        "EXPLAIN (ANALYZE, TIMING off, SUMMARY off) INSERT INTO log SELECT k FROM t WHERE n > 20",
    );
    assert!(
        plan.contains("Insert on log, metrics=[output_rows=4]\n"),
        "{plan}"
    );
    assert!(plan.contains("TableScan: table=t"), "{plan}");
    let plan = s.ok("EXPLAIN (ANALYZE, SUMMARY off) DELETE FROM t WHERE n > 35");
    assert!(
        plan.contains("Delete on t, metrics=[output_rows=2]\n"),
        "{plan}"
    );
    assert!(plan.contains("elapsed_compute="), "{plan}");
    assert_eq!(
        s.run("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM log)"),
        "count | count\n3 | 4\n"
    );
    // Within a block it goes with the block.
    s.ok("BEGIN; EXPLAIN ANALYZE DELETE FROM t; ROLLBACK");
    assert_eq!(s.run("SELECT count(*) FROM t"), "count\n3\n");
    s.ok("EXPLAIN DELETE FROM t");
    assert_eq!(s.run("SELECT count(*) FROM t"), "count\n3\n");
    assert_eq!(
        s.run("EXPLAIN ANALYZE INSERT INTO t VALUES (1, 1)"),
        "ERROR 23505: duplicate key value violates unique constraint \"t_pkey\"\nDETAIL: Key (k)=(1) already exists.\n"
    );
    assert_eq!(
        s.run("BEGIN READ ONLY; EXPLAIN ANALYZE DELETE FROM t"),
        "BEGIN\nERROR 25006: cannot execute DELETE in a read-only transaction\n"
    );
    s.ok("ROLLBACK");
    s.ok("CREATE SEQUENCE counter; EXPLAIN ANALYZE SELECT nextval('counter')");
    assert_eq!(s.run("SELECT nextval('counter')"), "nextval\n2\n");
}

#[test]
fn parts_of_a_statement_are_shown_and_run() {
    let db = Db::new();
    let mut s = table(&db);
    let moves = "WITH d AS (DELETE FROM t WHERE k = 1 RETURNING k) INSERT INTO log SELECT k FROM d";
    let plan = s.ok(&format!("EXPLAIN {moves}"));
    assert!(
        plan.contains("Insert on log\n  CTE d\n    Delete on t\n      FastPath\n"),
        "{plan}"
    );
    assert_eq!(s.run("SELECT count(*) FROM log"), "count\n0\n");
    let plan = s.ok(&format!("EXPLAIN (ANALYZE, TIMING off) {moves}"));
    assert!(plan.contains("Insert on log, metrics=[output_rows=1]\n  CTE d\n    Delete on t\n      FastPath, metrics=[output_rows=1]\n"), "{plan}");
    assert!(
        plan.contains("\nPlanning Time: ") && plan.contains("\nExecution Time: "),
        "{plan}"
    );
    assert_eq!(s.run("SELECT * FROM log"), "k\n1\n");
    let merge =
        "MERGE INTO t USING log ON t.k = log.k WHEN NOT MATCHED THEN INSERT VALUES (log.k, 0)";
    let plan = s.ok(&format!("EXPLAIN (ANALYZE, SUMMARY off) {merge}"));
    assert!(
        plan.contains("Merge on t, metrics=[output_rows=1]\n"),
        "{plan}"
    );
    assert_eq!(s.run("SELECT n FROM t WHERE k = 1"), "n\n0\n");
}

#[test]
fn options_do_what_they_say_or_are_refused() {
    check(
        "CREATE TABLE t (k int PRIMARY KEY, n int);
         INSERT INTO t VALUES (1, 10), (2, 20);
         EXPLAIN (COSTS off, TIMING off, BUFFERS off, WAL off, SUMMARY off, FORMAT text) SELECT n FROM t WHERE k = 1;
         EXPLAIN (FORMAT JSON) SELECT n FROM t WHERE k = 1;
         EXPLAIN (FORMAT 'json', ANALYZE, TIMING off, SUMMARY off) SELECT n FROM t WHERE k = 1;
         SET helios.fast_path = off;
         EXPLAIN (SETTINGS) SELECT n FROM t WHERE k = 1;
         EXPLAIN (COSTS) SELECT n FROM t;
         EXPLAIN (SETTINGS, FORMAT JSON) SELECT n FROM t;
         EXPLAIN (ANALYZE 1, TIMING 0, SUMMARY false) SELECT count(*) FROM t;
         EXPLAIN (FORMAT YAML) SELECT 1;
         EXPLAIN (FORMAT XML) SELECT 1;
         EXPLAIN (FORMAT csv) SELECT 1;
         EXPLAIN (FORMAT) SELECT 1;
         EXPLAIN (BUFFERS) SELECT 1;
         EXPLAIN (ANALYZE, WAL) SELECT 1;
         EXPLAIN (TIMING) SELECT 1;
         EXPLAIN (ANALYZE maybe) SELECT 1;
         EXPLAIN (NOTHING) SELECT 1;
         EXPLAIN SELECT $1::int;
         EXPLAIN CREATE TABLE u (a int);
         EXPLAIN QUERY PLAN SELECT 1;
         DESCRIBE SELECT 1;",
        expect![[r#"
            CREATE TABLE
            INSERT 0 2
            QUERY PLAN
            FastPath
              Projection: expr=[n@1 as n]
                Filter: k@0 = 1, by the key
                  PointRead: table=t, index=t_pkey
            EXPLAIN
            QUERY PLAN
            [
              {
                "Plan": {
                  "Node Type": "FastPath",
                  "Plans": [
                    {
                      "Details": "expr=[n@1 as n]",
                      "Node Type": "Projection",
                      "Plans": [
                        {
                          "Details": "k@0 = 1, by the key",
                          "Node Type": "Filter",
                          "Plans": [
                            {
                              "Details": "table=t, index=t_pkey",
                              "Node Type": "PointRead"
                            }
                          ]
                        }
                      ]
                    }
                  ]
                }
              }
            ]
            EXPLAIN
            QUERY PLAN
            [
              {
                "Plan": {
                  "Actual Rows": 1,
                  "Metrics": "output_rows=1",
                  "Node Type": "FastPath",
                  "Plans": [
                    {
                      "Details": "expr=[n@1 as n]",
                      "Node Type": "Projection",
                      "Plans": [
                        {
                          "Details": "k@0 = 1, by the key",
                          "Node Type": "Filter",
                          "Plans": [
                            {
                              "Details": "table=t, index=t_pkey",
                              "Node Type": "PointRead"
                            }
                          ]
                        }
                      ]
                    }
                  ]
                }
              }
            ]
            EXPLAIN
            SET
            QUERY PLAN
            FilterExec: k@0 = 1, projection=[n@1]
              CooperativeExec
                IndexScan: table=t, index=t_pkey, ranges=1
            Settings: helios.fast_path = 'off'
            EXPLAIN
            QUERY PLAN
            CooperativeExec, rows=2
              TableScan: table=t, rows=2
            EXPLAIN
            QUERY PLAN
            [
              {
                "Plan": {
                  "Node Type": "CooperativeExec",
                  "Plans": [
                    {
                      "Details": "table=t",
                      "Node Type": "TableScan"
                    }
                  ]
                },
                "Settings": {
                  "helios.fast_path": "off"
                }
              }
            ]
            EXPLAIN
            QUERY PLAN
            ProjectionExec: expr=[count(Int64(1))@0 as count], metrics=[output_rows=1, output_bytes=8.0 B, output_batches=1]
              AggregateExec: mode=Single, gby=[], aggr=[count(Int64(1))], metrics=[output_rows=1, output_bytes=8.0 B, output_batches=1]
                CooperativeExec, metrics=[]
                  TableScan: table=t, metrics=[output_rows=2, output_bytes=0.0 B, output_batches=0]
            EXPLAIN
            ERROR 0A000: EXPLAIN (FORMAT YAML) is not supported
            ERROR 0A000: EXPLAIN (FORMAT XML) is not supported
            ERROR 22023: unrecognized value for EXPLAIN option "format": "csv"
            ERROR 42601: format requires a parameter
            QUERY PLAN
            ProjectionExec: expr=[1 as ?column?]
              PlaceholderRowExec
            EXPLAIN
            ERROR 0A000: EXPLAIN option WAL is not supported
            HINT: Nobody counts what one statement logs.
            ERROR 22023: EXPLAIN option TIMING requires ANALYZE
            ERROR 42601: analyze requires a Boolean value
            ERROR 42601: unrecognized EXPLAIN option "nothing"
            ERROR 42P02: there is no parameter $1
            ERROR 0A000: EXPLAIN of this statement is not supported
            ERROR 42601: syntax error at or near "QUERY"
            ERROR 42601: syntax error at or near "DESCRIBE"
        "#]],
    );
}

/// The column's type is known before it runs.
#[test]
fn prepared_statements_and_parameters_are_explained() {
    let db = Db::new();
    let mut s = table(&db);
    s.ok("PREPARE one(int) AS SELECT n FROM t WHERE k = $1;
          PREPARE more AS UPDATE t SET n = n + $1 WHERE k = $2 RETURNING n");
    let plan = s.ok("EXPLAIN EXECUTE one(2)");
    assert!(plan.contains("FastPath"), "{plan}");
    let plan = s.ok("EXPLAIN (ANALYZE, TIMING off, SUMMARY off) EXECUTE more(5, 1)");
    assert!(
        plan.contains("Update on t, metrics=[output_rows=1]"),
        "{plan}"
    );
    assert_eq!(s.run("EXECUTE one(1)"), "n\n15\n");
    assert_eq!(
        s.run("EXPLAIN EXECUTE one"),
        "ERROR 42601: wrong number of parameters for prepared statement \"one\"\nDETAIL: Expected 1 parameters but got 0.\n"
    );
    assert_eq!(
        s.run("EXPLAIN EXECUTE nothing"),
        "ERROR 26000: prepared statement \"nothing\" does not exist\n"
    );
    // As drivers ask, with parameters beside the statement.
    let explained =
        s.0.prepare("EXPLAIN ANALYZE SELECT k FROM t WHERE n > $1", &[]);
    let explained = explained.unwrap();
    assert_eq!(explained.param_types.len(), 1);
    let twenty = Value::Text("20".to_owned());
    let outcome = s.0.execute_prepared(&explained, &[twenty]).unwrap();
    let plan = s.print(outcome);
    assert!(plan.contains("output_rows=1"), "{plan}");
    let plan = s.ok("EXPLAIN SELECT * FROM t JOIN log USING (k) FOR UPDATE OF t");
    assert!(plan.starts_with("QUERY PLAN\nLockRows\n"), "{plan}");
}

#[test]
fn json_is_told_as_json() {
    let db = Db::new();
    let mut s = table(&db);
    let prepared = s.0.prepare("EXPLAIN (FORMAT JSON) SELECT n FROM t", &[]);
    let columns = prepared.unwrap().columns.clone().unwrap();
    assert_eq!(columns[0].ty.name(), "json");
    let prepared = s.0.prepare("EXPLAIN SELECT n FROM t", &[]);
    let columns = prepared.unwrap().columns.clone().unwrap();
    assert_eq!(columns[0].ty.name(), "text");
}

/// Hits and reads of the top node of a plan in JSON.
fn buffers(plan: &str) -> [u64; 2] {
    let (start, end) = (plan.find('[').unwrap(), plan.rfind(']').unwrap());
    let plan: serde_json::Value = serde_json::from_str(&plan[start..=end]).unwrap();
    let top = &plan[0]["Plan"];
    ["Shared Hit Blocks", "Shared Read Blocks"].map(|name| top[name].as_u64().unwrap())
}

/// Pages are those of segments: what is in memory alone has none.
#[test]
fn buffers_are_the_pages_that_the_statement_asked_for() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE t (k int PRIMARY KEY, n int);
          INSERT INTO t SELECT i, i % 100 FROM generate_series(1, 20000) AS g(i)");
    let explain = "EXPLAIN (ANALYZE, BUFFERS, TIMING off, SUMMARY off, FORMAT JSON)";
    let scan = "SELECT count(n) FROM t";
    // Rows that are in memory have no pages.
    s.ok("CREATE TABLE few (n int); INSERT INTO few VALUES (1), (2)");
    let few = format!("{explain} SELECT count(n) FROM few");
    assert_eq!(buffers(&s.ok(&few)), [0, 0]);
    s.ok("CHECKPOINT");
    drop(s);
    let db = db.reopen();
    let mut s = db.session();
    // Nothing of a database that was just opened is in the cache.
    let cold = buffers(&s.ok(&format!("{explain} {scan}")));
    assert!(cold[1] > 0, "{cold:?}");
    let warm = buffers(&s.ok(&format!("{explain} {scan}")));
    assert_eq!(warm, [cold[0] + cold[1], 0]);
    let plan = s.ok("EXPLAIN (ANALYZE, BUFFERS, TIMING off, SUMMARY off) SELECT count(n) FROM t");
    // The execution has read what the scan did, and what is above the scan as well.
    let all = format!("Buffers: shared hit={}\n", warm[0]);
    assert!(plan.contains(&all), "{plan}");
    assert!(
        plan.matches("  Buffers: shared hit=").count() >= 3,
        "{plan}"
    );
    // A statement that runs is counted likewise.
    s.ok("SELECT pg_stat_statements_reset()");
    s.ok(scan);
    assert_eq!(
        s.ok(
            "SELECT shared_blks_hit, shared_blks_read FROM pg_stat_statements
              WHERE query = 'SELECT count(n) FROM t'"
        ),
        format!("shared_blks_hit | shared_blks_read\n{} | 0\n", warm[0])
    );
    // The compiled route, and what a statement looks up for its constraints.
    let point = buffers(&s.ok(&format!("{explain} SELECT n FROM t WHERE k = 7")));
    assert!(point[0] + point[1] > 0, "{point:?}");
    let insert = buffers(&s.ok(&format!("{explain} INSERT INTO t VALUES (20001, 1)")));
    assert!(insert[0] + insert[1] > 0, "{insert:?}");
    assert_eq!(s.ok("SELECT n FROM t WHERE k = 20001"), "n\n1\n");
}
