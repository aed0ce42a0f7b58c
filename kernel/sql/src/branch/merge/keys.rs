//! Unique keys of what is written.
//!
//! Two rows may have one key: one that is written and one that stays as it is on the target, or two that are
//! written. The row that has the key on the target is the target's, the other one the source's. Whoever wins keeps its
//! row; the other row becomes what it is on the winner's side, and goes if it is not there. That may give it
//! another key, which is looked at again; but each row is decided once.
//!
//! Where the target has the key in neither row, both came from the source or the key came together of cells of both
//! sides. Nobody wins that.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::filter;
use arrow::record_batch::RecordBatch;
use heliosdb_plugin_host::services::Conflict;
use heliosdb_storage::RowLockMode;
use heliosdb_storage::ids::{ColumnId, RowId};

use super::Progress;
use super::cells::Comparison;
use super::resolve::Winner;
use super::rows::TableWork;
use crate::error::{Result, SqlError};
use crate::session::Session;
use crate::types::{encode_text, extension};

/// Two rows that would have one key.
struct Clash {
    /// A place among the table's indexes.
    index: usize,
    /// The row that is written, and how the key shows.
    row: RowId,
    key: String,
    other: RowId,
    /// The one that has the key on the target.
    of_target: Option<RowId>,
}

impl Session {
    /// Decides about keys that two rows would have.
    pub(super) fn resolve_keys(
        &mut self,
        work: &mut TableWork,
        progress: &mut Progress,
    ) -> Result<()> {
        let Some(name) = work.compared.as_ref().map(|compared| compared.name.clone()) else {
            return Ok(());
        };
        let (mut locked, mut decided) = (BTreeSet::new(), BTreeSet::new());
        loop {
            let clashes = self.clashes(work)?;
            if clashes.is_empty() {
                return Ok(());
            }
            let rows = clashes.iter().flat_map(|clash| [clash.row, clash.other]);
            let rows: BTreeSet<RowId> = rows.filter(|row| !locked.contains(row)).collect();
            if !rows.is_empty() {
                // Others may have changed them before, so that they have another key now.
                let (table, wait) = (work.storage.id(), self.lock_wait());
                for row in rows {
                    let transaction = self.transaction()?;
                    transaction.lock_row(table, row, RowLockMode::Update, wait)?;
                    locked.insert(row);
                }
                continue;
            }
            let mut losers = BTreeMap::new();
            let mut is_stuck = false;
            for clash in clashes {
                let source_row = match clash.of_target {
                    Some(of_target) if of_target == clash.row => Some(clash.other),
                    Some(_) => Some(clash.row),
                    None => None,
                };
                let decision = progress.policies.winner().and_then(|winner| {
                    let loser = match winner {
                        Winner::Source => clash.of_target?,
                        Winner::Target => source_row?,
                    };
                    (!decided.contains(&loser)).then_some((loser, winner))
                });
                let index = &work.storage.indexes[clash.index];
                progress.conflict(Conflict {
                    kind: "unique".to_owned(),
                    object: name.clone(),
                    row: Some(clash.row.0),
                    key: (!clash.key.is_empty()).then_some(clash.key),
                    detail: Some(match clash.of_target {
                        Some(_) => format!("another row has this key of \"{}\"", index.name),
                        None => format!("two rows come to this key of \"{}\"", index.name),
                    }),
                    resolution: decision.map(|(_, winner)| winner.name()),
                    ..Conflict::default()
                });
                match decision {
                    Some((loser, winner)) => {
                        losers.insert(loser, winner);
                    }
                    None => is_stuck = true,
                }
            }
            if is_stuck {
                return Ok(());
            }
            decided.extend(losers.keys().copied());
            self.give_way(work, &losers)?;
        }
    }

    /// Keys of unique indexes that two rows would have, one for each pair of rows.
    fn clashes(&mut self, work: &TableWork) -> Result<Vec<Clash>> {
        let meta = work.storage.clone();
        let gone: BTreeSet<RowId> = work.deleted.iter().copied().collect();
        let written = work.written.iter().flat_map(|(rows, _)| rows);
        let written: BTreeSet<RowId> = written.copied().collect();
        let mut pairs = BTreeSet::new();
        let mut clashes = Vec::new();
        for (place, index) in meta.indexes.iter().enumerate() {
            if !index.unique {
                continue;
            }
            let storage = &meta.storage.indexes[place];
            let mut taken: HashMap<Vec<u8>, RowId> = HashMap::new();
            for (rows, columns) in &work.written {
                self.interrupt.check()?;
                let batch = RecordBatch::try_new(meta.schema.clone(), columns.clone());
                // What is NULL where it must not be is told when the row is checked.
                let Ok(batch) = batch else { continue };
                let batch = extension::stored(&batch)?;
                let transaction = self.transaction()?;
                let keys = transaction.keys_of_rows(&meta.storage, place, rows, batch.as_ref())?;
                for (at, (row, key)) in rows.iter().zip(keys).enumerate() {
                    let Some(key) = key else { continue };
                    let transaction = self.transaction()?;
                    let now = transaction.row_of_key(&meta.storage, storage, &key)?;
                    let stays = now.filter(|now| !gone.contains(now) && !written.contains(now));
                    let other = taken.get(&key).copied().or(stays);
                    let Some(other) = other else {
                        taken.insert(key, *row);
                        continue;
                    };
                    if other == *row || !pairs.insert((*row.min(&other), *row.max(&other))) {
                        continue;
                    }
                    clashes.push(Clash {
                        index: place,
                        row: *row,
                        key: self.shown_key(work, place, (columns, at)),
                        other,
                        of_target: now.filter(|now| *now == *row || *now == other),
                    });
                }
            }
        }
        Ok(clashes)
    }

    /// A key as messages show it; nothing for one with an expression in it.
    fn shown_key(
        &self,
        work: &TableWork,
        index: usize,
        (columns, at): (&[ArrayRef], usize),
    ) -> String {
        let (meta, format) = (&work.storage, self.info.format());
        let parts = meta.indexes[index].columns.iter().map(|part| {
            let place = meta.position(ColumnId(part.column))?;
            let column = &meta.columns[place];
            let mut text = String::new();
            encode_text(columns[place].as_ref(), at, &column.ty, &format, &mut text);
            Some(format!("{}={text}", column.name))
        });
        let parts: Option<Vec<String>> = parts.collect();
        parts.unwrap_or_default().join(", ")
    }

    /// Makes locked rows what they are on the side that won.
    fn give_way(&mut self, work: &mut TableWork, losers: &BTreeMap<RowId, Winner>) -> Result<()> {
        let latest = self.transaction()?.latest_view();
        for (rows, columns) in &mut work.written {
            if !rows.iter().any(|row| losers.contains_key(row)) {
                continue;
            }
            let kept: Vec<bool> = rows.iter().map(|row| !losers.contains_key(row)).collect();
            let kept = BooleanArray::from(kept);
            for column in columns.iter_mut() {
                *column = filter(column.as_ref(), &kept)?;
            }
            rows.retain(|row| !losers.contains_key(row));
        }
        work.written.retain(|(rows, _)| !rows.is_empty());
        work.new.retain(|row| !losers.contains_key(row));
        let Some(compared) = &work.compared else {
            return Err(SqlError::internal("a copied table has no two sides"));
        };
        let rows: Vec<RowId> = losers.keys().copied().collect();
        let mut comparison = Comparison::of(compared, &latest, &rows)?;
        for (row, winner) in losers {
            comparison.side_with(*row, *winner);
        }
        let columns = self.columns_of(&work.target, &comparison)?;
        work.deleted.append(&mut comparison.deleted);
        work.new.append(&mut comparison.new);
        if !comparison.rows.is_empty() {
            work.written.push((comparison.rows, columns));
        }
        Ok(())
    }
}
