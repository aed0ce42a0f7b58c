//! The plugins of a database: which are linked, what they may claim, how much memory they may hold;
//! and what an operator does with their state while no server runs ([`dry_run`], [`finalize`],
//! [`rollback`]).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use heliosdb_plugin_host::boot::BootPlan;
use heliosdb_plugin_host::host::{self, manifests};
pub use heliosdb_plugin_host::migration::{Finalized, Report, RolledBack};
use heliosdb_plugin_host::service::MemoryLimit;
use heliosdb_plugin_host::{PluginHost, RootRef, decoders, migration, store};
use heliosdb_storage::Engine;
use heliosdb_storage::codec::CodecSet;
use heliosdb_storage::io::Io;
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::memory::{MemoryBudget, Part};
use parking_lot::Mutex;

use crate::config::Config;
use crate::dump::marker;
use crate::error::{Error, OpenError};

/// What is to start, of the plugins that are linked and those in the plugin directory.
pub(crate) fn plan(
    io: Arc<dyn Io>,
    data: &Path,
    config: &Config,
    linked: &[RootRef],
) -> Result<BootPlan, Error> {
    let bundled = manifests(linked).map_err(Error::Bundle)?;
    Ok(BootPlan::make(
        io,
        data,
        &config.plugins,
        bundled,
        &heliosdb_sql::is_builtin,
    )?)
}

/// The same of a database that is in no directory: those that are linked.
pub(crate) fn plan_linked(
    io: Arc<dyn Io>,
    config: &Config,
    linked: &[RootRef],
) -> Result<BootPlan, Error> {
    let bundled = manifests(linked).map_err(Error::Bundle)?;
    let is_builtin = &heliosdb_sql::is_builtin;
    Ok(BootPlan::without_files(
        io,
        &config.plugins,
        bundled,
        is_builtin,
    )?)
}

/// Migrates and starts them.
pub(crate) fn boot(
    plan: BootPlan,
    config: &Config,
    linked: &[RootRef],
    engine: &Engine,
) -> Result<Arc<PluginHost>, Error> {
    let memory: Arc<dyn MemoryLimit> = Arc::new(Shared::new(Arc::clone(engine.memory())));
    let timeout = config.plugins.start_timeout;
    Ok(PluginHost::boot(plan, linked, engine, timeout, &memory)?)
}

/// Those of the plan's plugins that have one of the codecs `names`, started to decode and for nothing
/// else.
pub(crate) fn decoders(
    plan: &BootPlan,
    config: &Config,
    linked: &[RootRef],
    names: &[Arc<str>],
) -> Arc<dyn CodecSet> {
    // No engine is open.
    let memory = MemoryBudget::new(config.storage_options().memory_bytes_max);
    let memory: Arc<dyn MemoryLimit> = Arc::new(Shared::new(memory));
    let timeout = config.plugins.start_timeout;
    Arc::new(decoders::decoders(plan, linked, names, timeout, &memory))
}

/// What a plugin would do to its stores at the next start, or why it could not start.
pub type DryRun = (String, Result<Report, String>);

/// Runs the migrations that the next start would run, verifies them, and keeps nothing. `edition` is
/// what the program is.
///
/// # Errors
///
/// The database cannot be opened, for example because a server runs on it.
pub fn dry_run(
    directory: &Path,
    config: &Config,
    linked: &[RootRef],
    edition: &str,
) -> Result<Vec<DryRun>, OpenError> {
    offline(directory, |disk| {
        let engine = marker::open_engine(disk.clone(), config, edition)?;
        let plan = plan(disk, directory, config, linked)?;
        let reports = host::dry_run(&plan, linked, &engine);
        engine.close()?;
        Ok(reports)
    })
}

/// Removes the state that the migrations of a plugin left behind for going back.
///
/// # Errors
///
/// As [`dry_run`]; or the plugin has no stores here.
pub fn finalize(
    directory: &Path,
    config: &Config,
    edition: &str,
    plugin: &str,
) -> Result<Finalized, OpenError> {
    offline(directory, |disk| {
        let engine = marker::open_engine(disk, config, edition)?;
        if store::stores_of(&engine.latest_view(), plugin)?.is_empty() {
            return Err(Error::NoStores(plugin.to_owned()));
        }
        let finalized = migration::finalize(&engine, plugin, &migration::Settings::default())?;
        engine.close()?;
        Ok(finalized)
    })
}

/// Goes back to the state before the last migration of a plugin, while it is kept. What the plugin
/// wrote since is given up.
///
/// # Errors
///
/// As [`dry_run`]; or nothing is kept.
pub fn rollback(
    directory: &Path,
    config: &Config,
    edition: &str,
    plugin: &str,
) -> Result<RolledBack, OpenError> {
    offline(directory, |disk| {
        let engine = marker::open_engine(disk, config, edition)?;
        let back = migration::rollback(&engine, plugin, &migration::Settings::default())?;
        engine.close()?;
        Ok(back)
    })
}

fn offline<T>(
    directory: &Path,
    work: impl FnOnce(Arc<dyn Io>) -> Result<T, Error>,
) -> Result<T, OpenError> {
    let open = || {
        if !directory.is_dir() {
            return Err(Error::NoDirectory);
        }
        work(Arc::new(Disk::open(directory)?))
    };
    open().map_err(|error| OpenError {
        directory: directory.to_path_buf(),
        error,
    })
}

/// The part of the budget of memory that all plugins share.
struct Shared {
    memory: Arc<MemoryBudget>,
    /// What each of them has, so that none gives back more.
    held: Mutex<HashMap<String, usize>>,
}

impl Shared {
    fn new(memory: Arc<MemoryBudget>) -> Shared {
        let held = Mutex::default();
        Shared { memory, held }
    }
}

impl MemoryLimit for Shared {
    fn reserve(&self, plugin: &str, bytes: u64) -> bool {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        match self.memory.try_grow(Part::Plugins, bytes) {
            Ok(()) => {
                *self.held.lock().entry(plugin.to_owned()).or_default() += bytes;
                true
            }
            Err(error) => {
                tracing::warn!(plugin, bytes, "[memory] budget: {error}");
                false
            }
        }
    }

    fn release(&self, plugin: &str, bytes: u64) {
        let mut plugins = self.held.lock();
        let held = plugins.entry(plugin.to_owned()).or_default();
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let given = bytes.min(*held);
        if given < bytes {
            tracing::warn!(
                plugin,
                bytes,
                held = given,
                "released more memory than it has"
            );
        }
        *held -= given;
        self.memory.shrink(Part::Plugins, given);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_share_one_limit() {
        let budget = MemoryBudget::new(400 << 10);
        let memory = Shared::new(Arc::clone(&budget));
        assert!(memory.reserve("a", 60 << 10));
        assert!(!memory.reserve("b", 41 << 10));
        assert!(memory.reserve("b", 40 << 10));
        memory.release("a", 60 << 10);
        assert!(memory.reserve("b", 60 << 10));
        assert!(!memory.reserve("b", u64::MAX));
        assert_eq!(budget.held(Part::Plugins), 100 << 10);
        // Nobody gives back what is another's.
        memory.release("a", 1);
        memory.release("b", u64::MAX);
        memory.release("b", 1);
        assert_eq!(budget.held(Part::Plugins), 0);
    }
}
