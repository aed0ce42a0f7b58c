//! Row locks, and SELECT … FOR UPDATE and its weaker forms.

use std::sync::Arc;

use arrow::array::{Array, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::record_batch::RecordBatch;
use datafusion::scalar::ScalarValue;
use heliosdb_storage::ids::{CollectionId, RowId};
use heliosdb_storage::{
    Error, LockWait, ReadView, RowLock, RowLockMode, RowReader, TableLockMode, Transaction,
};
use sqlparser::ast::{self, Expr};

use super::insert::changed_meanwhile;
use crate::error::{Result, SqlError, state};
use crate::plan::query::PlannedQuery;
use crate::plan::state::Recheck;
use crate::session::Session;
use crate::session::outcome::{Outcome, ResultColumn, Rows};
use crate::session::planning::LazyState;
use crate::types::PgType;

/// How rows stood when their locks were had. Rows that were deleted are in neither list.
pub(crate) struct LockedRows {
    /// Places of rows that are as the snapshot has them.
    pub unchanged: Vec<u64>,
    /// Rows with a newer version.
    pub changed: Vec<RowId>,
}

pub(crate) fn lock_rows(
    transaction: &mut Transaction,
    table: CollectionId,
    rows: &[RowId],
    mode: RowLockMode,
    wait: LockWait,
) -> Result<LockedRows> {
    let mut locked = LockedRows {
        unchanged: Vec::with_capacity(rows.len()),
        changed: Vec::new(),
    };
    for (place, row) in (0u64..).zip(rows) {
        match transaction.lock_row(table, *row, mode, wait)? {
            RowLock::Held => locked.unchanged.push(place),
            RowLock::Changed => locked.changed.push(*row),
            RowLock::Gone => {}
        }
    }
    Ok(locked)
}

/// What to do about a row that someone else holds. Of several clauses for a table the last of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Busy {
    Wait,
    Skip,
    Fail,
}

/// A table whose rows are locked.
#[derive(Clone, Debug)]
pub(super) struct LockedTable {
    pub collection: CollectionId,
    pub table: u32,
    pub name: String,
    pub mode: RowLockMode,
    pub busy: Busy,
    /// The column of the query that has its row ids.
    pub place: usize,
    /// Reads what a lock FOR KEY SHARE protects.
    pub key: Option<Arc<RowReader>>,
}

impl LockedTable {
    fn has_same_key(&self, row: RowId, one: &ReadView, other: &ReadView) -> Result<bool> {
        match &self.key {
            None => Ok(true),
            Some(key) => Ok(one.read(key, &[row])? == other.read(key, &[row])?),
        }
    }
}

/// A SELECT that locks the rows it gives.
#[derive(Clone, Debug)]
pub(crate) struct LockingPlan {
    pub(super) locked: Vec<LockedTable>,
    /// The tables of the columns that have row ids.
    pub(super) tables: Vec<u32>,
    /// Row ids first, then the select list; without LIMIT and OFFSET, which count locked rows.
    pub(super) query: PlannedQuery,
    pub columns: Arc<[ResultColumn]>,
    pub(super) limit: Option<Expr>,
    pub(super) offset: Option<Expr>,
}

impl LockingPlan {
    pub fn params(&self) -> &[PgType] {
        &self.query.params
    }

    /// What finds the rows.
    pub fn query(&self) -> &PlannedQuery {
        &self.query
    }
}

impl Session {
    pub(crate) fn select_for_update(
        &mut self,
        query: &ast::Query,
        params: &[ScalarValue],
        key_lock: bool,
    ) -> Result<Outcome> {
        let plan = self.planned(|s| s.plan_locking(query, &[], key_lock))?;
        self.run_locking(&plan, params)
    }

    pub(crate) fn run_locking(
        &mut self,
        plan: &LockingPlan,
        params: &[ScalarValue],
    ) -> Result<Outcome> {
        self.check_writable("SELECT FOR UPDATE")?;
        for locked in &plan.locked {
            if self.lock_table(locked.collection, TableLockMode::RowShare)? {
                return Err(changed_meanwhile(&locked.name));
            }
        }
        let limit = count(plan.limit.as_ref(), params)?.unwrap_or(usize::MAX);
        let mut skip = count(plan.offset.as_ref(), params)?.unwrap_or(0);
        let (view, _) = self.write_view()?;
        let mut out: Vec<RecordBatch> = Vec::new();
        let mut given = 0;
        self.with_state(|session, state| {
            let handle = session.instance.handle().clone();
            let interrupt = session.interrupt.clone();
            let context = session.statement_context(view.clone());
            let mut rows = plan
                .query
                .start(&session.instance, state, context, params)?;
            while given < limit {
                let Some(batch) = rows.next_batch(&handle, Some(&interrupt))? else {
                    break;
                };
                for row in 0..batch.num_rows() {
                    if given == limit {
                        break;
                    }
                    let one = batch.slice(row, 1);
                    let Some(one) = plan.lock_one(session, state, &view, one, params)? else {
                        continue;
                    };
                    if skip > 0 {
                        skip -= 1;
                        continue;
                    }
                    given += 1;
                    let shown: Vec<usize> = (plan.tables.len()..one.num_columns()).collect();
                    out.push(one.project(&shown)?);
                }
            }
            Ok(())
        })?;
        let batches = match out.first() {
            None => Vec::new(),
            Some(first) => vec![concat_batches(&first.schema(), &out)?],
        };
        Ok(Outcome::Rows(Rows::batches(plan.columns.clone(), batches)))
    }
}

impl LockingPlan {
    /// Locks what the row is of; the row as it now is, or `None` when it no longer qualifies or is skipped.
    fn lock_one(
        &self,
        session: &mut Session,
        state: &mut LazyState,
        view: &ReadView,
        row: RecordBatch,
        params: &[ScalarValue],
    ) -> Result<Option<RecordBatch>> {
        let mut changed = false;
        for table in &self.locked {
            let wait = match table.busy {
                Busy::Wait => session.lock_wait(),
                Busy::Fail | Busy::Skip => LockWait::NoWait,
            };
            let Some(id) = row_id(&row, table.place, 0)? else {
                return Err(SqlError::internal("a row to lock that is none"));
            };
            let transaction = session.transaction()?;
            let locked = lock_rows(transaction, table.collection, &[id], table.mode, wait);
            let locked = match locked {
                Err(e) if e.code == state::LOCK_NOT_AVAILABLE && table.busy == Busy::Skip => {
                    return Ok(None);
                }
                Err(e) if e.code == state::LOCK_NOT_AVAILABLE && table.busy == Busy::Fail => {
                    return Err(SqlError::new(
                        state::LOCK_NOT_AVAILABLE,
                        format!(
                            "could not obtain lock on row in relation \"{}\"",
                            table.name
                        ),
                    ));
                }
                other => other?,
            };
            match (locked.unchanged.is_empty(), locked.changed.is_empty()) {
                (false, _) => {}
                // A snapshot that is kept shows the row as it was, if its key still is what was locked.
                (true, false) if session.transaction()?.isolation().keeps_snapshot() => {
                    let newest = session.transaction()?.latest_view();
                    if !table.has_same_key(id, view, &newest)? {
                        return Err(Error::SerializationFailure.into());
                    }
                }
                (true, false) => changed = true,
                (true, true) => return Ok(None),
            }
        }
        match changed {
            false => Ok(Some(row)),
            true => self.look_again(session, state, view, &row, params),
        }
    }

    /// The row as it is made of the newest versions of what is locked, and of what it was made of for the rest.
    fn look_again(
        &self,
        session: &mut Session,
        state: &mut LazyState,
        view: &ReadView,
        row: &RecordBatch,
        params: &[ScalarValue],
    ) -> Result<Option<RecordBatch>> {
        let wanted: Vec<Option<RowId>> = (0..self.tables.len())
            .map(|place| row_id(row, place, 0))
            .collect::<Result<_>>()?;
        let rows_of = |table: u32| -> Arc<[RowId]> {
            let of = self.tables.iter().zip(&wanted);
            of.filter(|(of, _)| **of == table)
                .filter_map(|(_, id)| *id)
                .collect()
        };
        let locked = self.locked.iter().map(|locked| locked.table);
        let mut context = session.statement_context(view.clone());
        context.recheck = Some(Recheck {
            view: session.transaction()?.latest_view(),
            rows: locked.map(|table| (table, rows_of(table))).collect(),
        });
        let mut rows = self
            .query
            .start(&session.instance, state, context, params)?;
        let handle = session.instance.handle().clone();
        while let Some(batch) = rows.next_batch(&handle, Some(&session.interrupt))? {
            for at in 0..batch.num_rows() {
                let mut same = true;
                for (place, wanted) in wanted.iter().enumerate() {
                    same &= row_id(&batch, place, at)? == *wanted;
                }
                if same {
                    let at = UInt64Array::from(vec![at as u64]);
                    return Ok(Some(take_record_batch(&batch, &at)?));
                }
            }
        }
        Ok(None)
    }
}

/// A row id; `None` where an outer join has no row.
fn row_id(batch: &RecordBatch, place: usize, row: usize) -> Result<Option<RowId>> {
    let ids = batch.columns().get(place);
    let ids = ids.and_then(|ids| ids.as_any().downcast_ref::<UInt64Array>());
    let ids = ids.ok_or_else(|| SqlError::internal("a query to lock without row ids"))?;
    Ok((!ids.is_null(row)).then(|| RowId(ids.value(row))))
}

/// The number of a LIMIT or OFFSET.
fn count(expr: Option<&Expr>, params: &[ScalarValue]) -> Result<Option<usize>> {
    let Some(expr) = expr else { return Ok(None) };
    let n = if let Some(n) = super::assign::parameter(expr) {
        match params
            .get(n - 1)
            .map(|p| p.cast_to(&arrow::datatypes::DataType::Int64))
        {
            Some(Ok(ScalarValue::Int64(Some(n)))) => n,
            Some(Ok(_)) => return Ok(None),
            _ => return Err(SqlError::unsupported("this LIMIT with FOR UPDATE/SHARE")),
        }
    } else {
        match expr {
            Expr::Value(v) => match &v.value {
                ast::Value::Number(n, _) => n
                    .parse()
                    .map_err(|_| SqlError::unsupported("this LIMIT with FOR UPDATE/SHARE"))?,
                ast::Value::Null => return Ok(None),
                _ => return Err(SqlError::unsupported("this LIMIT with FOR UPDATE/SHARE")),
            },
            _ => return Err(SqlError::unsupported("this LIMIT with FOR UPDATE/SHARE")),
        }
    };
    usize::try_from(n).map(Some).map_err(|_| {
        SqlError::new(
            state::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE,
            "LIMIT must not be negative",
        )
    })
}
