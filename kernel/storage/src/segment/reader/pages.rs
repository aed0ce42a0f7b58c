//! The pages of an open segment by what they hold, from the cache or the file.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_buffer::{BooleanBuffer, Buffer, ScalarBuffer};

use super::{Inner, SegmentReader};
use crate::datum::malformed;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, ColumnId};
use crate::schema::ColumnType;
use crate::segment::cache::Page;
use crate::segment::column::{decode_bits, decode_column, decode_numbers};
use crate::segment::encoded::EncodedPage;
use crate::segment::filter::Bloom;
use crate::segment::format::{Block, PagePlace, Rows, Sorted, SortedPage};
use crate::segment::page::{PageId, PageKind, Payload, read_page};
use crate::segment::sorted::SortedPageData;

impl SegmentReader {
    pub(super) fn page(
        &self,
        place: PagePlace,
        id: PageId,
        decode: impl FnOnce(Payload) -> Result<Page>,
    ) -> Result<Page> {
        let Inner {
            file,
            number,
            cache,
            meta,
            ..
        } = &*self.0;
        let key = (*number, place.offset);
        if let Some(page) = cache.get(key) {
            return Ok(page);
        }
        let payload = read_page(&**file, &meta.name, place, id)?;
        // What the payload says is wrong knows neither file nor place; a checksum that fits makes
        // this the writer's fault, not the disk's.
        let page = decode(payload).map_err(|e| match e {
            Error::Corruption {
                expected, found, ..
            } => Error::corruption(&meta.name, place.offset, expected, found),
            other => other,
        })?;
        cache.insert(key, page.clone());
        Ok(page)
    }

    fn numbers(
        &self,
        c: CollectionId,
        block: &Block,
        kind: PageKind,
        place: PagePlace,
    ) -> Result<ScalarBuffer<u64>> {
        let id = PageId {
            kind,
            collection: c,
            column: ColumnId(0),
            rows: block.rows,
        };
        let rows = block.rows as usize;
        match self.page(place, id, |page| {
            Ok(Page::Numbers(decode_numbers(rows, &page.raw()?)?))
        })? {
            Page::Numbers(numbers) => Ok(numbers),
            _ => Err(wrong_page()),
        }
    }

    pub(in crate::segment) fn row_ids_of(
        &self,
        c: CollectionId,
        block: &Block,
    ) -> Result<ScalarBuffer<u64>> {
        self.numbers(c, block, PageKind::RowIds, block.row_ids)
    }

    pub(in crate::segment) fn begins(
        &self,
        c: CollectionId,
        block: &Block,
    ) -> Result<ScalarBuffer<u64>> {
        self.numbers(c, block, PageKind::Begins, block.begins)
    }

    /// `None` in HEAD.
    pub(in crate::segment) fn ends(
        &self,
        c: CollectionId,
        block: &Block,
    ) -> Result<Option<ScalarBuffer<u64>>> {
        block
            .ends
            .map(|place| self.numbers(c, block, PageKind::Ends, place))
            .transpose()
    }

    /// `None` when nothing in the block is deleted.
    pub(in crate::segment) fn deleted(
        &self,
        c: CollectionId,
        block: &Block,
    ) -> Result<Option<BooleanBuffer>> {
        let Some(place) = block.deleted else {
            return Ok(None);
        };
        let kind = PageKind::Deleted;
        let id = PageId {
            kind,
            collection: c,
            column: ColumnId(0),
            rows: block.rows,
        };
        let rows = block.rows as usize;
        let decode = |page: Payload| Ok(Page::Deleted(decode_bits(rows, &page.raw()?)?));
        match self.page(place, id, decode)? {
            Page::Deleted(bits) => Ok(Some(bits)),
            _ => Err(wrong_page()),
        }
    }

    /// A column of a block; `None` where the table had none at the flush, or had dropped it.
    pub(in crate::segment) fn column(
        &self,
        c: CollectionId,
        rows: &Rows,
        block: &Block,
        column: ColumnId,
    ) -> Result<Option<ArrayRef>> {
        let index = usize::from(column.0);
        let Some(Some(page)) = block.columns.get(index) else {
            return Ok(None);
        };
        let id = PageId {
            kind: PageKind::Column,
            collection: c,
            column,
            rows: block.rows,
        };
        let ty = &rows.columns[index].ty;
        let rows = block.rows as usize;
        let decode = |payload| {
            let raw = match (payload, &page.codec) {
                (Payload::Raw(raw), None) => raw,
                (Payload::Encoded(stored), Some(codec)) => {
                    self.decode_encoded(id, page.place, codec, ty, &stored)?
                }
                (Payload::Raw(_), Some(codec)) => {
                    return Err(malformed(format!("a page of codec \"{codec}\""), "none"));
                }
                (Payload::Encoded(_), None) => return Err(malformed("no codec", "one")),
            };
            Ok(Page::Column(decode_column(ty, rows, &raw)?))
        };
        match self.page(page.place, id, decode)? {
            Page::Column(array) => Ok(Some(array)),
            _ => Err(wrong_page()),
        }
    }

    /// The raw payload of a column page that is stored as codec `name` made it.
    fn decode_encoded(
        &self,
        id: PageId,
        place: PagePlace,
        name: &str,
        ty: &ColumnType,
        stored: &[u8],
    ) -> Result<Buffer> {
        let page = EncodedPage::parse(stored)
            .filter(|page| page.codec == name)
            .ok_or_else(|| malformed(format!("a page of codec \"{name}\""), "another"))?;
        let Some(codec) = self.0.column_codecs.current().codec(name) else {
            return Err(Error::CodecMissing {
                codec: name.to_owned(),
                collection: id.collection,
                column: id.column,
            });
        };
        let (rows, raw_bytes) = (id.rows as usize, place.raw_bytes as usize);
        page.decode(&*codec, ty, rows, raw_bytes)
            .map_err(|detail| Error::CodecFailed {
                codec: name.to_owned(),
                file: self.0.meta.name.clone(),
                offset: place.offset,
                detail,
            })
    }

    pub(in crate::segment) fn entries(
        &self,
        c: CollectionId,
        page: &SortedPage,
        hist: bool,
    ) -> Result<Arc<SortedPageData>> {
        let kind = if hist {
            PageKind::EntriesHist
        } else {
            PageKind::Entries
        };
        let id = PageId {
            kind,
            collection: c,
            column: ColumnId(0),
            rows: page.entries,
        };
        let decode = |page: Payload| {
            let page = SortedPageData::decode(page.raw()?, hist)?;
            Ok(Page::Entries(Arc::new(page)))
        };
        match self.page(page.place, id, decode)? {
            Page::Entries(page) => Ok(page),
            _ => Err(wrong_page()),
        }
    }

    pub(in crate::segment) fn bloom(&self, c: CollectionId, sorted: &Sorted) -> Result<Arc<Bloom>> {
        let id = PageId {
            kind: PageKind::Bloom,
            collection: c,
            column: ColumnId(0),
            rows: 0,
        };
        let decode = |page: Payload| Ok(Page::Bloom(Arc::new(Bloom::decode(page.raw()?)?)));
        match self.page(sorted.bloom, id, decode)? {
            Page::Bloom(bloom) => Ok(bloom),
            _ => Err(wrong_page()),
        }
    }
}

/// Two pages at one offset, which the header check excludes.
pub(super) fn wrong_page() -> Error {
    Error::internal("a cached page is of another kind")
}
