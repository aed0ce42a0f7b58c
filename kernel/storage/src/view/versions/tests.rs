//! How much of a database is open while all of it is read.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{Field, Schema};

use super::*;
use crate::engine::Engine;
use crate::interrupt::Interrupt;
use crate::io::disk::Disk;
use crate::lock::{LockWait, RowLockMode};
use crate::options::Options;
use crate::schema::{ColumnDef, ColumnType};
use crate::transaction::{Durability, Isolation, Transaction};

const TABLE: CollectionId = CollectionId(2000);
const STORE: CollectionId = CollectionId(500);
/// What a vector begins with; it doubles after that.
const LEAST_ROOM: usize = 4;

fn table() -> Arc<TableDef> {
    Arc::new(TableDef {
        id: TABLE,
        columns: vec![ColumnDef::new(ColumnType::Int64)],
        computed: Vec::new(),
        retention: None,
        indexes: Vec::new(),
    })
}

fn numbers(numbers: Range<i64>) -> RecordBatch {
    let field = Field::new("c0", ColumnType::Int64.arrow(), true);
    let column = Arc::new(Int64Array::from_iter_values(numbers));
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).unwrap()
}

/// Blocks of eight rows.
fn database(dir: &tempfile::TempDir) -> Engine {
    let options = Options {
        page_bytes: 16,
        compaction_in_background: false,
        ..Options::default()
    };
    let io = Arc::new(Disk::open(dir.path()).unwrap());
    let engine = Engine::open(io, options).unwrap();
    segment(&engine, |txn| txn.define_table(&table()).unwrap());
    engine
}

/// What a transaction does, in a segment of its own.
fn segment<T>(engine: &Engine, write: impl FnOnce(&mut Transaction) -> T) -> T {
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    let written = write(&mut txn);
    txn.commit(Durability::Asynchronous).unwrap();
    engine.flush().unwrap();
    written
}

fn update(engine: &Engine, rows: &[RowId]) {
    segment(engine, |txn| {
        for row in rows {
            let (mode, wait) = (RowLockMode::Update, LockWait::NoWait);
            txn.lock_row(TABLE, *row, mode, wait).unwrap();
        }
        let batch = numbers(0..rows.len() as i64);
        txn.update(&table(), rows, &batch).unwrap();
    });
}

/// Read all rows; how many, and the room that there came to be for open streams.
fn read(engine: &Engine, which: RowVersions) -> (usize, usize) {
    let mut scan = engine.latest_view().row_versions(&table(), which).unwrap();
    assert_eq!(scan.open.len(), 0);
    let mut rows = 0;
    for batch in scan.by_ref() {
        rows += batch.unwrap().num_rows();
    }
    assert_eq!(scan.open.len(), 0);
    // It never shrinks, so it tells of every moment.
    (rows, scan.open.capacity())
}

#[test]
fn of_segments_beside_each_other_one_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let engine = database(&dir);
    for part in 0..40 {
        let rows = numbers(part * 20..(part + 1) * 20);
        segment(&engine, |txn| txn.insert(&table(), &rows).unwrap());
    }
    assert_eq!(engine.latest_view().0.path.own().segments().count(), 41);
    let (rows, room) = read(&engine, RowVersions::Current);
    assert_eq!((rows, room), (800, LEAST_ROOM));
    assert_eq!(read(&engine, RowVersions::Superseded), (0, 0));
}

#[test]
fn of_segments_on_each_other_those_are_open_that_are_at_one_place() {
    let dir = tempfile::tempdir().unwrap();
    let engine = database(&dir);
    // Ten heaps of four: rows, and three updates, each of every third.
    for _ in 0..10 {
        let inserted = segment(&engine, |txn| {
            txn.insert(&table(), &numbers(0..30)).unwrap()
        });
        for third in 0..3 {
            let rows: Vec<_> = inserted[third..].iter().step_by(3).copied().collect();
            update(&engine, &rows);
        }
    }
    for which in [RowVersions::Current, RowVersions::Superseded] {
        let (rows, room) = read(&engine, which);
        assert_eq!((rows, room), (300, LEAST_ROOM), "{which:?}");
    }

    // Fourteen over all of them.
    let every: Vec<RowId> = (1..=300).map(RowId).collect();
    for shift in 0..14 {
        let rows: Vec<_> = every[shift..].iter().step_by(14).copied().collect();
        update(&engine, &rows);
    }
    let (rows, room) = read(&engine, RowVersions::Current);
    assert_eq!(rows, 300);
    assert!((14..=2 * 14).contains(&room), "{room}");
    let (rows, room) = read(&engine, RowVersions::Superseded);
    assert_eq!(rows, 600);
    assert!((14 + 4..=2 * (14 + 4)).contains(&room), "{room}");
}

#[test]
fn of_sorted_segments_those_are_open_that_are_at_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let engine = database(&dir);
    for part in 0..40u32 {
        segment(&engine, |txn| {
            for key in part * 20..(part + 1) * 20 {
                txn.put(STORE, &key.to_be_bytes(), b"old").unwrap();
            }
        });
    }
    let read = || {
        let mut versions = engine.latest_view().versions(STORE).unwrap();
        assert_eq!(versions.open.len(), 0);
        let found: Vec<Version> = versions.by_ref().map(Result::unwrap).collect();
        let place = |v: &Version| (v.key.clone(), std::cmp::Reverse(v.begin));
        assert!(found.is_sorted_by(|a, b| place(a) < place(b)));
        (found.len(), versions.open.capacity())
    };
    assert_eq!(read(), (800, LEAST_ROOM));
    for shift in 0..9u32 {
        segment(&engine, |txn| {
            for key in (shift..800).step_by(9) {
                txn.put(STORE, &key.to_be_bytes(), b"new").unwrap();
            }
        });
    }
    let (found, room) = read();
    assert_eq!(found, 1600);
    assert!((9 + 1..=2 * (9 + 1)).contains(&room), "{room}");
}
