//! Who wrote what, and when: the commits of a branch, and of each cell of a table the commit that gave it its
//! value.
//!
//! A row is followed back from what it is now: the version before the one that is seen is what was seen just before
//! its commit. Cells that were the same then go on to the version before that one, the others were written by the
//! commit. So were all when there was no row, or no history of it is left. Rows that were written by one commit
//! are read together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use heliosdb_plugin_host::services::{CellOrigin, Commit};
use heliosdb_storage::ids::{ColumnId, RowId, TimelineId, Ts};
use heliosdb_storage::{Error as StorageError, ReadView, ScanRequest};

use super::diff::{Images, split};
use crate::authors;
use crate::catalog::access::Privileges;
use crate::catalog::meta::TableMeta;
use crate::catalog::{CatalogSnapshot, Relation};
use crate::error::{Result, SqlError, state};
use crate::instance::Instance;
use crate::session::Session;

/// A table whose cells are followed.
struct Followed {
    instance: Arc<Instance>,
    meta: Arc<TableMeta>,
    timeline: TimelineId,
    view: ReadView,
}

/// The cells of a row whose commit is not known yet, by their places in the table.
type Open = Vec<usize>;

impl Session {
    /// Commits of the session's branch after `since`, up to `until` or now, in order, at most so many. Without
    /// `since` from where the history begins.
    ///
    /// # Errors
    ///
    /// 22023 for a span that begins before the history.
    pub(crate) fn commits(
        &mut self,
        since: Option<u64>,
        until: Option<u64>,
        most: usize,
    ) -> Result<Vec<Commit>> {
        let instance = self.instance.clone();
        let (engine, timeline) = (instance.engine(), self.info.place().id());
        let view = self.info.place().visible_view()?;
        let until = until.map_or(view.ts(), Ts).min(view.ts());
        let since = since.map(|since| Ts(since).min(until));
        let catalog = instance.catalog(&view)?;
        let commit = |commit: Result<(Ts, _)>| {
            let (ts, role) = commit?;
            Ok(Commit {
                scn: ts.0,
                role: catalog.role(role).map(|role| role.name.clone()),
            })
        };
        match since {
            Some(since) => {
                let commits = authors::commits(engine, timeline, since, until)?;
                commits.map(commit).take(most).collect()
            }
            None => {
                let commits = authors::known_commits(engine, timeline, Ts::ZERO, until)?;
                commits.map(commit).take(most).collect()
            }
        }
    }

    /// Of each cell of the rows after `after`, at most so many rows, the commit that gave it its value; and the last
    /// row, while there may be more.
    ///
    /// # Errors
    ///
    /// 42P01 for no table, 42501 without SELECT on it, and for a table with row security that binds the role.
    pub(crate) fn blame(
        &mut self,
        table: &str,
        after: Option<u64>,
        rows_max: usize,
    ) -> Result<(Vec<CellOrigin>, Option<u64>)> {
        let instance = self.instance.clone();
        let view = self.info.place().visible_view()?;
        let catalog = instance.catalog(&view)?;
        let meta = self.followed(&catalog, table)?;
        let followed = Followed {
            instance: instance.clone(),
            timeline: self.info.place().id(),
            meta,
            view,
        };
        let rows = self.rows_behind(&followed, after, rows_max + 1)?;
        let is_last = rows.len() <= rows_max;
        let rows: Vec<RowId> = rows.into_iter().take(rows_max).collect();
        let now = Images::of(&followed.view, followed.meta.clone(), &rows)?;
        let origins = self.origins(&followed, &now, &rows)?;
        let wanted: BTreeSet<Ts> = origins.values().flatten().map(|(_, ts)| *ts).collect();
        let known = authors::of_commits(instance.engine(), followed.timeline, &wanted)?;
        let key = catalog.primary_key(followed.meta.table.oid);
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
        for row in &rows {
            let (Some(place), Some(columns)) = (now.places.get(row), origins.get(row)) else {
                continue;
            };
            for (column, ts) in columns {
                let author = known.get(ts).and_then(|role| catalog.role(*role));
                cells.push(CellOrigin {
                    row: row.0,
                    key: now.key(&key, *place, &format),
                    column: followed.meta.columns[*column].name.clone(),
                    value: now.text(*column, *place, &format),
                    scn: ts.0,
                    role: author.map(|role| role.name.clone()),
                });
            }
        }
        let last = rows.last().filter(|_| !is_last).map(|row| row.0);
        Ok((cells, last))
    }

    fn followed(&self, catalog: &CatalogSnapshot, table: &str) -> Result<Arc<TableMeta>> {
        let found = catalog.relation_named(table, &self.info.search_path())?;
        let Relation::Table(table) = &found else {
            return Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a table", found.name()),
            ));
        };
        let role = self.info.role();
        role.check_table(catalog, table, Privileges::SELECT)?;
        if role.is_bound_by(table) {
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                format!(
                    "table \"{}\" has row security, and is followed by who is not bound by it",
                    table.name
                ),
            ));
        }
        catalog.table_meta(table.oid)
    }

    fn rows_behind(
        &self,
        followed: &Followed,
        after: Option<u64>,
        most: usize,
    ) -> Result<BTreeSet<RowId>> {
        let request = ScanRequest {
            row_id: true,
            ..ScanRequest::columns(Vec::new())
        };
        let scans = followed.view.scan(followed.meta.storage.clone(), request)?;
        let mut rows = BTreeSet::new();
        for batch in scans.into_iter().flatten() {
            self.interrupt.check()?;
            let (ids, _) = split(batch?.columns()).map(|(ids, rest)| (ids, rest.len()))?;
            rows.extend(
                ids.into_iter()
                    .filter(|row| after.is_none_or(|after| row.0 > after)),
            );
            while rows.len() > most {
                rows.pop_last();
            }
        }
        Ok(rows)
    }

    /// The commit of every cell, by row.
    fn origins(
        &self,
        followed: &Followed,
        now: &Images,
        rows: &[RowId],
    ) -> Result<BTreeMap<RowId, Vec<(usize, Ts)>>> {
        let table = followed.meta.id();
        let all: Open = (0..followed.meta.columns.len()).collect();
        let mut open: BTreeMap<Ts, Vec<(RowId, Open)>> = BTreeMap::new();
        for row in rows {
            if let Some(ts) = followed.view.row_ts(table, *row)? {
                open.entry(ts).or_default().push((*row, all.clone()));
            }
        }
        let mut origins: BTreeMap<RowId, Vec<(usize, Ts)>> = BTreeMap::new();
        while let Some((ts, group)) = open.pop_last() {
            self.interrupt.check()?;
            let before = followed.before(ts)?;
            let ids: Vec<RowId> = group.iter().map(|(row, _)| *row).collect();
            let then = match &before {
                Some(view) => Some(Images::of(view, followed.meta.clone(), &ids)?),
                None => None,
            };
            for (row, columns) in group {
                let mut going_on = Vec::new();
                let place = then.as_ref().and_then(|then| then.places.get(&row));
                for column in columns {
                    let is_same = match (&then, place, now.places.get(&row)) {
                        (Some(then), Some(then_at), Some(now_at)) => {
                            let (old, new) =
                                (then.datum(column, *then_at)?, now.datum(column, *now_at)?);
                            old == new || old.encode() == new.encode()
                        }
                        _ => false,
                    };
                    match is_same {
                        true => going_on.push(column),
                        false => origins.entry(row).or_default().push((column, ts)),
                    }
                }
                let earlier = match &before {
                    Some(view) if !going_on.is_empty() => view.row_ts(table, row)?,
                    _ => None,
                };
                match earlier {
                    Some(earlier) => open.entry(earlier).or_default().push((row, going_on)),
                    None => {
                        let known = origins.entry(row).or_default();
                        known.extend(going_on.into_iter().map(|column| (column, ts)));
                    }
                }
            }
        }
        for columns in origins.values_mut() {
            columns.sort_unstable();
        }
        Ok(origins)
    }
}

impl Followed {
    /// What was seen just before a commit; `None` when nothing remembers it, or the table was not there or in
    /// another place.
    fn before(&self, ts: Ts) -> Result<Option<ReadView>> {
        let Some(before) = ts.0.checked_sub(1) else {
            return Ok(None);
        };
        let view = match self.instance.engine().view_at_on(self.timeline, Ts(before)) {
            Err(StorageError::SnapshotTooOld { .. }) => return Ok(None),
            view => view?,
        };
        match view.check_kept(self.meta.id()) {
            Err(StorageError::SnapshotTooOld { .. }) => Ok(None),
            kept => Ok(kept.map(|()| Some(view))?),
        }
    }
}
