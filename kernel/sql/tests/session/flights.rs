//! The flights of New York 2013: real data, foreign keys included.

use super::support::Db;

/// The flights of 2013 with their foreign keys, when the data is at hand: `NYCFLIGHTS13` names the
/// directory with its csv files, unpacked.
#[test]
fn flights_load_and_answer() {
    let Ok(directory) = std::env::var("NYCFLIGHTS13") else {
        println!("skipped: NYCFLIGHTS13 does not name a directory");
        return;
    };
    let read = |name: &str| std::fs::read(format!("{directory}/{name}")).unwrap();
    let db = Db::new();
    let mut session = db.session();
    session.ok(&String::from_utf8(read("schema.sql")).unwrap());
    for (table, rows) in [
        ("airlines", 16),
        ("airports", 1458),
        ("planes", 3322),
        ("weather", 26115),
        ("flights", 336_776),
    ] {
        let copy = format!("COPY {table} FROM STDIN WITH (FORMAT csv, HEADER, NULL 'NA')");
        let tag = session.copy_in(&copy, &read(&format!("{table}.csv")));
        assert_eq!(tag, format!("COPY {rows}\n"));
    }
    let mut out = String::new();
    for query in String::from_utf8(read("queries.sql"))
        .unwrap()
        .split_inclusive(";\n")
    {
        let query = query.trim().trim_end_matches(';');
        let sql = format!("COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER)");
        let text = session.run(&sql);
        let tag = text.rfind("COPY ").unwrap_or(text.len());
        out.push_str(&text[..tag]);
    }
    let expected = String::from_utf8(read("expected.csv")).unwrap();
    pretty_compare(&expected, &out);
}

fn pretty_compare(expected: &str, found: &str) {
    for (i, (e, f)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(e, f, "line {}\n{found}", i + 1);
    }
    assert_eq!(expected.lines().count(), found.lines().count(), "{found}");
}
