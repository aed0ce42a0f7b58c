//! The branch that a session is on: chosen with the connection (`database/branch`) or by `SET branch`.
//!
//! A session changes its branch between transactions, and holds nothing then that is of one branch alone:
//! temporary tables are, since their definitions are rows of its catalog.

use heliosdb_storage::ids::TimelineId;

use super::Session;
use super::info::SessionInfo;
use super::outcome::{CommandTag, Outcome};
use crate::branch::{MAIN, check_may_be_on};
use crate::catalog::CatalogSnapshot;
use crate::catalog::model::{Object, oid};
use crate::catalog::store::Change;
use crate::error::{Result, SqlError, state};
use crate::instance::Instance;
use crate::place::{self, Place};

/// The parameter that shows it.
pub(super) const PARAMETER: &str = "branch";

/// The database and the branch that a connection asks for: `shop/dev` is the branch `dev` of `shop`.
pub fn split_database(database: &str) -> (&str, Option<&str>) {
    match database.split_once('/') {
        Some((database, branch)) => (database, Some(branch)),
        None => (database, None),
    }
}

/// The branch of a name; `None` for the main timeline.
///
/// # Errors
///
/// 42704 when there is none.
pub(super) fn find(instance: &Instance, name: &str) -> Result<Option<TimelineId>> {
    if name == MAIN {
        return Ok(None);
    }
    place::named(instance.engine(), name).map(Some)
}

/// 0A000 on a branch for what is not of one timeline: roles, and what they may do with the database.
pub(super) fn check_changes(
    info: &SessionInfo,
    catalog: &CatalogSnapshot,
    changes: &[Change],
) -> Result<()> {
    if info.branch().is_none() {
        return Ok(());
    }
    let is_shared = |change: &Change| match change {
        Change::Put(object) => matches!(object, Object::Role(_)),
        Change::Remove(oid) => catalog.role(*oid).is_some(),
        Change::PutAccess(list) => list.class == oid::PG_DATABASE,
        Change::RemoveAccess { class, .. } => *class == oid::PG_DATABASE,
        Change::PutComment(_) | Change::RemoveComment { .. } => false,
    };
    match changes.iter().any(is_shared) {
        false => Ok(()),
        true => Err(
            SqlError::unsupported("changing roles and rights on the database on a branch")
                .with_hint("They are the same on all branches; change them on main."),
        ),
    }
}

impl Session {
    /// SET branch, and RESET without a name: back to the one that the session began on.
    pub(super) fn set_branch(&mut self, name: Option<&str>, local: bool) -> Result<Outcome> {
        if local {
            return Err(SqlError::unsupported("SET LOCAL branch")
                .with_hint("A transaction is of one branch; use SET branch before it."));
        }
        let branch = match name {
            Some(name) => find(&self.instance, name)?,
            None => self.home_branch(),
        };
        self.use_branch(branch)?;
        Ok(Outcome::Command(CommandTag::new("SET")))
    }

    /// The branch that the session began on, until that is the main one.
    pub(super) fn home_branch(&mut self) -> Option<TimelineId> {
        let home = self.home_branch?;
        if home == self.instance.engine().main_timeline() {
            self.home_branch = None;
        }
        self.home_branch
    }

    /// Puts the session on a branch.
    ///
    /// # Errors
    ///
    /// 42704 when the branch is gone, 25001 in a transaction, 55006 when the session has temporary tables.
    fn use_branch(&mut self, branch: Option<TimelineId>) -> Result<()> {
        if branch == self.info.branch() {
            return Ok(());
        }
        if self.nesting > 0 || self.txn.in_block() || self.txn.has_storage() {
            return Err(SqlError::new(
                state::ACTIVE_SQL_TRANSACTION,
                "a session cannot change its branch inside a transaction block",
            ));
        }
        Place::new(self.instance.engine(), branch).visible_view()?;
        check_may_be_on(&self.instance, branch, &self.info.role())?;
        self.check_no_temporary()?;
        self.put_on(branch);
        Ok(())
    }

    /// What follows is on a branch. There is no storage transaction.
    pub(crate) fn put_on(&mut self, branch: Option<TimelineId>) {
        self.info.set_branch(branch);
        self.forget_reader();
        self.catalog_since = None;
    }

    /// 0A000 on a branch for what is one for all branches.
    pub(crate) fn check_shared(&self, what: &str) -> Result<()> {
        match self.info.branch() {
            None => Ok(()),
            Some(_) => Err(
                SqlError::unsupported(format!("changing {what} on a branch"))
                    .with_hint("They are the same on all branches; change them on main."),
            ),
        }
    }

    /// 25001 for what cannot be part of a transaction, with other statements or without.
    pub(crate) fn check_no_block(&self, what: &str) -> Result<()> {
        match self.info.is_in_block() {
            false => Ok(()),
            true => Err(SqlError::new(
                state::ACTIVE_SQL_TRANSACTION,
                format!("{what} cannot run inside a transaction block"),
            )),
        }
    }

    /// Goes to the branch that a command asked for. The transaction began with the command, which wrote nothing.
    pub(crate) fn go_to_asked_branch(&mut self) -> Result<()> {
        let Some(asked) = self.info.take_asked_branch() else {
            return Ok(());
        };
        self.txn.end_unused();
        let is_main = asked == self.instance.engine().main_timeline();
        self.use_branch((!is_main).then_some(asked))
    }

    fn check_no_temporary(&self) -> Result<()> {
        // They are gone with their branch.
        if self.info.place().visible_view().is_err() {
            return Ok(());
        }
        let catalog = self.info.catalog();
        let schema = self.info.temporary_schema();
        let own = catalog.schema_by_name(&schema);
        let has_some = own.is_some_and(|own| catalog.relations_in(own.oid).next().is_some());
        match has_some {
            false => Ok(()),
            true => Err(SqlError::new(
                state::OBJECT_IN_USE,
                "a session with temporary tables cannot change its branch",
            )
            .with_hint("Drop them, or use another connection.")),
        }
    }
}
