//! Arrow batches out of rows.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::RowCodec;
use crate::datum::arrow::ColumnBuilder;
use crate::error::{Error, Result};
use crate::ids::{ColumnId, RowId};
use crate::schema::TableDef;

/// Name of the column that carries row ids.
pub const ROW_ID_COLUMN: &str = "_rowid";

/// The shape of a batch that storage hands up: the projected columns, nullable and named `c0`, `c1`
/// … by position (names are the layer above's business), then, when asked for, the row ids as a
/// UInt64 column `_rowid`.
pub(crate) fn batch_schema(
    table: &TableDef,
    projection: &[ColumnId],
    with_row_id: bool,
) -> Result<SchemaRef> {
    let mut fields = Vec::with_capacity(projection.len() + 1);
    for (position, column) in projection.iter().enumerate() {
        let ty = table
            .column_type(*column)
            .ok_or_else(|| Error::invalid(format!("no column {column} in table {}", table.id)))?;
        fields.push(Field::new(format!("c{position}"), ty.arrow(), true));
    }
    if with_row_id {
        fields.push(Field::new(ROW_ID_COLUMN, DataType::UInt64, false));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Put columns that fit `schema` together; `rows` counts when there are none.
pub(crate) fn batch(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options)
        .map_err(|e| Error::invalid(format!("columns that do not make a batch: {e}")))
}

/// Collects rows into one batch.
pub struct BatchBuilder {
    codec: RowCodec,
    projection: Vec<ColumnId>,
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    row_ids: Option<Vec<u64>>,
    len: usize,
}

impl BatchBuilder {
    /// Columns `projection` of `table`, in that order; row ids last when `with_row_id`.
    pub fn new(
        table: &TableDef,
        projection: &[ColumnId],
        with_row_id: bool,
    ) -> Result<BatchBuilder> {
        let codec = RowCodec::new(table)?;
        let schema = batch_schema(table, projection, with_row_id)?;
        let mut columns = Vec::with_capacity(projection.len());
        for column in projection {
            columns.push(ColumnBuilder::new(codec.column_type(*column)?, 0));
        }
        Ok(BatchBuilder {
            codec,
            projection: projection.to_vec(),
            schema,
            columns,
            row_ids: with_row_id.then(Vec::new),
            len: 0,
        })
    }

    /// Append one row. After an error the builder is good for nothing but dropping.
    pub fn push(&mut self, id: RowId, row: &[u8]) -> Result<()> {
        let row = self.codec.row(row)?;
        for (column, builder) in self.projection.iter().zip(&mut self.columns) {
            builder.append(row.value(*column)?)?;
        }
        if let Some(ids) = &mut self.row_ids {
            ids.push(id.0);
        }
        self.len += 1;
        Ok(())
    }

    /// Append a row of nothing but NULLs.
    pub fn push_nulls(&mut self, id: RowId) -> Result<()> {
        for builder in &mut self.columns {
            builder.append(None)?;
        }
        if let Some(ids) = &mut self.row_ids {
            ids.push(id.0);
        }
        self.len += 1;
        Ok(())
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The batch of the rows pushed.
    pub fn finish(self) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(self.columns.len() + 1);
        for builder in self.columns {
            columns.push(builder.finish()?);
        }
        if let Some(ids) = self.row_ids {
            columns.push(Arc::new(UInt64Array::from(ids)));
        }
        batch(self.schema, columns, self.len)
    }
}
