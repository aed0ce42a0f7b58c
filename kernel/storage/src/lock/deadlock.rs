//! The wait-for graph: who waits for which object, and whether that closes a cycle.
//!
//! A transaction waits for one object at a time, so the graph's nodes are the waiting transactions
//! and its edges are looked up in the lock table when needed. Each wait is checked once, when it
//! starts: locks are held to the end of their transaction, so a cycle can only be closed by the wait
//! that completes it. That one is the victim.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use super::mode::Mode;
use super::table::{LockObject, LockTable};
use crate::ids::TxnId;

/// The waits of the moment.
#[derive(Default)]
pub struct WaitGraph {
    waiting: Mutex<HashMap<TxnId, (Arc<LockObject>, Mode)>>,
}

impl WaitGraph {
    /// Record that `owner`, already in the queue of `object`, waits. When that closes a cycle the
    /// record is withdrawn and the cycle described.
    pub fn enter(
        &self,
        table: &LockTable,
        owner: TxnId,
        object: &Arc<LockObject>,
        mode: Mode,
    ) -> Result<(), String> {
        // One detector at a time: of two waits that close a cycle together, the second sees it.
        let mut waiting = self.waiting.lock();
        waiting.insert(owner, (Arc::clone(object), mode));
        let mut path = Vec::new();
        let mut done = BTreeSet::new();
        if !reaches(&waiting, table, owner, owner, &mut path, &mut done) {
            return Ok(());
        }
        let mut detail = Vec::new();
        for (i, txn) in path.iter().enumerate() {
            if let Some((object, mode)) = waiting.get(txn) {
                let blocker = path[(i + 1) % path.len()];
                let what = match &object.key {
                    None => format!("table {}", object.collection),
                    Some(_) => format!("a row of table {}", object.collection),
                };
                detail.push(format!(
                    "Transaction {txn} waits for {} on {what}; blocked by transaction {blocker}.",
                    mode.name
                ));
            }
        }
        waiting.remove(&owner);
        Err(detail.join("\n"))
    }

    /// How many wait.
    pub fn waiting_count(&self) -> usize {
        self.waiting.lock().len()
    }

    /// What `owner` waits for.
    #[cfg(test)]
    pub fn waiting_object(&self, owner: TxnId) -> Option<Arc<LockObject>> {
        self.waiting
            .lock()
            .get(&owner)
            .map(|(object, _)| Arc::clone(object))
    }

    /// The wait is over.
    pub fn leave(&self, owner: TxnId) {
        self.waiting.lock().remove(&owner);
    }
}

/// Whether `goal` can be reached over one or more edges from `from`; `path` then lists the cycle.
/// Explicit stack: the graph is as deep as there are waiting sessions.
fn reaches(
    waiting: &HashMap<TxnId, (Arc<LockObject>, Mode)>,
    table: &LockTable,
    from: TxnId,
    goal: TxnId,
    path: &mut Vec<TxnId>,
    done: &mut BTreeSet<TxnId>,
) -> bool {
    let edges = |txn: TxnId| -> Vec<TxnId> {
        waiting.get(&txn).map_or_else(Vec::new, |(object, _)| {
            table.blockers(object, txn).into_iter().collect()
        })
    };
    path.push(from);
    let mut stack = vec![edges(from)];
    while let Some(top) = stack.last_mut() {
        match top.pop() {
            Some(next) if next == goal => return true,
            Some(next) if done.insert(next) => {
                path.push(next);
                stack.push(edges(next));
            }
            Some(_) => {}
            None => {
                stack.pop();
                path.pop();
            }
        }
    }
    false
}
