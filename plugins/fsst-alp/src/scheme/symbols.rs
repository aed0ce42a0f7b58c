//! A symbol table of FSST: up to 255 strings of one to eight bytes, each with a code of one byte.
//!
//! ```text
//! how many symbols have 1, 2, … 8 bytes, u8 each │ the symbols of 2, 3, … 8 bytes, then those of 1
//! ```
//!
//! A symbol's code is its place among them. Code 255 says that the next byte stands for itself. The
//! *canonical* codes of a string take at each place the longest symbol that fits, and 255 where none
//! does. The encoder gives canonical codes, so equal strings have equal codes.

use std::cmp::Ordering;

use heliosdb_plugin_api::Result;

use crate::frame::{Reader, damaged};
use crate::text::Strings;

const SYMBOL_BYTES_MAX: usize = 8;
const SYMBOLS_MAX: usize = 255;
/// The next byte is itself.
const ESCAPE: u8 = 255;
/// The lengths of symbols in the order of their codes.
const LENGTHS: [usize; 8] = [2, 3, 4, 5, 6, 7, 8, 1];

/// Appends the table of a trained compressor.
pub fn write(compressor: &fsst::Compressor, out: &mut Vec<u8>) {
    let lengths = compressor.symbol_lengths();
    for length in 1..=SYMBOL_BYTES_MAX {
        let symbols = lengths.iter().filter(|l| usize::from(**l) == length);
        out.push(symbols.count() as u8);
    }
    for (symbol, length) in compressor.symbol_table().iter().zip(lengths) {
        out.extend_from_slice(&symbol.to_u64().to_le_bytes()[..usize::from(*length)]);
    }
}

/// Bytes that [`write`] takes.
pub fn written_bytes(compressor: &fsst::Compressor) -> usize {
    let lengths = compressor.symbol_lengths();
    SYMBOL_BYTES_MAX + lengths.iter().map(|l| usize::from(*l)).sum::<usize>()
}

#[derive(Clone, Debug)]
pub struct Symbols {
    /// Padded with zeros.
    bytes: [[u8; SYMBOL_BYTES_MAX]; SYMBOLS_MAX + 1],
    /// 0 where there is no symbol.
    lengths: [u8; SYMBOLS_MAX + 1],
}

impl Symbols {
    pub fn read(reader: &mut Reader<'_>) -> Result<Symbols> {
        let mut symbols = Symbols {
            bytes: [[0; SYMBOL_BYTES_MAX]; SYMBOLS_MAX + 1],
            lengths: [0; SYMBOLS_MAX + 1],
        };
        let counts = reader.take(SYMBOL_BYTES_MAX)?;
        let mut code = 0;
        for length in LENGTHS {
            for _ in 0..counts[length - 1] {
                if code == SYMBOLS_MAX {
                    return Err(damaged("it has too many symbols"));
                }
                symbols.bytes[code][..length].copy_from_slice(reader.take(length)?);
                symbols.lengths[code] = length as u8;
                code += 1;
            }
        }
        Ok(symbols)
    }

    /// The symbol of `code`; none for the escape and for codes without.
    fn symbol(&self, code: u8) -> &[u8] {
        &self.bytes[usize::from(code)][..usize::from(self.lengths[usize::from(code)])]
    }

    /// The strings whose codes begin at `start` and end at `ends`, which rise.
    pub fn expand(&self, codes: &[u8], start: usize, ends: &[usize]) -> Result<Strings> {
        let short = || damaged("its codes are too short");
        let codes = codes.get(..ends.last().copied().unwrap_or(start));
        let mut rest = codes
            .and_then(|codes| codes.get(start..))
            .ok_or_else(short)?;
        // Room for the longest, and for the padding that the next symbol is written over.
        let mut bytes = vec![0; (rest.len() + 1) * SYMBOL_BYTES_MAX];
        let (mut start, mut written) = (start, 0);
        let mut expanded = Vec::with_capacity(ends.len());
        for end in ends {
            let (codes, after) = rest
                .split_at_checked(end.saturating_sub(start))
                .ok_or_else(short)?;
            written = self.expand_one(codes, &mut bytes, written)?;
            expanded.push(written);
            (start, rest) = (*end, after);
        }
        bytes.truncate(written);
        Ok(Strings {
            bytes,
            ends: expanded,
        })
    }

    /// Where the string ends that has these codes and is written from `end` on.
    fn expand_one(&self, codes: &[u8], out: &mut [u8], mut end: usize) -> Result<usize> {
        let mut rest = codes.iter();
        while let Some(code) = rest.next() {
            let room = out.get_mut(end..).and_then(<[u8]>::first_chunk_mut);
            let room = room.ok_or_else(|| damaged("a string has no room"))?;
            let index = usize::from(*code);
            let length = usize::from(self.lengths[index]);
            *room = self.bytes[index];
            if length == 0 {
                room[0] = *escaped(*code, &mut rest)?;
            }
            end += length.max(1);
        }
        Ok(end)
    }

    /// How the string that has these codes compares with another one. Not more of it is looked at
    /// than up to the first difference, and nothing is kept.
    pub fn compare(&self, codes: &[u8], other: &[u8]) -> Result<Ordering> {
        let mut other = other;
        let mut rest = codes.iter();
        while let Some(code) = rest.next() {
            let piece = match self.symbol(*code) {
                [] => std::slice::from_ref(escaped(*code, &mut rest)?),
                symbol => symbol,
            };
            let (same, left) = other.split_at(piece.len().min(other.len()));
            match piece.cmp(same) {
                Ordering::Equal => other = left,
                different => return Ok(different),
            }
        }
        Ok(match other {
            [] => Ordering::Equal,
            _ => Ordering::Less,
        })
    }

    /// Whether the string that has these codes begins with `prefix`.
    pub fn begins_with(&self, codes: &[u8], prefix: &[u8]) -> Result<bool> {
        let mut prefix = prefix;
        let mut rest = codes.iter();
        while !prefix.is_empty() {
            let Some(code) = rest.next() else {
                return Ok(false);
            };
            let piece = match self.symbol(*code) {
                [] => std::slice::from_ref(escaped(*code, &mut rest)?),
                symbol => symbol,
            };
            let length = piece.len().min(prefix.len());
            if piece[..length] != prefix[..length] {
                return Ok(false);
            }
            prefix = &prefix[length..];
        }
        Ok(true)
    }

    /// The canonical codes of a string.
    pub fn codes(&self, string: &[u8]) -> Vec<u8> {
        let mut codes = Vec::with_capacity(string.len());
        let mut rest = string;
        while let [first, after @ ..] = rest {
            let fits = |code: &u8| {
                let symbol = self.symbol(*code);
                !symbol.is_empty() && rest.starts_with(symbol)
            };
            let longest = (0..ESCAPE)
                .filter(fits)
                .max_by_key(|code| self.symbol(*code).len());
            match longest {
                Some(code) => {
                    codes.push(code);
                    rest = &rest[self.symbol(code).len()..];
                }
                None => {
                    codes.extend([ESCAPE, *first]);
                    rest = after;
                }
            }
        }
        codes
    }
}

/// The byte that follows an escape.
fn escaped<'a>(code: u8, rest: &mut std::slice::Iter<'a, u8>) -> Result<&'a u8> {
    match (code, rest.next()) {
        (ESCAPE, Some(byte)) => Ok(byte),
        (ESCAPE, None) => Err(damaged("a string ends within a code")),
        _ => Err(damaged("a code has no symbol")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&[u8]; 9] = [
        b"",
        b"a",
        b"http://www.example.com/a/b?c=1",
        b"http://www.example.com/",
        b"http://www.example.org/zz",
        b"\0",
        b"\0\0a\0",
        &[0xff, 0, 0xff, 0xfe],
        b"the then there these",
    ];

    fn table() -> (fsst::Compressor, Symbols) {
        let texts: Vec<&[u8]> = (0..40).flat_map(|_| TEXTS).collect();
        let compressor = fsst::Compressor::train(&texts);
        let mut out = Vec::new();
        write(&compressor, &mut out);
        assert_eq!(out.len(), written_bytes(&compressor));
        let mut reader = Reader::new(&out);
        let symbols = Symbols::read(&mut reader).unwrap();
        reader.end().unwrap();
        (compressor, symbols)
    }

    #[test]
    fn the_encoder_is_canonical() {
        let (compressor, symbols) = table();
        for text in TEXTS.iter().chain(&[&b"unseen, the http:/"[..]]) {
            let codes = compressor.compress(text);
            assert_eq!(symbols.codes(text), codes);
            let expanded = symbols.expand(&codes, 0, &[codes.len()]).unwrap();
            assert_eq!(expanded.bytes, *text);
        }
    }

    #[test]
    fn strings_compare_as_they_do_expanded() {
        let (compressor, symbols) = table();
        for one in TEXTS {
            let codes = compressor.compress(one);
            for other in TEXTS {
                assert_eq!(symbols.compare(&codes, other).unwrap(), one.cmp(other));
                for end in 0..=other.len() {
                    let prefix = &other[..end];
                    let begins = symbols.begins_with(&codes, prefix).unwrap();
                    assert_eq!(begins, one.starts_with(prefix), "{one:?} {prefix:?}");
                }
            }
        }
    }

    #[test]
    fn codes_without_meaning_are_damage() {
        let (_, symbols) = table();
        assert!(symbols.expand(&[ESCAPE], 0, &[1]).is_err());
        assert!(symbols.expand(&[], 0, &[1]).is_err());
        assert!(symbols.compare(&[ESCAPE], b"a").is_err());
        let unused = (0..ESCAPE).find(|code| symbols.symbol(*code).is_empty());
        let unused = unused.expect("these texts do not fill the table");
        assert!(symbols.expand(&[unused], 0, &[1]).is_err());
        assert!(symbols.begins_with(&[unused], b"a").is_err());
        let counts = [200, 200, 0, 0, 0, 0, 0, 0];
        let table = [&counts[..], &[0; 600]].concat();
        assert!(Symbols::read(&mut Reader::new(&table)).is_err());
    }
}
