//! The index contract held against the plain truth: what the reference index of words answers is what a scan
//! of the table finds, at any time, on branches, inside transactions, while files are written and merged,
//! after bulk writes and after crashes.
//!
//! [`history::run`] makes a random history on a simulated disk and compares after every step. Who answers is
//! a [`Driver`]: the host's own, or one of the [`wrong`] ones, which a test lets run to see that it is found.

pub mod history;
pub mod table;
pub mod truth;
pub mod wrong;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use heliosdb_plugin_host::active::index::{Index, IndexDefinition};
use heliosdb_plugin_host::boot::BootPlan;
use heliosdb_plugin_host::config::PluginsConfig;
use heliosdb_plugin_host::host::manifests;
use heliosdb_plugin_host::index::{Hit, PluginIndex, Result as Indexed};
use heliosdb_plugin_host::service::{MemoryLimit, Unlimited};
use heliosdb_plugin_host::store;
use heliosdb_plugin_host::{PluginHost, RootRef};
use heliosdb_plugin_testkit::reference::word::WordPlugin;
use heliosdb_storage::ids::ColumnId;
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::{Durability, Engine, Interrupt, Isolation, Options, ReadView};

/// `Err` says what is wrong.
pub type Result<T> = std::result::Result<T, String>;

/// An error in words.
pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Answers questions.
pub trait Driver {
    fn search(&self, index: &PluginIndex, view: &ReadView, ask: &Ask<'_>) -> Indexed<Vec<Hit>>;

    /// Brings the index forward.
    fn catch_up(&self, index: &PluginIndex, rows_max: usize) -> Indexed<()>;
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub word: &'a str,
    pub k: Option<u64>,
}

/// The host's.
pub struct Host;

impl Driver for Host {
    fn search(&self, index: &PluginIndex, view: &ReadView, ask: &Ask<'_>) -> Indexed<Vec<Hit>> {
        let reading = index.read(view, &Interrupt::new())?;
        reading.search(ask.word.as_bytes(), ask.k)
    }

    fn catch_up(&self, index: &PluginIndex, rows_max: usize) -> Indexed<()> {
        index.catch_up(rows_max, &Interrupt::new()).map(drop)
    }
}

/// A host with plugins started, in a database of its own; their methods work on others'.
pub struct Booted {
    host: Arc<PluginHost>,
    _engine: Engine,
    _directory: tempfile::TempDir,
}

impl Booted {
    pub fn new(linked: &[RootRef]) -> Result<Booted> {
        let directory = tempfile::tempdir().map_err(text)?;
        let disk = Arc::new(Disk::open(directory.path()).map_err(text)?);
        let engine = Engine::open(disk.clone(), Options::default()).map_err(text)?;
        let config = PluginsConfig::default();
        let bundled = manifests(linked)?;
        let path = directory.path();
        let plan = BootPlan::make(disk, path, &config, bundled, &|_, _| false).map_err(text)?;
        let memory: Arc<dyn MemoryLimit> = Arc::new(Unlimited);
        let timeout = Duration::from_secs(30);
        let host = PluginHost::boot(plan, linked, &engine, timeout, &memory).map_err(text)?;
        Ok(Booted {
            host,
            _engine: engine,
            _directory: directory,
        })
    }

    pub fn host(&self) -> &PluginHost {
        &self.host
    }

    pub fn method(&self, name: &str) -> Result<Arc<Index>> {
        let method = self.host.registry().index(name).cloned();
        method.ok_or_else(|| format!("no plugin has the method {name}"))
    }
}

/// The method of the reference index.
pub fn method() -> Result<Arc<Index>> {
    static BOOTED: OnceLock<Result<Booted>> = OnceLock::new();
    let boot = || Booted::new(&[heliosdb_plugin_api::root::<WordPlugin>()]);
    let booted = BOOTED.get_or_init(boot).as_ref().map_err(Clone::clone)?;
    booted.method("word")
}

/// The index of words, in a database that has the table and the plugin's store.
pub fn index(engine: &Engine) -> Result<PluginIndex> {
    Ok(index_of(engine, method()?))
}

/// The same, of another method.
pub fn index_of(engine: &Engine, method: Arc<Index>) -> PluginIndex {
    let definition = IndexDefinition {
        oid: 7000,
        table: 6000,
        columns: vec!["body".to_owned()],
        options: "{}".to_owned(),
    };
    let (table, columns) = (Arc::new(table::definition()), vec![ColumnId(1)]);
    PluginIndex::new(engine.clone(), method, definition, table, columns)
}

/// The database of a directory, made if it is not there, and its index.
pub fn open(directory: &std::path::Path) -> Result<(Engine, PluginIndex)> {
    let disk = Arc::new(Disk::open(directory).map_err(text)?);
    let engine = Engine::open(disk, Options::default()).map_err(text)?;
    let store = store::find(&engine.latest_view(), "word", "words").map_err(text)?;
    if store.is_none() {
        set_up(&engine).map_err(text)?;
    }
    let index = index(&engine)?;
    Ok((engine, index))
}

/// The table and the store, in a new database.
pub fn set_up(engine: &Engine) -> heliosdb_storage::Result<()> {
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    txn.define_table(&table::definition())?;
    let collection = engine.allocate_collection_id();
    store::create(&mut txn, collection, "word", "words", 1)?;
    txn.commit(Durability::Synchronous).map(drop)
}
