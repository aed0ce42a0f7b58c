//! A database with its whole history, loaded into an empty one: everything reads there as it did,
//! at every time, and it goes on from there.

use std::ops::Bound;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use heliosdb_storage::catalog::CATALOG;
use heliosdb_storage::datum::Datum;
use heliosdb_storage::history::named::PINS;
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId, Ts};
use heliosdb_storage::schema::{ColumnDef, ColumnType, IndexDef, TableDef};
use heliosdb_storage::*;
use proptest::prelude::*;

use super::history::*;
use super::support::*;

/// Tables load in parallel, and exports read in threads of their own.
#[test]
fn loaders_and_versions_may_cross_threads() {
    fn shared<T: Send + Sync>() {}
    fn moved<T: Send + 'static>() {}
    shared::<Loader>();
    moved::<TableLoader>();
    moved::<SortedLoader>();
    moved::<Versions>();
    moved::<RowVersionScan>();
}

/// How to copy.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    segment_bytes: u64,
    memory_bytes: usize,
    batch_rows: usize,
}

pub const WHOLE: Cut = Cut {
    segment_bytes: 256 << 20,
    memory_bytes: 64 << 20,
    batch_rows: 8192,
};

impl Cut {
    fn options(self) -> LoadOptions {
        LoadOptions {
            segment_bytes: self.segment_bytes,
            memory_bytes: self.memory_bytes,
            ..LoadOptions::default()
        }
    }
}

fn empty() -> Database {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir, &options()).unwrap();
    Database {
        dir,
        engine,
        options: options(),
    }
}

fn load_sorted(loader: &Loader, view: &ReadView, collection: CollectionId) -> Result<u64> {
    let mut sorted = loader.sorted(collection)?;
    for version in view.versions(collection)? {
        let Version { key, begin, value } = version?;
        sorted.push(&key, begin, value.as_deref())?;
    }
    sorted.finish()
}

fn load_table(
    loader: &Loader,
    view: &ReadView,
    def: &Arc<TableDef>,
    cut: Cut,
) -> Result<LoadedTable> {
    let mut table = loader.table(def)?;
    for which in [RowVersions::Current, RowVersions::Superseded] {
        for batch in view.row_versions(def, which)? {
            let batch = batch?;
            for start in (0..batch.num_rows()).step_by(cut.batch_rows) {
                let rows = cut.batch_rows.min(batch.num_rows() - start);
                let batch = batch.slice(start, rows);
                match which {
                    RowVersions::Current => table.push_current(&batch)?,
                    RowVersions::Superseded => table.push_superseded(&batch)?,
                    RowVersions::Removed => table.push_removed(&batch)?,
                }
            }
        }
    }
    table.finish()
}

fn state(engine: &Engine, view: &ReadView) -> LoadedState {
    LoadedState {
        last_ts: view.ts(),
        history_from: engine.oldest_ts(),
        tables_from: Vec::new(),
        next_collection: engine.next_collection(),
        sequences: engine.sequences(),
        next_rows: vec![(TABLE, view.next_row(TABLE))],
    }
}

/// All of `from` in a new database, in one load or in two with commits between.
pub fn copy(from: &Engine, cut: Cut, twice: bool) -> Database {
    let view = from.latest_view();
    let db = empty();
    let mut loader = db.engine.loader(cut.options()).unwrap();
    load_sorted(&loader, &view, CATALOG).unwrap();
    load_sorted(&loader, &view, STORE).unwrap();
    let whole = state(from, &view);
    if twice {
        let first = LoadedState {
            next_rows: Vec::new(),
            ..whole.clone()
        };
        loader.publish(first).unwrap();
        for flush in [true, false] {
            let mut txn = begin(&db.engine);
            txn.put(CollectionId(501), &[u8::from(flush)], b"between")
                .unwrap();
            assert!(txn.commit(Durability::Asynchronous).unwrap() > view.ts());
            if flush {
                db.engine.flush().unwrap();
            }
        }
        loader = db.engine.loader(cut.options()).unwrap();
    }
    let def = only_table(&view);
    let loaded = load_table(&loader, &view, &def, cut).unwrap();
    loader.publish(whole).unwrap();
    let versions = row_versions(&view, &def).len() as u64;
    assert_eq!(loaded.rows + loaded.versions, versions);
    db
}

fn entries(view: &ReadView, collection: CollectionId) -> Vec<(Vec<u8>, Vec<u8>)> {
    let range = view.range(collection, Bound::Unbounded, Bound::Unbounded);
    range.unwrap().collect::<Result<_>>().unwrap()
}

/// Hold a copy against its original at every commit.
fn same(original: &Engine, copy: &Engine, commits: &[Ts]) {
    let view = original.latest_view();
    let def = only_table(&view);
    let as_of = copy.view_at(view.ts()).unwrap();
    assert_eq!(only_table(&as_of), def);
    assert_eq!(row_versions(&view, &def), row_versions(&as_of, &def));
    for t in commits {
        let (view, copy) = (original.view_at(*t).unwrap(), copy.view_at(*t).unwrap());
        assert_eq!(scan_columns(&view, &def), scan_columns(&copy, &def));
        for collection in [CATALOG, STORE, BY_ID, BY_NAME] {
            assert_eq!(entries(&view, collection), entries(&copy, collection));
            // Keys one by one, which ask bloom filters.
            for (key, value) in entries(&view, collection) {
                assert_eq!(copy.get(collection, &key).unwrap(), Some(value));
            }
        }
    }
    let live = view.row_count_estimate(TABLE);
    assert_eq!(copy.latest_view().row_count_estimate(TABLE), live);
    assert_eq!(copy.sequences(), original.sequences());
    assert!(copy.next_collection() >= original.next_collection());
    assert_eq!(copy.latest_view().next_row(TABLE), view.next_row(TABLE));
}

fn cuts() -> impl Strategy<Value = Cut> {
    let tiny = (500..5000u64, 1..40usize).prop_map(|(segment_bytes, batch_rows)| Cut {
        segment_bytes,
        memory_bytes: 0,
        batch_rows,
    });
    prop_oneof![Just(WHOLE), tiny]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_copy_reads_as_the_original_at_every_time_and_goes_on(
        before in ops(60),
        after in ops(20),
        cut in cuts(),
        twice in any::<bool>(),
    ) {
        let history = History::run(&before);
        let original = &history.db.engine;
        let mut db = copy(original, cut, twice);
        same(original, &db.engine, &history.commits);
        db = db.reopen();
        same(original, &db.engine, &history.commits);

        let next_row = original.latest_view().next_row(TABLE);
        let last = original.latest_view().ts();
        let copied = History {
            db,
            def: history.def.clone(),
            commits: history.commits.clone(),
            next_id: history.next_id,
        };
        let copied = copied.go_on(&after);
        let engine = &copied.db.engine;
        check(engine, &engine.latest_view(), &copied.commits);
        let new = row_versions(&engine.latest_view(), &only_table(&engine.latest_view()));
        for version in new.iter().filter(|version| version.begin > last) {
            let known = row_versions(&original.latest_view(), &only_table(&original.latest_view()))
                .iter()
                .any(|old| old.row == version.row);
            prop_assert!(known || version.row >= next_row);
        }
        let live = scan_columns(&engine.latest_view(), &copied.def).len() as u64;
        prop_assert_eq!(engine.latest_view().row_count_estimate(TABLE), live);
    }
}

/// More rows than stay in a shared segment, in several segments, with spilled index entries.
#[test]
fn a_large_table_gets_segments_of_its_own() {
    let db = Database::with(Options::default());
    let name = |i: i64| format!("{:0>200}", i * 7919 % 60_000);
    let rows: Vec<Row> = (0..60_000).map(|i| row(i, &name(i))).collect();
    let ids = insert(&db.engine, &rows);
    let mut txn = begin(&db.engine);
    let updated = &ids[20_000..21_000];
    for id in updated {
        txn.lock_row(TABLE, *id, RowLockMode::Update, LockWait::NoWait)
            .unwrap();
    }
    txn.update(&table(), &updated[..500], &batch(&rows[..500]))
        .unwrap_err();
    txn.rollback();
    let mut txn = begin(&db.engine);
    let other: Vec<Row> = (0..500).map(|i| row(100_000 + i, "other")).collect();
    txn.update(&table(), &updated[..500], &batch(&other))
        .unwrap();
    txn.delete(&table(), &updated[500..]).unwrap();
    let ts = txn.commit(Durability::Synchronous).unwrap();
    let cut = Cut {
        segment_bytes: 3 << 20,
        memory_bytes: 1 << 20,
        ..WHOLE
    };
    let copy = copy(&db.engine, cut, false).reopen();
    assert!(copy.engine.stats().segments > 5);
    same(&db.engine, &copy.engine, &[Ts(ts.0 - 1), ts]);
    let view = copy.engine.latest_view();
    assert_eq!(by_name(&view, "other").len(), 500);
    assert_eq!(by_id(&view, 7), [ids[7]]);
    assert_eq!(by_id(&view, 20_007), []);
    assert_eq!(
        by_id(&copy.engine.view_at(Ts(ts.0 - 1)).unwrap(), 20_007),
        [ids[20_007]]
    );
}

#[test]
fn taken_keys_and_new_ones_are_told_apart_after_a_load() {
    let db = Database::new();
    let ids = insert(&db.engine, &[row(1, "a"), row(2, "b"), (None, "c".into())]);
    let mut txn = begin(&db.engine);
    txn.delete(&table(), &ids[1..2]).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let copy = copy(&db.engine, WHOLE, false);
    let mut txn = begin(&copy.engine);
    let taken = txn.insert(&table(), &batch(&[row(1, "x")])).unwrap_err();
    assert!(matches!(taken, Error::UniqueViolation { .. }), "{taken}");
    txn.rollback();
    let new = insert(&copy.engine, &[row(2, "again"), (None, "d".into())]);
    assert!(new[0] > ids[2]);
    assert_eq!(by_id(&copy.engine.latest_view(), 2), [new[0]]);
}

/// A load that would be wrong.
struct Wrong {
    def: TableDef,
    current: Vec<[u64; 3]>,
    superseded: Vec<[u64; 4]>,
    last_ts: u64,
    next_row: Option<u64>,
}

/// A definition of one int8 column with a unique index on it.
fn keyed() -> TableDef {
    let mut def = table();
    def.columns.truncate(1);
    def.indexes.truncate(1);
    def
}

impl Wrong {
    fn right() -> Wrong {
        Wrong {
            def: keyed(),
            // Value, row, begin.
            current: vec![[10, 1, 5], [30, 3, 6]],
            // Value, row, begin, end.
            superseded: vec![[11, 1, 4, 5], [12, 1, 2, 3], [20, 2, 2, 6]],
            last_ts: 6,
            next_row: None,
        }
    }

    fn batch(values: Vec<i64>, numbers: Vec<Vec<u64>>) -> RecordBatch {
        let column: ArrayRef = Arc::new(arrow_array::Int64Array::from(values));
        let mut columns = vec![("c0".to_owned(), column)];
        for (i, numbers) in numbers.into_iter().enumerate() {
            let numbers: ArrayRef = Arc::new(UInt64Array::from(numbers));
            columns.push((format!("n{i}"), numbers));
        }
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn load(&self) -> Result<Engine> {
        let db = empty();
        let mut txn = begin(&db.engine);
        txn.define_table(&self.def)?;
        txn.commit(Durability::Synchronous)?;
        let loader = db.engine.loader(WHOLE.options())?;
        let mut table = loader.table(&keyed())?;
        let column = |rows: &[[u64; 3]], i: usize| rows.iter().map(|row| row[i]).collect();
        let values = self.current.iter().map(|row| row[0] as i64).collect();
        let numbers = (1..3).map(|i| column(&self.current, i)).collect();
        table.push_current(&Wrong::batch(values, numbers))?;
        let column = |i: usize| self.superseded.iter().map(|row| row[i]).collect();
        let values = self.superseded.iter().map(|row| row[0] as i64).collect();
        table.push_superseded(&Wrong::batch(values, (1..4).map(column).collect()))?;
        table.finish()?;
        let next_rows = self.next_row.map(|row| (TABLE, RowId(row)));
        loader.publish(LoadedState {
            last_ts: Ts(self.last_ts),
            next_rows: next_rows.into_iter().collect(),
            ..LoadedState::default()
        })?;
        Ok(db.engine.clone())
    }
}

/// What fits is loaded; a gap between two versions is a time in which the row was not there.
#[test]
fn versions_with_gaps_are_kept_with_their_gaps() {
    let engine = Wrong::right().load().unwrap();
    let def = keyed();
    let at = |t: u64| -> Vec<(u64, Datum)> {
        let rows = scan_columns(&engine.view_at(Ts(t)).unwrap(), &def);
        rows.into_iter()
            .map(|(id, row)| (id.0, row[0].clone()))
            .collect()
    };
    let value = Datum::Int64;
    assert_eq!(at(1), []);
    assert_eq!(at(2), [(1, value(12)), (2, value(20))]);
    assert_eq!(at(3), [(2, value(20))]);
    assert_eq!(at(4), [(1, value(11)), (2, value(20))]);
    assert_eq!(at(5), [(1, value(10)), (2, value(20))]);
    assert_eq!(at(6), [(1, value(10)), (3, value(30))]);
    let found = |t: u64, key: i64| {
        let range = IndexRange::equal(vec![value(key)]);
        let rows = engine
            .view_at(Ts(t))
            .unwrap()
            .index_rows(&def, &def.indexes[0], &range);
        rows.unwrap()
    };
    assert_eq!(found(2, 12), [RowId(1)]);
    assert_eq!(found(3, 12), []);
    assert_eq!(found(5, 20), [RowId(2)]);
    assert_eq!(found(6, 20), []);
    assert_eq!(engine.latest_view().next_row(TABLE), RowId(4));
}

type Change = fn(&mut Wrong);

#[test]
fn what_does_not_fit_is_refused() {
    let wrong: [(&str, Change); 15] = [
        ("rows that do not rise", |w| w.current[1][1] = 1),
        ("row 0", |w| w.current[0][1] = 0),
        ("a row at the end of all numbers", |w| {
            w.current[1][1] = u64::MAX
        }),
        ("a timestamp of 0", |w| w.current[0][2] = 0),
        ("a timestamp after the last", |w| w.current[0][2] = 7),
        ("a key twice", |w| w.current[1][0] = 10),
        ("superseded rows that do not rise", |w| {
            w.superseded[2][1] = 0
        }),
        ("a version that outlives the current one", |w| {
            w.superseded[0][3] = 6
        }),
        ("a version that outlives the next", |w| {
            w.superseded[1][3] = 5
        }),
        ("versions from old to new", |w| w.superseded.swap(0, 1)),
        ("a version of no time", |w| w.superseded[2][2] = 6),
        ("an end after the last timestamp", |w| {
            w.superseded[2][3] = 9
        }),
        ("a row that may be handed out again", |w| {
            w.next_row = Some(3)
        }),
        ("a clock at the end of all time", |w| w.last_ts = u64::MAX),
        ("another definition", |w| {
            w.def.columns[0] = ColumnDef::new(ColumnType::Int32);
        }),
    ];
    for (what, change) in wrong {
        let mut load = Wrong::right();
        change(&mut load);
        let refused = load.load().unwrap_err();
        assert!(
            matches!(refused, Error::Invalid { .. }),
            "{what}: {refused}"
        );
    }
}

#[test]
fn a_table_of_another_shape_is_refused() {
    let db = Database::new();
    let loader = db.engine.loader(WHOLE.options()).unwrap();
    let mut dropped = keyed();
    dropped.columns[0].dropped = true;
    assert!(loader.table(&dropped).is_err());
    let mut table = loader.table(&keyed()).unwrap();
    let current = Wrong::batch(vec![1], vec![vec![1], vec![1]]);
    let superseded = Wrong::batch(vec![1], vec![vec![1], vec![1], vec![2]]);
    assert!(table.push_current(&superseded).is_err());
    assert!(table.push_superseded(&current).is_err());
    assert!(loader.table(&keyed()).is_err(), "twice");
    assert!(db.engine.loader(WHOLE.options()).is_err(), "at one time");
    table.push_superseded(&superseded).unwrap();
    assert!(
        table.push_current(&current).is_err(),
        "current rows come first"
    );
    assert!(
        loader.publish(LoadedState::default()).is_err(),
        "not finished"
    );
    drop(table);
    db.engine.loader(WHOLE.options()).unwrap();
}

#[test]
fn a_collection_that_is_not_empty_is_refused() {
    for flushed in [false, true] {
        let db = Database::new();
        insert(&db.engine, &[row(1, "a")]);
        if flushed {
            db.engine.flush().unwrap();
        }
        let loader = db.engine.loader(WHOLE.options()).unwrap();
        let mut index = loader.sorted(BY_ID).unwrap();
        index.push(b"key", Ts(1), Some(b"value")).unwrap();
        index.finish().unwrap();
        let last_ts = Ts(1);
        let state = LoadedState {
            last_ts,
            ..LoadedState::default()
        };
        assert!(loader.publish(state).is_err());
        assert_eq!(by_id(&db.engine.latest_view(), 1).len(), 1);
    }
}

#[test]
fn entries_out_of_order_are_refused() {
    let db = empty();
    let loader = db.engine.loader(WHOLE.options()).unwrap();
    for (place, wrong) in [
        [(b"b", 2), (b"a", 2)],
        [(b"b", 2), (b"b", 2)],
        [(b"b", 2), (b"b", 3)],
        [(b"b", 2), (b"c", 0)],
    ]
    .into_iter()
    .enumerate()
    {
        let mut sorted = loader.sorted(CollectionId(600 + place as u32)).unwrap();
        sorted.push(wrong[0].0, Ts(wrong[0].1), None).unwrap();
        assert!(sorted.push(wrong[1].0, Ts(wrong[1].1), None).is_err());
    }
}

#[test]
fn a_load_that_ends_early_leaves_nothing() {
    let db = Database::new();
    insert(&db.engine, &[row(1, "a")]);
    let interrupt = Interrupt::new();
    let cut = Cut {
        segment_bytes: 1,
        ..WHOLE
    };
    let target = empty();
    let view = db.engine.latest_view();
    for cancel in [false, true] {
        let options = LoadOptions {
            interrupt: Arc::clone(&interrupt),
            ..cut.options()
        };
        let loader = target.engine.loader(options).unwrap();
        load_sorted(&loader, &view, CATALOG).unwrap();
        let segments = target.dir.path().join("segments");
        assert!(std::fs::read_dir(&segments).unwrap().count() > 0);
        if cancel {
            interrupt.cancel();
        }
        let loaded = load_table(&loader, &view, &only_table(&view), cut);
        assert_eq!(matches!(loaded, Err(Error::Canceled)), cancel);
        drop(loader);
        assert_eq!(std::fs::read_dir(&segments).unwrap().count(), 0);
    }
}

/// The index of the past: until it was made, two rows had the same key.
#[test]
fn an_index_that_was_made_late_answers_from_then_on() {
    let db = Database::new();
    let mut def = table();
    def.indexes.clear();
    let mut txn = begin(&db.engine);
    txn.define_table(&def).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let mut txn = begin(&db.engine);
    let long = "x".repeat(20_000);
    let rows = [row(1, "a"), row(1, &long), row(1, "c")];
    let ids = txn.insert(&def, &batch(&rows)).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let mut txn = begin(&db.engine);
    txn.delete(&def, &ids[..2]).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let index = |place: usize| -> IndexDef { table().indexes[place].clone() };
    let mut txn = begin(&db.engine);
    def.indexes = vec![index(0), index(1)];
    txn.define_table(&def).unwrap();
    for place in 0..2 {
        txn.build_index(&def, &index(place)).unwrap();
    }
    let made = txn.commit(Durability::Synchronous).unwrap();
    let mut txn = begin(&db.engine);
    txn.delete(&def, &ids[2..]).unwrap();
    let again = txn.insert(&def, &batch(&[row(1, "d")])).unwrap();
    let last = txn.commit(Durability::Synchronous).unwrap();
    let copy = copy(&db.engine, WHOLE, false);
    for engine in [&db.engine, &copy.engine] {
        assert_eq!(by_id(&engine.view_at(made).unwrap(), 1), [ids[2]]);
        assert_eq!(by_id(&engine.view_at(last).unwrap(), 1), again);
        assert_eq!(by_name(&engine.view_at(made).unwrap(), "c"), [ids[2]]);
        assert_eq!(by_name(&engine.view_at(last).unwrap(), "c"), []);
    }
}

/// What a load knows nothing of is not there to be read, and stays so.
#[test]
fn history_goes_back_no_further_than_what_was_loaded() {
    let db = Database::new();
    assert_eq!(db.engine.oldest_ts(), Ts(0));
    let now = db.engine.latest_view().ts();
    let (from, last) = (Ts(now.0 + 10), Ts(now.0 + 20));
    let load = |history_from, last_ts| {
        let loader = db.engine.loader(LoadOptions::default()).unwrap();
        loader.publish(LoadedState {
            last_ts,
            history_from,
            ..LoadedState::default()
        })
    };
    assert!(load(last, from).is_err(), "it has no history at all");
    load(from, last).unwrap();
    let check = |engine: &Engine| {
        assert_eq!(engine.oldest_ts(), from);
        assert_eq!(engine.view_at(from).unwrap().ts(), from);
        let refused = engine.view_at(now).unwrap_err();
        assert!(
            matches!(refused, Error::SnapshotTooOld { asked, oldest } if (asked, oldest) == (now, from)),
            "{refused}"
        );
    };
    check(&db.engine);
    check(&db.reopen().engine);
}

/// A dump has of each table what its database had, and of pins those that it was given.
#[test]
fn a_table_may_come_with_less_history_than_others_or_with_more() {
    /// Not one of those that go back as far as any.
    const OTHER: CollectionId = CollectionId(2600);
    let db = Database::new();
    let ids = insert(&db.engine, &[row(1, "a")]);
    let mut times = Vec::new();
    for name in ["b", "c", "d"] {
        let mut txn = begin(&db.engine);
        txn.put(OTHER, b"k", name.as_bytes()).unwrap();
        txn.update(&table(), &ids, &batch(&[row(1, name)])).unwrap();
        times.push(txn.commit(Durability::Synchronous).unwrap());
    }
    let mut txn = begin(&db.engine);
    let pin = NamedPin {
        name: "p".to_owned(),
        kind: PinKind::Point,
        ts: times[1],
        created_micros: 0,
        owner: String::new(),
        reason: String::new(),
    };
    txn.create_pin(pin).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let view = db.engine.latest_view();
    for (all, own) in [(times[0], times[1]), (times[1], times[0])] {
        let copy = empty();
        let loader = copy.engine.loader(WHOLE.options()).unwrap();
        for collection in [CATALOG, OTHER, PINS] {
            load_sorted(&loader, &view, collection).unwrap();
        }
        load_table(&loader, &view, &only_table(&view), WHOLE).unwrap();
        let whole = LoadedState {
            history_from: all,
            tables_from: vec![(TABLE, own)],
            ..state(&db.engine, &view)
        };
        loader.publish(whole).unwrap();
        assert_eq!(copy.engine.pins().unwrap(), db.engine.pins().unwrap());
        let check = |engine: &Engine| {
            assert_eq!(engine.oldest_ts(), all);
            for ts in &times {
                let view = engine.view_at(*ts).unwrap();
                let request = ScanRequest::columns(vec![ColumnId(1)]);
                let scanned = view.scan(Arc::new(table()), request).map(drop);
                let found = view.range(BY_ID, Bound::Unbounded, Bound::Unbounded);
                let stored = view.get(OTHER, b"k").map(drop);
                let found = found.map(drop);
                for (outcome, from) in [(scanned, own), (found, own), (stored, all)] {
                    match outcome {
                        Ok(()) => assert!(*ts >= from),
                        Err(Error::SnapshotTooOld { oldest, .. }) => {
                            assert_eq!(oldest, from);
                            assert!(*ts < from);
                        }
                        Err(e) => panic!("{e}"),
                    }
                }
            }
        };
        check(&copy.engine);
        check(&copy.reopen().engine);
    }
}

/// Somebody was promised a time of which the database would not be whole any more.
#[test]
fn a_load_does_not_take_what_a_pin_holds() {
    let db = Database::new();
    let held = db.engine.latest_view().ts();
    let snapshot = begin(&db.engine);
    let load = |history_from: Ts| {
        let loader = db.engine.loader(LoadOptions::default()).unwrap();
        loader.publish(LoadedState {
            last_ts: Ts(held.0 + 20),
            history_from,
            ..LoadedState::default()
        })
    };
    let refused = load(Ts(held.0 + 10)).unwrap_err();
    assert!(
        refused.to_string().contains("a snapshot holds"),
        "{refused}"
    );
    assert_eq!(db.engine.oldest_ts(), Ts::ZERO);
    load(held).unwrap();
    snapshot.rollback();
    load(Ts(held.0 + 10)).unwrap();
    assert_eq!(db.engine.oldest_ts(), Ts(held.0 + 10));
}
