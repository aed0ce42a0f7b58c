//! Regular expressions as PostgreSQL writes them, for the `regex` crate.

use crate::error::{SqlError, state};

/// What the crate says of a pattern that it does not take.
pub fn invalid(e: impl std::fmt::Display) -> SqlError {
    let text = e.to_string();
    let last = text
        .lines()
        .last()
        .unwrap_or("")
        .trim_start_matches("error: ")
        .to_string();
    SqlError::new(
        state::INVALID_REGULAR_EXPRESSION,
        format!("invalid regular expression: {last}"),
    )
}

/// ARE escapes the crate spells otherwise.
pub fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('m') => out.push_str(r"\b{start}"),
            Some('M') => out.push_str(r"\b{end}"),
            Some('y') => out.push_str(r"\b"),
            Some('Y') => out.push_str(r"\B"),
            Some('Z') => out.push_str(r"\z"),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    out
}
