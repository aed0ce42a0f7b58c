//! The simple query protocol: a string of statements, answered statement by statement.
//!
//! Several statements are one implicit transaction: an error undoes them all and the rest is not
//! run; BEGIN and COMMIT inside the string divide it as in PostgreSQL (the session's part). What a
//! statement returned is written before the next one runs, and the completion of the last one only
//! after the implicit commit has succeeded.

use heliosdb_sql::error::SqlError;
use heliosdb_sql::{Outcome, Statement, TransactionStatus};

use crate::backend;
use crate::connection::End;
use crate::extended::duplicate_cursor;
use crate::open::{AfterCopy, Mode, OpenSession, Stop};
use crate::rows::{Cursor, Formats};
use crate::stream::Wire;

/// The statements of a query string that have not run yet.
pub(crate) struct SimpleRun {
    statements: std::vec::IntoIter<Statement>,
    /// More than one: they share an implicit transaction.
    several: bool,
}

impl OpenSession {
    pub(crate) fn simple_query(&mut self, wire: &mut Wire, sql: &str) -> Result<(), End> {
        self.unnamed = None;
        self.portals.remove("");
        if let Err(error) = self.end_pipeline(true) {
            return self.fail_simple(wire, error);
        }
        let statements = match self.session.parse(sql) {
            Ok(statements) => statements,
            Err(error) => return self.fail_simple(wire, error),
        };
        if statements.is_empty() {
            backend::empty_query(&mut wire.output);
            return self.ready(wire);
        }
        let several = statements.len() > 1;
        if several {
            self.session.begin_implicit();
        }
        self.continue_simple(
            wire,
            SimpleRun {
                statements: statements.into_iter(),
                several,
            },
        )
    }

    pub(crate) fn continue_simple(
        &mut self,
        wire: &mut Wire,
        mut run: SimpleRun,
    ) -> Result<(), End> {
        while let Some(statement) = run.statements.next() {
            let outcome = self
                .simple_statement(wire, &statement)
                .map_err(|stop| match stop {
                    // The client counts from the start of what it sent.
                    Stop::Sql(mut error) => {
                        error.position = error.position.map(|p| p + statement.offset);
                        Stop::Sql(error)
                    }
                    end => end,
                });
            let complete = match outcome {
                Ok(Some(complete)) => complete,
                Ok(None) => {
                    self.mode = Mode::CopyingIn(AfterCopy::Simple(run));
                    wire.flush()?;
                    return Ok(());
                }
                Err(stop) => return self.stop_simple(wire, &run, stop),
            };
            if let Err(stop) = self.complete_simple(wire, &run, complete) {
                return self.stop_simple(wire, &run, stop);
            }
        }
        self.ready(wire)
    }

    /// Run one statement and write its rows; `None` when it waits for COPY data.
    fn simple_statement(
        &mut self,
        wire: &mut Wire,
        statement: &Statement,
    ) -> Result<Option<Completion>, Stop> {
        if let Some(cursor) = statement.declared_cursor()
            && self.portals.contains_key(&cursor)
        {
            return Err(duplicate_cursor(&cursor).into());
        }
        if self.session.transaction_status() != TransactionStatus::Idle {
            self.lend_portal(statement)?;
        }
        let outcome = self.session.execute(statement, &[])?;
        self.close_portals(statement);
        self.send_notices(wire);
        Ok(Some(match outcome {
            Outcome::Rows(rows) => {
                // A query that fails before its first row is answered by the error alone.
                let mut cursor = Cursor::new(rows);
                cursor.prime()?;
                let columns = cursor.rows().columns();
                let formats = Formats::text(columns.len());
                backend::row_description(&mut wire.output, columns, formats.codes());
                let format = self.session.info().format();
                let written = self
                    .rows
                    .write(wire, &mut cursor, &formats, &format, None)?;
                Completion::Tag(cursor.rows().tag(written.rows).0)
            }
            Outcome::Command(tag) => Completion::Tag(tag.0),
            Outcome::CopyOut(copy) => Completion::Tag(self.copy_out(wire, copy)?),
            Outcome::CopyIn { format, columns } => {
                backend::copy_in(&mut wire.output, format, columns);
                return Ok(None);
            }
            Outcome::Empty => Completion::Empty,
        }))
    }

    /// Write the completion of a statement, after the commit if it is the last one.
    fn complete_simple(
        &mut self,
        wire: &mut Wire,
        run: &SimpleRun,
        completion: Completion,
    ) -> Result<(), Stop> {
        let last = run.statements.as_slice().is_empty();
        if last && run.several {
            self.session.end_implicit(true)?;
        }
        self.send_notices(wire);
        match completion {
            Completion::Tag(tag) => backend::command_complete(&mut wire.output, tag),
            Completion::Empty => backend::empty_query(&mut wire.output),
        }
        if !last {
            wire.flush()?;
        }
        Ok(())
    }

    /// The COPY of a simple query is over; `outcome` is its tag.
    pub(crate) fn finish_simple_copy(
        &mut self,
        wire: &mut Wire,
        run: SimpleRun,
        outcome: Result<String, SqlError>,
    ) -> Result<(), End> {
        self.mode = Mode::Ready;
        let completed = outcome
            .map_err(Stop::from)
            .and_then(|tag| self.complete_simple(wire, &run, Completion::Tag(tag)));
        match completed {
            Ok(()) => self.continue_simple(wire, run),
            Err(stop) => self.stop_simple(wire, &run, stop),
        }
    }

    fn stop_simple(&mut self, wire: &mut Wire, run: &SimpleRun, stop: Stop) -> Result<(), End> {
        match stop {
            Stop::End(end) => Err(end),
            Stop::Sql(error) => {
                if run.several
                    && let Err(second) = self.session.end_implicit(false)
                {
                    tracing::warn!(error = %second, "rolling back an implicit transaction failed");
                }
                self.fail_simple(wire, *error)
            }
        }
    }

    pub(crate) fn fail_simple(&mut self, wire: &mut Wire, error: SqlError) -> Result<(), End> {
        self.session.fail_block();
        self.send_error(wire, &error)?;
        self.ready(wire)
    }
}

enum Completion {
    Tag(String),
    Empty,
}
