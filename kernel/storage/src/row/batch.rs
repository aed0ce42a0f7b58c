//! Arrow batches out of rows.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::RowCodec;
use crate::datum::arrow::ColumnBuilder;
use crate::error::{Error, Result};
use crate::ids::{ColumnId, RowId};
use crate::schema::{ColumnType, TableDef};

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

/// What a [`BatchBuilder`] has to know of a table; made once where many batches are built.
pub struct BatchShape {
    codec: RowCodec,
    projection: Vec<ColumnId>,
    schema: SchemaRef,
    row_id: bool,
}

impl BatchShape {
    /// Columns `projection` of `table`, in that order; row ids last when `row_id`.
    pub fn new(table: &TableDef, projection: &[ColumnId], row_id: bool) -> Result<BatchShape> {
        let codec = RowCodec::new(table)?;
        for column in projection {
            codec.column_type(*column)?;
        }
        Ok(BatchShape {
            schema: batch_schema(table, projection, row_id)?,
            codec,
            projection: projection.to_vec(),
            row_id,
        })
    }

    /// The same, with batches of this schema. Its types have to be those of the columns.
    pub fn with_schema(mut self, schema: SchemaRef) -> Result<BatchShape> {
        let types = |schema: &SchemaRef| -> Vec<DataType> {
            let fields = schema.fields().iter();
            fields.map(|f| f.data_type().clone()).collect()
        };
        if types(&schema) != types(&self.schema) {
            return Err(Error::invalid("a schema of other types than the columns'"));
        }
        self.schema = schema;
        Ok(self)
    }
}

/// Collects rows into one batch.
pub struct BatchBuilder {
    shape: Arc<BatchShape>,
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
        let shape = BatchShape::new(table, projection, with_row_id)?;
        BatchBuilder::of(Arc::new(shape), 0)
    }

    /// Batches of a known shape, with room for `rows`.
    pub fn of(shape: Arc<BatchShape>, rows: usize) -> Result<BatchBuilder> {
        let mut columns = Vec::with_capacity(shape.projection.len());
        for column in &shape.projection {
            columns.push(ColumnBuilder::new(shape.codec.column_type(*column)?, rows));
        }
        Ok(BatchBuilder {
            columns,
            row_ids: shape.row_id.then(|| Vec::with_capacity(rows)),
            shape,
            len: 0,
        })
    }

    /// Append one row. After an error the builder is good for nothing but dropping.
    pub fn push(&mut self, id: RowId, row: &[u8]) -> Result<()> {
        let row = self.shape.codec.row(row)?;
        for (column, builder) in self.shape.projection.iter().zip(&mut self.columns) {
            builder.append(row.value(*column)?)?;
        }
        if let Some(ids) = &mut self.row_ids {
            ids.push(id.0);
        }
        self.len += 1;
        Ok(())
    }

    /// Append a row of which `value` appends the columns that it is asked for, from values of their types.
    /// The row knows as many columns as `natts`.
    pub(crate) fn push_columns(
        &mut self,
        id: RowId,
        natts: usize,
        mut value: impl FnMut(ColumnId, &ColumnType, &mut ColumnBuilder) -> Result<()>,
    ) -> Result<()> {
        for (id, builder) in self.shape.projection.iter().zip(&mut self.columns) {
            let column = self.shape.codec.column(*id)?;
            match usize::from(id.0) < natts {
                _ if column.dropped => builder.append(None)?,
                true => value(*id, &column.ty, builder)?,
                false => builder.append(column.missing.as_deref())?,
            }
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
        batch(Arc::clone(&self.shape.schema), columns, self.len)
    }
}
