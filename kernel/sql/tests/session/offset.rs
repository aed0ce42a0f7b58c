//! OFFSET in subqueries: which rows are skipped is for the order below it, whatever is asked above.

use super::support::Db;

#[test]
fn what_is_above_an_offset_does_not_change_what_it_skips() {
    let db = Db::new();
    let mut s = db.session();
    s.ok(
        "CREATE TABLE t (id int PRIMARY KEY, g int NOT NULL, word text NOT NULL);
          INSERT INTO t SELECT i, i * 31 % 7, 'w' || i * 7919 % 1009 FROM generate_series(1, 900) i;
          CREATE TABLE u (id int PRIMARY KEY);
          INSERT INTO u SELECT i * 3 FROM generate_series(1, 300) i",
    );
    // The rows after the tenth, said without an OFFSET.
    let numbered = "(SELECT id, g, word FROM (SELECT *, row_number() OVER (ORDER BY word) AS n FROM t) AS numbered \
                    WHERE n > 10)";
    let skipped = "(SELECT id, g, word FROM t ORDER BY word OFFSET 10)";
    let twice = "(SELECT id, g, word FROM (SELECT id, g, word FROM t ORDER BY word OFFSET 4) AS y \
                 ORDER BY word OFFSET 6)";
    let through_filter =
        "(SELECT id, g, word FROM (SELECT * FROM t ORDER BY word OFFSET 10) AS y WHERE id > 0)";
    for query in [
        "SELECT count(*), min(id), max(word) FROM $ AS x",
        "SELECT min(id) FROM $ AS x",
        "SELECT g, count(*), min(id) FROM $ AS x GROUP BY g ORDER BY g",
        "SELECT id FROM $ AS x ORDER BY id",
        "SELECT id, word FROM $ AS x ORDER BY id",
        "SELECT id, count(*) OVER (ORDER BY id) FROM $ AS x ORDER BY id",
        "SELECT x.id FROM $ AS x JOIN u ON u.id = x.id ORDER BY x.id",
        "SELECT count(*) FROM u WHERE id IN (SELECT id FROM $ AS x)",
        "SELECT id FROM $ AS x UNION SELECT id FROM u ORDER BY id",
        "SELECT DISTINCT g FROM $ AS x ORDER BY g DESC",
        "WITH w AS (SELECT id FROM $ AS x) SELECT count(*), sum(id) FROM w",
        "SELECT id FROM (SELECT id FROM $ AS x ORDER BY id OFFSET 3) AS z ORDER BY id DESC",
        "SELECT id FROM $ AS x ORDER BY id LIMIT 5",
    ] {
        let expected = s.ok(&query.replace('$', numbered));
        for subquery in [skipped, twice, through_filter] {
            let sql = query.replace('$', subquery);
            assert_eq!(s.ok(&sql), expected, "{sql}");
        }
    }
    // The order itself, and that it is one of rows and not of what happens to be stored.
    let words = s.ok("SELECT word FROM t ORDER BY word OFFSET 890");
    assert_eq!(
        words,
        s.ok(
            "SELECT word FROM (SELECT word FROM t ORDER BY word DESC LIMIT 10) AS x ORDER BY word"
        )
    );
}
