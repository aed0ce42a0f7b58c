//! Writing rows: the row itself and its index entries.
//!
//! A unique index is guarded by locks on its keys. Whoever is about to add a key, or to take one
//! away, locks it first and then looks at the latest version, not at its snapshot: so an insert that
//! meets the key of a row being deleted waits for that transaction to end, and an insert that meets a
//! live key fails. A key with a NULL equals nothing and needs no lock.

use std::sync::Arc;

use arrow_array::{RecordBatch, UInt64Array};

use super::Transaction;
use crate::catalog::{CATALOG, catalog_key};
use crate::datum::Datum;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, RowId};
use crate::lock::{LockWait, RowLockMode};
use crate::row::{RowCodec, RowEncoder, RowRef};
use crate::schema::{ColumnType, IndexDef, TableDef};
use crate::transaction::writeset::WriteKind;
use crate::view::index::{EntryEncoder, EntryKey, entry_key, key_types};
use crate::view::{Kind, ScanRequest, Wanted, row_key, row_of};

/// Largest stored row.
pub const ROW_BYTES_MAX: usize = 1 << 30;

/// How `insert_or_conflict` came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InsertOutcome {
    Inserted(RowId),
    /// Nothing was written: `row` has the same key in `index`.
    Conflict {
        index: CollectionId,
        row: RowId,
    },
}

/// A table's definition, prepared for writing.
pub(super) struct TablePlan {
    def: TableDef,
    codec: RowCodec,
    /// Per index.
    key_types: Vec<Vec<ColumnType>>,
    /// What has to be known of a row that goes away.
    key_columns: Wanted,
}

impl TablePlan {
    fn new(def: &TableDef) -> Result<TablePlan> {
        let key_types = def.indexes.iter().map(|index| key_types(def, index));
        let keys = def.indexes.iter().flat_map(|index| &index.columns);
        Ok(TablePlan {
            key_columns: Wanted::new(def, keys.map(|key| key.column)),
            codec: RowCodec::new(def)?,
            key_types: key_types.collect::<Result<_>>()?,
            def: def.clone(),
        })
    }

    fn entry(&self, index: usize, row: &RowRef<'_>, id: RowId) -> Result<EntryKey> {
        entry_key(
            &self.key_types[index],
            &self.def.indexes[index],
            id,
            |column| row.value(column),
        )
    }

    /// The entries of a row, one per index.
    fn entries(&self, id: RowId, bytes: &[u8]) -> Result<Vec<EntryKey>> {
        let row = self.codec.row(bytes)?;
        (0..self.def.indexes.len())
            .map(|i| self.entry(i, &row, id))
            .collect()
    }
}

impl Transaction {
    fn plan(&mut self, table: &TableDef) -> Result<Arc<TablePlan>> {
        if let Some(plan) = self.plans.get(&table.id)
            && plan.def == *table
        {
            return Ok(Arc::clone(plan));
        }
        // A flush knows rows from other keys by their definition.
        let defined = self.latest_view().get(CATALOG, &catalog_key(table.id))?;
        if defined.is_none() {
            return Err(Error::invalid(format!("table {} is not defined", table.id)));
        }
        let plan = Arc::new(TablePlan::new(table)?);
        self.plans.insert(table.id, Arc::clone(&plan));
        Ok(plan)
    }

    /// Insert the rows of `batch`, whose columns are those of the table without the dropped ones.
    /// After an error some of them may be in: the caller falls back to a savepoint.
    pub fn insert(&mut self, table: &TableDef, batch: &RecordBatch) -> Result<Vec<RowId>> {
        let plan = self.plan(table)?;
        let encoder = RowEncoder::new(&plan.codec, batch)?;
        let first = self
            .engine
            .tables
            .get(table.id)
            .allocate(batch.num_rows() as u64);
        let mut ids = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            if row % 1024 == 0 {
                self.interrupt.check()?;
            }
            let id = RowId(first.0 + row as u64);
            let bytes = encode(&encoder, row)?;
            let entries = plan.entries(id, &bytes)?;
            if let Some((index, _)) = self.conflict(&plan, &entries, None)? {
                return Err(violation(&plan, index, &bytes)?);
            }
            self.insert_encoded(&plan, id, bytes, &entries)?;
            ids.push(id);
        }
        Ok(ids)
    }

    /// Insert one row of `batch` unless its key is taken in the index `arbiter`, or, without one, in
    /// any unique index. A key taken in another index is a `UniqueViolation`.
    pub fn insert_or_conflict(
        &mut self,
        table: &TableDef,
        batch: &RecordBatch,
        row: usize,
        arbiter: Option<CollectionId>,
    ) -> Result<InsertOutcome> {
        let plan = self.plan(table)?;
        let encoder = RowEncoder::new(&plan.codec, batch)?;
        let bytes = encode(&encoder, row)?;
        let id = self.engine.tables.get(table.id).allocate(1);
        let entries = plan.entries(id, &bytes)?;
        match self.conflict(&plan, &entries, arbiter)? {
            None => {
                self.insert_encoded(&plan, id, bytes, &entries)?;
                Ok(InsertOutcome::Inserted(id))
            }
            Some((index, row)) => {
                let index_id = plan.def.indexes[index].id;
                if arbiter.is_none_or(|arbiter| arbiter == index_id) {
                    Ok(InsertOutcome::Conflict {
                        index: index_id,
                        row,
                    })
                } else {
                    Err(violation(&plan, index, &bytes)?)
                }
            }
        }
    }

    /// Replace `rows`, which are locked, by the full new rows of `batch`.
    pub fn update(&mut self, table: &TableDef, rows: &[RowId], batch: &RecordBatch) -> Result<()> {
        if rows.len() != batch.num_rows() {
            return Err(Error::invalid(format!(
                "{} rows to update with a batch of {}",
                rows.len(),
                batch.num_rows()
            )));
        }
        let plan = self.plan(table)?;
        let encoder = RowEncoder::new(&plan.codec, batch)?;
        for (place, &id) in rows.iter().enumerate() {
            if place % 1024 == 0 {
                self.interrupt.check()?;
            }
            let new = encode(&encoder, place)?;
            let Some(old) = self.latest_view().row(table.id, id, &plan.key_columns)? else {
                return Err(Error::invalid(format!(
                    "update of row {id}, which is not there"
                )));
            };
            let (old_row, new_row) = (plan.codec.row(&old)?, plan.codec.row(&new)?);
            for (i, index) in plan.def.indexes.iter().enumerate() {
                let before = plan.entry(i, &old_row, id)?;
                let after = plan.entry(i, &new_row, id)?;
                if before.key == after.key {
                    continue;
                }
                self.take_entry(index, &before)?;
                if index.unique && !after.has_null && self.taken(index, &after.key)?.is_some() {
                    return Err(violation(&plan, i, &new)?);
                }
                self.write(
                    index.id,
                    &after.key,
                    WriteKind::Put,
                    Some(Box::from(row_key(id))),
                )?;
            }
            self.write(table.id, &row_key(id), WriteKind::Update, Some(new.into()))?;
        }
        Ok(())
    }

    /// Delete `rows`, which are locked.
    pub fn delete(&mut self, table: &TableDef, rows: &[RowId]) -> Result<()> {
        let plan = self.plan(table)?;
        for (place, &id) in rows.iter().enumerate() {
            if place % 1024 == 0 {
                self.interrupt.check()?;
            }
            let Some(old) = self.latest_view().row(table.id, id, &plan.key_columns)? else {
                return Err(Error::invalid(format!(
                    "delete of row {id}, which is not there"
                )));
            };
            let row = plan.codec.row(&old)?;
            for (i, index) in plan.def.indexes.iter().enumerate() {
                self.take_entry(index, &plan.entry(i, &row, id)?)?;
            }
            self.write(table.id, &row_key(id), WriteKind::Delete, None)?;
        }
        Ok(())
    }

    /// Fill `index`, which may not be in `table.indexes` yet, with the rows that there are. The
    /// caller holds a table lock that keeps writers out. The index knows nothing of the past: it must
    /// not serve reads AS OF a time before this transaction.
    pub fn build_index(&mut self, table: &TableDef, index: &IndexDef) -> Result<()> {
        let types = key_types(table, index)?;
        let columns: Vec<_> = index.columns.iter().map(|key| key.column).collect();
        let mut request = ScanRequest::columns(columns.clone());
        request.row_id = true;
        for scan in self.latest_view().scan(Arc::new(table.clone()), request)? {
            for batch in scan {
                self.interrupt.check()?;
                self.build_entries(table, index, &types, &batch?)?;
            }
        }
        Ok(())
    }

    /// Add the entries of a batch of key columns and row ids.
    fn build_entries(
        &mut self,
        table: &TableDef,
        index: &IndexDef,
        types: &[ColumnType],
        batch: &RecordBatch,
    ) -> Result<()> {
        let (ids, columns) = batch
            .columns()
            .split_last()
            .ok_or_else(|| Error::internal("a scan without its row ids"))?;
        let ids = ids
            .as_any()
            .downcast_ref::<UInt64Array>()
            .ok_or_else(|| Error::internal("row ids that are not UInt64"))?;
        let mut encoder = EntryEncoder::new(index, types, columns.iter())?;
        let mut entry = EntryKey::default();
        for row in 0..batch.num_rows() {
            let id = RowId(ids.value(row));
            encoder.encode(row, id, &mut entry)?;
            // Nobody else writes to the table, so the keys need no locks.
            if index.unique && !entry.has_null && self.entry_of(index, &entry.key)?.is_some() {
                let key = columns.iter().map(|a| Datum::from_array(a.as_ref(), row));
                let key = key.collect::<Result<_>>()?;
                return Err(Error::UniqueViolation {
                    table: table.id,
                    index: index.id,
                    key,
                });
            }
            self.write(
                index.id,
                &entry.key,
                WriteKind::Put,
                Some(Box::from(row_key(id))),
            )?;
        }
        Ok(())
    }

    /// Lock the unique keys of a new row, and find the first that is taken: the index's place in the
    /// table's list and the row that has the key. The arbiter's conflict comes before the others'.
    fn conflict(
        &mut self,
        plan: &TablePlan,
        entries: &[EntryKey],
        arbiter: Option<CollectionId>,
    ) -> Result<Option<(usize, RowId)>> {
        let mut found = None;
        for (i, (index, entry)) in plan.def.indexes.iter().zip(entries).enumerate() {
            if !index.unique || entry.has_null {
                continue;
            }
            if let Some(other) = self.taken(index, &entry.key)? {
                if arbiter == Some(index.id) {
                    return Ok(Some((i, other)));
                }
                found = found.or(Some((i, other)));
            }
        }
        Ok(found)
    }

    /// Lock a unique key; the row that has it.
    fn taken(&mut self, index: &IndexDef, key: &[u8]) -> Result<Option<RowId>> {
        self.lock_key(index.id, key, RowLockMode::Update, LockWait::Block)?;
        let taken = self.entry_of(index, key)?;
        if taken.is_none() {
            self.check_unchanged(index.id, key)?;
        }
        Ok(taken)
    }

    /// The row that has a key in the latest state, own writes included.
    fn entry_of(&self, index: &IndexDef, key: &[u8]) -> Result<Option<RowId>> {
        let value = self
            .latest_view()
            .lookup(Kind::Sorted, index.id, key, |_, value| {
                value.map(row_of).transpose()
            })?;
        Ok(value.transpose()?.flatten())
    }

    /// Remove the entry of a row that goes away or changes its key.
    fn take_entry(&mut self, index: &IndexDef, entry: &EntryKey) -> Result<()> {
        if index.unique && !entry.has_null {
            self.lock_key(index.id, &entry.key, RowLockMode::Update, LockWait::Block)?;
        }
        self.write(index.id, &entry.key, WriteKind::Remove, None)
    }

    fn insert_encoded(
        &mut self,
        plan: &TablePlan,
        id: RowId,
        bytes: Vec<u8>,
        entries: &[EntryKey],
    ) -> Result<()> {
        for (index, entry) in plan.def.indexes.iter().zip(entries) {
            self.write(
                index.id,
                &entry.key,
                WriteKind::Put,
                Some(Box::from(row_key(id))),
            )?;
        }
        self.write(
            plan.def.id,
            &row_key(id),
            WriteKind::Insert,
            Some(bytes.into()),
        )
    }
}

/// The error for a taken key. Under REPEATABLE READ, too, it is the violation and not a
/// serialization failure: the key is taken whatever the snapshot.
fn violation(plan: &TablePlan, index: usize, bytes: &[u8]) -> Result<Error> {
    let index = &plan.def.indexes[index];
    let row = plan.codec.row(bytes)?;
    let key = index
        .columns
        .iter()
        .map(|key| row.datum(key.column))
        .collect::<Result<_>>()?;
    Ok(Error::UniqueViolation {
        table: plan.def.id,
        index: index.id,
        key,
    })
}

fn encode(encoder: &RowEncoder<'_>, row: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    encoder.encode(row, &mut bytes)?;
    if bytes.len() > ROW_BYTES_MAX {
        return Err(Error::RowTooLong { bytes: bytes.len() });
    }
    Ok(bytes)
}
