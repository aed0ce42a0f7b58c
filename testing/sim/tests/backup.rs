//! Backups on a machine that fails: every call of one, in every way, with links and with copies.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use heliosdb_sim::{CrashModel, Fault, SimDisk};
use heliosdb_storage::check::{Check, CheckOptions, Finding, Watch};
use heliosdb_storage::ids::{CollectionId, Ts};
use heliosdb_storage::io::Io;
use heliosdb_storage::{
    BackedUp, Durability, Engine, Error, Interrupt, Isolation, Options, ReadView, Result,
    back_up_closed,
};

const STORE: CollectionId = CollectionId(900);
const KEYS: u8 = 30;

fn open(disk: &SimDisk) -> Result<Engine> {
    let options = Options {
        wal_segment_bytes: 64 << 10,
        page_bytes: 512,
        retention_micros: Some(0),
        ..Options::default()
    };
    Engine::open(Arc::new(disk.clone()), options)
}

fn commit(engine: &Engine, value: u8) -> Result<Ts> {
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    for key in 0..KEYS {
        txn.put(STORE, &[key], &[value; 300])?;
    }
    txn.commit(Durability::Synchronous)
}

/// Segments, and a log of several files.
fn fill(machine: &SimDisk) -> Engine {
    let engine = open(&machine.directory("db")).unwrap();
    for value in 0..3 {
        commit(&engine, value).unwrap();
        engine.flush().unwrap();
    }
    for value in 3..10 {
        commit(&engine, value).unwrap();
    }
    engine
}

fn value(view: &ReadView) -> u8 {
    let first = view.get(STORE, &[0]).unwrap().unwrap();
    for key in 0..KEYS {
        assert_eq!(
            view.get(STORE, &[key]).unwrap().unwrap(),
            first,
            "key {key}"
        );
    }
    first[0]
}

fn back_up(engine: &Engine, machine: &SimDisk) -> Result<BackedUp> {
    let target: Arc<dyn Io> = Arc::new(machine.directory("backup"));
    engine.backup(&target, &Interrupt::new())
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Watch for Findings {
    fn found(&mut self, finding: Finding) {
        self.0.push(finding);
    }
    fn begin(&mut self, _: &str, _: Option<u64>) {}
    fn advance(&mut self, _: u64) {}
    fn end(&mut self) {}
}

/// Whether there is a backup, which is then whole; if not, that nobody takes it for one.
fn is_there(machine: &SimDisk) -> bool {
    let disk = machine.directory("backup");
    let io: Arc<dyn Io> = Arc::new(disk.clone());
    let mut found = Findings::default();
    match Check::open(&io, &CheckOptions::default(), &mut found).map(|mut check| check.run()) {
        Ok(ran) => {
            ran.unwrap();
            assert_eq!(found.0, []);
        }
        Err(Error::NotADatabase { .. }) => {
            // It says so, or nothing is there yet.
            let names: Vec<_> = disk.files().into_iter().map(|(name, _)| name).collect();
            if names.iter().any(|name| name == "unfinished") {
                assert!(matches!(open(&disk), Err(Error::NotADatabase { .. })));
            } else {
                assert!(names.iter().all(|name| name == "lock"), "{names:?}");
            }
            return false;
        }
        Err(e) => panic!("{e}"),
    }
    let copy = open(&disk).unwrap();
    assert_eq!(value(&copy.latest_view()), 9);
    commit(&copy, 77).unwrap();
    copy.close().unwrap();
    true
}

fn machine(links: bool) -> SimDisk {
    let machine = SimDisk::new(4);
    if !links {
        machine.forbid_links();
    }
    machine
}

#[test]
fn a_crash_leaves_a_whole_backup_or_none() {
    for links in [true, false] {
        let machine = machine(links);
        let engine = fill(&machine);
        machine.record_images();
        let done = back_up(&engine, &machine).unwrap();
        assert_eq!(done.segments_linked > 0, links);
        let mut images = machine.take_images();
        let last = images.len();
        assert!(last > 20);
        images.push(machine.image());
        for (at, image) in images.into_iter().enumerate() {
            for model in CrashModel::ALL {
                for seed in 0..3 {
                    let crashed = image.crash(model, seed);
                    let there = is_there(&crashed);
                    // What was told to be done is done, and nothing before the end looks like it.
                    assert!(there || at < last, "{model:?} at {at}");
                    assert!(!there || at + 3 > last, "{model:?} at {at} of {last}");
                    let engine = open(&crashed.directory("db")).unwrap();
                    assert_eq!(value(&engine.latest_view()), 9);
                }
            }
        }
    }
}

#[test]
fn a_call_that_fails_costs_the_backup_and_nothing_else() {
    for links in [true, false] {
        let first = machine(links);
        let engine = fill(&first);
        let (calls, reads) = (first.calls() + 1, first.reads() + 1);
        back_up(&engine, &first).unwrap();
        let writes = (calls..=first.calls())
            .flat_map(|at| [Fault::Io, Fault::NoSpace].map(|f| (at, f, false)));
        let reads = (reads..=first.reads()).map(|at| (at, Fault::Io, true));
        for (at, fault, is_read) in writes.chain(reads) {
            let machine = machine(links);
            let engine = fill(&machine);
            match is_read {
                true => machine.fail_read_at(at, fault),
                false => machine.fail_at(at, fault),
            }
            let made = back_up(&engine, &machine);
            // The source goes on.
            commit(&engine, 10).unwrap();
            assert_eq!(value(&engine.latest_view()), 10);
            engine.compact_all(&Interrupt::new()).unwrap();
            engine.close().unwrap();
            let again = open(&machine.directory("db")).unwrap();
            assert_eq!(value(&again.latest_view()), 10);
            // A link that fails is replaced by a copy; and the very last sync may be told as failed.
            let there = is_there(&machine);
            assert!(there || made.is_err(), "{at} {fault:?}: {made:?}");
        }
    }
}

/// A full disk of the backup is the backup's alone; when there is room again the next one succeeds in the
/// same directory.
#[test]
fn a_backup_that_does_not_fit_leaves_nothing() {
    let machine = machine(false);
    let engine = fill(&machine);
    machine.full_from(machine.calls() + 20);
    let failed = back_up(&engine, &machine);
    assert!(matches!(failed, Err(Error::DiskFull { .. })), "{failed:?}");
    assert!(!is_there(&machine));
    let left = machine.directory("backup").files();
    assert!(left.iter().all(|(name, _)| name == "lock"), "{left:?}");
    machine.free_space();
    back_up(&engine, &machine).unwrap();
    assert!(is_there(&machine));
}

/// What nobody synced is in no backup; what a crash left of a database can be backed up without opening it.
#[test]
fn a_closed_database_is_backed_up_after_a_crash() {
    let machine = SimDisk::new(5);
    let engine = fill(&machine);
    machine.record_images();
    for value in 10..14 {
        commit(&engine, value).unwrap();
    }
    for image in machine.take_images() {
        for model in CrashModel::ALL {
            let crashed = image.crash(model, 9);
            let source: Arc<dyn Io> = Arc::new(crashed.directory("db"));
            let target: Arc<dyn Io> = Arc::new(crashed.directory("backup"));
            back_up_closed(&source, &target, &[], &Interrupt::new()).unwrap();
            let copy = open(&crashed.directory("backup")).unwrap();
            let engine = open(&crashed.directory("db")).unwrap();
            assert_eq!(value(&copy.latest_view()), value(&engine.latest_view()));
            assert_eq!(copy.durable(), engine.durable());
        }
    }
}
