//! DataFusion's, Arrow's and the parser's errors in PostgreSQL's words.
//!
//! Errors of ours travel through DataFusion boxed and come out unchanged. The rest is recognised by
//! variant, and by the planner's message where a variant says too little.

use std::error::Error;

use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use sqlparser::parser::ParserError;

use super::unsupported;
use crate::error::{SqlError, state};

/// The PostgreSQL error for a failure of planning or execution.
pub fn map_error(e: DataFusionError) -> SqlError {
    let mut error = mapped(e);
    error.message = crate::routine::shown_in(error.message);
    error
}

fn mapped(e: DataFusionError) -> SqlError {
    if let Some(ours) = find(&e) {
        return ours;
    }
    match e {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            mapped(*inner)
        }
        DataFusionError::Shared(inner) => match std::sync::Arc::try_unwrap(inner) {
            Ok(inner) => mapped(inner),
            Err(shared) => by_message(&shared.to_string()),
        },
        DataFusionError::Collection(mut list) if !list.is_empty() => mapped(list.remove(0)),
        DataFusionError::ArrowError(e, _) => map_arrow_error(&e),
        DataFusionError::SQL(e, _) => map_parser_error(&e),
        DataFusionError::SchemaError(e, _) => map_schema_error(&e),
        DataFusionError::ResourcesExhausted(m) => crate::plan::error::out_of_memory(&m),
        DataFusionError::NotImplemented(m) => unsupported::error(&m),
        DataFusionError::Plan(m) => by_message(&m),
        DataFusionError::Execution(m) => by_message(&m),
        DataFusionError::External(e) => SqlError::internal(e),
        other => by_message(&other.to_string()),
    }
}

/// A [`SqlError`] anywhere in the chain of sources.
fn find(e: &(dyn Error + 'static)) -> Option<SqlError> {
    let mut at: Option<&(dyn Error + 'static)> = Some(e);
    while let Some(e) = at {
        if let Some(ours) = e.downcast_ref::<SqlError>() {
            return Some(ours.clone());
        }
        match e.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::External(inner)) => {
                if let Some(found) = find(inner.as_ref()) {
                    return Some(found);
                }
            }
            Some(DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner)) => {
                return find(inner.as_ref());
            }
            Some(DataFusionError::Shared(inner)) => return find(inner.as_ref()),
            Some(DataFusionError::Collection(list)) => {
                return list.iter().find_map(|e| find(e));
            }
            Some(DataFusionError::ArrowError(inner, _)) => return find(inner.as_ref()),
            _ => {}
        }
        if let Some(ArrowError::ExternalError(inner)) = e.downcast_ref::<ArrowError>() {
            return find(inner.as_ref());
        }
        at = e.source();
    }
    None
}

pub fn map_arrow_error(e: &ArrowError) -> SqlError {
    match e {
        ArrowError::DivideByZero => SqlError::new(state::DIVISION_BY_ZERO, "division by zero"),
        ArrowError::ArithmeticOverflow(_) => {
            SqlError::new(state::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range")
        }
        ArrowError::ExternalError(inner) => {
            find(inner.as_ref()).unwrap_or_else(|| SqlError::internal(inner))
        }
        ArrowError::MemoryError(m) => {
            SqlError::new(state::OUT_OF_MEMORY, "out of memory").with_detail(m)
        }
        other => SqlError::internal(other),
    }
}

/// `42601`, with the word at fault and its place when the parser says them.
pub fn map_parser_error(e: &ParserError) -> SqlError {
    match e {
        ParserError::RecursionLimitExceeded => SqlError::new(
            crate::error::SqlState::new("54001"),
            "stack depth limit exceeded",
        ),
        ParserError::TokenizerError(m) | ParserError::ParserError(m) => syntax_error(m),
    }
}

fn syntax_error(message: &str) -> SqlError {
    // "Expected: …, found: x at Line: 1, Column: 8"
    let found = message
        .rsplit_once("found: ")
        .map(|(_, rest)| rest.split(" at Line:").next().unwrap_or(rest).trim());
    match found {
        Some("EOF") => SqlError::new(state::SYNTAX_ERROR, "syntax error at end of input"),
        Some(word) => SqlError::new(
            state::SYNTAX_ERROR,
            format!("syntax error at or near \"{word}\""),
        ),
        None => SqlError::new(state::SYNTAX_ERROR, format!("syntax error: {message}")),
    }
}

/// Line and column of a parser error, both from 1.
pub fn error_location(e: &ParserError) -> Option<(usize, usize)> {
    let (ParserError::TokenizerError(m) | ParserError::ParserError(m)) = e else {
        return None;
    };
    let (_, rest) = m.rsplit_once("at Line: ")?;
    let (line, column) = rest.split_once(", Column: ")?;
    let digits: String = column.chars().take_while(char::is_ascii_digit).collect();
    Some((line.trim().parse().ok()?, digits.parse().ok()?))
}

/// The 1-based character position of a line and column in a text.
pub fn position(sql: &str, line: usize, column: usize) -> usize {
    let before: usize = sql
        .split('\n')
        .take(line.saturating_sub(1))
        .map(|l| l.chars().count() + 1)
        .sum();
    before + column
}

fn map_schema_error(e: &SchemaError) -> SqlError {
    match e {
        SchemaError::FieldNotFound {
            field,
            valid_fields,
        } => match &field.relation {
            Some(table) => {
                let known = valid_fields.iter().any(|f| {
                    f.relation
                        .as_ref()
                        .is_some_and(|r| r.table() == table.table())
                });
                if known {
                    SqlError::new(
                        state::UNDEFINED_COLUMN,
                        format!("column {}.{} does not exist", table.table(), field.name),
                    )
                } else {
                    SqlError::new(
                        state::UNDEFINED_TABLE,
                        format!("missing FROM-clause entry for table \"{}\"", table.table()),
                    )
                }
            }
            // The planner's name of an expression that it looked for in vain.
            None if field.name.contains("outer_ref(") => {
                SqlError::unsupported("an aggregate over columns of an outer query")
            }
            None => SqlError::new(
                state::UNDEFINED_COLUMN,
                format!("column \"{}\" does not exist", field.name),
            ),
        },
        SchemaError::AmbiguousReference { field } => SqlError::new(
            state::AMBIGUOUS_COLUMN,
            format!("column reference \"{}\" is ambiguous", field.name),
        ),
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => SqlError::new(
            state::DUPLICATE_COLUMN,
            format!("column name \"{name}\" specified more than once"),
        ),
    }
}

/// The SQL name of a type as Arrow prints it.
fn type_name(arrow: &str) -> String {
    arrow
        .trim()
        .parse::<arrow::datatypes::DataType>()
        .ok()
        .and_then(|t| crate::types::PgType::from_arrow(&t))
        .map_or_else(|| arrow.trim().to_lowercase(), |t| t.name().to_string())
}

/// What stands between two marks of a message.
fn between<'a>(m: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = m.split_once(start)?;
    Some(rest.split_once(end).map_or(rest, |(inner, _)| inner))
}

fn by_message(m: &str) -> SqlError {
    let m = m.strip_prefix("Error during planning: ").unwrap_or(m);
    if let Some(column) = between(m, "column \"", "\" must appear in the GROUP BY clause") {
        return SqlError::new(
            state::GROUPING_ERROR,
            format!(
                "column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function"
            ),
        );
    }
    if let Some(name) = between(m, "Invalid function '", "'") {
        return SqlError::new(
            state::UNDEFINED_FUNCTION,
            format!("function {name} does not exist"),
        )
        .with_hint(
            "No function matches the given name and argument types. You might need to add explicit type casts.",
        );
    }
    if let Some(table) = between(m, "table '", "' not found") {
        let name = table.rsplit('.').next().unwrap_or(table);
        return SqlError::new(
            state::UNDEFINED_TABLE,
            format!("relation \"{name}\" does not exist"),
        );
    }
    if m.contains("Order by column out of bounds") || m.contains("Cannot find column with position")
    {
        let n: String = m
            .split("specified: ")
            .nth(1)
            .or_else(|| m.split("position ").nth(1))
            .unwrap_or("")
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let clause = if m.contains("Order by") {
            "ORDER BY"
        } else {
            "GROUP BY"
        };
        return SqlError::new(
            state::INVALID_COLUMN_REFERENCE,
            format!("{clause} position {n} is not in select list"),
        );
    }
    if m.contains("Aggregate functions are not allowed in the WHERE")
        || m.contains("Aggregate functions are not allowed in WHERE")
    {
        return SqlError::new(
            state::GROUPING_ERROR,
            "aggregate functions are not allowed in WHERE",
        );
    }
    if m.contains("must have the same number of columns")
        || m.contains("UNION queries have different number of columns")
    {
        return SqlError::new(
            state::SYNTAX_ERROR,
            "each UNION query must have the same number of columns",
        );
    }
    if m.contains("Scalar subquery should only return one column")
        || m.contains("Too many columns! The subquery should only return one column")
    {
        return SqlError::new(state::SYNTAX_ERROR, "subquery must return only one column");
    }
    if m.contains("subquery returned more than one row") || m.contains("more than one row") {
        return SqlError::new(
            state::CARDINALITY_VIOLATION,
            "more than one row returned by a subquery used as an expression",
        );
    }
    if let Some(ty) = between(m, "non-boolean predicate", "\n").and_then(|m| m.rsplit(' ').next()) {
        return SqlError::new(
            state::DATATYPE_MISMATCH,
            format!(
                "argument of WHERE must be type boolean, not type {}",
                type_name(ty)
            ),
        );
    }
    if let Some(types) = between(m, "logical boolean operation ", "\n") {
        let word = if types.contains(" AND ") { "AND" } else { "OR" };
        let separator = format!(" {word} ");
        let wrong = types
            .split(&separator)
            .map(type_name)
            .find(|t| t != "boolean")
            .unwrap_or_default();
        return SqlError::new(
            state::DATATYPE_MISMATCH,
            format!("argument of {word} must be type boolean, not type {wrong}"),
        );
    }
    if m.contains("requires a boolean expression") {
        return SqlError::new(state::DATATYPE_MISMATCH, m.to_string());
    }
    unsupported::error(m)
}
