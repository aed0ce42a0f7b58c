//! The grammar of settings that belong to roles and to the database, most of which the dialect lacks:
//!
//! ```text
//! ALTER { ROLE | USER } { role | ALL } [ IN DATABASE database ] change
//! ALTER DATABASE database change
//! change: SET parameter { TO | = } { value [, …] | DEFAULT } | SET parameter FROM CURRENT
//!       | RESET parameter | RESET ALL
//! ```
//!
//! What follows SET and RESET is what the statements of these names say.

use sqlparser::ast::{self, Ident};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// Whose setting is changed.
#[derive(Clone, Debug)]
pub(crate) enum Whose {
    Role(Ident),
    /// Every role's.
    All,
    /// The database's.
    Nobody,
}

#[derive(Clone, Debug)]
pub(crate) enum SettingChange {
    Set(Box<ast::Set>),
    FromCurrent(ast::ObjectName),
    Reset(ast::Reset),
}

/// A change of what sessions begin with.
#[derive(Clone, Debug)]
pub(crate) struct AlterSetting {
    pub whose: Whose,
    pub database: Option<Ident>,
    pub change: SettingChange,
}

/// Whether a statement is one: SET or RESET comes behind the name.
pub(super) fn begins(words: &[&Token]) -> bool {
    let word = |i: usize| match words.get(i) {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    };
    let behind = match (word(0), word(1)) {
        (Keyword::ALTER, Keyword::DATABASE) => 3,
        (Keyword::ALTER, Keyword::ROLE | Keyword::USER) if word(3) == Keyword::IN => 6,
        (Keyword::ALTER, Keyword::ROLE | Keyword::USER) => 3,
        _ => return false,
    };
    matches!(word(behind), Keyword::SET | Keyword::RESET)
}

/// Parses the whole statement.
pub(super) fn parse(p: &mut Parser<'_>) -> Result<AlterSetting, ParserError> {
    p.expect_keyword(Keyword::ALTER)?;
    let (whose, database) = if p.parse_keyword(Keyword::DATABASE) {
        (Whose::Nobody, Some(p.parse_identifier()?))
    } else {
        p.expect_one_of_keywords(&[Keyword::ROLE, Keyword::USER])?;
        let whose = match p.parse_keyword(Keyword::ALL) {
            true => Whose::All,
            false => Whose::Role(p.parse_identifier()?),
        };
        let database = match p.parse_keywords(&[Keyword::IN, Keyword::DATABASE]) {
            true => Some(p.parse_identifier()?),
            false => None,
        };
        (whose, database)
    };
    let from_current = p.maybe_parse(|p| {
        p.expect_keyword(Keyword::SET)?;
        let name = p.parse_object_name(false)?;
        p.expect_keywords(&[Keyword::FROM, Keyword::CURRENT])?;
        Ok(name)
    })?;
    let change = match from_current {
        Some(name) => SettingChange::FromCurrent(name),
        None => {
            let first = p.peek_token();
            match p.parse_statement()? {
                ast::Statement::Set(set) => SettingChange::Set(Box::new(set)),
                ast::Statement::Reset(reset) => SettingChange::Reset(reset.reset),
                _ => return p.expected("SET or RESET", first),
            }
        }
    };
    let end = p.peek_token();
    if end.token != Token::EOF {
        return p.expected("end of statement", end);
    }
    Ok(AlterSetting {
        whose,
        database,
        change,
    })
}
