//! Identifiers: folding, quoting, splitting, and making names that are free.

use std::ops::ControlFlow;

use sqlparser::ast::{self, Ident, ObjectName, TableFactor, ValueWithSpan, VisitMut, VisitorMut};

use crate::error::{Result, SqlError, state};
use crate::plan::as_of::syntax as as_of;
use crate::session::spread;

/// PostgreSQL's NAMEDATALEN − 1: longer identifiers are cut.
pub const NAME_BYTES_MAX: usize = 63;

/// An identifier as the catalog stores it: folded to lower case unless quoted, cut at 63 bytes.
pub fn fold(ident: &Ident) -> String {
    let name = match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    };
    truncate(name)
}

fn truncate(mut name: String) -> String {
    if name.len() > NAME_BYTES_MAX {
        let mut end = NAME_BYTES_MAX;
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
    }
    name
}

/// The folded parts of a possibly qualified name.
pub fn parts(name: &ObjectName) -> Result<Vec<String>> {
    name.0
        .iter()
        .map(|part| {
            part.as_ident()
                .map(fold)
                .ok_or_else(|| improper(&name.to_string()))
        })
        .collect()
}

fn improper(name: &str) -> SqlError {
    SqlError::new(
        state::SYNTAX_ERROR,
        format!("improper qualified name (too many dotted names): {name}"),
    )
}

/// Schema, if named, and name. A database name in front must be the one there is.
pub fn qualified(name: &ObjectName, database: &str) -> Result<(Option<String>, String)> {
    let mut parts = parts(name)?;
    if parts.len() > 3 {
        return Err(improper(&name.to_string()));
    }
    let last = parts.pop().ok_or_else(|| improper(""))?;
    let schema = parts.pop();
    if let Some(named) = parts.pop()
        && named != database
    {
        return Err(SqlError::unsupported(format!(
            "cross-database reference to \"{name}\""
        )));
    }
    Ok((schema, last))
}

/// Splits the text of a qualified name, as `regclass` input has it.
pub fn split_qualified(text: &str) -> Result<Vec<String>> {
    let invalid = || SqlError::new(state::INVALID_NAME, "invalid name syntax");
    let mut parts = Vec::new();
    let mut chars = text.trim().chars().peekable();
    loop {
        let mut part = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next() {
                    None => return Err(invalid()),
                    Some('"') if chars.next_if_eq(&'"').is_some() => part.push('"'),
                    Some('"') => break,
                    Some(c) => part.push(c),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != '.' && *c != '"') {
                part.extend(c.to_lowercase());
            }
        }
        if part.is_empty() {
            return Err(invalid());
        }
        parts.push(part);
        match chars.next() {
            None => return Ok(parts),
            Some('.') => {}
            Some(_) => return Err(invalid()),
        }
    }
}

/// Words that need quotes although they look like names.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "localtimestamp",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];

/// What a session calls the schema of its temporary objects, whose name begins so.
pub const TEMPORARY: &str = "pg_temp";

/// Whether a schema has the temporary objects of a session.
pub fn is_temporary_schema(name: &str) -> bool {
    name.strip_prefix(TEMPORARY)
        .is_some_and(|rest| rest.starts_with('_'))
}

/// The schema that is meant by a name in front of another, where names without are looked up along `path`.
pub fn on_path<'a>(schema: &'a str, path: &'a [String]) -> &'a str {
    let mut path = path.iter();
    match schema == TEMPORARY {
        true => path
            .find(|s| is_temporary_schema(s))
            .map_or(schema, String::as_str),
        false => schema,
    }
}

/// Whether a lower-case word is a name only in quotes.
pub fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

/// An identifier as SQL text: quoted when it has to be.
pub fn quote(name: &str) -> String {
    let plain = name
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !is_reserved(name);
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// The text of a piece of syntax, for the catalog: it parses to the same piece again.
///
/// The parser's own text leaves two quotes in a row, and one after a backslash, as they are, since it
/// takes them for escaped ones; with every quote doubled that is what they are.
pub fn text_of<T: Clone + VisitMut + std::fmt::Display>(syntax: &T) -> String {
    let mut syntax = syntax.clone();
    let mut quotes = Quotes;
    // It never breaks.
    let _ = syntax.visit(&mut quotes);
    spread::unmark(syntax.to_string())
}

/// Doubles the quotes of plain strings, and puts AS OF before aliases.
struct Quotes;

impl VisitorMut for Quotes {
    type Break = std::convert::Infallible;

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<Self::Break> {
        if let ast::Value::SingleQuotedString(text) = &mut value.value {
            *text = text.replace('\'', "''");
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        as_of::print(factor);
        ControlFlow::Continue(())
    }
}

/// An identifier that the parser must not fold.
pub fn quoted_ident(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// A name for an object that was given none, as PostgreSQL makes it: parts joined with `_`, the
/// longer of the first two cut to fit, and a number when it is taken.
pub fn choose(table: &str, columns: &str, label: &str, taken: impl Fn(&str) -> bool) -> String {
    (0u32..)
        .map(|n| {
            let label = if n == 0 {
                label.to_owned()
            } else {
                format!("{label}{n}")
            };
            join(table, columns, &label)
        })
        .find(|name| !taken(name))
        .unwrap_or_default()
}

fn join(table: &str, columns: &str, label: &str) -> String {
    let overhead = label.len() + 1 + usize::from(!columns.is_empty());
    let room = NAME_BYTES_MAX.saturating_sub(overhead);
    let (mut a, mut b) = (table.len(), columns.len());
    while a + b > room {
        if a > b {
            a -= 1;
        } else {
            b -= 1;
        }
    }
    let cut = |s: &str, mut n: usize| {
        while !s.is_char_boundary(n) {
            n -= 1;
        }
        s[..n].to_owned()
    };
    let mut name = cut(table, a);
    if !columns.is_empty() {
        name.push('_');
        name.push_str(&cut(columns, b));
    }
    name.push('_');
    name.push_str(label);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_as_postgresql_makes_them() {
        assert_eq!(choose("t", "", "pkey", |_| false), "t_pkey");
        assert_eq!(
            choose("t", "a_b", "key", |n| n == "t_a_b_key"),
            "t_a_b_key1"
        );
        let long = "x".repeat(63);
        assert_eq!(choose(&long, "", "pkey", |_| false).len(), NAME_BYTES_MAX);
    }

    #[test]
    fn text_parses_to_the_syntax_it_is_of() {
        use sqlparser::{dialect::PostgreSqlDialect, parser::Parser};
        let parse = |sql: &str| Parser::parse_sql(&PostgreSqlDialect {}, sql);
        let sql = r"SELECT '''', '''''', 'a''b', '\''', '\', E'\\\'', E'\\' || 'x'''''";
        let syntax = parse(sql).unwrap().remove(0);
        assert_eq!(parse(&text_of(&syntax)).unwrap(), [syntax]);
    }

    #[test]
    fn qualified_names_split_at_dots_outside_quotes() {
        assert_eq!(
            split_qualified("Public.\"A.b\"").unwrap(),
            ["public", "A.b"]
        );
        assert!(split_qualified("a..b").is_err());
        assert!(split_qualified("\"a").is_err());
    }
}
