//! Digests of content: the same for the same values, in whatever order and file they are.
//!
//! ```text
//! value hash   u64   XXH3-64 of the value bytes (docs/file-format.md, Values), seed 0
//!                    of an array: XXH3-64, seed 1, of its elements' value hashes, little-endian
//!                    of NULL: 0
//! row hash     u128  XXH3-128 of the value hashes of the columns in order, little-endian
//! digest       u128  the sum of the row hashes modulo 2^128; of no rows it is 0
//! ```
//!
//! Three digests of a table come out of one pass ([`TableDigest`]): of its **values** (the current
//! rows, columns that are not dropped), of each **column** (the sum of its value hashes), and of its
//! **versions** (begin, end and RowId before the value hashes of all columns, dropped ones last; a
//! current row ends at `u64::MAX`).
//!
//! Values are taken bit for bit: -0.0 is not 0.0, and 1.50 is not 1.5. A row lost, doubled or changed
//! shows, and so do two rows that exchanged a value. It protects against mistakes, not against
//! somebody who may choose the values.

pub use heliosdb_plugin_host::digest::Digest;

mod entries;
mod table;
mod values;

#[cfg(test)]
mod tests;

pub use entries::VersionsDigest;
pub use table::TableDigest;
pub(crate) use table::{RowHasher, ids};

/// XXH3-128 of some bytes.
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest(twox_hash::XxHash3_128::oneshot(bytes))
}
