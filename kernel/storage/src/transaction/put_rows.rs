//! Writing rows that another timeline has, under the ids that they have there.
//!
//! RowIds come from one allocator for all timelines, so the id of a row that is not here is free here. Rows
//! are replaced all at once: their old keys go before the new ones come, so two of them may change places in
//! a unique index.

use arrow_array::RecordBatch;

use super::Transaction;
use super::rows::{Keyed, TablePlan, encode};
use crate::error::{Error, Result};
use crate::ids::RowId;
use crate::row::RowEncoder;
use crate::schema::{IndexDef, TableDef};
use crate::transaction::writeset::WriteKind;
use crate::view::index::EntryKey;
use crate::view::row_key;

/// How many rows are written between two looks at the interrupt.
const ROWS_PER_CHECK: usize = 1024;

impl Transaction {
    /// Make `rows`, which are locked and of which each is given once, what `batch` says, whether they are there
    /// or not. The columns of the batch are those of the table without the dropped ones.
    ///
    /// # Errors
    ///
    /// `UniqueViolation` when a key is taken by a row that is not among them. After an error some rows may be in.
    pub fn put_rows(
        &mut self,
        table: &TableDef,
        rows: &[RowId],
        batch: &RecordBatch,
    ) -> Result<()> {
        if rows.len() != batch.num_rows() {
            return Err(Error::invalid(format!(
                "{} rows to put with a batch of {}",
                rows.len(),
                batch.num_rows()
            )));
        }
        let plan = self.plan(table)?;
        let encoder = RowEncoder::new(plan.codec(), batch)?;
        let computed = plan.compute(&self.engine.evaluator, batch)?;
        let mut are_new = Vec::with_capacity(rows.len());
        for (place, &id) in rows.iter().enumerate() {
            if place % ROWS_PER_CHECK == 0 {
                self.interrupt.check()?;
            }
            let bytes = encode(&encoder, place)?;
            let after =
                plan.entries(id, &Keyed::new(plan.codec().row(&bytes)?, &computed, place))?;
            let before = self.entries_of(&plan, id)?;
            are_new.push(before.is_none());
            let before = before.unwrap_or_default().into_iter();
            for (index, (before, after)) in plan.def.indexes.iter().zip(before.zip(&after)) {
                if let Some(before) = before
                    && after.as_ref().is_none_or(|after| after.key != before.key)
                {
                    self.take_entry(plan.def.id, index, &before)?;
                }
            }
        }
        for ((place, &id), is_new) in rows.iter().enumerate().zip(are_new) {
            if place % ROWS_PER_CHECK == 0 {
                self.interrupt.check()?;
            }
            let bytes = encode(&encoder, place)?;
            let row = Keyed::new(plan.codec().row(&bytes)?, &computed, place);
            let before = self.entries_of(&plan, id)?.unwrap_or_default();
            for (i, after) in plan.entries(id, &row)?.into_iter().enumerate() {
                let Some(after) = after else { continue };
                let stays = before.get(i).and_then(Option::as_ref);
                if stays.is_some_and(|before| before.key == after.key) {
                    continue;
                }
                let index = &plan.def.indexes[i];
                if index.unique
                    && !after.has_null
                    && self.taken(plan.def.id, index, &after.key)?.row.is_some()
                {
                    return Err(self.violation(&plan, i, &after, &row)?);
                }
                let value = Some(Box::from(row_key(id)));
                self.write(index.id, &after.key, WriteKind::Put, value)?;
            }
            let kind = match is_new {
                true => WriteKind::Insert,
                false => WriteKind::Update,
            };
            self.write(plan.def.id, &row_key(id), kind, Some(bytes.into()))?;
        }
        Ok(())
    }

    /// The keys that `rows` have in an index of the table, by its place, when they are what `batch` says; `None`
    /// for a row that the index has no entry of, or one with a NULL, which is equal to no other.
    pub fn keys_of_rows(
        &mut self,
        table: &TableDef,
        index: usize,
        rows: &[RowId],
        batch: &RecordBatch,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let plan = self.plan(table)?;
        let encoder = RowEncoder::new(plan.codec(), batch)?;
        let computed = plan.compute(&self.engine.evaluator, batch)?;
        let mut keys = Vec::with_capacity(rows.len());
        for (place, &id) in rows.iter().enumerate() {
            if place % ROWS_PER_CHECK == 0 {
                self.interrupt.check()?;
            }
            let bytes = encode(&encoder, place)?;
            let row = Keyed::new(plan.codec().row(&bytes)?, &computed, place);
            let entry = plan.entry(index, &row, id)?;
            keys.push(entry.filter(|entry| !entry.has_null).map(|entry| entry.key));
        }
        Ok(keys)
    }

    /// The row that has a key in a unique index, as [`keys_of_rows`](Self::keys_of_rows) gives it, in the latest
    /// state, own writes included.
    pub fn row_of_key(
        &mut self,
        table: &TableDef,
        index: &IndexDef,
        key: &[u8],
    ) -> Result<Option<RowId>> {
        Ok(self.look_up(table.id, index, key)?.row)
    }

    /// The index entries of a row as it is now, if it is there.
    fn entries_of(&self, plan: &TablePlan, id: RowId) -> Result<Option<Vec<Option<EntryKey>>>> {
        let Some(old) = self.latest_view().row(plan.def.id, id, &plan.key_columns)? else {
            return Ok(None);
        };
        let computed = plan.compute_stored(&self.engine.evaluator, &old)?;
        let row = Keyed::new(plan.codec().row(&old)?, &computed, 0);
        plan.entries(id, &row).map(Some)
    }
}
