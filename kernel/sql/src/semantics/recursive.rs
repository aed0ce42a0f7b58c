//! What the recursive term of a recursive query may not do.
//!
//! An aggregate over the rows of the last round gives a row in every round, so that the query never ends;
//! PostgreSQL refuses it where the two stand in one SELECT, and so do we. A SELECT shows in a plan as what is
//! between an aggregate and the relations that it reads: a derived table is another one.

use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;

use super::function::df;
use crate::error::{SqlError, state};

/// Checks a node of a plan.
pub fn check_node(plan: &LogicalPlan) -> DfResult<()> {
    let LogicalPlan::RecursiveQuery(query) = plan else {
        return Ok(());
    };
    let mut aggregates = false;
    query.recursive_term.apply(|node| {
        if let LogicalPlan::Aggregate(aggregate) = node {
            aggregates |= !aggregate.aggr_expr.is_empty() && reads_round(&aggregate.input);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    match aggregates {
        true => Err(df(SqlError::new(
            state::INVALID_RECURSION,
            "aggregate functions are not allowed in a recursive query's recursive term",
        ))),
        false => Ok(()),
    }
}

/// Whether a SELECT reads the rows of the last round itself.
fn reads_round(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => source_as_provider(&scan.source).is_ok_and(|provider| {
            let provider: &dyn std::any::Any = provider.as_ref();
            provider.is::<CteWorkTable>()
        }),
        LogicalPlan::SubqueryAlias(alias) => match alias.input.as_ref() {
            input @ (LogicalPlan::TableScan(_) | LogicalPlan::SubqueryAlias(_)) => {
                reads_round(input)
            }
            _ => false,
        },
        LogicalPlan::Filter(_) | LogicalPlan::Projection(_) | LogicalPlan::Join(_) => {
            plan.inputs().into_iter().any(reads_round)
        }
        _ => false,
    }
}
