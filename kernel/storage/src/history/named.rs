//! Pins with a name: points in time that somebody wants to come back to, and cursors of those who follow
//! the changes.
//!
//! They are keys of collection 1 on the main timeline, so they are logged, flushed and rolled back like
//! rows, and a consumer moves its cursor in the transaction that writes what it made of the changes: both
//! are there after a crash, or neither. The key is the name; the value:
//!
//! ```text
//! version u16 = 1 │ kind u8 (0 a point, 1 a cursor) │ ts u64 │ created u64, microseconds
//! │ owner: length u16, UTF-8 │ reason: length u16, UTF-8
//! ```
//!
//! 1. From the moment at which a transaction names a time until it has ended, that time is held like a
//!    snapshot; once it has committed, by the pin ([`compact::Pins`](crate::compact) has a copy of all).
//!    So history that a pin was promised is never gone.
//! 2. A pin holds everything since its time, in every table: a consumer is to read the changes since.
//! 3. A cursor further behind than [`Options::max_pin_age_micros`](crate::Options) is invalid: it holds
//!    nothing, and its owner is told so whenever it reads or moves it. What it followed must be made anew,
//!    under a cursor made anew. A point stays until it is removed.
//! 4. A transaction moves a cursor only if nobody else has since its first statement. So of two consumers
//!    that read the same changes, one commits what it made of them.

use std::ops::Bound;
use std::sync::Arc;

use crate::engine::EngineInner;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Ts};
use crate::parse::Parser;
use crate::timeline::Timeline;
use crate::transaction::Transaction;
use crate::view::ReadView;

/// The collection of the pins.
pub const PINS: CollectionId = CollectionId(1);
/// Longest name, and owner.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest reason.
pub const REASON_BYTES_MAX: usize = 1000;

const VERSION: u16 = 1;

/// Whether a pin moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinKind {
    /// It stays where it is, until it is removed.
    Point,
    /// It moves with one who follows the changes, and does not live for ever when it stands still.
    Cursor,
}

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPin {
    pub name: String,
    pub kind: PinKind,
    /// History is held from here on; of a cursor: all that was committed by then was seen.
    pub ts: Ts,
    pub created_micros: u64,
    /// Who made it: a role, a plugin.
    pub owner: String,
    /// What for, in words.
    pub reason: String,
}

/// A pin, and what has become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinState {
    pub pin: NamedPin,
    /// It is a cursor, and too far behind.
    pub expired: bool,
}

fn text(what: &str, text: &str, bytes_max: usize) -> Result<()> {
    match text.len() <= bytes_max {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "{what} of {} bytes; {bytes_max} are the most",
            text.len()
        ))),
    }
}

impl NamedPin {
    fn check(&self) -> Result<()> {
        if self.name.is_empty() {
            return Err(Error::invalid("a pin without a name"));
        }
        text("the name of a pin", &self.name, NAME_BYTES_MAX)?;
        text("the owner of a pin", &self.owner, NAME_BYTES_MAX)?;
        text("the reason of a pin", &self.reason, REASON_BYTES_MAX)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = VERSION.to_le_bytes().to_vec();
        out.push(match self.kind {
            PinKind::Point => 0,
            PinKind::Cursor => 1,
        });
        out.extend_from_slice(&self.ts.0.to_le_bytes());
        out.extend_from_slice(&self.created_micros.to_le_bytes());
        for text in [&self.owner, &self.reason] {
            out.extend_from_slice(&(text.len() as u16).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out
    }

    /// Read the stored form.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<NamedPin> {
        let mut p = Parser::new(value, "a pin", 0);
        let version = p.u16("a version")?;
        if version != VERSION {
            return Err(Error::UnsupportedVersion {
                file: "a pin".to_owned(),
                found: version.into(),
                supported: VERSION.into(),
            });
        }
        let kind = match p.u8("a kind")? {
            0 => PinKind::Point,
            1 => PinKind::Cursor,
            _ => return Err(p.damaged("a kind of pin")),
        };
        let (ts, created_micros) = (Ts(p.u64("a timestamp")?), p.u64("a time")?);
        let mut text = || -> Result<String> {
            let len = p.u16("a length")?;
            let text = p.take(len.into(), "a text")?.to_vec();
            String::from_utf8(text).map_err(|_| p.damaged("UTF-8"))
        };
        let (owner, reason) = (text()?, text()?);
        p.end()?;
        let name = String::from_utf8(key.to_vec());
        let name = name.map_err(|e| Error::corruption("the name of a pin", 0, "UTF-8", e))?;
        Ok(NamedPin {
            name,
            kind,
            ts,
            created_micros,
            owner,
            reason,
        })
    }
}

/// All pins of a view.
pub fn pins_of(view: &ReadView) -> Result<Vec<NamedPin>> {
    let entries = view.range(PINS, Bound::Unbounded, Bound::Unbounded)?;
    let pins = entries.map(|entry| entry.and_then(|(key, value)| NamedPin::decode(&key, &value)));
    pins.collect()
}

/// A pin of a view.
pub fn pin_of(view: &ReadView, name: &str) -> Result<Option<NamedPin>> {
    let value = view.get(PINS, name.as_bytes())?;
    value
        .map(|value| NamedPin::decode(name.as_bytes(), &value))
        .transpose()
}

impl EngineInner {
    /// Take over all pins that there are on the main timeline.
    pub fn read_pins(&self) -> Result<()> {
        self.pins.name_all(self.pins_on(&self.main())?);
        Ok(())
    }

    /// All pins that there are on a timeline.
    pub fn pins_on(&self, timeline: &Arc<Timeline>) -> Result<Vec<NamedPin>> {
        pins_of(&self.view(timeline, Ts::MAX, None))
    }

    /// Cursors before it are too far behind. A clock that jumped lets none expire.
    pub fn cursors_expire_before(&self) -> Ts {
        match self.options.max_pin_age_micros {
            Some(age) if !self.compactor.clock_jumped() => {
                Ts(self.io.now_micros().saturating_sub(age))
            }
            _ => Ts::ZERO,
        }
    }

    pub fn has_expired(&self, pin: &NamedPin) -> bool {
        pin.kind == PinKind::Cursor && pin.ts < self.cursors_expire_before()
    }

    /// The place of a cursor that is valid.
    fn check_cursor(&self, pin: &NamedPin) -> Result<()> {
        if pin.kind != PinKind::Cursor {
            return Err(Error::invalid(format!("pin \"{}\" is no cursor", pin.name)));
        }
        match self.has_expired(pin) {
            false => Ok(()),
            true => Err(Error::CursorExpired {
                name: pin.name.clone(),
                ts: pin.ts,
            }),
        }
    }
}

impl Transaction {
    /// Hold the history since `pin.ts`, under a name that no pin has. `created_micros` is set here.
    ///
    /// # Errors
    ///
    /// `SnapshotTooOld` when parts of that history are gone, `SnapshotTooNew` when it is to come,
    /// `PinExists`.
    pub fn create_pin(&mut self, mut pin: NamedPin) -> Result<()> {
        pin.check()?;
        pin.created_micros = self.engine().io.now_micros();
        self.hold(pin.ts)?;
        self.lock_pin(&pin.name)?;
        if pin_of(&self.latest_view(), &pin.name)?.is_some() {
            return Err(Error::PinExists { name: pin.name });
        }
        self.put_pin(&pin)
    }

    /// Move a cursor on: everything up to and with `to` was seen.
    ///
    /// # Errors
    ///
    /// `NoSuchPin`; `CursorExpired`; `SnapshotTooNew`; `Invalid` for a pin that is no cursor, and for a
    /// move backwards; `SerializationFailure` when another transaction has moved it meanwhile.
    pub fn advance_cursor(&mut self, name: &str, to: Ts) -> Result<()> {
        self.lock_pin(name)?;
        self.check_pin_unmoved(name)?;
        let mut pin = self.pin_named(name)?;
        self.engine().check_cursor(&pin)?;
        if to < pin.ts {
            let what = format!("cursor \"{name}\" is at {}, which is after {to}", pin.ts);
            return Err(Error::invalid(what));
        }
        self.hold(to)?;
        pin.ts = to;
        self.put_pin(&pin)
    }

    /// Make a pin somebody else's.
    ///
    /// # Errors
    ///
    /// `NoSuchPin`; `Invalid` for an owner whose name is too long.
    pub fn give_pin(&mut self, name: &str, owner: &str) -> Result<()> {
        self.lock_pin(name)?;
        let pin = NamedPin {
            owner: owner.to_owned(),
            ..self.pin_named(name)?
        };
        pin.check()?;
        self.put_pin(&pin)
    }

    /// Let go of what a pin holds.
    ///
    /// # Errors
    ///
    /// `NoSuchPin`.
    pub fn remove_pin(&mut self, name: &str) -> Result<()> {
        self.lock_pin(name)?;
        self.pin_named(name)?;
        self.touch_pin(name);
        self.remove(PINS, name.as_bytes())
    }

    /// Have the points of another view, on a timeline that is closed and is about to be the main one. Cursors stay
    /// where they are, beside what was made of the changes. All pins of that view, and all there are here now.
    pub fn carry_points(&mut self, from: &ReadView) -> Result<(Vec<NamedPin>, Vec<NamedPin>)> {
        let (there, here) = (pins_of(from)?, pins_of(&self.latest_view())?);
        let is_point = |pin: &&NamedPin| pin.kind == PinKind::Point;
        for pin in here.iter().filter(is_point) {
            if !there.iter().any(|other| other.name == pin.name) {
                self.remove(PINS, pin.name.as_bytes())?;
            }
        }
        for pin in there.iter().filter(is_point) {
            self.put(PINS, pin.name.as_bytes(), &pin.encode())?;
        }
        Ok((there, here))
    }

    fn pin_named(&self, name: &str) -> Result<NamedPin> {
        let pin = pin_of(&self.latest_view(), name)?;
        pin.ok_or_else(|| Error::NoSuchPin {
            name: name.to_owned(),
        })
    }

    fn put_pin(&mut self, pin: &NamedPin) -> Result<()> {
        self.touch_pin(&pin.name);
        self.put(PINS, pin.name.as_bytes(), &pin.encode())
    }
}

impl crate::Engine {
    /// All pins, by name.
    pub fn pins(&self) -> Result<Vec<PinState>> {
        let pins = pins_of(&self.latest_view())?.into_iter();
        let engine = self.inner();
        let state = |pin: NamedPin| PinState {
            expired: engine.has_expired(&pin),
            pin,
        };
        Ok(pins.map(state).collect())
    }

    /// How far the owner of a cursor has come: what it reads next are the changes since.
    ///
    /// # Errors
    ///
    /// `NoSuchPin`; `CursorExpired`; `Invalid` for a pin that is no cursor.
    pub fn cursor(&self, name: &str) -> Result<Ts> {
        self.cursor_in(&self.latest_view(), name)
    }

    /// [`Engine::cursor`](crate::Engine::cursor), as a view of this database shows it.
    pub fn cursor_in(&self, view: &ReadView, name: &str) -> Result<Ts> {
        let pin = pin_of(view, name)?.ok_or_else(|| Error::NoSuchPin {
            name: name.to_owned(),
        })?;
        self.inner().check_cursor(&pin)?;
        Ok(pin.ts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_reads_back_and_damage_is_found() {
        let pin = NamedPin {
            name: "ähren".to_owned(),
            kind: PinKind::Cursor,
            ts: Ts(7),
            created_micros: 8,
            owner: "views".to_owned(),
            reason: String::new(),
        };
        let bytes = pin.encode();
        assert_eq!(NamedPin::decode(pin.name.as_bytes(), &bytes).unwrap(), pin);
        for len in 0..bytes.len() {
            assert!(NamedPin::decode(b"x", &bytes[..len]).is_err(), "{len}");
        }
        assert!(NamedPin::decode(&[0xff], &bytes).is_err());
        for (at, byte) in [(0, 2), (2, 2), (21, 0xff)] {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            assert!(NamedPin::decode(b"x", &bytes).is_err(), "{at}");
        }
    }

    #[test]
    fn texts_have_bounds() {
        let pin = |name: usize, owner: usize, reason: usize| NamedPin {
            name: "n".repeat(name),
            kind: PinKind::Point,
            ts: Ts(1),
            created_micros: 0,
            owner: "o".repeat(owner),
            reason: "r".repeat(reason),
        };
        assert!(
            pin(NAME_BYTES_MAX, NAME_BYTES_MAX, REASON_BYTES_MAX)
                .check()
                .is_ok()
        );
        for bad in [
            pin(0, 1, 1),
            pin(256, 1, 1),
            pin(1, 256, 1),
            pin(1, 1, 1001),
        ] {
            assert!(bad.check().is_err());
        }
    }
}
