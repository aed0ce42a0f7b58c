//! MERGE.
//!
//! It is a query over source and target, as UPDATE is one: the source's rows with the row of the target that
//! each matches, if there is one, the number of the action that is to be taken, and what it writes. An outer
//! join when rows that match nothing are inserted, else an inner one. What an action writes is computed for
//! the rows it is taken for alone.
//!
//! 1. No row of the target is changed twice: that is 21000.
//! 2. When a row has changed since the snapshot, what was read of the source may match others: nothing of the
//!    statement stays, and it runs again with a new snapshot, keeping its locks. PostgreSQL looks at the one
//!    row again, and comes to what one of the two orders would give; so does this.
//! 3. What is done when nothing matches cannot name the target's columns.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use datafusion::execution::SessionState;
use datafusion::logical_expr::Volatility;
use datafusion::scalar::ScalarValue;
use heliosdb_storage::ids::{CollectionId, RowId};
use heliosdb_storage::{ReadView, RowLockMode};
use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{self, Expr, SelectItem, VisitMut, VisitorMut};

use super::assign;
use super::insert::{check_identity, check_width, complete, find_column, insert_places};
use super::lock::{LockedRows, lock_rows};
use super::target::WriteTarget;
use super::update::{
    column_expr, default_or, flatten_assignments, row_id_item, row_ids, target_factor,
};
use super::write::Writer;
use crate::catalog::Relation;
use crate::catalog::meta::ROW_ID;
use crate::error::{Result, SqlError, state};
use crate::names::{fold, parts, quoted_ident};
use crate::plan::compile::{query, select};
use crate::plan::context::Target;
use crate::plan::query::{self, PlannedQuery};
use crate::plan::returned::Scope;
use crate::session::Session;
use crate::session::planning::LazyState;
use crate::session::spelling::{Overriding, does_nothing, is_of_defaults, take_overriding};
use crate::types::PgType;

/// Where the number of the action stands in the query's columns.
const ACTION: usize = 1;

#[derive(Clone, Debug)]
pub(crate) struct MergePlan {
    target: Arc<WriteTarget>,
    actions: Vec<Action>,
    /// `_rowid`, the action's number, the target's columns if one is updated, and what actions write.
    query: PlannedQuery,
}

/// What a WHEN clause does.
#[derive(Clone, Debug)]
enum Action {
    Nothing,
    Delete,
    /// The places of the assigned columns, and where their values begin in the query's columns.
    Update(Vec<usize>, usize),
    /// The same of the columns that are given.
    Insert(Vec<usize>, usize),
}

impl MergePlan {
    pub fn collection(&self) -> CollectionId {
        self.target.meta.id()
    }

    pub fn table_name(&self) -> &str {
        self.target.name()
    }

    pub fn query(&self) -> &PlannedQuery {
        &self.query
    }

    pub fn params(&self) -> &[PgType] {
        &self.query.params
    }
}

/// The WHEN clauses as they are read.
struct Reading<'a> {
    target: &'a WriteTarget,
    alias: &'a str,
    source: Option<(String, Vec<String>)>,
    params: Vec<Option<PgType>>,
    actions: Vec<Action>,
    /// What actions write, each with the number of its action.
    values: Vec<(usize, Expr)>,
}

impl Session {
    pub(crate) fn plan_merge_in(
        &mut self,
        merge: &ast::Merge,
        params: &[Option<PgType>],
        scope: &Scope,
    ) -> Result<MergePlan> {
        let ast::TableFactor::Table {
            name,
            alias,
            args: None,
            version: None,
            ..
        } = &merge.table
        else {
            return Err(SqlError::unsupported(format!("MERGE into {}", merge.table)));
        };
        if !merge.into || merge.output.is_some() || merge.clauses.is_empty() {
            let at = match (merge.into, &merge.output) {
                (false, _) => parts(name)?.join("."),
                (true, Some(_)) => "RETURNING".to_owned(),
                (true, None) => {
                    let message = "syntax error at end of input";
                    return Err(SqlError::new(state::SYNTAX_ERROR, message));
                }
            };
            return Err(syntax(format!("syntax error at or near \"{at}\"")));
        }
        let (_, catalog) = self.read_view()?;
        let table = match self.relation(&catalog, name)? {
            Relation::Table(t) => t,
            other => {
                return Err(SqlError::new(
                    state::FEATURE_NOT_SUPPORTED,
                    format!("cannot execute MERGE on relation \"{}\"", other.name()),
                )
                .with_detail(format!(
                    "This operation is not supported for {}s.",
                    other.kind()
                )));
            }
        };
        let alias = alias
            .as_ref()
            .map_or_else(|| table.name.clone(), |a| fold(&a.name));
        self.check_merge(&catalog, &table, &alias, merge)?;
        let source_alias = alias_of(&merge.source)?;
        if source_alias.as_ref() == Some(&alias) {
            return Err(SqlError::new(
                state::DUPLICATE_ALIAS,
                format!("name \"{alias}\" specified more than once"),
            )
            .with_detail("The name is used both as MERGE target table and data source."));
        }
        let source = ast::TableWithJoins {
            relation: merge.source.clone(),
            joins: Vec::new(),
        };
        self.with_state(|session, state| {
            let target = session.write_target(state, &catalog, table.oid)?;
            let info = session.info.clone();
            let star = SelectItem::Wildcard(ast::WildcardAdditionalOptions::default());
            let rows = query(*select(vec![star], vec![source.clone()]).body);
            let rows = query::plan_in(state, &catalog, &info, rows, params, scope)?;
            let columns = rows.columns.iter().map(|c| c.name.clone()).collect();
            let mut reading = Reading {
                target: &target,
                alias: &alias,
                source: source_alias.map(|alias| (alias, columns)),
                params: params.to_vec(),
                actions: Vec::new(),
                values: Vec::new(),
            };
            let mut whens: [Vec<(usize, Option<Expr>)>; 2] = [Vec::new(), Vec::new()];
            for (number, clause) in merge.clauses.iter().enumerate() {
                let matched = match clause.clause_kind {
                    ast::MergeClauseKind::Matched => true,
                    ast::MergeClauseKind::NotMatched => false,
                    _ => return Err(syntax("syntax error at or near \"BY\"".to_owned())),
                };
                let kind = &mut whens[usize::from(!matched)];
                if kind
                    .last()
                    .is_some_and(|(_, condition)| condition.is_none())
                {
                    return Err(syntax(
                        "unreachable WHEN clause specified after unconditional WHEN clause"
                            .to_owned(),
                    ));
                }
                let mut condition = clause.predicate.clone();
                if !matched && let Some(condition) = &mut condition {
                    reading.of_source(condition)?;
                }
                kind.push((number, condition));
                reading.read(&clause.action)?;
            }
            let strict = !merge
                .clauses
                .iter()
                .filter_map(|clause| clause.predicate.as_ref())
                .any(|condition| is_volatile(state, session, condition));
            let Reading {
                params,
                actions,
                values,
                ..
            } = reading;
            let is_matched = Expr::IsNotNull(Box::new(column_expr(&alias, ROW_ID)));
            let action = case(
                vec![(is_matched.clone(), choice(&whens[0]))],
                Some(choice(&whens[1])),
            );
            let mut items = vec![
                row_id_item(&alias),
                named(action.clone(), "_action".to_owned()),
            ];
            if actions.iter().any(|a| matches!(a, Action::Update(..))) {
                let columns = target.meta.columns.iter().enumerate();
                items.extend(columns.map(|(place, column)| {
                    named(column_expr(&alias, &column.name), format!("old_{place}"))
                }));
            }
            let first = items.len();
            for (at, (number, value)) in values.into_iter().enumerate() {
                let (which, whens) = match whens[0].iter().any(|(n, _)| *n == number) {
                    true => (is_matched.clone(), &whens[0]),
                    false => (
                        Expr::IsNull(Box::new(column_expr(&alias, ROW_ID))),
                        &whens[1],
                    ),
                };
                let alone = matches!(whens.as_slice(), [(_, None)]);
                let guard = match alone || !strict {
                    true => which,
                    false => Expr::BinaryOp {
                        left: Box::new(action.clone()),
                        op: ast::BinaryOperator::Eq,
                        right: Box::new(integer(number)),
                    },
                };
                let value = match is_plain(&value) {
                    true => value,
                    false => case(vec![(guard, value)], None),
                };
                items.push(named(value, format!("value_{at}")));
            }
            let actions: Vec<Action> = actions
                .into_iter()
                .map(|action| match action {
                    Action::Update(places, at) => Action::Update(places, first + at),
                    Action::Insert(places, at) => Action::Insert(places, first + at),
                    action => action,
                })
                .collect();
            let inserts = actions.iter().any(|a| matches!(a, Action::Insert(..)));
            let on = ast::JoinConstraint::On(merge.on.as_ref().clone());
            let mut joined = source;
            joined.joins.push(ast::Join {
                relation: target_factor(&catalog, &table, &alias, Target::Update(true)).relation,
                global: false,
                join_operator: match inserts {
                    true => ast::JoinOperator::LeftOuter(on),
                    false => ast::JoinOperator::Inner(on),
                },
            });
            let rows = query(*select(items, vec![joined]).body);
            let query = query::plan_in(state, &catalog, &info, rows, &params, scope)?;
            Ok(MergePlan {
                target: target.clone(),
                actions,
                query,
            })
        })
    }
}

impl Reading<'_> {
    fn read(&mut self, action: &ast::MergeAction) -> Result<()> {
        let number = self.actions.len();
        let at = self.values.len();
        let action = match action {
            action if does_nothing(action) => Action::Nothing,
            ast::MergeAction::Delete { .. } => Action::Delete,
            ast::MergeAction::Update(update) => {
                if update.update_predicate.is_some() || update.delete_predicate.is_some() {
                    return Err(syntax("syntax error at or near \"WHERE\"".to_owned()));
                }
                let mut places = Vec::new();
                for (column, value) in flatten_assignments(&update.assignments)? {
                    let place = find_column(self.target, &column)?;
                    if places.contains(&place) {
                        return Err(syntax(format!(
                            "multiple assignments to same column \"{column}\""
                        )));
                    }
                    let value = default_or(self.target, place, value)?;
                    let ty = &self.target.meta.columns[place].ty;
                    assign::infer_parameter(&mut self.params, &value, ty);
                    places.push(place);
                    self.values.push((number, value));
                }
                Action::Update(places, at)
            }
            ast::MergeAction::Insert(insert) if is_of_defaults(insert) => {
                Action::Insert(Vec::new(), at)
            }
            ast::MergeAction::Insert(insert) => self.read_insert(insert, number)?,
        };
        self.actions.push(action);
        Ok(())
    }

    fn read_insert(&mut self, insert: &ast::MergeInsertExpr, number: usize) -> Result<Action> {
        let at = self.values.len();
        let ast::MergeInsertKind::Values(values) = &insert.kind else {
            return Err(syntax("syntax error at or near \"ROW\"".to_owned()));
        };
        let [row] = values.rows.as_slice() else {
            return Err(syntax("syntax error at or near \",\"".to_owned()));
        };
        if insert.insert_predicate.is_some() {
            return Err(syntax("syntax error at or near \"WHERE\"".to_owned()));
        }
        let (columns, overriding) = take_overriding(&insert.columns);
        let all = insert_places(self.target, columns)?;
        check_width(row.content.len(), all.len(), !columns.is_empty())?;
        let mut places = Vec::new();
        for (place, value) in all.into_iter().zip(&row.content) {
            if assign::is_default(value) || is_ignored(self.target, place, overriding) {
                continue;
            }
            check_identity(self.target, place, overriding)?;
            let mut value = value.clone();
            self.of_source(&mut value)?;
            let ty = &self.target.meta.columns[place].ty;
            assign::infer_parameter(&mut self.params, &value, ty);
            places.push(place);
            self.values.push((number, value));
        }
        Ok(Action::Insert(places, at))
    }

    /// Makes an expression one of the source alone: it is evaluated where there is no row of the target.
    fn of_source(&self, expr: &mut Expr) -> Result<()> {
        let mut narrow = OfSource {
            reading: self,
            depth: 0,
        };
        match expr.visit(&mut narrow) {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => Ok(()),
        }
    }
}

/// Names in an expression of the source alone. Those in queries inside it have a scope of their own first.
struct OfSource<'a> {
    reading: &'a Reading<'a>,
    depth: usize,
}

impl VisitorMut for OfSource<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, _query: &mut ast::Query) -> ControlFlow<SqlError> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut ast::Query) -> ControlFlow<SqlError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<SqlError> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        let Reading {
            alias,
            target,
            source,
            ..
        } = self.reading;
        let elsewhere = |error: SqlError, what: String| {
            ControlFlow::Break(error.with_hint(format!(
                "There is {what} \"{alias}\", but it cannot be referenced from this part of the query."
            )))
        };
        match e {
            Expr::CompoundIdentifier(names) if names.len() == 2 && fold(&names[0]) == *alias => {
                let message =
                    format!("invalid reference to FROM-clause entry for table \"{alias}\"");
                return elsewhere(
                    SqlError::new(state::UNDEFINED_TABLE, message),
                    "an entry for table".to_owned(),
                );
            }
            Expr::Identifier(name) => {
                let column = fold(name);
                let is_of_target = target.meta.columns.iter().any(|c| c.name == column);
                match source {
                    Some((source, columns)) if is_of_target && columns.contains(&column) => {
                        *e = column_expr(source, &column);
                    }
                    Some(_) if is_of_target => {
                        let message = format!("column \"{column}\" does not exist");
                        return elsewhere(
                            SqlError::new(state::UNDEFINED_COLUMN, message),
                            format!("a column named \"{column}\" in table"),
                        );
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Whether OVERRIDING USER VALUE has a column's value come from its sequence.
pub(crate) fn is_ignored(
    target: &WriteTarget,
    place: usize,
    overriding: Option<Overriding>,
) -> bool {
    let id = target.meta.columns[place].id;
    let identity = target.meta.table.columns[usize::from(id.0)].identity;
    overriding == Some(Overriding::User) && identity.is_some()
}

/// The one name of the source's columns.
fn alias_of(source: &ast::TableFactor) -> Result<Option<String>> {
    Ok(match source {
        ast::TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(fold(&alias.name)),
            None => parts(name)?.pop(),
        },
        ast::TableFactor::Derived { alias, .. } => alias.as_ref().map(|a| fold(&a.name)),
        _ => None,
    })
}

/// The number of the action of the first clause whose condition holds.
fn choice(whens: &[(usize, Option<Expr>)]) -> Expr {
    let none = || Expr::UnaryOp {
        op: ast::UnaryOperator::Minus,
        expr: Box::new(integer(1)),
    };
    let mut conditions = Vec::new();
    for (number, condition) in whens {
        match condition {
            Some(condition) => conditions.push((condition.clone(), integer(*number))),
            None if conditions.is_empty() => return integer(*number),
            None => return case(conditions, Some(integer(*number))),
        }
    }
    match conditions.is_empty() {
        true => none(),
        false => case(conditions, Some(none())),
    }
}

fn case(conditions: Vec<(Expr, Expr)>, otherwise: Option<Expr>) -> Expr {
    let conditions = conditions
        .into_iter()
        .map(|(condition, result)| ast::CaseWhen { condition, result });
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: conditions.collect(),
        else_result: otherwise.map(Box::new),
    }
}

fn integer(number: usize) -> Expr {
    Expr::value(ast::Value::Number(number.to_string(), false))
}

fn named(expr: Expr, name: String) -> SelectItem {
    SelectItem::ExprWithAlias {
        expr,
        alias: quoted_ident(&name),
    }
}

/// Whether computing a value can neither fail nor be noticed.
fn is_plain(value: &Expr) -> bool {
    match value {
        Expr::Value(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_) => true,
        Expr::Nested(inner) => is_plain(inner),
        _ => false,
    }
}

/// Whether a condition may be another each time it is asked: then what depends on it cannot ask again.
fn is_volatile(state: &SessionState, session: &Session, condition: &Expr) -> bool {
    let functions = session.info.functions();
    let found = ast::visit_expressions(condition, |e| {
        let Expr::Function(call) = e else {
            return ControlFlow::Continue(());
        };
        let name = parts(&call.name).ok().and_then(|mut parts| parts.pop());
        let name = name.unwrap_or_default();
        let own = crate::session::functions::lookup(&name, &session.info);
        let known = own
            .map(|found| found.function)
            .or_else(|| functions.scalar(&name))
            .or_else(|| state.scalar_functions().get(&name).cloned());
        let changes = known.is_some_and(|f| f.signature().volatility == Volatility::Volatile)
            || crate::routine::is_volatile(call, &functions);
        match changes {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    found.is_break()
}

fn syntax(message: String) -> SqlError {
    SqlError::new(state::SYNTAX_ERROR, message)
}

impl MergePlan {
    /// Runs it: the number of rows written, or `None` when one has changed meanwhile.
    pub fn run(
        &self,
        session: &mut Session,
        state: &mut LazyState,
        writer: &mut Writer,
        view: ReadView,
        params: &[ScalarValue],
    ) -> Result<Option<u64>> {
        let handle = session.instance.handle().clone();
        let interrupt = session.interrupt.clone();
        let context = session.statement_context(view);
        let mut rows = self
            .query
            .start(&session.instance, state, context, params)?;
        let mut seen = HashSet::new();
        let mut count = 0;
        while let Some(batch) = rows.next_batch(&handle, Some(&interrupt))? {
            match self.batch(session, state, writer, &batch, &mut seen)? {
                Some(rows) => count += rows,
                None => return Ok(None),
            }
        }
        Ok(Some(count))
    }

    fn batch(
        &self,
        session: &mut Session,
        state: &LazyState,
        writer: &mut Writer,
        batch: &RecordBatch,
        seen: &mut HashSet<RowId>,
    ) -> Result<Option<u64>> {
        let chosen = batch
            .column(ACTION)
            .as_primitive_opt::<Int32Type>()
            .ok_or_else(|| SqlError::internal("MERGE without the numbers of its actions"))?;
        let mut count = 0;
        // What is deleted makes room for what is updated, and that for what is new.
        let rank = |action: &Action| match action {
            Action::Nothing => 0,
            Action::Delete => 1,
            Action::Update(..) => 2,
            Action::Insert(..) => 3,
        };
        let mut order: Vec<usize> = (0..self.actions.len()).collect();
        order.sort_by_key(|number| rank(&self.actions[*number]));
        for number in order {
            let action = &self.actions[number];
            let wanted = i32::try_from(number).unwrap_or(i32::MAX);
            let picked: Vec<u64> = (0u64..)
                .zip(chosen.values())
                .filter(|(_, chosen)| **chosen == wanted)
                .map(|(row, _)| row)
                .collect();
            if picked.is_empty() || matches!(action, Action::Nothing) {
                continue;
            }
            let batch = take_record_batch(batch, &UInt64Array::from(picked))?;
            count += batch.num_rows() as u64;
            match action {
                Action::Nothing => {}
                Action::Insert(places, at) => {
                    self.insert(session, state, writer, &batch, places, *at)?;
                }
                Action::Delete => {
                    let Some(rows) =
                        self.lock(session, writer, &batch, RowLockMode::Update, seen)?
                    else {
                        return Ok(None);
                    };
                    writer.delete(session, &self.target, &rows)?;
                }
                Action::Update(places, at) => {
                    let mode = match self.target.changes_key(places) {
                        true => RowLockMode::Update,
                        false => RowLockMode::NoKeyUpdate,
                    };
                    let Some(rows) = self.lock(session, writer, &batch, mode, seen)? else {
                        return Ok(None);
                    };
                    self.update(session, state, writer, &batch, &rows, places, *at)?;
                }
            }
        }
        Ok(Some(count))
    }

    /// Locks the rows; `None` when they are not all as the snapshot has them.
    fn lock(
        &self,
        session: &mut Session,
        writer: &mut Writer,
        batch: &RecordBatch,
        mode: RowLockMode,
        seen: &mut HashSet<RowId>,
    ) -> Result<Option<Vec<RowId>>> {
        let rows = row_ids(batch)?;
        // Another part of the statement may have had one, too.
        let again = |row: &RowId| writer.has_changed(self.collection(), *row);
        if rows.iter().any(again) || !rows.iter().all(|row| seen.insert(*row)) {
            return Err(SqlError::new(
                state::CARDINALITY_VIOLATION,
                "MERGE command cannot affect row a second time",
            )
            .with_hint("Ensure that not more than one source row matches any one target row."));
        }
        let wait = session.lock_wait();
        let transaction = session.transaction()?;
        let LockedRows { unchanged, .. } =
            lock_rows(transaction, self.collection(), &rows, mode, wait)?;
        if unchanged.len() < rows.len() {
            return Ok(None);
        }
        writer.note_changed(self.collection(), &rows);
        Ok(Some(rows))
    }

    fn insert(
        &self,
        session: &mut Session,
        state: &LazyState,
        writer: &mut Writer,
        batch: &RecordBatch,
        places: &[usize],
        at: usize,
    ) -> Result<()> {
        let values = batch.columns()[at..].iter();
        let given = places.iter().zip(values);
        let given = given
            .map(|(place, array)| self.assigned(*place, array, writer))
            .collect::<Result<Vec<_>>>()?;
        let rows = batch.num_rows();
        let columns = complete(state, &self.target, places, given, rows, &writer.format)?;
        let batch = writer.check_rows(session, state, &self.target, (columns, rows), None)?;
        writer.insert(session, &self.target, batch)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one statement's execution"
    )]
    fn update(
        &self,
        session: &mut Session,
        state: &LazyState,
        writer: &mut Writer,
        batch: &RecordBatch,
        rows: &[RowId],
        places: &[usize],
        at: usize,
    ) -> Result<()> {
        let width = self.target.meta.columns.len();
        let mut columns = batch.columns()[ACTION + 1..=ACTION + width].to_vec();
        for (place, array) in places.iter().zip(&batch.columns()[at..]) {
            columns[*place] = self.assigned(*place, array, writer)?;
        }
        let new = writer.check_rows(
            session,
            state,
            &self.target,
            (columns, rows.len()),
            Some(places),
        )?;
        writer.update(session, &self.target, rows, &new, places)
    }

    fn assigned(&self, place: usize, array: &ArrayRef, writer: &Writer) -> Result<ArrayRef> {
        let meta = &self.target.meta;
        let ty = meta.schema.field(place).data_type();
        assign::to_column(array, &meta.columns[place], ty, &writer.format)
    }
}
