//! The versions of one key, newest first.
//!
//! ```text
//! head ─▶ v7 ─prev─▶ v6 ─prev─▶ v5 ─prev─▶ v4 ─prev─▶ v3 ─prev─▶ v2 ─prev─▶ v1
//!          └────────── jump ──────────▶ …      each version also has a jump pointer
//! ```
//!
//! The jump pointers are skew-binary (Myers, "An applicative random-access stack", 1983): a version
//! at depth `d` jumps to its predecessor, or, when the predecessor's jump and that jump's own jump
//! have equal length, over both. Finding the newest version at or before a timestamp takes
//! O(log versions) steps, so AS OF on a hot row costs no more than on a cold one.
//!
//! Invariants:
//!
//! 1. At most one transaction has pending versions in a chain (it holds the key's lock), and they
//!    are at its head; below them, timestamps fall strictly from newer to older.
//! 2. A version never changes after it was pushed, but for its cached timestamp, which goes from
//!    unknown to the transaction's commit timestamp once.
//! 3. A jump target is always also reachable over `prev`, so `prev` alone owns the chain; dropping a
//!    chain of any length walks it and never recurses.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::ids::Ts;
use crate::sync::atomic::{AtomicU64, Ordering};

/// A transaction's commit state, shared by all its versions: one store makes all of them visible.
#[derive(Debug, Default)]
pub struct TxnSlot {
    /// 0 while pending, then the commit timestamp.
    ts: AtomicU64,
}

impl TxnSlot {
    pub fn pending() -> Arc<TxnSlot> {
        Arc::new(TxnSlot::default())
    }

    /// A slot that is born committed (recovery).
    pub fn committed(ts: Ts) -> Arc<TxnSlot> {
        Arc::new(TxnSlot {
            ts: AtomicU64::new(ts.0),
        })
    }

    /// The flip: every version of the transaction becomes visible at `ts`.
    pub fn commit(&self, ts: Ts) {
        debug_assert!(ts > Ts::ZERO, "timestamp 0 means pending");
        self.ts.store(ts.0, Ordering::Release);
    }

    /// The commit timestamp, once there is one.
    pub fn ts(&self) -> Option<Ts> {
        match self.ts.load(Ordering::Acquire) {
            0 => None,
            ts => Some(Ts(ts)),
        }
    }
}

/// One version of a key: a value, or `None` for a delete.
#[derive(Debug)]
pub struct Version {
    /// Cached commit timestamp; 0 until a reader stamps it from the slot.
    ts: AtomicU64,
    slot: Arc<TxnSlot>,
    value: Option<Box<[u8]>>,
    depth: u32,
    prev: Option<Arc<Version>>,
    jump: Option<Arc<Version>>,
}

impl Version {
    /// The commit timestamp, or `None` while the transaction is pending.
    pub fn ts(&self) -> Option<Ts> {
        match self.ts.load(Ordering::Relaxed) {
            0 => {
                let ts = self.slot.ts()?;
                self.ts.store(ts.0, Ordering::Relaxed);
                Some(ts)
            }
            ts => Some(Ts(ts)),
        }
    }

    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    pub fn prev(&self) -> Option<&Arc<Version>> {
        self.prev.as_ref()
    }
}

impl Drop for Version {
    fn drop(&mut self) {
        let mut next = self.prev.take();
        while let Some(mut version) = next.and_then(Arc::into_inner) {
            next = version.prev.take();
        }
    }
}

/// All versions of one key.
#[derive(Debug, Default)]
pub struct Chain {
    head: RwLock<Option<Arc<Version>>>,
}

impl Chain {
    /// Add a version in front. The caller holds the key's lock, or nobody else knows the key.
    pub fn push(&self, slot: Arc<TxnSlot>, value: Option<Box<[u8]>>) {
        let mut head = self.head.write();
        let prev = head.take();
        let (depth, jump) = match &prev {
            None => (0, None),
            Some(p) => {
                let j = p.jump.as_ref();
                let jj = j.and_then(|j| j.jump.as_ref());
                let over = match (j, jj) {
                    (Some(j), Some(jj)) => p.depth - j.depth == j.depth - jj.depth,
                    _ => false,
                };
                (
                    p.depth + 1,
                    if over {
                        jj.cloned()
                    } else {
                        Some(Arc::clone(p))
                    },
                )
            }
        };
        *head = Some(Arc::new(Version {
            ts: AtomicU64::new(0),
            slot,
            value,
            depth,
            prev,
            jump,
        }));
    }

    /// The newest version, pending or not.
    pub fn head(&self) -> Option<Arc<Version>> {
        self.head.read().clone()
    }

    /// The newest version committed at or before `at`.
    pub fn find(&self, at: Ts) -> Option<Arc<Version>> {
        self.find_counted(at).0
    }

    /// [`find`](Self::find), and the steps it took.
    fn find_counted(&self, at: Ts) -> (Option<Arc<Version>>, usize) {
        let visible = |v: &Version| v.ts().is_some_and(|ts| ts <= at);
        let head = self.head.read();
        let mut current = head.as_ref();
        let mut steps = 0;
        while let Some(version) = current {
            if visible(version) {
                return (Some(Arc::clone(version)), steps);
            }
            steps += 1;
            // Jump while the target is still too new; a visible target may not be the newest.
            current = match &version.jump {
                Some(jump) if !visible(jump) => Some(jump),
                _ => version.prev.as_ref(),
            };
        }
        (None, steps)
    }

    /// The newest committed version.
    pub fn newest(&self) -> Option<Arc<Version>> {
        self.find(Ts::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(versions: u64) -> Chain {
        let chain = Chain::default();
        for i in 1..=versions {
            chain.push(
                TxnSlot::committed(Ts(i * 10)),
                Some(Box::from(i.to_le_bytes())),
            );
        }
        chain
    }

    #[test]
    fn finds_the_newest_version_at_or_before_a_timestamp() {
        let chain = chain(100);
        for at in 0..1100 {
            let expected = (at / 10).min(100);
            let found = chain.find(Ts(at));
            assert_eq!(found.is_some(), expected > 0, "at {at}");
            if let Some(v) = found {
                assert_eq!(v.ts(), Some(Ts(expected * 10)), "at {at}");
                assert_eq!(v.value(), Some(&expected.to_le_bytes()[..]));
            }
        }
    }

    #[test]
    fn steps_grow_with_the_logarithm() {
        let chain = chain(100_000);
        for at in [10, 123_450, 500_000, 999_990] {
            let (found, steps) = chain.find_counted(Ts(at));
            assert_eq!(found.unwrap().ts(), Some(Ts(at)));
            assert!(steps < 64, "{steps} steps to {at}");
        }
    }

    #[test]
    fn pending_versions_are_invisible_until_the_flip() {
        let chain = chain(3);
        let slot = TxnSlot::pending();
        chain.push(Arc::clone(&slot), None);
        assert_eq!(chain.newest().unwrap().ts(), Some(Ts(30)));
        slot.commit(Ts(40));
        assert_eq!(chain.newest().unwrap().ts(), Some(Ts(40)));
        assert_eq!(chain.find(Ts(39)).unwrap().ts(), Some(Ts(30)));
    }

    /// A recursive drop of a million versions would overflow the stack of a test thread.
    #[test]
    fn a_long_chain_drops_without_recursion() {
        let chain = chain(1_000_000);
        let middle = chain.find(Ts(5_000_000)).unwrap();
        drop(chain);
        assert_eq!(middle.prev().unwrap().ts(), Some(Ts(4_999_990)));
    }
}
