//! Where an index lies in its plugin's store.
//!
//! ```text
//! key    index u32 BE │ 0                    the header, the host's own
//!        index u32 BE │ 1 │ key              the plugin's entries, pieces of blobs among them
//! header version u8 = 1 │ from u64 LE │ until u64 LE
//! ```
//!
//! In calls of `index/1` the plugin sees the keys of its entries alone. Elsewhere, in commands, migrations
//! and dumps, the store is as it is drawn here.

use std::ops::Bound;

use heliosdb_storage::ids::Ts;
use heliosdb_storage::{Error, Result};

const HEADER: u8 = 0;
const ENTRIES: u8 = 1;
const PREFIX_BYTES: usize = 5;
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 17;

const _: () = assert!(PREFIX_BYTES == 4 + 1);
const _: () = assert!(HEADER_BYTES == 1 + 8 + 8);

/// Which versions an index names: those that began at or before `until` and did not end at or before `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub from: Ts,
    pub until: Ts,
}

impl Header {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.from.0.to_le_bytes());
        out.extend_from_slice(&self.until.0.to_le_bytes());
        out
    }

    /// Read the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Header> {
        let damaged = || {
            let found = format!("{} bytes", bytes.len());
            Error::corruption("the header of an index", 0, "a known version", found)
        };
        match bytes {
            [VERSION, numbers @ ..] if bytes.len() == HEADER_BYTES => {
                let (from, until) = numbers.split_at(8);
                let number = |part: &[u8]| part.try_into().map(u64::from_le_bytes);
                let (from, until) = (number(from), number(until));
                Ok(Header {
                    from: Ts(from.map_err(|_| damaged())?),
                    until: Ts(until.map_err(|_| damaged())?),
                })
            }
            _ => Err(damaged()),
        }
    }
}

/// The keys of one index.
#[derive(Clone, Copy, Debug)]
pub struct Keyspace {
    index: u32,
}

impl Keyspace {
    pub fn new(index: u32) -> Keyspace {
        Keyspace { index }
    }

    fn prefix(self, kind: u8) -> Vec<u8> {
        let mut key = self.index.to_be_bytes().to_vec();
        key.push(kind);
        key
    }

    /// The key of the header.
    pub fn header(self) -> Vec<u8> {
        self.prefix(HEADER)
    }

    /// The stored form of a key of the plugin's.
    pub fn key(self, key: &[u8]) -> Vec<u8> {
        let mut stored = self.prefix(ENTRIES);
        stored.extend_from_slice(key);
        stored
    }

    /// The stored forms of a range of keys of the plugin's.
    pub fn range(self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        let from = match from {
            Bound::Included(key) => Bound::Included(self.key(key)),
            Bound::Excluded(key) => Bound::Excluded(self.key(key)),
            Bound::Unbounded => Bound::Included(self.prefix(ENTRIES)),
        };
        let to = match to {
            Bound::Included(key) => Bound::Included(self.key(key)),
            Bound::Excluded(key) => Bound::Excluded(self.key(key)),
            Bound::Unbounded => Bound::Excluded(self.prefix(ENTRIES + 1)),
        };
        (from, to)
    }

    /// The first key, and what is behind the last, header included.
    pub fn all(self) -> (Vec<u8>, Vec<u8>) {
        (self.prefix(HEADER), self.prefix(ENTRIES + 1))
    }

    /// The plugin's key in a stored one of [`Keyspace::range`].
    pub fn strip(self, mut stored: Vec<u8>) -> Vec<u8> {
        stored.split_off(PREFIX_BYTES.min(stored.len()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_header_reads_back_and_damage_is_found() {
        let header = Header {
            from: Ts(3),
            until: Ts(u64::MAX),
        };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes).unwrap(), header);
        for len in 0..bytes.len() {
            assert!(Header::decode(&bytes[..len]).is_err(), "{len}");
        }
        assert!(Header::decode(&[bytes, vec![0]].concat()).is_err());
        assert!(Header::decode(&[2; HEADER_BYTES]).is_err());
    }

    #[test]
    fn a_keyspace_holds_the_keys_of_its_index_alone() {
        let keys = Keyspace::new(7);
        let (from, to) = keys.range(Bound::Unbounded, Bound::Unbounded);
        let (Bound::Included(from), Bound::Excluded(to)) = (from, to) else {
            panic!("both ends are known");
        };
        for key in [&b""[..], b"\0", b"\xff\xff\xff\xff\xff\xff"] {
            let stored = keys.key(key);
            assert!(from <= stored && stored < to);
            assert_eq!(keys.strip(stored), key);
        }
        for other in [
            keys.header(),
            Keyspace::new(6).key(b"\xff"),
            Keyspace::new(8).header(),
        ] {
            assert!(other < from || other >= to);
        }
        let (first, end) = keys.all();
        assert!(first <= keys.header() && keys.key(b"\xff") < end);
        assert!(end <= Keyspace::new(8).header());
    }
}
