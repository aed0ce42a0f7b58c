//! Rows on their way into pages and sorters, on a thread of their own where there are threads, so that who
//! makes the rows does not wait for their being written.
//!
//! The thread ends with its [`Writing`], however that ends; what went wrong on it is told by the next
//! push, or at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::io::Io;
use crate::load::{IndexLoader, Series};
use crate::segment::RowRun;

/// Batches that wait for the thread.
const WAITING_MAX: usize = 2;

/// What rows are written to.
pub struct Loaders {
    pub rows: Series,
    pub indexes: Vec<IndexLoader>,
}

impl Loaders {
    fn push(&mut self, run: RowRun, bytes: u64) -> Result<()> {
        for index in &mut self.indexes {
            index.push(&run)?;
        }
        self.rows.cut()?;
        self.rows.push_run(run, bytes)
    }
}

/// See the module's header.
pub enum Writing {
    Here(Box<Loaders>),
    Beside(Thread),
}

/// The thread, and what it gives back.
pub struct Thread {
    batches: Option<SyncSender<(RowRun, u64)>>,
    handle: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    outcome: Mutex<Option<Result<Loaders>>>,
    /// Nobody wants what waits.
    is_given_up: AtomicBool,
}

impl Writing {
    pub fn new(io: &dyn Io, loaders: Loaders) -> Result<Writing> {
        let shared = Arc::new(Shared::default());
        // The loaders come back from whoever did not take them.
        *shared.outcome.lock() = Some(Ok(loaders));
        let (batches, received) = sync_channel(WAITING_MAX);
        let work = {
            let shared = Arc::clone(&shared);
            move || shared.work(&received)
        };
        if let Some(handle) = io.spawn("helios-bulk", Box::new(work)) {
            return Ok(Writing::Beside(Thread {
                batches: Some(batches),
                handle: Some(handle),
                shared,
            }));
        }
        let loaders = shared.outcome.lock().take();
        let loaders = loaders.unwrap_or_else(|| Err(ended()))?;
        Ok(Writing::Here(Box::new(loaders)))
    }

    /// Add rows whose values have about `bytes` bytes.
    pub fn push(&mut self, run: RowRun, bytes: u64) -> Result<()> {
        match self {
            Writing::Here(loaders) => loaders.push(run, bytes),
            Writing::Beside(thread) => {
                let sent = thread.batches.as_ref().map(|to| to.send((run, bytes)));
                match sent {
                    Some(Ok(())) => Ok(()),
                    _ => thread.end().and_then(|_| Err(ended())),
                }
            }
        }
    }

    /// All rows are in.
    pub fn finish(self) -> Result<Loaders> {
        match self {
            Writing::Here(loaders) => Ok(*loaders),
            Writing::Beside(mut thread) => thread.end(),
        }
    }
}

fn ended() -> Error {
    Error::internal("the thread that writes rows has ended")
}

impl Shared {
    fn work(&self, batches: &Receiver<(RowRun, u64)>) {
        let Some(Ok(mut loaders)) = self.outcome.lock().take() else {
            return;
        };
        // The last sender is gone when nothing comes any more.
        let written = batches.iter().try_for_each(|(run, bytes)| {
            match self.is_given_up.load(Ordering::Acquire) {
                true => Ok(()),
                false => loaders.push(run, bytes),
            }
        });
        *self.outcome.lock() = Some(written.map(|()| loaders));
    }
}

impl Thread {
    fn end(&mut self) -> Result<Loaders> {
        self.batches = None;
        if self
            .handle
            .take()
            .is_some_and(|handle| handle.join().is_err())
        {
            return Err(Error::internal("the thread that writes rows panicked"));
        }
        self.shared
            .outcome
            .lock()
            .take()
            .unwrap_or_else(|| Err(ended()))
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.shared.is_given_up.store(true, Ordering::Release);
        // Its files go with it.
        let _ = self.end();
    }
}
