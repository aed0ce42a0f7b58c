//! The grammar of COMMENT on what the dialect cannot name:
//!
//! ```text
//! COMMENT ON CONSTRAINT name ON table IS { 'text' | NULL }
//! ```

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

#[derive(Clone, Debug)]
pub(crate) struct CommentOnConstraint {
    pub name: Ident,
    pub table: ObjectName,
    pub text: Option<String>,
}

/// Parses from the word COMMENT on; the caller has seen `COMMENT ON CONSTRAINT`.
pub(super) fn parse(p: &mut Parser<'_>) -> Result<CommentOnConstraint, ParserError> {
    for _ in 0..3 {
        p.next_token();
    }
    let name = p.parse_identifier()?;
    p.expect_keyword(Keyword::ON)?;
    let table = p.parse_object_name(false)?;
    p.expect_keyword(Keyword::IS)?;
    let text = match p.parse_keyword(Keyword::NULL) {
        true => None,
        false => Some(p.parse_literal_string()?),
    };
    match p.peek_token_ref().token {
        Token::EOF | Token::SemiColon => Ok(CommentOnConstraint { name, table, text }),
        _ => p.expected_ref("end of statement", p.peek_token_ref()),
    }
}
