//! The connections of a running server: who may be cancelled, how many there may be, and what a
//! shutdown has to wait for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use heliosdb_sql::CancelHandle;
use tokio::sync::Notify;

use crate::stream::Stream;

/// How far a shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum StopLevel {
    Running = 0,
    /// Running statements and COPYs may finish; nothing new begins.
    Graceful = 1,
    /// Everything ends.
    Forced = 2,
}

/// All connections that have passed their startup packet.
pub struct Registry {
    connections_max: usize,
    entries: Mutex<Entries>,
    stop_level: AtomicU8,
    /// Wakes parked connections when the server stops.
    pub stop: Notify,
    /// Wakes the shutdown when a connection has gone.
    pub left: Notify,
}

struct Entries {
    by_number: HashMap<u64, Entry>,
    next_number: u64,
}

struct Entry {
    stream: Weak<Stream>,
    /// Once there is a session.
    cancel: Option<CancelKey>,
}

struct CancelKey {
    pid: i32,
    secret: i32,
    handle: CancelHandle,
}

/// A connection's place in the registry, given up when dropped.
pub struct Place {
    registry: Arc<Registry>,
    number: u64,
}

impl Registry {
    pub fn new(connections_max: usize) -> Registry {
        Registry {
            connections_max,
            entries: Mutex::new(Entries {
                by_number: HashMap::new(),
                next_number: 0,
            }),
            stop_level: AtomicU8::new(StopLevel::Running as u8),
            stop: Notify::new(),
            left: Notify::new(),
        }
    }

    /// A place for a new connection, or `None` when the server is full.
    pub fn admit(self: &Arc<Self>, stream: &Arc<Stream>) -> Option<Place> {
        let mut entries = self.lock();
        if entries.by_number.len() >= self.connections_max {
            return None;
        }
        let number = entries.next_number;
        entries.next_number += 1;
        entries.by_number.insert(
            number,
            Entry {
                stream: Arc::downgrade(stream),
                cancel: None,
            },
        );
        Some(Place {
            registry: Arc::clone(self),
            number,
        })
    }

    /// Cancel what session `pid` runs, if `secret` is the one it was given.
    pub fn cancel(&self, pid: i32, secret: i32) {
        let found = self
            .lock()
            .by_number
            .values()
            .filter_map(|entry| entry.cancel.as_ref())
            .find(|key| key.pid == pid && key.secret == secret)
            .map(|key| key.handle.clone());
        if let Some(handle) = found {
            handle.cancel();
        }
    }

    pub fn cancel_all(&self) {
        for entry in self.lock().by_number.values() {
            if let Some(key) = &entry.cancel {
                key.handle.cancel();
            }
        }
    }

    /// Break every socket, which ends connections that wait for their client.
    pub fn disconnect_all(&self) {
        for entry in self.lock().by_number.values() {
            if let Some(stream) = entry.stream.upgrade() {
                // An error means that the socket is gone already.
                let _ = stream.disconnect();
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lock().by_number.is_empty()
    }

    /// How many there may be.
    pub fn max(&self) -> usize {
        self.connections_max
    }

    pub fn len(&self) -> usize {
        self.lock().by_number.len()
    }

    pub fn begin_stop(&self, level: StopLevel) {
        self.stop_level.store(level as u8, Ordering::SeqCst);
        self.stop.notify_waiters();
    }

    pub fn stop_level(&self) -> StopLevel {
        match self.stop_level.load(Ordering::SeqCst) {
            0 => StopLevel::Running,
            1 => StopLevel::Graceful,
            _ => StopLevel::Forced,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Place {
    /// From now on a cancel request for `pid` reaches its session, given the secret returned here.
    pub fn open(&self, pid: i32, handle: CancelHandle) -> i32 {
        let secret = rand::random();
        if let Some(entry) = self.registry.lock().by_number.get_mut(&self.number) {
            entry.cancel = Some(CancelKey {
                pid,
                secret,
                handle,
            });
        }
        secret
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.lock().by_number.remove(&self.number);
        self.registry.left.notify_waiters();
    }
}
