//! Casts between types: which exist, in which contexts, and what they do to a column.
//!
//! [`context_needed`] is `pg_cast` plus PostgreSQL's conversions through text (`to text` on
//! assignment, `from text` explicitly). [`cast_array`] performs one. Rounding is PostgreSQL's:
//! floats go to integers half to even, numerics half away from zero; what does not fit is `22003`.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, LargeBinaryBuilder, ListArray,
    PrimitiveArray, StringViewBuilder,
};
use arrow::compute::CastOptions;
use arrow::compute::kernels::cast::cast_with_options;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type,
    Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType,
    TimestampMicrosecondType, UInt32Type,
};
use num_traits::ToPrimitive;

use super::builder::{ColumnBuilder, Fitted, fit_text};
use super::datetime::{
    self, DATE_INFINITY, DATE_NEG_INFINITY, MICROS_PER_DAY, TIMESTAMP_INFINITY,
    TIMESTAMP_NEG_INFINITY, is_finite_date, is_finite_timestamp,
};
use super::encode::encode_text;
use super::jsonb::Json;
use super::numeric::{Numeric, arith, encoding};
use super::{Format, PgType, json, names};
use crate::error::{Result, SqlError, state};

/// Where a cast is asked for; each context allows what the ones before it allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    /// To match an operator's or function's argument.
    Implicit,
    /// To store into a column.
    Assignment,
    /// `CAST(x AS t)` and `x::t`.
    Explicit,
}

/// The least context in which `from` becomes `to`; `None` when there is no such cast.
pub fn context_needed(from: &PgType, to: &PgType) -> Option<CastContext> {
    use CastContext::*;
    use PgType::*;
    if from == to || *from == Unknown {
        return Some(Implicit);
    }
    if let (Array(a), Array(b)) = (from, to) {
        return context_needed(a, b);
    }
    if let (Enum(a), Enum(b)) = (from, to) {
        // Versions of one enum: a table of the past has that of then.
        return (a.oid() == b.oid()).then_some(Implicit);
    }
    let reg = PgType::is_object_name;
    let explicit_entry = match (from, to) {
        (Int2, Int4 | Int8 | Float4 | Float8 | Numeric)
        | (Int4, Int8 | Float4 | Float8 | Numeric)
        | (Int8, Float4 | Float8 | Numeric)
        | (Float4, Float8)
        | (Numeric, Float4 | Float8)
        | (Date, Timestamp | TimestampTz)
        | (Timestamp, TimestampTz)
        | (Time, Interval)
        | (Text | Varchar | Bpchar, Text | Varchar | Bpchar | Name | Regclass)
        | (Name, Text)
        | (Char, Text)
        | (Int2 | Int4 | Int8, Oid) => Some(Implicit),
        (Int2 | Int4 | Int8, t) if reg(t) => Some(Implicit),
        (Oid, t) if reg(t) => Some(Implicit),
        (t, Oid) if reg(t) => Some(Implicit),
        (Int4, Int2)
        | (Int8, Int2 | Int4)
        | (Float4, Int2 | Int4 | Int8 | Numeric)
        | (Float8, Int2 | Int4 | Int8 | Float4 | Numeric)
        | (Numeric, Int2 | Int4 | Int8)
        | (Timestamp, Date | Time)
        | (TimestampTz, Timestamp | Date | Time)
        | (Interval, Time)
        | (Oid, Int4 | Int8)
        | (Json, Jsonb)
        | (Jsonb, Json)
        | (Name, Varchar | Bpchar)
        | (Char, Varchar | Bpchar)
        | (Text | Varchar | Bpchar, Char) => Some(Assignment),
        (t, Int4 | Int8) if reg(t) => Some(Assignment),
        (Bool, Int4) | (Int4, Bool) | (Char, Int4) | (Int4, Char) => Some(Explicit),
        (Jsonb, Bool | Int2 | Int4 | Int8 | Float4 | Float8 | Numeric) => Some(Explicit),
        _ => None,
    };
    if explicit_entry.is_some() {
        return explicit_entry;
    }
    match (from, to) {
        (Void | Record, _) | (_, Void | Record | Unknown) => None,
        // Every type has an output and an input function.
        (_, Text | Varchar | Bpchar) => Some(Assignment),
        (_, Name | Char) => Some(Explicit),
        (f, _) if f.is_string() => Some(Explicit),
        _ => None,
    }
}

pub fn is_allowed(from: &PgType, to: &PgType, ctx: CastContext) -> bool {
    context_needed(from, to).is_some_and(|needed| needed <= ctx)
}

fn cannot_cast(from: &PgType, to: &PgType) -> SqlError {
    SqlError::new(
        state::CANNOT_COERCE,
        format!("cannot cast type {} to {}", from.name(), to.name()),
    )
}

pub fn out_of_range(ty: &PgType) -> SqlError {
    SqlError::new(
        state::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("{} out of range", ty.name()),
    )
}

/// Casts a column. The result has the Arrow type `to.arrow_typmod(typmod)`.
pub fn cast_array(
    array: &ArrayRef,
    from: &PgType,
    to: &PgType,
    typmod: i32,
    ctx: CastContext,
    f: &Format,
) -> Result<ArrayRef> {
    if !is_allowed(from, to, ctx) {
        return Err(cannot_cast(from, to));
    }
    cast_to(array, from, to, typmod, &to.arrow_typmod(typmod), ctx, f)
}

/// As [`cast_array`], without the check of the context, into a given Arrow representation of `to`
/// (a `numeric` has several).
pub fn cast_to(
    array: &ArrayRef,
    from: &PgType,
    to: &PgType,
    typmod: i32,
    target: &DataType,
    ctx: CastContext,
    f: &Format,
) -> Result<ArrayRef> {
    use PgType::*;
    if *array.data_type() == DataType::Null || array.null_count() == array.len() {
        return Ok(arrow::array::new_null_array(target, array.len()));
    }
    // Identical representation and nothing to enforce.
    if array.data_type() == target
        && from == to
        && (typmod < 0 || *to == Numeric && target != &DataType::LargeBinary)
    {
        return Ok(Arc::clone(array));
    }
    match (from, to) {
        (Enum(_), Enum(to)) => to.wrap(array),
        (Array(a), Array(b)) => cast_list(array, a, b, typmod, target, ctx, f),
        // A modifier is applied by reading the value again.
        (Extension(a), Extension(b)) if a == b => b.parse(&a.format(array)?, typmod),
        (Extension(a), _) if to.is_string() => {
            to_text(&a.format(array)?, &Text, to, typmod, ctx, f)
        }
        (from, Extension(b)) if from.is_string() && *from != Char => {
            let text = native(array, &DataType::Utf8View)?;
            b.parse(&text, typmod)
        }
        (_, Text | Varchar | Bpchar | Name | Char | Unknown) => {
            to_text(array, from, to, typmod, ctx, f)
        }
        (from, _) if from.is_string() && *from != Char => from_text(array, to, typmod, target, f),
        (Json, Jsonb) | (Jsonb, Json) => build(array, to, typmod, f),
        (_, Numeric) => to_numeric(array, from, typmod, target),
        (Numeric, _) => from_numeric(array, to),
        (
            Int2 | Int4 | Int8 | Oid | Regclass | Regtype | Regproc | Regprocedure | Regnamespace
            | Regrole,
            _,
        ) if matches!(to, Int2 | Int4 | Int8) => integer_to_integer(array, to),
        (
            Int2 | Int4 | Int8,
            Oid | Regclass | Regtype | Regproc | Regprocedure | Regnamespace | Regrole,
        ) => {
            let ints = native(array, &DataType::Int64)?;
            try_map::<Int64Type, UInt32Type>(&ints, |v| {
                // Negative int4 values keep their bits.
                u32::try_from(v)
                    .or_else(|_| i32::try_from(v).map(|v| v as u32))
                    .map_err(|_| {
                        SqlError::new(state::NUMERIC_VALUE_OUT_OF_RANGE, "OID out of range")
                    })
            })
        }
        (
            Oid | Regclass | Regtype | Regproc | Regprocedure | Regnamespace | Regrole,
            Oid | Regclass | Regtype | Regproc | Regprocedure | Regnamespace | Regrole,
        ) => Ok(Arc::clone(array)),
        (Int2 | Int4 | Int8 | Float4, Float8) | (Int2 | Int4 | Int8, Float4) => {
            native(array, target)
        }
        (Float8, Float4) => try_map::<Float64Type, Float32Type>(array, |v| {
            let r = v as f32;
            if r.is_infinite() && !v.is_infinite() {
                return Err(value_out_of_range("overflow"));
            }
            if r == 0.0 && v != 0.0 {
                return Err(value_out_of_range("underflow"));
            }
            Ok(r)
        }),
        (Float4 | Float8, Int2 | Int4 | Int8) => {
            float_to_integer(&native(array, &DataType::Float64)?, to)
        }
        (Bool, Int4) => native(array, &DataType::Int32),
        (Int4, Bool) => {
            let ints = array.as_primitive::<Int32Type>();
            Ok(Arc::new(BooleanArray::from_unary(ints, |v| v != 0)))
        }
        (Char, Int4) => {
            let s = array.as_string_view();
            Ok(Arc::new(
                s.iter()
                    .map(|v| v.map(|v| v.bytes().next().unwrap_or(0) as i8 as i32))
                    .collect::<PrimitiveArray<Int32Type>>(),
            ))
        }
        (Jsonb, _) => from_jsonb(array, to, typmod, target, f),
        _ => temporal(array, from, to, typmod, f)?.ok_or_else(|| cannot_cast(from, to)),
    }
}

fn value_out_of_range(what: &str) -> SqlError {
    SqlError::new(
        state::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value out of range: {what}"),
    )
}

/// A conversion that cannot fail and where Arrow and PostgreSQL agree.
fn native(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(array, target, &options).map_err(SqlError::internal)
}

fn try_map<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
    array: &ArrayRef,
    op: impl Fn(A::Native) -> Result<B::Native>,
) -> Result<ArrayRef> {
    Ok(Arc::new(
        array.as_primitive::<A>().try_unary::<_, B, SqlError>(op)?,
    ))
}

fn integer_to_integer(array: &ArrayRef, to: &PgType) -> Result<ArrayRef> {
    let wide = match array.data_type() {
        DataType::Int64 => Arc::clone(array),
        DataType::UInt64 => {
            let v = array.as_primitive::<arrow::datatypes::UInt64Type>();
            Arc::new(v.try_unary::<_, Int64Type, SqlError>(|v| {
                i64::try_from(v).map_err(|_| out_of_range(&PgType::Int8))
            })?)
        }
        _ => native(array, &DataType::Int64)?,
    };
    match to {
        PgType::Int2 => try_map::<Int64Type, Int16Type>(&wide, |v| {
            i16::try_from(v).map_err(|_| out_of_range(to))
        }),
        PgType::Int4 => try_map::<Int64Type, Int32Type>(&wide, |v| {
            i32::try_from(v).map_err(|_| out_of_range(to))
        }),
        _ => Ok(wide),
    }
}

fn float_to_integer(array: &ArrayRef, to: &PgType) -> Result<ArrayRef> {
    let round = |v: f64, min: f64, end: f64| {
        let r = v.round_ties_even();
        if r >= min && r < end {
            Ok(r)
        } else {
            Err(out_of_range(to))
        }
    };
    match to {
        PgType::Int2 => {
            try_map::<Float64Type, Int16Type>(array, |v| Ok(round(v, -32768.0, 32768.0)? as i16))
        }
        PgType::Int4 => try_map::<Float64Type, Int32Type>(array, |v| {
            Ok(round(v, -2147483648.0, 2147483648.0)? as i32)
        }),
        _ => try_map::<Float64Type, Int64Type>(array, |v| {
            Ok(round(v, -9223372036854775808.0, 9223372036854775808.0)? as i64)
        }),
    }
}

/// The numeric in a slot of a column of any numeric representation.
pub fn numeric_at(array: &dyn Array, row: usize) -> Result<Numeric> {
    match array.data_type() {
        DataType::LargeBinary => encoding::decode(array.as_binary::<i64>().value(row))
            .ok_or_else(|| SqlError::new(state::DATA_CORRUPTED, "invalid numeric encoding")),
        DataType::Decimal128(_, scale) => Ok(Numeric::from_decimal128(
            array.as_primitive::<Decimal128Type>().value(row),
            *scale,
        )),
        other => Err(SqlError::internal(format!("{other} is not numeric"))),
    }
}

/// Rounds to a `numeric(p, s)` typmod and checks the precision.
pub fn numeric_to_typmod(n: Numeric, typmod: i32) -> Result<Numeric> {
    let Some((precision, scale)) = names::numeric_typmod(typmod) else {
        return Ok(n);
    };
    let Numeric::Finite(_) = &n else {
        return match n {
            Numeric::NaN => Ok(n),
            _ => Err(SqlError::new(state::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")
                .with_detail(format!(
                    "A field with precision {precision}, scale {scale} cannot hold an infinite value."
                ))),
        };
    };
    let rounded = n.round(scale)?;
    if let Numeric::Finite(r) = &rounded {
        let whole_digits = super::numeric::digits(&r.coefficient) - r.dscale as i64;
        if whole_digits > precision as i64 - scale as i64 {
            let exponent = precision as i64 - scale as i64;
            let limit = if exponent == 0 {
                "1".to_string()
            } else {
                format!("10^{exponent}")
            };
            return Err(SqlError::new(state::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")
                .with_detail(format!(
                    "A field with precision {precision}, scale {scale} must round to an absolute \
                     value less than {limit}."
                )));
        }
    }
    Ok(rounded)
}

fn to_numeric(array: &ArrayRef, from: &PgType, typmod: i32, target: &DataType) -> Result<ArrayRef> {
    let value = |row: usize| -> Result<Numeric> {
        Ok(match from {
            PgType::Numeric => numeric_at(array, row)?,
            PgType::Float4 => Numeric::from_f32(array.as_primitive::<Float32Type>().value(row)),
            PgType::Float8 => Numeric::from_f64(array.as_primitive::<Float64Type>().value(row)),
            PgType::Jsonb => {
                json_number(&Json::stored(array.as_string::<i64>().value(row))?, from)?
            }
            _ => return Err(cannot_cast(from, &PgType::Numeric)),
        })
    };
    match target {
        DataType::Decimal128(precision, scale) => {
            let unit = 10i128.pow((*scale).max(0) as u32);
            let limit = 10i128.pow(*precision as u32);
            let from_int = |v: i128| -> Result<i128> {
                match v.checked_mul(unit) {
                    Some(v) if v.abs() < limit => Ok(v),
                    _ => Numeric::new(v.into(), 0).to_decimal128(*precision, *scale),
                }
            };
            let values: Decimal128Array = if from.is_integer() {
                let ints = native(array, &DataType::Int64)?;
                ints.as_primitive::<Int64Type>()
                    .try_unary::<_, Decimal128Type, SqlError>(|v| from_int(v as i128))?
            } else if let DataType::Decimal128(_, s) = array.data_type() {
                let values = array.as_primitive::<Decimal128Type>();
                if s <= scale && *s >= 0 {
                    let up = 10i128.pow((scale - s) as u32);
                    values.try_unary::<_, Decimal128Type, SqlError>(|v| {
                        match v.checked_mul(up) {
                            Some(v) if v.abs() < limit => Ok(v),
                            _ => Numeric::from_decimal128(v, *s).to_decimal128(*precision, *scale),
                        }
                    })?
                } else {
                    values.try_unary::<_, Decimal128Type, SqlError>(|v| {
                        Numeric::from_decimal128(v, *s).to_decimal128(*precision, *scale)
                    })?
                }
            } else {
                (0..array.len())
                    .map(|row| {
                        if array.is_null(row) {
                            return Ok(None);
                        }
                        value(row)?.to_decimal128(*precision, *scale).map(Some)
                    })
                    .collect::<Result<Decimal128Array>>()?
            };
            Ok(Arc::new(
                values
                    .with_precision_and_scale(*precision, *scale)
                    .map_err(SqlError::internal)?,
            ))
        }
        _ => {
            let ints = from
                .is_integer()
                .then(|| native(array, &DataType::Int64))
                .transpose()?;
            let mut out = LargeBinaryBuilder::with_capacity(array.len(), array.len() * 16);
            let mut buffer = Vec::new();
            for row in 0..array.len() {
                if array.is_null(row) {
                    out.append_null();
                    continue;
                }
                let n = match &ints {
                    Some(ints) => Numeric::from_i64(ints.as_primitive::<Int64Type>().value(row)),
                    None => value(row)?,
                };
                buffer.clear();
                encoding::encode(&numeric_to_typmod(n, typmod)?, &mut buffer);
                out.append_value(&buffer);
            }
            Ok(Arc::new(out.finish()))
        }
    }
}

/// A numeric as an integer type, rounded half away from zero.
pub fn numeric_to_integer(n: &Numeric, to: &PgType) -> Result<i64> {
    let (min, max) = match to {
        PgType::Int2 => (i16::MIN as i128, i16::MAX as i128),
        PgType::Int4 => (i32::MIN as i128, i32::MAX as i128),
        _ => (i64::MIN as i128, i64::MAX as i128),
    };
    let what = match n {
        Numeric::Finite(d) => {
            return arith::rescale(&d.coefficient, d.dscale as i64, 0)
                .to_i128()
                .filter(|v| (min..=max).contains(v))
                .map(|v| v as i64)
                .ok_or_else(|| out_of_range(to));
        }
        Numeric::NaN => "NaN",
        _ => "infinity",
    };
    Err(SqlError::new(
        state::FEATURE_NOT_SUPPORTED,
        format!("cannot convert {what} to {}", to.name()),
    ))
}

fn from_numeric(array: &ArrayRef, to: &PgType) -> Result<ArrayRef> {
    macro_rules! rows {
        ($arrow:ty, $convert:expr) => {{
            let convert = $convert;
            (0..array.len())
                .map(|row| {
                    if array.is_null(row) {
                        Ok(None)
                    } else {
                        convert(numeric_at(array, row)?).map(Some)
                    }
                })
                .collect::<Result<PrimitiveArray<$arrow>>>()
                .map(|a| Arc::new(a) as ArrayRef)
        }};
    }
    match to {
        PgType::Int2 => rows!(Int16Type, |n: Numeric| Ok(
            numeric_to_integer(&n, to)? as i16
        )),
        PgType::Int4 => rows!(Int32Type, |n: Numeric| Ok(
            numeric_to_integer(&n, to)? as i32
        )),
        PgType::Int8 => rows!(Int64Type, |n: Numeric| numeric_to_integer(&n, to)),
        PgType::Float4 => rows!(Float32Type, |n: Numeric| {
            let v = n.to_f64() as f32;
            if v.is_infinite() && matches!(n, Numeric::Finite(_)) {
                return Err(SqlError::new(
                    state::NUMERIC_VALUE_OUT_OF_RANGE,
                    format!("\"{n}\" is out of range for type real"),
                ));
            }
            Ok(v)
        }),
        PgType::Float8 => rows!(Float64Type, |n: Numeric| {
            let v = n.to_f64();
            if v.is_infinite() && matches!(n, Numeric::Finite(_)) {
                return Err(SqlError::new(
                    state::NUMERIC_VALUE_OUT_OF_RANGE,
                    format!("\"{n}\" is out of range for type double precision"),
                ));
            }
            Ok(v)
        }),
        _ => Err(cannot_cast(&PgType::Numeric, to)),
    }
}

/// The text at a slot of any string representation, or of a `json`.
pub fn text_at(array: &dyn Array, row: usize) -> &str {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row),
        DataType::BinaryView => json::text_at(array.as_binary_view(), row),
        _ => array.as_string_view().value(row),
    }
}

fn to_text(
    array: &ArrayRef,
    from: &PgType,
    to: &PgType,
    typmod: i32,
    ctx: CastContext,
    f: &Format,
) -> Result<ArrayRef> {
    let mut out = StringViewBuilder::with_capacity(array.len());
    let mut buffer = String::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            out.append_null();
            continue;
        }
        let text = if from.is_string() {
            text_at(array, row)
        } else {
            buffer.clear();
            if *from == PgType::Bool {
                buffer.push_str(if array.as_boolean().value(row) {
                    "true"
                } else {
                    "false"
                });
            } else {
                encode_text(array, row, from, f, &mut buffer);
            }
            buffer.as_str()
        };
        // An explicit cast to a limited type cuts silently, as the standard asks.
        let text = match names::char_length(typmod) {
            Some(n)
                if ctx == CastContext::Explicit
                    && matches!(to, PgType::Varchar | PgType::Bpchar) =>
            {
                text.char_indices()
                    .nth(n)
                    .map_or(text, |(cut, _)| &text[..cut])
            }
            _ => text,
        };
        let Fitted::Borrowed(text) = fit_text(text, to, typmod)?;
        out.append_value(text);
    }
    Ok(Arc::new(out.finish()))
}

fn from_text(
    array: &ArrayRef,
    to: &PgType,
    typmod: i32,
    target: &DataType,
    f: &Format,
) -> Result<ArrayRef> {
    if let DataType::Decimal128(p, s) = target {
        // The representation asked for may be another than the typmod's.
        let typmod = names::make_numeric_typmod(*p as u32, *s as i32);
        return build(array, to, typmod, f);
    }
    build(array, to, typmod, f)
}

fn build(array: &ArrayRef, to: &PgType, typmod: i32, f: &Format) -> Result<ArrayRef> {
    let mut b = ColumnBuilder::new(to, typmod, array.len())?;
    for row in 0..array.len() {
        if array.is_null(row) {
            b.append_null();
        } else {
            b.append_text(text_at(array, row), f)?;
        }
    }
    Ok(b.finish())
}

fn cast_list(
    array: &ArrayRef,
    from: &PgType,
    to: &PgType,
    typmod: i32,
    target: &DataType,
    ctx: CastContext,
    f: &Format,
) -> Result<ArrayRef> {
    let DataType::List(item) = target else {
        return Err(SqlError::internal(format!("{target} is not a list")));
    };
    let list = array.as_list::<i32>();
    let items = cast_to(list.values(), from, to, typmod, item.data_type(), ctx, f)?;
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    Ok(Arc::new(ListArray::new(
        field,
        list.offsets().clone(),
        items,
        list.nulls().cloned(),
    )))
}

fn json_number(v: &Json, to: &PgType) -> Result<Numeric> {
    match v {
        Json::Number(n) => Numeric::parse(n),
        other => Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            format!(
                "cannot cast jsonb {} to type {}",
                other.type_name(),
                to.name()
            ),
        )),
    }
}

fn from_jsonb(
    array: &ArrayRef,
    to: &PgType,
    typmod: i32,
    target: &DataType,
    f: &Format,
) -> Result<ArrayRef> {
    if *to == PgType::Bool {
        return Ok(Arc::new(
            (0..array.len())
                .map(|row| {
                    if array.is_null(row) {
                        return Ok(None);
                    }
                    match Json::stored(array.as_string::<i64>().value(row))? {
                        Json::Bool(b) => Ok(Some(b)),
                        Json::Null => Ok(None),
                        other => Err(SqlError::new(
                            state::INVALID_PARAMETER_VALUE,
                            format!("cannot cast jsonb {} to type boolean", other.type_name()),
                        )),
                    }
                })
                .collect::<Result<BooleanArray>>()?,
        ));
    }
    let mut numbers = LargeBinaryBuilder::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            numbers.append_null();
        } else {
            let v = Json::stored(array.as_string::<i64>().value(row))?;
            numbers.append_value(encoding::encode_to_vec(&json_number(&v, to)?));
        }
    }
    let numbers: ArrayRef = Arc::new(numbers.finish());
    cast_to(
        &numbers,
        &PgType::Numeric,
        to,
        typmod,
        target,
        CastContext::Explicit,
        f,
    )
}

/// `interval(p)`.
pub fn round_interval_micros(micros: i64, typmod: i32) -> i64 {
    if !(0..6).contains(&typmod) {
        return micros;
    }
    let unit = 10i64.pow(6 - typmod as u32);
    let half = unit / 2;
    if micros >= 0 {
        micros.saturating_add(half) / unit * unit
    } else {
        -(half.saturating_sub(micros) / unit * unit)
    }
}

/// Days to the microsecond that starts them; infinities stay.
pub fn date_to_timestamp(days: i32) -> Result<i64> {
    match days {
        DATE_INFINITY => Ok(TIMESTAMP_INFINITY),
        DATE_NEG_INFINITY => Ok(TIMESTAMP_NEG_INFINITY),
        d => (d as i64)
            .checked_mul(MICROS_PER_DAY)
            .filter(|t| datetime::is_valid_timestamp(*t))
            .ok_or_else(|| {
                SqlError::new(
                    state::DATETIME_FIELD_OVERFLOW,
                    "date out of range for timestamp",
                )
            }),
    }
}

pub fn timestamp_to_date(t: i64) -> i32 {
    match t {
        TIMESTAMP_INFINITY => DATE_INFINITY,
        TIMESTAMP_NEG_INFINITY => DATE_NEG_INFINITY,
        t => t.div_euclid(MICROS_PER_DAY) as i32,
    }
}

fn temporal(
    array: &ArrayRef,
    from: &PgType,
    to: &PgType,
    typmod: i32,
    f: &Format,
) -> Result<Option<ArrayRef>> {
    use PgType::*;
    type Ts = TimestampMicrosecondType;
    let zone = &f.time_zone;
    let to_utc = |local: i64| {
        if is_finite_timestamp(local) {
            zone.to_utc(local)
        } else {
            local
        }
    };
    let to_local = |utc: i64| {
        if is_finite_timestamp(utc) {
            zone.to_local(utc)
        } else {
            utc
        }
    };
    let fit = |t: i64| datetime::round_to_precision(t, typmod);
    let tz =
        |a: ArrayRef| -> ArrayRef { Arc::new(a.as_primitive::<Ts>().clone().with_timezone("UTC")) };
    Ok(Some(match (from, to) {
        (Date, Timestamp) => try_map::<Date32Type, Ts>(array, date_to_timestamp)?,
        (Date, TimestampTz) => tz(try_map::<Date32Type, Ts>(array, |d| {
            if !is_finite_date(d) {
                date_to_timestamp(d)
            } else {
                date_to_timestamp(d).map(to_utc)
            }
        })?),
        (Timestamp, TimestampTz) => {
            let local = without_zone(array);
            tz(try_map::<Ts, Ts>(&local, |t| Ok(fit(to_utc(t))))?)
        }
        (TimestampTz, Timestamp) => {
            try_map::<Ts, Ts>(&without_zone(array), |t| Ok(fit(to_local(t))))?
        }
        (Timestamp, Timestamp) => try_map::<Ts, Ts>(array, |t| Ok(fit(t)))?,
        (TimestampTz, TimestampTz) => tz(try_map::<Ts, Ts>(&without_zone(array), |t| Ok(fit(t)))?),
        (Timestamp, Date) => try_map::<Ts, Date32Type>(array, |t| Ok(timestamp_to_date(t)))?,
        (TimestampTz, Date) => {
            try_map::<Ts, Date32Type>(&without_zone(array), |t| Ok(timestamp_to_date(to_local(t))))?
        }
        (Timestamp | TimestampTz, Time) => {
            let zoned = *from == TimestampTz;
            try_map::<Ts, Time64MicrosecondType>(&without_zone(array), |t| {
                let t = if zoned { to_local(t) } else { t };
                Ok(datetime::round_time(t.rem_euclid(MICROS_PER_DAY), typmod))
            })?
        }
        (Time, Time) => try_map::<Time64MicrosecondType, Time64MicrosecondType>(array, |t| {
            Ok(datetime::round_time(t, typmod))
        })?,
        (Time, PgType::Interval) => {
            try_map::<Time64MicrosecondType, IntervalMonthDayNanoType>(array, |t| {
                super::interval::Interval {
                    months: 0,
                    days: 0,
                    micros: t,
                }
                .to_arrow()
            })?
        }
        (PgType::Interval, Time) => {
            try_map::<IntervalMonthDayNanoType, Time64MicrosecondType>(array, |v| {
                Ok(super::interval::Interval::from_arrow(v)
                    .micros
                    .rem_euclid(MICROS_PER_DAY))
            })?
        }
        (PgType::Interval, PgType::Interval) => {
            try_map::<IntervalMonthDayNanoType, IntervalMonthDayNanoType>(array, |v| {
                let mut v = super::interval::Interval::from_arrow(v);
                v.micros = round_interval_micros(v.micros, typmod);
                v.to_arrow()
            })?
        }
        _ => return Ok(None),
    }))
}

/// The same microseconds without the zone in the Arrow type.
pub fn without_zone(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some(_)) => {
            let t = array.as_primitive::<TimestampMicrosecondType>().clone();
            Arc::new(t.with_data_type(PgType::Timestamp.arrow()))
        }
        _ => Arc::clone(array),
    }
}
