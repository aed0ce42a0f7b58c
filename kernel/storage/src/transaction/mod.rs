//! Transactions: snapshots, private writes, locks, commit.
//!
//! The life of a transaction:
//!
//! 1. `begin` gives it an id, which only the lock manager sees.
//! 2. `begin_statement` takes a snapshot: READ COMMITTED a new one each time, REPEATABLE READ and
//!    SERIALIZABLE once.
//! 3. Reads go through views of that snapshot; writes lock what they touch, check uniqueness against
//!    the *latest* versions, and go to the private [`writeset`]. Nobody else sees them. SERIALIZABLE
//!    notes what it reads, too ([`ssi`]).
//! 4. `commit` builds the WAL record, puts the versions into the memtable behind a pending slot,
//!    takes its place in the log and its timestamp under one short mutex, flips the slot, gives the
//!    locks back, and only then waits for the disk. SERIALIZABLE may be refused before.
//! 5. `rollback`, or dropping the transaction, gives the locks back and forgets the writes.
//!
//! Reading the latest state may show a commit that is not durable yet. The rule that makes that safe:
//! a synchronous commit, even of a transaction that wrote nothing, returns only when everything the
//! transaction read is durable. A transaction that is read-only from its beginning reads what is
//! *visible*: durable, or acknowledged without being so. Under SERIALIZABLE it reads the latest all the
//! same, since those that committed in between may be forgotten by then ([`ssi`]).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::catalog::{CATALOG, catalog_key, encode_table};
use crate::compact::Pin;
use crate::engine::EngineInner;
use crate::error::{Error, Result};
use crate::history::named::PINS;
use crate::ids::{CollectionId, RowId, TimelineId, Ts, TxnId};
use crate::interrupt::Interrupt;
use crate::lock::{LockObject, LockWait, RowLockMode, TableLockMode};
use crate::memtable::full_key;
use crate::planted::{self, Bug};
use crate::schema::TableDef;
use crate::timeline::{Epoch, Timeline};
use crate::view::{Kind, OwnWrites, ReadView, row_key};

mod commit;
mod rows;
pub(crate) mod ssi;
pub(crate) mod writeset;

pub use rows::InsertOutcome;
use rows::TablePlan;
use ssi::{Reads, Serial};
use writeset::{WriteKind, WriteSet};

/// Which snapshot each statement reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// The latest committed state when the statement starts.
    ReadCommitted,
    /// The latest committed state when the first statement started.
    RepeatableRead,
    /// The same; and what commits could have run one transaction after the other ([`ssi`]).
    Serializable,
}

impl Isolation {
    /// Whether all statements read the same snapshot, so that what changed since may not be written.
    pub fn keeps_snapshot(self) -> bool {
        self != Isolation::ReadCommitted
    }
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The disk.
    Synchronous,
    /// Nothing: a crash may lose it, never tear it.
    Asynchronous,
}

/// What `lock_row` found, relative to the statement's snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowLock {
    /// Locked, and unchanged since the snapshot.
    Held,
    /// Locked, and a newer version was committed: look at it in `latest_view`.
    Changed,
    /// Deleted since, or never there.
    Gone,
}

/// A place in a transaction to fall back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint(u64);

/// See the module's header. Used by one session at a time.
pub struct Transaction {
    engine: Arc<EngineInner>,
    timeline: Arc<Timeline>,
    /// Of the timeline, when the transaction began.
    epoch: Epoch,
    id: TxnId,
    isolation: Isolation,
    read_only: bool,
    /// The transaction's part in SERIALIZABLE, from its snapshot on.
    serial: Option<Serial>,
    interrupt: Arc<Interrupt>,
    writes: Arc<RwLock<WriteSet>>,
    held: Vec<Arc<LockObject>>,
    /// The statement's snapshot, whose history stays while it is here.
    snapshot: Option<Pin>,
    /// Times that pins are to hold once this has committed.
    holds: Vec<Pin>,
    /// Pins that were written.
    pins: BTreeSet<String>,
    /// Highest timestamp that anything was read at.
    read_ts: AtomicU64,
    used_sequence: bool,
    plans: HashMap<CollectionId, Arc<TablePlan>>,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction")
            .field("id", &self.id)
            .field("isolation", &self.isolation)
            .field("snapshot", &self.snapshot.as_ref().map(Pin::ts))
            .finish_non_exhaustive()
    }
}

impl Transaction {
    pub(crate) fn new(
        engine: Arc<EngineInner>,
        timeline: Arc<Timeline>,
        id: TxnId,
        isolation: Isolation,
        read_only: bool,
        interrupt: Arc<Interrupt>,
    ) -> Transaction {
        Transaction {
            epoch: timeline.epoch(),
            engine,
            timeline,
            id,
            isolation,
            read_only,
            serial: None,
            interrupt,
            writes: Arc::default(),
            held: Vec::new(),
            snapshot: None,
            holds: Vec::new(),
            pins: BTreeSet::new(),
            read_ts: AtomicU64::new(0),
            used_sequence: false,
            plans: HashMap::new(),
        }
    }

    pub fn id(&self) -> TxnId {
        self.id
    }

    /// The timeline that is read and written.
    pub fn timeline(&self) -> TimelineId {
        self.timeline.id()
    }

    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Take the statement's snapshot.
    pub fn begin_statement(&mut self) {
        if self.snapshot.is_some() && self.isolation.keeps_snapshot() {
            return;
        }
        let pin = match self.isolation {
            Isolation::Serializable => {
                let snapshot = || {
                    let pin = self.pin_latest();
                    (pin.ts(), pin)
                };
                let serializable = &self.timeline.serializable;
                let (serial, pin) = serializable.begin(self.id, self.read_only, snapshot);
                self.serial = Some(serial);
                pin
            }
            // Who writes nothing need not see, and wait for, what could still vanish.
            _ if self.read_only => {
                let engine = &self.engine;
                engine.pins.pin_now(|| engine.log.visible())
            }
            _ => self.pin_latest(),
        };
        self.snapshot = Some(pin);
    }

    /// Take a snapshot that no transaction beside this one can make inconsistent, waiting for one:
    /// DEFERRABLE, of a SERIALIZABLE transaction that is read-only. Before the first statement.
    pub(crate) fn defer(&mut self) -> Result<()> {
        loop {
            self.begin_statement();
            let Some(serial) = &self.serial else {
                return Ok(());
            };
            let serializable = &self.timeline.serializable;
            if serializable.wait_safe(serial, &self.interrupt)? {
                return Ok(());
            }
            self.serial = None;
            self.snapshot = None;
        }
    }

    fn pin_latest(&self) -> Pin {
        self.engine.pins.pin_now(|| self.engine.latest())
    }

    /// Let what is read next see the latest state, under REPEATABLE READ too; nothing may be written
    /// until [`Transaction::set_snapshot`] puts the statement's own snapshot, which this returns, back.
    pub fn look_at_latest(&mut self) -> Option<Pin> {
        let latest = self.pin_latest();
        self.snapshot.replace(latest)
    }

    /// The end of what [`Transaction::look_at_latest`] began.
    pub fn set_snapshot(&mut self, snapshot: Option<Pin>) {
        self.snapshot = snapshot;
    }

    /// The statement's snapshot and the writes made before this call. Without a statement begun it
    /// reads the latest state.
    pub fn read_view(&self) -> ReadView {
        match &self.snapshot {
            Some(snapshot) => {
                let reads = self.serial.as_ref().map(Serial::reads).cloned();
                let (engine, timeline) = (&self.engine, &self.timeline);
                self.view_of(reads, |own| engine.view(timeline, snapshot.ts(), Some(own)))
            }
            None => self.latest_view(),
        }
    }

    /// The newest committed state and all own writes so far: for what locks guard, since SERIALIZABLE
    /// does not note what is read here.
    pub fn latest_view(&self) -> ReadView {
        let latest = || self.engine.latest();
        let (engine, timeline) = (&self.engine, &self.timeline);
        self.view_of(None, |own| engine.view_now(timeline, latest, Some(own)))
    }

    fn view_of(
        &self,
        reads: Option<Arc<Reads>>,
        view: impl FnOnce(OwnWrites) -> ReadView,
    ) -> ReadView {
        let own = OwnWrites {
            set: Arc::clone(&self.writes),
            limit: self.writes.write().mark(),
            reads,
        };
        let view = view(own);
        self.read_ts.fetch_max(view.ts().0, Ordering::Relaxed);
        view
    }

    /// Whether nothing was written (a commit will not add to the log).
    pub fn is_read_only(&self) -> bool {
        self.writes.read().is_empty()
    }

    pub(crate) fn engine(&self) -> &EngineInner {
        &self.engine
    }

    /// Keep the history since `ts` until the transaction has ended.
    pub(crate) fn hold(&mut self, ts: Ts) -> Result<()> {
        let latest = self.engine.log.passed();
        if ts > latest {
            return Err(Error::SnapshotTooNew { asked: ts, latest });
        }
        self.holds.push(self.engine.pins.pin_at(ts)?);
        Ok(())
    }

    /// Nobody else writes a pin until the transaction has ended. What a branch has of them is what its
    /// parent had at the fork; only those of the main timeline hold anything.
    pub(crate) fn lock_pin(&mut self, name: &str) -> Result<()> {
        if !Arc::ptr_eq(&self.timeline, &self.engine.main()) {
            return Err(Error::invalid("pins are made on the main timeline"));
        }
        self.lock_key(PINS, name.as_bytes(), RowLockMode::Update, LockWait::Block)
    }

    /// A pin is about to be written.
    pub(crate) fn touch_pin(&mut self, name: &str) {
        self.pins.insert(name.to_owned());
    }

    /// Lock a table, in PostgreSQL's mode.
    pub fn lock_table(
        &mut self,
        table: CollectionId,
        mode: TableLockMode,
        wait: LockWait,
    ) -> Result<()> {
        let object = LockObject {
            timeline: self.timeline.id(),
            collection: table,
            key: None,
        };
        let locks = &self.engine.locks;
        locks.acquire(
            self.id,
            object,
            mode.into(),
            wait,
            &self.interrupt,
            &mut self.held,
        )
    }

    /// Lock a key of a collection, whether it exists or not.
    pub fn lock_key(
        &mut self,
        collection: CollectionId,
        key: &[u8],
        mode: RowLockMode,
        wait: LockWait,
    ) -> Result<()> {
        let key = Some(Box::from(key));
        let object = LockObject {
            timeline: self.timeline.id(),
            collection,
            key,
        };
        let locks = &self.engine.locks;
        locks.acquire(
            self.id,
            object,
            mode.into(),
            wait,
            &self.interrupt,
            &mut self.held,
        )
    }

    /// Lock a row and say what became of it since the statement's snapshot.
    ///
    /// REPEATABLE READ and SERIALIZABLE answer a change with `SerializationFailure`, except for FOR KEY SHARE on a
    /// row that still lives: a change that left the key alone does not conflict with it.
    pub fn lock_row(
        &mut self,
        table: CollectionId,
        row: RowId,
        mode: RowLockMode,
        wait: LockWait,
    ) -> Result<RowLock> {
        let key = row_key(row);
        self.lock_key(table, &key, mode, wait)?;
        let snapshot = self.snapshot.as_ref().map(Pin::ts);
        let snapshot = snapshot.unwrap_or_else(|| self.engine.latest());
        let found = self
            .latest_view()
            .lookup(Kind::BARE_ROWS, table, &key, |ts, value| {
                // An own write, which has no timestamp, is never newer than the snapshot.
                (ts.is_some_and(|ts| ts > snapshot), value.is_some())
            })?;
        match found {
            Some((true, true)) if planted::is(Bug::LastUpdaterWins) => Ok(RowLock::Held),
            None => Ok(RowLock::Gone),
            Some((false, true)) => Ok(RowLock::Held),
            Some((false, false)) => Ok(RowLock::Gone),
            Some((true, live)) => match (self.isolation.keeps_snapshot(), live) {
                (false, true) => Ok(RowLock::Changed),
                (false, false) => Ok(RowLock::Gone),
                (true, true) if mode == RowLockMode::KeyShare => Ok(RowLock::Changed),
                (true, _) => Err(Error::SerializationFailure),
            },
        }
    }

    /// Set a key of a sorted collection.
    pub fn put(&mut self, collection: CollectionId, key: &[u8], value: &[u8]) -> Result<()> {
        self.lock_for_write(collection, key)?;
        self.write(collection, key, WriteKind::Put, Some(Box::from(value)))
    }

    /// Remove a key of a sorted collection, whether it is there or not.
    pub fn remove(&mut self, collection: CollectionId, key: &[u8]) -> Result<()> {
        self.lock_for_write(collection, key)?;
        self.write(collection, key, WriteKind::Remove, None)
    }

    /// Lock a key that is about to be overwritten; first updater wins.
    fn lock_for_write(&mut self, collection: CollectionId, key: &[u8]) -> Result<()> {
        self.lock_key(collection, key, RowLockMode::Update, LockWait::Block)?;
        self.check_unchanged(collection, key)
    }

    /// Under a snapshot that is kept, a key that someone has written since may not be written: own
    /// writes would hide what the snapshot still shows.
    fn check_unchanged(&self, collection: CollectionId, key: &[u8]) -> Result<()> {
        if let (true, Some(snapshot)) = (self.isolation.keeps_snapshot(), &self.snapshot) {
            let snapshot = snapshot.ts();
            let newer = self
                .latest_view()
                .lookup(Kind::Sorted, collection, key, |ts, _| {
                    ts.is_some_and(|ts| ts > snapshot)
                })?;
            if newer == Some(true) {
                return Err(Error::SerializationFailure);
            }
        }
        Ok(())
    }

    fn write(
        &mut self,
        collection: CollectionId,
        key: &[u8],
        kind: WriteKind,
        value: Option<Box<[u8]>>,
    ) -> Result<()> {
        if self.read_only {
            return Err(Error::ReadOnlyTransaction);
        }
        let mut writes = self.writes.write();
        writes.write(full_key(collection, key), kind, value);
        let limit_bytes = self.engine.options.transaction_bytes_max;
        if writes.bytes() > limit_bytes {
            return Err(Error::OutOfMemory {
                what: "the transaction's writes",
                limit_bytes,
            });
        }
        Ok(())
    }

    /// Make `def` the table's definition from this transaction on. Needed before the first insert
    /// and after every change.
    pub fn define_table(&mut self, def: &TableDef) -> Result<()> {
        let bytes = encode_table(def)?;
        self.plans.remove(&def.id);
        self.put(CATALOG, &catalog_key(def.id), &bytes)
    }

    /// Forget a table's definition. Its versions stay readable AS OF earlier times.
    pub fn drop_collection(&mut self, collection: CollectionId) -> Result<()> {
        self.plans.remove(&collection);
        self.remove(CATALOG, &catalog_key(collection))
    }

    /// A place to fall back to. Locks taken later are kept when falling back.
    pub fn savepoint(&mut self) -> Savepoint {
        Savepoint(self.writes.write().mark())
    }

    /// Undo the writes since `savepoint`, which stays valid.
    pub fn rollback_to(&mut self, savepoint: Savepoint) {
        self.writes.write().rollback_to(savepoint.0);
    }

    /// A sequence was advanced for this transaction: its commit must be durable past the sequence's
    /// log record, or a crash could hand out a value again that this commit made known.
    pub fn used_sequence(&mut self) {
        self.used_sequence = true;
    }

    /// Give up all writes and locks; the same as dropping.
    pub fn rollback(self) {}

    fn release_locks(&mut self) {
        self.engine.locks.release_all(self.id, &mut self.held);
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.release_locks();
    }
}
