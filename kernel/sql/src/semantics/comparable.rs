//! Types whose values cannot be compared (`json`, types of plugins that declare no order, and arrays
//! of them), and where a statement needs that they can.
//!
//! Comparisons themselves find no operator, see `coerce`; what is here are the places where a
//! statement compares without saying so.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Distinct, ExprSchemable, LogicalPlan};

use super::function::df;
use super::overload::pg_type;
use crate::error::{SqlError, state};
use crate::types::PgType;

/// PostgreSQL's words for it, where `what` is an operator or a function that is missed.
pub fn unidentified(what: &str, ty: &PgType) -> SqlError {
    SqlError::new(
        state::UNDEFINED_FUNCTION,
        format!("could not identify {what} for type {}", ty.name()),
    )
}

/// DISTINCT, GROUP BY and their like need to tell equal values.
pub fn has_equality(ty: &DataType) -> DfResult<()> {
    let ty = pg_type(ty);
    if ty.is_comparable() {
        return Ok(());
    }
    Err(df(unidentified("an equality operator", &ty)))
}

/// ORDER BY needs to know what comes first.
pub fn has_order(ty: &DataType) -> DfResult<()> {
    let ty = pg_type(ty);
    if ty.is_comparable() {
        return Ok(());
    }
    let hint = "Use an explicit ordering operator or modify the query.";
    Err(df(unidentified("an ordering operator", &ty).with_hint(hint)))
}

/// Checks a node that tells equal rows, whose expressions are over `schema`.
pub fn check_node(plan: &LogicalPlan, schema: &DFSchema) -> DfResult<()> {
    let check = |e: &datafusion::logical_expr::Expr| has_equality(&e.get_type(schema)?);
    match plan {
        LogicalPlan::Aggregate(aggregate) => {
            let mut keys = grouping_set_to_exprlist(&aggregate.group_expr)?.into_iter();
            keys.try_for_each(check)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let mut fields = input.schema().fields().iter();
            fields.try_for_each(|f| has_equality(f.data_type()))
        }
        LogicalPlan::Distinct(Distinct::On(on)) => on.on_expr.iter().try_for_each(check),
        _ => Ok(()),
    }
}
