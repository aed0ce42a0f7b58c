//! What the engine counts per table for all timelines: the next RowId.
//!
//! One allocator per table serves all timelines. RowIds are handed out before their rows commit, so
//! an id that was given to a transaction that failed is a gap. Closing a database logs the allocators.
//! After a crash they start past the highest id that the log names: ids that only transactions had
//! that are lost or were rolled back are given again, which nobody can tell, since no version of them
//! was ever visible.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::ids::{CollectionId, RowId};

/// One table's counters.
#[derive(Debug)]
pub struct TableCounters {
    next_row: AtomicU64,
}

impl TableCounters {
    /// Take `count` consecutive ids; the first of them.
    pub fn allocate(&self, count: u64) -> RowId {
        RowId(self.next_row.fetch_add(count, Ordering::Relaxed))
    }

    /// Never hand out `next` or anything below.
    pub fn reserve_below(&self, next: RowId) {
        self.next_row.fetch_max(next.0, Ordering::Relaxed);
    }
}

/// The first RowId of a table; 0 stays free to mean none.
const FIRST_ROW: u64 = 1;

/// All tables' counters.
#[derive(Debug, Default)]
pub struct Tables {
    map: RwLock<HashMap<CollectionId, Arc<TableCounters>>>,
}

impl Tables {
    /// The counters of `table`, made when new.
    pub fn get(&self, table: CollectionId) -> Arc<TableCounters> {
        if let Some(counters) = self.map.read().get(&table) {
            return Arc::clone(counters);
        }
        let mut map = self.map.write();
        Arc::clone(map.entry(table).or_insert_with(|| {
            Arc::new(TableCounters {
                next_row: AtomicU64::new(FIRST_ROW),
            })
        }))
    }

    /// The first RowId never handed out of a table that may not exist.
    pub fn next_row(&self, table: CollectionId) -> RowId {
        let map = self.map.read();
        let next = map.get(&table).map(|t| t.next_row.load(Ordering::Relaxed));
        RowId(next.unwrap_or(FIRST_ROW))
    }

    /// (table, next RowId) of all tables, for the close.
    pub fn all_next_rows(&self) -> Vec<(CollectionId, RowId)> {
        let next = |t: &TableCounters| RowId(t.next_row.load(Ordering::Relaxed));
        let mut all: Vec<_> = self.map.read().iter().map(|(c, t)| (*c, next(t))).collect();
        all.sort_unstable();
        all
    }
}
