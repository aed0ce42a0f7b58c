//! Keys: column values encoded so that `memcmp` orders them as PostgreSQL orders the columns.
//!
//! One key is the concatenation of its columns, each
//!
//! ```text
//! marker u8 │ ordered value            (a NULL is its marker alone)
//!
//! marker   0 NULL, nulls first │ 1 a value │ 2 NULL, nulls last
//!
//! ordered value, complemented bit by bit when the column is DESC:
//!   bool                       u8, 0 or 1
//!   int2 int4 int8 date time   big-endian with the sign bit flipped
//!   timestamp timestamptz        (numeric(p,s) likewise, 16 bytes)
//!   oid                        big-endian
//!   float4 float8              IEEE bits big-endian, all flipped when negative, else the sign
//!                              flipped; -0 is stored as +0 and every NaN as one that sorts last
//!   interval                   its length with a month of 30 days and a day of 24 hours, in
//!                              nanoseconds, as a 16-byte integer: '1 month' equals '30 days'
//!   uuid                       as it is
//!   text bytea jsonb           each 0x00 as 0x00 0xFF, then the terminator 0x00 0x00
//!   numeric                    the same, without the two bytes of its display scale
//!   array                      per element 1 and its ordered value, or 2 for NULL; then 0
//! ```
//!
//! Why it holds:
//!
//! 1. *Order.* Fixed-width values compare as the integers they map to. In an escaped string the
//!    terminator's second byte, 0x00, is less than the 0xFF that follows an escaped 0x00, and its
//!    first is not greater than any byte, so a string sorts before everything it is a prefix of.
//!    The same goes for the 0 that ends an array, and 2 puts NULL elements last, as PostgreSQL does.
//! 2. *Prefix-freedom.* No ordered value is a proper prefix of another one of its type: widths are
//!    fixed, and 0x00 0x00 occurs in an escaped string only at its end. Columns therefore cannot
//!    run into each other, and complementing (DESC) exactly reverses the order.
//! 3. *Equality.* Two keys are equal exactly when their columns compare equal in SQL. Keys are not
//!    decoded: -0, '1 month' and 1.50 lose what SQL equality does not see. The row has it.
//!
//! **Numeric.** Value bytes of `ColumnType::Numeric` are the order-preserving bytes of the value
//! followed by its display scale, u16 big-endian, in the last two bytes. 1.5 and 1.50 are equal in
//! SQL, so keys leave those two bytes out. This is all storage knows of the encoding.

use crate::datum::array::ArrayRef;
use crate::datum::{Datum, fixed, malformed};
use crate::error::{Error, Result};
use crate::schema::{ColumnType, KeyColumn};

const MARKER_NULL_FIRST: u8 = 0;
const MARKER_VALUE: u8 = 1;
const MARKER_NULL_LAST: u8 = 2;

const ESCAPED: u8 = 0x00;
const ESCAPED_ZERO: [u8; 2] = [ESCAPED, 0xFF];
const TERMINATOR: [u8; 2] = [ESCAPED, 0x00];

const ELEMENT_END: u8 = 0;
const ELEMENT_VALUE: u8 = 1;
const ELEMENT_NULL: u8 = 2;

/// The display scale at the end of `numeric` value bytes.
const NUMERIC_SCALE_BYTES: usize = 2;

const _: () = assert!(MARKER_NULL_FIRST < MARKER_VALUE && MARKER_VALUE < MARKER_NULL_LAST);
const _: () = assert!(ELEMENT_END < ELEMENT_VALUE && ELEMENT_VALUE < ELEMENT_NULL);
const _: () = assert!(TERMINATOR[1] < ESCAPED_ZERO[1] && MARKER_NULL_LAST < u8::MAX);

const NANOS_PER_DAY: i128 = 24 * 60 * 60 * 1_000_000_000;
const DAYS_PER_MONTH: i128 = 30;

/// Encode `values` as the leading columns of a key: value `i` stands in `columns[i]`, whose type is
/// `types[i]`. Fewer values than columns give a prefix, for [`prefix_range`].
pub fn encode_key(
    values: &[Datum],
    columns: &[KeyColumn],
    types: &[ColumnType],
) -> Result<Vec<u8>> {
    let mut key = Vec::with_capacity(16 * values.len());
    append_key(values, columns, types, &mut key)?;
    Ok(key)
}

/// [`encode_key`], appended to `key`.
pub fn append_key(
    values: &[Datum],
    columns: &[KeyColumn],
    types: &[ColumnType],
    key: &mut Vec<u8>,
) -> Result<()> {
    if values.len() > columns.len() || columns.len() != types.len() {
        return Err(Error::invalid(format!(
            "{} values for a key of {} columns and {} types",
            values.len(),
            columns.len(),
            types.len()
        )));
    }
    let mut scratch = Vec::new();
    for ((value, column), ty) in values.iter().zip(columns).zip(types) {
        if *value == Datum::Null {
            append_column(ty, None, *column, key)?;
        } else {
            scratch.clear();
            value.write_value(ty, &mut scratch)?;
            append_column(ty, Some(&scratch), *column, key)?;
        }
    }
    Ok(())
}

/// Append one column to a key, from its value bytes (`None` is NULL): what [`encode_key`] does per
/// column, for callers that hold a row and not datums.
pub fn append_column(
    ty: &ColumnType,
    value: Option<&[u8]>,
    column: KeyColumn,
    key: &mut Vec<u8>,
) -> Result<()> {
    let Some(value) = value else {
        key.push(if column.nulls_first {
            MARKER_NULL_FIRST
        } else {
            MARKER_NULL_LAST
        });
        return Ok(());
    };
    key.push(MARKER_VALUE);
    let start = key.len();
    append_ordered(ty, value, key)?;
    if column.descending {
        for byte in &mut key[start..] {
            *byte = !*byte;
        }
    }
    Ok(())
}

/// The range of keys that start with `prefix`: from it (inclusive) to the returned end (exclusive),
/// or to the end of the collection when there is none.
pub fn prefix_range(prefix: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let end = prefix
        .iter()
        .rposition(|byte| *byte != u8::MAX)
        .map(|last| {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end
        });
    (prefix.to_vec(), end)
}

/// Append the ordered form of value bytes, ascending and without a marker.
pub(crate) fn append_ordered(ty: &ColumnType, value: &[u8], key: &mut Vec<u8>) -> Result<()> {
    if let Some(width) = ordered_width(ty) {
        let ordered = ordered_fixed(ty, value)?.to_be_bytes();
        key.extend_from_slice(&ordered[ordered.len() - width..]);
        return Ok(());
    }
    match ty {
        ColumnType::Array(item) => {
            let array = ArrayRef::parse(item, value)?;
            for index in 0..array.len() {
                match array.element(index)? {
                    None => key.push(ELEMENT_NULL),
                    Some(element) => {
                        key.push(ELEMENT_VALUE);
                        append_ordered(item, element, key)?;
                    }
                }
            }
            key.push(ELEMENT_END);
        }
        _ => append_escaped(ordered_bytes(ty, value)?, key),
    }
    Ok(())
}

/// The part of a variable-length value (arrays excepted) that takes part in comparison; these
/// compare by memcmp as their escaped forms do.
pub(crate) fn ordered_bytes<'a>(ty: &ColumnType, value: &'a [u8]) -> Result<&'a [u8]> {
    match ty {
        ColumnType::Numeric => match value.len().checked_sub(NUMERIC_SCALE_BYTES) {
            Some(len) => Ok(&value[..len]),
            None => Err(malformed("a numeric and its scale", format!("{value:?}"))),
        },
        _ => Ok(value),
    }
}

fn append_escaped(bytes: &[u8], key: &mut Vec<u8>) {
    let mut parts = bytes.split(|byte| *byte == ESCAPED);
    key.extend_from_slice(parts.next().unwrap_or_default());
    for part in parts {
        key.extend_from_slice(&ESCAPED_ZERO);
        key.extend_from_slice(part);
    }
    key.extend_from_slice(&TERMINATOR);
}

/// Bytes of a fixed-width type's ordered form. An interval's is as wide as its value by chance.
pub(crate) fn ordered_width(ty: &ColumnType) -> Option<usize> {
    ty.fixed_width_bytes()
}

/// Map a fixed-width value to an integer of [`ordered_width`] bytes that orders as the value does.
pub(crate) fn ordered_fixed(ty: &ColumnType, value: &[u8]) -> Result<u128> {
    Ok(match ty {
        ColumnType::Int16 => u128::from(u16::from_le_bytes(fixed(value)?) ^ (1 << 15)),
        ColumnType::Int32 | ColumnType::Date => {
            u128::from(u32::from_le_bytes(fixed(value)?) ^ (1 << 31))
        }
        ColumnType::Int64 | ColumnType::Time | ColumnType::Timestamp | ColumnType::TimestampTz => {
            u128::from(u64::from_le_bytes(fixed(value)?) ^ (1 << 63))
        }
        ColumnType::Decimal { .. } => ordered_i128(i128::from_le_bytes(fixed(value)?)),
        ColumnType::Float32 => u128::from(ordered_f32(f32::from_le_bytes(fixed(value)?))),
        ColumnType::Float64 => u128::from(ordered_f64(f64::from_le_bytes(fixed(value)?))),
        ColumnType::Uuid => u128::from_be_bytes(fixed(value)?),
        ColumnType::Oid => u128::from(u32::from_le_bytes(fixed(value)?)),
        ColumnType::Bool | ColumnType::Interval => match Datum::from_value(ty, value)? {
            Datum::Bool(v) => u128::from(v),
            Datum::Interval {
                months,
                days,
                nanos,
            } => {
                let days = i128::from(months) * DAYS_PER_MONTH + i128::from(days);
                ordered_i128(days * NANOS_PER_DAY + i128::from(nanos))
            }
            other => return Err(Error::internal(format!("{other:?} for a {ty:?}"))),
        },
        _ => return Err(Error::invalid(format!("{ty:?} has no fixed width"))),
    })
}

fn ordered_i128(v: i128) -> u128 {
    v as u128 ^ (1 << 127)
}

fn ordered_f32(v: f32) -> u32 {
    let v = if v == 0.0 {
        0.0
    } else if v.is_nan() {
        f32::NAN.copysign(1.0)
    } else {
        v
    };
    let bits = v.to_bits();
    if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    }
}

fn ordered_f64(v: f64) -> u64 {
    let v = if v == 0.0 {
        0.0
    } else if v.is_nan() {
        f64::NAN.copysign(1.0)
    } else {
        v
    };
    let bits = v.to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    }
}

/// The least and the greatest of [`ordered_fixed`] over slots of a fixed-width type, without those
/// that `is_null` names. One branch on the type for all of them: this is on the way of bulk loads.
pub(crate) fn ordered_bounds(
    ty: &ColumnType,
    slots: &[u8],
    is_null: Option<&dyn Fn(usize) -> bool>,
) -> Result<Option<(u128, u128)>> {
    let width = ordered_width(ty).ok_or_else(|| malformed("a fixed width", format!("{ty:?}")))?;
    let at = match ty {
        ColumnType::Int16 => extremes(slots, is_null, i16::from_le_bytes),
        ColumnType::Int32 | ColumnType::Date => extremes(slots, is_null, i32::from_le_bytes),
        ColumnType::Int64 | ColumnType::Time | ColumnType::Timestamp | ColumnType::TimestampTz => {
            extremes(slots, is_null, i64::from_le_bytes)
        }
        ColumnType::Decimal { .. } => extremes(slots, is_null, i128::from_le_bytes),
        ColumnType::Oid => extremes(slots, is_null, u32::from_le_bytes),
        ColumnType::Uuid => extremes(slots, is_null, u128::from_be_bytes),
        ColumnType::Float32 => extremes(slots, is_null, |v| ordered_f32(f32::from_le_bytes(v))),
        ColumnType::Float64 => extremes(slots, is_null, |v| ordered_f64(f64::from_le_bytes(v))),
        _ => {
            let mut range = None;
            for (row, slot) in slots.chunks_exact(width).enumerate() {
                if !is_null.is_some_and(|is_null| is_null(row)) {
                    let ordered = ordered_fixed(ty, slot)?;
                    let (min, max) = range.unwrap_or((ordered, ordered));
                    range = Some((ordered.min(min), ordered.max(max)));
                }
            }
            return Ok(range);
        }
    };
    let ordered = |row: usize| ordered_fixed(ty, &slots[row * width..][..width]);
    at.map(|(min, max)| Ok((ordered(min)?, ordered(max)?)))
        .transpose()
}

/// The rows of the least and of the greatest slot.
fn extremes<const N: usize, T: Ord + Copy>(
    slots: &[u8],
    is_null: Option<&dyn Fn(usize) -> bool>,
    value: impl Fn([u8; N]) -> T,
) -> Option<(usize, usize)> {
    let (slots, _) = slots.as_chunks::<N>();
    let mut found: Option<((T, usize), (T, usize))> = None;
    for (row, slot) in slots.iter().enumerate() {
        if is_null.is_some_and(|is_null| is_null(row)) {
            continue;
        }
        let value = value(*slot);
        match &mut found {
            None => found = Some(((value, row), (value, row))),
            Some((min, max)) => {
                if value < min.0 {
                    *min = (value, row);
                } else if value > max.0 {
                    *max = (value, row);
                }
            }
        }
    }
    found.map(|((_, min), (_, max))| (min, max))
}

#[cfg(test)]
mod tests;
