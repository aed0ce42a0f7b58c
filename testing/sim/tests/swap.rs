//! Swaps of timelines beside what goes on on them, on two threads.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Barrier};

use heliosdb_sim::{CrashModel, Fault, SimDisk};
use heliosdb_storage::history::named::PINS;
use heliosdb_storage::ids::{CollectionId, TimelineId, Ts};
use heliosdb_storage::{
    Durability, Engine, Error, HeldBy, Interrupt, Isolation, NamedPin, Options, PinKind,
};

const STORE: CollectionId = CollectionId(900);
const ROUNDS: usize = 800;
/// On a machine that lets one thread go first for long, more are needed to see both.
const ROUNDS_MAX: usize = 20_000;

fn pin_at(ts: Ts) -> NamedPin {
    NamedPin {
        name: "pin".to_owned(),
        kind: PinKind::Point,
        ts,
        created_micros: 0,
        owner: "test".to_owned(),
        reason: String::new(),
    }
}

/// Pins are those of the main timeline: one that commits on what has just been replaced holds nothing.
#[test]
fn a_pin_that_commits_beside_a_swap_is_held_where_it_is() {
    let options = Options {
        retention_micros: Some(0),
        ..Options::default()
    };
    let engine = Engine::open(Arc::new(SimDisk::new(1)), options).unwrap();
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.put(STORE, b"key", b"").unwrap();
    let first = txn.commit(Durability::Synchronous).unwrap();
    let pin = pin_at(first);
    let is_held = || engine.stats().horizon.held_by == HeldBy::Named("pin".to_owned());
    let main = TimelineId::MAIN;
    // Something later than the pin, for the branch to begin at.
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.put(STORE, b"key", b"later").unwrap();
    let fork = txn.commit(Durability::Synchronous).unwrap();
    let branch = engine.create_timeline("branch", main, fork).unwrap();
    let barrier = Barrier::new(2);
    let (mut before, mut refused) = (0, 0);
    for round in 0..ROUNDS_MAX {
        if round >= ROUNDS && before > 0 && refused > 0 {
            break;
        }
        let created = std::thread::scope(|scope| {
            let pinning = scope.spawn(|| {
                let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
                txn.create_pin(pin.clone()).unwrap();
                barrier.wait();
                txn.commit(Durability::Synchronous)
            });
            barrier.wait();
            engine.swap_timelines(main, branch).unwrap();
            pinning.join().unwrap()
        });
        assert!(!is_held(), "the branch has no pin");
        engine.swap_timelines(main, branch).unwrap();
        match created {
            Err(Error::TimelineMoved) => refused += 1,
            created => {
                created.unwrap();
                before += 1;
                assert!(is_held());
                let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
                txn.remove_pin("pin").unwrap();
                txn.commit(Durability::Synchronous).unwrap();
            }
        }
        assert!(!is_held());
    }
    assert!(
        before > 0 && refused > 0,
        "{before} before, {refused} after"
    );
}

/// The pins of the timeline that is to be the main one may be in a file that cannot be read: then nothing has
/// happened.
#[test]
fn a_swap_that_cannot_read_the_pins_is_none() {
    let disk = SimDisk::new(2);
    let open = |disk: &SimDisk| Engine::open(Arc::new(disk.clone()), Options::default()).unwrap();
    let engine = open(&disk);
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.put(STORE, b"key", b"").unwrap();
    let first = txn.commit(Durability::Synchronous).unwrap();
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.create_pin(pin_at(first)).unwrap();
    let fork = txn.commit(Durability::Synchronous).unwrap();
    let main = TimelineId::MAIN;
    let branch = engine.create_timeline("branch", main, fork).unwrap();
    // So that the branch's pins are in a file of their own, which nobody has read.
    let mut txn = engine
        .begin_on(branch, Isolation::ReadCommitted, Interrupt::new())
        .unwrap();
    txn.put(PINS, b"other", b"").unwrap();
    txn.remove(PINS, b"other").unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    engine.flush().unwrap();
    engine.close().unwrap();
    let engine = open(&disk);
    disk.fail_read_at(disk.reads() + 1, Fault::Io);
    let swapped = engine.swap_timelines(main, branch);
    assert!(matches!(swapped, Err(Error::Io { .. })), "{swapped:?}");
    assert_eq!(engine.main_timeline(), main);
    engine.settle(engine.latest_view().ts()).unwrap();
    let crashed = open(&disk.image().crash(CrashModel::ALL[0], 1));
    assert_eq!(crashed.main_timeline(), main);
    engine.swap_timelines(main, branch).unwrap();
    assert_eq!(engine.main_timeline(), branch);
}
