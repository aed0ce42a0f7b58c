//! What was committed between two times: cost and errors. That it is right is the model's part.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, UInt64Type};
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId, Ts};
use heliosdb_storage::*;

use super::support::*;

/// When, whose, whether it went or came, and what.
pub type Signed<K, V> = (Ts, K, i8, V);

pub fn rows_between(
    engine: &Engine,
    since: Ts,
    until: Ts,
    which: Changes,
) -> Result<Vec<Signed<RowId, Row>>> {
    let request = ChangesRequest {
        since,
        until,
        which,
        projection: vec![ColumnId(0), ColumnId(1)],
    };
    let mut changes = Vec::new();
    for batch in engine.changes(&Arc::new(table()), request)? {
        let batch = batch?;
        let times = batch.column(3).as_primitive::<UInt64Type>();
        let signs = batch.column(4).as_primitive::<Int8Type>();
        for (place, (id, row)) in unbatch(&batch).into_iter().enumerate() {
            changes.push((Ts(times.value(place)), id, signs.value(place), row));
        }
    }
    Ok(changes)
}

pub fn entries_between(
    engine: &Engine,
    collection: CollectionId,
    since: Ts,
    until: Ts,
    which: Changes,
) -> Result<Vec<Signed<Vec<u8>, Vec<u8>>>> {
    let mut changes = Vec::new();
    for change in engine.entry_changes(collection, since, until, which)? {
        let EntryChange { key, ts, old, new } = change?;
        for (sign, image) in [(-1, old), (1, new)] {
            changes.extend(image.map(|image| (ts, key.clone(), sign, image)));
        }
    }
    Ok(changes)
}

fn update(engine: &Engine, ids: &[RowId], rows: &[Row]) -> Ts {
    let mut txn = begin(engine);
    txn.update(&table(), ids, &batch(rows)).unwrap();
    txn.commit(Durability::Synchronous).unwrap()
}

/// A table of 40,000 rows, and three of them changed: in memory, in a file of their own, and merged with
/// all others. Scanning it takes hundreds of pages.
#[test]
fn few_changes_of_many_rows_read_few_pages() {
    let db = Database::with(Options {
        retention_micros: None,
        compaction_bytes_max: u64::MAX,
        ..small()
    });
    let first = |id: i64| format!("first {id:0>100}");
    let mut ids = Vec::new();
    for part in 0..4 {
        let ids_of_part = part * 10_000..(part + 1) * 10_000;
        let rows: Vec<Row> = ids_of_part.map(|id| row(id, &first(id))).collect();
        ids.extend(insert(&db.engine, &rows));
    }
    db.engine.compact_all(&Interrupt::new()).unwrap();
    let since = db.engine.latest_view().ts();
    let few = [ids[5], ids[20_000], ids[39_999]];
    let rows: Vec<Row> = [5, 20_000, 39_999].map(|id| row(id, "second")).into();
    let changed = update(&db.engine, &few, &rows);
    let until = changed;
    let mut expected = Vec::new();
    for (id, (key, _)) in few.iter().zip(&rows) {
        expected.push((changed, *id, -1, (*key, first(key.unwrap()))));
        expected.push((changed, *id, 1, (*key, "second".to_owned())));
    }
    let pages = |work: &dyn Fn()| {
        let before = db.engine.stats().pages_read;
        work();
        db.engine.stats().pages_read - before
    };
    let whole = pages(&|| drop(scan(&db.engine.latest_view())));
    assert!(whole > 800, "{whole}");
    for place in [
        "memory",
        "a file of their own",
        "one file with all",
        "one file, later",
    ] {
        for which in [Changes::Net, Changes::Every] {
            let read = pages(&|| {
                let changes = rows_between(&db.engine, since, until, which).unwrap();
                assert_eq!(changes, expected, "{place}");
            });
            // Of each row at most: keys and times of two blocks to find it, and of each image, in up to
            // two files, those and two columns.
            assert!(read <= 48, "{read} pages, in {place}");
            let read = pages(&|| {
                let changes = entries_between(&db.engine, BY_NAME, since, until, which).unwrap();
                // Each entry of a name that went, and of the one that came.
                assert_eq!(changes.len(), 6, "{place}");
            });
            assert!(read <= 48, "{read} pages of an index, in {place}");
        }
        match place {
            "memory" => db.engine.flush().unwrap(),
            "a file of their own" => {
                assert_eq!(
                    db.engine.compact_all(&Interrupt::new()).unwrap().files_out,
                    1
                );
            }
            "one file with all" => {
                insert(&db.engine, &[row(-1, "later")]);
                db.engine.compact_all(&Interrupt::new()).unwrap();
            }
            _ => {}
        }
    }
    db.check();
}

/// A version of a row with thousands of them is found without looking at the others.
#[test]
fn a_hot_row_costs_what_changed() {
    let db = Database::with(Options {
        retention_micros: None,
        ..small()
    });
    let ids = insert(&db.engine, &[row(1, "first")]);
    let mut commits = Vec::new();
    for n in 0..3000 {
        let mut txn = begin(&db.engine);
        let rows = batch(&[row(1, &format!("name {n}"))]);
        txn.update(&table(), &ids, &rows).unwrap();
        commits.push(txn.commit(Durability::Asynchronous).unwrap());
    }
    db.engine.flush().unwrap();
    let (since, until) = (commits[100], commits[103]);
    let before = db.engine.stats().pages_read;
    let changes = rows_between(&db.engine, since, until, Changes::Every).unwrap();
    let read = db.engine.stats().pages_read - before;
    let names: Vec<&str> = changes.iter().map(|change| change.3.1.as_str()).collect();
    let expected = [100, 101, 101, 102, 102, 103].map(|n| format!("name {n}"));
    assert_eq!(names, expected);
    assert!(read < 60, "{read}");
    let net = rows_between(&db.engine, since, until, Changes::Net).unwrap();
    assert_eq!(
        net,
        [changes[0].clone(), changes[5].clone()].map(|mut change| {
            change.0 = until;
            change
        })
    );
}

#[test]
fn spans_that_cannot_be_told_are_refused() {
    let db = Database::with(Options {
        retention_micros: Some(0),
        ..small()
    });
    let ids = insert(&db.engine, &[row(1, "a")]);
    let first = db.engine.latest_view().ts();
    update(&db.engine, &ids, &[row(1, "b")]);
    db.engine.flush().unwrap();
    insert(&db.engine, &[row(2, "c")]);
    let now = db.engine.latest_view().ts();
    let refused = rows_between(&db.engine, first, Ts(now.0 + 1), Changes::Net).unwrap_err();
    let Error::SnapshotTooNew { asked, latest } = refused else {
        panic!("{refused}")
    };
    assert_eq!((asked, latest), (Ts(now.0 + 1), now));
    db.engine.settle(Ts(now.0 + 1)).unwrap();
    let changes = rows_between(&db.engine, now, Ts(now.0 + 1), Changes::Every).unwrap();
    assert_eq!(changes, []);
    let backwards = rows_between(&db.engine, now, first, Changes::Net).unwrap_err();
    assert!(matches!(backwards, Error::Invalid { .. }), "{backwards}");
    db.engine.compact_all(&Interrupt::new()).unwrap();
    let refused = rows_between(&db.engine, first, now, Changes::Net).unwrap_err();
    let Error::SnapshotTooOld { asked, oldest } = refused else {
        panic!("{refused}")
    };
    assert_eq!((asked, oldest), (first, db.engine.oldest_ts()));
}
