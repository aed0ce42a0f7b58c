//! Creating, dropping and naming timelines, and what is noted of them.
//!
//! A change is one record in the log, with a time like a commit's, told to its caller when it is durable; one
//! change at a time. The record of a drop, and of a name that moves, is put into the log with commits kept out, so that no
//! transaction of before comes after it. Files go when the log no longer names them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::set::MAIN_NAME;
use super::{Base, Epoch, LiveRows, Timeline};
use crate::catalog::{CATALOG, decode_table, table_of};
use crate::compact::{Needed, named};
use crate::engine::EngineInner;
use crate::error::{Error, Result};
use crate::ids::{TimelineId, Ts};
use crate::manifest::{TimelineChange, TimelineName};
use crate::memtable::Memtable;
use crate::schema::Retention;
use crate::view::Superversion;
use crate::wal::log::{Reservation, Ticket};
use crate::wal::record::Record;

/// Bytes of a timeline's name.
const NAME_BYTES_MAX: usize = 255;
/// Bytes of the note that the layer above keeps with a timeline.
pub const NOTE_BYTES_MAX: usize = 16 << 10;

/// What there is to know of a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineInfo {
    pub id: TimelineId,
    pub name: String,
    /// What was noted when it was created, or since.
    pub note: Vec<u8>,
    /// Where it branched off: the parent, and the newest timestamp that both have in common. Other than
    /// the timeline that was asked for when that had nothing of its own yet.
    pub base: Option<(TimelineId, Ts)>,
    /// Held by this timeline alone.
    pub segments: usize,
    pub segment_bytes: u64,
    pub memtable_bytes: usize,
}

/// A timeline of another database that is to be made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedTimeline {
    pub id: TimelineId,
    pub name: String,
    pub note: Vec<u8>,
    pub parent: TimelineId,
    /// The newest timestamp that both have in common.
    pub fork_ts: Ts,
}

impl TimelineInfo {
    fn of(name: String, timeline: &Timeline) -> TimelineInfo {
        let sources = timeline.sources();
        TimelineInfo {
            id: timeline.id(),
            name,
            note: timeline.note(),
            base: timeline
                .base()
                .map(|base| (base.parent.id(), base.fork_ts())),
            segments: sources.segments().count(),
            segment_bytes: sources.segments().map(|s| s.meta().bytes).sum(),
            memtable_bytes: sources.memtables().map(|m| m.bytes()).sum(),
        }
    }
}

impl EngineInner {
    /// Where a timeline branched off, and its note.
    pub fn timeline_base(&self, id: TimelineId) -> Result<(Option<TimelineId>, Vec<u8>)> {
        let timeline = self.timelines.get(id)?;
        let parent = timeline.base().map(|base| base.parent.id());
        Ok((parent, timeline.note()))
    }

    pub fn timeline_info(&self) -> Vec<TimelineInfo> {
        let all = self.timelines.all().into_iter();
        all.map(|(name, timeline)| TimelineInfo::of(name, &timeline))
            .collect()
    }

    pub fn create_timeline(
        &self,
        name: &str,
        from: TimelineId,
        at: Ts,
        note: &[u8],
    ) -> Result<TimelineId> {
        check_name(name)?;
        check_note(note)?;
        let now = self.latest().max(Ts(self.io.now_micros()));
        if at > now {
            return Err(Error::SnapshotTooNew {
                asked: at,
                latest: now,
            });
        }
        self.log.check()?;
        self.settle(at)?;
        let mut next = self.timelines.turn();
        self.check_free(name)?;
        let from = self.timelines.get(from)?;
        let base = match self.base_of(&from, at, None) {
            // Some table does not go back as far; whether it has to is in the catalog of then.
            Err(Error::SnapshotTooOld { .. }) => {
                let needed = self.needed_at(&from, at)?;
                self.base_of(&from, at, Some(&needed))?
            }
            base => base?,
        };
        let (parent, fork_ts) = (base.parent.id(), base.fork_ts());
        let id = *next;
        *next = TimelineId(id.0.saturating_add(1));
        let change = TimelineChange::Create {
            id,
            name: name.to_owned(),
            parent,
            fork_ts,
            note: note.to_vec(),
        };
        let reserved = self.log.reserve(record_bytes(&change))?;
        let push = || self.push_timeline(change, reserved);
        let logged = self.sequences.branch(parent, id, push);
        if let Err(error) = logged.and_then(|ticket| self.log.wait(ticket)) {
            self.sequences.forget(id);
            return Err(error);
        }
        let sources = Superversion {
            active: Arc::new(Memtable::within(id, &self.memory)),
            layers: Vec::new(),
        };
        let live = LiveRows::new(BTreeMap::new());
        let timeline = Timeline::new(
            id,
            Some(base),
            note.to_vec(),
            sources,
            live,
            !self.is_inline(),
        );
        self.timelines.insert(name.to_owned(), timeline);
        Ok(id)
    }

    pub fn load_timelines(&self, next: TimelineId, loaded: &[LoadedTimeline]) -> Result<()> {
        self.log.check()?;
        let mut turn = self.timelines.turn();
        let latest = self.latest();
        let mut made: Vec<(String, Arc<Timeline>)> = Vec::with_capacity(loaded.len());
        for timeline in loaded {
            let (id, fork_ts) = (timeline.id, timeline.fork_ts);
            check_name(&timeline.name)?;
            check_note(&timeline.note)?;
            self.check_free(&timeline.name)?;
            let is_taken = |(name, other): &(String, _)| {
                let other: &Arc<Timeline> = other;
                other.id() == id || *name == timeline.name
            };
            let refused = |why: &str| Error::invalid(format!("timeline {id} {why}"));
            if id < *turn || id >= next || made.iter().any(is_taken) {
                return Err(refused(
                    "is there, or its name, or it is not below the next",
                ));
            }
            if fork_ts > latest {
                return Err(refused("branched off at a time to come"));
            }
            let parent = made.iter().find(|(_, other)| other.id() == timeline.parent);
            let parent = match parent {
                Some((_, parent)) => Arc::clone(parent),
                None => self.timelines.get(timeline.parent)?,
            };
            if parent.base().is_some_and(|base| fork_ts < base.fork_ts()) {
                return Err(refused("branched off before its parent did"));
            }
            let fork = match self.pins.fork(fork_ts, None) {
                // As for one that is made: what the branch had from above when its database made it.
                Err(Error::SnapshotTooOld { .. }) => {
                    let (line, at) = above_all(&made, &parent, fork_ts);
                    let needed = self.needed_at(&line, at)?;
                    self.pins.fork(fork_ts, Some(&needed))?
                }
                fork => fork?,
            };
            let sources = Superversion {
                active: Arc::new(Memtable::within(id, &self.memory)),
                layers: Vec::new(),
            };
            let base = Some(Base { parent, fork });
            let live = LiveRows::new(BTreeMap::new());
            let note = timeline.note.clone();
            let timeline_made = Timeline::new(id, base, note, sources, live, !self.is_inline());
            made.push((timeline.name.clone(), timeline_made));
        }
        let change = TimelineChange::Load(next, loaded.to_vec());
        let reserved = self.log.reserve(record_bytes(&change))?;
        let ticket = self.push_timeline(change, reserved)?;
        self.log.wait(ticket)?;
        *turn = next.max(*turn);
        for (name, timeline) in made {
            self.sequences.restore([], timeline.id(), []);
            self.timelines.insert(name, timeline);
        }
        Ok(())
    }

    /// Where a branch of `timeline` at `at` starts: at the nearest timeline above that has something of its
    /// own by then.
    fn base_of(&self, timeline: &Arc<Timeline>, at: Ts, needed: Option<&Needed>) -> Result<Base> {
        let _window = self.freeze.write();
        let (mut parent, mut fork_ts) = (Arc::clone(timeline), at);
        while let Some(base) = parent.base() {
            if fork_ts > base.fork_ts() && !parent.is_unmodified(fork_ts) {
                break;
            }
            fork_ts = fork_ts.min(base.fork_ts());
            parent = Arc::clone(&base.parent);
        }
        let fork = self.pins.fork(fork_ts, needed)?;
        Ok(Base { parent, fork })
    }

    /// The collections whose past a branch AS OF `at` is to have: those of tables that were there, but for
    /// temporary ones, which nobody reads there.
    fn needed_at(&self, timeline: &Arc<Timeline>, at: Ts) -> Result<Needed> {
        self.pins.check(at)?;
        let view = self.view(timeline, at, None);
        let mut needed = Needed::new();
        for entry in view.range(CATALOG, Bound::Unbounded, Bound::Unbounded)? {
            let (key, value) = entry?;
            let def = decode_table(table_of(&key)?, &value)?;
            if def.retention != Some(Retention::NONE) {
                needed.extend(named(&def).map(|collection| (collection, def.id)));
            }
        }
        Ok(needed)
    }

    /// Drops a timeline, if it has nothing of its own that is newer than a time; whether it did.
    pub fn drop_timeline(&self, id: TimelineId, newest: Ts) -> Result<bool> {
        let _turn = self.timelines.turn();
        let timeline = self.timelines.get(id)?;
        let name = self.timelines.name_of(id).unwrap_or_default();
        if name == MAIN_NAME {
            return Err(Error::invalid("the main timeline cannot be dropped"));
        }
        let is_child = |(name, other): (String, Arc<Timeline>)| {
            let base = other.base().filter(|base| base.parent.id() == id);
            base.map(|_| name)
        };
        let children: Vec<_> = self
            .timelines
            .all()
            .into_iter()
            .filter_map(is_child)
            .collect();
        if !children.is_empty() {
            return Err(Error::TimelineHasBranches { name, children });
        }
        // Before the window, in which nobody waits for a disk. A full one is not to refuse what makes room.
        let change = TimelineChange::Drop(id);
        let reserved = self.log.reserve_own(record_bytes(&change))?;
        let (ticket, sources) = {
            let _window = self.freeze.write();
            if !timeline.is_within(newest) {
                return Ok(false);
            }
            let ticket = self.push_timeline(change, reserved)?;
            timeline.set_dropped();
            self.timelines.remove(id);
            let sources = timeline.sources();
            self.timelines.note_gone(sources.active.bytes());
            let frozen: usize = sources.frozen().map(|memtable| memtable.bytes()).sum();
            self.timelines.note_flushed(frozen);
            (ticket, sources)
        };
        self.sequences.forget(id);
        self.log.wait(ticket)?;
        for segment in sources.segments() {
            self.remove_segment(&segment.meta().name);
        }
        Ok(true)
    }

    pub fn note_timeline(&self, id: TimelineId, note: &[u8]) -> Result<()> {
        check_note(note)?;
        let _turn = self.timelines.turn();
        let timeline = self.timelines.get(id)?;
        let change = TimelineChange::Note(id, note.to_vec());
        let reserved = self.log.reserve(record_bytes(&change))?;
        let ticket = self.push_timeline(change, reserved)?;
        self.log.wait(ticket)?;
        timeline.set_note(note.to_vec());
        Ok(())
    }

    pub fn rename_timeline(&self, id: TimelineId, name: &str) -> Result<()> {
        check_name(name)?;
        let _turn = self.timelines.turn();
        let timeline = self.timelines.get(id)?;
        let old = self.timelines.name_of(timeline.id()).unwrap_or_default();
        if old == name {
            return Ok(());
        }
        if old == MAIN_NAME {
            return Err(Error::invalid(
                "the main timeline keeps its name, unless another one takes it",
            ));
        }
        self.check_free(name)?;
        self.set_names(vec![TimelineName::new(id, name.to_owned())], &[])
    }

    pub fn swap_timelines(&self, a: TimelineId, b: TimelineId) -> Result<()> {
        let _turn = self.timelines.turn();
        let (one, other) = (self.timelines.get(a)?, self.timelines.get(b)?);
        if a == b {
            return Ok(());
        }
        let name = |id| self.timelines.name_of(id).unwrap_or_default();
        let names = [(a, name(b)), (b, name(a))].map(|(id, name)| TimelineName::new(id, name));
        self.set_names(names.into(), &[one, other])
    }

    /// See [`Closed::make_main`](super::Closed::make_main).
    pub(super) fn replace_main(
        &self,
        closed: &[(Arc<Timeline>, Epoch)],
        id: TimelineId,
        note: &[u8],
        (others_name, others_note): (&str, &[u8]),
    ) -> Result<()> {
        check_name(others_name)?;
        check_note(note)?;
        check_note(others_note)?;
        let _turn = self.timelines.turn();
        let (new, old) = (self.timelines.get(id)?, self.main());
        for timeline in [&new, &old] {
            let mut all = closed.iter();
            if !all
                .any(|(closed, epoch)| Arc::ptr_eq(closed, timeline) && !timeline.has_moved(*epoch))
            {
                return Err(Error::TimelineMoved);
            }
        }
        if Arc::ptr_eq(&new, &old) {
            return Err(Error::invalid("the timeline is the main one already"));
        }
        if self.timelines.name_of(id).as_deref() != Some(others_name) {
            self.check_free(others_name)?;
        }
        let named = |id, name: &str, note: &[u8]| TimelineName {
            note: note.to_vec(),
            ..TimelineName::new(id, name.to_owned())
        };
        let names = vec![
            named(old.id(), others_name, others_note),
            named(id, MAIN_NAME, note),
        ];
        self.set_names(names, &[new, old])
    }

    /// Give names; transactions of now on `moved` come to nothing. The caller has the turn.
    fn set_names(&self, names: Vec<TimelineName>, moved: &[Arc<Timeline>]) -> Result<()> {
        let main = names.iter().find(|named| named.name == MAIN_NAME);
        let main = main.map(|named| self.timelines.get(named.id)).transpose()?;
        let ticket = loop {
            // Transactions write pins on the main timeline only, so only a load could bring others to this one.
            let pins = match &main {
                Some(main) => Some((main, main.sources(), self.pins_on(main)?)),
                None => None,
            };
            let change = TimelineChange::Name(names.clone());
            let reserved = self.log.reserve(record_bytes(&change))?;
            let _window = self.freeze.write();
            let is_other = |known: &Arc<_>, main: &Timeline| !Arc::ptr_eq(known, &main.sources());
            if matches!(&pins, Some((main, known, _)) if is_other(known, main)) {
                continue;
            }
            let ticket = self.push_timeline(change, reserved)?;
            self.timelines.set_names(&names, moved);
            if let Some((_, _, pins)) = pins {
                self.pins.name_all(pins);
            }
            break ticket;
        };
        self.log.wait(ticket)
    }

    fn push_timeline(&self, change: TimelineChange, reserved: Reservation<'_>) -> Result<Ticket> {
        let record = |ts| Record::timeline(change.at(ts));
        self.log.push_at(reserved, record)
    }

    fn check_free(&self, name: &str) -> Result<()> {
        match self.timelines.id_of(name) {
            None => Ok(()),
            Some(_) => Err(Error::TimelineExists {
                name: name.to_owned(),
            }),
        }
    }
}

/// The timeline above those that are being made, whose catalog is there, and up to when `parent` at a time shows it. What
/// was made on the way has no history yet that could be too short.
fn above_all(
    made: &[(String, Arc<Timeline>)],
    parent: &Arc<Timeline>,
    at: Ts,
) -> (Arc<Timeline>, Ts) {
    let (mut line, mut at) = (parent, at);
    while let Some(base) = line.base()
        && made.iter().any(|(_, other)| Arc::ptr_eq(other, line))
    {
        at = at.min(base.fork_ts());
        line = &base.parent;
    }
    (Arc::clone(line), at)
}

/// What the record of a change takes.
fn record_bytes(change: &TimelineChange) -> usize {
    Record::timeline(change.clone().at(Ts::ZERO)).bytes.len()
}

fn check_name(name: &str) -> Result<()> {
    match name.len() {
        1..=NAME_BYTES_MAX if !name.contains('\0') => Ok(()),
        _ => Err(Error::invalid(format!("{name:?} cannot name a timeline"))),
    }
}

fn check_note(note: &[u8]) -> Result<()> {
    match note.len() {
        0..=NOTE_BYTES_MAX => Ok(()),
        bytes => Err(Error::invalid(format!(
            "a note of {bytes} bytes on a timeline; {NOTE_BYTES_MAX} are the most"
        ))),
    }
}
