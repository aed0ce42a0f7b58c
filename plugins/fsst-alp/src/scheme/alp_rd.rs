//! ALP-RD, for floats that were never decimals; of the same paper as [`alp`](super::alp).
//!
//! The front of a float, its sign, exponent and highest bits, is one of few in a column, the rest is
//! noise. Fronts become places in a dictionary of up to eight; a front that is not there is an
//! exception. The rest is stored as it is.
//!
//! ```text
//! bits of the rest u8 │ fronts u8 │ each front u16
//! for each vector: exceptions varint │ places of fronts, packed │ rests, packed
//!                  places of the exceptions, packed │ their fronts u16
//! ```

use std::ops::Range;

use alp::RDEncoder;
use heliosdb_plugin_api::Result;

use crate::bits::{self, Packed, VECTOR};
use crate::float::Float;
use crate::frame::{Reader, damaged, write_varint};

/// Bits of the front at most.
const FRONT_BITS: u32 = 16;
const FRONTS_MAX: usize = 8;
/// Bits of the place of an exception.
const PLACE_BITS: u32 = 10;

/// `None` for no floats: there is nothing to learn fronts from.
pub fn learn<F: Float>(floats: &[F]) -> Option<RDEncoder> {
    (!floats.is_empty()).then(|| RDEncoder::new(floats))
}

/// About how many bytes these floats take.
pub fn estimate<F: Float>(floats: &[F], encoder: &RDEncoder) -> usize {
    let known = |f: &&F| encoder.codes().contains(&front(**f, encoder));
    let exceptions = floats.len() - floats.iter().filter(known).count();
    let width = u32::from(encoder.right_bit_width()) + places_width(encoder.codes().len());
    bits::packed_bytes(floats.len(), width) + exceptions * 26 / 8
}

fn front<F: Float>(float: F, encoder: &RDEncoder) -> u16 {
    (float.bits() >> encoder.right_bit_width()) as u16
}

fn places_width(fronts: usize) -> u32 {
    bits::width(fronts.saturating_sub(1) as u64)
}

pub fn encode<F: Float>(floats: &[F], encoder: &RDEncoder, out: &mut Vec<u8>) {
    let rest_width = u32::from(encoder.right_bit_width());
    let fronts = encoder.codes();
    out.extend([encoder.right_bit_width(), fronts.len() as u8]);
    out.extend(fronts.iter().flat_map(|front| front.to_le_bytes()));
    let mut packed = Vec::with_capacity(VECTOR);
    for vector in floats.chunks(VECTOR) {
        let (places, _, exceptions, their_fronts) = encoder.split_parts(vector);
        write_varint(exceptions.len() as u64, out);
        packed.clear();
        packed.extend(places.into_iter().map(u64::from));
        bits::pack(&packed, places_width(fronts.len()), out);
        packed.clear();
        let rest = (1 << rest_width) - 1;
        packed.extend(vector.iter().map(|float| float.bits() & rest));
        bits::pack(&packed, rest_width, out);
        bits::pack(&exceptions, PLACE_BITS, out);
        out.extend(their_fronts.iter().flat_map(|front| front.to_le_bytes()));
    }
}

/// Encoded floats.
#[derive(Debug)]
pub struct AlpRd<'a> {
    rest_width: u32,
    fronts: Vec<u64>,
    vectors: Vec<Vector<'a>>,
}

#[derive(Debug)]
struct Vector<'a> {
    places: Packed<'a>,
    rests: Packed<'a>,
    exceptions: Packed<'a>,
    their_fronts: &'a [u8],
}

impl<'a> AlpRd<'a> {
    pub fn read<F: Float>(mut reader: Reader<'a>, count: usize) -> Result<AlpRd<'a>> {
        let float_bits = F::BYTES as u32 * 8;
        let rest_width = u32::from(reader.u8()?);
        if !(float_bits - FRONT_BITS..float_bits).contains(&rest_width) {
            return Err(damaged("its fronts have too few or too many bits"));
        }
        let number = usize::from(reader.u8()?);
        if number > FRONTS_MAX {
            return Err(damaged("it has too many fronts"));
        }
        let mut fronts = Vec::with_capacity(number);
        for _ in 0..number {
            fronts.push(u64::from(reader.u16()?));
        }
        let mut vectors = Vec::new();
        let mut left = count;
        while left > 0 {
            let count = left.min(VECTOR);
            let exceptions = reader.length()?;
            if exceptions > count {
                return Err(damaged("a vector has too many exceptions"));
            }
            let mut packed = |count, width| {
                let bytes = reader.take(bits::packed_bytes(count, width))?;
                let wrong = || damaged("a vector has a wrong length");
                Packed::new(bytes, width, count).ok_or_else(wrong)
            };
            vectors.push(Vector {
                places: packed(count, places_width(number))?,
                rests: packed(count, rest_width)?,
                exceptions: packed(exceptions, PLACE_BITS)?,
                their_fronts: reader.take(2 * exceptions)?,
            });
            left -= count;
        }
        reader.end()?;
        Ok(AlpRd {
            rest_width,
            fronts,
            vectors,
        })
    }

    pub fn floats<F: Float>(&self, range: Range<usize>) -> Result<Vec<F>> {
        let few = || damaged("it has too few floats");
        let vectors = range.start / VECTOR..range.end.div_ceil(VECTOR);
        let mut start = vectors.start * VECTOR;
        let mut floats = Vec::with_capacity(range.len());
        for vector in self.vectors.get(vectors).ok_or_else(few)? {
            let all = self.vector(vector)?;
            let from = range.start.saturating_sub(start);
            let to = (range.end - start).min(all.len());
            let wanted = all.get(from..to).ok_or_else(few)?;
            floats.extend(wanted.iter().map(|bits| F::of_bits(*bits)));
            start += all.len();
        }
        Ok(floats)
    }

    fn vector(&self, vector: &Vector<'_>) -> Result<Vec<u64>> {
        let mut unpacked = [0; VECTOR];
        let mut fronts = Vec::with_capacity(VECTOR);
        for place in vector.places.unpack(&mut unpacked) {
            let front = self.fronts.get(*place as usize);
            fronts.push(*front.ok_or_else(|| damaged("a front is not there"))?);
        }
        let places = vector.exceptions.unpack(&mut unpacked).iter();
        let (theirs, _) = vector.their_fronts.as_chunks::<2>();
        for (place, front) in places.zip(theirs) {
            let slot = fronts.get_mut(*place as usize);
            let slot = slot.ok_or_else(|| damaged("an exception has no place"))?;
            *slot = u64::from(u16::from_le_bytes(*front));
        }
        let rests = vector.rests.unpack(&mut unpacked).iter();
        let joined = fronts.into_iter().zip(rests);
        Ok(joined
            .map(|(front, rest)| front << self.rest_width | rest)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<F: Float>(floats: &[F]) -> usize {
        let encoder = learn(floats).unwrap();
        let mut out = Vec::new();
        encode(floats, &encoder, &mut out);
        let read = AlpRd::read::<F>(Reader::new(&out), floats.len()).unwrap();
        let bits = |floats: &[F]| floats.iter().map(|f| f.bits()).collect::<Vec<_>>();
        let count = floats.len();
        for range in [0..count, count / 3..count / 2, count..count, 0..1] {
            let some: Vec<F> = read.floats(range.clone()).unwrap();
            assert_eq!(bits(&some), bits(&floats[range]));
        }
        out.len()
    }

    #[test]
    fn noise_behind_few_fronts_is_shortened() {
        let noise: Vec<f64> = (1..3000)
            .map(|i| 1.0 + (f64::from(i) / 7.0).sin() / 3.0)
            .collect();
        assert!(check(&noise) < noise.len() * 57 / 8);
        let noise: Vec<f32> = noise.iter().map(|f| *f as f32).collect();
        assert!(check(&noise) < noise.len() * 29 / 8);
    }

    #[test]
    fn every_bit_comes_back() {
        let all = |i: u64| f64::from_bits(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        check(&(0..1500).map(all).collect::<Vec<_>>());
        check(&[f64::NAN]);
        check(&[-0.0f32]);
        check(&[f32::INFINITY, f32::from_bits(0xff80_0001), 0.0, -0.0]);
    }
}
