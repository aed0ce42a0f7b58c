//! The migration engine on a real disk; `testing/migration` crashes it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::{Durability, Engine, Isolation, Options, ReadView};

use super::*;
use crate::store::{self, StoreInfo, StoreState};

mod adopt;
mod failure;
mod outcome;
mod random;
mod refusal;
mod resume;

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

type MigrateFn = Box<dyn Fn(&[Entry]) -> Result<Vec<Entry>, PluginError> + Send + Sync>;
type CheckFn = Box<dyn Fn(&Entry) -> Result<(), PluginError> + Send + Sync>;

/// A step made of closures, which counts the entries it is given.
struct TestStep {
    store: &'static str,
    from: u32,
    checksum: &'static str,
    migrate: MigrateFn,
    check: CheckFn,
    seen: AtomicU64,
}

impl TestStep {
    /// A step that puts its version in front of each value.
    fn new(store: &'static str, from: u32) -> TestStep {
        TestStep {
            store,
            from,
            checksum: "prefix",
            migrate: Box::new(move |entries| {
                Ok(entries.iter().map(|e| prefixed(e, from)).collect())
            }),
            check: Box::new(move |entry| match entry.value.first() {
                Some(first) if *first == b'0' + (from + 1) as u8 => Ok(()),
                _ => Err(PluginError::internal("no prefix")),
            }),
            seen: AtomicU64::new(0),
        }
    }

    fn migrate(
        mut self,
        migrate: impl Fn(&[Entry]) -> Result<Vec<Entry>, PluginError> + Send + Sync + 'static,
    ) -> TestStep {
        self.migrate = Box::new(migrate);
        self
    }

    fn check(
        mut self,
        check: impl Fn(&Entry) -> Result<(), PluginError> + Send + Sync + 'static,
    ) -> TestStep {
        self.check = Box::new(check);
        self
    }

    fn checksum(mut self, checksum: &'static str) -> TestStep {
        self.checksum = checksum;
        self
    }
}

fn prefixed(entry: &Entry, from: u32) -> Entry {
    let mut value = (from + 1).to_string().into_bytes();
    value.extend_from_slice(&entry.value);
    Entry {
        key: entry.key.clone(),
        value,
    }
}

impl Step for TestStep {
    fn store(&self) -> &str {
        self.store
    }

    fn from(&self) -> u32 {
        self.from
    }

    fn checksum(&self) -> &str {
        self.checksum
    }

    fn migrate(&self, entries: Vec<Entry>) -> Result<Vec<Entry>, PluginError> {
        assert!(entries.is_sorted() && !entries.is_empty());
        self.seen.fetch_add(entries.len() as u64, Ordering::Relaxed);
        (self.migrate)(&entries)
    }

    fn check(&self, entry: &Entry) -> Result<(), PluginError> {
        (self.check)(entry)
    }
}

/// A database, and what plugin `p` wants of it.
struct Bench {
    _directory: tempfile::TempDir,
    engine: Engine,
    stores: Vec<(String, u32)>,
    steps: Vec<Arc<dyn Step>>,
    adopts: Vec<Adopt>,
    plugin_version: &'static str,
    settings: Settings,
}

impl Bench {
    fn new() -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let io = Arc::new(Disk::open(directory.path()).unwrap());
        Bench {
            _directory: directory,
            engine: Engine::open(io, Options::default()).unwrap(),
            stores: Vec::new(),
            steps: Vec::new(),
            adopts: Vec::new(),
            plugin_version: "2.0.0",
            settings: Settings {
                batch_entries_max: 4,
                lock_wait: LockWait::NoWait,
                ..Settings::default()
            },
        }
    }

    /// A database with store `s` of `p` at version 1, with `count` entries.
    fn with_entries(count: usize) -> Bench {
        let bench = Bench::new();
        bench.fill("p", "s", 1, &numbered(count));
        bench
    }

    fn wants(mut self, store: &str, version: u32) -> Bench {
        self.stores.push((store.to_owned(), version));
        self
    }

    fn step(mut self, step: TestStep) -> Bench {
        self.steps.push(Arc::new(step));
        self
    }

    fn fill(&self, plugin: &str, name: &str, version: u32, content: &Content) -> StoreInfo {
        let mut tx = self.begin();
        let id = self.engine.allocate_collection_id();
        let info = store::create(&mut tx, id, plugin, name, version).unwrap();
        for (key, value) in content {
            store::put(&mut tx, &info, key, value).unwrap();
        }
        tx.commit(Durability::Synchronous).unwrap();
        info
    }

    fn begin(&self) -> heliosdb_storage::Transaction {
        self.engine
            .begin(Isolation::ReadCommitted, Interrupt::new())
    }

    fn put(&self, store: &StoreInfo, key: &[u8], value: &[u8]) {
        let mut tx = self.begin();
        store::put(&mut tx, store, key, value).unwrap();
        tx.commit(Durability::Synchronous).unwrap();
    }

    fn plan(&self) -> Result<Plan> {
        let wanted = Wanted {
            plugin: "p",
            plugin_version: self.plugin_version,
            stores: &self.stores,
            steps: &self.steps,
            adopts: &self.adopts,
        };
        preflight(&self.engine.latest_view(), &wanted)
    }

    fn run(&self) -> Result<Report> {
        run(&self.engine, &self.plan()?, &self.settings)
    }

    fn dry_run(&self) -> Result<Report> {
        dry_run(&self.engine, &self.plan()?, &self.settings)
    }

    fn finalize(&self) -> Finalized {
        finalize(&self.engine, "p", &self.settings).unwrap()
    }

    fn live(&self, name: &str) -> StoreInfo {
        let view = self.engine.latest_view();
        store::find(&view, "p", name).unwrap().unwrap()
    }

    /// The live store's version and content.
    fn content(&self, name: &str) -> (u32, Content) {
        let info = self.live(name);
        let content = content(&self.engine.latest_view(), &info);
        (info.version, content)
    }

    /// Everything that migrations write: both collections' rows.
    fn rows(&self) -> (Vec<StoreInfo>, Vec<MigrationRow>) {
        let view = self.engine.latest_view();
        (store::stores(&view).unwrap(), migrations(&view).unwrap())
    }

    /// The states of the journal's rows, with the reasons of failures.
    fn journal(&self) -> String {
        let row = |row: MigrationRow| {
            let reason = row
                .reason
                .map_or(String::new(), |reason| format!(": {reason}"));
            let (store, from, to) = (row.store, row.from_version, row.to_version);
            format!("{store} {from} → {to} {}{reason}\n", row.state)
        };
        self.rows().1.into_iter().map(row).collect()
    }

    /// The states of the collections of `p`.
    fn states(&self) -> String {
        let info = |info: StoreInfo| format!("{}@{} {}\n", info.name, info.version, info.state);
        self.rows().0.into_iter().map(info).collect()
    }
}

fn content(view: &ReadView, store: &StoreInfo) -> Content {
    let range = view.range(store.collection, Bound::Unbounded, Bound::Unbounded);
    range.unwrap().map(|entry| entry.unwrap()).collect()
}

fn numbered(count: usize) -> Content {
    let entry = |i| (format!("k{i:03}").into_bytes(), b"v".to_vec());
    (0..count).map(entry).collect()
}

/// What [`TestStep::new`]'s steps make of a content.
fn after_steps(content: &Content, versions: std::ops::Range<u32>) -> Content {
    let mut content = content.clone();
    for from in versions {
        for value in content.values_mut() {
            value.splice(0..0, (from + 1).to_string().into_bytes());
        }
    }
    content
}

fn tally(content: &Content) -> Tally {
    let entry = |(key, value): (&Vec<u8>, &Vec<u8>)| Entry {
        key: key.clone(),
        value: value.clone(),
    };
    Tally::of(&content.iter().map(entry).collect::<Vec<_>>())
}
