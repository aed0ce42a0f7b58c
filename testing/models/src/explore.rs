//! Runs a place under many schedules.
//!
//! Half of the schedules are drawn step by step, each of the threads as likely as any other; half by PCT
//! (Burckhardt et al., "A randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010),
//! which lets the same thread go on but for few changes: a bug that takes `d` of them is found with a
//! probability that does not fall with the length of the run to the power of more than `d - 1`.
//!
//! A seed says everything: the same seed and number of schedules is the same run.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

/// The engine's frames are large in a debug build.
const STACK_BYTES: usize = 1 << 20;
/// More than that is one who goes round in circles.
const STEPS_MAX: usize = 2_000_000;
/// Changes of the thread that goes on, of PCT.
const PCT_DEPTH: usize = 4;

/// What was reached, and how often; and what was found.
#[derive(Debug, Default)]
pub struct Report {
    pub schedules: u64,
    /// Interleavings by their names.
    pub sometimes: BTreeMap<&'static str, u64>,
    /// The first thing that was not as it has to be.
    pub found: Option<String>,
}

impl Report {
    /// The interleavings of `wanted` that never came about.
    pub fn missed(&self, wanted: &[&'static str]) -> Vec<&'static str> {
        let missed = wanted
            .iter()
            .filter(|name| !self.sometimes.contains_key(*name));
        missed.copied().collect()
    }
}

/// A report that threads write to.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<Mutex<Report>>);

impl Shared {
    fn with<T>(&self, f: impl FnOnce(&mut Report) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An interleaving came about.
    pub fn note(&self, name: &'static str) {
        self.with(|report| *report.sometimes.entry(name).or_default() += 1);
    }

    /// Something is wrong. The schedule goes on to its end, since an engine that is dropped by a panic
    /// would wait for threads that do not come.
    pub fn found(&self, what: String) {
        self.with(|report| report.found.get_or_insert(what).len());
    }

    pub fn is_over(&self) -> bool {
        self.with(|report| report.found.is_some())
    }
}

/// Run `place` with numbers that are different for each schedule, until something is found or `schedules`
/// have been run.
pub fn explore(
    place: impl Fn(u64, &Shared) + Send + Sync + 'static,
    seed: u64,
    schedules: usize,
) -> Report {
    let (shared, place) = (Shared::default(), Arc::new(place));
    let half = schedules.div_ceil(2);
    let random = RandomScheduler::new_from_seed(seed, half);
    run(&shared, &place, seed, random);
    if !shared.is_over() {
        let pct = PctScheduler::new_from_seed(seed, PCT_DEPTH, schedules - half);
        run(&shared, &place, !seed, pct);
    }
    shared.with(|report| {
        if let Some(found) = &mut report.found {
            *found = format!("seed {seed}, schedule {}: {found}", report.schedules);
        }
        std::mem::take(report)
    })
}

fn run<F: Fn(u64, &Shared) + Send + Sync + 'static>(
    shared: &Shared,
    place: &Arc<F>,
    seed: u64,
    scheduler: impl Scheduler + 'static,
) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    let number = AtomicU64::new(0);
    let body = {
        let (shared, place) = (shared.clone(), Arc::clone(place));
        move || {
            if shared.is_over() {
                return;
            }
            let number = number.fetch_add(1, Ordering::SeqCst);
            shared.with(|report| report.schedules += 1);
            place(
                seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                &shared,
            );
        }
    };
    let runner = AssertUnwindSafe(|| Runner::new(scheduler, config).run(body));
    if let Err(panic) = catch_unwind(runner) {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        shared.found(format!("a panic: {}", text.unwrap_or_default()));
    }
}
