//! FLASHBACK TABLE: the rows of a table become what they were.
//!
//! Only rows that were written since are looked at, all at once, so that unique keys may change places. They are written by the door that statements' rows go
//! through, with referential actions off: what a deleted parent took with it does not come back with it, and
//! what would be without its parent is refused.

use std::collections::BTreeSet;

use arrow::array::UInt64Array;
use heliosdb_storage::ids::{RowId, Ts};
use heliosdb_storage::{LockWait, RowLockMode, TableLockMode};

use super::lineage::{State, Tree};
use super::merge::retyped;
use crate::catalog::Relation;
use crate::catalog::access::Privileges;
use crate::catalog::model::Table;
use crate::dml::write::Writer;
use crate::error::{Result, SqlError, state};
use crate::place;
use crate::session::Session;

impl Session {
    /// Makes a table's rows what they were; how many were written or deleted.
    ///
    /// # Errors
    ///
    /// 42501 for who may not read and write all of them, 42P01 when the table was not there then, 55000 when it was
    /// truncated or a column was given another type since, 72000 for a time before its history.
    pub(crate) fn flashback_table(&mut self, name: &str, at: u64) -> Result<u64> {
        self.check_no_block("FLASHBACK TABLE")?;
        self.check_writable("FLASHBACK TABLE")?;
        let (_, catalog) = self.write_view()?;
        let table = self.flashed(&catalog.relation_named(name, &self.info.search_path())?)?;
        self.lock_table(table.collection_id(), TableLockMode::ShareRowExclusive)?;
        let (_, catalog) = self.write_view()?;
        let meta = catalog.table_meta(table.oid)?;
        let engine = self.instance.engine().clone();
        let now = State {
            timeline: self.info.place().id(),
            ts: self.transaction()?.latest_view().ts(),
        };
        let at = Ts(at);
        if at > now.ts {
            return Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                "cannot flash a table back to a time in the future",
            ));
        }
        let then = place::view_on(&engine, now.timeline, at)?;
        let before = self.instance.catalog(&then)?;
        let before = before.table(table.oid).ok_or_else(|| {
            SqlError::new(
                state::UNDEFINED_TABLE,
                format!("table \"{}\" was not there at that time", table.name),
            )
        })?;
        check_storage(before, &meta.table)?;
        let mut touched = BTreeSet::new();
        for (timeline, from, to) in Tree::of(&engine).path(now) {
            let from = from.max(at);
            if from < to {
                for row in engine.touched_on(timeline, meta.id(), from, to)? {
                    touched.insert(row?);
                }
            }
        }
        let touched: Vec<RowId> = touched.into_iter().collect();
        self.with_state(|session, state| {
            let target = session.write_target(state, &catalog, table.oid)?;
            let mut writer = Writer::merging(session, catalog.clone());
            for row in &touched {
                let transaction = session.transaction()?;
                transaction.lock_row(meta.id(), *row, RowLockMode::Update, LockWait::Block)?;
            }
            let old = then.rows(&meta.storage, &touched, &meta.all_columns(), true)?;
            let latest = session.transaction()?.latest_view();
            let live = latest.rows(&meta.storage, &touched, &[], true)?;
            let (were, are) = (ids(&old)?, ids(&live)?);
            let gone: Vec<RowId> = are.difference(&were).copied().collect();
            writer.delete(session, &target, &gone)?;
            let changed = gone.len() + were.len();
            if !were.is_empty() {
                let columns = meta.read(&old)?.columns()[..meta.columns.len()].to_vec();
                let rows: Vec<RowId> = were.into_iter().collect();
                let rows_and_columns = (columns, rows.len());
                let batch = writer.check_rows(session, state, &target, rows_and_columns, None)?;
                let storage = &target.meta.storage;
                writer.put(session, &target, storage, &rows, &batch)?;
            }
            writer.finish(session, state)?;
            Ok(changed as u64)
        })
    }

    /// A table that the role may read and write whole.
    fn flashed(&self, relation: &Relation) -> Result<std::sync::Arc<Table>> {
        let Relation::Table(table) = relation else {
            return Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a table", relation.name()),
            ));
        };
        let role = self.info.role();
        let all = Privileges::SELECT | Privileges::INSERT | Privileges::UPDATE | Privileges::DELETE;
        role.check_table(&self.info.catalog(), table, all)?;
        match role.is_bound_by(table) {
            false => Ok(table.clone()),
            true => Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                format!(
                    "table \"{}\" has row security, and is flashed back by who is not bound by it",
                    table.name
                ),
            )),
        }
    }
}

/// The ids of rows, which are their last column, in their order.
fn ids(batch: &arrow::record_batch::RecordBatch) -> Result<BTreeSet<RowId>> {
    let last = batch.columns().last();
    let ids = last.and_then(|ids| ids.as_any().downcast_ref::<UInt64Array>());
    let ids = ids.ok_or_else(|| SqlError::internal("rows without ids"))?;
    Ok(ids.values().iter().map(|id| RowId(*id)).collect())
}

/// 55000 when the rows of then are not where they are now.
fn check_storage(before: &Table, now: &Table) -> Result<()> {
    let what = match retyped(before, now) {
        _ if before.collection != now.collection => {
            "it was truncated or rewritten since".to_owned()
        }
        Some(column) => format!("column \"{}\" was given another type since", column.name),
        None => return Ok(()),
    };
    Err(SqlError::new(
        state::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("table \"{}\" cannot be flashed back", now.name),
    )
    .with_detail(format!("That is because {what}."))
    .with_hint("Read it AS OF that time, and insert what is wanted."))
}
