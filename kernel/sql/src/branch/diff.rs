//! What two states differ in: rows of a table, cell by cell.
//!
//! A state is a branch at a time. Rows that anybody wrote on either side since the newest state that both have in
//! them are compared, and no others, so the work grows with what was written. A table that is on one side only,
//! or was truncated on one, is compared whole. Columns are compared where both have them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array};
use heliosdb_plugin_host::services::{CellChange, Moment, TableDiff};
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{ColumnId, RowId, TimelineId, Ts};
use heliosdb_storage::{ReadView, ScanRequest};

use super::lineage::{Knowledge, State, Tree};
use super::undefined;
use crate::catalog::access::Privileges;
use crate::catalog::meta::TableMeta;
use crate::catalog::model::Table;
use crate::catalog::{CatalogSnapshot, Oid, Relation};
use crate::error::{Result, SqlError, state};
use crate::place;
use crate::session::Session;
use crate::types::{Format, encode_text, extension};

/// Rows that are compared at once.
const CHUNK_ROWS: usize = 4096;

/// One of the two.
struct Side {
    state: State,
    view: ReadView,
    catalog: Arc<CatalogSnapshot>,
}

/// Both, and what they have in common.
struct Sides {
    tree: Tree,
    known: Knowledge,
    a: Side,
    b: Side,
}

/// Rows of one side, with text for people.
struct Images {
    meta: Option<Arc<TableMeta>>,
    places: BTreeMap<RowId, usize>,
    columns: Vec<ArrayRef>,
}

impl Images {
    fn read(side: &Side, table: Oid, rows: &[RowId]) -> Result<Images> {
        let Some(_) = side.catalog.table(table) else {
            return Ok(Images {
                meta: None,
                places: BTreeMap::new(),
                columns: Vec::new(),
            });
        };
        let meta = side.catalog.table_meta(table)?;
        let batch = side
            .view
            .rows(&meta.storage, rows, &meta.all_columns(), true)?;
        let (ids, columns) = split(batch.columns())?;
        let places = ids.into_iter().enumerate().map(|(place, id)| (id, place));
        Ok(Images {
            places: places.collect(),
            columns: columns.to_vec(),
            meta: Some(meta),
        })
    }

    /// A column by its place in the table, which is one on all branches.
    fn column(&self, id: ColumnId) -> Option<usize> {
        self.meta.as_ref()?.position(id)
    }

    fn datum(&self, column: usize, place: usize) -> Result<Datum> {
        Ok(Datum::from_array(self.columns[column].as_ref(), place)?)
    }

    fn text(&self, column: usize, place: usize, format: &Format) -> Option<String> {
        let column_meta = &self.meta.as_ref()?.columns[column];
        let values = &self.columns[column];
        if values.is_null(place) {
            return None;
        }
        let ty = column_meta.ty.arrow_typmod(column_meta.typmod);
        let values = extension::wrapped_as(values, &ty).ok()?;
        let mut text = String::new();
        encode_text(values.as_ref(), place, &column_meta.ty, format, &mut text);
        Some(text)
    }

    fn key(&self, key: &[ColumnId], place: usize, format: &Format) -> Option<String> {
        let parts = key.iter().map(|id| {
            let column = self.column(*id)?;
            let name = &self.meta.as_ref()?.columns[column].name;
            let text = self.text(column, place, format);
            Some(format!(
                "{name}={}",
                text.unwrap_or_else(|| "null".to_owned())
            ))
        });
        let parts: Option<Vec<String>> = parts.collect();
        parts
            .filter(|parts| !parts.is_empty())
            .map(|parts| parts.join(", "))
    }

    /// The cells of a row that are not NULL.
    fn cells(&self, place: usize, format: &Format) -> Vec<(String, Option<String>)> {
        let names = self.meta.iter().flat_map(|meta| &meta.columns);
        let cells = names
            .enumerate()
            .map(|(column, meta)| (meta.name.clone(), self.text(column, place, format)));
        cells.filter(|(_, text)| text.is_some()).collect()
    }
}

fn split(columns: &[ArrayRef]) -> Result<(Vec<RowId>, &[ArrayRef])> {
    let split = columns.split_last();
    let (ids, columns) = split.ok_or_else(|| SqlError::internal("rows without ids"))?;
    let ids = ids.as_any().downcast_ref::<UInt64Array>();
    let ids = ids.ok_or_else(|| SqlError::internal("row ids of another type"))?;
    Ok((ids.values().iter().map(|id| RowId(*id)).collect(), columns))
}

impl Session {
    /// The cells of a table that differ, after the row `after`: those of so many rows. The last row that was
    /// looked at is returned with them, while there may be more.
    ///
    /// # Errors
    ///
    /// 42P01 for a table that neither side has, 42501 without SELECT on both, 72000 when history is gone.
    pub(crate) fn diff_table(
        &mut self,
        table: &str,
        (a, b): (Moment, Moment),
        after: Option<u64>,
        rows_max: usize,
    ) -> Result<(Vec<CellChange>, Option<u64>)> {
        let sides = self.diff_sides(a, b)?;
        let search_path = self.info.search_path();
        let find = |side: &Side| match side.catalog.relation_named(table, &search_path) {
            Ok(Relation::Table(table)) => Ok(table.oid),
            Ok(other) => Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a table", other.name()),
            )),
            Err(error) => Err(error),
        };
        let oid = find(&sides.b).or_else(|_| find(&sides.a))?;
        let format = self.info.format();
        let mut rows = self.diff_rows(&sides, oid)?;
        rows.retain(|row| after.is_none_or(|after| row.0 > after));
        let is_last = rows.len() <= rows_max;
        rows.truncate(rows_max);
        let mut cells = Vec::new();
        for rows in rows.chunks(CHUNK_ROWS) {
            self.interrupt.check()?;
            compare(&sides, oid, rows, &format, &mut cells)?;
        }
        let last = rows.last().filter(|_| !is_last).map(|row| row.0);
        Ok((cells, last))
    }

    /// How many rows each table has more, less and otherwise.
    pub(crate) fn diff_stat(&mut self, a: Moment, b: Moment) -> Result<Vec<TableDiff>> {
        let sides = self.diff_sides(a, b)?;
        let format = self.info.format();
        let tables = |side: &Side| -> Vec<Oid> {
            let catalog = &side.catalog;
            let tables = catalog.tables().filter(|t| !catalog.is_temporary(t.schema));
            tables.map(|table| table.oid).collect()
        };
        let mut all: BTreeSet<Oid> = tables(&sides.a).into_iter().collect();
        all.extend(tables(&sides.b));
        let mut stats = Vec::new();
        for oid in all {
            self.interrupt.check()?;
            let of = |side: &Side| side.catalog.table(oid).cloned();
            let (in_a, in_b) = (of(&sides.a), of(&sides.b));
            let rows = self.diff_rows(&sides, oid)?;
            let mut diff = TableDiff {
                table: shown(&sides, oid),
                status: match (&in_a, &in_b) {
                    (None, _) => "created",
                    (_, None) => "dropped",
                    (Some(a), Some(b)) if a == b => "same",
                    _ => "altered",
                }
                .to_owned(),
                ..TableDiff::default()
            };
            for rows in rows.chunks(CHUNK_ROWS) {
                self.interrupt.check()?;
                let mut cells = Vec::new();
                compare(&sides, oid, rows, &format, &mut cells)?;
                let count = |op: &str| {
                    let rows = cells
                        .iter()
                        .filter(|cell| cell.op == op)
                        .map(|cell| cell.row);
                    rows.collect::<BTreeSet<u64>>().len() as u64
                };
                diff.inserted += count("insert");
                diff.deleted += count("delete");
                diff.updated += count("update");
            }
            if diff.status != "same" || diff.inserted + diff.updated + diff.deleted > 0 {
                stats.push(diff);
            }
        }
        Ok(stats)
    }

    fn diff_sides(&mut self, a: Moment, b: Moment) -> Result<Sides> {
        let instance = self.instance.clone();
        let engine = instance.engine();
        let side = |moment: Moment| -> Result<Side> {
            let timeline = TimelineId(moment.branch);
            if engine.timeline_name(timeline).is_none() {
                return Err(undefined(timeline));
            }
            let view = match moment.at {
                Some(at) => place::view_on(engine, timeline, Ts(at))?,
                None => engine.visible_view_on(timeline)?,
            };
            Ok(Side {
                state: State {
                    timeline,
                    ts: view.ts(),
                },
                catalog: instance.catalog(&view)?,
                view,
            })
        };
        let (a, b) = (side(a)?, side(b)?);
        let tree = Tree::of(engine);
        let known = tree.common(engine, a.state, b.state)?.known;
        Ok(Sides { tree, known, a, b })
    }

    /// The rows that may differ, once it is known that the role may read them.
    fn diff_rows(&self, sides: &Sides, oid: Oid) -> Result<Vec<RowId>> {
        let engine = self.instance.engine();
        for side in [&sides.a, &sides.b] {
            if let Some(table) = side.catalog.table(oid) {
                self.check_diff(side, table)?;
            }
        }
        let collection = |side: &Side| side.catalog.table(oid).map(|t| t.collection_id());
        let (of_a, of_b) = (collection(&sides.a), collection(&sides.b));
        let mut rows = BTreeSet::new();
        if of_a != of_b {
            for side in [&sides.a, &sides.b] {
                if side.catalog.table(oid).is_some() {
                    self.all_rows(side, oid, &mut rows)?;
                }
            }
            return Ok(rows.into_iter().collect());
        }
        let Some(collection) = of_a else {
            return Ok(Vec::new());
        };
        for side in [&sides.a, &sides.b] {
            for (timeline, from, to) in sides.tree.path(side.state) {
                let from = from.max(sides.known.of(timeline));
                if from < to {
                    for row in engine.touched_on(timeline, collection, from, to)? {
                        rows.insert(row?);
                    }
                }
            }
        }
        Ok(rows.into_iter().collect())
    }

    fn all_rows(&self, side: &Side, oid: Oid, rows: &mut BTreeSet<RowId>) -> Result<()> {
        let meta = side.catalog.table_meta(oid)?;
        let request = ScanRequest {
            row_id: true,
            ..ScanRequest::columns(Vec::new())
        };
        let scans = side.view.scan(meta.storage.clone(), request)?;
        for batch in scans.into_iter().flatten() {
            self.interrupt.check()?;
            rows.extend(split(batch?.columns())?.0);
        }
        Ok(())
    }

    /// The privileges in force are those of now, on the branch whose history it is.
    fn check_diff(&self, side: &Side, table: &Table) -> Result<()> {
        let engine = self.instance.engine();
        let in_force = place::in_force(engine, &side.view)?;
        let catalog = self.instance.catalog(&engine.visible_view_on(in_force)?)?;
        let role = self.info.role();
        let now = catalog.table(table.oid).map_or(table, |now| now.as_ref());
        role.check_table(&catalog, now, Privileges::SELECT)?;
        match role.is_bound_by(now) {
            false => Ok(()),
            true => Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                format!(
                    "table \"{}\" has row security, and is compared by who is not bound by it",
                    table.name
                ),
            )),
        }
    }
}

fn shown(sides: &Sides, oid: Oid) -> String {
    let name = |side: &Side| {
        let table = side.catalog.table(oid)?.clone();
        Some(side.catalog.qualified_name(&Relation::Table(table)))
    };
    name(&sides.b)
        .or_else(|| name(&sides.a))
        .unwrap_or_default()
}

fn compare(
    sides: &Sides,
    oid: Oid,
    rows: &[RowId],
    format: &Format,
    out: &mut Vec<CellChange>,
) -> Result<()> {
    let (a, b) = (
        Images::read(&sides.a, oid, rows)?,
        Images::read(&sides.b, oid, rows)?,
    );
    let key: Vec<ColumnId> = [&sides.b, &sides.a]
        .into_iter()
        .find_map(|side| side.catalog.primary_key(oid))
        .map(|key| {
            key.columns()
                .iter()
                .map(|column| ColumnId(*column))
                .collect()
        })
        .unwrap_or_default();
    // Of two tables in two places a row is another one, whatever its id is.
    let is_one = match (&a.meta, &b.meta) {
        (Some(a), Some(b)) => a.id() == b.id(),
        _ => false,
    };
    for row in rows {
        let (in_a, in_b) = (a.places.get(row).copied(), b.places.get(row).copied());
        let change = |op: &str, images: &Images, place: usize| CellChange {
            op: op.to_owned(),
            row: row.0,
            key: images.key(&key, place, format),
            ..CellChange::default()
        };
        if let (Some(at), Some(bt), true) = (in_a, in_b, is_one) {
            let Some(meta) = &b.meta else { continue };
            for (column, of_b) in meta.columns.iter().enumerate() {
                let Some(in_a) = a.column(of_b.id) else {
                    continue;
                };
                let (old, new) = (a.datum(in_a, at)?, b.datum(column, bt)?);
                if old != new && old.encode() != new.encode() {
                    out.push(CellChange {
                        column: Some(of_b.name.clone()),
                        old: a.text(in_a, at, format),
                        new: b.text(column, bt, format),
                        ..change("update", &b, bt)
                    });
                }
            }
            continue;
        }
        for (op, images, place) in [("delete", &a, in_a), ("insert", &b, in_b)] {
            let Some(place) = place else { continue };
            let cells = images.cells(place, format);
            if cells.is_empty() {
                out.push(change(op, images, place));
            }
            for (column, text) in cells {
                let (old, new) = match op {
                    "delete" => (text, None),
                    _ => (None, text),
                };
                out.push(CellChange {
                    column: Some(column),
                    old,
                    new,
                    ..change(op, images, place)
                });
            }
        }
    }
    Ok(())
}
