//! `pg_namespace`.

use crate::catalog::model::oid;
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};

relations! {
    PG_NAMESPACE = pg_catalog.pg_namespace 2615 'r' {
        oid Oid, nspname Name, nspowner Oid, nspacl AclItemArray null,
    } => Some(rows);
}

fn rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for (built_in, name) in [
        (oid::PG_CATALOG_SCHEMA, "pg_catalog"),
        (oid::INFORMATION_SCHEMA, "information_schema"),
    ] {
        // A catalog may hold the built-in schemas as objects too.
        if ctx.catalog.schema(built_in).is_none() {
            rows.push(row![built_in, name, oid::BOOTSTRAP_ROLE, NULL])?;
        }
    }
    for schema in ctx.catalog.schemas() {
        let access = super::privilege::access(ctx, oid::PG_NAMESPACE, schema.oid, 0);
        rows.push(row![schema.oid, &schema.name, schema.owner, access])?;
    }
    Ok(())
}
