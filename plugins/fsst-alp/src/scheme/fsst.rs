//! FSST: Boncz, Neumann, Leis, "FSST: Fast Random Access String Compression", VLDB 2020.
//!
//! ```text
//! symbol table │ lengths of the strings' codes │ codes
//! ```
//!
//! A string is found and expanded without the others, and compared without being expanded.

use std::collections::HashSet;
use std::ops::Range;

use heliosdb_plugin_api::Result;

use super::symbols::{self, Symbols};
use crate::frame::{Reader, damaged};
use crate::lengths::{self, Lengths};
use crate::predicate::Predicate;
use crate::text::Strings;

pub fn encode(strings: &[&[u8]], out: &mut Vec<u8>) {
    // The name of the type is the crate's signature.
    let sample: Vec<&[u8]> = strings.to_vec();
    let compressor = fsst::Compressor::train(&sample);
    symbols::write(&compressor, out);
    let (mut codes, mut ends) = (Vec::new(), Vec::new());
    compressor.compress_bulk_into::<{ fsst::Compressor::DEFAULT_BULK_LANES }>(
        strings, &mut codes, &mut ends,
    );
    let mut start = 0;
    let each = ends.iter().map(|end| {
        let length = end - start;
        start = *end;
        length as usize
    });
    lengths::write(&each.collect::<Vec<_>>(), out);
    out.extend_from_slice(&codes);
}

/// Bytes of the symbol table and of the codes that strings get.
pub fn sizes(strings: &[&[u8]]) -> (usize, usize) {
    let compressor = fsst::Compressor::train(&strings.to_vec());
    let codes = strings.iter().map(|s| compressor.compress(s).len());
    (symbols::written_bytes(&compressor), codes.sum())
}

/// Encoded strings.
#[derive(Debug)]
pub struct Fsst<'a> {
    symbols: Symbols,
    lengths: Lengths<'a>,
    codes: &'a [u8],
}

impl<'a> Fsst<'a> {
    pub fn read(mut reader: Reader<'a>, count: usize) -> Result<Fsst<'a>> {
        let symbols = Symbols::read(&mut reader)?;
        let lengths = Lengths::read(&mut reader, count)?;
        let codes = reader.take(lengths.total())?;
        reader.end()?;
        Ok(Fsst {
            symbols,
            lengths,
            codes,
        })
    }

    pub fn strings(&self, range: Range<usize>) -> Result<Strings> {
        let (start, ends) = self.lengths.ends(range)?;
        self.symbols.expand(self.codes, start, &ends)
    }

    /// Which strings meet a predicate. Equality is that of codes; order and beginning are told by the codes
    /// up to the first difference.
    pub fn matches(&self, predicate: &Predicate<&[u8]>) -> Result<Vec<bool>> {
        match predicate {
            Predicate::Order(orders, constant) if orders.is_equality() => {
                let constant = self.symbols.codes(constant);
                self.each(|codes| Ok((codes == constant) == orders.equal))
            }
            Predicate::Order(orders, constant) => {
                self.each(|codes| Ok(orders.holds(self.symbols.compare(codes, constant)?)))
            }
            Predicate::In(list) => {
                let list = list.iter().map(|one| self.symbols.codes(one));
                let list: HashSet<Vec<u8>> = list.collect();
                self.each(|codes| Ok(list.contains(codes)))
            }
            Predicate::StartsWith(prefix) => {
                self.each(|codes| self.symbols.begins_with(codes, prefix))
            }
        }
    }

    fn each(&self, holds: impl Fn(&'a [u8]) -> Result<bool>) -> Result<Vec<bool>> {
        let (mut start, ends) = self.lengths.ends(0..self.lengths.count())?;
        let each = ends.into_iter().map(|end| {
            let codes = self.codes.get(start..end);
            start = end;
            holds(codes.ok_or_else(|| damaged("its codes are too short"))?)
        });
        each.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predicate::Orders;

    fn cities() -> Vec<String> {
        let places = ["Basel", "Bern", "Berlin", "", "Bergen", "São Paulo", "東京"];
        let each = (0..2500).map(|i| format!("{}{}", places[i % 7], i % 31));
        each.collect()
    }

    #[test]
    fn predicates_agree_with_the_strings() {
        let cities = cities();
        let strings: Vec<&[u8]> = cities.iter().map(|c| c.as_bytes()).collect();
        let mut out = Vec::new();
        encode(&strings, &mut out);
        let encoded = Fsst::read(Reader::new(&out), strings.len()).unwrap();
        let all = encoded.strings(0..strings.len()).unwrap();
        assert!(all.iter().eq(strings.iter().copied()));
        let check = |found: Vec<bool>, holds: &dyn Fn(&[u8]) -> bool| {
            assert!(found.iter().copied().eq(strings.iter().map(|s| holds(s))));
        };
        for constant in [
            &b"Bern0"[..],
            b"",
            b"B",
            b"Berlin7x",
            "東京3".as_bytes(),
            b"\xff",
        ] {
            let found = |predicate| encoded.matches(&predicate).unwrap();
            for orders in Orders::ALL {
                let found = found(Predicate::Order(orders, constant));
                check(found, &|s| orders.holds(s.cmp(constant)));
            }
            check(found(Predicate::StartsWith(constant)), &|s| {
                s.starts_with(constant)
            });
            let list = [constant, b"Bergen1", b"nowhere"];
            check(found(Predicate::In(list.to_vec())), &|s| list.contains(&s));
        }
    }
}
