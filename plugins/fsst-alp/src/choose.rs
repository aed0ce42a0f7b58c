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
use crate::scheme::{alp, alp_rd, fsst};
use crate::zstd;

/// Runs of neighbours that a sample is made of.
const RUNS: usize = 8;
/// Bytes of a sample.
const SAMPLE_BYTES: usize = 8 << 10;
/// Bytes of a sample that a symbol table is made for.
const FSST_SAMPLE_BYTES: usize = 2 << 10;
/// Strings that are looked at to guess how many different ones there are.
const STRINGS_COUNTED: usize = 256;
/// Vectors that are encoded to see how small they get.
const VECTORS_ENCODED: usize = 2;
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
    if let Some(bytes) = dictionary_estimate(strings, total, best.bytes) {
        let zstd_wins = best.scheme == ForStrings::Zstd && preference.zstd(best.bytes, bytes);
        if !zstd_wins && bytes <= best.bytes + best.bytes * preference.zstd_saves_min / 100 {
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
    let first = zstd / 100 * FSST_OVER_ZSTD_PERCENT + SYMBOLS_BYTES.min(total / 4);
    if preference.zstd(zstd, first - first / 100 * DOUBT_PERCENT) {
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

/// About how many bytes a dictionary takes; `None` when that is surely more than `limit`.
fn dictionary_estimate(strings: &[&[u8]], total: usize, limit: usize) -> Option<usize> {
    let step = strings.len().div_ceil(STRINGS_COUNTED).max(1);
    let seen: Vec<&[u8]> = strings.iter().copied().step_by(step).collect();
    let different = seen.iter().collect::<HashSet<_>>().len();
    // Drawn from n strings, k draws give about k²/2n pairs of equal ones.
    let repeated = seen.len() - different;
    let guess = match repeated {
        0 => return None,
        _ => (seen.len() * seen.len() / (2 * repeated)).max(different),
    };
    let guess = guess.min(strings.len());
    let their_bytes = scaled(total, strings.len(), guess);
    if dictionary_bytes_of(guess, their_bytes, strings.len()) > limit * 2 {
        return None;
    }
    Some(dictionary_bytes(strings))
}

/// About how many bytes a dictionary takes for all of these strings.
pub fn dictionary_bytes(strings: &[&[u8]]) -> usize {
    let different = strings.iter().collect::<HashSet<_>>();
    let their_bytes = different.iter().map(|s| s.len()).sum();
    dictionary_bytes_of(different.len(), their_bytes, strings.len())
}

fn dictionary_bytes_of(different: usize, their_bytes: usize, strings: usize) -> usize {
    let width = bits::width(different.saturating_sub(1) as u64);
    // FSST about halves the strings, when they are many.
    let halved = (their_bytes / 2 + SYMBOLS_BYTES).min(their_bytes);
    bits::packed_bytes(strings, width) + halved + different
}

/// How to encode floats.
pub fn floats<F: Float>(floats: &[F], preference: Preference) -> Result<Choice<ForFloats>> {
    let best = decimals(floats);
    let sample: Vec<F> = runs_of(floats, SAMPLE_BYTES / F::BYTES).concat();
    let bytes: Vec<u8> = sample.iter().flat_map(|f| f.le_bytes()).collect();
    let total = floats.len() * F::BYTES;
    let zstd = scaled(zstd::estimate(&bytes)?, bytes.len(), total);
    Ok(match preference.zstd(zstd, best.bytes) {
        true => Choice {
            scheme: ForFloats::Zstd,
            bytes: zstd,
        },
        false => best,
    })
}

/// ALP, or ALP-RD where that is smaller.
pub fn decimals<F: Float>(floats: &[F]) -> Choice<ForFloats> {
    let candidates = alp::candidates(floats);
    let vectors: Vec<&[F]> = floats.chunks(VECTOR).collect();
    let step = vectors.len().div_ceil(VECTORS_ENCODED).max(1);
    let (mut seen, mut encoded) = (0, Vec::new());
    for vector in vectors.into_iter().step_by(step) {
        seen += vector.len();
        alp::encode(vector, &candidates, &mut encoded);
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
