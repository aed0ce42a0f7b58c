//! Dumps: the file that carries a whole database, its writer and its readers.
//!
//! A dump is the logical content of an engine at one durable timestamp: every version of every
//! collection worth keeping, with RowIds and timestamps, so that AS OF gives the same answers wherever
//! it is loaded. The file is streamed out front to back, and every byte of it is under a checksum.
//!
//! * [`format`] is every byte of the file, [`manifest`] what it says of itself.
//! * [`digest`] makes content comparable: order-free, bit-exact, per table and per column.
//! * [`export()`] writes a dump, [`reader`] verifies and reads one, [`load`] puts it into an engine.
//! * [`compare`] holds a database against a dump, [`diff()`] one dump against another.
//!
//! This crate knows storage and the plugin host's directory of stores. It knows no SQL: names and
//! definitions come to it as plain descriptions ([`describe`]).

pub mod error;
pub mod options;
pub mod progress;

pub mod describe;
pub mod manifest;

pub mod digest;
pub mod format;

pub mod compare;
mod crew;
pub mod diff;
pub mod export;
pub mod load;
pub mod reader;
pub mod source;
mod writer;

pub use compare::{
    BranchComparison, BranchTable, HistoryComparison, IndexComparison, TableComparison,
    compare_branches, compare_tables,
};
pub use describe::{
    Described, DescribedBranch, NamedSequence, NamedTable, ObjectDescription, PluginDescription,
    Temporary,
};
pub use diff::{DumpDiff, diff, diff_history};
pub use digest::Digest;
pub use error::{Error, Result};
pub use export::export;
pub use load::{LoadStats, load_branches, load_state, load_tables};
pub use manifest::{
    BranchManifest, BranchesManifest, ColumnManifest, LeftOut, Manifest, StoreManifest,
    TableManifest, TimelineIds,
};
pub use options::{CompareOptions, ExportOptions, LoadOptions};
pub use progress::{Progress, Silent};
pub use reader::Dump;
