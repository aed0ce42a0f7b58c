//! Correlated subqueries that no join can stand for, run once per outer row.
//!
//! DataFusion turns correlated subqueries into joins where it can and refuses the rest: a scalar
//! subquery that is not an aggregate, one with ORDER BY and LIMIT, one whose outer columns are used
//! two levels down, EXISTS and IN as values, `ARRAY(SELECT …)`, and most of LATERAL. [`Subplans`], the last analyzer rule, replaces these by a
//! function of the outer columns they use. [`bind`] gives those functions of a plan the means to run
//! their queries: the session state of the statement.
//!
//! 1. The rule sees typed plans, and leaves alone what DataFusion can do.
//! 2. A function's arguments are the outer columns, so that CASE and AND decide, as for any other
//!    function, which rows it is called for.
//! 3. Rows with the same outer values share one run.
//! 4. A scalar subquery that gives two rows is 21000.
//! 5. Between two runs the statement's interrupt is looked at: a batch of rows may take as many runs, and an
//!    executor takes a thread back only between batches.
//! 6. IN is a join only where that is right with NULLs, too ([`null_in`]).

mod null_in;

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ListArray, NullArray, RecordBatch, StructArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{
    Column, DFSchema, DataFusionError, JoinType, ParamValues, Result, UnnestOptions,
};
use datafusion::config::ConfigOptions;
use datafusion::execution::SessionState;
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::expr::{InSubquery, ScalarFunction};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, Join, LogicalPlan, LogicalPlanBuilder, Operator, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Subquery, Volatility, not,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::scalar::ScalarValue;

use crate::error::{SqlError, state};
use crate::pg_catalog::PG_TYPE_KEY;
use crate::pg_catalog::builtin::builtin_type;
use crate::plan::state::CurrentStatement;

/// What `ARRAY(SELECT …)` is written as for the planner: a function of a scalar subquery.
pub const ARRAY_SUBQUERY: &str = "array_subquery";

/// The function [`ARRAY_SUBQUERY`], which only exists until the rule has run.
pub fn array_subquery() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(ArraySubquery {
        signature: Signature::any(1, Volatility::Volatile),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ArraySubquery {
    signature: Signature,
}

impl ScalarUDFImpl for ArraySubquery {
    fn name(&self) -> &str {
        ARRAY_SUBQUERY
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        let item = args.first().cloned().unwrap_or(DataType::Null);
        Ok(list_of(&item))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(internal("ARRAY(SELECT …) was not planned"))
    }
}

/// An array of an array is one of the same type in PostgreSQL; of anything else, its array type.
fn list_of(item: &DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item.clone(), true)))
}

fn internal(message: &str) -> DataFusionError {
    DataFusionError::External(Box::new(SqlError::internal(message)))
}

/// The analyzer rule. It comes after type coercion.
#[derive(Debug, Default)]
pub struct Subplans;

impl AnalyzerRule for Subplans {
    fn name(&self) -> &str {
        "subplans"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let mut laterals = 0;
        let plan = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Join(join) => lateral(join, &mut laterals),
            node => replace_in_node(node),
        })?;
        if !plan.transformed {
            return Ok(plan.data);
        }
        // A subplan may be null, and so may rows of an unnested array, where the column of the
        // relation could not.
        plan.data
            .transform_up_with_subqueries(|node| Ok(Transformed::yes(node.recompute_schema()?)))
            .data()
    }
}

/// A LATERAL relation whose rows DataFusion cannot get by a join: an array of its rows per row of
/// the left side, unnested.
fn lateral(join: Join, count: &mut usize) -> Result<Transformed<LogicalPlan>> {
    let subquery = match join.right.as_ref() {
        LogicalPlan::Subquery(s) => s,
        LogicalPlan::SubqueryAlias(a) => match a.input.as_ref() {
            LogicalPlan::Subquery(s) => s,
            _ => return replace_in_node(LogicalPlan::Join(join)),
        },
        _ => return replace_in_node(LogicalPlan::Join(join)),
    };
    let is_left = join.join_type == JoinType::Left;
    let unconditional = join.on.is_empty()
        && join
            .filter
            .as_ref()
            .is_none_or(|f| matches!(f, Expr::Literal(ScalarValue::Boolean(Some(true)), _)));
    if reads_outside_in_filters_only(&subquery.subquery)
        || !(join.join_type == JoinType::Inner || (is_left && unconditional))
    {
        return replace_in_node(LogicalPlan::Join(join));
    }
    *count += 1;
    let kind = if is_left {
        Kind::RowsOrNull
    } else {
        Kind::Rows
    };
    let rows = subplan(kind, subquery, join.left.schema(), Vec::new())?;
    // No SQL text can name it.
    let array = format!("\u{1}lateral{count}");
    let mut first: Vec<Expr> = join
        .left
        .schema()
        .columns()
        .into_iter()
        .map(Expr::Column)
        .collect();
    let mut second = first.clone();
    first.push(rows.alias(&array));
    for (i, (qualifier, field)) in join.right.schema().iter().enumerate() {
        let value = get_field(Expr::Column(Column::new_unqualified(&array)), row_field(i));
        second.push(value.alias_qualified(qualifier.cloned(), field.name()));
    }
    let options = UnnestOptions::new().with_preserve_nulls(is_left);
    let mut plan = LogicalPlanBuilder::from(Arc::unwrap_or_clone(join.left))
        .project(first)?
        .unnest_column_with_options(Column::new_unqualified(&array), options)?
        .project(second)?;
    for (left, right) in join.on {
        plan = plan.filter(left.eq(right))?;
    }
    if let Some(filter) = join.filter {
        plan = plan.filter(filter)?;
    }
    Ok(Transformed::yes(plan.build()?))
}

/// The name of a column in the array of a LATERAL relation's rows.
fn row_field(at: usize) -> String {
    format!("f{at}")
}

/// Replaces the subqueries of one node. Those inside them are replaced already.
fn replace_in_node(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if node.inputs().is_empty() {
        return Ok(Transformed::no(node));
    }
    let input = input_schema(&node)?;
    let schema = node.schema().clone();
    let is_filter = matches!(node, LogicalPlan::Filter(_));
    let mapped = node.map_expressions(|expr| {
        let name = expr.schema_name().to_string();
        let expr = match is_filter {
            true => null_in::exact(expr, &input, true)?,
            false => Transformed::no(expr),
        };
        let changed =
            expr.transform_data(|expr| expr.transform_up(|e| replace(e, &input, is_filter)))?;
        if !changed.transformed {
            return Ok(changed);
        }
        // The node's output keeps its names; only top-level expressions have any.
        Ok(changed.update_data(|e| match e {
            Expr::Alias(_) => e,
            e if e.schema_name().to_string() == name => e,
            e if schema.fields().iter().any(|f| *f.name() == name) => e.alias(name),
            e => e,
        }))
    })?;
    if !mapped.transformed {
        return Ok(mapped);
    }
    mapped.map_data(LogicalPlan::recompute_schema)
}

/// `is_filter`: the expression is the condition of a filter, where DataFusion has joins for EXISTS
/// and IN.
fn replace(expr: Expr, input: &DFSchema, is_filter: bool) -> Result<Transformed<Expr>> {
    match expr {
        Expr::ScalarFunction(f) if f.func.name() == ARRAY_SUBQUERY => {
            match f.args.into_iter().next() {
                Some(Expr::ScalarSubquery(subquery)) => Ok(Transformed::yes(subplan(
                    Kind::Array,
                    &subquery,
                    input,
                    Vec::new(),
                )?)),
                Some(Expr::ScalarFunction(scalar)) => {
                    // The subquery inside was taken for a scalar one on the way up.
                    let Some(inner) = scalar.func.inner().downcast_ref::<Subplan>() else {
                        return Err(internal("ARRAY() of something else"));
                    };
                    let array = Subplan {
                        kind: Kind::Array,
                        ..inner.clone()
                    };
                    Ok(Transformed::yes(array.call(scalar.args)))
                }
                _ => Err(internal("ARRAY() without a subquery")),
            }
        }
        Expr::ScalarSubquery(subquery) if !can_be_joined(&subquery) => {
            let value = subplan(Kind::Scalar, &subquery, input, Vec::new())?;
            Ok(Transformed::yes(value))
        }
        Expr::Exists(e) if !is_filter || !reads_outside_in_filters_only(&e.subquery.subquery) => {
            let value = subplan(Kind::Exists, &e.subquery, input, Vec::new())?;
            let value = if e.negated { not(value) } else { value };
            Ok(Transformed::yes(value))
        }
        Expr::InSubquery(e)
            if !is_filter || !reads_outside_in_filters_only(&e.subquery.subquery) =>
        {
            Ok(Transformed::yes(in_subplan(e, input)?))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// IN as a function.
fn in_subplan(e: InSubquery, input: &DFSchema) -> Result<Expr> {
    let value = subplan(Kind::In, &e.subquery, input, vec![*e.expr])?;
    Ok(if e.negated { not(value) } else { value })
}

/// Whether DataFusion turns a scalar subquery into a join, or runs it once.
fn can_be_joined(subquery: &Subquery) -> bool {
    if outer_columns(&subquery.subquery).is_empty() {
        return true;
    }
    let mut plan = subquery.subquery.as_ref();
    // Above the aggregate: nothing that reads outer columns or picks rows.
    let aggregate = loop {
        match plan {
            LogicalPlan::Projection(p) => {
                if p.expr.iter().any(reads_outside) {
                    return false;
                }
                plan = &p.input;
            }
            LogicalPlan::SubqueryAlias(a) => plan = &a.input,
            LogicalPlan::Aggregate(a) => break a,
            _ => return false,
        }
    };
    if !aggregate.group_expr.is_empty() || aggregate.aggr_expr.iter().any(reads_outside) {
        return false;
    }
    reads_outside_in_filters_only(&aggregate.input) && groups_by_outer(&aggregate.input)
}

/// Whether every condition of a plan on outer columns is `column = outer`, so that an aggregate over
/// the plan can be grouped by the column and joined.
fn groups_by_outer(plan: &LogicalPlan) -> bool {
    let is_column = |e: &Expr| match e {
        Expr::Column(_) => true,
        Expr::Cast(c) => matches!(*c.expr, Expr::Column(_)),
        _ => false,
    };
    let groups = |e: &Expr| match e {
        Expr::BinaryExpr(b) if b.op == Operator::Eq => {
            (is_column(&b.left) && !b.right.any_column_refs())
                || (is_column(&b.right) && !b.left.any_column_refs())
        }
        _ => false,
    };
    let found = plan.exists(|node| {
        let LogicalPlan::Filter(f) = node else {
            return Ok(false);
        };
        let mut conditions = split_conjunction(&f.predicate).into_iter();
        Ok(conditions.any(|e| reads_outside(e) && !groups(e)))
    });
    matches!(found, Ok(false))
}

/// Whether a plan uses outer columns only in conditions on plain relations, which become conditions
/// of a join.
fn reads_outside_in_filters_only(plan: &LogicalPlan) -> bool {
    if outer_columns(plan).is_empty() {
        return true;
    }
    let mut plain = true;
    let walked = plan.apply(|node| {
        match node {
            LogicalPlan::Filter(f) => plain &= !contains_subquery(&f.predicate),
            LogicalPlan::TableScan(_) => {}
            // What is pulled up through an alias would lose its qualifier.
            LogicalPlan::SubqueryAlias(a) => plain &= outer_columns(&a.input).is_empty(),
            LogicalPlan::EmptyRelation(_) => {}
            LogicalPlan::Projection(p) => plain &= !p.expr.iter().any(reads_outside),
            LogicalPlan::Join(j) => plain &= !j.filter.iter().any(reads_outside),
            _ => plain = false,
        }
        Ok(if plain {
            TreeNodeRecursion::Continue
        } else {
            TreeNodeRecursion::Stop
        })
    });
    walked.is_ok() && plain
}

fn reads_outside(expr: &Expr) -> bool {
    expr.exists(|e| Ok(matches!(e, Expr::OuterReferenceColumn(..))))
        .unwrap_or(true)
        || contains_subquery(expr)
}

fn contains_subquery(expr: &Expr) -> bool {
    expr.exists(|e| {
        Ok(matches!(
            e,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
        ))
    })
    .unwrap_or(true)
}

/// The outer columns a plan uses, itself and in its subqueries, each once. What a subquery inside
/// takes from this plan is not one of them.
fn outer_columns(plan: &LogicalPlan) -> Vec<(FieldRef, Column)> {
    let mut found = Vec::new();
    let walked = collect_outer(plan, &mut found);
    debug_assert!(walked.is_ok(), "the walk itself returns no error");
    found
}

fn collect_outer(plan: &LogicalPlan, found: &mut Vec<(FieldRef, Column)>) -> Result<()> {
    let add = |found: &mut Vec<(FieldRef, Column)>, field: &FieldRef, column: &Column| {
        if !found.iter().any(|(_, c)| c == column) {
            found.push((field.clone(), column.clone()));
        }
    };
    plan.apply_expressions(|expr| {
        expr.apply(|e| {
            if let Expr::OuterReferenceColumn(field, column) = e {
                add(found, field, column);
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    let input = input_schema(plan)?;
    plan.apply_subqueries(|subquery| {
        let mut inner = Vec::new();
        collect_outer(subquery, &mut inner)?;
        for (field, column) in inner.iter().filter(|(_, c)| !input.has_column(c)) {
            add(found, field, column);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if let LogicalPlan::Join(join) = plan {
        collect_outer(&join.left, found)?;
        let mut inner = Vec::new();
        collect_outer(&join.right, &mut inner)?;
        // LATERAL: the right side may use columns of the left.
        for (field, column) in inner
            .iter()
            .filter(|(_, c)| !join.left.schema().has_column(c))
        {
            add(found, field, column);
        }
        return Ok(());
    }
    plan.inputs()
        .into_iter()
        .try_for_each(|child| collect_outer(child, found))
}

/// The columns a node's expressions may use.
fn input_schema(plan: &LogicalPlan) -> Result<DFSchema> {
    let mut schema = DFSchema::empty();
    for child in plan.inputs() {
        schema.merge(child.schema());
    }
    // A scan's filters use the scan's own columns.
    if let LogicalPlan::TableScan(scan) = plan {
        schema.merge(&scan.projected_schema);
    }
    Ok(schema)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Scalar,
    Array,
    Exists,
    /// The last argument is what is looked for.
    In,
    /// All rows, as an array of structs.
    Rows,
    /// The same, NULL instead of an empty array.
    RowsOrNull,
}

/// The function that a subquery becomes. `more` are arguments after the outer columns.
fn subplan(kind: Kind, subquery: &Subquery, input: &DFSchema, more: Vec<Expr>) -> Result<Expr> {
    let plan = subquery.subquery.clone();
    let outer = outer_columns(&plan);
    let mut columns = Vec::with_capacity(outer.len());
    let mut args = Vec::with_capacity(outer.len());
    for (field, column) in outer {
        // A subquery two levels down may use a column of the query around this one.
        args.push(if input.has_column(&column) {
            Expr::Column(column.clone())
        } else {
            Expr::OuterReferenceColumn(field, column.clone())
        });
        columns.push(column);
    }
    args.extend(more);
    let item = match kind {
        Kind::Rows | Kind::RowsOrNull => {
            let fields = plan.schema().fields().iter().enumerate();
            let fields: Fields = fields
                .map(|(i, f)| {
                    f.as_ref()
                        .clone()
                        .with_name(row_field(i))
                        .with_nullable(true)
                })
                .collect();
            Arc::new(Field::new_struct("row", fields, true))
        }
        // What it selects does not matter, and it may be nothing.
        Kind::Exists => Arc::new(Field::new("row", DataType::Null, true)),
        Kind::Scalar | Kind::Array | Kind::In => match plan.schema().fields().first() {
            Some(field) => field.clone(),
            None => {
                return Err(DataFusionError::External(Box::new(SqlError::new(
                    state::SYNTAX_ERROR,
                    "subquery must return a column",
                ))));
            }
        },
    };
    let subplan = Subplan {
        kind,
        plan,
        columns: columns.into(),
        item,
        state: None,
        signature: Signature::user_defined(Volatility::Volatile),
    };
    Ok(subplan.call(args))
}

#[derive(Clone)]
struct Subplan {
    kind: Kind,
    plan: Arc<LogicalPlan>,
    /// The outer columns, the first of the arguments.
    columns: Arc<[Column]>,
    /// The subquery's one output column, or its row as a struct; NULL for EXISTS.
    item: FieldRef,
    /// Set by [`bind`].
    state: Option<Arc<SessionState>>,
    signature: Signature,
}

impl Subplan {
    fn call(self, args: Vec<Expr>) -> Expr {
        let function = Arc::new(ScalarUDF::new_from_impl(self));
        Expr::ScalarFunction(ScalarFunction::new_udf(function, args))
    }

    /// The subquery's rows for one set of outer values.
    fn run(&self, state: &SessionState, values: &[ScalarValue]) -> Result<ArrayRef> {
        check_interrupt(state)?;
        let plan = self.plan.as_ref().clone();
        let plan = self.fill(plan, values, &DFSchema::empty())?;
        let plan = bind(plan, state)?;
        let plan = state.optimizer().optimize(plan, state, |_, _| {})?;
        let batches = drive(async {
            let physical = state
                .query_planner()
                .create_physical_plan(&plan, state)
                .await?;
            let physical: Arc<dyn ExecutionPlan> = physical;
            collect(physical, state.task_ctx()).await
        })?;
        let columns = batches
            .iter()
            .map(|b| self.column(b))
            .collect::<Result<Vec<_>>>()?;
        let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
        if columns.is_empty() {
            return Ok(datafusion::arrow::array::new_empty_array(
                self.item.data_type(),
            ));
        }
        Ok(concat(&columns)?)
    }

    /// What the kind needs of a batch: its column, or its rows as structs.
    fn column(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        match (self.kind, self.item.data_type()) {
            (Kind::Rows | Kind::RowsOrNull, DataType::Struct(fields)) => {
                let columns = batch.columns().to_vec();
                Ok(Arc::new(StructArray::try_new_with_length(
                    fields.clone(),
                    columns,
                    None,
                    batch.num_rows(),
                )?))
            }
            (Kind::Exists, _) => Ok(Arc::new(NullArray::new(batch.num_rows()))),
            _ => Ok(batch.column(0).clone()),
        }
    }

    /// Puts the outer values into a plan. `hidden` are columns of the same names nearer to the plan,
    /// which are meant instead.
    fn fill(
        &self,
        plan: LogicalPlan,
        values: &[ScalarValue],
        hidden: &DFSchema,
    ) -> Result<LogicalPlan> {
        let input = input_schema(&plan)?;
        let plan = plan
            .map_expressions(|expr| {
                expr.transform_up(|e| {
                    let Expr::OuterReferenceColumn(_, column) = &e else {
                        return Ok(Transformed::no(e));
                    };
                    if hidden.has_column(column) {
                        return Ok(Transformed::no(e));
                    }
                    let at = self.columns.iter().position(|c| c == column);
                    Ok(match at.and_then(|i| values.get(i)) {
                        Some(value) => Transformed::yes(Expr::Literal(value.clone(), None)),
                        None => Transformed::no(e),
                    })
                })
            })
            .data()?;
        let mut inner = hidden.clone();
        inner.merge(&input);
        let plan = plan
            .map_subqueries(|subquery| match subquery {
                LogicalPlan::Subquery(s) => {
                    let filled = self.fill_subquery(s, values, &inner)?;
                    Ok(Transformed::yes(LogicalPlan::Subquery(filled)))
                }
                other => Ok(Transformed::no(other)),
            })
            .data()?;
        match plan {
            LogicalPlan::Join(mut join) => {
                let mut right = hidden.clone();
                right.merge(join.left.schema());
                join.left = Arc::new(self.fill(Arc::unwrap_or_clone(join.left), values, hidden)?);
                join.right =
                    Arc::new(self.fill(Arc::unwrap_or_clone(join.right), values, &right)?);
                Ok(LogicalPlan::Join(join))
            }
            // In FROM. One that uses nothing from outside any more is a relation like any other.
            LogicalPlan::Subquery(subquery) => {
                let filled = self.fill_subquery(subquery, values, hidden)?;
                Ok(if filled.outer_ref_columns.is_empty() {
                    Arc::unwrap_or_clone(filled.subquery)
                } else {
                    LogicalPlan::Subquery(filled)
                })
            }
            plan => plan
                .map_children(|child| self.fill(child, values, hidden).map(Transformed::yes))
                .data(),
        }
    }

    fn fill_subquery(
        &self,
        subquery: Subquery,
        values: &[ScalarValue],
        hidden: &DFSchema,
    ) -> Result<Subquery> {
        let plan = self.fill(Arc::unwrap_or_clone(subquery.subquery), values, hidden)?;
        let outer_ref_columns = outer_columns(&plan)
            .into_iter()
            .map(|(field, column)| Expr::OuterReferenceColumn(field, column))
            .collect();
        Ok(Subquery {
            subquery: Arc::new(plan),
            outer_ref_columns,
            spans: subquery.spans,
        })
    }

    /// What the rows are as a value. `wanted` is what IN looks for.
    fn value(&self, rows: &ArrayRef, wanted: Option<&ScalarValue>) -> Result<ScalarValue> {
        match self.kind {
            Kind::RowsOrNull if rows.is_empty() => ScalarValue::try_from(list_of(rows.data_type())),
            Kind::Array | Kind::Rows | Kind::RowsOrNull => {
                let offsets = OffsetBuffer::from_lengths([rows.len()]);
                let field = Arc::new(Field::new_list_field(rows.data_type().clone(), true));
                let list = ListArray::try_new(field, offsets, rows.clone(), None)?;
                Ok(ScalarValue::List(Arc::new(list)))
            }
            Kind::Scalar => match rows.len() {
                0 => ScalarValue::try_from(self.item.data_type()),
                1 => ScalarValue::try_from_array(rows, 0),
                _ => Err(DataFusionError::External(Box::new(SqlError::new(
                    state::CARDINALITY_VIOLATION,
                    "more than one row returned by a subquery used as an expression",
                )))),
            },
            Kind::Exists => Ok(ScalarValue::Boolean(Some(!rows.is_empty()))),
            Kind::In => {
                let wanted = wanted.ok_or_else(|| internal("IN without a value"))?;
                let mut unknown = wanted.is_null() && !rows.is_empty();
                if !wanted.is_null() {
                    for row in 0..rows.len() {
                        if rows.is_null(row) {
                            unknown = true;
                        } else if ScalarValue::try_from_array(rows, row)? == *wanted {
                            return Ok(ScalarValue::Boolean(Some(true)));
                        }
                    }
                }
                Ok(ScalarValue::Boolean((!unknown).then_some(false)))
            }
        }
    }
}

/// An error once the statement is told to stop.
fn check_interrupt(state: &SessionState) -> Result<()> {
    let current = state.config().get_extension::<CurrentStatement>();
    let context = current.as_ref().and_then(|current| current.0.as_ref());
    match context.is_some_and(|context| context.interrupt.is_canceled()) {
        true => {
            let canceled = SqlError::from(heliosdb_storage::Error::Canceled);
            Err(DataFusionError::External(Box::new(canceled)))
        }
        false => Ok(()),
    }
}

/// Runs a future to its end from inside another: on a thread of its own, because the one at hand
/// may be a worker of the runtime whose tasks the future waits for.
fn drive<T: Send>(future: impl Future<Output = Result<T>> + Send) -> Result<T> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|e| internal(&format!("a runtime for a subquery: {e}")))?;
        runtime.block_on(future)
    };
    std::thread::scope(|scope| {
        scope
            .spawn(run)
            .join()
            .unwrap_or_else(|_| Err(internal("a subquery panicked")))
    })
}

/// The exact type of an array of a column's values, where the column tells its own.
fn array_metadata(item: &Field) -> HashMap<String, String> {
    let element = item
        .metadata()
        .get(PG_TYPE_KEY)
        .and_then(|oid| oid.parse().ok());
    let array = element
        .and_then(builtin_type)
        .map(|t| t.array)
        .filter(|oid| *oid != 0);
    array
        .map(|oid| (PG_TYPE_KEY.to_owned(), oid.to_string()))
        .into_iter()
        .collect()
}

impl std::fmt::Debug for Subplan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subplan")
            .field("kind", &self.kind)
            .field("columns", &self.columns)
            .finish()
    }
}

impl PartialEq for Subplan {
    fn eq(&self, other: &Subplan) -> bool {
        self.kind == other.kind && (Arc::ptr_eq(&self.plan, &other.plan) || self.plan == other.plan)
    }
}

impl Eq for Subplan {}

impl Hash for Subplan {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
        self.plan.hash(state);
    }
}

impl ScalarUDFImpl for Subplan {
    fn name(&self) -> &str {
        "subplan"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        Ok(args.to_vec())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Scalar => self.item.data_type().clone(),
            Kind::Array | Kind::Rows | Kind::RowsOrNull => list_of(self.item.data_type()),
            Kind::Exists | Kind::In => DataType::Boolean,
        })
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = Field::new(self.name(), self.return_type(&[])?, true);
        // A scalar subquery's value is of its column's exact type.
        Ok(Arc::new(match self.kind {
            Kind::Scalar => field.with_metadata(self.item.metadata().clone()),
            Kind::Array => field.with_metadata(array_metadata(&self.item)),
            _ => field,
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(state) = &self.state else {
            return Err(internal("a subquery was not bound to its statement"));
        };
        let constant = args
            .args
            .iter()
            .all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let count = if constant { 1 } else { args.number_rows };
        let arrays = args
            .args
            .iter()
            .map(|a| a.to_array(count))
            .collect::<Result<Vec<_>>>()?;
        let mut known: HashMap<Vec<ScalarValue>, ArrayRef> = HashMap::new();
        let mut results = Vec::with_capacity(count);
        for row in 0..count {
            let mut outer = arrays
                .iter()
                .map(|a| ScalarValue::try_from_array(a, row))
                .collect::<Result<Vec<_>>>()?;
            let wanted = outer.split_off(self.columns.len().min(outer.len())).pop();
            let rows = match known.get(&outer) {
                Some(rows) => rows.clone(),
                None => {
                    let rows = self.run(state, &outer)?;
                    known.insert(outer, rows.clone());
                    rows
                }
            };
            results.push(self.value(&rows, wanted.as_ref())?);
        }
        if constant {
            let value = results
                .pop()
                .ok_or_else(|| internal("a subquery without a value"))?;
            return Ok(ColumnarValue::Scalar(value));
        }
        if results.is_empty() {
            let empty = datafusion::arrow::array::new_empty_array(&self.return_type(&[])?);
            return Ok(ColumnarValue::Array(empty));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(results)?))
    }
}

/// Gives the subqueries of a plan that is about to run the state to run them with.
pub fn bind(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let mut shared: Option<Arc<SessionState>> = None;
    plan.transform_down_with_subqueries(|node| {
        if node.inputs().is_empty() {
            return Ok(Transformed::no(node));
        }
        node.map_expressions(|expr| {
            expr.transform_up(|e| match e {
                Expr::ScalarFunction(f) if f.func.inner().is::<Subplan>() => {
                    let Some(unbound) = f.func.inner().downcast_ref::<Subplan>() else {
                        return Ok(Transformed::no(Expr::ScalarFunction(f)));
                    };
                    let state = shared
                        .get_or_insert_with(|| Arc::new(state.clone()))
                        .clone();
                    let bound = Subplan {
                        state: Some(state),
                        ..unbound.clone()
                    };
                    Ok(Transformed::yes(bound.call(f.args)))
                }
                e => Ok(Transformed::no(e)),
            })
        })
    })
    .data()
}

/// Replaces the parameters of a plan, those in its subqueries included.
pub fn with_parameters(plan: LogicalPlan, values: &ParamValues) -> Result<LogicalPlan> {
    let plan = plan.replace_params_with_values(values)?;
    plan.transform_down_with_subqueries(|node| {
        if node.inputs().is_empty() {
            return Ok(Transformed::no(node));
        }
        node.map_expressions(|expr| {
            expr.transform_up(|e| {
                let Expr::ScalarFunction(f) = e else {
                    return Ok(Transformed::no(e));
                };
                let Some(subplan) = f.func.inner().downcast_ref::<Subplan>() else {
                    return Ok(Transformed::no(Expr::ScalarFunction(f)));
                };
                let plan = with_parameters(subplan.plan.as_ref().clone(), values)?;
                let filled = Subplan {
                    plan: Arc::new(plan),
                    ..subplan.clone()
                };
                Ok(Transformed::yes(filled.call(f.args)))
            })
        })
    })
    .data()
}

/// Whether an expression is a subquery that this module runs.
pub fn is_subplan(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(f) if f.func.inner().is::<Subplan>())
}

/// The plans of all subqueries that this module runs for a plan.
pub fn plans_inside(plan: &LogicalPlan) -> Result<Vec<Arc<LogicalPlan>>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::ScalarFunction(f) = e
                    && let Some(subplan) = f.func.inner().downcast_ref::<Subplan>()
                {
                    found.extend(plans_inside(&subplan.plan)?);
                    found.push(subplan.plan.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}
