//! `log/1`, `clock/1` and `memory/1`: what belongs to the process rather than to a statement.

use std::marker::PhantomData;

use abi_stable::std_types::RStr;
use abi_stable::StableAbi;

use crate::abi::Published;
use crate::error::{state, Error, Result};

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Level {
    Error = 1,
    Warn = 2,
    Info = 3,
    Debug = 4,
}

/// The vtable of `log/1`: the host's log; the line says which plugin wrote it.
#[repr(C)]
#[derive(StableAbi)]
pub struct LogV1 {
    /// `level` as in [`Level`]; others are debug.
    pub log: extern "C" fn(host: *const (), level: u8, message: RStr<'_>),
}

/// The vtable of `clock/1`: the only clock a plugin may read, so that a simulation can set it.
#[repr(C)]
#[derive(StableAbi)]
pub struct ClockV1 {
    /// Microseconds since 1970-01-01 UTC.
    pub now_us: extern "C" fn(host: *const ()) -> i64,
    /// Nanoseconds that only grow, from an unspecified start.
    pub monotonic_ns: extern "C" fn(host: *const ()) -> u64,
}

/// The vtable of `memory/1`: reservations under the server's limit for queries and plugins.
#[repr(C)]
#[derive(StableAbi)]
pub struct MemoryV1 {
    /// Whether the bytes were granted.
    pub reserve: extern "C" fn(host: *const (), bytes: u64) -> bool,
    pub release: extern "C" fn(host: *const (), bytes: u64),
}

unsafe impl Published for LogV1 {
    const ID: &'static str = "log/1";
}
unsafe impl Published for ClockV1 {
    const ID: &'static str = "clock/1";
}
unsafe impl Published for MemoryV1 {
    const ID: &'static str = "memory/1";
}

macro_rules! service {
    ($(#[$doc:meta])* $name:ident, $vtable:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name<'a> {
            host: *const (),
            vtable: &'static $vtable,
            lifetime: PhantomData<&'a ()>,
        }

        impl $name<'_> {
            pub(crate) fn new(host: *const (), vtable: &'static $vtable) -> $name<'static> {
                $name {
                    host,
                    vtable,
                    lifetime: PhantomData,
                }
            }
        }
    };
}

service!(
    /// Writes to the host's log.
    Log,
    LogV1
);
service!(
    /// Reads the host's clock.
    Clock,
    ClockV1
);
service!(
    /// Asks for memory before taking it.
    Memory,
    MemoryV1
);

impl Log<'_> {
    pub fn log(&self, level: Level, message: &str) {
        (self.vtable.log)(self.host, level as u8, message.into());
    }
}

impl Clock<'_> {
    /// Microseconds since 1970-01-01 UTC.
    pub fn now_us(&self) -> i64 {
        (self.vtable.now_us)(self.host)
    }

    pub fn monotonic_ns(&self) -> u64 {
        (self.vtable.monotonic_ns)(self.host)
    }
}

impl Memory<'_> {
    /// Bytes that count against the server's limit until the reservation is dropped.
    ///
    /// # Errors
    ///
    /// `53200` when they are not to be had.
    pub fn reserve(&self, bytes: u64) -> Result<Reservation> {
        if !(self.vtable.reserve)(self.host, bytes) {
            return Err(Error::new(state::OUT_OF_MEMORY, "out of memory")
                .with_detail(format!("A plugin asked for {bytes} bytes.")));
        }
        Ok(Reservation {
            host: self.host,
            vtable: self.vtable,
            bytes,
        })
    }
}

/// Memory that was granted.
pub struct Reservation {
    host: *const (),
    vtable: &'static MemoryV1,
    bytes: u64,
}

// The handle is only ever given back to the host, whose services any thread may call.
unsafe impl Send for Reservation {}
unsafe impl Sync for Reservation {}

impl Reservation {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        (self.vtable.release)(self.host, self.bytes);
    }
}
