//! The CPU governor: how much of the machine work in the background may use.
//!
//! 1. All of it together gets [`Caps::max_cpu_background`] percent of the machine's CPUs, and each
//!    [`Share`] that has a number of its own no more than that of it. Both are token buckets
//!    ([`bucket`]), and what is paid is CPU time of the thread that worked, so that sleep and I/O are
//!    free.
//! 2. Work is cut into quanta of at most [`QUANTUM_MICROS`]: after each, whoever works asks here
//!    ([`Pace::step`]), and sleeps until both buckets have something again. Those who sleep go on in
//!    the order in which they came, but for those whose own share is used up.
//! 3. What somebody waits for is not background work: it is neither held up nor counted
//!    ([`Pressure::Waited`]).
//! 4. Storage's own work falls behind when it is held up for too long. Past a debt that its owner states
//!    ([`Pressure::Debt`]) it goes over the caps until the debt is paid; the log says when that begins
//!    and ends, and [`Usage::over_micros`] how much it was.
//!
//! The governor knows nothing of what the work is. Where nothing runs in the background, as on the
//! simulated disk, nobody asks it.

mod bucket;
mod recent;
mod state;

use std::cell::Cell;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use self::state::State;
use crate::error::{Error, Result};
use crate::io::Io;

/// The longest piece of work between two looks at the budget. A piece that takes longer all the same
/// is paid for in full.
pub const QUANTUM_MICROS: u64 = 5_000;
/// How long a sleeper sleeps before it asks again whether it may be woken by something else.
const SLEEP_MICROS_MAX: u64 = 50_000;

/// Who works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Share {
    /// Flushes and compaction.
    Storage,
    IncrementalMv,
    AdaptiveIndexing,
    Deduplication,
    /// Plugins' work of any other kind.
    Other,
}

impl Share {
    /// In the order in which views show them.
    pub const ALL: [Share; 5] = [
        Share::Storage,
        Share::IncrementalMv,
        Share::AdaptiveIndexing,
        Share::Deduplication,
        Share::Other,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Share::Storage => "storage",
            Share::IncrementalMv => "incremental_mv",
            Share::AdaptiveIndexing => "adaptive_indexing",
            Share::Deduplication => "deduplication",
            Share::Other => "other",
        }
    }

    pub fn of_name(name: &str) -> Option<Share> {
        Share::ALL.into_iter().find(|share| share.name() == name)
    }
}

/// Percent of the machine, 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Of all background work together.
    pub max_cpu_background: u32,
    pub incremental_mv_cpu: u32,
    pub adaptive_indexing_cpu: u32,
    pub deduplication_cpu: u32,
    /// Whether anybody is held up. What is used is counted in any case.
    pub enforced: bool,
}

impl Default for Caps {
    fn default() -> Caps {
        Caps {
            max_cpu_background: 15,
            incremental_mv_cpu: 10,
            adaptive_indexing_cpu: 2,
            deduplication_cpu: 3,
            enforced: true,
        }
    }
}

impl Caps {
    /// The share's own number; the others have only the common one.
    pub fn of(&self, share: Share) -> Option<u32> {
        match share {
            Share::IncrementalMv => Some(self.incremental_mv_cpu),
            Share::AdaptiveIndexing => Some(self.adaptive_indexing_cpu),
            Share::Deduplication => Some(self.deduplication_cpu),
            Share::Storage | Share::Other => None,
        }
    }

    /// Refuse what is no percentage.
    pub fn check(&self) -> Result<()> {
        let all = [
            ("max_cpu_background", self.max_cpu_background),
            ("incremental_mv_cpu", self.incremental_mv_cpu),
            ("adaptive_indexing_cpu", self.adaptive_indexing_cpu),
            ("deduplication_cpu", self.deduplication_cpu),
        ];
        match all.into_iter().find(|(_, percent)| *percent > 100) {
            None => Ok(()),
            Some((name, percent)) => Err(Error::invalid(format!(
                "{name} is {percent}; it is a percentage"
            ))),
        }
    }
}

/// What a share used since the database was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of its work in the background.
    pub used_micros: u64,
    /// The part of it that went over the caps because of a debt.
    pub over_micros: u64,
    /// How long its threads slept because the budget was used up.
    pub throttled_micros: u64,
    /// CPU time of the last ten seconds that are over.
    pub recent_micros: u64,
    /// Threads that sleep now.
    pub waiting: u32,
    /// Whether it goes over the caps now.
    pub in_debt: bool,
}

/// All that the governor tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub caps: Caps,
    pub cpus: u32,
    pub shares: [(Share, Usage); Share::ALL.len()],
}

impl Report {
    /// Percent of the machine that CPU time of the last ten seconds is.
    pub fn percent(&self, recent_micros: u64) -> f64 {
        let all = RECENT_MICROS as f64 * f64::from(self.cpus);
        recent_micros as f64 * 100.0 / all
    }
}

/// [`Usage::recent_micros`] is of so long.
pub const RECENT_MICROS: u64 = 10_000_000;

/// What else there is to know before work is held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    None,
    /// Somebody waits for it.
    Waited,
    /// It is too far behind.
    Debt,
}

/// See the module's header.
pub struct Governor {
    io: Arc<dyn Io>,
    cpus: u32,
    state: Mutex<State>,
    changed: Condvar,
}

impl std::fmt::Debug for Governor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Governor")
            .field("caps", &self.caps())
            .finish_non_exhaustive()
    }
}

impl Governor {
    pub fn new(io: Arc<dyn Io>, caps: Caps) -> Arc<Governor> {
        let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        let now = io.monotonic_micros();
        Arc::new(Governor {
            io,
            cpus,
            state: Mutex::new(State::new(caps, cpus, now)),
            changed: Condvar::new(),
        })
    }

    /// What a percentage is of.
    pub fn cpus(&self) -> u32 {
        self.cpus
    }

    pub fn caps(&self) -> Caps {
        self.state.lock().caps()
    }

    /// Go on under other caps, at once.
    pub fn set_caps(&self, caps: Caps) -> Result<()> {
        self.change(|_| caps)
    }

    /// Go on under other caps, made of those that hold.
    pub fn change(&self, change: impl FnOnce(Caps) -> Caps) -> Result<()> {
        let now = self.io.monotonic_micros();
        let mut state = self.state.lock();
        let caps = change(state.caps());
        caps.check()?;
        state.set_caps(caps, now);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// What holds, and what came of it.
    pub fn report(&self) -> Report {
        let now = self.io.monotonic_micros();
        let mut state = self.state.lock();
        Report {
            caps: state.caps(),
            cpus: self.cpus,
            shares: Share::ALL.map(|share| (share, state.usage(share, now))),
        }
    }

    pub fn usage(&self, share: Share) -> Usage {
        let now = self.io.monotonic_micros();
        self.state.lock().usage(share, now)
    }

    /// Pay for CPU time that was used in the background.
    pub fn charge(&self, share: Share, micros: u64) {
        let now = self.io.monotonic_micros();
        self.state.lock().charge(share, micros, now);
    }

    /// Whether a piece of work of the share could begin now.
    pub fn has_budget(&self, share: Share) -> bool {
        let now = self.io.monotonic_micros();
        self.state.lock().wait_micros(share, now) == Some(0)
    }

    /// CPU time of the calling thread, for [`Governor::charge`].
    pub fn thread_cpu_micros(&self) -> u64 {
        self.io.thread_cpu_micros()
    }

    /// A clock that only goes on, for those who work and sleep by turns.
    pub fn monotonic_micros(&self) -> u64 {
        self.io.monotonic_micros()
    }

    /// Run work on a thread of its own; `None` where nothing runs in the background.
    pub fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> Option<JoinHandle<()>> {
        self.io.spawn(name, work)
    }

    /// Sleep until a piece of work of the share may begin, or `stop` says that it is not to be waited for.
    pub fn wait(&self, share: Share, stop: &dyn Fn() -> bool) {
        let began = self.io.monotonic_micros();
        let mut now = began;
        let mut turn = None;
        loop {
            // Not under the lock: it may take others.
            let stopped = stop();
            let mut state = self.state.lock();
            let wait = match stopped {
                true => Some(0),
                false => state.turn(share, &mut turn, now),
            };
            if wait == Some(0) {
                state.leave(share, turn, now.saturating_sub(began));
                drop(state);
                if turn.is_some() {
                    self.changed.notify_all();
                }
                return;
            }
            let micros = wait.unwrap_or(SLEEP_MICROS_MAX).min(SLEEP_MICROS_MAX);
            self.changed
                .wait_for(&mut state, Duration::from_micros(micros));
            drop(state);
            now = self.io.monotonic_micros();
        }
    }

    /// End the sleep of those whose reasons to sleep may have changed.
    pub fn wake(&self) {
        let _state = self.state.lock();
        self.changed.notify_all();
    }

    /// The pace of work that the calling thread does from now on.
    pub fn pace(&self, share: Share, what: &'static str) -> Pace<'_> {
        Pace {
            governor: self,
            share,
            what,
            paid_until: Cell::new(self.io.thread_cpu_micros()),
            in_debt: Cell::new(false),
        }
    }
}

/// The pace of one thread's work. What it uses between two steps is paid at the second.
pub struct Pace<'a> {
    governor: &'a Governor,
    share: Share,
    what: &'static str,
    /// CPU time of the thread.
    paid_until: Cell<u64>,
    in_debt: Cell<bool>,
}

impl Pace<'_> {
    /// Between two pieces of work: pay, and sleep until the next one may begin. `pressure` is asked again
    /// and again, and must not wait itself.
    pub fn step(&self, pressure: &dyn Fn() -> Pressure) {
        let now = self.governor.io.thread_cpu_micros();
        let used = now.saturating_sub(self.paid_until.get());
        if used < QUANTUM_MICROS / 2 {
            return;
        }
        self.paid_until.set(now);
        let pressed = pressure();
        self.note_debt(pressed == Pressure::Debt);
        match pressed {
            Pressure::Waited => {}
            Pressure::Debt => {
                let now = self.governor.io.monotonic_micros();
                let mut state = self.governor.state.lock();
                state.charge_over(self.share, used, now);
            }
            Pressure::None => {
                self.governor.charge(self.share, used);
                let stop = || pressure() != Pressure::None;
                self.governor.wait(self.share, &stop);
            }
        }
    }

    /// The work is done for now: pay what is left, and owe nothing.
    pub fn rest(&self) {
        let now = self.governor.io.thread_cpu_micros();
        let used = now.saturating_sub(self.paid_until.replace(now));
        self.governor.charge(self.share, used);
        self.note_debt(false);
    }

    /// Go on after a rest: what the thread did meanwhile was something else.
    pub fn resume(&self) {
        self.paid_until.set(self.governor.io.thread_cpu_micros());
    }

    fn note_debt(&self, in_debt: bool) {
        if self.in_debt.replace(in_debt) == in_debt {
            return;
        }
        self.governor.state.lock().set_in_debt(self.share, in_debt);
        let what = self.what;
        match in_debt {
            true => tracing::warn!("{what} is too far behind: it goes over max_cpu_background"),
            false => tracing::info!("{what} is back under max_cpu_background"),
        }
    }
}

impl Drop for Pace<'_> {
    fn drop(&mut self) {
        self.rest();
    }
}

#[cfg(test)]
mod tests;
