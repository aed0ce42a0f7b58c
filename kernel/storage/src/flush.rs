//! Flush: from a memtable to a segment.
//!
//! 1. *Freeze.* The active memtable is put behind a new, empty one, under the freeze lock, which
//!    keeps out commits between their first version and their flip: so a frozen memtable holds whole,
//!    committed transactions only, and everything in it is older than anything in its successor.
//! 2. *Wait* until the newest commit in it is durable: segments never get ahead of the log.
//! 3. *Write* one segment with all its collections and versions, and sync it and its name.
//! 4. *Publish* it with a flush record in the log, and wait for that to be durable.
//! 5. *Swap* the memtable for the segment in the sources, and remove WAL files nobody needs now.
//!
//! In the background step 3 goes at the pace of the CPU governor ([`crate::governor`]) while nobody waits
//! for the flush and fewer memtables wait than may.
//!
//! Each timeline has memtables and segments of its own, which are flushed one after the other. A file of
//! the log goes when no memtable of any timeline has something of it: after a flush, and after the commit of
//! runs, which need none.
//!
//! A crash or failure before step 4 leaves a file that no manifest names: the next open removes it.
//! A failed flush is tried again with the next one; the memtable stays readable meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex, MutexGuard, RwLockWriteGuard};

use crate::archive::Archiver;
use crate::codec::Codecs;
use crate::engine::EngineInner;
use crate::error::{Error, Result};
use crate::governor::{Pace, Pressure, Share};
use crate::ids::{CollectionId, TimelineId, Ts};
use crate::io::Io;
use crate::manifest::{FlushEdit, Manifest, SegmentEntry};
use crate::memory::MemoryBudget;
use crate::memtable::{Chain, Memtable};
use crate::options::Options;
use crate::planted::{self, Bug};
use crate::schema::TableDef;
use crate::segment::{
    KeyedWriter, PageCache, SegmentMeta, SegmentOptions, SegmentReader, SegmentWriter,
};
use crate::timeline::Timeline;
use crate::view::versions::all_live;
use crate::view::{Layer, Path, Superversion};
use crate::wal::record::Record;

/// The directory of segment files.
pub const SEGMENTS: &str = "segments";
const EXTENSION: &str = ".seg";
/// A clean stop leaves no more in memtables: some ten thousand versions, for 20 ms of replay.
const REPLAY_BYTES_MAX: usize = 4 << 20;

/// The name of a segment's file.
pub fn name_of(number: u64) -> String {
    format!("{SEGMENTS}/{number:016x}{EXTENSION}")
}

/// The number of the segment in `file`.
pub fn number_of(file: &str) -> Option<u64> {
    parse_name(file.strip_prefix(SEGMENTS)?.strip_prefix('/')?)
}

pub fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(EXTENSION)?;
    match digits.len() {
        16 => u64::from_str_radix(digits, 16).ok(),
        _ => None,
    }
}

/// What the engine keeps for flushing.
pub struct Flusher {
    cache: Arc<PageCache>,
    codecs: Arc<Codecs>,
    /// One flush at a time; the next segment's number.
    turn: Mutex<()>,
    next_segment: AtomicU64,
    state: Mutex<FlushState>,
    changed: Condvar,
    /// Who waits for a flush, or for its turn.
    waited: AtomicUsize,
    pub flushes: AtomicU64,
}

/// Versions of a memtable between two looks at the pace.
const PACE_VERSIONS: usize = 256;

#[derive(Default)]
struct FlushState {
    /// A freeze asked for a flush.
    wanted: bool,
    stopping: bool,
    /// How often the background has begun to flush.
    begun: u64,
    /// Which of those was the last one that failed, and why.
    failed: Option<(u64, Error)>,
}

impl Flusher {
    pub fn new(manifest: &Manifest, memory: &Arc<MemoryBudget>) -> Flusher {
        Flusher {
            cache: PageCache::within(memory),
            codecs: Codecs::none(),
            turn: Mutex::default(),
            next_segment: manifest.next_segment.into(),
            state: Mutex::default(),
            changed: Condvar::new(),
            waited: 0.into(),
            flushes: AtomicU64::new(0),
        }
    }

    pub fn cache(&self) -> &PageCache {
        &self.cache
    }

    /// The codecs that flushes encode with and segments decode with.
    pub fn codecs(&self) -> &Codecs {
        &self.codecs
    }

    /// Flushes and loads wait for each other here.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.waited.fetch_add(1, Ordering::SeqCst);
        let turn = self.turn.lock();
        self.waited.fetch_sub(1, Ordering::SeqCst);
        turn
    }

    /// Open a segment that is open already, to read all of it past the cache that everybody shares.
    pub fn open_beside(
        &self,
        io: &Arc<dyn Io>,
        segment: &SegmentReader,
        cache: &Arc<PageCache>,
    ) -> Result<SegmentReader> {
        let meta = segment.meta();
        let Some(ts) = segment.stamp() else {
            return SegmentReader::open(io, &meta.name, Some(meta), cache, &self.codecs);
        };
        let run = SegmentReader::open(io, &meta.name, None, cache, &self.codecs)?;
        let run = run.unstamped().at(ts);
        if run.meta() != meta {
            let (expected, found) = (format!("{meta:?}"), format!("{:?}", run.meta()));
            return Err(Error::corruption(&meta.name, 0, expected, found));
        }
        Ok(run)
    }

    pub fn open_segment(
        &self,
        io: &Arc<dyn Io>,
        name: &str,
        expected: Option<&SegmentMeta>,
    ) -> Result<SegmentReader> {
        SegmentReader::open(io, name, expected, &self.cache, &self.codecs)
    }

    /// Open the manifest's segments, of each timeline newest first, and remove files that it does not name,
    /// but for those that are still to be archived.
    pub fn open_segments(
        &self,
        io: &Arc<dyn Io>,
        manifest: &Manifest,
        archiver: Option<&Archiver>,
    ) -> Result<BTreeMap<TimelineId, Vec<SegmentReader>>> {
        let names = match io.list(SEGMENTS) {
            Ok(names) => names,
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::io("list", SEGMENTS, e)),
        };
        for number in names.iter().filter_map(|name| parse_name(name)) {
            let kept = archiver.is_some_and(|archiver| archiver.needs(number));
            if !kept && !manifest.segments().any(|(_, s)| s.number == number) {
                let name = name_of(number);
                io.remove(&name)
                    .map_err(|e| Error::io("remove", &name, e))?;
            }
        }
        let mut readers: BTreeMap<TimelineId, Vec<SegmentReader>> = BTreeMap::new();
        for (timeline, entry) in manifest.segments() {
            let reader = self.open_segment(io, &name_of(entry.number), None)?;
            let reader = match entry.is_run {
                true => reader.unstamped().at(entry.ts_min),
                false => reader,
            };
            let found = (reader.meta().timeline, entry_of(entry.number, &reader));
            if found != (timeline, entry.clone()) {
                let name = name_of(entry.number);
                let expected = format!("timeline {timeline}, {entry:?}");
                let found = format!("timeline {}, {:?}", found.0, found.1);
                return Err(Error::corruption(&name, 0, expected, found));
            }
            readers.entry(timeline).or_default().push(reader);
        }
        readers.values_mut().for_each(|readers| readers.reverse());
        Ok(readers)
    }

    /// Ask the background for a flush.
    pub fn want(&self) {
        self.state.lock().wanted = true;
        self.changed.notify_all();
    }

    /// End the background's work.
    pub fn stop(&self) {
        self.state.lock().stopping = true;
        self.changed.notify_all();
    }

    /// Sleep until a flush is wanted; whether to go on.
    fn sleep(&self) -> bool {
        let mut state = self.state.lock();
        while !state.wanted && !state.stopping {
            self.changed.wait(&mut state);
        }
        state.wanted = false;
        state.begun += 1;
        !state.stopping
    }
}

/// What a manifest says of a segment.
pub fn entry_of(number: u64, reader: &SegmentReader) -> SegmentEntry {
    let meta = reader.meta();
    SegmentEntry {
        number,
        is_run: reader.stamp().is_some(),
        bytes: meta.bytes,
        checksum: meta.checksum,
        ts_min: meta.min_ts,
        ts_max: meta.max_ts,
    }
}

impl EngineInner {
    /// Let a commit in, or make it wait while the flushes are far behind. When they fail, so does the
    /// commit, with the reason: memory would grow without bound.
    pub fn admit(&self) -> Result<()> {
        self.log.check()?;
        self.log_collections()?;
        self.admit_to_memtable()
    }

    /// The same for what is in the log already.
    pub fn admit_to_memtable(&self) -> Result<()> {
        if self.is_inline() {
            return self.admit_inline();
        }
        if !self.is_full() {
            return Ok(());
        }
        self.flusher.waited.fetch_add(1, Ordering::SeqCst);
        let admitted = self.wait_for_room();
        self.flusher.waited.fetch_sub(1, Ordering::SeqCst);
        admitted
    }

    fn wait_for_room(&self) -> Result<()> {
        let mut state = self.flusher.state.lock();
        state.wanted = true;
        self.flusher.changed.notify_all();
        // A failure of a flush that began earlier says nothing of now: there may be space again.
        let earlier = state.begun;
        while self.is_full() {
            if let Some((_, error)) = state.failed.clone().filter(|(begun, _)| *begun > earlier) {
                return Err(error);
            }
            if state.stopping {
                return Err(Error::Stopped {
                    reason: "the database is closed".to_owned(),
                });
            }
            self.flusher.changed.wait(&mut state);
        }
        Ok(())
    }

    /// Whether nothing more fits in front of the flushes. Where none is waited for, nothing would change.
    fn is_full(&self) -> bool {
        let (active, frozen) = (self.timelines.active_bytes(), self.timelines.frozen_bytes());
        let is_too_much = active + frozen >= self.memory.memtables_bytes_max();
        (self.is_behind() && active > self.options.memtable_bytes_max)
            || (frozen > 0 && is_too_much)
    }

    /// Whether as many memtables wait for their flush as may.
    pub fn is_behind(&self) -> bool {
        let Options {
            memtables_frozen_max,
            memtable_bytes_max,
            ..
        } = self.options;
        self.timelines.frozen_bytes() >= memtables_frozen_max.saturating_mul(memtable_bytes_max)
    }

    /// Without a background the flush that is due comes before the next commit, and not after the
    /// last one, whose outcome it does not touch.
    fn admit_inline(&self) -> Result<()> {
        if !self.freeze_when_due() && !self.is_full() {
            return Ok(());
        }
        match self.flush_frozen() {
            Ok(()) => Ok(()),
            Err(e) if self.is_full() => Err(e),
            Err(e) => {
                tracing::warn!("flush: {e}");
                self.log.check()
            }
        }
    }

    /// Leave the next open little to replay. Below some bytes a segment costs more than it spares.
    pub fn flush_for_reopening(&self) {
        let unflushed = self.timelines.active_bytes() + self.timelines.frozen_bytes();
        if unflushed > REPLAY_BYTES_MAX.min(self.options.memtable_bytes_max)
            && let Err(e) = self.flush_all()
        {
            // The log has it all.
            tracing::warn!("flush: {e}");
        }
    }

    /// Freeze memtables that are past their limit together, if there is room; whether any was.
    fn freeze_when_due(&self) -> bool {
        let bytes_max = self.options.memtable_bytes_max;
        let active_bytes = || self.timelines.active_bytes();
        if active_bytes() <= bytes_max || self.is_behind() {
            return false;
        }
        // A large commit on its way into the memtable keeps the lock for long, and behind a freeze
        // that waits for it every other commit would wait, too: rather come back, within reason.
        let window = match self.freeze.try_write() {
            Some(window) => window,
            None if active_bytes() / 2 <= bytes_max => return false,
            None => self.freeze.write(),
        };
        if active_bytes() <= bytes_max {
            return true;
        }
        // The largest, until half of the limit is free: many timelines of which each is written to a
        // little are not to be flushed one by one. And those that keep old files of the log.
        let idle_since = self.timelines.note_freeze(self.latest());
        let mut timelines = self.timelines.all();
        timelines.sort_by_key(|(_, timeline)| std::cmp::Reverse(timeline.sources().active.bytes()));
        for (_, timeline) in &timelines {
            let oldest = timeline.sources().active.ts_min();
            if active_bytes() > bytes_max / 2 || oldest.is_some_and(|oldest| oldest < idle_since) {
                self.freeze_memtable(&window, timeline);
            }
        }
        true
    }

    /// What a commit may have made necessary.
    pub fn after_commit(&self) {
        if !self.is_inline() && self.freeze_when_due() {
            self.flusher.want();
        }
        self.archive_when_complete();
    }

    /// The commit of runs froze a memtable, and made segments.
    pub fn after_runs(&self) {
        if !self.is_inline() {
            self.flusher.want();
            self.compactor.want();
        }
    }

    /// The background thread.
    pub fn flush_when_wanted(&self) {
        let pace = self.governor.pace(Share::Storage, "flushing");
        while self.flusher.sleep() {
            pace.resume();
            let turn = self.flusher.turn();
            let outcome = self.flush_at(&turn, Some(&pace));
            drop(turn);
            pace.rest();
            if let Err(e) = &outcome {
                tracing::error!("flush: {e}");
            }
            let mut state = self.flusher.state.lock();
            state.failed = outcome.err().map(|e| (state.begun, e));
            drop(state);
            self.flusher.changed.notify_all();
        }
    }

    /// Step 1, if there is anything to freeze.
    pub fn freeze_memtable(&self, _window: &RwLockWriteGuard<'_, ()>, timeline: &Timeline) {
        let sources = timeline.sources();
        if sources.active.is_empty() {
            return;
        }
        sources.active.freeze(timeline.live.all());
        self.timelines.note_frozen(sources.active.bytes());
        let mut layers = sources.layers.clone();
        Layer::Memtable(Arc::clone(&sources.active)).put_by_age(&mut layers);
        timeline.set_sources(Superversion {
            active: Arc::new(Memtable::within(timeline.id(), &self.memory)),
            layers,
        });
    }

    /// Flush everything committed so far.
    pub fn flush_all(&self) -> Result<()> {
        {
            let window = self.freeze.write();
            for (_, timeline) in self.timelines.all() {
                self.freeze_memtable(&window, &timeline);
            }
        }
        self.flush_frozen()
    }

    /// Steps 2 to 5 for every frozen memtable, oldest first. After a failed sync nothing is known of
    /// what is on disk, so that stops the engine, as in the log; other failures may pass.
    pub fn flush_frozen(&self) -> Result<()> {
        self.flush_in_turn(&self.flusher.turn())
    }

    /// The same for one who has the turn.
    pub fn flush_in_turn(&self, turn: &MutexGuard<'_, ()>) -> Result<()> {
        self.flush_at(turn, None)
    }

    fn flush_at(&self, _turn: &MutexGuard<'_, ()>, pace: Option<&Pace<'_>>) -> Result<()> {
        self.stop_after_sync(self.try_flush_frozen(pace))
    }

    /// Why a flush in the background should not be held up.
    fn flush_pressure(&self) -> Pressure {
        if self.is_stopping() || self.flusher.waited.load(Ordering::SeqCst) > 0 {
            return Pressure::Waited;
        }
        match self.is_behind() {
            true => Pressure::Debt,
            false => Pressure::None,
        }
    }

    /// Stop the engine when `outcome` is that a sync failed.
    pub fn stop_after_sync<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(error @ Error::Io { op: "sync", .. }) = &outcome {
            self.log.stop(error);
        }
        outcome
    }

    /// How segments are written.
    pub fn segment_options(&self) -> SegmentOptions {
        SegmentOptions {
            page_bytes: self.options.page_bytes,
            blob_bytes_min: self.options.blob_bytes_min,
            sketch_rows_min: self.options.sketch_rows_min,
            memory: Some(Arc::clone(&self.memory)),
        }
    }

    /// A number for a segment.
    pub fn take_segment_number(&self) -> Result<u64> {
        self.log.check()?;
        Ok(self.flusher.next_segment.fetch_add(1, Ordering::Relaxed))
    }

    /// Make the names of new segments durable.
    pub fn sync_segment_names(&self) -> Result<()> {
        let synced = self.io.sync_dir(SEGMENTS);
        self.stop_after_sync(synced.map_err(|e| Error::io("sync", SEGMENTS, e)))
    }

    /// The oldest memtable of a timeline that waits for its flush.
    fn next_to_flush(&self) -> Option<(Arc<Timeline>, Arc<Memtable>)> {
        let timelines = self.timelines.all().into_iter();
        let waiting = timelines.filter_map(|(_, timeline)| {
            let memtable = timeline.sources().frozen().next_back().cloned();
            memtable.map(|memtable| (timeline, memtable))
        });
        waiting.min_by_key(|(_, memtable)| memtable.ts_max())
    }

    fn try_flush_frozen(&self, pace: Option<&Pace<'_>>) -> Result<()> {
        while let Some((timeline, memtable)) = self.next_to_flush() {
            self.log.wait_ts(memtable.ts_max())?;
            let number = self.take_segment_number()?;
            let written = self.write_segment(number, &timeline, &memtable, pace);
            // As far as it goes; the next open removes what is left.
            let give_up = |e: &Error| {
                let _ = self.io.remove(&name_of(number));
                if let Error::DiskFull { .. } = e {
                    self.log.give_back_spare();
                }
            };
            let reader = written.inspect_err(give_up)?;
            let edit = FlushEdit {
                timeline: timeline.id(),
                flushed_ts: memtable.ts_max(),
                segments: vec![entry_of(number, &reader)],
                live_rows: memtable.live_rows_when_frozen().to_vec(),
            };
            let record = Record::flush(edit);
            let reserved = self.log.reserve_own(record.bytes.len());
            let reserved = reserved.inspect_err(give_up)?;
            let pushed = {
                // A drop comes before this in the log, or after it.
                let _window = self.freeze.read();
                match timeline.is_dropped() {
                    true => None,
                    false => Some(self.log.push_reserved(record, reserved)?),
                }
            };
            if let Some(ticket) = pushed {
                self.log.wait(ticket)?;
            }
            let Some(flushed_through) = self.swap(&timeline, &memtable, reader) else {
                // The timeline is gone, and so is what would have been in the file.
                self.remove_segment(&name_of(number));
                continue;
            };
            self.flusher.flushes.fetch_add(1, Ordering::Relaxed);
            self.flusher.changed.notify_all();
            self.compactor.want();
            self.archive_when_complete();
            self.log.remove_obsolete(flushed_through)?;
        }
        Ok(())
    }

    /// Remove files of the log of which no memtable has something. What a run brought is in its segments, so
    /// where there are runs alone nobody flushes, and this is for those who commit them.
    pub fn remove_obsolete_log(&self) -> Result<()> {
        let (flushed_through, ticket) = {
            // Commits that are under way have not told the memtables of their time.
            let _window = self.freeze.write();
            let in_segments = self.oldest_in_memory();
            let in_segments = in_segments.map(|oldest| Ts(oldest.0.saturating_sub(1)));
            (in_segments.unwrap_or(self.latest()), self.log.last_ticket())
        };
        if !self.log.has_obsolete(flushed_through) {
            return Ok(());
        }
        // A timeline whose memtables are gone has been dropped for good then.
        self.log.wait(ticket)?;
        self.log.remove_obsolete(flushed_through)
    }

    /// The oldest commit that a memtable has. The caller holds the freeze lock exclusively.
    fn oldest_in_memory(&self) -> Option<Ts> {
        let timelines = self.timelines.all().into_iter();
        let oldest = timelines.filter_map(|(_, timeline)| {
            let sources = timeline.sources();
            sources.memtables().filter_map(|m| m.ts_min()).min()
        });
        oldest.min()
    }

    /// Step 5, unless the timeline was dropped. No commit at or before the time returned is in memory only.
    fn swap(
        &self,
        timeline: &Timeline,
        memtable: &Arc<Memtable>,
        reader: SegmentReader,
    ) -> Option<Ts> {
        let old = planted::is(Bug::SwapOfOldSources).then(|| timeline.sources());
        // Commits that are under way have not told the memtables of their time.
        let _window = self.freeze.write();
        if timeline.is_dropped() {
            return None;
        }
        let mut sources = Superversion::clone(&old.unwrap_or_else(|| timeline.sources()));
        let is_it = |layer: &Layer| matches!(layer, Layer::Memtable(m) if Arc::ptr_eq(m, memtable));
        sources.layers.retain(|layer| !is_it(layer));
        if planted::is(Bug::SwapShowsGap) {
            timeline.set_sources(sources.clone());
        }
        match planted::is(Bug::FlushInFront) {
            false => Layer::Segment(reader).put_by_age(&mut sources.layers),
            true => sources.layers.insert(0, Layer::Segment(reader)),
        }
        timeline.set_sources(sources);
        self.timelines.note_flushed(memtable.bytes());
        let before = match planted::is(Bug::LogForgetsBranches) {
            false => self.oldest_in_memory(),
            true => None,
        };
        let before = before.map(|oldest| Ts(oldest.0.saturating_sub(1)));
        Some(before.map_or(memtable.ts_max(), |before| before.min(memtable.ts_max())))
    }

    /// Step 3.
    fn write_segment(
        &self,
        number: u64,
        timeline: &Arc<Timeline>,
        memtable: &Memtable,
        pace: Option<&Pace<'_>>,
    ) -> Result<SegmentReader> {
        let name = name_of(number);
        let options = self.segment_options();
        let codecs = self.flusher.codecs.current();
        let writer = SegmentWriter::create(&self.io, &name, timeline.id(), options, codecs)?;
        let mut tables = TableDefs {
            newest: Path::new(timeline, Ts::MAX),
            known: HashMap::new(),
        };
        let mut definition_of = |collection| tables.get(collection);
        let mut writer = KeyedWriter::new(writer, &mut definition_of);
        let mut failed = None;
        let mut versions = 0;
        memtable.visit(Bound::Unbounded, Bound::Unbounded, |full, chain| {
            versions += 1;
            if let Some(pace) = pace.filter(|_| versions % PACE_VERSIONS == 0) {
                pace.step(&|| self.flush_pressure());
            }
            match write_chain(&mut writer, full, chain) {
                Ok(()) => ControlFlow::Continue(()),
                Err(e) => {
                    failed = Some(e);
                    ControlFlow::Break(())
                }
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let meta = writer.finish()?;
        self.io
            .sync_dir(SEGMENTS)
            .map_err(|e| Error::io("sync", SEGMENTS, e))?;
        self.flusher.open_segment(&self.io, &name, Some(&meta))
    }
}

/// Write a key's versions, newest first. A version of a frozen memtable is committed, or belongs to a
/// commit that the stopped log refused.
fn write_chain(writer: &mut KeyedWriter<'_>, full: &[u8], chain: &Chain) -> Result<()> {
    let mut end: Option<Ts> = None;
    let mut next = chain.head();
    while let Some(version) = next {
        if let Some(begin) = version.ts() {
            writer.push(full, begin, end, version.value())?;
            end = Some(begin);
        }
        next = version.prev().cloned();
    }
    Ok(())
}

/// The definitions that a flush writes rows under.
struct TableDefs {
    newest: Path,
    known: HashMap<CollectionId, Option<TableDef>>,
}

impl TableDefs {
    /// The newest definition of a table, `None` for another collection. Dropped columns count as live, so that their values stay readable AS OF a time
    /// before the drop; but not on a codec's account.
    fn get(&mut self, collection: CollectionId) -> Result<Option<TableDef>> {
        if let Some(known) = self.known.get(&collection) {
            return Ok(known.clone());
        }
        let def = self.newest.newest_definition(collection)?;
        let def = def.map(all_live);
        self.known.insert(collection, def.clone());
        Ok(def)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_their_numbers_back() {
        assert_eq!(parse_name("00000000000000ff.seg"), Some(255));
        assert_eq!(name_of(255), "segments/00000000000000ff.seg");
        for name in ["ff.seg", "00000000000000ff", "00000000000000fg.seg"] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
