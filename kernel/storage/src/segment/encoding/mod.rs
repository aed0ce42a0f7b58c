//! The built-in codecs of column pages: bit-packing, dictionary, runs, strings.
//!
//! They have the shape of a plugin's codec: an estimate of the length ([`choose`]), encode, decode, decode
//! only some rows, and find the rows within a range without decoding. Other than those they need not be
//! found anywhere and do not fail on what they wrote, so the checksum of the stored page is all that covers
//! their bytes. Whatever the bytes are, decoding gives values or an error.
//!
//! ```text
//! payload     validity │ body
//! validity    kind u8: 0 nothing is NULL │ 1 ⌈rows/8⌉ bytes, bit set = not NULL │
//!             2 u32 length, those bytes in zstd │ 3 everything is NULL, and there is no body
//!
//! bitpacking  base i128 │ integers (rows): value - base             whole numbers and bool
//! dictionary  entries u32 │ values (entries) │ integers (rows): which of them
//! runs        runs u32 │ integers (runs): rows of each │ values (runs)       fixed widths only
//! strings     integers (rows): bytes of each │ bytes                  variable widths only
//!
//! values      of a fixed width: kind u8: 0 bytes: slots │ 1 base i128, integers
//!             of a variable width: integers: bytes of each │ bytes
//! bytes       raw length u32 │ stored length u32 │ zstd of them when that is shorter, else themselves
//! integers    as `integers` has them
//! ```
//!
//! The row of a NULL has what the row before it has, or no bytes.

mod bits;
mod choose;
pub(super) mod integers;
mod raw;
pub(super) mod values;

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, UInt32Array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow_select::filter::filter;
use arrow_select::take::take;

pub(super) use self::choose::{Chooser, Rival};

use self::integers::Integers;
use self::values::{decode_bytes, decode_values};
use super::column::variable_array;
use super::filter::ValueRange;
use super::input::Input;
use crate::codec::BuiltIn;
use crate::datum::arrow::damaged;
use crate::datum::malformed;
use crate::error::Result;
use crate::schema::ColumnType;

const ALL_VALID: u8 = 0;
const VALIDITY: u8 = 1;
const VALIDITY_ZSTD: u8 = 2;
const ALL_NULL: u8 = 3;

/// A column page as it is stored by a built-in codec.
#[derive(Clone, Copy)]
pub(super) struct StoredColumn<'a> {
    pub codec: BuiltIn,
    pub ty: &'a ColumnType,
    pub rows: usize,
    /// Length of the plain form: nothing that is decoded has more bytes.
    pub raw_bytes: usize,
    pub payload: &'a [u8],
}

/// A payload whose validity has been read.
enum Body<'a> {
    AllNull,
    Values(Input<'a>, Option<BooleanBuffer>),
}

impl StoredColumn<'_> {
    /// The values, or those of the rows that `wanted` has a bit for.
    pub fn decode(&self, wanted: Option<&BooleanBuffer>) -> Result<ArrayRef> {
        let count = wanted.map_or(self.rows, BooleanBuffer::count_set_bits);
        let (mut input, valid) = match self.body()? {
            Body::AllNull => return Ok(arrow_array::new_null_array(&self.ty.arrow(), count)),
            Body::Values(input, valid) => (input, valid),
        };
        let nulls = |valid: Option<BooleanBuffer>| {
            valid.map(|valid| {
                NullBuffer::new(match wanted {
                    None => valid,
                    Some(wanted) => {
                        let mut rows = wanted.set_indices();
                        BooleanBuffer::collect_bool(count, |_| {
                            rows.next().is_some_and(|row| valid.value(row))
                        })
                    }
                })
            })
        };
        let array = match self.codec {
            BuiltIn::Bitpacking => {
                let base = input.i128()?;
                let numbers = Integers::parse(&mut input, self.rows)?;
                values::array_of(self.ty, base, &numbers, wanted, nulls(valid))?
            }
            BuiltIn::Dictionary => {
                let (dictionary, codes) = self.dictionary(&mut input)?;
                let codes: Vec<u32> = match wanted {
                    None => codes.decode(0),
                    Some(wanted) => codes.pick(0, wanted),
                };
                take_checked(&dictionary, codes, nulls(valid))?
            }
            BuiltIn::Runs => {
                let (lengths, runs) = self.runs(&mut input)?;
                let numbers = (0u32..).zip(&lengths);
                let all = numbers.flat_map(|(run, rows)| std::iter::repeat_n(run, *rows as usize));
                let places: Vec<u32> = match wanted {
                    None => all.collect(),
                    Some(wanted) => {
                        let all: Vec<u32> = all.collect();
                        wanted.set_indices().map(|row| all[row]).collect()
                    }
                };
                take_checked(&runs, places, nulls(valid))?
            }
            BuiltIn::Strings => {
                let array = self.strings(&mut input, valid)?;
                match wanted {
                    None => array,
                    Some(wanted) => {
                        let wanted = BooleanArray::new(wanted.clone(), None);
                        filter(&array, &wanted).map_err(damaged)?
                    }
                }
            }
        };
        end(&input)?;
        Ok(array)
    }

    /// Which rows have a value in `range`; the others are decoded only where they have to be.
    pub fn filter(&self, range: &ValueRange) -> Result<BooleanBuffer> {
        let (mut input, valid) = match self.body()? {
            Body::AllNull => return Ok(BooleanBuffer::new_unset(self.rows)),
            Body::Values(input, valid) => (input, valid),
        };
        let inside = match self.codec {
            BuiltIn::Bitpacking => {
                let base = input.i128()?;
                let numbers = Integers::parse(&mut input, self.rows)?;
                match range.numbers_from(base) {
                    Some((low, high)) => numbers.within(low, high),
                    None => BooleanBuffer::new_unset(self.rows),
                }
            }
            BuiltIn::Dictionary => {
                let (dictionary, codes) = self.dictionary(&mut input)?;
                let inside = range.select_few(self.ty, &dictionary)?;
                let inside: Vec<bool> = inside.iter().collect();
                codes.matching(&inside)
            }
            BuiltIn::Runs => {
                let (lengths, runs) = self.runs(&mut input)?;
                let inside = range.select_few(self.ty, &runs)?;
                let mut rows = arrow_buffer::BooleanBufferBuilder::new(self.rows);
                for (run, length) in lengths.iter().enumerate() {
                    rows.append_n(*length as usize, inside.value(run));
                }
                rows.finish()
            }
            BuiltIn::Strings => return range.select(self.ty, &self.decode(None)?),
        };
        end(&input)?;
        Ok(match valid {
            Some(valid) => &inside & &valid,
            None => inside,
        })
    }

    fn body(&self) -> Result<Body<'_>> {
        let mut input = Input::new(self.payload, 0);
        let bytes = self.rows.div_ceil(8);
        let valid = match input.u8()? {
            ALL_VALID => None,
            VALIDITY => Some(Buffer::from_slice_ref(input.take(bytes)?)),
            VALIDITY_ZSTD => {
                let stored = input.u32()? as usize;
                let bits = super::page::decompressed(input.take(stored)?, bytes)?;
                Some(bits)
            }
            ALL_NULL => {
                end(&input)?;
                return Ok(Body::AllNull);
            }
            other => return Err(malformed("a kind of validity", other)),
        };
        let valid = valid.map(|bits| BooleanBuffer::new(bits, 0, self.rows));
        Ok(Body::Values(input, valid))
    }

    fn dictionary<'b>(&self, input: &mut Input<'b>) -> Result<(ArrayRef, Integers<'b>)> {
        let entries = self.count(input)?;
        let dictionary = decode_values(self.ty, entries, self.raw_bytes, input)?;
        Ok((dictionary, Integers::parse(input, self.rows)?))
    }

    /// How many rows each run has, which are all rows together, and the values.
    fn runs(&self, input: &mut Input<'_>) -> Result<(Vec<u32>, ArrayRef)> {
        let runs = self.count(input)?;
        let lengths: Vec<u32> = Integers::parse(input, runs)?.decode(0);
        let rows: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
        if rows != self.rows as u64 {
            return Err(malformed(format!("runs of {} rows", self.rows), rows));
        }
        Ok((
            lengths,
            decode_values(self.ty, runs, self.raw_bytes, input)?,
        ))
    }

    /// How many values stand for those of the rows.
    fn count(&self, input: &mut Input<'_>) -> Result<usize> {
        let count = input.u32()? as usize;
        match count <= self.rows {
            true => Ok(count),
            false => Err(malformed(format!("at most {} values", self.rows), count)),
        }
    }

    fn strings(&self, input: &mut Input<'_>, valid: Option<BooleanBuffer>) -> Result<ArrayRef> {
        let lengths: Vec<u32> = Integers::parse(input, self.rows)?.decode(0);
        let bytes = decode_bytes(self.raw_bytes, input)?;
        end(input)?;
        let nulls = valid.map(NullBuffer::new);
        variable_array(self.ty, &starts(&lengths, bytes.len())?, bytes, nulls)
    }
}

/// Where each of the values begins and the last one ends, which is where the bytes do.
fn starts(lengths: &[u32], bytes: usize) -> Result<Vec<u32>> {
    let mut starts = Vec::with_capacity(lengths.len() + 1);
    let mut at = 0u32;
    starts.push(at);
    for length in lengths {
        at = at
            .checked_add(*length)
            .ok_or_else(|| malformed("a page of less than 4 GiB", length))?;
        starts.push(at);
    }
    match at as usize == bytes {
        true => Ok(starts),
        false => Err(malformed(format!("values of {at} bytes"), bytes)),
    }
}

/// The values at `places`.
fn take_checked(
    values: &ArrayRef,
    places: Vec<u32>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    if let Some(other) = places.iter().find(|place| **place as usize >= values.len()) {
        return Err(malformed(format!("one of {} values", values.len()), other));
    }
    let places = UInt32Array::new(ScalarBuffer::from(places), nulls);
    take(values.as_ref(), &places, None).map_err(damaged)
}

fn end(input: &Input<'_>) -> Result<()> {
    match input.is_at_end() {
        true => Ok(()),
        false => Err(malformed("the end of a payload", "more bytes")),
    }
}

/// `bits` of 0 or 1 as booleans.
fn booleans(bits: &[u8], nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    if let Some(other) = bits.iter().find(|byte| **byte > 1) {
        return Err(malformed("a bool of 0 or 1", other));
    }
    let bits = BooleanBuffer::collect_bool(bits.len(), |row| bits[row] == 1);
    Ok(Arc::new(BooleanArray::new(bits, nulls)))
}
