//! Which rows of which tables are compared, and what comes of it.
//!
//! Compared are the rows that anybody wrote on the source since the base. Where columns came whose values rows
//! of the target do not have yet, those rows of the target are among them: the ones that were written since the
//! base, and those that hold nothing where the target had left the column's place free.
//!
//! A table that the source made, or gave a new storage (TRUNCATE, a column of another type), is copied: its
//! rows are new as a whole. Of one that the target gave a new storage, no row is the source's; they get what the
//! source's new columns begin with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array};
use heliosdb_plugin_host::services::Conflict;
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{ColumnId, RowId, TimelineId, Ts};
use heliosdb_storage::{RowLockMode, ScanRequest, TableLockMode};

use super::cells::{Base, Compared, Comparison, First, Sided, columns_in, missing};
use super::schema::{Catalogs, Known, retyped};
use super::{Progress, Sides, State};
use crate::catalog::CatalogSnapshot;
use crate::catalog::access::Privileges;
use crate::catalog::meta::TableMeta;
use crate::dml::generated::Programs;
use crate::dml::target::{WriteTarget, default_expression};
use crate::error::{Result, SqlError, state};
use crate::plan::compile::Expressions;
use crate::session::Session;
use crate::types::extension;

/// Rows that are compared at once.
const CHUNK_ROWS: usize = 4096;

/// What a merge does to a table.
pub(super) struct TableWork {
    pub target: Arc<WriteTarget>,
    /// The table with those indexes only that are filled.
    pub storage: Arc<TableMeta>,
    pub deleted: Vec<RowId>,
    /// Rows that are written, with a batch of every live column for each chunk.
    pub written: Vec<(Vec<RowId>, Vec<ArrayRef>)>,
    /// Those of them that the target has not.
    pub new: BTreeSet<RowId>,
    /// `None` for a table that is copied.
    pub compared: Option<Compared>,
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
            let compared = match catalogs.is_copied(table) {
                true => Some(self.copy_table(sides, catalogs, table, progress)?),
                false => self.compare_table(sides, catalogs, table, progress)?,
            };
            work.extend(compared);
        }
        for table in &work {
            let written = table.written.iter().map(|(rows, _)| rows.len() as u64);
            let inserted = table.new.len() as u64;
            progress.report.inserted += inserted;
            progress.report.updated += written.sum::<u64>().saturating_sub(inserted);
            progress.report.deleted += table.deleted.len() as u64;
        }
        if progress.is_open() {
            return Ok(());
        }
        self.write_merged(catalogs, work, progress)
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
                || catalogs.is_copied(table.oid)
            {
                continue;
            }
            let meta = there.table_meta(table.oid)?;
            if !self.touched(sides.news(sides.source), &meta)?.is_empty() {
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

    /// The rows that were written in some parts of timelines.
    fn touched(
        &self,
        parts: impl Iterator<Item = (TimelineId, Ts, Ts)>,
        meta: &TableMeta,
    ) -> Result<BTreeSet<RowId>> {
        let engine = self.instance.engine();
        let mut rows = BTreeSet::new();
        for (timeline, from, to) in parts {
            for row in engine.touched_on(timeline, meta.id(), from, to)? {
                rows.insert(row?);
            }
        }
        Ok(rows)
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
        // What only the target made.
        let Some(there) = catalogs.source.table(table) else {
            return Ok(None);
        };
        // What the target gave a new storage has rows that the source never saw, and new columns of the source's.
        let mut touched = match there.collection == meta.table.collection {
            true => self.touched(sides.news_of_source(), &meta)?,
            false => BTreeSet::new(),
        };
        let has = Sided {
            source: is_there(&columns_in(&catalogs.source, &meta)),
            target: is_there(&columns_in(&catalogs.target, &meta)),
        };
        let first = self.first_values(&catalog, &meta, &has)?;
        let free = columns_in(&catalogs.target, &meta);
        let is_new = |at: &usize| has.source[*at] && !has.target[*at];
        let unfilled = (0..first.len()).filter(is_new).filter(|at| {
            free[*at] == Some(false) && !matches!(first[*at], First::Value(Datum::Null))
        });
        let unfilled: Vec<ColumnId> = unfilled.map(|at| meta.columns[at].id).collect();
        let is_computed = |at: usize| {
            let id = usize::from(meta.columns[at].id.0);
            first[at] == First::Fresh || meta.table.columns[id].generated.is_some()
        };
        let fills = !unfilled.is_empty() || (0..first.len()).filter(is_new).any(is_computed);
        if touched.is_empty() && !fills {
            return Ok(None);
        }
        self.lock_table(meta.id(), TableLockMode::RowExclusive)?;
        self.check_merge_privileges(&catalogs.source, &catalog, &meta)?;
        let engine = self.instance.engine().clone();
        if fills {
            let latest = State {
                timeline: sides.target,
                ts: self.transaction()?.latest_view().ts(),
            };
            touched.extend(self.touched(sides.news(latest), &meta)?);
            touched.extend(self.unfilled_rows(&meta, unfilled)?);
        }
        let target = self.as_role(meta.table.owner, |session| {
            session.with_state(|session, state| session.write_target(state, &catalog, table))
        })?;
        let base = |known: &Known| Base {
            view: known.view.clone(),
            has: is_there(&columns_in(&known.catalog, &meta)),
        };
        let brought = catalogs.brought.iter();
        let brought = brought.map(|(before, after)| (base(before), base(after)));
        let compared = Compared {
            name: qualified(&catalog, &meta),
            key: key_of(&catalog, &meta),
            resolvers: (progress.policies).of_table(&catalog, &self.info.search_path(), &meta),
            format: self.info.format(),
            bases: catalogs.bases.iter().map(base).collect(),
            grounds: catalogs.grounds.iter().map(base).collect(),
            brought: brought.collect(),
            source: sides.source.view(&engine)?,
            has,
            first,
            fills,
            lost: sides.rows_of_lost(&engine, meta.id())?,
            meta: meta.clone(),
        };
        let mut work = TableWork {
            target,
            storage: meta.with_indexes_of(&catalogs.target)?,
            deleted: Vec::new(),
            written: Vec::new(),
            new: BTreeSet::new(),
            compared: None,
        };
        let touched: Vec<RowId> = touched.into_iter().collect();
        for rows in touched.chunks(CHUNK_ROWS) {
            self.interrupt.check()?;
            let wait = self.lock_wait();
            for row in rows {
                let transaction = self.transaction()?;
                transaction.lock_row(meta.id(), *row, RowLockMode::Update, wait)?;
            }
            let latest = self.transaction()?.latest_view();
            let mut comparison = Comparison::of(&compared, &latest, rows)?;
            for row in rows {
                comparison.row(*row, progress)?;
            }
            work.deleted.append(&mut comparison.deleted);
            work.new.append(&mut comparison.new);
            if !comparison.rows.is_empty() {
                let columns = self.columns_of(&work.target, &comparison)?;
                work.written.push((comparison.rows, columns));
            }
        }
        work.compared = Some(compared);
        self.resolve_keys(&mut work, progress)?;
        Ok(Some(work))
    }

    /// What rows have in columns that came to them later, by column.
    fn first_values(
        &mut self,
        catalog: &Arc<CatalogSnapshot>,
        meta: &TableMeta,
        has: &Sided,
    ) -> Result<Vec<First>> {
        let mut first = Vec::with_capacity(meta.columns.len());
        for (at, column) in meta.columns.iter().enumerate() {
            let value = missing(meta, at)?;
            let defined = &meta.table.columns[usize::from(column.id.0)];
            let is_of_one = has.source[at] != has.target[at];
            // A constant would be recorded.
            let default = match is_of_one && value == Datum::Null {
                true => default_expression(defined)?,
                false => None,
            };
            let is_fresh = match default {
                Some(default) => self.is_volatile_default(catalog, meta, default)?,
                None => false,
            };
            first.push(match is_fresh {
                true => First::Fresh,
                false => First::Value(value),
            });
        }
        Ok(first)
    }

    fn is_volatile_default(
        &mut self,
        catalog: &Arc<CatalogSnapshot>,
        meta: &TableMeta,
        default: sqlparser::ast::Expr,
    ) -> Result<bool> {
        self.as_role(meta.table.owner, |session| {
            session.with_state(|session, state| {
                let (info, what) = (&session.info, "DEFAULT expressions");
                let exprs = vec![default];
                let exprs = Expressions::plan_stored(state, catalog, info, &[], exprs, what)?;
                Ok(exprs.is_volatile())
            })
        })
    }

    /// The rows of the target that hold nothing in a column, of those in which rows begin with something, and whose
    /// place was free when they were written.
    fn unfilled_rows(&mut self, meta: &TableMeta, columns: Vec<ColumnId>) -> Result<Vec<RowId>> {
        let mut found = Vec::new();
        if columns.is_empty() {
            return Ok(found);
        }
        let request = ScanRequest {
            row_id: true,
            ..ScanRequest::columns(columns)
        };
        let view = self.transaction()?.latest_view();
        let scans = view.scan(meta.storage.clone(), request)?;
        for batch in scans.into_iter().flatten() {
            self.interrupt.check()?;
            let batch = batch?;
            let (ids, columns) = with_ids(batch.columns())?;
            let rows = ids.into_iter().enumerate();
            let unfilled = rows.filter(|(at, _)| columns.iter().any(|c| c.is_null(*at)));
            found.extend(unfilled.map(|(_, row)| row));
        }
        Ok(found)
    }

    /// What is written of compared rows, with what is worked out for each of them.
    pub(super) fn columns_of(
        &mut self,
        target: &WriteTarget,
        comparison: &Comparison<'_>,
    ) -> Result<Vec<ArrayRef>> {
        let (meta, format) = (&target.meta, self.info.format());
        self.as_role(meta.table.owner, |session| {
            session.with_state(|_, state| {
                let mut fresh = vec![None; meta.columns.len()];
                for (at, count) in comparison.fresh.iter().enumerate() {
                    let Some(which) = target.default_of(at).filter(|_| *count > 0) else {
                        continue;
                    };
                    let program = target.defaults.program(state, &[])?;
                    let rows = crate::dml::rows_without_columns(*count);
                    let values = program.run_one(which, &rows)?;
                    let (column, field) = (&meta.columns[at], meta.schema.field(at));
                    let ty = field.data_type();
                    let values = crate::dml::assign::to_column(&values, column, ty, &format)?;
                    fresh[at] = Some(extension::unwrapped(&values));
                }
                let mut columns = comparison.columns(&fresh)?;
                let mut programs = Programs::new();
                let generated = &target.generated;
                generated.fill(state, &mut programs, meta, &mut columns, None, &format)?;
                Ok(columns)
            })
        })
    }

    /// All rows of a table that is new on the target, or has no rows there yet. In columns that the source has not got
    /// they have what ALTER TABLE would have given them.
    fn copy_table(
        &mut self,
        sides: &Sides,
        catalogs: &Catalogs,
        table: u32,
        progress: &mut Progress,
    ) -> Result<TableWork> {
        let (_, catalog) = self.write_view()?;
        let meta = catalog.table_meta(table)?;
        let target = self.as_role(meta.table.owner, |session| {
            session.with_state(|session, state| session.write_target(state, &catalog, table))
        })?;
        let mut work = TableWork {
            target,
            storage: meta.clone(),
            deleted: Vec::new(),
            written: Vec::new(),
            new: BTreeSet::new(),
            compared: None,
        };
        let view = sides.source.view(self.instance.engine())?;
        let has = Sided {
            source: is_there(&columns_in(&catalogs.source, &meta)),
            target: is_there(&columns_in(&catalogs.target, &meta)),
        };
        let has_all = has.source.iter().all(|has| *has);
        let compared = match has_all {
            true => None,
            false => Some(Compared {
                name: qualified(&catalog, &meta),
                key: Vec::new(),
                resolvers: vec![None; meta.columns.len()],
                format: self.info.format(),
                bases: Vec::new(),
                grounds: Vec::new(),
                brought: Vec::new(),
                source: view.clone(),
                first: self.first_values(&catalog, &meta, &has)?,
                has,
                fills: false,
                lost: BTreeMap::new(),
                meta: meta.clone(),
            }),
        };
        let request = ScanRequest {
            row_id: true,
            ..ScanRequest::columns(meta.all_columns())
        };
        let scans = view.scan(meta.storage.clone(), request)?;
        for batch in scans.into_iter().flatten() {
            self.interrupt.check()?;
            let batch = batch?;
            let (rows, columns) = with_ids(batch.columns())?;
            work.new.extend(rows.iter().copied());
            let Some(compared) = &compared else {
                let columns = columns.iter().zip(meta.schema.fields());
                let columns =
                    columns.map(|(values, f)| extension::wrapped_as(values, f.data_type()));
                work.written.push((rows, columns.collect::<Result<_>>()?));
                continue;
            };
            // What the source's rows hold in columns that only the target has is no value of theirs.
            for rows in rows.chunks(CHUNK_ROWS) {
                let latest = self.transaction()?.latest_view();
                let mut comparison = Comparison::of(compared, &latest, rows)?;
                for row in rows {
                    comparison.row(*row, progress)?;
                }
                let columns = self.columns_of(&work.target, &comparison)?;
                work.written.push((comparison.rows, columns));
            }
        }
        Ok(work)
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

/// The columns of a batch that has row ids in its last one, and those.
fn with_ids(columns: &[ArrayRef]) -> Result<(Vec<RowId>, &[ArrayRef])> {
    let Some((ids, columns)) = columns.split_last() else {
        return Err(SqlError::internal("rows without ids"));
    };
    let ids = ids.as_any().downcast_ref::<UInt64Array>();
    let ids = ids.ok_or_else(|| SqlError::internal("row ids of another type"))?;
    Ok((ids.values().iter().map(|id| RowId(*id)).collect(), columns))
}

fn is_there(columns: &[Option<bool>]) -> Vec<bool> {
    columns.iter().map(|c| *c == Some(true)).collect()
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
