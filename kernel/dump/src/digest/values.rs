//! Value hashes of a column, straight from its Arrow array.

use arrow_array::cast::AsArray;
use arrow_array::types::{ByteArrayType, ByteViewType};
use arrow_array::{Array, GenericByteArray, GenericByteViewArray};
use arrow_schema::DataType;
use heliosdb_storage::{Error, Result};
use twox_hash::XxHash3_64;

/// The value hash of NULL.
const NULL: u64 = 0;
/// Seed of the hash of an array's element hashes.
const ARRAY_SEED: u64 = 1;

/// Call `put` with the value hash of each of the rows `start..start + len`, in order.
pub(super) fn hash_values(
    array: &dyn Array,
    start: usize,
    len: usize,
    mut put: impl FnMut(u64),
) -> Result<()> {
    let put: &mut dyn FnMut(u64) = &mut put;
    let rows = start..start + len;
    match array.data_type() {
        DataType::Boolean => {
            let hashes = [XxHash3_64::oneshot(&[0]), XxHash3_64::oneshot(&[1])];
            let bools = array.as_boolean();
            each(array, rows, put, |row| {
                hashes[usize::from(bools.value(row))]
            });
        }
        DataType::Utf8View => views(array.as_string_view(), rows, put),
        DataType::BinaryView => views(array.as_binary_view(), rows, put),
        DataType::LargeUtf8 => bytes(array.as_string::<i64>(), rows, put),
        DataType::Binary => bytes(array.as_binary::<i32>(), rows, put),
        DataType::LargeBinary => bytes(array.as_binary::<i64>(), rows, put),
        DataType::FixedSizeBinary(_) => {
            let values = array.as_fixed_size_binary();
            each(array, rows, put, |row| {
                XxHash3_64::oneshot(values.value(row))
            });
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let mut elements: Vec<u8> = Vec::new();
            for row in rows {
                if list.is_null(row) {
                    put(NULL);
                    continue;
                }
                let offsets = list.value_offsets();
                let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
                elements.clear();
                // One type for every depth: each closure has its own.
                let gather: &mut dyn FnMut(u64) =
                    &mut |hash| elements.extend_from_slice(&hash.to_le_bytes());
                hash_values(list.values(), from, to - from, gather)?;
                put(XxHash3_64::oneshot_with_seed(ARRAY_SEED, &elements));
            }
        }
        other => match other.primitive_width() {
            Some(2) => fixed::<2>(array, rows, put),
            Some(4) => fixed::<4>(array, rows, put),
            Some(8) => fixed::<8>(array, rows, put),
            Some(16) => fixed::<16>(array, rows, put),
            _ => return Err(Error::invalid(format!("no column has the type {other}"))),
        },
    }
    Ok(())
}

fn each(
    array: &dyn Array,
    rows: std::ops::Range<usize>,
    put: &mut dyn FnMut(u64),
    hash: impl Fn(usize) -> u64,
) {
    match array.nulls() {
        None => rows.for_each(|row| put(hash(row))),
        Some(nulls) => rows.for_each(|row| match nulls.is_null(row) {
            true => put(NULL),
            false => put(hash(row)),
        }),
    }
}

/// Slots of `W` bytes, which on a little-endian machine are the value bytes.
fn fixed<const W: usize>(
    array: &dyn Array,
    rows: std::ops::Range<usize>,
    put: &mut dyn FnMut(u64),
) {
    let data = array.to_data();
    let slots = &data.buffers()[0].as_slice()[data.offset() * W..];
    each(array, rows, put, |row| {
        XxHash3_64::oneshot(&slots[row * W..][..W])
    });
}

fn bytes<T: ByteArrayType>(
    array: &GenericByteArray<T>,
    rows: std::ops::Range<usize>,
    put: &mut dyn FnMut(u64),
) {
    each(array, rows, put, |row| {
        XxHash3_64::oneshot(array.value(row).as_ref())
    });
}

fn views<T: ByteViewType + ?Sized>(
    array: &GenericByteViewArray<T>,
    rows: std::ops::Range<usize>,
    put: &mut dyn FnMut(u64),
) {
    each(array, rows, put, |row| {
        XxHash3_64::oneshot(array.value(row).as_ref())
    });
}
