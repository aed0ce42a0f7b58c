//! Data of ten times the budget of memory, and a heap that stays within it.
//!
//! One test, because the allocator counts the whole process.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId};
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::memory::Part;
use heliosdb_storage::schema::{ColumnDef, ColumnType, IndexDef, KeyColumn, TableDef};
use heliosdb_storage::*;

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came; counting changes nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BUDGET: usize = 16 << 20;
/// A tenth more, and what a process with a log and its threads takes whatever the budget is.
const PEAK_MAX: usize = BUDGET + BUDGET / 10 + PROCESS_BYTES;
const PROCESS_BYTES: usize = 4 << 20;

const TABLE: CollectionId = CollectionId(2000);
const BY_ID: CollectionId = CollectionId(2001);
const BY_GROUP: CollectionId = CollectionId(2002);
const ROW_BYTES: usize = 1000;
const ROWS: i64 = (10 * BUDGET / ROW_BYTES) as i64;
const GROUPS: u64 = 5000;

fn table(indexes: &[CollectionId]) -> TableDef {
    let types = [ColumnType::Int64, ColumnType::Int64, ColumnType::Text];
    let key = |column| KeyColumn {
        column: ColumnId(column),
        descending: false,
        nulls_first: false,
    };
    let indexes = indexes.iter().map(|id| IndexDef {
        id: *id,
        columns: vec![key(u16::from(*id == BY_GROUP))],
        unique: *id == BY_ID,
        predicate: None,
    });
    TableDef {
        id: TABLE,
        columns: types.into_iter().map(ColumnDef::new).collect(),
        computed: Vec::new(),
        retention: None,
        indexes: indexes.collect(),
    }
}

/// Rows whose texts no codec makes much shorter.
fn batch(ids: impl Iterator<Item = i64>, version: u64) -> RecordBatch {
    let ids: Vec<i64> = ids.collect();
    let mix = |n: u64| {
        let n = (n ^ (n >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        n ^ (n >> 29)
    };
    let groups = ids
        .iter()
        .map(|id| (mix(*id as u64 + version) % GROUPS) as i64);
    let text = |id: &i64| {
        let mut n = *id as u64 * 31 + version;
        let mut text = String::with_capacity(ROW_BYTES);
        while text.len() < ROW_BYTES - 40 {
            n = mix(n.wrapping_add(1));
            text.push_str(&format!("{n:016x}"));
        }
        text
    };
    let texts = StringViewArray::from_iter_values(ids.iter().map(text));
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("c1", Arc::new(Int64Array::from_iter_values(groups)), true),
        ("c2", Arc::new(texts), true),
    ];
    let ids: ArrayRef = Arc::new(Int64Array::from(ids));
    let columns = std::iter::once(("c0", ids, true)).chain(columns);
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn open(dir: &tempfile::TempDir) -> Engine {
    let options = Options {
        memory_bytes_max: BUDGET,
        ..Options::default()
    };
    Engine::open(Arc::new(Disk::open(dir.path()).unwrap()), options).unwrap()
}

fn begin(engine: &Engine) -> Transaction {
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    txn
}

fn load(engine: &Engine) {
    let table = table(&[BY_ID]);
    let mut txn = begin(engine);
    txn.define_table(&table).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    for start in (0..ROWS).step_by(500) {
        let mut txn = begin(engine);
        let rows = batch(start..ROWS.min(start + 500), 0);
        txn.insert(&table, &rows).unwrap();
        txn.commit(Durability::Asynchronous).unwrap();
    }
}

fn everything() -> ScanRequest {
    ScanRequest {
        row_id: true,
        ..ScanRequest::columns((0..3).map(ColumnId).collect())
    }
}

/// How many rows there are, and the sum of their ids.
fn scan(view: &ReadView) -> (i64, i64) {
    let mut found = (0, 0);
    for part in view.scan(Arc::new(table(&[])), everything()).unwrap() {
        for batch in part {
            let batch = batch.unwrap();
            let ids = batch.column(0).as_primitive::<Int64Type>();
            found.0 += ids.len() as i64;
            found.1 += ids.values().iter().sum::<i64>();
        }
    }
    found
}

fn point_reads(engine: &Engine) {
    let view = engine.latest_view();
    let reader = RowReader::new(&table(&[]), &[ColumnId(0)], false, None).unwrap();
    let mut row = 7;
    for _ in 0..2000 {
        row = (row * 7919 + 13) % ROWS;
        let read = view.read(&reader, &[RowId(row as u64)]).unwrap();
        assert!(read.num_rows() <= 1);
    }
}

/// As one statement does it: what it reads is of its snapshot.
fn update_all(engine: &Engine, table: &TableDef, version: u64) {
    let mut txn = begin(engine);
    let view = txn.read_view();
    let mut updated = 0;
    for part in view.scan(Arc::new(table.clone()), everything()).unwrap() {
        for rows in part {
            let rows = rows.unwrap();
            let ids = rows.column(0).as_primitive::<Int64Type>();
            let row_ids = rows.column(3).as_primitive::<UInt64Type>();
            let row_ids: Vec<RowId> = row_ids.values().iter().map(|id| RowId(*id)).collect();
            for row in &row_ids {
                let locked = txn.lock_row(TABLE, *row, RowLockMode::NoKeyUpdate, LockWait::Block);
                assert_eq!(locked.unwrap(), RowLock::Held);
            }
            let new = batch(ids.values().iter().copied(), version);
            txn.update(table, &row_ids, &new).unwrap();
            updated += row_ids.len() as i64;
        }
    }
    assert_eq!(updated, ROWS);
    drop(view);
    txn.commit(Durability::Synchronous).unwrap();
}

fn build_index(engine: &Engine) -> TableDef {
    let table = table(&[BY_ID, BY_GROUP]);
    let mut txn = begin(engine);
    txn.lock_table(TABLE, TableLockMode::AccessExclusive, LockWait::Block)
        .unwrap();
    txn.build_index(&table, &table.indexes[1]).unwrap();
    txn.define_table(&table).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    table
}

/// Do `work`; too much for the budget is noted.
fn step<R>(what: &str, engine: &Engine, too_much: &mut Vec<String>, work: impl FnOnce() -> R) -> R {
    PEAK.store(NOW.load(Ordering::Relaxed), Ordering::Relaxed);
    let result = work();
    let peak = PEAK.load(Ordering::Relaxed);
    let usage = engine.memory().usage();
    let parts = usage.parts.iter().filter(|part| part.peak_bytes > 0);
    let parts = parts.map(|part| {
        let kb = |bytes: usize| bytes >> 10;
        format!(
            "{} {} ({})",
            part.part.name(),
            kb(part.bytes),
            kb(part.peak_bytes)
        )
    });
    let parts = parts.collect::<Vec<_>>().join(", ");
    let (now, counted) = (NOW.load(Ordering::Relaxed), usage.bytes);
    let line = format!(
        "{what}: peak {} kB, at the end {} of which {} counted; {parts}",
        peak >> 10,
        now >> 10,
        counted >> 10
    );
    println!("{line}");
    if peak > PEAK_MAX {
        too_much.push(line);
    }
    result
}

#[test]
fn data_of_ten_times_the_budget_takes_no_more_than_the_budget() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir);
    let mut too_much = Vec::new();
    let expected = (ROWS, (0..ROWS).sum());
    step("load", &engine, &mut too_much, || load(&engine));
    let scanned = step("scan", &engine, &mut too_much, || {
        scan(&engine.latest_view())
    });
    assert_eq!(scanned, expected);
    step("point reads", &engine, &mut too_much, || {
        point_reads(&engine)
    });
    let one = table(&[BY_ID]);
    step("update", &engine, &mut too_much, || {
        update_all(&engine, &one, 1)
    });
    let two = step("index", &engine, &mut too_much, || build_index(&engine));
    step("vacuum", &engine, &mut too_much, || {
        engine.compact_all(&Interrupt::new()).unwrap()
    });
    step("update with two indexes", &engine, &mut too_much, || {
        update_all(&engine, &two, 2)
    });
    let scanned = step("scan", &engine, &mut too_much, || {
        scan(&engine.latest_view())
    });
    assert_eq!(scanned, expected);
    step("vacuum", &engine, &mut too_much, || {
        engine.compact_all(&Interrupt::new()).unwrap()
    });
    let usage = engine.memory().usage();
    assert!(usage.bytes <= BUDGET, "{usage:?}");
    // Nothing is held for what is over.
    for part in [Part::Transactions, Part::Log, Part::Work, Part::Scans] {
        assert_eq!(engine.memory().held(part), 0, "{usage:?}");
    }
    engine.close().unwrap();

    let engine = open(&dir);
    let scanned = step("reopened", &engine, &mut too_much, || {
        scan(&engine.latest_view())
    });
    assert_eq!(scanned, expected);
    assert!(too_much.is_empty(), "past {PEAK_MAX} bytes: {too_much:#?}");
}
