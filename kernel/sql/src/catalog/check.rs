//! What the catalog has to say when a database is checked that nobody has open: names for storage's
//! numbers, and whether the catalog's own rows read and fit to storage.
//!
//! Names are wanted most when something is damaged, so they are what can be read, and no errors.

use std::collections::BTreeMap;
use std::ops::Bound;

use heliosdb_storage::ReadView;
use heliosdb_storage::catalog::{CATALOG as DEFINITIONS, decode_table};
use heliosdb_storage::ids::{CollectionId, ColumnId};
use heliosdb_storage::schema::TableDef;

use super::meta::TableMeta;
use super::model::*;
use super::snapshot::CatalogSnapshot;
use super::store::{self, CATALOG, OID_COUNTER};
use crate::authors::AUTHORS;
use crate::branch::lineage::MERGES;
use crate::edition::{self, EDITION};
use crate::error::{SqlError, state};
use crate::provenance::IMPORTS;

/// Names of collections and of their columns, those of dropped ones, too.
#[derive(Debug, Default)]
pub struct Names {
    collections: BTreeMap<u32, String>,
    /// Of tables.
    columns: BTreeMap<u32, Vec<String>>,
}

impl Names {
    /// The names that a view knows, as far as it can be read.
    pub fn read(view: &ReadView) -> Names {
        let mut all = CatalogSnapshot::default();
        let mut older = Vec::new();
        // Of each object the newest version comes first.
        let mut last = Vec::new();
        for version in view.versions(CATALOG).into_iter().flatten() {
            let Ok(version) = version else { break };
            let Some(value) = version.value else { continue };
            let mut one = CatalogSnapshot::default();
            if store::put(&mut one, &version.key, &value).is_err() {
                continue;
            }
            match version.key == last {
                true => older.push(one),
                false => {
                    // It was read just now.
                    let _ = store::put(&mut all, &version.key, &value);
                }
            }
            last = version.key;
        }
        let mut names = Names::default();
        for (collection, name) in [
            (DEFINITIONS, "the definitions of tables"),
            (CATALOG, "the catalog"),
            (OID_COUNTER, "the counter of oids"),
            (IMPORTS, "the imports"),
            (EDITION, "the edition"),
            (MERGES, "the merges of branches"),
            (AUTHORS, "the authors of commits"),
        ] {
            names.collections.insert(collection.0, name.to_owned());
        }
        names.add(&all, &all);
        // TRUNCATE and the like give a table another collection.
        older.iter().for_each(|one| names.add(one, &all));
        names
    }

    fn add(&mut self, objects: &CatalogSnapshot, schemas: &CatalogSnapshot) {
        let qualified = |schema: Oid, name: &str| match schemas.schema(schema) {
            Some(schema) => format!("{}.{name}", schema.name),
            None => name.to_owned(),
        };
        for table in objects.tables() {
            let name = || qualified(table.schema, &table.name);
            self.name(table.collection, name);
            let columns = table.columns.iter().map(|column| column.name.clone());
            let columns = || columns.collect();
            self.columns.entry(table.collection).or_insert_with(columns);
        }
        for index in objects.indexes() {
            self.name(index.collection, || qualified(index.schema, &index.name));
        }
        for sequence in objects.sequences() {
            let name = || qualified(sequence.schema, &sequence.name);
            self.name(sequence.collection, name);
        }
    }

    fn name(&mut self, collection: u32, name: impl FnOnce() -> String) {
        self.collections.entry(collection).or_insert_with(name);
    }

    /// What a collection is called.
    pub fn collection(&self, collection: CollectionId) -> Option<&str> {
        self.collections.get(&collection.0).map(String::as_str)
    }

    /// What a column of a table is called.
    pub fn column(&self, table: CollectionId, column: ColumnId) -> Option<&str> {
        let columns = self.columns.get(&table.0)?;
        columns.get(usize::from(column.0)).map(String::as_str)
    }
}

/// Something that is wrong with the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What it concerns.
    pub collection: CollectionId,
    pub what: String,
    /// A newer build wrote it, which is no damage.
    pub newer: bool,
}

impl Problem {
    fn new(collection: CollectionId, what: impl Into<String>) -> Problem {
        Problem {
            collection,
            what: what.into(),
            newer: false,
        }
    }

    fn of(collection: CollectionId, error: &SqlError) -> Problem {
        let mut what = error.message.clone();
        if let Some(detail) = &error.detail {
            what = format!("{what}: {detail}");
        }
        Problem {
            newer: error.code == state::FEATURE_NOT_SUPPORTED,
            ..Problem::new(collection, what)
        }
    }
}

/// Hold the catalog of a view against itself and against storage.
///
/// # Errors
///
/// The catalog's pages cannot be read, which is for storage to tell.
pub fn problems(view: &ReadView) -> Result<Vec<Problem>, heliosdb_storage::Error> {
    let mut problems = Vec::new();
    for collection in [CATALOG, IMPORTS] {
        for entry in view.range(collection, Bound::Unbounded, Bound::Unbounded)? {
            let (key, value) = entry?;
            if let Some(Err(error)) = store::check_entry(collection, &key, &value) {
                problems.push(Problem::of(collection, &error));
            }
        }
    }
    if let Err(error) = edition::of(view) {
        problems.push(Problem::of(EDITION, &error));
    }
    if !problems.is_empty() {
        return Ok(problems);
    }
    let catalog = match store::load(view) {
        Ok(catalog) => catalog,
        Err(error) => return Ok(vec![Problem::of(CATALOG, &error)]),
    };
    let mut definitions = BTreeMap::new();
    for entry in view.range(DEFINITIONS, Bound::Unbounded, Bound::Unbounded)? {
        let (key, value) = entry?;
        // What does not decode is for storage to tell, too.
        if let Ok(id) = <[u8; 4]>::try_from(key.as_slice()) {
            let id = CollectionId(u32::from_be_bytes(id));
            definitions.extend(decode_table(id, &value).map(|def| (id, def)));
        }
    }
    for table in catalog.tables() {
        let id = CollectionId(table.collection);
        let wrong = match (definitions.remove(&id), TableMeta::new(&catalog, table)) {
            (_, Err(error)) => Some(Problem::of(id, &error)),
            (None, _) => Some(Problem::new(id, "storage has no definition of the table")),
            (Some(found), Ok(meta)) => differs(&meta.storage, &found).map(|w| Problem::new(id, w)),
        };
        problems.extend(wrong);
    }
    for id in definitions.keys() {
        problems.push(Problem::new(*id, "a table that the catalog does not have"));
    }
    Ok(problems)
}

/// How storage's definition of a table differs from the catalog's.
fn differs(catalog: &TableDef, storage: &TableDef) -> Option<String> {
    let shape = |def: &TableDef| -> Vec<_> {
        let columns = def.columns.iter();
        columns.map(|c| (c.dropped, c.ty.clone())).collect()
    };
    if shape(catalog) != shape(storage) {
        return Some("storage's definition of the table has other columns".to_owned());
    }
    let differing = |of: &TableDef, other: &TableDef| {
        let indexes = of.indexes.iter();
        let mut missing = indexes.filter(|index| !other.indexes.contains(index));
        missing.next().map(|index| index.id)
    };
    let index = differing(catalog, storage).or_else(|| differing(storage, catalog))?;
    Some(format!(
        "storage's definition of the table has another index {index}, or none"
    ))
}
