//! The lock table: who holds what, and who waits behind whom.
//!
//! Objects are spread over shards, each a map under a short mutex. An object's entry holds its
//! owners with their modes, and a queue. A request is granted when it conflicts with no other
//! owner's modes and with nobody who waits ahead of it; an owner that already holds something on the
//! object passes the queue, or an upgrade would wait behind those who wait for it.

use std::collections::hash_map::{Entry, HashMap};
use std::collections::{BTreeSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::{FixedState, RandomState};
use parking_lot::{Condvar, Mutex};

use super::LockOwner;
use super::mode::{Mode, RowLockMode};
use crate::ids::{CollectionId, TimelineId};
use crate::interrupt::Wake;
use crate::planted::{self, Bug};

const SHARDS: usize = 64;

/// What a lock is on: a table (`key` is `None`), or a row or index key of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LockObject {
    pub timeline: TimelineId,
    pub collection: CollectionId,
    pub key: Option<Box<[u8]>>,
}

/// One sleep in a lock's queue.
#[derive(Debug, Default)]
pub struct Waiter {
    granted: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Waiter {
    fn wake(&self) {
        // Under the mutex, so that a sleeper between its checks and its sleep is not missed.
        let _granted = self.granted.lock();
        self.changed.notify_all();
    }
}

impl Waiter {
    fn grant(&self) {
        *self.granted.lock() = true;
        self.changed.notify_all();
    }

    /// Sleep until granted, until `stop` says so after a wake-up, or for `timeout_micros`. Whether
    /// it was granted.
    pub fn sleep(&self, timeout_micros: Option<u64>, stop: impl Fn() -> bool) -> bool {
        let mut granted = self.granted.lock();
        while !*granted && !stop() {
            match timeout_micros {
                None => self.changed.wait(&mut granted),
                Some(micros) => {
                    let timeout = std::time::Duration::from_micros(micros);
                    if self.changed.wait_for(&mut granted, timeout).timed_out() {
                        break;
                    }
                }
            }
        }
        *granted
    }
}

struct Holder {
    owner: LockOwner,
    modes: u16,
}

struct Waiting {
    owner: LockOwner,
    mode: Mode,
    waiter: Arc<Waiter>,
}

#[derive(Default)]
struct LockEntry {
    holders: Vec<Holder>,
    queue: VecDeque<Waiting>,
}

impl LockEntry {
    fn holds(&self, owner: LockOwner) -> u16 {
        self.holders
            .iter()
            .find(|h| h.owner == owner)
            .map_or(0, |h| h.modes)
    }

    fn conflicts_with_holders(&self, owner: LockOwner, mode: Mode) -> bool {
        if planted::is(Bug::RowLocksShared) && mode == RowLockMode::NoKeyUpdate.into() {
            return false;
        }
        self.holders
            .iter()
            .any(|h| h.owner != owner && h.modes & mode.conflicts != 0)
    }

    fn conflicts_with_queue(&self, ahead: usize, owner: LockOwner, mode: Mode) -> bool {
        self.queue
            .iter()
            .take(ahead)
            .any(|w| w.owner != owner && w.mode.bit & mode.conflicts != 0)
    }

    fn add(&mut self, owner: LockOwner, mode: Mode) {
        match self.holders.iter_mut().find(|h| h.owner == owner) {
            Some(holder) => holder.modes |= mode.bit,
            None => self.holders.push(Holder {
                owner,
                modes: mode.bit,
            }),
        }
    }

    /// Grant whatever the queue's order and the holders now allow.
    fn grant_waiters(&mut self) {
        let mut i = 0;
        while i < self.queue.len() {
            let (owner, mode) = (self.queue[i].owner, self.queue[i].mode);
            let passes = self.holds(owner) != 0 || !self.conflicts_with_queue(i, owner, mode);
            if passes && !self.conflicts_with_holders(owner, mode) {
                self.add(owner, mode);
                if let Some(granted) = self.queue.remove(i) {
                    granted.waiter.grant();
                }
            } else {
                i += 1;
            }
        }
    }

    /// Whom the waiter of `owner` waits for: conflicting holders and conflicting waiters ahead.
    fn blockers(&self, owner: LockOwner, out: &mut BTreeSet<LockOwner>) {
        let Some(place) = self.queue.iter().position(|w| w.owner == owner) else {
            return;
        };
        let mode = self.queue[place].mode;
        let held = self
            .holders
            .iter()
            .filter(|h| h.modes & mode.conflicts != 0)
            .map(|h| h.owner);
        out.extend(held.filter(|&o| o != owner));
        if self.holds(owner) == 0 {
            let ahead = self.queue.iter().take(place);
            let ahead = ahead
                .filter(|w| w.mode.bit & mode.conflicts != 0)
                .map(|w| w.owner);
            out.extend(ahead.filter(|&o| o != owner));
        }
    }
}

/// How a request came out.
pub enum Acquired {
    /// The owner held this mode already.
    Already,
    /// Granted; `first` says that the owner held nothing on the object before.
    Granted { first: bool },
    /// In the queue now.
    Queued(Arc<Waiter>),
    /// Not granted, and the caller did not want to queue.
    Refused,
}

/// Keys are hashed six times and more in a short transaction. Their bytes are anybody's, so each map has a seed of
/// its own.
type Shard = Mutex<HashMap<Arc<LockObject>, LockEntry, RandomState>>;

/// See the module's header.
pub struct LockTable {
    shards: Vec<Shard>,
}

impl Default for LockTable {
    fn default() -> LockTable {
        LockTable {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl LockTable {
    fn shard(&self, object: &LockObject) -> &Shard {
        let hash = FixedState::default().hash_one(object);
        &self.shards[(hash as usize) % SHARDS]
    }

    /// Ask for a lock; `queue` says whether to wait when it cannot be had at once.
    pub fn acquire(
        &self,
        object: &Arc<LockObject>,
        owner: LockOwner,
        mode: Mode,
        queue: bool,
    ) -> Acquired {
        let mut shard = self.shard(object).lock();
        let entry = match shard.entry(Arc::clone(object)) {
            Entry::Vacant(vacant) => {
                vacant.insert(LockEntry::default()).add(owner, mode);
                return Acquired::Granted { first: true };
            }
            Entry::Occupied(occupied) => occupied.into_mut(),
        };
        let held = entry.holds(owner);
        if held & mode.bit != 0 {
            return Acquired::Already;
        }
        let passes = held != 0 || !entry.conflicts_with_queue(entry.queue.len(), owner, mode);
        if passes && !entry.conflicts_with_holders(owner, mode) {
            entry.add(owner, mode);
            return Acquired::Granted { first: held == 0 };
        }
        if !queue {
            return Acquired::Refused;
        }
        let waiter = Arc::new(Waiter::default());
        entry.queue.push_back(Waiting {
            owner,
            mode,
            waiter: Arc::clone(&waiter),
        });
        Acquired::Queued(waiter)
    }

    /// Leave the queue. When the grant came first, the lock is held after all: `true`.
    pub fn leave(&self, object: &Arc<LockObject>, owner: LockOwner, mode: Mode) -> bool {
        let mut shard = self.shard(object).lock();
        let Some(entry) = shard.get_mut(object) else {
            return false;
        };
        match entry.queue.iter().position(|w| w.owner == owner) {
            Some(place) => {
                entry.queue.remove(place);
                entry.grant_waiters();
                if entry.holders.is_empty() && entry.queue.is_empty() {
                    shard.remove(object);
                }
                false
            }
            None => entry.holds(owner) & mode.bit != 0,
        }
    }

    /// Give up all that `owner` holds on the object.
    pub fn release(&self, object: &Arc<LockObject>, owner: LockOwner) {
        let mut shard = self.shard(object).lock();
        let Some(entry) = shard.get_mut(object) else {
            return;
        };
        entry.holders.retain(|h| h.owner != owner);
        entry.grant_waiters();
        if entry.holders.is_empty() && entry.queue.is_empty() {
            shard.remove(object);
        }
    }

    /// Give up some modes that `owner` holds on the object.
    pub fn release_mode(&self, object: &Arc<LockObject>, owner: LockOwner, mode: Mode) {
        let mut shard = self.shard(object).lock();
        let Some(entry) = shard.get_mut(object) else {
            return;
        };
        if let Some(holder) = entry.holders.iter_mut().find(|h| h.owner == owner) {
            holder.modes &= !mode.bit;
        }
        entry.holders.retain(|h| h.modes != 0);
        entry.grant_waiters();
        if entry.holders.is_empty() && entry.queue.is_empty() {
            shard.remove(object);
        }
    }

    /// Who waits for something of these timelines.
    pub fn waiters(&self, timelines: &[TimelineId]) -> Vec<Arc<Waiter>> {
        let mut waiters = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let entries = shard
                .iter()
                .filter(|(object, _)| timelines.contains(&object.timeline));
            let queued = entries.flat_map(|(_, entry)| &entry.queue);
            waiters.extend(queued.map(|waiting| Arc::clone(&waiting.waiter)));
        }
        waiters
    }

    /// Show who holds which modes, as bits, of every object, and who waits for one.
    pub fn visit(&self, mut show: impl FnMut(&LockObject, LockOwner, u16, bool)) {
        for shard in &self.shards {
            for (object, entry) in shard.lock().iter() {
                for holder in &entry.holders {
                    show(object, holder.owner, holder.modes, true);
                }
                for waiting in &entry.queue {
                    show(object, waiting.owner, waiting.mode.bit, false);
                }
            }
        }
    }

    /// Whom `owner`, which waits for `object`, waits for.
    pub fn blockers(&self, object: &Arc<LockObject>, owner: LockOwner) -> BTreeSet<LockOwner> {
        let mut out = BTreeSet::new();
        if let Some(entry) = self.shard(object).lock().get(object) {
            entry.blockers(owner, &mut out);
        }
        out
    }

    /// Objects that somebody holds or waits for.
    pub fn object_count(&self) -> usize {
        self.shards.iter().map(|s| s.lock().len()).sum()
    }
}
