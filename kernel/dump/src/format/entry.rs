//! The payload of a frame of entries: versions of sorted collections.
//!
//! ```text
//! entry     collection u32 │ key length u32 │ value length + 1 u32, 0 = removed │ begin u64 │
//!           key │ value
//! ```
//!
//! Entries stand in order of collection, then of key, the newest version of a key first. A frame ends
//! between two entries.

use heliosdb_storage::ids::{CollectionId, Ts};

use super::part;

/// Of an entry before its key.
pub const ENTRY_HEADER_BYTES: usize = 20;

const _: () = assert!(ENTRY_HEADER_BYTES == 3 * 4 + 8);

/// One version of one key; without a value it was removed at `begin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub collection: CollectionId,
    pub begin: Ts,
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

impl<'a> Entry<'a> {
    /// Append the entry. `None`, and nothing appended, when key or value is too long for the format.
    pub fn encode(&self, out: &mut Vec<u8>) -> Option<()> {
        let key_bytes = u32::try_from(self.key.len()).ok()?;
        let value_bytes = match self.value {
            None => 0,
            Some(value) => u32::try_from(value.len()).ok()?.checked_add(1)?,
        };
        out.extend_from_slice(&self.collection.0.to_le_bytes());
        out.extend_from_slice(&key_bytes.to_le_bytes());
        out.extend_from_slice(&value_bytes.to_le_bytes());
        out.extend_from_slice(&self.begin.0.to_le_bytes());
        out.extend_from_slice(self.key);
        out.extend_from_slice(self.value.unwrap_or_default());
        Some(())
    }

    /// Read the entry that `bytes` begin with, and what follows it. `Err` says what was expected.
    pub fn decode(bytes: &'a [u8]) -> Result<(Entry<'a>, &'a [u8]), &'static str> {
        let Some((header, rest)) = bytes.split_at_checked(ENTRY_HEADER_BYTES) else {
            return Err("the header of an entry");
        };
        let key_bytes = u32::from_le_bytes(part(header, 4)) as usize;
        let value_bytes = u32::from_le_bytes(part(header, 8));
        let Some((key, rest)) = rest.split_at_checked(key_bytes) else {
            return Err("an entry's whole key");
        };
        let (value, rest) = match value_bytes.checked_sub(1) {
            None => (None, rest),
            Some(len) => match rest.split_at_checked(len as usize) {
                Some((value, rest)) => (Some(value), rest),
                None => return Err("an entry's whole value"),
            },
        };
        let entry = Entry {
            collection: CollectionId(u32::from_le_bytes(part(header, 0))),
            begin: Ts(u64::from_le_bytes(part(header, 12))),
            key,
            value,
        };
        Ok((entry, rest))
    }
}
