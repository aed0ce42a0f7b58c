//! One machine running one random history, and what is known of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use heliosdb_storage::ids::{CollectionId, RowId, Ts};
use heliosdb_storage::{
    Durability, Engine, Error, Interrupt, Isolation, Options, ReadView, Savepoint, SequenceSpec,
    Transaction,
};

use super::branches::Branches;
use super::check::check_world;
use super::codec::Codecs;
use super::oracle::{Changes, Commit, Oracle, World, definition, overlay};
use super::{Failure, Result, SEQUENCES};
use crate::SimDisk;
use crate::rng::Rng;

/// Transactions a history keeps open at once.
const OPEN_MAX: usize = 2;

/// A running machine with an open database.
pub struct Machine {
    pub disk: SimDisk,
    engine: Option<Engine>,
    /// How often the database was opened on this machine.
    pub openings: u64,
    options: Options,
    /// Compactions that did something.
    pub compacted: u64,
    pub oracle: Oracle,
    pub(super) branches: Branches,
    /// (numbered calls made when it became known, commits then known to be durable), ascending.
    durable: Vec<(u64, usize)>,
    /// (calls made when its transaction was acknowledged as durable, sequence, value).
    acknowledged_values: Vec<(u64, CollectionId, i64)>,
    /// A transaction whose COMMIT answered with an error.
    pub in_doubt: Option<Changes>,
    last_values: BTreeMap<CollectionId, i64>,
    pub(super) given_rows: BTreeSet<(CollectionId, RowId)>,
    /// A reader of a branch that was dropped since, and what it sees.
    pub(super) read_on: Option<(Transaction, World)>,
    pub(super) rng: Rng,
    open: Vec<Open>,
}

/// A transaction that has not ended.
pub(super) struct Open {
    pub txn: Transaction,
    pub isolation: Isolation,
    /// Commits its snapshot sees; `None` before its first statement.
    pub base: Option<usize>,
    /// The same of its first statement.
    pub first: Option<usize>,
    /// Commits that it has read, which its own commit must find durable.
    pub read: usize,
    pub changes: Changes,
    sequence_values: Vec<(CollectionId, i64)>,
    savepoints: Vec<(Savepoint, Changes)>,
}

impl Machine {
    /// A new database on a new disk.
    pub fn start(seed: u64, disk: SimDisk) -> Result<Machine> {
        let mut rng = Rng::new(seed).fork(11);
        let mut options = tiny_options(&mut rng);
        options.memory_bytes_max = if has_little_memory(seed) {
            256 << 10
        } else {
            1 << 30
        };
        let mut machine = Machine {
            disk,
            engine: None,
            openings: 0,
            options,
            compacted: 0,
            oracle: Oracle::default(),
            branches: Branches::default(),
            durable: vec![(0, 0)],
            acknowledged_values: Vec::new(),
            in_doubt: None,
            last_values: BTreeMap::new(),
            given_rows: BTreeSet::new(),
            read_on: None,
            rng,
            open: Vec::new(),
        };
        machine.open_engine()?;
        Ok(machine)
    }

    /// A machine that starts on what a crash of `self` in call `call` left, knowing what `self` was
    /// told before that call, and finds one of the worlds that may be there.
    pub fn restart(&self, disk: SimDisk, call: u64, seed: u64) -> Result<Machine> {
        let (least, most) = self.survivors(call);
        let mut machine = Machine {
            disk,
            engine: None,
            openings: 0,
            options: self.options.clone(),
            compacted: 0,
            oracle: self.oracle.clone(),
            branches: self.branches.clone(),
            durable: vec![(0, least)],
            acknowledged_values: self.acknowledged_values.clone(),
            in_doubt: None,
            last_values: BTreeMap::new(),
            given_rows: BTreeSet::new(),
            read_on: None,
            rng: Rng::new(seed),
            open: Vec::new(),
        };
        machine.oracle.hand_over();
        machine.acknowledged_values.retain(|(at, _, _)| *at < call);
        for (at, _, _) in &mut machine.acknowledged_values {
            *at = 0;
        }
        machine.open_engine()?;
        machine.settle(
            least,
            most,
            self.in_doubt.as_ref().filter(|_| most == self.commits()),
        )?;
        let (least, most) = self.branches.survivors(call);
        machine.settle_branches(least, most)?;
        Ok(machine)
    }

    /// A machine that starts on a damaged copy of the disk of `self`, which was closed.
    pub fn restart_damaged(&self, disk: SimDisk, seed: u64) -> Result<Machine> {
        let mut machine = Machine {
            disk,
            engine: None,
            openings: 0,
            options: self.options.clone(),
            compacted: 0,
            oracle: self.oracle.clone(),
            branches: self.branches.clone(),
            durable: Vec::new(),
            acknowledged_values: Vec::new(),
            in_doubt: None,
            last_values: BTreeMap::new(),
            given_rows: BTreeSet::new(),
            read_on: None,
            rng: Rng::new(seed),
            open: Vec::new(),
        };
        machine.open_engine()?;
        machine.settle(self.durable_before_last_write(), self.commits(), None)?;
        let branches = self.branches.count();
        machine.settle_branches(branches.saturating_sub(1), branches)?;
        Ok(machine)
    }

    /// Commits that must and that may have survived a crash in call `call`.
    pub fn survivors(&self, call: u64) -> (usize, usize) {
        let known = self.durable.iter().filter(|(at, _)| *at < call);
        let least = known.map(|(_, commits)| *commits).max().unwrap_or(0);
        let begun = self
            .oracle
            .commits()
            .iter()
            .filter(|c| c.started_at == 0 || c.started_at < call);
        (least, begun.count().max(least))
    }

    pub fn commits(&self) -> usize {
        self.oracle.commits().len()
    }

    /// Durable commits that losing the last write to the log could not take away.
    pub fn durable_before_last_write(&self) -> usize {
        let last = self.durable.last().map_or(0, |(_, commits)| *commits);
        let before = self.durable.iter().rev().map(|(_, commits)| *commits);
        before
            .into_iter()
            .find(|commits| *commits < last)
            .unwrap_or(0)
    }

    fn open_engine(&mut self) -> Result<()> {
        let io = Arc::new(self.disk.clone());
        let engine = Engine::open(io, self.options.clone())?;
        engine.set_codecs(Arc::new(Codecs));
        self.engine = Some(engine);
        self.openings += 1;
        self.last_values.clear();
        // What nobody committed may be given again by the next process.
        self.given_rows.clear();
        Ok(())
    }

    /// False after a close or an opening that failed.
    pub fn is_open(&self) -> bool {
        self.engine.is_some()
    }

    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("open between steps")
    }

    /// Find which of the possible worlds is there, from the newest, and take it for the truth.
    fn settle(&mut self, least: usize, most: usize, in_doubt: Option<&Changes>) -> Result<()> {
        let view = self.engine().latest_view();
        // A commit that changed nothing visible cannot be told from one that is not there.
        if let Some(changes) = in_doubt.filter(|_| view.ts() > self.oracle.last_ts()) {
            let world = overlay(self.oracle.latest(), changes);
            if check_world(&view, &world, self.oracle.tables()).is_ok() {
                self.adopt_in_doubt(view.ts(), changes.clone());
                return self.settled();
            }
        }
        let mut first_difference = None;
        // Two worlds may be equal; the one whose commit is newer than all that is there is out.
        let newest = |count: &usize| self.oracle.ts_of(*count) <= view.ts();
        for count in (least..=most).rev().filter(newest) {
            match check_world(&view, &self.oracle.world(count), self.oracle.tables()) {
                Ok(()) => {
                    self.oracle.truncate(count);
                    return self.settled();
                }
                Err(Failure::Wrong(what)) => first_difference = Some(what),
                // The view could not be read at all: that is not a question of which world it is.
                Err(refused) => return Err(refused),
            }
        }
        let what = first_difference.unwrap_or_else(|| format!("newest commit {}", view.ts()));
        let range = format!("none of the worlds after {least} to {most} commits is there");
        Err(Failure::Wrong(format!(
            "{range}; compared with the first: {what}"
        )))
    }

    fn adopt_in_doubt(&mut self, ts: Ts, changes: Changes) {
        let commit = Commit {
            ts,
            started_at: 0,
            sequence_values: Vec::new(),
        };
        self.oracle.commit(commit, changes);
    }

    /// What a reopened database shows is durable, and everything about it must agree.
    fn settled(&mut self) -> Result<()> {
        self.know_durable(self.commits());
        let visible = self.engine().visible_view();
        check_world(&visible, self.oracle.latest(), self.oracle.tables())
            .map_err(|failure| failure.of("what is visible differs from the latest"))?;
        self.check_cursor()?;
        for _ in 0..2 {
            let count = self.rng.index(self.commits() + 1);
            self.check_as_of(count)?;
        }
        if self.rng.one_in(4) {
            for sequence in SEQUENCES {
                self.sequence_next(sequence)?;
            }
        }
        Ok(())
    }

    /// The world after `count` commits, read at the timestamp of the last of them.
    fn check_as_of(&self, count: usize) -> Result<()> {
        let ts = self.oracle.ts_of(count);
        let (view, oldest) = (self.engine().view_at(ts), self.engine().oldest_ts());
        let view = match view {
            Err(Error::SnapshotTooOld { .. }) if ts < oldest => return Ok(()),
            Ok(_) if ts < oldest => {
                let what = format!("{ts} can be read, but history goes back to {oldest}");
                return Err(Failure::Wrong(what));
            }
            view => view?,
        };
        let checked = check_world(&view, &self.oracle.at(ts), std::iter::empty());
        checked.map_err(|failure| failure.of(format_args!("AS OF {ts}")))
    }

    pub(super) fn know_durable(&mut self, commits: usize) {
        self.durable.push((self.disk.calls(), commits));
    }

    /// Run `steps` random steps.
    pub fn run(&mut self, steps: usize) -> Result<()> {
        for _ in 0..steps {
            self.step()?;
        }
        Ok(())
    }

    pub fn step(&mut self) -> Result<()> {
        if self.rng.one_in(50) {
            return self.reopen();
        }
        self.step_without_reopening()
    }

    pub fn step_without_reopening(&mut self) -> Result<()> {
        match self.rng.below(100) {
            0..2 => return self.engine().flush().map_err(Failure::from),
            2..6 => return self.check_live(),
            8..14 => return self.compact(),
            14..22 => return self.branch_step(),
            6 => self
                .disk
                .jump(self.rng.below(20_000_000) as i64 - 10_000_000),
            7 => self.disk.advance(self.rng.below(10_000_000)),
            _ => {}
        }
        if self.open.is_empty() || (self.open.len() < OPEN_MAX && self.rng.one_in(5)) {
            self.begin();
        }
        let at = self.rng.index(self.open.len());
        let mut open = self.open.swap_remove(at);
        match self.rng.below(20) {
            0 => open.txn.rollback(),
            1..7 => return self.commit(open),
            7 if open.savepoints.len() < 3 => {
                let savepoint = open.txn.savepoint();
                open.savepoints.push((savepoint, open.changes.clone()));
                self.open.push(open);
            }
            8 if !open.savepoints.is_empty() => {
                let keep = self.rng.index(open.savepoints.len());
                open.savepoints.truncate(keep + 1);
                if let Some((savepoint, changes)) = open.savepoints.pop() {
                    open.txn.rollback_to(savepoint);
                    open.changes = changes;
                }
                self.open.push(open);
            }
            _ => {
                if self.statement(&mut open)? {
                    self.open.push(open);
                }
            }
        }
        Ok(())
    }

    /// Merge what is due, or everything. No more history goes than may.
    fn compact(&mut self) -> Result<()> {
        let before = self.engine().oldest_ts();
        let interrupt = Interrupt::new();
        let compacted = match self.rng.coin() {
            true => self.engine().compact_all(&interrupt),
            false => self.engine().compact(&interrupt),
        };
        let engine = self.engine();
        let expired = match self.options.retention_micros {
            Some(retention) => engine.now_micros().saturating_sub(retention),
            None => 0,
        };
        let oldest = engine.oldest_ts();
        if oldest > before.max(Ts(expired)) || oldest > engine.latest_view().ts() {
            let what = format!("history is kept from {oldest} on, not from {expired}");
            return Err(Failure::Wrong(what));
        }
        self.compacted += compacted?.compactions;
        self.check_read_on()?;
        self.check_cursor()
    }

    fn begin(&mut self) {
        let isolation = match self.rng.below(6) {
            0 => Isolation::RepeatableRead,
            1 => Isolation::Serializable,
            _ => Isolation::ReadCommitted,
        };
        let txn = self.engine().begin(isolation, Interrupt::new());
        self.open.push(Open {
            txn,
            isolation,
            base: None,
            first: None,
            read: 0,
            changes: Changes::new(),
            sequence_values: Vec::new(),
            savepoints: Vec::new(),
        });
    }

    /// Whether another transaction than the one at work is open.
    pub(super) fn others_open(&self) -> bool {
        !self.open.is_empty()
    }

    fn commit(&mut self, mut open: Open) -> Result<()> {
        open.changes
            .retain(|place, value| value.is_some() || self.oracle.latest().contains_key(place));
        let synchronous = self.rng.below(10) < 7;
        let durability = if synchronous {
            Durability::Synchronous
        } else {
            Durability::Asynchronous
        };
        let started_at = self.disk.calls();
        let committed = open.txn.commit(durability);
        let ts = match committed {
            Ok(ts) => ts,
            // Nothing of it stays, and it is not in doubt.
            Err(Error::ReadWriteDependency { .. }) if open.isolation == Isolation::Serializable => {
                return Ok(());
            }
            Err(error) => {
                if !open.changes.is_empty() {
                    self.in_doubt = Some(open.changes);
                }
                return Err(error.into());
            }
        };
        let calls = self.disk.calls();
        let mut known = open.read;
        if !open.changes.is_empty() {
            if ts <= self.oracle.last_ts() {
                let last = self.oracle.last_ts();
                return Err(Failure::Wrong(format!("commit at {ts}, not after {last}")));
            }
            let sequence_values = open.sequence_values.clone();
            self.oracle.commit(
                Commit {
                    ts,
                    started_at,
                    sequence_values,
                },
                open.changes,
            );
            known = self.commits();
        }
        if synchronous {
            self.know_durable(known);
            let values = open
                .sequence_values
                .iter()
                .map(|(id, value)| (calls, *id, *value));
            self.acknowledged_values.extend(values);
        }
        Ok(())
    }

    /// Close, sometimes by just dropping, and open again: everything is there.
    pub fn reopen(&mut self) -> Result<()> {
        self.close()?;
        self.open_engine()?;
        let commits = self.commits();
        self.settle(commits, commits, None)?;
        self.check_all_branches()
    }

    /// The process ends without closing anything and another one opens the database: the machine
    /// did not crash, so it reads also what no sync has made durable. Whatever it then shows must be
    /// made so.
    pub fn restart_process(&mut self) -> Result<()> {
        self.open.clear();
        self.engine = None;
        let (least, _) = self.survivors(u64::MAX);
        self.open_engine()?;
        let in_doubt = self.in_doubt.take();
        self.settle(least, self.commits(), in_doubt.as_ref())?;
        let (least, most) = self.branches.survivors(u64::MAX);
        self.settle_branches(least, most)
    }

    /// Roll back what is open and close the database.
    pub fn close(&mut self) -> Result<()> {
        self.abandon();
        let engine = self.engine.take().expect("open between steps");
        engine.close()?;
        self.know_durable(self.commits());
        Ok(())
    }

    /// The running engine shows every commit it acknowledged, to every kind of reader.
    pub fn check_live(&mut self) -> Result<()> {
        let (engine, latest) = (self.engine(), self.oracle.latest());
        let check = |what: &str, view: ReadView, world: &World| {
            check_world(&view, world, self.oracle.tables()).map_err(|failure| failure.of(what))
        };
        check("visible", engine.visible_view(), latest)?;
        check("latest", engine.latest_view(), latest)?;
        for open in &self.open {
            let isolation = open.isolation;
            let world = overlay(latest, &open.changes);
            check(
                &format!("{isolation:?}, latest"),
                open.txn.latest_view(),
                &world,
            )?;
            if open.base.is_some() {
                // A snapshot from before an ALTER of a table is for the layer above to mind.
                let old = self.world_of(open);
                let mut shown = old.clone();
                shown.retain(|(id, _), _| definition(&old, *id) == definition(latest, *id));
                check_world(&open.txn.read_view(), &shown, std::iter::empty())
                    .map_err(|failure| failure.of(format_args!("{isolation:?}, snapshot")))?;
            }
        }
        let count = self.rng.index(self.commits() + 1);
        self.check_as_of(count)?;
        self.check_all_branches()
    }

    /// What the snapshot of `open` shows, its own changes included.
    pub(super) fn world_of(&self, open: &Open) -> World {
        let base = open.base.unwrap_or(self.commits());
        overlay(&self.oracle.world(base), &open.changes)
    }

    /// The running engine refused a commit and goes on: find out which of the two worlds it shows.
    pub fn resolve_in_doubt(&mut self) -> Result<()> {
        let (least, most) = self.branches.survivors(u64::MAX);
        if least < most {
            self.settle_branches(least, most)?;
        }
        let Some(changes) = self.in_doubt.take() else {
            return Ok(());
        };
        let view = self.engine().latest_view();
        let with = overlay(self.oracle.latest(), &changes);
        if view.ts() > self.oracle.last_ts()
            && check_world(&view, &with, self.oracle.tables()).is_ok()
        {
            self.adopt_in_doubt(view.ts(), changes);
            return Ok(());
        }
        check_world(&view, self.oracle.latest(), self.oracle.tables())
            .map_err(|failure| failure.of("after a refused commit"))
    }

    /// End every open transaction without committing.
    pub fn abandon(&mut self) {
        self.open.clear();
        self.read_on = None;
    }

    pub(super) fn draw(&mut self, open: &mut Open, sequence: CollectionId) -> Result<i64> {
        open.txn.used_sequence();
        let value = self.sequence_next(sequence)?;
        open.sequence_values.push((sequence, value));
        Ok(value)
    }

    /// A sequence never gives a value that a surviving commit has used, or twice in one process.
    fn sequence_next(&mut self, sequence: CollectionId) -> Result<i64> {
        let spec = sequence_spec(sequence);
        let next = self.engine().sequence_next(sequence, &spec)?;
        let Some(value) = next else {
            return Err(Failure::Wrong(format!("sequence {sequence} is exhausted")));
        };
        let again = self.oracle.used_values(sequence).contains(&value)
            || self
                .acknowledged_values
                .iter()
                .any(|(_, id, v)| (*id, *v) == (sequence, value));
        let last = self.last_values.insert(sequence, value);
        let backwards = last.is_some_and(|last| (value - last).signum() != spec.increment.signum());
        if again || backwards {
            return Err(Failure::Wrong(format!(
                "sequence {sequence} gives {value} again"
            )));
        }
        Ok(value)
    }
}

fn sequence_spec(sequence: CollectionId) -> SequenceSpec {
    if sequence == SEQUENCES[0] {
        SequenceSpec {
            start: 1,
            increment: 1,
            min: 1,
            max: i64::MAX,
            cycle: false,
        }
    } else {
        SequenceSpec {
            start: -5,
            increment: -3,
            min: i64::MIN,
            max: -1,
            cycle: false,
        }
    }
}

/// Whether the history of `seed` has next to no memory: it flushes, writes runs and evicts pages at every step.
/// It makes ten times the calls of another, and every read decodes its pages.
pub(super) fn has_little_memory(seed: u64) -> bool {
    Rng::new(seed).fork(14).index(8) == 0
}

/// Options small enough that a short history flushes, switches logs and splits pages.
fn tiny_options(rng: &mut Rng) -> Options {
    let options = Options {
        memtable_bytes_max: [2 << 10, 8 << 10, 16 << 10, 64 << 10][rng.index(4)],
        wal_segment_bytes: 64 << 10,
        retention_micros: [None, Some(0), Some(0), Some(5_000_000)][rng.index(4)],
        compaction_bytes_max: [2 << 10, 8 << 10, 1 << 30][rng.index(3)],
        page_bytes: [512, 2 << 10, 8 << 10][rng.index(3)],
        lock_timeout_micros: Some(0),
        // Half of the histories have private runs, some for every write.
        transaction_bytes_max: [0, 600, 64 << 20, 64 << 20][rng.index(4)],
        ..Options::default()
    };
    Options {
        // Some texts are large to each.
        blob_bytes_min: options.page_bytes / 32,
        sketch_rows_min: 4,
        ..options
    }
}
