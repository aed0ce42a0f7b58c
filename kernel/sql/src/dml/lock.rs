//! Row locks, and SELECT … FOR UPDATE and its weaker forms.

use std::sync::Arc;

use arrow::array::UInt64Array;
use arrow::compute::{concat_batches, take_record_batch};
use arrow::record_batch::RecordBatch;
use datafusion::scalar::ScalarValue;
use heliosdb_storage::ids::{CollectionId, RowId};
use heliosdb_storage::{LockWait, ReadView, RowLock, RowLockMode, TableLockMode, Transaction};
use sqlparser::ast::{self, Expr, SetExpr};

use super::insert::changed_meanwhile;
use super::update::{row_id_item, row_ids, target_factor};
use crate::catalog::Relation;
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::plan::context::Target;
use crate::plan::query::{self, PlannedQuery};
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

/// What to do about a row that someone else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Busy {
    Wait,
    Fail,
    Skip,
}

/// A SELECT that locks the rows it gives.
#[derive(Clone, Debug)]
pub(crate) struct LockingPlan {
    collection: CollectionId,
    table: u32,
    name: String,
    mode: RowLockMode,
    busy: Busy,
    /// `_rowid` first, then the select list; without LIMIT and OFFSET, which count locked rows.
    query: PlannedQuery,
    pub columns: Arc<[ResultColumn]>,
    limit: Option<Expr>,
    offset: Option<Expr>,
}

impl LockingPlan {
    pub fn params(&self) -> &[PgType] {
        &self.query.params
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

    pub(crate) fn plan_locking(
        &mut self,
        query: &ast::Query,
        params: &[Option<PgType>],
        key_lock: bool,
    ) -> Result<LockingPlan> {
        let [lock] = query.locks.as_slice() else {
            return Err(SqlError::unsupported(
                "more than one FOR UPDATE/SHARE clause",
            ));
        };
        let mode = match (lock.lock_type, key_lock) {
            (ast::LockType::Update, false) => RowLockMode::Update,
            (ast::LockType::Update, true) => RowLockMode::NoKeyUpdate,
            (ast::LockType::Share, false) => RowLockMode::Share,
            (ast::LockType::Share, true) => RowLockMode::KeyShare,
        };
        let busy = match lock.nonblock {
            None => Busy::Wait,
            Some(ast::NonBlock::Nowait) => Busy::Fail,
            Some(ast::NonBlock::SkipLocked) => Busy::Skip,
        };
        let mut query = query.clone();
        query.locks.clear();
        let unlocked = query.clone();
        let with = query.with.clone();
        let SetExpr::Select(select) = query.body.as_mut() else {
            return Err(not_allowed("UNION/INTERSECT/EXCEPT"));
        };
        if select.distinct.is_some() {
            return Err(not_allowed("DISTINCT clause"));
        }
        let grouped =
            !matches!(&select.group_by, ast::GroupByExpr::Expressions(e, _) if e.is_empty());
        if grouped || select.having.is_some() {
            return Err(not_allowed("GROUP BY clause"));
        }
        let [from] = select.from.as_mut_slice() else {
            return Err(SqlError::unsupported("FOR UPDATE/SHARE of several tables"));
        };
        let ast::TableFactor::Table {
            name,
            alias,
            args: None,
            version,
            ..
        } = &from.relation
        else {
            return Err(SqlError::unsupported("FOR UPDATE/SHARE of a subquery"));
        };
        if version.is_some() {
            return Err(not_allowed("AS OF"));
        }
        if !from.joins.is_empty() {
            return Err(SqlError::unsupported("FOR UPDATE/SHARE of a join"));
        }
        // The name is that query's, and no table's.
        if let [name] = crate::names::parts(name)?.as_slice()
            && let Some(with) = &with
            && with
                .cte_tables
                .iter()
                .any(|cte| fold(&cte.alias.name) == *name)
        {
            return Err(SqlError::unsupported("FOR UPDATE/SHARE of a WITH query"));
        }
        let (_, catalog) = self.read_view()?;
        let table = match self.relation(&catalog, name)? {
            Relation::Table(t) => t,
            other => {
                return Err(SqlError::unsupported(format!(
                    "FOR UPDATE/SHARE of {} \"{}\"",
                    other.kind(),
                    other.name()
                )));
            }
        };
        self.check_locking(&catalog, &table, &unlocked)?;
        let alias = alias
            .as_ref()
            .map_or_else(|| table.name.clone(), |a| fold(&a.name));
        if let Some(of) = &lock.of
            && crate::names::parts(of)? != [alias.clone()]
        {
            return Err(SqlError::new(
                state::UNDEFINED_TABLE,
                format!("relation \"{of}\" in FOR UPDATE clause not found in FROM clause"),
            ));
        }
        *from = target_factor(&catalog, &table, &alias, Target::Lock);
        // `*` must not show the row id.
        let columns: Vec<ast::SelectItem> = table
            .live_columns()
            .map(|(_, c)| ast::SelectItem::UnnamedExpr(super::update::column_expr(&alias, &c.name)))
            .collect();
        let mut items = vec![row_id_item(&alias)];
        for item in std::mem::take(&mut select.projection) {
            match item {
                ast::SelectItem::Wildcard(_) | ast::SelectItem::QualifiedWildcard(..) => {
                    items.extend(columns.iter().cloned());
                }
                item => items.push(item),
            }
        }
        select.projection = items;
        crate::semantics::fetch_to_limit(&mut query)?;
        let (limit, offset) = match query.limit_clause.take() {
            None => (None, None),
            Some(ast::LimitClause::LimitOffset { limit, offset, .. }) => {
                (limit, offset.map(|o| o.value))
            }
            Some(ast::LimitClause::OffsetCommaLimit { offset, limit }) => {
                (Some(limit), Some(offset))
            }
        };
        let mut types = params.to_vec();
        for e in [&limit, &offset].into_iter().flatten() {
            super::assign::infer_parameter(&mut types, e, &PgType::Int8);
        }
        let planned = self.with_state(|session, state| {
            query::plan(state, &catalog, &session.info, query, &types)
        })?;
        Ok(LockingPlan {
            collection: table.collection_id(),
            table: table.oid,
            name: table.name.clone(),
            mode,
            busy,
            columns: planned.columns[1..].into(),
            query: planned,
            limit,
            offset,
        })
    }

    pub(crate) fn run_locking(
        &mut self,
        plan: &LockingPlan,
        params: &[ScalarValue],
    ) -> Result<Outcome> {
        self.check_writable("SELECT FOR UPDATE")?;
        if self.lock_table(plan.collection, TableLockMode::RowShare)? {
            return Err(changed_meanwhile(&plan.name));
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
                    let shown: Vec<usize> = (1..one.num_columns()).collect();
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
    /// Locks the row; the row as it now is, or `None` when it no longer qualifies or is skipped.
    fn lock_one(
        &self,
        session: &mut Session,
        state: &mut LazyState,
        view: &ReadView,
        row: RecordBatch,
        params: &[ScalarValue],
    ) -> Result<Option<RecordBatch>> {
        let wait = match self.busy {
            Busy::Wait => session.lock_wait(),
            Busy::Fail | Busy::Skip => LockWait::NoWait,
        };
        let ids = row_ids(&row)?;
        let transaction = session.transaction()?;
        let locked = match lock_rows(transaction, self.collection, &ids, self.mode, wait) {
            Err(e) if e.code == state::LOCK_NOT_AVAILABLE && self.busy == Busy::Skip => {
                return Ok(None);
            }
            Err(e) if e.code == state::LOCK_NOT_AVAILABLE && self.busy == Busy::Fail => {
                return Err(SqlError::new(
                    state::LOCK_NOT_AVAILABLE,
                    format!("could not obtain lock on row in relation \"{}\"", self.name),
                ));
            }
            other => other?,
        };
        if !locked.unchanged.is_empty() {
            return Ok(Some(row));
        }
        if locked.changed.is_empty() {
            return Ok(None);
        }
        let latest = session.transaction()?.latest_view();
        let mut context = session.statement_context(view.clone());
        let rows: Arc<[RowId]> = Arc::from(locked.changed);
        context.recheck = Some(Recheck {
            view: latest,
            rows: [(self.table, rows)].into_iter().collect(),
        });
        let mut rows = self
            .query
            .start(&session.instance, state, context, params)?;
        let handle = session.instance.handle().clone();
        while let Some(batch) = rows.next_batch(&handle, Some(&session.interrupt))? {
            if batch.num_rows() > 0 {
                return Ok(Some(take_record_batch(
                    &batch,
                    &UInt64Array::from(vec![0]),
                )?));
            }
        }
        Ok(None)
    }
}

fn not_allowed(what: &str) -> SqlError {
    SqlError::new(
        state::FEATURE_NOT_SUPPORTED,
        format!("FOR UPDATE is not allowed with {what}"),
    )
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
