//! `statement_timeout` and cancel requests: both end the running statement with 57014.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use heliosdb_storage::Interrupt;

use crate::error::{SqlError, state};

/// Stops whatever its session is running. Clone it, send it anywhere.
#[derive(Clone, Debug)]
pub struct CancelHandle(pub(crate) Arc<Interrupt>);

impl CancelHandle {
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether the running statement was told to stop, by this or by its timeout.
    pub fn is_canceled(&self) -> bool {
        self.0.is_canceled()
    }
}

/// Cancels a statement when its time is over; dropped when the statement ends first.
pub(crate) struct StatementTimer {
    task: tokio::task::JoinHandle<()>,
    fired: Arc<AtomicBool>,
}

impl StatementTimer {
    pub fn start(
        handle: &tokio::runtime::Handle,
        interrupt: Arc<Interrupt>,
        after: Duration,
    ) -> StatementTimer {
        let fired = Arc::new(AtomicBool::new(false));
        let task = {
            let fired = fired.clone();
            handle.spawn(async move {
                tokio::time::sleep(after).await;
                fired.store(true, Ordering::SeqCst);
                interrupt.cancel();
            })
        };
        StatementTimer { task, fired }
    }

    /// Says which of the two canceled a statement.
    pub fn explain(&self, mut error: SqlError) -> SqlError {
        if error.code == state::QUERY_CANCELED && self.fired.load(Ordering::SeqCst) {
            error.message = "canceling statement due to statement timeout".to_owned();
        }
        error
    }
}

impl Drop for StatementTimer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
