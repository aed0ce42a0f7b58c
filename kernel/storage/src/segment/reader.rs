//! Reading a segment: the directory at once, pages when asked for.

mod blobs;
mod pages;
mod point;

pub(super) use self::pages::{Keep, Picked};
pub(super) use self::point::Finder;
pub use self::point::RowPlace;

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringTreemap;

use super::SegmentMeta;
use super::cache::{Page, PageCache};
use super::format::{
    BLOCK_ROWS_MAX, Block, Collection, Directory, HEADER_BYTES, PagePlace, Rows, Run, Sorted,
    SortedPage, TRAILER_BYTES, Trailer, check_crc, decode_header,
};
use super::hash::NumberHash;
use super::page::{PageId, PageKind, place_is_inside, read_exact};
use super::sketch::Sketch;
use super::stamp::Stamp;
use crate::codec::Codecs;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, ColumnId, TimelineId, Ts};
use crate::io::{File, Io, OpenMode};
use crate::memory::{Part, Reservation};
use crate::row::RowCodec;
use crate::schema::TableDef;

/// Only scans that decode to less than this part of the cache keep there what they decoded.
const SCAN_CACHE_SHARE: usize = 4;

/// A version found: when it began, and its bytes, `None` for a delete.
pub type Version = (Ts, Option<Vec<u8>>);

/// An open segment. Clones share it; iterators keep it open.
#[derive(Clone)]
pub struct SegmentReader(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub file: Arc<dyn File>,
    pub number: u64,
    pub cache: Arc<PageCache>,
    pub meta: SegmentMeta,
    pub directory: Directory,
    pub directory_offset: u64,
    /// Collections' places in the directory.
    pub places: HashMap<CollectionId, usize, NumberHash>,
    /// Per collection.
    pub finders: Arc<[Finder]>,
    /// Per collection, for rows.
    pub codecs: Vec<Option<RowCodec>>,
    pub column_codecs: Arc<Codecs>,
    /// What a run is read with after its commit.
    pub stamp: Option<Stamp>,
    /// What the directory takes.
    pub _memory: Option<Reservation>,
}

/// Which columns of a row are read; of a segment, only their pages.
#[derive(Clone, Copy, Debug)]
pub struct RowColumns<'a> {
    /// The row ends after so many: a reader AS OF an earlier definition knows no others.
    pub count: usize,
    /// By ColumnId. The other columns come as NULL, or as they are. `None` is all.
    pub wanted: Option<&'a [bool]>,
}

impl RowColumns<'_> {
    pub const ALL: RowColumns<'static> = RowColumns {
        count: usize::MAX,
        wanted: None,
    };

    fn wants(&self, column: usize) -> bool {
        self.wanted
            .is_none_or(|wanted| wanted.get(column).copied().unwrap_or(false))
    }
}

impl SegmentReader {
    /// Open file `name` and hold it against what the manifest says of it. Reads header, directory
    /// and trailer.
    pub fn open(
        io: &Arc<dyn Io>,
        name: &str,
        expected: Option<&SegmentMeta>,
        cache: &Arc<PageCache>,
        column_codecs: &Arc<Codecs>,
    ) -> Result<SegmentReader> {
        let file = io
            .open(name, OpenMode::Read)
            .map_err(|e| Error::io("open", name, e))?;
        SegmentReader::of_file(file, name, expected, cache, column_codecs)
    }

    /// [`SegmentReader::open`] of a file that is open.
    pub(super) fn of_file(
        file: Arc<dyn File>,
        name: &str,
        expected: Option<&SegmentMeta>,
        cache: &Arc<PageCache>,
        column_codecs: &Arc<Codecs>,
    ) -> Result<SegmentReader> {
        let bytes = file.len().map_err(|e| Error::io("read", name, e))?;
        if bytes < (HEADER_BYTES + TRAILER_BYTES) as u64 {
            return Err(Error::corruption(
                name,
                0,
                "a segment",
                format!("{bytes} bytes"),
            ));
        }
        let mut header = [0; HEADER_BYTES];
        read_exact(&*file, name, 0, &mut header)?;
        let timeline = TimelineId(decode_header(name, &header)?);
        let mut trailer = [0; TRAILER_BYTES];
        read_exact(&*file, name, bytes - TRAILER_BYTES as u64, &mut trailer)?;
        let trailer = Trailer::decode(name, &trailer, bytes)?;
        let mut directory = vec![0; trailer.directory_bytes as usize];
        let offset = trailer.directory_offset;
        read_exact(&*file, name, offset, &mut directory)?;
        check_crc(
            name,
            offset,
            trailer.directory_crc,
            crc32c::crc32c(&directory),
        )?;
        let directory = Directory::decode(name, offset, &directory)?;
        check_places(name, offset, &directory)?;
        let meta = SegmentMeta {
            name: name.to_owned(),
            bytes,
            timeline,
            min_ts: directory.min_ts,
            max_ts: directory.max_ts,
            checksum: trailer.directory_crc,
            collections: directory.collections.iter().map(|c| c.id).collect(),
        };
        if let Some(expected) = expected.filter(|expected| **expected != meta) {
            return Err(Error::corruption(
                name,
                0,
                format!("{expected:?}"),
                format!("{meta:?}"),
            ));
        }
        let mut codecs = Vec::with_capacity(directory.collections.len());
        for collection in &directory.collections {
            codecs.push(match &collection.run {
                Run::Rows(rows) => Some(RowCodec::new(&TableDef {
                    id: collection.id,
                    columns: rows.columns.clone(),
                    computed: Vec::new(),
                    retention: None,
                    indexes: Vec::new(),
                })?),
                Run::Sorted(_) => None,
            });
        }
        let ids = directory.collections.iter().map(|collection| collection.id);
        let places = ids.zip(0..).collect();
        let finders = Finder::of(&directory).into();
        let number = cache.file_number();
        let memory = cache.budget().map(|budget| {
            let bytes = directory.heap_bytes();
            Reservation::of(budget, Part::Files, bytes)
        });
        let cache = Arc::clone(cache);
        Ok(SegmentReader(Arc::new(Inner {
            file,
            number,
            cache,
            meta,
            directory,
            directory_offset: offset,
            places,
            finders,
            codecs,
            column_codecs: Arc::clone(column_codecs),
            stamp: None,
            _memory: memory,
        })))
    }

    /// What a manifest says of this file.
    pub fn meta(&self) -> &SegmentMeta {
        &self.0.meta
    }

    /// Where the pages end.
    pub(super) fn directory_offset(&self) -> u64 {
        self.0.directory_offset
    }

    /// How a scan of all rows of these columns is to leave them in the cache, so that it leaves room for
    /// what is read by the row.
    pub(super) fn keep(&self, rows: &Rows, columns: impl Iterator<Item = ColumnId>) -> Keep {
        let pages = |column: ColumnId| {
            let blocks = rows.head.iter().chain(&rows.hist);
            let pages = blocks.filter_map(move |b| b.columns.get(usize::from(column.0))?.as_ref());
            pages.map(|page| {
                let blobs = page
                    .blobs
                    .as_ref()
                    .map_or(0, |blobs| blobs.raw_bytes as usize);
                page.place.raw_bytes as usize + blobs
            })
        };
        let decoded: usize = columns.flat_map(pages).sum();
        match decoded <= self.0.cache.bytes_max() / SCAN_CACHE_SHARE {
            true => Keep::Decoded,
            false => Keep::Stored,
        }
    }

    /// Everything in this file.
    pub(super) fn collections(&self) -> &[Collection] {
        &self.0.directory.collections
    }

    /// All rows that have a version in this file; `None` when the collection is not here.
    pub fn row_ids(&self, c: CollectionId) -> Result<Option<Arc<RoaringTreemap>>> {
        let Some((_, _, rows)) = self.rows(c)? else {
            return Ok(None);
        };
        let id = PageId {
            kind: PageKind::RowBitmap,
            collection: c,
            column: ColumnId(0),
            rows: 0,
        };
        let page = self.page(rows.bitmap, id, |page| {
            let raw = page.raw()?;
            let bitmap = RoaringTreemap::deserialize_from(raw.as_slice()).map_err(|e| {
                Error::corruption(&self.0.meta.name, rows.bitmap.offset, "a bitmap", e)
            })?;
            Ok(Page::RowBitmap(Arc::new(bitmap)))
        })?;
        match page {
            Page::RowBitmap(bitmap) => Ok(Some(bitmap)),
            _ => Err(pages::wrong_page()),
        }
    }

    /// How many different values a column has in HEAD; `None` where that was not counted.
    pub fn sketch(&self, c: CollectionId, column: ColumnId) -> Result<Option<Arc<Sketch>>> {
        let Some((_, _, rows)) = self.rows(c)? else {
            return Ok(None);
        };
        let Some(Some(place)) = rows.sketches.get(usize::from(column.0)).copied() else {
            return Ok(None);
        };
        let id = PageId {
            kind: PageKind::Sketch,
            collection: c,
            column,
            rows: 0,
        };
        let page = self.page(place, id, |page| match Sketch::from_page(&page.raw()?) {
            Some(sketch) => Ok(Page::Sketch(Arc::new(sketch))),
            None => {
                let (name, expected) = (&self.0.meta.name, "the registers of a sketch");
                let found = "others";
                Err(Error::corruption(name, place.offset, expected, found))
            }
        })?;
        match page {
            Page::Sketch(sketch) => Ok(Some(sketch)),
            _ => Err(pages::wrong_page()),
        }
    }

    /// Whether any version of a collection's began at or before `at`.
    pub fn has_begun(&self, c: CollectionId, at: Ts) -> bool {
        self.find(c)
            .is_some_and(|(_, collection)| collection.min_ts <= at)
    }

    /// Rows this file decides at `at`: those with any version that began by then. A scan of older
    /// files must leave them out.
    pub fn decided(&self, c: CollectionId, at: Ts) -> Result<Arc<RoaringTreemap>> {
        let Some((_, collection, rows)) = self.rows(c)? else {
            return Ok(Arc::default());
        };
        if at < collection.min_ts {
            return Ok(Arc::default());
        }
        if at >= collection.max_ts {
            return Ok(self.row_ids(c)?.unwrap_or_default());
        }
        // Most rows are as they were: those that are not are looked for.
        let mut later = RoaringTreemap::new();
        for block in rows.head.iter().filter(|block| block.max_ts > at) {
            self.begun_in(c, block, |begin| begin > at.0, &mut later)?;
        }
        let mut earlier = RoaringTreemap::new();
        for block in rows.hist.iter().filter(|block| block.min_ts <= at) {
            self.begun_in(c, block, |begin| begin <= at.0, &mut earlier)?;
        }
        later -= earlier;
        let all = self.row_ids(c)?.unwrap_or_default();
        Ok(Arc::new(&*all - later))
    }

    /// Add the rows of a block that have a version in it with a begin as `wanted`.
    fn begun_in(
        &self,
        c: CollectionId,
        block: &Block,
        wanted: impl Fn(u64) -> bool,
        rows: &mut RoaringTreemap,
    ) -> Result<()> {
        let begins = self.begins(c, block)?;
        let ids = self.row_ids_of(c, block)?;
        let begun = ids
            .iter()
            .zip(begins.iter())
            .filter(|(_, begin)| wanted(**begin));
        rows.extend(begun.map(|(id, _)| *id));
        Ok(())
    }

    /// Live rows in HEAD.
    pub fn live_rows(&self, c: CollectionId) -> u64 {
        match self.rows(c) {
            Ok(Some((_, _, rows))) => rows
                .head
                .iter()
                .map(|block| u64::from(block.rows - block.tombstones))
                .sum(),
            _ => 0,
        }
    }

    /// Blocks of HEAD and HIST together: what `RowScan::blocks` counts.
    pub fn block_count(&self, c: CollectionId) -> usize {
        match self.rows(c) {
            Ok(Some((_, _, rows))) => rows.head.len() + rows.hist.len(),
            _ => 0,
        }
    }

    /// Whether a column that is dropped in `table` has values in this file.
    pub fn has_dropped_values(&self, table: &TableDef) -> bool {
        let Some((_, collection)) = self.find(table.id) else {
            return false;
        };
        let Run::Rows(rows) = &collection.run else {
            return false;
        };
        let dropped = |column: &usize| table.columns[*column].dropped;
        let dropped: Vec<usize> = (0..table.columns.len()).filter(dropped).collect();
        rows.head.iter().chain(&rows.hist).any(|block| {
            let pages = dropped
                .iter()
                .filter_map(|column| block.columns.get(*column));
            pages.flatten().any(|page| page.nulls < block.rows)
        })
    }

    /// Whether anything of a collection is in this file.
    pub fn has(&self, c: CollectionId) -> bool {
        self.0.places.contains_key(&c)
    }

    /// Whether a collection that is here is a table's rows.
    pub fn has_rows(&self, c: CollectionId) -> bool {
        let found = self.find(c);
        found.is_some_and(|(_, collection)| matches!(collection.run, Run::Rows(_)))
    }

    /// What the directory says of a collection.
    pub(super) fn collection(&self, c: CollectionId) -> Option<&Collection> {
        self.find(c).map(|(_, collection)| collection)
    }

    /// The collection's place in the directory.
    pub(super) fn find(&self, c: CollectionId) -> Option<(usize, &Collection)> {
        let place = *self.0.places.get(&c)?;
        Some((place, self.0.directory.collections.get(place)?))
    }

    pub(super) fn rows(&self, c: CollectionId) -> Result<Option<(usize, &Collection, &Rows)>> {
        let Some((index, collection)) = self.find(c) else {
            return Ok(None);
        };
        match &collection.run {
            Run::Rows(rows) => Ok(Some((index, collection, rows))),
            Run::Sorted(_) => Err(Error::internal(format!("collection {c} has no rows"))),
        }
    }

    pub(super) fn sorted(&self, c: CollectionId) -> Result<Option<(usize, &Collection, &Sorted)>> {
        let Some((index, collection)) = self.find(c) else {
            return Ok(None);
        };
        match &collection.run {
            Run::Sorted(sorted) => Ok(Some((index, collection, sorted))),
            Run::Rows(_) => Err(Error::internal(format!("collection {c} is not sorted"))),
        }
    }

    /// Id and pages of the sorted run at `index` of the directory.
    pub(super) fn sorted_pages(&self, index: usize, hist: bool) -> (CollectionId, &[SortedPage]) {
        let collection = &self.0.directory.collections[index];
        let pages: &[SortedPage] = match &collection.run {
            Run::Sorted(sorted) if hist => &sorted.hist,
            Run::Sorted(sorted) => &sorted.head,
            Run::Rows(_) => &[],
        };
        (collection.id, pages)
    }
}

/// Check once, at opening, that the directory's pages are inside the file and blocks are not
/// empty, so that nothing is allocated on the word of a bad directory.
fn check_places(name: &str, directory_offset: u64, directory: &Directory) -> Result<()> {
    let check = |place: &PagePlace| match place_is_inside(*place, directory_offset) {
        true => Ok(()),
        false => Err(Error::corruption(
            name,
            directory_offset,
            format!("pages before byte {directory_offset}"),
            format!("{place:?}"),
        )),
    };
    for collection in &directory.collections {
        match &collection.run {
            Run::Rows(rows) => {
                check(&rows.bitmap)?;
                rows.sketches.iter().flatten().try_for_each(check)?;
                for block in rows.head.iter().chain(&rows.hist) {
                    let rows = block.rows as usize;
                    if !(1..=BLOCK_ROWS_MAX).contains(&rows) || block.tombstones > block.rows {
                        let found = format!("{} of {}", block.tombstones, block.rows);
                        let expected = "a block of some rows with at most those deleted";
                        return Err(Error::corruption(name, directory_offset, expected, found));
                    }
                    check(&block.row_ids)?;
                    check(&block.begins)?;
                    block
                        .ends
                        .iter()
                        .chain(&block.deleted)
                        .try_for_each(check)?;
                    block.columns.iter().flatten().try_for_each(|page| {
                        check(&page.place)?;
                        page.blobs.iter().try_for_each(|blobs| check(&blobs.index))
                    })?;
                }
            }
            Run::Sorted(sorted) => {
                check(&sorted.bloom)?;
                let mut pages = sorted.head.iter().chain(&sorted.hist);
                pages.try_for_each(|page| check(&page.place))?;
            }
        }
    }
    Ok(())
}
