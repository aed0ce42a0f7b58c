//! Keys: bytes or numbers that compare as PostgreSQL compares values whose stored form does not.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, Decimal128Array, UInt32Array};
use arrow::datatypes::{DataType, Decimal128Type, IntervalMonthDayNanoType};
use datafusion::logical_expr::ColumnarValue;

use super::Registry;
use crate::error::{Result, SqlError};
use crate::semantics::kernel::{expand, overload, polymorphic};
use crate::semantics::overload::{Call, Param, ResultType};
use crate::types::PgType;
use crate::types::interval::Interval;
use crate::types::numeric::encoding;

pub fn register(r: &mut Registry) {
    r.add(
        "$_numeric_key",
        overload(vec![PgType::Numeric], PgType::Bytea, |args, _| {
            let (a, _) = expand(&args[0])?;
            let values = a
                .as_binary_opt::<i64>()
                .ok_or_else(|| SqlError::internal("numeric key of a decimal"))?;
            let mut out = BinaryBuilder::with_capacity(values.len(), values.value_data().len());
            for v in values.iter() {
                out.append_option(v.map(encoding::key));
            }
            Ok(Arc::new(out.finish()))
        }),
    );
    r.add(
        "$_interval_key",
        polymorphic(
            vec![Param::Is(PgType::Interval)],
            false,
            ResultType::From(|_| DataType::Decimal128(38, 0)),
            |args, _| {
                let (a, _) = expand(&args[0])?;
                let values = a.as_primitive::<IntervalMonthDayNanoType>();
                let keys: Decimal128Array =
                    values.unary::<_, Decimal128Type>(|v| Interval::from_arrow(v).comparison_key());
                Ok(Arc::new(
                    keys.with_precision_and_scale(38, 0)
                        .map_err(SqlError::internal)?,
                ))
            },
        ),
    );
    r.add(
        "$_make_array",
        polymorphic(
            vec![Param::AnyElement],
            true,
            ResultType::From(|types| {
                DataType::new_list(types.first().cloned().unwrap_or(DataType::Utf8View), true)
            }),
            make_array,
        ),
    );
}

/// `ARRAY[a, b, …]`: the arguments of each row, side by side.
fn make_array(args: &[ColumnarValue], call: &Call<'_>) -> Result<ArrayRef> {
    let columns: Vec<(ArrayRef, usize)> = args.iter().map(expand).collect::<Result<_>>()?;
    let parts: Vec<&dyn Array> = columns.iter().map(|(a, _)| a.as_ref()).collect();
    let all = arrow::compute::concat(&parts).map_err(SqlError::internal)?;
    let mut starts = Vec::new();
    let mut at = 0;
    for (a, _) in &columns {
        starts.push(at);
        at += a.len();
    }
    let mut indices = Vec::with_capacity(call.rows * columns.len());
    for row in 0..call.rows {
        for (start, (_, step)) in starts.iter().zip(&columns) {
            indices.push((start + row * step) as u32);
        }
    }
    let items = arrow::compute::take(&all, &UInt32Array::from(indices), None)
        .map_err(SqlError::internal)?;
    super::array::list_of(items, std::iter::repeat_n(columns.len(), call.rows), None)
}
