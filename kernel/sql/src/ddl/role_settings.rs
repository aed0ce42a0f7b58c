//! ALTER ROLE … SET and ALTER DATABASE … SET: what sessions begin with.
//!
//! Each setting is kept with its role. Those of the database and of all roles, which belong to nobody, are kept with
//! the first role, which is always there. Values are kept as they were given, and held against the parameter when they
//! are given and when a session begins.

use std::sync::Arc;

use sqlparser::ast;

use super::put;
use crate::catalog::CatalogSnapshot;
use crate::catalog::model::*;
use crate::error::{Result, SqlError, state};
use crate::names::{self, fold};
use crate::role::undefined_role;
use crate::session::alter_setting::{AlterSetting, SettingChange, Whose};
use crate::session::outcome::Outcome;
use crate::session::settings::Settings;
use crate::session::utility::assigned;
use crate::session::{Session, done, server_settings};

/// What a session of a role begins with, by name; what is more special comes later.
pub(crate) fn of_session(catalog: &CatalogSnapshot, role: &Role) -> Vec<(String, String)> {
    let first = catalog.role(oid::BOOTSTRAP_ROLE);
    let general = first.map_or(&[][..], |first| first.settings.as_slice());
    let scopes = [
        (general, SettingScope::AllRoles),
        (general, SettingScope::Database),
        (role.settings.as_slice(), SettingScope::Role),
        (role.settings.as_slice(), SettingScope::RoleInDatabase),
    ];
    let settings = scopes.into_iter().flat_map(|(settings, scope)| {
        let of_scope = settings.iter().filter(move |s| s.scope == scope);
        of_scope.map(|s| (s.name.clone(), s.value.clone()))
    });
    settings.collect()
}

impl Session {
    pub(crate) fn alter_setting(&mut self, alter: &AlterSetting) -> Result<Outcome> {
        let (_, catalog) = self.write_view()?;
        if let Some(database) = &alter.database {
            let database = fold(database);
            if database != self.info.database {
                return Err(SqlError::new(
                    state::INVALID_CATALOG_NAME,
                    format!("database \"{database}\" does not exist"),
                ));
            }
        }
        let (role, scope) = self.kept_with(&catalog, alter)?;
        let mut role = role.as_ref().clone();
        let settings = &mut role.settings;
        match &alter.change {
            SettingChange::Set(set) => match assigned(set)? {
                (name, Some(value)) => self.put_setting(settings, scope, &name, value)?,
                (name, None) => self.remove_setting(settings, scope, &name)?,
            },
            SettingChange::FromCurrent(name) => {
                let name = names::parts(name)?.join(".");
                let value = self.info.shown_settings().get(&name)?.to_owned();
                self.put_setting(settings, scope, &name, value)?;
            }
            SettingChange::Reset(ast::Reset::ALL) => settings.retain(|s| s.scope != scope),
            SettingChange::Reset(ast::Reset::ConfigurationParameter(name)) => {
                let name = names::parts(name)?.join(".");
                self.remove_setting(settings, scope, &name)?;
            }
        }
        self.change_catalog(vec![put!(Role, role)])?;
        match alter.whose {
            Whose::Nobody => done("ALTER DATABASE"),
            Whose::Role(_) | Whose::All => done("ALTER ROLE"),
        }
    }

    /// The role that keeps the settings, if this session may change them.
    fn kept_with(
        &self,
        catalog: &CatalogSnapshot,
        alter: &AlterSetting,
    ) -> Result<(Arc<Role>, SettingScope)> {
        let me = self.info.role();
        let refused = |why: &str| Err(SqlError::new(state::INSUFFICIENT_PRIVILEGE, why));
        let (name, scope) = match (&alter.whose, &alter.database) {
            (Whose::Role(name), None) => (fold(name), SettingScope::Role),
            (Whose::Role(name), Some(_)) => (fold(name), SettingScope::RoleInDatabase),
            (whose, database) => {
                if !me.superuser {
                    return match (whose, database) {
                        (Whose::All, None) => {
                            refused("must be superuser to alter settings globally")
                        }
                        _ => refused(&format!("must be owner of database {}", self.info.database)),
                    };
                }
                let scope = match database {
                    Some(_) => SettingScope::Database,
                    None => SettingScope::AllRoles,
                };
                let first = catalog.role(oid::BOOTSTRAP_ROLE).cloned();
                let first = first.ok_or_else(|| SqlError::internal("there is no first role"))?;
                return Ok((first, scope));
            }
        };
        let is_word = |word: &str| match &alter.whose {
            Whose::Role(ident) => {
                ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case(word)
            }
            _ => false,
        };
        let role = if is_word("current_user") || is_word("current_role") {
            catalog.role(me.oid)
        } else if is_word("session_user") {
            catalog.role(self.info.with_settings(Settings::identity).session)
        } else {
            catalog.role_by_name(&name)
        };
        let role = role.cloned().ok_or_else(|| undefined_role(&name))?;
        if role.superuser && !me.superuser {
            return refused("must be superuser to alter superusers");
        }
        let creates = catalog.role(me.oid).is_some_and(|me| me.create_role);
        if role.oid != me.oid && !me.superuser && !creates {
            return refused("permission denied");
        }
        Ok((role, scope))
    }

    fn put_setting(
        &self,
        settings: &mut Vec<RoleSetting>,
        scope: SettingScope,
        name: &str,
        value: String,
    ) -> Result<()> {
        let name = self.check_setting(name)?;
        self.info.settings().clone().set(&name, &value)?;
        let known = settings.iter_mut();
        let mut known = known.filter(|s| s.scope == scope && s.name == name);
        match known.next() {
            Some(known) => known.value = value,
            None => settings.push(RoleSetting { scope, name, value }),
        }
        Ok(())
    }

    fn remove_setting(
        &self,
        settings: &mut Vec<RoleSetting>,
        scope: SettingScope,
        name: &str,
    ) -> Result<()> {
        let name = self.check_setting(name)?;
        settings.retain(|s| s.scope != scope || s.name != name);
        Ok(())
    }

    /// The parameter's name as it is kept, if a session may begin with a value of its own.
    fn check_setting(&self, name: &str) -> Result<String> {
        if server_settings::find(name).is_some() {
            return Err(SqlError::new(
                state::CANT_CHANGE_RUNTIME_PARAM,
                format!("parameter \"{name}\" cannot be changed now"),
            )
            .with_hint("The parameter is the server's: SET changes it for everybody."));
        }
        if ["role", "session_authorization"]
            .iter()
            .any(|own| own.eq_ignore_ascii_case(name))
        {
            return Err(SqlError::unsupported(format!("ALTER ROLE … SET {name}")));
        }
        self.info.check_may_set(name)?;
        Settings::column_name(name)
    }
}
