//! The data that models write, and all the roads by which a view shows it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use arrow_array::{Array, Int64Array, RecordBatch, StringViewArray, UInt64Array};
use arrow_schema::{Field, Schema};
use heliosdb_sim::rng::Rng;
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId};
use heliosdb_storage::schema::{ColumnDef, ColumnType, IndexDef, KeyColumn, TableDef};
use heliosdb_storage::{IndexRange, ReadView, RowVersions, ScanRequest};

use crate::history::{Key, Value, World};

/// A sorted collection.
pub const STORE: CollectionId = CollectionId(900);
/// Its keys.
pub const ENTRIES: u8 = 3;
/// A table `(id int8 unique, name text)` with an index on each.
pub const TABLE: CollectionId = CollectionId(2000);
/// The names that its rows have.
pub const NAMES: u64 = 4;

pub fn table() -> TableDef {
    let index = |id, column, unique| IndexDef {
        id: CollectionId(id),
        columns: vec![KeyColumn {
            column: ColumnId(column),
            descending: false,
            nulls_first: false,
        }],
        unique,
        predicate: None,
    };
    TableDef {
        id: TABLE,
        columns: vec![
            ColumnDef::new(ColumnType::Int64),
            ColumnDef::new(ColumnType::Text),
        ],
        computed: Vec::new(),
        retention: None,
        indexes: vec![index(2001, 0, true), index(2002, 1, false)],
    }
}

pub fn name(number: u64) -> String {
    format!("name {number}")
}

pub fn batch(rows: &[(i64, String)]) -> Result<RecordBatch, String> {
    let schema = Schema::new(vec![
        Field::new("id", ColumnType::Int64.arrow(), true),
        Field::new("name", ColumnType::Text.arrow(), true),
    ]);
    let ids: Int64Array = rows.iter().map(|row| Some(row.0)).collect();
    let names: StringViewArray = rows.iter().map(|row| Some(row.1.as_str())).collect();
    let columns: Vec<Arc<dyn Array>> = vec![Arc::new(ids), Arc::new(names)];
    RecordBatch::try_new(Arc::new(schema), columns).map_err(text)
}

/// Bytes of a value of the sorted collection. No codec makes the padding shorter.
pub fn entry(value: u64, padding: usize) -> Vec<u8> {
    let mut bytes = value.to_be_bytes().to_vec();
    bytes.extend(Rng::new(value).bytes(padding));
    bytes
}

fn number(bytes: &[u8]) -> Result<Value, String> {
    let number = bytes.first_chunk().copied();
    let number = number.ok_or_else(|| format!("an entry of {} bytes", bytes.len()))?;
    Ok(Value::Entry(u64::from_be_bytes(number)))
}

/// All that a view shows, by the roads that `roads` has a bit for, or how they differ: the table in one scan;
/// the same in parts, which every version of now counts; by RowId; by either index; the sorted collection
/// as a range, and key by key.
pub fn read(view: &ReadView, roads: u64) -> Result<World, String> {
    let mut world = scan(view, 1, 8192)?;
    let takes = |road: u64| roads & (1 << road) != 0;
    if takes(0) {
        same("a scan in parts", &world, &scan(view, 3, 2)?)?;
    }
    if takes(1) {
        let rows = view.row_versions(&Arc::new(table()), RowVersions::Current);
        let mut count = 0;
        for batch in rows.map_err(text)? {
            count += batch.map_err(text)?.num_rows();
        }
        if count != world.len() {
            return Err(format!("{count} current versions of {world:?}"));
        }
    }
    if takes(2) {
        let ids: Vec<RowId> = rows(&world).map(|(id, _, _)| id).collect();
        let columns = [ColumnId(0), ColumnId(1)];
        let found = view.rows(&table(), &ids, &columns, true).map_err(text)?;
        let mut other = World::new();
        unbatch(&found, &mut other)?;
        same("rows by their RowIds", &world, &other)?;
    }
    if takes(3) {
        indexes(view, &world)?;
    }
    let range = view.range(STORE, Bound::Unbounded, Bound::Unbounded);
    for found in range.map_err(text)? {
        let (key, value) = found.map_err(text)?;
        let [key] = key[..] else {
            return Err(format!("an entry with the key {key:?}"));
        };
        if let Some(twice) = world.insert(Key::Entry(key), number(&value)?) {
            return Err(format!("entry {key} twice: {value:?} and {twice:?}"));
        }
    }
    if takes(4) {
        for key in 0..ENTRIES {
            let found = view.get(STORE, &[key]).map_err(text)?;
            let found = found.map(|value| number(&value)).transpose()?;
            if found.as_ref() != world.get(&Key::Entry(key)) {
                return Err(format!("a lookup of entry {key}: {found:?}; {world:?}"));
            }
        }
    }
    Ok(world)
}

/// How many roads there are.
pub const ROADS: u64 = 5;

fn indexes(view: &ReadView, world: &World) -> Result<(), String> {
    let table = table();
    let find = |index: usize, value: Datum| {
        let range = IndexRange::equal(vec![value]);
        let found = view.index_rows(&table, &table.indexes[index], &range);
        let mut found = found.map_err(text)?;
        found.sort_unstable();
        Ok::<_, String>(found)
    };
    let mut named: BTreeMap<u64, Vec<RowId>> = (0..NAMES).map(|n| (n, Vec::new())).collect();
    for (row, id, its) in rows(world) {
        let found = find(0, Datum::Int64(id))?;
        if found != [row] {
            return Err(format!("id {id} by its index: {found:?}; {world:?}"));
        }
        let matching = named.iter_mut().find(|(n, _)| name(**n) == its);
        let (_, rows) = matching.ok_or_else(|| format!("a row named {its:?}"))?;
        rows.push(row);
    }
    for (n, rows) in named {
        let found = find(1, Datum::Bytes(name(n).into_bytes()))?;
        if found != rows {
            return Err(format!("name {n} by its index: {found:?}; {world:?}"));
        }
    }
    Ok(())
}

/// The rows of a world.
pub fn rows(world: &World) -> impl Iterator<Item = (RowId, i64, &str)> {
    world.iter().filter_map(|(key, value)| match (key, value) {
        (Key::Row(row), Value::Row(id, name)) => Some((*row, *id, name.as_str())),
        _ => None,
    })
}

fn scan(view: &ReadView, partitions: usize, batch_rows: usize) -> Result<World, String> {
    let request = ScanRequest {
        row_id: true,
        partitions,
        batch_rows,
        ..ScanRequest::columns(vec![ColumnId(0), ColumnId(1)])
    };
    let mut world = World::new();
    for part in view.scan(Arc::new(table()), request).map_err(text)? {
        for batch in part {
            unbatch(&batch.map_err(text)?, &mut world)?;
        }
    }
    Ok(world)
}

fn unbatch(batch: &RecordBatch, world: &mut World) -> Result<(), String> {
    let column = |at: usize| batch.column(at).as_any();
    let columns = (
        column(0).downcast_ref::<Int64Array>(),
        column(1).downcast_ref::<StringViewArray>(),
        column(2).downcast_ref::<UInt64Array>(),
    );
    let (Some(ids), Some(names), Some(rows)) = columns else {
        return Err(format!("columns of other types: {:?}", batch.schema()));
    };
    for at in 0..batch.num_rows() {
        let value = Value::Row(ids.value(at), names.value(at).to_owned());
        let row = RowId(rows.value(at));
        if let Some(other) = world.insert(Key::Row(row), value.clone()) {
            return Err(format!("row {row} twice: {value:?} and {other:?}"));
        }
    }
    Ok(())
}

fn same(road: &str, scanned: &World, other: &World) -> Result<(), String> {
    match scanned == other {
        true => Ok(()),
        false => Err(format!("{road}: {other:?}, a scan: {scanned:?}")),
    }
}

pub fn text(error: impl ToString) -> String {
    error.to_string()
}
