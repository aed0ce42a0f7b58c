//! Loading the rows of one table, and with them its indexes.
//!
//! Rows come as Arrow batches and become column pages without being rows in between. The segments of
//! superseded versions are older ones to every reader, so their HEAD has of each row what was there
//! just before the current version: the newest superseded one, or, when the row had gone before,
//! the delete.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};
use arrow_select::take::take;

use super::entries::IndexLoader;
use super::files::{Age, Files, TableSummary};
use super::series::{Content, Series, Written};
use crate::datum::arrow::ColumnValues;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, RowId};
use crate::schema::TableDef;
use crate::segment::RowRun;
use crate::view::DroppedIndex;

/// RowIds and timestamps are below: there is room to go on behind them.
pub const NUMBER_MAX: u64 = i64::MAX as u64;

/// What was loaded of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadedTable {
    pub rows: u64,
    /// Superseded ones.
    pub versions: u64,
    /// Versions of entries, of all indexes.
    pub index_entries: u64,
    /// Of values, before they were encoded.
    pub bytes: u64,
}

/// Which indexes are made with a table's rows.
pub(super) enum IndexesOf<'a> {
    All,
    /// See [`Loader::branch_table`](super::Loader::branch_table).
    Branch {
        anew: &'a [CollectionId],
        has_rows: bool,
    },
}

/// Takes the versions of a table's rows: first the current ones, then the others.
pub struct TableLoader {
    files: Arc<Files>,
    table: Arc<TableDef>,
    indexes: Vec<IndexLoader>,
    current: Current,
    superseded: Series,
    /// Of rows that a branch has from above.
    removed: Series,
    /// How many of those the branch has written or deleted.
    inherited: i64,
    index_ids: Vec<CollectionId>,
    /// The superseded version before: its row, and when it began.
    last: Option<(u64, u64)>,
    row_max: u64,
    loaded: LoadedTable,
}

/// The current rows.
enum Current {
    Open(Box<Series>),
    /// All are in; and up to where superseded versions were held against them.
    Written(Written, (usize, usize)),
}

impl std::fmt::Debug for TableLoader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableLoader")
            .field("table", &self.table.id)
            .field("loaded", &self.loaded)
            .finish_non_exhaustive()
    }
}

impl TableLoader {
    pub(super) fn new(
        files: &Arc<Files>,
        def: &TableDef,
        dropped: &[DroppedIndex],
        which: IndexesOf<'_>,
    ) -> Result<TableLoader> {
        if let Some(column) = def.columns.iter().position(|column| column.dropped) {
            return Err(Error::invalid(format!(
                "column {column} of table {} is dropped; a load has all columns",
                def.id
            )));
        }
        let table = Arc::new(def.clone());
        let mut indexes = Vec::new();
        let now = def.indexes.iter().map(|index| (index.id, &table, None));
        let before = dropped
            .iter()
            .map(|index| (index.id, &index.def, Some(index.at)));
        let mut ids = vec![def.id];
        for (id, table, until) in now.chain(before) {
            let (anew, wanted) = match &which {
                IndexesOf::All => (false, true),
                IndexesOf::Branch { anew, has_rows } => {
                    let anew = anew.contains(&id);
                    (anew, anew || *has_rows)
                }
            };
            let place = table.indexes.iter().position(|index| index.id == id);
            let place = place.ok_or_else(|| {
                Error::invalid(format!("table {} never had index {id}", table.id))
            })?;
            ids.push(id);
            if wanted {
                let index = IndexLoader::new(files, table, place, anew)?;
                indexes.push(index.until(until));
            }
        }
        files.begin(ids.iter().copied())?;
        let series = |age| Series::new(files, Content::Rows(Arc::clone(&table)), age);
        Ok(TableLoader {
            files: Arc::clone(files),
            indexes,
            current: Current::Open(Box::new(series(Age::New))),
            superseded: series(Age::Old),
            removed: series(Age::Oldest),
            inherited: 0,
            index_ids: ids.split_off(1),
            last: None,
            row_max: 0,
            loaded: LoadedTable::default(),
            table,
        })
    }

    /// Add current rows, in the form of [`RowVersions::Current`](crate::RowVersions), by rising RowId.
    pub fn push_current(&mut self, batch: &RecordBatch) -> Result<()> {
        let (run, bytes) = self.run_of(batch, false)?;
        let Current::Open(series) = &mut self.current else {
            return Err(Error::invalid("a current row after superseded ones"));
        };
        let mut last = self.row_max;
        for (id, begin) in run.ids.iter().zip(run.begins.iter()) {
            check_number("RowId", *id)?;
            check_number("timestamp", *begin)?;
            if *id <= last {
                return Err(Error::invalid(format!("row {id} comes after row {last}")));
            }
            last = *id;
        }
        self.row_max = last;
        for index in &mut self.indexes {
            index.push(&run)?;
        }
        series.cut()?;
        self.loaded.rows += run.count() as u64;
        self.loaded.bytes += bytes;
        series.push_run(run, bytes)
    }

    /// Add superseded versions, in the form of [`RowVersions::Superseded`](crate::RowVersions), by
    /// rising RowId and from the newest to the oldest of a row. No current row may come after them.
    pub fn push_superseded(&mut self, batch: &RecordBatch) -> Result<()> {
        let (run, bytes) = self.run_of(batch, true)?;
        if run.count() == 0 {
            return Ok(());
        }
        // A row's versions stay in one file.
        if self.last.is_none_or(|(row, _)| row != run.ids[0]) {
            self.superseded.cut()?;
        }
        let (mut head, mut hist) = (Picked::default(), Picked::default());
        for row in 0..run.count() {
            self.place(&run, row, &mut head, &mut hist)?;
        }
        for index in &mut self.indexes {
            index.push(&run)?;
        }
        self.loaded.versions += run.count() as u64;
        self.loaded.bytes += bytes;
        let head_bytes = bytes * head.ids.len() as u64 / run.count() as u64;
        self.superseded
            .push_run(head.run(&run, false)?, head_bytes)?;
        self.superseded.push_run(hist.run(&run, true)?, bytes)
    }

    /// Add rows that the branch has from above and deleted, when it had not written them before, in the form of
    /// [`RowVersions::Removed`](crate::RowVersions), by rising RowId.
    pub fn push_removed(&mut self, batch: &RecordBatch) -> Result<()> {
        self.files.options.interrupt.check()?;
        let [ids, begins] = batch.columns() else {
            return Err(Error::invalid("removed rows have a RowId and a time"));
        };
        let (ids, begins) = (numbers_of(ids)?, numbers_of(begins)?);
        for (id, begin) in ids.iter().zip(begins.iter()) {
            check_number("RowId", *id)?;
            check_number("timestamp", *begin)?;
            self.row_max = self.row_max.max(*id);
        }
        let columns = self.table.columns.iter();
        let count = ids.len();
        let run = RowRun {
            deleted: Some(BooleanBuffer::new_set(count)),
            columns: columns
                .map(|column| new_null_array(&column.ty.arrow(), count))
                .collect(),
            ids,
            begins,
            ends: None,
        };
        self.removed.cut()?;
        self.removed
            .push_run(run, (count * size_of::<(u64, u64)>()) as u64)
    }

    /// Whether all rows that there were at the fork are to be pushed, and not only those that the branch wrote or
    /// deleted.
    pub fn wants_all_inherited(&self) -> bool {
        self.indexes.iter().any(IndexLoader::is_anew)
    }

    /// Add rows as they were at the fork: all columns, `_rowid`. They end where `ends` says, when the branch wrote or
    /// deleted them for the first time, or still stand. For the indexes alone: rows are read where they are.
    pub fn push_inherited(&mut self, batch: &RecordBatch, ends: &[Option<u64>]) -> Result<()> {
        self.files.options.interrupt.check()?;
        let columns = self.table.columns.len();
        if batch.num_columns() <= columns || ends.len() != batch.num_rows() {
            return Err(Error::invalid("inherited rows of another form"));
        }
        let ended = |wanted: bool| -> Vec<u32> {
            let rows = (0..).zip(ends);
            rows.filter(|(_, end)| end.is_some() == wanted)
                .map(|(row, _)| row)
                .collect()
        };
        for (rows, has_ended) in [(ended(true), true), (ended(false), false)] {
            if rows.is_empty() {
                continue;
            }
            let rows = UInt32Array::from(rows);
            let picked = batch.columns()[..=columns].iter().map(|array| {
                take(array.as_ref(), &rows, None)
                    .map_err(|e| Error::internal(format!("rows that cannot be picked: {e}")))
            });
            let mut picked = picked.collect::<Result<Vec<_>>>()?;
            let ids = picked.pop().map(|ids| numbers_of(&ids)).transpose()?;
            let ids = ids.unwrap_or_default();
            let times = ends.iter().copied().flatten().collect::<Vec<u64>>();
            let run = RowRun {
                begins: vec![self.files.floor.0; ids.len()].into(),
                ends: has_ended.then(|| times.into()),
                deleted: None,
                columns: picked,
                ids,
            };
            for index in &mut self.indexes {
                index.push_inherited(&run)?;
            }
            if has_ended {
                self.inherited += run.count() as i64;
            }
        }
        Ok(())
    }

    /// All versions are in: write what is left of them, and the index entries.
    pub fn finish(mut self) -> Result<LoadedTable> {
        let (current, superseded, removed) = (self.current, self.superseded, self.removed);
        let rows = move || {
            if let Current::Open(series) = current {
                series.finish()?;
            }
            superseded.finish()?;
            removed.finish().map(|_| ())
        };
        self.loaded.index_entries = IndexLoader::finish_all(self.indexes, &self.files, rows)?;
        let columns = self.table.columns.iter();
        self.files.end(Some(TableSummary {
            id: self.table.id,
            types: columns.map(|column| column.ty.clone()).collect(),
            indexes: self.index_ids,
            live_rows: self.loaded.rows as i64 - self.inherited,
            row_max: RowId(self.row_max),
        }));
        Ok(self.loaded)
    }

    /// Say where version `row` of `run` goes.
    fn place(
        &mut self,
        run: &RowRun,
        row: usize,
        head: &mut Picked,
        hist: &mut Picked,
    ) -> Result<()> {
        let id = run.ids[row];
        let (begin, end) = (
            run.begins[row],
            run.ends.as_ref().map_or(0, |ends| ends[row]),
        );
        for (what, number) in [("RowId", id), ("timestamp", begin), ("timestamp", end)] {
            check_number(what, number)?;
        }
        let out_of_order = |newer: &str| {
            Error::invalid(format!(
                "version {begin} to {end} of row {id} of table {} does not fit {newer}",
                self.table.id
            ))
        };
        if begin >= end {
            return Err(out_of_order("itself"));
        }
        let last = self.last.replace((id, begin));
        match last {
            Some((last, newer)) if last == id => {
                if end > newer {
                    return Err(out_of_order("the version before it"));
                }
                if end < newer {
                    hist.push(id, end, Some(newer), None);
                }
                hist.push(id, begin, Some(end), Some(row));
            }
            Some((last, _)) if last > id => return Err(out_of_order("the row before it")),
            _ => match self.current_begin(id)? {
                Some(current) if end > current => {
                    return Err(Error::invalid(format!(
                        "version {begin} to {end} of row {id} of table {} outlives the current one",
                        self.table.id
                    )));
                }
                Some(current) if end == current => head.push(id, begin, None, Some(row)),
                _ => {
                    head.push(id, end, None, None);
                    hist.push(id, begin, Some(end), Some(row));
                }
            },
        }
        self.row_max = self.row_max.max(id);
        Ok(())
    }

    /// When the current version of a row began. Rows are asked for in rising order.
    fn current_begin(&mut self, row: u64) -> Result<Option<u64>> {
        if let Current::Open(series) = &mut self.current {
            let empty = Series::new(
                &self.files,
                Content::Rows(Arc::clone(&self.table)),
                Age::New,
            );
            let written = std::mem::replace(&mut **series, empty).finish()?;
            self.current = Current::Written(written, (0, 0));
        }
        match &mut self.current {
            Current::Open(_) => Ok(None),
            Current::Written(written, from) => {
                let begin = written.begin_of(self.table.id, row, from)?;
                Ok(begin.map(|begin| begin.0))
            }
        }
    }

    /// The rows of a batch of the right shape, and how many bytes their values have.
    fn run_of(&self, batch: &RecordBatch, ends: bool) -> Result<(RowRun, u64)> {
        self.files.options.interrupt.check()?;
        let columns = self.table.columns.len();
        let expected = columns + 2 + usize::from(ends);
        if batch.num_columns() != expected {
            return Err(Error::invalid(format!(
                "a batch of {} columns for table {}, which takes {expected}",
                batch.num_columns(),
                self.table.id
            )));
        }
        let (arrays, numbers) = batch.columns().split_at(columns);
        let bytes = value_bytes(&self.table, arrays)?;
        let numbers = numbers.iter().map(numbers_of);
        let mut numbers = numbers.collect::<Result<Vec<_>>>()?.into_iter();
        let mut next = || numbers.next().unwrap_or_default();
        let run = RowRun {
            ids: next(),
            begins: next(),
            ends: ends.then(next),
            deleted: None,
            columns: arrays.to_vec(),
        };
        Ok((run, bytes))
    }
}

/// How many bytes the values of rows have, whose stored columns are `columns`.
pub fn value_bytes(table: &TableDef, columns: &[ArrayRef]) -> Result<u64> {
    let mut bytes = 0;
    for (def, array) in table.columns.iter().zip(columns) {
        let values = ColumnValues::new(&def.ty, array.as_ref())?;
        bytes += match def.ty.fixed_width_bytes() {
            Some(width) => array.len() * width,
            None => (0..array.len()).map(|row| values.bytes(row)).sum(),
        } as u64;
    }
    Ok(bytes)
}

fn check_number(what: &str, number: u64) -> Result<()> {
    match number {
        1..NUMBER_MAX => Ok(()),
        _ => Err(Error::invalid(format!("{number} is no {what}"))),
    }
}

fn numbers_of(array: &ArrayRef) -> Result<ScalarBuffer<u64>> {
    match array.as_primitive_opt::<UInt64Type>() {
        Some(numbers) if numbers.null_count() == 0 => Ok(numbers.values().clone()),
        _ => Err(Error::invalid(format!(
            "RowIds or timestamps of type {} or with NULLs",
            array.data_type()
        ))),
    }
}

/// Versions for one run of a segment: some of a batch's, and deletes.
#[derive(Default)]
struct Picked {
    ids: Vec<u64>,
    begins: Vec<u64>,
    ends: Vec<u64>,
    /// The row of the batch; `None` for a delete.
    rows: Vec<Option<u32>>,
}

impl Picked {
    fn push(&mut self, id: u64, begin: u64, end: Option<u64>, row: Option<usize>) {
        self.ids.push(id);
        self.begins.push(begin);
        self.ends.extend(end);
        self.rows.push(row.map(|row| row as u32));
    }

    fn run(self, batch: &RowRun, hist: bool) -> Result<RowRun> {
        let deleted = self.rows.iter().any(Option::is_none);
        let deleted = deleted.then(|| self.rows.iter().map(Option::is_none).collect());
        let rows = UInt32Array::from(self.rows);
        let picked = batch.columns.iter().map(|array| {
            take(array.as_ref(), &rows, None)
                .map_err(|e| Error::internal(format!("rows that cannot be picked: {e}")))
        });
        Ok(RowRun {
            ids: self.ids.into(),
            begins: self.begins.into(),
            ends: hist.then(|| self.ends.into()),
            deleted,
            columns: picked.collect::<Result<_>>()?,
        })
    }
}
