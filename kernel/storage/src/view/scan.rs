//! Reading a whole table.
//!
//! Rows come from the transaction's own writes, the memtables and the segments; each row comes from
//! the newest source that knows it at the view's timestamp. In-memory sources are walked by RowId in
//! chunks of one batch, and a row is skipped when a newer in-memory source has a version of it.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use arrow_array::RecordBatch;

use super::{ReadView, row_of};
use crate::error::Result;
use crate::ids::{CollectionId, ColumnId, RowId};
use crate::memtable::{as_slices, full_bounds, split_key};
use crate::row::BatchBuilder;
use crate::schema::TableDef;

pub use crate::segment::ColumnRange;

/// What to read of a table.
#[derive(Clone, Debug)]
pub struct ScanRequest {
    pub projection: Vec<ColumnId>,
    /// Append the RowIds as a UInt64 column `_rowid`.
    pub row_id: bool,
    pub ranges: Vec<ColumnRange>,
    /// At most so many iterators, to be read in parallel.
    pub partitions: usize,
    pub batch_rows: usize,
    /// Each iterator may stop after so many rows.
    pub limit: Option<usize>,
}

impl ScanRequest {
    /// All rows of these columns, in one partition.
    pub fn columns(projection: Vec<ColumnId>) -> ScanRequest {
        ScanRequest {
            projection,
            row_id: false,
            ranges: Vec::new(),
            partitions: 1,
            batch_rows: 8192,
            limit: None,
        }
    }
}

/// A part of a scan: one in-memory source.
struct MemoryPart {
    /// 0 is the newest in-memory source; each part skips rows that a newer one knows.
    source: usize,
    from: Bound<Box<[u8]>>,
    to: Bound<Box<[u8]>>,
}

/// One partition of a scan: an iterator over batches.
pub struct TableScan {
    view: ReadView,
    table: Arc<TableDef>,
    projection: Vec<ColumnId>,
    row_id: bool,
    batch_rows: usize,
    remaining: Option<usize>,
    parts: std::collections::VecDeque<MemoryPart>,
    done: bool,
}

impl TableScan {
    pub fn table(&self) -> CollectionId {
        self.table.id
    }

    /// Up to one batch of the first part's rows; advances the part.
    fn memory_batch(&self, part: &mut MemoryPart) -> Result<(RecordBatch, bool)> {
        let want = self
            .remaining
            .map_or(self.batch_rows, |n| n.min(self.batch_rows))
            .max(1);
        let mut builder = BatchBuilder::new(&self.table, &self.projection, self.row_id)?;
        let mut last: Option<Box<[u8]>> = None;
        let mut error = None;
        let inner = &self.view.0;
        let own_sources = usize::from(inner.own.is_some());
        let newer_knows = |key: &[u8]| {
            (0..part.source).any(|source| match (&inner.own, source) {
                (Some(own), 0) => own.set.read().get(key, own.limit).is_some(),
                _ => {
                    let memtable = inner.sources.memtables().nth(source - own_sources);
                    memtable.is_some_and(|m| m.find(key, inner.ts).is_some())
                }
            })
        };
        let mut keep = |key: &[u8], value: Option<&[u8]>| {
            if let Some(value) = value {
                if part.source == 0 || !newer_knows(key) {
                    let pushed =
                        row_of(split_key(key).1).and_then(|row: RowId| builder.push(row, value));
                    if let Err(e) = pushed {
                        error = Some(e);
                        return ControlFlow::Break(());
                    }
                }
            }
            if builder.len() >= want {
                last = Some(Box::from(key));
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        let from = part.from.as_ref().map(|k| &**k);
        let to = part.to.as_ref().map(|k| &**k);
        match (&inner.own, part.source) {
            (Some(own), 0) => own.set.read().visit(from, to, own.limit, &mut keep),
            _ => {
                if let Some(memtable) = inner.sources.memtables().nth(part.source - own_sources) {
                    memtable.visit(from, to, |key, chain| match chain.find(inner.ts) {
                        Some(version) => keep(key, version.value()),
                        None => ControlFlow::Continue(()),
                    });
                }
            }
        }
        if let Some(error) = error {
            return Err(error);
        }
        let more = last.is_some();
        if let Some(last) = last {
            part.from = Bound::Excluded(last);
        }
        Ok((builder.finish()?, more))
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(mut part) = self.parts.pop_front() {
            if self.remaining == Some(0) {
                return Ok(None);
            }
            let (batch, more) = self.memory_batch(&mut part)?;
            if more {
                self.parts.push_front(part);
            }
            if batch.num_rows() > 0 {
                if let Some(remaining) = &mut self.remaining {
                    *remaining = remaining.saturating_sub(batch.num_rows());
                }
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}

impl Iterator for TableScan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.next_batch().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

pub(super) fn scan(
    view: &ReadView,
    table: Arc<TableDef>,
    req: ScanRequest,
) -> Result<Vec<TableScan>> {
    let inner = &view.0;
    let bounds = full_bounds(table.id, Bound::Unbounded, Bound::Unbounded);
    let sources = usize::from(inner.own.is_some()) + inner.sources.memtables().count();
    // Oldest first, so that rows come in about the order of their insertion.
    let parts = (0..sources).rev().map(|source| {
        let (from, to) = as_slices(&bounds);
        MemoryPart {
            source,
            from: from.map(Box::from),
            to: to.map(Box::from),
        }
    });
    Ok(vec![TableScan {
        view: view.clone(),
        projection: req.projection,
        row_id: req.row_id,
        batch_rows: req.batch_rows.max(1),
        remaining: req.limit,
        parts: parts.collect(),
        table,
        done: false,
    }])
}
