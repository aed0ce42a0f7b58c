//! Why a dump is not written, read, loaded or equal.
//!
//! Three kinds. *The file*: `NotADump`, `UnsupportedVersion`, `Truncated`, `Appended`, `Damaged` name
//! the file and the place; such a file is of no use, and nothing of it was believed. *The content*:
//! `Content` and `Description` say that two things which must agree do not. *The surroundings*:
//! `Read`, `Write`, `Storage`, `NotEmpty`.

use std::fmt;

/// `1 row`, `2 rows`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    }
}

/// What functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// See the module's header for the kinds.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("\"{file}\" is not a HeliosDB dump: {reason}")]
    NotADump { file: String, reason: String },
    #[error(
        "\"{file}\" is a dump of format {found}; this build reads formats {oldest} to {supported}"
    )]
    UnsupportedVersion {
        file: String,
        found: u32,
        oldest: u32,
        supported: u32,
    },
    /// The file ends before what is in it does.
    #[error("\"{file}\" is cut off: it ends at byte {bytes}, inside {what}")]
    Truncated {
        file: String,
        bytes: u64,
        what: String,
    },
    /// The dump in the file is whole, and something follows it.
    #[error(
        "\"{file}\" has {} behind the end of the dump, which is at byte {end}",
        counted(bytes - end, "byte")
    )]
    Appended { file: String, end: u64, bytes: u64 },
    #[error("\"{file}\" is damaged: {what} at byte {offset}: expected {expected}, found {found}")]
    Damaged {
        file: String,
        what: String,
        offset: u64,
        expected: String,
        found: String,
    },
    /// Content that is not what the manifest counted, although every checksum is right.
    #[error("the dump contradicts itself: {what}: the manifest says {expected}, found {found}")]
    Content {
        what: String,
        expected: String,
        found: String,
    },
    /// A description that does not fit what storage has; whoever described has a bug.
    #[error("the description does not fit the database: {0}")]
    Description(String),
    /// The dump has no such section.
    #[error("the dump has no section \"{0}\"")]
    NoSection(String),
    /// A dump is only loaded into an engine that has nothing.
    #[error("the database to load into is not empty: {0}")]
    NotEmpty(String),
    #[error("could not read \"{file}\" at byte {offset}: {source}")]
    Read {
        file: String,
        offset: u64,
        source: std::io::Error,
    },
    #[error("could not write the dump: {0}")]
    Write(std::io::Error),
    /// No thread for the second half of the work, or it ended early.
    #[error("a worker of the dump failed: {0}")]
    Worker(String),
    #[error(transparent)]
    Storage(#[from] heliosdb_storage::Error),
}

impl Error {
    /// Whether the file itself is at fault, so that no second try can help.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Error::NotADump { .. }
                | Error::UnsupportedVersion { .. }
                | Error::Truncated { .. }
                | Error::Appended { .. }
                | Error::Damaged { .. }
                | Error::Content { .. }
        )
    }

    /// Content that is not what the manifest counted.
    pub fn content(
        what: impl Into<String>,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Error {
        Error::Content {
            what: what.into(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}
