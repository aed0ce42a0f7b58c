//! OFFSET without LIMIT keeps the order of its rows.
//!
//! DataFusion takes such a limit for an operator like any other: a sort below it goes when nobody above asks for
//! its order, and a sort above it is moved below. Both change which rows are skipped (apache/datafusion#23534,
//! #25378). So what ends in such a limit is optimised for itself, as the whole of a query is, and stands
//! in the plan around it as a leaf ([`Isolate`], before DataFusion's rules), until all rules have run
//! ([`Rejoin`], after them). A limit that also has a number of rows is left to DataFusion, which heeds that one.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Statistics;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use super::scan::{leaf, no_expressions};

type Rules = Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>;

/// The rules, and what keeps them from reaching through an OFFSET.
pub(super) fn around(rules: Rules) -> Rules {
    let isolate: Arc<dyn PhysicalOptimizerRule + Send + Sync> = Arc::new(Isolate {
        rules: rules.clone(),
    });
    let mut all = vec![isolate];
    all.extend(rules);
    all.push(Arc::new(Rejoin));
    all
}

/// Optimises what ends in an OFFSET, and puts a leaf in its place.
#[derive(Debug)]
struct Isolate {
    rules: Rules,
}

impl PhysicalOptimizerRule for Isolate {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let isolated = plan.transform_up(|plan| {
            let limit = plan.downcast_ref::<GlobalLimitExec>();
            if !limit.is_some_and(|limit| limit.fetch().is_none() && limit.skip() > 0) {
                return Ok(Transformed::no(plan));
            }
            let optimised = self
                .rules
                .iter()
                .try_fold(plan, |plan, rule| rule.optimize(plan, config))?;
            Ok(Transformed::yes(Arc::new(Isolated::of(optimised)) as _))
        });
        Ok(isolated?.data)
    }

    fn name(&self) -> &str {
        "isolate_offsets"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Puts what was optimised by itself where its leaf stands.
#[derive(Debug)]
struct Rejoin;

impl PhysicalOptimizerRule for Rejoin {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rejoined = plan.transform_down(|mut plan| {
            let mut changed = false;
            while let Some(inner) = plan.downcast_ref::<Isolated>().map(|leaf| &leaf.plan) {
                plan = Arc::clone(inner);
                changed = true;
            }
            Ok(Transformed::new(plan, changed, TreeNodeRecursion::Continue))
        });
        Ok(rejoined?.data)
    }

    fn name(&self) -> &str {
        "rejoin_offsets"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A plan that no rule looks into.
struct Isolated {
    plan: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl Isolated {
    fn of(plan: Arc<dyn ExecutionPlan>) -> Isolated {
        Isolated {
            properties: Arc::clone(plan.properties()),
            plan,
        }
    }
}

impl fmt::Debug for Isolated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Isolated").field(&self.plan).finish()
    }
}

impl DisplayAs for Isolated {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Isolated")
    }
}

impl ExecutionPlan for Isolated {
    fn name(&self) -> &'static str {
        "Isolated"
    }

    leaf!();
    no_expressions!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.plan.execute(partition, context)
    }

    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        StatisticsContext::new().compute(self.plan.as_ref(), args)
    }
}
