//! The engine on real threads, at all three levels: no level shows what it must not, and each shows what
//! the next one prevents, so that the runs are worth something.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use heliosdb_isolation::check::{Level, Phenomenon, check};
use heliosdb_isolation::storage::{self, StorageClient};
use heliosdb_isolation::workload::{self, Workload};
use heliosdb_storage::Engine;
use heliosdb_storage::io::disk::Disk;

/// Runs, and which phenomena were seen in them that the level allows.
fn runs(level: Level, seeds: std::ops::Range<u64>) -> Vec<Phenomenon> {
    let mut seen = Vec::new();
    for seed in seeds {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(Disk::open(dir.path()).unwrap());
        let engine = Engine::open(disk, storage::options()).unwrap();
        storage::prepare(&engine).unwrap();
        let workload = Workload {
            level,
            seed,
            threads: 4,
            txns_per_thread: 60,
            keys: [3, 8][seed as usize % 2],
            ops_max: 6,
        };
        let client = || StorageClient::new(engine.clone());
        let history = workload::run(&workload, client).unwrap();
        let report = check(&history, true);
        if let Some(bad) = report.violations(level).next() {
            panic!("{workload:?}: {}", bad.describe(&history));
        }
        for phenomenon in [Phenomenon::GSingle, Phenomenon::G2Item] {
            if report.has(phenomenon) {
                seen.push(phenomenon);
            }
        }
        engine.close().unwrap();
    }
    seen
}

#[test]
fn read_committed_shows_read_skew_and_nothing_worse() {
    assert!(runs(Level::ReadCommitted, 0..6).contains(&Phenomenon::GSingle));
}

#[test]
fn repeatable_read_shows_write_skew_and_nothing_worse() {
    assert!(runs(Level::RepeatableRead, 0..6).contains(&Phenomenon::G2Item));
}

#[test]
fn serializable_shows_nothing() {
    assert_eq!(runs(Level::Serializable, 0..10), []);
}
