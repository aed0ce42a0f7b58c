//! The manifest: what exists besides the log.
//!
//! It is not a file of its own. Every WAL file opens with one, which says what all records before
//! that file have led to; recovery starts from the manifest of the oldest WAL file kept and applies
//! the records after it. So there is no superblock to lose, and an old WAL file may go as soon as a
//! newer one with a durable manifest makes it unnecessary.
//!
//! ```text
//! manifest: flushed_ts u64 │ last_ts u64 │ next_segment u64 │ horizons │ next_collection u32
//!           │ segments u32 │ segment … │ tables u32 │ table …
//!           │ sequences u32 │ sequence …
//! segment:  number u64 │ bytes u64 │ ts_min u64 │ ts_max u64 │ checksum u32
//! table:    collection u32 │ next_row u64 │ live_rows u64
//! sequence: collection u32 │ value i64 │ is_called u8
//! flush:    flushed_ts u64 │ segments u32 │ segment … │ tables u32 │ { collection u32 │ live u64 } …
//! compaction: horizons │ removed u32 │ { number u64 } … │ added u32 │ segment …
//! load:     last_ts u64 │ horizons │ next_collection u32 │ segments u32 │ segment …
//!           │ tables u32 │ table … │ sequences u32 │ sequence …
//! ```
//!
//! [Horizons](crate::history::horizons) have their own home.
//!
//! Invariants:
//!
//! 1. The segments hold every version that the log tells of at or before `flushed_ts`, and none newer.
//!    What loads brought is in segments alone, and does not touch `flushed_ts`.
//! 2. From its horizon on the segments tell the state of a collection at every time; of times before it,
//!    parts may be gone for good. No horizon falls.
//! 3. `live_rows` counts a table's rows at `flushed_ts`; `next_row` is above every RowId that any
//!    record before this point names.

use std::collections::BTreeMap;

use crate::catalog::FIRST_COLLECTION;
use crate::error::Result;
use crate::history::Horizons;
use crate::ids::{CollectionId, RowId, Ts};
use crate::parse::Parser;
use crate::sequence::SequenceState;

/// A live segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Names the file; never reused.
    pub number: u64,
    pub bytes: u64,
    /// Of its directory, which stands for the whole file.
    pub checksum: u32,
    /// Oldest and newest commit in it.
    pub ts_min: Ts,
    pub ts_max: Ts,
}

/// A table's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounts {
    pub next_row: RowId,
    pub live_rows: u64,
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
    /// Oldest first.
    pub segments: Vec<SegmentEntry>,
    pub tables: BTreeMap<CollectionId, TableCounts>,
    pub sequences: BTreeMap<CollectionId, SequenceState>,
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
            segments: Vec::new(),
            tables: BTreeMap::new(),
            sequences: BTreeMap::new(),
        }
    }
}

/// What a flush changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushEdit {
    pub flushed_ts: Ts,
    pub segments: Vec<SegmentEntry>,
    /// Live rows at `flushed_ts`.
    pub live_rows: Vec<(CollectionId, u64)>,
}

/// What a load changes, all of it at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadEdit {
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
        for n in [self.number, self.bytes, self.ts_min.0, self.ts_max.0] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        out.extend_from_slice(&self.checksum.to_le_bytes());
    }

    fn parse(p: &mut Parser<'_>) -> Result<SegmentEntry> {
        let number = p.u64("a segment's number")?;
        let bytes = p.u64("a file's length")?;
        let ts_min = Ts(p.u64("a timestamp")?);
        let ts_max = Ts(p.u64("a timestamp")?);
        let checksum = p.u32("a checksum")?;
        Ok(SegmentEntry {
            number,
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
        live_rows: p.u64("a number of rows")?,
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

/// What a manifest and a load both end with.
fn encode_lists(
    segments: &[SegmentEntry],
    tables: impl ExactSizeIterator<Item = (CollectionId, TableCounts)>,
    sequences: impl ExactSizeIterator<Item = (CollectionId, SequenceState)>,
    out: &mut Vec<u8>,
) {
    encode_segments(segments, out);
    put_count(out, tables.len());
    tables.for_each(|(table, counts)| encode_table(table, counts, out));
    put_count(out, sequences.len());
    sequences.for_each(|(id, state)| encode_sequence(id, state, out));
}

/// What [`encode_lists`] wrote, in the containers that the caller has.
fn parse_lists<T, S>(p: &mut Parser<'_>) -> Result<(Vec<SegmentEntry>, T, S)>
where
    T: FromIterator<(CollectionId, TableCounts)>,
    S: FromIterator<(CollectionId, SequenceState)>,
{
    let segments = parse_list(p, "a number of segments", SegmentEntry::parse)?;
    let tables = parse_list(p, "a number of tables", parse_table)?;
    let sequences = parse_list(p, "a number of sequences", parse_sequence)?;
    Ok((segments, tables, sequences))
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
        let tables = self.tables.iter().map(|(id, counts)| (*id, *counts));
        let sequences = self.sequences.iter().map(|(id, state)| (*id, *state));
        encode_lists(&self.segments, tables, sequences, out);
    }

    /// Name a new segment. An edit that a file's end cut in two is already in the manifest between
    /// its halves.
    fn add_segment(&mut self, segment: &SegmentEntry) {
        self.next_segment = self.next_segment.max(segment.number + 1);
        let known = |known: &SegmentEntry| known.number == segment.number;
        if !self.segments.iter().any(known) {
            self.segments.push(segment.clone());
        }
    }

    /// RowIds of `table` below `next` are used.
    pub fn reserve_rows(&mut self, table: CollectionId, next: RowId) {
        let counts = self.tables.entry(table).or_default();
        counts.next_row = counts.next_row.max(next);
    }

    pub fn parse(p: &mut Parser<'_>) -> Result<Manifest> {
        let flushed_ts = Ts(p.u64("a timestamp")?);
        let last_ts = Ts(p.u64("a timestamp")?);
        let next_segment = p.u64("a segment's number")?;
        let horizons = Horizons::parse(p)?;
        let next_collection = CollectionId(p.u32("a collection")?);
        let (segments, tables, sequences) = parse_lists(p)?;
        p.end()?;
        Ok(Manifest {
            flushed_ts,
            last_ts,
            horizons,
            next_segment,
            next_collection,
            segments,
            tables,
            sequences,
        })
    }
}

impl FlushEdit {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.flushed_ts.0.to_le_bytes());
        encode_segments(&self.segments, out);
        put_count(out, self.live_rows.len());
        for (table, live) in &self.live_rows {
            out.extend_from_slice(&table.0.to_le_bytes());
            out.extend_from_slice(&live.to_le_bytes());
        }
    }

    pub fn parse(p: &mut Parser<'_>) -> Result<FlushEdit> {
        let flushed_ts = Ts(p.u64("a timestamp")?);
        let segments = parse_list(p, "a number of segments", SegmentEntry::parse)?;
        let live_rows = parse_list(p, "a number of tables", |p| {
            let table = CollectionId(p.u32("a table")?);
            Ok((table, p.u64("a number of rows")?))
        })?;
        Ok(FlushEdit {
            flushed_ts,
            segments,
            live_rows,
        })
    }

    pub fn apply(&self, manifest: &mut Manifest) {
        manifest.flushed_ts = manifest.flushed_ts.max(self.flushed_ts);
        for segment in &self.segments {
            manifest.add_segment(segment);
        }
        for (table, live) in &self.live_rows {
            manifest.tables.entry(*table).or_default().live_rows = *live;
        }
    }
}

impl CompactionEdit {
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.horizons.encode(out);
        put_count(out, self.removed.len());
        for number in &self.removed {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_count(out, self.added.len());
        for segment in &self.added {
            segment.encode(out);
        }
    }

    pub fn parse(p: &mut Parser<'_>) -> Result<CompactionEdit> {
        let horizons = Horizons::parse(p)?;
        let mut edit = CompactionEdit {
            horizons,
            removed: Vec::new(),
            added: Vec::new(),
        };
        for _ in 0..p.u32("a number of segments")? {
            edit.removed.push(p.u64("a segment's number")?);
        }
        for _ in 0..p.u32("a number of segments")? {
            edit.added.push(SegmentEntry::parse(p)?);
        }
        Ok(edit)
    }

    /// An edit that is in the manifest already finds nothing to remove, and changes nothing.
    pub fn apply(&self, manifest: &mut Manifest) {
        manifest.horizons = manifest.horizons.join(&self.horizons);
        for segment in &self.added {
            manifest.next_segment = manifest.next_segment.max(segment.number + 1);
        }
        let removed = |segment: &SegmentEntry| self.removed.contains(&segment.number);
        if let Some(place) = manifest.segments.iter().position(removed) {
            manifest.segments.retain(|segment| !removed(segment));
            let added = self.added.iter().cloned();
            manifest.segments.splice(place..place, added);
        }
    }
}

impl LoadEdit {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.last_ts.0.to_le_bytes());
        self.horizons.encode(out);
        out.extend_from_slice(&self.next_collection.0.to_le_bytes());
        let (tables, sequences) = (self.tables.iter(), self.sequences.iter());
        encode_lists(&self.segments, tables.copied(), sequences.copied(), out);
    }

    pub fn parse(p: &mut Parser<'_>) -> Result<LoadEdit> {
        let last_ts = Ts(p.u64("a timestamp")?);
        let horizons = Horizons::parse(p)?;
        let next_collection = CollectionId(p.u32("a collection")?);
        let (segments, tables, sequences) = parse_lists(p)?;
        Ok(LoadEdit {
            last_ts,
            horizons,
            next_collection,
            segments,
            tables,
            sequences,
        })
    }

    pub fn apply(&self, manifest: &mut Manifest) {
        manifest.last_ts = manifest.last_ts.max(self.last_ts);
        let own: Vec<_> = self.horizons.own().collect();
        manifest.horizons.load(self.horizons.all(), &own);
        manifest.next_collection = manifest.next_collection.max(self.next_collection);
        for segment in &self.segments {
            manifest.add_segment(segment);
        }
        for (table, counts) in &self.tables {
            manifest.reserve_rows(*table, counts.next_row);
            manifest.tables.entry(*table).or_default().live_rows = counts.live_rows;
        }
        manifest.sequences.extend(self.sequences.iter().copied());
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
            last_ts: Ts(70),
            horizons: Horizons::new(Ts(50)),
            next_collection: CollectionId(3000),
            segments: vec![SegmentEntry {
                number: 9,
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
            bytes: 5,
            checksum: 6,
            ts_min: Ts(1),
            ts_max: Ts(9),
        };
        let edit = CompactionEdit {
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
        let mut manifest = Manifest {
            segments: [1, 2, 3, 4].map(segment).to_vec(),
            next_segment: 5,
            ..Manifest::default()
        };
        let numbers = |manifest: &Manifest| -> Vec<u64> {
            manifest.segments.iter().map(|s| s.number).collect()
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
        assert_eq!(manifest.segments, []);
    }

    #[test]
    fn a_manifest_reads_back_and_takes_edits() {
        let mut manifest = Manifest {
            horizons: Horizons::new(Ts(3)),
            ..Manifest::default()
        };
        let edit = FlushEdit {
            flushed_ts: Ts(9),
            segments: vec![SegmentEntry {
                number: 4,
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
        manifest.sequences.insert(
            CollectionId(2001),
            SequenceState {
                value: 3,
                is_called: false,
            },
        );
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
}
