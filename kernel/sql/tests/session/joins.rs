//! Joins of several tables: their order, and what scans are told of the rows that are wanted.

use expect_test::expect;

use super::support::{Client, Db};

/// A star: a large table, three that it refers to, and one that a small one refers to. All in segments, but for a
/// few rows of each.
fn star(db: &Db) -> Client {
    let mut s = db.session();
    s.ok("CREATE TABLE region (r int PRIMARY KEY, name text NOT NULL);
          CREATE TABLE city (c int PRIMARY KEY, r int NOT NULL REFERENCES region, name text NOT NULL);
          CREATE TABLE item (i int PRIMARY KEY, kind int NOT NULL);
          CREATE TABLE buyer (b int PRIMARY KEY, c int REFERENCES city);
          CREATE TABLE sale (
            n int PRIMARY KEY, i int REFERENCES item, b int REFERENCES buyer, amount int, note text);
          INSERT INTO region SELECT g, 'region ' || g FROM generate_series(1, 5) g;
          INSERT INTO city SELECT g, g % 5 + 1, 'city ' || g FROM generate_series(1, 100) g;
          INSERT INTO item SELECT g, g % 50 FROM generate_series(1, 1000) g;
          INSERT INTO buyer SELECT g, CASE WHEN g % 10 > 0 THEN g % 100 + 1 END FROM generate_series(1, 2000) g;
          INSERT INTO sale SELECT g, g * 7 % 1000 + 1, CASE WHEN g % 9 > 0 THEN g * 13 % 2000 + 1 END, g % 100,
                 'note ' || g FROM generate_series(1, 40000) g;
          CHECKPOINT;
          INSERT INTO buyer VALUES (2001, 1);
          INSERT INTO sale VALUES (40001, 7, 2001, 1000, 'late'), (40002, 7, NULL, 1000, 'late');
          UPDATE sale SET amount = 5000 WHERE n = 77;
          DELETE FROM sale WHERE n = 78;");
    s
}

/// The joins and scans of a plan, each under what reads it.
fn shape(s: &mut Client, sql: &str) -> String {
    let plan = s.ok(&format!("EXPLAIN {sql}"));
    let is_wanted = |line: &&str| {
        ["JoinExec", "TableScan", "IndexScan"]
            .iter()
            .any(|operator| line.contains(operator))
    };
    let lines: Vec<&str> = plan.lines().filter(is_wanted).collect();
    let depth = |line: &str| line.len() - line.trim_start().len();
    let least = lines.iter().map(|line| depth(line)).min().unwrap_or(0);
    let shown = lines.iter().map(|line| {
        let operator = line.trim().split([':', ',']).next().unwrap_or_default();
        let table = line.split("table=").nth(1);
        let table = table.map(|t| t.split(',').next().unwrap_or_default());
        let shown = format!("{operator} {}", table.unwrap_or_default());
        format!("{:1$}{2}\n", "", depth(line) - least, shown.trim_end())
    });
    shown.collect()
}

/// Written from the largest table on.
const STAR: &str = "SELECT count(*), sum(amount), min(note), max(note) FROM sale JOIN buyer ON buyer.b = sale.b \
     JOIN city ON city.c = buyer.c JOIN region ON region.r = city.r JOIN item ON item.i = sale.i \
     WHERE region.name = 'region 2' AND kind < 10";

/// The same without a join.
const STAR_WITHOUT_JOINS: &str = "SELECT count(*), sum(amount), min(note), max(note) FROM sale \
     WHERE i IN (SELECT i FROM item WHERE kind < 10) AND b IN (SELECT b FROM buyer WHERE c IN \
     (SELECT c FROM city WHERE r IN (SELECT r FROM region WHERE name = 'region 2')))";

#[test]
fn joins_start_where_few_rows_are() {
    let db = Db::new();
    let mut s = star(&db);
    expect![[r#"
                  HashJoinExec
                      TableScan item
                    HashJoinExec
                        HashJoinExec
                          HashJoinExec
                              TableScan region
                            TableScan city
                          TableScan buyer
                      TableScan sale
    "#]]
    .assert_eq(&shape(&mut s, STAR));
    let found = s.ok(STAR);
    assert_eq!(found, s.ok(STAR_WITHOUT_JOINS));
    // Also in a transaction that wrote, and at another time.
    s.ok("BEGIN; UPDATE buyer SET c = 6 WHERE b % 2 = 0; INSERT INTO sale VALUES (50000, 1, 2, 1, 'a')");
    assert_eq!(s.ok(STAR), s.ok(STAR_WITHOUT_JOINS));
    assert_ne!(s.ok(STAR), found);
    s.ok("ROLLBACK");
    assert_eq!(s.ok(STAR), found);
}

/// Nobody said what is a key: segments have counted how many values there are.
#[test]
fn joins_without_keys_start_where_few_rows_are() {
    let db = Db::new();
    let mut s = db.session();
    // Each kind is in 2,000 rows of `wide`, each code in 2 of `narrow`.
    s.ok("CREATE TABLE fact (kind int, code int, n int);
          CREATE TABLE wide (kind int, n int);
          CREATE TABLE narrow (code int, n int);
          INSERT INTO fact SELECT g % 10, g % 10000, g FROM generate_series(1, 60000) g;
          INSERT INTO wide SELECT g % 10, g FROM generate_series(1, 20000) g;
          INSERT INTO narrow SELECT g % 10000, g FROM generate_series(1, 20000) g;
          CHECKPOINT");
    let joins = |first: &str, second: &str| {
        format!(
            "SELECT count(*) FROM fact JOIN {first} USING ({}) JOIN {second} USING ({}) WHERE fact.n < 3000",
            if first == "wide" { "kind" } else { "code" },
            if second == "wide" { "kind" } else { "code" }
        )
    };
    let expected = shape(&mut s, &joins("narrow", "wide"));
    assert_eq!(shape(&mut s, &joins("wide", "narrow")), expected);
    let depth = |table: &str| {
        let line = expected.lines().find(|line| line.ends_with(table)).unwrap();
        line.len() - line.trim_start().len()
    };
    assert!(depth("narrow") > depth("wide"), "{expected}");
    assert_eq!(
        s.ok(&joins("wide", "narrow")),
        s.ok(&joins("narrow", "wide"))
    );
}

#[test]
fn a_semi_join_goes_down_to_what_it_tests() {
    let db = Db::new();
    let mut s = star(&db);
    let sql = "SELECT count(*), sum(amount) FROM buyer JOIN sale ON sale.b = buyer.b \
               WHERE sale.i IN (SELECT i FROM item WHERE kind = 3)";
    expect![[r#"
                HashJoinExec
                    HashJoinExec
                        TableScan item
                      TableScan sale
                  TableScan buyer
    "#]]
    .assert_eq(&shape(&mut s, sql));
    let direct = "SELECT count(*), sum(amount) FROM sale WHERE b IS NOT NULL AND (i - 1) % 50 = 2";
    assert_eq!(s.ok(sql), s.ok(direct));
}

/// Rows that a scan gave, of a table, by EXPLAIN ANALYZE's count.
fn scanned(s: &mut Client, sql: &str, table: &str) -> u64 {
    let plan = s.ok(&format!("EXPLAIN ANALYZE {sql}"));
    let scan = plan
        .lines()
        .find(|line| line.contains(&format!("TableScan: table={table}")));
    let scan = scan.unwrap_or_else(|| panic!("no scan of {table} in\n{plan}"));
    let rows = scan
        .split("output_rows=")
        .nth(1)
        .unwrap_or_else(|| panic!("no rows in {scan}"));
    let rows = rows.split([',', ']']).next().unwrap_or_default();
    // Thousands come as "1.50 K".
    let (number, unit) = rows.split_once(' ').unwrap_or((rows, ""));
    let times = if unit == "K" { 1e3 } else { 1.0 };
    (number.parse::<f64>().unwrap() * times) as u64
}

#[test]
fn a_scan_gives_what_the_other_side_of_a_join_has() {
    let db = Db::new();
    let mut s = star(&db);
    let sql = "SELECT sum(amount) FROM item JOIN sale ON sale.i = item.i WHERE kind = 3";
    // 20 items of 1000; a few rows are in memory.
    let rows = scanned(&mut s, sql, "sale");
    assert!((800..2000).contains(&rows), "{rows}");
    let all = scanned(&mut s, "SELECT sum(amount) FROM sale", "sale");
    assert!((39_900..=40_001).contains(&all), "{all}");
    // Averages are made of the groups that are asked for only.
    let sql = "SELECT sum(s.amount) FROM sale s JOIN item ON item.i = s.i WHERE kind = 3 \
               AND s.amount < (SELECT avg(amount) FROM sale t WHERE t.i = item.i)";
    let direct = "SELECT sum(amount) FROM sale s JOIN (SELECT i, avg(amount) AS mean FROM sale GROUP BY i) m \
                  ON m.i = s.i AND amount < mean WHERE (s.i - 1) % 50 = 2";
    assert_eq!(s.ok(sql), s.ok(direct));
}

#[test]
fn what_one_run_found_out_does_not_hold_in_the_next() {
    let db = Db::new();
    let mut s = star(&db);
    // Each step of the recursion joins with other rows.
    let walk = "WITH RECURSIVE walk(n, depth) AS (SELECT 1, 0 UNION ALL \
                SELECT sale.n, depth + 1 FROM walk JOIN sale ON sale.n = walk.n * 3 + 1 WHERE depth < 9) \
                SELECT count(*), max(n), max(depth) FROM walk";
    expect![[r#"
        count | max | max
        10 | 29524 | 9
    "#]]
    .assert_eq(&s.ok(walk));
    s.ok(
        "PREPARE q(int) AS SELECT count(*) FROM item JOIN sale ON sale.i = item.i WHERE kind = $1",
    );
    for kind in [3, 4, 3] {
        let direct = format!("SELECT count(*) FROM sale WHERE i % 50 = {kind}");
        assert_eq!(s.ok(&format!("EXECUTE q({kind})")), s.ok(&direct));
    }
    // The worst row of a top-k becomes better as it goes.
    let top = "SELECT n, amount FROM sale ORDER BY amount DESC, n LIMIT 3";
    expect![[r#"
        n | amount
        77 | 5000
        40001 | 1000
        40002 | 1000
    "#]]
    .assert_eq(&s.ok(top));
}

#[test]
fn a_condition_that_fails_fails_only_where_it_is_asked() {
    let db = Db::new();
    let mut s = star(&db);
    // Most rows fail the first condition, and would fail the second with an error.
    let guarded =
        "SELECT count(*) FROM sale WHERE CASE WHEN amount > 0 THEN 10 / amount > 4 ELSE false END";
    expect![[r#"
        count
        800
    "#]]
    .assert_eq(&s.ok(guarded));
    let error = s.run("SELECT count(*) FROM sale WHERE 10 / amount > 4");
    assert!(error.contains("division by zero"), "{error}");
}

/// A scan that is asked for the keys of a join's other side, near to each other and far apart, in one partition
/// and in several, gives what one gives that is asked nothing.
#[test]
fn scans_are_asked_for_keys_of_every_kind() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE fact (n int PRIMARY KEY, k bigint, x int);
          INSERT INTO fact SELECT g, CASE WHEN g % 11 > 0 THEN (g * 7919 % 50000 - 25000)::bigint END, g % 100
          FROM generate_series(1, 30000) g;
          CREATE TABLE near (k bigint, y int);
          INSERT INTO near SELECT g * 3 - 30000, g FROM generate_series(0, 150) g;
          CREATE TABLE far (k bigint, y int);
          INSERT INTO far SELECT k, y FROM near;
          INSERT INTO far VALUES (9223372036854775807, 1), (-9223372036854775808, 2), (0, 3), (0, 4);
          CREATE TABLE many (k bigint, y int);
          INSERT INTO many SELECT g * 4 - 50000, g FROM generate_series(1, 30000) g;
          CREATE TABLE empty (k bigint, y int);
          CHECKPOINT;");
    let plan =
        s.ok("EXPLAIN SELECT count(*) FROM fact JOIN many ON many.k = fact.k AND many.y > 5");
    assert!(plan.contains("HashJoinExec"), "{plan}");
    for side in [
        "near",
        "far",
        "many",
        "empty",
        "(SELECT * FROM many UNION ALL SELECT NULL, 7)",
    ] {
        for query in [
            "SELECT count(*), sum(f.x), sum(o.y) FROM $ f JOIN & o ON o.k = f.k",
            "SELECT count(*), sum(f.x), sum(o.y) FROM $ f JOIN & o ON o.k = f.k AND o.y = f.x",
            "SELECT count(*), sum(f.x), sum(o.y) FROM & o LEFT JOIN $ f ON o.k = f.k",
            "SELECT count(*), sum(f.x), sum(o.y) FROM $ f LEFT JOIN & o ON o.k = f.k",
            "SELECT count(*), sum(f.x) FROM $ f WHERE f.k IN (SELECT k FROM & o)",
            "SELECT count(*), sum(f.x) FROM $ f WHERE f.k NOT IN (SELECT k FROM & o)",
            "SELECT count(*), sum(f.x) FROM $ f WHERE NOT EXISTS (SELECT 1 FROM & o WHERE o.k = f.k)",
        ] {
            let other = match side.starts_with('(') {
                true => format!("(SELECT * FROM {side} s)"),
                false => side.to_owned(),
            };
            let asked = query.replace('$', "fact").replace('&', &other);
            let apart = "(SELECT * FROM fact LIMIT 1000000000)";
            let apart = query.replace('$', apart).replace('&', &other);
            assert_eq!(s.ok(&asked), s.ok(&apart), "{asked}");
        }
    }
}

/// Columns of a join that have one name are found by their places.
#[test]
fn a_filter_is_asked_about_the_column_that_it_names() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE l (k int, v int);
          CREATE TABLE r (k int, v int);
          INSERT INTO l VALUES (1, 10), (2, 20);
          INSERT INTO r VALUES (2, 200), (3, 300)");
    for (query, expected) in [
        (
            "SELECT r.k FROM l RIGHT JOIN r ON l.k = r.k WHERE r.k = 3 AND l.k IS NULL",
            "k\n3\n",
        ),
        (
            "SELECT r.v FROM l RIGHT JOIN r ON l.k = r.k WHERE l.v IS NULL",
            "v\n300\n",
        ),
        (
            "SELECT l.v FROM l LEFT JOIN r ON l.k = r.k WHERE r.v IS NULL AND l.v > 5",
            "v\n10\n",
        ),
        (
            "SELECT l.k, r.k FROM l FULL JOIN r ON l.k = r.k WHERE l.k IS NULL",
            "k | k\nNULL | 3\n",
        ),
        (
            "SELECT l.k, r.k FROM l FULL JOIN r ON l.k = r.k WHERE r.k IS NULL",
            "k | k\n1 | NULL\n",
        ),
    ] {
        assert_eq!(s.ok(query), expected, "{query}");
    }
}

/// The merged column of such a chain is one of all the tables', and is not planned twice for each of them.
#[test]
fn a_long_chain_of_full_joins_by_names_is_planned() {
    let db = Db::new();
    let mut s = db.session();
    let types = ["int", "bigint", "numeric"];
    for types in [&types[..1], &types[..]] {
        let mut from = String::new();
        for n in 0..30 {
            let ty = types[n * types.len() / 30];
            s.ok(&format!(
                "CREATE TABLE t{n} (k {ty}, c{n} text); INSERT INTO t{n} VALUES ({n}, 'own'), (99, 'all')"
            ));
            from += &match n {
                0 => "t0".to_owned(),
                _ if n % 7 == 6 => format!(" LEFT JOIN t{n} USING (k)"),
                n => format!(" FULL JOIN t{n} USING (k)"),
            };
        }
        // A LEFT JOIN adds no row of its own: 4 of them.
        let found = s.ok(&format!(
            "SELECT count(*), count(k), max(k), sum(k), count(c0), count(c29) FROM {from}"
        ));
        let sum = (0..30).filter(|n| n % 7 != 6).sum::<i32>() + 99;
        let expected =
            format!("count | count | max | sum | count | count\n27 | 27 | 99 | {sum} | 2 | 2\n");
        assert_eq!(found, expected);
        let all = s.ok(&format!("SELECT * FROM {from} ORDER BY k"));
        assert_eq!(all.lines().count(), 28);
        for n in 0..30 {
            s.ok(&format!("DROP TABLE t{n}"));
        }
    }
}
