//! A consumer of changes: it follows a store with a cursor, and moves the cursor in the transaction that
//! notes how far it has come.
//!
//! 1. Cursor and note are of the same commit, whatever crashes.
//! 2. What the cursor holds can be read, whatever was compacted.
//! 3. The changes since the cursor make of the store as it was then the store as it is.
//! 4. A transaction beside which another one moved the cursor does not move it.

use std::collections::BTreeMap;
use std::sync::Arc;

use heliosdb_storage::history::named::PINS;
use heliosdb_storage::ids::Ts;
use heliosdb_storage::{Changes, Engine, LockWait, NamedPin, PinKind, RowLockMode};

use super::history::{Machine, Open};
use super::oracle::{Key, Value, World, entries};
use super::{FOLLOWED, Failure, Result, STORES};

/// The name of the cursor, and the key of the note.
const NAME: &str = "follower";

impl Machine {
    /// Go on to the newest commit, or make the cursor, or now and then give it up.
    pub(super) fn follow(&mut self, open: &mut Open, world: &World) -> Result<()> {
        let last = self.oracle.last_ts();
        if last == Ts::ZERO {
            return Ok(());
        }
        // Commits of branches may have let history go past the newest one of here, since when nothing changed.
        let to = last.max(self.engine().oldest_ts());
        let key = NAME.as_bytes();
        open.txn
            .lock_key(PINS, key, RowLockMode::Update, LockWait::NoWait)?;
        open.txn
            .lock_key(FOLLOWED, key, RowLockMode::Update, LockWait::NoWait)?;
        let place = (FOLLOWED, Key::Bytes(key.to_vec()));
        let noted = noted(world);
        if noted.is_some() && self.rng.one_in(8) {
            open.txn.remove_pin(NAME)?;
            open.txn.remove(FOLLOWED, key)?;
            open.changes.insert(place, None);
            return Ok(());
        }
        match noted {
            None => open.txn.create_pin(NamedPin {
                name: NAME.to_owned(),
                kind: PinKind::Cursor,
                ts: to,
                created_micros: 0,
                owner: "torture".to_owned(),
                reason: String::new(),
            })?,
            Some(since) => {
                self.check_changes(since, to)?;
                let moved = self.cursor_moved(open);
                open.txn.advance_cursor(NAME, to)?;
                if moved {
                    let what = "a cursor that another transaction has moved was moved".to_owned();
                    return Err(Failure::Wrong(what));
                }
            }
        }
        let note = to.0.to_be_bytes();
        open.txn.put(FOLLOWED, key, &note)?;
        let note = Arc::new(Value::Bytes(note.to_vec()));
        open.changes.insert(place, Some(note));
        Ok(())
    }

    /// Whether another transaction has written the cursor since the first statement of this one, which has
    /// not.
    pub(super) fn cursor_moved(&self, open: &Open) -> bool {
        let key = Key::Bytes(NAME.as_bytes().to_vec());
        let own = open.changes.contains_key(&(FOLLOWED, key.clone()));
        let first = open.first.unwrap_or(self.commits());
        !own && self.oracle.changed_since(first, FOLLOWED, &key)
    }

    /// The store at `since`, with the changes up to `to`, is the store at `to`.
    fn check_changes(&self, since: Ts, to: Ts) -> Result<()> {
        let store = |ts| entries(&self.oracle.at(ts), STORES[0]);
        for which in [Changes::Net, Changes::Every] {
            let mut followed: BTreeMap<Vec<u8>, Vec<u8>> = store(since);
            for change in self.engine().entry_changes(STORES[0], since, to, which)? {
                let change = change?;
                if followed.remove(&change.key) != change.old {
                    let what =
                        format!("{which:?} changes from {since}: {change:?} replaces nothing");
                    return Err(Failure::Wrong(what));
                }
                followed.extend(change.new.map(|new| (change.key, new)));
            }
            if followed != store(to) {
                let what = format!("{which:?} changes from {since} to {to} leave another store");
                return Err(Failure::Wrong(what));
            }
        }
        Ok(())
    }

    /// The cursor is where the note says, and what it holds can be read.
    pub(super) fn check_cursor(&self) -> Result<()> {
        let engine = self.engine();
        let (cursor, noted) = (place(engine)?, noted(self.oracle.latest()));
        if cursor != noted {
            let what = format!("the cursor is at {cursor:?}, and its note says {noted:?}");
            return Err(Failure::Wrong(what));
        }
        match cursor.filter(|ts| *ts < engine.oldest_ts()) {
            None => Ok(()),
            Some(ts) => {
                let oldest = engine.oldest_ts();
                let what = format!("a cursor holds {ts}, and history goes back to {oldest}");
                Err(Failure::Wrong(what))
            }
        }
    }
}

/// Where the cursor is.
fn place(engine: &Engine) -> Result<Option<Ts>> {
    let pins = engine.pins()?.into_iter();
    let mut cursors = pins.filter(|state| state.pin.name == NAME);
    Ok(cursors.next().map(|state| state.pin.ts))
}

/// Where the note says that it is.
fn noted(world: &World) -> Option<Ts> {
    let value = world.get(&(FOLLOWED, Key::Bytes(NAME.as_bytes().to_vec())))?;
    let Value::Bytes(note) = value.as_ref() else {
        return None;
    };
    let note: [u8; 8] = note.as_slice().try_into().ok()?;
    Some(Ts(u64::from_be_bytes(note)))
}
