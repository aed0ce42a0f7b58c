//! Operators of plugins: an operator is a function of two arguments called by a symbol.
//!
//! A symbol may be one that is built in for other types, so its overloads join the built-in ones.
//! The tokenizer knows the symbols of many dialects and takes apart those it does not know
//! (`<+>` becomes `<`, `+>`); [`join`] puts together what a plugin has as one.

use std::collections::BTreeMap;
use std::sync::Arc;

use heliosdb_plugin_host::active::function::Function;
use heliosdb_plugin_host::registry::Registry;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::functions::scalar;
use crate::functions::Functions;
use crate::semantics::function::PgFunction;

/// The functions behind the operators of installed plugins.
pub(super) fn by_symbol<'r>(
    registry: &'r Registry,
    is_installed: &impl Fn(&str) -> bool,
) -> BTreeMap<&'r str, Vec<&'r Arc<Function>>> {
    let mut symbols: BTreeMap<&str, Vec<&Arc<Function>>> = BTreeMap::new();
    for operator in registry.operators() {
        if is_installed(operator.function.plugin()) {
            let list = symbols.entry(&operator.declared.name).or_default();
            list.push(&operator.function);
        }
    }
    symbols
}

/// Adds the overloads of one symbol.
pub(super) fn add(functions: &mut Functions, symbol: &str, list: &[&Arc<Function>]) {
    let name = format!("${symbol}");
    let mut overloads = match crate::functions::scalar(&name) {
        None => Vec::new(),
        Some(builtin) => match builtin.inner().downcast_ref::<PgFunction>() {
            Some(builtin) => builtin.overloads().to_vec(),
            // Comparisons are no functions here; for other types than theirs there is none yet.
            None => {
                tracing::warn!("operator {symbol} of a plugin is left out: it is built in");
                return;
            }
        },
    };
    overloads.extend(list.iter().filter_map(|f| scalar(f)));
    functions.add_scalar(PgFunction::udf(&name, overloads));
}

/// Joins tokens without a space between that together are one of these symbols.
pub(crate) fn join<'s>(tokens: &mut Vec<TokenWithSpan>, symbols: impl Iterator<Item = &'s str>) {
    let symbols: Vec<&str> = symbols.collect();
    if !symbols.is_empty() {
        join_if(tokens, |text| symbols.contains(&text));
    }
}

/// The same for SQL that was printed from a syntax tree, where there are spaces around operators:
/// what stands together is one, whatever plugins there are.
pub(crate) fn join_printed(tokens: &mut Vec<TokenWithSpan>) {
    // Signs may stand together: each is an operator of its own.
    join_if(tokens, |text| {
        text.trim_end_matches(['+', '-']).len() == text.len() || text.contains(['@', '#', '~', '|'])
    });
}

fn join_if(tokens: &mut Vec<TokenWithSpan>, is_symbol: impl Fn(&str) -> bool) {
    let mut at = 0;
    while at < tokens.len() {
        if let Some((symbol, count)) = longest(&tokens[at..], &is_symbol) {
            let mut span = tokens[at].span;
            span.end = tokens[at + count - 1].span.end;
            let token = Token::CustomBinaryOperator(symbol);
            tokens.splice(at..at + count, [TokenWithSpan { token, span }]);
        }
        at += 1;
    }
}

/// The longest symbol that starts here and is not one token already.
fn longest(tokens: &[TokenWithSpan], is_symbol: impl Fn(&str) -> bool) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut found = None;
    for (i, t) in tokens.iter().enumerate() {
        if !is_operator(&t.token) {
            break;
        }
        text.push_str(&t.token.to_string());
        // `<=>` is a token, but one that binds like a comparison.
        if (i > 0 || t.token == Token::Spaceship) && is_symbol(&text) {
            found = Some((text.clone(), i + 1));
        }
    }
    found
}

fn is_operator(token: &Token) -> bool {
    if matches!(token, Token::Whitespace(_) | Token::EOF) {
        return false;
    }
    let text = token.to_string();
    !text.is_empty() && text.chars().all(|c| "+-*/<>=~!@#%^&|`?".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::tokenizer::Tokenizer;

    #[test]
    fn symbols_that_the_tokenizer_takes_apart_are_joined() {
        let symbols = [
            "<+>", "@@@", "===", "<=>", "|||", "###", "&&&", "<#>", "<->",
        ];
        for symbol in symbols {
            let sql = format!("a {symbol} b");
            let mut tokens = Tokenizer::new(&PostgreSqlDialect {}, &sql)
                .tokenize_with_location()
                .expect("operators are tokens");
            join(&mut tokens, symbols.into_iter());
            let operators: Vec<String> = tokens
                .iter()
                .filter(|t| is_operator(&t.token))
                .map(|t| t.token.to_string())
                .collect();
            assert_eq!(operators, [symbol]);
        }
    }

    #[test]
    fn other_runs_stay_as_they_are() {
        let mut tokens = Tokenizer::new(&PostgreSqlDialect {}, "a < +b, c=-1, d*-e")
            .tokenize_with_location()
            .expect("operators are tokens");
        let before = tokens.clone();
        join(&mut tokens, ["<+>"].into_iter());
        assert_eq!(tokens, before);
    }
}
