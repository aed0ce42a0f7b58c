//! What operators ask a server: which statements take its time, what is read and changed, how transactions end.
//!
//! Everything here is counted in memory since the server started, by those who run statements, with plain
//! stores to places of their own; adding up is left to those who ask. Nothing here decides anything.

pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod pages;
pub(crate) mod relations;
pub(crate) mod sessions;
pub(crate) mod statements;
pub(crate) mod text;

use std::sync::Arc;

use parking_lot::Mutex;

use relations::Relations;
use sessions::SessionTotals;
use statements::Statements;

/// What an instance counts.
pub(crate) struct Monitor {
    pub statements: Arc<Statements>,
    pub relations: Arc<Relations>,
    /// Where the numbers of the database began that are shown.
    pub database: Mutex<Beginning>,
}

/// See [`Monitor::database`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beginning {
    /// Microseconds since the Unix epoch; `None` if they were never reset.
    pub reset: Option<i64>,
    pub sessions_begun: u64,
    pub sessions: SessionTotals,
    pub deadlocks: u64,
    pub pages_read: u64,
    pub pages_missed: u64,
}

impl Monitor {
    /// `statements` is how many of them are told apart; `now` in microseconds since the Unix epoch.
    pub fn new(statements: usize, now: i64) -> Monitor {
        Monitor {
            statements: Arc::new(Statements::new(statements, now)),
            relations: Arc::default(),
            database: Mutex::default(),
        }
    }
}
