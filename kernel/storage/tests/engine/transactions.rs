//! Snapshots, unique keys, locks and savepoints of concurrent transactions.

use std::ops::Bound;

use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{RowId, Ts};
use heliosdb_storage::*;

use super::support::*;

#[test]
fn rows_come_back_by_scan_by_id_and_through_indexes() {
    let db = Database::new();
    let ids = insert(
        &db.engine,
        &[
            row(1, "a"),
            row(2, "b"),
            (None, "a".into()),
            (None, "a".into()),
        ],
    );
    let view = db.engine.latest_view();
    let rows = scan(&view);
    assert_eq!(rows.iter().map(|r| r.0).collect::<Vec<_>>(), ids);
    assert_eq!(rows[1].1, row(2, "b"));
    assert_eq!(by_id(&view, 2), vec![ids[1]]);
    assert_eq!(by_name(&view, "a"), vec![ids[0], ids[2], ids[3]]);
    let asked = [ids[3], RowId(999), ids[0]];
    let found = view
        .rows(
            &table(),
            &asked,
            &[ids::ColumnId(0), ids::ColumnId(1)],
            true,
        )
        .unwrap();
    assert_eq!(
        unbatch(&found).iter().map(|r| r.0).collect::<Vec<_>>(),
        vec![ids[3], ids[0]]
    );
    assert_eq!(view.row_count_estimate(TABLE), 4);
}

#[test]
fn a_reader_is_made_once_and_reads_what_each_view_sees() {
    let db = Database::new();
    let columns = [ids::ColumnId(0), ids::ColumnId(1)];
    let reader = RowReader::new(&table(), &columns, true, None).unwrap();
    let ids = insert(&db.engine, &[row(1, "a"), row(2, "b")]);
    let before = db.engine.latest_view();
    let mut transaction = begin(&db.engine);
    transaction.delete(&table(), &ids[..1]).unwrap();
    let inside = transaction.read_view();
    let read = |view: &ReadView| unbatch(&view.read(&reader, &ids).unwrap());
    assert_eq!(read(&inside), [(ids[1], row(2, "b"))]);
    transaction.commit(Durability::Synchronous).unwrap();
    db.engine.flush().unwrap();
    assert_eq!(read(&before).len(), 2);
    assert_eq!(read(&db.engine.latest_view()), [(ids[1], row(2, "b"))]);
    // A schema has to say what the columns are.
    let other = before.read(&reader, &ids).unwrap().schema();
    let narrow = RowReader::new(&table(), &columns[..1], true, Some(other));
    assert!(narrow.is_err());
}

#[test]
fn a_lookup_of_few_rows_stops_where_there_are_more() {
    let db = Database::new();
    let rows: Vec<Row> = (0..10).map(|i| row(i, "x")).collect();
    let ids = insert(&db.engine, &rows);
    let view = db.engine.latest_view();
    let at_most = |index: usize, range, max| {
        let table = table();
        view.index_rows_max(&table, &table.indexes[index], &range, max)
            .unwrap()
    };
    let name = || IndexRange::equal(vec![Datum::Bytes(b"x".to_vec())]);
    assert_eq!(at_most(1, name(), 10).map(|rows| rows.len()), Some(10));
    assert_eq!(at_most(1, name(), 9), None);
    let id = |id| IndexRange::equal(vec![Datum::Int64(id)]);
    assert_eq!(at_most(0, id(3), 1), Some(vec![ids[3]]));
    assert_eq!(at_most(0, id(30), 0), Some(Vec::new()));
}

#[test]
fn index_ranges_leave_nulls_out() {
    let db = Database::new();
    let rows: Vec<Row> = (0..10)
        .map(|i| row(i, "x"))
        .chain([(None, "n".into())])
        .collect();
    insert(&db.engine, &rows);
    let view = db.engine.latest_view();
    let count = |lower, upper| {
        let range = IndexRange {
            prefix: vec![],
            lower,
            upper,
        };
        view.index_rows(&table(), &table().indexes[0], &range)
            .unwrap()
            .len()
    };
    let at = |i| Datum::Int64(i);
    assert_eq!(count(Bound::Unbounded, Bound::Unbounded), 11);
    assert_eq!(count(Bound::Included(at(3)), Bound::Unbounded), 7);
    assert_eq!(count(Bound::Excluded(at(3)), Bound::Unbounded), 6);
    assert_eq!(count(Bound::Unbounded, Bound::Included(at(3))), 4);
    assert_eq!(count(Bound::Unbounded, Bound::Excluded(at(3))), 3);
    assert_eq!(count(Bound::Excluded(at(9)), Bound::Excluded(at(2))), 0);
    let nulls = IndexRange::equal(vec![Datum::Null]);
    assert_eq!(
        view.index_rows(&table(), &table().indexes[0], &nulls)
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_unique_key_is_taken_once() {
    let db = Database::new();
    insert(&db.engine, &[row(1, "a")]);
    let mut txn = begin(&db.engine);
    let error = txn
        .insert(&table(), &batch(&[row(2, "b"), row(1, "c")]))
        .unwrap_err();
    let Error::UniqueViolation {
        table: t,
        index,
        key,
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((t, index, key), (TABLE, BY_ID, vec![Datum::Int64(1)]));
    // Within one transaction, too.
    let savepoint = txn.savepoint();
    assert!(
        txn.insert(&table(), &batch(&[row(7, "b"), row(7, "c")]))
            .is_err()
    );
    txn.rollback_to(savepoint);
    // A key that the transaction itself took away is free again.
    let one = by_id(&txn.latest_view(), 1);
    txn.lock_row(TABLE, one[0], RowLockMode::Update, LockWait::Block)
        .unwrap();
    txn.delete(&table(), &one).unwrap();
    txn.insert(&table(), &batch(&[row(1, "new")])).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    assert_eq!(by_id(&db.engine.latest_view(), 1).len(), 1);
}

#[test]
fn on_conflict_reports_the_row_in_the_way() {
    let db = Database::new();
    let ids = insert(&db.engine, &[row(1, "a")]);
    let mut txn = begin(&db.engine);
    let rows = batch(&[row(1, "b"), row(2, "c")]);
    let outcome = txn
        .insert_or_conflict(&table(), &rows, 0, Some(BY_ID))
        .unwrap();
    assert_eq!(
        outcome,
        InsertOutcome::Conflict {
            index: BY_ID,
            row: ids[0]
        }
    );
    assert!(
        txn.insert_or_conflict(&table(), &rows, 0, Some(BY_NAME))
            .is_err()
    );
    let outcome = txn.insert_or_conflict(&table(), &rows, 1, None).unwrap();
    assert!(matches!(outcome, InsertOutcome::Inserted(_)));
}

#[test]
fn a_statement_does_not_see_its_own_writes_and_the_next_one_does() {
    let db = Database::new();
    let mut txn = begin(&db.engine);
    let statement = txn.read_view();
    txn.insert(&table(), &batch(&[row(1, "a")])).unwrap();
    assert_eq!(scan(&statement).len(), 0);
    assert_eq!(scan(&txn.read_view()).len(), 1);
    assert_eq!(scan(&db.engine.latest_view()).len(), 0);
    txn.commit(Durability::Synchronous).unwrap();
    assert_eq!(scan(&statement).len(), 0);
    assert_eq!(scan(&db.engine.latest_view()).len(), 1);
}

#[test]
fn savepoints_undo_rows_and_their_index_entries() {
    let db = Database::new();
    let mut txn = begin(&db.engine);
    txn.insert(&table(), &batch(&[row(1, "a")])).unwrap();
    let savepoint = txn.savepoint();
    let ids = by_id(&txn.latest_view(), 1);
    txn.update(&table(), &ids, &batch(&[row(2, "b")])).unwrap();
    assert_eq!(by_id(&txn.latest_view(), 1), vec![]);
    assert_eq!(by_id(&txn.latest_view(), 2), ids);
    txn.rollback_to(savepoint);
    assert_eq!(by_id(&txn.latest_view(), 1), ids);
    assert_eq!(by_id(&txn.latest_view(), 2), vec![]);
    txn.commit(Durability::Synchronous).unwrap();
    assert_eq!(scan(&db.engine.latest_view())[0].1, row(1, "a"));
}

#[test]
fn read_committed_follows_and_repeatable_read_refuses_a_concurrent_update() {
    let db = Database::new();
    let ids = insert(&db.engine, &[row(1, "a"), row(2, "b")]);
    let start = |isolation| {
        let mut txn = db.engine.begin(isolation, Interrupt::new());
        txn.begin_statement();
        txn
    };
    let mut rc = start(Isolation::ReadCommitted);
    let mut rr = start(Isolation::RepeatableRead);
    let mut other = begin(&db.engine);
    for id in &ids {
        let lock = other
            .lock_row(TABLE, *id, RowLockMode::NoKeyUpdate, LockWait::Block)
            .unwrap();
        assert_eq!(lock, RowLock::Held);
    }
    other
        .update(&table(), &ids[..1], &batch(&[row(1, "changed")]))
        .unwrap();
    other.delete(&table(), &ids[1..]).unwrap();
    let busy = rc.lock_row(TABLE, ids[0], RowLockMode::Update, LockWait::NoWait);
    assert!(matches!(busy, Err(Error::LockNotAvailable)));
    other.commit(Durability::Synchronous).unwrap();

    for id in &ids {
        let lock = rr.lock_row(TABLE, *id, RowLockMode::Update, LockWait::Block);
        assert!(matches!(lock, Err(Error::SerializationFailure)), "{lock:?}");
    }
    rr.begin_statement();
    assert_eq!(scan(&rr.read_view()).len(), 2, "a snapshot stays");
    drop(rr);
    let lock = rc
        .lock_row(TABLE, ids[0], RowLockMode::Update, LockWait::Block)
        .unwrap();
    assert_eq!(lock, RowLock::Changed);
    let lock = rc
        .lock_row(TABLE, ids[1], RowLockMode::Update, LockWait::Block)
        .unwrap();
    assert_eq!(lock, RowLock::Gone);
    assert_eq!(scan(&rc.latest_view()), vec![(ids[0], row(1, "changed"))]);
}

#[test]
fn an_insert_waits_for_the_delete_of_its_key() {
    let db = Database::new();
    let ids = insert(&db.engine, &[row(1, "a")]);
    let mut deleter = begin(&db.engine);
    deleter
        .lock_row(TABLE, ids[0], RowLockMode::Update, LockWait::Block)
        .unwrap();
    deleter.delete(&table(), &ids).unwrap();
    let inserter = std::thread::spawn({
        let engine = db.engine.clone();
        move || insert(&engine, &[row(1, "b")])
    });
    deleter.commit(Durability::Synchronous).unwrap();
    let new = inserter.join().unwrap();
    assert_eq!(scan(&db.engine.latest_view()), vec![(new[0], row(1, "b"))]);
}

#[test]
fn an_index_built_later_has_the_rows_there_are() {
    let db = Database::new();
    let ids = insert(&db.engine, &[row(1, "a"), row(2, "b"), row(3, "b")]);
    let mut index = table().indexes[1].clone();
    index.id = ids::CollectionId(3000);
    let mut txn = begin(&db.engine);
    txn.build_index(&table(), &index).unwrap();
    let range = IndexRange::equal(vec![Datum::Bytes(b"b".to_vec())]);
    let found = txn
        .latest_view()
        .index_rows(&table(), &index, &range)
        .unwrap();
    assert_eq!(found, ids[1..]);
    index.unique = true;
    index.id = ids::CollectionId(3001);
    let error = txn.build_index(&table(), &index).unwrap_err();
    assert!(matches!(error, Error::UniqueViolation { .. }), "{error}");
}

/// A commit takes the clock's time before it queues for its place, so a reader may come in between
/// and read AS OF a time that the commit is still to get.
#[test]
fn nothing_commits_at_a_time_that_is_settled() {
    let db = Database::new();
    let then = Ts(db.engine.now_micros() + 3_600_000_000);
    db.engine.settle(then).unwrap();
    insert(&db.engine, &[row(1, "late")]);
    assert!(db.engine.latest_view().ts() > then);
    assert_eq!(scan(&db.engine.view_at(then).unwrap()), vec![]);

    let mut txn = begin(&db.engine);
    txn.insert(&table(), &batch(&[row(2, "async")])).unwrap();
    let ts = txn.commit(Durability::Asynchronous).unwrap();
    db.engine.settle(ts).unwrap();
    assert!(db.engine.durable() >= ts);
}

#[test]
fn a_snapshot_keeps_the_sum_of_all_accounts() {
    transfers(small());
}

/// Freezes and flushes among the transfers, all the time.
#[test]
fn a_snapshot_keeps_the_sum_while_memtables_come_and_go() {
    let db = transfers(Options {
        memtable_bytes_max: 8 << 10,
        ..small()
    });
    assert!(db.engine.stats().segments > 2);
}

fn transfers(options: Options) -> Database {
    const ACCOUNTS: i64 = 8;
    let db = Database::with(options);
    let rows: Vec<Row> = (0..ACCOUNTS).map(|i| row(i, "100")).collect();
    let ids = insert(&db.engine, &rows);
    let sum = |view: &ReadView| -> i64 {
        scan(view)
            .iter()
            .map(|(_, (_, balance))| balance.parse::<i64>().unwrap())
            .sum()
    };
    std::thread::scope(|scope| {
        for worker in 0..3u64 {
            let (engine, ids) = (db.engine.clone(), ids.clone());
            scope.spawn(move || {
                for i in 0..60u64 {
                    let from = ((i * 7 + worker * 3) % 8) as usize;
                    let to = ((i * 5 + worker + 1) % 8) as usize;
                    if from != to {
                        // A deadlock ends one of the transactions; its money stays where it was.
                        let _ = transfer(&engine, ids[from], ids[to]);
                    }
                }
            });
        }
        for _ in 0..40 {
            assert_eq!(sum(&db.engine.latest_view()), ACCOUNTS * 100);
            assert_eq!(sum(&db.engine.visible_view()), ACCOUNTS * 100);
        }
    });
    assert_eq!(sum(&db.engine.latest_view()), ACCOUNTS * 100);
    let db = db.reopen();
    assert_eq!(sum(&db.engine.latest_view()), ACCOUNTS * 100);
    db
}

fn transfer(engine: &Engine, from: RowId, to: RowId) -> Result<()> {
    let mut txn = begin(engine);
    for (id, delta) in [(from, -1), (to, 1)] {
        txn.lock_row(TABLE, id, RowLockMode::NoKeyUpdate, LockWait::Block)?;
        let columns = [ids::ColumnId(0), ids::ColumnId(1)];
        let found = txn.latest_view().rows(&table(), &[id], &columns, true)?;
        let (_, (key, balance)) = unbatch(&found).remove(0);
        let balance = balance.parse::<i64>().unwrap() + delta;
        txn.update(&table(), &[id], &batch(&[(key, balance.to_string())]))?;
    }
    txn.commit(Durability::Synchronous)?;
    Ok(())
}
