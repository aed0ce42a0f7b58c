//! The grammar of REINDEX, which the dialect lacks:
//!
//! ```text
//! REINDEX [ ( option [, …] ) ] { INDEX | TABLE | SCHEMA | DATABASE | SYSTEM } [ CONCURRENTLY ] name
//! option: VERBOSE [ boolean ] | CONCURRENTLY [ boolean ] | TABLESPACE name
//! ```

use sqlparser::ast::ObjectName;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// What is built anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReindexKind {
    Index,
    Table,
    Schema,
    Database,
    System,
}

#[derive(Clone, Debug)]
pub(crate) struct Reindex {
    pub kind: ReindexKind,
    pub name: ObjectName,
    pub concurrently: bool,
    /// An option that is not followed.
    pub refused: Option<String>,
}

/// Parses from the word on.
pub(super) fn parse(p: &mut Parser<'_>) -> Result<Reindex, ParserError> {
    p.next_token();
    let (mut concurrently, mut refused) = (false, None);
    if p.consume_token(&Token::LParen) {
        loop {
            let option = p.parse_identifier()?;
            let option = option.value.to_lowercase();
            let argument = match p.peek_token().token {
                Token::Comma | Token::RParen => None,
                _ => Some(p.next_token().token.to_string().to_lowercase()),
            };
            let on = !matches!(argument.as_deref(), Some("false" | "off" | "0"));
            match option.as_str() {
                "concurrently" => concurrently = on,
                _ if on => refused = Some(option),
                _ => {}
            }
            if !p.consume_token(&Token::Comma) {
                break;
            }
        }
        p.expect_token(&Token::RParen)?;
    }
    let kinds = [
        (Keyword::INDEX, ReindexKind::Index),
        (Keyword::TABLE, ReindexKind::Table),
        (Keyword::SCHEMA, ReindexKind::Schema),
        (Keyword::DATABASE, ReindexKind::Database),
        (Keyword::SYSTEM, ReindexKind::System),
    ];
    let kind = kinds.into_iter().find(|(word, _)| p.parse_keyword(*word));
    let Some((_, kind)) = kind else {
        return p.expected_ref("what to reindex", p.peek_token_ref());
    };
    concurrently |= p.parse_keyword(Keyword::CONCURRENTLY);
    let name = p.parse_object_name(false)?;
    match p.peek_token_ref().token {
        Token::EOF | Token::SemiColon => Ok(Reindex {
            kind,
            name,
            concurrently,
            refused,
        }),
        _ => p.expected_ref("end of statement", p.peek_token_ref()),
    }
}
