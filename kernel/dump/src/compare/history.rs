//! What is visible AS OF a time: what the dump's versions say, and what a scan at that time finds.

use heliosdb_storage::ScanRequest;
use heliosdb_storage::ids::{ColumnId, Ts};
use heliosdb_storage::view::RowVersions;

use super::{Comparing, HistoryComparison};
use crate::digest::{Digest, RowHasher, ids};
use crate::error::Result;
use crate::manifest::TableManifest;

/// Rows and the sum of their hashes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub rows: u64,
    digest: Digest,
}

impl Sum {
    pub fn add(&mut self, row: Digest) {
        self.rows += 1;
        self.digest += row;
    }
}

pub(super) fn compare(
    comparing: &Comparing<'_>,
    table: &TableManifest,
    times: &[u64],
) -> Result<Vec<HistoryComparison>> {
    let expected = expected(comparing, table, times)?;
    let mut comparisons = Vec::with_capacity(times.len());
    for (&ts, expected) in times.iter().zip(expected) {
        let found = found(comparing, table, Ts(ts))?;
        comparisons.push(HistoryComparison {
            ts,
            rows: expected.rows,
            found_rows: found.map_or(0, |found| found.rows),
            equal: Some(expected) == found,
        });
    }
    Ok(comparisons)
}

/// Per time, the versions of the dump that live then. All times in one pass.
fn expected(comparing: &Comparing<'_>, table: &TableManifest, times: &[u64]) -> Result<Vec<Sum>> {
    let width = table.columns.len();
    let mut hasher = hasher(table);
    let mut sums = vec![Sum::default(); times.len()];
    for which in [RowVersions::Current, RowVersions::Superseded] {
        for batch in comparing.dump.rows(table.collection, which)? {
            comparing.options.interrupt.check()?;
            let batch = batch?;
            let begins = ids(&batch, width + 1)?;
            let ends = match which {
                RowVersions::Current | RowVersions::Removed => None,
                RowVersions::Superseded => Some(ids(&batch, width + 2)?),
            };
            hasher.lines(&batch, Some(begins), ends, |line| {
                let mut row = None;
                for (sum, ts) in sums.iter_mut().zip(times) {
                    if line.begin() <= *ts && *ts < line.end() {
                        sum.add(*row.get_or_insert_with(|| line.row()));
                    }
                }
            })?;
        }
    }
    Ok(sums)
}

/// What the engine shows at `ts`, read as a query reads it; `None` when it no longer keeps that past.
fn found(comparing: &Comparing<'_>, table: &TableManifest, ts: Ts) -> Result<Option<Sum>> {
    let mut sum = Sum::default();
    let Some((def, _)) = comparing.then.tables.get(&table.collection) else {
        return Ok(Some(sum));
    };
    if def.columns.len() != table.columns.len() {
        return Ok(Some(sum));
    }
    let mut hasher = hasher(table);
    let columns = (0..def.columns.len()).map(|i| ColumnId(i as u16));
    let request = ScanRequest {
        row_id: true,
        ..ScanRequest::columns(columns.collect())
    };
    let scans = comparing.engine.view_at(ts);
    let scans = match scans.and_then(|view| view.scan(def.clone(), request)) {
        Err(heliosdb_storage::Error::SnapshotTooOld { .. }) => return Ok(None),
        scans => scans?,
    };
    for scan in scans {
        for batch in scan {
            comparing.options.interrupt.check()?;
            let batch = batch?;
            hasher.lines(&batch, None, None, |line| sum.add(line.row()))?;
            comparing.progress.advance(batch.num_rows() as u64);
        }
    }
    Ok(Some(sum))
}

fn hasher(table: &TableManifest) -> RowHasher {
    let dropped: Vec<bool> = table.columns.iter().map(|column| column.dropped).collect();
    RowHasher::new(&dropped)
}
