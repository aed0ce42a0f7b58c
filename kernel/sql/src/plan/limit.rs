//! LIMIT and OFFSET with parameters.
//!
//! DataFusion runs a limit only when it is a literal bigint. A parameter there is a bigint unless the
//! client says otherwise ([`infer`]), keeps its plan from being optimised before it is bound
//! ([`waits_for_parameters`]), and is a literal again afterwards ([`fold`]).

use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Cast, Expr, Limit, LogicalPlan};
use datafusion::scalar::ScalarValue;
use sqlparser::ast::{self, LimitClause, Visit, Visitor};

use super::error::{convert, wrap};
use crate::error::{Result, SqlError, state};
use crate::types::PgType;

/// Gives a parameter that stands alone as a limit or an offset its type, where it has none yet.
pub(super) fn infer(statement: &ast::Statement, types: &mut [Option<PgType>]) {
    let _ = statement.visit(&mut Inference(types));
}

struct Inference<'a>(&'a mut [Option<PgType>]);

impl Visitor for Inference<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
            let exprs = limit.iter().chain(offset.iter().map(|o| &o.value));
            for number in exprs.filter_map(crate::dml::assign::parameter) {
                if let Some(slot) = self.0.get_mut(number - 1) {
                    slot.get_or_insert(PgType::Int8);
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// Whether a limit of the plan is known only when its parameters are.
pub(super) fn waits_for_parameters(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            let mut exprs = limit.skip.iter().chain(&limit.fetch);
            found |= exprs.any(|e| has_parameter(e));
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

/// A limit on top of the plan that waits for parameters which stand alone in it, and the plan below it.
pub(super) fn take_top(plan: &LogicalPlan) -> (Option<Limit>, &LogicalPlan) {
    let stands_alone =
        |e: &Expr| matches!(strip_casts(e), Expr::Placeholder(_) | Expr::Literal(..));
    match plan {
        LogicalPlan::Limit(limit)
            if limit
                .skip
                .iter()
                .chain(&limit.fetch)
                .all(|e| stands_alone(e)) =>
        {
            (Some(limit.clone()), &limit.input)
        }
        plan => (None, plan),
    }
}

/// How many rows a limit leaves out and how many it then lets through, with these parameters.
pub(super) fn rows(limit: &Limit, params: &[ScalarValue]) -> Result<(usize, Option<usize>)> {
    let count = |expr: &Option<Box<Expr>>, clause, negative| -> Result<Option<usize>> {
        let Some(expr) = expr else { return Ok(None) };
        let bound = super::query::bind_expr(expr.as_ref().clone(), params)?;
        let number = literal(Some(Box::new(bound)), clause, negative)?;
        Ok(match number.as_deref() {
            Some(Expr::Literal(ScalarValue::Int64(Some(n)), _)) => usize::try_from(*n).ok(),
            _ => None,
        })
    };
    let skip = count(
        &limit.skip,
        "OFFSET",
        state::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE,
    )?;
    let fetch = count(
        &limit.fetch,
        "LIMIT",
        state::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE,
    )?;
    Ok((skip.unwrap_or(0), fetch))
}

fn strip_casts(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(Cast { expr, .. }) => strip_casts(expr),
        expr => expr,
    }
}

/// Turns bound limits into literal bigints. A NULL limit is none, a negative one is `2201W` (an
/// offset: `2201X`).
pub(super) fn fold(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_down_with_subqueries(|node| match node {
        LogicalPlan::Limit(limit) => {
            let skip = literal(
                limit.skip,
                "OFFSET",
                state::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE,
            );
            let fetch = literal(
                limit.fetch,
                "LIMIT",
                state::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE,
            );
            Ok(Transformed::yes(LogicalPlan::Limit(Limit {
                skip: skip.map_err(wrap)?,
                fetch: fetch.map_err(wrap)?,
                input: limit.input,
            })))
        }
        other => Ok(Transformed::no(other)),
    })
    .map(|t| t.data)
    .map_err(convert)
}

fn literal(
    expr: Option<Box<Expr>>,
    clause: &str,
    negative: crate::error::SqlState,
) -> Result<Option<Box<Expr>>> {
    let Some(expr) = expr else { return Ok(None) };
    let Some(value) = constant(&expr) else {
        return Ok(Some(expr));
    };
    match value.cast_to(&DataType::Int64).map_err(convert)? {
        ScalarValue::Int64(Some(n)) if n < 0 => Err(SqlError::new(
            negative,
            format!("{clause} must not be negative"),
        )),
        ScalarValue::Int64(None) => Ok(None),
        value => Ok(Some(Box::new(Expr::Literal(value, None)))),
    }
}

fn constant(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Cast(Cast { expr, .. }) => constant(expr),
        _ => None,
    }
}
