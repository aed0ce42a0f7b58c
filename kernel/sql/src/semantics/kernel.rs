//! From Rust closures to kernels: `f2::<Text, Int4, Text>(|s, n| …)` is an [`Overload`].
//!
//! The markers ([`Text`], [`Int4`], …) say how a value is read from a column and written to one.
//! `f1`–`f4` are strict functions: NULL in, NULL out. `o1`–`o4` may also return NULL themselves,
//! and see the [`Call`].

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BinaryViewArray, BinaryViewBuilder, BooleanArray,
    BooleanBuilder, FixedSizeBinaryArray, FixedSizeBinaryBuilder, GenericBinaryArray,
    GenericStringArray, LargeBinaryBuilder, LargeStringBuilder, ListArray, ListBuilder,
    PrimitiveArray, PrimitiveBuilder, StringViewArray, StringViewBuilder,
};
use arrow::datatypes::{
    Date32Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType, UInt32Type,
};
use datafusion::logical_expr::ColumnarValue;

use super::overload::{Call, Overload, Param, ResultType, Volatility};
use crate::error::{Result, SqlError};
use crate::types::cast::numeric_at;
use crate::types::interval::Interval as IntervalValue;
use crate::types::jsonb::Json as JsonValue;
use crate::types::numeric::{Numeric as NumericValue, encoding};
use crate::types::{PgType, json, jsonpath};

/// The SQL type a marker stands for.
pub trait SqlType {
    fn pg() -> PgType;
}

/// How an argument of a SQL type is read.
pub trait Arg: SqlType {
    type Column<'a>;
    type Item<'a>;
    fn column(array: &dyn Array) -> Result<Self::Column<'_>>;
    fn get<'a: 'a>(column: &Self::Column<'a>, row: usize) -> Result<Self::Item<'a>>;
}

/// How a result of a SQL type is written.
pub trait Ret: SqlType {
    type Value;
    type Builder;
    fn builder(rows: usize) -> Self::Builder;
    fn append(builder: &mut Self::Builder, value: Option<Self::Value>) -> Result<()>;
    fn finish(builder: Self::Builder) -> ArrayRef;
}

fn wrong(ty: PgType, array: &dyn Array) -> SqlError {
    SqlError::internal(format!(
        "{} argument arrived as {}",
        ty.name(),
        array.data_type()
    ))
}

macro_rules! primitive {
    ($($marker:ident $arrow:ty, $native:ty;)*) => {$(
        pub struct $marker;
        impl SqlType for $marker {
            fn pg() -> PgType {
                PgType::$marker
            }
        }
        impl Arg for $marker {
            type Column<'a> = &'a PrimitiveArray<$arrow>;
            type Item<'a> = $native;
            fn column(a: &dyn Array) -> Result<Self::Column<'_>> {
                a.as_primitive_opt().ok_or_else(|| wrong(Self::pg(), a))
            }
            fn get<'a: 'a>(c: &Self::Column<'a>, row: usize) -> Result<Self::Item<'a>> { Ok(c.value(row)) }
        }
        impl Ret for $marker {
            type Value = $native;
            type Builder = PrimitiveBuilder<$arrow>;
            fn builder(n: usize) -> Self::Builder {
                PrimitiveBuilder::with_capacity(n).with_data_type(PgType::$marker.arrow())
            }
            fn append(b: &mut Self::Builder, v: Option<$native>) -> Result<()> {
                b.append_option(v);
                Ok(())
            }
            fn finish(mut b: Self::Builder) -> ArrayRef { Arc::new(b.finish()) }
        }
    )*};
}

primitive! {
    Int2 Int16Type, i16;
    Int4 Int32Type, i32;
    Int8 Int64Type, i64;
    Float4 Float32Type, f32;
    Float8 Float64Type, f64;
    Date Date32Type, i32;
    Time Time64MicrosecondType, i64;
    Timestamp TimestampMicrosecondType, i64;
    TimestampTz TimestampMicrosecondType, i64;
    Oid UInt32Type, u32;
}

pub struct Bool;
impl SqlType for Bool {
    fn pg() -> PgType {
        PgType::Bool
    }
}
impl Arg for Bool {
    type Column<'a> = &'a BooleanArray;
    type Item<'a> = bool;
    fn column(a: &dyn Array) -> Result<Self::Column<'_>> {
        a.as_boolean_opt().ok_or_else(|| wrong(Self::pg(), a))
    }
    fn get<'a: 'a>(c: &Self::Column<'a>, row: usize) -> Result<Self::Item<'a>> {
        Ok(c.value(row))
    }
}
impl Ret for Bool {
    type Value = bool;
    type Builder = BooleanBuilder;
    fn builder(n: usize) -> BooleanBuilder {
        BooleanBuilder::with_capacity(n)
    }
    fn append(b: &mut BooleanBuilder, v: Option<bool>) -> Result<()> {
        b.append_option(v);
        Ok(())
    }
    fn finish(mut b: BooleanBuilder) -> ArrayRef {
        Arc::new(b.finish())
    }
}

pub struct Text;
impl SqlType for Text {
    fn pg() -> PgType {
        PgType::Text
    }
}
impl Arg for Text {
    type Column<'a> = &'a StringViewArray;
    type Item<'a> = &'a str;
    fn column(a: &dyn Array) -> Result<Self::Column<'_>> {
        a.as_string_view_opt().ok_or_else(|| wrong(Self::pg(), a))
    }
    fn get<'a: 'a>(c: &Self::Column<'a>, row: usize) -> Result<Self::Item<'a>> {
        Ok(c.value(row))
    }
}
impl Ret for Text {
    type Value = String;
    type Builder = StringViewBuilder;
    fn builder(n: usize) -> StringViewBuilder {
        StringViewBuilder::with_capacity(n)
    }
    fn append(b: &mut StringViewBuilder, v: Option<String>) -> Result<()> {
        b.append_option(v);
        Ok(())
    }
    fn finish(mut b: StringViewBuilder) -> ArrayRef {
        Arc::new(b.finish())
    }
}

/// No value, which prints as nothing.
pub struct Void;
impl SqlType for Void {
    fn pg() -> PgType {
        PgType::Void
    }
}
impl Ret for Void {
    type Value = ();
    type Builder = StringViewBuilder;
    fn builder(n: usize) -> StringViewBuilder {
        StringViewBuilder::with_capacity(n)
    }
    fn append(b: &mut StringViewBuilder, v: Option<()>) -> Result<()> {
        b.append_option(v.map(|()| ""));
        Ok(())
    }
    fn finish(mut b: StringViewBuilder) -> ArrayRef {
        Arc::new(b.finish())
    }
}

pub struct Bytea;
impl SqlType for Bytea {
    fn pg() -> PgType {
        PgType::Bytea
    }
}
impl Arg for Bytea {
    type Column<'a> = &'a GenericBinaryArray<i32>;
    type Item<'a> = &'a [u8];
    fn column(a: &dyn Array) -> Result<Self::Column<'_>> {
        a.as_binary_opt().ok_or_else(|| wrong(Self::pg(), a))
    }
    fn get<'a: 'a>(c: &Self::Column<'a>, row: usize) -> Result<Self::Item<'a>> {
        Ok(c.value(row))
    }
}
impl Ret for Bytea {
    type Value = Vec<u8>;
    type Builder = BinaryBuilder;
    fn builder(n: usize) -> BinaryBuilder {
        BinaryBuilder::with_capacity(n, n * 16)
    }
    fn append(b: &mut BinaryBuilder, v: Option<Vec<u8>>) -> Result<()> {
        b.append_option(v);
        Ok(())
    }
    fn finish(mut b: BinaryBuilder) -> ArrayRef {
        Arc::new(b.finish())
    }
}

pub struct Uuid;
impl SqlType for Uuid {
    fn pg() -> PgType {
        PgType::Uuid
    }
}
impl Arg for Uuid {
    type Column<'a> = &'a FixedSizeBinaryArray;
    type Item<'a> = &'a [u8];
    fn column(a: &dyn Array) -> Result<Self::Column<'_>> {
        a.as_fixed_size_binary_opt()
            .ok_or_else(|| wrong(Self::pg(), a))
    }
    fn get<'a: 'a>(c: &Self::Column<'a>, row: usize) -> Result<Self::Item<'a>> {
        Ok(c.value(row))
    }
}
impl Ret for Uuid {
    type Value = [u8; 16];
    type Builder = FixedSizeBinaryBuilder;
    fn builder(n: usize) -> FixedSizeBinaryBuilder {
        FixedSizeBinaryBuilder::with_capacity(n, 16)
    }
    fn append(b: &mut FixedSizeBinaryBuilder, v: Option<[u8; 16]>) -> Result<()> {
        match v {
            Some(v) => b.append_value(v).map_err(SqlError::internal)?,
            None => b.append_null(),
        }
        Ok(())
    }
    fn finish(mut b: FixedSizeBinaryBuilder) -> ArrayRef {
        Arc::new(b.finish())
    }
}

pub struct Numeric;
impl SqlType for Numeric {
    fn pg() -> PgType {
        PgType::Numeric
    }
}
impl Arg for Numeric {
    type Column<'a> = &'a dyn Array;
    type Item<'a> = NumericValue;
    fn column(a: &dyn Array) -> Result<Self::Column<'_>> {
        Ok(a)
    }
    fn get<'a: 'a>(c: &Self::Column<'a>, row: usize) -> Result<Self::Item<'a>> {
        numeric_at(*c, row)
    }
}
impl Ret for Numeric {
    type Value = NumericValue;
    type Builder = (LargeBinaryBuilder, Vec<u8>);
    fn builder(n: usize) -> Self::Builder {
        (LargeBinaryBuilder::with_capacity(n, n * 16), Vec::new())
    }
    fn append((b, buffer): &mut Self::Builder, v: Option<NumericValue>) -> Result<()> {
        match v {
            Some(v) => {
                buffer.clear();
                encoding::encode(&v, buffer);
                b.append_value(&buffer);
            }
            None => b.append_null(),
        }
        Ok(())
    }
    fn finish((mut b, _): Self::Builder) -> ArrayRef {
        Arc::new(b.finish())
    }
}

pub struct Interval;
impl SqlType for Interval {
    fn pg() -> PgType {
        PgType::Interval
    }
}
impl Arg for Interval {
    type Column<'a> = &'a PrimitiveArray<IntervalMonthDayNanoType>;
    type Item<'a> = IntervalValue;
    fn column(a: &dyn Array) -> Result<Self::Column<'_>> {
        a.as_primitive_opt().ok_or_else(|| wrong(Self::pg(), a))
    }
    fn get<'a: 'a>(c: &Self::Column<'a>, row: usize) -> Result<Self::Item<'a>> {
        Ok(IntervalValue::from_arrow(c.value(row)))
    }
}
impl Ret for Interval {
    type Value = IntervalValue;
    type Builder = PrimitiveBuilder<IntervalMonthDayNanoType>;
    fn builder(n: usize) -> Self::Builder {
        PrimitiveBuilder::with_capacity(n)
    }
    fn append(b: &mut Self::Builder, v: Option<IntervalValue>) -> Result<()> {
        b.append_option(v.map(IntervalValue::to_arrow).transpose()?);
        Ok(())
    }
    fn finish(mut b: Self::Builder) -> ArrayRef {
        Arc::new(b.finish())
    }
}

/// A `json` is passed as its text, for a function to take apart.
pub struct Json;
impl SqlType for Json {
    fn pg() -> PgType {
        PgType::Json
    }
}
impl Arg for Json {
    type Column<'a> = &'a BinaryViewArray;
    type Item<'a> = &'a str;
    fn column(a: &dyn Array) -> Result<Self::Column<'_>> {
        a.as_binary_view_opt().ok_or_else(|| wrong(Self::pg(), a))
    }
    fn get<'a: 'a>(c: &Self::Column<'a>, row: usize) -> Result<Self::Item<'a>> {
        Ok(json::text_at(c, row))
    }
}
impl Ret for Json {
    type Value = String;
    type Builder = BinaryViewBuilder;
    fn builder(n: usize) -> BinaryViewBuilder {
        BinaryViewBuilder::with_capacity(n)
    }
    fn append(b: &mut BinaryViewBuilder, v: Option<String>) -> Result<()> {
        b.append_option(v);
        Ok(())
    }
    fn finish(mut b: BinaryViewBuilder) -> ArrayRef {
        Arc::new(b.finish())
    }
}

pub struct Jsonb;
impl SqlType for Jsonb {
    fn pg() -> PgType {
        PgType::Jsonb
    }
}
impl Arg for Jsonb {
    type Column<'a> = &'a GenericStringArray<i64>;
    type Item<'a> = JsonValue;
    fn column(a: &dyn Array) -> Result<Self::Column<'_>> {
        a.as_string_opt().ok_or_else(|| wrong(Self::pg(), a))
    }
    fn get<'a: 'a>(c: &Self::Column<'a>, row: usize) -> Result<Self::Item<'a>> {
        JsonValue::stored(c.value(row))
    }
}
impl Ret for Jsonb {
    type Value = JsonValue;
    type Builder = LargeStringBuilder;
    fn builder(n: usize) -> LargeStringBuilder {
        LargeStringBuilder::with_capacity(n, n * 32)
    }
    fn append(b: &mut LargeStringBuilder, v: Option<JsonValue>) -> Result<()> {
        b.append_option(v.map(|v| v.to_string()));
        Ok(())
    }
    fn finish(mut b: LargeStringBuilder) -> ArrayRef {
        Arc::new(b.finish())
    }
}

/// A `jsonpath` is passed as its text, for a function to take apart.
pub struct Jsonpath;
impl SqlType for Jsonpath {
    fn pg() -> PgType {
        PgType::Jsonpath
    }
}
impl Arg for Jsonpath {
    type Column<'a> = &'a StringViewArray;
    type Item<'a> = &'a str;
    fn column(a: &dyn Array) -> Result<Self::Column<'_>> {
        jsonpath::texts(a)
    }
    fn get<'a: 'a>(c: &Self::Column<'a>, row: usize) -> Result<Self::Item<'a>> {
        Ok(c.value(row))
    }
}

/// `text[]`.
pub struct TextArray;
impl SqlType for TextArray {
    fn pg() -> PgType {
        PgType::Text.array_of()
    }
}
impl Arg for TextArray {
    type Column<'a> = &'a ListArray;
    type Item<'a> = Vec<Option<String>>;
    fn column(a: &dyn Array) -> Result<Self::Column<'_>> {
        a.as_list_opt().ok_or_else(|| wrong(Self::pg(), a))
    }
    fn get<'a: 'a>(c: &Self::Column<'a>, row: usize) -> Result<Self::Item<'a>> {
        let items = c.value(row);
        let items = items
            .as_string_view_opt()
            .ok_or_else(|| wrong(Self::pg(), &items))?;
        Ok(items.iter().map(|s| s.map(str::to_string)).collect())
    }
}
impl Ret for TextArray {
    type Value = Vec<Option<String>>;
    type Builder = ListBuilder<StringViewBuilder>;
    fn builder(n: usize) -> Self::Builder {
        ListBuilder::with_capacity(StringViewBuilder::new(), n)
    }
    fn append(b: &mut Self::Builder, v: Option<Vec<Option<String>>>) -> Result<()> {
        match v {
            Some(items) => b.append_value(items),
            None => b.append_null(),
        }
        Ok(())
    }
    fn finish(mut b: Self::Builder) -> ArrayRef {
        Arc::new(b.finish())
    }
}

/// `jsonb[]`, as set-returning functions give it to `unnest`.
pub struct JsonbArray;
impl SqlType for JsonbArray {
    fn pg() -> PgType {
        PgType::Jsonb.array_of()
    }
}
impl Ret for JsonbArray {
    type Value = Vec<JsonValue>;
    type Builder = ListBuilder<LargeStringBuilder>;
    fn builder(n: usize) -> Self::Builder {
        ListBuilder::with_capacity(LargeStringBuilder::new(), n)
    }
    fn append(b: &mut Self::Builder, v: Option<Vec<JsonValue>>) -> Result<()> {
        match v {
            Some(items) => b.append_value(items.iter().map(|i| Some(i.to_string()))),
            None => b.append_null(),
        }
        Ok(())
    }
    fn finish(mut b: Self::Builder) -> ArrayRef {
        Arc::new(b.finish())
    }
}

/// `json[]`, likewise.
pub struct JsonArray;
impl SqlType for JsonArray {
    fn pg() -> PgType {
        PgType::Json.array_of()
    }
}
impl Ret for JsonArray {
    type Value = Vec<String>;
    type Builder = ListBuilder<BinaryViewBuilder>;
    fn builder(n: usize) -> Self::Builder {
        ListBuilder::with_capacity(BinaryViewBuilder::new(), n)
    }
    fn append(b: &mut Self::Builder, v: Option<Vec<String>>) -> Result<()> {
        match v {
            Some(items) => b.append_value(items.into_iter().map(Some)),
            None => b.append_null(),
        }
        Ok(())
    }
    fn finish(mut b: Self::Builder) -> ArrayRef {
        Arc::new(b.finish())
    }
}

/// Arrays of integers and instants, as `generate_series` gives them to `unnest`.
macro_rules! primitive_list {
    ($($marker:ident $item:ident $arrow:ty, $native:ty;)*) => {$(
        pub struct $marker;
        impl SqlType for $marker {
            fn pg() -> PgType {
                PgType::$item.array_of()
            }
        }
        impl Ret for $marker {
            type Value = Vec<$native>;
            type Builder = ListBuilder<PrimitiveBuilder<$arrow>>;
            fn builder(n: usize) -> Self::Builder {
                let values = PrimitiveBuilder::new().with_data_type(PgType::$item.arrow());
                ListBuilder::with_capacity(values, n)
            }
            fn append(b: &mut Self::Builder, v: Option<Vec<$native>>) -> Result<()> {
                match v {
                    Some(items) => {
                        b.values().append_slice(&items);
                        b.append(true);
                    }
                    None => b.append_null(),
                }
                Ok(())
            }
            fn finish(mut b: Self::Builder) -> ArrayRef { Arc::new(b.finish()) }
        }
    )*};
}
primitive_list! {
    Int4Array Int4 Int32Type, i32;
    Int8Array Int8 Int64Type, i64;
    TimestampArray Timestamp TimestampMicrosecondType, i64;
    TimestampTzArray TimestampTz TimestampMicrosecondType, i64;
}

/// An argument as an array, and the factor that turns a row number into an index of it.
pub fn expand(value: &ColumnarValue) -> Result<(ArrayRef, usize)> {
    match value {
        ColumnarValue::Array(a) => Ok((Arc::clone(a), 1)),
        ColumnarValue::Scalar(s) => Ok((s.to_array().map_err(SqlError::internal)?, 0)),
    }
}

macro_rules! adaptors {
    ($($strict:ident $open:ident ($($A:ident $a:ident $i:tt),*);)*) => {$(
        /// A strict function of these arguments.
        pub fn $strict<$($A: Arg + 'static,)* R: Ret + 'static>(
            f: for<'a> fn($($A::Item<'a>),*) -> Result<R::Value>,
        ) -> Overload {
            let kernel = move |args: &[ColumnarValue], call: &Call<'_>| -> Result<ArrayRef> {
                $(let $a = expand(&args[$i])?;)*
                $(let $a = ($a.0.as_ref(), $a.1, $A::column(&*$a.0)?);)*
                let mut out = R::builder(call.rows);
                for row in 0..call.rows {
                    if $($a.0.is_null(row * $a.1))||* {
                        R::append(&mut out, None)?;
                    } else {
                        let value = f($($A::get(&$a.2, row * $a.1)?),*)?;
                        R::append(&mut out, Some(value))?;
                    }
                }
                Ok(R::finish(out))
            };
            overload(vec![$($A::pg()),*], R::pg(), kernel)
        }

        /// A strict function that may return NULL and sees the session.
        pub fn $open<$($A: Arg + 'static,)* R: Ret + 'static>(
            f: for<'a> fn(&Call<'_>, $($A::Item<'a>),*) -> Result<Option<R::Value>>,
        ) -> Overload {
            let kernel = move |args: &[ColumnarValue], call: &Call<'_>| -> Result<ArrayRef> {
                $(let $a = expand(&args[$i])?;)*
                $(let $a = ($a.0.as_ref(), $a.1, $A::column(&*$a.0)?);)*
                let mut out = R::builder(call.rows);
                for row in 0..call.rows {
                    if $($a.0.is_null(row * $a.1))||* {
                        R::append(&mut out, None)?;
                    } else {
                        let value = f(call, $($A::get(&$a.2, row * $a.1)?),*)?;
                        R::append(&mut out, value)?;
                    }
                }
                Ok(R::finish(out))
            };
            overload(vec![$($A::pg()),*], R::pg(), kernel)
        }
    )*};
}

adaptors! {
    f1 o1 (A a 0);
    f2 o2 (A a 0, B b 1);
    f3 o3 (A a 0, B b 1, C c 2);
    f4 o4 (A a 0, B b 1, C c 2, D d 3);
}

/// A function without arguments.
pub fn f0<R: Ret + 'static>(f: fn(&Call<'_>) -> Result<Option<R::Value>>) -> Overload {
    overload(
        Vec::new(),
        R::pg(),
        move |_: &[ColumnarValue], call: &Call<'_>| {
            let mut out = R::builder(call.rows);
            for _ in 0..call.rows {
                R::append(&mut out, f(call)?)?;
            }
            Ok(R::finish(out))
        },
    )
}

/// An overload from its parts, immutable.
pub fn overload(
    params: Vec<PgType>,
    result: PgType,
    kernel: impl Fn(&[ColumnarValue], &Call<'_>) -> Result<ArrayRef> + Send + Sync + 'static,
) -> Overload {
    Overload {
        params: params.into_iter().map(Param::Is).collect(),
        variadic: false,
        result: ResultType::Is(result),
        volatility: Volatility::Immutable,
        kernel: Arc::new(kernel),
        one_type: false,
        chosen: None,
        ambiguous: false,
    }
}

/// An overload whose parameters or result are not fixed types.
pub fn polymorphic(
    params: Vec<Param>,
    variadic: bool,
    result: ResultType,
    kernel: impl Fn(&[ColumnarValue], &Call<'_>) -> Result<ArrayRef> + Send + Sync + 'static,
) -> Overload {
    Overload {
        params,
        variadic,
        result,
        volatility: Volatility::Immutable,
        kernel: Arc::new(kernel),
        one_type: false,
        chosen: None,
        ambiguous: false,
    }
}
