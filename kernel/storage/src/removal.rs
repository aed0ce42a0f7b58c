//! Segment files that no manifest names any more, but somebody still needs by name.
//!
//! A view reads on from a file that is gone, since it has it open. A backup gives files names of its own,
//! so while one is taken nothing is removed; what should have been goes when the last one ends. And the
//! [`archive`](crate::archive) must have a segment that the log names and tells nothing else of. A crash in
//! between leaves files that no manifest names, which the next open removes when they are not needed.

use parking_lot::Mutex;

use crate::archive::Archiver;
use crate::engine::EngineInner;
use crate::flush::number_of;

/// See the module's header.
#[derive(Default)]
pub struct Removals(Mutex<State>);

#[derive(Default)]
struct State {
    holds: usize,
    /// To be removed when nobody needs them.
    waiting: Vec<String>,
}

/// While it lives no segment's file is removed.
pub struct Hold<'a>(&'a EngineInner);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.removals.0.lock();
            state.holds -= 1;
            match state.holds {
                0 => std::mem::take(&mut state.waiting),
                _ => Vec::new(),
            }
        };
        for name in waiting {
            self.0.remove_segment(&name);
        }
    }
}

impl Removals {
    /// Remove these later.
    pub fn postpone(&self, names: Vec<String>) {
        self.0.lock().waiting.extend(names);
    }
}

impl EngineInner {
    /// Keep all segment files that the log names from now on.
    pub fn hold_segments(&self) -> Hold<'_> {
        self.removals.0.lock().holds += 1;
        Hold(self)
    }

    /// Remove the file of a segment that the log does not name any more, now or later. As far as it goes:
    /// the next open removes what is left.
    pub fn remove_segment(&self, name: &str) {
        let mut state = self.removals.0.lock();
        let number = number_of(name);
        let archived = |archiver: &Archiver| !number.is_some_and(|n| archiver.needs(n));
        if state.holds > 0 || !self.archiver.as_ref().is_none_or(archived) {
            state.waiting.push(name.to_owned());
            return;
        }
        drop(state);
        if self.is_open()
            && let Err(e) = self.io.remove(name)
        {
            tracing::warn!("removing \"{name}\": {e}");
        }
    }

    /// The same of one that the archive has now.
    pub fn remove_postponed(&self, name: &str) {
        let was_waiting = {
            let mut state = self.removals.0.lock();
            let waiting = state.waiting.iter().position(|other| other == name);
            waiting.map(|at| state.waiting.swap_remove(at))
        };
        if was_waiting.is_some() {
            self.remove_segment(name);
        }
    }
}
