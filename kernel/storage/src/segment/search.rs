//! Search in what is sorted: numbers, and keys by the first bytes in which they differ.
//!
//! A binary search over blocks, pages or restart points reads from all over them, and each of its steps
//! waits for memory. Numbers that lie close together and a guess at the place, as if they rose evenly
//! (Peterson, "Addressing for Random-Access Storage", 1957), read from one or two lines of it. From the
//! guess the search gallops (Bentley and Yao, "An almost optimal algorithm for unbounded searching",
//! 1976), so however numbers are spread it takes no more than twice the steps of a binary search.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

/// How many of `numbers`, which rise, are below `number`. All of them lie in `span`.
pub(super) fn below(numbers: &[u64], span: RangeInclusive<u64>, number: u64) -> usize {
    let count = numbers.len();
    let (first, last) = span.into_inner();
    if number <= first || count == 0 {
        return 0;
    }
    if number > last {
        return count;
    }
    let share = (number - first) as f64 / (last - first) as f64;
    gallop(count, (share * count as f64) as usize, |place| {
        numbers[place] < number
    })
}

/// Of `count` places, how many are in front of the first that `is_before` does not hold for; it holds for
/// none after that. The search begins at `guess`.
fn gallop(count: usize, guess: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    let mut step = 1;
    let mut place = guess.min(count.saturating_sub(1));
    while low < high {
        if is_before(place) {
            low = place + 1;
            if high < count {
                break;
            }
            place = (place + step).min(count - 1);
        } else {
            high = place;
            if low > 0 {
                break;
            }
            place = place.saturating_sub(step);
        }
        step *= 2;
    }
    while low < high {
        let middle = low.midpoint(high);
        if is_before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Where in `ids`, which all differ, rise, and lie in `span`, with that first and last, `id` is.
pub(super) fn position(ids: &[u64], span: RangeInclusive<u64>, id: u64) -> Option<usize> {
    if !span.contains(&id) || ids.is_empty() {
        return None;
    }
    // Each id is one more than the one before, or further.
    let (first, last) = (*span.start(), *span.end());
    let after = usize::try_from(id - first).unwrap_or(usize::MAX);
    let before = usize::try_from(last - id).unwrap_or(usize::MAX);
    let high = after.min(ids.len() - 1);
    let low = (ids.len() - 1).saturating_sub(before).min(high);
    let place = match low == high {
        true => low,
        false => {
            let (ids, count) = (&ids[low..=high], ids.len());
            // Where it is among all, seen from the place of the first of these.
            let share = (id - first) as f64 / (last - first) as f64;
            let guess = (share * count as f64) as usize;
            low + gallop(ids.len(), guess.saturating_sub(low), |place| {
                ids[place] < id
            })
        }
    };
    (ids.get(place) == Some(&id)).then_some(place)
}

/// Eight bytes of each of some sorted keys: those after the ones that all of them begin with.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyHeads {
    common: Box<[u8]>,
    heads: Vec<u64>,
}

impl KeyHeads {
    pub fn new<'a>(keys: impl ExactSizeIterator<Item = &'a [u8]> + Clone) -> KeyHeads {
        let mut ends = keys.clone();
        let Some(first) = ends.next() else {
            return KeyHeads::default();
        };
        let last = ends.last().unwrap_or(first);
        let same = first.iter().zip(last).take_while(|(a, b)| a == b).count();
        KeyHeads {
            common: Box::from(&first[..same]),
            heads: keys
                .map(|key| head(key.get(same..).unwrap_or_default()))
                .collect(),
        }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.common.len() + self.heads.len() * size_of::<u64>()
    }

    /// How many of the keys stand in front of a place at `key`. Where heads do not tell, `is_behind` says of
    /// the key of a number whether it is behind that place, which may be before or after an equal one.
    pub fn split(&self, key: &[u8], is_behind: impl Fn(usize) -> bool) -> usize {
        let (Some(first), Some(last)) = (self.heads.first(), self.heads.last()) else {
            return 0;
        };
        let begins = &key[..key.len().min(self.common.len())];
        match begins.cmp(&self.common) {
            Ordering::Less => return 0,
            Ordering::Greater => return self.heads.len(),
            Ordering::Equal => {}
        }
        let head = head(&key[self.common.len()..]);
        let before = below(&self.heads, *first..=*last, head);
        let rest = &self.heads[before..];
        let tied = gallop(rest.len(), 0, |place| rest[place] == head);
        before + gallop(tied, 0, |place| !is_behind(before + place))
    }
}

/// The first bytes of a key as a number, which orders as they do; 0 stands for bytes that it does not have.
fn head(key: &[u8]) -> u64 {
    let mut head = [0; 8];
    let bytes = key.len().min(head.len());
    head[..bytes].copy_from_slice(&key[..bytes]);
    u64::from_be_bytes(head)
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_found_where_a_binary_search_finds_them(
            numbers in btree_set(prop_oneof![0..50_u64, any::<u64>(), u64::MAX - 50..=u64::MAX], 0..200),
            asked in prop_oneof![0..60_u64, any::<u64>(), u64::MAX - 60..=u64::MAX],
        ) {
            let numbers: Vec<u64> = numbers.into_iter().collect();
            let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
                return Ok(());
            };
            for asked in numbers.iter().copied().chain([asked]) {
                let span = *first..=*last;
                let wanted = numbers.binary_search(&asked);
                prop_assert_eq!(position(&numbers, span.clone(), asked), wanted.ok());
                let below = below(&numbers, span, asked);
                prop_assert_eq!(below, numbers.partition_point(|n| *n < asked));
            }
        }

        #[test]
        fn keys_are_found_where_a_binary_search_finds_them(
            prefix in vec(0..3_u8, 0..4),
            keys in btree_set(vec(prop_oneof![0..3_u8, 250..=u8::MAX], 0..14), 0..100),
            asked in vec(prop_oneof![0..3_u8, 250..=u8::MAX], 0..14),
        ) {
            let prefixed = |key: &Vec<u8>| [prefix.clone(), key.clone()].concat();
            let keys: Vec<Vec<u8>> = keys.iter().map(prefixed).collect();
            let heads = KeyHeads::new(keys.iter().map(Vec::as_slice));
            for asked in keys.iter().chain([&asked, &prefixed(&asked)]) {
                let found = heads.split(asked, |place| keys[place] > *asked);
                prop_assert_eq!(found, keys.partition_point(|key| key <= asked));
                let found = heads.split(asked, |place| keys[place] >= *asked);
                prop_assert_eq!(found, keys.partition_point(|key| key < asked));
            }
        }
    }
}
