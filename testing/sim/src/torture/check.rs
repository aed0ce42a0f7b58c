//! Does a view of the engine show exactly a world of the oracle?
//!
//! Everything is read by every road there is: tables by scan, by row id and through each of their
//! indexes, sorted collections by range and by key, definitions by key.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use heliosdb_storage::catalog::{CATALOG, catalog_key, encode_table};
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId};
use heliosdb_storage::schema::{IndexDef, TableDef};
use heliosdb_storage::{IndexRange, ReadView, ScanRequest};

use super::oracle::{World, definition, definitions, entries, rows};
use super::{Failure, Result, STORES};

type Rows = BTreeMap<RowId, Vec<Datum>>;

/// Compare `view` with `world`. `known` are all tables that ever were: those that `world` lacks
/// must be absent.
pub fn check_world<'a>(
    view: &ReadView,
    world: &World,
    known: impl Iterator<Item = &'a Arc<TableDef>>,
) -> Result<()> {
    let present = definitions(world);
    let mut ids: BTreeSet<_> = known.map(|def| def.id).collect();
    ids.extend(present.iter().map(|def| def.id));
    for id in ids {
        let found = view.get(CATALOG, &catalog_key(id))?;
        let what = match (found, definition(world, id)) {
            (None, None) => continue,
            (Some(_), None) => "should not be there",
            (None, Some(_)) => "is missing",
            (Some(found), Some(def)) if found != encode_table(def)? => "is another one",
            (Some(_), Some(_)) => continue,
        };
        return wrong(format!("the definition of table {id} {what}"));
    }
    for def in &present {
        check_table(view, world, def)?;
    }
    for store in STORES {
        check_store(view, world, store)?;
    }
    Ok(())
}

fn wrong<T>(what: String) -> Result<T> {
    Err(Failure::Wrong(what))
}

fn check_table(view: &ReadView, world: &World, def: &Arc<TableDef>) -> Result<()> {
    let expected = rows(world, def);
    let live = live_columns(def);
    let found = scan(view, def, &live, 1 + expected.len() % 3)?;
    same_rows(def, &live, &expected, &found, "scan")?;

    let some: Vec<RowId> = expected.keys().copied().step_by(5).collect();
    let batch = view.rows(def, &some, &live, true)?;
    let mut fetched = Rows::new();
    read_rows(&batch, def, &live, &mut fetched)?;
    let asked = expected
        .iter()
        .step_by(5)
        .map(|(row, columns)| (*row, columns.clone()))
        .collect();
    same_rows(def, &live, &asked, &fetched, "fetch by row id")?;

    for index in &def.indexes {
        check_index(view, def, index, &expected)?;
    }
    Ok(())
}

fn same_rows(
    def: &TableDef,
    live: &[ColumnId],
    expected: &Rows,
    found: &Rows,
    how: &str,
) -> Result<()> {
    for (row, columns) in expected {
        let Some(there) = found.get(row) else {
            return wrong(format!("{how} of table {}: row {row} is missing", def.id));
        };
        for column in live {
            let (want, have) = (&columns[column.0 as usize], &there[column.0 as usize]);
            if want != have {
                let place = format!("{how} of table {}: row {row} column {column}", def.id);
                return wrong(format!("{place}: expected {want:?}, found {have:?}"));
            }
        }
    }
    match found.keys().find(|row| !expected.contains_key(row)) {
        Some(row) => wrong(format!(
            "{how} of table {}: row {row} should not be there",
            def.id
        )),
        None => Ok(()),
    }
}

fn check_index(view: &ReadView, def: &TableDef, index: &IndexDef, expected: &Rows) -> Result<()> {
    let found = view.index_rows(def, index, &IndexRange::all())?;
    let unique: BTreeSet<RowId> = found.iter().copied().collect();
    if unique.len() != found.len() {
        return wrong(format!("index {} names a row twice", index.id));
    }
    if let Some(row) = expected.keys().find(|row| !unique.contains(row)) {
        return wrong(format!(
            "index {} lacks row {row} of table {}",
            index.id, def.id
        ));
    }
    if let Some(row) = unique.iter().find(|row| !expected.contains_key(row)) {
        return wrong(format!(
            "index {} names row {row}, which is not there",
            index.id
        ));
    }
    for (row, columns) in expected.iter().step_by(7) {
        let key = key_of(index, columns);
        let range = IndexRange::equal(key.clone());
        let found: BTreeSet<RowId> = view.index_rows(def, index, &range)?.into_iter().collect();
        let same = |other: &&RowId| key_of(index, &expected[other]) == key;
        let want: BTreeSet<RowId> = expected.keys().filter(same).copied().collect();
        if found != want {
            let key = format!("index {} at {key:?} (row {row})", index.id);
            return wrong(format!("{key}: expected {want:?}, found {found:?}"));
        }
    }
    Ok(())
}

fn check_store(view: &ReadView, world: &World, store: CollectionId) -> Result<()> {
    let expected = entries(world, store);
    let mut found = BTreeMap::new();
    for entry in view.range(store, Bound::Unbounded, Bound::Unbounded)? {
        let (key, value) = entry?;
        if found.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return wrong(format!("range of store {store} is out of order at {key:?}"));
        }
        found.insert(key, value);
    }
    if found != expected {
        let keys: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
        let differs = keys
            .into_iter()
            .find(|key| found.get(*key) != expected.get(*key));
        return wrong(format!("range of store {store} differs at key {differs:?}"));
    }
    for (key, value) in expected.iter().step_by(3) {
        if view.get(store, key)?.as_ref() != Some(value) {
            return wrong(format!("get of store {store} differs at key {key:?}"));
        }
    }
    Ok(())
}

/// The columns of `index` in one row.
pub fn key_of(index: &IndexDef, columns: &[Datum]) -> Vec<Datum> {
    index
        .columns
        .iter()
        .map(|key| columns[key.column.0 as usize].clone())
        .collect()
}

pub fn live_columns(def: &TableDef) -> Vec<ColumnId> {
    let live = def
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| !column.dropped);
    live.map(|(at, _)| ColumnId(at as u16)).collect()
}

/// All rows of a table, by column id; columns not asked for are NULL.
pub fn scan(
    view: &ReadView,
    def: &Arc<TableDef>,
    columns: &[ColumnId],
    partitions: usize,
) -> Result<Rows> {
    let request = ScanRequest {
        projection: columns.to_vec(),
        row_id: true,
        ranges: Vec::new(),
        partitions,
        batch_rows: 64,
        limit: None,
    };
    let mut found = Rows::new();
    for part in view.scan(def.clone(), request)? {
        for batch in part {
            read_rows(&batch?, def, columns, &mut found)?;
        }
    }
    Ok(found)
}

/// Take a batch apart whose last column is the row id.
fn read_rows(
    batch: &RecordBatch,
    def: &TableDef,
    columns: &[ColumnId],
    found: &mut Rows,
) -> Result<()> {
    let ids = batch.column(columns.len()).as_primitive::<UInt64Type>();
    for at in 0..batch.num_rows() {
        let mut row = vec![Datum::Null; def.columns.len()];
        for (array, column) in batch.columns().iter().zip(columns) {
            row[column.0 as usize] = Datum::from_array(array.as_ref(), at)?;
        }
        if found.insert(RowId(ids.value(at)), row).is_some() {
            return wrong(format!(
                "row {} of table {} comes twice",
                ids.value(at),
                def.id
            ));
        }
    }
    Ok(())
}
