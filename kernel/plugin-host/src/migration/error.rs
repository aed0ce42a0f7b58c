//! Why a migration is refused, fails, or has to wait.
//!
//! Three kinds, told apart by [`MigrationError::is_final`]: the plugin's code or the stored state has
//! to change first; a step broke its promise; or something outside of both was in the way, and the
//! same run may succeed later.

use heliosdb_storage::Error;

use super::{PluginError, Tally};

/// See the module's header. Stores are named `plugin.store`.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MigrationError {
    #[error(transparent)]
    Storage(#[from] Error),
    #[error(
        "store {store} is at version {found}, and plugin version {plugin_version} knows only up to \
         version {supported}"
    )]
    NewerThanCode {
        store: String,
        found: u32,
        supported: u32,
        plugin_version: String,
    },
    #[error("store {store} is at version {found}, and the step from version {from} is missing")]
    MissingStep {
        store: String,
        found: u32,
        from: u32,
    },
    #[error("store {store} has two steps from version {from}")]
    DuplicateStep { store: String, from: u32 },
    #[error(
        "the step of store {store} from version {from} has checksum \"{declared}\", but ran here \
         with \"{ran}\""
    )]
    ChecksumChanged {
        store: String,
        from: u32,
        ran: String,
        declared: String,
    },
    #[error("store {into} adopts {source_store} at version {wanted}, which is at version {found}")]
    AdoptVersion {
        into: String,
        source_store: String,
        wanted: u32,
        found: u32,
    },
    #[error("store {into} could adopt both {first} and {second}")]
    AdoptTwice {
        into: String,
        first: String,
        second: String,
    },
    #[error("nothing is kept of plugin {plugin} from before a migration")]
    NothingKept { plugin: String },
    #[error("{what} is in use: {source}")]
    Busy { what: String, source: Error },
    #[error("{what} has changed since the migration was planned")]
    Stale { what: String },
    #[error("the step of store {store} from version {from} failed: {reason}")]
    Step {
        store: String,
        from: u32,
        reason: Box<PluginError>,
    },
    #[error("the step of store {store} from version {from} panicked: {reason}")]
    Panicked {
        store: String,
        from: u32,
        reason: String,
    },
    #[error("the step of store {store} from version {from} makes the key {key} twice")]
    DuplicateKey {
        store: String,
        from: u32,
        key: String,
    },
    #[error("entry {key} of store {store} is not one of version {version}: {reason}")]
    Invariant {
        store: String,
        version: u32,
        key: String,
        reason: Box<PluginError>,
    },
    #[error(
        "what was read of store {store} at version {version} has changed: {expected} became {found}"
    )]
    InputChanged {
        store: String,
        version: u32,
        expected: Tally,
        found: Tally,
    },
    #[error(
        "what was written of store {store} at version {version} is not there: {expected} became {found}"
    )]
    OutputChanged {
        store: String,
        version: u32,
        expected: Tally,
        found: Tally,
    },
}

impl MigrationError {
    /// Whether the same run would end the same way, so that its work is given up and the journal says
    /// why.
    pub(crate) fn is_final(&self) -> bool {
        use MigrationError::*;
        matches!(
            self,
            Step { .. }
                | Panicked { .. }
                | DuplicateKey { .. }
                | Invariant { .. }
                | InputChanged { .. }
                | OutputChanged { .. }
        )
    }

    /// PostgreSQL's code for it, where it is not the storage engine's own.
    pub fn sqlstate(&self) -> Option<&'static str> {
        use MigrationError::*;
        Some(match self {
            Storage(_) => return None,
            NewerThanCode { .. } | MissingStep { .. } | AdoptVersion { .. } => "55000",
            NothingKept { .. } => "55000",
            ChecksumChanged { .. } | DuplicateStep { .. } | AdoptTwice { .. } => "55000",
            Busy { .. } => "55P03",
            Stale { .. } => "40001",
            Step { .. } | Panicked { .. } => "38000",
            DuplicateKey { .. } | Invariant { .. } => "39000",
            InputChanged { .. } | OutputChanged { .. } => "XX001",
        })
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        use MigrationError::*;
        Some(match self {
            NewerThanCode { .. } => {
                "Install the plugin version that wrote the store, or a newer one; or go back with \
                 heliosdb-lite plugin rollback."
            }
            MissingStep { .. } => {
                "Install a plugin version that has the step, start once with it, then upgrade further."
            }
            ChecksumChanged { .. } => {
                "A step that was published may not change; a correction is a new step."
            }
            AdoptVersion { .. } => "Bring the other plugin's store to that version first.",
            AdoptTwice { .. } => "Only one of the two stores may be there.",
            Busy { .. } => "Try again when the transactions that write to it have ended.",
            Stale { .. } => "Plan the migration again.",
            Step { .. } | Panicked { .. } | DuplicateKey { .. } | Invariant { .. } => {
                "The old state is live and unchanged. Start again with a corrected plugin."
            }
            InputChanged { .. } | OutputChanged { .. } => {
                "The old state is live. Something wrote to the store without its lock, or storage \
                 is damaged."
            }
            NothingKept { .. } => "There was no migration, or it was finalized.",
            Storage(_) | DuplicateStep { .. } => return None,
        })
    }
}

/// `plugin.store`.
pub(crate) fn store_name(plugin: &str, store: &str) -> String {
    format!("{plugin}.{store}")
}

/// A key as a person can read it, cut when long.
pub(crate) fn show_key(key: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 64;
    let shown = &key[..key.len().min(SHOWN_BYTES_MAX)];
    let more = if key.len() > shown.len() { "…" } else { "" };
    format!("\"{}\"{more}", shown.escape_ascii())
}
