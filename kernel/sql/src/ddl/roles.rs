//! CREATE, ALTER and DROP ROLE.

use datafusion::scalar::ScalarValue;
use sqlparser::ast::{self, AlterRoleOperation, Expr, Ident, RoleOption};

use super::put;
use crate::catalog::model::*;
use crate::catalog::store::Change;
use crate::error::{Result, SqlError, state};
use crate::names::{self, fold};
use crate::role::{ScramSecret, undefined_role};
use crate::session::outcome::Outcome;
use crate::session::settings::Settings;
use crate::session::{Session, done};
use crate::types::{PgType, decode_text};

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
            .role(self.info.role().oid)
            .is_some_and(|r| r.superuser || r.create_role);
        if may {
            return Ok(());
        }
        Err(SqlError::new(
            state::INSUFFICIENT_PRIVILEGE,
            "permission denied to create role",
        ))
    }

    /// What VALID UNTIL says.
    fn end_of_password(&self, until: &Expr) -> Result<i64> {
        let text = match until {
            Expr::Value(value) => value.value.clone().into_string(),
            _ => None,
        };
        let Some(text) = text else {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                format!("syntax error at or near \"{until}\""),
            ));
        };
        match decode_text(&PgType::TimestampTz, -1, &text, &self.info.format())? {
            ScalarValue::TimestampMicrosecond(Some(until), _) => Ok(until),
            _ => Err(SqlError::internal("a timestamp that is none")),
        }
    }

    pub(crate) fn create_role(&mut self, create: &ast::CreateRole, user: bool) -> Result<Outcome> {
        if user {
            self.begin_statement_snapshot();
            self.begin_ddl()?;
        }
        if create.replication == Some(true) {
            return Err(SqlError::unsupported("REPLICATION roles"));
        }
        let valid_until = match &create.valid_until {
            Some(until) => Some(self.end_of_password(until)?),
            None => None,
        };
        let (_, catalog) = self.write_view()?;
        self.check_create_role(&catalog)?;
        if create.superuser == Some(true) && !self.info.role().superuser {
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                "must be superuser to create superusers",
            ));
        }
        if create.bypassrls == Some(true) && !self.info.role().superuser {
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                "must be superuser to change bypassrls attribute",
            ));
        }
        let mut changes = Vec::new();
        let mut made = Vec::new();
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
            check_free_name(&name)?;
            let password = match &create.password {
                Some(p) => secret(p)?,
                None => None,
            };
            let oid = self.instance.allocate_oid()?;
            made.push(oid);
            changes.push(put!(
                Role,
                Role {
                    oid,
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
                    bypass_rls: create.bypassrls.unwrap_or(false),
                    member_of: Vec::new(),
                    default_privileges: Vec::new(),
                    valid_until,
                    settings: Vec::new(),
                }
            ));
        }
        let catalog = self.change_catalog(changes)?;
        let role = |name: &Ident| {
            let name = fold(name);
            let found = catalog.role_by_name(&name).map(|role| role.oid);
            found.ok_or_else(|| undefined_role(&name))
        };
        let grantor = self.info.role().oid;
        for oid in made {
            for of in create.in_role.iter().chain(&create.in_group) {
                let of = role(of)?;
                self.check_admin(&catalog, of)?;
                self.add_member(of, oid, grantor, false)?;
            }
            for member in create.role.iter().chain(&create.user) {
                self.add_member(oid, role(member)?, grantor, false)?;
            }
            for member in &create.admin {
                self.add_member(oid, role(member)?, grantor, true)?;
            }
        }
        done("CREATE ROLE")
    }

    pub(crate) fn alter_role(
        &mut self,
        name: &Ident,
        operation: &AlterRoleOperation,
    ) -> Result<Outcome> {
        let (_, catalog) = self.write_view()?;
        let name = match fold(name) {
            n if n == "current_user" || n == "session_user" => self.info.role().name.clone(),
            n => n,
        };
        let found = catalog
            .role_by_name(&name)
            .ok_or_else(|| undefined_role(&name))?;
        let mut role = found.as_ref().clone();
        let me = catalog.role(self.info.role().oid);
        let may = me.is_some_and(|r| r.superuser || (r.create_role && !role.superuser));
        match operation {
            AlterRoleOperation::RenameRole { role_name } => {
                if !may {
                    return Err(denied());
                }
                let new = fold(role_name);
                check_free_name(&new)?;
                let session = self.info.with_settings(Settings::identity).session;
                if role.oid == session {
                    return Err(SqlError::new(
                        state::FEATURE_NOT_SUPPORTED,
                        "session user cannot be renamed",
                    ));
                }
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
                    let own_password = matches!(option, RoleOption::Password(_))
                        && role.oid == self.info.role().oid;
                    if !may && !own_password {
                        return Err(match (role.superuser, option) {
                            (true, _) | (_, RoleOption::SuperUser(_)) => superusers_only(),
                            _ => denied(),
                        });
                    }
                    match option {
                        RoleOption::SuperUser(on) => {
                            if !self.info.role().superuser {
                                return Err(superusers_only());
                            }
                            role.superuser = *on;
                        }
                        RoleOption::CreateDB(on) => role.create_db = *on,
                        RoleOption::CreateRole(on) => role.create_role = *on,
                        RoleOption::Inherit(on) => role.inherit = *on,
                        RoleOption::Login(on) => role.login = *on,
                        RoleOption::ConnectionLimit(e) => role.connection_limit = limit(e)?,
                        RoleOption::Password(p) => role.password = secret(p)?,
                        RoleOption::BypassRLS(on) => {
                            if !self.info.role().superuser {
                                return Err(denied());
                            }
                            role.bypass_rls = *on;
                        }
                        RoleOption::Replication(false) => {}
                        RoleOption::Replication(true) => {
                            return Err(SqlError::unsupported("REPLICATION roles"));
                        }
                        RoleOption::ValidUntil(until) => {
                            role.valid_until = Some(self.end_of_password(until)?);
                        }
                    }
                }
            }
            AlterRoleOperation::AddMember { member_name }
            | AlterRoleOperation::DropMember { member_name } => {
                let member = fold(member_name);
                let found = catalog.role_by_name(&member).map(|role| role.oid);
                let member = found.ok_or_else(|| undefined_role(&member))?;
                if !may {
                    return Err(denied());
                }
                match operation {
                    AlterRoleOperation::AddMember { .. } => {
                        let grantor = self.info.role().oid;
                        self.add_member(role.oid, member, grantor, false)?;
                    }
                    _ => self.drop_member(role.oid, member, false)?,
                }
                return done("ALTER ROLE");
            }
            AlterRoleOperation::Set { .. } | AlterRoleOperation::Reset { .. } => {
                return Err(SqlError::internal(
                    "a setting of a role that was not taken for one",
                ));
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
        if role.superuser && !self.info.role().superuser {
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                "must be superuser to drop superusers",
            ));
        }
        if role.oid == self.info.role().oid {
            return Err(SqlError::new(
                state::OBJECT_IN_USE,
                "current user cannot be dropped",
            ));
        }
        if role.oid == self.info.with_settings(Settings::identity).session {
            return Err(SqlError::new(
                state::OBJECT_IN_USE,
                "session user cannot be dropped",
            ));
        }
        if role.oid == oid::BOOTSTRAP_ROLE {
            return Err(SqlError::new(
                state::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop role {name} because it is required by the database system"),
            ));
        }
        let pins = self.pins_of_role(&name)?;
        let mut owned = super::role_uses::of(&catalog, role.oid);
        owned.extend(pins.into_iter().map(|pin| format!("owner of pin {pin}")));
        if !owned.is_empty() {
            return Err(SqlError::new(
                state::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("role \"{name}\" cannot be dropped because some objects depend on it"),
            )
            .with_detail(owned.join("\n")));
        }
        let mut changes = vec![Change::Remove(role.oid)];
        let members = Session::end_memberships(&catalog, role.oid);
        changes.extend(members.into_iter().map(|member| put!(Role, member)));
        self.change_catalog(changes)?;
        Ok(())
    }
}

/// 42939 for names that are the system's, or stand for something else.
fn check_free_name(name: &str) -> Result<()> {
    if name.starts_with("pg_") || matches!(name, "public" | "none") {
        let reserved = SqlError::new(
            state::RESERVED_NAME,
            format!("role name \"{name}\" is reserved"),
        );
        return Err(match name.starts_with("pg_") {
            true => reserved.with_detail("Role names starting with \"pg_\" are reserved."),
            false => reserved,
        });
    }
    Ok(())
}

fn superusers_only() -> SqlError {
    SqlError::new(
        state::INSUFFICIENT_PRIVILEGE,
        "must be superuser to alter superuser roles or change superuser attribute",
    )
}

fn denied() -> SqlError {
    SqlError::new(state::INSUFFICIENT_PRIVILEGE, "permission denied")
}
