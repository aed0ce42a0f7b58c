//! Branches that have a time to live: a worker drops those whose time has come.
//!
//! A protected branch stays, and one that other branches go on from stays as long as they do. What is dropped is
//! gone for sessions on it, too, as with DROP BRANCH. While the clock cannot be believed, nothing is dropped: what
//! is gone does not come back when the clock does.

use heliosdb_plugin_api::{Context, Result, Turn, Worker, state};

use crate::command::{micros, number};
use crate::note::Note;

/// How long the worker sleeps at most, in microseconds: others may have given a branch a time since.
const SLEEP_MICROS_MAX: i64 = 60_000_000;
/// And at least.
const SLEEP_MICROS_MIN: i64 = 1_000_000;

/// The branch that never goes, whatever is noted of it.
const MAIN: &str = "main";

pub struct Expiry;

impl Worker for Expiry {
    fn run(&self, cx: &Context<'_>) -> Result<Turn> {
        let now = micros(cx, "clock_timestamp()")?;
        let mut next = now.saturating_add(SLEEP_MICROS_MAX);
        let mut failed = None;
        let mut is_believed = None;
        // The newest first: what goes on from a branch goes before it.
        for branch in cx.timelines()?.list()?.iter().rev() {
            let Ok(note) = Note::read(&branch.note) else {
                continue;
            };
            let is_free = !note.protected && branch.name != MAIN;
            let Some(expires) = note.expires.filter(|_| is_free) else {
                continue;
            };
            if expires > now {
                next = next.min(expires);
                continue;
            }
            let believed = match is_believed {
                Some(known) => known,
                None => *is_believed.insert(is_clock_believed(cx)?),
            };
            if !believed {
                break;
            }
            cx.check_cancelled()?;
            match cx.timelines()?.drop(branch) {
                // Somebody was faster, or gave it another time: that is read in the next turn.
                Err(error) if error.sqlstate == state::UNDEFINED_OBJECT => {}
                Err(error) if error.sqlstate == state::SERIALIZATION_FAILURE => {}
                Err(error) if error.sqlstate == state::DEPENDENT_OBJECTS_STILL_EXIST => {}
                // It is told of when all others have had their turn.
                Err(error) => failed = failed.or(Some(error)),
                Ok(()) => {}
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let sleep = next.saturating_sub(now).max(SLEEP_MICROS_MIN);
        Ok(Turn::Sleep(u64::try_from(sleep).unwrap_or(0)))
    }
}

/// Whether the kernel lets history expire by the clock as it is.
fn is_clock_believed(cx: &Context<'_>) -> Result<bool> {
    let held = "SELECT count(*) FROM pg_catalog.helios_history WHERE held_by = 'clock'";
    Ok(number(cx, held)? == Some(0))
}
