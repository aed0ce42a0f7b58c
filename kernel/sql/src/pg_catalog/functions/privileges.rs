//! `has_*_privilege`: what a role may do.
//!
//! The answers are those of the access lists that statements are checked by ([`crate::privilege`]). Functions
//! and types that are built in are everybody's, and so are the system catalogs but for what is secret.

use super::{argument, functions};
use crate::catalog::access::Privileges;
use crate::catalog::model::oid;
use crate::catalog::{Oid, Relation};
use crate::error::{Result, SqlError, state};
use crate::pg_catalog::datum::{Datum, Type};
use crate::pg_catalog::{SystemContext, names, relations};
use crate::privilege::acl::{Acl, ObjectClass};
use crate::privilege::{Authority, authority};

functions! {
    has_table_privilege(Regclass, Text) -> Bool = |c, a| table(c, me(c), a, 0, TABLE);
    has_table_privilege(Regrole, Regclass, Text) -> Bool = |c, a| table(c, role(c, a)?, a, 1, TABLE);
    has_any_column_privilege(Regclass, Text) -> Bool = |c, a| any_column(c, me(c), a, 0);
    has_any_column_privilege(Regrole, Regclass, Text) -> Bool =
        |c, a| any_column(c, role(c, a)?, a, 1);
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
    row_security_active(Regclass) -> Bool = |c, a| {
        let relation = argument::reg(c, Type::Regclass, a, 0)?;
        let table = c.catalog.table(relation);
        Ok(table.is_some_and(|t| c.current_role().is_bound_by(t)).into())
    };
    has_function_privilege(Regprocedure, Text) -> Bool = |c, a| function(c, me(c), a, 0);
    has_function_privilege(Regrole, Regprocedure, Text) -> Bool =
        |c, a| function(c, role(c, a)?, a, 1);
    has_type_privilege(Text, Text) -> Bool = |_, a| public(a, 1, TYPE);
    has_type_privilege(Regrole, Text, Text) -> Bool = |_, a| public(a, 2, TYPE);
    pg_has_role(Regrole, Text) -> Bool = |c, a| {
        let of = argument::reg(c, Type::Regrole, a, 0)?;
        member(c, me(c), of, argument::text(a, 1)?)
    };
    pg_has_role(Regrole, Regrole, Text) -> Bool = |c, a| {
        let of = argument::reg(c, Type::Regrole, a, 1)?;
        member(c, role(c, a)?, of, argument::text(a, 2)?)
    };
}

const TABLE: ObjectClass = ObjectClass::Table;
const SEQUENCE: ObjectClass = ObjectClass::Sequence;
const FUNCTION: ObjectClass = ObjectClass::Function;
const TYPE: ObjectClass = ObjectClass::Type;

fn me(ctx: &SystemContext) -> Oid {
    ctx.catalog
        .role_by_name(&ctx.session.current_user())
        .map_or(0, |r| r.oid)
}

fn role(ctx: &SystemContext, args: &[Datum]) -> Result<Oid> {
    argument::reg(ctx, Type::Regrole, args, 0)
}

/// Whether a role is a member of another, or has its privileges, as `what` asks.
fn member(ctx: &SystemContext, role: Oid, of: Oid, what: &str) -> Result<Datum> {
    let mut any = false;
    for word in what.split(',') {
        let upper = word.trim().to_ascii_uppercase();
        let (base, admin) = match upper
            .strip_suffix(" WITH ADMIN OPTION")
            .or_else(|| upper.strip_suffix(" WITH GRANT OPTION"))
        {
            Some(base) => (base, true),
            None => (upper.as_str(), false),
        };
        any |= match (base, admin) {
            ("USAGE", false) => Authority::of(&ctx.catalog, role).has(of),
            ("MEMBER", false) => authority::is_member(&ctx.catalog, role, of),
            ("USAGE" | "MEMBER", true) => authority::is_admin(&ctx.catalog, role, of),
            _ => {
                let message = format!("unrecognized privilege type: \"{}\"", word.trim());
                return Err(SqlError::new(state::INVALID_PARAMETER_VALUE, message));
            }
        };
    }
    Ok(any.into())
}

/// A privilege asked about, and whether with the option to grant it.
type Wanted = (Privileges, bool);

/// The privileges asked about, checked: a list means any of them.
fn wanted(args: &[Datum], at: usize, class: ObjectClass) -> Result<Vec<Wanted>> {
    let text = argument::text(args, at)?;
    text.split(',')
        .map(|word| {
            let upper = word.trim().to_ascii_uppercase();
            let (base, option) = match upper.strip_suffix(" WITH GRANT OPTION") {
                Some(base) => (base, true),
                None => (upper.as_str(), false),
            };
            match Privileges::named(base) {
                Some(privilege) if class.all().contains(privilege) => Ok((privilege, option)),
                // There are no rules to make.
                _ if base == "RULE" && class == ObjectClass::Table => Ok((Privileges::NONE, true)),
                _ => {
                    let message = format!("unrecognized privilege type: \"{}\"", word.trim());
                    Err(SqlError::new(state::INVALID_PARAMETER_VALUE, message))
                }
            }
        })
        .collect()
}

fn public(args: &[Datum], at: usize, class: ObjectClass) -> Result<Datum> {
    wanted(args, at, class)?;
    Ok(true.into())
}

/// Whether a role has any of the privileges by a list, or all of them as a superuser.
fn any(ctx: &SystemContext, role: Oid, class: ObjectClass, acl: &Acl, wanted: &[Wanted]) -> bool {
    let role = Authority::of(&ctx.catalog, role);
    let holds = |held| role.holds(held);
    let (has, may_grant) = (acl.privileges(holds), acl.grantable(class, holds));
    let is = |(privilege, option): &Wanted| {
        let of = if *option { may_grant } else { has };
        !privilege.is_empty() && of.contains(*privilege)
    };
    role.superuser || wanted.iter().any(is)
}

/// What only its owner reads of the system's relations: password hashes.
pub(crate) fn is_secret(relation: &str) -> bool {
    matches!(
        relation,
        "pg_authid" | "pg_shadow" | "pg_statistic" | "pg_user_mapping"
    )
}

fn table(
    ctx: &SystemContext,
    role: Oid,
    args: &[Datum],
    at: usize,
    class: ObjectClass,
) -> Result<Datum> {
    let relation = argument::reg(ctx, Type::Regclass, args, at)?;
    let wanted = wanted(args, at + 1, class)?;
    if let Some(found) = ctx.catalog.relation(relation) {
        let of = authority::class_of(&found);
        let acl = authority::acl_of(&ctx.catalog, of, relation, 0, found.owner());
        return Ok(any(ctx, role, of, &acl, &wanted).into());
    }
    let system = relations::find_oid(relation);
    let superuser = Authority::of(&ctx.catalog, role).superuser;
    let reads = wanted.contains(&(Privileges::SELECT, false));
    Ok(system
        .map(|r| superuser || (!is_secret(r.name) && reads))
        .into())
}

/// The list of a column and what its table's says for all.
fn column_acl(ctx: &SystemContext, relation: Oid, attribute: i32) -> Option<Acl> {
    let found = ctx.catalog.relation(relation)?;
    let class = authority::class_of(&found);
    let mut acl = authority::acl_of(&ctx.catalog, class, relation, 0, found.owner());
    let column = ctx.catalog.access(oid::PG_CLASS, relation, attribute);
    acl.merge(column.unwrap_or_default());
    Some(acl)
}

fn any_column(ctx: &SystemContext, role: Oid, args: &[Datum], at: usize) -> Result<Datum> {
    let relation = argument::reg(ctx, Type::Regclass, args, at)?;
    let asked = wanted(args, at + 1, ObjectClass::Column)?;
    let columns = match ctx.catalog.relation(relation) {
        Some(Relation::Table(t)) => t.columns.len(),
        Some(Relation::View(v)) => v.columns.len(),
        _ => return table(ctx, role, args, at, ObjectClass::Column),
    };
    let columns = 1..=i32::try_from(columns).unwrap_or(i32::MAX);
    let lists = columns.filter_map(|attribute| column_acl(ctx, relation, attribute));
    let mut lists = lists.map(|acl| any(ctx, role, ObjectClass::Column, &acl, &asked));
    Ok(lists.any(|has| has).into())
}

fn column(ctx: &SystemContext, role: Oid, args: &[Datum], at: usize) -> Result<Datum> {
    let relation = argument::reg(ctx, Type::Regclass, args, at)?;
    let column = argument::text(args, at + 1)?;
    let number = match ctx.catalog.relation(relation) {
        Some(Relation::Table(t)) => {
            let named = t.column(column).map(|(id, _)| usize::from(id.0) + 1);
            let numbered = column.parse().ok();
            let number = named
                .or(numbered)
                .filter(|n| (1..=t.columns.len()).contains(n));
            Some(number.ok_or_else(|| undefined_column(column, &t.name))?)
        }
        Some(Relation::View(v)) => {
            let named = v.columns.iter().position(|c| c.name == column);
            let number = named.map(|at| at + 1).or_else(|| column.parse().ok());
            Some(number.ok_or_else(|| undefined_column(column, &v.name))?)
        }
        _ => None,
    };
    let rest = [Datum::Oid(relation), args[at + 2].clone()];
    let Some(number) = number else {
        return table(ctx, role, &rest, 0, ObjectClass::Column);
    };
    let asked = wanted(&rest, 1, ObjectClass::Column)?;
    let number = i32::try_from(number).unwrap_or(i32::MAX);
    let acl = column_acl(ctx, relation, number);
    Ok(acl
        .map(|acl| any(ctx, role, ObjectClass::Column, &acl, &asked))
        .into())
}

fn undefined_column(column: &str, relation: &str) -> SqlError {
    let message = format!("column \"{column}\" of relation \"{relation}\" does not exist");
    SqlError::new(state::UNDEFINED_COLUMN, message)
}

fn schema(ctx: &SystemContext, role: Oid, args: &[Datum], at: usize) -> Result<Datum> {
    let schema = argument::reg(ctx, Type::Regnamespace, args, at)?;
    let wanted = wanted(args, at + 1, ObjectClass::Schema)?;
    if ctx.schema_name(schema).is_none() {
        return Ok(Datum::Null);
    }
    let owner = ctx
        .catalog
        .schema(schema)
        .map_or(oid::BOOTSTRAP_ROLE, |s| s.owner);
    let class = ObjectClass::Schema;
    let acl = authority::acl_of(&ctx.catalog, class, schema, 0, owner);
    Ok(any(ctx, role, class, &acl, &wanted).into())
}

fn function(ctx: &SystemContext, role: Oid, args: &[Datum], at: usize) -> Result<Datum> {
    let function = argument::reg(ctx, Type::Regprocedure, args, at)?;
    let wanted = wanted(args, at + 1, FUNCTION)?;
    if let Some(routine) = ctx.catalog.routines().get(function) {
        let acl = authority::acl_of(&ctx.catalog, FUNCTION, function, 0, routine.owner);
        return Ok(any(ctx, role, FUNCTION, &acl, &wanted).into());
    }
    if !names::is_function(ctx, function) {
        return Ok(Datum::Null);
    }
    let superuser = Authority::of(&ctx.catalog, role).superuser;
    let calls = wanted.contains(&(Privileges::EXECUTE, false));
    Ok((superuser || calls).into())
}

fn database(ctx: &SystemContext, role: Oid, args: &[Datum], at: usize) -> Result<Datum> {
    let name = argument::text(args, at)?;
    let wanted = wanted(args, at + 1, ObjectClass::Database)?;
    if name != ctx.session.database() && name != oid::DATABASE.to_string() {
        let message = format!("database \"{name}\" does not exist");
        return Err(SqlError::new(state::INVALID_CATALOG_NAME, message));
    }
    let class = ObjectClass::Database;
    let owner = oid::BOOTSTRAP_ROLE;
    let acl = authority::acl_of(&ctx.catalog, class, oid::DATABASE, 0, owner);
    Ok(any(ctx, role, class, &acl, &wanted).into())
}
