//! Which keys of a collection have versions that began in a span of time.
//!
//! Blocks and pages whose span, as the directory tells it, does not touch that one are not read; of the
//! others only keys and times are. So the cost is that of the blocks with a change in them, however
//! long the collection is.

use std::ops::Range;

use super::format::Run;
use super::reader::SegmentReader;
use super::sorted::PageCursor;
use crate::error::Result;
use crate::ids::{CollectionId, Ts};

/// Reads one run, HEAD or HIST, a block or page at a time. Keys of rows are RowIds, big-endian.
pub struct Begun {
    reader: SegmentReader,
    collection: CollectionId,
    /// Of the collection in the directory.
    index: usize,
    hist: bool,
    blocks: Range<usize>,
}

impl SegmentReader {
    /// The keys of `c` with a version that began after `after` and by `until`; `None` when the directory
    /// knows that there are none.
    pub fn begun(
        &self,
        c: CollectionId,
        after: Ts,
        until: Ts,
        hist: bool,
    ) -> Result<Option<Begun>> {
        let Some((index, collection)) = self.find(c) else {
            return Ok(None);
        };
        if collection.max_ts <= after || collection.min_ts > until {
            return Ok(None);
        }
        let blocks = match &collection.run {
            Run::Rows(rows) if hist => rows.hist.len(),
            Run::Rows(rows) => rows.head.len(),
            Run::Sorted(_) => self.sorted_pages(index, hist).1.len(),
        };
        Ok(Some(Begun {
            reader: self.clone(),
            collection: c,
            index,
            hist,
            blocks: 0..blocks,
        }))
    }
}

impl Begun {
    /// Of the next block that has any the keys, by their order, with the times at which their versions
    /// began, newest first; empty at the end of the run.
    pub fn read(&mut self, after: Ts, until: Ts) -> Result<Vec<(Vec<u8>, Ts)>> {
        let mut begun = Vec::new();
        while begun.is_empty()
            && let Some(number) = self.blocks.next()
        {
            let inside = |min: Ts, max: Ts| after < max && min <= until;
            let mut keep = |key: &dyn Fn() -> Vec<u8>, begin: Ts| {
                if after < begin && begin <= until {
                    begun.push((key(), begin));
                }
            };
            match &self.reader.collections()[self.index].run {
                Run::Rows(rows) => {
                    let blocks = if self.hist { &rows.hist } else { &rows.head };
                    let block = &blocks[number];
                    if !inside(block.min_ts, block.max_ts) {
                        continue;
                    }
                    let begins = self.reader.begins(self.collection, block)?;
                    let ids = self.reader.row_ids_of(self.collection, block)?;
                    for (id, begin) in ids.iter().zip(begins.iter()) {
                        keep(&|| id.to_be_bytes().to_vec(), Ts(*begin));
                    }
                }
                Run::Sorted(_) => {
                    let (_, pages) = self.reader.sorted_pages(self.index, self.hist);
                    let page = &pages[number];
                    if !inside(page.min_ts, page.max_ts) {
                        continue;
                    }
                    let page = self.reader.entries(self.collection, page, self.hist)?;
                    let mut cursor = PageCursor::new(page, self.reader.stamp());
                    while cursor.advance()? {
                        keep(&|| cursor.key.clone(), cursor.begin);
                    }
                }
            }
        }
        Ok(begun)
    }
}
