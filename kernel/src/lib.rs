//! The kernel's front door: open a database, run SQL, serve it.
//!
//! # Boot order
//!
//! 1. *Directory*: made if it does not exist (mode 0700) and locked for this process.
//! 2. *Storage*: the manifest and the log are read; what was committed is in place, what was not is
//!    gone. Damage and foreign formats are refused here, by name.
//! 3. *Edition*: a database of another edition than the program's is refused, before anything is
//!    written to it; a new one becomes the program's.
//! 4. *Plugins*: those that are linked and those in the plugin directory are checked, their stores
//!    migrated, and started. One that cannot start is left out, or stops the boot if it is forced.
//! 5. *SQL*: the catalog is read; a new database gets its first role and schema; extensions that
//!    start here for the first time are installed.
//! 6. *Server*, if asked for: every address is bound before the first client is answered.
//!
//! Every call blocks; an async program calls from `spawn_blocking` or a thread of its own.
//!
//! Shutting down goes the other way: [`Server::shutdown`], then [`Database::close`].
//!
//! # Moving
//!
//! [`Database::export`] writes everything into one file while others work; [`dump::import()`] makes a
//! database of it in a directory of its own, or changes nothing; [`dump::verify()`] compares the two.
//! A directory that an import has not finished does not open.
//!
//! # Backups
//!
//! [`Database::backup`] makes one while others work, [`backup::Restore`] a database of it, with the archive
//! of the log as of any time since.
//!
//! # Use
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//! let db = heliosdb_kernel::Database::open(directory)?;
//! db.execute("CREATE TABLE city (name text PRIMARY KEY, people bigint)")?;
//! db.transaction(|tx| {
//!     tx.execute_params("INSERT INTO city VALUES ($1, $2)", &[&"Oslo", &717_710i64])?;
//!     tx.execute_params("INSERT INTO city VALUES ($1, $2)", &[&"Atlantis", &None::<i64>])
//! })?;
//! for row in &db.query("SELECT name, people FROM city ORDER BY name", &[])? {
//!     let name: &str = row.get("name")?;
//!     let people: Option<i64> = row.get(1)?;
//!     println!("{name}: {people:?}");
//! }
//! let batches = db.query("SELECT sum(people) FROM city", &[])?.to_batches();
//! assert_eq!(batches[0].num_rows(), 1);
//! db.close()?;
//! # Ok(())
//! # }
//! ```

pub mod backup;
pub mod check;
pub mod config;
mod database;
pub mod dump;
#[doc(hidden)]
pub mod edition;
mod error;
mod hba;
mod params;
pub mod plugins;
mod rows;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use database::{Connection, Database, FIRST_NAME, Transaction};
pub use error::{Error, OpenError};
pub use params::ToSql;
pub use rows::{Cell, ColumnRef, FromSql, Row, RowIter, Rows};

#[doc(hidden)]
pub use inventory;

pub use heliosdb_plugin_host::{RootRef, linked};
pub use heliosdb_server::{
    Address, AuthMethod, ConnectionType, HbaMethod, HbaRule, Server, ServerConfig, Signals,
    StartError, TlsError, TlsOptions,
};
pub use heliosdb_sql::{
    CancelHandle, Notification, Prepared, ResultColumn, Session, SqlError, SqlState,
};
