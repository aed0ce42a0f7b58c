//! HeliosDB's storage engine: write-ahead log, memtable, segments, timelines and locks.
//!
//! A database is written by transactions, or, where it comes from another one with its history, by a
//! [`Loader`]; it is read AS OF a timestamp, or whole, with all versions ([`ReadView::row_versions`],
//! [`ReadView::versions`]). In the background its files are merged, and history goes when its time is over.
//!
//! It knows rows, keys, timestamps and files. It does not know SQL, names, networks or async: the
//! layers above bring those.

pub mod ids;
pub mod schema;

pub mod codec;
pub mod expression;

pub mod engine;
pub mod governor;
pub mod interrupt;
pub mod load;
pub mod options;
pub mod pages;
pub mod sequence;
pub mod transaction;
pub mod view;

pub mod catalog;
pub mod history;
pub mod lock;
pub mod memory;
pub mod memtable;
pub mod tables;
mod timeline;

pub mod archive;
pub mod backup;
pub mod check;
mod compact;
mod flush;
mod manifest;
mod parse;
mod recovery;
mod removal;
mod wal;

pub mod datum;
pub mod key;
pub mod row;
pub mod segment;

mod sync;

pub mod planted;

pub mod error;
pub mod io;

pub use archive::{ArchiveDirectory, ArchiveState};
pub use backup::restore::{Coverage, RestoreOptions, Restored, coverage, restore};
pub use backup::{BackedUp, back_up_closed};
pub use compact::{Compacted, HeldBy, Horizon};
pub use engine::{Engine, Stats};
pub use error::{Error, Result};
pub use history::{Kept, NamedPin, PinKind, PinState, Remembered};
pub use interrupt::Interrupt;
pub use load::{LoadOptions, LoadedState, LoadedTable, Loader, SortedLoader, TableLoader};
pub use lock::{
    AdvisoryKey, AdvisoryLocks, AdvisoryScope, LockOwner, LockWait, Locked, LockedObject,
    RowLockMode, TableLockMode,
};
pub use options::Options;
pub use sequence::SequenceSpec;
pub use timeline::{Closed, LoadedTimeline, TimelineInfo};
pub use transaction::{
    BulkInsert, Durability, IndexBuild, InsertOutcome, Isolation, RowLock, Savepoint, Transaction,
};
pub use view::scan::{ColumnRange, RowFilter};
pub use view::{
    Changes, ChangesRequest, DroppedIndex, EntryChange, EntryChanges, EverTable, IndexRange,
    RangeIter, ReadView, RowChanges, RowReader, RowVersionScan, RowVersions, RowsSince,
    ScanRequest, TableScan, TouchedRows, Version, Versions,
};
pub use wal::sink::{Batch, LocalLog, LocalSink, LogSink};
