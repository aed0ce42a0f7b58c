//! What a check finds, and where it goes.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::ids::{CollectionId, ColumnId};
use crate::interrupt::Interrupt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Something is not what was written, or not what the database promises.
    Damage,
    /// Something that nobody looked at, and why.
    NotChecked,
    /// Worth knowing, and no fault.
    Note,
}

/// Where something was found, as far as it has a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// In the database's directory.
    pub file: Option<String>,
    pub offset: Option<u64>,
    /// Which part of the file: `header`, `HEAD block 3, begins`, …
    pub part: Option<String>,
    pub collection: Option<CollectionId>,
    pub column: Option<ColumnId>,
}

impl Place {
    pub fn file(name: &str) -> Place {
        Place {
            file: Some(name.to_owned()),
            ..Place::default()
        }
    }

    pub fn collection(collection: CollectionId) -> Place {
        Place {
            collection: Some(collection),
            ..Place::default()
        }
    }

    pub fn at(mut self, offset: u64) -> Place {
        self.offset = Some(offset);
        self
    }

    pub fn part(mut self, part: impl Into<String>) -> Place {
        self.part = Some(part.into());
        self
    }

    pub fn of(mut self, collection: CollectionId) -> Place {
        self.collection = Some(collection);
        self
    }

    pub fn column(mut self, column: ColumnId) -> Place {
        self.column = Some(column);
        self
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    pub place: Place,
    pub what: String,
}

/// Told of findings as they come, and of progress.
pub trait Watch {
    fn found(&mut self, finding: Finding);
    /// A phase begins; `total` is in what [`Watch::advance`] counts.
    fn begin(&mut self, phase: &str, total: Option<u64>);
    fn advance(&mut self, amount: u64);
    fn end(&mut self);
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub log_files: u64,
    pub log_records: u64,
    pub segments: u64,
    pub pages: u64,
    /// Of segments.
    pub bytes: u64,
    pub tables: u64,
    /// Visible ones.
    pub rows: u64,
    pub indexes: u64,
    pub entries: u64,
}

/// What a check has found so far.
pub(crate) struct Report<'a> {
    watch: &'a mut dyn Watch,
    interrupt: Arc<Interrupt>,
    pub totals: Totals,
    /// Collections of which something is damaged or was not checked: what is built on them is not
    /// judged.
    pub unsound: BTreeSet<CollectionId>,
}

impl<'a> Report<'a> {
    pub fn new(watch: &'a mut dyn Watch, interrupt: &Arc<Interrupt>) -> Report<'a> {
        Report {
            watch,
            interrupt: Arc::clone(interrupt),
            totals: Totals::default(),
            unsound: BTreeSet::new(),
        }
    }

    fn add(&mut self, kind: Kind, place: Place, what: String) {
        if kind != Kind::Note {
            self.unsound.extend(place.collection);
        }
        self.watch.found(Finding { kind, place, what });
    }

    pub fn damage(&mut self, place: Place, what: impl Into<String>) {
        self.add(Kind::Damage, place, what.into());
    }

    pub fn not_checked(&mut self, place: Place, what: impl Into<String>) {
        self.add(Kind::NotChecked, place, what.into());
    }

    pub fn note(&mut self, place: Place, what: impl Into<String>) {
        self.add(Kind::Note, place, what.into());
    }

    /// Turn an error into a finding. What an error says of its place goes before `place`, but for
    /// values that do not know their file. Only a cancelation ends the check.
    pub fn error(&mut self, mut place: Place, error: Error) -> Result<()> {
        match error {
            Error::Canceled => return Err(Error::Canceled),
            Error::Corruption {
                file,
                offset,
                expected,
                found,
            } => {
                if place.file.is_none() {
                    place.file = Some(file);
                    place.offset = Some(offset);
                } else if place.file.as_ref() == Some(&file) {
                    place.offset = Some(offset);
                }
                self.damage(place, format!("expected {expected}, found {found}"));
            }
            Error::CodecFailed { codec, detail, .. } => {
                self.damage(place, format!("codec \"{codec}\" {detail}"));
            }
            Error::CodecMissing { codec, .. } => {
                let what = format!("codec \"{codec}\" is missing");
                self.not_checked(place, what);
            }
            Error::UnsupportedVersion {
                file,
                found,
                supported,
            } => {
                place.file.get_or_insert(file);
                let what = format!("format version {found}; this build reads version {supported}");
                self.not_checked(place, what);
            }
            Error::Io { op, file, source } => {
                place.file.get_or_insert(file);
                let what = format!("could not {op}: {source}");
                match source.kind() {
                    ErrorKind::NotFound => self.damage(place, "the file is missing"),
                    ErrorKind::PermissionDenied => self.not_checked(place, what),
                    _ => self.damage(place, what),
                }
            }
            other => self.damage(place, other.to_string()),
        }
        Ok(())
    }

    /// `Some` of what is right; the error is a finding.
    pub fn take<T>(
        &mut self,
        place: impl FnOnce() -> Place,
        result: Result<T>,
    ) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => self.error(place(), error).map(|()| None),
        }
    }

    pub fn begin(&mut self, phase: &str, total: Option<u64>) {
        self.watch.begin(phase, total);
    }

    /// So much more is done; an error when the check is to end.
    pub fn advance(&mut self, amount: u64) -> Result<()> {
        self.watch.advance(amount);
        self.interrupt.check()
    }

    pub fn end(&mut self) {
        self.watch.end();
    }
}

/// Counts what breaks one rule in one place, and tells of the first.
#[derive(Default)]
pub(crate) struct Broken {
    first: Option<String>,
    count: u64,
}

impl Broken {
    pub fn add(&mut self, what: impl FnOnce() -> String) {
        self.first.get_or_insert_with(what);
        self.count += 1;
    }

    pub fn report(self, report: &mut Report<'_>, place: impl FnOnce() -> Place) {
        let Some(first) = self.first else { return };
        let what = match self.count {
            1 => first,
            count => format!("{first} (and {} more)", count - 1),
        };
        report.damage(place(), what);
    }
}
