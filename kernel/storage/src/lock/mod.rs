//! Locks on tables, rows and index keys, and on numbers that programs give a meaning.
//!
//! One manager serves them all. Table locks have PostgreSQL's eight modes, row and key locks its
//! four; a lock is identified by (timeline, collection) or (timeline, collection, key). A transaction
//! holds what it took until its commit has flipped its slot, or until it rolled back: rolling back to
//! a savepoint gives nothing up, which is safe and never wrong, only sometimes slower. [`advisory`] has
//! what is held otherwise.
//!
//! Locks are a session's, where it has a number ([`LockOwner`]): so a cycle is found that goes through
//! rows of its transaction and through what it holds beside it.
//!
//! A wait ends with the lock, with a deadlock (`Error::Deadlock`, told to the transaction whose wait
//! closed the cycle), with the timeout, with the session's [`Interrupt`], or when the lock is good for nothing any more
//! because the owner's timeline has moved. Where the [`Io`] cannot
//! run threads nobody could ever release the lock meanwhile, so a wait is refused at once.
//!
//! [`Io`]: crate::io::Io

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::ids::{TimelineId, TxnId};
use crate::interrupt::{Interrupt, Wake};

pub mod advisory;
mod deadlock;
mod mode;
mod report;
mod table;

#[cfg(test)]
mod tests;

pub use advisory::{AdvisoryKey, AdvisoryLocks, AdvisoryScope};
pub use mode::{Mode, RowLockMode, TableLockMode};
pub use report::{Locked, LockedObject};
pub use table::LockObject;

use deadlock::WaitGraph;
use table::{Acquired, LockTable};

/// Who holds locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockOwner {
    /// A session, by its number.
    Session(u32),
    /// A transaction of no session that has a number.
    Transaction(TxnId),
}

impl std::fmt::Display for LockOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LockOwner::Session(number) => write!(f, "process {number}"),
            LockOwner::Transaction(id) => write!(f, "transaction {id}"),
        }
    }
}

/// What to do when a lock is not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// Wait, at most as long as the engine's `lock_timeout_micros` says.
    Block,
    /// Fail with `LockNotAvailable`: NOWAIT, and with a loop around it SKIP LOCKED.
    NoWait,
    /// Wait at most so many microseconds.
    Timeout(u64),
}

/// See the module's header.
pub struct LockManager {
    table: LockTable,
    graph: WaitGraph,
    timeout_micros: Option<u64>,
    can_block: bool,
    waits: AtomicU64,
    deadlocks: AtomicU64,
}

impl LockManager {
    pub fn new(timeout_micros: Option<u64>, can_block: bool) -> LockManager {
        LockManager {
            table: LockTable::default(),
            graph: WaitGraph::default(),
            timeout_micros,
            can_block,
            waits: AtomicU64::new(0),
            deadlocks: AtomicU64::new(0),
        }
    }

    /// Take a lock; objects that the owner did not hold before are added to `held`. No wait outlasts `moved`, for
    /// which [`LockManager::wake`] has it look.
    #[expect(clippy::too_many_arguments, reason = "what one wait is of")]
    pub fn acquire(
        &self,
        owner: LockOwner,
        object: LockObject,
        mode: Mode,
        wait: LockWait,
        interrupt: &Arc<Interrupt>,
        moved: impl Fn() -> bool,
        held: &mut Vec<Arc<LockObject>>,
    ) -> Result<()> {
        let timeout = match wait {
            LockWait::Block => self.timeout_micros,
            LockWait::NoWait => Some(0),
            LockWait::Timeout(micros) => Some(micros),
        };
        let object = Arc::new(object);
        let queue = self.can_block && timeout != Some(0);
        let waiter = match self.table.acquire(&object, owner, mode, queue) {
            Acquired::Already => return Ok(()),
            Acquired::Granted { first } => {
                if first {
                    held.push(object);
                }
                return Ok(());
            }
            Acquired::Refused => return Err(Error::LockNotAvailable),
            Acquired::Queued(waiter) => waiter,
        };

        self.waits.fetch_add(1, Ordering::Relaxed);
        let outcome = match self.graph.enter(&self.table, owner, &object, mode) {
            Err(detail) => {
                self.deadlocks.fetch_add(1, Ordering::Relaxed);
                Err(Error::Deadlock { detail })
            }
            Ok(()) => {
                let sleeper: Arc<dyn Wake> = Arc::clone(&waiter) as Arc<dyn Wake>;
                interrupt.add_sleeper(&sleeper);
                let granted = waiter.sleep(timeout, || interrupt.is_canceled() || moved());
                interrupt.remove_sleeper(&sleeper);
                self.graph.leave(owner);
                match granted {
                    true => Ok(()),
                    false if interrupt.is_canceled() => Err(Error::Canceled),
                    false if moved() => Err(Error::TimelineMoved),
                    false => Err(Error::LockNotAvailable),
                }
            }
        };
        // A grant may cross a failing wait; the lock is then held like any other until the end.
        if (outcome.is_ok() || self.table.leave(&object, owner, mode)) && !held.contains(&object) {
            held.push(object);
        }
        outcome
    }

    /// Have those who wait for something of these timelines look whether they have moved.
    pub fn wake(&self, timelines: &[TimelineId]) {
        for waiter in self.table.waiters(timelines) {
            waiter.wake();
        }
    }

    /// Give up everything in `held`.
    pub fn release_all(&self, owner: LockOwner, held: &mut Vec<Arc<LockObject>>) {
        for object in held.drain(..) {
            self.table.release(&object, owner);
        }
    }

    /// Transactions that wait.
    pub fn waiting_count(&self) -> usize {
        self.graph.waiting_count()
    }

    /// How many waits there were, and how many of them would have been for ever.
    pub fn waits(&self) -> (u64, u64) {
        let waits = self.waits.load(Ordering::Relaxed);
        (waits, self.deadlocks.load(Ordering::Relaxed))
    }

    /// Objects that are locked or waited for.
    pub fn object_count(&self) -> usize {
        self.table.object_count()
    }
}
