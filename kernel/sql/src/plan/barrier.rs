//! What keeps conditions of a statement away from rows that its role may not see.
//!
//! A condition that fails, on a division by zero or a text that is no number, tells of the row that it failed
//! for. So under a barrier, which stands above the policies of a table, only such conditions are moved as
//! cannot fail: comparisons of columns and constants, and what is made of those with AND, OR and NOT.
//! PostgreSQL calls their functions leakproof. All others are evaluated over what the policies left.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, Statistics};
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Expr, Extension, Filter, LogicalPlan, Operator, UserDefinedLogicalNode,
    UserDefinedLogicalNodeCore,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::scan::no_expressions;

/// Stands above the policies of a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Barrier {
    input: LogicalPlan,
}

impl PartialOrd for Barrier {
    fn partial_cmp(&self, _other: &Self) -> Option<std::cmp::Ordering> {
        None
    }
}

impl Barrier {
    pub fn around(input: LogicalPlan) -> LogicalPlan {
        LogicalPlan::Extension(Extension {
            node: Arc::new(Barrier { input }),
        })
    }

    /// What stands under a node that is a barrier.
    pub fn input(node: &Arc<dyn UserDefinedLogicalNode>) -> Option<&LogicalPlan> {
        let barrier = node.as_any().downcast_ref::<Barrier>()?;
        Some(&barrier.input)
    }
}

impl UserDefinedLogicalNodeCore for Barrier {
    fn name(&self) -> &str {
        "RowSecurity"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        let fields = self.input.schema().fields();
        fields.iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowSecurity")
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let input = inputs.into_iter().next().ok_or_else(|| {
            datafusion::error::DataFusionError::Internal("a barrier around nothing".to_owned())
        })?;
        Ok(Barrier { input })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}

/// Moves conditions that cannot fail under barriers, where they find the indexes of a table.
#[derive(Debug)]
pub(super) struct PassBarriers;

impl OptimizerRule for PassBarriers {
    fn name(&self) -> &str {
        "pass_barriers"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = &plan else {
            return Ok(Transformed::no(plan));
        };
        let LogicalPlan::Extension(extension) = filter.input.as_ref() else {
            return Ok(Transformed::no(plan));
        };
        let Some(input) = Barrier::input(&extension.node) else {
            return Ok(Transformed::no(plan));
        };
        let all = split_conjunction_owned(filter.predicate.clone());
        let (pass, stay): (Vec<Expr>, Vec<Expr>) = all.into_iter().partition(is_leakproof);
        let Some(pass) = conjunction(pass) else {
            return Ok(Transformed::no(plan));
        };
        let under = LogicalPlan::Filter(Filter::try_new(pass, Arc::new(input.clone()))?);
        let barrier = Barrier::around(under);
        Ok(Transformed::yes(match conjunction(stay) {
            None => barrier,
            Some(stay) => LogicalPlan::Filter(Filter::try_new(stay, Arc::new(barrier))?),
        }))
    }
}

/// Whether evaluating an expression can neither fail nor do anything.
fn is_leakproof(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) | Expr::Literal(..) | Expr::Placeholder(_) => true,
        Expr::Not(e)
        | Expr::IsNull(e)
        | Expr::IsNotNull(e)
        | Expr::IsTrue(e)
        | Expr::IsFalse(e)
        | Expr::IsNotTrue(e)
        | Expr::IsNotFalse(e) => is_leakproof(e),
        Expr::BinaryExpr(b) => {
            use Operator::{And, Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq};
            use Operator::{NotEq, Or};
            matches!(
                b.op,
                And | Or | Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
            ) && is_leakproof(&b.left)
                && is_leakproof(&b.right)
        }
        Expr::Between(b) => is_leakproof(&b.expr) && is_leakproof(&b.low) && is_leakproof(&b.high),
        Expr::InList(list) => is_leakproof(&list.expr) && list.list.iter().all(is_leakproof),
        _ => false,
    }
}

/// DataFusion's planner, and barriers.
#[derive(Debug)]
pub(super) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        state: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let barriers: Arc<dyn ExtensionPlanner + Send + Sync> = Arc::new(PlanBarriers);
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![barriers]);
        planner.create_physical_plan(plan, state).await
    }
}

struct PlanBarriers;

#[async_trait]
impl ExtensionPlanner for PlanBarriers {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _state: &dyn Session,
        _context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        match (node.as_any().is::<Barrier>(), physical_inputs) {
            (true, [input]) => Ok(Some(Arc::new(BarrierExec::new(input.clone())))),
            _ => Ok(None),
        }
    }
}

/// Passes rows on. Filters that other operators would push stop here, as they do at any operator that does not
/// say otherwise.
#[derive(Debug)]
struct BarrierExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl BarrierExec {
    fn new(input: Arc<dyn ExecutionPlan>) -> BarrierExec {
        BarrierExec {
            properties: Arc::new(PlanProperties::new(
                input.equivalence_properties().clone(),
                input.output_partitioning().clone(),
                input.pipeline_behavior(),
                input.boundedness(),
            )),
            input,
        }
    }

    fn over(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Arc<dyn ExecutionPlan> {
        match children.into_iter().next() {
            Some(input) => Arc::new(BarrierExec::new(input)),
            None => self,
        }
    }
}

impl DisplayAs for BarrierExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowSecurity")
    }
}

impl ExecutionPlan for BarrierExec {
    fn name(&self) -> &'static str {
        "RowSecurity"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.over(children))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.over(children))
    }

    no_expressions!();

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let unknown = || Arc::new(Statistics::new_unknown(&self.input.schema()));
        Ok(inputs.first().cloned().unwrap_or_else(unknown))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}
