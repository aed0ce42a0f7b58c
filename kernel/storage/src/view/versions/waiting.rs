//! What a merge has not come to yet, by where it may begin.
//!
//! A source that is read on holds memory; one in here holds none. So a merge keeps in memory what
//! overlaps at the place where it is, and not a piece of every file there is.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// Sources that nothing is read of.
pub(super) struct Waiting<K, S>(BinaryHeap<Place<K, S>>);

/// The least is the greatest, as the heap wants it.
struct Place<K, S> {
    /// The source has nothing before it.
    from: K,
    rank: usize,
    source: S,
}

impl<K: Ord, S> Waiting<K, S> {
    pub fn new() -> Waiting<K, S> {
        Waiting(BinaryHeap::new())
    }

    /// Put a source aside until the merge comes to `from`. `rank` is handed back with it.
    pub fn push(&mut self, from: K, rank: usize, source: S) {
        self.0.push(Place { from, rank, source });
    }

    /// Take out a source that may have something at or before `next`; any, if there is no next.
    pub fn pop_due(&mut self, next: Option<&K>) -> Option<(usize, S)> {
        let first = self.0.peek_mut()?;
        if next.is_some_and(|next| *next < first.from) {
            return None;
        }
        let Place { rank, source, .. } = PeekMut::pop(first);
        Some((rank, source))
    }

    /// Nothing that waits comes before it.
    pub fn next(&self) -> Option<&K> {
        self.0.peek().map(|place| &place.from)
    }
}

impl<K: Ord, S> Ord for Place<K, S> {
    fn cmp(&self, other: &Place<K, S>) -> Ordering {
        (&other.from, other.rank).cmp(&(&self.from, self.rank))
    }
}

impl<K: Ord, S> PartialOrd for Place<K, S> {
    fn partial_cmp(&self, other: &Place<K, S>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord, S> PartialEq for Place<K, S> {
    fn eq(&self, other: &Place<K, S>) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<K: Ord, S> Eq for Place<K, S> {}
