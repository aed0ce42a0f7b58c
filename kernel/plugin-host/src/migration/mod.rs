//! The migration engine: brings a plugin's stores from the version they are in to the version the
//! plugin's code wants.
//!
//! The life of a migration:
//!
//! 1. [`preflight`] compares what is stored with what is wanted and makes a [`Plan`], or refuses.
//!    Nothing is written.
//! 2. [`run`] locks the stores against writers. Nothing that a reader sees changes until 6.
//! 3. Each step n → n+1 of a store reads its entries in batches and writes what it makes of them to
//!    a shadow collection. A batch, and the row of the journal that says how far the step is, are one
//!    transaction: a run that stops goes on after the last batch.
//! 4. When a store has several steps, each reads the shadow of the one before.
//! 5. Everything that was read and written is read again: the number of entries and their digest must
//!    be what the batches counted, and each entry must hold the step's invariants.
//! 6. One commit makes the last shadow of every store the live one, keeps what was live as retired,
//!    and marks the journal's rows as published.
//! 7. [`finalize`] removes what is retired; until then [`rollback`] makes it live again.
//!
//! Invariants, which `testing/migration` holds at every I/O call:
//!
//! 1. Before the commit of 6 every store of the plugin reads as before the migration; after it, as
//!    after a migration that nothing disturbed.
//! 2. A step that fails, panics, or breaks a promise leaves the old state live, and in the journal a
//!    `failed` row with the reason. Its shadows are removed, so that the next run starts afresh.
//! 3. A failure that is not the step's (the disk, a cancel, a crash) leaves the shadows for the next
//!    run, which goes on where they end, if the plan is the same and the old state is unchanged.
//! 4. Nobody writes to a store between the first entry read and the commit of 6. A write that went
//!    around the locks changes the digest of the input, and the migration fails.
//! 5. After [`finalize`] a store has one collection, unless an interrupted migration waits for the
//!    next run.
//! 6. [`dry_run`] does 2 to 5 and removes what it wrote; it leaves no row behind, nor does it touch
//!    what an interrupted run left.
//!
//! Memory is bounded by a batch of input and what the step makes of it. The engine knows nothing of
//! how a step is called: an adapter makes a [`Step`] of whatever the plugin registered.

use std::sync::Arc;

pub use heliosdb_plugin_api::Error as PluginError;
pub use heliosdb_plugin_api::migration::Entry;
use heliosdb_storage::{Interrupt, LockWait};

mod batch;
mod digest;
mod error;
mod finalize;
mod forecast;
mod journal;
mod leg;
mod preflight;
mod report;
mod rollback;
mod run;

pub use crate::digest::Digest;
pub use digest::Tally;
pub use error::MigrationError;
pub(crate) use error::show_key;
pub use finalize::{Finalized, finalize};
pub use forecast::{Change, Forecast, Incoming, forecast};
pub use journal::{MIGRATIONS, MigrationRow, MigrationState, check_entry, migrations};
pub use preflight::{Action, Leg, Plan, Source, StorePlan, preflight};
pub use report::{LegReport, Outcome, Report, StoreReport};
pub use rollback::{RolledBack, rollback};
pub use run::{dry_run, run};

/// What functions of this module return.
pub type Result<T, E = MigrationError> = std::result::Result<T, E>;

/// A step of a store from one version to the next.
pub trait Step: Send + Sync {
    fn store(&self) -> &str;
    /// The version it reads; it makes the next one.
    fn from(&self) -> u32;
    /// Fixed for ever once the step was published: a database remembers which steps it ran.
    fn checksum(&self) -> &str;
    /// Make entries of the next version of `entries`, which come in key order, at least one at a
    /// time. Pure and deterministic. Where a batch ends is arbitrary, so each entry's outcome must
    /// not depend on its neighbours. The result may have any length and order; a key may appear
    /// once in the whole store.
    fn migrate(&self, entries: Vec<Entry>) -> Result<Vec<Entry>, PluginError>;
    /// Check what holds for each entry of the next version.
    fn check(&self, entry: &Entry) -> Result<(), PluginError>;
}

/// An edge along which a plugin takes over the content of another plugin's store: when it has no
/// store `into`, and the other has `store` in this version, `step` makes entries of `into` in version
/// `to` of them, and the plugin's own steps go on from there. The other plugin's store stays as it is.
#[derive(Clone)]
pub struct Adopt {
    pub plugin: String,
    pub store: String,
    pub version: u32,
    pub into: String,
    pub to: u32,
    /// Its `store` and `from` are not looked at.
    pub step: Arc<dyn Step>,
}

/// What a plugin's code wants its stores to be, and how it gets them there.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub plugin: &'a str,
    pub plugin_version: &'a str,
    /// Each store with its version.
    pub stores: &'a [(String, u32)],
    pub steps: &'a [Arc<dyn Step>],
    pub adopts: &'a [Adopt],
}

/// How a migration runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Entries of a batch, at most.
    pub batch_entries_max: usize,
    /// A batch ends with the entry that brings its keys and values to this size.
    pub batch_bytes: usize,
    /// How long to wait for transactions that write to a store.
    pub lock_wait: LockWait,
    /// Cancels the run between two batches.
    pub interrupt: Arc<Interrupt>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            batch_entries_max: 4096,
            batch_bytes: 1 << 20,
            lock_wait: LockWait::Timeout(10_000_000),
            interrupt: Interrupt::new(),
        }
    }
}

#[cfg(test)]
mod tests;
