//! IN in the condition of a filter, whose NULL a join would take for something else.
//!
//! `x IN (…)` is NULL when no value is x and x or one of the values is NULL. A filter drops such a row as it drops one
//! for which the condition is false, so where only AND and OR are around it, IN may be a join that finds equal values. NOT IN
//! is NULL as well and must drop the row, too: the join for that looks at all values at once, which is right for a
//! condition by itself, of a column, over values that are the same for all rows. Everywhere else, if there may
//! be NULLs, IN becomes a function that knows them.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::InSubquery;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

use super::{in_subplan, outer_columns};

/// `is_condition`: a row is dropped unless this is true, whatever else is asked of it.
pub(super) fn exact(expr: Expr, input: &DFSchema, is_condition: bool) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(b) if matches!(b.op, Operator::And | Operator::Or) => {
            let is_condition = is_condition && b.op == Operator::And;
            let left = exact(*b.left, input, is_condition)?;
            let right = exact(*b.right, input, is_condition)?;
            let is_changed = left.transformed || right.transformed;
            let both = BinaryExpr::new(Box::new(left.data), b.op, Box::new(right.data));
            Ok(Transformed::new_transformed(
                Expr::BinaryExpr(both),
                is_changed,
            ))
        }
        Expr::Not(inner) => match *inner {
            Expr::InSubquery(e) => {
                let e = InSubquery {
                    negated: !e.negated,
                    ..e
                };
                in_place(e, input, is_condition)
            }
            inner => everywhere(Expr::Not(Box::new(inner)), input),
        },
        Expr::InSubquery(e) => in_place(e, input, is_condition),
        other => everywhere(other, input),
    }
}

fn in_place(e: InSubquery, input: &DFSchema, is_condition: bool) -> Result<Transformed<Expr>> {
    let is_joined = !e.negated
        || is_condition
            && e.expr.any_column_refs()
            && outer_columns(&e.subquery.subquery).is_empty();
    if is_joined || !may_be_null(&e, input)? {
        return Ok(Transformed::no(Expr::InSubquery(e)));
    }
    Ok(Transformed::yes(in_subplan(e, input)?))
}

/// Where its NULL is a value like any other.
fn everywhere(expr: Expr, input: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|e| match e {
        Expr::InSubquery(e) if may_be_null(&e, input)? => {
            Ok(Transformed::yes(in_subplan(e, input)?))
        }
        other => Ok(Transformed::no(other)),
    })
}

fn may_be_null(e: &InSubquery, input: &DFSchema) -> Result<bool> {
    let values = e.subquery.subquery.schema();
    Ok(values.field(0).is_nullable() || e.expr.nullable(input)?)
}
