//! `helios_changes('table', since [, until [, 'every' | 'net']])`: what was committed to a table, as rows.
//!
//! ```text
//! _op text │ _sign smallint │ _scn bigint │ _rowid bigint │ the table's columns
//! ```
//!
//! A row with `_sign` −1 went, one with +1 came; an UPDATE has both. The span begins after the SCN `since`
//! and ends with `until`, which is the statement's snapshot unless given. `every`, the default, gives each
//! commit's changes in the order of commits; `net` what is different at the end, by row, with the SCN of the
//! last change. Storage makes them ([`heliosdb_storage::view::changes`]).
//!
//! 1. The columns are those of the table now.
//! 2. The SCNs are worked out for each execution, so a plan may be kept.
//! 3. A table that was given new storage within the span (TRUNCATE) is refused: that is no change of rows.
//!    A span that ended before is read where the rows were then.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int16Array, Int64Array, StringViewArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int8Type, Int64Type, Schema, SchemaRef, UInt64Type};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::{TableType, provider_as_source};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, TableSource};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use heliosdb_storage::ids::{CollectionId, ColumnId, TimelineId, Ts};
use heliosdb_storage::schema::TableDef;
use heliosdb_storage::{Changes, ChangesRequest, Interrupt, RowChanges};

use super::as_of::time::arrive;
use super::compile::Expressions;
use super::context::Uses;
use super::error::{convert, wrap};
use super::scan::{conform, leaf, no_expressions, properties, stream};
use super::state::CurrentStatement;
use super::statistics::row_statistics;
use crate::catalog::meta::TableMeta;
use crate::catalog::{Relation, model::Table, store};
use crate::error::{SqlError, state};
use crate::semantics::SessionVars;
use crate::session::info::SessionInfo;
use crate::types::{CastContext, PgType, cast, cast_array};

/// What this module makes of a call, before DataFusion runs it.
type Checked<T> = std::result::Result<T, SqlError>;

/// Its name in FROM.
pub(crate) const FUNCTION: &str = "helios_changes";

/// Columns before those of the table.
const OWN: [(&str, DataType); 4] = [
    ("_op", DataType::Utf8View),
    ("_sign", DataType::Int16),
    ("_scn", DataType::Int64),
    ("_rowid", DataType::Int64),
];

/// A call as planned.
pub(crate) struct Call {
    table: String,
    which: Changes,
    /// `since`, and `until` if it is given.
    span: Expressions,
}

impl Call {
    /// Takes the arguments apart.
    pub fn new(state: &SessionState, args: Vec<Expr>) -> Checked<Call> {
        let mut args = args.into_iter();
        let table = args.next().as_ref().and_then(text).ok_or_else(|| {
            invalid("the first argument is the table's name, in quotes".to_owned())
        })?;
        let mut span: Vec<Expr> = args.collect();
        let which = match span.get(2).map(text) {
            None => Changes::Every,
            Some(mode) => match mode.as_deref() {
                Some("every") => Changes::Every,
                Some("net") => Changes::Net,
                _ => return Err(invalid("the last argument is 'every' or 'net'".to_owned())),
            },
        };
        if span.is_empty() || span.len() > 3 {
            return Err(SqlError::new(
                state::UNDEFINED_FUNCTION,
                format!("{FUNCTION} takes a table's name and one or two SCNs"),
            ));
        }
        span.truncate(2);
        let exprs = (0..).zip(span).map(|(i, e)| e.alias(format!("e{i}")));
        let plan = LogicalPlanBuilder::empty(true)
            .project(exprs)
            .and_then(LogicalPlanBuilder::build)
            .and_then(|plan| {
                let analyzer = state.analyzer();
                analyzer.execute_and_check(plan, state.config_options(), |_, _| {})
            })
            .map_err(convert)?;
        let span = Expressions::of(plan, Uses::default(), FUNCTION)?;
        if span.parameter_max() > 0 {
            return Err(SqlError::unsupported(format!("a parameter in {FUNCTION}")));
        }
        if span.is_volatile() {
            return Err(SqlError::unsupported(format!(
                "a volatile function in {FUNCTION}"
            )));
        }
        Ok(Call { table, which, span })
    }

    pub fn table(&self) -> &str {
        &self.table
    }

    /// What it reads.
    pub fn source(
        self,
        meta: Arc<TableMeta>,
        info: &Arc<SessionInfo>,
    ) -> Checked<Arc<dyn TableSource>> {
        let mut fields: Vec<Field> = OWN
            .iter()
            .map(|(name, ty)| Field::new(*name, ty.clone(), false))
            .collect();
        for field in meta.schema.fields() {
            if OWN.iter().any(|(name, _)| name == field.name()) {
                return Err(SqlError::new(
                    state::DUPLICATE_COLUMN,
                    format!(
                        "column \"{}\" of the table is one of {FUNCTION}'s own",
                        field.name()
                    ),
                ));
            }
            // An image is that of a time at which the column may have been nullable.
            fields.push(field.as_ref().clone().with_nullable(true));
        }
        Ok(provider_as_source(Arc::new(ChangesTable {
            meta,
            info: Arc::clone(info),
            which: self.which,
            span: self.span,
            schema: Arc::new(Schema::new(fields)),
        })))
    }
}

/// The table that a call may name.
pub(crate) fn table(relation: Relation) -> Checked<Arc<Table>> {
    match relation {
        Relation::Table(table) => Ok(table),
        other => Err(SqlError::new(
            state::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not a table", other.name()),
        )),
    }
}

fn invalid(what: String) -> SqlError {
    SqlError::new(
        state::INVALID_PARAMETER_VALUE,
        format!("{FUNCTION}: {what}"),
    )
}

/// The text of a literal.
fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
        Expr::Alias(alias) => text(&alias.expr),
        Expr::Cast(cast) => text(&cast.expr),
        _ => None,
    }
}

/// The rows of a call.
struct ChangesTable {
    meta: Arc<TableMeta>,
    info: Arc<SessionInfo>,
    which: Changes,
    span: Expressions,
    schema: SchemaRef,
}

impl fmt::Debug for ChangesTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangesTable")
            .field("table", &self.meta.table.name)
            .finish_non_exhaustive()
    }
}

impl ChangesTable {
    /// The span, for this execution.
    fn span(&self, state: &SessionState) -> Checked<(Ts, Ts)> {
        let vars = SessionVars::of(state.config_options());
        let present = vars.snapshot()?;
        let program = self.span.program(state, &[])?;
        let mut scns = Vec::new();
        for at in 0..program.len() {
            let (from, to) = (self.span.pg_type(at), PgType::Int8);
            if !cast::is_allowed(&from, &to, CastContext::Implicit) {
                let what = format!("an SCN is a bigint, not {}", from.name());
                return Err(SqlError::new(
                    state::DATATYPE_MISMATCH,
                    format!("{FUNCTION}: {what}"),
                ));
            }
            let value = program.run_one(at, &crate::dml::one_row())?;
            let context = CastContext::Implicit;
            let value = cast_array(&value, &from, &to, -1, context, &vars.format)?;
            if value.is_null(0) {
                return Err(SqlError::new(
                    state::NULL_VALUE_NOT_ALLOWED,
                    format!("{FUNCTION}: an SCN must not be null"),
                ));
            }
            let scn = value.as_primitive::<Int64Type>().value(0);
            let scn =
                u64::try_from(scn).map_err(|_| invalid("SCN must not be negative".to_owned()))?;
            scns.push(Ts(scn));
        }
        let since = scns[0];
        let until = scns.get(1).copied().unwrap_or(present.ts());
        if until < since {
            return Err(invalid("the span ends before it begins".to_owned()));
        }
        arrive(self.info.instance.engine(), present, until, &vars.format)?;
        Ok((since, until))
    }
}

/// Where the rows of a span are; 55000 when they are in two places.
pub(crate) fn storage_of(
    info: &SessionInfo,
    timeline: TimelineId,
    meta: &TableMeta,
    since: Ts,
    until: Ts,
) -> Checked<Arc<TableDef>> {
    let (engine, oid) = (info.instance.engine(), meta.table.oid);
    let collection_at = |ts| -> Checked<Option<u32>> {
        let catalog = info.instance.catalog(&engine.view_at_on(timeline, ts)?)?;
        Ok(catalog.table(oid).map(|table| table.collection))
    };
    let Some(collection) = collection_at(until)? else {
        // It is not there at the end, so it has nothing new.
        return Ok(meta.storage.clone());
    };
    let is_another = match collection_at(since)? {
        Some(before) => before != collection,
        // What was made within the span may have been truncated since.
        None => {
            let versions = store::table_versions(engine, timeline, oid, since, until)?;
            versions.iter().any(|table| table.collection != collection)
        }
    };
    if is_another {
        let name = &meta.table.name;
        return Err(SqlError::new(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("table \"{name}\" was truncated within the span"),
        )
        .with_hint("Read it AS OF both times."));
    }
    if collection == meta.table.collection {
        return Ok(meta.storage.clone());
    }
    Ok(Arc::new(TableDef {
        id: CollectionId(collection),
        ..meta.storage.as_ref().clone()
    }))
}

#[async_trait]
impl TableProvider for ChangesTable {
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
        let internal = |what: &str| DataFusionError::Internal(what.to_owned());
        let current = session.config().get_extension::<CurrentStatement>();
        let context = current.and_then(|current| current.0.clone());
        let context =
            context.ok_or_else(|| internal("changes were planned without a statement"))?;
        let state = session.as_any().downcast_ref::<SessionState>();
        let state = state.ok_or_else(|| internal("changes were planned without a session"))?;
        let (since, until) = self.span(state).map_err(wrap)?;
        let timeline = self.info.place().id();
        let storage = storage_of(&self.info, timeline, &self.meta, since, until);
        let storage = storage.map_err(wrap)?;
        let places: Vec<usize> = match projection {
            Some(places) => places.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let columns = places
            .iter()
            .filter_map(|place| place.checked_sub(OWN.len()));
        let columns = columns.filter_map(|column| self.meta.columns.get(column));
        let request = ChangesRequest {
            since,
            until,
            which: self.which,
            projection: columns.map(|column| column.id).collect::<Vec<ColumnId>>(),
        };
        let schema = Arc::new(self.schema.project(&places)?);
        Ok(Arc::new(ChangesExec {
            meta: self.meta.clone(),
            storage,
            info: Arc::clone(&self.info),
            interrupt: context.interrupt.clone(),
            request,
            places,
            properties: properties(&schema, 1),
            schema,
        }))
    }
}

/// Reads changes.
struct ChangesExec {
    meta: Arc<TableMeta>,
    /// Where the rows of the span are.
    storage: Arc<TableDef>,
    info: Arc<SessionInfo>,
    interrupt: Arc<Interrupt>,
    request: ChangesRequest,
    /// Of the columns of [`ChangesTable`].
    places: Vec<usize>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for ChangesExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangesExec")
            .field("table", &self.meta.table.name)
            .finish_non_exhaustive()
    }
}

impl DisplayAs for ChangesExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChangesRequest {
            since,
            until,
            which,
            ..
        } = &self.request;
        let which = match which {
            Changes::Every => "every",
            Changes::Net => "net",
        };
        let table = &self.meta.table.name;
        write!(
            f,
            "Changes: table={table}, scn=({}, {}], {which}",
            since.0, until.0
        )
    }
}

impl ExecutionPlan for ChangesExec {
    fn name(&self) -> &'static str {
        "ChangesExec"
    }

    leaf!();
    no_expressions!();

    fn execute(
        &self,
        _partition: usize,
        _context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let engine = self.info.instance.engine();
        let timeline = self.info.place().id();
        let changes = engine.changes_on(timeline, &self.storage, self.request.clone());
        let changes: RowChanges = changes.map_err(wrap)?;
        let (meta, schema) = (self.meta.clone(), self.schema.clone());
        let (places, interrupt) = (self.places.clone(), self.interrupt.clone());
        let batches = changes.map(move |batch| {
            interrupt.check().map_err(wrap)?;
            let batch = batch.map_err(|e| wrap(meta.explain(e)))?;
            conform(&schema, &shown(&schema, &places, &batch)?)
        });
        Ok(stream(&self.schema, batches))
    }

    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        Ok(Arc::new(Statistics {
            ..row_statistics(&self.schema, 1000)
        }))
    }
}

/// A batch of storage (columns, `_rowid`, `_ts`, `_sign`) with the columns at `places`.
fn shown(schema: &SchemaRef, places: &[usize], batch: &RecordBatch) -> Result<RecordBatch> {
    let width = batch.num_columns() - 3;
    let number = |at: usize| batch.column(width + at).as_primitive::<UInt64Type>();
    let (ids, times) = (number(0), number(1));
    let signs = batch.column(width + 2).as_primitive::<Int8Type>();
    let bigint = |numbers: &UInt64Array| -> ArrayRef {
        let numbers = numbers.values().iter();
        Arc::new(
            numbers
                .map(|n| i64::try_from(*n).unwrap_or(i64::MAX))
                .collect::<Int64Array>(),
        )
    };
    let mut stored = batch.columns()[..width].iter();
    let mut columns = Vec::with_capacity(places.len());
    for place in places {
        columns.push(match place {
            0 => {
                // The two rows of an update stand next to each other.
                let pair = |a: usize| {
                    signs.value(a) < 0
                        && signs.values().get(a + 1) == Some(&1)
                        && ids.value(a) == ids.value(a + 1)
                        && times.value(a) == times.value(a + 1)
                };
                let op = |row: usize| match signs.value(row) {
                    _ if pair(row) || row.checked_sub(1).is_some_and(pair) => "UPDATE",
                    1 => "INSERT",
                    _ => "DELETE",
                };
                let ops: StringViewArray = (0..ids.len()).map(|row| Some(op(row))).collect();
                Arc::new(ops) as ArrayRef
            }
            1 => Arc::new(
                signs
                    .values()
                    .iter()
                    .map(|s| i16::from(*s))
                    .collect::<Int16Array>(),
            ),
            2 => bigint(times),
            3 => bigint(ids),
            _ => stored.next().cloned().ok_or_else(|| {
                DataFusionError::Internal("changes with fewer columns than asked for".to_owned())
            })?,
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let types = schema.fields().iter().zip(&columns);
    let fields = types.map(|(field, column)| {
        let field = field.as_ref().clone();
        field.with_data_type(column.data_type().clone())
    });
    let plain = Arc::new(Schema::new(fields.collect::<Vec<Field>>()));
    Ok(RecordBatch::try_new_with_options(plain, columns, &options)?)
}
