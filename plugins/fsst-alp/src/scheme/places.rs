//! Which of some values each row has: places in a list, packed in vectors.
//!
//! ```text
//! width u8 │ for each vector: places, packed
//! ```

use std::ops::Range;

use heliosdb_plugin_api::Result;

use crate::bits::{self, Packed, VECTOR};
use crate::frame::{Reader, damaged};

/// Appends the places of rows in a list of `values`.
pub fn write(places: &[u64], values: usize, out: &mut Vec<u8>) {
    let width = width(values);
    out.push(width as u8);
    for vector in places.chunks(VECTOR) {
        bits::pack(vector, width, out);
    }
}

/// Bits of a place in a list of `values`.
pub fn width(values: usize) -> u32 {
    bits::width(values.saturating_sub(1) as u64)
}

#[derive(Debug)]
pub struct Places<'a> {
    count: usize,
    vectors: Vec<Packed<'a>>,
}

impl<'a> Places<'a> {
    pub fn read(reader: &mut Reader<'a>, count: usize) -> Result<Places<'a>> {
        let width = reader.width()?;
        let mut vectors = Vec::new();
        let mut left = count;
        while left > 0 {
            let rows = left.min(VECTOR);
            let packed = reader.take(bits::packed_bytes(rows, width))?;
            let packed = Packed::new(packed, width, rows);
            vectors.push(packed.ok_or_else(|| damaged("a vector has a wrong length"))?);
            left -= rows;
        }
        Ok(Places { count, vectors })
    }

    /// What stands in `list` for each of these rows.
    pub fn look_up<T: Copy>(&self, list: &[T], rows: Range<usize>) -> Result<Vec<T>> {
        let missing = || damaged("a row has a value that is not there");
        let mut found = Vec::with_capacity(rows.len());
        let mut unpacked = [0; VECTOR];
        let vectors = rows.start / VECTOR..rows.end.div_ceil(VECTOR);
        let mut start = vectors.start * VECTOR;
        for vector in self.vectors.get(vectors).ok_or_else(missing)? {
            let places = vector.unpack(&mut unpacked);
            let from = rows.start.saturating_sub(start);
            let to = (rows.end - start).min(places.len());
            for place in places.get(from..to).ok_or_else(missing)? {
                let value = usize::try_from(*place)
                    .ok()
                    .and_then(|place| list.get(place));
                found.push(*value.ok_or_else(missing)?);
            }
            start += places.len();
        }
        match found.len() == rows.len() {
            true => Ok(found),
            false => Err(missing()),
        }
    }

    /// What stands in `list` for each row.
    pub fn look_up_all<T: Copy>(&self, list: &[T]) -> Result<Vec<T>> {
        self.look_up(list, 0..self.count)
    }
}
