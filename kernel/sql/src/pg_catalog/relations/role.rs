//! Roles and the database: what PostgreSQL shares between databases.

use crate::catalog::model::{Role, SettingScope, oid};
use crate::error::{Result, SqlError, state};
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};

/// What `pg_database` says of the one encoding there is: UTF8.
pub const UTF8: i32 = 6;
/// Text compares by its bytes.
const LOCALE: &str = "C";
const PG_DEFAULT_TABLESPACE: u32 = 1663;
const PG_GLOBAL_TABLESPACE: u32 = 1664;
const HIDDEN_PASSWORD: &str = "********";

relations! {
    PG_AUTHID = pg_catalog.pg_authid 1260 'r' {
        oid Oid, rolname Name, rolsuper Bool, rolinherit Bool, rolcreaterole Bool,
        rolcreatedb Bool, rolcanlogin Bool, rolreplication Bool, rolbypassrls Bool,
        rolconnlimit Int4, rolpassword Text null, rolvaliduntil Timestamptz null,
    } => Some(authid_rows);
    PG_ROLES = pg_catalog.pg_roles 12000 'v' {
        rolname Name, rolsuper Bool, rolinherit Bool, rolcreaterole Bool, rolcreatedb Bool,
        rolcanlogin Bool, rolreplication Bool, rolconnlimit Int4, rolpassword Text,
        rolvaliduntil Timestamptz, rolbypassrls Bool, rolconfig TextArray, oid Oid,
    } => Some(role_rows);
    PG_USER = pg_catalog.pg_user 12014 'v' {
        usename Name, usesysid Oid, usecreatedb Bool, usesuper Bool, userepl Bool,
        usebypassrls Bool, passwd Text, valuntil Timestamptz, useconfig TextArray,
    } => Some(user_rows);
    PG_SHADOW = pg_catalog.pg_shadow 12005 'v' {
        usename Name, usesysid Oid, usecreatedb Bool, usesuper Bool, userepl Bool,
        usebypassrls Bool, passwd Text, valuntil Timestamptz, useconfig TextArray,
    } => Some(shadow_rows);
    PG_GROUP = pg_catalog.pg_group 12010 'v' {
        groname Name, grosysid Oid, grolist OidArray,
    } => Some(group_rows);
    PG_HBA_FILE_RULES = pg_catalog.pg_hba_file_rules 12114 'v' {
        line_number Int4, type Text, database TextArray, user_name TextArray, address Text,
        netmask Text, auth_method Text, options TextArray, error Text,
    } => Some(hba_rows);
    PG_DATABASE = pg_catalog.pg_database 1262 'r' {
        oid Oid, datname Name, datdba Oid, encoding Int4, datlocprovider Char,
        datistemplate Bool, datallowconn Bool, datconnlimit Int4, datfrozenxid Xid,
        datminmxid Xid, dattablespace Oid, datcollate Text, datctype Text,
        daticulocale Text null, datcollversion Text null, datacl AclItemArray null,
    } => Some(database_rows);
    PG_TABLESPACE = pg_catalog.pg_tablespace 1213 'r' {
        oid Oid, spcname Name, spcowner Oid, spcacl AclItemArray null, spcoptions TextArray null,
    } => Some(tablespace_rows);
    PG_DB_ROLE_SETTING = pg_catalog.pg_db_role_setting 2964 'r' {
        setdatabase Oid, setrole Oid, setconfig TextArray null,
    } => Some(setting_rows);
    PG_SHDESCRIPTION = pg_catalog.pg_shdescription 2396 'r' {
        objoid Oid, classoid Oid, description Text,
    } => None;
    PG_SHDEPEND = pg_catalog.pg_shdepend 1214 'r' {
        dbid Oid, classid Oid, objid Oid, objsubid Int4, refclassid Oid, refobjid Oid,
        deptype Char,
    } => None;
}

fn valid_until(role: &Role) -> Datum {
    role.valid_until.map_or(NULL, Datum::Timestamp)
}

/// What a role keeps of a scope, as `name=value`; NULL for nothing.
fn settings(role: &Role, scope: SettingScope) -> Datum {
    let settings = role.settings.iter().filter(|s| s.scope == scope);
    let settings: Vec<Option<String>> = settings
        .map(|s| Some(format!("{}={}", s.name, s.value)))
        .collect();
    match settings.is_empty() {
        true => NULL,
        false => Datum::Texts(settings),
    }
}

fn setting_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for role in ctx.catalog.roles() {
        let scopes = [
            (SettingScope::AllRoles, 0, 0),
            (SettingScope::Database, oid::DATABASE, 0),
            (SettingScope::Role, 0, role.oid),
            (SettingScope::RoleInDatabase, oid::DATABASE, role.oid),
        ];
        for (scope, database, of) in scopes {
            let settings = settings(role, scope);
            if !settings.is_null() {
                rows.push(row![database, of, settings])?;
            }
        }
    }
    Ok(())
}

fn authid_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for r in ctx.catalog.roles() {
        let password = r.password.as_ref();
        rows.push(row![
            r.oid,
            &r.name,
            r.superuser,
            r.inherit,
            r.create_role,
            r.create_db,
            r.login,
            r.superuser,
            r.superuser || r.bypass_rls,
            r.connection_limit,
            password,
            valid_until(r),
        ])?;
    }
    Ok(())
}

fn role_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for r in ctx.catalog.roles() {
        rows.push(row![
            &r.name,
            r.superuser,
            r.inherit,
            r.create_role,
            r.create_db,
            r.login,
            r.superuser,
            r.connection_limit,
            HIDDEN_PASSWORD,
            valid_until(r),
            r.superuser || r.bypass_rls,
            settings(r, SettingScope::Role),
            r.oid,
        ])?;
    }
    Ok(())
}

fn user(r: &Role, password: Option<&str>, rows: &mut Rows) -> Result<()> {
    rows.push(row![
        &r.name,
        r.oid,
        r.create_db,
        r.superuser,
        r.superuser,
        r.superuser || r.bypass_rls,
        password,
        valid_until(r),
        settings(r, SettingScope::Role),
    ])
}

fn user_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    ctx.catalog
        .roles()
        .filter(|r| r.login)
        .try_for_each(|r| user(r, Some(HIDDEN_PASSWORD), rows))
}

fn shadow_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    ctx.catalog
        .roles()
        .filter(|r| r.login)
        .try_for_each(|r| user(r, r.password.as_deref(), rows))
}

fn group_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for r in ctx.catalog.roles().filter(|r| !r.login) {
        let members = ctx.catalog.roles();
        let members = members.filter(|m| m.member_of.iter().any(|of| of.role == r.oid));
        let members: Vec<u32> = members.map(|m| m.oid).collect();
        rows.push(row![&r.name, r.oid, members])?;
    }
    Ok(())
}

fn database_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let name = ctx.session.database();
    rows.push(row![
        oid::DATABASE,
        name,
        oid::BOOTSTRAP_ROLE,
        UTF8,
        'c',
        false,
        true,
        -1i32,
        0u32,
        0u32,
        PG_DEFAULT_TABLESPACE,
        LOCALE,
        LOCALE,
        NULL,
        NULL,
        super::privilege::access(ctx, oid::PG_DATABASE, oid::DATABASE, 0),
    ])
}

fn tablespace_rows(_: &SystemContext, rows: &mut Rows) -> Result<()> {
    let owner = oid::BOOTSTRAP_ROLE;
    rows.push(row![PG_DEFAULT_TABLESPACE, "pg_default", owner, NULL, NULL])?;
    rows.push(row![PG_GLOBAL_TABLESPACE, "pg_global", owner, NULL, NULL])
}

/// Who may connect is for superusers to know.
fn hba_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let role = ctx.catalog.role_by_name(&ctx.session.current_user());
    if !role.is_some_and(|role| role.superuser) {
        return Err(SqlError::new(
            state::INSUFFICIENT_PRIVILEGE,
            "permission denied for view pg_hba_file_rules",
        ));
    }
    for rule in ctx.session.hba_rules().iter() {
        rows.push(row![
            rule.line,
            rule.connection,
            rule.databases.clone(),
            rule.users.clone(),
            rule.address.clone(),
            rule.netmask.clone(),
            rule.method,
            NULL,
            NULL
        ])?;
    }
    Ok(())
}
