//! A plugin's stores as they are found, the versions it wants, and its steps: made up by a seed, or
//! those of a plugin that there is ([`Scenario::registry`]).

mod registry;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use heliosdb_plugin_host::active::steps::Steps;
use heliosdb_plugin_host::migration::{
    Adopt, Entry, MigrationError, Plan, PluginError, Settings, Step, Tally, Wanted, preflight,
};
use heliosdb_plugin_host::store::{self, StoreState};
use heliosdb_sim::SimDisk;
use heliosdb_sim::rng::Rng;
use heliosdb_storage::{Durability, Engine, Interrupt, Isolation, LockWait, Options, ReadView};

use registry::Linked;

/// A made-up plugin that migrates.
const PLUGIN: &str = "p";
/// The plugin whose store it may adopt.
const OTHER: &str = "other";

pub type Content = BTreeMap<Vec<u8>, Vec<u8>>;

/// Live stores by plugin and name, with version and content.
pub type World = BTreeMap<(String, String), (u32, Content)>;

/// What a step does with an entry. The entry alone decides which, so batches may end anywhere.
#[derive(Clone, Copy, Debug)]
enum Change {
    Keep,
    Drop,
    /// Two entries of one.
    Split,
    /// The key goes elsewhere.
    Reverse,
    /// The value grows.
    Grow,
}

const CHANGES: [Change; 5] = [
    Change::Keep,
    Change::Drop,
    Change::Split,
    Change::Reverse,
    Change::Grow,
];

/// One pass over a store.
#[derive(Clone, Debug)]
struct Pass {
    store: String,
    from: u32,
    to: u32,
    changes: Vec<Change>,
    /// Adopts this version of the other plugin's store instead of its own.
    adopts: Option<(String, u32)>,
}

impl Pass {
    fn random(rng: &mut Rng, store: &str, from: u32) -> Pass {
        let count = 1 + rng.index(5);
        Pass {
            store: store.to_owned(),
            from,
            to: from + 1,
            changes: (0..count).map(|_| CHANGES[rng.index(5)]).collect(),
            adopts: None,
        }
    }

    /// What becomes of an entry. The last byte of a new key says how it came to be, so that no two
    /// entries make the same key.
    fn entry(&self, entry: &Entry) -> Vec<Entry> {
        let bytes = entry.key.iter().chain(&entry.value);
        let sum: usize = bytes.map(|byte| usize::from(*byte)).sum();
        let made = |mut key: Vec<u8>, kind: u8, value: Vec<u8>| {
            key.push(kind);
            Entry { key, value }
        };
        let (key, value) = (entry.key.clone(), entry.value.clone());
        match self.changes[sum % self.changes.len()] {
            Change::Keep => vec![made(key, 0, value)],
            Change::Drop => Vec::new(),
            Change::Split => vec![made(key.clone(), 2, value.clone()), made(key, 1, value)],
            Change::Reverse => vec![made(key.into_iter().rev().collect(), 3, value)],
            Change::Grow => vec![made(key, 4, value.repeat(2))],
        }
    }

    fn content(&self, content: &Content) -> Content {
        let entries = entries(content);
        let made = entries.iter().flat_map(|entry| self.entry(entry));
        made.map(|entry| (entry.key, entry.value)).collect()
    }
}

/// The pass as the migration engine calls it.
struct PassStep {
    pass: Pass,
    /// It refuses the entry with this key.
    breaks_at: Option<Vec<u8>>,
}

impl Step for PassStep {
    fn store(&self) -> &str {
        &self.pass.store
    }

    fn from(&self) -> u32 {
        self.pass.from
    }

    fn checksum(&self) -> &str {
        "made up"
    }

    fn migrate(&self, entries: Vec<Entry>) -> Result<Vec<Entry>, PluginError> {
        let broken = |entry: &&Entry| Some(&entry.key) == self.breaks_at.as_ref();
        if entries.iter().find(broken).is_some() {
            return Err(PluginError::internal("this step is broken"));
        }
        let made = entries.iter().flat_map(|entry| self.pass.entry(entry));
        Ok(made.collect())
    }

    fn check(&self, entry: &Entry) -> Result<(), PluginError> {
        match entry.key.last() {
            Some(0..=4) => Ok(()),
            _ => Err(PluginError::internal("a key of no kind")),
        }
    }
}

/// See the module's header.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    /// The plugin that migrates.
    pub plugin: String,
    pub before: World,
    pub after: World,
    stores: Vec<(String, u32)>,
    /// Per store that migrates, in the order of its passes.
    passes: Vec<Vec<Pass>>,
    /// Instead of stores and passes: what a plugin's own code wants.
    linked: Option<Linked>,
    /// What each pass reads and writes.
    tallies: BTreeMap<(String, u32), (Tally, Tally)>,
    /// The key at which the last pass of the first run breaks.
    breaks_at: Option<Vec<u8>>,
    batch_entries_max: usize,
    options: Options,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.linked.is_some() {
            return write!(f, "seed {}, plugin {}", self.seed, self.plugin);
        }
        let steps: usize = self.passes.iter().map(Vec::len).sum();
        let breaks = if self.is_broken() { ", broken" } else { "" };
        write!(
            f,
            "seed {}, {} stores, {steps} steps{breaks}",
            self.seed,
            self.stores.len()
        )
    }
}

impl Scenario {
    fn without_stores(seed: u64, plugin: &str, rng: &mut Rng) -> Scenario {
        Scenario {
            seed,
            plugin: plugin.to_owned(),
            linked: None,
            before: World::new(),
            after: World::new(),
            stores: Vec::new(),
            passes: Vec::new(),
            tallies: BTreeMap::new(),
            breaks_at: None,
            batch_entries_max: 2 + rng.index(6),
            options: Options {
                memtable_bytes_max: [2 << 10, 4 << 10, 64 << 10][rng.index(3)],
                wal_segment_bytes: 64 << 10,
                page_bytes: [512, 8 << 10][rng.index(2)],
                lock_timeout_micros: Some(0),
                ..Options::default()
            },
        }
    }

    pub fn new(seed: u64) -> Scenario {
        let mut rng = Rng::new(seed).fork(31);
        let mut scenario = Scenario::without_stores(seed, PLUGIN, &mut rng);
        for number in 0..1 + rng.index(2) {
            let name = format!("s{number}");
            let content = random_content(&mut rng);
            let found = 1 + rng.below(3) as u32;
            let steps = match number {
                0 => 1 + rng.below(3) as u32,
                _ => rng.below(3) as u32,
            };
            scenario.before.insert(key(PLUGIN, &name), (found, content));
            let passes = (found..found + steps).map(|from| Pass::random(&mut rng, &name, from));
            let passes = passes.collect();
            scenario.migrates(PLUGIN, &name, &name, found + steps, passes);
        }
        if rng.one_in(3) {
            let wanted = 1 + rng.below(3) as u32;
            scenario.stores.push(("fresh".to_owned(), wanted));
            let empty = (wanted, Content::new());
            scenario.after.insert(key(PLUGIN, "fresh"), empty);
        }
        if rng.one_in(3) {
            let content = random_content(&mut rng);
            scenario.before.insert(key(OTHER, "notes"), (2, content));
            let mut adoption = Pass::random(&mut rng, "taken", 2);
            adoption.adopts = Some(("notes".to_owned(), 2));
            adoption.to = 5;
            let mut passes = vec![adoption];
            if rng.coin() {
                passes.push(Pass::random(&mut rng, "taken", 5));
            }
            let wanted = passes.last().map_or(5, |pass| pass.to);
            scenario.migrates(OTHER, "notes", "taken", wanted, passes);
        }
        if rng.one_in(3) {
            let orphan = (9, random_content(&mut rng));
            scenario.before.insert(key(PLUGIN, "unknown"), orphan);
        }
        for (name, found) in &scenario.before {
            let after = scenario.after.entry(name.clone());
            after.or_insert_with(|| found.clone());
        }
        scenario.break_last_pass(&mut rng);
        scenario
    }

    /// Plan a store that `passes` make of the content of `source`.
    fn migrates(&mut self, plugin: &str, source: &str, name: &str, to: u32, passes: Vec<Pass>) {
        let mut content = self.before[&key(plugin, source)].1.clone();
        for pass in &passes {
            let made = pass.content(&content);
            let tallies = (tally(&content), tally(&made));
            self.tallies.insert((name.to_owned(), pass.to), tallies);
            content = made;
        }
        self.after.insert(key(PLUGIN, name), (to, content));
        self.stores.push((name.to_owned(), to));
        if !passes.is_empty() {
            self.passes.push(passes);
        }
    }

    /// Sometimes the first code that migrates has a mistake.
    fn break_last_pass(&mut self, rng: &mut Rng) {
        if !rng.one_in(4) {
            return;
        }
        let Some((last, earlier)) = self.passes.last().and_then(|passes| passes.split_last())
        else {
            return;
        };
        let source = match &last.adopts {
            Some((store, _)) => key(OTHER, store),
            None => key(PLUGIN, &last.store),
        };
        let adopted = earlier.first().and_then(|pass| pass.adopts.clone());
        let source = adopted.map_or(source, |(store, _)| key(OTHER, &store));
        let mut content = self.before[&source].1.clone();
        for pass in earlier {
            content = pass.content(&content);
        }
        self.breaks_at = content.into_keys().next_back();
    }

    /// Whether the first run fails by itself.
    pub fn is_broken(&self) -> bool {
        self.breaks_at.is_some()
    }

    /// The counts and digests that a pass to `version` of a store has in the journal.
    pub fn tallies(&self, store: &str, version: u32) -> Option<(Tally, Tally)> {
        self.tallies.get(&(store.to_owned(), version)).copied()
    }

    /// Rows of the journal that a migration publishes.
    pub fn published_rows(&self) -> usize {
        self.tallies.len()
    }

    pub fn settings(&self) -> Settings {
        Settings {
            batch_entries_max: self.batch_entries_max,
            lock_wait: LockWait::NoWait,
            ..Settings::default()
        }
    }

    pub fn open(&self, disk: &SimDisk) -> heliosdb_storage::Result<Engine> {
        Engine::open(Arc::new(disk.clone()), self.options.clone())
    }

    /// Make the stores as the migration finds them.
    pub fn fill(&self, engine: &Engine) -> heliosdb_storage::Result<()> {
        for ((plugin, name), (version, content)) in &self.before {
            let mut tx = engine.begin(Isolation::ReadCommitted, Interrupt::new());
            let id = engine.allocate_collection_id();
            let info = store::create(&mut tx, id, plugin, name, *version)?;
            for (key, value) in content {
                store::put(&mut tx, &info, key, value)?;
            }
            tx.commit(Durability::Synchronous)?;
        }
        Ok(())
    }

    /// The plan of the plugin's code, in this version; `broken`: with the mistake.
    pub fn plan(
        &self,
        view: &ReadView,
        plugin_version: &str,
        broken: bool,
    ) -> Result<Plan, MigrationError> {
        if let Some(linked) = &self.linked {
            return preflight(view, &linked.wanted(plugin_version));
        }
        let step = |pass: &Pass, is_last: bool| -> Arc<dyn Step> {
            let breaks_at = self.breaks_at.clone().filter(|_| broken && is_last);
            Arc::new(PassStep {
                pass: pass.clone(),
                breaks_at,
            })
        };
        let last_store = self.passes.len().saturating_sub(1);
        let mut steps = Vec::new();
        let mut adopts = Vec::new();
        for (number, passes) in self.passes.iter().enumerate() {
            for (place, pass) in passes.iter().enumerate() {
                let step = step(pass, number == last_store && place + 1 == passes.len());
                match &pass.adopts {
                    None => steps.push(step),
                    Some((store, version)) => adopts.push(Adopt {
                        plugin: OTHER.to_owned(),
                        store: store.clone(),
                        version: *version,
                        into: pass.store.clone(),
                        to: pass.to,
                        step,
                    }),
                }
            }
        }
        let wanted = Wanted {
            plugin: &self.plugin,
            plugin_version,
            stores: &self.stores,
            steps: &steps,
            adopts: &adopts,
        };
        preflight(view, &wanted)
    }
}

/// Every live store that a view shows.
pub fn world(view: &ReadView) -> heliosdb_storage::Result<World> {
    let mut world = World::new();
    for info in store::stores(view)? {
        if info.state != StoreState::Live {
            continue;
        }
        let range = view.range(info.collection, Bound::Unbounded, Bound::Unbounded)?;
        let content = range.collect::<heliosdb_storage::Result<Content>>()?;
        world.insert((info.plugin, info.name), (info.version, content));
    }
    Ok(world)
}

fn key(plugin: &str, store: &str) -> (String, String) {
    (plugin.to_owned(), store.to_owned())
}

fn entries(content: &Content) -> Vec<Entry> {
    let entry = |(key, value): (&Vec<u8>, &Vec<u8>)| Entry {
        key: key.clone(),
        value: value.clone(),
    };
    content.iter().map(entry).collect()
}

fn tally(content: &Content) -> Tally {
    Tally::of(&entries(content))
}

fn random_content(rng: &mut Rng) -> Content {
    let mut entry = || {
        let key_bytes = rng.index(4);
        let value_bytes = rng.index(60);
        (rng.bytes(key_bytes), rng.bytes(value_bytes))
    };
    let mut content: Content = (0..16).map(|_| entry()).collect();
    let keep = rng.index(content.len() + 1);
    while content.len() > keep {
        content.pop_first();
    }
    content
}
