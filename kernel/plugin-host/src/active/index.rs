//! Index methods of a plugin.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_schema::DataType;
use heliosdb_plugin_api::abi::arrow::AbiColumn;
use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::abi::{CallContext, RErr, RStr, RVec};
use heliosdb_plugin_api::extension::index::{AbiIndex, AbiSearch, IndexV1};
pub use heliosdb_plugin_api::extension::index::{Hits, IndexCost, IndexDefinition, Search};
use heliosdb_plugin_api::manifest::IndexDecl;
use heliosdb_plugin_api::{Error, Result};

use super::registered::Registered;
use crate::service::in_statement;
use crate::services::StatementServices;

/// An index method.
pub type Index = Registered<IndexV1, IndexDecl>;

fn export(columns: &[ArrayRef]) -> Result<RVec<AbiColumn>> {
    let columns = columns.iter().map(|c| AbiColumn::export(c, false));
    columns.collect()
}

fn abi_search<'a>(search: &Search<'a>) -> AbiSearch<'a> {
    AbiSearch {
        query: search.query.into(),
        stats: search.stats.into(),
        k: search.k.into(),
    }
}

impl Index {
    /// Calls with the definition as it crosses.
    fn with<T>(
        &self,
        of: &IndexDefinition,
        call: impl FnOnce(*const (), AbiIndex<'_>) -> AbiResult<T>,
    ) -> Result<T> {
        let columns: Vec<RStr<'_>> = of.columns.iter().map(|c| c.as_str().into()).collect();
        let abi = AbiIndex {
            oid: of.oid,
            table: of.table,
            columns: columns.as_slice().into(),
            options: of.options.as_str().into(),
        };
        self.active.call(|instance| call(instance, abi))
    }

    fn broke(&self, what: &str) -> Error {
        let name = &self.declared.name;
        self.active.broke(format!("index method {name}: {what}"))
    }

    /// Begins the first run of an index.
    pub fn build(
        self: &Arc<Self>,
        services: &dyn StatementServices,
        of: &IndexDefinition,
    ) -> Result<Build> {
        let build = in_statement(services, |cx| {
            self.with(of, |this, abi| {
                (self.vtable.build)(this, self.index, cx, abi)
            })
        })?;
        match build.is_null() {
            true => Err(self.broke("it gave no build")),
            false => Ok(Build {
                index: Arc::clone(self),
                build,
                poisoned: false,
            }),
        }
    }

    /// Takes in changes: the indexed columns, then `_rowid`, `_scn` and `_sign`.
    pub fn apply(
        &self,
        services: &dyn StatementServices,
        of: &IndexDefinition,
        changes: &[ArrayRef],
    ) -> Result<()> {
        let changes = export(changes)?;
        in_statement(services, |cx| {
            self.with(of, |this, abi| {
                (self.vtable.apply)(this, self.index, cx, abi, changes)
            })
        })
    }

    /// Nobody reads any more as it was before `horizon`.
    pub fn vacuum(
        &self,
        services: &dyn StatementServices,
        of: &IndexDefinition,
        horizon: u64,
    ) -> Result<()> {
        in_statement(services, |cx| {
            self.with(of, |this, abi| {
                (self.vtable.vacuum)(this, self.index, cx, abi, horizon)
            })
        })
    }

    pub fn stats(
        &self,
        services: &dyn StatementServices,
        of: &IndexDefinition,
        query: &[u8],
    ) -> Result<Vec<u8>> {
        let stats = in_statement(services, |cx| {
            self.with(of, |this, abi| {
                (self.vtable.stats)(this, self.index, cx, abi, query.into())
            })
        })?;
        Ok(stats.into())
    }

    /// Of `count` rows.
    pub fn stats_of(
        &self,
        of: &IndexDefinition,
        query: &[u8],
        columns: &[ArrayRef],
        count: usize,
    ) -> Result<Vec<u8>> {
        let (columns, count) = (export(columns)?, count as u64);
        let stats = self.with(of, |this, abi| {
            (self.vtable.stats_of)(this, self.index, abi, query.into(), columns, count)
        })?;
        Ok(stats.into())
    }

    pub fn merge_stats(&self, one: &[u8], other: &[u8]) -> Result<Vec<u8>> {
        let merged = self
            .active
            .call(|this| (self.vtable.merge_stats)(this, self.index, one.into(), other.into()))?;
        Ok(merged.into())
    }

    pub fn open(
        self: &Arc<Self>,
        services: &dyn StatementServices,
        of: &IndexDefinition,
        search: &Search<'_>,
    ) -> Result<Cursor> {
        let cursor = in_statement(services, |cx| {
            self.with(of, |this, abi| {
                (self.vtable.open)(this, self.index, cx, abi, abi_search(search))
            })
        })?;
        match cursor.is_null() {
            true => Err(self.broke("it gave no cursor")),
            false => Ok(Cursor {
                index: Arc::clone(self),
                cursor,
                best: f64::INFINITY,
                is_ordered: search.k.is_some(),
                poisoned: false,
            }),
        }
    }

    /// The scores of `count` rows, NULL of those that are not found.
    pub fn evaluate(
        &self,
        of: &IndexDefinition,
        search: &Search<'_>,
        columns: &[ArrayRef],
        count: usize,
    ) -> Result<Float64Array> {
        let columns = export(columns)?;
        let mut result = AbiColumn::empty();
        self.with(of, |this, abi| {
            let (search, rows) = (abi_search(search), count as u64);
            (self.vtable.evaluate)(this, self.index, abi, search, columns, rows, &mut result)
        })?;
        let scores = result.import(&DataType::Float64, count);
        let scores = scores.map_err(|error| self.broke(&error.message))?;
        let scores = scores.as_primitive::<Float64Type>().clone();
        match scores.iter().flatten().all(|score| !score.is_nan()) {
            true => Ok(scores),
            false => Err(self.broke("a score that is no number")),
        }
    }

    pub fn cost(
        &self,
        services: &dyn StatementServices,
        of: &IndexDefinition,
        query: &[u8],
    ) -> Result<IndexCost> {
        let cost = in_statement(services, |cx| {
            self.with(of, |this, abi| {
                (self.vtable.cost)(this, self.index, cx, abi, query.into())
            })
        })?;
        let numbers = [cost.startup, cost.total, cost.rows];
        let sound = |n: &f64| n.is_finite() && *n >= 0.0;
        match numbers.iter().all(sound) && cost.startup <= cost.total {
            true => Ok(cost),
            false => Err(self.broke(&format!("{cost:?} is no cost"))),
        }
    }

    pub fn size_bytes(
        &self,
        services: &dyn StatementServices,
        of: &IndexDefinition,
    ) -> Result<u64> {
        in_statement(services, |cx| {
            self.with(of, |this, abi| {
                (self.vtable.size_bytes)(this, self.index, cx, abi)
            })
        })
    }

    /// What is wrong with an index in itself.
    pub fn check(
        &self,
        services: &dyn StatementServices,
        of: &IndexDefinition,
    ) -> Result<Vec<String>> {
        let found = in_statement(services, |cx| {
            self.with(of, |this, abi| {
                (self.vtable.check)(this, self.index, cx, abi)
            })
        })?;
        Ok(found.into_iter().map(String::from).collect())
    }
}

fn has_panicked<T>(result: &AbiResult<T>) -> bool {
    matches!(result, RErr(error) if error.panicked)
}

/// A run that is being built.
pub struct Build {
    index: Arc<Index>,
    build: *mut (),
    poisoned: bool,
}

// One thread at a time: its calls need `&mut`; `dyn IndexBuild` is Send.
unsafe impl Send for Build {}

impl Build {
    fn call<T>(
        &mut self,
        services: &dyn StatementServices,
        call: impl FnOnce(&'static IndexV1, *mut (), CallContext) -> AbiResult<T>,
    ) -> Result<T> {
        if self.poisoned {
            return Err(Error::contract("the build panicked before"));
        }
        let (vtable, build, mut panicked) = (self.index.vtable, self.build, false);
        let result = in_statement(services, |cx| {
            self.index.active.call(|_| {
                let result = call(vtable, build, cx);
                panicked = has_panicked(&result);
                result
            })
        });
        self.poisoned = panicked;
        result
    }

    /// Takes in versions: the indexed columns, then `_rowid`, `_begin` and `_end`.
    pub fn add(&mut self, services: &dyn StatementServices, versions: &[ArrayRef]) -> Result<()> {
        let versions = export(versions)?;
        self.call(services, |vtable, build, cx| {
            (vtable.add)(build, cx, versions)
        })
    }

    pub fn finish(&mut self, services: &dyn StatementServices) -> Result<()> {
        self.call(services, |vtable, build, cx| (vtable.finish)(build, cx))
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        (self.index.vtable.release)(self.build);
    }
}

/// Hits on demand.
pub struct Cursor {
    index: Arc<Index>,
    cursor: *mut (),
    /// No score to come may be above it, where they come in order.
    best: f64,
    is_ordered: bool,
    poisoned: bool,
}

// One thread at a time: its calls need `&mut`; `dyn IndexCursor` is Send.
unsafe impl Send for Cursor {}

impl Cursor {
    /// The next hits, checked to be some, and in order where that was asked for.
    pub fn next(&mut self, services: &dyn StatementServices) -> Result<Option<Hits>> {
        if self.poisoned {
            return Err(Error::contract("the cursor panicked before"));
        }
        let (vtable, cursor) = (self.index.vtable, self.cursor);
        let (mut count, mut panicked) = (0, false);
        let batch = in_statement(services, |cx| {
            self.index.active.call(|_| {
                let result = (vtable.next)(cursor, cx, &mut count);
                panicked = has_panicked(&result);
                result
            })
        });
        self.poisoned = panicked;
        match batch?.into_option() {
            None => Ok(None),
            Some(batch) => self.hits(batch, count).map(Some),
        }
    }

    fn hits(&mut self, batch: RVec<AbiColumn>, count: u64) -> Result<Hits> {
        let index = &self.index;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let types = [DataType::UInt64, DataType::UInt64, DataType::Float64];
        if batch.len() != types.len() {
            return Err(index.broke("hits are rows, begins and scores"));
        }
        let columns = batch.into_iter().zip(&types);
        let columns = columns.map(|(column, ty)| {
            let array = column.import(ty, count);
            array.map_err(|error| index.broke(&error.message))
        });
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        if columns.iter().any(|column| column.null_count() > 0) {
            return Err(index.broke("a hit is NULL"));
        }
        let scores = columns[2].as_primitive::<Float64Type>().clone();
        for score in scores.values() {
            if score.is_nan() || (self.is_ordered && *score > self.best) {
                return Err(index.broke("scores that do not fall"));
            }
            self.best = *score;
        }
        Ok(Hits {
            rows: columns[0].as_primitive::<UInt64Type>().clone(),
            begins: columns[1].as_primitive::<UInt64Type>().clone(),
            scores,
        })
    }

    /// The error of a version that came twice.
    pub fn came_twice(&self) -> Error {
        self.index.broke("a version is found twice")
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        (self.index.vtable.close)(self.cursor);
    }
}
