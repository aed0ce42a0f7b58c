//! EXPORT DATABASE TO STDOUT: a dump, as the data of a COPY.
//!
//! ```text
//! EXPORT DATABASE TO STDOUT [ [ WITH ] ( option [ value ] [, …] ) ]
//! option   HISTORY | MVS | BRANCHES | CONFIG   boolean; a name alone says true
//!          COMPRESSION_LEVEL                   of zstd
//! ```
//!
//! The dump holds what is durable when the statement begins, whatever a transaction of the session sees;
//! so that nobody misses their own writes in it, it does not run inside a transaction block. The tag
//! is `EXPORT` and the number of bytes: who kept fewer lost some.

use heliosdb_dump::ExportOptions;
use heliosdb_dump::options::LEVELS;
use sqlparser::ast::Ident;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token};

use super::CopyOut;
use crate::dump::stream::ExportStream;
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::session::Session;
use crate::session::outcome::Outcome;
use crate::session::settings::parse_bool;
use crate::session::statement::position_in;

const STATEMENT: &str = "EXPORT DATABASE";
const OPTIONS: [&str; 5] = ["history", "mvs", "branches", "config", "compression_level"];

/// An option as it was written.
#[derive(Clone, Debug)]
pub(crate) struct ExportOption {
    name: Ident,
    value: Option<String>,
}

/// Reads the whole statement.
pub(crate) fn parse(p: &mut Parser<'_>) -> Result<Vec<ExportOption>, ParserError> {
    p.expect_keywords(&[
        Keyword::EXPORT,
        Keyword::DATABASE,
        Keyword::TO,
        Keyword::STDOUT,
    ])?;
    let mut options = Vec::new();
    let with = p.parse_keyword(Keyword::WITH);
    if with || p.peek_token_ref().token == Token::LParen {
        p.expect_token(&Token::LParen)?;
        options = p.parse_comma_separated(parse_option)?;
        p.expect_token(&Token::RParen)?;
    }
    let end = p.peek_token();
    if end.token != Token::EOF {
        return p.expected("the end of the statement", end);
    }
    Ok(options)
}

fn parse_option(p: &mut Parser<'_>) -> Result<ExportOption, ParserError> {
    let name = p.parse_identifier()?;
    let value = match p.peek_token_ref().token {
        Token::Comma | Token::RParen => None,
        _ => Some(parse_value(p)?),
    };
    Ok(ExportOption { name, value })
}

fn parse_value(p: &mut Parser<'_>) -> Result<String, ParserError> {
    let sign = if p.consume_token(&Token::Minus) {
        "-"
    } else {
        ""
    };
    let token = p.next_token();
    match token.token {
        Token::Number(n, _) => Ok(format!("{sign}{n}")),
        Token::Word(w) if sign.is_empty() => Ok(w.value),
        Token::SingleQuotedString(s) if sign.is_empty() => Ok(s),
        _ => p.expected("a value", token),
    }
}

fn options_of(given: &[ExportOption], text: &str) -> Result<ExportOptions> {
    // The settings file tells of the machine and not of the database.
    let mut options = ExportOptions {
        config: false,
        ..ExportOptions::default()
    };
    let mut seen: Vec<String> = Vec::new();
    for option in given {
        let name = fold(&option.name);
        let at = option.name.span.start;
        let failed = |code, message: String| located(SqlError::new(code, message), text, at);
        if seen.contains(&name) {
            let message = "conflicting or redundant options".to_owned();
            return Err(failed(state::SYNTAX_ERROR, message));
        }
        let boolean = || match &option.value {
            None => Ok(true),
            Some(value) => parse_bool(value).ok_or_else(|| {
                failed(
                    state::SYNTAX_ERROR,
                    format!("{name} requires a Boolean value"),
                )
            }),
        };
        match name.as_str() {
            "history" => options.history = boolean()?,
            "mvs" => options.views = boolean()?,
            "branches" => options.branches = boolean()?,
            "config" => options.config = boolean()?,
            "compression_level" => {
                let value = option.value.as_ref().and_then(|v| v.parse::<i64>().ok());
                let level = value.ok_or_else(|| {
                    failed(
                        state::SYNTAX_ERROR,
                        format!("{name} requires an integer value"),
                    )
                })?;
                let valid = i32::try_from(level).ok().filter(|l| LEVELS.contains(l));
                options.level = valid.ok_or_else(|| {
                    let message = format!(
                        "compression level {level} is outside the valid range ({} .. {})",
                        LEVELS.start(),
                        LEVELS.end()
                    );
                    failed(state::INVALID_PARAMETER_VALUE, message)
                })?;
            }
            other => {
                let message = format!("{STATEMENT} option \"{other}\" not recognized");
                let error = failed(state::SYNTAX_ERROR, message);
                let hint = format!("Options are {}.", OPTIONS.join(", "));
                return Err(error.with_hint(hint));
            }
        }
        seen.push(name);
    }
    Ok(options)
}

fn located(error: SqlError, text: &str, at: Location) -> SqlError {
    error.with_position(position_in(text, at))
}

impl Session {
    pub(crate) fn export_database(
        &mut self,
        options: &[ExportOption],
        text: &str,
    ) -> Result<Outcome> {
        let options = ExportOptions {
            interrupt: self.interrupt.clone(),
            ..options_of(options, text)?
        };
        self.check_superuser(STATEMENT)?;
        if self.txn.is_explicit() || self.txn.has_storage() {
            return Err(SqlError::new(
                state::ACTIVE_SQL_TRANSACTION,
                format!("{STATEMENT} cannot run inside a transaction block"),
            ));
        }
        let stream = ExportStream::start(&self.instance, options)?;
        if let Some(some) = &stream.branches_left_out {
            let what = format!("the dump is without {some}; WITH (BRANCHES) takes them along");
            self.notice("NOTICE", state::SUCCESSFUL_COMPLETION, what);
        }
        Ok(Outcome::CopyOut(CopyOut::export(stream)))
    }
}
