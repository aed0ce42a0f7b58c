//! Which scheme makes a block smallest, found on samples.
//!
//! Encoding with every scheme takes many times as long as with one, so a choice is made in two
//! levels. The first gives every scheme a size by looking at little of the block. The second looks
//! closer, where two sizes are too near each other to tell, or where a sample cannot tell.
//!
//! zstd finds no value without decoding the block. It has to be smaller than the others by a share
//! that an operator sets, and wins no tie.

use std::collections::HashSet;

use ::alp::{Exponents, RDEncoder};
use heliosdb_plugin_api::Result;

use crate::bits::{self, VECTOR};
use crate::float::Float;
use crate::scheme::{alp, alp_rd, fsst, places};
use crate::zstd;

/// Runs of neighbours that a sample is made of.
const RUNS: usize = 8;
/// Bytes of a sample of strings and of floats.
const SAMPLE_BYTES: usize = 8 << 10;
const FLOAT_SAMPLE_BYTES: usize = 4 << 10;
/// Bytes of a sample that a symbol table is made for.
const FSST_SAMPLE_BYTES: usize = 2 << 10;
/// Values that are looked at to guess how many different ones there are.
const COUNTED: usize = 256;
/// Runs of floats of a long block that are encoded to see how small they get, and their length.
const RUNS_ENCODED: usize = 3;
const RUN_ENCODED: usize = 192;
/// Bits that hashes set to count different values.
const HASHES: usize = 1 << 16;
const HASH_SHIFT: u32 = u64::BITS - HASHES.ilog2();
/// Percent by which sizes may differ and be called equal.
const TIE_PERCENT: usize = 2;
/// Percent by which the first level may be wrong about FSST.
const DOUBT_PERCENT: usize = 5;
/// How much larger FSST is than zstd on a sample, in percent. Both shorten what is near; over a
/// whole block zstd gains more, because it also sees what is far.
const FSST_OVER_ZSTD_PERCENT: usize = 105;
/// Bytes of a full symbol table, about.
const SYMBOLS_BYTES: usize = 700;

/// What an operator prefers.
#[derive(Clone, Copy, Debug)]
pub struct Preference {
    /// Percent that zstd must save on schemes that find single values.
    pub zstd_saves_min: usize,
}

impl Preference {
    /// Whether zstd with `bytes` is preferred to another scheme with `other`.
    fn zstd(self, bytes: usize, other: usize) -> bool {
        let saves = self.zstd_saves_min.clamp(TIE_PERCENT, 100);
        bytes * 100 < other * (100 - saves)
    }
}

/// How strings are to be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForStrings {
    Fsst,
    Dictionary,
    Zstd,
}

/// How floats are to be encoded, and with what was found out already.
pub enum ForFloats {
    Alp(Vec<Exponents>),
    AlpRd(RDEncoder),
    Dictionary,
    Zstd,
}

/// A scheme, and about how many bytes it takes for the values of the block.
pub struct Choice<T> {
    pub scheme: T,
    pub bytes: usize,
}

/// How to encode strings.
pub fn strings(strings: &[&[u8]], preference: Preference) -> Result<Choice<ForStrings>> {
    let total: usize = strings.iter().map(|s| s.len()).sum();
    let sample = runs(strings, SAMPLE_BYTES).concat();
    let zstd = scaled(zstd::estimate(&sample)?, sample.len(), total);
    let lengths = lengths_bytes(strings);
    let mut best = match fsst_is_preferred(strings, zstd, total, preference) {
        Some(bytes) => Choice {
            scheme: ForStrings::Fsst,
            bytes: bytes + lengths,
        },
        None => Choice {
            scheme: ForStrings::Zstd,
            bytes: zstd + lengths,
        },
    };
    // What is once in a dictionary is encoded by FSST.
    let once = |bytes| scaled(zstd * FSST_OVER_ZSTD_PERCENT / 100, total, bytes);
    if let Some(bytes) = dictionary_estimate(strings, total, best.bytes, once) {
        let preferred = match best.scheme {
            ForStrings::Zstd => !preference.zstd(best.bytes, bytes),
            _ => bytes < best.bytes,
        };
        if preferred {
            best = Choice {
                scheme: ForStrings::Dictionary,
                bytes,
            };
        }
    }
    Ok(best)
}

/// What FSST takes, when that is preferred to what zstd takes.
fn fsst_is_preferred(
    strings: &[&[u8]],
    zstd: usize,
    total: usize,
    preference: Preference,
) -> Option<usize> {
    let first = zstd * FSST_OVER_ZSTD_PERCENT / 100 + SYMBOLS_BYTES.min(total / 4);
    if preference.zstd(zstd, first * (100 - DOUBT_PERCENT) / 100) {
        return None;
    }
    let bytes = fsst_estimate(strings, total);
    (!preference.zstd(zstd, bytes)).then_some(bytes)
}

/// About how many bytes FSST takes for strings of so many bytes, their lengths left out.
fn fsst_estimate(strings: &[&[u8]], total: usize) -> usize {
    let sample = runs(strings, FSST_SAMPLE_BYTES);
    let bytes = sample.iter().map(|s| s.len()).sum();
    let (symbols, codes) = fsst::sizes(&sample);
    // The table of a large block is full.
    let symbols = symbols.max(SYMBOLS_BYTES.min(total / 4));
    symbols + scaled(codes, bytes, total)
}

/// About how many bytes FSST takes for all of these strings.
pub fn fsst_bytes(strings: &[&[u8]]) -> usize {
    let total = strings.iter().map(|s| s.len()).sum();
    fsst_estimate(strings, total) + lengths_bytes(strings)
}

fn lengths_bytes(strings: &[&[u8]]) -> usize {
    let of_vector = |vector: &[&[u8]]| {
        let lengths = vector.iter().map(|s| s.len());
        let least = lengths.clone().min().unwrap_or(0);
        let span = lengths.max().unwrap_or(0) - least;
        bits::packed_bytes(vector.len(), bits::width(span as u64)) + 5
    };
    strings.chunks(VECTOR).map(of_vector).sum()
}

/// About how many bytes a dictionary takes; `None` when that is surely more than `limit`. `once` says
/// how long strings of so many bytes become.
fn dictionary_estimate(
    strings: &[&[u8]],
    total: usize,
    limit: usize,
    once: impl Fn(usize) -> usize,
) -> Option<usize> {
    let step = strings.len().div_ceil(COUNTED).max(1);
    let some = strings.iter().step_by(step);
    let guess = drawn_from(some.clone().collect::<HashSet<_>>().len(), some.len());
    let bytes = |distinct: usize| {
        let distinct = distinct.min(strings.len());
        let their_bytes = once(scaled(total, strings.len(), distinct));
        with_places(distinct, their_bytes, strings.len())
    };
    if bytes(guess) > limit + limit / 4 {
        return None;
    }
    let hashes = strings.iter().map(|s| u64::from(crc32c::crc32c(s)));
    Some(bytes(distinct(hashes)))
}

/// About how many bytes a dictionary takes for all of these strings.
pub fn dictionary_bytes(strings: &[&[u8]]) -> usize {
    let distinct = strings.iter().collect::<HashSet<_>>();
    let their_bytes: usize = distinct.iter().map(|s| s.len()).sum();
    // FSST about halves many strings.
    let halved = (their_bytes / 2 + SYMBOLS_BYTES).min(their_bytes);
    with_places(distinct.len(), halved, strings.len())
}

/// Bytes of a dictionary: of its values, a byte for the length of each, and a place for each row.
fn with_places(distinct: usize, their_bytes: usize, rows: usize) -> usize {
    bits::packed_bytes(rows, places::width(distinct)) + their_bytes + distinct
}

/// How many values there are when `drawn` of them drawn at random were `distinct` different ones.
fn drawn_from(distinct: usize, drawn: usize) -> usize {
    let (mut low, mut high) = (distinct, drawn * drawn);
    while low < high {
        let middle = low.midpoint(high);
        // Expected of so many values: n (1 − e^(−k/n)).
        let values = middle as f64;
        let expected = values * (1.0 - (-(drawn as f64) / values).exp());
        match expected.round() < distinct as f64 {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low
}

/// About how many different values there are, by the bits that their hashes leave unset: linear
/// counting (Whang, Vander-Zanden, Taylor, 1990). Blocks have 8,192 rows: it errs by 1 %.
fn distinct(values: impl Iterator<Item = u64>) -> usize {
    let mut set = vec![0u64; HASHES / 64];
    for value in values {
        let hash = (value ^ value >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> HASH_SHIFT;
        set[hash as usize / 64] |= 1 << (hash % 64);
    }
    let unset: u32 = set.iter().map(|bits| bits.count_zeros()).sum();
    let share = f64::from(unset.max(1)) / HASHES as f64;
    (-(HASHES as f64) * share.ln()).round() as usize
}

/// How to encode floats.
pub fn floats<F: Float>(floats: &[F], preference: Preference) -> Result<Choice<ForFloats>> {
    let mut best = decimals(floats);
    // A value by itself takes what it takes among the others.
    let distinct = distinct(floats.iter().map(|f| f.bits())).min(floats.len());
    let bytes = with_places(
        distinct,
        scaled(best.bytes, floats.len(), distinct),
        floats.len(),
    );
    if bytes < best.bytes {
        best = Choice {
            scheme: ForFloats::Dictionary,
            bytes,
        };
    }
    let sample: Vec<F> = runs_of(floats, FLOAT_SAMPLE_BYTES / F::BYTES).concat();
    let bytes: Vec<u8> = sample.iter().flat_map(|f| f.le_bytes()).collect();
    let total = floats.len() * F::BYTES;
    let zstd = scaled(zstd::estimate(&bytes)?, bytes.len(), total);
    if preference.zstd(zstd, best.bytes) {
        best = Choice {
            scheme: ForFloats::Zstd,
            bytes: zstd,
        };
    }
    Ok(best)
}

/// About how many bytes a dictionary takes for all of these floats.
pub fn float_dictionary_bytes<F: Float>(floats: &[F]) -> usize {
    let distinct = distinct(floats.iter().map(|f| f.bits()));
    with_places(distinct, distinct * F::BYTES, floats.len())
}

/// ALP, or ALP-RD where that is smaller.
pub fn decimals<F: Float>(floats: &[F]) -> Choice<ForFloats> {
    let candidates = alp::candidates(floats);
    let (mut seen, mut encoded) = (0, Vec::new());
    let (runs, length) = match floats.len() {
        ..=VECTOR => (1, VECTOR),
        _ => (RUNS_ENCODED, RUN_ENCODED),
    };
    for run in 0..runs {
        let run = &floats[floats.len() * run / runs..];
        let run = &run[..run.len().min(length)];
        seen += run.len();
        alp::encode(run, &candidates, &mut encoded);
    }
    let alp = scaled(encoded.len(), seen, floats.len());
    // What ALP-RD cannot go below.
    let least = bits::packed_bytes(floats.len(), F::BYTES as u32 * 8 - 16);
    if alp > least {
        let sample = runs_of(floats, VECTOR).concat();
        if let Some(encoder) = alp_rd::learn(&sample) {
            let bytes = scaled(
                alp_rd::estimate(&sample, &encoder),
                sample.len(),
                floats.len(),
            );
            if bytes < alp {
                return Choice {
                    scheme: ForFloats::AlpRd(encoder),
                    bytes,
                };
            }
        }
    }
    Choice {
        scheme: ForFloats::Alp(candidates),
        bytes: alp,
    }
}

/// What `part` of `of` comes to for `all`.
fn scaled(part: usize, of: usize, all: usize) -> usize {
    (part as u64 * all as u64).div_ceil(of.max(1) as u64) as usize
}

/// Runs of neighbouring strings from all over a block, of about so many bytes together.
fn runs<'a>(strings: &[&'a [u8]], bytes: usize) -> Vec<&'a [u8]> {
    let mut taken = Vec::new();
    for run in 0..RUNS {
        let (start, end) = (strings.len() * run / RUNS, strings.len() * (run + 1) / RUNS);
        let mut room = bytes / RUNS;
        for string in &strings[start..end] {
            let part = string.len().min(room);
            taken.push(&string[..part]);
            room -= part;
            if room == 0 {
                break;
            }
        }
    }
    taken
}

/// Runs of neighbours from all over a block, so many values together.
fn runs_of<T>(values: &[T], count: usize) -> Vec<&[T]> {
    if values.len() <= count {
        return vec![values];
    }
    let run = |run| {
        let start = values.len() * run / RUNS;
        &values[start..start + count / RUNS]
    };
    (0..RUNS).map(run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_values_are_counted_well_enough() {
        for count in [0u64, 1, 7, 100, 5000, 8192] {
            let values = (0..count * 3).map(|i| (i % count).wrapping_mul(0x0123_4567_89ab));
            let found = distinct(values) as u64;
            assert!(found.abs_diff(count) <= count / 50, "{found} for {count}");
        }
        assert_eq!(drawn_from(1, 256), 1);
        assert_eq!(drawn_from(16, 256), 16);
        assert!((900..1100).contains(&drawn_from(226, 256)));
        assert!(drawn_from(256, 256) > 30_000);
        assert_eq!(drawn_from(0, 0), 0);
    }
}
