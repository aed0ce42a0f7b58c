//! AS OF against a memory of what there was: random statements, each remembered with its SCN.

use super::*;

/// Steelhammer's xorshift; the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What there was at an SCN: queries as of now then, and their answers.
struct Moment {
    scn: i64,
    answers: Vec<(String, Vec<String>)>,
}

/// Queries of a table, with `$` where AS OF goes. The columns are known from `SELECT *`.
const QUERIES: [&str; 4] = [
    "SELECT * FROM @ $ ORDER BY id",
    "SELECT id, n FROM @ $ t WHERE id = 3",
    "SELECT id FROM @ $ t WHERE n BETWEEN 20 AND 60 ORDER BY id",
    "SELECT count(*), sum(n), max(id) FROM @ $",
];

fn remember(db: &Database, tables: &[&str]) -> Moment {
    let scn = rows(db, "SELECT helios_current_scn()")[0].parse().unwrap();
    let mut answers = Vec::new();
    for table in tables {
        for query in QUERIES {
            let query = query.replace('@', table);
            let answer = rows(db, &query.replace('$', ""));
            answers.push((query, answer));
        }
    }
    Moment { scn, answers }
}

/// Runs one random statement on a table that has `id`, `n` and columns that come and go.
fn change(db: &Database, numbers: &mut Numbers, table: &str, step: u64) {
    let id = numbers.below(12);
    let n = numbers.below(100);
    let (low, high) = (numbers.below(100), numbers.below(100));
    let column = format!("c{}", numbers.below(3));
    let index = format!("{table}_{}", numbers.below(2));
    let sql = match numbers.below(20) {
        0..=6 => format!(
            "INSERT INTO {table} (id, n) VALUES ({id}, {n}), ({}, {low}) ON CONFLICT (id) DO UPDATE SET n = excluded.n",
            id + 12
        ),
        7..=10 => {
            format!("UPDATE {table} SET n = n + {n} WHERE n BETWEEN {low} AND {high} OR id = {id}")
        }
        11..=12 => format!("DELETE FROM {table} WHERE id = {id} OR n = {n}"),
        13 => format!("ALTER TABLE {table} ADD COLUMN {column} text DEFAULT 'added in {step}'"),
        14 => format!("ALTER TABLE {table} DROP COLUMN {column}"),
        15 => format!("CREATE INDEX {index} ON {table} (n)"),
        16 => format!("DROP INDEX {index}"),
        17 => format!(
            "BEGIN; UPDATE {table} SET n = -n; DELETE FROM {table} WHERE id < 4; ROLLBACK; \
             INSERT INTO {table} SELECT i, i FROM generate_series(30, 33) i ON CONFLICT DO NOTHING"
        ),
        18 if step.is_multiple_of(3) => format!("TRUNCATE {table}"),
        18 => format!(
            "DROP TABLE {table}; CREATE TABLE {table} (n int, id int PRIMARY KEY, extra text DEFAULT '{step}')"
        ),
        _ => "CHECKPOINT".to_owned(),
    };
    // A column or an index that is there already, or is not.
    match db.execute(&sql) {
        Ok(_) => {}
        Err(e) if ["42701", "42703", "42P07", "42704"].contains(&e.code.as_str()) => {}
        Err(e) => panic!("{sql}: {e}"),
    }
}

fn check(db: &Database, moments: &[Moment], place: &str) {
    for moment in moments {
        for (query, expected) in &moment.answers {
            let literal = query.replace('$', &format!("AS OF SCN {}", moment.scn));
            assert_eq!(&rows(db, &literal), expected, "{place}: {literal}");
        }
        let (query, expected) = &moment.answers[0];
        let sql = query.replace('$', "AS OF TIMESTAMP helios_timestamp($1)");
        let found = db.query(&sql, &[&moment.scn]).unwrap();
        assert_eq!(
            found.len(),
            expected.len(),
            "{place}: {sql} with {}",
            moment.scn
        );
    }
}

/// Through changes of rows and definitions, checkpoints, a restart, and the way into Full.
#[test]
fn every_remembered_moment_reads_the_same() {
    let place = Place::new();
    let mut numbers = Numbers(20_261_121);
    let mut db = place.open("lite");
    let tables = ["a", "b"];
    for table in tables {
        db.execute(&format!("CREATE TABLE {table} (id int PRIMARY KEY, n int)"))
            .unwrap();
    }
    let mut moments = vec![remember(&db, &tables)];
    for step in 0..50 {
        let table = tables[usize::try_from(numbers.below(2)).unwrap()];
        change(&db, &mut numbers, table, step);
        moments.push(remember(&db, &tables));
        if step % 20 == 19 {
            db.close().unwrap();
            db = place.open("lite");
        }
    }
    check(&db, &moments, "lite");
    place.export(&db, "dump");
    db.close().unwrap();
    check(&place.open("lite"), &moments, "lite, opened again");

    let report = place.import("dump", "full").unwrap();
    assert!(report.is_equal(), "{}", report.to_text());
    let new = full(&place.path("full"));
    check(&new, &moments, "full");
    // The past stays as it is when the new database goes on.
    for step in 0..20 {
        change(&new, &mut numbers, tables[0], step);
        moments.push(remember(&new, &tables));
    }
    check(&new, &moments, "full, later");
    new.close().unwrap();
}

/// What was dropped before the dump can be read in Full, as of when it was there.
#[test]
fn a_table_that_was_dropped_comes_along() {
    let place = Place::new();
    let db = place.open("lite");
    db.execute(
        "CREATE TABLE lost (a int PRIMARY KEY, b text); CREATE INDEX lost_b ON lost (b); \
         INSERT INTO lost VALUES (1, 'one'), (2, 'two')",
    )
    .unwrap();
    let then = rows(&db, "SELECT helios_current_scn()")[0].clone();
    db.execute("DROP TABLE lost; CREATE TABLE kept (a int); CREATE VIEW v AS SELECT 1 AS one")
        .unwrap();
    db.execute(&format!(
        "CREATE VIEW old AS SELECT b FROM lost AS OF SCN {then} WHERE a = 2"
    ))
    .unwrap();
    place.export(&db, "dump");
    db.close().unwrap();
    place.import("dump", "full").unwrap();
    let db = full(&place.path("full"));
    for (query, expected) in [
        (
            "SELECT a, b FROM lost AS OF SCN $ ORDER BY a",
            vec!["1|one", "2|two"],
        ),
        ("SELECT b FROM lost AS OF SCN $ WHERE a = 2", vec!["two"]),
        ("SELECT a FROM lost AS OF SCN $ WHERE b = 'one'", vec!["1"]),
        ("SELECT b FROM old", vec!["two"]),
    ] {
        assert_eq!(rows(&db, &query.replace('$', &then)), expected, "{query}");
    }
    let gone = db.query("SELECT * FROM lost AS OF NOW", &[]).err().unwrap();
    assert_eq!(gone.code.as_str(), "42P01");
    db.close().unwrap();
}

/// A time of which a database does not know everything is refused, with what it does know.
#[test]
fn history_ends_where_it_ends() {
    let place = Place::new();
    let db = place.open("lite");
    db.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
        .unwrap();
    let mut out = File::create(place.path("dump")).unwrap();
    let options = ExportOptions {
        history: false,
        ..ExportOptions::default()
    };
    db.export(&mut out, &options, &Silent).unwrap();
    drop(out);
    let then = rows(&db, "SELECT helios_current_scn()")[0].clone();
    db.close().unwrap();
    place.import("dump", "full").unwrap();
    let db = full(&place.path("full"));
    let before: u64 = then.parse::<u64>().unwrap() - 1;
    let sql = format!("SELECT * FROM t AS OF SCN {before}");
    let error = db.query(&sql, &[]).err().unwrap();
    assert_eq!(error.code.as_str(), "22023");
    assert!(
        error
            .hint
            .as_deref()
            .is_some_and(|h| h.starts_with("History goes back to 20")),
        "{error}"
    );
    assert_eq!(rows(&db, "SELECT a FROM t AS OF NOW"), ["1"]);
    db.close().unwrap();
}
