//! A random history of a database with an index, compared with a scan after every step.
//!
//! Each step is one of: a commit, small or larger than a transaction's memory, on the main timeline or a
//! branch; a transaction that is compared while it writes, falls back to a savepoint and is rolled back; a
//! flush, a merge of all files; a branch off some time; a swap of the main timeline with a branch; bringing
//! the index forward by a few rows or by all; building or removing it; a jump of the clock, after which
//! history goes; and a crash, with what was not synced lost, torn or reordered, in any of them.

use std::sync::Arc;

use heliosdb_plugin_host::index::{IndexError, PluginIndex};
use heliosdb_sim::rng::Rng;
use heliosdb_sim::{CrashModel, SimDisk};
use heliosdb_storage::catalog::CATALOG;
use heliosdb_storage::ids::{TimelineId, Ts};
use heliosdb_storage::{
    Durability, Engine, Error, Interrupt, Isolation, LoadOptions, LoadedState, Options, ReadView,
    RowVersions, Version,
};

use crate::table::{self, TABLE, WORDS};
use crate::truth::compare;
use crate::{Ask, Driver, Result, index, set_up, text};

/// What was done, to see that it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub commits: u64,
    pub bulk: u64,
    pub transactions: u64,
    pub builds: u64,
    pub catch_ups: u64,
    pub removals: u64,
    /// Of an index that could not be brought forward.
    pub rebuilds: u64,
    pub branches: u64,
    pub swaps: u64,
    pub merges: u64,
    pub crashes: u64,
    /// Crashes within the change of an index.
    pub interrupted: u64,
    pub compared: u64,
    /// Comparisons in which the index knew something, and in which there was something that it did not.
    pub covered: u64,
    pub behind: u64,
    /// Comparisons at a time before what the index has forgotten.
    pub forgotten: u64,
}

/// How a history goes.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub seed: u64,
    pub steps: u64,
    /// Whether history goes after a while.
    pub retention: bool,
}

struct Machine<'a> {
    disk: SimDisk,
    engine: Engine,
    index: PluginIndex,
    driver: &'a dyn Fn(&Engine) -> Box<dyn Driver>,
    config: Config,
    rng: Rng,
    /// Of commits, old ones first.
    times: Vec<Ts>,
    branches: u64,
    totals: Totals,
}

const HOUR_MICROS: u64 = 3_600_000_000;

fn options(config: &Config) -> Options {
    Options {
        wal_segment_bytes: 64 << 10,
        memtable_bytes_max: 64 << 10,
        page_bytes: 4 << 10,
        transaction_bytes_max: 8 << 10,
        retention_micros: config.retention.then_some(HOUR_MICROS),
        ..Options::default()
    }
}

/// Run a history. `Err` says where an answer was wrong, or what failed.
pub fn run(config: Config, driver: &dyn Fn(&Engine) -> Box<dyn Driver>) -> Result<Totals> {
    let disk = SimDisk::new(config.seed);
    let engine = Engine::open(Arc::new(disk.clone()), options(&config)).map_err(text)?;
    set_up(&engine).map_err(text)?;
    let mut machine = Machine {
        index: index(&engine)?,
        disk,
        engine,
        driver,
        config,
        rng: Rng::new(config.seed).fork(77),
        times: Vec::new(),
        branches: 0,
        totals: Totals::default(),
    };
    for step in 0..config.steps {
        let done = machine.step().and_then(|()| machine.compare_all());
        done.map_err(|why| format!("seed {}, step {step}: {why}", config.seed))?;
    }
    Ok(machine.totals)
}

/// A history on a disk that a caller keeps: rows are loaded with the load that publishes at once, and the
/// index is built of them.
pub fn loaded(seed: u64, rows: usize) -> Result<()> {
    let config = Config {
        seed,
        steps: 0,
        retention: false,
    };
    let engine = |disk: &SimDisk| Engine::open(Arc::new(disk.clone()), options(&config));
    let (source, target) = (SimDisk::new(seed), SimDisk::new(seed + 1));
    let source = engine(&source).map_err(text)?;
    set_up(&source).map_err(text)?;
    let mut rng = Rng::new(seed);
    let mut times = Vec::new();
    for _ in 0..rows / 20 {
        let mut txn = begin_on(&source, source.main_timeline()).map_err(text)?;
        table::write(&mut txn, &mut rng, 20).map_err(text)?;
        times.push(txn.commit(Durability::Synchronous).map_err(text)?);
    }
    let target = engine(&target).map_err(text)?;
    copy(&source, &target).map_err(text)?;
    set_up_store(&target).map_err(text)?;
    let index = index(&target)?;
    index.build(&Interrupt::new()).map_err(text)?;
    for at in times {
        let view = target.view_at(at).map_err(text)?;
        for word in WORDS {
            let reading = index.read(&view, &Interrupt::new()).map_err(text)?;
            if !reading.is_covered() {
                return Err(format!("the index does not know of {at}"));
            }
            compare(&crate::Host, &index, &view, &Ask { word, k: None })?;
        }
    }
    Ok(())
}

/// Load the table with all its versions.
fn copy(source: &Engine, target: &Engine) -> heliosdb_storage::Result<()> {
    let view = source.latest_view();
    let table = Arc::new(table::definition());
    let loader = target.loader(LoadOptions::default())?;
    let mut catalog = loader.sorted(CATALOG)?;
    for version in view.versions(CATALOG)? {
        let Version { key, begin, value } = version?;
        catalog.push(&key, begin, value.as_deref())?;
    }
    catalog.finish()?;
    let mut rows = loader.table(&table)?;
    for batch in view.row_versions(&table, RowVersions::Current)? {
        rows.push_current(&batch?)?;
    }
    for batch in view.row_versions(&table, RowVersions::Superseded)? {
        rows.push_superseded(&batch?)?;
    }
    rows.finish()?;
    loader.publish(LoadedState {
        last_ts: view.ts(),
        history_from: source.oldest_ts(),
        next_collection: source.next_collection(),
        ..LoadedState::default()
    })
}

fn set_up_store(engine: &Engine) -> heliosdb_storage::Result<()> {
    let mut txn = begin_on(engine, engine.main_timeline())?;
    let collection = engine.allocate_collection_id();
    heliosdb_plugin_host::store::create(&mut txn, collection, "word", "words", 1)?;
    txn.commit(Durability::Synchronous).map(drop)
}

fn begin_on(
    engine: &Engine,
    timeline: TimelineId,
) -> heliosdb_storage::Result<heliosdb_storage::Transaction> {
    let mut txn = engine.begin_on(timeline, Isolation::ReadCommitted, Interrupt::new())?;
    txn.begin_statement();
    Ok(txn)
}

impl Machine<'_> {
    fn step(&mut self) -> Result<()> {
        match self.rng.below(40) {
            0..=12 => self.commit(6),
            13 => {
                self.totals.bulk += 1;
                self.commit(200)
            }
            14..=17 => self.transact(),
            18..=24 => self.change_index(),
            25 => self.build_or_remove(),
            26 => self.engine.flush().map_err(text),
            27 => {
                self.totals.merges += 1;
                let merged = self.engine.compact_all(&Interrupt::new());
                merged.map(drop).map_err(text)
            }
            28 => self.branch(),
            29 => self.swap(),
            30 => {
                self.disk.advance(HOUR_MICROS / 3);
                self.engine.confirm_clock();
                Ok(())
            }
            31 => self.crash(),
            _ => self.commit(2),
        }
    }

    fn timeline(&mut self) -> TimelineId {
        let all = self.engine.timelines();
        match self.rng.one_in(4) {
            true => all[self.rng.index(all.len())].id,
            false => self.engine.main_timeline(),
        }
    }

    fn commit(&mut self, most: u64) -> Result<()> {
        let timeline = self.timeline();
        let mut txn = begin_on(&self.engine, timeline).map_err(text)?;
        table::write(&mut txn, &mut self.rng, most).map_err(text)?;
        self.times
            .push(txn.commit(Durability::Synchronous).map_err(text)?);
        self.totals.commits += 1;
        Ok(())
    }

    /// A transaction that looks while it writes, and in the end comes to nothing.
    fn transact(&mut self) -> Result<()> {
        let timeline = self.timeline();
        let isolation = match self.rng.below(3) {
            0 => Isolation::ReadCommitted,
            1 => Isolation::RepeatableRead,
            _ => Isolation::Serializable,
        };
        let txn = self.engine.begin_on(timeline, isolation, Interrupt::new());
        let mut txn = txn.map_err(text)?;
        txn.begin_statement();
        table::write(&mut txn, &mut self.rng, 5).map_err(text)?;
        self.compare(&txn.read_view())?;
        let savepoint = txn.savepoint();
        let most = if self.rng.one_in(6) { 150 } else { 5 };
        table::write(&mut txn, &mut self.rng, most).map_err(text)?;
        self.compare(&txn.read_view())?;
        txn.rollback_to(savepoint);
        self.compare(&txn.read_view())?;
        self.totals.transactions += 1;
        txn.rollback();
        Ok(())
    }

    /// Bring the index forward, maybe not to the end of it.
    fn change_index(&mut self) -> Result<()> {
        let rows_max = match self.rng.one_in(3) {
            true => usize::MAX,
            false => 1 + self.rng.index(30),
        };
        if self.rng.one_in(5) {
            let ahead = 1 + self.rng.below(12);
            self.disk.crash_at(self.disk.calls() + ahead);
        }
        let driver = (self.driver)(&self.engine);
        let done = driver.catch_up(&self.index, rows_max);
        if self.disk.crashed() {
            self.totals.interrupted += 1;
            return self.crash();
        }
        self.disk.heal();
        match done {
            Ok(()) => self.totals.catch_ups += 1,
            Err(IndexError::NotBuilt(_) | IndexError::NoStore { .. }) => {
                return self.build_or_remove();
            }
            Err(IndexError::Lost(..)) => {
                self.totals.rebuilds += 1;
                return self.index.rebuild(&Interrupt::new()).map_err(text);
            }
            Err(error) => return Err(format!("catching up: {error}")),
        }
        Ok(())
    }

    fn build_or_remove(&mut self) -> Result<()> {
        let interrupt = Interrupt::new();
        match self.index.build(&interrupt) {
            Ok(()) => self.totals.builds += 1,
            Err(IndexError::Built(_)) => {
                self.index.remove(&interrupt).map_err(text)?;
                self.totals.removals += 1;
            }
            Err(IndexError::NoStore { .. }) => {}
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    fn branch(&mut self) -> Result<()> {
        let Some(at) = self.some_time() else {
            return Ok(());
        };
        self.branches += 1;
        let name = format!("branch {}", self.branches);
        let from = self.timeline();
        match self.engine.create_timeline(&name, from, at) {
            Ok(_) => self.totals.branches += 1,
            Err(Error::SnapshotTooOld { .. }) => {}
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    /// A restore in place.
    fn swap(&mut self) -> Result<()> {
        let all = self.engine.timelines();
        let main = self.engine.main_timeline();
        let other = all[self.rng.index(all.len())].id;
        if main != other {
            self.engine.swap_timelines(main, other).map_err(text)?;
            self.totals.swaps += 1;
        }
        Ok(())
    }

    fn some_time(&mut self) -> Option<Ts> {
        match self.times.is_empty() {
            true => None,
            false => Some(self.times[self.rng.index(self.times.len())]),
        }
    }

    fn crash(&mut self) -> Result<()> {
        let model = CrashModel::ALL[self.rng.index(CrashModel::ALL.len())];
        let disk = self.disk.crash(model, self.rng.next_u64());
        let engine = Engine::open(Arc::new(disk.clone()), options(&self.config)).map_err(text)?;
        self.index = index(&engine)?;
        self.engine = engine;
        self.disk = disk;
        self.totals.crashes += 1;
        Ok(())
    }

    /// At the newest commit, in the past, and on some branch.
    fn compare_all(&mut self) -> Result<()> {
        self.compare(&self.engine.latest_view())?;
        let timeline = self.timeline();
        let view = self.engine.latest_view_on(timeline).map_err(text)?;
        self.compare(&view)?;
        let Some(at) = self.some_time() else {
            return Ok(());
        };
        match self.engine.view_at_on(timeline, at) {
            Ok(view) if at >= self.engine.oldest_ts_of(TABLE) => self.compare(&view),
            Ok(_) | Err(Error::SnapshotTooOld { .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn compare(&mut self, view: &ReadView) -> Result<()> {
        let driver = (self.driver)(&self.engine);
        let k = [None, Some(1), Some(5)][self.rng.index(3)];
        let word = WORDS[self.rng.index(WORDS.len())];
        let reading = self.index.read(view, &Interrupt::new()).map_err(text)?;
        self.totals.compared += 1;
        self.totals.covered += u64::from(reading.is_covered());
        self.totals.behind += u64::from(reading.is_covered() && reading.since() < view.ts());
        let header = self.index.header(view).map_err(text)?;
        self.totals.forgotten += u64::from(header.is_some() && !reading.is_covered());
        compare(&*driver, &self.index, view, &Ask { word, k })?;
        match reading.check().map_err(text)?.as_slice() {
            [] => Ok(()),
            found => Err(found.join("; ")),
        }
    }
}
