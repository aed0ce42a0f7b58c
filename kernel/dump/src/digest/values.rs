//! Value hashes of a column, straight from its Arrow array.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{ByteArrayType, ByteViewType};
use arrow_array::{Array, GenericByteArray, GenericByteViewArray};
use arrow_buffer::ToByteSlice;
use arrow_schema::DataType;
use heliosdb_storage::{Error, Result};
use twox_hash::XxHash3_64;

/// The value hash of NULL.
const NULL: u64 = 0;
/// Seed of the hash of an array's element hashes.
const ARRAY_SEED: u64 = 1;

/// Put the value hashes of `rows` into every `stride`th slot of `out`, from the first.
pub(super) fn hash_values(
    array: &dyn Array,
    rows: Range<usize>,
    out: &mut [u64],
    stride: usize,
) -> Result<()> {
    let out = Slots { out, stride };
    match array.data_type() {
        DataType::Boolean => {
            let hashes = [XxHash3_64::oneshot(&[0]), XxHash3_64::oneshot(&[1])];
            let bools = array.as_boolean();
            out.fill(array, rows, |row| hashes[usize::from(bools.value(row))]);
        }
        DataType::Utf8View => views(array.as_string_view(), rows, out),
        DataType::BinaryView => views(array.as_binary_view(), rows, out),
        DataType::LargeUtf8 => bytes(array.as_string::<i64>(), rows, out),
        DataType::Binary => bytes(array.as_binary::<i32>(), rows, out),
        DataType::LargeBinary => bytes(array.as_binary::<i64>(), rows, out),
        DataType::FixedSizeBinary(_) => {
            let values = array.as_fixed_size_binary();
            out.fill(array, rows, |row| XxHash3_64::oneshot(values.value(row)));
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            let mut elements = Vec::new();
            for (slot, row) in rows.enumerate() {
                if list.is_null(row) {
                    out.out[slot * stride] = NULL;
                    continue;
                }
                let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
                elements.clear();
                elements.resize(to - from, 0);
                hash_values(list.values(), from..to, &mut elements, 1)?;
                let hash = XxHash3_64::oneshot_with_seed(ARRAY_SEED, elements.to_byte_slice());
                out.out[slot * stride] = hash;
            }
        }
        other => match other.primitive_width() {
            Some(2) => fixed::<2>(array, rows, out),
            Some(4) => fixed::<4>(array, rows, out),
            Some(8) => fixed::<8>(array, rows, out),
            Some(16) => fixed::<16>(array, rows, out),
            _ => return Err(Error::invalid(format!("no column has the type {other}"))),
        },
    }
    Ok(())
}

/// Where hashes go.
struct Slots<'a> {
    out: &'a mut [u64],
    stride: usize,
}

impl Slots<'_> {
    fn fill(self, array: &dyn Array, rows: Range<usize>, hash: impl Fn(usize) -> u64) {
        let slots = self.out.iter_mut().step_by(self.stride);
        match array.nulls() {
            None => slots.zip(rows).for_each(|(slot, row)| *slot = hash(row)),
            Some(nulls) => slots.zip(rows).for_each(|(slot, row)| {
                *slot = match nulls.is_null(row) {
                    true => NULL,
                    false => hash(row),
                }
            }),
        }
    }
}

/// Slots of `W` bytes, which on a little-endian machine are the value bytes.
fn fixed<const W: usize>(array: &dyn Array, rows: Range<usize>, out: Slots<'_>) {
    let data = array.to_data();
    let values = &data.buffers()[0].as_slice()[data.offset() * W..];
    out.fill(array, rows, |row| {
        XxHash3_64::oneshot(&values[row * W..][..W])
    });
}

fn bytes<T: ByteArrayType>(array: &GenericByteArray<T>, rows: Range<usize>, out: Slots<'_>) {
    out.fill(array, rows, |row| {
        XxHash3_64::oneshot(array.value(row).as_ref())
    });
}

fn views<T: ByteViewType + ?Sized>(
    array: &GenericByteViewArray<T>,
    rows: Range<usize>,
    out: Slots<'_>,
) {
    out.fill(array, rows, |row| {
        XxHash3_64::oneshot(array.value(row).as_ref())
    });
}
