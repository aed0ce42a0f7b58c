//! The header of a dump.
//!
//! ```text
//!  0 magic "HELIODMP"    8 version u32    12 dump id, 16 bytes of a UUID    28 crc32c of bytes 0..28
//! ```

use super::{CHECKED_BYTES, FORMAT_VERSION, FORMAT_WITH_BRANCHES, HEADER_MAGIC, Wrong, part};

pub const HEADER_BYTES: usize = 32;

const _: () = assert!(HEADER_BYTES == 8 + 4 + 16 + 4 && HEADER_BYTES == CHECKED_BYTES + 4);

pub(crate) fn encode(version: u32, id: [u8; 16]) -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[..8].copy_from_slice(&HEADER_MAGIC);
    out[8..12].copy_from_slice(&version.to_le_bytes());
    out[12..28].copy_from_slice(&id);
    let crc = crc32c::crc32c(&out[..CHECKED_BYTES]);
    out[CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// Of a version that this build reads; the dump's id.
    Known(u32, [u8; 16]),
    /// A whole header of another version.
    Version(u32),
    NotADump,
}

pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Header, Wrong> {
    if bytes[..8] != HEADER_MAGIC {
        return Ok(Header::NotADump);
    }
    let stored = u32::from_le_bytes(part(bytes, CHECKED_BYTES));
    let computed = crc32c::crc32c(&bytes[..CHECKED_BYTES]);
    if stored != computed {
        return Err(Wrong::checksum("the header", 0, stored, computed));
    }
    match u32::from_le_bytes(part(bytes, 8)) {
        version @ (FORMAT_VERSION | FORMAT_WITH_BRANCHES) => {
            Ok(Header::Known(version, part(bytes, 12)))
        }
        other => Ok(Header::Version(other)),
    }
}
