//! `index/1`: index methods, in the terms of PostgreSQL's access methods, with the kernel's time in them.
//!
//! An index names *versions* of rows: a row, and the SCN at which the version began. It covers every version
//! that began up to an SCN that the host keeps with it, and may be behind. A query is answered by what the
//! index finds, as far as the reader sees those versions, and by [`Index::evaluate`] on the visible rows that
//! the index has not seen. So one index answers at any time, on branches and inside transactions, and its
//! answers are exact however far it is behind.
//!
//! ```text
//! build   versions, superseded ones too   ──▶  a run
//! apply   signed rows since               ──▶  entries           one transaction: state, blobs, cursor
//! vacuum  an SCN that nobody reads before ──▶  fewer entries
//!
//! stats   query ──▶ bytes ┐
//!         unseen rows ──▶ ┴ merge ──▶ open ──▶ hits, best first ─ visible? ─┐
//!                                └──▶ evaluate, on unseen rows ────────────┴──▶ the k best
//! ```
//!
//! *State.* The manifest names one store of the plugin for the method. In calls of this interface it is the
//! only store that is lent, and each index has a keyspace of its own in it, blobs included: the host puts the
//! index in front of every key, and takes it away again. An index that is dropped is removed by the host.
//!
//! *What the host believes*: nothing that it can check. Hits are held against the reader's snapshot, whatever
//! the plugin says of them; a version that is named twice, an order that is none and a score that is no number
//! are faults.

use std::sync::Arc;

use abi_stable::std_types::{RNone, ROption, RSlice, RSome, RStr, RString, RVec};
use abi_stable::StableAbi;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, Float64Array, UInt64Array};

use super::{instance, registered};
use crate::abi::arrow::AbiColumn;
use crate::abi::value::AbiResult;
use crate::abi::{CallContext, Published};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::guard::{guarded, guarded_or};
use crate::service::{Host, SignedRows};

/// An index method.
pub trait Index: Send + Sync {
    /// Begins the first run of a new index, whose keyspace is empty.
    fn build(&self, cx: &Context<'_>, index: &IndexDefinition) -> Result<Box<dyn IndexBuild>>;

    /// Takes in the next changes, in the order of commits: versions that came, and the ends of those that
    /// went. A commit may come in several calls, all of one transaction.
    fn apply(&self, cx: &Context<'_>, index: &IndexDefinition, changes: &SignedRows) -> Result<()>;

    /// Nobody reads any more as it was before `horizon`: what ended by then may be forgotten. An index that
    /// keeps it, the default, is right, and larger.
    fn vacuum(&self, cx: &Context<'_>, index: &IndexDefinition, horizon: u64) -> Result<()> {
        let _ = (cx, index, horizon);
        Ok(())
    }

    /// What scores depend on besides the row itself, of all that the index covers.
    fn stats(&self, cx: &Context<'_>, index: &IndexDefinition, query: &[u8]) -> Result<Vec<u8>>;

    /// The same of some rows.
    fn stats_of(&self, index: &IndexDefinition, query: &[u8], rows: &Rows) -> Result<Vec<u8>>;

    /// Of two parts together.
    fn merge_stats(&self, one: &[u8], other: &[u8]) -> Result<Vec<u8>>;

    /// Finds versions. `k` says how many visible ones somebody wants, the best first; `None` for all, in
    /// any order. The cursor goes on for as long as it is asked, since the reader may not see the first.
    fn open(
        &self,
        cx: &Context<'_>,
        index: &IndexDefinition,
        search: &Search<'_>,
    ) -> Result<Box<dyn IndexCursor>>;

    /// The score of each row that the query finds, NULL of the others: what [`open`](Self::open) would
    /// give of them.
    fn evaluate(
        &self,
        index: &IndexDefinition,
        search: &Search<'_>,
        rows: &Rows,
    ) -> Result<Float64Array>;

    /// What the query will cost, for the planner.
    fn cost(&self, cx: &Context<'_>, index: &IndexDefinition, query: &[u8]) -> Result<IndexCost>;

    /// About how many bytes the index takes.
    fn size_bytes(&self, cx: &Context<'_>, index: &IndexDefinition) -> Result<u64>;

    /// What is wrong with the index in itself, a line each; nothing when it is whole.
    fn check(&self, cx: &Context<'_>, index: &IndexDefinition) -> Result<Vec<String>>;
}

/// A run that is being built.
pub trait IndexBuild: Send {
    /// Takes in some versions. They come in no order, each once; superseded ones say when they ended.
    fn add(&mut self, cx: &Context<'_>, versions: &Versions) -> Result<()>;

    /// Writes what is not written yet.
    fn finish(&mut self, cx: &Context<'_>) -> Result<()>;
}

/// Hits on demand.
pub trait IndexCursor: Send {
    /// The next hits, no version twice; with a `k`, no score is above one that came before. `None` at the
    /// end.
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Hits>>;
}

/// An index, as it was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDefinition {
    pub oid: u32,
    /// The oid of its table, as services take it.
    pub table: u32,
    /// Names of the indexed columns.
    pub columns: Vec<String>,
    /// The index's options, as JSON.
    pub options: String,
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// In a form that is the method's own.
    pub query: &'a [u8],
    pub stats: &'a [u8],
    pub k: Option<u64>,
}

/// Values of the indexed columns.
#[derive(Clone, Debug)]
pub struct Rows {
    pub columns: Vec<ArrayRef>,
    pub count: usize,
}

/// Values of the indexed columns, and the names of the versions that have them.
#[derive(Clone, Debug)]
pub struct Versions {
    pub columns: Vec<ArrayRef>,
    pub rows: UInt64Array,
    pub begins: UInt64Array,
    /// NULL of what has not ended.
    pub ends: UInt64Array,
}

/// Versions that were found.
#[derive(Clone, Debug)]
pub struct Hits {
    pub rows: UInt64Array,
    pub begins: UInt64Array,
    pub scores: Float64Array,
}

/// In PostgreSQL's units: a page that is read in order costs 1.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq)]
pub struct IndexCost {
    /// Before the first hit.
    pub startup: f64,
    pub total: f64,
    /// Hits, visible or not.
    pub rows: f64,
}

/// [`IndexDefinition`] as it crosses.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct AbiIndex<'a> {
    pub oid: u32,
    pub table: u32,
    pub columns: RSlice<'a, RStr<'a>>,
    pub options: RStr<'a>,
}

impl From<AbiIndex<'_>> for IndexDefinition {
    fn from(index: AbiIndex<'_>) -> IndexDefinition {
        IndexDefinition {
            oid: index.oid,
            table: index.table,
            columns: index.columns.iter().map(|c| c.to_string()).collect(),
            options: index.options.to_string(),
        }
    }
}

/// [`Search`] as it crosses.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct AbiSearch<'a> {
    pub query: RSlice<'a, u8>,
    pub stats: RSlice<'a, u8>,
    pub k: ROption<u64>,
}

impl<'a> From<AbiSearch<'a>> for Search<'a> {
    fn from(search: AbiSearch<'a>) -> Search<'a> {
        Search {
            query: search.query.as_slice(),
            stats: search.stats.as_slice(),
            k: search.k.into_option(),
        }
    }
}

/// The vtable of `index/1`. Columns of rows are the indexed ones; of versions `_rowid`, `_begin` and `_end`
/// (UInt64) follow, of changes `_rowid`, `_scn` (UInt64) and `_sign` (Int8).
#[repr(C)]
#[derive(StableAbi)]
pub struct IndexV1 {
    pub build: extern "C" fn(
        instance: *const (),
        index: u32,
        cx: CallContext,
        of: AbiIndex<'_>,
    ) -> AbiResult<*mut ()>,
    pub add:
        extern "C" fn(build: *mut (), cx: CallContext, versions: RVec<AbiColumn>) -> AbiResult<()>,
    pub finish: extern "C" fn(build: *mut (), cx: CallContext) -> AbiResult<()>,
    pub release: extern "C" fn(build: *mut ()),
    pub apply: extern "C" fn(
        instance: *const (),
        index: u32,
        cx: CallContext,
        of: AbiIndex<'_>,
        changes: RVec<AbiColumn>,
    ) -> AbiResult<()>,
    pub vacuum: extern "C" fn(
        instance: *const (),
        index: u32,
        cx: CallContext,
        of: AbiIndex<'_>,
        horizon: u64,
    ) -> AbiResult<()>,
    pub stats: extern "C" fn(
        instance: *const (),
        index: u32,
        cx: CallContext,
        of: AbiIndex<'_>,
        query: RSlice<'_, u8>,
    ) -> AbiResult<RVec<u8>>,
    pub stats_of: extern "C" fn(
        instance: *const (),
        index: u32,
        of: AbiIndex<'_>,
        query: RSlice<'_, u8>,
        columns: RVec<AbiColumn>,
        rows: u64,
    ) -> AbiResult<RVec<u8>>,
    pub merge_stats: extern "C" fn(
        instance: *const (),
        index: u32,
        one: RSlice<'_, u8>,
        other: RSlice<'_, u8>,
    ) -> AbiResult<RVec<u8>>,
    pub open: extern "C" fn(
        instance: *const (),
        index: u32,
        cx: CallContext,
        of: AbiIndex<'_>,
        search: AbiSearch<'_>,
    ) -> AbiResult<*mut ()>,
    /// Rows, begins and scores, and how many there are.
    pub next: extern "C" fn(
        cursor: *mut (),
        cx: CallContext,
        count: &mut u64,
    ) -> AbiResult<ROption<RVec<AbiColumn>>>,
    pub close: extern "C" fn(cursor: *mut ()),
    pub evaluate: extern "C" fn(
        instance: *const (),
        index: u32,
        of: AbiIndex<'_>,
        search: AbiSearch<'_>,
        columns: RVec<AbiColumn>,
        rows: u64,
        result: &mut AbiColumn,
    ) -> AbiResult<()>,
    pub cost: extern "C" fn(
        instance: *const (),
        index: u32,
        cx: CallContext,
        of: AbiIndex<'_>,
        query: RSlice<'_, u8>,
    ) -> AbiResult<IndexCost>,
    pub size_bytes: extern "C" fn(
        instance: *const (),
        index: u32,
        cx: CallContext,
        of: AbiIndex<'_>,
    ) -> AbiResult<u64>,
    pub check: extern "C" fn(
        instance: *const (),
        index: u32,
        cx: CallContext,
        of: AbiIndex<'_>,
    ) -> AbiResult<RVec<RString>>,
}

unsafe impl Published for IndexV1 {
    const ID: &'static str = "index/1";
}

pub(crate) static INDEX: IndexV1 = IndexV1 {
    build,
    add,
    finish,
    release,
    apply,
    vacuum,
    stats,
    stats_of,
    merge_stats,
    open,
    next,
    close,
    evaluate,
    cost,
    size_bytes,
    check,
};

/// A run or a cursor, with what its calls need.
struct Open<T: ?Sized> {
    host: Host,
    body: Box<T>,
}

/// # Safety
///
/// `open` is what the entry that made it gave out, not yet released, used by one thread.
unsafe fn opened<'a, T: ?Sized>(open: *mut ()) -> Result<&'a mut Open<T>> {
    // SAFETY: the caller's.
    unsafe { open.cast::<Open<T>>().as_mut() }.ok_or_else(|| Error::contract("the pointer is null"))
}

/// # Safety
///
/// As of [`opened`], and it is dead after this.
unsafe fn released<T: ?Sized>(open: *mut ()) {
    if !open.is_null() {
        // SAFETY: the caller's.
        drop(unsafe { Box::from_raw(open.cast::<Open<T>>()) });
    }
}

/// # Safety
///
/// As [`instance`].
unsafe fn method<'a>(this: *const (), index: u32) -> Result<(&'a dyn Index, &'a Host)> {
    // SAFETY: the caller's.
    let instance = unsafe { instance(this) }?;
    let (_, method) = registered(&instance.registered.indexes, index, "index method")?;
    Ok((method.as_ref(), &instance.host))
}

fn import(columns: RVec<AbiColumn>) -> Result<Vec<ArrayRef>> {
    let columns = columns.into_iter();
    columns
        .map(|column| Ok(column.import_trusted()?.0))
        .collect()
}

fn rows_of(columns: RVec<AbiColumn>, count: u64) -> Result<Rows> {
    let count = usize::try_from(count).map_err(|_| Error::contract("too many rows"))?;
    let columns = import(columns)?;
    Ok(Rows { columns, count })
}

impl Versions {
    fn new(mut columns: Vec<ArrayRef>) -> Result<Versions> {
        let mut number = || {
            let last = columns.pop();
            let number = last
                .as_ref()
                .and_then(|c| c.as_primitive_opt::<UInt64Type>());
            number
                .cloned()
                .ok_or_else(|| Error::contract("versions end with _rowid, _begin and _end"))
        };
        let (ends, begins, rows) = (number()?, number()?, number()?);
        Ok(Versions {
            columns,
            rows,
            begins,
            ends,
        })
    }
}

extern "C" fn build(
    this: *const (),
    index: u32,
    cx: CallContext,
    of: AbiIndex<'_>,
) -> AbiResult<*mut ()> {
    guarded("index/1.build", || {
        let (method, host) = unsafe { method(this, index) }?;
        let body = method.build(&Context::new(cx, host), &of.into())?;
        let host = host.clone();
        Ok(Box::into_raw(Box::new(Open { host, body })).cast())
    })
}

extern "C" fn add(build: *mut (), cx: CallContext, versions: RVec<AbiColumn>) -> AbiResult<()> {
    guarded("index/1.add", || {
        let open = unsafe { opened::<dyn IndexBuild>(build) }?;
        let versions = Versions::new(import(versions)?)?;
        open.body.add(&Context::new(cx, &open.host), &versions)
    })
}

extern "C" fn finish(build: *mut (), cx: CallContext) -> AbiResult<()> {
    guarded("index/1.finish", || {
        let open = unsafe { opened::<dyn IndexBuild>(build) }?;
        open.body.finish(&Context::new(cx, &open.host))
    })
}

extern "C" fn release(build: *mut ()) {
    guarded_or("index/1.release", (), || unsafe {
        released::<dyn IndexBuild>(build);
    });
}

extern "C" fn apply(
    this: *const (),
    index: u32,
    cx: CallContext,
    of: AbiIndex<'_>,
    changes: RVec<AbiColumn>,
) -> AbiResult<()> {
    guarded("index/1.apply", || {
        let (method, host) = unsafe { method(this, index) }?;
        let changes = SignedRows::new(import(changes)?)?;
        method.apply(&Context::new(cx, host), &of.into(), &changes)
    })
}

extern "C" fn vacuum(
    this: *const (),
    index: u32,
    cx: CallContext,
    of: AbiIndex<'_>,
    horizon: u64,
) -> AbiResult<()> {
    guarded("index/1.vacuum", || {
        let (method, host) = unsafe { method(this, index) }?;
        method.vacuum(&Context::new(cx, host), &of.into(), horizon)
    })
}

extern "C" fn stats(
    this: *const (),
    index: u32,
    cx: CallContext,
    of: AbiIndex<'_>,
    query: RSlice<'_, u8>,
) -> AbiResult<RVec<u8>> {
    guarded("index/1.stats", || {
        let (method, host) = unsafe { method(this, index) }?;
        let stats = method.stats(&Context::new(cx, host), &of.into(), &query)?;
        Ok(stats.into())
    })
}

extern "C" fn stats_of(
    this: *const (),
    index: u32,
    of: AbiIndex<'_>,
    query: RSlice<'_, u8>,
    columns: RVec<AbiColumn>,
    rows: u64,
) -> AbiResult<RVec<u8>> {
    guarded("index/1.stats_of", || {
        let (method, _) = unsafe { method(this, index) }?;
        let rows = rows_of(columns, rows)?;
        Ok(method.stats_of(&of.into(), &query, &rows)?.into())
    })
}

extern "C" fn merge_stats(
    this: *const (),
    index: u32,
    one: RSlice<'_, u8>,
    other: RSlice<'_, u8>,
) -> AbiResult<RVec<u8>> {
    guarded("index/1.merge_stats", || {
        let (method, _) = unsafe { method(this, index) }?;
        Ok(method.merge_stats(&one, &other)?.into())
    })
}

extern "C" fn open(
    this: *const (),
    index: u32,
    cx: CallContext,
    of: AbiIndex<'_>,
    search: AbiSearch<'_>,
) -> AbiResult<*mut ()> {
    guarded("index/1.open", || {
        let (method, host) = unsafe { method(this, index) }?;
        let body = method.open(&Context::new(cx, host), &of.into(), &search.into())?;
        let host = host.clone();
        Ok(Box::into_raw(Box::new(Open { host, body })).cast())
    })
}

extern "C" fn next(
    cursor: *mut (),
    cx: CallContext,
    count: &mut u64,
) -> AbiResult<ROption<RVec<AbiColumn>>> {
    guarded("index/1.next", || {
        let open = unsafe { opened::<dyn IndexCursor>(cursor) }?;
        let Some(hits) = open.body.next(&Context::new(cx, &open.host))? else {
            return Ok(RNone);
        };
        *count = hits.rows.len() as u64;
        let columns: [ArrayRef; 3] = [
            Arc::new(hits.rows),
            Arc::new(hits.begins),
            Arc::new(hits.scores),
        ];
        let columns = columns.iter().map(|c| AbiColumn::export(c, false));
        Ok(RSome(columns.collect::<Result<RVec<_>>>()?))
    })
}

extern "C" fn close(cursor: *mut ()) {
    guarded_or("index/1.close", (), || unsafe {
        released::<dyn IndexCursor>(cursor);
    });
}

extern "C" fn evaluate(
    this: *const (),
    index: u32,
    of: AbiIndex<'_>,
    search: AbiSearch<'_>,
    columns: RVec<AbiColumn>,
    rows: u64,
    result: &mut AbiColumn,
) -> AbiResult<()> {
    guarded("index/1.evaluate", || {
        let (method, _) = unsafe { method(this, index) }?;
        let rows = rows_of(columns, rows)?;
        let scores = method.evaluate(&of.into(), &search.into(), &rows)?;
        let scores: ArrayRef = Arc::new(scores);
        *result = AbiColumn::export(&scores, false)?;
        Ok(())
    })
}

extern "C" fn cost(
    this: *const (),
    index: u32,
    cx: CallContext,
    of: AbiIndex<'_>,
    query: RSlice<'_, u8>,
) -> AbiResult<IndexCost> {
    guarded("index/1.cost", || {
        let (method, host) = unsafe { method(this, index) }?;
        method.cost(&Context::new(cx, host), &of.into(), &query)
    })
}

extern "C" fn size_bytes(
    this: *const (),
    index: u32,
    cx: CallContext,
    of: AbiIndex<'_>,
) -> AbiResult<u64> {
    guarded("index/1.size_bytes", || {
        let (method, host) = unsafe { method(this, index) }?;
        method.size_bytes(&Context::new(cx, host), &of.into())
    })
}

extern "C" fn check(
    this: *const (),
    index: u32,
    cx: CallContext,
    of: AbiIndex<'_>,
) -> AbiResult<RVec<RString>> {
    guarded("index/1.check", || {
        let (method, host) = unsafe { method(this, index) }?;
        let found = method.check(&Context::new(cx, host), &of.into())?;
        Ok(found.into_iter().map(RString::from).collect())
    })
}
