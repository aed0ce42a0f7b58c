//! Who may do what with tables and views.

use super::{NO, YES, yes_or_no};
use crate::catalog::Relation;
use crate::catalog::access::{AclItem, PUBLIC, Privileges};
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::relation::{Rows, relations, row};
use crate::privilege::acl::ObjectClass;
use crate::privilege::authority;

relations! {
    TABLE_PRIVILEGES = information_schema.table_privileges 13416 'v' {
        grantor SqlIdentifier, grantee SqlIdentifier, table_catalog SqlIdentifier,
        table_schema SqlIdentifier, table_name SqlIdentifier, privilege_type CharacterData,
        is_grantable YesOrNo, with_hierarchy YesOrNo,
    } => Some(table_rows);
    ROLE_TABLE_GRANTS = information_schema.role_table_grants 13421 'v' {
        grantor SqlIdentifier, grantee SqlIdentifier, table_catalog SqlIdentifier,
        table_schema SqlIdentifier, table_name SqlIdentifier, privilege_type CharacterData,
        is_grantable YesOrNo, with_hierarchy YesOrNo,
    } => Some(role_rows);
}

fn table_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    each(ctx, rows, true)
}

fn role_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    each(ctx, rows, false)
}

/// What was granted on tables and views by or to the current user's roles, or to everybody where that counts.
fn each(ctx: &SystemContext, rows: &mut Rows, public: bool) -> Result<()> {
    let tables = ctx.catalog.tables().map(|t| Relation::Table(t.clone()));
    let views = ctx.catalog.views().map(|v| Relation::View(v.clone()));
    let role = ctx.current_role();
    for relation in tables.chain(views) {
        let (oid, owner) = (relation.oid(), relation.owner());
        let acl = authority::acl_of(&ctx.catalog, ObjectClass::Table, oid, 0, owner);
        for item in &acl.items {
            let concerned = role.has(item.grantor)
                || match item.grantee {
                    PUBLIC => public,
                    grantee => role.has(grantee),
                };
            if concerned {
                push(ctx, rows, &relation, item)?;
            }
        }
    }
    Ok(())
}

fn push(ctx: &SystemContext, rows: &mut Rows, relation: &Relation, item: &AclItem) -> Result<()> {
    let grantee = match item.grantee {
        PUBLIC => Some("PUBLIC".to_owned()),
        grantee => ctx.role_name(grantee),
    };
    for privilege in item.privileges.each() {
        rows.push(row![
            ctx.role_name(item.grantor),
            grantee.clone(),
            ctx.session.database(),
            ctx.schema_name(relation.schema()),
            relation.name(),
            privilege.name(),
            // An owner may always grant, and the list does not say so.
            yes_or_no(item.grantable.contains(privilege) || item.grantee == relation.owner()),
            // Only SELECT reaches down to children.
            if privilege == Privileges::SELECT {
                YES
            } else {
                NO
            },
        ])?;
    }
    Ok(())
}
