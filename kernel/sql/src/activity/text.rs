//! The text of the running statement, which its session writes and others read while it does.
//!
//! A lock of versions: the number is odd while the text is being written, and whoever finds another number after
//! reading than before reads again. Writing is plain stores, one for eight bytes, and waits for nobody.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Longer texts are cut, as PostgreSQL's are with its `track_activity_query_size`.
const BYTES_MAX: usize = 1023;
const WORDS: usize = BYTES_MAX.div_ceil(8);

/// See the module's header. One thread writes.
pub(super) struct QueryText {
    version: AtomicU32,
    bytes: AtomicU32,
    words: Box<[AtomicU64]>,
}

impl Default for QueryText {
    fn default() -> QueryText {
        QueryText {
            version: AtomicU32::new(0),
            bytes: AtomicU32::new(0),
            words: (0..WORDS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

/// At most so many bytes of it that are whole characters.
fn cut(text: &str) -> &[u8] {
    let mut end = text.len().min(BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text.as_bytes()[..end]
}

impl QueryText {
    pub fn set(&self, text: &str) {
        let text = cut(text);
        let version = self.version.load(Ordering::Relaxed);
        self.version
            .store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        self.bytes.store(text.len() as u32, Ordering::Relaxed);
        let mut words = self.words.iter();
        let (whole, rest) = text.as_chunks::<8>();
        // The texts first: a word that is asked for is used.
        for (bytes, word) in whole.iter().zip(words.by_ref()) {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
        if let Some(word) = words.next() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            word.store(u64::from_le_bytes(last), Ordering::Relaxed);
        }
        self.version
            .store(version.wrapping_add(2), Ordering::Release);
    }

    pub fn get(&self) -> String {
        loop {
            let before = self.version.load(Ordering::Acquire);
            let count = (self.bytes.load(Ordering::Relaxed) as usize).min(BYTES_MAX);
            let mut bytes = Vec::with_capacity(count + 8);
            for word in &self.words[..count.div_ceil(8)] {
                bytes.extend(word.load(Ordering::Relaxed).to_le_bytes());
            }
            bytes.truncate(count);
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == before {
                return String::from_utf8_lossy(&bytes).into_owned();
            }
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn a_text_is_cut_at_a_character() {
        let text = QueryText::default();
        assert_eq!(text.get(), "");
        for wanted in ["x", "SELECT 1", "SELECT 'ä', 1", ""] {
            text.set(wanted);
            assert_eq!(text.get(), wanted);
        }
        text.set(&"ä".repeat(600));
        assert_eq!(text.get(), "ä".repeat(511));
        text.set(&"x".repeat(1023));
        assert_eq!(text.get(), "x".repeat(1023));
    }

    /// Whoever reads sees one of the texts that were written, and no mixture.
    #[test]
    fn a_text_is_read_whole() {
        let text = Arc::new(QueryText::default());
        let stop = Arc::new(AtomicBool::new(false));
        let writer = std::thread::spawn({
            let (text, stop) = (Arc::clone(&text), Arc::clone(&stop));
            move || {
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    let letter = char::from(b'a' + (n % 26) as u8);
                    text.set(&letter.to_string().repeat(n % 1000));
                    n += 7;
                }
            }
        });
        for _ in 0..20_000 {
            let read = text.get();
            let first = read.chars().next();
            assert!(read.chars().all(|c| Some(c) == first), "{read}");
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    }
}
