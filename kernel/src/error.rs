//! Why a database did not open.

use std::fmt;
use std::path::PathBuf;

use heliosdb_plugin_host::StateFileError;
use heliosdb_plugin_host::migration::MigrationError;
use heliosdb_sql::error::state;
use heliosdb_sql::{SqlError, SqlState};

use crate::edition::{LITE, title};

/// A failure to open, with the directory it concerns, fit for a terminal: one line, and another for
/// what to do about it.
#[derive(Debug)]
pub struct OpenError {
    pub directory: PathBuf,
    pub error: Error,
}

/// Which layer refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it is a file, not a directory")]
    NotADirectory,
    #[error("there is no such directory")]
    NoDirectory,
    #[error("there is no directory \"{}\"", .0.display())]
    NoSuchDirectory(PathBuf),
    /// A restore to a time of which there is nothing.
    #[error(
        "the state of {asked} cannot be restored: the backup and the archive cover {from} to {to} ({why})"
    )]
    NotCovered {
        asked: String,
        from: String,
        to: String,
        why: String,
    },
    /// What is in it is a part of a database, or one that nobody verified.
    #[error("an import into it has not finished")]
    ImportPending,
    /// It belongs to another program, which would not know it again after this one.
    #[error(
        "it is a database of HeliosDB {}, and this is HeliosDB {} (SQLSTATE {})",
        title(database),
        title(program),
        state::OBJECT_NOT_IN_PREREQUISITE_STATE.as_str()
    )]
    Edition { database: String, program: String },
    /// An option that the edition does not have.
    #[error("[background] cpu_governor = \"off\" is an option of HeliosDB Full")]
    GovernorOff,
    /// A small file of the server's in the directory, which cannot be used.
    #[error(transparent)]
    StateFile(#[from] StateFileError),
    #[error("plugin \"{0}\" keeps nothing in it")]
    NoStores(String),
    #[error(transparent)]
    Migration(Box<MigrationError>),
    #[error(transparent)]
    Directory(#[from] std::io::Error),
    #[error(transparent)]
    Storage(#[from] heliosdb_storage::Error),
    /// The settings under `[plugins]`, or a plugin that the operator forces and that cannot start.
    #[error(transparent)]
    Plugins(#[from] heliosdb_plugin_host::boot::BootError),
    /// Whoever linked the program linked a plugin that is none.
    #[error("{0}")]
    Bundle(String),
    #[error("{}", .0.message)]
    Sql(SqlError),
}

impl Error {
    /// Whether another process has the database open.
    pub fn is_in_use(&self) -> bool {
        matches!(
            self,
            Error::Storage(heliosdb_storage::Error::DirectoryLocked)
        )
    }

    /// PostgreSQL's code, of what has one.
    pub fn sqlstate(&self) -> Option<SqlState> {
        match self {
            Error::Edition { .. } => Some(state::OBJECT_NOT_IN_PREREQUISITE_STATE),
            Error::Sql(error) => Some(error.code),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Edition { database, program } => {
                Some(match (database.as_str(), program.as_str()) {
                    (LITE, "full") => {
                        "Export it with \"heliosdb-lite export\", and make a database of the dump with \
                     \"heliosdb-full import\". Nothing was changed."
                    }
                    ("full", _) => "Open it with heliosdb-full. Nothing was changed.",
                    (LITE, _) => "Open it with heliosdb-lite. Nothing was changed.",
                    _ => "Open it with the program that made it. Nothing was changed.",
                })
            }
            Error::GovernorOff => Some(
                "HeliosDB Lite always holds background work to its CPU budget; raise \
                 max_cpu_background instead.",
            ),
            Error::ImportPending => Some(
                "Run the import again: it removes what is there and starts over. To give it up, \
                 remove the directory.",
            ),
            Error::Migration(error) => error.hint(),
            _ => None,
        }
    }
}

impl From<MigrationError> for Error {
    fn from(error: MigrationError) -> Error {
        Error::Migration(Box::new(error))
    }
}

impl From<SqlError> for Error {
    fn from(error: SqlError) -> Error {
        Error::Sql(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot open database \"{}\": {}",
            self.directory.display(),
            self.error
        )?;
        // Whoever finds a half database should not have to look the way out up.
        match (&self.error, self.error.hint()) {
            (Error::ImportPending, Some(hint)) => write!(f, ". {hint}"),
            (_, Some(hint)) => write!(f, "\nHINT:  {hint}"),
            (_, None) => Ok(()),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
