//! EXPLAIN: DataFusion's physical plan as lines of text.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;

/// One line per operator, indented by depth; with what was measured when the plan has run.
pub(crate) fn lines(plan: &Arc<dyn ExecutionPlan>, analyze: bool, verbose: bool) -> Vec<String> {
    let displayable = if analyze {
        DisplayableExecutionPlan::with_metrics(plan.as_ref())
    } else {
        DisplayableExecutionPlan::new(plan.as_ref())
    };
    let text = displayable.indent(verbose).to_string();
    text.lines().map(str::to_owned).collect()
}
