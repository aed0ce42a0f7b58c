//! Queries' part of the one budget of memory ([`heliosdb_storage::memory`]), as DataFusion asks for it.
//!
//! Operators that can spill share what queries may have evenly, so that one of them does not leave the
//! others nothing; those that cannot, such as the build side of a hash join, take what they need first. Both are
//! refused when the budget has no more: the first then spill, the others fail, alone, with 53200.

use std::fmt;
use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use heliosdb_storage::memory::{MemoryBudget, Part};

/// Sorts keep so much for merging what they spilled, and no more than this part of what queries may have.
const SPILL_RESERVATION_BYTES: usize = 10 << 20;
const SPILL_RESERVATION_SHARE: usize = 16;

/// What a sort on one of `threads` keeps for its merge. Bytes.
pub(crate) fn spill_reservation_bytes(pool: &dyn MemoryPool, threads: usize) -> usize {
    match pool.memory_limit() {
        MemoryLimit::Finite(bytes) => {
            let share = bytes / SPILL_RESERVATION_SHARE / threads.max(1);
            SPILL_RESERVATION_BYTES.min(share)
        }
        _ => SPILL_RESERVATION_BYTES,
    }
}

/// Rows of a batch: what one operator takes in at once has to fit into its share of the memory.
const BATCH_ROWS: usize = 8192;
const BATCH_ROWS_MIN: usize = 512;
/// So much of the memory is there for a row of a batch.
const BYTES_PER_BATCH_ROW: usize = 16 << 10;

/// Makes batches of so many rows, at least one.
pub(crate) fn set_batch_rows(state: &mut SessionState, rows: usize) {
    if let Ok(rows) = ConfigNonZeroUsize::try_new(rows) {
        state.config_mut().options_mut().execution.batch_size = rows;
    }
}

/// Rows of the batches that operators hand on.
pub(crate) fn batch_rows(pool: &dyn MemoryPool) -> usize {
    match pool.memory_limit() {
        MemoryLimit::Finite(bytes) => {
            (bytes / BYTES_PER_BATCH_ROW).clamp(BATCH_ROWS_MIN, BATCH_ROWS)
        }
        _ => BATCH_ROWS,
    }
}

/// Keys of a hash join that lie so near to each other are found by their distance from the least, in an array
/// of as many numbers of [`KEY_BYTES`], which also is what a scan asks about its rows. DataFusion's own limit is
/// a thousand; what counts is that the arrays of all of a join's partitions are a small part of the memory.
const JOIN_KEY_RANGE: usize = 8_000_000;
const JOIN_KEY_RANGE_SHARE: usize = 32;
const KEY_BYTES: usize = 4;

/// How far the keys of a hash join of as many partitions as `threads` may lie apart to be found without hashing.
pub(crate) fn join_key_range(pool: &dyn MemoryPool, threads: usize) -> usize {
    match pool.memory_limit() {
        MemoryLimit::Finite(bytes) => {
            let share = bytes / JOIN_KEY_RANGE_SHARE / threads.max(1);
            JOIN_KEY_RANGE.min(share / KEY_BYTES)
        }
        _ => JOIN_KEY_RANGE,
    }
}

/// See the module's header.
pub(crate) struct QueryMemory {
    shares: FairSpillPool,
    budget: Arc<MemoryBudget>,
}

impl QueryMemory {
    pub fn new(budget: &Arc<MemoryBudget>) -> QueryMemory {
        QueryMemory {
            shares: FairSpillPool::new(budget.queries_bytes_max()),
            budget: Arc::clone(budget),
        }
    }
}

impl fmt::Debug for QueryMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryMemory")
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for QueryMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queries within [memory] budget")
    }
}

impl MemoryPool for QueryMemory {
    fn name(&self) -> &str {
        "budget"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.shares.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.shares.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.shares.grow(reservation, additional);
        self.budget.grow(Part::Queries, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.shares.shrink(reservation, shrink);
        self.budget.shrink(Part::Queries, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let shared = self.shares.try_grow(reservation, additional);
        shared.inspect_err(|_| self.budget.note_refused(Part::Queries))?;
        let granted = self.budget.try_grow(Part::Queries, additional);
        granted.map_err(|_| {
            self.shares.shrink(reservation, additional);
            let operator = reservation.consumer().name();
            let held = reservation.size();
            DataFusionError::ResourcesExhausted(format!(
                "{operator} has {held} bytes and asks for {additional} more"
            ))
        })
    }

    fn reserved(&self) -> usize {
        self.budget.held(Part::Queries)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.budget.queries_bytes_max())
    }
}
