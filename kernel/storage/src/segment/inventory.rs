//! What a segment's column pages are stored as, told by its directory alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::format::{Block, ColumnPage, PageCodec, PagePlace, Run};
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
    /// Payload when stored plain.
    pub raw_bytes: u64,
    /// Payload in the files.
    pub stored_bytes: u64,
}

/// Counts pages of any number of segments.
#[derive(Debug, Default)]
pub(crate) struct Inventory(BTreeMap<(CollectionId, ColumnId, Encoding), Sizes>);

#[derive(Debug, Default)]
struct Sizes {
    pages: u64,
    raw_bytes: u64,
    stored_bytes: u64,
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
                    sizes.raw_bytes += u64::from(page.place.raw_bytes);
                    sizes.stored_bytes += u64::from(page.place.stored_bytes);
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
                raw_bytes: sizes.raw_bytes,
                stored_bytes: sizes.stored_bytes,
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
    /// What each collection takes. Reads no page.
    pub fn collection_bytes(&self) -> Vec<CollectionBytes> {
        let pages = |places: &mut dyn Iterator<Item = PagePlace>| -> u64 {
            places.map(|place| u64::from(place.stored_bytes)).sum()
        };
        let count = |counts: &mut dyn Iterator<Item = u32>| counts.map(u64::from).sum::<u64>();
        let blocks = |blocks: &[Block]| pages(&mut blocks.iter().flat_map(places_of));
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

fn places_of(block: &Block) -> impl Iterator<Item = PagePlace> {
    let numbers = [block.row_ids, block.begins].into_iter();
    let columns = block.columns.iter().flatten().map(|page| page.place);
    numbers
        .chain(block.ends)
        .chain(block.deleted)
        .chain(columns)
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
