//! COPY as PostgreSQL's grammar has it: options of any name in parentheses, the older ones without, WHERE.
//!
//! What an option is called and what it may be is [`super::options`]' business.

use sqlparser::ast::{self, CopySource, CopyTarget, Expr, Ident};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{IsOptional, Parser, ParserError};
use sqlparser::tokenizer::{Location, Token};

use crate::error::{SqlError, state};
use crate::names::fold;

/// A COPY statement.
#[derive(Clone, Debug)]
pub(crate) struct CopyStatement {
    /// The statement without its options and its condition.
    pub ast: ast::Statement,
    pub options: Vec<GivenOption>,
    pub filter: Option<Expr>,
}

/// An option as it was written.
#[derive(Clone, Debug)]
pub(crate) struct GivenOption {
    pub name: String,
    pub value: Given,
    pub at: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Given {
    Nothing,
    Number(String),
    Text(String),
    Star,
    List(Vec<String>),
}

/// Why it is none.
#[derive(Debug)]
pub(crate) enum Failure {
    Syntax(ParserError),
    Refused(Box<SqlError>, Option<Location>),
}

impl From<ParserError> for Failure {
    fn from(error: ParserError) -> Failure {
        Failure::Syntax(error)
    }
}

/// Reads the statement; what follows it is not looked at.
pub(crate) fn parse(p: &mut Parser<'_>) -> Result<CopyStatement, Failure> {
    let mut options = Vec::new();
    p.expect_keyword(Keyword::COPY)?;
    let at = p.peek_token_ref().span.start;
    if p.parse_keyword(Keyword::BINARY) {
        options.push(format("binary", at));
    }
    let source = if p.consume_token(&Token::LParen) {
        let query = p.parse_query()?;
        p.expect_token(&Token::RParen)?;
        CopySource::Query(query)
    } else {
        CopySource::Table {
            table_name: p.parse_object_name(false)?,
            columns: p.parse_parenthesized_column_list(IsOptional::Optional, false)?,
        }
    };
    let is_query = matches!(source, CopySource::Query(_));
    let to = if is_query {
        p.expect_keyword(Keyword::TO)?;
        true
    } else {
        p.expect_one_of_keywords(&[Keyword::FROM, Keyword::TO])? == Keyword::TO
    };
    let program = p.parse_keyword(Keyword::PROGRAM);
    let standard = p
        .parse_one_of_keywords(&[Keyword::STDIN, Keyword::STDOUT])
        .is_some();
    if standard && program {
        let error = SqlError::new(state::SYNTAX_ERROR, "STDIN/STDOUT not allowed with PROGRAM");
        return Err(Failure::Refused(Box::new(error), None));
    }
    let target = match (program, standard) {
        // Either word may stand for either way.
        (_, true) if to => CopyTarget::Stdout,
        (_, true) => CopyTarget::Stdin,
        (true, false) => CopyTarget::Program {
            command: string(p)?,
        },
        (false, false) => CopyTarget::File {
            filename: string(p)?,
        },
    };
    if !is_query {
        delimiters(p, &mut options)?;
    }
    let _ = p.parse_keyword(Keyword::WITH);
    if p.consume_token(&Token::LParen) {
        options.extend(p.parse_comma_separated(option)?);
        p.expect_token(&Token::RParen)?;
    } else {
        while let Some(option) = older_option(p)? {
            options.push(option);
        }
    }
    let at = p.peek_token_ref().span.start;
    let mut filter = None;
    if !is_query && p.parse_keyword(Keyword::WHERE) {
        if to {
            let message = "WHERE clause not allowed with COPY TO";
            let error = SqlError::new(state::SYNTAX_ERROR, message);
            return Err(Failure::Refused(Box::new(error), Some(at)));
        }
        filter = Some(p.parse_expr()?);
    }
    Ok(CopyStatement {
        ast: ast::Statement::Copy {
            source,
            to,
            target,
            options: Vec::new(),
            legacy_options: Vec::new(),
            values: Vec::new(),
        },
        options,
        filter,
    })
}

fn format(name: &str, at: Location) -> GivenOption {
    GivenOption {
        name: "format".to_owned(),
        value: Given::Text(name.to_owned()),
        at,
    }
}

/// `[USING] DELIMITERS 'c'`, which stood before the options in the oldest form.
fn delimiters(p: &mut Parser<'_>, options: &mut Vec<GivenOption>) -> Result<(), ParserError> {
    let at = p.peek_token_ref().span.start;
    let using = p.parse_keyword(Keyword::USING);
    if take_word(p, "delimiters") {
        options.push(GivenOption {
            name: "delimiter".to_owned(),
            value: Given::Text(string(p)?),
            at,
        });
    } else if using {
        let next = p.peek_token();
        return p.expected("DELIMITERS", next);
    }
    Ok(())
}

/// An option in parentheses: a name, and perhaps a value.
fn option(p: &mut Parser<'_>) -> Result<GivenOption, ParserError> {
    let token = p.next_token();
    let at = token.span.start;
    let Token::Word(word) = &token.token else {
        return p.expected("an option", token);
    };
    let name = fold(&word.clone().into_ident(token.span));
    let value = match &p.peek_token_ref().token {
        Token::Comma | Token::RParen => Given::Nothing,
        Token::Mul => {
            p.next_token();
            Given::Star
        }
        Token::LParen => {
            p.next_token();
            let list = p.parse_comma_separated(word_or_string)?;
            p.expect_token(&Token::RParen)?;
            Given::List(list)
        }
        Token::Minus | Token::Plus | Token::Number(..) => {
            let sign = p.next_token();
            match sign.token {
                Token::Number(digits, _) => Given::Number(digits),
                sign => {
                    let token = p.next_token();
                    let Token::Number(digits, _) = &token.token else {
                        return p.expected("a number", token);
                    };
                    let sign = if sign == Token::Minus { "-" } else { "" };
                    Given::Number(format!("{sign}{digits}"))
                }
            }
        }
        _ => Given::Text(word_or_string(p)?),
    };
    Ok(GivenOption { name, value, at })
}

/// An option without parentheses, or `None` after the last.
fn older_option(p: &mut Parser<'_>) -> Result<Option<GivenOption>, ParserError> {
    let at = p.peek_token_ref().span.start;
    let named = |name: &str, value| {
        Ok(Some(GivenOption {
            name: name.to_owned(),
            value,
            at,
        }))
    };
    let flags = [
        ("binary", "format"),
        ("csv", "format"),
        ("freeze", "freeze"),
        ("header", "header"),
    ];
    for (word, name) in flags {
        if take_word(p, word) {
            let value = match name {
                "format" => Given::Text(word.to_owned()),
                _ => Given::Nothing,
            };
            return named(name, value);
        }
    }
    for word in ["delimiter", "null", "quote", "escape"] {
        if take_word(p, word) {
            let _ = p.parse_keyword(Keyword::AS);
            return named(word, Given::Text(string(p)?));
        }
    }
    if take_word(p, "encoding") {
        return named("encoding", Given::Text(string(p)?));
    }
    if !take_word(p, "force") {
        return Ok(None);
    }
    if take_word(p, "quote") {
        if p.consume_token(&Token::Mul) {
            return named("force_quote", Given::Star);
        }
        return named("force_quote", columns(p)?);
    }
    let not = p.parse_keyword(Keyword::NOT);
    p.expect_keyword(Keyword::NULL)?;
    let name = if not { "force_not_null" } else { "force_null" };
    named(name, columns(p)?)
}

fn columns(p: &mut Parser<'_>) -> Result<Given, ParserError> {
    let columns = p.parse_comma_separated(|p| p.parse_identifier())?;
    Ok(Given::List(columns.iter().map(fold).collect()))
}

/// Takes an unquoted word, whether or not the parser has it for a keyword.
fn take_word(p: &mut Parser<'_>, word: &str) -> bool {
    let found = matches!(&p.peek_token_ref().token, Token::Word(w)
        if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word));
    if found {
        p.next_token();
    }
    found
}

fn string(p: &mut Parser<'_>) -> Result<String, ParserError> {
    let token = p.next_token();
    match token.token {
        Token::SingleQuotedString(s)
        | Token::EscapedStringLiteral(s)
        | Token::UnicodeStringLiteral(s) => Ok(s),
        Token::DollarQuotedString(s) => Ok(s.value),
        _ => p.expected("a string", token),
    }
}

/// A string, or a word that is not reserved.
fn word_or_string(p: &mut Parser<'_>) -> Result<String, ParserError> {
    let token = p.peek_token();
    let Token::Word(word) = token.token else {
        return string(p);
    };
    let reserved = word.quote_style.is_none()
        && matches!(
            word.keyword,
            Keyword::NULL | Keyword::DEFAULT | Keyword::ALL | Keyword::SELECT | Keyword::WHERE
        );
    p.next_token();
    if reserved {
        let token = p.get_current_token().clone();
        return p.expected("a value", token);
    }
    Ok(fold(&Ident {
        value: word.value,
        quote_style: word.quote_style,
        span: token.span,
    }))
}
