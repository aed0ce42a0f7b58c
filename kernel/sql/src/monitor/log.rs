//! What is logged of statements, through `tracing` at the target [`TARGET`]: those that fail, those that are
//! slow, and those of the kinds that `log_statement` names. Which, a session's settings say.
//!
//! Each line has the statement's number (its session's, and which of that session's statements it is), the
//! user and the database, so that lines of one statement are found together. A statement that speaks of a password is
//! logged without anything quoted in it, and its error without its message, which may quote it.

use std::borrow::Cow;

use sqlparser::ast::Statement as Ast;

use super::sessions::Kind;
use super::text::without_strings;
use crate::error::SqlError;
use crate::session::info::SessionInfo;
use crate::session::statement::StatementKind;

/// What filters of logs name.
pub const TARGET: &str = "heliosdb::statement";

/// Longer texts are cut.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// What a session logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// Statements that took no less; all ones for none.
    pub slow_nanos: u64,
    pub statements: Logged,
    pub errors: bool,
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings {
            slow_nanos: u64::MAX,
            statements: Logged::None,
            errors: false,
        }
    }
}

/// `log_statement`, and which of its values a statement needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Logged {
    None,
    Ddl,
    Mod,
    All,
}

impl Logged {
    /// The values of `log_statement`.
    pub const NAMES: &[&str] = &["none", "ddl", "mod", "all"];

    pub fn of_name(name: &str) -> Logged {
        match name {
            "ddl" => Logged::Ddl,
            "mod" => Logged::Mod,
            "all" => Logged::All,
            _ => Logged::None,
        }
    }

    /// What a statement is logged with.
    fn needed_by(kind: &StatementKind) -> Logged {
        let ast = match kind {
            StatementKind::Known(known) => return Logged::needed_by(known.kind()),
            kind => kind.ast(),
        };
        match (Kind::of(kind), ast) {
            (_, Some(Ast::Prepare { statement, .. })) => Logged::needed_by_ast(statement),
            (
                _,
                Some(Ast::Explain {
                    analyze: true,
                    statement,
                    ..
                }),
            ) => Logged::needed_by_ast(statement),
            (_, Some(ast)) => Logged::needed_by_ast(ast),
            (Kind::Ddl, None) => Logged::Ddl,
            (_, None) => Logged::All,
        }
    }

    fn needed_by_ast(ast: &Ast) -> Logged {
        match (Kind::of_ast(ast), ast) {
            (Kind::Ddl, _) => Logged::Ddl,
            (Kind::Insert | Kind::Update | Kind::Delete | Kind::Merge, _)
            | (_, Ast::Truncate(_) | Ast::Copy { to: false, .. }) => Logged::Mod,
            _ => Logged::All,
        }
    }
}

/// The statement of a session that is logged.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    pub info: &'a SessionInfo,
    /// Which of the session's.
    pub number: u32,
    pub text: &'a str,
}

/// Expands to an event of a line, with what else there is to say of it.
macro_rules! event {
    ($line:expr, $message:literal $(, $($field:tt)+)?) => {{
        let line: &Line<'_> = $line;
        let text = shown(line.text);
        let info = line.info;
        tracing::info!(
            target: TARGET,
            statement_id = %format_args!("{}.{}", info.pid, line.number),
            user = %info.session_user(),
            database = %info.database,
            $($($field)+,)?
            statement = %text,
            $message
        );
    }};
}

impl Line<'_> {
    /// It begins.
    pub fn begun(&self, kind: &StatementKind, settings: LogSettings) {
        if settings.statements != Logged::None && Logged::needed_by(kind) <= settings.statements {
            event!(self, "statement");
        }
    }

    /// It has run.
    pub fn ran(&self, nanos: u64, settings: LogSettings) {
        if nanos >= settings.slow_nanos {
            let millis = nanos as f64 / 1e6;
            event!(self, "slow statement", duration_ms = %format_args!("{millis:.3}"));
        }
    }

    pub fn failed(&self, error: &SqlError, settings: LogSettings) {
        if !settings.errors {
            return;
        }
        let message = match is_secret(self.text) {
            true => "(not shown: the statement speaks of a password)",
            false => error.message.as_str(),
        };
        event!(self, "statement failed", sqlstate = %error.code.as_str(), error = %message);
    }
}

fn is_secret(text: &str) -> bool {
    const WORD: &[u8] = b"password";
    let mut windows = text.as_bytes().windows(WORD.len());
    windows.any(|window| window.eq_ignore_ascii_case(WORD))
}

fn shown(text: &str) -> Cow<'_, str> {
    if is_secret(text) {
        return Cow::Owned(without_strings(text));
    }
    if text.len() <= TEXT_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    let mut cut = TEXT_BYTES_MAX;
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    Cow::Owned(format!("{}…", &text[..cut]))
}
