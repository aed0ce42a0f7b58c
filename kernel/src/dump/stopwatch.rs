//! How long each part of the work takes, by storage's clock, told to whoever watches.

use std::sync::Arc;

use heliosdb_dump::Progress;
use heliosdb_storage::io::Io;
use heliosdb_storage::io::disk::Disk;

use super::report::Phase;

/// Measures phases that follow each other.
pub(super) struct Stopwatch<'a> {
    io: Arc<dyn Io>,
    progress: &'a dyn Progress,
    phases: Vec<Phase>,
}

impl<'a> Stopwatch<'a> {
    /// # Errors
    ///
    /// There is no clock: it belongs to a directory, and the root, which always is there, does not open.
    pub fn start(progress: &'a dyn Progress) -> std::io::Result<Stopwatch<'a>> {
        Ok(Stopwatch {
            io: Arc::new(Disk::open("/")?),
            progress,
            phases: Vec::new(),
        })
    }

    /// Microseconds since the Unix epoch.
    pub fn now_micros(&self) -> u64 {
        self.io.now_micros()
    }

    /// A phase whose work shows its own progress, in as many parts as it has.
    pub fn time<T>(&mut self, name: &str, work: impl FnOnce(&'a dyn Progress) -> T) -> T {
        let began = self.io.monotonic_micros();
        let done = work(self.progress);
        self.phases.push(Phase {
            name: name.to_owned(),
            micros: self.io.monotonic_micros().saturating_sub(began),
        });
        done
    }

    /// A phase that knows nothing of progress.
    pub fn show<T>(&mut self, name: &str, work: impl FnOnce() -> T) -> T {
        self.time(name, |progress| {
            progress.begin(name, None);
            let done = work();
            progress.end();
            done
        })
    }

    pub fn finish(self) -> Vec<Phase> {
        self.phases
    }
}
