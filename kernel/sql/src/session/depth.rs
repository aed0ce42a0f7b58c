//! How deep a statement's tree may get, and a stack that holds it.
//!
//! Nested parentheses are counted by the parser; a chain such as `1 + 1 + …` or `a UNION b UNION …`
//! is parsed in a loop and still becomes a tree as deep as it is long, which planning walks
//! recursively. So the operators of a statement are counted before it is parsed: the bound is
//! [`DEPTH_MAX`], and a statement that may come near a thread's stack runs on one of its own.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Result, SqlError, state};

/// Operators in one chain, with those around it. One more is `54001`, as in PostgreSQL when its
/// stack is full. Types are derived anew at each level, so a longer chain would also plan slowly.
pub(super) const DEPTH_MAX: usize = 250;

/// Statements up to this depth run on the stack of the calling thread.
const DEPTH_OF_ANY_STACK: usize = 40;

/// Stack that planning takes for one level of a tree, debug builds included.
const BYTES_PER_LEVEL: usize = 128 << 10;

/// An upper bound of the depth of what the tokens parse to.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Result<usize> {
    // One count a nesting level: the operators since its last comma.
    let mut levels = vec![0_usize];
    let (mut depth, mut deepest) = (0, 0);
    for token in tokens {
        match &token.token {
            Token::Whitespace(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Placeholder(_)
            | Token::Period => continue,
            Token::LParen | Token::LBracket => {
                levels.push(1);
                depth += 1;
            }
            Token::RParen | Token::RBracket => {
                if levels.len() > 1 {
                    depth -= levels.pop().unwrap_or(0);
                }
            }
            Token::Comma => {
                if let Some(level) = levels.last_mut() {
                    depth -= std::mem::take(level);
                }
            }
            Token::Word(word) if !is_operator(word.keyword) => continue,
            _ => {
                if let Some(level) = levels.last_mut() {
                    *level += 1;
                }
                depth += 1;
            }
        }
        deepest = deepest.max(depth);
        if deepest > DEPTH_MAX {
            return Err(SqlError::new(
                state::STATEMENT_TOO_COMPLEX,
                "stack depth limit exceeded",
            )
            .with_hint(format!(
                "An expression may chain and nest {DEPTH_MAX} operators. Use IN (…), VALUES or \
                 ANY (array) for long lists."
            )));
        }
    }
    Ok(deepest)
}

fn is_operator(keyword: Keyword) -> bool {
    use Keyword::*;
    matches!(
        keyword,
        AND | OR
            | NOT
            | IS
            | LIKE
            | ILIKE
            | SIMILAR
            | BETWEEN
            | COLLATE
            | AT
            | UNION
            | EXCEPT
            | INTERSECT
            | JOIN
            | CASE
            | SELECT
    )
}

/// Runs `work` with a stack that a statement of this depth fits.
pub(super) fn with_stack<T>(depth: usize, work: impl FnOnce() -> T) -> T {
    match depth <= DEPTH_OF_ANY_STACK {
        true => work(),
        false => {
            let bytes = depth * BYTES_PER_LEVEL;
            stacker::maybe_grow(bytes, bytes, work)
        }
    }
}
