//! Branches that have a time to live: a worker drops those whose time has come.
//!
//! A protected branch stays, and one that other branches go on from stays as long as they do. What is dropped is
//! gone for sessions on it, too, as with DROP BRANCH.

use heliosdb_plugin_api::{Context, Result, Turn, Worker, state};

use crate::command::micros;
use crate::note::Note;

/// How long the worker sleeps at most, in microseconds: others may have given a branch a time since.
const SLEEP_MICROS_MAX: i64 = 60_000_000;
/// And at least.
const SLEEP_MICROS_MIN: i64 = 1_000_000;

pub struct Expiry;

impl Worker for Expiry {
    fn run(&self, cx: &Context<'_>) -> Result<Turn> {
        let now = micros(cx, "clock_timestamp()")?;
        let mut next = now.saturating_add(SLEEP_MICROS_MAX);
        // The newest first: what goes on from a branch goes before it.
        for branch in cx.timelines()?.list()?.iter().rev() {
            let Ok(note) = Note::read(&branch.note) else {
                continue;
            };
            let Some(expires) = note.expires.filter(|_| !note.protected) else {
                continue;
            };
            if expires > now {
                next = next.min(expires);
                continue;
            }
            match cx.timelines()?.drop(branch) {
                Err(error) if error.sqlstate == state::DEPENDENT_OBJECTS_STILL_EXIST => {}
                dropped => dropped?,
            }
        }
        let sleep = next.saturating_sub(now).max(SLEEP_MICROS_MIN);
        Ok(Turn::Sleep(u64::try_from(sleep).unwrap_or(0)))
    }
}
