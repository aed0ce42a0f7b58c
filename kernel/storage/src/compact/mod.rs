//! Compaction: what becomes of segments after their flush, and of history after its time.
//!
//! 1. *Pick* neighbours in the order of age ([`policy`]), and say how far back history is still wanted:
//!    no further than the retention, unless somebody holds on to it ([`pins`]) or the clock is not to be
//!    believed ([`clock`]).
//! 2. *Write* one segment of what is in them, collection by collection ([`rows`], [`entries`]), without
//!    what nobody can see any more ([`keep`], [`definitions`]); sync it and its name.
//! 3. *Publish* it with a record in the log that puts it in the place of the others, and wait for that to
//!    be durable.
//! 4. *Swap* the readers, and remove the files of the others. Views that have them open read on.
//!
//! A crash or failure before step 3 leaves a file that no manifest names, after it files that none names
//! any more: the next open removes them. One compaction runs at a time; flushes and loads go on beside it,
//! since they only add what is newer. After each flush the background does what the policy wants, where
//! there is a background.
//!
//! In the background it works at the pace of the CPU governor ([`pace`]).
//!
//! Promises:
//!
//! 1. What a view AS OF the horizon or later shows is the same before and after.
//! 2. Memory does not grow with the files: a page or two per file and column, of no more files than the
//!    budget has room for, and the RowIds of a table as bitmaps.
//! 3. What a timeline showed where another one branched off is part of 1: the horizon does not pass it.
//!    Each timeline's files are merged for themselves, and a delete stays while a timeline above has
//!    something of its collection.
//! 4. A file with pages of a codec that is missing, or that cannot be read, is left alone and parts what
//!    is before it from what is after it.

mod clock;
mod definitions;
mod entries;
mod keep;
mod merge;
mod pace;
mod pins;
mod policy;
mod rows;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

pub use self::definitions::named;
pub use self::merge::merge_newest;
pub use self::pins::{Fork, Holder, Needed, Pin, Pins};

use self::clock::Clock;
use self::definitions::{Definitions, Judged};
use self::merge::{Merging, garbage_bytes};
use self::pace::{Background, Caller};
use self::policy::File;
use crate::engine::EngineInner;
use crate::error::{Error, Result};
use crate::flush::{entry_of, name_of, number_of};
use crate::history::Horizons;
use crate::ids::Ts;
use crate::interrupt::Interrupt;
use crate::io::Io;
use crate::manifest::CompactionEdit;
use crate::planted::{self, Bug};
use crate::schema::Retention;
use crate::segment::SegmentReader;
use crate::timeline::Timeline;
use crate::view::{Layer, Path, Superversion};
use crate::wal::record::Record;

/// What compactions did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    pub compactions: u64,
    pub files_in: u64,
    pub files_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Versions of rows and entries that were left out.
    pub versions_dropped: u64,
}

impl Compacted {
    fn add(&mut self, other: Compacted) {
        self.compactions += other.compactions;
        self.files_in += other.files_in;
        self.files_out += other.files_out;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.versions_dropped += other.versions_dropped;
    }
}

/// How far history goes back, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Horizon {
    /// See [`Engine::oldest_ts`](crate::Engine::oldest_ts).
    pub oldest_ts: Ts,
    /// `None` is for ever.
    pub retention_micros: Option<u64>,
    pub held_by: HeldBy,
    /// The oldest snapshot that a transaction reads.
    pub oldest_snapshot: Option<Ts>,
}

/// What keeps the next compaction from letting more history go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HeldBy {
    /// All of it is to be kept.
    Forever,
    /// It is not past its time.
    #[default]
    Retention,
    /// A transaction's snapshot is older than what is past its time.
    Snapshot,
    /// A pin or a cursor is, which is named.
    Named(String),
    /// A timeline branched off at a time that is past.
    Branch,
    /// The clock jumped, and nobody said that it is right.
    Clock,
}

/// What to merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// What the policy wants.
    Due,
    /// All there is when it begins, into one file.
    Everything,
}

/// What the engine keeps for compaction.
pub struct Compactor {
    /// One compaction at a time.
    turn: Mutex<Clock>,
    /// Files that could not be read.
    unreadable: Mutex<HashSet<String>>,
    done: Mutex<Compacted>,
    state: Mutex<State>,
    changed: Condvar,
    /// Ends the background's work.
    interrupt: Arc<Interrupt>,
    clock_jumped: AtomicBool,
    /// Who waits for the turn, and does not want to wait for long.
    waited: AtomicUsize,
}

#[derive(Default)]
struct State {
    wanted: bool,
    stopping: bool,
}

impl Compactor {
    pub fn new(io: &dyn Io) -> Compactor {
        Compactor {
            turn: Mutex::new(Clock::new(io)),
            unreadable: Mutex::default(),
            done: Mutex::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
            interrupt: Interrupt::new(),
            clock_jumped: false.into(),
            waited: 0.into(),
        }
    }

    /// What was done since the database was opened.
    pub fn done(&self) -> Compacted {
        *self.done.lock()
    }

    /// Whether history is kept because the clock jumped, as far as anybody has looked.
    pub fn clock_jumped(&self) -> bool {
        self.clock_jumped.load(Ordering::Relaxed)
    }

    /// Look at the clock, unless a compaction, which does so itself, is under way.
    pub fn look_at_clock(&self, io: &dyn Io) {
        if let Some(mut clock) = self.turn.try_lock() {
            clock.now(io);
            let jumped = clock.has_jumped();
            self.clock_jumped.store(jumped, Ordering::Relaxed);
        }
    }

    /// Believe the clock again.
    pub fn confirm_clock(&self, io: &dyn Io) {
        *self.turn.lock() = Clock::new(io);
        self.clock_jumped.store(false, Ordering::Relaxed);
    }

    /// Ask the background to see what is due.
    pub fn want(&self) {
        self.state.lock().wanted = true;
        self.changed.notify_all();
    }

    /// Wait for the compaction that somebody is in the middle of.
    pub fn wait(&self) {
        drop(self.turn.lock());
    }

    /// End the background's work, also in the middle.
    pub fn stop(&self) {
        self.interrupt.cancel();
        self.state.lock().stopping = true;
        self.changed.notify_all();
    }

    /// Sleep until something may be due; whether to go on.
    fn sleep(&self) -> bool {
        let mut state = self.state.lock();
        while !state.wanted && !state.stopping {
            self.changed.wait(&mut state);
        }
        state.wanted = false;
        !state.stopping
    }
}

impl EngineInner {
    /// The background thread.
    pub fn compact_when_wanted(&self) {
        let background = Background::new(&self.governor);
        while self.compactor.sleep() {
            match self.compact_for(Caller::Background(&background), Goal::Due) {
                Ok(_) | Err(Error::Canceled | Error::Stopped { .. }) => {}
                Err(e) => tracing::error!("compaction: {e}"),
            }
            background.rest();
        }
    }

    /// Merge until the goal is reached, as fast as can be: somebody waits. `interrupt` ends it between
    /// two pages; what was published until then stays.
    pub fn compact(&self, goal: Goal, interrupt: &Interrupt) -> Result<Compacted> {
        self.compactor.waited.fetch_add(1, Ordering::SeqCst);
        self.governor.wake();
        let compacted = self.compact_for(Caller::Waiting(interrupt), goal);
        self.compactor.waited.fetch_sub(1, Ordering::SeqCst);
        compacted
    }

    fn compact_for(&self, caller: Caller<'_>, goal: Goal) -> Result<Compacted> {
        let mut all = Compacted::default();
        for (_, timeline) in self.timelines.all() {
            all.add(self.compact_timeline(&timeline, caller, goal)?);
        }
        Ok(all)
    }

    fn compact_timeline(
        &self,
        timeline: &Arc<Timeline>,
        caller: Caller<'_>,
        goal: Goal,
    ) -> Result<Compacted> {
        let mut all = Compacted::default();
        // What flushes bring meanwhile is not waited for: there may be no end of it.
        let sources = timeline.sources();
        let names = sources.segments().map(|segment| &segment.meta().name);
        let mut among: HashSet<String> = names.cloned().collect();
        loop {
            let mut clock = self.compactor.turn.lock();
            let now = clock.now(&*self.io);
            let jumped = clock.has_jumped();
            self.compactor.clock_jumped.store(jumped, Ordering::Relaxed);
            let compacted = self.compact_once(timeline, goal, &mut among, now, caller);
            self.pins.give_up();
            if let Err(error) = &compacted {
                if timeline.is_dropped() && self.log.check().is_ok() {
                    // Its files went away beneath the merge.
                    return Ok(all);
                }
                self.note_unreadable(error);
            }
            match self.stop_after_sync(compacted)? {
                None => return Ok(all),
                Some(compacted) => {
                    self.compactor.done.lock().add(compacted);
                    all.add(compacted);
                }
            }
        }
    }

    pub fn horizon(&self) -> Horizon {
        let retention_micros = self.options.retention_micros;
        let retention = retention_micros.map_or(Retention::Forever, Retention::Micros);
        Horizon {
            oldest_ts: self.pins.horizons().all(),
            retention_micros,
            held_by: self.held_by(retention),
            oldest_snapshot: self.pins.snapshots().first().map(|(ts, _)| *ts),
        }
    }

    /// Of all timelines.
    fn segment_count(&self) -> usize {
        let timelines = self.timelines.all().into_iter();
        timelines
            .map(|(_, timeline)| timeline.sources().segments().count())
            .sum()
    }

    /// What keeps what is to be kept for so long.
    pub fn held_by(&self, retention: Retention) -> HeldBy {
        if self.compactor.clock_jumped() {
            return HeldBy::Clock;
        }
        let Retention::Micros(micros) = retention else {
            return HeldBy::Forever;
        };
        let past = Ts(self.io.now_micros().saturating_sub(micros));
        let holder = self.pins.oldest(self.cursors_expire_before());
        match holder.filter(|holder| holder.ts() < past) {
            None => HeldBy::Retention,
            Some(Holder::Snapshot(_)) => HeldBy::Snapshot,
            Some(Holder::Named(pin)) => HeldBy::Named(pin.name),
            Some(Holder::Branch(_)) => HeldBy::Branch,
        }
    }

    /// How far back history is wanted, not to speak of those who hold on to it. When the clock cannot be
    /// believed all of it is.
    fn history_wanted(&self, now: Option<u64>, visible: Ts, definitions: &Definitions) -> Horizons {
        let wanted = |retention| match (now, retention) {
            (Some(now), Retention::Micros(kept)) => Ts(now.saturating_sub(kept)).min(visible),
            _ => Ts::ZERO,
        };
        let retention = self.options.retention_micros;
        let retention = retention.map_or(Retention::Forever, Retention::Micros);
        let mut horizons = Horizons::new(wanted(retention));
        for (id, retention) in definitions.retentions() {
            horizons.set(id, wanted(retention));
        }
        horizons
    }

    /// One merge, of everything only `among` these files, which the new one is added to; `None` when there
    /// is nothing to do.
    fn compact_once(
        &self,
        timeline: &Arc<Timeline>,
        goal: Goal,
        among: &mut HashSet<String>,
        now: Option<u64>,
        caller: Caller<'_>,
    ) -> Result<Option<Compacted>> {
        self.log.check()?;
        let check = || caller.check(self);
        check()?;
        let visible = self.log.visible();
        // Of all that is committed, and not AS OF a time before the sources were taken: a segment among
        // them may hold columns of a definition that is newer than that time.
        let view = self.view(timeline, Ts::MAX, None);
        let definitions = Definitions::read(&view)?;
        // How long the past is kept is what the main timeline says.
        let main = self.main();
        let wanted = match Arc::ptr_eq(&main, timeline) {
            true => self.history_wanted(now, visible, &definitions),
            false => {
                let main = Definitions::read(&self.view(&main, Ts::MAX, None))?;
                self.history_wanted(now, visible, &main)
            }
        };
        let expired = self.cursors_expire_before();
        let horizons = self.pins.limit(&wanted, expired);
        let judged = definitions.at(&horizons);
        let path = &view.0.path;
        let sources = path.own();
        let files = self.files(path, &horizons, &judged);
        let files_max = self.files_at_once();
        let range = match goal {
            Goal::Due => policy::next(&files, self.options.compaction_bytes_max, files_max),
            Goal::Everything => {
                let late = |layer: &&Layer| match layer {
                    Layer::Memtable(_) => true,
                    Layer::Segment(segment) => !among.contains(&segment.meta().name),
                };
                let late = sources.layers.iter().take_while(late).count();
                let range = policy::everything(&files[late..], files_max);
                range.map(|range| late + range.start..late + range.end)
            }
        };
        let Some(range) = range else {
            return Ok(None);
        };
        if let Caller::Background(background) = caller {
            let debt = policy::debt(&files, self.options.compaction_bytes_max, files_max);
            background.begin(debt, self.segment_count());
        }
        // Pins may have been taken since, or let go; a load may have raised the horizons.
        let planned = self.pins.plan(&wanted, expired);
        let judged = definitions.at(&planned);
        let merging = Merging::new(self, path, range, &planned, &judged, &check);
        drop(view);
        let number = self.take_segment_number()?;
        let written = merging.write(number);
        let published = written.and_then(|reader| {
            let lost = merging.loses_history(reader.as_ref());
            let published =
                self.publish(timeline, merging.segments(), number, reader.as_ref(), lost)?;
            Ok(published.then_some(reader))
        });
        if published.is_err() && self.is_open() && self.log.check().is_ok() {
            // As far as it goes, and not when the log may name it: the next open removes what is left.
            let _ = self.io.remove(&name_of(number));
        }
        let Some(merged) = published? else {
            // The timeline was dropped meanwhile.
            self.remove_segment(&name_of(number));
            return Ok(None);
        };
        among.extend(merged.iter().map(|reader| reader.meta().name.clone()));
        for segment in merging.segments() {
            self.remove_segment(&segment.meta().name);
        }
        Ok(Some(compacted(merging.segments(), merged.as_ref())))
    }

    /// How many files a merge may have open, of which each may have pages decoded.
    fn files_at_once(&self) -> usize {
        self.memory.work_bytes_max() / (merge::RUN_PAGES * self.options.page_bytes)
    }

    /// What the policy is to know of the layers. Only what is older than all memtables is merged: the
    /// segments of the others will stand between those that are newer, and no file is to tell of times
    /// on both sides of what the log alone has.
    fn files(&self, path: &Path, horizons: &Horizons, definitions: &Judged) -> Vec<File> {
        let sources = path.own();
        let codecs = self.flusher.codecs().current();
        let unreadable = self.compactor.unreadable.lock();
        let is_memtable = |layer: &Layer| matches!(layer, Layer::Memtable(_));
        let last = sources.layers.iter().rposition(is_memtable);
        let settled = last.map_or(0, |place| place + 1);
        let files = sources.layers.iter().enumerate().map(|(place, layer)| {
            let segment = layer.segment().filter(|_| place >= settled);
            let Some(segment) = segment else {
                return File {
                    bytes: 0,
                    garbage_bytes: 0,
                    readable: false,
                };
            };
            let older = &sources.layers[place + 1..];
            let mut needed = segment.codecs().into_iter();
            File {
                bytes: segment.meta().bytes,
                garbage_bytes: garbage_bytes(segment, path, older, horizons, definitions),
                readable: !unreadable.contains(&segment.meta().name)
                    && needed.all(|name| codecs.codec(&name).is_some()),
            }
        });
        files.collect()
    }

    /// Steps 3 and 4: `merged`, if anything was left, takes the place of `segments`. Whether the timeline is
    /// still there for that.
    fn publish(
        &self,
        timeline: &Timeline,
        segments: &[SegmentReader],
        number: u64,
        merged: Option<&SegmentReader>,
        lost: bool,
    ) -> Result<bool> {
        if !lost {
            self.pins.give_up();
        }
        let numbers = segments.iter().map(|segment| {
            let name = &segment.meta().name;
            number_of(name).ok_or_else(|| Error::internal(format!("\"{name}\" has no number")))
        });
        let edit = CompactionEdit {
            timeline: timeline.id(),
            horizons: Horizons::clone(&self.pins.horizons()),
            removed: numbers.collect::<Result<_>>()?,
            added: merged
                .iter()
                .map(|reader| entry_of(number, reader))
                .collect(),
        };
        let record = Record::compaction(edit);
        let reserved = self.log.reserve_own(record.bytes.len())?;
        let ticket = {
            // A drop comes before this in the log, or after it.
            let _window = self.freeze.read();
            if timeline.is_dropped() {
                return Ok(false);
            }
            self.log.push_reserved(record, reserved)?
        };
        if planted::is(Bug::InputsRemovedEarly) {
            let names = segments.iter().map(|segment| &segment.meta().name);
            names.for_each(|name| self.remove_segment(name));
        }
        self.log.wait(ticket)?;
        self.pins.settle();
        let old = planted::is(Bug::MergeOfOldSources).then(|| timeline.sources());
        let _window = self.freeze.write();
        if timeline.is_dropped() {
            return Ok(false);
        }
        let sources = old.unwrap_or_else(|| timeline.sources());
        let removed = |layer: &Layer| match layer {
            Layer::Memtable(_) => false,
            Layer::Segment(reader) => {
                let name = &reader.meta().name;
                segments.iter().any(|segment| segment.meta().name == *name)
            }
        };
        let mut layers = sources.layers.clone();
        if let Some(place) = layers.iter().position(removed) {
            layers.retain(|layer| !removed(layer));
            layers.splice(place..place, merged.cloned().map(Layer::Segment));
        }
        timeline.set_sources(Superversion {
            active: Arc::clone(&sources.active),
            layers,
        });
        Ok(true)
    }

    /// Do not try a damaged file again.
    fn note_unreadable(&self, error: &Error) {
        if let Error::Corruption { file, .. } | Error::CodecFailed { file, .. } = error {
            tracing::error!("\"{file}\" is left as it is: {error}");
            self.compactor.unreadable.lock().insert(file.clone());
        }
    }
}

fn compacted(segments: &[SegmentReader], merged: Option<&SegmentReader>) -> Compacted {
    let bytes = |reader: &SegmentReader| reader.meta().bytes;
    let before: u64 = segments.iter().map(merge::versions).sum();
    Compacted {
        compactions: 1,
        files_in: segments.len() as u64,
        files_out: u64::from(merged.is_some()),
        bytes_in: segments.iter().map(bytes).sum(),
        bytes_out: merged.map_or(0, bytes),
        versions_dropped: before - merged.map_or(0, merge::versions),
    }
}
