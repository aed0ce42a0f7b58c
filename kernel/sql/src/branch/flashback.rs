//! FLASHBACK TABLE: the rows of a table become what they were.
//!
//! Only rows that were written since are looked at, all at once, so that unique keys may change places: they are
//! held in memory. They are written by the door that statements' rows go through, with referential actions off: what
//! a deleted parent took with it does not come back with it, and what would be without its parent is refused.
//!
//! A column that was added since keeps what it has in the rows that are there; a row that comes back gets the
//! column's default, as a new row does. Generated columns are worked out anew.

use std::collections::{BTreeSet, HashMap};

use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::interleave;
use arrow::record_batch::RecordBatch;
use heliosdb_storage::ids::{ColumnId, RowId, Ts};
use heliosdb_storage::{RowLockMode, TableLockMode};

use super::diff::split;
use super::lineage::{State, Tree};
use super::merge::retyped;
use crate::catalog::Relation;
use crate::catalog::access::Privileges;
use crate::catalog::meta::{ColumnMeta, TableMeta};
use crate::catalog::model::Table;
use crate::dml::insert::complete;
use crate::dml::write::Writer;
use crate::error::{Result, SqlError, state};
use crate::place;
use crate::plan::as_of::time::arrive;
use crate::session::Session;
use crate::types::extension;

impl Session {
    /// Makes a table's rows what they were; how many were written or deleted.
    ///
    /// # Errors
    ///
    /// 42501 for who may not read and write all of them, 42P01 when the table was not there then, 55000 when it was
    /// truncated or a column was given another type since, 22023 for a time to come or before its history.
    pub(crate) fn flashback_table(&mut self, name: &str, at: u64) -> Result<u64> {
        self.check_no_block("FLASHBACK TABLE")?;
        self.check_writable("FLASHBACK TABLE")?;
        let (_, catalog) = self.write_view()?;
        let table = self.flashed(&catalog.relation_named(name, &self.info.search_path())?)?;
        self.lock_table(table.collection_id(), TableLockMode::ShareRowExclusive)?;
        let (_, catalog) = self.write_view()?;
        let locked = table.collection_id();
        let table = catalog
            .relation(table.oid)
            .unwrap_or(Relation::Table(table));
        let table = self.flashed(&table)?;
        if table.collection_id() != locked {
            return Err(SqlError::new(
                state::SERIALIZATION_FAILURE,
                format!("table \"{}\" was rewritten meanwhile", table.name),
            ));
        }
        let meta = catalog.table_meta(table.oid)?;
        let engine = self.instance.engine().clone();
        let now = State {
            timeline: self.info.place().id(),
            ts: self.transaction()?.latest_view().ts(),
        };
        let present = engine.visible_view_on(now.timeline)?;
        arrive(&engine, &present, Ts(at), &self.info.format())?;
        let at = Ts(at).min(now.ts);
        let then = place::view_on(&engine, now.timeline, at)?;
        let before = self.instance.catalog(&then)?;
        let before = before.table(table.oid).ok_or_else(|| {
            SqlError::new(
                state::UNDEFINED_TABLE,
                format!("table \"{}\" was not there at that time", table.name),
            )
        })?;
        check_storage(before, &meta.table)?;
        let added: Vec<usize> = added_since(before, &meta).collect();
        let mut touched = BTreeSet::new();
        for (timeline, from, to) in Tree::of(&engine).path(now) {
            let from = from.max(at);
            if from < to {
                for row in engine.touched_on(timeline, meta.id(), from, to)? {
                    self.interrupt.check()?;
                    touched.insert(row?);
                }
            }
        }
        let touched: Vec<RowId> = touched.into_iter().collect();
        self.with_state(|session, state| {
            let target = session.write_target(state, &catalog, table.oid)?;
            let mut writer = Writer::merging(session, catalog.clone());
            let wait = session.lock_wait();
            for row in &touched {
                session.interrupt.check()?;
                let transaction = session.transaction()?;
                transaction.lock_row(meta.id(), *row, RowLockMode::Update, wait)?;
            }
            let old = then.rows(&meta.storage, &touched, &meta.all_columns(), true)?;
            let latest = session.transaction()?.latest_view();
            let of_now: Vec<ColumnId> = added.iter().map(|place| meta.columns[*place].id).collect();
            let live = latest.rows(&meta.storage, &touched, &of_now, true)?;
            let (were, are) = (ids(&old)?, ids(&live)?);
            let back: BTreeSet<RowId> = were.iter().copied().collect();
            let gone = are.iter().filter(|row| !back.contains(row));
            let gone: Vec<RowId> = gone.copied().collect();
            session.interrupt.check()?;
            writer.delete(session, &target, &gone)?;
            let changed = gone.len() + were.len();
            if !were.is_empty() {
                // A column that was added since may be NULL here where it must not be.
                let stored = old.columns().iter().zip(meta.schema.fields());
                let columns =
                    stored.map(|(values, field)| extension::wrapped_as(values, field.data_type()));
                let mut columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
                if !added.is_empty() {
                    let there: BTreeSet<RowId> = are.iter().copied().collect();
                    let back: Vec<RowId> = were
                        .iter()
                        .copied()
                        .filter(|r| !there.contains(r))
                        .collect();
                    let format = session.info.format();
                    let places: Vec<usize> = (0..meta.columns.len())
                        .filter(|place| !added.contains(place))
                        .collect();
                    let nothing = |place: &usize| {
                        new_null_array(meta.schema.field(*place).data_type(), back.len())
                    };
                    let given = places.iter().map(nothing).collect();
                    let fresh = complete(state, &target, &places, given, back.len(), &format)?;
                    for (place, now) in added.iter().zip(live.columns()) {
                        let ty = meta.schema.field(*place).data_type();
                        let now = extension::wrapped_as(now, ty)?;
                        columns[*place] = kept(&were, (&are, &now), (&back, &fresh[*place]))?;
                    }
                }
                let rows_and_columns = (columns, were.len());
                let batch = writer.check_rows(session, state, &target, rows_and_columns, None)?;
                session.interrupt.check()?;
                let storage = &target.meta.storage;
                writer.put(session, &target, storage, &were, &batch)?;
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
        let catalog = self.info.catalog();
        self.check_may_name(&catalog, relation)?;
        let role = self.info.role();
        let all = Privileges::SELECT | Privileges::INSERT | Privileges::UPDATE | Privileges::DELETE;
        role.check_table(&catalog, table, all)?;
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
fn ids(batch: &RecordBatch) -> Result<Vec<RowId>> {
    Ok(split(batch.columns())?.0)
}

/// The places of columns that the table had not got then.
fn added_since(before: &Table, meta: &TableMeta) -> impl Iterator<Item = usize> {
    let was_there = |column: &ColumnMeta| {
        let then = before.column_at(column.id.0);
        then.is_some_and(|then| !then.dropped)
    };
    let columns = meta.columns.iter().enumerate();
    columns.filter_map(move |(place, column)| (!was_there(column)).then_some(place))
}

/// Of each row what is there now, and of one that comes back what is fresh.
fn kept(
    rows: &[RowId],
    (there, now): (&[RowId], &ArrayRef),
    (back, fresh): (&[RowId], &ArrayRef),
) -> Result<ArrayRef> {
    let there = there.iter().copied().zip((0..).map(|place| (0, place)));
    let back = back.iter().copied().zip((0..).map(|place| (1, place)));
    let places: HashMap<RowId, (usize, usize)> = there.chain(back).collect();
    let picks = rows.iter().map(|row| places.get(row).copied());
    let picks: Option<Vec<(usize, usize)>> = picks.collect();
    let picks = picks.ok_or_else(|| SqlError::internal("a row that is nowhere"))?;
    Ok(interleave(&[now.as_ref(), fresh.as_ref()], &picks)?)
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
