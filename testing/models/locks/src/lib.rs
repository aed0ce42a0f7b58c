//! What the engine uses of parking_lot, over shuttle: each lock, each wait and each atomic is a place where
//! the scheduler of a model may let another thread go first.
//!
//! It stands where `parking_lot` stands, in `heliosdb-models-storage` and `heliosdb-models-sim`, which are
//! the sources of `heliosdb-storage` and `heliosdb-sim` built a second time. So those name nothing of this.
//! Outside of a model ([`shuttle`]'s runner) every call panics.
//!
//! What is other than in parking_lot: nobody is preferred, so a writer may wait while readers come and go;
//! a wait with a timeout has none; and atomics are sequentially consistent, whatever their ordering says.

use std::fmt::{Debug, Formatter, Result};
use std::ops::{Deref, DerefMut};
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

use shuttle::future::batch_semaphore::{BatchSemaphore, Fairness};
use shuttle::sync::{Condvar as Inner, Mutex as InnerMutex, MutexGuard as InnerGuard};

pub use shuttle::sync::atomic;
pub use shuttle::thread::yield_now;

/// `parking_lot::Mutex`.
#[derive(Default)]
pub struct Mutex<T>(InnerMutex<T>);

/// `parking_lot::MutexGuard`.
pub struct MutexGuard<'a, T>(Option<InnerGuard<'a, T>>);

/// Why a guard is never empty when somebody sees it.
const HELD: &str = "only a wait takes the guard, and gives it back; and a drop";

impl<T> Mutex<T> {
    #[track_caller]
    pub const fn new(value: T) -> Mutex<T> {
        Mutex(InnerMutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        // parking_lot knows no poison.
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        MutexGuard(Some(guard))
    }

    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let guard = self.0.try_lock().ok()?;
        Some(MutexGuard(Some(guard)))
    }
}

impl<T: Debug> Debug for Mutex<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.0.fmt(f)
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect(HELD)
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(HELD)
    }
}

/// `parking_lot::Condvar`.
#[derive(Debug, Default)]
pub struct Condvar(Inner);

/// `parking_lot::WaitTimeoutResult`.
#[derive(Clone, Copy, Debug)]
pub struct WaitTimeoutResult(());

impl WaitTimeoutResult {
    pub fn timed_out(&self) -> bool {
        false
    }
}

impl Condvar {
    #[track_caller]
    pub const fn new() -> Condvar {
        Condvar(Inner::new())
    }

    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.0.take().expect(HELD);
        let held = self.0.wait(held).unwrap_or_else(PoisonError::into_inner);
        guard.0 = Some(held);
    }

    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: Duration) -> WaitTimeoutResult {
        self.wait(guard);
        WaitTimeoutResult(())
    }

    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// Of a lock that nobody has; a reader takes one of them, a writer all.
const PERMITS: usize = 1 << 16;
/// The semaphore is what is waited for.
const TAKEN: &str = "who has the permits is let in";

/// `parking_lot::RwLock`. Whoever reads may read once more, which shuttle's own refuses.
pub struct RwLock<T> {
    semaphore: BatchSemaphore,
    data: std::sync::RwLock<T>,
}

/// `parking_lot::RwLockReadGuard`.
pub struct RwLockReadGuard<'a, T> {
    /// `None` once it is given back.
    data: Option<std::sync::RwLockReadGuard<'a, T>>,
    semaphore: &'a BatchSemaphore,
}

/// `parking_lot::RwLockWriteGuard`.
pub struct RwLockWriteGuard<'a, T> {
    data: Option<std::sync::RwLockWriteGuard<'a, T>>,
    semaphore: &'a BatchSemaphore,
}

impl<T> RwLock<T> {
    #[track_caller]
    pub const fn new(value: T) -> RwLock<T> {
        RwLock {
            semaphore: BatchSemaphore::const_new(PERMITS, Fairness::Unfair),
            data: std::sync::RwLock::new(value),
        }
    }

    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        // Closed only when the schedule is over.
        let _ = self.semaphore.acquire_blocking(1);
        let data = match self.data.try_read() {
            Ok(data) => data,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => panic!("{TAKEN}"),
        };
        RwLockReadGuard {
            data: Some(data),
            semaphore: &self.semaphore,
        }
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let _ = self.semaphore.acquire_blocking(PERMITS);
        self.writing()
    }

    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.semaphore.try_acquire(PERMITS).ok()?;
        Some(self.writing())
    }

    /// The caller has all permits.
    fn writing(&self) -> RwLockWriteGuard<'_, T> {
        let data = match self.data.try_write() {
            Ok(data) => data,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => panic!("{TAKEN}"),
        };
        RwLockWriteGuard {
            data: Some(data),
            semaphore: &self.semaphore,
        }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T: Debug> Debug for RwLock<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.data.fmt(f)
    }
}

impl<T> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        self.data = None;
        self.semaphore.release(1);
    }
}

impl<T> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        self.data = None;
        self.semaphore.release(PERMITS);
    }
}

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.data.as_deref().expect(HELD)
    }
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.data.as_deref().expect(HELD)
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.data.as_deref_mut().expect(HELD)
    }
}
