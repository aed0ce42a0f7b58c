//! All that a view knows, not just what it sees: every version that began at or before its timestamp.
//!
//! This is what a copy of a database with its history reads. The order of sources does the work: of
//! one key, all versions in a source are newer than those in the sources after it, so the versions of
//! a key are those of the sources one after the other, and each ends where the one before it begins.
//!
//! A transaction's own writes have no timestamp, and are not among them.

use std::collections::VecDeque;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::ReadView;
use crate::catalog::{CATALOG, decode_table};
use crate::error::{Error, Result};
use crate::ids::{CollectionId, RowId, Ts};
use crate::memtable::{Chain, KeyBounds, Memtable, as_slices, full_bounds, split_key};
use crate::schema::TableDef;
use crate::segment::EntryVersions;

mod rows;

pub use rows::{RowVersionScan, RowVersions};

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

impl ReadView {
    /// All versions of a sorted collection, by key, newest first.
    pub fn versions(&self, collection: CollectionId) -> Result<Versions> {
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
        RowVersionScan::new(self, table, which)
    }

    /// The first RowId that was never handed out; of now, and not tied to the view's timestamp.
    pub fn next_row(&self, table: CollectionId) -> RowId {
        self.0.tables.next_row(table)
    }
}

fn table_of(key: &[u8]) -> Result<CollectionId> {
    match key.try_into() {
        Ok(id) => Ok(CollectionId(u32::from_be_bytes(id))),
        Err(_) => Err(Error::corruption(
            "the key of a table",
            0,
            "4 bytes",
            key.len(),
        )),
    }
}

/// `def` with its dropped columns back, but not on a codec's account.
pub(crate) fn all_live(mut def: TableDef) -> TableDef {
    for column in def.columns.iter_mut().filter(|column| column.dropped) {
        column.dropped = false;
        column.compression = None;
    }
    def
}

/// Where the versions of one memtable are read on: behind a version of a key, or behind a key.
struct MemtableCursor {
    memtable: Arc<Memtable>,
    bounds: KeyBounds,
    /// The bounds begin with this key, and its versions from here on are read already.
    inside: Option<(Box<[u8]>, Ts)>,
    at: Ts,
    /// Of each key only the newest version.
    newest_only: bool,
    done: bool,
}

impl MemtableCursor {
    fn new(memtable: &Arc<Memtable>, collection: CollectionId, at: Ts) -> MemtableCursor {
        MemtableCursor {
            memtable: Arc::clone(memtable),
            bounds: full_bounds(collection, Bound::Unbounded, Bound::Unbounded),
            inside: None,
            at,
            newest_only: false,
            done: false,
        }
    }

    /// Visit versions from where the last call stopped, until `visit` breaks after one of them or
    /// there are no more. `wanted` may turn a key down.
    fn visit(
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
                if let Some(begin) = version.ts()
                    && visit(split_key(key).1, begin, version.value()).is_break()
                {
                    stopped = Some((Box::from(key), begin));
                    return ControlFlow::Break(());
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
    /// Newest first, each with its next version.
    sources: Vec<(Stream, Version)>,
    failed: bool,
}

impl std::fmt::Debug for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Versions")
            .field("sources", &self.sources.len())
            .finish_non_exhaustive()
    }
}

impl Versions {
    fn new(view: &ReadView, collection: CollectionId) -> Result<Versions> {
        let (sources, at) = (&view.0.sources, view.ts());
        let mut streams: Vec<Stream> = sources
            .memtables()
            .map(|memtable| Stream::Memtable {
                cursor: MemtableCursor::new(memtable, collection, at),
                chunk: VecDeque::new(),
            })
            .collect();
        for segment in &sources.segments {
            let entries = segment.entry_versions(collection, at)?;
            streams.extend(entries.map(|entries| Stream::Segment(Box::new(entries))));
        }
        let mut sources = Vec::new();
        for mut stream in streams {
            if let Some(head) = stream.next()? {
                sources.push((stream, head));
            }
        }
        Ok(Versions {
            sources,
            failed: false,
        })
    }

    fn next_version(&mut self) -> Result<Option<Version>> {
        // Of equal keys the first, which is of the newest source.
        let least = (0..self.sources.len()).min_by_key(|i| &self.sources[*i].1.key);
        let Some(least) = least else {
            return Ok(None);
        };
        let (stream, head) = &mut self.sources[least];
        match stream.next()? {
            Some(next) => Ok(Some(std::mem::replace(head, next))),
            None => Ok(Some(self.sources.remove(least).1)),
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
