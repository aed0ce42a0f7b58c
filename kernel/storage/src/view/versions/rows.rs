//! The rows of a table with their timestamps, in RowId order.
//!
//! Each source gives runs of versions by RowId: a segment's HEAD and HIST block by block, as the
//! cached pages themselves where all of a block is wanted, a memtable in chunks. The runs of the
//! sources are merged.
//!
//! * *Current* rows come from the newest source that decides them, and each source leaves out what
//!   newer ones decide, so that the streams have no row in common. Where the next run of one ends
//!   before those of the others begin, it is the batch; a database that was mostly inserted into
//!   is copied without looking at a row.
//! * A *superseded* version ends where the next newer one begins. HIST knows that; of a row with
//!   versions in several sources all of them are read, deletes included, and the newer one tells. A
//!   row with one version in one HEAD has nothing superseded, and is not read at all.
//!
//! * A row is *removed* when its oldest version is a delete, which comes to pass where a view is of one
//!   timeline alone ([`ReadView::alone`]). Of those there are RowIds and times.
//!
//! Memory: what goes into the next batch, of a bounded number of runs, and a run of every stream that
//! has come to the RowId of the next row. The others wait until the merge comes to where their next
//! block begins, which a segment's directory tells: however many segments there are, the blocks that
//! are read are those that overlap there.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt64Array};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use arrow_select::interleave::interleave;
use roaring::RoaringTreemap;

use super::waiting::Waiting;
use super::{CHUNK_BYTES, MemtableCursor};
use crate::error::{Error, Result};
use crate::ids::{CollectionId, ColumnId, Ts};
use crate::memtable::{Memtable, as_slices, full_bounds, split_key};
use crate::row::{BatchBuilder, ROW_ID_COLUMN, batch, batch_schema};
use crate::schema::TableDef;
use crate::segment::{RowPick, RowRun, RowRuns, SegmentReader, compact};
use crate::view::path::Level;
use crate::view::{ReadView, Source, row_of};

/// Rows in a batch, at most.
const BATCH_ROWS: usize = 8192;
/// Runs that one batch is put together from, at most.
const BATCH_RUNS: usize = 16;

/// Name of the column with the timestamps that versions begin at.
const BEGIN_COLUMN: &str = "_begin";
/// Name of the column with the timestamps that versions end at.
const END_COLUMN: &str = "_end";

/// Which versions of rows to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowVersions {
    /// What the view sees.
    Current,
    /// What it does not see any more: versions that were replaced or deleted at or before its
    /// timestamp.
    Superseded,
    /// Rows that the view's sources know nothing of but that they were deleted, or nothing older. Without the
    /// table's columns.
    Removed,
}

/// Iterator over batches of versions, none of them empty.
pub struct RowVersionScan {
    schema: SchemaRef,
    which: RowVersions,
    /// Nothing that began by then is given.
    after: u64,
    /// By rank, the newest timestamp that a stream shows.
    caps: Vec<Ts>,
    /// Those that the merge has come to, in no order.
    pub(super) open: Vec<Open>,
    /// The others, by the row that they may go on with.
    waiting: Waiting<u64, Stream>,
    /// The row last seen, and where the oldest version of it so far begins.
    newer: Option<(u64, u64)>,
    /// The oldest version so far of the row last seen, and whether that is a delete; of removed rows alone.
    oldest: Option<(u64, u64, bool)>,
    pending: Pending,
    failed: bool,
}

impl std::fmt::Debug for RowVersionScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowVersionScan")
            .field("which", &self.which)
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}

/// A stream with its next run.
pub(super) struct Open {
    /// Its place in the order of streams: the newest source first, HEAD before HIST.
    rank: usize,
    stream: Stream,
    run: RowRun,
    /// The next row of the run.
    at: usize,
}

impl Open {
    fn row(&self) -> u64 {
        self.run.ids[self.at]
    }
}

enum Stream {
    Memtable(Box<MemtableRuns>),
    Segment(Box<RowRuns>),
}

impl Stream {
    /// No row to come is before it; `None` when none is to come.
    fn next_row(&self) -> Result<Option<u64>> {
        match self {
            // It is in memory as it is.
            Stream::Memtable(runs) => Ok((!runs.cursor.done).then_some(0)),
            Stream::Segment(runs) => runs.next_row(),
        }
    }

    /// Read on; nothing may be in the next piece.
    fn read(&mut self) -> Result<Option<RowRun>> {
        match self {
            Stream::Memtable(runs) => Ok(Some(runs.chunk()?).filter(|run| run.count() > 0)),
            Stream::Segment(runs) => runs.read_block(),
        }
    }
}

/// The versions of one memtable, as [`RowRuns`] gives those of a segment.
struct MemtableRuns {
    cursor: MemtableCursor,
    table: Arc<TableDef>,
    projection: Vec<ColumnId>,
    pick: MemtablePick,
}

enum MemtablePick {
    /// Of each row that nothing newer decides the version at the cap, if a put: neither memtables at
    /// their caps, nor segments, if there are newer ones.
    Visible {
        newer: Vec<(Arc<Memtable>, Ts)>,
        exclude: Option<Arc<RoaringTreemap>>,
    },
    /// All versions of rows that are in `among` or have several.
    All { among: Arc<RoaringTreemap> },
}

impl MemtableRuns {
    fn chunk(&mut self) -> Result<RowRun> {
        let mut builder = BatchBuilder::new(&self.table, &self.projection, false)?;
        let (mut ids, mut begins, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
        let (mut bytes, mut failed) = (0, None);
        let at = self.cursor.at;
        let pick = &self.pick;
        let visible = matches!(pick, MemtablePick::Visible { .. });
        self.cursor.visit(
            |key, chain| match pick {
                MemtablePick::Visible { newer, exclude } => {
                    let known = |rows: &Arc<RoaringTreemap>| {
                        row_of(split_key(key).1).is_ok_and(|row| rows.contains(row.0))
                    };
                    !exclude.as_ref().is_some_and(known)
                        && newer
                            .iter()
                            .all(|(other, at)| other.find(key, *at).is_none())
                }
                MemtablePick::All { among } => {
                    let several = |v: &crate::memtable::Version| v.prev().is_some();
                    let row = row_of(split_key(key).1);
                    row.is_ok_and(|row| among.contains(row.0))
                        || chain.find(at).is_some_and(|newest| several(&newest))
                }
            },
            |key, begin, value| {
                let mut push = || {
                    let row = row_of(key)?;
                    if visible && value.is_none() {
                        return Ok(());
                    }
                    bytes += value.map_or(0, <[u8]>::len);
                    ids.push(row.0);
                    begins.push(begin.0);
                    deleted.push(value.is_none());
                    match value {
                        Some(value) => builder.push(row, value),
                        None => builder.push_nulls(row),
                    }
                };
                if let Err(e) = push() {
                    failed = Some(e);
                    return ControlFlow::Break(());
                }
                match ids.len() < BATCH_ROWS && bytes < CHUNK_BYTES {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            },
        );
        if let Some(error) = failed {
            return Err(error);
        }
        let columns = builder.finish()?.columns().to_vec();
        let any_deleted = deleted.contains(&true);
        Ok(RowRun {
            ids: ids.into(),
            begins: begins.into(),
            ends: None,
            deleted: any_deleted.then(|| BooleanBuffer::from(deleted)),
            columns,
        })
    }
}

/// Rows of other runs that make the next batch: which run, which row, and for superseded ones where
/// they end.
#[derive(Default)]
struct Pending {
    runs: Vec<RowRun>,
    /// By rank, the place of a stream's present run in `runs`.
    places: Vec<Option<usize>>,
    rows: Vec<(usize, usize)>,
    ends: Vec<u64>,
}

impl Pending {
    fn is_full(&self) -> bool {
        self.rows.len() >= BATCH_ROWS || self.runs.len() >= BATCH_RUNS
    }

    /// The place of a stream's present run.
    fn place(&mut self, rank: usize, run: &RowRun) -> usize {
        if self.places.len() <= rank {
            self.places.resize(rank + 1, None);
        }
        *self.places[rank].get_or_insert_with(|| {
            self.runs.push(run.clone());
            self.runs.len() - 1
        })
    }

    /// A stream goes on to another run.
    fn forget(&mut self, rank: usize) {
        if let Some(place) = self.places.get_mut(rank) {
            *place = None;
        }
    }

    /// Put the rows together and start over.
    fn take(&mut self, schema: &SchemaRef) -> Result<Option<RecordBatch>> {
        let pending = std::mem::take(self);
        if pending.rows.is_empty() {
            return Ok(None);
        }
        let number = |of: fn(&RowRun) -> &ScalarBuffer<u64>| {
            let numbers = pending
                .rows
                .iter()
                .map(|(run, row)| of(&pending.runs[*run])[*row]);
            numbers.collect::<Vec<u64>>()
        };
        let mut columns = Vec::with_capacity(schema.fields().len());
        for column in 0..pending.runs[0].columns.len() {
            let arrays = pending
                .runs
                .iter()
                .map(|run| &*run.columns[column] as &dyn Array);
            let arrays: Vec<_> = arrays.collect();
            let array = interleave(&arrays, &pending.rows)
                .map_err(|e| Error::internal(format!("columns that do not go together: {e}")))?;
            columns.push(compact(array));
        }
        let ends = (!pending.ends.is_empty()).then_some(pending.ends.clone());
        let (ids, begins) = (number(|run| &run.ids), number(|run| &run.begins));
        with_times(
            schema,
            columns,
            ids.into(),
            begins.into(),
            ends.map(Into::into),
        )
        .map(Some)
    }
}

/// A batch of `columns` and the times of their rows.
fn with_times(
    schema: &SchemaRef,
    mut columns: Vec<ArrayRef>,
    ids: ScalarBuffer<u64>,
    begins: ScalarBuffer<u64>,
    ends: Option<ScalarBuffer<u64>>,
) -> Result<RecordBatch> {
    let rows = ids.len();
    for numbers in [Some(ids), Some(begins), ends].into_iter().flatten() {
        columns.push(Arc::new(UInt64Array::new(numbers, None)));
    }
    batch(Arc::clone(schema), columns, rows)
}

/// The batches' schema: `c0`, `c1` …, then the times.
fn schema_of(table: &TableDef, which: RowVersions) -> Result<SchemaRef> {
    let projection = projection_of(table, which);
    let mut fields = batch_schema(table, &projection, false)?.fields().to_vec();
    let names = match which {
        RowVersions::Current | RowVersions::Removed => &[ROW_ID_COLUMN, BEGIN_COLUMN][..],
        RowVersions::Superseded => &[ROW_ID_COLUMN, BEGIN_COLUMN, END_COLUMN][..],
    };
    let times = names
        .iter()
        .map(|name| Arc::new(Field::new(*name, DataType::UInt64, false)));
    fields.extend(times);
    Ok(Arc::new(Schema::new(fields)))
}

/// All columns; of removed rows none.
fn projection_of(table: &TableDef, which: RowVersions) -> Vec<ColumnId> {
    let columns = match which {
        RowVersions::Current | RowVersions::Superseded => table.columns.len(),
        RowVersions::Removed => 0,
    };
    (0..columns).map(|i| ColumnId(i as u16)).collect()
}

/// RowIds of a table in a memtable that `wanted` says yes to.
fn rows_in(
    memtable: &Memtable,
    table: CollectionId,
    wanted: impl Fn(&crate::memtable::Chain) -> bool,
) -> Result<RoaringTreemap> {
    let bounds = full_bounds(table, Bound::Unbounded, Bound::Unbounded);
    let (from, to) = as_slices(&bounds);
    let (mut rows, mut failed) = (RoaringTreemap::new(), None);
    memtable.visit(from, to, |key, chain| {
        match row_of(split_key(key).1) {
            Ok(row) if wanted(chain) => {
                rows.insert(row.0);
            }
            Ok(_) => {}
            Err(e) => failed = Some(e),
        }
        match failed {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    });
    failed.map_or(Ok(rows), Err)
}

impl RowVersionScan {
    pub(super) fn new(
        view: &ReadView,
        table: &Arc<TableDef>,
        which: RowVersions,
        after: Ts,
    ) -> Result<RowVersionScan> {
        let streams = match which {
            RowVersions::Current => visible(view, table)?,
            RowVersions::Superseded | RowVersions::Removed => all(view, table, which)?,
        };
        let mut scan = RowVersionScan {
            schema: schema_of(table, which)?,
            which,
            after: after.0,
            caps: streams.iter().map(|(_, cap)| *cap).collect(),
            open: Vec::new(),
            waiting: Waiting::new(),
            newer: None,
            oldest: None,
            pending: Pending::default(),
            failed: false,
        };
        for (rank, (stream, _)) in streams.into_iter().enumerate() {
            scan.put_aside(rank, stream)?;
        }
        Ok(scan)
    }

    /// Nothing of a stream is held until the merge comes to its next row.
    fn put_aside(&mut self, rank: usize, stream: Stream) -> Result<()> {
        if let Some(row) = stream.next_row()? {
            self.waiting.push(row, rank, stream);
        }
        Ok(())
    }

    /// Of each row the oldest version comes last.
    fn next_removed(&mut self) -> Result<Option<RecordBatch>> {
        let (mut ids, mut begins) = (Vec::new(), Vec::new());
        while ids.len() < BATCH_ROWS {
            let next = self.least()?;
            let found = next.map(|(source, _)| {
                let Open { run, at, .. } = &self.open[source];
                let deleted = run.deleted.as_ref().is_some_and(|bits| bits.value(*at));
                (run.ids[*at], run.begins[*at], deleted)
            });
            // Older than what is asked for says nothing of its row.
            let found = found.filter(|(_, begin, _)| *begin > self.after || next.is_none());
            let before = match (found, next) {
                (None, Some((source, _))) => {
                    let to = self.open[source].at + 1;
                    self.go_to(source, to)?;
                    continue;
                }
                (found, _) => std::mem::replace(&mut self.oldest, found),
            };
            if let Some((row, begin, true)) = before
                && found.is_none_or(|(next, ..)| next != row)
            {
                ids.push(row);
                begins.push(begin);
            }
            let Some((source, _)) = next else {
                break;
            };
            let to = self.open[source].at + 1;
            self.go_to(source, to)?;
        }
        match ids.is_empty() {
            true => Ok(None),
            false => {
                with_times(&self.schema, Vec::new(), ids.into(), begins.into(), None).map(Some)
            }
        }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if self.which == RowVersions::Removed {
            return self.next_removed();
        }
        while !self.pending.is_full() {
            let Some((source, before)) = self.least()? else {
                break;
            };
            if self.which == RowVersions::Superseded {
                self.look_at(source)?;
                continue;
            }
            let Open { rank, run, at, .. } = &self.open[source];
            let (rank, start) = (*rank, *at);
            let end = match before {
                None => run.count(),
                // One at least, whatever a file says.
                Some(row) => start + run.ids[start..].partition_point(|id| *id < row).max(1),
            };
            if start == 0 && end == run.count() {
                // All of a run, as it is; but first what is before it.
                if let Some(batch) = self.pending.take(&self.schema)? {
                    return Ok(Some(batch));
                }
                let run = self.advance(source)?;
                return with_times(&self.schema, run.columns, run.ids, run.begins, None).map(Some);
            }
            let end = end.min(start + BATCH_ROWS - self.pending.rows.len());
            let place = self.pending.place(rank, run);
            self.pending
                .rows
                .extend((start..end).map(|row| (place, row)));
            self.go_to(source, end)?;
        }
        self.pending.take(&self.schema)
    }

    /// The rows of a batch that began after what is left out.
    fn newer(&self, batch: RecordBatch) -> Result<RecordBatch> {
        if self.after == 0 {
            return Ok(batch);
        }
        let times = match self.which {
            RowVersions::Current | RowVersions::Removed => 1,
            RowVersions::Superseded => 2,
        };
        let column = batch.columns().len().checked_sub(times);
        let begins = column.and_then(|at| batch.column(at).as_primitive_opt::<UInt64Type>());
        let begins = begins.ok_or_else(|| Error::internal("versions without times"))?;
        let newer: BooleanArray = begins.iter().map(|b| b.map(|b| b > self.after)).collect();
        filter_record_batch(&batch, &newer)
            .map_err(|e| Error::internal(format!("versions that cannot be picked: {e}")))
    }

    /// The open stream with the least row, the newest of several, and the row that the others come
    /// to. Streams that may have that row are open then.
    fn least(&mut self) -> Result<Option<(usize, Option<u64>)>> {
        loop {
            let order = |i: &usize| (self.open[*i].row(), self.open[*i].rank);
            let least = (0..self.open.len()).min_by_key(order);
            let row = least.map(|least| self.open[least].row());
            if let Some((rank, mut stream)) = self.waiting.pop_due(row.as_ref()) {
                match stream.read()? {
                    Some(run) => self.open.push(Open {
                        rank,
                        stream,
                        run,
                        at: 0,
                    }),
                    None => self.put_aside(rank, stream)?,
                }
                continue;
            }
            let Some(least) = least else {
                return Ok(None);
            };
            let others = self.open.iter().enumerate();
            let others = others.filter(|(source, _)| *source != least);
            let others = others.map(|(_, open)| open.row());
            let before = others.chain(self.waiting.next().copied()).min();
            return Ok(Some((least, before)));
        }
    }

    /// Hold the next version of `source` against the one before, and keep it if it is superseded.
    fn look_at(&mut self, source: usize) -> Result<()> {
        let Open { rank, run, at, .. } = &self.open[source];
        let (row, begin) = (run.ids[*at], run.begins[*at]);
        // What ends after the cap of its timeline goes on in those that branched off before.
        let known = run.ends.as_ref().map(|ends| ends[*at]);
        let known = known.filter(|end| *end <= self.caps[*rank].0);
        let newer = self.newer.filter(|(newer, _)| *newer == row);
        let end = known.or(newer.map(|(_, begin)| begin));
        let deleted = run.deleted.as_ref().is_some_and(|bits| bits.value(*at));
        if let (Some(end), false) = (end, deleted) {
            let place = self.pending.place(*rank, run);
            self.pending.rows.push((place, *at));
            self.pending.ends.push(end);
        }
        self.newer = Some((row, begin));
        let next = at + 1;
        self.go_to(source, next)
    }

    /// `source` has come to row `to` of its run.
    fn go_to(&mut self, source: usize, to: usize) -> Result<()> {
        let open = &mut self.open[source];
        open.at = to;
        match to < open.run.count() {
            true => Ok(()),
            false => self.advance(source).map(|_| ()),
        }
    }

    /// `source` is done with its run, which is returned.
    fn advance(&mut self, source: usize) -> Result<RowRun> {
        let Open {
            rank, stream, run, ..
        } = self.open.swap_remove(source);
        self.pending.forget(rank);
        self.put_aside(rank, stream)?;
        Ok(run)
    }
}

/// The streams of what a view sees, which have no row in common, with their caps.
fn visible(view: &ReadView, table: &Arc<TableDef>) -> Result<Vec<(Stream, Ts)>> {
    let mut streams = Vec::new();
    let mut newer_memtables = Vec::new();
    let (mut newer, mut newer_in_segments) = (RoaringTreemap::new(), false);
    for (source, level) in view.0.path.sources() {
        let at = level.cap;
        match source {
            Source::Memtable(memtable) => {
                let pick = MemtablePick::Visible {
                    newer: newer_memtables.clone(),
                    exclude: newer_in_segments.then(|| Arc::new(newer.clone())),
                };
                let stream = memtable_stream(memtable, table, RowVersions::Current, at, pick);
                streams.push((stream, at));
                newer_memtables.push((Arc::clone(memtable), at));
                newer |= rows_in(memtable, table.id, |chain| chain.find(at).is_some())?;
            }
            Source::Segment(segment) => {
                let decided = segment.decided(table.id, at)?;
                if decided.is_empty() {
                    continue;
                }
                let exclude = Arc::new(&newer & &*decided);
                newer |= &*decided;
                newer_in_segments = true;
                for hist in [false, true] {
                    let exclude = Arc::clone(&exclude);
                    let pick = RowPick::Visible { exclude };
                    streams.push(segment_stream(segment, table, pick, level, hist)?);
                }
            }
        }
    }
    Ok(streams)
}

/// The streams of all versions that are superseded, or supersede one, with their caps; of all versions for who
/// looks for removed rows.
fn all(view: &ReadView, table: &Arc<TableDef>, which: RowVersions) -> Result<Vec<(Stream, Ts)>> {
    let (mut seen, mut several) = (RoaringTreemap::new(), RoaringTreemap::new());
    let mut note = |rows: &RoaringTreemap| {
        several |= &seen & rows;
        seen |= rows;
    };
    for (source, _) in view.0.path.sources() {
        match source {
            Source::Memtable(memtable) => note(&rows_in(memtable, table.id, |_| true)?),
            Source::Segment(segment) => {
                if let Some(rows) = segment.row_ids(table.id)? {
                    note(&rows);
                }
            }
        }
    }
    let removed = which == RowVersions::Removed;
    let among = Arc::new(if removed { seen } else { several });
    let bare;
    let of_segments = match removed {
        true => {
            bare = Arc::new(TableDef {
                columns: Vec::new(),
                ..TableDef::clone(table)
            });
            &bare
        }
        false => table,
    };
    let mut streams = Vec::new();
    for (source, level) in view.0.path.sources() {
        let among = || Arc::clone(&among);
        match source {
            Source::Memtable(memtable) => {
                let pick = MemtablePick::All { among: among() };
                let stream = memtable_stream(memtable, table, which, level.cap, pick);
                streams.push((stream, level.cap));
            }
            Source::Segment(segment) => {
                for hist in [false, true] {
                    let pick = RowPick::All { among: among() };
                    streams.push(segment_stream(segment, of_segments, pick, level, hist)?);
                }
            }
        }
    }
    Ok(streams)
}

fn segment_stream(
    segment: &SegmentReader,
    table: &Arc<TableDef>,
    pick: RowPick,
    level: &Level,
    hist: bool,
) -> Result<(Stream, Ts)> {
    let columns = match level.below {
        Some(_) if !segment.has(table.id) => usize::MAX,
        _ => level.columns(table.id)?,
    };
    let runs = segment.row_runs(table, columns, pick, level.cap, hist)?;
    Ok((Stream::Segment(Box::new(runs)), level.cap))
}

fn memtable_stream(
    memtable: &Arc<Memtable>,
    table: &Arc<TableDef>,
    which: RowVersions,
    at: Ts,
    pick: MemtablePick,
) -> Stream {
    let mut cursor = MemtableCursor::new(memtable, table.id, at);
    cursor.newest_only = matches!(pick, MemtablePick::Visible { .. });
    Stream::Memtable(Box::new(MemtableRuns {
        cursor,
        table: Arc::clone(table),
        projection: projection_of(table, which),
        pick,
    }))
}

impl Iterator for RowVersionScan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        if self.failed {
            return None;
        }
        loop {
            let next = self.next_batch();
            let next = next.and_then(|batch| batch.map(|batch| self.newer(batch)).transpose());
            self.failed = next.is_err();
            match next {
                Ok(Some(batch)) if batch.num_rows() == 0 => {}
                next => return next.transpose(),
            }
        }
    }
}
