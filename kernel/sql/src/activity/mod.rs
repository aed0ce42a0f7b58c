//! The sessions of an instance, as others see them: who is there, what each runs and waits for, and how it is
//! told to stop.
//!
//! A session says what it does in places of its own ([`Backend`]) that others read at any time, with a few plain
//! stores for a statement. Who is there is a list that is changed when a session begins and ends, and nothing
//! else is asked of those who run statements: what they wait for is found in the lock manager.

mod backend;
mod text;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::{Result, SqlError, state};
use crate::monitor::sessions::SessionTotals;
use crate::session::info::SessionInfo;

pub use backend::ClientAddress;
pub(crate) use backend::{Active, Backend, State, Waits};

/// The sessions that are open, and what is known of all that ever were.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    sessions: Mutex<Sessions>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct Sessions {
    /// By their number.
    open: BTreeMap<u32, Weak<SessionInfo>>,
    /// How many began.
    begun: u64,
    /// What those counted that ended.
    ended: SessionTotals,
}

impl Activity {
    /// A session begins; 53300 when its role has as many as it may.
    pub fn begin(&self, info: &Arc<SessionInfo>, limit: i32) -> Result<()> {
        let mut sessions = self.sessions.lock();
        if let Ok(limit) = usize::try_from(limit)
            && !info.role().superuser
        {
            let open = sessions.open.values().filter_map(Weak::upgrade);
            let of_role = open.filter(|other| other.login == info.login);
            if of_role.count() >= limit {
                return Err(SqlError::new(
                    state::TOO_MANY_CONNECTIONS,
                    format!("too many connections for role \"{}\"", info.session_user()),
                ));
            }
        }
        sessions.open.insert(info.pid, Arc::downgrade(info));
        sessions.begun += 1;
        Ok(())
    }

    /// The session has ended.
    pub fn end(&self, info: &SessionInfo) {
        let mut sessions = self.sessions.lock();
        if sessions.open.remove(&info.pid).is_some() {
            sessions.ended.add(&info.backend.counters);
        }
        self.left.notify_all();
    }

    /// How many sessions began, and what all of them counted.
    pub fn totals(&self) -> (u64, SessionTotals) {
        let sessions = self.sessions.lock();
        let mut totals = sessions.ended;
        for session in sessions.open.values().filter_map(Weak::upgrade) {
            totals.add(&session.backend.counters);
        }
        (sessions.begun, totals)
    }

    /// Those that are open, in the order in which they began.
    pub fn sessions(&self) -> Vec<Arc<SessionInfo>> {
        let sessions = self.sessions.lock();
        sessions.open.values().filter_map(Weak::upgrade).collect()
    }

    /// The one of a number.
    pub fn session(&self, pid: i32) -> Option<Arc<SessionInfo>> {
        let pid = u32::try_from(pid).ok()?;
        self.sessions.lock().open.get(&pid).and_then(Weak::upgrade)
    }

    /// Waits until a session has ended, for so long at most; whether it has.
    pub fn wait_for_end(&self, pid: u32, longest: Duration, stop: impl Fn() -> bool) -> bool {
        let mut sessions = self.sessions.lock();
        let mut left = longest;
        // A stop wakes nobody here, so it is looked for.
        const LOOK: Duration = Duration::from_millis(20);
        while sessions.open.contains_key(&pid) {
            if left.is_zero() || stop() {
                return false;
            }
            let slice = left.min(LOOK);
            if self.left.wait_for(&mut sessions, slice).timed_out() {
                left = left.saturating_sub(slice);
            }
        }
        true
    }
}
