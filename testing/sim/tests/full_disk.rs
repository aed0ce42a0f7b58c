//! A disk that is full from some call on, for every call of a history: it refuses who would write, with
//! nothing half done; reads go on; the engine never stops; and when there is space again everything works
//! without another start. And one of some bytes: what does not fit leaves as much space as there was.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use heliosdb_sim::{CrashModel, SimDisk};
use heliosdb_storage::ids::{CollectionId, TimelineId, Ts};
use heliosdb_storage::{
    Durability, Engine, Error, Interrupt, Isolation, LoadOptions, LoadedState, Options, Result,
    SequenceSpec,
};

const STORE: CollectionId = CollectionId(900);
const SEQUENCE: CollectionId = CollectionId(901);
const STEPS: u32 = 60;

const NUMBERS: SequenceSpec = SequenceSpec {
    start: 1,
    increment: 1,
    min: 1,
    max: i64::MAX,
    cycle: false,
};

fn open(disk: &SimDisk) -> Result<Engine> {
    let options = Options {
        wal_segment_bytes: 64 << 10,
        memtable_bytes_max: 48 << 10,
        memtables_frozen_max: 2,
        page_bytes: 1 << 10,
        retention_micros: Some(0),
        ..Options::default()
    };
    Engine::open(Arc::new(disk.clone()), options)
}

/// What was acknowledged, and how often the disk was too full.
#[derive(Clone, Default)]
struct History {
    values: BTreeMap<u32, Vec<u8>>,
    last_number: i64,
    refused: u32,
}

impl History {
    /// One step; `DiskFull` changes nothing.
    fn step(&mut self, engine: &Engine, step: u32) -> Result<()> {
        // Most are small, a few span files of the log.
        let bytes = match step % 20 {
            13 => 150_000,
            5 | 17 => 20_000,
            _ => 400,
        };
        let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
        txn.begin_statement();
        let keys = [step, step / 3, 1_000 + step % 7];
        for key in keys {
            txn.put(STORE, &key.to_be_bytes(), &vec![step as u8; bytes / 3])?;
        }
        let durability = match step % 4 {
            3 => Durability::Asynchronous,
            _ => Durability::Synchronous,
        };
        txn.commit(durability)?;
        for key in keys {
            self.values.insert(key, vec![step as u8; bytes / 3]);
        }
        if step.is_multiple_of(6) {
            let next = engine.sequence_next(SEQUENCE, &NUMBERS)?.unwrap();
            assert!(next > self.last_number, "{next} after {}", self.last_number);
            self.last_number = next;
        }
        if step.is_multiple_of(5) {
            engine.flush()?;
        }
        if step.is_multiple_of(16) {
            engine.compact_all(&Interrupt::new())?;
        }
        Ok(())
    }

    /// All steps, on a disk that may be full.
    fn run(&mut self, engine: &Engine, steps: std::ops::Range<u32>) {
        for step in steps {
            match self.step(engine, step) {
                Ok(()) => {}
                Err(Error::DiskFull { .. }) => {
                    self.refused += 1;
                    self.check(engine);
                }
                Err(e) => panic!("step {step}: {e}"),
            }
        }
    }

    /// Exactly what was acknowledged is there.
    fn check(&self, engine: &Engine) {
        let view = engine.latest_view();
        let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        let found: BTreeMap<u32, Vec<u8>> = view
            .range(STORE, all.0, all.1)
            .unwrap()
            .map(|entry| {
                let (key, value) = entry.unwrap();
                (u32::from_be_bytes(key.try_into().unwrap()), value)
            })
            .collect();
        assert!(found == self.values);
    }
}

#[test]
fn a_full_disk_refuses_and_recovers_wherever_it_begins() {
    let quiet = SimDisk::new(3);
    let engine = open(&quiet).unwrap();
    let opened = quiet.calls();
    let mut history = History::default();
    history.run(&engine, 0..STEPS);
    assert_eq!(history.refused, 0);
    let calls = quiet.calls();
    assert!(calls - opened > 300, "{opened} to {calls}");
    let mut refused = 0;
    for at in opened + 1..=calls {
        let disk = SimDisk::new(3);
        let engine = open(&disk).unwrap();
        let mut history = History::default();
        disk.full_from(at);
        history.run(&engine, 0..STEPS);
        refused += history.refused;
        history.check(&engine);
        disk.free_space();
        // Without another start.
        let before = history.refused;
        history.run(&engine, STEPS..STEPS + 25);
        assert_eq!(history.refused, before, "call {at}");
        engine.flush().unwrap();
        engine.compact_all(&Interrupt::new()).unwrap();
        history.check(&engine);
        // What it did meanwhile lasts, whether it is closed or not.
        let disk = match at % 2 {
            0 => {
                engine.close().unwrap();
                disk
            }
            _ => {
                engine.settle(engine.latest_view().ts()).unwrap();
                disk.crash(CrashModel::ALL[at as usize % 3], at)
            }
        };
        let engine = open(&disk).unwrap();
        history.check(&engine);
        history.run(&engine, STEPS + 25..STEPS + 30);
        history.check(&engine);
    }
    assert!(refused > 5_000, "{refused}");
}

/// Ids that were handed out while the log could not be told of them are not handed out again.
#[test]
fn collection_ids_are_not_reused_after_a_full_disk() {
    let disk = SimDisk::new(4);
    let engine = open(&disk).unwrap();
    disk.full_from(0);
    // All the log's room goes.
    let mut last = engine.allocate_collection_id();
    for _ in 0..5_000 {
        last = engine.allocate_collection_id();
    }
    let put = |engine: &Engine| {
        let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
        txn.begin_statement();
        txn.put(last, b"key", b"value")?;
        txn.commit(Durability::Synchronous)
    };
    assert!(matches!(put(&engine), Err(Error::DiskFull { .. })));
    disk.free_space();
    put(&engine).unwrap();
    drop(engine);
    let engine = open(&disk.crash(CrashModel::ALL[0], 1)).unwrap();
    assert_eq!(
        engine.latest_view().get(last, b"key").unwrap().unwrap(),
        b"value"
    );
    assert!(engine.allocate_collection_id() > last);
}

/// Bytes that do not compress.
fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut byte = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..len).map(|_| byte()).collect()
}

/// One transaction that is larger than its memory.
fn write_runs(engine: &Engine, timeline: TimelineId, seed: u32, keys: u32) -> Result<()> {
    let mut txn = engine.begin_on(timeline, Isolation::ReadCommitted, Interrupt::new())?;
    txn.begin_statement();
    for key in 0..keys {
        txn.put(STORE, &key.to_be_bytes(), &noise(seed + key, 8 << 10))?;
    }
    txn.commit(Durability::Synchronous).map(drop)
}

/// A load that needs so many keys of space.
fn load(engine: &Engine, collection: CollectionId, keys: u32) -> Result<()> {
    let loader = engine.loader(LoadOptions {
        segment_bytes: 32 << 10,
        ..LoadOptions::default()
    })?;
    let mut sorted = loader.sorted(collection)?;
    let last_ts = Ts(engine.now_micros());
    for key in 0..keys {
        sorted.push(&key.to_be_bytes(), last_ts, Some(&noise(key, 8 << 10)))?;
    }
    sorted.finish()?;
    loader.publish(LoadedState {
        last_ts,
        history_from: Ts::ZERO,
        ..LoadedState::default()
    })
}

/// Bytes of the files of segments, which are all that the engine knows of.
fn segment_bytes(disk: &SimDisk, engine: &Engine) -> u64 {
    let files = disk.files().into_iter();
    let segments = files.filter(|(name, _)| name.starts_with("segments/"));
    let bytes = segments.map(|(_, len)| len).sum();
    assert_eq!(engine.stats().segment_bytes, bytes);
    bytes
}

#[test]
fn runs_branches_and_loads_that_do_not_fit_leave_nothing() {
    let disk = SimDisk::new(9);
    let options = Options {
        wal_segment_bytes: 64 << 10,
        memtable_bytes_max: 48 << 10,
        memtables_frozen_max: 2,
        transaction_bytes_max: 16 << 10,
        page_bytes: 1 << 10,
        retention_micros: Some(0),
        ..Options::default()
    };
    let engine = Engine::open(Arc::new(disk.clone()), options).unwrap();
    let main = TimelineId::MAIN;
    let mut history = History::default();
    // By kind.
    let (mut done, mut refused) = ([0; 3], [0; 3]);
    for step in 0..240u32 {
        let (seed, keys) = (step * 1000, 1 + step * 7 % 40);
        let before = segment_bytes(&disk, &engine);
        let used: u64 = disk.files().iter().map(|(_, len)| len).sum();
        // About what the files take that are written ahead, so that the log's record is the last to be refused.
        let more = u64::from(keys * 8300 + step * 7 % 80 * 1024);
        disk.set_capacity(used + more.saturating_sub(16 << 10));
        let kind = step % 3;
        let outcome = match kind {
            0 => write_runs(&engine, main, seed, keys).inspect(|()| {
                let values = (0..keys).map(|key| (key, noise(seed + key, 8 << 10)));
                history.values.extend(values);
            }),
            1 => load(&engine, CollectionId(1000 + step), keys),
            _ => {
                let at = engine.latest_view().ts();
                let created = engine.create_timeline("branch", main, at);
                created.and_then(|id| {
                    let written = write_runs(&engine, id, seed, keys);
                    engine.drop_timeline(id).unwrap();
                    written
                })
            }
        };
        let after = segment_bytes(&disk, &engine);
        match outcome {
            Ok(()) => done[kind as usize] += 1,
            Err(Error::DiskFull { .. }) => {
                refused[kind as usize] += 1;
                assert_eq!(after, before, "step {step}");
            }
            Err(e) => panic!("step {step}: {e}"),
        }
        disk.free_space();
        engine.compact_all(&Interrupt::new()).unwrap();
        segment_bytes(&disk, &engine);
        history.check(&engine);
    }
    let often = |counts: &[u32; 3]| counts.iter().all(|count| *count > 5);
    assert!(often(&done) && often(&refused), "{done:?} {refused:?}");
}
