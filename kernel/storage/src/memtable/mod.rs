//! Row versions in memory: an ordered concurrent map from key to version chain.
//!
//! A memtable belongs to one timeline. Its keys are `collection (4 bytes, big-endian) | key`, so one
//! map holds every collection and a flush meets them in order. Keys are only ever added, never
//! removed; a memtable ends by being frozen, flushed and dropped as a whole.
//!
//! Only committing transactions write here, between building their WAL record and the flip of their
//! [`TxnSlot`]: a transaction's own writes live in its private write set until then. So nothing
//! uncommitted is ever frozen, and a freeze carries nothing over (the engine's freeze lock excludes
//! that window).

use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use crossbeam_skiplist::SkipMap;

use crate::ids::{CollectionId, TimelineId, Ts};
use crate::memory::{MemoryBudget, Part};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

pub mod chain;
mod filter;

pub use chain::{Chain, TxnSlot, Version};
use filter::KeyFilter;

/// Approximate bytes of a version besides its value, and of a key besides its bytes.
const VERSION_OVERHEAD_BYTES: usize = 112;
const KEY_OVERHEAD_BYTES: usize = 96;
/// Bytes of the collection id in front of each key.
pub const PREFIX_BYTES: usize = 4;

/// `collection | key`: how a key of a collection is written wherever all collections share one map.
pub fn full_key(collection: CollectionId, key: &[u8]) -> Box<[u8]> {
    let mut full = Vec::with_capacity(PREFIX_BYTES + key.len());
    full.extend_from_slice(&collection.0.to_be_bytes());
    full.extend_from_slice(key);
    full.into_boxed_slice()
}

/// The parts of a full key.
pub fn split_key(full: &[u8]) -> (CollectionId, &[u8]) {
    let (prefix, key) = full.split_at(PREFIX_BYTES);
    let prefix = prefix.try_into().expect("split at the prefix's length");
    (CollectionId(u32::from_be_bytes(prefix)), key)
}

/// Bounds on owned keys, and on borrowed ones.
pub type KeyBounds = (Bound<Box<[u8]>>, Bound<Box<[u8]>>);
pub type SliceBounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Bounds over full keys that hold exactly the keys of `collection` within `from` and `to`.
pub fn full_bounds(collection: CollectionId, from: Bound<&[u8]>, to: Bound<&[u8]>) -> KeyBounds {
    let from = match from {
        Bound::Included(key) => Bound::Included(full_key(collection, key)),
        Bound::Excluded(key) => Bound::Excluded(full_key(collection, key)),
        Bound::Unbounded => Bound::Included(full_key(collection, &[])),
    };
    let to = match to {
        Bound::Included(key) => Bound::Included(full_key(collection, key)),
        Bound::Excluded(key) => Bound::Excluded(full_key(collection, key)),
        Bound::Unbounded => match collection.0.checked_add(1) {
            Some(next) => Bound::Excluded(full_key(CollectionId(next), &[])),
            None => Bound::Unbounded,
        },
    };
    (from, to)
}

/// Bounds on owned keys as bounds on slices.
pub fn as_slices(bounds: &KeyBounds) -> SliceBounds<'_> {
    (
        bounds.0.as_ref().map(|k| &**k),
        bounds.1.as_ref().map(|k| &**k),
    )
}

/// Whether no key can lie within the bounds; ordered maps panic on some of those.
pub fn is_empty_range(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    match (from, to) {
        (Bound::Included(a), Bound::Included(b)) => a > b,
        (Bound::Included(a), Bound::Excluded(b))
        | (Bound::Excluded(a), Bound::Included(b))
        | (Bound::Excluded(a), Bound::Excluded(b)) => a >= b,
        _ => false,
    }
}

/// See the module's header.
pub struct Memtable {
    timeline: TimelineId,
    map: SkipMap<Box<[u8]>, Chain>,
    /// Of the keys of the map, when those are many.
    filter: KeyFilter,
    bytes: AtomicUsize,
    /// What is counted in the budget, which is less while commits are under way.
    counted: AtomicUsize,
    memory: Option<Arc<MemoryBudget>>,
    /// `u64::MAX` as long as nothing is in here.
    ts_min: AtomicU64,
    ts_max: AtomicU64,
    /// Set by the freeze: how many live rows each table had then.
    live_rows: OnceLock<Vec<(CollectionId, i64)>>,
}

impl Memtable {
    /// One that nobody counts.
    pub fn new(timeline: TimelineId) -> Memtable {
        Memtable::counted(timeline, None)
    }

    /// One that is counted in `memory` until it is dropped, which may be long after its flush: when its
    /// last reader has ended.
    pub fn within(timeline: TimelineId, memory: &Arc<MemoryBudget>) -> Memtable {
        Memtable::counted(timeline, Some(Arc::clone(memory)))
    }

    fn counted(timeline: TimelineId, memory: Option<Arc<MemoryBudget>>) -> Memtable {
        Memtable {
            timeline,
            map: SkipMap::new(),
            filter: KeyFilter::default(),
            bytes: AtomicUsize::new(0),
            counted: AtomicUsize::new(0),
            memory,
            ts_min: AtomicU64::new(u64::MAX),
            ts_max: AtomicU64::new(0),
            live_rows: OnceLock::new(),
        }
    }

    pub fn timeline(&self) -> TimelineId {
        self.timeline
    }

    /// Approximate memory taken.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Count what [`Memtable::insert`] said that versions take, of a whole commit.
    pub fn count(&self, bytes: usize) {
        if let Some(memory) = &self.memory {
            self.counted.fetch_add(bytes, Ordering::Relaxed);
            memory.grow(Part::Memtables, bytes);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The oldest commit in here.
    pub fn ts_min(&self) -> Option<Ts> {
        let ts = self.ts_min.load(Ordering::Acquire);
        (ts < u64::MAX).then_some(Ts(ts))
    }

    /// The newest commit in here; stable once frozen.
    pub fn ts_max(&self) -> Ts {
        Ts(self.ts_max.load(Ordering::Acquire))
    }

    /// Note that a transaction with versions in here committed at `ts`.
    pub fn note_commit(&self, ts: Ts) {
        self.ts_min.fetch_min(ts.0, Ordering::AcqRel);
        self.ts_max.fetch_max(ts.0, Ordering::AcqRel);
    }

    /// Nothing comes in any more. Remembers the row counts, which belong to exactly this state.
    pub fn freeze(&self, live_rows: Vec<(CollectionId, i64)>) {
        self.live_rows.get_or_init(|| live_rows);
    }

    pub fn live_rows_when_frozen(&self) -> &[(CollectionId, i64)] {
        self.live_rows.get().map_or(&[], Vec::as_slice)
    }

    /// First and last full key within the bounds.
    pub fn ends(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Option<[Box<[u8]>; 2]> {
        if is_empty_range(from, to) {
            return None;
        }
        let first = self.map.range::<[u8], _>((from, to)).next()?;
        let last = self.map.range::<[u8], _>((from, to)).next_back()?;
        Some([first.key().clone(), last.key().clone()])
    }

    /// Whether anything of a collection is in here.
    pub fn has(&self, collection: CollectionId) -> bool {
        let bounds = full_bounds(collection, Bound::Unbounded, Bound::Unbounded);
        self.map
            .range::<[u8], _>(as_slices(&bounds))
            .next()
            .is_some()
    }

    /// Add a version of a full key; about how many bytes it takes.
    pub fn insert(&self, key: Box<[u8]>, slot: Arc<TxnSlot>, value: Option<Box<[u8]>>) -> usize {
        let mut bytes = VERSION_OVERHEAD_BYTES + value.as_ref().map_or(0, |v| v.len());
        let key_bytes = KEY_OVERHEAD_BYTES + key.len();
        let new_chain = || {
            bytes += key_bytes;
            Chain::default()
        };
        let entry = self.map.get_or_insert_with(key, new_chain);
        entry.value().push(slot, value);
        self.filter.note(entry.key());
        if !self.filter.is_begun() && self.map.len() >= filter::KEYS_MIN {
            let visit = |add: &mut dyn FnMut(&[u8])| {
                self.map.iter().for_each(|entry| add(entry.key()));
            };
            if self.filter.make(visit) {
                bytes += filter::BYTES;
            }
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        bytes
    }

    /// The newest version of a full key committed at or before `at`.
    pub fn find(&self, key: &[u8], at: Ts) -> Option<Arc<Version>> {
        if !self.filter.may_have(key) {
            return None;
        }
        self.map.get(key)?.value().find(at)
    }

    /// Visit full keys in order within the bounds, until `visit` says to stop.
    pub fn visit(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        mut visit: impl FnMut(&[u8], &Chain) -> std::ops::ControlFlow<()>,
    ) {
        if is_empty_range(from, to) {
            return;
        }
        for entry in self.map.range::<[u8], _>((from, to)) {
            if visit(entry.key(), entry.value()).is_break() {
                return;
            }
        }
    }
}

impl Drop for Memtable {
    fn drop(&mut self) {
        if let Some(memory) = &self.memory {
            memory.shrink(Part::Memtables, *self.counted.get_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    #[test]
    fn one_map_keeps_collections_apart_and_in_order() {
        let table = Memtable::new(TimelineId::MAIN);
        for (c, k) in [(7, "b"), (6, "z"), (7, "a"), (8, "")] {
            let slot = TxnSlot::committed(Ts(5));
            table.insert(
                full_key(CollectionId(c), k.as_bytes()),
                slot,
                Some(Box::from(*b"v")),
            );
        }
        let bounds = full_bounds(CollectionId(7), Bound::Unbounded, Bound::Unbounded);
        let (from, to) = as_slices(&bounds);
        let mut keys = Vec::new();
        table.visit(from, to, |key, _| {
            let (collection, key) = split_key(key);
            assert_eq!(collection, CollectionId(7));
            keys.push(key.to_vec());
            ControlFlow::Continue(())
        });
        assert_eq!(keys, vec![b"a".to_vec(), b"b".to_vec()]);
        assert!(
            table
                .find(&full_key(CollectionId(7), b"a"), Ts(4))
                .is_none()
        );
        assert!(
            table
                .find(&full_key(CollectionId(7), b"a"), Ts(5))
                .is_some()
        );
        assert!(table.bytes() > 0);
    }

    #[test]
    fn what_threads_put_in_while_the_filter_is_made_is_found() {
        let table = Memtable::new(TimelineId::MAIN);
        let count = filter::KEYS_MIN as u64;
        let key = |n: u64| full_key(CollectionId(7), &n.to_be_bytes());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (table, key) = (&table, &key);
                scope.spawn(move || {
                    for n in (thread..count + 1000).step_by(4) {
                        table.insert(key(n), TxnSlot::committed(Ts(5)), None);
                        assert!(table.find(&key(n), Ts(5)).is_some(), "{n}");
                    }
                });
            }
        });
        assert!(table.filter.is_begun());
        assert!((0..count + 1000).all(|n| table.find(&key(n), Ts(5)).is_some()));
        assert!(table.bytes() > filter::BYTES);
    }

    #[test]
    fn an_inverted_range_is_empty() {
        let table = Memtable::new(TimelineId::MAIN);
        table.insert(Box::from(*b"k"), TxnSlot::committed(Ts(1)), None);
        table.visit(Bound::Included(b"z"), Bound::Excluded(b"a"), |_, _| {
            panic!("empty")
        });
        table.visit(Bound::Excluded(b"k"), Bound::Excluded(b"k"), |_, _| {
            panic!("empty")
        });
    }
}
