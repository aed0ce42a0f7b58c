//! The pages of an open segment by what they hold, from the cache or the file.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray};
use arrow_buffer::bit_util::set_bit;
use arrow_buffer::{BooleanBuffer, Buffer, MutableBuffer, ScalarBuffer};
use arrow_select::filter::{FilterBuilder, FilterPredicate};

use super::blobs::ColumnOf;
use super::{Inner, SegmentReader};
use crate::codec::BuiltIn;
use crate::datum::malformed;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, ColumnId};
use crate::schema::ColumnType;
use crate::segment::cache::Page;
use crate::segment::column::{decode_bits, decode_column, decode_numbers};
use crate::segment::encoded::EncodedPage;
use crate::segment::encoding::StoredColumn;
use crate::segment::encoding::integers::Integers;
use crate::segment::entries::decode_entries;
use crate::segment::filter::{Bloom, ValueRange};
use crate::segment::format::{Block, ColumnPage, PageCodec, PagePlace, Rows, Sorted, SortedPage};
use crate::segment::input::Input;
use crate::segment::page::{PageId, PageKind, Payload, read_page};
use crate::segment::sorted::SortedPageData;

/// In what form a column that is read is to stay in the cache. One that is there already stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::segment) enum Keep {
    Decoded,
    /// As it is stored, where a codec did that.
    Stored,
}

/// Rows of a block.
pub(in crate::segment) struct Picked {
    count: usize,
    /// `None` for all.
    some: Option<(BooleanBuffer, FilterPredicate)>,
}

impl Picked {
    /// The rows that `wanted` has a bit for; without it all `rows`.
    pub fn new(rows: usize, wanted: Option<BooleanBuffer>) -> Picked {
        let some = wanted
            .filter(|wanted| wanted.count_set_bits() < wanted.len())
            .map(|wanted| {
                let filter = FilterBuilder::new(&BooleanArray::new(wanted.clone(), None));
                (wanted, filter.optimize().build())
            });
        Picked {
            count: some.as_ref().map_or(rows, |(_, filter)| filter.count()),
            some,
        }
    }

    /// Of these, the ones that `chosen` has a bit for, which has one for each of these.
    pub fn narrowed(&self, chosen: BooleanBuffer) -> Picked {
        let wanted = match self.rows() {
            None => chosen,
            Some(rows) => {
                let mut narrowed = MutableBuffer::from_len_zeroed(rows.len().div_ceil(8));
                let (mut places, mut before) = (rows.set_indices(), 0);
                for one in chosen.set_indices() {
                    if let Some(row) = places.nth(one - before) {
                        set_bit(&mut narrowed, row);
                    }
                    before = one + 1;
                }
                BooleanBuffer::new(narrowed.into(), 0, rows.len())
            }
        };
        Picked::new(wanted.len(), Some(wanted))
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.count
    }

    /// `None` for all.
    pub fn rows(&self) -> Option<&BooleanBuffer> {
        self.some.as_ref().map(|(rows, _)| rows)
    }

    /// Those of an array of all rows.
    pub fn of(&self, array: &ArrayRef) -> Result<ArrayRef> {
        match &self.some {
            None => Ok(Arc::clone(array)),
            Some((_, filter)) => filter
                .filter(array)
                .map_err(|e| malformed("an array that can be filtered", e)),
        }
    }
}

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
        let page = decode(payload).map_err(|e| self.at(place, e))?;
        cache.insert(key, page.clone());
        Ok(page)
    }

    /// What a payload says is wrong knows neither file nor place; a checksum that fits makes it the
    /// writer's fault, not the disk's.
    pub(super) fn at(&self, place: PagePlace, error: Error) -> Error {
        match error {
            Error::Corruption {
                expected, found, ..
            } => Error::corruption(&self.0.meta.name, place.offset, expected, found),
            other => other,
        }
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
        let decode = |payload| {
            Ok(Page::Numbers(match payload {
                Payload::BuiltIn(BuiltIn::Bitpacking, packed) => {
                    let mut input = Input::new(&packed, 0);
                    let numbers = Integers::parse(&mut input, rows)?;
                    if !input.is_at_end() {
                        return Err(malformed("the end of the numbers", "more bytes"));
                    }
                    numbers.decode::<u64>(0).into()
                }
                payload => decode_numbers(rows, &payload.raw()?)?,
            }))
        };
        match self.page(place, id, decode)? {
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
        if let Some(stamp) = &self.0.stamp {
            return Ok(stamp.begins(block.rows));
        }
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

    /// What is in the page of a column of a block, large values not among it; `None` where the table had
    /// none at the flush, or had dropped it.
    pub(super) fn column(
        &self,
        c: CollectionId,
        rows: &Rows,
        block: &Block,
        column: ColumnId,
    ) -> Result<Option<ArrayRef>> {
        match self.column_page(c, rows, block, column, Keep::Decoded)? {
            None => Ok(None),
            Some(Page::Column(array)) => Ok(Some(array)),
            Some(page) => {
                let of = ColumnOf {
                    collection: c,
                    rows,
                    block,
                    column,
                };
                let array = match page {
                    Page::Stored(codec, payload) => {
                        self.stored(rows, block, column, codec, &payload, |stored| {
                            stored.decode(None)
                        })?
                    }
                    Page::Encoded(stored) => {
                        return self.encoded(of, &stored, Keep::Decoded).map(Some);
                    }
                    _ => return Err(wrong_page()),
                };
                let key = (self.0.number, page_of(block, column)?.place.offset);
                self.0.cache.insert(key, Page::Column(Arc::clone(&array)));
                Ok(Some(array))
            }
        }
    }

    /// Some rows of a column of a block, or all; `None` as of [`SegmentReader::column`].
    pub(in crate::segment) fn column_part(
        &self,
        c: CollectionId,
        rows: &Rows,
        block: &Block,
        column: ColumnId,
        picked: &Picked,
        keep: Keep,
    ) -> Result<Option<ArrayRef>> {
        let of = ColumnOf {
            collection: c,
            rows,
            block,
            column,
        };
        let inside = match self.column_page(c, rows, block, column, keep)? {
            None => return Ok(None),
            Some(Page::Column(array)) => picked.of(&array)?,
            Some(Page::Stored(codec, payload)) => {
                self.stored(rows, block, column, codec, &payload, |stored| {
                    stored.decode(picked.rows())
                })?
            }
            Some(Page::Encoded(stored)) => picked.of(&self.encoded(of, &stored, keep)?)?,
            Some(_) => return Err(wrong_page()),
        };
        self.with_blobs(of, inside, picked, keep).map(Some)
    }

    /// Which rows of a block have a value in `range`. Where that takes decoding the column, it comes, too.
    /// `None` for a list of values in a page that is decoded: conditions are asked about its rows in any case
    /// ([`crate::segment::RowFilter`]), and do not know less.
    pub(in crate::segment) fn column_filter(
        &self,
        c: CollectionId,
        rows: &Rows,
        block: &Block,
        column: ColumnId,
        range: &ValueRange,
        keep: Keep,
    ) -> Result<Option<(BooleanBuffer, Option<ArrayRef>)>> {
        let ty = &rows.columns[usize::from(column.0)].ty;
        let page = page_of(block, column)?;
        if range.is_list() && (keep == Keep::Decoded || !page.is_told_encoded()) {
            return Ok(None);
        }
        if page.blobs.is_some() {
            let all = Picked::new(block.rows as usize, None);
            let array = self.column_part(c, rows, block, column, &all, keep)?;
            let array = array.ok_or_else(|| Error::internal(format!("no page of {column:?}")))?;
            return Ok(Some((range.select(ty, &array)?, Some(array))));
        }
        let array = match self.column_page(c, rows, block, column, keep)? {
            None => return Err(Error::internal(format!("no page of {column:?}"))),
            Some(Page::Column(_)) if range.is_list() => return Ok(None),
            Some(Page::Column(array)) => array,
            Some(Page::Stored(BuiltIn::Strings, payload)) => {
                let codec = BuiltIn::Strings;
                self.stored(rows, block, column, codec, &payload, |stored| {
                    stored.decode(None)
                })?
            }
            Some(Page::Stored(codec, payload)) => {
                let inside = self.stored(rows, block, column, codec, &payload, |stored| {
                    stored.filter(range)
                })?;
                return Ok(Some((inside, None)));
            }
            Some(Page::Encoded(stored)) => {
                let of = ColumnOf {
                    collection: c,
                    rows,
                    block,
                    column,
                };
                if keep == Keep::Stored
                    && let Some(inside) = self.encoded_filter(block, &stored, range)
                {
                    return Ok(Some((inside, None)));
                }
                if range.is_list() {
                    return Ok(None);
                }
                self.encoded(of, &stored, keep)?
            }
            Some(_) => return Err(wrong_page()),
        };
        Ok(Some((range.select(ty, &array)?, Some(array))))
    }

    /// What `f` makes of a column page as a built-in codec stored it.
    fn stored<T>(
        &self,
        rows: &Rows,
        block: &Block,
        column: ColumnId,
        codec: BuiltIn,
        payload: &Buffer,
        f: impl FnOnce(StoredColumn<'_>) -> Result<T>,
    ) -> Result<T> {
        let place = page_of(block, column)?.place;
        let stored = StoredColumn {
            codec,
            ty: &rows.columns[usize::from(column.0)].ty,
            rows: block.rows as usize,
            raw_bytes: place.raw_bytes as usize,
            payload,
        };
        f(stored).map_err(|e| self.at(place, e))
    }

    /// The values of a column page as a codec from outside stored it. That takes long enough for them to stay
    /// in the cache, where the page is to be there decoded.
    fn encoded(&self, of: ColumnOf<'_>, stored: &[u8], keep: Keep) -> Result<ArrayRef> {
        let page = page_of(of.block, of.column)?;
        let Some(PageCodec::Named(codec)) = &page.codec else {
            return Err(wrong_page());
        };
        let id = PageId {
            kind: PageKind::Column,
            collection: of.collection,
            column: of.column,
            rows: of.block.rows,
        };
        let ty = &of.rows.columns[usize::from(of.column.0)].ty;
        let raw = self.decode_encoded(id, page.place, codec, ty, stored);
        let array = raw
            .and_then(|raw| decode_column(ty, of.block.rows as usize, &raw))
            .map_err(|e| self.at(page.place, e))?;
        if keep == Keep::Decoded {
            let key = (self.0.number, page.place.offset);
            self.0.cache.insert(key, Page::Column(Arc::clone(&array)));
        }
        Ok(array)
    }

    /// Which rows of a block have a value in `range`, as the codec that stored the page tells without
    /// decoding it; `None` when it cannot.
    fn encoded_filter(
        &self,
        block: &Block,
        stored: &[u8],
        range: &ValueRange,
    ) -> Option<BooleanBuffer> {
        let page = EncodedPage::parse(stored)?;
        let codec = self.0.column_codecs.current().codec(page.codec)?;
        page.filter(&*codec, block.rows as usize, range.conditions())
    }

    /// A column page, in the form that `keep` prefers or the cache has.
    fn column_page(
        &self,
        c: CollectionId,
        rows: &Rows,
        block: &Block,
        column: ColumnId,
        keep: Keep,
    ) -> Result<Option<Page>> {
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
                (Payload::Encoded(stored), Some(PageCodec::Named(_))) if keep == Keep::Stored => {
                    return Ok(Page::Encoded(stored.into()));
                }
                (Payload::Encoded(stored), Some(PageCodec::Named(codec))) => {
                    self.decode_encoded(id, page.place, codec, ty, &stored)?
                }
                (Payload::BuiltIn(codec, payload), Some(PageCodec::BuiltIn(said)))
                    if codec == *said =>
                {
                    if let Keep::Stored = keep {
                        return Ok(Page::Stored(codec, payload));
                    }
                    let stored = StoredColumn {
                        codec,
                        ty,
                        rows,
                        raw_bytes: page.place.raw_bytes as usize,
                        payload: &payload,
                    };
                    return Ok(Page::Column(stored.decode(None)?));
                }
                (_, Some(codec)) => {
                    return Err(malformed(format!("a page of {codec:?}"), "another"));
                }
                (_, None) => return Err(malformed("no codec", "one")),
            };
            Ok(Page::Column(decode_column(ty, rows, &raw)?))
        };
        self.page(page.place, id, decode).map(Some)
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
        let decode = |payload| {
            let raw = match payload {
                Payload::Entries(stored) => {
                    decode_entries(&stored, hist, page.place.raw_bytes as usize)?
                }
                payload => payload.raw()?,
            };
            let page = SortedPageData::decode(raw, hist)?;
            Ok(Page::Entries(Arc::new(page)))
        };
        match self.page(page.place, id, decode)? {
            Page::Entries(page) => Ok(page),
            _ => Err(wrong_page()),
        }
    }

    /// The entries of a page, if they are in the cache.
    pub(super) fn entries_at_hand(&self, page: &SortedPage) -> Option<Arc<SortedPageData>> {
        match self.0.cache.at_hand((self.0.number, page.place.offset)) {
            Some(Page::Entries(entries)) => Some(entries),
            _ => None,
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

pub(super) fn page_of(block: &Block, column: ColumnId) -> Result<&ColumnPage> {
    match block.columns.get(usize::from(column.0)) {
        Some(Some(page)) => Ok(page),
        _ => Err(Error::internal(format!("no page of {column:?}"))),
    }
}

/// Two pages at one offset, which the header check excludes.
pub(super) fn wrong_page() -> Error {
    Error::internal("a cached page is of another kind")
}
