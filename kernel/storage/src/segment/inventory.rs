//! What a segment's column pages are stored as, told by its directory alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::encoding::Rival;
use super::format::{Blobs, Block, ColumnPage, PageCodec, PagePlace, Run};
use super::page::PAGE_HEADER_BYTES;
use super::reader::SegmentReader;
use crate::codec::Encoding;
use crate::ids::{CollectionId, ColumnId, Ts};

/// The pages of one column that are stored the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnPages {
    pub collection: CollectionId,
    pub column: ColumnId,
    pub encoding: Encoding,
    pub pages: u64,
    /// Values in them, NULLs and those of deletes included; a large one counts where its column's page is.
    pub values: u64,
    /// Payload when stored plain.
    pub raw_bytes: u64,
    /// Payload in the files.
    pub stored_bytes: u64,
    /// What most of them were held against when their codec was chosen.
    pub rival: Option<RivalBytes>,
}

/// How pages compare with what they might have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RivalBytes {
    /// The next best encoding.
    pub encoding: Encoding,
    /// About what the pages would have taken with it.
    pub bytes: u64,
    /// What the same pages do take.
    pub stored_bytes: u64,
}

/// Counts pages of any number of segments.
#[derive(Debug, Default)]
pub(crate) struct Inventory(BTreeMap<(CollectionId, ColumnId, Encoding), Sizes>);

#[derive(Debug, Default)]
struct Sizes {
    pages: u64,
    values: u64,
    raw_bytes: u64,
    stored_bytes: u64,
    /// Pages, what they would have taken, and what they take, for each rival.
    rivals: BTreeMap<Encoding, (u64, u64, u64)>,
}

impl Sizes {
    fn rival(self) -> Option<RivalBytes> {
        let rivals = self.rivals.into_iter();
        let (encoding, (_, bytes, stored_bytes)) = rivals.max_by_key(|(_, (pages, ..))| *pages)?;
        Some(RivalBytes {
            encoding,
            bytes,
            stored_bytes,
        })
    }
}

impl Inventory {
    /// Count the column pages of a segment, HEAD and HIST.
    pub fn add(&mut self, segment: &SegmentReader) {
        for collection in segment.collections() {
            let Run::Rows(rows) = &collection.run else {
                continue;
            };
            for block in rows.head.iter().chain(&rows.hist) {
                for (column, page) in (0u16..).zip(&block.columns) {
                    let Some(page) = page else { continue };
                    let key = (collection.id, ColumnId(column), encoding(page));
                    let sizes = self.0.entry(key).or_default();
                    sizes.pages += 1;
                    sizes.values += u64::from(block.rows);
                    if let Some((rival, bytes)) = page.rival {
                        let sums = sizes.rivals.entry(rival_encoding(rival)).or_default();
                        sums.0 += 1;
                        sums.1 += u64::from(bytes);
                        sums.2 += u64::from(page.place.stored_bytes);
                    }
                    sizes.raw_bytes += u64::from(page.place.raw_bytes);
                    sizes.stored_bytes += u64::from(page.place.stored_bytes);
                    if let Some(blobs) = &page.blobs {
                        let encoding = match blobs.stored_bytes < blobs.raw_bytes {
                            true => Encoding::Zstd,
                            false => Encoding::Plain,
                        };
                        let key = (collection.id, ColumnId(column), encoding);
                        let sizes = self.0.entry(key).or_default();
                        sizes.pages += u64::from(blobs.pages);
                        sizes.raw_bytes += blobs.raw_bytes;
                        sizes.stored_bytes += blobs.stored_bytes;
                    }
                }
            }
        }
    }

    /// By collection, column and encoding.
    pub fn finish(self) -> Vec<ColumnPages> {
        let pages = self.0.into_iter();
        pages
            .map(|((collection, column, encoding), sizes)| ColumnPages {
                collection,
                column,
                encoding,
                pages: sizes.pages,
                values: sizes.values,
                raw_bytes: sizes.raw_bytes,
                stored_bytes: sizes.stored_bytes,
                rival: sizes.rival(),
            })
            .collect()
    }
}

/// What of a segment a collection takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectionBytes {
    pub collection: CollectionId,
    /// Newest version.
    pub max_ts: Ts,
    /// Payload of all its pages.
    pub bytes: u64,
    /// The part of HIST.
    pub hist_bytes: u64,
    /// Versions, deletes among them.
    pub versions: u64,
    /// Deleted rows in HEAD; of entries it is not known.
    pub tombstones: u64,
}

impl SegmentReader {
    /// What the large values take of the rows that a merge has in memory at once, a block of HEAD and one of
    /// HIST. Reads no page.
    pub fn blob_bytes_at_once(&self) -> usize {
        let collections = self.collections().iter();
        let bytes = collections.map(|collection| match &collection.run {
            Run::Rows(rows) => blob_bytes_max(&rows.head) + blob_bytes_max(&rows.hist),
            _ => 0,
        });
        usize::try_from(bytes.max().unwrap_or(0)).unwrap_or(usize::MAX)
    }

    /// What each collection takes. Reads no page.
    pub fn collection_bytes(&self) -> Vec<CollectionBytes> {
        let pages = |places: &mut dyn Iterator<Item = PagePlace>| -> u64 {
            places.map(|place| u64::from(place.stored_bytes)).sum()
        };
        let count = |counts: &mut dyn Iterator<Item = u32>| counts.map(u64::from).sum::<u64>();
        let blocks = |blocks: &[Block]| {
            let blobs = blocks.iter().flat_map(blobs_of).map(|b| b.stored_bytes);
            pages(&mut blocks.iter().flat_map(places_of)) + blobs.sum::<u64>()
        };
        let collections = self.collections().iter();
        collections
            .map(|collection| {
                let (head, hist_bytes, versions, tombstones) = match &collection.run {
                    Run::Rows(rows) => (
                        blocks(&rows.head),
                        blocks(&rows.hist),
                        count(&mut rows.head.iter().chain(&rows.hist).map(|b| b.rows)),
                        count(&mut rows.head.iter().map(|b| b.tombstones)),
                    ),
                    Run::Sorted(sorted) => (
                        pages(&mut sorted.head.iter().map(|page| page.place)),
                        pages(&mut sorted.hist.iter().map(|page| page.place)),
                        count(&mut sorted.head.iter().chain(&sorted.hist).map(|p| p.entries)),
                        0,
                    ),
                };
                CollectionBytes {
                    collection: collection.id,
                    max_ts: collection.max_ts,
                    bytes: head + hist_bytes,
                    hist_bytes,
                    versions,
                    tombstones,
                }
            })
            .collect()
    }

    /// What one collection takes of the file: its pages with their headers.
    pub fn bytes_of(&self, c: CollectionId) -> u64 {
        let Some(collection) = self.collection(c) else {
            return 0;
        };
        let sum = |places: &mut dyn Iterator<Item = PagePlace>| -> u64 {
            let page = |place: PagePlace| PAGE_HEADER_BYTES as u64 + u64::from(place.stored_bytes);
            places.map(page).sum()
        };
        match &collection.run {
            Run::Rows(rows) => {
                let blocks = || rows.head.iter().chain(&rows.hist);
                let blobs = blocks().flat_map(blobs_of).map(|blobs| {
                    u64::from(blobs.pages) * PAGE_HEADER_BYTES as u64 + blobs.stored_bytes
                });
                let blobs = blobs.sum::<u64>();
                blobs
                    + sum(&mut blocks()
                        .flat_map(places_of)
                        .chain([rows.bitmap])
                        .chain(rows.sketches.iter().flatten().copied()))
            }
            Run::Sorted(sorted) => {
                let pages = sorted.head.iter().chain(&sorted.hist);
                sum(&mut pages.map(|page| page.place).chain([sorted.bloom]))
            }
        }
    }

    /// The codecs that its pages cannot be read without.
    pub fn codecs(&self) -> BTreeSet<Arc<str>> {
        let mut codecs = BTreeSet::new();
        for collection in self.collections() {
            let Run::Rows(rows) = &collection.run else {
                continue;
            };
            for block in rows.head.iter().chain(&rows.hist) {
                let pages = block.columns.iter().flatten();
                codecs.extend(pages.filter_map(|page| match &page.codec {
                    Some(PageCodec::Named(name)) => Some(Arc::clone(name)),
                    _ => None,
                }));
            }
        }
        codecs
    }
}

/// What the large values of a run's largest block take.
fn blob_bytes_max(blocks: &[Block]) -> u64 {
    let blocks = blocks.iter();
    let bytes = blocks.map(|block| blobs_of(block).map(|blobs| blobs.raw_bytes).sum());
    bytes.max().unwrap_or(0)
}

fn blobs_of(block: &Block) -> impl Iterator<Item = &Blobs> {
    let columns = block.columns.iter().flatten();
    columns.filter_map(|page| page.blobs.as_ref())
}

/// All pages but blob pages.
fn places_of(block: &Block) -> impl Iterator<Item = PagePlace> {
    let numbers = [block.row_ids, block.begins].into_iter();
    let columns = block.columns.iter().flatten().map(|page| page.place);
    let columns = columns.chain(blobs_of(block).map(|blobs| blobs.index));
    numbers
        .chain(block.ends)
        .chain(block.deleted)
        .chain(columns)
}

fn rival_encoding(rival: Rival) -> Encoding {
    match rival {
        Rival::Plain => Encoding::Plain,
        Rival::Zstd => Encoding::Zstd,
        Rival::BuiltIn(codec) => Encoding::BuiltIn(codec),
    }
}

/// zstd is used where it makes a page shorter, and nowhere else.
fn encoding(page: &ColumnPage) -> Encoding {
    match &page.codec {
        Some(PageCodec::Named(name)) => Encoding::Codec(Arc::clone(name)),
        Some(PageCodec::BuiltIn(codec)) => Encoding::BuiltIn(*codec),
        None if page.place.stored_bytes < page.place.raw_bytes => Encoding::Zstd,
        None => Encoding::Plain,
    }
}
