//! The extended query protocol: prepared statements and portals.
//!
//! Between two `Sync`s the executed statements share one implicit transaction, committed by the
//! `Sync`, unless an explicit block is open. When the next message is already known to be that
//! `Sync`, an `Execute` runs to completion as a single statement and commits by itself, which is
//! the same transaction and spares the bookkeeping; that is what nearly every driver sends.
//!
//! After an error everything up to the next `Sync` is skipped. Portals end with their transaction.
//!
//! What a portal returns is fixed when it is bound: for FETCH and EXECUTE by what they name at that time. A
//! cursor of SQL is a portal of its name, and a portal a cursor; there is no other of that name
//! ([`lent`](crate::lent)).

use std::sync::Arc;

use bytes::Bytes;
use heliosdb_sql::error::{SqlError, state};
use heliosdb_sql::types::{PgType, decode_binary};
use heliosdb_sql::{Outcome, Prepared, ResultColumn, Session, TransactionStatus, Value};

use crate::backend;
use crate::connection::End;
use crate::frontend::{self, Bind, Frontend, Target};
use crate::lent::LentTag;
use crate::open::{AfterCopy, Mode, OpenSession, Stop};
use crate::rows::{Cursor, Formats};
use crate::stream::Wire;

/// A statement bound to parameters, and how far it has run.
pub(crate) struct Portal {
    pub(crate) statement: Arc<Prepared>,
    pub(crate) params: Vec<Value>,
    /// `None` when it returns no rows.
    pub(crate) columns: Option<Arc<[ResultColumn]>>,
    pub(crate) formats: Formats,
    pub(crate) state: PortalState,
    /// Of the transaction, when it was bound.
    pub(crate) savepoints: usize,
}

impl Portal {
    /// Whether rows of these columns are what it was bound to return.
    pub(crate) fn returns(&self, columns: &[ResultColumn]) -> bool {
        let bound = self.columns.as_deref();
        bound.is_some_and(|bound| {
            bound
                .iter()
                .map(|c| &c.ty)
                .eq(columns.iter().map(|c| &c.ty))
        })
    }
}

pub(crate) enum PortalState {
    Bound,
    /// Rows are being fetched; `fetched` so far.
    Open {
        cursor: Box<Cursor>,
        fetched: u64,
    },
    Finished,
    /// Its rows are a cursor of the session.
    Lent(LentTag),
}

impl OpenSession {
    pub(crate) fn extended_message(
        &mut self,
        wire: &mut Wire,
        message: Frontend,
    ) -> Result<(), End> {
        let outcome = match message {
            Frontend::Parse {
                name,
                query,
                param_types,
            } => self
                .parse(wire, name, &query, &param_types)
                .map_err(Stop::from),
            Frontend::Bind(bind) => self.bind(wire, bind).map_err(Stop::from),
            Frontend::Describe { target, name } => {
                self.describe(wire, target, &name).map_err(Stop::from)
            }
            Frontend::Close { target, name } => {
                match target {
                    Target::Statement if name.is_empty() => self.unnamed = None,
                    Target::Statement => self.session.forget_prepared(&name),
                    Target::Portal => {
                        self.portals.remove(&name);
                        self.session.forget_cursor(&name);
                    }
                }
                backend::close_complete(&mut wire.output);
                Ok(())
            }
            Frontend::Execute { portal, max_rows } => self.execute(wire, &portal, max_rows),
            Frontend::Flush => {
                self.send_notices(wire);
                wire.flush().map_err(Stop::from)
            }
            Frontend::Sync => return self.sync(wire),
            other => Err(Stop::from(SqlError::internal(format!(
                "{other:?} is not handled here"
            )))),
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(Stop::Sql(error)) => self.fail_extended(wire, *error),
            Err(Stop::End(end)) => Err(end),
        }
    }

    /// End the implicit transaction of the messages since the last `Sync`.
    pub(crate) fn end_pipeline(&mut self, ok: bool) -> Result<(), SqlError> {
        if std::mem::take(&mut self.implicit) {
            if !ok {
                self.portals.clear();
            }
            self.session.end_implicit(ok)?;
        }
        Ok(())
    }

    pub(crate) fn fail_extended(&mut self, wire: &mut Wire, error: SqlError) -> Result<(), End> {
        self.session.fail_block();
        if let Err(second) = self.end_pipeline(false) {
            tracing::warn!(error = %second, "rolling back an implicit transaction failed");
        }
        self.send_error(wire, &error)?;
        self.mode = Mode::Skipping;
        Ok(())
    }

    fn sync(&mut self, wire: &mut Wire) -> Result<(), End> {
        if let Err(error) = self.end_pipeline(true) {
            self.session.fail_block();
            self.send_error(wire, &error)?;
        }
        self.ready(wire)
    }

    fn parse(
        &mut self,
        wire: &mut Wire,
        name: String,
        query: &str,
        param_types: &[u32],
    ) -> Result<(), SqlError> {
        // A failed Parse leaves no unnamed statement behind.
        if name.is_empty() {
            self.unnamed = None;
        }
        let types = param_types
            .iter()
            .map(|oid| param_type(&self.session, *oid))
            .collect::<Result<Vec<_>, _>>()?;
        let prepared = Arc::new(self.session.prepare(query, &types)?);
        if name.is_empty() {
            self.unnamed = Some(prepared);
        } else {
            self.session.keep_prepared(name, prepared)?;
        }
        backend::parse_complete(&mut wire.output);
        Ok(())
    }

    fn statement(&self, name: &str) -> Result<Arc<Prepared>, SqlError> {
        if !name.is_empty() {
            return self.session.kept_prepared(name);
        }
        self.unnamed.clone().ok_or_else(|| {
            SqlError::new(
                state::INVALID_SQL_STATEMENT_NAME,
                "unnamed prepared statement does not exist",
            )
        })
    }

    fn bind(&mut self, wire: &mut Wire, bind: Bind) -> Result<(), SqlError> {
        let statement = self.statement(&bind.statement)?;
        self.forget_ended(&bind.portal);
        if bind.portal.is_empty() {
            self.portals.remove("");
            self.session.forget_cursor("");
        } else if self.portals.contains_key(&bind.portal)
            || self.session.cursor_columns(&bind.portal).is_some()
        {
            return Err(duplicate_cursor(&bind.portal));
        }
        let params = params_of(&bind, &self.session.parameter_types(&statement))?;
        let columns = self.columns_now(&statement);
        let width = columns.as_ref().map_or(0, |columns| columns.len());
        let formats = Formats::of_bind(&bind.result_formats, width)?;
        let portal = Portal {
            statement,
            params,
            columns,
            formats,
            state: PortalState::Bound,
            savepoints: self.session.savepoints(),
        };
        self.portals.insert(bind.portal, portal);
        backend::bind_complete(&mut wire.output);
        Ok(())
    }

    fn describe(&mut self, wire: &mut Wire, target: Target, name: &str) -> Result<(), SqlError> {
        if target == Target::Portal {
            self.forget_ended(name);
        }
        let out = &mut wire.output;
        match target {
            Target::Statement => {
                let prepared = self.statement(name)?;
                let types = prepared.param_types.iter().map(PgType::oid).collect();
                backend::parameter_description(out, types);
                match self.columns_now(&prepared) {
                    Some(columns) => {
                        let formats = Formats::text(columns.len());
                        backend::row_description(out, &columns, formats.codes());
                    }
                    None => backend::no_data(out),
                }
            }
            Target::Portal => match self.portals.get(name) {
                Some(portal) => match &portal.columns {
                    Some(columns) => {
                        backend::row_description(out, columns, portal.formats.codes());
                    }
                    None => backend::no_data(out),
                },
                None => {
                    let cursor = self.session.cursor_columns(name);
                    let columns = cursor.ok_or_else(|| no_portal(name))?;
                    let formats = Formats::text(columns.len());
                    backend::row_description(out, &columns, formats.codes());
                }
            },
        }
        Ok(())
    }

    /// What is not alone between two `Sync`s shares an implicit transaction.
    fn join_pipeline(&mut self, alone: bool) {
        if !alone && !self.implicit && self.session.transaction_status() == TransactionStatus::Idle
        {
            self.session.begin_implicit();
            self.implicit = true;
        }
    }

    fn execute(&mut self, wire: &mut Wire, name: &str, max_rows: i32) -> Result<(), Stop> {
        self.forget_ended(name);
        let limit = u64::try_from(max_rows).ok().filter(|n| *n > 0);
        let alone = limit.is_none() && frontend::sync_is_next(&wire.input);
        if !self.is_portal_here(name) {
            self.join_pipeline(alone);
            return self.execute_cursor(wire, name, limit);
        }
        // Out of the map while it runs, so that a failure or a panic leaves no half-run portal.
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        if let PortalState::Bound = portal.state {
            let statement = Arc::clone(&portal.statement);
            let fetched = statement.statement().fetched_cursor();
            let lends = fetched
                .as_ref()
                .is_some_and(|(cursor, _)| self.portals.contains_key(cursor));
            self.join_pipeline(alone && !lends);
            if fetched.is_some_and(|(cursor, _)| cursor == name) {
                return Err(cannot_be_run(name).into());
            }
            self.lend_portal(statement.statement())?;
            if let Some(cursor) = portal.statement.statement().declared_cursor()
                && (self.portals.contains_key(&cursor) || cursor == name)
            {
                return Err(duplicate_cursor(&cursor).into());
            }
            let outcome = self
                .session
                .execute_prepared(&portal.statement, &portal.params)?;
            self.close_portals(statement.statement());
            self.send_notices(wire);
            portal.state = PortalState::Finished;
            match outcome {
                // What FETCH or EXECUTE names is another one than at the time of Bind.
                Outcome::Rows(rows) if !portal.returns(rows.columns()) => {
                    return Err(SqlError::result_type_changed().into());
                }
                Outcome::Rows(rows) => {
                    portal.state = PortalState::Open {
                        cursor: Box::new(Cursor::new(rows)),
                        fetched: 0,
                    };
                }
                Outcome::Command(tag) => backend::command_complete(&mut wire.output, tag.0),
                Outcome::Empty => backend::empty_query(&mut wire.output),
                Outcome::CopyOut(copy) => {
                    let tag = self.copy_out(wire, copy)?;
                    backend::command_complete(&mut wire.output, tag);
                }
                Outcome::CopyIn { format, columns } => {
                    backend::copy_in(&mut wire.output, format, columns);
                    wire.flush()?;
                    self.mode = Mode::CopyingIn(AfterCopy::Extended);
                }
            }
        } else if let PortalState::Finished = portal.state {
            return Err(cannot_be_run(name).into());
        }
        if let PortalState::Open { cursor, fetched } = &mut portal.state {
            let format = self.session.info().format();
            let written = self
                .rows
                .write(wire, cursor, &portal.formats, &format, limit)?;
            *fetched += written.rows;
            if written.suspended {
                backend::portal_suspended(&mut wire.output);
            } else {
                self.send_notices(wire);
                // A SELECT counts the rows of this Execute; others count all of their command.
                let whole = cursor.rows().tag(*fetched).0;
                let tag = if *fetched != written.rows && whole.starts_with("SELECT") {
                    cursor.rows().tag(written.rows).0
                } else {
                    whole
                };
                backend::command_complete(&mut wire.output, tag);
            }
        }
        // COMMIT and ROLLBACK end the portals of their transaction, this one included.
        if self.implicit || self.session.transaction_status() != TransactionStatus::Idle {
            self.portals.insert(name.to_owned(), portal);
        } else if !matches!(portal.state, PortalState::Open { .. }) {
            self.portals.clear();
        }
        Ok(())
    }
}

pub(crate) fn no_portal(name: &str) -> SqlError {
    SqlError::new(
        state::INVALID_CURSOR_NAME,
        format!("portal \"{name}\" does not exist"),
    )
}

pub(crate) fn cannot_be_run(name: &str) -> SqlError {
    SqlError::new(
        state::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("portal \"{name}\" cannot be run"),
    )
}

pub(crate) fn duplicate_cursor(name: &str) -> SqlError {
    SqlError::new(
        state::DUPLICATE_CURSOR,
        format!("cursor \"{name}\" already exists"),
    )
}

/// A parameter type as Parse names it; 0 leaves it to inference.
fn param_type(session: &Session, oid: u32) -> Result<Option<PgType>, SqlError> {
    match oid {
        0 => Ok(None),
        oid => session.parameter_type(oid).map(Some).ok_or_else(|| {
            SqlError::new(
                state::FEATURE_NOT_SUPPORTED,
                format!("parameters of the type with OID {oid} are not supported"),
            )
        }),
    }
}

/// The values of a Bind, by the types the statement wants.
fn params_of(bind: &Bind, types: &[PgType]) -> Result<Vec<Value>, SqlError> {
    let formats = &bind.param_formats;
    if formats.len() > 1 && formats.len() != bind.params.len() {
        return Err(SqlError::new(
            state::PROTOCOL_VIOLATION,
            format!(
                "bind message has {} parameter formats but {} parameters",
                formats.len(),
                bind.params.len()
            ),
        ));
    }
    if bind.params.len() != types.len() {
        return Err(SqlError::new(
            state::PROTOCOL_VIOLATION,
            format!(
                "bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
                bind.params.len(),
                bind.statement,
                types.len()
            ),
        ));
    }
    let format_of = |index: usize| match formats.as_slice() {
        [] => 0,
        [all] => *all,
        each => each[index],
    };
    bind.params
        .iter()
        .zip(types)
        .enumerate()
        .map(|(index, (param, ty))| match param {
            None => Ok(Value::Null),
            Some(bytes) => param_of(bytes, ty, format_of(index), index + 1),
        })
        .collect()
}

fn param_of(bytes: &Bytes, ty: &PgType, format: i16, number: usize) -> Result<Value, SqlError> {
    match format {
        0 => match std::str::from_utf8(bytes) {
            Ok(text) if text.contains('\0') => Err(SqlError::new(
                state::CHARACTER_NOT_IN_REPERTOIRE,
                "invalid byte sequence for encoding \"UTF8\": 0x00",
            )),
            Ok(text) => Ok(Value::Text(text.to_owned())),
            Err(error) => Err(frontend::invalid_utf8(bytes, error)),
        },
        1 => decode_binary(ty, bytes)
            .map(Value::Typed)
            .map_err(|mut error| {
                error
                    .context
                    .get_or_insert_with(|| format!("unnamed portal parameter ${number}"));
                error
            }),
        other => Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            format!("unsupported format code: {other}"),
        )),
    }
}
