//! Each string once, and for each row which one it has: for columns of few strings.
//!
//! ```text
//! number of strings varint │ 0, lengths, strings │ width u8 │ for each vector: places, packed
//!                            1, FSST length varint, FSST
//! ```
//!
//! The strings rise, so a comparison is evaluated once for each string and then on places.

use std::collections::HashMap;
use std::ops::Range;

use heliosdb_plugin_api::{Comparison, Result};

use super::fsst::{self, Fsst};
use crate::bits::{self, Packed, VECTOR};
use crate::frame::{Reader, damaged, write_varint};
use crate::lengths::{self, Lengths};
use crate::predicate::holds;
use crate::text::Strings;

const PLAIN: u8 = 0;
const FSST: u8 = 1;

pub fn encode(strings: &[&[u8]], out: &mut Vec<u8>) {
    let mut places: HashMap<&[u8], u64> = strings.iter().map(|s| (*s, 0)).collect();
    let mut distinct: Vec<&[u8]> = places.keys().copied().collect();
    distinct.sort_unstable();
    for (place, string) in distinct.iter().enumerate() {
        places.insert(string, place as u64);
    }
    write_varint(distinct.len() as u64, out);
    write_distinct(&distinct, out);
    let width = bits::width(distinct.len().saturating_sub(1) as u64);
    out.push(width as u8);
    let mut vector = Vec::with_capacity(VECTOR);
    for chunk in strings.chunks(VECTOR) {
        vector.clear();
        vector.extend(chunk.iter().filter_map(|string| places.get(string)));
        bits::pack(&vector, width, out);
    }
}

fn write_distinct(distinct: &[&[u8]], out: &mut Vec<u8>) {
    let each: Vec<usize> = distinct.iter().map(|s| s.len()).collect();
    let mut plain = Vec::new();
    lengths::write(&each, &mut plain);
    plain.extend(distinct.iter().copied().flatten());
    let mut shorter = Vec::new();
    fsst::encode(distinct, &mut shorter);
    if shorter.len() < plain.len() {
        out.push(FSST);
        write_varint(shorter.len() as u64, out);
        out.extend_from_slice(&shorter);
    } else {
        out.push(PLAIN);
        out.extend_from_slice(&plain);
    }
}

/// Encoded strings.
#[derive(Debug)]
pub struct Dictionary<'a> {
    distinct: Strings,
    count: usize,
    vectors: Vec<Packed<'a>>,
}

impl<'a> Dictionary<'a> {
    pub fn read(mut reader: Reader<'a>, count: usize) -> Result<Dictionary<'a>> {
        let number = reader.length()?;
        // There is no string that no row has.
        if number > count {
            return Err(damaged("it has more strings than rows"));
        }
        let distinct = match reader.u8()? {
            PLAIN => {
                let lengths = Lengths::read(&mut reader, number)?;
                let (_, ends) = lengths.ends(0..number)?;
                let bytes = reader.take(lengths.total())?.to_vec();
                Strings { bytes, ends }
            }
            FSST => {
                let length = reader.length()?;
                let fsst = Reader::new(reader.take(length)?);
                Fsst::read(fsst, number)?.strings(0..number)?
            }
            _ => return Err(damaged("its form of strings is unknown")),
        };
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
        reader.end()?;
        Ok(Dictionary {
            distinct,
            count,
            vectors,
        })
    }

    pub fn strings(&self, range: Range<usize>) -> Result<Strings> {
        let distinct: Vec<&[u8]> = self.distinct.iter().collect();
        let mut strings = Strings::default();
        self.each(range, |place| {
            let string = distinct.get(place).ok_or_else(no_string)?;
            strings.bytes.extend_from_slice(string);
            if strings.bytes.len() > crate::frame::VALUE_BYTES_MAX {
                return Err(damaged("its strings are too long"));
            }
            strings.ends.push(strings.bytes.len());
            Ok(())
        })?;
        Ok(strings)
    }

    /// Which strings compare so with a constant.
    pub fn compare(&self, comparison: Comparison, constant: &[u8]) -> Result<Vec<bool>> {
        self.matches(|string| holds(comparison, string.cmp(constant)))
    }

    /// For which strings `wanted` says yes, asked once for each different one.
    pub fn matches(&self, wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<bool>> {
        let wanted: Vec<bool> = self.distinct.iter().map(wanted).collect();
        let mut found = Vec::with_capacity(self.count);
        self.each(0..self.count, |place| {
            found.push(*wanted.get(place).ok_or_else(no_string)?);
            Ok(())
        })?;
        Ok(found)
    }

    fn each(&self, range: Range<usize>, mut take: impl FnMut(usize) -> Result<()>) -> Result<()> {
        let mut unpacked = [0; VECTOR];
        let vectors = range.start / VECTOR..range.end.div_ceil(VECTOR);
        let first = vectors.start * VECTOR;
        let vectors = self.vectors.get(vectors).ok_or_else(no_string)?;
        for (number, vector) in vectors.iter().enumerate() {
            let start = first + number * VECTOR;
            for (index, place) in vector.unpack(&mut unpacked).iter().enumerate() {
                if range.contains(&(start + index)) {
                    take(usize::try_from(*place).map_err(|_| no_string())?)?;
                }
            }
        }
        Ok(())
    }
}

fn no_string() -> heliosdb_plugin_api::Error {
    damaged("a row has a string that is not there")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_strings_come_back_and_compare() {
        let words = ["north", "south", "", "east", "west", "northwest"];
        let strings: Vec<&[u8]> = (0..2100).map(|i| words[i * i % 6].as_bytes()).collect();
        let mut out = Vec::new();
        encode(&strings, &mut out);
        assert!(out.len() < strings.len());
        let dictionary = Dictionary::read(Reader::new(&out), strings.len()).unwrap();
        for range in [0..strings.len(), 1000..1100, 2099..2100, 5..5] {
            let some = dictionary.strings(range.clone()).unwrap();
            assert!(some.iter().eq(strings[range].iter().copied()));
        }
        for comparison in crate::predicate::COMPARISONS {
            let found = dictionary.compare(comparison, b"northx").unwrap();
            let expected = strings
                .iter()
                .map(|s| holds(comparison, (*s).cmp(b"northx")));
            assert!(found.into_iter().eq(expected));
        }
    }
}
