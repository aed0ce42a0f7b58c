//! `f(a, VARIADIC items)`: the array of a variadic parameter as it is.
//!
//! The parser has no word for it. It reads an argument with a name of ours, which `VARIADIC` becomes before and
//! which is printed as `VARIADIC` again.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use crate::routine::SPREAD;

/// Statements that may have calls, and whose words mean nothing else by VARIADIC.
const FIRST: &[&str] = &[
    "SELECT", "WITH", "VALUES", "INSERT", "UPDATE", "DELETE", "MERGE", "CALL", "EXPLAIN",
    "PREPARE", "DECLARE", "COPY",
];

fn word(token: &TokenWithSpan) -> Option<&Word> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word),
        _ => None,
    }
}

fn is_space(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

/// Marks the arguments of the calls in a statement.
pub(super) fn mark(tokens: &mut Vec<TokenWithSpan>) {
    let mut words = tokens.iter().filter(|t| !is_space(t)).map(word);
    let first = words.next().flatten().map(|w| w.value.to_uppercase());
    let is_one = match first.as_deref() {
        Some("CREATE") => !words.take(4).flatten().any(|w| {
            let word = w.value.to_uppercase();
            matches!(word.as_str(), "FUNCTION" | "PROCEDURE" | "AGGREGATE")
        }),
        Some(first) => FIRST.contains(&first),
        // A query in parentheses.
        None => true,
    };
    if is_one {
        mark_calls(tokens);
    }
}

/// The same of an expression or a query.
pub(super) fn mark_calls(tokens: &mut Vec<TokenWithSpan>) {
    let is_variadic = |t: &TokenWithSpan| word(t).is_some_and(|w| w.keyword == Keyword::VARIADIC);
    if !tokens.iter().any(is_variadic) {
        return;
    }
    let mut marked = Vec::with_capacity(tokens.len() + 2);
    let mut before = None;
    for token in tokens.drain(..) {
        let begins = matches!(before, Some(Token::LParen | Token::Comma));
        if !is_space(&token) {
            before = Some(token.token.clone());
        }
        if !begins || !is_variadic(&token) {
            marked.push(token);
            continue;
        }
        let span = token.span;
        let name = Token::make_word(SPREAD, Some('"'));
        marked.push(TokenWithSpan { token: name, span });
        marked.push(TokenWithSpan {
            token: Token::RArrow,
            span: Span::empty(),
        });
    }
    *tokens = marked;
}

/// A text with `VARIADIC` where it was marked.
pub(crate) fn unmark(text: String) -> String {
    match text.contains(SPREAD) {
        true => text.replace(&format!("\"{SPREAD}\" => "), "VARIADIC "),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use crate::names::text_of;
    use crate::session::statement::parse_expression;

    #[test]
    fn the_array_of_a_variadic_parameter_is_printed_as_it_was_written() {
        let text = "f(1, VARIADIC ARRAY[2, 3])";
        let parsed = parse_expression(text).unwrap();
        assert_eq!(text_of(&parsed), text);
        assert!(parse_expression("f(a, b) + variadic").is_ok());
    }
}
