//! The entries of an index, and the rows that they should be of.
//!
//! Both are hashed entry by entry and summed, so neither has to be sorted or kept: an entry that is
//! missing, left over, or names another row shows.

use std::ops::Bound;
use std::sync::Arc;

use heliosdb_storage::schema::{IndexDef, TableDef};
use heliosdb_storage::view::index::entry_keys;
use heliosdb_storage::{ReadView, ScanRequest};

use super::{Comparing, IndexComparison};
use crate::digest::{Digest, digest_of};
use crate::error::Result;
use crate::manifest::TableManifest;
use crate::options::CompareOptions;
use crate::progress::Progress;

/// Entries and the sum of their hashes.
#[derive(Default)]
struct Sum {
    entries: u64,
    digest: Digest,
    /// Of the entry being hashed.
    bytes: Vec<u8>,
}

impl Sum {
    fn add(&mut self, key: &[u8], row: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(row);
        self.entries += 1;
        self.digest += digest_of(&self.bytes);
    }
}

/// `None` when the index is gone.
pub(super) fn compare(
    comparing: &Comparing<'_>,
    table: &TableManifest,
    index: usize,
) -> Result<Option<IndexComparison>> {
    let shown = &comparing.now;
    let Some(def) = shown.definition(table.collection)? else {
        return Ok(None);
    };
    let Some(index) = def.indexes.get(index) else {
        return Ok(None);
    };
    let options = comparing.options;
    let compared = compare_entries(&shown.view, &def, index, options, comparing.progress);
    compared.map(Some)
}

/// The entries that a view shows of an index of `def`.
pub(super) fn compare_entries(
    view: &ReadView,
    def: &TableDef,
    index: &IndexDef,
    options: &CompareOptions,
    progress: &dyn Progress,
) -> Result<IndexComparison> {
    let (mut rows, mut entries) = (Sum::default(), Sum::default());
    let request = ScanRequest {
        row_id: true,
        ..ScanRequest::columns(index.reads())
    };
    for scan in view.scan(Arc::new(def.clone()), request)? {
        for batch in scan {
            options.interrupt.check()?;
            let batch = batch?;
            entry_keys(def, index, &batch, |row, key| {
                rows.add(key, &row.0.to_be_bytes());
            })?;
            progress.advance(batch.num_rows() as u64);
        }
    }
    for entry in view.range(index.id, Bound::Unbounded, Bound::Unbounded)? {
        let (key, row) = entry?;
        entries.add(&key, &row);
        if entries.entries.is_multiple_of(1024) {
            options.interrupt.check()?;
        }
    }
    Ok(IndexComparison {
        collection: index.id.0,
        rows: rows.entries,
        entries: entries.entries,
        equal: rows.entries == entries.entries && rows.digest == entries.digest,
    })
}
