//! The wait-for graph: who waits for which object, and whether that closes a cycle.
//!
//! An owner waits for one object at a time, so the graph's nodes are the waiting owners
//! and its edges are looked up in the lock table when needed. Each wait is checked once, when it
//! starts: who waits gives nothing up, so a cycle can only be closed by the wait
//! that completes it. That one is the victim.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use super::LockOwner;
use super::advisory::AdvisoryKey;
use super::mode::Mode;
use super::table::{LockObject, LockTable};

/// The waits of the moment.
#[derive(Default)]
pub struct WaitGraph {
    waiting: Mutex<HashMap<LockOwner, (Arc<LockObject>, Mode)>>,
}

impl WaitGraph {
    /// Record that `owner`, already in the queue of `object`, waits. When that closes a cycle the
    /// record is withdrawn and the cycle described.
    pub fn enter(
        &self,
        table: &LockTable,
        owner: LockOwner,
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
                let what = match (&object.key, AdvisoryKey::of(object)) {
                    (_, Some(key)) => format!("advisory lock {key}"),
                    (None, None) => format!("table {}", object.collection),
                    (Some(_), None) => format!("a row of table {}", object.collection),
                };
                let who = match txn {
                    LockOwner::Session(number) => format!("Process {number}"),
                    LockOwner::Transaction(id) => format!("Transaction {id}"),
                };
                detail.push(format!(
                    "{who} waits for {} on {what}; blocked by {blocker}.",
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
    pub fn waits_for(&self, owner: LockOwner) -> Option<Arc<LockObject>> {
        self.waiting
            .lock()
            .get(&owner)
            .map(|(object, _)| Arc::clone(object))
    }

    /// The wait is over.
    pub fn leave(&self, owner: LockOwner) {
        self.waiting.lock().remove(&owner);
    }
}

/// Whether `goal` can be reached over one or more edges from `from`; `path` then lists the cycle.
/// Explicit stack: the graph is as deep as there are waiting sessions.
fn reaches(
    waiting: &HashMap<LockOwner, (Arc<LockObject>, Mode)>,
    table: &LockTable,
    from: LockOwner,
    goal: LockOwner,
    path: &mut Vec<LockOwner>,
    done: &mut BTreeSet<LockOwner>,
) -> bool {
    let edges = |txn: LockOwner| -> Vec<LockOwner> {
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
