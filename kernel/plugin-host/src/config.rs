//! `[plugins]` of `heliosdb.toml`: where plugin files are, which plugins are on, and their settings.
//!
//! The section is read in two steps, because a plugin's settings are known only from its manifest:
//!
//! 1. With the file: its shape, `directory`, `start_timeout` and each `activation`
//!    ([`PluginsConfig`]'s `Deserialize`, then [`PluginsConfig::locate`]).
//! 2. With the manifests at boot: that every named plugin exists ([`PluginsConfig::check_names`]) and
//!    that its settings are its own, of the right type and in range ([`PluginsConfig::settings`]).
//!
//! Every error names the file and the line, and for a misspelt name the nearest one that exists.

mod read;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use heliosdb_plugin_api::manifest::{Manifest, Settings};
use toml::Value;

use crate::nearest::did_you_mean;
use crate::state_file::line_at;

/// Names under `[plugins]` that no plugin can have.
pub const OPTIONS: [&str; 2] = ["directory", "start_timeout"];
/// The directory of plugin files in a data directory.
const DIRECTORY_DEFAULT: &str = "plugins";
const START_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// The section. Absent is [`PluginsConfig::default`]: every plugin that is found is on.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginsConfig {
    /// Relative to the data directory.
    pub directory: Option<PathBuf>,
    /// How long the start of one plugin may take.
    pub start_timeout: Duration,
    pub plugins: BTreeMap<String, PluginConfig>,
    /// What messages call the file.
    file: String,
    directory_place: Place,
}

/// `[plugins.NAME]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginConfig {
    pub activation: Activation,
    pub settings: BTreeMap<String, Value>,
    place: Place,
    setting_places: BTreeMap<String, Place>,
}

/// Whether a plugin that was found is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    Off,
    /// It is started; if it cannot be, that is logged and shown, and the server runs without it.
    #[default]
    On,
    /// It is started; if it cannot be, the server does not start either.
    Force,
}

/// Where something stands in the file: a byte while it is being read, a line once that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Place {
    #[default]
    Nowhere,
    Byte(usize),
    Line(usize),
}

/// What is wrong with the section: one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Activation::Off => "off",
            Activation::On => "on",
            Activation::Force => "force",
        })
    }
}

impl Default for PluginsConfig {
    fn default() -> PluginsConfig {
        PluginsConfig {
            directory: None,
            start_timeout: START_TIMEOUT_DEFAULT,
            plugins: BTreeMap::new(),
            file: String::new(),
            directory_place: Place::Nowhere,
        }
    }
}

/// The plugins that a section may name.
#[derive(Default)]
pub struct KnownPlugins<'a> {
    /// Those whose manifest was read.
    pub found: BTreeSet<&'a str>,
    /// Those that ran in this database before. One may be missing now; its settings wait for it.
    pub remembered: BTreeSet<&'a str>,
    /// There are plugin files that cannot say whose they are, so an unknown name may be theirs.
    pub unreadable_files: bool,
}

impl PluginsConfig {
    /// Tell the section which file it was read from, so that later errors can name line and file.
    pub fn locate(&mut self, file: &str, text: &str) {
        let named = &mut self.file;
        let places = self.plugins.values_mut().flat_map(|plugin| {
            std::iter::once(&mut plugin.place).chain(plugin.setting_places.values_mut())
        });
        for place in places.chain(std::iter::once(&mut self.directory_place)) {
            if let Place::Byte(offset) = *place {
                *place = Place::Line(line_at(text, offset));
                file.clone_into(named);
            }
        }
    }

    /// The directory of plugin files of the database in `data`.
    pub fn directory_of(&self, data: &Path) -> PathBuf {
        match &self.directory {
            Some(directory) => data.join(directory),
            None => data.join(DIRECTORY_DEFAULT),
        }
    }

    /// `on` for a plugin that the file does not name.
    pub fn activation(&self, id: &str) -> Activation {
        self.plugins
            .get(id)
            .map_or_else(Activation::default, |p| p.activation)
    }

    /// Every plugin named here exists.
    pub fn check_names(&self, known: &KnownPlugins<'_>) -> Result<(), ConfigError> {
        for (id, plugin) in &self.plugins {
            let name = id.as_str();
            if known.found.contains(name)
                || known.remembered.contains(name)
                || known.unreadable_files
            {
                continue;
            }
            let names = known.found.union(&known.remembered).copied().chain(OPTIONS);
            let hint = did_you_mean(id, names);
            return Err(self.error(plugin.place, format!("there is no plugin \"{id}\"{hint}")));
        }
        Ok(())
    }

    /// The settings of a plugin as it gets them, every default filled in.
    pub fn settings(&self, manifest: &Manifest) -> Result<Settings, ConfigError> {
        let (id, declared) = (&manifest.id, &manifest.settings);
        let none = PluginConfig::default();
        let plugin = self.plugins.get(id).unwrap_or(&none);
        for (name, value) in &plugin.settings {
            let place = plugin.setting_places.get(name).copied().unwrap_or_default();
            let Some(setting) = declared.iter().find(|s| s.name == *name) else {
                let names = declared.iter().map(|s| s.name.as_str());
                let hint = did_you_mean(name, names.chain(["activation"]));
                let message = format!("plugin \"{id}\" has no setting \"{name}\"{hint}");
                return Err(self.error(place, message));
            };
            setting
                .check(value)
                .map_err(|why| self.error(place, format!("setting of plugin \"{id}\": {why}")))?;
        }
        Settings::resolve(declared, &plugin.settings)
            .map_err(|why| self.error(plugin.place, format!("setting of plugin \"{id}\": {why}")))
    }

    /// An error about `directory`.
    pub(crate) fn directory_error(&self, why: impl fmt::Display) -> ConfigError {
        self.error(self.directory_place, format!("plugin directory: {why}"))
    }

    fn error(&self, place: Place, message: String) -> ConfigError {
        match place {
            Place::Line(line) => ConfigError(format!("{}:{line}: {message}", self.file)),
            Place::Byte(_) | Place::Nowhere => ConfigError(format!("[plugins]: {message}")),
        }
    }
}
