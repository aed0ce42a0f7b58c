//! The plan of a boot: what starts, in which order, with which settings, before any of it is loaded.
//!
//! 1. *Discovered*: the plugins linked into the server, and the files of the plugin directory.
//! 2. *Verified*: each file is whole, for this machine, of this ABI, built to unwind, and the same as
//!    when it was first loaded (`plugins.lock`), and did not end the server twice (`plugins.starting`).
//! 3. *Resolved*: requirements, conflicts, names.
//! 4. *Configured*: settings typed and checked.
//!
//! A plan changes nothing; [`BootPlan::commit`] writes what must be durable before the first file is
//! loaded. What stops a boot is a mistake in the settings or a plugin with `activation = "force"`
//! that cannot start. Anything else leaves that plugin out and says why.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use heliosdb_plugin_api::manifest::{Manifest, Settings};
use heliosdb_storage::io::Io;

use crate::boot_guard::BootGuard;
use crate::config::{Activation, ConfigError, KnownPlugins, PluginsConfig};
use crate::file::{self, FileError, PluginFile};
use crate::lifecycle::{State, Verdict, without};
use crate::lockfile::PluginLock;
use crate::resolve::{Candidate, IsBuiltin, Origin, Outcome, resolve};
use crate::state_file::StateFileError;

/// Why the server does not start because of plugins: one line.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A plugin with `activation = "force"` cannot start.
    #[error("{0}")]
    Forced(String),
    #[error(transparent)]
    State(#[from] StateFileError),
}

/// One plugin that was found.
#[derive(Clone, Debug)]
pub struct Planned {
    pub manifest: Manifest,
    pub origin: Origin,
    /// Of a plugin that is a file.
    pub file: Option<PluginFile>,
    pub activation: Activation,
    /// Why nothing of its file may run, not even what reads old data: it is not the file that was
    /// first loaded, or it ended the server.
    pub distrust: Option<String>,
    /// Empty for one that cannot start.
    pub settings: Settings,
    pub outcome: Outcome,
}

/// What is to be done at boot.
pub struct BootPlan {
    /// Those that start, in that order, then the others.
    pub plugins: Vec<Planned>,
    /// Files that are refused, some without telling whose they are.
    pub unreadable: Vec<FileError>,
    /// Plugins that this database has loaded from a file and that are not here now.
    pub missing: Vec<String>,
    /// What the plan was made with.
    pub config: PluginsConfig,
    lock: PluginLock,
    guard: BootGuard,
    io: Arc<dyn Io>,
}

/// What may be known of the plugins of a directory before anything is written to it.
#[derive(Debug)]
pub struct Survey {
    /// Those that start, in that order, then the others.
    pub plugins: Vec<Planned>,
    /// Files that are refused, some without telling whose they are.
    pub unreadable: Vec<FileError>,
    /// Remembered ids of plugins that are not here now.
    missing: Vec<String>,
}

impl Survey {
    /// What a [`BootPlan`] would be in a database that has never loaded a plugin.
    pub fn new_database(
        data: &Path,
        config: &PluginsConfig,
        bundled: Vec<Manifest>,
        is_builtin: IsBuiltin<'_>,
    ) -> Result<Survey, BootError> {
        let files = discover(data, config)?;
        Survey::make(files, config, bundled, is_builtin, &[], |_| None)
    }

    /// `remembered` plugins ran here before; `refusal` is what speaks against a file besides itself.
    fn make(
        files: Vec<Result<PluginFile, FileError>>,
        config: &PluginsConfig,
        bundled: Vec<Manifest>,
        is_builtin: IsBuiltin<'_>,
        remembered: &[&str],
        refusal: impl Fn(&PluginFile) -> Option<(State, String)>,
    ) -> Result<Survey, BootError> {
        let mut unreadable = Vec::new();
        let mut found: Vec<(Manifest, Option<PluginFile>)> = bundled
            .into_iter()
            .map(|manifest| (manifest, None))
            .collect();
        for file in files {
            match file {
                Ok(file) => found.push((file.manifest.clone(), Some(file))),
                Err(error) => unreadable.push(error),
            }
        }
        let ids: BTreeSet<&str> = found.iter().map(|f| f.0.id.as_str()).collect();
        config.check_names(&KnownPlugins {
            found: ids
                .iter()
                .copied()
                .chain(unreadable.iter().filter_map(claimed_id))
                .collect(),
            remembered: remembered.iter().copied().collect(),
            unreadable_files: unreadable.iter().any(|error| error.id.is_none()),
        })?;
        let absent = |id: &str| !ids.contains(id);
        refuse_forced_and_absent(config, absent, &unreadable)?;
        let refused = |id: &str| unreadable.iter().any(|error| claimed_id(error) == Some(id));
        let missing = remembered.iter().filter(|id| absent(id) && !refused(id));
        let missing = missing.map(|id| (*id).to_owned()).collect();

        let candidates: Vec<Candidate<'_>> = found
            .iter()
            .map(|(manifest, file)| Candidate {
                manifest,
                origin: match file {
                    Some(file) => Origin::File(file.path.clone()),
                    None => Origin::Bundled,
                },
                activation: config.activation(&manifest.id),
                refused: file.as_ref().and_then(&refusal),
            })
            .collect();
        let resolution = resolve(&candidates, is_builtin);
        let details = candidates
            .into_iter()
            .map(|c| (c.origin, c.activation, c.refused));
        let details: Vec<_> = details.collect();
        let outcomes = resolution.outcomes.into_iter();
        let starting: BTreeSet<String> = resolution
            .order
            .iter()
            .map(|i| found[*i].0.id.clone())
            .collect();
        let mut plugins = Vec::with_capacity(found.len());
        for (((manifest, file), (origin, activation, refused)), outcome) in
            found.into_iter().zip(details).zip(outcomes)
        {
            // Of two with one id, one may start; then the plugin that is forced is there.
            if let Outcome::Not(state, reason) = &outcome
                && !starting.contains(&manifest.id)
                && let Verdict::StopBoot(why) =
                    without(&manifest.id, activation, *state, reason.clone())
            {
                return Err(BootError::Forced(why));
            }
            let settings = match &outcome {
                Outcome::Start | Outcome::Not(State::Disabled, _) => config.settings(&manifest)?,
                Outcome::Not(..) => Settings::default(),
            };
            plugins.push(Some(Planned {
                settings,
                manifest,
                origin,
                file,
                activation,
                distrust: refused.map(|(_, reason)| reason),
                outcome,
            }));
        }
        let mut ordered: Vec<Planned> = Vec::with_capacity(plugins.len());
        ordered.extend(resolution.order.iter().filter_map(|i| plugins[*i].take()));
        ordered.extend(plugins.into_iter().flatten());
        Ok(Survey {
            plugins: ordered,
            unreadable,
            missing,
        })
    }
}

impl BootPlan {
    /// `data` is the data directory, which `io` reads and writes.
    pub fn make(
        io: Arc<dyn Io>,
        data: &Path,
        config: &PluginsConfig,
        bundled: Vec<Manifest>,
        is_builtin: IsBuiltin<'_>,
    ) -> Result<BootPlan, BootError> {
        BootPlan::of_files(io, discover(data, config)?, config, bundled, is_builtin)
    }

    /// The same for a database that is in no directory: it has no plugin files, and settings that name a place for
    /// them are refused.
    pub fn without_files(
        io: Arc<dyn Io>,
        config: &PluginsConfig,
        bundled: Vec<Manifest>,
        is_builtin: IsBuiltin<'_>,
    ) -> Result<BootPlan, BootError> {
        if config.directory.is_some() {
            let why = "the database is in no directory, and has no plugin files";
            return Err(config.directory_error(why).into());
        }
        BootPlan::of_files(io, Vec::new(), config, bundled, is_builtin)
    }

    fn of_files(
        io: Arc<dyn Io>,
        files: Vec<Result<PluginFile, FileError>>,
        config: &PluginsConfig,
        bundled: Vec<Manifest>,
        is_builtin: IsBuiltin<'_>,
    ) -> Result<BootPlan, BootError> {
        let lock = PluginLock::read(&io)?;
        let guard = BootGuard::read(io.clone())?;
        let remembered: Vec<&str> = lock.ids().collect();
        let refusal = |file: &PluginFile| refusal(file, &lock, &guard);
        let survey = Survey::make(files, config, bundled, is_builtin, &remembered, refusal)?;
        Ok(BootPlan {
            plugins: survey.plugins,
            unreadable: survey.unreadable,
            missing: survey.missing,
            config: config.clone(),
            lock,
            guard,
            io,
        })
    }

    /// Make durable what the loading relies on: the pins of the files that start, and the deaths that
    /// were counted. Once, before the first file is loaded.
    pub fn commit(&mut self) -> Result<(), BootError> {
        let files = self.plugins.iter().filter_map(|p| p.file.as_ref());
        let present: Vec<&PluginFile> = files.collect();
        self.guard.settle(&present)?;
        let mut changed = false;
        for planned in &self.plugins {
            if let (Outcome::Start, Some(file)) = (&planned.outcome, &planned.file) {
                changed |= pin(&mut self.lock, file)?;
            }
        }
        if changed {
            self.lock.write(&self.io)?;
        }
        Ok(())
    }

    /// The same for a file that is loaded although it does not start.
    pub(crate) fn pin(&mut self, file: &PluginFile) -> Result<(), BootError> {
        if pin(&mut self.lock, file)? {
            self.lock.write(&self.io)?;
        }
        Ok(())
    }

    /// To be told of every start of a file, after [`BootPlan::commit`].
    pub fn guard(&mut self) -> &mut BootGuard {
        &mut self.guard
    }
}

/// Resolution left mismatches out; two files of one version have one id.
fn pin(lock: &mut PluginLock, file: &PluginFile) -> Result<bool, BootError> {
    let pinned = lock.pin(file);
    pinned.map_err(|mismatch| BootError::Forced(mismatch.to_string()))
}

/// The files of the plugin directory. Only a directory that somebody named must exist.
fn discover(
    data: &Path,
    config: &PluginsConfig,
) -> Result<Vec<Result<PluginFile, FileError>>, ConfigError> {
    let directory = config.directory_of(data);
    match file::discover(&directory) {
        Ok(files) => Ok(files),
        Err(error) if error.kind() == ErrorKind::NotFound && config.directory.is_none() => {
            Ok(Vec::new())
        }
        Err(error) => Err(config.directory_error(format!("\"{}\": {error}", directory.display()))),
    }
}

/// What, besides the manifest, speaks against a file.
fn refusal(file: &PluginFile, lock: &PluginLock, guard: &BootGuard) -> Option<(State, String)> {
    if let Err(mismatch) = lock.check(file) {
        return Some((State::Failed, mismatch.to_string()));
    }
    let reason = guard.quarantine(file)?;
    Some((State::Quarantined, reason))
}

fn refuse_forced_and_absent(
    config: &PluginsConfig,
    absent: impl Fn(&str) -> bool,
    unreadable: &[FileError],
) -> Result<(), BootError> {
    for (id, plugin) in &config.plugins {
        if plugin.activation != Activation::Force || !absent(id) {
            continue;
        }
        let mut reason = "there is no such plugin".to_owned();
        let its = |e: &&FileError| e.id.is_none() || claimed_id(e) == Some(id);
        for error in unreadable.iter().filter(its) {
            reason.push_str(&format!("; {error}"));
        }
        if let Verdict::StopBoot(why) = without(id, plugin.activation, State::Missing, reason) {
            return Err(BootError::Forced(why));
        }
    }
    Ok(())
}

fn claimed_id(error: &FileError) -> Option<&str> {
    error.id.as_deref()
}
