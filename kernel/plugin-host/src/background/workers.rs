//! The threads behind `worker/1`: one for each worker, which calls it when it is due and its share of the
//! CPU budget has something left.
//!
//! 1. *Wait* for the budget ([`Governor::wait`]).
//! 2. *Call*: a quantum in a transaction of its own ([`Transactions`]), paid when it returns.
//! 3. *Sleep* for as long as the worker wants, or until it is woken (`pool/1`), or the server stops.
//!
//! A worker that fails is called again after a second, and after twice as long each time it goes on
//! failing, up to five minutes. One whose plugin is quarantined is not called again. A thread of its own
//! means that a worker that hangs holds up nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use heliosdb_plugin_api::{Error, Result, Turn, state};
use heliosdb_storage::governor::{Governor, Share};
use parking_lot::{Condvar, Mutex};

use super::quantum;
use crate::active::worker::Worker;
use crate::services::StatementServices;

const RETRY_MICROS_MIN: u64 = 1_000_000;
const RETRY_MICROS_MAX: u64 = 300_000_000;
/// How often it is asked whether an extension was installed.
const INSTALLED_MICROS: u64 = 1_000_000;
/// How long a stop waits for quanta that are under way.
const STOP_WAIT_MAX: Duration = Duration::from_secs(5);
/// Longer sleeps are cut into such.
const SLEEP_MICROS_MAX: u64 = 3_600_000_000;

/// Who makes a transaction for a quantum: the SQL layer.
pub trait Transactions: Send + Sync {
    /// Whether the plugin's extension is installed in the database.
    fn is_installed(&self, plugin: &str) -> bool;

    /// Run `work` with services over a transaction, which is committed when it returns a turn and rolled
    /// back when it fails.
    fn run(&self, work: &mut dyn FnMut(&dyn StatementServices) -> Result<Turn>) -> Result<Turn>;

    /// What is under way finds itself canceled.
    fn cancel(&self);
}

/// See the module's header.
pub struct Workers {
    governor: Arc<Governor>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By plugin and name.
    workers: BTreeMap<String, BTreeSet<String>>,
    woken: BTreeSet<(String, String)>,
    running: u32,
    stopping: bool,
    transactions: Option<Arc<dyn Transactions>>,
}

impl Workers {
    pub fn new(governor: Arc<Governor>) -> Arc<Workers> {
        Arc::new(Workers {
            governor,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Start a thread for each worker.
    pub fn start(self: &Arc<Self>, workers: &[Arc<Worker>], transactions: &Arc<dyn Transactions>) {
        self.state.lock().transactions = Some(transactions.clone());
        for worker in workers {
            let (this, transactions) = (Arc::clone(self), Arc::clone(transactions));
            let (plugin, name) = (worker.plugin().to_string(), worker.declared.name.clone());
            let mut state = self.state.lock();
            if state.stopping {
                return;
            }
            let of_plugin = state.workers.entry(plugin.clone()).or_default();
            of_plugin.insert(name.clone());
            state.running += 1;
            drop(state);
            let worker = Arc::clone(worker);
            let running = Running(Arc::clone(self));
            let live = Box::new(move || {
                let _running = running;
                this.live(&worker, &*transactions);
            });
            if self.governor.spawn("helios-worker", live).is_none() {
                tracing::error!(plugin, name, "no thread for a worker");
            }
        }
    }

    /// Call a worker soon.
    ///
    /// # Errors
    ///
    /// `42704` when the plugin has none of that name that runs.
    pub fn wake(&self, plugin: &str, name: &str) -> Result<()> {
        let mut state = self.state.lock();
        let known = state.workers.get(plugin);
        if !known.is_some_and(|workers| workers.contains(name)) {
            return Err(unknown(name));
        }
        state.woken.insert((plugin.to_owned(), name.to_owned()));
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// End the threads. One that does not return in time is left to itself.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.stopping = true;
        let transactions = state.transactions.take();
        drop(state);
        self.changed.notify_all();
        self.governor.wake();
        if let Some(transactions) = transactions {
            transactions.cancel();
        }
        if quantum::share().is_some() {
            // It is one of those threads that stops the server.
            return;
        }
        let mut state = self.state.lock();
        while state.running > 0 {
            let waited = self.changed.wait_for(&mut state, STOP_WAIT_MAX);
            if waited.timed_out() {
                let running = state.running;
                tracing::warn!("{running} workers of plugins did not stop in time");
                return;
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.state.lock().stopping
    }

    /// A thread's life.
    fn live(&self, worker: &Worker, transactions: &dyn Transactions) {
        let plugin = worker.plugin();
        let name = &worker.declared.name;
        let share = Share::of_name(&worker.declared.share).unwrap_or(Share::Other);
        let mut retry_micros = RETRY_MICROS_MIN;
        loop {
            self.governor.wait(share, &|| self.is_stopping());
            if self.is_stopping() || worker.is_quarantined() {
                return;
            }
            let turn = match transactions.is_installed(plugin) {
                true => quantum::within(&self.governor, share, || {
                    transactions.run(&mut |services| worker.run(services))
                }),
                false => Ok(Turn::Sleep(INSTALLED_MICROS)),
            };
            let sleep = match turn {
                Ok(turn) => {
                    retry_micros = RETRY_MICROS_MIN;
                    match turn {
                        Turn::More => continue,
                        Turn::Sleep(micros) => Some(micros),
                        Turn::Done => None,
                    }
                }
                Err(_) if self.is_stopping() => return,
                Err(error) => {
                    tracing::warn!(plugin = &**plugin, worker = &**name, "{}", error.message);
                    let sleep = retry_micros;
                    retry_micros = (retry_micros * 2).min(RETRY_MICROS_MAX);
                    Some(sleep)
                }
            };
            self.sleep(plugin, name, sleep);
        }
    }

    /// Sleep for so long, or until woken; `None` is until woken.
    fn sleep(&self, plugin: &str, name: &str, micros: Option<u64>) {
        let woken = (plugin.to_owned(), name.to_owned());
        let mut left = micros;
        let mut state = self.state.lock();
        while !state.stopping && !state.woken.remove(&woken) {
            let now = left.unwrap_or(SLEEP_MICROS_MAX).min(SLEEP_MICROS_MAX);
            let began = self.governor.monotonic_micros();
            self.changed
                .wait_for(&mut state, Duration::from_micros(now));
            if let Some(left) = &mut left {
                let slept = self.governor.monotonic_micros().saturating_sub(began);
                *left = left.saturating_sub(slept);
                if *left == 0 {
                    return;
                }
            }
        }
    }
}

/// A thread that lives, or never did.
struct Running(Arc<Workers>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.state.lock().running -= 1;
        self.0.changed.notify_all();
    }
}

pub(crate) fn unknown(name: &str) -> Error {
    Error::new(
        state::UNDEFINED_OBJECT,
        format!("the plugin has no worker \"{name}\" that runs"),
    )
}
