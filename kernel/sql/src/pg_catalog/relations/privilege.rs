//! Who is a member of what, default privileges, policies of rows.

use crate::catalog::Oid;
use crate::catalog::access::{PUBLIC, Policy};
use crate::catalog::model::Table;
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::deparse;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};
use crate::privilege::acl::item_text;

relations! {
    PG_AUTH_MEMBERS = pg_catalog.pg_auth_members 1261 'r' {
        roleid Oid, member Oid, grantor Oid, admin_option Bool,
    } => Some(member_rows);
    PG_DEFAULT_ACL = pg_catalog.pg_default_acl 826 'r' {
        oid Oid, defaclrole Oid, defaclnamespace Oid, defaclobjtype Char, defaclacl AclItemArray,
    } => Some(default_rows);
    PG_POLICY = pg_catalog.pg_policy 3256 'r' {
        oid Oid, polname Name, polrelid Oid, polcmd Char, polpermissive Bool, polroles OidArray,
        polqual NodeTree null, polwithcheck NodeTree null,
    } => Some(policy_rows);
    PG_POLICIES = pg_catalog.pg_policies 12018 'v' {
        schemaname Name, tablename Name, policyname Name, permissive Text, roles NameArray,
        cmd Text, qual Text, with_check Text,
    } => Some(policies_rows);
}

/// An access list as `aclitem[]`, or NULL for an object that has none of its own.
pub fn access(ctx: &SystemContext, class: Oid, object: Oid, sub: i32) -> Datum {
    match ctx.catalog.access(class, object, sub) {
        None => NULL,
        Some(items) => {
            let items = items.iter().map(|item| item_text(&ctx.catalog, item));
            items.collect::<Vec<String>>().into()
        }
    }
}

fn member_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for member in ctx.catalog.roles() {
        for m in &member.member_of {
            rows.push(row![m.role, member.oid, m.grantor, m.admin])?;
        }
    }
    Ok(())
}

fn default_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for role in ctx.catalog.roles() {
        for default in &role.default_privileges {
            let items = default.items.iter();
            let items = items.map(|item| item_text(&ctx.catalog, item));
            rows.push(row![
                default.oid,
                role.oid,
                default.schema.unwrap_or(0),
                default.kind.code(),
                items.collect::<Vec<String>>(),
            ])?;
        }
    }
    Ok(())
}

fn policies(ctx: &SystemContext) -> impl Iterator<Item = (&Table, &Policy)> {
    ctx.catalog
        .tables()
        .flat_map(|t| t.policies.iter().map(move |p| (t.as_ref(), p)))
}

fn policy_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for (table, policy) in policies(ctx) {
        let tree = |expression: &Option<String>| match expression {
            Some(expression) => deparse::node_tree(None, expression).into(),
            None => NULL,
        };
        rows.push(row![
            policy.oid,
            &policy.name,
            table.oid,
            policy.command.code(),
            policy.permissive,
            policy.roles.clone(),
            tree(&policy.using),
            tree(&policy.check),
        ])?;
    }
    Ok(())
}

fn policies_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for (table, policy) in policies(ctx) {
        let role = |role: &Oid| match *role {
            PUBLIC => "public".to_owned(),
            role => ctx.role_name(role).unwrap_or_default(),
        };
        let shown = |expression: &Option<String>| match expression {
            Some(text) => Datum::from(deparse::expression(ctx, text, Some(table), None, false)),
            None => NULL,
        };
        rows.push(row![
            ctx.schema_name(table.schema),
            &table.name,
            &policy.name,
            if policy.permissive {
                "PERMISSIVE"
            } else {
                "RESTRICTIVE"
            },
            policy.roles.iter().map(role).collect::<Vec<String>>(),
            policy.command.name(),
            shown(&policy.using),
            shown(&policy.check),
        ])?;
    }
    Ok(())
}
