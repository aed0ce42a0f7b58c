//! What an operator may set for the engine. Sizes are bytes.

use crate::archive::ArchiveDirectory;
use crate::error::{Error, Result};
use crate::governor::Caps;
use crate::io::machine::default_budget_bytes;
use crate::memory::{BUDGET_BYTES_MIN, MemoryBudget};
use crate::wal::batch::ALIGNMENT;

/// Settings of one [`Engine`](crate::engine::Engine); none of them changes what a file means.
#[derive(Clone, Debug)]
pub struct Options {
    /// The one budget of memory ([`crate::memory`]); what follows are limits within it.
    pub memory_bytes_max: usize,
    /// A memtable past this size is frozen and flushed to a segment; at most a 16th of the budget.
    pub memtable_bytes_max: usize,
    /// Frozen memtables that may wait for their flush before commits have to wait.
    pub memtables_frozen_max: usize,
    /// Size of a new WAL file; a multiple of 4 KiB, at least 64 KiB.
    pub wal_segment_bytes: u64,
    /// Raw size of a segment's page; at most a 512th of the budget, or 8 KiB.
    pub page_bytes: usize,
    /// Values of text, bytea and json of at least so many bytes are kept in pages of their own, which are
    /// read only for them.
    pub blob_bytes_min: usize,
    /// Rows that a segment has to have of a table at least for its columns' different values being counted.
    pub sketch_rows_min: usize,
    /// Memory that one transaction's writes may take. What is more goes to files, which its commit makes
    /// segments. Before that, an 8th of the budget is for all transactions together.
    pub transaction_bytes_max: usize,
    /// Rows that one statement has to insert at least for their being inserted by the column, which costs
    /// a file.
    pub bulk_rows_min: usize,
    /// Rows and keys of one table that a transaction locks one by one before it tries to lock the table; at
    /// most what a 64th of the budget has room for, or 256.
    pub locks_per_table_max: usize,
    /// How long `LockWait::Block` waits before `LockNotAvailable`; `None` is for ever.
    pub lock_timeout_micros: Option<u64>,
    /// How long the past is kept to be read AS OF; `None` is for ever.
    pub retention_micros: Option<u64>,
    /// How far a cursor may be behind before it holds no history any more; `None` is without end.
    pub max_pin_age_micros: Option<u64>,
    /// Whether segments are merged in the background, as they come.
    pub compaction_in_background: bool,
    /// Segment files that merges which are due would take away, past which compaction goes over its CPU
    /// budget.
    pub compaction_debt_files_max: usize,
    /// How much of the machine the background may use.
    pub cpu: Caps,
    /// A segment file above this size is not merged with others any more.
    pub compaction_bytes_max: u64,
    /// Where the log is archived to.
    pub archive: Option<ArchiveDirectory>,
    /// An operator's files beside those of the database, and directories of such files, that its backups
    /// have copies of.
    pub companions: &'static [&'static str],
    /// Names that may be in a directory before its database: an operator's own files. Anything else
    /// there means that the directory is something other than an empty place for a new database.
    pub expected_names: &'static [&'static str],
}

/// Smallest WAL file.
pub const WAL_SEGMENT_BYTES_MIN: u64 = 64 << 10;

/// So many pages of the size that is aimed at fit into the budget.
const PAGES_MIN: usize = 512;
/// For the sake of a small budget pages are not made smaller.
const PAGE_BYTES_MIN: usize = 8 << 10;
/// Locks of one table and transaction may take this part of the budget.
const LOCKS_SHARE: usize = 64;
const LOCKS_MIN: usize = 256;
/// About what a lock on a row takes.
pub(crate) const LOCK_BYTES: usize = 256;

/// A week.
const RETENTION_MICROS: u64 = 7 * 24 * 3600 * 1_000_000;

/// 30 days.
const MAX_PIN_AGE_MICROS: u64 = 30 * 24 * 3600 * 1_000_000;

impl Options {
    /// Refuse what cannot work.
    pub(crate) fn check(&self) -> Result<()> {
        if self.wal_segment_bytes < WAL_SEGMENT_BYTES_MIN
            || !self.wal_segment_bytes.is_multiple_of(ALIGNMENT)
        {
            return Err(Error::invalid(format!(
                "wal_segment_bytes is {}; it must be a multiple of {ALIGNMENT} and at least \
                 {WAL_SEGMENT_BYTES_MIN}",
                self.wal_segment_bytes
            )));
        }
        if self.memory_bytes_max < BUDGET_BYTES_MIN {
            return Err(Error::invalid(format!(
                "memory_bytes_max is {}; it must be at least {BUDGET_BYTES_MIN}",
                self.memory_bytes_max
            )));
        }
        if self.memtables_frozen_max == 0 {
            return Err(Error::invalid("memtables_frozen_max must be at least 1"));
        }
        self.cpu.check()
    }

    /// These with what the budget leaves of each limit.
    pub(crate) fn within(mut self, budget: &MemoryBudget) -> Options {
        let most = |limit: &mut usize, most: usize| *limit = most.min(*limit);
        most(&mut self.memtable_bytes_max, budget.memtable_bytes_max());
        let pages = (budget.bytes_max() / PAGES_MIN).max(PAGE_BYTES_MIN);
        most(&mut self.page_bytes, pages);
        let locks = budget.bytes_max() / LOCKS_SHARE / LOCK_BYTES;
        most(&mut self.locks_per_table_max, locks.max(LOCKS_MIN));
        self
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            memory_bytes_max: default_budget_bytes(),
            memtable_bytes_max: 64 << 20,
            memtables_frozen_max: 4,
            wal_segment_bytes: 16 << 20,
            page_bytes: 64 << 10,
            blob_bytes_min: 4 << 10,
            sketch_rows_min: 4 << 10,
            transaction_bytes_max: 64 << 20,
            bulk_rows_min: 1 << 14,
            locks_per_table_max: 1 << 16,
            lock_timeout_micros: None,
            retention_micros: Some(RETENTION_MICROS),
            max_pin_age_micros: Some(MAX_PIN_AGE_MICROS),
            compaction_in_background: true,
            compaction_debt_files_max: 16,
            cpu: Caps::default(),
            compaction_bytes_max: 1 << 30,
            archive: None,
            companions: &[],
            expected_names: &[],
        }
    }
}
