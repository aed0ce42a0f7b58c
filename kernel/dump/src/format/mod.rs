//! The dump file, versions 2 and 3: the one home of its bytes. Version 3 is version 2 with branches, and is written
//! when there are some; they differ in the number, and in what sections and manifest may have.
//!
//! ```text
//! ┌────────────────────┐ 0
//! │ header, 32 bytes   │
//! ├────────────────────┤ 32
//! │ frame              │
//! │ frame              │  back to back; the frames of a section stand together, in order
//! │ …                  │
//! ├────────────────────┤ manifest_offset
//! │ manifest, a frame  │
//! ├────────────────────┤ file_bytes - 40
//! │ trailer, 40 bytes  │
//! └────────────────────┘ file_bytes
//!
//! frame     header, 40 bytes │ payload, plain or zstd
//! ```
//!
//! It is written front to back into anything that takes bytes, and read from the front to the end once
//! before anything in it is believed; after that frames are read when asked for.
//!
//! Invariants:
//!
//! 1. Every byte is under a CRC32C, or compared with the only value it may have. The checksum of a
//!    frame's header is checked before its lengths are used, and the checksum of its payload before it
//!    is decompressed.
//! 2. A frame names its position in the file, its section and its number in the section, so that none
//!    can be moved, lost, repeated or taken from another place.
//! 3. The sections of the manifest cover header to manifest without a gap; each has a digest, so that
//!    a frame of another dump is not taken for one of this.
//! 4. Nothing follows the trailer, which says how long the file is.
//!
//! Integers are little-endian. The header keeps its place and its first 12 bytes in every version, so
//! that a build can tell which version it cannot read.

pub mod entry;

pub mod frame;
pub mod header;
pub(crate) mod section;
pub mod trailer;

pub(crate) use frame::{FRAME_HEADER_BYTES, FrameCodec, FrameHeader, FrameKind};
pub(crate) use header::HEADER_BYTES;
pub(crate) use trailer::{TRAILER_BYTES, Trailer};

/// The version of dumps without branches. Version 1 was never written by a release.
pub const FORMAT_VERSION: u32 = 2;
/// The version of dumps with branches: who does not know them must not take the rest for all there is.
pub const FORMAT_WITH_BRANCHES: u32 = 3;
/// What a dump begins with.
pub const HEADER_MAGIC: [u8; 8] = *b"HELIODMP";
/// What a dump ends with.
pub const TRAILER_MAGIC: [u8; 8] = *b"PMDHELIO";

/// The raw payload at which a frame is closed. A row that is longer makes a longer frame.
pub const FRAME_RAW_BYTES: usize = 2 << 20;
/// The longest raw payload: one row of the longest, and what Arrow needs around it.
pub const FRAME_RAW_BYTES_MAX: usize = (1 << 30) + (64 << 20);

const _: () = assert!(FRAME_RAW_BYTES_MAX <= u32::MAX as usize);
const _: () =
    assert!(FRAME_RAW_BYTES_MAX > heliosdb_storage::datum::VALUE_BYTES_MAX + FRAME_RAW_BYTES);

/// Bytes of header and trailer before their checksum.
const CHECKED_BYTES: usize = 28;

/// Something in the file is not what it must be. The reader adds the file's name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub what: String,
    pub offset: u64,
    pub expected: String,
    pub found: String,
}

impl Wrong {
    pub fn new(
        what: impl Into<String>,
        offset: u64,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) -> Wrong {
        Wrong {
            what: what.into(),
            offset,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    pub fn checksum(what: impl Into<String>, offset: u64, stored: u32, computed: u32) -> Wrong {
        Wrong::new(
            what,
            offset,
            format!("checksum {stored:08x}"),
            format!("{computed:08x}"),
        )
    }

    pub fn in_file(self, file: &str) -> crate::Error {
        crate::Error::Damaged {
            file: file.to_owned(),
            what: self.what,
            offset: self.offset,
            expected: self.expected,
            found: self.found,
        }
    }
}

/// `N` bytes at `at` of an array that has them.
fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N]
        .try_into()
        .expect("a slice of N bytes is an array of N bytes")
}
