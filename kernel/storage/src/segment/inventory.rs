//! What a segment's column pages are stored as, told by its directory alone.

use std::collections::BTreeMap;

use super::format::{ColumnPage, Run};
use super::reader::SegmentReader;
use crate::codec::Encoding;
use crate::ids::{CollectionId, ColumnId};

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

/// zstd is used where it makes a page shorter, and nowhere else.
fn encoding(page: &ColumnPage) -> Encoding {
    match &page.codec {
        Some(codec) => Encoding::Codec(codec.clone()),
        None if page.place.stored_bytes < page.place.raw_bytes => Encoding::Zstd,
        None => Encoding::Plain,
    }
}
