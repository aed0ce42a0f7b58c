//! Rows of tables, by their ids and cell by cell.
//!
//! All three states are read with the target's definition as it is when the definitions are merged: a column
//! that a state has not got reads as the value that it was added with. Cells are the same when their stored
//! bytes are. A column is compared where it is: one that a side has not got was not changed there, even though
//! rows that were written there may have a place for it. Where the target had left that place free, the rows that
//! it wrote since get what the source has in the column, or the column's first value.
//!
//! A table that the source made, or gave a new storage (TRUNCATE, a column of another type), is copied: its
//! rows are new as a whole.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute::interleave;
use heliosdb_plugin_host::services::{Conflict, Resolver};
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{ColumnId, RowId, Ts};
use heliosdb_storage::view::index::key_types;
use heliosdb_storage::{ReadView, RowLockMode, ScanRequest, TableLockMode};

use super::resolve::{Cell, Winner};
use super::schema::{Catalogs, Copied, retyped};
use super::{Progress, Sides, State};
use crate::catalog::CatalogSnapshot;
use crate::catalog::access::Privileges;
use crate::catalog::meta::{ColumnMeta, TableMeta};
use crate::dml::target::WriteTarget;
use crate::dml::write::Writer;
use crate::error::{Result, SqlError, state};
use crate::session::Session;
use crate::types::{Format, encode_text, extension};

/// Rows that are compared at once.
const CHUNK_ROWS: usize = 4096;

/// What a merge does to a table.
struct TableWork {
    target: Arc<WriteTarget>,
    deleted: Vec<RowId>,
    /// Rows that are written, with a batch of every live column for each chunk.
    written: Vec<(Vec<RowId>, Vec<ArrayRef>)>,
    inserted: u64,
}

/// Rows of one state, as stored and as plans have them.
struct Images {
    places: HashMap<RowId, usize>,
    columns: Vec<ArrayRef>,
}

impl Images {
    fn read(view: &ReadView, meta: &TableMeta, rows: &[RowId]) -> Result<Images> {
        let batch = view.rows(&meta.storage, rows, &meta.all_columns(), true)?;
        let Some((ids, columns)) = batch.columns().split_last() else {
            return Err(SqlError::internal("rows without ids"));
        };
        let ids = ids.as_any().downcast_ref::<UInt64Array>();
        let ids = ids.ok_or_else(|| SqlError::internal("row ids of another type"))?;
        let places = ids.values().iter().enumerate();
        Ok(Images {
            places: places.map(|(place, id)| (RowId(*id), place)).collect(),
            columns: columns.to_vec(),
        })
    }

    fn cell(&self, column: usize, place: usize) -> Result<Datum> {
        Ok(Datum::from_array(self.columns[column].as_ref(), place)?)
    }

    fn text(
        &self,
        column: &ColumnMeta,
        at: usize,
        place: usize,
        format: &Format,
    ) -> Option<String> {
        let values = &self.columns[at];
        if values.is_null(place) {
            return None;
        }
        let values = extension::wrapped_as(values, &column.ty.arrow_typmod(column.typmod)).ok()?;
        let mut text = String::new();
        encode_text(values.as_ref(), place, &column.ty, format, &mut text);
        Some(text)
    }
}

/// Stored bytes tell: a NaN is the same as itself.
fn is_same(a: &Datum, b: &Datum) -> bool {
    a == b || a.encode() == b.encode()
}

/// Which columns the states have, by their places.
#[derive(Clone)]
struct Has {
    base: Vec<bool>,
    source: Vec<bool>,
    target: Vec<bool>,
    /// The target left the column's place free.
    filled: Vec<bool>,
}

impl Has {
    fn new(catalogs: &Catalogs, meta: &TableMeta) -> Has {
        let ids = || meta.columns.iter().map(|column| column.id.0);
        let of = |catalog: &CatalogSnapshot| -> Vec<Option<bool>> {
            let table = catalog.table(meta.table.oid);
            let column = |id| table.and_then(|table| table.column_at(id));
            ids().map(|id| column(id).map(|c| !c.dropped)).collect()
        };
        let is_there = |found: &[Option<bool>]| found.iter().map(|c| *c == Some(true)).collect();
        let (base, source) = (of(&catalogs.base), of(&catalogs.source));
        let target = of(&catalogs.target);
        Has {
            base: is_there(&base),
            source: is_there(&source),
            target: is_there(&target),
            filled: target.iter().map(|c| *c == Some(false)).collect(),
        }
    }
}

/// Where the value of a cell comes from.
#[derive(Clone, Copy)]
enum From {
    Source(usize),
    Target(usize),
    /// A place among values that were worked out.
    Resolved(usize),
}

/// The comparison of a chunk of rows.
struct Comparison<'a> {
    meta: &'a TableMeta,
    name: String,
    key: Vec<usize>,
    resolvers: Vec<Option<Resolver>>,
    format: Format,
    base: Images,
    source: Images,
    target: Images,
    has: Has,
    /// For `latest`: when a row was written last, on the source and on the target.
    times: HashMap<RowId, (Option<Ts>, Option<Ts>)>,
    rows: Vec<RowId>,
    /// By column, for each of `rows`.
    cells: Vec<Vec<From>>,
    resolved: Vec<Vec<Datum>>,
    deleted: Vec<RowId>,
    inserted: u64,
}

impl Comparison<'_> {
    fn conflict(&self, row: RowId, kind: &str) -> Conflict {
        let sides = [&self.target, &self.source, &self.base];
        let key = sides.iter().find_map(|images| {
            let place = *images.places.get(&row)?;
            let values = self.key.iter().map(|at| {
                let column = &self.meta.columns[*at];
                let text = images.text(column, *at, place, &self.format);
                format!(
                    "{}={}",
                    column.name,
                    text.unwrap_or_else(|| "null".to_owned())
                )
            });
            Some(values.collect::<Vec<_>>().join(", "))
        });
        Conflict {
            kind: kind.to_owned(),
            object: self.name.clone(),
            row: Some(row.0),
            key: key.filter(|key| !key.is_empty()),
            ..Conflict::default()
        }
    }

    fn row(&mut self, row: RowId, progress: &mut Progress) -> Result<()> {
        let place = |images: &Images| images.places.get(&row).copied();
        let (base, source, target) = (place(&self.base), place(&self.source), place(&self.target));
        match (base, source, target) {
            (None, None, Some(target)) => self.fill(row, target),
            (_, None, None) => Ok(()),
            (None, Some(source), None) => {
                self.take_source(row, source)?;
                self.inserted += 1;
                Ok(())
            }
            (Some(base), None, Some(target)) => {
                if self.is_unchanged(base, (&self.target, target), &self.has.target)? {
                    self.deleted.push(row);
                    return Ok(());
                }
                let winner = progress.policies.winner();
                let mut conflict = self.conflict(row, "delete/update");
                conflict.resolution = winner.map(Winner::name);
                progress.conflict(conflict);
                match winner {
                    Some(Winner::Source) => self.deleted.push(row),
                    Some(Winner::Target) => self.keep_target(row, target),
                    None => {}
                }
                Ok(())
            }
            (Some(base), Some(source), None) => {
                if self.is_unchanged(base, (&self.source, source), &self.has.source)? {
                    return Ok(());
                }
                let winner = progress.policies.winner();
                let mut conflict = self.conflict(row, "update/delete");
                conflict.resolution = winner.map(Winner::name);
                progress.conflict(conflict);
                if winner == Some(Winner::Source) {
                    self.take_source(row, source)?;
                    self.inserted += 1;
                }
                Ok(())
            }
            (base, Some(source), Some(target)) => self.cells(row, (base, source, target), progress),
        }
    }

    /// Whether a row is as it was in the base, in the columns that both have.
    fn is_unchanged(
        &self,
        base: usize,
        (side, place): (&Images, usize),
        has: &[bool],
    ) -> Result<bool> {
        for (column, has) in has.iter().enumerate() {
            // One that was added since had its first value.
            let before = match self.has.base[column] {
                true => self.base.cell(column, base)?,
                false => self.missing(column)?,
            };
            if *has && !is_same(&before, &side.cell(column, place)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What rows have in a column that was added after they were written.
    fn missing(&self, column: usize) -> Result<Datum> {
        let id = usize::from(self.meta.columns[column].id.0);
        let missing = self.meta.storage.columns[id].missing.as_deref();
        Ok(missing.map_or(Ok(Datum::Null), Datum::decode)?)
    }

    /// What a row has in a column that was added where the row was not.
    fn first_value(&mut self, column: usize) -> Result<From> {
        let value = self.missing(column)?;
        self.resolved[column].push(value);
        Ok(From::Resolved(self.resolved[column].len() - 1))
    }

    fn take_source(&mut self, row: RowId, place: usize) -> Result<()> {
        self.rows.push(row);
        for column in 0..self.meta.columns.len() {
            let from = match self.has.source[column] {
                true => From::Source(place),
                false => self.first_value(column)?,
            };
            self.cells[column].push(from);
        }
        Ok(())
    }

    /// A row that only the target has.
    fn fill(&mut self, row: RowId, place: usize) -> Result<()> {
        if !self.has.filled.contains(&true) {
            return Ok(());
        }
        self.rows.push(row);
        for column in 0..self.meta.columns.len() {
            let from = match self.has.filled[column] {
                false => From::Target(place),
                true => self.first_value(column)?,
            };
            self.cells[column].push(from);
        }
        Ok(())
    }

    fn keep_target(&mut self, row: RowId, place: usize) {
        self.rows.push(row);
        for cells in &mut self.cells {
            cells.push(From::Target(place));
        }
    }

    /// A row that both have.
    fn cells(
        &mut self,
        row: RowId,
        (base, source, target): (Option<usize>, usize, usize),
        progress: &mut Progress,
    ) -> Result<()> {
        let mut taken = Vec::with_capacity(self.meta.columns.len());
        let mut is_written = false;
        for column in 0..self.meta.columns.len() {
            // What is computed of other columns is computed anew when the row is written.
            let id = usize::from(self.meta.columns[column].id.0);
            let is_generated = self.meta.table.columns[id].generated.is_some();
            if !self.has.source[column] || (is_generated && self.has.target[column]) {
                taken.push(From::Target(target));
                continue;
            }
            let of_source = self.source.cell(column, source)?;
            let of_target = self.target.cell(column, target)?;
            if !self.has.target[column] {
                is_written |= !is_same(&of_source, &of_target);
                taken.push(From::Source(source));
                continue;
            }
            let of_base = match base {
                Some(base) if self.has.base[column] => Some(self.base.cell(column, base)?),
                _ => None,
            };
            let is_source_old = of_base
                .as_ref()
                .is_some_and(|base| is_same(base, &of_source));
            if is_source_old || is_same(&of_source, &of_target) {
                taken.push(From::Target(target));
                continue;
            }
            is_written = true;
            if of_base
                .as_ref()
                .is_some_and(|base| is_same(base, &of_target))
            {
                taken.push(From::Source(source));
                continue;
            }
            let cell = Cell {
                base: of_base.as_ref(),
                source: &of_source,
                target: &of_target,
            };
            let places = (base, source, target);
            taken.push(self.resolve(row, column, &cell, places, progress)?);
        }
        if is_written {
            self.rows.push(row);
            for (cells, from) in self.cells.iter_mut().zip(taken) {
                cells.push(from);
            }
        }
        Ok(())
    }

    /// A cell with two new values.
    fn resolve(
        &mut self,
        row: RowId,
        at: usize,
        cell: &Cell<'_>,
        (base, source, target): (Option<usize>, usize, usize),
        progress: &mut Progress,
    ) -> Result<From> {
        let meta = self.meta;
        let column = &meta.columns[at];
        let mut conflict = self.conflict(row, "update/update");
        conflict.column = Some(column.name.clone());
        conflict.base = base.and_then(|base| self.base.text(column, at, base, &self.format));
        conflict.source = self.source.text(column, at, source, &self.format);
        conflict.target = self.target.text(column, at, target, &self.format);
        let ty = &meta.storage.columns[usize::from(column.id.0)].ty;
        let resolved = match self.resolvers[at] {
            Some(how @ Resolver::Latest) => {
                let (of_source, of_target) = self.times.get(&row).copied().unwrap_or_default();
                let from = match of_source > of_target {
                    true => From::Source(source),
                    false => From::Target(target),
                };
                Some((from, how.name().to_owned()))
            }
            Some(how) => cell.resolve(how, (&column.name, ty))?.map(|value| {
                self.resolved[at].push(value);
                let from = From::Resolved(self.resolved[at].len() - 1);
                (from, how.name().to_owned())
            }),
            None => None,
        };
        let resolved = resolved.or_else(|| {
            let winner = progress.policies.winner()?;
            let from = match winner {
                Winner::Source => From::Source(source),
                Winner::Target => From::Target(target),
            };
            Some((from, winner.name()))
        });
        conflict.resolution = resolved.as_ref().map(|(_, name)| name.clone());
        progress.conflict(conflict);
        Ok(resolved.map_or(From::Target(target), |(from, _)| from))
    }

    /// The columns of `rows`, as plans have them.
    fn columns(&self) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::with_capacity(self.meta.columns.len());
        for (at, column) in self.meta.columns.iter().enumerate() {
            let ty = &self.meta.storage.columns[usize::from(column.id.0)].ty;
            let resolved = self.resolved[at].iter().map(|datum| datum.to_array(ty));
            let resolved = resolved.collect::<heliosdb_storage::Result<Vec<ArrayRef>>>()?;
            let mut arrays: Vec<&dyn Array> = vec![
                self.source.columns[at].as_ref(),
                self.target.columns[at].as_ref(),
            ];
            arrays.extend(resolved.iter().map(|array| array.as_ref()));
            let places = self.cells[at].iter().map(|from| match from {
                From::Source(place) => (0, *place),
                From::Target(place) => (1, *place),
                From::Resolved(place) => (2 + place, 0),
            });
            let values = interleave(&arrays, &places.collect::<Vec<_>>())?;
            let field = self.meta.schema.field(at);
            columns.push(extension::wrapped_as(&values, field.data_type())?);
        }
        Ok(columns)
    }
}

impl Session {
    /// Compares the rows of all tables that both sides have, and writes what came of it.
    pub(super) fn merge_rows(
        &mut self,
        sides: &Sides,
        catalogs: &Catalogs,
        progress: &mut Progress,
    ) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let search_path = self.info.search_path();
        progress.policies.check(&catalog, &search_path)?;
        let mut tables: Vec<u32> = catalog
            .tables()
            .filter(|table| !catalog.is_temporary(table.schema))
            .map(|table| table.oid)
            .collect();
        tables.sort_unstable();
        self.check_all_are_there(sides, catalogs, &catalog, progress)?;
        let mut work = Vec::new();
        for table in tables {
            self.interrupt.check()?;
            let compared = match catalogs.copied(table) {
                Some(copied) => Some(self.copy_table(sides, copied, table)?),
                None => self.compare_table(sides, catalogs, table, progress)?,
            };
            work.extend(compared);
        }
        for table in &work {
            let written: u64 = table
                .written
                .iter()
                .map(|(rows, _)| rows.len() as u64)
                .sum();
            progress.report.inserted += table.inserted;
            progress.report.updated += written.saturating_sub(table.inserted);
            progress.report.deleted += table.deleted.len() as u64;
        }
        if progress.is_open() {
            return Ok(());
        }
        let savepoint = self.transaction()?.savepoint();
        let written = self.write_tables(work);
        let checked = written.and_then(|()| self.check_new_constraints(&catalogs.target));
        if let Err(error) = checked {
            if !error.code.is_of_class(state::UNIQUE_VIOLATION) {
                return Err(error);
            }
            // The rest of the merge would be undone all the same.
            self.transaction()?.rollback_to(savepoint);
            progress.conflict(Conflict {
                kind: "constraint".to_owned(),
                object: error.table.clone().unwrap_or_default(),
                column: error.constraint.clone(),
                detail: Some(match &error.detail {
                    Some(detail) => format!("{}: {detail}", error.message),
                    None => error.message.clone(),
                }),
                ..Conflict::default()
            });
        }
        Ok(())
    }

    /// Tables whose rows the source wrote, and which the target has not got any more, or not there.
    fn check_all_are_there(
        &mut self,
        sides: &Sides,
        catalogs: &Catalogs,
        here: &CatalogSnapshot,
        progress: &mut Progress,
    ) -> Result<()> {
        let there = catalogs.source.clone();
        for table in there.tables() {
            let ours = here.table(table.oid);
            let before = catalogs.base.table(table.oid);
            let is_retyped = before
                .zip(ours)
                .is_some_and(|(before, ours)| retyped(before, ours).is_some());
            if ours.is_some_and(|ours| ours.collection == table.collection && !is_retyped)
                || there.is_temporary(table.schema)
                || catalogs.copied(table.oid).is_some()
            {
                continue;
            }
            let meta = there.table_meta(table.oid)?;
            if !self.touched(sides, sides.source, &meta)?.is_empty() {
                let what = match ours {
                    Some(_) if is_retyped => "the target changed the type of a column",
                    Some(_) => "the target rewrote it",
                    None => "the target dropped it",
                };
                progress.conflict(Conflict {
                    kind: "definition".to_owned(),
                    object: qualified(&there, &meta),
                    detail: Some(format!("{what}, and the source wrote rows of it")),
                    ..Conflict::default()
                });
            }
        }
        Ok(())
    }

    /// The rows that were written on the source since the base.
    fn touched(&self, sides: &Sides, side: State, meta: &TableMeta) -> Result<Vec<RowId>> {
        let engine = self.instance.engine();
        let mut rows = BTreeSet::new();
        for (timeline, from, to) in sides.news(side) {
            for row in engine.touched_on(timeline, meta.id(), from, to)? {
                rows.insert(row?);
            }
        }
        Ok(rows.into_iter().collect())
    }

    fn compare_table(
        &mut self,
        sides: &Sides,
        catalogs: &Catalogs,
        table: u32,
        progress: &mut Progress,
    ) -> Result<Option<TableWork>> {
        let (_, catalog) = self.write_view()?;
        let meta = catalog.table_meta(table)?;
        // What only the target made, and what it gave a new storage.
        let there = catalogs.source.table(table);
        if there.is_none_or(|there| there.collection != meta.table.collection) {
            return Ok(None);
        }
        let mut touched = self.touched(sides, sides.source, &meta)?;
        let has = Has::new(catalogs, &meta);
        let is_filled = has.filled.contains(&true);
        if touched.is_empty() && !is_filled {
            return Ok(None);
        }
        self.lock_table(meta.id(), TableLockMode::RowExclusive)?;
        if is_filled {
            let latest = State {
                timeline: sides.target,
                ts: self.transaction()?.latest_view().ts(),
            };
            touched.extend(self.touched(sides, latest, &meta)?);
            touched.sort_unstable();
            touched.dedup();
        }
        let (_, catalog) = self.write_view()?;
        let meta = catalog.table_meta(table)?;
        self.check_merge_privileges(&catalogs.source, &catalog, &meta)?;
        let target =
            self.with_state(|session, state| session.write_target(state, &catalog, table))?;
        let engine = self.instance.engine().clone();
        let (base, source) = (sides.base.view(&engine)?, sides.source.view(&engine)?);
        let mut work = TableWork {
            target,
            deleted: Vec::new(),
            written: Vec::new(),
            inserted: 0,
        };
        for rows in touched.chunks(CHUNK_ROWS) {
            self.interrupt.check()?;
            let wait = self.lock_wait();
            for row in rows {
                let transaction = self.transaction()?;
                transaction.lock_row(meta.id(), *row, RowLockMode::Update, wait)?;
            }
            let latest = self.transaction()?.latest_view();
            let search_path = self.info.search_path();
            let mut comparison = Comparison {
                meta: &meta,
                name: qualified(&catalog, &meta),
                key: key_of(&catalog, &meta),
                resolvers: progress.policies.of_table(&catalog, &search_path, &meta),
                format: self.info.format(),
                base: Images::read(&base, &meta, rows)?,
                source: Images::read(&source, &meta, rows)?,
                target: Images::read(&latest, &meta, rows)?,
                has: has.clone(),
                times: HashMap::new(),
                rows: Vec::new(),
                cells: vec![Vec::new(); meta.columns.len()],
                resolved: vec![Vec::new(); meta.columns.len()],
                deleted: Vec::new(),
                inserted: 0,
            };
            if comparison.resolvers.contains(&Some(Resolver::Latest)) {
                for row in rows {
                    let times = (
                        source.row_ts(meta.id(), *row)?,
                        latest.row_ts(meta.id(), *row)?,
                    );
                    comparison.times.insert(*row, times);
                }
            }
            for row in rows {
                comparison.row(*row, progress)?;
            }
            work.inserted += comparison.inserted;
            let columns = comparison.columns()?;
            work.deleted.append(&mut comparison.deleted);
            if !comparison.rows.is_empty() {
                work.written.push((comparison.rows, columns));
            }
        }
        self.resolve_keys(&catalog, &mut work, progress)?;
        Ok(Some(work))
    }

    /// All rows of a table that is new on the target, or has no rows there yet.
    fn copy_table(&mut self, sides: &Sides, copied: &Copied, table: u32) -> Result<TableWork> {
        let (_, catalog) = self.write_view()?;
        let meta = catalog.table_meta(table)?;
        let target =
            self.with_state(|session, state| session.write_target(state, &catalog, table))?;
        let mut work = TableWork {
            target,
            deleted: Vec::new(),
            written: Vec::new(),
            inserted: 0,
        };
        if !copied.has_rows {
            return Ok(work);
        }
        let view = sides.source.view(self.instance.engine())?;
        let request = ScanRequest {
            row_id: true,
            ..ScanRequest::columns(meta.all_columns())
        };
        for batch in view
            .scan(meta.storage.clone(), request)?
            .into_iter()
            .flatten()
        {
            self.interrupt.check()?;
            let batch = batch?;
            let Some((ids, columns)) = batch.columns().split_last() else {
                continue;
            };
            let ids = ids.as_any().downcast_ref::<UInt64Array>();
            let ids = ids.ok_or_else(|| SqlError::internal("row ids of another type"))?;
            let rows: Vec<RowId> = ids.values().iter().map(|id| RowId(*id)).collect();
            let columns = columns.iter().zip(meta.schema.fields());
            let columns = columns.map(|(values, f)| extension::wrapped_as(values, f.data_type()));
            work.inserted += rows.len() as u64;
            work.written.push((rows, columns.collect::<Result<_>>()?));
        }
        Ok(work)
    }

    /// Keys of unique indexes that a row of the target has, which is not among those that are written.
    fn resolve_keys(
        &mut self,
        catalog: &CatalogSnapshot,
        work: &mut TableWork,
        progress: &mut Progress,
    ) -> Result<()> {
        let meta = work.target.meta.clone();
        let mut ours: BTreeSet<RowId> = work.deleted.iter().copied().collect();
        ours.extend(work.written.iter().flat_map(|(rows, _)| rows).copied());
        let latest = self.transaction()?.latest_view();
        let (mut gone, mut dropped) = (BTreeSet::new(), BTreeSet::new());
        for (index, storage) in meta.indexes.iter().zip(&meta.storage.indexes) {
            if !index.unique || !index.is_plain() {
                continue;
            }
            let types = key_types(&meta.storage, storage)?;
            let places: Vec<usize> = index
                .columns
                .iter()
                .filter_map(|part| meta.position(ColumnId(part.column)))
                .collect();
            for (rows, columns) in &work.written {
                let keys: Vec<ArrayRef> = places
                    .iter()
                    .map(|place| extension::unwrapped(&columns[*place]))
                    .collect();
                for (at, row) in rows.iter().enumerate() {
                    if keys.iter().any(|column| column.is_null(at)) {
                        continue;
                    }
                    let key = keys.iter().map(|c| Datum::from_array(c.as_ref(), at));
                    let key = key.collect::<heliosdb_storage::Result<Vec<_>>>()?;
                    let Some(other) = latest.unique_row(storage, &types, &key)? else {
                        continue;
                    };
                    if other == *row || ours.contains(&other) {
                        continue;
                    }
                    let winner = progress.policies.winner();
                    let format = self.info.format();
                    let shown = places.iter().zip(&keys).map(|(place, values)| {
                        let column = &meta.columns[*place];
                        let ty = column.ty.arrow_typmod(column.typmod);
                        let mut text = String::new();
                        if let Ok(values) = extension::wrapped_as(values, &ty) {
                            encode_text(values.as_ref(), at, &column.ty, &format, &mut text);
                        }
                        format!("{}={text}", column.name)
                    });
                    progress.conflict(Conflict {
                        kind: "unique".to_owned(),
                        object: qualified(catalog, &meta),
                        row: Some(row.0),
                        key: Some(shown.collect::<Vec<_>>().join(", ")),
                        column: None,
                        detail: Some(format!("another row has this key of \"{}\"", index.name)),
                        resolution: winner.map(Winner::name),
                        ..Conflict::default()
                    });
                    match winner {
                        Some(Winner::Source) => gone.insert(other),
                        Some(Winner::Target) => dropped.insert(*row),
                        None => false,
                    };
                }
            }
        }
        let wait = self.lock_wait();
        for row in &gone {
            let transaction = self.transaction()?;
            transaction.lock_row(meta.id(), *row, RowLockMode::Update, wait)?;
        }
        // Others may have taken the key away from the row before it was locked.
        let latest = self.transaction()?.latest_view();
        let images = Images::read(&latest, &meta, &gone.iter().copied().collect::<Vec<_>>())?;
        gone.retain(|row| images.places.contains_key(row));
        work.deleted.extend(gone);
        if !dropped.is_empty() {
            for (rows, columns) in &mut work.written {
                let kept: Vec<bool> = rows.iter().map(|row| !dropped.contains(row)).collect();
                let mask = arrow::array::BooleanArray::from(kept);
                for column in columns.iter_mut() {
                    *column = arrow::compute::filter(column.as_ref(), &mask)?;
                }
                rows.retain(|row| !dropped.contains(row));
            }
            work.written.retain(|(rows, _)| !rows.is_empty());
        }
        Ok(())
    }

    fn write_tables(&mut self, work: Vec<TableWork>) -> Result<()> {
        self.transaction()?.begin_statement();
        let (_, catalog) = self.write_view()?;
        self.with_state(|session, state| {
            let mut writer = Writer::merging(session, catalog);
            for table in &work {
                writer.delete(session, &table.target, &table.deleted)?;
            }
            for table in work {
                if table.written.is_empty() {
                    continue;
                }
                let rows: Vec<RowId> = table
                    .written
                    .iter()
                    .flat_map(|(rows, _)| rows)
                    .copied()
                    .collect();
                let columns = (0..table.target.meta.columns.len()).map(|at| {
                    let chunks = table
                        .written
                        .iter()
                        .map(|(_, columns)| columns[at].as_ref());
                    arrow::compute::concat(&chunks.collect::<Vec<_>>()).map_err(SqlError::from)
                });
                let columns = columns.collect::<Result<Vec<_>>>()?;
                let count = rows.len();
                let batch =
                    writer.check_rows(session, state, &table.target, (columns, count), None)?;
                writer.put(session, &table.target, &rows, &batch)?;
            }
            writer.finish(session, state)
        })
    }

    /// Who merges has to have what reads the rows there and writes them here, on whole tables.
    fn check_merge_privileges(
        &self,
        there: &CatalogSnapshot,
        here: &CatalogSnapshot,
        meta: &TableMeta,
    ) -> Result<()> {
        let role = self.info.role();
        if let Some(table) = there.table(meta.table.oid) {
            role.check_table(there, table, Privileges::SELECT)?;
        }
        let writes =
            Privileges::SELECT | Privileges::INSERT | Privileges::UPDATE | Privileges::DELETE;
        role.check_table(here, &meta.table, writes)?;
        let is_bound = [Some(&meta.table), there.table(meta.table.oid)]
            .into_iter()
            .flatten()
            .any(|table| role.is_bound_by(table));
        match is_bound {
            false => Ok(()),
            true => Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                format!(
                    "table \"{}\" has row security, and is merged by who is not bound by it",
                    meta.table.name
                ),
            )),
        }
    }
}

pub(super) fn qualified(catalog: &CatalogSnapshot, meta: &TableMeta) -> String {
    match catalog.schema(meta.table.schema) {
        Some(schema) => format!("{}.{}", schema.name, meta.table.name),
        None => meta.table.name.clone(),
    }
}

/// The places of the primary key's columns.
fn key_of(catalog: &CatalogSnapshot, meta: &TableMeta) -> Vec<usize> {
    let key = catalog.primary_key(meta.table.oid);
    let columns = key.iter().flat_map(|key| key.columns());
    columns
        .filter_map(|column| meta.position(ColumnId(*column)))
        .collect()
}
