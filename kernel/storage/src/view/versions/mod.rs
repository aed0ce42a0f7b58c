//! All that a view knows, not just what it sees: every version that began at or before its timestamp.
//!
//! This is what a copy of a database with its history reads. Of a branch that is its own versions and
//! those of the timelines above it up to the forks. The order of sources does the work: of
//! one key, all versions in a source are newer than those in the sources after it, so the versions of
//! a key are those of the sources one after the other, and each ends where the one before it begins.
//!
//! A transaction's own writes have no timestamp, and are not among them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::{ReadView, Source};
use crate::catalog::{CATALOG, decode_table, table_of};
use crate::error::Result;
use crate::ids::{CollectionId, RowId, Ts};
use crate::memtable::{Chain, KeyBounds, Memtable, as_slices, full_bounds, split_key};
use crate::schema::TableDef;
use crate::segment::{EntryVersions, SegmentReader};

mod rows;
#[cfg(test)]
mod tests;
mod waiting;

pub use rows::{RowVersionScan, RowVersions};

use waiting::Waiting;

/// Versions that are taken out of a memtable at once.
const CHUNK_VERSIONS: usize = 1024;
/// Or fewer, when they are long.
const CHUNK_BYTES: usize = 1 << 20;

/// A version of a key of a sorted collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub key: Vec<u8>,
    pub begin: Ts,
    /// `None` when the key was removed at `begin`.
    pub value: Option<Vec<u8>>,
}

/// A table that is, or was.
#[derive(Clone, Debug, PartialEq)]
pub struct EverTable {
    /// Its newest definition, in which dropped columns are live again, as they are in segments, so
    /// that what they held before can be read; new pages of theirs ask for no codec.
    pub def: Arc<TableDef>,
    /// Whether it is there now.
    pub live: bool,
}

/// An index that a table had, and has no more.
#[derive(Clone, Debug, PartialEq)]
pub struct DroppedIndex {
    pub id: CollectionId,
    /// The last definition with the index, dropped columns live again.
    pub def: Arc<TableDef>,
    /// When it was dropped.
    pub at: Ts,
}

impl ReadView {
    /// Indexes that tables had at one of `times`, and have no more, by table.
    pub fn dropped_indexes(
        &self,
        times: &[Ts],
    ) -> Result<BTreeMap<CollectionId, Vec<DroppedIndex>>> {
        let mut all: BTreeMap<CollectionId, Vec<DroppedIndex>> = BTreeMap::new();
        let mut wanted = BTreeSet::new();
        // Of the table that is looked at: its key, what it has in the end, and until when the next version was.
        let mut table: Option<(Vec<u8>, Option<Vec<CollectionId>>, Ts)> = None;
        for version in self.versions(CATALOG)? {
            let version = version?;
            let (newest, until) = match &mut table {
                Some((key, newest, until)) if *key == version.key => (newest, until),
                table => {
                    let (_, newest, until) = table.insert((version.key.clone(), None, Ts::MAX));
                    (newest, until)
                }
            };
            let end = std::mem::replace(until, version.begin);
            let Some(value) = &version.value else {
                continue;
            };
            let id = table_of(&version.key)?;
            let def = Arc::new(all_live(decode_table(id, value)?));
            let ids = || def.indexes.iter().map(|index| index.id);
            let newest = newest.get_or_insert_with(|| ids().collect());
            let is_asked = times.iter().any(|ts| (version.begin..end).contains(ts));
            for index in ids().filter(|index| !newest.contains(index)) {
                let known = all.entry(id).or_default();
                if known.iter().all(|known| known.id != index) {
                    known.push(DroppedIndex {
                        id: index,
                        def: Arc::clone(&def),
                        at: end,
                    });
                }
                if is_asked {
                    wanted.insert(index);
                }
            }
        }
        for dropped in all.values_mut() {
            dropped.retain(|index| wanted.contains(&index.id));
        }
        all.retain(|_, dropped| !dropped.is_empty());
        Ok(all)
    }

    /// All versions of a sorted collection, by key, newest first.
    pub fn versions(&self, collection: CollectionId) -> Result<Versions> {
        if let Some(reads) = self.noting() {
            reads.note_range(collection, Bound::Unbounded, Bound::Unbounded);
        }
        Versions::new(self, collection)
    }

    /// Every table that was ever defined.
    pub fn tables_ever(&self) -> Result<Vec<EverTable>> {
        let mut tables: Vec<EverTable> = Vec::new();
        let mut current: Option<(Vec<u8>, bool)> = None;
        for version in self.versions(CATALOG)? {
            let version = version?;
            let newest = current.as_ref().is_none_or(|(key, _)| *key != version.key);
            if newest {
                current = Some((version.key.clone(), version.value.is_some()));
            }
            let (Some((_, live)), Some(value)) = (&current, &version.value) else {
                continue;
            };
            let id = table_of(&version.key)?;
            if tables.last().is_none_or(|known| known.def.id != id) {
                let def = Arc::new(all_live(decode_table(id, value)?));
                tables.push(EverTable { def, live: *live });
            }
        }
        Ok(tables)
    }

    /// The rows of `table` with their timestamps: all columns of `table` in order, then `_rowid`,
    /// `_begin` and, of superseded ones, `_end`, all three UInt64.
    pub fn row_versions(
        &self,
        table: &Arc<TableDef>,
        which: RowVersions,
    ) -> Result<RowVersionScan> {
        if let Some(reads) = self.noting() {
            reads.note_range(table.id, Bound::Unbounded, Bound::Unbounded);
        }
        RowVersionScan::new(self, table, which, Ts::ZERO)
    }

    /// The same of what began after `after`, as if there were nothing before.
    pub fn row_versions_after(
        &self,
        table: &Arc<TableDef>,
        which: RowVersions,
        after: Ts,
    ) -> Result<RowVersionScan> {
        if let Some(reads) = self.noting() {
            reads.note_range(table.id, Bound::Unbounded, Bound::Unbounded);
        }
        RowVersionScan::new(self, table, which, after)
    }

    /// The first RowId that was never handed out; of now, and not tied to the view's timestamp.
    pub fn next_row(&self, table: CollectionId) -> RowId {
        self.0.tables.next_row(table)
    }
}

/// `def` with its dropped columns back, but not on a codec's account.
pub(crate) fn all_live(mut def: TableDef) -> TableDef {
    for column in def.columns.iter_mut().filter(|column| column.dropped) {
        column.dropped = false;
        column.free = false;
        column.compression = None;
    }
    def
}

/// Where the versions of one memtable are read on: behind a version of a key, or behind a key.
pub(super) struct MemtableCursor {
    memtable: Arc<Memtable>,
    bounds: KeyBounds,
    /// The bounds begin with this key, and its versions from here on are read already.
    inside: Option<(Box<[u8]>, Ts)>,
    at: Ts,
    /// What began by then is left out.
    pub after: Ts,
    /// Of each key only the newest version.
    newest_only: bool,
    pub done: bool,
}

impl MemtableCursor {
    pub fn new(memtable: &Arc<Memtable>, collection: CollectionId, at: Ts) -> MemtableCursor {
        MemtableCursor {
            memtable: Arc::clone(memtable),
            bounds: full_bounds(collection, Bound::Unbounded, Bound::Unbounded),
            inside: None,
            at,
            after: Ts::ZERO,
            newest_only: false,
            done: false,
        }
    }

    /// Visit versions from where the last call stopped, until `visit` breaks after one of them or
    /// there are no more. `wanted` may turn a key down.
    pub fn visit(
        &mut self,
        mut wanted: impl FnMut(&[u8], &Chain) -> bool,
        mut visit: impl FnMut(&[u8], Ts, Option<&[u8]>) -> ControlFlow<()>,
    ) {
        let mut inside = self.inside.take();
        let mut stopped: Option<(Box<[u8]>, Ts)> = None;
        let (from, to) = as_slices(&self.bounds);
        self.memtable.visit(from, to, |key, chain| {
            let limit = match inside.take().filter(|(begun, _)| **begun == *key) {
                Some(_) if self.newest_only => return ControlFlow::Continue(()),
                Some((_, begin)) => Ts(begin.0.saturating_sub(1)),
                None if !wanted(key, chain) => return ControlFlow::Continue(()),
                None => self.at,
            };
            let mut next = chain.find(limit);
            while let Some(version) = next {
                if let Some(begin) = version.ts() {
                    if begin <= self.after {
                        break;
                    }
                    if visit(split_key(key).1, begin, version.value()).is_break() {
                        stopped = Some((Box::from(key), begin));
                        return ControlFlow::Break(());
                    }
                }
                next = match self.newest_only {
                    true => None,
                    false => version.prev().cloned(),
                };
            }
            ControlFlow::Continue(())
        });
        match &stopped {
            Some((key, _)) => self.bounds.0 = Bound::Included(key.clone()),
            None => self.done = true,
        }
        self.inside = stopped;
    }
}

/// A source of entries.
enum Stream {
    Memtable {
        cursor: MemtableCursor,
        chunk: VecDeque<Version>,
    },
    Segment(Box<EntryVersions>),
}

impl Stream {
    fn next(&mut self) -> Result<Option<Version>> {
        match self {
            Stream::Memtable { cursor, chunk } => {
                if chunk.is_empty() && !cursor.done {
                    let mut bytes = 0;
                    cursor.visit(
                        |_, _| true,
                        |key, begin, value| {
                            bytes += key.len() + value.map_or(0, <[u8]>::len);
                            chunk.push_back(Version {
                                key: key.to_vec(),
                                begin,
                                value: value.map(<[u8]>::to_vec),
                            });
                            match chunk.len() < CHUNK_VERSIONS && bytes < CHUNK_BYTES {
                                true => ControlFlow::Continue(()),
                                false => ControlFlow::Break(()),
                            }
                        },
                    );
                }
                Ok(chunk.pop_front())
            }
            Stream::Segment(entries) => {
                let next = entries.next().transpose()?;
                Ok(next.map(|(key, begin, value)| Version { key, begin, value }))
            }
        }
    }
}

/// Iterator over the versions of a sorted collection, by key, newest first.
pub struct Versions {
    collection: CollectionId,
    /// Those that are read, in no order.
    open: Vec<Open>,
    /// Segments that begin further on, with their caps and ranks.
    waiting: Waiting<Vec<u8>, (SegmentReader, Ts)>,
    failed: bool,
}

/// A source that is read, and its next version.
struct Open {
    /// Newer sources have lower ones.
    rank: usize,
    stream: Stream,
    head: Version,
}

impl std::fmt::Debug for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Versions")
            .field("collection", &self.collection)
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}

impl Versions {
    fn new(view: &ReadView, collection: CollectionId) -> Result<Versions> {
        let mut versions = Versions {
            collection,
            open: Vec::new(),
            waiting: Waiting::new(),
            failed: false,
        };
        for (rank, (source, level)) in view.0.path.sources().enumerate() {
            match source {
                Source::Memtable(memtable) => {
                    let cursor = MemtableCursor::new(memtable, collection, level.cap);
                    let chunk = VecDeque::new();
                    versions.open(rank, Stream::Memtable { cursor, chunk })?;
                }
                Source::Segment(segment) => {
                    if let Some(key) = segment.first_key(collection)? {
                        let segment = (segment.clone(), level.cap);
                        versions.waiting.push(key.to_vec(), rank, segment);
                    }
                }
            }
        }
        Ok(versions)
    }

    fn open(&mut self, rank: usize, mut stream: Stream) -> Result<()> {
        if let Some(head) = stream.next()? {
            self.open.push(Open { rank, stream, head });
        }
        Ok(())
    }

    /// Of equal keys the one of the newest source.
    fn least(&self) -> Option<usize> {
        let order = |i: &usize| (&self.open[*i].head.key, self.open[*i].rank);
        (0..self.open.len()).min_by_key(order)
    }

    fn next_version(&mut self) -> Result<Option<Version>> {
        let least = loop {
            let least = self.least();
            let next = least.map(|least| &self.open[least].head.key);
            let Some((rank, (segment, cap))) = self.waiting.pop_due(next) else {
                break least;
            };
            if let Some(entries) = segment.entry_versions(self.collection, cap)? {
                self.open(rank, Stream::Segment(Box::new(entries)))?;
            }
        };
        let Some(least) = least else {
            return Ok(None);
        };
        let Open { stream, head, .. } = &mut self.open[least];
        match stream.next()? {
            Some(next) => Ok(Some(std::mem::replace(head, next))),
            None => Ok(Some(self.open.swap_remove(least).head)),
        }
    }
}

impl Iterator for Versions {
    type Item = Result<Version>;

    fn next(&mut self) -> Option<Result<Version>> {
        if self.failed {
            return None;
        }
        let next = self.next_version();
        self.failed = next.is_err();
        next.transpose()
    }
}
