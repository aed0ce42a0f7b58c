//! The compiled route: queries for few rows of one table, run straight over storage.
//!
//! Planning such a query costs a hundred times what running it does. So when an optimised plan is
//! nothing but projections, filters, a sort, a limit and simple groups over one table of ours, and an index can find
//! its rows, it is compiled, once, when it is planned: [`FastQuery`]. Running one is finding row ids
//! ([`access`]), reading the rows, and evaluating compiled expressions over them ([`expr`], [`group`]). The rows
//! of UPDATE and DELETE and of SELECT FOR UPDATE come from the same queries, and the second look at
//! rows that changed while their locks were waited for is taken through them too.
//!
//! 1. *One semantics.* Conditions become index ranges by the code that does it for every scan, and
//!    expressions are DataFusion's physical ones. What this route leaves out is planning.
//! 2. *It may decline.* An execution whose parameters do not narrow an index down to [few
//!    rows](access::ROWS_MAX) is none of this module's, and the caller takes the general road.
//! 3. *A compiled query holds no view*, no session and no engine, so plans can be kept.
//!
//! `helios.fast_path = off` sends everything down the general road; tests compare the two.

mod access;
mod expr;
mod group;

use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use arrow::compute::{
    SortColumn, SortOptions, filter_record_batch, lexsort_to_indices, take_record_batch,
};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::source_as_provider;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{FetchType, Limit, LogicalPlan, SkipType, TableScan};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::scalar::ScalarValue;
use heliosdb_storage::ids::RowId;
use heliosdb_storage::{ReadView, RowReader};

use self::access::{Access, Found};
pub(crate) use self::expr::{Compiler, MOMENTS, lift_moments, moment_values, with_values};
use self::group::Group;
use super::as_of::time::shown;
use super::error::{convert, wrap};
use super::limit;
use super::provider::StoredTable;
use super::scan::conform;
use super::state::StatementContext;
use crate::catalog::meta::TableMeta;
use crate::error::Result;
use crate::types::{Format, PgType};

/// A query that is ready to run over storage.
#[derive(Debug)]
pub(crate) struct FastQuery {
    meta: Arc<TableMeta>,
    slot: Option<usize>,
    access: Access,
    reader: RowReader,
    /// What rows that were read have, and whether storage gives it to them.
    schema: SchemaRef,
    conform: bool,
    steps: Vec<Step>,
    /// Reads the result itself, when there is nothing to do with rows that a key has found.
    direct: Option<RowReader>,
    /// Over all, when its numbers are parameters.
    limit: Option<Limit>,
}

/// What is done with the rows, the first step first.
#[derive(Debug)]
enum Step {
    Filter {
        predicate: Arc<dyn PhysicalExpr>,
        /// Every row that the access path finds fulfils it.
        implied: bool,
    },
    Project(Vec<Arc<dyn PhysicalExpr>>, SchemaRef),
    Sort {
        by: Vec<(Arc<dyn PhysicalExpr>, SortOptions)>,
        fetch: Option<usize>,
    },
    Limit {
        skip: usize,
        fetch: Option<usize>,
    },
    Group(Group),
}

impl FastQuery {
    /// Compiles an optimised plan; `None` when it is not of the kind this module runs.
    pub fn compile(
        plan: &LogicalPlan,
        params: &[PgType],
        state: &SessionState,
    ) -> DfResult<Option<FastQuery>> {
        let Some((nodes, scan)) = take_apart(plan) else {
            return Ok(None);
        };
        let provider = source_as_provider(&scan.source)?;
        let provider: &dyn std::any::Any = provider.as_ref();
        let Some(table) = provider.downcast_ref::<StoredTable>() else {
            return Ok(None);
        };
        let meta = table.meta();
        let compiler = Compiler::new(state, params, false);
        let Some(access) = Access::new(meta, &scan.filters, &compiler).map_err(wrap)? else {
            return Ok(None);
        };
        let mut steps = Vec::with_capacity(nodes.len());
        for node in nodes.iter().rev() {
            let Some(step) = step(node, meta, &access, &compiler)? else {
                return Ok(None);
            };
            steps.push(step);
        }
        let full = scan.source.schema();
        let places: Vec<usize> = match &scan.projection {
            Some(places) => places.clone(),
            None => (0..full.fields().len()).collect(),
        };
        let schema = Arc::new(full.project(&places)?);
        let columns = places.iter().filter_map(|p| meta.columns.get(*p));
        let columns: Vec<_> = columns.map(|c| c.id).collect();
        let row_id = places.contains(&meta.columns.len());
        let reader = |schema| RowReader::new(&meta.storage, &columns, row_id, schema);
        // Types that plugins have names for are not storage's.
        let (reader, conform) = match reader(Some(schema.clone())) {
            Ok(reader) => (reader, false),
            Err(_) => (reader(None).map_err(wrap)?, true),
        };
        let direct = direct_reader(meta, &places, &steps);
        Ok(Some(FastQuery {
            meta: meta.clone(),
            slot: table.slot(),
            access,
            reader,
            schema,
            conform,
            steps,
            direct,
            limit: None,
        }))
    }

    /// The same under a limit whose numbers are parameters.
    pub fn with_limit(self, limit: Option<Limit>) -> FastQuery {
        FastQuery { limit, ..self }
    }

    /// Runs it; `None` when the general route has to.
    pub fn run(
        &self,
        context: &StatementContext,
        params: &[ScalarValue],
    ) -> Result<Option<RecordBatch>> {
        let Some(limit) = &self.limit else {
            return self.run_unlimited(context, params);
        };
        // Refused before anything is read, as where it is planned.
        let (skip, fetch) = limit::rows(limit, params)?;
        let batch = self.run_unlimited(context, params)?;
        Ok(batch.map(|batch| slice(&batch, skip, fetch)))
    }

    fn run_unlimited(
        &self,
        context: &StatementContext,
        params: &[ScalarValue],
    ) -> Result<Option<RecordBatch>> {
        if let Some(direct) = &self.direct
            && context.recheck.is_none()
        {
            let view = context.view_of(self.slot).map_err(convert)?;
            if let Some(rows) = self.access.find_point(&self.meta, view, params)? {
                let batch = view.read(direct, &rows);
                return batch.map(Some).map_err(|e| self.meta.explain(e));
            }
        }
        let values = all_values(context, params);
        let recheck = context.recheck.as_ref();
        let recheck = recheck.and_then(|r| Some((&r.view, r.rows.get(&self.meta.table.oid)?)));
        let again = recheck.is_some();
        let batch = match recheck {
            Some((view, rows)) => self.read(view, rows)?,
            None => {
                let view = context.view_of(self.slot).map_err(convert)?;
                match self.access.find(&self.meta, view, &values)? {
                    Found::Rows(rows) => self.read(view, &rows)?,
                    Found::TooMany => return Ok(None),
                }
            }
        };
        context.interrupt.check()?;
        with_values(values, || {
            let mut steps = self.steps.iter();
            steps.try_fold(batch, |batch, step| step.apply(batch, again))
        })
        .map(Some)
        .map_err(convert)
    }

    fn read(&self, view: &ReadView, rows: &[RowId]) -> Result<RecordBatch> {
        let batch = view.read(&self.reader, rows);
        let batch = batch.map_err(|e| self.meta.explain(e))?;
        if self.conform {
            return conform(&self.schema, &batch).map_err(convert);
        }
        Ok(batch)
    }

    /// What EXPLAIN says of an execution; `None` when the general route has to.
    pub fn explain(
        &self,
        context: &StatementContext,
        params: &[ScalarValue],
        format: &Format,
    ) -> Result<Option<Vec<String>>> {
        let view = context.view_of(self.slot).map_err(convert)?;
        let values = all_values(context, params);
        if let Found::TooMany = self.access.find(&self.meta, view, &values)? {
            return Ok(None);
        }
        self.described(context, params, format, None).map(Some)
    }

    /// A line per step; with the rows that it gave, when it has run.
    pub fn described(
        &self,
        context: &StatementContext,
        params: &[ScalarValue],
        format: &Format,
        rows: Option<usize>,
    ) -> Result<Vec<String>> {
        let view = context.view_of(self.slot).map_err(convert)?;
        let values = all_values(context, params);
        let mut first = "FastPath".to_owned();
        if let Some(rows) = rows {
            first.push_str(&format!(", metrics=[output_rows={rows}]"));
        }
        let mut lines: Vec<String> = self.steps.iter().rev().map(ToString::to_string).collect();
        let mut read = self.access.describe(&self.meta, &values);
        if self.slot.is_some() {
            read.push_str(&format!(", as_of={}", shown(view.ts(), format)));
        }
        lines.push(read);
        let indented = lines.iter().enumerate();
        let indented = indented.map(|(depth, line)| format!("{}{line}", "  ".repeat(depth + 1)));
        Ok(std::iter::once(first).chain(indented).collect())
    }
}

/// The parameters and, behind them, the moments.
fn all_values(context: &StatementContext, params: &[ScalarValue]) -> Vec<ScalarValue> {
    let mut values = Vec::with_capacity(params.len() + MOMENTS);
    values.extend_from_slice(params);
    values.extend(moment_values(context.moments));
    values
}

/// A reader of the result, when the steps only choose columns.
fn direct_reader(meta: &TableMeta, places: &[usize], steps: &[Step]) -> Option<RowReader> {
    let [
        Step::Filter { implied: true, .. },
        Step::Project(exprs, schema),
    ] = steps
    else {
        return None;
    };
    let column = |e: &Arc<dyn PhysicalExpr>| {
        let place = *places.get(e.downcast_ref::<Column>()?.index())?;
        Some(meta.columns.get(place)?.id)
    };
    let columns: Vec<_> = exprs.iter().map(column).collect::<Option<_>>()?;
    RowReader::new(&meta.storage, &columns, false, Some(schema.clone())).ok()
}

/// The nodes above the scan of one table, the topmost first.
fn take_apart(plan: &LogicalPlan) -> Option<(Vec<&LogicalPlan>, &TableScan)> {
    let mut nodes = Vec::new();
    let mut at = plan;
    loop {
        let input = match at {
            LogicalPlan::TableScan(scan) => return Some((nodes, scan)),
            LogicalPlan::SubqueryAlias(a) => {
                at = &a.input;
                continue;
            }
            LogicalPlan::Projection(p) => &p.input,
            LogicalPlan::Filter(f) => &f.input,
            LogicalPlan::Sort(s) => &s.input,
            LogicalPlan::Limit(l) => &l.input,
            LogicalPlan::Aggregate(a) => &a.input,
            _ => return None,
        };
        nodes.push(at);
        at = input;
    }
}

/// Whether a plan, optimised or not, has the shape that [`FastQuery::compile`] takes.
pub(crate) fn may_compile(plan: &LogicalPlan) -> bool {
    take_apart(plan).is_some()
}

/// The plan with parameters in the place of `now()` and its like; see [`expr::lift_moments`].
pub(crate) fn without_moments(plan: LogicalPlan, params: usize) -> Result<LogicalPlan> {
    let lifted = plan.transform_up(|node| {
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|e| {
            let name = names.save(&e);
            Ok(lift_moments(e, params)?.update_data(|e| name.restore(e)))
        })?;
        node.map_data(LogicalPlan::recompute_schema)
    });
    lifted.map(|t| t.data).map_err(convert)
}

/// A node's expressions, compiled; `None` when one of them may not be.
fn step(
    node: &LogicalPlan,
    meta: &TableMeta,
    access: &Access,
    compiler: &Compiler,
) -> DfResult<Option<Step>> {
    Ok(match node {
        LogicalPlan::Projection(p) => {
            let mut exprs = Vec::with_capacity(p.expr.len());
            for expr in &p.expr {
                let Some(expr) = compiler.compile(expr, p.input.schema())? else {
                    return Ok(None);
                };
                exprs.push(expr);
            }
            Some(Step::Project(exprs, p.schema.inner().clone()))
        }
        LogicalPlan::Filter(f) => {
            let predicate = compiler.compile(&f.predicate, f.input.schema())?;
            let implied = matches!(f.input.as_ref(), LogicalPlan::TableScan(_))
                && access.implies(meta, &f.predicate);
            predicate.map(|predicate| Step::Filter { predicate, implied })
        }
        LogicalPlan::Sort(s) => {
            let mut by = Vec::with_capacity(s.expr.len());
            for sort in &s.expr {
                let Some(expr) = compiler.compile(&sort.expr, s.input.schema())? else {
                    return Ok(None);
                };
                by.push((expr, SortOptions::new(!sort.asc, sort.nulls_first)));
            }
            Some(Step::Sort { by, fetch: s.fetch })
        }
        LogicalPlan::Limit(l) => match (l.get_skip_type()?, l.get_fetch_type()?) {
            (SkipType::Literal(skip), FetchType::Literal(fetch)) => {
                Some(Step::Limit { skip, fetch })
            }
            _ => None,
        },
        LogicalPlan::Aggregate(a) => Group::compile(a, compiler)?.map(Step::Group),
        _ => None,
    })
}

impl Step {
    /// `again`: the rows did not come from the access path, so nothing is known of them.
    fn apply(&self, batch: RecordBatch, again: bool) -> DfResult<RecordBatch> {
        let rows = batch.num_rows();
        match self {
            Step::Filter { implied: true, .. } if !again => Ok(batch),
            Step::Filter { predicate, .. } => {
                let holds = predicate.evaluate(&batch)?.into_array(rows)?;
                let holds = holds.as_any().downcast_ref::<BooleanArray>();
                let holds = holds.ok_or_else(|| {
                    DataFusionError::Internal("a predicate that is not boolean".to_owned())
                })?;
                if holds.null_count() == 0 && holds.true_count() == rows {
                    return Ok(batch);
                }
                Ok(filter_record_batch(&batch, holds)?)
            }
            Step::Project(exprs, schema) => {
                let columns = exprs
                    .iter()
                    .map(|e| e.evaluate(&batch)?.into_array(rows))
                    .collect::<DfResult<Vec<_>>>()?;
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                Ok(RecordBatch::try_new_with_options(
                    schema.clone(),
                    columns,
                    &options,
                )?)
            }
            Step::Sort { by, fetch } => {
                let columns = by
                    .iter()
                    .map(|(expr, options)| {
                        Ok(SortColumn {
                            values: expr.evaluate(&batch)?.into_array(rows)?,
                            options: Some(*options),
                        })
                    })
                    .collect::<DfResult<Vec<_>>>()?;
                let order = lexsort_to_indices(&columns, *fetch)?;
                Ok(take_record_batch(&batch, &order)?)
            }
            Step::Limit { skip, fetch } => Ok(slice(&batch, *skip, *fetch)),
            Step::Group(group) => group.apply(&batch),
        }
    }
}

/// The rows that a limit lets through.
fn slice(batch: &RecordBatch, skip: usize, fetch: Option<usize>) -> RecordBatch {
    let from = skip.min(batch.num_rows());
    let left = batch.num_rows() - from;
    batch.slice(from, fetch.map_or(left, |n| n.min(left)))
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Filter { predicate, implied } => {
                let by = if *implied { ", by the key" } else { "" };
                write!(f, "Filter: {predicate}{by}")
            }
            Step::Project(exprs, schema) => {
                let named = exprs.iter().zip(schema.fields());
                let shown: Vec<String> =
                    named.map(|(e, f)| format!("{e} as {}", f.name())).collect();
                write!(f, "Projection: expr=[{}]", shown.join(", "))
            }
            Step::Sort { by, fetch } => {
                let shown: Vec<String> = by.iter().map(|(e, o)| format!("{e} {o}")).collect();
                write!(f, "Sort: expr=[{}]", shown.join(", "))?;
                fetch.map_or(Ok(()), |n| write!(f, ", fetch={n}"))
            }
            Step::Limit { skip, fetch } => {
                write!(f, "Limit: skip={skip}")?;
                fetch.map_or(Ok(()), |n| write!(f, ", fetch={n}"))
            }
            Step::Group(group) => group.fmt(f),
        }
    }
}
