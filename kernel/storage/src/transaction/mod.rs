//! Transactions: snapshots, private writes, locks, commit.
//!
//! The life of a transaction:
//!
//! 1. `begin` gives it an id, which only the lock manager sees, if its session has no number to hold locks under.
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

use crate::catalog::{CATALOG, catalog_key, decode_table, encode_table};
use crate::compact::Pin;
use crate::engine::EngineInner;
use crate::error::{Error, Result};
use crate::history::named::PINS;
use crate::ids::{CollectionId, RowId, TimelineId, Ts, TxnId};
use crate::interrupt::Interrupt;
use crate::lock::{LockObject, LockOwner, LockWait, Mode, RowLockMode, TableLockMode};
use crate::memory::{Part, Reservation};
use crate::memtable::full_key;
use crate::options::LOCK_BYTES;
use crate::planted::{self, Bug};
use crate::schema::TableDef;
use crate::timeline::{Epoch, Timeline};
use crate::view::versions::all_live;
use crate::view::{Kind, OwnWrites, Path, ReadView, row_key};

mod bulk;
mod commit;
mod guard;
mod index_build;
pub(crate) mod private;
mod publish;
mod put_rows;
mod references;
mod rows;
pub(crate) mod ssi;
pub(crate) mod writeset;

pub use bulk::BulkInsert;
use guard::Guard;
pub use index_build::IndexBuild;
use private::PrivateWrites;
pub use rows::InsertOutcome;
pub(crate) use rows::KnownPlans;
use rows::TablePlan;
use ssi::{Reads, Serial};
use writeset::WriteKind;

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
    /// Who holds its locks.
    owner: LockOwner,
    isolation: Isolation,
    read_only: bool,
    /// The transaction's part in SERIALIZABLE, from its snapshot on.
    serial: Option<Serial>,
    interrupt: Arc<Interrupt>,
    writes: PrivateWrites,
    /// What writes and locks take, once that is worth telling.
    memory: Reservation,
    held: Vec<Arc<LockObject>>,
    guards: HashMap<CollectionId, Guard>,
    /// The statement's snapshot, whose history stays while it is here.
    snapshot: Option<Pin>,
    /// The time of the first statement's snapshot.
    began: Option<Ts>,
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
        (timeline, epoch): (Arc<Timeline>, Epoch),
        id: TxnId,
        isolation: Isolation,
        read_only: bool,
        interrupt: Arc<Interrupt>,
    ) -> Transaction {
        Transaction {
            memory: Reservation::new(&engine.memory, Part::Transactions),
            engine,
            timeline,
            epoch,
            id,
            owner: interrupt.lock_owner(id),
            isolation,
            read_only,
            serial: None,
            interrupt,
            writes: PrivateWrites::default(),
            held: Vec::new(),
            guards: HashMap::new(),
            snapshot: None,
            began: None,
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

    /// `TimelineMoved` when it cannot be committed because its timeline was closed, or swapped for another one.
    pub fn check_unmoved(&self) -> Result<()> {
        match self.timeline.has_moved(self.epoch) {
            false => Ok(()),
            true => Err(Error::TimelineMoved),
        }
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
        self.began.get_or_insert(pin.ts());
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
            self.began = None;
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
            reads,
            ..self.writes.visible()
        };
        let view = view(own);
        self.read_ts.fetch_max(view.ts().0, Ordering::Relaxed);
        view
    }

    /// How many rows of one statement make [`Transaction::bulk_insert`] worth it. Each leaves a run, an open
    /// file that lookups ask, and when there are many of them it takes many more rows to make another.
    pub fn bulk_rows_min(&self) -> usize {
        let rows_min = self.engine.options.bulk_rows_min;
        match self.writes.runs().len() < bulk::RUNS_MANY {
            true => rows_min,
            false => rows_min.saturating_mul(bulk::RUNS_MANY),
        }
    }

    /// Whether nothing was written (a commit will not add to the log).
    pub fn is_read_only(&self) -> bool {
        self.writes.is_empty()
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

    /// `SerializationFailure` when somebody else has written a pin since the first statement, at any
    /// isolation: what the transaction made of the changes may be made already. Its lock is held.
    pub(crate) fn check_pin_unmoved(&self, name: &str) -> Result<()> {
        let view = self.latest_view();
        let newest = view.lookup(Kind::Sorted, PINS, name.as_bytes(), |ts, _| ts)?;
        // An own write has no timestamp.
        match (newest.flatten(), self.began) {
            (Some(written), Some(began)) if written > began => Err(Error::SerializationFailure),
            _ => Ok(()),
        }
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
        self.acquire(table, None, mode.into(), wait)
    }

    /// Take a lock, which who is alone on a closed timeline does not need.
    fn acquire(
        &mut self,
        collection: CollectionId,
        key: Option<Box<[u8]>>,
        mode: Mode,
        wait: LockWait,
    ) -> Result<()> {
        if self.epoch.is_alone() {
            return Ok(());
        }
        let object = LockObject {
            timeline: self.timeline.id(),
            collection,
            key,
        };
        self.engine.locks.acquire(
            self.owner,
            object,
            mode,
            wait,
            &self.interrupt,
            || self.timeline.has_moved(self.epoch),
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
        self.acquire(collection, Some(Box::from(key)), mode.into(), wait)?;
        self.account_growth(self.writes.bytes());
        Ok(())
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
        self.lock_in_table(table, table, &key, mode, wait)?;
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
        if !self.isolation.keeps_snapshot() {
            return Ok(());
        }
        let view = self.latest_view();
        let newest = view.lookup(Kind::Sorted, collection, key, |ts, _| ts)?;
        match self.is_after_snapshot(newest.flatten()) {
            true => Err(Error::SerializationFailure),
            false => Ok(()),
        }
    }

    /// Whether a commit is newer than a snapshot that is kept.
    fn is_after_snapshot(&self, ts: Option<Ts>) -> bool {
        let keeps = self.isolation.keeps_snapshot();
        let snapshot = self.snapshot.as_ref().filter(|_| keeps);
        snapshot.is_some_and(|snapshot| ts.is_some_and(|ts| ts > snapshot.ts()))
    }

    fn write(
        &mut self,
        collection: CollectionId,
        key: &[u8],
        kind: WriteKind,
        value: Option<Box<[u8]>>,
    ) -> Result<()> {
        self.record(collection, key, kind, value, false)
    }

    /// Make a run of what is in memory.
    fn spill(&mut self) -> Result<()> {
        let spilled = self.writes.spill(&self.engine, &self.timeline);
        self.engine.stop_after_sync(spilled)
    }

    /// The same as `write`, saying whether the transaction certainly did not write the key before.
    fn record(
        &mut self,
        collection: CollectionId,
        key: &[u8],
        kind: WriteKind,
        value: Option<Box<[u8]>>,
        is_first: bool,
    ) -> Result<()> {
        if self.read_only {
            return Err(Error::ReadOnlyTransaction);
        }
        self.writes.write(collection, key, kind, value, is_first);
        let bytes = self.writes.bytes();
        if bytes > self.engine.options.transaction_bytes_max || self.must_spill(bytes) {
            self.spill()?;
            self.account(self.writes.bytes());
        }
        Ok(())
    }

    /// Whether writes of `bytes` take too much of the budget of memory.
    fn must_spill(&mut self, bytes: usize) -> bool {
        self.account_growth(bytes) && self.engine.memory.must_spill(bytes)
    }

    /// Tell what is held, if that is enough more than was told last; whether it was.
    fn account_growth(&mut self, bytes: usize) -> bool {
        let told = self.memory.bytes() + self.engine.memory.grain();
        let grew = bytes + self.locks_bytes() > told;
        if grew {
            self.account(bytes);
        }
        grew
    }

    fn locks_bytes(&self) -> usize {
        self.held.len() * LOCK_BYTES
    }

    /// Tell what is held.
    fn account(&mut self, bytes: usize) {
        let bytes = bytes + self.locks_bytes();
        self.memory.set(bytes);
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
        self.engine.plans.forget(collection);
        self.remove(CATALOG, &catalog_key(collection))
    }

    /// A place to fall back to. Locks taken later are kept when falling back.
    pub fn savepoint(&mut self) -> Savepoint {
        Savepoint(self.writes.savepoint())
    }

    /// Undo the writes since `savepoint`, which stays valid.
    pub fn rollback_to(&mut self, savepoint: Savepoint) {
        self.writes.rollback_to(savepoint.0);
        if self.memory.bytes() > 0 {
            self.account(self.writes.bytes());
        }
    }

    /// A sequence was advanced for this transaction: its commit must be durable past the sequence's
    /// log record, or a crash could hand out a value again that this commit made known.
    pub fn used_sequence(&mut self) {
        self.used_sequence = true;
    }

    /// Give up all writes and locks; the same as dropping.
    pub fn rollback(self) {}

    fn release_locks(&mut self) {
        self.engine.locks.release_all(self.owner, &mut self.held);
    }
}

/// The newest definition that a collection ever had, for `own`'s transaction; `None` when it is not a
/// table. As in a flush, dropped columns count as live.
fn definition_of(
    timeline: &Arc<Timeline>,
    own: &OwnWrites,
    collection: CollectionId,
) -> Result<Option<TableDef>> {
    let full = full_key(CATALOG, &catalog_key(collection));
    let mut own = own.clone();
    loop {
        let found = own.find(Kind::Sorted, &full, |number, value| {
            (number, value.map(|bytes| decode_table(collection, bytes)))
        })?;
        match found {
            Some((_, Some(def))) => return Ok(Some(all_live(def?))),
            Some((number, None)) => own.limit = number.saturating_sub(1),
            None => break,
        }
    }
    let def = Path::new(timeline, Ts::MAX).newest_definition(collection)?;
    Ok(def.map(all_live))
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.release_locks();
    }
}
