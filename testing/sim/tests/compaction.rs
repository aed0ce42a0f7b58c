//! Compaction on a machine that fails: every call of one merge, in every way; and on a clock that jumps.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use heliosdb_sim::{CrashModel, Fault, SimDisk};
use heliosdb_storage::ids::{CollectionId, Ts};
use heliosdb_storage::{
    Compacted, Durability, Engine, Error, HeldBy, Interrupt, Isolation, Options, ReadView, Result,
};

const STORE: CollectionId = CollectionId(900);
const KEYS: u8 = 40;
const HOUR: u64 = 3_600_000_000;

fn open(disk: &SimDisk) -> Result<Engine> {
    let options = Options {
        wal_segment_bytes: 64 << 10,
        page_bytes: 512,
        retention_micros: Some(HOUR),
        ..Options::default()
    };
    Engine::open(Arc::new(disk.clone()), options)
}

fn commit(engine: &Engine, keys: impl Iterator<Item = u8>, value: Option<u8>) -> Result<Ts> {
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    for key in keys {
        match value {
            Some(value) => txn.put(STORE, &[key], &[value; 50])?,
            None => txn.remove(STORE, &[key])?,
        }
    }
    txn.commit(Durability::Synchronous)
}

fn compact(engine: &Engine) -> Result<Compacted> {
    engine.compact_all(&Interrupt::new())
}

/// Three segments, of which the first two have nothing but what is past its time and what stands; when
/// the past ended.
fn fill(disk: &SimDisk) -> (Engine, Ts) {
    let engine = open(disk).unwrap();
    commit(&engine, 0..KEYS, Some(1)).unwrap();
    engine.flush().unwrap();
    commit(&engine, (0..KEYS).step_by(2), Some(2)).unwrap();
    let past = commit(&engine, (0..KEYS).step_by(5), None).unwrap();
    engine.flush().unwrap();
    disk.advance(2 * HOUR);
    commit(&engine, (0..KEYS).step_by(3), Some(3)).unwrap();
    engine.flush().unwrap();
    (engine, past)
}

/// What a view of the newest state has to show after [`fill`].
fn check(view: &ReadView) {
    for key in 0..KEYS {
        let expected = match key {
            _ if key % 3 == 0 => Some(3),
            _ if key % 5 == 0 => None,
            _ if key % 2 == 0 => Some(2),
            _ => Some(1),
        };
        let found = view.get(STORE, &[key]).unwrap();
        assert_eq!(found, expected.map(|value| vec![value; 50]), "key {key}");
    }
}

/// After an opening every file has a name in the manifest, and what can be read AS OF the past is it.
fn check_opened(disk: &SimDisk, past: Ts) {
    let engine = open(disk).unwrap();
    check(&engine.latest_view());
    let names = disk.files().into_iter().map(|(name, _)| name);
    let files = names.filter(|name| name.starts_with("segments/")).count();
    let segments = engine.stats().segments;
    assert_eq!(files, segments);
    match engine.view_at(past) {
        Ok(view) => {
            assert_eq!(segments, 3);
            assert_eq!(view.get(STORE, &[2]).unwrap().unwrap(), [2; 50]);
            assert_eq!(view.get(STORE, &[3]).unwrap().unwrap(), [1; 50]);
            assert_eq!(view.get(STORE, &[5]).unwrap(), None);
        }
        Err(Error::SnapshotTooOld { .. }) => assert_eq!((segments, files), (1, 1)),
        Err(e) => panic!("{e}"),
    }
    commit(&engine, 100..101, Some(0)).unwrap();
    compact(&engine).unwrap();
    check(&engine.latest_view());
    assert_eq!(engine.stats().segments, 1);
}

/// Numbered calls and reads of the merge, from the first to behind the last.
fn calls() -> (std::ops::Range<u64>, std::ops::Range<u64>) {
    let disk = SimDisk::new(1);
    let (engine, past) = fill(&disk);
    let (calls, reads) = (disk.calls() + 1, disk.reads() + 1);
    let done = compact(&engine).unwrap();
    assert_eq!((done.files_in, done.files_out), (3, 1));
    // The first of 20 keys that changed, what 8 had when they were removed, and that they were.
    assert_eq!(done.versions_dropped, 36);
    assert!(engine.oldest_ts() > past);
    (calls..disk.calls() + 1, reads..disk.reads() + 1)
}

#[test]
fn a_call_that_fails_costs_the_merge_and_nothing_else() {
    let (calls, reads) = calls();
    assert!(calls.end > calls.start + 5 && reads.end > reads.start + 5);
    let writes = calls.flat_map(|at| [Fault::Io, Fault::NoSpace].map(|fault| (false, at, fault)));
    for (is_read, at, fault) in writes.chain(reads.map(|at| (true, at, Fault::Io))) {
        let disk = SimDisk::new(1);
        let (engine, past) = fill(&disk);
        match is_read {
            true => disk.fail_read_at(at, fault),
            false => disk.fail_at(at, fault),
        }
        let failed = compact(&engine);
        check(&engine.latest_view());
        let stopped = commit(&engine, 100..101, Some(0)).is_err();
        match failed {
            // A file that could not be removed is no reason to fail.
            Ok(_) => assert!(!stopped),
            Err(Error::Io { op: "sync", .. } | Error::Stopped { .. }) => assert!(stopped),
            Err(Error::Io { .. } | Error::DiskFull { .. }) if !stopped => {
                assert!(engine.view_at(past).is_ok(), "the horizon falls back");
                compact(&engine).unwrap();
                check(&engine.latest_view());
            }
            // A write to the log.
            Err(Error::Io { .. } | Error::DiskFull { .. }) => {}
            Err(e) => panic!("{e} at {at}, {fault:?}"),
        }
        drop(engine);
        disk.heal();
        check_opened(&disk, past);
    }
}

#[test]
fn a_crash_at_any_call_leaves_what_there_was_or_what_there_is() {
    let disk = SimDisk::new(1);
    let (engine, past) = fill(&disk);
    disk.record_images();
    compact(&engine).unwrap();
    engine.close().unwrap();
    let mut images = disk.take_images();
    images.push(disk.image());
    assert!(images.len() > 5);
    for image in images {
        for model in CrashModel::ALL {
            for seed in 0..6 {
                check_opened(&image.crash(model, seed), past);
            }
        }
    }
}

#[test]
fn nothing_expires_by_a_clock_that_jumps() {
    for micros in [3 * HOUR as i64, -120_000_000] {
        let disk = SimDisk::new(1);
        let (engine, past) = fill(&disk);
        disk.jump(micros);
        let done = compact(&engine).unwrap();
        assert_eq!((done.files_out, done.versions_dropped), (1, 0));
        assert_eq!(engine.stats().horizon.held_by, HeldBy::Clock);
        assert_eq!(engine.oldest_ts(), Ts::ZERO);
        engine.view_at(past).unwrap();
        // It does not help that time goes on.
        disk.advance(HOUR);
        commit(&engine, 100..101, Some(0)).unwrap();
        assert_eq!(compact(&engine).unwrap().versions_dropped, 0);

        engine.confirm_clock();
        assert_eq!(engine.stats().horizon.held_by, HeldBy::Retention);
        commit(&engine, 100..101, Some(0)).unwrap();
        assert!(compact(&engine).unwrap().versions_dropped > 0);
        assert!(engine.view_at(past).is_err());
        check(&engine.latest_view());
    }
}

#[test]
fn a_clock_that_is_slewed_a_little_is_believed() {
    let disk = SimDisk::new(1);
    let (engine, past) = fill(&disk);
    disk.jump(30_000_000);
    assert!(compact(&engine).unwrap().versions_dropped > 0);
    assert!(engine.view_at(past).is_err());
}
