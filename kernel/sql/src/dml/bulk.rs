//! The new rows of one statement on their way into its table: row by row when they are few, by the column
//! when they are many.
//!
//! 1. *Waiting.* Batches that were checked wait until there are enough of them.
//! 2. *In bulk.* Then all of them, and those that come, go into storage's `BulkInsert`, which nobody sees
//!    before the statement's end. Their parents are looked for a batch at a time.
//! 3. *Settled*, when the statement ends, or fails: what waits is inserted row by row, or the bulk insert is
//!    finished, which is where unique keys are judged.
//!
//! Which error a statement ends with is what it would be row by row. A key that was taken, or is too long, comes before what
//! is wrong with a later row, so a failure settles first; and foreign keys come after unique ones, so that what
//! they find waits.
//!
//! A table with constraints of plugins has its rows inserted at once: a plugin may look for them in the
//! table while it checks those that follow.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use heliosdb_storage::BulkInsert;

use super::foreign_key;
use super::target::WriteTarget;
use super::write::Writer;
use crate::error::{Result, SqlError, state};
use crate::monitor::relations::Count;
use crate::session::Session;
use crate::types::extension;

/// So many bytes are enough, however few rows they are.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// See the module's header.
pub(super) struct Incoming {
    target: Arc<WriteTarget>,
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
    waiting_bytes: usize,
    bulk: Option<BulkInsert>,
    /// The first reference without its row.
    no_parent: Option<SqlError>,
    /// Per foreign key of the table to itself the columns of its rows, which may refer to each other.
    own_references: Vec<(usize, Vec<ArrayRef>)>,
}

impl Incoming {
    pub fn new(target: &Arc<WriteTarget>) -> Incoming {
        Incoming {
            target: Arc::clone(target),
            waiting: Vec::new(),
            waiting_rows: 0,
            waiting_bytes: 0,
            bulk: None,
            no_parent: None,
            own_references: Vec::new(),
        }
    }

    /// Takes rows that were checked.
    pub fn push(
        &mut self,
        writer: &Writer,
        session: &mut Session,
        batch: RecordBatch,
    ) -> Result<()> {
        self.waiting_rows += batch.num_rows();
        self.waiting_bytes += batch.get_array_memory_size();
        self.waiting.push(batch);
        let transaction = session.transaction()?;
        let is_enough = self.waiting_rows >= transaction.bulk_rows_min()
            || self.waiting_bytes >= WAITING_BYTES_MAX;
        if self.bulk.is_none() {
            if !is_enough {
                return Ok(());
            }
            self.bulk = Some(transaction.bulk_insert(&self.target.meta.storage)?);
        }
        for batch in std::mem::take(&mut self.waiting) {
            self.push_in_bulk(writer, session, &batch)?;
        }
        Ok(())
    }

    fn push_in_bulk(
        &mut self,
        writer: &Writer,
        session: &mut Session,
        batch: &RecordBatch,
    ) -> Result<()> {
        let Some(bulk) = &mut self.bulk else {
            return Err(SqlError::internal("rows in bulk without a bulk insert"));
        };
        bulk.push(session.transaction()?, extension::stored(batch)?.as_ref())
            .map_err(|e| writer.explain(&self.target, e))?;
        let counters = &self.target.meta.counters;
        counters.add(Count::Inserted, batch.num_rows());
        let mut first: Option<(usize, SqlError)> = None;
        for (place, fk) in self.target.foreign_keys.iter().enumerate() {
            let columns = foreign_key::key_columns(writer, fk, batch)?;
            if fk.is_self_reference() {
                self.own_references.push((place, columns));
            } else if self.no_parent.is_none() {
                let found = foreign_key::first_violation(writer, session, fk, &columns)?;
                first = match (first, found) {
                    (Some(first), Some(found)) if found.0 < first.0 => Some(found),
                    (None, found) => found,
                    (first, _) => first,
                };
            }
        }
        self.no_parent = self.no_parent.take().or(first.map(|(_, error)| error));
        Ok(())
    }

    /// Puts in what is not in yet.
    pub fn settle(mut self, writer: &mut Writer, session: &mut Session) -> Result<()> {
        let Some(bulk) = self.bulk.take() else {
            for batch in std::mem::take(&mut self.waiting) {
                writer.insert_now(session, &self.target, &batch)?;
            }
            return Ok(());
        };
        bulk.finish(session.transaction()?)
            .map_err(|e| writer.explain(&self.target, e))?;
        if let Some(error) = self.no_parent {
            return Err(error);
        }
        for (place, columns) in &self.own_references {
            let fk = &self.target.foreign_keys[*place];
            let found = foreign_key::first_violation(writer, session, fk, columns)?;
            if let Some((_, error)) = found {
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Whether an error says that a row is wrong, and not that the statement cannot go on.
pub(super) fn is_of_a_row(error: &SqlError) -> bool {
    let code = error.code.as_str();
    code.starts_with("22") || code.starts_with("23")
}

/// Of an error that a statement failed with, and what settling it ended with, the one of the earlier row.
pub(super) fn earlier(error: SqlError, settled: Result<()>) -> SqlError {
    match settled {
        Err(earlier) if earlier.code != state::FOREIGN_KEY_VIOLATION => earlier,
        _ => error,
    }
}
