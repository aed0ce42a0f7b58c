//! Reading a whole table.
//!
//! Rows come from the segments, the memtables and the transaction's own writes; each row comes from
//! the newest source that *decides* it at its level's cap ([`super::path`]), which is the newest one with
//! any version, put or delete, that old. What newer sources decide, a segment's scan leaves out:
//!
//! * the RowIds decided in memory are collected once, and only as far as the ids of older segments
//!   reach, since newly inserted rows lie behind them;
//! * a segment that is wholly older than the cap decides the bitmap of RowIds it carries.
//!
//! So killing rows is a union of bitmaps, never a merge of sorted runs. In-memory sources are walked
//! by RowId, a batch at a time; they leave out what newer segments decide, and look a row up in the
//! newer in-memory sources.
//!
//! A scan is cut into parts: ranges of a segment's blocks, ranges of a memtable's RowIds. Parts stand
//! from the oldest source to the newest, so rows of a partition come in about the order of their insertion,
//! and each goes to the partition that has least. There are several to a partition, since zone maps may
//! rule out all of one and nothing of another.

use std::collections::VecDeque;
use std::ops::{Bound, ControlFlow, Range};
use std::sync::Arc;

use arrow_array::RecordBatch;
use roaring::RoaringTreemap;

use super::{Computing, OwnWrites, ReadView, Source, row_of};
use crate::error::Result;
use crate::ids::{CollectionId, ColumnId, RowId, Ts};
use crate::memtable::{KeyBounds, Memtable, as_slices, full_bounds, full_key, split_key};
use crate::planted::{self, Bug};
use crate::row::BatchBuilder;
use crate::schema::TableDef;
use crate::segment::{RowScan, SegmentReader, SegmentScan};
use crate::view::path::Level;
use crate::view::row_key;

pub use crate::segment::{ColumnRange, RowFilter};

/// Rows of a memtable that count as much as a segment's block when parts are dealt out.
const ROWS_PER_WEIGHT: u64 = 8192;
/// Into how many parts a segment is cut for each of several partitions.
const PIECES_PER_PARTITION: usize = 4;

/// What to read of a table.
#[derive(Clone, Debug)]
pub struct ScanRequest {
    pub projection: Vec<ColumnId>,
    /// Append the RowIds as a UInt64 column `_rowid`.
    pub row_id: bool,
    /// Rows that do not meet all of these are not needed, but may be returned.
    pub ranges: Vec<ColumnRange>,
    /// At most so many iterators, to be read in parallel.
    pub partitions: usize,
    /// Rows in a batch, at most.
    pub batch_rows: usize,
    /// Each iterator may stop after so many rows.
    pub limit: Option<usize>,
}

impl ScanRequest {
    /// All rows of these columns, in one partition.
    pub fn columns(projection: Vec<ColumnId>) -> ScanRequest {
        ScanRequest {
            projection,
            row_id: false,
            ranges: Vec::new(),
            partitions: 1,
            batch_rows: 8192,
            limit: None,
        }
    }
}

/// A piece of a scan.
enum Part {
    /// Rows of one in-memory source, but those that newer sources decide.
    Memory {
        source: Memory,
        newer: Arc<Newer>,
        bounds: KeyBounds,
    },
    /// Blocks of one segment, and the rows in it that newer sources decide.
    Segment {
        reader: SegmentReader,
        exclude: Arc<RoaringTreemap>,
        blocks: Range<usize>,
        cap: Ts,
        columns_max: usize,
    },
}

/// What all partitions of a scan share.
struct Plan {
    table: Arc<TableDef>,
    projection: Vec<ColumnId>,
    row_id: bool,
    ranges: Vec<ColumnRange>,
    batch_rows: usize,
    /// What was asked for, where that is more than the projection.
    computing: Option<Computing>,
}

/// One partition of a scan: an iterator over batches, none of them empty.
pub struct TableScan {
    plan: Arc<Plan>,
    filters: Vec<Arc<dyn RowFilter>>,
    parts: VecDeque<Part>,
    segment: Option<SegmentScan>,
    /// A segment's batch that is larger than asked for, being handed out in slices.
    rest: Option<RecordBatch>,
    remaining: Option<usize>,
    done: bool,
}

impl std::fmt::Debug for TableScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableScan")
            .field("table", &self.plan.table.id)
            .field("parts", &self.parts.len())
            .finish_non_exhaustive()
    }
}

/// An in-memory source.
#[derive(Clone)]
enum Memory {
    Own(OwnWrites),
    /// With its cap.
    Memtable(Arc<Memtable>, Ts),
}

/// The sources that are newer than an in-memory one.
#[derive(Clone, Default)]
struct Newer {
    memory: Vec<Memory>,
    /// What segments among them decide.
    in_segments: RoaringTreemap,
}

impl Memory {
    /// Visit what is decided here.
    fn visit(
        &self,
        bounds: &KeyBounds,
        mut visit: impl FnMut(&[u8], Option<&[u8]>) -> ControlFlow<()>,
    ) {
        let (from, to) = as_slices(bounds);
        match self {
            Memory::Memtable(memtable, cap) => {
                memtable.visit(from, to, |key, chain| match chain.find(*cap) {
                    Some(version) => visit(key, version.value()),
                    None => ControlFlow::Continue(()),
                })
            }
            Memory::Own(own) => own.set.read().visit(from, to, own.limit, visit),
        }
    }

    /// Whether a key is decided here.
    fn decides(&self, key: &[u8]) -> bool {
        match self {
            Memory::Memtable(memtable, cap) => memtable.find(key, *cap).is_some(),
            Memory::Own(own) => own.set.read().get(key, own.limit).is_some(),
        }
    }
}

impl Newer {
    fn decides(&self, key: &[u8], row: RowId) -> bool {
        self.in_segments.contains(row.0) || self.memory.iter().any(|m| m.decides(key))
    }
}

impl TableScan {
    pub fn table(&self) -> CollectionId {
        self.plan.table.id
    }

    /// The same scan, which leaves out rows that do not meet all of these, where it can tell before it
    /// reads the other columns: in segments, of what is not computed.
    pub fn filtered(mut self, filters: Vec<Arc<dyn RowFilter>>) -> TableScan {
        if self.plan.computing.is_none() {
            self.filters = filters;
        }
        self
    }

    /// Up to a batch of an in-memory source's rows, and where to go on, if anywhere.
    fn memory_batch(
        &self,
        source: &Memory,
        newer: &Newer,
        bounds: &KeyBounds,
    ) -> Result<(RecordBatch, Option<Box<[u8]>>)> {
        let plan = &*self.plan;
        let want = self
            .remaining
            .map_or(plan.batch_rows, |n| n.min(plan.batch_rows))
            .max(1);
        let mut builder = BatchBuilder::new(&plan.table, &plan.projection, plan.row_id)?;
        let mut last = None;
        let mut failed = None;
        source.visit(bounds, |key, value| {
            let Some(value) = value else {
                return ControlFlow::Continue(());
            };
            let mut push = || {
                let row = row_of(split_key(key).1)?;
                match newer.decides(key, row) {
                    true => Ok(()),
                    false => builder.push(row, value),
                }
            };
            if let Err(e) = push() {
                failed = Some(e);
                return ControlFlow::Break(());
            }
            if builder.len() < want {
                return ControlFlow::Continue(());
            }
            last = Some(Box::from(key));
            ControlFlow::Break(())
        });
        match failed {
            Some(error) => Err(error),
            None => Ok((builder.finish()?, last)),
        }
    }

    /// The next batch of whatever part is next, possibly empty; `None` at the end.
    fn part_batch(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(segment) = &mut self.segment {
            match segment.next().transpose()? {
                Some(batch) => return Ok(Some(batch)),
                None => self.segment = None,
            }
        }
        let Some(part) = self.parts.pop_front() else {
            return Ok(None);
        };
        match part {
            Part::Memory {
                source,
                newer,
                bounds,
            } => {
                let (batch, last) = self.memory_batch(&source, &newer, &bounds)?;
                if let Some(last) = last {
                    self.parts.push_front(Part::Memory {
                        source,
                        newer,
                        bounds: (Bound::Excluded(last), bounds.1),
                    });
                }
                Ok(Some(batch))
            }
            Part::Segment {
                reader,
                exclude,
                blocks,
                cap,
                columns_max,
            } => {
                let plan = &*self.plan;
                let scan = RowScan {
                    projection: plan.projection.clone(),
                    row_id: plan.row_id,
                    at: cap,
                    columns_max,
                    exclude,
                    ranges: plan.ranges.clone(),
                    filters: self.filters.clone(),
                    blocks,
                };
                let mut segment = reader.scan_rows(&plan.table, scan)?;
                let batch = segment.next().transpose()?;
                self.segment = Some(segment);
                Ok(Some(match batch {
                    Some(batch) => batch,
                    None => {
                        BatchBuilder::new(&plan.table, &plan.projection, plan.row_id)?.finish()?
                    }
                }))
            }
        }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let batch = loop {
            if self.remaining == Some(0) {
                return Ok(None);
            }
            let batch = match self.rest.take() {
                Some(rest) => rest,
                None => match self.part_batch()? {
                    Some(batch) => batch,
                    None => return Ok(None),
                },
            };
            if batch.num_rows() > 0 {
                break batch;
            }
        };
        let n = self.plan.batch_rows.min(batch.num_rows());
        let n = self.remaining.map_or(n, |remaining| remaining.min(n));
        if n < batch.num_rows() {
            self.rest = Some(batch.slice(n, batch.num_rows() - n));
        }
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(n);
        }
        let batch = batch.slice(0, n);
        match &self.plan.computing {
            None => Ok(Some(batch)),
            Some(computing) => computing.finish(&batch).map(Some),
        }
    }
}

impl Iterator for TableScan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.next_batch().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// How far a segment is read.
enum Limits<'a> {
    /// A private run, up to a write.
    Own(Ts),
    Level(&'a Level),
}

impl Limits<'_> {
    fn cap(&self) -> Ts {
        match self {
            Limits::Own(number) => *number,
            Limits::Level(level) => level.cap,
        }
    }

    fn columns(&self, table: CollectionId) -> Result<usize> {
        match self {
            Limits::Own(_) => Ok(usize::MAX),
            Limits::Level(level) => level.columns(table),
        }
    }
}

/// A source of rows, and if it is a segment all rows that it has versions of, whenever they began.
enum RowSource<'a> {
    Memory(Memory),
    Segment(&'a SegmentReader, Limits<'a>, Arc<RoaringTreemap>),
}

impl<'a> RowSource<'a> {
    /// `None` when nothing in the segment is as old as it is to be read.
    fn segment(
        segment: &'a SegmentReader,
        limits: Limits<'a>,
        table: CollectionId,
    ) -> Result<Option<RowSource<'a>>> {
        if !segment.has_begun(table, limits.cap()) {
            return Ok(None);
        }
        let rows = segment.row_ids(table)?;
        Ok(rows.map(|rows| RowSource::Segment(segment, limits, rows)))
    }
}

/// The sources that may have rows of a table, newest first.
fn row_sources(view: &ReadView, table: CollectionId) -> Result<Vec<RowSource<'_>>> {
    let mut sources = Vec::new();
    if let Some(own) = &view.0.own {
        sources.push(RowSource::Memory(Memory::Own(own.clone())));
        for (run, at) in own.runs() {
            sources.extend(RowSource::segment(run, Limits::Own(at), table)?);
        }
    }
    for (source, level) in view.0.path.sources() {
        match source {
            Source::Memtable(memtable) => {
                let memory = Memory::Memtable(Arc::clone(memtable), level.cap);
                sources.push(RowSource::Memory(memory));
            }
            Source::Segment(segment) => {
                sources.extend(RowSource::segment(segment, Limits::Level(level), table)?);
            }
        }
    }
    Ok(sources)
}

/// The parts of a scan, oldest first, with their weights.
fn parts(view: &ReadView, table: CollectionId, partitions: usize) -> Result<Vec<(Part, u64)>> {
    let sources = row_sources(view, table)?;
    // The highest RowId in segments that are older than each source, or a higher one.
    let mut reach = vec![None; sources.len()];
    for place in (1..sources.len()).rev() {
        reach[place - 1] = match &sources[place] {
            RowSource::Segment(_, _, rows) => reach[place].max(rows.max()),
            RowSource::Memory(_) => reach[place],
        };
    }
    let mut memory_left = sources
        .iter()
        .filter(|source| matches!(source, RowSource::Memory(_)))
        .count();

    let mut parts = Vec::new();
    let mut newer = Newer::default();
    // What newer sources decide, as far as older segments reach.
    let mut decided_by_newer = RoaringTreemap::new();
    let mut older = sources.len();
    for (source, reach) in sources.into_iter().zip(reach) {
        older -= 1;
        match source {
            RowSource::Memory(memory) => {
                memory_left -= 1;
                let pieces = memory_parts(&memory, &newer, table, partitions)?;
                parts.extend(pieces.into_iter().rev());
                if let Some(reach) = reach {
                    note_decided(&memory, table, reach, &mut decided_by_newer)?;
                }
                newer.memory.push(memory);
            }
            RowSource::Segment(segment, limits, rows) => {
                let exclude = Arc::new(&decided_by_newer & &*rows);
                let wholly_hidden = exclude.len() == rows.len();
                if older > 0 {
                    let decided = segment.decided(table, limits.cap())?;
                    if !planted::is(Bug::ScansShowKilled) {
                        decided_by_newer |= &*decided;
                    }
                    if memory_left > 0 {
                        newer.in_segments |= &*decided;
                    }
                }
                if wholly_hidden {
                    continue;
                }
                let columns_max = limits.columns(table)?;
                let blocks = segment.block_count(table);
                let pieces = match partitions {
                    1 => 1,
                    many => (many * PIECES_PER_PARTITION).min(blocks).max(1),
                };
                for piece in (0..pieces).rev() {
                    let blocks = blocks * piece / pieces..blocks * (piece + 1) / pieces;
                    let weight = blocks.len() as u64;
                    let part = Part::Segment {
                        reader: segment.clone(),
                        exclude: Arc::clone(&exclude),
                        blocks,
                        cap: limits.cap(),
                        columns_max,
                    };
                    parts.push((part, weight));
                }
            }
        }
    }
    parts.reverse();
    Ok(parts)
}

/// Add the rows up to `reach` that an in-memory source decides.
fn note_decided(
    memory: &Memory,
    table: CollectionId,
    reach: u64,
    decided: &mut RoaringTreemap,
) -> Result<()> {
    let to = row_key(RowId(reach));
    let bounds = full_bounds(table, Bound::Unbounded, Bound::Included(&to));
    let mut failed = None;
    memory.visit(&bounds, |key, _| match row_of(split_key(key).1) {
        Ok(row) => {
            decided.insert(row.0);
            ControlFlow::Continue(())
        }
        Err(e) => {
            failed = Some(e);
            ControlFlow::Break(())
        }
    });
    failed.map_or(Ok(()), Err)
}

/// An in-memory source's parts by rising RowId, with their weights.
fn memory_parts(
    memory: &Memory,
    newer: &Newer,
    table: CollectionId,
    partitions: usize,
) -> Result<Vec<(Part, u64)>> {
    let bounds = full_bounds(table, Bound::Unbounded, Bound::Unbounded);
    let newer = Arc::new(newer.clone());
    let part = |bounds| Part::Memory {
        source: memory.clone(),
        newer: Arc::clone(&newer),
        bounds,
    };
    let Memory::Memtable(memtable, _) = memory else {
        return Ok(vec![(part(bounds), 1)]);
    };
    let (from, to) = as_slices(&bounds);
    let Some([first, last]) = memtable.ends(from, to) else {
        return Ok(Vec::new());
    };
    let (first, last) = (
        row_of(split_key(&first).1)?.0,
        row_of(split_key(&last).1)?.0,
    );
    // Ids may be sparse; as a weight their spread is good enough.
    let spread = last - first;
    let pieces = (spread / ROWS_PER_WEIGHT).clamp(1, partitions as u64);
    let mut parts = Vec::new();
    let mut from = bounds.0;
    for piece in 1..=pieces {
        let next = first + (u128::from(spread) * u128::from(piece) / u128::from(pieces)) as u64;
        let cut = full_key(table, &row_key(RowId(next)));
        let to = match piece == pieces {
            true => bounds.1.clone(),
            false => Bound::Excluded(cut.clone()),
        };
        let bounds = (std::mem::replace(&mut from, Bound::Included(cut)), to);
        parts.push((part(bounds), 1 + spread / pieces / ROWS_PER_WEIGHT));
    }
    Ok(parts)
}

pub(super) fn scan(
    view: &ReadView,
    table: Arc<TableDef>,
    req: ScanRequest,
) -> Result<Vec<TableScan>> {
    view.check_kept(table.id)?;
    if let Some(reads) = view.noting() {
        reads.note_range(table.id, Bound::Unbounded, Bound::Unbounded);
    }
    let partitions = req.partitions.max(1);
    let computing = Computing::new(&view.0.evaluator, &table, &req.projection, req.row_id)?;
    let stored = computing
        .as_ref()
        .map(|computing| computing.stored().to_vec());
    let parts = parts(view, table.id, partitions)?;
    let plan = Arc::new(Plan {
        table,
        projection: stored.unwrap_or(req.projection),
        row_id: req.row_id,
        ranges: req.ranges,
        batch_rows: req.batch_rows.max(1),
        computing,
    });
    let empty = || TableScan {
        plan: Arc::clone(&plan),
        filters: Vec::new(),
        parts: VecDeque::new(),
        segment: None,
        rest: None,
        remaining: req.limit,
        done: false,
    };
    // Of those that have least, the one that was served longest ago: neighbours go to different ones.
    let mut scans: Vec<((u64, usize), TableScan)> = Vec::new();
    for (turn, (part, weight)) in parts.into_iter().enumerate() {
        if scans.len() < partitions {
            scans.push(((0, 0), empty()));
        }
        if let Some(((dealt, served), scan)) = scans.iter_mut().min_by_key(|(has, _)| *has) {
            scan.parts.push_back(part);
            *dealt += weight.max(1);
            *served = turn;
        }
    }
    let mut scans: Vec<TableScan> = scans.into_iter().map(|(_, scan)| scan).collect();
    if scans.is_empty() {
        scans.push(empty());
    }
    Ok(scans)
}
