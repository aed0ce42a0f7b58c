//! Transactions with more writes than fit into memory: private runs, and their commit.

use std::ops::Bound;
use std::sync::Barrier;

use heliosdb_storage::ids::{CollectionId, RowId, Ts};
use heliosdb_storage::*;

use super::support::*;

const STORE: CollectionId = CollectionId(500);

/// Room for some hundred rows.
fn spilling() -> Options {
    Options {
        transaction_bytes_max: 64 << 10,
        ..small()
    }
}

fn rows(ids: std::ops::Range<i64>, name: &str) -> Vec<Row> {
    ids.map(|id| row(id, name)).collect()
}

fn segment_files(db: &Database) -> usize {
    std::fs::read_dir(db.dir.path().join("segments"))
        .unwrap()
        .count()
}

fn update(txn: &mut Transaction, ids: &[RowId], new: &[Row]) {
    for id in ids {
        let locked = txn.lock_row(TABLE, *id, RowLockMode::NoKeyUpdate, LockWait::NoWait);
        assert_eq!(locked.unwrap(), RowLock::Held);
    }
    txn.update(&table(), ids, &batch(new)).unwrap();
}

#[test]
fn a_transaction_is_ten_times_larger_than_its_memory_and_reads_what_it_wrote() {
    let db = Database::with(spilling());
    let before = insert(&db.engine, &rows(0..1000, "before"));
    let wal_bytes = db.engine.stats().wal_bytes;

    let mut txn = begin(&db.engine);
    let inserted = txn
        .insert(&table(), &batch(&rows(1000..4000, "new")))
        .unwrap();
    assert!(segment_files(&db) > 10);
    assert_eq!(scan(&txn.latest_view()).len(), 4000);
    assert_eq!(by_id(&txn.latest_view(), 1000), [inserted[0]]);
    assert_eq!(by_id(&txn.latest_view(), 3999), [inserted[2999]]);
    assert_eq!(scan(&db.engine.latest_view()).len(), 1000);
    update(&mut txn, &before, &rows(0..1000, "after"));
    txn.delete(&table(), &inserted[..500]).unwrap();
    let seen = scan(&txn.latest_view());
    assert_eq!(seen, scan_with(&txn.latest_view(), 4, 100));
    assert_eq!(seen.len(), 3500);
    assert!(seen[..1000].iter().all(|(_, (_, name))| name == "after"));
    assert_eq!(by_name(&txn.latest_view(), "before"), []);
    assert_eq!(by_name(&txn.latest_view(), "new").len(), 2500);

    let began = db.engine.latest_view().ts();
    txn.commit(Durability::Synchronous).unwrap();
    // The log has the names of files, and not a second copy of the rows.
    assert!(db.engine.stats().wal_bytes - wal_bytes < 16 << 10);
    assert_eq!(scan(&db.engine.latest_view()), seen);
    assert_eq!(scan(&db.engine.view_at(began).unwrap()).len(), 1000);
    assert_eq!(db.engine.latest_view().row_count_estimate(TABLE), 3500);

    let db = db.reopen();
    assert_eq!(scan(&db.engine.latest_view()), seen);
    assert_eq!(by_name(&db.engine.latest_view(), "after").len(), 1000);
    assert_eq!(db.engine.latest_view().row_count_estimate(TABLE), 3500);
    let next = insert(&db.engine, &[row(9000, "next")]);
    assert!(next[0] > inserted[2999]);
    db.engine.compact_all(&Interrupt::new()).unwrap();
    assert_eq!(scan(&db.engine.latest_view()).len(), 3501);
    assert_eq!(scan(&db.engine.view_at(began).unwrap()).len(), 1000);
    db.check();
}

#[test]
fn what_is_rolled_back_to_a_savepoint_is_in_no_run() {
    let db = Database::with(spilling());
    let mut txn = begin(&db.engine);
    let first = txn
        .insert(&table(), &batch(&rows(0..150, "first")))
        .unwrap();
    // In memory still, and then in one run with what comes after.
    let savepoint = txn.savepoint();
    update(&mut txn, &first, &rows(0..150, "gone"));
    txn.insert(&table(), &batch(&rows(150..2000, "gone")))
        .unwrap();
    txn.put(STORE, b"key", b"gone").unwrap();
    txn.rollback_to(savepoint);
    let expected: Vec<_> = first.iter().copied().zip(rows(0..150, "first")).collect();
    assert_eq!(scan(&txn.latest_view()), expected);
    assert_eq!(by_name(&txn.latest_view(), "gone"), []);
    assert_eq!(by_id(&txn.latest_view(), 1999), []);

    txn.insert(&table(), &batch(&rows(1990..3000, "last")))
        .unwrap();
    txn.rollback_to(savepoint);
    let last = txn
        .insert(&table(), &batch(&rows(1990..2990, "last")))
        .unwrap();
    let seen = scan(&txn.latest_view());
    assert_eq!(seen.len(), 1150);
    let ts = txn.commit(Durability::Synchronous).unwrap();
    assert_eq!(scan(&db.engine.latest_view()), seen);
    assert_eq!(by_id(&db.engine.latest_view(), 2500), [last[510]]);
    assert_eq!(db.engine.latest_view().get(STORE, b"key").unwrap(), None);
    assert_eq!(db.engine.latest_view().row_count_estimate(TABLE), 1150);
    // Of no key there are two versions of one time.
    for collection in [BY_ID, BY_NAME] {
        let versions = db.engine.latest_view().versions(collection).unwrap();
        let versions: Vec<_> = versions.map(Result::unwrap).collect();
        assert_eq!(versions.len(), 1150);
        assert!(versions.iter().all(|version| version.begin == ts));
    }
    let db = db.reopen();
    assert_eq!(scan(&db.engine.latest_view()), seen);
    db.check();
}

#[test]
fn a_rollback_leaves_no_file() {
    let db = Database::with(spilling());
    let files = segment_files(&db);
    let mut txn = begin(&db.engine);
    let savepoint = txn.savepoint();
    txn.insert(&table(), &batch(&rows(0..2000, "gone")))
        .unwrap();
    txn.rollback_to(savepoint);
    assert_eq!(scan(&txn.latest_view()), []);
    assert_eq!(segment_files(&db), files);
    txn.insert(&table(), &batch(&rows(0..2000, "gone, too")))
        .unwrap();
    assert!(segment_files(&db) > files + 10);
    let view = txn.latest_view();
    txn.rollback();
    // Who still reads keeps what it reads.
    assert_eq!(scan(&view).len(), 2000);
    drop(view);
    assert_eq!(segment_files(&db), files);
    assert_eq!(scan(&db.engine.latest_view()), []);
    insert(&db.engine, &rows(0..10, "free"));

    // All of it rolled back, there is nothing to publish.
    let mut txn = begin(&db.engine);
    let savepoint = txn.savepoint();
    txn.insert(&table(), &batch(&rows(10..2000, "gone")))
        .unwrap();
    txn.rollback_to(savepoint);
    txn.commit(Durability::Synchronous).unwrap();
    assert_eq!(segment_files(&db), files);
    db.check();
}

#[test]
fn keys_are_unique_across_runs_and_memory() {
    let db = Database::with(spilling());
    insert(&db.engine, &rows(-10..0, "committed"));
    let mut txn = begin(&db.engine);
    let ids = txn
        .insert(&table(), &batch(&rows(0..1000, "mine")))
        .unwrap();
    for taken in [-10, 0, 1, 500, 999] {
        let savepoint = txn.savepoint();
        let again = txn.insert(&table(), &batch(&[row(taken, "again")]));
        assert!(
            matches!(again, Err(Error::UniqueViolation { index: BY_ID, .. })),
            "{taken}: {again:?}"
        );
        txn.rollback_to(savepoint);
    }
    let outcome = txn.insert_or_conflict(&table(), &batch(&[row(3, "again")]), 0, None);
    let conflict = InsertOutcome::Conflict {
        index: BY_ID,
        row: ids[3],
    };
    assert_eq!(outcome.unwrap(), conflict);
    // A key that a run has is free again when its row is gone, and is then of both.
    txn.delete(&table(), &ids[..500]).unwrap();
    let again = txn
        .insert(&table(), &batch(&rows(0..500, "again")))
        .unwrap();
    assert_eq!(by_id(&txn.latest_view(), 7), [again[7]]);
    txn.commit(Durability::Synchronous).unwrap();
    let view = db.engine.latest_view();
    assert_eq!(by_id(&view, 7), [again[7]]);
    assert_eq!(by_name(&view, "mine").len(), 500);
    assert_eq!(scan(&view).len(), 1010);
    db.check();
}

#[test]
fn runs_are_newer_than_what_was_committed_before_them_and_older_than_what_comes_after() {
    let db = Database::with(spilling());
    let ids = insert(&db.engine, &rows(0..1000, "one"));
    db.engine.flush().unwrap();
    let rename = |ids: &[RowId], first: i64, name: &str| {
        let mut txn = begin(&db.engine);
        update(&mut txn, ids, &rows(first..first + ids.len() as i64, name));
        txn.commit(Durability::Synchronous).unwrap()
    };
    // In a memtable, in runs, in the next memtable.
    let two = rename(&ids[..20], 0, "two");
    let three = rename(&ids[10..], 10, "three");
    let four = rename(&ids[15..30], 15, "four");
    let count = |view: &ReadView, name| {
        let by_scan = scan(view).iter().filter(|(_, row)| row.1 == name).count();
        assert_eq!(by_name(view, name).len(), by_scan, "{name}");
        by_scan
    };
    let check = |engine: &Engine| {
        let expected = [
            (two, [980, 20, 0, 0]),
            (three, [0, 10, 990, 0]),
            (four, [0, 10, 975, 15]),
        ];
        for (ts, expected) in expected {
            let view = engine.view_at(ts).unwrap();
            let found = ["one", "two", "three", "four"].map(|name| count(&view, name));
            assert_eq!(found, expected, "at {ts}");
        }
        let superseded = engine
            .latest_view()
            .row_versions(&std::sync::Arc::new(table()), RowVersions::Superseded);
        let superseded = superseded.unwrap().map(|batch| batch.unwrap().num_rows());
        assert_eq!(superseded.sum::<usize>(), 20 + 990 + 15);
    };
    check(&db.engine);
    // The memtables are made again, on either side of the runs.
    let db = db.reopen();
    check(&db.engine);
    db.engine.flush().unwrap();
    check(&db.engine);
    let db = db.reopen();
    check(&db.engine);
    db.engine.compact_all(&Interrupt::new()).unwrap();
    check(&db.engine);
    db.check();
}

#[test]
fn a_cursor_from_before_a_spill_reads_on() {
    let db = Database::with(spilling());
    let mut txn = begin(&db.engine);
    for n in 0..200_u32 {
        txn.put(STORE, &n.to_be_bytes(), b"first").unwrap();
    }
    let view = txn.latest_view();
    let mut range = view
        .range(STORE, Bound::Unbounded, Bound::Unbounded)
        .unwrap();
    assert!(range.next().is_some());
    for n in 0..5000_u32 {
        txn.put(STORE, &n.to_be_bytes(), b"second").unwrap();
    }
    let rest: Vec<_> = range.map(Result::unwrap).collect();
    assert_eq!(rest.len(), 199);
    assert!(rest.iter().all(|(_, value)| value == b"first"));
    let now = txn.latest_view();
    let now = now
        .range(STORE, Bound::Unbounded, Bound::Unbounded)
        .unwrap();
    assert_eq!(
        now.filter(|entry| entry.as_ref().unwrap().1 == b"second")
            .count(),
        5000
    );
    db.check_after(txn);
}

impl Database {
    fn check_after(self, txn: Transaction) {
        txn.commit(Durability::Synchronous).unwrap();
        self.check();
    }
}

#[test]
fn a_table_may_be_made_and_dropped_around_its_runs() {
    let db = Database::with(spilling());
    let ids = insert(&db.engine, &rows(0..1000, "here"));
    let mut txn = begin(&db.engine);
    let savepoint = txn.savepoint();
    txn.insert(&table(), &batch(&rows(1000..2000, "gone")))
        .unwrap();
    txn.drop_collection(TABLE).unwrap();
    for n in 0..2000_u32 {
        txn.put(STORE, &n.to_be_bytes(), b"kept").unwrap();
    }
    txn.rollback_to(savepoint);
    assert_eq!(scan(&txn.latest_view()).len(), 1000);
    txn.insert(&table(), &batch(&rows(1000..2000, "gone")))
        .unwrap();
    txn.drop_collection(TABLE).unwrap();
    for n in 0..2000_u32 {
        txn.put(STORE, &n.to_be_bytes(), b"kept").unwrap();
    }
    let before = db.engine.latest_view().ts();
    txn.commit(Durability::Synchronous).unwrap();
    let view = db.engine.latest_view();
    let kept = view
        .range(STORE, Bound::Unbounded, Bound::Unbounded)
        .unwrap();
    assert_eq!(kept.count(), 2000);
    // The rows that nobody could ever see are in no file.
    let versions = view.row_versions(&std::sync::Arc::new(table()), RowVersions::Current);
    let versions = versions.unwrap().map(|batch| batch.unwrap().num_rows());
    assert_eq!(versions.sum::<usize>(), ids.len());
    assert_eq!(scan(&db.engine.view_at(before).unwrap()).len(), 1000);
    db.engine.compact_all(&Interrupt::new()).unwrap();
    db.check();
}

#[test]
fn small_commits_and_readers_go_on_beside_runs() {
    let db = Database::with(Options {
        memtable_bytes_max: 64 << 10,
        ..spilling()
    });
    let start = Barrier::new(3);
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (engine, start) = (&db.engine, &start);
            scope.spawn(move || {
                start.wait();
                for n in 0..150 {
                    let id = 1_000_000 * (writer + 1) + n;
                    insert(engine, &[row(id, "small")]);
                    assert_eq!(by_id(&engine.latest_view(), id).len(), 1);
                }
            });
        }
        start.wait();
        for large in 0..6 {
            let mut txn = begin(&db.engine);
            let ids = large * 1000..(large + 1) * 1000;
            txn.insert(&table(), &batch(&rows(ids, "large"))).unwrap();
            txn.commit(Durability::Synchronous).unwrap();
            let view = db.engine.latest_view();
            let found = by_name(&view, "large").len() as i64;
            assert_eq!(found, (large + 1) * 1000);
            assert_eq!(
                scan(&view).len(),
                (found as usize) + by_name(&view, "small").len()
            );
        }
    });
    let seen = scan(&db.engine.latest_view());
    assert_eq!(seen.len(), 6300);
    assert_eq!(db.engine.latest_view().row_count_estimate(TABLE), 6300);
    let db = db.reopen();
    assert_eq!(scan(&db.engine.latest_view()), seen);
    db.engine.flush().unwrap();
    assert_eq!(db.engine.latest_view().row_count_estimate(TABLE), 6300);
    db.check();
}

#[test]
fn repeatable_read_holds_runs_against_its_snapshot() {
    let db = Database::with(spilling());
    let ids = insert(&db.engine, &rows(0..1000, "old"));
    let mut reader = db.engine.begin(Isolation::RepeatableRead, Interrupt::new());
    reader.begin_statement();
    let mut large = db.engine.begin(Isolation::RepeatableRead, Interrupt::new());
    large.begin_statement();
    update(&mut large, &ids[..999], &rows(0..999, "new"));
    // Somebody else was there first.
    let mut other = begin(&db.engine);
    update(&mut other, &ids[999..], &rows(999..1000, "other"));
    other.commit(Durability::Synchronous).unwrap();
    let locked = large.lock_row(TABLE, ids[999], RowLockMode::Update, LockWait::NoWait);
    assert!(matches!(locked, Err(Error::SerializationFailure)));
    assert_eq!(by_name(&large.read_view(), "old").len(), 1);
    large.commit(Durability::Synchronous).unwrap();

    // And the runs were there first.
    assert_eq!(by_name(&reader.read_view(), "old").len(), 1000);
    let locked = reader.lock_row(TABLE, ids[0], RowLockMode::Update, LockWait::NoWait);
    assert!(matches!(locked, Err(Error::SerializationFailure)));
    assert_eq!(by_name(&db.engine.latest_view(), "new").len(), 999);
    assert!(db.engine.latest_view().ts() > Ts::ZERO);
}

#[test]
fn very_many_locks_become_one_when_nobody_else_is_at_work() {
    let db = Database::with(Options {
        locks_per_table_max: 500,
        lock_timeout_micros: Some(0),
        ..spilling()
    });
    let old = insert(&db.engine, &rows(0..100, "old"));
    let mut large = begin(&db.engine);
    let ids = large
        .insert(&table(), &batch(&rows(100..3000, "large")))
        .unwrap();
    assert!(db.engine.stats().locked_objects < 600);
    let taken = large.insert(&table(), &batch(&[row(50, "again")]));
    assert!(matches!(taken, Err(Error::UniqueViolation { .. })));
    let savepoint = large.savepoint();
    let taken = large.insert(&table(), &batch(&[row(2000, "again")]));
    assert!(matches!(taken, Err(Error::UniqueViolation { .. })));
    large.rollback_to(savepoint);
    update(&mut large, &old, &rows(0..100, "large"));
    update(&mut large, &ids, &rows(100..3000, "larger"));
    assert!(db.engine.stats().locked_objects < 600);

    // Others read, and wait when they would lock something.
    assert_eq!(scan(&db.engine.latest_view()).len(), 100);
    let mut other = begin(&db.engine);
    let insert_other = other.insert(&table(), &batch(&[row(7000, "other")]));
    assert!(matches!(insert_other, Err(Error::LockNotAvailable)));
    let locked = other.lock_row(TABLE, old[0], RowLockMode::KeyShare, LockWait::Block);
    assert!(matches!(locked, Err(Error::LockNotAvailable)));
    large.commit(Durability::Synchronous).unwrap();
    other.begin_statement();
    other
        .insert(&table(), &batch(&[row(7000, "other")]))
        .unwrap();
    let mut update_other = begin(&db.engine);
    update(&mut update_other, &old[..1], &rows(0..1, "small"));

    // While others are at work each key is locked by itself, and nobody waits.
    let mut large = begin(&db.engine);
    large
        .insert(&table(), &batch(&rows(10_000..12_000, "large")))
        .unwrap();
    assert!(db.engine.stats().locked_objects > 2000);
    other
        .insert(&table(), &batch(&[row(7001, "other")]))
        .unwrap();
    let taken = other.insert(&table(), &batch(&[row(11_000, "other")]));
    assert!(matches!(taken, Err(Error::LockNotAvailable)));
    other.rollback();
    update_other.commit(Durability::Synchronous).unwrap();
    large.commit(Durability::Synchronous).unwrap();
    assert_eq!(db.engine.stats().locked_objects, 0);
    assert_eq!(scan(&db.engine.latest_view()).len(), 5000);
    assert_eq!(by_name(&db.engine.latest_view(), "larger").len(), 2900);
    db.check();
}

#[test]
fn a_snapshot_that_is_kept_meets_a_key_that_came_and_went() {
    let db = Database::with(Options {
        locks_per_table_max: 10,
        ..spilling()
    });
    let ids = insert(&db.engine, &rows(0..2, "old"));
    let mut large = db.engine.begin(Isolation::RepeatableRead, Interrupt::new());
    large.begin_statement();
    let mut other = begin(&db.engine);
    let locked = other.lock_row(TABLE, ids[1], RowLockMode::Update, LockWait::NoWait);
    assert_eq!(locked.unwrap(), RowLock::Held);
    other.delete(&table(), &ids[1..]).unwrap();
    other.commit(Durability::Synchronous).unwrap();
    large
        .insert(&table(), &batch(&rows(100..200, "new")))
        .unwrap();
    let gone = large.insert(&table(), &batch(&[row(1, "again")]));
    assert!(matches!(gone, Err(Error::SerializationFailure)), "{gone:?}");
}

/// The log has the names of runs only, and old files of it go though nothing is ever flushed.
#[test]
fn a_workload_of_runs_alone_keeps_the_log_short() {
    let db = Database::with(Options {
        wal_segment_bytes: 64 << 10,
        transaction_bytes_max: 4 << 10,
        ..small()
    });
    // What the log alone has of the definition.
    db.engine.flush().unwrap();
    let flushes = db.engine.stats().flushes;
    for key in 0..120u8 {
        let mut txn = begin(&db.engine);
        for part in 0..3 {
            txn.put(STORE, &[key, part], &[key; 3000]).unwrap();
        }
        txn.commit(Durability::Synchronous).unwrap();
    }
    let stats = db.engine.stats();
    assert_eq!(stats.flushes, flushes);
    assert!(stats.wal_files <= 2, "{stats:?}");
    let db = db.reopen();
    let value = db.engine.latest_view().get(STORE, &[7, 2]).unwrap();
    assert_eq!(value.unwrap(), [7; 3000]);
    db.check();
}
