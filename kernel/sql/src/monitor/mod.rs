//! What operators ask a server: which statements take its time.
//!
//! Everything here is counted in memory since the server started, by those who run statements, with plain
//! stores to places of their own; adding up is left to those who ask. Nothing here decides anything.

pub(crate) mod statements;
pub(crate) mod text;

use std::sync::Arc;

use statements::Statements;

/// What an instance counts.
pub(crate) struct Monitor {
    pub statements: Arc<Statements>,
}

impl Monitor {
    /// `statements` is how many of them are told apart; `now` in microseconds since the Unix epoch.
    pub fn new(statements: usize, now: i64) -> Monitor {
        Monitor {
            statements: Arc::new(Statements::new(statements, now)),
        }
    }
}
