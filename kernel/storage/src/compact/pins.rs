//! How far horizons may rise: who holds on to the past.
//!
//! 1. A read AS OF a time before a collection's horizon is refused; of every time from it on everything is
//!    known ([`Horizons`]).
//! 2. A compaction *plans* horizons before it leaves any version out, which from then on are the ones that
//!    readers are held against, and *settles* them when the log has them. One that fails lets them fall
//!    back.
//! 3. No plan passes a pin, and no pin is taken before the horizon. A pin is taken under the same lock as a
//!    plan is made, so neither misses the other.
//!
//! There are snapshots of transactions, which outlive the views that statements make of them; what a
//! timeline showed where another one branched off, as long as that is there or somebody reads it, dropped or
//! not ([`Fork`]); and pins with names ([`crate::history::named`]), of which this has a copy. A view needs
//! none, since it holds its files.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::history::{Horizons, NamedPin, PinKind};
use crate::ids::{CollectionId, Ts};
use crate::planted::{self, Bug};
use crate::sync::atomic::{AtomicU64, Ordering};

/// See the module's header.
pub struct Pins {
    /// From there on everything can be read.
    last: AtomicU64,
    state: Mutex<State>,
}

struct State {
    /// The log has them.
    settled: Horizons,
    /// Of the compaction that is under way.
    planned: Option<Horizons>,
    /// What readers are held against.
    current: Arc<Horizons>,
    /// How many snapshots there are of each time.
    snapshots: BTreeMap<Ts, usize>,
    named: BTreeMap<String, NamedPin>,
    /// How many timelines branched off at each time.
    forks: BTreeMap<Ts, usize>,
}

/// Who holds on to the past, and to what time of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    Snapshot(Ts),
    Named(NamedPin),
    /// A timeline that branched off then.
    Branch(Ts),
}

impl Holder {
    pub fn ts(&self) -> Ts {
        match self {
            Holder::Snapshot(ts) | Holder::Branch(ts) => *ts,
            Holder::Named(pin) => pin.ts,
        }
    }
}

impl State {
    /// Who holds the oldest time, if not a cursor of before `expired`.
    fn oldest(&self, expired: Ts) -> Option<Holder> {
        let valid = |pin: &&NamedPin| pin.kind == PinKind::Point || pin.ts >= expired;
        let named = self.named.values().filter(valid).min_by_key(|pin| pin.ts);
        let holders = [
            self.snapshots.keys().next().copied().map(Holder::Snapshot),
            named.cloned().map(Holder::Named),
            self.forks.keys().next().copied().map(Holder::Branch),
        ];
        holders.into_iter().flatten().min_by_key(Holder::ts)
    }

    fn limit(&self, expired: Ts) -> Ts {
        match self.oldest(expired) {
            Some(oldest) if !planted::is(Bug::GcDropsPinned) => oldest.ts(),
            _ => Ts::MAX,
        }
    }

    fn risen(&self, wanted: &Horizons, expired: Ts) -> Horizons {
        self.settled.risen(wanted, self.limit(expired))
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
        let_go(&mut self.pins.state.lock().snapshots, self.ts);
    }
}

/// Collections whose past is needed, each with the table that it is of.
pub type Needed = BTreeMap<CollectionId, CollectionId>;

/// Keeps what was there where a timeline branched off, until it is dropped.
pub struct Fork {
    pins: Arc<Pins>,
    ts: Ts,
}

impl Fork {
    pub fn ts(&self) -> Ts {
        self.ts
    }
}

impl Drop for Fork {
    fn drop(&mut self) {
        let_go(&mut self.pins.state.lock().forks, self.ts);
    }
}

/// One holder of `ts` less.
fn let_go(held: &mut BTreeMap<Ts, usize>, ts: Ts) {
    if let Some(count) = held.get_mut(&ts) {
        *count -= 1;
        if *count == 0 {
            held.remove(&ts);
        }
    }
}

impl Pins {
    pub fn new(settled: Horizons) -> Arc<Pins> {
        Arc::new(Pins {
            last: AtomicU64::new(settled.last().0),
            state: Mutex::new(State {
                current: Arc::new(settled.clone()),
                settled,
                planned: None,
                snapshots: BTreeMap::new(),
                named: BTreeMap::new(),
                forks: BTreeMap::new(),
            }),
        })
    }

    /// What readers are held against.
    pub fn horizons(&self) -> Arc<Horizons> {
        Arc::clone(&self.state.lock().current)
    }

    /// The horizons, for one who reads `asked`; `None` when that is after all of them.
    pub fn before(&self, asked: Ts) -> Option<Arc<Horizons>> {
        match asked.0 < self.last.load(Ordering::Acquire) {
            true => Some(self.horizons()),
            false => None,
        }
    }

    /// Refuse what no collection remembers. Who has taken the sources of a read before is safe.
    pub fn check(&self, asked: Ts) -> Result<()> {
        let Some(horizons) = self.before(asked) else {
            return Ok(());
        };
        match asked < horizons.first() {
            true => Err(Error::SnapshotTooOld {
                asked,
                oldest: horizons.first(),
            }),
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

    /// Keep what was there at `ts` for a timeline that branches off there; every collection must remember it, or
    /// those that are `needed`.
    pub fn fork(self: &Arc<Self>, ts: Ts, needed: Option<&Needed>) -> Result<Fork> {
        let mut state = self.state.lock();
        let (all, last) = (state.current.all(), state.current.last());
        let oldest = match needed {
            None => last,
            Some(_) => all,
        };
        if ts < oldest {
            return Err(Error::SnapshotTooOld { asked: ts, oldest });
        }
        let of = |id: CollectionId| needed.and_then(|needed| needed.get(&id));
        let own = state.current.own().filter(|(_, from)| ts < *from);
        // The table that goes back least far is told of.
        let missing = own.filter_map(|(id, from)| Some((from, *of(id)?))).max();
        if let Some((oldest, table)) = missing {
            return Err(Error::TableTooYoung {
                table,
                asked: ts,
                oldest,
            });
        }
        Ok(self.hold(&mut state, ts))
    }

    /// The same for one that the manifest has.
    pub fn hold_fork(self: &Arc<Self>, ts: Ts) -> Fork {
        self.hold(&mut self.state.lock(), ts)
    }

    fn hold(self: &Arc<Self>, state: &mut State, ts: Ts) -> Fork {
        *state.forks.entry(ts).or_default() += 1;
        Fork {
            pins: Arc::clone(self),
            ts,
        }
    }

    /// Pin a time of the past, which all but tables with a shorter retention must remember.
    pub fn pin_at(self: &Arc<Self>, ts: Ts) -> Result<Pin> {
        let mut state = self.state.lock();
        let oldest = state.current.all();
        if ts < oldest {
            return Err(Error::SnapshotTooOld { asked: ts, oldest });
        }
        *state.snapshots.entry(ts).or_default() += 1;
        Ok(Pin {
            pins: Arc::clone(self),
            ts,
        })
    }

    /// This is what a name holds from now on. Whoever says so holds it as well until this returns.
    pub fn name(&self, name: &str, pin: Option<NamedPin>) {
        let mut state = self.state.lock();
        match pin {
            Some(pin) => state.named.insert(name.to_owned(), pin),
            None => state.named.remove(name),
        };
    }

    /// These are all that have names.
    pub fn name_all(&self, pins: Vec<NamedPin>) {
        let pins = pins.into_iter().map(|pin| (pin.name.clone(), pin));
        self.state.lock().named = pins.collect();
    }

    /// How far horizons may rise: not past what is `wanted`, nor past any pin, of which cursors of before
    /// `expired` are none.
    pub fn limit(&self, wanted: &Horizons, expired: Ts) -> Horizons {
        self.state.lock().risen(wanted, expired)
    }

    /// Refuse readers from now on what a compaction up to [`Pins::limit`] takes; how far that is now. One
    /// plan at a time; it ends with [`Pins::settle`] or [`Pins::give_up`].
    pub fn plan(&self, wanted: &Horizons, expired: Ts) -> Horizons {
        let mut state = self.state.lock();
        let planned = state.risen(wanted, expired);
        if planted::is(Bug::PlanMissesPins) {
            drop(state);
            planted::dawdle();
            state = self.state.lock();
        }
        state.planned = Some(planned.clone());
        self.tell(&mut state);
        planned
    }

    /// The log has the horizons that were planned.
    pub fn settle(&self) {
        let mut state = self.state.lock();
        if let Some(planned) = state.planned.take() {
            state.settled = state.settled.join(&planned);
        }
        self.tell(&mut state);
    }

    /// Nothing came of the plan.
    pub fn give_up(&self) {
        let mut state = self.state.lock();
        state.planned = None;
        self.tell(&mut state);
    }

    /// Who holds the oldest time; cursors of before `expired` hold none.
    pub fn oldest(&self, expired: Ts) -> Option<Holder> {
        self.state.lock().oldest(expired)
    }

    /// The times of snapshots, and how many there are of each.
    pub fn snapshots(&self) -> Vec<(Ts, usize)> {
        let state = self.state.lock();
        state.snapshots.iter().map(|(ts, n)| (*ts, *n)).collect()
    }

    /// The times at which timelines branched off, and how many did at each.
    pub fn forks(&self) -> Vec<(Ts, usize)> {
        let state = self.state.lock();
        state.forks.iter().map(|(ts, n)| (*ts, *n)).collect()
    }

    /// Whether a load may bring collections whose history begins at `all`: nothing that is held may be
    /// before that, for AS OF that time the database would not be whole any more.
    pub fn check_load(&self, all: Ts, expired: Ts) -> Result<()> {
        let holder = self.oldest(expired).filter(|holder| holder.ts() < all);
        let Some(holder) = holder else {
            return Ok(());
        };
        let who = match &holder {
            Holder::Snapshot(_) => "a snapshot".to_owned(),
            Holder::Named(pin) => format!("pin \"{}\"", pin.name),
            Holder::Branch(_) => "a branch".to_owned(),
        };
        let ts = holder.ts();
        Err(Error::invalid(format!(
            "a load with the history from {all} on, while {who} holds that of {ts}"
        )))
    }

    /// The log has a load.
    pub fn load(&self, horizons: &Horizons) {
        let mut state = self.state.lock();
        let own: Vec<_> = horizons.own().collect();
        state.settled.load(horizons.all(), &own);
        self.tell(&mut state);
    }

    fn tell(&self, state: &mut State) {
        let current = match &state.planned {
            None => state.settled.clone(),
            Some(planned) => state.settled.join(planned),
        };
        self.last.store(current.last().0, Ordering::Release);
        state.current = Arc::new(current);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Ts = Ts::ZERO;

    fn pins(settled: u64) -> Arc<Pins> {
        Pins::new(Horizons::new(Ts(settled)))
    }

    fn plan(pins: &Pins, wanted: u64) -> Ts {
        pins.plan(&Horizons::new(Ts(wanted)), NEVER).all()
    }

    fn oldest(pins: &Pins) -> Ts {
        pins.horizons().all()
    }

    fn named(name: &str, kind: PinKind, ts: u64) -> NamedPin {
        NamedPin {
            name: name.to_owned(),
            kind,
            ts: Ts(ts),
            created_micros: 0,
            owner: String::new(),
            reason: String::new(),
        }
    }

    #[test]
    fn what_is_before_the_horizon_is_refused() {
        let pins = pins(5);
        assert!(pins.check(Ts(5)).is_ok());
        let refused = pins.check(Ts(4)).unwrap_err();
        let Error::SnapshotTooOld {
            asked,
            oldest: from,
        } = refused
        else {
            panic!("{refused}")
        };
        assert_eq!((asked, from), (Ts(4), Ts(5)));
        pins.load(&Horizons::new(Ts(9)));
        pins.load(&Horizons::new(Ts(7)));
        assert_eq!(oldest(&pins), Ts(9));
        assert!(pins.pin_at(Ts(8)).is_err());
        assert!(pins.pin_at(Ts(9)).is_ok());
    }

    #[test]
    #[cfg(not(feature = "planted-gc-drops-pinned"))]
    fn the_horizon_rises_to_the_oldest_pin_and_stays_where_the_log_has_it() {
        let pins = pins(5);
        let (old, again) = (pins.pin_now(|| Ts(20)), pins.pin_now(|| Ts(20)));
        let new = pins.pin_now(|| Ts(30));
        assert_eq!(plan(&pins, 40), Ts(20));
        assert_eq!(oldest(&pins), Ts(20));
        pins.give_up();
        assert_eq!(oldest(&pins), Ts(5));
        drop(old);
        assert_eq!(pins.limit(&Horizons::new(Ts(40)), NEVER).all(), Ts(20));
        drop(again);
        assert_eq!(plan(&pins, 40), Ts(30));
        pins.settle();
        pins.give_up();
        assert_eq!(oldest(&pins), Ts(30));
        drop(new);
        assert_eq!(plan(&pins, 1), Ts(30), "it never falls");
        assert_eq!(pins.oldest(NEVER), None);
    }

    #[test]
    #[cfg(not(feature = "planted-gc-drops-pinned"))]
    fn names_hold_and_a_cursor_too_far_behind_does_not() {
        let pins = pins(5);
        pins.name("point", Some(named("point", PinKind::Point, 20)));
        pins.name("cursor", Some(named("cursor", PinKind::Cursor, 10)));
        let limit = |expired| pins.limit(&Horizons::new(Ts(40)), Ts(expired)).all();
        assert_eq!((limit(0), limit(10), limit(11)), (Ts(10), Ts(10), Ts(20)));
        assert_eq!(limit(39), Ts(20), "a point does not expire");
        pins.name("point", None);
        pins.name("cursor", Some(named("cursor", PinKind::Cursor, 30)));
        assert_eq!((limit(0), limit(31)), (Ts(30), Ts(40)));
        pins.name_all(vec![named("other", PinKind::Point, 7)]);
        assert_eq!(limit(31), Ts(7));
    }

    /// A collection that keeps less of its past than the others is in nobody's way who does without.
    #[test]
    fn a_branch_asks_for_the_past_of_what_it_needs() {
        let (table, index, other) = (CollectionId(2000), CollectionId(2001), CollectionId(2002));
        let mut settled = Horizons::new(Ts(5));
        settled.set(table, Ts(7));
        settled.set(index, Ts(8));
        let pins = Pins::new(settled);
        let needed = |ids: &[CollectionId]| ids.iter().map(|id| (*id, table)).collect::<Needed>();
        assert!(pins.fork(Ts(8), None).is_ok());
        assert!(matches!(
            pins.fork(Ts(7), None),
            Err(Error::SnapshotTooOld { .. })
        ));
        assert!(pins.fork(Ts(6), Some(&needed(&[other]))).is_ok());
        let refused = pins.fork(Ts(6), Some(&needed(&[table, index, other])));
        let Err(Error::TableTooYoung {
            table: young,
            oldest,
            ..
        }) = refused
        else {
            panic!("a branch without its past")
        };
        assert_eq!((young, oldest), (table, Ts(8)));
        assert!(matches!(
            pins.fork(Ts(4), Some(&needed(&[]))),
            Err(Error::SnapshotTooOld { oldest: Ts(5), .. })
        ));
    }

    #[test]
    fn a_load_does_not_take_what_is_held() {
        let pins = pins(0);
        let check = |all, expired| pins.check_load(Ts(all), Ts(expired));
        let snapshot = pins.pin_now(|| Ts(6));
        assert!(check(7, 0).is_err());
        assert!(check(6, 0).is_ok());
        drop(snapshot);
        pins.name("cursor", Some(named("cursor", PinKind::Cursor, 6)));
        assert!(check(7, 0).is_err());
        assert!(check(7, 7).is_ok(), "it has expired");
    }
}
