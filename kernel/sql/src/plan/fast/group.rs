//! Grouping of few rows: one group of all of them, or the distinct ones.
//!
//! The accumulators and the comparison of keys are those of the general route, so a sum is the same sum. What
//! is left out are phases, partitions and groups that do not fit into memory. Only the kernel's own aggregates
//! that depend on their arguments alone are here, and none with an ORDER BY or a DISTINCT of its own; keys
//! and aggregates together are the general route's.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::filter;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, EmitTo, Expr};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_plan::aggregates::group_values::new_group_values;
use datafusion::physical_plan::aggregates::order::GroupOrdering;

use super::expr::Compiler;

/// Aggregates that compute from their arguments and nothing else.
const PLAIN: [&str; 7] = ["count", "sum", "avg", "min", "max", "bool_and", "bool_or"];

/// See the module's header.
#[derive(Debug)]
pub(super) enum Group {
    All(Vec<Call>, SchemaRef),
    Distinct(Vec<Arc<dyn PhysicalExpr>>, SchemaRef),
}

/// An aggregate, compiled.
#[derive(Debug)]
pub(super) struct Call {
    function: AggregateFunctionExpr,
    args: Vec<Arc<dyn PhysicalExpr>>,
    filter: Option<Arc<dyn PhysicalExpr>>,
}

impl Group {
    /// `None` when it may not be compiled.
    pub fn compile(aggregate: &Aggregate, compiler: &Compiler) -> DfResult<Option<Group>> {
        let input = aggregate.input.schema();
        let schema = aggregate.schema.inner().clone();
        if aggregate.group_expr.is_empty() {
            let calls = aggregate.aggr_expr.iter();
            let calls = calls.map(|expr| Call::compile(expr, input, compiler));
            let calls: Option<Vec<Call>> = calls.collect::<DfResult<_>>()?;
            return Ok(calls.map(|calls| Group::All(calls, schema)));
        }
        if !aggregate.aggr_expr.is_empty() {
            return Ok(None);
        }
        let mut keys = Vec::with_capacity(aggregate.group_expr.len());
        for expr in &aggregate.group_expr {
            if matches!(expr, Expr::GroupingSet(_)) {
                return Ok(None);
            }
            let Some(key) = compiler.compile(expr, input)? else {
                return Ok(None);
            };
            keys.push(key);
        }
        Ok(Some(Group::Distinct(keys, schema)))
    }

    pub fn apply(&self, batch: &RecordBatch) -> DfResult<RecordBatch> {
        let (columns, schema) = match self {
            Group::All(calls, schema) => {
                let values = calls.iter().map(|call| call.value(batch));
                (values.collect::<DfResult<Vec<_>>>()?, schema)
            }
            Group::Distinct(keys, schema) => (distinct(keys, schema, batch)?, schema),
        };
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }
}

/// Each combination of keys once.
fn distinct(
    keys: &[Arc<dyn PhysicalExpr>],
    schema: &SchemaRef,
    batch: &RecordBatch,
) -> DfResult<Vec<ArrayRef>> {
    let columns = arrays(keys, batch)?;
    let mut groups = new_group_values(schema.clone(), &GroupOrdering::None)?;
    groups.intern(&columns, &mut Vec::with_capacity(batch.num_rows()))?;
    groups.emit(EmitTo::All)
}

fn arrays(exprs: &[Arc<dyn PhysicalExpr>], batch: &RecordBatch) -> DfResult<Vec<ArrayRef>> {
    let rows = batch.num_rows();
    let arrays = exprs.iter().map(|e| e.evaluate(batch)?.into_array(rows));
    arrays.collect()
}

impl Call {
    fn compile(expr: &Expr, input: &DFSchema, compiler: &Compiler) -> DfResult<Option<Call>> {
        let inner = match expr {
            Expr::Alias(alias) => alias.expr.as_ref(),
            other => other,
        };
        let Expr::AggregateFunction(AggregateFunction { func, params }) = inner else {
            return Ok(None);
        };
        let is_ours = PLAIN.contains(&func.name())
            && crate::functions::aggregate::builtin(func.name())
                .is_some_and(|ours| Arc::ptr_eq(ours.inner(), func.inner()));
        if !is_ours
            || params.distinct
            || !params.order_by.is_empty()
            || params.null_treatment.is_some()
        {
            return Ok(None);
        }
        let mut args = Vec::with_capacity(params.args.len());
        for arg in &params.args {
            let Some(arg) = compiler.compile(arg, input)? else {
                return Ok(None);
            };
            args.push(arg);
        }
        let filter = match &params.filter {
            None => None,
            Some(filter) => match compiler.compile(filter, input)? {
                None => return Ok(None),
                some => some,
            },
        };
        let function = AggregateExprBuilder::new(func.clone(), args.clone())
            .schema(input.inner().clone())
            .alias(expr.schema_name().to_string())
            .build()?;
        Ok(Some(Call {
            function,
            args,
            filter,
        }))
    }

    /// Of all rows of the batch.
    fn value(&self, batch: &RecordBatch) -> DfResult<ArrayRef> {
        let mut accumulator = self.function.create_accumulator()?;
        let mut columns = arrays(&self.args, batch)?;
        if let Some(condition) = &self.filter {
            let holds = condition.evaluate(batch)?.into_array(batch.num_rows())?;
            let holds = holds.as_boolean_opt().ok_or_else(|| {
                DataFusionError::Internal("a filter that is not boolean".to_owned())
            })?;
            for column in &mut columns {
                *column = filter(column, holds)?;
            }
        }
        if columns.first().is_some_and(|column| !column.is_empty()) {
            accumulator.update_batch(&columns)?;
        }
        accumulator.evaluate()?.to_array()
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (keys, calls): (Vec<String>, Vec<&str>) = match self {
            Group::All(calls, _) => (
                Vec::new(),
                calls.iter().map(|c| c.function.name()).collect(),
            ),
            Group::Distinct(keys, _) => {
                (keys.iter().map(ToString::to_string).collect(), Vec::new())
            }
        };
        let (keys, calls) = (keys.join(", "), calls.join(", "));
        write!(f, "Aggregate: gby=[{keys}], aggr=[{calls}]")
    }
}
