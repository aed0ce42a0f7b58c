//! Conditions that a scan asks about a block's rows before it reads their other columns.
//!
//! The operators above hand them down and keep them: a filter its conditions, so that what it would drop
//! is not decoded; a hash join what its build side turned out to have, a top-k sort its worst row
//! so far (DataFusion's dynamic filters, known once the query runs). So a scan may leave a condition out
//! whenever asking costs more than it spares: one that passes nearly all rows is asked no more until it
//! changes, and one that fails is left to the operator above, which says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::{BatchCoalescer, prep_null_mask_filter};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, Operator, Volatility};
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, CastExpr, Column, DynamicFilterPhysicalExpr, InListExpr, IsNotNullExpr,
    IsNullExpr, LikeExpr, Literal, NotExpr,
};
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_expr_common::physical_expr::snapshot_generation;
use heliosdb_storage::RowFilter;

use super::scan::conform_columns;

/// Rows a condition is tried on before it is judged.
const TRIAL_ROWS: u64 = 32 * 1024;
/// A condition that passes more than so many of a hundred rows is not worth asking.
const PASSED_PERCENT_MAX: u64 = 50;

/// A condition on the columns of a scan.
#[derive(Debug)]
pub(super) struct ScanFilter {
    /// Over the scan's columns.
    expr: Arc<dyn PhysicalExpr>,
    /// Over those it reads.
    narrow: Arc<dyn PhysicalExpr>,
    columns: Vec<usize>,
    schema: SchemaRef,
    /// What `seen` and `passed` are about.
    generation: AtomicU64,
    seen: AtomicU64,
    passed: AtomicU64,
}

impl ScanFilter {
    /// `None` for what a scan may not be asked: what reads no column, differs from call to call, or may
    /// have an effect.
    pub fn new(expr: Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> Result<Option<ScanFilter>> {
        if !is_dynamic(&expr) && !is_plain(&expr) {
            return Ok(None);
        }
        let mut columns: Vec<usize> = collect_columns(&expr).iter().map(Column::index).collect();
        columns.sort_unstable();
        if columns.is_empty() {
            return Ok(None);
        }
        let schema = Arc::new(schema.project(&columns)?);
        Ok(Some(ScanFilter {
            narrow: reassign_expr_columns(expr.clone(), &schema)?,
            expr,
            columns,
            schema,
            generation: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            passed: AtomicU64::new(0),
        }))
    }

    pub fn expr(&self) -> &Arc<dyn PhysicalExpr> {
        &self.expr
    }

    /// Whether it becomes known only while the query runs.
    pub fn is_dynamic(&self) -> bool {
        is_dynamic(&self.expr)
    }

    fn evaluate(&self, columns: &[ArrayRef]) -> Result<Option<BooleanArray>> {
        let columns = conform_columns(&self.schema, columns)?;
        let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
        match self.narrow.evaluate(&batch)? {
            ColumnarValue::Array(array) => match array.as_boolean_opt() {
                Some(passed) => Ok(Some(passed.clone())),
                None => Err(DataFusionError::Internal(format!(
                    "a condition of type {}",
                    array.data_type()
                ))),
            },
            ColumnarValue::Scalar(_) => Ok(None),
        }
    }
}

impl RowFilter for ScanFilter {
    fn columns(&self) -> &[usize] {
        let generation = snapshot_generation(&self.expr);
        if self.generation.swap(generation, Ordering::Relaxed) != generation {
            self.seen.store(0, Ordering::Relaxed);
            self.passed.store(0, Ordering::Relaxed);
        }
        let seen = self.seen.load(Ordering::Relaxed);
        let passed = self.passed.load(Ordering::Relaxed);
        match seen >= TRIAL_ROWS && passed > seen / 100 * PASSED_PERCENT_MAX {
            true => &[],
            false => &self.columns,
        }
    }

    fn select(&self, columns: &[ArrayRef]) -> Option<BooleanBuffer> {
        let passed = self.evaluate(columns).ok()??;
        let passed = match passed.null_count() {
            0 => passed,
            _ => prep_null_mask_filter(&passed),
        };
        let passed = passed.values().clone();
        let count = passed.count_set_bits() as u64;
        self.seen.fetch_add(passed.len() as u64, Ordering::Relaxed);
        self.passed.fetch_add(count, Ordering::Relaxed);
        Some(passed)
    }
}

fn is_dynamic(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<DynamicFilterPhysicalExpr>().is_some()
}

/// Whether it is made of what has no effect and no state.
fn is_plain(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let mut plain = true;
    let visited = expr.apply(|node| {
        let known = node.downcast_ref::<Column>().is_some()
            || node.downcast_ref::<Literal>().is_some()
            || node.downcast_ref::<BinaryExpr>().is_some()
            || node.downcast_ref::<InListExpr>().is_some()
            || node.downcast_ref::<LikeExpr>().is_some()
            || node.downcast_ref::<IsNullExpr>().is_some()
            || node.downcast_ref::<IsNotNullExpr>().is_some()
            || node.downcast_ref::<NotExpr>().is_some()
            || node.downcast_ref::<CaseExpr>().is_some()
            || node.downcast_ref::<CastExpr>().is_some()
            || node
                .downcast_ref::<ScalarFunctionExpr>()
                .is_some_and(|call| call.fun().signature().volatility == Volatility::Immutable);
        plain &= known;
        Ok(match known {
            true => TreeNodeRecursion::Continue,
            false => TreeNodeRecursion::Stop,
        })
    });
    plain && visited.is_ok()
}

/// The column that a condition compares with a constant, if that is all it does: what ranges say of
/// pages without decoding them.
pub(super) fn range_column(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq};
    let comparison = expr.downcast_ref::<BinaryExpr>()?;
    let (left, right) = (comparison.left(), comparison.right());
    let column = match (
        left.downcast_ref::<Column>(),
        right.downcast_ref::<Column>(),
    ) {
        (Some(column), None) if right.downcast_ref::<Literal>().is_some() => column,
        (None, Some(column)) if left.downcast_ref::<Literal>().is_some() => column,
        _ => return None,
    };
    matches!(comparison.op(), Eq | Lt | LtEq | Gt | GtEq).then(|| column.index())
}

/// What passes, of a block perhaps a row, gathered into batches worth handing on.
pub(super) struct Gathered<I> {
    /// `None` at their end.
    batches: Option<I>,
    gathered: BatchCoalescer,
}

impl<I> Gathered<I> {
    pub fn new(schema: &SchemaRef, batch_rows: usize, batches: I) -> Gathered<I> {
        let gathered = BatchCoalescer::new(schema.clone(), batch_rows);
        Gathered {
            batches: Some(batches),
            gathered: gathered.with_biggest_coalesce_batch_size(Some(batch_rows / 2)),
        }
    }
}

impl<I: Iterator<Item = Result<RecordBatch>>> Iterator for Gathered<I> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            if let Some(batch) = self.gathered.next_completed_batch() {
                return Some(Ok(batch));
            }
            let added = match self.batches.as_mut()?.next() {
                Some(Ok(batch)) => self.gathered.push_batch(batch),
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    self.batches = None;
                    self.gathered.finish_buffered_batch()
                }
            };
            if let Err(error) = added {
                return Some(Err(error.into()));
            }
        }
    }
}
