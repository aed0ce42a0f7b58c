//! Dumps: a database's whole content as one file, moved into a fresh directory and compared with it.
//!
//! The format and what is in it are `heliosdb_dump`'s; names and definitions come from
//! `heliosdb_sql`. Here stands what has to know a directory, settings and plugins at once:
//!
//! * [`import()`] makes a database of a dump, or changes nothing. First everything that may speak
//!   against it is asked (`preflight`, `plugins`, `settings`); then the directory is marked
//!   (`marker`, `target`), filled, migrated and read back (`compare`); the end is one unlink.
//! * [`verify()`] compares a database with the dump it came from, at any later time.
//! * Both tell what they did in a [`Report`].

mod branches;
mod catalog;
mod compare;
mod earlier;
mod error;
mod html;
mod import;
pub(crate) mod marker;
mod plugins;
mod preflight;
pub mod report;
mod settings;
mod stopwatch;
mod stores;
mod tables;
mod target;
mod text;
mod verify;

use std::path::Path;
use std::sync::Arc;

use heliosdb_plugin_host::RootRef;

pub use error::{ImportError, PluginProblem};
pub use import::import;
pub use report::Report;
pub use verify::verify;

pub use heliosdb_dump::options::{LEVEL_DEFAULT, LEVELS};
pub use heliosdb_dump::{Dump, ExportOptions, Manifest, Progress, Silent};
pub use heliosdb_storage::Interrupt;

/// Times in the past at which an import, and a comparison that is not told otherwise, looks at each
/// table.
pub const HISTORY_SAMPLES: usize = 4;
/// Memory for sorting index entries.
const MEMORY_BYTES: usize = 256 << 20;

/// How a dump becomes a database.
#[derive(Clone)]
pub struct ImportOptions<'a> {
    /// Settings to use instead of the target's own.
    pub config: Option<&'a Path>,
    /// The plugins that the program links.
    pub linked: &'a [RootRef],
    /// What the program is: `lite` or `full`.
    pub edition: &'a str,
    /// Do everything, and keep nothing.
    pub dry_run: bool,
    /// Take what belongs to plugins that are not here along, unread.
    pub keep_orphans: bool,
    /// The report as a page, by the name of its file in the target, which ends in `.html`. That it
    /// cannot be written is said in the report and fails nothing.
    pub page: Option<&'a str>,
    /// Is shown the report when everything is verified and nothing is published.
    pub verified: Option<&'a (dyn Fn(&Report) + Sync)>,
    /// For sorting index entries; what is more goes through files.
    pub memory_bytes: usize,
    /// Canceling it ends the import; then nothing is kept.
    pub interrupt: Arc<Interrupt>,
}

impl<'a> ImportOptions<'a> {
    pub fn new(linked: &'a [RootRef], edition: &'a str) -> ImportOptions<'a> {
        ImportOptions {
            config: None,
            linked,
            edition,
            dry_run: false,
            keep_orphans: false,
            page: None,
            verified: None,
            memory_bytes: MEMORY_BYTES,
            interrupt: Interrupt::new(),
        }
    }
}

/// How a database is compared with a dump. Tables, objects, sequences and the state of plugins always
/// are.
#[derive(Clone)]
pub struct VerifyOptions<'a> {
    /// Settings to use instead of the database's own.
    pub config: Option<&'a Path>,
    /// The plugins that the program links.
    pub linked: &'a [RootRef],
    /// What the program is: `lite` or `full`.
    pub edition: &'a str,
    /// Whether every view can be planned; none is run.
    pub check_views: bool,
    /// Every branch and tag of the dump: its tables, now and at times in the past, what it wrote to the catalog, and
    /// its sequences.
    pub check_branches: bool,
    /// Every entry of every index against the rows.
    pub check_indexes: bool,
    /// Whether everything that a codec wrote can be read, and how much of each column is in the codec
    /// that it was given.
    pub check_compression: bool,
    /// Times in the past, per table, at which it is compared.
    pub history_samples: usize,
    /// Canceling it ends the comparison.
    pub interrupt: Arc<Interrupt>,
}

impl<'a> VerifyOptions<'a> {
    pub fn new(linked: &'a [RootRef], edition: &'a str) -> VerifyOptions<'a> {
        VerifyOptions {
            config: None,
            linked,
            edition,
            check_views: false,
            check_branches: false,
            check_indexes: false,
            check_compression: false,
            history_samples: HISTORY_SAMPLES,
            interrupt: Interrupt::new(),
        }
    }
}
