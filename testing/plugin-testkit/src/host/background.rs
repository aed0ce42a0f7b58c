//! `budget/1` and `pool/1`: quanta that last for so many looks at them, and one thread.

use std::sync::atomic::Ordering;

use heliosdb_plugin_api::abi::RStr;
use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::service::budget::SHARES;
use heliosdb_plugin_api::service::pool::AbiJob;
use heliosdb_plugin_api::service::{BudgetV1, PoolV1};
use heliosdb_plugin_api::{Error, Result, state};

use super::{inner, lock};

/// A look at the budget takes so much of it.
pub const LOOK_US: u64 = 100;

pub static BUDGET: BudgetV1 = BudgetV1 {
    left_us,
    has,
    charge,
};
pub static POOL: PoolV1 = PoolV1 { threads, run, wake };

extern "C" fn left_us(host: *const ()) -> u64 {
    // SAFETY: the handle of `TestHost::interface`; so below.
    let left = &unsafe { inner(host) }.quantum_us;
    let less = |left: u64| match left {
        u64::MAX => None,
        left => Some(left.saturating_sub(LOOK_US)),
    };
    match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
        Ok(before) => before.saturating_sub(LOOK_US),
        Err(forever) => forever,
    }
}

fn known(share: RStr<'_>) -> Result<()> {
    if SHARES.contains(&share.as_str()) {
        return Ok(());
    }
    let unknown = format!("the CPU budget has no share \"{share}\"");
    Err(Error::new(state::INVALID_PARAMETER_VALUE, unknown))
}

extern "C" fn has(host: *const (), share: RStr<'_>) -> AbiResult<bool> {
    let left = unsafe { inner(host) }.quantum_us.load(Ordering::SeqCst);
    known(share).map(|()| left > 0).map_err(Into::into).into()
}

extern "C" fn charge(host: *const (), share: RStr<'_>, cpu_us: u64) -> AbiResult<()> {
    let charged = known(share).map(|()| {
        let charged = &unsafe { inner(host) }.charged_us;
        charged.fetch_add(cpu_us, Ordering::SeqCst);
    });
    charged.map_err(Into::into).into()
}

extern "C" fn threads(_: *const ()) -> u32 {
    1
}

/// The last piece first: a plugin must not count on an order.
extern "C" fn run(_: *const (), count: u32, job: AbiJob) -> AbiResult<()> {
    for number in (0..count).rev() {
        let done = (job.piece)(job.data, number);
        if done.is_err() {
            return done;
        }
    }
    Ok(()).into()
}

extern "C" fn wake(host: *const (), worker: RStr<'_>) -> AbiResult<()> {
    lock(&unsafe { inner(host) }.woken).insert(worker.to_string());
    Ok(()).into()
}
