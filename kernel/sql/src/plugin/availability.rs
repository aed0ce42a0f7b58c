//! Whether a plugin may be used by a statement: active in the server, installed in the database.

use std::fmt;

use heliosdb_plugin_host::{PluginHost, State};

use crate::catalog::CatalogSnapshot;
use crate::error::{Result, SqlError, state};
use crate::session::Session;

/// What a plugin is to a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    Usable,
    /// The server has it; the database dropped its extension.
    NotInstalled,
    Disabled,
    Missing,
    /// With the reason, if another start of the server would not end it.
    Quarantined(Option<String>),
    Failed(Option<String>),
}

impl fmt::Display for Availability {
    /// What stands after "plugin x is".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Availability::Usable => "active",
            Availability::NotInstalled => "not installed in this database",
            Availability::Disabled => "disabled",
            Availability::Missing => "missing",
            Availability::Quarantined(_) => "quarantined",
            Availability::Failed(_) => "not running: it failed to start",
        })
    }
}

impl Availability {
    /// Looks at both sides. The catalog is asked last: a plugin that does not run is no use to any
    /// database.
    pub fn of(host: &PluginHost, catalog: &CatalogSnapshot, plugin: &str) -> Availability {
        let Some(status) = host.plugin(plugin) else {
            return Availability::Missing;
        };
        match status.state {
            State::Active if catalog.is_installed(plugin) => Availability::Usable,
            State::Active => Availability::NotInstalled,
            State::Disabled => Availability::Disabled,
            State::Missing => Availability::Missing,
            // One that panicked is tried again; one that ended the server while it started is not.
            State::Quarantined if status.faults > 0 => Availability::Quarantined(None),
            State::Quarantined => Availability::Quarantined(status.reason),
            State::Failed => Availability::Failed(status.reason),
        }
    }

    /// What makes the plugin usable.
    pub fn hint(&self, plugin: &str) -> Option<String> {
        Some(match self {
            Availability::Usable => return None,
            Availability::NotInstalled => format!("Use CREATE EXTENSION {plugin}."),
            Availability::Disabled => format!(
                "Set activation = \"on\" under [plugins.{plugin}] in heliosdb.toml and restart the \
                 server."
            ),
            Availability::Missing => format!(
                "Put the file of plugin {plugin} into the plugin directory and restart the server."
            ),
            Availability::Quarantined(None) => {
                "It is called again after the server was started again.".to_owned()
            }
            Availability::Quarantined(Some(why)) | Availability::Failed(Some(why)) => why.clone(),
            Availability::Failed(None) => "The server's log says why.".to_owned(),
        })
    }
}

impl Session {
    /// What a plugin is to the catalog of the running statement.
    pub(crate) fn availability(&self, plugin: &str) -> Availability {
        Availability::of(self.instance.plugins(), &self.info.catalog(), plugin)
    }

    /// 0A000 when something of a plugin cannot be used now.
    pub(crate) fn check_usable(&mut self, plugin: &str, what: &str) -> Result<()> {
        // The catalog of this statement, not of the one before.
        self.read_view()?;
        let availability = self.availability(plugin);
        if availability == Availability::Usable {
            return Ok(());
        }
        let error = SqlError::new(
            state::FEATURE_NOT_SUPPORTED,
            format!("{what} cannot be used: plugin \"{plugin}\" is {availability}"),
        );
        Err(match availability.hint(plugin) {
            Some(hint) => error.with_hint(hint),
            None => error,
        })
    }
}
