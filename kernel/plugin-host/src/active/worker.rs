//! Workers.

use heliosdb_plugin_api::extension::worker::WorkerV1;
use heliosdb_plugin_api::manifest::WorkerDecl;
use heliosdb_plugin_api::{Result, Turn};

use super::registered::Registered;
use crate::service::in_statement;
use crate::services::StatementServices;

/// A worker.
pub type Worker = Registered<WorkerV1, WorkerDecl>;

impl Worker {
    /// One quantum.
    pub fn run(&self, services: &dyn StatementServices) -> Result<Turn> {
        let turn = in_statement(services, |cx| {
            self.active
                .call(|instance| (self.vtable.run)(instance, self.index, cx))
        })?;
        Turn::try_from(turn).map_err(|e| self.active.broke(e.message))
    }
}
