//! The open phase of a connection: one session and what the protocol remembers beside it.
//!
//! State machine ([`Mode`]):
//!
//! * *Ready*: any message.
//! * *Skipping*: an extended-protocol message failed; everything up to `Sync` is dropped.
//! * *Copying in*: `CopyData` goes to the session until `CopyDone` or `CopyFail`; `Flush` and `Sync`
//!   are ignored, because drivers send a `Sync` right behind the `Execute` that starts a COPY.
//!
//! Copy messages outside *Copying in* are ignored: the client was still sending when the COPY
//! failed.
//!
//! Transactions: a simple query with several statements, and the extended messages between two
//! `Sync`s, are one implicit transaction each unless an explicit block is open
//! (`simple`, `extended`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use heliosdb_sql::error::{SqlError, state};
use heliosdb_sql::{Prepared, Session, TransactionStatus};

use crate::backend::{self, Severity};
use crate::connection::{End, shutting_down};
use crate::extended::Portal;
use crate::frontend::Frontend;
use crate::registry::{Registry, StopLevel};
use crate::rows::RowWriter;
use crate::simple::SimpleRun;
use crate::stream::Wire;

pub struct OpenSession {
    // Portals hold results of the session's transaction and go before it.
    pub(crate) portals: HashMap<String, Portal>,
    /// The unnamed statement; those with names are the session's, where SQL's EXECUTE and
    /// DEALLOCATE find them too.
    pub(crate) unnamed: Option<Arc<Prepared>>,
    pub(crate) session: Session,
    pub(crate) mode: Mode,
    /// The implicit transaction of the extended messages since the last `Sync` is open.
    pub(crate) implicit: bool,
    pub(crate) rows: RowWriter,
    /// Nothing came since the last ReadyForQuery.
    at_rest: bool,
    registry: Arc<Registry>,
}

pub(crate) enum Mode {
    Ready,
    Skipping,
    CopyingIn(AfterCopy),
}

/// What goes on when a COPY from the client is over.
pub(crate) enum AfterCopy {
    Simple(SimpleRun),
    Extended,
}

/// Why work on a message stopped.
pub(crate) enum Stop {
    /// The statement failed; the connection goes on.
    Sql(Box<SqlError>),
    End(End),
}

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Stop {
        Stop::Sql(Box::new(error))
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        Stop::End(error.into())
    }
}

impl OpenSession {
    pub fn new(session: Session, registry: Arc<Registry>) -> OpenSession {
        OpenSession {
            portals: HashMap::new(),
            unnamed: None,
            session,
            mode: Mode::Ready,
            implicit: false,
            rows: RowWriter::default(),
            at_rest: false,
            registry,
        }
    }

    pub fn is_copying(&self) -> bool {
        matches!(self.mode, Mode::CopyingIn(_))
    }

    /// After a panic: a row that was being written is not a message.
    pub fn take_back_partial_row(&mut self, wire: &mut Wire) {
        self.rows.take_back(&mut wire.output);
    }

    /// Tell a new client the settings it cares about.
    pub fn greet(&mut self, wire: &mut Wire) {
        for (name, value) in self.session.reported_parameters() {
            backend::parameter_status(&mut wire.output, name, value);
        }
        self.session.take_changed_parameters();
        self.send_notices(wire);
    }

    /// The end of a cycle: everything so far is written, and the client's turn begins.
    pub fn ready(&mut self, wire: &mut Wire) -> Result<(), End> {
        self.send_notices(wire);
        for (name, value) in self.session.take_changed_parameters() {
            backend::parameter_status(&mut wire.output, name, value);
        }
        self.session.come_to_rest();
        let status = self.session.transaction_status();
        if status == TransactionStatus::Idle {
            self.portals.clear();
            self.send_notifications(wire);
        }
        self.mode = Mode::Ready;
        backend::ready_for_query(&mut wire.output, status);
        wire.flush()?;
        self.at_rest = true;
        Ok(())
    }

    /// What others tell a client that says nothing: notifications, unless a transaction is open.
    pub fn called(&mut self, wire: &mut Wire) -> Result<(), End> {
        if self.session.is_terminated() {
            return Err(End::fatal(shutting_down()));
        }
        if self.at_rest {
            self.send_notifications(wire);
            wire.flush()?;
        }
        Ok(())
    }

    /// How long the client may say nothing now.
    pub fn idle_timeout(&self) -> Option<Duration> {
        match self.at_rest {
            true => self.session.idle_timeout(),
            false => None,
        }
    }

    /// It has said nothing for as long.
    pub fn idle_for_too_long(&self) -> End {
        End::fatal(self.session.idle_for_too_long())
    }

    /// Whether somebody said that it is to end.
    pub fn is_terminated(&self) -> bool {
        self.session.is_terminated()
    }

    /// Whether the client waits for what others tell it.
    pub fn is_listening(&self) -> bool {
        self.at_rest && self.session.is_listening()
    }

    fn send_notifications(&mut self, wire: &mut Wire) {
        for notification in self.session.take_notifications() {
            backend::notification(&mut wire.output, notification);
        }
    }

    pub fn message(&mut self, wire: &mut Wire, message: Frontend) -> Result<(), End> {
        if matches!(message, Frontend::Terminate) {
            return Err(End::Closed);
        }
        self.at_rest = false;
        match self.mode {
            Mode::CopyingIn(_) => return self.copy_message(wire, message),
            Mode::Skipping if !matches!(message, Frontend::Sync) => return Ok(()),
            Mode::Skipping | Mode::Ready => {}
        }
        match message {
            Frontend::Query(sql) => self.simple_query(wire, &sql),
            Frontend::FunctionCall => self.fail_simple(
                wire,
                SqlError::unsupported("the function call sub-protocol"),
            ),
            Frontend::CopyData(_) | Frontend::CopyDone | Frontend::CopyFail(_) => Ok(()),
            Frontend::Password(_) => Err(End::fatal(SqlError::new(
                state::PROTOCOL_VIOLATION,
                "unexpected authentication message",
            ))),
            Frontend::Terminate => Err(End::Closed),
            other => self.extended_message(wire, other),
        }
    }

    /// A message whose text is not UTF-8.
    pub fn undecodable(&mut self, wire: &mut Wire, kind: u8, error: SqlError) -> Result<(), End> {
        match (&self.mode, kind) {
            (Mode::Skipping, _) => Ok(()),
            (Mode::CopyingIn(_), _) => {
                self.copy_message(wire, Frontend::CopyFail("invalid text".to_owned()))
            }
            (Mode::Ready, b'Q') => self.fail_simple(wire, error),
            (Mode::Ready, _) => self.fail_extended(wire, error),
        }
    }

    pub(crate) fn send_notices(&mut self, wire: &mut Wire) {
        for notice in self.session.take_notices() {
            backend::notice(&mut wire.output, &notice);
        }
    }

    /// Tell the client that its statement failed, or that the server made it fail.
    pub(crate) fn send_error(&mut self, wire: &mut Wire, error: &SqlError) -> Result<(), End> {
        self.send_notices(wire);
        let stops = self.registry.stop_level() == StopLevel::Forced || self.session.is_terminated();
        if stops && matches!(error.code, state::QUERY_CANCELED | state::ADMIN_SHUTDOWN) {
            return Err(End::fatal(shutting_down()));
        }
        backend::error(&mut wire.output, Severity::Error, error);
        Ok(())
    }
}
