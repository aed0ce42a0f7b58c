//! The grammar of CLUSTER, which the dialect lacks:
//!
//! ```text
//! CLUSTER [ table [ USING index ] ]
//! CLUSTER index ON table
//! ```

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// CLUSTER; of all tables that were clustered before when it names none.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub table: Option<ObjectName>,
    /// `None` for the one it was clustered on before.
    pub index: Option<Ident>,
}

/// Parses from the word on.
pub(super) fn parse(p: &mut Parser<'_>) -> Result<Cluster, ParserError> {
    p.next_token();
    if matches!(p.peek_token_ref().token, Token::EOF | Token::SemiColon) {
        return Ok(Cluster {
            table: None,
            index: None,
        });
    }
    let name = p.parse_object_name(false)?;
    let cluster = if p.parse_keyword(Keyword::USING) {
        Cluster {
            table: Some(name),
            index: Some(p.parse_identifier()?),
        }
    } else if p.parse_keyword(Keyword::ON) {
        let index = match name.0.as_slice() {
            [part] => part.as_ident().cloned(),
            _ => None,
        };
        let Some(index) = index else {
            return p.expected_ref("the name of an index", p.peek_token_ref());
        };
        Cluster {
            table: Some(p.parse_object_name(false)?),
            index: Some(index),
        }
    } else {
        Cluster {
            table: Some(name),
            index: None,
        }
    };
    match p.peek_token_ref().token {
        Token::EOF | Token::SemiColon => Ok(cluster),
        _ => p.expected_ref("end of statement", p.peek_token_ref()),
    }
}
