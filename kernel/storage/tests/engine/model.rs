//! Random transactions against a plain model: `key → [(ts, value)]`, in a sorted collection and in a
//! table, with flushes, compactions, closes and savepoints in between. Every timestamp that is not past
//! its time is read again at the end, and so is what transactions held on to; then every file is checked.

use std::collections::BTreeMap;
use std::ops::Bound;

use heliosdb_storage::ids::{CollectionId, RowId, Ts};
use heliosdb_storage::*;

use super::changes::{Signed, entries_between, rows_between};
use super::support::*;

const STORE: CollectionId = CollectionId(500);

/// All versions ever committed.
type Versions<K, V> = BTreeMap<K, Vec<(Ts, Option<V>)>>;

fn at<K: Ord + Clone, V: Clone>(versions: &Versions<K, V>, ts: Ts) -> Vec<(K, V)> {
    let seen = |(key, versions): (&K, &Vec<(Ts, Option<V>)>)| {
        let (_, value) = versions.iter().rev().find(|(begin, _)| *begin <= ts)?;
        value.clone().map(|value| (key.clone(), value))
    };
    versions.iter().filter_map(seen).collect()
}

/// What [`Engine::changes`] and [`Engine::entry_changes`] are to give.
fn between<K: Ord + Clone, V: Clone>(
    versions: &Versions<K, V>,
    since: Ts,
    until: Ts,
    which: Changes,
) -> Vec<Signed<K, V>> {
    let mut changes = Vec::new();
    for (key, versions) in versions {
        let image = |ts: Ts| {
            let seen = versions.iter().rev().find(|(begin, _)| *begin <= ts);
            seen.and_then(|(_, value)| value.clone())
        };
        let begun = versions.iter().map(|(begin, _)| *begin);
        let begun: Vec<Ts> = begun.filter(|ts| since < *ts && *ts <= until).collect();
        let ends: Vec<(Ts, Ts)> = match which {
            Changes::Every => begun.iter().map(|ts| (Ts(ts.0 - 1), *ts)).collect(),
            Changes::Net => begun
                .last()
                .map(|last| (since, *last))
                .into_iter()
                .collect(),
        };
        for (before, after) in ends {
            for (sign, value) in [(-1, image(before)), (1, image(after))] {
                changes.extend(value.map(|value| (after, key.clone(), sign, value)));
            }
        }
    }
    match which {
        Changes::Every => changes.sort_by(|a, b| (a.0, &a.1, a.2).cmp(&(b.0, &b.1, b.2))),
        Changes::Net => {}
    }
    changes
}

/// A transaction's changes on top.
#[derive(Clone, Default)]
struct Written {
    store: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    rows: BTreeMap<RowId, Option<Row>>,
}

struct Model {
    random: u64,
    store: Versions<Vec<u8>, Vec<u8>>,
    rows: Versions<RowId, Row>,
    commits: Vec<Ts>,
    next_id: i64,
}

impl Model {
    /// Xorshift; the tests need variety, not quality.
    fn below(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % n
    }

    fn live(&self, changes: &Written) -> Vec<(RowId, Row)> {
        let mut rows: BTreeMap<_, _> = at(&self.rows, Ts::MAX).into_iter().collect();
        for (id, row) in &changes.rows {
            match row {
                Some(row) => rows.insert(*id, row.clone()),
                None => rows.remove(id),
            };
        }
        rows.into_iter().collect()
    }

    fn write(&mut self, txn: &mut Transaction, changes: &mut Written) {
        let key = vec![b'k', self.below(40) as u8];
        match self.below(6) {
            0 | 1 => {
                let value = self.below(1000).to_string().into_bytes();
                txn.put(STORE, &key, &value).unwrap();
                changes.store.insert(key, Some(value));
            }
            2 => {
                txn.remove(STORE, &key).unwrap();
                changes.store.insert(key, None);
            }
            3 => {
                self.next_id += 1;
                let new = row(self.next_id, &format!("name {}", self.below(5)));
                let id = txn
                    .insert(&table(), &batch(std::slice::from_ref(&new)))
                    .unwrap();
                changes.rows.insert(id[0], Some(new));
            }
            kind => {
                let live = self.live(changes);
                if live.is_empty() {
                    return;
                }
                let (id, old) = live[self.below(live.len() as u64) as usize].clone();
                txn.lock_row(TABLE, id, RowLockMode::Update, LockWait::NoWait)
                    .unwrap();
                if kind == 4 {
                    txn.delete(&table(), &[id]).unwrap();
                    changes.rows.insert(id, None);
                } else {
                    let new = (old.0, format!("name {}", self.below(5)));
                    let rows = batch(std::slice::from_ref(&new));
                    txn.update(&table(), &[id], &rows).unwrap();
                    changes.rows.insert(id, Some(new));
                }
            }
        }
    }

    fn transaction(&mut self, engine: &Engine) {
        let mut txn = begin(engine);
        let mut changes = Written::default();
        for _ in 0..self.below(6) {
            let savepoint = (txn.savepoint(), changes.clone());
            for _ in 0..self.below(4) {
                self.write(&mut txn, &mut changes);
            }
            if self.below(4) == 0 {
                txn.rollback_to(savepoint.0);
                changes = savepoint.1;
            }
            assert_eq!(scan(&txn.latest_view()), self.live(&changes));
        }
        if self.below(5) == 0 {
            return txn.rollback();
        }
        let wrote = !txn.is_read_only();
        let durability = match self.below(3) {
            0 => Durability::Asynchronous,
            _ => Durability::Synchronous,
        };
        let ts = txn.commit(durability).unwrap();
        if wrote {
            self.commits.push(ts);
        }
        for (key, value) in changes.store {
            self.store.entry(key).or_default().push((ts, value));
        }
        for (id, row) in changes.rows {
            self.rows.entry(id).or_default().push((ts, row));
        }
    }

    fn check(&self, view: &ReadView) {
        let ts = view.ts();
        let rows = at(&self.rows, ts);
        assert_eq!(scan(view), rows, "rows at {ts}");
        let store = at(&self.store, ts);
        let all = view
            .range(STORE, Bound::Unbounded, Bound::Unbounded)
            .unwrap();
        assert_eq!(
            all.collect::<Result<Vec<_>>>().unwrap(),
            store,
            "store at {ts}"
        );
        for k in 0..40 {
            let key = [b'k', k];
            let expected = store
                .iter()
                .find(|(other, _)| **other == key)
                .map(|(_, v)| v.clone());
            assert_eq!(view.get(STORE, &key).unwrap(), expected, "key {k} at {ts}");
        }
        for (id, (key, name)) in &rows {
            assert_eq!(by_id(view, key.unwrap()), vec![*id], "id at {ts}");
            assert!(by_name(view, name).contains(id), "name at {ts}");
        }
        let by_names: usize = (0..5)
            .map(|n| by_name(view, &format!("name {n}")).len())
            .sum();
        assert_eq!(by_names, rows.len(), "names at {ts}");
    }

    /// What came between two times that are not past, in both ways.
    fn check_changes(&mut self, engine: &Engine) {
        let mut time = || match self.commits.len() as u64 {
            0 => Ts::ZERO,
            n => {
                let n = self.below(n) as usize;
                Ts(self.commits[n].0 - self.below(2))
            }
        };
        let (a, b) = (time(), time());
        let (since, until) = (a.min(b), a.max(b));
        for which in [Changes::Net, Changes::Every] {
            let rows = rows_between(engine, since, until, which);
            if since < engine.oldest_ts() {
                assert!(
                    matches!(rows, Err(Error::SnapshotTooOld { .. })),
                    "{rows:?}"
                );
                continue;
            }
            let expected = between(&self.rows, since, until, which);
            assert_eq!(rows.unwrap(), expected, "{which:?} {since} to {until}");
            let entries = entries_between(engine, STORE, since, until, which).unwrap();
            let expected = between(&self.store, since, until, which);
            assert_eq!(entries, expected, "{which:?} {since} to {until}");
        }
    }
}

/// What is done to segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Merging {
    Never,
    /// Now and then, and all history stays.
    KeepingAll,
    /// Now and then, and nothing of the past is wanted for longer.
    Expiring {
        retention_micros: u64,
    },
}

impl Merging {
    fn options(self) -> Options {
        Options {
            retention_micros: match self {
                Merging::Expiring { retention_micros } => Some(retention_micros),
                _ => None,
            },
            // Some files are past it, so that merges leave out older ones.
            compaction_bytes_max: 6 << 10,
            ..small()
        }
    }
}

/// A transaction that reads what was there when it began.
fn snapshot(engine: &Engine) -> Transaction {
    let mut txn = engine.begin(Isolation::RepeatableRead, Interrupt::new());
    txn.begin_statement();
    txn
}

/// How many times were past their time in the end.
fn run(seed: u64, steps: usize, merging: Merging) -> usize {
    run_with(merging.options(), seed, steps, merging)
}

fn run_with(options: Options, seed: u64, steps: usize, merging: Merging) -> usize {
    let mut db = Database::with(options);
    let mut model = Model {
        random: seed * 0x9e37_79b9 + 1,
        store: BTreeMap::new(),
        rows: BTreeMap::new(),
        commits: Vec::new(),
        next_id: 0,
    };
    let mut held: Vec<Transaction> = Vec::new();
    for _ in 0..steps {
        let kinds = if merging == Merging::Never { 20 } else { 23 };
        match model.below(kinds) {
            0 => db.engine.flush().unwrap(),
            1 => {
                held.clear();
                db = db.reopen();
            }
            2 => model.check(&db.engine.latest_view()),
            3 => model.check_changes(&db.engine),
            20 => {
                let old = db.engine.latest_view();
                db.engine.flush().unwrap();
                db.engine.compact(&Interrupt::new()).unwrap();
                model.check(&old);
            }
            21 if model.below(3) == 0 => {
                db.engine.compact_all(&Interrupt::new()).unwrap();
                assert!(db.engine.stats().segments <= 1);
            }
            22 => match model.below(3) {
                0 => held.push(snapshot(&db.engine)),
                _ => held.iter().for_each(|txn| model.check(&txn.read_view())),
            },
            _ => model.transaction(&db.engine),
        }
    }
    held.iter().for_each(|txn| model.check(&txn.read_view()));
    held.clear();
    let mut expired = 0;
    for _ in 0..2 {
        for ts in model.commits.iter().step_by(3) {
            let oldest = db.engine.oldest_ts();
            match db.engine.view_at(*ts) {
                Ok(view) => model.check(&view),
                Err(Error::SnapshotTooOld { .. }) if *ts < oldest => expired += 1,
                Err(e) => panic!("{e}"),
            }
        }
        for _ in 0..10 {
            model.check_changes(&db.engine);
        }
        model.check(&db.engine.latest_view());
        let live = model.live(&Written::default()).len() as u64;
        assert_eq!(db.engine.latest_view().row_count_estimate(TABLE), live);
        db.engine.flush().unwrap();
        db = db.reopen();
    }
    db.check();
    expired
}

#[test]
fn random_histories_read_as_the_model_says() {
    for seed in 1..=12 {
        run(seed, 80, Merging::Never);
    }
}

#[test]
fn merged_segments_read_as_the_model_says() {
    for seed in 1..=6 {
        assert_eq!(run(seed, 100, Merging::KeepingAll), 0);
    }
}

#[test]
fn what_is_not_past_its_time_reads_as_the_model_says() {
    let mut expired = 0;
    for seed in 1..=4 {
        for retention_micros in [0, 20_000] {
            expired += run(seed, 100, Merging::Expiring { retention_micros });
        }
    }
    assert!(expired > 40, "{expired}");
}

/// So little memory that some transactions have a run, and some have many.
#[test]
fn transactions_in_runs_read_as_the_model_says() {
    for (seed, transaction_bytes_max) in [(1, 0), (2, 400), (3, 1500), (4, 400)] {
        for merging in [Merging::Never, Merging::KeepingAll] {
            let options = Options {
                transaction_bytes_max,
                ..merging.options()
            };
            assert_eq!(run_with(options, seed, 40, merging), 0);
        }
    }
}
