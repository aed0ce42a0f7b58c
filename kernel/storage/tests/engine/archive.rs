//! The archive of the log, and databases that are restored from it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use heliosdb_storage::ids::{CollectionId, Ts};
use heliosdb_storage::io::Io;
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::*;
use proptest::prelude::*;

use super::support::*;

const STORE: CollectionId = CollectionId(900);

fn directory(dir: &tempfile::TempDir) -> Arc<dyn Io> {
    Arc::new(Disk::open(dir.path()).unwrap())
}

struct Archived {
    db: Database,
    archive: tempfile::TempDir,
}

impl Archived {
    fn new() -> Archived {
        let archive = tempfile::tempdir().unwrap();
        let options = Options {
            wal_segment_bytes: 64 << 10,
            archive: Some(ArchiveDirectory(directory(&archive))),
            ..small()
        };
        let db = Database::with(options);
        Archived { db, archive }
    }

    fn backup(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let io = directory(&dir);
        self.db.engine.backup(&io, &Interrupt::new()).unwrap();
        dir
    }

    fn restore(&self, backup: &tempfile::TempDir, to: Option<Ts>) -> Result<Database> {
        self.restore_as(backup, to).map(|(db, _)| db)
    }

    fn restore_as(
        &self,
        backup: &tempfile::TempDir,
        to: Option<Ts>,
    ) -> Result<(Database, Restored)> {
        let dir = tempfile::tempdir().unwrap();
        let options = RestoreOptions {
            to,
            wal_segment_bytes: 64 << 10,
            ..RestoreOptions::default()
        };
        let archive = directory(&self.archive);
        let restored = restore(
            &directory(backup),
            Some(&archive),
            &directory(&dir),
            &options,
        );
        let restored = match restored {
            Ok(restored) => restored,
            Err(error) => {
                assert_eq!(directory(&dir).list("").unwrap(), leftover(&dir));
                return Err(error);
            }
        };
        let mut found = findings(&dir);
        found.retain(|finding| !finding.what.starts_with("the next collection is"));
        assert_eq!(found, []);
        let engine = open(&dir, &self.db.options)?;
        assert_eq!(engine.durable(), restored.ts);
        let db = Database {
            dir,
            engine,
            options: self.db.options.clone(),
        };
        Ok((db, restored))
    }

    /// Archived files of the database; those of restored ones, which are archived too, are fewer.
    fn files(&self) -> Vec<PathBuf> {
        let entries = |directory: &std::path::Path| {
            let entries = fs::read_dir(directory).unwrap();
            let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            paths
        };
        let databases = entries(self.archive.path()).into_iter();
        let files = databases.map(|database| entries(&database));
        files.max_by_key(Vec::len).unwrap()
    }
}

/// A restore that failed leaves at most the lock file.
fn leftover(dir: &tempfile::TempDir) -> Vec<String> {
    match dir.path().join("lock").exists() {
        true => vec!["lock".to_owned()],
        false => Vec::new(),
    }
}

fn put(engine: &Engine, key: u8, value: u8, bytes: usize) -> Ts {
    let mut txn = begin(engine);
    txn.put(STORE, &[key], &vec![value; bytes]).unwrap();
    txn.commit(Durability::Synchronous).unwrap()
}

/// All that a view shows of the store and of the table.
type State = (Vec<(Vec<u8>, Vec<u8>)>, Vec<(ids::RowId, Row)>);

fn state(view: &ReadView) -> State {
    let entries = view.range(
        STORE,
        std::ops::Bound::Unbounded,
        std::ops::Bound::Unbounded,
    );
    let entries = entries.unwrap().map(Result::unwrap).collect();
    (entries, scan(view))
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8, usize),
    Remove(u8),
    Insert(i64),
    Sequence,
    Flush,
    Compact,
    Archive,
    Backup,
    Reopen,
    /// What is not archived is in the log of the next process.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..20u8, any::<u8>(), 1..9000usize).prop_map(|(k, v, n)| Step::Put(k, v, n)),
        2 => (0..20u8).prop_map(Step::Remove),
        6 => (0..1000i64).prop_map(Step::Insert),
        1 => Just(Step::Sequence),
        2 => Just(Step::Flush),
        1 => Just(Step::Compact),
        1 => Just(Step::Archive),
        1 => Just(Step::Backup),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

const SEQUENCE: CollectionId = CollectionId(910);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// From every backup every state since is restored, as it was.
    #[test]
    fn every_state_since_a_backup_is_restored(steps in prop::collection::vec(step(), 20..70)) {
        let mut all = Archived::new();
        let mut states: BTreeMap<Ts, State> = BTreeMap::new();
        let mut backups = vec![(all.db.engine.durable(), all.backup())];
        let mut inserted = std::collections::BTreeSet::new();
        let spec = SequenceSpec { start: 1, increment: 1, min: 1, max: i64::MAX, cycle: false };
        let mut drawn = 0;
        for step in steps {
            let engine = &all.db.engine;
            match step {
                Step::Put(key, value, bytes) => drop(put(engine, key, value, bytes)),
                Step::Remove(key) => {
                    let mut txn = begin(engine);
                    txn.remove(STORE, &[key]).unwrap();
                    txn.commit(Durability::Synchronous).unwrap();
                }
                Step::Insert(id) if inserted.insert(id) => drop(insert(engine, &[row(id, "x")])),
                Step::Insert(_) => {}
                Step::Sequence => {
                    drawn = engine.sequence_next(SEQUENCE, &spec).unwrap().unwrap();
                    put(engine, 99, drawn as u8, 1);
                }
                Step::Flush => engine.flush().unwrap(),
                Step::Compact => drop(engine.compact_all(&Interrupt::new()).unwrap()),
                Step::Archive => engine.archive().unwrap(),
                Step::Backup => backups.push((engine.durable(), all.backup())),
                Step::Reopen => all.db = all.db.reopen(),
                Step::Crash => {
                    let dir = crash(&all.db);
                    let archive = tempfile::tempdir().unwrap();
                    copy_dir(all.archive.path(), archive.path());
                    let options = Options {
                        archive: Some(ArchiveDirectory(directory(&archive))),
                        ..all.db.options.clone()
                    };
                    // The process that is gone archives no more, or where nobody looks.
                    let engine = open(&dir, &options).unwrap();
                    all = Archived { db: Database { dir, engine, options }, archive };
                }
            }
            let engine = &all.db.engine;
            states.insert(engine.durable(), state(&engine.latest_view()));
        }
        all.db.engine.archive().unwrap();
        let archive = directory(&all.archive);
        for (from, backup) in &backups {
            let covered = coverage(&directory(backup), Some(&archive)).unwrap();
            prop_assert_eq!((covered.from, covered.to), (*from, all.db.engine.durable()));
            let last = states.keys().next_back().copied();
            for (ts, expected) in states.range(from..).step_by(5).chain(states.last_key_value()) {
                let db = all.restore(backup, Some(*ts)).unwrap();
                prop_assert_eq!(db.engine.durable(), *ts);
                prop_assert_eq!(&state(&db.engine.latest_view()), expected);
                // The past is there, too, as far as the source knew it.
                if db.engine.oldest_ts() <= *from && let Some(before) = states.get(from) {
                    prop_assert_eq!(&state(&db.engine.view_at(*from).unwrap()), before);
                }
                if Some(*ts) == last && drawn > 0 {
                    let next = db.engine.sequence_next(SEQUENCE, &spec).unwrap().unwrap();
                    prop_assert!(next > drawn);
                }
                db.check();
            }
        }
    }
}

#[test]
fn a_time_that_is_not_covered_is_refused_with_the_times_that_are() {
    let all = Archived::new();
    let before = put(&all.db.engine, 1, 1, 10);
    put(&all.db.engine, 1, 2, 10);
    let backup = all.backup();
    let from = all.db.engine.durable();
    for n in 0..40 {
        put(&all.db.engine, 2, n, 9000);
    }
    all.db.engine.archive().unwrap();
    let to = all.db.engine.durable();
    for asked in [before, Ts(to.0 + 1)] {
        let refused = all.restore(&backup, Some(asked)).err().unwrap();
        let Error::NotCovered { from: f, to: t, .. } = &refused else {
            panic!("{refused}")
        };
        assert_eq!((*f, *t), (from, to));
    }
    let (db, restored) = all.restore_as(&backup, None).unwrap();
    assert_eq!((restored.ts, restored.archived_commits), (to, 40));
    assert_eq!(
        state(&db.engine.latest_view()),
        state(&all.db.engine.latest_view())
    );
    let (_, restored) = all.restore_as(&backup, Some(from)).unwrap();
    assert_eq!((restored.ts, restored.archived_commits), (from, 0));

    // A file that is missing ends the coverage, whatever is behind it.
    let files = all.files();
    fs::remove_file(&files[files.len() / 2]).unwrap();
    let refused = all.restore(&backup, Some(to)).err().unwrap();
    let Error::NotCovered {
        to: covered, why, ..
    } = &refused
    else {
        panic!("{refused}")
    };
    assert!((from..to).contains(covered), "{covered}");
    assert!(why.contains("gap"), "{why}");
    let db = all.restore(&backup, Some(*covered)).unwrap();
    assert_eq!(db.engine.durable(), *covered);
}

#[test]
fn a_restored_database_is_another_one_and_archives_apart() {
    let all = Archived::new();
    let backup = all.backup();
    let first = put(&all.db.engine, 1, 1, 10);
    let second = put(&all.db.engine, 1, 2, 10);
    all.db.engine.archive().unwrap();
    let restored = all.restore(&backup, Some(first)).unwrap();
    // The times after it are its own now.
    put(&restored.engine, 1, 3, 10);
    restored.engine.archive().unwrap();
    assert_eq!(fs::read_dir(all.archive.path()).unwrap().count(), 2);
    put(&all.db.engine, 1, 4, 10);
    all.db.engine.archive().unwrap();
    let value = |db: &Database| db.engine.latest_view().get(STORE, &[1]).unwrap().unwrap()[0];
    assert_eq!(value(&all.restore(&backup, Some(second)).unwrap()), 2);
    assert_eq!(value(&all.restore(&backup, None).unwrap()), 4);
    // And it has a history that is restored like any other.
    let again = tempfile::tempdir().unwrap();
    restored
        .engine
        .backup(&directory(&again), &Interrupt::new())
        .unwrap();
    put(&restored.engine, 1, 5, 10);
    restored.engine.archive().unwrap();
    assert_eq!(value(&all.restore(&again, None).unwrap()), 5);
}

#[test]
fn a_backup_that_was_opened_is_no_base_any_more() {
    let all = Archived::new();
    let backup = all.backup();
    put(&all.db.engine, 1, 1, 10);
    all.db.engine.archive().unwrap();
    open(&backup, &small()).unwrap().close().unwrap();
    let refused = all.restore(&backup, None).err().unwrap();
    assert!(matches!(&refused, Error::NotADatabase { .. }), "{refused}");
    // Nor when the label is put back.
    let label = all.backup();
    fs::copy(
        label.path().join("backup_label"),
        backup.path().join("backup_label"),
    )
    .unwrap();
    let refused = all.restore(&backup, None).err().unwrap();
    assert!(refused.to_string().contains("opened since"), "{refused}");
}

#[test]
fn nothing_goes_from_the_log_that_is_not_archived() {
    let all = Archived::new();
    put(&all.db.engine, 0, 0, 10);
    all.db.engine.archive().unwrap();
    let directory = all.files()[0].parent().unwrap().to_owned();
    // An archive that cannot be written to: a file is where the directory was.
    let kept = directory.with_extension("kept");
    fs::rename(&directory, &kept).unwrap();
    fs::write(&directory, "").unwrap();
    let files = |db: &Database| db.engine.stats().wal_files;
    for n in 0..60 {
        put(&all.db.engine, 1, n, 9000);
    }
    all.db.engine.flush().unwrap();
    all.db.engine.archive().unwrap_err();
    assert!(files(&all.db) > 8, "{}", files(&all.db));
    let state = all.db.engine.archive_state().unwrap();
    assert!(state.failures > 0 && state.files_waiting > 7, "{state:?}");
    assert!(state.error.unwrap().contains("could not"));
    // Not even over a restart.
    let mut all = Archived {
        db: all.db.reopen(),
        ..all
    };
    assert!(files(&all.db) > 8);
    fs::remove_file(&directory).unwrap();
    fs::rename(&kept, &directory).unwrap();
    all.db.engine.archive().unwrap();
    let state = all.db.engine.archive_state().unwrap();
    assert_eq!((state.error, state.files_waiting), (None, 0));
    assert_eq!(state.archived, state.log_end);
    put(&all.db.engine, 1, 1, 10);
    all.db.engine.flush().unwrap();
    all.db.engine.archive().unwrap();
    assert!(files(&all.db) <= 2, "{}", files(&all.db));
    all.db = all.db.reopen();
}

#[test]
fn a_file_of_another_history_is_not_replaced() {
    let all = Archived::new();
    let copy = crash(&all.db);
    for n in 0..20 {
        put(&all.db.engine, 1, n, 9000);
    }
    all.db.engine.archive().unwrap();
    let before: Vec<_> = all.files().iter().map(|f| fs::read(f).unwrap()).collect();
    // A copy of the directory, which went another way.
    let twin = open(&copy, &all.db.options).unwrap();
    for n in 0..20 {
        put(&twin, 1, 100 + n, 9000);
    }
    let refused = twin.archive().unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("another copy of this database"),
        "{refused}"
    );
    assert!(twin.archive_state().unwrap().error.is_some());
    twin.close().unwrap();
    let after: Vec<_> = all.files().iter().map(|f| fs::read(f).unwrap()).collect();
    assert_eq!(before, after);
}

#[test]
fn damage_in_the_archive_is_found_whatever_byte_it_is() {
    let all = Archived::new();
    let backup = all.backup();
    for n in 0..20 {
        put(&all.db.engine, 1, n, 9000);
    }
    all.db.engine.archive().unwrap();
    let files = all.files();
    assert!(files.len() > 3);
    for (n, file) in files.iter().enumerate() {
        let whole = fs::read(file).unwrap();
        for at in [
            8,
            40,
            66,
            100,
            whole.len() / 2 + 200,
            whole.len() - 4096 + 20,
        ] {
            let mut bad = whole.clone();
            bad[at] ^= 4;
            fs::write(file, &bad).unwrap();
            // Either byte of padding, which says nothing, or damage.
            match all.restore(&backup, None) {
                Ok(db) => assert_eq!(db.engine.durable(), all.db.engine.durable()),
                Err(e) => assert!(
                    matches!(
                        e,
                        Error::Corruption { .. } | Error::UnsupportedVersion { .. }
                    ),
                    "{e}"
                ),
            }
            if at < 68 {
                assert!(all.restore(&backup, None).is_err(), "file {n} at {at}");
            }
        }
        let cut = whole.len() - 4096;
        fs::write(file, &whole[..cut]).unwrap();
        match all.restore(&backup, None) {
            // The end of the last file: then there is less, and it says so.
            Ok(db) => {
                assert!(n + 1 == files.len() && db.engine.durable() < all.db.engine.durable())
            }
            Err(e) => assert!(
                matches!(e, Error::Corruption { .. } | Error::NotCovered { .. }),
                "{e}"
            ),
        }
        fs::write(file, &whole).unwrap();
    }
    assert!(all.restore(&backup, None).is_ok());
}

/// A load is in segments alone, which a merge replaces: the archive has them none the less.
#[test]
fn what_a_load_brought_is_restored() {
    let all = Archived::new();
    let engine = &all.db.engine;
    let backup = all.backup();
    let before = put(engine, 1, 1, 10);
    let loader = engine.loader(LoadOptions::default()).unwrap();
    let mut sorted = loader.sorted(CollectionId(901)).unwrap();
    for key in 0..200u8 {
        sorted
            .push(&[key], Ts(before.0 + 1), Some(&[key; 50]))
            .unwrap();
    }
    sorted.finish().unwrap();
    let state = LoadedState {
        last_ts: Ts(before.0 + 1),
        history_from: Ts::ZERO,
        next_collection: engine.next_collection(),
        sequences: Vec::new(),
        next_rows: Vec::new(),
        tables_from: Vec::new(),
    };
    loader.publish(state).unwrap();
    put(engine, 1, 2, 10);
    engine.flush().unwrap();
    engine.compact_all(&Interrupt::new()).unwrap();
    let segments = |all: &Archived| {
        fs::read_dir(all.db.dir.path().join("segments"))
            .unwrap()
            .count()
    };
    assert_eq!(segments(&all), 2, "the loaded one waits for the archive");
    // Also over a restart, which archives.
    let all = Archived {
        db: all.db.reopen(),
        ..all
    };
    assert_eq!(segments(&all), 1);
    let last = put(&all.db.engine, 1, 3, 10);
    all.db.engine.archive().unwrap();
    let loaded = |db: &Database| {
        let view = db.engine.latest_view();
        let all = view.range(
            CollectionId(901),
            std::ops::Bound::Unbounded,
            std::ops::Bound::Unbounded,
        );
        all.unwrap().count()
    };
    assert_eq!(loaded(&all.restore(&backup, Some(last)).unwrap()), 200);
    assert_eq!(loaded(&all.restore(&backup, Some(before)).unwrap()), 0);
    let segment = all
        .files()
        .into_iter()
        .find(|f| f.extension().is_some_and(|e| e == "seg"));
    fs::remove_file(segment.unwrap()).unwrap();
    let refused = all.restore(&backup, Some(last)).err().unwrap();
    assert!(
        refused.to_string().contains("none in the archive"),
        "{refused}"
    );
    assert!(all.restore(&backup, Some(before)).is_ok());
}

/// Changes of timelines are in one order with commits, and a restore to a time takes those up to it.
#[test]
fn a_restore_has_the_timelines_of_its_time() {
    let archived = Archived::new();
    let engine = &archived.db.engine;
    let main = engine.main_timeline();
    let fork = put(engine, 1, 1, 10);
    let dev = engine.create_timeline("dev", main, fork).unwrap();
    let backup = archived.backup();
    let first = put(engine, 1, 2, 10);
    engine.drop_timeline(dev).unwrap();
    let second = put(engine, 1, 3, 10);
    engine.create_timeline("late", main, second).unwrap();
    let third = put(engine, 1, 4, 10);
    engine.create_timeline("last", main, third).unwrap();
    engine.archive().unwrap();
    let before = |ts: Ts| Some(Ts(ts.0 - 1));
    for (to, expected) in [
        (Some(first), &["main", "dev"][..]),
        (before(second), &["main"]),
        (Some(second), &["main"]),
        (before(third), &["main", "late"]),
        (Some(third), &["main", "late"]),
        (None, &["main", "late", "last"]),
    ] {
        let db = archived.restore(&backup, to).unwrap();
        let timelines = db.engine.timelines().into_iter();
        let names: Vec<String> = timelines.map(|timeline| timeline.name).collect();
        assert_eq!(names, expected, "{to:?}");
    }
}
