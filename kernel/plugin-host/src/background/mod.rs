//! Plugins in the background: their workers, the threads that they may use, and what both are paid from.
//!
//! * [`workers`] has a thread for each worker of an active plugin, which calls it quantum by quantum.
//! * [`pool`] has threads that do pieces of a plugin's work at the same time.
//! * [`quantum`] knows which thread works for which share of the CPU budget, and since when.
//!
//! The budget itself is storage's [`Governor`]. Without one, as for plugins that only decode, or only are
//! looked at, there are no threads: pieces are done by whoever wants them done, and nothing is background.

pub mod pool;
pub mod quantum;
pub mod workers;

use std::sync::Arc;

use heliosdb_storage::governor::Governor;

use pool::Pool;
use workers::Workers;

/// See the module's header.
pub struct Background {
    pub(crate) governor: Option<Arc<Governor>>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) workers: Option<Arc<Workers>>,
}

impl Background {
    /// Without threads.
    pub fn none() -> Arc<Background> {
        Arc::new(Background {
            governor: None,
            pool: Pool::new(None),
            workers: None,
        })
    }

    pub fn new(governor: &Arc<Governor>) -> Arc<Background> {
        Arc::new(Background {
            governor: Some(governor.clone()),
            pool: Pool::new(Some(governor.clone())),
            workers: Some(Workers::new(governor.clone())),
        })
    }

    /// Ends all threads. What they are doing they finish, unless it takes too long.
    pub fn stop(&self) {
        if let Some(workers) = &self.workers {
            workers.stop();
        }
        self.pool.stop();
    }
}

#[cfg(test)]
mod tests;
