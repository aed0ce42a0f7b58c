//! Building an index, bringing it forward, and taking it away.
//!
//! Each is one transaction of the main timeline, which is committed when it is whole and rolled back
//! otherwise. Whoever changes an index has the lock of its header first, so two never mix.

use std::ops::{Bound, RangeInclusive};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use heliosdb_storage::ids::Ts;
use heliosdb_storage::{
    Changes, ChangesRequest, Durability, Engine, Error, Interrupt, Isolation, LockWait,
    RowLockMode, RowVersions, Transaction,
};

use super::keyspace::{Header, Keyspace};
use super::lent::{Maintenance, Place};
use super::{IndexError, PluginIndex, Result};
use crate::cursors;
use crate::store::{self, StoreInfo};

/// Columns behind those that are indexed: of changes `_rowid`, `_ts` and `_sign`.
const SIGN_COLUMNS: usize = 3;

/// How far an index was brought forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// It covers what began by then.
    pub until: Ts,
    /// Signed rows that were taken in.
    pub rows: usize,
    /// There was more than was asked for.
    pub is_behind: bool,
}

impl PluginIndex {
    /// Make the index, of all versions that history has of its table, as of what is on disk.
    ///
    /// # Errors
    ///
    /// `Built`; the plugin's own.
    pub fn build(&self, interrupt: &Arc<Interrupt>) -> Result<()> {
        self.change(interrupt, |tx, store| {
            let header = self.keyspace().header();
            match tx.latest_view().get(store.collection, &header)? {
                Some(_) => Err(IndexError::Built(self.definition.oid)),
                None => self.build_in(tx, store, interrupt),
            }
        })
    }

    /// Make the index anew. Until that has committed, the old one answers.
    pub fn rebuild(&self, interrupt: &Arc<Interrupt>) -> Result<()> {
        self.change(interrupt, |tx, store| {
            self.remove_in(tx, store, interrupt)?;
            self.build_in(tx, store, interrupt)
        })
    }

    fn build_in(
        &self,
        tx: &mut Transaction,
        store: &StoreInfo,
        interrupt: &Arc<Interrupt>,
    ) -> Result<()> {
        let at = self.engine.durable();
        // From here on what comes after is held, and what goes is not what the view was made of.
        cursors::create(tx, self.method.plugin(), &self.cursor(), at)?;
        let view = self.engine.view_at(at)?;
        let from = self.engine.oldest_ts_of(self.table.id);
        let lent = Maintenance::new(self.place(store), tx, interrupt);
        let built = self.method.build(&lent, &self.definition);
        let mut build = lent.finish(built)?;
        for which in [RowVersions::Superseded, RowVersions::Current] {
            for batch in view.row_versions(&self.table, which)? {
                interrupt.check()?;
                let versions = self.versions(&batch?, which)?;
                let added = build.add(&lent, &versions);
                lent.finish(added)?;
            }
        }
        let finished = build.finish(&lent);
        lent.finish(finished)?;
        drop(build);
        drop(lent);
        let built = Header { from, until: at }.encode();
        Ok(tx.put(store.collection, &self.keyspace().header(), &built)?)
    }

    /// Take in what was committed and is on disk: about `rows_max` signed rows, and whole commits. What the
    /// plugin makes of them and the cursor are there together, or not at all. A quantum of a worker, or what
    /// somebody waits for.
    ///
    /// # Errors
    ///
    /// `NotBuilt`; `Lost` when the changes that are to be taken in are no longer kept, and the index is to be
    /// built anew: it stood still for too long, or came with a dump, or the main timeline is another since.
    /// The plugin's own.
    pub fn catch_up(&self, rows_max: usize, interrupt: &Arc<Interrupt>) -> Result<Progress> {
        let plugin = self.method.plugin();
        self.change(interrupt, |tx, store| {
            let header = self.locked_header(tx, store)?;
            let lost = |error| match error {
                Error::CursorExpired { .. } | Error::SnapshotTooOld { .. } => {
                    IndexError::Lost(self.definition.oid, header.until)
                }
                error => IndexError::Storage(error),
            };
            let cursor = self.cursor();
            let found = cursors::find(&self.engine, &tx.latest_view(), plugin, &cursor);
            if found.map_err(lost)?.is_none() {
                // Such as in a database that came with a dump, which has no pins.
                return Err(IndexError::Lost(self.definition.oid, header.until));
            }
            let target = self.engine.durable();
            let horizon = self.engine.oldest_ts_of(self.table.id);
            let (mut until, mut rows) = (header.until.max(target), 0);
            let lent = Maintenance::new(self.place(store), tx, interrupt);
            if target > header.until {
                let taken = Taken::new(&self.engine, self, header.until..=target);
                let mut taken = taken.map_err(lost)?;
                while let Some(batch) = taken.next(rows_max)? {
                    interrupt.check()?;
                    rows += batch.num_rows();
                    let applied = self.method.apply(&lent, &self.definition, batch.columns());
                    lent.finish(applied)?;
                }
                until = taken.until;
            }
            if horizon > header.from {
                let forgot = self.method.vacuum(&lent, &self.definition, horizon.0);
                lent.finish(forgot)?;
            }
            drop(lent);
            let moved = Header {
                from: header.from.max(horizon),
                until,
            };
            if moved != header {
                tx.put(store.collection, &self.keyspace().header(), &moved.encode())?;
                cursors::advance(tx, plugin, &cursor, until)?;
            }
            Ok(Progress {
                until,
                rows,
                is_behind: until < target,
            })
        })
    }

    /// Remove the index: entries, blobs, header and cursor.
    pub fn remove(&self, interrupt: &Arc<Interrupt>) -> Result<()> {
        self.change(interrupt, |tx, store| self.remove_in(tx, store, interrupt))
    }

    fn remove_in(
        &self,
        tx: &mut Transaction,
        store: &StoreInfo,
        interrupt: &Arc<Interrupt>,
    ) -> Result<()> {
        self.locked_header(tx, store)?;
        let (first, end) = self.keyspace().all();
        let view = tx.latest_view();
        let (first, end) = (Bound::Included(&first[..]), Bound::Excluded(&end[..]));
        for entry in view.range(store.collection, first, end)? {
            interrupt.check()?;
            tx.remove(store.collection, &entry?.0)?;
        }
        match cursors::remove(tx, self.method.plugin(), &self.cursor()) {
            Err(Error::NoSuchPin { .. }) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// Do `work` in a transaction that may write to the store, holding the header's lock.
    fn change<T>(
        &self,
        interrupt: &Arc<Interrupt>,
        work: impl FnOnce(&mut Transaction, &StoreInfo) -> Result<T>,
    ) -> Result<T> {
        let (plugin, name) = (self.method.plugin(), &self.method.declared.store);
        let interrupt = Arc::clone(interrupt);
        let mut tx = self.engine.begin(Isolation::ReadCommitted, interrupt);
        let store = store::find(&tx.latest_view(), plugin, name)?;
        let store = store.ok_or_else(|| IndexError::NoStore {
            plugin: plugin.to_string(),
            store: name.clone(),
        })?;
        store::lock_for_write(&mut tx, &store)?;
        let header = self.keyspace().header();
        let (mode, wait) = (RowLockMode::Update, LockWait::Block);
        tx.lock_key(store.collection, &header, mode, wait)?;
        let done = work(&mut tx, &store)?;
        tx.commit(Durability::Synchronous)?;
        Ok(done)
    }

    fn locked_header(&self, tx: &Transaction, store: &StoreInfo) -> Result<Header> {
        let header = tx
            .latest_view()
            .get(store.collection, &self.keyspace().header())?;
        let header = header.ok_or(IndexError::NotBuilt(self.definition.oid))?;
        Ok(Header::decode(&header)?)
    }

    pub(super) fn place(&self, store: &StoreInfo) -> Place {
        Place {
            store: store.clone(),
            keys: Keyspace::new(self.definition.oid),
        }
    }

    /// The indexed columns of a batch of versions, which has all of the table, with their names and ends.
    fn versions(&self, batch: &RecordBatch, which: RowVersions) -> Result<Vec<ArrayRef>> {
        let columns = self.columns.iter().map(|column| column.0.into());
        let first = self.table.columns.len();
        let names = match which {
            RowVersions::Superseded => first..first + 3,
            RowVersions::Current | RowVersions::Removed => first..first + 2,
        };
        let missing = || Error::invalid("a batch of versions without a column");
        let columns = columns.chain(names).map(|at: usize| {
            let column = batch.columns().get(at).cloned();
            column.ok_or_else(missing)
        });
        let mut columns: Vec<ArrayRef> = columns.collect::<heliosdb_storage::Result<_>>()?;
        if which == RowVersions::Current {
            columns.push(Arc::new(UInt64Array::new_null(batch.num_rows())));
        }
        Ok(columns)
    }
}

/// The changes of a span, up to the end of a commit.
struct Taken {
    changes: heliosdb_storage::RowChanges,
    rows: usize,
    /// Of the last row that was taken.
    last: Ts,
    /// All up to it was taken, when there is no next batch.
    until: Ts,
    done: bool,
}

impl Taken {
    fn new(
        engine: &Engine,
        index: &PluginIndex,
        span: RangeInclusive<Ts>,
    ) -> heliosdb_storage::Result<Taken> {
        let request = ChangesRequest {
            since: *span.start(),
            until: *span.end(),
            which: Changes::Every,
            projection: index.columns.clone(),
        };
        Ok(Taken {
            changes: engine.changes(&index.table, request)?,
            rows: 0,
            last: *span.start(),
            until: *span.end(),
            done: false,
        })
    }

    /// The next batch, until `rows_max` are reached and the commit is whole.
    fn next(&mut self, rows_max: usize) -> Result<Option<RecordBatch>> {
        if self.done {
            return Ok(None);
        }
        let Some(mut batch) = self.changes.next().transpose()? else {
            self.done = true;
            return Ok(None);
        };
        let time_column = batch.num_columns() + 1 - SIGN_COLUMNS;
        let times = batch
            .column(time_column)
            .as_primitive::<UInt64Type>()
            .clone();
        let times = times.values();
        // Where a commit begins after enough rows.
        let enough = rows_max.saturating_sub(self.rows);
        let before = |at: usize| match at.checked_sub(1) {
            Some(before) => times[before],
            None => self.last.0,
        };
        let some = |at: usize| self.rows + at > 0;
        let cut =
            (enough.min(times.len())..times.len()).find(|at| some(*at) && times[*at] > before(*at));
        if let Some(at) = cut {
            self.done = true;
            self.until = Ts(before(at));
            batch = batch.slice(0, at);
        }
        self.rows += batch.num_rows();
        if let Some(last) = batch.num_rows().checked_sub(1) {
            self.last = Ts(times[last]);
        }
        Ok((batch.num_rows() > 0).then_some(batch))
    }
}
