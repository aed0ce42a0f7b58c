//! One byte budget for all that grows with data or work.
//!
//! Every byte that is not a constant of the process belongs to a [`Part`], whose owner says how much it
//! holds. There are three manners of keeping within the budget:
//!
//! 1. *The page cache gives back.* It may have what nobody else holds, and gives pages back as soon as
//!    others grow ([`GiveBack`]): nobody is refused for the sake of a page.
//! 2. *Writers wait, or write to files.* Memtables are frozen and flushed past a share of the budget, and
//!    commits wait for that; a transaction past its share makes a run of what it has
//!    ([`MemoryBudget::must_spill`]). Neither is ever refused.
//! 3. *Queries and plugins are refused* ([`MemoryBudget::try_grow`]), alone, when what they ask for would
//!    take what writers are promised. A query that can then goes on in files.
//!
//! Invariants:
//!
//! 1. A share is promised: queries and plugins never take what memtables and transactions may still ask for.
//! 2. Nothing here waits: where one has the cache give back, the others go on.
//! 3. What the counters say is what was said here; how the owners measure is theirs. Sizes below
//!    [`MemoryBudget::grain`] may go unsaid, so that short transactions say nothing.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::error::{Error, Result};

/// The least budget that an engine works with.
pub const BUDGET_BYTES_MIN: usize = 256 << 10;

/// Shares of the budget, as one in so many.
const MEMTABLES_SHARE: usize = 4;
const TRANSACTIONS_SHARE: usize = 8;
const PLUGINS_SHARE: usize = 4;
const QUERIES_SHARE: usize = 2;
/// The page cache keeps as much whatever others hold.
const CACHE_SHARE: usize = 16;
/// Left free for what nobody counts.
const SLACK_SHARE: usize = 16;
/// So much may others grow before the cache is asked again.
const STEP_SHARE: usize = 64;

/// What memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Part {
    /// Versions that are not in a segment yet, and those that a reader keeps after their flush.
    Memtables,
    /// Writes and locks of transactions that have not committed.
    Transactions,
    /// Records of large commits on their way to the log.
    Log,
    /// Directories of open segments.
    Files,
    /// What flushes, merges, loads and runs of transactions build.
    Work,
    /// Pages that scans have decoded past the cache.
    Scans,
    /// Sorts, joins and aggregates.
    Queries,
    /// What plugins reserve.
    Plugins,
    /// Pages of segments.
    PageCache,
}

impl Part {
    pub const ALL: [Part; 9] = [
        Part::Memtables,
        Part::Transactions,
        Part::Log,
        Part::Files,
        Part::Work,
        Part::Scans,
        Part::Queries,
        Part::Plugins,
        Part::PageCache,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Part::Memtables => "memtables",
            Part::Transactions => "transactions",
            Part::Log => "log",
            Part::Files => "files",
            Part::Work => "work",
            Part::Scans => "scans",
            Part::Queries => "queries",
            Part::Plugins => "plugins",
            Part::PageCache => "page_cache",
        }
    }
}

/// What a part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartUsage {
    pub part: Part,
    pub bytes: usize,
    pub peak_bytes: usize,
    /// Where it is held back; `None` where others are.
    pub limit_bytes: Option<usize>,
    /// How often it was refused.
    pub refused: usize,
}

/// The budget and what its parts hold. Bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    pub budget_bytes: usize,
    pub bytes: usize,
    pub peak_bytes: usize,
    pub parts: Vec<PartUsage>,
}

/// Whoever holds what can be read again.
pub trait GiveBack: Send + Sync {
    /// Shrink to [`MemoryBudget::cache_bytes_max`].
    fn give_back(&self);
}

/// Of one part; on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Held {
    bytes: AtomicUsize,
    peak: AtomicUsize,
    /// Reservations that hold something.
    holders: AtomicUsize,
    refused: AtomicUsize,
}

/// See the module's header.
pub struct MemoryBudget {
    bytes_max: usize,
    parts: [Held; Part::ALL.len()],
    peak: AtomicUsize,
    caches: Mutex<Vec<Weak<dyn GiveBack>>>,
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBudget")
            .field("bytes_max", &self.bytes_max)
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

impl MemoryBudget {
    pub fn new(bytes_max: usize) -> Arc<MemoryBudget> {
        Arc::new(MemoryBudget {
            bytes_max,
            parts: Default::default(),
            peak: AtomicUsize::new(0),
            caches: Mutex::default(),
        })
    }

    /// All of it.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// What all parts hold together.
    pub fn bytes(&self) -> usize {
        self.parts
            .iter()
            .map(|held| held.bytes.load(Ordering::Relaxed))
            .fold(0, usize::saturating_add)
    }

    /// What a part holds.
    pub fn held(&self, part: Part) -> usize {
        self.parts[part as usize].bytes.load(Ordering::Relaxed)
    }

    /// What is smaller need not be said.
    pub fn grain(&self) -> usize {
        (self.bytes_max / 1024).clamp(1 << 10, 64 << 10)
    }

    /// Past this, commits wait for a flush.
    pub fn memtables_bytes_max(&self) -> usize {
        self.bytes_max / MEMTABLES_SHARE
    }

    /// One memtable is frozen at a quarter of what all may hold.
    pub fn memtable_bytes_max(&self) -> usize {
        self.memtables_bytes_max() / 4
    }

    /// What the writes of all transactions may take together before they make runs of them.
    pub fn transactions_bytes_max(&self) -> usize {
        self.bytes_max / TRANSACTIONS_SHARE
    }

    /// What one piece of work in the background, or a load, may build in memory.
    pub fn work_bytes_max(&self) -> usize {
        self.bytes_max / TRANSACTIONS_SHARE
    }

    /// What all queries may take together.
    pub fn queries_bytes_max(&self) -> usize {
        self.bytes_max / QUERIES_SHARE
    }

    /// What the page cache may hold now.
    pub fn cache_bytes_max(&self) -> usize {
        let step = self.bytes_max / STEP_SHARE;
        let least = self.bytes_max / CACHE_SHARE;
        self.left_for_cache().saturating_sub(step).max(least)
    }

    fn left_for_cache(&self) -> usize {
        let others = self.bytes().saturating_sub(self.held(Part::PageCache));
        let free = self.bytes_max - self.bytes_max / SLACK_SHARE;
        free.saturating_sub(others)
            .max(self.bytes_max / CACHE_SHARE)
    }

    /// Whoever has pages is to give them back when others need the memory.
    pub fn add_cache(&self, cache: Weak<dyn GiveBack>) {
        let mut caches = self.caches.lock();
        caches.retain(|cache| cache.strong_count() > 0);
        caches.push(cache);
    }

    /// A part holds more. It is never refused: the page cache gives back what is too much.
    pub fn grow(&self, part: Part, bytes: usize) {
        let held = &self.parts[part as usize].bytes;
        held.fetch_add(bytes, Ordering::Relaxed);
        self.note_growth(part);
    }

    /// A part holds less.
    pub fn shrink(&self, part: Part, bytes: usize) {
        let held = &self.parts[part as usize].bytes;
        held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// A query or a plugin asks for more; refused when it cannot have it.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`]: nothing was taken.
    pub fn try_grow(&self, part: Part, bytes: usize) -> Result<()> {
        let limit = self.limit(part).unwrap_or(self.bytes_max);
        let held = &self.parts[part as usize].bytes;
        let is_granted = bytes <= limit && {
            let now = held.fetch_add(bytes, Ordering::Relaxed) + bytes;
            let fits =
                now <= limit && self.promised() <= self.bytes_max - self.bytes_max / CACHE_SHARE;
            if !fits {
                self.shrink(part, bytes);
            }
            fits
        };
        if !is_granted {
            self.note_refused(part);
            return Err(Error::OutOfMemory {
                what: part.name(),
                limit_bytes: limit,
            });
        }
        self.note_growth(part);
        Ok(())
    }

    /// A part was told that there is no more, here or by whoever deals out its limit.
    pub fn note_refused(&self, part: Part) {
        let refused = &self.parts[part as usize].refused;
        refused.fetch_add(1, Ordering::Relaxed);
    }

    /// What is held, and what writers may still ask for. The page cache gives way.
    fn promised(&self) -> usize {
        let sum = |sum: usize, part: &Part| {
            let held = self.held(*part);
            sum.saturating_add(match part {
                Part::PageCache => 0,
                Part::Memtables => held.max(self.memtables_bytes_max()),
                Part::Transactions => held.max(self.transactions_bytes_max()),
                _ => held,
            })
        };
        Part::ALL.iter().fold(0, sum)
    }

    /// The most that a part may hold.
    fn limit(&self, part: Part) -> Option<usize> {
        match part {
            Part::Memtables => Some(self.memtables_bytes_max()),
            Part::Transactions => Some(self.transactions_bytes_max()),
            Part::Queries => Some(self.queries_bytes_max()),
            Part::Plugins => Some(self.bytes_max / PLUGINS_SHARE),
            Part::PageCache => Some(self.cache_bytes_max()),
            Part::Log | Part::Files | Part::Work | Part::Scans => None,
        }
    }

    /// Whether a transaction with so many bytes of writes should make a run of them: there are too many
    /// of all transactions, and it has at least half of what each would have if all had the same.
    pub fn must_spill(&self, bytes: usize) -> bool {
        let share = self.transactions_bytes_max();
        let holders = &self.parts[Part::Transactions as usize].holders;
        let fair = share / 2 / holders.load(Ordering::Relaxed).max(1);
        self.held(Part::Transactions) > share && bytes >= fair.max(self.grain())
    }

    /// What everybody holds.
    pub fn usage(&self) -> Usage {
        let parts = Part::ALL.map(|part| {
            let held = &self.parts[part as usize];
            PartUsage {
                part,
                bytes: held.bytes.load(Ordering::Relaxed),
                peak_bytes: held.peak.load(Ordering::Relaxed),
                limit_bytes: self.limit(part),
                refused: held.refused.load(Ordering::Relaxed),
            }
        });
        Usage {
            budget_bytes: self.bytes_max,
            bytes: self.bytes(),
            peak_bytes: self.peak.load(Ordering::Relaxed),
            parts: parts.into(),
        }
    }

    fn note_growth(&self, part: Part) {
        let raise = |peak: &AtomicUsize, bytes: usize| {
            if bytes > peak.load(Ordering::Relaxed) {
                peak.fetch_max(bytes, Ordering::Relaxed);
            }
        };
        if part != Part::PageCache && self.held(Part::PageCache) > self.left_for_cache() {
            self.press();
        }
        raise(&self.parts[part as usize].peak, self.held(part));
        raise(&self.peak, self.bytes());
    }

    /// Have the caches give back; one who presses is enough.
    fn press(&self) {
        let Some(caches) = self.caches.try_lock() else {
            return;
        };
        let caches: Vec<_> = caches.iter().filter_map(Weak::upgrade).collect();
        caches.iter().for_each(|cache| cache.give_back());
    }
}

/// What one owner holds of a part, given back when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<MemoryBudget>,
    part: Part,
    bytes: usize,
}

impl Reservation {
    /// Of nothing yet.
    pub fn new(budget: &Arc<MemoryBudget>, part: Part) -> Reservation {
        Reservation {
            budget: Arc::clone(budget),
            part,
            bytes: 0,
        }
    }

    /// Of `bytes`, which are not refused.
    pub fn of(budget: &Arc<MemoryBudget>, part: Part, bytes: usize) -> Reservation {
        let mut reservation = Reservation::new(budget, part);
        reservation.set(bytes);
        reservation
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is held is `bytes` from now on. It is not refused.
    pub fn set(&mut self, bytes: usize) {
        let holders = &self.budget.parts[self.part as usize].holders;
        match (self.bytes, bytes) {
            (0, 1..) => _ = holders.fetch_add(1, Ordering::Relaxed),
            (1.., 0) => _ = holders.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
        match bytes > self.bytes {
            true => self.budget.grow(self.part, bytes - self.bytes),
            false => self.budget.shrink(self.part, self.bytes - bytes),
        }
        self.bytes = bytes;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KB: usize = 1 << 10;

    /// A cache that does what it is told.
    struct Cache(Arc<MemoryBudget>);

    impl GiveBack for Cache {
        fn give_back(&self) {
            let held = self.0.held(Part::PageCache);
            let too_much = held.saturating_sub(self.0.cache_bytes_max());
            self.0.shrink(Part::PageCache, too_much);
        }
    }

    fn budget_with_full_cache(bytes_max: usize) -> (Arc<MemoryBudget>, Arc<Cache>) {
        let budget = MemoryBudget::new(bytes_max);
        let cache = Arc::new(Cache(Arc::clone(&budget)));
        let weak = Arc::downgrade(&cache);
        budget.add_cache(weak);
        budget.grow(Part::PageCache, budget.cache_bytes_max());
        (budget, cache)
    }

    #[test]
    fn the_page_cache_makes_room_for_whoever_grows() {
        let (budget, _cache) = budget_with_full_cache(1024 * KB);
        assert!(budget.held(Part::PageCache) > 900 * KB);
        for part in [Part::Memtables, Part::Work, Part::Files] {
            let reservation = Reservation::of(&budget, part, 500 * KB);
            assert!(budget.bytes() <= 1024 * KB, "{budget:?}");
            assert!(budget.held(Part::PageCache) >= 1024 * KB / CACHE_SHARE);
            drop(reservation);
            assert_eq!(budget.held(part), 0);
            budget.grow(
                Part::PageCache,
                budget.cache_bytes_max() - budget.held(Part::PageCache),
            );
        }
    }

    #[test]
    fn queries_and_plugins_leave_writers_their_share() {
        let (budget, _cache) = budget_with_full_cache(1024 * KB);
        assert!(budget.try_grow(Part::Plugins, 257 * KB).is_err());
        budget.try_grow(Part::Plugins, 256 * KB).unwrap();
        // Writers may have 384 kB, the cache keeps 64.
        assert!(budget.try_grow(Part::Queries, 321 * KB).is_err());
        budget.try_grow(Part::Queries, 320 * KB).unwrap();
        budget.shrink(Part::Plugins, 256 * KB);
        assert!(budget.try_grow(Part::Queries, 193 * KB).is_err());
        budget.try_grow(Part::Queries, 192 * KB).unwrap();
        // A refusal takes nothing, and writers are never refused.
        assert!(budget.try_grow(Part::Queries, usize::MAX / 2).is_err());
        assert_eq!(budget.held(Part::Queries), 512 * KB);
        budget.grow(Part::Memtables, 256 * KB);
        budget.grow(Part::Transactions, 128 * KB);
        assert!(budget.bytes() <= 1024 * KB, "{budget:?}");
        let queries = budget.usage().parts[Part::Queries as usize];
        assert_eq!((queries.part, queries.refused), (Part::Queries, 3));
    }

    #[test]
    fn the_largest_transactions_spill_when_all_have_too_much() {
        let budget = MemoryBudget::new(1024 * KB);
        let mut large = Reservation::of(&budget, Part::Transactions, 128 * KB);
        assert!(!budget.must_spill(128 * KB));
        let _small = Reservation::of(&budget, Part::Transactions, 8 * KB);
        assert!(budget.must_spill(128 * KB));
        assert!(!budget.must_spill(8 * KB));
        large.set(0);
        assert!(!budget.must_spill(128 * KB));
    }
}
