//! Who committed what: every commit of a session that wrote something, with the role that it was made by.
//!
//! ```text
//! collection 23
//!   key    slot u32 BE
//!   value  role oid u32 BE
//! ```
//!
//! The row is written in the commit itself, so a version of it begins with each commit of whoever has the slot,
//! and the past of the collection is the list of commits. It is kept for as long as the database's history. A branch
//! has the commits of its parent up to the fork.
//!
//! A session takes a slot when it first commits something, and leaves it when it ends, so there are no more rows
//! than there were sessions at a time. No transaction writes a slot that was written after its snapshot: the key
//! would be one that another transaction has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use heliosdb_storage::ids::{CollectionId, TimelineId, Ts};
use heliosdb_storage::{
    Changes, Engine, EntryChange, EntryChanges, Error as StorageError, Transaction,
};
use parking_lot::Mutex;

use crate::catalog::Oid;
use crate::error::{Result, SqlError, state};

/// See the module's header.
pub const AUTHORS: CollectionId = CollectionId(23);

/// The slots of a database.
#[derive(Debug, Default)]
pub(crate) struct Slots(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// All below were given out at some time.
    next: u32,
    /// Those that nobody has, with the last commit that each was written in.
    free: BTreeMap<u32, Ts>,
}

/// A slot that a session has.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    number: u32,
    last: Ts,
}

impl Slots {
    /// One that was not written after `snapshot`.
    fn take(self: &Arc<Slots>, snapshot: Ts) -> Slot {
        let mut state = self.0.lock();
        let free = state.free.iter().find(|(_, last)| **last <= snapshot);
        let number = match free.map(|(number, _)| *number) {
            Some(number) => {
                state.free.remove(&number);
                number
            }
            None => {
                state.next += 1;
                state.next
            }
        };
        Slot {
            slots: Arc::clone(self),
            number,
            last: Ts::ZERO,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.0.lock().free.insert(self.number, self.last);
    }
}

/// What a session writes its commits to.
#[derive(Debug, Default)]
pub(crate) struct Author(Option<Slot>);

impl Author {
    /// Says in a transaction who commits it, if it has written anything.
    pub fn sign(
        &mut self,
        transaction: &mut Transaction,
        slots: &Arc<Slots>,
        role: Oid,
    ) -> Result<()> {
        if transaction.is_read_only() {
            return Ok(());
        }
        let snapshot = transaction.read_view().ts();
        if self.0.as_ref().is_some_and(|slot| slot.last > snapshot) {
            self.0 = None;
        }
        let slot = self.0.get_or_insert_with(|| slots.take(snapshot));
        let key = slot.number.to_be_bytes();
        Ok(transaction.put(AUTHORS, &key, &role.to_be_bytes())?)
    }

    /// The transaction was committed.
    pub fn committed(&mut self, at: Ts) {
        if let Some(slot) = &mut self.0 {
            slot.last = slot.last.max(at);
        }
    }
}

/// The commits of a timeline after `since`, up to `until`, in order, each with the role that made it.
///
/// # Errors
///
/// 22023 for a span that begins before the history that is kept.
pub(crate) fn commits(
    engine: &Engine,
    timeline: TimelineId,
    since: Ts,
    until: Ts,
) -> Result<impl Iterator<Item = Result<(Ts, Oid)>>> {
    let changes = engine.entry_changes_on(timeline, AUTHORS, since, until, Changes::Every)?;
    Ok(authors(changes))
}

/// The same of the part of the span that the history has.
pub(crate) fn known_commits(
    engine: &Engine,
    timeline: TimelineId,
    since: Ts,
    until: Ts,
) -> Result<impl Iterator<Item = Result<(Ts, Oid)>>> {
    let read = |since| engine.entry_changes_on(timeline, AUTHORS, since, until, Changes::Every);
    let changes = match read(since) {
        Err(StorageError::SnapshotTooOld { oldest, .. }) => read(oldest.min(until)),
        changes => changes,
    };
    Ok(authors(changes?))
}

fn authors(changes: EntryChanges) -> impl Iterator<Item = Result<(Ts, Oid)>> {
    changes.filter_map(|change| {
        let read = |change: heliosdb_storage::Result<EntryChange>| -> Result<Option<(Ts, Oid)>> {
            let change = change?;
            let role = change.new.map(|value| decode(&change.key, &value));
            Ok(role.transpose()?.map(|role| (change.ts, role)))
        };
        read(change).transpose()
    })
}

/// Who made those of `wanted` that are known.
pub(crate) fn of_commits(
    engine: &Engine,
    timeline: TimelineId,
    wanted: &BTreeSet<Ts>,
) -> Result<BTreeMap<Ts, Oid>> {
    let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else {
        return Ok(BTreeMap::new());
    };
    let since = Ts(first.0.saturating_sub(1));
    let mut found = BTreeMap::new();
    for commit in known_commits(engine, timeline, since, *last)? {
        let (ts, role) = commit?;
        if wanted.contains(&ts) {
            found.insert(ts, role);
        }
    }
    Ok(found)
}

fn decode(key: &[u8], value: &[u8]) -> Result<Oid> {
    let role = value.try_into().map(u32::from_be_bytes);
    role.map_err(|_| {
        SqlError::new(
            state::DATA_CORRUPTED,
            format!("the author of a commit is damaged (key {key:02x?})"),
        )
    })
}

/// Whether this build understands a row of authors.
pub(crate) fn check_entry(key: &[u8], value: &[u8]) -> Result<()> {
    decode(key, value).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_given_again_to_who_sees_its_last_commit() {
        let slots = Arc::new(Slots::default());
        let mut author = Author(Some(slots.take(Ts(5))));
        let first = author.0.as_ref().map(|slot| slot.number);
        author.committed(Ts(10));
        drop(author);
        let early = slots.take(Ts(9));
        assert_ne!(Some(early.number), first, "written after the snapshot");
        let late = slots.take(Ts(10));
        assert_eq!(Some(late.number), first);
        assert_ne!(slots.take(Ts(10)).number, early.number);
    }
}
