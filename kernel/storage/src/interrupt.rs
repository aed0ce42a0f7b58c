//! Cancellation of whatever a session waits for or computes.
//!
//! One [`Interrupt`] belongs to one session. Anyone may [`cancel`](Interrupt::cancel) it from any
//! thread: long loops poll [`is_canceled`](Interrupt::is_canceled), and a wait registers the
//! waker of its sleep so that it ends at once.
//!
//! A session that has a number holds all its locks under it ([`Interrupt::of_session`]): those of its
//! transactions, of which it has one at a time, and those that outlive them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};
use crate::ids::TxnId;
use crate::lock::LockOwner;

/// Something that sleeps and can be told to look at its interrupt again.
pub(crate) trait Wake: Send + Sync {
    fn wake(&self);
}

/// A session's cancel flag.
#[derive(Default)]
pub struct Interrupt {
    canceled: AtomicBool,
    /// Several, when parts of one statement wait on threads of their own.
    sleepers: Mutex<Vec<Arc<dyn Wake>>>,
    session: Option<u32>,
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

    /// That of the session with a number, which no other that is open has.
    pub fn of_session(number: u32) -> Arc<Interrupt> {
        Arc::new(Interrupt {
            session: Some(number),
            ..Interrupt::default()
        })
    }

    /// Who holds the locks that a transaction of this session takes.
    pub(crate) fn lock_owner(&self, transaction: TxnId) -> LockOwner {
        match self.session {
            Some(number) => LockOwner::Session(number),
            None => LockOwner::Transaction(transaction),
        }
    }

    /// Ask for the end of the current statement. Stays set until [`reset`](Self::reset).
    pub fn cancel(&self) {
        self.canceled.store(true, Ordering::SeqCst);
        let sleepers = self.sleepers.lock().clone();
        for sleeper in sleepers {
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

    /// Register what [`cancel`](Self::cancel) has to wake. The sleeper must check the flag after
    /// registering and before sleeping.
    pub(crate) fn add_sleeper(&self, sleeper: &Arc<dyn Wake>) {
        self.sleepers.lock().push(Arc::clone(sleeper));
    }

    /// The end of what [`add_sleeper`](Self::add_sleeper) began.
    pub(crate) fn remove_sleeper(&self, sleeper: &Arc<dyn Wake>) {
        let mut sleepers = self.sleepers.lock();
        if let Some(place) = sleepers.iter().position(|s| Arc::ptr_eq(s, sleeper)) {
            sleepers.swap_remove(place);
        }
    }

    /// Sleep for `longest`, or until canceled, which is an error.
    pub fn sleep(&self, longest: Duration) -> Result<()> {
        let nap = Arc::new(Nap::default());
        let sleeper: Arc<dyn Wake> = Arc::clone(&nap) as Arc<dyn Wake>;
        self.add_sleeper(&sleeper);
        let mut woken = nap.woken.lock();
        // A cancel that came before the sleeper was there has woken nobody.
        while !*woken && !self.is_canceled() {
            if nap.changed.wait_for(&mut woken, longest).timed_out() {
                break;
            }
        }
        drop(woken);
        self.remove_sleeper(&sleeper);
        self.check()
    }
}

/// One call of [`Interrupt::sleep`].
#[derive(Default)]
struct Nap {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Nap {
    fn wake(&self) {
        *self.woken.lock() = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever sleeps is woken, also when another part of the statement sleeps beside it.
    #[test]
    #[allow(clippy::disallowed_methods)]
    fn a_cancel_ends_every_sleep() {
        let interrupt = Interrupt::new();
        let sleep = || {
            let interrupt = Arc::clone(&interrupt);
            std::thread::spawn(move || interrupt.sleep(Duration::from_secs(3600)))
        };
        let sleeps = [sleep(), sleep()];
        while interrupt.sleepers.lock().len() < 2 {
            std::thread::yield_now();
        }
        interrupt.cancel();
        for sleep in sleeps {
            assert!(matches!(sleep.join(), Ok(Err(Error::Canceled))));
        }
        assert!(interrupt.sleepers.lock().is_empty());
        assert!(matches!(
            interrupt.sleep(Duration::from_secs(3600)),
            Err(Error::Canceled)
        ));
        interrupt.reset();
        assert!(interrupt.sleep(Duration::from_micros(1)).is_ok());
    }
}
