//! A read view: the database at one timestamp, and what reads it.
//!
//! A view pins what it reads, so it stays valid for as long as anyone keeps it: cursors, streams and
//! threads may hold it past the statement and past the engine's next flush.
//!
//! Visibility, in one place: of a key's versions a view sees the newest one with commit timestamp ≤
//! its own; a transaction's view sees, before that, the transaction's own writes up to the view's
//! creation. Sources are asked newest first — own writes, the active memtable, frozen memtables and
//! segments by age, then those of the timelines that this one branched off from ([`path`]) — and the
//! first that knows the key at that timestamp decides. That a put or delete in a newer source hides the
//! row in all older ones is the whole kill rule.

use std::ops::Bound;
use std::sync::Arc;

use arrow_array::RecordBatch;

use crate::error::{Error, Result};
use crate::expression::Evaluator;
use crate::history::Horizons;
use crate::ids::{CollectionId, ColumnId, RowId, Ts};
use crate::memtable::{PREFIX_BYTES, full_key, split_key};
use crate::schema::TableDef;
use crate::segment::Sketch;
use crate::tables::Tables;
use crate::timeline::Timeline;
use crate::transaction::ssi::Reads;

pub mod changes;
mod computed;
pub mod index;
mod own;
pub mod path;
mod probe;
pub mod range;
pub mod reader;
pub mod scan;
pub mod superversion;
pub mod unseen;
pub mod versions;

pub use changes::{Changes, ChangesRequest, EntryChange, EntryChanges, RowChanges, TouchedRows};
pub(crate) use computed::Computing;
pub use index::IndexRange;
pub(crate) use own::{OwnWrites, find_in_runs};
pub(crate) use path::Path;
pub(crate) use probe::Probe;
pub use range::RangeIter;
pub use reader::RowReader;
use scan::ColumnRange;
pub use scan::{ScanRequest, TableScan};
pub(crate) use superversion::{Kind, Layer, Source, Superversion, Wanted};
pub use unseen::RowsSince;
pub use versions::{DroppedIndex, EverTable, RowVersionScan, RowVersions, Version, Versions};

pub(crate) struct ViewInner {
    pub path: Path,
    pub timeline: Arc<Timeline>,
    pub own: Option<OwnWrites>,
    pub tables: Arc<Tables>,
    pub evaluator: Arc<Evaluator>,
    /// How far back collections go, when some of them may not go back to the view's time.
    pub horizons: Option<Arc<Horizons>>,
}

/// See the module's header. Cheap to clone.
#[derive(Clone)]
pub struct ReadView(pub(crate) Arc<ViewInner>);

impl std::fmt::Debug for ReadView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadView")
            .field("ts", &self.ts())
            .finish_non_exhaustive()
    }
}

/// Key bytes of a row in its table's collection.
pub(crate) fn row_key(row: RowId) -> [u8; 8] {
    row.0.to_be_bytes()
}

/// The same in front of which the table stands, as everything in a memtable.
pub(crate) fn full_row_key(table: CollectionId, row: RowId) -> [u8; PREFIX_BYTES + 8] {
    let mut full = [0; PREFIX_BYTES + 8];
    full[..PREFIX_BYTES].copy_from_slice(&table.0.to_be_bytes());
    full[PREFIX_BYTES..].copy_from_slice(&row_key(row));
    full
}

/// The row that a row key or an index entry's value names.
pub(crate) fn row_of(bytes: &[u8]) -> Result<RowId> {
    match bytes.try_into() {
        Ok(bytes) => Ok(RowId(u64::from_be_bytes(bytes))),
        Err(_) => Err(Error::corruption(
            "a stored row id",
            0,
            "8 bytes",
            format!("{} bytes", bytes.len()),
        )),
    }
}

impl ReadView {
    /// The timestamp this view reads at.
    pub fn ts(&self) -> Ts {
        self.0.path.ts()
    }

    /// The same without what the view's transaction wrote, and without a note of what is read.
    pub fn committed(&self) -> ReadView {
        let ViewInner {
            path,
            timeline,
            own: _,
            tables,
            evaluator,
            horizons,
        } = &*self.0;
        ReadView(Arc::new(ViewInner {
            path: path.clone(),
            timeline: Arc::clone(timeline),
            own: None,
            tables: Arc::clone(tables),
            evaluator: Arc::clone(evaluator),
            horizons: horizons.clone(),
        }))
    }

    /// The same without the timelines above: what the view's own timeline has written. Of a row that it deleted
    /// and never wrote before, it has the delete and nothing else.
    pub fn alone(&self) -> ReadView {
        let committed = self.committed();
        let inner = &*committed.0;
        ReadView(Arc::new(ViewInner {
            path: inner.path.alone(),
            timeline: Arc::clone(&inner.timeline),
            own: None,
            tables: Arc::clone(&inner.tables),
            evaluator: Arc::clone(&inner.evaluator),
            horizons: inner.horizons.clone(),
        }))
    }

    /// Whether the view's own timeline may have something of a collection.
    pub fn has_own(&self, collection: CollectionId) -> bool {
        self.0.path.own().has(collection)
    }

    /// How many columns of rows that the timelines above wrote are a table's: those that it had at the fork.
    pub fn columns_at_fork(&self, table: CollectionId) -> Result<usize> {
        self.0.timeline.columns_at_fork(table)
    }

    /// Refuse to read a collection as it was before its history.
    ///
    /// # Errors
    ///
    /// `SnapshotTooOld`, with the oldest time that it can be read at.
    pub fn check_kept(&self, collection: CollectionId) -> Result<()> {
        let oldest = self.0.horizons.as_ref().map(|h| h.of(collection));
        match oldest.filter(|oldest| self.ts() < *oldest) {
            None => Ok(()),
            Some(oldest) => Err(Error::SnapshotTooOld {
                asked: self.ts(),
                oldest,
            }),
        }
    }

    /// The value of a key of a sorted collection.
    pub fn get(&self, collection: CollectionId, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let found = self.lookup(Kind::Sorted, collection, key, |_, value| {
            value.map(<[u8]>::to_vec)
        });
        Ok(found?.flatten())
    }

    /// The keys of a sorted collection within the bounds, in order, with their values.
    pub fn range(
        &self,
        collection: CollectionId,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Result<RangeIter> {
        RangeIter::new(self, collection, from, to)
    }

    /// All rows of a table, split over at most `req.partitions` iterators.
    pub fn scan(&self, table: Arc<TableDef>, req: ScanRequest) -> Result<Vec<TableScan>> {
        scan::scan(self, table, req)
    }

    /// The visible ones of `rows`, in the order asked.
    pub fn rows(
        &self,
        table: &TableDef,
        rows: &[RowId],
        projection: &[ColumnId],
        row_id: bool,
    ) -> Result<RecordBatch> {
        let asked = projection.iter();
        if asked
            .into_iter()
            .any(|column| column.as_computed().is_some())
        {
            let table = Arc::new(table.clone());
            let computing = Computing::new(&self.0.evaluator, &table, projection, row_id)?;
            if let Some(computing) = computing {
                return computing.finish(&self.rows(&table, rows, computing.stored(), row_id)?);
            }
        }
        self.read(&RowReader::new(table, projection, row_id, None)?, rows)
    }

    /// How many rows a table has now; approximate, and not tied to the view's timestamp.
    pub fn row_count_estimate(&self, table: CollectionId) -> u64 {
        self.0.timeline.live_estimate(table)
    }

    /// About how many different values a column of a table has in the rows there are now, those whose value
    /// is in memory taken to be like the others; `None` when no segment counted them.
    pub fn distinct_estimate(&self, table: CollectionId, column: ColumnId) -> Option<u64> {
        let (mut all, mut counted) = (Sketch::default(), 0);
        for (source, _) in self.0.path.sources() {
            // A segment that cannot tell says so when it is read.
            if let Source::Segment(segment) = source
                && let Ok(Some(sketch)) = segment.sketch(table, column)
            {
                all.merge(&sketch);
                counted += segment.live_rows(table);
            }
        }
        if counted == 0 {
            return None;
        }
        let (values, rows) = (all.estimate(), self.row_count_estimate(table) as f64);
        let of_all = values * rows / counted as f64;
        // Where each value comes once or twice, more rows have more of them.
        let is_key_like = values > counted as f64 / 2.0;
        let values = if is_key_like { of_all } else { values };
        Some(values.clamp(1.0, rows.max(1.0)) as u64)
    }

    /// How many of so many rows meet all ranges, roughly: in memory as many as in the segments.
    pub fn matching_estimate(&self, table: &TableDef, ranges: &[ColumnRange], rows: u64) -> u64 {
        if ranges.is_empty() {
            return rows;
        }
        let (mut wanted, mut all) = (0.0, 0.0);
        for (source, _) in self.0.path.sources() {
            // A segment that cannot tell says so when it is read.
            if let Source::Segment(segment) = source
                && let Ok((share, rows)) = segment.share_estimate(table, ranges)
            {
                wanted += share * rows as f64;
                all += rows as f64;
            }
        }
        match all > 0.0 {
            true => (rows as f64 * wanted / all).ceil() as u64,
            false => rows,
        }
    }

    /// When a row was written last, or deleted: the commit that this view sees. `None` for a row that never was,
    /// and for one that the view's transaction has written.
    pub fn row_ts(&self, table: CollectionId, row: RowId) -> Result<Option<Ts>> {
        let found = self.lookup(Kind::BARE_ROWS, table, &row_key(row), |ts, _| ts)?;
        Ok(found.flatten())
    }

    /// The stored row, when visible; columns that are not `wanted` may come as NULL.
    pub(crate) fn row(
        &self,
        table: CollectionId,
        row: RowId,
        wanted: &Wanted,
    ) -> Result<Option<Vec<u8>>> {
        let found = self.lookup(wanted.rows(), table, &row_key(row), |_, value| {
            value.map(<[u8]>::to_vec)
        });
        Ok(found?.flatten())
    }

    /// Where to note what is about to be read, if anywhere. Every way to read goes by here.
    pub(crate) fn noting(&self) -> Option<&Reads> {
        self.0.own.as_ref()?.reads.as_deref()
    }

    /// Call `f` with the version this view sees of a key: its timestamp (`None` for the
    /// transaction's own write) and its value (`None` for a delete). `None` when there is none.
    pub(crate) fn lookup<R>(
        &self,
        kind: Kind<'_>,
        collection: CollectionId,
        key: &[u8],
        f: impl FnOnce(Option<Ts>, Option<&[u8]>) -> R,
    ) -> Result<Option<R>> {
        self.lookup_full(kind, &full_key(collection, key), f)
    }

    /// [`ReadView::lookup`] of a full key.
    pub(crate) fn lookup_full<R>(
        &self,
        kind: Kind<'_>,
        full: &[u8],
        f: impl FnOnce(Option<Ts>, Option<&[u8]>) -> R,
    ) -> Result<Option<R>> {
        let (collection, key) = split_key(full);
        self.check_kept(collection)?;
        if let Some(reads) = self.noting() {
            reads.note_key(collection, key);
        }
        let Some(own) = &self.0.own else {
            let find = |ts, value: Option<&[u8]>| f(Some(ts), value);
            return self.0.path.find(kind, full, self.ts(), find);
        };
        // Only one of the two is called.
        let mut f = Some(f);
        let mut found = |ts, value: Option<&[u8]>| f.take().map(|f| f(ts, value));
        if let Some(own) = own.find(kind, full, |_, value| found(None, value))? {
            return Ok(own);
        }
        let path = &self.0.path;
        let committed = path.find(kind, full, self.ts(), |ts, value| found(Some(ts), value))?;
        Ok(committed.flatten())
    }
}
