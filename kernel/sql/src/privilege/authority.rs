//! Whose privileges a role has: its own, and those of the roles it is a member of.

use std::collections::BTreeSet;

use crate::catalog::access::{AclItem, Privileges};
use crate::catalog::model::{Table, oid};
use crate::catalog::{CatalogSnapshot, Oid, Relation};
use crate::privilege::acl::{Acl, ObjectClass};

/// A role as it acts, under one version of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub oid: Oid,
    pub name: String,
    pub superuser: bool,
    /// Policies of rows are not for it.
    pub bypass_rls: bool,
    /// The roles whose privileges it has, itself among them.
    held: BTreeSet<Oid>,
}

/// The roles that a role is a member of, over other roles, too, and the role itself; through those alone that
/// inherit, or through all.
fn roles_of(catalog: &CatalogSnapshot, role: Oid, only_inherited: bool) -> BTreeSet<Oid> {
    let mut found = BTreeSet::from([role]);
    let mut next = vec![role];
    while let Some(member) = next.pop() {
        let Some(member) = catalog.role(member) else {
            continue;
        };
        if only_inherited && !member.inherit {
            continue;
        }
        for membership in &member.member_of {
            if found.insert(membership.role) {
                next.push(membership.role);
            }
        }
    }
    found
}

/// Whether a role may become another, or is it.
pub(crate) fn is_member(catalog: &CatalogSnapshot, role: Oid, of: Oid) -> bool {
    let superuser = catalog.role(role).is_some_and(|r| r.superuser);
    superuser || roles_of(catalog, role, false).contains(&of)
}

/// Whether a role is a member of another by a grant, whatever else it may do.
pub(crate) fn is_granted(catalog: &CatalogSnapshot, role: Oid, of: Oid) -> bool {
    roles_of(catalog, role, false).contains(&of)
}

/// Whether a role may make others members of a role.
pub(crate) fn is_admin(catalog: &CatalogSnapshot, role: Oid, of: Oid) -> bool {
    let Some(found) = catalog.role(role) else {
        return false;
    };
    found.superuser
        || roles_of(catalog, role, false).iter().any(|held| {
            let held = catalog.role(*held);
            held.is_some_and(|r| r.member_of.iter().any(|m| m.role == of && m.admin))
        })
}

impl Authority {
    pub fn of(catalog: &CatalogSnapshot, role: Oid) -> Authority {
        let found = catalog.role(role);
        Authority {
            oid: role,
            name: found.map_or_else(|| role.to_string(), |r| r.name.clone()),
            superuser: found.is_some_and(|r| r.superuser),
            bypass_rls: found.is_some_and(|r| r.superuser || r.bypass_rls),
            held: roles_of(catalog, role, true),
        }
    }

    /// Whether it has the privileges of a role.
    pub fn has(&self, role: Oid) -> bool {
        self.superuser || self.held.contains(&role)
    }

    /// The same without a superuser's right to everything: what access lists are read with.
    pub fn holds(&self, role: Oid) -> bool {
        self.held.contains(&role)
    }

    /// What it may do with an object.
    pub fn on(
        &self,
        catalog: &CatalogSnapshot,
        class: ObjectClass,
        object: Oid,
        owner: Oid,
    ) -> Privileges {
        if self.superuser {
            return class.all();
        }
        acl_of(catalog, class, object, 0, owner).privileges(|role| self.holds(role))
    }

    /// What it may do with a relation as a whole.
    pub fn on_relation(&self, catalog: &CatalogSnapshot, relation: &Relation) -> Privileges {
        let (oid, owner) = (relation.oid(), relation.owner());
        self.on(catalog, class_of(relation), oid, owner)
    }

    /// What it may do with one column of a relation, by its attribute number, but not with the relation.
    pub fn on_column(
        &self,
        catalog: &CatalogSnapshot,
        relation: Oid,
        attribute: i32,
    ) -> Privileges {
        match catalog.access(oid::PG_CLASS, relation, attribute) {
            Some(items) => privileges_in(items, |role| self.holds(role)),
            None => Privileges::NONE,
        }
    }

    /// Whether the policies of a table bind it.
    pub fn is_bound_by(&self, table: &Table) -> bool {
        table.row_security.enabled
            && !self.bypass_rls
            && (table.row_security.forced || !self.has(table.owner))
    }
}

fn privileges_in(items: &[AclItem], held: impl Fn(Oid) -> bool) -> Privileges {
    let acl = Acl {
        owner: 0,
        items: items.to_vec(),
    };
    acl.privileges(held)
}

/// What privileges on a relation are those of.
pub(crate) fn class_of(relation: &Relation) -> ObjectClass {
    match relation {
        Relation::Sequence(_) => ObjectClass::Sequence,
        _ => ObjectClass::Table,
    }
}

/// The list of an object or a column, or what it starts with.
pub(crate) fn acl_of(
    catalog: &CatalogSnapshot,
    class: ObjectClass,
    object: Oid,
    sub: i32,
    owner: Oid,
) -> Acl {
    match catalog.access(class.catalog(), object, sub) {
        Some(items) => Acl {
            owner,
            items: items.to_vec(),
        },
        None => Acl::default_of(class, object, owner),
    }
}
