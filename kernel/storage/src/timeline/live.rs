//! How many rows tables have on a timeline.
//!
//! On a branch that is a difference: by how many rows a table grew or shrank since the fork. How many
//! there were at a fork in the past nobody counted, and counting them would take as long as reading them.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::ids::CollectionId;

/// See the module's header.
#[derive(Debug, Default)]
pub struct LiveRows(Mutex<BTreeMap<CollectionId, i64>>);

impl LiveRows {
    pub fn new(rows: BTreeMap<CollectionId, i64>) -> LiveRows {
        LiveRows(Mutex::new(rows))
    }

    pub fn add(&self, table: CollectionId, delta: i64) {
        let mut rows = self.0.lock();
        let rows = rows.entry(table).or_default();
        *rows = rows.saturating_add(delta);
    }

    pub fn get(&self, table: CollectionId) -> i64 {
        self.0.lock().get(&table).copied().unwrap_or(0)
    }

    /// (table, rows) of all tables, for a flush.
    pub fn all(&self) -> Vec<(CollectionId, i64)> {
        let rows = self.0.lock();
        rows.iter().map(|(table, rows)| (*table, *rows)).collect()
    }
}
