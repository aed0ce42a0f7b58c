//! From syntax tree to running plan: name resolution, DataFusion planning, scans of our tables.
//!
//! The road of a query: [`query`] resolves names against one catalog snapshot ([`context`]), lets
//! DataFusion plan and optimise, and [`run`] streams the result. [`provider`] is our table as
//! DataFusion sees it, and [`statistics`] what it is told of it; [`join_order`] reorders joins, [`offset`] keeps
//! rules from reaching through an OFFSET; [`windows`] settles what a window has to know before any row; [`scan`] reads a table, and [`scan_filter`] leaves out what the
//! operators above have no use for; [`filter`] turns predicates into index ranges and zone-map hints; [`fast`]
//! runs lookups of few rows without a plan of DataFusion's; [`returned`] is rows that parts of a statement give to
//! others; [`as_of`] is tables at other times, [`changes`]
//! what came between; [`columns`] knows the columns that names stand for, [`reads`] checks which of them a query names, [`policy`] which rows it sees; [`compile`]
//! makes single expressions (defaults, checks,
//! RETURNING) runnable over a batch.

mod append;
pub(crate) mod as_of;
mod barrier;
pub(crate) mod bridge;
pub(crate) mod changes;
mod columns;
pub(crate) mod compile;
pub mod computed;
pub(crate) mod context;
mod dates;
mod effects;
pub(crate) mod error;
pub(crate) mod fast;
pub(crate) mod filter;
mod join_order;
mod limit;
pub(crate) mod memory;
mod namesakes;
mod offset;
pub(crate) mod origin;
pub(crate) mod partial;
pub(crate) mod policy;
pub(crate) mod provider;
pub(crate) mod query;
mod reads;
pub(crate) mod returned;
pub(crate) mod run;
pub(crate) mod scan;
mod scan_filter;
pub(crate) mod state;
pub(crate) mod statistics;
mod windows;

use std::sync::Arc;

use arrow::array::{BooleanArray, Int64Array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use heliosdb_storage::ids::CollectionId;

use crate::catalog::model::Sequence;
use crate::error::{Result, SqlError};
use crate::session::info::SessionInfo;

/// A sequence as a relation of one row: `SELECT last_value FROM s`.
pub(crate) fn sequence_relation(
    info: &SessionInfo,
    sequence: &Sequence,
) -> Result<Arc<dyn TableProvider>> {
    let (value, called) = info
        .place()
        .sequence_state(CollectionId(sequence.collection))
        .unwrap_or((sequence.start, false));
    let schema = Arc::new(Schema::new(vec![
        Field::new("last_value", DataType::Int64, false),
        Field::new("log_cnt", DataType::Int64, false),
        Field::new("is_called", DataType::Boolean, false),
    ]));
    let batch = RecordBatch::try_new(
        schema.clone(),
        vec![
            Arc::new(Int64Array::from(vec![value])),
            Arc::new(Int64Array::from(vec![0])),
            Arc::new(BooleanArray::from(vec![called])),
        ],
    )?;
    let table = MemTable::try_new(schema, vec![vec![batch]]).map_err(SqlError::from)?;
    Ok(Arc::new(table))
}
