//! Statements over more than the budget of memory: they spill, or fail alone.

use expect_test::expect;

use super::support::Db;

const BUDGET: usize = 16 << 20;

#[test]
fn what_does_not_fit_into_memory_spills_or_fails_alone() {
    let db = Db::within(BUDGET);
    let mut s = db.session();
    s.ok("CREATE TABLE t (id int PRIMARY KEY, g int, filler text)");
    s.ok(
        "INSERT INTO t SELECT i, i % 1000, repeat(((i::bigint * 7919) % 150001)::text || '-', 30)
          FROM generate_series(1, 150000) i",
    );
    let memory = db.instance.engine().memory();
    expect![[r#"
        count | sum
        150000 | 150000
    "#]]
    .assert_eq(&s.run(
        "SELECT count(*), sum(n) FROM (SELECT filler, count(*) AS n FROM t GROUP BY filler) x",
    ));
    // The build side of a hash join does not spill.
    let join = "SELECT count(*) FROM t a JOIN t b ON a.filler = b.filler AND a.g <> b.id";
    let failed = s.run(join);
    assert!(failed.starts_with("ERROR 53200: out of memory"), "{failed}");
    assert!(failed.contains("[memory] budget"), "{failed}");
    s.ok("UPDATE t SET g = g + 1");
    s.ok("CREATE INDEX ON t (g)");
    s.ok("VACUUM");
    expect![[r#"
        count | sum
        150000 | 75075000
    "#]]
    .assert_eq(&s.run("SELECT count(*), sum(g) FROM t"));
    // Nothing is left of what is over, and queries kept to their half.
    expect![[r#"
        part | bytes | is_within | was_refused
        queries | 0 | t | t
        transactions | 0 | t | f
    "#]]
    .assert_eq(&s.run(
        "SELECT part, bytes, peak_bytes <= 2 * limit_bytes AS is_within, refused > 0 AS was_refused
         FROM helios_memory WHERE part IN ('transactions', 'queries') ORDER BY part",
    ));
    assert!(memory.bytes() <= BUDGET, "{:?}", memory.usage());
}
