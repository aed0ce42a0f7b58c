//! The archive and the restore on a machine that fails: whatever call it fails in, the archive goes on
//! without a gap, and every commit since the backup can be restored.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use heliosdb_sim::{CrashModel, Fault, SimDisk};
use heliosdb_storage::ids::{CollectionId, Ts};
use heliosdb_storage::io::Io;
use heliosdb_storage::{
    ArchiveDirectory, Durability, Engine, Error, Interrupt, Isolation, Options, RestoreOptions,
    Result, coverage, restore,
};

const STORE: CollectionId = CollectionId(900);
const BYTES: usize = 9000;

fn io(machine: &SimDisk, name: &str) -> Arc<dyn Io> {
    Arc::new(machine.directory(name))
}

fn open(machine: &SimDisk, name: &str) -> Result<Engine> {
    let options = Options {
        wal_segment_bytes: 64 << 10,
        memtable_bytes_max: 100 << 10,
        page_bytes: 512,
        retention_micros: Some(0),
        archive: Some(ArchiveDirectory(io(machine, "archive"))),
        ..Options::default()
    };
    Engine::open(io(machine, name), options)
}

fn commit(engine: &Engine, value: u8) -> Result<Ts> {
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    txn.put(STORE, b"value", &vec![value; BYTES])?;
    txn.put(STORE, &[value], b"")?;
    txn.commit(Durability::Synchronous)
}

fn value(engine: &Engine) -> u8 {
    let view = engine.latest_view();
    let value = view.get(STORE, b"value").unwrap().unwrap()[0];
    for n in 0..=value {
        assert!(view.get(STORE, &[n]).unwrap().is_some(), "{n} of {value}");
    }
    assert_eq!(view.get(STORE, &[value + 1]).unwrap(), None);
    value
}

/// A database with a backup that has value 1.
fn begin(machine: &SimDisk) -> Engine {
    let engine = open(machine, "db").unwrap();
    commit(&engine, 0).unwrap();
    engine.flush().unwrap();
    commit(&engine, 1).unwrap();
    let target = io(machine, "backup");
    engine.backup(&target, &Interrupt::new()).unwrap();
    engine
}

/// Commits, a flush and a merge, tails; the commits that were acknowledged.
fn history(machine: &SimDisk, engine: Engine) -> Vec<Ts> {
    let mut acknowledged = Vec::new();
    for n in 2..24 {
        match commit(&engine, n) {
            Ok(ts) => acknowledged.push(ts),
            Err(_) => break,
        }
        match n {
            9 | 15 => drop(engine.flush()),
            12 | 19 => drop(engine.archive()),
            17 => drop(engine.compact_all(&Interrupt::new())),
            _ => {}
        }
    }
    let _ = engine.close();
    let _ = machine;
    acknowledged
}

fn restore_to(machine: &SimDisk, target: &str, to: Option<Ts>) -> Result<Engine> {
    let options = RestoreOptions {
        to,
        wal_segment_bytes: 64 << 10,
        ..RestoreOptions::default()
    };
    let (backup, archive) = (io(machine, "backup"), io(machine, "archive"));
    restore(&backup, Some(&archive), &io(machine, target), &options)?;
    open(machine, target)
}

/// The next process archives the rest, and all of it can be restored.
fn check(machine: &SimDisk, acknowledged: &[Ts], place: &str) {
    let engine = open(machine, "db").unwrap();
    engine.archive().unwrap();
    let last = value(&engine);
    assert!(usize::from(last) > acknowledged.len(), "{place}");
    let covered = coverage(&io(machine, "backup"), Some(&io(machine, "archive"))).unwrap();
    assert_eq!(covered.to, engine.durable(), "{place}: {}", covered.why);
    let restored = restore_to(machine, "restored", None).unwrap();
    assert_eq!(value(&restored), last, "{place}");
    if let Some(middle) = acknowledged.get(acknowledged.len() / 2) {
        let restored = restore_to(machine, "earlier", Some(*middle)).unwrap();
        assert_eq!(
            usize::from(value(&restored)),
            2 + acknowledged.len() / 2,
            "{place}"
        );
    }
}

#[test]
fn a_crash_leaves_no_gap_in_the_archive() {
    let machine = SimDisk::new(7);
    let engine = begin(&machine);
    machine.record_images();
    history(&machine, engine);
    let images = machine.take_images();
    assert!(images.len() > 200);
    for (at, image) in images.iter().enumerate() {
        // What was acknowledged by then is told by the one who wrote it: the value that is there.
        let model = CrashModel::ALL[at % 3];
        check(
            &image.crash(model, at as u64),
            &[],
            &format!("{model:?} at {at}"),
        );
    }
}

#[test]
fn a_call_that_fails_leaves_no_gap_in_the_archive() {
    let machine = SimDisk::new(7);
    let engine = begin(&machine);
    let first = machine.calls() + 1;
    history(&machine, engine);
    for at in (first..=machine.calls()).step_by(2) {
        for fault in [Fault::Io, Fault::NoSpace] {
            let machine = SimDisk::new(7);
            let engine = begin(&machine);
            machine.fail_at(at, fault);
            let acknowledged = history(&machine, engine);
            machine.heal();
            check(&machine, &acknowledged, &format!("{fault:?} at {at}"));
        }
    }
}

/// Restores that crash or fail leave nothing that opens, or the whole.
#[test]
fn a_restore_is_whole_or_nothing() {
    let machine = SimDisk::new(8);
    let engine = begin(&machine);
    history(&machine, engine);
    machine.record_images();
    let calls = machine.calls();
    let options = RestoreOptions {
        wal_segment_bytes: 64 << 10,
        ..RestoreOptions::default()
    };
    let (backup, archive) = (io(&machine, "backup"), io(&machine, "archive"));
    restore(&backup, Some(&archive), &io(&machine, "restored"), &options).unwrap();
    let end = machine.calls();
    let images = machine.take_images();
    let whole = |machine: &SimDisk| {
        let files = machine.directory("restored").files();
        if !files.iter().any(|(name, _)| name.starts_with("wal/")) {
            return false;
        }
        match open(machine, "restored") {
            Ok(engine) => {
                assert_eq!(value(&engine), 23);
                true
            }
            Err(Error::NotADatabase { .. }) => false,
            Err(e) => panic!("{e}"),
        }
    };
    let mut wholes = 0;
    for image in &images {
        for model in CrashModel::ALL {
            wholes += u32::from(whole(&image.crash(model, image.call)));
        }
    }
    assert!(wholes <= 6, "{wholes}");
    for at in calls + 1..=end {
        let machine = SimDisk::new(8);
        let engine = begin(&machine);
        history(&machine, engine);
        assert_eq!(machine.calls(), calls);
        machine.fail_at(at, Fault::NoSpace);
        let (backup, archive) = (io(&machine, "backup"), io(&machine, "archive"));
        let restored = restore(&backup, Some(&archive), &io(&machine, "restored"), &options);
        assert!(whole(&machine) || restored.is_err(), "{at}: {restored:?}");
    }
}
