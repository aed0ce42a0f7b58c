//! SERIALIZABLE over the real engine: which reads are noted, and what a commit is refused for.

use std::ops::Bound;

use heliosdb_storage::datum::Datum;
use heliosdb_storage::*;

use super::support::*;

fn serializable(db: &Database) -> Transaction {
    let mut txn = db.engine.begin(Isolation::Serializable, Interrupt::new());
    txn.begin_statement();
    txn
}

fn commit(txn: Transaction) -> Result<()> {
    txn.commit(Durability::Synchronous).map(drop)
}

fn refused(txn: Transaction) -> bool {
    match commit(txn) {
        Ok(()) => false,
        Err(Error::ReadWriteDependency { .. }) => true,
        Err(e) => panic!("{e}"),
    }
}

fn rename(txn: &mut Transaction, id: i64, name: &str) {
    let rows = by_id(&txn.latest_view(), id);
    txn.lock_row(TABLE, rows[0], RowLockMode::NoKeyUpdate, LockWait::Block)
        .unwrap();
    txn.update(&table(), &rows, &batch(&[row(id, name)]))
        .unwrap();
}

/// Two transactions that each read with `read` and then do what the other's read would have shown.
/// Whether the second was refused.
fn skew(
    read: impl Fn(&ReadView),
    first: impl Fn(&mut Transaction),
    second: impl Fn(&mut Transaction),
) -> bool {
    let db = Database::new();
    insert(&db.engine, &[row(1, "a"), row(2, "b"), row(3, "c")]);
    let (mut one, mut two) = (serializable(&db), serializable(&db));
    for txn in [&one, &two] {
        read(&txn.read_view());
    }
    first(&mut one);
    second(&mut two);
    commit(one).unwrap();
    let refused = refused(two);
    db.check();
    refused
}

fn id_range(view: &ReadView, from: i64, to: i64) -> usize {
    let range = IndexRange {
        prefix: Vec::new(),
        lower: Bound::Included(Datum::Int64(from)),
        upper: Bound::Included(Datum::Int64(to)),
    };
    let rows = view.index_rows(&table(), &table().indexes[0], &range);
    rows.unwrap().len()
}

#[test]
fn rows_ranges_and_scans_are_noted() {
    let one = |txn: &mut Transaction| rename(txn, 1, "x");
    let two = |txn: &mut Transaction| rename(txn, 2, "y");
    assert!(skew(|view| drop(scan(view)), one, two));
    // By the unique key and then the row.
    let by_key = |view: &ReadView| {
        for id in [1, 2] {
            let rows = by_id(view, id);
            view.rows(&table(), &rows, &[ids::ColumnId(1)], false)
                .unwrap();
        }
    };
    assert!(skew(by_key, one, two));
    // Who looked at neither of the two is not concerned.
    let third = |view: &ReadView| {
        let rows = by_id(view, 3);
        view.rows(&table(), &rows, &[ids::ColumnId(1)], false)
            .unwrap();
    };
    assert!(!skew(third, one, two));
}

#[test]
fn a_key_that_is_not_there_is_noted() {
    let add = |id: i64| {
        move |txn: &mut Transaction| {
            txn.insert(&table(), &batch(&[row(id, "new")])).unwrap();
        }
    };
    let absent = |view: &ReadView| {
        for id in [10, 11] {
            assert!(by_id(view, id).is_empty());
        }
    };
    assert!(skew(absent, add(10), add(11)));
    assert!(!skew(absent, add(20), add(21)));
    // The same of a range, and only within it.
    let range = |view: &ReadView| assert_eq!(id_range(view, 10, 19), 0);
    assert!(skew(range, add(10), add(19)));
    assert!(!skew(range, add(9), add(20)));
    let name = |view: &ReadView| assert!(by_name(view, "new").is_empty());
    assert!(skew(name, add(10), add(11)));
}

#[test]
fn as_of_reads_and_other_levels_are_not_noted() {
    let one = |txn: &mut Transaction| rename(txn, 1, "x");
    let two = |txn: &mut Transaction| rename(txn, 2, "y");
    assert!(!skew(|view| drop(scan(&view.committed())), one, two));

    let db = Database::new();
    insert(&db.engine, &[row(1, "a"), row(2, "b")]);
    let mut serial = serializable(&db);
    scan(&serial.read_view());
    let mut other = db.engine.begin(Isolation::RepeatableRead, Interrupt::new());
    other.begin_statement();
    scan(&other.read_view());
    rename(&mut other, 1, "x");
    commit(other).unwrap();
    rename(&mut serial, 2, "y");
    assert!(!refused(serial));
}

/// Nothing of a refused commit is seen or found again, and its locks are free.
#[test]
fn a_refused_commit_leaves_nothing() {
    let db = Database::new();
    insert(&db.engine, &[row(1, "a"), row(2, "b")]);
    let (mut one, mut two) = (serializable(&db), serializable(&db));
    for (txn, id) in [(&mut one, 1), (&mut two, 2)] {
        scan(&txn.read_view());
        rename(txn, id, "changed");
    }
    commit(one).unwrap();
    assert!(refused(two));
    let names = |db: &Database| -> Vec<String> {
        let rows = scan(&db.engine.latest_view()).into_iter();
        rows.map(|(_, (_, name))| name).collect()
    };
    assert_eq!(names(&db), ["changed", "b"]);
    assert_eq!(db.engine.stats().locked_objects, 0);
    // The retry has nothing to fear.
    let mut again = serializable(&db);
    scan(&again.read_view());
    rename(&mut again, 2, "again");
    commit(again).unwrap();
    let db = db.reopen();
    assert_eq!(names(&db), ["changed", "again"]);
}

/// Who looked before it inserted may retry; who did not has a duplicate.
#[test]
fn a_duplicate_between_two_who_looked_is_a_serialization_failure() {
    let insert_one = |txn: &mut Transaction| txn.insert(&table(), &batch(&[row(7, "x")]));
    for looks in [true, false] {
        let db = Database::new();
        let (mut one, mut two) = (serializable(&db), serializable(&db));
        for txn in [&one, &two] {
            if looks {
                assert!(by_id(&txn.read_view(), 7).is_empty());
            }
        }
        insert_one(&mut one).unwrap();
        commit(one).unwrap();
        let error = insert_one(&mut two).unwrap_err();
        match looks {
            true => assert!(
                matches!(error, Error::ReadWriteDependency { .. }),
                "{error}"
            ),
            false => assert!(matches!(error, Error::UniqueViolation { .. }), "{error}"),
        }
    }
}

#[test]
fn on_conflict_does_not_act_on_a_row_that_the_snapshot_does_not_show() {
    let db = Database::new();
    insert(&db.engine, &[row(1, "a")]);
    for isolation in [
        Isolation::ReadCommitted,
        Isolation::RepeatableRead,
        Isolation::Serializable,
    ] {
        let id = 10 + isolation as i64;
        let mut txn = db.engine.begin(isolation, Interrupt::new());
        txn.begin_statement();
        insert(&db.engine, &[row(id, "meanwhile")]);
        let rows = batch(&[row(1, "b"), row(id, "c")]);
        let known = txn.insert_or_conflict(&table(), &rows, 0, Some(BY_ID));
        assert!(matches!(known, Ok(InsertOutcome::Conflict { .. })));
        let unknown = txn.insert_or_conflict(&table(), &rows, 1, Some(BY_ID));
        match isolation {
            Isolation::ReadCommitted => {
                assert!(matches!(unknown, Ok(InsertOutcome::Conflict { .. })));
            }
            _ => assert!(matches!(unknown, Err(Error::SerializationFailure))),
        }
    }
}

#[test]
fn a_read_only_transaction_writes_nothing() {
    let db = Database::new();
    let mut txn = db
        .engine
        .begin_read_only(Isolation::Serializable, Interrupt::new());
    txn.begin_statement();
    let refused = txn.insert(&table(), &batch(&[row(1, "a")]));
    assert!(matches!(refused, Err(Error::ReadOnlyTransaction)));
    commit(txn).unwrap();
}

/// The report waits until nobody can make its snapshot one that never was.
#[test]
fn deferrable_waits_for_a_safe_snapshot() {
    let db = Database::new();
    insert(&db.engine, &[row(1, "a"), row(2, "b")]);
    let mut pivot = serializable(&db);
    scan(&pivot.read_view());
    rename(&mut pivot, 1, "x");
    let mut out = serializable(&db);
    rename(&mut out, 2, "y");
    commit(out).unwrap();
    let interrupt = Interrupt::new();
    interrupt.cancel();
    let canceled = db.engine.begin_deferrable(interrupt);
    assert!(matches!(canceled, Err(Error::Canceled)));
    let report = std::thread::scope(|scope| {
        let report = scope.spawn(|| db.engine.begin_deferrable(Interrupt::new()).unwrap());
        commit(pivot).unwrap();
        report.join().unwrap()
    });
    // Whenever it began to wait, what it sees is after both.
    let names: Vec<_> = scan(&report.read_view());
    assert_eq!((names[0].1.1.as_str(), names[1].1.1.as_str()), ("x", "y"));
    commit(report).unwrap();
}
