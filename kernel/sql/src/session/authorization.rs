//! For whom a session acts: SET ROLE, SET SESSION AUTHORIZATION, and the role that results.
//!
//! Both are parameters as the others are: SET LOCAL ends with the transaction, a rollback undoes them. What
//! counts is the oid of the role ([`Identity`]); its name and its rights are read from the catalog that the
//! running statement sees, so that a role that loses a right loses it in the sessions that are open.

use std::sync::Arc;

use super::info::SessionInfo;
use super::outcome::Outcome;
use super::settings::{Identity, Settings, Shown};
use super::{Session, done};
use crate::catalog::{CatalogSnapshot, Oid};
use crate::error::{Result, SqlError, state};
use crate::privilege::{Authority, authority};

impl SessionInfo {
    /// The current role, under the catalog that the running statement sees.
    pub(crate) fn role(&self) -> Arc<Authority> {
        let oid = self.with_settings(Settings::identity).current();
        let catalog = self.catalog();
        let mut known = self.authority();
        if let Some((version, authority)) = known.as_ref()
            && *version == catalog.version
            && authority.oid == oid
        {
            return authority.clone();
        }
        let authority = Arc::new(Authority::of(&catalog, oid));
        *known = Some((catalog.version, authority.clone()));
        authority
    }

    /// Who logged in, or whom SET SESSION AUTHORIZATION made of them.
    pub(crate) fn session_user(&self) -> String {
        let oid = self.with_settings(Settings::identity).session;
        let catalog = self.catalog();
        let role = catalog.role(oid);
        role.map_or_else(|| oid.to_string(), |role| role.name.clone())
    }

    /// The identity that SET ROLE gives, and what is shown of it.
    ///
    /// # Errors
    ///
    /// 22023 when there is no such role, 42501 when the session's user is no member of it.
    pub(crate) fn change_role(&self, role: Option<&str>) -> Result<()> {
        let catalog = self.catalog();
        let session = self.with_settings(Settings::identity).session;
        self.check_may_become("role")?;
        let role = match role {
            None => None,
            Some(name) => {
                let found = named(&catalog, name)?;
                if !authority::is_member(&catalog, session, found) {
                    return Err(SqlError::new(
                        state::INSUFFICIENT_PRIVILEGE,
                        format!("permission denied to set role \"{name}\""),
                    ));
                }
                Some(found)
            }
        };
        let definer = false;
        let identity = Identity {
            session,
            role,
            definer,
        };
        self.change_identity(&catalog, identity);
        Ok(())
    }

    /// 42501 inside of a SECURITY DEFINER routine: who calls one has lent it no rights.
    fn check_may_become(&self, parameter: &str) -> Result<()> {
        match self.with_settings(Settings::identity).definer {
            false => Ok(()),
            true => Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                format!("cannot set parameter \"{parameter}\" within security-definer function"),
            )),
        }
    }

    /// Acts for a role, whatever role that is, as a SECURITY DEFINER routine of that role does.
    pub(crate) fn become_definer(&self, role: Oid) {
        let identity = Identity {
            session: self.with_settings(Settings::identity).session,
            role: Some(role),
            definer: true,
        };
        self.act_as(identity);
    }

    /// Acts for these again.
    pub(crate) fn act_as(&self, identity: Identity) {
        self.change_identity(&self.catalog(), identity);
    }

    fn change_identity(&self, catalog: &CatalogSnapshot, identity: Identity) {
        let name = |oid: Oid| catalog.role(oid).map(|role| role.name.clone());
        let session = name(identity.session).unwrap_or_default();
        let role = identity.role.and_then(name);
        let current = catalog.role(identity.current());
        self.change_settings(|s| {
            s.set_identity(
                identity,
                Shown {
                    session: &session,
                    role: role.as_deref().unwrap_or("none"),
                    superuser: current.is_some_and(|role| role.superuser),
                },
            );
        });
    }
}

fn named(catalog: &CatalogSnapshot, name: &str) -> Result<Oid> {
    let found = catalog.role_by_name(name).map(|role| role.oid);
    found.ok_or_else(|| {
        SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            format!("role \"{name}\" does not exist"),
        )
    })
}

impl Session {
    pub(super) fn set_role(&mut self, role: Option<&str>, local: bool) -> Result<Outcome> {
        self.begin_statement_snapshot();
        self.read_view()?;
        if local && !self.txn.in_block() {
            self.warn(
                state::NO_ACTIVE_SQL_TRANSACTION,
                "SET LOCAL can only be used in transaction blocks",
            );
            return done("SET");
        }
        let old = self.info.with_settings(|s| s.saved("role"))?;
        self.info.change_role(role)?;
        self.note_set("role", old, local);
        done("SET")
    }

    /// Takes note of parameters that functions have set: of what a transaction is to restore.
    pub(super) fn note_changed_settings(&mut self) {
        let changed = std::mem::take(&mut *self.info.settings_changed());
        for (name, old, local) in changed {
            self.note_set(&name, old, local);
        }
    }

    /// `None` goes back to who logged in.
    pub(super) fn set_session_authorization(
        &mut self,
        user: Option<&str>,
        local: bool,
    ) -> Result<Outcome> {
        self.begin_statement_snapshot();
        let (_, catalog) = self.read_view()?;
        if local {
            return Err(SqlError::unsupported("SET LOCAL SESSION AUTHORIZATION")
                .with_hint("SET LOCAL ROLE does the same for one transaction."));
        }
        self.info.check_may_become("session_authorization")?;
        let login = self.info.login;
        let session = match user {
            None => login,
            Some(name) => {
                let found = named(&catalog, name)?;
                let may = catalog.role(login).is_some_and(|role| role.superuser);
                if !may && found != login {
                    return Err(SqlError::new(
                        state::INSUFFICIENT_PRIVILEGE,
                        "permission denied to set session authorization",
                    ));
                }
                found
            }
        };
        let (role, definer) = (None, false);
        // What SET LOCAL ROLE was to go back to was the other's.
        self.forget_local("role");
        self.info.change_identity(
            &catalog,
            Identity {
                session,
                role,
                definer,
            },
        );
        done("SET")
    }
}
