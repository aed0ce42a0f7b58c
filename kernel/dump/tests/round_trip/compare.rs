//! A database that is not what a dump says is told, with the table and the column.

use heliosdb_dump::{CompareOptions, Dump, Silent, TableComparison, compare_tables};
use heliosdb_storage::Engine;
use heliosdb_storage::schema::{ColumnDef, ColumnType};

use super::load::load_with;
use super::sample::*;

fn compare(dump: &Dump, engine: &Engine) -> Vec<TableComparison> {
    let options = CompareOptions {
        history_samples: 16,
        ..CompareOptions::default()
    };
    compare_tables(dump, engine, &options, &Silent).unwrap()
}

/// Load a sample, change it, and give the comparison of the only table that then differs.
fn after(change: impl FnOnce(&Engine)) -> TableComparison {
    let dump = dump_of(&sample().engine);
    let (loaded, _) = load_with(&dump, 2);
    change(&loaded.engine);
    let mut found = compare(&dump, &loaded.engine);
    found.retain(|table| !table.is_equal());
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

#[test]
fn a_loaded_database_is_equal_in_all_respects() {
    let db = sample();
    let dump = dump_of(&db.engine);
    let (loaded, _) = load_with(&dump, 2);
    // The original is equal to its dump, too.
    for engine in [&db.engine, &loaded.engine] {
        let found = compare(&dump, engine);
        assert!(found.iter().all(TableComparison::is_equal), "{found:#?}");
        let names: Vec<&str> = found.iter().map(|table| table.name.as_str()).collect();
        let expected = [
            "public.all_types",
            "public.changed",
            "dropped table 1028",
            "public.empty",
        ];
        assert_eq!(names, expected);
        let changed = &found[1];
        assert_eq!((changed.rows, changed.found_rows), (190, 190));
        assert_eq!(changed.indexes.len(), 2);
        assert!(
            changed
                .indexes
                .iter()
                .all(|i| i.rows == 190 && i.entries == 190)
        );
        assert_eq!(changed.history.len(), 6);
        assert!(changed.history.iter().all(|sample| sample.rows == 200));
    }
    // As many samples as were asked for, and none of indexes that were not.
    let options = CompareOptions {
        history_samples: 2,
        indexes: false,
        ..CompareOptions::default()
    };
    let found = compare_tables(&dump, &loaded.engine, &options, &Silent).unwrap();
    assert_eq!((found[1].history.len(), found[1].indexes.len()), (2, 0));
}

#[test]
fn a_single_changed_value_names_its_table_and_column() {
    let found = after(|engine| {
        let def = changed_now();
        commit(engine, |tx| {
            let row = engine
                .latest_view()
                .index_rows(&def, &def.indexes[0], &id_is(77))
                .unwrap();
            tx.update(&def, &row, &rows_now(&[77], |_| Some("another".to_owned())))
                .unwrap();
        });
    });
    assert_eq!(found.name, "public.changed");
    assert_eq!(found.columns, ["column_1"]);
    assert!(!found.values_equal && !found.versions_equal);
    assert_eq!(found.snapshot_equal, Some(true), "it came after the load");
    assert!(found.history.iter().all(|sample| sample.equal));
    assert!(found.indexes.iter().all(|index| index.equal));
}

#[test]
fn a_row_more_or_less_is_told() {
    let more = after(|engine| {
        commit(engine, |tx| {
            tx.insert(&changed_now(), &rows_now(&[5000], |_| None))
                .unwrap()
        });
    });
    assert_eq!((more.rows, more.found_rows), (190, 191));
    let less = after(|engine| {
        let def = changed_now();
        let row = engine
            .latest_view()
            .index_rows(&def, &def.indexes[0], &id_is(5))
            .unwrap();
        commit(engine, |tx| tx.delete(&def, &row).unwrap());
    });
    assert_eq!((less.rows, less.found_rows), (190, 189));
}

/// The same values under another RowId: nobody who asks SQL sees it, and it is not what was dumped.
#[test]
fn other_row_ids_are_told_from_other_values() {
    let found = after(|engine| {
        let def = all_types();
        let view = engine.latest_view();
        let columns = (0..def.columns.len()).map(|i| heliosdb_storage::ids::ColumnId(i as u16));
        let request = heliosdb_storage::ScanRequest {
            row_id: true,
            ..heliosdb_storage::ScanRequest::columns(columns.collect())
        };
        let mut scans = view.scan(def.clone().into(), request).unwrap();
        let batch = scans.remove(0).next().unwrap().unwrap();
        let ids: &arrow_array::UInt64Array = batch
            .columns()
            .last()
            .unwrap()
            .as_any()
            .downcast_ref()
            .unwrap();
        let ids: Vec<_> = ids
            .values()
            .iter()
            .map(|id| heliosdb_storage::ids::RowId(*id))
            .collect();
        let all: Vec<usize> = (0..def.columns.len()).collect();
        commit(engine, |tx| {
            tx.delete(&def, &ids).unwrap();
            tx.insert(&def, &batch.project(&all).unwrap()).unwrap();
        });
    });
    assert!(found.values_equal && found.columns.is_empty() && !found.versions_equal);
}

#[test]
fn an_index_that_does_not_fit_its_rows_is_told() {
    let found = after(|engine| {
        commit(engine, |tx| {
            tx.put(CHANGED_BY_NAME, b"no such name", &7u64.to_be_bytes())
                .unwrap();
        });
    });
    assert!(found.values_equal && found.versions_equal && found.problems.is_empty());
    let unequal: Vec<u32> = found
        .indexes
        .iter()
        .filter(|i| !i.equal)
        .map(|i| i.collection)
        .collect();
    assert_eq!(unequal, [CHANGED_BY_NAME.0]);
}

#[test]
fn a_table_that_went_or_changed_its_columns_is_told() {
    let dropped = after(|engine| {
        commit(engine, |tx| tx.drop_collection(EMPTY).unwrap());
    });
    assert_eq!(dropped.problems, ["it was dropped"]);
    assert_eq!(dropped.snapshot_equal, Some(true));
    let altered = after(|engine| {
        let mut def = changed_now();
        def.columns.push(ColumnDef::new(ColumnType::Bool));
        commit(engine, |tx| tx.define_table(&def).unwrap());
    });
    assert_eq!(altered.problems, ["its columns are not those of the dump"]);
    assert_eq!(altered.snapshot_equal, Some(true));
}

/// The dump of a database that went on: what it has more is missing in the past, too.
#[test]
fn history_that_is_missing_is_told() {
    let db = sample();
    let (loaded, _) = load_with(&dump_of(&db.engine), 2);
    let def = changed_now();
    for round in 0..4 {
        let row = db
            .engine
            .latest_view()
            .index_rows(&def, &def.indexes[0], &id_is(round))
            .unwrap();
        commit(&db.engine, |tx| {
            let name = |_| Some(format!("later {round}"));
            tx.update(&def, &row, &rows_now(&[round], name)).unwrap();
        });
    }
    let found = compare(&dump_of(&db.engine), &loaded.engine);
    let changed = &found[1];
    assert_eq!(changed.snapshot_equal, Some(false));
    assert_eq!(changed.columns, ["column_1"]);
    let unequal = changed.history.iter().filter(|sample| !sample.equal);
    assert_eq!(unequal.count(), 3, "{changed:#?}");
}
