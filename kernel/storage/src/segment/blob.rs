//! Large values: not in their column's page but in blob pages, which only who reads such a value reads.
//!
//! ```text
//! column page    as ever; a value that is elsewhere has no bytes in it, and is not NULL
//! blob pages     values, back to back; one is never in two pages
//! blob index     values u32 │ pages u32 │ integers (values): row in the block │
//!                integers (values): bytes │ page (pages)
//!   page         offset u64 │ raw_bytes u32 │ stored_bytes u32 │ values u32
//! integers       as in [`super::encoding::integers`]
//! ```
//!
//! 1. Rows rise, and the values of a page follow those of the page before.
//! 2. A page's values have its raw bytes together. It has about the aim's, or one value that is longer.
//! 3. What the directory says of the pages is what they are together.
//!
//! A block is cut by what is in its column pages, and, later, by what it has in blob pages: a block of rows
//! with large values has many times as many rows as it would have with the values inside.

use super::encoding::integers::{Integers, encode};
use super::format::{Blobs, PagePlace, ZONE_BYTES_MAX};
use super::input::Input;
use super::page::place_is_inside;
use crate::datum::malformed;
use crate::error::Result;
use crate::schema::ColumnType;

/// values │ pages
const INDEX_HEAD_BYTES: usize = 4 + 4;
/// offset │ raw_bytes │ stored_bytes │ values
const PAGE_BYTES: usize = 8 + 4 + 4 + 4;
const _: () = assert!(INDEX_HEAD_BYTES == 8 && PAGE_BYTES == 20);

/// Whether values of a type may be in blob pages: those that are bytes and nothing else.
pub(super) fn may_be_blob(ty: &ColumnType) -> bool {
    matches!(
        ty,
        ColumnType::Text | ColumnType::Bytea | ColumnType::Json | ColumnType::Jsonb
    )
}

/// Collects the large values of one column of a block.
pub(super) struct BlobBuilder {
    bytes_min: usize,
    rows: Vec<u64>,
    lengths: Vec<u64>,
    bytes: Vec<u8>,
    /// Of the values' first bytes, as many as a zone map has.
    range: Option<(Vec<u8>, Vec<u8>)>,
}

impl BlobBuilder {
    /// Values of at least so many bytes, and never of none, are large.
    pub fn new(bytes_min: usize) -> BlobBuilder {
        BlobBuilder {
            bytes_min: bytes_min.max(1),
            rows: Vec::new(),
            lengths: Vec::new(),
            bytes: Vec::new(),
            range: None,
        }
    }

    pub fn takes(&self, bytes: usize) -> bool {
        bytes >= self.bytes_min
    }

    /// Add the value of a row, which `write` appends. Rows rise.
    pub fn push(
        &mut self,
        row: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let start = self.bytes.len();
        write(&mut self.bytes)?;
        let value = &self.bytes[start..];
        self.rows.push(row as u64);
        self.lengths.push(value.len() as u64);
        let head = &value[..value.len().min(ZONE_BYTES_MAX)];
        match &mut self.range {
            None => self.range = Some((head.to_vec(), head.to_vec())),
            Some((min, _)) if head < min.as_slice() => *min = head.to_vec(),
            Some((_, max)) if head > max.as_slice() => *max = head.to_vec(),
            Some(_) => {}
        }
        Ok(())
    }

    /// Whether the value of a row is here.
    pub fn has(&self, row: usize) -> bool {
        self.rows.binary_search(&(row as u64)).is_ok()
    }

    /// Of all values so far.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// What it takes in memory.
    pub fn heap_bytes(&self) -> usize {
        let numbers = self.rows.capacity() + self.lengths.capacity();
        self.bytes.capacity() + numbers * size_of::<u64>()
    }

    /// The values so far.
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        self.lengths.iter().map(move |length| {
            let value;
            (value, rest) = rest.split_at(*length as usize);
            value
        })
    }

    /// The lowest and the highest of the values' beginnings.
    pub fn range(&self) -> Option<(&[u8], &[u8])> {
        let (min, max) = self.range.as_ref()?;
        Some((min, max))
    }

    /// The values so far, of which there is one at least; then start over.
    pub fn take(&mut self) -> Option<BlobValues> {
        if self.rows.is_empty() {
            return None;
        }
        let empty = BlobBuilder::new(self.bytes_min);
        let BlobBuilder {
            rows,
            lengths,
            bytes,
            ..
        } = std::mem::replace(self, empty);
        Some(BlobValues {
            rows,
            lengths,
            bytes,
        })
    }
}

/// The large values of a column of a block.
pub(super) struct BlobValues {
    rows: Vec<u64>,
    lengths: Vec<u64>,
    bytes: Vec<u8>,
}

impl BlobValues {
    /// Cut into pages of about `page_bytes`: how many values each has, and their bytes.
    pub fn pages(&self, page_bytes: usize) -> impl Iterator<Item = (u32, &[u8])> {
        let (mut lengths, mut rest) = (self.lengths.as_slice(), self.bytes.as_slice());
        std::iter::from_fn(move || {
            let (mut values, mut bytes) = (0, 0);
            for length in lengths {
                let length = *length as usize;
                if values > 0 && bytes + length > page_bytes {
                    break;
                }
                values += 1;
                bytes += length;
            }
            let page;
            (page, rest) = rest.split_at(bytes);
            lengths = &lengths[values..];
            (values > 0).then_some((values as u32, page))
        })
    }

    /// The payload of the index of these pages.
    pub fn index(&self, pages: &[BlobPage]) -> Vec<u8> {
        let mut out = Vec::with_capacity(INDEX_HEAD_BYTES + pages.len() * PAGE_BYTES);
        out.extend_from_slice(&(self.rows.len() as u32).to_le_bytes());
        out.extend_from_slice(&(pages.len() as u32).to_le_bytes());
        encode(&self.rows, &mut out);
        encode(&self.lengths, &mut out);
        for page in pages {
            out.extend_from_slice(&page.place.offset.to_le_bytes());
            out.extend_from_slice(&page.place.raw_bytes.to_le_bytes());
            out.extend_from_slice(&page.place.stored_bytes.to_le_bytes());
            out.extend_from_slice(&page.values.to_le_bytes());
        }
        out
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlobPage {
    pub place: PagePlace,
    pub values: u32,
}

/// Where a large value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blob {
    /// In the index.
    pub page: u32,
    /// In the page's payload.
    pub start: u32,
    pub bytes: u32,
}

/// Where the large values of a column of a block are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BlobIndex {
    /// Of the block, rising.
    rows: Vec<u32>,
    blobs: Vec<Blob>,
    pub pages: Vec<BlobPage>,
}

impl BlobIndex {
    /// Read the payload of the index of a block of `rows` rows, of whose pages the directory says `said`
    /// and which are before byte `directory_offset`.
    pub fn decode(
        payload: &[u8],
        rows: usize,
        said: &Blobs,
        directory_offset: u64,
    ) -> Result<BlobIndex> {
        let mut input = Input::new(payload, 0);
        let (values, page_count) = (input.u32()? as usize, input.u32()?);
        if values > rows || page_count as usize > values {
            let expected = format!("at most {rows} values in no more pages");
            let found = format!("{values} in {page_count}");
            return Err(malformed(expected, found));
        }
        let rows_with: Vec<u32> = Integers::parse(&mut input, values)?.decode(0);
        let lengths: Vec<u32> = Integers::parse(&mut input, values)?.decode(0);
        let rise = rows_with.windows(2).all(|pair| pair[0] < pair[1]);
        if !rise || rows_with.last().is_some_and(|row| *row as usize >= rows) {
            return Err(malformed(format!("rows that rise to {rows}"), "others"));
        }
        let mut index = BlobIndex {
            rows: rows_with,
            blobs: Vec::with_capacity(values),
            pages: Vec::with_capacity(page_count as usize),
        };
        let (mut raw_bytes, mut stored_bytes) = (0, 0);
        let mut lengths = lengths.into_iter();
        for number in 0..page_count {
            let place = PagePlace {
                offset: input.u64()?,
                raw_bytes: input.u32()?,
                stored_bytes: input.u32()?,
            };
            let count = input.u32()?;
            if !place_is_inside(place, directory_offset) {
                let expected = format!("a page before byte {directory_offset}");
                return Err(malformed(expected, format!("{place:?}")));
            }
            let mut start = 0u32;
            for bytes in lengths.by_ref().take(count as usize) {
                index.blobs.push(Blob {
                    page: number,
                    start,
                    bytes,
                });
                start = match start.checked_add(bytes) {
                    Some(end) => end,
                    None => return Err(malformed("a page of less than 4 GiB", bytes)),
                };
            }
            if start != place.raw_bytes {
                let expected = format!("values of {} bytes", place.raw_bytes);
                return Err(malformed(expected, start));
            }
            raw_bytes += u64::from(place.raw_bytes);
            stored_bytes += u64::from(place.stored_bytes);
            index.pages.push(BlobPage {
                place,
                values: count,
            });
        }
        let in_pages: u64 = index.pages.iter().map(|page| u64::from(page.values)).sum();
        if in_pages != values as u64 {
            return Err(malformed(format!("{values} values in pages"), in_pages));
        }
        if !input.is_at_end() {
            return Err(malformed("the end of the index", "more bytes"));
        }
        if (page_count, raw_bytes, stored_bytes) != (said.pages, said.raw_bytes, said.stored_bytes)
        {
            let found = format!("{page_count} pages of {raw_bytes} and {stored_bytes} bytes");
            return Err(malformed(format!("{said:?}"), found));
        }
        Ok(index)
    }

    /// Where the value of a row is, if it is here.
    pub fn of_row(&self, row: usize) -> Option<Blob> {
        let row = u32::try_from(row).ok()?;
        let place = self.rows.binary_search(&row).ok()?;
        self.blobs.get(place).copied()
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        size_of_val(self.rows.as_slice())
            + size_of_val(self.blobs.as_slice())
            + size_of_val(self.pages.as_slice())
    }
}
