//! System relations as DataFusion tables.
//!
//! Rows are computed when the scan starts, from the context the provider was made with. Relations
//! that never have rows are planned as empty, which lets the planner drop whatever depends on them.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::relation::Relation;
use super::relations;
use super::{SessionView, SystemContext};

/// The table of that name in `pg_catalog` or `information_schema`.
pub fn system_table(
    schema: &str,
    name: &str,
    session: &Arc<dyn SessionView>,
) -> Option<Arc<dyn TableProvider>> {
    let relation = relations::find(schema, name)?;
    Some(Arc::new(SystemTable {
        relation,
        session: session.clone(),
        plan: relation.empty_plan(),
    }))
}

#[derive(Debug)]
struct SystemTable {
    relation: &'static Relation,
    session: Arc<dyn SessionView>,
    /// For a relation without rows: the plan that says so.
    plan: Option<LogicalPlan>,
}

impl Relation {
    /// For a relation that never has rows: the plan that says so.
    fn empty_plan(&self) -> Option<LogicalPlan> {
        if self.rows.is_some() {
            return None;
        }
        let schema = DFSchema::try_from(self.arrow_schema()).ok()?;
        Some(LogicalPlan::EmptyRelation(EmptyRelation {
            produce_one_row: false,
            schema: Arc::new(schema),
        }))
    }
}

#[async_trait]
impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        self.relation.arrow_schema()
    }

    fn table_type(&self) -> TableType {
        match self.relation.kind {
            'v' => TableType::View,
            _ => TableType::Base,
        }
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.plan.as_ref().map(Cow::Borrowed)
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch = self
            .relation
            .scan(
                &SystemContext::new(&self.session),
                projection.map(Vec::as_slice),
            )
            .map_err(|e| DataFusionError::External(Box::new(e)))?;
        let schema = batch.schema();
        Ok(MemorySourceConfig::try_new_exec(
            &[vec![batch]],
            schema,
            None,
        )?)
    }
}
