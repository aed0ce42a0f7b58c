//! Which of a table's commit times are kept for comparing its history.
//!
//! Of all distinct times those with the least hashes: a choice that is even over the times, however
//! many versions each has, takes one pass and a few words, and comes out the same every time.

use std::collections::BTreeSet;

use twox_hash::XxHash3_64;

use crate::manifest::SAMPLES_MAX;

#[derive(Default)]
pub(super) struct Samples {
    /// Hash and time. One more than are kept, because the newest is left out in the end.
    chosen: BTreeSet<(u64, u64)>,
    newest: u64,
    last: u64,
}

impl Samples {
    pub fn add(&mut self, times: &[u64]) {
        for &ts in times {
            if ts == self.last {
                continue;
            }
            self.last = ts;
            self.newest = self.newest.max(ts);
            let item = (XxHash3_64::oneshot(&ts.to_le_bytes()), ts);
            if self.chosen.len() <= SAMPLES_MAX {
                self.chosen.insert(item);
            } else if self.chosen.last().is_some_and(|most| item < *most)
                && self.chosen.insert(item)
            {
                self.chosen.pop_last();
            }
        }
    }

    /// The times, rising. At the newest the table's content is that of the snapshot.
    pub fn finish(self) -> Vec<u64> {
        let times = self.chosen.into_iter().map(|(_, ts)| ts);
        let times = times.filter(|ts| *ts != self.newest);
        let mut times: Vec<u64> = times.take(SAMPLES_MAX).collect();
        times.sort_unstable();
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(times: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut samples = Samples::default();
        times.into_iter().for_each(|ts| samples.add(&[ts]));
        samples.finish()
    }

    #[test]
    fn all_but_the_newest_of_a_few() {
        assert!(samples([]).is_empty());
        assert!(samples([7, 7]).is_empty());
        assert_eq!(samples([3, 9, 3, 5, 9]), [3, 5]);
        assert_eq!(samples(1..=16), (1..16).collect::<Vec<_>>());
        assert_eq!(samples(1..=17), (1..=16).collect::<Vec<_>>());
    }

    #[test]
    fn a_few_of_many_in_whatever_order() {
        let chosen = samples(1..10_000);
        assert_eq!(chosen.len(), SAMPLES_MAX);
        assert_eq!(chosen, samples((1..10_000).rev()));
        assert!(chosen.is_sorted() && chosen[0] < 3_000 && chosen[SAMPLES_MAX - 1] > 7_000);
    }
}
