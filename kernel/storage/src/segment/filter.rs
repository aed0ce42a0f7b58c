//! What spares a read: zone maps for row blocks, bloom filters for keys.
//!
//! Both may say "perhaps" when the truth is no, and never say no when it is yes.

use std::ops::Bound;

use arrow_buffer::Buffer;

use super::format::ZoneMap;
use crate::datum::{Datum, malformed};
use crate::error::Result;
use crate::ids::ColumnId;
use crate::key::append_ordered;
use crate::schema::ColumnType;

/// A condition `lower ≤ column ≤ upper` (or strict, or open) that every wanted row meets. NULL
/// meets none. Rows that do not meet it may still be returned.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnRange {
    pub column: ColumnId,
    pub lower: Bound<Datum>,
    pub upper: Bound<Datum>,
}

/// A [`ColumnRange`] with its bounds in key order.
pub(super) struct ZoneFilter {
    pub column: ColumnId,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
}

impl ZoneFilter {
    /// `None` when the range cannot be held against zone maps. A bound of NULL is met by nothing
    /// in SQL; callers do not give one, and here it counts as open.
    pub fn new(range: &ColumnRange, ty: &ColumnType) -> Result<Option<ZoneFilter>> {
        if matches!(ty, ColumnType::Array(_)) {
            return Ok(None);
        }
        let key = |bound: &Bound<Datum>| -> Result<Bound<Vec<u8>>> {
            let encode = |datum: &Datum| {
                let (mut value, mut key) = (Vec::new(), Vec::new());
                datum.write_value(ty, &mut value)?;
                append_ordered(ty, &value, &mut key)?;
                Ok(key)
            };
            Ok(match bound {
                Bound::Unbounded | Bound::Included(Datum::Null) | Bound::Excluded(Datum::Null) => {
                    Bound::Unbounded
                }
                Bound::Included(datum) => Bound::Included(encode(datum)?),
                Bound::Excluded(datum) => Bound::Excluded(encode(datum)?),
            })
        };
        let (lower, upper) = (key(&range.lower)?, key(&range.upper)?);
        Ok(Some(ZoneFilter {
            column: range.column,
            lower,
            upper,
        }))
    }

    /// Whether a page with these bounds may hold a value in the range.
    pub fn may_match(&self, zone: &ZoneMap) -> bool {
        // The values lie in [min, max], or up to whatever starts with max when max is cut.
        let below_upper = match &self.upper {
            Bound::Unbounded => true,
            Bound::Included(upper) => zone.min <= *upper,
            Bound::Excluded(upper) => zone.min < *upper,
        };
        let cut = |lower: &[u8]| zone.max_cut && lower.starts_with(&zone.max);
        let above_lower = match &self.lower {
            Bound::Unbounded => true,
            Bound::Included(lower) => zone.max >= *lower || cut(lower),
            Bound::Excluded(lower) => zone.max > *lower || cut(lower),
        };
        below_upper && above_lower
    }
}

const BLOOM_BITS_PER_KEY: u64 = 10;
/// ln 2 times bits per key: about 0.8 % false positives.
const BLOOM_PROBES: u64 = 7;

/// A bloom filter (Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 1970)
/// whose probes are h1 + i·h2 (Kirsch and Mitzenmacher, "Less Hashing, Same Performance", 2006).
///
/// Its page is the bits, a multiple of 8 bytes; probes and hash belong to the format's version.
pub(super) struct Bloom {
    words: Buffer,
}

impl Bloom {
    /// The bytes of a filter of keys with these [`bloom_hash`]es.
    pub fn build(hashes: &[u64]) -> Vec<u8> {
        let bits = (hashes.len() as u64 * BLOOM_BITS_PER_KEY)
            .div_ceil(64)
            .max(1)
            * 64;
        let mut bytes = vec![0; (bits / 8) as usize];
        for hash in hashes {
            for bit in probes(*hash, bits) {
                bytes[(bit / 8) as usize] |= 1 << (bit % 8);
            }
        }
        bytes
    }

    pub fn decode(page: Buffer) -> Result<Bloom> {
        if page.is_empty() || !page.len().is_multiple_of(8) {
            return Err(malformed("a bloom filter", format!("{} bytes", page.len())));
        }
        Ok(Bloom { words: page })
    }

    pub fn may_contain(&self, key: &[u8]) -> bool {
        let bits = self.words.len() as u64 * 8;
        probes(bloom_hash(key), bits)
            .all(|bit| self.words[(bit / 8) as usize] & (1 << (bit % 8)) != 0)
    }

    pub fn bytes(&self) -> usize {
        self.words.len()
    }
}

fn probes(hash: u64, bits: u64) -> impl Iterator<Item = u64> {
    // An odd step cannot be 0.
    let (start, step) = (hash, hash.rotate_left(32) | 1);
    (0..BLOOM_PROBES).map(move |i| start.wrapping_add(i.wrapping_mul(step)) % bits)
}

/// Eight bytes at a time through MurmurHash3's 64-bit finalizer, seeded with the length.
pub(super) fn bloom_hash(key: &[u8]) -> u64 {
    let mut hash = mix(key.len() as u64 ^ 0x9E37_79B9_7F4A_7C15);
    for chunk in key.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix(hash ^ u64::from_le_bytes(word));
    }
    hash
}

fn mix(mut h: u64) -> u64 {
    h ^= h >> 33;
    h = h.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    h ^= h >> 33;
    h = h.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    h ^ (h >> 33)
}
