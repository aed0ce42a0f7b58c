//! The versions that began in a span of time, as keys and times, from all sources of a view: by key, or
//! by time. By key, those that the view's transaction has written may be among them.

use std::collections::BinaryHeap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use crate::error::Result;
use crate::ids::{CollectionId, Ts};
use crate::memtable::{KeyBounds, as_slices, full_bounds, split_key};
use crate::segment::Begun;
use crate::view::versions::MemtableCursor;
use crate::view::{OwnWrites, ReadView, Source as Committed};

/// Versions that are taken out of a memtable at once.
const CHUNK_VERSIONS: usize = 1024;
/// Versions that are put into the order of time at once.
const SORTED_VERSIONS: usize = 64 * 1024;
/// Or fewer, when their keys are long.
const SORTED_BYTES: usize = 8 << 20;

/// Keys, and when versions of theirs began.
type Begins = Vec<(Vec<u8>, Ts)>;

/// A source that may have a version in the span.
enum Source {
    Memtable(Box<MemtableCursor>),
    /// With the newest timestamp that is to be shown of it.
    Segment(Begun, Ts),
    /// A run that the view's transaction has written, with the number that it is read AS OF.
    OwnRun(Begun, Ts),
    Own(Box<OwnCursor>),
}

/// Where the transaction's writes in memory are read on.
struct OwnCursor {
    own: OwnWrites,
    bounds: KeyBounds,
    done: bool,
}

impl OwnCursor {
    /// The next keys that have a write; the time with them is none.
    fn read(&mut self) -> Begins {
        let mut written = Vec::new();
        if self.done {
            return written;
        }
        let (from, to) = as_slices(&self.bounds);
        let mut last = None;
        let set = self.own.set.read();
        set.visit(from, to, self.own.limit, |full, _| {
            written.push((split_key(full).1.to_vec(), Ts::MAX));
            match written.len() < CHUNK_VERSIONS {
                true => ControlFlow::Continue(()),
                false => {
                    last = Some(full.to_vec());
                    ControlFlow::Break(())
                }
            }
        });
        drop(set);
        match last {
            Some(last) => self.bounds.0 = Bound::Excluded(last.into()),
            None => self.done = true,
        }
        written
    }
}

impl Source {
    /// The next piece, by key; empty at the end. What does not lie in the span may be among it.
    fn read(&mut self, after: Ts, until: Ts) -> Result<Begins> {
        let cursor = match self {
            Source::Segment(begun, cap) => return begun.read(after, until.min(*cap)),
            Source::OwnRun(begun, at) => return begun.read(Ts::ZERO, *at),
            Source::Own(cursor) => return Ok(cursor.read()),
            Source::Memtable(cursor) => cursor,
        };
        let mut begun = Vec::new();
        if !cursor.done {
            cursor.visit(
                |_, _| true,
                |key, begin, _| {
                    begun.push((key.to_vec(), begin));
                    match begun.len() < CHUNK_VERSIONS {
                        true => ControlFlow::Continue(()),
                        false => ControlFlow::Break(()),
                    }
                },
            );
        }
        Ok(begun)
    }
}

/// Every source of `view` that may have a version of `c` that began after `after`.
fn sources(view: &ReadView, c: CollectionId, after: Ts) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for (source, level) in view.0.path.sources() {
        match source {
            Committed::Memtable(memtable) => {
                // An active one may show a commit before it knows of its time.
                if memtable.ts_max() > after || Arc::ptr_eq(memtable, &level.sources.active) {
                    let mut cursor = MemtableCursor::new(memtable, c, level.cap);
                    cursor.after = after;
                    sources.push(Source::Memtable(Box::new(cursor)));
                }
            }
            Committed::Segment(segment) => {
                for hist in [false, true] {
                    let begun = segment.begun(c, after, level.cap, hist)?;
                    sources.extend(begun.map(|begun| Source::Segment(begun, level.cap)));
                }
            }
        }
    }
    Ok(sources)
}

/// What the transaction of `view` has written to `c`.
fn own_sources(view: &ReadView, c: CollectionId) -> Result<Vec<Source>> {
    let Some(own) = &view.0.own else {
        return Ok(Vec::new());
    };
    let mut sources = vec![Source::Own(Box::new(OwnCursor {
        own: own.clone(),
        bounds: full_bounds(c, Bound::Unbounded, Bound::Unbounded),
        done: false,
    }))];
    for (run, at) in own.runs() {
        for hist in [false, true] {
            let begun = run.begun(c, Ts::ZERO, at, hist)?;
            sources.extend(begun.map(|begun| Source::OwnRun(begun, at)));
        }
    }
    Ok(sources)
}

/// The keys that have versions in the span, by their order, each once.
pub(crate) struct ByKey {
    /// Each with what it has read, the next key last.
    sources: Vec<(Source, Begins)>,
    since: Ts,
    until: Ts,
}

impl ByKey {
    pub fn new(view: &ReadView, c: CollectionId, since: Ts) -> Result<ByKey> {
        let mut keys = ByKey {
            sources: Vec::new(),
            since,
            until: view.ts(),
        };
        for source in sources(view, c, since)? {
            keys.read_on(source)?;
        }
        Ok(keys)
    }

    /// The same, and the keys that the view's transaction has written.
    pub fn with_own(view: &ReadView, c: CollectionId, since: Ts) -> Result<ByKey> {
        let mut keys = ByKey::new(view, c, since)?;
        for source in own_sources(view, c)? {
            keys.read_on(source)?;
        }
        Ok(keys)
    }

    fn read_on(&mut self, mut source: Source) -> Result<()> {
        let mut read = source.read(self.since, self.until)?;
        if !read.is_empty() {
            read.reverse();
            self.sources.push((source, read));
        }
        Ok(())
    }

    pub fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let keys = self.sources.iter().filter_map(|(_, read)| read.last());
        let Some((least, _)) = keys.min_by(|a, b| a.0.cmp(&b.0)) else {
            return Ok(None);
        };
        let least = least.clone();
        let mut place = 0;
        while let Some((_, read)) = self.sources.get_mut(place) {
            while read.pop_if(|(key, _)| *key == least).is_some() {}
            if !read.is_empty() {
                place += 1;
                continue;
            }
            // What it goes on with stands behind the others, and is looked at, too.
            let (source, _) = self.sources.swap_remove(place);
            self.read_on(source)?;
        }
        Ok(Some(least))
    }
}

/// The versions in the span, by time and key.
pub(super) struct ByTime {
    collection: CollectionId,
    since: Ts,
    /// How many are put in order at once, and how many bytes of keys.
    limits: (usize, usize),
    /// The last one that was put in order.
    last: Option<(Ts, Vec<u8>)>,
    /// In order, the next one last.
    sorted: Vec<(Ts, Vec<u8>)>,
    done: bool,
}

impl ByTime {
    pub fn new(view: &ReadView, collection: CollectionId, since: Ts) -> ByTime {
        ByTime {
            collection,
            since,
            limits: (SORTED_VERSIONS, SORTED_BYTES),
            last: None,
            sorted: Vec::new(),
            done: since >= view.ts(),
        }
    }

    pub fn next(&mut self, view: &ReadView) -> Result<Option<(Ts, Vec<u8>)>> {
        if self.sorted.is_empty() && !self.done {
            self.sort(view)?;
        }
        Ok(self.sorted.pop())
    }

    /// Take the least of the versions that are still to come: all, or as many as memory is to hold.
    fn sort(&mut self, view: &ReadView) -> Result<()> {
        let (versions_max, bytes_max) = self.limits;
        let after = match &self.last {
            None => self.since,
            Some((ts, _)) => Ts(ts.0.saturating_sub(1)),
        };
        let (mut least, mut bytes) = (BinaryHeap::new(), 0);
        let (mut until, mut all) = (view.ts(), true);
        for mut source in sources(view, self.collection, after)? {
            loop {
                // What comes after all that there is room for is not read.
                let read = source.read(after, until)?;
                if read.is_empty() {
                    break;
                }
                for (key, begin) in read {
                    let version = (begin, key);
                    if begin > until || self.last.as_ref().is_some_and(|last| version <= *last) {
                        continue;
                    }
                    bytes += version.1.len();
                    least.push(version);
                    while least.len() > versions_max || (bytes > bytes_max && least.len() > 1) {
                        bytes -= least.pop().map_or(0, |(_, key)| key.len());
                        all = false;
                    }
                    if !all && let Some((ts, _)) = least.peek() {
                        until = *ts;
                    }
                }
            }
        }
        self.done = all;
        self.sorted = least.into_sorted_vec();
        self.last = self.sorted.last().cloned();
        self.sorted.reverse();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::io::disk::Disk;
    use crate::{Durability, Engine, Interrupt, Isolation, Options};

    const STORE: CollectionId = CollectionId(500);

    /// However few versions are put in order at once, and though a commit has more of them.
    #[test]
    fn versions_come_by_time_and_key_in_any_number_of_rounds() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            compaction_in_background: false,
            ..Options::default()
        };
        let engine = Engine::open(Arc::new(Disk::open(dir.path()).unwrap()), options).unwrap();
        let (mut expected, mut seed) = (Vec::new(), 7_u64);
        for round in 0..40 {
            let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
            let mut keys = std::collections::BTreeSet::new();
            for _ in 0..=round % 9 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                let key = vec![b'k'; (seed >> 33) as usize % 12];
                txn.put(STORE, &key, b"v").unwrap();
                keys.insert(key);
            }
            let ts = txn.commit(Durability::Asynchronous).unwrap();
            expected.extend(keys.into_iter().map(|key| (ts, key)));
            if round % 10 == 5 {
                engine.flush().unwrap();
            }
        }
        engine.compact_all(&Interrupt::new()).unwrap();
        let view = engine.latest_view();
        let since = expected[4].0;
        expected.retain(|(ts, _)| *ts > since);
        for limits in [
            (1, 1 << 20),
            (3, 1 << 20),
            (10, 20),
            (1000, 1),
            (1000, 1 << 20),
        ] {
            let mut versions = ByTime::new(&view, STORE, since);
            versions.limits = limits;
            let mut found = Vec::new();
            while let Some(version) = versions.next(&view).unwrap() {
                found.push(version);
            }
            assert_eq!(found, expected, "{limits:?}");
        }
    }
}
