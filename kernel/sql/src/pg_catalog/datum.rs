//! Types and values of system relations and of catalog functions.
//!
//! [`Type`] is what a column or an argument is declared as: it carries PostgreSQL's type oid and the
//! Arrow type that holds it. [`Datum`] is one value. System relations are small and their functions
//! are called on few rows, so values go one by one; [`array`] and [`read`] are the two ways between
//! a `Datum` and Arrow.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Float32Builder, Float64Builder, Int16Builder,
    Int32Builder, Int64Builder, ListBuilder, NullArray, StringViewBuilder,
    TimestampMicrosecondBuilder, UInt32Builder,
};
use arrow::datatypes::{
    DataType, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use crate::catalog::model::Oid;
use crate::error::{Result, SqlError, state};
use crate::types::json;

/// The field metadata key that names the exact SQL type where the Arrow type only tells its family:
/// the type's oid in decimal.
pub const PG_TYPE_KEY: &str = "pg_type";
/// Goes with [`PG_TYPE_KEY`]: the type modifier in decimal, left out for -1.
pub const PG_TYPMOD_KEY: &str = "pg_typmod";

macro_rules! types {
    ($($name:ident $oid:literal $arrow:ident $sql:literal;)*) => {
        /// A column's or an argument's declared type.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Type { $($name,)* }

        impl Type {
            /// `pg_attribute.atttypid`.
            pub fn oid(self) -> Oid {
                match self { $(Type::$name => $oid,)* }
            }

            /// As `format_type` prints it.
            pub fn sql(self) -> &'static str {
                match self { $(Type::$name => $sql,)* }
            }

            fn holder(self) -> Holder {
                match self { $(Type::$name => Holder::$arrow,)* }
            }
        }
    };
}

/// The Arrow forms in use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Oid,
    Text,
    Timestamptz,
    Int2List,
    OidList,
    TextList,
    Float4List,
    Float8List,
    BoolList,
    Null,
}

types! {
    Bool 16 Bool "boolean";
    Bytea 17 Text "bytea";
    Char 18 Text "\"char\"";
    Name 19 Text "name";
    Int8 20 Int8 "bigint";
    Int2 21 Int2 "smallint";
    Int2Vector 22 Int2List "int2vector";
    Int4 23 Int4 "integer";
    Regproc 24 Oid "regproc";
    Text 25 Text "text";
    Oid 26 Oid "oid";
    Xid 28 Oid "xid";
    OidVector 30 OidList "oidvector";
    NodeTree 194 Text "pg_node_tree";
    Float4 700 Float4 "real";
    Float8 701 Float8 "double precision";
    Inet 869 Text "inet";
    BoolArray 1000 BoolList "boolean[]";
    CharArray 1002 TextList "\"char\"[]";
    NameArray 1003 TextList "name[]";
    Int2Array 1005 Int2List "smallint[]";
    TextArray 1009 TextList "text[]";
    Float4Array 1021 Float4List "real[]";
    Float8Array 1022 Float8List "double precision[]";
    OidArray 1028 OidList "oid[]";
    AclItemArray 1034 TextList "aclitem[]";
    Timestamptz 1184 Timestamptz "timestamp with time zone";
    Interval 1186 Text "interval";
    Numeric 1700 Text "numeric";
    Regclass 2205 Oid "regclass";
    Regtype 2206 Oid "regtype";
    Regprocedure 2202 Oid "regprocedure";
    Regoper 2203 Oid "regoper";
    Regoperator 2204 Oid "regoperator";
    Regnamespace 4089 Oid "regnamespace";
    Regrole 4096 Oid "regrole";
    Regcollation 4191 Oid "regcollation";
    RegtypeArray 2211 OidList "regtype[]";
    AnyArray 2277 TextList "anyarray";
    Void 2278 Null "void";
    PgLsn 3220 Text "pg_lsn";
    CardinalNumber 13221 Int4 "information_schema.cardinal_number";
    CharacterData 13224 Text "information_schema.character_data";
    SqlIdentifier 13226 Text "information_schema.sql_identifier";
    TimeStamp 13232 Timestamptz "information_schema.time_stamp";
    YesOrNo 13234 Text "information_schema.yes_or_no";
}

impl Type {
    pub fn arrow(self) -> DataType {
        let list = |item: DataType| DataType::List(Arc::new(Field::new_list_field(item, true)));
        match self.holder() {
            Holder::Bool => DataType::Boolean,
            Holder::Int2 => DataType::Int16,
            Holder::Int4 => DataType::Int32,
            Holder::Int8 => DataType::Int64,
            Holder::Float4 => DataType::Float32,
            Holder::Float8 => DataType::Float64,
            Holder::Oid => DataType::UInt32,
            Holder::Text => DataType::Utf8View,
            Holder::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Holder::Int2List => list(DataType::Int16),
            Holder::OidList => list(DataType::UInt32),
            Holder::TextList => list(DataType::Utf8View),
            Holder::Float4List => list(DataType::Float32),
            Holder::Float8List => list(DataType::Float64),
            Holder::BoolList => list(DataType::Boolean),
            Holder::Null => DataType::Null,
        }
    }

    /// The type RowDescription names: a domain's base type, with its modifier.
    pub fn wire(self) -> (Oid, i32) {
        match self {
            Type::CardinalNumber => (Type::Int4.oid(), -1),
            Type::CharacterData => (1043, -1),
            Type::SqlIdentifier => (Type::Name.oid(), -1),
            Type::TimeStamp => (Type::Timestamptz.oid(), 2),
            Type::YesOrNo => (1043, 7),
            other => (other.oid(), -1),
        }
    }

    /// A nullable field that names its SQL type.
    pub fn field(self, name: &str) -> Field {
        let (oid, typmod) = self.wire();
        let mut metadata = HashMap::from([(PG_TYPE_KEY.to_owned(), oid.to_string())]);
        if typmod != -1 {
            metadata.insert(PG_TYPMOD_KEY.to_owned(), typmod.to_string());
        }
        Field::new(name, self.arrow(), true).with_metadata(metadata)
    }

    /// The one of those whose values are oids that print as names.
    pub fn of_reg(name: &str) -> Option<Type> {
        use Type::*;
        let all = [
            Regproc,
            Regclass,
            Regtype,
            Regprocedure,
            Regoper,
            Regoperator,
            Regnamespace,
            Regrole,
            Regcollation,
        ];
        all.into_iter().find(|ty| ty.sql() == name)
    }

    /// One of the types whose values are oids that print as names.
    pub fn is_reg(self) -> bool {
        use Type::*;
        matches!(
            self,
            Regproc
                | Regclass
                | Regtype
                | Regprocedure
                | Regoper
                | Regoperator
                | Regnamespace
                | Regrole
                | Regcollation
        )
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    Null,
    Bool(bool),
    Int(i64),
    Oid(Oid),
    Float(f64),
    Text(Cow<'static, str>),
    /// Microseconds since the Unix epoch.
    Timestamp(i64),
    Ints(Vec<i16>),
    Oids(Vec<Oid>),
    Texts(Vec<Option<String>>),
}

impl Datum {
    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }

    pub fn text(value: impl Into<String>) -> Datum {
        Datum::Text(Cow::Owned(value.into()))
    }
}

impl From<bool> for Datum {
    fn from(v: bool) -> Datum {
        Datum::Bool(v)
    }
}

impl From<i16> for Datum {
    fn from(v: i16) -> Datum {
        Datum::Int(v.into())
    }
}

impl From<i32> for Datum {
    fn from(v: i32) -> Datum {
        Datum::Int(v.into())
    }
}

impl From<i64> for Datum {
    fn from(v: i64) -> Datum {
        Datum::Int(v)
    }
}

impl From<Oid> for Datum {
    fn from(v: Oid) -> Datum {
        Datum::Oid(v)
    }
}

impl From<f32> for Datum {
    fn from(v: f32) -> Datum {
        Datum::Float(v.into())
    }
}

impl From<char> for Datum {
    fn from(v: char) -> Datum {
        Datum::text(v)
    }
}

impl From<&str> for Datum {
    fn from(v: &str) -> Datum {
        Datum::text(v)
    }
}

impl From<&String> for Datum {
    fn from(v: &String) -> Datum {
        Datum::text(v)
    }
}

impl From<String> for Datum {
    fn from(v: String) -> Datum {
        Datum::text(v)
    }
}

impl From<Vec<i16>> for Datum {
    fn from(v: Vec<i16>) -> Datum {
        Datum::Ints(v)
    }
}

impl From<Vec<Oid>> for Datum {
    fn from(v: Vec<Oid>) -> Datum {
        Datum::Oids(v)
    }
}

impl From<Vec<String>> for Datum {
    fn from(v: Vec<String>) -> Datum {
        Datum::Texts(v.into_iter().map(Some).collect())
    }
}

impl<T: Into<Datum>> From<Option<T>> for Datum {
    fn from(v: Option<T>) -> Datum {
        v.map_or(Datum::Null, Into::into)
    }
}

fn mismatch(ty: Type, datum: &Datum) -> SqlError {
    SqlError::internal(format!("{datum:?} in a column of type {}", ty.sql()))
}

/// Values as an Arrow array of a declared type.
pub fn array<'a>(ty: Type, values: impl Iterator<Item = &'a Datum>) -> Result<ArrayRef> {
    macro_rules! build {
        ($builder:expr, $value:ident, $($pattern:pat => $item:expr),+) => {{
            let mut builder = $builder;
            for $value in values {
                match $value {
                    Datum::Null => builder.append_null(),
                    $($pattern => builder.append_value($item),)+
                    other => return Err(mismatch(ty, other)),
                }
            }
            Arc::new(builder.finish())
        }};
    }
    macro_rules! build_list {
        ($builder:expr, $($pattern:pat => $items:expr),+) => {{
            let mut builder = ListBuilder::new($builder);
            for value in values {
                match value {
                    Datum::Null => builder.append_null(),
                    $($pattern => builder.append_value($items),)+
                    other => return Err(mismatch(ty, other)),
                }
            }
            Arc::new(builder.finish())
        }};
    }
    fn narrow<T: TryFrom<i64>>(ty: Type, value: i64) -> Result<T> {
        T::try_from(value).map_err(|_| mismatch(ty, &Datum::Int(value)))
    }
    Ok(match ty.holder() {
        Holder::Bool => build!(BooleanBuilder::new(), v, Datum::Bool(b) => *b),
        Holder::Int2 => build!(Int16Builder::new(), v, Datum::Int(i) => narrow(ty, *i)?),
        Holder::Int4 => build!(Int32Builder::new(), v, Datum::Int(i) => narrow(ty, *i)?),
        Holder::Int8 => build!(Int64Builder::new(), v, Datum::Int(i) => *i),
        Holder::Float4 => build!(Float32Builder::new(), v, Datum::Float(f) => *f as f32),
        Holder::Float8 => build!(Float64Builder::new(), v, Datum::Float(f) => *f),
        Holder::Oid => build!(UInt32Builder::new(), v, Datum::Oid(o) => *o),
        Holder::Text => build!(StringViewBuilder::new(), v, Datum::Text(t) => t.as_ref()),
        Holder::Timestamptz => {
            build!(TimestampMicrosecondBuilder::new().with_timezone("UTC"), v, Datum::Timestamp(t) => *t)
        }
        Holder::Int2List => {
            build_list!(Int16Builder::new(), Datum::Ints(l) => l.iter().map(|i| Some(*i)))
        }
        Holder::OidList => {
            build_list!(UInt32Builder::new(), Datum::Oids(l) => l.iter().map(|o| Some(*o)))
        }
        Holder::TextList => {
            build_list!(StringViewBuilder::new(), Datum::Texts(l) => l.iter().map(Option::as_deref))
        }
        Holder::Float4List => {
            build_list!(Float32Builder::new(), Datum::Ints(l) => l.iter().map(|i| Some(f32::from(*i))))
        }
        Holder::Float8List => {
            build_list!(Float64Builder::new(), Datum::Ints(l) => l.iter().map(|i| Some(f64::from(*i))))
        }
        Holder::BoolList => {
            build_list!(BooleanBuilder::new(), Datum::Ints(l) => l.iter().map(|i| Some(*i != 0)))
        }
        Holder::Null => Arc::new(NullArray::new(values.count())),
    })
}

/// One value of an Arrow array as an argument of a declared type. Text is read as the type's input
/// function would, which is what gives a literal of unknown type its meaning.
pub fn read(ty: Type, array: &dyn Array, row: usize) -> Result<Datum> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return Ok(Datum::Null);
    }
    let int = |v: i64| -> Result<Datum> {
        match ty.holder() {
            Holder::Oid => Oid::try_from(v).map(Datum::Oid).or_else(|_| {
                // PostgreSQL's oids are the 32 bits of an int4, negative or not.
                i32::try_from(v).map(|v| Datum::Oid(v as Oid)).map_err(|_| {
                    SqlError::new(state::NUMERIC_VALUE_OUT_OF_RANGE, "OID out of range")
                })
            }),
            Holder::Int2 | Holder::Int4 | Holder::Int8 => Ok(Datum::Int(v)),
            Holder::Text => Ok(Datum::text(v.to_string())),
            _ => Err(wrong_argument(ty, array)),
        }
    };
    match array.data_type() {
        DataType::Boolean => Ok(Datum::Bool(array.as_boolean().value(row))),
        DataType::Int8 => int(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => int(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => int(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => int(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => int(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => int(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => int(array
            .as_primitive::<UInt64Type>()
            .value(row)
            .try_into()
            .map_err(|_| {
                SqlError::new(state::NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range")
            })?),
        DataType::Float32 => Ok(Datum::Float(
            array.as_primitive::<Float32Type>().value(row).into(),
        )),
        DataType::Float64 => Ok(Datum::Float(array.as_primitive::<Float64Type>().value(row))),
        DataType::Utf8 => parse(ty, array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => parse(ty, array.as_string::<i64>().value(row)),
        DataType::Utf8View => parse(ty, array.as_string_view().value(row)),
        DataType::BinaryView => parse(ty, json::text_at(array.as_binary_view(), row)),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let mut texts = Vec::with_capacity(items.len());
            for i in 0..items.len() {
                texts.push(match read(Type::Text, &items, i)? {
                    Datum::Text(t) => Some(t.into_owned()),
                    _ => None,
                });
            }
            Ok(Datum::Texts(texts))
        }
        _ => Err(wrong_argument(ty, array)),
    }
}

fn wrong_argument(ty: Type, array: &dyn Array) -> SqlError {
    SqlError::new(
        state::DATATYPE_MISMATCH,
        format!(
            "a value of Arrow type {} cannot be {}",
            array.data_type(),
            ty.sql()
        ),
    )
}

/// Reads text as PostgreSQL's input function of the type. Names given to the `reg*` types stay text:
/// what they mean is the callee's business.
fn parse(ty: Type, text: &str) -> Result<Datum> {
    let invalid = || {
        SqlError::new(
            state::INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type {}: \"{text}\"", ty.sql()),
        )
    };
    let trimmed = text.trim();
    match ty.holder() {
        Holder::Bool => match trimmed.to_ascii_lowercase().as_str() {
            "t" | "true" | "y" | "yes" | "on" | "1" => Ok(Datum::Bool(true)),
            "f" | "false" | "n" | "no" | "off" | "0" => Ok(Datum::Bool(false)),
            _ => Err(invalid()),
        },
        Holder::Int2 | Holder::Int4 | Holder::Int8 => {
            trimmed.parse().map(Datum::Int).map_err(|_| invalid())
        }
        Holder::Oid => match trimmed.parse::<Oid>() {
            Ok(oid) => Ok(Datum::Oid(oid)),
            Err(_) if ty.is_reg() => Ok(Datum::text(text)),
            Err(_) => trimmed
                .parse::<i32>()
                .map(|v| Datum::Oid(v as Oid))
                .map_err(|_| invalid()),
        },
        Holder::Float4 | Holder::Float8 => trimmed.parse().map(Datum::Float).map_err(|_| invalid()),
        _ => Ok(Datum::text(text)),
    }
}
