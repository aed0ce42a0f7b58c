//! What the engine tells about itself.

use std::sync::atomic::Ordering;

use super::EngineInner;
use crate::archive::ArchiveState;
use crate::compact::{Compacted, Horizon};
use crate::ids::{Lsn, Ts};

/// Sizes and counters since the database was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub latest: Ts,
    pub durable: Ts,
    pub commits: u64,
    /// Group commits: writes of the log followed by a sync.
    pub wal_syncs: u64,
    pub wal_bytes: u64,
    pub wal_position: Lsn,
    pub wal_files: usize,
    pub memtable_bytes: usize,
    pub memtables_frozen: usize,
    pub flushes: u64,
    pub segments: usize,
    pub segment_bytes: u64,
    pub page_cache_bytes: usize,
    /// Pages of segments that readers asked for.
    pub pages_read: u64,
    /// Those of them that were not in the cache.
    pub pages_missed: u64,
    /// Since the database was opened.
    pub compacted: Compacted,
    pub horizon: Horizon,
    /// How far the log is archived; `None` when it is not to be.
    pub archive: Option<ArchiveState>,
    /// Rows, keys and tables that somebody has locked or waits for.
    pub locked_objects: usize,
    /// Transactions that wait for a lock.
    pub lock_waits: usize,
    /// Waits for locks that there were, and those of them that ended with a deadlock.
    pub waits_begun: u64,
    pub deadlocks: u64,
}

impl Stats {
    pub(super) fn collect(engine: &EngineInner) -> Stats {
        let timelines = engine.timelines.all();
        let sources: Vec<_> = timelines.iter().map(|(_, t)| t.sources()).collect();
        let segments = || sources.iter().flat_map(|sources| sources.segments());
        let log = engine.log.stats();
        let (waits_begun, deadlocks) = engine.locks.waits();
        let (wal_position, wal_files) = engine.log.position();
        Stats {
            latest: engine.log.latest(),
            durable: engine.log.durable(),
            commits: log.commits.load(Ordering::Relaxed),
            wal_syncs: log.syncs.load(Ordering::Relaxed),
            wal_bytes: log.bytes.load(Ordering::Relaxed),
            wal_position,
            wal_files,
            memtable_bytes: sources
                .iter()
                .flat_map(|sources| sources.memtables())
                .map(|memtable| memtable.bytes())
                .sum(),
            memtables_frozen: sources.iter().map(|s| s.frozen().count()).sum(),
            flushes: engine.flusher.flushes.load(Ordering::Relaxed),
            segments: segments().count(),
            segment_bytes: segments().map(|segment| segment.meta().bytes).sum(),
            page_cache_bytes: engine.flusher.cache().bytes(),
            pages_read: engine.flusher.cache().asked(),
            pages_missed: engine.flusher.cache().missed(),
            compacted: engine.compactor.done(),
            horizon: engine.horizon(),
            archive: engine.archive_state(),
            locked_objects: engine.locks.object_count(),
            lock_waits: engine.locks.waiting_count(),
            waits_begun,
            deadlocks,
        }
    }
}
