//! Which built-in codec makes a page shortest, and the page made with it.
//!
//! What whole numbers and runs would take is counted, not guessed: that is one pass over the page. The
//! rest is sampled: how many distinct values there are by every eighth row, what zstd does with
//! fixed-width values by one vector of them. zstd unpacks several times slower than the others and keeps
//! a page from being filtered before that, so it must beat them by a margin.

use std::collections::HashMap;

use super::bits::{VECTOR, packed_bytes, width};
use super::integers::{encode, encoded_bytes};
use super::raw::{RawColumn, RawValues};
use super::values::{encode_bytes, encode_values};
use super::{ALL_NULL, ALL_VALID, VALIDITY, VALIDITY_ZSTD};
use crate::codec::BuiltIn;
use crate::error::Result;
use crate::schema::ColumnType;
use crate::segment::page::{Zstd, saves_enough};

/// Every so many rows one is looked at for how many values are distinct.
const SAMPLE_STEP: usize = 8;
/// A dictionary of fixed-width values, which have other ways to be short, is tried when at most so many
/// percent of the sample are distinct.
const DISTINCT_PERCENT_MAX: usize = 50;
/// And one of strings.
const DISTINCT_STRINGS_PERCENT_MAX: usize = 85;
/// Runs have to be so long on average to be tried.
const RUN_ROWS_MIN: usize = 4;
/// zstd must stay below this share of the next best, in percent.
const ZSTD_PERCENT_MAX: usize = 70;
/// A dictionary of strings must stay below this share of their bytes, in percent: zstd alone might.
const DICTIONARY_PERCENT_MAX: usize = 40;

/// A page's best codec.
pub(in crate::segment) struct Choice {
    /// The codec, and the page in it; `None` for zstd, if that is of use, or plain.
    pub encoded: Option<(BuiltIn, Vec<u8>)>,
    /// The next best, and about how long it would have been.
    pub rival: Option<(Rival, usize)>,
}

/// What a codec competes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::segment) enum Rival {
    Plain,
    Zstd,
    BuiltIn(BuiltIn),
}

/// Keeps its memory between pages.
#[derive(Default)]
pub(in crate::segment) struct Chooser {
    sample: Vec<u8>,
}

/// Codecs with the length of a page in each.
struct Scores(Vec<(Rival, usize)>);

impl Scores {
    fn add(&mut self, rival: Rival, bytes: usize) {
        self.0.push((rival, bytes));
    }

    /// The best and the next best. There is always one.
    fn best(mut self) -> ((Rival, usize), Option<(Rival, usize)>) {
        self.0.sort_by_key(|(rival, bytes)| match rival {
            Rival::Zstd => bytes * 100 / ZSTD_PERCENT_MAX,
            _ => *bytes,
        });
        let mut scores = self.0.into_iter();
        let best = scores.next().unwrap_or((Rival::Plain, usize::MAX));
        (best, scores.next())
    }
}

impl Chooser {
    /// Choose for the page of `rows` values whose plain form is `raw`.
    pub fn choose(
        &mut self,
        ty: &ColumnType,
        rows: usize,
        raw: &[u8],
        zstd: &mut Zstd,
    ) -> Result<Choice> {
        let column = RawColumn::parse(ty, rows, raw)?;
        if column.first_value().is_none() {
            return Ok(Choice {
                encoded: Some((BuiltIn::Runs, vec![ALL_NULL])),
                rival: Some((Rival::Plain, raw.len())),
            });
        }
        match column.values {
            RawValues::Slots { .. } => self.fixed(&column, raw, zstd),
            RawValues::Variable { .. } => variable(&column, raw, zstd),
        }
    }

    fn fixed(&mut self, column: &RawColumn<'_>, raw: &[u8], zstd: &mut Zstd) -> Result<Choice> {
        let mut scores = Scores(vec![(Rival::Plain, raw.len())]);
        let numbers = column.numbers();
        if let Some((_, numbers)) = &numbers {
            let bytes = 16 + encoded_bytes(numbers);
            scores.add(Rival::BuiltIn(BuiltIn::Bitpacking), bytes);
        }
        let runs = Runs::of(column);
        if let Some(runs) = &runs {
            let mut bytes = Vec::new();
            runs.encode(column, zstd, &mut bytes)?;
            scores.add(Rival::BuiltIn(BuiltIn::Runs), bytes.len());
        }
        let dictionary = Dictionary::of(column);
        if let Some(dictionary) = &dictionary {
            let value = raw.len() / column.rows.max(1);
            scores.add(Rival::BuiltIn(BuiltIn::Dictionary), dictionary.bytes(value));
        }
        let (best, _) = Scores(scores.0.clone()).best();
        // Half a byte a value is hardly to be beaten.
        if best.1 > column.rows / 2 {
            let share = self.sampled(column, raw, zstd);
            scores.add(Rival::Zstd, raw.len() * share / 100);
        }
        let (best, rival) = scores.best();
        let mut out = Vec::new();
        let codec = match best.0 {
            Rival::BuiltIn(codec) if saves_enough(best.1, raw.len()) => codec,
            _ => {
                return Ok(Choice {
                    encoded: None,
                    rival,
                });
            }
        };
        push_validity(column, zstd, &mut out);
        match (codec, numbers, runs, dictionary) {
            (BuiltIn::Bitpacking, Some((base, numbers)), ..) => {
                out.extend_from_slice(&base.to_le_bytes());
                encode(&numbers, &mut out);
            }
            (BuiltIn::Runs, _, Some(runs), _) => runs.encode(column, zstd, &mut out)?,
            (_, _, _, Some(dictionary)) => dictionary.encode(column, zstd, &mut out)?,
            _ => {
                return Ok(Choice {
                    encoded: None,
                    rival,
                });
            }
        }
        // The scores left NULLs out.
        let encoded = saves_enough(out.len(), raw.len()).then_some((codec, out));
        Ok(Choice { encoded, rival })
    }

    /// The share, in percent, that zstd leaves of a vector out of the middle.
    fn sampled(&mut self, column: &RawColumn<'_>, raw: &[u8], zstd: &mut Zstd) -> usize {
        let value = raw.len() / column.rows.max(1);
        let from = (column.rows / 2).saturating_sub(VECTOR / 2) * value;
        let to = (from + VECTOR * value).min(raw.len());
        self.sample.clear();
        self.sample.extend_from_slice(&raw[from..to]);
        let len = zstd
            .compress(&self.sample)
            .map_or(self.sample.len(), <[u8]>::len);
        (len * 100).div_ceil(self.sample.len().max(1))
    }
}

fn variable(column: &RawColumn<'_>, raw: &[u8], zstd: &mut Zstd) -> Result<Choice> {
    let RawValues::Variable { bytes, .. } = column.values else {
        return Ok(Choice {
            encoded: None,
            rival: None,
        });
    };
    let mut out = Vec::new();
    push_validity(column, zstd, &mut out);
    let mut rival = Some((Rival::Plain, raw.len()));
    // Arrays have no order to filter by, and are seldom equal.
    let arrays = matches!(column.ty, ColumnType::Array(_));
    if let Some(dictionary) = Dictionary::of(column).filter(|_| !arrays) {
        let entries = dictionary
            .rows
            .iter()
            .map(|row| column.value(*row as usize).len());
        let estimate = entries.sum::<usize>() + dictionary.bytes(1);
        if estimate * 100 < raw.len() * DICTIONARY_PERCENT_MAX {
            dictionary.encode(column, zstd, &mut out)?;
            let encoded = saves_enough(out.len(), raw.len());
            return Ok(Choice {
                encoded: encoded.then_some((BuiltIn::Dictionary, out)),
                rival,
            });
        }
        rival = Some((Rival::BuiltIn(BuiltIn::Dictionary), estimate));
    }
    let length = |row: usize| match column.is_null(row) {
        true => 0,
        false => column.value(row).len() as u64,
    };
    encode(&(0..column.rows).map(length).collect::<Vec<_>>(), &mut out);
    encode_bytes(bytes, zstd, &mut out)?;
    let encoded = saves_enough(out.len(), raw.len()).then_some((BuiltIn::Strings, out));
    Ok(Choice { encoded, rival })
}

fn push_validity(column: &RawColumn<'_>, zstd: &mut Zstd, out: &mut Vec<u8>) {
    let Some(bits) = column.validity else {
        return out.push(ALL_VALID);
    };
    match zstd.compress(bits) {
        Some(stored) => {
            out.push(VALIDITY_ZSTD);
            // Shorter than the bits of a block's rows.
            out.extend_from_slice(&(stored.len() as u32).to_le_bytes());
            out.extend_from_slice(stored);
        }
        None => {
            out.push(VALIDITY);
            out.extend_from_slice(bits);
        }
    }
}

/// Where runs of equal values begin.
struct Runs {
    rows: Vec<u32>,
    lengths: Vec<u64>,
}

impl Runs {
    /// `None` when they are short.
    fn of(column: &RawColumn<'_>) -> Option<Runs> {
        let first = column.first_value()?;
        // NULLs at the front belong to the first run, others to the run before.
        let (mut rows, mut starts) = (vec![first as u32], vec![0]);
        let mut last = column.value(first);
        for row in first + 1..column.rows {
            if column.is_null(row) || column.value(row) == last {
                continue;
            }
            if rows.len() * RUN_ROWS_MIN > column.rows {
                return None;
            }
            last = column.value(row);
            rows.push(row as u32);
            starts.push(row as u64);
        }
        let ends = starts[1..].iter().copied().chain([column.rows as u64]);
        let lengths = starts
            .iter()
            .zip(ends)
            .map(|(start, end)| end - start)
            .collect();
        Some(Runs { rows, lengths })
    }

    fn encode(&self, column: &RawColumn<'_>, zstd: &mut Zstd, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&(self.rows.len() as u32).to_le_bytes());
        encode(&self.lengths, out);
        encode_values(column, &self.rows, zstd, out)
    }
}

/// The distinct values.
struct Dictionary {
    /// The row of each entry's first use.
    rows: Vec<u32>,
    codes: Vec<u64>,
}

impl Dictionary {
    /// `None` when there are many.
    fn of(column: &RawColumn<'_>) -> Option<Dictionary> {
        let value = |row: usize| (!column.is_null(row)).then(|| column.value(row));
        let sampled = (0..column.rows).step_by(SAMPLE_STEP);
        let mut seen: HashMap<&[u8], u32, Hashing> = HashMap::default();
        let mut values = 0;
        for value in sampled.filter_map(value) {
            seen.insert(value, 0);
            values += 1;
        }
        let percent_max = match column.values {
            RawValues::Slots { .. } => DISTINCT_PERCENT_MAX,
            RawValues::Variable { .. } => DISTINCT_STRINGS_PERCENT_MAX,
        };
        if values > 1 && seen.len() * 100 > values * percent_max {
            return None;
        }
        seen.clear();
        let (mut rows, mut codes) = (Vec::new(), Vec::with_capacity(column.rows));
        let mut last = 0;
        for row in 0..column.rows {
            if let Some(value) = value(row) {
                last = *seen.entry(value).or_insert_with(|| {
                    rows.push(row as u32);
                    rows.len() as u32 - 1
                });
                if rows.len() * 2 > column.rows + 2 {
                    return None;
                }
            }
            codes.push(u64::from(last));
        }
        Some(Dictionary { rows, codes })
    }

    /// About how long it is with entries of so many bytes.
    fn bytes(&self, value: usize) -> usize {
        let bits = width(self.rows.len() as u64 - 1);
        4 + self.rows.len() * value
            + packed_bytes(self.codes.len(), bits)
            + 16 * (1 + self.codes.len() / VECTOR)
    }

    fn encode(&self, column: &RawColumn<'_>, zstd: &mut Zstd, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&(self.rows.len() as u32).to_le_bytes());
        encode_values(column, &self.rows, zstd, out)?;
        encode(&self.codes, out);
        Ok(())
    }
}

/// A hash for values that nobody chooses to collide at any gain: a page is 8,192 of them at most.
type Hashing = std::hash::BuildHasherDefault<Hasher>;

#[derive(Default)]
struct Hasher(u64);

impl std::hash::Hasher for Hasher {
    fn finish(&self) -> u64 {
        // The table takes its bits from both ends.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0 ^ u64::from_le_bytes(word))
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .rotate_left(29);
        }
    }
}
