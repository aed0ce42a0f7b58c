//! Sets of keys as disjoint ranges, which can be made coarser.
//!
//! What a transaction read and wrote is kept as ranges of full keys (`collection | key`), so that a
//! point, a range of an index and a whole table are the same thing. Ranges that touch become one:
//! neighbouring RowIds and integers do.
//!
//! A set always holds at least what was put into it. It may hold more: a key stands for all keys that
//! begin with it, and past its limits the set *coarsens*, each second range of a collection growing
//! over the gap to the one before, until in the end a collection has one range. PostgreSQL promotes
//! from tuple to page to relation instead (Ports and Grittner, section 5.2.1).

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::ids::CollectionId;
use crate::memtable::{KeyBounds, full_bounds, is_empty_range, split_key};

/// How large a set may become before it coarsens.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub ranges_max: usize,
    pub bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            ranges_max: 8192,
            bytes_max: 1 << 20,
        }
    }
}

/// Approximate memory of a range besides its bounds.
const RANGE_OVERHEAD_BYTES: usize = 64;

/// A start and an end.
type Range = (Box<[u8]>, Box<[u8]>);

/// See the module's header. Starts are inclusive and ends exclusive.
#[derive(Clone, Debug, Default)]
pub struct KeyRanges {
    map: BTreeMap<Box<[u8]>, Box<[u8]>>,
    bytes: usize,
}

/// The least key that does not begin with `key` and is greater: the number one up, when read as one.
fn after_prefix(key: &[u8]) -> Box<[u8]> {
    let mut next = key.to_vec();
    for place in (0..next.len()).rev() {
        match next[place].checked_add(1) {
            Some(byte) => {
                next[place] = byte;
                return next.into_boxed_slice();
            }
            None => next[place] = 0,
        }
    }
    // Nothing but 0xFF: no collection has that number.
    vec![0xFF; key.len() + 1].into_boxed_slice()
}

/// The least key that is greater.
fn successor(key: &[u8]) -> Box<[u8]> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into_boxed_slice()
}

fn cost(from: &[u8], to: &[u8]) -> usize {
    RANGE_OVERHEAD_BYTES + from.len() + to.len()
}

impl KeyRanges {
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Approximate memory taken.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Add a full key.
    pub fn insert_key(&mut self, key: &[u8]) {
        if !self.covers(key) {
            self.insert(Box::from(key), after_prefix(key));
        }
    }

    /// Add the keys of `collection` within the bounds.
    pub fn insert_bounds(
        &mut self,
        collection: CollectionId,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) {
        if is_empty_range(from, to) {
            return;
        }
        let (from, to): KeyBounds = full_bounds(collection, from, to);
        let from = match from {
            Bound::Included(key) => key,
            Bound::Excluded(key) => successor(&key),
            Bound::Unbounded => Box::default(),
        };
        let to = match to {
            Bound::Included(key) => after_prefix(&key),
            Bound::Excluded(key) => key,
            // Behind the last collection that there could be.
            Bound::Unbounded => after_prefix(&[0xFF; 4]),
        };
        if from < to {
            self.insert(from, to);
        }
    }

    fn insert(&mut self, mut from: Box<[u8]>, mut to: Box<[u8]>) {
        // Take in all that it touches: at most one range begins before it ...
        let before = self
            .map
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(&*from)));
        if let Some((start, end)) = before.into_iter().next_back()
            && *end >= from
        {
            if *end >= to {
                return;
            }
            let start = start.clone();
            self.remove(&start);
            from = start;
        }
        // ... and others within it or at its end.
        loop {
            let within = (Bound::Included(&*from), Bound::Included(&*to));
            let Some((start, _)) = self.map.range::<[u8], _>(within).next() else {
                break;
            };
            let start = start.clone();
            if let Some(end) = self.remove(&start) {
                to = to.max(end);
            }
        }
        self.bytes += cost(&from, &to);
        self.map.insert(from, to);
    }

    fn remove(&mut self, start: &[u8]) -> Option<Box<[u8]>> {
        let end = self.map.remove(start)?;
        self.bytes -= cost(start, &end);
        Some(end)
    }

    /// Add all of another set.
    pub fn extend(&mut self, other: &KeyRanges) {
        for (from, to) in &other.map {
            self.insert(from.clone(), to.clone());
        }
    }

    /// Whether `key` is in the set.
    pub fn covers(&self, key: &[u8]) -> bool {
        let before = self
            .map
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)));
        before
            .into_iter()
            .next_back()
            .is_some_and(|(_, end)| **end > *key)
    }

    /// Whether the sets have a key in common. Costs what the smaller one has, times a search.
    pub fn intersects(&self, other: &KeyRanges) -> bool {
        let (few, many) = match self.map.len() <= other.map.len() {
            true => (self, other),
            false => (other, self),
        };
        few.map.iter().any(|(from, to)| {
            let within = (Bound::Included(&**from), Bound::Excluded(&**to));
            many.covers(from) || many.map.range::<[u8], _>(within).next().is_some()
        })
    }

    /// Coarsen until the set is within the limits, or can become no smaller.
    pub fn bound(&mut self, limits: Limits) {
        while self.map.len() > limits.ranges_max || self.bytes > limits.bytes_max {
            let before = self.map.len();
            self.coarsen();
            if self.map.len() == before {
                return;
            }
        }
    }

    /// Join every second range to the one before it in the same collection.
    fn coarsen(&mut self) {
        let ranges = std::mem::take(&mut self.map);
        self.bytes = 0;
        let mut held: Option<Range> = None;
        for (from, to) in ranges {
            held = match held.take() {
                Some((first, _)) if collection(&first) == collection(&from) => {
                    self.push(first, to);
                    None
                }
                Some((first, end)) => {
                    self.push(first, end);
                    Some((from, to))
                }
                None => Some((from, to)),
            };
        }
        if let Some((from, to)) = held {
            self.push(from, to);
        }
    }

    fn push(&mut self, from: Box<[u8]>, to: Box<[u8]>) {
        self.bytes += cost(&from, &to);
        self.map.insert(from, to);
    }
}

fn collection(full: &[u8]) -> CollectionId {
    split_key(full).0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::memtable::full_key;
    use crate::transaction::ssi::tests::Random;

    fn key(collection: u32, n: u16) -> Box<[u8]> {
        full_key(CollectionId(collection), &n.to_be_bytes())
    }

    #[test]
    fn neighbours_become_one_range() {
        let mut set = KeyRanges::default();
        for n in [1, 3, 2, 255, 256, 65535] {
            set.insert_key(&key(7, n));
        }
        assert_eq!(set.len(), 3);
        assert!(set.covers(&key(7, 2)) && set.covers(&key(7, 65535)));
        assert!(!set.covers(&key(7, 4)) && !set.covers(&key(8, 0)));
        set.insert_bounds(CollectionId(7), Bound::Unbounded, Bound::Unbounded);
        assert_eq!(set.len(), 1);
        assert!(set.covers(&key(7, 4)) && !set.covers(&key(8, 0)) && !set.covers(&key(6, 65535)));
    }

    #[test]
    fn bounds_keep_what_they_exclude_out() {
        let ends = [3_u16, 9].map(u16::to_be_bytes);
        let mut set = KeyRanges::default();
        let excluded = (Bound::Excluded(&ends[0][..]), Bound::Excluded(&ends[1][..]));
        set.insert_bounds(CollectionId(7), excluded.0, excluded.1);
        assert!(!set.covers(&key(7, 3)) && set.covers(&key(7, 4)));
        assert!(set.covers(&key(7, 8)) && !set.covers(&key(7, 9)));
        set.insert_bounds(
            CollectionId(7),
            Bound::Included(&ends[1]),
            Bound::Included(&ends[1]),
        );
        assert!(set.covers(&key(7, 9)) && !set.covers(&key(7, 10)));
        set.insert_bounds(
            CollectionId(7),
            Bound::Included(&ends[1]),
            Bound::Excluded(&ends[0]),
        );
        assert_eq!(set.len(), 1);
        set.insert_bounds(CollectionId(u32::MAX), Bound::Unbounded, Bound::Unbounded);
        assert!(set.covers(&full_key(CollectionId(u32::MAX), &[0xFE; 3])));
    }

    /// Against a plain set of keys: nothing is ever lost, nothing is added before it coarsens, and
    /// intersections are found.
    #[test]
    fn a_set_holds_what_was_put_into_it() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let coarse = seed % 2 == 1;
            let mut sets = [KeyRanges::default(), KeyRanges::default()];
            let mut models = [BTreeSet::new(), BTreeSet::new()];
            for _ in 0..60 {
                let which = random.below(2) as usize;
                let (set, model) = (&mut sets[which], &mut models[which]);
                let c = 1 + random.below(2) as u32;
                let a = random.below(400) as u16;
                if random.below(10) < 7 {
                    set.insert_key(&key(c, a));
                    model.insert((c, a));
                } else {
                    let b = a + random.below(6) as u16;
                    let (from, to) = (a.to_be_bytes(), b.to_be_bytes());
                    set.insert_bounds(
                        CollectionId(c),
                        Bound::Included(&from),
                        Bound::Excluded(&to),
                    );
                    model.extend((a..b).map(|n| (c, n)));
                }
                if coarse {
                    set.bound(Limits {
                        ranges_max: 5,
                        bytes_max: usize::MAX,
                    });
                    assert!(set.len() <= 5);
                }
                let bytes: usize = set.map.iter().map(|(from, to)| cost(from, to)).sum();
                assert_eq!(set.bytes(), bytes);
            }
            for (set, model) in sets.iter().zip(&models) {
                for c in 1..3 {
                    for n in 0..410 {
                        let held = model.contains(&(c, n));
                        let covered = set.covers(&key(c, n));
                        assert!(covered || !held, "seed {seed}: {c} {n} is lost");
                        assert!(coarse || covered == held, "seed {seed}: {c} {n}");
                    }
                }
            }
            let common = models[0].intersection(&models[1]).next().is_some();
            let found = sets[0].intersects(&sets[1]);
            assert_eq!(found, sets[1].intersects(&sets[0]));
            assert!(found || !common, "seed {seed}");
            assert!(coarse || found == common, "seed {seed}");
        }
    }
}
