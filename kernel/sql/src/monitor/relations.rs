//! How often tables and indexes were read, and what was changed in them.
//!
//! A relation's counters are found once, when its table is taken out of a catalog, and then added to from any
//! thread: two or three additions for a look-up by key, each to a place that threads seldom share.
//! They are the relation's as long as it is in the catalog. When others have come and gone, those that nobody
//! uses any more are given up; what they counted stays in the sum of all.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::catalog::Oid;

/// A power of two.
const STRIPES: usize = 8;
/// So many relations are never looked through.
const RELATIONS_FREE: usize = 1_024;

/// What is counted of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// Scans of the whole table, or look-ups in the index.
    Scans,
    /// Rows that those gave.
    Read,
    Inserted,
    Updated,
    Deleted,
}

const COUNTS: usize = Count::Deleted as usize + 1;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe([AtomicU64; COUNTS]);

/// What a command for maintenance found, and when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Maintained {
    /// Microseconds since the Unix epoch.
    pub last: i64,
    pub times: u64,
    /// What had been counted then.
    before: Sums,
}

/// See the module's header.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    stripes: [Stripe; STRIPES],
    analyzed: Mutex<Maintained>,
    vacuumed: Mutex<Maintained>,
}

thread_local! {
    /// Which stripe is this thread's.
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    STRIPE.with(|own| match own.get() {
        usize::MAX => {
            let next = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
            own.set(next);
            next
        }
        own => own,
    })
}

/// What was counted of a relation, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums([u64; COUNTS]);

impl Sums {
    pub fn get(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    /// Rows that were inserted, updated or deleted.
    pub fn changed(&self) -> u64 {
        [Count::Inserted, Count::Updated, Count::Deleted]
            .into_iter()
            .map(|count| self.get(count))
            .sum()
    }

    pub fn add(&mut self, other: &Sums) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own += other;
        }
    }

    /// What was counted since.
    pub fn since(&self, before: &Sums) -> Sums {
        let mut since = *self;
        for (own, before) in since.0.iter_mut().zip(before.0) {
            *own = own.saturating_sub(before);
        }
        since
    }
}

impl Counters {
    pub fn add(&self, count: Count, n: usize) {
        if n > 0 {
            let counters = &self.stripes[stripe()].0;
            counters[count as usize].fetch_add(n as u64, Ordering::Relaxed);
        }
    }

    /// A scan or a look-up that gave so many rows.
    pub fn scanned(&self, rows: usize) {
        self.add(Count::Scans, 1);
        self.add(Count::Read, rows);
    }

    pub fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for stripe in &self.stripes {
            for (sum, counter) in sums.0.iter_mut().zip(&stripe.0) {
                *sum += counter.load(Ordering::Relaxed);
            }
        }
        sums
    }

    pub fn note_analyzed(&self, now: i64) {
        self.analyzed.lock().note(now, self.sums());
    }

    pub fn note_vacuumed(&self, now: i64) {
        self.vacuumed.lock().note(now, self.sums());
    }

    /// What ANALYZE did, and what was counted since.
    pub fn analyzed(&self) -> (Maintained, Sums) {
        let analyzed = *self.analyzed.lock();
        (analyzed, self.sums().since(&analyzed.before))
    }

    /// The same of VACUUM.
    pub fn vacuumed(&self) -> (Maintained, Sums) {
        let vacuumed = *self.vacuumed.lock();
        (vacuumed, self.sums().since(&vacuumed.before))
    }

    fn clear(&self) {
        for counter in self.stripes.iter().flat_map(|stripe| &stripe.0) {
            counter.store(0, Ordering::Relaxed);
        }
        *self.analyzed.lock() = Maintained::default();
        *self.vacuumed.lock() = Maintained::default();
    }
}

impl Maintained {
    fn note(&mut self, now: i64, sums: Sums) {
        self.last = now;
        self.times += 1;
        self.before = sums;
    }
}

/// What was counted of all tables, and of all indexes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub tables: Sums,
    pub indexes: Sums,
}

#[derive(Debug, Default)]
struct Known {
    relations: HashMap<(Kind, Oid), Arc<Counters>>,
    /// Of relations that are gone.
    gone: Totals,
    /// What resets took away.
    reset: Totals,
    /// So many are looked through.
    crowd: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Table,
    Index,
}

/// The counters of all relations of a database.
#[derive(Debug, Default)]
pub(crate) struct Relations(Mutex<Known>);

impl Relations {
    pub fn of(&self, kind: Kind, oid: Oid) -> Arc<Counters> {
        let mut known = self.0.lock();
        known.relations.entry((kind, oid)).or_default().clone()
    }

    /// What is known of a relation that was used.
    pub fn known(&self, kind: Kind, oid: Oid) -> Option<Arc<Counters>> {
        self.0.lock().relations.get(&(kind, oid)).cloned()
    }

    /// Whether there are so many that it is time to look for those that are gone.
    pub fn is_crowded(&self) -> bool {
        let known = self.0.lock();
        known.relations.len() > known.crowd.max(RELATIONS_FREE)
    }

    /// Gives up those that are not in the newest catalog and that nobody uses.
    pub fn forget_gone(&self, is_there: impl Fn(Kind, Oid) -> bool) {
        let mut known = self.0.lock();
        let known = &mut *known;
        let gone = &mut known.gone;
        known.relations.retain(|(kind, oid), counters| {
            let stays = is_there(*kind, *oid) || Arc::strong_count(counters) > 1;
            if !stays {
                gone.add(*kind, &counters.sums());
            }
            stays
        });
        known.crowd = 2 * known.relations.len();
    }

    pub fn totals(&self) -> Totals {
        let known = self.0.lock();
        let mut totals = known.gone;
        for ((kind, _), counters) in &known.relations {
            totals.add(*kind, &counters.sums());
        }
        totals
    }

    /// The same, whatever was reset.
    pub fn lifetime(&self) -> Totals {
        let mut totals = self.totals();
        totals.add_all(&self.0.lock().reset);
        totals
    }

    /// Begins again at 0.
    pub fn reset(&self) {
        let totals = self.totals();
        let mut known = self.0.lock();
        known.reset.add_all(&totals);
        known.gone = Totals::default();
        known.relations.values().for_each(|c| c.clear());
    }

    /// The same for one.
    pub fn reset_one(&self, oid: Oid) {
        let mut known = self.0.lock();
        for kind in [Kind::Table, Kind::Index] {
            if let Some(counters) = known.relations.get(&(kind, oid)).cloned() {
                known.reset.add(kind, &counters.sums());
                counters.clear();
            }
        }
    }
}

impl Totals {
    fn add_all(&mut self, other: &Totals) {
        self.tables.add(&other.tables);
        self.indexes.add(&other.indexes);
    }

    fn add(&mut self, kind: Kind, sums: &Sums) {
        match kind {
            Kind::Table => self.tables.add(sums),
            Kind::Index => self.indexes.add(sums),
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_are_counted() {
        let relations = Relations::default();
        let counters = relations.of(Kind::Table, 7);
        std::thread::scope(|scope| {
            for _ in 0..2 * STRIPES {
                scope.spawn(|| (0..100).for_each(|_| counters.scanned(3)));
            }
        });
        let sums = relations.of(Kind::Table, 7).sums();
        assert_eq!(sums.get(Count::Scans), 1_600);
        assert_eq!(sums.get(Count::Read), 4_800);
        assert_eq!(relations.totals().tables, sums);
        counters.note_analyzed(5);
        counters.add(Count::Updated, 2);
        let (analyzed, since) = counters.analyzed();
        assert_eq!((analyzed.last, analyzed.times, since.changed()), (5, 1, 2));
    }

    #[test]
    fn what_is_gone_stays_in_the_sum() {
        let relations = Relations::default();
        for oid in 0..=RELATIONS_FREE as u32 {
            assert!(!relations.is_crowded());
            relations.of(Kind::Table, oid).add(Count::Inserted, 1);
        }
        assert!(relations.is_crowded());
        let used = relations.of(Kind::Table, 1);
        relations.forget_gone(|_, oid| oid == 0);
        assert!(!relations.is_crowded());
        let has = |oid| relations.known(Kind::Table, oid).is_some();
        assert_eq!([has(0), has(1), has(2)], [true, true, false]);
        let inserted = relations.totals().tables.get(Count::Inserted);
        assert_eq!(inserted, RELATIONS_FREE as u64 + 1);
        relations.reset();
        assert_eq!(relations.totals().tables, Sums::default());
        used.add(Count::Deleted, 1);
        assert_eq!(relations.totals().tables.changed(), 1);
        let lifetime = relations.lifetime().tables;
        assert_eq!(lifetime.get(Count::Inserted), RELATIONS_FREE as u64 + 1);
        assert_eq!(lifetime.get(Count::Deleted), 1);
    }
}
