//! The header of a frame.
//!
//! ```text
//!  0 kind u8            1 rows, 2 entries, 3 text, 4 manifest
//!  1 codec u8           0 plain, 1 zstd (when it is smaller)
//!  2 zero [2]
//!  4 section u32        counted from 0 in the order of the file; of the manifest, how many there are
//!  8 number u32         of the frame in its section, from 0
//! 12 items u32          rows, entries, or 1
//! 16 raw_bytes u32      payload after decompression, never 0
//! 20 stored_bytes u32   payload in the file
//! 24 position u64       of this header in the file
//! 32 payload_crc u32    crc32c of the stored payload
//! 36 header_crc u32     crc32c of bytes 0..36
//! ```
//!
//! The payload of rows is an Arrow IPC stream: a schema, one or more record batches, the end mark.
//! The payload of entries is in [`super::entry`]. Text is UTF-8, and so is the manifest, which is JSON.

use super::{FRAME_RAW_BYTES_MAX, Wrong, part};

pub const FRAME_HEADER_BYTES: usize = 40;
/// Bytes before the header's checksum.
const CHECKED_BYTES: usize = 36;

const _: () = assert!(FRAME_HEADER_BYTES == 1 + 1 + 2 + 5 * 4 + 8 + 4 + 4);
const _: () = assert!(FRAME_HEADER_BYTES == CHECKED_BYTES + 4);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    Rows = 1,
    Entries = 2,
    Text = 3,
    Manifest = 4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameCodec {
    Plain = 0,
    Zstd = 1,
}

/// See the module's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub kind: FrameKind,
    pub codec: FrameCodec,
    pub section: u32,
    pub number: u32,
    pub items: u32,
    pub raw_bytes: u32,
    pub stored_bytes: u32,
    pub position: u64,
    pub payload_crc: u32,
}

impl FrameHeader {
    /// Of the frame in the file.
    pub fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + u64::from(self.stored_bytes)
    }

    pub fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut out = [0; FRAME_HEADER_BYTES];
        out[0] = self.kind as u8;
        out[1] = self.codec as u8;
        out[4..8].copy_from_slice(&self.section.to_le_bytes());
        out[8..12].copy_from_slice(&self.number.to_le_bytes());
        out[12..16].copy_from_slice(&self.items.to_le_bytes());
        out[16..20].copy_from_slice(&self.raw_bytes.to_le_bytes());
        out[20..24].copy_from_slice(&self.stored_bytes.to_le_bytes());
        out[24..32].copy_from_slice(&self.position.to_le_bytes());
        out[32..36].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32c::crc32c(&out[..CHECKED_BYTES]);
        out[CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Read the header at `offset`. What it returns has a right checksum, stands where it was
    /// written, and has lengths within the limits.
    pub fn decode(bytes: &[u8; FRAME_HEADER_BYTES], offset: u64) -> Result<FrameHeader, Wrong> {
        let wrong = |at: u64, expected: &str, found: &dyn std::fmt::Display| {
            Err(Wrong::new(
                "the header of a frame",
                offset + at,
                expected,
                found,
            ))
        };
        let stored = u32::from_le_bytes(part(bytes, CHECKED_BYTES));
        let computed = crc32c::crc32c(&bytes[..CHECKED_BYTES]);
        if stored != computed {
            return Err(Wrong::checksum(
                "the header of a frame",
                offset,
                stored,
                computed,
            ));
        }
        let kind = match bytes[0] {
            1 => FrameKind::Rows,
            2 => FrameKind::Entries,
            3 => FrameKind::Text,
            4 => FrameKind::Manifest,
            other => return wrong(0, "a known kind", &other),
        };
        let codec = match bytes[1] {
            0 => FrameCodec::Plain,
            1 => FrameCodec::Zstd,
            other => return wrong(1, "a known codec", &other),
        };
        if bytes[2..4] != [0, 0] {
            return wrong(2, "zeros", &format!("{:02x?}", &bytes[2..4]));
        }
        let header = FrameHeader {
            kind,
            codec,
            section: u32::from_le_bytes(part(bytes, 4)),
            number: u32::from_le_bytes(part(bytes, 8)),
            items: u32::from_le_bytes(part(bytes, 12)),
            raw_bytes: u32::from_le_bytes(part(bytes, 16)),
            stored_bytes: u32::from_le_bytes(part(bytes, 20)),
            position: u64::from_le_bytes(part(bytes, 24)),
            payload_crc: u32::from_le_bytes(part(bytes, 32)),
        };
        if header.position != offset {
            return wrong(24, &format!("position {offset}"), &header.position);
        }
        // A frame of nothing is not written, and nothing could be read of it.
        if header.raw_bytes == 0 {
            return wrong(16, "a payload", &"none");
        }
        if header.raw_bytes as usize > FRAME_RAW_BYTES_MAX {
            let most = format!("at most {FRAME_RAW_BYTES_MAX} bytes");
            return wrong(16, &most, &header.raw_bytes);
        }
        let fits = match codec {
            FrameCodec::Plain => header.stored_bytes == header.raw_bytes,
            // zstd is used only when it is smaller.
            FrameCodec::Zstd => header.stored_bytes < header.raw_bytes,
        };
        if !fits {
            let expected = format!("a stored form of {} bytes", header.raw_bytes);
            return wrong(20, &expected, &header.stored_bytes);
        }
        Ok(header)
    }
}
