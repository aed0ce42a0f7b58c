//! `t VERSIONS BETWEEN … a AND b`: every version of the rows of a table that was to be seen at some time from
//! `a` to `b`, both included, and behind the table's columns the period of each.
//!
//! ```text
//! the table's columns │ versions_startscn bigint │ versions_endscn bigint
//!                     │ versions_starttime timestamptz │ versions_endtime timestamptz │ versions_rowid bigint
//! ```
//!
//! 1. The columns are those of the table at `b`.
//! 2. A version begins with the commit that made it, which may be before `a`, and ends with the one that replaced
//!    or deleted it. One that was there at `b` has no end.
//! 3. The versions of one row have one `versions_rowid`; each begins where the one before ends, and a gap is a time
//!    at which the row was not there.
//! 4. A table that was given new storage within the span (TRUNCATE) is refused, as in
//!    [`changes`](crate::plan::changes).

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, TimestampMicrosecondArray, UInt64Array,
    new_null_array,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, UInt64Type};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::{TableType, provider_as_source};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableSource};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use heliosdb_storage::schema::TableDef;
use heliosdb_storage::view::RowVersions;
use heliosdb_storage::{Interrupt, ReadView};

use crate::catalog::meta::TableMeta;
use crate::error::{SqlError, state};
use crate::plan::changes::storage_of;
use crate::plan::error::wrap;
use crate::plan::scan::{conform, leaf, no_expressions, properties, stream};
use crate::plan::state::CurrentStatement;
use crate::plan::statistics::row_statistics;
use crate::session::info::SessionInfo;

/// Columns behind those of the table: their names, and whether they are times.
const OWN: [(&str, bool); 5] = [
    ("versions_startscn", false),
    ("versions_endscn", false),
    ("versions_starttime", true),
    ("versions_endtime", true),
    ("versions_rowid", false),
];

/// The versions of a table between the times of the slot after `slot` and of `slot`.
pub(crate) fn source(
    meta: Arc<TableMeta>,
    info: &Arc<SessionInfo>,
    slot: usize,
) -> std::result::Result<Arc<dyn TableSource>, SqlError> {
    let mut fields = Vec::with_capacity(meta.schema.fields().len() + OWN.len());
    for field in meta.schema.fields() {
        if OWN.iter().any(|(name, _)| name == field.name()) {
            return Err(SqlError::new(
                state::DUPLICATE_COLUMN,
                format!(
                    "column \"{}\" of the table is one of VERSIONS BETWEEN's own",
                    field.name()
                ),
            ));
        }
        // An older version is of a time at which the column may have been nullable.
        fields.push(field.as_ref().clone().with_nullable(true));
    }
    for (name, is_time) in OWN {
        let ty = match is_time {
            true => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            false => DataType::Int64,
        };
        fields.push(Field::new(name, ty, name.contains("end")));
    }
    Ok(provider_as_source(Arc::new(VersionsTable {
        meta,
        info: Arc::clone(info),
        slot,
        schema: Arc::new(Schema::new(fields)),
    })))
}

struct VersionsTable {
    meta: Arc<TableMeta>,
    info: Arc<SessionInfo>,
    slot: usize,
    schema: SchemaRef,
}

impl fmt::Debug for VersionsTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VersionsTable")
            .field("table", &self.meta.table.name)
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

impl VersionsTable {
    /// Where the rows of the span are, having checked that all of it is remembered.
    fn storage(
        &self,
        since: &ReadView,
        until: &ReadView,
    ) -> std::result::Result<Arc<TableDef>, SqlError> {
        if until.ts() < since.ts() {
            return Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                "VERSIONS BETWEEN ends before it begins",
            ));
        }
        let (from, to) = (since.ts(), until.ts());
        let storage = storage_of(&self.info, until.timeline(), &self.meta, from, to)?;
        let kept = since.check_kept(storage.id);
        kept.map_err(|e| self.meta.explain(e))?;
        Ok(storage)
    }
}

#[async_trait]
impl TableProvider for VersionsTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let current = session.config().get_extension::<CurrentStatement>();
        let context = current
            .and_then(|current| current.0.clone())
            .ok_or_else(|| {
                DataFusionError::Internal("versions were planned without a statement".to_owned())
            })?;
        let until = context.view_of(Some(self.slot))?.clone();
        let since = context.view_of(Some(self.slot + 1))?.clone();
        let storage = self.storage(&since, &until).map_err(wrap)?;
        let places: Vec<usize> = match projection {
            Some(places) => places.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let schema = Arc::new(self.schema.project(&places)?);
        Ok(Arc::new(VersionsExec {
            meta: self.meta.clone(),
            storage,
            since,
            until,
            interrupt: context.interrupt.clone(),
            places,
            properties: properties(&schema, 1),
            schema,
        }))
    }
}

/// Reads versions.
struct VersionsExec {
    meta: Arc<TableMeta>,
    /// Where the rows of the span are.
    storage: Arc<TableDef>,
    /// Held, so that nothing of the span is forgotten meanwhile.
    since: ReadView,
    until: ReadView,
    interrupt: Arc<Interrupt>,
    /// Of the columns of [`VersionsTable`].
    places: Vec<usize>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for VersionsExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VersionsExec")
            .field("table", &self.meta.table.name)
            .finish_non_exhaustive()
    }
}

impl DisplayAs for VersionsExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &self.meta.table.name;
        let (since, until) = (self.since.ts().0, self.until.ts().0);
        write!(f, "Versions: table={table}, scn=[{since}, {until}]")
    }
}

impl ExecutionPlan for VersionsExec {
    fn name(&self) -> &'static str {
        "VersionsExec"
    }

    leaf!();
    no_expressions!();

    fn execute(
        &self,
        _partition: usize,
        _context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let (since, until) = (self.since.clone(), &self.until);
        let read = |which| until.row_versions(&self.storage, which).map_err(wrap);
        let superseded = read(RowVersions::Superseded)?;
        let current = read(RowVersions::Current)?;
        let all = superseded
            .map(|batch| (batch, true))
            .chain(current.map(|batch| (batch, false)));
        let shown = Shown {
            meta: self.meta.clone(),
            places: self.places.clone(),
            schema: self.schema.clone(),
        };
        let interrupt = self.interrupt.clone();
        let batches = all.map(move |(batch, ended)| {
            interrupt.check().map_err(wrap)?;
            let batch = batch.map_err(|e| wrap(shown.meta.explain(e)))?;
            let batch = match ended {
                true => ending_after(&batch, since.ts().0)?,
                false => batch,
            };
            conform(&shown.schema, &shown.batch(&batch, ended)?)
        });
        Ok(stream(&self.schema, batches))
    }

    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let rows = self.until.row_count_estimate(self.storage.id);
        Ok(Arc::new(row_statistics(&self.schema, rows)))
    }
}

/// The versions of a batch with `_end` that were still there after `ts`.
fn ending_after(batch: &RecordBatch, ts: u64) -> Result<RecordBatch> {
    let ends = batch.column(batch.num_columns() - 1);
    let ends = ends.as_primitive::<UInt64Type>();
    let wanted: BooleanArray = ends.values().iter().map(|end| Some(*end > ts)).collect();
    Ok(filter_record_batch(batch, &wanted)?)
}

/// What becomes of storage's batches.
struct Shown {
    meta: Arc<TableMeta>,
    places: Vec<usize>,
    schema: SchemaRef,
}

impl Shown {
    /// A batch of storage (all columns, `_rowid`, `_begin`, and `_end` of those that ended) with the columns
    /// at `places`.
    fn batch(&self, batch: &RecordBatch, ended: bool) -> Result<RecordBatch> {
        let width = batch.num_columns() - if ended { 3 } else { 2 };
        let number = |at: usize| batch.column(width + at).as_primitive::<UInt64Type>();
        let live = self.meta.columns.len();
        let mut columns = Vec::with_capacity(self.places.len());
        for place in &self.places {
            let own = place.checked_sub(live).and_then(|own| OWN.get(own));
            columns.push(match own {
                None => {
                    let column = self.meta.columns.get(*place);
                    let at = column.map(|column| usize::from(column.id.0));
                    let found = at.filter(|at| *at < width).map(|at| batch.column(at));
                    found.cloned().ok_or_else(|| {
                        DataFusionError::Internal("versions without a column".to_owned())
                    })?
                }
                Some((name, is_time)) => {
                    let numbers = match *name {
                        "versions_rowid" => Some(number(0)),
                        "versions_startscn" | "versions_starttime" => Some(number(1)),
                        _ if ended => Some(number(2)),
                        _ => None,
                    };
                    own_column(numbers, *is_time, batch.num_rows())
                }
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let types = self.schema.fields().iter().zip(&columns);
        let fields = types.map(|(field, column)| {
            let field = field.as_ref().clone();
            field.with_data_type(column.data_type().clone())
        });
        let plain = Arc::new(Schema::new(fields.collect::<Vec<Field>>()));
        Ok(RecordBatch::try_new_with_options(plain, columns, &options)?)
    }
}

/// Numbers of storage as SQL has them; NULL where there are none.
fn own_column(numbers: Option<&UInt64Array>, is_time: bool, rows: usize) -> ArrayRef {
    let signed = |numbers: &UInt64Array| -> Vec<i64> {
        let numbers = numbers.values().iter();
        numbers
            .map(|n| i64::try_from(*n).unwrap_or(i64::MAX))
            .collect()
    };
    match (numbers, is_time) {
        (None, false) => new_null_array(&DataType::Int64, rows),
        (None, true) => {
            let ty = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            new_null_array(&ty, rows)
        }
        (Some(numbers), false) => Arc::new(Int64Array::from(signed(numbers))),
        (Some(numbers), true) => {
            let times = TimestampMicrosecondArray::from(signed(numbers));
            Arc::new(times.with_timezone("UTC"))
        }
    }
}
