//! `pool/1`: the kernel's threads, since a plugin has none of its own.
//!
//! [`Pool::run`] does many pieces of work at the same time and returns when all are done. In a worker's
//! quantum their CPU time is paid from the worker's share; anywhere else somebody waits for them.

use std::marker::PhantomData;

use abi_stable::std_types::RStr;
use abi_stable::StableAbi;

use crate::abi::value::AbiResult;
use crate::abi::Published;
use crate::error::{Error, Result};
use crate::guard::guarded;

/// Pieces of work.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct AbiJob {
    /// Does one piece. Any thread may call it, and several at the same time, each with a number of its own.
    pub piece: extern "C" fn(data: *const (), number: u32) -> AbiResult<()>,
    /// The plugin's own; it lives until `run` returns.
    pub data: *const (),
}

/// The vtable of `pool/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct PoolV1 {
    /// How many pieces may be worked on at the same time; 1 at least.
    pub threads: extern "C" fn(host: *const ()) -> u32,
    /// Does the pieces 0 to `count` - 1, each once, on the calling thread and others. After an error no
    /// further piece begins; the first error comes back when nobody works on any.
    pub run: extern "C" fn(host: *const (), count: u32, job: AbiJob) -> AbiResult<()>,
    /// Calls a worker of this plugin soon, however long it wanted to sleep. `42704` when it has none of
    /// that name.
    pub wake: extern "C" fn(host: *const (), worker: RStr<'_>) -> AbiResult<()>,
}

unsafe impl Published for PoolV1 {
    const ID: &'static str = "pool/1";
}

/// The kernel's threads.
#[derive(Clone, Copy)]
pub struct Pool<'a> {
    host: *const (),
    vtable: &'static PoolV1,
    lifetime: PhantomData<&'a ()>,
}

impl Pool<'_> {
    pub(crate) fn new(host: *const (), vtable: &'static PoolV1) -> Pool<'static> {
        Pool {
            host,
            vtable,
            lifetime: PhantomData,
        }
    }

    /// How many pieces may be worked on at the same time.
    pub fn threads(&self) -> u32 {
        (self.vtable.threads)(self.host)
    }

    /// Does the pieces 0 to `count` - 1, each once, at the same time as far as there are threads.
    ///
    /// # Errors
    ///
    /// The first of a piece; others may then never have begun. A panic in a piece is one, too.
    pub fn run<F>(&self, count: u32, piece: F) -> Result<()>
    where
        F: Fn(u32) -> Result<()> + Sync,
    {
        extern "C" fn call<F: Fn(u32) -> Result<()> + Sync>(
            data: *const (),
            number: u32,
        ) -> AbiResult<()> {
            guarded("pool/1.piece", || {
                // SAFETY: `run` below made it of an `F`, and waits until nobody calls it any more.
                let piece = unsafe { &*data.cast::<F>() };
                piece(number)
            })
        }
        let job = AbiJob {
            piece: call::<F>,
            data: (&raw const piece).cast(),
        };
        let ran = (self.vtable.run)(self.host, count, job);
        ran.into_result().map_err(Error::from)
    }

    /// Calls a worker of this plugin soon, however long it wanted to sleep.
    ///
    /// # Errors
    ///
    /// `42704` when the plugin has none of that name.
    pub fn wake(&self, worker: &str) -> Result<()> {
        let woken = (self.vtable.wake)(self.host, worker.into());
        woken.into_result().map_err(Error::from)
    }
}
