//! What a session has been told and has not taken yet.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::{Listening, Notification, Sent};

/// Runs when a notification has come: it must be short, and call nothing of the session.
pub(crate) type Waker = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct State {
    channels: BTreeSet<String>,
    sent: VecDeque<Arc<Sent>>,
    waker: Option<Waker>,
    is_interrupted: bool,
}

/// See the module's header.
#[derive(Default)]
pub(crate) struct Inbox {
    /// So that those who have none, which are most, need no lock to know.
    has_some: AtomicBool,
    /// Likewise, whether it listens to anything.
    listens: AtomicBool,
    state: Mutex<State>,
    came: Condvar,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox")
            .field("has_some", &self.has_some)
            .finish_non_exhaustive()
    }
}

impl Inbox {
    pub fn set_waker(&self, waker: Option<Waker>) {
        self.state.lock().waker = waker;
    }

    /// Wakes whoever serves the session, for whatever reason.
    pub fn wake(&self) {
        let mut state = self.state.lock();
        state.is_interrupted = true;
        let waker = state.waker.clone();
        drop(state);
        self.came.notify_all();
        if let Some(waker) = waker {
            waker();
        }
    }

    /// The channels, in order.
    pub fn channels(&self) -> Vec<String> {
        self.state.lock().channels.iter().cloned().collect()
    }

    pub fn is_listening(&self) -> bool {
        self.listens.load(Ordering::Acquire)
    }

    /// Whether it listens to anything afterwards. What came from a channel that it left is not told any more.
    pub(super) fn apply(&self, listening: Vec<Listening>) -> bool {
        let mut state = self.state.lock();
        for listening in listening {
            match listening {
                Listening::To(channel) => _ = state.channels.insert(channel),
                Listening::NotTo(channel) => _ = state.channels.remove(&channel),
                Listening::ToNothing => state.channels.clear(),
            }
        }
        let State { channels, sent, .. } = &mut *state;
        sent.retain(|sent| channels.contains(&sent.notification.channel));
        self.has_some.store(!sent.is_empty(), Ordering::Release);
        self.listens.store(!channels.is_empty(), Ordering::Release);
        !channels.is_empty()
    }

    /// Keeps what it listens to.
    pub(super) fn put(&self, all: &[Arc<Sent>]) {
        let mut state = self.state.lock();
        let State { channels, sent, .. } = &mut *state;
        let before = sent.len();
        let wanted = |sent: &&Arc<Sent>| channels.contains(&sent.notification.channel);
        sent.extend(all.iter().filter(wanted).cloned());
        if sent.len() == before {
            return;
        }
        self.has_some.store(true, Ordering::Release);
        let waker = state.waker.clone();
        drop(state);
        self.came.notify_all();
        if let Some(waker) = waker {
            waker();
        }
    }

    pub fn has_some(&self) -> bool {
        self.has_some.load(Ordering::Acquire)
    }

    /// Takes all that has come.
    pub fn take(&self) -> Vec<Notification> {
        if !self.has_some() {
            return Vec::new();
        }
        let mut state = self.state.lock();
        self.has_some.store(false, Ordering::Release);
        let sent = std::mem::take(&mut state.sent);
        drop(state);
        let told = |sent: Arc<Sent>| sent.notification.clone();
        sent.into_iter().map(told).collect()
    }

    /// Waits until something has come, for ever or for so long; whether it has.
    pub fn wait(&self, longest: Option<Duration>) -> bool {
        let mut state = self.state.lock();
        state.is_interrupted = false;
        while state.sent.is_empty() && !state.is_interrupted {
            match longest {
                None => self.came.wait(&mut state),
                Some(longest) => {
                    if self.came.wait_for(&mut state, longest).timed_out() {
                        break;
                    }
                }
            }
        }
        !state.sent.is_empty()
    }
}
