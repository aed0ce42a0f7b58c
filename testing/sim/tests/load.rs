//! A load on a machine that fails: crashed, refused or out of space at any of its calls, all of a
//! published load is there afterwards, or nothing.

#![allow(clippy::unwrap_used)]

use std::ops::Bound;
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch, StringViewArray};
use arrow_schema::{Field, Schema};
use arrow_select::concat::concat_batches;
use heliosdb_sim::{Call, CrashModel, Fault, SimDisk};
use heliosdb_storage::catalog::CATALOG;
use heliosdb_storage::ids::{CollectionId, ColumnId, Ts};
use heliosdb_storage::schema::{ColumnDef, ColumnType, IndexDef, KeyColumn, TableDef};
use heliosdb_storage::{
    Durability, Engine, Error, Interrupt, Isolation, LoadOptions, LoadedState, Options, ReadView,
    Result, RowVersions, Transaction, Version,
};

const TABLE: CollectionId = CollectionId(2000);
const BY_KEY: CollectionId = CollectionId(2001);
const STORE: CollectionId = CollectionId(900);
/// Written to by transactions before, between and after the loads.
const OTHER: CollectionId = CollectionId(901);
const SEQUENCE: CollectionId = CollectionId(910);
const ROWS: i64 = 1200;
const NEXT_COLLECTION: CollectionId = CollectionId(3000);

fn table() -> TableDef {
    TableDef {
        id: TABLE,
        columns: vec![
            ColumnDef::new(ColumnType::Int64),
            ColumnDef::new(ColumnType::Text),
        ],
        computed: Vec::new(),
        retention: None,
        indexes: vec![IndexDef {
            id: BY_KEY,
            columns: vec![KeyColumn {
                column: ColumnId(0),
                descending: false,
                nulls_first: false,
            }],
            unique: true,
            predicate: None,
        }],
    }
}

fn batch(keys: impl Iterator<Item = i64>) -> RecordBatch {
    let keys: Vec<i64> = keys.collect();
    let schema = Schema::new(vec![
        Field::new("c0", ColumnType::Int64.arrow(), true),
        Field::new("c1", ColumnType::Text.arrow(), true),
    ]);
    let texts: StringViewArray = keys.iter().map(|key| Some(format!("text {key}"))).collect();
    let columns: Vec<arrow_array::ArrayRef> =
        vec![Arc::new(Int64Array::from(keys)), Arc::new(texts)];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn options() -> Options {
    Options {
        wal_segment_bytes: 64 << 10,
        memtable_bytes_max: 8 << 20,
        transaction_bytes_max: 8 << 20,
        ..Options::default()
    }
}

fn open(disk: &SimDisk) -> Result<Engine> {
    Engine::open(Arc::new(disk.clone()), options())
}

fn begin(engine: &Engine) -> Transaction {
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    txn
}

/// All that a database holds of what the second load brings.
#[derive(Debug, PartialEq)]
struct Rows {
    current: Option<RecordBatch>,
    superseded: Option<RecordBatch>,
    /// Just before the last commit.
    before: Option<RecordBatch>,
    entries: Vec<Version>,
    entries_before: Vec<(Vec<u8>, Vec<u8>)>,
    live: u64,
}

/// And the first.
#[derive(Debug, PartialEq)]
struct Catalog {
    entries: Vec<Version>,
    sequences: Vec<(CollectionId, i64, bool)>,
    next_collection: bool,
}

fn rows(view: &ReadView, which: RowVersions) -> Result<Option<RecordBatch>> {
    let batches = view.row_versions(&Arc::new(table()), which)?;
    let batches = batches.collect::<Result<Vec<_>>>()?;
    let first = batches.first().map(|batch| batch.schema());
    Ok(first.map(|schema| concat_batches(&schema, &batches).unwrap()))
}

impl Rows {
    fn of(engine: &Engine, ts: Ts) -> Result<Rows> {
        let view = engine.view_at(ts)?;
        let before = engine.view_at(Ts(ts.0 - 1))?;
        let entries_before = before.range(BY_KEY, Bound::Unbounded, Bound::Unbounded)?;
        Ok(Rows {
            current: rows(&view, RowVersions::Current)?,
            superseded: rows(&view, RowVersions::Superseded)?,
            before: rows(&before, RowVersions::Current)?,
            entries: view.versions(BY_KEY)?.collect::<Result<_>>()?,
            entries_before: entries_before.collect::<Result<_>>()?,
            live: view.row_count_estimate(TABLE),
        })
    }

    fn nothing() -> Rows {
        Rows {
            current: None,
            superseded: None,
            before: None,
            entries: Vec::new(),
            entries_before: Vec::new(),
            live: 0,
        }
    }
}

impl Catalog {
    fn of(engine: &Engine, ts: Ts) -> Result<Catalog> {
        let view = engine.view_at(ts)?;
        let mut entries = view.versions(CATALOG)?.collect::<Result<Vec<_>>>()?;
        entries.extend(view.versions(STORE)?.collect::<Result<Vec<_>>>()?);
        Ok(Catalog {
            entries,
            sequences: engine.sequences(),
            next_collection: engine.next_collection() >= NEXT_COLLECTION,
        })
    }

    fn nothing() -> Catalog {
        Catalog {
            entries: Vec::new(),
            sequences: Vec::new(),
            next_collection: false,
        }
    }
}

fn commit(engine: &Engine, write: impl FnOnce(&mut Transaction) -> Result<()>) -> Result<Ts> {
    let mut txn = begin(engine);
    write(&mut txn)?;
    txn.commit(Durability::Synchronous)
}

/// The original, and what a copy of it must hold.
struct Original {
    engine: Engine,
    ts: Ts,
    rows: Rows,
    catalog: Catalog,
}

impl Original {
    fn new() -> Original {
        let engine = open(&SimDisk::new(1)).unwrap();
        let mut ids = Vec::new();
        commit(&engine, |txn| {
            txn.define_table(&table())?;
            // Not in the order of the keys, so that they have to be sorted.
            ids = txn.insert(&table(), &batch((0..ROWS).map(|i| i * 7 % ROWS)))?;
            Ok(())
        })
        .unwrap();
        for step in 0..3 {
            commit(&engine, |txn| {
                let rows = &ids[step * 100..step * 100 + 300];
                let keys = (0..300).map(|i| i + ROWS * (step as i64 + 1));
                txn.update(&table(), rows, &batch(keys))?;
                txn.delete(&table(), &ids[1000 + step..1001 + step])?;
                txn.put(STORE, b"key", &[step as u8])
            })
            .unwrap();
        }
        engine.sequence_set(SEQUENCE, 17, true).unwrap();
        let ts = engine.latest_view().ts();
        let mut catalog = Catalog::of(&engine, ts).unwrap();
        catalog.next_collection = true;
        Original {
            rows: Rows::of(&engine, ts).unwrap(),
            catalog,
            ts,
            engine,
        }
    }

    fn load_catalog(&self, engine: &Engine) -> Result<()> {
        let loader = engine.loader(load_options())?;
        let view = self.engine.latest_view();
        for collection in [CATALOG, STORE] {
            let mut sorted = loader.sorted(collection)?;
            for version in view.versions(collection)? {
                let version = version.unwrap();
                sorted.push(&version.key, version.begin, version.value.as_deref())?;
            }
            sorted.finish()?;
        }
        loader.publish(LoadedState {
            last_ts: self.ts,
            next_collection: NEXT_COLLECTION,
            sequences: self.catalog.sequences.clone(),
            ..LoadedState::default()
        })
    }

    fn load_rows(&self, engine: &Engine) -> Result<()> {
        let loader = engine.loader(load_options())?;
        let mut loading = loader.table(&table())?;
        if let Some(rows) = &self.rows.current {
            for start in (0..rows.num_rows()).step_by(250) {
                let count = 250.min(rows.num_rows() - start);
                loading.push_current(&rows.slice(start, count))?;
            }
        }
        if let Some(rows) = &self.rows.superseded {
            loading.push_superseded(rows)?;
        }
        loading.finish()?;
        loader.publish(LoadedState {
            last_ts: self.ts,
            next_rows: vec![(TABLE, self.engine.latest_view().next_row(TABLE))],
            ..LoadedState::default()
        })
    }

    /// Which of the two loads are there; each must be whole or not there at all.
    fn found_in(&self, engine: &Engine) -> [bool; 2] {
        let catalog = Catalog::of(engine, self.ts).unwrap();
        let has_catalog = catalog == self.catalog;
        assert!(has_catalog || catalog == Catalog::nothing(), "{catalog:?}");
        let rows = Rows::of(engine, self.ts).unwrap();
        let has_rows = rows == self.rows;
        assert!(has_rows || rows == Rows::nothing(), "a part of the rows");
        if has_catalog {
            assert!(engine.latest_view().ts() >= self.ts);
        }
        if has_rows {
            let next_row = self.engine.latest_view().next_row(TABLE);
            assert_eq!(engine.latest_view().next_row(TABLE), next_row);
        }
        [has_catalog, has_rows]
    }

    /// A loaded database goes on.
    fn goes_on(&self, engine: &Engine) {
        let taken = commit(engine, |txn| {
            txn.insert(&table(), &batch([ROWS * 3].into_iter()))
                .map(|_| ())
        });
        assert!(matches!(taken, Err(Error::UniqueViolation { .. })));
        let next_row = self.engine.latest_view().next_row(TABLE);
        let ts = commit(engine, |txn| {
            let ids = txn.insert(&table(), &batch([-1].into_iter()))?;
            assert!(ids[0] >= next_row);
            Ok(())
        });
        assert!(ts.unwrap() > self.ts);
        engine.flush().unwrap();
        let live = engine.latest_view().row_count_estimate(TABLE);
        assert_eq!(live, self.rows.live + 1);
        let now = rows(&engine.latest_view(), RowVersions::Current).unwrap();
        assert_eq!(now.map_or(0, |rows| rows.num_rows() as u64), live);
    }
}

/// Small enough for a segment per collection, and for sorting in files.
fn load_options() -> LoadOptions {
    LoadOptions {
        memory_bytes: 0,
        segment_bytes: 8 << 10,
        ..LoadOptions::default()
    }
}

/// Until where a copy has come.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// Calls made when the loads had returned.
    published: [Option<u64>; 2],
    /// Commits of others, all of which are durable.
    commits: u8,
}

impl Progress {
    fn note(&mut self, engine: &Engine) -> Result<()> {
        commit(engine, |txn| txn.put(OTHER, &[self.commits], b"there"))?;
        self.commits += 1;
        Ok(())
    }

    /// Load everything that is missing, with commits and flushes of others around it.
    fn copy(&mut self, original: &Original, disk: &SimDisk, engine: &Engine) -> Result<()> {
        self.note(engine)?;
        if self.published[0].is_none() {
            original.load_catalog(engine)?;
            self.published[0] = Some(disk.calls());
        }
        self.note(engine)?;
        engine.flush()?;
        self.note(engine)?;
        if self.published[1].is_none() {
            original.load_rows(engine)?;
            self.published[1] = Some(disk.calls());
        }
        self.note(engine)
    }

    /// Hold what a machine shows that stopped at call `at` against this.
    fn check(&self, original: &Original, disk: &SimDisk, at: u64) -> [bool; 2] {
        let engine = open(disk).unwrap();
        let found = original.found_in(&engine);
        for (found, published) in found.iter().zip(self.published) {
            let promised = published.is_some_and(|calls| calls < at);
            assert!(*found || !promised, "a load that had returned is gone");
        }
        if found == [true, true] {
            original.goes_on(&engine);
            engine.close().unwrap();
            let engine = open(disk).unwrap();
            let live = engine.latest_view().row_count_estimate(TABLE);
            assert_eq!(live, original.rows.live + 1);
        }
        let files = disk.files();
        let runs = files.iter().filter(|(name, _)| name.starts_with("load/"));
        assert_eq!(runs.count(), 0, "{files:?}");
        found
    }
}

#[test]
fn a_crash_at_any_call_leaves_all_of_a_load_or_nothing() {
    let original = Original::new();
    let disk = SimDisk::new(7);
    disk.record_images();
    let engine = open(&disk).unwrap();
    let mut progress = Progress::default();
    progress.copy(&original, &disk, &engine).unwrap();
    assert_eq!(original.found_in(&engine), [true, true]);
    drop(engine);
    let images = disk.take_images();
    let mut counts = [0; 3];
    for image in &images {
        for model in CrashModel::ALL {
            let disk = image.crash(model, image.call * 3 + model as u64);
            let found = progress.check(&original, &disk, image.call);
            counts[found.iter().filter(|found| **found).count()] += 1;
        }
    }
    // Crashes before the first load, between the two, and after both.
    assert!(counts.iter().all(|count| *count > 9), "{counts:?}");
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Fail(Fault),
    Full,
    FailRead,
}

#[test]
fn a_failing_call_leaves_all_of_a_load_or_nothing_and_a_second_try_succeeds() {
    let original = Original::new();
    let quiet = SimDisk::new(7);
    let engine = open(&quiet).unwrap();
    let (opened, opened_reads) = (quiet.calls(), quiet.reads());
    Progress::default()
        .copy(&original, &quiet, &engine)
        .unwrap();
    let (calls, reads) = (quiet.calls(), quiet.reads());
    let syncs = quiet
        .trace()
        .iter()
        .filter(|call| **call == Call::SyncData)
        .count();
    assert!(syncs > 10);
    let mut outcomes = [0; 3];
    for trouble in [
        Trouble::Fail(Fault::Io),
        Trouble::Fail(Fault::NoSpace),
        Trouble::Full,
        Trouble::FailRead,
    ] {
        let range = match trouble {
            Trouble::FailRead => opened_reads + 1..=reads,
            _ => opened + 1..=calls,
        };
        for at in range {
            let disk = SimDisk::new(7);
            let engine = open(&disk).unwrap();
            match trouble {
                Trouble::Fail(fault) => disk.fail_at(at, fault),
                Trouble::Full => disk.full_from(at),
                Trouble::FailRead => disk.fail_read_at(at, Fault::Io),
            }
            let mut progress = Progress::default();
            let outcome = progress.copy(&original, &disk, &engine);
            disk.heal();
            disk.free_space();
            match outcome {
                Ok(()) => outcomes[0] += 1,
                Err(Error::Io { .. } | Error::DiskFull { .. } | Error::Stopped { .. }) => {
                    outcomes[1] += 1;
                }
                Err(other) => panic!("{trouble:?} at {at}: {other}"),
            }
            // Either this engine can, or one that is opened again.
            let mut again = progress;
            if again.copy(&original, &disk, &engine).is_err() {
                outcomes[2] += 1;
                drop(engine);
                let found = progress.check(&original, &disk, disk.calls() + 1);
                let engine = open(&disk).unwrap();
                let mut again = progress;
                for (published, found) in again.published.iter_mut().zip(found) {
                    *published = found.then_some(0);
                }
                again.copy(&original, &disk, &engine).unwrap();
                drop(engine);
                if found != [true, true] {
                    again.check(&original, &disk, disk.calls() + 1);
                }
                continue;
            }
            assert_eq!(original.found_in(&engine), [true, true]);
            drop(engine);
            let crashed = disk.crash(CrashModel::ALL[at as usize % 3], at);
            again.check(&original, &crashed, disk.calls() + 1);
        }
    }
    // Nobody noticed, the load failed, the engine had stopped.
    assert!(outcomes.iter().all(|count| *count > 5), "{outcomes:?}");
}
