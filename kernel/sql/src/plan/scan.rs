//! Physical operators that read storage.
//!
//! [`TableScanExec`] reads a whole table in partitions, [`IndexScanExec`] the rows an index names, which are
//! looked up when the plan is made and must be few, [`RowFetchExec`] rows that are known by id. What the
//! operators above know of the rows they want, a table's scan takes as a hint ([`super::scan_filter`]). Reading storage blocks; these run on the instance's
//! own threads, or on the thread of the session that asked.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    apply_expression_roots,
};
use heliosdb_storage::ids::{ColumnId, RowId};
use heliosdb_storage::pages::Pages;
use heliosdb_storage::{Interrupt, ReadView, RowFilter, ScanRequest, TableScan};
use parking_lot::Mutex;

use super::error::wrap;
use super::filter::IndexLookup;
use super::scan_filter::{Gathered, ScanFilter, range_column};
use super::statistics::row_statistics;
use crate::catalog::meta::TableMeta;
use crate::monitor::pages::OperatorPages;
use crate::monitor::relations::Count;
use crate::types::extension::wrapped_as;

/// Rows fetched by id per batch.
const FETCH_ROWS: usize = 8192;
/// An index that names more rows than one of so many of the table's is slower than reading the table: rows
/// by themselves are hundreds of times as slow as columns.
const INDEX_ROWS_ONE_OF: u64 = 200;
/// ... unless they are so few that it does not matter.
const INDEX_ROWS_FREE: usize = 4096;

pub(super) fn properties(schema: &SchemaRef, partitions: usize) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema.clone()),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

/// Gives a batch from storage the schema of the plan: same columns, the plan's nullability, the types
/// that plugins have names for.
pub(crate) fn conform(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        schema.clone(),
        conform_columns(schema, batch.columns())?,
        &options,
    )?)
}

/// The same for columns.
pub(super) fn conform_columns(schema: &SchemaRef, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    let columns = columns.iter().zip(schema.fields());
    columns
        .map(|(values, field)| wrapped_as(values, field.data_type()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(wrap)
}

pub(super) fn stream(
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch>> + Send + 'static,
) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(
        schema.clone(),
        futures::stream::iter(batches),
    ))
}

/// What leaf operators have in common.
macro_rules! leaf {
    () => {
        fn properties(&self) -> &Arc<PlanProperties> {
            &self.properties
        }

        fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
            Vec::new()
        }

        fn replace_children(
            self: Arc<Self>,
            _children: Vec<Arc<dyn ExecutionPlan>>,
            _options: ReplaceChildrenOptions,
        ) -> Result<Arc<dyn ExecutionPlan>> {
            Ok(self)
        }

        fn with_new_children(
            self: Arc<Self>,
            _children: Vec<Arc<dyn ExecutionPlan>>,
        ) -> Result<Arc<dyn ExecutionPlan>> {
            Ok(self)
        }
    };
}

/// What leaf operators without expressions have in common besides.
macro_rules! no_expressions {
    () => {
        fn apply_expressions(
            &self,
            _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
        ) -> Result<TreeNodeRecursion> {
            Ok(TreeNodeRecursion::Continue)
        }
    };
}

pub(super) use {leaf, no_expressions};

/// What an operator that reads storage asked for so far; `None` for others.
pub(crate) fn pages_of(plan: &dyn ExecutionPlan) -> Option<Pages> {
    let table = plan
        .downcast_ref::<TableScanExec>()
        .map(TableScanExec::pages);
    let index = || {
        plan.downcast_ref::<IndexScanExec>()
            .map(IndexScanExec::pages)
    };
    let fetch = || plan.downcast_ref::<RowFetchExec>().map(RowFetchExec::pages);
    table.or_else(index).or_else(fetch)
}

/// Reads a whole table.
pub(crate) struct TableScanExec {
    meta: Arc<TableMeta>,
    view: ReadView,
    /// The view's time, for people, when it is not the statement's.
    as_of: Option<String>,
    interrupt: Arc<Interrupt>,
    request: ScanRequest,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    /// Of all partitions together.
    known: Statistics,
    /// Asked before all columns of a row are read.
    filters: Vec<Arc<ScanFilter>>,
    pages: OperatorPages,
    metrics: ExecutionPlanMetricsSet,
    /// The scans made when the plan was; each partition takes its own once.
    scans: Mutex<Vec<Option<TableScan>>>,
}

impl fmt::Debug for TableScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableScanExec")
            .field("table", &self.meta.table.name)
            .finish_non_exhaustive()
    }
}

impl TableScanExec {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of one scan; only the provider calls it"
    )]
    pub fn new(
        meta: Arc<TableMeta>,
        view: ReadView,
        as_of: Option<String>,
        interrupt: Arc<Interrupt>,
        request: ScanRequest,
        schema: SchemaRef,
        known: Statistics,
        pages: OperatorPages,
    ) -> heliosdb_storage::Result<TableScanExec> {
        let scans = pages.count(|| view.scan(meta.storage.clone(), request.clone()))?;
        let scans: Vec<Option<TableScan>> = scans.into_iter().map(Some).collect();
        let properties = properties(&schema, scans.len().max(1));
        Ok(TableScanExec {
            meta,
            view,
            as_of,
            interrupt,
            request,
            schema,
            properties,
            known,
            filters: Vec::new(),
            pages,
            metrics: ExecutionPlanMetricsSet::new(),
            scans: Mutex::new(scans),
        })
    }

    /// The same scan, which it takes over, with these filters.
    fn with_filters(&self, filters: Vec<Arc<ScanFilter>>) -> TableScanExec {
        TableScanExec {
            meta: self.meta.clone(),
            view: self.view.clone(),
            as_of: self.as_of.clone(),
            interrupt: self.interrupt.clone(),
            request: self.request.clone(),
            schema: self.schema.clone(),
            properties: self.properties.clone(),
            known: self.known.clone(),
            filters,
            pages: self.pages.clone(),
            metrics: ExecutionPlanMetricsSet::new(),
            scans: Mutex::new(std::mem::take(&mut *self.scans.lock())),
        }
    }

    pub fn pages(&self) -> Pages {
        self.pages.now()
    }

    /// Whether a condition is one of the request's ranges.
    fn is_in_ranges(&self, condition: &Arc<dyn PhysicalExpr>) -> bool {
        let column = range_column(condition).and_then(|place| self.request.projection.get(place));
        let mut ranges = self.request.ranges.iter();
        column.is_some_and(|column| ranges.any(|range| range.column == *column))
    }

    /// The scan of a partition; a new one when the plan runs again.
    fn take(&self, partition: usize) -> heliosdb_storage::Result<Option<TableScan>> {
        let made = self.scans.lock().get_mut(partition).and_then(Option::take);
        let scan = match made {
            Some(scan) => Some(scan),
            None => {
                let scan = || {
                    self.view
                        .scan(self.meta.storage.clone(), self.request.clone())
                };
                let scans = self.pages.count(scan)?;
                scans.into_iter().nth(partition)
            }
        };
        let filters = self.filters.iter();
        let filters = filters.map(|filter| filter.clone() as Arc<dyn RowFilter>);
        Ok(scan.map(|scan| scan.filtered(filters.collect())))
    }
}

impl DisplayAs for TableScanExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableScan: table={}", self.meta.table.name)?;
        if let Some(time) = &self.as_of {
            write!(f, ", as_of={time}")?;
        }
        if let Some(limit) = self.request.limit {
            write!(f, ", limit={limit}")?;
        }
        if !self.request.ranges.is_empty() {
            write!(f, ", zone_maps={}", self.request.ranges.len())?;
        }
        if !self.filters.is_empty() {
            write!(f, ", filters={}", self.filters.len())?;
        }
        Ok(())
    }
}

impl ExecutionPlan for TableScanExec {
    fn name(&self) -> &'static str {
        "TableScanExec"
    }

    leaf!();

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let exprs = self.filters.iter().map(|filter| filter.expr().clone());
        apply_expression_roots(exprs, f)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    /// What a join or a sort found out in one run does not hold in the next.
    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        let filters = self.filters.iter();
        let lasting = filters.filter(|filter| !filter.is_dynamic()).cloned();
        Ok(Arc::new(self.with_filters(lasting.collect())))
    }

    /// Takes conditions as hints: the operators above keep them.
    fn handle_child_pushdown_result(
        &self,
        _phase: FilterPushdownPhase,
        above: ChildPushdownResult,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let kept = vec![PushedDown::No; above.parent_filters.len()];
        let mut filters = self.filters.clone();
        for above in above.parent_filters {
            if self.is_in_ranges(&above.filter) {
                continue;
            }
            filters.extend(ScanFilter::new(above.filter, &self.schema)?.map(Arc::new));
        }
        let result = FilterPushdownPropagation::with_parent_pushdown_result(kept);
        Ok(match filters.len() > self.filters.len() {
            true => result.with_updated_node(Arc::new(self.with_filters(filters))),
            false => result,
        })
    }

    fn execute(
        &self,
        partition: usize,
        _context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let scan = self.take(partition).map_err(wrap)?;
        let meta = self.meta.clone();
        let schema = self.schema.clone();
        let interrupt = self.interrupt.clone();
        let pages = self.pages.clone();
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        // Its partitions are one scan.
        self.meta
            .counters
            .add(Count::Scans, usize::from(partition == 0));
        let mut scan = scan.into_iter().flatten();
        let batches = std::iter::from_fn(move || {
            // Before there is a batch, which would be lost.
            if let Err(canceled) = interrupt.check() {
                return Some(Err(wrap(canceled)));
            }
            let timer = metrics.elapsed_compute().timer();
            let batch = pages.count(|| scan.next())?;
            drop(timer);
            Some(batch.map_err(|e| wrap(meta.explain(e))).and_then(|batch| {
                metrics.record_output(batch.num_rows());
                meta.counters.add(Count::Read, batch.num_rows());
                conform(&schema, &batch)
            }))
        });
        match self.filters.is_empty() {
            true => Ok(stream(&self.schema, batches)),
            false => Ok(stream(
                &self.schema,
                Gathered::new(&self.schema, self.request.batch_rows, batches),
            )),
        }
    }

    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut known = self.known.clone();
        if args.partition().is_some() {
            let parts = self.properties.partitioning.partition_count().max(1);
            let rows = self.known.num_rows.get_value().copied().unwrap_or(0);
            known.num_rows = Precision::Inexact(rows / parts);
            for column in &mut known.column_statistics {
                // A value may be in all parts, but not more values than rows.
                column.distinct_count = column.distinct_count.min(&known.num_rows);
            }
        }
        Ok(Arc::new(known))
    }
}

/// Reads the rows that an index names.
pub(crate) struct IndexScanExec {
    meta: Arc<TableMeta>,
    view: ReadView,
    /// The view's time, for people, when it is not the statement's.
    as_of: Option<String>,
    interrupt: Arc<Interrupt>,
    lookup: IndexLookup,
    rows: Arc<[RowId]>,
    columns: Vec<ColumnId>,
    row_id: bool,
    schema: SchemaRef,
    pages: OperatorPages,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for IndexScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexScanExec")
            .field("table", &self.meta.table.name)
            .finish_non_exhaustive()
    }
}

impl IndexScanExec {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of one scan; only the provider calls it"
    )]
    pub fn new(
        meta: Arc<TableMeta>,
        view: ReadView,
        as_of: Option<String>,
        interrupt: Arc<Interrupt>,
        lookup: IndexLookup,
        rows: Arc<[RowId]>,
        columns: Vec<ColumnId>,
        row_id: bool,
        schema: SchemaRef,
        pages: OperatorPages,
    ) -> IndexScanExec {
        let properties = properties(&schema, 1);
        IndexScanExec {
            meta,
            view,
            as_of,
            interrupt,
            lookup,
            rows,
            columns,
            row_id,
            schema,
            pages,
            properties,
        }
    }

    pub fn pages(&self) -> Pages {
        self.pages.now()
    }
}

/// The rows of all ranges, each once, in order of row id when there are several ranges. `None` when they
/// are so many that reading the whole table, of about `estimate` rows, is quicker.
pub(crate) fn index_rows(
    meta: &TableMeta,
    view: &ReadView,
    lookup: &IndexLookup,
    estimate: u64,
) -> heliosdb_storage::Result<Option<Vec<RowId>>> {
    let index = &meta.storage.indexes[lookup.index];
    let share = usize::try_from(estimate / INDEX_ROWS_ONE_OF).unwrap_or(usize::MAX);
    let rows_max = share.max(INDEX_ROWS_FREE);
    let mut rows = Vec::new();
    for range in &lookup.ranges {
        let more = view.index_rows_max(&meta.storage, index, range, rows_max - rows.len())?;
        match more {
            Some(more) => rows.extend(more),
            None => return Ok(None),
        }
    }
    meta.index_counters[lookup.index].scanned(rows.len());
    if lookup.ranges.len() > 1 {
        rows.sort_unstable();
        rows.dedup();
    }
    Ok(Some(rows))
}

impl DisplayAs for IndexScanExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "IndexScan: table={}, index={}, ranges={}",
            self.meta.table.name,
            self.meta.indexes[self.lookup.index].name,
            self.lookup.ranges.len()
        )?;
        match &self.as_of {
            Some(time) => write!(f, ", as_of={time}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for IndexScanExec {
    fn name(&self) -> &'static str {
        "IndexScanExec"
    }

    leaf!();
    no_expressions!();

    fn execute(
        &self,
        _partition: usize,
        _context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let interrupt = self.interrupt.clone();
        let schema = self.schema.clone();
        let (meta, columns, row_id) = (self.meta.clone(), self.columns.clone(), self.row_id);
        let (view, pages) = (self.view.clone(), self.pages.clone());
        let chunks = self.rows.chunks(FETCH_ROWS).map(<[RowId]>::to_vec);
        let chunks: Vec<Vec<RowId>> = chunks.collect();
        let batches = chunks.into_iter().map(move |rows| {
            interrupt.check().map_err(wrap)?;
            let batch = pages
                .count(|| view.rows(&meta.storage, &rows, &columns, row_id))
                .map_err(|e| wrap(meta.explain(e)))?;
            conform(&schema, &batch)
        });
        Ok(stream(&self.schema, batches))
    }

    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        Ok(Arc::new(row_statistics(
            &self.schema,
            self.rows.len() as u64,
        )))
    }
}

/// Reads rows that are known by id.
pub(crate) struct RowFetchExec {
    meta: Arc<TableMeta>,
    view: ReadView,
    rows: Arc<[RowId]>,
    columns: Vec<ColumnId>,
    row_id: bool,
    schema: SchemaRef,
    pages: OperatorPages,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for RowFetchExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowFetchExec")
            .field("table", &self.meta.table.name)
            .finish_non_exhaustive()
    }
}

impl RowFetchExec {
    pub fn new(
        meta: Arc<TableMeta>,
        view: ReadView,
        rows: Arc<[RowId]>,
        columns: Vec<ColumnId>,
        row_id: bool,
        schema: SchemaRef,
        pages: OperatorPages,
    ) -> RowFetchExec {
        let properties = properties(&schema, 1);
        RowFetchExec {
            meta,
            view,
            rows,
            columns,
            row_id,
            schema,
            pages,
            properties,
        }
    }

    pub fn pages(&self) -> Pages {
        self.pages.now()
    }
}

impl DisplayAs for RowFetchExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RowFetch: table={}, rows={}",
            self.meta.table.name,
            self.rows.len()
        )
    }
}

impl ExecutionPlan for RowFetchExec {
    fn name(&self) -> &'static str {
        "RowFetchExec"
    }

    leaf!();
    no_expressions!();

    fn execute(
        &self,
        _partition: usize,
        _context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = || {
            self.view
                .rows(&self.meta.storage, &self.rows, &self.columns, self.row_id)
        };
        let batch = self
            .pages
            .count(rows)
            .map_err(|e| wrap(self.meta.explain(e)))?;
        let batch = conform(&self.schema, &batch);
        Ok(stream(&self.schema, std::iter::once(batch)))
    }

    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        Ok(Arc::new(row_statistics(
            &self.schema,
            self.rows.len() as u64,
        )))
    }
}
