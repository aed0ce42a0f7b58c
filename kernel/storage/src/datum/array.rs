//! Value bytes of an array: elements of one type, each a value or NULL.
//!
//! ```text
//! count u32 │ null bitmap, ⌈count/8⌉ bytes, bit set = NULL │ elements
//!
//! elements of a fixed-width type:   count slots; a NULL keeps a zeroed slot
//! elements of any other type:       count end offsets u32 (from the start of the data) │ data
//! ```
//!
//! Element `i` is found without reading the others. An array of arrays nests.

use super::{VALUE_BYTES_MAX, fixed, malformed, too_long};
use crate::error::Result;
use crate::schema::ColumnType;

/// Bytes of `count` at the start.
const COUNT_BYTES: usize = 4;
/// Bytes of one end offset.
const OFFSET_BYTES: usize = 4;

/// A view of an array's value bytes whose lengths have been checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArrayRef<'a> {
    count: usize,
    width: Option<usize>,
    nulls: &'a [u8],
    ends: &'a [u8],
    data: &'a [u8],
}

impl<'a> ArrayRef<'a> {
    /// Check the frame of `bytes` as an array of `item`s. Offsets are checked when used.
    pub fn parse(item: &ColumnType, bytes: &'a [u8]) -> Result<ArrayRef<'a>> {
        let short = || malformed("a whole array", format!("{} bytes", bytes.len()));
        let (count, rest) = bytes.split_at_checked(COUNT_BYTES).ok_or_else(short)?;
        let count = u32::from_le_bytes(fixed(count)?) as usize;
        let (nulls, rest) = rest.split_at_checked(count.div_ceil(8)).ok_or_else(short)?;
        let width = item.fixed_width_bytes();
        let (ends, data) = match width {
            Some(width) => {
                if count.checked_mul(width) != Some(rest.len()) {
                    return Err(short());
                }
                (&rest[..0], rest)
            }
            None => {
                let ends = count.checked_mul(OFFSET_BYTES).ok_or_else(short)?;
                rest.split_at_checked(ends).ok_or_else(short)?
            }
        };
        Ok(ArrayRef {
            count,
            width,
            nulls,
            ends,
            data,
        })
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// Element `index < len()`; `None` is NULL.
    pub fn element(&self, index: usize) -> Result<Option<&'a [u8]>> {
        if self.nulls[index / 8] & (1 << (index % 8)) != 0 {
            return Ok(None);
        }
        if let Some(width) = self.width {
            return Ok(Some(&self.data[index * width..][..width]));
        }
        let end = self.end(index)?;
        let start = if index == 0 { 0 } else { self.end(index - 1)? };
        match self.data.get(start..end) {
            Some(value) => Ok(Some(value)),
            None => Err(malformed(
                "an element inside its array",
                format!("{start}..{end}"),
            )),
        }
    }

    fn end(&self, index: usize) -> Result<usize> {
        let at = index * OFFSET_BYTES;
        Ok(u32::from_le_bytes(fixed(&self.ends[at..at + OFFSET_BYTES])?) as usize)
    }
}

/// Bytes of an array of `count` elements before its slots or data.
pub(crate) fn frame_bytes(item: &ColumnType, count: usize) -> usize {
    let ends = match item.fixed_width_bytes() {
        Some(_) => 0,
        None => count * OFFSET_BYTES,
    };
    COUNT_BYTES + count.div_ceil(8) + ends
}

/// Append an array of `count` elements; `write(i, out)` appends the value bytes of element `i`, or
/// nothing and returns false when it is NULL.
pub(crate) fn write_array(
    item: &ColumnType,
    count: usize,
    out: &mut Vec<u8>,
    mut write: impl FnMut(usize, &mut Vec<u8>) -> Result<bool>,
) -> Result<()> {
    if count > VALUE_BYTES_MAX {
        return Err(too_long(count));
    }
    let header = count as u32;
    out.extend_from_slice(&header.to_le_bytes());
    let nulls = out.len();
    out.resize(nulls + count.div_ceil(8), 0);
    let width = item.fixed_width_bytes();
    let ends = out.len();
    if width.is_none() {
        out.resize(ends + count * OFFSET_BYTES, 0);
    }
    let data = out.len();
    for index in 0..count {
        let start = out.len();
        if !write(index, out)? {
            out.truncate(start);
            out[nulls + index / 8] |= 1 << (index % 8);
        }
        match width {
            Some(width) => out.resize(start + width, 0),
            None => {
                if out.len() - data > VALUE_BYTES_MAX {
                    return Err(too_long(out.len() - data));
                }
                let end = (out.len() - data) as u32;
                let at = ends + index * OFFSET_BYTES;
                out[at..at + OFFSET_BYTES].copy_from_slice(&end.to_le_bytes());
            }
        }
    }
    Ok(())
}
