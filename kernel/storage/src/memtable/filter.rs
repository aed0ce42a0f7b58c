//! Which keys a memtable may have: most lookups are for keys that it has not, and a walk down an ordered
//! map waits for memory at every level.
//!
//! A Bloom filter whose bits of one key lie in one word (Putze, Sanders, Singler, "Cache-, Hash- and
//! Space-Efficient Bloom Filters", 2007), of a fixed size that is small beside a full memtable: of a
//! quarter of a million keys it takes one in ten for another one's. A memtable of few keys has none, for
//! there may be one on every branch.
//!
//! It is made of the keys that are there while others come in. Either who makes it meets a key in the
//! map, or who puts the key there meets the filter after that: each does its own part, then passes a
//! fence, then looks for the other's.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// So many keys are worth a filter.
pub(super) const KEYS_MIN: usize = 1 << 14;
const WORDS: usize = 1 << 15;
pub(super) const BYTES: usize = WORDS * size_of::<u64>();
/// Bits of a hash that choose one of a word.
const BIT_BITS: u32 = u64::BITS.ilog2();

/// See the module's header.
#[derive(Default)]
pub(super) struct KeyFilter {
    words: OnceLock<Box<[AtomicU64]>>,
    /// All keys that were there when it was made are in it.
    is_whole: AtomicBool,
}

impl KeyFilter {
    /// A key is in the map now.
    pub fn note(&self, key: &[u8]) {
        fence(Ordering::SeqCst);
        if let Some(words) = self.words.get() {
            add(words, key);
        }
    }

    /// Whether there is one, or will be soon.
    pub fn is_begun(&self) -> bool {
        self.words.get().is_some()
    }

    /// Make it, unless somebody else does. `visit` calls what it is given with every key of the map.
    /// Whether it was made here.
    pub fn make(&self, visit: impl FnOnce(&mut dyn FnMut(&[u8]))) -> bool {
        let mut is_ours = false;
        let words = self.words.get_or_init(|| {
            is_ours = true;
            let words = std::iter::repeat_with(AtomicU64::default);
            words.take(WORDS).collect()
        });
        if is_ours {
            fence(Ordering::SeqCst);
            visit(&mut |key| add(words, key));
            self.is_whole.store(true, Ordering::Release);
        }
        is_ours
    }

    /// False only for a key that no one who has committed put into the map.
    pub fn may_have(&self, key: &[u8]) -> bool {
        if !self.is_whole.load(Ordering::Acquire) {
            return true;
        }
        let (word, bits) = place(key);
        let words = self.words.get();
        words.is_none_or(|words| words[word].load(Ordering::Acquire) & bits == bits)
    }
}

fn add(words: &[AtomicU64], key: &[u8]) {
    let (word, bits) = place(key);
    // Hot keys come again and again, and their word is not to move between processors for that.
    if words[word].load(Ordering::Relaxed) & bits != bits {
        words[word].fetch_or(bits, Ordering::Release);
    }
}

/// The number of a key's word, and its bits in it.
fn place(key: &[u8]) -> (usize, u64) {
    let hash = BuildHasherDefault::<KeyHasher>::default().hash_one(key);
    let bit = |shift: u32| 1_u64 << (hash >> shift & u64::from(u64::BITS - 1));
    let word = (hash >> (2 * BIT_BITS)) as usize % WORDS;
    (word, bit(0) | bit(BIT_BITS))
}

/// Eight bytes at a time through MurmurHash3's 64-bit finalizer.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let mut hash = self.0.rotate_left(5) ^ word;
        hash = (hash ^ hash >> 33).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        hash = (hash ^ hash >> 33).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        self.0 = hash ^ hash >> 33;
    }

    fn write_usize(&mut self, length: usize) {
        self.write_u64(length as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> Vec<u8> {
        [&7_u32.to_be_bytes()[..], &n.to_be_bytes()].concat()
    }

    #[test]
    fn every_key_that_is_there_may_be_there_and_few_others() {
        let filter = KeyFilter::default();
        assert!(filter.may_have(&key(1)), "nothing is known of a small one");
        filter.note(&key(1));
        assert!(filter.make(|visit| (0..60_000).for_each(|n| visit(&key(n)))));
        assert!(!filter.make(|_| unreachable!("it is there")));
        (60_000..100_000).for_each(|n| filter.note(&key(n)));
        assert!((0..100_000).all(|n| filter.may_have(&key(n))));
        let others = (100_000..200_000).filter(|n| filter.may_have(&key(*n)));
        assert!(others.count() < 10_000);
    }
}
