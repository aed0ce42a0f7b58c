//! Text to values: one Arrow builder per column, fed with PostgreSQL's input syntax.
//!
//! [`ColumnBuilder`] is the only reader of textual values: literals, parameters, casts from text and
//! COPY all come through it, so they accept and refuse the same things with the same errors. It
//! takes `&str` and allocates nothing per field, which COPY relies on.

mod receive;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BinaryViewBuilder, BooleanBuilder, Decimal128Builder,
    FixedSizeBinaryBuilder, LargeBinaryBuilder, LargeStringBuilder, ListArray, NullBufferBuilder,
    PrimitiveBuilder, StringViewBuilder, new_empty_array, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat;
use arrow::datatypes::{
    DataType, Date32Type, Field, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType, TimestampSecondType,
    UInt32Type,
};
use datafusion::common::ScalarValue;

use super::interval::Interval;
use super::numeric::{Numeric, encoding};
use super::{
    EnumType, ExtensionType, Format, PgType, array, datetime, float, json, jsonb, jsonpath, names,
};
use crate::error::{Result, SqlError, state};

/// Longest `name`, in bytes (`NAMEDATALEN` - 1).
const NAME_BYTES_MAX: usize = 63;

/// Builds one column of a type from texts.
pub struct ColumnBuilder {
    ty: PgType,
    typmod: i32,
    values: Values,
}

enum Values {
    Bool(BooleanBuilder),
    Int2(PrimitiveBuilder<Int16Type>),
    Int4(PrimitiveBuilder<Int32Type>),
    Int8(PrimitiveBuilder<Int64Type>),
    Float4(PrimitiveBuilder<Float32Type>),
    Float8(PrimitiveBuilder<Float64Type>),
    Decimal {
        values: Decimal128Builder,
        precision: u8,
        scale: i8,
    },
    Numeric {
        values: LargeBinaryBuilder,
        buffer: Vec<u8>,
    },
    Text(StringViewBuilder),
    Bytea {
        values: BinaryBuilder,
        buffer: Vec<u8>,
    },
    Date(PrimitiveBuilder<Date32Type>),
    Time(PrimitiveBuilder<Time64MicrosecondType>),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>),
    Interval(PrimitiveBuilder<IntervalMonthDayNanoType>),
    Uuid(FixedSizeBinaryBuilder),
    Json(BinaryViewBuilder),
    Jsonb(LargeStringBuilder),
    Jsonpath(StringViewBuilder),
    Oid(PrimitiveBuilder<UInt32Type>),
    Extension {
        ty: &'static ExtensionType,
        /// One value each.
        values: Vec<ArrayRef>,
    },
    Enum {
        ty: &'static EnumType,
        keys: PrimitiveBuilder<TimestampSecondType>,
    },
    Array {
        items: Box<ColumnBuilder>,
        lengths: Vec<usize>,
        nulls: NullBufferBuilder,
    },
}

pub fn invalid_input(ty: &PgType, text: &str) -> SqlError {
    SqlError::new(
        state::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {}: \"{text}\"", ty.name()),
    )
}

impl ColumnBuilder {
    pub fn new(ty: &PgType, typmod: i32, capacity: usize) -> Result<ColumnBuilder> {
        use PgType::*;
        let n = capacity;
        let values = match ty {
            Bool => Values::Bool(BooleanBuilder::with_capacity(n)),
            Int2 => Values::Int2(PrimitiveBuilder::with_capacity(n)),
            Int4 => Values::Int4(PrimitiveBuilder::with_capacity(n)),
            Int8 => Values::Int8(PrimitiveBuilder::with_capacity(n)),
            Float4 => Values::Float4(PrimitiveBuilder::with_capacity(n)),
            Float8 => Values::Float8(PrimitiveBuilder::with_capacity(n)),
            Numeric => match ty.arrow_typmod(typmod) {
                DataType::Decimal128(precision, scale) => Values::Decimal {
                    values: Decimal128Builder::with_capacity(n)
                        .with_data_type(DataType::Decimal128(precision, scale)),
                    precision,
                    scale,
                },
                _ => Values::Numeric {
                    values: LargeBinaryBuilder::with_capacity(n, n * 16),
                    buffer: Vec::new(),
                },
            },
            Text | Varchar | Bpchar | Name | Char | Unknown => {
                Values::Text(StringViewBuilder::with_capacity(n))
            }
            Bytea => Values::Bytea {
                values: BinaryBuilder::with_capacity(n, n * 16),
                buffer: Vec::new(),
            },
            Date => Values::Date(PrimitiveBuilder::with_capacity(n)),
            Time => Values::Time(PrimitiveBuilder::with_capacity(n)),
            Timestamp => Values::Timestamp(PrimitiveBuilder::with_capacity(n)),
            TimestampTz => Values::Timestamp(
                PrimitiveBuilder::with_capacity(n).with_data_type(TimestampTz.arrow()),
            ),
            Interval => Values::Interval(PrimitiveBuilder::with_capacity(n)),
            Uuid => Values::Uuid(FixedSizeBinaryBuilder::with_capacity(n, 16)),
            Json => Values::Json(BinaryViewBuilder::with_capacity(n)),
            Jsonb => Values::Jsonb(LargeStringBuilder::with_capacity(n, n * 32)),
            Jsonpath => Values::Jsonpath(StringViewBuilder::with_capacity(n)),
            Oid | Regclass | Regtype | Regproc | Regprocedure | Regnamespace | Regrole => {
                Values::Oid(PrimitiveBuilder::with_capacity(n))
            }
            Array(item) => Values::Array {
                items: Box::new(ColumnBuilder::new(item, typmod, n)?),
                lengths: Vec::with_capacity(n),
                nulls: NullBufferBuilder::new(n),
            },
            Enum(ty) => Values::Enum {
                ty,
                keys: PrimitiveBuilder::with_capacity(n).with_data_type(ty.arrow()),
            },
            Extension(ty) => Values::Extension {
                ty,
                values: Vec::with_capacity(n),
            },
            Void | Record | Int2Vector | OidVector | NodeTree | AclItem | Xid => {
                return Err(SqlError::unsupported(format!(
                    "input of type {}",
                    ty.name()
                )));
            }
        };
        Ok(ColumnBuilder {
            ty: ty.clone(),
            typmod,
            values,
        })
    }

    pub fn pg_type(&self) -> &PgType {
        &self.ty
    }

    /// Reads one value. On an error nothing is appended.
    pub fn append_text(&mut self, text: &str, f: &Format) -> Result<()> {
        let ty = &self.ty;
        match &mut self.values {
            Values::Bool(b) => {
                b.append_value(parse_bool(text).ok_or_else(|| invalid_input(ty, text))?)
            }
            Values::Int2(b) => {
                b.append_value(parse_int(text, ty, i16::MIN as i64, i16::MAX as i64)? as i16)
            }
            Values::Int4(b) => {
                b.append_value(parse_int(text, ty, i32::MIN as i64, i32::MAX as i64)? as i32)
            }
            Values::Int8(b) => b.append_value(parse_int(text, ty, i64::MIN, i64::MAX)?),
            Values::Float4(b) => b.append_value(float::parse_f32(text)?),
            Values::Float8(b) => b.append_value(float::parse_f64(text)?),
            Values::Decimal {
                values,
                precision,
                scale,
            } => {
                let v = match fast_decimal(text.as_bytes(), *scale) {
                    Some(v) if v.unsigned_abs() < 10u128.pow(*precision as u32) => v,
                    _ => Numeric::parse(text)?.to_decimal128(*precision, *scale)?,
                };
                values.append_value(v);
            }
            Values::Numeric { values, buffer } => {
                buffer.clear();
                let n = super::cast::numeric_to_typmod(Numeric::parse(text)?, self.typmod)?;
                encoding::encode(&n, buffer);
                values.append_value(&buffer);
            }
            Values::Text(b) => match fit_text(text, ty, self.typmod)? {
                Fitted::Borrowed(t) => b.append_value(t),
            },
            Values::Bytea { values, buffer } => {
                buffer.clear();
                parse_bytea(text, buffer)?;
                values.append_value(&buffer);
            }
            Values::Date(b) => b.append_value(datetime::parse_date(text, f)?),
            Values::Time(b) => b.append_value(datetime::round_time(
                datetime::parse_time(text, f)?,
                self.typmod,
            )),
            Values::Timestamp(b) => {
                let t = if *ty == PgType::TimestampTz {
                    datetime::parse_timestamptz(text, f)?
                } else {
                    datetime::parse_timestamp(text, f)?
                };
                b.append_value(datetime::round_to_precision(t, self.typmod));
            }
            Values::Interval(b) => {
                let mut v = Interval::parse(text)?;
                v.micros = super::cast::round_interval_micros(v.micros, self.typmod);
                b.append_value(v.to_arrow()?);
            }
            Values::Uuid(b) => {
                let v = parse_uuid(text).ok_or_else(|| invalid_input(ty, text))?;
                b.append_value(v).map_err(SqlError::internal)?;
            }
            Values::Json(b) => {
                json::check(text)?;
                b.append_value(text);
            }
            Values::Jsonb(b) => b.append_value(jsonb::canonical(text)?),
            Values::Jsonpath(b) => b.append_value(jsonpath::canonical(text)?),
            Values::Oid(b) => b.append_value(parse_oid(text, ty, f)?),
            Values::Enum { ty, keys } => keys.append_value(ty.key_of(text)?),
            Values::Extension { ty, values } => values.push(ty.parse_one(text, self.typmod)?),
            Values::Array {
                items,
                lengths,
                nulls,
            } => {
                // Elements go in one by one, so check the text first: an error leaves no trace.
                let mut n = 0;
                let mut check = ColumnBuilder::new(&items.ty, self.typmod, 0)?;
                array::parse(text, |e| match e {
                    Some(e) => check.append_text(e, f),
                    None => Ok(()),
                })?;
                array::parse(text, |e| {
                    n += 1;
                    match e {
                        Some(e) => items.append_text(e, f),
                        None => {
                            items.append_null();
                            Ok(())
                        }
                    }
                })?;
                lengths.push(n);
                nulls.append_non_null();
            }
        }
        Ok(())
    }

    pub fn append_null(&mut self) {
        match &mut self.values {
            Values::Bool(b) => b.append_null(),
            Values::Int2(b) => b.append_null(),
            Values::Int4(b) => b.append_null(),
            Values::Int8(b) => b.append_null(),
            Values::Float4(b) => b.append_null(),
            Values::Float8(b) => b.append_null(),
            Values::Decimal { values, .. } => values.append_null(),
            Values::Numeric { values, .. } => values.append_null(),
            Values::Text(b) => b.append_null(),
            Values::Bytea { values, .. } => values.append_null(),
            Values::Date(b) => b.append_null(),
            Values::Time(b) => b.append_null(),
            Values::Timestamp(b) => b.append_null(),
            Values::Interval(b) => b.append_null(),
            Values::Uuid(b) => b.append_null(),
            Values::Json(b) => b.append_null(),
            Values::Jsonb(b) => b.append_null(),
            Values::Jsonpath(b) => b.append_null(),
            Values::Oid(b) => b.append_null(),
            Values::Enum { keys, .. } => keys.append_null(),
            Values::Extension { ty, values } => values.push(new_null_array(&ty.arrow(), 1)),
            Values::Array { lengths, nulls, .. } => {
                lengths.push(0);
                nulls.append_null();
            }
        }
    }

    /// The column so far; the builder is empty again.
    pub fn finish(&mut self) -> ArrayRef {
        match &mut self.values {
            Values::Bool(b) => Arc::new(b.finish()),
            Values::Int2(b) => Arc::new(b.finish()),
            Values::Int4(b) => Arc::new(b.finish()),
            Values::Int8(b) => Arc::new(b.finish()),
            Values::Float4(b) => Arc::new(b.finish()),
            Values::Float8(b) => Arc::new(b.finish()),
            Values::Decimal { values, .. } => Arc::new(values.finish()),
            Values::Numeric { values, .. } => Arc::new(values.finish()),
            Values::Text(b) => Arc::new(b.finish()),
            Values::Bytea { values, .. } => Arc::new(values.finish()),
            Values::Date(b) => Arc::new(b.finish()),
            Values::Time(b) => Arc::new(b.finish()),
            Values::Timestamp(b) => Arc::new(b.finish()),
            Values::Interval(b) => Arc::new(b.finish()),
            Values::Uuid(b) => Arc::new(b.finish()),
            Values::Json(b) => Arc::new(b.finish()),
            Values::Jsonb(b) => Arc::new(b.finish()),
            // The texts are of the type that the struct has.
            Values::Jsonpath(b) => jsonpath::of_texts(Arc::new(b.finish()))
                .unwrap_or_else(|_| new_empty_array(&jsonpath::arrow())),
            Values::Oid(b) => Arc::new(b.finish()),
            Values::Enum { keys, .. } => Arc::new(keys.finish()),
            Values::Extension { ty, values } => {
                let values = std::mem::take(values);
                let parts: Vec<&dyn arrow::array::Array> =
                    values.iter().map(AsRef::as_ref).collect();
                // All parts are of one type, and there are fewer than an offset can count.
                concat(&parts).unwrap_or_else(|_| new_empty_array(&ty.arrow()))
            }
            Values::Array {
                items,
                lengths,
                nulls,
            } => {
                let items = items.finish();
                let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
                let offsets = OffsetBuffer::from_lengths(std::mem::take(lengths));
                Arc::new(ListArray::new(field, offsets, items, nulls.finish()))
            }
        }
    }
}

/// Reads one value of a type.
pub fn decode_text(ty: &PgType, typmod: i32, text: &str, f: &Format) -> Result<ScalarValue> {
    if let Some(value) = decode_plain(ty, text) {
        return value;
    }
    let mut b = ColumnBuilder::new(ty, typmod, 1)?;
    b.append_text(text, f)?;
    ScalarValue::try_from_array(&b.finish(), 0).map_err(SqlError::internal)
}

/// The value of a type that is read the same under all settings and needs no array, as most parameters
/// are; `None` for other types.
pub(crate) fn decode_plain(ty: &PgType, text: &str) -> Option<Result<ScalarValue>> {
    let int = |min, max| parse_int(text, ty, min, max);
    Some(match ty {
        PgType::Bool => match parse_bool(text) {
            Some(value) => Ok(ScalarValue::Boolean(Some(value))),
            None => Err(invalid_input(ty, text)),
        },
        PgType::Int2 => int(i16::MIN.into(), i16::MAX.into())
            .map(|value| ScalarValue::Int16(Some(value as i16))),
        PgType::Int4 => int(i32::MIN.into(), i32::MAX.into())
            .map(|value| ScalarValue::Int32(Some(value as i32))),
        PgType::Int8 => int(i64::MIN, i64::MAX).map(|value| ScalarValue::Int64(Some(value))),
        PgType::Enum(of) => of.key_of(text).map(|key| of.scalar(Some(key))),
        _ => return None,
    })
}

fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b')
}

/// `boolin`: unique prefixes of true, false, yes, no, on, off; 1 and 0.
pub fn parse_bool(text: &str) -> Option<bool> {
    let t = trim(text);
    let prefix = |word: &str, least: usize| {
        t.len() >= least && t.len() <= word.len() && word[..t.len()].eq_ignore_ascii_case(t)
    };
    if !t.is_ascii() {
        None
    } else if t == "1" || prefix("true", 1) || prefix("yes", 1) || prefix("on", 2) {
        Some(true)
    } else if t == "0" || prefix("false", 1) || prefix("no", 1) || prefix("off", 2) {
        Some(false)
    } else {
        None
    }
}

fn parse_int(text: &str, ty: &PgType, min: i64, max: i64) -> Result<i64> {
    let t = trim(text);
    let (negative, digits) = match t.as_bytes().first() {
        Some(b'-') => (true, &t[1..]),
        Some(b'+') => (false, &t[1..]),
        _ => (false, t),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid_input(ty, text));
    }
    // Accumulate downwards: the negative side is one longer.
    let mut v = 0i64;
    for b in digits.bytes() {
        v = match v
            .checked_mul(10)
            .and_then(|v| v.checked_sub((b - b'0') as i64))
        {
            Some(v) => v,
            None => return Err(int_out_of_range(text, ty)),
        };
    }
    let v = if negative { Some(v) } else { v.checked_neg() };
    v.filter(|v| (min..=max).contains(v))
        .ok_or_else(|| int_out_of_range(text, ty))
}

fn int_out_of_range(text: &str, ty: &PgType) -> SqlError {
    SqlError::new(
        state::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value \"{text}\" is out of range for type {}", ty.name()),
    )
}

/// Plain digits with at most `scale` of them after the point, as most input has.
fn fast_decimal(b: &[u8], scale: i8) -> Option<i128> {
    if b.is_empty() || b.len() > 30 || scale < 0 {
        return None;
    }
    let (negative, digits) = match b[0] {
        b'-' => (true, &b[1..]),
        _ => (false, b),
    };
    let mut v = 0i128;
    let mut after_point: Option<i8> = None;
    let mut any = false;
    for c in digits {
        match c {
            b'0'..=b'9' => {
                v = v * 10 + (c - b'0') as i128;
                any = true;
                if let Some(n) = &mut after_point {
                    *n += 1;
                }
            }
            b'.' if after_point.is_none() => after_point = Some(0),
            _ => return None,
        }
    }
    let missing = scale
        .checked_sub(after_point.unwrap_or(0))
        .filter(|m| *m >= 0)?;
    if !any {
        return None;
    }
    let v = v.checked_mul(10i128.checked_pow(missing as u32)?)?;
    Some(if negative { -v } else { v })
}

pub(crate) enum Fitted<'a> {
    Borrowed(&'a str),
}

/// Applies a length limit as input and assignment do: blanks may be cut, anything else is `22001`.
pub(crate) fn fit_text<'a>(text: &'a str, ty: &PgType, typmod: i32) -> Result<Fitted<'a>> {
    let fitted = match ty {
        PgType::Varchar | PgType::Bpchar => {
            let text = match names::char_length(typmod) {
                Some(n) if text.len() > n => match text.char_indices().nth(n) {
                    Some((cut, _)) => {
                        if text[cut..].bytes().any(|b| b != b' ') {
                            return Err(SqlError::new(
                                state::STRING_DATA_RIGHT_TRUNCATION,
                                format!(
                                    "value too long for type {}",
                                    names::format_type(ty, typmod)
                                ),
                            ));
                        }
                        &text[..cut]
                    }
                    None => text,
                },
                _ => text,
            };
            if *ty == PgType::Bpchar {
                text.trim_end_matches(' ')
            } else {
                text
            }
        }
        PgType::Name if text.len() > NAME_BYTES_MAX => {
            let mut cut = NAME_BYTES_MAX;
            while !text.is_char_boundary(cut) {
                cut -= 1;
            }
            &text[..cut]
        }
        PgType::Char => match text.chars().next() {
            Some(c) => &text[..c.len_utf8()],
            None => text,
        },
        _ => text,
    };
    if fitted.as_bytes().contains(&0) {
        return Err(SqlError::new(
            state::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    Ok(Fitted::Borrowed(fitted))
}

fn hex_digit(b: u8) -> Option<u8> {
    (b as char).to_digit(16).map(|d| d as u8)
}

/// The hex form `\x…` and the escape form.
pub fn parse_bytea(text: &str, out: &mut Vec<u8>) -> Result<()> {
    let b = text.as_bytes();
    if let Some(hex) = b.strip_prefix(b"\\x") {
        let mut i = 0;
        while i < hex.len() {
            if hex[i].is_ascii_whitespace() {
                i += 1;
                continue;
            }
            let digit = |at: usize| match hex.get(at) {
                Some(&c) => hex_digit(c).ok_or_else(|| {
                    let shown = text[2 + at..].chars().next().unwrap_or('?');
                    SqlError::new(
                        state::INVALID_PARAMETER_VALUE,
                        format!("invalid hexadecimal digit: \"{shown}\""),
                    )
                }),
                None => Err(SqlError::new(
                    state::INVALID_PARAMETER_VALUE,
                    "invalid hexadecimal data: odd number of digits",
                )),
            };
            out.push((digit(i)? << 4) | digit(i + 1)?);
            i += 2;
        }
        return Ok(());
    }
    let mut i = 0;
    while i < b.len() {
        match (b[i], b.get(i + 1..i + 4)) {
            (b'\\', _) if b.get(i + 1) == Some(&b'\\') => {
                out.push(b'\\');
                i += 2;
            }
            (b'\\', Some([a @ b'0'..=b'3', c @ b'0'..=b'7', d @ b'0'..=b'7'])) => {
                out.push(((a - b'0') << 6) | ((c - b'0') << 3) | (d - b'0'));
                i += 4;
            }
            (b'\\', _) => {
                return Err(SqlError::new(
                    state::INVALID_TEXT_REPRESENTATION,
                    "invalid input syntax for type bytea",
                ));
            }
            (c, _) => {
                out.push(c);
                i += 1;
            }
        }
    }
    Ok(())
}

/// 32 hex digits, optionally in braces, with a hyphen allowed after any group of four.
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let t = trim(text);
    let t = match t.strip_prefix('{') {
        Some(inner) => inner.strip_suffix('}')?,
        None => t,
    };
    let mut out = [0u8; 16];
    let b = t.as_bytes();
    let mut at = 0;
    for (i, byte) in out.iter_mut().enumerate() {
        if i > 0 && i % 2 == 0 && b.get(at) == Some(&b'-') {
            at += 1;
        }
        *byte = (hex_digit(*b.get(at)?)? << 4) | hex_digit(*b.get(at + 1)?)?;
        at += 2;
    }
    (at == b.len()).then_some(out)
}

fn parse_oid(text: &str, ty: &PgType, f: &Format) -> Result<u32> {
    let t = trim(text);
    if !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()) {
        return t.parse().map_err(|_| int_out_of_range(text, ty));
    }
    if *ty != PgType::Oid && t == "-" {
        return Ok(0);
    }
    match (ty, &f.objects) {
        (PgType::Oid, _) => match t.parse::<i32>() {
            // Negative oids are accepted as their unsigned image.
            Ok(v) => Ok(v as u32),
            Err(_) => Err(invalid_input(ty, text)),
        },
        (PgType::Regtype, objects) => match (names::parse_type_name(t), objects) {
            (Ok((ty, _)), _) => Ok(ty.oid()),
            // A type of a user, perhaps.
            (Err(_), Some(objects)) => objects.oid(ty, t),
            (Err(error), None) => Err(error),
        },
        (_, Some(objects)) => objects.oid(ty, t),
        (_, None) => Err(SqlError::unsupported(format!(
            "name lookup for {}",
            ty.name()
        ))),
    }
}
