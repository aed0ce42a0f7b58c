//! Going back to the state before the last migration, while it is kept.

use std::fmt;

use heliosdb_storage::{Durability, Engine, Isolation, TableLockMode};

use super::finalize::sweep;
use super::journal::{self, MigrationState};
use super::run::lock_plugin;
use super::{MigrationError, Result, Settings};
use crate::store::{self, StoreInfo, StoreState};

/// What [`rollback`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledBack {
    pub plugin: String,
    /// Each store as it was, and as it is again.
    pub stores: Vec<(StoreInfo, StoreInfo)>,
    /// Entries of the newer state, which are gone.
    pub entries: u64,
}

impl fmt::Display for RolledBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RolledBack {
            plugin, entries, ..
        } = self;
        write!(
            f,
            "plugin {plugin}: {entries} entries of newer state removed"
        )?;
        for (was, is) in &self.stores {
            write!(
                f,
                "\n  store {}: version {} again, after {}",
                is.name, is.version, was.version
            )?;
        }
        Ok(())
    }
}

/// Makes the state that the last migration of each store retired the live one. What was written
/// since is given up: nothing leads entries of a newer version back. The newer code migrates again
/// when it starts.
///
/// # Errors
///
/// [`MigrationError::NothingKept`] when no store has retired state.
pub fn rollback(engine: &Engine, plugin: &str, settings: &Settings) -> Result<RolledBack> {
    let _turn = lock_plugin(engine, plugin, settings)?;
    let mut tx = engine.begin(Isolation::ReadCommitted, settings.interrupt.clone());
    let view = tx.latest_view();
    let all = store::stores_of(&view, plugin)?;
    let in_state = |name: &str, state: StoreState| {
        let matching = all.iter().filter(|s| s.name == name && s.state == state);
        matching.max_by_key(|s| s.version).cloned()
    };
    let mut stores = Vec::new();
    for live in all.iter().filter(|s| s.state == StoreState::Live) {
        let Some(kept) = in_state(&live.name, StoreState::Retired) else {
            continue;
        };
        // Nobody writes to what is given up.
        tx.lock_table(
            live.collection,
            TableLockMode::AccessExclusive,
            settings.lock_wait,
        )?;
        store::set_state(&mut tx, live, StoreState::Discarded)?;
        store::set_state(&mut tx, &kept, StoreState::Live)?;
        for (id, mut row) in journal::rows_of(&view, plugin)? {
            let undone = row.state == MigrationState::Published && row.to_version > kept.version;
            if id.store == live.name && undone {
                row.state = MigrationState::Failed;
                row.reason = Some("rolled back".to_owned());
                journal::write(&mut tx, &id, &row)?;
            }
        }
        stores.push((live.clone(), kept));
    }
    if stores.is_empty() {
        return Err(MigrationError::NothingKept {
            plugin: plugin.to_owned(),
        });
    }
    tx.commit(Durability::Synchronous)?;
    Ok(RolledBack {
        plugin: plugin.to_owned(),
        entries: sweep(engine, plugin, settings)?,
        stores,
    })
}
