//! Who gives way when the budget of memory is used up. That the heap stays within it is tests/memory's.

use heliosdb_storage::memory::Part;
use heliosdb_storage::*;

use super::support::*;

const BUDGET: usize = 4 << 20;

fn with_budget(bytes: usize) -> Database {
    Database::with(Options {
        memory_bytes_max: bytes,
        ..small()
    })
}

fn rows(ids: std::ops::Range<i64>) -> Vec<Row> {
    ids.map(|id| row(id, &format!("{id:0200}"))).collect()
}

/// More than any transaction here takes for its locks.
const LOCKS_BYTES: usize = 64 << 10;

/// Each has less than it may have alone; together they have four times what all may have.
#[test]
fn transactions_share_one_budget_and_none_is_refused() {
    const TRANSACTIONS: i64 = 8;
    const ROWS: i64 = 200;
    let db = with_budget(BUDGET);
    let memory = db.engine.memory();
    let share = BUDGET / 8;
    let mut open: Vec<_> = (0..TRANSACTIONS).map(|_| begin(&db.engine)).collect();
    for step in 0..ROWS / 50 {
        for (number, txn) in (0..).zip(&mut open) {
            let first = number * ROWS + step * 50;
            let rows: Vec<Row> = (first..first + 50)
                .map(|id| row(id, &format!("{id:01000}")))
                .collect();
            txn.insert(&table(), &batch(&rows)).unwrap();
            let locks = TRANSACTIONS as usize * LOCKS_BYTES;
            let held = memory.held(Part::Transactions);
            assert!(held <= 2 * share + locks, "{held}");
        }
    }
    let segments = std::fs::read_dir(db.dir.path().join("segments")).unwrap();
    assert!(segments.count() >= TRANSACTIONS as usize);
    for txn in open {
        txn.commit(Durability::Synchronous).unwrap();
    }
    assert_eq!(memory.held(Part::Transactions), 0);
    let found = scan(&db.engine.latest_view());
    assert_eq!(found.len(), (TRANSACTIONS * ROWS) as usize);
    db.reopen().check();
}

#[test]
fn short_transactions_say_nothing_and_leave_nothing() {
    let db = with_budget(BUDGET);
    for id in 0..100 {
        insert(&db.engine, &[row(id, "a")]);
    }
    let usage = db.engine.memory().usage();
    let transactions = usage.parts.iter().find(|p| p.part == Part::Transactions);
    assert_eq!(transactions.unwrap().peak_bytes, 0);
}

#[test]
fn a_memtable_is_counted_until_its_last_reader_has_ended() {
    let db = with_budget(BUDGET);
    let memory = db.engine.memory();
    insert(&db.engine, &rows(0..200));
    let before = memory.held(Part::Memtables);
    assert!(before > 200 * 200, "{before}");
    let view = db.engine.latest_view();
    db.engine.flush().unwrap();
    assert_eq!(db.engine.stats().memtable_bytes, 0);
    assert!(memory.held(Part::Memtables) >= before);
    assert_eq!(scan(&view).len(), 200);
    drop(view);
    assert_eq!(memory.held(Part::Memtables), 0);
}

#[test]
fn pages_give_way_to_queries_and_are_read_again() {
    const BUDGET: usize = 1 << 20;
    const ROWS: i64 = 5000;
    let db = with_budget(BUDGET);
    let memory = db.engine.memory();
    for first in (0..ROWS).step_by(500) {
        insert(&db.engine, &rows(first..first + 500));
    }
    db.engine.compact_all(&Interrupt::new()).unwrap();
    for id in (0..ROWS).step_by(37) {
        assert_eq!(by_id(&db.engine.latest_view(), id).len(), 1);
    }
    let cached = memory.held(Part::PageCache);
    assert_eq!(db.engine.stats().page_cache_bytes, cached);
    let asked = BUDGET / 2 - (32 << 10);
    memory.try_grow(Part::Queries, asked).unwrap();
    assert!(memory.bytes() <= BUDGET, "{:?}", memory.usage());
    assert!(memory.held(Part::PageCache) <= cached);
    assert_eq!(scan(&db.engine.latest_view()).len(), ROWS as usize);
    assert!(memory.bytes() <= BUDGET, "{:?}", memory.usage());
    // And no query takes what commits are promised.
    let more = memory.try_grow(Part::Queries, BUDGET / 2);
    assert!(matches!(more, Err(Error::OutOfMemory { .. })), "{more:?}");
    insert(&db.engine, &rows(ROWS..ROWS + 1000));
    memory.shrink(Part::Queries, asked);
}

/// A budget that is too small to work with is refused before anything is touched.
#[test]
fn a_budget_has_a_least_size() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        memory_bytes_max: (256 << 10) - 1,
        ..small()
    };
    let refused = open(&dir, &options);
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
