//! What a file has, as what a column takes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, new_null_array};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::copy::CopyColumn;
use crate::error::{Result, SqlError, state};
use crate::types::{ColumnBuilder, Format, PgType};

/// # Errors
///
/// 42804 where an assignment would be refused, 22003 and 22008 for values that do not fit, and what a text is
/// refused with.
pub(super) fn convert(values: &ArrayRef, column: &CopyColumn, format: &Format) -> Result<ArrayRef> {
    use DataType::*;
    let to = column.ty.arrow_typmod(column.typmod);
    match (values.data_type(), &column.ty) {
        (Null, _) => Ok(new_null_array(&to, values.len())),
        (Utf8 | LargeUtf8 | Utf8View, _) => parsed(values, column, format),
        (Boolean, PgType::Bool) => Ok(values.clone()),
        (from, PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Oid) if from.is_integer() => {
            checked(values, &to, || {
                let name = column.ty.name();
                SqlError::new(
                    state::NUMERIC_VALUE_OUT_OF_RANGE,
                    format!("{name} out of range"),
                )
            })
        }
        (from, PgType::Float4 | PgType::Float8) if from.is_integer() => Ok(cast(values, &to)?),
        (Float16 | Float32, PgType::Float4) => Ok(cast(values, &to)?),
        (Float16 | Float32 | Float64, PgType::Float8) => Ok(cast(values, &to)?),
        // By their digits, which are checked and rounded as those of a text.
        (Float64, PgType::Float4) => parsed(&cast(values, &Utf8)?, column, format),
        (from, PgType::Numeric) if from.is_numeric() => {
            parsed(&cast(values, &Utf8)?, column, format)
        }
        (
            Decimal128(..) | Decimal256(..) | Decimal32(..) | Decimal64(..),
            PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Float4 | PgType::Float8,
        ) => parsed(&cast(values, &Utf8)?, column, format),
        (Binary | LargeBinary | BinaryView | FixedSizeBinary(_), PgType::Bytea) => {
            Ok(cast(values, &to)?)
        }
        (FixedSizeBinary(16), PgType::Uuid) => Ok(values.clone()),
        (Date32 | Date64, PgType::Date)
        | (Time32(_) | Time64(_), PgType::Time)
        | (Timestamp(_, None), PgType::Timestamp)
        | (Timestamp(_, Some(_)), PgType::TimestampTz) => checked(values, &to, || {
            let name = column.ty.name();
            SqlError::new(
                state::DATETIME_FIELD_OVERFLOW,
                format!("{name} out of range"),
            )
        }),
        (List(item) | LargeList(item) | FixedSizeList(item, _), PgType::Array(_)) => {
            let list = cast(values, &List(item.clone()))?;
            lists(list.as_list(), column, format)
        }
        _ => Err(refused(values.data_type(), column)),
    }
}

fn lists(list: &ListArray, column: &CopyColumn, format: &Format) -> Result<ArrayRef> {
    let PgType::Array(item) = &column.ty else {
        return Err(refused(list.data_type(), column));
    };
    let items = CopyColumn {
        name: column.name.clone(),
        ty: item.as_ref().clone(),
        typmod: column.typmod,
    };
    let values = convert(list.values(), &items, format)?;
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let nulls = list.nulls().cloned();
    let list = ListArray::try_new(field, list.offsets().clone(), values, nulls);
    Ok(Arc::new(list.map_err(SqlError::internal)?))
}

/// By Arrow's cast, with an error for what does not fit.
fn checked(values: &ArrayRef, to: &DataType, error: impl Fn() -> SqlError) -> Result<ArrayRef> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(values, to, &options).map_err(|_| error())
}

/// Each value as the input function of the type reads its text.
fn parsed(values: &ArrayRef, column: &CopyColumn, format: &Format) -> Result<ArrayRef> {
    let texts = cast(values, &DataType::Utf8View)?;
    let texts = texts.as_string_view();
    let mut builder = ColumnBuilder::new(&column.ty, column.typmod, texts.len())?;
    for text in texts {
        match text {
            None => builder.append_null(),
            Some(text) if text.contains('\0') => {
                return Err(SqlError::new(
                    state::CHARACTER_NOT_IN_REPERTOIRE,
                    "invalid byte sequence for encoding \"UTF8\": 0x00",
                ));
            }
            Some(text) => builder.append_text(text, format)?,
        }
    }
    Ok(builder.finish())
}

fn refused(from: &DataType, column: &CopyColumn) -> SqlError {
    let what = match from {
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone)
        | DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, zone) => match zone {
            Some(_) => "timestamps in UTC".to_owned(),
            None => "timestamps without time zone".to_owned(),
        },
        other => other.to_string(),
    };
    let (name, ty) = (&column.name, column.ty.name());
    SqlError::new(
        state::DATATYPE_MISMATCH,
        format!("column \"{name}\" is of type {ty} but the file has {what}"),
    )
    .with_hint("Copy it into a column of the file's type, and cast it in SQL.")
}
