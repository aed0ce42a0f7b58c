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
use datafusion::physical_plan::joins::HashTableLookupExpr;
use datafusion::scalar::ScalarValue;
use heliosdb_storage::RowFilter;
use parking_lot::RwLock;

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
    /// What is asked of a dynamic filter, and its generation.
    sieve: RwLock<Option<(u64, Arc<dyn PhysicalExpr>)>>,
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
            sieve: RwLock::new(None),
        }))
    }

    pub fn expr(&self) -> &Arc<dyn PhysicalExpr> {
        &self.expr
    }

    /// Whether it becomes known only while the query runs.
    pub fn is_dynamic(&self) -> bool {
        is_dynamic(&self.expr)
    }

    /// What rows are asked.
    fn asked(&self) -> Result<Arc<dyn PhysicalExpr>> {
        let Some(dynamic) = self.narrow.downcast_ref::<DynamicFilterPhysicalExpr>() else {
            return Ok(Arc::clone(&self.narrow));
        };
        let generation = snapshot_generation(&self.narrow);
        if let Some((known, sieve)) = &*self.sieve.read()
            && *known == generation
        {
            return Ok(Arc::clone(sieve));
        }
        let sieve = sieve(&dynamic.current()?);
        *self.sieve.write() = Some((generation, Arc::clone(&sieve)));
        Ok(sieve)
    }

    fn evaluate(&self, columns: &[ArrayRef]) -> Result<Option<BooleanArray>> {
        let columns = conform_columns(&self.schema, columns)?;
        let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
        match self.asked()?.evaluate(&batch)? {
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

/// What a dynamic filter leaves out, or less, at less cost. Bounds say nothing that looking keys up does not
/// say again; and in which partition of a join a key would be need not be known to look it up in all of them,
/// since it is in no other.
fn sieve(expr: &Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
    let is_lookup = |expr: &Arc<dyn PhysicalExpr>| expr.is::<HashTableLookupExpr>();
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>()
        && *binary.op() == Operator::And
    {
        let sides = [binary.left(), binary.right()];
        if let Some(lookup) = sides.into_iter().find(|side| is_lookup(side)) {
            return Arc::clone(lookup);
        }
    }
    if let Some(case) = expr.downcast_ref::<CaseExpr>() {
        let parts = case.when_then_expr().iter().map(|(_, then)| sieve(then));
        let parts: Vec<_> = parts.filter(|part| !is_false(part)).collect();
        let or_else = case.else_expr().is_none_or(is_false);
        if or_else && parts.iter().all(is_lookup) {
            let either = |a, b| Arc::new(BinaryExpr::new(a, Operator::Or, b)) as _;
            if let Some(any) = parts.into_iter().reduce(either) {
                return any;
            }
        }
    }
    Arc::clone(expr)
}

fn is_false(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let literal = expr.downcast_ref::<Literal>();
    literal.is_some_and(|literal| *literal.value() == ScalarValue::Boolean(Some(false)))
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

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, UInt64Array};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::common::hash_utils::create_hashes;
    use datafusion::physical_expr::expressions::{col, lit};
    use datafusion::physical_plan::joins::join_hash_map::{JoinHashMapType, JoinHashMapU32};
    use datafusion::physical_plan::joins::{HashExpr, Map, SeededRandomState};

    use super::*;

    const SEED: u64 = 7;

    /// Looks up `k` among some keys, within their bounds.
    fn part(keys: &[i64], schema: &Schema) -> Arc<dyn PhysicalExpr> {
        let column: ArrayRef = Arc::new(Int64Array::from(keys.to_vec()));
        let mut hashes = vec![0; keys.len()];
        let random = SeededRandomState::with_seed(SEED);
        create_hashes(&[column], random.random_state(), &mut hashes).unwrap();
        let mut map = JoinHashMapU32::with_capacity(keys.len());
        map.update_from_iter(Box::new(hashes.iter().enumerate()), 0);
        let k = col("k", schema).unwrap();
        let map = Arc::new(Map::HashMap(Box::new(map)));
        let lookup = HashTableLookupExpr::new(vec![k.clone()], random, map, "lookup".to_owned());
        let and = |a, b| Arc::new(BinaryExpr::new(a, Operator::And, b)) as Arc<dyn PhysicalExpr>;
        let compare = |op, to: i64| Arc::new(BinaryExpr::new(k.clone(), op, lit(to))) as _;
        let (least, most) = (keys.iter().min().unwrap(), keys.iter().max().unwrap());
        and(
            and(
                compare(Operator::GtEq, *least),
                compare(Operator::LtEq, *most),
            ),
            Arc::new(lookup),
        )
    }

    fn rows(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Vec<bool> {
        let passed = expr.evaluate(batch).unwrap();
        let passed = passed.into_array(batch.num_rows()).unwrap();
        let passed = passed.as_boolean().iter();
        passed.map(|passed| passed == Some(true)).collect()
    }

    #[test]
    fn a_sieve_lets_through_what_its_filter_does() {
        let schema = Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, true)]));
        let keys: Int64Array = (-50..50).map(|k| (k % 7 != 0).then_some(k)).collect();
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(keys)]).unwrap();
        let one = part(&[3, -20, 44, 12], &schema);
        assert!(sieve(&one).is::<HashTableLookupExpr>());
        assert_eq!(rows(&sieve(&one), &batch), rows(&one, &batch));

        let k = col("k", &schema).unwrap();
        let hash = HashExpr::new(
            vec![k],
            SeededRandomState::with_seed(SEED + 1),
            "hash".into(),
        );
        let partition: Arc<dyn PhysicalExpr> =
            Arc::new(BinaryExpr::new(Arc::new(hash), Operator::Modulo, lit(2u64)));
        // Each key in the partition of the join that it has.
        let of = partition.evaluate(&batch).unwrap().into_array(100).unwrap();
        let of: &UInt64Array = of.as_primitive();
        let keys_of = |wanted| -> Vec<i64> {
            let own = |k: &i64| of.value((k + 50) as usize) == wanted && k % 7 != 0;
            (-48..47).step_by(5).filter(own).collect()
        };
        let branch = |number: u64, then| (lit(number), then);
        let case = |branches, or_else: bool| {
            let case = CaseExpr::try_new(Some(partition.clone()), branches, Some(lit(or_else)));
            Arc::new(case.unwrap()) as Arc<dyn PhysicalExpr>
        };
        let both = vec![
            branch(0, part(&keys_of(0), &schema)),
            branch(1, part(&keys_of(1), &schema)),
        ];
        let partitioned = case(both.clone(), false);
        assert!(sieve(&partitioned).is::<BinaryExpr>());
        assert_eq!(
            rows(&sieve(&partitioned), &batch),
            rows(&partitioned, &batch)
        );
        let passed = rows(&partitioned, &batch);
        assert!(passed.contains(&true) && passed.contains(&false));
        let half = case(vec![both[0].clone(), branch(1, lit(false))], false);
        assert!(sieve(&half).is::<HashTableLookupExpr>());
        let passed = |expr| rows(expr, &batch);
        let (sieved, passed) = (passed(&sieve(&half)), passed(&half));
        assert_eq!(sieved, passed);

        // A partition of which nothing is known lets everything through.
        let unknown = case(vec![both[0].clone()], true);
        assert_eq!(rows(&sieve(&unknown), &batch), rows(&unknown, &batch));
        assert!(sieve(&unknown).is::<CaseExpr>());
    }
}
