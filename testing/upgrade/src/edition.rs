//! How databases of both editions are opened here.

use std::path::Path;

use heliosdb_kernel::config::ByteSize;
use heliosdb_kernel::{Config, Connection, Database, RootRef};

use crate::{Result, text};

/// Small files: a run makes many databases.
pub const SETTINGS: &str = "[storage]\nwal_segment_size = \"256kB\"\n";

/// What this program links the plugins of both of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    Lite,
    Full,
}

impl Edition {
    pub fn name(self) -> &'static str {
        match self {
            Edition::Lite => "lite",
            Edition::Full => "full",
        }
    }

    /// # Errors
    ///
    /// A plugin of its bundle is not linked.
    pub fn plugins(self) -> Result<Vec<RootRef>> {
        match self {
            Edition::Lite => heliosdb_lite::bundle::plugins(),
            Edition::Full => heliosdb_full::bundle::plugins(),
        }
    }

    /// Opens a directory as the edition does.
    ///
    /// # Errors
    ///
    /// It does not open, or a plugin does not start on it.
    pub fn open(self, directory: &Path) -> Result<Connection> {
        let mut config = Config::default();
        config.storage.wal_segment_size = Some(ByteSize(256 << 10));
        let plugins = self.plugins()?;
        let database = Database::open_edition(directory, &config, &plugins, self.name());
        let database = database.map_err(text)?;
        match database.plugin_failures().as_slice() {
            [] => database.connect().map_err(text),
            failures => Err(format!("plugins failed: {failures:?}")),
        }
    }
}

/// Closes the database of a connection.
///
/// # Errors
///
/// It cannot write what is in memory.
pub fn close(connection: Connection) -> Result<()> {
    let database = connection.database().clone();
    drop(connection);
    database.close().map_err(text)
}
