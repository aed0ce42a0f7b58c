//! What windows have to know before any row comes: the offsets of frames, those of `lag` and `lead`, the number of
//! `ntile` and that of `nth_value`.
//!
//! DataFusion runs windows only when these are literals. A constant expression becomes one when its plan is
//! optimised ([`Constants`], before all other rules); one with parameters keeps the plan from being optimised before
//! they are bound ([`waits_for_parameters`]). What is not the same for all rows is refused.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result as DfResult, ScalarValue};
use datafusion::execution::context::ExecutionProps;
use datafusion::functions_window::lead_lag::lag_udwf;
use datafusion::logical_expr::expr::{Alias, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, Projection, Window, WindowFrame, WindowFrameBound,
    WindowFunctionDefinition, lit,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::physical_expr::create_physical_expr;
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments, Visit, Visitor};

use super::error::wrap;
use crate::error::{SqlError, SqlState, state};
use crate::semantics::frames::{END, START};
use crate::types::PgType;

/// Where the number of a window function is among its arguments, from where on they are literals.
fn number_at(function: &str) -> Option<usize> {
    match function {
        "lag" | "lead" | "nth_value" => Some(1),
        "ntile" => Some(0),
        _ => None,
    }
}

/// Gives a parameter that stands alone as such a number its type, where it has none yet.
pub(super) fn infer(statement: &ast::Statement, types: &mut [Option<PgType>]) {
    let _ = statement.visit(&mut Inference(types));
}

struct Inference<'a>(&'a mut [Option<PgType>]);

impl Visitor for Inference<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        if let ast::Expr::Function(call) = expr
            && call.over.is_some()
            && let [ast::ObjectNamePart::Identifier(name)] = call.name.0.as_slice()
            && let Some(at) = number_at(&name.value.to_lowercase())
            && let FunctionArguments::List(list) = &call.args
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(number))) = list.args.get(at)
            && let Some(number) = crate::dml::assign::parameter(number)
            && let Some(slot) = self.0.get_mut(number - 1)
        {
            slot.get_or_insert(PgType::Int4);
        }
        ControlFlow::Continue(())
    }
}

/// Whether a window of the plan is known only when its parameters are.
pub(super) fn waits_for_parameters(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Window(window) = node {
            let mut windows = window.window_expr.iter().filter_map(function);
            found |= windows.any(|window| settled(window).any(has_parameter));
        }
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    });
    found
}

fn has_parameter(expr: &Expr) -> bool {
    expr.exists(|e| Ok(matches!(e, Expr::Placeholder(_))))
        .unwrap_or(false)
}

fn function(expr: &Expr) -> Option<&WindowFunction> {
    match expr {
        Expr::WindowFunction(window) => Some(window),
        Expr::Alias(alias) => function(&alias.expr),
        _ => None,
    }
}

/// The expressions of a window that have to be settled before it runs.
fn settled(window: &WindowFunction) -> impl Iterator<Item = &Expr> {
    let first = number_of(window).unwrap_or(usize::MAX);
    let offsets = window.params.partition_by.iter();
    let offsets = offsets.filter(|key| offset(key).is_some());
    window.params.args.iter().skip(first).chain(offsets)
}

/// Where the number of a function is, if it is one that DataFusion brings.
fn number_of(window: &WindowFunction) -> Option<usize> {
    match &window.fun {
        WindowFunctionDefinition::WindowUDF(function) => number_at(function.name()),
        WindowFunctionDefinition::AggregateUDF(_) => None,
    }
}

/// The offset of a frame among the keys of a partition, and which of the two it is.
fn offset(key: &Expr) -> Option<(&'static str, &Expr)> {
    let Expr::ScalarFunction(call) = key else {
        return None;
    };
    let end = [START, END]
        .into_iter()
        .find(|end| *end == call.func.name())?;
    Some((end, call.args.first()?))
}

/// Settles windows.
#[derive(Debug)]
pub(super) struct Constants;

impl OptimizerRule for Constants {
    fn name(&self) -> &str {
        "window_constants"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> DfResult<Transformed<LogicalPlan>> {
        let LogicalPlan::Window(window) = &plan else {
            return Ok(Transformed::no(plan));
        };
        let settling = Settling {
            config,
            schema: window.input.schema().clone(),
        };
        let settled = window.window_expr.iter().cloned();
        let settled = settled.map(|expr| settling.settle(expr));
        let settled = settled.collect::<DfResult<Vec<_>>>()?;
        // The rules take windows to be different from each other, as these were before they had numbers: of those
        // that are the same now, one is computed.
        let mut known = windows_below(&window.input);
        let mut shown: Vec<Expr> = window
            .input
            .schema()
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        let mut exprs = Vec::new();
        let (mut changed, mut shares) = (false, false);
        let names = NamePreserver::new(&plan);
        for (before, new) in window.window_expr.iter().zip(settled) {
            changed |= new.transformed;
            let expr = names.save(before).restore(new.data);
            let same = function(&expr).and_then(|new| known.iter().find(|(old, _)| old == new));
            if let Some((_, column)) = same {
                let (relation, name) = before.qualified_name();
                shown.push(column.clone().alias_qualified(relation, name));
                shares = true;
                continue;
            }
            let column = output(&expr);
            if let Some(window) = function(&expr) {
                known.push((window.clone(), column.clone()));
            }
            shown.push(column);
            exprs.push(expr);
        }
        if shares {
            let input = match exprs.is_empty() {
                true => Arc::clone(&window.input),
                false => {
                    let window = Window::try_new(exprs, Arc::clone(&window.input))?;
                    Arc::new(LogicalPlan::Window(window))
                }
            };
            let shown = Projection::try_new(shown, input)?;
            return Ok(Transformed::yes(LogicalPlan::Projection(shown)));
        }
        if !changed {
            return Ok(Transformed::no(plan));
        }
        Ok(Transformed::yes(LogicalPlan::Window(Window {
            window_expr: exprs,
            input: Arc::clone(&window.input),
            schema: Arc::clone(&window.schema),
        })))
    }
}

/// The column that a window gives.
fn output(expr: &Expr) -> Expr {
    let (relation, name) = expr.qualified_name();
    Expr::Column(Column::new(relation, name))
}

/// The windows right below a window, and their columns.
fn windows_below(mut plan: &LogicalPlan) -> Vec<(WindowFunction, Expr)> {
    let mut found = Vec::new();
    while let LogicalPlan::Window(window) = plan {
        let windows = window.window_expr.iter();
        found.extend(windows.filter_map(|expr| Some((function(expr)?.clone(), output(expr)))));
        plan = &window.input;
    }
    found
}

/// What is known of an expression.
enum Known {
    Value(ScalarValue),
    /// It waits for a parameter.
    Later,
    /// It has columns, or is another time and again.
    Varies,
}

struct Settling<'a> {
    config: &'a dyn OptimizerConfig,
    schema: datafusion::common::DFSchemaRef,
}

impl Settling<'_> {
    fn settle(&self, expr: Expr) -> DfResult<Transformed<Expr>> {
        match expr {
            Expr::Alias(alias) => {
                let inner = self.settle(*alias.expr)?;
                Ok(inner.update_data(|expr| {
                    Expr::Alias(Alias {
                        expr: Box::new(expr),
                        ..alias
                    })
                }))
            }
            Expr::WindowFunction(window) => {
                let ty = Expr::WindowFunction(window.clone()).get_type(&self.schema)?;
                let mut window = *window;
                let framed = self.settle_frame(&mut window)?;
                let numbered = self.settle_number(&mut window, &ty)?;
                let changed = framed || numbered;
                let expr = Expr::WindowFunction(Box::new(window));
                Ok(Transformed::new_transformed(expr, changed))
            }
            expr => Ok(Transformed::no(expr)),
        }
    }

    /// Puts the values of offsets into the frame. True if there were some.
    fn settle_frame(&self, window: &mut WindowFunction) -> DfResult<bool> {
        let mut values = Vec::new();
        for (end, expr) in window.params.partition_by.iter().filter_map(offset) {
            match self.value(expr)? {
                Known::Later => return Ok(false),
                // Names of columns were refused before: it is one of an aggregate.
                Known::Varies if expr.any_column_refs() => {
                    return refused(
                        state::GROUPING_ERROR,
                        "aggregate functions are not allowed in window definitions",
                    );
                }
                Known::Varies => return varies("a window frame whose offset"),
                Known::Value(value) => values.push((end, distance(end, &value)?)),
            }
        }
        let frame = &window.params.window_frame;
        let units = frame.units;
        let (mut start, mut stop) = (frame.start_bound.clone(), frame.end_bound.clone());
        for (end, value) in &values {
            let bound = match *end {
                START => &mut start,
                _ => &mut stop,
            };
            if let WindowFrameBound::Preceding(offset) | WindowFrameBound::Following(offset) = bound
            {
                *offset = value.clone();
            }
        }
        let given = !values.is_empty();
        let turned = is_turned(&start, &stop);
        if turned {
            // It ends before it begins: no row is so far away, and no frame has rows.
            let beyond = ScalarValue::UInt64(Some(i64::MAX.unsigned_abs()));
            start = WindowFrameBound::Following(beyond.clone());
            stop = WindowFrameBound::Following(beyond);
        }
        if given || turned {
            let params = &mut window.params;
            params.window_frame = WindowFrame::new_bounds(units, start, stop);
            params.partition_by.retain(|key| offset(key).is_none());
        }
        Ok(given || turned)
    }

    /// Makes literals of the number of a function and of what is behind it.
    fn settle_number(&self, window: &mut WindowFunction, ty: &DataType) -> DfResult<bool> {
        let Some(first) = number_of(window) else {
            return Ok(false);
        };
        let name = window.fun.name().to_owned();
        let mut changed = false;
        for at in first..window.params.args.len() {
            let value = match self.value(&window.params.args[at])? {
                Known::Later => continue,
                Known::Varies => return varies(&format!("{name}() with an argument that")),
                Known::Value(value) => value,
            };
            if at == first {
                let value = value.cast_to(&DataType::Int64)?;
                let ScalarValue::Int64(Some(number)) = value else {
                    // NULL for all rows.
                    let null = Expr::Literal(ScalarValue::try_from(ty)?, None);
                    window.fun = WindowFunctionDefinition::WindowUDF(lag_udwf());
                    window.params.args = vec![null, lit(1_i64)];
                    return Ok(true);
                };
                let positive = match name.as_str() {
                    "ntile" => Some(state::INVALID_ARGUMENT_FOR_NTILE),
                    "nth_value" => Some(state::INVALID_ARGUMENT_FOR_NTH_VALUE),
                    _ => None,
                };
                if let Some(code) = positive.filter(|_| number <= 0) {
                    let message = format!("argument of {name} must be greater than zero");
                    return refused(code, &message);
                }
                changed |= !matches!(&window.params.args[at], Expr::Literal(..));
                window.params.args[at] = lit(number);
            } else {
                changed |= !matches!(&window.params.args[at], Expr::Literal(..));
                window.params.args[at] = Expr::Literal(value, None);
            }
        }
        Ok(changed)
    }

    fn value(&self, expr: &Expr) -> DfResult<Known> {
        if let Expr::Literal(value, _) = expr {
            return Ok(Known::Value(value.clone()));
        }
        if has_parameter(expr) {
            return Ok(Known::Later);
        }
        let reads = |e: &Expr| {
            Ok(matches!(
                e,
                Expr::ScalarSubquery(_)
                    | Expr::Exists(_)
                    | Expr::InSubquery(_)
                    | Expr::OuterReferenceColumn(..)
            ) || crate::subplan::is_subplan(e))
        };
        if expr.any_column_refs() || expr.is_volatile() || expr.exists(reads)? {
            return Ok(Known::Varies);
        }
        let mut props = ExecutionProps::new();
        props.query_execution_start_time = self.config.query_execution_start_time();
        props.config_options = Some(self.config.options());
        let none = DFSchema::empty();
        let program = create_physical_expr(expr, &none, &props, &Default::default())?;
        let value = program.evaluate(&crate::dml::one_row())?.into_array(1)?;
        ScalarValue::try_from_array(&value, 0).map(Known::Value)
    }
}

/// The rows or groups between a row and an end of its frame.
fn distance(end: &str, value: &ScalarValue) -> DfResult<ScalarValue> {
    let which = match end {
        START => "starting",
        _ => "ending",
    };
    match value.cast_to(&DataType::Int64)? {
        ScalarValue::Int64(Some(n)) => match u64::try_from(n) {
            Ok(n) => Ok(ScalarValue::UInt64(Some(n))),
            Err(_) => refused(
                state::INVALID_PRECEDING_OR_FOLLOWING_SIZE,
                &format!("frame {which} offset must not be negative"),
            ),
        },
        _ => refused(
            state::NULL_VALUE_NOT_ALLOWED,
            &format!("frame {which} offset must not be null"),
        ),
    }
}

/// Whether a frame ends before it begins, on the same side of its row.
fn is_turned(start: &WindowFrameBound, end: &WindowFrameBound) -> bool {
    use WindowFrameBound::{Following, Preceding};
    match (start, end) {
        (
            Preceding(ScalarValue::UInt64(Some(start))),
            Preceding(ScalarValue::UInt64(Some(end))),
        ) => start < end,
        (
            Following(ScalarValue::UInt64(Some(start))),
            Following(ScalarValue::UInt64(Some(end))),
        ) => start > end,
        _ => false,
    }
}

fn refused<T>(code: SqlState, message: &str) -> DfResult<T> {
    Err(wrap(SqlError::new(code, message)))
}

fn varies<T>(what: &str) -> DfResult<T> {
    let what = format!("{what} is not the same for all rows");
    Err(wrap(SqlError::unsupported(what)))
}
