//! For whom a merge runs, and how fast: as fast as can be while somebody waits for it, and in the background
//! at the pace of the CPU governor ([`crate::governor`]).
//!
//! The debt past which the background goes over its budget is files: merges that are due would take away
//! more than `compaction_debt_files_max` of them, so that readers have that many more to look into.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use crate::engine::EngineInner;
use crate::error::{Error, Result};
use crate::governor::{Governor, Pace, Pressure, Share};
use crate::interrupt::Interrupt;

/// Who wants a merge.
#[derive(Clone, Copy)]
pub enum Caller<'a> {
    /// Somebody who waits until it is done.
    Waiting(&'a Interrupt),
    Background(&'a Background<'a>),
}

impl Caller<'_> {
    /// Between two pages: whether to go on, now that it may.
    pub fn check(&self, engine: &EngineInner) -> Result<()> {
        let interrupt = match self {
            Caller::Waiting(interrupt) => interrupt,
            Caller::Background(background) => {
                background.step(engine);
                &*engine.compactor.interrupt
            }
        };
        match engine.is_stopping() {
            true => Err(Error::Canceled),
            false => interrupt.check(),
        }
    }
}

/// The pace of the background's thread.
pub struct Background<'a> {
    pace: Pace<'a>,
    /// The debt when the merge began, and the segments there were.
    debt_files: Cell<usize>,
    segments: Cell<usize>,
}

impl<'a> Background<'a> {
    pub fn new(governor: &'a Governor) -> Background<'a> {
        Background {
            pace: governor.pace(Share::Storage, "compaction"),
            debt_files: Cell::new(0),
            segments: Cell::new(usize::MAX),
        }
    }

    /// A merge begins.
    pub fn begin(&self, debt_files: usize, segments: usize) {
        self.debt_files.set(debt_files);
        self.segments.set(segments);
    }

    /// Nothing is due.
    pub fn rest(&self) {
        self.pace.rest();
        self.begin(0, usize::MAX);
    }

    fn step(&self, engine: &EngineInner) {
        self.pace.step(&|| {
            if engine.is_stopping() || engine.compactor.waited.load(Ordering::SeqCst) > 0 {
                return Pressure::Waited;
            }
            // Flushes add to it while a merge is under way.
            let segments = engine.segment_count();
            let more = segments.saturating_sub(self.segments.get());
            match self.debt_files.get() + more > engine.options.compaction_debt_files_max {
                true => Pressure::Debt,
                false => Pressure::None,
            }
        });
    }
}
