//! `retention`: how long the past of a table is kept, if not as long as the database's.
//!
//! ```text
//! CREATE TABLE t (…) WITH (retention = '30 days')      ALTER TABLE t SET (retention = 'forever')
//! ALTER TABLE t SET (retention = 'default')
//! ```
//!
//! The value is an interval, `forever`, or `default`, which takes the table's own away. It is in the
//! table's definition, so a dump carries it and TRUNCATE keeps it. A table whose time is made longer has no
//! more of the past than it had; one whose time is made shorter forgets with the next merge.

use heliosdb_storage::schema::Retention;
use sqlparser::ast;

use super::put;
use crate::catalog::model::Oid;
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::session::Session;
use crate::types::interval::Interval;

/// The storage parameter.
pub(super) const RETENTION: &str = "retention";

const FOREVER: &str = "forever";
const DEFAULT: &str = "default";
const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;
/// As `justify_days` has it.
const MONTH_DAYS: i64 = 30;

/// Reads a retention as the catalog has it.
pub(crate) fn parse(text: &str) -> Result<Retention> {
    if text == FOREVER {
        return Ok(Retention::Forever);
    }
    let interval = Interval::parse(text)?;
    let days = i64::from(interval.months) * MONTH_DAYS + i64::from(interval.days);
    let micros = days.checked_mul(DAY_MICROS);
    let micros = micros.and_then(|micros| micros.checked_add(interval.micros));
    match micros.and_then(|micros| u64::try_from(micros).ok()) {
        Some(micros) => Ok(Retention::Micros(micros)),
        None => Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            format!("retention must not be negative: \"{text}\""),
        )),
    }
}

/// What an option asks for, as the catalog is to have it: `Some(None)` for the database's; `None` when it is
/// another option.
pub(super) fn option(option: &ast::SqlOption) -> Result<Option<Option<String>>> {
    let ast::SqlOption::KeyValue { key, value } = option else {
        return Ok(None);
    };
    if fold(key) != RETENTION {
        return Ok(None);
    }
    let text = match value {
        ast::Expr::Value(value) => value.value.clone().into_string(),
        ast::Expr::Identifier(word) => Some(fold(word)),
        _ => None,
    };
    let Some(text) = text else {
        return Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            format!("invalid value for option \"{RETENTION}\": {value}"),
        )
        .with_hint("It is an interval in quotes, 'forever' or 'default'."));
    };
    let text = text.trim();
    let known = [FOREVER, DEFAULT].into_iter();
    let word = known
        .into_iter()
        .find(|word| text.eq_ignore_ascii_case(word));
    match word {
        Some(DEFAULT) => Ok(Some(None)),
        Some(word) => Ok(Some(Some(word.to_owned()))),
        None => {
            parse(text)?;
            Ok(Some(Some(text.to_owned())))
        }
    }
}

impl Session {
    /// Sets what `options` ask for of a table; nothing when that is nothing.
    pub(super) fn set_retention(&mut self, oid: Oid, options: &[ast::SqlOption]) -> Result<()> {
        for asked in options {
            let Some(retention) = option(asked)? else {
                continue;
            };
            let (_, mut table) = self.table_now(oid)?;
            table.retention = retention;
            let catalog = self.change_catalog(vec![put!(Table, table)])?;
            self.define_storage(&catalog, oid)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_times() {
        let micros = |text: &str| match parse(text) {
            Ok(Retention::Micros(micros)) => micros,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(micros("30 days"), 30 * 24 * 3600 * 1_000_000);
        assert_eq!(micros("1 month"), micros("30 days"));
        assert_eq!(micros("1 day 2 hours"), 26 * 3600 * 1_000_000);
        assert_eq!(micros("0"), 0);
        assert_eq!(parse("forever").unwrap(), Retention::Forever);
        for bad in ["-1 day", "soon", ""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
