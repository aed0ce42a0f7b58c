//! Rows that one part of a statement gives to the others: what `RETURNING` of a data-modifying query in WITH
//! gave, or a query in WITH that several parts read.
//!
//! A part's rows have a place, its *slot*. A plan names the slot and knows the rows' columns, never the rows:
//! those of an execution are in its [`StatementContext`](super::state::StatementContext), so that a plan can
//! be kept.

use std::sync::Arc;

use arrow::compute::cast;
use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use sqlparser::ast;

use super::compile::{named_table, select};
use super::state::CurrentStatement;
use crate::error::Result as Checked;
use crate::pg_catalog::{PG_TYPE_KEY, PG_TYPMOD_KEY};
use crate::session::outcome::ResultColumn;
use crate::types::PgType;

/// The catalog part of a name that asks for rows of a slot. No SQL text can have it, for its zero byte.
pub(crate) const RETURNED: &str = "\0returned";

/// What a part of a statement sees of WITH besides the catalog.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// Queries that it may name.
    pub with: Option<ast::With>,
    /// The columns of each slot.
    pub slots: Arc<[SchemaRef]>,
}

impl Scope {
    /// A query with those of WITH around it.
    pub fn around(&self, query: ast::Query) -> ast::Query {
        let Some(with) = &self.with else {
            return query;
        };
        let mut outer = match query.with {
            None => query,
            Some(_) => super::compile::query(ast::SetExpr::Query(Box::new(query))),
        };
        outer.with = Some(with.clone());
        outer
    }
}

/// `SELECT * FROM` a slot.
pub(crate) fn select_all(slot: usize) -> ast::Query {
    let star = ast::SelectItem::Wildcard(ast::WildcardAdditionalOptions::default());
    let slot = slot.to_string();
    select(
        vec![star],
        vec![named_table(vec![RETURNED, "", &slot], None)],
    )
}

/// The columns of a slot whose rows have these fields and, for clients, these columns.
pub(crate) fn slot_schema(fields: &[Arc<Field>], columns: &[ResultColumn]) -> SchemaRef {
    let fields = fields.iter().zip(columns).map(|(field, column)| {
        let ty = match field.data_type() {
            // A literal whose type stayed open is text.
            DataType::Utf8 | DataType::Null => PgType::Text.arrow(),
            ty => ty.clone(),
        };
        let mut metadata = field.metadata().clone();
        metadata.insert(PG_TYPE_KEY.to_owned(), column.ty.oid().to_string());
        if column.typmod >= 0 {
            metadata.insert(PG_TYPMOD_KEY.to_owned(), column.typmod.to_string());
        }
        Field::new(field.name(), ty, true).with_metadata(metadata)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A batch as one of a slot.
pub(crate) fn as_slot(schema: &SchemaRef, batch: &RecordBatch) -> Checked<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(array, field)| match array.data_type() {
        ty if ty == field.data_type() => Ok(array.clone()),
        _ => cast(array, field.data_type()),
    });
    let columns = columns.collect::<std::result::Result<_, _>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        schema.clone(),
        columns,
        &rows,
    )?)
}

/// The rows of a slot as a relation.
#[derive(Debug)]
pub(crate) struct ReturnedRows {
    slot: usize,
    schema: SchemaRef,
}

impl ReturnedRows {
    /// That of a slot's name.
    pub fn named(slots: &[SchemaRef], name: &str) -> Result<ReturnedRows> {
        let found = name
            .parse()
            .ok()
            .and_then(|slot: usize| Some((slot, slots.get(slot)?)));
        let (slot, schema) = found.ok_or_else(|| internal("rows of no part of the statement"))?;
        Ok(ReturnedRows {
            slot,
            schema: schema.clone(),
        })
    }
}

#[async_trait]
impl TableProvider for ReturnedRows {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let current = state.config().get_extension::<CurrentStatement>();
        let rows = current
            .and_then(|current| current.0.clone())
            .and_then(|context| context.returned.get(self.slot).cloned())
            .ok_or_else(|| internal("rows are read before they were returned"))?;
        let plan = MemorySourceConfig::try_new_exec(
            &[rows.to_vec()],
            self.schema.clone(),
            projection.cloned(),
        )?;
        Ok(plan)
    }
}

fn internal(what: &str) -> DataFusionError {
    DataFusionError::Internal(what.to_owned())
}
