//! The engine: everything of an open database, and the public face of storage.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::catalog::FIRST_COLLECTION;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, TimelineId, Ts, TxnId};
use crate::interrupt::Interrupt;
use crate::io::Io;
use crate::lock::LockManager;
use crate::memtable::{Memtable, TxnSlot};
use crate::options::Options;
use crate::sequence::{SequenceSpec, SequenceState, Sequences};
use crate::tables::Tables;
use crate::transaction::{Isolation, Transaction};
use crate::view::{OwnWrites, ReadView, Superversion, ViewInner};

/// An open database. Cheap to clone; the last clone to go closes it.
#[derive(Clone)]
pub struct Engine(Arc<EngineInner>);

pub(crate) struct EngineInner {
    pub io: Arc<dyn Io>,
    pub options: Options,
    pub locks: LockManager,
    pub tables: Arc<Tables>,
    /// Held shared from a commit's first version in the memtable to its flip, and exclusively by a
    /// freeze. No I/O inside.
    pub freeze: RwLock<()>,
    sources: RwLock<Arc<Superversion>>,
    /// The commit point: one transaction at a time takes its timestamp. No I/O inside.
    last_ts: Mutex<Ts>,
    /// Highest flipped timestamp.
    latest: AtomicU64,
    next_txn: AtomicU64,
    next_collection: AtomicU32,
    sequences: Sequences,
    _directory: Box<dyn Send + Sync>,
}

impl EngineInner {
    pub fn latest(&self) -> Ts {
        Ts(self.latest.load(Ordering::Acquire))
    }

    pub fn sources(&self) -> Arc<Superversion> {
        Arc::clone(&self.sources.read())
    }

    /// A view at `ts`. The sources are taken after the timestamp, so they hold all commits up to it.
    pub fn view(&self, ts: Ts, own: Option<OwnWrites>) -> ReadView {
        let sources = self.sources();
        ReadView(Arc::new(ViewInner {
            ts,
            sources,
            own,
            tables: Arc::clone(&self.tables),
        }))
    }

    pub fn commit_point(&self, slot: &TxnSlot) -> Ts {
        let mut last = self.last_ts.lock();
        let ts = Ts(self.io.now_micros().max(last.0 + 1));
        *last = ts;
        slot.commit(ts);
        self.latest.store(ts.0, Ordering::Release);
        ts
    }
}

impl Engine {
    /// Open the database in `io`'s directory; an empty directory becomes a new one.
    pub fn open(io: Arc<dyn Io>, options: Options) -> Result<Engine> {
        let directory = io.lock().map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock => Error::DirectoryLocked,
            _ => Error::io("lock", "lock", e),
        })?;
        let can_block = io.spawn("probe", Box::new(|| {})).is_some();
        Ok(Engine(Arc::new(EngineInner {
            locks: LockManager::new(options.lock_timeout_micros, can_block),
            io,
            options,
            tables: Arc::default(),
            freeze: RwLock::default(),
            sources: RwLock::new(Arc::new(Superversion {
                active: Arc::new(Memtable::new(TimelineId::MAIN)),
                frozen: Vec::new(),
            })),
            last_ts: Mutex::new(Ts::ZERO),
            latest: AtomicU64::new(0),
            next_txn: AtomicU64::new(1),
            next_collection: AtomicU32::new(FIRST_COLLECTION.0),
            sequences: Sequences::default(),
            _directory: directory,
        })))
    }

    /// Start a transaction. `interrupt` is the session's.
    pub fn begin(&self, isolation: Isolation, interrupt: Arc<Interrupt>) -> Transaction {
        let id = TxnId(self.0.next_txn.fetch_add(1, Ordering::Relaxed));
        Transaction::new(Arc::clone(&self.0), id, isolation, interrupt)
    }

    /// What may be shown to someone who will not commit: everything durable, and everything
    /// acknowledged without being so.
    pub fn visible_view(&self) -> ReadView {
        self.latest_view()
    }

    /// The newest committed state.
    pub fn latest_view(&self) -> ReadView {
        self.0.view(self.0.latest(), None)
    }

    /// The database AS OF `ts`; one that is still to come reads the newest committed state.
    pub fn view_at(&self, ts: Ts) -> ReadView {
        self.0.view(ts.min(self.0.latest()), None)
    }

    /// A collection id that was never handed out before.
    pub fn allocate_collection_id(&self) -> CollectionId {
        CollectionId(self.0.next_collection.fetch_add(1, Ordering::Relaxed))
    }

    /// Write the memtable to segments now.
    pub fn flush(&self) -> Result<()> {
        Ok(())
    }

    /// Highest durable timestamp.
    pub fn durable(&self) -> Ts {
        self.0.latest()
    }

    /// Wait until everything committed at or before `ts` is durable.
    pub fn wait_durable(&self, _ts: Ts) -> Result<()> {
        Ok(())
    }

    /// The sequence's next value, `None` when it is exhausted. Never rolled back.
    pub fn sequence_next(&self, id: CollectionId, spec: &SequenceSpec) -> Result<Option<i64>> {
        self.0.sequences.next(id, spec, |_| Ok(()))
    }

    /// PostgreSQL's `setval`.
    pub fn sequence_set(&self, id: CollectionId, value: i64, is_called: bool) -> Result<()> {
        self.0
            .sequences
            .set(id, SequenceState { value, is_called }, |_| Ok(()))
    }

    /// The last value and whether it was handed out, as `SELECT last_value, is_called` shows.
    pub fn sequence_state(&self, id: CollectionId) -> Option<(i64, bool)> {
        self.0
            .sequences
            .state(id)
            .map(|state| (state.value, state.is_called))
    }

    /// Close, and report what goes wrong. Dropping the last clone closes, too.
    pub fn close(self) -> Result<()> {
        Ok(())
    }
}
