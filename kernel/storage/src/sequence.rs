//! Sequences: counters outside of transactions.
//!
//! A value handed out is never taken back, whatever becomes of the transaction that asked. To spare
//! a log record per value the log is told a value 32 steps ahead, as PostgreSQL does
//! (`SEQ_LOG_VALS`); after a crash the sequence goes on from there. So values may be skipped, and
//! none is ever given twice. The log record travels with the log's order: whoever commits with a
//! value waits for it (`Transaction::used_sequence`).

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::error::Result;
use crate::ids::CollectionId;

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
    /// Steps that may be taken before the log must hear of it.
    logged_ahead: u32,
}

/// All sequences. `log` is called under the map's mutex, so that records are in the order of states.
#[derive(Debug, Default)]
pub struct Sequences {
    map: Mutex<HashMap<CollectionId, Counter>>,
}

impl Sequences {
    /// Take a state from the log.
    pub fn restore(&self, id: CollectionId, state: SequenceState) {
        self.map.lock().insert(
            id,
            Counter {
                state,
                logged_ahead: 0,
            },
        );
    }

    /// The next value, `None` at the end.
    pub fn next(
        &self,
        id: CollectionId,
        spec: &SequenceSpec,
        log: impl FnOnce(SequenceState) -> Result<()>,
    ) -> Result<Option<i64>> {
        let mut map = self.map.lock();
        let counter = map.get(&id);
        let Some(value) = spec.step(counter.map(|c| c.state)) else {
            return Ok(None);
        };
        let state = SequenceState {
            value,
            is_called: true,
        };
        let logged_ahead = match counter.map_or(0, |c| c.logged_ahead) {
            0 => {
                let (mut ahead, mut steps) = (state, 0);
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
                log(ahead)?;
                steps
            }
            left => left - 1,
        };
        map.insert(
            id,
            Counter {
                state,
                logged_ahead,
            },
        );
        Ok(Some(value))
    }

    /// Set the last value; with `is_called` false it is the next one to be handed out.
    pub fn set(
        &self,
        id: CollectionId,
        state: SequenceState,
        log: impl FnOnce(SequenceState) -> Result<()>,
    ) -> Result<()> {
        let mut map = self.map.lock();
        log(state)?;
        map.insert(
            id,
            Counter {
                state,
                logged_ahead: 0,
            },
        );
        Ok(())
    }

    /// All sequences ever used, by id.
    pub fn all(&self) -> Vec<(CollectionId, SequenceState)> {
        let mut all: Vec<_> = self
            .map
            .lock()
            .iter()
            .map(|(id, c)| (*id, c.state))
            .collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }

    pub fn state(&self, id: CollectionId) -> Option<SequenceState> {
        self.map.lock().get(&id).map(|c| c.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: CollectionId = CollectionId(2000);

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
                    sequences.restore(ID, state);
                }
            }
            let value = sequences.next(ID, &spec, |state| {
                logged = Some(state);
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
                ID,
                SequenceState {
                    value: 42,
                    is_called: false,
                },
                |_| Ok(()),
            )
            .unwrap();
        assert_eq!(sequences.next(ID, &spec, |_| Ok(())).unwrap(), Some(42));
        assert_eq!(sequences.next(ID, &spec, |_| Ok(())).unwrap(), Some(43));
    }
}
