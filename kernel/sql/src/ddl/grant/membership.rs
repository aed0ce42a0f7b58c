//! GRANT and REVOKE of roles: who is a member of what.

use super::syntax::{GrantRoles, RoleName};
use crate::catalog::access::Membership;
use crate::catalog::model::{Role, oid};
use crate::catalog::{CatalogSnapshot, Oid};
use crate::ddl::put;
use crate::error::{Result, SqlError, state};
use crate::privilege::authority;
use crate::role::undefined_role;
use crate::session::outcome::Outcome;
use crate::session::{Session, done};

impl Session {
    pub(super) fn grant_roles(&mut self, grant: &GrantRoles) -> Result<Outcome> {
        let (_, catalog) = self.write_view()?;
        let terms = &grant.terms;
        let grantor = match &terms.granted_by {
            None => self.info.role().oid,
            Some(by) => self.role_oid(&catalog, by)?,
        };
        let me = self.info.role();
        if grantor != me.oid && !me.superuser {
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                "must be superuser to set grantor",
            ));
        }
        for granted in &grant.granted {
            let granted = self.role_oid(&catalog, granted)?;
            self.check_admin(&catalog, granted)?;
            for member in &terms.roles {
                let member = match member {
                    RoleName::Public => return Err(undefined_role("public")),
                    member => self.role_oid(&catalog, member)?,
                };
                match terms.grant {
                    true => self.add_member(granted, member, grantor, terms.option)?,
                    false => self.drop_member(granted, member, terms.option)?,
                }
            }
        }
        done(if terms.grant {
            "GRANT ROLE"
        } else {
            "REVOKE ROLE"
        })
    }

    /// 42501 unless the current role may make others members of a role.
    pub(crate) fn check_admin(&self, catalog: &CatalogSnapshot, role: Oid) -> Result<()> {
        let Some(found) = catalog.role(role) else {
            return Ok(());
        };
        let me = self.info.role();
        if me.superuser {
            return Ok(());
        }
        if found.superuser {
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                "must be superuser to alter superusers",
            ));
        }
        let may_create = catalog.role(me.oid).is_some_and(|r| r.create_role);
        if may_create || authority::is_admin(catalog, me.oid, role) {
            return Ok(());
        }
        Err(SqlError::new(
            state::INSUFFICIENT_PRIVILEGE,
            format!("must have admin option on role \"{}\"", found.name),
        ))
    }

    fn member(&mut self, member: Oid) -> Result<Role> {
        let (_, catalog) = self.write_view()?;
        let found = catalog.role(member);
        let found = found.ok_or_else(|| SqlError::internal("a role that is gone"))?;
        Ok(Role::clone(found))
    }

    /// Makes a role a member of another.
    pub(crate) fn add_member(
        &mut self,
        role: Oid,
        member: Oid,
        grantor: Oid,
        admin: bool,
    ) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let name = |oid: Oid| {
            let role = catalog.role(oid);
            role.map_or_else(|| oid.to_string(), |role| role.name.clone())
        };
        if authority::is_granted(&catalog, role, member) {
            return Err(SqlError::new(
                state::INVALID_GRANT_OPERATION,
                format!(
                    "role \"{}\" is a member of role \"{}\"",
                    name(role),
                    name(member)
                ),
            ));
        }
        let mut changed = self.member(member)?;
        match changed.member_of.iter_mut().find(|m| m.role == role) {
            Some(known) if !admin || known.admin => {
                let message = format!(
                    "role \"{}\" is already a member of role \"{}\"",
                    name(member),
                    name(role)
                );
                self.notify_skipped(message);
                return Ok(());
            }
            Some(known) => known.admin = true,
            None => changed.member_of.push(Membership {
                role,
                grantor,
                admin,
            }),
        }
        self.change_catalog(vec![put!(Role, changed)])?;
        Ok(())
    }

    /// Ends a membership, or takes its option to grant away.
    pub(crate) fn drop_member(&mut self, role: Oid, member: Oid, option: bool) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let mut changed = self.member(member)?;
        let Some(at) = changed.member_of.iter().position(|m| m.role == role) else {
            let name = catalog.role(role).map_or("", |r| r.name.as_str());
            let message = format!(
                "role \"{}\" is not a member of role \"{name}\"",
                changed.name
            );
            self.warn(state::WARNING, message);
            return Ok(());
        };
        match option {
            true => changed.member_of[at].admin = false,
            false => {
                changed.member_of.remove(at);
            }
        }
        self.change_catalog(vec![put!(Role, changed)])?;
        Ok(())
    }

    /// The changes that end what a role that goes away was a member of, and its members were of it.
    pub(crate) fn end_memberships(catalog: &CatalogSnapshot, role: Oid) -> Vec<Role> {
        let concerned = |r: &Role| {
            r.oid != role
                && r.member_of
                    .iter()
                    .any(|m| m.role == role || m.grantor == role)
        };
        let roles = catalog.roles().filter(|r| concerned(r));
        roles
            .map(|r| {
                let mut changed = Role::clone(r);
                changed.member_of.retain(|m| m.role != role);
                for membership in &mut changed.member_of {
                    if membership.grantor == role {
                        membership.grantor = oid::BOOTSTRAP_ROLE;
                    }
                }
                changed
            })
            .collect()
    }
}
