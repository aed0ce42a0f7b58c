//! ALP: Afroozeh, Kuffó, Boncz, "ALP: Adaptive Lossless floating-Point Compression", SIGMOD 2024.
//!
//! Most floats were decimals once: `digits × 10^f × 10^-e`, computed as the decoder does, gives one
//! back to the bit, with exponents that a vector of 1,024 shares. The digits are stored; floats that
//! do not come back, and those whose digits would make all others wider, are exceptions.
//!
//! ```text
//! e u8 │ f u8 │ width u8 │ exceptions varint │ base zigzag varint │ digits less the base, packed
//! places of the exceptions, packed │ exceptions
//! ```
//!
//! Exponents are found in two levels of samples, as in the paper: some candidates for a block, and
//! the best of them for each vector.

use std::ops::Range;

use alp::{ALPFloat, Exponents};
use heliosdb_plugin_api::Result;

use crate::bits::{self, Packed, VECTOR};
use crate::float::{Float, order};
use crate::frame::{Reader, damaged, unzigzag, write_varint, zigzag};
use crate::predicate::{Orders, Predicate};

/// Vectors of a block that are searched for exponents.
const VECTORS_SEARCHED: usize = 8;
/// Candidates of a block.
const CANDIDATES: usize = 5;
/// Floats of a vector that the candidates are tried on.
const TRIED: usize = 32;
/// Bits of the place of an exception.
const PLACE_BITS: u32 = 10;
const _: () = assert!(1 << PLACE_BITS == VECTOR);

/// The exponents to try on each vector of a block; none for no floats.
pub fn candidates<F: Float>(floats: &[F]) -> Vec<Exponents> {
    let vectors: Vec<&[F]> = floats.chunks(VECTOR).collect();
    let step = vectors.len().div_ceil(VECTORS_SEARCHED).max(1);
    let mut found: Vec<(Exponents, usize)> = Vec::new();
    for vector in vectors.into_iter().step_by(step) {
        let sample = sample(vector);
        // The search is long, and mostly finds what it found before.
        let known = found
            .iter()
            .position(|(exponents, _)| fit(&sample, *exponents));
        let exponents = match known {
            Some(place) => found[place].0,
            None => F::find_best_exponents(&sample),
        };
        match found.iter_mut().find(|(e, _)| *e == exponents) {
            Some((_, times)) => *times += 1,
            None => found.push((exponents, 1)),
        }
    }
    found.sort_by_key(|(exponents, times)| (std::cmp::Reverse(*times), exponents.e, exponents.f));
    found.truncate(CANDIDATES);
    found.into_iter().map(|(exponents, _)| exponents).collect()
}

/// Floats from all over a vector.
fn sample<F: Float>(vector: &[F]) -> Vec<F> {
    let step = vector.len().div_ceil(TRIED).max(1);
    vector.iter().copied().step_by(step).collect()
}

/// Whether these exponents give all floats but few back.
fn fit<F: Float>(sample: &[F], exponents: Exponents) -> bool {
    let lost = sample.iter().filter(|f| !returns(**f, exponents)).count();
    lost * 32 <= sample.len()
}

fn returns<F: Float>(float: F, exponents: Exponents) -> bool {
    F::decimal(float.digits(exponents), exponents).bits() == float.bits()
}

/// The best of the candidates for a vector.
fn best<F: Float>(vector: &[F], candidates: &[Exponents]) -> Exponents {
    let sample = sample(vector);
    let size = |e: &&Exponents| F::estimate_encoded_size_for_exponents(&sample, **e);
    let best = candidates.iter().min_by_key(size);
    best.copied().unwrap_or(Exponents { e: 0, f: 0 })
}

pub fn encode<F: Float>(floats: &[F], candidates: &[Exponents], out: &mut Vec<u8>) {
    for vector in floats.chunks(VECTOR) {
        let exponents = match candidates {
            [only] => *only,
            _ => best(vector, candidates),
        };
        encode_vector(vector, exponents, out);
    }
}

fn encode_vector<F: Float>(vector: &[F], exponents: Exponents, out: &mut Vec<u8>) {
    let digits: Vec<i64> = vector.iter().map(|f| f.digits(exponents)).collect();
    let returned: Vec<bool> = vector
        .iter()
        .zip(&digits)
        .map(|(f, d)| F::decimal(*d, exponents).bits() == f.bits())
        .collect();
    let (base, width) = narrow::<F>(&digits, &returned);
    let mut exceptions = Vec::new();
    let mut packed = Vec::with_capacity(VECTOR);
    for (place, (digits, returned)) in digits.iter().zip(&returned).enumerate() {
        let above = digits.wrapping_sub(base) as u64;
        let fits = *returned && *digits >= base && bits::width(above) <= width;
        packed.push(if fits { above } else { 0 });
        if !fits {
            exceptions.push(place as u64);
        }
    }
    out.extend([exponents.e, exponents.f, width as u8]);
    write_varint(exceptions.len() as u64, out);
    write_varint(zigzag(base), out);
    bits::pack(&packed, width, out);
    bits::pack(&exceptions, PLACE_BITS, out);
    for place in exceptions {
        out.extend(vector[place as usize].le_bytes());
    }
}

/// The base and the width that take the fewest bits, exceptions counted in.
fn narrow<F: Float>(digits: &[i64], returned: &[bool]) -> (i64, u32) {
    let kept = digits
        .iter()
        .zip(returned)
        .filter(|(_, returned)| **returned);
    let mut kept: Vec<i64> = kept.map(|(digits, _)| *digits).collect();
    kept.sort_unstable();
    let (Some(least), Some(greatest)) = (kept.first(), kept.last()) else {
        return (0, 0);
    };
    let exception_bits = F::BYTES * 8 + PLACE_BITS as usize;
    let full = bits::width(greatest.wrapping_sub(*least) as u64);
    let mut best = (digits.len() * full as usize, *least, full);
    for width in (0..full).rev() {
        let reach = u64::MAX.checked_shr(u64::BITS - width).unwrap_or(0);
        // The most digits that lie within the reach of one of them.
        let (mut start, mut most, mut base) = (0, 0, *least);
        for (end, last) in kept.iter().enumerate() {
            while last.wrapping_sub(kept[start]) as u64 > reach {
                start += 1;
            }
            if end + 1 - start > most {
                (most, base) = (end + 1 - start, kept[start]);
            }
        }
        let lost = kept.len() - most;
        let bits = digits.len() * width as usize + lost * exception_bits;
        if bits < best.0 {
            best = (bits, base, width);
        }
        // Narrower ones lose at least as many.
        if lost * exception_bits >= best.0 {
            break;
        }
    }
    (best.1, best.2)
}

/// Encoded floats.
#[derive(Debug)]
pub struct Alp<'a, F> {
    vectors: Vec<Vector<'a, F>>,
    count: usize,
}

#[derive(Debug)]
struct Vector<'a, F> {
    exponents: Exponents,
    base: i64,
    digits: Packed<'a>,
    places: Packed<'a>,
    exceptions: Vec<F>,
}

impl<'a, F: Float> Alp<'a, F> {
    pub fn read(mut reader: Reader<'a>, count: usize) -> Result<Alp<'a, F>> {
        let mut vectors = Vec::new();
        let mut left = count;
        while left > 0 {
            let count = left.min(VECTOR);
            vectors.push(Vector::read(&mut reader, count)?);
            left -= count;
        }
        reader.end()?;
        Ok(Alp { vectors, count })
    }

    pub fn floats(&self, range: Range<usize>) -> Result<Vec<F>> {
        let mut floats = Vec::with_capacity(range.len());
        let vectors = range.start / VECTOR..range.end.div_ceil(VECTOR);
        let mut start = vectors.start * VECTOR;
        let few = || damaged("it has too few floats");
        for vector in self.vectors.get(vectors).ok_or_else(few)? {
            let all = vector.floats()?;
            let from = range.start.saturating_sub(start);
            let to = (range.end - start).min(all.len());
            floats.extend_from_slice(all.get(from..to).ok_or_else(few)?);
            start += all.len();
        }
        Ok(floats)
    }

    /// Which floats meet a predicate; `None` for one of strings. What is compared are digits, but for
    /// exceptions.
    pub fn matches(&self, predicate: &Predicate<F>) -> Result<Option<Vec<bool>>> {
        match predicate {
            Predicate::Order(orders, constant) => self.compare(*orders, *constant).map(Some),
            Predicate::In(list) => {
                let mut found = vec![false; self.count];
                for constant in list {
                    let equal = self.compare(Orders::EQUAL, *constant)?;
                    found.iter_mut().zip(equal).for_each(|(f, e)| *f |= e);
                }
                Ok(Some(found))
            }
            Predicate::StartsWith(_) => Ok(None),
        }
    }

    fn compare(&self, orders: Orders, constant: F) -> Result<Vec<bool>> {
        let mut found = Vec::new();
        for vector in &self.vectors {
            vector.compare(orders, constant, &mut found)?;
        }
        Ok(found)
    }
}

impl<'a, F: Float> Vector<'a, F> {
    fn read(reader: &mut Reader<'a>, count: usize) -> Result<Vector<'a, F>> {
        let wrong = |_: ()| damaged("a vector has a wrong length");
        let exponents = Exponents {
            e: reader.u8()?,
            f: reader.u8()?,
        };
        let max = <F as ALPFloat>::MAX_EXPONENT;
        if exponents.e > max || exponents.f > max {
            return Err(damaged("its exponents are too large"));
        }
        let width = reader.width()?;
        let exceptions = reader.length()?;
        if exceptions > count {
            return Err(damaged("a vector has too many exceptions"));
        }
        let base = unzigzag(reader.varint()?);
        let digits = reader.take(bits::packed_bytes(count, width))?;
        let places = reader.take(bits::packed_bytes(exceptions, PLACE_BITS))?;
        let mut floats = Vec::with_capacity(exceptions);
        for _ in 0..exceptions {
            floats.push(F::read(reader)?);
        }
        Ok(Vector {
            exponents,
            base,
            digits: Packed::new(digits, width, count).ok_or(()).map_err(wrong)?,
            places: Packed::new(places, PLACE_BITS, exceptions)
                .ok_or(())
                .map_err(wrong)?,
            exceptions: floats,
        })
    }

    fn decimal(&self, above: u64) -> F {
        F::decimal(self.base.wrapping_add(above as i64), self.exponents)
    }

    fn floats(&self) -> Result<Vec<F>> {
        let mut unpacked = [0; VECTOR];
        let digits = self.digits.unpack(&mut unpacked).iter();
        let mut floats: Vec<F> = digits.map(|above| self.decimal(*above)).collect();
        self.patch(&mut floats, &self.exceptions)?;
        Ok(floats)
    }

    /// Put something in the places of the exceptions.
    fn patch<T: Copy>(&self, all: &mut [T], exceptions: &[T]) -> Result<()> {
        let mut places = [0; VECTOR];
        for (place, exception) in self.places.unpack(&mut places).iter().zip(exceptions) {
            let slot = all.get_mut(*place as usize);
            *slot.ok_or_else(|| damaged("an exception has no place"))? = *exception;
        }
        Ok(())
    }

    fn compare(&self, orders: Orders, constant: F, out: &mut Vec<bool>) -> Result<()> {
        // Decimals rise with their digits, so those that are less, equal and greater are three
        // ranges of digits.
        let less = self.first(|decimal| order(decimal, constant).is_ge());
        let not_greater = self.first(|decimal| order(decimal, constant).is_gt());
        let mut unpacked = [0; VECTOR];
        let each = self.digits.unpack(&mut unpacked).iter().map(|above| {
            let above = u128::from(*above);
            match (above < less, above < not_greater) {
                (true, _) => orders.less,
                (false, true) => orders.equal,
                (false, false) => orders.greater,
            }
        });
        let start = out.len();
        out.extend(each);
        let exceptions = self.exceptions.iter();
        let exceptions: Vec<bool> = exceptions
            .map(|exception| orders.holds(order(*exception, constant)))
            .collect();
        self.patch(&mut out[start..], &exceptions)
    }

    /// The first of the packed digits from which on `from` holds; one past the last when for none. Those
    /// that lead beyond the integers are nobody's, and the decimals rise up to there.
    fn first(&self, from: impl Fn(F) -> bool) -> u128 {
        let integers = (i128::from(i64::MAX) - i128::from(self.base)) as u128 + 1;
        let (mut low, mut high) = (0u128, integers.min(1u128 << self.digits.width()));
        while low < high {
            let middle = (low + high) / 2;
            // Below 2^64, for the width is at most that.
            match from(self.decimal(middle as u64)) {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::float;

    fn check<F: Float>(floats: &[F]) -> usize {
        let mut out = Vec::new();
        encode(floats, &candidates(floats), &mut out);
        let alp = Alp::<F>::read(Reader::new(&out), floats.len()).unwrap();
        let bits = |floats: &[F]| floats.iter().map(|f| f.bits()).collect::<Vec<_>>();
        let count = floats.len();
        for range in [
            0..count,
            count / 3..count / 2,
            count..count,
            0..count.min(1),
        ] {
            let some = alp.floats(range.clone()).unwrap();
            assert_eq!(bits(&some), bits(&floats[range]));
        }
        let constants = floats.iter().step_by(97).chain(floats.last()).copied();
        let half = F::of_bits(F::one().bits()) / (F::one() + F::one());
        for constant in constants.flat_map(|c| [c, c + half, -c, F::nan(), F::infinity()]) {
            let orders = Orders::ALL.map(|orders| Predicate::Order(orders, constant));
            let list = Predicate::In(vec![constant, F::one()]);
            for predicate in orders.into_iter().chain([list]) {
                let found = alp.matches(&predicate).unwrap().unwrap();
                let expected = floats.iter().map(|f| float::holds(&predicate, *f));
                assert!(found.into_iter().map(Some).eq(expected), "{predicate:?}");
            }
        }
        out.len()
    }

    #[test]
    fn decimals_are_short_and_come_back() {
        let prices: Vec<f64> = (0..3000)
            .map(|i| f64::from(i * 7919 % 1000) / 100.0)
            .collect();
        assert!(check(&prices) < 3000 * 11 / 8);
        let prices: Vec<f32> = (0..3000)
            .map(|i| (i * 7919 % 1000) as f32 / 100.0)
            .collect();
        // Some single floats come back from no decimal.
        assert!(check(&prices) < 3000 * 12 / 8);
        assert!(check(&[12.5f64; 1024]) < 32);
    }

    /// Digits of as many bits as these need would lead beyond the integers.
    #[test]
    fn decimals_at_the_end_of_the_integers_compare() {
        let end = 9_223_372_036_854_775_807i64 as f64;
        let before = end - 6144.0;
        for odd in [end, before] {
            let even = if odd == end { before } else { end };
            let ends: Vec<f64> = (0..3000)
                .map(|i| if i % 2 == 0 { even } else { odd })
                .collect();
            check(&ends);
            let below: Vec<f64> = ends.iter().map(|end| -end).collect();
            check(&below);
        }
    }

    #[test]
    fn every_bit_of_odd_floats_comes_back() {
        let odd = [
            0.0,
            -0.0,
            f64::NAN,
            -f64::NAN,
            f64::from_bits(0x7ff0_0000_0000_0001),
            f64::from_bits(0xfff8_dead_beef_0000),
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE,
            f64::from_bits(1),
            f64::MAX,
            f64::MIN,
            9_007_199_254_740_993.0,
            i64::MAX as f64,
            i64::MIN as f64,
            0.1 + 0.2,
            1e-300,
        ];
        for float in odd {
            check(&[float]);
            let mut among = vec![1.25; 1500];
            among[7] = float;
            among[1499] = float;
            check(&among);
        }
        check(&odd);
        check::<f64>(&[]);
        let odd: Vec<f32> = odd.iter().map(|f| *f as f32).collect();
        check(&odd);
        check(&[f32::from_bits(0x7f80_0001), -0.0, 16_777_217.0, f32::MAX]);
    }

    #[test]
    fn far_off_decimals_become_exceptions() {
        let mut floats: Vec<f64> = (0..1024).map(|i| f64::from(i % 50) / 10.0).collect();
        let narrow = check(&floats);
        floats[3] = 1e14;
        floats[900] = -1e14;
        assert!(check(&floats) < narrow + 40);
    }
}
