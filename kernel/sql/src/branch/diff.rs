//! What two states differ in: rows of a table, cell by cell.
//!
//! A state is a branch at a time. Rows that anybody wrote on either side since the newest state that both have in
//! them are compared, and no others, so the work grows with what was written. A table that is on one side only,
//! or was truncated on one, is compared whole.
//!
//! 1. A table is the same on both sides when it is the same object, whatever it is called there. Where the name
//!    means two objects that the other side has not got, one went and the other came.
//! 2. Cells are the same when their stored bytes are. Of a column that only the second state has, those are other
//!    that are not what the column began with; those of a column that it has not got went with the column.
//! 3. A role sees differences of what it may read now, on the branches whose history the states are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array};
use heliosdb_plugin_host::services::{CellChange, DiffRow, DiffSide, Moment, TableDiff};
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{ColumnId, RowId, TimelineId, Ts};
use heliosdb_storage::{ReadView, ScanRequest};

use super::lineage::{State, Tree};
use super::{access, undefined};
use crate::catalog::access::Privileges;
use crate::catalog::meta::TableMeta;
use crate::catalog::{CatalogSnapshot, Oid, Relation};
use crate::error::{Result, SqlError, state};
use crate::place;
use crate::plan::as_of::time::arrive;
use crate::session::Session;
use crate::types::{Format, encode_text, extension};

/// Rows that are compared at once.
const CHUNK_ROWS: usize = 1024;

/// One of the two.
struct Side {
    state: State,
    view: ReadView,
    catalog: Arc<CatalogSnapshot>,
    /// Whose rights are in force.
    present: Arc<CatalogSnapshot>,
}

struct Sides {
    a: Side,
    b: Side,
}

/// A table, as each side has it.
#[derive(Clone, Copy)]
struct Pair {
    a: Option<Oid>,
    b: Option<Oid>,
}

impl Pair {
    fn is_one(self) -> bool {
        self.a == self.b
    }
}

/// What became of a row, and the cells that are other: their places in the table of each side.
struct RowDiff {
    op: &'static str,
    cells: Vec<(Option<usize>, Option<usize>)>,
}

/// Rows as a view has them, with text for people.
pub(super) struct Images {
    meta: Option<Arc<TableMeta>>,
    pub places: BTreeMap<RowId, usize>,
    columns: Vec<ArrayRef>,
}

impl Images {
    fn read(side: &Side, table: Option<Oid>, rows: &[RowId]) -> Result<Images> {
        match table.filter(|table| side.catalog.table(*table).is_some()) {
            Some(table) => Images::of(&side.view, side.catalog.table_meta(table)?, rows),
            None => Ok(Images {
                meta: None,
                places: BTreeMap::new(),
                columns: Vec::new(),
            }),
        }
    }

    pub fn of(view: &ReadView, meta: Arc<TableMeta>, rows: &[RowId]) -> Result<Images> {
        let batch = view.rows(&meta.storage, rows, &meta.all_columns(), true)?;
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

    pub fn datum(&self, column: usize, place: usize) -> Result<Datum> {
        Ok(Datum::from_array(self.columns[column].as_ref(), place)?)
    }

    pub fn text(&self, column: usize, place: usize, format: &Format) -> Option<String> {
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

    pub fn key(&self, key: &[ColumnId], place: usize, format: &Format) -> Option<String> {
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
    fn cells(&self, place: usize) -> Vec<usize> {
        let cells = (0..self.columns.len()).filter(|column| !self.columns[*column].is_null(place));
        cells.collect()
    }

    /// What a column began with.
    fn first_value(&self, column: ColumnId) -> Result<Datum> {
        let columns = self.meta.iter().flat_map(|meta| &meta.storage.columns);
        let column = columns.into_iter().nth(usize::from(column.0));
        let missing = column.and_then(|column| column.missing.as_deref());
        Ok(missing.map_or(Ok(Datum::Null), Datum::decode)?)
    }
}

/// The ids of rows, which are the last column, and the others.
pub(super) fn split(columns: &[ArrayRef]) -> Result<(Vec<RowId>, &[ArrayRef])> {
    let split = columns.split_last();
    let (ids, columns) = split.ok_or_else(|| SqlError::internal("rows without ids"))?;
    let ids = ids.as_any().downcast_ref::<UInt64Array>();
    let ids = ids.ok_or_else(|| SqlError::internal("row ids of another type"))?;
    Ok((ids.values().iter().map(|id| RowId(*id)).collect(), columns))
}

impl Session {
    /// The rows of a table in which two states may differ.
    ///
    /// # Errors
    ///
    /// 42P01 for a table that neither side has, 42501 for who may not read it on both, 22023 for a time to come
    /// and one whose history is gone.
    pub(crate) fn diff_rows(
        &mut self,
        table: &str,
        (a, b): (Moment, Moment),
    ) -> Result<Vec<DiffRow>> {
        let sides = self.diff_sides(a, b)?;
        let pair = self.diffed(&sides, table)?;
        self.rows_of(&sides, pair)
    }

    /// The cells of some of those rows that differ.
    pub(crate) fn diff_cells(
        &mut self,
        table: &str,
        (a, b): (Moment, Moment),
        rows: &[DiffRow],
    ) -> Result<Vec<CellChange>> {
        let sides = self.diff_sides(a, b)?;
        let pair = self.diffed(&sides, table)?;
        let key = [(&sides.b, pair.b), (&sides.a, pair.a)]
            .into_iter()
            .find_map(|(side, table)| side.catalog.primary_key(table?));
        let key: Vec<ColumnId> = key
            .map(|key| {
                key.columns()
                    .iter()
                    .map(|column| ColumnId(*column))
                    .collect()
            })
            .unwrap_or_default();
        let format = self.info.format();
        let mut cells = Vec::new();
        for rows in rows.chunks(CHUNK_ROWS) {
            self.interrupt.check()?;
            compare(&sides, pair, rows, |row, diff, a, b| {
                tell(row, &diff, (a, b), &key, &format, &mut cells);
            })?;
        }
        Ok(cells)
    }

    /// How many rows each table has more, less and otherwise; of the tables that the role may read.
    pub(crate) fn diff_stat(&mut self, a: Moment, b: Moment) -> Result<Vec<TableDiff>> {
        let sides = self.diff_sides(a, b)?;
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
            let is_readable = |side: &Side| match side.catalog.table(oid) {
                Some(_) => self.check_diff(side, oid).is_ok(),
                None => true,
            };
            if !is_readable(&sides.a) || !is_readable(&sides.b) {
                continue;
            }
            let of = |side: &Side| side.catalog.table(oid).cloned();
            let (in_a, in_b) = (of(&sides.a), of(&sides.b));
            let pair = Pair {
                a: in_a.as_ref().map(|_| oid),
                b: in_b.as_ref().map(|_| oid),
            };
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
            for rows in self.rows_of(&sides, pair)?.chunks(CHUNK_ROWS) {
                self.interrupt.check()?;
                compare(&sides, pair, rows, |_, row, _, _| match row.op {
                    "insert" => diff.inserted += 1,
                    "delete" => diff.deleted += 1,
                    _ => diff.updated += 1,
                })?;
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
        let format = self.info.format();
        let side = |moment: Moment| -> Result<Side> {
            let timeline = TimelineId(moment.branch);
            if engine.timeline_name(timeline).is_none() {
                return Err(undefined(timeline));
            }
            if timeline != self.info.place().id() {
                access::check_connect(engine, timeline, &self.info.role())?;
            }
            let now = engine.visible_view_on(timeline)?;
            let view = match moment.at {
                Some(at) => {
                    arrive(engine, &now, Ts(at), &format)?;
                    place::view_on(engine, timeline, Ts(at))?
                }
                None => now,
            };
            let in_force = place::in_force(engine, &view)?;
            Ok(Side {
                state: State {
                    timeline,
                    ts: view.ts(),
                },
                catalog: instance.catalog(&view)?,
                present: instance.catalog(&engine.visible_view_on(in_force)?)?,
                view,
            })
        };
        Ok(Sides {
            a: side(a)?,
            b: side(b)?,
        })
    }

    /// The table of a name, once it is known that the role may read it.
    fn diffed(&self, sides: &Sides, name: &str) -> Result<Pair> {
        let find = |side: &Side| -> Result<Option<Oid>> {
            match side.catalog.relation_named(name, &self.info.search_path()) {
                Ok(Relation::Table(table)) => {
                    self.check_diff(side, table.oid)?;
                    Ok(Some(table.oid))
                }
                Ok(other) => Err(SqlError::new(
                    state::WRONG_OBJECT_TYPE,
                    format!("\"{}\" is not a table", other.name()),
                )),
                Err(error) if error.code == state::UNDEFINED_TABLE => Ok(None),
                Err(error) => Err(error),
            }
        };
        let (of_a, of_b) = (find(&sides.a)?, find(&sides.b)?);
        let in_a = of_b.filter(|table| sides.a.catalog.table(*table).is_some());
        let in_b = of_a.filter(|table| sides.b.catalog.table(*table).is_some());
        let pair = match in_a.or(in_b) {
            Some(one) => Pair {
                a: Some(one),
                b: Some(one),
            },
            None => Pair { a: of_a, b: of_b },
        };
        for (side, table) in [(&sides.a, pair.a), (&sides.b, pair.b)] {
            if let Some(table) = table {
                self.check_diff(side, table)?;
            }
        }
        match (pair.a, pair.b) {
            (None, None) => Err(SqlError::new(
                state::UNDEFINED_TABLE,
                format!("relation \"{name}\" does not exist"),
            )),
            _ => Ok(pair),
        }
    }

    fn rows_of(&self, sides: &Sides, pair: Pair) -> Result<Vec<DiffRow>> {
        let engine = self.instance.engine();
        let collection = |side: &Side, table: Option<Oid>| {
            let table = side.catalog.table(table?)?;
            Some(table.collection_id())
        };
        let (of_a, of_b) = (collection(&sides.a, pair.a), collection(&sides.b, pair.b));
        let one = of_a.filter(|_| pair.is_one() && of_a == of_b);
        let Some(collection) = one else {
            let mut rows = self.all_rows(&sides.a, pair.a, DiffSide::A)?;
            rows.extend(self.all_rows(&sides.b, pair.b, DiffSide::B)?);
            return Ok(rows);
        };
        let tree = Tree::of(engine);
        let known = tree.common(engine, sides.a.state, sides.b.state)?.known;
        let mut rows = BTreeSet::new();
        for side in [&sides.a, &sides.b] {
            let mut parts = tree.path(side.state);
            parts.extend(tree.learned(engine, side.state, &known)?);
            for (timeline, from, to) in parts {
                let from = from.max(known.of(timeline));
                if from < to {
                    for row in engine.touched_on(timeline, collection, from, to)? {
                        rows.insert(row?);
                    }
                }
            }
        }
        let both = rows.into_iter().map(|row| DiffRow {
            of: DiffSide::Both,
            row: row.0,
        });
        Ok(both.collect())
    }

    fn all_rows(&self, side: &Side, table: Option<Oid>, of: DiffSide) -> Result<Vec<DiffRow>> {
        let Some(table) = table else {
            return Ok(Vec::new());
        };
        let meta = side.catalog.table_meta(table)?;
        let request = ScanRequest {
            row_id: true,
            ..ScanRequest::columns(Vec::new())
        };
        let mut rows = Vec::new();
        let scans = side.view.scan(meta.storage.clone(), request)?;
        for batch in scans.into_iter().flatten() {
            self.interrupt.check()?;
            let (ids, _) = split(batch?.columns()).map(|(ids, rest)| (ids, rest.len()))?;
            rows.extend(ids.into_iter().map(|id| DiffRow { of, row: id.0 }));
        }
        Ok(rows)
    }

    /// See the module's header, 3.
    fn check_diff(&self, side: &Side, table: Oid) -> Result<()> {
        let then = side.catalog.table(table).cloned();
        let then = then.ok_or_else(|| SqlError::internal("a table that is not there"))?;
        let now = side.present.table(table).cloned().unwrap_or(then);
        let role = self.info.role();
        self.check_may_name(&side.present, &Relation::Table(now.clone()))?;
        role.check_table(&side.present, &now, Privileges::SELECT)?;
        match role.is_bound_by(&now) {
            false => Ok(()),
            true => Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                format!(
                    "table \"{}\" has row security, and is compared by who is not bound by it",
                    now.name
                ),
            )),
        }
    }

    /// 42501 without USAGE on a relation's schema, 0A000 for other sessions' temporary ones.
    pub(super) fn check_may_name(
        &self,
        catalog: &CatalogSnapshot,
        relation: &Relation,
    ) -> Result<()> {
        if let Some(schema) = catalog.schema(relation.schema()) {
            let role = self.info.role();
            role.check_schema(catalog, schema, Privileges::USAGE)?;
        }
        self.info.check_not_of_others(catalog, relation)
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

/// Gives every row that is other, with the rows of both sides.
fn compare(
    sides: &Sides,
    pair: Pair,
    rows: &[DiffRow],
    mut found: impl FnMut(RowId, RowDiff, &Images, &Images),
) -> Result<()> {
    let ids = |other: DiffSide| -> Vec<RowId> {
        let rows = rows.iter().filter(|row| row.of != other);
        rows.map(|row| RowId(row.row)).collect()
    };
    let a = Images::read(&sides.a, pair.a, &ids(DiffSide::B))?;
    let b = Images::read(&sides.b, pair.b, &ids(DiffSide::A))?;
    for row in rows {
        let id = RowId(row.row);
        let in_a = a.places.get(&id).filter(|_| row.of != DiffSide::B);
        let in_b = b.places.get(&id).filter(|_| row.of != DiffSide::A);
        let diff = match (in_a, in_b) {
            (None, None) => continue,
            (Some(place), None) => RowDiff {
                op: "delete",
                cells: a
                    .cells(*place)
                    .into_iter()
                    .map(|c| (Some(c), None))
                    .collect(),
            },
            (None, Some(place)) => RowDiff {
                op: "insert",
                cells: b
                    .cells(*place)
                    .into_iter()
                    .map(|c| (None, Some(c)))
                    .collect(),
            },
            (Some(of_a), Some(of_b)) => match updated((&a, *of_a), (&b, *of_b))? {
                cells if cells.is_empty() => continue,
                cells => RowDiff {
                    op: "update",
                    cells,
                },
            },
        };
        found(id, diff, &a, &b);
    }
    Ok(())
}

/// The cells of a row that both sides have, and are other.
fn updated(
    (a, of_a): (&Images, usize),
    (b, of_b): (&Images, usize),
) -> Result<Vec<(Option<usize>, Option<usize>)>> {
    let columns = b.meta.iter().flat_map(|meta| &meta.columns);
    let mut cells = Vec::new();
    for (column, meta) in columns.enumerate() {
        let in_a = a.column(meta.id);
        let old = match in_a {
            Some(in_a) => a.datum(in_a, of_a)?,
            None => b.first_value(meta.id)?,
        };
        let new = b.datum(column, of_b)?;
        if old != new && old.encode() != new.encode() {
            cells.push((in_a, Some(column)));
        }
    }
    Ok(cells)
}

/// A row that is other, cell by cell.
fn tell(
    row: RowId,
    diff: &RowDiff,
    (a, b): (&Images, &Images),
    key: &[ColumnId],
    format: &Format,
    out: &mut Vec<CellChange>,
) {
    let (in_a, in_b) = (a.places.get(&row).copied(), b.places.get(&row).copied());
    let (images, place) = match diff.op {
        "delete" => (a, in_a),
        _ => (b, in_b),
    };
    let name = |images: &Images, column: usize| {
        let meta = images.meta.as_ref()?;
        meta.columns.get(column).map(|column| column.name.clone())
    };
    let whole = CellChange {
        op: diff.op.to_owned(),
        row: row.0,
        key: place.and_then(|place| images.key(key, place, format)),
        ..CellChange::default()
    };
    if diff.cells.is_empty() {
        out.push(whole);
        return;
    }
    for (of_a, of_b) in &diff.cells {
        out.push(CellChange {
            column: of_b.and_then(|c| name(b, c)).or_else(|| name(a, (*of_a)?)),
            old: of_a.and_then(|column| a.text(column, in_a?, format)),
            new: of_b.and_then(|column| b.text(column, in_b?, format)),
            ..whole.clone()
        });
    }
}
