//! Advisory locks: locks on numbers, whose meaning is that of the programs that take them.
//!
//! A key is one 64-bit number or two of 32 bits; the two kinds never meet. A lock is held by a session,
//! until it lets go as often as it took it or ends, or by its transaction, until that ends. Both are one
//! owner to the lock manager, so what a session holds never keeps itself out, and waits for them are part of
//! the graph that finds deadlocks.
//!
//! Invariants:
//! 1. The lock table has a mode of a key for the session if and only if one of the two counts of it is not 0.
//! 2. What the transaction took is in the order in which it took it, so that falling back to a savepoint
//!    gives up just what came after it.
//!
//! Nothing here is stored: a lock ends with the process at the latest.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::{LockObject, LockOwner, LockWait, Mode, TableLockMode};
use crate::engine::{Engine, EngineInner};
use crate::error::Result;
use crate::ids::{CollectionId, TimelineId};
use crate::interrupt::Interrupt;
use crate::memory::Part;
use crate::options::LOCK_BYTES;

/// Where their keys are in the lock table. No collection has this id: they are given out from below.
const ADVISORY: CollectionId = CollectionId(u32::MAX);

/// What an advisory lock is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdvisoryKey {
    One(i64),
    Two(i32, i32),
}

/// How long an advisory lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdvisoryScope {
    Session,
    Transaction,
}

impl AdvisoryKey {
    /// As PostgreSQL shows a key: the class, the object in it, and 1 or 2 for the kind of key.
    pub fn parts(self) -> (u32, u32, u16) {
        match self {
            AdvisoryKey::One(key) => ((key >> 32) as u32, key as u32, 1),
            AdvisoryKey::Two(class, object) => (class as u32, object as u32, 2),
        }
    }

    fn object(self) -> LockObject {
        let (class, object, kind) = self.parts();
        let mut key = [0; 10];
        key[..4].copy_from_slice(&class.to_be_bytes());
        key[4..8].copy_from_slice(&object.to_be_bytes());
        key[8..].copy_from_slice(&kind.to_be_bytes());
        LockObject {
            timeline: TimelineId::MAIN,
            collection: ADVISORY,
            key: Some(Box::from(key)),
        }
    }

    /// The key that a locked object is, if it is one.
    pub(super) fn of(object: &LockObject) -> Option<AdvisoryKey> {
        if object.collection != ADVISORY {
            return None;
        }
        let key: [u8; 10] = object.key.as_deref()?.try_into().ok()?;
        let number = i64::from_be_bytes(key[..8].try_into().ok()?);
        Some(match key[9] {
            1 => AdvisoryKey::One(number),
            _ => AdvisoryKey::Two((number >> 32) as i32, number as i32),
        })
    }
}

impl fmt::Display for AdvisoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, object, kind) = self.parts();
        write!(f, "[{class},{object},{kind}]")
    }
}

fn mode(shared: bool) -> Mode {
    match shared {
        true => TableLockMode::Share.into(),
        false => TableLockMode::Exclusive.into(),
    }
}

/// How often a mode of a key is held.
#[derive(Default)]
struct Counts {
    session: u64,
    transaction: u64,
}

struct Held {
    object: Arc<LockObject>,
    /// Exclusive, then shared.
    counts: [Counts; 2],
}

/// The advisory locks of one session. Dropping it gives them up.
pub struct AdvisoryLocks {
    engine: Arc<EngineInner>,
    owner: LockOwner,
    interrupt: Arc<Interrupt>,
    held: HashMap<AdvisoryKey, Held>,
    /// Of the transaction.
    taken: Vec<(AdvisoryKey, bool)>,
    ended: bool,
}

impl fmt::Debug for AdvisoryLocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdvisoryLocks")
            .field("owner", &self.owner)
            .field("keys", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Those of a session, which has none yet. `interrupt` is the session's and has its number.
    pub fn advisory_locks(&self, interrupt: &Arc<Interrupt>) -> AdvisoryLocks {
        let engine = Arc::clone(self.inner());
        AdvisoryLocks {
            owner: interrupt.lock_owner(engine.next_txn_id()),
            engine,
            interrupt: Arc::clone(interrupt),
            held: HashMap::new(),
            taken: Vec::new(),
            ended: false,
        }
    }
}

impl AdvisoryLocks {
    /// Take a lock once more.
    pub fn lock(
        &mut self,
        key: AdvisoryKey,
        shared: bool,
        scope: AdvisoryScope,
        wait: LockWait,
    ) -> Result<()> {
        if self.ended {
            return Err(crate::error::Error::Canceled);
        }
        if !self.held.contains_key(&key) {
            self.engine
                .memory
                .try_grow(Part::Transactions, LOCK_BYTES)?;
            let object = Arc::new(key.object());
            let acquired = self.acquire(&object, shared, wait);
            if acquired.is_err() {
                self.engine.memory.shrink(Part::Transactions, LOCK_BYTES);
            }
            acquired?;
            let counts = Default::default();
            self.held.insert(key, Held { object, counts });
        } else if let Some(held) = self.held.get(&key) {
            let counts = &held.counts[usize::from(shared)];
            if counts.session == 0 && counts.transaction == 0 {
                let object = Arc::clone(&held.object);
                self.acquire(&object, shared, wait)?;
            }
        }
        if let Some(held) = self.held.get_mut(&key) {
            let counts = &mut held.counts[usize::from(shared)];
            match scope {
                AdvisoryScope::Session => counts.session += 1,
                AdvisoryScope::Transaction => {
                    counts.transaction += 1;
                    self.taken.push((key, shared));
                }
            }
        }
        Ok(())
    }

    fn acquire(&self, object: &Arc<LockObject>, shared: bool, wait: LockWait) -> Result<()> {
        let mut held = Vec::new();
        let mode = mode(shared);
        let locks = &self.engine.locks;
        let object = LockObject::clone(object);
        let never = || false;
        let acquired = locks.acquire(
            self.owner,
            object,
            mode,
            wait,
            &self.interrupt,
            never,
            &mut held,
        );
        // A grant may have crossed the end of a wait that failed.
        if acquired.is_err() {
            for object in held {
                self.engine
                    .locks
                    .table
                    .release_mode(&object, self.owner, mode);
            }
        }
        acquired
    }

    /// Let go once of what the session holds; false if it does not hold it.
    pub fn unlock(&mut self, key: AdvisoryKey, shared: bool) -> bool {
        let Some(held) = self.held.get_mut(&key) else {
            return false;
        };
        let counts = &mut held.counts[usize::from(shared)];
        if counts.session == 0 {
            return false;
        }
        counts.session -= 1;
        self.settle(key, shared);
        true
    }

    /// Let go of all that the session holds, and of nothing that its transaction does.
    pub fn unlock_all(&mut self) {
        let keys: Vec<AdvisoryKey> = self.held.keys().copied().collect();
        for key in keys {
            for shared in [false, true] {
                if let Some(held) = self.held.get_mut(&key) {
                    held.counts[usize::from(shared)].session = 0;
                }
                self.settle(key, shared);
            }
        }
    }

    /// A place in the transaction to fall back to.
    pub fn mark(&self) -> usize {
        self.taken.len()
    }

    /// Give up what the transaction has taken since; all of it from 0.
    pub fn back_to(&mut self, mark: usize) {
        while self.taken.len() > mark {
            let Some((key, shared)) = self.taken.pop() else {
                return;
            };
            if let Some(held) = self.held.get_mut(&key) {
                held.counts[usize::from(shared)].transaction -= 1;
            }
            self.settle(key, shared);
        }
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Give up everything, for good: the session has ended.
    pub fn end(&mut self) {
        self.ended = true;
        self.taken.clear();
        for held in std::mem::take(&mut self.held).into_values() {
            self.engine.locks.table.release(&held.object, self.owner);
            self.engine.memory.shrink(Part::Transactions, LOCK_BYTES);
        }
    }

    /// Invariant 1, after a count went down.
    fn settle(&mut self, key: AdvisoryKey, shared: bool) {
        let Some(held) = self.held.get(&key) else {
            return;
        };
        let free = |counts: &Counts| counts.session == 0 && counts.transaction == 0;
        if free(&held.counts[usize::from(shared)]) {
            let table = &self.engine.locks.table;
            table.release_mode(&held.object, self.owner, mode(shared));
        }
        if held.counts.iter().all(free) {
            self.held.remove(&key);
            self.engine.memory.shrink(Part::Transactions, LOCK_BYTES);
        }
    }
}

impl Drop for AdvisoryLocks {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_two_kinds_are_different_and_come_back() {
        let keys = [
            AdvisoryKey::One(1),
            AdvisoryKey::Two(0, 1),
            AdvisoryKey::One(-1),
            AdvisoryKey::Two(-1, -1),
            AdvisoryKey::One(i64::MIN),
            AdvisoryKey::Two(i32::MIN, i32::MAX),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert_eq!(AdvisoryKey::of(&key.object()), Some(*key));
            for other in &keys[..i] {
                assert_ne!(other.object(), key.object());
            }
        }
        assert_eq!(AdvisoryKey::One(1 << 32 | 7).to_string(), "[1,7,1]");
    }
}
