//! Filters that would be asked about another column of the same name.
//!
//! DataFusion's rules that push filters down in physical plans find columns below by name: of two that have one name,
//! as a join's often have, both are taken to be the first (55.2, `FilterRemapper::try_remap` and
//! `ProjectionExec::collect_reverse_alias`). Where a filter has such columns below it, or an operator that makes a
//! filter while it runs has, these rules do nothing: filters are asked where the logical plan has them, which has
//! told scans what it could.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::sorts::sort::SortExec;

/// The rules' names, one for each phase.
const PUSHES: [&str; 2] = ["FilterPushdown", "FilterPushdown(Post)"];

/// The rules, of which those that push filters leave plans alone in which columns would be taken for one another.
pub(super) fn told_apart(
    rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>,
) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let rules = rules.into_iter();
    let rules = rules.map(|rule| match PUSHES.contains(&rule.name()) {
        true => Arc::new(ToldApart(rule)) as Arc<dyn PhysicalOptimizerRule + Send + Sync>,
        false => rule,
    });
    rules.collect()
}

#[derive(Debug)]
struct ToldApart(Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for ToldApart {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match mistakes_columns(&plan, false) {
            true => Ok(plan),
            false => self.0.optimize(plan, config),
        }
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// Whether a filter may come to columns of one name, of a plan that is below one or is not.
fn mistakes_columns(plan: &Arc<dyn ExecutionPlan>, is_below: bool) -> bool {
    if is_below && has_namesakes(plan) {
        return true;
    }
    let is_below = is_below || has_filters(plan);
    let mut children = plan.children().into_iter();
    children.any(|child| mistakes_columns(child, is_below))
}

fn has_namesakes(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let schema = plan.schema();
    let mut names = HashSet::with_capacity(schema.fields().len());
    !schema
        .fields()
        .iter()
        .all(|field| names.insert(field.name()))
}

fn has_filters(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<FilterExec>()
        || plan.is::<HashJoinExec>()
        || plan.is::<AggregateExec>()
        || plan
            .downcast_ref::<SortExec>()
            .is_some_and(|sort| sort.fetch().is_some())
}
