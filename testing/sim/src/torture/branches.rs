//! Branches beside a history: made AS OF any time, written to, merged with the rest and dropped.
//!
//! Each change of a branch is one transaction or one record in the log, waited for before the next. So
//! after a crash those that were acknowledged are there, and of the others at most the last. What a
//! branch shows is its own versions over what its parent showed at the fork.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId, TimelineId, Ts};
use heliosdb_storage::schema::{ColumnDef, ColumnType, TableDef};
use heliosdb_storage::{
    Durability, Error, Interrupt, Isolation, LockWait, RowLockMode, Transaction,
};

use super::check::check_world;
use super::history::Machine;
use super::oracle::{Changes, Key, Oracle, Value, World, definitions, entries, overlay, rows};
use super::statement::{batch, conflicts, random_row};
use super::{Failure, Result, STORES};

/// Branches at a time.
const BRANCHES_MAX: usize = 3;

/// What was done to branches, in order.
#[derive(Clone, Debug, Default)]
pub struct Branches {
    events: Vec<Event>,
    named: u64,
}

#[derive(Clone, Debug)]
struct Event {
    /// Numbered I/O calls made before; 0 for what an earlier machine left.
    started_at: u64,
    /// `None`: the answer was an error.
    acknowledged_at: Option<u64>,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Create {
        name: String,
        /// `None` is the main timeline.
        parent: Option<String>,
        at: Ts,
    },
    Commit {
        name: String,
        /// `None` when the answer was an error.
        ts: Option<Ts>,
        changes: Changes,
    },
    Drop {
        name: String,
    },
}

/// A branch after some of the events.
struct Branch<'a> {
    parent: Option<&'a str>,
    fork: Ts,
    commits: Vec<(Ts, &'a Changes)>,
}

type State<'a> = BTreeMap<&'a str, Branch<'a>>;

impl Branches {
    /// The branches after the first `count` events; a commit without a timestamp gets `now`.
    fn state(&self, count: usize, now: Ts) -> State<'_> {
        let mut state = State::new();
        for event in &self.events[..count] {
            match &event.what {
                What::Create { name, parent, at } => {
                    let branch = Branch {
                        parent: parent.as_deref(),
                        fork: *at,
                        commits: Vec::new(),
                    };
                    state.insert(name, branch);
                }
                What::Commit { name, ts, changes } => {
                    if let Some(branch) = state.get_mut(name.as_str()) {
                        branch.commits.push((ts.unwrap_or(now), changes));
                    }
                }
                What::Drop { name } => {
                    state.remove(name.as_str());
                }
            }
        }
        state
    }

    /// Whether a row was ever committed on a branch.
    pub fn knows_row(&self, table: CollectionId, row: RowId) -> bool {
        self.events.iter().any(|event| match &event.what {
            What::Commit { changes, .. } => {
                matches!(changes.get(&(table, Key::Row(row))), Some(Some(_)))
            }
            _ => false,
        })
    }

    /// Events that must and that may have survived a crash in call `call`.
    pub fn survivors(&self, call: u64) -> (usize, usize) {
        let events = self.events.iter();
        let least = events
            .clone()
            .take_while(|e| e.acknowledged_at.is_some_and(|at| at < call));
        let most = events.take_while(|e| e.started_at == 0 || e.started_at < call);
        (least.count(), most.count())
    }

    pub fn count(&self) -> usize {
        self.events.len()
    }
}

/// What a branch, or the main timeline, shows at `ts`.
fn world(state: &State<'_>, name: Option<&str>, ts: Ts, oracle: &Oracle) -> World {
    let Some(branch) = name.and_then(|name| state.get(name)) else {
        return oracle.at(ts);
    };
    let mut world = world(state, branch.parent, ts.min(branch.fork), oracle);
    for (_, changes) in branch.commits.iter().filter(|(begin, _)| *begin <= ts) {
        world = overlay(&world, changes);
    }
    world
}

impl Machine {
    fn timeline_of(&self, name: Option<&str>) -> Result<TimelineId> {
        let name = name.unwrap_or("main");
        let id = self.engine().timeline(name);
        id.ok_or_else(|| Failure::Wrong(format!("timeline {name} is missing")))
    }

    /// Do something to branches.
    pub(super) fn branch_step(&mut self) -> Result<()> {
        let branches = self.branches.clone();
        let state = branches.state(branches.count(), Ts::MAX);
        let names: Vec<&str> = state.keys().copied().collect();
        let any = match names.len() {
            0 => None,
            n => Some(names[self.rng.index(n)]),
        };
        match (self.rng.below(10), any) {
            (0..3, _) | (_, None) if names.len() < BRANCHES_MAX => {
                let parent = any.filter(|_| self.rng.coin());
                self.create_branch(&state, parent)
            }
            (3, Some(name)) => self.drop_branch(&state, name),
            (4..9, Some(name)) => self.write_branch(&state, name),
            _ => self.check_branches(branches.count()),
        }
    }

    /// Note that something begins; its place in the list.
    fn branch_event(&mut self, what: What) -> usize {
        self.branches.events.push(Event {
            started_at: self.disk.calls(),
            acknowledged_at: None,
            what,
        });
        self.branches.events.len() - 1
    }

    /// It was acknowledged, and all commits before it are durable.
    fn branch_done(&mut self, event: usize) {
        self.branches.events[event].acknowledged_at = Some(self.disk.calls());
        self.know_durable(self.commits());
    }

    fn create_branch(&mut self, state: &State<'_>, parent: Option<&str>) -> Result<()> {
        let id = self.timeline_of(parent)?;
        let at = match self.rng.coin() {
            true => self.engine().latest_view().ts(),
            false => self.oracle.ts_of(self.rng.index(self.commits() + 1)),
        };
        self.branches.named += 1;
        let name = format!("branch {}", self.branches.named);
        let event = self.branch_event(What::Create {
            name: name.clone(),
            parent: parent.map(str::to_owned),
            at,
        });
        match self.engine().create_timeline(&name, id, at) {
            Err(Error::SnapshotTooOld { .. }) if at < self.engine().oldest_ts() => {
                self.branches.events.pop();
                return Ok(());
            }
            created => created?,
        };
        self.branch_done(event);
        let shown = world(state, parent, at, &self.oracle);
        let view = self
            .engine()
            .latest_view_on(self.timeline_of(Some(&name))?)?;
        check_world(&view, &shown, std::iter::empty())
            .map_err(|failure| failure.of(format_args!("new {name} AS OF {at}")))
    }

    fn drop_branch(&mut self, state: &State<'_>, name: &str) -> Result<()> {
        let id = self.timeline_of(Some(name))?;
        // One that others say they branched off may be above them, or not: they may be on what is above it.
        if state.values().any(|branch| branch.parent == Some(name)) {
            return Ok(());
        }
        let reader = match self.rng.coin() {
            true => Some(self.branch_reader(state, name, id)?),
            false => None,
        };
        let event = self.branch_event(What::Drop {
            name: name.to_owned(),
        });
        self.engine().drop_timeline(id)?;
        self.branch_done(event);
        self.read_on = reader.or(self.read_on.take());
        Ok(())
    }

    /// A transaction on a branch, and what its snapshot shows.
    fn branch_reader(
        &mut self,
        state: &State<'_>,
        name: &str,
        id: TimelineId,
    ) -> Result<(Transaction, World)> {
        let isolation = Isolation::RepeatableRead;
        let begun = self
            .engine()
            .begin_read_only_on(id, isolation, Interrupt::new());
        let mut txn = begun?;
        txn.begin_statement();
        let shown = world(state, Some(name), txn.read_view().ts(), &self.oracle);
        Ok((txn, shown))
    }

    /// Whoever began to read a branch before its drop sees what was there, and lets go at some time.
    pub(super) fn check_read_on(&mut self) -> Result<()> {
        let Some((txn, shown)) = &self.read_on else {
            return Ok(());
        };
        check_world(&txn.read_view(), shown, std::iter::empty())
            .map_err(|failure| failure.of("a branch that was dropped"))?;
        if self.rng.one_in(4) {
            self.read_on = None;
        }
        Ok(())
    }

    fn write_branch(&mut self, state: &State<'_>, name: &str) -> Result<()> {
        let id = self.timeline_of(Some(name))?;
        let world = world(state, Some(name), Ts::MAX, &self.oracle);
        let isolation = match self.rng.coin() {
            true => Isolation::ReadCommitted,
            false => Isolation::Serializable,
        };
        let mut txn = self.engine().begin_on(id, isolation, Interrupt::new())?;
        txn.begin_statement();
        let mut changes = Changes::new();
        for _ in 0..=self.rng.index(3) {
            self.change_branch(&mut txn, &world, &mut changes)?;
        }
        if changes.is_empty() {
            txn.rollback();
            return Ok(());
        }
        let event = self.branch_event(What::Commit {
            name: name.to_owned(),
            ts: None,
            changes,
        });
        let committed = txn.commit(Durability::Synchronous)?;
        if let What::Commit { ts, .. } = &mut self.branches.events[event].what {
            *ts = Some(committed);
        }
        self.branch_done(event);
        Ok(())
    }

    /// One statement on a branch that showed `before`.
    fn change_branch(
        &mut self,
        txn: &mut Transaction,
        before: &World,
        changes: &mut Changes,
    ) -> Result<()> {
        let world = overlay(before, changes);
        let tables = definitions(&world);
        if tables.is_empty() || self.rng.one_in(4) {
            return self.change_branch_store(txn, &world, changes);
        }
        let def: Arc<TableDef> = tables[self.rng.index(tables.len())].clone();
        let there = rows(&world, &def);
        let one = match there.len() {
            0 => None,
            n => there.iter().nth(self.rng.index(n)),
        };
        match (self.rng.below(10), one) {
            (0, _) => {
                let missing = Datum::Int64(self.rng.below(9) as i64).encode();
                let mut def = def.as_ref().clone();
                def.columns.push(ColumnDef {
                    missing: self.rng.coin().then(|| Arc::from(missing)),
                    ..ColumnDef::new(match self.rng.coin() {
                        true => ColumnType::Int64,
                        false => ColumnType::Text,
                    })
                });
                if def.columns.last().is_some_and(|c| c.ty == ColumnType::Text) {
                    // A text has no number for a value.
                    def.columns.last_mut().expect("pushed above").missing = None;
                }
                txn.define_table(&def)?;
                let value = Arc::new(Value::Definition(Arc::new(def.clone())));
                changes.insert((def.id, Key::Definition), Some(value));
            }
            (1..4, Some((row, _))) => {
                txn.lock_row(def.id, *row, RowLockMode::Update, LockWait::NoWait)?;
                txn.delete(&def, &[*row])?;
                changes.insert((def.id, Key::Row(*row)), None);
            }
            (4..7, Some((row, columns))) => {
                txn.lock_row(def.id, *row, RowLockMode::Update, LockWait::NoWait)?;
                let new = self.unkeyed(&def, columns);
                txn.update(&def, &[*row], &batch(&def, std::slice::from_ref(&new))?)?;
                let value = Arc::new(Value::Row(new));
                changes.insert((def.id, Key::Row(*row)), Some(value));
            }
            _ => {
                let new = random_row(&mut self.rng, &def, 1 << 40);
                if conflicts(&def, &new, there.values()) {
                    return Ok(());
                }
                let ids = txn.insert(&def, &batch(&def, std::slice::from_ref(&new))?)?;
                let known = self.oracle.knows_row(def.id, ids[0])
                    || self.branches.knows_row(def.id, ids[0])
                    || !self.given_rows.insert((def.id, ids[0]));
                if known {
                    let what = format!("row id {} of table {} again", ids[0], def.id);
                    return Err(Failure::Wrong(what));
                }
                let value = Arc::new(Value::Row(new));
                changes.insert((def.id, Key::Row(ids[0])), Some(value));
            }
        }
        Ok(())
    }

    fn change_branch_store(
        &mut self,
        txn: &mut Transaction,
        world: &World,
        changes: &mut Changes,
    ) -> Result<()> {
        let there: Vec<_> = entries(world, STORES[0]).into_keys().collect();
        let (key, value) = match there.is_empty() || self.rng.coin() {
            true => (vec![self.rng.below(4) as u8], Some(self.rng.bytes(40))),
            false => (there[self.rng.index(there.len())].clone(), None),
        };
        match &value {
            Some(value) => txn.put(STORES[0], &key, value)?,
            None => txn.remove(STORES[0], &key)?,
        }
        let value = value.map(|value| Arc::new(Value::Bytes(value)));
        changes.insert((STORES[0], Key::Bytes(key)), value);
        Ok(())
    }

    /// A row with other values in columns that no index has.
    fn unkeyed(&mut self, def: &TableDef, columns: &[Datum]) -> Vec<Datum> {
        let keys = def.indexes.iter().flat_map(|index| &index.columns);
        let keys: BTreeSet<ColumnId> = keys.map(|key| key.column).collect();
        let fresh = random_row(&mut self.rng, def, 1 << 40);
        let columns = columns.iter().zip(fresh).enumerate();
        let value = |(at, (old, fresh)): (usize, (&Datum, Datum))| match (
            def.columns[at].dropped,
            keys.contains(&ColumnId(at as u16)),
        ) {
            (true, _) => Datum::Null,
            (false, true) => old.clone(),
            (false, false) => fresh,
        };
        columns.map(value).collect()
    }

    /// The engine has the branches of the first `count` events, and each shows what it should.
    fn check_branches(&mut self, count: usize) -> Result<()> {
        let branches = self.branches.clone();
        let now = self.engine().latest_view().ts();
        let state = branches.state(count, now);
        let there: BTreeSet<String> = self
            .engine()
            .timelines()
            .into_iter()
            .map(|t| t.name)
            .collect();
        let expected: BTreeSet<String> = state
            .keys()
            .copied()
            .chain(["main"])
            .map(str::to_owned)
            .collect();
        if there != expected {
            return Err(Failure::Wrong(format!(
                "timelines {there:?}, not {expected:?}"
            )));
        }
        for (name, branch) in &state {
            let id = self.timeline_of(Some(name))?;
            let shown = world(&state, Some(name), Ts::MAX, &self.oracle);
            check_world(
                &self.engine().latest_view_on(id)?,
                &shown,
                std::iter::empty(),
            )
            .map_err(|failure| failure.of(name))?;
            // Its own times, and those of the main timeline.
            let times = branch.commits.iter().map(|(ts, _)| *ts);
            let times: Vec<Ts> = times.chain([branch.fork]).collect();
            let ts = match self.rng.coin() {
                true => times[self.rng.index(times.len())],
                false => self.oracle.ts_of(self.rng.index(self.commits() + 1)),
            };
            let view = match self.engine().view_at_on(id, ts) {
                Err(Error::SnapshotTooOld { .. }) if ts < self.engine().oldest_ts() => continue,
                view => view?,
            };
            let shown = world(&state, Some(name), ts, &self.oracle);
            check_world(&view, &shown, std::iter::empty())
                .map_err(|failure| failure.of(format_args!("{name} AS OF {ts}")))?;
        }
        Ok(())
    }

    /// All branches as the engine has them.
    pub(super) fn check_all_branches(&mut self) -> Result<()> {
        self.check_branches(self.branches.count())
    }

    /// Find which of the possible lists of events the engine shows, and take it for the truth.
    pub(super) fn settle_branches(&mut self, least: usize, most: usize) -> Result<()> {
        let mut first_difference = None;
        for count in (least..=most).rev() {
            match self.check_branches(count) {
                Ok(()) => {
                    let now = self.engine().latest_view().ts();
                    self.branches.events.truncate(count);
                    for event in &mut self.branches.events {
                        (event.started_at, event.acknowledged_at) = (0, Some(0));
                        if let What::Commit { ts, .. } = &mut event.what {
                            ts.get_or_insert(now);
                        }
                    }
                    return Ok(());
                }
                Err(Failure::Wrong(what)) => {
                    first_difference.get_or_insert(what);
                }
                Err(refused) => return Err(refused),
            }
        }
        let what = first_difference.unwrap_or_default();
        Err(Failure::Wrong(format!(
            "branches after {least} to {most} changes: {what}"
        )))
    }
}
