//! What was exported is there after the load, and only that.

use heliosdb_dump::{
    Dump, Error, ExportOptions, LoadOptions, LoadStats, Manifest, Silent, load_state, load_tables,
};
use heliosdb_plugin_host::store::{self, StoreState};
use heliosdb_storage::ids::Ts;
use heliosdb_storage::view::RowVersions;
use heliosdb_storage::{Engine, Interrupt};

use super::sample::*;

pub fn load_with(dump: &Dump, threads: usize) -> (Database, LoadStats) {
    let db = empty();
    let options = LoadOptions {
        threads,
        ..LoadOptions::default()
    };
    load_state(dump, &db.engine, &options, &Silent).unwrap();
    let stats = load_tables(dump, &db.engine, &options, &Silent).unwrap();
    (db, stats)
}

/// What does not depend on when and how a dump was written.
fn content(manifest: &Manifest) -> Manifest {
    let mut manifest = manifest.clone();
    manifest.dump_id.clear();
    manifest.created_at_micros = 0;
    for section in &mut manifest.sections {
        (section.offset, section.digest) = (0, Default::default());
        (section.stored_bytes, section.raw_bytes, section.frames) = (0, 0, 0);
    }
    manifest
}

#[test]
fn a_loaded_database_makes_the_same_dump() {
    let db = sample();
    let dump = dump_of(&db.engine);
    let first = content(dump.manifest());
    let changed = dump.manifest().table(CHANGED.0).unwrap();
    assert_eq!(changed.rows, 190);
    assert!(changed.superseded > 100 && changed.samples.len() == 6);
    for threads in [1, 2, 3] {
        let (loaded, stats) = load_with(&dump, threads);
        assert_eq!(stats.tables, 4);
        assert_eq!(stats.rows, first.tables.iter().map(|t| t.rows).sum::<u64>());
        let mut second = content(dump_of(&loaded.engine).manifest());
        // What was left out of the first is not there to be left out of the second.
        assert_eq!(second.left_out.len(), first.left_out.len() - 1);
        second.left_out = first.left_out.clone();
        assert_eq!(second, first);
    }
}

#[test]
fn everything_a_dump_carries_is_read_back() {
    let db = sample();
    let (loaded, _) = load_with(&dump_of(&db.engine), 2);
    let (before, after) = (db.engine.latest_view(), loaded.engine.latest_view());
    assert_eq!(before.ts(), after.ts());
    assert_eq!(before.tables_ever().unwrap(), after.tables_ever().unwrap());
    for table in before.tables_ever().unwrap() {
        for which in [RowVersions::Current, RowVersions::Superseded] {
            let read = |view: &heliosdb_storage::ReadView| {
                let batches = view.row_versions(&table.def, which).unwrap();
                let mut rows = Vec::new();
                for batch in batches.map(Result::unwrap) {
                    rows.extend(
                        (0..batch.num_rows()).map(|row| format!("{:?}", batch.slice(row, 1))),
                    );
                }
                rows
            };
            assert_eq!(read(&before), read(&after));
        }
        assert_eq!(before.next_row(table.def.id), after.next_row(table.def.id));
    }
    for collection in [SYSTEM, LIVE_STORE] {
        let read = |view: &heliosdb_storage::ReadView| -> Vec<_> {
            view.versions(collection)
                .unwrap()
                .map(Result::unwrap)
                .collect()
        };
        assert_eq!(read(&before), read(&after));
    }
    let position = |engine: &Engine| (engine.sequences(), engine.next_collection());
    assert_eq!(position(&db.engine), position(&loaded.engine));
    // It goes on from there.
    let (rows_before, ts) = commit(&loaded.engine, |tx| {
        tx.insert(&changed_now(), &rows_now(&[1000], |_| None))
            .unwrap()
    });
    assert!(ts > before.ts());
    assert!(rows_before[0] >= before.next_row(CHANGED));
}

#[test]
fn of_plugin_state_only_what_is_live_travels() {
    let db = sample();
    let dump = dump_of(&db.engine);
    let left_out = &dump.manifest().left_out;
    assert!(
        left_out
            .iter()
            .any(|l| l.what == "store p.s, retired collection 1031"),
        "{left_out:?}"
    );
    let (loaded, _) = load_with(&dump, 2);
    let view = loaded.engine.latest_view();
    let stores = store::stores(&view).unwrap();
    assert_eq!(stores.len(), 1);
    assert_eq!(stores[0].state, StoreState::Live);
    assert_eq!(stores[0].collection, LIVE_STORE);
    assert!(view.versions(RETIRED_STORE).unwrap().next().is_none());
    // Before the migration the store is not there, rather than there and empty.
    let first = view
        .versions(SYSTEM)
        .unwrap()
        .last()
        .unwrap()
        .unwrap()
        .begin;
    let then = db.engine.view_at(first).unwrap();
    assert!(store::find(&then, "p", "s").unwrap().is_some());
    let then = loaded.engine.view_at(first).unwrap();
    assert!(store::find(&then, "p", "s").unwrap().is_none());
}

#[test]
fn without_history_only_what_is_visible_travels() {
    let db = sample();
    let options = ExportOptions {
        history: false,
        config: false,
        ..ExportOptions::default()
    };
    let (bytes, manifest) = export_with(&db.engine, &options);
    assert_eq!(manifest.oldest_ts, manifest.snapshot_ts);
    assert_eq!(manifest.table(DROPPED.0), None);
    assert!(
        manifest
            .tables
            .iter()
            .all(|t| t.superseded == 0 && t.samples.is_empty())
    );
    let what: Vec<&str> = manifest.left_out.iter().map(|l| l.what.as_str()).collect();
    for left_out in ["history", "dropped tables and columns", "configuration"] {
        assert!(what.contains(&left_out), "{what:?}");
    }
    let dump = open(&bytes);
    assert_eq!(dump.config().unwrap(), None);
    let whole = dump_of(&db.engine);
    let (loaded, _) = load_with(&dump, 2);
    let again = dump_of(&loaded.engine);
    for table in &manifest.tables {
        let (whole, again) = (
            whole.manifest().table(table.collection).unwrap(),
            again.manifest().table(table.collection).unwrap(),
        );
        assert_eq!(whole.digest, table.digest, "the values are the same");
        assert_eq!(again.digest, table.digest);
        assert_eq!(again.versions_digest, table.versions_digest);
    }
    // What a dropped column held is not in the dump.
    for batch in dump.rows(CHANGED.0, RowVersions::Current).unwrap() {
        let batch = batch.unwrap();
        assert_eq!(batch.column(2).null_count(), batch.num_rows());
    }
    let view = loaded.engine.latest_view();
    let versions = view.versions(SYSTEM).unwrap();
    assert_eq!(versions.count(), 1);
}

#[test]
fn a_dump_is_of_the_view_it_was_given() {
    let db = sample();
    let view = db.engine.latest_view();
    let described = describe(&view);
    commit(&db.engine, |tx| {
        tx.insert(&changed_now(), &rows_now(&[5000], |_| None))
            .unwrap();
        tx.put(LIVE_STORE, b"later", b"not in the dump").unwrap();
    });
    let mut out = Vec::new();
    let options = ExportOptions::default();
    let manifest =
        heliosdb_dump::export(&db.engine, &view, described, &mut out, &options, &Silent).unwrap();
    assert_eq!(manifest.snapshot_ts, view.ts().0);
    assert_eq!(manifest.table(CHANGED.0).unwrap().rows, 190);
    assert_eq!(manifest.stores[0].entries, 1);
}

#[test]
fn a_database_that_is_not_empty_is_refused() {
    let db = sample();
    let dump = dump_of(&db.engine);
    let options = LoadOptions::default();
    let error = load_state(&dump, &db.engine, &options, &Silent).unwrap_err();
    assert!(matches!(error, Error::NotEmpty(_)), "{error}");
    let other = empty();
    commit(&other.engine, |tx| {
        tx.put(SYSTEM, b"catalog", b"3").unwrap()
    });
    let error = load_state(&dump, &other.engine, &options, &Silent).unwrap_err();
    assert!(matches!(error, Error::NotEmpty(_)), "{error}");
    assert_eq!(
        other
            .engine
            .latest_view()
            .get(SYSTEM, b"catalog")
            .unwrap()
            .unwrap(),
        b"3"
    );
}

#[test]
fn a_description_that_does_not_fit_is_refused() {
    let db = sample();
    let view = db.engine.latest_view();
    let export = |change: fn(&mut heliosdb_dump::Described)| {
        let mut described = describe(&view);
        change(&mut described);
        let options = ExportOptions::default();
        heliosdb_dump::export(
            &db.engine,
            &view,
            described,
            &mut Vec::new(),
            &options,
            &Silent,
        )
    };
    let changes: [fn(&mut heliosdb_dump::Described); 4] = [
        |d| drop(d.tables.pop()),
        |d| d.tables[0].collection = 7,
        |d| drop(d.tables[1].columns.pop()),
        |d| d.tables[1].columns[2].dropped = false,
    ];
    for change in changes {
        let error = export(change).unwrap_err();
        assert!(matches!(error, Error::Description(_)), "{error}");
    }
    assert!(export(|_| {}).is_ok());
}

#[test]
fn a_cancel_ends_an_export_and_a_load() {
    let db = sample();
    let interrupt = Interrupt::new();
    interrupt.cancel();
    let view = db.engine.latest_view();
    let options = ExportOptions {
        interrupt: interrupt.clone(),
        ..ExportOptions::default()
    };
    let mut out = Vec::new();
    let ended = heliosdb_dump::export(
        &db.engine,
        &view,
        describe(&view),
        &mut out,
        &options,
        &Silent,
    );
    let canceled =
        |error: &Error| matches!(error, Error::Storage(heliosdb_storage::Error::Canceled));
    assert!(canceled(&ended.unwrap_err()));
    assert!(Dump::open_source(Box::new(out), "cut.dump", &Silent).is_err());

    let dump = dump_of(&db.engine);
    let target = empty();
    let options = LoadOptions {
        interrupt,
        ..LoadOptions::default()
    };
    let ended = load_state(&dump, &target.engine, &options, &Silent);
    assert!(canceled(&ended.unwrap_err()));
    assert_eq!(target.engine.latest_view().tables_ever().unwrap(), []);
    load_state(&dump, &target.engine, &LoadOptions::default(), &Silent).unwrap();
    let ended = load_tables(&dump, &target.engine, &options, &Silent);
    assert!(canceled(&ended.unwrap_err()));
    let view = target
        .engine
        .view_at(Ts(dump.manifest().snapshot_ts))
        .unwrap();
    let def = view.tables_ever().unwrap()[0].def.clone();
    assert!(
        view.row_versions(&def, RowVersions::Current)
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn a_level_that_zstd_does_not_have_is_refused() {
    let db = empty();
    let view = db.engine.latest_view();
    for level in [0, -1, 20] {
        let options = ExportOptions {
            level,
            ..ExportOptions::default()
        };
        let mut out = Vec::new();
        let described = describe(&view);
        let ended =
            heliosdb_dump::export(&db.engine, &view, described, &mut out, &options, &Silent);
        assert!(ended.is_err() && out.is_empty());
    }
    for level in [1, 19] {
        let options = ExportOptions {
            level,
            ..ExportOptions::default()
        };
        open(&export_with(&sample().engine, &options).0);
    }
}
