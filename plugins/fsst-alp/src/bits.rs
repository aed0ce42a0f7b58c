//! Numbers in as few bits as they need, in vectors of up to 1,024.
//!
//! A full vector has the FastLanes layout (Afroozeh and Boncz, VLDB 2023), which packs and unpacks
//! many numbers at once. A shorter one, of which a column has at most one at its end, has its numbers
//! one after the other from the lowest bit on: the FastLanes layout always takes the room of 1,024.

use fastlanes::BitPacking;

/// Numbers of a full vector.
pub const VECTOR: usize = 1024;
/// 64-bit words of a full vector for each bit of width.
const WORDS: usize = VECTOR / 64;

/// Bits that `value` needs.
pub fn width(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

/// Bytes that `count` numbers of `width` bits take.
pub fn packed_bytes(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Lets `$body` see the width as a constant `W`.
macro_rules! with_width {
    ($width:expr, $W:ident => $body:expr) => {
        with_width!(@ $width, $W => $body,
             1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16
            17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
            33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48
            49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64)
    };
    (@ $width:expr, $W:ident => $body:expr, $($w:literal)*) => {
        match $width {
            $($w => {
                const $W: usize = $w;
                $body
            })*
            _ => {}
        }
    };
}

/// Appends at most [`VECTOR`] numbers, none of which needs more than `width` bits.
pub fn pack(values: &[u64], width: u32, out: &mut Vec<u8>) {
    debug_assert!(values.iter().all(|v| self::width(*v) <= width));
    let Ok(full) = <&[u64; VECTOR]>::try_from(values) else {
        return pack_short(values, width, out);
    };
    let mut words = [0u64; VECTOR];
    with_width!(width, W => if let Some(words) = words.first_chunk_mut::<{ WORDS * W }>() {
        u64::pack::<W, { WORDS * W }>(full, words);
    });
    let used = words.iter().take(WORDS * width as usize);
    out.extend(used.flat_map(|word| word.to_le_bytes()));
}

fn pack_short(values: &[u64], width: u32, out: &mut Vec<u8>) {
    let (mut pending, mut bits) = (0u128, 0);
    for value in values {
        pending |= u128::from(*value) << bits;
        bits += width;
        while bits >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(pending as u8);
    }
}

/// Numbers that [`pack`] packed. What other bytes hold are numbers, too.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    bytes: &'a [u8],
    width: u32,
    count: usize,
}

impl<'a> Packed<'a> {
    /// `None` when the bytes are not as many as `count` numbers take.
    pub fn new(bytes: &'a [u8], width: u32, count: usize) -> Option<Packed<'a>> {
        let fits = count <= VECTOR && width <= 64 && bytes.len() == packed_bytes(count, width);
        fits.then_some(Packed {
            bytes,
            width,
            count,
        })
    }

    pub fn width(&self) -> u32 {
        self.width
    }

    /// All of them, in the front of `out`.
    pub fn unpack<'b>(&self, out: &'b mut [u64; VECTOR]) -> &'b [u64] {
        if self.width == 0 {
            out.fill(0);
        } else if self.count == VECTOR {
            let words = self.words();
            with_width!(self.width, W => if let Some(words) = words.first_chunk() {
                u64::unpack::<W, { WORDS * W }>(words, out);
            });
        } else {
            for (index, value) in out.iter_mut().enumerate().take(self.count) {
                *value = self.short(index);
            }
        }
        &out[..self.count]
    }

    fn words(&self) -> [u64; VECTOR] {
        let mut words = [0; VECTOR];
        let (chunks, _) = self.bytes.as_chunks::<8>();
        for (word, chunk) in words.iter_mut().zip(chunks) {
            *word = u64::from_le_bytes(*chunk);
        }
        words
    }

    fn short(&self, index: usize) -> u64 {
        let bit = index * self.width as usize;
        let mut window = [0; 16];
        let bytes = self.bytes.get(bit / 8..).unwrap_or_default();
        let bytes = &bytes[..bytes.len().min(window.len())];
        window[..bytes.len()].copy_from_slice(bytes);
        let value = u128::from_le_bytes(window) >> (bit % 8);
        (value & ((1 << self.width) - 1)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_comes_back() {
        for width in 0..=64u32 {
            for count in [0, 1, 7, 1000, 1023, VECTOR] {
                let mask = u64::MAX.checked_shr(64 - width).unwrap_or(0);
                let value = |i: usize| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask;
                let values: Vec<u64> = (0..count).map(value).collect();
                let mut bytes = Vec::new();
                pack(&values, width, &mut bytes);
                assert_eq!(bytes.len(), packed_bytes(count, width));
                let packed = Packed::new(&bytes, width, count).unwrap();
                let mut out = [0; VECTOR];
                assert_eq!(packed.unpack(&mut out), values, "{count} of {width} bits");
            }
        }
        assert_eq!(
            [width(0), width(1), width(255), width(u64::MAX)],
            [0, 1, 8, 64]
        );
    }

    #[test]
    fn other_lengths_are_refused() {
        assert!(Packed::new(&[0; 2], 8, 3).is_none());
        assert!(Packed::new(&[0; 4], 8, 3).is_none());
        assert!(Packed::new(&[0; 1025], 8, 1025).is_none());
    }
}
