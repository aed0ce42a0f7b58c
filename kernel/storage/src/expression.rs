//! Expressions of computed columns: values that are made of a row's columns whenever they are asked for.
//!
//! What an expression means is the business of the layer above, which hands an [`Expressions`] to the
//! engine. Storage names the columns that go in, and holds what comes out against type and length.
//!
//! An expression gives the same for the same row for ever: index entries of long ago are found, removed and
//! checked by computing their keys again.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_schema::{Field, Schema};
use arrow_select::filter::filter;
use arrow_select::take::take;
use parking_lot::RwLock;

use crate::error::{Error, Result};
use crate::ids::ColumnId;
use crate::schema::{ColumnType, ComputedColumn, TableDef};

/// Evaluates expressions. Calls come from any thread, at the same time.
pub trait Expressions: Send + Sync {
    /// What `expression` gives for each row of `rows`, as values of type `ty`. The columns of `rows` are
    /// named `cn` for column `n` of the table.
    fn evaluate(
        &self,
        expression: &str,
        rows: &RecordBatch,
        ty: &ColumnType,
    ) -> Result<ArrayRef, ExpressionError>;
}

/// Why an expression has no value: an SQLSTATE and a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    pub sqlstate: [u8; 5],
    pub message: String,
}

/// What an engine starts with: nothing can be evaluated.
struct NoExpressions;

impl Expressions for NoExpressions {
    fn evaluate(
        &self,
        expression: &str,
        _: &RecordBatch,
        _: &ColumnType,
    ) -> Result<ArrayRef, ExpressionError> {
        Err(ExpressionError {
            sqlstate: *b"55000",
            message: format!("nobody is here to evaluate \"{expression}\""),
        })
    }
}

/// The ones in force, as the engine and its views share them.
pub struct Evaluator(RwLock<Arc<dyn Expressions>>);

impl Evaluator {
    pub(crate) fn none() -> Arc<Evaluator> {
        Arc::new(Evaluator(RwLock::new(Arc::new(NoExpressions))))
    }

    pub(crate) fn set(&self, expressions: Arc<dyn Expressions>) {
        *self.0.write() = expressions;
    }

    /// The values of the `n`th computed column of `table` for `rows` rows; `input` gives those of a stored
    /// one.
    pub(crate) fn compute(
        &self,
        table: &TableDef,
        n: usize,
        rows: usize,
        input: &dyn Fn(ColumnId) -> Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        let column = column(table, n)?;
        let Some(condition) = column.condition else {
            return self.evaluate(table, column, rows, input);
        };
        let condition = match condition.as_computed() {
            None => input(condition)?,
            // One without a condition of its own, or this would have no end.
            Some(n) => self.evaluate(table, self::column(table, n)?, rows, input)?,
        };
        let Some(condition) = condition.as_boolean_opt() else {
            return Err(Error::invalid("a condition that is not boolean"));
        };
        let pick: BooleanArray = condition.iter().map(|is| Some(is == Some(true))).collect();
        if pick.true_count() == rows {
            return self.evaluate(table, column, rows, input);
        }
        let picked = |id| filter(&input(id)?, &pick).map_err(|e| Error::invalid(e.to_string()));
        let values = self.evaluate(table, column, pick.true_count(), &picked)?;
        let mut next = 0..;
        let places = pick.values().iter().map(|picked| match picked {
            true => next.next(),
            false => None,
        });
        let places: UInt32Array = places.collect();
        take(&values, &places, None).map_err(|e| Error::invalid(e.to_string()))
    }

    fn evaluate(
        &self,
        table: &TableDef,
        column: &ComputedColumn,
        rows: usize,
        input: &dyn Fn(ColumnId) -> Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for id in &column.inputs {
            let ty = table.columns.get(usize::from(id.0)).map(|def| &def.ty);
            let ty = ty.ok_or_else(|| Error::invalid(format!("no column {id} to compute with")))?;
            fields.push(Field::new(format!("c{}", id.0), ty.arrow(), true));
            arrays.push(input(*id)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new_with_options(schema, arrays, &options)
            .map_err(|e| Error::invalid(format!("columns to compute with: {e}")))?;
        let expressions = Arc::clone(&self.0.read());
        let values = expressions.evaluate(&column.expression, &batch, &column.ty);
        let values = values.map_err(|error| Error::Expression {
            sqlstate: error.sqlstate,
            message: error.message,
        })?;
        if values.len() != rows || *values.data_type() != column.ty.arrow() {
            return Err(Error::invalid(format!(
                "\"{}\" gave {} values of {} for {rows} of {}",
                column.expression,
                values.len(),
                values.data_type(),
                column.ty.arrow()
            )));
        }
        Ok(values)
    }
}

fn column(table: &TableDef, n: usize) -> Result<&ComputedColumn> {
    let column = table.computed.get(n);
    column.ok_or_else(|| Error::invalid(format!("no computed column {n} in table {}", table.id)))
}

/// The stored columns that the `n`th computed column of `table` is made of.
pub(crate) fn inputs_of(table: &TableDef, n: usize) -> Result<Vec<ColumnId>> {
    let column = column(table, n)?;
    let mut inputs = column.inputs.clone();
    match column.condition.map(|id| (id, id.as_computed())) {
        None => {}
        Some((id, None)) => inputs.push(id),
        Some((_, Some(condition))) => {
            inputs.extend(&self::column(table, condition)?.inputs);
        }
    }
    Ok(inputs)
}
