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
//!
//! A pin is its owner's and the superusers'. The owner is kept by name, so a role takes its pins along when
//! it is renamed, and cannot be dropped before them. Names with a slash are those of plugins' cursors, whose
//! owners are plugins and no roles: nobody makes such pins here, and only superusers touch them.

use heliosdb_plugin_host::cursors::is_of_plugin;
use heliosdb_storage::history::named::{pin_of, pins_of};
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
        if matches!(ask, Ask::Point | Ask::Cursor) && !self.role().superuser {
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                "permission denied to hold history",
            )
            .with_hint("Only a superuser may make pins and cursors."));
        }
        if is_of_plugin(&name) {
            match ask {
                Ask::Point | Ask::Cursor => {
                    return Err(SqlError::new(
                        state::RESERVED_NAME,
                        format!("pin name \"{name}\" is reserved"),
                    )
                    .with_detail("Names with a slash are those of plugins' cursors."));
                }
                Ask::Advance | Ask::Remove if !self.role().superuser => {
                    return Err(SqlError::new(
                        state::INSUFFICIENT_PRIVILEGE,
                        format!("must be superuser to change pin \"{name}\""),
                    ));
                }
                Ask::Advance | Ask::Remove => {}
            }
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
        let (user, superuser) = (self.info.role().name.clone(), self.info.role().superuser);
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

impl Session {
    /// Names of a role's pins.
    pub(crate) fn pins_of_role(&mut self, role: &str) -> Result<Vec<String>> {
        let pins = pins_of(&self.transaction()?.latest_view())?.into_iter();
        let own = pins.filter(|pin| pin.owner == role && !is_of_plugin(&pin.name));
        Ok(own.map(|pin| pin.name).collect())
    }

    /// Gives all pins of a role to another.
    pub(crate) fn give_pins(&mut self, role: &str, heir: &str) -> Result<()> {
        for name in self.pins_of_role(role)? {
            self.transaction()?.give_pin(&name, heir)?;
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
