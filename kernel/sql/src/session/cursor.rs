//! Cursors: DECLARE, FETCH, MOVE and CLOSE.
//!
//! A cursor is the rows of a query and a place among them. The rows are those that the query saw when it was
//! declared, whatever its transaction writes after that; they are read as they are asked for. Rows that were
//! passed are kept WITH SCROLL only, in the memory of queries: a cursor without it goes forward only, where
//! PostgreSQL lets some go back. Rows that a FETCH gave count there until the client has read them.
//!
//! A cursor ends with its transaction, when that fails or goes back to a savepoint before it. WITH HOLD it stays
//! when the transaction commits, which reads what is left of it.
//!
//! Invariants:
//! 1. No row is skipped: after a FETCH or MOVE that failed, which may have lost rows, there is no other (55000),
//!    and COMMIT does not hold such a cursor.
//! 2. A transaction that failed holds nothing of cursors: those that ROLLBACK TO cannot bring back are gone.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::scalar::ScalarValue;
use sqlparser::ast::{self, CloseCursor, Ident};

use super::kept::{self, Memory};
use super::outcome::{CommandTag, Outcome, ResultColumn, Rows};
use super::{Session, done};
use crate::dml::LockingPlan;
use crate::dml::with;
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::pg_catalog::OpenCursor;
use crate::plan::query::PlannedQuery;
use crate::types::PgType;

/// FETCH or MOVE.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub cursor: Ident,
    pub direction: Direction,
    /// MOVE: rows are passed and not shown.
    pub moves: bool,
}

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// So many rows; `None` is all that are left. None at all is the row it is on.
    Forward(Option<u64>),
    Backward(Option<u64>),
    /// To the row of that number, from the last one if it is negative; 0 is before the first.
    Absolute(i64),
    /// To the row so many further on.
    Relative(i64),
}

pub(crate) struct Cursor {
    /// In `pg_cursors` as long as it is here.
    _shown: Arc<OpenCursor>,
    columns: Arc<[ResultColumn]>,
    /// What was not read yet.
    rows: Option<Rows>,
    /// Rows `first + 1 ..= read`, which were read and may be asked for.
    kept: Vec<RecordBatch>,
    first: u64,
    read: u64,
    /// 0 is before the first row, one more than there are is behind the last.
    place: u64,
    scroll: bool,
    hold: bool,
    failed: bool,
    /// It was declared by the transaction that is open.
    is_new: bool,
    /// Savepoints there were.
    savepoints: usize,
    memory: Memory,
}

/// What is left of a portal of the protocol.
pub struct LentRows {
    pub columns: Arc<[ResultColumn]>,
    /// The next rows, which were read already.
    pub next: Option<RecordBatch>,
    /// Those behind them.
    pub rows: Option<Rows>,
    /// How many came before.
    pub passed: u64,
    /// Savepoints there were when it was bound.
    pub savepoints: usize,
}

/// What a FETCH or MOVE passed.
struct Passed {
    count: u64,
    /// Its rows, if they are to be shown.
    rows: Vec<RecordBatch>,
    /// Those batches, and in them the rows, are to be shown the last first.
    is_backward: bool,
    /// What the cursor kept for them and does no more.
    memory: Memory,
}

/// DECLARE, with the query of its cursor.
pub(super) struct DeclarePlan {
    declare: ast::Declare,
    query: CursorQuery,
}

#[expect(
    clippy::large_enum_variant,
    reason = "made once per statement and moved, never stored in bulk"
)]
enum CursorQuery {
    Reads(PlannedQuery),
    Locks(LockingPlan),
}

impl DeclarePlan {
    pub fn params(&self) -> &[PgType] {
        match &self.query {
            CursorQuery::Reads(query) => &query.params,
            CursorQuery::Locks(query) => query.params(),
        }
    }
}

impl Cursor {
    /// Read until row `number` is kept. False if there is none.
    fn reach(&mut self, number: u64) -> Result<bool> {
        while self.read < number {
            let Some(rows) = &mut self.rows else {
                return Ok(false);
            };
            match rows.next_batch()? {
                None => self.rows = None,
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => {
                    let batch = kept::own(&batch)?;
                    self.memory.grow(batch.get_array_memory_size())?;
                    self.read += batch.num_rows() as u64;
                    self.kept.push(batch);
                }
            }
        }
        Ok(true)
    }

    /// How many rows there are.
    fn count(&mut self) -> Result<u64> {
        self.reach(u64::MAX)?;
        Ok(self.read)
    }

    /// Read all that is left.
    fn read_rest(&mut self) -> Result<()> {
        self.count().map(drop)
    }

    /// Nothing can be read any more.
    fn fail(&mut self) {
        self.failed = true;
        self.rows = None;
        self.kept = Vec::new();
        drop(self.memory.take());
    }

    /// Go to `place`. What cannot be asked for any more is let go; what that took is given.
    fn go(&mut self, place: u64) -> Memory {
        self.place = place;
        if self.scroll {
            return self.memory.split(0);
        }
        let mut passed = 0;
        let mut bytes = 0;
        for batch in &self.kept {
            let rows = batch.num_rows() as u64;
            if self.first + rows > place {
                break;
            }
            self.first += rows;
            passed += 1;
            bytes += batch.get_array_memory_size();
        }
        self.kept.drain(..passed);
        self.memory.split(bytes)
    }

    /// Rows of these numbers, which are kept.
    fn slices(&self, numbers: RangeInclusive<u64>) -> Vec<RecordBatch> {
        let (first, last) = numbers.into_inner();
        let mut slices = Vec::new();
        let mut before = self.first;
        for batch in &self.kept {
            let after = before + batch.num_rows() as u64;
            let from = first.max(before + 1);
            let to = last.min(after);
            if from <= to {
                let (offset, rows) = (from - before - 1, to - from + 1);
                slices.push(batch.slice(offset as usize, rows as usize));
            }
            before = after;
        }
        slices
    }

    fn check_scroll(&self) -> Result<()> {
        if self.scroll {
            return Ok(());
        }
        Err(SqlError::new(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "cursor can only scan forward",
        )
        .with_hint("Declare it with SCROLL option to enable backward scan."))
    }

    /// So many rows, and these to be shown.
    fn passed(&mut self, count: u64, rows: Vec<RecordBatch>) -> Passed {
        Passed {
            count,
            rows,
            is_backward: false,
            memory: self.memory.split(0),
        }
    }

    /// Go in a direction.
    fn fetch(&mut self, direction: Direction, show: bool) -> Result<Passed> {
        match direction {
            Direction::Forward(Some(0)) | Direction::Backward(Some(0)) | Direction::Relative(0) => {
                let is_on_row = self.place > 0 && self.reach(self.place)?;
                if !is_on_row {
                    return Ok(self.passed(0, Vec::new()));
                }
                if !show {
                    return Ok(self.passed(1, Vec::new()));
                }
                self.check_scroll()?;
                let row = self.slices(self.place..=self.place);
                Ok(self.passed(1, row))
            }
            Direction::Forward(count) => self.forward(count, show),
            Direction::Backward(count) => self.backward(count, show),
            Direction::Relative(by) => match by > 0 {
                true => self.one(self.place.saturating_add(by.unsigned_abs()), show),
                false => {
                    self.check_scroll()?;
                    self.one(self.place.saturating_sub(by.unsigned_abs()), show)
                }
            },
            Direction::Absolute(number) => {
                let number = match u64::try_from(number) {
                    Ok(number) => number,
                    Err(_) => {
                        self.check_scroll()?;
                        (self.count()? + 1).saturating_sub(number.unsigned_abs())
                    }
                };
                let is_behind = number > self.place || self.place == 0;
                if !is_behind {
                    self.check_scroll()?;
                }
                self.one(number, show)
            }
        }
    }

    /// To one row, or before or behind all.
    fn one(&mut self, number: u64, show: bool) -> Result<Passed> {
        if number == 0 {
            self.go(0);
            return Ok(self.passed(0, Vec::new()));
        }
        if !self.reach_over(number)? {
            self.go(self.read + 1);
            return Ok(self.passed(0, Vec::new()));
        }
        let rows = match show {
            true => self.slices(number..=number),
            false => Vec::new(),
        };
        let memory = self.go(number);
        Ok(Passed {
            memory,
            ..self.passed(1, rows)
        })
    }

    /// As [`Cursor::reach`], letting go what is passed.
    fn reach_over(&mut self, number: u64) -> Result<bool> {
        if !self.scroll && self.place < number {
            // What is read on the way to the row is not kept.
            while self.read < number && self.rows.is_some() {
                let next = self.read + 1;
                self.reach(next.min(number))?;
                let place = self.read.min(number - 1).max(self.place);
                self.go(place);
            }
        }
        self.reach(number)
    }

    fn forward(&mut self, count: Option<u64>, show: bool) -> Result<Passed> {
        let from = self.place + 1;
        let to = count.map_or(u64::MAX, |count| self.place.saturating_add(count));
        let reached = match show {
            true => self.reach(to)?,
            false => self.reach_over(to)?,
        };
        let last = to.min(self.read);
        let passed = (last + 1).saturating_sub(from);
        let rows = match show && passed > 0 {
            true => self.slices(from..=last),
            false => Vec::new(),
        };
        let memory = self.go(if reached { to } else { self.read + 1 });
        Ok(Passed {
            memory,
            ..self.passed(passed, rows)
        })
    }

    fn backward(&mut self, count: Option<u64>, show: bool) -> Result<Passed> {
        self.check_scroll()?;
        let to = count.map_or(0, |count| self.place.saturating_sub(count));
        let is_all = count.is_none_or(|count| count >= self.place);
        let from = self.place.saturating_sub(1);
        let to = if is_all { 0 } else { to };
        let first = to.max(1);
        let passed = (from + 1).saturating_sub(first);
        let mut rows = match show && passed > 0 {
            true => self.slices(first..=from),
            false => Vec::new(),
        };
        rows.reverse();
        self.go(to);
        Ok(Passed {
            is_backward: true,
            ..self.passed(passed, rows)
        })
    }
}

impl Session {
    pub(super) fn plan_declare(
        &mut self,
        stmts: &[ast::Declare],
        params: &[Option<PgType>],
        key_lock: bool,
    ) -> Result<DeclarePlan> {
        let ([declare], Some(query)) = (stmts, stmts.first().and_then(|s| s.for_query.as_ref()))
        else {
            return Err(SqlError::unsupported("this form of DECLARE"));
        };
        if has_into(query) {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                "SELECT ... INTO is not allowed here",
            ));
        }
        if with::writes(query) {
            return Err(SqlError::new(
                state::FEATURE_NOT_SUPPORTED,
                "DECLARE CURSOR must not contain data-modifying statements in WITH",
            ));
        }
        let (hold, scroll) = (declare.hold == Some(true), declare.scroll == Some(true));
        let query = match query.locks.is_empty() {
            true => CursorQuery::Reads(self.plan_query(query, params)?),
            false if hold || scroll => {
                let what = if hold { "WITH HOLD" } else { "SCROLL" };
                return Err(SqlError::unsupported(format!(
                    "DECLARE {what} … FOR UPDATE/SHARE"
                )));
            }
            false => CursorQuery::Locks(self.plan_locking(query, params, key_lock)?),
        };
        Ok(DeclarePlan {
            declare: declare.clone(),
            query,
        })
    }

    pub(super) fn declare_cursor(
        &mut self,
        plan: &DeclarePlan,
        text: &str,
        params: &[ScalarValue],
    ) -> Result<Outcome> {
        let declare = &plan.declare;
        let [name] = declare.names.as_slice() else {
            return Err(SqlError::unsupported("this form of DECLARE"));
        };
        let name = fold(name);
        let (hold, scroll) = (declare.hold == Some(true), declare.scroll == Some(true));
        if declare.binary == Some(true) {
            return Err(SqlError::unsupported("BINARY cursors"));
        }
        if !hold && !self.txn.in_block() {
            return Err(SqlError::new(
                state::NO_ACTIVE_SQL_TRANSACTION,
                "DECLARE CURSOR can only be used in transaction blocks",
            ));
        }
        if self.cursors.contains_key(&name) {
            return Err(SqlError::new(
                state::DUPLICATE_CURSOR,
                format!("cursor \"{name}\" already exists"),
            ));
        }
        let rows = match &plan.query {
            CursorQuery::Reads(query) => self.query_rows(query, params)?,
            CursorQuery::Locks(query) => match self.run_locking(query, params)? {
                Outcome::Rows(rows) => rows,
                _ => return Err(SqlError::internal("a query without rows")),
            },
        };
        let shown = Arc::new(OpenCursor {
            name: name.clone(),
            statement: text.to_owned(),
            is_holdable: hold,
            is_scrollable: scroll,
            created_micros: self.info.statement_start(),
        });
        self.info.show_cursor(&shown);
        let cursor = Cursor {
            _shown: shown,
            columns: rows.shared_columns(),
            rows: Some(rows),
            kept: Vec::new(),
            first: 0,
            read: 0,
            place: 0,
            scroll,
            hold,
            failed: false,
            is_new: true,
            savepoints: self.txn.savepoints(),
            memory: Memory::new(self.instance.engine().memory()),
        };
        self.cursors.insert(name, cursor);
        done("DECLARE CURSOR")
    }

    pub(super) fn fetch(&mut self, fetch: &Fetch) -> Result<Outcome> {
        let name = fold(&fetch.cursor);
        let cursor = self
            .cursors
            .get_mut(&name)
            .ok_or_else(|| no_cursor(&name))?;
        if cursor.failed {
            return Err(SqlError::new(
                state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("portal \"{name}\" cannot be run"),
            ));
        }
        let passed = match cursor.fetch(fetch.direction, !fetch.moves) {
            Ok(passed) => passed,
            Err(error) => {
                cursor.fail();
                return Err(error);
            }
        };
        if fetch.moves {
            let tag = format!("MOVE {}", passed.count);
            return Ok(Outcome::Command(CommandTag(tag)));
        }
        let columns = Arc::clone(&cursor.columns);
        let rows = match passed.is_backward {
            true => Rows::backward(columns, passed.rows),
            false => Rows::batches(columns, passed.rows),
        };
        let rows = rows.with_memory(passed.memory);
        Ok(Outcome::Rows(rows.with_verb("FETCH")))
    }

    pub(super) fn close_cursor(&mut self, which: &CloseCursor) -> Result<Outcome> {
        match which {
            CloseCursor::All => {
                self.cursors.clear();
                done("CLOSE CURSOR ALL")
            }
            CloseCursor::Specific { name } => {
                let name = fold(name);
                self.cursors.remove(&name).ok_or_else(|| no_cursor(&name))?;
                done("CLOSE CURSOR")
            }
        }
    }

    /// What FETCH from a cursor gives, if there is one of exactly that name.
    pub fn cursor_columns(&self, name: &str) -> Option<Arc<[ResultColumn]>> {
        let cursor = self.cursors.get(name)?;
        Some(Arc::clone(&cursor.columns))
    }

    /// Closes the cursor of exactly that name, if there is one.
    pub fn forget_cursor(&mut self, name: &str) {
        self.cursors.remove(name);
    }

    /// Makes a cursor of a portal of the protocol, which goes forward only and ends with its transaction.
    pub fn lend_cursor(&mut self, name: &str, statement: &str, lent: LentRows) -> Result<()> {
        let mut memory = Memory::new(self.instance.engine().memory());
        let (mut kept, mut read) = (Vec::new(), lent.passed);
        if let Some(batch) = lent.next.filter(|batch| batch.num_rows() > 0) {
            let batch = kept::own(&batch)?;
            memory.grow(batch.get_array_memory_size())?;
            read += batch.num_rows() as u64;
            kept.push(batch);
        }
        let shown = Arc::new(OpenCursor {
            name: name.to_owned(),
            statement: statement.to_owned(),
            is_holdable: false,
            is_scrollable: false,
            created_micros: self.now_micros(),
        });
        self.info.show_cursor(&shown);
        let cursor = Cursor {
            _shown: shown,
            columns: lent.columns,
            rows: lent.rows,
            kept,
            first: lent.passed,
            read,
            place: lent.passed,
            scroll: false,
            hold: false,
            failed: false,
            is_new: true,
            savepoints: lent.savepoints.min(self.txn.savepoints()),
            memory,
        };
        self.cursors.insert(name.to_owned(), cursor);
        Ok(())
    }

    /// How many savepoints the transaction has.
    pub fn savepoints(&self) -> usize {
        self.txn.savepoints()
    }

    /// Before its transaction ends: what is held is read.
    pub(super) fn hold_cursors(&mut self) -> Result<()> {
        for cursor in self.cursors.values_mut() {
            if cursor.hold && cursor.is_new && !cursor.failed {
                cursor.read_rest()?;
            }
        }
        Ok(())
    }

    /// The transaction has ended.
    pub(super) fn end_cursors(&mut self, committed: bool) {
        self.cursors
            .retain(|_, cursor| cursor.hold && (!cursor.is_new || (committed && !cursor.failed)));
        for cursor in self.cursors.values_mut() {
            (cursor.is_new, cursor.savepoints) = (false, 0);
        }
    }

    /// The transaction has failed, if it has savepoints what came after the last one.
    pub(super) fn fail_cursors(&mut self) {
        match self.txn.savepoints().checked_sub(1) {
            None => self.end_cursors(false),
            Some(last) => self.cursors_back_to(last),
        }
    }

    /// The transaction goes back to the savepoint of that number, counted from 0.
    pub(super) fn cursors_back_to(&mut self, savepoint: usize) {
        self.cursors
            .retain(|_, cursor| cursor.savepoints <= savepoint);
    }

    /// A savepoint is forgotten, and what was declared after it is as if it was before.
    pub(super) fn cursors_without(&mut self, savepoint: usize) {
        for cursor in self.cursors.values_mut() {
            cursor.savepoints = cursor.savepoints.min(savepoint);
        }
    }
}

pub(super) fn has_into(query: &ast::Query) -> bool {
    matches!(query.body.as_ref(), ast::SetExpr::Select(s) if s.into.is_some())
}

fn no_cursor(name: &str) -> SqlError {
    SqlError::new(
        state::INVALID_CURSOR_NAME,
        format!("cursor \"{name}\" does not exist"),
    )
}
