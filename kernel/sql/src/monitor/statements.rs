//! What statements cost since the server started: `pg_stat_statements`.
//!
//! Statements are told apart by who ran them and by their [`Shape`]. A statement that runs once is counted in the
//! table itself, under its lock; it was parsed and planned, and does not notice. A prepared one, or one whose plan
//! is kept, has a [`Tally`]: counters that its session alone writes and that those who ask read, so that from its
//! third run on it is counted by a few plain stores, without a lock, an allocation or a look at its text.
//!
//! 1. *Known.* The first run finds the shape and is counted in the table.
//! 2. *Attached.* The second one puts the tally's counters into the entry, which is the sum of all of its tallies
//!    and of what it had before.
//! 3. *Detached*, when the entry is removed: because there were too many of them, or by a reset. The next run
//!    begins with 2 again, from 0.
//! 4. When the tally goes, what it counted stays with the entry.
//!
//! There are at most so many entries as the settings say, and [`TEXT_BYTES_MAX`] of text. When there is no
//! room, those that ran least go, the older runs counting for less.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use heliosdb_storage::pages::Pages;
use parking_lot::Mutex;

use super::text::Shape;
use crate::catalog::Oid;

/// What the texts of all entries take at most.
const TEXT_BYTES_MAX: usize = 16 << 20;
/// One of so many entries goes when there is no room.
const REMOVED_ONE_OF: usize = 20;
const REMOVED_MIN: usize = 10;
/// What earlier runs still count for after each time that entries were removed.
const AGED: f64 = 0.99;

/// How often, how long and how unevenly. Times are nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub count: u64,
    pub total: u64,
    /// Of the squares.
    squares: f64,
    pub min: u64,
    pub max: u64,
}

impl Times {
    pub fn add(&mut self, nanos: u64) {
        self.merge(&Times {
            count: 1,
            total: nanos,
            squares: square(nanos),
            min: nanos,
            max: nanos,
        });
    }

    fn merge(&mut self, other: &Times) {
        if other.count == 0 {
            return;
        }
        self.min = match self.count {
            0 => other.min,
            _ => self.min.min(other.min),
        };
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.total += other.total;
        self.squares += other.squares;
    }

    pub fn mean(&self) -> f64 {
        match self.count {
            0 => 0.0,
            n => self.total as f64 / n as f64,
        }
    }

    /// The standard deviation of all that was counted.
    pub fn deviation(&self) -> f64 {
        let mean = self.mean();
        let n = self.count.max(1) as f64;
        (self.squares / n - mean * mean).max(0.0).sqrt()
    }
}

fn square(nanos: u64) -> f64 {
    nanos as f64 * nanos as f64
}

/// What one run of a statement took and gave.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    pub nanos: u64,
    pub rows: u64,
    /// It asked for.
    pub pages: Pages,
    /// For planning, if it was planned.
    pub planning: Planning,
}

/// How often a statement was planned, and how long that took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Planning {
    pub count: u64,
    pub nanos: u64,
}

impl Planning {
    pub fn add(&mut self, other: Planning) {
        self.count += other.count;
        self.nanos += other.nanos;
    }
}

/// What is known of a statement.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub runs: Times,
    pub plans: Times,
    pub rows: u64,
    pub pages: Pages,
}

impl Sums {
    fn add(&mut self, run: &Run) {
        self.runs.add(run.nanos);
        self.rows += run.rows;
        self.pages = self.pages + run.pages;
        self.plan(run.planning);
    }

    fn plan(&mut self, planning: Planning) {
        // As good as always this is one plan.
        for _ in 0..planning.count {
            self.plans.add(planning.nanos / planning.count);
        }
    }

    fn merge(&mut self, other: &Sums) {
        self.runs.merge(&other.runs);
        self.plans.merge(&other.plans);
        self.rows += other.rows;
        self.pages = self.pages + other.pages;
    }
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Counted {
    pub user: Oid,
    pub id: i64,
    pub text: Arc<str>,
    pub sums: Sums,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    user: Oid,
    id: i64,
}

struct Entry {
    text: Arc<str>,
    sums: Sums,
    attached: Vec<Arc<Counters>>,
    /// What it had been used by when it was last looked at, and how often it had run then.
    usage: f64,
    runs_before: u64,
}

impl Entry {
    fn new(text: &Arc<str>) -> Entry {
        Entry {
            text: text.clone(),
            sums: Sums::default(),
            attached: Vec::new(),
            usage: 1.0,
            runs_before: 0,
        }
    }

    fn sums(&self) -> Sums {
        let mut sums = self.sums;
        for counters in &self.attached {
            sums.merge(&counters.sums());
        }
        sums
    }

    fn age(&mut self) -> f64 {
        let runs = self.sums().runs.count;
        let since = runs.saturating_sub(self.runs_before);
        self.runs_before = runs;
        self.usage = (self.usage + since as f64) * AGED;
        self.usage
    }

    fn detach_all(&self) {
        for counters in &self.attached {
            counters.state.store(KNOWN, Ordering::Relaxed);
        }
    }
}

#[derive(Default)]
struct Table {
    entries: HashMap<Key, Entry>,
    text_bytes: usize,
    /// How often entries were removed for want of room.
    removals: u64,
    /// When all were reset; microseconds since the Unix epoch.
    reset: i64,
}

impl Table {
    fn entry(&mut self, most: usize, key: Key, text: &Arc<str>) -> &mut Entry {
        if !self.entries.contains_key(&key) {
            let has_room = |table: &Table| {
                table.entries.len() < most && table.text_bytes + text.len() <= TEXT_BYTES_MAX
            };
            while !has_room(self) && !self.entries.is_empty() {
                self.make_room();
            }
            self.text_bytes += text.len();
        }
        self.entries.entry(key).or_insert_with(|| Entry::new(text))
    }

    fn make_room(&mut self) {
        let entries = self.entries.iter_mut();
        let mut usage: Vec<(f64, Key)> = entries.map(|(key, e)| (e.age(), *key)).collect();
        let count = (usage.len() / REMOVED_ONE_OF)
            .max(REMOVED_MIN)
            .min(usage.len());
        usage.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        for (_, key) in &usage[..count] {
            self.remove(*key);
        }
        self.removals += 1;
    }

    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.text_bytes -= entry.text.len();
            entry.detach_all();
        }
    }
}

/// See the module's header.
pub(crate) struct Statements {
    /// 0 counts nothing.
    most: usize,
    table: Mutex<Table>,
}

impl Statements {
    pub fn new(most: usize, now: i64) -> Statements {
        let table = Table {
            reset: now,
            ..Table::default()
        };
        Statements {
            most,
            table: Mutex::new(table),
        }
    }

    /// How many there may be.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Counts a run that no tally counts.
    pub fn add(&self, user: Oid, shape: &Shape, run: &Run) {
        if self.most > 0 {
            let key = Key { user, id: shape.id };
            let mut table = self.table.lock();
            table.entry(self.most, key, &shape.text).sums.add(run);
        }
    }

    /// All of them.
    pub fn all(&self) -> Vec<Counted> {
        let table = self.table.lock();
        let entries = table.entries.iter();
        let counted = entries.map(|(key, entry)| Counted {
            user: key.user,
            id: key.id,
            text: entry.text.clone(),
            sums: entry.sums(),
        });
        counted.collect()
    }

    /// How often entries were removed for want of room, and when all were reset.
    pub fn info(&self) -> (u64, i64) {
        let table = self.table.lock();
        (table.removals, table.reset)
    }

    /// Forgets those of a user and an id, each of all if it is `None`.
    pub fn reset(&self, user: Option<Oid>, id: Option<i64>, now: i64) {
        let mut table = self.table.lock();
        let is_meant = |key: &&Key| {
            user.is_none_or(|user| user == key.user) && id.is_none_or(|id| id == key.id)
        };
        let keys: Vec<Key> = table.entries.keys().filter(is_meant).copied().collect();
        for key in keys {
            table.remove(key);
        }
        if user.is_none() && id.is_none() {
            table.removals = 0;
            table.reset = now;
        }
    }
}

/// It was not run yet, or once only.
const NEW: u8 = 0;
/// It is in no entry.
const KNOWN: u8 = 1;
const ATTACHED: u8 = 2;

/// What one session counts of a statement.
#[derive(Debug, Default)]
struct Counters {
    state: AtomicU8,
    count: AtomicU64,
    total: AtomicU64,
    /// The bits of a float.
    squares: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
    rows: AtomicU64,
    pages_hit: AtomicU64,
    pages_read: AtomicU64,
}

/// Adds to what nobody else writes.
fn grow(counter: &AtomicU64, by: u64) {
    let before = counter.load(Ordering::Relaxed);
    counter.store(before.wrapping_add(by), Ordering::Relaxed);
}

impl Counters {
    fn add(&self, run: &Run) {
        let (min, max) = (&self.min, &self.max);
        if self.count.load(Ordering::Relaxed) == 0 || run.nanos < min.load(Ordering::Relaxed) {
            min.store(run.nanos, Ordering::Relaxed);
        }
        if run.nanos > max.load(Ordering::Relaxed) {
            max.store(run.nanos, Ordering::Relaxed);
        }
        let squares = f64::from_bits(self.squares.load(Ordering::Relaxed)) + square(run.nanos);
        self.squares.store(squares.to_bits(), Ordering::Relaxed);
        grow(&self.total, run.nanos);
        grow(&self.rows, run.rows);
        if !run.pages.is_none() {
            grow(&self.pages_hit, run.pages.hit);
            grow(&self.pages_read, run.pages.read);
        }
        grow(&self.count, 1);
    }

    fn sums(&self) -> Sums {
        Sums {
            runs: Times {
                count: self.count.load(Ordering::Relaxed),
                total: self.total.load(Ordering::Relaxed),
                squares: f64::from_bits(self.squares.load(Ordering::Relaxed)),
                min: self.min.load(Ordering::Relaxed),
                max: self.max.load(Ordering::Relaxed),
            },
            plans: Times::default(),
            rows: self.rows.load(Ordering::Relaxed),
            pages: Pages {
                hit: self.pages_hit.load(Ordering::Relaxed),
                read: self.pages_read.load(Ordering::Relaxed),
            },
        }
    }

    fn clear(&self) {
        let all = [
            &self.count,
            &self.total,
            &self.squares,
            &self.min,
            &self.max,
            &self.rows,
            &self.pages_hit,
            &self.pages_read,
        ];
        all.iter()
            .for_each(|counter| counter.store(0, Ordering::Relaxed));
    }
}

/// Where a statement that runs again and again is counted.
pub(crate) struct Tally {
    statements: Arc<Statements>,
    user: Oid,
    pub shape: Shape,
    counters: Arc<Counters>,
}

impl Tally {
    pub fn new(statements: &Arc<Statements>, user: Oid, shape: Shape) -> Tally {
        Tally {
            statements: statements.clone(),
            user,
            shape,
            counters: Arc::default(),
        }
    }

    pub fn add(&self, user: Oid, run: &Run) {
        let counters = &self.counters;
        if user != self.user {
            return self.statements.add(user, &self.shape, run);
        }
        match counters.state.load(Ordering::Relaxed) {
            ATTACHED if run.planning.count == 0 => counters.add(run),
            NEW => {
                self.statements.add(user, &self.shape, run);
                counters.state.store(KNOWN, Ordering::Relaxed);
            }
            // It was planned again.
            ATTACHED => self.statements.add(user, &self.shape, run),
            _ if self.statements.most == 0 => {}
            _ => {
                self.attach(run.planning);
                counters.add(run);
            }
        }
    }

    fn attach(&self, planning: Planning) {
        let counters = &self.counters;
        let mut table = self.statements.table.lock();
        let entry = table.entry(self.statements.most, self.key(), &self.shape.text);
        entry.sums.plan(planning);
        // Nobody reads it as long as it is in no entry.
        counters.clear();
        counters.state.store(ATTACHED, Ordering::Relaxed);
        entry.attached.push(counters.clone());
    }

    fn key(&self) -> Key {
        Key {
            user: self.user,
            id: self.shape.id,
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let counters = &self.counters;
        if counters.state.load(Ordering::Relaxed) != ATTACHED {
            return;
        }
        let mut table = self.statements.table.lock();
        let Some(entry) = table.entries.get_mut(&self.key()) else {
            return;
        };
        let mut attached = entry.attached.iter();
        if let Some(place) = attached.position(|other| Arc::ptr_eq(other, counters)) {
            entry.attached.swap_remove(place);
            entry.sums.merge(&counters.sums());
        }
    }
}

/// The place for the [`Tally`] of a statement that is kept.
#[derive(Default)]
pub(crate) struct Kept {
    tally: OnceLock<Arc<Tally>>,
    /// What planning it took that no run was told of yet.
    planning: Mutex<Planning>,
    has_planning: AtomicU8,
}

impl Kept {
    pub fn planned(planning: Planning) -> Kept {
        Kept {
            has_planning: AtomicU8::new(u8::from(planning.count > 0)),
            planning: Mutex::new(planning),
            ..Kept::default()
        }
    }

    /// Takes what planning ahead took.
    pub fn take_planning(&self) -> Planning {
        match self.has_planning.load(Ordering::Relaxed) {
            0 => Planning::default(),
            _ => {
                self.has_planning.store(0, Ordering::Relaxed);
                std::mem::take(&mut self.planning.lock())
            }
        }
    }

    pub fn tally(&self, new: impl FnOnce() -> Tally) -> &Arc<Tally> {
        self.tally.get_or_init(|| Arc::new(new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(nanos: u64) -> Run {
        Run {
            nanos,
            rows: 1,
            pages: Pages::default(),
            planning: Planning::default(),
        }
    }

    fn counts(statements: &Statements) -> Vec<(Oid, String, u64)> {
        let all = statements.all().into_iter();
        let counts = all.map(|c| (c.user, c.text.to_string(), c.sums.runs.count));
        let mut counts: Vec<_> = counts.collect();
        counts.sort();
        counts
    }

    #[test]
    fn tallies_add_up_and_leave_what_they_counted() {
        let statements = Arc::new(Statements::new(100, 0));
        let shape = Shape::of("SELECT 1");
        let tallies = [7, 8, 7].map(|user| Tally::new(&statements, user, shape.clone()));
        for nanos in 1..=4 {
            tallies
                .iter()
                .for_each(|tally| tally.add(tally.user, &run(nanos)));
        }
        // SET ROLE, between two executions of a prepared statement.
        tallies[0].add(9, &run(5));
        let text = || "SELECT $1".to_owned();
        let wanted = vec![(7, text(), 8), (8, text(), 4), (9, text(), 1)];
        assert_eq!(counts(&statements), wanted);
        drop(tallies);
        assert_eq!(counts(&statements), wanted);
        let of_7 = statements.all().into_iter().find(|c| c.user == 7).unwrap();
        let runs = of_7.sums.runs;
        assert_eq!((runs.total, runs.min, runs.max), (20, 1, 4));
        assert_eq!(of_7.sums.rows, 8);
        assert!((runs.deviation() - 1.25f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn a_reset_begins_at_0_for_who_goes_on() {
        let statements = Arc::new(Statements::new(100, 0));
        let tally = Tally::new(&statements, 7, Shape::of("SELECT 1"));
        (0..5).for_each(|_| tally.add(7, &run(1)));
        statements.add(8, &Shape::of("SELECT 1"), &run(1));
        statements.reset(Some(7), None, 1);
        assert_eq!(counts(&statements), [(8, "SELECT $1".to_owned(), 1)]);
        assert_eq!(statements.info(), (0, 0));
        (0..3).for_each(|_| tally.add(7, &run(1)));
        assert_eq!(counts(&statements)[0], (7, "SELECT $1".to_owned(), 3));
        statements.reset(None, None, 1);
        assert_eq!(counts(&statements), []);
        assert_eq!(statements.info(), (0, 1));
    }

    #[test]
    fn the_least_used_make_room() {
        let statements = Arc::new(Statements::new(100, 0));
        let often = Tally::new(&statements, 7, Shape::of("SELECT often"));
        (0..50).for_each(|_| often.add(7, &run(1)));
        for n in 0..1000 {
            statements.add(7, &Shape::of(&format!("SELECT c{n}")), &run(1));
            assert!(statements.all().len() <= 100);
        }
        let left = counts(&statements);
        assert!(
            left.contains(&(7, "SELECT often".to_owned(), 50)),
            "{left:?}"
        );
        assert!(left.contains(&(7, "SELECT c999".to_owned(), 1)));
        assert_eq!(statements.info().0, 91);
        let nothing = Arc::new(Statements::new(0, 0));
        let tally = Tally::new(&nothing, 7, Shape::of("SELECT 1"));
        (0..5).for_each(|_| tally.add(7, &run(1)));
        assert_eq!(counts(&nothing), []);
    }
}
