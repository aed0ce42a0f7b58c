//! The states of a plugin, and what a failure means for the server.
//!
//! ```text
//! discovered → verified → ABI checked → resolved → configured → migrated → active → stopped
//!                   └──────────┴────────────┴───────────┴──────────┴──▶ failed
//! ```
//!
//! A plugin moves along the line while the server boots; what an operator sees afterwards is a
//! [`State`]. `failed` and the side states are ends: only another boot leads out of them. One
//! exception: an `active` plugin is `quarantined` when it panics again and again.

use std::fmt;

use crate::config::Activation;

/// What `helios_plugins.state` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Its functions, commands and so on answer.
    Active,
    /// Switched off in the settings.
    Disabled,
    /// It could not be read, resolved, configured, migrated or started.
    Failed,
    /// It ended the server while it started, or panicked too often.
    Quarantined,
    /// It is not there, but its state is, or this database has loaded it before.
    Missing,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Disabled => "disabled",
            State::Failed => "failed",
            State::Quarantined => "quarantined",
            State::Missing => "missing",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the attempt to start a plugin ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Started,
    /// It said why.
    Failed(String),
    Panicked(String),
    /// It did not end within `start_timeout`.
    Hung,
}

/// What the server does about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The plugin is active.
    Run,
    /// The plugin is left in this state, for this reason, and the server runs without it.
    Without(State, String),
    /// The server does not start, for this reason.
    StopBoot(String),
}

/// The one rule for a plugin that cannot be started, whatever stopped it.
pub fn judge(id: &str, activation: Activation, ending: Ending) -> Verdict {
    let (state, reason) = match ending {
        Ending::Started => return Verdict::Run,
        Ending::Failed(why) => (State::Failed, why),
        Ending::Panicked(why) => (State::Failed, format!("it panicked while starting: {why}")),
        Ending::Hung => (
            State::Failed,
            "its start did not end within [plugins] start_timeout".to_owned(),
        ),
    };
    without(id, activation, state, reason)
}

/// The same for a plugin that is not even tried.
pub fn without(id: &str, activation: Activation, state: State, reason: String) -> Verdict {
    match (activation, state) {
        (_, State::Disabled) | (Activation::Off | Activation::On, _) => {
            Verdict::Without(state, reason)
        }
        (Activation::Force, _) => Verdict::StopBoot(format!(
            "plugin \"{id}\" has activation = \"force\" but cannot be started: {reason}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_forced_plugin_stops_the_boot() {
        let endings = [
            Ending::Failed("no room".to_owned()),
            Ending::Panicked("index out of bounds".to_owned()),
            Ending::Hung,
        ];
        for ending in endings {
            let on = judge("a", Activation::On, ending.clone());
            assert!(matches!(on, Verdict::Without(State::Failed, _)), "{on:?}");
            let Verdict::StopBoot(why) = judge("a", Activation::Force, ending) else {
                panic!("a forced plugin is not left out");
            };
            assert!(
                why.starts_with("plugin \"a\" has activation = \"force\""),
                "{why}"
            );
        }
        assert_eq!(judge("a", Activation::Force, Ending::Started), Verdict::Run);
    }
}
