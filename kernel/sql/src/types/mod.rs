//! PostgreSQL's types: identity, Arrow representation, text and binary forms, casts.
//!
//! [`PgType`] is the identity a client sees (OID, name, length). Each value travels as an Arrow
//! array; [`PgType::arrow`] names the array type. An Arrow type found anywhere in a plan names its
//! SQL type in turn ([`PgType::from_arrow`]), because no two *families* share one:
//!
//! | PostgreSQL | Arrow |
//! |---|---|
//! | `numeric(p ≤ 38, s)` | `Decimal128(p, s)` |
//! | any other `numeric` | `LargeBinary`, the encoding of [`numeric`] |
//! | `text`, `varchar`, `char(n)`, `name` | `Utf8View` |
//! | a string literal whose type is still open | `Utf8` |
//! | `jsonb` | `LargeUtf8`, the canonical text |
//! | `json` | `BinaryView`, the text as written, see [`json`] |
//! | `jsonpath` | a struct of one field, the canonical text, see [`jsonpath`] |
//! | `oid` and the `reg*` types | `UInt32` |
//! | a type of a plugin | a struct of one field, see [`extension`] |
//! | an enum | `Timestamp(Second)` in a zone of its own, see [`enumeration`] |
//!
//! Within a family (`text`/`varchar`/`char(n)`, `oid`/`regclass`) only the catalog and the cast
//! that made a column know the exact member. `char(n)` is held without its trailing blanks, which
//! makes comparison, `length` and `||` behave as PostgreSQL's; output pads it again.
//!
//! This module knows nothing of plans, sessions or tables.

pub mod array;
pub mod binary;
pub mod builder;
pub mod cast;
pub mod datetime;
pub mod encode;
pub mod enumeration;
pub mod extension;
pub mod float;
pub mod format;
pub mod interval;
pub mod json;
pub mod jsonb;
pub mod jsonpath;
pub mod names;
pub mod numeric;
pub mod pattern;
pub mod timezone;

use std::borrow::Cow;

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use heliosdb_storage::schema::ColumnType;

use crate::error::{Result, SqlError};

pub use binary::{decode_binary, encode_binary, encode_binary_typmod};
pub(crate) use builder::decode_plain;
pub use builder::{ColumnBuilder, decode_text};
pub use cast::{CastContext, cast_array};
pub use encode::{encode_text, encode_text_typmod};
pub use enumeration::EnumType;
pub use extension::ExtensionType;
pub use format::{Format, ObjectNames};
pub use numeric::Numeric;

/// The identity of a SQL type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PgType {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    Varchar,
    Bpchar,
    Name,
    Char,
    Bytea,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Interval,
    Uuid,
    Json,
    Jsonb,
    Jsonpath,
    Oid,
    Regclass,
    Regtype,
    Regproc,
    Regprocedure,
    Regnamespace,
    Regrole,
    Void,
    Unknown,
    Record,
    Array(Box<PgType>),
    /// Of columns of system relations only, as the four after it: no SQL text can ask for one.
    Int2Vector,
    OidVector,
    NodeTree,
    AclItem,
    Xid,
    /// A type of a plugin.
    Extension(&'static ExtensionType),
    Enum(&'static EnumType),
}

/// One row of `pg_type` as far as this crate needs it.
pub(crate) struct TypeRow {
    ty: PgType,
    oid: u32,
    array_oid: u32,
    name: &'static str,
    array_name: &'static str,
    internal: &'static str,
    array_internal: &'static str,
    len: i16,
}

macro_rules! type_rows {
    ($($ty:ident $oid:literal $array_oid:literal $name:literal $internal:literal $len:literal;)*) => {
        &[$(TypeRow {
            ty: PgType::$ty,
            oid: $oid,
            array_oid: $array_oid,
            name: $name,
            array_name: concat!($name, "[]"),
            internal: $internal,
            array_internal: concat!("_", $internal),
            len: $len,
        }),*]
    };
}

static TYPES: &[TypeRow] = type_rows! {
    Bool 16 1000 "boolean" "bool" 1;
    Bytea 17 1001 "bytea" "bytea" -1;
    Char 18 1002 "\"char\"" "char" 1;
    Name 19 1003 "name" "name" 64;
    Int8 20 1016 "bigint" "int8" 8;
    Int2 21 1005 "smallint" "int2" 2;
    Int4 23 1007 "integer" "int4" 4;
    Regproc 24 1008 "regproc" "regproc" 4;
    Text 25 1009 "text" "text" -1;
    Oid 26 1028 "oid" "oid" 4;
    Json 114 199 "json" "json" -1;
    Float4 700 1021 "real" "float4" 4;
    Float8 701 1022 "double precision" "float8" 8;
    Unknown 705 0 "unknown" "unknown" -2;
    Bpchar 1042 1014 "character" "bpchar" -1;
    Varchar 1043 1015 "character varying" "varchar" -1;
    Date 1082 1182 "date" "date" 4;
    Time 1083 1183 "time without time zone" "time" 8;
    Timestamp 1114 1115 "timestamp without time zone" "timestamp" 8;
    TimestampTz 1184 1185 "timestamp with time zone" "timestamptz" 8;
    Interval 1186 1187 "interval" "interval" 16;
    Numeric 1700 1231 "numeric" "numeric" -1;
    Regprocedure 2202 2207 "regprocedure" "regprocedure" 4;
    Regclass 2205 2210 "regclass" "regclass" 4;
    Regtype 2206 2211 "regtype" "regtype" 4;
    Record 2249 2287 "record" "record" -1;
    Void 2278 0 "void" "void" 4;
    Uuid 2950 2951 "uuid" "uuid" 16;
    Jsonb 3802 3807 "jsonb" "jsonb" -1;
    Jsonpath 4072 4073 "jsonpath" "jsonpath" -1;
    Regnamespace 4089 4090 "regnamespace" "regnamespace" 4;
    Regrole 4096 4097 "regrole" "regrole" 4;
};

/// Types that columns of system relations have, and nothing else.
static SYSTEM_TYPES: &[TypeRow] = type_rows! {
    Int2Vector 22 1006 "int2vector" "int2vector" -1;
    Xid 28 1011 "xid" "xid" 4;
    OidVector 30 1013 "oidvector" "oidvector" -1;
    NodeTree 194 0 "pg_node_tree" "pg_node_tree" -1;
    AclItem 1033 1034 "aclitem" "aclitem" 12;
};

impl PgType {
    fn row(&self) -> &'static TypeRow {
        let scalar = match self {
            PgType::Array(item) => item,
            other => other,
        };
        match scalar {
            PgType::Extension(extension) => return &extension.row,
            PgType::Enum(of) => return &of.row,
            _ => {}
        }
        let mut rows = TYPES.iter().chain(SYSTEM_TYPES);
        rows.find(|r| r.ty == *scalar).unwrap_or_else(|| {
            // An array of arrays has no row of its own: PostgreSQL gives both one type.
            PgType::Unknown.row()
        })
    }

    pub fn oid(&self) -> u32 {
        let row = self.row();
        if matches!(self, PgType::Array(_)) {
            row.array_oid
        } else {
            row.oid
        }
    }

    pub fn from_oid(oid: u32) -> Option<PgType> {
        if oid == 0 {
            return None;
        }
        let builtin = TYPES.iter().chain(SYSTEM_TYPES).find_map(|r| {
            if r.oid == oid {
                Some(r.ty.clone())
            } else if r.array_oid == oid {
                Some(PgType::Array(Box::new(r.ty.clone())))
            } else {
                None
            }
        });
        builtin.or_else(|| extension::by_oid(oid))
    }

    /// The name SQL gives the type, as `format_type` prints it: `integer`, `text[]`.
    pub fn name(&self) -> &'static str {
        let row = self.row();
        if matches!(self, PgType::Array(_)) {
            row.array_name
        } else {
            row.name
        }
    }

    /// `pg_type.typname`: `int4`, `_text`.
    pub fn internal_name(&self) -> &'static str {
        let row = self.row();
        if matches!(self, PgType::Array(_)) {
            row.array_internal
        } else {
            row.internal
        }
    }

    /// The type of this `pg_type.typname`.
    pub fn from_internal_name(name: &str) -> Option<PgType> {
        TYPES.iter().find_map(|r| {
            if r.internal == name {
                Some(r.ty.clone())
            } else if r.array_internal == name {
                Some(PgType::Array(Box::new(r.ty.clone())))
            } else {
                None
            }
        })
    }

    /// A text that leads back to this very type ([`from_key`](Self::from_key)).
    pub fn key(&self) -> Cow<'static, str> {
        match self {
            PgType::Extension(extension) => extension.key().to_owned().into(),
            PgType::Enum(of) => of.key().to_owned().into(),
            PgType::Array(item) if matches!(**item, PgType::Extension(_) | PgType::Enum(_)) => {
                format!("_{}", item.key()).into()
            }
            other => other.internal_name().into(),
        }
    }

    pub fn from_key(key: &str) -> Option<PgType> {
        let of = |key| {
            let extension = extension::by_key(key).map(PgType::Extension);
            extension.or_else(|| enumeration::by_key(key).map(PgType::Enum))
        };
        PgType::from_internal_name(key)
            .or_else(|| of(key))
            .or_else(|| of(key.strip_prefix('_')?).map(PgType::array_of))
    }

    /// The plugin's type that this is, or is an array of.
    pub fn extension(&self) -> Option<&'static ExtensionType> {
        match self {
            PgType::Extension(extension) => Some(extension),
            PgType::Array(item) => item.extension(),
            _ => None,
        }
    }

    /// The enum that this is, or is an array of.
    pub fn enumeration(&self) -> Option<&'static EnumType> {
        match self {
            PgType::Enum(of) => Some(of),
            PgType::Array(item) => item.enumeration(),
            _ => None,
        }
    }

    /// `pg_type.typlen`: bytes, -1 for varlena, -2 for a C string.
    #[allow(
        clippy::len_without_is_empty,
        reason = "PostgreSQL's typlen, not a collection's"
    )]
    pub fn len(&self) -> i16 {
        if matches!(self, PgType::Array(_)) {
            -1
        } else {
            self.row().len
        }
    }

    /// Every scalar type with its OID and array OID, for `pg_type`.
    pub fn all() -> impl Iterator<Item = (PgType, u32, u32)> {
        TYPES.iter().map(|r| (r.ty.clone(), r.oid, r.array_oid))
    }

    pub fn array_of(self) -> PgType {
        match self {
            PgType::Array(_) => self,
            item => PgType::Array(Box::new(item)),
        }
    }

    pub fn element(&self) -> Option<&PgType> {
        match self {
            PgType::Array(item) => Some(item),
            _ => None,
        }
    }

    /// `pg_type.typcategory`.
    pub fn category(&self) -> char {
        use PgType::*;
        match self {
            Bool => 'B',
            Int2 | Int4 | Int8 | Float4 | Float8 | Numeric | Oid | Regclass | Regtype | Regproc
            | Regprocedure | Regnamespace | Regrole => 'N',
            Text | Varchar | Bpchar | Name => 'S',
            Char | NodeTree => 'Z',
            Date | Time | Timestamp | TimestampTz => 'D',
            Interval => 'T',
            Array(_) | Int2Vector | OidVector => 'A',
            Record | Void => 'P',
            Unknown => 'X',
            Enum(_) => 'E',
            Bytea | Uuid | Json | Jsonb | Jsonpath | AclItem | Xid | Extension(_) => 'U',
        }
    }

    /// `pg_type.typispreferred`.
    pub fn is_preferred(&self) -> bool {
        use PgType::*;
        matches!(self, Bool | Float8 | Oid | Text | TimestampTz | Interval)
    }

    /// `text`, `varchar`, `char(n)` and what else is held as text.
    pub fn is_string(&self) -> bool {
        use PgType::*;
        matches!(self, Text | Varchar | Bpchar | Name | Char | Unknown)
    }

    /// Whether values can be compared at all, as `=`, ORDER BY and DISTINCT do.
    pub fn is_comparable(&self) -> bool {
        match self {
            PgType::Json | PgType::Jsonpath => false,
            PgType::Extension(extension) => extension.ordered,
            PgType::Array(item) => item.extension().is_none() && item.is_comparable(),
            _ => true,
        }
    }

    /// Whether values are oids that are written as names: the `reg*` types.
    pub fn is_object_name(&self) -> bool {
        use PgType::*;
        matches!(
            self,
            Regclass | Regtype | Regproc | Regprocedure | Regnamespace | Regrole
        )
    }

    pub fn is_integer(&self) -> bool {
        matches!(self, PgType::Int2 | PgType::Int4 | PgType::Int8)
    }

    /// The Arrow type of values of this type when no typmod narrows it.
    pub fn arrow(&self) -> DataType {
        use PgType::*;
        match self {
            Bool => DataType::Boolean,
            Int2 => DataType::Int16,
            Int4 => DataType::Int32,
            Int8 => DataType::Int64,
            Float4 => DataType::Float32,
            Float8 => DataType::Float64,
            Numeric => DataType::LargeBinary,
            Text | Varchar | Bpchar | Name | Char | NodeTree | AclItem => DataType::Utf8View,
            Bytea => DataType::Binary,
            Date => DataType::Date32,
            Time => DataType::Time64(TimeUnit::Microsecond),
            Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Uuid => DataType::FixedSizeBinary(16),
            Jsonb => DataType::LargeUtf8,
            Json => DataType::BinaryView,
            Jsonpath => jsonpath::arrow(),
            Oid | Regclass | Regtype | Regproc | Regprocedure | Regnamespace | Regrole | Xid => {
                DataType::UInt32
            }
            Unknown => DataType::Utf8,
            Void => DataType::Utf8View,
            Record => DataType::Null,
            Array(item) => DataType::new_list(item.arrow(), true),
            Int2Vector => DataType::new_list(DataType::Int16, true),
            OidVector => DataType::new_list(DataType::UInt32, true),
            Extension(extension) => extension.arrow(),
            Enum(of) => of.arrow(),
        }
    }

    /// The Arrow type of a column or a cast with this typmod: `numeric(p ≤ 38, s)` is a decimal.
    pub fn arrow_typmod(&self, typmod: i32) -> DataType {
        match self {
            PgType::Numeric => match names::numeric_typmod(typmod) {
                Some((p, s)) if p <= 38 && (0..=p as i32).contains(&s) => {
                    DataType::Decimal128(p as u8, s as i8)
                }
                _ => DataType::LargeBinary,
            },
            PgType::Array(item) => DataType::new_list(item.arrow_typmod(typmod), true),
            other => other.arrow(),
        }
    }

    /// The SQL type an Arrow type stands for; `Utf8` and `Null` are `unknown`.
    pub fn from_arrow(ty: &DataType) -> Option<PgType> {
        Some(match ty {
            DataType::Boolean => PgType::Bool,
            DataType::Int8 | DataType::Int16 | DataType::UInt8 => PgType::Int2,
            DataType::Int32 | DataType::UInt16 => PgType::Int4,
            DataType::Int64 | DataType::UInt64 => PgType::Int8,
            DataType::Float16 | DataType::Float32 => PgType::Float4,
            DataType::Float64 => PgType::Float8,
            DataType::Decimal128(_, _)
            | DataType::Decimal256(_, _)
            | DataType::Decimal64(_, _)
            | DataType::Decimal32(_, _)
            | DataType::LargeBinary => PgType::Numeric,
            DataType::Utf8View => PgType::Text,
            DataType::Utf8 | DataType::Null => PgType::Unknown,
            DataType::LargeUtf8 => PgType::Jsonb,
            DataType::BinaryView => PgType::Json,
            DataType::Binary => PgType::Bytea,
            DataType::Date32 => PgType::Date,
            DataType::Time64(_) | DataType::Time32(_) => PgType::Time,
            DataType::Timestamp(_, None) => PgType::Timestamp,
            DataType::Timestamp(_, Some(_)) => match enumeration::of_arrow(ty) {
                Some(of) => PgType::Enum(of),
                None => PgType::TimestampTz,
            },
            DataType::Interval(_) => PgType::Interval,
            DataType::FixedSizeBinary(16) => PgType::Uuid,
            DataType::UInt32 => PgType::Oid,
            DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => {
                match PgType::from_arrow(f.data_type())? {
                    PgType::Unknown => PgType::Text.array_of(),
                    item => item.array_of(),
                }
            }
            DataType::Dictionary(_, value) => PgType::from_arrow(value)?,
            DataType::Struct(fields) => match extension::of_fields(fields) {
                Some(extension) => PgType::Extension(extension),
                None if jsonpath::is_jsonpath(ty) => PgType::Jsonpath,
                None => PgType::Record,
            },
            _ => return None,
        })
    }

    /// The storage type of a column of this type.
    pub fn column_type(&self, typmod: i32) -> Result<ColumnType> {
        use PgType::*;
        Ok(match self {
            Bool => ColumnType::Bool,
            Int2 => ColumnType::Int16,
            Int4 => ColumnType::Int32,
            Int8 => ColumnType::Int64,
            Float4 => ColumnType::Float32,
            Float8 => ColumnType::Float64,
            Numeric => match self.arrow_typmod(typmod) {
                DataType::Decimal128(precision, scale) => ColumnType::Decimal { precision, scale },
                _ => ColumnType::Numeric,
            },
            Text | Varchar | Bpchar | Name | Char | Jsonpath => ColumnType::Text,
            Bytea => ColumnType::Bytea,
            Date => ColumnType::Date,
            Time => ColumnType::Time,
            Timestamp => ColumnType::Timestamp,
            TimestampTz => ColumnType::TimestampTz,
            Interval => ColumnType::Interval,
            Uuid => ColumnType::Uuid,
            Jsonb => ColumnType::Jsonb,
            Json => ColumnType::Json,
            Oid | Regclass | Regtype | Regproc | Regprocedure | Regnamespace | Regrole => {
                ColumnType::Oid
            }
            Int2Vector | OidVector | NodeTree | AclItem | Xid => {
                return Err(SqlError::unsupported(format!(
                    "a column of type {}",
                    self.name()
                )));
            }
            Array(item) if matches!(**item, Extension(_)) => {
                return Err(SqlError::unsupported(format!(
                    "a column of type {}",
                    self.name()
                )));
            }
            Array(item) => ColumnType::Array(Box::new(item.column_type(typmod)?)),
            Extension(extension) => extension.storage.column_type(-1)?,
            Enum(_) => ColumnType::Int64,
            Unknown | Void | Record => {
                return Err(SqlError::new(
                    crate::error::state::INVALID_TABLE_DEFINITION,
                    format!("column has pseudo-type {}", self.name()),
                ));
            }
        })
    }
}

impl std::fmt::Display for PgType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
