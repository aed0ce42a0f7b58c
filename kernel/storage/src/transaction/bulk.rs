//! Inserting many rows at once: by the column, into private runs.
//!
//! 1. [`BulkInsert::push`] hands out RowIds and has a batch written into column pages of a file that nobody
//!    knows ([`writing`]), with the code of [`crate::load`]. The entries of its indexes are sorted outside of
//!    memory. Nobody sees any of that, the transaction neither.
//! 2. [`BulkInsert::finish`] is when it happens, at once and after all that the transaction wrote before, the
//!    writes since the first push included. It judges unique keys in their order: locks some, then looks
//!    who has them, in what is committed, in the transaction's own runs, and among the new rows. Entries are
//!    written behind the rows, and the files become runs of the transaction, all of one number.
//! 3. From then on it is as with other [private runs](super::private): own reads, savepoints, commit.
//!
//! Dropped before, or after an error, it leaves nothing but locks: a statement that fails falls back to its
//! savepoint all the same.
//!
//! Of several rows whose keys are taken the error names the first, in the first of its indexes, as if rows
//! had been inserted one after the other.

mod writing;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use roaring::RoaringTreemap;

use self::writing::{Loaders, Writing};
use super::Transaction;
use super::private::RunFile;
use super::rows::TablePlan;
use crate::datum::VALUE_BYTES_MAX;
use crate::error::{Error, Result};
use crate::ids::{RowId, Ts, TxnId};
use crate::load::{
    Age, Claim, Content, Files, IndexLoader, LoadOptions, Series, Task, do_all, value_bytes,
};
use crate::lock::{LockWait, RowLockMode};
use crate::schema::TableDef;
use crate::segment::{RowColumns, RowRun, SegmentReader};
use crate::view::versions::all_live;
use crate::view::{Probe, row_of};

/// A transaction with so many runs makes others only of very many rows.
pub(super) const RUNS_MANY: usize = 64;

/// What all versions begin at in the file. A run is read with its transaction's number in its place.
const BEGIN: u64 = 1;

/// Rows on their way into a table. See the module's header.
pub struct BulkInsert {
    transaction: TxnId,
    plan: Arc<TablePlan>,
    /// As runs are written: dropped columns are there, and NULL.
    table: Arc<TableDef>,
    files: Arc<Files>,
    writing: Writing,
    count: u64,
    /// What a push ended with: part of its batch may be in.
    failed: Option<Error>,
}

impl std::fmt::Debug for BulkInsert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BulkInsert")
            .field("table", &self.table.id)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// A new row whose key is taken.
struct Taken {
    row: u64,
    /// The index's place in the table's list.
    index: usize,
    key: Vec<u8>,
}

impl Transaction {
    /// Begin to insert very many rows into `table`; [`Options::bulk_rows_min`](crate::Options) says how many
    /// are worth it. The rows are in when [`BulkInsert::finish`] has returned.
    pub fn bulk_insert(&mut self, table: &TableDef) -> Result<BulkInsert> {
        if self.read_only {
            return Err(Error::ReadOnlyTransaction);
        }
        let plan = self.plan(table)?;
        let memory_bytes = self.engine.options.transaction_bytes_max;
        let options = LoadOptions {
            memory_bytes,
            interrupt: Arc::clone(&self.interrupt),
            ..LoadOptions::default()
        };
        let files = Files::of_bulk(Arc::clone(&self.engine), self.timeline.id(), options);
        let table = Arc::new(all_live(table.clone()));
        let indexes = (0..table.indexes.len()).map(|i| IndexLoader::new(&files, &table, i, false));
        let loaders = Loaders {
            indexes: indexes.collect::<Result<_>>()?,
            rows: Series::new(&files, Content::Rows(Arc::clone(&table)), Age::New),
        };
        Ok(BulkInsert {
            transaction: self.id,
            plan,
            writing: Writing::new(&*self.engine.io, loaders)?,
            files,
            table,
            count: 0,
            failed: None,
        })
    }

    /// Judge some new rows' keys of unique index `index`; the first row, of those and `taken`, whose key is
    /// taken. Whether an own run may have one of the keys is told.
    fn judge(
        &mut self,
        plan: &TablePlan,
        index: usize,
        claims: &[&Claim],
        taken: &mut Option<Taken>,
        overlaps: &mut bool,
    ) -> Result<()> {
        let (table, place) = (plan.def.id, index);
        let index = &plan.def.indexes[index];
        self.interrupt.check()?;
        for claim in claims {
            let (mode, wait) = (RowLockMode::Update, LockWait::Block);
            self.lock_in_table(table, index.id, &claim.key, mode, wait)?;
        }
        // From here on nobody else changes who has them.
        let mut probe = Probe::new(&self.latest_view(), index.id)?;
        for claim in claims {
            let row = |value: Option<&[u8]>| value.map(row_of).transpose();
            let Some((ts, found)) = probe.find(&claim.key, |ts, value| (ts, row(value)))? else {
                continue;
            };
            *overlaps |= ts.is_none();
            if found?.is_some() {
                note(taken, place, claim);
            } else if self.is_after_snapshot(ts) {
                return Err(Error::SerializationFailure);
            }
        }
        Ok(())
    }
}

/// The first row is the one to name.
fn note(taken: &mut Option<Taken>, index: usize, claim: &Claim) {
    let is_first = |taken: &Taken| (taken.row, taken.index) <= (claim.row, index);
    if !taken.as_ref().is_some_and(is_first) {
        *taken = Some(Taken {
            row: claim.row,
            index,
            key: claim.key.clone(),
        });
    }
}

impl BulkInsert {
    /// Rows so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Add the rows of `batch`, whose columns are those of the table without the dropped ones; the RowId of
    /// the first, which the others' follow. After an error, which may be that of an earlier batch, nothing
    /// more comes in: who goes on, or finishes, is told the same.
    pub fn push(&mut self, transaction: &Transaction, batch: &RecordBatch) -> Result<RowId> {
        self.check(transaction)?;
        let pushed = self.try_push(transaction, batch);
        self.failed = pushed.as_ref().err().cloned();
        pushed
    }

    fn try_push(&mut self, transaction: &Transaction, batch: &RecordBatch) -> Result<RowId> {
        transaction.interrupt.check()?;
        let rows = batch.num_rows();
        if batch.num_columns() != self.plan.live.len() {
            return Err(Error::invalid(format!(
                "a batch of {} columns for a table of {}",
                batch.num_columns(),
                self.plan.live.len()
            )));
        }
        let engine = &transaction.engine;
        let first = engine.tables.get(self.table.id).allocate(rows as u64);
        if rows == 0 {
            return Ok(first);
        }
        let mut given = batch.columns().iter().peekable();
        let columns = self.plan.def.columns.iter().map(|column| {
            let array = given.next_if(|_| !column.dropped);
            array.map_or_else(|| new_null_array(&column.ty.arrow(), rows), Arc::clone)
        });
        let columns: Vec<ArrayRef> = columns.collect();
        let bytes = value_bytes(&self.table, &columns)?;
        if bytes > VALUE_BYTES_MAX as u64 / 2 {
            self.plan.check_lengths(batch)?;
        }
        let run = RowRun {
            ids: (first.0..first.0 + rows as u64).collect(),
            begins: vec![BEGIN; rows].into(),
            ends: None,
            deleted: None,
            columns,
        };
        let pushed = self.writing.push(run, bytes);
        engine.stop_after_sync(pushed)?;
        self.count += rows as u64;
        Ok(first)
    }

    /// Make the rows writes of the transaction; how many. `UniqueViolation` when a key of theirs is taken;
    /// what a push failed with, if one did.
    pub fn finish(self, transaction: &mut Transaction) -> Result<u64> {
        self.check(transaction)?;
        let engine = Arc::clone(&transaction.engine);
        engine.stop_after_sync(self.try_finish(transaction))
    }

    fn try_finish(self, transaction: &mut Transaction) -> Result<u64> {
        let (table, count, files) = (self.table.id, self.count, self.files);
        if count == 0 {
            return Ok(0);
        }
        let Loaders { rows, indexes } = self.writing.finish()?;
        // What was written before is in older runs, where all of a key's versions have an order.
        transaction.spill()?;
        let (unique, others): (Vec<_>, Vec<_>) =
            indexes.into_iter().partition(IndexLoader::is_unique);
        let others = others.into_iter();
        let mut tasks: Vec<Task> = others
            .map(|index| Box::new(move || index.finish()) as Task)
            .collect();
        // The last is done first.
        tasks.push(Box::new(move || rows.finish().map(|_| 0)));
        let (mut taken, mut overlaps) = (None, false);
        let plan = &self.plan;
        do_all(tasks, &files, || {
            let mut entries = 0;
            for index in unique {
                let place = index.place();
                let mut last = Vec::new();
                let mut judge = |claims: &[Claim], incomparable: &RoaringTreemap| {
                    let mut new = Vec::with_capacity(claims.len());
                    for claim in claims.iter().filter(|c| !incomparable.contains(c.row)) {
                        if claim.key == last {
                            note(&mut taken, place, claim);
                            continue;
                        }
                        last.clone_from(&claim.key);
                        new.push(claim);
                    }
                    transaction.judge(plan, place, &new, &mut taken, &mut overlaps)
                };
                entries += index.finish_judged(&mut judge)?;
            }
            Ok(entries)
        })?;
        let (finished, _) = files.finish_all()?;
        if let Some(taken) = taken {
            let readers = finished.iter().map(|file| &file.reader);
            return Err(violation(transaction, plan, readers, taken)?);
        }
        // From here on each of the files goes with its run.
        files.published.store(true, Ordering::Release);
        let runs = finished.into_iter().map(|file| {
            let own = RunFile::new(&transaction.engine, file.number);
            (file.reader, own, overlaps)
        });
        let runs = runs.collect();
        transaction.writes.add_runs(runs, table, count)?;
        Ok(count)
    }

    fn check(&self, transaction: &Transaction) -> Result<()> {
        match &self.failed {
            _ if self.transaction != transaction.id => {
                Err(Error::invalid("a bulk insert of another transaction"))
            }
            Some(failed) => Err(failed.clone()),
            None => Ok(()),
        }
    }
}

/// The error for a taken key: what the key was made of is in the row.
fn violation<'a>(
    transaction: &Transaction,
    plan: &TablePlan,
    mut readers: impl Iterator<Item = &'a SegmentReader>,
    taken: Taken,
) -> Result<Error> {
    let row = readers.find_map(|reader| {
        let (row, all) = (RowId(taken.row), RowColumns::ALL);
        let found = reader.row_version(plan.def.id, row, Ts::MAX, all);
        found.transpose()
    });
    match row.transpose()? {
        Some((_, Some(row))) => transaction.violation_by(plan, taken.index, taken.key, &row),
        _ => Err(Error::internal("a row that was just inserted is not there")),
    }
}
