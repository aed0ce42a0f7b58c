//! Closing, crashing, damaging and reopening.

use std::fs;
use std::path::{Path, PathBuf};

use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::*;

use super::support::*;

fn wal_files(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("wal"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some()).collect();
    files.sort();
    files
}

/// Offsets of the batches in a WAL file.
fn batches(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len())
        .step_by(4096)
        .filter(|&at| bytes[at..].starts_with(b"HELIOWAL"))
        .collect()
}

fn ids_in(engine: &Engine) -> Vec<i64> {
    let mut ids: Vec<i64> = scan(&engine.latest_view())
        .iter()
        .map(|r| r.1.0.unwrap())
        .collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_crash_keeps_every_acknowledged_commit() {
    let db = Database::new();
    for i in 0..50 {
        insert(&db.engine, &[row(i, "x"), row(1000 + i, "y")]);
        if i % 10 == 9 {
            let copy = crash(&db);
            let engine = open(&copy, &db.options).unwrap();
            assert_eq!(ids_in(&engine), ids_in(&db.engine));
            assert_eq!(
                engine.latest_view().row_count_estimate(TABLE),
                2 * (i as u64 + 1)
            );
            let view = engine.latest_view();
            assert_eq!(by_id(&view, i).len(), 1);
            // Row ids go on behind the highest that is known.
            let before = scan(&view).last().unwrap().0;
            assert!(insert(&engine, &[row(5000, "z")])[0] > before);
        }
    }
}

/// A log of many memtables is flushed while it is replayed, and another crash on the way changes nothing.
#[test]
fn a_log_longer_than_memory_is_flushed_while_it_is_replayed() {
    let db = Database::new();
    let name = "x".repeat(500);
    for i in 0..200 {
        insert(&db.engine, &[row(i, &name), row(1000 + i, &name)]);
    }
    let copy = crash(&db);
    let options = Options {
        memtable_bytes_max: 64 << 10,
        memtables_frozen_max: 1,
        ..db.options.clone()
    };
    for _ in 0..2 {
        let engine = open(&copy, &options).unwrap();
        let stats = engine.stats();
        assert!(stats.segments > 4, "{stats:?}");
        assert!(stats.memtable_bytes < 3 * options.memtable_bytes_max);
        assert!(stats.memtables_frozen <= 1);
        assert_eq!(ids_in(&engine), ids_in(&db.engine));
        let view = engine.latest_view();
        assert_eq!(view.row_count_estimate(TABLE), 400);
        assert_eq!(by_id(&view, 7).len(), 1);
        assert_eq!(by_name(&view, &name).len(), 400);
    }
    let engine = open(&copy, &options).unwrap();
    let dir = copy;
    Database {
        dir,
        engine,
        options,
    }
    .check();
}

#[test]
fn a_clean_stop_leaves_little_to_replay() {
    let options = Options {
        memtable_bytes_max: 64 << 10,
        ..small()
    };
    let db = Database::with(options);
    let rows: Vec<Row> = (0..300).map(|i| row(i, "x")).collect();
    insert(&db.engine, &rows);
    assert!(db.engine.stats().memtable_bytes > 64 << 10);
    let db = db.reopen();
    assert_eq!(db.engine.stats().memtable_bytes, 0);
    assert_eq!(db.engine.stats().segments, 1);
    // What is little stays in the log.
    insert(&db.engine, &[row(5000, "y")]);
    let db = db.reopen();
    assert!(db.engine.stats().memtable_bytes > 0);
    assert_eq!(db.engine.stats().segments, 1);
    assert_eq!(ids_in(&db.engine).len(), 301);
}

#[test]
fn large_transactions_span_batches_and_files() {
    let mut db = Database::new();
    let long = "x".repeat(10_000);
    let mut expected = Vec::new();
    for round in 0..4 {
        // 1.5 MB through files of 256 KiB.
        let rows: Vec<Row> = (0..150).map(|i| row(round * 1000 + i, &long)).collect();
        expected.extend(rows.iter().map(|r| r.0.unwrap()));
        insert(&db.engine, &rows);
        if round % 2 == 1 {
            // Not a clean stop, which would flush them.
            let dir = crash(&db);
            let engine = open(&dir, &db.options).unwrap();
            db = Database { dir, engine, ..db };
        }
        assert_eq!(ids_in(&db.engine), expected);
    }
    assert!(db.engine.stats().wal_files > 10);
    let copy = crash(&db);
    assert_eq!(ids_in(&open(&copy, &db.options).unwrap()), expected);
}

#[test]
fn a_torn_tail_is_dropped_and_what_follows_it_stays() {
    let db = Database::new();
    for i in 0..5 {
        insert(&db.engine, &[row(i, "x")]);
    }
    let copy = crash(&db);
    let path = wal_files(copy.path()).pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let last = *batches(&bytes).last().unwrap();
    bytes[last + 80] ^= 1;
    fs::write(&path, &bytes).unwrap();
    // The last commit was never told to be synced by a later batch: it counts as torn.
    let engine = open(&copy, &db.options).unwrap();
    assert_eq!(ids_in(&engine), [0, 1, 2, 3]);
    insert(&engine, &[row(7, "after")]);
    drop(engine);
    let engine = open(&copy, &db.options).unwrap();
    assert_eq!(ids_in(&engine), [0, 1, 2, 3, 7]);
}

/// A large value can put what looks like a batch at any block of a write that was cut off.
#[test]
fn what_a_user_stored_in_a_torn_tail_is_not_a_batch_of_another_version() {
    for later in [2u16, 4, u16::MAX] {
        let db = Database::new();
        for i in 0..3 {
            insert(&db.engine, &[row(i, "x")]);
        }
        let copy = crash(&db);
        let path = wal_files(copy.path()).pop().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let last = *batches(&bytes).last().unwrap();
        bytes[last + 80] ^= 1;
        bytes.resize(bytes.len().max(last + 3 * 4096), 0);
        for block in 1..3 {
            let at = last + block * 4096;
            bytes[at..at + 8].copy_from_slice(b"HELIOWAL");
            bytes[at + 8..at + 10].copy_from_slice(&later.to_le_bytes());
        }
        fs::write(&path, &bytes).unwrap();
        let engine = open(&copy, &db.options).unwrap();
        assert_eq!(ids_in(&engine), [0, 1], "version {later}");
    }
}

#[test]
fn damage_to_synced_data_is_reported_and_nothing_is_changed() {
    let db = Database::new();
    for i in 0..5 {
        insert(&db.engine, &[row(i, "x")]);
    }
    let copy = crash(&db);
    let path = wal_files(copy.path()).pop().unwrap();
    let intact = fs::read(&path).unwrap();
    let batches = batches(&intact);
    for &at in &batches[..batches.len() - 1] {
        for flip in [at, at + 40, at + 64, at + 70] {
            let mut bytes = intact.clone();
            bytes[flip] ^= 4;
            fs::write(&path, &bytes).unwrap();
            match open(&copy, &db.options) {
                Err(Error::Corruption { file, offset, .. }) => {
                    assert!(path.ends_with(&file), "{file}");
                    assert_eq!(offset, at as u64);
                }
                other => panic!("byte {flip}: {:?}", other.map(|_| ())),
            }
            assert_eq!(fs::read(&path).unwrap(), bytes, "byte {flip}");
        }
    }
    fs::write(&path, &intact).unwrap();
    assert_eq!(ids_in(&open(&copy, &db.options).unwrap()).len(), 5);
}

#[test]
fn after_a_clean_close_even_the_last_batch_is_proven() {
    let db = Database::new();
    insert(&db.engine, &[row(1, "x")]);
    let Database {
        dir,
        engine,
        options,
    } = db;
    engine.close().unwrap();
    let path = wal_files(dir.path()).pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let batches = batches(&bytes);
    bytes[batches[batches.len() - 2] + 70] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(
        open(&dir, &options),
        Err(Error::Corruption { .. })
    ));
}

#[test]
fn a_missing_wal_file_is_reported() {
    let db = Database::new();
    let long = "x".repeat(10_000);
    for round in 0..6 {
        let rows: Vec<Row> = (0..10).map(|i| row(round * 10 + i, &long)).collect();
        insert(&db.engine, &rows);
    }
    let files = wal_files(db.dir.path());
    assert!(files.len() >= 4);
    let copy = crash(&db);
    let name = files[1].file_name().unwrap();
    fs::remove_file(copy.path().join("wal").join(name)).unwrap();
    assert!(matches!(
        open(&copy, &db.options),
        Err(Error::Corruption { .. })
    ));
}

#[test]
fn versions_of_the_future_and_drafts_are_refused() {
    let db = Database::new();
    let copy = crash(&db);
    let path = wal_files(copy.path()).remove(0);
    let bytes = fs::read(&path).unwrap();
    let name = format!("wal/{}", path.file_name().unwrap().to_string_lossy());
    let refused = |at: usize, front: &[u8], version: u32| {
        let mut bytes = bytes.clone();
        bytes[at..at + front.len()].copy_from_slice(front);
        fs::write(&path, &bytes).unwrap();
        let error = open(&copy, &db.options).map(|_| ()).unwrap_err();
        let expected =
            format!("\"{name}\" has format version {version}; this build reads version 1");
        assert_eq!(error.to_string(), expected);
    };
    refused(8, &[9], 9);
    refused(8, &[0], 0);
    // What batches began with before version 1; the last draft had number 4, and one had 1.
    refused(0, b"HDBwal\x1a\x93\x04", 0);
    refused(0, b"HDBwal\x1a\x93\x01", 0);
}

#[test]
fn a_directory_is_opened_once_at_a_time() {
    let db = Database::new();
    assert!(matches!(
        open(&db.dir, &db.options),
        Err(Error::DirectoryLocked)
    ));
    let db = db.reopen();
    drop(db.engine);
    open(&db.dir, &db.options).unwrap();
}

#[test]
fn a_directory_without_a_log_is_not_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.txt"), "mine").unwrap();
    let Err(Error::NotADatabase { reason }) = open(&dir, &small()) else {
        panic!("taken over")
    };
    assert!(reason.contains("thesis.txt"), "{reason}");
    // Nor is one that lost its log, but has segments.
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("segments")).unwrap();
    fs::write(dir.path().join("segments/1.seg"), "x").unwrap();
    assert!(matches!(
        open(&dir, &small()),
        Err(Error::NotADatabase { .. })
    ));
    // One that nothing was written to yet is one, whatever has come into its directory since.
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir, &small()).unwrap());
    fs::write(dir.path().join("plugins.lock"), "mine").unwrap();
    drop(open(&dir, &small()).unwrap());
    assert_eq!(fs::read(dir.path().join("plugins.lock")).unwrap(), b"mine");
    // What a crash while making a database leaves is nothing.
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("wal")).unwrap();
    fs::create_dir(dir.path().join("segments")).unwrap();
    open(&dir, &small()).unwrap();
}

#[test]
fn sequences_and_collection_ids_never_come_twice() {
    let mut db = Database::new();
    let spec = SequenceSpec {
        start: 1,
        increment: 1,
        min: 1,
        max: i64::MAX,
        cycle: false,
    };
    let id = CollectionId(5000);
    let (mut last, mut last_collection) = (0, CollectionId(0));
    for round in 0..6 {
        for _ in 0..7 {
            let value = db.engine.sequence_next(id, &spec).unwrap().unwrap();
            assert!(value > last);
            last = value;
            let collection = db.engine.allocate_collection_id();
            assert!(collection > last_collection && collection.0 >= 1024);
            last_collection = collection;
        }
        let mut txn = begin(&db.engine);
        txn.used_sequence();
        txn.commit(Durability::Synchronous).unwrap();
        if round % 2 == 0 {
            let copy = crash(&db);
            let engine = open(&copy, &db.options).unwrap();
            assert!(engine.sequence_next(id, &spec).unwrap().unwrap() > last);
            assert!(engine.allocate_collection_id() > last_collection);
        } else {
            db = db.reopen();
        }
    }
    db.engine.sequence_set(id, 5, false).unwrap();
    let db = db.reopen();
    assert_eq!(db.engine.sequence_state(id), Some((5, false)));
    assert_eq!(db.engine.sequence_next(id, &spec).unwrap(), Some(5));
}

#[test]
fn committers_share_syncs_and_asynchronous_ones_do_not_wait() {
    let db = Database::new();
    let before = db.engine.stats();
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let engine = db.engine.clone();
            scope.spawn(move || {
                for i in 0..25 {
                    insert(&engine, &[row(worker * 1000 + i, "x")]);
                }
            });
        }
    });
    let after = db.engine.stats();
    assert_eq!(after.commits - before.commits, 200);
    assert!(after.wal_syncs - before.wal_syncs <= 200);
    assert_eq!(db.engine.durable(), after.latest);

    let mut txn = begin(&db.engine);
    txn.insert(&table(), &batch(&[row(-1, "async")])).unwrap();
    let ts = txn.commit(Durability::Asynchronous).unwrap();
    assert_eq!(by_id(&db.engine.visible_view(), -1).len(), 1);
    db.engine.wait_durable(ts).unwrap();
    assert!(db.engine.durable() >= ts);
    let copy = crash(&db);
    assert_eq!(ids_in(&open(&copy, &db.options).unwrap()).len(), 201);
}

#[test]
fn old_definitions_and_dropped_tables_survive_a_reopen() {
    let db = Database::new();
    insert(&db.engine, &[row(1, "x")]);
    let before = db.engine.latest_view().ts();
    let mut txn = begin(&db.engine);
    txn.drop_collection(TABLE).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let db = db.reopen();
    let key = catalog::catalog_key(TABLE);
    assert_eq!(
        db.engine.latest_view().get(catalog::CATALOG, &key).unwrap(),
        None
    );
    assert!(db.engine.latest_view().ts() > before);
}
