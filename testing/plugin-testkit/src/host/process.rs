//! `log/1`, `clock/1`, `memory/1`: a log that is kept, a clock that stands, memory that can run out.

use std::sync::atomic::Ordering;

use heliosdb_plugin_api::abi::RStr;
use heliosdb_plugin_api::service::{ClockV1, LogV1, MemoryV1};

use super::{inner, lock};

/// 2025-01-01 00:00 UTC.
pub const CLOCK_START_US: i64 = 1_735_689_600_000_000;

/// One line of a plugin's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// As in [`Level`](heliosdb_plugin_api::service::Level): 1 is an error, 4 is debug.
    pub level: u8,
    pub message: String,
}

pub static LOG: LogV1 = LogV1 { log };
pub static CLOCK: ClockV1 = ClockV1 {
    now_us,
    monotonic_ns,
};
pub static MEMORY: MemoryV1 = MemoryV1 { reserve, release };

extern "C" fn log(host: *const (), level: u8, message: RStr<'_>) {
    let message = message.to_string();
    // SAFETY: the handle of `TestHost::interface`; so below.
    lock(&unsafe { inner(host) }.log).push(LogLine { level, message });
}

extern "C" fn now_us(host: *const ()) -> i64 {
    unsafe { inner(host) }.clock_us.load(Ordering::SeqCst)
}

extern "C" fn monotonic_ns(host: *const ()) -> u64 {
    unsafe { inner(host) }.monotonic_ns.load(Ordering::SeqCst)
}

extern "C" fn reserve(host: *const (), bytes: u64) -> bool {
    let host = unsafe { inner(host) };
    let limit = host.memory_limit.load(Ordering::SeqCst);
    let more = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= limit);
    let reserved = &host.memory_reserved;
    let granted = reserved.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
    granted.is_ok()
}

extern "C" fn release(host: *const (), bytes: u64) {
    let less = |held: u64| Some(held.saturating_sub(bytes));
    let reserved = &unsafe { inner(host) }.memory_reserved;
    let _ = reserved.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
}
