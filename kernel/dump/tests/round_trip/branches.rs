//! Branches of branches, with rows, definitions and indexes of their own: the copy answers on each of them as the
//! original does, at every commit, and its files keep to the rules.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringViewArray, UInt64Array};
use heliosdb_dump::{
    BranchComparison, CompareOptions, DescribedBranch, Dump, ExportOptions, LoadOptions, Silent,
    TableComparison, TimelineIds, compare_branches, compare_tables, export, load_branches,
};
use heliosdb_storage::catalog::{CATALOG, catalog_key, decode_table};
use heliosdb_storage::check::{Check, CheckOptions, Finding, Kind, Watch};
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId, TimelineId, Ts};
use heliosdb_storage::io::Io;
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::schema::{ColumnDef, ColumnType, IndexDef, KeyColumn, TableDef};
use heliosdb_storage::{
    Durability, Engine, Interrupt, Isolation, LoadedTimeline, Options, ReadView, ScanRequest,
    Transaction,
};
use proptest::prelude::*;

use super::load::load_with;
use super::sample::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(i64),
    Update(usize, Option<String>),
    Delete(usize),
    Store(u8, Option<u8>),
    /// As many commits ago.
    Branch(usize),
    AddColumn,
    DropColumn,
    AddIndex,
    DropIndex,
    Draw,
    Flush,
    Compact,
}

/// Each on one of the timelines that there are.
fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let name = proptest::option::of("[a-z]{0,6}");
    let step = prop_oneof![
        4 => (0..20i64).prop_map(Step::Insert),
        5 => (1..5usize, name).prop_map(|(every, name)| Step::Update(every, name)),
        4 => (1..6usize).prop_map(Step::Delete),
        2 => (0..6u8, proptest::option::of(any::<u8>())).prop_map(|(k, v)| Step::Store(k, v)),
        4 => (0..4usize).prop_map(Step::Branch),
        1 => Just(Step::AddColumn),
        1 => Just(Step::DropColumn),
        2 => Just(Step::AddIndex),
        2 => Just(Step::DropIndex),
        1 => Just(Step::Draw),
        2 => Just(Step::Flush),
        1 => Just(Step::Compact),
    ];
    proptest::collection::vec((any::<prop::sample::Index>(), step), 1..40).prop_map(|steps| {
        let steps = steps.into_iter();
        steps.map(|(on, step)| (on.index(1 << 16), step)).collect()
    })
}

fn commit_on<R>(
    engine: &Engine,
    timeline: TimelineId,
    work: impl FnOnce(&mut Transaction) -> R,
) -> R {
    let isolation = Isolation::ReadCommitted;
    let mut tx = engine
        .begin_on(timeline, isolation, Interrupt::new())
        .unwrap();
    tx.begin_statement();
    let result = work(&mut tx);
    tx.commit(Durability::Synchronous).unwrap();
    result
}

fn definition(view: &ReadView) -> TableDef {
    let value = view.get(CATALOG, &catalog_key(CHANGED)).unwrap();
    decode_table(CHANGED, &value.unwrap()).unwrap()
}

/// RowIds and ids of what a view shows.
fn shown(view: &ReadView) -> Vec<(u64, i64)> {
    let request = ScanRequest {
        row_id: true,
        ..ScanRequest::columns(vec![ColumnId(0)])
    };
    let scans = view.scan(definition(view).into(), request).unwrap();
    let mut rows = Vec::new();
    for batch in scans.into_iter().flatten().map(Result::unwrap) {
        let ids: &Int64Array = batch.column(0).as_any().downcast_ref().unwrap();
        let row_ids: &UInt64Array = batch.column(1).as_any().downcast_ref().unwrap();
        rows.extend(
            row_ids
                .values()
                .iter()
                .copied()
                .zip(ids.values().iter().copied()),
        );
    }
    rows.sort_unstable();
    rows
}

/// Rows of these ids in the columns that there are.
fn batch(def: &TableDef, ids: &[i64], name: &Option<String>) -> RecordBatch {
    let mut columns: Vec<(String, ArrayRef, bool)> = Vec::new();
    let live = def.columns.iter().enumerate().filter(|(_, c)| !c.dropped);
    for (at, column) in live {
        let values: ArrayRef = match column.ty {
            ColumnType::Int64 => Arc::new(Int64Array::from(ids.to_vec())),
            ColumnType::Int32 => Arc::new(Int32Array::from_iter_values(
                ids.iter().map(|id| *id as i32 % 7),
            )),
            _ => Arc::new(StringViewArray::from_iter(ids.iter().map(|id| {
                let name = name.as_ref().filter(|_| id % 4 > 0);
                name.map(|name| format!("{name}{}", id % 3))
            }))),
        };
        columns.push((format!("c{at}"), values, true));
    }
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Do the steps; all timelines but the main one.
fn run(engine: &Engine, steps: &[(usize, Step)]) {
    let main = engine.main_timeline();
    let mut next = 0;
    commit_on(engine, main, |tx| {
        let def = changed();
        tx.define_table(&def).unwrap();
        heliosdb_plugin_host::store::create(tx, LIVE_STORE, "p", "s", 2).unwrap();
        let ids: Vec<i64> = (0..12).collect();
        tx.insert(&def, &batch(&def, &ids, &Some("first".to_owned())))
            .unwrap();
        next = 12;
    });
    let mut commits = vec![engine.latest_view().ts()];
    for (on, step) in steps {
        let timelines = engine.timelines();
        let on = timelines[on % timelines.len()].id;
        let view = engine.latest_view_on(on).unwrap();
        let mut def = definition(&view);
        let some = |every: &usize| -> (Vec<RowId>, Vec<i64>) {
            let rows = shown(&view).into_iter().step_by(*every);
            rows.map(|(row, id)| (RowId(row), id)).unzip()
        };
        match step {
            Step::Insert(rows) => commit_on(engine, on, |tx| {
                let ids: Vec<i64> = (next..next + rows).collect();
                next += rows;
                let batch = batch(&def, &ids, &Some("new".to_owned()));
                tx.insert(&def, &batch).unwrap();
            }),
            Step::Update(every, name) => commit_on(engine, on, |tx| {
                let (rows, ids) = some(every);
                tx.update(&def, &rows, &batch(&def, &ids, name)).unwrap();
            }),
            Step::Delete(every) => commit_on(engine, on, |tx| {
                tx.delete(&def, &some(every).0).unwrap();
            }),
            Step::Store(key, value) => commit_on(engine, on, |tx| match value {
                Some(value) => tx.put(LIVE_STORE, &[*key], &[*value]).unwrap(),
                None => tx.remove(LIVE_STORE, &[*key]).unwrap(),
            }),
            Step::Branch(back) => {
                let at = commits[commits.len().saturating_sub(1 + back)];
                let name = format!("b{}", timelines.len());
                let note = name.as_bytes();
                engine
                    .create_timeline_with_note(&name, on, at, note)
                    .unwrap();
                continue;
            }
            Step::AddColumn => {
                // Not the same on all timelines, though it has the same place.
                let ty = match on.0 % 2 {
                    0 => ColumnType::Int64,
                    _ => ColumnType::Text,
                };
                let missing = match ty {
                    ColumnType::Int64 => Datum::Int64(7),
                    _ => Datum::Bytes(b"was not there".to_vec()),
                };
                def.columns.push(ColumnDef {
                    missing: Some(missing.encode().into()),
                    ..ColumnDef::new(ty)
                });
                commit_on(engine, on, |tx| tx.define_table(&def).unwrap());
            }
            Step::DropColumn => {
                let last = def.columns.iter_mut().skip(2).rfind(|c| !c.dropped);
                let Some(last) = last else { continue };
                last.dropped = true;
                commit_on(engine, on, |tx| tx.define_table(&def).unwrap());
            }
            Step::AddIndex => {
                let index = IndexDef {
                    id: engine.allocate_collection_id(),
                    columns: vec![KeyColumn {
                        column: ColumnId(1),
                        descending: false,
                        nulls_first: false,
                    }],
                    unique: false,
                    predicate: None,
                };
                commit_on(engine, on, |tx| {
                    tx.build_index(&def, &index).unwrap();
                    def.indexes.push(index);
                    tx.define_table(&def).unwrap();
                });
            }
            Step::DropIndex => {
                // The unique one stays.
                if def.indexes.len() < 2 {
                    continue;
                }
                def.indexes.remove(1);
                commit_on(engine, on, |tx| tx.define_table(&def).unwrap());
            }
            Step::Draw => {
                engine
                    .sequence_next_on(on, SEQUENCE, &SEQUENCE_SPEC)
                    .unwrap();
                continue;
            }
            Step::Flush => {
                engine.flush().unwrap();
                continue;
            }
            Step::Compact => {
                engine.compact_all(&Interrupt::new()).unwrap();
                continue;
            }
        }
        commits.push(engine.latest_view_on(on).unwrap().ts());
    }
}

fn dump_with_branches(engine: &Engine) -> Dump {
    let view = engine.latest_view();
    let mut described = describe(&view);
    for info in engine.timelines() {
        let Some((parent, fork_ts)) = info.base else {
            continue;
        };
        let view = engine.view_at_on(info.id, view.ts()).unwrap();
        let names = describe(&view);
        described.branches.push(DescribedBranch {
            timeline: LoadedTimeline {
                id: info.id,
                name: info.name,
                note: info.note,
                parent,
                fork_ts,
            },
            tag: false,
            tables: names.tables,
            sequences: names.sequences,
            temporary: names.temporary,
            rewritten: Vec::new(),
            view,
        });
    }
    described.timelines = Some(TimelineIds {
        main: engine.main_timeline().0,
        next: engine.next_timeline().0,
    });
    let mut out = Vec::new();
    let options = ExportOptions::default();
    export(engine, &view, described, &mut out, &options, &Silent).unwrap();
    open(&out)
}

/// Everything that a view shows: rows, entries of a store, and per index its rows.
type Shown = (
    BTreeMap<u64, String>,
    Vec<(Vec<u8>, Vec<u8>)>,
    BTreeMap<CollectionId, Vec<u64>>,
);

/// `indexes` are those that are there in the end, too: no load makes others.
fn everything(view: &ReadView, indexes: &[CollectionId]) -> Shown {
    let def = definition(view);
    let live = (0..def.columns.len()).filter(|at| !def.columns[*at].dropped);
    let request = ScanRequest {
        row_id: true,
        ..ScanRequest::columns(live.map(|at| ColumnId(at as u16)).collect())
    };
    let mut rows = BTreeMap::new();
    for batch in view
        .scan(Arc::new(def.clone()), request)
        .unwrap()
        .into_iter()
        .flatten()
    {
        let batch = batch.unwrap();
        let ids = batch.columns().last().unwrap();
        let ids: &UInt64Array = ids.as_any().downcast_ref().unwrap();
        for (at, id) in ids.values().iter().enumerate() {
            rows.insert(*id, format!("{:?}", batch.slice(at, 1).columns()));
        }
    }
    let all = |collection| {
        let entries = view.range(collection, Bound::Unbounded, Bound::Unbounded);
        entries.unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    let kept = def
        .indexes
        .iter()
        .filter(|index| indexes.contains(&index.id));
    let indexed = kept.map(|index| {
        let rows = all(index.id).into_iter().map(|(_, row)| {
            let row: [u8; 8] = row.as_slice().try_into().unwrap();
            u64::from_be_bytes(row)
        });
        let mut rows: Vec<u64> = rows.collect();
        rows.sort_unstable();
        (index.id, rows)
    });
    let indexed = indexed.collect();
    (rows, all(LIVE_STORE), indexed)
}

#[derive(Default)]
struct Damage(Vec<Finding>);

impl Watch for Damage {
    fn found(&mut self, finding: Finding) {
        // Tests choose their own collections.
        if finding.kind == Kind::Damage && !finding.what.starts_with("the next collection is") {
            self.0.push(finding);
        }
    }

    fn begin(&mut self, _: &str, _: Option<u64>) {}

    fn advance(&mut self, _: u64) {}

    fn end(&mut self) {}
}

fn reopened(db: &Database) -> Engine {
    let io: Arc<dyn Io> = Arc::new(Disk::open(db.directory()).unwrap());
    let mut damage = Damage::default();
    let mut check = Check::open(&io, &CheckOptions::default(), &mut damage).unwrap();
    check.run().unwrap();
    drop(check);
    assert_eq!(damage.0, []);
    Engine::open(io, Options::default()).unwrap()
}

fn loaded(dump: &Dump) -> Database {
    let (copy, _) = load_with(dump, 2);
    load_branches(dump, &copy.engine, &LoadOptions::default(), &Silent).unwrap();
    copy
}

fn check_copy(steps: &[(usize, Step)]) {
    let db = empty();
    while db.engine.next_collection() <= SEQUENCE {
        db.engine.allocate_collection_id();
    }
    run(&db.engine, steps);
    if db.engine.timelines().len() == 1 {
        return;
    }
    let dump = dump_with_branches(&db.engine);
    let copy = loaded(&dump);
    let options = CompareOptions {
        history_samples: 16,
        ..CompareOptions::default()
    };
    let compare = |engine: &Engine| {
        let tables = compare_tables(&dump, engine, &options, &Silent).unwrap();
        assert!(tables.iter().all(TableComparison::is_equal), "{tables:#?}");
        let branches = compare_branches(&dump, engine, &options, &Silent).unwrap();
        let equal = branches.iter().all(BranchComparison::is_equal);
        assert!(equal, "{branches:#?}");
    };
    compare(&copy.engine);
    // What the original shows is what its dump says.
    let original = CompareOptions {
        indexes: false,
        ..options.clone()
    };
    let branches = compare_branches(&dump, &db.engine, &original, &Silent).unwrap();
    assert!(
        branches.iter().all(BranchComparison::is_equal),
        "{branches:#?}"
    );
    let timelines = db.engine.timelines();
    let mut commits: Vec<Ts> = Vec::new();
    for info in &timelines {
        let view = db.engine.latest_view_on(info.id).unwrap();
        for collection in [CATALOG, LIVE_STORE] {
            let versions = view.versions(collection).unwrap();
            commits.extend(versions.map(|version| version.unwrap().begin));
        }
        let table = view.tables_ever().unwrap().remove(0);
        for which in [
            heliosdb_storage::RowVersions::Current,
            heliosdb_storage::RowVersions::Superseded,
        ] {
            for batch in view.row_versions(&table.def, which).unwrap() {
                let batch = batch.unwrap();
                let begins = batch.column_by_name("_begin").unwrap();
                let begins: &UInt64Array = begins.as_any().downcast_ref().unwrap();
                commits.extend(begins.values().iter().map(|ts| Ts(*ts)));
            }
        }
        commits.extend(info.base.map(|(_, fork)| fork));
    }
    commits.sort_unstable();
    commits.dedup();
    let first = commits[0];
    let next = db.engine.next_timeline();
    let counter = db.engine.sequence_counter(SEQUENCE);
    for reopen in [false, true] {
        let engine = match reopen {
            false => copy.engine.clone(),
            true => {
                copy.engine.clone().close().unwrap();
                reopened(&copy)
            }
        };
        compare(&engine);
        assert_eq!(engine.next_timeline(), next);
        assert_eq!(engine.sequence_counter(SEQUENCE), counter);
        for info in &timelines {
            let now = engine.latest_view_on(info.id).unwrap();
            let indexes = definition(&now).indexes;
            let indexes: Vec<CollectionId> = indexes.iter().map(|index| index.id).collect();
            for ts in commits.iter().filter(|ts| **ts >= first) {
                let read = |engine: &Engine| {
                    let view = engine.view_at_on(info.id, *ts).unwrap();
                    everything(&view, &indexes)
                };
                let (there, here) = (read(&db.engine), read(&engine));
                assert_eq!(there, here, "{} AS OF {ts}", info.name);
            }
            let shown = |engine: &Engine| engine.sequence_state_on(info.id, SEQUENCE);
            assert_eq!(shown(&db.engine), shown(&engine), "{}", info.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_copy_answers_on_every_branch_as_its_original(steps in steps()) {
        check_copy(&steps);
    }
}

/// A branch and one below it, each with what only a branch has: rows of above that it deleted, updated, or deleted
/// and put again; an index that the parent has no more, and one that it never had.
#[test]
fn branches_go_on_after_the_move() {
    let name = |name: &str| Some(name.to_owned());
    let steps = [
        (0, Step::Branch(0)),
        (1, Step::Delete(3)),
        (1, Step::Update(2, name("on it"))),
        (1, Step::Insert(5)),
        (0, Step::DropIndex),
        (0, Step::Update(1, None)),
        (1, Step::Branch(0)),
        (2, Step::AddIndex),
        (2, Step::Delete(2)),
        (1, Step::AddColumn),
        (2, Step::Draw),
        (0, Step::Draw),
        (1, Step::Store(1, Some(2))),
        (2, Step::Branch(6)),
    ];
    check_copy(&steps);
    let db = empty();
    while db.engine.next_collection() <= SEQUENCE {
        db.engine.allocate_collection_id();
    }
    run(&db.engine, &steps);
    let copy = loaded(&dump_with_branches(&db.engine));
    let below = copy.engine.timelines()[2].id;
    let before = shown(&copy.engine.latest_view_on(below).unwrap());
    commit_on(&copy.engine, below, |tx| {
        let view = tx.latest_view();
        let def = definition(&view);
        tx.insert(&def, &batch(&def, &[900, 901], &name("later")))
            .unwrap();
        tx.delete(&def, &[RowId(before[0].0)]).unwrap();
    });
    let after = shown(&copy.engine.latest_view_on(below).unwrap());
    assert_eq!(after.len(), before.len() + 1);
    let draw = |on| {
        copy.engine
            .sequence_next_on(on, SEQUENCE, &SEQUENCE_SPEC)
            .unwrap()
    };
    assert_eq!((draw(below), draw(TimelineId::MAIN)), (Some(7), Some(8)));
    copy.engine.clone().close().unwrap();
    reopened(&copy);
}

/// One value on a branch is another, and nothing else: who compares finds it there.
#[test]
fn a_difference_on_a_branch_is_found() {
    let steps = [
        (0, Step::Branch(0)),
        (1, Step::Update(2, Some("on it".to_owned()))),
        (0, Step::Branch(0)),
    ];
    let db = empty();
    while db.engine.next_collection() <= SEQUENCE {
        db.engine.allocate_collection_id();
    }
    run(&db.engine, &steps);
    let dump = dump_with_branches(&db.engine);
    let copy = loaded(&dump);
    let branches = copy.engine.timelines();
    for (at, info) in branches.iter().enumerate().skip(1) {
        let view = copy.engine.latest_view_on(info.id).unwrap();
        let (row, id) = shown(&view)[5];
        commit_on(&copy.engine, info.id, |tx| {
            let def = definition(&tx.latest_view());
            let other = batch(&def, &[id], &Some("planted".to_owned()));
            tx.update(&def, &[RowId(row)], &other).unwrap();
        });
        let options = CompareOptions::default();
        let found = compare_branches(&dump, &copy.engine, &options, &Silent).unwrap();
        let equal: Vec<bool> = found.iter().map(BranchComparison::is_equal).collect();
        assert_eq!(equal, [false, at < 2]);
        assert!(found[at - 1].is_changed_since(), "{found:#?}");
        assert_eq!(found[at - 1].tables[0].snapshot_equal, Some(true));
        let main = compare_tables(&dump, &copy.engine, &options, &Silent).unwrap();
        assert!(main.iter().all(TableComparison::is_equal));
    }
}
