//! Ctrl-C while a command works.

use std::sync::Arc;

use heliosdb_kernel::dump::Interrupt;
use tokio::runtime::{Builder, Runtime};

use crate::Failed;

/// The status of a command that Ctrl-C ended, as shells count it.
const STATUS: u8 = 130;

/// Does something at each Ctrl-C until it is dropped.
pub struct Signals {
    _runtime: Runtime,
}

/// Do `work` at each Ctrl-C, on a thread of its own, instead of ending the process.
///
/// # Errors
///
/// The thread does not start.
pub fn on_interrupt(work: impl Fn() + Send + 'static) -> Result<Signals, Failed> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("signals")
        .enable_all()
        .build()
        .map_err(|e| Failed::With(format!("cannot start a thread: {e}")))?;
    runtime.spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            work();
        }
    });
    Ok(Signals { _runtime: runtime })
}

/// End the process as Ctrl-C does.
pub fn exit() -> ! {
    std::process::exit(STATUS.into())
}

/// A command that cleans up at the first Ctrl-C, and ends where it stands at the second.
pub struct Canceling {
    /// Canceled at the first.
    pub interrupt: Arc<Interrupt>,
    _signals: Signals,
}

impl Canceling {
    /// `also` is called at the first Ctrl-C.
    ///
    /// # Errors
    ///
    /// There is no thread for it.
    pub fn start(also: impl Fn() + Send + 'static) -> Result<Canceling, Failed> {
        let interrupt = Interrupt::new();
        let canceled = Arc::clone(&interrupt);
        let signals = on_interrupt(move || {
            if canceled.is_canceled() {
                exit();
            }
            canceled.cancel();
            also();
        })?;
        Ok(Canceling {
            interrupt,
            _signals: signals,
        })
    }

    /// Why the command failed: `error`, unless that is what Ctrl-C led to.
    pub fn failed(&self, error: impl Into<Failed>) -> Failed {
        match self.interrupt.is_canceled() {
            true => Failed::Status(STATUS, "canceled".to_owned()),
            false => error.into(),
        }
    }
}
