//! Large values, from the pages that they are in.

use std::sync::Arc;

use arrow_array::builder::make_view;
use arrow_array::{ArrayRef, StringViewArray};
use arrow_buffer::{Buffer, NullBuffer};

use super::SegmentReader;
use super::pages::{Keep, Picked, page_of, wrong_page};
use crate::datum::arrow::{ColumnValues, damaged};
use crate::datum::{malformed, too_long};
use crate::error::Result;
use crate::ids::{CollectionId, ColumnId};
use crate::pages;
use crate::schema::ColumnType;
use crate::segment::blob::{Blob, BlobIndex, BlobPage};
use crate::segment::cache::Page;
use crate::segment::column::variable_array;
use crate::segment::format::{Block, Rows};
use crate::segment::page::{PageId, PageKind, Payload, read_page};

/// Memory that is reserved on the word of an index: some more than the large values of a block mostly have.
const RESERVED_BYTES_MAX: usize = 8 << 20;

impl SegmentReader {
    /// Where the large values of a column of a block are; `None` when it has none.
    pub(in crate::segment) fn blob_index(
        &self,
        c: CollectionId,
        block: &Block,
        column: ColumnId,
    ) -> Result<Option<Arc<BlobIndex>>> {
        let Some(Some(page)) = block.columns.get(usize::from(column.0)) else {
            return Ok(None);
        };
        let Some(said) = &page.blobs else {
            return Ok(None);
        };
        let id = PageId {
            kind: PageKind::BlobIndex,
            collection: c,
            column,
            rows: block.rows,
        };
        let decode = |payload: Payload| {
            let (rows, end) = (block.rows as usize, self.0.directory_offset);
            let index = BlobIndex::decode(&payload.raw()?, rows, said, end)?;
            Ok(Page::BlobIndex(Arc::new(index)))
        };
        match self.page(said.index, id, decode)? {
            Page::BlobIndex(index) => Ok(Some(index)),
            _ => Err(wrong_page()),
        }
    }

    /// The values in a blob page.
    fn blob_page(
        &self,
        c: CollectionId,
        column: ColumnId,
        page: &BlobPage,
        keep: Keep,
    ) -> Result<Buffer> {
        let id = PageId {
            kind: PageKind::Blobs,
            collection: c,
            column,
            rows: page.values,
        };
        if let Keep::Stored = keep {
            // Read once, by who reads more than the cache is to have.
            let inner = &self.0;
            return match inner.cache.at_hand((inner.number, page.place.offset)) {
                Some(Page::Blobs(values)) => Ok(values),
                _ => {
                    pages::note(false);
                    read_page(&*inner.file, &inner.meta.name, page.place, id)?.raw()
                }
            };
        }
        let decode = |payload: Payload| Ok(Page::Blobs(payload.raw()?));
        match self.page(page.place, id, decode)? {
            Page::Blobs(values) => Ok(values),
            _ => Err(wrong_page()),
        }
    }

    /// `inside`, which has what is in the column's page of the rows that were picked, with the large values
    /// among them.
    pub(super) fn with_blobs(
        &self,
        of: ColumnOf<'_>,
        inside: ArrayRef,
        picked: &Picked,
        keep: Keep,
    ) -> Result<ArrayRef> {
        let Some(index) = self.blob_index(of.collection, of.block, of.column)? else {
            return Ok(inside);
        };
        let blobs: Vec<Option<Blob>> = match picked.rows() {
            None => (0..inside.len()).map(|row| index.of_row(row)).collect(),
            Some(rows) => rows.set_indices().map(|row| index.of_row(row)).collect(),
        };
        match blobs.iter().all(Option::is_none) {
            true => Ok(inside),
            false => self.blobs_of(of, &index, &inside, &blobs, keep),
        }
    }

    /// The value of one row alone: an array and the place in it.
    pub(super) fn column_at(
        &self,
        of: ColumnOf<'_>,
        row: usize,
    ) -> Result<Option<(ArrayRef, usize)>> {
        let Some(inside) = self.column(of.collection, of.rows, of.block, of.column)? else {
            return Ok(None);
        };
        let index = self.blob_index(of.collection, of.block, of.column)?;
        let found = index.and_then(|index| Some((index.of_row(row)?, index)));
        let Some((blob, index)) = found else {
            return Ok(Some((inside, row)));
        };
        let inside = inside.slice(row, 1);
        let array = self.blobs_of(of, &index, &inside, &[Some(blob)], Keep::Decoded)?;
        Ok(Some((array, 0)))
    }

    /// The values of `inside`, with those that are elsewhere from there.
    fn blobs_of(
        &self,
        of: ColumnOf<'_>,
        index: &BlobIndex,
        inside: &ArrayRef,
        blobs: &[Option<Blob>],
        keep: Keep,
    ) -> Result<ArrayRef> {
        let ty = &of.rows.columns[usize::from(of.column.0)].ty;
        let place = page_of(of.block, of.column)?.place;
        let values = ColumnValues::new(ty, inside.as_ref())?;
        let mut read = match ty {
            ColumnType::Text | ColumnType::Json => Collected::views(blobs.len()),
            _ => Collected::bytes(blobs),
        };
        let mut open: Option<(u32, Buffer)> = None;
        for (row, blob) in blobs.iter().enumerate() {
            let Some(blob) = blob else {
                match values.is_null(row) {
                    true => read.push(&[])?,
                    false => {
                        let mut value = Vec::new();
                        values.write(row, &mut value)?;
                        read.push(&value)?;
                    }
                }
                continue;
            };
            if values.is_null(row) || values.bytes(row) > 0 {
                let wrong = malformed("no value where a large one is", "one, or NULL");
                return Err(self.at(place, wrong));
            }
            let page = match open.take() {
                Some((number, page)) if number == blob.page => page,
                _ => {
                    let page = &index.pages[blob.page as usize];
                    self.blob_page(of.collection, of.column, page, keep)?
                }
            };
            read.push_blob(&page, *blob)?;
            open = Some((blob.page, page));
        }
        read.finish(ty, inside.nulls().cloned())
            .map_err(|e| self.at(place, e))
    }
}

/// Values on their way into an array.
enum Collected {
    /// All in one buffer.
    Bytes {
        starts: Vec<u32>,
        values: Vec<u8>,
        /// The one value there is, which may be huge and is not copied.
        alone: Option<Buffer>,
        count: usize,
    },
    /// Large ones stay in their pages.
    Views {
        views: Vec<u128>,
        values: Vec<u8>,
        /// The first is to have `values`.
        buffers: Vec<Buffer>,
        page: Option<u32>,
    },
}

impl Collected {
    fn views(count: usize) -> Collected {
        Collected::Views {
            views: Vec::with_capacity(count),
            values: Vec::new(),
            buffers: vec![Buffer::default()],
            page: None,
        }
    }

    fn bytes(blobs: &[Option<Blob>]) -> Collected {
        let bytes = blobs.iter().flatten().map(|blob| blob.bytes as usize);
        let reserved = match blobs.len() {
            1 => 0,
            _ => bytes.sum::<usize>().min(RESERVED_BYTES_MAX),
        };
        Collected::Bytes {
            starts: vec![0],
            values: Vec::with_capacity(reserved),
            alone: None,
            count: blobs.len(),
        }
    }

    /// Append a value, or the nothing that a NULL has.
    fn push(&mut self, value: &[u8]) -> Result<()> {
        match self {
            Collected::Bytes { starts, values, .. } => {
                values.extend_from_slice(value);
                starts.push(end_of(values)?);
            }
            Collected::Views { views, values, .. } => {
                let start = end_of(values)?;
                values.extend_from_slice(value);
                views.push(make_view(value, 0, start));
            }
        }
        Ok(())
    }

    /// Append a value of a page, whose length the index has been held against.
    fn push_blob(&mut self, from: &Buffer, blob: Blob) -> Result<()> {
        let value = &from[blob.start as usize..(blob.start + blob.bytes) as usize];
        match self {
            Collected::Bytes {
                starts,
                alone,
                count: 1,
                ..
            } => {
                *alone = Some(from.slice_with_length(blob.start as usize, value.len()));
                starts.push(blob.bytes);
            }
            Collected::Bytes { .. } => return self.push(value),
            Collected::Views {
                views,
                buffers,
                page,
                ..
            } => {
                if *page != Some(blob.page) {
                    buffers.push(from.clone());
                    *page = Some(blob.page);
                }
                // No more than there are rows in a block.
                let buffer = buffers.len() as u32 - 1;
                views.push(make_view(value, buffer, blob.start));
            }
        }
        Ok(())
    }

    fn finish(self, ty: &ColumnType, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
        match self {
            Collected::Bytes {
                starts,
                values,
                alone,
                ..
            } => {
                let values = alone.unwrap_or_else(|| Buffer::from_vec(values));
                variable_array(ty, &starts, values, nulls)
            }
            Collected::Views {
                views,
                values,
                mut buffers,
                ..
            } => {
                buffers[0] = Buffer::from_vec(values);
                // Looks at all bytes, too.
                let texts = StringViewArray::try_new(views.into(), buffers, nulls);
                let texts = texts.map_err(damaged)?;
                Ok(match ty {
                    ColumnType::Json => Arc::new(texts.to_binary_view()),
                    _ => Arc::new(texts),
                })
            }
        }
    }
}

/// Which column of which block.
#[derive(Clone, Copy)]
pub(super) struct ColumnOf<'a> {
    pub collection: CollectionId,
    pub rows: &'a Rows,
    pub block: &'a Block,
    pub column: ColumnId,
}

fn end_of(values: &[u8]) -> Result<u32> {
    // Arrow's offsets are of 31 bits.
    match i32::try_from(values.len()) {
        Ok(end) => Ok(end as u32),
        Err(_) => Err(too_long(values.len())),
    }
}
