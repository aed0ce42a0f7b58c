//! What a directory takes in memory. An open segment keeps its own, and no scan gives it back.

use super::{Block, Collection, ColumnPage, Directory, PageCodec, PagePlace, Run, SortedPage};
use crate::schema::ColumnDef;

/// What an allocation takes besides its bytes.
const ALLOCATION_BYTES: usize = 16;

fn bytes_of(bytes: &[u8]) -> usize {
    match bytes.is_empty() {
        true => 0,
        false => bytes.len() + ALLOCATION_BYTES,
    }
}

impl Directory {
    /// About how many bytes it takes.
    pub fn heap_bytes(&self) -> usize {
        self.collections.iter().map(Collection::heap_bytes).sum()
    }
}

impl Collection {
    pub fn heap_bytes(&self) -> usize {
        let inside = match &self.run {
            Run::Rows(rows) => {
                rows.columns.len() * (size_of::<ColumnDef>() + size_of::<Option<PagePlace>>())
                    + blocks_bytes(&rows.head)
                    + blocks_bytes(&rows.hist)
            }
            Run::Sorted(sorted) => pages_bytes(&sorted.head) + pages_bytes(&sorted.hist),
        };
        size_of::<Collection>() + inside
    }
}

/// Of the blocks of a run.
fn blocks_bytes(blocks: &[Block]) -> usize {
    blocks.iter().map(Block::heap_bytes).sum()
}

/// Of the pages of a sorted run.
fn pages_bytes(pages: &[SortedPage]) -> usize {
    pages.iter().map(SortedPage::heap_bytes).sum()
}

impl Block {
    pub fn heap_bytes(&self) -> usize {
        let page = |page: &ColumnPage| {
            let zone = page.zone.as_ref();
            let zone = zone.map_or(0, |zone| bytes_of(&zone.min) + bytes_of(&zone.max));
            let codec = match &page.codec {
                Some(PageCodec::Named(name)) => bytes_of(name.as_bytes()),
                _ => 0,
            };
            zone + codec
        };
        let columns = self.columns.len() * size_of::<Option<ColumnPage>>() + ALLOCATION_BYTES;
        let pages = self.columns.iter().flatten().map(page).sum::<usize>();
        size_of::<Block>() + columns + pages
    }
}

impl SortedPage {
    pub fn heap_bytes(&self) -> usize {
        size_of::<SortedPage>() + bytes_of(&self.first_key)
    }
}
