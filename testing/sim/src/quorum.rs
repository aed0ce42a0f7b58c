//! A replicated log's double: it commits what a majority has taken, until leadership goes, and then loses
//! what it had not acknowledged.

use std::sync::Arc;

use heliosdb_storage::{Batch, Error, LocalLog, LogSink, Result};
use parking_lot::Mutex;

/// What the other machines know. Clones share it.
#[derive(Clone, Default)]
pub struct Quorum(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Batches that may still be committed; `None` for all.
    left: Option<u64>,
    records: Vec<Vec<u8>>,
    batches: u64,
}

impl Quorum {
    /// Lose leadership after so many batches more.
    pub fn lose_after(&self, batches: u64) {
        self.0.lock().left = Some(batches);
    }

    /// Batches that were committed.
    pub fn batches(&self) -> u64 {
        self.0.lock().batches
    }

    /// The records that were committed, in order.
    pub fn records(&self) -> Vec<Vec<u8>> {
        self.0.lock().records.clone()
    }

    /// The leader's end of it.
    pub fn sink(&self) -> Box<dyn LogSink> {
        Box::new(self.clone())
    }
}

impl LogSink for Quorum {
    /// The majority first, then the copy here: so a tail that is lost was never written.
    fn commit(&mut self, batch: &Batch<'_>, local: &mut LocalLog<'_>) -> Result<()> {
        let mut state = self.0.lock();
        match &mut state.left {
            Some(0) => {
                return Err(Error::LeadershipLost {
                    reason: "the simulated majority follows somebody else".to_owned(),
                });
            }
            Some(left) => *left -= 1,
            None => {}
        }
        state.records.extend(batch.records().map(<[u8]>::to_vec));
        state.batches += 1;
        drop(state);
        local.write(batch)?;
        local.sync()
    }
}
