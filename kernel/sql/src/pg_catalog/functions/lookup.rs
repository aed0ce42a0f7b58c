//! Names from oids and oids from names: the `reg*` types, visibility, `format_type`.

use super::{argument, functions};
use crate::catalog::model::Oid;
use crate::error::Result;
use crate::pg_catalog::builtin::{
    builtin_classes, builtin_families, builtin_functions, builtin_operators, builtin_type,
};
use crate::pg_catalog::datum::{Datum, Type};
use crate::pg_catalog::{SystemContext, names, relations, routine, row_type, user_type};
use crate::types::{array, extension};

functions! {
    regclass(Regclass) -> Regclass = |c, a| Ok(argument::reg(c, Type::Regclass, a, 0)?.into());
    regtype(Regtype) -> Regtype = |c, a| Ok(argument::reg(c, Type::Regtype, a, 0)?.into());
    regproc(Regproc) -> Regproc = |c, a| Ok(argument::reg(c, Type::Regproc, a, 0)?.into());
    regprocedure(Regprocedure) -> Regprocedure =
        |c, a| Ok(argument::reg(c, Type::Regprocedure, a, 0)?.into());
    regoper(Regoper) -> Regoper = |c, a| Ok(argument::reg(c, Type::Regoper, a, 0)?.into());
    regoperator(Regoperator) -> Regoperator =
        |c, a| Ok(argument::reg(c, Type::Regoperator, a, 0)?.into());
    regcollation(Regcollation) -> Regcollation =
        |c, a| Ok(argument::reg(c, Type::Regcollation, a, 0)?.into());
    regnamespace(Regnamespace) -> Regnamespace =
        |c, a| Ok(argument::reg(c, Type::Regnamespace, a, 0)?.into());
    regrole(Regrole) -> Regrole = |c, a| Ok(argument::reg(c, Type::Regrole, a, 0)?.into());
    regclassout(Oid) -> Text = |c, a| print(c, Type::Regclass, a);
    regtypeout(Oid) -> Text = |c, a| print(c, Type::Regtype, a);
    regprocout(Oid) -> Text = |c, a| print(c, Type::Regproc, a);
    regprocedureout(Oid) -> Text = |c, a| print(c, Type::Regprocedure, a);
    regoperout(Oid) -> Text = |c, a| print(c, Type::Regoper, a);
    regoperatorout(Oid) -> Text = |c, a| print(c, Type::Regoperator, a);
    regcollationout(Oid) -> Text = |c, a| print(c, Type::Regcollation, a);
    regnamespaceout(Oid) -> Text = |c, a| print(c, Type::Regnamespace, a);
    regroleout(Oid) -> Text = |c, a| print(c, Type::Regrole, a);
    regclassarrayout(OidArray) -> Text = |c, a| print_all(c, Type::Regclass, a);
    regtypearrayout(OidArray) -> Text = |c, a| print_all(c, Type::Regtype, a);
    oid(Oid) -> Oid = |_, a| Ok(argument::oid(a, 0)?.into());
    tableoid(Oid) -> Oid = |_, a| Ok(argument::oid(a, 0)?.into());
    to_regclass(Text) -> Regclass = |c, a| find(c, Type::Regclass, a);
    to_regtype(Text) -> Regtype = |c, a| find(c, Type::Regtype, a);
    to_regproc(Text) -> Regproc = |c, a| find(c, Type::Regproc, a);
    to_regprocedure(Text) -> Regprocedure = |c, a| find(c, Type::Regprocedure, a);
    to_regnamespace(Text) -> Regnamespace = |c, a| find(c, Type::Regnamespace, a);
    to_regrole(Text) -> Regrole = |c, a| find(c, Type::Regrole, a);

    format_type(Oid, Int4) -> Text null = format_type;
    pg_get_userbyid(Oid) -> Name = |c, a| {
        let role = argument::oid(a, 0)?;
        Ok(c.role_name(role).unwrap_or_else(|| format!("unknown (OID={role})")).into())
    };

    pg_table_is_visible(Oid) -> Bool = |c, a| Ok(table_is_visible(c, argument::oid(a, 0)?).into());
    pg_type_is_visible(Oid) -> Bool = |c, a| {
        let oid = argument::oid(a, 0)?;
        if extension::by_oid(oid).is_some() {
            return Ok(true.into());
        }
        if let Some(visible) = user_type::is_visible(c, oid) {
            return Ok(visible.into());
        }
        if let Some((relation, _)) = row_type::relation_of(c, oid) {
            return Ok(c.is_visible(&relation).into());
        }
        Ok(builtin_type(oid).map(|t| in_path(c, t.schema)).into())
    };
    pg_function_is_visible(Oid) -> Bool =
        |c, a| {
            let oid = argument::oid(a, 0)?;
            if let Some(routine) = c.catalog.routines().get(oid) {
                let is_visible = !routine::name(c, routine).contains('.');
                return Ok(is_visible.into());
            }
            exists(a, |oid| function(c, oid).is_some())
        };
    pg_operator_is_visible(Oid) -> Bool =
        |c, a| exists(a, |oid| {
            builtin_operators().iter().any(|o| o.oid == oid)
                || c.session.added().operators.iter().any(|o| o.oid == oid)
        });
    pg_opclass_is_visible(Oid) -> Bool =
        |_, a| exists(a, |oid| builtin_classes().iter().any(|o| o.oid == oid));
    pg_opfamily_is_visible(Oid) -> Bool =
        |_, a| exists(a, |oid| builtin_families().iter().any(|(f, _)| *f == oid));
    pg_collation_is_visible(Oid) -> Bool = |_, a| exists(a, |oid| matches!(oid, 100 | 950 | 951));

    pg_conversion_is_visible(Oid) -> Bool = |_, _| Ok(Datum::Null);
    pg_statistics_obj_is_visible(Oid) -> Bool = |_, _| Ok(Datum::Null);
    pg_ts_dict_is_visible(Oid) -> Bool = |_, _| Ok(Datum::Null);
    pg_ts_parser_is_visible(Oid) -> Bool = |_, _| Ok(Datum::Null);
    pg_ts_template_is_visible(Oid) -> Bool = |_, _| Ok(Datum::Null);
    pg_ts_config_is_visible(Oid) -> Bool = |_, _| Ok(Datum::Null);

    quote_ident(Text) -> Text = |_, a| Ok(names::quote_ident(argument::text(a, 0)?).into());
    pg_get_function_result(Oid) -> Text = |c, a| {
        if let Some(routine) = c.catalog.routines().get(argument::oid(a, 0)?) {
            return Ok(routine::result(c, routine).into());
        }
        Ok(function(c, argument::oid(a, 0)?).map(|f| f.result(c)).into())
    };
    pg_get_function_arguments(Oid) -> Text = |c, a| arguments_of(c, a, true);
    pg_get_function_identity_arguments(Oid) -> Text = |c, a| arguments_of(c, a, false);
    getdatabaseencoding() -> Name = |_, _| Ok("UTF8".into());
    pg_encoding_to_char(Int4) -> Name = |_, a| {
        let utf8 = i64::from(relations::role::UTF8);
        Ok(match argument::int(a, 0)? {
            0 => "SQL_ASCII",
            e if e == utf8 => "UTF8",
            _ => "",
        }
        .into())
    };
    pg_char_to_encoding(Name) -> Int4 = |_, a| {
        Ok(match argument::text(a, 0)?.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
            "utf8" | "unicode" => relations::role::UTF8,
            "sqlascii" => 0,
            _ => -1,
        }
        .into())
    };
}

fn print(ctx: &SystemContext, ty: Type, args: &[Datum]) -> Result<Datum> {
    Ok(names::print(ctx, ty, argument::oid(args, 0)?).into())
}

/// An array as text: names where there are oids.
fn print_all(ctx: &SystemContext, ty: Type, args: &[Datum]) -> Result<Datum> {
    let Some(Datum::Texts(oids)) = args.first() else {
        return Ok(Datum::Null);
    };
    let mut text = String::from("{");
    for (at, oid) in oids.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        match oid.as_deref().map(str::parse::<Oid>) {
            Some(Ok(oid)) => array::write_element(&names::print(ctx, ty, oid), &mut text),
            _ => text.push_str("NULL"),
        }
    }
    text.push('}');
    Ok(text.into())
}

fn find(ctx: &SystemContext, ty: Type, args: &[Datum]) -> Result<Datum> {
    let text = argument::text(args, 0)?;
    // A name that is not even well-formed is still an error; a missing object is NULL.
    if ty == Type::Regclass && text.trim().parse::<Oid>().is_ok() {
        return Ok(Datum::Null);
    }
    Ok(names::find(ctx, ty, text)?.into())
}

fn format_type(ctx: &SystemContext, args: &[Datum]) -> Result<Datum> {
    if args[0].is_null() {
        return Ok(Datum::Null);
    }
    let typmod = match args[1] {
        Datum::Null => None,
        _ => Some(argument::int(args, 1)? as i32),
    };
    Ok(names::format_type(ctx, argument::oid(args, 0)?, typmod).into())
}

fn in_path(ctx: &SystemContext, schema: Oid) -> bool {
    let path = ctx.effective_search_path();
    ctx.schema_name(schema)
        .is_some_and(|name| path.contains(&name))
}

fn table_is_visible(ctx: &SystemContext, oid: Oid) -> Option<bool> {
    if let Some(relation) = ctx.catalog.relation(oid) {
        return Some(ctx.is_visible(&relation));
    }
    relations::find_oid(oid).map(|r| in_path(ctx, r.schema_oid()))
}

/// Built-in objects are in `pg_catalog`, which every search path has.
fn exists(args: &[Datum], is_there: impl Fn(Oid) -> bool) -> Result<Datum> {
    let oid = argument::oid(args, 0)?;
    Ok(is_there(oid).then_some(true).into())
}

/// What is shown of a function.
struct Shown {
    arguments: Vec<Oid>,
    variadic: bool,
    result: Oid,
    returns_set: bool,
    /// Of a table function.
    columns: Vec<(String, Oid)>,
}

impl Shown {
    fn result(&self, ctx: &SystemContext) -> String {
        if !self.columns.is_empty() {
            let column = |(name, ty): &(String, Oid)| {
                let ty = names::format_type(ctx, *ty, None);
                format!("{} {ty}", names::quote_ident(name))
            };
            let columns: Vec<String> = self.columns.iter().map(column).collect();
            return format!("TABLE({})", columns.join(", "));
        }
        let result = names::format_type(ctx, self.result, None);
        match self.returns_set {
            true => format!("SETOF {result}"),
            false => result,
        }
    }
}

fn function(ctx: &SystemContext, oid: Oid) -> Option<Shown> {
    if let Some(f) = builtin_functions().iter().find(|f| f.oid == oid) {
        return Some(Shown {
            arguments: f.arguments.clone(),
            variadic: f.variadic != 0,
            result: f.result,
            returns_set: f.returns_set,
            columns: Vec::new(),
        });
    }
    ctx.session.added().function(oid).map(|f| Shown {
        arguments: f.arguments.clone(),
        variadic: f.variadic != 0,
        result: f.result,
        returns_set: f.returns_set(),
        columns: f.columns.clone(),
    })
}

fn arguments_of(ctx: &SystemContext, args: &[Datum], with_defaults: bool) -> Result<Datum> {
    if let Some(routine) = ctx.catalog.routines().get(argument::oid(args, 0)?) {
        return Ok(routine::arguments(ctx, routine, with_defaults).into());
    }
    let Some(function) = function(ctx, argument::oid(args, 0)?) else {
        return Ok(Datum::Null);
    };
    let last = function.arguments.len().saturating_sub(1);
    let list: Vec<String> = function
        .arguments
        .iter()
        .enumerate()
        .map(|(i, ty)| {
            let variadic = if function.variadic && i == last {
                "VARIADIC "
            } else {
                ""
            };
            format!("{variadic}{}", names::format_type(ctx, *ty, None))
        })
        .collect();
    Ok(list.join(", ").into())
}
