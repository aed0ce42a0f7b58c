//! Sums of products, which are added without being made.

use expect_test::expect;

use super::support::{Client, Db};

/// Decimals whose products have no place in 38 digits by their types, in some rows by their values, too.
fn factors(s: &mut Client) {
    s.ok(
        "CREATE TABLE factors (k int, a numeric(24, 4), b numeric(20, 6), c numeric);
          INSERT INTO factors SELECT g % 7, (g * 7919 % 100003 - 50000) / 10000.0, (g * 31 % 977) / 1000.0, g
              FROM generate_series(1, 3000) g;
          INSERT INTO factors VALUES (1, NULL, 1, 1), (2, 1, NULL, 1), (8, NULL, NULL, NULL), (9, 0, 0, 0),
              (3, 99999999999999999999.9999, 99999999999999.999999, 1),
              (3, -99999999999999999999.9999, 99999999999999.999999, 1),
              (4, 99999999999999999999.9999, 99999999999999.999999, 1),
              (4, 99999999999999999999.9999, 99999999999999.999999, 1);",
    );
}

#[test]
fn a_sum_of_products_is_the_sum_of_the_products() {
    let db = Db::new();
    let mut s = db.session();
    factors(&mut s);
    let made = "(a * b)::text::numeric";
    for rest in [
        "FROM factors",
        "FROM factors WHERE k = 8",
        "FROM factors WHERE k > 100",
        "FROM factors GROUP BY k ORDER BY k",
        "FROM factors GROUP BY k HAVING sum(a * b) > 0 ORDER BY sum(a * b), k",
        "FROM (SELECT k, a, b FROM factors WHERE k < 3) AS f GROUP BY ROLLUP (k) ORDER BY k",
    ] {
        for call in [
            "sum($)",
            "avg($)",
            "sum(DISTINCT $)",
            "sum($) FILTER (WHERE a > 0)",
            "avg($) FILTER (WHERE b > 0.5), sum($), count($)",
            "sum(2 * ($)) + sum($)",
        ] {
            let of = |product| select(call, product, rest);
            assert_eq!(s.ok(&of("a * b")), s.ok(&of(made)), "{call} {rest}");
        }
    }
    expect![[r#"
        sum | avg
        19999999999999999999799980000000000.0000000002 | 9999999999999999999899990000000000.0000000001
    "#]]
    .assert_eq(&s.ok("SELECT sum(a * b), avg(a * b) FROM factors WHERE k = 4 AND a > 1e9"));
}

fn select(call: &str, product: &str, rest: &str) -> String {
    format!("SELECT {} {rest}", call.replace('$', product))
}

#[test]
fn factors_are_told_in_the_plan_and_the_column_keeps_its_name() {
    let db = Db::new();
    let mut s = db.session();
    factors(&mut s);
    for (call, is_split) in [
        ("sum(a * b)", true),
        ("avg(a * b)", true),
        ("sum(a * b) FILTER (WHERE k > 1)", true),
        ("sum(DISTINCT a * b)", false),
        ("sum(a * c)", false),
        ("sum(k * k)", false),
        ("sum(a + b)", false),
    ] {
        let plan = s.ok(&format!("EXPLAIN SELECT {call} FROM factors"));
        assert_eq!(plan.contains("_of_products("), is_split, "{call}\n{plan}");
        let shown = s.ok(&format!("SELECT {call} FROM factors"));
        let name = call.split('(').next().unwrap();
        assert_eq!(shown.lines().next(), Some(name), "{shown}");
    }
    let error = s.run("SELECT sum_of_products(a, b) FROM factors");
    assert!(error.contains("42883"), "{error}");
}

#[test]
fn a_constant_is_added_as_a_column_is() {
    let db = Db::new();
    let mut s = db.session();
    let columns = [
        "a numeric(15,2)",
        "b numeric(6,-2)",
        "c numeric(38,0)",
        "d numeric(37,36)",
        "e numeric",
    ];
    let constants = [
        "1",
        "-1.5",
        "0.001",
        "99999999999999999999999999999999999999",
        "NULL::numeric(3,1)",
    ];
    s.ok(&format!("CREATE TABLE added ({})", columns.join(", ")));
    s.ok("INSERT INTO added VALUES (0.07, 1200, 1, 1.5, 3), (-12.30, -99900, -7, -0.1, 'NaN'), (NULL, NULL, NULL, NULL, NULL)");
    for constant in constants {
        for column in ["a", "b", "c", "d", "e"] {
            for sum in ["$ + &", "& + $", "$ - &", "& - $"] {
                let of = |constant: &str| sum.replace('$', column).replace('&', constant);
                let by_constant = format!("SELECT {} FROM added", of(constant));
                // What is not known before a row is read is a column's value.
                let held = format!("(SELECT {constant} AS k FROM added OFFSET 0 LIMIT 1) h");
                let by_column = format!("SELECT {} FROM added, {held}", of("k"));
                let rows = |text: String| text.split_once('\n').map(|(_, rows)| rows.to_owned());
                assert_eq!(
                    rows(s.run(&by_constant)),
                    rows(s.run(&by_column)),
                    "{by_constant}"
                );
            }
        }
    }
}
