//! SET, SHOW, RESET, DISCARD, LOCK: statements about the session or the system.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use heliosdb_storage::TableLockMode;
use sqlparser::ast::{self, ContextModifier, DiscardObject, Expr, Ident, Set};

use super::outcome::{Outcome, ResultColumn, Rows};
use super::settings::{Saved, Settings};
use super::transaction::GivenModes;
use super::{Session, branch, done, server_settings};
use crate::catalog::Relation;
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::notify::Listening;
use crate::types::PgType;
use crate::types::interval::{self, Interval};
use crate::types::timezone::TimeZone;

/// One column of text.
pub(crate) fn text_rows(column: &str, lines: Vec<String>) -> Rows {
    rows(&[column], lines.into_iter().map(|l| vec![l]).collect())
}

/// Columns of text.
fn rows(columns: &[&str], lines: Vec<Vec<String>>) -> Rows {
    let described: Vec<ResultColumn> = columns
        .iter()
        .map(|name| ResultColumn {
            name: (*name).to_owned(),
            ty: PgType::Text,
            table_oid: 0,
            column_attnum: 0,
            typmod: -1,
        })
        .collect();
    let arrays: Vec<ArrayRef> = (0..columns.len())
        .map(|c| {
            let values = lines.iter().map(|l| l.get(c).map(String::as_str));
            Arc::new(values.collect::<StringViewArray>()) as ArrayRef
        })
        .collect();
    let fields: Vec<Field> = columns
        .iter()
        .map(|c| Field::new(*c, DataType::Utf8View, true))
        .collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays);
    Rows::batches(described.into(), batch.into_iter().collect())
}

/// The text of a value in SET.
fn set_value(expr: &Expr) -> Result<String> {
    Ok(match expr {
        Expr::Value(v) => match &v.value {
            ast::Value::SingleQuotedString(s)
            | ast::Value::EscapedStringLiteral(s)
            | ast::Value::DoubleQuotedString(s) => s.clone(),
            ast::Value::DollarQuotedString(s) => s.value.clone(),
            ast::Value::Number(n, _) => n.to_string(),
            ast::Value::Boolean(b) => b.to_string(),
            other => {
                return Err(SqlError::new(
                    state::SYNTAX_ERROR,
                    format!("syntax error at or near \"{other}\""),
                ));
            }
        },
        Expr::Identifier(ident) => fold(ident),
        Expr::UnaryOp {
            op: ast::UnaryOperator::Minus,
            expr,
        } => format!("-{}", set_value(expr)?),
        Expr::UnaryOp {
            op: ast::UnaryOperator::Plus,
            expr,
        } => set_value(expr)?,
        other => {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                format!("syntax error at or near \"{other}\""),
            ));
        }
    })
}

/// The zone of `SET TIME ZONE INTERVAL …`: that far east.
fn zone_of(given: &ast::Interval) -> Result<TimeZone> {
    use ast::DateTimeField::{Hour, Minute};
    let text = set_value(&given.value)?;
    let number = text.trim().parse::<f64>().is_ok();
    let span = match (&given.leading_field, &given.last_field) {
        (None, None) => Interval::parse(&text)?,
        (Some(Hour), None) if number => Interval::parse(&format!("{text} hours"))?,
        (Some(Hour), Some(Minute)) if number => Interval::parse(&format!("{text} minutes"))?,
        (Some(Hour), None | Some(Minute)) => Interval::parse(&text)?,
        _ => {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                "time zone interval must be HOUR or HOUR TO MINUTE",
            ));
        }
    };
    let refused = |unit| {
        let mut shown = String::new();
        span.write(&mut shown);
        SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            format!("invalid value for parameter \"TimeZone\": \"INTERVAL '{shown}'\""),
        )
        .with_detail(format!("Cannot specify {unit} in time zone interval."))
    };
    if span.months != 0 {
        return Err(refused("months"));
    }
    if span.days != 0 {
        return Err(refused("days"));
    }
    let east = i32::try_from(span.micros / 1_000_000).map_err(|_| interval::out_of_range())?;
    Ok(TimeZone::fixed(east))
}

fn is_default(values: &[Expr]) -> bool {
    matches!(values, [Expr::Identifier(i)] if i.quote_style.is_none() && i.value.eq_ignore_ascii_case("default"))
}

/// The parameter that a SET names, and the value that it gives; none for DEFAULT.
pub(crate) fn assigned(set: &Set) -> Result<(String, Option<String>)> {
    match set {
        Set::SingleAssignment {
            variable, values, ..
        } => {
            let name = crate::names::parts(variable)?.join(".");
            let value = match is_default(values) {
                true => None,
                false => Some(joined(&name, values)?),
            };
            Ok((name, value))
        }
        Set::SetTimeZone { value, .. } => {
            let value = match value {
                Expr::Interval(span) => zone_of(span)?.name().to_owned(),
                other => set_value(other)?,
            };
            Ok(("timezone".to_owned(), Some(value)))
        }
        Set::SetNames {
            charset_name,
            collation_name: None,
        } => Ok((
            "client_encoding".to_owned(),
            Some(charset_name.value.clone()),
        )),
        other => Err(SqlError::unsupported(format!("{other}"))),
    }
}

/// The values of a list.
fn joined(name: &str, values: &[Expr]) -> Result<String> {
    let words = values.iter().map(|value| {
        let word = set_value(value)?;
        Ok(match name {
            "search_path" => crate::names::quote(&word),
            _ => word,
        })
    });
    Ok(words.collect::<Result<Vec<_>>>()?.join(", "))
}

impl Session {
    pub(crate) fn set(&mut self, set: &Set) -> Result<Outcome> {
        match set {
            Set::SingleAssignment {
                scope,
                variable,
                values,
                ..
            } => {
                let name = crate::names::parts(variable)?.join(".");
                let local = matches!(scope, Some(ContextModifier::Local));
                let server = server_settings::find(&name);
                if let (Some(server), true) = (server, is_default(values)) {
                    return self.set_server(server, None, local);
                }
                if is_default(values) && name.eq_ignore_ascii_case("role") {
                    return self.set_role(None, local);
                }
                if is_default(values) && name.eq_ignore_ascii_case("session_authorization") {
                    return self.set_session_authorization(None, local);
                }
                if is_default(values) && name.eq_ignore_ascii_case(branch::PARAMETER) {
                    return self.set_branch(None, local);
                }
                if is_default(values) {
                    let value = {
                        let mut copy = self.info.settings();
                        copy.reset(&name)?;
                        copy.get(&name)?.to_owned()
                    };
                    return self.set_parameter(&name, &value, local);
                }
                let value = joined(&name, values)?;
                self.set_parameter(&name, &value, local)
            }
            Set::SetTimeZone { local, value } => {
                let value = match value {
                    Expr::Interval(span) => zone_of(span)?.name().to_owned(),
                    other => set_value(other)?,
                };
                self.set_parameter("timezone", &value, *local)
            }
            Set::SetNames {
                charset_name,
                collation_name: None,
            } => self.set_parameter("client_encoding", &charset_name.value, false),
            Set::SetTransaction { .. } => self.set_transaction(set, None),
            Set::SetRole {
                context_modifier,
                role_name,
            } => {
                let local = matches!(context_modifier, Some(ContextModifier::Local));
                let role = role_name.as_ref().map(crate::names::fold);
                self.set_role(role.as_deref(), local)
            }
            Set::SetSessionAuthorization(given) => {
                let local = matches!(given.scope, ContextModifier::Local);
                match &given.kind {
                    ast::SetSessionAuthorizationParamKind::Default => {
                        self.set_session_authorization(None, local)
                    }
                    ast::SetSessionAuthorizationParamKind::User(user) => {
                        let user = crate::names::fold(user);
                        self.set_session_authorization(Some(&user), local)
                    }
                }
            }
            other => Err(SqlError::unsupported(format!("{other}"))),
        }
    }

    /// SET TRANSACTION and SET SESSION CHARACTERISTICS AS TRANSACTION.
    pub(crate) fn set_transaction(
        &mut self,
        set: &Set,
        deferrable: Option<bool>,
    ) -> Result<Outcome> {
        let Set::SetTransaction {
            modes,
            snapshot: None,
            session,
        } = set
        else {
            return Err(SqlError::unsupported("SET TRANSACTION SNAPSHOT"));
        };
        let given = GivenModes { modes, deferrable };
        match session {
            true => self.set_session_modes(given)?,
            false => self.set_transaction_modes(given)?,
        }
        done("SET")
    }

    fn set_parameter(&mut self, name: &str, value: &str, local: bool) -> Result<Outcome> {
        if name.eq_ignore_ascii_case("transaction_isolation")
            || name.eq_ignore_ascii_case("transaction_read_only")
            || name.eq_ignore_ascii_case("transaction_deferrable")
        {
            return Err(
                SqlError::unsupported(format!("SET {name}")).with_hint("Use SET TRANSACTION.")
            );
        }
        if let Some(server) = server_settings::find(name) {
            return self.set_server(server, Some(value), local);
        }
        if name.eq_ignore_ascii_case("role") {
            let none = value.eq_ignore_ascii_case("none");
            return self.set_role((!none).then_some(value), local);
        }
        if name.eq_ignore_ascii_case("session_authorization") {
            return self.set_session_authorization(Some(value), local);
        }
        if name.eq_ignore_ascii_case(branch::PARAMETER) {
            return self.set_branch(Some(value), local);
        }
        self.info.check_may_set(name)?;
        if local && !self.txn.in_block() {
            self.info.settings().clone().set(name, value)?;
            self.warn(
                state::NO_ACTIVE_SQL_TRANSACTION,
                "SET LOCAL can only be used in transaction blocks",
            );
            return done("SET");
        }
        // Outside a block the SET is its own transaction and there is nothing to go back to.
        self.begin_statement_snapshot();
        let old = self
            .info
            .change_settings(|s: &mut Settings| -> Result<Saved> {
                let old = s.saved(name)?;
                s.set(name, value)?;
                Ok(old)
            })?;
        self.note_set(name, old, local);
        done("SET")
    }

    pub(crate) fn show(&mut self, variable: &[Ident]) -> Result<Outcome> {
        let words: Vec<String> = variable.iter().map(fold).collect();
        let joined = words.join(".");
        let name = match words
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .as_slice()
        {
            ["time", "zone"] => "timezone",
            ["transaction", "isolation", "level"] => "transaction_isolation",
            ["session", "authorization"] => "session_authorization",
            ["all"] => {
                let settings = self.info.shown_settings();
                let lines = settings
                    .all()
                    .map(|(n, v, d)| vec![n.to_owned(), v.to_owned(), d.to_owned()])
                    .collect();
                let rows = rows(&["name", "setting", "description"], lines);
                return Ok(Outcome::Rows(rows.with_tag("SHOW")));
            }
            _ => joined.as_str(),
        };
        let column = Settings::column_name(name)?;
        let value = self.info.shown_settings().get(name)?.to_owned();
        Ok(Outcome::Rows(
            text_rows(&column, vec![value]).with_tag("SHOW"),
        ))
    }

    pub(crate) fn reset(&mut self, what: &ast::Reset) -> Result<Outcome> {
        self.begin_statement_snapshot();
        match what {
            ast::Reset::ALL => self.info.change_settings(Settings::reset_all),
            ast::Reset::ConfigurationParameter(name) => {
                let name = crate::names::parts(name)?.join(".");
                if let Some(server) = server_settings::find(&name) {
                    return self.set_server(server, None, false);
                }
                if name.eq_ignore_ascii_case("role") {
                    self.set_role(None, false)?;
                    return done("RESET");
                }
                if name.eq_ignore_ascii_case("session_authorization") {
                    self.set_session_authorization(None, false)?;
                    return done("RESET");
                }
                if name.eq_ignore_ascii_case(branch::PARAMETER) {
                    self.set_branch(None, false)?;
                    return done("RESET");
                }
                self.info.check_may_set(&name)?;
                self.info.change_settings(|s| s.reset(&name))?;
            }
        }
        done("RESET")
    }

    pub(crate) fn discard(&mut self, what: DiscardObject) -> Result<Outcome> {
        match what {
            DiscardObject::ALL => {
                if self.txn.in_block() {
                    return Err(SqlError::new(
                        state::ACTIVE_SQL_TRANSACTION,
                        "DISCARD ALL cannot run inside a transaction block",
                    ));
                }
                self.prepared.clear();
                self.close_cursor(&ast::CloseCursor::All)?;
                self.info.discard_sequences();
                self.info.change_settings(Settings::reset_all);
                self.discard_temporary()?;
                self.info.unlock_all_advisory();
                self.change_listening(Listening::ToNothing);
                self.set_session_authorization(None, false)?;
                if self.info.branch() != self.home_branch() {
                    // What was discarded is of the branch that is left.
                    self.commit_storage()?;
                    self.set_branch(None, false)?;
                }
                done("DISCARD ALL")
            }
            DiscardObject::PLANS => {
                for prepared in self.prepared.values() {
                    prepared.forget_plan();
                }
                done("DISCARD PLANS")
            }
            DiscardObject::SEQUENCES => {
                self.info.discard_sequences();
                done("DISCARD SEQUENCES")
            }
            DiscardObject::TEMP => {
                self.discard_temporary()?;
                done("DISCARD TEMP")
            }
        }
    }

    pub(crate) fn lock_tables(&mut self, lock: &ast::Lock) -> Result<Outcome> {
        if !self.txn.is_explicit() && self.nesting == 0 {
            return Err(SqlError::new(
                state::NO_ACTIVE_SQL_TRANSACTION,
                "LOCK TABLE can only be used in transaction blocks",
            ));
        }
        let mode = match lock.lock_mode {
            Some(ast::LockTableMode::AccessShare) => TableLockMode::AccessShare,
            Some(ast::LockTableMode::RowShare) => TableLockMode::RowShare,
            Some(ast::LockTableMode::RowExclusive) => TableLockMode::RowExclusive,
            Some(ast::LockTableMode::ShareUpdateExclusive) => TableLockMode::ShareUpdateExclusive,
            Some(ast::LockTableMode::Share) => TableLockMode::Share,
            Some(ast::LockTableMode::ShareRowExclusive) => TableLockMode::ShareRowExclusive,
            Some(ast::LockTableMode::Exclusive) => TableLockMode::Exclusive,
            Some(ast::LockTableMode::AccessExclusive) | None => TableLockMode::AccessExclusive,
        };
        for target in &lock.tables {
            let (_, catalog) = self.write_view()?;
            let table = match self.relation(&catalog, &target.name)? {
                Relation::Table(t) => t,
                other => {
                    return Err(SqlError::unsupported(format!(
                        "LOCK TABLE of {} \"{}\"",
                        other.kind(),
                        other.name()
                    )));
                }
            };
            self.check_lock_table(&catalog, &Relation::Table(table.clone()), mode)?;
            if lock.nowait {
                self.transaction()?
                    .lock_table(
                        table.collection_id(),
                        mode,
                        heliosdb_storage::LockWait::NoWait,
                    )
                    .map_err(|e| lock_not_available(e, &table.name))?;
            } else {
                self.lock_table(table.collection_id(), mode)?;
            }
        }
        done("LOCK TABLE")
    }
}

/// NOWAIT's error names the relation.
pub(crate) fn lock_not_available(error: heliosdb_storage::Error, name: &str) -> SqlError {
    match error {
        heliosdb_storage::Error::LockNotAvailable => SqlError::new(
            state::LOCK_NOT_AVAILABLE,
            format!("could not obtain lock on relation \"{name}\""),
        ),
        other => SqlError::from(other),
    }
}
