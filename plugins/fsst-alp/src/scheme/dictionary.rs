//! Each value once, and for each row which one it has: for columns of few values.
//!
//! ```text
//! number of values varint │ strings: 0, lengths, bytes           │ places
//!                           strings: 1, FSST length varint, FSST
//!                           floats:  ALP length varint, ALP
//! ```
//!
//! The values rise. A comparison is evaluated once for each value and then looked up.

use std::collections::HashMap;
use std::ops::Range;

use heliosdb_plugin_api::Result;

use super::alp::{self, Alp};
use super::fsst::{self, Fsst};
use super::places::{self, Places};
use crate::float::{self, Float, order};
use crate::frame::{Reader, VALUE_BYTES_MAX, damaged, write_varint};
use crate::lengths::{self, Lengths};
use crate::predicate::Predicate;
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
    let each: Vec<u64> = strings
        .iter()
        .filter_map(|s| places.get(s).copied())
        .collect();
    places::write(&each, distinct.len(), out);
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

pub fn encode_floats<F: Float>(floats: &[F], out: &mut Vec<u8>) {
    let mut bits: Vec<u64> = floats.iter().map(|f| f.bits()).collect();
    bits.sort_unstable();
    bits.dedup();
    let mut distinct: Vec<F> = bits.into_iter().map(F::of_bits).collect();
    // Those of one order are told apart by their bits, in which they are sorted already.
    distinct.sort_by(|a, b| order(*a, *b));
    let numbered = distinct.iter().enumerate();
    let places: HashMap<u64, u64> = numbered
        .map(|(place, f)| (f.bits(), place as u64))
        .collect();
    write_varint(distinct.len() as u64, out);
    let mut values = Vec::new();
    alp::encode(&distinct, &alp::candidates(&distinct), &mut values);
    write_varint(values.len() as u64, out);
    out.extend_from_slice(&values);
    let each = floats.iter().filter_map(|f| places.get(&f.bits()).copied());
    places::write(&each.collect::<Vec<_>>(), distinct.len(), out);
}

/// How many values there are: there is none that no row has.
fn number(reader: &mut Reader<'_>, rows: usize) -> Result<usize> {
    match reader.length()? {
        number if number <= rows => Ok(number),
        _ => Err(damaged("it has more values than rows")),
    }
}

/// Encoded strings.
#[derive(Debug)]
pub struct Dictionary<'a> {
    distinct: Strings,
    places: Places<'a>,
}

impl<'a> Dictionary<'a> {
    pub fn read(mut reader: Reader<'a>, count: usize) -> Result<Dictionary<'a>> {
        let number = number(&mut reader, count)?;
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
        let places = Places::read(&mut reader, count)?;
        reader.end()?;
        Ok(Dictionary { distinct, places })
    }

    pub fn strings(&self, range: Range<usize>) -> Result<Strings> {
        let distinct: Vec<&[u8]> = self.distinct.iter().collect();
        let mut strings = Strings::default();
        for string in self.places.look_up(&distinct, range)? {
            strings.bytes.extend_from_slice(string);
            if strings.bytes.len() > VALUE_BYTES_MAX {
                return Err(damaged("its strings are too long"));
            }
            strings.ends.push(strings.bytes.len());
        }
        Ok(strings)
    }

    /// Which strings meet a predicate, asked once for each different one.
    pub fn matches(&self, predicate: &Predicate<&[u8]>) -> Result<Vec<bool>> {
        let wanted = self.distinct.iter().map(|string| predicate.holds(string));
        let wanted: Vec<bool> = wanted.collect();
        self.places.look_up_all(&wanted)
    }
}

/// Encoded floats.
#[derive(Debug)]
pub struct Floats<'a, F> {
    distinct: Vec<F>,
    places: Places<'a>,
}

impl<'a, F: Float> Floats<'a, F> {
    pub fn read(mut reader: Reader<'a>, count: usize) -> Result<Floats<'a, F>> {
        let number = number(&mut reader, count)?;
        let length = reader.length()?;
        let values = Reader::new(reader.take(length)?);
        let distinct = Alp::read(values, number)?.floats(0..number)?;
        let places = Places::read(&mut reader, count)?;
        reader.end()?;
        Ok(Floats { distinct, places })
    }

    pub fn floats(&self, range: Range<usize>) -> Result<Vec<F>> {
        self.places.look_up(&self.distinct, range)
    }

    /// Which floats meet a predicate, asked once for each different one; `None` for one of strings.
    pub fn matches(&self, predicate: &Predicate<F>) -> Result<Option<Vec<bool>>> {
        let mut wanted = Vec::with_capacity(self.distinct.len());
        for float in &self.distinct {
            let Some(holds) = float::holds(predicate, *float) else {
                return Ok(None);
            };
            wanted.push(holds);
        }
        self.places.look_up_all(&wanted).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predicate::Orders;

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
        let list = vec![&b"east"[..], b"", b"up"];
        let predicates = Orders::ALL.map(|orders| Predicate::Order(orders, &b"northx"[..]));
        let others = [Predicate::In(list), Predicate::StartsWith(&b"north"[..])];
        for predicate in predicates.into_iter().chain(others) {
            let found = dictionary.matches(&predicate).unwrap();
            let expected = strings.iter().map(|s| predicate.holds(s));
            assert!(found.into_iter().eq(expected), "{predicate:?}");
        }
    }

    #[test]
    fn few_floats_come_back_to_the_bit_and_compare() {
        let few = [1.5, -0.0, 0.0, f64::NAN, -f64::NAN, f64::INFINITY, -7.25];
        let floats: Vec<f64> = (0..2100).map(|i| few[i * i * i % 7]).collect();
        let mut out = Vec::new();
        encode_floats(&floats, &mut out);
        assert!(out.len() < floats.len());
        let dictionary = Floats::<f64>::read(Reader::new(&out), floats.len()).unwrap();
        for range in [0..floats.len(), 1000..1100, 2099..2100, 5..5] {
            let some = dictionary.floats(range.clone()).unwrap();
            let bits = |f: &f64| f.to_bits();
            assert!(some.iter().map(bits).eq(floats[range].iter().map(bits)));
        }
        let predicates = Orders::ALL.map(|orders| Predicate::Order(orders, 0.0));
        let list = Predicate::In(vec![f64::NAN, 1.5, 7.0]);
        for predicate in predicates.into_iter().chain([list]) {
            let found = dictionary.matches(&predicate).unwrap().unwrap();
            let expected = floats.iter().map(|f| float::holds(&predicate, *f).unwrap());
            assert!(found.into_iter().eq(expected), "{predicate:?}");
        }
        let text = dictionary.matches(&Predicate::StartsWith(1.5)).unwrap();
        assert_eq!(text, None);
    }
}
