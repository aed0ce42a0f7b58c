//! Timelines: branches of the database's history.
//!
//! A timeline has memtables and segments of its own; up to its fork it shows what its parent showed
//! then ([`crate::view::path`]). Creating one copies nothing: a record in the log, and an empty memtable.
//! Every version, lock, WAL record and file names the timeline it belongs to; there is one log, one clock,
//! one flusher and one allocator of RowIds, collections and sequence values for all.
//!
//! Invariants:
//!
//! 1. Every commit of a timeline is newer than its fork, because the fork was settled before the timeline
//!    was there.
//! 2. What a parent showed at a fork stays while anybody has the branch, be it only to read it after its
//!    drop ([`Fork`]).
//! 3. A parent has something of its own at or before each of its forks. A branch of one that has not is
//!    made a branch of the timeline above, so that a path is as short as it can be.
//! 4. A timeline that is dropped, or moved to another name by a swap, takes no commit of a transaction
//!    that began before.
//! 5. On one that is closed ([`Closed`]) nobody commits but who closed it, and nobody waits for a lock.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::compact::Fork;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, TimelineId, Ts};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::transaction::ssi::Ssi;
use crate::view::{Path, Source, Superversion};

mod change;
mod closed;
mod live;
mod set;

pub use self::change::{LoadedTimeline, TimelineInfo};
pub use self::closed::Closed;
pub use self::live::LiveRows;
pub use self::set::Timelines;

/// One timeline, and the newest of its sources.
pub struct Timeline {
    id: TimelineId,
    base: Option<Base>,
    /// What the layer above keeps with it.
    note: RwLock<Vec<u8>>,
    sources: RwLock<Arc<Superversion>>,
    /// By how many rows tables grew since the fork.
    pub live: LiveRows,
    /// SERIALIZABLE is of one timeline: nobody reads or writes on two.
    pub(crate) serializable: Arc<Ssi>,
    /// Columns that tables had at the fork, as far as somebody asked; they do not change.
    columns_at_fork: RwLock<HashMap<CollectionId, usize>>,
    /// Counts up when transactions that have begun may not commit any more. Odd while the timeline is closed.
    epoch: AtomicU64,
    dropped: AtomicBool,
}

/// Where a timeline branched off.
pub struct Base {
    pub parent: Arc<Timeline>,
    pub fork: Fork,
}

impl Base {
    /// The newest timestamp that both have in common.
    pub fn fork_ts(&self) -> Ts {
        self.fork.ts()
    }
}

/// Which of a timeline's lives a transaction belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(u64);

impl Epoch {
    /// Whether it is that of who closed the timeline, beside whom nobody commits.
    pub fn is_alone(self) -> bool {
        self.0 % 2 == 1
    }
}

impl Timeline {
    pub fn new(
        id: TimelineId,
        base: Option<Base>,
        note: Vec<u8>,
        sources: Superversion,
        live: LiveRows,
        can_block: bool,
    ) -> Arc<Timeline> {
        Arc::new(Timeline {
            id,
            base,
            note: RwLock::new(note),
            sources: RwLock::new(Arc::new(sources)),
            live,
            serializable: Ssi::new(can_block),
            columns_at_fork: RwLock::default(),
            epoch: AtomicU64::new(0),
            dropped: false.into(),
        })
    }

    pub fn id(&self) -> TimelineId {
        self.id
    }

    pub fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    pub fn note(&self) -> Vec<u8> {
        self.note.read().clone()
    }

    /// The caller has the turn to change what timelines there are.
    fn set_note(&self, note: Vec<u8>) {
        *self.note.write() = note;
    }

    pub fn sources(&self) -> Arc<Superversion> {
        Arc::clone(&self.sources.read())
    }

    /// Swap the sources. The caller holds the freeze lock.
    pub fn set_sources(&self, sources: Superversion) {
        *self.sources.write() = Arc::new(sources);
    }

    /// How many columns a table had at the fork; of a table that was not there, any number.
    pub fn columns_at_fork(&self, table: CollectionId) -> Result<usize> {
        let Some(base) = &self.base else {
            return Ok(usize::MAX);
        };
        if let Some(columns) = self.columns_at_fork.read().get(&table) {
            return Ok(*columns);
        }
        let def = Path::new(&base.parent, base.fork_ts()).newest_definition(table)?;
        let columns = def.map_or(usize::MAX, |def| def.columns.len());
        self.columns_at_fork.write().insert(table, columns);
        Ok(columns)
    }

    /// About how many rows a table has now. What it had at the fork is taken to be what the parent has.
    pub fn live_estimate(&self, table: CollectionId) -> u64 {
        let mut rows = self.live.get(table);
        let mut base = self.base();
        while let Some(Base { parent, .. }) = base {
            rows = rows.saturating_add(parent.live.get(table));
            base = parent.base();
        }
        u64::try_from(rows).unwrap_or(0)
    }

    /// Whether the timeline has nothing of its own at or before `ts`. The caller holds the freeze lock, and
    /// no commit to come has that time.
    fn is_unmodified(&self, ts: Ts) -> bool {
        let newer = |source: Source<'_>| match source {
            Source::Memtable(memtable) => memtable.ts_min().is_none_or(|min| min > ts),
            Source::Segment(segment) => segment.meta().min_ts > ts,
        };
        self.sources().sources().all(newer)
    }

    /// Whether the timeline has nothing of its own after `ts`. The caller holds the freeze lock.
    fn is_within(&self, ts: Ts) -> bool {
        let older = |source: Source<'_>| match source {
            Source::Memtable(memtable) => memtable.ts_max() <= ts,
            Source::Segment(segment) => segment.meta().max_ts <= ts,
        };
        self.sources().sources().all(older)
    }

    /// The epoch that a transaction begins in: on a closed timeline the one before, which nobody commits in.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire) & !1)
    }

    /// Whether transactions that began in `epoch` cannot commit any more.
    pub fn has_moved(&self, epoch: Epoch) -> bool {
        self.epoch.load(Ordering::Acquire) != epoch.0
    }

    /// Whether a transaction that began in `epoch` may commit. The caller holds the freeze lock.
    pub fn check(&self, epoch: Epoch) -> Result<()> {
        match (self.is_dropped(), self.has_moved(epoch)) {
            (false, false) => Ok(()),
            (true, _) => Err(Error::UnknownTimeline { id: self.id }),
            (false, true) => Err(Error::TimelineMoved),
        }
    }

    pub fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    /// Let no transaction of now commit. The caller holds the freeze lock exclusively.
    fn end_epoch(&self) {
        self.epoch.fetch_add(2, Ordering::AcqRel);
    }

    /// Let none commit but those of the epoch that is returned; `None` when it is closed already. The caller holds
    /// the freeze lock exclusively.
    fn close(&self) -> Option<Epoch> {
        let epoch = self.epoch.load(Ordering::Acquire);
        if Epoch(epoch).is_alone() {
            return None;
        }
        self.epoch.store(epoch + 1, Ordering::Release);
        Some(Epoch(epoch + 1))
    }

    /// The end of what [`Timeline::close`] began. The caller holds the freeze lock exclusively.
    fn reopen(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    fn set_dropped(&self) {
        self.dropped.store(true, Ordering::Release);
    }
}
