//! Backups of open and of closed databases.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use heliosdb_storage::ids::{CollectionId, Ts};
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::io::{Io, OpenMode};
use heliosdb_storage::*;

use super::support::*;

const STORE: CollectionId = CollectionId(900);

fn target() -> (tempfile::TempDir, Arc<dyn Io>) {
    let dir = tempfile::tempdir().unwrap();
    let io: Arc<dyn Io> = Arc::new(Disk::open(dir.path()).unwrap());
    (dir, io)
}

/// A check finds nothing, not even something to note.
fn is_whole(dir: &tempfile::TempDir) {
    let own = |finding: &check::Finding| finding.what.starts_with("the next collection is");
    let mut findings = findings(dir);
    findings.retain(|finding| !own(finding));
    assert_eq!(findings, []);
}

fn put(engine: &Engine, n: u64) -> Ts {
    let mut txn = begin(engine);
    txn.put(STORE, b"n", &n.to_le_bytes()).unwrap();
    txn.put(STORE, &n.to_be_bytes(), &[7; 200]).unwrap();
    txn.commit(Durability::Synchronous).unwrap()
}

#[test]
fn a_backup_is_a_database_of_the_moment_and_its_own_from_then_on() {
    let db = Database::new();
    insert(&db.engine, &[row(1, "one")]);
    db.engine.flush().unwrap();
    insert(&db.engine, &[row(2, "two")]);
    let (dir, io) = target();
    let done = db.engine.backup(&io, &Interrupt::new()).unwrap();
    assert_eq!(done.ts, db.engine.durable());
    assert_eq!((done.segments_linked, done.segments_copied), (1, 0));
    is_whole(&dir);
    let rows = scan(&db.engine.latest_view());
    insert(&db.engine, &[row(3, "three")]);

    let copy = open(&dir, &db.options).unwrap();
    assert_eq!(scan(&copy.latest_view()), rows);
    insert(&copy, &[row(4, "four")]);
    assert_eq!(scan(&db.engine.latest_view()).len(), 3);
    copy.close().unwrap();
    let copy = open(&dir, &db.options).unwrap();
    assert_eq!(scan(&copy.latest_view()).len(), 3);
    assert_eq!(by_id(&copy.latest_view(), 4).len(), 1);
    // Segments are shared, the log is not.
    let inode =
        |dir: &tempfile::TempDir, name: &str| fs::metadata(dir.path().join(name)).unwrap().ino();
    let segment = "segments/0000000000000001.seg";
    assert_eq!(inode(&dir, segment), inode(&db.dir, segment));
    let log = "wal/0000000000000000.wal";
    assert_ne!(inode(&dir, log), inode(&db.dir, log));
}

#[test]
fn writers_flushes_and_merges_go_on_during_a_backup() {
    let options = Options {
        memtable_bytes_max: 32 << 10,
        wal_segment_bytes: 64 << 10,
        retention_micros: Some(0),
        compaction_in_background: true,
        ..small()
    };
    let db = Database::with(options.clone());
    put(&db.engine, 0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                put(&db.engine, n);
            }
            n
        });
        for _ in 0..12 {
            let before = db.engine.durable();
            let (dir, io) = target();
            let done = db.engine.backup(&io, &Interrupt::new()).unwrap();
            assert!(done.ts >= before);
            is_whole(&dir);
            let copy = open(&dir, &options).unwrap();
            let view = copy.latest_view();
            assert_eq!(view.ts(), done.ts);
            // All commits up to one, and none after.
            let n = view.get(STORE, b"n").unwrap().unwrap();
            let n = u64::from_le_bytes(n.try_into().unwrap());
            for k in 1..=n + 3 {
                let found = view.get(STORE, &k.to_be_bytes()).unwrap();
                assert_eq!(found.is_some(), k <= n, "{k} of {n}");
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 0);
    });
    // Nothing stays behind that nobody needs.
    db.engine.compact_all(&Interrupt::new()).unwrap();
    let stats = db.engine.stats();
    let files = fs::read_dir(db.dir.path().join("segments"))
        .unwrap()
        .count();
    assert_eq!(files, stats.segments);
}

/// As it is between two file systems.
struct NoLinks(Disk);

impl Io for NoLinks {
    fn open(&self, name: &str, mode: OpenMode) -> std::io::Result<Arc<dyn io::File>> {
        self.0.open(name, mode)
    }
    fn create_dir(&self, name: &str) -> std::io::Result<()> {
        self.0.create_dir(name)
    }
    fn remove_dir(&self, name: &str) -> std::io::Result<()> {
        self.0.remove_dir(name)
    }
    fn list(&self, dir: &str) -> std::io::Result<Vec<String>> {
        self.0.list(dir)
    }
    fn rename(&self, from: &str, to: &str) -> std::io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> std::io::Result<()> {
        self.0.remove(name)
    }
    fn sync_dir(&self, dir: &str) -> std::io::Result<()> {
        self.0.sync_dir(dir)
    }
    fn lock(&self) -> std::io::Result<Box<dyn Send + Sync>> {
        self.0.lock()
    }
    fn now_micros(&self) -> u64 {
        self.0.now_micros()
    }
    fn monotonic_micros(&self) -> u64 {
        self.0.monotonic_micros()
    }
    fn thread_cpu_micros(&self) -> u64 {
        self.0.thread_cpu_micros()
    }
    fn random_u64(&self) -> u64 {
        self.0.random_u64()
    }
    fn spawn(
        &self,
        name: &str,
        work: Box<dyn FnOnce() + Send>,
    ) -> Option<std::thread::JoinHandle<()>> {
        self.0.spawn(name, work)
    }
}

#[test]
fn what_cannot_be_linked_is_copied() {
    let db = Database::new();
    insert(&db.engine, &[row(1, "one")]);
    db.engine.flush().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let io: Arc<dyn Io> = Arc::new(NoLinks(Disk::open(dir.path()).unwrap()));
    let done = db.engine.backup(&io, &Interrupt::new()).unwrap();
    assert_eq!((done.segments_linked, done.segments_copied), (0, 1));
    is_whole(&dir);
    let segment = "segments/0000000000000001.seg";
    let read = |dir: &tempfile::TempDir| fs::read(dir.path().join(segment)).unwrap();
    assert_eq!(read(&dir), read(&db.dir));
    let ino = |dir: &tempfile::TempDir| fs::metadata(dir.path().join(segment)).unwrap().ino();
    assert_ne!(ino(&dir), ino(&db.dir));
}

#[test]
fn a_closed_database_is_backed_up_without_being_opened() {
    let db = Database::new();
    insert(&db.engine, &[row(1, "one")]);
    let rows = scan(&db.engine.latest_view());
    let source: Arc<dyn Io> = Arc::new(Disk::open(db.dir.path()).unwrap());
    let (dir, io) = target();
    let refused = back_up_closed(&source, &io, &[], &Interrupt::new());
    assert!(
        matches!(refused, Err(Error::DirectoryLocked)),
        "{refused:?}"
    );
    db.engine.close().unwrap();
    let names = || -> Vec<_> {
        let wal = fs::read_dir(db.dir.path().join("wal")).unwrap();
        wal.map(|e| fs::read(e.unwrap().path()).unwrap()).collect()
    };
    let before = names();
    back_up_closed(&source, &io, &[], &Interrupt::new()).unwrap();
    assert_eq!(names(), before, "the source is as it was");
    is_whole(&dir);
    let copy = open(&dir, &db.options).unwrap();
    assert_eq!(scan(&copy.latest_view()), rows);

    let (_empty, nothing) = target();
    let (_dir, io) = target();
    let refused = back_up_closed(&nothing, &io, &[], &Interrupt::new());
    assert!(
        matches!(refused, Err(Error::NotADatabase { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_backup_goes_into_an_empty_directory_and_a_canceled_one_leaves_it_empty() {
    let db = Database::new();
    insert(&db.engine, &[row(1, "one")]);
    db.engine.flush().unwrap();
    let (dir, io) = target();
    let canceled = Interrupt::new();
    canceled.cancel();
    let refused = db.engine.backup(&io, &canceled);
    assert!(matches!(refused, Err(Error::Canceled)), "{refused:?}");
    assert_eq!(io.list("").unwrap(), ["lock"]);
    db.engine.backup(&io, &Interrupt::new()).unwrap();
    is_whole(&dir);
    let refused = db.engine.backup(&io, &Interrupt::new()).unwrap_err();
    assert!(refused.to_string().contains("is not empty"), "{refused}");
    is_whole(&dir);
}

#[test]
fn an_unfinished_backup_is_nobodys_database() {
    let db = Database::new();
    insert(&db.engine, &[row(1, "one")]);
    let (dir, io) = target();
    db.engine.backup(&io, &Interrupt::new()).unwrap();
    fs::write(dir.path().join("unfinished"), "").unwrap();
    let refused = [
        open(&dir, &db.options).map(drop),
        check::Check::open(&io, &check::CheckOptions::default(), &mut Nobody).map(drop),
        back_up_closed(&io, &target().1, &[], &Interrupt::new()).map(drop),
    ];
    for refused in refused {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, Error::NotADatabase { .. }), "{refused}");
        assert!(refused.to_string().contains("cut off before its end"));
    }
}

struct Nobody;

impl check::Watch for Nobody {
    fn found(&mut self, _: check::Finding) {}
    fn begin(&mut self, _: &str, _: Option<u64>) {}
    fn advance(&mut self, _: u64) {}
    fn end(&mut self) {}
}

#[test]
fn an_operators_files_come_along_as_copies() {
    let options = Options {
        companions: &["settings", "plugins", "missing"],
        ..small()
    };
    let db = Database::with(options);
    fs::write(db.dir.path().join("settings"), "a = 1").unwrap();
    fs::create_dir(db.dir.path().join("plugins")).unwrap();
    fs::write(db.dir.path().join("plugins/p.so"), "code").unwrap();
    let (dir, io) = target();
    db.engine.backup(&io, &Interrupt::new()).unwrap();
    fs::write(db.dir.path().join("settings"), "a = 2").unwrap();
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(
        (read("settings").as_str(), read("plugins/p.so").as_str()),
        ("a = 1", "code")
    );
    assert!(!dir.path().join("missing").exists());
    // And go when the backup comes to nothing.
    let (dir, io) = target();
    let segment = db.dir.path().join("wal/0000000000000000.wal");
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..4096]).unwrap();
    db.engine.backup(&io, &Interrupt::new()).unwrap_err();
    fs::write(&segment, &bytes).unwrap();
    let names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["lock"]);
}
