//! Arrow inside a plugin: the array types, and which one holds which SQL type.
//!
//! | SQL | Arrow |
//! |---|---|
//! | `boolean` | Boolean |
//! | `smallint`, `integer`, `bigint` | Int16, Int32, Int64 |
//! | `real`, `double precision` | Float32, Float64 |
//! | `text`, `varchar` | Utf8View |
//! | `json`, `jsonb` | LargeUtf8 |
//! | `bytea` | Binary |
//! | `date` | Date32 |
//! | `timestamp`, `timestamptz` | Timestamp(µs), Timestamp(µs, "UTC") |
//! | `uuid` | FixedSizeBinary(16) |
//! | `oid` | UInt32 |
//!
//! Results may use any of Arrow's string types for text, json and jsonb and any of its binary types
//! for bytea; they are converted on the way out.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, BinaryArray, LargeStringArray, StringViewArray};
use arrow_schema::TimeUnit;

pub use arrow_array::{self as array, ArrayRef};
pub use arrow_schema::DataType;

use crate::error::{Error, Result};

/// The Arrow type of a built-in SQL type; `None` for types that this table does not have.
pub fn sql_type(name: &str) -> Option<DataType> {
    Some(match name.trim() {
        "boolean" | "bool" => DataType::Boolean,
        "smallint" | "int2" => DataType::Int16,
        "integer" | "int" | "int4" => DataType::Int32,
        "bigint" | "int8" => DataType::Int64,
        "real" | "float4" => DataType::Float32,
        "double precision" | "float8" => DataType::Float64,
        "text" | "varchar" => DataType::Utf8View,
        "json" | "jsonb" => DataType::LargeUtf8,
        "bytea" => DataType::Binary,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "uuid" => DataType::FixedSizeBinary(16),
        "oid" => DataType::UInt32,
        _ => return None,
    })
}

/// The array in the Arrow type of `sql`, when it is text or bytes in another layout; as it is
/// otherwise.
pub(crate) fn conform(array: ArrayRef, sql: &str) -> Result<ArrayRef> {
    let Some(wanted) = sql_type(sql) else {
        return Ok(array);
    };
    if *array.data_type() == wanted {
        return Ok(array);
    }
    match wanted {
        DataType::Utf8View => match strings(&array) {
            Some(values) => Ok(Arc::new(StringViewArray::from_iter(values))),
            None => refuse(&array, sql),
        },
        DataType::LargeUtf8 => match strings(&array) {
            Some(values) => Ok(Arc::new(LargeStringArray::from_iter(values))),
            None => refuse(&array, sql),
        },
        DataType::Binary => match array.data_type() {
            DataType::LargeBinary => Ok(Arc::new(BinaryArray::from_iter(array.as_binary::<i64>()))),
            DataType::BinaryView => Ok(Arc::new(BinaryArray::from_iter(array.as_binary_view()))),
            _ => refuse(&array, sql),
        },
        _ => refuse(&array, sql),
    }
}

fn strings(array: &ArrayRef) -> Option<Vec<Option<&str>>> {
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().iter().collect()),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().iter().collect()),
        DataType::Utf8View => Some(array.as_string_view().iter().collect()),
        _ => None,
    }
}

fn refuse(array: &ArrayRef, sql: &str) -> Result<ArrayRef> {
    Err(Error::contract(format!(
        "an array of {} is no {sql}",
        array.data_type()
    )))
}
