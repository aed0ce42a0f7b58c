//! What the database must contain: every version ever committed, in a `BTreeMap`.
//!
//! Invariants:
//! 1. `commits` is in commit order, with strictly increasing timestamps.
//! 2. Of each key, versions stand in that order; `None` is a removal.
//! 3. The world after `k` commits is a function of `versions` and the timestamp of commit `k` alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{CollectionId, RowId, TimelineId, Ts};
use heliosdb_storage::schema::TableDef;

/// Where a version lives inside its collection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The definition of the table with this collection's id.
    Definition,
    Row(RowId),
    Bytes(Vec<u8>),
}

/// What a version holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Definition(Arc<TableDef>),
    /// By column id, dropped columns included; columns added later are absent.
    Row(Vec<Datum>),
    Bytes(Vec<u8>),
}

pub type World = BTreeMap<(CollectionId, Key), Arc<Value>>;
pub type Changes = BTreeMap<(CollectionId, Key), Option<Arc<Value>>>;

/// One committed transaction that changed something.
#[derive(Clone, Debug)]
pub struct Commit {
    pub ts: Ts,
    /// Numbered I/O calls made before COMMIT was called; 0 for what an earlier machine left.
    pub started_at: u64,
    /// Sequence values the transaction used, by sequence.
    pub sequence_values: Vec<(CollectionId, i64)>,
}

/// Names a version: its timeline, its collection and its key in it.
type Place = (TimelineId, CollectionId, Key);
/// The versions of one key, oldest first.
type Versions = Vec<(Ts, Option<Arc<Value>>)>;

#[derive(Clone, Debug, Default)]
pub struct Oracle {
    versions: BTreeMap<Place, Versions>,
    commits: Vec<Commit>,
    latest: World,
    /// Every table that was ever committed, with one of its definitions.
    tables: BTreeMap<CollectionId, Arc<TableDef>>,
}

impl Oracle {
    pub fn latest(&self) -> &World {
        &self.latest
    }

    pub fn commits(&self) -> &[Commit] {
        &self.commits
    }

    pub fn last_ts(&self) -> Ts {
        self.ts_of(self.commits.len())
    }

    /// The timestamp of the last of the first `count` commits.
    pub fn ts_of(&self, count: usize) -> Ts {
        let last = count.checked_sub(1);
        last.map_or(Ts::ZERO, |last| self.commits[last].ts)
    }

    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableDef>> {
        self.tables.values()
    }

    pub fn commit(&mut self, commit: Commit, changes: Changes) {
        for ((collection, key), value) in changes {
            if let Some(Value::Definition(def)) = value.as_deref() {
                self.tables.insert(collection, def.clone());
            }
            match &value {
                Some(value) => self.latest.insert((collection, key.clone()), value.clone()),
                None => self.latest.remove(&(collection, key.clone())),
            };
            let place = (TimelineId::MAIN, collection, key);
            self.versions
                .entry(place)
                .or_default()
                .push((commit.ts, value));
        }
        self.commits.push(commit);
    }

    /// The world as the first `count` commits left it.
    pub fn world(&self, count: usize) -> World {
        if count == self.commits.len() {
            return self.latest.clone();
        }
        self.at(self.ts_of(count))
    }

    /// The world AS OF `ts`.
    pub fn at(&self, ts: Ts) -> World {
        let mut world = World::new();
        for ((_, collection, key), versions) in &self.versions {
            let visible = versions.iter().rev().find(|(begin, _)| *begin <= ts);
            if let Some((_, Some(value))) = visible {
                world.insert((*collection, key.clone()), value.clone());
            }
        }
        world
    }

    /// Forget all but the first `count` commits: a crash lost the rest.
    pub fn truncate(&mut self, count: usize) {
        self.latest = self.world(count);
        self.commits.truncate(count);
        let last = self.last_ts();
        for versions in self.versions.values_mut() {
            versions.retain(|(ts, _)| *ts <= last);
        }
        self.versions.retain(|_, versions| !versions.is_empty());
    }

    /// What is committed belongs to an earlier machine from now on.
    pub fn hand_over(&mut self) {
        for commit in &mut self.commits {
            commit.started_at = 0;
        }
    }

    /// Whether a version was committed after the first `count` commits, equal to the one before or
    /// not.
    pub fn changed_since(&self, count: usize, collection: CollectionId, key: &Key) -> bool {
        let base = self.ts_of(count);
        let place = (TimelineId::MAIN, collection, key.clone());
        let versions = self.versions.get(&place);
        versions
            .and_then(|v| v.last())
            .is_some_and(|(ts, _)| *ts > base)
    }

    /// Whether a version of this row was ever committed: then its id may not be given out again.
    pub fn knows_row(&self, table: CollectionId, row: RowId) -> bool {
        let versions = self.versions.get(&(TimelineId::MAIN, table, Key::Row(row)));
        versions.is_some_and(|versions| versions.iter().any(|(_, value)| value.is_some()))
    }

    /// Values of `sequence` that committed transactions have used.
    pub fn used_values(&self, sequence: CollectionId) -> BTreeSet<i64> {
        let used = self
            .commits
            .iter()
            .flat_map(|commit| &commit.sequence_values);
        used.filter(|(id, _)| *id == sequence)
            .map(|(_, value)| *value)
            .collect()
    }
}

/// `world` with `changes` on top.
pub fn overlay(world: &World, changes: &Changes) -> World {
    let mut world = world.clone();
    for (place, value) in changes {
        match value {
            Some(value) => world.insert(place.clone(), value.clone()),
            None => world.remove(place),
        };
    }
    world
}

pub fn definition(world: &World, table: CollectionId) -> Option<&Arc<TableDef>> {
    match world.get(&(table, Key::Definition)).map(Arc::as_ref) {
        Some(Value::Definition(def)) => Some(def),
        _ => None,
    }
}

pub fn definitions(world: &World) -> Vec<Arc<TableDef>> {
    let definition = |value: &Arc<Value>| match value.as_ref() {
        Value::Definition(def) => Some(def.clone()),
        _ => None,
    };
    world.values().filter_map(definition).collect()
}

/// Rows of `table`, with every column of `def`; what an old row lacks is NULL.
pub fn rows(world: &World, def: &TableDef) -> BTreeMap<RowId, Vec<Datum>> {
    let from = (def.id, Key::Row(RowId(0)));
    let to = (def.id, Key::Row(RowId(u64::MAX)));
    let mut rows = BTreeMap::new();
    for ((_, key), value) in world.range(from..=to) {
        if let (Key::Row(row), Value::Row(columns)) = (key, value.as_ref()) {
            let mut columns = columns.clone();
            let missing = def.columns[columns.len().min(def.columns.len())..].iter();
            columns.extend(missing.map(|column| match &column.missing {
                Some(bytes) => Datum::decode(bytes).expect("the history encoded it"),
                None => Datum::Null,
            }));
            rows.insert(*row, columns);
        }
    }
    rows
}

/// Entries of a sorted collection.
pub fn entries(world: &World, collection: CollectionId) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let from = (collection, Key::Bytes(Vec::new()));
    let mut entries = BTreeMap::new();
    for ((id, key), value) in world.range(from..) {
        match (key, value.as_ref()) {
            (Key::Bytes(key), Value::Bytes(value)) if *id == collection => {
                entries.insert(key.clone(), value.clone());
            }
            _ => break,
        }
    }
    entries
}
