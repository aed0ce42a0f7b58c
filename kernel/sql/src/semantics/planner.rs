//! DataFusion's planning hooks: binary operators become calls of our functions.

use std::sync::Arc;

use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use sqlparser::ast::BinaryOperator;

use super::function::df;
use super::joins;
use crate::error::SqlError;
use crate::functions::Functions;

#[derive(Debug)]
struct Operators(Arc<Functions>);

impl ExprPlanner for Operators {
    fn plan_binary_op(
        &self,
        e: RawBinaryExpr,
        schema: &DFSchema,
    ) -> DfResult<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::*;
        let name = match &e.op {
            And | Or => return Ok(PlannerResult::Original(e)),
            Xor | DuckIntegerDivide | MyIntegerDivide | Match | Regexp | Assignment | Overlaps => {
                return Err(df(SqlError::unsupported(format!("operator {}", e.op))));
            }
            PGCustomBinaryOperator(parts) if joins::is_joined(parts) => {
                let merged = joins::plan(parts, e.left, e.right, schema, &self.0)?;
                return Ok(PlannerResult::Planned(merged));
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
        let function = match self.0.scalar(&name) {
            Some(function) => function,
            None => self.0.missing(&name),
        };
        Ok(PlannerResult::Planned(function.call(vec![e.left, e.right])))
    }
}

/// Our planner, which knows the operators of these functions, and of DataFusion's the two that make
/// `count(*)` a count.
pub fn expr_planners(functions: Arc<Functions>) -> Vec<Arc<dyn ExprPlanner>> {
    vec![
        Arc::new(Operators(functions)),
        Arc::new(datafusion::functions_aggregate::planner::AggregateFunctionPlanner),
        Arc::new(datafusion::functions_window::planner::WindowFunctionPlanner),
    ]
}
