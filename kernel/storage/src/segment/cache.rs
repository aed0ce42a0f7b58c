//! The page cache: pages of all open segments, under one byte budget. Columns are there decoded, or, when
//! a scan of more than a part of the cache read them, as built-in codecs stored them: several times as
//! many then fit.
//!
//! Pages are immutable, so a cached one is never wrong; the cache is only a bound on memory. It is
//! cut into shards, each behind its own lock, held for a lookup and never for I/O. A shard drops
//! what was not used lately by the clock rule (Corbató, "A Paging Experiment with the Multics
//! System", 1968): a hit sets a mark and moves nothing, for a row read alone is a hit per column.
//! Two readers that miss the same page both read it, and the later one's copy stays.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBuffer, Buffer, ScalarBuffer};
use parking_lot::Mutex;
use roaring::RoaringTreemap;

use super::filter::Bloom;
use super::hash::NumberHash;
use super::sorted::SortedPageData;
use crate::codec::BuiltIn;

const SHARDS: usize = 16;

/// A page in the shape its readers use.
#[derive(Clone)]
pub(super) enum Page {
    Column(ArrayRef),
    /// A column as it is stored by a built-in codec.
    Stored(BuiltIn, Buffer),
    Numbers(ScalarBuffer<u64>),
    Deleted(BooleanBuffer),
    RowBitmap(Arc<RoaringTreemap>),
    Entries(Arc<SortedPageData>),
    Bloom(Arc<Bloom>),
}

impl Page {
    fn bytes(&self) -> usize {
        match self {
            Page::Column(array) => array.get_array_memory_size(),
            Page::Stored(_, payload) => payload.capacity(),
            Page::Numbers(numbers) => numbers.inner().capacity(),
            Page::Deleted(bits) => bits.inner().capacity(),
            Page::RowBitmap(rows) => rows.serialized_size(),
            Page::Entries(page) => page.bytes(),
            Page::Bloom(bloom) => bloom.bytes(),
        }
    }
}

/// See the module's header. Shared between readers.
pub struct PageCache {
    shards: Vec<Mutex<Shard>>,
    shard_bytes_max: usize,
    next_file: AtomicU64,
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
        Arc::new(PageCache {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            shard_bytes_max: bytes_max / SHARDS,
            next_file: AtomicU64::new(0),
        })
    }

    /// How many pages readers asked for, whether they were there or had to be read.
    pub fn asked(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().asked).sum()
    }

    /// Bytes of the pages it may hold.
    pub(super) fn bytes_max(&self) -> usize {
        self.shard_bytes_max * SHARDS
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
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    pub(super) fn get(&self, key: PageKey) -> Option<Page> {
        let mut shard = self.shard(key).lock();
        shard.asked += 1;
        shard.use_page(key)
    }

    /// A page that the reader does without when it is not there.
    pub(super) fn at_hand(&self, key: PageKey) -> Option<Page> {
        let mut shard = self.shard(key).lock();
        let page = shard.use_page(key)?;
        shard.asked += 1;
        Some(page)
    }

    /// Keep `page`, and drop others until it fits. A page larger than a shard's share is not kept.
    pub(super) fn insert(&self, key: PageKey, page: Page) {
        let bytes = page.bytes();
        if bytes > self.shard_bytes_max {
            return;
        }
        let mut shard = self.shard(key).lock();
        if let Some(place) = shard.index.get(&key).copied() {
            shard.remove(place);
        }
        while shard.bytes + bytes > self.shard_bytes_max {
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
