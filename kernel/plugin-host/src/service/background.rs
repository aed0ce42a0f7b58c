//! `budget/1` and `pool/1`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use heliosdb_plugin_api::abi::RStr;
use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::service::budget::SHARES;
use heliosdb_plugin_api::service::pool::AbiJob;
use heliosdb_plugin_api::service::{BudgetV1, PoolV1};
use heliosdb_plugin_api::{Error, Result, state};
use heliosdb_storage::governor::Share;

use super::{Handle, guarded};
use crate::background::{quantum, workers};

pub(super) static BUDGET: BudgetV1 = BudgetV1 {
    left_us,
    has,
    charge,
};
pub(super) static POOL: PoolV1 = PoolV1 { threads, run, wake };

/// # Safety
///
/// `handle` is what `Handle::abi` gave out.
unsafe fn plugin<'a>(handle: *const ()) -> &'a Handle {
    // SAFETY: the caller's.
    unsafe { &*handle.cast::<Handle>() }
}

fn share(name: RStr<'_>) -> Result<Share> {
    let known = SHARES.contains(&name.as_str());
    let share = Share::of_name(name.as_str()).filter(|_| known);
    share.ok_or_else(|| {
        Error::new(
            state::INVALID_PARAMETER_VALUE,
            format!("the CPU budget has no share \"{name}\""),
        )
        .with_hint(format!("There are {}.", SHARES.join(", ")))
    })
}

extern "C" fn left_us(handle: *const ()) -> u64 {
    let ask = || {
        let governor = unsafe { plugin(handle) }.background.governor.as_ref();
        governor.and_then(|governor| quantum::left_micros(governor))
    };
    let left = catch_unwind(AssertUnwindSafe(ask)).unwrap_or(Some(0));
    left.unwrap_or(u64::MAX)
}

extern "C" fn has(handle: *const (), name: RStr<'_>) -> AbiResult<bool> {
    guarded(std::ptr::null(), || {
        let share = share(name)?;
        let governor = unsafe { plugin(handle) }.background.governor.as_ref();
        Ok(governor.is_none_or(|governor| governor.has_budget(share)))
    })
}

extern "C" fn charge(handle: *const (), name: RStr<'_>, cpu_us: u64) -> AbiResult<()> {
    guarded(std::ptr::null(), || {
        let share = share(name)?;
        if let Some(governor) = &unsafe { plugin(handle) }.background.governor {
            governor.charge(share, cpu_us);
        }
        Ok(())
    })
}

extern "C" fn threads(handle: *const ()) -> u32 {
    let ask = || unsafe { plugin(handle) }.background.pool.threads();
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or(1)
}

/// What crosses is only ever given back to the plugin, which says that any thread may call it.
struct Job(AbiJob);

unsafe impl Send for Job {}
unsafe impl Sync for Job {}

impl Job {
    fn call(&self, number: u32) -> Result<()> {
        let done = (self.0.piece)(self.0.data, number);
        done.into_result().map_err(Error::from)
    }
}

extern "C" fn run(handle: *const (), count: u32, job: AbiJob) -> AbiResult<()> {
    guarded(std::ptr::null(), || {
        let job = Job(job);
        let pool = &unsafe { plugin(handle) }.background.pool;
        pool.run(count, Box::new(move |number| job.call(number)))
    })
}

extern "C" fn wake(handle: *const (), worker: RStr<'_>) -> AbiResult<()> {
    guarded(std::ptr::null(), || {
        let handle = unsafe { plugin(handle) };
        match &handle.background.workers {
            Some(workers) => workers.wake(&handle.plugin, worker.as_str()),
            None => Err(workers::unknown(worker.as_str())),
        }
    })
}
