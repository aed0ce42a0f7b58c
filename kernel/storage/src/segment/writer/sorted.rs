//! The runs of a sorted collection.

use super::{Order, Output, collection};
use crate::datum::VALUE_BYTES_MAX;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, ColumnId, Ts};
use crate::segment::entries::ends_key;
use crate::segment::filter::{Bloom, bloom_hash};
use crate::segment::format::{Collection, Run, Sorted, SortedPage};
use crate::segment::page::{PageId, PageKind};
use crate::segment::sorted::SortedPageBuilder;

pub(super) struct SortedWriter {
    id: CollectionId,
    page_bytes: usize,
    order: Order<Vec<u8>>,
    entries: u64,
    hashes: Vec<u64>,
    hashes_max: usize,
    /// Whether an entry is more than a key with its row behind it, which nobody looks up by itself.
    looked_up: bool,
    head: RunWriter,
    hist: RunWriter,
}

struct RunWriter {
    kind: PageKind,
    builder: SortedPageBuilder,
    /// Of the open page.
    min_ts: Ts,
    max_ts: Ts,
    pages: Vec<SortedPage>,
}

impl SortedWriter {
    pub fn new(id: CollectionId, page_bytes: usize) -> SortedWriter {
        let run = |kind| RunWriter {
            kind,
            builder: Default::default(),
            min_ts: Ts::MAX,
            max_ts: Ts::ZERO,
            pages: Vec::new(),
        };
        SortedWriter {
            id,
            page_bytes,
            order: Order::new(),
            entries: 0,
            hashes: Vec::new(),
            hashes_max: usize::MAX,
            looked_up: false,
            head: run(PageKind::Entries),
            hist: run(PageKind::EntriesHist),
        }
    }

    /// Past so many bytes of hashes there is no filter.
    pub fn limit_hashes(&mut self, bytes: usize) {
        self.hashes_max = bytes / size_of::<u64>();
    }

    pub fn push(
        &mut self,
        output: &mut Output,
        key: &[u8],
        begin: Ts,
        end: Option<Ts>,
        value: Option<&[u8]>,
    ) -> Result<()> {
        let bytes = key.len() + value.map_or(0, <[u8]>::len);
        if bytes > VALUE_BYTES_MAX {
            return Err(Error::RowTooLong { bytes });
        }
        self.order.check_key(key, begin, end)?;
        let run = if end.is_none() {
            self.entries += 1;
            self.looked_up |= !value.is_some_and(|value| ends_key(key, value));
            match self.hashes.len() < self.hashes_max {
                true => self.hashes.push(bloom_hash(key)),
                false => (self.hashes, self.hashes_max) = (Vec::new(), 0),
            }
            &mut self.head
        } else {
            &mut self.hist
        };
        run.builder.push(key, begin, end, value);
        run.min_ts = run.min_ts.min(begin);
        run.max_ts = run.max_ts.max(begin);
        if run.builder.bytes() >= self.page_bytes {
            let closed = run.close_page(self.id, output)?;
            output.account(closed, self.hashes.capacity() * size_of::<u64>());
        }
        Ok(())
    }

    pub fn finish(mut self, output: &mut Output) -> Result<Option<Collection>> {
        if self.order.is_empty() {
            return Ok(None);
        }
        self.head.close_page(self.id, output)?;
        self.hist.close_page(self.id, output)?;
        let kind = PageKind::Bloom;
        let page = PageId {
            kind,
            collection: self.id,
            column: ColumnId(0),
            rows: 0,
        };
        let bloom = match self.looked_up {
            true if self.hashes.len() as u64 == self.entries => Bloom::build(&self.hashes),
            _ => Bloom::of_everything(),
        };
        let bloom = output.page(page, &bloom)?;
        let entries = self.entries;
        let (head, hist) = (self.head.pages, self.hist.pages);
        let run = Run::Sorted(Sorted {
            bloom,
            entries,
            head,
            hist,
        });
        Ok(Some(collection(
            self.id,
            self.order.min_ts,
            self.order.max_ts,
            run,
        )))
    }
}

impl RunWriter {
    /// What the page's place takes in memory.
    fn close_page(&mut self, collection: CollectionId, output: &mut Output) -> Result<usize> {
        let entries = self.builder.entries();
        if entries == 0 {
            return Ok(0);
        }
        let (raw, first_key) = self.builder.take();
        let page = PageId {
            kind: self.kind,
            collection,
            column: ColumnId(0),
            rows: entries,
        };
        let place = output.entries_page(page, &raw)?;
        let page = SortedPage {
            place,
            entries,
            min_ts: std::mem::replace(&mut self.min_ts, Ts::MAX),
            max_ts: std::mem::replace(&mut self.max_ts, Ts::ZERO),
            first_key,
        };
        let bytes = page.heap_bytes();
        self.pages.push(page);
        Ok(bytes)
    }
}
