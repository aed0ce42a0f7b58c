//! The order of inner joins.
//!
//! DataFusion joins tables in the order the query names them, and chooses only which side of each join
//! is hashed. This rule runs before that choice. It takes a tree of inner equality joins apart into its
//! relations and conditions ([`graph`]), looks for the order whose intermediate results are smallest
//! ([`search`]), and puts the tree together in that order ([`build`]) when that is much cheaper than
//! the order it had. A semi-join above such a tree first goes down to the relation whose rows it tests, when what it
//! tests them against is small ([`semi`]).
//!
//! What a relation has is known from its statistics ([`super::statistics`]); where they are missing the order
//! stays as it is, and so it does when there is little to gain.

mod build;
mod graph;
mod search;
mod semi;

use std::sync::Arc;

use datafusion::common::NullEquality;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::JoinType;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::expressions::Column;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};

use graph::Graph;
use search::Tree;

/// DataFusion's rule of this name chooses the sides of joins.
const JOIN_SELECTION: &str = "join_selection";
/// Fewer relations have no other order worth a search.
const RELATIONS_MIN: usize = 3;

/// DataFusion's rules, and ours before the one that chooses the sides of joins.
pub(super) fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    rules_with(JoinOrder::default())
}

fn rules_with(order: JoinOrder) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let chooses =
        |rule: &Arc<dyn PhysicalOptimizerRule + Send + Sync>| rule.name() == JOIN_SELECTION;
    let place = rules.iter().position(chooses).unwrap_or(0);
    rules.insert(place, Arc::new(order));
    rules
}

/// See the module's header.
#[derive(Debug)]
struct JoinOrder {
    /// What an order must spare to be taken instead of the query's own, in rows read and built ...
    gain_min: f64,
    /// ... and the share of the cost that it may have at most.
    cost_share_max: f64,
}

impl Default for JoinOrder {
    fn default() -> JoinOrder {
        JoinOrder {
            gain_min: 50_000.0,
            cost_share_max: 0.8,
        }
    }
}

impl PhysicalOptimizerRule for JoinOrder {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(semi::push_down)?.data;
        self.ordered(plan)
    }

    fn name(&self) -> &str {
        "join_order"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

impl JoinOrder {
    /// A plan with its trees of inner joins in their best order.
    fn ordered(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let ordered = plan.transform_down(|plan| {
            if inner_join(&plan).is_none() {
                return Ok(Transformed::no(plan));
            }
            let (mut graph, tree) = Graph::of(&plan)?;
            let Some(better) = self.better(&graph, &tree) else {
                return Ok(Transformed::no(plan));
            };
            for relation in &mut graph.relations {
                relation.plan = self.ordered(relation.plan.clone())?;
            }
            let plan = build::plan(&graph, &better, &plan.schema())?;
            Ok(Transformed::new(plan, true, TreeNodeRecursion::Jump))
        });
        Ok(ordered?.data)
    }

    /// A better order than the one a query has, if there is one.
    fn better(&self, graph: &Graph, tree: &Tree) -> Option<Tree> {
        if graph.relations.len() < RELATIONS_MIN {
            return None;
        }
        let present = search::cost(graph, tree)?;
        // Small tables spare the search: no order can gain enough.
        if present <= self.gain_min {
            return None;
        }
        let (cost, better) = search::best(graph)?;
        let is_worth = present - cost > self.gain_min && cost < present * self.cost_share_max;
        is_worth.then_some(better)
    }
}

/// A join that may be taken apart: of rows whose keys are equal, and nothing more.
fn inner_join(plan: &Arc<dyn ExecutionPlan>) -> Option<&HashJoinExec> {
    let join = plan.downcast_ref::<HashJoinExec>()?;
    let inner = *join.join_type() == JoinType::Inner;
    (inner && is_plain(join)).then_some(join)
}

/// Whether a join treats NULLs as SQL's `=` does and has no limit.
fn is_plain(join: &HashJoinExec) -> bool {
    join.null_equality() == NullEquality::NullEqualsNothing
        && !join.null_aware
        && join.fetch().is_none()
}

/// The places of the columns that a projection passes on as they are, if that is all it does.
fn passed_on(plan: &Arc<dyn ExecutionPlan>) -> Option<(&ProjectionExec, Vec<usize>)> {
    let projection = plan.downcast_ref::<ProjectionExec>()?;
    let exprs = projection.expr().iter();
    let places = exprs.map(|e| Some(e.expr.downcast_ref::<Column>()?.index()));
    Some((projection, places.collect::<Option<_>>()?))
}

/// Rows of a plan, and different values of its columns, as far as they are known.
fn known(plan: &Arc<dyn ExecutionPlan>) -> Result<(Option<f64>, Vec<Option<f64>>)> {
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new())?;
    let number = |n: &datafusion::common::stats::Precision<usize>| n.get_value().map(|n| *n as f64);
    let columns = statistics.column_statistics.iter();
    Ok((
        number(&statistics.num_rows),
        columns
            .map(|column| number(&column.distinct_count))
            .collect(),
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
