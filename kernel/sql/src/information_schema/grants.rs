//! Who may do what with a table. Privileges are those of ownership: each owner has all of them, and may pass them on.

use super::{NO, YES, shown};
use crate::catalog::model::Oid;
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::relation::{Rows, relations, row};

relations! {
    TABLE_PRIVILEGES = information_schema.table_privileges 13416 'v' {
        grantor SqlIdentifier, grantee SqlIdentifier, table_catalog SqlIdentifier,
        table_schema SqlIdentifier, table_name SqlIdentifier, privilege_type CharacterData,
        is_grantable YesOrNo, with_hierarchy YesOrNo,
    } => Some(grants);
    ROLE_TABLE_GRANTS = information_schema.role_table_grants 13421 'v' {
        grantor SqlIdentifier, grantee SqlIdentifier, table_catalog SqlIdentifier,
        table_schema SqlIdentifier, table_name SqlIdentifier, privilege_type CharacterData,
        is_grantable YesOrNo, with_hierarchy YesOrNo,
    } => Some(grants);
}

const PRIVILEGES: [&str; 7] = [
    "INSERT",
    "SELECT",
    "UPDATE",
    "DELETE",
    "TRUNCATE",
    "REFERENCES",
    "TRIGGER",
];

fn grants(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for t in ctx.catalog.tables() {
        push(ctx, rows, t.schema, &t.name, t.owner)?;
    }
    for v in ctx.catalog.views() {
        push(ctx, rows, v.schema, &v.name, v.owner)?;
    }
    Ok(())
}

fn push(ctx: &SystemContext, rows: &mut Rows, schema: Oid, name: &str, owner: Oid) -> Result<()> {
    if !shown(ctx, owner) {
        return Ok(());
    }
    for privilege in PRIVILEGES {
        rows.push(row![
            ctx.role_name(owner),
            ctx.role_name(owner),
            ctx.session.database(),
            ctx.schema_name(schema),
            name,
            privilege,
            YES,
            // Only SELECT reaches down to children.
            if privilege == "SELECT" { YES } else { NO },
        ])?;
    }
    Ok(())
}
