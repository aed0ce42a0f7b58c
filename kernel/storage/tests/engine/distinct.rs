//! How many different values a column has, told by what segments counted.

use heliosdb_storage::ids::ColumnId;
use heliosdb_storage::*;

use super::support::*;

const ID: ColumnId = ColumnId(0);
const NAME: ColumnId = ColumnId(1);

fn insert_rows(engine: &Engine, ids: std::ops::Range<i64>) {
    let rows: Vec<Row> = ids.map(|i| row(i, &format!("name {}", i % 50))).collect();
    insert(engine, &rows);
}

#[track_caller]
fn about(found: Option<u64>, expected: u64) {
    let found = found.unwrap() as f64;
    assert!(
        (found / expected as f64 - 1.0).abs() < 0.12,
        "{found} for {expected}"
    );
}

#[test]
fn values_are_counted_over_all_segments() {
    let db = Database::with(Options {
        sketch_rows_min: 100,
        ..small()
    });
    let distinct = |column| db.engine.latest_view().distinct_estimate(TABLE, column);
    insert_rows(&db.engine, 0..2000);
    assert_eq!(distinct(ID), None, "nothing is in a segment");
    db.engine.flush().unwrap();
    about(distinct(ID), 2000);
    about(distinct(NAME), 50);
    insert_rows(&db.engine, 2000..5000);
    // Rows in memory are like the others.
    about(distinct(ID), 5000);
    about(distinct(NAME), 50);
    db.engine.flush().unwrap();
    // Too few for a sketch of their own.
    insert_rows(&db.engine, 5000..5050);
    db.engine.flush().unwrap();
    about(distinct(ID), 5050);
    about(distinct(NAME), 50);
    db.engine.compact(&Interrupt::new()).unwrap();
    about(distinct(ID), 5050);
    about(distinct(NAME), 50);
    let db = db.reopen();
    let view = db.engine.latest_view();
    about(view.distinct_estimate(TABLE, ID), 5050);
    assert_eq!(view.distinct_estimate(TABLE, ColumnId(9)), None);
    assert_eq!(view.distinct_estimate(BY_ID, ID), None);
    drop(view);
    db.check();
}
