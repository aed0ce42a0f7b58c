//! Locks on the rows and unique keys of a table, and what becomes of very many of them.
//!
//! A lock takes memory for as long as its transaction runs. One that has locked very many rows and keys
//! of a table asks for the table instead: EXCLUSIVE, which leaves readers alone and keeps out whoever
//! would lock a row or a key. It is asked for without waiting, so it is given only when nobody else is at
//! work in the table, and asked for again every so many locks. From then on nothing of the table is locked one
//! by one, and what is committed of it does not change, so that it is read in one view.
//!
//! For that, everyone who locks a row or a key has the table in ROW SHARE at least.
//!
//! Likewise one that refers to very many keys of a table, each locked FOR KEY SHARE so that its row stays:
//! it asks for the table in SHARE, which keeps out whoever would delete a row, and lets others refer to it.
//! For that, everyone who writes has the table in ROW EXCLUSIVE.

use std::collections::HashSet;

use super::Transaction;
use crate::error::{Error, Result};
use crate::ids::CollectionId;
use crate::lock::{LockWait, RowLockMode, TableLockMode};
use crate::view::ReadView;

/// Between two attempts to get the table.
const LOCKS_BETWEEN: usize = 4096;

/// What a transaction has locked of a table.
#[derive(Default)]
pub(super) struct Guard {
    has_table: bool,
    /// Locks on rows and keys.
    locks: usize,
    pub whole: Option<Whole>,
    /// No rows go: the table is locked in SHARE.
    keeps_rows: bool,
}

/// Nobody else locks anything of the table, or writes to it.
pub(super) struct Whole {
    /// What is committed.
    pub committed: ReadView,
    /// Collections of which nothing is committed.
    pub empty: HashSet<CollectionId>,
}

impl Transaction {
    /// Lock a key of `collection`, which is `table` or one of its unique indexes.
    pub(super) fn lock_in_table(
        &mut self,
        table: CollectionId,
        collection: CollectionId,
        key: &[u8],
        mode: RowLockMode,
        wait: LockWait,
    ) -> Result<()> {
        let guard = self.guards.entry(table).or_default();
        if guard.whole.is_some() {
            return Ok(());
        }
        if !guard.has_table {
            self.lock_table(table, TableLockMode::RowShare, wait)?;
        }
        self.lock_key(collection, key, mode, wait)?;
        let limit = self.engine.options.locks_per_table_max;
        let guard = self.guards.entry(table).or_default();
        guard.has_table = true;
        guard.locks += 1;
        match guard.locks >= limit && (guard.locks - limit).is_multiple_of(LOCKS_BETWEEN) {
            true => self.lock_whole(table),
            false => Ok(()),
        }
    }

    fn lock_whole(&mut self, table: CollectionId) -> Result<()> {
        if !self.try_lock_table(table, TableLockMode::Exclusive)? {
            return Ok(());
        }
        // Whoever wrote to the table before has committed, since it has given back its lock.
        let whole = Whole {
            committed: self.latest_view().committed(),
            empty: HashSet::new(),
        };
        self.guards.entry(table).or_default().whole = Some(whole);
        Ok(())
    }

    /// Lock keys of `index`, a unique one of `table`, so that the rows that have them stay.
    pub(super) fn lock_referenced<'k>(
        &mut self,
        table: CollectionId,
        index: CollectionId,
        keys: impl Iterator<Item = &'k [u8]>,
        wait: LockWait,
    ) -> Result<()> {
        let limit = self.engine.options.locks_per_table_max;
        let guard = self.guards.entry(table).or_default();
        if !guard.has_table {
            self.lock_table(table, TableLockMode::RowShare, wait)?;
        }
        for key in keys {
            let guard = self.guards.entry(table).or_default();
            guard.has_table = true;
            if guard.whole.is_some() || guard.keeps_rows {
                return Ok(());
            }
            guard.locks += 1;
            let locks = guard.locks;
            self.lock_key(index, key, RowLockMode::KeyShare, wait)?;
            if locks >= limit && (locks - limit).is_multiple_of(LOCKS_BETWEEN) {
                let keeps_rows = self.try_lock_table(table, TableLockMode::Share)?;
                self.guards.entry(table).or_default().keeps_rows = keeps_rows;
            }
        }
        Ok(())
    }

    /// Lock a table if nobody is in the way; whether it is locked.
    fn try_lock_table(&mut self, table: CollectionId, mode: TableLockMode) -> Result<bool> {
        match self.lock_table(table, mode, LockWait::NoWait) {
            Ok(()) => Ok(true),
            Err(Error::LockNotAvailable) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What is committed of `collection`, which is `table` or one of its indexes, as nobody changes it
    /// while this transaction has the key locked; `None` when that is nothing.
    pub(super) fn committed_of(
        &mut self,
        table: CollectionId,
        collection: CollectionId,
    ) -> Option<ReadView> {
        let Some(whole) = self.guards.get_mut(&table).and_then(|g| g.whole.as_mut()) else {
            return Some(self.latest_view().committed());
        };
        if whole.empty.contains(&collection) {
            return None;
        }
        let view = whole.committed.clone();
        if view
            .0
            .path
            .levels()
            .any(|level| level.sources.has(collection))
        {
            return Some(view);
        }
        whole.empty.insert(collection);
        None
    }
}
