//! What a view reads: a timeline's sources, and those of the timelines that it branched off from.
//!
//! A view of timeline X at T reads X's own sources at T, its parent's at min(T, fork), and so on up: a
//! list of *levels*, each with a *cap*, the newest timestamp that it may show. Of any one key all
//! versions that a level shows are newer than those of the levels after it, because nothing is committed
//! on a timeline at or before its fork. So the rule of one timeline holds for the whole path: the first
//! source that knows the key decides, and a put or delete in it hides the row in all after it.
//!
//! 1. The sources of the levels need not be of one instant: what an ancestor shows at or before a fork
//!    does not change, whether it is in a memtable, in the segment of a flush or in a merged one.
//! 2. The present of a timeline without a parent is a path of one level, which costs no allocation.
//! 3. Columns are numbered per timeline. An ancestor's segment may have a column that was added there
//!    after the fork, under the number that another one has here: no level but the first is asked for
//!    columns that the table did not have at its fork.

use std::sync::Arc;

use super::superversion::{Kind, Source, Superversion};
use crate::catalog::{CATALOG, catalog_key, decode_table};
use crate::error::Result;
use crate::ids::{CollectionId, Ts};
use crate::memtable::{Memtable, full_key, split_key};
use crate::schema::TableDef;
use crate::segment::{RowColumns, RowPlace};
use crate::timeline::Timeline;
use crate::view::row_of;

/// One timeline's part of a path.
#[derive(Clone)]
pub struct Level {
    pub sources: Arc<Superversion>,
    /// Nothing newer is shown.
    pub cap: Ts,
    /// The timeline that branched off from this one; `None` on the first level.
    pub below: Option<Arc<Timeline>>,
}

/// A version of a row, where it was found.
pub enum FoundRow<'a> {
    /// Its timestamp and its bytes, `None` for a delete.
    Memory(Ts, Option<&'a [u8]>),
    Segment {
        place: RowPlace<'a>,
        /// How many of its columns may be read.
        columns_max: usize,
    },
}

/// See the module's header.
#[derive(Clone)]
pub struct Path {
    own: Level,
    /// The parent, its parent, and so on.
    ancestors: Vec<Level>,
}

impl Path {
    /// What `timeline` shows at `ts`.
    pub fn new(timeline: &Arc<Timeline>, ts: Ts) -> Path {
        let mut path = Path::only(timeline.sources(), ts);
        let (mut below, mut cap) = (timeline, ts);
        while let Some(base) = below.base() {
            cap = cap.min(base.fork_ts());
            path.ancestors.push(Level {
                sources: base.parent.sources(),
                cap,
                below: Some(Arc::clone(below)),
            });
            below = &base.parent;
        }
        path
    }

    /// What `sources` alone show at `ts`.
    pub fn only(sources: Arc<Superversion>, ts: Ts) -> Path {
        Path {
            own: Level {
                sources,
                cap: ts,
                below: None,
            },
            ancestors: Vec::new(),
        }
    }

    /// The same without the timelines above.
    pub fn alone(&self) -> Path {
        Path::only(Arc::clone(&self.own.sources), self.own.cap)
    }

    /// The same with other sources of the own timeline.
    pub fn over(mut self, sources: Arc<Superversion>) -> Path {
        self.own.sources = sources;
        self
    }

    /// The view's own timeline.
    pub fn own(&self) -> &Arc<Superversion> {
        &self.own.sources
    }

    /// The view's timestamp.
    pub fn ts(&self) -> Ts {
        self.own.cap
    }

    /// Newest first.
    pub fn levels(&self) -> impl Iterator<Item = &Level> {
        std::iter::once(&self.own).chain(&self.ancestors)
    }

    /// All sources, newest first, with the levels that they belong to.
    pub fn sources(&self) -> impl Iterator<Item = (Source<'_>, &Level)> {
        self.levels()
            .flat_map(|level| level.sources.sources().map(move |source| (source, level)))
    }

    /// All memtables, newest first, with their caps.
    pub fn memtables(&self) -> impl Iterator<Item = (&Arc<Memtable>, Ts)> {
        self.levels().flat_map(|level| {
            let cap = level.cap;
            let memtables = level.sources.memtables();
            memtables.map(move |memtable| (memtable, cap))
        })
    }

    /// Whether anything of `collection` is in the timelines above the view's own.
    pub fn is_above(&self, collection: CollectionId) -> bool {
        self.ancestors
            .iter()
            .any(|level| level.sources.has(collection))
    }

    /// Call `f` with the newest version of a full key at `at`, which is not after the view's timestamp.
    pub fn find<R>(
        &self,
        kind: Kind<'_>,
        full: &[u8],
        at: Ts,
        f: impl FnOnce(Ts, Option<&[u8]>) -> R,
    ) -> Result<Option<R>> {
        let columns = match kind {
            Kind::Rows(columns) => columns,
            Kind::Sorted => return self.find_entry(full, at, f),
        };
        let found = self.find_row(full, at, |found| match found {
            FoundRow::Memory(ts, value) => Ok(f(ts, value)),
            FoundRow::Segment { place, columns_max } => {
                let count = columns.count.min(columns_max);
                let value = place.encode(RowColumns { count, ..columns })?;
                Ok(f(place.begin()?, value.as_deref()))
            }
        });
        found?.transpose()
    }

    /// [`Path::find`] of an entry.
    fn find_entry<R>(
        &self,
        full: &[u8],
        at: Ts,
        f: impl FnOnce(Ts, Option<&[u8]>) -> R,
    ) -> Result<Option<R>> {
        let (collection, key) = split_key(full);
        // Only one of the sources calls it.
        let mut f = Some(f);
        let mut found = |ts, value: Option<&[u8]>| f.take().map(|f| f(ts, value));
        for (depth, level) in self.levels().enumerate() {
            let at = at.min(level.cap);
            let above = depth < self.ancestors.len();
            let mut sources = level.sources.sources().peekable();
            while let Some(source) = sources.next() {
                let decided = match source {
                    Source::Memtable(memtable) => {
                        let version = memtable.find(full, at);
                        version.map(|version| found(version.ts().unwrap_or(at), version.value()))
                    }
                    Source::Segment(segment) => {
                        let last = !above && sources.peek().is_none();
                        segment.find_entry(collection, key, at, last, &mut found)?
                    }
                };
                if let Some(decided) = decided {
                    return Ok(decided);
                }
            }
        }
        Ok(None)
    }

    /// Call `f` with the newest version of a row, of which `full` is the key, at `at`.
    pub fn find_row<R>(
        &self,
        full: &[u8],
        at: Ts,
        f: impl FnOnce(FoundRow<'_>) -> R,
    ) -> Result<Option<R>> {
        let (collection, key) = split_key(full);
        let row = row_of(key)?;
        for level in self.levels() {
            let at = at.min(level.cap);
            for source in level.sources.sources() {
                let segment = match source {
                    Source::Segment(segment) => segment,
                    Source::Memtable(memtable) => {
                        if let Some(version) = memtable.find(full, at) {
                            let ts = version.ts().unwrap_or(at);
                            return Ok(Some(f(FoundRow::Memory(ts, version.value()))));
                        }
                        continue;
                    }
                };
                if let Some(place) = segment.find_row(collection, row, at)? {
                    let columns_max = level.columns(collection)?;
                    return Ok(Some(f(FoundRow::Segment { place, columns_max })));
                }
            }
        }
        Ok(None)
    }

    /// The newest definition that a collection ever had, also when it is dropped now; `None` when it
    /// is not a table.
    pub fn newest_definition(&self, collection: CollectionId) -> Result<Option<TableDef>> {
        let full = full_key(CATALOG, &catalog_key(collection));
        let mut at = self.ts();
        loop {
            let found = self.find(Kind::Sorted, &full, at, |ts, value| {
                (ts, value.map(|bytes| decode_table(collection, bytes)))
            })?;
            match found {
                None => return Ok(None),
                Some((_, Some(def))) => return def.map(Some),
                Some((ts, None)) => at = Ts(ts.0.saturating_sub(1)),
            }
        }
    }
}

impl Level {
    /// How many columns of a table's rows in segments may be read here; see the module's third rule.
    pub fn columns(&self, table: CollectionId) -> Result<usize> {
        match &self.below {
            None => Ok(usize::MAX),
            Some(below) => below.columns_at_fork(table),
        }
    }
}
