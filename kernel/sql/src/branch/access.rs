//! Who may be on a branch and read it from others: an access list like a database's, with CONNECT in it, which is in
//! the branch's note. It goes where the branch goes, and no transaction takes it back.
//!
//! The main branch has none of its own: whoever may connect to the database may be on it. Where a branch has no list
//! yet, all roles may. A branch begins with the list of what it is made of; for a tag, which shows nothing else, that
//! one's counts as well, as it is now.

use heliosdb_storage::Engine;
use heliosdb_storage::ids::TimelineId;

use super::{MAIN, Note, altered_meanwhile, undefined};
use crate::catalog::access::{AclItem, Privileges};
use crate::catalog::model::oid;
use crate::catalog::{CatalogSnapshot, Oid};
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

/// The lists that a role has to be in to be on a branch.
///
/// # Errors
///
/// 42704 for a branch that is gone.
pub(crate) fn lists(engine: &Engine, branch: TimelineId) -> Result<Vec<Acl>> {
    let mut lists = Vec::new();
    let mut next = Some(branch);
    while let Some(id) = next.filter(|id| *id != engine.main_timeline()) {
        let (parent, note) = place::noted(engine, id)?;
        lists.push(note.acl(id));
        next = parent.filter(|_| note.frozen);
    }
    Ok(lists)
}

/// # Errors
///
/// 42501 for a role that may not be on a branch, 42704 for one that is gone.
pub(crate) fn check_connect(engine: &Engine, branch: TimelineId, role: &Authority) -> Result<()> {
    let may = |acl: &Acl| {
        let has = acl.privileges(|held| role.holds(held));
        has.contains(Privileges::CONNECT)
    };
    if role.superuser || lists(engine, branch)?.iter().all(may) {
        return Ok(());
    }
    let name = engine.timeline_name(branch);
    Err(denied("branch", name.as_deref().unwrap_or_default()))
}

/// What a branch that `owner` makes of another one begins with.
///
/// # Errors
///
/// 42704 for a branch that is gone.
pub(super) fn inherited(
    engine: &Engine,
    from: TimelineId,
    owner: Oid,
) -> Result<Option<Vec<AclItem>>> {
    if from == engine.main_timeline() {
        return Ok(None);
    }
    let (_, note) = place::noted(engine, from)?;
    let is_said = note.access.is_some();
    Ok(is_said.then(|| note.acl(from).with_owner(owner).items))
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
        Ok((id, self.branch_acl(id)?.owner))
    }

    pub(crate) fn branch_acl(&self, id: TimelineId) -> Result<Acl> {
        let (_, note) = place::noted(self.instance.engine(), id)?;
        Ok(note.acl(id))
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
