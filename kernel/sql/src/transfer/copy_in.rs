//! COPY … FROM STDIN: data arrives in pieces; each batch of rows is inserted as it is complete.
//!
//! 1. `copy` finds the table and the columns and puts a [`CopyIn`] into the session.
//! 2. The client's data goes through [`Session::copy_in_data`].
//! 3. [`Session::copy_in_done`] inserts the rest, judges and checks what waited for the end, and commits outside
//!    a block. [`Session::copy_in_fail`], or any error, undoes it all.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use heliosdb_storage::TableLockMode;
use sqlparser::ast::{Ident, ObjectName};

use crate::catalog::Relation;
use crate::catalog::model::Table;
use crate::copy::{CopyColumn, CopyFormat, CopyOptions, Decoder};
use crate::dml::insert::{check_identity, complete, find_column, not_a_table};
use crate::dml::target::WriteTarget;
use crate::dml::write::Writer;
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::session::Session;
use crate::session::outcome::{self, CommandTag, Outcome};
use crate::session::spelling::Overriding;

pub(crate) struct CopyIn {
    target: Arc<WriteTarget>,
    /// Places of the columns in the data.
    places: Vec<usize>,
    decoder: Decoder,
    writer: Writer,
    rows: u64,
}

/// Places of the columns named, or of all.
pub(super) fn copy_places(target: &WriteTarget, columns: &[Ident]) -> Result<Vec<usize>> {
    if columns.is_empty() {
        let all = 0..target.meta.columns.len();
        return Ok(all
            .filter(|place| !target.generated.is_generated(*place))
            .collect());
    }
    let mut places = Vec::with_capacity(columns.len());
    for column in columns {
        let name = fold(column);
        let place = find_column(target, &name)?;
        if places.contains(&place) {
            return Err(SqlError::new(
                state::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            ));
        }
        target.generated.check_copied(&target.meta, place)?;
        places.push(place);
    }
    Ok(places)
}

pub(super) fn copy_columns(target: &WriteTarget, places: &[usize]) -> Vec<CopyColumn> {
    places
        .iter()
        .map(|p| &target.meta.columns[*p])
        .map(|c| CopyColumn {
            name: c.name.clone(),
            ty: c.ty.clone(),
            typmod: c.typmod,
        })
        .collect()
}

impl Session {
    pub(super) fn copy_from(
        &mut self,
        name: &ObjectName,
        columns: &[Ident],
        options: CopyOptions,
    ) -> Result<Outcome> {
        self.check_writable("COPY FROM")?;
        let target = loop {
            let (_, catalog) = self.write_view()?;
            let table = match self.relation(&catalog, name)? {
                Relation::Table(t) => t,
                other => return Err(not_a_table(&other, "copy to")),
            };
            self.check_write_privilege(table.owner, &table.name)?;
            if self.lock_table(table.collection_id(), TableLockMode::RowExclusive)? {
                continue;
            }
            if options.freeze {
                self.check_private(&table)?;
            }
            break self.with_state(|s, state| s.write_target(state, &catalog, table.oid))?;
        };
        let places = copy_places(&target, columns)?;
        if !columns.is_empty() {
            for place in &places {
                // As under OVERRIDING SYSTEM VALUE.
                check_identity(&target, *place, Some(Overriding::System))?;
            }
        }
        let described = copy_columns(&target, &places);
        let format = match options.format {
            CopyFormat::Text => outcome::CopyFormat::Text,
            CopyFormat::Csv => outcome::CopyFormat::Csv,
        };
        let decoder = Decoder::new(options, &described, target.name(), self.info.format())?;
        let catalog = self.info.catalog();
        let writer = Writer::new(self, catalog);
        let columns = places.len();
        self.copy_in = Some(CopyIn {
            target,
            places,
            decoder,
            writer,
            rows: 0,
        });
        Ok(Outcome::CopyIn { format, columns })
    }

    /// COPY FREEZE is for a table that this transaction has created or truncated.
    fn check_private(&self, table: &Table) -> Result<()> {
        let committed = self
            .instance
            .catalog(&self.instance.engine().latest_view())?;
        match committed.table(table.oid) {
            Some(known) if known.collection == table.collection => Err(SqlError::new(
                state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "cannot perform COPY FREEZE because the table was not created or truncated in the \
                 current subtransaction",
            )),
            _ => Ok(()),
        }
    }

    /// The next piece of the data. After an error the COPY is over.
    pub fn copy_in_data(&mut self, data: &[u8]) -> Result<()> {
        let Some(mut copy) = self.copy_in.take() else {
            return Err(no_copy());
        };
        let result = copy
            .decoder
            .push(data)
            .and_then(|batches| copy.insert(self, batches));
        match result {
            Ok(()) => {
                self.copy_in = Some(copy);
                Ok(())
            }
            Err(e) => {
                let e = copy.fail(self, e);
                Err(self.copy_failed(e))
            }
        }
    }

    pub fn copy_in_done(&mut self) -> Result<CommandTag> {
        let Some(mut copy) = self.copy_in.take() else {
            return Err(no_copy());
        };
        let result = copy
            .decoder
            .finish()
            .and_then(|batches| copy.insert(self, batches))
            .and_then(|()| {
                let finished = self.with_state(|session, state| copy.writer.finish(session, state));
                finished.map_err(|e| copy.context(e))
            })
            .map_err(|e| copy.fail(self, e))
            .and_then(|()| {
                if self.txn.in_block() {
                    Ok(())
                } else {
                    self.commit()
                }
            });
        self.end_timer();
        match result {
            Ok(()) => Ok(CommandTag::counted("COPY", copy.rows)),
            Err(e) => Err(self.copy_failed(e)),
        }
    }

    /// The client gives up, and says why.
    pub fn copy_in_fail(&mut self, why: &str) -> SqlError {
        self.copy_in = None;
        let error = SqlError::new(
            state::QUERY_CANCELED,
            format!("COPY from stdin failed: {why}"),
        );
        self.copy_failed(error)
    }

    fn copy_failed(&mut self, error: SqlError) -> SqlError {
        let error = self.explain_timeout(error);
        self.end_timer();
        self.fail_statement();
        error
    }
}

impl CopyIn {
    fn insert(&mut self, session: &mut Session, batches: Vec<RecordBatch>) -> Result<()> {
        if batches.is_empty() {
            return Ok(());
        }
        session.with_state(|session, state| {
            for batch in batches {
                if session.interrupt.is_canceled() {
                    return Err(SqlError::from(heliosdb_storage::Error::Canceled));
                }
                let rows = batch.num_rows();
                let columns = complete(
                    state,
                    &self.target,
                    &self.places,
                    batch.columns().to_vec(),
                    rows,
                    &self.writer.format,
                )?;
                let batch = self
                    .writer
                    .check_rows(session, state, &self.target, (columns, rows), None)
                    .map_err(|e| self.context(e))?;
                self.writer
                    .insert(session, &self.target, batch)
                    .map_err(|e| self.context(e))?;
                self.rows += rows as u64;
            }
            Ok(())
        })
    }

    /// What is to be said when `error` ends the COPY.
    fn fail(&mut self, session: &mut Session, error: SqlError) -> SqlError {
        let error = self.writer.fail(session, error);
        match error.code == state::UNIQUE_VIOLATION {
            true => self.context(error),
            false => error,
        }
    }

    /// Rows are checked a batch at a time, so the context names the table and not the line.
    fn context(&self, error: SqlError) -> SqlError {
        // Foreign keys are checked when all rows are in.
        if error.context.is_some() || error.code == state::FOREIGN_KEY_VIOLATION {
            return error;
        }
        error.with_context(format!("COPY {}", self.target.name()))
    }
}

fn no_copy() -> SqlError {
    SqlError::new(state::PROTOCOL_VIOLATION, "there is no COPY in progress")
}
