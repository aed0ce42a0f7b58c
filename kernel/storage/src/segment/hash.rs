//! A quick hash of numbers that this process or its files count up: ids, offsets. Nobody from outside
//! chooses them, so nothing has to guard against chosen collisions.

use std::hash::{BuildHasherDefault, Hasher};

/// For maps by such numbers.
pub(super) type NumberHash = BuildHasherDefault<NumberHasher>;

/// Fibonacci hashing (Knuth, TAOCP 3, 6.4), once for each number.
#[derive(Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(32) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        // Tables take low bits, and a product is mixed best in its high ones.
        self.0 ^ (self.0 >> 32)
    }
}
