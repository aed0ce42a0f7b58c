//! Values to text, as PostgreSQL's output functions print them.

use std::fmt::Write as _;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType,
    Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::format::ByteaOutput;
use super::interval::Interval;
use super::numeric::{self, encoding, write_decimal128};
use super::{
    EnumType, Format, PgType, array, datetime, enumeration, extension, float, json, jsonpath, names,
};

/// Appends the text of a value. The caller deals with NULL; a NULL slot appends nothing.
pub fn encode_text(values: &dyn Array, row: usize, ty: &PgType, f: &Format, out: &mut String) {
    encode_text_typmod(values, row, ty, -1, f, out);
}

/// As [`encode_text`] with the typmod of the column: `char(n)` is padded to its length.
pub fn encode_text_typmod(
    values: &dyn Array,
    row: usize,
    ty: &PgType,
    typmod: i32,
    f: &Format,
    out: &mut String,
) {
    if values.is_null(row) {
        return;
    }
    if let PgType::Enum(of) = ty
        && let Some(key) = enumeration::key_at(values, row)
    {
        return enum_label(of, key, out);
    }
    match values.data_type() {
        DataType::Boolean => out.push(if values.as_boolean().value(row) {
            't'
        } else {
            'f'
        }),
        DataType::Int8 => integer(values.as_primitive::<Int8Type>().value(row) as i64, out),
        DataType::Int16 => integer(values.as_primitive::<Int16Type>().value(row) as i64, out),
        DataType::Int32 => integer(values.as_primitive::<Int32Type>().value(row) as i64, out),
        DataType::Int64 => integer(values.as_primitive::<Int64Type>().value(row), out),
        DataType::UInt8 => integer(values.as_primitive::<UInt8Type>().value(row) as i64, out),
        DataType::UInt16 => integer(values.as_primitive::<UInt16Type>().value(row) as i64, out),
        DataType::UInt64 => {
            let _ = write!(out, "{}", values.as_primitive::<UInt64Type>().value(row));
        }
        DataType::UInt32 => oid(values.as_primitive::<UInt32Type>().value(row), ty, f, out),
        DataType::Float32 => {
            let v = values.as_primitive::<Float32Type>().value(row);
            float::write_f32(v, f.extra_float_digits, out);
        }
        DataType::Float64 => {
            let v = values.as_primitive::<Float64Type>().value(row);
            float::write_f64(v, f.extra_float_digits, out);
        }
        DataType::Decimal128(_, scale) => {
            write_decimal128(
                values.as_primitive::<Decimal128Type>().value(row),
                *scale,
                out,
            );
        }
        DataType::Decimal256(_, scale) => {
            let text = values
                .as_primitive::<Decimal256Type>()
                .value(row)
                .to_string();
            if let Ok(n) = numeric::Numeric::parse(&format!("{text}e-{scale}")) {
                n.write(out);
            }
        }
        DataType::LargeBinary => {
            if let Some(n) = encoding::decode(values.as_binary::<i64>().value(row)) {
                n.write(out);
            }
        }
        DataType::Utf8 => text(values.as_string::<i32>().value(row), ty, typmod, out),
        DataType::Utf8View => text(values.as_string_view().value(row), ty, typmod, out),
        DataType::LargeUtf8 => out.push_str(values.as_string::<i64>().value(row)),
        DataType::Binary => bytea(values.as_binary::<i32>().value(row), f, out),
        DataType::BinaryView => out.push_str(json::text_at(values.as_binary_view(), row)),
        DataType::Date32 => {
            datetime::write_date(values.as_primitive::<Date32Type>().value(row), out)
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            datetime::write_time(
                values.as_primitive::<Time64NanosecondType>().value(row) / 1000,
                out,
            );
        }
        DataType::Time64(_) => {
            datetime::write_time(
                values.as_primitive::<Time64MicrosecondType>().value(row),
                out,
            );
        }
        DataType::Timestamp(TimeUnit::Second, Some(_))
            if let Some(of) = enumeration::of_arrow(values.data_type()) =>
        {
            let key = values.as_primitive::<TimestampSecondType>().value(row);
            enum_label(of, key, out);
        }
        DataType::Timestamp(unit, zone) => {
            let micros = match unit {
                TimeUnit::Second => values
                    .as_primitive::<TimestampSecondType>()
                    .value(row)
                    .saturating_mul(1_000_000),
                TimeUnit::Millisecond => values
                    .as_primitive::<TimestampMillisecondType>()
                    .value(row)
                    .saturating_mul(1000),
                TimeUnit::Microsecond => {
                    values.as_primitive::<TimestampMicrosecondType>().value(row)
                }
                TimeUnit::Nanosecond => values
                    .as_primitive::<TimestampNanosecondType>()
                    .value(row)
                    .div_euclid(1000),
            };
            if zone.is_some() {
                datetime::write_timestamptz(micros, &f.time_zone, out);
            } else {
                datetime::write_timestamp(micros, out);
            }
        }
        DataType::Interval(_) => {
            if let Some(v) = values.as_primitive_opt::<IntervalMonthDayNanoType>() {
                Interval::from_arrow(v.value(row)).write(out);
            }
        }
        DataType::FixedSizeBinary(16) => uuid(values.as_fixed_size_binary().value(row), out),
        DataType::List(_) if matches!(ty, PgType::Int2Vector | PgType::OidVector) => {
            let elements = values.as_list::<i32>().value(row);
            for i in 0..elements.len() {
                if i > 0 {
                    out.push(' ');
                }
                encode_text(&elements, i, &PgType::Oid, f, out);
            }
        }
        DataType::List(_) => {
            let item = ty.element().cloned();
            let elements = values.as_list::<i32>().value(row);
            let item = item
                .or_else(|| PgType::from_arrow(elements.data_type()))
                .unwrap_or(PgType::Text);
            out.push('{');
            let mut buffer = String::new();
            for i in 0..elements.len() {
                if i > 0 {
                    out.push(',');
                }
                if elements.is_null(i) {
                    out.push_str("NULL");
                    continue;
                }
                buffer.clear();
                encode_text_typmod(&elements, i, &item, typmod, f, &mut buffer);
                array::write_element(&buffer, out);
            }
            out.push('}');
        }
        DataType::Dictionary(_, _) => {
            let d = values.as_any_dictionary();
            let key = d.normalized_keys()[row];
            encode_text_typmod(d.values(), key, ty, typmod, f, out);
        }
        DataType::Struct(fields) if let Some(extension) = extension::of_fields(fields) => {
            // Results and casts format whole columns and say what goes wrong; here, in the detail of
            // a message or inside another value, nobody would hear it.
            let value = values.slice(row, 1);
            match extension.format(&value) {
                Ok(text) => out.push_str(text.as_string_view().value(0)),
                Err(error) => tracing::warn!("a value is left out: {error}"),
            }
        }
        ty if jsonpath::is_jsonpath(ty) => {
            if let Ok(texts) = jsonpath::texts(values) {
                out.push_str(texts.value(row));
            }
        }
        DataType::Struct(fields) => {
            // The text of a row: (1,,"a b").
            out.push('(');
            let columns = values.as_struct().columns();
            let mut buffer = String::new();
            for (i, column) in columns.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                if column.is_null(row) {
                    continue;
                }
                buffer.clear();
                let ty = PgType::from_arrow(fields[i].data_type()).unwrap_or(PgType::Text);
                encode_text(column, row, &ty, f, &mut buffer);
                record_field(&buffer, out);
            }
            out.push(')');
        }
        _ => {}
    }
}

fn enum_label(of: &EnumType, key: i64, out: &mut String) {
    match of.label_of(key) {
        Some(label) => out.push_str(label),
        None => tracing::warn!("enum {} has no label of key {key}", of.name),
    }
}

fn integer(v: i64, out: &mut String) {
    let _ = write!(out, "{v}");
}

fn text(s: &str, ty: &PgType, typmod: i32, out: &mut String) {
    out.push_str(s);
    if *ty == PgType::Bpchar
        && let Some(n) = names::char_length(typmod)
    {
        let missing = n.saturating_sub(s.chars().count());
        out.extend(std::iter::repeat_n(' ', missing));
    }
}

fn oid(v: u32, ty: &PgType, f: &Format, out: &mut String) {
    let name = match (ty, &f.objects) {
        (PgType::Oid, _) => None,
        (_, Some(objects)) if v != 0 => objects.name(ty, v),
        (PgType::Regtype, _) => PgType::from_oid(v).map(|t| t.name().to_string()),
        _ => None,
    };
    match name {
        Some(name) => out.push_str(&name),
        None if v == 0 && *ty != PgType::Oid => out.push('-'),
        None => integer(v as i64, out),
    }
}

pub(super) fn bytea(bytes: &[u8], f: &Format, out: &mut String) {
    match f.bytea_output {
        ByteaOutput::Hex => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.reserve(2 + bytes.len() * 2);
            out.push_str("\\x");
            for b in bytes {
                out.push(HEX[(b >> 4) as usize] as char);
                out.push(HEX[(b & 15) as usize] as char);
            }
        }
        ByteaOutput::Escape => {
            for &b in bytes {
                match b {
                    b'\\' => out.push_str("\\\\"),
                    0x20..=0x7e => out.push(b as char),
                    _ => {
                        let _ = write!(out, "\\{b:03o}");
                    }
                }
            }
        }
    }
}

fn uuid(bytes: &[u8], out: &mut String) {
    for (i, b) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        let _ = write!(out, "{b:02x}");
    }
}

fn record_field(text: &str, out: &mut String) {
    let plain = !text.is_empty()
        && !text
            .bytes()
            .any(|b| matches!(b, b'"' | b'\\' | b'(' | b')' | b',') || b.is_ascii_whitespace());
    if plain {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push(c);
        }
        out.push(c);
    }
    out.push('"');
}
