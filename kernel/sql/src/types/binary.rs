//! The binary wire format: what PostgreSQL's send and receive functions write and read.
//!
//! Big-endian throughout; dates and times count from 2000-01-01; `numeric` is base-10⁴ digits;
//! `jsonb` and `jsonpath` have a version byte; arrays carry dimensions and the element's OID.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int64Type, IntervalMonthDayNanoType,
    Time64MicrosecondType, TimestampMicrosecondType, UInt32Type, UInt64Type,
};
use datafusion::common::ScalarValue;
use num_bigint::{BigInt, Sign};
use num_traits::{Signed, Zero};

use super::cast::{numeric_at, text_at};
use super::interval::Interval;
use super::numeric::{self, Numeric, encoding};
use super::{Format, PgType, datetime, encode_text_typmod, jsonb};
use crate::error::{Result, SqlError, state};

const EPOCH_MICROS: i64 = datetime::POSTGRES_EPOCH_DAYS as i64 * datetime::MICROS_PER_DAY;
const JSONB_VERSION: u8 = 1;
const JSONPATH_VERSION: u8 = 1;
const NUMERIC_NEGATIVE: u16 = 0x4000;
const NUMERIC_NAN: u16 = 0xc000;
const NUMERIC_INFINITY: u16 = 0xd000;
const NUMERIC_NEG_INFINITY: u16 = 0xf000;

/// Appends the binary form of a value, without its length. The caller deals with NULL.
pub fn encode_binary(values: &dyn Array, row: usize, ty: &PgType, f: &Format, out: &mut Vec<u8>) {
    encode_binary_typmod(values, row, ty, -1, f, out);
}

/// As [`encode_binary`] with the typmod of the column: `char(n)` is padded to its length.
pub fn encode_binary_typmod(
    values: &dyn Array,
    row: usize,
    ty: &PgType,
    typmod: i32,
    f: &Format,
    out: &mut Vec<u8>,
) {
    if values.is_null(row) {
        return;
    }
    match (ty, values.data_type()) {
        (PgType::Bool, _) => out.push(values.as_boolean().value(row) as u8),
        (PgType::Int2, _) => out.extend((integer_at(values, row) as i16).to_be_bytes()),
        (PgType::Int4, _) => out.extend((integer_at(values, row) as i32).to_be_bytes()),
        (PgType::Int8, _) => out.extend(integer_at(values, row).to_be_bytes()),
        (_, DataType::UInt32) => {
            out.extend(values.as_primitive::<UInt32Type>().value(row).to_be_bytes());
        }
        (PgType::Float4, _) => {
            out.extend(
                values
                    .as_primitive::<Float32Type>()
                    .value(row)
                    .to_be_bytes(),
            );
        }
        (PgType::Float8, _) => {
            out.extend(
                values
                    .as_primitive::<Float64Type>()
                    .value(row)
                    .to_be_bytes(),
            );
        }
        (PgType::Numeric, _) => {
            if let Ok(n) = numeric_at(values, row) {
                encode_numeric(&n, out);
            }
        }
        (PgType::Jsonb, _) => {
            out.push(JSONB_VERSION);
            out.extend_from_slice(text_at(values, row).as_bytes());
        }
        (PgType::Jsonpath, _) => {
            out.push(JSONPATH_VERSION);
            let mut text = String::new();
            encode_text_typmod(values, row, ty, typmod, f, &mut text);
            out.extend_from_slice(text.as_bytes());
        }
        (PgType::Bytea, DataType::Binary) => {
            out.extend_from_slice(values.as_binary::<i32>().value(row))
        }
        (PgType::Date, _) => {
            let days = values.as_primitive::<Date32Type>().value(row);
            let sent = if datetime::is_finite_date(days) {
                days.saturating_sub(datetime::POSTGRES_EPOCH_DAYS)
            } else {
                days
            };
            out.extend(sent.to_be_bytes());
        }
        (PgType::Time, _) => {
            out.extend(
                values
                    .as_primitive::<Time64MicrosecondType>()
                    .value(row)
                    .to_be_bytes(),
            );
        }
        (PgType::Timestamp | PgType::TimestampTz, DataType::Timestamp(_, _)) => {
            let t = values
                .as_primitive_opt::<TimestampMicrosecondType>()
                .map_or(0, |t| t.value(row));
            let sent = if datetime::is_finite_timestamp(t) {
                t.saturating_sub(EPOCH_MICROS)
            } else {
                t
            };
            out.extend(sent.to_be_bytes());
        }
        (PgType::Interval, _) => {
            let v =
                Interval::from_arrow(values.as_primitive::<IntervalMonthDayNanoType>().value(row));
            out.extend(v.micros.to_be_bytes());
            out.extend(v.days.to_be_bytes());
            out.extend(v.months.to_be_bytes());
        }
        (PgType::Uuid, _) => out.extend_from_slice(values.as_fixed_size_binary().value(row)),
        (PgType::Array(item), DataType::List(_)) => {
            let elements = values.as_list::<i32>().value(row);
            encode_array(&elements, item, typmod, 1, f, out);
        }
        (PgType::Int2Vector, DataType::List(_)) => {
            let elements = values.as_list::<i32>().value(row);
            encode_array(&elements, &PgType::Int2, -1, 0, f, out);
        }
        (PgType::OidVector, DataType::List(_)) => {
            let elements = values.as_list::<i32>().value(row);
            encode_array(&elements, &PgType::Oid, -1, 0, f, out);
        }
        _ => {
            let mut text = String::new();
            encode_text_typmod(values, row, ty, typmod, f, &mut text);
            // The one byte of an empty "char".
            if *ty == PgType::Char && text.is_empty() {
                out.push(0);
                return;
            }
            if let PgType::Extension(extension) = ty {
                match extension.send_text(&text) {
                    Ok(bytes) => out.extend_from_slice(&bytes),
                    Err(error) => tracing::warn!("a value is left out: {error}"),
                }
                return;
            }
            out.extend_from_slice(text.as_bytes());
        }
    }
}

fn integer_at(values: &dyn Array, row: usize) -> i64 {
    use arrow::datatypes::{Int8Type, Int16Type, Int32Type};
    match values.data_type() {
        DataType::Int8 => values.as_primitive::<Int8Type>().value(row) as i64,
        DataType::Int16 => values.as_primitive::<Int16Type>().value(row) as i64,
        DataType::Int32 => values.as_primitive::<Int32Type>().value(row) as i64,
        DataType::UInt32 => values.as_primitive::<UInt32Type>().value(row) as i64,
        DataType::UInt64 => values.as_primitive::<UInt64Type>().value(row) as i64,
        _ => values
            .as_primitive_opt::<Int64Type>()
            .map_or(0, |a| a.value(row)),
    }
}

/// `first` is the number of the first element.
fn encode_array(
    elements: &ArrayRef,
    item: &PgType,
    typmod: i32,
    first: i32,
    f: &Format,
    out: &mut Vec<u8>,
) {
    let dimensions = i32::from(!elements.is_empty());
    out.extend(dimensions.to_be_bytes());
    out.extend(i32::from(elements.null_count() > 0).to_be_bytes());
    out.extend(item.oid().to_be_bytes());
    if dimensions == 0 {
        return;
    }
    out.extend((elements.len() as i32).to_be_bytes());
    out.extend(first.to_be_bytes());
    for i in 0..elements.len() {
        if elements.is_null(i) {
            out.extend((-1i32).to_be_bytes());
            continue;
        }
        let at = out.len();
        out.extend([0; 4]);
        encode_binary_typmod(elements, i, item, typmod, f, out);
        let length = (out.len() - at - 4) as i32;
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
}

fn encode_numeric(n: &Numeric, out: &mut Vec<u8>) {
    let special = |sign: u16, out: &mut Vec<u8>| {
        for part in [0, 0, sign, 0] {
            out.extend(part.to_be_bytes());
        }
    };
    let d = match n {
        Numeric::NaN => return special(NUMERIC_NAN, out),
        Numeric::Infinity => return special(NUMERIC_INFINITY, out),
        Numeric::NegInfinity => return special(NUMERIC_NEG_INFINITY, out),
        Numeric::Finite(d) => d,
    };
    // Align the point to a group of four digits.
    let padding = (4 - d.dscale as u32 % 4) % 4;
    let fraction_groups = (d.dscale as i64 + padding as i64) / 4;
    let text = (d.coefficient.abs() * numeric::pow10(padding)).to_string();
    let mut groups: Vec<i16> = Vec::new();
    if !d.coefficient.is_zero() {
        let head = text.len() % 4;
        if head > 0 {
            groups.push(text[..head].parse().unwrap_or(0));
        }
        for group in text.as_bytes()[head..].chunks(4) {
            groups.push(group.iter().fold(0, |v, b| v * 10 + (b - b'0') as i16));
        }
    }
    let weight = groups.len() as i64 - fraction_groups - 1;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let weight = if groups.is_empty() { 0 } else { weight };
    let sign = if d.coefficient.sign() == Sign::Minus {
        NUMERIC_NEGATIVE
    } else {
        0
    };
    out.extend((groups.len() as i16).to_be_bytes());
    out.extend((weight as i16).to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend(d.dscale.to_be_bytes());
    for g in groups {
        out.extend(g.to_be_bytes());
    }
}

/// A cursor over a received value.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        if n > self.bytes.len() {
            return Err(SqlError::new(
                state::PROTOCOL_VIOLATION,
                "insufficient data left in message",
            ));
        }
        let (head, tail) = self.bytes.split_at(n);
        self.bytes = tail;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self
            .take(N)?
            .try_into()
            .expect("take returns as many bytes as asked"))
    }

    pub(super) fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }
}

pub(super) fn invalid(what: &str) -> SqlError {
    SqlError::new(state::INVALID_BINARY_REPRESENTATION, what)
}

/// Reads a value a client sent in binary.
pub fn decode_binary(ty: &PgType, bytes: &[u8]) -> Result<ScalarValue> {
    let mut r = Reader { bytes };
    let value = decode(ty, &mut r)?;
    if !r.bytes.is_empty() {
        return Err(invalid("incorrect binary data format"));
    }
    Ok(value)
}

fn decode(ty: &PgType, r: &mut Reader<'_>) -> Result<ScalarValue> {
    Ok(match ty {
        PgType::Extension(extension) => {
            let bytes = std::mem::take(&mut r.bytes);
            let value = extension.receive_one(bytes)?;
            ScalarValue::try_from_array(&value, 0).map_err(SqlError::internal)?
        }
        PgType::Enum(of) => {
            let label = utf8(r.take(r.bytes.len())?)?;
            of.scalar(Some(of.key_of(label)?))
        }
        PgType::Bool => ScalarValue::Boolean(Some(r.array::<1>()?[0] != 0)),
        PgType::Int2 => ScalarValue::Int16(Some(r.i16()?)),
        PgType::Int4 => ScalarValue::Int32(Some(r.i32()?)),
        PgType::Int8 => ScalarValue::Int64(Some(r.i64()?)),
        PgType::Float4 => ScalarValue::Float32(Some(f32::from_be_bytes(r.array()?))),
        PgType::Float8 => ScalarValue::Float64(Some(f64::from_be_bytes(r.array()?))),
        PgType::Numeric => {
            ScalarValue::LargeBinary(Some(encoding::encode_to_vec(&decode_numeric(r)?)))
        }
        PgType::Text
        | PgType::Varchar
        | PgType::Bpchar
        | PgType::Name
        | PgType::Char
        | PgType::Json
        | PgType::Unknown => {
            let text = utf8(r.take(r.bytes.len())?)?;
            return super::decode_text(
                if *ty == PgType::Unknown {
                    &PgType::Text
                } else {
                    ty
                },
                -1,
                text,
                &Format::default(),
            );
        }
        PgType::Bytea => ScalarValue::Binary(Some(r.take(r.bytes.len())?.to_vec())),
        PgType::Date => ScalarValue::Date32(Some(decode_date(r)?)),
        PgType::Time => ScalarValue::Time64Microsecond(Some(decode_time(r)?)),
        PgType::Timestamp => ScalarValue::TimestampMicrosecond(Some(decode_timestamp(r)?), None),
        PgType::TimestampTz => {
            ScalarValue::TimestampMicrosecond(Some(decode_timestamp(r)?), Some("UTC".into()))
        }
        PgType::Interval => {
            let (micros, days, months) = (r.i64()?, r.i32()?, r.i32()?);
            ScalarValue::IntervalMonthDayNano(Some(
                Interval {
                    months,
                    days,
                    micros,
                }
                .to_arrow()?,
            ))
        }
        PgType::Uuid => ScalarValue::FixedSizeBinary(16, Some(r.array::<16>()?.to_vec())),
        PgType::Jsonb => ScalarValue::LargeUtf8(Some(jsonb::canonical(jsonb_text(r)?)?)),
        PgType::Jsonpath => {
            let text = jsonpath_text(r)?;
            return super::decode_text(ty, -1, text, &Format::default());
        }
        PgType::Oid
        | PgType::Regclass
        | PgType::Regtype
        | PgType::Regproc
        | PgType::Regprocedure
        | PgType::Regnamespace
        | PgType::Regrole => ScalarValue::UInt32(Some(u32::from_be_bytes(r.array()?))),
        PgType::Array(item) => decode_array(item, r)?,
        PgType::Void
        | PgType::Record
        | PgType::Int2Vector
        | PgType::OidVector
        | PgType::NodeTree
        | PgType::AclItem
        | PgType::Xid => {
            return Err(SqlError::unsupported(format!(
                "binary input of type {}",
                ty.name()
            )));
        }
    })
}

/// The text after the version of a jsonb.
pub(super) fn jsonb_text<'a>(r: &mut Reader<'a>) -> Result<&'a str> {
    versioned(r, JSONB_VERSION, "jsonb")
}

/// The text after the version of a jsonpath.
pub(super) fn jsonpath_text<'a>(r: &mut Reader<'a>) -> Result<&'a str> {
    versioned(r, JSONPATH_VERSION, "jsonpath")
}

fn versioned<'a>(r: &mut Reader<'a>, known: u8, ty: &str) -> Result<&'a str> {
    let version = r.array::<1>()?[0];
    if version != known {
        return Err(SqlError::new(
            state::INTERNAL_ERROR,
            format!("unsupported {ty} version number {version}"),
        ));
    }
    utf8(r.take(r.bytes.len())?)
}

pub(super) fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|e| {
        let at = bytes.get(e.valid_up_to()).copied().unwrap_or(0);
        SqlError::new(
            state::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": 0x{at:02x}"),
        )
    })
}

pub(super) fn decode_date(r: &mut Reader<'_>) -> Result<i32> {
    let sent = r.i32()?;
    if !datetime::is_finite_date(sent) {
        return Ok(sent);
    }
    let days = sent as i64 + datetime::POSTGRES_EPOCH_DAYS as i64;
    if !datetime::is_valid_date(days) {
        return Err(datetime::date_out_of_range());
    }
    Ok(days as i32)
}

pub(super) fn decode_time(r: &mut Reader<'_>) -> Result<i64> {
    let t = r.i64()?;
    if !(0..=datetime::MICROS_PER_DAY).contains(&t) {
        return Err(SqlError::new(
            state::DATETIME_FIELD_OVERFLOW,
            "time out of range",
        ));
    }
    Ok(t)
}

pub(super) fn decode_timestamp(r: &mut Reader<'_>) -> Result<i64> {
    let sent = r.i64()?;
    if !datetime::is_finite_timestamp(sent) {
        return Ok(sent);
    }
    sent.checked_add(EPOCH_MICROS)
        .filter(|t| datetime::is_valid_timestamp(*t))
        .ok_or_else(datetime::timestamp_out_of_range)
}

pub(super) fn decode_numeric(r: &mut Reader<'_>) -> Result<Numeric> {
    let (count, weight, sign, dscale) = (r.i16()?, r.i16()?, r.i16()? as u16, r.i16()? as u16);
    match sign {
        NUMERIC_NAN => return Ok(Numeric::NaN),
        NUMERIC_INFINITY => return Ok(Numeric::Infinity),
        NUMERIC_NEG_INFINITY => return Ok(Numeric::NegInfinity),
        0 | NUMERIC_NEGATIVE => {}
        _ => return Err(invalid("invalid sign in external \"numeric\" value")),
    }
    if dscale as i64 > numeric::DSCALE_MAX {
        return Err(invalid("invalid scale in external \"numeric\" value"));
    }
    if count < 0 {
        return Err(invalid("invalid length in external \"numeric\" value"));
    }
    let mut base10 = Vec::with_capacity(count as usize * 4);
    for _ in 0..count {
        let group = r.i16()?;
        if !(0..10_000).contains(&group) {
            return Err(invalid("invalid digit in external \"numeric\" value"));
        }
        for unit in [1000, 100, 10, 1] {
            base10.push((group / unit % 10) as u8);
        }
    }
    let magnitude = BigInt::from_radix_be(Sign::Plus, &base10, 10).unwrap_or_default();
    // The groups stand at scale 4 × (count - 1 - weight).
    let scale = 4 * (count as i64 - 1 - weight as i64);
    let coefficient = if scale <= dscale as i64 {
        magnitude * numeric::pow10((dscale as i64 - scale) as u32)
    } else {
        magnitude / numeric::pow10((scale - dscale as i64) as u32)
    };
    Ok(Numeric::new(
        if sign == NUMERIC_NEGATIVE {
            -coefficient
        } else {
            coefficient
        },
        dscale,
    ))
}

/// The head of an array: how many elements follow, each after its length.
pub(super) fn array_head(item: &PgType, r: &mut Reader<'_>) -> Result<usize> {
    let (dimensions, flags, oid) = (r.i32()?, r.i32()?, r.i32()? as u32);
    if dimensions < 0 {
        return Err(invalid(&format!(
            "invalid number of dimensions: {dimensions}"
        )));
    }
    if !matches!(flags, 0 | 1) {
        return Err(invalid("invalid array flags"));
    }
    if oid != item.oid()
        && !(item.is_string() && PgType::from_oid(oid).is_some_and(|t| t.is_string()))
    {
        let sent = PgType::from_oid(oid).map_or_else(|| "???".to_owned(), |t| t.name().to_string());
        let message = format!(
            "binary data has array element type {oid} ({sent}) instead of expected {} ({})",
            item.oid(),
            item.name()
        );
        return Err(SqlError::new(state::DATATYPE_MISMATCH, message));
    }
    match dimensions {
        0 => Ok(0),
        1 => {
            let (count, _lower) = (r.i32()?, r.i32()?);
            usize::try_from(count).map_err(|_| {
                SqlError::new(
                    state::PROGRAM_LIMIT_EXCEEDED,
                    "array size exceeds the maximum allowed (134217727)",
                )
            })
        }
        _ => Err(SqlError::unsupported("multi-dimensional array")),
    }
}

/// The next element's bytes, or `None` for NULL.
pub(super) fn array_element<'a>(r: &mut Reader<'a>) -> Result<Option<&'a [u8]>> {
    let length = r.i32()?;
    match usize::try_from(length) {
        Ok(length) if length <= r.bytes.len() => r.take(length).map(Some),
        Err(_) if length == -1 => Ok(None),
        _ => Err(invalid("insufficient data left in message")),
    }
}

fn decode_array(item: &PgType, r: &mut Reader<'_>) -> Result<ScalarValue> {
    let mut values = Vec::new();
    for _ in 0..array_head(item, r)? {
        values.push(match array_element(r)? {
            None => ScalarValue::try_from(&item.arrow()).map_err(SqlError::internal)?,
            Some(bytes) => decode_binary(item, bytes)?,
        });
    }
    Ok(ScalarValue::List(ScalarValue::new_list(
        &values,
        &item.arrow(),
        true,
    )))
}
