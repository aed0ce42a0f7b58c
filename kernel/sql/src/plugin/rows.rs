//! `visible/1` and `changes/1` over a session: tables by oid, as the role may read them.
//!
//! It is what SQL's `helios_changes` gives, in batches and with the columns that a plugin asks for. Who may
//! not read a table in a query may not here either.

use std::sync::Arc;

use arrow::array::ArrayRef;
use heliosdb_plugin_host::services::{ChangeStream, ChangesSpan, PluginResult, Which};
use heliosdb_storage::ids::{RowId, Ts};
use heliosdb_storage::{Changes, ChangesRequest, Interrupt, ReadView};

use super::crossing;
use super::error::to_plugin;
use crate::catalog::CatalogSnapshot;
use crate::catalog::access::Privileges;
use crate::catalog::meta::TableMeta;
use crate::error::{Result, SqlError, state};
use crate::plan::changes::storage_of;
use crate::session::info::SessionInfo;

/// Columns of a batch of changes behind those that were asked for.
const OWN_COLUMNS: usize = 3;

/// A table that the role may read.
pub(super) fn table(
    catalog: &CatalogSnapshot,
    info: &SessionInfo,
    oid: u32,
) -> Result<Arc<TableMeta>> {
    let table = catalog.table(oid).ok_or_else(|| {
        let message = format!("there is no table with oid {oid}");
        SqlError::new(state::UNDEFINED_TABLE, message)
    })?;
    let role = info.role();
    role.check_table(catalog, table, Privileges::SELECT)?;
    if role.is_bound_by(table) {
        let what = "a plugin's own reading of a table with row-level security";
        return Err(SqlError::unsupported(what));
    }
    catalog.table_meta(oid)
}

pub(super) fn visible(
    view: &ReadView,
    table: &TableMeta,
    versions: &[(u64, u64)],
) -> Result<Vec<bool>> {
    let versions: Vec<(RowId, Ts)> = versions
        .iter()
        .map(|(row, begin)| (RowId(*row), Ts(*begin)))
        .collect();
    Ok(view.sees(&table.storage, &versions)?)
}

pub(super) fn changes(
    info: &SessionInfo,
    interrupt: &Arc<Interrupt>,
    table: Arc<TableMeta>,
    span: &ChangesSpan<'_>,
) -> Result<ChangeStream> {
    let column = |name: &&str| {
        let found = table.columns.iter().find(|column| column.name == **name);
        found.map(|column| column.id).ok_or_else(|| {
            let of = &table.table.name;
            SqlError::new(
                state::UNDEFINED_COLUMN,
                format!("column \"{name}\" of table \"{of}\" does not exist"),
            )
        })
    };
    let request = ChangesRequest {
        since: Ts(span.since),
        until: Ts(span.until),
        which: match span.which {
            Which::Every => Changes::Every,
            Which::Net => Changes::Net,
        },
        projection: span.columns.iter().map(column).collect::<Result<_>>()?,
    };
    if request.since > request.until {
        return Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            "the span ends before it begins",
        ));
    }
    let storage = storage_of(
        info,
        info.place().id(),
        &table,
        request.since,
        request.until,
    )?;
    let (engine, timeline) = (info.instance.engine(), info.place().id());
    let batches = engine.changes_on(timeline, &storage, request)?;
    let interrupt = Arc::clone(interrupt);
    let next = move |batch| -> PluginResult<Vec<ArrayRef>> {
        let crossed = || -> Result<Vec<ArrayRef>> {
            interrupt.check()?;
            let batch: arrow::array::RecordBatch = batch;
            let asked = batch.num_columns() - OWN_COLUMNS;
            let columns = batch.columns().iter().enumerate();
            let columns = columns.map(|(place, column)| match place < asked {
                true => crossing::any(column),
                false => Ok(column.clone()),
            });
            columns.collect()
        };
        crossed().map_err(to_plugin)
    };
    let explained = move |batch: heliosdb_storage::Result<_>| match batch {
        Ok(batch) => next(batch),
        Err(error) => Err(to_plugin(table.explain(error))),
    };
    Ok(Box::new(batches.map(explained)))
}
