//! The horizon: how far history goes back, and who keeps it from rising.
//!
//! 1. A read AS OF a time before the horizon is refused; of every time from it on everything is known.
//! 2. A compaction *plans* a horizon before it leaves any version out, which from then on is the one that
//!    readers are held against, and *settles* it when the log has it. One that fails lets it fall back.
//! 3. No plan passes a pin, and no pin is taken before the horizon. A pin of the present is taken under
//!    the same lock as a plan is made, so neither misses the other.
//!
//! Snapshots of transactions are the only pins there are: they outlive the views that statements make of
//! them. A view needs none, since it holds its files. What else is to keep history (a tag, a branch's
//! fork, a cursor of changes) would be pinned here, too, with a name that tells who holds it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::ids::Ts;

/// See the module's header.
pub struct Pins {
    /// What readers are held against, for those who only look.
    oldest: AtomicU64,
    state: Mutex<State>,
}

struct State {
    /// The log has it.
    settled: Ts,
    /// Of the compaction that is under way.
    planned: Option<Ts>,
    /// How many snapshots there are of each time.
    snapshots: BTreeMap<Ts, usize>,
}

impl State {
    fn limit(&self, wanted: Ts) -> Ts {
        match self.snapshots.keys().next() {
            Some(oldest) if !cfg!(feature = "planted-gc-drops-pinned") => wanted.min(*oldest),
            _ => wanted,
        }
    }
}

/// Keeps the state of a time readable until it is dropped.
pub struct Pin {
    pins: Arc<Pins>,
    ts: Ts,
}

impl Pin {
    pub fn ts(&self) -> Ts {
        self.ts
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.pins.state.lock();
        if let Some(count) = state.snapshots.get_mut(&self.ts) {
            *count -= 1;
            if *count == 0 {
                state.snapshots.remove(&self.ts);
            }
        }
    }
}

impl Pins {
    pub fn new(settled: Ts) -> Arc<Pins> {
        Arc::new(Pins {
            oldest: AtomicU64::new(settled.0),
            state: Mutex::new(State {
                settled,
                planned: None,
                snapshots: BTreeMap::new(),
            }),
        })
    }

    /// The horizon.
    pub fn oldest(&self) -> Ts {
        Ts(self.oldest.load(Ordering::Acquire))
    }

    /// Refuse what is before the horizon. Who has taken the sources of a read before is safe.
    pub fn check(&self, asked: Ts) -> Result<()> {
        let oldest = self.oldest();
        match asked < oldest {
            true => Err(Error::SnapshotTooOld { asked, oldest }),
            false => Ok(()),
        }
    }

    /// Pin the present.
    pub fn pin_now(self: &Arc<Self>, now: impl FnOnce() -> Ts) -> Pin {
        let mut state = self.state.lock();
        let ts = now();
        *state.snapshots.entry(ts).or_default() += 1;
        Pin {
            pins: Arc::clone(self),
            ts,
        }
    }

    /// How far the horizon may rise: not past `wanted`, nor past any pin.
    pub fn limit(&self, wanted: Ts) -> Ts {
        self.state.lock().limit(wanted)
    }

    /// Refuse readers before `horizon`, or before where the horizon is, if that is later, which is
    /// returned. One plan at a time; it ends with [`Pins::settle`] or [`Pins::give_up`].
    pub fn plan(&self, horizon: Ts) -> Ts {
        let mut state = self.state.lock();
        let horizon = state.limit(horizon).max(state.settled);
        state.planned = Some(horizon);
        self.tell(&state);
        horizon
    }

    /// The log has the horizon that was planned.
    pub fn settle(&self) {
        let mut state = self.state.lock();
        if let Some(planned) = state.planned.take() {
            state.settled = state.settled.max(planned);
        }
        self.tell(&state);
    }

    /// Nothing came of the plan.
    pub fn give_up(&self) {
        let mut state = self.state.lock();
        state.planned = None;
        self.tell(&state);
    }

    /// The horizon that the log has.
    pub fn settled(&self) -> Ts {
        self.state.lock().settled
    }

    /// The oldest pin.
    pub fn oldest_pin(&self) -> Option<Ts> {
        self.state.lock().snapshots.keys().next().copied()
    }

    /// The horizon is `ts` or later, as the log has it.
    pub fn raise_to(&self, ts: Ts) {
        let mut state = self.state.lock();
        state.settled = state.settled.max(ts);
        self.tell(&state);
    }

    fn tell(&self, state: &State) {
        let oldest = state
            .planned
            .map_or(state.settled, |p| p.max(state.settled));
        self.oldest.store(oldest.0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_before_the_horizon_is_refused() {
        let pins = Pins::new(Ts(5));
        assert!(pins.check(Ts(5)).is_ok());
        let refused = pins.check(Ts(4)).unwrap_err();
        let Error::SnapshotTooOld { asked, oldest } = refused else {
            panic!("{refused}")
        };
        assert_eq!((asked, oldest), (Ts(4), Ts(5)));
        pins.raise_to(Ts(9));
        pins.raise_to(Ts(7));
        assert_eq!(pins.oldest(), Ts(9));
    }

    #[test]
    #[cfg(not(feature = "planted-gc-drops-pinned"))]
    fn the_horizon_rises_to_the_oldest_pin_and_stays_where_the_log_has_it() {
        let pins = Pins::new(Ts(5));
        let (old, again) = (pins.pin_now(|| Ts(20)), pins.pin_now(|| Ts(20)));
        let new = pins.pin_now(|| Ts(30));
        assert_eq!(pins.plan(Ts(40)), Ts(20));
        assert_eq!(pins.oldest(), Ts(20));
        pins.give_up();
        assert_eq!(pins.oldest(), Ts(5));
        drop(old);
        assert_eq!(pins.limit(Ts(40)), Ts(20));
        drop(again);
        assert_eq!(pins.plan(Ts(40)), Ts(30));
        pins.settle();
        assert_eq!((pins.oldest(), pins.settled()), (Ts(30), Ts(30)));
        drop(new);
        assert_eq!(pins.plan(Ts(1)), Ts(30), "it never falls");
        assert_eq!(pins.oldest_pin(), None);
    }
}
