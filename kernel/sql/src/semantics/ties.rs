//! `FETCH FIRST n ROWS WITH TIES`: the rows that tie with the last one come, too.
//!
//! The rewrite writes it as a LIMIT of the call [`COUNT`], which no plan evaluates: the limit becomes windows over its ORDER
//! BY and a filter. Of rows that skip `m` those come whose number is above `m` and whose rank is at most `m + n`, as a
//! row behind these has a rank of theirs only if it ties with the last of them.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result as DfResult};
use datafusion::config::ConfigOptions;
use datafusion::functions_window::rank::rank_udwf;
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, Limit, LogicalPlan, LogicalPlanBuilder, Operator, Sort, WindowFrame,
    WindowFunctionDefinition, binary_expr, cast, lit,
};
use datafusion::optimizer::AnalyzerRule;

use crate::error::SqlError;

/// The call that stands for a number of rows with ties.
pub const COUNT: &str = "$_with_ties";

/// `last(offset, n)`: the highest rank of rows that come.
pub const LAST: &str = "$_last_tie";

/// `first(offset)`: the number of rows that are left out.
pub const FIRST: &str = "$_skipped";

const RANK: &str = "$rank";
const NUMBER: &str = "$number";

/// Turns limits with ties into windows.
#[derive(Debug)]
pub struct Ties;

impl AnalyzerRule for Ties {
    fn name(&self) -> &str {
        "ties"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Limit(limit) => match counted(&limit) {
                Some(count) => windowed(&limit, count).map(Transformed::yes),
                None => Ok(Transformed::no(LogicalPlan::Limit(limit))),
            },
            plan => Ok(Transformed::no(plan)),
        })
        .map(|t| t.data)
    }
}

/// The number of rows, when ties come, too.
fn counted(limit: &Limit) -> Option<Expr> {
    match limit.fetch.as_deref()? {
        Expr::ScalarFunction(call) if call.func.name() == COUNT => call.args.first().cloned(),
        _ => None,
    }
}

fn windowed(limit: &Limit, count: Expr) -> DfResult<LogicalPlan> {
    // What is computed after sorting stays above.
    let mut above = Vec::new();
    let mut plan = limit.input.as_ref();
    let sort = loop {
        match plan {
            LogicalPlan::Sort(sort) => break sort,
            LogicalPlan::Projection(projection) => {
                above.push(projection.expr.clone());
                plan = &projection.input;
            }
            _ => return Err(unsorted()),
        }
    };
    let skip = limit.skip.as_deref().cloned();
    let skip = skip.unwrap_or_else(|| lit(0_i64));
    let sorted = numbered(sort, skip, count)?;
    above
        .into_iter()
        .rev()
        .try_fold(sorted, |plan, exprs| plan.project(exprs))?
        .build()
}

fn numbered(sort: &Sort, skip: Expr, count: Expr) -> DfResult<LogicalPlanBuilder> {
    let window = |function, name: &str| {
        let params = WindowFunctionParams {
            args: Vec::new(),
            partition_by: Vec::new(),
            order_by: sort.expr.clone(),
            window_frame: WindowFrame::new(Some(true)),
            filter: None,
            null_treatment: None,
            distinct: false,
        };
        let fun = WindowFunctionDefinition::WindowUDF(function);
        Expr::from(WindowFunction { fun, params }).alias(name)
    };
    let call = |name: &str, args: Vec<Expr>| match crate::functions::scalar(name) {
        Some(function) => Ok(function.call(args)),
        None => Err(super::function::df(SqlError::internal("no such function"))),
    };
    let column = |name: &str| Expr::Column(Column::new_unqualified(name));
    let compare = |name, op, bound| binary_expr(cast(column(name), DataType::Int64), op, bound);
    // NULL leaves out nothing, and is no limit.
    let known = |number: Expr, otherwise: i64| {
        let number = cast(number, DataType::Int64);
        datafusion::functions::core::coalesce().call(vec![number, lit(otherwise)])
    };
    let (skip, count) = (known(skip, 0), known(count, i64::MAX));
    let last = call(LAST, vec![skip.clone(), count])?;
    let first = call(FIRST, vec![skip])?;
    let comes = compare(RANK, Operator::LtEq, last).and(compare(NUMBER, Operator::Gt, first));
    let shown = sort.input.schema().columns();
    let windows = vec![window(rank_udwf(), RANK), window(row_number_udwf(), NUMBER)];
    LogicalPlanBuilder::from(sort.input.as_ref().clone())
        .window(windows)?
        .filter(comes)?
        .project(shown.into_iter().map(Expr::Column))?
        .sort(sort.expr.clone())
}

fn unsorted() -> datafusion::error::DataFusionError {
    super::function::df(SqlError::unsupported("WITH TIES of this query"))
}
