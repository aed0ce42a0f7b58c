//! How pages of entries are stored: not entry by entry, as [`super::sorted`] lays them out, but keys,
//! timestamps and values each together.
//!
//! ```text
//! payload  count u32 │ begins: integers │ ends: integers, HIST only │ keys │ values
//!
//! keys     kind u8
//!   0      of one length: length u16 │ the first key │ groups u8 │ { first byte u16, bytes u8 } … │
//!          per group: integers: what keys have in those bytes, big-endian
//!   1      integers: shared with the key before │ integers: the rest of each │ bytes: those rests
//! values   kind u8
//!   0      each is the last 8 bytes of its key
//!   1      each has 8 bytes: integers: big-endian
//!   2      integers: length + 1, 0 for a delete │ bytes
//! ```
//!
//! Integers and bytes are those of [`super::encoding`]. Groups are the bytes in which keys differ, next to
//! each other, up to eight; the other bytes are the first key's. An index over fixed-width columns then
//! takes few bits for each column, and none for what its entries have in common.
//!
//! A page that is read is put into the form of `sorted` again, which finds keys quickly.

use std::sync::Arc;

use arrow_buffer::Buffer;

use super::encoding::integers::{Integers, encode};
use super::encoding::values::{decode_bytes, encode_bytes};
use super::input::Input;
use super::page::{Zstd, saves_enough};
use super::sorted::{PageCursor, SortedPageBuilder, SortedPageData};
use crate::datum::{fixed, malformed};
use crate::error::Result;
use crate::ids::Ts;

const ONE_LENGTH: u8 = 0;
const SHARED: u8 = 1;
const KEY_ENDS: u8 = 0;
const EIGHT_BYTES: u8 = 1;
const ANY: u8 = 2;

/// Bytes of a number, and so of a group at most.
const NUMBER_BYTES: usize = 8;
/// Keys with more groups are better off with what they share.
const GROUPS_MAX: usize = 16;

/// The entries of a page, taken apart.
#[derive(Default)]
struct Entries {
    keys: Vec<Vec<u8>>,
    begins: Vec<u64>,
    ends: Vec<u64>,
    values: Vec<Option<Vec<u8>>>,
}

/// The page `raw` as it is stored; `None` when that saves nothing.
pub(super) fn encode_entries(raw: &[u8], hist: bool, zstd: &mut Zstd) -> Result<Option<Vec<u8>>> {
    let page = SortedPageData::decode(Buffer::from_slice_ref(raw), hist)?;
    let mut cursor = PageCursor::new(Arc::new(page), None);
    let mut entries = Entries::default();
    while cursor.advance()? {
        entries.keys.push(cursor.key.clone());
        entries.begins.push(cursor.begin.0);
        entries.ends.extend(cursor.end.map(|end| end.0));
        entries.values.push(cursor.value().map(<[u8]>::to_vec));
    }
    let mut out = Vec::new();
    // A page's entries are counted in 32 bits.
    out.extend_from_slice(&(entries.keys.len() as u32).to_le_bytes());
    encode(&entries.begins, &mut out);
    encode(&entries.ends, &mut out);
    entries.encode_keys(zstd, &mut out)?;
    entries.encode_values(zstd, &mut out)?;
    Ok(saves_enough(out.len(), raw.len()).then_some(out))
}

impl Entries {
    fn encode_keys(&self, zstd: &mut Zstd, out: &mut Vec<u8>) -> Result<()> {
        let mut shared = vec![SHARED];
        self.encode_shared(zstd, &mut shared)?;
        match self.encode_groups() {
            Some(groups) if groups.len() < shared.len() => out.extend_from_slice(&groups),
            _ => out.extend_from_slice(&shared),
        }
        Ok(())
    }

    fn encode_shared(&self, zstd: &mut Zstd, out: &mut Vec<u8>) -> Result<()> {
        let (mut shared, mut rests, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        let mut last: &[u8] = &[];
        for key in &self.keys {
            let same = key.iter().zip(last).take_while(|(a, b)| a == b).count();
            shared.push(same as u64);
            rests.push((key.len() - same) as u64);
            bytes.extend_from_slice(&key[same..]);
            last = key;
        }
        encode(&shared, out);
        encode(&rests, out);
        encode_bytes(&bytes, zstd, out)
    }

    /// `None` when keys have different lengths, or differ all over.
    fn encode_groups(&self) -> Option<Vec<u8>> {
        let first = self.keys.first()?;
        let length = u16::try_from(first.len()).ok()?;
        let mut differs = vec![false; first.len()];
        for key in &self.keys {
            if key.len() != first.len() {
                return None;
            }
            for (differs, (a, b)) in differs.iter_mut().zip(key.iter().zip(first)) {
                *differs |= a != b;
            }
        }
        let mut groups: Vec<(usize, usize)> = Vec::new();
        for (at, _) in differs.iter().enumerate().filter(|(_, differs)| **differs) {
            match groups.last_mut() {
                Some((from, bytes)) if *from + *bytes == at && *bytes < NUMBER_BYTES => *bytes += 1,
                _ => groups.push((at, 1)),
            }
        }
        if groups.len() > GROUPS_MAX {
            return None;
        }
        let mut out = vec![ONE_LENGTH];
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(first);
        out.push(groups.len() as u8);
        for (from, bytes) in &groups {
            out.extend_from_slice(&(*from as u16).to_le_bytes());
            out.push(*bytes as u8);
        }
        for (from, bytes) in groups {
            let number = |key: &Vec<u8>| {
                let bytes = key[from..from + bytes].iter();
                bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
            };
            encode(&self.keys.iter().map(number).collect::<Vec<_>>(), &mut out);
        }
        Some(out)
    }

    fn encode_values(&self, zstd: &mut Zstd, out: &mut Vec<u8>) -> Result<()> {
        let mut pairs = self.keys.iter().zip(&self.values);
        if pairs.all(|(key, value)| value.as_ref().is_some_and(|value| ends_key(key, value))) {
            out.push(KEY_ENDS);
            return Ok(());
        }
        let number = |value: &Option<Vec<u8>>| {
            let bytes: Option<[u8; NUMBER_BYTES]> = value.as_ref()?.as_slice().try_into().ok();
            bytes.map(u64::from_be_bytes)
        };
        if let Some(numbers) = self.values.iter().map(number).collect::<Option<Vec<_>>>() {
            out.push(EIGHT_BYTES);
            encode(&numbers, out);
            return Ok(());
        }
        out.push(ANY);
        let length = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, |v| v.len() as u64 + 1);
        encode(&self.values.iter().map(length).collect::<Vec<_>>(), out);
        let values: Vec<&[u8]> = self.values.iter().flatten().map(Vec::as_slice).collect();
        encode_bytes(&values.concat(), zstd, out)
    }
}

/// Whether an entry's value repeats the end of its key, as that of an index that is not unique does.
pub(super) fn ends_key(key: &[u8], value: &[u8]) -> bool {
    value.len() == NUMBER_BYTES && key.ends_with(value)
}

/// The page that [`encode_entries`] stored, of at most `raw_bytes`.
pub(super) fn decode_entries(payload: &[u8], hist: bool, raw_bytes: usize) -> Result<Buffer> {
    let mut input = Input::new(payload, 0);
    let count = input.u32()? as usize;
    if count > raw_bytes {
        return Err(malformed(format!("at most {raw_bytes} entries"), count));
    }
    let begins: Vec<u64> = Integers::parse(&mut input, count)?.decode(0);
    let ends: Vec<u64> = match hist {
        true => Integers::parse(&mut input, count)?.decode(0),
        false => Vec::new(),
    };
    let keys = Keys::parse(&mut input, count, raw_bytes)?;
    let values = Values::parse(&mut input, count, raw_bytes)?;
    if !input.is_at_end() {
        return Err(malformed("the end of the entries", "more bytes"));
    }
    let (mut builder, mut key, mut at) = (SortedPageBuilder::default(), Vec::new(), (0, 0));
    for (row, begin) in begins.iter().enumerate() {
        keys.next(row, &mut key, &mut at.0)?;
        let number;
        let value = match &values {
            Values::KeyEnds => Some(key.len().checked_sub(NUMBER_BYTES).map(|from| &key[from..]))
                .map(|end| end.ok_or_else(|| malformed("a key of 8 bytes", key.len())))
                .transpose()?,
            Values::Numbers(numbers) => {
                number = numbers[row].to_be_bytes();
                Some(&number[..])
            }
            Values::Any(lengths, bytes) => match lengths[row].checked_sub(1) {
                None => None,
                Some(length) => Some(cut(bytes, &mut at.1, length as usize)?),
            },
        };
        builder.push(&key, Ts(*begin), ends.get(row).copied().map(Ts), value);
        if builder.bytes() > raw_bytes {
            return Err(malformed(
                format!("a page of {raw_bytes} bytes"),
                "a longer one",
            ));
        }
    }
    let (mut raw, _) = builder.take();
    raw.shrink_to_fit();
    match raw.len() == raw_bytes {
        true => Ok(Buffer::from_vec(raw)),
        false => Err(malformed(format!("a page of {raw_bytes} bytes"), raw.len())),
    }
}

fn cut<'a>(bytes: &'a [u8], at: &mut usize, length: usize) -> Result<&'a [u8]> {
    let end = at.checked_add(length);
    let found = end.and_then(|end| bytes.get(*at..end));
    *at = end.unwrap_or(*at);
    found.ok_or_else(|| malformed("a whole entry", "its end"))
}

enum Keys {
    OneLength {
        first: Vec<u8>,
        groups: Vec<(usize, usize, Vec<u64>)>,
    },
    Shared {
        shared: Vec<u32>,
        rests: Vec<u32>,
        bytes: Buffer,
    },
}

impl Keys {
    fn parse(input: &mut Input<'_>, count: usize, bytes_max: usize) -> Result<Keys> {
        match input.u8()? {
            ONE_LENGTH => {
                let length = u16::from_le_bytes(fixed(input.take(2)?)?);
                let first = input.take(usize::from(length))?.to_vec();
                let mut places = Vec::new();
                for _ in 0..input.u8()? {
                    let from = usize::from(u16::from_le_bytes(fixed(input.take(2)?)?));
                    let bytes = usize::from(input.u8()?);
                    if bytes > NUMBER_BYTES || from + bytes > first.len() {
                        return Err(malformed("a group inside of the key", from));
                    }
                    places.push((from, bytes));
                }
                let mut groups = Vec::new();
                for (from, bytes) in places {
                    groups.push((from, bytes, Integers::parse(input, count)?.decode(0)));
                }
                Ok(Keys::OneLength { first, groups })
            }
            SHARED => Ok(Keys::Shared {
                shared: Integers::parse(input, count)?.decode(0),
                rests: Integers::parse(input, count)?.decode(0),
                bytes: decode_bytes(bytes_max, input)?,
            }),
            other => Err(malformed("a kind of keys", other)),
        }
    }

    /// Make `key`, which is the one before, the key of entry `row`. `at` is how far the bytes are used.
    fn next(&self, row: usize, key: &mut Vec<u8>, at: &mut usize) -> Result<()> {
        match self {
            Keys::OneLength { first, groups } => {
                if row == 0 {
                    key.clone_from(first);
                }
                for (from, bytes, numbers) in groups {
                    let number = numbers[row].to_be_bytes();
                    key[*from..from + bytes].copy_from_slice(&number[NUMBER_BYTES - bytes..]);
                }
            }
            Keys::Shared {
                shared,
                rests,
                bytes,
            } => {
                let shared = shared[row] as usize;
                if shared > key.len() {
                    return Err(malformed(
                        format!("a key of {shared} bytes before"),
                        key.len(),
                    ));
                }
                key.truncate(shared);
                key.extend_from_slice(cut(bytes, at, rests[row] as usize)?);
            }
        }
        Ok(())
    }
}

enum Values {
    KeyEnds,
    Numbers(Vec<u64>),
    /// Lengths + 1.
    Any(Vec<u32>, Buffer),
}

impl Values {
    fn parse(input: &mut Input<'_>, count: usize, bytes_max: usize) -> Result<Values> {
        Ok(match input.u8()? {
            KEY_ENDS => Values::KeyEnds,
            EIGHT_BYTES => Values::Numbers(Integers::parse(input, count)?.decode(0)),
            ANY => {
                let lengths = Integers::parse(input, count)?.decode(0);
                Values::Any(lengths, decode_bytes(bytes_max, input)?)
            }
            other => return Err(malformed("a kind of values", other)),
        })
    }
}
