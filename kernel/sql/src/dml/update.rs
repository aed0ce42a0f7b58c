//! UPDATE and DELETE.
//!
//! Both are a query over the target with its row ids: `SELECT _rowid, new values … FROM target, from …
//! WHERE …`. Rows it gives are locked, looked at again when they changed meanwhile, checked, and
//! written. The query reads the statement's snapshot, so it never meets what the statement writes.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::Fields;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::execution::SessionState;
use datafusion::scalar::ScalarValue;
use heliosdb_storage::ids::{CollectionId, RowId};
use heliosdb_storage::{ReadView, RowLockMode};
use sqlparser::ast::{self, Expr, SelectItem};

use super::assign;
use super::insert::{describe_returning, find_column, not_a_table, plan_returning, run_returning};
use super::lock::{LockedRows, lock_rows};
use super::target::{WriteTarget, default_expression};
use super::write::Writer;
use crate::catalog::meta::ROW_ID;
use crate::catalog::model::Table;
use crate::catalog::{CatalogSnapshot, Relation};
use crate::error::{Result, SqlError, state};
use crate::names::{fold, parts, quoted_ident};
use crate::plan::as_of::syntax::misplaced;
use crate::plan::compile::{Expressions, named_table, query, select};
use crate::plan::context::Target;
use crate::plan::policy::{WritePolicies, Written};
use crate::plan::query::{self, PlannedQuery};
use crate::plan::returned::Scope;
use crate::plan::state::Recheck;
use crate::session::Session;
use crate::session::outcome::{CommandTag, Outcome, ResultColumn, Rows};
use crate::session::planning::LazyState;
use crate::types::PgType;

/// An UPDATE, or a DELETE when nothing is assigned.
#[derive(Clone, Debug)]
pub(crate) struct UpdatePlan {
    target: Arc<WriteTarget>,
    /// Places of the assigned columns; `None` for DELETE.
    assigned: Option<Vec<usize>>,
    /// `_rowid`, then every live column of the new row (or, for DELETE … RETURNING, of the old).
    query: PlannedQuery,
    returning: Option<Expressions>,
    /// What new rows have to meet.
    policies: Option<Arc<WritePolicies>>,
    /// A join may give a row more than once; the first counts.
    joined: bool,
}

impl UpdatePlan {
    pub fn table_name(&self) -> &str {
        self.target.name()
    }

    pub fn collection(&self) -> CollectionId {
        self.target.meta.id()
    }

    pub fn query(&self) -> &PlannedQuery {
        &self.query
    }

    pub fn params(&self) -> &[PgType] {
        &self.query.params
    }

    /// Whether it holds nothing of the session that planned it.
    pub fn is_shareable(&self) -> bool {
        self.query.is_shareable()
            && self.policies.is_none()
            && self.target.is_shareable()
            && self
                .returning
                .as_ref()
                .is_none_or(Expressions::is_shareable)
    }

    pub fn returning_columns(&self) -> Option<Vec<ResultColumn>> {
        self.returning
            .as_ref()
            .map(|r| describe_returning(&self.target, r))
    }

    pub fn verb(&self) -> &'static str {
        if self.assigned.is_some() {
            "UPDATE"
        } else {
            "DELETE"
        }
    }

    /// The fields of what RETURNING gives.
    pub fn returning_fields(&self) -> Option<Fields> {
        self.returning.as_ref().map(|r| r.schema().fields().clone())
    }

    /// Changes the rows that the query gives.
    pub fn run(
        &self,
        session: &mut Session,
        state: &mut LazyState,
        writer: &mut Writer,
        view: ReadView,
        params: &[ScalarValue],
    ) -> Result<Changed> {
        let mut run = Run {
            writer,
            view,
            params,
            seen: HashSet::new(),
            count: 0,
            returned: Vec::new(),
        };
        let handle = session.instance.handle().clone();
        let interrupt = session.interrupt.clone();
        let context = session.statement_context(run.view.clone());
        let mut rows = self
            .query
            .start(&session.instance, state, context, params)?;
        while let Some(batch) = rows.next_batch(&handle, Some(&interrupt))? {
            if batch.num_rows() > 0 {
                run.batch(session, state, self, batch)?;
            }
        }
        Ok(Changed {
            rows: run.count,
            returned: run.returned,
        })
    }

    fn lock_mode(&self) -> RowLockMode {
        match &self.assigned {
            Some(places) if !self.target.changes_key(places) => RowLockMode::NoKeyUpdate,
            _ => RowLockMode::Update,
        }
    }
}

/// Column and value of each assignment, rows taken apart.
pub(crate) fn flatten_assignments(assignments: &[ast::Assignment]) -> Result<Vec<(String, Expr)>> {
    let column = |name: &ast::ObjectName| -> Result<String> {
        let parts = parts(name)?;
        match parts.as_slice() {
            [name] => Ok(name.clone()),
            _ => Err(SqlError::unsupported("assignment to a part of a column")),
        }
    };
    let mut out = Vec::new();
    for a in assignments {
        match (&a.target, &a.value) {
            (ast::AssignmentTarget::ColumnName(name), value) => {
                out.push((column(name)?, value.clone()));
            }
            (ast::AssignmentTarget::Tuple(names), Expr::Tuple(values)) => {
                if names.len() != values.len() {
                    return Err(SqlError::new(
                        state::SYNTAX_ERROR,
                        "number of columns does not match number of values",
                    ));
                }
                for (name, value) in names.iter().zip(values) {
                    out.push((column(name)?, value.clone()));
                }
            }
            (ast::AssignmentTarget::Tuple(names), Expr::Nested(value)) if names.len() == 1 => {
                out.push((column(&names[0])?, value.as_ref().clone()));
            }
            (ast::AssignmentTarget::Tuple(_), _) => {
                return Err(SqlError::unsupported(
                    "assignment of a subquery to several columns",
                ));
            }
        }
    }
    Ok(out)
}

/// A value, with DEFAULT replaced by what it stands for.
pub(crate) fn default_or(target: &WriteTarget, place: usize, value: Expr) -> Result<Expr> {
    if !assign::is_default(&value) {
        let what = "column \"{}\" can only be updated to DEFAULT";
        target.generated.check_given(&target.meta, place, what)?;
        let column = &target.meta.table.columns[usize::from(target.meta.columns[place].id.0)];
        if column.identity.is_some_and(|i| i.always) {
            return Err(SqlError::new(
                state::GENERATED_ALWAYS,
                format!("column \"{}\" can only be updated to DEFAULT", column.name),
            )
            .with_detail(format!(
                "Column \"{}\" is an identity column defined as GENERATED ALWAYS.",
                column.name
            )));
        }
        return Ok(value);
    }
    let id = target.meta.columns[place].id;
    let column = &target.meta.table.columns[usize::from(id.0)];
    Ok(default_expression(column)?
        .unwrap_or_else(|| Expr::Value(ast::Value::Null.with_empty_span())))
}

/// The one table a statement changes: its name and alias.
fn single_table(
    table: &ast::TableWithJoins,
    verb: &str,
) -> Result<(ast::ObjectName, Option<String>)> {
    if !table.joins.is_empty() {
        return Err(SqlError::new(
            state::SYNTAX_ERROR,
            format!("syntax error: {verb} changes one table; join others with FROM or USING"),
        ));
    }
    match &table.relation {
        ast::TableFactor::Table {
            version: Some(_), ..
        } => Err(misplaced()),
        ast::TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } => Ok((name.clone(), alias.as_ref().map(|a| fold(&a.name)))),
        other => Err(SqlError::unsupported(format!("{verb} of {other}"))),
    }
}

impl Session {
    fn target_table(
        &mut self,
        name: &ast::ObjectName,
        verb: &str,
    ) -> Result<(Arc<Table>, Arc<CatalogSnapshot>)> {
        let (_, catalog) = self.read_view()?;
        match self.relation(&catalog, name)? {
            Relation::Table(t) => Ok((t, catalog)),
            other => Err(not_a_table(&other, verb)),
        }
    }

    pub(crate) fn plan_update(
        &mut self,
        update: &ast::Update,
        params: &[Option<PgType>],
    ) -> Result<UpdatePlan> {
        self.plan_update_in(update, params, &Scope::default())
    }

    /// The same as a part of a statement.
    pub(crate) fn plan_update_in(
        &mut self,
        update: &ast::Update,
        params: &[Option<PgType>],
        scope: &Scope,
    ) -> Result<UpdatePlan> {
        if update.or.is_some()
            || !update.order_by.is_empty()
            || update.limit.is_some()
            || update.output.is_some()
        {
            return Err(SqlError::unsupported("this form of UPDATE"));
        }
        let (name, alias) = single_table(&update.table, "UPDATE")?;
        let (table, catalog) = self.target_table(&name, "update")?;
        let alias = alias.unwrap_or_else(|| table.name.clone());
        let reads = self.check_update(&catalog, &table, &alias, update)?;
        let from = match &update.from {
            None => Vec::new(),
            Some(
                ast::UpdateTableFromKind::AfterSet(from)
                | ast::UpdateTableFromKind::BeforeSet(from),
            ) => from.clone(),
        };
        self.with_state(|session, state| {
            let target = session.write_target(state, &catalog, table.oid)?;
            let mut params = params.to_vec();
            let mut assigned = Vec::new();
            let mut values: Vec<Option<Expr>> = vec![None; target.meta.columns.len()];
            for (column, value) in flatten_assignments(&update.assignments)? {
                let place = find_column(&target, &column)?;
                if assigned.contains(&place) {
                    return Err(SqlError::new(
                        state::SYNTAX_ERROR,
                        format!("multiple assignments to same column \"{column}\""),
                    ));
                }
                let value = default_or(&target, place, value)?;
                assign::infer_parameter(&mut params, &value, &target.meta.columns[place].ty);
                assigned.push(place);
                values[place] = Some(value);
            }
            let mut items = vec![row_id_item(&alias)];
            for (place, value) in values.into_iter().enumerate() {
                let column = &target.meta.columns[place];
                let expr = value.unwrap_or_else(|| column_expr(&alias, &column.name));
                items.push(SelectItem::ExprWithAlias {
                    expr,
                    alias: quoted_ident(&format!("new_{place}")),
                });
            }
            let planned = session.plan_target_query(
                state,
                &catalog,
                &table,
                &alias,
                Target::Update(reads),
                items,
                from.clone(),
                update.selection.clone(),
                &params,
                scope,
            )?;
            let returning = plan_returning(
                session,
                state,
                &catalog,
                &target,
                &alias,
                update.returning.as_deref(),
            )?;
            let policies =
                WritePolicies::of(state, &catalog, &session.info, &target.meta.table, reads)?;
            Ok(UpdatePlan {
                target,
                assigned: Some(assigned),
                query: planned,
                returning,
                policies,
                joined: !from.is_empty(),
            })
        })
    }

    pub(crate) fn plan_delete(
        &mut self,
        delete: &ast::Delete,
        params: &[Option<PgType>],
    ) -> Result<UpdatePlan> {
        self.plan_delete_in(delete, params, &Scope::default())
    }

    /// The same as a part of a statement.
    pub(crate) fn plan_delete_in(
        &mut self,
        delete: &ast::Delete,
        params: &[Option<PgType>],
        scope: &Scope,
    ) -> Result<UpdatePlan> {
        if !delete.tables.is_empty()
            || !delete.order_by.is_empty()
            || delete.limit.is_some()
            || delete.output.is_some()
        {
            return Err(SqlError::unsupported("this form of DELETE"));
        }
        let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) =
            &delete.from;
        let [only] = from.as_slice() else {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                "DELETE changes one table",
            ));
        };
        let (name, alias) = single_table(only, "DELETE")?;
        let (table, catalog) = self.target_table(&name, "delete from")?;
        let alias = alias.unwrap_or_else(|| table.name.clone());
        let reads = self.check_delete(&catalog, &table, &alias, delete)?;
        let using = delete.using.clone().unwrap_or_default();
        self.with_state(|session, state| {
            let target = session.write_target(state, &catalog, table.oid)?;
            let mut items = vec![row_id_item(&alias)];
            if delete.returning.is_some() {
                for column in &target.meta.columns {
                    items.push(SelectItem::UnnamedExpr(column_expr(&alias, &column.name)));
                }
            }
            let planned = session.plan_target_query(
                state,
                &catalog,
                &table,
                &alias,
                Target::Delete(reads),
                items,
                using.clone(),
                delete.selection.clone(),
                params,
                scope,
            )?;
            let returning = plan_returning(
                session,
                state,
                &catalog,
                &target,
                &alias,
                delete.returning.as_deref(),
            )?;
            Ok(UpdatePlan {
                target,
                assigned: None,
                query: planned,
                returning,
                policies: None,
                joined: !using.is_empty(),
            })
        })
    }

    #[expect(clippy::too_many_arguments, reason = "the clauses of one statement")]
    fn plan_target_query(
        &self,
        state: &SessionState,
        catalog: &CatalogSnapshot,
        table: &Table,
        alias: &str,
        target: Target,
        items: Vec<SelectItem>,
        from: Vec<ast::TableWithJoins>,
        selection: Option<Expr>,
        params: &[Option<PgType>],
        scope: &Scope,
    ) -> Result<PlannedQuery> {
        let mut tables = vec![target_factor(catalog, table, alias, target)];
        tables.extend(from);
        let mut body = select(items, tables);
        if let ast::SetExpr::Select(select) = body.body.as_mut() {
            select.selection = selection;
        }
        query::plan_in(state, catalog, &self.info, query(*body.body), params, scope)
    }

    /// Runs it. The table is locked, and the plan is one of the catalog since then.
    pub(crate) fn run_update(
        &mut self,
        plan: &UpdatePlan,
        params: &[ScalarValue],
    ) -> Result<Outcome> {
        self.check_writable(plan.verb())?;
        let (view, catalog) = self.write_view()?;
        let mut writer = Writer::new(self, catalog);
        let done = self.with_state(|session, state| {
            let done = plan.run(session, state, &mut writer, view, params)?;
            writer.finish(session, state)?;
            Ok(done)
        })?;
        let tag = CommandTag::counted(plan.verb(), done.rows);
        match plan.returning_columns() {
            None => Ok(Outcome::Command(tag)),
            Some(columns) => Ok(Outcome::Rows(
                Rows::batches(columns.into(), done.returned).with_tag(tag.0),
            )),
        }
    }
}

/// What an UPDATE or a DELETE has done.
pub(crate) struct Changed {
    pub rows: u64,
    pub returned: Vec<RecordBatch>,
}

/// One execution of an [`UpdatePlan`].
struct Run<'a> {
    writer: &'a mut Writer,
    view: ReadView,
    params: &'a [ScalarValue],
    seen: HashSet<RowId>,
    count: u64,
    returned: Vec<RecordBatch>,
}

impl Run<'_> {
    fn batch(
        &mut self,
        session: &mut Session,
        state: &mut LazyState,
        plan: &UpdatePlan,
        batch: RecordBatch,
    ) -> Result<()> {
        let mut rows = row_ids(&batch)?;
        let mut batch = batch;
        if plan.joined {
            let first: Vec<u64> = (0u64..)
                .zip(&rows)
                .filter(|(_, row)| self.seen.insert(**row))
                .map(|(i, _)| i)
                .collect();
            if first.len() < rows.len() {
                batch = take_record_batch(&batch, &UInt64Array::from(first))?;
                rows = row_ids(&batch)?;
            }
        }
        // What another part of the statement changed stays as that one made it.
        let table = plan.collection();
        if let Some(others) = self.writer.left_alone(table, &rows) {
            batch = take_record_batch(&batch, &UInt64Array::from(others))?;
            rows = row_ids(&batch)?;
        }
        let wait = session.lock_wait();
        let locked = lock_rows(
            session.transaction()?,
            plan.collection(),
            &rows,
            plan.lock_mode(),
            wait,
        )?;
        let LockedRows { unchanged, changed } = locked;
        if unchanged.len() < rows.len() {
            batch = take_record_batch(&batch, &UInt64Array::from(unchanged))?;
        }
        if batch.num_rows() > 0 {
            self.write(session, state, plan, &batch)?;
        }
        if !changed.is_empty() {
            let batch = self.look_again(session, state, plan, &changed)?;
            if batch.num_rows() > 0 {
                self.write(session, state, plan, &batch)?;
            }
        }
        Ok(())
    }

    /// Runs the query again over rows that changed while their locks were waited for, as they now
    /// are. Those that no longer qualify do not come back.
    fn look_again(
        &self,
        session: &mut Session,
        state: &mut LazyState,
        plan: &UpdatePlan,
        changed: &[RowId],
    ) -> Result<RecordBatch> {
        let latest = session.transaction()?.latest_view();
        let mut context = session.statement_context(self.view.clone());
        let oid = plan.target.meta.table.oid;
        context.recheck = Some(Recheck {
            view: latest,
            rows: [(oid, Arc::from(changed))].into_iter().collect(),
        });
        let handle = session.instance.handle().clone();
        let mut rows = plan
            .query
            .start(&session.instance, state, context, self.params)?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next_batch(&handle, Some(&session.interrupt))? {
            batches.push(batch);
        }
        let schema = rows.schema();
        let mut batch = concat_batches(&schema, &batches)?;
        if plan.joined {
            let mut seen = HashSet::new();
            let first: Vec<u64> = (0u64..)
                .zip(row_ids(&batch)?)
                .filter(|(_, row)| seen.insert(*row))
                .map(|(i, _)| i)
                .collect();
            batch = take_record_batch(&batch, &UInt64Array::from(first))?;
        }
        Ok(batch)
    }

    /// Writes rows that are locked and current.
    fn write(
        &mut self,
        session: &mut Session,
        state: &LazyState,
        plan: &UpdatePlan,
        batch: &RecordBatch,
    ) -> Result<()> {
        let rows = row_ids(batch)?;
        let target = &plan.target;
        let shown = match &plan.assigned {
            Some(assigned) => {
                let columns: Vec<ArrayRef> = target
                    .meta
                    .columns
                    .iter()
                    .enumerate()
                    .map(|(place, column)| {
                        let ty = target.meta.schema.field(place).data_type();
                        let array = batch.column(place + 1);
                        // What is not assigned is what the column has.
                        if !assigned.contains(&place) && array.data_type() == ty {
                            return Ok(array.clone());
                        }
                        assign::to_column(array, column, ty, &self.writer.format)
                    })
                    .collect::<Result<_>>()?;
                let new = self.writer.check_rows(
                    session,
                    state,
                    target,
                    (columns, rows.len()),
                    Some(assigned),
                )?;
                if let Some(policies) = &plan.policies {
                    let table = &target.meta.table;
                    policies.check(session, state, table, &new, Written::Updated)?;
                }
                self.writer.update(session, target, &rows, &new, assigned)?;
                Some(new)
            }
            None => {
                self.writer.delete(session, target, &rows)?;
                if plan.returning.is_some() {
                    let columns = batch.columns()[1..].to_vec();
                    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
                    let schema = target.meta.schema.clone();
                    let batch = RecordBatch::try_new_with_options(schema, columns, &options);
                    Some(batch?)
                } else {
                    None
                }
            }
        };
        self.writer.note_changed(plan.collection(), &rows);
        self.count += rows.len() as u64;
        if let (Some(returning), Some(shown)) = (&plan.returning, shown) {
            self.returned
                .push(run_returning(state, returning, &shown, self.params)?);
        }
        Ok(())
    }
}

/// The row ids in the first column of a DML query's batch.
pub(crate) fn row_ids(batch: &RecordBatch) -> Result<Vec<RowId>> {
    let ids = batch
        .column(0)
        .as_any()
        .downcast_ref::<UInt64Array>()
        .filter(|a| a.null_count() == 0)
        .ok_or_else(|| SqlError::internal("a DML query without row ids"))?;
    Ok(ids.values().iter().map(|id| RowId(*id)).collect())
}

/// `alias._rowid`.
pub(crate) fn row_id_item(alias: &str) -> SelectItem {
    SelectItem::ExprWithAlias {
        expr: column_expr(alias, ROW_ID),
        alias: quoted_ident(ROW_ID),
    }
}

pub(crate) fn column_expr(alias: &str, column: &str) -> Expr {
    Expr::CompoundIdentifier(vec![quoted_ident(alias), quoted_ident(column)])
}

/// The target as an item of FROM, with its row ids.
pub(crate) fn target_factor(
    catalog: &CatalogSnapshot,
    table: &Table,
    alias: &str,
    target: Target,
) -> ast::TableWithJoins {
    let schema = catalog.schema(table.schema).map_or("", |s| s.name.as_str());
    named_table(vec![target.name(), schema, &table.name], Some(alias))
}
