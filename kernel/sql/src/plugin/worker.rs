//! Quanta of plugins' workers: each a transaction of the first role's, on the worker's own thread.
//!
//! A statement that a worker runs keeps to that thread, as all nested ones do, so that the CPU time which
//! the host counts there is all of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use heliosdb_plugin_api::Turn;
use heliosdb_plugin_host::background::workers::Transactions;
use heliosdb_plugin_host::services::{PluginResult, StatementServices};
use heliosdb_storage::Interrupt;
use parking_lot::Mutex;

use super::error::to_plugin;
use super::services::Reads;
use crate::error::{Result, SqlError, state};
use crate::instance::Instance;
use crate::session::{Session, SessionOptions};

/// Makes the transactions of one instance's workers.
pub(crate) struct Quanta {
    /// Weak, because workers must not keep the database open.
    instance: Weak<Instance>,
    /// Of quanta that are under way.
    interrupts: Mutex<Vec<Arc<Interrupt>>>,
    stopped: AtomicBool,
}

impl Quanta {
    pub fn new(instance: &Arc<Instance>) -> Quanta {
        Quanta {
            instance: Arc::downgrade(instance),
            interrupts: Mutex::default(),
            stopped: AtomicBool::new(false),
        }
    }

    fn session(&self) -> Result<Session> {
        let gone = || SqlError::new(state::ADMIN_SHUTDOWN, "the database is being closed");
        let instance = self.instance.upgrade().ok_or_else(gone)?;
        let session = instance.session(SessionOptions {
            user: instance.first_role().to_owned(),
            database: instance.database().to_owned(),
            application_name: "background worker".to_owned(),
            parameters: Vec::new(),
            client: None,
        })?;
        let mut interrupts = self.interrupts.lock();
        // Under the lock, or a cancel could come between.
        if self.stopped.load(Ordering::SeqCst) {
            return Err(gone());
        }
        interrupts.push(session.interrupt.clone());
        Ok(session)
    }
}

impl Transactions for Quanta {
    fn is_installed(&self, plugin: &str) -> bool {
        let Some(instance) = self.instance.upgrade() else {
            return false;
        };
        let catalog = instance.catalog(&instance.engine().visible_view());
        catalog.is_ok_and(|catalog| catalog.is_installed(plugin))
    }

    fn run(
        &self,
        work: &mut dyn FnMut(&dyn StatementServices) -> PluginResult<Turn>,
    ) -> PluginResult<Turn> {
        let mut session = self.session().map_err(to_plugin)?;
        let interrupt = session.interrupt.clone();
        let ran = session.quantum(work);
        let mut interrupts = self.interrupts.lock();
        interrupts.retain(|other| !Arc::ptr_eq(other, &interrupt));
        ran.map_err(to_plugin)
    }

    fn cancel(&self) {
        let interrupts = self.interrupts.lock();
        self.stopped.store(true, Ordering::SeqCst);
        for interrupt in interrupts.iter() {
            interrupt.cancel();
        }
    }
}

impl Session {
    /// Runs a quantum as a transaction.
    fn quantum(
        &mut self,
        work: &mut dyn FnMut(&dyn StatementServices) -> PluginResult<Turn>,
    ) -> Result<Turn> {
        self.begin_implicit();
        let turn = self.with_services(Reads::Free, |services| work(services));
        self.end_implicit(turn.is_ok())?;
        turn
    }
}
