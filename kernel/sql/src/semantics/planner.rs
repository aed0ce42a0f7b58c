//! DataFusion's planning hooks: binary operators become calls of our functions.

use std::sync::{Arc, LazyLock};

use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use sqlparser::ast::BinaryOperator;

use super::function::df;
use crate::error::SqlError;

#[derive(Debug)]
struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(
        &self,
        e: RawBinaryExpr,
        _schema: &DFSchema,
    ) -> DfResult<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::*;
        let name = match &e.op {
            And | Or => return Ok(PlannerResult::Original(e)),
            Spaceship | Xor | DuckIntegerDivide | MyIntegerDivide | Match | Regexp | Assignment
            | Overlaps => {
                return Err(df(SqlError::unsupported(format!("operator {}", e.op))));
            }
            PGCustomBinaryOperator(parts) => match parts.last() {
                Some(op) => format!("${op}"),
                None => return Ok(PlannerResult::Original(e)),
            },
            NotEq => "$<>".to_string(),
            // # is bitwise exclusive or; sqlparser calls ^ one too, where PostgreSQL has power.
            BitwiseXor | PGExp => "$^".to_string(),
            PGBitwiseXor => "$#".to_string(),
            other => format!("${other}"),
        };
        match crate::functions::scalar(&name) {
            Some(f) => Ok(PlannerResult::Planned(f.call(vec![e.left, e.right]))),
            None => Err(df(SqlError::unsupported(format!("operator {}", e.op)))),
        }
    }
}

/// Our planner, and of DataFusion's the two that make `count(*)` a count.
pub fn expr_planners() -> Vec<Arc<dyn ExprPlanner>> {
    static PLANNERS: LazyLock<Vec<Arc<dyn ExprPlanner>>> = LazyLock::new(|| {
        vec![
            Arc::new(Operators),
            Arc::new(datafusion::functions_aggregate::planner::AggregateFunctionPlanner),
            Arc::new(datafusion::functions_window::planner::WindowFunctionPlanner),
        ]
    });
    PLANNERS.clone()
}

/// For callers that hold an operator's symbol: the function behind it.
pub fn operator(symbol: &str, left: Expr, right: Expr) -> Option<Expr> {
    crate::functions::scalar(&format!("${symbol}")).map(|f| f.call(vec![left, right]))
}
