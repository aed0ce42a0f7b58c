//! The thread that archives in the background.

use std::time::Duration;

use super::Archiver;
use crate::engine::EngineInner;

/// A failed attempt is repeated after this, or when more is complete.
const RETRY: Duration = Duration::from_secs(10);

#[derive(Default)]
pub struct Wanted {
    wanted: bool,
    stopping: bool,
}

impl Archiver {
    /// Ask the background to see what is complete.
    pub fn want(&self) {
        self.wanted.lock().wanted = true;
        self.changed.notify_all();
    }

    /// End the background's work, after the file that it is at.
    pub fn stop(&self) {
        self.wanted.lock().stopping = true;
        self.changed.notify_all();
    }

    /// Sleep until something may be complete, and after a failure not for ever; whether to go on.
    fn sleep(&self, failed: bool) -> bool {
        let mut wanted = self.wanted.lock();
        while !wanted.wanted && !wanted.stopping {
            match failed {
                false => self.changed.wait(&mut wanted),
                true if self.changed.wait_for(&mut wanted, RETRY).timed_out() => break,
                true => {}
            }
        }
        wanted.wanted = false;
        !wanted.stopping
    }
}

impl EngineInner {
    /// The background thread.
    pub fn archive_when_wanted(&self) {
        let Some(archiver) = &self.archiver else {
            return;
        };
        // What an earlier process left.
        let mut failed = self.archive(false).is_err();
        while archiver.sleep(failed) {
            failed = self.archive(false).is_err();
        }
    }

    /// A file of the log may be complete: after a commit, and after a flush. Without a background the
    /// caller archives itself, and a failure is the state's to tell.
    pub fn archive_when_complete(&self) {
        let Some(archiver) = &self.archiver else {
            return;
        };
        if self.log.complete_through() <= self.log.archived() {
            return;
        }
        match self.is_inline() {
            false => archiver.want(),
            true => drop(self.archive(false)),
        }
    }
}
