//! Plans that sessions share, and those that they may not.

use super::support::{Client, Db};

/// A plan that one session made serves the others, and none that may not have it or means another table.
#[test]
fn sessions_share_plans() {
    let db = Db::new();
    let mut owner = db.session();
    owner.ok(
        "CREATE TABLE t (k int PRIMARY KEY, n int DEFAULT 7 CHECK (n > 0), at timestamp DEFAULT now());
         INSERT INTO t VALUES (1, 1); CREATE ROLE reader LOGIN; CREATE ROLE nobody LOGIN;
         GRANT SELECT ON t TO reader",
    );
    let prepare = "PREPARE get AS SELECT n FROM t WHERE k = $1;
                   PREPARE put AS INSERT INTO t (k) VALUES ($1);
                   PREPARE add AS UPDATE t SET n = n + 1 WHERE k = $1";
    let plans = |s: &mut Client| {
        s.ok("SELECT query, sum(plans) AS plans FROM pg_stat_statements WHERE query LIKE '%t %$1%' AND query NOT LIKE '%$2)' GROUP BY query ORDER BY query")
    };
    owner.ok(prepare);
    let mut other = db.session();
    other.ok(prepare);
    for (session, k) in [(&mut owner, 2), (&mut other, 3)] {
        session.ok(&format!(
            "EXECUTE put({k}); EXECUTE add({k}); EXECUTE add(1)"
        ));
        assert_eq!(session.ok(&format!("EXECUTE get({k})")), "n\n8\n");
    }
    assert_eq!(
        plans(&mut owner),
        "query | plans\n\
         INSERT INTO t (k) VALUES ($1) | 1\n\
         SELECT n FROM t WHERE k = $1 | 1\n\
         UPDATE t SET n = n + $2 WHERE k = $1 | 1\n"
    );
    let get = "PREPARE get AS SELECT n FROM t WHERE k = $1; EXECUTE get(1)";
    let refused = "ERROR 42501: permission denied for table t\n";
    assert_eq!(db.session_of("reader").run(get), "PREPARE\nn\n3\n");
    assert!(db.session_of("nobody").run(get).starts_with(refused));
    // Whose table is their own goes by that, and leaves no plan behind for others.
    let mut own = db.session();
    own.ok("CREATE TEMP TABLE t (k int PRIMARY KEY, n int); INSERT INTO t VALUES (1, -1)");
    assert_eq!(own.ok(get), "PREPARE\nn\n-1\n");
    assert_eq!(db.session().ok(get), "PREPARE\nn\n3\n");
    let mut elsewhere = db.session();
    elsewhere.ok("CREATE SCHEMA s; CREATE TABLE s.t (k int PRIMARY KEY, n text); INSERT INTO s.t VALUES (1, 'one');
                  SET search_path = s");
    assert_eq!(elsewhere.ok(get), "PREPARE\nn\none\n");
    // What a transaction has not committed is its own.
    owner.ok("BEGIN; ALTER TABLE t ALTER n TYPE bigint USING n * 100; DEALLOCATE get");
    assert_eq!(owner.ok(get), "PREPARE\nn\n300\n");
    owner.ok("ROLLBACK; DEALLOCATE get");
    assert_eq!(owner.ok(get), "PREPARE\nn\n3\n");
    owner.ok("REVOKE ALL ON t FROM reader");
    assert!(db.session_of("reader").run(get).starts_with(refused));
}
