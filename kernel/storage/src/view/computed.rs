//! Batches with computed columns, made of batches with the stored columns that they need.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;

use crate::error::{Error, Result};
use crate::expression::{Evaluator, inputs_of};
use crate::ids::ColumnId;
use crate::row::{batch, batch_schema};
use crate::schema::TableDef;

/// What somebody asked for, when some of it is computed.
pub(crate) struct Computing {
    evaluator: Arc<Evaluator>,
    table: Arc<TableDef>,
    /// What to read instead.
    stored: Vec<ColumnId>,
    outputs: Vec<Output>,
    schema: SchemaRef,
}

enum Output {
    /// A column of what is read.
    Read(usize),
    /// A computed column.
    Computed(usize),
}

impl Computing {
    /// `None` when all columns of `asked` are stored.
    pub fn new(
        evaluator: &Arc<Evaluator>,
        table: &Arc<TableDef>,
        asked: &[ColumnId],
        row_id: bool,
    ) -> Result<Option<Computing>> {
        if asked.iter().all(|column| column.as_computed().is_none()) {
            return Ok(None);
        }
        let schema = batch_schema(table, asked, row_id)?;
        let mut stored: Vec<ColumnId> = Vec::new();
        let mut place = |column: ColumnId| {
            let known = stored.iter().position(|other| *other == column);
            known.unwrap_or_else(|| {
                stored.push(column);
                stored.len() - 1
            })
        };
        let mut outputs = Vec::new();
        for column in asked {
            outputs.push(match column.as_computed() {
                None => Output::Read(place(*column)),
                Some(n) => {
                    for input in inputs_of(table, n)? {
                        place(input);
                    }
                    Output::Computed(n)
                }
            });
        }
        Ok(Some(Computing {
            evaluator: Arc::clone(evaluator),
            table: Arc::clone(table),
            stored,
            outputs,
            schema,
        }))
    }

    /// What to read.
    pub fn stored(&self) -> &[ColumnId] {
        &self.stored
    }

    /// What was asked for, out of what was read; RowIds stay behind.
    pub fn finish(&self, read: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for output in &self.outputs {
            columns.push(match output {
                Output::Read(place) => Arc::clone(read.column(*place)),
                Output::Computed(n) => self.compute(*n, read)?,
            });
        }
        columns.extend(read.columns()[self.stored.len()..].iter().cloned());
        batch(Arc::clone(&self.schema), columns, read.num_rows())
    }

    fn compute(&self, n: usize, read: &RecordBatch) -> Result<ArrayRef> {
        let input = |input| {
            let place = self.stored.iter().position(|stored| *stored == input);
            let place = place.ok_or_else(|| Error::internal("an input that is not read"))?;
            Ok(Arc::clone(read.column(place)))
        };
        self.evaluator
            .compute(&self.table, n, read.num_rows(), &input)
    }
}
