//! The committed sources of a read, newest first, swapped as one.

use std::sync::Arc;

use crate::error::Result;
use crate::ids::Ts;
use crate::memtable::{Memtable, split_key};
use crate::schema::TableDef;
use crate::segment::SegmentReader;
use crate::view::row_of;

/// What a collection holds; the two are laid out differently in segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A table's rows by RowId, read up to so many columns.
    Rows { columns: usize },
    /// Sorted keys: an index, the catalog, a store.
    Sorted,
}

impl Kind {
    /// The rows of a table, as it is defined there.
    pub fn of_rows(table: &TableDef) -> Kind {
        Kind::Rows {
            columns: table.columns.len(),
        }
    }
}

/// One immutable set of sources. Readers hold it; freeze and flush replace it.
///
/// For any one key, all versions in a source are newer than those in the sources after it.
pub struct Superversion {
    pub active: Arc<Memtable>,
    /// Newest first.
    pub frozen: Vec<Arc<Memtable>>,
    /// Newest first.
    pub segments: Vec<SegmentReader>,
}

impl Superversion {
    /// All memtables, newest first.
    pub fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.frozen)
    }

    /// Call `f` with the newest version of a full key at `at`.
    pub fn find<R>(
        &self,
        kind: Kind,
        full: &[u8],
        at: Ts,
        f: impl FnOnce(Ts, Option<&[u8]>) -> R,
    ) -> Result<Option<R>> {
        for memtable in self.memtables() {
            if let Some(version) = memtable.find(full, at) {
                let ts = version.ts().unwrap_or(at);
                return Ok(Some(f(ts, version.value())));
            }
        }
        let (collection, key) = split_key(full);
        for segment in &self.segments {
            let found = match kind {
                Kind::Rows { columns } => {
                    segment.row_version(collection, row_of(key)?, at, columns)?
                }
                Kind::Sorted => segment.entry(collection, key, at)?,
            };
            if let Some((ts, value)) = found {
                return Ok(Some(f(ts, value.as_deref())));
            }
        }
        Ok(None)
    }
}
