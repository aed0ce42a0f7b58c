//! [`TestHost`]: all services from memory, for one plugin.

mod background;
mod blob;
mod catalog;
mod process;
mod rows;
mod sql;
mod store;
mod timeline;
mod undrop;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::abi::{CallContext, HostV1, Interface, Published};
use heliosdb_plugin_api::abi::{RNone, ROption, RSome, RStr};
use heliosdb_plugin_api::service::{
    BlobV1, BudgetV1, CatalogV1, ChangesV1, ClockV1, LogV1, MemoryV1, PoolV1, QueryResult, SqlV1,
    StoreV1, TimelineV1, UndropV1, VisibleV1,
};
use heliosdb_plugin_api::{CatalogEvent, Entry, Error, Result, state};

pub use background::LOOK_US;
pub use process::LogLine;

/// A host without a kernel. Clones are the same host.
///
/// It grants every service unless told otherwise. What a plugin keeps in it survives a stop and a
/// new start on the same host.
#[derive(Clone)]
pub struct TestHost(pub(crate) Arc<Inner>);

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;
type Script = Box<dyn FnMut(&str, &[Option<String>]) -> Result<QueryResult> + Send>;
type Listener = Box<dyn Fn(&CatalogEvent) -> Result<()> + Send + Sync>;

pub(crate) struct Inner {
    granted: Mutex<Option<BTreeSet<String>>>,
    stores: Mutex<BTreeMap<String, Entries>>,
    tables: Mutex<rows::Tables>,
    catalog: Mutex<catalog::Objects>,
    branches: Mutex<timeline::Branches>,
    /// Hears what DDL does to objects: the started plugin.
    listener: Mutex<Option<Arc<Listener>>>,
    sql: Mutex<Script>,
    log: Mutex<Vec<LogLine>>,
    clock_us: AtomicI64,
    monotonic_ns: AtomicU64,
    memory_limit: AtomicU64,
    memory_reserved: AtomicU64,
    read_only: AtomicBool,
    /// What is left of a worker's quantum; `u64::MAX` outside of one.
    quantum_us: AtomicU64,
    charged_us: AtomicU64,
    woken: Mutex<BTreeSet<String>>,
}

impl Default for TestHost {
    fn default() -> TestHost {
        TestHost::new()
    }
}

impl TestHost {
    pub fn new() -> TestHost {
        TestHost(Arc::new(Inner {
            granted: Mutex::new(None),
            stores: Mutex::default(),
            tables: Mutex::default(),
            catalog: Mutex::default(),
            branches: Mutex::default(),
            listener: Mutex::new(None),
            sql: Mutex::new(Box::new(sql::no_script)),
            log: Mutex::default(),
            clock_us: AtomicI64::new(process::CLOCK_START_US),
            monotonic_ns: AtomicU64::new(0),
            memory_limit: AtomicU64::new(u64::MAX),
            memory_reserved: AtomicU64::new(0),
            read_only: AtomicBool::new(false),
            quantum_us: AtomicU64::new(u64::MAX),
            charged_us: AtomicU64::new(0),
            woken: Mutex::default(),
        }))
    }

    /// Grants these services alone, such as `store/1`.
    pub fn grant(&self, services: &[&str]) {
        let granted = services.iter().map(|&id| id.to_owned()).collect();
        *lock(&self.0.granted) = Some(granted);
    }

    /// Whether statements may write; as in a query, they may not when `read_only`.
    pub fn set_read_only(&self, read_only: bool) {
        self.0.read_only.store(read_only, Ordering::SeqCst);
    }

    /// All entries of a store.
    pub fn store(&self, name: &str) -> Vec<Entry> {
        let stores = lock(&self.0.stores);
        let entries = stores.get(name).into_iter().flatten();
        let entry = |(key, value): (&Vec<u8>, &Vec<u8>)| Entry {
            key: key.clone(),
            value: value.clone(),
        };
        entries.map(entry).collect()
    }

    /// Replaces a store's entries.
    pub fn set_store(&self, name: &str, entries: impl IntoIterator<Item = Entry>) {
        let entries = entries.into_iter().map(|e| (e.key, e.value)).collect();
        lock(&self.0.stores).insert(name.to_owned(), entries);
    }

    /// Answers the SQL that the plugin runs from now on. Without a script every query fails.
    pub fn set_sql(
        &self,
        script: impl FnMut(&str, &[Option<String>]) -> Result<QueryResult> + Send + 'static,
    ) {
        *lock(&self.0.sql) = Box::new(script);
    }

    /// What the plugin has logged.
    pub fn log(&self) -> Vec<LogLine> {
        lock(&self.0.log).clone()
    }

    /// Sets the clock; both clocks only move when told to.
    pub fn set_clock_us(&self, now_us: i64) {
        self.0.clock_us.store(now_us, Ordering::SeqCst);
    }

    pub fn advance_clock_us(&self, by_us: u32) {
        let by_ns = u64::from(by_us) * 1000;
        self.0.clock_us.fetch_add(by_us.into(), Ordering::SeqCst);
        self.0.monotonic_ns.fetch_add(by_ns, Ordering::SeqCst);
    }

    /// From now on, reservations beyond this many bytes together are refused.
    pub fn set_memory_limit(&self, bytes: u64) {
        self.0.memory_limit.store(bytes, Ordering::SeqCst);
    }

    pub fn memory_reserved(&self) -> u64 {
        self.0.memory_reserved.load(Ordering::SeqCst)
    }

    /// How much of its quantum a worker has left; `u64::MAX` for none. Each look takes [`LOOK_US`] of it.
    pub fn set_quantum_us(&self, left: u64) {
        self.0.quantum_us.store(left, Ordering::SeqCst);
    }

    /// The CPU time that the plugin paid for.
    pub fn charged_us(&self) -> u64 {
        self.0.charged_us.load(Ordering::SeqCst)
    }

    /// The workers that were woken.
    pub fn woken(&self) -> Vec<String> {
        lock(&self.0.woken).iter().cloned().collect()
    }

    /// The host as a plugin's start gets it. Valid while a clone of this host lives.
    pub fn interface(&self) -> HostV1 {
        HostV1 {
            handle: Arc::as_ptr(&self.0).cast(),
            service,
        }
    }

    pub(crate) fn listen(&self, listener: Option<Listener>) {
        *lock(&self.0.listener) = listener.map(Arc::new);
    }
}

/// One statement: what calls that belong to it share.
#[derive(Debug, Default)]
pub struct Statement {
    /// Canceled once it was asked this often; never when negative.
    cancel_after: Option<u64>,
    asked: AtomicU64,
}

impl Statement {
    pub fn new() -> Statement {
        Statement::default()
    }

    /// A statement that is found canceled after it was asked so often.
    pub fn cancelled_after(asked: u64) -> Statement {
        Statement {
            cancel_after: Some(asked),
            asked: AtomicU64::new(0),
        }
    }

    /// How often calls asked whether it is canceled.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// The statement as calls get it. Valid while it lives.
    pub fn context(&self) -> CallContext {
        CallContext {
            statement: std::ptr::from_ref(self).cast(),
            cancelled,
        }
    }
}

extern "C" fn cancelled(statement: *const ()) -> bool {
    // SAFETY: `Statement::context` made it, and the statement outlives its calls.
    let statement = unsafe { &*statement.cast::<Statement>() };
    let asked = statement.asked.fetch_add(1, Ordering::SeqCst);
    statement.cancel_after.is_some_and(|after| asked >= after)
}

extern "C" fn service(handle: *const (), id: RStr<'_>) -> ROption<Interface> {
    // SAFETY: the handle of `TestHost::interface`.
    let inner = unsafe { inner(handle) };
    let granted = lock(&inner.granted);
    if granted.as_ref().is_some_and(|g| !g.contains(id.as_str())) {
        return RNone;
    }
    RSome(match id.as_str() {
        StoreV1::ID => Interface::of(&store::STORE),
        CatalogV1::ID => Interface::of(&catalog::CATALOG),
        SqlV1::ID => Interface::of(&sql::SQL),
        BlobV1::ID => Interface::of(&blob::BLOB),
        ChangesV1::ID => Interface::of(&rows::CHANGES),
        VisibleV1::ID => Interface::of(&rows::VISIBLE),
        TimelineV1::ID => Interface::of(&timeline::TIMELINE),
        UndropV1::ID => Interface::of(&undrop::UNDROP),
        LogV1::ID => Interface::of(&process::LOG),
        ClockV1::ID => Interface::of(&process::CLOCK),
        MemoryV1::ID => Interface::of(&process::MEMORY),
        BudgetV1::ID => Interface::of(&background::BUDGET),
        PoolV1::ID => Interface::of(&background::POOL),
        _ => return RNone,
    })
}

/// # Safety
///
/// `handle` must be of a host that lives.
unsafe fn inner<'a>(handle: *const ()) -> &'a Inner {
    // SAFETY: the caller's.
    unsafe { &*handle.cast::<Inner>() }
}

/// The body of an entry that acts in a statement.
fn answer<T>(
    handle: *const (),
    statement: *const (),
    body: impl FnOnce(&Inner) -> Result<T>,
) -> AbiResult<T> {
    if statement.is_null() {
        return Err(Error::contract("the service needs a statement").into()).into();
    }
    // SAFETY: the handle of `TestHost::interface`.
    let inner = unsafe { inner(handle) };
    body(inner).map_err(Into::into).into()
}

impl Inner {
    fn writable(&self) -> Result<()> {
        if self.read_only.load(Ordering::SeqCst) {
            return Err(Error::new(
                state::READ_ONLY_SQL_TRANSACTION,
                "cannot write in a read-only statement",
            ));
        }
        Ok(())
    }

    fn tell(&self, event: &CatalogEvent) -> Result<()> {
        let listener = lock(&self.listener).clone();
        listener.map_or(Ok(()), |listener| listener(event))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
