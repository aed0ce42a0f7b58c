//! Numbers in as few bits as they need, in vectors of up to 1,024.
//!
//! A full vector has the FastLanes layout (Afroozeh and Boncz, "The FastLanes Compression Layout",
//! VLDB 2023), in lanes of 32 bits for widths up to 32 and of 64 bits above. It unpacks many numbers
//! at once, and always takes the room of 1,024. So a shorter vector, of which a page has at most one
//! at its end, has its numbers one after the other, from the lowest bit on.

use fastlanes::BitPacking;

/// Numbers of a full vector.
pub const VECTOR: usize = 1024;
/// 32-bit words of a full vector for each bit of width.
const WORDS_32: usize = VECTOR / 32;
const WORDS_64: usize = VECTOR / 64;

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
    (32, $width:expr, $W:ident => $body:expr) => {
        with_width!(@ $width, $W => $body,
             1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16
            17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32)
    };
    (64, $width:expr, $W:ident => $body:expr) => {
        with_width!(@ $width, $W => $body,
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

/// Append at most [`VECTOR`] numbers, none of which needs more than `width` bits.
pub fn pack(values: &[u64], width: u32, out: &mut Vec<u8>) {
    debug_assert!(values.iter().all(|value| self::width(*value) <= width));
    let Ok(full) = <&[u64; VECTOR]>::try_from(values) else {
        return pack_short(values, width, out);
    };
    if width <= u32::BITS {
        let narrow = full.map(|value| value as u32);
        let mut words = [0u32; VECTOR];
        with_width!(32, width, W => if let Some(words) = words.first_chunk_mut::<{ WORDS_32 * W }>() {
            u32::pack::<W, { WORDS_32 * W }>(&narrow, words);
        });
        let used = words.iter().take(WORDS_32 * width as usize);
        out.extend(used.flat_map(|word| word.to_le_bytes()));
    } else {
        let mut words = [0u64; VECTOR];
        with_width!(64, width, W => if let Some(words) = words.first_chunk_mut::<{ WORDS_64 * W }>() {
            u64::pack::<W, { WORDS_64 * W }>(full, words);
        });
        let used = words.iter().take(WORDS_64 * width as usize);
        out.extend(used.flat_map(|word| word.to_le_bytes()));
    }
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

/// Room to unpack a vector in.
pub struct Scratch {
    narrow: [u32; VECTOR],
    wide: [u64; VECTOR],
}

impl Scratch {
    pub fn new() -> Scratch {
        Scratch {
            narrow: [0; VECTOR],
            wide: [0; VECTOR],
        }
    }
}

/// Unpacked numbers, in the width of the lanes they came in.
pub enum Numbers<'a> {
    Narrow(&'a [u32]),
    Wide(&'a [u64]),
}

/// Numbers that [`pack`] packed. What other bytes hold are numbers, too.
#[derive(Clone, Copy)]
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

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn unpack<'b>(&self, scratch: &'b mut Scratch) -> Numbers<'b> {
        let Scratch { narrow, wide } = scratch;
        let short = self.count < VECTOR;
        if self.width == 0 {
            narrow.fill(0);
        } else if short && self.width <= u32::BITS {
            for (index, value) in narrow.iter_mut().enumerate().take(self.count) {
                *value = self.short(index) as u32;
            }
        } else if short {
            for (index, value) in wide.iter_mut().enumerate().take(self.count) {
                *value = self.short(index);
            }
        } else if self.width <= u32::BITS {
            let mut words = [0; VECTOR];
            let (chunks, _) = self.bytes.as_chunks::<4>();
            for (word, chunk) in words.iter_mut().zip(chunks) {
                *word = u32::from_le_bytes(*chunk);
            }
            with_width!(32, self.width, W => if let Some(words) = words.first_chunk() {
                u32::unpack::<W, { WORDS_32 * W }>(words, narrow);
            });
        } else {
            let mut words = [0; VECTOR];
            let (chunks, _) = self.bytes.as_chunks::<8>();
            for (word, chunk) in words.iter_mut().zip(chunks) {
                *word = u64::from_le_bytes(*chunk);
            }
            with_width!(64, self.width, W => if let Some(words) = words.first_chunk() {
                u64::unpack::<W, { WORDS_64 * W }>(words, wide);
            });
        }
        match self.width <= u32::BITS {
            true => Numbers::Narrow(&narrow[..self.count]),
            false => Numbers::Wide(&wide[..self.count]),
        }
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
                let mut scratch = Scratch::new();
                let found: Vec<u64> = match packed.unpack(&mut scratch) {
                    Numbers::Narrow(numbers) => numbers.iter().map(|n| u64::from(*n)).collect(),
                    Numbers::Wide(numbers) => numbers.to_vec(),
                };
                assert_eq!(found, values, "{count} of {width} bits");
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
