//! The one door through which rows change.
//!
//! A [`Writer`] lives for one statement. Rows are checked as they are written: NOT NULL, CHECK, the
//! constraints of plugins, unique keys (by storage, and those of very many rows at the end of the statement,
//! see [`bulk`]). Foreign keys are checked after: those of written rows per batch, or at the end
//! of the statement when a table references itself; those that reference changed rows at the end,
//! when their actions run. Actions write through the same door, so they are checked too, and may
//! cause further actions.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{CollectionId, RowId};
use heliosdb_storage::schema::TableDef;

use super::bulk::{self, Incoming};
use super::foreign_key::{self, PendingAction, PendingCheck};
use super::generated::Programs;
use super::target::{ForeignKeyTarget, WriteTarget};
use crate::catalog::model::ReferentialAction;
use crate::catalog::{CatalogSnapshot, Oid};
use crate::error::{Result, SqlError, state};
use crate::monitor::relations::Count;
use crate::plan::compile::Program;
use crate::plan::computed::shown;
use crate::plugin::constraint::{PluginCheck, explain};
use crate::session::Session;
use crate::session::planning::LazyState;
use crate::types::{Format, PgType, encode_text, extension};

/// Values longer than this are cut in messages, as PostgreSQL does.
const SHOWN_CHARS_MAX: usize = 64;

pub(crate) struct Writer {
    pub catalog: Arc<CatalogSnapshot>,
    pub format: Format,
    conditions: HashMap<Oid, Program>,
    programs: Programs,
    /// Keys already found in a referenced table, per foreign key.
    pub(super) found: HashMap<Oid, HashSet<Box<[u8]>>>,
    pub(super) checks: Vec<PendingCheck>,
    pub(super) actions: VecDeque<PendingAction>,
    incoming: Option<Incoming>,
    checks_at_once: bool,
    /// Referential actions do nothing but check: what they would change is decided already.
    acts: bool,
    /// Rows that the statement made, changed or deleted, when it has several parts that may.
    changed: Option<HashSet<(CollectionId, RowId)>>,
}

impl Writer {
    pub fn new(session: &Session, catalog: Arc<CatalogSnapshot>) -> Writer {
        Writer {
            catalog,
            format: session.info.format(),
            conditions: HashMap::new(),
            programs: Programs::new(),
            found: HashMap::new(),
            checks: Vec::new(),
            actions: VecDeque::new(),
            incoming: None,
            checks_at_once: false,
            acts: true,
            changed: None,
        }
    }

    /// One for a statement of several parts. A row that one of them has changed is left alone by the others,
    /// and foreign keys are checked when all have run.
    pub fn of_parts(session: &Session, catalog: Arc<CatalogSnapshot>) -> Writer {
        Writer {
            changed: Some(HashSet::new()),
            ..Writer::new(session, catalog)
        }
    }

    /// One for rows that are as they were on another branch. Nothing is made of them, and everything is checked
    /// when all are in.
    pub fn merging(session: &Session, catalog: Arc<CatalogSnapshot>) -> Writer {
        Writer {
            checks_at_once: true,
            acts: false,
            ..Writer::of_parts(session, catalog)
        }
    }

    /// What to do with children whose parent went or changed.
    pub(super) fn action(&self, action: ReferentialAction) -> ReferentialAction {
        match self.acts {
            true => action,
            false => ReferentialAction::NoAction,
        }
    }

    /// Whether other parts of the statement may bring what a foreign key is missing.
    pub(super) fn has_parts(&self) -> bool {
        self.changed.is_some()
    }

    /// The places of the rows that no other part has changed, when there are others.
    pub(super) fn left_alone(&self, table: CollectionId, rows: &[RowId]) -> Option<Vec<u64>> {
        let changed = self.changed.as_ref().filter(|c| !c.is_empty())?;
        let left: Vec<u64> = (0u64..)
            .zip(rows)
            .filter(|(_, row)| !changed.contains(&(table, **row)))
            .map(|(place, _)| place)
            .collect();
        (left.len() < rows.len()).then_some(left)
    }

    /// Whether a part of the statement has made or changed a row.
    pub(super) fn has_changed(&self, table: CollectionId, row: RowId) -> bool {
        let changed = self.changed.as_ref();
        changed.is_some_and(|changed| changed.contains(&(table, row)))
    }

    pub(super) fn note_changed(&mut self, table: CollectionId, rows: &[RowId]) {
        if let Some(changed) = &mut self.changed {
            changed.extend(rows.iter().map(|row| (table, *row)));
        }
    }

    /// Puts in the new rows that are not in yet: another part of the statement comes.
    pub fn settle(&mut self, session: &mut Session) -> Result<()> {
        match self.incoming.take() {
            Some(incoming) => incoming.settle(self, session),
            None => Ok(()),
        }
    }

    /// One for which no check waits for the end of the transaction, as where a constraint is new.
    pub fn checking_at_once(session: &Session, catalog: Arc<CatalogSnapshot>) -> Writer {
        Writer {
            checks_at_once: true,
            ..Writer::new(session, catalog)
        }
    }

    /// Whether the check of a foreign key waits for the end of the transaction.
    pub(super) fn waits(&self, session: &Session, fk: &ForeignKeyTarget) -> bool {
        !self.checks_at_once && session.waits(fk)
    }

    /// Checks columns (one per live column of the table) and makes a batch of them. `changed` are
    /// the places of the columns that an update may have changed; all of them for new rows. A table may have no
    /// columns, so the number of `rows` is said.
    pub fn check_rows(
        &mut self,
        session: &mut Session,
        state: &LazyState,
        target: &WriteTarget,
        (columns, rows): (Vec<ArrayRef>, usize),
        changed: Option<&[usize]>,
    ) -> Result<RecordBatch> {
        let mut columns = columns;
        let (generated, meta) = (&target.generated, &target.meta);
        let programs = &mut self.programs;
        generated.fill(state, programs, meta, &mut columns, changed, &self.format)?;
        let all_changed = changed.map(|changed| generated.changed_with(changed));
        let changed = all_changed.as_deref();
        for (place, (column, array)) in target.meta.columns.iter().zip(&columns).enumerate() {
            if let Some(rules) = &column.domain
                && changed.is_none_or(|changed| changed.contains(&place))
            {
                rules.check(array)?;
            }
        }
        for (column, array) in target.meta.columns.iter().zip(&columns) {
            if column.not_null
                && array.null_count() > 0
                && let Some(row) = (0..array.len()).find(|i| array.is_null(*i))
            {
                return Err(SqlError::new(
                    state::NOT_NULL_VIOLATION,
                    format!(
                        "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                        column.name,
                        target.name()
                    ),
                )
                .with_detail(self.failing_row(target, &columns, row))
                .with_table(&target.schema_name, target.name())
                .with_column(&column.name));
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = target.meta.schema.clone();
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
        if !target.checks.is_empty() {
            self.check_conditions(state, target, &batch)?;
        }
        for check in &target.plugin_checks {
            if changed.is_none_or(|places| check.reads_any(places)) {
                self.check_with_plugin(session, check, target, &batch)?;
            }
        }
        Ok(batch)
    }

    fn check_with_plugin(
        &self,
        session: &mut Session,
        check: &PluginCheck,
        target: &WriteTarget,
        batch: &RecordBatch,
    ) -> Result<()> {
        let columns = check.columns_of(batch)?;
        let Some(violation) = check.first_violation(session, &columns)? else {
            return Ok(());
        };
        let error = new_row_violates(target, check.name()).with_detail(self.failing_row(
            target,
            batch.columns(),
            violation.row,
        ));
        Err(explain(error, violation))
    }

    fn check_conditions(
        &mut self,
        state: &LazyState,
        target: &WriteTarget,
        batch: &RecordBatch,
    ) -> Result<()> {
        let program = match self.conditions.entry(target.meta.table.oid) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(target.conditions.prepare(state, &[])?),
        }
        .clone();
        for (i, constraint) in target.checks.iter().enumerate() {
            let holds = program.condition(i, batch)?;
            // NULL is not a violation.
            if let Some(row) = (0..holds.len()).find(|r| holds.is_valid(*r) && !holds.value(*r)) {
                return Err(new_row_violates(target, &constraint.name)
                    .with_detail(self.failing_row(target, batch.columns(), row)));
            }
        }
        Ok(())
    }

    fn failing_row(&self, target: &WriteTarget, columns: &[ArrayRef], row: usize) -> String {
        let values: Vec<String> = target
            .meta
            .columns
            .iter()
            .zip(columns)
            .map(|(column, array)| {
                if array.is_null(row) {
                    return "null".to_owned();
                }
                let mut text = String::new();
                encode_text(array.as_ref(), row, &column.ty, &self.format, &mut text);
                if text.chars().count() > SHOWN_CHARS_MAX {
                    text = text.chars().take(SHOWN_CHARS_MAX).collect::<String>() + "...";
                }
                text
            })
            .collect();
        format!("Failing row contains ({}).", values.join(", "))
    }

    /// Takes rows that [`check_rows`](Self::check_rows) passed. They are in at the end of the statement.
    pub fn insert(
        &mut self,
        session: &mut Session,
        target: &Arc<WriteTarget>,
        batch: RecordBatch,
    ) -> Result<()> {
        if !target.plugin_checks.is_empty() || (self.has_parts() && !target.foreign_keys.is_empty())
        {
            return self.insert_now(session, target, &batch);
        }
        let known = self.incoming.take();
        let mut incoming = known.unwrap_or_else(|| Incoming::new(target));
        let pushed = incoming.push(self, session, batch);
        self.incoming = Some(incoming);
        pushed
    }

    /// Inserts rows one by one.
    pub(super) fn insert_now(
        &mut self,
        session: &mut Session,
        target: &WriteTarget,
        batch: &RecordBatch,
    ) -> Result<()> {
        let rows = session
            .transaction()?
            .insert(&target.meta.storage, extension::stored(batch)?.as_ref())
            .map_err(|e| self.explain(target, e))?;
        target.meta.counters.add(Count::Inserted, rows.len());
        self.note_changed(target.meta.id(), &rows);
        self.note_inserted(session, target, batch)
    }

    /// What a statement that failed with `error` is to say: a key that was taken before, if there is one.
    pub fn fail(&mut self, session: &mut Session, error: SqlError) -> SqlError {
        match self.incoming.take() {
            Some(incoming) if bulk::is_of_a_row(&error) => {
                bulk::earlier(error, incoming.settle(self, session))
            }
            _ => error,
        }
    }

    /// Checks the foreign keys of rows that are in.
    pub fn note_inserted(
        &mut self,
        session: &mut Session,
        target: &WriteTarget,
        batch: &RecordBatch,
    ) -> Result<()> {
        for fk in &target.foreign_keys {
            foreign_key::check_rows(self, session, fk, batch)?;
        }
        Ok(())
    }

    /// Replaces locked rows. `changed` are the places of the columns that may differ.
    pub fn update(
        &mut self,
        session: &mut Session,
        target: &WriteTarget,
        rows: &[RowId],
        batch: &RecordBatch,
        changed: &[usize],
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let changed = target.generated.changed_with(changed);
        let touches = |columns: &[u16]| {
            changed
                .iter()
                .any(|p| columns.contains(&target.meta.columns[*p].id.0))
        };
        let referenced = target
            .referenced_by
            .iter()
            .any(|fk| touches(&fk.key.referenced_columns));
        let old = if referenced {
            let all = target.meta.all_columns();
            let view = session.transaction()?.latest_view();
            let old = view.rows(&target.meta.storage, rows, &all, false)?;
            Some(target.meta.read(&old)?)
        } else {
            None
        };
        session
            .transaction()?
            .update(
                &target.meta.storage,
                rows,
                extension::stored(batch)?.as_ref(),
            )
            .map_err(|e| self.explain(target, e))?;
        target.meta.counters.add(Count::Updated, rows.len());
        for fk in &target.foreign_keys {
            if touches(&fk.key.columns) {
                foreign_key::check_rows(self, session, fk, batch)?;
            }
        }
        if let Some(old) = old {
            for fk in &target.referenced_by {
                if touches(&fk.key.referenced_columns) {
                    foreign_key::note_parent_updated(self, fk, &old, batch)?;
                }
            }
        }
        Ok(())
    }

    /// Makes locked rows what they were on another branch, with the ids that they have there. `storage` has those
    /// indexes of the table that are kept.
    pub fn put(
        &mut self,
        session: &mut Session,
        target: &WriteTarget,
        storage: &TableDef,
        rows: &[RowId],
        batch: &RecordBatch,
    ) -> Result<()> {
        let all = target.meta.all_columns();
        let view = session.transaction()?.latest_view();
        let old = match target.referenced_by.is_empty() {
            true => None,
            false => Some(view.rows(&target.meta.storage, rows, &all, false)?),
        };
        session
            .transaction()?
            .put_rows(storage, rows, extension::stored(batch)?.as_ref())
            .map_err(|e| self.explain(target, e))?;
        target.meta.counters.add(Count::Updated, rows.len());
        for fk in &target.foreign_keys {
            foreign_key::check_rows(self, session, fk, batch)?;
        }
        if let Some(old) = old {
            let old = target.meta.read(&old)?;
            for fk in &target.referenced_by {
                // A key that stays is there when it is looked for.
                foreign_key::note_parent_deleted(self, fk, &old)?;
            }
        }
        Ok(())
    }

    /// Deletes locked rows.
    pub fn delete(
        &mut self,
        session: &mut Session,
        target: &WriteTarget,
        rows: &[RowId],
    ) -> Result<()> {
        self.delete_from(session, target, &target.meta.storage, rows)
    }

    /// The same where not all indexes of the table are kept, but those that `storage` has.
    pub fn delete_from(
        &mut self,
        session: &mut Session,
        target: &WriteTarget,
        storage: &TableDef,
        rows: &[RowId],
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        if !target.referenced_by.is_empty() {
            let all = target.meta.all_columns();
            let view = session.transaction()?.latest_view();
            let old = view.rows(&target.meta.storage, rows, &all, false)?;
            let old = target.meta.read(&old)?;
            for fk in &target.referenced_by {
                foreign_key::note_parent_deleted(self, fk, &old)?;
            }
        }
        session
            .transaction()?
            .delete(storage, rows)
            .map_err(|e| self.explain(target, e))?;
        target.meta.counters.add(Count::Deleted, rows.len());
        Ok(())
    }

    /// The end of the statement: rows that are not in yet, referential actions, then the checks that waited.
    pub fn finish(&mut self, session: &mut Session, state: &LazyState) -> Result<()> {
        self.settle(session)?;
        while let Some(action) = self.actions.pop_front() {
            foreign_key::run_action(self, session, state, action)?;
        }
        for check in std::mem::take(&mut self.checks) {
            foreign_key::run_check(self, session, check)?;
        }
        Ok(())
    }

    /// Gives a storage error the names of the table's objects.
    pub fn explain(&self, target: &WriteTarget, error: heliosdb_storage::Error) -> SqlError {
        explain_unique(&target.meta, &target.schema_name, &self.format, error)
    }
}

fn new_row_violates(target: &WriteTarget, constraint: &str) -> SqlError {
    SqlError::new(
        state::CHECK_VIOLATION,
        format!(
            "new row for relation \"{}\" violates check constraint \"{constraint}\"",
            target.name(),
        ),
    )
    .with_table(&target.schema_name, target.name())
    .with_constraint(constraint)
}

/// A unique violation in PostgreSQL's words; any other error as it is.
pub(crate) fn explain_unique(
    meta: &crate::catalog::meta::TableMeta,
    schema_name: &str,
    format: &Format,
    error: heliosdb_storage::Error,
) -> SqlError {
    let heliosdb_storage::Error::UniqueViolation { index, key, .. } = &error else {
        return SqlError::from(error);
    };
    let Some(found) = meta.indexes.iter().find(|i| i.collection == index.0) else {
        return SqlError::from(error);
    };
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (part, value) in found.columns.iter().zip(key) {
        let column = meta.table.column_at(part.column);
        let (name, ty, typmod) = match (found.expression(part), column) {
            (Some(e), _) => (
                shown(e, &meta.table),
                PgType::from_oid(e.type_oid),
                e.typmod,
            ),
            (None, Some(c)) => (c.name.clone(), Some(c.ty()), c.typmod),
            (None, None) => continue,
        };
        names.push(name);
        values.push(ty.map_or_else(String::new, |ty| value_text(&ty, typmod, value, format)));
    }
    SqlError::new(
        state::UNIQUE_VIOLATION,
        format!(
            "duplicate key value violates unique constraint \"{}\"",
            found.name
        ),
    )
    .with_detail(format!(
        "Key ({})=({}) already exists.",
        names.join(", "),
        values.join(", ")
    ))
    .with_table(schema_name, &meta.table.name)
    .with_constraint(&found.name)
}

/// The values of a key of columns as messages show them.
pub(crate) fn key_text(
    meta: &crate::catalog::meta::TableMeta,
    columns: &[u16],
    key: &[Datum],
    format: &Format,
) -> String {
    let values = columns.iter().zip(key).map(|(column, value)| {
        let column = meta.table.column_at(*column);
        column.map_or_else(String::new, |c| {
            value_text(&c.ty(), c.typmod, value, format)
        })
    });
    values.collect::<Vec<_>>().join(", ")
}

fn value_text(ty: &PgType, typmod: i32, value: &Datum, format: &Format) -> String {
    let mut text = String::new();
    let array = ty
        .column_type(typmod)
        .ok()
        .and_then(|stored| value.to_array(&stored).ok());
    match array {
        Some(array) if array.is_valid(0) => {
            encode_text(array.as_ref(), 0, ty, format, &mut text);
        }
        _ => text.push_str("null"),
    }
    text
}
