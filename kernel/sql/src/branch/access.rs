//! Who may be on a branch and read it from others: an access list like a database's, with CONNECT in it, which is in
//! the branch's note. It goes where the branch goes, and no transaction takes it back.
//!
//! The main branch has none of its own: whoever may connect to the database may be on it. Where a branch has no list
//! yet, all roles may.

use heliosdb_storage::Engine;
use heliosdb_storage::ids::TimelineId;

use super::{MAIN, Note, altered_meanwhile, undefined};
use crate::catalog::CatalogSnapshot;
use crate::catalog::access::{AclItem, Privileges};
use crate::catalog::model::oid;
use crate::error::{Result, SqlError, state};
use crate::place;
use crate::privilege::Authority;
use crate::privilege::acl::{Acl, ObjectClass, item_text};
use crate::privilege::check::denied;
use crate::session::Session;

impl Note {
    fn acl(&self, id: TimelineId) -> Acl {
        // A branch that was made without SQL is the database's.
        let owner = match self.owner {
            0 => oid::BOOTSTRAP_ROLE,
            owner => owner,
        };
        match &self.access {
            Some(items) => Acl {
                owner,
                items: items.clone(),
            },
            None => Acl::default_of(ObjectClass::Branch, id.0, owner),
        }
    }

    /// The list as `aclitem`s print it; `None` where nothing was granted or revoked.
    pub(super) fn access_text(&self, catalog: &CatalogSnapshot) -> Option<String> {
        let items = self.access.as_ref()?.iter();
        let items: Vec<String> = items.map(|item| item_text(catalog, item)).collect();
        Some(format!("{{{}}}", items.join(",")))
    }
}

/// The list of a branch, if it has one.
///
/// # Errors
///
/// 42704 for a branch that is gone.
pub(crate) fn list(engine: &Engine, branch: TimelineId) -> Result<Option<Vec<AclItem>>> {
    if branch == engine.main_timeline() {
        return Ok(None);
    }
    Ok(place::note(engine, branch)?.access)
}

/// # Errors
///
/// 42501 for a role that may not be on a branch, 42704 for one that is gone.
pub(crate) fn check_connect(engine: &Engine, branch: TimelineId, role: &Authority) -> Result<()> {
    if role.superuser || branch == engine.main_timeline() {
        return Ok(());
    }
    let has = place::note(engine, branch)?.acl(branch);
    match has.privileges(|held| role.holds(held)) {
        has if has.contains(Privileges::CONNECT) => Ok(()),
        _ => {
            let name = engine.timeline_name(branch);
            Err(denied("branch", name.as_deref().unwrap_or_default()))
        }
    }
}

impl Session {
    /// The branch of a name, and whose it is, for GRANT.
    pub(crate) fn branch_to_grant_on(&self, name: &str) -> Result<(TimelineId, u32)> {
        self.check_no_block("GRANT ON BRANCH")?;
        let engine = self.instance.engine();
        let id = place::named(engine, name)?;
        if id == engine.main_timeline() {
            return Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!("branch \"{MAIN}\" has no privileges of its own"),
            )
            .with_hint("GRANT CONNECT ON DATABASE says who may be on it."));
        }
        Ok((id, place::note(engine, id)?.acl(id).owner))
    }

    pub(crate) fn branch_acl(&self, id: TimelineId) -> Result<Acl> {
        Ok(place::note(self.instance.engine(), id)?.acl(id))
    }

    /// Makes `acl` the list of a branch that had `before`.
    ///
    /// # Errors
    ///
    /// 40001 when it was changed meanwhile.
    pub(crate) fn put_branch_access(&self, id: TimelineId, before: &Acl, acl: Acl) -> Result<()> {
        self.check_writable("GRANT ON BRANCH")?;
        let _turn = self.instance.branches_turn();
        let engine = self.instance.engine();
        let info = engine.timelines().into_iter().find(|info| info.id == id);
        let info = info.ok_or_else(|| undefined(id))?;
        let note = Note::of(&info).unwrap_or_default();
        if note.acl(id) != *before {
            return Err(altered_meanwhile(&info.name));
        }
        let note = Note {
            access: Some(acl.items),
            ..note
        };
        Ok(engine.note_timeline(id, &note.to_bytes())?)
    }
}
