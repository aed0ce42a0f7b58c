//! `log/1`, `clock/1` and `memory/1`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use heliosdb_plugin_api::abi::RStr;
use heliosdb_plugin_api::service::{ClockV1, LogV1, MemoryV1};

use super::Handle;

/// Whoever grants memory: the limit of queries.
pub trait MemoryLimit: Send + Sync {
    /// Whether the bytes are granted to the plugin.
    fn reserve(&self, plugin: &str, bytes: u64) -> bool;
    fn release(&self, plugin: &str, bytes: u64);
}

/// Grants everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlimited;

impl MemoryLimit for Unlimited {
    fn reserve(&self, _: &str, _: u64) -> bool {
        true
    }
    fn release(&self, _: &str, _: u64) {}
}

pub(super) static LOG: LogV1 = LogV1 { log };
pub(super) static CLOCK: ClockV1 = ClockV1 {
    now_us,
    monotonic_ns,
};
pub(super) static MEMORY: MemoryV1 = MemoryV1 { reserve, release };

/// # Safety
///
/// `handle` is what `Handle::abi` gave out.
unsafe fn plugin<'a>(handle: *const ()) -> &'a Handle {
    // SAFETY: the caller's.
    unsafe { &*handle.cast::<Handle>() }
}

extern "C" fn log(handle: *const (), level: u8, message: RStr<'_>) {
    let write = || {
        let plugin = &*unsafe { plugin(handle) }.plugin;
        let message = message.as_str();
        match level {
            1 => tracing::error!(plugin, "{message}"),
            2 => tracing::warn!(plugin, "{message}"),
            3 => tracing::info!(plugin, "{message}"),
            _ => tracing::debug!(plugin, "{message}"),
        }
    };
    let _ = catch_unwind(AssertUnwindSafe(write));
}

#[allow(clippy::disallowed_methods)] // The process' clock; storage has its own.
extern "C" fn now_us(_: *const ()) -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
}

#[allow(clippy::disallowed_methods)] // As above.
extern "C" fn monotonic_ns(_: *const ()) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

extern "C" fn reserve(handle: *const (), bytes: u64) -> bool {
    let ask = || {
        let handle = unsafe { plugin(handle) };
        handle.memory.reserve(&handle.plugin, bytes)
    };
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or(false)
}

extern "C" fn release(handle: *const (), bytes: u64) {
    let give = || {
        let handle = unsafe { plugin(handle) };
        handle.memory.release(&handle.plugin, bytes);
    };
    let _ = catch_unwind(AssertUnwindSafe(give));
}
