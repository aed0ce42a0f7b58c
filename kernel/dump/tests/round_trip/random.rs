//! Random histories: whatever was done to a table and when it was flushed, the copy answers as the
//! original does, now and at every commit.

use heliosdb_dump::{CompareOptions, ExportOptions, Silent, TableComparison, compare_tables, diff};
use heliosdb_storage::ids::{RowId, Ts};
use heliosdb_storage::{Engine, ScanRequest};
use proptest::prelude::*;

use super::load::load_with;
use super::sample::*;

#[derive(Clone, Debug)]
enum Step {
    Insert { id: i64, rows: i64 },
    Update { every: usize, name: Option<String> },
    Delete { every: usize },
    Store { key: u8, value: Option<u8> },
    DropColumn,
    Flush,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = proptest::option::of("[a-zä\\PC]{0,20}");
    let step = prop_oneof![
        4 => (0..40i64).prop_map(|rows| Step::Insert { id: 0, rows }),
        4 => (1..6usize, name).prop_map(|(every, name)| Step::Update { every, name }),
        2 => (2..9usize).prop_map(|every| Step::Delete { every }),
        2 => (any::<u8>(), proptest::option::of(any::<u8>()))
            .prop_map(|(key, value)| Step::Store { key: key % 8, value }),
        1 => Just(Step::DropColumn),
        2 => Just(Step::Flush),
    ];
    proptest::collection::vec(step, 1..25).prop_map(|mut steps| {
        // Ids are unique, however the steps fell out.
        let mut next = 0;
        for step in &mut steps {
            if let Step::Insert { id, rows } = step {
                *id = next;
                next += *rows;
            }
        }
        steps
    })
}

fn row_ids(engine: &Engine, every: usize) -> Vec<RowId> {
    let request = ScanRequest {
        row_id: true,
        ..ScanRequest::columns(Vec::new())
    };
    let scans = engine
        .latest_view()
        .scan(changed().into(), request)
        .unwrap();
    let batches = scans.into_iter().flatten().map(Result::unwrap);
    let mut ids: Vec<u64> = batches.flat_map(|batch| ids_of(&batch)).collect();
    ids.sort_unstable();
    ids.into_iter().step_by(every).map(RowId).collect()
}

fn ids_of(batch: &arrow_array::RecordBatch) -> Vec<u64> {
    let ids: &arrow_array::UInt64Array = batch.column(0).as_any().downcast_ref().unwrap();
    ids.values().to_vec()
}

/// Do the steps, each a commit; when they were.
fn run(engine: &Engine, steps: &[Step]) -> Vec<Ts> {
    let mut def = changed();
    let (_, ts) = commit(engine, |tx| {
        tx.define_table(&def).unwrap();
        heliosdb_plugin_host::store::create(tx, LIVE_STORE, "p", "s", 2).unwrap();
    });
    let mut commits = vec![ts];
    for step in steps {
        let columns: &[usize] = if def.columns[2].dropped {
            &[0, 1]
        } else {
            &[0, 1, 2]
        };
        let batch = |ids: &[i64], name: &dyn Fn(i64) -> Option<String>| {
            rows(ids, name).project(columns).unwrap()
        };
        let ((), ts) = match step {
            Step::Insert { id, rows } => commit(engine, |tx| {
                let ids: Vec<i64> = (*id..id + rows).collect();
                let name = |id: i64| (id % 3 > 0).then(|| format!("n{}", id % 5));
                tx.insert(&def, &batch(&ids, &name)).unwrap();
            }),
            Step::Update { every, name } => commit(engine, |tx| {
                let these = row_ids(engine, *every);
                // RowIds begin at 1, and ids at 0, as long as nothing else is inserted.
                let ids: Vec<i64> = these.iter().map(|row| row.0 as i64 - 1).collect();
                tx.update(&def, &these, &batch(&ids, &|_| name.clone()))
                    .unwrap();
            }),
            Step::Delete { every } => commit(engine, |tx| {
                tx.delete(&def, &row_ids(engine, *every)).unwrap();
            }),
            Step::Store { key, value } => commit(engine, |tx| match value {
                Some(value) => tx.put(LIVE_STORE, &[*key], &[*value]).unwrap(),
                None => tx.remove(LIVE_STORE, &[*key]).unwrap(),
            }),
            Step::DropColumn => {
                def.columns[2].dropped = true;
                commit(engine, |tx| tx.define_table(&def).unwrap())
            }
            Step::Flush => {
                engine.flush().unwrap();
                continue;
            }
        };
        commits.push(ts);
    }
    commits
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_copy_answers_as_its_original(steps in steps(), threads in 1..4usize, history: bool) {
        let db = empty();
        while db.engine.next_collection() <= SEQUENCE {
            db.engine.allocate_collection_id();
        }
        let commits = run(&db.engine, &steps);
        let options = ExportOptions { history, ..ExportOptions::default() };
        let dump = open(&export_with(&db.engine, &options).0);
        let (copy, _) = load_with(&dump, threads);
        let options = CompareOptions { history_samples: 16, ..CompareOptions::default() };
        let found = compare_tables(&dump, &copy.engine, &options, &Silent).unwrap();
        prop_assert!(found.iter().all(TableComparison::is_equal), "{found:#?}");
        prop_assert!(diff(&dump, &dump_of(&copy.engine)).is_equal());
        if history {
            // The other way round: a dump of the copy is one of the original, too.
            let found = compare_tables(&dump_of(&copy.engine), &db.engine, &options, &Silent);
            let found = found.unwrap();
            prop_assert!(found.iter().all(TableComparison::is_equal), "{found:#?}");
            for ts in commits {
                let read = |engine: &Engine| {
                    let view = engine.view_at(ts).unwrap();
                    let entries = view.range(LIVE_STORE, std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
                    entries.unwrap().map(Result::unwrap).collect::<Vec<_>>()
                };
                prop_assert_eq!(read(&db.engine), read(&copy.engine));
            }
        }
    }
}
