//! What others see of a session, and how they stop it: see [`crate::activity`].

use std::sync::Arc;
use std::time::Duration;

use super::info::SessionInfo;
use super::outcome::TransactionStatus;
use super::settings::Settings;
use super::waiting::wait;
use crate::activity::{Backend, Waits};
use crate::error::{Result, SqlError, state};
use heliosdb_storage::LockOwner;

/// Shown as long as it is there.
pub(super) struct Shown<'a>(&'a Backend);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.0.wait(Waits::Nothing);
    }
}

/// What ends a session whose end somebody asked for.
pub(crate) fn terminated() -> SqlError {
    SqlError::new(
        state::ADMIN_SHUTDOWN,
        "terminating connection due to administrator command",
    )
}

impl SessionInfo {
    /// Nothing runs any more.
    pub(crate) fn rest(&self, status: TransactionStatus) {
        if self.backend.is_active() {
            self.backend.rest(status, self.now());
        }
    }

    /// The same, so long after the running statement began.
    pub(super) fn rest_after(&self, status: TransactionStatus, nanos: u64) {
        let begun = self.statement_start();
        // It may have failed before it began.
        if begun < self.backend.idle_since() {
            return self.rest(status);
        }
        let micros = i64::try_from(nanos / 1_000).unwrap_or(i64::MAX);
        self.backend.rest(status, begun.saturating_add(micros));
    }

    pub(super) fn shown_waiting(&self, waits: Waits) -> Shown<'_> {
        self.backend.wait(waits);
        Shown(&self.backend)
    }

    /// 57P01 for a session that is to end.
    pub(super) fn check_not_terminated(&self) -> Result<()> {
        match self.backend.is_terminated() {
            true => Err(terminated()),
            false => Ok(()),
        }
    }

    /// Whether this one may see what the other runs, and stop it.
    pub(crate) fn may_see(&self, other: &SessionInfo) -> bool {
        self.role().has(other.login)
    }

    /// The session of a number, for a function that stops it; a warning if there is none.
    fn to_stop(&self, pid: i32, what: [&str; 2]) -> Result<Option<Arc<SessionInfo>>> {
        let [superuser, other] = what;
        let Some(found) = self.instance.activity().session(pid) else {
            let message = format!("PID {pid} is not a PostgreSQL server process");
            self.warn_later(state::WARNING, message);
            return Ok(None);
        };
        let refused = |message: &str| Err(SqlError::new(state::INSUFFICIENT_PRIVILEGE, message));
        let catalog = self.catalog();
        let is_superuser = catalog.role(found.login).is_some_and(|role| role.superuser);
        if is_superuser && !self.role().superuser {
            return refused(superuser);
        }
        match self.may_see(&found) {
            true => Ok(Some(found)),
            false => refused(other),
        }
    }

    /// `pg_cancel_backend`.
    pub(crate) fn cancel_other(&self, pid: i32) -> Result<bool> {
        let found = self.to_stop(
            pid,
            [
                "must be a superuser to cancel superuser query",
                "must be a member of the role whose query is being canceled or member of pg_signal_backend",
            ],
        )?;
        let Some(found) = found else {
            return Ok(false);
        };
        found.interrupt.cancel();
        self.interrupt.check()?;
        Ok(true)
    }

    /// `pg_terminate_backend`: whether the session was told, and has ended if that is waited for.
    pub(crate) fn terminate_other(&self, pid: i32, timeout_ms: i64) -> Result<bool> {
        let timeout = u64::try_from(timeout_ms).map_err(|_| {
            SqlError::new(
                state::NUMERIC_VALUE_OUT_OF_RANGE,
                "\"timeout\" must not be negative",
            )
        })?;
        let found = self.to_stop(
            pid,
            [
                "must be a superuser to terminate superuser process",
                "must be a member of the role whose process is being terminated or member of pg_signal_backend",
            ],
        )?;
        let Some(found) = found else {
            return Ok(false);
        };
        found.terminate();
        self.check_not_terminated()?;
        if timeout == 0 {
            return Ok(true);
        }
        let ended = wait(|| {
            let _shown = self.shown_waiting(Waits::Termination);
            let activity = self.instance.activity();
            let longest = Duration::from_millis(timeout);
            activity.wait_for_end(found.pid, longest, || self.interrupt.is_canceled())
        });
        self.interrupt.check()?;
        if !ended {
            let message =
                format!("backend with PID {pid} did not terminate within {timeout} milliseconds");
            self.warn_later(state::WARNING, message);
        }
        Ok(ended)
    }

    /// Tells it to end: what it runs, and then itself.
    fn terminate(&self) {
        self.backend.terminate();
        self.interrupt.cancel();
        self.inbox.wake();
    }

    /// `pg_blocking_pids`: the sessions that keep one from a lock.
    pub(crate) fn blocking(&self, pid: i32) -> Vec<i32> {
        let Ok(number) = u32::try_from(pid) else {
            return Vec::new();
        };
        let engine = self.instance.engine();
        let blockers = engine.lock_blockers(LockOwner::Session(number));
        blockers.into_iter().map(pid_of).collect()
    }
}

/// The session that holds a lock; 0 for what is none.
pub(crate) fn pid_of(owner: LockOwner) -> i32 {
    match owner {
        LockOwner::Session(number) => i32::try_from(number).unwrap_or(i32::MAX),
        LockOwner::Transaction(_) => 0,
    }
}

impl super::Session {
    /// Whether it is to end, as `pg_terminate_backend` said: every statement fails from now on.
    pub fn is_terminated(&self) -> bool {
        self.info.backend.is_terminated()
    }

    /// How long its client may say nothing now; the session is to end after that.
    pub fn idle_timeout(&self) -> Option<Duration> {
        let in_transaction = self.transaction_status() != TransactionStatus::Idle;
        let timeout = |settings: &Settings| settings.idle_timeout_ms(in_transaction);
        self.info.with_settings(timeout).map(Duration::from_millis)
    }

    /// What it ends with then.
    pub fn idle_for_too_long(&self) -> SqlError {
        let (code, message) = match self.transaction_status() {
            TransactionStatus::Idle => (
                state::IDLE_SESSION_TIMEOUT,
                "terminating connection due to idle-session timeout",
            ),
            TransactionStatus::InTransaction | TransactionStatus::Failed => (
                state::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                "terminating connection due to idle-in-transaction timeout",
            ),
        };
        SqlError::new(code, message)
    }
}
