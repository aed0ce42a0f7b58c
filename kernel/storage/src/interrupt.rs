//! Cancellation of whatever a session waits for or computes.
//!
//! One [`Interrupt`] belongs to one session. Anyone may [`cancel`](Interrupt::cancel) it from any
//! thread: long loops poll [`is_canceled`](Interrupt::is_canceled), and a lock wait registers the
//! waker of its sleep so that it ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::error::{Error, Result};

/// Something that sleeps and can be told to look at its interrupt again.
pub(crate) trait Wake: Send + Sync {
    fn wake(&self);
}

/// A session's cancel flag.
#[derive(Default)]
pub struct Interrupt {
    canceled: AtomicBool,
    sleeper: Mutex<Option<Arc<dyn Wake>>>,
}

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interrupt")
            .field("canceled", &self.is_canceled())
            .finish_non_exhaustive()
    }
}

impl Interrupt {
    pub fn new() -> Arc<Interrupt> {
        Arc::new(Interrupt::default())
    }

    /// Ask for the end of the current statement. Stays set until [`reset`](Self::reset).
    pub fn cancel(&self) {
        self.canceled.store(true, Ordering::SeqCst);
        let sleeper = self.sleeper.lock().clone();
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Forget an earlier cancel; a session does this before each statement.
    pub fn reset(&self) {
        self.canceled.store(false, Ordering::SeqCst);
    }

    pub fn is_canceled(&self) -> bool {
        self.canceled.load(Ordering::SeqCst)
    }

    /// `Error::Canceled` when canceled.
    pub fn check(&self) -> Result<()> {
        if self.is_canceled() {
            Err(Error::Canceled)
        } else {
            Ok(())
        }
    }

    /// Register (or with `None` forget) what [`cancel`](Self::cancel) has to wake. The sleeper must
    /// check the flag after registering and before sleeping.
    pub(crate) fn set_sleeper(&self, sleeper: Option<Arc<dyn Wake>>) {
        *self.sleeper.lock() = sleeper;
    }
}
