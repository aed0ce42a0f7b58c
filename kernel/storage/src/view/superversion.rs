//! The committed sources of a read, newest first, swapped as one.

use std::sync::Arc;

use crate::error::Result;
use crate::ids::Ts;
use crate::memtable::Memtable;

/// What a collection holds; the two are laid out differently in segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A table's rows by RowId.
    Rows,
    /// Sorted keys: an index, the catalog, a store.
    Sorted,
}

/// One immutable set of sources. Readers hold it; freeze and flush replace it.
///
/// For any one key, all versions in a source are newer than those in the sources after it.
pub struct Superversion {
    pub active: Arc<Memtable>,
    /// Newest first.
    pub frozen: Vec<Arc<Memtable>>,
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
        let _ = kind;
        for memtable in self.memtables() {
            if let Some(version) = memtable.find(full, at) {
                let ts = version.ts().unwrap_or(at);
                return Ok(Some(f(ts, version.value())));
            }
        }
        Ok(None)
    }
}
