//! What one session says of itself to others.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, Ordering};

use super::text::QueryText;
use crate::monitor::sessions::SessionCounters;
use crate::session::info::SessionInfo;
use crate::session::outcome::TransactionStatus;

/// Where a client is connected from, and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAddress {
    Tcp {
        client: SocketAddr,
        server: SocketAddr,
    },
    /// A Unix socket.
    Local,
}

impl ClientAddress {
    pub(crate) fn client(self) -> Option<(IpAddr, u16)> {
        match self {
            ClientAddress::Tcp { client, .. } => Some((client.ip(), client.port())),
            ClientAddress::Local => None,
        }
    }

    pub(crate) fn server(self) -> Option<(IpAddr, u16)> {
        match self {
            ClientAddress::Tcp { server, .. } => Some((server.ip(), server.port())),
            ClientAddress::Local => None,
        }
    }
}

/// What a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Idle,
    Active,
    IdleInTransaction,
    IdleInFailedTransaction,
}

impl State {
    pub const ALL: [State; 4] = [
        State::Idle,
        State::Active,
        State::IdleInTransaction,
        State::IdleInFailedTransaction,
    ];

    fn of(number: u8) -> State {
        match number {
            1 => State::Active,
            2 => State::IdleInTransaction,
            3 => State::IdleInFailedTransaction,
            _ => State::Idle,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Active => "active",
            State::IdleInTransaction => "idle in transaction",
            State::IdleInFailedTransaction => "idle in transaction (aborted)",
        }
    }
}

/// What a function of the running statement waits for, besides locks, of which the lock manager knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Waits {
    Nothing,
    Sleep,
    Termination,
}

/// See the module's header. The session's thread writes.
#[derive(Default)]
pub(crate) struct Backend {
    state: AtomicU8,
    /// Counts statements.
    statement: AtomicU32,
    /// When it became idle; when it became active is the start of its statement.
    idle_since: AtomicI64,
    waits: AtomicU8,
    /// Whether it is to end.
    is_terminated: AtomicBool,
    query: QueryText,
    /// What tells the statement from others; 0 if nothing does.
    query_id: AtomicI64,
    pub begun: i64,
    pub client: Option<ClientAddress>,
    /// What it did.
    pub counters: SessionCounters,
}

/// What a session did at some moment.
pub(crate) struct Moment {
    pub state: State,
    pub idle_since: i64,
    pub waits: Waits,
    pub query: String,
    pub query_id: Option<i64>,
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

impl Backend {
    pub fn new(begun: i64) -> Backend {
        Backend {
            idle_since: AtomicI64::new(begun),
            begun,
            ..Backend::default()
        }
    }

    /// A statement begins: which of the session's it is.
    pub fn run(&self, text: &str, query_id: i64) -> u32 {
        self.query.set(text);
        self.identify(query_id);
        let before = self.statement.load(Ordering::Relaxed);
        self.statement
            .store(before.wrapping_add(1), Ordering::Relaxed);
        self.state.store(State::Active as u8, Ordering::Relaxed);
        before.wrapping_add(1)
    }

    /// Which of the session's statements began last.
    pub fn number(&self) -> u32 {
        self.statement.load(Ordering::Relaxed)
    }

    /// The running statement is of this number.
    pub fn identify(&self, query_id: i64) {
        self.query_id.store(query_id, Ordering::Relaxed);
    }

    /// Since when it has been idle, or had been before the running statement.
    pub fn idle_since(&self) -> i64 {
        self.idle_since.load(Ordering::Relaxed)
    }

    /// Nothing runs any more.
    pub fn rest(&self, status: TransactionStatus, now: i64) {
        let state = match status {
            TransactionStatus::Idle => State::Idle,
            TransactionStatus::InTransaction => State::IdleInTransaction,
            TransactionStatus::Failed => State::IdleInFailedTransaction,
        };
        self.idle_since.store(now, Ordering::Relaxed);
        self.state.store(state as u8, Ordering::Relaxed);
    }

    pub fn state(&self) -> State {
        State::of(self.state.load(Ordering::Relaxed))
    }

    pub fn is_active(&self) -> bool {
        self.state() == State::Active
    }

    pub fn wait(&self, waits: Waits) {
        self.waits.store(waits as u8, Ordering::Relaxed);
    }

    /// From now on it is to end.
    pub fn terminate(&self) {
        self.is_terminated.store(true, Ordering::SeqCst);
    }

    pub fn is_terminated(&self) -> bool {
        self.is_terminated.load(Ordering::SeqCst)
    }

    pub fn moment(&self) -> Moment {
        Moment {
            state: self.state(),
            idle_since: self.idle_since.load(Ordering::Relaxed),
            waits: match self.waits.load(Ordering::Relaxed) {
                1 => Waits::Sleep,
                2 => Waits::Termination,
                _ => Waits::Nothing,
            },
            query: self.query.get(),
            query_id: Some(self.query_id.load(Ordering::Relaxed)).filter(|id| *id != 0),
        }
    }
}

/// A statement whose rows are still read: it runs until this goes, or another begins.
pub(crate) struct Active {
    info: Arc<SessionInfo>,
    statement: u32,
    status: TransactionStatus,
}

impl Active {
    /// `status` is that of the transaction afterwards.
    pub fn new(info: Arc<SessionInfo>, status: TransactionStatus) -> Active {
        Active {
            statement: info.backend.statement.load(Ordering::Relaxed),
            info,
            status,
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        if self.info.backend.statement.load(Ordering::Relaxed) == self.statement {
            self.info.rest(self.status);
        }
    }
}
