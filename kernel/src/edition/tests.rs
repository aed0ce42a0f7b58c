//! Whose a directory is, and what the other edition's program hears of it.

use std::io::{Error as IoError, Result as IoResult};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use heliosdb_sql::edition;
use heliosdb_sql::error::state;
use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::io::{File, Io, OpenMode};
use heliosdb_storage::{Durability, Engine, Interrupt, Isolation, Options};

use super::*;
use crate::config::ByteSize;
use crate::dump::marker::open_engine;
use crate::{Config, Database, OpenError, plugins};

fn open(directory: &Path, edition: &str) -> Result<Database, OpenError> {
    Database::open_edition(directory, &Config::default(), &[], edition)
}

/// What is said instead of opening the directory.
fn refused(directory: &Path, edition: &str) -> String {
    let refused = open(directory, edition).map(drop).unwrap_err();
    assert!(matches!(refused.error, Error::Edition { .. }), "{refused}");
    assert_eq!(
        refused.error.sqlstate(),
        Some(state::OBJECT_NOT_IN_PREREQUISITE_STATE)
    );
    let said = refused.to_string();
    said.replace(&directory.display().to_string(), "DIR")
}

#[test]
fn a_database_is_opened_by_its_own_edition_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let lite = Database::open(path).unwrap();
    lite.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
        .unwrap();
    lite.close().unwrap();
    assert_eq!(
        refused(path, "full"),
        "cannot open database \"DIR\": it is a database of HeliosDB Lite, and this is HeliosDB Full \
         (SQLSTATE 55000)\n\
         HINT:  Export it with \"heliosdb-lite export\", and make a database of the dump with \
         \"heliosdb-full import\". Nothing was changed."
    );
    let lite = Database::open(path).unwrap();
    assert_eq!(lite.query("SELECT a FROM t", &[]).unwrap().len(), 1);
    lite.close().unwrap();

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    open(path, "full").unwrap().close().unwrap();
    for other in ["lite", "ours"] {
        let said = refused(path, other);
        assert!(said.contains("it is a database of HeliosDB Full"), "{said}");
        assert!(
            said.contains("\nHINT:  Open it with heliosdb-full."),
            "{said}"
        );
    }
    let shown = open(path, "full").unwrap();
    let shown = shown.query("SHOW helios.edition", &[]).unwrap();
    assert_eq!(shown.one().unwrap().get::<&str>(0).unwrap(), "full");
}

/// What operators do without a server asks, too.
#[test]
fn plugins_are_not_touched_by_the_other_edition() {
    let directory = tempfile::tempdir().unwrap();
    let (path, config) = (directory.path(), Config::default());
    Database::open(path).unwrap().close().unwrap();
    for refused in [
        plugins::dry_run(path, &config, &[], "full").map(drop),
        plugins::finalize(path, &config, "full", "p").map(drop),
        plugins::rollback(path, &config, "full", "p").map(drop),
    ] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused.error, Error::Edition { .. }), "{refused}");
    }
}

/// As databases were before they knew.
#[test]
fn a_database_that_does_not_say_is_lites() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let disk = Arc::new(Disk::open(path).unwrap());
    let engine = Engine::open(disk, Options::default()).unwrap();
    let mut transaction = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    transaction.put(CollectionId(900), b"k", b"v").unwrap();
    transaction.commit(Durability::Synchronous).unwrap();
    engine.close().unwrap();
    refused(path, "full");
    Database::open(path).unwrap().close().unwrap();
}

#[test]
fn a_program_is_of_one_edition() {
    assert_eq!(pick([].into_iter()).unwrap(), "lite");
    assert_eq!(pick(["full", "full"].into_iter()).unwrap(), "full");
    let error = pick(["full", "ours"].into_iter()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the program links the bundles of two editions, full and ours"
    );
}

/// A program is killed at each of its calls while it makes a database of Full. It always opens what it
/// left the next time; Lite does as long as nothing was recorded, and never after that.
#[test]
fn a_killed_creation_belongs_to_nobody_or_to_its_edition() {
    let attempt = |calls: u64| {
        let directory = tempfile::tempdir().unwrap();
        let killed = Killed::after(calls, directory.path());
        let made = open_engine(killed, &small(), "full").map(drop);
        (directory, made.is_ok())
    };
    let (mut open_to_lite, mut calls) = (Vec::new(), 0);
    loop {
        let (directory, done) = attempt(calls);
        let edition = whose(directory.path(), "full").unwrap();
        assert_eq!(edition, "full", "after {calls} calls");
        let (directory, _) = attempt(calls);
        open_to_lite.push(match whose(directory.path(), "lite") {
            Ok(edition) => {
                assert_eq!(edition, "lite", "after {calls} calls");
                true
            }
            Err(Error::Edition { .. }) => false,
            Err(other) => panic!("after {calls} calls: {other}"),
        });
        if done {
            break;
        }
        calls += 1;
    }
    println!("{calls} calls make a database");
    assert!(calls > 10, "{calls}");
    assert!(open_to_lite.is_sorted_by(|before, after| before >= after));
    assert_eq!(open_to_lite.first(), Some(&true));
    assert_eq!(open_to_lite.last(), Some(&false));
}

/// A small log, because many are made.
fn small() -> Config {
    let mut config = Config::default();
    config.storage.wal_segment_size = Some(ByteSize(256 << 10));
    config
}

/// Whose the database in `directory` is once a program of `edition` has opened it.
fn whose(directory: &Path, edition: &str) -> Result<String, Error> {
    let disk: Arc<dyn Io> = Arc::new(Disk::open(directory).unwrap());
    let engine = open_engine(disk, &small(), edition)?;
    let whose = edition::of(&engine.latest_view()).unwrap();
    engine.close().unwrap();
    Ok(whose.unwrap())
}

/// The directory of a program that is killed: after so many calls none does anything.
struct Killed {
    disk: Disk,
    left: Arc<AtomicU64>,
}

impl Killed {
    fn after(calls: u64, directory: &Path) -> Arc<dyn Io> {
        Arc::new(Killed {
            disk: Disk::open(directory).unwrap(),
            left: Arc::new(AtomicU64::new(calls)),
        })
    }
}

fn live(left: &AtomicU64) -> IoResult<()> {
    let one_less = |left: u64| left.checked_sub(1);
    match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less) {
        Ok(_) => Ok(()),
        Err(_) => Err(IoError::other("killed")),
    }
}

impl Io for Killed {
    fn lock(&self) -> IoResult<Box<dyn Send + Sync>> {
        live(&self.left)?;
        self.disk.lock()
    }

    fn open(&self, name: &str, mode: OpenMode) -> IoResult<Arc<dyn File>> {
        live(&self.left)?;
        Ok(Arc::new(KilledFile {
            file: self.disk.open(name, mode)?,
            left: self.left.clone(),
        }))
    }

    fn create_dir(&self, name: &str) -> IoResult<()> {
        live(&self.left)?;
        self.disk.create_dir(name)
    }

    fn list(&self, dir: &str) -> IoResult<Vec<String>> {
        live(&self.left)?;
        self.disk.list(dir)
    }

    fn rename(&self, from: &str, to: &str) -> IoResult<()> {
        live(&self.left)?;
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> IoResult<()> {
        live(&self.left)?;
        self.disk.remove(name)
    }

    fn remove_dir(&self, name: &str) -> IoResult<()> {
        live(&self.left)?;
        self.disk.remove_dir(name)
    }

    fn sync_dir(&self, dir: &str) -> IoResult<()> {
        live(&self.left)?;
        self.disk.sync_dir(dir)
    }

    fn now_micros(&self) -> u64 {
        self.disk.now_micros()
    }

    fn monotonic_micros(&self) -> u64 {
        self.disk.monotonic_micros()
    }

    fn thread_cpu_micros(&self) -> u64 {
        self.disk.thread_cpu_micros()
    }

    fn random_u64(&self) -> u64 {
        self.disk.random_u64()
    }

    /// One thread, so that a number of calls is one moment.
    fn spawn(&self, _: &str, _: Box<dyn FnOnce() + Send>) -> Option<std::thread::JoinHandle<()>> {
        None
    }
}

struct KilledFile {
    file: Arc<dyn File>,
    left: Arc<AtomicU64>,
}

impl File for KilledFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> IoResult<usize> {
        live(&self.left)?;
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> IoResult<()> {
        live(&self.left)?;
        self.file.write_at(buf, offset)
    }

    fn sync_data(&self) -> IoResult<()> {
        live(&self.left)?;
        self.file.sync_data()
    }

    fn len(&self) -> IoResult<u64> {
        live(&self.left)?;
        self.file.len()
    }

    fn set_len(&self, len: u64) -> IoResult<()> {
        live(&self.left)?;
        self.file.set_len(len)
    }
}
