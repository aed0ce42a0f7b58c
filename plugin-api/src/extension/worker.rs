//! `worker/1`: work that nobody waits for, in small pieces, paid from the CPU budget of background work.
//!
//! The host calls a worker on a thread of its own when the worker's share of the budget has something left
//! and when the worker is due; each call is a quantum, of at most 5 ms of CPU time. How much of it is left
//! says `budget/1`; a call that takes longer is paid in full, and the worker waits for as long as that takes.
//!
//! A quantum is a transaction: what it does with its [`Context`] is there, all of it, when the call has
//! returned, and nothing of it when it failed. So a worker that keeps its place in a store goes on after a
//! crash where it was. An extension that is not installed in the database has no quanta.

use abi_stable::StableAbi;

use super::{instance, registered};
use crate::abi::value::AbiResult;
use crate::abi::{CallContext, Published};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::guard::guarded;

/// When a worker wants to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There is more to do.
    More,
    /// In so many microseconds, or when it is woken (`pool/1`).
    Sleep(u64),
    /// When it is woken.
    Done,
}

/// Works in the background.
pub trait Worker: Send + Sync {
    /// One quantum. After an error the host waits a while, longer each time, and calls again; `cx` says
    /// that it is cancelled when the server stops.
    fn run(&self, cx: &Context<'_>) -> Result<Turn>;
}

impl<F> Worker for F
where
    F: Fn(&Context<'_>) -> Result<Turn> + Send + Sync,
{
    fn run(&self, cx: &Context<'_>) -> Result<Turn> {
        self(cx)
    }
}

/// [`Turn`] as it crosses.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct AbiTurn {
    /// 0 more, 1 sleep, 2 done.
    pub kind: u8,
    /// Of a sleep; 0 otherwise.
    pub micros: u64,
}

impl From<Turn> for AbiTurn {
    fn from(turn: Turn) -> AbiTurn {
        let (kind, micros) = match turn {
            Turn::More => (0, 0),
            Turn::Sleep(micros) => (1, micros),
            Turn::Done => (2, 0),
        };
        AbiTurn { kind, micros }
    }
}

impl TryFrom<AbiTurn> for Turn {
    type Error = Error;

    fn try_from(turn: AbiTurn) -> Result<Turn> {
        match (turn.kind, turn.micros) {
            (0, 0) => Ok(Turn::More),
            (1, micros) => Ok(Turn::Sleep(micros)),
            (2, 0) => Ok(Turn::Done),
            (kind, micros) => Err(Error::contract(format!(
                "the plugin's worker gave turn {kind} with {micros} microseconds"
            ))),
        }
    }
}

/// The vtable of `worker/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct WorkerV1 {
    pub run: extern "C" fn(instance: *const (), index: u32, cx: CallContext) -> AbiResult<AbiTurn>,
}

unsafe impl Published for WorkerV1 {
    const ID: &'static str = "worker/1";
}

pub(crate) static WORKER: WorkerV1 = WorkerV1 { run };

extern "C" fn run(this: *const (), index: u32, cx: CallContext) -> AbiResult<AbiTurn> {
    guarded("worker/1.run", || {
        let instance = unsafe { instance(this) }?;
        let (_, body) = registered(&instance.registered.workers, index, "worker")?;
        let turn = body.run(&Context::new(cx, &instance.host))?;
        Ok(turn.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_crosses_as_it_is_and_no_other_does() {
        for turn in [
            Turn::More,
            Turn::Sleep(0),
            Turn::Sleep(u64::MAX),
            Turn::Done,
        ] {
            assert_eq!(Turn::try_from(AbiTurn::from(turn)), Ok(turn));
        }
        for (kind, micros) in [(0, 1), (2, 1), (3, 0), (255, 7)] {
            assert!(Turn::try_from(AbiTurn { kind, micros }).is_err());
        }
    }
}
