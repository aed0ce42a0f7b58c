//! A file of the log that could not be removed must not be left behind by those after it: recovery
//! reads the log from its oldest file and takes a gap for damage.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use heliosdb_sim::{Call, Fault, SimDisk};
use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::{Durability, Engine, Interrupt, Isolation, Options};

const STORE: CollectionId = CollectionId(900);

fn open(disk: &SimDisk) -> Engine {
    let options = Options {
        memtable_bytes_max: 16 << 10,
        wal_segment_bytes: 64 << 10,
        ..Options::default()
    };
    Engine::open(Arc::new(disk.clone()), options).unwrap()
}

/// Enough commits for several files of the log. One that is refused, because a file could not be
/// made ready, is tried again.
fn write(engine: &Engine) {
    let commit = |key: u32| {
        let mut tx = engine.begin(Isolation::ReadCommitted, Interrupt::new());
        tx.put(STORE, &key.to_be_bytes(), &[7; 3000])?;
        tx.commit(Durability::Synchronous)
    };
    for key in 0..100u32 {
        commit(key).or_else(|_| commit(key)).unwrap();
    }
}

#[test]
fn a_failed_removal_leaves_no_gap() {
    let quiet = SimDisk::new(1);
    let engine = open(&quiet);
    let opened = quiet.calls();
    write(&engine);
    let trace = quiet.trace();
    let removals = (1..).zip(&trace).filter(|(_, call)| **call == Call::Remove);
    let removals = removals.map(|(at, _)| at).filter(|at| *at > opened);
    let removals: Vec<u64> = removals.collect();
    assert!(removals.len() > 2, "{trace:?}");
    for at in removals {
        for fault in [Fault::Io, Fault::NoSpace] {
            let disk = SimDisk::new(1);
            disk.fail_at(at, fault);
            write(&open(&disk));
            let engine = open(&disk);
            let view = engine.latest_view();
            for key in 0..100u32 {
                assert!(view.get(STORE, &key.to_be_bytes()).unwrap().is_some());
            }
        }
    }
}
