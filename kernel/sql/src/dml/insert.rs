//! INSERT: VALUES, SELECT, DEFAULT VALUES, ON CONFLICT, RETURNING.

use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::Fields;
use arrow::record_batch::RecordBatch;
use datafusion::execution::SessionState;
use datafusion::scalar::ScalarValue;
use heliosdb_storage::ReadView;
use heliosdb_storage::ids::CollectionId;
use sqlparser::ast::{self, Expr, SetExpr};

use super::merge::is_ignored;
use super::on_conflict::ConflictPlan;
use super::target::WriteTarget;
use super::values::ValuesList;
use super::write::Writer;
use super::{assign, rows_without_columns};
use crate::catalog::{CatalogSnapshot, Relation};
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::plan::compile::{Expressions, Local};
use crate::plan::policy::{WritePolicies, Written};
use crate::plan::query::{self, PlannedQuery};
use crate::plan::returned::Scope;
use crate::session::Session;
use crate::session::outcome::{CommandTag, Outcome, ResultColumn, Rows};
use crate::session::planning::LazyState;
use crate::session::spelling::{Overriding, take_overriding};
use crate::types::PgType;

#[derive(Clone, Debug)]
pub(crate) struct InsertPlan {
    target: Arc<WriteTarget>,
    /// Places of the columns that the source gives, in its order.
    places: Vec<usize>,
    /// For each whether a query's value does not count.
    ignored: Vec<bool>,
    source: Source,
    on_conflict: Option<ConflictPlan>,
    returning: Option<Expressions>,
    /// What new rows have to meet.
    policies: Option<Arc<WritePolicies>>,
    params: Vec<PgType>,
}

#[derive(Clone, Debug)]
enum Source {
    Values(ValuesList),
    Query(PlannedQuery),
    /// DEFAULT VALUES: one row of nothing but defaults.
    Defaults,
}

impl InsertPlan {
    pub fn table_name(&self) -> &str {
        self.target.name()
    }

    pub fn collection(&self) -> CollectionId {
        self.target.meta.id()
    }

    pub fn query(&self) -> Option<&PlannedQuery> {
        match &self.source {
            Source::Query(q) => Some(q),
            _ => None,
        }
    }

    pub fn params(&self) -> &[PgType] {
        &self.params
    }

    /// Whether it holds nothing of the session that planned it.
    pub fn is_shareable(&self) -> bool {
        let source = match &self.source {
            Source::Values(list) => list.expressions().is_none_or(Expressions::is_shareable),
            Source::Query(_) => false,
            Source::Defaults => true,
        };
        source
            && self.policies.is_none()
            && self.target.is_shareable()
            && self
                .on_conflict
                .as_ref()
                .is_none_or(ConflictPlan::is_shareable)
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
}

/// RETURNING's columns; those that are columns of the table keep its types.
pub(crate) fn describe_returning(
    target: &WriteTarget,
    returning: &Expressions,
) -> Vec<ResultColumn> {
    let mut columns = returning.result_columns();
    for (column, place) in columns.iter_mut().zip(returning.plain_columns()) {
        let Some(meta) = place.and_then(|p| target.meta.columns.get(p)) else {
            continue;
        };
        column.ty = meta.ty.clone();
        column.typmod = meta.typmod;
        column.table_oid = target.meta.table.oid;
        column.column_attnum = i16::try_from(meta.id.0).map_or(0, |n| n.saturating_add(1));
    }
    columns
}

impl Session {
    pub(crate) fn plan_insert(
        &mut self,
        insert: &ast::Insert,
        params: &[Option<PgType>],
    ) -> Result<InsertPlan> {
        self.plan_insert_in(insert, params, &Scope::default())
    }

    /// The same as a part of a statement.
    pub(crate) fn plan_insert_in(
        &mut self,
        insert: &ast::Insert,
        params: &[Option<PgType>],
        scope: &Scope,
    ) -> Result<InsertPlan> {
        if insert.or.is_some()
            || insert.ignore
            || insert.overwrite
            || insert.partitioned.is_some()
            || insert.replace_into
            || !insert.assignments.is_empty()
            || insert.output.is_some()
        {
            return Err(SqlError::unsupported("this form of INSERT"));
        }
        let ast::TableObject::TableName(name) = &insert.table else {
            return Err(SqlError::unsupported(
                "INSERT into something other than a table",
            ));
        };
        let (_, catalog) = self.read_view()?;
        let table = match self.relation(&catalog, name)? {
            Relation::Table(t) => t,
            other => return Err(not_a_table(&other, "insert into")),
        };
        let reads = self.check_insert(&catalog, &table, insert)?;
        let alias = insert.table_alias.as_ref().map(|a| fold(&a.alias));
        self.with_state(|session, state| {
            let target = session.write_target(state, &catalog, table.oid)?;
            let mut params = params.to_vec();
            let (columns, _) = take_overriding(&insert.columns);
            let places = insert_places(&target, columns)?;
            let source = session.plan_source(
                state,
                &catalog,
                &target,
                insert,
                &places,
                &mut params,
                scope,
            )?;
            let places = match &source {
                Source::Defaults => Vec::new(),
                Source::Values(_) => places[..source_width(insert, places.len())].to_vec(),
                Source::Query(q) => places[..q.columns.len()].to_vec(),
            };
            let (_, overriding) = take_overriding(&insert.columns);
            let ignored = match &source {
                Source::Query(_) => places
                    .iter()
                    .map(|place| is_ignored(&target, *place, overriding))
                    .collect(),
                _ => Vec::new(),
            };
            let name = alias.as_deref().unwrap_or(target.name());
            let on_conflict = match &insert.on {
                None => None,
                Some(ast::OnInsert::OnConflict(on)) => Some(ConflictPlan::new(
                    state,
                    &catalog,
                    &session.info,
                    &target,
                    name,
                    on,
                )?),
                Some(_) => return Err(SqlError::unsupported("ON DUPLICATE KEY UPDATE")),
            };
            let returning = plan_returning(
                session,
                state,
                &catalog,
                &target,
                name,
                insert.returning.as_deref(),
            )?;
            let params = match &source {
                Source::Query(q) => q.params.clone(),
                _ => params
                    .into_iter()
                    .map(|p| p.unwrap_or(PgType::Text))
                    .collect(),
            };
            let policies =
                WritePolicies::of(state, &catalog, &session.info, &target.meta.table, reads)?;
            Ok(InsertPlan {
                policies,
                target,
                places,
                ignored,
                source,
                on_conflict,
                returning,
                params,
            })
        })
    }

    #[expect(clippy::too_many_arguments, reason = "what one statement is of")]
    fn plan_source(
        &self,
        state: &SessionState,
        catalog: &CatalogSnapshot,
        target: &WriteTarget,
        insert: &ast::Insert,
        places: &[usize],
        params: &mut Vec<Option<PgType>>,
        scope: &Scope,
    ) -> Result<Source> {
        let Some(query) = &insert.source else {
            return Ok(Source::Defaults);
        };
        if !query.locks.is_empty() {
            return Err(SqlError::unsupported("FOR UPDATE/SHARE in INSERT"));
        }
        let (columns, overriding) = take_overriding(&insert.columns);
        let named = !columns.is_empty();
        if let SetExpr::Values(values) = query.body.as_ref()
            && query.with.is_none()
            && query.order_by.is_none()
            && query.limit_clause.is_none()
            && query.fetch.is_none()
        {
            let mut rows: Vec<Vec<Expr>> = values.rows.iter().map(|r| r.content.clone()).collect();
            for row in &mut rows {
                for (expr, place) in row.iter_mut().zip(places) {
                    if is_ignored(target, *place, overriding) {
                        *expr = assign::default_keyword();
                    }
                }
            }
            let width = rows.first().map_or(0, Vec::len);
            if rows.iter().any(|r| r.len() != width) {
                return Err(SqlError::new(
                    state::SYNTAX_ERROR,
                    "VALUES lists must all be the same length",
                ));
            }
            check_width(width, places.len(), named)?;
            for row in &rows {
                for (expr, place) in row.iter().zip(places) {
                    if !assign::is_default(expr) {
                        check_identity(target, *place, overriding)?;
                    }
                }
            }
            let list = ValuesList::plan(
                state,
                catalog,
                &self.info,
                target,
                &places[..width],
                &rows,
                params,
            )?;
            if let Some(list) = list {
                return Ok(Source::Values(list));
            }
            // DEFAULT inside a list that needs a query becomes the column's default expression.
            let mut query = query.as_ref().clone();
            if let SetExpr::Values(values) = query.body.as_mut() {
                for row in &mut values.rows {
                    for (expr, place) in row.content.iter_mut().zip(places) {
                        let ignored = is_ignored(target, *place, overriding);
                        if ignored || assign::is_default(expr) {
                            let id = target.meta.columns[*place].id;
                            let column = &target.meta.table.columns[usize::from(id.0)];
                            *expr = super::target::default_expression(column)?
                                .unwrap_or_else(|| Expr::Value(ast::Value::Null.with_empty_span()));
                        }
                    }
                }
            }
            rows_as_selects(&mut query);
            let planned = query::plan_in(state, catalog, &self.info, query, params, scope)?;
            return Ok(Source::Query(planned));
        }
        if let SetExpr::Select(select) = query.body.as_ref() {
            for (item, place) in select.projection.iter().zip(places) {
                if let ast::SelectItem::UnnamedExpr(e)
                | ast::SelectItem::ExprWithAlias { expr: e, .. } = item
                {
                    assign::infer_parameter(params, e, &target.meta.columns[*place].ty);
                }
            }
        }
        let source = query.as_ref().clone();
        let planned = query::plan_in(state, catalog, &self.info, source, params, scope)?;
        check_width(planned.columns.len(), places.len(), named)?;
        for place in &places[..planned.columns.len()] {
            check_identity(target, *place, overriding)?;
        }
        Ok(Source::Query(planned))
    }

    /// Runs it. The table is locked, and the plan is one of the catalog since then.
    pub(crate) fn run_insert(
        &mut self,
        plan: &InsertPlan,
        params: &[ScalarValue],
    ) -> Result<Outcome> {
        self.check_writable("INSERT")?;
        let (view, catalog) = self.write_view()?;
        let mut writer = Writer::new(self, catalog);
        let mut done = Inserted::default();
        let inserted = self.with_state(|session, state| {
            plan.run(session, state, &mut writer, view, params, &mut done)?;
            writer.finish(session, state)
        });
        inserted.map_err(|e| writer.fail(self, e))?;
        let tag = CommandTag(format!("INSERT 0 {}", done.rows));
        match plan.returning_columns() {
            None => Ok(Outcome::Command(tag)),
            Some(columns) => Ok(Outcome::Rows(
                Rows::batches(columns.into(), done.returned).with_tag(tag.0),
            )),
        }
    }
}

/// What an INSERT has done so far.
#[derive(Default)]
pub(crate) struct Inserted {
    pub rows: u64,
    pub returned: Vec<RecordBatch>,
    /// Rows that ON CONFLICT DO UPDATE may not meet again.
    pub touched: std::collections::HashSet<heliosdb_storage::ids::RowId>,
}

impl InsertPlan {
    /// Inserts what the source gives.
    pub fn run(
        &self,
        session: &mut Session,
        state: &mut LazyState,
        writer: &mut Writer,
        view: ReadView,
        params: &[ScalarValue],
        done: &mut Inserted,
    ) -> Result<()> {
        match &self.source {
            Source::Defaults => {
                self.insert(session, state, writer, Vec::new(), 1, params, done)?;
            }
            Source::Values(list) => {
                let columns =
                    list.run(state, &self.target, &self.places, params, &writer.format)?;
                self.insert(session, state, writer, columns, list.len(), params, done)?;
            }
            Source::Query(query) => {
                let handle = session.instance.handle().clone();
                let interrupt = session.interrupt.clone();
                let context = session.statement_context(view);
                let mut rows = query.start(&session.instance, state, context, params)?;
                while let Some(batch) = rows.next_batch(&handle, Some(&interrupt))? {
                    if batch.num_rows() == 0 {
                        continue;
                    }
                    let columns = self
                        .places
                        .iter()
                        .zip(batch.columns())
                        .zip(&self.ignored)
                        .filter(|(_, ignored)| !**ignored)
                        .map(|((place, array), _)| {
                            let column = &self.target.meta.columns[*place];
                            let ty = self.target.meta.schema.field(*place).data_type();
                            assign::to_column(array, column, ty, &writer.format)
                        })
                        .collect::<Result<Vec<_>>>()?;
                    let rows = batch.num_rows();
                    self.insert(session, state, writer, columns, rows, params, done)?;
                }
            }
        }
        Ok(())
    }

    /// The fields of what RETURNING gives.
    pub fn returning_fields(&self) -> Option<Fields> {
        self.returning.as_ref().map(|r| r.schema().fields().clone())
    }

    /// Inserts rows given as one array per place, filling the other columns with their defaults.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one statement's execution"
    )]
    fn insert(
        &self,
        session: &mut Session,
        state: &LazyState,
        writer: &mut Writer,
        columns: Vec<ArrayRef>,
        rows: usize,
        params: &[ScalarValue],
        done: &mut Inserted,
    ) -> Result<()> {
        let given: Vec<usize>;
        let places = match self.ignored.contains(&true) {
            false => &self.places,
            true => {
                let places = self.places.iter().zip(&self.ignored);
                let places = places.filter(|(_, ignored)| !**ignored);
                given = places.map(|(place, _)| *place).collect();
                &given
            }
        };
        let columns = complete(state, &self.target, places, columns, rows, &writer.format)?;
        let batch = writer.check_rows(session, state, &self.target, (columns, rows), None)?;
        if let Some(policies) = &self.policies {
            let table = &self.target.meta.table;
            policies.check(session, state, table, &batch, Written::Inserted)?;
        }
        let batch = match &self.on_conflict {
            None => {
                writer.insert(session, &self.target, batch.clone())?;
                done.rows += rows as u64;
                batch
            }
            Some(on_conflict) => {
                let batch = on_conflict.insert(
                    session,
                    state,
                    writer,
                    &self.target,
                    &batch,
                    params,
                    self.policies.as_deref(),
                    done,
                )?;
                done.rows += batch.num_rows() as u64;
                batch
            }
        };
        if let Some(returning) = &self.returning
            && batch.num_rows() > 0
        {
            done.returned
                .push(run_returning(state, returning, &batch, params)?);
        }
        Ok(())
    }
}

/// One array per live column: the given ones, and defaults.
pub(crate) fn complete(
    state: &LazyState,
    target: &WriteTarget,
    places: &[usize],
    given: Vec<ArrayRef>,
    rows: usize,
    format: &crate::types::Format,
) -> Result<Vec<ArrayRef>> {
    if places.len() == target.meta.columns.len()
        && places.iter().enumerate().all(|(i, place)| i == *place)
    {
        return Ok(given);
    }
    let mut columns: Vec<Option<ArrayRef>> = vec![None; target.meta.columns.len()];
    for (place, array) in places.iter().zip(given) {
        columns[*place] = Some(array);
    }
    let mut program = None;
    let empty = rows_without_columns(rows);
    columns
        .into_iter()
        .enumerate()
        .map(|(place, column)| {
            if let Some(array) = column {
                return Ok(array);
            }
            let ty = target.meta.schema.field(place).data_type();
            let Some(at) = target.default_of(place) else {
                return Ok(new_null_array(ty, rows));
            };
            if program.is_none() {
                program = Some(target.defaults.prepare(state, &[])?);
            }
            let Some(program) = &program else {
                return Ok(new_null_array(ty, rows));
            };
            let values = program.run_one(at, &empty)?;
            assign::to_column(&values, &target.meta.columns[place], ty, format)
        })
        .collect()
}

pub(crate) fn plan_returning(
    session: &Session,
    state: &SessionState,
    catalog: &CatalogSnapshot,
    target: &WriteTarget,
    name: &str,
    returning: Option<&[ast::SelectItem]>,
) -> Result<Option<Expressions>> {
    let Some(items) = returning else {
        return Ok(None);
    };
    let local = Local {
        name,
        schema: target.meta.schema.clone(),
    };
    Expressions::plan(
        state,
        catalog,
        &session.info,
        &[local],
        items.to_vec(),
        "RETURNING",
    )
    .map(Some)
}

pub(crate) fn run_returning(
    state: &LazyState,
    returning: &Expressions,
    batch: &RecordBatch,
    params: &[ScalarValue],
) -> Result<RecordBatch> {
    let columns = returning.prepare(state, params)?.run(batch)?;
    let options =
        arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let fields: Vec<_> = returning
        .schema()
        .fields()
        .iter()
        .zip(&columns)
        .map(|(f, c)| arrow::datatypes::Field::new(f.name(), c.data_type().clone(), true))
        .collect();
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(SqlError::from)
}

fn source_width(insert: &ast::Insert, all: usize) -> usize {
    match insert.source.as_ref().map(|q| q.body.as_ref()) {
        Some(SetExpr::Values(v)) => v.rows.first().map_or(0, |r| r.content.len()),
        _ => all,
    }
}

/// `VALUES (a), (b)` as `SELECT a UNION ALL SELECT b`, where rows may have subqueries.
fn rows_as_selects(query: &mut ast::Query) {
    let SetExpr::Values(values) = query.body.as_ref() else {
        return;
    };
    let selects = values.rows.iter().map(|row| {
        let items = row
            .content
            .iter()
            .enumerate()
            .map(|(i, e)| ast::SelectItem::ExprWithAlias {
                expr: e.clone(),
                alias: crate::names::quoted_ident(&format!("column{}", i + 1)),
            });
        *crate::plan::compile::select(items.collect(), Vec::new()).body
    });
    let united = united(selects.collect());
    if let Some(united) = united {
        *query.body = united;
    }
}

/// All of them by UNION ALL, as a tree of little depth: planning walks it recursively, and a statement
/// may have any number of rows.
fn united(mut parts: Vec<SetExpr>) -> Option<SetExpr> {
    while parts.len() > 1 {
        let mut pairs = Vec::with_capacity(parts.len().div_ceil(2));
        let mut rest = parts.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                None => left,
                Some(right) => SetExpr::SetOperation {
                    op: ast::SetOperator::Union,
                    set_quantifier: ast::SetQuantifier::All,
                    left: Box::new(left),
                    right: Box::new(right),
                },
            });
        }
        parts = pairs;
    }
    parts.pop()
}

/// The places of the columns named, or of all.
pub(crate) fn insert_places(
    target: &WriteTarget,
    columns: &[ast::ObjectName],
) -> Result<Vec<usize>> {
    if columns.is_empty() {
        return Ok((0..target.meta.columns.len()).collect());
    }
    let mut places = Vec::with_capacity(columns.len());
    for column in columns {
        let parts = crate::names::parts(column)?;
        let [name] = parts.as_slice() else {
            return Err(SqlError::unsupported(
                "a qualified or subscripted column in INSERT",
            ));
        };
        let place = find_column(target, name)?;
        if places.contains(&place) {
            return Err(SqlError::new(
                state::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            ));
        }
        places.push(place);
    }
    Ok(places)
}

pub(crate) fn find_column(target: &WriteTarget, name: &str) -> Result<usize> {
    target.meta.position_by_name(name).ok_or_else(|| {
        SqlError::new(
            state::UNDEFINED_COLUMN,
            format!(
                "column \"{name}\" of relation \"{}\" does not exist",
                target.name()
            ),
        )
    })
}

pub(crate) fn check_width(given: usize, columns: usize, named: bool) -> Result<()> {
    if given > columns {
        return Err(SqlError::new(
            state::SYNTAX_ERROR,
            "INSERT has more expressions than target columns",
        ));
    }
    if named && given < columns {
        return Err(SqlError::new(
            state::SYNTAX_ERROR,
            "INSERT has more target columns than expressions",
        ));
    }
    Ok(())
}

/// A column GENERATED ALWAYS takes no value but its own.
pub(crate) fn check_identity(
    target: &WriteTarget,
    place: usize,
    overriding: Option<Overriding>,
) -> Result<()> {
    let what = "cannot insert a non-DEFAULT value into column \"{}\"";
    target.generated.check_given(&target.meta, place, what)?;
    let column = &target.meta.columns[place];
    let identity = target.meta.table.columns[usize::from(column.id.0)].identity;
    if overriding.is_none() && identity.is_some_and(|i| i.always) {
        return Err(SqlError::new(
            state::GENERATED_ALWAYS,
            format!(
                "cannot insert a non-DEFAULT value into column \"{}\"",
                column.name
            ),
        )
        .with_detail(format!(
            "Column \"{}\" is an identity column defined as GENERATED ALWAYS.",
            column.name
        ))
        .with_hint("Use OVERRIDING SYSTEM VALUE to override."));
    }
    Ok(())
}

pub(crate) fn not_a_table(relation: &Relation, verb: &str) -> SqlError {
    match relation {
        Relation::View(v) => SqlError::unsupported(format!("{verb} view \"{}\"", v.name)),
        other => SqlError::new(
            state::WRONG_OBJECT_TYPE,
            format!("cannot {verb} {} \"{}\"", other.kind(), other.name()),
        ),
    }
}

/// A table was altered while its lock was waited for.
pub(crate) fn changed_meanwhile(name: &str) -> SqlError {
    SqlError::new(
        state::SERIALIZATION_FAILURE,
        format!("table \"{name}\" was changed by a concurrent transaction"),
    )
    .with_hint("Run the statement again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(set: &SetExpr) -> usize {
        match set {
            SetExpr::SetOperation { left, right, .. } => 1 + depth(left).max(depth(right)),
            _ => 0,
        }
    }

    #[test]
    fn many_rows_make_a_tree_of_little_depth() {
        let select = || *crate::plan::compile::select(Vec::new(), Vec::new()).body;
        let parts = std::iter::repeat_with(select).take(1000).collect();
        assert_eq!(united(parts).map(|set| depth(&set)), Some(10));
        assert_eq!(united(vec![select()]).map(|set| depth(&set)), Some(0));
        assert!(united(Vec::new()).is_none());
    }
}
