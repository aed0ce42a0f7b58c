//! Queries whose functions do something besides giving a value: they wait, lock, notify
//! ([`crate::functions::has_effect`]).
//!
//! 1. A function that is named in the select list of a subquery is called, though nobody asks for its value:
//!    what an optimiser saves otherwise is just what is wanted here.
//! 2. Rows go one by one, on one thread: what a function does, it does for the rows that are asked for, in
//!    their order, and under LIMIT for no others.

use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::Optimizer;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use super::memory::set_batch_rows;

/// Takes columns away that nobody asks for.
const PRUNES: &str = "optimize_projections";
/// Counts rows without reading them; makes one projection of two.
const LEFT_OUT: [&str; 2] = ["aggregate_statistics", "ProjectionPushdown"];

/// Says to the rules and to what runs the plan that it is one by one.
pub(super) fn one_by_one(state: &mut SessionState) {
    state.config_mut().options_mut().execution.target_partitions = 1;
    set_batch_rows(state, 1);
}

/// The optimised plan of a query.
pub(super) fn optimise(
    state: &SessionState,
    plan: LogicalPlan,
    effects: bool,
) -> Result<LogicalPlan> {
    if !effects {
        return state.optimizer().optimize(plan, state, |_, _| {});
    }
    let rules = state.optimizer().rules.iter();
    let rules = rules.filter(|rule| rule.name() != PRUNES);
    Optimizer::with_rules(rules.cloned().collect()).optimize(plan, state, |_, _| {})
}

/// The rules, of which some leave queries like these alone.
pub(super) fn guarded(
    rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>,
) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut all = Vec::with_capacity(rules.len());
    for rule in rules {
        if LEFT_OUT.contains(&rule.name()) {
            all.push(Arc::new(Guarded(rule)) as Arc<dyn PhysicalOptimizerRule + Send + Sync>);
        } else {
            all.push(rule);
        }
    }
    all
}

#[derive(Debug)]
struct Guarded(Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for Guarded {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match config.execution.batch_size.get() {
            1 => Ok(plan),
            _ => self.0.optimize(plan, config),
        }
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}
