//! Our table as DataFusion sees it.
//!
//! A provider holds a table's shape, never a view: the [`StatementContext`] of the state that plans
//! says what to read. So the same logical plan serves many executions.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Constraint, Constraints, Statistics};
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use heliosdb_storage::ScanRequest;
use heliosdb_storage::ids::{CollectionId, ColumnId};

use super::as_of::time::shown;
use super::dates;
use super::error::wrap;
use super::filter::{self, Bounds};
use super::scan::{IndexScanExec, RowFetchExec, TableScanExec, index_rows};
use super::state::CurrentStatement;
use super::statistics;
use crate::catalog::meta::TableMeta;
use crate::catalog::{CatalogSnapshot, Oid};
use crate::monitor::pages::OperatorPages;
use crate::semantics::SessionVars;

#[derive(Debug)]
pub(crate) struct StoredTable {
    meta: Arc<TableMeta>,
    /// Whether the hidden row id column is part of the schema: the table is a target of DML.
    target: bool,
    /// The slot of the time to read it at, when that is not the statement's.
    slot: Option<usize>,
    /// See [`statistics`].
    domains: Arc<[Option<CollectionId>]>,
    /// The primary key, on which all other columns depend: they may be selected where it is grouped by.
    constraints: Constraints,
}

impl StoredTable {
    pub fn new(catalog: &CatalogSnapshot, meta: Arc<TableMeta>, target: bool) -> StoredTable {
        let key = catalog.primary_key(meta.table.oid);
        let key = key.map(|key| {
            let columns = key.columns().iter();
            columns
                .filter_map(|column| meta.position(ColumnId(*column)))
                .collect()
        });
        let key = key.map(Constraint::PrimaryKey).into_iter().collect();
        StoredTable {
            domains: statistics::domains(catalog, &meta.table).into(),
            constraints: Constraints::new_unverified(key),
            meta,
            target,
            slot: None,
        }
    }

    /// A table at another time, with the catalog of then.
    pub fn at(catalog: &CatalogSnapshot, meta: Arc<TableMeta>, slot: usize) -> StoredTable {
        StoredTable {
            slot: Some(slot),
            ..StoredTable::new(catalog, meta, false)
        }
    }

    pub fn slot(&self) -> Option<usize> {
        self.slot
    }

    pub fn oid(&self) -> Oid {
        self.meta.table.oid
    }

    pub fn meta(&self) -> &Arc<TableMeta> {
        &self.meta
    }
}

#[async_trait]
impl TableProvider for StoredTable {
    fn schema(&self) -> SchemaRef {
        if self.target {
            self.meta.schema_with_row_id.clone()
        } else {
            self.meta.schema.clone()
        }
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn constraints(&self) -> Option<&Constraints> {
        Some(&self.constraints)
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|f| {
                let usable = filter::is_usable(f)
                    || dates::is_usable(f)
                    || filter::may_be_indexed(&self.meta, f);
                if usable {
                    TableProviderFilterPushDown::Inexact
                } else {
                    TableProviderFilterPushDown::Unsupported
                }
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let context = state
            .config()
            .get_extension::<CurrentStatement>()
            .and_then(|current| current.0.clone())
            .ok_or_else(|| {
                DataFusionError::Internal("a scan was planned without a statement".to_owned())
            })?;
        let full = self.schema();
        let schema = match projection {
            Some(p) => Arc::new(full.project(p)?),
            None => full.clone(),
        };
        let places: Vec<usize> = match projection {
            Some(p) => p.clone(),
            None => (0..full.fields().len()).collect(),
        };
        let live = self.meta.columns.len();
        let columns = places
            .iter()
            .filter_map(|p| self.meta.columns.get(*p))
            .map(|c| c.id)
            .collect::<Vec<_>>();
        let row_id = places.contains(&live);
        let pages = OperatorPages::new(&context.pages);

        if self.target
            && let Some(recheck) = &context.recheck
            && let Some(rows) = recheck.rows.get(&self.meta.table.oid)
        {
            return Ok(Arc::new(RowFetchExec::new(
                self.meta.clone(),
                recheck.view.clone(),
                rows.clone(),
                columns,
                row_id,
                schema,
                pages,
            )));
        }

        let filters = dates::with_dates(&self.meta, filters);
        let bounds = Bounds::new(&self.meta, &filters);
        let view = context.view_of(self.slot)?.clone();
        let format = &SessionVars::of(state.config_options()).format;
        let as_of = self.slot.map(|_| shown(view.ts(), format));
        let estimate = view.row_count_estimate(self.meta.id());
        let interrupt = context.interrupt.clone();
        if let Some(lookup) = bounds.best_index(&self.meta)
            && let Some(rows) = pages
                .count(|| index_rows(&self.meta, &view, &lookup, estimate))
                .map_err(wrap)?
        {
            return Ok(Arc::new(IndexScanExec::new(
                self.meta.clone(),
                view,
                as_of,
                interrupt,
                lookup,
                rows.into(),
                columns,
                row_id,
                schema,
                pages,
            )));
        }
        let request = ScanRequest {
            projection: columns,
            row_id,
            ranges: bounds.zone_ranges(),
            partitions: state.config().target_partitions().max(1),
            batch_rows: state.config().batch_size(),
            // Filters above may drop rows, and then a limit must not apply below them.
            limit: limit.filter(|_| filters.is_empty()),
        };
        let rows = view.matching_estimate(&self.meta.storage, &request.ranges, estimate);
        let columns = &request.projection;
        let known =
            statistics::of_scan(&schema, &view, self.meta.id(), rows, columns, &self.domains);
        let scan = TableScanExec::new(
            self.meta.clone(),
            view,
            as_of,
            interrupt,
            request,
            schema,
            known,
            pages,
        );
        let scan = scan.map_err(wrap)?;
        Ok(Arc::new(scan))
    }

    fn statistics(&self) -> Option<Statistics> {
        None
    }
}
