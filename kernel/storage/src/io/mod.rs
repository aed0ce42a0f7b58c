//! The only door to the outside: files, the clock, randomness and threads.
//!
//! The engine sees a database directory through [`Io`]. [`disk::Disk`] is the real one;
//! `heliosdb_sim::SimDisk` loses unsynced writes, reorders them, tears them, flips bits and fails
//! calls, all from one seed. Nothing else in this crate may name `std::fs`, `std::time` or
//! `std::thread::spawn` (clippy.toml holds that).
//!
//! What an implementation promises, and no more:
//!
//! 1. `write_at` data may be lost, reordered against other writes and torn at 512-byte boundaries
//!    by a crash until a later `sync_data` on the same file returns.
//! 2. A created, renamed or removed name may be lost or undone by a crash until `sync_dir` returns.
//! 3. After a failed `sync_data` nothing is known of the file's unsynced data, and asking again
//!    proves nothing. The engine stops.
//! 4. `read_at` returns what was written by this process, synced or not.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub mod disk;
pub mod machine;

/// How [`Io::open`] treats a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The file must exist; writing is an error.
    Read,
    /// The file must exist.
    ReadWrite,
    /// The file must not exist.
    CreateNew,
}

/// A database directory, a clock, a source of randomness and a way to run in the background.
///
/// Names are relative to the directory, with `/` between at most two components; the directories
/// themselves are made by [`Io::create_dir`].
pub trait Io: Send + Sync + 'static {
    fn open(&self, name: &str, mode: OpenMode) -> Result<Arc<dyn File>>;
    fn create_dir(&self, name: &str) -> Result<()>;
    /// Remove an empty directory.
    fn remove_dir(&self, name: &str) -> Result<()>;
    /// File names (without their directory) in `dir`; `""` is the database directory.
    fn list(&self, dir: &str) -> Result<Vec<String>>;
    fn rename(&self, from: &str, to: &str) -> Result<()>;
    fn remove(&self, name: &str) -> Result<()>;
    /// Where the directory is, for [`Io::link`] of another one.
    fn root(&self) -> Option<PathBuf> {
        None
    }
    /// Give a file of another directory, which is at `from`, a second name here: the two are one file.
    /// Whoever asks copies when that cannot be, as between file systems.
    fn link(&self, from: &Path, to: &str) -> Result<()> {
        let what = format!("\"{}\" cannot be linked to \"{to}\"", from.display());
        Err(Error::new(ErrorKind::Unsupported, what))
    }
    /// Make the names in `dir` durable.
    fn sync_dir(&self, dir: &str) -> Result<()>;
    /// Take the directory for this process until the guard is dropped; `WouldBlock` when another
    /// process has it.
    fn lock(&self) -> Result<Box<dyn Send + Sync>>;
    /// The same for one who only reads: nothing is written, and `None` when there is no lock file, as in
    /// a copy of a database that nobody opened yet.
    fn lock_existing(&self) -> Result<Option<Box<dyn Send + Sync>>> {
        let locked = self.list("")?.iter().any(|name| name == disk::LOCK_FILE);
        locked.then(|| self.lock()).transpose()
    }

    /// Wall clock, microseconds since the Unix epoch. May jump either way.
    fn now_micros(&self) -> u64;
    /// Monotonic clock in microseconds from an arbitrary start. It goes on while the machine is
    /// suspended, as the wall clock does.
    fn monotonic_micros(&self) -> u64;
    /// The same in nanoseconds, for how long short work took. It may stand still while the machine is suspended.
    fn monotonic_nanos(&self) -> u64 {
        self.monotonic_micros().saturating_mul(1_000)
    }
    /// CPU time that the calling thread has used, in microseconds; always 0 where nothing runs in the
    /// background.
    fn thread_cpu_micros(&self) -> u64;
    fn random_u64(&self) -> u64;
    /// Run `work` on a thread of its own. The simulated disk refuses, and the engine then does its
    /// background work inline, so that one seed replays one history.
    fn spawn(
        &self,
        name: &str,
        work: Box<dyn FnOnce() + Send>,
    ) -> Option<std::thread::JoinHandle<()>>;
}

/// An open file. Offsets and lengths are bytes.
pub trait File: Send + Sync {
    /// Fill `buf` from `offset`; fewer bytes only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize>;
    /// Write all of `buf` at `offset`, growing the file when needed.
    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()>;
    /// fdatasync: data and the length needed to read it.
    fn sync_data(&self) -> Result<()>;
    fn len(&self) -> Result<u64>;
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }
    fn set_len(&self, len: u64) -> Result<()>;
    /// Say that the file will be so long, so that a lack of space shows before anything is written. What
    /// is read there is zeros. It promises nothing: a disk need not know how.
    fn allocate(&self, len: u64) -> Result<()> {
        let _ = len;
        Ok(())
    }
}
