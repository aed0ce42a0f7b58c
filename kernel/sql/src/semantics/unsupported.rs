//! What DataFusion refuses, named as a user would name it.
//!
//! Its messages print expressions and plans as Rust prints structures, with names that no SQL text
//! has. Those that stand for an error of PostgreSQL's or for a feature are recognised here; of the
//! others only what is plain words is passed on.

use crate::error::{SqlError, SqlState, state};

/// A part of a message, and what it means.
const KNOWN: &[(&str, SqlState, &str)] = &[
    (
        "expression WindowFunction(",
        state::WINDOWING_ERROR,
        "window functions are not allowed in this place",
    ),
    (
        "Unnest should be rewritten",
        state::FEATURE_NOT_SUPPORTED,
        "set-returning functions are not allowed in this place",
    ),
    (
        "SELECT DISTINCT ON expressions must match",
        state::INVALID_COLUMN_REFERENCE,
        "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
    ),
    (
        "For SELECT DISTINCT, ORDER BY expressions",
        state::INVALID_COLUMN_REFERENCE,
        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
    ),
    (
        "LIMIT must be >=",
        state::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE,
        "LIMIT must not be negative",
    ),
    (
        "OFFSET must be >=",
        state::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE,
        "OFFSET must not be negative",
    ),
    (
        "Aggregate function calls cannot be nested",
        state::GROUPING_ERROR,
        "aggregate function calls cannot be nested",
    ),
    (
        "to grouping function is not in grouping columns",
        state::GROUPING_ERROR,
        "arguments to GROUPING must be grouping expressions of the associated query level",
    ),
    (
        "Inconsistent data length across values list",
        state::SYNTAX_ERROR,
        "VALUES lists must all be the same length",
    ),
    (
        "frame offsets for RANGE must be",
        state::FEATURE_NOT_SUPPORTED,
        "RANGE with offset PRECEDING/FOLLOWING is not supported for these types",
    ),
    (
        "Unsupported LIMIT expression",
        state::FEATURE_NOT_SUPPORTED,
        "an expression that is not constant in LIMIT is not supported",
    ),
    (
        "Struct not supported by ExprPlanner",
        state::FEATURE_NOT_SUPPORTED,
        "a row value in this place is not supported",
    ),
    (
        "literals are supported in tuples",
        state::FEATURE_NOT_SUPPORTED,
        "a row value in this place is not supported",
    ),
    (
        "ANY in LIKE expression",
        state::FEATURE_NOT_SUPPORTED,
        "LIKE ANY is not supported",
    ),
    (
        "support Literal types for field",
        state::FEATURE_NOT_SUPPORTED,
        "a window function's argument that is not constant is not supported",
    ),
    (
        "Query INSERT ",
        state::FEATURE_NOT_SUPPORTED,
        "WITH clause containing a data-modifying statement must be at the top level",
    ),
    (
        "Query UPDATE ",
        state::FEATURE_NOT_SUPPORTED,
        "WITH clause containing a data-modifying statement must be at the top level",
    ),
    (
        "Query DELETE ",
        state::FEATURE_NOT_SUPPORTED,
        "WITH clause containing a data-modifying statement must be at the top level",
    ),
    (
        "Unexpected empty work table",
        state::FEATURE_NOT_SUPPORTED,
        "this use of a recursive query in its own recursive term is not supported",
    ),
    (
        "support logical expression ScalarSubquery",
        state::FEATURE_NOT_SUPPORTED,
        "a subquery correlated in this way is not supported",
    ),
    (
        "support logical expression Exists",
        state::FEATURE_NOT_SUPPORTED,
        "a subquery in this place is not supported",
    ),
    (
        "support logical expression InSubquery",
        state::FEATURE_NOT_SUPPORTED,
        "a subquery in this place is not supported",
    ),
    (
        "support logical expression SetComparison",
        state::FEATURE_NOT_SUPPORTED,
        "this comparison with ANY or ALL of a subquery is not supported",
    ),
];

/// Words and marks that only a structure printed for debugging or a name of DataFusion's has.
const NOT_PLAIN: &[&str] = &[
    "{",
    "[",
    "(",
    "`",
    "::",
    "$",
    "_ref",
    "DataFusion",
    "datafusion",
    "ExprPlanner",
    "sqltorel",
    "ogical",
    "hysical",
    "ast node",
    "Plan",
    "plan:",
    "UDF",
    "Utf8",
    "Int32",
    "Int64",
    "Decimal128",
    "Timestamp(",
    "Some",
];

/// The error for a refusal of DataFusion's.
pub fn error(message: &str) -> SqlError {
    if let Some((_, code, ours)) = KNOWN.iter().find(|(mark, ..)| message.contains(mark)) {
        return SqlError::new(*code, *ours);
    }
    if let Some((_, id)) = message.split_once("No value found for placeholder with id ") {
        let id: String = id
            .chars()
            .take_while(|c| *c == '$' || c.is_ascii_digit())
            .collect();
        return SqlError::new(
            state::UNDEFINED_PARAMETER,
            format!("there is no parameter {id}"),
        );
    }
    SqlError::new(
        state::FEATURE_NOT_SUPPORTED,
        match plain(message) {
            Some(words) => format!("this query is not supported: {words}"),
            None => "this query is not supported".to_owned(),
        },
    )
}

/// The part of a message before anything printed for debugging, if it says something by itself.
fn plain(message: &str) -> Option<&str> {
    let mut words = message.lines().next()?.trim();
    for prefix in [
        "This feature is not implemented: ",
        "Error during planning: ",
        "Internal error: ",
    ] {
        words = words.strip_prefix(prefix).unwrap_or(words);
    }
    let dumps = |part: &str| NOT_PLAIN.iter().any(|mark| part.contains(mark));
    if dumps(words) {
        // "Unsupported JOIN operator Apply(…)" has no colon, "… not supported: [Column(…" has.
        words = words.split_once(": ")?.0;
    }
    (!dumps(words) && words.contains(' ')).then_some(words.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_do_not_reach_a_message() {
        for (message, expected) in [
            (
                "Struct not supported by ExprPlanner: [Column(Column { relation: None })]",
                "a row value in this place is not supported",
            ),
            (
                "ORDER BY ALL is not supported: [Column(Column { relation: None })]",
                "this query is not supported: ORDER BY ALL is not supported",
            ),
            (
                "Unsupported ast node in sqltorel: Foo { bar: None }",
                "this query is not supported",
            ),
            (
                "This feature is not implemented: LIMIT BY clause",
                "this query is not supported: LIMIT BY clause",
            ),
            (
                "Internal error: Wrong.\nThis issue was likely caused by a bug",
                "this query is not supported",
            ),
        ] {
            assert_eq!(error(message).message, expected);
        }
    }
}
