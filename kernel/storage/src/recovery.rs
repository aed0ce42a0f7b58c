//! Opening a database: what to make of the directory.
//!
//! 1. No WAL file: a new database when there is nothing else, an error when there is. (A crash while
//!    a database was being made leaves a lock file and empty directories, which count as nothing: the
//!    first WAL file appears, whole, as the last step.)
//! 2. Otherwise the log is read from its oldest file: the manifest there, then every record after it. That
//!    gives the newest manifest, and where the log ends.
//! 3. Batches that nothing proves to be synced are written and synced again, and so are the names of
//!    the files, since a sync that failed in an earlier process may have left either in memory only:
//!    from here on everything that was read is durable. Files wholly behind the end of the log go.
//! 4. The log goes on in a new epoch.
//! 5. With the engine around it ([`refill`]) the log is read once more, from the first file that segments do
//!    not cover: transactions that are newer than those go into the memtable, which is flushed like any
//!    other when it is full. So memory does not grow with the log.
//!
//! A process stops when a directory sync fails, and no later sync proves that the names of before are
//! on disk. So a file that nothing was written to yet is not trusted to keep its name: recovery removes
//! it and makes it anew. It is always the last one, for nobody writes to a file before its name is synced.
//! A database that nothing was written to yet is made anew as a whole, directories included.

use std::io::ErrorKind;
use std::sync::Arc;

use crate::backup::label;
use crate::error::{Error, Result};
use crate::flush::{SEGMENTS, name_of, parse_name};
use crate::ids::{CollectionId, RowId, Ts};
use crate::io::Io;
use crate::load;
use crate::manifest::{Manifest, SegmentEntry};
use crate::options::Options;
use crate::planted::{self, Bug};
use crate::tables::Tables;
use crate::transaction::writeset::WriteKind;
use crate::view::row_of;
use crate::wal::file::{self, WalFile};
use crate::wal::reader::{self, Replay, Tail};
use crate::wal::record::{Logged, LoggedTransaction, Origin};
use crate::wal::writer::{FIRST_EPOCH, Position, Writer};

pub mod refill;

pub use refill::{NewerRuns, Unflushed};

/// What an open database starts from.
pub struct Recovered {
    pub writer: Writer,
    pub manifest: Manifest,
    pub tables: Tables,
    /// Segments that the log names and tells nothing else of.
    pub brought: Vec<SegmentEntry>,
    /// Step 5 is to read this.
    pub unflushed: Unflushed,
}

/// Steps 1 to 4. The caller has locked the directory.
pub fn recover(io: &Arc<dyn Io>, options: &Options) -> Result<Recovered> {
    let files = file::open_all(&**io)?;
    if files.is_empty() {
        return create(io, options);
    }
    file::discard_prepared(&**io)?;
    load::discard_runs(&**io)?;
    make_directory(&**io, SEGMENTS)?;
    // A backup that is opened to write is a database and no base of a restore any more.
    file::discard(&**io, label::FILE)?;

    let mut replayed = Replayed::new(files.len());
    let tail = reader::read(&files, &mut replayed)?;
    tracing::info!(
        end = tail.lsn.0,
        epoch = tail.epoch,
        transactions = replayed.transactions,
        "read the log"
    );
    if files.len() == 1 && replayed.is_new() && tail.epoch == FIRST_EPOCH {
        discard_private_runs(&**io)?;
        check_no_segments(&**io)?;
        file::remove(&**io, &files[0].name)?;
        return make(io, options);
    }
    let files = settle(&**io, files, &tail, &replayed.ts_max)?;
    for directory in [file::DIRECTORY, SEGMENTS] {
        io.sync_dir(directory)
            .map_err(|e| Error::io("sync", directory, e))?;
    }
    let Replayed {
        manifest, brought, ..
    } = replayed;
    let unflushed = Unflushed::new(&files, &manifest, tail.lsn);
    let epoch = tail
        .epoch
        .checked_add(1)
        .ok_or_else(|| Error::internal("2^32 recoveries"))?;
    let position = Position {
        database: tail.database,
        epoch,
        lsn: tail.lsn,
        crc: tail.crc,
    };
    let segment_bytes = options.wal_segment_bytes;
    let writer = Writer::resume(
        Arc::clone(io),
        segment_bytes,
        position,
        files,
        manifest.clone(),
    )?;
    Ok(Recovered {
        writer,
        tables: counted(&manifest),
        manifest,
        brought,
        unflushed,
    })
}

fn make_directory(io: &dyn Io, name: &str) -> Result<()> {
    match io.create_dir(name) {
        Ok(()) => io
            .sync_dir("")
            .map_err(|e| Error::io("sync", "the database directory", e)),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Error::io("create", name, e)),
    }
}

/// Make a new database, provided that nothing is there.
fn create(io: &Arc<dyn Io>, options: &Options) -> Result<Recovered> {
    let known = [crate::io::disk::LOCK_FILE, file::DIRECTORY, SEGMENTS];
    let is_strange = |name: &&String| {
        !known.contains(&name.as_str()) && !options.expected_names.contains(&name.as_str())
    };
    if let Some(name) = listed(&**io, "")?.iter().find(is_strange) {
        return Err(not_empty(name));
    }
    check_no_segments(&**io)?;
    make(io, options)
}

fn listed(io: &dyn Io, directory: &str) -> Result<Vec<String>> {
    match io.list(directory) {
        Ok(names) => Ok(names),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) if directory.is_empty() => Err(Error::io("list", ".", e)),
        Err(e) => Err(Error::io("list", directory, e)),
    }
}

/// Remove the segments of a database whose log names none: its first transaction had begun to write
/// runs. They are gone for good before the log is, which tells that they are nobody else's.
fn discard_private_runs(io: &dyn Io) -> Result<()> {
    let names = listed(io, SEGMENTS)?;
    let runs = names
        .iter()
        .filter_map(|name| parse_name(name))
        .map(name_of);
    let mut any = false;
    for name in runs {
        io.remove(&name)
            .map_err(|e| Error::io("remove", &name, e))?;
        any = true;
    }
    match any {
        true => io
            .sync_dir(SEGMENTS)
            .map_err(|e| Error::io("sync", SEGMENTS, e)),
        false => Ok(()),
    }
}

fn check_no_segments(io: &dyn Io) -> Result<()> {
    match listed(io, SEGMENTS)?.first() {
        None => Ok(()),
        Some(name) => Err(not_empty(&format!("{SEGMENTS}/{name}"))),
    }
}

fn not_empty(name: &str) -> Error {
    let reason = format!("it has no write-ahead log, and is not empty: it has \"{name}\"");
    Error::NotADatabase { reason }
}

/// Make a new database where there is none, or one that nothing was written to. What else the
/// directory of the latter has, such as files of the plugin host, came after the database did.
fn make(io: &Arc<dyn Io>, options: &Options) -> Result<Recovered> {
    file::discard_prepared(&**io)?;
    for directory in [SEGMENTS, file::DIRECTORY] {
        // One that cannot be removed, such as a mount point, is used as it is.
        let _ = io.remove_dir(directory);
        make_directory(&**io, directory)?;
    }
    let database = io.random_u64();
    let manifest = Manifest::default();
    let bytes = options.wal_segment_bytes;
    let writer = Writer::create(Arc::clone(io), bytes, database, manifest.clone())?;
    Ok(Recovered {
        writer,
        manifest,
        brought: Vec::new(),
        tables: Tables::default(),
        unflushed: Unflushed::default(),
    })
}

/// Make durable what was read, and drop the files behind the end.
fn settle(
    io: &dyn Io,
    mut files: Vec<WalFile>,
    tail: &Tail,
    ts_max: &[Ts],
) -> Result<Vec<WalFile>> {
    for (file, ts_max) in files.iter_mut().zip(ts_max) {
        file.ts_max = *ts_max;
    }
    for file in &files {
        let mut touched = false;
        for (lsn, bytes) in &tail.unproven {
            if (file.start..file.end()).contains(lsn) {
                let at = lsn.0 - file.start.0;
                file.file
                    .write_at(bytes, at)
                    .map_err(|e| Error::io("write", &file.name, e))?;
                touched = true;
            }
        }
        if touched {
            file.file
                .sync_data()
                .map_err(|e| Error::io("sync", &file.name, e))?;
        }
    }
    while files.len() > 1 && files.last().is_some_and(|file| file.start >= tail.lsn) {
        if let Some(file) = files.pop() {
            file::remove(io, &file.name)?;
        }
    }
    Ok(files)
}

/// The counters as of what segments hold.
pub fn counted(manifest: &Manifest) -> Tables {
    let tables = Tables::default();
    for (table, next_row) in &manifest.next_rows {
        if !planted::is(Bug::RecoveryRewindsRows) {
            tables.get(*table).reserve_below(*next_row);
        }
    }
    tables
}

/// What the log's records lead to.
pub struct Replayed {
    pub manifest: Manifest,
    /// How many there were.
    pub transactions: u64,
    /// Segments that records named and tell nothing else of.
    pub brought: Vec<SegmentEntry>,
    /// Newest commit with its writes that begins in each file.
    ts_max: Vec<Ts>,
}

impl Replayed {
    pub fn new(files: usize) -> Replayed {
        Replayed {
            manifest: Manifest::default(),
            transactions: 0,
            brought: Vec::new(),
            ts_max: vec![Ts::ZERO; files],
        }
    }

    /// Whether the log says nothing but that there is a database.
    fn is_new(&self) -> bool {
        self.transactions == 0 && self.manifest == Manifest::default()
    }

    /// A transaction that begins in file number `file`.
    pub fn transaction(&mut self, file: usize, transaction: &LoggedTransaction) -> Result<()> {
        if !self.manifest.timelines.contains_key(&transaction.timeline) {
            let Origin { file, offset } = &transaction.origin;
            let found = format!("timeline {}", transaction.timeline);
            return Err(Error::corruption(
                file,
                *offset,
                "a timeline there is",
                found,
            ));
        }
        self.transactions += 1;
        self.ts_max[file] = self.ts_max[file].max(transaction.ts);
        self.manifest
            .note_commit(transaction.timeline, transaction.ts);
        // Keys come in order, so a table's rows come together, the newest last.
        let mut newest: Option<(CollectionId, RowId)> = None;
        let mut reserve = |newest: Option<(CollectionId, RowId)>| {
            if let Some((table, row)) = newest {
                self.manifest
                    .reserve_rows(table, RowId(row.0.saturating_add(1)));
            }
        };
        transaction.writes(|write| {
            if write.kind == WriteKind::Insert {
                let row = row_of(write.key)?;
                match &mut newest {
                    Some((table, newest)) if *table == write.collection => {
                        *newest = row.max(*newest);
                    }
                    _ => reserve(newest.replace((write.collection, row))),
                }
            }
            Ok(())
        })?;
        reserve(newest);
        Ok(())
    }
}

impl Replay for Replayed {
    fn manifest(&mut self, manifest: Manifest) -> Result<()> {
        self.manifest = manifest;
        Ok(())
    }

    fn record(&mut self, file: usize, record: Logged) -> Result<()> {
        self.brought.extend_from_slice(record.brings());
        match record {
            Logged::Transaction(transaction) => self.transaction(file, &transaction)?,
            Logged::Timeline(edit) => edit.apply(&mut self.manifest),
            Logged::Sequence(edit) => {
                edit.apply(&mut self.manifest);
            }
            Logged::NextCollection(id) => {
                self.manifest.next_collection = self.manifest.next_collection.max(id);
            }
            Logged::RowIds(next) => {
                next.iter()
                    .for_each(|(table, row)| self.manifest.reserve_rows(*table, *row));
            }
            Logged::Load(edit) => edit.apply(&mut self.manifest),
            Logged::Compaction(edit) => edit.apply(&mut self.manifest),
            Logged::Runs(edit) => edit.apply(&mut self.manifest),
            Logged::Flush(edit) => edit.apply(&mut self.manifest),
        }
        Ok(())
    }
}
