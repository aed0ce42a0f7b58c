//! Pins and cursors from SQL.
//!
//! | function | what it does |
//! |---|---|
//! | `helios_pin(name [, scn [, reason]])` | holds the history since an SCN, that of the snapshot unless given |
//! | `helios_create_cursor(name [, scn [, reason]])` | the same, for one who follows the changes |
//! | `helios_cursor(name)` | how far a cursor has come; 55000 when it was left behind for too long |
//! | `helios_advance_cursor(name, scn)` | moves it on |
//! | `helios_unpin(name)` | lets go of what a pin or a cursor holds |
//!
//! Functions run inside plans, where no transaction can be written to. So they ask, and what they asked for
//! is done in the statement's transaction when all of its rows are there; when that fails, so does the
//! statement. A cursor moves with whatever else the transaction writes.

use heliosdb_storage::history::named::pin_of;
use heliosdb_storage::ids::Ts;
use heliosdb_storage::{Error, NamedPin, PinKind};

use super::Session;
use super::info::SessionInfo;
use crate::error::{Result, SqlError, state};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ask {
    Point,
    Cursor,
    Advance,
    Remove,
}

/// A pin that a function asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    ask: Ask,
    name: String,
    ts: Ts,
    reason: String,
}

impl SessionInfo {
    /// Asks for a pin at the end of the statement.
    pub(crate) fn ask_pin(
        &self,
        ask: Ask,
        name: String,
        scn: Option<i64>,
        reason: String,
    ) -> Result<()> {
        if matches!(ask, Ask::Point | Ask::Cursor) && !self.superuser {
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                "permission denied to hold history",
            )
            .with_hint("Only a superuser may make pins and cursors."));
        }
        let ts = u64::try_from(scn.unwrap_or_default()).map_err(|_| {
            SqlError::new(state::INVALID_PARAMETER_VALUE, "SCN must not be negative")
        })?;
        self.pins_asked().push(Asked {
            ask,
            name,
            ts: Ts(ts),
            reason,
        });
        Ok(())
    }
}

impl Session {
    /// Does what functions of the statement asked for.
    pub(super) fn apply_pins(&mut self) -> Result<()> {
        let asked = std::mem::take(&mut *self.info.pins_asked());
        for asked in asked {
            self.apply_pin(asked).map_err(|e| match e {
                PinError::Sql(e) => e,
                // A caller's numbers, and not a fault of this program.
                PinError::Storage(Error::Invalid { what }) => {
                    SqlError::new(state::INVALID_PARAMETER_VALUE, what)
                }
                PinError::Storage(e) => e.into(),
            })?;
        }
        Ok(())
    }

    fn apply_pin(&mut self, asked: Asked) -> std::result::Result<(), PinError> {
        let Asked {
            ask,
            name,
            ts,
            reason,
        } = asked;
        let (user, superuser) = (self.info.user.clone(), self.info.superuser);
        let kind = match ask {
            Ask::Cursor => PinKind::Cursor,
            _ => PinKind::Point,
        };
        let transaction = self.transaction()?;
        if matches!(ask, Ask::Advance | Ask::Remove) && !superuser {
            let pin = pin_of(&transaction.latest_view(), &name)?;
            if pin.is_some_and(|pin| pin.owner != user) {
                return Err(PinError::Sql(SqlError::new(
                    state::INSUFFICIENT_PRIVILEGE,
                    format!("must be owner of pin \"{name}\""),
                )));
            }
        }
        match ask {
            Ask::Point | Ask::Cursor => transaction.create_pin(NamedPin {
                name,
                kind,
                ts,
                created_micros: 0,
                owner: user,
                reason,
            })?,
            Ask::Advance => transaction.advance_cursor(&name, ts)?,
            Ask::Remove => transaction.remove_pin(&name)?,
        }
        Ok(())
    }
}

enum PinError {
    Sql(SqlError),
    Storage(Error),
}

impl From<SqlError> for PinError {
    fn from(e: SqlError) -> PinError {
        PinError::Sql(e)
    }
}

impl From<Error> for PinError {
    fn from(e: Error) -> PinError {
        PinError::Storage(e)
    }
}
