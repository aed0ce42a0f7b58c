//! `has_*_privilege`: what a role may do.
//!
//! Superusers may do everything, owners everything with what is theirs, and PUBLIC what PostgreSQL
//! grants it when a database is new: use schemas that are built in, connect, execute, read the system
//! catalogs.

use super::{argument, functions};
use crate::catalog::model::{Oid, oid};
use crate::error::{Result, SqlError, state};
use crate::pg_catalog::datum::{Datum, Type};
use crate::pg_catalog::{SystemContext, relations};

functions! {
    has_table_privilege(Regclass, Text) -> Bool = |c, a| table(c, me(c), a, 0, TABLE);
    has_table_privilege(Regrole, Regclass, Text) -> Bool = |c, a| table(c, role(c, a)?, a, 1, TABLE);
    has_any_column_privilege(Regclass, Text) -> Bool = |c, a| table(c, me(c), a, 0, COLUMN);
    has_any_column_privilege(Regrole, Regclass, Text) -> Bool =
        |c, a| table(c, role(c, a)?, a, 1, COLUMN);
    has_column_privilege(Regclass, Text, Text) -> Bool = |c, a| column(c, me(c), a, 0);
    has_column_privilege(Regrole, Regclass, Text, Text) -> Bool =
        |c, a| column(c, role(c, a)?, a, 1);
    has_sequence_privilege(Regclass, Text) -> Bool = |c, a| table(c, me(c), a, 0, SEQUENCE);
    has_sequence_privilege(Regrole, Regclass, Text) -> Bool =
        |c, a| table(c, role(c, a)?, a, 1, SEQUENCE);
    has_schema_privilege(Regnamespace, Text) -> Bool = |c, a| schema(c, me(c), a, 0);
    has_schema_privilege(Regrole, Regnamespace, Text) -> Bool = |c, a| schema(c, role(c, a)?, a, 1);
    has_database_privilege(Text, Text) -> Bool = |c, a| database(c, me(c), a, 0);
    has_database_privilege(Regrole, Text, Text) -> Bool = |c, a| database(c, role(c, a)?, a, 1);
    has_function_privilege(Text, Text) -> Bool = |_, a| public(a, 1, &["EXECUTE"]);
    has_function_privilege(Regrole, Text, Text) -> Bool = |_, a| public(a, 2, &["EXECUTE"]);
    has_type_privilege(Text, Text) -> Bool = |_, a| public(a, 1, &["USAGE"]);
    has_type_privilege(Regrole, Text, Text) -> Bool = |_, a| public(a, 2, &["USAGE"]);
    pg_has_role(Regrole, Text) -> Bool = |c, a| {
        let role = argument::reg(c, Type::Regrole, a, 0)?;
        Ok(member(c, me(c), role).into())
    };
    pg_has_role(Regrole, Regrole, Text) -> Bool = |c, a| {
        let of = argument::reg(c, Type::Regrole, a, 1)?;
        Ok(member(c, role(c, a)?, of).into())
    };
}

const TABLE: &[&str] = &[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "TRUNCATE",
    "REFERENCES",
    "TRIGGER",
    "RULE",
];
const COLUMN: &[&str] = &["SELECT", "INSERT", "UPDATE", "REFERENCES"];
const SEQUENCE: &[&str] = &["USAGE", "SELECT", "UPDATE"];

fn me(ctx: &SystemContext) -> Oid {
    ctx.catalog
        .role_by_name(&ctx.session.current_user())
        .map_or(0, |r| r.oid)
}

fn role(ctx: &SystemContext, args: &[Datum]) -> Result<Oid> {
    argument::reg(ctx, Type::Regrole, args, 0)
}

fn superuser(ctx: &SystemContext, role: Oid) -> bool {
    ctx.catalog.role(role).is_some_and(|r| r.superuser)
}

/// No role is a member of another, yet.
fn member(ctx: &SystemContext, role: Oid, of: Oid) -> bool {
    role == of || superuser(ctx, role)
}

/// The privileges asked about, checked: a list means any of them.
fn wanted(args: &[Datum], at: usize, known: &[&str]) -> Result<Vec<String>> {
    let text = argument::text(args, at)?;
    text.split(',')
        .map(|word| {
            let upper = word.trim().to_ascii_uppercase();
            let base = upper.strip_suffix(" WITH GRANT OPTION").unwrap_or(&upper);
            if known.contains(&base) {
                Ok(upper)
            } else {
                let message = format!("unrecognized privilege type: \"{}\"", word.trim());
                Err(SqlError::new(state::INVALID_PARAMETER_VALUE, message))
            }
        })
        .collect()
}

fn public(args: &[Datum], at: usize, known: &[&str]) -> Result<Datum> {
    wanted(args, at, known)?;
    Ok(true.into())
}

fn table(
    ctx: &SystemContext,
    role: Oid,
    args: &[Datum],
    at: usize,
    known: &[&str],
) -> Result<Datum> {
    let relation = argument::reg(ctx, Type::Regclass, args, at)?;
    let wanted = wanted(args, at + 1, known)?;
    if let Some(found) = ctx.catalog.relation(relation) {
        return Ok((superuser(ctx, role) || found.owner() == role).into());
    }
    // What only its owner reads there: password hashes.
    let system = relations::find_oid(relation);
    let readable = |name: &str| !matches!(name, "pg_authid" | "pg_shadow" | "pg_statistic");
    Ok(system
        .map(|r| superuser(ctx, role) || (readable(r.name) && wanted.iter().any(|w| w == "SELECT")))
        .into())
}

fn column(ctx: &SystemContext, role: Oid, args: &[Datum], at: usize) -> Result<Datum> {
    let relation = argument::reg(ctx, Type::Regclass, args, at)?;
    let column = argument::text(args, at + 1)?;
    if let Some(t) = ctx.catalog.table(relation)
        && t.column(column).is_none()
        && !column
            .parse::<usize>()
            .is_ok_and(|n| (1..=t.columns.len()).contains(&n))
    {
        let message = format!(
            "column \"{column}\" of relation \"{}\" does not exist",
            t.name
        );
        return Err(SqlError::new(state::UNDEFINED_COLUMN, message));
    }
    let rest = [Datum::Oid(relation), args[at + 2].clone()];
    table(ctx, role, &rest, 0, COLUMN)
}

fn schema(ctx: &SystemContext, role: Oid, args: &[Datum], at: usize) -> Result<Datum> {
    let schema = argument::reg(ctx, Type::Regnamespace, args, at)?;
    let wanted = wanted(args, at + 1, &["CREATE", "USAGE"])?;
    let Some(name) = ctx.schema_name(schema) else {
        return Ok(Datum::Null);
    };
    let owner = ctx
        .catalog
        .schema(schema)
        .map_or(oid::BOOTSTRAP_ROLE, |s| s.owner);
    let open = matches!(
        name.as_str(),
        "pg_catalog" | "information_schema" | "public"
    ) && wanted.iter().any(|w| w == "USAGE");
    Ok((superuser(ctx, role) || owner == role || open).into())
}

fn database(ctx: &SystemContext, role: Oid, args: &[Datum], at: usize) -> Result<Datum> {
    let name = argument::text(args, at)?;
    let wanted = wanted(args, at + 1, &["CREATE", "CONNECT", "TEMPORARY", "TEMP"])?;
    if name != ctx.session.database() && name != oid::DATABASE.to_string() {
        let message = format!("database \"{name}\" does not exist");
        return Err(SqlError::new(state::INVALID_CATALOG_NAME, message));
    }
    Ok((superuser(ctx, role) || wanted.iter().any(|w| w != "CREATE")).into())
}
