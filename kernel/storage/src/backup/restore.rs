//! Restore: a backup, and the archive of its source's log up to a time, as a new database.
//!
//! 1. Read the backup's log: the manifest that it leads to, and that it ends where the label says. One that
//!    was opened as a database since has another end.
//! 2. Link or copy the manifest's segments.
//! 3. Begin a new log, of a database with an id of its own, with that manifest. Into it go, as they are:
//!    transactions of the backup's log that are not in its segments; then, from the archive, every record
//!    behind the backup's end before the first commit, or change of timelines, after the time. What the records *brought*
//!    ([`crate::archive`]) comes from the archive, too. Flushes and compactions are left out: their files
//!    are nowhere, and what they held is in the log.
//!
//! The new database then opens as after a crash: its log is replayed, which flushes as it goes. So a restore
//! takes little memory, and what it writes is written by the code that writes it every day.
//!
//! Nothing is believed: each file of the archive must follow the one before by LSN, checksum and epoch, the
//! first one the backup's end by its checksum. Where a file is missing the coverage ends, whatever is behind
//! it; a time behind the coverage is refused before anything is written.

use std::sync::Arc;

use super::label::{self, Label};
use super::unfinished::{self, Making};
use super::{Point, copy, lock_existing, log};
use crate::archive::files::Directory;
use crate::error::{Error, Result};
use crate::flush::{SEGMENTS, name_of};
use crate::ids::{Lsn, Ts};
use crate::interrupt::Interrupt;
use crate::io::Io;
use crate::manifest::Manifest;
use crate::options::Options;
use crate::wal::batch::{BatchHeader, batch_bytes};
use crate::wal::file::{self, WalFile};
use crate::wal::reader::{self, RawRecord, Replay};
use crate::wal::record::{Logged, Record};
use crate::wal::writer::Writer;

/// Records are written when there are so many bytes.
const WRITE_BYTES: usize = 8 << 20;

/// How to restore.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// The newest commit to restore is this or older; `None`: the newest there is.
    pub to: Option<Ts>,
    /// Size of a file of the new log.
    pub wal_segment_bytes: u64,
    /// As in [`Options::companions`].
    pub companions: &'static [&'static str],
    /// Ends the restore.
    pub interrupt: Arc<Interrupt>,
}

impl Default for RestoreOptions {
    fn default() -> RestoreOptions {
        RestoreOptions {
            to: None,
            wal_segment_bytes: Options::default().wal_segment_bytes,
            companions: &[],
            interrupt: Interrupt::new(),
        }
    }
}

/// What was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The newest commit of the new database.
    pub ts: Ts,
    /// Commits that came from the archive.
    pub archived_commits: u64,
    pub segments: u64,
}

/// The times to which a backup and an archive can be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// The newest commit of the backup.
    pub from: Ts,
    /// The newest commit that the archive has without a gap.
    pub to: Ts,
    /// Why it ends there, in words.
    pub why: String,
}

/// What [`restore`] could do.
pub fn coverage(backup: &Arc<dyn Io>, archive: Option<&Arc<dyn Io>>) -> Result<Coverage> {
    let _lock = lock_existing(backup)?;
    let base = Base::read(backup)?;
    Ok(base.archived(archive)?.coverage)
}

/// Make a database in `target`, an empty directory. See the module's header.
///
/// # Errors
///
/// `NotCovered` for a time that there is nothing of; damage. What was made until then is removed, as far as
/// it goes.
pub fn restore(
    backup: &Arc<dyn Io>,
    archive: Option<&Arc<dyn Io>>,
    target: &Arc<dyn Io>,
    options: &RestoreOptions,
) -> Result<Restored> {
    let _lock = lock_existing(backup)?;
    let base = Base::read(backup)?;
    let archived = base.archived(archive)?;
    let Coverage { from, to, why } = archived.coverage.clone();
    if let Some(asked) = options.to
        && (asked < from || asked > to)
    {
        return Err(Error::NotCovered {
            asked,
            from,
            to,
            why,
        });
    }
    let making = Making::begin(target, "A restore")?;
    let io = &**target;
    copy::make_dir(io, SEGMENTS)?;
    copy::make_dir(io, file::DIRECTORY)?;
    for (_, segment) in base.point.manifest.segments() {
        options.interrupt.check()?;
        let name = name_of(segment.number);
        copy::bring((&**backup, &name), (io, &name), &options.interrupt)?;
    }
    copy::copy_all(&**backup, io, options.companions, &options.interrupt)?;
    let restored = write_log(&base, &archived, target, options)?;
    copy::sync_dir(io, SEGMENTS)?;
    making.end()?;
    tracing::info!(?restored, "restored a backup");
    Ok(restored)
}

/// A backup, as far as it was read.
struct Base {
    label: Label,
    point: Point,
}

impl Base {
    /// Step 1.
    fn read(backup: &Arc<dyn Io>) -> Result<Base> {
        unfinished::refuse(&**backup)?;
        let Some(label) = Label::read(&**backup)? else {
            let what = label::FILE;
            let reason = format!("it has no \"{what}\": it is no backup, or was opened since");
            return Err(Error::NotADatabase { reason });
        };
        let point = log::read_point(backup)?;
        if (point.database, point.end) != (label.database, label.end) {
            let reason = format!(
                "its log ends at {}, and the backup ended at {}: it was opened since",
                point.end, label.end
            );
            return Err(Error::NotADatabase { reason });
        }
        Ok(Base { label, point })
    }

    /// What the archive has behind it.
    fn archived(&self, archive: Option<&Arc<dyn Io>>) -> Result<Archived> {
        let from = self.label.ts;
        let coverage = |to: Ts, why: &str| Coverage {
            from,
            to: to.max(from),
            why: why.to_owned(),
        };
        let Some(archive) = archive else {
            return Ok(Archived {
                directory: None,
                files: Vec::new(),
                coverage: coverage(from, "there is no archive"),
            });
        };
        let directory = Directory::existing(archive, self.label.source);
        let (files, gap) = directory.log_from(self.label.end)?;
        let coverage = match (files.last(), gap) {
            (None, None) => coverage(from, "the archive has nothing after the backup"),
            (None, Some(lsn)) => {
                let why = format!("the archive has a gap at {lsn}, right after the backup");
                coverage(from, &why)
            }
            (Some(last), gap) => {
                let mut newest = Newest(Ts::ZERO);
                let tail = reader::read(std::slice::from_ref(last), &mut newest)?;
                if tail.lsn < last.end() {
                    return Err(ended_early(last, tail.lsn));
                }
                match gap {
                    None => coverage(newest.0, "the archive ends there"),
                    Some(lsn) => {
                        let why = format!("the archive has a gap at {lsn}");
                        coverage(newest.0, &why)
                    }
                }
            }
        };
        Ok(Archived {
            directory: Some(directory),
            files,
            coverage,
        })
    }
}

/// The part of an archive that follows a backup.
struct Archived {
    directory: Option<Directory>,
    files: Vec<WalFile>,
    coverage: Coverage,
}

/// An archived file is full of batches.
fn ended_early(file: &WalFile, lsn: Lsn) -> Error {
    let expected = format!("batches up to {}", file.end());
    Error::corruption(
        &file.name,
        lsn.0.saturating_sub(file.start.0),
        expected,
        "no valid batch",
    )
}

/// The newest commit, or change of timelines, of a file.
struct Newest(Ts);

impl Replay for Newest {
    fn manifest(&mut self, manifest: Manifest) -> Result<()> {
        self.0 = self.0.max(manifest.last_ts);
        Ok(())
    }

    fn record(&mut self, _: usize, record: Logged) -> Result<()> {
        self.0 = self.0.max(record.ts().unwrap_or_default());
        Ok(())
    }
}

/// Step 3.
fn write_log(
    base: &Base,
    archived: &Archived,
    target: &Arc<dyn Io>,
    options: &RestoreOptions,
) -> Result<Restored> {
    let manifest = base.point.manifest.clone();
    let mut restored = Restored {
        ts: manifest.last_ts,
        archived_commits: 0,
        segments: manifest.segments().count() as u64,
    };
    let database = target.random_u64();
    let bytes = options.wal_segment_bytes;
    let mut writer = Writer::create(Arc::clone(target), bytes, database, manifest.clone())?;
    let mut unflushed = Unflushed {
        manifest: &manifest,
        copied: Copied::new(&mut writer, options),
    };
    reader::read_until(&base.point.files, base.point.end, &mut unflushed)?;
    unflushed.copied.write()?;
    if let Some(directory) = &archived.directory
        && !archived.files.is_empty()
    {
        let mut behind = Behind {
            label: &base.label,
            to: options.to.unwrap_or(archived.coverage.to),
            begun: false,
            done: false,
            directory,
            target,
            restored: &mut restored,
            copied: Copied::new(&mut writer, options),
        };
        let tail = reader::read(&archived.files, &mut behind)?;
        behind.copied.write()?;
        let done = behind.done;
        if let Some(last) = archived.files.last()
            && !done
            && tail.lsn < last.end()
        {
            let file = archived.files.iter().find(|file| tail.lsn < file.end());
            return Err(ended_early(file.unwrap_or(last), tail.lsn));
        }
    }
    writer.mark_end()?;
    Ok(restored)
}

/// Records on their way into another log.
struct Copied<'a> {
    writer: &'a mut Writer,
    records: Vec<Record>,
    bytes: usize,
    interrupt: &'a Interrupt,
}

impl<'a> Copied<'a> {
    fn new(writer: &'a mut Writer, options: &'a RestoreOptions) -> Copied<'a> {
        Copied {
            writer,
            records: Vec::new(),
            bytes: 0,
            interrupt: &options.interrupt,
        }
    }

    fn push(&mut self, raw: &RawRecord<'_>, logged: Logged) -> Result<()> {
        self.interrupt.check()?;
        self.bytes += raw.bytes.len();
        self.records.push(Record {
            bytes: raw.bytes.to_vec(),
            effect: logged.effect()?,
        });
        match self.bytes < WRITE_BYTES {
            true => Ok(()),
            false => self.write(),
        }
    }

    fn write(&mut self) -> Result<()> {
        self.writer.append(&self.records)?;
        self.writer.sync()?;
        self.records.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// Takes the transactions of a backup that are not in its segments. What else its log says is in the
/// manifest.
struct Unflushed<'a> {
    manifest: &'a Manifest,
    copied: Copied<'a>,
}

impl Replay for Unflushed<'_> {
    fn manifest(&mut self, _: Manifest) -> Result<()> {
        Ok(())
    }

    fn record(&mut self, _: usize, _: Logged) -> Result<()> {
        Ok(())
    }

    fn raw(&mut self, _: usize, raw: RawRecord<'_>) -> Result<()> {
        match raw.parse()? {
            Logged::Transaction(transaction) if !self.manifest.has_flushed(&transaction) => {
                self.copied.push(&raw, Logged::Transaction(transaction))
            }
            _ => Ok(()),
        }
    }
}

/// Takes what the archive has behind the end of a backup.
struct Behind<'a> {
    label: &'a Label,
    to: Ts,
    /// The batches are those behind it.
    begun: bool,
    /// Something came that is newer than wanted.
    done: bool,
    directory: &'a Directory,
    target: &'a Arc<dyn Io>,
    restored: &'a mut Restored,
    copied: Copied<'a>,
}

impl Replay for Behind<'_> {
    fn manifest(&mut self, _: Manifest) -> Result<()> {
        Ok(())
    }

    fn record(&mut self, _: usize, _: Logged) -> Result<()> {
        Ok(())
    }

    /// The batch at the backup's end follows the one that the backup ended with.
    fn batch(&mut self, header: &BatchHeader) -> Result<()> {
        let Label {
            end,
            source_crc,
            epoch,
            ..
        } = *self.label;
        let behind = header.lsn.0 + batch_bytes(header.payload_bytes as usize);
        let follows = header.previous_crc == source_crc && header.epoch >= epoch;
        let wrong = match header.lsn {
            lsn if lsn < end => behind > end.0,
            lsn if lsn == end => end > Lsn(0) && !follows,
            _ => !self.begun,
        };
        if wrong {
            let expected = format!(
                "a batch at {end} that follows the one with checksum {source_crc:#010x}, which the backup \
                 ends with"
            );
            let found = format!("one at {} after {:#010x}", header.lsn, header.previous_crc);
            return Err(Error::corruption(label::FILE, 0, expected, found));
        }
        self.begun = header.lsn >= end;
        Ok(())
    }

    fn raw(&mut self, _: usize, raw: RawRecord<'_>) -> Result<()> {
        if !self.begun || self.done {
            return Ok(());
        }
        let logged = raw.parse()?;
        if let Some(ts) = logged.ts() {
            if ts > self.to {
                self.done = true;
                return Ok(());
            }
            self.restored.ts = self.restored.ts.max(ts);
            if !matches!(logged, Logged::Timeline(_)) {
                self.restored.archived_commits += 1;
            }
        }
        if let Logged::Flush(_) | Logged::Compaction(_) = logged {
            return Ok(());
        }
        for segment in logged.brings() {
            let to = name_of(segment.number);
            if !self.directory.take_segment(segment, &**self.target, &to)? {
                let number = segment.number;
                let expected = format!("segment {number:016x}, which this record brought");
                let (file, at) = (&raw.origin.file, raw.origin.offset);
                return Err(Error::corruption(file, at, expected, "none in the archive"));
            }
            self.restored.segments += 1;
        }
        self.copied.push(&raw, logged)
    }

    fn is_done(&self) -> bool {
        self.done
    }
}
