//! Faults of a plugin: counted, and past a limit the plugin is called no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use heliosdb_plugin_api::abi::value::AbiError;
use heliosdb_plugin_api::{Error, state};
use parking_lot::Mutex;

/// Panics and broken contracts after which a plugin is quarantined, until the server starts again.
pub const FAULTS_MAX: u32 = 3;

/// What a plugin did wrong so far.
#[derive(Debug)]
pub struct Health {
    plugin: Arc<str>,
    faults: AtomicU32,
    panicked: AtomicBool,
    quarantined: AtomicBool,
    last: Mutex<Option<String>>,
}

impl Health {
    pub fn new(plugin: Arc<str>) -> Health {
        Health {
            plugin,
            faults: AtomicU32::new(0),
            panicked: AtomicBool::new(false),
            quarantined: AtomicBool::new(false),
            last: Mutex::new(None),
        }
    }

    pub fn faults(&self) -> u32 {
        self.faults.load(Ordering::Relaxed)
    }

    /// Whether one of the faults was a panic.
    pub fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Relaxed)
    }

    pub fn is_quarantined(&self) -> bool {
        self.quarantined.load(Ordering::Relaxed)
    }

    /// What the last fault said.
    pub fn last_fault(&self) -> Option<String> {
        self.last.lock().clone()
    }

    /// # Errors
    ///
    /// `55000` once the plugin is quarantined.
    pub fn check(&self) -> Result<(), Error> {
        if !self.is_quarantined() {
            return Ok(());
        }
        let error = Error::new(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("plugin \"{}\" is quarantined", self.plugin),
        );
        let error = match self.last_fault() {
            Some(last) => error.with_detail(format!("Its last of {FAULTS_MAX} faults: {last}")),
            None => error,
        };
        Err(error.with_hint("It is called again after the server was started again."))
    }

    /// An error of the plugin's as the client sees it. A panic counts as a fault; an error that the
    /// plugin itself calls a broken contract does not, and says whose it is.
    pub fn fault(&self, error: AbiError) -> Error {
        let panicked = error.panicked;
        let error = Error::from(error);
        if panicked {
            self.panicked.store(true, Ordering::Relaxed);
            return self.contract(error);
        }
        // One that came to the plugin through a service may have a name already.
        let nameless = !error.message.starts_with("plugin \"");
        match error.sqlstate {
            state::EXTERNAL_ROUTINE_EXCEPTION if nameless => self.named(error),
            _ => error,
        }
    }

    /// Counts a fault and says in whose name.
    pub fn contract(&self, error: Error) -> Error {
        let said = match &error.detail {
            Some(detail) => format!("{}: {detail}", error.message),
            None => error.message.clone(),
        };
        let count = self.faults.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::error!(plugin = &*self.plugin, count, "{said}");
        *self.last.lock() = Some(said);
        if count >= FAULTS_MAX && !self.quarantined.swap(true, Ordering::Relaxed) {
            tracing::error!(plugin = &*self.plugin, "quarantined");
        }
        self.named(error)
    }

    fn named(&self, mut error: Error) -> Error {
        let named = format!("plugin \"{}\"", self.plugin);
        error.message = match error.message.strip_prefix("the plugin ") {
            Some(rest) => format!("{named} {rest}"),
            None => format!("{named} broke its contract: {}", error.message),
        };
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_contract_says_whose_it_is_and_only_panics_count_of_what_a_plugin_says() {
        let health = Health::new("a".into());
        let said = |error: Error| health.fault(error.into()).message;
        let broken = said(Error::contract("an array of Int32 is no bigint"));
        assert_eq!(
            broken,
            "plugin \"a\" broke its contract: an array of Int32 is no bigint"
        );
        let of_another = "plugin \"b\" broke its contract: it gave no cursor";
        assert_eq!(said(Error::contract(of_another)), of_another);
        assert_eq!(said(Error::new(state::DATA_EXCEPTION, "no")), "no");
        assert_eq!((health.faults(), health.has_panicked()), (0, false));

        health.contract(Error::contract("it gave no cursor"));
        assert_eq!((health.faults(), health.has_panicked()), (1, false));
        let panic = AbiError {
            panicked: true,
            ..Error::contract("the plugin panicked in function/1.call").into()
        };
        let message = health.fault(panic).message;
        assert_eq!(message, "plugin \"a\" panicked in function/1.call");
        assert_eq!((health.faults(), health.has_panicked()), (2, true));
    }
}
