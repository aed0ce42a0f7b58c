//! The algorithm over a model of snapshot isolation, against the graph of what committed.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// splitmix64: a sequence that a seed repeats.
pub(super) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

const TABLE: CollectionId = CollectionId(2000);

/// A committed transaction, as a history knows it.
struct Committed {
    snapshot: Ts,
    /// `None` when it wrote nothing.
    ts: Option<Ts>,
    reads: BTreeSet<u8>,
    writes: BTreeSet<u8>,
}

struct Running {
    /// `None` where the algorithm is left out.
    serial: Option<Serial>,
    snapshot: Ts,
    read_only: bool,
    reads: BTreeSet<u8>,
    writes: BTreeSet<u8>,
    steps: u64,
}

struct Model {
    ssi: Option<Arc<Ssi>>,
    now: Ts,
    /// The newest commit of each key.
    newest: BTreeMap<u8, Ts>,
    next_id: u64,
    running: Vec<Running>,
    committed: Vec<Committed>,
    refused: usize,
    overwritten: usize,
}

impl Model {
    fn new(ssi: Option<Arc<Ssi>>) -> Model {
        Model {
            ssi,
            now: Ts(10),
            newest: BTreeMap::new(),
            next_id: 1,
            running: Vec::new(),
            committed: Vec::new(),
            refused: 0,
            overwritten: 0,
        }
    }

    fn begin(&mut self, read_only: bool, steps: u64) -> usize {
        let (now, id) = (self.now, TxnId(self.next_id));
        self.next_id += 1;
        let serial = self.ssi.as_ref();
        let serial = serial.map(|ssi| ssi.begin(id, read_only, || (now, ())).0);
        self.running.push(Running {
            serial,
            snapshot: now,
            read_only,
            reads: BTreeSet::new(),
            writes: BTreeSet::new(),
            steps,
        });
        self.running.len() - 1
    }

    fn read(&mut self, txn: usize, keys: std::ops::Range<u8>) {
        let txn = &mut self.running[txn];
        if let Some(serial) = &txn.serial {
            match keys.len() {
                1 => serial.reads().note_key(TABLE, &[keys.start]),
                _ => serial.reads().note_range(
                    TABLE,
                    Bound::Included(&[keys.start]),
                    Bound::Excluded(&[keys.end]),
                ),
            }
        }
        // Own writes are not the others' business.
        let others = keys.filter(|key| !txn.writes.contains(key));
        txn.reads.extend(others);
    }

    fn write(&mut self, txn: usize, key: u8) {
        self.running[txn].writes.insert(key);
    }

    /// Commit; whether it was let through.
    fn commit(&mut self, txn: usize) -> bool {
        let txn = self.running.swap_remove(txn);
        let beaten = |key| self.newest.get(key).is_some_and(|ts| *ts > txn.snapshot);
        if txn.writes.iter().any(beaten) {
            self.overwritten += 1;
            return false;
        }
        let wrote = !txn.writes.is_empty();
        let now = match wrote {
            true => Ts(self.now.0 + 1),
            false => self.now,
        };
        if let Some(serial) = txn.serial {
            let keys: Vec<_> = txn.writes.iter().map(|k| full_key(TABLE, &[*k])).collect();
            let writes = writes_of(keys.iter().map(|k| &**k), serial.ssi.limits());
            if let Err(e) = serial.commit(writes, wrote, || Ok((now, ()))) {
                assert!(matches!(e, Error::ReadWriteDependency { .. }), "{e}");
                self.refused += 1;
                return false;
            }
        }
        self.now = now;
        for key in &txn.writes {
            self.newest.insert(*key, now);
        }
        self.committed.push(Committed {
            snapshot: txn.snapshot,
            ts: wrote.then_some(now),
            reads: txn.reads,
            writes: txn.writes,
        });
        true
    }

    /// Whether the committed transactions could have run one after the other: the graph of their
    /// dependencies has no cycle (Adya, "Weak Consistency", 1999).
    fn is_serializable(&self) -> bool {
        let all = &self.committed;
        let mut edges = vec![Vec::new(); all.len()];
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                let (Some(b_ts), true) = (b.ts, i != j) else {
                    continue;
                };
                // What b wrote, a overwrote, or read, or read around.
                let ww = a.ts.is_some_and(|ts| ts > b_ts) && !a.writes.is_disjoint(&b.writes);
                let read = !a.reads.is_disjoint(&b.writes);
                if ww || (read && b_ts <= a.snapshot) {
                    edges[j].push(i);
                }
                if read && b_ts > a.snapshot {
                    edges[i].push(j);
                }
            }
        }
        let mut incoming = vec![0; all.len()];
        for to in edges.iter().flatten() {
            incoming[*to] += 1;
        }
        let mut free: Vec<_> = (0..all.len()).filter(|i| incoming[*i] == 0).collect();
        let mut sorted = 0;
        while let Some(next) = free.pop() {
            sorted += 1;
            for to in &edges[next] {
                incoming[*to] -= 1;
                if incoming[*to] == 0 {
                    free.push(*to);
                }
            }
        }
        sorted == all.len()
    }
}

/// A history of overlapping transactions on a few keys.
fn random_history(seed: u64, ssi: Option<Arc<Ssi>>, keys: u8) -> Model {
    let mut random = Random::new(seed);
    let mut model = Model::new(ssi);
    let transactions = 40;
    let mut begun = 0;
    while begun < transactions || !model.running.is_empty() {
        if begun < transactions && (model.running.len() < 2 || random.below(5) == 0) {
            begun += 1;
            model.begin(random.below(4) == 0, 1 + random.below(5));
            continue;
        }
        let txn = random.below(model.running.len() as u64) as usize;
        if model.running[txn].steps == 0 {
            match random.below(12) {
                0 => drop(model.running.swap_remove(txn)),
                _ => drop(model.commit(txn)),
            }
            continue;
        }
        model.running[txn].steps -= 1;
        let key = random.below(u64::from(keys)) as u8;
        match random.below(5) {
            0 | 1 if !model.running[txn].read_only => model.write(txn, key),
            0..=3 => model.read(txn, key..key + 1),
            _ => model.read(txn, key..key + 3),
        }
    }
    model
}

#[test]
fn what_commits_could_have_run_one_after_the_other() {
    let tiny = Limits {
        ranges_max: 2,
        bytes_max: usize::MAX,
    };
    let configurations = [
        (Limits::default(), FINISHED_MAX),
        (Limits::default(), 2),
        (tiny, FINISHED_MAX),
        (tiny, 3),
    ];
    let (mut broken, mut committed, mut refused) = (0, 0, 0);
    for seed in 0..3000 {
        let (limits, finished_max) = configurations[seed as usize % configurations.len()];
        let ssi = Ssi::with(limits, finished_max, false);
        let keys = [4, 9, 30][seed as usize % 3];
        let model = random_history(seed, Some(Arc::clone(&ssi)), keys);
        assert!(model.is_serializable(), "seed {seed}");
        assert_eq!(ssi.counts(), (0, 0), "seed {seed}: something is left");
        committed += model.committed.len();
        refused += model.refused;
        broken += usize::from(!random_history(seed, None, keys).is_serializable());
    }
    // The same without the algorithm is not, so the test can fail.
    assert!(broken > 300, "only {broken} histories needed it");
    // And it does not reach its end by refusing everybody.
    assert!(
        committed > 5 * refused,
        "{committed} committed, {refused} refused"
    );
}

fn ssi() -> Arc<Ssi> {
    Ssi::new(false)
}

#[test]
fn write_skew_is_refused_to_the_second() {
    let mut model = Model::new(Some(ssi()));
    let (a, b) = (model.begin(false, 0), model.begin(false, 0));
    for txn in [a, b] {
        model.read(txn, 1..3);
    }
    model.write(a, 1);
    model.write(b, 2);
    assert!(model.commit(b));
    assert!(!model.commit(0));
    assert!(model.is_serializable());
}

#[test]
fn one_conflict_alone_is_no_danger() {
    let mut model = Model::new(Some(ssi()));
    let (a, b) = (model.begin(false, 0), model.begin(false, 0));
    model.read(a, 1..2);
    model.write(a, 5);
    model.write(b, 1);
    assert!(model.commit(b));
    assert!(model.commit(0));
}

/// Three in a row, of which the last does not commit first: there is an order for them.
#[test]
fn a_pivot_whose_out_commits_last_is_let_through() {
    let mut model = Model::new(Some(ssi()));
    let (r, p, u) = (
        model.begin(false, 0),
        model.begin(false, 0),
        model.begin(false, 0),
    );
    model.read(r, 1..2);
    model.write(r, 7);
    model.write(p, 1);
    model.read(p, 2..3);
    model.write(u, 2);
    // swap_remove: u takes r's place.
    assert!(model.commit(r) && model.commit(p) && model.commit(0));
    assert_eq!(model.refused, 0);
}

/// "A read-only transaction anomaly under snapshot isolation" (Fekete, O'Neil and O'Neil, 2004): the
/// report sees the deposit and not the withdrawal, which did not see the deposit.
#[test]
fn the_read_only_anomaly_is_refused() {
    let mut model = Model::new(Some(ssi()));
    let withdrawal = model.begin(false, 0);
    model.read(withdrawal, 1..3);
    model.write(withdrawal, 1);
    let deposit = model.begin(false, 0);
    model.read(deposit, 2..3);
    model.write(deposit, 2);
    assert!(model.commit(deposit));
    let report = model.begin(true, 0);
    model.read(report, 1..3);
    assert!(model.commit(report));
    assert!(!model.commit(withdrawal));
}

/// The same, but the report began before the deposit was there: no order is contradicted.
#[test]
fn a_report_from_before_lets_the_pivot_through() {
    let mut model = Model::new(Some(ssi()));
    let report = model.begin(true, 0);
    model.read(report, 1..3);
    let withdrawal = model.begin(false, 0);
    model.read(withdrawal, 1..3);
    model.write(withdrawal, 1);
    let deposit = model.begin(false, 0);
    model.write(deposit, 2);
    assert!(model.commit(deposit) && model.commit(report) && model.commit(0));
    assert!(model.is_serializable());
}

#[test]
fn a_reader_beside_no_writer_is_safe_and_notes_nothing() {
    let ssi = ssi();
    let mut model = Model::new(Some(Arc::clone(&ssi)));
    let reader = model.begin(true, 0);
    model.read(reader, 0..200);
    assert_eq!(ssi.counts(), (0, 0));
    let serial = model.running[reader].serial.as_ref().unwrap();
    assert!(serial.reads().ranges.lock().is_empty());
    assert!(ssi.wait_safe(serial, &Interrupt::new()).unwrap());
}

#[test]
fn a_deferred_reader_waits_for_the_writers_beside_it() {
    let ssi = Ssi::new(true);
    let mut model = Model::new(Some(Arc::clone(&ssi)));
    let writer = model.begin(false, 0);
    model.write(writer, 1);
    let (reader, ()) = ssi.begin(TxnId(90), true, || (Ts(10), ()));
    let interrupt = Interrupt::new();
    interrupt.cancel();
    let canceled = ssi.wait_safe(&reader, &interrupt);
    assert!(matches!(canceled, Err(Error::Canceled)));
    interrupt.reset();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ssi.wait_safe(&reader, &interrupt).unwrap());
        assert!(model.commit(writer));
        assert!(waiting.join().unwrap());
    });

    // A writer that read around a commit from before the snapshot makes the snapshot bad.
    let pivot = model.begin(false, 0);
    model.read(pivot, 5..6);
    model.write(pivot, 6);
    let out = model.begin(false, 0);
    model.write(out, 5);
    assert!(model.commit(out));
    let now = model.now;
    let (reader, ()) = ssi.begin(TxnId(91), true, || (now, ()));
    assert!(model.commit(pivot));
    assert!(!ssi.wait_safe(&reader, &interrupt).unwrap());
    let (again, ()) = ssi.begin(TxnId(92), true, || (model.now, ()));
    assert!(ssi.wait_safe(&again, &interrupt).unwrap());
}

/// A session that sleeps in its transaction while thousands commit.
#[test]
fn what_is_remembered_is_bounded() {
    let ssi = Ssi::with(Limits::default(), 50, false);
    let mut model = Model::new(Some(Arc::clone(&ssi)));
    let sleeper = model.begin(false, 0);
    model.read(sleeper, 200..201);
    model.write(sleeper, 201);
    for i in 0..2000_u32 {
        let txn = model.begin(false, 0);
        model.read(txn, (i % 100) as u8..(i % 100) as u8 + 1);
        model.write(txn, (i % 100) as u8);
        assert!(model.commit(txn));
        assert!(ssi.counts().1 <= 50);
    }
    // Nobody wrote what it read or read what it wrote, summed up or not.
    assert!(model.commit(sleeper));
    assert_eq!(ssi.counts(), (0, 0));
}

#[test]
fn storages_own_catalog_is_not_guarded() {
    let ssi = ssi();
    let (serial, ()) = ssi.begin(TxnId(1), false, || (Ts(1), ()));
    let catalog = CollectionId(FIRST_COLLECTION.0 - 1);
    serial.reads().note_key(catalog, b"k");
    serial
        .reads()
        .note_range(catalog, Bound::Unbounded, Bound::Unbounded);
    assert!(serial.reads().ranges.lock().is_empty());
    let key = full_key(catalog, b"k");
    assert!(writes_of(std::iter::once(&*key), ssi.limits()).is_empty());
}
