//! Where functions of a statement wait: for time to pass, and for advisory locks.
//!
//! A statement runs on the thread of its session, and parts of it may run on the threads that all queries of the
//! instance share. Whoever waits on one of those gives its place to another thread first, so that whom it waits
//! for can go on.
//!
//! A session waits for one thing at a time: parts of a statement that run side by side take turns.

use std::cell::Cell;
use std::time::Duration;

use heliosdb_storage::{AdvisoryKey, AdvisoryScope, Error, LockWait};

use super::info::SessionInfo;
use super::settings::Settings;
use crate::activity::Waits;
use crate::error::{Result, SqlError, state};

/// The clock is looked at this often at least: it may be set.
const NAP: Duration = Duration::from_secs(600);

thread_local! {
    static IS_SHARED: Cell<bool> = const { Cell::new(false) };
}

/// Says that the current thread is one of those that all queries share.
pub(crate) fn mark_shared_thread() {
    IS_SHARED.set(true);
}

/// Runs what may wait.
pub(crate) fn wait<T>(f: impl FnOnce() -> T) -> T {
    match IS_SHARED.get() {
        true => tokio::task::block_in_place(f),
        false => f(),
    }
}

impl SessionInfo {
    pub(super) fn now(&self) -> i64 {
        i64::try_from(self.instance.engine().now_micros()).unwrap_or(i64::MAX)
    }

    /// Does nothing until the wall clock shows so many microseconds since the Unix epoch.
    pub(crate) fn sleep_until(&self, end: i64) -> Result<()> {
        wait(|| {
            let _turn = self.turn_to_wait.lock();
            let _shown = self.shown_waiting(Waits::Sleep);
            loop {
                self.interrupt.check()?;
                let left = u64::try_from(end.saturating_sub(self.now())).unwrap_or(0);
                if left == 0 {
                    return Ok(());
                }
                self.interrupt.sleep(Duration::from_micros(left).min(NAP))?;
            }
        })
    }

    /// Waits for an advisory lock, at most for `lock_timeout`.
    pub(crate) fn lock_advisory(
        &self,
        key: AdvisoryKey,
        shared: bool,
        scope: AdvisoryScope,
    ) -> Result<()> {
        let timeout = self.with_settings(Settings::lock_timeout_ms);
        let longest = match timeout {
            Some(ms) => LockWait::Timeout(ms.saturating_mul(1000)),
            None => LockWait::Block,
        };
        self.note_effect();
        wait(|| {
            let _turn = self.turn_to_wait.lock();
            Ok(self.advisory.lock().lock(key, shared, scope, longest)?)
        })
    }

    /// Whether an advisory lock was free, and is held now.
    pub(crate) fn try_lock_advisory(
        &self,
        key: AdvisoryKey,
        shared: bool,
        scope: AdvisoryScope,
    ) -> Result<bool> {
        self.note_effect();
        let mut advisory = self.advisory.lock();
        match advisory.lock(key, shared, scope, LockWait::NoWait) {
            Ok(()) => Ok(true),
            Err(Error::LockNotAvailable) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the session held the lock, which it holds once less now; a warning if it did not.
    pub(crate) fn unlock_advisory(&self, key: AdvisoryKey, shared: bool) -> Result<bool> {
        let held = self.advisory.lock().unlock(key, shared);
        if !held {
            let mode = if shared { "ShareLock" } else { "ExclusiveLock" };
            let message = format!("you don't own a lock of type {mode}");
            self.warn_later(state::WARNING, message);
        }
        Ok(held)
    }

    pub(crate) fn unlock_all_advisory(&self) {
        self.advisory.lock().unlock_all();
    }

    /// A warning of a function; the client is told when the statement's rows are there.
    pub(crate) fn warn_later(&self, code: crate::error::SqlState, message: String) {
        self.note_effect();
        self.warnings.lock().push(SqlError::new(code, message));
    }
}
