//! Rows of several states, compared cell by cell.
//!
//! All states are read with the target's definition as it is when the definitions are merged: a column
//! that a state has not got reads as the value that it was added with. Cells are the same when their stored
//! bytes are. A column is compared where it is: one that a side has not got was not changed there, even though
//! rows that were written there may have a place for it.
//!
//! What a row of one side has in columns that only the other has is said by [`First`], as ALTER TABLE would
//! have it. What is generated is computed when the row is written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute::interleave;
use heliosdb_plugin_host::services::{Conflict, Resolver};
use heliosdb_storage::ReadView;
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{RowId, Ts};

use super::Progress;
use super::resolve::{Cell, Winner};
use crate::branch::lineage::settled;
use crate::catalog::CatalogSnapshot;
use crate::catalog::meta::{ColumnMeta, TableMeta};
use crate::error::{Result, SqlError};
use crate::types::{Format, encode_text, extension};

/// Rows of one state, as stored and as plans have them.
pub(super) struct Images {
    places: HashMap<RowId, usize>,
    columns: Vec<ArrayRef>,
}

impl Images {
    pub fn read(view: &ReadView, meta: &TableMeta, rows: &[RowId]) -> Result<Images> {
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

    pub fn has(&self, row: RowId) -> bool {
        self.places.contains_key(&row)
    }

    fn place(&self, row: RowId) -> Option<usize> {
        self.places.get(&row).copied()
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

/// Which of a table's live columns a catalog has, by their places: whether it is there, or was dropped or left
/// free. `None` where there is no such place.
pub(super) fn columns_in(catalog: &CatalogSnapshot, meta: &TableMeta) -> Vec<Option<bool>> {
    let table = catalog.table(meta.table.oid);
    let columns = meta.columns.iter().map(|column| {
        let column = table.and_then(|table| table.column_at(column.id.0));
        column.map(|column| !column.dropped)
    });
    columns.collect()
}

/// What rows have in a column that came to them later.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum First {
    /// One value for all rows.
    Value(Datum),
    /// Its default is worked out for each row.
    Fresh,
}

/// A state that both sides have in them.
pub(super) struct Base {
    pub view: ReadView,
    pub has: Vec<bool>,
}

/// Which columns the two sides have.
pub(super) struct Sided {
    pub source: Vec<bool>,
    pub target: Vec<bool>,
}

/// What a comparison of a table's rows goes by.
pub(super) struct Compared {
    pub meta: Arc<TableMeta>,
    /// Qualified.
    pub name: String,
    /// The places of the primary key's columns.
    pub key: Vec<usize>,
    pub resolvers: Vec<Option<Resolver>>,
    pub format: Format,
    pub bases: Vec<Base>,
    pub grounds: Vec<Base>,
    pub source: ReadView,
    /// The columns that the source has, and those that the target has.
    pub has: Sided,
    /// By column.
    pub first: Vec<First>,
    /// Rows that only the target has are written, for what they have in new columns.
    pub fills: bool,
    /// The commits that brought something of branches that are gone, as it was before and after them.
    pub brought: Vec<(Base, Base)>,
    /// Rows that came with such commits on both sides, with the places of those.
    pub lost: BTreeMap<RowId, Vec<usize>>,
}

impl Compared {
    fn is_generated(&self, column: usize) -> bool {
        let id = usize::from(self.meta.columns[column].id.0);
        self.meta.table.columns[id].generated.is_some()
    }
}

/// What the bases say of a cell.
enum BaseCell {
    /// They have no such column, or not the row.
    Lacking,
    Value(Datum),
    /// Two of them changed it.
    Unsettled,
}

/// Whether the bases have a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Absent,
    There,
    /// One changed it and another deleted it.
    Unsettled,
}

/// Where the value of a cell comes from.
#[derive(Clone, Copy)]
enum From {
    Source(usize),
    Target(usize),
    /// A place among the fresh values of the column.
    Fresh(usize),
    /// A place among values that were worked out.
    Resolved(usize),
}

/// The comparison of a chunk of rows.
pub(super) struct Comparison<'a> {
    by: &'a Compared,
    bases: Vec<Images>,
    grounds: Vec<Images>,
    /// Of rows that are lost, before and after the commits.
    brought: Vec<(Images, Images)>,
    source: Images,
    target: Images,
    /// For `latest`: when a row was written last, on the source and on the target.
    times: HashMap<RowId, (Option<Ts>, Option<Ts>)>,
    /// Those that are written.
    pub rows: Vec<RowId>,
    /// By column, for each of `rows`.
    cells: Vec<Vec<From>>,
    resolved: Vec<Vec<Datum>>,
    /// Where among `resolved` the one value is that rows begin with.
    firsts: Vec<Option<usize>>,
    /// How many fresh values a column needs.
    pub fresh: Vec<usize>,
    pub deleted: Vec<RowId>,
    /// Those of `rows` that the target has not.
    pub new: BTreeSet<RowId>,
}

impl<'a> Comparison<'a> {
    pub fn of(by: &'a Compared, latest: &ReadView, rows: &[RowId]) -> Result<Comparison<'a>> {
        let read = |all: &[Base]| -> Result<Vec<Images>> {
            let all = all.iter();
            all.map(|base| Images::read(&base.view, &by.meta, rows))
                .collect()
        };
        let mut times = HashMap::new();
        if by.resolvers.contains(&Some(Resolver::Latest)) {
            let table = by.meta.id();
            for row in rows {
                let of_row = (by.source.row_ts(table, *row)?, latest.row_ts(table, *row)?);
                times.insert(*row, of_row);
            }
        }
        let columns = by.meta.columns.len();
        let lost = rows.iter().filter(|row| by.lost.contains_key(row));
        let lost: Vec<RowId> = lost.copied().collect();
        let mut brought = Vec::new();
        if !lost.is_empty() {
            for (before, after) in &by.brought {
                brought.push((
                    Images::read(&before.view, &by.meta, &lost)?,
                    Images::read(&after.view, &by.meta, &lost)?,
                ));
            }
        }
        Ok(Comparison {
            brought,
            bases: read(&by.bases)?,
            grounds: read(&by.grounds)?,
            source: Images::read(&by.source, &by.meta, rows)?,
            target: Images::read(latest, &by.meta, rows)?,
            by,
            times,
            rows: Vec::new(),
            cells: vec![Vec::new(); columns],
            resolved: vec![Vec::new(); columns],
            firsts: vec![None; columns],
            fresh: vec![0; columns],
            deleted: Vec::new(),
            new: BTreeSet::new(),
        })
    }

    fn conflict(&self, row: RowId, kind: &str) -> Conflict {
        let sides = [&self.target, &self.source];
        let key = sides.into_iter().chain(&self.bases).find_map(|images| {
            let place = images.place(row)?;
            let values = self.by.key.iter().map(|at| {
                let column = &self.by.meta.columns[*at];
                let text = images.text(column, *at, place, &self.by.format);
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
            object: self.by.name.clone(),
            row: Some(row.0),
            key: key.filter(|key| !key.is_empty()),
            ..Conflict::default()
        }
    }

    fn before(&self, row: RowId) -> Result<Before> {
        if let Some(places) = self.by.lost.get(&row) {
            let has = |place: &usize| self.brought[*place].1.has(row);
            return Ok(match places.iter().filter(|place| has(place)).count() {
                0 => Before::Absent,
                count if count == places.len() => Before::There,
                _ => Before::Unsettled,
            });
        }
        let count = self.bases.iter().filter(|images| images.has(row)).count();
        if count == 0 || count == self.bases.len() {
            return Ok(match count {
                0 => Before::Absent,
                _ => Before::There,
            });
        }
        // One of two inserted it, or deleted it. Of more it is not known which is the older.
        let having = self.grounds.iter().filter(|images| images.has(row)).count();
        if self.bases.len() > 2 || (having < self.grounds.len().max(1) && having > 0) {
            return Ok(Before::Unsettled);
        }
        if having == 0 {
            return Ok(match self.grounds.is_empty() {
                true => Before::Unsettled,
                false => Before::There,
            });
        }
        for column in 0..self.by.meta.columns.len() {
            let of_ground = cells(&self.grounds, &self.by.grounds, row, column)?;
            for cell in cells(&self.bases, &self.by.bases, row, column)? {
                if !of_ground.iter().all(|ground| is_same(ground, &cell)) {
                    return Ok(Before::Unsettled);
                }
            }
        }
        Ok(Before::Absent)
    }

    fn base_cell(&self, row: RowId, column: usize) -> Result<BaseCell> {
        if let Some(places) = self.by.lost.get(&row)
            && let Some(cell) = self.brought_cell(row, column, places)?
        {
            return Ok(cell);
        }
        let of_bases = cells(&self.bases, &self.by.bases, row, column)?;
        if of_bases.len() < 2 {
            return Ok(match of_bases.into_iter().next() {
                Some(cell) => BaseCell::Value(cell),
                None => BaseCell::Lacking,
            });
        }
        let of_grounds = cells(&self.grounds, &self.by.grounds, row, column)?;
        Ok(match settled(&of_bases, &of_grounds, is_same) {
            Some(cell) => BaseCell::Value(cell.clone()),
            None => BaseCell::Unsettled,
        })
    }

    /// What a cell was on both sides when it came from a branch that is gone; `None` when it did not.
    fn brought_cell(
        &self,
        row: RowId,
        column: usize,
        places: &[usize],
    ) -> Result<Option<BaseCell>> {
        let (mut is_changed, mut values) = (false, Vec::new());
        for place in places {
            let (images, of) = (&self.brought[*place], &self.by.brought[*place]);
            let cell = |images: &Images, of: &Base| -> Result<Option<Datum>> {
                match images.place(row).filter(|_| of.has[column]) {
                    Some(place) => images.cell(column, place).map(Some),
                    None => Ok(None),
                }
            };
            let (before, after) = (cell(&images.0, &of.0)?, cell(&images.1, &of.1)?);
            is_changed |= match (&before, &after) {
                (Some(before), Some(after)) => !is_same(before, after),
                (before, after) => before.is_some() != after.is_some(),
            };
            values.push(after);
        }
        let values: Option<Vec<Datum>> = values.into_iter().collect();
        Ok(match (is_changed, values) {
            (false, _) => None,
            (true, Some(values)) => Some(match settled(&values, &[], is_same) {
                Some(value) => BaseCell::Value(value.clone()),
                None => BaseCell::Unsettled,
            }),
            (true, None) => Some(BaseCell::Unsettled),
        })
    }

    pub fn row(&mut self, row: RowId, progress: &mut Progress) -> Result<()> {
        let (source, target) = (self.source.place(row), self.target.place(row));
        let before = match (source, target) {
            (None, None) => return Ok(()),
            _ => self.before(row)?,
        };
        match (before, source, target) {
            (Before::Absent, None, Some(target)) => {
                if self.by.fills {
                    self.keep_target(row, target);
                }
                Ok(())
            }
            (Before::Absent, Some(source), None) => {
                self.take_source(row, source);
                self.new.insert(row);
                Ok(())
            }
            (_, None, Some(target)) => {
                let has = &self.by.has.target;
                let is_unchanged = before == Before::There
                    && self.is_unchanged(row, (&self.target, target), has)?;
                if is_unchanged {
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
            (_, Some(source), None) => {
                let has = &self.by.has.source;
                let is_unchanged = before == Before::There
                    && self.is_unchanged(row, (&self.source, source), has)?;
                if is_unchanged {
                    return Ok(());
                }
                let winner = progress.policies.winner();
                let mut conflict = self.conflict(row, "update/delete");
                conflict.resolution = winner.map(Winner::name);
                progress.conflict(conflict);
                if winner == Some(Winner::Source) {
                    self.take_source(row, source);
                    self.new.insert(row);
                }
                Ok(())
            }
            (_, Some(source), Some(target)) => self.both(row, (source, target), progress),
            (_, None, None) => Ok(()),
        }
    }

    /// Makes a row what one of the sides has, or takes it away where that one has it not.
    pub fn side_with(&mut self, row: RowId, winner: Winner) {
        match (winner, self.source.place(row), self.target.place(row)) {
            (Winner::Source, Some(source), of_target) => {
                self.take_source(row, source);
                if of_target.is_none() {
                    self.new.insert(row);
                }
            }
            (Winner::Target, _, Some(target)) => self.keep_target(row, target),
            (Winner::Source, None, Some(_)) => self.deleted.push(row),
            (_, _, None) => {}
        }
    }

    /// Whether a row is as it was in the bases, in the columns that a side has. What is generated follows from
    /// the others. What a fresh value was at first nobody knows, so that is not asked.
    fn is_unchanged(
        &self,
        row: RowId,
        (side, place): (&Images, usize),
        has: &[bool],
    ) -> Result<bool> {
        for (column, _) in has.iter().enumerate().filter(|(_, has)| **has) {
            if self.by.is_generated(column) {
                continue;
            }
            let before = match self.base_cell(row, column)? {
                BaseCell::Value(cell) => cell,
                // One that was added since had its first value.
                BaseCell::Lacking => match &self.by.first[column] {
                    First::Value(value) => value.clone(),
                    First::Fresh => continue,
                },
                BaseCell::Unsettled => return Ok(false),
            };
            if !is_same(&before, &side.cell(column, place)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What a row has in a column that its side had not.
    fn first_value(&mut self, column: usize) -> From {
        match &self.by.first[column] {
            First::Fresh => {
                self.fresh[column] += 1;
                From::Fresh(self.fresh[column] - 1)
            }
            First::Value(value) => {
                let known = self.firsts[column];
                From::Resolved(known.unwrap_or_else(|| {
                    self.resolved[column].push(value.clone());
                    let place = self.resolved[column].len() - 1;
                    self.firsts[column] = Some(place);
                    place
                }))
            }
        }
    }

    fn resolve_as(&mut self, column: usize, value: Datum) -> From {
        self.resolved[column].push(value);
        From::Resolved(self.resolved[column].len() - 1)
    }

    fn take_source(&mut self, row: RowId, place: usize) {
        self.rows.push(row);
        for column in 0..self.by.meta.columns.len() {
            let from = match self.by.has.source[column] {
                true => From::Source(place),
                false => self.first_value(column),
            };
            self.cells[column].push(from);
        }
    }

    /// A row as the target has it.
    fn keep_target(&mut self, row: RowId, place: usize) {
        self.rows.push(row);
        for column in 0..self.by.meta.columns.len() {
            let from = match self.by.has.target[column] {
                true => From::Target(place),
                false => self.first_value(column),
            };
            self.cells[column].push(from);
        }
    }

    /// A row that both have.
    fn both(
        &mut self,
        row: RowId,
        (source, target): (usize, usize),
        progress: &mut Progress,
    ) -> Result<()> {
        let meta = self.by.meta.clone();
        let mut taken = Vec::with_capacity(meta.columns.len());
        let mut is_written = false;
        for column in 0..meta.columns.len() {
            // What is computed of other columns is computed anew when the row is written.
            let is_there = self.by.has.target[column];
            if !self.by.has.source[column] || (self.by.is_generated(column) && is_there) {
                taken.push(match is_there {
                    true => From::Target(target),
                    false => self.first_value(column),
                });
                continue;
            }
            let of_source = self.source.cell(column, source)?;
            let of_target = self.target.cell(column, target)?;
            if !is_there {
                is_written |= !is_same(&of_source, &of_target);
                taken.push(From::Source(source));
                continue;
            }
            let of_base = match self.base_cell(row, column)? {
                BaseCell::Value(cell) => Some(cell),
                // Rows of before the column began with one value.
                BaseCell::Lacking if self.bases.iter().any(|images| images.has(row)) => {
                    match &self.by.first[column] {
                        First::Value(value) => Some(value.clone()),
                        First::Fresh => None,
                    }
                }
                BaseCell::Lacking | BaseCell::Unsettled => None,
            };
            let is_old = |cell: &Datum| of_base.as_ref().is_some_and(|base| is_same(base, cell));
            if is_old(&of_source) || is_same(&of_source, &of_target) {
                taken.push(From::Target(target));
                continue;
            }
            is_written = true;
            if is_old(&of_target) {
                taken.push(From::Source(source));
                continue;
            }
            let cell = Cell {
                base: of_base.as_ref(),
                source: &of_source,
                target: &of_target,
            };
            taken.push(self.resolve(row, column, &cell, (source, target), progress)?);
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
        (source, target): (usize, usize),
        progress: &mut Progress,
    ) -> Result<From> {
        let (by, format) = (self.by, &self.by.format);
        let column = &by.meta.columns[at];
        let mut conflict = self.conflict(row, "update/update");
        conflict.column = Some(column.name.clone());
        conflict.base = cell.base.and_then(|value| {
            let brought = self.brought.iter().map(|(_, after)| after);
            brought.chain(&self.bases).find_map(|images| {
                let place = images.place(row)?;
                let is_it = is_same(&images.cell(at, place).ok()?, value);
                is_it.then(|| images.text(column, at, place, format))?
            })
        });
        conflict.source = self.source.text(column, at, source, format);
        conflict.target = self.target.text(column, at, target, format);
        let ty = &by.meta.storage.columns[usize::from(column.id.0)].ty;
        let resolved = match by.resolvers[at] {
            Some(how @ Resolver::Latest) => {
                let (of_source, of_target) = self.times.get(&row).copied().unwrap_or_default();
                let from = match of_source > of_target {
                    true => From::Source(source),
                    false => From::Target(target),
                };
                Some((from, how.name().to_owned()))
            }
            Some(how) => {
                let value = cell.resolve(how, (&column.name, ty))?;
                value.map(|value| (self.resolve_as(at, value), how.name().to_owned()))
            }
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

    /// The columns of `rows`, as plans have them; with as many fresh values, as stored, as are needed.
    pub fn columns(&self, fresh: &[Option<ArrayRef>]) -> Result<Vec<ArrayRef>> {
        let meta = &self.by.meta;
        let mut columns = Vec::with_capacity(meta.columns.len());
        for (at, column) in meta.columns.iter().enumerate() {
            let ty = &meta.storage.columns[usize::from(column.id.0)].ty;
            let resolved = self.resolved[at].iter().map(|datum| datum.to_array(ty));
            let resolved = resolved.collect::<heliosdb_storage::Result<Vec<ArrayRef>>>()?;
            let of_target = &self.target.columns[at];
            let fresh = fresh.get(at).and_then(Option::as_ref).unwrap_or(of_target);
            let mut arrays: Vec<&dyn Array> = vec![
                self.source.columns[at].as_ref(),
                of_target.as_ref(),
                fresh.as_ref(),
            ];
            arrays.extend(resolved.iter().map(|array| array.as_ref()));
            let places = self.cells[at].iter().map(|from| match from {
                From::Source(place) => (0, *place),
                From::Target(place) => (1, *place),
                From::Fresh(place) => (2, *place),
                From::Resolved(place) => (3 + place, 0),
            });
            let values = interleave(&arrays, &places.collect::<Vec<_>>())?;
            let field = meta.schema.field(at);
            columns.push(extension::wrapped_as(&values, field.data_type())?);
        }
        Ok(columns)
    }
}

/// A cell in those states that have its row and its column.
fn cells(images: &[Images], of: &[Base], row: RowId, column: usize) -> Result<Vec<Datum>> {
    let having = images.iter().zip(of).filter(|(_, base)| base.has[column]);
    let having = having.filter_map(|(images, _)| Some((images, images.place(row)?)));
    having
        .map(|(images, place)| images.cell(column, place))
        .collect()
}

/// What rows have in a column that was added after they were written.
pub(super) fn missing(meta: &TableMeta, column: usize) -> Result<Datum> {
    let id = usize::from(meta.columns[column].id.0);
    let missing = meta.storage.columns[id].missing.as_deref();
    Ok(missing.map_or(Ok(Datum::Null), Datum::decode)?)
}
