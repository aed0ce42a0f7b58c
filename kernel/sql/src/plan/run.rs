//! Runs DataFusion from blocking code, and stops it when asked.
//!
//! The calling thread drives the root of the plan; what the plan spawns runs on the instance's
//! threads. A plan with one partition therefore never changes threads, which is what short queries
//! need. Between polls, and at least every [`CANCEL_POLL`], the statement's interrupt is looked at.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream};
use futures::{StreamExt, TryStreamExt};
use heliosdb_storage::Interrupt;

use super::error::convert;
use super::state::task_context;
use crate::error::{Result, SqlError};

const CANCEL_POLL: Duration = Duration::from_millis(20);

/// Runs a future to its end on this thread. Executors refuse to run inside one of their own; an
/// embedding program may call from any thread, so this only polls and parks.
///
/// Nor does it give way: a statement inside of another runs on a thread of the executor's, and a future that has
/// used up its task's budget there would be woken when the task returns, which waits for the future.
pub(crate) fn block_on<F: Future>(handle: &tokio::runtime::Handle, future: F) -> F::Output {
    let _context = handle.enter();
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(tokio::task::unconstrained(future));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

/// The same, or nothing once `is_over`, which is asked before each poll and every [`CANCEL_POLL`].
///
/// This thread counts that time itself: the executor's timers stand still while all of its threads compute.
fn block_on_unless<F: Future>(
    handle: &tokio::runtime::Handle,
    future: F,
    is_over: impl Fn() -> bool,
) -> Option<F::Output> {
    let _context = handle.enter();
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(tokio::task::unconstrained(future));
    loop {
        if is_over() {
            return None;
        }
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        std::thread::park_timeout(CANCEL_POLL);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Starts a physical plan.
pub(crate) fn start(
    handle: &tokio::runtime::Handle,
    state: &SessionState,
    plan: Arc<dyn ExecutionPlan>,
) -> Result<SendableRecordBatchStream> {
    let _context = handle.enter();
    let context = task_context(state);
    if !is_of_single_rows(&plan) {
        return execute_stream(plan, context).map_err(convert);
    }
    // PostgreSQL gives the rows of such a union in the order in which they are written, and clients that insert
    // several rows take it that RETURNING does.
    let schema = plan.schema();
    let partitions = plan.output_partitioning().partition_count();
    let streams = futures::stream::iter(0..partitions)
        .map(move |partition| plan.execute(partition, context.clone()))
        .try_flatten();
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, streams)))
}

/// Whether a plan of many partitions is a union of rows that are written out.
fn is_of_single_rows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    fn only_rows(plan: &Arc<dyn ExecutionPlan>) -> bool {
        let children = plan.children();
        match children.is_empty() {
            true => plan.is::<PlaceholderRowExec>(),
            false => children.into_iter().all(only_rows),
        }
    }
    plan.output_partitioning().partition_count() > 1 && only_rows(plan)
}

/// What a query gives: rows that were read at once, or as they come.
pub(crate) enum QueryRows {
    Batch(SchemaRef, Option<RecordBatch>),
    Stream(SendableRecordBatchStream),
}

impl QueryRows {
    pub fn batch(batch: RecordBatch) -> QueryRows {
        QueryRows::Batch(batch.schema(), Some(batch))
    }

    pub fn schema(&self) -> SchemaRef {
        match self {
            QueryRows::Batch(schema, _) => schema.clone(),
            QueryRows::Stream(stream) => stream.schema(),
        }
    }

    /// The next rows, or 57014 when the interrupt says so.
    pub fn next_batch(
        &mut self,
        handle: &tokio::runtime::Handle,
        interrupt: Option<&Interrupt>,
    ) -> Result<Option<RecordBatch>> {
        match self {
            QueryRows::Batch(_, batch) => Ok(batch.take()),
            QueryRows::Stream(stream) => next_batch(handle, stream, interrupt),
        }
    }
}

/// The next batch of a stream, or 57014 when the interrupt says so.
pub(crate) fn next_batch(
    handle: &tokio::runtime::Handle,
    stream: &mut SendableRecordBatchStream,
    interrupt: Option<&Interrupt>,
) -> Result<Option<RecordBatch>> {
    let is_over = || interrupt.is_some_and(Interrupt::is_canceled);
    let next = block_on_unless(handle, stream.next(), is_over);
    match next {
        None => Err(SqlError::from(heliosdb_storage::Error::Canceled)),
        Some(None) => Ok(None),
        Some(Some(batch)) => batch.map(Some).map_err(convert),
    }
}
