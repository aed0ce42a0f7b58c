//! Files that are whole, and say what cannot be: each promise is broken by writing past the engine.

use super::*;
use crate::catalog::{CATALOG, catalog_key};
use crate::flush::{entry_of, name_of};
use crate::ids::{CollectionId, TimelineId, Ts};
use crate::manifest::{FlushEdit, LoadEdit, Manifest, TimelineEntry};
use crate::memtable::full_key;
use crate::recovery::Replayed;
use crate::segment::{PageCache, SegmentOptions, SegmentReader, SegmentWriter};
use crate::transaction::writeset::WriteKind;
use crate::view::row_key;
use crate::wal::record::{Record, TransactionRecord};
use crate::wal::writer::{Position, Writer};
use crate::wal::{file, reader};

impl Database {
    /// Write records to the log, and before them a manifest that `change` made.
    fn log(&self, change: impl FnOnce(&mut Manifest), records: Vec<Record>) {
        let io: Arc<dyn Io> = Arc::new(Disk::open(self.path()).unwrap());
        let files = file::open_all(&*io).unwrap();
        let mut replayed = Replayed::new(files.len());
        let tail = reader::read(&files, &mut replayed).unwrap();
        change(&mut replayed.manifest);
        let position = Position {
            database: tail.database,
            epoch: tail.epoch + 1,
            lsn: tail.lsn,
            crc: tail.crc,
        };
        let manifest = replayed.manifest;
        let mut writer = Writer::resume(io, 64 << 10, position, files, manifest).unwrap();
        if !records.is_empty() {
            writer.append(&records).unwrap();
            writer.sync().unwrap();
        }
    }

    fn last_ts(&self) -> Ts {
        let engine = self.open();
        let ts = engine.latest_view().ts();
        engine.close().unwrap();
        ts
    }

    /// Run a transaction on the collections beneath tables.
    fn with(&self, work: impl FnOnce(&Engine, &mut Transaction)) {
        let engine = self.open();
        let mut transaction = begin(&engine);
        work(&engine, &mut transaction);
        commit(transaction);
        engine.close().unwrap();
    }

    /// What is wrong, which is all about `collection`.
    #[track_caller]
    fn wrong(&self, collection: CollectionId) -> Vec<String> {
        let faults = self.faults();
        for fault in &faults {
            assert_eq!(fault.kind, Kind::Damage, "{faults:#?}");
            assert_eq!(fault.place.collection, Some(collection), "{faults:#?}");
        }
        faults.into_iter().map(|fault| fault.what).collect()
    }

    /// Key and row of an entry of an index.
    fn entry(&self, engine: &Engine, index: usize, nth: usize) -> (Vec<u8>, Vec<u8>) {
        let view = engine.latest_view();
        let unbounded = std::ops::Bound::Unbounded;
        let mut entries = view
            .range(self.table.indexes[index].id, unbounded, unbounded)
            .unwrap();
        entries.nth(nth).unwrap().unwrap()
    }
}

fn row_of(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().unwrap())
}

#[test]
fn a_row_without_an_entry_is_told() {
    for index in 0..3 {
        let db = database();
        let id = db.table.indexes[index].id;
        let mut row = 0;
        db.with(|engine, txn| {
            let (key, value) = db.entry(engine, index, 20);
            row = row_of(&value);
            txn.remove(id, &key).unwrap();
        });
        assert_eq!(db.wrong(id), [format!("row {row} has no entry")]);
    }
}

#[test]
fn an_entry_without_its_row_is_told() {
    let db = database();
    let id = db.table.indexes[1].id;
    db.with(|_, txn| {
        txn.put(id, b"a key", &row_key(RowId(100_000))).unwrap();
        txn.put(id, b"b key", &row_key(RowId(5))).unwrap();
        txn.put(id, b"c key", b"no row").unwrap();
    });
    assert_eq!(
        db.wrong(id),
        [
            "an entry of 6 bytes is no row's",
            "an entry names row 100000, which is not there",
            "an entry of row 5 has another key than the row",
        ]
    );
}

#[test]
fn two_rows_of_one_unique_key_are_told() {
    let db = database();
    let mut without = db.table.clone();
    without.indexes.clear();
    let mut new = RowId(0);
    db.with(|_, txn| {
        // Nobody writes by another definition than the newest.
        txn.define_table(&without).unwrap();
        new = txn
            .insert(&without, &batch([(7, None)].into_iter()))
            .unwrap()[0];
        txn.define_table(&db.table).unwrap();
    });
    let engine = db.open();
    let view = engine.latest_view();
    let same = crate::IndexRange::equal(vec![crate::datum::Datum::Int64(7)]);
    let old = view
        .index_rows(&db.table, &db.table.indexes[0], &same)
        .unwrap()[0];
    engine.close().unwrap();
    let faults = db.faults();
    let of = |index: usize| {
        let id = db.table.indexes[index].id;
        let of = faults
            .iter()
            .filter(move |f| f.place.collection == Some(id));
        of.map(|f| f.what.clone()).collect::<Vec<_>>()
    };
    assert_eq!(of(0), [format!("rows {old} and {new} have the same key")]);
    assert_eq!(of(1), [format!("row {new} has no entry")]);
    assert_eq!(of(2), [format!("row {new} has no entry")]);
}

#[test]
fn many_wrong_entries_are_counted() {
    let db = database();
    let id = db.table.indexes[1].id;
    db.with(|_, txn| {
        for n in 0..30u8 {
            txn.put(id, &[n], &row_key(RowId(100_000))).unwrap();
        }
    });
    let wrong = db.wrong(id);
    assert_eq!(wrong.len(), 11);
    assert_eq!(wrong[10], "20 more entries that are wrong or missing");
}

#[test]
fn counters_are_held_against_rows() {
    let table = |db: &Database| db.table.id;
    let db = database();
    db.log(
        |manifest| {
            let main = manifest.timelines.get_mut(&TimelineId::MAIN).unwrap();
            *main.live_rows.get_mut(&table(&db)).unwrap() += 3;
        },
        Vec::new(),
    );
    assert_eq!(
        db.wrong(table(&db)),
        ["it has 305 rows, and its counter says 308"]
    );
    let db = database();
    db.log(
        |manifest| {
            manifest.next_rows.insert(table(&db), RowId(100));
        },
        Vec::new(),
    );
    let wrong = db.wrong(table(&db));
    assert!(
        wrong.contains(&"row 300, and the next row is 100".to_owned()),
        "{wrong:?}"
    );
    assert!(
        wrong.contains(&"it has row 320, and its next row is 100".to_owned()),
        "{wrong:?}"
    );

    let db = database();
    db.log(
        |manifest| manifest.next_collection = db.table.id,
        Vec::new(),
    );
    let faults = db.faults();
    let told = format!("the next collection is {}", db.table.id);
    assert!(!faults.is_empty());
    assert!(faults.iter().all(|f| f.what == told), "{faults:#?}");

    let db = database();
    db.log(
        |manifest| manifest.last_ts = Ts(manifest.last_ts.0 - 1_000_000_000),
        Vec::new(),
    );
    let faults = db.faults();
    let told = |f: &Finding| f.what.contains("and the last commit was");
    assert_eq!(
        faults.iter().filter(|f| told(f)).count(),
        db.segments().len()
    );
}

fn transaction(ts: Ts, full: &[u8], kind: WriteKind, value: &[u8]) -> Record {
    let mut record = TransactionRecord::new(TimelineId::MAIN, 0);
    record.push(full, kind, Some(value)).unwrap();
    record.seal().at(ts)
}

#[test]
fn rows_and_definitions_that_do_not_decode_are_told() {
    let db = database();
    let row = full_key(db.table.id, &row_key(RowId(400_000)));
    let ts = Ts(db.last_ts().0 + 1);
    db.log(
        |_| (),
        vec![transaction(ts, &row, WriteKind::Insert, b"no row")],
    );
    let faults = db.faults();
    assert_eq!(faults[0].kind, Kind::Damage);
    assert_eq!(faults[0].place.collection, Some(db.table.id));
    assert_eq!(faults[0].place.part.as_deref(), Some("rows in the log"));

    let db = database();
    db.with(|_, txn| {
        txn.put(CATALOG, &catalog_key(CollectionId(77)), b"x")
            .unwrap()
    });
    let faults = db.faults();
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert_eq!(faults[0].place.collection, Some(CATALOG));
}

#[test]
fn commits_that_go_back_in_time_are_told() {
    let db = database();
    let ts = db.last_ts();
    let key = full_key(db.store, b"k");
    let write = |ts| transaction(ts, &key, WriteKind::Put, b"");
    db.log(|_| (), vec![write(Ts(ts.0 + 2)), write(Ts(ts.0 + 1))]);
    let faults = db.faults();
    assert_eq!(faults.len(), 1, "{faults:#?}");
    let told = format!("a commit of {} follows one of {}", ts.0 + 1, ts.0 + 2);
    assert_eq!(faults[0].what, told);
    assert!(faults[0].place.file.is_some() && faults[0].place.offset.is_some());
}

/// A segment of one version each of a row and of an entry.
fn segment(
    db: &Database,
    number: u64,
    ts: Ts,
    row: RowId,
    key: &[u8],
) -> crate::manifest::SegmentEntry {
    let io: Arc<dyn Io> = Arc::new(Disk::open(db.path()).unwrap());
    let name = name_of(number);
    let main = TimelineId::MAIN;
    let options = SegmentOptions::default();
    let mut writer = SegmentWriter::create(&io, &name, main, options, Arc::new(NoCodecs)).unwrap();
    writer.begin_rows(&db.table).unwrap();
    writer.push_row(row, ts, None, None).unwrap();
    writer.begin_sorted(db.store).unwrap();
    writer.push_entry(key, ts, None, None).unwrap();
    writer.finish().unwrap();
    let (cache, codecs) = (PageCache::new(0), crate::codec::Codecs::none());
    entry_of(
        number,
        &SegmentReader::open(&io, &name, None, &cache, &codecs).unwrap(),
    )
}

/// An old version in a new segment hides the new version of the old segment.
#[test]
fn sources_in_the_wrong_order_are_told() {
    let db = database();
    // A flush would find its place by age, a load comes on top.
    let loaded = |segment| {
        let edit = LoadEdit {
            timeline: TimelineId::MAIN,
            last_ts: Ts(1),
            horizons: Default::default(),
            next_collection: CollectionId(0),
            segments: vec![segment],
            tables: Vec::new(),
            sequences: Vec::new(),
        };
        vec![Record::load(edit)]
    };
    db.log(
        |_| (),
        loaded(segment(&db, 1000, Ts(5), RowId(7), &3u32.to_be_bytes())),
    );
    let faults = db.faults();
    let wrong = |c, what: &str| {
        let of = faults.iter().filter(|f| f.place.collection == Some(c));
        let count = of.filter(|f| f.what.contains("which is newer") && f.what.starts_with(what));
        assert!(count.count() > 0, "{faults:#?}");
    };
    wrong(db.table.id, "row 7 has version");
    wrong(db.store, "a key has version");

    // Old versions of what no other segment has are in nobody's way.
    let db = database();
    db.log(
        |_| (),
        loaded(segment(&db, 1000, Ts(5), RowId(310), b"other")),
    );
    let faults = db.faults();
    assert!(
        !faults.iter().any(|f| f.what.contains("which is newer")),
        "{faults:#?}"
    );
}

#[test]
fn versions_in_the_log_that_segments_supersede_are_told() {
    let db = database();
    let ts = db.last_ts();
    let later = segment(&db, 1000, Ts(ts.0 + 50), RowId(900), b"other");
    let edit = FlushEdit {
        timeline: TimelineId::MAIN,
        flushed_ts: Ts(1),
        segments: vec![later],
        live_rows: Vec::new(),
    };
    let key = full_key(db.store, b"k");
    let write = transaction(Ts(ts.0 + 5), &key, WriteKind::Put, b"");
    db.log(
        |manifest| manifest.last_ts = Ts(ts.0 + 60),
        vec![write, Record::flush(edit)],
    );
    let faults = db.faults();
    let told = |f: &Finding| f.what.contains("in the log, and one of");
    assert!(
        faults
            .iter()
            .any(|f| told(f) && f.place.collection == Some(db.store)),
        "{faults:#?}"
    );
}

/// What the manifest says of timelines fits together, and with their files and commits.
#[test]
fn timelines_are_held_against_their_rules() {
    let branch = |name: &str, base| TimelineEntry::new(name.to_owned(), Some(base));
    let told = |db: &Database, expected: &[&str]| {
        let faults = db.faults();
        for what in expected {
            let found = faults.iter().any(|f| f.what.contains(what));
            assert!(found, "{what}: {faults:#?}");
        }
    };
    let db = database();
    db.log(
        |manifest| {
            let orphan = branch("main", (TimelineId(9), Ts(3)));
            manifest.timelines.insert(TimelineId(5), orphan);
        },
        Vec::new(),
    );
    let expected = [
        "has another one's name",
        "is not below 2",
        "branched off timeline 9, which there is not",
    ];
    told(&db, &expected);

    let db = database();
    let last = db.last_ts();
    let found = segment(&db, 1000, Ts(5), RowId(7), b"k");
    let key = full_key(db.store, b"k");
    let mut early = TransactionRecord::new(TimelineId(2), 0);
    early.push(&key, WriteKind::Put, Some(b"")).unwrap();
    db.log(
        |manifest| {
            let later = branch("branch", (TimelineId::MAIN, Ts(last.0 + 100)));
            manifest.timelines.insert(TimelineId(2), later);
            manifest.next_timeline = TimelineId(3);
        },
        vec![
            Record::flush(FlushEdit {
                timeline: TimelineId(2),
                flushed_ts: Ts(1),
                segments: vec![found],
                live_rows: Vec::new(),
            }),
            early.seal().at(Ts(last.0 + 5)),
        ],
    );
    let expected = [
        "a file of timeline 1, named by 2",
        "a version of 5 on timeline 2, from before",
        "a commit of",
    ];
    told(&db, &expected);
}
