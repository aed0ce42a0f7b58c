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
    hashes: Vec<u64>,
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
            hashes: Vec::new(),
            looked_up: false,
            head: run(PageKind::Entries),
            hist: run(PageKind::EntriesHist),
        }
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
            self.hashes.push(bloom_hash(key));
            self.looked_up |= !value.is_some_and(|value| ends_key(key, value));
            &mut self.head
        } else {
            &mut self.hist
        };
        run.builder.push(key, begin, end, value);
        run.min_ts = run.min_ts.min(begin);
        run.max_ts = run.max_ts.max(begin);
        if run.builder.bytes() >= self.page_bytes {
            run.close_page(self.id, output)?;
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
            true => Bloom::build(&self.hashes),
            false => Bloom::of_everything(),
        };
        let bloom = output.page(page, &bloom)?;
        let entries = self.hashes.len() as u64;
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
    fn close_page(&mut self, collection: CollectionId, output: &mut Output) -> Result<()> {
        let entries = self.builder.entries();
        if entries == 0 {
            return Ok(());
        }
        let (raw, first_key) = self.builder.take();
        let page = PageId {
            kind: self.kind,
            collection,
            column: ColumnId(0),
            rows: entries,
        };
        let place = output.entries_page(page, &raw)?;
        self.pages.push(SortedPage {
            place,
            entries,
            min_ts: std::mem::replace(&mut self.min_ts, Ts::MAX),
            max_ts: std::mem::replace(&mut self.max_ts, Ts::ZERO),
            first_key,
        });
        Ok(())
    }
}
