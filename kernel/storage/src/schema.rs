//! What storage knows of a table: physical columns, and the sorted collections that index it.
//!
//! Names, constraints, defaults and privileges are the SQL layer's catalog; storage keeps only what
//! it needs to encode a row, to fill a column that an old row does not have, and to maintain index
//! entries. A [`TableDef`] is immutable: DDL makes a new one with the same [`CollectionId`].

use std::sync::Arc;

use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use crate::ids::{CollectionId, ColumnId};

/// The physical type of a column. Each maps to exactly one Arrow type and no two map to the same
/// one, so that an Arrow type found anywhere in a plan names its SQL type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    Bool,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    /// `numeric(p, s)` with p ≤ 38.
    Decimal {
        precision: u8,
        scale: i8,
    },
    /// `numeric` of any precision and scale in the order-preserving encoding of
    /// `heliosdb_sql::types::numeric`; to storage, bytes that compare by memcmp.
    Numeric,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since midnight.
    Time,
    /// Microseconds since 1970-01-01 00:00, without zone.
    Timestamp,
    /// Microseconds since 1970-01-01 00:00 UTC.
    TimestampTz,
    /// Months, days, nanoseconds (always whole microseconds).
    Interval,
    Text,
    Bytea,
    /// `jsonb` in its canonical text.
    Jsonb,
    /// `json`, the text as it was written. A view of bytes in Arrow, because the three types of
    /// strings are taken; the bytes are UTF-8 all the same.
    Json,
    Uuid,
    /// PostgreSQL's `oid`.
    Oid,
    Array(Box<ColumnType>),
}

impl ColumnType {
    /// The Arrow type in which batches carry this column.
    pub fn arrow(&self) -> DataType {
        match self {
            ColumnType::Bool => DataType::Boolean,
            ColumnType::Int16 => DataType::Int16,
            ColumnType::Int32 => DataType::Int32,
            ColumnType::Int64 => DataType::Int64,
            ColumnType::Float32 => DataType::Float32,
            ColumnType::Float64 => DataType::Float64,
            ColumnType::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            ColumnType::Numeric => DataType::LargeBinary,
            ColumnType::Date => DataType::Date32,
            ColumnType::Time => DataType::Time64(TimeUnit::Microsecond),
            ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            ColumnType::TimestampTz => {
                DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
            }
            ColumnType::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            ColumnType::Text => DataType::Utf8View,
            ColumnType::Bytea => DataType::Binary,
            ColumnType::Jsonb => DataType::LargeUtf8,
            ColumnType::Json => DataType::BinaryView,
            ColumnType::Uuid => DataType::FixedSizeBinary(16),
            ColumnType::Oid => DataType::UInt32,
            ColumnType::Array(item) => DataType::new_list(item.arrow(), true),
        }
    }

    /// The reverse of [`ColumnType::arrow`]; `None` for an Arrow type that no column has.
    pub fn from_arrow(ty: &DataType) -> Option<ColumnType> {
        Some(match ty {
            DataType::Boolean => ColumnType::Bool,
            DataType::Int16 => ColumnType::Int16,
            DataType::Int32 => ColumnType::Int32,
            DataType::Int64 => ColumnType::Int64,
            DataType::Float32 => ColumnType::Float32,
            DataType::Float64 => ColumnType::Float64,
            DataType::Decimal128(precision, scale) => ColumnType::Decimal {
                precision: *precision,
                scale: *scale,
            },
            DataType::LargeBinary => ColumnType::Numeric,
            DataType::Date32 => ColumnType::Date,
            DataType::Time64(TimeUnit::Microsecond) => ColumnType::Time,
            DataType::Timestamp(TimeUnit::Microsecond, None) => ColumnType::Timestamp,
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => {
                ColumnType::TimestampTz
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => ColumnType::Interval,
            DataType::Utf8View => ColumnType::Text,
            DataType::Binary => ColumnType::Bytea,
            DataType::LargeUtf8 => ColumnType::Jsonb,
            DataType::BinaryView => ColumnType::Json,
            DataType::FixedSizeBinary(16) => ColumnType::Uuid,
            DataType::UInt32 => ColumnType::Oid,
            DataType::List(item) => {
                ColumnType::Array(Box::new(ColumnType::from_arrow(item.data_type())?))
            }
            _ => return None,
        })
    }

    /// Bytes of the fixed slot of this type in a row, or `None` when its values vary in length.
    pub fn fixed_width_bytes(&self) -> Option<usize> {
        match self {
            ColumnType::Bool => Some(1),
            ColumnType::Int16 => Some(2),
            ColumnType::Int32 | ColumnType::Float32 | ColumnType::Date | ColumnType::Oid => Some(4),
            ColumnType::Int64
            | ColumnType::Float64
            | ColumnType::Time
            | ColumnType::Timestamp
            | ColumnType::TimestampTz => Some(8),
            ColumnType::Decimal { .. } | ColumnType::Interval | ColumnType::Uuid => Some(16),
            ColumnType::Numeric
            | ColumnType::Text
            | ColumnType::Bytea
            | ColumnType::Jsonb
            | ColumnType::Json
            | ColumnType::Array(_) => None,
        }
    }
}

/// One column of a [`TableDef`], dropped ones included.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDef {
    pub ty: ColumnType,
    /// The value of rows written before this column existed, as [`crate::datum::Datum::encode`]
    /// gives it, or `None` for NULL.
    pub missing: Option<Arc<[u8]>>,
    /// Dropped columns keep their place and read as NULL.
    pub dropped: bool,
    /// Of a dropped one: it was never there. Another timeline has a column in its place, which may come here as
    /// well; rows of before then have its `missing`.
    pub free: bool,
    /// The codec to write the column's pages with, or [`NONE`](crate::codec::NONE) or
    /// [`ZSTD`](crate::codec::ZSTD); see [`crate::codec`]. Pages written before keep theirs.
    pub compression: Option<Arc<str>>,
}

impl ColumnDef {
    /// A column without missing value and codec.
    pub fn new(ty: ColumnType) -> ColumnDef {
        ColumnDef {
            ty,
            missing: None,
            dropped: false,
            free: false,
            compression: None,
        }
    }
}

/// A column that no row stores: whoever asks for it gets what its expression gives for the row's other
/// columns. Index keys on expressions and the conditions of partial indexes are of this kind.
#[derive(Clone, Debug, PartialEq)]
pub struct ComputedColumn {
    pub ty: ColumnType,
    /// The stored columns that the expression reads.
    pub inputs: Vec<ColumnId>,
    /// It is NULL, and nothing is evaluated, where this boolean column is not true.
    pub condition: Option<ColumnId>,
    /// For the [`Expressions`](crate::expression::Expressions) of the layer above, which calls column
    /// `n` of the table `cn`. It must give the same for the same row for ever.
    pub expression: Arc<str>,
}

/// One column of an index key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    pub column: ColumnId,
    pub descending: bool,
    pub nulls_first: bool,
}

/// A sorted collection `columns → RowId` that storage maintains with its table.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexDef {
    pub id: CollectionId,
    pub columns: Vec<KeyColumn>,
    /// Refuse a second live row with equal columns. A key with a NULL equals no other.
    pub unique: bool,
    /// Rows where this boolean column is not true have no entries.
    pub predicate: Option<ColumnId>,
}

impl IndexDef {
    /// What has to be known of a row to make its entry: the columns of the key, then the predicate.
    pub fn reads(&self) -> Vec<ColumnId> {
        let keys = self.columns.iter().map(|key| key.column);
        keys.chain(self.predicate).collect()
    }
}

/// A table as storage sees it. `columns[i]` is [`ColumnId`] `i`.
#[derive(Clone, Debug, PartialEq)]
pub struct TableDef {
    pub id: CollectionId,
    pub columns: Vec<ColumnDef>,
    /// `computed[i]` is [`ColumnId::computed`]`(i)`.
    pub computed: Vec<ComputedColumn>,
    pub indexes: Vec<IndexDef>,
    /// How long its past is kept, if not as long as the database's.
    pub retention: Option<Retention>,
}

/// How long the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    Forever,
    Micros(u64),
}

impl Retention {
    /// That of what has no past that anybody asks for, and that branches of the past do without: temporary tables.
    pub const NONE: Retention = Retention::Micros(0);
}

impl TableDef {
    /// The type of a column, stored or computed.
    pub fn column_type(&self, column: ColumnId) -> Option<&ColumnType> {
        match column.as_computed() {
            Some(n) => self.computed.get(n).map(|column| &column.ty),
            None => self.columns.get(usize::from(column.0)).map(|def| &def.ty),
        }
    }
}
