//! CREATE, ALTER and DROP ROLE.

use sqlparser::ast::{self, AlterRoleOperation, Expr, Ident, RoleOption};

use super::put;
use crate::catalog::model::*;
use crate::catalog::store::Change;
use crate::error::{Result, SqlError, state};
use crate::names::{self, fold};
use crate::role::{ScramSecret, undefined_role};
use crate::session::outcome::Outcome;
use crate::session::{Session, done};

fn secret(password: &ast::Password) -> Result<Option<String>> {
    match password {
        ast::Password::NullPassword => Ok(None),
        ast::Password::Password(expr) => match expr {
            Expr::Value(v) => match v.value.clone().into_string() {
                Some(text) => Ok(Some(ScramSecret::for_password(&text).to_string())),
                None => Ok(None),
            },
            other => Err(SqlError::new(
                state::SYNTAX_ERROR,
                format!("syntax error at or near \"{other}\""),
            )),
        },
    }
}

fn limit(expr: &Expr) -> Result<i32> {
    expr.to_string()
        .replace(' ', "")
        .parse()
        .ok()
        .filter(|n| *n >= -1)
        .ok_or_else(|| {
            SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                format!("invalid connection limit: {expr}"),
            )
        })
}

impl Session {
    fn check_create_role(&self, catalog: &crate::catalog::CatalogSnapshot) -> Result<()> {
        let may = catalog
            .role(self.info.user_oid)
            .is_some_and(|r| r.superuser || r.create_role);
        if may {
            return Ok(());
        }
        Err(SqlError::new(
            state::INSUFFICIENT_PRIVILEGE,
            "permission denied to create role",
        ))
    }

    pub(crate) fn create_role(&mut self, create: &ast::CreateRole, user: bool) -> Result<Outcome> {
        if user {
            self.begin_statement_snapshot();
            self.begin_ddl()?;
        }
        let refused = !create.in_role.is_empty()
            || !create.in_group.is_empty()
            || !create.role.is_empty()
            || !create.user.is_empty()
            || !create.admin.is_empty();
        if refused {
            return Err(SqlError::unsupported("role membership"));
        }
        if create.bypassrls == Some(true) || create.replication == Some(true) {
            return Err(SqlError::unsupported("BYPASSRLS or REPLICATION roles"));
        }
        if create.valid_until.is_some() {
            return Err(SqlError::unsupported("VALID UNTIL"));
        }
        let (_, catalog) = self.write_view()?;
        self.check_create_role(&catalog)?;
        if create.superuser == Some(true) && !self.info.superuser {
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                "must be superuser to create superusers",
            ));
        }
        let mut changes = Vec::new();
        for name in &create.names {
            let name = names::parts(name)?.join(".");
            if catalog.role_by_name(&name).is_some() {
                if create.if_not_exists {
                    continue;
                }
                return Err(SqlError::new(
                    state::DUPLICATE_OBJECT,
                    format!("role \"{name}\" already exists"),
                ));
            }
            if name.starts_with("pg_") || matches!(name.as_str(), "public" | "none") {
                return Err(SqlError::new(
                    state::RESERVED_NAME,
                    format!("role name \"{name}\" is reserved"),
                ));
            }
            let password = match &create.password {
                Some(p) => secret(p)?,
                None => None,
            };
            changes.push(put!(
                Role,
                Role {
                    oid: self.instance.allocate_oid()?,
                    name,
                    superuser: create.superuser.unwrap_or(false),
                    inherit: create.inherit.unwrap_or(true),
                    create_role: create.create_role.unwrap_or(false),
                    create_db: create.create_db.unwrap_or(false),
                    login: create.login.unwrap_or(user),
                    connection_limit: match &create.connection_limit {
                        Some(e) => limit(e)?,
                        None => -1,
                    },
                    password,
                }
            ));
        }
        self.change_catalog(changes)?;
        done("CREATE ROLE")
    }

    pub(crate) fn alter_role(
        &mut self,
        name: &Ident,
        operation: &AlterRoleOperation,
    ) -> Result<Outcome> {
        let (_, catalog) = self.write_view()?;
        let name = match fold(name) {
            n if n == "current_user" || n == "session_user" => self.info.user.clone(),
            n => n,
        };
        let found = catalog
            .role_by_name(&name)
            .ok_or_else(|| undefined_role(&name))?;
        let mut role = found.as_ref().clone();
        let me = catalog.role(self.info.user_oid);
        let may = me.is_some_and(|r| r.superuser || (r.create_role && !role.superuser));
        match operation {
            AlterRoleOperation::RenameRole { role_name } => {
                if !may {
                    return Err(denied());
                }
                let new = fold(role_name);
                if catalog.role_by_name(&new).is_some() {
                    return Err(SqlError::new(
                        state::DUPLICATE_OBJECT,
                        format!("role \"{new}\" already exists"),
                    ));
                }
                self.give_pins(&name, &new)?;
                role.name = new;
            }
            AlterRoleOperation::WithOptions { options } => {
                for option in options {
                    let own_password =
                        matches!(option, RoleOption::Password(_)) && role.oid == self.info.user_oid;
                    if !may && !own_password {
                        return Err(denied());
                    }
                    match option {
                        RoleOption::SuperUser(on) => {
                            if !self.info.superuser {
                                return Err(denied());
                            }
                            role.superuser = *on;
                        }
                        RoleOption::CreateDB(on) => role.create_db = *on,
                        RoleOption::CreateRole(on) => role.create_role = *on,
                        RoleOption::Inherit(on) => role.inherit = *on,
                        RoleOption::Login(on) => role.login = *on,
                        RoleOption::ConnectionLimit(e) => role.connection_limit = limit(e)?,
                        RoleOption::Password(p) => role.password = secret(p)?,
                        RoleOption::BypassRLS(false) | RoleOption::Replication(false) => {}
                        RoleOption::BypassRLS(true) | RoleOption::Replication(true) => {
                            return Err(SqlError::unsupported("BYPASSRLS or REPLICATION roles"));
                        }
                        RoleOption::ValidUntil(_) => {
                            return Err(SqlError::unsupported("VALID UNTIL"));
                        }
                    }
                }
            }
            AlterRoleOperation::AddMember { .. } | AlterRoleOperation::DropMember { .. } => {
                return Err(SqlError::unsupported("role membership"));
            }
            AlterRoleOperation::Set { .. } | AlterRoleOperation::Reset { .. } => {
                return Err(SqlError::unsupported("ALTER ROLE … SET"));
            }
        }
        self.change_catalog(vec![put!(Role, role)])?;
        done("ALTER ROLE")
    }

    pub(crate) fn drop_role(&mut self, name: &ast::ObjectName, if_exists: bool) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let name = names::parts(name)?.join(".");
        self.check_create_role(&catalog)
            .map_err(|e| SqlError::new(e.code, "permission denied to drop role"))?;
        let Some(role) = catalog.role_by_name(&name) else {
            if if_exists {
                self.notify_skipped(format!("role \"{name}\" does not exist, skipping"));
                return Ok(());
            }
            return Err(undefined_role(&name));
        };
        if role.superuser && !self.info.superuser {
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                "must be superuser to drop superusers",
            ));
        }
        if role.oid == self.info.user_oid {
            return Err(SqlError::new(
                state::OBJECT_IN_USE,
                "current user cannot be dropped",
            ));
        }
        if role.oid == oid::BOOTSTRAP_ROLE {
            return Err(SqlError::new(
                state::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop role {name} because it is required by the database system"),
            ));
        }
        let pins = self.pins_of_role(&name)?;
        let owned = catalog
            .tables()
            .map(|t| (t.owner, format!("owner of table {}", t.name)))
            .chain(
                catalog
                    .views()
                    .map(|v| (v.owner, format!("owner of view {}", v.name))),
            )
            .chain(
                catalog
                    .sequences()
                    .map(|s| (s.owner, format!("owner of sequence {}", s.name))),
            )
            .chain(
                catalog
                    .schemas()
                    .map(|s| (s.owner, format!("owner of schema {}", s.name))),
            )
            .chain(
                catalog
                    .types()
                    .iter()
                    .map(|t| (t.owner, format!("owner of type {}", t.name))),
            )
            .chain(
                catalog
                    .plugin_objects()
                    .map(|o| (o.owner, format!("owner of {} {}", o.class, o.name))),
            )
            .chain(
                catalog
                    .extensions()
                    .map(|e| (e.owner, format!("owner of extension {}", e.name))),
            )
            .filter(|(owner, _)| *owner == role.oid)
            .map(|(_, what)| what)
            .chain(pins.into_iter().map(|pin| format!("owner of pin {pin}")))
            .collect::<Vec<_>>();
        if !owned.is_empty() {
            return Err(SqlError::new(
                state::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("role \"{name}\" cannot be dropped because some objects depend on it"),
            )
            .with_detail(owned.join("\n")));
        }
        self.change_catalog(vec![Change::Remove(role.oid)])?;
        Ok(())
    }
}

fn denied() -> SqlError {
    SqlError::new(state::INSUFFICIENT_PRIVILEGE, "permission denied")
}
