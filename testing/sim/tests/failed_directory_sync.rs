//! After a directory sync failed, syncing the directory again proves nothing for the names of before.
//! The process that meets the failure stops. The next one finds the names in place, and must not
//! acknowledge a commit in a file whose name the power may still take away.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use heliosdb_sim::{Call, CrashModel, Fault, SimDisk};
use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::{Durability, Engine, Interrupt, Isolation, Options, Result};

const STORE: CollectionId = CollectionId(900);
const SEEDS: u64 = 8;

fn open(disk: &SimDisk) -> Result<Engine> {
    let options = Options {
        memtable_bytes_max: 16 << 10,
        wal_segment_bytes: 64 << 10,
        ..Options::default()
    };
    Engine::open(Arc::new(disk.clone()), options)
}

fn commit(engine: &Engine, key: u32) -> Result<()> {
    let mut tx = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    tx.put(STORE, &key.to_be_bytes(), &[7; 3000])?;
    tx.commit(Durability::Synchronous).map(drop)
}

/// Commit until one fails; the keys that were acknowledged.
fn write(disk: &SimDisk, keys: std::ops::Range<u32>) -> Vec<u32> {
    let Ok(engine) = open(disk) else {
        return Vec::new();
    };
    let acknowledged = keys.take_while(|key| commit(&engine, *key).is_ok());
    acknowledged.collect()
}

#[test]
fn what_the_next_process_acknowledges_stays() {
    let quiet = SimDisk::new(1);
    assert_eq!(write(&quiet, 0..60).len(), 60);
    let syncs: Vec<u64> = (1..)
        .zip(quiet.trace())
        .filter(|(_, call)| *call == Call::SyncDir)
        .map(|(at, _)| at)
        .collect();
    assert!(syncs.len() > 8, "{syncs:?}");
    for at in syncs {
        let disk = SimDisk::new(1);
        disk.fail_at(at, Fault::Io);
        let mut acknowledged = write(&disk, 0..60);
        // One commit at least must find its place, wherever the log stood.
        let after = write(&disk, 100..103);
        assert_eq!(after.len(), 3, "a sync that fails once stops one process");
        acknowledged.extend(after);
        for model in CrashModel::ALL {
            for seed in 0..SEEDS {
                let engine = open(&disk.crash(model, seed)).unwrap();
                let view = engine.latest_view();
                for key in &acknowledged {
                    let found = view.get(STORE, &key.to_be_bytes()).unwrap();
                    assert!(
                        found.is_some(),
                        "sync {at}, {model:?}, seed {seed}: commit {key} is lost"
                    );
                }
            }
        }
    }
}
