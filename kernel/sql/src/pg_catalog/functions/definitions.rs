//! Objects as SQL text, and comments on them.

use super::{argument, functions};
use crate::catalog::model::{Oid, oid};
use crate::error::{Result, SqlError, state};
use crate::pg_catalog::builtin::builtin_comments;
use crate::pg_catalog::datum::{Datum, Type};
use crate::pg_catalog::{SystemContext, definition, deparse, names, relations, routine};

functions! {
    pg_get_constraintdef(Oid) -> Text = |c, a| constraint(c, a, false);
    pg_get_constraintdef(Oid, Bool) -> Text = |c, a| constraint(c, a, argument::flag(a, 1)?);
    pg_get_indexdef(Oid) -> Text = |c, a| index(c, a, false);
    pg_get_indexdef(Oid, Int4, Bool) -> Text = |c, a| {
        let pretty = argument::flag(a, 2)?;
        match argument::int(a, 1)? {
            0 => index(c, a, pretty),
            n => Ok(c
                .catalog
                .index(argument::oid(a, 0)?)
                // Past the last column PostgreSQL says the empty string.
                .map(|i| definition::index_part(c, i, n).unwrap_or_default())
                .into()),
        }
    };
    pg_get_viewdef(Regclass) -> Text = |c, a| view(c, a, false);
    pg_get_viewdef(Regclass, Bool) -> Text = |c, a| view(c, a, argument::flag(a, 1)?);
    pg_get_expr(NodeTree, Oid) -> Text = |c, a| expression(c, a, false);
    pg_get_expr(NodeTree, Oid, Bool) -> Text = |c, a| expression(c, a, argument::flag(a, 2)?);
    pg_get_serial_sequence(Text, Text) -> Text = serial_sequence;
    pg_get_functiondef(Oid) -> Text = |c, a| {
        let oid = argument::oid(a, 0)?;
        if let Some(routine) = c.catalog.routines().get(oid) {
            return Ok(routine::definition(c, routine).into());
        }
        match names::function_name(c, oid) {
            None => Ok(Datum::Null),
            Some(name) => Err(SqlError::unsupported(format!("the definition of function {name}, which is not SQL"))),
        }
    };

    pg_get_function_sqlbody(Oid) -> Text = |_, _| Ok(Datum::Null);
    pg_get_function_arg_default(Oid, Int4) -> Text = |_, _| Ok(Datum::Null);
    pg_get_ruledef(Oid) -> Text = |_, _| Ok(Datum::Null);
    pg_get_ruledef(Oid, Bool) -> Text = |_, _| Ok(Datum::Null);
    pg_get_triggerdef(Oid) -> Text = |_, _| Ok(Datum::Null);
    pg_get_triggerdef(Oid, Bool) -> Text = |_, _| Ok(Datum::Null);
    pg_get_partkeydef(Oid) -> Text = |_, _| Ok(Datum::Null);
    pg_get_partition_constraintdef(Oid) -> Text = |_, _| Ok(Datum::Null);
    pg_get_statisticsobjdef(Oid) -> Text = |_, _| Ok(Datum::Null);
    pg_get_statisticsobjdef_columns(Oid) -> Text = |_, _| Ok(Datum::Null);
    pg_partition_ancestors(Regclass) -> OidArray = |_, _| Ok(Datum::Oids(Vec::new()));
    pg_partition_root(Regclass) -> Regclass = |_, _| Ok(Datum::Null);
    pg_relation_is_publishable(Regclass) -> Bool = |c, a| {
        let oid = argument::reg(c, Type::Regclass, a, 0)?;
        Ok(c.catalog.relation(oid).map(|r| r.kind() == "table").or(relations::find_oid(oid).map(|_| false)).into())
    };

    obj_description(Oid, Name) -> Text = |c, a| {
        let object = argument::oid(a, 0)?;
        let class = class_oid(argument::text(a, 1)?);
        Ok(class.and_then(|class| comment(c, class, object)).into())
    };
    obj_description(Oid) -> Text = |c, a| {
        let object = argument::oid(a, 0)?;
        let found = c.catalog.comments().find(|d| d.object == object && d.sub == 0);
        let built_in = builtin_comments().find(|(_, oid, _)| *oid == object);
        Ok(found.map(|d| d.text.as_str()).or(built_in.map(|(_, _, text)| text)).into())
    };
    col_description(Oid, Int4) -> Text = |c, a| {
        let column = i32::try_from(argument::int(a, 1)?).unwrap_or_default();
        Ok(c.catalog.comment(oid::PG_CLASS, argument::oid(a, 0)?, column).into())
    };
    shobj_description(Oid, Name) -> Text = |c, a| {
        let object = argument::oid(a, 0)?;
        let class = class_oid(argument::text(a, 1)?);
        Ok(class.and_then(|class| comment(c, class, object)).into())
    };
}

/// What is said of a whole object.
fn comment(ctx: &SystemContext, class: Oid, object: Oid) -> Option<&str> {
    let built_in = || builtin_comments().find(|(c, o, _)| *c == class && *o == object);
    ctx.catalog
        .comment(class, object, 0)
        .or_else(|| built_in().map(|(_, _, text)| text))
}

fn class_oid(name: &str) -> Option<Oid> {
    relations::find("pg_catalog", name).map(|r| r.oid)
}

fn constraint(ctx: &SystemContext, args: &[Datum], pretty: bool) -> Result<Datum> {
    let oid = argument::oid(args, 0)?;
    let constraint = ctx.catalog.constraint(oid);
    if constraint.is_none() {
        return Ok(definition::domain_constraint(ctx, oid, pretty).into());
    }
    Ok(constraint
        .map(|c| definition::constraint(ctx, c, pretty))
        .into())
}

fn index(ctx: &SystemContext, args: &[Datum], pretty: bool) -> Result<Datum> {
    let index = ctx.catalog.index(argument::oid(args, 0)?);
    Ok(index.map(|i| definition::index(ctx, i, pretty)).into())
}

fn view(ctx: &SystemContext, args: &[Datum], pretty: bool) -> Result<Datum> {
    let view = argument::reg(ctx, Type::Regclass, args, 0)?;
    Ok(ctx
        .catalog
        .view(view)
        .map(|v| definition::view(ctx, v, pretty))
        .into())
}

/// `adbin` and `conbin` hold the stored text; the relation gives its columns their types.
fn expression(ctx: &SystemContext, args: &[Datum], pretty: bool) -> Result<Datum> {
    let tree = argument::text(args, 0)?;
    let table = ctx
        .catalog
        .table(argument::oid(args, 1)?)
        .map(AsRef::as_ref);
    let Some((column, text)) = deparse::read_node_tree(tree) else {
        let message = format!("invalid pg_node_tree: \"{tree}\"");
        return Err(SqlError::new(state::INVALID_TEXT_REPRESENTATION, message));
    };
    // A default takes its column's type.
    let target = column
        .and_then(|number| table?.column_at(number.checked_sub(1)?))
        .map(|c| (c.type_oid, c.typmod));
    Ok(deparse::expression(ctx, text, table, target, pretty).into())
}

fn serial_sequence(ctx: &SystemContext, args: &[Datum]) -> Result<Datum> {
    let relation = names::relation_oid(ctx, argument::text(args, 0)?)?;
    let name = argument::text(args, 1)?;
    let Some(table) = ctx.catalog.table(relation) else {
        return Ok(Datum::Null);
    };
    let (column, _) = table.column(name).ok_or_else(|| {
        let message = format!(
            "column \"{name}\" of relation \"{}\" does not exist",
            table.name
        );
        SqlError::new(state::UNDEFINED_COLUMN, message)
    })?;
    let sequence = ctx.catalog.sequences().find(|s| {
        s.owned_by
            .is_some_and(|owner| owner.table == table.oid && owner.column == column.0)
    });
    Ok(sequence
        .and_then(|s| names::qualified_relation_name(ctx, s.oid))
        .into())
}
