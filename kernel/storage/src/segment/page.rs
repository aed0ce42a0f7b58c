//! The frame of a page: what it is, how it is compressed, and its checksum.
//!
//! ```text
//! crc32c u32 │ kind u8 │ codec u8 │ column u16 │ collection u32 │ rows u32 │
//! raw_bytes u32 │ stored_bytes u32 │ position u64 │ stored bytes
//!
//! crc32c   of everything after it, the stored bytes included
//! column   the ColumnId of a column page, a blob index, a blob page or a sketch, else 0
//! rows     rows, entries, a blob page's values, or 0
//! codec    0 plain, 1 zstd, 2 one from outside that the stored bytes name, 3 bitpacking, 4 dictionary,
//!          5 runs, 6 strings, 7 entries
//! position of this header in the file, so that a page written elsewhere is not taken for this one
//! ```

use std::cell::RefCell;

use arrow_buffer::{Buffer, MutableBuffer};

use super::format::{HEADER_BYTES, PagePlace, check_crc};
use crate::codec::BuiltIn;
use crate::datum::{fixed, malformed};
use crate::error::{Error, Result};
use crate::ids::{CollectionId, ColumnId};
use crate::io::File;

pub(super) const PAGE_HEADER_BYTES: usize = 32;
const _: () = assert!(PAGE_HEADER_BYTES == 4 + 1 + 1 + 2 + 4 + 4 + 4 + 4 + 8);

/// Shorter payloads are not worth compressing.
const COMPRESS_BYTES_MIN: usize = 512;
/// A compressed page must save more than this share of its length.
const COMPRESS_SAVES_PERCENT_MIN: usize = 12;
/// zstd's fastest regular level: a flush must not wait for the codec.
const ZSTD_LEVEL: i32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum PageKind {
    RowIds = 1,
    Begins = 2,
    Ends = 3,
    Deleted = 4,
    Column = 5,
    RowBitmap = 6,
    Entries = 7,
    /// Entries with end timestamps.
    EntriesHist = 8,
    Bloom = 9,
    /// Where the values of blob pages are.
    BlobIndex = 10,
    /// Large values.
    Blobs = 11,
    /// How many different values a column has.
    Sketch = 12,
}

pub(super) const CODEC_PLAIN: u8 = 0;
pub(super) const CODEC_ZSTD: u8 = 1;
/// Encoded by a codec that the stored bytes name; see [`super::encoded`].
const CODEC_NAMED: u8 = 2;

/// Which page: everything its header says that the payload's length does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageId {
    pub kind: PageKind,
    pub collection: CollectionId,
    pub column: ColumnId,
    pub rows: u32,
}

/// What a page's framer may do to make it shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    /// Where it saves enough.
    Zstd,
}

/// Entries as [`super::entries`] stores them.
const CODEC_ENTRIES: u8 = 7;

/// The codes of the built-in codecs in headers and in the directory.
pub(super) fn built_in_code(codec: BuiltIn) -> u8 {
    match codec {
        BuiltIn::Bitpacking => 3,
        BuiltIn::Dictionary => 4,
        BuiltIn::Runs => 5,
        BuiltIn::Strings => 6,
    }
}

pub(super) fn built_in_of(code: u8) -> Option<BuiltIn> {
    let mut all = BuiltIn::ALL.into_iter();
    all.find(|codec| built_in_code(*codec) == code)
}

/// Compresses. Keeps its memory between pages.
pub(super) struct Zstd {
    compressor: zstd::bulk::Compressor<'static>,
    compressed: Vec<u8>,
}

impl Zstd {
    pub fn new() -> Result<Zstd> {
        let compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)
            .map_err(|e| Error::io("compress", "a page", e))?;
        Ok(Zstd {
            compressor,
            compressed: Vec::new(),
        })
    }

    /// `raw` compressed, if that is worth storing.
    pub fn compress(&mut self, raw: &[u8]) -> Option<&[u8]> {
        if raw.len() < COMPRESS_BYTES_MIN {
            return None;
        }
        let worth = worth(raw.len());
        // A destination just short of raw stops the compressor early on what does not shrink.
        self.compressed.resize(worth, 0);
        let done = self
            .compressor
            .compress_to_buffer(raw, &mut self.compressed[..]);
        match done {
            Ok(len) if saves_enough(len, raw.len()) => Some(&self.compressed[..len]),
            _ => None,
        }
    }
}

/// Frames pages.
pub(super) struct PageFramer {
    pub zstd: Zstd,
}

impl PageFramer {
    pub fn new() -> Result<PageFramer> {
        Ok(PageFramer { zstd: Zstd::new()? })
    }

    /// Append page `id` with payload `raw` to `out`, whose end is byte `offset` of the file.
    pub fn frame(
        &mut self,
        id: PageId,
        raw: &[u8],
        compression: Compression,
        offset: u64,
        out: &mut Vec<u8>,
    ) -> Result<PagePlace> {
        let raw_bytes =
            u32::try_from(raw.len()).map_err(|_| Error::RowTooLong { bytes: raw.len() })?;
        let compressed = match compression {
            Compression::Zstd => self.zstd.compress(raw),
            Compression::None => None,
        };
        let (codec, stored) = match compressed {
            Some(compressed) => (CODEC_ZSTD, compressed),
            None => (CODEC_PLAIN, raw),
        };
        // Not longer than raw.
        let stored_bytes = stored.len() as u32;
        let place = PagePlace {
            offset,
            raw_bytes,
            stored_bytes,
        };
        write_page(id, codec, place, stored, out);
        Ok(place)
    }
}

/// The length a compressed form of `raw_bytes` must stay below.
fn worth(raw_bytes: usize) -> usize {
    raw_bytes - raw_bytes * COMPRESS_SAVES_PERCENT_MIN / 100
}

/// Whether storing `bytes` instead of `raw_bytes` is worth decompressing them for.
pub(super) fn saves_enough(bytes: usize, raw_bytes: usize) -> bool {
    bytes < worth(raw_bytes)
}

/// What turned a payload into stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EncodedBy {
    Named,
    BuiltIn(BuiltIn),
    Entries,
}

/// Append page `id`, whose payload of `raw_bytes` was turned into `stored`, to `out`, whose end is byte
/// `offset` of the file.
pub(super) fn frame_encoded(
    id: PageId,
    by: EncodedBy,
    raw_bytes: usize,
    stored: &[u8],
    offset: u64,
    out: &mut Vec<u8>,
) -> Result<PagePlace> {
    let length = |bytes| u32::try_from(bytes).map_err(|_| Error::RowTooLong { bytes });
    let place = PagePlace {
        offset,
        raw_bytes: length(raw_bytes)?,
        stored_bytes: length(stored.len())?,
    };
    let codec = match by {
        EncodedBy::Named => CODEC_NAMED,
        EncodedBy::BuiltIn(codec) => built_in_code(codec),
        EncodedBy::Entries => CODEC_ENTRIES,
    };
    write_page(id, codec, place, stored, out);
    Ok(place)
}

/// Append the header of a page, then its stored bytes.
fn write_page(id: PageId, codec: u8, place: PagePlace, stored: &[u8], out: &mut Vec<u8>) {
    let header = out.len();
    out.extend_from_slice(&[0; 4]);
    write_header(id, codec, place, out);
    out.extend_from_slice(stored);
    let crc = crc32c::crc32c(&out[header + 4..]);
    out[header..header + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The header without its checksum.
fn write_header(id: PageId, codec: u8, place: PagePlace, out: &mut Vec<u8>) {
    out.push(id.kind as u8);
    out.push(codec);
    out.extend_from_slice(&id.column.0.to_le_bytes());
    out.extend_from_slice(&id.collection.0.to_le_bytes());
    out.extend_from_slice(&id.rows.to_le_bytes());
    out.extend_from_slice(&place.raw_bytes.to_le_bytes());
    out.extend_from_slice(&place.stored_bytes.to_le_bytes());
    out.extend_from_slice(&place.offset.to_le_bytes());
}

/// What a page holds.
pub(super) enum Payload {
    /// Aligned for Arrow.
    Raw(Buffer),
    /// Stored bytes that [`super::encoded`] makes a raw payload of.
    Encoded(Vec<u8>),
    /// Stored bytes of a built-in codec; see [`super::encoding`].
    BuiltIn(BuiltIn, Buffer),
    /// Stored bytes of [`super::entries`].
    Entries(Buffer),
}

impl Payload {
    /// The payload of a page of a kind that is never encoded.
    pub fn raw(self) -> Result<Buffer> {
        match self {
            Payload::Raw(raw) => Ok(raw),
            Payload::Encoded(_) | Payload::BuiltIn(..) | Payload::Entries(_) => {
                Err(malformed("a page without codec", "one with a codec"))
            }
        }
    }
}

/// Read and check the page at `place`.
pub(super) fn read_page(
    file: &dyn File,
    name: &str,
    place: PagePlace,
    id: PageId,
) -> Result<Payload> {
    let mut bytes = vec![0; PAGE_HEADER_BYTES + place.stored_bytes as usize];
    read_exact(file, name, place.offset, &mut bytes)?;
    let (header, stored) = bytes.split_at(PAGE_HEADER_BYTES);
    let crc = u32::from_le_bytes(fixed(&header[..4])?);
    check_crc(name, place.offset, crc, crc32c::crc32c(&bytes[4..]))?;

    let mut expected = Vec::with_capacity(PAGE_HEADER_BYTES);
    write_header(id, header[5], place, &mut expected);
    if header[4..] != expected {
        let expected = format!("the header of {id:?}");
        return Err(Error::corruption(
            name,
            place.offset,
            expected,
            format!("{header:02x?}"),
        ));
    }

    let raw_bytes = place.raw_bytes as usize;
    match header[5] {
        CODEC_PLAIN if stored.len() == raw_bytes => {
            Ok(Payload::Raw(Buffer::from_slice_ref(stored)))
        }
        CODEC_NAMED => Ok(Payload::Encoded(stored.to_vec())),
        CODEC_ZSTD => decompressed(stored, raw_bytes)
            .map(Payload::Raw)
            .map_err(|e| match e {
                Error::Corruption {
                    expected, found, ..
                } => Error::corruption(name, place.offset, expected, found),
                other => other,
            }),
        CODEC_ENTRIES => Ok(Payload::Entries(
            Buffer::from_vec(bytes).slice(PAGE_HEADER_BYTES),
        )),
        other => match built_in_of(other) {
            Some(codec) => Ok(Payload::BuiltIn(
                codec,
                Buffer::from_vec(bytes).slice(PAGE_HEADER_BYTES),
            )),
            None => Err(Error::corruption(name, place.offset, "a codec", other)),
        },
    }
}

/// `stored` decompressed, which are `raw_bytes`.
pub(super) fn decompressed(stored: &[u8], raw_bytes: usize) -> Result<Buffer> {
    let mut raw = MutableBuffer::from_len_zeroed(raw_bytes);
    let len = decompress(stored, &mut raw).map_err(|e| malformed("a zstd frame", e))?;
    match len == raw_bytes {
        true => Ok(raw.into()),
        false => Err(malformed(
            format!("{raw_bytes} bytes after decompression"),
            len,
        )),
    }
}

thread_local! {
    /// A decompressor's tables take longer to make than a page takes to decompress.
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        const { RefCell::new(None) };
}

/// Decompress `stored` into `raw`; how many bytes it was.
fn decompress(stored: &[u8], raw: &mut [u8]) -> std::io::Result<usize> {
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        let decompressor = match decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.decompress_to_buffer(stored, raw)
    })
}

/// Fill `buf` from `offset`; the end of the file before that is damage.
pub(super) fn read_exact(file: &dyn File, name: &str, offset: u64, buf: &mut [u8]) -> Result<()> {
    let read = file
        .read_at(buf, offset)
        .map_err(|e| Error::io("read", name, e))?;
    if read != buf.len() {
        let expected = format!("{} bytes", buf.len());
        return Err(Error::corruption(
            name,
            offset,
            expected,
            format!("{read} bytes"),
        ));
    }
    Ok(())
}

/// Whether a page of that size can be where the directory says.
pub(super) fn place_is_inside(place: PagePlace, directory_offset: u64) -> bool {
    let bytes = PAGE_HEADER_BYTES as u64 + u64::from(place.stored_bytes);
    place.offset >= HEADER_BYTES as u64
        && place
            .offset
            .checked_add(bytes)
            .is_some_and(|end| end <= directory_offset)
}
