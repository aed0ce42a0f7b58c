//! Digests that do not depend on the order of entries.
//!
//! An entry's hash is the first 16 bytes of SHA-256 over the length of its key (u64, little-endian),
//! the key and the value; a collection's digest is their sum modulo 2^128. So batches may be counted
//! in any order and added up, and an entry lost, doubled or changed shows. It protects against
//! mistakes, not against somebody who may choose the entries.

use std::fmt;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::Entry;
use crate::digest::Digest;

/// The hash of one entry.
fn hash(entry: &Entry) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(&(entry.key.len() as u64).to_le_bytes());
    context.update(&entry.key);
    context.update(&entry.value);
    let hash = context.finish();
    let first = hash
        .as_ref()
        .first_chunk()
        .expect("SHA-256 gives 32 bytes, of which these are 16");
    Digest(u128::from_be_bytes(*first))
}

/// How many entries, and their digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    pub entries: u64,
    pub digest: Digest,
}

impl Tally {
    pub fn add(&mut self, entry: &Entry) {
        self.entries += 1;
        self.digest += hash(entry);
    }

    pub fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Tally {
        let mut tally = Tally::default();
        entries.into_iter().for_each(|entry| tally.add(entry));
        tally
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.entries == 1 {
            "entry"
        } else {
            "entries"
        };
        write!(f, "{} {noun}, digest {}", self.entries, self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, value: &str) -> Entry {
        Entry {
            key: key.into(),
            value: value.into(),
        }
    }

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let (a, b) = (entry("a", "1"), entry("b", "2"));
        let both = Tally::of([&a, &b]);
        assert_eq!(both, Tally::of([&b, &a]));
        for other in [
            vec![entry("a", "2"), entry("b", "1")],
            vec![entry("a", "1")],
            vec![entry("a", "1"), entry("b", "2"), entry("b", "2")],
            vec![entry("a", "1"), entry("b2", "")],
        ] {
            assert_ne!(both.digest, Tally::of(&other).digest, "{other:?}");
        }
    }

    /// The digest is stored, so it may never change.
    #[test]
    fn the_digest_is_fixed() {
        let tally = Tally::of([&entry("key", "value")]);
        expect_test::expect!["1 entry, digest 5513eb0ce621d74bea037efd3d244296"]
            .assert_eq(&tally.to_string());
    }
}
