//! Why a database did not open.

use std::fmt;
use std::path::PathBuf;

use heliosdb_plugin_host::migration::MigrationError;
use heliosdb_sql::SqlError;

/// A failure to open, with the directory it concerns: one line, fit for a terminal.
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
        )
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
