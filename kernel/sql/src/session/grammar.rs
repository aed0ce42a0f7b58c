//! PostgreSQL's dialect for the parser, with a bound on how often it may guess.
//!
//! A word such as ARRAY or SUBSTRING begins an expression of its own kind or is a name. The parser tries the one,
//! and the other when that fails; what is inside is parsed for both. So an error within thirty of them, each in
//! the next, would take 2³⁰ attempts. After [`GUESSES_MIN`] failed guesses, and more in a long statement, words are
//! what they looked like first, and the error is told.

use std::any::TypeId;
use std::cell::Cell;

use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};

/// Of a statement however short.
const GUESSES_MIN: usize = 1000;

/// Tokens of a statement for each further guess.
const TOKENS_PER_GUESS: usize = 8;

/// The dialect of one statement.
#[derive(Debug)]
pub(crate) struct Grammar {
    guesses_left: Cell<usize>,
}

impl Grammar {
    /// Of a statement of so many tokens.
    pub fn new(tokens: usize) -> Grammar {
        Grammar {
            guesses_left: Cell::new(GUESSES_MIN + tokens / TOKENS_PER_GUESS),
        }
    }
}

/// What PostgreSQL's dialect answers.
macro_rules! as_postgres {
    ($($is:ident)*) => {
        $(fn $is(&self) -> bool {
            PostgreSqlDialect {}.$is()
        })*
    };
}

impl Dialect for Grammar {
    /// The parser asks here and there whether the dialect is PostgreSQL's.
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    /// Asked for a word that did not begin what it looked like: whether it cannot be a name.
    fn is_reserved_for_identifier(&self, word: Keyword) -> bool {
        let left = self.guesses_left.get();
        self.guesses_left.set(left.saturating_sub(1));
        left == 0 || PostgreSqlDialect {}.is_reserved_for_identifier(word)
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        PostgreSqlDialect {}.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, c: char) -> bool {
        PostgreSqlDialect {}.is_delimited_identifier_start(c)
    }

    fn is_identifier_start(&self, c: char) -> bool {
        PostgreSqlDialect {}.is_identifier_start(c)
    }

    fn is_identifier_part(&self, c: char) -> bool {
        PostgreSqlDialect {}.is_identifier_part(c)
    }

    fn is_custom_operator_part(&self, c: char) -> bool {
        PostgreSqlDialect {}.is_custom_operator_part(c)
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        PostgreSqlDialect {}.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        PostgreSqlDialect {}.prec_value(precedence)
    }

    as_postgres! {
        allow_extract_custom
        allow_extract_single_quotes
        supports_alter_column_type_using
        supports_array_typedef_with_brackets
        supports_bitwise_shift_operators
        supports_comma_separated_trim
        supports_comment_on
        supports_comment_optimizer_hint
        supports_create_index_with_clause
        supports_create_table_like_parenthesized
        supports_empty_projections
        supports_explain_with_utility_options
        supports_factorial_operator
        supports_filter_during_aggregation
        supports_geometric_types
        supports_group_by_expr
        supports_insert_table_alias
        supports_interval_options
        supports_listen_notify
        supports_load_extension
        supports_named_fn_args_with_colon_operator
        supports_named_fn_args_with_expr_name
        supports_nested_comments
        supports_notnull_operator
        supports_numeric_literal_underscores
        supports_select_wildcard_with_alias
        supports_set_names
        supports_string_escape_constant
        supports_unicode_string_literal
        supports_xml_expressions
    }
}

#[cfg(test)]
mod tests {
    use super::super::statement::parse_expression;

    #[test]
    fn an_error_within_many_guesses_is_told_at_once() {
        for (open, close) in [("array[", "]"), ("floor(", ")")] {
            let text = format!("{}1 2{}", open.repeat(100), close.repeat(100));
            assert!(parse_expression(&text).is_err(), "{text}");
            let text = format!("{}1", open.repeat(100));
            assert!(parse_expression(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_are_names_where_they_begin_nothing() {
        for name in [
            "interval",
            "path",
            "position",
            "substring",
            "box",
            "overlay",
        ] {
            assert!(
                parse_expression(&format!("{name} + f({name})")).is_ok(),
                "{name}"
            );
        }
    }
}
