//! What callers may choose. Every option changes what is done; none changes what a dump means.

use std::ops::RangeInclusive;
use std::sync::Arc;

use heliosdb_storage::Interrupt;

/// Levels of zstd that [`ExportOptions::level`] may have.
pub const LEVELS: RangeInclusive<i32> = 1..=19;
/// What most people want: three times smaller than the rows, at the speed of a disk.
pub const LEVEL_DEFAULT: i32 = 3;

/// What goes into a dump, and how tightly.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// Of zstd, one of [`LEVELS`].
    pub level: i32,
    /// Superseded versions and dropped tables, so that AS OF answers as before.
    pub history: bool,
    /// Materialized views.
    pub views: bool,
    /// Branches other than the main timeline.
    pub branches: bool,
    /// The configuration file's text.
    pub config: bool,
    /// Canceling it ends the export.
    pub interrupt: Arc<Interrupt>,
}

impl Default for ExportOptions {
    fn default() -> ExportOptions {
        ExportOptions {
            level: LEVEL_DEFAULT,
            history: true,
            views: true,
            branches: true,
            config: true,
            interrupt: Interrupt::new(),
        }
    }
}

/// How a dump is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// For sorting index entries; what is more goes through files.
    pub memory_bytes: usize,
    /// 1 does everything on the caller's thread, in an order that does not vary.
    pub threads: usize,
    /// Canceling it ends the load.
    pub interrupt: Arc<Interrupt>,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions {
            memory_bytes: 256 << 20,
            threads: 2,
            interrupt: Interrupt::new(),
        }
    }
}

/// How thoroughly a database is compared with a dump.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    /// Commit times per table at which its content is compared AS OF; at most
    /// [`SAMPLES_MAX`](crate::manifest::SAMPLES_MAX).
    pub history_samples: usize,
    /// Compare the entries of every index with the rows.
    pub indexes: bool,
    /// Canceling it ends the comparison.
    pub interrupt: Arc<Interrupt>,
}

impl Default for CompareOptions {
    fn default() -> CompareOptions {
        CompareOptions {
            history_samples: 4,
            indexes: true,
            interrupt: Interrupt::new(),
        }
    }
}
