//! The log: every batch and record from the oldest file on, what they lead to, and files that do not
//! belong to it.
//!
//! The reading is recovery's own, so that the torn tail of a write that nobody acknowledged is told from
//! damage in the same way. Unlike recovery it goes on behind damage.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::finding::{Place, Report};
use crate::error::{Error, Result};
use crate::ids::{Lsn, TimelineId, Ts};
use crate::io::{Io, OpenMode};
use crate::manifest::Manifest;
use crate::recovery::Replayed;
use crate::wal::batch::ALIGNMENT;
use crate::wal::file::{DIRECTORY, WalFile, is_prepared, name_of, parse_name};
use crate::wal::reader::{self, Replay, Tail};
use crate::wal::record::{Logged, LoggedTransaction};

/// What the log says, as far as it can be read.
pub struct ReadLog {
    pub manifest: Manifest,
    /// Not in segments yet.
    pub transactions: Vec<LoggedTransaction>,
    /// Whether nothing of it is missing.
    pub whole: bool,
}

/// Read the log in `io`. `None` when it has no file.
pub fn read(io: &Arc<dyn Io>, report: &mut Report<'_>) -> Result<Option<ReadLog>> {
    let names = super::files::list(io, DIRECTORY)?;
    let files = open_files(io, &names, report)?;
    let Some(first) = files.files.first() else {
        return Ok(None);
    };
    let mut survey = Survey {
        replayed: Replayed::new(files.files.len()),
        report: &mut *report,
        transactions: Vec::new(),
        last: Ts::ZERO,
        oldest: None,
    };
    let mut errors = Vec::new();
    let tail = reader::survey(&files.files, &mut survey, &mut |error| errors.push(error))?;
    let Survey {
        replayed,
        transactions,
        oldest,
        ..
    } = survey;
    let mut whole = files.whole && errors.is_empty();
    report.totals.log_files = files.files.len() as u64;
    for error in errors {
        report.error(Place::default(), error)?;
    }
    match &tail {
        Some(tail) => note_tail(&files.files, tail, report)?,
        None => {
            whole = false;
            let what = "no batch of the log can be read";
            report.damage(Place::file(&first.name), what);
        }
    }
    if whole && first.start > Lsn(0) {
        whole = check_beginning(
            first,
            &replayed.manifest,
            &oldest.unwrap_or_default(),
            report,
        );
    }
    Ok(Some(ReadLog {
        manifest: replayed.manifest,
        transactions,
        whole,
    }))
}

struct Files {
    files: Vec<WalFile>,
    whole: bool,
}

/// Open the files of the log, and see that they follow each other.
fn open_files(io: &Arc<dyn Io>, names: &[String], report: &mut Report<'_>) -> Result<Files> {
    let mut starts = Vec::new();
    for name in names {
        let path = format!("{DIRECTORY}/{name}");
        match parse_name(name) {
            Some(start) => starts.push(start),
            None if is_prepared(name) => {}
            None => report.note(Place::file(&path), "not a file of the log"),
        }
    }
    starts.sort_unstable();
    let mut found = Files {
        files: Vec::with_capacity(starts.len()),
        whole: true,
    };
    for (n, start) in starts.iter().enumerate() {
        let name = name_of(*start);
        let place = || Place::file(&name);
        let opened = io.open(&name, OpenMode::Read);
        let opened = opened.and_then(|file| file.len().map(|len| (file, len)));
        let opened = opened.map_err(|e| Error::io("open", &name, e));
        let Some((file, bytes)) = report.take(place, opened)? else {
            found.whole = false;
            continue;
        };
        // Up to the next file: what is missing of this one is then found to be.
        let len = match starts.get(n + 1) {
            Some(next) => next.0 - start.0,
            None => bytes / ALIGNMENT * ALIGNMENT,
        };
        if bytes != len || len == 0 {
            found.whole = false;
            let what = match starts.get(n + 1) {
                Some(next) => format!(
                    "expected {len} bytes, up to {}, or {} after it; found {bytes} bytes",
                    name_of(*next),
                    name_of(Lsn(start.0.saturating_add(bytes))),
                ),
                None => format!("expected a multiple of {ALIGNMENT} bytes, found {bytes}"),
            };
            report.damage(place().at(bytes.min(len)), what);
        }
        found.files.push(WalFile {
            name,
            start: *start,
            len,
            file,
            ts_max: Ts::ZERO,
        });
    }
    Ok(found)
}

/// Tell of bytes behind the end of the log.
fn note_tail(files: &[WalFile], tail: &Tail, report: &mut Report<'_>) -> Result<()> {
    let Some(file) = files.iter().find(|file| tail.lsn < file.end()) else {
        return Ok(());
    };
    let offset = tail.lsn.0.saturating_sub(file.start.0);
    let mut block = vec![0; ALIGNMENT as usize];
    let read = file.file.read_at(&mut block, offset);
    let place = || Place::file(&file.name).at(offset);
    let read = read.map_err(|e| Error::io("read", &file.name, e));
    if report.take(place, read)?.is_some() && block.iter().any(|byte| *byte != 0) {
        let what = "a write that was cut off before it was acknowledged; the next start drops it";
        report.note(place(), what);
    }
    Ok(())
}

/// Older files go when all their commits are in segments. Whether they are.
fn check_beginning(
    first: &WalFile,
    manifest: &Manifest,
    oldest: &BTreeMap<TimelineId, Ts>,
    report: &mut Report<'_>,
) -> bool {
    let mut whole = true;
    for (id, logged) in oldest {
        let held = manifest.timelines.get(id).map(|entry| entry.flushed_ts);
        if let Some(held) = held.filter(|held| held < logged) {
            let what = format!(
                "the log before this file is missing: it has commits of timeline {id} up to {logged}, and \
                 segments those up to {held}"
            );
            report.damage(Place::file(&first.name), what);
            whole = false;
        }
    }
    whole
}

/// Recovery's replay, and what it takes for granted.
struct Survey<'a, 'r> {
    replayed: Replayed,
    report: &'a mut Report<'r>,
    /// Not in segments yet.
    transactions: Vec<LoggedTransaction>,
    /// Newest commit so far.
    last: Ts,
    /// Of each timeline the newest commit that the oldest manifest knows of.
    oldest: Option<BTreeMap<TimelineId, Ts>>,
}

impl Survey<'_, '_> {
    fn forget_flushed(&mut self) {
        let manifest = &self.replayed.manifest;
        self.transactions
            .retain(|transaction| !manifest.has_flushed(transaction));
    }

    fn transaction(&mut self, file: usize, transaction: LoggedTransaction) -> Result<()> {
        if transaction.ts <= self.last {
            let place = Place::file(&transaction.origin.file).at(transaction.origin.offset);
            let (found, last) = (transaction.ts, self.last);
            let what = format!("a commit of {found} follows one of {last}");
            self.report.damage(place, what);
        }
        self.last = self.last.max(transaction.ts);
        // Every write must read back.
        self.replayed.transaction(file, &transaction)?;
        if !self.replayed.manifest.has_flushed(&transaction) {
            self.transactions.push(transaction);
        }
        Ok(())
    }
}

impl Replay for Survey<'_, '_> {
    fn manifest(&mut self, manifest: Manifest) -> Result<()> {
        let logged = manifest.timelines.iter();
        let logged = || logged.map(|(id, entry)| (*id, entry.logged_ts)).collect();
        self.oldest.get_or_insert_with(logged);
        self.replayed.manifest(manifest)?;
        self.forget_flushed();
        Ok(())
    }

    fn record(&mut self, file: usize, record: Logged) -> Result<()> {
        self.report.totals.log_records += 1;
        self.report.advance(0)?;
        match record {
            Logged::Transaction(transaction) => self.transaction(file, transaction),
            Logged::Flush(_) | Logged::Timeline(_) => {
                if let Logged::Timeline(edit) = &record {
                    self.last = self.last.max(edit.ts);
                }
                self.replayed.record(file, record)?;
                self.forget_flushed();
                Ok(())
            }
            Logged::Runs(edit) => {
                self.last = self.last.max(edit.ts);
                self.replayed.record(file, Logged::Runs(edit))
            }
            _ => self.replayed.record(file, record),
        }
    }
}
