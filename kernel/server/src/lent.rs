//! One namespace of portals: FETCH, MOVE and CLOSE find the portals of the protocol, and `Execute` the cursors of SQL.
//!
//! A portal that FETCH or MOVE names is lent: what is left of its rows becomes a cursor of the session, and its
//! name goes on to stand for both. Its rows go forward only, and end with its transaction, as before.

use std::sync::Arc;

use heliosdb_sql::error::SqlError;
use heliosdb_sql::{Closed, LentRows, Outcome, Prepared, ResultColumn, Statement};

use crate::backend;
use crate::extended::{Portal, PortalState, cannot_be_run, no_portal};
use crate::open::{OpenSession, Stop};
use crate::rows::{Cursor, Formats};
use crate::stream::Wire;

/// The tag of a portal that was lent.
#[derive(Clone, Debug)]
pub(crate) enum LentTag {
    /// Behind this are the rows of an `Execute`.
    Counted(String),
    Whole(String),
}

impl Default for LentTag {
    fn default() -> LentTag {
        LentTag::Counted("SELECT ".to_owned())
    }
}

impl LentTag {
    /// By the tag after so many rows.
    fn of(tag: impl Fn(u64) -> String) -> LentTag {
        let none = tag(0);
        match none.strip_suffix('0').filter(|_| none != tag(1)) {
            Some(verb) => LentTag::Counted(verb.to_owned()),
            None => LentTag::Whole(none),
        }
    }

    fn of_rows(&self, rows: u64) -> String {
        match self {
            LentTag::Counted(verb) => format!("{verb}{rows}"),
            LentTag::Whole(tag) => tag.clone(),
        }
    }
}

impl OpenSession {
    /// The columns that a statement returns now: for FETCH those of what it names.
    pub(crate) fn columns_now(&self, prepared: &Prepared) -> Option<Arc<[ResultColumn]>> {
        if let Some((name, true)) = prepared.statement().fetched_cursor()
            && let Some(portal) = self.portals.get(&name)
        {
            return portal.columns.clone();
        }
        self.session.columns_now(prepared)
    }

    /// Whether a portal of that name has its rows itself.
    pub(crate) fn is_portal_here(&self, name: &str) -> bool {
        let portal = self.portals.get(name);
        portal.is_some_and(|portal| !portal.is_lent())
    }

    /// A portal that was lent ends with its cursor, which may have gone with a savepoint.
    pub(crate) fn forget_ended(&mut self, name: &str) {
        if self.portals.get(name).is_some_and(Portal::is_lent)
            && self.session.cursor_columns(name).is_none()
        {
            self.portals.remove(name);
        }
    }

    /// Before a statement runs: lends the portal that it names as a cursor.
    pub(crate) fn lend_portal(&mut self, statement: &Statement) -> Result<(), SqlError> {
        let (name, runs) = match (statement.fetched_cursor(), statement.closed_cursors()) {
            (Some((name, _)), _) => (name, true),
            (None, Some(Closed::One(name))) => (name, false),
            _ => return Ok(()),
        };
        self.forget_ended(&name);
        let Some(portal) = self
            .portals
            .get_mut(&name)
            .filter(|portal| !portal.is_lent())
        else {
            return Ok(());
        };
        let columns = portal.columns.clone();
        let mut lent = LentRows {
            columns: columns.clone().unwrap_or_else(|| Arc::from([])),
            next: None,
            rows: None,
            passed: 0,
            savepoints: portal.savepoints,
        };
        let mut tag = LentTag::default();
        // What is closed is not read any more.
        if runs {
            if columns.is_none() {
                return Err(cannot_be_run(&name));
            }
            let cursor = match std::mem::replace(&mut portal.state, PortalState::Finished) {
                PortalState::Bound => {
                    let run = self
                        .session
                        .execute_prepared(&portal.statement, &portal.params)?;
                    match run {
                        Outcome::Rows(rows) if portal.returns(rows.columns()) => Cursor::new(rows),
                        _ => return Err(SqlError::result_type_changed()),
                    }
                }
                PortalState::Open { cursor, fetched } => {
                    lent.passed = fetched;
                    *cursor
                }
                PortalState::Finished | PortalState::Lent(_) => return Err(cannot_be_run(&name)),
            };
            tag = LentTag::of(|rows| cursor.rows().tag(rows).0);
            let (next, rows) = cursor.into_rest();
            (lent.next, lent.rows) = (next, Some(rows));
        }
        portal.state = PortalState::Lent(tag);
        let text = &portal.statement.statement().text;
        self.session.lend_cursor(&name, text, lent)
    }

    /// After a statement ran: the portals that it closed are gone, and those whose transaction it ended.
    pub(crate) fn close_portals(&mut self, statement: &Statement) {
        if statement.ends_transaction() {
            self.portals.clear();
        }
        match statement.closed_cursors() {
            Some(Closed::One(name)) => _ = self.portals.remove(&name),
            Some(Closed::All) => self.portals.clear(),
            None => {}
        }
    }

    /// `Execute` of a cursor, which may be a portal that was lent.
    pub(crate) fn execute_cursor(
        &mut self,
        wire: &mut Wire,
        name: &str,
        limit: Option<u64>,
    ) -> Result<(), Stop> {
        let columns = self.session.cursor_columns(name);
        let columns = columns.ok_or_else(|| no_portal(name))?;
        let (formats, tag) = match self.portals.get(name) {
            Some(Portal {
                formats,
                state: PortalState::Lent(tag),
                ..
            }) => (formats.clone(), tag.clone()),
            _ => (Formats::text(columns.len()), LentTag::default()),
        };
        let fetch = Statement::fetch_forward(name, limit);
        let outcome = self.session.execute(&fetch, &[])?;
        self.send_notices(wire);
        let Outcome::Rows(rows) = outcome else {
            return Err(SqlError::internal("a FETCH without rows").into());
        };
        let mut cursor = Cursor::new(rows);
        let format = self.session.info().format();
        let written = self
            .rows
            .write(wire, &mut cursor, &formats, &format, None)?;
        if limit == Some(written.rows) {
            backend::portal_suspended(&mut wire.output);
        } else {
            self.send_notices(wire);
            backend::command_complete(&mut wire.output, tag.of_rows(written.rows));
        }
        Ok(())
    }
}

impl Portal {
    fn is_lent(&self) -> bool {
        matches!(self.state, PortalState::Lent(_))
    }
}
