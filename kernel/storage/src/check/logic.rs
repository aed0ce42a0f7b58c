//! What the newest state says of itself: tables, their counters and their indexes.
//!
//! An index is compared with its table by sums over (key, RowId) of both sides, which need no memory
//! and read each side once, in its own order. Only when the sums differ are the entries and the rows
//! looked up one by one, to name those that are wrong. Equal sums of different sides have a chance of
//! 2⁻¹²⁸ or so, for the damage that chance makes.

use std::ops::Bound;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;

use super::finding::{Place, Report};
use crate::catalog::{CATALOG, decode_table};
use crate::compact::named;
use crate::error::{Error, Result};
use crate::history::named::{NamedPin, PINS, PinKind, pins_of};
use crate::ids::{CollectionId, ColumnId, RowId, Ts};
use crate::schema::{IndexDef, TableDef};
use crate::view::index::entry_keys;
use crate::view::scan::ScanRequest;
use crate::view::{ReadView, row_of};

/// Wrong entries that are told one by one, per index.
const SHOWN_MAX: u64 = 10;
/// Entries whose rows are looked up together.
const LOOKUP_ROWS: usize = 1024;

/// Check all tables of `view`; `logged` shows the part of it that is in the log alone. Of a branch,
/// which began as `at_fork` shows, those that it has anything of: the others are its parent's. The error
/// is a cancelation.
pub fn check(
    view: &ReadView,
    logged: &ReadView,
    at_fork: Option<&ReadView>,
    report: &mut Report<'_>,
) -> Result<()> {
    for table in tables(view, report)? {
        let table = Arc::new(table);
        let own = view.0.path.own();
        let is_own = |id| own.has(id);
        if at_fork.is_some() && !named(&table).any(is_own) {
            continue;
        }
        report.totals.tables += 1;
        check_logged(logged, &table, report)?;
        let counted = count(view, &table, report);
        let before = match at_fork {
            None => Ok(0),
            Some(at_fork) => count(at_fork, &table, report).map(|found| found.rows),
        };
        let counted = counted.and_then(|found| Ok((found, before?)));
        if let Ok((found, _)) = &counted {
            report.totals.rows += found.rows;
        }
        if let Some((found, before)) = judged(counted, table.id, report)? {
            check_counters(view, &table, &found, before, report);
        }
        for index in &table.indexes {
            let outcome = check_index(view, &table, index, report);
            judged(outcome, index.id, report)?;
        }
    }
    Ok(())
}

/// Damage that ends a comparison was told before, where it is.
fn judged<T>(
    outcome: Result<T>,
    collection: CollectionId,
    report: &mut Report<'_>,
) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(Error::Canceled) => Err(Error::Canceled),
        Err(error) => {
            let what = format!("its content against the rest of the database: {error}");
            report.not_checked(Place::collection(collection), what);
            Ok(None)
        }
    }
}

/// Pins must be of times that there were, and what a point holds must be there. A cursor may have been
/// left behind.
pub fn check_pins(view: &ReadView, horizon: Ts, report: &mut Report<'_>) -> Result<()> {
    let place = || Place::collection(PINS);
    let Some(pins) = report.take(place, pins_of(view))? else {
        return Ok(());
    };
    for NamedPin { name, kind, ts, .. } in pins {
        if ts > view.ts() {
            let what = format!(
                "pin \"{name}\" is at {ts}, after the last commit, {}",
                view.ts()
            );
            report.damage(place(), what);
        }
        if kind == PinKind::Point && ts < horizon {
            let what = format!("pin \"{name}\" is at {ts}, and history goes back to {horizon}");
            report.damage(place(), what);
        }
    }
    Ok(())
}

/// The tables there are.
fn tables(view: &ReadView, report: &mut Report<'_>) -> Result<Vec<TableDef>> {
    let mut tables = Vec::new();
    let entries = view.range(CATALOG, Bound::Unbounded, Bound::Unbounded);
    let Some(entries) = judged(entries, CATALOG, report)? else {
        return Ok(tables);
    };
    for entry in entries {
        let Some((key, value)) = judged(entry, CATALOG, report)? else {
            break;
        };
        let table = match <[u8; 4]>::try_from(key.as_slice()) {
            Ok(id) => decode_table(CollectionId(u32::from_be_bytes(id)), &value),
            Err(_) => Err(Error::corruption(
                "the key of a table",
                0,
                "4 bytes",
                key.len(),
            )),
        };
        tables.extend(report.take(|| Place::collection(CATALOG), table)?);
    }
    Ok(tables)
}

/// Rows that are in the log alone must decode, all columns.
fn check_logged(logged: &ReadView, table: &Arc<TableDef>, report: &mut Report<'_>) -> Result<()> {
    let columns = 0..table.columns.len() as u16;
    let request = ScanRequest::columns(columns.map(ColumnId).collect());
    let decoded = (|| {
        for part in logged.scan(Arc::clone(table), request)? {
            for batch in part {
                batch?;
            }
        }
        Ok(())
    })();
    let place = || Place::collection(table.id).part("rows in the log");
    report.take(place, decoded).map(drop)
}

/// What a table has.
struct Counted {
    rows: u64,
    row_max: Option<u64>,
}

fn count(view: &ReadView, table: &Arc<TableDef>, report: &mut Report<'_>) -> Result<Counted> {
    let mut found = Counted {
        rows: 0,
        row_max: None,
    };
    each_batch(view, table, Vec::new(), |batch| {
        found.rows += batch.num_rows() as u64;
        found.row_max = found.row_max.max(row_ids(batch)?.iter().copied().max());
        report.advance(batch.num_rows() as u64)
    })?;
    Ok(found)
}

fn check_counters(
    view: &ReadView,
    table: &TableDef,
    found: &Counted,
    before: u64,
    report: &mut Report<'_>,
) {
    let place = || Place::collection(table.id);
    let counted = i128::from(view.0.timeline.live.get(table.id)) + i128::from(before);
    if counted != i128::from(found.rows) {
        let what = format!("it has {} rows, and its counter says {counted}", found.rows);
        report.damage(place(), what);
    }
    let next = view.next_row(table.id).0;
    if let Some(row) = found.row_max.filter(|row| *row >= next) {
        report.damage(
            place(),
            format!("it has row {row}, and its next row is {next}"),
        );
    }
}

/// The projected columns of all visible rows, with their RowIds.
fn each_batch(
    view: &ReadView,
    table: &Arc<TableDef>,
    projection: Vec<ColumnId>,
    mut each: impl FnMut(&RecordBatch) -> Result<()>,
) -> Result<()> {
    let request = ScanRequest {
        row_id: true,
        ..ScanRequest::columns(projection)
    };
    for part in view.scan(Arc::clone(table), request)? {
        for batch in part {
            each(&batch?)?;
        }
    }
    Ok(())
}

fn row_ids(batch: &RecordBatch) -> Result<&[u64]> {
    let ids = batch.columns().last();
    let ids = ids.and_then(|ids| ids.as_primitive_opt::<UInt64Type>());
    let ids = ids.ok_or_else(|| Error::internal("a scan without RowIds"))?;
    Ok(ids.values())
}

/// A sum over pairs of key and RowId.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    pairs: u64,
    digest: u128,
}

impl Sum {
    fn add(&mut self, key: &[u8], row: RowId) {
        self.pairs += 1;
        let (mut low, mut high) = (row.0 ^ 0x9E37_79B9_7F4A_7C15, key.len() as u64);
        for chunk in key.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let word = u64::from_le_bytes(word);
            low = mix(low ^ word);
            high = mix(high.rotate_left(23) ^ word).wrapping_add(low);
        }
        let (low, high) = (mix(low ^ high), mix(high ^ row.0.rotate_left(32)));
        let pair = u128::from(high) << 64 | u128::from(low);
        self.digest = self.digest.wrapping_add(pair);
    }
}

/// MurmurHash3's 64-bit finalizer.
fn mix(mut h: u64) -> u64 {
    h ^= h >> 33;
    h = h.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    h ^= h >> 33;
    h = h.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    h ^ (h >> 33)
}

fn check_index(
    view: &ReadView,
    table: &Arc<TableDef>,
    index: &IndexDef,
    report: &mut Report<'_>,
) -> Result<()> {
    report.totals.indexes += 1;
    let columns = index.reads();
    let mut of_rows = Sum::default();
    each_batch(view, table, columns, |batch| {
        entry_keys(table, index, batch, |row, key| of_rows.add(key, row))?;
        report.advance(batch.num_rows() as u64)
    })?;
    let mut of_entries = Sum::default();
    // A value that is no RowId is told below.
    let mut odd = false;
    for entry in view.range(index.id, Bound::Unbounded, Bound::Unbounded)? {
        let (key, value) = entry?;
        match row_of(&value) {
            Ok(row) => of_entries.add(&key, row),
            Err(_) => odd = true,
        }
        report.totals.entries += 1;
    }
    if of_rows == of_entries && !odd {
        return Ok(());
    }
    let mut wrong = Wrong::default();
    entries_of_rows(view, table, index, report, &mut wrong)?;
    rows_of_entries(view, table, index, report, &mut wrong)?;
    wrong.finish(index.id, report, of_rows.pairs, of_entries.pairs);
    Ok(())
}

/// Wrong entries of an index.
#[derive(Default)]
struct Wrong {
    count: u64,
}

impl Wrong {
    fn add(&mut self, index: CollectionId, report: &mut Report<'_>, what: String) {
        self.count += 1;
        if self.count <= SHOWN_MAX {
            report.damage(Place::collection(index), what);
        }
    }

    fn finish(self, index: CollectionId, report: &mut Report<'_>, rows: u64, entries: u64) {
        let place = Place::collection(index);
        if self.count > SHOWN_MAX {
            let more = self.count - SHOWN_MAX;
            report.damage(
                place,
                format!("{more} more entries that are wrong or missing"),
            );
        } else if self.count == 0 {
            let what = format!("{rows} rows and {entries} entries that do not fit together");
            report.damage(place, what);
        }
    }
}

/// Every row has its entry.
fn entries_of_rows(
    view: &ReadView,
    table: &Arc<TableDef>,
    index: &IndexDef,
    report: &mut Report<'_>,
    wrong: &mut Wrong,
) -> Result<()> {
    let columns = index.reads();
    let mut keys: Vec<(RowId, Vec<u8>)> = Vec::new();
    each_batch(view, table, columns, |batch| {
        report.advance(batch.num_rows() as u64)?;
        keys.clear();
        entry_keys(table, index, batch, |row, key| {
            keys.push((row, key.to_vec()))
        })?;
        for (row, key) in &keys {
            let Some(value) = view.get(index.id, key)? else {
                wrong.add(index.id, report, format!("row {row} has no entry"));
                continue;
            };
            match row_of(&value) {
                Ok(found) if found == *row => {}
                Ok(other) => {
                    let what = match own_key(view, table, index, other)?.as_ref() == Some(key) {
                        true => format!("rows {other} and {row} have the same key"),
                        false => {
                            format!("row {row} has no entry: that of its key is row {other}'s")
                        }
                    };
                    wrong.add(index.id, report, what);
                }
                // The other side tells.
                Err(_) => {}
            }
        }
        Ok(())
    })
}

/// The key that a row has in an index; `None` when the row is not visible.
fn own_key(
    view: &ReadView,
    table: &TableDef,
    index: &IndexDef,
    row: RowId,
) -> Result<Option<Vec<u8>>> {
    let columns = index.reads();
    let batch = view.rows(table, &[row], &columns, true)?;
    let mut own = None;
    entry_keys(table, index, &batch, |_, key| own = Some(key.to_vec()))?;
    Ok(own)
}

/// Every entry names a row with that key.
fn rows_of_entries(
    view: &ReadView,
    table: &Arc<TableDef>,
    index: &IndexDef,
    report: &mut Report<'_>,
    wrong: &mut Wrong,
) -> Result<()> {
    let mut entries: Vec<(Vec<u8>, RowId)> = Vec::with_capacity(LOOKUP_ROWS);
    for entry in view.range(index.id, Bound::Unbounded, Bound::Unbounded)? {
        let (key, value) = entry?;
        match row_of(&value) {
            Ok(row) => entries.push((key, row)),
            Err(_) => {
                let what = format!("an entry of {} bytes is no row's", value.len());
                wrong.add(index.id, report, what);
            }
        }
        if entries.len() == LOOKUP_ROWS {
            look_up(view, table, index, &entries, report, wrong)?;
            entries.clear();
        }
    }
    look_up(view, table, index, &entries, report, wrong)
}

fn look_up(
    view: &ReadView,
    table: &Arc<TableDef>,
    index: &IndexDef,
    entries: &[(Vec<u8>, RowId)],
    report: &mut Report<'_>,
    wrong: &mut Wrong,
) -> Result<()> {
    report.advance(entries.len() as u64)?;
    let columns = index.reads();
    let rows: Vec<RowId> = entries.iter().map(|(_, row)| *row).collect();
    // The visible ones, in this order.
    let batch = view.rows(table, &rows, &columns, true)?;
    let mut keys: Vec<(RowId, Vec<u8>)> = Vec::with_capacity(batch.num_rows());
    entry_keys(table, index, &batch, |row, key| {
        keys.push((row, key.to_vec()))
    })?;
    let mut keys = keys.into_iter().peekable();
    for (key, row) in entries {
        match keys.next_if(|(visible, _)| visible == row) {
            None => {
                let or = index.predicate.map_or("", |_| ", or has none");
                let what = format!("an entry names row {row}, which is not there{or}");
                wrong.add(index.id, report, what);
            }
            Some((_, own)) if own != *key => {
                let what = format!("an entry of row {row} has another key than the row");
                wrong.add(index.id, report, what);
            }
            Some(_) => {}
        }
    }
    Ok(())
}
