//! Sorting more index entries than fit into memory: runs in files, then a merge of them.
//!
//! Entries gather in chunks of memory. When a sorter's share of the memory is used up, what it has
//! is sorted and becomes a run. Sorting compares as one number the first eight positions at which keys
//! differ at all, and looks at keys, which are anywhere in memory, only where those are equal. Keys of
//! a few columns and a RowId mostly differ in no more than that. What came in order is not sorted,
//! which is how primary keys usually come.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicU64};

use parking_lot::Mutex;

use super::LoadOptions;
use super::run::{Claim, RECORD_HEADER_BYTES, RecordRef, Run, RunReader, RunWriter, write_record};
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::io::Io;
use crate::memory::{MemoryBudget, Part, Reservation};
use crate::view::index::KEY_BYTES_MAX;

/// Chunks of memory are not larger.
const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Nor smaller: the longest record must fit.
const CHUNK_BYTES_MIN: usize = 32 << 10;
const _: () = assert!(RECORD_HEADER_BYTES + KEY_BYTES_MAX + 8 <= CHUNK_BYTES_MIN);
/// Chunks that a sorter with its whole share of the memory has.
const CHUNKS: usize = 64;
/// More runs than this are merged into one.
const RUNS_MAX: usize = 64;
/// Entries between two looks at the interrupt.
const INTERRUPT_ENTRIES: usize = 4096;

/// What the sorters of a load, or of a bulk insert, share. The memory is reserved while there is one.
pub struct SortSpace {
    io: Arc<dyn Io>,
    interrupt: Arc<Interrupt>,
    memory_bytes: usize,
    memory: Option<Arc<MemoryBudget>>,
    chunk_bytes: usize,
    sorters: Mutex<Sorters>,
    next_run: Arc<AtomicU64>,
}

#[derive(Default)]
struct Sorters {
    count: usize,
    /// Of all of them, from the first to the last.
    reservation: Option<Reservation>,
}

impl SortSpace {
    /// `next_run` numbers the runs of all spaces of a database.
    pub fn new(
        io: &Arc<dyn Io>,
        options: &LoadOptions,
        next_run: &Arc<AtomicU64>,
        memory: Option<&Arc<MemoryBudget>>,
    ) -> Arc<SortSpace> {
        let chunk_bytes = (options.memory_bytes / CHUNKS).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        Arc::new(SortSpace {
            io: Arc::clone(io),
            interrupt: Arc::clone(&options.interrupt),
            memory_bytes: options.memory_bytes,
            memory: memory.cloned(),
            chunk_bytes: chunk_bytes.next_power_of_two(),
            sorters: Mutex::default(),
            next_run: Arc::clone(next_run),
        })
    }

    fn create_run(&self) -> Result<RunWriter> {
        let number = self.next_run.fetch_add(1, atomic::Ordering::Relaxed);
        RunWriter::create(&self.io, number, self.chunk_bytes)
    }

    /// Chunks that a sorter may have now. A third of the memory is for the order of what is in them,
    /// and positions in chunks are 32 bits.
    fn chunks_max(&self) -> usize {
        let sorters = self.sorters.lock().count.max(1);
        let share = self.memory_bytes / sorters * 2 / 3;
        share.min(u32::MAX as usize) / self.chunk_bytes
    }
}

/// A sorter's part of the memory: the others have less for as long as this is there.
struct Share(Arc<SortSpace>);

impl Share {
    fn new(space: &Arc<SortSpace>) -> Share {
        let mut sorters = space.sorters.lock();
        sorters.count += 1;
        if sorters.reservation.is_none()
            && let Some(memory) = &space.memory
        {
            let bytes = space.memory_bytes;
            sorters.reservation = Some(Reservation::of(memory, Part::Work, bytes));
        }
        drop(sorters);
        Share(Arc::clone(space))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut sorters = self.0.sorters.lock();
        sorters.count -= 1;
        if sorters.count == 0 {
            sorters.reservation = None;
        }
    }
}

/// Collects entries in any order.
pub struct Sorter {
    space: Arc<SortSpace>,
    share: Share,
    chunks: Vec<Vec<u8>>,
    entries: usize,
    /// Where the last entry is, if all came in order so far.
    last: Option<usize>,
    in_order: bool,
    runs: Vec<Run>,
}

impl Sorter {
    pub fn new(space: &Arc<SortSpace>) -> Sorter {
        Sorter {
            space: Arc::clone(space),
            share: Share::new(space),
            chunks: Vec::new(),
            entries: 0,
            last: None,
            in_order: true,
            runs: Vec::new(),
        }
    }

    /// Add an entry; `key` is at most as long as index keys are.
    pub fn push(&mut self, key: &[u8], begin: u64, end: u64, row: u64) -> Result<()> {
        let bytes = RECORD_HEADER_BYTES + key.len();
        let room = |chunk: &Vec<u8>| chunk.len() + bytes <= self.space.chunk_bytes;
        if !self.chunks.last().is_some_and(room) {
            if !self.chunks.is_empty() && self.chunks.len() >= self.space.chunks_max() {
                self.spill()?;
            }
            self.chunks.push(Vec::new());
        }
        let place = (self.chunks.len() - 1) * self.space.chunk_bytes;
        let Some(chunk) = self.chunks.last_mut() else {
            return Ok(());
        };
        let place = place + chunk.len();
        write_record(key, begin, end, row, chunk);
        self.entries += 1;
        if self.in_order {
            let last = self.last.replace(place);
            let order = |place| self.record(place).map(RecordRef::order);
            self.in_order = last.is_none_or(|last| order(last) <= order(place));
        }
        Ok(())
    }

    fn record(&self, place: usize) -> Option<RecordRef<'_>> {
        record(&self.chunks, self.space.chunk_bytes, place)
    }

    /// Sort what is in memory.
    fn sort(&mut self) -> Sorted {
        let mut sorted = Sorted {
            chunk_bytes: self.space.chunk_bytes,
            chunks: std::mem::take(&mut self.chunks),
            order: Vec::with_capacity(self.entries),
            next: 0,
        };
        let in_order = std::mem::replace(&mut self.in_order, true);
        self.entries = 0;
        self.last = None;
        sorted.sort(in_order);
        sorted
    }

    /// Make a run of what is in memory.
    fn spill(&mut self) -> Result<()> {
        if self.runs.len() >= RUNS_MAX {
            let runs = std::mem::take(&mut self.runs);
            let mut merge = Merge::new(runs, None, &self.space.interrupt)?;
            let mut run = self.space.create_run()?;
            let (mut claim, mut record) = (Claim::default(), Vec::new());
            while merge.next(&mut claim)? {
                record.clear();
                write_record(&claim.key, claim.begin, claim.end, claim.row, &mut record);
                run.push(&record)?;
            }
            self.runs.push(run.finish()?);
        }
        let sorted = self.sort();
        let mut run = self.space.create_run()?;
        for (_, place) in &sorted.order {
            if let Some(record) = record(&sorted.chunks, sorted.chunk_bytes, *place as usize) {
                run.push(record.bytes())?;
            }
        }
        self.runs.push(run.finish()?);
        Ok(())
    }

    /// All entries in order.
    pub fn finish(mut self) -> Result<Merge> {
        let memory = self.sort();
        let memory = Some((memory, self.share));
        Merge::new(self.runs, memory, &self.space.interrupt)
    }
}

fn record(chunks: &[Vec<u8>], chunk_bytes: usize, place: usize) -> Option<RecordRef<'_>> {
    let chunk = chunks.get(place / chunk_bytes)?;
    RecordRef::first(chunk.get(place % chunk_bytes..)?)
}

/// Entries in memory, and their order.
struct Sorted {
    chunk_bytes: usize,
    chunks: Vec<Vec<u8>>,
    /// Bytes of the key as a number (see [`Differences`]), and the place.
    order: Vec<(u64, u32)>,
    next: usize,
}

impl Sorted {
    fn sort(&mut self, in_order: bool) {
        let Sorted {
            chunk_bytes,
            chunks,
            order,
            ..
        } = self;
        let mut differences = Differences::default();
        for (number, chunk) in chunks.iter().enumerate() {
            let mut at = 0;
            while let Some(record) = chunk.get(at..).and_then(RecordRef::first) {
                order.push((0, (number * *chunk_bytes + at) as u32));
                at += record.bytes().len();
                if !in_order {
                    differences.add(record.key());
                }
            }
        }
        if in_order {
            return;
        }
        let positions = differences.positions();
        for (number, place) in order.iter_mut() {
            if let Some(record) = record(chunks, *chunk_bytes, *place as usize) {
                *number = digits(record.key(), &positions);
            }
        }
        // Then what is equal so far is as it came, by rising RowId, and often in order.
        order.sort_unstable();
        for equal in order.chunk_by_mut(|(a, _), (b, _)| a == b) {
            let order = |entry: &(u64, u32)| {
                record(chunks, *chunk_bytes, entry.1 as usize).map(RecordRef::order)
            };
            if !equal.is_sorted_by(|a, b| order(a) <= order(b)) {
                equal.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
            }
        }
    }

    fn read(&mut self, claim: &mut Claim) -> bool {
        let place = self.order.get(self.next).map(|(_, place)| *place as usize);
        self.next += 1;
        match place.and_then(|place| record(&self.chunks, self.chunk_bytes, place)) {
            Some(record) => {
                record.read(claim);
                true
            }
            None => false,
        }
    }
}

/// Where keys differ, as far as [`Differences::WINDOW`] goes. A key that ends counts as if zeros
/// followed, which leaves it before those that it begins, or beside them.
#[derive(Default)]
struct Differences<'a> {
    first: Option<&'a [u8]>,
    /// Per position the bits in which any key is not as the first.
    bits: Vec<u8>,
}

impl<'a> Differences<'a> {
    const WINDOW: usize = 64;

    fn add(&mut self, key: &'a [u8]) {
        self.bits.resize(Self::WINDOW, 0);
        let first = *self.first.get_or_insert(key);
        for ((bits, a), b) in self.bits.iter_mut().zip(first).zip(key) {
            *bits |= a ^ b;
        }
        let (shared, longer) = match key.len() > first.len() {
            true => (first.len(), key),
            false => (key.len(), first),
        };
        for (bits, byte) in self.bits.iter_mut().zip(longer).skip(shared) {
            *bits |= byte;
        }
    }

    /// The first of them, as many as make a number.
    fn positions(&self) -> Vec<usize> {
        let positions = (0..self.bits.len()).filter(|at| self.bits[*at] != 0);
        positions.take(size_of::<u64>()).collect()
    }
}

/// The bytes of `key` at `positions` as a number, the first the highest.
fn digits(key: &[u8], positions: &[usize]) -> u64 {
    let mut bytes = [0; size_of::<u64>()];
    for (byte, at) in bytes.iter_mut().zip(positions) {
        *byte = key.get(*at).copied().unwrap_or(0);
    }
    u64::from_be_bytes(bytes)
}

enum Source {
    Memory(Sorted),
    Run(RunReader),
}

impl Source {
    fn read(&mut self, claim: &mut Claim) -> Result<bool> {
        match self {
            Source::Memory(sorted) => Ok(sorted.read(claim)),
            Source::Run(run) => run.read(claim),
        }
    }
}

/// The next entry of a source. The least is the greatest, as the heap wants it.
struct Head {
    claim: Claim,
    source: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Head) -> Ordering {
        other.claim.order().cmp(&self.claim.order())
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

/// Gives entries in order.
pub struct Merge {
    sources: Vec<Source>,
    heads: BinaryHeap<Head>,
    interrupt: Arc<Interrupt>,
    read: usize,
    /// Of the sorter whose entries in memory are a source.
    _share: Option<Share>,
}

impl Merge {
    fn new(
        runs: Vec<Run>,
        memory: Option<(Sorted, Share)>,
        interrupt: &Arc<Interrupt>,
    ) -> Result<Merge> {
        let (memory, share) = memory.unzip();
        let runs = runs.into_iter().map(|run| Source::Run(RunReader::new(run)));
        let mut sources: Vec<_> = runs.chain(memory.map(Source::Memory)).collect();
        let mut heads = BinaryHeap::new();
        for (place, source) in sources.iter_mut().enumerate() {
            let mut claim = Claim::default();
            if source.read(&mut claim)? {
                heads.push(Head {
                    claim,
                    source: place,
                });
            }
        }
        Ok(Merge {
            sources,
            heads,
            interrupt: Arc::clone(interrupt),
            read: 0,
            _share: share,
        })
    }

    /// Put the next entry into `claim`; false at the end.
    pub fn next(&mut self, claim: &mut Claim) -> Result<bool> {
        if self.read.is_multiple_of(INTERRUPT_ENTRIES) {
            self.interrupt.check()?;
        }
        self.read += 1;
        let Some(mut head) = self.heads.peek_mut() else {
            return Ok(false);
        };
        std::mem::swap(claim, &mut head.claim);
        let source = head.source;
        if !self.sources[source].read(&mut head.claim)? {
            PeekMut::pop(head);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::io::disk::Disk;

    fn claims() -> impl Strategy<Value = Vec<Claim>> {
        let key = prop_oneof![
            4 => prop::collection::vec(0u8..3, 0..12),
            2 => prop::collection::vec(0u8..3, 60..70),
            1 => prop::collection::vec(any::<u8>(), KEY_BYTES_MAX..KEY_BYTES_MAX + 8),
        ];
        let claim = (key, 1..9u64, 10..20u64, 0..50u64).prop_map(|(key, begin, end, row)| Claim {
            key,
            begin,
            end,
            row,
        });
        prop::collection::vec(claim, 0..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]

        #[test]
        fn entries_come_in_order(mut claims in claims(), in_order in any::<bool>()) {
            if in_order {
                claims.sort_by(|a, b| a.order().cmp(&b.order()));
            }
            let dir = tempfile::tempdir().unwrap();
            let io: Arc<dyn Io> = Arc::new(Disk::open(dir.path()).unwrap());
            for memory_bytes in [0, 256 << 10, 64 << 20] {
                let options = LoadOptions { memory_bytes, ..LoadOptions::default() };
                let mut sorter = Sorter::new(&SortSpace::new(&io, &options, &Arc::default(), None));
                for claim in &claims {
                    sorter.push(&claim.key, claim.begin, claim.end, claim.row).unwrap();
                }
                let mut merge = sorter.finish().unwrap();
                let (mut claim, mut found) = (Claim::default(), Vec::new());
                while merge.next(&mut claim).unwrap() {
                    found.push(claim.clone());
                }
                claims.sort_by(|a, b| a.order().cmp(&b.order()));
                prop_assert_eq!(&found, &claims);
                drop(merge);
                prop_assert_eq!(io.list("load").unwrap_or_default(), Vec::<String>::new());
            }
        }
    }

    /// What is alike in all keys takes no part in the number, wherever it is.
    #[test]
    fn numbers_are_made_of_what_differs() {
        let keys: [&[u8]; 4] = [b"a-1-x", b"a-2-y", b"a-2", b"a-2-y\0"];
        let mut differences = Differences::default();
        keys.iter().for_each(|key| differences.add(key));
        let positions = differences.positions();
        assert_eq!(positions, [2, 3, 4]);
        let numbers = keys.map(|key| digits(key, &positions) >> 40);
        assert_eq!(numbers, [0x312d78, 0x322d79, 0x320000, 0x322d79]);
    }

    /// Entries that wait in a merge take memory as they did in its sorter.
    #[test]
    fn a_share_is_taken_until_its_merge_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let io: Arc<dyn Io> = Arc::new(Disk::open(dir.path()).unwrap());
        let budget = MemoryBudget::new(1 << 30);
        let options = LoadOptions::default();
        let space = SortSpace::new(&io, &options, &Arc::default(), Some(&budget));
        assert_eq!(budget.held(Part::Work), 0, "nobody sorts");
        let mut first = Sorter::new(&space);
        let alone = space.chunks_max();
        first.push(b"key", 1, 2, 3).unwrap();
        let second = Sorter::new(&space);
        let halved = space.chunks_max();
        assert!(halved < alone);
        let merge = first.finish().unwrap();
        assert_eq!(space.chunks_max(), halved);
        drop(merge);
        assert_eq!(space.chunks_max(), alone);
        assert_eq!(budget.held(Part::Work), options.memory_bytes);
        drop(second);
        assert_eq!(budget.held(Part::Work), 0);
    }

    #[test]
    fn a_damaged_run_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let io: Arc<dyn Io> = Arc::new(Disk::open(dir.path()).unwrap());
        let mut writer = RunWriter::create(&io, 1, 64).unwrap();
        let mut record = Vec::new();
        write_record(b"key", 1, 2, 3, &mut record);
        for _ in 0..9 {
            writer.push(&record).unwrap();
        }
        let run = writer.finish().unwrap();
        let file = io
            .open("load/00000001.run", crate::io::OpenMode::ReadWrite)
            .unwrap();
        file.write_at(&[0xFF], 100).unwrap();
        let mut reader = RunReader::new(run);
        let mut claim = Claim::default();
        let read = (0..9).try_for_each(|_| reader.read(&mut claim).map(|_| ()));
        assert!(read.is_err());
    }
}
