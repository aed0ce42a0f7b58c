//! Timelines against a plain model: branches of branches, written, flushed, merged, dropped, swapped and
//! read AS OF any time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use arrow_array::cast::AsArray;
use arrow_array::types::Int8Type;
use heliosdb_storage::ids::{RowId, TimelineId, Ts};
use heliosdb_storage::schema::{ColumnDef, ColumnType, TableDef};
use heliosdb_storage::*;

use crate::support::*;

const STORE: heliosdb_storage::ids::CollectionId = heliosdb_storage::ids::CollectionId(500);
const MAIN: TimelineId = TimelineId::MAIN;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Store(u8),
    Row(RowId),
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Store(u64),
    Row(Row),
}

/// A timeline's parent and fork.
type Base = Option<(TimelineId, Ts)>;
type World = BTreeMap<Key, Value>;
/// Oldest first.
type Versions = Vec<(Ts, Option<Value>)>;

#[derive(Default)]
struct Model {
    random: u64,
    versions: BTreeMap<(TimelineId, Key), Versions>,
    /// As it was asked for, and whether it is there.
    timelines: BTreeMap<TimelineId, (Base, bool)>,
    names: BTreeMap<String, TimelineId>,
    times: Vec<Ts>,
    /// When the table was defined.
    first: Ts,
    rows: BTreeSet<RowId>,
    expired: usize,
}

impl Model {
    fn new(seed: u64) -> Model {
        Model {
            random: seed * 0x9e37_79b9 + 1,
            timelines: BTreeMap::from([(MAIN, (None, true))]),
            names: BTreeMap::from([("main".to_owned(), MAIN)]),
            ..Model::default()
        }
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % n
    }

    fn one(&mut self) -> TimelineId {
        let there: Vec<_> = self.there().collect();
        there[self.below(there.len() as u64) as usize]
    }

    fn there(&self) -> impl Iterator<Item = TimelineId> {
        let there = self.timelines.iter().filter(|(_, (_, there))| *there);
        there.map(|(id, _)| *id)
    }

    /// What `timeline` shows at `ts`: the whole rule.
    fn world(&self, timeline: TimelineId, ts: Ts) -> World {
        let mut world = match self.timelines[&timeline].0 {
            Some((parent, fork)) => self.world(parent, ts.min(fork)),
            None => World::new(),
        };
        for ((id, key), versions) in &self.versions {
            let visible = versions.iter().rev().find(|(begin, _)| *begin <= ts);
            match visible {
                Some((_, Some(value))) if *id == timeline => {
                    world.insert(key.clone(), value.clone());
                }
                Some((_, None)) if *id == timeline => {
                    world.remove(key);
                }
                _ => {}
            }
        }
        world
    }

    /// One transaction on a timeline.
    fn write(&mut self, engine: &Engine, timeline: TimelineId) {
        let mut txn = engine
            .begin_on(timeline, Isolation::ReadCommitted, Interrupt::new())
            .unwrap();
        txn.begin_statement();
        assert_eq!(txn.timeline(), timeline);
        let mut world = self.world(timeline, Ts::MAX);
        let mut changes = BTreeMap::new();
        for _ in 0..=self.below(4) {
            let rows: Vec<(RowId, Row)> = rows(&world);
            let (key, value) = match self.below(7) {
                0 | 1 => {
                    let (key, value) = (self.below(20) as u8, self.below(1000));
                    txn.put(STORE, &[key], &value.to_be_bytes()).unwrap();
                    (Key::Store(key), Some(Value::Store(value)))
                }
                2 => {
                    let key = self.below(20) as u8;
                    txn.remove(STORE, &[key]).unwrap();
                    (Key::Store(key), None)
                }
                3 | 4 => {
                    let new = row(self.below(60) as i64, &format!("name {}", self.below(5)));
                    let taken = rows.iter().any(|(_, old)| old.0 == new.0);
                    let savepoint = txn.savepoint();
                    let inserted = txn.insert(&table(), &batch(std::slice::from_ref(&new)));
                    let Ok(ids) = inserted else {
                        assert!(taken, "a key that is free on this timeline");
                        txn.rollback_to(savepoint);
                        continue;
                    };
                    assert!(!taken, "a key that is taken on this timeline");
                    assert!(self.rows.insert(ids[0]), "a RowId again");
                    (Key::Row(ids[0]), Some(Value::Row(new)))
                }
                _ if rows.is_empty() => continue,
                kind => {
                    let (id, old) = rows[self.below(rows.len() as u64) as usize].clone();
                    txn.lock_row(TABLE, id, RowLockMode::Update, LockWait::NoWait)
                        .unwrap();
                    if kind == 5 {
                        txn.delete(&table(), &[id]).unwrap();
                        (Key::Row(id), None)
                    } else {
                        let new = (old.0, format!("name {}", self.below(5)));
                        let rows = batch(std::slice::from_ref(&new));
                        txn.update(&table(), &[id], &rows).unwrap();
                        (Key::Row(id), Some(Value::Row(new)))
                    }
                }
            };
            match &value {
                Some(value) => world.insert(key.clone(), value.clone()),
                None => world.remove(&key),
            };
            changes.insert(key, value);
        }
        same(&txn.latest_view(), &world, "inside a transaction");
        if self.below(6) == 0 {
            return txn.rollback();
        }
        let ts = txn.commit(Durability::Synchronous).unwrap();
        for (key, value) in changes {
            let versions = self.versions.entry((timeline, key)).or_default();
            versions.push((ts, value));
        }
        self.times.push(ts);
    }

    fn create(&mut self, engine: &Engine) {
        let from = self.one();
        let latest = engine.latest_view().ts();
        let at = match self.below(3) {
            0 if !self.times.is_empty() => {
                let place = self.below(self.times.len() as u64) as usize;
                self.times[place]
            }
            1 => self.first.max(Ts(latest.0 - self.below(3))),
            _ => latest,
        };
        let name = format!("branch {}", self.below(1 << 40));
        match engine.create_timeline(&name, from, at) {
            Ok(id) => {
                self.timelines.insert(id, (Some((from, at)), true));
                self.names.insert(name, id);
                same(
                    &engine.latest_view_on(id).unwrap(),
                    &self.world(from, at),
                    "a new branch",
                );
            }
            Err(Error::SnapshotTooOld { .. }) if at < engine.oldest_ts() => self.expired += 1,
            Err(e) => panic!("{e}"),
        }
    }

    /// Drop any timeline: only one that is nobody's parent and not the main one goes.
    fn drop_one(&mut self, engine: &Engine) {
        let id = self.one();
        let infos = engine.timelines();
        let is_parent = infos
            .iter()
            .any(|info| info.base.is_some_and(|(parent, _)| parent == id));
        let dropped = engine.drop_timeline(id);
        match dropped {
            Err(Error::Invalid { .. }) => assert_eq!(id, engine.main_timeline()),
            Err(Error::TimelineHasBranches { .. }) => assert!(is_parent),
            Err(e) => panic!("{e}"),
            Ok(()) => {
                assert!(!is_parent && id != engine.main_timeline());
                self.timelines.get_mut(&id).unwrap().1 = false;
                self.names.retain(|_, other| *other != id);
                assert!(matches!(
                    engine.latest_view_on(id),
                    Err(Error::UnknownTimeline { .. })
                ));
            }
        }
    }

    fn swap(&mut self, engine: &Engine) {
        let (a, b) = (self.one(), self.one());
        let mut open = engine
            .begin_on(a, Isolation::ReadCommitted, Interrupt::new())
            .unwrap();
        open.begin_statement();
        open.put(STORE, b"lost", b"").unwrap();
        engine.swap_timelines(a, b).unwrap();
        let name = |id| {
            let found = self.names.iter().find(|(_, other)| **other == id);
            found.unwrap().0.clone()
        };
        let (of_a, of_b) = (name(a), name(b));
        self.names.extend([(of_a, b), (of_b, a)]);
        if a != b {
            let refused = open.commit(Durability::Synchronous);
            assert!(matches!(refused, Err(Error::TimelineMoved)), "{refused:?}");
        }
    }

    fn check(&mut self, engine: &Engine) {
        let id = self.one();
        let latest = engine.latest_view().ts();
        same(
            &engine.latest_view_on(id).unwrap(),
            &self.world(id, Ts::MAX),
            "latest",
        );
        let ts = match self.times.len() as u64 {
            0 => latest,
            n => {
                let place = self.below(n) as usize;
                Ts(self.times[place].0 - self.below(2))
            }
        };
        match engine.view_at_on(id, ts) {
            Ok(view) => same(&view, &self.world(id, ts), &format!("{id} AS OF {ts}")),
            Err(Error::SnapshotTooOld { .. }) if ts < engine.oldest_ts() => self.expired += 1,
            Err(e) => panic!("{e}"),
        }
        let names = engine.timelines().into_iter();
        let names: BTreeMap<_, _> = names.map(|info| (info.name, info.id)).collect();
        assert_eq!(names, self.names);
        assert_eq!(engine.timeline("main"), Some(engine.main_timeline()));
        assert_eq!(engine.main_timeline(), self.names["main"]);
    }
}

fn rows(world: &World) -> Vec<(RowId, Row)> {
    let row = |(key, value): (&Key, &Value)| match (key, value) {
        (Key::Row(id), Value::Row(row)) => Some((*id, row.clone())),
        _ => None,
    };
    world.iter().filter_map(row).collect()
}

/// All that a view shows, by every road.
fn same(view: &ReadView, world: &World, what: &str) {
    let rows = rows(world);
    assert_eq!(scan(view), rows, "rows, {what}");
    assert_eq!(scan_with(view, 3, 2), rows, "rows in parts, {what}");
    let entries = view.range(STORE, Bound::Unbounded, Bound::Unbounded);
    let entries: Vec<_> = entries.unwrap().map(Result::unwrap).collect();
    let store = world.iter().filter_map(|(key, value)| match (key, value) {
        (Key::Store(key), Value::Store(value)) => Some((vec![*key], value.to_be_bytes().to_vec())),
        _ => None,
    });
    assert_eq!(entries, store.collect::<Vec<_>>(), "store, {what}");
    for key in 0..20 {
        let expected = entries.iter().find(|(other, _)| *other == [key]);
        let found = view.get(STORE, &[key]).unwrap();
        assert_eq!(found.as_ref(), expected.map(|(_, v)| v), "{key}, {what}");
    }
    let columns = [ids::ColumnId(0), ids::ColumnId(1)];
    let ids: Vec<RowId> = rows.iter().map(|(id, _)| *id).collect();
    let fetched = view.rows(&table(), &ids, &columns, true).unwrap();
    assert_eq!(unbatch(&fetched), rows, "by RowId, {what}");
    for (id, (key, name)) in &rows {
        assert_eq!(by_id(view, key.unwrap()), vec![*id], "by id, {what}");
        assert!(by_name(view, name).contains(id), "by name, {what}");
    }
    let named: usize = (0..5)
        .map(|n| by_name(view, &format!("name {n}")).len())
        .sum();
    assert_eq!(named, rows.len(), "by all names, {what}");
    let table = std::sync::Arc::new(table());
    // Inside a transaction that shows what is committed only.
    if what != "inside a transaction" {
        let current = view.row_versions(&table, RowVersions::Current).unwrap();
        let current: usize = current.map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!(current, rows.len(), "versions, {what}");
    }
}

/// How many times were past their time.
fn run(seed: u64, steps: usize, retention_micros: Option<u64>) -> usize {
    let mut db = Database::with(Options {
        retention_micros,
        compaction_bytes_max: 6 << 10,
        ..small()
    });
    let mut model = Model::new(seed);
    model.first = db.engine.latest_view().ts();
    for _ in 0..steps {
        let engine = &db.engine;
        match model.below(24) {
            0 => engine.flush().unwrap(),
            1 => db = db.reopen(),
            2 => {
                let id = model.one();
                let view = engine.latest_view_on(id).unwrap();
                engine.flush().unwrap();
                engine.compact(&Interrupt::new()).unwrap();
                same(&view, &model.world(id, view.ts()), "an old view");
            }
            3 => {
                engine.compact_all(&Interrupt::new()).unwrap();
            }
            4..6 => model.create(engine),
            6 if model.below(2) == 0 => model.drop_one(engine),
            7 if model.below(4) == 0 => model.swap(engine),
            8..12 => model.check(engine),
            _ => {
                let timeline = model.one();
                model.write(engine, timeline);
            }
        }
    }
    for round in 0..2 {
        for id in model.there().collect::<Vec<_>>() {
            let view = db.engine.latest_view_on(id).unwrap();
            same(
                &view,
                &model.world(id, Ts::MAX),
                &format!("the end, {round}"),
            );
        }
        db.engine.flush().unwrap();
        db = db.reopen();
    }
    db.check();
    model.expired
}

#[test]
fn branches_of_branches_read_as_the_model_says() {
    for seed in 1..=12 {
        assert_eq!(run(seed, 120, None), 0);
    }
}

#[test]
fn what_branches_share_stays_when_history_goes() {
    let mut expired = 0;
    for seed in 1..=8 {
        expired += run(seed, 120, Some(0));
    }
    assert!(expired > 20, "{expired}");
}

/// Give all rows of a timeline the same new name, in one transaction.
fn rename_all(engine: &Engine, timeline: TimelineId, rows: &[RowId], name: &str) {
    let mut txn = engine
        .begin_on(timeline, Isolation::ReadCommitted, Interrupt::new())
        .unwrap();
    txn.begin_statement();
    for row in rows {
        txn.lock_row(TABLE, *row, RowLockMode::NoKeyUpdate, LockWait::Block)
            .unwrap();
    }
    let new: Vec<Row> = (0..rows.len() as i64).map(|id| row(id, name)).collect();
    txn.update(&table(), rows, &batch(&new)).unwrap();
    txn.commit(Durability::Asynchronous).unwrap();
}

/// The one name that all rows have.
fn name_of_all(view: &ReadView, rows: &[RowId]) -> String {
    let found = scan(view);
    let ids: Vec<RowId> = found.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, rows);
    let names: BTreeSet<&String> = found.iter().map(|(_, row)| &row.1).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let name = names.first().unwrap().to_string();
    assert_eq!(by_name(view, &name).len(), rows.len());
    name
}

/// The subtle place: a memtable is published as a segment while its rows are superseded in the next one and
/// on branches, and segments are merged. Whoever looks sees whole transactions, and a fork stays as it was.
#[test]
fn memtables_are_published_while_they_are_superseded_here_and_on_branches() {
    let db = Database::new();
    let engine = &db.engine;
    let new: Vec<Row> = (0..12).map(|id| row(id, "first")).collect();
    let rows = insert(engine, &new);
    let fork = engine.latest_view().ts();
    let near = engine.create_timeline("near", MAIN, fork).unwrap();
    rename_all(engine, near, &rows, "near 0");
    let middle = engine.latest_view().ts();
    let far = engine.create_timeline("far", near, middle).unwrap();
    let writing = std::sync::atomic::AtomicUsize::new(3);
    let is_over = || writing.load(std::sync::atomic::Ordering::SeqCst) == 0;
    std::thread::scope(|scope| {
        for (timeline, name) in [(MAIN, "main"), (near, "near"), (far, "far")] {
            let (rows, writing) = (&rows, &writing);
            scope.spawn(move || {
                for n in 1..=40 {
                    rename_all(engine, timeline, rows, &format!("{name} {n}"));
                }
                writing.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            });
        }
        scope.spawn(|| {
            while !is_over() {
                engine.flush().unwrap();
            }
        });
        scope.spawn(|| {
            while !is_over() {
                engine.compact_all(&Interrupt::new()).unwrap();
            }
        });
        scope.spawn(|| {
            while !is_over() {
                for timeline in [MAIN, near, far] {
                    name_of_all(&engine.latest_view_on(timeline).unwrap(), &rows);
                }
                for timeline in [near, far] {
                    let view = engine.view_at_on(timeline, fork).unwrap();
                    assert_eq!(name_of_all(&view, &rows), "first");
                }
                let view = engine.view_at_on(far, middle).unwrap();
                assert_eq!(name_of_all(&view, &rows), "near 0");
            }
        });
    });
    for (timeline, name) in [(MAIN, "main 40"), (near, "near 40"), (far, "far 40")] {
        let view = engine.latest_view_on(timeline).unwrap();
        assert_eq!(name_of_all(&view, &rows), name);
    }
    db.reopen().check();
}

/// Who drops a branch for what it was at a time keeps what came to it since.
#[test]
fn a_branch_that_was_written_to_since_is_not_dropped() {
    let db = Database::new();
    let engine = &db.engine;
    let rows = insert(engine, &[row(1, "one")]);
    let fork = engine.latest_view().ts();
    let branch = engine.create_timeline("branch", MAIN, fork).unwrap();
    let before = engine.latest_view_on(branch).unwrap().ts();
    rename_all(engine, branch, &rows, "two");
    assert!(!engine.drop_timeline_at(branch, before).unwrap());
    engine.flush().unwrap();
    assert!(!engine.drop_timeline_at(branch, before).unwrap());
    let now = engine.latest_view_on(branch).unwrap().ts();
    assert!(engine.drop_timeline_at(branch, now).unwrap());
    assert_eq!(engine.timelines().len(), 1);
}

/// Both add a column of the same number, and a file of the parent's has it for rows that the branch reads.
#[test]
fn a_column_of_the_parent_is_not_one_of_the_branch() {
    let db = Database::new();
    let engine = &db.engine;
    let rows = insert(engine, &[row(1, "one"), row(2, "two")]);
    let fork = engine.latest_view().ts();
    let branch = engine.create_timeline("branch", MAIN, fork).unwrap();
    let with = |ty: ColumnType, missing: datum::Datum| {
        let mut def = table();
        def.columns.push(ColumnDef {
            missing: Some(std::sync::Arc::from(missing.encode())),
            ..ColumnDef::new(ty)
        });
        std::sync::Arc::new(def)
    };
    let define = |timeline, def: &TableDef| {
        let mut txn = engine
            .begin_on(timeline, Isolation::ReadCommitted, Interrupt::new())
            .unwrap();
        txn.begin_statement();
        txn.define_table(def).unwrap();
        txn.commit(Durability::Synchronous).unwrap();
    };
    let here = with(ColumnType::Text, datum::Datum::Bytes(b"branch".to_vec()));
    let there = with(ColumnType::Int64, datum::Datum::Int64(7));
    define(branch, &here);
    define(MAIN, &there);
    engine.flush().unwrap();
    engine.compact_all(&Interrupt::new()).unwrap();
    let third = |view: &ReadView, def: &std::sync::Arc<TableDef>| {
        let columns = vec![ids::ColumnId(2)];
        let mut values = Vec::new();
        for part in view
            .scan(
                std::sync::Arc::clone(def),
                ScanRequest::columns(columns.clone()),
            )
            .unwrap()
        {
            for batch in part {
                let batch = batch.unwrap();
                let column = batch.column(0);
                for row in 0..batch.num_rows() {
                    values.push(datum::Datum::from_array(column.as_ref(), row).unwrap());
                }
            }
        }
        let fetched = view.rows(def, &rows, &columns, false).unwrap();
        let column = fetched.column(0);
        let by_row = (0..2).map(|row| datum::Datum::from_array(column.as_ref(), row).unwrap());
        assert_eq!(values, by_row.collect::<Vec<_>>());
        let current = view.row_versions(def, RowVersions::Current).unwrap();
        let counted: usize = current.map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!(counted, 2);
        values
    };
    let text = datum::Datum::Bytes(b"branch".to_vec());
    let view = engine.latest_view_on(branch).unwrap();
    assert_eq!(third(&view, &here), [text.clone(), text]);
    let seven = datum::Datum::Int64(7);
    assert_eq!(third(&engine.latest_view(), &there), [seven.clone(), seven]);
    db.check();
}

/// A branch that is dropped while somebody reads it: what its parent showed at the fork stays until nobody
/// does, though the parent's history goes.
#[test]
fn a_dropped_branch_is_read_on_by_those_who_have_it() {
    for isolation in [Isolation::RepeatableRead, Isolation::ReadCommitted] {
        let db = Database::with(Options {
            retention_micros: Some(0),
            ..small()
        });
        let engine = &db.engine;
        let rows = insert(engine, &[row(0, "first"), row(1, "first")]);
        let fork = engine.latest_view().ts();
        let branch = engine.create_timeline("branch", MAIN, fork).unwrap();
        rename_all(engine, MAIN, &rows, "second");
        let mut reader = engine
            .begin_read_only_on(branch, isolation, Interrupt::new())
            .unwrap();
        reader.begin_statement();
        let view = engine.latest_view_on(branch).unwrap();
        assert_eq!(name_of_all(&reader.read_view(), &rows), "first");
        engine.drop_timeline(branch).unwrap();
        // Twice, since the first leaves what is not past its time by the clock.
        for name in ["third", "fourth"] {
            rename_all(engine, MAIN, &rows, name);
            engine.compact_all(&Interrupt::new()).unwrap();
        }
        reader.begin_statement();
        assert_eq!(name_of_all(&reader.read_view(), &rows), "first");
        assert_eq!(name_of_all(&view, &rows), "first");
        let versions = || {
            let all = engine.latest_view().versions(BY_NAME).unwrap();
            all.map(std::result::Result::unwrap).count()
        };
        assert!(versions() > rows.len());
        drop(reader);
        drop(view);
        rename_all(engine, MAIN, &rows, "fifth");
        engine.compact_all(&Interrupt::new()).unwrap();
        assert!(engine.oldest_ts() > fork);
        assert_eq!(versions(), rows.len());
        db.reopen().check();
    }
}

/// What is noted of a timeline goes where it goes, and is there after a restart.
#[test]
fn a_timeline_keeps_its_note() {
    let db = Database::new();
    let engine = &db.engine;
    insert(engine, &[row(0, "first")]);
    let at = engine.latest_view().ts();
    let branch = engine
        .create_timeline_with_note("branch", MAIN, at, b"as it was")
        .unwrap();
    let other = engine.create_timeline("other", MAIN, at).unwrap();
    let notes = |engine: &Engine| -> Vec<(String, Vec<u8>)> {
        let all = engine.timelines().into_iter();
        all.map(|t| (t.name, t.note)).collect()
    };
    let named = |name: &str, note: &[u8]| (name.to_owned(), note.to_vec());
    let noted = [
        named("main", b""),
        named("branch", b"as it was"),
        named("other", b""),
    ];
    assert_eq!(notes(engine), noted);
    engine.note_timeline(other, b"another").unwrap();
    engine.swap_timelines(MAIN, branch).unwrap();
    let too_long = engine.note_timeline(other, &vec![0; (16 << 10) + 1]);
    assert!(matches!(too_long, Err(Error::Invalid { .. })));
    let noted = [
        named("branch", b""),
        named("main", b"as it was"),
        named("other", b"another"),
    ];
    assert_eq!(notes(engine), noted);
    let db = db.reopen();
    assert_eq!(notes(&db.engine), noted);
    db.engine.flush().unwrap();
    let db = db.reopen();
    assert_eq!(notes(&db.engine), noted);
    db.check();
}

/// Who closed a timeline waits for nobody's locks, and nobody else commits until it is open again. The name and the
/// notes of both are one record.
#[test]
fn on_a_closed_timeline_nobody_else_commits() {
    let db = Database::new();
    let engine = &db.engine;
    insert(engine, &[row(0, "first")]);
    let at = engine.latest_view().ts();
    let branch = engine.create_timeline("branch", MAIN, at).unwrap();
    let mut open = begin(engine);
    open.put(STORE, b"k", b"of another").unwrap();
    let closed = engine.close_timelines(&[MAIN, branch]).unwrap();
    let is_moved = |result: &Result<()>| matches!(result, Err(Error::TimelineMoved));
    assert!(is_moved(&engine.close_timelines(&[MAIN]).map(drop)));
    assert!(is_moved(&open.check_unmoved()));
    let mut beside = begin(engine);
    beside.put(STORE, b"other", b"").unwrap();
    assert!(is_moved(&beside.commit(Durability::Synchronous).map(drop)));
    // What `open` has locked is waited for by others, not here.
    let isolation = Isolation::ReadCommitted;
    let mut alone = closed.begin_on(MAIN, isolation, Interrupt::new()).unwrap();
    alone.begin_statement();
    alone.put(STORE, b"k", b"alone").unwrap();
    alone.commit(Durability::Synchronous).unwrap();
    closed.make_main(branch, b"new", "before", b"old").unwrap();
    drop(closed);
    assert!(is_moved(&open.commit(Durability::Synchronous).map(drop)));
    let own = |engine: &Engine, id| {
        let view = engine.latest_view_on(id).unwrap();
        view.get(STORE, b"k").unwrap()
    };
    assert_eq!(own(engine, MAIN), Some(b"alone".to_vec()));
    assert_eq!(own(engine, branch), None);
    insert(engine, &[row(1, "after")]);
    let mut again = engine.begin_on(MAIN, isolation, Interrupt::new()).unwrap();
    again.begin_statement();
    again.put(STORE, b"k", b"again").unwrap();
    again.commit(Durability::Synchronous).unwrap();
    let db = db.reopen();
    let all = db.engine.timelines().into_iter();
    let all: Vec<_> = all.map(|t| (t.name, t.note)).collect();
    let named = |name: &str, note: &[u8]| (name.to_owned(), note.to_vec());
    assert_eq!(all, [named("before", b"old"), named("main", b"new")]);
    assert_eq!(own(&db.engine, MAIN), Some(b"again".to_vec()));
    assert_eq!(scan(&db.engine.latest_view()).len(), 2);
    db.check();
}

/// Changes of a branch are its own, and before its fork those of the timelines above.
#[test]
fn changes_of_a_branch_go_up_to_the_fork_and_on_from_there() {
    let db = Database::new();
    let engine = &db.engine;
    let before = engine.latest_view().ts();
    let rows = insert(engine, &[row(0, "first"), row(1, "first")]);
    rename_all(engine, MAIN, &rows[..1], "second");
    let fork = engine.latest_view().ts();
    let branch = engine.create_timeline("branch", MAIN, fork).unwrap();
    rename_all(engine, MAIN, &rows, "of main");
    rename_all(engine, branch, &rows, "of the branch");
    let until = engine.latest_view().ts();
    let def = std::sync::Arc::new(table());
    let changed = |timeline, since, until| {
        let request = ChangesRequest {
            since,
            until,
            which: Changes::Net,
            projection: vec![ids::ColumnId(1)],
        };
        let changes = engine.changes_on(timeline, &def, request).unwrap();
        let mut all = Vec::new();
        for batch in changes {
            let batch = batch.unwrap();
            for at in 0..batch.num_rows() {
                let name = datum::Datum::from_array(batch.column(0), at).unwrap();
                let datum::Datum::Bytes(name) = name else {
                    panic!("a name");
                };
                let sign = batch.column(3).as_primitive::<Int8Type>().value(at);
                all.push((String::from_utf8(name).unwrap(), sign));
            }
        }
        all
    };
    for flushed in [false, true] {
        if flushed {
            engine.flush().unwrap();
        }
        let names = |timeline, since, until| -> Vec<String> {
            let all = changed(timeline, since, until).into_iter();
            all.map(|(name, _)| name).collect()
        };
        assert_eq!(
            names(branch, fork, until),
            ["second", "of the branch", "first", "of the branch"]
        );
        assert_eq!(names(branch, before, fork), ["second", "first"]);
        assert_eq!(
            names(branch, before, until),
            ["of the branch", "of the branch"]
        );
        assert_eq!(
            names(MAIN, fork, until),
            ["second", "of main", "first", "of main"]
        );
    }
    db.check();
}
