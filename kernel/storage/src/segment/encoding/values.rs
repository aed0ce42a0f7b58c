//! Values without NULLs inside a payload: a dictionary's entries, the values of runs; and bytes.

use arrow_array::ArrayRef;
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};

use super::integers::{Integers, Slot, encode};
use super::raw::{RawColumn, RawValues};
use super::{booleans, starts};
use crate::datum::arrow::fixed_array;
use crate::datum::malformed;
use crate::error::{Error, Result};
use crate::schema::ColumnType;
use crate::segment::column::variable_array;
use crate::segment::input::Input;
use crate::segment::page::{Zstd, decompressed};

const SLOTS: u8 = 0;
const INTEGERS: u8 = 1;

/// Append the values of `rows`, none of which is NULL.
pub(super) fn encode_values(
    column: &RawColumn<'_>,
    rows: &[u32],
    zstd: &mut Zstd,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut bytes = Vec::new();
    for row in rows {
        bytes.extend_from_slice(column.value(*row as usize));
    }
    if let RawValues::Variable { .. } = column.values {
        let length = |row: &u32| column.value(*row as usize).len() as u64;
        encode(&rows.iter().map(length).collect::<Vec<_>>(), out);
        return encode_bytes(&bytes, zstd, out);
    }
    let values = RawColumn::parse(column.ty, rows.len(), &bytes)?;
    match values.numbers() {
        Some((base, numbers)) => {
            out.push(INTEGERS);
            out.extend_from_slice(&base.to_le_bytes());
            encode(&numbers, out);
            Ok(())
        }
        None => {
            out.push(SLOTS);
            encode_bytes(&bytes, zstd, out)
        }
    }
}

/// An array of `count` values, of at most `bytes_max` bytes in all.
pub(super) fn decode_values(
    ty: &ColumnType,
    count: usize,
    bytes_max: usize,
    input: &mut Input<'_>,
) -> Result<ArrayRef> {
    let Some(width) = ty.fixed_width_bytes() else {
        let lengths: Vec<u32> = Integers::parse(input, count)?.decode(0);
        let bytes = decode_bytes(bytes_max, input)?;
        return variable_array(ty, &starts(&lengths, bytes.len())?, bytes, None);
    };
    match input.u8()? {
        INTEGERS => {
            let base = input.i128()?;
            array_of(ty, base, &Integers::parse(input, count)?, None, None)
        }
        SLOTS => {
            let slots = decode_bytes(bytes_max, input)?;
            match slots.len() == count * width {
                true if *ty == ColumnType::Bool => booleans(&slots, None),
                true => fixed_array(ty, count, slots, None),
                false => Err(malformed(
                    format!("{count} values"),
                    format!("{} bytes", slots.len()),
                )),
            }
        }
        other => Err(malformed("a kind of values", other)),
    }
}

/// An array of whole numbers, each with `base` added; of all, or of those that `wanted` has a bit for.
pub(super) fn array_of(
    ty: &ColumnType,
    base: i128,
    numbers: &Integers<'_>,
    wanted: Option<&BooleanBuffer>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    fn slots<T: Slot>(
        numbers: &Integers<'_>,
        base: i128,
        wanted: Option<&BooleanBuffer>,
    ) -> Vec<T> {
        match wanted {
            None => numbers.decode(base),
            Some(wanted) => numbers.pick(base, wanted),
        }
    }
    macro_rules! fixed {
        ($slot:ty) => {{
            let slots = slots::<$slot>(numbers, base, wanted);
            fixed_array(ty, slots.len(), Buffer::from_vec(slots), nulls)
        }};
    }
    match ty {
        ColumnType::Bool => booleans(&slots::<u8>(numbers, base, wanted), nulls),
        ColumnType::Int16 => fixed!(i16),
        ColumnType::Int32 | ColumnType::Date => fixed!(i32),
        ColumnType::Oid => fixed!(u32),
        ColumnType::Int64 | ColumnType::Time | ColumnType::Timestamp | ColumnType::TimestampTz => {
            fixed!(i64)
        }
        ColumnType::Decimal { .. } => fixed!(i128),
        other => Err(malformed("whole numbers", format!("{other:?}"))),
    }
}

/// Append `bytes`, in zstd where that is shorter.
pub(in crate::segment) fn encode_bytes(
    bytes: &[u8],
    zstd: &mut Zstd,
    out: &mut Vec<u8>,
) -> Result<()> {
    let length = |len: usize| u32::try_from(len).map_err(|_| Error::RowTooLong { bytes: len });
    let stored = zstd.compress(bytes).unwrap_or(bytes);
    out.extend_from_slice(&length(bytes.len())?.to_le_bytes());
    out.extend_from_slice(&length(stored.len())?.to_le_bytes());
    out.extend_from_slice(stored);
    Ok(())
}

/// At most `bytes_max` bytes that [`encode_bytes`] appended.
pub(in crate::segment) fn decode_bytes(bytes_max: usize, input: &mut Input<'_>) -> Result<Buffer> {
    let (raw, stored) = (input.u32()? as usize, input.u32()? as usize);
    let bytes = input.take(stored)?;
    match raw {
        raw if raw > bytes_max => Err(malformed(format!("at most {bytes_max} bytes"), raw)),
        raw if raw == stored => Ok(Buffer::from_slice_ref(bytes)),
        raw => decompressed(bytes, raw),
    }
}
