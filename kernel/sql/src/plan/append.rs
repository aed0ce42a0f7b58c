//! UNION ALL on one thread.
//!
//! Where a plan is to keep to its thread, DataFusion's union still has a partition for each of its inputs, and
//! what gathers those gives each a thread of the instance's. A statement inside of another one would then wait
//! for threads that wait for it, and functions that write would be called side by side. [`Append`] takes the
//! place of the union: one partition, which reads the inputs one after the other, in the order in which they are
//! written.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::{StreamExt, TryStreamExt};

use super::scan::{conform, no_expressions, properties};

/// Puts [`Append`] in the place of unions, in plans of one partition.
#[derive(Debug)]
pub(super) struct AppendUnions;

impl PhysicalOptimizerRule for AppendUnions {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if config.execution.target_partitions != 1 {
            return Ok(plan);
        }
        plan.transform_up(|node| {
            Ok(match node.downcast_ref::<UnionExec>() {
                Some(union) => {
                    let inputs = union.inputs().clone();
                    Transformed::yes(Append::over(node.schema(), inputs))
                }
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "append_unions"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// See the module's header.
#[derive(Debug)]
struct Append {
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
}

impl Append {
    fn over(schema: SchemaRef, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Arc<dyn ExecutionPlan> {
        let properties = properties(&schema, 1);
        Arc::new(Append { inputs, properties })
    }
}

impl DisplayAs for Append {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Append")
    }
}

impl ExecutionPlan for Append {
    fn name(&self) -> &'static str {
        "Append"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.inputs.len()]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Append::over(self.schema(), children))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Append::over(self.schema(), children))
    }

    no_expressions!();

    fn execute(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        // An input has more than one partition where it is one of many itself.
        let partitions: Vec<_> = self
            .inputs
            .iter()
            .flat_map(|input| {
                let count = input.output_partitioning().partition_count();
                (0..count).map(|partition| (input.clone(), partition))
            })
            .collect();
        let as_ours = schema.clone();
        let batches = futures::stream::iter(partitions)
            .map(move |(input, partition)| input.execute(partition, context.clone()))
            .try_flatten()
            .map(move |batch| conform(&as_ours, &batch?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }
}
