//! Table functions of plugins.
//!
//! A call gives an array of its rows, and `unnest` makes rows of it (see
//! [`crate::semantics::rewrite`]), so that the arguments may be any expression: constants, parameters
//! of a prepared statement, columns of what stands before it in FROM. A strict function has no rows
//! where an argument is NULL.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, StructArray, new_empty_array};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::logical_expr::ColumnarValue;
use heliosdb_plugin_host::active::function::Function;

use super::crossing::Declared;
use super::functions::{Types, declared};
use crate::error::{Result, SqlError, state};
use crate::functions::{Functions, TableFunction};
use crate::semantics::function::PgFunction;
use crate::semantics::overload::{Call, ResultType};

/// Rows that the calls for one batch may give together; PostgreSQL streams them, here they are an
/// array first.
const ROWS_MAX: usize = 50_000_000;

/// Adds the overloads of one name. They have the same columns; one that has others is left out.
pub(super) fn add(functions: &mut Functions, name: &str, list: &[&Arc<Function>]) {
    let Some(first) = list.first() else { return };
    let names = |f: &Function| -> Vec<String> {
        let columns = f.columns().into_iter();
        columns.map(|(name, _)| name).collect()
    };
    let columns = names(first);
    let overloads = list.iter().filter_map(|f| {
        if names(f) != columns {
            tracing::warn!(
                "an overload of {name} is left out: it has other columns than the first"
            );
            return None;
        }
        let types = Types::of(f)?;
        let rows = Rows::of(f)?;
        let result = ResultType::Arrow(rows.array_type());
        Some(types.overload(f, result, move |args, call| rows.invoke(args, call)))
    });
    let array = PgFunction::udf(&format!("${name}"), overloads.collect());
    functions.add_table(
        name,
        TableFunction {
            columns,
            named_by_alias: false,
        },
        array,
    );
}

/// A function and the columns of its rows.
struct Rows {
    function: Arc<Function>,
    types: Types,
    columns: Vec<Declared>,
    /// How the columns cross.
    crossing: Vec<DataType>,
    /// What they are here.
    fields: Fields,
}

impl Rows {
    fn of(function: &Arc<Function>) -> Option<Rows> {
        let mut rows = Rows {
            function: function.clone(),
            types: Types::of(function)?,
            columns: Vec::new(),
            crossing: Vec::new(),
            fields: Fields::empty(),
        };
        let mut fields = Vec::new();
        for (name, ty) in &function.columns() {
            let column = declared(function, ty)?;
            let Declared::One { ty, arrow } = &column else {
                return None;
            };
            fields.push(Field::new(name, ty.arrow(), true));
            rows.crossing.push(arrow.clone());
            rows.columns.push(column);
        }
        rows.fields = fields.into();
        Some(rows)
    }

    /// An array of rows; of plain values when a row is one value.
    fn array_type(&self) -> DataType {
        DataType::new_list(
            match self.fields.as_ref() {
                [one] => one.data_type().clone(),
                _ => DataType::Struct(self.fields.clone()),
            },
            true,
        )
    }

    /// The array of rows for each row of arguments.
    fn invoke(&self, args: &[ColumnarValue], call: &Call<'_>) -> Result<ArrayRef> {
        let arguments = self.types.outward(args, call)?;
        let mut columns: Vec<Vec<ArrayRef>> = vec![Vec::new(); self.fields.len()];
        let mut count = 0;
        let mut ends = vec![0];
        for row in 0..call.rows {
            let values: Vec<ArrayRef> = arguments
                .iter()
                .map(|a| match a.is_constant() {
                    true => a.array().clone(),
                    false => a.array().slice(row, 1),
                })
                .collect();
            let strict = self.function.declared.strict;
            if !(strict && values.iter().any(|v| v.logical_null_count() > 0)) {
                self.read(&values, call, &mut columns, &mut count)?;
            }
            ends.push(i32::try_from(count).map_err(|_| self.too_many())?);
        }
        let columns = columns
            .into_iter()
            .zip(self.columns.iter().zip(&self.crossing))
            .map(|(parts, (column, crossing))| {
                let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
                let values = match parts.is_empty() {
                    true => new_empty_array(crossing),
                    false => concat(&parts)?,
                };
                column.inward(values, &call.vars.format)
            })
            .collect::<Result<Vec<_>>>()?;
        let values: ArrayRef = match <[ArrayRef; 1]>::try_from(columns) {
            Ok([one]) => one,
            Err(columns) => Arc::new(StructArray::try_new(self.fields.clone(), columns, None)?),
        };
        let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        Ok(Arc::new(ListArray::try_new(item, offsets, values, None)?))
    }

    /// Reads the rows of one call to their end.
    fn read(
        &self,
        values: &[ArrayRef],
        call: &Call<'_>,
        columns: &mut [Vec<ArrayRef>],
        count: &mut usize,
    ) -> Result<()> {
        let services = call.vars.services()?;
        let mut cursor = self.function.open(services.clone(), values)?;
        while let Some(batch) = cursor.next(&self.crossing)? {
            *count += batch.first().map_or(0, |c| c.len());
            if *count > ROWS_MAX {
                return Err(self.too_many());
            }
            for (column, values) in columns.iter_mut().zip(batch) {
                column.push(values);
            }
            if services.cancelled() {
                return Err(SqlError::from(heliosdb_storage::Error::Canceled));
            }
        }
        Ok(())
    }

    fn too_many(&self) -> SqlError {
        let name = &self.function.declared.name;
        SqlError::new(
            state::PROGRAM_LIMIT_EXCEEDED,
            format!("{name} of more than {ROWS_MAX} rows is not supported"),
        )
    }
}
