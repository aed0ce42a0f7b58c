//! The frame around a client's statement: it is shown to others while it runs, and counted when it has run.
//!
//! A statement has run when its last row was read. One that gives its rows while they are read takes what counts it
//! along ([`Measured`]), and the time between two batches, which is its client's, is none of its own.
//! What failed is not counted, as in PostgreSQL; nor is what EXECUTE itself does: its run is one of the statement
//! that was prepared.

use std::sync::Arc;

use heliosdb_storage::pages::{Pages, apart};
use sqlparser::ast::Statement as Ast;

use super::info::SessionInfo;
use super::outcome::{CommandTag, Outcome};
use super::prepared::Prepared;
use super::settings::Settings;
use super::statement::{Statement, StatementKind};
use super::{Session, shown};
use crate::activity::Active;
use crate::catalog::Oid;
use crate::error::{Result, SqlError, state};
use crate::monitor::log::{Line, LogSettings};
use crate::monitor::pages::PageCounter;
use crate::monitor::sessions::Kind;
use crate::monitor::statements::{Kept, Planning, Run, Tally};
use crate::monitor::text::Shape;

/// A client's statement.
pub(crate) struct Asked<'a> {
    pub kind: &'a StatementKind,
    pub text: &'a str,
    /// Of one that is kept.
    pub kept: Option<&'a Kept>,
}

impl Asked<'_> {
    /// One that is not kept.
    pub fn once(statement: &Statement) -> Asked<'_> {
        Asked {
            kind: &statement.kind,
            text: &statement.text,
            kept: None,
        }
    }
}

/// Where a run is counted.
enum Place<'a> {
    Tally(&'a Arc<Tally>),
    Shape(Shape),
    Nowhere,
}

impl Place<'_> {
    fn id(&self) -> i64 {
        match self {
            Place::Tally(tally) => tally.shape.id,
            Place::Shape(shape) => shape.id,
            Place::Nowhere => 0,
        }
    }

    fn add(&self, info: &SessionInfo, user: Oid, run: &Run) {
        match self {
            Place::Tally(tally) => tally.add(user, run),
            Place::Shape(shape) => info.instance.monitor().statements.add(user, shape, run),
            Place::Nowhere => {}
        }
    }

    fn lasting(self) -> Lasting {
        match self {
            Place::Tally(tally) => Lasting::Tally(tally.clone()),
            Place::Shape(shape) => Lasting::Shape(shape),
            Place::Nowhere => Lasting::Nowhere,
        }
    }
}

enum Lasting {
    Tally(Arc<Tally>),
    Shape(Shape),
    Nowhere,
}

/// A statement that is not over when it returns. It is counted when this goes.
pub(crate) struct Measured {
    info: Arc<SessionInfo>,
    place: Lasting,
    user: Oid,
    run: Run,
    /// What the session had asked for when it began.
    pages: Pages,
    kind: Kind,
    /// It is its transaction.
    is_alone: bool,
    log: LogSettings,
    number: u32,
    text: Box<str>,
    failed: bool,
}

impl Measured {
    /// For how long it went on, and the rows that this gave.
    pub fn add(&mut self, nanos: u64, rows: usize) {
        self.run.nanos += nanos;
        self.run.rows += rows as u64;
    }

    /// Where pages are counted that it asks for.
    pub fn pages(&self) -> &PageCounter {
        &self.info.pages
    }

    /// It failed after all.
    pub fn fail(mut self, error: &SqlError) {
        self.failed = true;
        self.line().failed(error, self.log);
    }

    fn line(&self) -> Line<'_> {
        self.info.line(self.number, &self.text)
    }

    pub fn clock(&self) -> u64 {
        self.info.instance.engine().monotonic_nanos()
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let counters = &self.info.backend.counters;
        match (self.is_alone, self.failed) {
            (true, true) => counters.rollback(),
            (true, false) => counters.commit(),
            (false, _) => {}
        }
        if self.failed {
            return counters.error();
        }
        self.run.pages = self.info.pages.now() - self.pages;
        counters.statement(self.kind, self.run.nanos);
        self.line().ran(self.run.nanos, self.log);
        let place = match std::mem::replace(&mut self.place, Lasting::Nowhere) {
            Lasting::Tally(tally) => return tally.add(self.user, &self.run),
            Lasting::Shape(shape) => Place::Shape(shape),
            Lasting::Nowhere => return,
        };
        place.add(&self.info, self.user, &self.run);
    }
}

impl SessionInfo {
    fn line<'a>(&'a self, number: u32, text: &'a str) -> Line<'a> {
        Line {
            info: self,
            number,
            text,
        }
    }
}

/// A COPY whose data the client sends.
pub(super) struct Receiving {
    measured: Measured,
    since: u64,
}

impl Session {
    /// What every statement goes through, shown to others while it runs.
    pub(crate) fn run(
        &mut self,
        asked: Asked<'_>,
        body: impl FnOnce(&mut Session) -> Result<Outcome>,
    ) -> Result<Outcome> {
        let begun = self.instance.engine().monotonic_nanos();
        let of_settings = |s: &Settings| {
            let user = s.identity().current();
            (user, s.statement_timeout_ms(), s.log())
        };
        let (user, timeout_ms, log) = self.info.with_settings(of_settings);
        let place = self.place(&asked, user);
        let number = self.info.backend.run(asked.text, place.id());
        self.info.line(number, asked.text).begun(asked.kind, log);
        self.planning = Planning::default();
        let pages = self.info.pages.now();
        let (ran, here) = apart(|| self.run_statement(asked.kind, asked.text, timeout_ms, body));
        self.info.pages.add(here);
        let mut result = ran.map_err(|e| {
            let stopped = e.code == state::QUERY_CANCELED && self.is_terminated();
            if stopped { shown::terminated() } else { e }
        });
        let now = self.instance.engine().monotonic_nanos();
        let nanos = now.saturating_sub(begun);
        let executed = self.executed.take();
        let place = match &executed {
            Some((tally, _)) => Place::Tally(tally),
            None => place,
        };
        let mut run = Run {
            nanos: nanos.saturating_sub(self.planning.nanos),
            rows: 0,
            pages: self.info.pages.now() - pages,
            planning: std::mem::take(&mut self.planning),
        };
        // What was planned before is no part of its time.
        if let Some(kept) = asked.kept {
            run.planning.add(kept.take_planning());
        }
        if let Some((_, planning)) = &executed {
            run.planning.add(*planning);
        }
        let measured = |session: &Session, place: Place<'_>, run, is_alone| Measured {
            info: session.info.clone(),
            place: place.lasting(),
            user,
            run,
            pages,
            kind: Kind::of(asked.kind),
            is_alone,
            log,
            number,
            text: asked.text.into(),
            failed: false,
        };
        match &mut result {
            Ok(Outcome::Rows(rows)) if rows.is_stream() => {
                let status = self.txn.status();
                rows.active = Some(Active::new(self.info.clone(), status));
                let is_alone = !self.txn.in_block();
                rows.measured = Some(Box::new(measured(self, place, run, is_alone)));
            }
            // It goes on.
            Ok(Outcome::CopyIn { .. }) => {
                let measured = measured(self, place, run, false);
                self.receiving = Some(Receiving {
                    measured,
                    since: now,
                });
            }
            Ok(Outcome::CopyOut(out)) => {
                let is_alone = out.is_stream() && !self.txn.in_block();
                out.set_measured(Box::new(measured(self, place, run, is_alone)));
            }
            Ok(outcome) => {
                run.rows = rows_of(outcome);
                place.add(&self.info, user, &run);
                let counters = &self.info.backend.counters;
                counters.statement(Kind::of(asked.kind), run.nanos);
                self.info.line(number, asked.text).ran(run.nanos, log);
                self.info.rest_after(self.txn.status(), nanos);
            }
            Err(error) => {
                self.info.backend.counters.error();
                self.info.line(number, asked.text).failed(error, log);
                self.info.rest_after(self.txn.status(), nanos);
            }
        }
        result
    }

    /// The data of a COPY has ended, so well, or has failed.
    pub(crate) fn end_receiving(&mut self, ended: std::result::Result<u64, &SqlError>) {
        let Some(Receiving {
            mut measured,
            since,
        }) = self.receiving.take()
        else {
            return;
        };
        match ended {
            Ok(rows) => {
                let nanos = measured.clock().saturating_sub(since);
                measured.add(nanos, 0);
                measured.run.rows = rows;
            }
            Err(error) => measured.fail(error),
        }
    }

    /// A text that is no statement, or one that cannot be planned.
    pub(super) fn note_refused(&self, text: &str, error: &SqlError) {
        let log = self.info.with_settings(Settings::log);
        self.info.backend.counters.error();
        let number = self.info.backend.number();
        self.info.line(number, text).failed(error, log);
    }

    fn place<'a>(&self, asked: &Asked<'a>, user: Oid) -> Place<'a> {
        let statements = &self.instance.monitor().statements;
        if statements.most() == 0 || !is_counted(asked.kind) {
            return Place::Nowhere;
        }
        match asked.kept {
            Some(kept) => {
                Place::Tally(kept.tally(|| Tally::new(statements, user, Shape::of(asked.text))))
            }
            None => Place::Shape(Shape::of(asked.text)),
        }
    }

    /// EXECUTE runs a statement: what follows is its.
    pub(super) fn note_executed(&mut self, prepared: &Prepared) {
        let statements = &self.instance.monitor().statements;
        if statements.most() == 0 {
            return;
        }
        let user = self.info.with_settings(|s| s.identity().current());
        let shape = || Shape::of(&prepared.statement().text);
        let tally = prepared
            .kept
            .tally(|| Tally::new(statements, user, shape()));
        self.info.backend.identify(tally.shape.id);
        self.executed = Some((tally.clone(), prepared.kept.take_planning()));
    }

    /// Runs what plans a statement; the time is counted as such.
    pub(crate) fn planned<T>(&mut self, plan: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        let begun = self.instance.engine().monotonic_nanos();
        let planned = plan(self);
        let now = self.instance.engine().monotonic_nanos();
        self.planning.add(Planning {
            count: 1,
            nanos: now.saturating_sub(begun),
        });
        planned
    }
}

/// What others do on behalf of a statement is that statement's.
fn is_counted(kind: &StatementKind) -> bool {
    match kind {
        StatementKind::Empty => false,
        StatementKind::Sql(ast) => !matches!(
            ast.as_ref(),
            Ast::Prepare { .. } | Ast::Execute { .. } | Ast::Deallocate { .. }
        ),
        _ => true,
    }
}

/// The rows that a statement gave or changed.
fn rows_of(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Rows(rows) => rows.buffered(),
        Outcome::Command(CommandTag(tag)) => match tag.rsplit_once(' ') {
            Some((verb, rows)) if !matches!(verb, "MOVE" | "EXPORT") => rows.parse().unwrap_or(0),
            _ => 0,
        },
        _ => 0,
    }
}
