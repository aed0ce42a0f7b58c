//! What merging segments does, case by case. That it changes nothing for readers is the model's part.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use heliosdb_storage::catalog::CATALOG;
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId, Ts};
use heliosdb_storage::schema::{ColumnDef, ColumnType, TableDef};
use heliosdb_storage::view::RowVersions;
use heliosdb_storage::*;

use super::support::*;

/// History is not kept.
fn forgetful() -> Database {
    Database::with(Options {
        retention_micros: Some(0),
        ..small()
    })
}

fn compact_all(engine: &Engine) -> Compacted {
    engine.compact_all(&Interrupt::new()).unwrap()
}

fn update(engine: &Engine, ids: &[RowId], name: &str) -> Ts {
    let mut txn = begin(engine);
    let view = txn.read_view();
    let rows = scan(&view).into_iter().filter(|(id, _)| ids.contains(id));
    let rows: Vec<Row> = rows.map(|(_, (id, _))| (id, name.to_owned())).collect();
    txn.update(&table(), ids, &batch(&rows)).unwrap();
    txn.commit(Durability::Synchronous).unwrap()
}

fn delete(engine: &Engine, ids: &[RowId]) -> Ts {
    let mut txn = begin(engine);
    txn.delete(&table(), ids).unwrap();
    txn.commit(Durability::Synchronous).unwrap()
}

fn files(db: &Database) -> usize {
    fs::read_dir(db.dir.path().join("segments"))
        .unwrap()
        .count()
}

fn superseded(view: &ReadView) -> usize {
    let versions = view.row_versions(&Arc::new(table()), RowVersions::Superseded);
    let batches = versions.unwrap().map(|batch| batch.unwrap().num_rows());
    batches.sum()
}

#[test]
fn space_comes_back_and_history_goes_at_its_time() {
    let db = forgetful();
    let rows: Vec<Row> = (0..2000).map(|i| row(i, "first")).collect();
    let ids = insert(&db.engine, &rows);
    db.engine.flush().unwrap();
    let before = db.engine.latest_view();
    for round in 0..3 {
        update(&db.engine, &ids, &format!("round {round}"));
        db.engine.flush().unwrap();
    }
    delete(&db.engine, &ids[500..]);
    let last = db.engine.latest_view().ts();
    let done = compact_all(&db.engine);
    assert_eq!((done.compactions, done.files_out), (1, 1));
    assert!(done.bytes_out * 4 < done.bytes_in, "{done:?}");
    // Of each row three rounds and its delete, or the first and two rounds; and in both indexes.
    assert_eq!(done.files_in, 5);
    assert!(done.versions_dropped > 4 * 2000, "{done:?}");
    assert_eq!((db.engine.stats().segments, files(&db)), (1, 1));
    assert_eq!(superseded(&db.engine.latest_view()), 0);
    let names = |view: &ReadView| -> Vec<String> {
        let names = scan(view).into_iter().map(|(_, (_, name))| name);
        names.collect()
    };
    assert_eq!(names(&db.engine.latest_view()), vec!["round 2"; 500]);
    assert_eq!(
        names(&before),
        vec!["first"; 2000],
        "its files are gone, but open"
    );
    assert!(by_id(&db.engine.latest_view(), 700).is_empty());
    assert!(db.engine.oldest_ts() > before.ts() && db.engine.oldest_ts() <= last);
    assert!(matches!(
        db.engine.view_at(before.ts()),
        Err(Error::SnapshotTooOld { .. })
    ));
    let stats = db.engine.stats();
    assert_eq!(stats.compacted, done);
    let oldest = db.engine.oldest_ts();
    let db = db.reopen();
    assert_eq!(db.engine.oldest_ts(), oldest);
    assert_eq!(names(&db.engine.latest_view()), vec!["round 2"; 500]);
    assert_eq!(
        compact_all(&db.engine),
        Compacted::default(),
        "nothing to do"
    );
    db.check();
}

/// A statement inside a statement takes a snapshot of its own, and the outer one goes on with its own.
#[test]
fn a_snapshot_that_is_put_back_still_has_its_history() {
    let db = forgetful();
    let ids = insert(&db.engine, &[row(1, "first")]);
    let mut txn = begin(&db.engine);
    let outer = scan(&txn.read_view());
    update(&db.engine, &ids, "second");
    insert(&db.engine, &[row(2, "other")]);
    db.engine.flush().unwrap();
    let own = txn.look_at_latest();
    txn.begin_statement();
    txn.set_snapshot(own);
    update(&db.engine, &ids, "third");
    compact_all(&db.engine);
    assert_eq!(scan(&txn.read_view()), outer);
    assert_eq!(superseded(&db.engine.latest_view()), 2);
    drop(txn);
    compact_all(&db.engine);
    assert_eq!(superseded(&db.engine.latest_view()), 0);
}

/// As fast as they come, flushes do not keep it from ending: one merge, of what was there.
#[test]
fn everything_is_what_there_was() {
    const FLUSHES: i64 = 300;
    let db = forgetful();
    for part in 0..3 {
        let rows: Vec<Row> = (part * 5000..(part + 1) * 5000)
            .map(|i| row(i, "a"))
            .collect();
        insert(&db.engine, &rows);
        db.engine.flush().unwrap();
    }
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let more = 20_000..20_000 + FLUSHES;
            for id in more.take_while(|_| !ended.load(Ordering::Relaxed)) {
                insert(&db.engine, &[row(id, "late")]);
                db.engine.flush().unwrap();
            }
        });
        let done = compact_all(&db.engine);
        ended.store(true, Ordering::Relaxed);
        assert_eq!((done.compactions, done.files_out), (1, 1));
    });
    assert!(scan(&db.engine.latest_view()).len() >= 15_000);
    db.check();
}

#[test]
fn nothing_stays_of_a_table_without_rows() {
    let db = forgetful();
    let ids = insert(&db.engine, &[row(1, "a"), row(2, "b")]);
    db.engine.flush().unwrap();
    delete(&db.engine, &ids);
    // A commit after it, so that the horizon is not before the delete.
    let mut txn = begin(&db.engine);
    txn.put(CollectionId(500), b"k", b"v").unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    compact_all(&db.engine);
    let columns = db.engine.column_pages();
    assert!(columns.is_empty(), "{columns:?}");
    let view = db.engine.latest_view();
    for collection in [BY_ID, BY_NAME] {
        assert!(view.versions(collection).unwrap().next().is_none());
    }
    assert_eq!(view.get(CollectionId(500), b"k").unwrap().unwrap(), b"v");
    assert_eq!(insert(&db.engine, &[row(1, "a")]), [RowId(ids[1].0 + 1)]);
    db.check();
}

#[test]
fn nothing_is_lost_and_the_horizon_stays_while_history_is_wanted() {
    let db = Database::with(Options {
        retention_micros: None,
        ..small()
    });
    let ids = insert(&db.engine, &[row(1, "a"), row(2, "b")]);
    let mut times = vec![db.engine.latest_view().ts()];
    for name in ["c", "d"] {
        db.engine.flush().unwrap();
        times.push(update(&db.engine, &ids[..1], name));
    }
    times.push(delete(&db.engine, &ids));
    let done = compact_all(&db.engine);
    assert_eq!((done.files_in, done.versions_dropped), (3, 0));
    assert_eq!(db.engine.oldest_ts(), Ts::ZERO);
    let names = |ts: &Ts| -> Vec<String> {
        let rows = scan(&db.engine.view_at(*ts).unwrap()).into_iter();
        rows.map(|(_, (_, name))| name).collect()
    };
    let seen: Vec<_> = times.iter().map(names).collect();
    assert_eq!(
        seen,
        [vec!["a", "b"], vec!["c", "b"], vec!["d", "b"], vec![]]
    );
    assert_eq!(superseded(&db.engine.latest_view()), 4);
    db.check();
}

#[test]
fn a_snapshot_keeps_what_it_sees() {
    let db = forgetful();
    let ids = insert(&db.engine, &[row(1, "old")]);
    let mut txn = db.engine.begin(Isolation::RepeatableRead, Interrupt::new());
    txn.begin_statement();
    let held = txn.read_view().ts();
    let later = update(&db.engine, &ids, "new");
    update(&db.engine, &ids, "newest");
    compact_all(&db.engine);
    assert_eq!(scan(&txn.read_view())[0].1.1, "old");
    let horizon = db.engine.stats().horizon;
    assert_eq!(horizon.held_by, HeldBy::Snapshot);
    assert_eq!(horizon.oldest_snapshot, Some(held));
    assert!(db.engine.oldest_ts() <= held);
    assert!(db.engine.view_at(later).is_ok());
    txn.rollback();
    insert(&db.engine, &[row(2, "other")]);
    let done = compact_all(&db.engine);
    assert!(done.versions_dropped >= 2, "{done:?}");
    assert!(db.engine.view_at(later).is_err());
}

/// A definition goes only after what it names: without it nobody could tell that the rest is to go.
#[test]
fn a_dropped_table_goes_with_its_indexes_once_nobody_can_ask_for_it() {
    let keep = Database::with(Options {
        retention_micros: None,
        ..small()
    });
    let drop_table = |db: &Database| {
        insert(&db.engine, &[row(1, "a"), row(2, "b")]);
        db.engine.flush().unwrap();
        let before = db.engine.latest_view().ts();
        let mut txn = begin(&db.engine);
        txn.drop_collection(TABLE).unwrap();
        txn.commit(Durability::Synchronous).unwrap();
        let mut txn = begin(&db.engine);
        txn.put(CollectionId(500), b"k", b"v").unwrap();
        txn.commit(Durability::Synchronous).unwrap();
        before
    };
    let before = drop_table(&keep);
    compact_all(&keep.engine);
    let then = keep.engine.view_at(before).unwrap();
    assert_eq!(scan(&then).len(), 2);
    assert_eq!(by_name(&then, "b").len(), 1);

    let db = forgetful();
    drop_table(&db);
    compact_all(&db.engine);
    let view = db.engine.latest_view();
    assert!(db.engine.column_pages().is_empty());
    for collection in [CATALOG, BY_ID, BY_NAME] {
        assert!(view.versions(collection).unwrap().next().is_none());
    }
    db.check();
}

#[test]
fn what_a_dropped_column_held_goes_once_nobody_can_ask_for_it() {
    let narrower = || {
        let mut narrower = table();
        narrower.columns[1].dropped = true;
        narrower.indexes.truncate(1);
        narrower
    };
    let pages = |retention_micros: Option<u64>| {
        let db = Database::with(Options {
            retention_micros,
            ..small()
        });
        insert(&db.engine, &[row(1, "a"), row(2, "b")]);
        db.engine.flush().unwrap();
        for table in [narrower(), narrower()] {
            let mut txn = begin(&db.engine);
            txn.define_table(&table).unwrap();
            txn.commit(Durability::Synchronous).unwrap();
        }
        compact_all(&db.engine);
        let request = ScanRequest::columns(vec![ColumnId(0), ColumnId(1)]);
        let view = db.engine.latest_view();
        let mut parts = view.scan(Arc::new(narrower()), request).unwrap();
        let batch = parts.remove(0).next().unwrap().unwrap();
        assert_eq!(
            Datum::from_array(batch.column(0), 1).unwrap(),
            Datum::Int64(2)
        );
        assert_eq!(Datum::from_array(batch.column(1), 1).unwrap(), Datum::Null);
        let pages = db.engine.column_pages().len();
        db.check();
        pages
    };
    assert_eq!(pages(None), 2);
    assert_eq!(pages(Some(0)), 1);
}

/// Rows of before a column came get its value when they are written anew; deletes do not.
#[test]
fn a_column_that_came_later_is_filled_in() {
    let db = Database::with(Options {
        retention_micros: None,
        ..small()
    });
    let ids = insert(&db.engine, &[row(1, "a"), row(2, "b"), row(3, "c")]);
    db.engine.flush().unwrap();
    delete(&db.engine, &ids[1..2]);
    db.engine.flush().unwrap();
    let mut wider: TableDef = table();
    wider.columns.push(ColumnDef {
        missing: Some(Arc::from(Datum::Int32(7).encode())),
        ..ColumnDef::new(ColumnType::Int32)
    });
    let mut txn = begin(&db.engine);
    txn.define_table(&wider).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    compact_all(&db.engine);
    let view = db.engine.latest_view();
    for id in [ids[0], ids[2]] {
        let one = view.rows(&wider, &[id], &[ColumnId(2)], false).unwrap();
        assert_eq!(
            Datum::from_array(one.column(0), 0).unwrap(),
            Datum::Int32(7)
        );
    }
    assert_eq!(scan(&view).len(), 2);
    assert_eq!(db.engine.column_pages().len(), 3);
    db.check();
}

/// A place that is left free for a column of another timeline is not one of a dropped column: flushes and
/// compactions give rows of before what the column begins with, and what is written to it later stays.
#[test]
fn a_free_place_keeps_what_it_begins_with() {
    let db = forgetful();
    let ids = insert(&db.engine, &[row(1, "a"), row(2, "b")]);
    let define = |is_there: bool| {
        let mut wider: TableDef = table();
        wider.columns.push(ColumnDef {
            missing: Some(Arc::from(Datum::Int32(7).encode())),
            dropped: !is_there,
            free: !is_there,
            ..ColumnDef::new(ColumnType::Int32)
        });
        let mut txn = begin(&db.engine);
        txn.define_table(&wider).unwrap();
        txn.commit(Durability::Synchronous).unwrap();
        wider
    };
    define(false);
    // Twice, so that the horizon is past the first.
    let free = define(false);
    db.engine.flush().unwrap();
    compact_all(&db.engine);
    let read = |def: &TableDef| {
        let view = db.engine.latest_view();
        let rows = view.rows(def, &ids, &[ColumnId(2)], false).unwrap();
        (0..ids.len())
            .map(|at| Datum::from_array(rows.column(0), at).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(read(&free), [Datum::Null, Datum::Null]);
    let there = define(true);
    assert_eq!(read(&there), [Datum::Int32(7), Datum::Int32(7)]);
    compact_all(&db.engine);
    assert_eq!(read(&there), [Datum::Int32(7), Datum::Int32(7)]);
    db.check();
}

/// Large files that overlap nothing, and one that overlaps all of them in a few rows.
#[test]
fn runs_that_overlap_nothing_go_over_whole() {
    let db = forgetful();
    let mut ids = Vec::new();
    for part in 0..4 {
        let rows: Vec<Row> = (0..3000).map(|i| row(part * 3000 + i, "x")).collect();
        ids.extend(insert(&db.engine, &rows));
        db.engine.flush().unwrap();
    }
    let few: Vec<RowId> = ids.iter().copied().step_by(997).collect();
    update(&db.engine, &few, "y");
    let before = scan(&db.engine.latest_view());
    compact_all(&db.engine);
    let after = db.engine.latest_view();
    assert_eq!(scan(&after), before);
    assert_eq!(by_name(&after, "y"), few);
    db.check();
}

#[test]
fn a_canceled_compaction_leaves_nothing() {
    let db = forgetful();
    let ids = insert(&db.engine, &[row(1, "a")]);
    db.engine.flush().unwrap();
    update(&db.engine, &ids, "b");
    db.engine.flush().unwrap();
    let files_before = files(&db);
    let interrupt = Interrupt::new();
    interrupt.cancel();
    let canceled = db.engine.compact_all(&interrupt).unwrap_err();
    assert!(matches!(canceled, Error::Canceled), "{canceled}");
    assert_eq!(files(&db), files_before);
    assert_eq!(db.engine.oldest_ts(), Ts::ZERO);
    assert_eq!(compact_all(&db.engine).files_out, 1);
}

/// The background merges after flushes, and its files are few.
#[test]
fn the_background_keeps_the_number_of_files_down() {
    let db = Database::with(Options {
        compaction_in_background: true,
        ..small()
    });
    for i in 0..40 {
        insert(&db.engine, &[row(i, "x")]);
        db.engine.flush().unwrap();
    }
    let mut rows = 0;
    // It may be at work still; each round gives it another chance, and one is enough.
    for i in 40..4000 {
        insert(&db.engine, &[row(i, "x")]);
        db.engine.flush().unwrap();
        rows = i + 1;
        if db.engine.stats().segments < 4 {
            break;
        }
    }
    assert!(db.engine.stats().segments < 4);
    assert_eq!(scan(&db.engine.latest_view()).len() as i64, rows);
    let db = db.reopen();
    assert_eq!(scan(&db.engine.latest_view()).len() as i64, rows);
    db.check();
}
