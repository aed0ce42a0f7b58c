//! Short cases that random histories meet too seldom. Each panics when the engine is wrong, as a test
//! does; they are here because `tests/planted.rs` wants them to.
//!
//! * Who may see a commit when: `visible = max(durable, highest asynchronously acknowledged)`, and what a
//!   crash may take.
//! * What a snapshot sees stays while files are merged.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::{
    Durability, Engine, Error, Interrupt, Isolation, Options, ReadView, Transaction,
};

use crate::{Call, CrashModel, Fault, SimDisk};

const STORE: CollectionId = CollectionId(900);

fn open(disk: &SimDisk) -> Engine {
    let options = Options {
        memory_bytes_max: 1 << 30,
        wal_segment_bytes: 64 << 10,
        retention_micros: Some(0),
        ..Options::default()
    };
    Engine::open(Arc::new(disk.clone()), options).unwrap()
}

fn begin(engine: &Engine, isolation: Isolation, read_only: bool) -> Transaction {
    let mut txn = match read_only {
        true => engine.begin_read_only(isolation, Interrupt::new()),
        false => engine.begin(isolation, Interrupt::new()),
    };
    txn.begin_statement();
    txn
}

fn put(engine: &Engine, key: u8, durability: Durability) -> Result<(), Error> {
    let mut txn = begin(engine, Isolation::ReadCommitted, false);
    txn.put(STORE, &[key], &[key])?;
    txn.commit(durability).map(drop)
}

fn shows(view: &ReadView, key: u8) -> bool {
    view.get(STORE, &[key]).unwrap().is_some()
}

/// A commit has its timestamp and its sync fails: those who would have to wait for it may see it, and
/// nobody else.
pub fn an_unacknowledged_commit_is_seen_by_none_but_those_who_would_wait_for_it() {
    let disk = SimDisk::new(1);
    let engine = open(&disk);
    put(&engine, 1, Durability::Synchronous).unwrap();
    // Trace a twin to know which call is the sync.
    let twin = SimDisk::new(1);
    let other = open(&twin);
    put(&other, 1, Durability::Synchronous).unwrap();
    let before = twin.calls();
    put(&other, 2, Durability::Synchronous).unwrap();
    let calls = twin.trace();
    let after = calls[before as usize..].iter();
    let sync = after.clone().position(|call| *call == Call::SyncData);
    disk.fail_at(before + 1 + sync.unwrap() as u64, Fault::Io);

    let refused = put(&engine, 2, Durability::Synchronous);
    assert!(refused.is_err(), "the sync has failed");
    assert!(!shows(&engine.visible_view(), 2));
    for isolation in [Isolation::ReadCommitted, Isolation::RepeatableRead] {
        let reader = begin(&engine, isolation, true);
        assert!(!shows(&reader.read_view(), 2), "{isolation:?} READ ONLY");
        assert!(shows(&reader.read_view(), 1));
        reader.commit(Durability::Synchronous).unwrap();
    }
    for (isolation, read_only) in [
        (Isolation::ReadCommitted, false),
        (Isolation::RepeatableRead, false),
        (Isolation::Serializable, false),
        (Isolation::Serializable, true),
    ] {
        let txn = begin(&engine, isolation, read_only);
        assert!(shows(&txn.read_view(), 2), "{isolation:?}");
        // What it saw is not durable and will not be, and later snapshots do not have it.
        let told = txn.commit(Durability::Synchronous);
        assert!(matches!(told, Err(Error::Stopped { .. })), "{isolation:?}");
        let txn = begin(&engine, isolation, read_only);
        assert!(shows(&txn.read_view(), 2), "{isolation:?}");
        let told = txn.commit(Durability::Asynchronous);
        assert!(matches!(told, Err(Error::Stopped { .. })), "{isolation:?}");
    }
}

/// Asynchronous commits are seen at once; a crash takes some of the last of them, whole; and a later
/// synchronous commit makes those before it durable.
pub fn asynchronous_commits_are_lost_from_the_end_and_whole() {
    let (mut lost, mut kept) = (0, 0);
    for seed in 0..60 {
        let disk = SimDisk::new(seed);
        let engine = open(&disk);
        let synchronous = (seed % 7) as u8;
        for key in 0..10 {
            let durability = match key == synchronous {
                true => Durability::Synchronous,
                false => Durability::Asynchronous,
            };
            let mut txn = begin(&engine, Isolation::ReadCommitted, false);
            for half in [0, 1] {
                txn.put(STORE, &[key, half], &[7; 3000]).unwrap();
            }
            txn.commit(durability).unwrap();
            let view = engine.visible_view();
            assert!(view.get(STORE, &[key, 0]).unwrap().is_some());
            let reader = begin(&engine, Isolation::ReadCommitted, true);
            let seen = reader.read_view().get(STORE, &[key, 1]).unwrap();
            assert!(seen.is_some());
        }
        let model = CrashModel::ALL[seed as usize % CrashModel::ALL.len()];
        let crashed = disk.crash(model, seed);
        std::mem::forget(engine);
        let view = open(&crashed).latest_view();
        let there: Vec<[bool; 2]> = (0..10)
            .map(|key| [0, 1].map(|half| view.get(STORE, &[key, half]).unwrap().is_some()))
            .collect();
        let count = there.iter().take_while(|halves| halves[0]).count();
        for (key, halves) in there.iter().enumerate() {
            assert_eq!(*halves, [key < count; 2], "seed {seed}: {there:?}");
        }
        assert!(count > usize::from(synchronous), "seed {seed}: {there:?}");
        kept += count;
        lost += 10 - count;
    }
    assert!(lost > 0 && kept > 0, "{lost} lost, {kept} kept");
}

/// History goes at once here, but not what a transaction that is open may still read.
pub fn a_snapshot_keeps_what_it_sees() {
    for isolation in [Isolation::RepeatableRead, Isolation::Serializable] {
        let disk = SimDisk::new(1);
        let engine = open(&disk);
        put(&engine, 1, Durability::Synchronous).unwrap();
        let txn = begin(&engine, isolation, false);
        let mut other = begin(&engine, Isolation::ReadCommitted, false);
        other.remove(STORE, &[1]).unwrap();
        other.commit(Durability::Synchronous).unwrap();
        disk.advance(1_000_000);
        put(&engine, 2, Durability::Synchronous).unwrap();
        let then = txn.read_view().ts();
        engine.compact_all(&Interrupt::new()).unwrap();
        let view = txn.read_view();
        assert!(shows(&view, 1) && !shows(&view, 2), "{isolation:?}");
        assert!(engine.oldest_ts() <= then);
        drop(txn);
        put(&engine, 3, Durability::Synchronous).unwrap();
        engine.compact_all(&Interrupt::new()).unwrap();
        assert!(engine.oldest_ts() > then, "nobody needs it any more");
    }
}
