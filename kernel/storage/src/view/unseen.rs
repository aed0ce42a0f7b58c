//! What an index outside of storage needs to know of versions: which of those that it names are visible,
//! and which visible rows it has not seen.
//!
//! A version is named (RowId, begin), and that name is unique: no two commits have one timestamp, on
//! whatever timeline. An index that has seen every version that began at or before a time answers for a
//! view when it adds what [`ReadView::rows_since`] gives to those of its hits that [`ReadView::sees`]:
//!
//! 1. A visible row is in the one or in the other, and in no case in both.
//! 2. Own writes of the view's transaction have no timestamp, so they are never seen by name and always
//!    unseen.
//! 3. No history is needed: a visible row says itself when it began. So the time that is asked for may
//!    lie before the horizon.
//!
//! Cost: of `sees` a lookup of keys for each version; of `rows_since` the blocks in which anything began
//! since, of which keys and times alone, and a lookup for each row in the answer.

use std::ops::Bound;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::changes::ByKey;
use super::{ReadView, Wanted, row_key, row_of};
use crate::error::Result;
use crate::ids::{ColumnId, RowId, TimelineId, Ts};
use crate::row::{BatchBuilder, batch, batch_schema};
use crate::schema::TableDef;

/// Rows in a batch, at most.
const BATCH_ROWS: usize = 8192;
/// Or fewer, when they are long.
const BATCH_BYTES: usize = 1 << 20;

/// Name of the column with the timestamps that versions begin at.
const BEGIN_COLUMN: &str = "_begin";

impl ReadView {
    /// The timeline that is read.
    pub fn timeline(&self) -> TimelineId {
        self.0.timeline.id()
    }

    /// Of each of these versions, whether it is what the view sees of its row.
    pub fn sees(&self, table: &TableDef, versions: &[(RowId, Ts)]) -> Result<Vec<bool>> {
        let keys_alone = Wanted::new(table, []);
        let sees = |(row, begin): &(RowId, Ts)| {
            let found = self.lookup(keys_alone.rows(), table.id, &row_key(*row), |ts, value| {
                ts == Some(*begin) && value.is_some()
            });
            Ok(found?.unwrap_or(false))
        };
        versions.iter().map(sees).collect()
    }

    /// The visible rows that began after `since` or are of the view's own transaction: the columns asked
    /// for, then `_rowid` and `_begin` (UInt64), which is NULL for own writes. By RowId.
    pub fn rows_since(
        &self,
        table: &Arc<TableDef>,
        since: Ts,
        projection: &[ColumnId],
    ) -> Result<RowsSince> {
        self.check_kept(table.id)?;
        if let Some(reads) = self.noting() {
            reads.note_range(table.id, Bound::Unbounded, Bound::Unbounded);
        }
        let mut fields = batch_schema(table, projection, true)?.fields().to_vec();
        fields.push(Arc::new(Field::new(BEGIN_COLUMN, DataType::UInt64, true)));
        Ok(RowsSince {
            keys: ByKey::with_own(self, table.id, since)?,
            wanted: Wanted::new(table, projection.iter().copied()),
            schema: Arc::new(Schema::new(fields)),
            view: self.clone(),
            table: Arc::clone(table),
            projection: projection.to_vec(),
            since,
            failed: false,
        })
    }
}

/// Iterator over batches of rows, none of them empty; see [`ReadView::rows_since`].
pub struct RowsSince {
    view: ReadView,
    table: Arc<TableDef>,
    projection: Vec<ColumnId>,
    wanted: Wanted,
    schema: SchemaRef,
    keys: ByKey,
    since: Ts,
    failed: bool,
}

impl std::fmt::Debug for RowsSince {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowsSince")
            .field("table", &self.table.id)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

impl RowsSince {
    /// The shape of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut rows = BatchBuilder::new(&self.table, &self.projection, true)?;
        let (mut begins, mut bytes) = (Vec::new(), 0);
        while rows.len() < BATCH_ROWS && bytes < BATCH_BYTES {
            let Some(key) = self.keys.next()? else { break };
            let (row, since) = (row_of(&key)?, self.since);
            let found =
                self.view
                    .lookup(self.wanted.rows(), self.table.id, &key, |begin, value| {
                        let value = value.filter(|_| begin.is_none_or(|begin| begin > since));
                        value.map(|value| (begin, value.to_vec()))
                    })?;
            if let Some((begin, value)) = found.flatten() {
                rows.push(row, &value)?;
                begins.push(begin.map(|begin| begin.0));
                bytes += value.len();
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let mut columns = rows.finish()?.columns().to_vec();
        let count = begins.len();
        columns.push(Arc::new(UInt64Array::from(begins)) as ArrayRef);
        batch(Arc::clone(&self.schema), columns, count).map(Some)
    }
}

impl Iterator for RowsSince {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        if self.failed {
            return None;
        }
        let next = self.next_batch();
        self.failed = next.is_err();
        next.transpose()
    }
}
