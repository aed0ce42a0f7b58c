//! The errors of storage, in three kinds.
//!
//! 1. *A caller's mistake or a passing condition* (`UniqueViolation`, `SerializationFailure`,
//!    `ReadWriteDependency`, `ReadOnlyTransaction`, `Deadlock`, `LockNotAvailable`, `Canceled`,
//!    `OutOfMemory`, `DiskFull`, `KeyTooLong`, `RowTooLong`, `Invalid`, `CodecMissing`, `Expression`,
//!    `SnapshotTooOld`, `SnapshotTooNew`, `NotCovered`, `DirectoryNotEmpty`, `ArchiveConflict`,
//!    `UnknownTimeline`, `TimelineExists`, `TimelineHasBranches`, `TimelineMoved`, `DirectoryLocked`,
//!    `NotADatabase`): the kind says what to do next.
//! 2. *Damage* (`Corruption`, `UnsupportedVersion`, `CodecFailed`): file, offset, what was expected,
//!    what was found.
//! 3. *A stopped engine* (`Stopped`, `LeadershipLost`): a write to the log failed. Nothing more is accepted; reopening
//!    the database recovers what is known to be on disk.
//!
//! An error is cheap to clone, because one failed write has to be told to every waiting committer.

use std::fmt;
use std::sync::Arc;

use crate::datum::Datum;
use crate::ids::{CollectionId, ColumnId, TimelineId, Ts};

/// What storage's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// See the module's header for the three kinds.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("duplicate key in index {index} of table {table}")]
    UniqueViolation {
        table: CollectionId,
        index: CollectionId,
        key: Vec<Datum>,
    },
    #[error("could not serialize access due to concurrent update")]
    SerializationFailure,
    /// SERIALIZABLE: the transactions that committed beside this one and it have no order.
    #[error("could not serialize access due to read/write dependencies among transactions")]
    ReadWriteDependency { reason: &'static str },
    #[error("cannot execute a write in a read-only transaction")]
    ReadOnlyTransaction,
    #[error("deadlock detected: {detail}")]
    Deadlock { detail: String },
    #[error("could not obtain the lock")]
    LockNotAvailable,
    #[error("canceled on request")]
    Canceled,
    #[error("out of memory: {what} exceeds {limit_bytes} bytes")]
    OutOfMemory {
        what: &'static str,
        limit_bytes: usize,
    },
    #[error("no space left on device while writing \"{file}\"")]
    DiskFull { file: String },
    #[error("could not {op} \"{file}\": {source}")]
    Io {
        op: &'static str,
        file: String,
        source: Arc<std::io::Error>,
    },
    #[error("\"{file}\" is damaged at byte {offset}: expected {expected}, found {found}")]
    Corruption {
        file: String,
        offset: u64,
        expected: String,
        found: String,
    },
    #[error("\"{file}\" has format version {found}; this build reads version {supported}")]
    UnsupportedVersion {
        file: String,
        found: u32,
        supported: u32,
    },
    /// The pages of a column are encoded with a codec that nobody provides.
    #[error(
        "column {column} of table {collection} is encoded with codec \"{codec}\", which is missing"
    )]
    CodecMissing {
        codec: String,
        collection: CollectionId,
        column: ColumnId,
    },
    /// A codec gave something else than what it once encoded.
    #[error("\"{file}\" cannot be read at byte {offset}: codec \"{codec}\" {detail}")]
    CodecFailed {
        codec: String,
        file: String,
        offset: u64,
        detail: String,
    },
    /// What an expression gives for a row cannot be computed.
    #[error("{message}")]
    Expression { sqlstate: [u8; 5], message: String },
    /// A read AS OF a time of which the database no longer knows everything.
    #[error("the state of {asked} is no longer kept: history goes back to {oldest}")]
    SnapshotTooOld { asked: Ts, oldest: Ts },
    /// A read of a time of which not all is committed yet.
    #[error("{asked} is in the future: what is committed by {latest} is known")]
    SnapshotTooNew { asked: Ts, latest: Ts },
    #[error("pin \"{name}\" already exists")]
    PinExists { name: String },
    #[error("pin \"{name}\" does not exist")]
    NoSuchPin { name: String },
    /// The owner of a cursor did not move it for too long.
    #[error("cursor \"{name}\" is invalid: it stood still at {ts} for longer than max_pin_age")]
    CursorExpired { name: String, ts: Ts },
    /// A restore to a time that a backup and its archive do not have.
    #[error(
        "the state of {asked} cannot be restored: the backup and the archive cover {from} to {to} ({why})"
    )]
    NotCovered {
        asked: Ts,
        from: Ts,
        to: Ts,
        why: String,
    },
    /// A directory that is to become a database.
    #[error("the directory is not empty: it has \"{found}\"")]
    DirectoryNotEmpty { found: String },
    /// Under the name of what is to be archived there is something else.
    #[error(
        "the archive has another \"{file}\", which differs from byte {offset} on: it belongs to another \
         copy of this database, or is damaged"
    )]
    ArchiveConflict { file: String, offset: u64 },
    #[error("there is no timeline {id}")]
    UnknownTimeline { id: TimelineId },
    #[error("timeline \"{name}\" already exists")]
    TimelineExists { name: String },
    #[error("timeline \"{name}\" has branches: {}", children.join(", "))]
    TimelineHasBranches { name: String, children: Vec<String> },
    /// Of one table that a branch is to have, history does not go back as far.
    #[error("the history of table {table} at {asked} is gone; it goes back to {oldest}")]
    TableTooYoung {
        table: CollectionId,
        asked: Ts,
        oldest: Ts,
    },
    /// The timeline that a transaction began on has another name now.
    #[error("the timeline was replaced by another one")]
    TimelineMoved,
    #[error("the database directory is in use by another process")]
    DirectoryLocked,
    #[error("not a HeliosDB database: {reason}")]
    NotADatabase { reason: String },
    /// Another machine decides what comes after the last commit that was acknowledged.
    #[error("this machine leads no more: {reason}")]
    LeadershipLost { reason: String },
    #[error("the storage engine has stopped: {reason}")]
    Stopped { reason: String },
    #[error("index key of {bytes} bytes exceeds the maximum of {max_bytes}")]
    KeyTooLong { bytes: usize, max_bytes: usize },
    /// A row longer than the format can hold.
    #[error("row is too long: {bytes} bytes")]
    RowTooLong { bytes: usize },
    /// The caller's argument does not fit what storage knows: a batch of the wrong shape, a table
    /// that was never defined.
    #[error("{what}")]
    Invalid { what: String },
    /// The caller broke a contract of this crate.
    #[error("internal error in storage: {detail}")]
    Internal { detail: String },
}

impl Error {
    /// An operating system error on `file` while doing `op` ("read", "write", "open" …).
    pub fn io(op: &'static str, file: &str, source: std::io::Error) -> Error {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        // A sync that failed leaves the file in doubt, whatever the reason.
        if op != "sync" && matches!(source.kind(), StorageFull | QuotaExceeded) {
            return Error::DiskFull {
                file: file.to_owned(),
            };
        }
        Error::Io {
            op,
            file: file.to_owned(),
            source: Arc::new(source),
        }
    }

    /// Damage at `offset` of `file`.
    pub fn corruption(
        file: &str,
        offset: u64,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Error {
        Error::Corruption {
            file: file.to_owned(),
            offset,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    /// A contract of this crate that its caller broke.
    pub(crate) fn internal(detail: impl Into<String>) -> Error {
        Error::Internal {
            detail: detail.into(),
        }
    }

    /// A caller's argument that does not fit.
    pub fn invalid(what: impl Into<String>) -> Error {
        Error::Invalid { what: what.into() }
    }
}
