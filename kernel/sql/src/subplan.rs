//! Correlated subqueries that no join can stand for, run once per outer row.
//!
//! DataFusion turns correlated subqueries into joins where it can and refuses the rest: a scalar
//! subquery that is not an aggregate, one with ORDER BY and LIMIT, one whose outer columns are used
//! two levels down, and `ARRAY(SELECT …)`. [`Subplans`], the last analyzer rule, replaces these by a
//! function of the outer columns they use. [`bind`] gives those functions of a plan the means to run
//! their queries: the session state of the statement.
//!
//! 1. The rule sees typed plans, and leaves alone what DataFusion can do.
//! 2. A function's arguments are the outer columns, so that CASE and AND decide, as for any other
//!    function, which rows it is called for.
//! 3. Rows with the same outer values share one run.
//! 4. A scalar subquery that gives two rows is 21000.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ListArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, Result};
use datafusion::config::ConfigOptions;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Subquery, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::scalar::ScalarValue;

use crate::error::{SqlError, state};

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
        plan.transform_up_with_subqueries(replace_in_node).data()
    }
}

/// Replaces the subqueries of one node. Those inside them are replaced already.
fn replace_in_node(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut input = DFSchema::empty();
    for child in node.inputs() {
        input.merge(child.schema());
    }
    if node.inputs().is_empty() {
        return Ok(Transformed::no(node));
    }
    let schema = node.schema().clone();
    let mapped = node.map_expressions(|expr| {
        let name = expr.schema_name().to_string();
        let changed = expr.transform_up(|e| replace(e, &input))?;
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

fn replace(expr: Expr, input: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::ScalarFunction(f) if f.func.name() == ARRAY_SUBQUERY => {
            match f.args.into_iter().next() {
                Some(Expr::ScalarSubquery(subquery)) => {
                    Ok(Transformed::yes(subplan(Kind::Array, &subquery, input)?))
                }
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
            Ok(Transformed::yes(subplan(Kind::Scalar, &subquery, input)?))
        }
        other => Ok(Transformed::no(other)),
    }
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
    // Below it: outer columns only as conditions of plain relations.
    let mut plain = true;
    let walked = aggregate.input.apply(|node| {
        match node {
            LogicalPlan::Filter(f) => plain &= !contains_subquery(&f.predicate),
            LogicalPlan::TableScan(_) | LogicalPlan::SubqueryAlias(_) => {}
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

/// The outer columns a plan uses, itself and in its subqueries, each once.
fn outer_columns(plan: &LogicalPlan) -> Vec<(FieldRef, Column)> {
    let mut found: Vec<(FieldRef, Column)> = Vec::new();
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::OuterReferenceColumn(field, column) = e
                    && !found.iter().any(|(_, c)| c == column)
                {
                    found.push((field.clone(), column.clone()));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    debug_assert!(walked.is_ok(), "the walk itself returns no error");
    found
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Scalar,
    Array,
}

/// The function that a subquery becomes.
fn subplan(kind: Kind, subquery: &Subquery, input: &DFSchema) -> Result<Expr> {
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
    let (_, field) = plan.schema().qualified_field(0);
    let item = field.clone();
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
    /// The outer columns, one per argument.
    columns: Arc<[Column]>,
    /// The subquery's one output column.
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
        let plan = self.plan.as_ref().clone();
        let plan = plan
            .transform_up_with_subqueries(|node| self.fill(node, values))
            .data()?;
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
        let columns: Vec<&dyn Array> = batches.iter().map(|b| b.column(0).as_ref()).collect();
        if columns.is_empty() {
            return Ok(datafusion::arrow::array::new_empty_array(
                self.item.data_type(),
            ));
        }
        Ok(concat(&columns)?)
    }

    /// Puts the outer values into one node.
    fn fill(&self, node: LogicalPlan, values: &[ScalarValue]) -> Result<Transformed<LogicalPlan>> {
        let filled = node.map_expressions(|expr| {
            expr.transform_up(|e| {
                let Expr::OuterReferenceColumn(_, column) = &e else {
                    return Ok(Transformed::no(e));
                };
                let at = self.columns.iter().position(|c| c == column);
                Ok(match at.and_then(|i| values.get(i)) {
                    Some(value) => Transformed::yes(Expr::Literal(value.clone(), None)),
                    None => Transformed::no(e),
                })
            })
        })?;
        // A relation in FROM that used an outer column is now one like any other.
        Ok(filled.update_data(|node| match node {
            LogicalPlan::Subquery(s) if outer_columns(&s.subquery).is_empty() => {
                Arc::unwrap_or_clone(s.subquery)
            }
            node => node,
        }))
    }

    /// What the rows are as a value.
    fn value(&self, rows: &ArrayRef) -> Result<ScalarValue> {
        match self.kind {
            Kind::Array => {
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
        }
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
            Kind::Array => list_of(self.item.data_type()),
        })
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = Field::new(self.name(), self.return_type(&[])?, true);
        // A scalar subquery's value is of its column's exact type.
        Ok(Arc::new(match self.kind {
            Kind::Scalar => field.with_metadata(self.item.metadata().clone()),
            Kind::Array => field,
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
        let mut known: HashMap<Vec<ScalarValue>, ScalarValue> = HashMap::new();
        let mut results = Vec::with_capacity(count);
        for row in 0..count {
            let outer = arrays
                .iter()
                .map(|a| ScalarValue::try_from_array(a, row))
                .collect::<Result<Vec<_>>>()?;
            let value = match known.get(&outer) {
                Some(value) => value.clone(),
                None => {
                    let value = self.value(&self.run(state, &outer)?)?;
                    known.insert(outer, value.clone());
                    value
                }
            };
            results.push(value);
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
