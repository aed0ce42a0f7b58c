//! All timelines of an open database, by id and by name, and what their memtables take together.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard, RwLock};

use super::{Base, Epoch, LiveRows, Timeline};
use crate::compact::Pins;
use crate::error::{Error, Result};
use crate::ids::{TimelineId, Ts};
use crate::manifest::{Manifest, TimelineEntry, TimelineName};
use crate::memory::MemoryBudget;
use crate::memtable::Memtable;
use crate::segment::SegmentReader;
use crate::view::{Layer, Superversion};

/// The name of the timeline that everybody is on who does not say which.
pub const MAIN_NAME: &str = "main";
/// A memtable that has something from before so many freezes is frozen with the next: else a timeline
/// that is written to now and then would keep all of the log.
const IDLE_FREEZES_MAX: usize = 4;

/// See the module's header.
pub struct Timelines {
    named: RwLock<Named>,
    /// One change of what timelines there are at a time; the next one's id.
    next: Mutex<TimelineId>,
    /// Bytes in the memtables that are written to.
    active_bytes: AtomicUsize,
    /// Bytes in those that wait for their flush.
    frozen_bytes: AtomicUsize,
    /// When memtables were frozen, the last time at the end.
    freezes: Mutex<VecDeque<Ts>>,
}

struct Named {
    /// The one of [`MAIN_NAME`].
    main: Arc<Timeline>,
    all: BTreeMap<TimelineId, (String, Arc<Timeline>)>,
}

impl Timelines {
    /// What the manifest says, with the `segments` of each, newest first. Memtables are counted in `memory`.
    pub fn open(
        manifest: &Manifest,
        mut segments: BTreeMap<TimelineId, Vec<SegmentReader>>,
        pins: &Arc<Pins>,
        can_block: bool,
        memory: Option<&Arc<MemoryBudget>>,
    ) -> Result<Timelines> {
        let mut all: BTreeMap<TimelineId, (String, Arc<Timeline>)> = BTreeMap::new();
        // A parent is older than its branches, and ids grow.
        for (id, entry) in &manifest.timelines {
            let base = match entry.base {
                None => None,
                Some((parent, fork_ts)) => match all.get(&parent) {
                    Some((_, parent)) => Some(Base {
                        parent: Arc::clone(parent),
                        fork: pins.hold_fork(fork_ts),
                    }),
                    None => return Err(orphan(*id, entry)),
                },
            };
            let layers = segments.remove(id).unwrap_or_default().into_iter();
            let sources = Superversion {
                active: Arc::new(match memory {
                    Some(memory) => Memtable::within(*id, memory),
                    None => Memtable::new(*id),
                }),
                layers: layers.map(Layer::Segment).collect(),
            };
            let live = LiveRows::new(entry.live_rows.clone());
            let timeline = Timeline::new(*id, base, entry.note.clone(), sources, live, can_block);
            all.insert(*id, (entry.name.clone(), timeline));
        }
        let main = all.values().find(|(name, _)| name == MAIN_NAME);
        let Some((_, main)) = main else {
            let found = "none of that name";
            return Err(Error::corruption(
                "the manifest",
                0,
                "a timeline \"main\"",
                found,
            ));
        };
        Ok(Timelines {
            named: RwLock::new(Named {
                main: Arc::clone(main),
                all,
            }),
            next: Mutex::new(manifest.next_timeline),
            active_bytes: AtomicUsize::new(0),
            frozen_bytes: AtomicUsize::new(0),
            freezes: Mutex::default(),
        })
    }

    /// The one that everybody is on who does not say which.
    pub fn main(&self) -> Arc<Timeline> {
        Arc::clone(&self.named.read().main)
    }

    /// The main one, and the epoch that a transaction on it begins in: no swap comes between.
    pub fn main_and_epoch(&self) -> (Arc<Timeline>, Epoch) {
        let named = self.named.read();
        (Arc::clone(&named.main), named.main.epoch())
    }

    pub fn get(&self, id: TimelineId) -> Result<Arc<Timeline>> {
        match self.named.read().all.get(&id) {
            Some((_, timeline)) => Ok(Arc::clone(timeline)),
            None => Err(Error::UnknownTimeline { id }),
        }
    }

    /// By id, with their names.
    pub fn all(&self) -> Vec<(String, Arc<Timeline>)> {
        self.named.read().all.values().cloned().collect()
    }

    pub fn id_of(&self, name: &str) -> Option<TimelineId> {
        let named = self.named.read();
        let mut all = named.all.iter();
        all.find_map(|(id, (other, _))| (other == name).then_some(*id))
    }

    pub fn name_of(&self, id: TimelineId) -> Option<String> {
        self.named.read().all.get(&id).map(|(name, _)| name.clone())
    }

    /// The next one's id.
    pub fn next_id(&self) -> TimelineId {
        *self.next.lock()
    }

    /// Keep others from changing what timelines there are; the next one's id.
    pub(super) fn turn(&self) -> MutexGuard<'_, TimelineId> {
        self.next.lock()
    }

    pub(super) fn insert(&self, name: String, timeline: Arc<Timeline>) {
        let mut named = self.named.write();
        named.all.insert(timeline.id(), (name, timeline));
    }

    pub(super) fn remove(&self, id: TimelineId) {
        self.named.write().all.remove(&id);
    }

    /// Give names; transactions of now on `moved` may not commit. The caller holds the freeze lock
    /// exclusively.
    pub(super) fn set_names(&self, names: &[TimelineName], moved: &[Arc<Timeline>]) {
        let mut named = self.named.write();
        moved.iter().for_each(|timeline| timeline.end_epoch());
        for TimelineName { id, name, note } in names {
            let Some((old, timeline)) = named.all.get_mut(id) else {
                continue;
            };
            old.clone_from(name);
            if !note.is_empty() {
                timeline.set_note(note.clone());
            }
            if name == MAIN_NAME {
                named.main = Arc::clone(timeline);
            }
        }
    }

    /// Bytes of versions that commits put into active memtables.
    pub fn active_bytes(&self) -> usize {
        self.active_bytes.load(Ordering::Relaxed)
    }

    pub fn frozen_bytes(&self) -> usize {
        self.frozen_bytes.load(Ordering::Relaxed)
    }

    /// A commit put so many bytes into an active memtable. The caller holds the freeze lock.
    pub fn add_active(&self, bytes: usize) {
        self.active_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// An active memtable was frozen. The caller holds the freeze lock exclusively.
    pub fn note_frozen(&self, bytes: usize) {
        self.active_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.frozen_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A frozen memtable is in a segment, or gone.
    pub fn note_flushed(&self, bytes: usize) {
        self.frozen_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// An active memtable is gone.
    pub(super) fn note_gone(&self, bytes: usize) {
        self.active_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Memtables are about to be frozen at `now`; those with something from before the time returned should
    /// be among them.
    pub fn note_freeze(&self, now: Ts) -> Ts {
        let mut freezes = self.freezes.lock();
        freezes.push_back(now);
        match freezes.len() > IDLE_FREEZES_MAX {
            true => freezes.pop_front().unwrap_or(Ts::ZERO),
            false => Ts::ZERO,
        }
    }
}

fn orphan(id: TimelineId, entry: &TimelineEntry) -> Error {
    let found = format!("timeline {id} \"{}\" of {:?}", entry.name, entry.base);
    Error::corruption("the manifest", 0, "a parent for every timeline", found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A transaction that may commit is on the timeline that is the main one then, however often another one
    /// takes its name while transactions begin.
    #[test]
    fn who_begins_beside_a_swap_is_on_the_main_timeline_or_cannot_commit() {
        const BEGINNINGS: usize = 1_000_000;
        let ids = [TimelineId(1), TimelineId(2)];
        let mut manifest = Manifest::default();
        let other = TimelineEntry::new("other".to_owned(), None);
        manifest.timelines.insert(ids[1], other);
        let pins = Pins::new(manifest.horizons.clone());
        let timelines = Timelines::open(&manifest, BTreeMap::new(), &pins, false, None).unwrap();
        let both = ids.map(|id| timelines.get(id).unwrap());
        let (freeze, is_over) = (RwLock::new(()), AtomicUsize::new(0));
        let mut elsewhere = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for swap in 0.. {
                    if is_over.load(Ordering::SeqCst) > 0 {
                        break;
                    }
                    let (main, other) = (ids[(swap + 1) % 2], ids[swap % 2]);
                    let names = [(main, MAIN_NAME), (other, "other")]
                        .map(|(id, name)| TimelineName::new(id, name.to_owned()));
                    let window = freeze.write();
                    timelines.set_names(&names, &both);
                    drop(window);
                    std::thread::yield_now();
                }
            });
            for _ in 0..BEGINNINGS {
                let (timeline, epoch) = timelines.main_and_epoch();
                let _window = freeze.read();
                if timeline.check(epoch).is_ok() && !Arc::ptr_eq(&timeline, &timelines.main()) {
                    elsewhere += 1;
                }
            }
            is_over.store(1, Ordering::SeqCst);
        });
        assert_eq!(elsewhere, 0);
    }
}
