//! The binary wire format into a column, as COPY reads it: what PostgreSQL's receive functions accept, with the
//! typmod of the column.

use arrow::array::Array;

use super::{ColumnBuilder, Fitted, Values, fit_text};
use crate::error::{Result, SqlError, state};
use crate::types::binary::{
    Reader, array_element, array_head, decode_date, decode_numeric, decode_time, decode_timestamp,
    invalid, jsonb_text, jsonpath_text, utf8,
};
use crate::types::interval::Interval;
use crate::types::numeric::encoding;
use crate::types::{PgType, cast, datetime, json, jsonb, jsonpath};

/// What is said of bytes after a value.
const TRAILING: &str = "incorrect binary data format";

impl ColumnBuilder {
    /// Reads one value that is not NULL. After an error the builder is of no use any more.
    pub fn append_binary(&mut self, bytes: &[u8]) -> Result<()> {
        let ty = &self.ty;
        let r = &mut Reader { bytes };
        match &mut self.values {
            Values::Bool(b) => b.append_value(r.array::<1>()?[0] != 0),
            Values::Int2(b) => b.append_value(r.i16()?),
            Values::Int4(b) => b.append_value(r.i32()?),
            Values::Int8(b) => b.append_value(r.i64()?),
            Values::Float4(b) => b.append_value(f32::from_be_bytes(r.array()?)),
            Values::Float8(b) => b.append_value(f64::from_be_bytes(r.array()?)),
            Values::Decimal {
                values,
                precision,
                scale,
            } => values.append_value(decode_numeric(r)?.to_decimal128(*precision, *scale)?),
            Values::Numeric { values, buffer } => {
                let n = cast::numeric_to_typmod(decode_numeric(r)?, self.typmod)?;
                buffer.clear();
                encoding::encode(&n, buffer);
                values.append_value(&buffer);
            }
            Values::Text(b) if *ty == PgType::Char => {
                // One byte; zero is the empty one.
                let byte = r.array::<1>()?;
                b.append_value(match byte {
                    [0] => "",
                    _ => utf8(&byte)?,
                });
            }
            Values::Text(b) => {
                let text = utf8(rest(r))?;
                if *ty == PgType::Name && text.len() > super::NAME_BYTES_MAX {
                    return Err(SqlError::new(state::NAME_TOO_LONG, "identifier too long")
                        .with_detail(format!(
                            "Identifier must be less than {} characters.",
                            super::NAME_BYTES_MAX + 1
                        )));
                }
                match fit_text(text, ty, self.typmod)? {
                    Fitted::Borrowed(text) => b.append_value(text),
                }
            }
            Values::Bytea { values, .. } => values.append_value(rest(r)),
            Values::Date(b) => b.append_value(decode_date(r)?),
            Values::Time(b) => {
                b.append_value(datetime::round_time(decode_time(r)?, self.typmod));
            }
            Values::Timestamp(b) => {
                let t = decode_timestamp(r)?;
                b.append_value(datetime::round_to_precision(t, self.typmod));
            }
            Values::Interval(b) => {
                let (micros, days, months) = (r.i64()?, r.i32()?, r.i32()?);
                let interval = Interval {
                    months,
                    days,
                    micros: cast::round_interval_micros(micros, self.typmod),
                };
                b.append_value(interval.to_arrow()?);
            }
            Values::Enum { ty, keys } => keys.append_value(ty.key_of(utf8(rest(r))?)?),
            Values::Uuid(b) => b
                .append_value(r.array::<16>()?)
                .map_err(SqlError::internal)?,
            Values::Json(b) => {
                let text = utf8(rest(r))?;
                json::check(text)?;
                b.append_value(text);
            }
            Values::Jsonb(b) => b.append_value(jsonb::canonical(jsonb_text(r)?)?),
            Values::Jsonpath(b) => b.append_value(jsonpath::canonical(jsonpath_text(r)?)?),
            Values::Oid(b) => b.append_value(u32::from_be_bytes(r.array()?)),
            Values::Extension { ty, values } => {
                let value = ty.receive_one(rest(r))?;
                // The type's receive function knows no modifier; its input function does.
                values.push(match self.typmod {
                    -1 => value,
                    typmod => {
                        let text = ty.format(&value)?;
                        let text = text
                            .as_any()
                            .downcast_ref::<arrow::array::StringViewArray>();
                        let text = text.ok_or_else(|| SqlError::internal("a text that is none"))?;
                        ty.parse_one(text.value(0), typmod)?
                    }
                });
            }
            Values::Array {
                items,
                lengths,
                nulls,
            } => {
                let count = array_head(&items.ty, r)?;
                for number in 1..=count {
                    match array_element(r)? {
                        None => items.append_null(),
                        Some(element) => items
                            .append_binary(element)
                            .map_err(|e| improper(e, number))?,
                    }
                }
                lengths.push(count);
                nulls.append_non_null();
            }
        }
        if r.bytes.is_empty() {
            return Ok(());
        }
        Err(invalid(TRAILING))
    }
}

/// An element that ends too late is said to be so of the array.
fn improper(error: SqlError, number: usize) -> SqlError {
    match error.message == TRAILING {
        true => invalid(&format!("improper binary format in array element {number}")),
        false => error,
    }
}

fn rest<'a>(r: &mut Reader<'a>) -> &'a [u8] {
    std::mem::take(&mut r.bytes)
}
