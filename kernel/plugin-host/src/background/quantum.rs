//! Which share of the CPU budget a thread works for. A thread that is in no quantum works for somebody who
//! waits.

use std::cell::Cell;

use heliosdb_storage::governor::{Governor, QUANTUM_MICROS, Share};

#[derive(Clone, Copy)]
struct Quantum {
    share: Share,
    /// CPU time of the thread.
    began: u64,
}

thread_local! {
    static QUANTUM: Cell<Option<Quantum>> = const { Cell::new(None) };
}

/// The share that the calling thread works for.
pub fn share() -> Option<Share> {
    QUANTUM.get().map(|quantum| quantum.share)
}

/// CPU time that the calling thread has left of its quantum.
pub fn left_micros(governor: &Governor) -> Option<u64> {
    let quantum = QUANTUM.get()?;
    let used = governor.thread_cpu_micros().saturating_sub(quantum.began);
    Some(QUANTUM_MICROS.saturating_sub(used))
}

/// Do `work` as a quantum of the share, and pay for it, also when it unwinds.
pub fn within<T>(governor: &Governor, share: Share, work: impl FnOnce() -> T) -> T {
    struct Paid<'a> {
        governor: &'a Governor,
        quantum: Quantum,
        before: Option<Quantum>,
    }
    impl Drop for Paid<'_> {
        fn drop(&mut self) {
            let used = self.governor.thread_cpu_micros();
            let used = used.saturating_sub(self.quantum.began);
            self.governor.charge(self.quantum.share, used);
            QUANTUM.set(self.before);
        }
    }
    let quantum = Quantum {
        share,
        began: governor.thread_cpu_micros(),
    };
    let _paid = Paid {
        governor,
        quantum,
        before: QUANTUM.replace(Some(quantum)),
    };
    work()
}
