//! DataFusion's state for planning and running one statement at a time.
//!
//! Building a state registers some hundred functions, so states are made once and pooled by the
//! [`Instance`](crate::instance::Instance). What a statement brings along — the view it reads, the
//! rows it is confined to — travels as a [`StatementContext`] in the state's configuration, where
//! [`TableProvider::scan`](datafusion::catalog::TableProvider::scan) finds it. Plans therefore never
//! hold a view and can be kept.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::SessionConfig;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder, TaskContext};
use heliosdb_storage::ids::RowId;
use heliosdb_storage::{Interrupt, ReadView};

use crate::catalog::Oid;
use crate::monitor::pages::PageCounter;
use crate::plan::memory::{batch_rows, join_key_range, spill_reservation_bytes};
use crate::session::explain::Watch;

/// What one execution of a plan reads.
#[derive(Debug)]
pub(crate) struct StatementContext {
    pub view: ReadView,
    /// What is read at other times, by slot.
    pub times: Vec<ReadView>,
    pub interrupt: Arc<Interrupt>,
    /// Where pages are counted that its scans ask for.
    pub pages: Arc<PageCounter>,
    /// Confines scans of DML targets to some rows, read from another view: the second look that
    /// READ COMMITTED takes at rows that changed while it waited for their locks.
    pub recheck: Option<Recheck>,
    /// Whether compiled queries are to be run as such.
    pub fast: bool,
    /// Rows that parts of the statement gave to others, by slot.
    pub returned: Vec<Arc<[RecordBatch]>>,
    /// Where a query leaves its plan when it starts.
    pub watch: Option<Watch>,
    /// The starts of the transaction and of the statement, microseconds since the Unix epoch.
    pub moments: [i64; 2],
}

impl StatementContext {
    /// What is read for a table with this slot of another time, or with none.
    pub fn view_of(&self, slot: Option<usize>) -> Result<&ReadView> {
        match slot {
            None => Ok(&self.view),
            Some(slot) => self.times.get(slot).ok_or_else(|| {
                DataFusionError::Internal(format!("a scan at a time that is not known: {slot}"))
            }),
        }
    }
}

/// How a state's configuration carries the context: taken out when the state goes back to the pool,
/// because a view keeps alive what it reads.
#[derive(Debug, Default)]
pub(crate) struct CurrentStatement(pub Option<Arc<StatementContext>>);

#[derive(Debug, Clone)]
pub(crate) struct Recheck {
    pub view: ReadView,
    pub rows: HashMap<Oid, Arc<[RowId]>>,
}

/// Batches that are spilled between partitions go to a file each. Two writers with a file open can wait for a
/// reader that waits for the other of the files (apache/datafusion#24883).
const SPILL_FILE_BYTES: (&str, usize) = ("datafusion.execution.max_spill_file_size_bytes", 1);

pub(crate) fn new_state(runtime_env: Arc<RuntimeEnv>, threads: usize) -> SessionState {
    let mut options = ConfigOptions::new();
    options.execution.target_partitions = threads;
    options.execution.collect_statistics = true;
    options.execution.sort_spill_reservation_bytes =
        spill_reservation_bytes(&*runtime_env.memory_pool, threads);
    options.execution.perfect_hash_join_small_build_threshold =
        join_key_range(&*runtime_env.memory_pool, threads);
    // Our row counts are good enough to keep small plans on one thread.
    options
        .execution
        .use_row_number_estimates_to_optimize_partitioning = true;
    options.catalog.information_schema = false;
    options.catalog.create_default_catalog_and_schema = false;
    options.sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    crate::plan::bridge::configure(&mut options);
    let config = SessionConfig::from(options)
        .with_batch_size(batch_rows(&*runtime_env.memory_pool))
        .set_usize(SPILL_FILE_BYTES.0, SPILL_FILE_BYTES.1);
    let builder = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime_env)
        .with_default_features();
    crate::plan::bridge::install(builder).build()
}

/// The task context of a statement: the state's configuration and nothing else, because functions
/// are looked up by name only when plans come from elsewhere.
pub(crate) fn task_context(state: &SessionState) -> Arc<TaskContext> {
    Arc::new(TaskContext::new(
        None,
        state.session_id().to_owned(),
        state.config().clone(),
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        state.runtime_env().clone(),
    ))
}
