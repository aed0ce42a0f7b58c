//! The page cache: pages of all open segments. Columns are there decoded, or, when a scan of more than a
//! part of the cache read them, as codecs stored them: several times as many then fit.
//!
//! Pages are immutable, so a cached one is never wrong; the cache is only a bound on memory. That bound is
//! fixed, or what the budget has left ([`crate::memory`]): then pages go as others need the memory. It is
//! cut into shards, each behind its own lock, held for a lookup and never for I/O. A shard drops
//! what was not used lately by the clock rule (Corbató, "A Paging Experiment with the Multics
//! System", 1968): a hit sets a mark and moves nothing, for a row read alone is a hit per column.
//! Two readers that miss the same page both read it, and the later one's copy stays.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBuffer, Buffer, ScalarBuffer};
use parking_lot::Mutex;
use roaring::RoaringTreemap;

use super::blob::BlobIndex;
use super::filter::Bloom;
use super::hash::NumberHash;
use super::sketch::Sketch;
use super::sorted::SortedPageData;
use crate::codec::BuiltIn;
use crate::memory::{GiveBack, MemoryBudget, Part};
use crate::pages;

const SHARDS_MAX: usize = 16;
/// A shard is for so many bytes at least, or large pages would find no place in any.
const SHARD_BYTES_MIN: usize = 16 << 20;
/// A page's slot, its place in the index, and what allocating its parts costs.
const SLOT_BYTES: usize = 256;
/// The most that 2^16 neighbouring RowIds take in a bitmap.
const CONTAINER_BYTES: u64 = 8 << 10;

/// A page in the shape its readers use.
#[derive(Clone)]
pub(super) enum Page {
    Column(ArrayRef),
    /// A column as it is stored by a built-in codec.
    Stored(BuiltIn, Buffer),
    /// A column as it is stored by a codec from outside.
    Encoded(Buffer),
    Numbers(ScalarBuffer<u64>),
    Deleted(BooleanBuffer),
    RowBitmap(Arc<RoaringTreemap>),
    Entries(Arc<SortedPageData>),
    Bloom(Arc<Bloom>),
    BlobIndex(Arc<BlobIndex>),
    Blobs(Buffer),
    Sketch(Arc<Sketch>),
}

impl Page {
    fn bytes(&self) -> usize {
        match self {
            Page::Column(array) => array.get_array_memory_size(),
            Page::Stored(_, payload) | Page::Encoded(payload) => payload.capacity(),
            Page::Numbers(numbers) => numbers.inner().capacity(),
            Page::Deleted(bits) => bits.inner().capacity(),
            Page::RowBitmap(rows) => bitmap_bytes(rows),
            Page::Entries(page) => page.bytes(),
            Page::Bloom(bloom) => bloom.bytes(),
            Page::BlobIndex(index) => index.bytes(),
            Page::Blobs(values) => values.capacity(),
            Page::Sketch(_) => Sketch::BYTES,
        }
    }
}

/// What a bitmap takes in memory: that of a run of RowIds is longer there than in the file.
fn bitmap_bytes(rows: &RoaringTreemap) -> usize {
    let containers = match (rows.min(), rows.max()) {
        (Some(min), Some(max)) => (max >> 16) - (min >> 16) + 1,
        _ => 0,
    };
    let dense = containers.saturating_mul(CONTAINER_BYTES);
    // An array of those that are few has two bytes for each.
    let sparse = rows.len().saturating_mul(2);
    rows.serialized_size().max(dense.min(sparse) as usize)
}

/// See the module's header. Shared between readers.
pub struct PageCache {
    shards: Vec<Mutex<Shard>>,
    limit: Limit,
    next_file: AtomicU64,
}

enum Limit {
    Fixed(usize),
    Budget(Arc<MemoryBudget>),
}

/// A file as opened by one reader, and the page's offset in it.
pub(super) type PageKey = (u64, u64);

#[derive(Default)]
struct Shard {
    /// Key → place in `slots`.
    index: HashMap<PageKey, usize, NumberHash>,
    slots: Vec<Slot>,
    /// Where the search for a page to drop goes on.
    hand: usize,
    bytes: usize,
    /// Lookups.
    asked: u64,
    /// ... that were not here.
    missed: u64,
}

struct Slot {
    key: PageKey,
    page: Page,
    bytes: usize,
    /// Used since the hand last came by.
    used: bool,
}

impl PageCache {
    /// A cache of at most `bytes_max` bytes of pages.
    pub fn new(bytes_max: usize) -> Arc<PageCache> {
        Arc::new(PageCache::with(Limit::Fixed(bytes_max), SHARDS_MAX))
    }

    /// A cache of what `budget` has left.
    pub fn within(budget: &Arc<MemoryBudget>) -> Arc<PageCache> {
        let shards = (budget.bytes_max() / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        let limit = Limit::Budget(Arc::clone(budget));
        let cache = Arc::new(PageCache::with(limit, shards));
        let weak: Weak<PageCache> = Arc::downgrade(&cache);
        budget.add_cache(weak);
        cache
    }

    fn with(limit: Limit, shards: usize) -> PageCache {
        PageCache {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            limit,
            next_file: AtomicU64::new(0),
        }
    }

    /// Whose memory its pages, and the directories of its files, are counted in.
    pub(super) fn budget(&self) -> Option<&Arc<MemoryBudget>> {
        match &self.limit {
            Limit::Fixed(_) => None,
            Limit::Budget(budget) => Some(budget),
        }
    }

    /// How many of the pages that readers asked for were not here.
    pub fn missed(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().missed).sum()
    }

    /// How many pages readers asked for, whether they were there or had to be read.
    pub fn asked(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().asked).sum()
    }

    /// Bytes of the pages it may hold.
    pub(super) fn bytes_max(&self) -> usize {
        match &self.limit {
            Limit::Fixed(bytes) => *bytes,
            Limit::Budget(budget) => budget.cache_bytes_max(),
        }
    }

    fn shard_bytes_max(&self) -> usize {
        self.bytes_max() / self.shards.len()
    }

    /// Bytes of the pages held now.
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes).sum()
    }

    /// A number no other reader has.
    pub(super) fn file_number(&self) -> u64 {
        self.next_file.fetch_add(1, Ordering::Relaxed)
    }

    fn shard(&self, key: PageKey) -> &Mutex<Shard> {
        // Fibonacci hashing spreads offsets that are multiples of something.
        let hash = (key.0 ^ key.1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        &self.shards[(hash >> 32) as usize % self.shards.len()]
    }

    pub(super) fn get(&self, key: PageKey) -> Option<Page> {
        let mut shard = self.shard(key).lock();
        shard.asked += 1;
        let page = shard.use_page(key);
        shard.missed += u64::from(page.is_none());
        drop(shard);
        pages::note(page.is_some());
        page
    }

    /// A page that the reader does without when it is not there.
    pub(super) fn at_hand(&self, key: PageKey) -> Option<Page> {
        let mut shard = self.shard(key).lock();
        let page = shard.use_page(key)?;
        shard.asked += 1;
        drop(shard);
        pages::note(true);
        Some(page)
    }

    /// Keep `page`, and drop others until it fits. A page larger than a shard's share is not kept.
    pub(super) fn insert(&self, key: PageKey, page: Page) {
        let bytes = page.bytes() + SLOT_BYTES;
        let bytes_max = self.shard_bytes_max();
        if bytes > bytes_max {
            return;
        }
        let mut shard = self.shard(key).lock();
        let before = shard.bytes;
        if let Some(place) = shard.index.get(&key).copied() {
            shard.remove(place);
        }
        while shard.bytes + bytes > bytes_max {
            shard.evict();
        }
        let place = shard.slots.len();
        shard.slots.push(Slot {
            key,
            page,
            bytes,
            used: false,
        });
        shard.index.insert(key, place);
        shard.bytes += bytes;
        self.tell(before, shard.bytes);
    }

    /// A shard has `now` bytes after `before`.
    fn tell(&self, before: usize, now: usize) {
        if let Limit::Budget(budget) = &self.limit {
            match now > before {
                true => budget.grow(Part::PageCache, now - before),
                false => budget.shrink(Part::PageCache, before - now),
            }
        }
    }
}

impl GiveBack for PageCache {
    fn give_back(&self) {
        let bytes_max = self.shard_bytes_max();
        for shard in &self.shards {
            let mut shard = shard.lock();
            let before = shard.bytes;
            while shard.bytes > bytes_max {
                shard.evict();
            }
            self.tell(before, shard.bytes);
        }
    }
}

impl Drop for PageCache {
    fn drop(&mut self) {
        let bytes = self.bytes();
        self.tell(bytes, 0);
    }
}

impl Shard {
    fn use_page(&mut self, key: PageKey) -> Option<Page> {
        let place = *self.index.get(&key)?;
        let slot = &mut self.slots[place];
        slot.used = true;
        Some(slot.page.clone())
    }

    /// Drop the next page that was not used since the hand last came by. There is one page at
    /// least: `bytes` is more than 0.
    fn evict(&mut self) {
        loop {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let slot = &mut self.slots[self.hand];
            if !std::mem::take(&mut slot.used) {
                return self.remove(self.hand);
            }
            self.hand += 1;
        }
    }

    fn remove(&mut self, place: usize) {
        let dropped = self.slots.swap_remove(place);
        self.bytes -= dropped.bytes;
        self.index.remove(&dropped.key);
        if let Some(moved) = self.slots.get(place) {
            self.index.insert(moved.key, place);
        }
    }
}
