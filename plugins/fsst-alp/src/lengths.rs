//! The lengths of the strings that lie one after the other in some bytes, so that one is found
//! without looking at all.
//!
//! For each vector of up to 1,024:
//!
//! ```text
//! sum varint │ least varint │ width u8 │ each length less the least, packed
//! ```

use std::ops::Range;

use heliosdb_plugin_api::Result;

use crate::bits::{self, Packed, VECTOR};
use crate::frame::{Reader, damaged, write_varint};

/// Appends lengths that [`Lengths::read`] reads.
pub fn write(lengths: &[usize], out: &mut Vec<u8>) {
    let mut packed = Vec::with_capacity(VECTOR);
    for vector in lengths.chunks(VECTOR) {
        let least = vector.iter().copied().min().unwrap_or(0);
        let longest = vector.iter().copied().max().unwrap_or(0);
        let width = bits::width((longest - least) as u64);
        packed.clear();
        packed.extend(vector.iter().map(|length| (length - least) as u64));
        write_varint(vector.iter().sum::<usize>() as u64, out);
        write_varint(least as u64, out);
        out.push(width as u8);
        bits::pack(&packed, width, out);
    }
}

#[derive(Debug)]
pub struct Lengths<'a> {
    count: usize,
    total: usize,
    vectors: Vec<Vector<'a>>,
}

#[derive(Debug)]
struct Vector<'a> {
    /// Where its strings are.
    bytes: Range<usize>,
    least: u64,
    packed: Packed<'a>,
}

impl<'a> Lengths<'a> {
    pub fn read(reader: &mut Reader<'a>, count: usize) -> Result<Lengths<'a>> {
        let mut lengths = Lengths {
            count,
            total: 0,
            vectors: Vec::new(),
        };
        let mut left = count;
        while left > 0 {
            let count = left.min(VECTOR);
            let start = lengths.total;
            let sum = reader.length()?;
            let least = reader.varint()?;
            let width = reader.width()?;
            let packed = reader.take(bits::packed_bytes(count, width))?;
            let packed = Packed::new(packed, width, count);
            lengths.total = start + sum;
            lengths.vectors.push(Vector {
                bytes: start..lengths.total,
                least,
                packed: packed.ok_or_else(|| damaged("a vector has a wrong length"))?,
            });
            left -= count;
        }
        Ok(lengths)
    }

    /// Bytes of all strings.
    pub fn total(&self) -> usize {
        self.total
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// Where the first of some strings begins, and where each of them ends: rising, and none above
    /// [`total`](Self::total).
    pub fn ends(&self, strings: Range<usize>) -> Result<(usize, Vec<usize>)> {
        let wrong = || damaged("its lengths are not those of its strings");
        let (mut start, mut ends) = (None, Vec::with_capacity(strings.len()));
        let mut unpacked = [0; VECTOR];
        let vectors = strings.start / VECTOR..strings.end.div_ceil(VECTOR);
        let first = vectors.start * VECTOR;
        for (number, vector) in self
            .vectors
            .get(vectors)
            .ok_or_else(wrong)?
            .iter()
            .enumerate()
        {
            let mut end = vector.bytes.start as u64;
            let within = vector.packed.unpack(&mut unpacked).iter().enumerate();
            for (index, more) in within {
                let string = first + number * VECTOR + index;
                if string == strings.start {
                    start = Some(end as usize);
                }
                let length = vector.least.checked_add(*more).ok_or_else(wrong)?;
                end = end.checked_add(length).ok_or_else(wrong)?;
                if end > vector.bytes.end as u64 {
                    return Err(wrong());
                }
                if strings.contains(&string) {
                    ends.push(end as usize);
                }
            }
            if end != vector.bytes.end as u64 {
                return Err(wrong());
            }
        }
        match (start, ends.len() == strings.len()) {
            (Some(start), true) => Ok((start, ends)),
            (None, true) => Ok((0, ends)),
            (_, false) => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_come_back_whole_and_in_part() {
        for count in [0, 1, 300, VECTOR, 3000] {
            let lengths: Vec<usize> = (0..count).map(|i| i * 7919 % 100 + 3).collect();
            let mut out = Vec::new();
            write(&lengths, &mut out);
            let mut reader = Reader::new(&out);
            let read = Lengths::read(&mut reader, count).unwrap();
            reader.end().unwrap();
            assert_eq!((read.count(), read.total()), (count, lengths.iter().sum()));
            for range in [
                0..0,
                0..count,
                count / 2..count,
                count / 3..count / 3 + count.min(1),
            ] {
                let (start, ends) = read.ends(range.clone()).unwrap();
                let mut end: usize = lengths[..range.start].iter().sum();
                if !range.is_empty() {
                    assert_eq!(start, end);
                }
                let expected = lengths[range].iter().map(|length| {
                    end += length;
                    end
                });
                assert_eq!(ends, expected.collect::<Vec<_>>());
            }
            assert!(read.ends(0..count + 1).is_err());
        }
    }

    #[test]
    fn damage_is_found_or_harmless() {
        let lengths: Vec<usize> = (0..1500).map(|i| i % 11).collect();
        let mut out = Vec::new();
        write(&lengths, &mut out);
        for at in 0..out.len() {
            for value in [0, 0x7f, 0xff, out[at] ^ 1] {
                let mut other = out.clone();
                other[at] = value;
                let Ok(read) = Lengths::read(&mut Reader::new(&other), 1500) else {
                    continue;
                };
                if let Ok((_, ends)) = read.ends(0..1500) {
                    assert!(ends.is_sorted() && ends.last().is_none_or(|e| *e <= read.total()));
                }
            }
        }
    }
}
