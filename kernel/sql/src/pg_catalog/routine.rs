//! Functions and procedures of users in the system catalogs, and as the SQL that makes them.

use std::fmt::Write;

use super::SystemContext;
use super::deparse;
use super::names::{format_type, quote_ident, quote_literal};
use super::relation::{NULL, Rows, row};
use super::row_type;
use crate::catalog::model::*;
use crate::error::Result;

/// `pg_language.oid` of `sql`.
pub const SQL_LANGUAGE: Oid = 14;

/// What `pg_proc` has of them.
pub fn rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for r in ctx.catalog.routines().iter() {
        let inputs = r.input_types();
        let is_plain = r.parameters.iter().all(|p| p.mode == ParameterMode::In);
        let types: Vec<Oid> = r.parameters.iter().map(|p| p.type_oid).collect();
        let modes = r.parameters.iter().map(|p| p.mode.code().to_string());
        let modes: Vec<String> = modes.collect();
        let names = r.parameters.iter();
        let names = names.map(|p| p.name.clone().unwrap_or_default());
        let names: Vec<String> = names.collect();
        let (types, modes) = match is_plain {
            true => (NULL, NULL),
            false => (types.into(), modes.into()),
        };
        let names = match names.iter().all(String::is_empty) {
            true => NULL,
            false => names.into(),
        };
        let mut parameters = r.parameters.iter();
        let variadic = parameters.find(|p| p.mode == ParameterMode::Variadic);
        let defaults: Vec<String> = r.inputs().filter_map(|p| default(ctx, p)).collect();
        let count = defaults.len();
        let config = r.settings.iter();
        let config: Vec<String> = config
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        rows.push(row![
            r.oid,
            &r.name,
            r.schema,
            r.owner,
            SQL_LANGUAGE,
            r.cost,
            r.rows,
            variadic.map_or(0, |p| item_of(ctx, p.type_oid)),
            0u32,
            match r.kind {
                RoutineKind::Function => 'f',
                RoutineKind::Procedure => 'p',
            },
            r.definer,
            r.leakproof,
            r.strict,
            r.returns_set,
            r.volatility.code(),
            r.parallel,
            i16::try_from(inputs.len()).unwrap_or(i16::MAX),
            i16::try_from(count).unwrap_or(i16::MAX),
            result_type(r),
            inputs,
            types,
            modes,
            names,
            match count {
                0 => NULL,
                _ => defaults.join(", ").into(),
            },
            NULL,
            &r.body,
            NULL,
            NULL,
            match config.is_empty() {
                true => NULL,
                false => config.into(),
            },
            super::relations::privilege::access(ctx, oid::PG_PROC, r.oid, 0),
        ])?;
    }
    Ok(())
}

/// The type of the items of an array type.
fn item_of(ctx: &SystemContext, array: Oid) -> Oid {
    /// `anyarray`, whose items are `anyelement`.
    const ANY: (Oid, Oid) = (2277, 2283);
    if array == ANY.0 {
        return ANY.1;
    }
    match ctx.catalog.pg_type(array) {
        Some(crate::types::PgType::Array(item)) => item.oid(),
        _ => 0,
    }
}

/// `pg_proc.prorettype`.
pub fn result_type(routine: &Routine) -> Oid {
    match routine.result {
        ResultShape::Relation(relation) => row_type::row_type(relation),
        _ => routine.result_type(),
    }
}

/// The default of a parameter as it is shown.
pub fn default(ctx: &SystemContext, parameter: &Parameter) -> Option<String> {
    let text = parameter.default.as_ref()?;
    let target = Some((parameter.type_oid, -1));
    Some(deparse::expression(ctx, text, None, target, false))
}

fn type_name(ctx: &SystemContext, oid: Oid) -> String {
    format_type(ctx, oid, None)
}

/// `pg_get_function_arguments`, or without defaults `pg_get_function_identity_arguments`.
pub fn arguments(ctx: &SystemContext, routine: &Routine, with_defaults: bool) -> String {
    let is_procedure = routine.kind == RoutineKind::Procedure;
    let shown = routine.parameters.iter();
    let shown = shown.filter(|p| p.mode != ParameterMode::Table);
    let list = shown.map(|p| {
        let mut text = match p.mode {
            ParameterMode::In if is_procedure => "IN ".to_owned(),
            ParameterMode::In | ParameterMode::Table => String::new(),
            ParameterMode::Out => "OUT ".to_owned(),
            ParameterMode::InOut => "INOUT ".to_owned(),
            ParameterMode::Variadic => "VARIADIC ".to_owned(),
        };
        if let Some(name) = &p.name {
            text.push_str(&quote_ident(name));
            text.push(' ');
        }
        text.push_str(&type_name(ctx, p.type_oid));
        if with_defaults && let Some(default) = default(ctx, p) {
            let _ = write!(text, " DEFAULT {default}");
        }
        text
    });
    list.collect::<Vec<_>>().join(", ")
}

/// `pg_get_function_result`; nothing for a procedure.
pub fn result(ctx: &SystemContext, routine: &Routine) -> Option<String> {
    if routine.kind == RoutineKind::Procedure {
        return None;
    }
    let is_column = |p: &&Parameter| p.mode == ParameterMode::Table;
    if routine.parameters.iter().any(|p| is_column(&p)) {
        let columns = routine.parameters.iter().filter(is_column).map(|p| {
            let name = quote_ident(p.name.as_deref().unwrap_or_default());
            format!("{name} {}", type_name(ctx, p.type_oid))
        });
        let columns: Vec<String> = columns.collect();
        return Some(format!("TABLE({})", columns.join(", ")));
    }
    let ty = type_name(ctx, result_type(routine));
    Some(match routine.returns_set {
        true => format!("SETOF {ty}"),
        false => ty,
    })
}

/// The name, with the schema where it is not found without.
pub fn name(ctx: &SystemContext, routine: &Routine) -> String {
    let first = ctx.effective_search_path().iter().find_map(|schema| {
        let schema = ctx.catalog.schema_by_name(schema)?;
        let mut found = ctx.catalog.routines().named(schema.oid, &routine.name);
        found.next().map(|_| schema.oid)
    });
    match first == Some(routine.schema) {
        true => quote_ident(&routine.name),
        false => qualified(ctx, routine),
    }
}

/// `schema.name`.
pub fn qualified(ctx: &SystemContext, routine: &Routine) -> String {
    let schema = ctx.schema_name(routine.schema).unwrap_or_default();
    format!("{}.{}", quote_ident(&schema), quote_ident(&routine.name))
}

/// `pg_get_functiondef`.
pub fn definition(ctx: &SystemContext, routine: &Routine) -> String {
    let noun = routine.kind.noun();
    let mut sql = format!(
        "CREATE OR REPLACE {} {}({})\n",
        noun.to_uppercase(),
        qualified(ctx, routine),
        arguments(ctx, routine, true)
    );
    if let Some(result) = result(ctx, routine) {
        let _ = writeln!(sql, " RETURNS {result}");
    }
    sql.push_str(" LANGUAGE sql\n");
    let options = [
        (
            routine.volatility == RoutineVolatility::Immutable,
            " IMMUTABLE".to_owned(),
        ),
        (
            routine.volatility == RoutineVolatility::Stable,
            " STABLE".to_owned(),
        ),
        (routine.parallel == 's', " PARALLEL SAFE".to_owned()),
        (routine.parallel == 'r', " PARALLEL RESTRICTED".to_owned()),
        (routine.strict, " STRICT".to_owned()),
        (routine.definer, " SECURITY DEFINER".to_owned()),
        (routine.leakproof, " LEAKPROOF".to_owned()),
        (routine.cost != 100.0, format!(" COST {}", routine.cost)),
        (
            routine.returns_set && routine.rows != 1000.0,
            format!(" ROWS {}", routine.rows),
        ),
    ];
    let mut said = false;
    for (is, option) in &options {
        if *is {
            sql.push_str(option);
            said = true;
        }
    }
    if said {
        sql.push('\n');
    }
    for (name, value) in &routine.settings {
        let value = match name.as_str() {
            "search_path" => {
                let parts = value
                    .split(',')
                    .map(|part| quote_literal(part.trim().trim_matches('"')));
                parts.collect::<Vec<_>>().join(", ")
            }
            _ => quote_literal(value),
        };
        let _ = writeln!(sql, " SET {} TO {value}", quote_ident(name));
    }
    let mut quote = format!("${noun}");
    while routine.body.contains(&quote) {
        quote.push('x');
    }
    let _ = writeln!(sql, "AS {quote}${}{quote}$", routine.body);
    sql
}
