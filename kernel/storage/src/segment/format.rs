//! Header and trailer of a segment, and what its directory says; the drawing of the whole is in
//! [`super`], the directory's bytes are in `directory`.
//!
//! ```text
//! header   magic [8] │ version u32 │ timeline u32 │ zero [12] │ crc32c of the 28 bytes before
//! trailer  directory_offset u64 │ directory_bytes u32 │ directory_crc32c u32 │ file_bytes u64 │
//!          version u32 │ crc32c of the 28 bytes before │ magic [8]
//! ```

mod directory;
mod heap;

use std::sync::Arc;

use super::encoding::Rival;
use crate::codec::BuiltIn;
use crate::datum::fixed;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Ts};
use crate::schema::ColumnDef;

/// Of header, trailer, directory and pages.
pub(super) const VERSION: u32 = 1;
pub(super) const HEADER_MAGIC: [u8; 8] = *b"HELIOSGM";
pub(super) const TRAILER_MAGIC: [u8; 8] = *b"SGMHELIO";
/// What a segment began with before version 1, whose numbers went up to 2.
const DRAFT_MAGIC: [u8; 8] = *b"HELIOSEG";
/// What a draft is called in an error.
const DRAFT: u32 = 0;
pub(super) const HEADER_BYTES: usize = 32;
pub(super) const TRAILER_BYTES: usize = 40;
/// Bytes of header and trailer that their own checksum covers.
const CHECKED_BYTES: usize = 28;
/// A block closes with this many rows: a page of 8-byte values is then 64 KiB.
pub(super) const BLOCK_ROWS_MAX: usize = 8192;
/// Zone map bounds are cut to this many bytes.
pub(super) const ZONE_BYTES_MAX: usize = 16;

const _: () = assert!(HEADER_BYTES == 8 + 4 + 4 + 12 + 4 && HEADER_BYTES == CHECKED_BYTES + 4);
const _: () = assert!(TRAILER_BYTES == 8 + 4 + 4 + 8 + 4 + 4 + 8);
const _: () = assert!(TRAILER_BYTES == CHECKED_BYTES + 4 + TRAILER_MAGIC.len());

pub(super) fn encode_header(timeline: u32) -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[..8].copy_from_slice(&HEADER_MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[12..16].copy_from_slice(&timeline.to_le_bytes());
    let crc = crc32c::crc32c(&out[..CHECKED_BYTES]);
    out[CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The timeline.
pub(super) fn decode_header(file: &str, bytes: &[u8; HEADER_BYTES]) -> Result<u32> {
    if bytes[..8] == DRAFT_MAGIC {
        check_version(file, DRAFT)?;
    }
    if bytes[..8] != HEADER_MAGIC {
        let found = format!("{:02x?}", &bytes[..8]);
        return Err(Error::corruption(file, 0, "the header of a segment", found));
    }
    check_version(file, u32::from_le_bytes(fixed(&bytes[8..12])?))?;
    let crc = u32::from_le_bytes(fixed(&bytes[CHECKED_BYTES..])?);
    check_crc(file, 0, crc, crc32c::crc32c(&bytes[..CHECKED_BYTES]))?;
    Ok(u32::from_le_bytes(fixed(&bytes[12..16])?))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub directory_offset: u64,
    pub directory_bytes: u32,
    pub directory_crc: u32,
    pub file_bytes: u64,
}

impl Trailer {
    pub fn encode(&self) -> [u8; TRAILER_BYTES] {
        let mut out = [0; TRAILER_BYTES];
        out[..8].copy_from_slice(&self.directory_offset.to_le_bytes());
        out[8..12].copy_from_slice(&self.directory_bytes.to_le_bytes());
        out[12..16].copy_from_slice(&self.directory_crc.to_le_bytes());
        out[16..24].copy_from_slice(&self.file_bytes.to_le_bytes());
        out[24..28].copy_from_slice(&VERSION.to_le_bytes());
        let crc = crc32c::crc32c(&out[..CHECKED_BYTES]);
        out[28..32].copy_from_slice(&crc.to_le_bytes());
        out[32..].copy_from_slice(&TRAILER_MAGIC);
        out
    }

    /// Read the trailer of a file that is `file_bytes` long.
    pub fn decode(file: &str, bytes: &[u8; TRAILER_BYTES], file_bytes: u64) -> Result<Trailer> {
        let at = file_bytes - TRAILER_BYTES as u64;
        if bytes[32..] != TRAILER_MAGIC {
            let found = format!("{:02x?}", &bytes[32..]);
            return Err(Error::corruption(
                file,
                at,
                "the trailer of a whole segment",
                found,
            ));
        }
        let crc = u32::from_le_bytes(fixed(&bytes[28..32])?);
        check_crc(file, at, crc, crc32c::crc32c(&bytes[..CHECKED_BYTES]))?;
        check_version(file, u32::from_le_bytes(fixed(&bytes[24..28])?))?;
        let trailer = Trailer {
            directory_offset: u64::from_le_bytes(fixed(&bytes[..8])?),
            directory_bytes: u32::from_le_bytes(fixed(&bytes[8..12])?),
            directory_crc: u32::from_le_bytes(fixed(&bytes[12..16])?),
            file_bytes: u64::from_le_bytes(fixed(&bytes[16..24])?),
        };
        if trailer.file_bytes != file_bytes {
            let expected = format!("a file of {} bytes", trailer.file_bytes);
            return Err(Error::corruption(
                file,
                at,
                expected,
                format!("{file_bytes} bytes"),
            ));
        }
        let end = trailer
            .directory_offset
            .checked_add(u64::from(trailer.directory_bytes));
        if end != Some(at) || trailer.directory_offset < HEADER_BYTES as u64 {
            return Err(Error::corruption(
                file,
                at,
                "a directory between the pages and the trailer",
                format!(
                    "{} bytes at {}",
                    trailer.directory_bytes, trailer.directory_offset
                ),
            ));
        }
        Ok(trailer)
    }
}

fn check_version(file: &str, found: u32) -> Result<()> {
    if found == VERSION {
        return Ok(());
    }
    Err(Error::UnsupportedVersion {
        file: file.to_owned(),
        found,
        supported: VERSION,
    })
}

pub(super) fn check_crc(file: &str, offset: u64, stored: u32, computed: u32) -> Result<()> {
    if stored == computed {
        return Ok(());
    }
    let expected = format!("checksum {stored:08x}");
    Err(Error::corruption(
        file,
        offset,
        expected,
        format!("{computed:08x}"),
    ))
}

/// Where a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PagePlace {
    /// Of the page header.
    pub offset: u64,
    /// Payload after decompression.
    pub raw_bytes: u32,
    /// Payload in the file.
    pub stored_bytes: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Directory {
    pub min_ts: Ts,
    pub max_ts: Ts,
    pub collections: Vec<Collection>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Collection {
    pub id: CollectionId,
    /// Of begin timestamps.
    pub min_ts: Ts,
    pub max_ts: Ts,
    pub run: Run,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Run {
    Rows(Rows),
    Sorted(Sorted),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rows {
    /// As of the flush. `missing` is always `None`, for the rows are whole, and so is `compression`,
    /// for each page has its own.
    pub columns: Vec<ColumnDef>,
    /// One for each column: how many different values it has in HEAD, where that was counted.
    pub sketches: Vec<Option<PagePlace>>,
    pub bitmap: PagePlace,
    pub head: Vec<Block>,
    pub hist: Vec<Block>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Block {
    pub rows: u32,
    pub tombstones: u32,
    pub min_row: u64,
    pub max_row: u64,
    pub min_ts: Ts,
    pub max_ts: Ts,
    pub row_ids: PagePlace,
    pub begins: PagePlace,
    /// HIST only.
    pub ends: Option<PagePlace>,
    pub deleted: Option<PagePlace>,
    /// Per column of [`Rows::columns`]; `None` where dropped.
    pub columns: Vec<Option<ColumnPage>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ColumnPage {
    pub place: PagePlace,
    pub nulls: u32,
    /// `None` when there is no value, or the type has none.
    pub zone: Option<ZoneMap>,
    pub codec: Option<PageCodec>,
    /// What the codec was preferred to, and about how long the page would have been.
    pub rival: Option<(Rival, u32)>,
    /// Large values, which are not in the page.
    pub blobs: Option<Blobs>,
}

impl ColumnPage {
    /// Whether conditions on its values are evaluated on the page as it is stored.
    pub fn is_told_encoded(&self) -> bool {
        let is_decoded = matches!(
            self.codec,
            None | Some(PageCodec::BuiltIn(BuiltIn::Strings))
        );
        !is_decoded && self.blobs.is_none()
    }
}

/// The blob pages of a column of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blobs {
    pub index: PagePlace,
    /// Without the index.
    pub pages: u32,
    /// Payloads of the pages, after decompression and in the file.
    pub raw_bytes: u64,
    pub stored_bytes: u64,
}

/// What a column page is encoded with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PageCodec {
    BuiltIn(BuiltIn),
    /// One from outside.
    Named(Arc<str>),
}

/// Bounds of the values in a page, as [`crate::key`] orders them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ZoneMap {
    /// Not above any value.
    pub min: Vec<u8>,
    /// Not below any value, or, when `max_cut`, what the highest value starts with.
    pub max: Vec<u8>,
    pub max_cut: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sorted {
    pub bloom: PagePlace,
    /// In HEAD.
    pub entries: u64,
    pub head: Vec<SortedPage>,
    pub hist: Vec<SortedPage>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct SortedPage {
    pub place: PagePlace,
    pub entries: u32,
    /// Of begin timestamps.
    pub min_ts: Ts,
    pub max_ts: Ts,
    pub first_key: Vec<u8>,
}
