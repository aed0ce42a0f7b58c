//! Which rows of a block are NULL. The schemes see the others only, one after the other.
//!
//! ```text
//! 0                    none is
//! 1 │ bitmap           ⌈rows/8⌉ bytes, bit set = not NULL, the lowest bit first
//! 2 │ varint │ zstd    the bitmap, compressed to so many bytes
//! ```

use std::ops::Range;

use arrow_array::Array;
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use heliosdb_plugin_api::Result;

use crate::frame::{Reader, damaged, write_varint};
use crate::zstd;

const NONE: u8 = 0;
const BITMAP: u8 = 1;
const COMPRESSED: u8 = 2;

/// The rows of a block.
#[derive(Clone, Debug)]
pub struct Rows {
    rows: usize,
    nulls: Option<NullBuffer>,
}

impl Rows {
    pub fn of(block: &dyn Array) -> Rows {
        let nulls = block.logical_nulls().filter(|n| n.null_count() > 0);
        Rows {
            rows: block.len(),
            nulls,
        }
    }

    /// How many are not NULL.
    pub fn values(&self) -> usize {
        let nulls = self.nulls.as_ref().map_or(0, NullBuffer::null_count);
        self.rows - nulls
    }

    pub fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls.as_ref()
    }

    pub fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        let Some(nulls) = &self.nulls else {
            out.push(NONE);
            return Ok(());
        };
        // The bits may begin within a byte.
        let bits: BooleanBuffer = nulls.iter().collect();
        let bitmap = bits.values();
        let shorter = zstd::compress(bitmap)?;
        if shorter.len() < bitmap.len() {
            out.push(COMPRESSED);
            write_varint(shorter.len() as u64, out);
            out.extend_from_slice(&shorter);
        } else {
            out.push(BITMAP);
            out.extend_from_slice(bitmap);
        }
        Ok(())
    }

    /// Most bytes that [`write`](Self::write) takes.
    pub fn bytes_max(&self) -> usize {
        1 + self.nulls.as_ref().map_or(0, |_| self.rows.div_ceil(8))
    }

    pub fn read(reader: &mut Reader<'_>, rows: usize) -> Result<Rows> {
        let bytes = rows.div_ceil(8);
        let bitmap = match reader.u8()? {
            NONE => return Ok(Rows { rows, nulls: None }),
            BITMAP => reader.take(bytes)?.to_vec(),
            COMPRESSED => {
                let length = reader.length()?;
                zstd::decompress(reader.take(length)?, bytes)?
            }
            _ => return Err(damaged("its form of NULLs is unknown")),
        };
        let bits = BooleanBuffer::new(Buffer::from_vec(bitmap), 0, rows);
        Ok(Rows {
            rows,
            nulls: Some(NullBuffer::new(bits)),
        })
    }

    /// The same of some of the rows, and which of the values are theirs.
    pub fn slice(&self, slice: Range<usize>) -> (Rows, Range<usize>) {
        let end = slice.end.min(self.rows);
        let start = slice.start.min(end);
        let rows = end - start;
        let Some(nulls) = &self.nulls else {
            return (Rows { rows, nulls: None }, start..end);
        };
        let before = start - nulls.slice(0, start).null_count();
        let nulls = nulls.slice(start, rows);
        let values = before..before + rows - nulls.null_count();
        let nulls = Some(nulls).filter(|n| n.null_count() > 0);
        (Rows { rows, nulls }, values)
    }

    /// One of `values` for each row that is not NULL, and `none` for each that is.
    pub fn spread<T: Clone>(&self, values: Vec<T>, none: T) -> Vec<T> {
        let Some(nulls) = &self.nulls else {
            return values;
        };
        let mut values = values.into_iter();
        let mut next = || values.next().unwrap_or_else(|| none.clone());
        let each = nulls.iter();
        each.map(|valid| if valid { next() } else { none.clone() })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Int16Array;

    fn check(valid: &[bool]) {
        let array: Int16Array = valid.iter().map(|v| v.then_some(1)).collect();
        let rows = Rows::of(&array);
        let mut out = Vec::new();
        rows.write(&mut out).unwrap();
        let mut reader = Reader::new(&out);
        let read = Rows::read(&mut reader, valid.len()).unwrap();
        reader.end().unwrap();
        assert_eq!(read.nulls(), array.nulls().filter(|n| n.null_count() > 0));
        let count = |range: Range<usize>| valid[range].iter().filter(|v| **v).count();
        assert_eq!(read.values(), count(0..valid.len()));
        for (start, end) in [(0, 0), (0, valid.len()), (valid.len() / 3, valid.len() / 2)] {
            let (part, values) = read.slice(start..end);
            assert_eq!(part.values(), values.len());
            assert_eq!(values, count(0..start)..count(0..end));
        }
    }

    #[test]
    fn null_rows_come_back() {
        check(&[]);
        check(&[true]);
        check(&[false]);
        check(&[true; 100]);
        check(&[false; 8192]);
        let every = |n: usize| (0..3001).map(|i| i % n == 0).collect::<Vec<_>>();
        check(&every(2));
        check(&every(97));
        let scattered: Vec<bool> = (0..999u32)
            .map(|i| i.wrapping_mul(0x9e37_79b9) >> 31 == 0)
            .collect();
        check(&scattered);
    }

    #[test]
    fn nulls_of_a_slice_begin_within_a_byte() {
        let array: Int16Array = (0..100).map(|i| (i % 3 > 0).then_some(i)).collect();
        let rows = Rows::of(&array.slice(5, 50));
        let mut out = Vec::new();
        rows.write(&mut out).unwrap();
        let read = Rows::read(&mut Reader::new(&out), 50).unwrap();
        assert_eq!(read.nulls(), rows.nulls());
    }
}
