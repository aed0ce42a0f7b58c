//! RESTORE DATABASE: the main branch becomes what it was, in place.
//!
//! What it was is a branch AS OF that time, which takes the name `main` in one record of the log; what it had
//! become stays, as a branch named after the moment, so a restore is undone by the same means. Nothing is
//! copied. Transactions that are open on either cannot commit (40001), and sessions follow the name.
//!
//! Roles, and rights on the database, stay as they are now: who was locked out since is not let in. Plugins' stores
//! and cursors are rows, and are what they were.

use std::sync::Arc;

use heliosdb_storage::ids::{TimelineId, Ts};
use heliosdb_storage::{Durability, Error as StorageError, Interrupt, Isolation};

use super::{Note, check_not_frozen, undefined};
use crate::catalog::store;
use crate::edition;
use crate::error::{Result, SqlError, state};
use crate::instance::Instance;
use crate::session::Session;

impl Session {
    /// Takes the main branch back to a time; the name of the branch that has what was there.
    ///
    /// # Errors
    ///
    /// 42501 for who is no superuser, 25001 in a transaction block, 22023 for a time to come, 72000 for one before
    /// the history.
    pub(crate) fn restore_database(&mut self, at: u64) -> Result<String> {
        let (instance, note) = self.begin_restore()?;
        let engine = instance.engine();
        let main = engine.main_timeline();
        let now = engine.latest_view_on(main)?.ts();
        let name = format!("before_{now}");
        let made = engine.create_timeline_with_note(&name, main, Ts(at), &note.to_bytes());
        let restored = made.map_err(|error| match error {
            StorageError::SnapshotTooNew { .. } => SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                "cannot restore the database AS OF a time in the future",
            ),
            error => error.into(),
        })?;
        if let Err(error) = swap(&instance, restored) {
            // It is nobody's yet.
            let _ = engine.drop_timeline(restored);
            return Err(error);
        }
        self.txn.end_unused();
        engine.note_timeline(main, &note.to_bytes())?;
        Ok(name)
    }

    /// Lets a branch be the main one, and the main one have its name.
    pub(crate) fn restore_branch(&mut self, id: u32) -> Result<String> {
        let (instance, note) = self.begin_restore()?;
        let engine = instance.engine();
        let (main, id) = (engine.main_timeline(), TimelineId(id));
        let name = engine.timeline_name(id).ok_or_else(|| undefined(id))?;
        if id == main {
            return Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                "the main branch is the database's already",
            ));
        }
        check_not_frozen(&instance, id, "RESTORE DATABASE")?;
        swap(&instance, id)?;
        self.txn.end_unused();
        engine.note_timeline(main, &note.to_bytes())?;
        Ok(name)
    }

    /// Keeps others from changing roles meanwhile.
    fn begin_restore(&mut self) -> Result<(Arc<Instance>, Note)> {
        self.check_no_block("RESTORE DATABASE")?;
        self.check_writable("RESTORE DATABASE")?;
        let role = self.info.role();
        if !role.superuser {
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                "must be superuser to restore the database",
            ));
        }
        let home = self.info.branch();
        self.txn.end_unused();
        self.put_on(None);
        let locked = self.begin_ddl();
        self.put_on(home);
        locked?;
        let note = Note {
            owner: role.oid,
            created: self.instance.engine().now_micros(),
            frozen: false,
            plugin: String::new(),
        };
        Ok((self.instance.clone(), note))
    }
}

/// Gives a timeline the name of the main one, with the roles of now, and the edition.
fn swap(instance: &Instance, other: TimelineId) -> Result<()> {
    let engine = instance.engine();
    let main = engine.main_timeline();
    let mut transaction = engine.begin_on(other, Isolation::ReadCommitted, Interrupt::new())?;
    transaction.begin_statement();
    let now = engine.latest_view_on(main)?;
    store::carry_roles(&mut transaction, &now)?;
    edition::carry(&mut transaction, &now)?;
    transaction.commit(Durability::Synchronous)?;
    Ok(engine.swap_timelines(main, other)?)
}
