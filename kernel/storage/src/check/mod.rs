//! Checking a database that nobody has open: every checksum, every invariant, and what is damaged
//! where.
//!
//! 1. *Log* ([`log`]): every batch and record, as recovery reads them; what they lead to.
//! 2. *Files* ([`files`]): those that the manifest names, and names that are nobody's.
//! 3. *Segments* ([`crate::segment`]'s own check): every page and every rule of the format.
//! 4. *Order* of the sources of each timeline ([`timelines`]): what is newer than what.
//! 5. *Logic* ([`logic`]): at the newest time the tables of each timeline and their indexes tell the same.
//!
//! What it promises:
//!
//! 1. Nothing is changed, not even what every open puts right: files are opened to be read, and the
//!    directory is locked without making a lock file.
//! 2. It goes on behind damage. Each thing is told once; what rests on something damaged is not judged,
//!    and steps 4 and 5 tell when they could not be done.
//! 3. Memory is bounded by what an open database would hold: the log's tail, segments' directories, a
//!    page cache.
//!
//! It knows collections by their numbers. Names, and what is in the collections of the layers above,
//! are theirs; [`Check::view`] is for them.

mod files;
pub(crate) mod finding;
mod log;
mod logic;
mod read_only;
#[cfg(test)]
mod tests;
mod timelines;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;

pub use self::finding::{Finding, Kind, Place, Totals, Watch};
pub use self::read_only::ReadOnly;

use self::finding::Report;
use self::log::ReadLog;
use self::timelines::Segments;
use crate::backup::unfinished;
use crate::catalog::FIRST_COLLECTION;
use crate::codec::{CodecSet, Codecs, Encoding};
use crate::compact::Pins;
use crate::error::{Error, Result};
use crate::expression::{Evaluator, Expressions};
use crate::flush::{entry_of, name_of};
use crate::ids::{CollectionId, TimelineId, Ts};
use crate::interrupt::Interrupt;
use crate::io::Io;
use crate::io::disk::LOCK_FILE;
use crate::manifest::Manifest;
use crate::memtable::Memtable;
use crate::recovery::{self, NewerRuns};
use crate::segment::{self, Extent, Inventory, PageCache, SegmentReader};
use crate::tables::Tables;
use crate::timeline::{Timeline, Timelines};
use crate::view::{Layer, Path, ReadView, Superversion, ViewInner};
use crate::wal::record::LoggedTransaction;

/// How to check.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// Names that may be in the directory besides those of storage.
    pub expected_names: &'static [&'static str],
    /// Memory for decoded pages.
    pub page_cache_bytes: usize,
    /// Ends the check.
    pub interrupt: Arc<Interrupt>,
}

impl Default for CheckOptions {
    fn default() -> CheckOptions {
        CheckOptions {
            expected_names: &[],
            page_cache_bytes: 64 << 20,
            interrupt: Interrupt::new(),
        }
    }
}

/// A database that is being checked. Nobody else opens it meanwhile.
pub struct Check<'a> {
    report: Report<'a>,
    codecs: Arc<Codecs>,
    evaluator: Arc<Evaluator>,
    manifest: Manifest,
    segments: Segments,
    timelines: Timelines,
    tables: Arc<Tables>,
    /// Whether the log and all segments are there, so that a view shows what an open would.
    whole: bool,
    _lock: Option<Box<dyn Send + Sync>>,
}

impl<'a> Check<'a> {
    /// Steps 1 and 2, and the segments' directories.
    ///
    /// # Errors
    ///
    /// The database is open elsewhere, there is none, or its directory cannot be read.
    pub fn open(
        io: &Arc<dyn Io>,
        options: &CheckOptions,
        watch: &'a mut dyn Watch,
    ) -> Result<Check<'a>> {
        let lock = io.lock_existing().map_err(|e| match e.kind() {
            ErrorKind::WouldBlock => Error::DirectoryLocked,
            _ => Error::io("lock", LOCK_FILE, e),
        })?;
        unfinished::refuse(&**io)?;
        let io = ReadOnly::over(Arc::clone(io));
        let mut report = Report::new(watch, &options.interrupt);
        report.begin("reading the log", None);
        let log = log::read(&io, &mut report)?;
        report.end();
        let Some(log) = log else {
            let reason = "it has no write-ahead log".to_owned();
            return Err(Error::NotADatabase { reason });
        };
        let ReadLog {
            manifest,
            transactions,
            mut whole,
        } = log;
        let named = whole.then_some(&manifest);
        files::check(&io, named, options.expected_names, &mut report)?;
        let codecs = Codecs::none();
        let cache = PageCache::new(options.page_cache_bytes);
        let mut segments = Segments::new();
        for (timeline, entry) in manifest.segments() {
            let name = name_of(entry.number);
            let opened = SegmentReader::open(&io, &name, None, &cache, &codecs);
            let Some(segment) = report.take(|| Place::file(&name), opened)? else {
                whole = false;
                let what = "its pages: without header, directory and trailer nobody finds them";
                report.not_checked(Place::file(&name), what);
                continue;
            };
            let segment = match entry.is_run {
                true => segment.unstamped().at(entry.ts_min),
                false => segment,
            };
            let found = entry_of(entry.number, &segment);
            if found != *entry {
                whole = false;
                let what = format!("the manifest says {entry:?}, the file is {found:?}");
                report.damage(Place::file(&name), what);
            }
            segments.entry(timeline).or_default().push(segment);
        }
        segments.values_mut().for_each(|newest| newest.reverse());
        timelines::check(&manifest, &segments, &transactions, &mut report)?;
        check_numbers(&manifest, &segments, &transactions, &mut report)?;
        let pins = Pins::new(manifest.horizons.clone());
        let opened = Timelines::open(&manifest, segments.clone(), &pins, false, None);
        let opened = report.take(Place::default, opened)?;
        whole &= opened.is_some();
        let timelines = match opened {
            Some(timelines) => timelines,
            None => Timelines::open(&Manifest::default(), BTreeMap::new(), &pins, false, None)?,
        };
        let mut runs = NewerRuns::all(&manifest);
        let mut pass_runs = |timeline: &Timeline, ts| {
            let runs = runs.entry(timeline.id()).or_default();
            runs.pass(ts, &timeline.live, || part(timeline));
        };
        for transaction in &transactions {
            let timeline = timelines.get(transaction.timeline);
            let replayed = timeline.and_then(|timeline| {
                pass_runs(&timeline, transaction.ts);
                let memtable = &timeline.sources().active;
                memtable.replay(transaction, &timeline.live)
            });
            whole &= report.take(Place::default, replayed)?.is_some();
        }
        for (_, timeline) in timelines.all() {
            pass_runs(&timeline, Ts::MAX);
        }
        let tables = recovery::counted(&manifest);
        Ok(Check {
            report,
            codecs,
            evaluator: Evaluator::none(),
            manifest,
            segments,
            timelines,
            tables: Arc::new(tables),
            whole,
            _lock: lock,
        })
    }

    /// The codecs from outside that segments name, each once.
    pub fn codecs_in_use(&self) -> Vec<Arc<str>> {
        let mut inventory = Inventory::default();
        self.segments
            .values()
            .flatten()
            .for_each(|segment| inventory.add(segment));
        let pages = inventory.finish().into_iter();
        let mut names: Vec<Arc<str>> = pages
            .filter_map(|pages| match pages.encoding {
                Encoding::Codec(name) => Some(name),
                _ => None,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Decode with these.
    pub fn set_codecs(&mut self, codecs: Arc<dyn CodecSet>) {
        self.codecs.set(codecs);
    }

    /// Compute the keys of entries with these.
    pub fn set_expressions(&mut self, expressions: Arc<dyn Expressions>) {
        self.evaluator.set(expressions);
    }

    /// Whether the log and all segments are there. If not, a view may show something else than what
    /// was committed.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The newest state of the main timeline, as far as it is there.
    pub fn view(&self) -> ReadView {
        let main = self.timelines.main();
        self.view_of(&main, Path::new(&main, self.manifest.last_ts))
    }

    fn view_of(&self, timeline: &Arc<Timeline>, path: Path) -> ReadView {
        ReadView(Arc::new(ViewInner {
            path,
            timeline: Arc::clone(timeline),
            own: None,
            tables: Arc::clone(&self.tables),
            evaluator: Arc::clone(&self.evaluator),
            horizons: None,
        }))
    }

    /// Steps 3 to 5.
    ///
    /// # Errors
    ///
    /// A cancelation.
    pub fn run(&mut self) -> Result<Totals> {
        let bytes = self.segments.values().flatten();
        let bytes = bytes.map(|s| s.meta().bytes).sum();
        self.report.begin("checking segments (bytes)", Some(bytes));
        for segment in self.segments.values().flatten() {
            // The pages of a run fit to its own numbers.
            let as_written = segment.as_written();
            let place = || Place::file(&segment.meta().name);
            if let Some(segment) = self.report.take(place, as_written)? {
                segment::check(&segment, &mut self.report)?;
            }
        }
        for segments in self.segments.values() {
            segment::check_order(segments, &mut self.report)?;
        }
        self.report.end();
        if self.whole {
            self.report
                .begin("checking tables and indexes (rows)", None);
            let horizon = self.manifest.horizons.all();
            logic::check_pins(&self.view(), horizon, &mut self.report)?;
            for (_, timeline) in self.timelines.all() {
                self.check_logic(&timeline)?;
            }
            self.report.end();
        } else {
            let what =
                "tables against their indexes and counters: a part of the database is missing";
            self.report.not_checked(Place::default(), what);
        }
        Ok(self.report.totals)
    }
}

impl Check<'_> {
    /// Step 5 of a timeline.
    fn check_logic(&mut self, timeline: &Arc<Timeline>) -> Result<()> {
        let last_ts = self.manifest.last_ts;
        let view = self.view_of(timeline, Path::new(timeline, last_ts));
        let mut logged = Superversion::clone(&timeline.sources());
        let is_memtable = |layer: &Layer| matches!(layer, Layer::Memtable(_));
        logged.layers.retain(is_memtable);
        let logged = self.view_of(timeline, Path::only(Arc::new(logged), last_ts));
        let at_fork = timeline.base().map(|base| {
            let path = Path::new(&base.parent, base.fork_ts());
            self.view_of(&base.parent, path)
        });
        logic::check(&view, &logged, at_fork.as_ref(), &mut self.report)
    }
}

/// A run is newer than what `timeline` has in its memtable: what comes next goes into another, above it.
fn part(timeline: &Timeline) {
    let sources = timeline.sources();
    if !sources.active.is_empty() {
        let mut layers = sources.layers.clone();
        Layer::Memtable(Arc::clone(&sources.active)).put_by_age(&mut layers);
        timeline.set_sources(Superversion {
            active: Arc::new(Memtable::new(timeline.id())),
            layers,
        });
    }
}

/// Timestamps and ids that the manifest says there are none above.
fn check_numbers(
    manifest: &Manifest,
    segments: &Segments,
    transactions: &[LoggedTransaction],
    report: &mut Report<'_>,
) -> Result<()> {
    let mut newest = BTreeMap::<(TimelineId, CollectionId), Ts>::new();
    let mut ids = Vec::new();
    let all = segments.iter();
    let all = all.flat_map(|(timeline, segments)| segments.iter().map(move |s| (*timeline, s)));
    for (timeline, segment) in all {
        let meta = segment.meta();
        let place = || Place::file(&meta.name);
        if meta.max_ts > manifest.last_ts {
            let (found, last) = (meta.max_ts, manifest.last_ts);
            report.damage(
                place(),
                format!("a version of {found}, and the last commit was {last}"),
            );
        }
        for extent in segment.extents() {
            let Extent {
                collection: c,
                max_ts,
                max_row,
            } = extent;
            // A run may be newer than a commit that is still in the log alone.
            let flushed = manifest
                .timelines
                .get(&timeline)
                .map(|entry| entry.flushed_ts);
            if segment.stamp().is_none_or(|ts| Some(ts) <= flushed) {
                let known = newest.entry((timeline, c)).or_default();
                *known = max_ts.max(*known);
            }
            ids.push((place().of(c), c));
            let next = manifest.next_rows.get(&c).map(|row| row.0);
            if let Some(row) = max_row.filter(|row| *row >= next.unwrap_or_default()) {
                let next = next.unwrap_or_default();
                report.damage(
                    place().of(c),
                    format!("row {row}, and the next row is {next}"),
                );
            }
        }
    }
    let mut logged = BTreeMap::new();
    for transaction in transactions {
        transaction.writes(|write| {
            let key = (transaction.timeline, write.collection);
            logged.entry(key).or_insert_with(|| {
                let origin = &transaction.origin;
                let place = Place::file(&origin.file).at(origin.offset);
                (transaction.ts, place.of(write.collection))
            });
            Ok(())
        })?;
    }
    for ((timeline, c), (ts, place)) in logged {
        let newest = newest.get(&(timeline, c));
        if let Some(newest) = newest.filter(|newest| **newest >= ts) {
            let what = format!("a commit of {ts} in the log, and one of {newest} in segments");
            report.damage(place.clone(), what);
        }
        ids.push((place, c));
    }
    let next = manifest.next_collection;
    for (place, c) in ids {
        if c >= next && c >= FIRST_COLLECTION {
            report.damage(place, format!("the next collection is {next}"));
        }
    }
    Ok(())
}
