//! Parameters of the server, which SET changes for everybody: the caps of the CPU governor.
//!
//! They are values of the engine's [`Governor`](heliosdb_storage::governor::Governor), and nothing here remembers them: SHOW tells what holds.
//! A superuser's SET holds at once, in work that is under way, too, and until the server stops;
//! `heliosdb.toml` has what the next start begins with, which is also what RESET goes back to. No session
//! owns them, so RESET ALL and the end of a session leave them alone, and since a rollback could not undo
//! them, a transaction block has no place for them.

use heliosdb_storage::governor::Caps;

use super::outcome::Outcome;
use super::settings::{Settings, server_value};
use super::{Session, done, info::SessionInfo};
use crate::edition;
use crate::error::{Result, SqlError, state};

/// The parameters, as `settings` declares them.
const NAMES: [&str; 5] = [
    "adaptive_indexing_cpu",
    "cpu_governor",
    "deduplication_cpu",
    "incremental_mv_cpu",
    "max_cpu_background",
];

/// The parameter of this name, if it is one of the server.
pub(crate) fn find(name: &str) -> Option<&'static str> {
    let is_it = |known: &&&str| known.eq_ignore_ascii_case(name);
    NAMES.iter().find(is_it).copied()
}

fn on_off(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

fn value(caps: &Caps, name: &str) -> String {
    match name {
        "cpu_governor" => on_off(caps.enforced),
        "max_cpu_background" => caps.max_cpu_background.to_string(),
        "incremental_mv_cpu" => caps.incremental_mv_cpu.to_string(),
        "adaptive_indexing_cpu" => caps.adaptive_indexing_cpu.to_string(),
        _ => caps.deduplication_cpu.to_string(),
    }
}

/// Caps in which the parameter has a value that was checked.
fn changed(mut caps: Caps, name: &str, value: &str) -> Caps {
    let percent = || value.parse().unwrap_or_default();
    match name {
        "cpu_governor" => caps.enforced = value == "on",
        "max_cpu_background" => caps.max_cpu_background = percent(),
        "incremental_mv_cpu" => caps.incremental_mv_cpu = percent(),
        "adaptive_indexing_cpu" => caps.adaptive_indexing_cpu = percent(),
        _ => caps.deduplication_cpu = percent(),
    }
    caps
}

pub(super) fn not_allowed(name: &str) -> SqlError {
    SqlError::new(
        state::INSUFFICIENT_PRIVILEGE,
        format!("permission denied to set parameter \"{name}\""),
    )
}

impl SessionInfo {
    /// The session's settings with those of the server as they are now.
    pub(crate) fn shown_settings(&self) -> Settings {
        let caps = self.instance.engine().governor().caps();
        let mut settings = self.settings();
        for name in NAMES {
            settings.set_internal(name, &value(&caps, name));
        }
        settings
    }

    /// 42501 for a parameter that only superusers may set, unless the role is one.
    pub(crate) fn check_may_set(&self, name: &str) -> Result<()> {
        match !Settings::is_superusers(name) || self.role().superuser {
            true => Ok(()),
            false => Err(not_allowed(name)),
        }
    }

    /// Sets a parameter of the server; `None` goes back to what it started with. The value as SHOW prints
    /// it.
    pub(super) fn set_for_server(&self, name: &'static str, text: Option<&str>) -> Result<String> {
        if self.is_in_block() {
            let verb = if text.is_some() { "SET" } else { "RESET" };
            return Err(SqlError::new(
                state::ACTIVE_SQL_TRANSACTION,
                format!("{verb} {name} cannot run inside a transaction block"),
            ));
        }
        if !self.role().superuser {
            return Err(not_allowed(name));
        }
        let engine = self.instance.engine();
        let text = match text {
            Some(text) => server_value(name, text)?,
            None => value(&engine.options().cpu, name),
        };
        if name == "cpu_governor" && text == "off" && self.instance.edition() == edition::LITE {
            return Err(SqlError::new(
                state::CANT_CHANGE_RUNTIME_PARAM,
                "parameter \"cpu_governor\" cannot be changed",
            )
            .with_hint("HeliosDB Lite always holds background work to its CPU budget."));
        }
        engine
            .governor()
            .change(|caps| changed(caps, name, &text))?;
        Ok(text)
    }
}

impl Session {
    /// SET and RESET of a parameter of the server.
    pub(super) fn set_server(
        &mut self,
        name: &'static str,
        value: Option<&str>,
        local: bool,
    ) -> Result<Outcome> {
        let verb = if value.is_some() { "SET" } else { "RESET" };
        if local {
            return Err(SqlError::unsupported(format!("SET LOCAL {name}"))
                .with_hint("The parameter is the server's: SET changes it for everybody."));
        }
        self.info.set_for_server(name, value)?;
        done(verb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_changes_its_own_cap_and_shows_it() {
        let caps = Caps::default();
        for name in NAMES {
            let text = if name == "cpu_governor" { "off" } else { "42" };
            let changed = changed(caps, name, text);
            assert_eq!(value(&changed, name), text);
            for other in NAMES.into_iter().filter(|other| *other != name) {
                assert_eq!(
                    value(&changed, other),
                    value(&caps, other),
                    "{name}, {other}"
                );
            }
            // What is declared is what the engine starts with.
            assert_eq!(Settings::default().value(name), value(&caps, name));
        }
    }
}
