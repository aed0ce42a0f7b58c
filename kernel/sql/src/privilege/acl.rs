//! What an access list means, and how GRANT and REVOKE change one.

use std::fmt::Write as _;

use crate::catalog::access::{AclItem, PUBLIC, Privileges};
use crate::catalog::model::oid;
use crate::catalog::{CatalogSnapshot, Oid};
use crate::error::{Result, SqlError, state};
use crate::names::quote;

/// What kinds of objects have privileges of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectClass {
    /// Views, too.
    Table,
    Column,
    Sequence,
    Schema,
    Database,
    Branch,
    Function,
    Type,
}

impl ObjectClass {
    /// What can be granted on such an object.
    pub fn all(self) -> Privileges {
        use Privileges as P;
        match self {
            ObjectClass::Table => {
                P::INSERT
                    | P::SELECT
                    | P::UPDATE
                    | P::DELETE
                    | P::TRUNCATE
                    | P::REFERENCES
                    | P::TRIGGER
            }
            ObjectClass::Column => P::INSERT | P::SELECT | P::UPDATE | P::REFERENCES,
            ObjectClass::Sequence => P::USAGE | P::SELECT | P::UPDATE,
            ObjectClass::Schema => P::USAGE | P::CREATE,
            ObjectClass::Database => P::CREATE | P::TEMPORARY | P::CONNECT,
            ObjectClass::Branch => P::CONNECT,
            ObjectClass::Function => P::EXECUTE,
            ObjectClass::Type => P::USAGE,
        }
    }

    /// What every role may do with such an object when it is new.
    fn of_public(self, object: Oid) -> Privileges {
        match self {
            ObjectClass::Database => Privileges::TEMPORARY | Privileges::CONNECT,
            ObjectClass::Branch => Privileges::CONNECT,
            ObjectClass::Function => Privileges::EXECUTE,
            ObjectClass::Type => Privileges::USAGE,
            // These PostgreSQL grants when it makes a database.
            ObjectClass::Schema if is_builtin_schema(object) => Privileges::USAGE,
            _ => Privileges::NONE,
        }
    }

    /// What messages call it.
    pub fn noun(self) -> &'static str {
        match self {
            ObjectClass::Table => "table",
            ObjectClass::Column => "column",
            ObjectClass::Sequence => "sequence",
            ObjectClass::Schema => "schema",
            ObjectClass::Database => "database",
            ObjectClass::Branch => "branch",
            ObjectClass::Function => "function",
            ObjectClass::Type => "type",
        }
    }

    /// The catalog of such objects.
    pub fn catalog(self) -> Oid {
        match self {
            ObjectClass::Table | ObjectClass::Column | ObjectClass::Sequence => oid::PG_CLASS,
            ObjectClass::Schema => oid::PG_NAMESPACE,
            // The list of a branch is in no catalog.
            ObjectClass::Database | ObjectClass::Branch => oid::PG_DATABASE,
            ObjectClass::Function => oid::PG_PROC,
            ObjectClass::Type => oid::PG_TYPE,
        }
    }
}

fn is_builtin_schema(schema: Oid) -> bool {
    matches!(
        schema,
        oid::PUBLIC_SCHEMA | oid::PG_CATALOG_SCHEMA | oid::INFORMATION_SCHEMA
    )
}

/// An access list and whose object it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acl {
    pub owner: Oid,
    pub items: Vec<AclItem>,
}

/// A change of one grantee's privileges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Granting {
    pub grantor: Oid,
    pub grantee: Oid,
    pub privileges: Privileges,
    /// GRANT: with the option to grant; REVOKE: that option only.
    pub option: bool,
}

impl Acl {
    /// What an object has that nothing was granted on.
    pub fn default_of(class: ObjectClass, object: Oid, owner: Oid) -> Acl {
        let mut items = Vec::new();
        let of_public = class.of_public(object);
        if !of_public.is_empty() {
            items.push(AclItem {
                grantee: PUBLIC,
                grantor: owner,
                privileges: of_public,
                grantable: Privileges::NONE,
            });
        }
        // Columns have nothing by themselves: their tables do.
        if class != ObjectClass::Column {
            items.push(AclItem {
                grantee: owner,
                grantor: owner,
                privileges: class.all(),
                grantable: Privileges::NONE,
            });
        }
        // PostgreSQL puts PUBLIC first but in the lists of schemas it makes itself.
        if class == ObjectClass::Schema {
            items.reverse();
        }
        Acl { owner, items }
    }

    /// What the roles that are `held` may do, as far as it is among `wanted`. An owner's options to grant are
    /// not in the list.
    pub fn privileges(&self, held: impl Fn(Oid) -> bool) -> Privileges {
        let mut found = Privileges::NONE;
        for item in &self.items {
            if item.grantee == PUBLIC || held(item.grantee) {
                found |= item.privileges;
            }
        }
        found
    }

    /// What the roles that are `held` may grant to others.
    pub fn grantable(&self, class: ObjectClass, held: impl Fn(Oid) -> bool) -> Privileges {
        if held(self.owner) {
            return class.all();
        }
        let mut found = Privileges::NONE;
        for item in &self.items {
            if item.grantee != PUBLIC && held(item.grantee) {
                found |= item.grantable;
            }
        }
        found
    }

    /// # Errors
    ///
    /// 0LP01 for an option to grant that would go to everybody or back to who has it granted.
    pub fn grant(&mut self, what: Granting) -> Result<()> {
        if what.option && what.grantee == PUBLIC {
            return Err(SqlError::new(
                state::INVALID_GRANT_OPERATION,
                "grant options can only be granted to roles",
            ));
        }
        if what.option && what.grantor != self.owner && self.depends_on(what.grantor, what) {
            return Err(SqlError::new(
                state::INVALID_GRANT_OPERATION,
                "grant options cannot be granted back to your own grantor",
            ));
        }
        let options = match what.option {
            // What the owner has cannot be taken from them, so it is not in the list.
            true if what.grantee == self.owner => Privileges::NONE,
            true => what.privileges,
            false => Privileges::NONE,
        };
        match self.item(what.grantee, what.grantor) {
            Some(at) => {
                self.items[at].privileges |= what.privileges;
                self.items[at].grantable |= options;
            }
            None => self.items.push(AclItem {
                grantee: what.grantee,
                grantor: what.grantor,
                privileges: what.privileges,
                grantable: options,
            }),
        }
        Ok(())
    }

    /// Takes privileges away, and with CASCADE what was granted with their options.
    ///
    /// # Errors
    ///
    /// 2BP01 without CASCADE when there is such a thing.
    pub fn revoke(&mut self, what: Granting, cascade: bool) -> Result<()> {
        let Some(at) = self.item(what.grantee, what.grantor) else {
            return Ok(());
        };
        let item = &mut self.items[at];
        let before = item.grantable;
        item.grantable = item.grantable & !what.privileges;
        if !what.option {
            item.privileges = item.privileges & !what.privileges;
        }
        let lost = before & !item.grantable;
        if item.privileges.is_empty() && item.grantable.is_empty() {
            self.items.remove(at);
        }
        self.revoke_dependent(what.grantee, lost, cascade)
    }

    /// Takes away what a role granted with options that it has lost.
    fn revoke_dependent(&mut self, role: Oid, lost: Privileges, cascade: bool) -> Result<()> {
        if role == self.owner || lost.is_empty() {
            return Ok(());
        }
        // Somebody else may have given the option as well.
        let lost = lost & !self.grantable_by(role);
        while let Some(item) = self
            .items
            .iter()
            .find(|item| item.grantor == role && item.privileges.intersects(lost))
            .copied()
        {
            if !cascade {
                return Err(SqlError::new(
                    state::DEPENDENT_OBJECTS_STILL_EXIST,
                    "dependent privileges exist",
                )
                .with_hint("Use CASCADE to revoke them too."));
            }
            let what = Granting {
                grantor: role,
                grantee: item.grantee,
                privileges: lost,
                option: false,
            };
            self.revoke(what, true)?;
        }
        Ok(())
    }

    /// The options that a role has, and no other in its name.
    fn grantable_by(&self, role: Oid) -> Privileges {
        let of_role = self.items.iter().filter(|item| item.grantee == role);
        of_role.fold(Privileges::NONE, |all, item| all | item.grantable)
    }

    /// Whether the option of `role` to grant this comes, over whatever way, from who shall get it.
    fn depends_on(&self, role: Oid, what: Granting) -> bool {
        if role == what.grantee {
            return true;
        }
        let mut without = self.clone();
        loop {
            let found = without.items.iter().find(|item| {
                item.grantee == what.grantee && item.grantable.intersects(what.privileges)
            });
            let Some(item) = found.copied() else { break };
            let taken = Granting {
                grantor: item.grantor,
                grantee: item.grantee,
                privileges: what.privileges,
                option: true,
            };
            if without.revoke(taken, true).is_err() {
                return true;
            }
        }
        !without.grantable_by(role).contains(what.privileges)
    }

    /// The list when the object changes hands: what the old owner had and gave is the new one's.
    pub fn with_owner(&self, owner: Oid) -> Acl {
        let renamed = |role: Oid| if role == self.owner { owner } else { role };
        let mut acl = Acl {
            owner,
            items: Vec::new(),
        };
        for item in &self.items {
            let (grantee, grantor) = (renamed(item.grantee), renamed(item.grantor));
            let grantable = match grantee == owner {
                true => Privileges::NONE,
                false => item.grantable,
            };
            match acl.item(grantee, grantor) {
                Some(at) => {
                    acl.items[at].privileges |= item.privileges;
                    acl.items[at].grantable |= grantable;
                }
                None => acl.items.push(AclItem {
                    grantee,
                    grantor,
                    privileges: item.privileges,
                    grantable,
                }),
            }
        }
        acl
    }

    /// Adds what another list has.
    pub fn merge(&mut self, items: &[AclItem]) {
        for item in items {
            match self.item(item.grantee, item.grantor) {
                Some(at) => {
                    self.items[at].privileges |= item.privileges;
                    self.items[at].grantable |= item.grantable;
                }
                None => self.items.push(*item),
            }
        }
    }

    fn item(&self, grantee: Oid, grantor: Oid) -> Option<usize> {
        let mut items = self.items.iter();
        items.position(|item| item.grantee == grantee && item.grantor == grantor)
    }
}

/// An item as `aclitem` prints it: `grantee=arwd*/grantor`.
pub(crate) fn item_text(catalog: &CatalogSnapshot, item: &AclItem) -> String {
    let name = |role: Oid| match catalog.role(role) {
        Some(role) => quote(&role.name),
        None => role.to_string(),
    };
    let mut text = match item.grantee {
        PUBLIC => String::new(),
        grantee => name(grantee),
    };
    text.push('=');
    for privilege in (item.privileges | item.grantable).each() {
        text.push(privilege.letter());
        if item.grantable.contains(privilege) {
            text.push('*');
        }
    }
    let _ = write!(text, "/{}", name(item.grantor));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Oid = 10;

    fn granting(grantor: Oid, grantee: Oid, privileges: Privileges, option: bool) -> Granting {
        Granting {
            grantor,
            grantee,
            privileges,
            option,
        }
    }

    fn table() -> Acl {
        Acl::default_of(ObjectClass::Table, 20_000, OWNER)
    }

    /// What one role may do by its own name.
    fn of(acl: &Acl, role: Oid) -> Privileges {
        acl.privileges(|held| held == role)
    }

    #[test]
    fn an_owner_has_everything_until_it_is_revoked() {
        let mut acl = table();
        assert_eq!(of(&acl, OWNER), ObjectClass::Table.all());
        assert_eq!(of(&acl, 11), Privileges::NONE);
        acl.revoke(granting(OWNER, OWNER, Privileges::DELETE, false), false)
            .unwrap();
        assert!(!of(&acl, OWNER).contains(Privileges::DELETE));
        assert!(
            acl.grantable(ObjectClass::Table, |r| r == OWNER)
                .contains(Privileges::DELETE)
        );
    }

    #[test]
    fn options_are_revoked_with_what_was_granted_by_them() {
        let mut acl = table();
        let select = Privileges::SELECT;
        acl.grant(granting(OWNER, 11, select, true)).unwrap();
        acl.grant(granting(11, 12, select, true)).unwrap();
        acl.grant(granting(12, 13, select, false)).unwrap();
        let before = acl.clone();
        let error = acl
            .revoke(granting(OWNER, 11, select, false), false)
            .unwrap_err();
        assert_eq!(error.code, state::DEPENDENT_OBJECTS_STILL_EXIST);
        acl = before;
        acl.revoke(granting(OWNER, 11, select, true), true).unwrap();
        assert_eq!(of(&acl, 11), select);
        assert_eq!(of(&acl, 12), Privileges::NONE);
        assert_eq!(of(&acl, 13), Privileges::NONE);
    }

    /// What two roles gave is there until both take it back.
    #[test]
    fn a_privilege_of_two_grantors_needs_two_revokes() {
        let mut acl = table();
        let select = Privileges::SELECT;
        acl.grant(granting(OWNER, 11, select, true)).unwrap();
        acl.grant(granting(OWNER, 12, select, false)).unwrap();
        acl.grant(granting(11, 12, select, false)).unwrap();
        acl.revoke(granting(OWNER, 12, select, false), false)
            .unwrap();
        assert_eq!(of(&acl, 12), select);
        acl.revoke(granting(11, 12, select, false), false).unwrap();
        assert_eq!(of(&acl, 12), Privileges::NONE);
    }

    #[test]
    fn options_do_not_go_round_in_a_circle() {
        let mut acl = table();
        let select = Privileges::SELECT;
        acl.grant(granting(OWNER, 11, select, true)).unwrap();
        acl.grant(granting(11, 12, select, true)).unwrap();
        let error = acl.grant(granting(12, 11, select, true)).unwrap_err();
        assert_eq!(error.code, state::INVALID_GRANT_OPERATION);
        let error = acl
            .grant(granting(OWNER, PUBLIC, select, true))
            .unwrap_err();
        assert_eq!(error.code, state::INVALID_GRANT_OPERATION);
    }

    #[test]
    fn a_new_owner_takes_over_what_the_old_one_had_and_gave() {
        let mut acl = table();
        acl.grant(granting(OWNER, 11, Privileges::SELECT, false))
            .unwrap();
        let acl = acl.with_owner(11);
        assert_eq!(of(&acl, 11), ObjectClass::Table.all());
        assert_eq!(of(&acl, OWNER), Privileges::NONE);
        assert_eq!(acl.items.len(), 1);
        assert_eq!(acl.items[0].grantor, 11);
    }
}
