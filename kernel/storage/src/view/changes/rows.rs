//! Changes of a table's rows.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int8Array, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::{Changed, ChangesRequest, Keys};
use crate::error::Result;
use crate::ids::{ColumnId, Ts};
use crate::memtable::full_key;
use crate::row::{BatchBuilder, batch, batch_schema};
use crate::schema::TableDef;
use crate::view::{ReadView, Wanted, row_of};

/// Signed rows in a batch, at most, and one more.
const BATCH_ROWS: usize = 8192;
/// Or fewer, when they are long.
const BATCH_BYTES: usize = 1 << 20;

/// Name of the column with the timestamps of the commits.
const TS_COLUMN: &str = "_ts";
/// Name of the column that says whether the row went (−1) or came (+1).
const SIGN_COLUMN: &str = "_sign";

/// Iterator over batches of signed rows, none of them empty: the columns asked for, then `_rowid` and
/// `_ts` (UInt64) and `_sign` (Int8). The two rows of an update stand next to each other, the one that
/// went first.
pub struct RowChanges {
    view: ReadView,
    table: Arc<TableDef>,
    projection: Vec<ColumnId>,
    wanted: Wanted,
    schema: SchemaRef,
    keys: Keys,
    failed: bool,
}

impl std::fmt::Debug for RowChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowChanges")
            .field("table", &self.table.id)
            .field("until", &self.view.ts())
            .finish_non_exhaustive()
    }
}

impl RowChanges {
    /// `view` is of the end of the span.
    pub(crate) fn new(
        view: ReadView,
        table: &Arc<TableDef>,
        request: ChangesRequest,
    ) -> Result<RowChanges> {
        let ChangesRequest {
            since,
            which,
            projection,
            ..
        } = request;
        let mut fields = batch_schema(table, &projection, true)?.fields().to_vec();
        fields.push(Arc::new(Field::new(TS_COLUMN, DataType::UInt64, false)));
        fields.push(Arc::new(Field::new(SIGN_COLUMN, DataType::Int8, false)));
        Ok(RowChanges {
            keys: Keys::new(&view, table.id, since, which)?,
            wanted: Wanted::new(table, projection.iter().copied()),
            schema: Arc::new(Schema::new(fields)),
            view,
            table: Arc::clone(table),
            projection,
            failed: false,
        })
    }

    /// The shape of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut rows = BatchBuilder::new(&self.table, &self.projection, true)?;
        let (mut times, mut signs, mut bytes) = (Vec::new(), Vec::new(), 0);
        while rows.len() < BATCH_ROWS && bytes < BATCH_BYTES {
            let Some(Changed { key, before, after }) = self.keys.next(&self.view)? else {
                break;
            };
            let (id, full) = (row_of(&key)?, full_key(self.table.id, &key));
            let ((_, old), (ts, new)) = (self.image(&full, before)?, self.image(&full, after)?);
            for (sign, image) in [(-1, old), (1, new)] {
                let Some(image) = image else { continue };
                rows.push(id, &image)?;
                times.push(ts.0);
                signs.push(sign);
                bytes += image.len();
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let mut columns = rows.finish()?.columns().to_vec();
        let count = times.len();
        columns.push(Arc::new(UInt64Array::from(times)) as ArrayRef);
        columns.push(Arc::new(Int8Array::from(signs)));
        batch(Arc::clone(&self.schema), columns, count).map(Some)
    }

    /// The row at a time, and since when it was so.
    fn image(&self, full: &[u8], at: Ts) -> Result<(Ts, Option<Vec<u8>>)> {
        let path = &self.view.0.path;
        let found = path.find(self.wanted.rows(), full, at, |ts, value| {
            (ts, value.map(<[u8]>::to_vec))
        });
        Ok(found?.unwrap_or((at, None)))
    }
}

impl Iterator for RowChanges {
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
