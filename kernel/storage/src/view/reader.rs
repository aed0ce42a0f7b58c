//! Reads of rows that are known by id, for who reads the same columns of a table again and again.
//!
//! What such a read has to know of the table (where columns lie, the shape of the batch) is worked out
//! once, in a [`RowReader`]; [`ReadView::read`] only looks rows up and copies values. It knows
//! nothing of the table's later definitions: who keeps a reader makes it anew when those change.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::path::FoundRow;
use super::{ReadView, Wanted, full_row_key, row_key};
use crate::error::Result;
use crate::ids::{CollectionId, ColumnId, RowId};
use crate::row::{BatchBuilder, BatchShape};
use crate::schema::TableDef;

/// Columns of a table as it is defined at one time.
pub struct RowReader {
    table: CollectionId,
    shape: Arc<BatchShape>,
    wanted: Wanted,
}

impl std::fmt::Debug for RowReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowReader")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

impl RowReader {
    /// Columns `projection` of `table`, in that order; row ids last when `row_id`. Batches have the
    /// schema when there is one, whose types have to be the columns' own.
    pub fn new(
        table: &TableDef,
        projection: &[ColumnId],
        row_id: bool,
        schema: Option<SchemaRef>,
    ) -> Result<RowReader> {
        let mut shape = BatchShape::new(table, projection, row_id)?;
        if let Some(schema) = schema {
            shape = shape.with_schema(schema)?;
        }
        Ok(RowReader {
            table: table.id,
            shape: Arc::new(shape),
            wanted: Wanted::new(table, projection.iter().copied()),
        })
    }
}

impl ReadView {
    /// The visible ones of `rows`, in the order asked.
    pub fn read(&self, reader: &RowReader, rows: &[RowId]) -> Result<RecordBatch> {
        let mut builder = BatchBuilder::of(Arc::clone(&reader.shape), rows.len())?;
        self.check_kept(reader.table)?;
        for &row in rows {
            self.read_row(reader, row, &mut builder)?;
        }
        builder.finish()
    }

    fn read_row(&self, reader: &RowReader, row: RowId, out: &mut BatchBuilder) -> Result<()> {
        let full = full_row_key(reader.table, row);
        if let Some(reads) = self.noting() {
            reads.note_key(reader.table, &row_key(row));
        }
        if let Some(own) = &self.0.own {
            let push = |_, value: Option<&[u8]>| value.map_or(Ok(()), |bytes| out.push(row, bytes));
            if let Some(pushed) = own.find(reader.wanted.rows(), &full, push)? {
                return pushed;
            }
        }
        let path = &self.0.path;
        let found = path.find_row(&full, self.ts(), |found| match found {
            FoundRow::Memory(_, None) => Ok(()),
            FoundRow::Memory(_, Some(bytes)) => out.push(row, bytes),
            FoundRow::Segment { place, .. } if place.is_delete()? => Ok(()),
            FoundRow::Segment { place, columns_max } => {
                let natts = place.column_count().min(columns_max);
                out.push_columns(row, natts, |id, ty, out| place.append(id, ty, out))
            }
        });
        found?.unwrap_or(Ok(()))
    }
}
