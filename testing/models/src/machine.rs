//! One engine on one simulated disk, with a note of all that was committed to it and shown by it.
//!
//! What views showed is held against [`History`] at the end ([`Machine::finish`]): only then are all commits
//! known that a view may have seen before their clients were told.
//!
//! A [`Cut`] is the disk as a loss of power at some step would find it, and what had been promised until then.
//! What is left of it is opened ([`Machine::recover`]):
//!
//! 1. All that was promised is there: commits, and branches.
//! 2. What else is there are whole transactions, in their order: there is one commit up to which all are
//!    there, of all timelines, and none after it. It is the newest that is not after the time from which the
//!    opened database goes on, or the one before.
//! 3. Every file of a segment has a name in the manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use heliosdb_sim::rng::Rng;
use heliosdb_sim::{CrashModel, Image, SimDisk};
use heliosdb_storage::ids::{TimelineId, Ts};
use heliosdb_storage::{Durability, Engine, Error, Interrupt, Isolation, Options, ReadView};

use crate::explore::Shared;
use crate::history::{Commit, History, Key, Value, World};
use crate::roads::{self, ROADS, text};

pub const MAIN: TimelineId = TimelineId::MAIN;

/// What one thread does.
pub type Work = Box<dyn FnMut(&Machine, &mut Rng) + Send>;

/// See the module's header. Its own locks are std's, which are no steps of a schedule.
pub struct Machine {
    pub disk: SimDisk,
    pub engine: Engine,
    pub shared: Shared,
    options: Options,
    history: Mutex<History>,
    /// Timelines that somebody drops, or has dropped.
    dropped: Mutex<BTreeSet<TimelineId>>,
    shown: Mutex<Vec<Shown>>,
    /// The newest commit whose client was told of it.
    told: AtomicU64,
    next_value: AtomicU64,
    /// What a view of before is not to be asked for: the table is defined then.
    pub first: Ts,
    /// Flushes or merges that somebody is in the middle of.
    pub at_work: AtomicUsize,
}

/// What a view showed.
struct Shown {
    timeline: TimelineId,
    at: Ts,
    world: World,
    how: &'static str,
}

/// See the module's header.
pub struct Cut {
    image: Image,
    durable: Ts,
    timelines: Vec<TimelineId>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Machine {
    /// An empty database with the table; `None` when even that is wrong.
    pub fn new(seed: u64, options: Options, shared: &Shared) -> Option<Arc<Machine>> {
        let disk = SimDisk::new(seed);
        let opened = Engine::open(Arc::new(disk.clone()), options.clone());
        let made = opened.and_then(|engine| {
            let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
            txn.define_table(&roads::table())?;
            Ok((txn.commit(Durability::Synchronous)?, engine))
        });
        let (first, engine) = match made {
            Ok(made) => made,
            Err(error) => {
                shared.found(format!("making a database: {error}"));
                return None;
            }
        };
        let history = History {
            commits: Vec::new(),
            timelines: BTreeMap::from([(MAIN, None)]),
        };
        Some(Arc::new(Machine {
            disk,
            engine,
            shared: shared.clone(),
            options,
            history: Mutex::new(history),
            dropped: Mutex::default(),
            shown: Mutex::default(),
            told: AtomicU64::new(first.0),
            next_value: AtomicU64::new(1),
            first,
            at_work: AtomicUsize::new(0),
        }))
    }

    pub fn note(&self, interleaving: &'static str) {
        self.shared.note(interleaving);
    }

    /// The value, or a finding.
    pub fn expect<T>(&self, what: &str, outcome: Result<T, impl ToString>) -> Option<T> {
        let failed = |error: &_| self.shared.found(format!("{what}: {}", text(error)));
        outcome
            .map_err(|error| error.to_string())
            .inspect_err(failed)
            .ok()
    }

    /// A number that nothing else has.
    pub fn next_value(&self) -> u64 {
        self.next_value.fetch_add(1, Ordering::SeqCst)
    }

    pub fn history(&self) -> History {
        lock(&self.history).clone()
    }

    /// Whether somebody is in the middle of a flush or a merge.
    pub fn is_at_work(&self) -> bool {
        self.at_work.load(Ordering::SeqCst) > 0
    }

    /// Do what [`Machine::is_at_work`] is to tell of.
    pub fn work<T>(&self, what: impl FnOnce(&Engine) -> T) -> T {
        self.at_work.fetch_add(1, Ordering::SeqCst);
        let done = what(&self.engine);
        self.at_work.fetch_sub(1, Ordering::SeqCst);
        done
    }

    /// A transaction's client was told of its commit.
    pub fn committed(&self, commit: Commit) {
        self.told.fetch_max(commit.ts.0, Ordering::SeqCst);
        lock(&self.history).commits.push(commit);
    }

    /// A branch, unless what it is to show is gone.
    pub fn branch(&self, from: TimelineId, at: Ts) -> Result<TimelineId, Error> {
        let name = format!("branch {}", self.next_value());
        let id = self.engine.create_timeline(&name, from, at)?;
        lock(&self.history).timelines.insert(id, Some((from, at)));
        Ok(id)
    }

    /// Drop a branch, which nobody branched off from.
    pub fn drop_branch(&self, id: TimelineId) {
        lock(&self.dropped).insert(id);
        self.expect("a drop", self.engine.drop_timeline(id));
    }

    /// Timelines that nobody has begun to drop.
    pub fn timelines(&self) -> Vec<TimelineId> {
        let dropped = lock(&self.dropped);
        let all = self.history().timelines.into_keys();
        all.filter(|id| !dropped.contains(id)).collect()
    }

    /// One of the times at which something was committed, or one before or after it.
    pub fn some_time(&self, rng: &mut Rng) -> Ts {
        let times = lock(&self.history).times();
        let at = times[rng.index(times.len())];
        Ts((at.0 + rng.below(3)).saturating_sub(1)).max(self.first)
    }

    /// Read all that a view of `timeline` shows, by some roads.
    pub fn look(&self, timeline: TimelineId, view: &ReadView, rng: &mut Rng, how: &'static str) {
        let (at, by) = (view.ts(), rng.below(1 << ROADS));
        match roads::read(view, by) {
            Ok(world) => lock(&self.shown).push(Shown {
                timeline,
                at,
                world,
                how,
            }),
            Err(error) => {
                let found = format!("{how}, timeline {timeline} at {at}: {error}");
                self.shared.found(found);
            }
        }
    }

    /// A view of the present, which is not older than what anybody was told of before, read at once.
    pub fn look_now(&self, timeline: TimelineId, rng: &mut Rng) -> Option<ReadView> {
        let told = Ts(self.told.load(Ordering::SeqCst));
        let is_latest = rng.coin();
        let view = match is_latest {
            true => self.engine.latest_view_on(timeline),
            false => self.engine.visible_view_on(timeline),
        };
        let view = self.expect("a view of the present", view)?;
        if view.ts() < told {
            let ts = view.ts();
            let found = format!("told of {told}, a look (latest: {is_latest}) is of {ts}");
            self.shared.found(found);
        }
        self.look(timeline, &view, rng, "the present");
        Some(view)
    }

    /// What a loss of power would find now.
    pub fn cut(&self) -> Cut {
        // What is promised from here on may be in the image or not.
        let (durable, mut timelines) = (self.history().durable(), self.timelines());
        let image = self.disk.image();
        // A drop that began meanwhile may be in it.
        let kept = self.timelines();
        timelines.retain(|id| kept.contains(id));
        Cut {
            image,
            durable,
            timelines,
        }
    }

    /// Hold what views showed against what they have to.
    pub fn finish(&self) {
        let history = self.history();
        for shown in lock(&self.shown).drain(..) {
            let Shown {
                timeline, at, how, ..
            } = shown;
            let expected = history.shows(timeline, at);
            if shown.world != expected {
                let differs = differences(&shown.world, &expected);
                let found = format!("{how}, timeline {timeline} at {at}: {differs}");
                self.shared.found(found);
            }
        }
    }

    /// Open what is left after a loss of power. All commits are known by now.
    pub fn recover(&self, cut: &Cut, rng: &mut Rng) {
        let model = CrashModel::ALL[rng.index(CrashModel::ALL.len())];
        if let Err(error) = self.try_recover(cut, model, rng) {
            let call = cut.image.call;
            let found = format!(
                "after a crash ({}) behind call {call}: {error}",
                model.name()
            );
            self.shared.found(found);
        }
    }

    fn try_recover(&self, cut: &Cut, model: CrashModel, rng: &mut Rng) -> Result<(), String> {
        let history = self.history();
        let disk = cut.image.crash(model, rng.next_u64());
        let before = segment_files(&disk);
        let engine = Engine::open(Arc::new(disk.clone()), self.options.clone()).map_err(text)?;
        let (after, known) = (segment_files(&disk), engine.stats().segments);
        if after != known {
            return Err(format!("{after} files of {known} segments"));
        }
        if before > after {
            self.note("a crash leaves files that nothing names");
        }
        let latest = engine.latest_view().ts();
        if latest < cut.durable {
            return Err(format!(
                "promised until {}, there until {latest}",
                cut.durable
            ));
        }
        if latest < history.latest() {
            self.note("a crash takes what nobody was promised");
        }
        let there: Vec<TimelineId> = engine.timelines().iter().map(|info| info.id).collect();
        if let Some(lost) = cut.timelines.iter().find(|id| !there.contains(id)) {
            return Err(format!("timeline {lost} is gone"));
        }
        let mut history = history;
        history.commits.retain(|commit| commit.ts <= latest);
        if self.is_cut(&history, &engine, cut.durable)? {
            let newest = history.latest();
            history.commits.retain(|commit| commit.ts < newest);
            self.note("a crash cuts a record between two files of the log");
        }
        for id in there {
            let times = [latest, self.some_time(rng).min(latest)];
            for at in times {
                let view = match engine.view_at_on(id, at) {
                    Ok(view) => view,
                    Err(Error::SnapshotTooOld { .. }) if at < latest => continue,
                    Err(error) => return Err(format!("timeline {id} at {at}: {error}")),
                };
                let shown = roads::read(&view, rng.below(1 << ROADS));
                let shown = shown.map_err(|e| format!("timeline {id} at {at}: {e}"))?;
                let expected = history.shows(id, at);
                if shown != expected {
                    let differs = differences(&shown, &expected);
                    return Err(format!("timeline {id} at {at}: {differs}"));
                }
            }
        }
        engine.close().map_err(text)
    }

    /// Whether the newest commit in the log is only known by its time. Where a file of the log ends in the middle
    /// of a record, the manifest that the next one begins with has its time, and a crash may take the rest.
    fn is_cut(&self, history: &History, engine: &Engine, durable: Ts) -> Result<bool, String> {
        let newest = history.commits.iter().max_by_key(|commit| commit.ts);
        let Some(newest) = newest.filter(|commit| commit.ts > durable) else {
            return Ok(false);
        };
        let view = match engine.view_at_on(newest.timeline, newest.ts) {
            Ok(view) => view,
            // Its drop is behind the commit, so all of that is there.
            Err(Error::UnknownTimeline { .. }) => return Ok(false),
            Err(error) => return Err(text(error)),
        };
        Ok(roads::read(&view, 0)? != history.shows(newest.timeline, newest.ts))
    }

    /// When nobody is at work, every file of a segment is one that some timeline reads.
    pub fn check_files(&self) {
        let (files, known) = (segment_files(&self.disk), self.engine.stats().segments);
        if files != known {
            self.shared
                .found(format!("{files} files of {known} segments at the end"));
        }
    }
}

fn segment_files(disk: &SimDisk) -> usize {
    let files = disk.files();
    let is_segment = |(name, _): &&(String, u64)| name.starts_with("segments/");
    files.iter().filter(is_segment).count()
}

fn differences(shown: &World, expected: &World) -> String {
    let keys: BTreeSet<&Key> = shown.keys().chain(expected.keys()).collect();
    let value = |world: &World, key: &Key| -> Option<Value> { world.get(key).cloned() };
    let differ = keys
        .into_iter()
        .filter(|key| value(shown, key) != value(expected, key))
        .map(|key| {
            let (is, be) = (value(shown, key), value(expected, key));
            format!("{key:?} is {is:?}, has to be {be:?}")
        });
    differ.collect::<Vec<_>>().join("; ")
}
