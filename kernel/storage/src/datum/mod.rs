//! One value of one column, and the bytes it is kept in.
//!
//! Storage knows a value in three shapes: a [`Datum`] (one value, owned), a slot of an Arrow array
//! (`arrow`), and **value bytes**, which rows, array elements and column pages all share:
//!
//! ```text
//! bool                        u8, 0 or 1
//! int2 int4 int8, oid, date   two's complement, little-endian, of the type's width
//! float4 float8               IEEE 754 bits, little-endian
//! time timestamp timestamptz  i64, little-endian
//! numeric(p,s), p ≤ 38        i128, little-endian: the value times 10^s
//! interval                    months i32 │ days i32 │ nanoseconds i64
//! uuid                        16 bytes
//! text bytea json             the bytes themselves
//! jsonb numeric               likewise
//! array                       see `array`
//! ```
//!
//! The fixed layouts are Arrow's own on a little-endian machine, so a column page becomes an Arrow
//! buffer without touching its values.
//!
//! Value bytes do not say what they are: the column's [`ColumnType`] does. Where no column stands
//! beside them (the value a new column gives to old rows), [`Datum::encode`] puts a tag in front.

pub(crate) mod array;
pub(crate) mod arrow;

#[cfg(test)]
pub(crate) mod tests;

use arrow_array::{Array, ArrayRef};

use self::arrow::{ColumnBuilder, ColumnValues};
use crate::error::{Error, Result};
use crate::schema::ColumnType;

const _: () = assert!(
    cfg!(target_endian = "little"),
    "Arrow buffers are written as they stand"
);

/// The longest value, and the longest row: PostgreSQL's limit of a field, and well inside the
/// offsets of every Arrow type used here.
pub const VALUE_BYTES_MAX: usize = (1 << 30) - 1;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    Null,
    Bool(bool),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    /// A `numeric(p, s)` with p ≤ 38, times 10^s.
    Decimal(i128),
    /// `text`, `bytea`, `json`, `jsonb`, unbounded `numeric` and arrays, in their value bytes.
    Bytes(Vec<u8>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01 00:00, with and without zone.
    Timestamp(i64),
    Interval {
        months: i32,
        days: i32,
        nanos: i64,
    },
    Uuid([u8; 16]),
    Oid(u32),
}

/// Tags of [`Datum::encode`]. A tag is never given a second meaning.
mod tag {
    pub const NULL: u8 = 0;
    pub const BOOL: u8 = 1;
    pub const INT16: u8 = 2;
    pub const INT32: u8 = 3;
    pub const INT64: u8 = 4;
    pub const FLOAT32: u8 = 5;
    pub const FLOAT64: u8 = 6;
    pub const DECIMAL: u8 = 7;
    pub const BYTES: u8 = 8;
    pub const DATE: u8 = 9;
    pub const TIME: u8 = 10;
    pub const TIMESTAMP: u8 = 11;
    pub const INTERVAL: u8 = 12;
    pub const UUID: u8 = 13;
    pub const OID: u8 = 14;
}

impl Datum {
    /// The value at `row` of an array whose Arrow type is that of some [`ColumnType`].
    pub fn from_array(array: &dyn Array, row: usize) -> Result<Datum> {
        let ty = ColumnType::from_arrow(array.data_type()).ok_or_else(|| {
            Error::invalid(format!(
                "no column type has the Arrow type {}",
                array.data_type()
            ))
        })?;
        if row >= array.len() {
            return Err(Error::invalid(format!(
                "row {row} of an array of {}",
                array.len()
            )));
        }
        let values = ColumnValues::new(&ty, array)?;
        if values.is_null(row) {
            return Ok(Datum::Null);
        }
        let mut bytes = Vec::new();
        values.write(row, &mut bytes)?;
        Datum::from_value(&ty, &bytes)
    }

    /// This value as an array of length 1.
    pub fn to_array(&self, ty: &ColumnType) -> Result<ArrayRef> {
        let mut builder = ColumnBuilder::new(ty, 1);
        match self {
            Datum::Null => builder.append(None)?,
            value => {
                let mut bytes = Vec::new();
                value.write_value(ty, &mut bytes)?;
                builder.append(Some(&bytes))?;
            }
        }
        builder.finish()
    }

    /// Read the value bytes of a column of type `ty`. The inside of `text` and of arrays is not
    /// looked at here.
    pub fn from_value(ty: &ColumnType, bytes: &[u8]) -> Result<Datum> {
        Ok(match ty {
            ColumnType::Bool => match bytes {
                [0] => Datum::Bool(false),
                [1] => Datum::Bool(true),
                other => return Err(malformed("a bool of 0 or 1", format!("{other:?}"))),
            },
            ColumnType::Int16 => Datum::Int16(i16::from_le_bytes(fixed(bytes)?)),
            ColumnType::Int32 => Datum::Int32(i32::from_le_bytes(fixed(bytes)?)),
            ColumnType::Int64 => Datum::Int64(i64::from_le_bytes(fixed(bytes)?)),
            ColumnType::Float32 => Datum::Float32(f32::from_le_bytes(fixed(bytes)?)),
            ColumnType::Float64 => Datum::Float64(f64::from_le_bytes(fixed(bytes)?)),
            ColumnType::Decimal { .. } => Datum::Decimal(i128::from_le_bytes(fixed(bytes)?)),
            ColumnType::Date => Datum::Date(i32::from_le_bytes(fixed(bytes)?)),
            ColumnType::Time => Datum::Time(i64::from_le_bytes(fixed(bytes)?)),
            ColumnType::Timestamp | ColumnType::TimestampTz => {
                Datum::Timestamp(i64::from_le_bytes(fixed(bytes)?))
            }
            ColumnType::Interval => {
                let all: [u8; 16] = fixed(bytes)?;
                Datum::Interval {
                    months: i32::from_le_bytes(fixed(&all[..4])?),
                    days: i32::from_le_bytes(fixed(&all[4..8])?),
                    nanos: i64::from_le_bytes(fixed(&all[8..])?),
                }
            }
            ColumnType::Uuid => Datum::Uuid(fixed(bytes)?),
            ColumnType::Oid => Datum::Oid(u32::from_le_bytes(fixed(bytes)?)),
            ColumnType::Numeric
            | ColumnType::Text
            | ColumnType::Bytea
            | ColumnType::Jsonb
            | ColumnType::Json
            | ColumnType::Array(_) => Datum::Bytes(bytes.to_vec()),
        })
    }

    /// Append the value bytes of this value, which is not NULL and is of type `ty`.
    pub fn write_value(&self, ty: &ColumnType, out: &mut Vec<u8>) -> Result<()> {
        if !self.is_of(ty) {
            return Err(Error::invalid(format!(
                "{self:?} in a column of type {ty:?}"
            )));
        }
        match self {
            Datum::Null => {}
            Datum::Bool(v) => out.push(u8::from(*v)),
            Datum::Int16(v) => out.extend_from_slice(&v.to_le_bytes()),
            Datum::Int32(v) | Datum::Date(v) => out.extend_from_slice(&v.to_le_bytes()),
            Datum::Int64(v) | Datum::Time(v) | Datum::Timestamp(v) => {
                out.extend_from_slice(&v.to_le_bytes());
            }
            Datum::Float32(v) => out.extend_from_slice(&v.to_le_bytes()),
            Datum::Float64(v) => out.extend_from_slice(&v.to_le_bytes()),
            Datum::Decimal(v) => out.extend_from_slice(&v.to_le_bytes()),
            Datum::Bytes(v) => out.extend_from_slice(v),
            Datum::Interval {
                months,
                days,
                nanos,
            } => {
                out.extend_from_slice(&months.to_le_bytes());
                out.extend_from_slice(&days.to_le_bytes());
                out.extend_from_slice(&nanos.to_le_bytes());
            }
            Datum::Uuid(v) => out.extend_from_slice(v),
            Datum::Oid(v) => out.extend_from_slice(&v.to_le_bytes()),
        }
        Ok(())
    }

    /// Whether this is a value, not NULL, that a column of type `ty` can hold.
    fn is_of(&self, ty: &ColumnType) -> bool {
        match self {
            Datum::Null => false,
            Datum::Bool(_) => matches!(ty, ColumnType::Bool),
            Datum::Int16(_) => matches!(ty, ColumnType::Int16),
            Datum::Int32(_) => matches!(ty, ColumnType::Int32),
            Datum::Int64(_) => matches!(ty, ColumnType::Int64),
            Datum::Float32(_) => matches!(ty, ColumnType::Float32),
            Datum::Float64(_) => matches!(ty, ColumnType::Float64),
            Datum::Decimal(_) => matches!(ty, ColumnType::Decimal { .. }),
            Datum::Bytes(_) => ty.fixed_width_bytes().is_none(),
            Datum::Date(_) => matches!(ty, ColumnType::Date),
            Datum::Time(_) => matches!(ty, ColumnType::Time),
            Datum::Timestamp(_) => matches!(ty, ColumnType::Timestamp | ColumnType::TimestampTz),
            Datum::Interval { .. } => matches!(ty, ColumnType::Interval),
            Datum::Uuid(_) => matches!(ty, ColumnType::Uuid),
            Datum::Oid(_) => matches!(ty, ColumnType::Oid),
        }
    }

    /// `tag u8 │ value bytes`: what [`crate::schema::ColumnDef::missing`] holds.
    pub fn encode(&self) -> Vec<u8> {
        let (tag, ty) = match self {
            Datum::Null => return vec![tag::NULL],
            Datum::Bool(_) => (tag::BOOL, ColumnType::Bool),
            Datum::Int16(_) => (tag::INT16, ColumnType::Int16),
            Datum::Int32(_) => (tag::INT32, ColumnType::Int32),
            Datum::Int64(_) => (tag::INT64, ColumnType::Int64),
            Datum::Float32(_) => (tag::FLOAT32, ColumnType::Float32),
            Datum::Float64(_) => (tag::FLOAT64, ColumnType::Float64),
            Datum::Decimal(_) => (
                tag::DECIMAL,
                ColumnType::Decimal {
                    precision: 38,
                    scale: 0,
                },
            ),
            Datum::Bytes(_) => (tag::BYTES, ColumnType::Bytea),
            Datum::Date(_) => (tag::DATE, ColumnType::Date),
            Datum::Time(_) => (tag::TIME, ColumnType::Time),
            Datum::Timestamp(_) => (tag::TIMESTAMP, ColumnType::Timestamp),
            Datum::Interval { .. } => (tag::INTERVAL, ColumnType::Interval),
            Datum::Uuid(_) => (tag::UUID, ColumnType::Uuid),
            Datum::Oid(_) => (tag::OID, ColumnType::Oid),
        };
        let mut out = vec![tag];
        self.write_value(&ty, &mut out)
            .expect("the type was chosen from the value");
        out
    }

    /// The reverse of [`Datum::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Datum> {
        let Some((tag, value)) = bytes.split_first() else {
            return Err(malformed("a value with its tag", "no bytes"));
        };
        let ty = match *tag {
            tag::NULL if value.is_empty() => return Ok(Datum::Null),
            tag::BOOL => ColumnType::Bool,
            tag::INT16 => ColumnType::Int16,
            tag::INT32 => ColumnType::Int32,
            tag::INT64 => ColumnType::Int64,
            tag::FLOAT32 => ColumnType::Float32,
            tag::FLOAT64 => ColumnType::Float64,
            tag::DECIMAL => ColumnType::Decimal {
                precision: 38,
                scale: 0,
            },
            tag::BYTES => ColumnType::Bytea,
            tag::DATE => ColumnType::Date,
            tag::TIME => ColumnType::Time,
            tag::TIMESTAMP => ColumnType::Timestamp,
            tag::INTERVAL => ColumnType::Interval,
            tag::UUID => ColumnType::Uuid,
            tag::OID => ColumnType::Oid,
            other => return Err(malformed("a known tag", other)),
        };
        Datum::from_value(&ty, value)
    }
}

/// Exactly `N` bytes.
pub(crate) fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes
        .try_into()
        .map_err(|_| malformed(format!("{N} bytes"), format!("{} bytes", bytes.len())))
}

pub(crate) fn too_long(bytes: usize) -> Error {
    Error::RowTooLong { bytes }
}

/// Damage inside a value; the file is known only to the caller's caller.
pub(crate) fn malformed(expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Error {
    Error::corruption("a stored value", 0, expected, found)
}
