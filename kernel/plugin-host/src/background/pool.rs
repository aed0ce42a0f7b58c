//! The threads behind `pool/1`: pieces of one plugin's work, done at the same time.
//!
//! Whoever wants pieces done does them itself, too, so it gets on when all threads are busy, and a piece
//! may want pieces done. There is a thread less than the machine has CPUs, and none before it is needed.
//!
//! Invariants of a batch:
//! 1. A piece begins only under the batch's lock, while there is one and none has failed.
//! 2. [`Pool::run`] returns when no further piece can begin and nobody works on one: what the pieces share
//!    may go then.

use std::collections::VecDeque;
use std::sync::Arc;

use heliosdb_plugin_api::{Error, Result};
use heliosdb_storage::governor::{Governor, Share};
use parking_lot::{Condvar, Mutex};

use super::quantum;

/// One piece of work, by its number. Called from several threads at the same time.
pub type Piece = Box<dyn Fn(u32) -> Result<()> + Send + Sync>;

/// See the module's header.
pub struct Pool {
    governor: Option<Arc<Governor>>,
    /// Besides whoever wants pieces done.
    threads_max: u32,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// With pieces that nobody has begun, as far as is known.
    batches: VecDeque<Arc<Batch>>,
    threads: u32,
    idle: u32,
    stopping: bool,
}

struct Batch {
    piece: Piece,
    count: u32,
    /// Who pays; `None` when somebody waits.
    share: Option<Share>,
    progress: Mutex<Progress>,
    rested: Condvar,
}

#[derive(Default)]
struct Progress {
    next: u32,
    working: u32,
    failed: Option<Error>,
}

impl Batch {
    /// Do pieces while there are any.
    fn work(&self) {
        loop {
            let number = {
                let mut progress = self.progress.lock();
                if progress.next == self.count || progress.failed.is_some() {
                    return;
                }
                progress.working += 1;
                progress.next += 1;
                progress.next - 1
            };
            let done = (self.piece)(number);
            let mut progress = self.progress.lock();
            progress.working -= 1;
            if let Err(error) = done {
                progress.failed.get_or_insert(error);
            }
            if progress.working == 0 {
                self.rested.notify_all();
            }
        }
    }

    /// Wait for those who work on the last pieces.
    fn rest(&self) -> Result<()> {
        let mut progress = self.progress.lock();
        while progress.working > 0 {
            self.rested.wait(&mut progress);
        }
        match progress.failed.take() {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }
}

impl Pool {
    pub fn new(governor: Option<Arc<Governor>>) -> Arc<Pool> {
        Arc::new(Pool {
            threads_max: governor.as_ref().map_or(0, |g| g.cpus().saturating_sub(1)),
            governor,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// How many pieces may be worked on at the same time.
    pub fn threads(&self) -> u32 {
        self.threads_max + 1
    }

    /// Do the pieces 0 to `count` - 1, each once. After an error no further piece begins; the first error
    /// is the result. A piece must not unwind.
    pub fn run(self: &Arc<Self>, count: u32, piece: Piece) -> Result<()> {
        let batch = Arc::new(Batch {
            piece,
            count,
            share: quantum::share(),
            progress: Mutex::default(),
            rested: Condvar::new(),
        });
        if count > 1 {
            self.offer(&batch);
        }
        batch.work();
        self.withdraw(&batch);
        batch.rest()
    }

    /// Let threads help, and start one if all are busy.
    fn offer(self: &Arc<Self>, batch: &Arc<Batch>) {
        let Some(governor) = &self.governor else {
            return;
        };
        let mut state = self.state.lock();
        if state.stopping {
            return;
        }
        state.batches.push_back(Arc::clone(batch));
        let wanted = (batch.count - 1).min(self.threads_max);
        while state.threads < self.threads_max && state.idle < wanted {
            let pool = Arc::clone(self);
            let thread = governor.spawn("helios-pool", Box::new(move || pool.help()));
            if thread.is_none() {
                break;
            }
            state.threads += 1;
            state.idle += 1;
        }
        self.changed.notify_all();
    }

    fn withdraw(&self, batch: &Arc<Batch>) {
        let mut state = self.state.lock();
        state.batches.retain(|other| !Arc::ptr_eq(other, batch));
    }

    /// A thread: help with the oldest batch, as long as there is one.
    fn help(&self) {
        let mut state = self.state.lock();
        while !state.stopping {
            let Some(batch) = state.batches.front().cloned() else {
                self.changed.wait(&mut state);
                continue;
            };
            state.idle -= 1;
            drop(state);
            match (&self.governor, batch.share) {
                (Some(governor), Some(share)) => quantum::within(governor, share, || batch.work()),
                _ => batch.work(),
            }
            self.withdraw(&batch);
            state = self.state.lock();
            state.idle += 1;
        }
        state.idle -= 1;
        state.threads -= 1;
    }

    /// End the threads that are idle, and those that work when they no longer do. From now on whoever wants
    /// pieces done does them alone.
    pub fn stop(&self) {
        self.state.lock().stopping = true;
        self.changed.notify_all();
    }
}
