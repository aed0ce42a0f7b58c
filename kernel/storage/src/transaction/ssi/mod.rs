//! SERIALIZABLE: serializable snapshot isolation over key ranges.
//!
//! Under snapshot isolation, every cycle of dependencies among transactions contains a *dangerous
//! structure*: `Tin →rw Tpivot →rw Tout`, two conflicts in a row between transactions that overlap,
//! where the one at the arrow's tail has read what the one at its head overwrote, and where Tout is
//! the first of the three to commit. Whoever would complete one is refused, and so no cycle comes to
//! be. (Cahill, Röhm and Fekete, "Serializable Isolation for Snapshot Databases", SIGMOD 2008; Ports
//! and Grittner, "Serializable Snapshot Isolation in PostgreSQL", VLDB 2012, whose rules these are.)
//!
//! Writes are private until the commit here, so a conflict comes to be only by a commit, and the last
//! of the three to commit can see the whole structure. That gives the engine's form of the algorithm:
//!
//! 1. A transaction notes what it reads, before it reads it, in a set of its own: keys, ranges of
//!    indexes, whole tables. Nobody else looks at it, so noting takes no shared lock.
//! 2. At its commit point, with the sets of all transactions that committed while it ran at hand, it
//!    looks for its conflicts *out* (they wrote what it read) and *in* (they read what it writes), and
//!    is refused when it
//!    * is a pivot: it has a conflict out to U and one in from R, and U committed before R did or is
//!      R; or, when R wrote nothing, before R took its snapshot (theorem 3 of the VLDB paper); or
//!    * reads around a pivot that has committed, and before it Tout; when this transaction wrote
//!      nothing, only if Tout committed before its snapshot.
//! 3. If not, it takes its timestamp under the same mutex, and leaves its own sets behind until
//!    everybody who runs beside it has ended.
//!
//! The refused one conflicts with none but committed transactions, so a retry begins after them and
//! does not fail for the same reason.
//!
//! A transaction declared READ ONLY can be hurt only by those that write while it takes its snapshot.
//! When all of these have ended and none has read around a commit from before that snapshot, it is
//! *safe*: it forgets what it read and notes no more (section 4.2). DEFERRABLE waits for that first.
//!
//! Memory is bounded: a set past its [`Limits`] grows coarser, and past [`FINISHED_MAX`] the oldest
//! committed transactions are summed up in one. Both may refuse somebody without need, and never let
//! anybody through. The mutex has no I/O under it, and the part of the search that is long, against
//! those that had committed when it began, runs before the mutex is taken.
//!
//! What is not noted: reads AS OF a time, which no commit can change; storage's catalog and that of
//! SQL, as in PostgreSQL; what uniqueness and foreign keys look at, which locks guard; and transactions
//! of the other levels, which pay nothing and are not protected.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::catalog::FIRST_COLLECTION;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Ts, TxnId};
use crate::interrupt::{Interrupt, Wake};
use crate::memtable::{full_key, split_key};
use crate::planted::{self, Bug};

mod footprint;
mod ranges;

#[cfg(test)]
mod tests;

use footprint::{Conflicts, Danger, Footprint};
pub(crate) use ranges::{KeyRanges, Limits};

/// Committed transactions that are remembered one by one.
const FINISHED_MAX: usize = 1024;
/// Memory that those may take.
const FINISHED_BYTES_MAX: usize = 64 << 20;

/// What one transaction has read; its views share it.
#[derive(Debug)]
pub(crate) struct Reads {
    /// Off once nobody needs to know any more.
    noting: AtomicBool,
    limits: Limits,
    ranges: Mutex<KeyRanges>,
}

impl Reads {
    fn new(limits: Limits) -> Arc<Reads> {
        Arc::new(Reads {
            noting: AtomicBool::new(true),
            limits,
            ranges: Mutex::default(),
        })
    }

    fn notes(&self, collection: CollectionId) -> bool {
        collection >= FIRST_COLLECTION && self.noting.load(Ordering::Relaxed)
    }

    /// A key is about to be read, whether it is there or not.
    pub fn note_key(&self, collection: CollectionId, key: &[u8]) {
        if self.notes(collection) {
            let mut ranges = self.ranges.lock();
            ranges.insert_key(&full_key(collection, key));
            ranges.bound(self.limits);
        }
    }

    /// All keys within the bounds are about to be read.
    pub fn note_range(&self, collection: CollectionId, from: Bound<&[u8]>, to: Bound<&[u8]>) {
        if self.notes(collection) && !planted::is(Bug::SsiMissesRanges) {
            let mut ranges = self.ranges.lock();
            ranges.insert_bounds(collection, from, to);
            ranges.bound(self.limits);
        }
    }

    /// Note no more, and forget.
    fn stop(&self) {
        self.noting.store(false, Ordering::Relaxed);
        self.take();
    }

    fn take(&self) -> KeyRanges {
        std::mem::take(&mut *self.ranges.lock())
    }
}

/// What a transaction writes, of the collections that are guarded.
pub(crate) fn writes_of<'a>(keys: impl Iterator<Item = &'a [u8]>, limits: Limits) -> KeyRanges {
    let mut writes = KeyRanges::default();
    for key in keys.filter(|key| split_key(key).0 >= FIRST_COLLECTION) {
        writes.insert_key(key);
        writes.bound(limits);
    }
    writes
}

/// A running transaction.
struct Active {
    snapshot: Ts,
    read_only: Option<Watch>,
}

/// What a transaction declared READ ONLY waits for to be safe.
struct Watch {
    reads: Arc<Reads>,
    /// Those that wrote, or could, when it took its snapshot.
    writers: BTreeSet<TxnId>,
    /// One of them has read around a commit from before the snapshot.
    threatened: bool,
}

impl Watch {
    fn is_safe(&self) -> bool {
        (self.writers.is_empty() && !self.threatened) || planted::is(Bug::SsiTrustsReaders)
    }
}

#[derive(Default)]
struct State {
    active: BTreeMap<TxnId, Active>,
    /// In the order of their ends, each with its number in that order.
    finished: VecDeque<(u64, Arc<Footprint>)>,
    finished_bytes: usize,
    /// How many have ended.
    count: u64,
}

/// See the module's header.
pub(crate) struct Ssi {
    limits: Limits,
    finished_max: usize,
    /// Whether somebody else could end a wait.
    can_block: bool,
    state: Mutex<State>,
    /// A reader's watch has ended.
    settled: Arc<Settled>,
}

#[derive(Default)]
struct Settled {
    /// Counts the times.
    times: Mutex<u64>,
    changed: Condvar,
}

impl Wake for Settled {
    fn wake(&self) {
        let _times = self.times.lock();
        self.changed.notify_all();
    }
}

/// A transaction's part in the algorithm. Dropping it is the rollback.
pub(crate) struct Serial {
    ssi: Arc<Ssi>,
    id: TxnId,
    snapshot: Ts,
    reads: Arc<Reads>,
    ended: bool,
}

impl Ssi {
    pub fn new(can_block: bool) -> Arc<Ssi> {
        Ssi::with(Limits::default(), FINISHED_MAX, can_block)
    }

    fn with(limits: Limits, finished_max: usize, can_block: bool) -> Arc<Ssi> {
        Arc::new(Ssi {
            limits,
            finished_max,
            can_block,
            state: Mutex::default(),
            settled: Arc::default(),
        })
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// A transaction begins; `snapshot` takes its snapshot, which has every commit up to now.
    pub fn begin<P>(
        self: &Arc<Self>,
        id: TxnId,
        read_only: bool,
        snapshot: impl FnOnce() -> (Ts, P),
    ) -> (Serial, P) {
        let reads = Reads::new(self.limits);
        let mut state = self.state.lock();
        let (ts, pinned) = snapshot();
        let watch = read_only.then(|| {
            let writers = state.active.iter();
            let writers = writers.filter(|(_, active)| active.read_only.is_none());
            Watch {
                reads: Arc::clone(&reads),
                writers: writers.map(|(id, _)| *id).collect(),
                threatened: false,
            }
        });
        match watch {
            Some(watch) if watch.is_safe() => reads.stop(),
            read_only => {
                let snapshot = ts;
                state.active.insert(
                    id,
                    Active {
                        snapshot,
                        read_only,
                    },
                );
            }
        }
        drop(state);
        let serial = Serial {
            ssi: Arc::clone(self),
            id,
            snapshot: ts,
            reads,
            ended: false,
        };
        (serial, pinned)
    }

    /// Wait until a reader is safe (`true`) or is known to have a bad snapshot (`false`).
    pub fn wait_safe(&self, serial: &Serial, interrupt: &Arc<Interrupt>) -> Result<bool> {
        let sleeper: Arc<dyn Wake> = Arc::clone(&self.settled) as Arc<dyn Wake>;
        interrupt.add_sleeper(&sleeper);
        let outcome = loop {
            let mut times = self.settled.times.lock();
            let state = self.state.lock();
            let watched = state.active.get(&serial.id);
            let waits = watched.and_then(|active| active.read_only.as_ref());
            let Some(watch) = waits else {
                break Ok(true);
            };
            if watch.threatened {
                break Ok(false);
            }
            drop(state);
            if let Err(e) = interrupt.check() {
                break Err(e);
            }
            if !self.can_block {
                break Err(Error::LockNotAvailable);
            }
            self.settled.changed.wait(&mut times);
        };
        interrupt.remove_sleeper(&sleeper);
        outcome
    }

    /// How many transactions run and how many footprints are kept.
    #[cfg(test)]
    fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.active.len(), state.finished.len())
    }
}

impl State {
    /// A transaction has ended: with a commit, whose earliest conflict out is told, or without.
    /// Whether a reader's watch ended with it.
    fn end(&mut self, id: TxnId, committed: Option<Option<Ts>>) -> bool {
        let Some(ended) = self.active.remove(&id) else {
            return false;
        };
        let mut settled = false;
        if ended.read_only.is_none() {
            let mut safe = Vec::new();
            for (reader, active) in &mut self.active {
                let Some(watch) = &mut active.read_only else {
                    continue;
                };
                if !watch.writers.remove(&id) {
                    continue;
                }
                if let Some(Some(out)) = committed {
                    watch.threatened |= out <= active.snapshot;
                }
                settled |= watch.threatened;
                if watch.is_safe() {
                    watch.reads.stop();
                    safe.push(*reader);
                }
            }
            settled |= !safe.is_empty();
            for reader in safe {
                self.active.remove(&reader);
            }
        }
        self.forget();
        settled
    }

    /// Forget who ended before all that run now began.
    fn forget(&mut self) {
        let snapshots = self.active.values().map(|active| active.snapshot);
        let oldest = match planted::is(Bug::SsiForgetsEarly) {
            true => snapshots.max(),
            false => snapshots.min(),
        };
        while let Some((_, footprint)) = self.finished.front() {
            if oldest.is_some_and(|oldest| footprint.overlaps(oldest)) {
                return;
            }
            self.finished_bytes -= footprint.bytes();
            self.finished.pop_front();
        }
    }

    /// Remember who has ended, for those that still run.
    fn remember(&mut self, footprint: Footprint, limits: Limits, finished_max: usize) {
        self.count += 1;
        self.finished_bytes += footprint.bytes();
        self.finished.push_back((self.count, Arc::new(footprint)));
        while self.finished.len() > finished_max.max(1)
            || (self.finished_bytes > FINISHED_BYTES_MAX && self.finished.len() > 1)
        {
            let (Some((_, mut sum)), Some((number, next))) =
                (self.finished.pop_front(), self.finished.pop_front())
            else {
                return;
            };
            self.finished_bytes -= sum.bytes() + next.bytes();
            Arc::make_mut(&mut sum).absorb(&next, limits);
            self.finished_bytes += sum.bytes();
            self.finished.push_front((number, sum));
        }
    }

    /// Those that ended later than number `after`, and overlap.
    fn beside(&self, snapshot: Ts, after: u64) -> impl Iterator<Item = &Arc<Footprint>> {
        let newest_first = self.finished.iter().rev();
        newest_first
            .take_while(move |(number, footprint)| *number > after && footprint.overlaps(snapshot))
            .map(|(_, footprint)| footprint)
    }
}

impl Serial {
    /// Where the transaction's views note what they read.
    pub fn reads(&self) -> &Arc<Reads> {
        &self.reads
    }

    /// Whether an insert of `key`, which somebody who committed meanwhile has taken, fails because the
    /// two could not have run one after the other, rather than because the key is taken: retried, the
    /// transaction would have seen it.
    pub fn check_taken(&self, key: &[u8]) -> Result<()> {
        let writes = writes_of(std::iter::once(key), self.ssi.limits);
        let (_, conflicts) = self.conflicts(&self.reads.ranges.lock(), &writes);
        refuse(conflicts.danger(None))
    }

    /// The conflicts with all that have committed, and up to which number.
    fn conflicts(&self, reads: &KeyRanges, writes: &KeyRanges) -> (u64, Conflicts) {
        let (count, others) = {
            let state = self.ssi.state.lock();
            let others: Vec<_> = state.beside(self.snapshot, 0).cloned().collect();
            (state.count, others)
        };
        let mut conflicts = Conflicts::default();
        for other in others {
            conflicts.add(&other, reads, writes);
        }
        (count, conflicts)
    }

    /// Commit, if that is serializable: `commit` takes the timestamp, under the mutex. `writes` is
    /// empty when the transaction wrote nothing that is guarded, `wrote` says whether it wrote at all.
    pub fn commit<T>(
        mut self,
        writes: KeyRanges,
        wrote: bool,
        commit: impl FnOnce() -> Result<(Ts, T)>,
    ) -> Result<(Ts, T)> {
        let ssi = Arc::clone(&self.ssi);
        self.reads.noting.store(false, Ordering::Relaxed);
        let reads = self.reads.take();
        let (looked_at, mut conflicts) = self.conflicts(&reads, &writes);
        let mut state = ssi.state.lock();
        for other in state.beside(self.snapshot, looked_at) {
            conflicts.add(other, &reads, &writes);
        }
        let read_only_at = (!wrote).then_some(self.snapshot);
        let tracked = state.active.contains_key(&self.id);
        if tracked {
            refuse(conflicts.danger(read_only_at))?;
        }
        let (ts, rest) = commit()?;
        self.ended = true;
        let settled = state.end(self.id, Some(conflicts.earliest_out));
        if tracked && !state.active.is_empty() {
            let footprint = match wrote {
                true => Footprint::of_writer(ts, conflicts.earliest_out, reads, writes),
                false => Footprint::of_reader(self.snapshot, ts, reads),
            };
            state.remember(footprint, ssi.limits, ssi.finished_max);
        }
        drop(state);
        if settled {
            ssi.tell();
        }
        Ok((ts, rest))
    }
}

impl Ssi {
    fn tell(&self) {
        *self.settled.times.lock() += 1;
        self.settled.changed.notify_all();
    }
}

impl Drop for Serial {
    fn drop(&mut self) {
        if !self.ended {
            self.reads.stop();
            let settled = self.ssi.state.lock().end(self.id, None);
            if settled {
                self.ssi.tell();
            }
        }
    }
}

fn refuse(danger: Option<Danger>) -> Result<()> {
    match danger {
        None => Ok(()),
        Some(danger) => Err(Error::ReadWriteDependency {
            reason: danger.reason(),
        }),
    }
}
