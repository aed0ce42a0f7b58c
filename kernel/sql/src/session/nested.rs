//! Statements inside a statement: what a plugin runs while one of its parts is running.
//!
//! A *guest* is a session that has another one's role, settings and transaction, lent for one call of
//! a plugin. A *reader* has only a view, for functions that run inside a query, on any thread.
//!
//! Invariants:
//! 1. While a transaction is lent the lender has none: it waits for the plugin's call to return, and
//!    then has it back, however the call ended.
//! 2. A guest never ends the transaction. Transaction control is refused, and a statement that fails
//!    falls back to where it began.
//! 3. A reader writes nothing and locks nothing.
//! 4. A guest's query sees what is committed when it starts, under REPEATABLE READ too, and leaves the
//!    lender's snapshot as it was: a plugin that looks whether rows match what it is about to write
//!    has to see every row that the commit will meet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use heliosdb_storage::{Interrupt, ReadView};
use sqlparser::ast::Statement as Ast;

use super::info::SessionInfo;
use super::kept::KeptRows;
use super::outcome::{Outcome, ResultColumn, Value};
use super::statement::{Statement, StatementKind, parse_one};
use super::transaction::TransactionState;
use super::upkeep::Command;
use super::{Session, depth, dispatch};
use crate::authors::Author;
use crate::dml::with;
use crate::error::{Result, SqlError, state};
use crate::monitor::pages::PageCounter;
use crate::plan::query::PlannedQuery;
use crate::types::PgType;
use datafusion::scalar::ScalarValue;

/// Statements inside statements inside statements: a plugin whose constraint writes a table with the
/// same constraint would go on for ever.
const NESTING_MAX: usize = 16;

/// The same for routines, which may well call themselves.
const ROUTINES_MAX: usize = 128;

/// Who runs a statement inside a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Host {
    Plugin,
    Routine,
}

/// Stack that a nested statement can count on.
pub(crate) const STACK_BYTES_MIN: usize = 4 << 20;

/// The whole answer of a nested statement.
#[derive(Debug)]
pub(crate) struct NestedResult {
    pub columns: Vec<ResultColumn>,
    pub rows: KeptRows,
    pub tag: String,
}

impl Session {
    /// A guest with this session's transaction. It has to be given back to [`Session::take_back`].
    pub(crate) fn lend(&mut self) -> Result<Session> {
        self.lend_to(Host::Plugin)
    }

    fn lend_to(&mut self, host: Host) -> Result<Session> {
        // Begun by the lender, whose settings say how.
        self.transaction()?;
        let (info, interrupt) = (self.info.clone(), self.interrupt.clone());
        let mut guest = Session::nested(info, interrupt, self.nesting + 1, host)?;
        guest.txn = self.txn.lend();
        std::mem::swap(&mut guest.targets, &mut self.targets);
        Ok(guest)
    }

    /// Reads rows while the routines that they call have the transaction.
    pub(crate) fn lending<T>(&mut self, read: impl FnOnce() -> Result<T>) -> Result<T> {
        let guest = self.lend_to(Host::Routine)?;
        let before = self.info.lent().replace(Some(Box::new(guest)));
        let result = read();
        if let Some(guest) = self.info.lent().replace(before) {
            self.take_back(*guest);
        }
        result
    }

    /// The end of what [`Session::lend`] began.
    pub(crate) fn take_back(&mut self, mut guest: Session) {
        self.txn.take_back(std::mem::take(&mut guest.txn));
        self.notices.append(&mut guest.notices);
        std::mem::swap(&mut guest.targets, &mut self.targets);
    }

    /// Room for rows.
    pub(crate) fn keep_rows(&self) -> KeptRows {
        KeptRows::new(self.instance.engine().memory())
    }

    /// A session that reads one view.
    pub(crate) fn reader(
        info: Arc<SessionInfo>,
        interrupt: Arc<Interrupt>,
        view: ReadView,
        nesting: usize,
    ) -> Result<Session> {
        let mut session = Session::nested(info, interrupt, nesting + 1, Host::Plugin)?;
        session.reader = Some(view);
        Ok(session)
    }

    /// The same for a routine.
    pub(crate) fn routine_reader(
        info: Arc<SessionInfo>,
        interrupt: Arc<Interrupt>,
        view: ReadView,
        nesting: usize,
    ) -> Result<Session> {
        let mut session = Session::nested(info, interrupt, nesting + 1, Host::Routine)?;
        session.reader = Some(view);
        Ok(session)
    }

    fn nested(
        info: Arc<SessionInfo>,
        interrupt: Arc<Interrupt>,
        nesting: usize,
        host: Host,
    ) -> Result<Session> {
        let (max, who) = match host {
            Host::Plugin => (NESTING_MAX, "Plugins"),
            Host::Routine => (ROUTINES_MAX, "Functions"),
        };
        if nesting > max {
            return Err(
                SqlError::new(state::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
                    .with_detail(format!(
                        "{who} ran statements inside statements {max} deep."
                    )),
            );
        }
        Ok(Session {
            instance: info.instance.clone(),
            info,
            interrupt,
            txn: TransactionState::default(),
            prepared: Default::default(),
            cursors: BTreeMap::new(),
            known: Default::default(),
            copy_in: None,
            targets: Default::default(),
            catalog_since: None,
            notices: Vec::new(),
            reader: None,
            home_branch: None,
            returned: Vec::new(),
            watch: None,
            told: None,
            rows_failed: Arc::new(AtomicBool::new(false)),
            timer: None,
            faults: Default::default(),
            planning: Default::default(),
            executed: None,
            receiving: None,
            author: Author::default(),
            nesting,
        })
    }

    /// Runs one statement inside the running one and reads its whole answer. What a failed one wrote
    /// is undone, so that a plugin may go on after an error.
    pub(crate) fn run_nested(
        &mut self,
        sql: &str,
        params: &[Option<&str>],
    ) -> Result<NestedResult> {
        let statement = parse_one(sql, self.instance.syntax())?;
        check_nestable(&statement)?;
        let params: Vec<Value> = params
            .iter()
            .map(|p| p.map_or(Value::Null, |text| Value::Text(text.to_owned())))
            .collect();
        let mark = self.transaction()?.savepoint();
        let effects = self.info.effects();
        let only_reads = matches!(statement.ast(), Some(Ast::Query(query)) if query.locks.is_empty() && !with::writes(query));
        let snapshot = match only_reads {
            true => Some(self.transaction()?.look_at_latest()),
            false => None,
        };
        let pins = self.info.pins_asked().len();
        // The statement that is running may still roll back.
        let in_block = self.info.set_in_block(true);
        let result = with_room(&self.info.pages.clone(), || {
            depth::with_stack(statement.depth, || {
                let outcome = self.run_once(&statement, &params)?;
                read_whole(outcome, self.keep_rows())
            })
        });
        self.info.set_in_block(in_block);
        let transaction = self.transaction()?;
        if let Some(snapshot) = snapshot {
            transaction.set_snapshot(snapshot);
        }
        if result.is_err() {
            transaction.rollback_to(mark);
            self.info.effects_back_to(effects);
            self.info.pins_asked().truncate(pins);
            // The catalog is again what it was.
            self.write_view()?;
        }
        result
    }

    /// Runs a query over the view of a reader (invariant 3).
    pub(crate) fn read_nested(
        &mut self,
        sql: &str,
        params: &[Option<&str>],
    ) -> Result<NestedResult> {
        let statement = parse_one(sql, self.instance.syntax())?;
        let query = match statement.ast() {
            Some(Ast::Query(query)) if query.locks.is_empty() && !with::writes(query) => query,
            _ => {
                return Err(SqlError::new(
                    state::READ_ONLY_SQL_TRANSACTION,
                    "a function in a query can only run SELECT",
                ));
            }
        };
        with_room(&self.info.pages.clone(), || {
            depth::with_stack(statement.depth, || {
                let planned = self.plan_query(query, &[])?;
                if planned.uses.writes {
                    return Err(SqlError::new(
                        state::READ_ONLY_SQL_TRANSACTION,
                        "a function in a query cannot run one that writes",
                    ));
                }
                let params: Vec<Value> = params
                    .iter()
                    .map(|p| p.map_or(Value::Null, |text| Value::Text(text.to_owned())))
                    .collect();
                let params = self.bind(&planned.params, &params)?;
                let outcome = self.run_query(&planned, &params)?;
                read_whole(outcome, self.keep_rows())
            })
        })
    }
}

/// For the statements of routines.
impl Session {
    /// Runs one of a routine's statements, with values of its parameters, in the transaction that was lent.
    pub(crate) fn run_in_function(
        &mut self,
        statement: &Statement,
        types: &[PgType],
        values: &[ScalarValue],
    ) -> Result<KeptRows> {
        let in_block = self.info.set_in_block(true);
        let result = with_room(&self.info.pages.clone(), || {
            depth::with_stack(statement.depth, || {
                let types: Vec<_> = types.iter().cloned().map(Some).collect();
                let values: Vec<_> = values.iter().cloned().map(Value::Typed).collect();
                let outcome = self.run_typed(statement, &types, &values)?;
                read_whole(outcome, self.keep_rows())
            })
        });
        self.info.set_in_block(in_block);
        Ok(result?.rows)
    }

    /// Runs a query of a routine that reads: for all rows, or until there is one.
    pub(crate) fn read_in_function(
        &mut self,
        planned: &PlannedQuery,
        values: &[ScalarValue],
        all: bool,
    ) -> Result<KeptRows> {
        with_room(&self.info.pages.clone(), || {
            let values: Vec<_> = values.iter().cloned().map(Value::Typed).collect();
            let params = self.bind(
                &planned.params,
                &values[..planned.params.len().min(values.len())],
            )?;
            let mut rows = self.query_rows(planned, &params)?;
            let mut kept = self.keep_rows();
            while let Some(batch) = rows.next_batch()? {
                let is_enough = !all && batch.num_rows() > 0;
                kept.push(batch)?;
                if is_enough {
                    break;
                }
            }
            Ok(kept)
        })
    }

    /// The types of the columns that a statement of a routine gives; `None` if it gives none.
    pub(crate) fn columns_in_function(
        &mut self,
        statement: &Statement,
        types: &[Option<PgType>],
    ) -> Result<Option<Vec<PgType>>> {
        let columns = self.planned_columns(statement, types)?;
        Ok(columns.map(|columns| columns.iter().map(|c| c.ty.clone()).collect()))
    }
}

/// On a stack that has room, with the pages counted that it asks for: it may be on another thread than the
/// statement that it is a part of.
fn with_room<T>(pages: &PageCounter, run: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK_BYTES_MIN, STACK_BYTES_MIN * 2, || pages.count(run))
}

/// Refuses what has no place inside another statement.
fn check_nestable(statement: &Statement) -> Result<()> {
    let refused = match &statement.kind {
        kind if dispatch::is_transaction_control(kind) => "transaction control",
        StatementKind::Checkpoint => "CHECKPOINT",
        StatementKind::Upkeep(upkeep) if upkeep.command == Command::Vacuum => "VACUUM",
        StatementKind::Export(_) => "EXPORT DATABASE",
        StatementKind::Backup(_) => "BACKUP DATABASE",
        StatementKind::ArchiveLog => "ARCHIVE LOG",
        StatementKind::Fetch(_) => "a cursor",
        kind => match kind.ast() {
            Some(Ast::Copy { .. }) => "COPY",
            Some(Ast::Prepare { .. } | Ast::Execute { .. } | Ast::Deallocate { .. }) => {
                "a prepared statement"
            }
            Some(Ast::Declare { .. } | Ast::Close { .. }) => "a cursor",
            Some(Ast::Discard { .. }) => "DISCARD",
            _ => return Ok(()),
        },
    };
    Err(SqlError::unsupported(format!(
        "{refused} inside a plugin's statement"
    )))
}

fn read_whole(outcome: Outcome, mut kept: KeptRows) -> Result<NestedResult> {
    let (columns, tag) = match outcome {
        Outcome::Rows(mut rows) => {
            let columns = rows.columns().to_vec();
            let mut n = 0;
            while let Some(batch) = rows.next_batch()? {
                n += batch.num_rows() as u64;
                kept.push(batch)?;
            }
            (columns, rows.tag(n).0)
        }
        Outcome::Command(tag) => (Vec::new(), tag.0),
        Outcome::Empty => (Vec::new(), String::new()),
        Outcome::CopyIn { .. } | Outcome::CopyOut(_) => {
            return Err(SqlError::internal("a nested COPY"));
        }
    };
    Ok(NestedResult {
        columns,
        rows: kept,
        tag,
    })
}
