//! The trailer of a dump.
//!
//! ```text
//!  0 manifest_offset u64    8 manifest_bytes u32    12 sections u32    16 file_bytes u64
//! 24 version u32           28 crc32c of bytes 0..28                    32 magic "PMDHELIO"
//! ```
//!
//! `manifest_bytes` is the frame with its header.

use super::{CHECKED_BYTES, TRAILER_MAGIC, Wrong, part};

pub const TRAILER_BYTES: usize = 40;

const _: () = assert!(TRAILER_BYTES == 8 + 4 + 4 + 8 + 4 + 4 + 8);
const _: () = assert!(TRAILER_BYTES == CHECKED_BYTES + 4 + TRAILER_MAGIC.len());

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub manifest_offset: u64,
    pub manifest_bytes: u32,
    pub sections: u32,
    pub file_bytes: u64,
    /// As in the header.
    pub version: u32,
}

impl Trailer {
    pub fn encode(&self) -> [u8; TRAILER_BYTES] {
        let mut out = [0; TRAILER_BYTES];
        out[..8].copy_from_slice(&self.manifest_offset.to_le_bytes());
        out[8..12].copy_from_slice(&self.manifest_bytes.to_le_bytes());
        out[12..16].copy_from_slice(&self.sections.to_le_bytes());
        out[16..24].copy_from_slice(&self.file_bytes.to_le_bytes());
        out[24..28].copy_from_slice(&self.version.to_le_bytes());
        let crc = crc32c::crc32c(&out[..CHECKED_BYTES]);
        out[28..32].copy_from_slice(&crc.to_le_bytes());
        out[32..].copy_from_slice(&TRAILER_MAGIC);
        out
    }

    /// Read the trailer at `offset`.
    pub fn decode(bytes: &[u8; TRAILER_BYTES], offset: u64) -> Result<Trailer, Wrong> {
        let stored = u32::from_le_bytes(part(bytes, CHECKED_BYTES));
        let computed = crc32c::crc32c(&bytes[..CHECKED_BYTES]);
        if stored != computed {
            return Err(Wrong::checksum("the trailer", offset, stored, computed));
        }
        if bytes[32..] != TRAILER_MAGIC {
            return Err(Wrong::new(
                "the trailer",
                offset + 32,
                format!("\"{}\"", TRAILER_MAGIC.escape_ascii()),
                format!("\"{}\"", bytes[32..].escape_ascii()),
            ));
        }
        Ok(Trailer {
            manifest_offset: u64::from_le_bytes(part(bytes, 0)),
            manifest_bytes: u32::from_le_bytes(part(bytes, 8)),
            sections: u32::from_le_bytes(part(bytes, 12)),
            file_bytes: u64::from_le_bytes(part(bytes, 16)),
            version: u32::from_le_bytes(part(bytes, 24)),
        })
    }
}
