//! What the recursive term of a recursive query may not do.
//!
//! An aggregate over the rows of the last round gives a row in every round, so that the query never ends;
//! PostgreSQL refuses it where the two stand in one SELECT, and so do we. A SELECT shows in a plan as what is
//! between an aggregate and the relations that it reads: a derived table is another one.
//!
//! Nor may anything stand after the two terms: the planner would leave an ORDER BY or a LIMIT out, and PostgreSQL
//! has none there. What reads itself nowhere is set apart from that before it is planned.

use std::ops::ControlFlow;

use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast::{Cte, LimitClause, Query, SetExpr, With, visit_relations};

use super::function::df;
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::plan::compile::query;

/// Checks the queries of a WITH RECURSIVE, as they are written.
pub fn check_with(with: &With) -> Result<()> {
    let mut recursive = with.cte_tables.iter().filter(|cte| reads_itself(cte));
    if recursive.clone().any(|cte| cte.query.with.is_some()) {
        // The planner would not find what it names.
        return Err(SqlError::unsupported("WITH inside of a recursive query"));
    }
    match recursive.find_map(|cte| after_the_terms(&cte.query)) {
        Some(clause) => Err(SqlError::new(
            state::FEATURE_NOT_SUPPORTED,
            format!("{clause} in a recursive query is not implemented"),
        )),
        None => Ok(()),
    }
}

/// Puts a level around set operations that are not recursive: of those in a WITH RECURSIVE the planner looks at the
/// two terms alone.
pub fn set_apart(with: &mut With) {
    for cte in &mut with.cte_tables {
        let body = cte.query.body.as_ref();
        if matches!(body, SetExpr::SetOperation { .. }) && !reads_itself(cte) {
            let inner = cte.query.clone();
            *cte.query = query(SetExpr::Query(inner));
        }
    }
}

fn reads_itself(cte: &Cte) -> bool {
    let SetExpr::SetOperation { right, .. } = cte.query.body.as_ref() else {
        return false;
    };
    let name = fold(&cte.alias.name);
    let found = visit_relations(right, |relation| {
        let is_it = match relation.0.as_slice() {
            [part] => part.as_ident().is_some_and(|ident| fold(ident) == name),
            _ => false,
        };
        match is_it {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    found.is_break()
}

/// What PostgreSQL names first of what stands there.
fn after_the_terms(query: &Query) -> Option<&'static str> {
    let (limit, offset) = match &query.limit_clause {
        Some(LimitClause::LimitOffset { limit, offset, .. }) => (limit.is_some(), offset.is_some()),
        Some(LimitClause::OffsetCommaLimit { .. }) => (true, true),
        None => (false, false),
    };
    match query {
        _ if query.order_by.is_some() => Some("ORDER BY"),
        _ if offset => Some("OFFSET"),
        _ if limit || query.fetch.is_some() => Some("LIMIT"),
        _ if !query.locks.is_empty() => Some("FOR UPDATE/SHARE"),
        _ => None,
    }
}

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
