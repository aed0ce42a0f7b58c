//! A transaction's writes, in memory and, when that is too much, in private runs.
//!
//! A *run* is a segment file that no manifest names. It holds what was in memory when there was too much
//! of it, with the numbers of the writes as its begins, so it is read as any segment is, AS OF a number.
//! Newer runs hold newer writes, and memory the newest.
//!
//! 1. *Spill.* Memory is written to a run, synced, and starts over empty.
//! 2. *Fall back.* Runs with nothing as old as the savepoint are dropped. Of one with writes from before
//!    and after it, what came after is not read any more: its *cap* is the savepoint's number.
//! 3. *Commit* ([`super::publish`]) gives the runs their timestamp. Or the transaction ends otherwise, and
//!    the files are removed; after a crash the next open does that, as with all files that no manifest
//!    names.
//!
//! A bulk insert ([`super::bulk`]) writes runs of its own, by the column. Their begins are made one number
//! when it is done, so that it happens at once, after all that was written before.
//!
//! How many rows each table has more is counted apart from the writes, because a run does not tell an
//! insert from an update.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use super::writeset::{WriteKind, WriteSet};
use crate::engine::EngineInner;
use crate::error::Result;
use crate::flush::name_of;
use crate::ids::{CollectionId, TimelineId, Ts};
use crate::memtable::{full_key, split_key};
use crate::schema::TableDef;
use crate::segment::{KeyedWriter, SegmentReader, SegmentWriter};
use crate::timeline::Timeline;
use crate::view::{Kind, OwnWrites, find_in_runs};

/// The file of a run: removed when the last who reads it is gone, unless it was committed.
pub struct RunFile {
    engine: Arc<EngineInner>,
    pub number: u64,
    /// The log may name it.
    pub is_committed: AtomicBool,
}

impl RunFile {
    pub fn new(engine: &Arc<EngineInner>, number: u64) -> Arc<RunFile> {
        Arc::new(RunFile {
            engine: Arc::clone(engine),
            number,
            is_committed: AtomicBool::new(false),
        })
    }
}

impl Drop for RunFile {
    fn drop(&mut self) {
        // As far as it goes. A closed database is somebody else's by now.
        if !self.is_committed.load(Ordering::Acquire) && self.engine.is_open() {
            let _ = self.engine.io.remove(&name_of(self.number));
        }
    }
}

/// See the module's header.
#[derive(Clone)]
pub struct PrivateRun {
    reader: SegmentReader,
    pub file: Arc<RunFile>,
    /// Writes after this number do not count.
    cap: Option<u64>,
    /// It may have a key that an older run has, too.
    pub overlaps: bool,
    ends: Arc<Ends>,
}

/// The first and the last key of each collection: keys that come in order, which are most, are looked
/// for in one run at most.
type Ends = HashMap<CollectionId, [Vec<u8>; 2]>;

impl PrivateRun {
    pub fn new(
        reader: SegmentReader,
        file: Arc<RunFile>,
        overlaps: bool,
        ends: Ends,
    ) -> PrivateRun {
        PrivateRun {
            reader,
            file,
            cap: None,
            overlaps,
            ends: Arc::new(ends),
        }
    }

    /// Whether a key is between the ends of its collection.
    pub fn may_have(&self, collection: CollectionId, key: &[u8]) -> bool {
        let ends = self.ends.get(&collection);
        ends.is_some_and(|[first, last]| first.as_slice() <= key && key <= last.as_slice())
    }

    pub fn reader(&self) -> &SegmentReader {
        &self.reader
    }

    /// What to read it AS OF, for who sees the writes up to `limit`.
    pub fn at(&self, limit: u64) -> Ts {
        Ts(self.cap.map_or(limit, |cap| cap.min(limit)))
    }

    pub fn cap(&self) -> Option<Ts> {
        self.cap.map(Ts)
    }

    /// Whether nothing is left of it when writes after `mark` do not count.
    fn is_after(&self, mark: u64) -> bool {
        self.reader.meta().min_ts.0 > mark
    }

    fn fall_back(&mut self, mark: u64) {
        if self.reader.meta().max_ts.0 > mark {
            self.cap = Some(self.cap.map_or(mark, |cap| cap.min(mark)));
        }
    }
}

/// Rows that the transaction's tables have more, as of each savepoint.
#[derive(Default)]
struct RowCounts {
    /// The number of the first write that is counted, its table, and the sum.
    counts: Vec<(u64, CollectionId, i64)>,
    savepoint: u64,
}

impl RowCounts {
    fn add(&mut self, number: u64, table: CollectionId, rows: i64) {
        let since = self.savepoint;
        let recent = self.counts.iter_mut().rev();
        let mut recent = recent.take_while(|(first, _, _)| *first > since);
        match recent.find(|(_, known, _)| *known == table) {
            Some((_, _, sum)) => *sum += rows,
            None => self.counts.push((number, table, rows)),
        }
    }

    fn fall_back(&mut self, mark: u64) {
        while self.counts.pop_if(|(first, _, _)| *first > mark).is_some() {}
        self.savepoint = self.savepoint.min(mark);
    }
}

/// See the module's header.
#[derive(Default)]
pub struct PrivateWrites {
    memory: Arc<RwLock<WriteSet>>,
    /// Newest first.
    runs: Arc<[PrivateRun]>,
    counts: RowCounts,
}

impl PrivateWrites {
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.memory.read().is_empty()
    }

    /// Approximate memory taken.
    pub fn bytes(&self) -> usize {
        self.memory.read().bytes()
    }

    /// Newest first.
    pub fn runs(&self) -> &[PrivateRun] {
        &self.runs
    }

    /// The writes in memory, which are all while there are no runs.
    pub fn take_memory(&mut self) -> WriteSet {
        std::mem::take(&mut *self.memory.write())
    }

    /// What a view made now sees.
    pub fn visible(&self) -> OwnWrites {
        let limit = self.memory.write().mark();
        self.up_to(limit)
    }

    /// All writes, for who looks and does not come back.
    pub fn latest(&self) -> OwnWrites {
        let limit = self.memory.read().number();
        self.up_to(limit)
    }

    fn up_to(&self, limit: u64) -> OwnWrites {
        OwnWrites {
            set: Arc::clone(&self.memory),
            runs: Arc::clone(&self.runs),
            limit,
            reads: None,
        }
    }

    /// Call `f` with the newest write of a full key: its number, and its value or `None` for a delete.
    pub fn find<R>(
        &self,
        kind: Kind<'_>,
        full: &[u8],
        f: impl FnOnce(u64, Option<&[u8]>) -> R,
    ) -> Result<Option<R>> {
        if let Some((number, value)) = self.memory.read().get(full, u64::MAX) {
            return Ok(Some(f(number, value)));
        }
        find_in_runs(&self.runs, kind, full, u64::MAX, f)
    }

    /// Record a write; see [`WriteSet::write`].
    pub fn write(
        &mut self,
        collection: CollectionId,
        key: &[u8],
        kind: WriteKind,
        value: Option<Box<[u8]>>,
        is_first: bool,
    ) {
        let mut memory = self.memory.write();
        memory.write(full_key(collection, key), kind, value, is_first);
        match kind {
            WriteKind::Insert => self.counts.add(memory.number(), collection, 1),
            WriteKind::Delete => self.counts.add(memory.number(), collection, -1),
            _ => {}
        }
    }

    pub fn savepoint(&mut self) -> u64 {
        self.counts.savepoint = self.memory.write().mark();
        self.counts.savepoint
    }

    pub fn rollback_to(&mut self, mark: u64) {
        self.memory.write().rollback_to(mark);
        self.counts.fall_back(mark);
        if self
            .runs
            .iter()
            .any(|run| run.reader.meta().max_ts.0 > mark)
        {
            let mut runs = self.runs.to_vec();
            runs.retain(|run| !run.is_after(mark));
            runs.iter_mut().for_each(|run| run.fall_back(mark));
            self.runs = runs.into();
        }
    }

    /// Rows that each table has more.
    pub fn row_counts(&self) -> HashMap<CollectionId, i64> {
        let mut sums = HashMap::new();
        for (_, table, rows) in &self.counts.counts {
            *sums.entry(*table).or_default() += rows;
        }
        sums
    }

    /// Let go of everything: what a commit published, and what it need not.
    pub fn clear(&mut self) {
        *self = PrivateWrites::default();
    }

    /// Let `runs` be the newest write: all that is in them happens at once, now, whatever their begins are.
    /// Nothing is in memory, and `rows` of `table` are more. A run that may have a key that an older one
    /// has says so.
    pub fn add_runs(
        &mut self,
        runs: Vec<(SegmentReader, Arc<RunFile>, bool)>,
        table: CollectionId,
        rows: u64,
    ) -> Result<()> {
        let mut added = Vec::new();
        let number = self.memory.read().number() + 1;
        for (reader, file, overlaps) in runs {
            let mut ends = Ends::new();
            for id in &reader.meta().collections {
                ends.extend(reader.key_ends(*id)?.map(|key_ends| (*id, key_ends)));
            }
            let reader = reader.unstamped().at(Ts(number));
            added.push(PrivateRun::new(reader, file, overlaps, ends));
        }
        self.memory = Arc::new(RwLock::new(WriteSet::after(number)));
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        self.counts.add(number, table, rows);
        self.runs = added.into_iter().chain(self.runs.iter().cloned()).collect();
        Ok(())
    }

    /// Write what is in memory to a run, and start over.
    pub fn spill(&mut self, engine: &Arc<EngineInner>, timeline: &Arc<Timeline>) -> Result<()> {
        let memory = self.memory.read();
        if memory.is_empty() {
            return Ok(());
        }
        let own = self.latest();
        let (mut overlaps, mut ends) = (false, Ends::new());
        let (reader, file) = write_run(engine, timeline, &own, |writer| {
            memory.visit_all(
                |full, may_be_known| {
                    if may_be_known && !overlaps {
                        overlaps = is_in_runs(&own, full)?;
                    }
                    let (collection, key) = split_key(full);
                    let ends = ends.entry(collection);
                    let [_, last] = ends.or_insert_with(|| [key.to_vec(), Vec::new()]);
                    last.clear();
                    last.extend_from_slice(key);
                    Ok(())
                },
                |full, number, newer, value| writer.push(full, Ts(number), newer.map(Ts), value),
            )
        })?;
        let number = memory.number();
        drop(memory);
        let run = PrivateRun::new(reader, file, overlaps, ends);
        self.runs = std::iter::once(run)
            .chain(self.runs.iter().cloned())
            .collect();
        self.memory = Arc::new(RwLock::new(WriteSet::after(number)));
        Ok(())
    }
}

/// Whether a run has a full key. RowIds are in bitmaps, and of other keys the filters know most.
fn is_in_runs(own: &OwnWrites, full: &[u8]) -> Result<bool> {
    let (collection, key) = split_key(full);
    for run in own.runs.iter().filter(|run| run.may_have(collection, key)) {
        let run = run.reader();
        let found = match run.has_rows(collection) {
            true => {
                let rows = run.row_ids(collection)?;
                rows.is_some_and(|rows| {
                    crate::view::row_of(key).is_ok_and(|row| rows.contains(row.0))
                })
            }
            false => run.entry(collection, key, Ts::MAX)?.is_some(),
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Make a run, synced, of what `write` writes.
pub fn write_run(
    engine: &Arc<EngineInner>,
    timeline: &Arc<Timeline>,
    own: &OwnWrites,
    write: impl FnOnce(&mut KeyedWriter<'_>) -> Result<()>,
) -> Result<(SegmentReader, Arc<RunFile>)> {
    let mut known = HashMap::new();
    let mut definition_of = |collection| -> Result<Option<TableDef>> {
        if let Some(def) = known.get(&collection) {
            return Ok(Option::clone(def));
        }
        let def = super::definition_of(timeline, own, collection)?;
        known.insert(collection, def.clone());
        Ok(def)
    };
    let (file, writer) = create_run(engine, timeline.id())?;
    let mut writer = KeyedWriter::new(writer, &mut definition_of);
    write(&mut writer)?;
    let meta = writer.finish()?;
    let reader = engine
        .flusher
        .open_segment(&engine.io, &meta.name, Some(&meta))?;
    Ok((reader, file))
}

/// Begin a run.
pub fn create_run(
    engine: &Arc<EngineInner>,
    timeline: TimelineId,
) -> Result<(Arc<RunFile>, SegmentWriter)> {
    let number = engine.take_segment_number()?;
    let file = RunFile::new(engine, number);
    let options = engine.segment_options();
    let codecs = engine.flusher.codecs().current();
    let name = name_of(number);
    let writer = SegmentWriter::create(&engine.io, &name, timeline, options, codecs)?;
    Ok((file, writer))
}
