//! Whether the target has the plugins that a dump needs, and what they make of its stores.

use std::collections::BTreeSet;

use heliosdb_dump::{Manifest, PluginDescription};
use heliosdb_plugin_host::boot::{Planned, Survey};
use heliosdb_plugin_host::migration::{Incoming, forecast};
use heliosdb_plugin_host::resolve::Outcome;
use heliosdb_plugin_host::{PluginHost, State};

use super::error::{ImportError, PluginProblem};

/// What the target's plugins can do for a dump.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    /// Plugins of the dump that are needed and are allowed to be away.
    pub orphans: BTreeSet<String>,
    /// Plugins that must become active.
    pub expected: BTreeSet<String>,
}

/// Judges from manifests alone; no plugin is loaded.
///
/// # Errors
///
/// Everything that is missing or does not fit, all at once.
pub(super) fn check(
    manifest: &Manifest,
    survey: &Survey,
    keep_orphans: bool,
) -> Result<Readiness, ImportError> {
    let starting = || {
        let plugins = survey.plugins.iter();
        plugins.filter(|planned| planned.outcome == Outcome::Start)
    };
    let mut readiness = Readiness {
        expected: starting().map(|p| p.manifest.id.clone()).collect(),
        orphans: BTreeSet::new(),
    };
    let mut problems = Vec::new();
    for plugin in manifest.plugins.iter().filter(|p| p.needed()) {
        match starting().find(|p| p.manifest.id == plugin.id) {
            Some(planned) => problems.extend(lacks(plugin, planned)),
            // Values that nobody can decode cannot be moved; a store is bytes to everybody else.
            None if keep_orphans && plugin.codecs_in_use.is_empty() => {
                readiness.orphans.insert(plugin.id.clone());
            }
            None => problems.push(problem(plugin, absence(plugin, survey))),
        }
    }
    let incoming: Vec<Incoming> = manifest
        .stores
        .iter()
        .map(|store| Incoming {
            plugin: store.plugin.clone(),
            store: store.name.clone(),
            version: store.version,
        })
        .collect();
    let foretold = forecast(&incoming, starting().map(|p| &p.manifest));
    for (plugin, error) in foretold.problems {
        problems.push(PluginProblem {
            plugin,
            version: String::new(),
            why: error.to_string(),
        });
    }
    match problems.is_empty() {
        true => Ok(readiness),
        false => Err(ImportError::Plugins(problems)),
    }
}

fn problem(plugin: &PluginDescription, why: String) -> PluginProblem {
    PluginProblem {
        plugin: plugin.id.clone(),
        version: plugin.version.clone(),
        why,
    }
}

/// Why a plugin is not there, and what the dump has of it.
fn absence(plugin: &PluginDescription, survey: &Survey) -> String {
    let planned = survey.plugins.iter().find(|p| p.manifest.id == plugin.id);
    let mut unreadable = survey.unreadable.iter();
    let refused = unreadable.find(|file| file.id.as_deref() == Some(&plugin.id));
    let why = match (planned.map(|p| &p.outcome), refused) {
        (Some(Outcome::Not(State::Disabled, _)), _) => "it is switched off".to_owned(),
        (Some(Outcome::Not(state, why)), _) => format!("it is {state}: {why}"),
        (_, Some(file)) => file.to_string(),
        _ => {
            // A file that cannot say whose it is may be this plugin's.
            let nameless = survey.unreadable.iter().filter(|file| file.id.is_none());
            let files: Vec<String> = nameless.map(ToString::to_string).collect();
            match files.is_empty() {
                true => "it is not here".to_owned(),
                false => format!(
                    "it is not here, unless in a file that cannot be read: {}",
                    files.join("; ")
                ),
            }
        }
    };
    format!("{why}; the dump has {}", uses(plugin))
}

/// What the dump has of a plugin.
fn uses(plugin: &PluginDescription) -> String {
    let mut uses = Vec::new();
    if plugin.installed {
        uses.push("its extension".to_owned());
    }
    for (store, version) in &plugin.stores {
        uses.push(format!("store {store} version {version}"));
    }
    if plugin.objects > 0 {
        uses.push(format!("{} of its objects", plugin.objects));
    }
    for ty in &plugin.types {
        uses.push(format!("columns of type {ty}"));
    }
    for codec in &plugin.codecs_in_use {
        uses.push(format!("values in codec {codec}"));
    }
    uses.join(", ")
}

/// What an older build of a plugin has not got yet.
fn lacks(plugin: &PluginDescription, planned: &Planned) -> Vec<PluginProblem> {
    let provides = &planned.manifest.provides;
    let version = planned.manifest.version;
    let mut problems = Vec::new();
    for codec in &plugin.codecs_in_use {
        if !provides.codecs.iter().any(|c| c.name == *codec) {
            let why = format!("version {version}, which is here, has no codec {codec}");
            problems.push(problem(plugin, why));
        }
    }
    for ty in &plugin.types {
        if !provides.types.iter().any(|t| t.name == *ty) {
            let why = format!("version {version}, which is here, has no type {ty}");
            problems.push(problem(plugin, why));
        }
    }
    problems
}

/// After the boot: every plugin that could be expected to run does.
pub(super) fn check_active(readiness: &Readiness, host: &PluginHost) -> Result<(), ImportError> {
    let mut problems = Vec::new();
    for id in &readiness.expected {
        let status = host.plugin(id);
        if status.as_ref().map(|s| s.state) != Some(State::Active) {
            let why = status.and_then(|s| s.reason);
            problems.push(PluginProblem {
                plugin: id.clone(),
                version: String::new(),
                why: why.unwrap_or_else(|| "it did not start".to_owned()),
            });
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(ImportError::NotStarted(problems)),
    }
}
