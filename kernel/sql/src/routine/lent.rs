//! The transaction of a statement, lent to the routines that it calls.
//!
//! 1. It is lent only while the rows of a query are read, all of them before anything else happens.
//! 2. One call has it at a time. A statement inside that calls routines lends it on, and has it back when they
//!    are done.

use parking_lot::Mutex;

use crate::error::Result;
use crate::session::Session;
use crate::session::info::SessionInfo;

/// A guest of the session that runs a statement, waiting for calls.
#[derive(Default)]
pub(crate) struct Lent(Mutex<Option<Box<Session>>>);

impl Lent {
    /// What was there before, to be put back.
    pub fn replace(&self, guest: Option<Box<Session>>) -> Option<Box<Session>> {
        std::mem::replace(&mut *self.0.lock(), guest)
    }
}

/// The guest, for one call.
pub(super) struct Borrowed<'a> {
    info: &'a SessionInfo,
    guest: Option<Box<Session>>,
}

impl<'a> Borrowed<'a> {
    pub fn take(info: &'a SessionInfo) -> Option<Borrowed<'a>> {
        let guest = info.lent().replace(None)?;
        Some(Borrowed {
            info,
            guest: Some(guest),
        })
    }

    pub fn run<T>(&mut self, work: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        match &mut self.guest {
            Some(guest) => work(guest),
            None => Err(crate::error::SqlError::internal(
                "nobody lent a transaction",
            )),
        }
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let guest = self.guest.take();
        self.info.lent().replace(guest);
    }
}
