//! The manifest: what exists besides the log.
//!
//! It is not a file of its own. Every WAL file opens with one, which says what all records before
//! that file have led to; recovery starts from the manifest of the oldest WAL file kept and applies
//! the records after it. So there is no superblock to lose, and an old WAL file may go as soon as a
//! newer one with a durable manifest makes it unnecessary.
//!
//! ```text
//! manifest: flushed_ts u64 │ last_ts u64 │ next_segment u64 │ horizons
//!           │ next_collection u32 │ next_timeline u32
//!           │ tables u32 │ { collection u32 │ next_row u64 } …
//!           │ sequences u32 │ sequence … │ timelines u32 │ timeline, see `timeline` …
//! segment:  number u64 │ is_run u8 │ bytes u64 │ ts_min u64 │ ts_max u64 │ checksum u32
//! sequence: collection u32 │ value i64 │ is_called u8
//! flush:    timeline u32 │ flushed_ts u64 │ segments u32 │ segment …
//!           │ tables u32 │ { collection u32 │ live i64 } …
//! compaction: timeline u32 │ horizons │ removed u32 │ { number u64 } … │ added u32 │ segment …
//! runs:     timeline u32 │ ts u64 │ segments u32 │ segment …
//!           │ tables u32 │ { collection u32 │ next_row u64 │ rows i64 } …
//! load:     timeline u32 │ last_ts u64 │ horizons │ next_collection u32
//!           │ segments u32 │ segment …
//!           │ tables u32 │ { collection u32 │ next_row u64 │ live_rows i64 } …
//!           │ sequences u32 │ sequence …
//! ```
//!
//! [Horizons](crate::history::horizons) have their own home. Of a segment that `is_run` the file's begins
//! are numbers of writes, and all versions of its HEAD begin at ts_min, which is ts_max.
//!
//! Invariants:
//!
//! 1. A timeline's segments hold every version of it that the log tells of at or before its
//!    `flushed_ts`. What runs and loads brought is in segments alone, whenever that was, and does not
//!    touch that; of other commits no segment holds a newer one.
//!    The manifest's own `flushed_ts` is the newest that any flush ever had.
//! 2. From its horizon on the segments tell the state of a collection at every time; of times before it,
//!    parts may be gone for good. No horizon falls, and none is past a fork.
//! 3. `live_rows` counts a table's rows at `flushed_ts`, and each count of `unflushed` what a run that
//!    is newer added to that; `next_row` is above every RowId that any
//!    record before this point names, on whatever timeline.
//! 4. `sequences` has what goes on from here, one for all timelines; what each of them shows as the
//!    last value is with the timeline.
//! 5. Of a timeline's segments, every version of a key in a later one of the list is newer than those in
//!    the ones before. A flush brings what is older than runs which were committed after its memtable
//!    was frozen, so its segment goes below those.

use std::collections::BTreeMap;

use crate::catalog::FIRST_COLLECTION;
use crate::error::Result;
use crate::history::Horizons;
use crate::ids::{CollectionId, RowId, TimelineId, Ts};
use crate::parse::Parser;
use crate::sequence::SequenceState;
use crate::wal::record::LoggedTransaction;

mod timeline;

pub use self::timeline::{TimelineChange, TimelineEdit, TimelineEntry, TimelineName};

/// What a new database's only timeline is called.
const FIRST_NAME: &str = "main";

/// A live segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Names the file; never reused.
    pub number: u64,
    /// Whether its versions begin at `ts_min`, whatever the file says; see [`crate::segment`].
    pub is_run: bool,
    pub bytes: u64,
    /// Of its directory, which stands for the whole file.
    pub checksum: u32,
    /// Oldest and newest commit in it.
    pub ts_min: Ts,
    pub ts_max: Ts,
}

/// A table's counters, as a load brings them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounts {
    pub next_row: RowId,
    /// On a branch by how many more than at the fork.
    pub live_rows: i64,
}

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub flushed_ts: Ts,
    pub last_ts: Ts,
    /// See invariant 2.
    pub horizons: Horizons,
    pub next_segment: u64,
    pub next_collection: CollectionId,
    pub next_timeline: TimelineId,
    /// Per table the first RowId that was never handed out.
    pub next_rows: BTreeMap<CollectionId, RowId>,
    pub sequences: BTreeMap<CollectionId, SequenceState>,
    pub timelines: BTreeMap<TimelineId, TimelineEntry>,
}

impl Default for Manifest {
    /// A new database's.
    fn default() -> Manifest {
        Manifest {
            flushed_ts: Ts::ZERO,
            last_ts: Ts::ZERO,
            horizons: Horizons::default(),
            next_segment: 1,
            next_collection: FIRST_COLLECTION,
            next_timeline: TimelineId(TimelineId::MAIN.0 + 1),
            next_rows: BTreeMap::new(),
            sequences: BTreeMap::new(),
            timelines: BTreeMap::from([(
                TimelineId::MAIN,
                TimelineEntry::new(FIRST_NAME.to_owned(), None),
            )]),
        }
    }
}

/// What a flush changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushEdit {
    pub timeline: TimelineId,
    pub flushed_ts: Ts,
    pub segments: Vec<SegmentEntry>,
    /// Live rows at `flushed_ts`, on a branch by how many more than at the fork.
    pub live_rows: Vec<(CollectionId, i64)>,
}

/// What the commit of a transaction changes whose writes are in runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunsEdit {
    pub timeline: TimelineId,
    pub ts: Ts,
    /// Oldest first. Their timestamps are `ts`.
    pub segments: Vec<SegmentEntry>,
    /// The first RowId behind those of the runs, and how many rows more there are.
    pub tables: Vec<(CollectionId, RowId, i64)>,
}

/// What a load changes, all of it at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadEdit {
    pub timeline: TimelineId,
    /// No commit from here on has this timestamp or an older one.
    pub last_ts: Ts,
    /// What was loaded tells of no time before; the collections that are named, of none before another.
    pub horizons: Horizons,
    pub next_collection: CollectionId,
    /// Oldest first. Nothing else holds anything of their collections.
    pub segments: Vec<SegmentEntry>,
    pub tables: Vec<(CollectionId, TableCounts)>,
    pub sequences: Vec<(CollectionId, SequenceState)>,
}

/// What a compaction changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactionEdit {
    pub timeline: TimelineId,
    pub horizons: Horizons,
    /// Neighbours in the manifest's order.
    pub removed: Vec<u64>,
    /// What stands in their place, oldest first.
    pub added: Vec<SegmentEntry>,
}

fn put_count(out: &mut Vec<u8>, n: usize) {
    let n = u32::try_from(n).expect("collections and segments are numbered by u32");
    out.extend_from_slice(&n.to_le_bytes());
}

impl SegmentEntry {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_le_bytes());
        out.push(u8::from(self.is_run));
        for n in [self.bytes, self.ts_min.0, self.ts_max.0] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        out.extend_from_slice(&self.checksum.to_le_bytes());
    }

    fn parse(p: &mut Parser<'_>) -> Result<SegmentEntry> {
        let number = p.u64("a segment's number")?;
        let is_run = p.bool("a flag")?;
        let bytes = p.u64("a file's length")?;
        let ts_min = Ts(p.u64("a timestamp")?);
        let ts_max = Ts(p.u64("a timestamp")?);
        let checksum = p.u32("a checksum")?;
        Ok(SegmentEntry {
            number,
            is_run,
            bytes,
            checksum,
            ts_min,
            ts_max,
        })
    }
}

fn encode_table(table: CollectionId, counts: TableCounts, out: &mut Vec<u8>) {
    out.extend_from_slice(&table.0.to_le_bytes());
    out.extend_from_slice(&counts.next_row.0.to_le_bytes());
    out.extend_from_slice(&counts.live_rows.to_le_bytes());
}

fn parse_table(p: &mut Parser<'_>) -> Result<(CollectionId, TableCounts)> {
    let table = CollectionId(p.u32("a table")?);
    let next_row = RowId(p.u64("a row")?);
    let counts = TableCounts {
        next_row,
        live_rows: p.i64("a number of rows")?,
    };
    Ok((table, counts))
}

fn encode_sequence(id: CollectionId, state: SequenceState, out: &mut Vec<u8>) {
    out.extend_from_slice(&id.0.to_le_bytes());
    out.extend_from_slice(&state.value.to_le_bytes());
    out.push(u8::from(state.is_called));
}

fn parse_sequence(p: &mut Parser<'_>) -> Result<(CollectionId, SequenceState)> {
    let id = CollectionId(p.u32("a sequence")?);
    let value = p.i64("a sequence's value")?;
    let state = SequenceState {
        value,
        is_called: p.bool("a flag")?,
    };
    Ok((id, state))
}

fn encode_segments(segments: &[SegmentEntry], out: &mut Vec<u8>) {
    put_count(out, segments.len());
    segments.iter().for_each(|segment| segment.encode(out));
}

/// A list behind its length, which is not believed before the items are there.
fn parse_list<'a, T, L: FromIterator<T>>(
    p: &mut Parser<'a>,
    what: &str,
    mut item: impl FnMut(&mut Parser<'a>) -> Result<T>,
) -> Result<L> {
    let count = p.u32(what)?;
    (0..count).map(|_| item(p)).collect()
}

impl Manifest {
    pub fn encode(&self, out: &mut Vec<u8>) {
        for n in [self.flushed_ts.0, self.last_ts.0, self.next_segment] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        self.horizons.encode(out);
        out.extend_from_slice(&self.next_collection.0.to_le_bytes());
        out.extend_from_slice(&self.next_timeline.0.to_le_bytes());
        put_count(out, self.next_rows.len());
        for (table, row) in &self.next_rows {
            out.extend_from_slice(&table.0.to_le_bytes());
            out.extend_from_slice(&row.0.to_le_bytes());
        }
        put_count(out, self.sequences.len());
        for (id, state) in &self.sequences {
            encode_sequence(*id, *state, out);
        }
        put_count(out, self.timelines.len());
        for (id, entry) in &self.timelines {
            timeline::encode(*id, entry, out);
        }
    }

    pub fn parse(p: &mut Parser<'_>) -> Result<Manifest> {
        let manifest = Manifest {
            flushed_ts: Ts(p.u64("a timestamp")?),
            last_ts: Ts(p.u64("a timestamp")?),
            next_segment: p.u64("a segment's number")?,
            horizons: Horizons::parse(p)?,
            next_collection: CollectionId(p.u32("a collection")?),
            next_timeline: TimelineId(p.u32("a timeline")?),
            next_rows: parse_list(p, "a number of tables", |p| {
                let table = CollectionId(p.u32("a table")?);
                Ok((table, RowId(p.u64("a row")?)))
            })?,
            sequences: parse_list(p, "a number of sequences", parse_sequence)?,
            timelines: parse_list(p, "a number of timelines", timeline::parse)?,
        };
        p.end()?;
        Ok(manifest)
    }

    /// All segments of all timelines.
    pub fn segments(&self) -> impl Iterator<Item = (TimelineId, &SegmentEntry)> {
        let of = |(id, entry): (&TimelineId, _)| {
            let (id, entry): (TimelineId, &TimelineEntry) = (*id, entry);
            entry.segments.iter().map(move |segment| (id, segment))
        };
        self.timelines.iter().flat_map(of)
    }

    /// Whether nothing is to be replayed of a transaction: it is in segments, or its timeline is gone.
    pub fn has_flushed(&self, transaction: &LoggedTransaction) -> bool {
        let timeline = self.timelines.get(&transaction.timeline);
        timeline.is_none_or(|timeline| transaction.ts <= timeline.flushed_ts)
    }

    /// Name new segments, oldest first: on top, or below those that have nothing as old as `below`. An edit
    /// that a file's end cut in two is already in the manifest between its halves.
    fn add_segments(&mut self, timeline: TimelineId, below: Option<Ts>, segments: &[SegmentEntry]) {
        for segment in segments {
            self.next_segment = self.next_segment.max(segment.number + 1);
            let known = |known: &SegmentEntry| known.number == segment.number;
            if let Some(entry) = self.timelines.get_mut(&timeline)
                && !entry.segments.iter().any(known)
            {
                let is_below = |known: &SegmentEntry| below.is_none_or(|ts| known.ts_min <= ts);
                let last = entry.segments.iter().rposition(is_below);
                let place = last.map_or(0, |last| last + 1);
                entry.segments.insert(place, segment.clone());
            }
        }
    }

    /// RowIds of `table` below `next` are used.
    pub fn reserve_rows(&mut self, table: CollectionId, next: RowId) {
        let known = self.next_rows.entry(table).or_default();
        *known = next.max(*known);
    }

    /// The log has a commit of `timeline` at `ts`.
    pub fn note_commit(&mut self, timeline: TimelineId, ts: Ts) {
        self.last_ts = self.last_ts.max(ts);
        if let Some(entry) = self.timelines.get_mut(&timeline) {
            entry.logged_ts = entry.logged_ts.max(ts);
        }
    }

    /// A sequence as `timeline` shows it, and, if `moves`, as it goes on everywhere.
    pub fn set_sequence(
        &mut self,
        timeline: TimelineId,
        id: CollectionId,
        state: SequenceState,
        moves: bool,
    ) {
        if moves {
            self.sequences.insert(id, state);
        }
        if let Some(entry) = self.timelines.get_mut(&timeline) {
            entry.sequences.insert(id, state);
        }
    }
}

impl FlushEdit {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timeline.0.to_le_bytes());
        out.extend_from_slice(&self.flushed_ts.0.to_le_bytes());
        encode_segments(&self.segments, out);
        timeline::encode_live(self.live_rows.iter().copied(), out);
    }

    pub fn parse(p: &mut Parser<'_>) -> Result<FlushEdit> {
        Ok(FlushEdit {
            timeline: TimelineId(p.u32("a timeline")?),
            flushed_ts: Ts(p.u64("a timestamp")?),
            segments: parse_list(p, "a number of segments", SegmentEntry::parse)?,
            live_rows: timeline::parse_live(p)?,
        })
    }

    pub fn apply(&self, manifest: &mut Manifest) {
        manifest.flushed_ts = manifest.flushed_ts.max(self.flushed_ts);
        manifest.add_segments(self.timeline, Some(self.flushed_ts), &self.segments);
        if let Some(entry) = manifest.timelines.get_mut(&self.timeline) {
            entry.flushed_ts = entry.flushed_ts.max(self.flushed_ts);
            let flushed = self.flushed_ts;
            entry.unflushed.retain(|(ts, _, _)| *ts > flushed);
            entry.live_rows.extend(self.live_rows.iter().copied());
        }
    }
}

impl RunsEdit {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timeline.0.to_le_bytes());
        out.extend_from_slice(&self.ts.0.to_le_bytes());
        encode_segments(&self.segments, out);
        put_count(out, self.tables.len());
        for (table, next_row, rows) in &self.tables {
            out.extend_from_slice(&table.0.to_le_bytes());
            out.extend_from_slice(&next_row.0.to_le_bytes());
            out.extend_from_slice(&rows.to_le_bytes());
        }
    }

    pub fn parse(p: &mut Parser<'_>) -> Result<RunsEdit> {
        Ok(RunsEdit {
            timeline: TimelineId(p.u32("a timeline")?),
            ts: Ts(p.u64("a timestamp")?),
            segments: parse_list(p, "a number of segments", SegmentEntry::parse)?,
            tables: parse_list(p, "a number of tables", |p| {
                let table = CollectionId(p.u32("a table")?);
                let next_row = RowId(p.u64("a row")?);
                Ok((table, next_row, p.i64("a number of rows")?))
            })?,
        })
    }

    /// The same edit at `ts`.
    pub fn at(mut self, ts: Ts) -> RunsEdit {
        self.ts = ts;
        for segment in &mut self.segments {
            (segment.ts_min, segment.ts_max) = (ts, ts);
        }
        self
    }

    pub fn apply(&self, manifest: &mut Manifest) {
        manifest.last_ts = manifest.last_ts.max(self.ts);
        manifest.add_segments(self.timeline, None, &self.segments);
        for (table, next_row, _) in &self.tables {
            manifest.reserve_rows(*table, *next_row);
        }
        if let Some(entry) = manifest.timelines.get_mut(&self.timeline)
            && !entry.unflushed.iter().any(|(ts, _, _)| *ts == self.ts)
        {
            let rows = self.tables.iter();
            let rows = rows.map(|(table, _, rows)| (self.ts, *table, *rows));
            entry.unflushed.extend(rows);
        }
    }
}

impl CompactionEdit {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timeline.0.to_le_bytes());
        self.horizons.encode(out);
        put_count(out, self.removed.len());
        for number in &self.removed {
            out.extend_from_slice(&number.to_le_bytes());
        }
        encode_segments(&self.added, out);
    }

    pub fn parse(p: &mut Parser<'_>) -> Result<CompactionEdit> {
        Ok(CompactionEdit {
            timeline: TimelineId(p.u32("a timeline")?),
            horizons: Horizons::parse(p)?,
            removed: parse_list(p, "a number of segments", |p| p.u64("a segment's number"))?,
            added: parse_list(p, "a number of segments", SegmentEntry::parse)?,
        })
    }

    /// An edit that is in the manifest already finds nothing to remove, and changes nothing.
    pub fn apply(&self, manifest: &mut Manifest) {
        manifest.horizons = manifest.horizons.join(&self.horizons);
        for segment in &self.added {
            manifest.next_segment = manifest.next_segment.max(segment.number + 1);
        }
        let Some(entry) = manifest.timelines.get_mut(&self.timeline) else {
            return;
        };
        let removed = |segment: &SegmentEntry| self.removed.contains(&segment.number);
        if let Some(place) = entry.segments.iter().position(removed) {
            entry.segments.retain(|segment| !removed(segment));
            entry
                .segments
                .splice(place..place, self.added.iter().cloned());
        }
    }
}

impl LoadEdit {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timeline.0.to_le_bytes());
        out.extend_from_slice(&self.last_ts.0.to_le_bytes());
        self.horizons.encode(out);
        out.extend_from_slice(&self.next_collection.0.to_le_bytes());
        encode_segments(&self.segments, out);
        put_count(out, self.tables.len());
        for (table, counts) in &self.tables {
            encode_table(*table, *counts, out);
        }
        put_count(out, self.sequences.len());
        for (id, state) in &self.sequences {
            encode_sequence(*id, *state, out);
        }
    }

    pub fn parse(p: &mut Parser<'_>) -> Result<LoadEdit> {
        Ok(LoadEdit {
            timeline: TimelineId(p.u32("a timeline")?),
            last_ts: Ts(p.u64("a timestamp")?),
            horizons: Horizons::parse(p)?,
            next_collection: CollectionId(p.u32("a collection")?),
            segments: parse_list(p, "a number of segments", SegmentEntry::parse)?,
            tables: parse_list(p, "a number of tables", parse_table)?,
            sequences: parse_list(p, "a number of sequences", parse_sequence)?,
        })
    }

    pub fn apply(&self, manifest: &mut Manifest) {
        manifest.last_ts = manifest.last_ts.max(self.last_ts);
        let own: Vec<_> = self.horizons.own().collect();
        manifest.horizons.load(self.horizons.all(), &own);
        manifest.next_collection = manifest.next_collection.max(self.next_collection);
        manifest.add_segments(self.timeline, None, &self.segments);
        for (table, counts) in &self.tables {
            manifest.reserve_rows(*table, counts.next_row);
            if let Some(entry) = manifest.timelines.get_mut(&self.timeline) {
                entry.live_rows.insert(*table, counts.live_rows);
            }
        }
        for (id, state) in &self.sequences {
            manifest.set_sequence(self.timeline, *id, *state, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_reads_back_and_may_be_applied_twice() {
        let sequence = SequenceState {
            value: 12,
            is_called: true,
        };
        let edit = LoadEdit {
            timeline: TimelineId::MAIN,
            last_ts: Ts(70),
            horizons: Horizons::new(Ts(50)),
            next_collection: CollectionId(3000),
            segments: vec![SegmentEntry {
                number: 9,
                is_run: false,
                bytes: 5,
                checksum: 6,
                ts_min: Ts(1),
                ts_max: Ts(60),
            }],
            tables: vec![(
                CollectionId(2000),
                TableCounts {
                    next_row: RowId(100),
                    live_rows: 17,
                },
            )],
            sequences: vec![(CollectionId(2001), sequence)],
        };
        let mut bytes = Vec::new();
        edit.encode(&mut bytes);
        let parsed = LoadEdit::parse(&mut Parser::new(&bytes, "f", 0)).unwrap();
        assert_eq!(parsed, edit);
        let mut once = Manifest::default();
        edit.apply(&mut once);
        assert_eq!((once.last_ts, once.flushed_ts), (Ts(70), Ts::ZERO));
        assert_eq!(once.horizons.all(), Ts(50));
        assert_eq!((once.next_segment, once.next_collection.0), (10, 3000));
        let mut twice = once.clone();
        edit.apply(&mut twice);
        assert_eq!(once, twice);
        for len in 0..bytes.len() {
            assert!(LoadEdit::parse(&mut Parser::new(&bytes[..len], "f", 0)).is_err());
        }
    }

    #[test]
    fn a_compaction_takes_the_place_of_what_it_merged() {
        let segment = |number| SegmentEntry {
            number,
            is_run: false,
            bytes: 5,
            checksum: 6,
            ts_min: Ts(1),
            ts_max: Ts(9),
        };
        let edit = CompactionEdit {
            timeline: TimelineId::MAIN,
            horizons: Horizons::new(Ts(7)),
            removed: vec![3, 2],
            added: vec![segment(6)],
        };
        let mut bytes = Vec::new();
        edit.encode(&mut bytes);
        let parsed = CompactionEdit::parse(&mut Parser::new(&bytes, "f", 0)).unwrap();
        assert_eq!(parsed, edit);
        for len in 0..bytes.len() {
            assert!(CompactionEdit::parse(&mut Parser::new(&bytes[..len], "f", 0)).is_err());
        }
        let mut manifest = Manifest::default();
        manifest.add_segments(TimelineId::MAIN, None, &[1, 2, 3, 4].map(segment));
        let numbers = |manifest: &Manifest| -> Vec<u64> {
            manifest.segments().map(|(_, s)| s.number).collect()
        };
        edit.apply(&mut manifest);
        assert_eq!(numbers(&manifest), [1, 6, 4]);
        assert_eq!((manifest.next_segment, manifest.horizons.all()), (7, Ts(7)));
        let once = manifest.clone();
        edit.apply(&mut manifest);
        assert_eq!(manifest, once, "between the halves of an edit");
        let all = CompactionEdit {
            removed: vec![1, 6, 4],
            added: Vec::new(),
            ..edit
        };
        all.apply(&mut manifest);
        assert_eq!(numbers(&manifest), [0; 0]);
    }

    #[test]
    fn a_manifest_reads_back_and_takes_edits() {
        let mut manifest = Manifest {
            horizons: Horizons::new(Ts(3)),
            ..Manifest::default()
        };
        let edit = FlushEdit {
            timeline: TimelineId::MAIN,
            flushed_ts: Ts(9),
            segments: vec![SegmentEntry {
                number: 4,
                is_run: false,
                bytes: 5,
                checksum: 6,
                ts_min: Ts(1),
                ts_max: Ts(9),
            }],
            live_rows: vec![(CollectionId(2000), 17)],
        };
        let mut bytes = Vec::new();
        edit.encode(&mut bytes);
        let parsed = FlushEdit::parse(&mut Parser::new(&bytes, "f", 0)).unwrap();
        assert_eq!(parsed, edit);
        parsed.apply(&mut manifest);
        let state = SequenceState {
            value: 3,
            is_called: false,
        };
        manifest.set_sequence(TimelineId::MAIN, CollectionId(2001), state, true);
        assert_eq!(manifest.next_segment, 5);
        let mut bytes = Vec::new();
        manifest.encode(&mut bytes);
        assert_eq!(
            Manifest::parse(&mut Parser::new(&bytes, "f", 0)).unwrap(),
            manifest
        );
        for len in 0..bytes.len() {
            assert!(Manifest::parse(&mut Parser::new(&bytes[..len], "f", 0)).is_err());
        }
    }

    #[test]
    fn a_memtable_that_is_older_than_runs_is_flushed_below_them() {
        let segment = |number, ts_min, ts_max, is_run| SegmentEntry {
            number,
            is_run,
            bytes: 5,
            checksum: 6,
            ts_min: Ts(ts_min),
            ts_max: Ts(ts_max),
        };
        let (main, table) = (TimelineId::MAIN, CollectionId(2000));
        let flush = |number, ts_min, ts_max, live| FlushEdit {
            timeline: main,
            flushed_ts: Ts(ts_max),
            segments: vec![segment(number, ts_min, ts_max, false)],
            live_rows: vec![(table, live)],
        };
        let runs = RunsEdit {
            timeline: main,
            ts: Ts::ZERO,
            segments: vec![segment(2, 0, 0, true), segment(3, 0, 0, true)],
            tables: vec![(table, RowId(41), 30)],
        }
        .at(Ts(20));
        let mut bytes = Vec::new();
        runs.encode(&mut bytes);
        let parsed = RunsEdit::parse(&mut Parser::new(&bytes, "f", 0)).unwrap();
        assert_eq!(parsed, runs);
        for len in 0..bytes.len() {
            assert!(RunsEdit::parse(&mut Parser::new(&bytes[..len], "f", 0)).is_err());
        }

        let mut manifest = Manifest::default();
        flush(1, 1, 9, 10).apply(&mut manifest);
        runs.apply(&mut manifest);
        runs.apply(&mut manifest);
        let numbers = |manifest: &Manifest| -> Vec<u64> {
            manifest.segments().map(|(_, s)| s.number).collect()
        };
        assert_eq!(numbers(&manifest), [1, 2, 3]);
        assert_eq!(manifest.timelines[&main].unflushed, [(Ts(20), table, 30)]);
        assert_eq!((manifest.last_ts, manifest.flushed_ts), (Ts(20), Ts(9)));
        assert_eq!(manifest.next_rows[&table], RowId(41));

        flush(4, 10, 19, 12).apply(&mut manifest);
        assert_eq!(numbers(&manifest), [1, 4, 2, 3]);
        assert_eq!(manifest.timelines[&main].live_rows[&table], 12);
        assert_eq!(manifest.timelines[&main].unflushed, [(Ts(20), table, 30)]);
        let mut bytes = Vec::new();
        manifest.encode(&mut bytes);
        let parsed = Manifest::parse(&mut Parser::new(&bytes, "f", 0)).unwrap();
        assert_eq!(parsed, manifest);

        flush(5, 21, 30, 42).apply(&mut manifest);
        assert_eq!(numbers(&manifest), [1, 4, 2, 3, 5]);
        assert_eq!(manifest.timelines[&main].unflushed, []);
    }
}
