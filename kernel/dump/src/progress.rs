//! How long work tells how far it is.

/// Somebody who shows progress. Called from the thread that began the work, or from its workers.
pub trait Progress: Send + Sync {
    /// A phase begins. It ends before the next one begins. `total` is in what
    /// [`advance`](Progress::advance) counts, and an estimate; `None` when nobody knows.
    fn begin(&self, phase: &str, total: Option<u64>);
    /// So many more bytes or rows are done, as the phase's name says.
    fn advance(&self, amount: u64);
    /// The phase is over.
    fn end(&self);
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _phase: &str, _total: Option<u64>) {}
    fn advance(&self, _amount: u64) {}
    fn end(&self) {}
}
