//! `budget/1`: the CPU budget of background work, by share.
//!
//! A worker asks how much of its quantum is left and stops in time. Whoever uses CPU time in the background
//! where the host cannot see it, such as on threads of a library, pays for it here.

use std::marker::PhantomData;

use abi_stable::std_types::RStr;
use abi_stable::StableAbi;

use crate::abi::value::AbiResult;
use crate::abi::Published;
use crate::error::{Error, Result};

/// The shares that plugins' work belongs to. Each but the last has a cap of its own.
pub const SHARES: [&str; 4] = [
    "incremental_mv",
    "adaptive_indexing",
    "deduplication",
    "other",
];

/// The vtable of `budget/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct BudgetV1 {
    /// CPU time in microseconds that the calling thread has left in its quantum, 0 when it is over;
    /// `u64::MAX` for a thread that is in none, since somebody waits for what it does.
    pub left_us: extern "C" fn(host: *const ()) -> u64,
    /// Whether a quantum of the share could begin now. `22023` for a share that is not one of [`SHARES`].
    pub has: extern "C" fn(host: *const (), share: RStr<'_>) -> AbiResult<bool>,
    /// Pays for CPU time of the share that no quantum has counted. Errors as above.
    pub charge: extern "C" fn(host: *const (), share: RStr<'_>, cpu_us: u64) -> AbiResult<()>,
}

unsafe impl Published for BudgetV1 {
    const ID: &'static str = "budget/1";
}

/// The CPU budget.
#[derive(Clone, Copy)]
pub struct Budget<'a> {
    host: *const (),
    vtable: &'static BudgetV1,
    lifetime: PhantomData<&'a ()>,
}

impl Budget<'_> {
    pub(crate) fn new(host: *const (), vtable: &'static BudgetV1) -> Budget<'static> {
        Budget {
            host,
            vtable,
            lifetime: PhantomData,
        }
    }

    /// Microseconds of CPU time that are left of the quantum in which this thread works; `None` when it is
    /// in none.
    pub fn left_us(&self) -> Option<u64> {
        Some((self.vtable.left_us)(self.host)).filter(|left| *left != u64::MAX)
    }

    /// Whether it is time for a worker to return.
    pub fn is_used_up(&self) -> bool {
        self.left_us() == Some(0)
    }

    /// Whether a quantum of the share could begin now.
    ///
    /// # Errors
    ///
    /// `22023` for a share that is not one of [`SHARES`].
    pub fn has(&self, share: &str) -> Result<bool> {
        let has = (self.vtable.has)(self.host, share.into());
        has.into_result().map_err(Error::from)
    }

    /// Pays for CPU time that no quantum has counted.
    ///
    /// # Errors
    ///
    /// As [`has`](Self::has).
    pub fn charge(&self, share: &str, cpu_us: u64) -> Result<()> {
        let charged = (self.vtable.charge)(self.host, share.into(), cpu_us);
        charged.into_result().map_err(Error::from)
    }
}
