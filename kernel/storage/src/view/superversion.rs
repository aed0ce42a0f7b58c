//! The committed sources of a read, newest first, swapped as one.

use std::sync::Arc;

use crate::catalog::{CATALOG, catalog_key, decode_table};
use crate::error::Result;
use crate::ids::{CollectionId, ColumnId, Ts};
use crate::memtable::{Memtable, full_key, split_key};
use crate::schema::TableDef;
use crate::segment::{RowColumns, SegmentReader};
use crate::view::row_of;

/// What a collection holds; the two are laid out differently in segments.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// A table's rows by RowId.
    Rows(RowColumns<'a>),
    /// Sorted keys: an index, the catalog, a store.
    Sorted,
}

impl Kind<'_> {
    /// Rows of which only the timestamp matters, and whether they are deleted.
    pub const BARE_ROWS: Kind<'static> = Kind::Rows(RowColumns {
        count: 0,
        wanted: None,
    });
}

/// Some columns of a table, as it is defined there.
pub struct Wanted(Vec<bool>);

impl Wanted {
    pub fn new(table: &TableDef, columns: impl IntoIterator<Item = ColumnId>) -> Wanted {
        let mut wanted = vec![false; table.columns.len()];
        for column in columns {
            // One that the table does not have is told by who asks for its value.
            if let Some(wanted) = wanted.get_mut(usize::from(column.0)) {
                *wanted = true;
            }
        }
        Wanted(wanted)
    }

    pub fn rows(&self) -> Kind<'_> {
        Kind::Rows(RowColumns {
            count: self.0.len(),
            wanted: Some(&self.0),
        })
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
        kind: Kind<'_>,
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
                Kind::Rows(columns) => {
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

    /// The newest definition that a collection ever had, also when it is dropped now; `None` when it
    /// is not a table.
    pub fn newest_definition(&self, collection: CollectionId) -> Result<Option<TableDef>> {
        let full = full_key(CATALOG, &catalog_key(collection));
        let mut at = Ts::MAX;
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
