//! Timelines in the manifest, and the record that changes what timelines there are.
//!
//! ```text
//! timeline: id u32 │ parent u32 │ fork_ts u64 │ flushed_ts u64 │ logged_ts u64 │ noted name
//!           │ segments u32 │ segment … │ tables u32 │ { collection u32 │ live i64 } …
//!           │ sequences u32 │ sequence …
//!           │ counts u32 │ { ts u64 │ collection u32 │ rows i64 } …
//! edit:     ts u64 │ change
//! change:   1 create: id u32 │ parent u32 │ fork_ts u64 │ noted name
//!           2 drop:   id u32
//!           3 name:   timelines u32 │ { id u32 │ noted name } …
//!           4 note:   id u32 │ note
//!           5 load:   next u32 │ timelines u32 │ { id u32 │ parent u32 │ fork_ts u64 │ noted name } …
//! name:     length u16, UTF-8
//! note:     length u16, bytes
//! noted name: length u16, UTF-8; with 2¹⁵ added to the length, a note follows that is not empty
//! ```
//!
//! A parent of 0 is none. A note that follows a new name takes the place of the one before. An edit has a time like a
//! commit, which it is in one order with: a restore to a time takes those up to it. Every change may be applied twice in
//! a row and changes nothing the second time: one that a file's end cut in two is already in the manifest between its
//! halves.

use std::collections::BTreeMap;

use super::{
    Manifest, SegmentEntry, encode_segments, encode_sequence, parse_list, parse_sequence, put_count,
};
use crate::error::Result;
use crate::ids::{CollectionId, TimelineId, Ts};
use crate::parse::Parser;
use crate::sequence::SequenceState;
use crate::timeline::LoadedTimeline;

const CREATE: u8 = 1;
const DROP: u8 = 2;
const NAME: u8 = 3;
const NOTE: u8 = 4;
const LOAD: u8 = 5;
/// In the length of a name: a note follows.
const NOTED: u16 = 1 << 15;
const NO_PARENT: TimelineId = TimelineId(0);

/// What there is of a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    pub name: String,
    /// What the layer above keeps with it. It goes where the timeline goes, and not with the name.
    pub note: Vec<u8>,
    /// Where it branched off: the parent, and the newest timestamp in common.
    pub base: Option<(TimelineId, Ts)>,
    /// The segments hold every version that the log tells of at or before this. What is newer in them came with
    /// runs and loads.
    pub flushed_ts: Ts,
    /// The newest commit whose writes the log has, or had.
    pub logged_ts: Ts,
    /// Oldest first.
    pub segments: Vec<SegmentEntry>,
    /// By how many rows tables grew since the fork, as of `flushed_ts`.
    pub live_rows: BTreeMap<CollectionId, i64>,
    /// The last values of sequences as this timeline shows them.
    pub sequences: BTreeMap<CollectionId, SequenceState>,
    /// Rows that runs since `flushed_ts` added, by their timestamps.
    pub unflushed: Vec<(Ts, CollectionId, i64)>,
}

impl TimelineEntry {
    /// One without anything of its own.
    pub fn new(name: String, base: Option<(TimelineId, Ts)>) -> TimelineEntry {
        TimelineEntry {
            name,
            note: Vec::new(),
            base,
            flushed_ts: Ts::ZERO,
            logged_ts: Ts::ZERO,
            segments: Vec::new(),
            live_rows: BTreeMap::new(),
            sequences: BTreeMap::new(),
            unflushed: Vec::new(),
        }
    }
}

fn encode_name(name: &str, out: &mut Vec<u8>) {
    let length = u16::try_from(name.len()).expect("names of timelines are short");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(name.as_bytes());
}

fn encode_note(note: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(note.len()).expect("notes of timelines are short");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(note);
}

fn parse_note(p: &mut Parser<'_>) -> Result<Vec<u8>> {
    let length = usize::from(p.u16("a note's length")?);
    Ok(p.take(length, "a timeline's note")?.to_vec())
}

/// Timelines had no notes at first, and those without are written as they were then.
fn encode_noted_name(name: &str, note: &[u8], out: &mut Vec<u8>) {
    if note.is_empty() {
        return encode_name(name, out);
    }
    let length = u16::try_from(name.len()).expect("names of timelines are short");
    out.extend_from_slice(&(length | NOTED).to_le_bytes());
    out.extend_from_slice(name.as_bytes());
    encode_note(note, out);
}

fn parse_noted_name(p: &mut Parser<'_>) -> Result<(String, Vec<u8>)> {
    let length = p.u16("a name's length")?;
    let bytes = p.take(usize::from(length & !NOTED), "a timeline's name")?;
    let name = String::from_utf8(bytes.to_vec()).map_err(|_| p.damaged("a name in UTF-8"))?;
    let note = match length & NOTED {
        0 => Vec::new(),
        _ => parse_note(p)?,
    };
    Ok((name, note))
}

fn encode_base(base: Option<(TimelineId, Ts)>, out: &mut Vec<u8>) {
    let (parent, fork_ts) = base.unwrap_or((NO_PARENT, Ts::ZERO));
    out.extend_from_slice(&parent.0.to_le_bytes());
    out.extend_from_slice(&fork_ts.0.to_le_bytes());
}

fn parse_base(p: &mut Parser<'_>) -> Result<Option<(TimelineId, Ts)>> {
    let parent = TimelineId(p.u32("a timeline")?);
    let fork_ts = Ts(p.u64("a timestamp")?);
    Ok((parent != NO_PARENT).then_some((parent, fork_ts)))
}

pub(super) fn encode(id: TimelineId, entry: &TimelineEntry, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.0.to_le_bytes());
    encode_base(entry.base, out);
    out.extend_from_slice(&entry.flushed_ts.0.to_le_bytes());
    out.extend_from_slice(&entry.logged_ts.0.to_le_bytes());
    encode_noted_name(&entry.name, &entry.note, out);
    encode_segments(&entry.segments, out);
    encode_live(entry.live_rows.iter().map(|(id, live)| (*id, *live)), out);
    put_count(out, entry.sequences.len());
    for (id, state) in &entry.sequences {
        encode_sequence(*id, *state, out);
    }
    put_count(out, entry.unflushed.len());
    for (ts, table, rows) in &entry.unflushed {
        out.extend_from_slice(&ts.0.to_le_bytes());
        out.extend_from_slice(&table.0.to_le_bytes());
        out.extend_from_slice(&rows.to_le_bytes());
    }
}

pub(super) fn parse(p: &mut Parser<'_>) -> Result<(TimelineId, TimelineEntry)> {
    let id = TimelineId(p.u32("a timeline")?);
    let base = parse_base(p)?;
    let flushed_ts = Ts(p.u64("a timestamp")?);
    let logged_ts = Ts(p.u64("a timestamp")?);
    let (name, note) = parse_noted_name(p)?;
    let entry = TimelineEntry {
        note,
        flushed_ts,
        logged_ts,
        segments: parse_list(p, "a number of segments", SegmentEntry::parse)?,
        live_rows: parse_live(p)?,
        sequences: parse_list(p, "a number of sequences", parse_sequence)?,
        unflushed: parse_list(p, "a number of counts", |p| {
            let ts = Ts(p.u64("a timestamp")?);
            let table = CollectionId(p.u32("a table")?);
            Ok((ts, table, p.i64("a number of rows")?))
        })?,
        ..TimelineEntry::new(name, base)
    };
    Ok((id, entry))
}

/// Rows that tables have more, or fewer, than at the fork.
pub(super) fn encode_live(
    live: impl ExactSizeIterator<Item = (CollectionId, i64)>,
    out: &mut Vec<u8>,
) {
    put_count(out, live.len());
    for (table, live) in live {
        out.extend_from_slice(&table.0.to_le_bytes());
        out.extend_from_slice(&live.to_le_bytes());
    }
}

pub(super) fn parse_live<L: FromIterator<(CollectionId, i64)>>(p: &mut Parser<'_>) -> Result<L> {
    parse_list(p, "a number of tables", |p| {
        let table = CollectionId(p.u32("a table")?);
        Ok((table, p.i64("a number of rows")?))
    })
}

/// A change, and when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEdit {
    /// No commit has this time; those before it in the log are older, those behind it newer.
    pub ts: Ts,
    pub change: TimelineChange,
}

impl TimelineEdit {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ts.0.to_le_bytes());
        self.change.encode(out);
    }

    pub fn parse(p: &mut Parser<'_>) -> Result<TimelineEdit> {
        Ok(TimelineEdit {
            ts: Ts(p.u64("a timestamp")?),
            change: TimelineChange::parse(p)?,
        })
    }

    pub fn apply(&self, manifest: &mut Manifest) {
        manifest.last_ts = manifest.last_ts.max(self.ts);
        self.change.apply(manifest);
    }
}

/// A name that is given to a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineName {
    pub id: TimelineId,
    pub name: String,
    /// Another note, if it is not empty.
    pub note: Vec<u8>,
}

impl TimelineName {
    /// The timeline keeps its note.
    pub fn new(id: TimelineId, name: String) -> TimelineName {
        TimelineName {
            id,
            name,
            note: Vec::new(),
        }
    }
}

/// A change of what timelines there are, or of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimelineChange {
    Create {
        id: TimelineId,
        name: String,
        parent: TimelineId,
        fork_ts: Ts,
        note: Vec<u8>,
    },
    Drop(TimelineId),
    /// New names, all given at once.
    Name(Vec<TimelineName>),
    /// Another note.
    Note(TimelineId, Vec<u8>),
    /// Those of another database, parents first, and the first id that none of them ever had.
    Load(TimelineId, Vec<LoadedTimeline>),
}

impl TimelineChange {
    /// The same at `ts`.
    pub fn at(self, ts: Ts) -> TimelineEdit {
        TimelineEdit { ts, change: self }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            TimelineChange::Create {
                id,
                name,
                parent,
                fork_ts,
                note,
            } => {
                out.push(CREATE);
                out.extend_from_slice(&id.0.to_le_bytes());
                encode_base(Some((*parent, *fork_ts)), out);
                encode_noted_name(name, note, out);
            }
            TimelineChange::Note(id, note) => {
                out.push(NOTE);
                out.extend_from_slice(&id.0.to_le_bytes());
                encode_note(note, out);
            }
            TimelineChange::Load(next, timelines) => {
                out.push(LOAD);
                out.extend_from_slice(&next.0.to_le_bytes());
                put_count(out, timelines.len());
                for timeline in timelines {
                    out.extend_from_slice(&timeline.id.0.to_le_bytes());
                    encode_base(Some((timeline.parent, timeline.fork_ts)), out);
                    encode_noted_name(&timeline.name, &timeline.note, out);
                }
            }
            TimelineChange::Drop(id) => {
                out.push(DROP);
                out.extend_from_slice(&id.0.to_le_bytes());
            }
            TimelineChange::Name(names) => {
                out.push(NAME);
                put_count(out, names.len());
                for TimelineName { id, name, note } in names {
                    out.extend_from_slice(&id.0.to_le_bytes());
                    encode_noted_name(name, note, out);
                }
            }
        }
    }

    fn parse(p: &mut Parser<'_>) -> Result<TimelineChange> {
        match p.u8("a change of timelines")? {
            CREATE => {
                let id = TimelineId(p.u32("a timeline")?);
                let base = parse_base(p)?;
                let (parent, fork_ts) = base.ok_or_else(|| p.damaged("a parent"))?;
                let (name, note) = parse_noted_name(p)?;
                Ok(TimelineChange::Create {
                    id,
                    name,
                    parent,
                    fork_ts,
                    note,
                })
            }
            NOTE => {
                let id = TimelineId(p.u32("a timeline")?);
                Ok(TimelineChange::Note(id, parse_note(p)?))
            }
            LOAD => {
                let next = TimelineId(p.u32("a timeline")?);
                let timelines = parse_list(p, "a number of timelines", |p| {
                    let id = TimelineId(p.u32("a timeline")?);
                    let base = parse_base(p)?;
                    let (parent, fork_ts) = base.ok_or_else(|| p.damaged("a parent"))?;
                    let (name, note) = parse_noted_name(p)?;
                    Ok(LoadedTimeline {
                        id,
                        name,
                        note,
                        parent,
                        fork_ts,
                    })
                })?;
                Ok(TimelineChange::Load(next, timelines))
            }
            DROP => Ok(TimelineChange::Drop(TimelineId(p.u32("a timeline")?))),
            NAME => parse_list(p, "a number of timelines", |p| {
                let id = TimelineId(p.u32("a timeline")?);
                let (name, note) = parse_noted_name(p)?;
                Ok(TimelineName { id, name, note })
            })
            .map(TimelineChange::Name),
            _ => Err(p.damaged("a known change of timelines")),
        }
    }

    fn apply(&self, manifest: &mut Manifest) {
        match self {
            TimelineChange::Create {
                id,
                name,
                parent,
                fork_ts,
                note,
            } => {
                let next = TimelineId(id.0.saturating_add(1));
                manifest.next_timeline = manifest.next_timeline.max(next);
                if manifest.timelines.contains_key(id) {
                    return;
                }
                let mut entry = TimelineEntry::new(name.clone(), Some((*parent, *fork_ts)));
                entry.note.clone_from(note);
                // It has no commit yet, and no commit to come is from before its fork.
                manifest.last_ts = manifest.last_ts.max(*fork_ts);
                entry.flushed_ts = manifest.last_ts;
                if let Some(parent) = manifest.timelines.get(parent) {
                    entry.sequences = parent.sequences.clone();
                }
                manifest.timelines.insert(*id, entry);
            }
            TimelineChange::Drop(id) => {
                manifest.timelines.remove(id);
            }
            TimelineChange::Load(next, timelines) => {
                manifest.next_timeline = manifest.next_timeline.max(*next);
                for timeline in timelines {
                    if manifest.timelines.contains_key(&timeline.id) {
                        continue;
                    }
                    let base = Some((timeline.parent, timeline.fork_ts));
                    let entry = TimelineEntry {
                        note: timeline.note.clone(),
                        flushed_ts: manifest.last_ts,
                        ..TimelineEntry::new(timeline.name.clone(), base)
                    };
                    manifest.timelines.insert(timeline.id, entry);
                }
            }
            TimelineChange::Note(id, note) => {
                if let Some(entry) = manifest.timelines.get_mut(id) {
                    entry.note.clone_from(note);
                }
            }
            TimelineChange::Name(names) => {
                for TimelineName { id, name, note } in names {
                    if let Some(entry) = manifest.timelines.get_mut(id) {
                        entry.name.clone_from(name);
                        if !note.is_empty() {
                            entry.note.clone_from(note);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(manifest: &Manifest) -> Vec<(u32, &str)> {
        let timelines = manifest.timelines.iter();
        timelines.map(|(id, t)| (id.0, t.name.as_str())).collect()
    }

    #[test]
    fn changes_read_back_and_may_be_applied_twice() {
        let create = |id, name: &str| TimelineChange::Create {
            id: TimelineId(id),
            name: name.to_owned(),
            parent: TimelineId::MAIN,
            fork_ts: Ts(7),
            note: name.as_bytes().to_vec(),
        };
        let swap = [(2, "other", ""), (3, "dev", "noted")];
        let swap = swap.map(|(id, name, note)| TimelineName {
            note: note.as_bytes().to_vec(),
            ..TimelineName::new(TimelineId(id), name.to_owned())
        });
        let mut manifest = Manifest::default();
        let value = SequenceState {
            value: 4,
            is_called: true,
        };
        let sequences = &mut manifest
            .timelines
            .get_mut(&TimelineId::MAIN)
            .unwrap()
            .sequences;
        sequences.insert(CollectionId(2000), value);
        for (edit, expected) in [
            (create(2, "dev"), vec![(1, "main"), (2, "dev")]),
            (
                create(3, "other"),
                vec![(1, "main"), (2, "dev"), (3, "other")],
            ),
            (
                TimelineChange::Name(swap.to_vec()),
                vec![(1, "main"), (2, "other"), (3, "dev")],
            ),
            (
                TimelineChange::Note(TimelineId(3), b"kept".to_vec()),
                vec![(1, "main"), (2, "other"), (3, "dev")],
            ),
            (
                TimelineChange::Drop(TimelineId(2)),
                vec![(1, "main"), (3, "dev")],
            ),
            (
                TimelineChange::Load(
                    TimelineId(9),
                    [("tag", TimelineId::MAIN, 5), ("below", TimelineId(5), 6)]
                        .map(|(name, parent, id)| LoadedTimeline {
                            id: TimelineId(id),
                            name: name.to_owned(),
                            note: b"of another".to_vec(),
                            parent,
                            fork_ts: Ts(8),
                        })
                        .to_vec(),
                ),
                vec![(1, "main"), (3, "dev"), (5, "tag"), (6, "below")],
            ),
        ] {
            let edit = edit.at(Ts(9));
            let mut bytes = Vec::new();
            edit.encode(&mut bytes);
            let read = TimelineEdit::parse(&mut Parser::new(&bytes, "f", 0)).unwrap();
            assert_eq!(read, edit);
            for len in 0..bytes.len() {
                assert!(TimelineEdit::parse(&mut Parser::new(&bytes[..len], "f", 0)).is_err());
            }
            read.apply(&mut manifest);
            read.apply(&mut manifest);
            assert_eq!(names(&manifest), expected);
            if let TimelineChange::Name(_) = &read.change {
                let notes = [2, 3].map(|id| &manifest.timelines[&TimelineId(id)].note[..]);
                assert_eq!(notes, [&b"dev"[..], b"noted"], "one stays, one is replaced");
            }
        }
        let dev = &manifest.timelines[&TimelineId(3)];
        assert_eq!(dev.note, b"kept");
        assert_eq!(dev.base, Some((TimelineId::MAIN, Ts(7))));
        assert_eq!(dev.sequences[&CollectionId(2000)], value);
        assert_eq!(manifest.next_timeline, TimelineId(9));
        assert_eq!(manifest.last_ts, Ts(9));
        let mut bytes = Vec::new();
        manifest.encode(&mut bytes);
        let read = Manifest::parse(&mut Parser::new(&bytes, "f", 0)).unwrap();
        assert_eq!(read, manifest);
    }
}
