//! Backups: a database's files, as of one moment, in a directory of their own.
//!
//! 1. From here on no segment file is removed ([`crate::removal`]).
//! 2. The *point*: with the log's writer held for a moment, between two group commits and without I/O, note
//!    where the log ends, which files it has, and the manifest that it has led to. All commits before are
//!    durable; those after go on.
//! 3. Link the manifest's segments, or copy them where links cannot be.
//! 4. Copy the log up to the point, batch by batch, each verified and sealed again for a database of
//!    another id. An open file can be read after its name is gone, so the log loses files as ever.
//! 5. Copy the operator's files beside the database, such as settings. Write the [`label`], which says where the archive of the source's log goes on.
//!
//! Promises:
//!
//! 1. The directory opens as a database whose newest commit is the source's at the point. It is another
//!    database from the first moment: no archive takes its log for a continuation of the source's.
//! 2. Commits, flushes and compactions of the source go on meanwhile, and never wait for the disk that the
//!    backup is on.
//! 3. A backup that was cut off has a file that says so ([`unfinished`]), and nothing opens it.
//!
//! From a backup alone, or with the archive of its source's log, [`restore`] makes databases.
//!
//! A backup shares linked segments with its source. They are never written to again, but a disk that loses
//! one loses both: a backup against that is on another disk.

pub(crate) mod copy;
pub(crate) mod label;
mod log;
pub mod restore;
pub(crate) mod unfinished;

use std::sync::Arc;

use crate::engine::{Engine, EngineInner};
use crate::error::{Error, Result};
use crate::flush::{SEGMENTS, name_of};
use crate::ids::{Lsn, Ts};
use crate::interrupt::Interrupt;
use crate::io::Io;
use crate::io::disk::LOCK_FILE;
use crate::manifest::Manifest;
use crate::wal::file::{self, WalFile};

use self::copy::Way;
use self::label::Label;

/// A moment of a database: all that is needed to make it again.
pub struct Point {
    /// Of the log, oldest first.
    pub files: Vec<WalFile>,
    pub database: u64,
    pub epoch: u32,
    /// Where the log ends, and the checksum of the batch before.
    pub end: Lsn,
    pub crc: u32,
    /// What all of it has led to.
    pub manifest: Manifest,
}

/// What a backup consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackedUp {
    /// The newest commit in it.
    pub ts: Ts,
    /// Segments that are one file with the source's, and those that are copies.
    pub segments_linked: u64,
    pub segments_copied: u64,
    pub segment_bytes: u64,
    pub log_bytes: u64,
}

impl Engine {
    /// Make a backup in `target`, an empty directory, while others go on writing. See [`crate::backup`].
    ///
    /// # Errors
    ///
    /// What was made until then is removed, as far as it goes.
    pub fn backup(&self, target: &Arc<dyn Io>, interrupt: &Interrupt) -> Result<BackedUp> {
        self.inner().backup(target, interrupt)
    }
}

impl EngineInner {
    fn backup(&self, target: &Arc<dyn Io>, interrupt: &Interrupt) -> Result<BackedUp> {
        let _hold = self.hold_segments();
        let point = self.log.point()?;
        let companions = self.options.companions;
        write(&*self.io, &point, target, companions, interrupt)
    }
}

/// Make a backup of a database that nobody has open, with the files beside it that `companions` names.
///
/// # Errors
///
/// Those of [`Engine::backup`]; the database is open, or damaged.
pub fn back_up_closed(
    io: &Arc<dyn Io>,
    target: &Arc<dyn Io>,
    companions: &[&str],
    interrupt: &Interrupt,
) -> Result<BackedUp> {
    let _lock = lock_existing(io)?;
    unfinished::refuse(&**io)?;
    let point = log::read_point(io)?;
    write(&**io, &point, target, companions, interrupt)
}

/// Take a directory that is only read.
pub(crate) fn lock_existing(io: &Arc<dyn Io>) -> Result<Option<Box<dyn Send + Sync>>> {
    io.lock_existing().map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => Error::DirectoryLocked,
        _ => Error::io("lock", LOCK_FILE, e),
    })
}

/// Steps 3 to 5.
fn write(
    source: &dyn Io,
    point: &Point,
    target: &Arc<dyn Io>,
    companions: &[&str],
    interrupt: &Interrupt,
) -> Result<BackedUp> {
    let making = unfinished::Making::begin(target, "A backup")?;
    let io = &**target;
    copy::make_dir(io, SEGMENTS)?;
    copy::make_dir(io, file::DIRECTORY)?;
    let mut done = BackedUp {
        ts: point.manifest.last_ts,
        ..BackedUp::default()
    };
    for (_, segment) in point.manifest.segments() {
        interrupt.check()?;
        let name = name_of(segment.number);
        let (way, bytes) = copy::bring((source, &name), (io, &name), interrupt)?;
        match way {
            Way::Linked => done.segments_linked += 1,
            Way::Copied => done.segments_copied += 1,
        }
        done.segment_bytes += bytes;
    }
    copy::sync_dir(io, SEGMENTS)?;
    copy::copy_all(source, io, companions, interrupt)?;
    let database = io.random_u64();
    done.log_bytes = log::bring(point, io, database, interrupt)?;
    let label = Label {
        source: point.database,
        database,
        epoch: point.epoch,
        end: point.end,
        ts: point.manifest.last_ts,
        source_crc: point.crc,
    };
    label.write(io)?;
    making.end()?;
    tracing::info!(?done, "made a backup");
    Ok(done)
}
