//! What was written ahead for a commit that is then refused goes again, at once: a full disk stays no fuller
//! than it was.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use heliosdb_sim::SimDisk;
use heliosdb_storage::ids::{CollectionId, TimelineId, Ts};
use heliosdb_storage::{
    Durability, Engine, Error, Interrupt, Isolation, LoadOptions, LoadedState, Options, Transaction,
};

const STORE: CollectionId = CollectionId(900);
const LOADED: CollectionId = CollectionId(901);

fn open(disk: &SimDisk) -> Engine {
    let options = Options {
        wal_segment_bytes: 64 << 10,
        transaction_bytes_max: 16 << 10,
        ..Options::default()
    };
    Engine::open(Arc::new(disk.clone()), options).unwrap()
}

fn segments(disk: &SimDisk) -> usize {
    let files = disk.files();
    let names = files.iter().map(|(name, _)| name);
    names.filter(|name| name.starts_with("segments/")).count()
}

/// Write runs until nothing is left in memory.
fn write_runs(disk: &SimDisk, txn: &mut Transaction) {
    let before = segments(disk);
    let mut key = 0u32;
    let mut runs = 0;
    while runs < 3 || segments(disk) == before + runs {
        runs = segments(disk) - before;
        txn.put(STORE, &key.to_be_bytes(), &[7; 1000]).unwrap();
        key += 1;
    }
}

/// Commit until the log has no room; what was in the way of its next file stays there.
fn fill_log(disk: &SimDisk, engine: &Engine) {
    disk.full_from(0);
    let mut commits = 0;
    loop {
        let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
        txn.begin_statement();
        txn.put(STORE, b"fill", b"").unwrap();
        match txn.commit(Durability::Synchronous) {
            Ok(_) => commits += 1,
            Err(Error::DiskFull { .. }) => break,
            Err(e) => panic!("{e}"),
        }
    }
    assert!(commits > 0);
}

#[test]
fn runs_that_the_log_has_no_room_for() {
    for isolation in [Isolation::ReadCommitted, Isolation::Serializable] {
        let disk = SimDisk::new(5);
        let engine = open(&disk);
        let before = segments(&disk);
        for is_full in [true, false] {
            let mut txn = engine.begin(isolation, Interrupt::new());
            txn.begin_statement();
            write_runs(&disk, &mut txn);
            assert!(segments(&disk) >= before + 3);
            if is_full {
                fill_log(&disk, &engine);
            }
            let committed = txn.commit(Durability::Synchronous);
            disk.free_space();
            if is_full {
                assert!(
                    matches!(committed, Err(Error::DiskFull { .. })),
                    "{committed:?}"
                );
                assert_eq!(segments(&disk), before);
            } else {
                committed.unwrap();
                assert!(segments(&disk) > before);
            }
            let found = engine
                .latest_view()
                .get(STORE, &0u32.to_be_bytes())
                .unwrap();
            assert_eq!(found.is_some(), !is_full);
        }
    }
}

#[test]
fn runs_on_a_timeline_that_is_gone_or_moved() {
    for is_dropped in [true, false] {
        let disk = SimDisk::new(6);
        let engine = open(&disk);
        let main = TimelineId::MAIN;
        let at = engine.latest_view().ts();
        let branch = engine.create_timeline("branch", main, at).unwrap();
        let mut txn = engine
            .begin_on(branch, Isolation::ReadCommitted, Interrupt::new())
            .unwrap();
        txn.begin_statement();
        let before = segments(&disk);
        write_runs(&disk, &mut txn);
        match is_dropped {
            true => engine.drop_timeline(branch).unwrap(),
            false => engine.swap_timelines(branch, main).unwrap(),
        }
        let committed = txn.commit(Durability::Synchronous);
        match is_dropped {
            true => assert!(matches!(committed, Err(Error::UnknownTimeline { .. }))),
            false => assert!(matches!(committed, Err(Error::TimelineMoved))),
        }
        assert_eq!(segments(&disk), before);
    }
}

#[test]
fn a_load_that_the_log_has_no_room_for() {
    let disk = SimDisk::new(7);
    let engine = open(&disk);
    let before = segments(&disk);
    for is_full in [true, false] {
        // Some files are finished before the end.
        let options = LoadOptions {
            segment_bytes: 8 << 10,
            ..LoadOptions::default()
        };
        let loader = engine.loader(options).unwrap();
        let mut sorted = loader.sorted(LOADED).unwrap();
        let last_ts = Ts(engine.now_micros());
        for key in 0..1000u32 {
            sorted
                .push(&key.to_be_bytes(), last_ts, Some(&[7; 100]))
                .unwrap();
        }
        sorted.finish().unwrap();
        assert!(segments(&disk) > before);
        if is_full {
            fill_log(&disk, &engine);
        }
        let published = loader.publish(LoadedState {
            last_ts,
            history_from: last_ts,
            tables_from: Vec::new(),
            next_collection: engine.next_collection(),
            sequences: Vec::new(),
            next_rows: Vec::new(),
        });
        disk.free_space();
        if is_full {
            assert!(
                matches!(published, Err(Error::DiskFull { .. })),
                "{published:?}"
            );
            assert_eq!(segments(&disk), before);
        } else {
            published.unwrap();
            assert!(segments(&disk) > before);
        }
        let found = engine.latest_view().get(LOADED, &7u32.to_be_bytes());
        assert_eq!(found.unwrap().is_some(), !is_full);
    }
}

/// The way out of a full disk that a branch has filled.
#[test]
fn a_branch_is_dropped_though_the_log_has_no_room() {
    let disk = SimDisk::new(8);
    let engine = open(&disk);
    let main = TimelineId::MAIN;
    let at = engine.latest_view().ts();
    let branch = engine.create_timeline("branch", main, at).unwrap();
    let mut txn = engine
        .begin_on(branch, Isolation::ReadCommitted, Interrupt::new())
        .unwrap();
    txn.begin_statement();
    write_runs(&disk, &mut txn);
    txn.commit(Durability::Synchronous).unwrap();
    let before = segments(&disk);
    fill_log(&disk, &engine);
    let another = engine.create_timeline("another", main, at);
    assert!(
        matches!(another, Err(Error::DiskFull { .. })),
        "{another:?}"
    );
    engine.drop_timeline(branch).unwrap();
    assert!(segments(&disk) < before);
}
