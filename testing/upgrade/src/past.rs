//! A database at moments of its past, read through the engine, which shows more of it than SQL does.
//!
//! What is compared is what reading AS OF a time is made of: the definitions of the tables at that
//! time, the rows of each with their ids, the entries of their indexes, and the catalog of SQL.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use heliosdb_storage::catalog::{CATALOG, decode_table};
use heliosdb_storage::ids::{CollectionId, ColumnId, Ts};
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::schema::TableDef;
use heliosdb_storage::{Engine, Options, ReadView, ScanRequest};

use crate::ask::bits;
use crate::{Result, text};

/// The catalog of SQL.
const SQL_CATALOG: CollectionId = CollectionId(16);

/// What there was at a time: the lines of each collection.
pub type Moment = BTreeMap<String, Vec<String>>;

/// Opens the engine of a database that is closed.
///
/// # Errors
///
/// It does not open.
pub fn open(directory: &Path) -> Result<Engine> {
    let disk = Disk::open(directory).map_err(text)?;
    Engine::open(Arc::new(disk), Options::default()).map_err(text)
}

/// Everything there was at `ts` that is still known at `last`.
///
/// # Errors
///
/// It cannot be read.
pub fn moment(engine: &Engine, ts: Ts, last: Ts) -> Result<Moment> {
    let view = engine.view_at(ts).map_err(text)?;
    let mut moment = Moment::new();
    moment.insert("catalog".to_owned(), sorted(&view, SQL_CATALOG)?);
    let newest = definitions(&engine.view_at(last).map_err(text)?)?;
    for (id, table) in definitions(&view)? {
        let newest = newest.get(&id);
        for index in &table.indexes {
            // One that was dropped until then has no entries in a database that was moved, and is not to
            // be asked: what reads AS OF a time takes the indexes of the newest definition.
            if newest.is_some_and(|now| now.indexes.contains(index)) {
                let entries = sorted(&view, index.id)?;
                moment.insert(format!("index {} of {id}", index.id), entries);
            }
        }
        let compared = format!("{:?} {:?}", columns(&table), table.indexes);
        moment.insert(format!("definition of {id}"), vec![compared]);
        moment.insert(format!("rows of {id}"), rows(&view, table)?);
    }
    Ok(moment)
}

/// The tables that a view sees.
fn definitions(view: &ReadView) -> Result<BTreeMap<CollectionId, TableDef>> {
    let mut definitions = BTreeMap::new();
    let tables = view
        .range(CATALOG, Bound::Unbounded, Bound::Unbounded)
        .map_err(text)?;
    for entry in tables {
        let (key, value) = entry.map_err(text)?;
        let id = key.as_slice().try_into().map_err(text)?;
        let id = CollectionId(u32::from_be_bytes(id));
        definitions.insert(id, decode_table(id, &value).map_err(text)?);
    }
    Ok(definitions)
}

/// What decides how rows read: types, values of rows that are older than a column, dropped columns.
fn columns(table: &TableDef) -> Vec<String> {
    let column = |c: &heliosdb_storage::schema::ColumnDef| {
        format!("{:?} {:?} {}", c.ty, c.missing, c.dropped)
    };
    table.columns.iter().map(column).collect()
}

fn sorted(view: &ReadView, collection: CollectionId) -> Result<Vec<String>> {
    let entries = view
        .range(collection, Bound::Unbounded, Bound::Unbounded)
        .map_err(text)?;
    let entry = |entry: heliosdb_storage::Result<(Vec<u8>, Vec<u8>)>| {
        let (key, value) = entry.map_err(text)?;
        Ok(format!("{key:02x?} {value:02x?}"))
    };
    entries.map(entry).collect()
}

fn rows(view: &ReadView, table: TableDef) -> Result<Vec<String>> {
    let live = (0..table.columns.len()).filter(|at| !table.columns[*at].dropped);
    let live = live.map(|at| ColumnId(at as u16)).collect();
    let request = ScanRequest {
        row_id: true,
        ..ScanRequest::columns(live)
    };
    let mut rows = Vec::new();
    for scan in view.scan(Arc::new(table), request).map_err(text)? {
        for batch in scan {
            let batch: RecordBatch = batch.map_err(text)?;
            for row in 0..batch.num_rows() {
                let values = batch.columns().iter().rev().map(|c| bits(c.as_ref(), row));
                rows.push(values.collect::<Vec<_>>().join(" "));
            }
        }
    }
    rows.sort_unstable();
    Ok(rows)
}

/// What differs between two moments that should be one.
pub fn differences(one: &Moment, other: &Moment) -> Vec<String> {
    let mut names: Vec<&String> = one.keys().chain(other.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differs = |name: &&&String| one.get(**name) != other.get(**name);
    let show = |name: &String| {
        let (one, other) = (one.get(name), other.get(name));
        let count = |lines: Option<&Vec<String>>| lines.map(Vec::len);
        let first = one
            .zip(other)
            .and_then(|(a, b)| a.iter().zip(b).find(|(a, b)| a != b));
        format!(
            "{name}: {:?} and {:?} entries, {first:?}",
            count(one),
            count(other)
        )
    };
    names
        .iter()
        .filter(differs)
        .map(|name| show(name))
        .collect()
}
