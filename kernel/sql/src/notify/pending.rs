//! What a transaction notifies of and listens to, before it commits.

use std::collections::HashSet;

use crate::error::{Result, SqlError, state};
use crate::names::NAME_BYTES_MAX;

/// A payload is shorter.
const PAYLOAD_BYTES: usize = 8000;

/// What a transaction notifies of takes no more.
const BYTES_MAX: usize = 64 << 20;

/// A change of what a session listens to.
#[derive(Clone, Debug)]
pub(crate) enum Listening {
    To(String),
    NotTo(String),
    ToNothing,
}

/// See the module's header.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    listening: Vec<Listening>,
    notified: Vec<(String, String)>,
    /// The same, to find what was said already.
    known: HashSet<(String, String)>,
    /// Of what is notified of.
    bytes: usize,
}

/// A place to fall back to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    listening: usize,
    notified: usize,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.listening.is_empty() && self.notified.is_empty()
    }

    pub fn listen(&mut self, listening: Listening) {
        self.listening.push(listening);
    }

    /// 22023 for a name that no channel can have, and for too long a payload.
    pub fn notify(&mut self, channel: &str, payload: &str) -> Result<()> {
        let invalid = |what| Err(SqlError::new(state::INVALID_PARAMETER_VALUE, what));
        if channel.is_empty() {
            return invalid("channel name cannot be empty");
        }
        if channel.len() > NAME_BYTES_MAX {
            return invalid("channel name too long");
        }
        if payload.len() >= PAYLOAD_BYTES {
            return invalid("payload string too long");
        }
        let notified = (channel.to_owned(), payload.to_owned());
        if self.known.contains(&notified) {
            return Ok(());
        }
        let bytes = self.bytes + channel.len() + payload.len();
        if bytes > BYTES_MAX {
            return Err(SqlError::new(
                state::PROGRAM_LIMIT_EXCEEDED,
                "too many notifications in the transaction",
            ));
        }
        self.bytes = bytes;
        self.known.insert(notified.clone());
        self.notified.push(notified);
        Ok(())
    }

    pub fn mark(&self) -> Mark {
        Mark {
            listening: self.listening.len(),
            notified: self.notified.len(),
        }
    }

    /// Forgets what came since.
    pub fn back_to(&mut self, mark: Mark) {
        self.listening.truncate(mark.listening);
        for notified in self.notified.drain(mark.notified..) {
            self.bytes -= notified.0.len() + notified.1.len();
            self.known.remove(&notified);
        }
    }

    pub fn into_parts(self) -> (Vec<Listening>, Vec<(String, String)>) {
        (self.listening, self.notified)
    }
}
