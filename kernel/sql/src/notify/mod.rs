//! NOTIFY and LISTEN: short messages from session to session, by channels that have names and nothing else.
//!
//! Life of a notification:
//!
//! 1. A transaction keeps what it notifies of, and whether it begins or ends to listen, to itself
//!    ([`pending`]); a rollback, also to a savepoint, forgets it. What it says twice it says once.
//! 2. Its commit holds [`Notifications::order`], so that notifications come in the order of the commits. There
//!    must be space for them before the commit, or it fails.
//! 3. After the commit it listens, or does so no more, and every session that listens to a channel then finds
//!    the notification in its [`Inbox`], the one that sent it as well, and is woken.
//! 4. Whoever serves the session takes it out when no transaction is open.
//!
//! Invariants:
//! 1. What is notified of can be read: it is told of when the commit has returned.
//! 2. Notifications take no more than [`Notifications::bytes_max`], however long a session does not take its own.
//!
//! Nothing here is stored, and nothing is told to those who connect later.

mod inbox;
mod pending;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use heliosdb_storage::memory::{MemoryBudget, Part};
use parking_lot::{Mutex, MutexGuard};

use crate::error::{Result, SqlError, state};

pub(crate) use inbox::Inbox;
pub(crate) use pending::{Listening, Mark, Pending};

/// The part of the memory that notifications may take.
const MEMORY_SHARE: usize = 64;
const BYTES_MAX: usize = 64 << 20;
/// What one takes beside its texts.
const ENTRY_BYTES: usize = 96;

/// What a session is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The session that notifies.
    pub pid: i32,
    pub channel: String,
    pub payload: String,
}

/// A notification as long as a session has not taken it.
#[derive(Debug)]
pub(crate) struct Sent {
    notification: Notification,
    bytes: usize,
    room: Arc<Room>,
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.room.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.room.budget.shrink(Part::Queries, self.bytes);
    }
}

/// The space that notifications have.
#[derive(Debug)]
struct Room {
    bytes: AtomicUsize,
    bytes_max: usize,
    budget: Arc<MemoryBudget>,
}

/// The sessions of an instance that listen.
#[derive(Debug)]
pub(crate) struct Notifications {
    order: Mutex<()>,
    /// By the number of the session.
    listening: Mutex<BTreeMap<u32, Arc<Inbox>>>,
    room: Arc<Room>,
}

impl Notifications {
    pub fn new(budget: &Arc<MemoryBudget>) -> Notifications {
        Notifications {
            order: Mutex::default(),
            listening: Mutex::default(),
            room: Arc::new(Room {
                bytes: AtomicUsize::new(0),
                bytes_max: (budget.bytes_max() / MEMORY_SHARE).min(BYTES_MAX),
                budget: Arc::clone(budget),
            }),
        }
    }

    /// Held over the commit of a transaction that notifies.
    pub fn order(&self) -> MutexGuard<'_, ()> {
        self.order.lock()
    }

    /// The part of the space that is taken, from 0 to 1.
    pub fn usage(&self) -> f64 {
        self.room.bytes.load(Ordering::Relaxed) as f64 / self.room.bytes_max as f64
    }

    /// Takes space for what a transaction notifies of; 54000 when there is none.
    pub fn prepare(&self, pid: u32, notified: Vec<(String, String)>) -> Result<Vec<Arc<Sent>>> {
        let pid = i32::try_from(pid).unwrap_or(i32::MAX);
        notified
            .into_iter()
            .map(|(channel, payload)| {
                let bytes = ENTRY_BYTES + channel.len() + payload.len();
                let taken = self.room.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
                self.room.budget.grow(Part::Queries, bytes);
                // Gives its space back when it goes, as it does with the error.
                let sent = Arc::new(Sent {
                    notification: Notification {
                        pid,
                        channel,
                        payload,
                    },
                    bytes,
                    room: Arc::clone(&self.room),
                });
                match taken <= self.room.bytes_max {
                    true => Ok(sent),
                    false => Err(SqlError::new(
                        state::PROGRAM_LIMIT_EXCEEDED,
                        "too many notifications in the NOTIFY queue",
                    )),
                }
            })
            .collect()
    }

    /// The session listens, or does so no more.
    pub fn listen(&self, pid: u32, inbox: &Arc<Inbox>, listening: Vec<Listening>) {
        if listening.is_empty() {
            return;
        }
        let mut sessions = self.listening.lock();
        match inbox.apply(listening) {
            true => sessions.insert(pid, Arc::clone(inbox)),
            false => sessions.remove(&pid),
        };
    }

    /// Tells whoever listens.
    pub fn deliver(&self, sent: &[Arc<Sent>]) {
        if sent.is_empty() {
            return;
        }
        for inbox in self.listening.lock().values() {
            inbox.put(sent);
        }
    }

    /// The session is over.
    pub fn forget(&self, pid: u32) {
        self.listening.lock().remove(&pid);
    }
}
