//! Writing rows: the row itself and its index entries.
//!
//! A unique index is guarded by locks on its keys. Whoever is about to add a key, or to take one
//! away, locks it first and then looks at the latest version, not at its snapshot: so an insert that
//! meets the key of a row being deleted waits for that transaction to end, and an insert that meets a
//! live key fails. A key with a NULL equals nothing and needs no lock.
//!
//! Rows are written by the table's newest definition, or not at all: an index that was built while a
//! transaction ran would miss what it writes by an older one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use parking_lot::RwLock;

use super::Transaction;
use crate::catalog::{CATALOG, catalog_key, decode_table, encode_table};
use crate::datum::Datum;
use crate::datum::arrow::ColumnValues;
use crate::error::{Error, Result};
use crate::expression::{Evaluator, inputs_of};
use crate::ids::{CollectionId, ColumnId, RowId, Ts};
use crate::lock::{LockWait, RowLockMode};
use crate::memtable::full_key;
use crate::row::{BatchBuilder, RowCodec, RowEncoder, RowRef};
use crate::schema::{ColumnType, IndexDef, TableDef};
use crate::transaction::writeset::WriteKind;
use crate::view::index::{EntryKey, entry_key, key_types};
use crate::view::{Kind, Wanted, row_key, row_of};

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
pub(crate) struct TablePlan {
    pub(super) def: TableDef,
    /// The definition as the catalog has it.
    encoded: Vec<u8>,
    codec: RowCodec,
    /// Per index.
    key_types: Vec<Vec<ColumnType>>,
    /// What has to be known of a row that goes away.
    pub(super) key_columns: Wanted,
    /// The live columns of the table, as batches of rows have them.
    pub(super) live: Vec<ColumnId>,
    /// The places of the computed columns that some index reads.
    computed: Vec<usize>,
}

/// When plans of more tables than these are known, all are forgotten.
const KNOWN_PLANS_MAX: usize = 1024;

/// The plans that transactions made last, one a table. A plan is made of a definition and nothing else;
/// whether that is the newest one is for each transaction to find out. Tables whose creation was rolled back are
/// never dropped, so there is an end to how many are kept.
#[derive(Default)]
pub(crate) struct KnownPlans(RwLock<HashMap<CollectionId, Arc<TablePlan>>>);

impl KnownPlans {
    fn find(&self, table: &TableDef) -> Option<Arc<TablePlan>> {
        let known = self.0.read();
        let plan = known.get(&table.id).filter(|plan| plan.def == *table)?;
        Some(Arc::clone(plan))
    }

    fn keep(&self, plan: &Arc<TablePlan>) {
        let mut known = self.0.write();
        if known.len() >= KNOWN_PLANS_MAX {
            known.clear();
        }
        known.insert(plan.def.id, Arc::clone(plan));
    }

    pub(super) fn forget(&self, table: CollectionId) {
        self.0.write().remove(&table);
    }
}

impl TablePlan {
    fn new(def: &TableDef) -> Result<TablePlan> {
        let key_types = def.indexes.iter().map(|index| key_types(def, index));
        let mut read: Vec<ColumnId> = def.indexes.iter().flat_map(IndexDef::reads).collect();
        let mut computed: Vec<usize> = read.iter().filter_map(|id| id.as_computed()).collect();
        computed.sort_unstable();
        computed.dedup();
        for n in &computed {
            read.extend(inputs_of(def, *n)?);
        }
        let columns = (0u16..).zip(&def.columns);
        let live = columns.filter(|(_, column)| !column.dropped);
        Ok(TablePlan {
            key_columns: Wanted::new(def, read),
            codec: RowCodec::new(def)?,
            key_types: key_types.collect::<Result<_>>()?,
            live: live.map(|(id, _)| ColumnId(id)).collect(),
            computed,
            encoded: encode_table(def)?,
            def: def.clone(),
        })
    }

    pub(super) fn codec(&self) -> &RowCodec {
        &self.codec
    }

    /// Whether rows written by it have all columns and index entries of the definition in `bytes`, and no
    /// others.
    fn is_for(&self, bytes: &[u8]) -> Result<bool> {
        if self.encoded == bytes {
            return Ok(true);
        }
        let table = &self.def;
        let newest = decode_table(table.id, bytes)?;
        // A column's type is for ever.
        let columns = |table: &TableDef| -> Vec<bool> {
            let columns = table.columns.iter();
            columns.map(|column| column.dropped).collect()
        };
        let indexes = |table: &TableDef| -> BTreeSet<CollectionId> {
            table.indexes.iter().map(|index| index.id).collect()
        };
        Ok(columns(table) == columns(&newest) && indexes(table) == indexes(&newest))
    }

    /// The computed columns of new rows.
    pub(super) fn compute(&self, evaluator: &Evaluator, batch: &RecordBatch) -> Result<Computed> {
        let mut computed = Computed::default();
        let input = |input| {
            let place = self.live.iter().position(|live| *live == input);
            place
                .and_then(|place| batch.columns().get(place).cloned())
                .ok_or_else(|| Error::invalid(format!("a batch without column {input}")))
        };
        for &n in &self.computed {
            let values = evaluator.compute(&self.def, n, batch.num_rows(), &input)?;
            computed.push(n, &self.def.computed[n].ty, &values)?;
        }
        Ok(computed)
    }

    /// The computed columns of one stored row.
    pub(super) fn compute_stored(&self, evaluator: &Evaluator, row: &[u8]) -> Result<Computed> {
        if self.computed.is_empty() {
            return Ok(Computed::default());
        }
        let mut builder = BatchBuilder::new(&self.def, &self.live, false)?;
        builder.push(RowId(0), row)?;
        self.compute(evaluator, &builder.finish()?)
    }

    pub(super) fn entry(
        &self,
        index: usize,
        row: &Keyed<'_>,
        id: RowId,
    ) -> Result<Option<EntryKey>> {
        entry_key(
            &self.key_types[index],
            &self.def.indexes[index],
            id,
            |column| row.value(column),
        )
    }

    /// [`RowTooLong`](Error::RowTooLong) when a row of `batch` is.
    pub(super) fn check_lengths(&self, batch: &RecordBatch) -> Result<()> {
        let encoder = RowEncoder::new(&self.codec, batch)?;
        (0..batch.num_rows()).try_for_each(|row| encode(&encoder, row).map(|_| ()))
    }

    /// The entries of a row, one per index that it is in.
    pub(super) fn entries(&self, id: RowId, row: &Keyed<'_>) -> Result<Vec<Option<EntryKey>>> {
        (0..self.def.indexes.len())
            .map(|i| self.entry(i, row, id))
            .collect()
    }
}

/// Value bytes of computed columns, each with its place among them.
#[derive(Default)]
pub(super) struct Computed {
    columns: Vec<(usize, PerRow)>,
}

type PerRow = Vec<Option<Box<[u8]>>>;

impl Computed {
    fn push(&mut self, n: usize, ty: &ColumnType, array: &ArrayRef) -> Result<()> {
        let values = ColumnValues::new(ty, array.as_ref())?;
        let rows = (0..array.len()).map(|row| {
            if values.is_null(row) {
                return Ok(None);
            }
            let mut bytes = Vec::new();
            values.write(row, &mut bytes)?;
            Ok(Some(bytes.into()))
        });
        self.columns.push((n, rows.collect::<Result<_>>()?));
        Ok(())
    }
}

/// A row, as far as keys are made of it.
pub(super) struct Keyed<'a> {
    stored: RowRef<'a>,
    computed: &'a Computed,
    /// Its place in `computed`.
    place: usize,
}

impl<'a> Keyed<'a> {
    /// The row at `place` of those that `computed` is of.
    pub(super) fn new(stored: RowRef<'a>, computed: &'a Computed, place: usize) -> Keyed<'a> {
        Keyed {
            stored,
            computed,
            place,
        }
    }

    fn value(&self, column: ColumnId) -> Result<Option<&'a [u8]>> {
        match column.as_computed() {
            None => self.stored.value(column),
            Some(n) => {
                let computed = self.computed.columns.iter().find(|(place, _)| *place == n);
                let values = computed.and_then(|(_, values)| values.get(self.place));
                let value = values.ok_or_else(|| Error::internal("a key that is not computed"))?;
                Ok(value.as_deref())
            }
        }
    }
}

impl Transaction {
    pub(super) fn plan(&mut self, table: &TableDef) -> Result<Arc<TablePlan>> {
        if let Some(plan) = self.plans.get(&table.id)
            && plan.def == *table
        {
            return Ok(Arc::clone(plan));
        }
        let known = self.engine.plans.find(table);
        let plan = match &known {
            Some(plan) => Arc::clone(plan),
            None => Arc::new(TablePlan::new(table)?),
        };
        self.check_definition(&plan)?;
        if known.is_none() {
            self.engine.plans.keep(&plan);
        }
        self.plans.insert(table.id, Arc::clone(&plan));
        Ok(plan)
    }

    /// Refuse to write by a definition that another transaction has replaced: rows would be missed by an
    /// index that it does not know, or be without columns. Who holds the table's lock and reads the
    /// catalog after that has the newest; a snapshot that is kept, or what was read before, may be older.
    fn check_definition(&self, plan: &TablePlan) -> Result<()> {
        let table = &plan.def;
        let (view, key) = (self.latest_view(), catalog_key(table.id));
        let found = view.lookup(Kind::Sorted, CATALOG, &key, |ts, value| match value {
            // What the transaction itself defined may be on its way to another definition.
            Some(_) if ts.is_none() => Ok(true),
            Some(bytes) => plan.is_for(bytes),
            None if self.is_after_snapshot(ts) => Ok(false),
            None => Err(not_defined(table)),
        });
        // A flush knows rows from other keys by their definition.
        match found?.unwrap_or_else(|| Err(not_defined(table)))? {
            true => Ok(()),
            false => Err(Error::SerializationFailure),
        }
    }

    /// Insert the rows of `batch`, whose columns are those of the table without the dropped ones.
    /// After an error some of them may be in: the caller falls back to a savepoint.
    pub fn insert(&mut self, table: &TableDef, batch: &RecordBatch) -> Result<Vec<RowId>> {
        let plan = self.plan(table)?;
        let encoder = RowEncoder::new(&plan.codec, batch)?;
        let computed = plan.compute(&self.engine.evaluator, batch)?;
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
            let keyed = Keyed {
                stored: plan.codec.row(&bytes)?,
                computed: &computed,
                place: row,
            };
            let mut entries = plan.entries(id, &keyed)?;
            if let Some((index, entry, _)) = self.conflict(&plan, &mut entries, None)? {
                return Err(self.violation(&plan, index, entry, &keyed)?);
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
        let computed = plan.compute(&self.engine.evaluator, &batch.slice(row, 1))?;
        let keyed = Keyed {
            stored: plan.codec.row(&bytes)?,
            computed: &computed,
            place: 0,
        };
        let mut entries = plan.entries(id, &keyed)?;
        match self.conflict(&plan, &mut entries, arbiter)? {
            None => {
                self.insert_encoded(&plan, id, bytes, &entries)?;
                Ok(InsertOutcome::Inserted(id))
            }
            Some((index, entry, row)) => {
                let index_id = plan.def.indexes[index].id;
                if arbiter.is_none_or(|arbiter| arbiter == index_id) {
                    // Whoever keeps a snapshot must not act on a row that it does not show.
                    self.check_unchanged(index_id, &entry.key)?;
                    if let Some(serial) = &self.serial {
                        serial.reads().note_key(index_id, &entry.key);
                    }
                    Ok(InsertOutcome::Conflict {
                        index: index_id,
                        row,
                    })
                } else {
                    Err(self.violation(&plan, index, entry, &keyed)?)
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
        let computed = plan.compute(&self.engine.evaluator, batch)?;
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
            let old_row = Keyed {
                stored: plan.codec.row(&old)?,
                computed: &plan.compute_stored(&self.engine.evaluator, &old)?,
                place: 0,
            };
            let new_row = Keyed {
                stored: plan.codec.row(&new)?,
                computed: &computed,
                place,
            };
            for (i, index) in plan.def.indexes.iter().enumerate() {
                let before = plan.entry(i, &old_row, id)?;
                let after = plan.entry(i, &new_row, id)?;
                if before.as_ref().map(|entry| &entry.key) == after.as_ref().map(|entry| &entry.key)
                {
                    continue;
                }
                if let Some(before) = before {
                    self.take_entry(table.id, index, &before)?;
                }
                let Some(after) = after else {
                    continue;
                };
                if index.unique
                    && !after.has_null
                    && self.taken(table.id, index, &after.key)?.row.is_some()
                {
                    return Err(self.violation(&plan, i, &after, &new_row)?);
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
            let row = Keyed {
                stored: plan.codec.row(&old)?,
                computed: &plan.compute_stored(&self.engine.evaluator, &old)?,
                place: 0,
            };
            for (i, index) in plan.def.indexes.iter().enumerate() {
                if let Some(entry) = plan.entry(i, &row, id)? {
                    self.take_entry(table.id, index, &entry)?;
                }
            }
            self.write(table.id, &row_key(id), WriteKind::Delete, None)?;
        }
        Ok(())
    }

    /// Lock the unique keys of a new row, and find the first that is taken: the index's place in the
    /// table's list, the key, and the row that has it. The arbiter's conflict comes before the others'.
    /// Entries that the transaction certainly did not write before are told.
    fn conflict<'e>(
        &mut self,
        plan: &TablePlan,
        entries: &'e mut [Option<EntryKey>],
        arbiter: Option<CollectionId>,
    ) -> Result<Option<(usize, &'e EntryKey, RowId)>> {
        let mut found = None;
        for (i, (index, entry)) in plan.def.indexes.iter().zip(entries).enumerate() {
            let Some(entry) = entry else {
                continue;
            };
            // A key that ends with the new RowId is new.
            entry.is_first = true;
            if !index.unique || entry.has_null {
                continue;
            }
            let taken = self.taken(plan.def.id, index, &entry.key)?;
            entry.is_first = !taken.is_own;
            if let Some(other) = taken.row {
                if arbiter == Some(index.id) {
                    return Ok(Some((i, entry, other)));
                }
                found = found.or(Some((i, &*entry, other)));
            }
        }
        Ok(found)
    }

    /// Lock a unique key, and see who has it.
    pub(super) fn taken(
        &mut self,
        table: CollectionId,
        index: &IndexDef,
        key: &[u8],
    ) -> Result<Taken> {
        let (mode, wait) = (RowLockMode::Update, LockWait::Block);
        self.lock_in_table(table, index.id, key, mode, wait)?;
        let taken = self.look_up(table, index, key)?;
        if taken.row.is_none() && self.is_after_snapshot(taken.changed) {
            return Err(Error::SerializationFailure);
        }
        Ok(taken)
    }

    /// Who has a key in the latest state, own writes included.
    pub(super) fn look_up(
        &mut self,
        table: CollectionId,
        index: &IndexDef,
        key: &[u8],
    ) -> Result<Taken> {
        let full = full_key(index.id, key);
        let row = |value: Option<&[u8]>| value.map(row_of).transpose();
        if let Some(found) = self
            .writes
            .find(Kind::Sorted, &full, |_, value| row(value))?
        {
            return Ok(Taken {
                row: found?,
                is_own: true,
                changed: None,
            });
        }
        let mut taken = Taken::default();
        if let Some(view) = self.committed_of(table, index.id) {
            let found = view.lookup(Kind::Sorted, index.id, key, |ts, value| (ts, row(value)))?;
            if let Some((ts, found)) = found {
                taken.row = found?;
                taken.changed = ts;
            }
        }
        Ok(taken)
    }

    /// Remove the entry of a row that goes away or changes its key.
    pub(super) fn take_entry(
        &mut self,
        table: CollectionId,
        index: &IndexDef,
        entry: &EntryKey,
    ) -> Result<()> {
        if index.unique && !entry.has_null {
            let (mode, wait) = (RowLockMode::Update, LockWait::Block);
            self.lock_in_table(table, index.id, &entry.key, mode, wait)?;
        }
        self.write(index.id, &entry.key, WriteKind::Remove, None)
    }

    /// The error for a taken key. With a snapshot that is kept, too, it is the violation and not a
    /// serialization failure: the key is taken whatever the snapshot. But SERIALIZABLE says so only if
    /// there is an order of transactions in which it is: who looked for the key before, found nothing,
    /// and now finds it taken by somebody who did the same, is refused instead, and may retry
    /// (PostgreSQL's `_bt_check_unique` does likewise).
    pub(super) fn violation(
        &self,
        plan: &TablePlan,
        index: usize,
        entry: &EntryKey,
        row: &Keyed<'_>,
    ) -> Result<Error> {
        let types = plan.key_types[index].iter();
        let index = &plan.def.indexes[index];
        if let Some(serial) = &self.serial {
            serial.check_taken(&full_key(index.id, &entry.key))?;
            serial.reads().note_key(index.id, &entry.key);
        }
        let key = types
            .zip(&index.columns)
            .map(|(ty, key)| match row.value(key.column)? {
                None => Ok(Datum::Null),
                Some(bytes) => Datum::from_value(ty, bytes),
            });
        Ok(Error::UniqueViolation {
            table: plan.def.id,
            index: index.id,
            key: key.collect::<Result<_>>()?,
        })
    }

    /// [`Transaction::violation`] by a stored row.
    pub(super) fn violation_by(
        &self,
        plan: &TablePlan,
        index: usize,
        key: Vec<u8>,
        row: &[u8],
    ) -> Result<Error> {
        let entry = EntryKey {
            key,
            ..EntryKey::default()
        };
        let keyed = Keyed {
            stored: plan.codec.row(row)?,
            computed: &plan.compute_stored(&self.engine.evaluator, row)?,
            place: 0,
        };
        self.violation(plan, index, &entry, &keyed)
    }

    fn insert_encoded(
        &mut self,
        plan: &TablePlan,
        id: RowId,
        bytes: Vec<u8>,
        entries: &[Option<EntryKey>],
    ) -> Result<()> {
        for (index, entry) in plan.def.indexes.iter().zip(entries) {
            let Some(entry) = entry else {
                continue;
            };
            self.record(
                index.id,
                &entry.key,
                WriteKind::Put,
                Some(Box::from(row_key(id))),
                entry.is_first,
            )?;
        }
        self.record(
            plan.def.id,
            &row_key(id),
            WriteKind::Insert,
            Some(bytes.into()),
            true,
        )
    }
}

fn not_defined(table: &TableDef) -> Error {
    Error::invalid(format!("table {} is not defined", table.id))
}

/// Who has a key of a unique index.
#[derive(Default)]
pub(super) struct Taken {
    pub row: Option<RowId>,
    /// The transaction has written the key itself.
    is_own: bool,
    /// When somebody else did, last.
    changed: Option<Ts>,
}

pub(super) fn encode(encoder: &RowEncoder<'_>, row: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    encoder.encode(row, &mut bytes)?;
    if bytes.len() > ROW_BYTES_MAX {
        return Err(Error::RowTooLong { bytes: bytes.len() });
    }
    Ok(bytes)
}
