//! Lookups of a whole unique key, run without a physical plan.
//!
//! DataFusion's physical planning costs more than such a query. When the optimised plan is nothing
//! but projections and filters over one table, and the filters give a whole unique key, the rows are
//! fetched and the same expressions are run over them here. Anything else takes the general road.

use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use super::error::wrap;
use super::filter::Bounds;
use super::provider::StoredTable;
use super::state::StatementContext;

enum Step {
    Filter(Arc<dyn PhysicalExpr>),
    Project(Vec<Arc<dyn PhysicalExpr>>, SchemaRef),
}

/// The result, when the plan is of the kind this module runs.
pub(crate) fn run(
    plan: &LogicalPlan,
    state: &SessionState,
    context: &StatementContext,
) -> Result<Option<RecordBatch>> {
    let mut nodes = Vec::new();
    let mut at = plan;
    let scan = loop {
        match at {
            LogicalPlan::Projection(p) => {
                nodes.push(at);
                at = &p.input;
            }
            LogicalPlan::Filter(f) => {
                nodes.push(at);
                at = &f.input;
            }
            LogicalPlan::SubqueryAlias(a) => at = &a.input,
            LogicalPlan::TableScan(scan) if scan.fetch.is_none() => break scan,
            _ => return Ok(None),
        }
    };
    let provider = source_as_provider(&scan.source)?;
    let provider: &dyn std::any::Any = provider.as_ref();
    let Some(table) = provider.downcast_ref::<StoredTable>() else {
        return Ok(None);
    };
    let Some(mut batch) = fetch(table, scan, context)? else {
        return Ok(None);
    };
    let mut steps = Vec::with_capacity(nodes.len());
    for node in nodes.iter().rev() {
        let Some(step) = step(node, state)? else {
            return Ok(None);
        };
        steps.push(step);
    }
    for step in steps {
        batch = apply(step, &batch)?;
    }
    Ok(Some(batch))
}

/// The rows of the key, with the columns of the scan; `None` when the filters are not a whole key.
fn fetch(
    table: &StoredTable,
    scan: &TableScan,
    context: &StatementContext,
) -> Result<Option<RecordBatch>> {
    let meta = table.meta();
    // A second look at locked rows is rare, and the general road knows how.
    if context.recheck.is_some() {
        return Ok(None);
    }
    let Some(lookup) = Bounds::new(meta, &scan.filters)
        .best_index(meta)
        .filter(|l| l.unique)
    else {
        return Ok(None);
    };
    let full = scan.source.schema();
    let places: Vec<usize> = match &scan.projection {
        Some(p) => p.clone(),
        None => (0..full.fields().len()).collect(),
    };
    let columns: Vec<_> = places
        .iter()
        .filter_map(|p| meta.columns.get(*p))
        .map(|c| c.id)
        .collect();
    let row_id = places.contains(&meta.columns.len());
    let index = &meta.storage.indexes[lookup.index];
    let view = context.view_of(table.slot())?;
    let mut rows = Vec::new();
    for range in &lookup.ranges {
        rows.extend(view.index_rows(&meta.storage, index, range).map_err(wrap)?);
    }
    rows.sort_unstable();
    rows.dedup();
    let batch = view
        .rows(&meta.storage, &rows, &columns, row_id)
        .map_err(|e| wrap(meta.explain(e)))?;
    let schema = Arc::new(full.project(&places)?);
    super::scan::conform(&schema, &batch).map(Some)
}

fn with_schema(
    schema: SchemaRef,
    columns: Vec<arrow::array::ArrayRef>,
    rows: usize,
) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

/// A node's expressions in physical form; `None` when one of them needs a plan of its own.
fn step(node: &LogicalPlan, state: &SessionState) -> Result<Option<Step>> {
    let physical = |expr: &Expr, schema: &DFSchema| {
        create_physical_expr(expr, schema, state.execution_props(), &Default::default())
    };
    let exprs: Vec<&Expr> = match node {
        LogicalPlan::Projection(p) => p.expr.iter().collect(),
        LogicalPlan::Filter(f) => vec![&f.predicate],
        _ => return Ok(None),
    };
    let mut plain = true;
    for expr in exprs {
        expr.apply(|e| {
            plain &= !matches!(
                e,
                Expr::ScalarSubquery(_)
                    | Expr::Exists(_)
                    | Expr::InSubquery(_)
                    | Expr::Placeholder(_)
            );
            Ok(if plain {
                TreeNodeRecursion::Continue
            } else {
                TreeNodeRecursion::Stop
            })
        })?;
    }
    if !plain {
        return Ok(None);
    }
    Ok(match node {
        LogicalPlan::Projection(p) => {
            let exprs: Result<Vec<_>> = p
                .expr
                .iter()
                .map(|e| physical(e, p.input.schema()))
                .collect();
            Some(Step::Project(exprs?, p.schema.inner().clone()))
        }
        LogicalPlan::Filter(f) => Some(Step::Filter(physical(&f.predicate, f.input.schema())?)),
        _ => None,
    })
}

fn apply(step: Step, batch: &RecordBatch) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    match step {
        Step::Filter(predicate) => {
            let holds = predicate.evaluate(batch)?.into_array(rows)?;
            let holds = holds
                .as_any()
                .downcast_ref::<BooleanArray>()
                .ok_or_else(|| {
                    DataFusionError::Internal("a predicate that is not boolean".to_owned())
                })?;
            Ok(filter_record_batch(batch, holds)?)
        }
        Step::Project(exprs, schema) => {
            let columns = exprs
                .iter()
                .map(|e| e.evaluate(batch)?.into_array(rows))
                .collect::<Result<Vec<_>>>()?;
            with_schema(schema, columns, rows)
        }
    }
}
