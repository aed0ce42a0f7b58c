//! Sequences: counters outside of transactions.
//!
//! A value handed out is never taken back, whatever becomes of the transaction that asked. To spare
//! a log record per value the log is told a value 32 steps ahead, as PostgreSQL does
//! (`SEQ_LOG_VALS`); after a crash the sequence goes on from there. So values may be skipped, and
//! none is ever given twice. The log record travels with the log's order: whoever commits with a
//! value waits for it (`Transaction::used_sequence`).
//!
//! There is one counter for all timelines, so that branches never give the same value, and no branch,
//! drop or swap takes it back. What a timeline *shows* is its own: the value that it drew last, or was set
//! to, and before that what its parent showed when it branched off. `setval` moves the counter when there
//! is one timeline, as PostgreSQL's does. When there are several it sets what the timeline shows, and the
//! next value is the one after that or after the counter, whichever is further on.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use crate::error::Result;
use crate::ids::{CollectionId, TimelineId};
use crate::wal::record::SequenceEdit;

/// Values logged ahead of use.
const LOG_AHEAD: u32 = 32;

/// A sequence's definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceSpec {
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cycle: bool,
}

/// A sequence's state as the log keeps it: the last value, and whether it was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceState {
    pub value: i64,
    pub is_called: bool,
}

impl SequenceSpec {
    /// The value after `state`.
    fn step(&self, state: Option<SequenceState>) -> Option<i64> {
        let value = match state {
            None => return Some(self.start),
            Some(SequenceState {
                value,
                is_called: false,
            }) => return Some(value),
            Some(SequenceState { value, .. }) => value,
        };
        let next = value
            .checked_add(self.increment)
            .filter(|&next| match self.increment >= 0 {
                true => next <= self.max,
                false => next >= self.min,
            });
        match next {
            Some(next) => Some(next),
            None if !self.cycle => None,
            None if self.increment >= 0 => Some(self.min),
            None => Some(self.max),
        }
    }
}

#[derive(Debug)]
struct Counter {
    state: SequenceState,
    /// Steps that may be taken by `logged_for` before the log must hear of it.
    logged_ahead: u32,
    logged_for: TimelineId,
}

/// All sequences. `log` is called under the mutex, so that records are in the order of states.
#[derive(Debug, Default)]
pub struct Sequences(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    counters: HashMap<CollectionId, Counter>,
    /// What each timeline shows.
    shown: HashMap<TimelineId, BTreeMap<CollectionId, SequenceState>>,
}

/// The one of two states that is further on in the direction of `spec`.
fn further(
    spec: &SequenceSpec,
    counter: Option<SequenceState>,
    shown: Option<SequenceState>,
) -> Option<SequenceState> {
    let (Some(a), Some(b)) = (counter, shown) else {
        return counter.or(shown);
    };
    let ahead = match spec.increment >= 0 {
        true => b.value > a.value,
        false => b.value < a.value,
    };
    Some(if ahead { b } else { a })
}

impl Sequences {
    /// Take over what the log has: how sequences go on, and what a timeline shows of them.
    pub fn restore(
        &self,
        counters: impl IntoIterator<Item = (CollectionId, SequenceState)>,
        timeline: TimelineId,
        shown: impl IntoIterator<Item = (CollectionId, SequenceState)>,
    ) {
        let mut all = self.0.lock();
        for (id, state) in counters {
            let counter = Counter {
                state,
                logged_ahead: 0,
                logged_for: timeline,
            };
            all.counters.insert(id, counter);
        }
        all.shown.entry(timeline).or_default().extend(shown);
    }

    /// The next value, `None` at the end.
    pub fn next(
        &self,
        timeline: TimelineId,
        id: CollectionId,
        spec: &SequenceSpec,
        log: impl FnOnce(SequenceEdit) -> Result<()>,
    ) -> Result<Option<i64>> {
        let mut all = self.0.lock();
        let counter = all.counters.get(&id);
        let shown = all.shown.get(&timeline).and_then(|shown| shown.get(&id));
        let state = counter.map(|c| c.state);
        // A cycle has no direction in which one value is further on than another.
        let several = all.shown.len() > 1 && !spec.cycle;
        let from = match several {
            true => further(spec, state, shown.copied()),
            false => state,
        };
        let Some(value) = spec.step(from) else {
            return Ok(None);
        };
        let next = SequenceState {
            value,
            is_called: true,
        };
        let usable = |c: &Counter| c.logged_for == timeline && from == Some(c.state);
        let logged_ahead = match counter.filter(|c| usable(c)).map_or(0, |c| c.logged_ahead) {
            0 => {
                let (mut ahead, mut steps) = (next, 0);
                // A cycle ends the look-ahead, or the logged value would lie behind the used ones.
                let onward = SequenceSpec {
                    cycle: false,
                    ..*spec
                };
                while steps < LOG_AHEAD {
                    let Some(value) = onward.step(Some(ahead)) else {
                        break;
                    };
                    ahead.value = value;
                    steps += 1;
                }
                log(SequenceEdit {
                    timeline,
                    id,
                    state: ahead,
                    moves: true,
                })?;
                steps
            }
            left => left - 1,
        };
        let counter = Counter {
            state: next,
            logged_ahead,
            logged_for: timeline,
        };
        all.counters.insert(id, counter);
        all.shown.entry(timeline).or_default().insert(id, next);
        Ok(Some(value))
    }

    /// Set the last value; with `is_called` false it is the next one to be handed out, unless other
    /// timelines are past it.
    pub fn set(
        &self,
        timeline: TimelineId,
        id: CollectionId,
        state: SequenceState,
        log: impl FnOnce(SequenceEdit) -> Result<()>,
    ) -> Result<()> {
        let mut all = self.0.lock();
        let moves = all.shown.len() <= 1;
        log(SequenceEdit {
            timeline,
            id,
            state,
            moves,
        })?;
        if moves {
            let counter = Counter {
                state,
                logged_ahead: 0,
                logged_for: timeline,
            };
            all.counters.insert(id, counter);
        }
        all.shown.entry(timeline).or_default().insert(id, state);
        Ok(())
    }

    /// Let `branch` show what `parent` does; `log` says so.
    pub fn branch<T>(
        &self,
        parent: TimelineId,
        branch: TimelineId,
        log: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let mut all = self.0.lock();
        let logged = log()?;
        let shown = all.shown.get(&parent).cloned().unwrap_or_default();
        all.shown.insert(branch, shown);
        Ok(logged)
    }

    /// A timeline is gone.
    pub fn forget(&self, timeline: TimelineId) {
        self.0.lock().shown.remove(&timeline);
    }

    /// Take over from another database what `timeline` shows of a sequence, and, if `moves`, how it goes on.
    pub fn load(
        &self,
        timeline: TimelineId,
        id: CollectionId,
        state: SequenceState,
        moves: bool,
        log: impl FnOnce(SequenceEdit) -> Result<()>,
    ) -> Result<()> {
        let mut all = self.0.lock();
        log(SequenceEdit {
            timeline,
            id,
            state,
            moves,
        })?;
        if moves {
            let counter = Counter {
                state,
                logged_ahead: 0,
                logged_for: timeline,
            };
            all.counters.insert(id, counter);
        }
        all.shown.entry(timeline).or_default().insert(id, state);
        Ok(())
    }

    /// How a sequence goes on, on whatever timeline.
    pub fn counter(&self, id: CollectionId) -> Option<SequenceState> {
        self.0.lock().counters.get(&id).map(|counter| counter.state)
    }

    /// All sequences ever used as a timeline shows them, by id.
    pub fn all(&self, timeline: TimelineId) -> Vec<(CollectionId, SequenceState)> {
        let all = self.0.lock();
        let shown = all.shown.get(&timeline);
        let shown = shown.map(|shown| shown.iter().map(|(id, state)| (*id, *state)).collect());
        shown.unwrap_or_default()
    }

    /// A sequence as a timeline shows it.
    pub fn state(&self, timeline: TimelineId, id: CollectionId) -> Option<SequenceState> {
        self.0.lock().shown.get(&timeline)?.get(&id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: CollectionId = CollectionId(2000);
    const MAIN: TimelineId = TimelineId::MAIN;
    const BRANCH: TimelineId = TimelineId(2);

    fn spec(increment: i64, min: i64, max: i64, cycle: bool) -> SequenceSpec {
        let start = if increment > 0 { min } else { max };
        SequenceSpec {
            start,
            increment,
            min,
            max,
            cycle,
        }
    }

    /// Take values, crash at `crash` and restore from the log, take more.
    fn run(spec: SequenceSpec, crash: usize, total: usize) -> (Vec<Option<i64>>, usize) {
        let mut sequences = Sequences::default();
        let (mut logged, mut records) = (None, 0);
        let mut values = Vec::new();
        for i in 0..total {
            if i == crash {
                sequences = Sequences::default();
                if let Some(state) = logged {
                    sequences.restore([(ID, state)], MAIN, [(ID, state)]);
                }
            }
            let value = sequences.next(MAIN, ID, &spec, |edit| {
                logged = Some(edit.state);
                records += 1;
                Ok(())
            });
            values.push(value.unwrap());
        }
        (values, records)
    }

    #[test]
    fn a_crash_skips_values_and_repeats_none() {
        for crash in 0..70 {
            let (values, records) = run(spec(1, 1, i64::MAX, false), crash, 100);
            assert!(
                values.windows(2).all(|w| w[0] < w[1]),
                "crash at {crash}: {values:?}"
            );
            assert!(records <= 5, "{records} records for 100 values");
        }
    }

    #[test]
    fn it_ends_at_its_bounds_or_cycles() {
        let (values, _) = run(spec(2, 1, 5, false), 99, 5);
        assert_eq!(values, [Some(1), Some(3), Some(5), None, None]);
        let (values, _) = run(spec(-1, 1, 3, true), 99, 5);
        assert_eq!(values, [Some(3), Some(2), Some(1), Some(3), Some(2)]);
        let (values, _) = run(spec(i64::MAX, 1, i64::MAX, false), 99, 2);
        assert_eq!(values, [Some(1), None]);
    }

    #[test]
    fn setval_with_is_called_false_hands_the_value_out_next() {
        let sequences = Sequences::default();
        let spec = spec(1, 1, 100, false);
        sequences
            .set(
                MAIN,
                ID,
                SequenceState {
                    value: 42,
                    is_called: false,
                },
                |_| Ok(()),
            )
            .unwrap();
        assert_eq!(
            sequences.next(MAIN, ID, &spec, |_| Ok(())).unwrap(),
            Some(42)
        );
        assert_eq!(
            sequences.next(MAIN, ID, &spec, |_| Ok(())).unwrap(),
            Some(43)
        );
    }

    #[test]
    fn branches_share_values_and_show_their_own() {
        let sequences = Sequences::default();
        let spec = spec(1, 1, 100, false);
        let next = |timeline| sequences.next(timeline, ID, &spec, |_| Ok(())).unwrap();
        let shown = |timeline| sequences.state(timeline, ID).map(|state| state.value);
        let set = |timeline, value| {
            let state = SequenceState {
                value,
                is_called: true,
            };
            sequences.set(timeline, ID, state, |_| Ok(())).unwrap();
        };
        assert_eq!((next(MAIN), next(MAIN)), (Some(1), Some(2)));
        sequences.branch(MAIN, BRANCH, || Ok(())).unwrap();
        assert_eq!((shown(MAIN), shown(BRANCH)), (Some(2), Some(2)));
        assert_eq!(next(BRANCH), Some(3));
        assert_eq!((shown(MAIN), shown(BRANCH)), (Some(2), Some(3)));
        assert_eq!(next(MAIN), Some(4));
        assert_eq!((shown(MAIN), shown(BRANCH)), (Some(4), Some(3)));
        // Back is what it shows, and nothing that it gives.
        set(BRANCH, 1);
        assert_eq!(shown(BRANCH), Some(1));
        assert_eq!((next(BRANCH), shown(BRANCH)), (Some(5), Some(5)));
        // On is where all go on, once it was used.
        set(BRANCH, 20);
        assert_eq!(next(MAIN), Some(6));
        assert_eq!((next(BRANCH), next(MAIN)), (Some(21), Some(22)));
        sequences.forget(BRANCH);
        set(MAIN, 10);
        assert_eq!(next(MAIN), Some(11));
    }

    /// Each timeline's last value is in the log at least as far as it was shown.
    #[test]
    fn what_a_branch_showed_is_logged_for_it() {
        let sequences = Sequences::default();
        sequences.branch(MAIN, BRANCH, || Ok(())).unwrap();
        let mut logged: HashMap<TimelineId, i64> = HashMap::new();
        for n in 0..200 {
            let timeline = if n % 7 < 3 { MAIN } else { BRANCH };
            let log = |edit: SequenceEdit| {
                logged.insert(edit.timeline, edit.state.value);
                Ok(())
            };
            let value = sequences
                .next(timeline, ID, &spec(1, 1, 1000, false), log)
                .unwrap();
            assert_eq!(value, Some(n + 1));
            assert!(logged[&timeline] > n);
        }
    }
}
