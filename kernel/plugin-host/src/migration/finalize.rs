//! Finalizing, and the removal of what is nobody's.

use std::fmt;

use heliosdb_storage::{Durability, Engine, Isolation};

use super::journal::{self, MigrationState};
use super::run::lock_plugin;
use super::{Result, Settings, batch};
use crate::store::{self, StoreInfo, StoreState};

/// What [`finalize`] removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finalized {
    pub plugin: String,
    /// The retired state of each store, oldest first.
    pub stores: Vec<StoreInfo>,
    /// Entries removed, leftovers of earlier runs included.
    pub entries: u64,
}

impl fmt::Display for Finalized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "plugin {}: {} entries removed",
            self.plugin, self.entries
        )?;
        for store in &self.stores {
            write!(f, "\n  store {}: version {}", store.name, store.version)?;
        }
        Ok(())
    }
}

/// Remove what a plugin's migrations retired. One commit gives it up and marks the journal's rows;
/// the entries go after that, in transactions of their own. Stopped in between, it can be called
/// again. AS OF an earlier time the old state stays readable.
pub fn finalize(engine: &Engine, plugin: &str, settings: &Settings) -> Result<Finalized> {
    let _turn = lock_plugin(engine, plugin, settings)?;
    let mut tx = engine.begin(Isolation::ReadCommitted, settings.interrupt.clone());
    let view = tx.latest_view();
    let mut retired = store::stores_of(&view, plugin)?;
    retired.retain(|info| info.state == StoreState::Retired);
    for info in &retired {
        store::set_state(&mut tx, info, StoreState::Discarded)?;
    }
    for (id, mut row) in journal::rows_of(&view, plugin)? {
        if row.state == MigrationState::Published {
            row.state = MigrationState::Finalized;
            journal::write(&mut tx, &id, &row)?;
        }
    }
    tx.commit(Durability::Synchronous)?;
    Ok(Finalized {
        plugin: plugin.to_owned(),
        entries: sweep(engine, plugin, settings)?,
        stores: retired,
    })
}

/// Remove the discarded collections of a plugin; how many entries they had. The caller holds the
/// plugin's lock.
pub(super) fn sweep(engine: &Engine, plugin: &str, settings: &Settings) -> Result<u64> {
    let mut entries = 0;
    for info in store::stores_of(&engine.latest_view(), plugin)? {
        if info.state != StoreState::Discarded {
            continue;
        }
        entries += batch::empty(engine, info.collection, settings)?;
        let mut tx = engine.begin(Isolation::ReadCommitted, settings.interrupt.clone());
        store::forget(&mut tx, &info)?;
        tx.commit(Durability::Synchronous)?;
    }
    Ok(entries)
}
