//! An index from its building to its removal, and what stands in its way.
#![allow(clippy::unwrap_used)]

use std::ops::Bound;

use heliosdb_index_torture::truth::compare;
use heliosdb_index_torture::{Ask, Host, open, table};
use heliosdb_plugin_host::index::{IndexError, PluginIndex, Progress};
use heliosdb_plugin_host::store;
use heliosdb_sim::rng::Rng;
use heliosdb_storage::ids::Ts;
use heliosdb_storage::{Durability, Engine, Error, Interrupt, Isolation};

fn write(engine: &Engine, rng: &mut Rng) -> Ts {
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    txn.insert(&table::definition(), &table::batch(rng, 5))
        .unwrap();
    txn.commit(Durability::Synchronous).unwrap()
}

fn holds(engine: &Engine, index: &PluginIndex) {
    for word in table::WORDS {
        for k in [None, Some(2)] {
            compare(&Host, index, &engine.latest_view(), &Ask { word, k }).unwrap();
        }
    }
}

fn pins(engine: &Engine) -> Vec<(String, Ts)> {
    let pins = engine.pins().unwrap().into_iter();
    pins.map(|state| (state.pin.name, state.pin.ts)).collect()
}

#[test]
fn an_index_is_built_brought_forward_by_whole_commits_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, index) = open(directory.path()).unwrap();
    let (mut rng, interrupt) = (Rng::new(1), Interrupt::new());
    write(&engine, &mut rng);
    holds(&engine, &index);
    assert!(matches!(
        index.catch_up(1, &interrupt),
        Err(IndexError::NotBuilt(7000))
    ));
    assert!(matches!(
        index.remove(&interrupt),
        Err(IndexError::NotBuilt(7000))
    ));

    index.build(&interrupt).unwrap();
    assert!(matches!(
        index.build(&interrupt),
        Err(IndexError::Built(7000))
    ));
    let (first, second) = (write(&engine, &mut rng), write(&engine, &mut rng));
    for rows_max in [0, 1, 5] {
        // Less than a commit is a commit.
        let progress = index.catch_up(rows_max, &interrupt).unwrap();
        let (until, rows, is_behind) = match rows_max {
            0 => (first, 5, true),
            1 => (second, 5, false),
            _ => (second, 0, false),
        };
        assert_eq!((progress.rows, progress.is_behind), (rows, is_behind));
        assert!(progress.until >= until, "{progress:?}");
        assert_eq!(
            pins(&engine),
            [("word/index 7000".to_owned(), progress.until)]
        );
        holds(&engine, &index);
    }

    index.remove(&interrupt).unwrap();
    assert_eq!(pins(&engine), []);
    let view = engine.latest_view();
    let store = store::find(&view, "word", "words").unwrap().unwrap();
    let left = view.range(store.collection, Bound::Unbounded, Bound::Unbounded);
    assert_eq!(left.unwrap().count(), 0);
    holds(&engine, &index);
}

/// A cursor that is gone, or too far behind, makes an index slow and never wrong, until it is built anew.
#[test]
fn an_index_that_cannot_be_brought_forward_answers_and_is_built_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, index) = open(directory.path()).unwrap();
    let (mut rng, interrupt) = (Rng::new(2), Interrupt::new());
    index.build(&interrupt).unwrap();
    write(&engine, &mut rng);
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.remove_pin("word/index 7000").unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let until = index.until().unwrap();
    let lost = index.catch_up(1, &interrupt).unwrap_err();
    assert!(
        matches!(lost, IndexError::Lost(7000, at) if at == until),
        "{lost}"
    );
    holds(&engine, &index);
    let reading = index.read(&engine.latest_view(), &interrupt).unwrap();
    assert_eq!(reading.check().unwrap().len(), 1, "there is no cursor");

    index.rebuild(&interrupt).unwrap();
    holds(&engine, &index);
    let reading = index.read(&engine.latest_view(), &interrupt).unwrap();
    assert_eq!(reading.check().unwrap(), [""; 0]);
    assert_eq!(
        reading.since(),
        engine.latest_view().ts().min(index.until().unwrap())
    );
    let progress = index.catch_up(1, &interrupt).unwrap();
    assert!(matches!(
        progress,
        Progress {
            rows: 0,
            is_behind: false,
            ..
        }
    ));
}

#[test]
fn a_canceled_change_leaves_the_index_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, index) = open(directory.path()).unwrap();
    let mut rng = Rng::new(3);
    write(&engine, &mut rng);
    let canceled = Interrupt::new();
    canceled.cancel();
    for built in [false, true] {
        if built {
            index.build(&Interrupt::new()).unwrap();
            write(&engine, &mut rng);
        }
        let before = index.header(&engine.latest_view()).unwrap();
        let failed = match built {
            false => index.build(&canceled).unwrap_err(),
            true => index.catch_up(usize::MAX, &canceled).unwrap_err(),
        };
        assert!(
            matches!(failed, IndexError::Storage(Error::Canceled)),
            "{failed}"
        );
        assert_eq!(index.header(&engine.latest_view()).unwrap(), before);
        holds(&engine, &index);
    }
    assert_eq!(pins(&engine).len(), 1);
}

#[test]
fn questions_that_are_none_are_the_plugins_errors() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, index) = open(directory.path()).unwrap();
    index.build(&Interrupt::new()).unwrap();
    let reading = index
        .read(&engine.latest_view(), &Interrupt::new())
        .unwrap();
    let failed = reading.search(b"\xff", None).unwrap_err();
    assert!(
        matches!(&failed, IndexError::Plugin(e) if e.sqlstate.as_str() == "22023"),
        "{failed}"
    );
    assert!(reading.cost(b"row").unwrap().is_some());
    assert!(reading.size_bytes().unwrap().is_some());
}
