//! The archive: a copy of the whole log, file by file, in a directory that an operator names.
//!
//! With a backup it is every state since: [`crate::backup::restore`] replays it up to a time.
//!
//! 1. A file of the log is archived when it is *complete*: full of batches, all of them synced. It is
//!    copied batch by batch, so that every checksum is seen and the chain from one file to the next, and
//!    appears in the archive under its name when the copy is synced ([`files`]).
//! 2. The last file is never complete. Up to where it is synced, its *tail* is archived on request and when
//!    the database is closed. The next tail replaces it, and the complete file does in the end.
//! 3. What the log does not tell, because it came as segments (a bulk load), is archived before the file of
//!    the log that names it.
//!
//! Promises:
//!
//! 1. A file of the log is not removed before it is in the archive. While archiving fails, the log grows:
//!    there is no bound but the disk, and a full disk refuses commits. Who would rather lose the archive
//!    than that removes the setting.
//! 2. A failure is told in the log of the server and in [`ArchiveState`], and tried again.
//! 3. A file in the archive is never replaced by another one: what is there under the same name is compared,
//!    and if it differs, archiving stops there and says so. Each database has a directory of its own in the
//!    archive, named for its id, so that a restored one never meets the files of the one before.
//! 4. Nothing waits for the archive but the removal of old files of the log.

pub(crate) mod files;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::backup::copy::{self, sync_dir};
use crate::engine::EngineInner;
use crate::error::{Error, Result};
use crate::flush::{SEGMENTS, name_of, parse_name};
use crate::ids::{Lsn, Ts};
use crate::interrupt::Interrupt;
use crate::io::Io;
use crate::manifest::{Manifest, SegmentEntry};
use crate::options::Options;
use crate::wal::file::WalFile;

/// Where the log is archived to.
#[derive(Clone)]
pub struct ArchiveDirectory(pub Arc<dyn Io>);

impl fmt::Debug for ArchiveDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ArchiveDirectory")
            .field(&self.0.root())
            .finish()
    }
}

/// How far the archive is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveState {
    /// Everything in the log before this is archived.
    pub archived: Lsn,
    /// Where the log ends, as far as it is synced.
    pub log_end: Lsn,
    /// No commit in the archive is newer.
    pub last_ts: Ts,
    /// The file that was archived last, and when.
    pub last_file: Option<String>,
    pub last_micros: u64,
    /// Complete files that wait.
    pub files_waiting: u64,
    /// Since the database was opened.
    pub files_archived: u64,
    pub failures: u64,
    /// Why it does not go on; `None` when it does.
    pub error: Option<String>,
    /// When it failed last.
    pub failed_micros: u64,
}

/// What the engine keeps for archiving.
pub struct Archiver {
    io: Arc<dyn Io>,
    /// One at a time.
    turn: Mutex<Turn>,
    state: Mutex<ArchiveState>,
    /// Segments that the log only names, by number, until they are archived.
    segments: Mutex<BTreeMap<u64, SegmentEntry>>,
    wanted: Mutex<worker::Wanted>,
    changed: Condvar,
}

struct Turn {
    /// Everything before is in files of the archive; tails do not count.
    through: Lsn,
    /// Of the batch before, once one was archived.
    crc: Option<u32>,
    /// Where the tail in the archive ends.
    tail: Lsn,
}

impl Archiver {
    /// Go on with a log that begins at `start`, if `options` say so. What of it is in the archive is found
    /// there. The log names the segments that it `brought`: those that are not here any more were archived,
    /// or are from a time when nothing was.
    pub fn open(
        options: &Options,
        io: &dyn Io,
        start: Lsn,
        brought: Vec<SegmentEntry>,
    ) -> Result<Option<Archiver>> {
        let Some(ArchiveDirectory(archive)) = options.archive.clone() else {
            return Ok(None);
        };
        let names = io.list(SEGMENTS);
        let names = names.map_err(|e| Error::io("list", SEGMENTS, e))?;
        let here: BTreeSet<u64> = names.iter().filter_map(|name| parse_name(name)).collect();
        let brought = brought.into_iter().map(|segment| (segment.number, segment));
        Ok(Some(Archiver {
            io: archive,
            turn: Mutex::new(Turn {
                through: start,
                crc: None,
                tail: start,
            }),
            state: Mutex::new(ArchiveState {
                archived: start,
                ..ArchiveState::default()
            }),
            segments: Mutex::new(brought.filter(|(n, _)| here.contains(n)).collect()),
            wanted: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// The files of those that `manifest` does not name.
    pub fn unnamed(&self, manifest: &Manifest) -> Vec<String> {
        let named = |number: u64| manifest.segments().any(|(_, s)| s.number == number);
        let needed = self.segments.lock();
        let unnamed = needed.keys().filter(|number| !named(**number));
        unnamed.map(|number| name_of(*number)).collect()
    }

    /// Whether the log names a segment that is not in the archive.
    pub fn needs(&self, number: u64) -> bool {
        self.segments.lock().contains_key(&number)
    }

    /// The log is about to name a segment that it tells nothing else of.
    pub fn need(&self, segments: &[SegmentEntry]) {
        let mut needed = self.segments.lock();
        needed.extend(segments.iter().map(|s| (s.number, s.clone())));
    }

    fn state(&self) -> ArchiveState {
        self.state.lock().clone()
    }
}

impl EngineInner {
    /// How far the archive is; `None` without one.
    pub fn archive_state(&self) -> Option<ArchiveState> {
        let archiver = self.archiver.as_ref()?;
        let (complete, end) = self.log.complete_files();
        let mut state = archiver.state();
        state.log_end = end;
        let waits = |file: &&WalFile| file.end() > state.archived;
        state.files_waiting = complete.iter().filter(waits).count() as u64;
        Some(state)
    }

    /// Archive what is complete, and with `tail` all that is durable. What that made obsolete of the log
    /// goes.
    ///
    /// # Errors
    ///
    /// The archive is as it was, or has some files more.
    pub fn archive(&self, tail: bool) -> Result<()> {
        let Some(archiver) = &self.archiver else {
            return Ok(());
        };
        let mut turn = archiver.turn.lock();
        let outcome = self.archive_in_turn(archiver, &mut turn, tail);
        let now = self.io.now_micros();
        let mut state = archiver.state.lock();
        state.archived = turn.through.max(turn.tail);
        match &outcome {
            Ok(()) => state.error = None,
            Err(error) => {
                tracing::error!("archiving the log: {error}");
                state.failures += 1;
                state.failed_micros = now;
                state.error = Some(error.to_string());
            }
        }
        drop(state);
        outcome?;
        self.log.remove_archived()
    }

    fn archive_in_turn(&self, archiver: &Archiver, turn: &mut Turn, tail: bool) -> Result<()> {
        if tail {
            self.log.wait(self.log.last_ticket())?;
        }
        let directory = files::Directory::open(&archiver.io, self.log.database())?;
        let (complete, end) = self.log.complete_files();
        for file in &complete {
            if file.end() <= turn.through {
                continue;
            }
            self.archive_segments(archiver, &directory)?;
            let crc = directory.put_file(file, turn.crc)?;
            turn.through = file.end();
            turn.crc = Some(crc);
            self.log.set_archived(turn.through);
            let path = directory.path(&files::name_of(file.start));
            self.note(archiver, path, file.ts_max);
        }
        if tail && end > turn.through.max(turn.tail) {
            let durable = self.log.durable();
            let (file, end) = self.log.last_file()?;
            self.archive_segments(archiver, &directory)?;
            directory.put_tail(&file, end, turn.crc)?;
            turn.tail = end;
            let path = directory.path(&files::tail_of(file.start));
            self.note(archiver, path, durable);
        }
        Ok(())
    }

    fn note(&self, archiver: &Archiver, path: String, last_ts: Ts) {
        let now = self.io.now_micros();
        let mut state = archiver.state.lock();
        state.files_archived += 1;
        state.last_file = Some(path);
        state.last_micros = now;
        state.last_ts = state.last_ts.max(last_ts);
    }

    /// Step 3.
    fn archive_segments(&self, archiver: &Archiver, directory: &files::Directory) -> Result<()> {
        let needed: Vec<SegmentEntry> = archiver.segments.lock().values().cloned().collect();
        for segment in needed {
            let name = name_of(segment.number);
            directory.put_segment(&*self.io, &name, &segment)?;
            archiver.segments.lock().remove(&segment.number);
            self.remove_postponed(&name);
        }
        Ok(())
    }
}

/// The name in an archive that belongs to a database.
pub(crate) fn directory_of(database: u64) -> String {
    format!("{database:016x}")
}

pub(crate) fn make_directory(io: &dyn Io, name: &str) -> Result<()> {
    copy::make_dir(io, name)?;
    sync_dir(io, "")
}

/// No session waits for the archive.
pub(crate) fn uninterrupted() -> Arc<Interrupt> {
    Interrupt::new()
}

/// What is under a name already is something else.
pub(crate) fn another(name: &str, at: u64) -> Error {
    Error::ArchiveConflict {
        file: name.to_owned(),
        offset: at,
    }
}
