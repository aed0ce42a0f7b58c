//! The host's side of `index/1`, with every result checked on import.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_schema::DataType;
use heliosdb_plugin_api::abi::arrow::AbiColumn;
use heliosdb_plugin_api::abi::{RStr, RVec};
use heliosdb_plugin_api::extension::index::{
    AbiIndex, AbiSearch, Hits, IndexCost, IndexDefinition, IndexV1, Search, Versions,
};
use heliosdb_plugin_api::{Error, service::SignedRows};

use crate::call::{CallError, called};
use crate::host::Statement;
use crate::plugin::Started;

type Called<T> = Result<T, CallError>;

fn export(columns: &[ArrayRef]) -> Called<RVec<AbiColumn>> {
    let columns = columns.iter().map(|c| AbiColumn::export(c, false));
    Ok(columns.collect::<Result<_, Error>>()?)
}

fn abi_search<'a>(search: &Search<'a>) -> AbiSearch<'a> {
    AbiSearch {
        query: search.query.into(),
        stats: search.stats.into(),
        k: search.k.into(),
    }
}

/// An index method of a started plugin, and an index of it. The test host has one keyspace for each store,
/// so there is one index at a time.
pub struct Indexed<'a> {
    plugin: &'a Started,
    vtable: &'static IndexV1,
    place: u32,
    definition: IndexDefinition,
}

impl Started {
    /// An index of the method at this place.
    pub fn index(&self, place: u32, definition: IndexDefinition) -> Called<Indexed<'_>> {
        let absent = || Error::contract("the plugin has no index/1");
        Ok(Indexed {
            plugin: self,
            vtable: self.loaded.index.ok_or_else(absent)?,
            place,
            definition,
        })
    }
}

impl Indexed<'_> {
    fn with<T>(&self, call: impl FnOnce(*const (), AbiIndex<'_>) -> T) -> T {
        let names = self.definition.columns.iter();
        let names: Vec<RStr<'_>> = names.map(|name| name.as_str().into()).collect();
        let of = AbiIndex {
            oid: self.definition.oid,
            table: self.definition.table,
            columns: names.as_slice().into(),
            options: self.definition.options.as_str().into(),
        };
        call(self.plugin.instance, of)
    }

    /// Builds the index of these versions, batch by batch.
    pub fn build(&self, statement: &Statement, batches: &[Versions]) -> Called<()> {
        let (vtable, place, cx) = (self.vtable, self.place, statement.context());
        let raw = called(self.with(|this, of| (vtable.build)(this, place, cx, of)))?;
        if raw.is_null() {
            return Err(Error::contract("the build is null").into());
        }
        struct Build(&'static IndexV1, *mut ());
        impl Drop for Build {
            fn drop(&mut self) {
                (self.0.release)(self.1);
            }
        }
        let build = Build(vtable, raw);
        for versions in batches {
            let mut columns = versions.columns.clone();
            for names in [&versions.rows, &versions.begins, &versions.ends] {
                columns.push(Arc::new(names.clone()));
            }
            called((vtable.add)(build.1, cx, export(&columns)?))?;
        }
        called((vtable.finish)(build.1, cx))
    }

    pub fn apply(&self, statement: &Statement, changes: &SignedRows) -> Called<()> {
        let mut columns = changes.columns.clone();
        columns.push(Arc::new(changes.rows.clone()));
        columns.push(Arc::new(changes.scns.clone()));
        columns.push(Arc::new(changes.signs.clone()));
        let (changes, cx) = (export(&columns)?, statement.context());
        called(self.with(|this, of| (self.vtable.apply)(this, self.place, cx, of, changes)))
    }

    pub fn vacuum(&self, statement: &Statement, horizon: u64) -> Called<()> {
        let cx = statement.context();
        called(self.with(|this, of| (self.vtable.vacuum)(this, self.place, cx, of, horizon)))
    }

    pub fn stats(&self, statement: &Statement, query: &[u8]) -> Called<Vec<u8>> {
        let cx = statement.context();
        let stats =
            self.with(|this, of| (self.vtable.stats)(this, self.place, cx, of, query.into()));
        Ok(called(stats)?.into())
    }

    pub fn stats_of(&self, query: &[u8], columns: &[ArrayRef], rows: usize) -> Called<Vec<u8>> {
        let (columns, rows) = (export(columns)?, rows as u64);
        let stats = self.with(|this, of| {
            (self.vtable.stats_of)(this, self.place, of, query.into(), columns, rows)
        });
        Ok(called(stats)?.into())
    }

    pub fn merge_stats(&self, one: &[u8], other: &[u8]) -> Called<Vec<u8>> {
        let this = self.plugin.instance;
        let merged = (self.vtable.merge_stats)(this, self.place, one.into(), other.into());
        Ok(called(merged)?.into())
    }

    pub fn open(&self, statement: &Statement, search: &Search<'_>) -> Called<IndexHits<'_>> {
        let (cx, search) = (statement.context(), abi_search(search));
        let raw = self.with(|this, of| (self.vtable.open)(this, self.place, cx, of, search));
        let raw = called(raw)?;
        if raw.is_null() {
            return Err(Error::contract("the cursor is null").into());
        }
        Ok(IndexHits {
            vtable: self.vtable,
            raw,
            plugin: PhantomData,
        })
    }

    /// The scores of rows, NULL of those that are not found.
    pub fn evaluate(
        &self,
        search: &Search<'_>,
        columns: &[ArrayRef],
        rows: usize,
    ) -> Called<Float64Array> {
        let mut result = AbiColumn::empty();
        let (columns, search, count) = (export(columns)?, abi_search(search), rows as u64);
        called(self.with(|this, of| {
            (self.vtable.evaluate)(this, self.place, of, search, columns, count, &mut result)
        }))?;
        let scores = result.import(&DataType::Float64, rows)?;
        Ok(scores.as_primitive::<Float64Type>().clone())
    }

    pub fn cost(&self, statement: &Statement, query: &[u8]) -> Called<IndexCost> {
        let cx = statement.context();
        called(self.with(|this, of| (self.vtable.cost)(this, self.place, cx, of, query.into())))
    }

    pub fn size_bytes(&self, statement: &Statement) -> Called<u64> {
        let cx = statement.context();
        called(self.with(|this, of| (self.vtable.size_bytes)(this, self.place, cx, of)))
    }

    /// What is wrong with the index in itself.
    pub fn check(&self, statement: &Statement) -> Called<Vec<String>> {
        let cx = statement.context();
        let found = called(self.with(|this, of| (self.vtable.check)(this, self.place, cx, of)))?;
        Ok(found.into_iter().map(String::from).collect())
    }
}

/// Hits on demand.
pub struct IndexHits<'a> {
    vtable: &'static IndexV1,
    raw: *mut (),
    plugin: PhantomData<&'a Started>,
}

impl IndexHits<'_> {
    pub fn next(&mut self, statement: &Statement) -> Called<Option<Hits>> {
        let mut count = 0;
        let batch = called((self.vtable.next)(
            self.raw,
            statement.context(),
            &mut count,
        ))?;
        let Some(batch) = batch.into_option() else {
            return Ok(None);
        };
        let types = [DataType::UInt64, DataType::UInt64, DataType::Float64];
        if batch.len() != types.len() {
            return Err(Error::contract("hits are rows, begins and scores").into());
        }
        let count = usize::try_from(count).map_err(|_| Error::contract("too many hits"))?;
        let columns = batch.into_iter().zip(&types);
        let columns: Result<Vec<ArrayRef>, Error> = columns
            .map(|(column, ty)| column.import(ty, count))
            .collect();
        let columns = columns?;
        if columns.iter().any(|column| column.null_count() > 0) {
            return Err(Error::contract("a hit is NULL").into());
        }
        Ok(Some(Hits {
            rows: columns[0].as_primitive::<UInt64Type>().clone(),
            begins: columns[1].as_primitive::<UInt64Type>().clone(),
            scores: columns[2].as_primitive::<Float64Type>().clone(),
        }))
    }
}

impl Drop for IndexHits<'_> {
    fn drop(&mut self) {
        (self.vtable.close)(self.raw);
    }
}
