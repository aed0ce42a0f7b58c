//! Who holds and who waits for what at the moment, for those who look from outside.

use super::advisory::AdvisoryKey;
use super::mode::{ROW_MODES, TABLE_MODES};
use super::{LockManager, LockOwner, RowLockMode, TableLockMode};
use crate::ids::CollectionId;

/// What a lock is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockedObject {
    Table(CollectionId, TableLockMode),
    /// A row of a table, or a key of an index.
    Row(CollectionId, RowLockMode),
    Advisory(AdvisoryKey, TableLockMode),
}

/// A lock that is held or waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locked {
    pub owner: LockOwner,
    pub object: LockedObject,
    pub granted: bool,
}

impl LockManager {
    /// All locks, an entry for each mode. Not one moment's: each part of the table is looked at for itself.
    pub fn report(&self) -> Vec<Locked> {
        let mut all = Vec::new();
        self.table.visit(|object, owner, modes, granted| {
            let mut add = |object| {
                all.push(Locked {
                    owner,
                    object,
                    granted,
                });
            };
            let has = |bit: u8| modes & (1 << bit) != 0;
            let tables = TABLE_MODES.into_iter().filter(|mode| has(*mode as u8));
            let rows = ROW_MODES.into_iter().filter(|mode| has(*mode as u8));
            match (AdvisoryKey::of(object), &object.key) {
                (Some(key), _) => {
                    tables.for_each(|mode| add(LockedObject::Advisory(key, mode)));
                }
                (None, None) => {
                    tables.for_each(|mode| add(LockedObject::Table(object.collection, mode)));
                }
                (None, Some(_)) => {
                    rows.for_each(|mode| add(LockedObject::Row(object.collection, mode)));
                }
            }
        });
        all
    }

    /// Whom an owner waits for: who holds what it asks for, and who asked before it.
    pub fn blockers(&self, owner: LockOwner) -> Vec<LockOwner> {
        let object = self.graph.waits_for(owner);
        let blockers = object.map(|object| self.table.blockers(&object, owner));
        blockers.into_iter().flatten().collect()
    }
}
