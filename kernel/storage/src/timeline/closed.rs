//! Timelines on which nobody commits but who closed them.
//!
//! Transactions of others fail with `TimelineMoved`: those that wait for a lock at once, the others when they next
//! ask for one, or commit; those that begin meanwhile as well. So who closed a timeline needs no locks there, and
//! waits for nobody.

use std::sync::Arc;

use super::{Epoch, Timeline};
use crate::engine::EngineInner;
use crate::error::{Error, Result};
use crate::ids::TimelineId;
use crate::interrupt::Interrupt;
use crate::transaction::{Isolation, Transaction};

/// See the module's header. Others may commit again when it is dropped.
pub struct Closed {
    engine: Arc<EngineInner>,
    timelines: Vec<(Arc<Timeline>, Epoch)>,
}

impl std::fmt::Debug for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids = self.timelines.iter().map(|(timeline, _)| timeline.id());
        f.debug_list().entries(ids).finish()
    }
}

impl Closed {
    /// Close timelines, all or none.
    pub(crate) fn new(engine: &Arc<EngineInner>, ids: &[TimelineId]) -> Result<Closed> {
        let mut found = Vec::new();
        for id in ids {
            found.push(engine.timelines.get(*id)?);
        }
        let mut closed = Closed {
            engine: Arc::clone(engine),
            timelines: Vec::new(),
        };
        let refused = {
            let _window = engine.freeze.write();
            let mut refused = false;
            for timeline in found {
                match timeline.close() {
                    Some(epoch) => closed.timelines.push((timeline, epoch)),
                    None => refused = true,
                }
            }
            refused
        };
        if refused {
            return Err(Error::TimelineMoved);
        }
        engine.locks.wake(ids);
        Ok(closed)
    }

    /// A transaction that takes no locks, since nobody is beside it.
    ///
    /// # Errors
    ///
    /// `UnknownTimeline` for one that was not closed here.
    pub fn begin_on(
        &self,
        id: TimelineId,
        isolation: Isolation,
        interrupt: Arc<Interrupt>,
    ) -> Result<Transaction> {
        let mut timelines = self.timelines.iter();
        let found = timelines.find(|(timeline, _)| timeline.id() == id);
        let (timeline, epoch) = found.ok_or(Error::UnknownTimeline { id })?;
        let engine = Arc::clone(&self.engine);
        let transaction = engine.next_txn_id();
        Ok(Transaction::new(
            engine,
            (Arc::clone(timeline), *epoch),
            transaction,
            isolation,
            false,
            interrupt,
        ))
    }

    /// Let a closed timeline be the main one, and what was the main one, closed as well, have another name; each
    /// with a note, all in one record of the log.
    ///
    /// # Errors
    ///
    /// `TimelineMoved` when the main one is not closed here, `TimelineExists` for a name that is taken.
    pub fn make_main(
        &self,
        id: TimelineId,
        note: &[u8],
        others_name: &str,
        others_note: &[u8],
    ) -> Result<()> {
        let engine = &self.engine;
        engine.replace_main(&self.timelines, id, note, (others_name, others_note))
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        let _window = self.engine.freeze.write();
        for (timeline, _) in &self.timelines {
            timeline.reopen();
        }
    }
}
