//! Whole numbers: frames of reference and differences, bit-packed in vectors of 1,024.
//!
//! ```text
//! vector …, the last one shorter
//!
//! vector     kind u8 │ width u8 │ reference u64 │ start u64, of differences only │ packed
//! kind       0 frame: number i is reference + packed i
//!            1 differences: number 0 is start, number i is number i - 1 + reference + packed i
//! packed     as `bits` has them; of differences the first is 0 and says nothing
//! ```
//!
//! All sums wrap, so differences may be negative, and any bytes are some numbers. A vector of one
//! value, or of values that rise by the same step, has a width of 0. How many numbers there are is
//! said elsewhere.

use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};

use super::bits::{Numbers, Packed, Scratch, VECTOR, pack, packed_bytes, width};
use crate::datum::malformed;
use crate::error::Result;
use crate::segment::input::Input;

const FRAME: u8 = 0;
const DIFFERENCES: u8 = 1;
/// kind │ width │ reference
const FRAME_BYTES: usize = 1 + 1 + 8;
const START_BYTES: usize = 8;
/// Differences have to be unpacked from the first one on, and cannot be compared packed; they must
/// save this share of a frame's bits.
const DIFFERENCES_SAVE: u32 = 2;

/// How a vector is written.
struct Form {
    kind: u8,
    width: u32,
    reference: u64,
}

impl Form {
    /// The shortest for `numbers`, which are not empty and at most [`VECTOR`].
    fn of(numbers: &[u64]) -> Form {
        let (mut min, mut max) = (u64::MAX, 0);
        for number in numbers {
            min = min.min(*number);
            max = max.max(*number);
        }
        let frame = Form {
            kind: FRAME,
            width: width(max - min),
            reference: min,
        };
        if frame.width == 0 || numbers.len() < 2 {
            return frame;
        }
        let (mut least, mut most) = (i64::MAX, i64::MIN);
        for pair in numbers.windows(2) {
            let difference = pair[1].wrapping_sub(pair[0]) as i64;
            least = least.min(difference);
            most = most.max(difference);
        }
        let bits = width(most.wrapping_sub(least) as u64);
        if bits.saturating_mul(DIFFERENCES_SAVE) > frame.width {
            return frame;
        }
        Form {
            kind: DIFFERENCES,
            width: bits,
            reference: least as u64,
        }
    }

    fn bytes(&self, count: usize) -> usize {
        let start = if self.kind == DIFFERENCES {
            START_BYTES
        } else {
            0
        };
        FRAME_BYTES + start + packed_bytes(count, self.width)
    }
}

/// How many bytes [`encode`] appends.
pub fn encoded_bytes(numbers: &[u64]) -> usize {
    let vectors = numbers.chunks(VECTOR);
    vectors
        .map(|vector| Form::of(vector).bytes(vector.len()))
        .sum()
}

/// Append `numbers`.
pub fn encode(numbers: &[u64], out: &mut Vec<u8>) {
    let mut packed = [0; VECTOR];
    for vector in numbers.chunks(VECTOR) {
        let form = Form::of(vector);
        out.push(form.kind);
        out.push(form.width as u8);
        out.extend_from_slice(&form.reference.to_le_bytes());
        let packed = &mut packed[..vector.len()];
        if form.kind == DIFFERENCES {
            out.extend_from_slice(&vector[0].to_le_bytes());
            packed[0] = 0;
            for (packed, pair) in packed[1..].iter_mut().zip(vector.windows(2)) {
                let difference = pair[1].wrapping_sub(pair[0]);
                *packed = difference.wrapping_sub(form.reference);
            }
        } else {
            for (packed, number) in packed.iter_mut().zip(vector) {
                *packed = number - form.reference;
            }
        }
        pack(packed, form.width, out);
    }
}

/// A type of the slots that numbers are widened into.
pub trait Slot: Copy {
    /// The low bits.
    fn cut(value: i128) -> Self;
    fn plus(self, number: u64) -> Self;
}

macro_rules! slot {
    ($($ty:ty)*) => {$(
        impl Slot for $ty {
            fn cut(value: i128) -> $ty {
                value as $ty
            }

            fn plus(self, number: u64) -> $ty {
                self.wrapping_add(number as $ty)
            }
        }
    )*};
}

slot!(u8 i16 i32 u32 i64 u64 i128);

/// Encoded numbers, taken apart.
pub struct Integers<'a> {
    vectors: Vec<Vector<'a>>,
    count: usize,
}

struct Vector<'a> {
    kind: u8,
    reference: u64,
    start: u64,
    packed: Packed<'a>,
}

impl<'a> Integers<'a> {
    pub fn parse(input: &mut Input<'a>, count: usize) -> Result<Integers<'a>> {
        let mut vectors = Vec::new();
        let mut left = count;
        while left > 0 {
            let numbers = left.min(VECTOR);
            let kind = input.u8()?;
            let bits = u32::from(input.u8()?);
            let reference = input.u64()?;
            let start = match kind {
                FRAME => 0,
                DIFFERENCES => input.u64()?,
                other => return Err(malformed("a kind of vector", other)),
            };
            if bits > u64::BITS {
                return Err(malformed("at most 64 bits", bits));
            }
            let bytes = input.take(packed_bytes(numbers, bits))?;
            let packed = Packed::new(bytes, bits, numbers);
            vectors.push(Vector {
                kind,
                reference,
                start,
                packed: packed.ok_or_else(|| malformed("a vector", bits))?,
            });
            left -= numbers;
        }
        Ok(Integers { vectors, count })
    }

    /// All of them, each with `base` added.
    pub fn decode<T: Slot>(&self, base: i128) -> Vec<T> {
        let mut scratch = Scratch::new();
        let mut out = Vec::with_capacity(self.count);
        for vector in &self.vectors {
            vector.widen(base, &mut scratch, &mut out, None);
        }
        out
    }

    /// Those that `wanted` has a bit for. Vectors without one are not unpacked.
    pub fn pick<T: Slot>(&self, base: i128, wanted: &BooleanBuffer) -> Vec<T> {
        let mut scratch = Scratch::new();
        let mut out = Vec::with_capacity(wanted.count_set_bits());
        for (number, vector) in self.vectors.iter().enumerate() {
            let wanted = wanted.slice(number * VECTOR, vector.packed.count());
            match wanted.count_set_bits() {
                0 => {}
                all if all == wanted.len() => vector.widen(base, &mut scratch, &mut out, None),
                _ => vector.widen(base, &mut scratch, &mut out, Some(&wanted)),
            }
        }
        out
    }

    /// Which of them lie in `low..=high`.
    pub fn within(&self, low: u64, high: u64) -> BooleanBuffer {
        let mut scratch = Scratch::new();
        let mut out = BooleanBufferBuilder::new(self.count);
        for vector in &self.vectors {
            vector.within(low, high, &mut scratch, &mut out);
        }
        out.finish()
    }

    /// Which of them `matches` has true for; a number that is beyond it does not match.
    pub fn matching(&self, matches: &[bool]) -> BooleanBuffer {
        let mut out = BooleanBufferBuilder::new(self.count);
        let mut numbers = Vec::with_capacity(VECTOR);
        let mut scratch = Scratch::new();
        for vector in &self.vectors {
            numbers.clear();
            vector.widen::<u64>(0, &mut scratch, &mut numbers, None);
            let matches = |number: u64| matches.get(number as usize).copied().unwrap_or(false);
            out.append_buffer(&BooleanBuffer::collect_bool(numbers.len(), |i| {
                matches(numbers[i])
            }));
        }
        out.finish()
    }
}

impl Vector<'_> {
    /// Append the numbers, or those that `wanted` has a bit for, to `out`.
    fn widen<T: Slot>(
        &self,
        base: i128,
        scratch: &mut Scratch,
        out: &mut Vec<T>,
        wanted: Option<&BooleanBuffer>,
    ) {
        if self.kind == DIFFERENCES {
            let base = T::cut(base);
            let mut number = self.start;
            let mut next = |i: usize, packed: u64| {
                if i > 0 {
                    number = number.wrapping_add(self.reference).wrapping_add(packed);
                }
                if wanted.is_none_or(|wanted| wanted.value(i)) {
                    out.push(base.plus(number));
                }
            };
            match self.packed.unpack(scratch) {
                Numbers::Narrow(packed) => {
                    packed
                        .iter()
                        .enumerate()
                        .for_each(|(i, n)| next(i, u64::from(*n)));
                }
                Numbers::Wide(packed) => packed.iter().enumerate().for_each(|(i, n)| next(i, *n)),
            }
            return;
        }
        let base = T::cut(base.wrapping_add(i128::from(self.reference)));
        match (self.packed.unpack(scratch), wanted) {
            (Numbers::Narrow(packed), None) => {
                out.extend(packed.iter().map(|n| base.plus(u64::from(*n))));
            }
            (Numbers::Wide(packed), None) => out.extend(packed.iter().map(|n| base.plus(*n))),
            (Numbers::Narrow(packed), Some(wanted)) => {
                let picked = wanted
                    .set_indices()
                    .map(|i| base.plus(u64::from(packed[i])));
                out.extend(picked);
            }
            (Numbers::Wide(packed), Some(wanted)) => {
                out.extend(wanted.set_indices().map(|i| base.plus(packed[i])));
            }
        }
    }

    /// Append whether each number lies in `low..=high`.
    fn within(&self, low: u64, high: u64, scratch: &mut Scratch, out: &mut BooleanBufferBuilder) {
        let count = self.packed.count();
        if low > high {
            return out.append_n(count, false);
        }
        let span = high - low;
        if self.kind == DIFFERENCES {
            let mut numbers = Vec::with_capacity(count);
            self.widen::<u64>(0, scratch, &mut numbers, None);
            let inside = |i: usize| numbers[i].wrapping_sub(low) <= span;
            return out.append_buffer(&BooleanBuffer::collect_bool(count, inside));
        }
        let most = u64::MAX
            .checked_shr(u64::BITS - self.packed.width())
            .unwrap_or(0);
        if let Some(most) = self.reference.checked_add(most) {
            if most < low || self.reference > high {
                return out.append_n(count, false);
            }
            if self.reference >= low && most <= high {
                return out.append_n(count, true);
            }
        }
        // Compared in the frame: low ≤ reference + n ≤ high.
        let low = low.wrapping_sub(self.reference);
        let inside = match self.packed.unpack(scratch) {
            Numbers::Narrow(packed) => BooleanBuffer::collect_bool(count, |i| {
                u64::from(packed[i]).wrapping_sub(low) <= span
            }),
            Numbers::Wide(packed) => {
                BooleanBuffer::collect_bool(count, |i| packed[i].wrapping_sub(low) <= span)
            }
        };
        out.append_buffer(&inside);
    }
}
