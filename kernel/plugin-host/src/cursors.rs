//! Cursors of plugins that follow changes: pins of storage, under names of their own.
//!
//! The pin of plugin `p`'s cursor `c` is called `p/c`, so one plugin does not see the cursors of another. It
//! is written by the transaction that writes what the plugin made of the changes. Its owner is the plugin's id,
//! which a role may have for a name, too: that a pin is a plugin's is told by the slash, which no pin of a
//! role has.

use heliosdb_storage::history::named::pin_of;
use heliosdb_storage::ids::Ts;
use heliosdb_storage::{Engine, Error, NamedPin, PinKind, ReadView, Result, Transaction};

fn pin_name(plugin: &str, name: &str) -> String {
    format!("{plugin}/{name}")
}

/// Whether a pin of this name is a plugin's.
pub fn is_of_plugin(pin: &str) -> bool {
    pin.contains('/')
}

/// A new cursor, that holds what was committed after `at`.
pub fn create(tx: &mut Transaction, plugin: &str, name: &str, at: Ts) -> Result<()> {
    tx.create_pin(NamedPin {
        name: pin_name(plugin, name),
        kind: PinKind::Cursor,
        ts: at,
        created_micros: 0,
        owner: plugin.to_owned(),
        reason: "follows changes".to_owned(),
    })
}

/// Where a cursor is, if there is one. `CursorExpired` for one that fell too far behind.
pub fn find(engine: &Engine, view: &ReadView, plugin: &str, name: &str) -> Result<Option<Ts>> {
    match engine.cursor_in(view, &pin_name(plugin, name)) {
        Ok(at) => Ok(Some(at)),
        Err(Error::NoSuchPin { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same, expired or not.
pub fn place(view: &ReadView, plugin: &str, name: &str) -> Result<Option<Ts>> {
    Ok(pin_of(view, &pin_name(plugin, name))?.map(|pin| pin.ts))
}

/// Everything up to and with `to` was taken in.
pub fn advance(tx: &mut Transaction, plugin: &str, name: &str, to: Ts) -> Result<()> {
    tx.advance_cursor(&pin_name(plugin, name), to)
}

pub fn remove(tx: &mut Transaction, plugin: &str, name: &str) -> Result<()> {
    tx.remove_pin(&pin_name(plugin, name))
}
