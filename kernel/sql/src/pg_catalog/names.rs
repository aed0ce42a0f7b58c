//! Names of objects as text: how `regclass` and its kin read and print.
//!
//! Printing quotes what needs quotes and qualifies what the search path does not find. Reading folds
//! unquoted letters to lower case and looks along the search path.

use std::sync::Weak;

use super::builtin::{builtin_functions, builtin_type, builtin_types};
use super::datum::Type;
use super::relations;
use super::{SessionView, SystemContext};
use super::{row_type, user_type};
use crate::catalog::access::Privileges;
use crate::catalog::model::Oid;
use crate::error::{Result, SqlError, state};
use crate::names::on_path;
use crate::types::format::ObjectNames;
use crate::types::{PgType, extension};

/// PostgreSQL's keywords that cannot stand for a name without quotes.
const KEYWORDS: &str = "\
all analyse analyze and any array as asc asymmetric authorization between bigint binary bit \
boolean both case cast char character check coalesce collate collation column concurrently \
constraint create cross current_catalog current_date current_role current_schema \
current_time current_timestamp current_user dec decimal default deferrable desc distinct do \
else end except exists extract false fetch float for foreign freeze from full grant \
greatest group grouping having ilike in initially inner inout int integer intersect \
interval into is isnull join lateral leading least left like limit localtime localtimestamp \
national natural nchar none normalize not notnull null nullif numeric offset on only or \
order out outer overlaps overlay placing position precision primary real references \
returning right row select session_user setof similar smallint some substring symmetric \
table tablesample then time timestamp to trailing treat trim true union unique user using \
values varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement \
xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable";

/// Quotes a name unless it reads back as itself without (`quote_ident`).
pub fn quote_ident(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !KEYWORDS.split(' ').any(|k| k == name);
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// Splits a possibly qualified name as SQL reads it: `"A".b` is `A` and `b`.
pub fn split_name(text: &str) -> Result<Vec<String>> {
    let invalid = || SqlError::new(state::INVALID_NAME, "invalid name syntax");
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let part;
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut chars = quoted.char_indices().peekable();
            let end = loop {
                match chars.next() {
                    Some((_, '"')) if chars.peek().is_some_and(|(_, c)| *c == '"') => {
                        chars.next();
                        name.push('"');
                    }
                    Some((i, '"')) => break i + 1,
                    Some((_, c)) => name.push(c),
                    None => return Err(invalid()),
                }
            };
            rest = quoted[end..].trim_start();
            part = name;
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let name = rest[..end].trim_end();
            if name.contains(|c: char| c.is_whitespace() || c == '"') {
                return Err(invalid());
            }
            part = name.to_lowercase();
            rest = &rest[end..];
        }
        if part.is_empty() {
            return Err(invalid());
        }
        parts.push(part);
        match rest.strip_prefix('.') {
            Some(more) => rest = more.trim_start(),
            None if rest.is_empty() => return Ok(parts),
            None => return Err(invalid()),
        }
    }
}

/// Schema and name of a relation of any kind.
fn relation_parts(ctx: &SystemContext, oid: Oid) -> Option<(String, String, bool)> {
    if let Some(relation) = ctx.catalog.relation(oid) {
        let schema = ctx.schema_name(relation.schema())?;
        return Some((
            schema,
            relation.name().to_owned(),
            ctx.is_visible(&relation),
        ));
    }
    let relation = relations::find_oid(oid)?;
    let visible = ctx
        .effective_search_path()
        .iter()
        .any(|s| s == relation.schema);
    Some((
        relation.schema.to_owned(),
        relation.name.to_owned(),
        visible,
    ))
}

/// As `regclass` prints it.
pub fn relation_name(ctx: &SystemContext, oid: Oid) -> Option<String> {
    let (schema, name, visible) = relation_parts(ctx, oid)?;
    let name = quote_ident(&name);
    Some(if visible {
        name
    } else {
        format!("{}.{name}", quote_ident(&schema))
    })
}

/// With its schema, whatever the search path.
pub fn qualified_relation_name(ctx: &SystemContext, oid: Oid) -> Option<String> {
    let (schema, name, _) = relation_parts(ctx, oid)?;
    Some(format!("{}.{}", quote_ident(&schema), quote_ident(&name)))
}

/// A relation's oid by schema and name.
fn relation_in(ctx: &SystemContext, schema: &str, name: &str) -> Option<Oid> {
    ctx.catalog
        .schema_by_name(schema)
        .and_then(|s| ctx.catalog.relation_in(s.oid, name))
        .map(|r| r.oid())
        .or_else(|| relations::find(schema, name).map(|r| r.oid))
}

/// The oid a `regclass` text means; `None` if there is no such relation.
pub fn find_relation(ctx: &SystemContext, text: &str) -> Result<Option<Oid>> {
    if let Some(oid) = as_oid(text) {
        return Ok(Some(oid));
    }
    let parts = split_name(text)?;
    Ok(match parts.as_slice() {
        [name] => ctx
            .effective_search_path()
            .iter()
            .find_map(|s| relation_in(ctx, s, name)),
        [schema, name] => relation_in(ctx, on_path(schema, &ctx.effective_search_path()), name),
        [database, schema, name] if *database == ctx.session.database() => {
            relation_in(ctx, schema, name)
        }
        _ => {
            return Err(SqlError::unsupported(format!(
                "cross-database reference \"{text}\""
            )));
        }
    })
}

/// Like [`find_relation`], where PostgreSQL raises 42P01.
pub fn relation_oid(ctx: &SystemContext, text: &str) -> Result<Oid> {
    let found = find_relation(ctx, text)?;
    let relation = found.filter(|_| as_oid(text).is_none());
    if let Some(relation) = relation.and_then(|oid| ctx.catalog.relation(oid))
        && let Some(schema) = ctx.catalog.schema(relation.schema())
    {
        let role = ctx.current_role();
        role.check_schema(&ctx.catalog, schema, Privileges::USAGE)?;
    }
    found.ok_or_else(|| {
        let name = split_name(text).map_or_else(|_| text.to_owned(), |parts| parts.join("."));
        SqlError::new(
            state::UNDEFINED_TABLE,
            format!("relation \"{name}\" does not exist"),
        )
    })
}

fn as_oid(text: &str) -> Option<Oid> {
    let text = text.trim();
    if text == "-" {
        Some(0)
    } else {
        text.parse().ok()
    }
}

/// SQL's names of types where they are not `pg_type.typname`.
const TYPE_NAMES: &[(&str, &str)] = &[
    ("bool", "boolean"),
    ("char", "\"char\""),
    ("int8", "bigint"),
    ("int2", "smallint"),
    ("int4", "integer"),
    ("float4", "real"),
    ("float8", "double precision"),
    ("bpchar", "character"),
    ("varchar", "character varying"),
    ("time", "time without time zone"),
    ("timestamp", "timestamp without time zone"),
    ("timestamptz", "timestamp with time zone"),
    ("any", "\"any\""),
];

/// `format_type`: `???` for an oid that is no type, as PostgreSQL has it.
pub fn format_type(ctx: &SystemContext, oid: Oid, typmod: Option<i32>) -> String {
    if oid == 0 {
        return "-".to_owned();
    }
    let Some(ty) = builtin_type(oid) else {
        return match extension::by_oid(oid) {
            Some(ty) => crate::types::names::format_type(&ty, typmod.unwrap_or(-1)),
            None => user_type::name(ctx, oid)
                .or_else(|| row_type::name(ctx, oid))
                .unwrap_or_else(|| "???".to_owned()),
        };
    };
    // The two vectors are no true arrays.
    if ty.category == 'A' && ty.element != 0 && ty.len == -1 && ty.storage != "p" {
        return format!("{}[]", format_type(ctx, ty.element, typmod));
    }
    let name = match TYPE_NAMES.iter().find(|(internal, _)| *internal == ty.name) {
        // A length was asked about and there is none: the blank-padded type that has no limit.
        Some(("bpchar", _)) if typmod == Some(-1) => "bpchar",
        Some((_, sql)) => sql,
        None => ty.name,
    };
    let schema = ctx.schema_name(ty.schema).filter(|s| s != "pg_catalog");
    let name = match schema {
        Some(schema) => format!("{schema}.{name}"),
        None => name.to_owned(),
    };
    with_typmod(ty.name, name, typmod.filter(|t| *t >= 0))
}

fn with_typmod(internal: &str, name: String, typmod: Option<i32>) -> String {
    const HEADER: i32 = 4;
    let Some(typmod) = typmod else { return name };
    match internal {
        "varchar" | "bpchar" if typmod >= HEADER => format!("{name}({})", typmod - HEADER),
        "numeric" if typmod >= HEADER => {
            let packed = typmod - HEADER;
            let scale = ((packed & 0x7ff) ^ 1024) - 1024;
            format!("numeric({},{scale})", (packed >> 16) & 0xffff)
        }
        "time" | "timestamp" | "timestamptz" => match name.split_once(' ') {
            Some((head, tail)) => format!("{head}({typmod}) {tail}"),
            None => name,
        },
        "interval" if typmod & 0xffff <= 6 => format!("interval({})", typmod & 0xffff),
        _ => name,
    }
}

/// The oid a `regtype` text means.
pub fn find_type(ctx: &SystemContext, text: &str) -> Result<Option<Oid>> {
    if let Some(oid) = as_oid(text) {
        return Ok(Some(oid));
    }
    let folded = text.trim().to_lowercase();
    if let Some(element) = folded.strip_suffix("[]") {
        // Quoted letters keep their case.
        let element = &text.trim()[..element.len()];
        let Some(element) = find_type(ctx, element)? else {
            return Ok(None);
        };
        let array = match builtin_type(element) {
            Some(ty) => ty.array,
            None => match (
                extension::by_oid(element),
                row_type::relation_of(ctx, element),
            ) {
                (Some(ty), _) => ty.array_of().oid(),
                (None, Some((relation, false))) => row_type::array_type(relation.oid()),
                _ => user_type::array_of(ctx, element).unwrap_or(0),
            },
        };
        return Ok(Some(array).filter(|oid| *oid != 0));
    }
    // A length or precision does not name another type.
    let without_modifier = match (folded.find('('), folded.find(')')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}{}", folded[..open].trim_end(), &folded[close + 1..])
        }
        _ => folded,
    };
    let spelled = match without_modifier.as_str() {
        "int" => "int4",
        "decimal" => "numeric",
        "char" | "character" => "bpchar",
        "float" => "float8",
        name => TYPE_NAMES
            .iter()
            .find(|(_, sql)| *sql == name)
            .map_or(name, |(internal, _)| internal),
    };
    let parts = split_name(spelled)?;
    let (schema, name) = match parts.as_slice() {
        [name] => (None, name),
        [schema, name] => (Some(schema.as_str()), name),
        _ => return Ok(None),
    };
    if schema.is_none_or(|s| s == "public")
        && let Some(added) = ctx.session.added().types.iter().find(|t| t.name == name)
    {
        return Ok(Some(PgType::Extension(added).oid()));
    }
    Ok(builtin_types()
        .iter()
        .find(|t| {
            let in_catalog = t.schema == crate::catalog::model::oid::PG_CATALOG_SCHEMA;
            t.name == name.as_str()
                && match schema {
                    None | Some("pg_catalog") => in_catalog,
                    Some("information_schema") => !in_catalog,
                    Some(_) => false,
                }
        })
        .map(|t| t.oid)
        .or_else(|| match split_name(text.trim()).ok()?.as_slice() {
            [name] => user_type::find(ctx, None, name).or_else(|| row_type::find(ctx, None, name)),
            [schema, name] => user_type::find(ctx, Some(schema), name)
                .or_else(|| row_type::find(ctx, Some(schema), name)),
            _ => None,
        }))
}

/// The oid a `regproc` text means: the only function of that name.
pub fn find_function(ctx: &SystemContext, text: &str) -> Result<Vec<Oid>> {
    if let Some(oid) = as_oid(text) {
        return Ok(vec![oid]);
    }
    let parts = split_name(text)?;
    let (schema, name) = match parts.as_slice() {
        [name] => (None, name),
        [schema, name] => (Some(schema.as_str()), name),
        _ => return Ok(Vec::new()),
    };
    let mut found = Vec::new();
    if schema.is_none_or(|s| s == "pg_catalog") {
        let builtin = builtin_functions().iter();
        found.extend(builtin.filter(|f| f.name == name.as_str()).map(|f| f.oid));
    }
    let path = ctx.effective_search_path();
    let schemas: Vec<&str> = match schema {
        Some(schema) => vec![schema],
        None => path.iter().map(String::as_str).collect(),
    };
    for schema in schemas {
        if let Some(schema) = ctx.catalog.schema_by_name(schema) {
            let routines = ctx.catalog.routines().named(schema.oid, name);
            found.extend(routines.map(|r| r.oid));
        }
    }
    if schema.is_none_or(|s| s == "public") {
        let added = ctx.session.added();
        found.extend(
            added
                .functions
                .iter()
                .filter(|f| f.name == *name)
                .map(|f| f.oid),
        );
    }
    Ok(found)
}

/// As `regproc` prints it: with its schema where the name alone means another, or several.
pub fn function_name(ctx: &SystemContext, oid: Oid) -> Option<String> {
    if let Some(routine) = ctx.catalog.routines().get(oid) {
        let quoted = quote_ident(&routine.name);
        let is_only = matches!(find_function(ctx, &quoted).as_deref(), Ok([only]) if *only == oid);
        return Some(match is_only {
            true => quoted,
            false => super::routine::qualified(ctx, routine),
        });
    }
    let builtin = builtin_functions().iter().find(|f| f.oid == oid);
    builtin.map(|f| f.name.to_owned()).or_else(|| {
        let added = ctx.session.added();
        added.function(oid).map(|f| f.name.clone())
    })
}

/// The types that a function takes.
fn argument_types(ctx: &SystemContext, oid: Oid) -> Option<Vec<Oid>> {
    if let Some(routine) = ctx.catalog.routines().get(oid) {
        return Some(routine.input_types());
    }
    let builtin = builtin_functions().iter().find(|f| f.oid == oid);
    builtin.map(|f| f.arguments.clone()).or_else(|| {
        let added = ctx.session.added();
        added.function(oid).map(|f| f.arguments.clone())
    })
}

/// Whether there is a function of this oid.
pub fn is_function(ctx: &SystemContext, oid: Oid) -> bool {
    argument_types(ctx, oid).is_some()
}

/// As `regprocedure` prints it: `f(integer,text)`.
pub fn procedure_name(ctx: &SystemContext, oid: Oid) -> Option<String> {
    let types = argument_types(ctx, oid)?;
    let name = match ctx.catalog.routines().get(oid) {
        None => function_name(ctx, oid)?,
        Some(routine) => {
            let quoted = quote_ident(&routine.name);
            match find_procedure_of(ctx, &quoted, &types).ok()? == Some(oid) {
                true => quoted,
                false => super::routine::qualified(ctx, routine),
            }
        }
    };
    let types: Vec<String> = types.iter().map(|ty| format_type(ctx, *ty, None)).collect();
    Some(format!("{name}({})", types.join(",")))
}

fn find_procedure_of(ctx: &SystemContext, name: &str, types: &[Oid]) -> Result<Option<Oid>> {
    let found = find_function(ctx, name)?;
    let is_meant = |oid: &Oid| argument_types(ctx, *oid).is_some_and(|of| of == types);
    Ok(found.into_iter().find(is_meant))
}

/// The oid a `regprocedure` text means: a name, and in brackets the types of what it takes.
pub fn find_procedure(ctx: &SystemContext, text: &str) -> Result<Option<Oid>> {
    if let Some(oid) = as_oid(text) {
        return Ok(Some(oid));
    }
    let malformed = |expected: &str| {
        SqlError::new(
            state::INVALID_TEXT_REPRESENTATION,
            format!("expected a {expected}"),
        )
    };
    let open = outside_quotes(text).find(|(_, c)| *c == '(');
    let (open, _) = open.ok_or_else(|| malformed("left parenthesis"))?;
    let list = text[open + 1..].trim_end();
    let list = list
        .strip_suffix(')')
        .ok_or_else(|| malformed("right parenthesis"))?;
    let mut types = Vec::new();
    let mut push = |ty: &str| -> Result<()> {
        let ty = ty.trim();
        if ty.is_empty() {
            return Err(malformed("type name"));
        }
        types.push(find_type(ctx, ty)?.ok_or_else(|| {
            let name = split_name(ty).map_or_else(|_| ty.to_owned(), |parts| parts.join("."));
            SqlError::new(
                state::UNDEFINED_OBJECT,
                format!("type \"{name}\" does not exist"),
            )
        })?);
        Ok(())
    };
    let (mut depth, mut start) = (0, 0);
    for (at, c) in outside_quotes(list) {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                push(&list[start..at])?;
                start = at + 1;
            }
            _ => {}
        }
    }
    if start > 0 || !list.trim().is_empty() {
        push(&list[start..])?;
    }
    find_procedure_of(ctx, &text[..open], &types)
}

/// The characters that are not inside of quotes, and where they are.
fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quoted = false;
    text.char_indices().filter(move |(_, c)| {
        quoted ^= *c == '"';
        !quoted
    })
}

/// A value of one of the `reg*` types as text.
pub fn print(ctx: &SystemContext, ty: Type, oid: Oid) -> String {
    if oid == 0 {
        return "-".to_owned();
    }
    let name = match ty {
        Type::Regclass => relation_name(ctx, oid),
        Type::Regtype => {
            let known = builtin_type(oid).is_some()
                || extension::by_oid(oid).is_some()
                || row_type::relation_of(ctx, oid).is_some()
                || ctx.catalog.types().find(oid).is_some();
            known.then(|| format_type(ctx, oid, None))
        }
        Type::Regproc => function_name(ctx, oid),
        Type::Regprocedure => procedure_name(ctx, oid),
        Type::Regnamespace => ctx.schema_name(oid).map(|s| quote_ident(&s)),
        Type::Regrole => ctx.role_name(oid).map(|r| quote_ident(&r)),
        _ => None,
    };
    name.unwrap_or_else(|| oid.to_string())
}

/// Text as a value of one of the `reg*` types; `None` if nothing has that name.
pub fn find(ctx: &SystemContext, ty: Type, text: &str) -> Result<Option<Oid>> {
    let single = |text: &str| -> Result<Option<String>> {
        Ok(match split_name(text)?.as_slice() {
            [name] => Some(name.clone()),
            _ => None,
        })
    };
    match ty {
        Type::Regclass => find_relation(ctx, text),
        Type::Regtype => find_type(ctx, text),
        Type::Regproc => match find_function(ctx, text)?.as_slice() {
            [] => Ok(None),
            [oid] => Ok(Some(*oid)),
            _ => Err(SqlError::new(
                state::AMBIGUOUS_FUNCTION,
                format!("more than one function named \"{text}\""),
            )),
        },
        Type::Regprocedure => find_procedure(ctx, text),
        Type::Regnamespace => match as_oid(text) {
            Some(oid) => Ok(Some(oid)),
            None => Ok(single(text)?.and_then(|name| schema_oid(ctx, &name))),
        },
        Type::Regrole => match as_oid(text) {
            Some(oid) => Ok(Some(oid)),
            None => Ok(single(text)?.and_then(|n| ctx.catalog.role_by_name(&n).map(|r| r.oid))),
        },
        other => Err(SqlError::unsupported(format!(
            "input of type {}",
            other.sql()
        ))),
    }
}

pub fn schema_oid(ctx: &SystemContext, name: &str) -> Option<Oid> {
    use crate::catalog::model::oid;
    match name {
        "pg_catalog" => Some(oid::PG_CATALOG_SCHEMA),
        "information_schema" => Some(oid::INFORMATION_SCHEMA),
        _ => ctx.catalog.schema_by_name(name).map(|s| s.oid),
    }
}

/// Text as a value of one of the `reg*` types, where PostgreSQL's input function raises an error.
pub fn parse(ctx: &SystemContext, ty: Type, text: &str) -> Result<Oid> {
    if ty == Type::Regclass {
        return relation_oid(ctx, text);
    }
    find(ctx, ty, text)?.ok_or_else(|| {
        let (code, what) = match ty {
            Type::Regproc | Type::Regprocedure => (state::UNDEFINED_FUNCTION, "function"),
            Type::Regnamespace => (state::INVALID_SCHEMA_NAME, "schema"),
            Type::Regrole => (state::UNDEFINED_OBJECT, "role"),
            _ => (state::UNDEFINED_OBJECT, "type"),
        };
        SqlError::new(code, format!("{what} \"{text}\" does not exist"))
    })
}

/// The catalog as values of the `reg*` types read and print. It does not keep the session: the
/// formats that hold it end up in plans, which may be kept longer.
#[derive(Debug)]
pub struct SessionNames(pub Weak<dyn SessionView>);

impl SessionNames {
    fn context(&self) -> Option<SystemContext> {
        self.0.upgrade().map(|session| SystemContext::new(&session))
    }
}

impl ObjectNames for SessionNames {
    fn oid(&self, ty: &PgType, name: &str) -> Result<Oid> {
        let ctx = self
            .context()
            .ok_or_else(|| SqlError::internal("the session has ended"))?;
        parse(&ctx, reg(ty)?, name)
    }

    fn name(&self, ty: &PgType, oid: Oid) -> Option<String> {
        let ty = reg(ty).ok()?;
        Some(print(&self.context()?, ty, oid))
    }
}

fn reg(ty: &PgType) -> Result<Type> {
    match ty {
        PgType::Regclass => Ok(Type::Regclass),
        PgType::Regtype => Ok(Type::Regtype),
        PgType::Regproc => Ok(Type::Regproc),
        PgType::Regprocedure => Ok(Type::Regprocedure),
        PgType::Regnamespace => Ok(Type::Regnamespace),
        PgType::Regrole => Ok(Type::Regrole),
        other => Err(SqlError::internal(format!("{other} has no names"))),
    }
}
