//! `EXCEPT ALL` and `INTERSECT ALL` by counted rows.
//!
//! DataFusion plans both as a semi or anti join that does not count: one row on the right takes away,
//! or lets through, all its equals on the left. Here each side's equal rows are numbered from 1 and
//! the number joins with them, so that the n-th copy on the left meets the n-th on the right. Rows
//! are equal as the join compares them: NULLs are, and `numeric` and `interval` go by their keys.
//!
//! The rule comes after [`PostgresTypes`](super::coerce::PostgresTypes), which has given both sides
//! of the join one type. The forms without ALL have a DISTINCT on the left and stay as they are.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{Column, JoinType, NullEquality, Result};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, Join, LogicalPlan, LogicalPlanBuilder, WindowFunctionDefinition,
};
use datafusion::optimizer::AnalyzerRule;

// No SQL text can name them.
const LEFT_COPY: &str = "\u{1}left copy";
const RIGHT_COPY: &str = "\u{1}right copy";

#[derive(Debug, Default)]
pub struct SetOperations;

impl AnalyzerRule for SetOperations {
    fn name(&self) -> &str {
        "set_operations"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Join(join) if is_counted(&join) => Ok(Transformed::yes(counted(join)?)),
            node => Ok(Transformed::no(node)),
        })
        .data()
    }
}

/// Only set operations are joins of this kind so early: a user's `IS NOT DISTINCT FROM` is still a
/// condition.
fn is_counted(join: &Join) -> bool {
    join.null_equality == NullEquality::NullEqualsNull
        && matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && !matches!(*join.left, LogicalPlan::Distinct(_))
}

fn counted(join: Join) -> Result<LogicalPlan> {
    let output: Vec<Expr> = columns(&join.left);
    let (left_keys, right_keys): (Vec<Expr>, Vec<Expr>) = join.on.iter().cloned().unzip();
    let copy = |name: &str| Expr::Column(Column::new_unqualified(name));
    let left = numbered(join.left.as_ref().clone(), left_keys, LEFT_COPY)?;
    let right = numbered(join.right.as_ref().clone(), right_keys, RIGHT_COPY)?;
    let mut on = join.on.clone();
    on.push((copy(LEFT_COPY), copy(RIGHT_COPY)));
    let join = LogicalPlan::Join(Join {
        left: Arc::new(left),
        right: Arc::new(right),
        on,
        ..join
    });
    LogicalPlanBuilder::from(join.recompute_schema()?)
        .project(output)?
        .build()
}

/// The plan's columns and, as `name`, the number of each row among its equals.
fn numbered(plan: LogicalPlan, keys: Vec<Expr>, name: &str) -> Result<LogicalPlan> {
    let mut output = columns(&plan);
    let row_number = WindowFunctionDefinition::WindowUDF(row_number_udwf());
    let number = Expr::from(WindowFunction::new(row_number, Vec::new()))
        .partition_by(keys)
        .build()?;
    let number_name = number.schema_name().to_string();
    output.push(Expr::Column(Column::new_unqualified(number_name)).alias(name));
    LogicalPlanBuilder::from(plan)
        .window([number])?
        .project(output)?
        .build()
}

fn columns(plan: &LogicalPlan) -> Vec<Expr> {
    let columns = plan.schema().columns().into_iter();
    columns.map(Expr::Column).collect()
}
