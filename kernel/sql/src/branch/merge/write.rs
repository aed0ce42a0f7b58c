//! What was decided is written, and held against every constraint.
//!
//! 1. Rows go first, and all rows of a table come at once, so that they may change places in a unique index. Indexes
//!    that the source made are filled after them: it may have made its rows fit before.
//! 2. Referential actions do nothing: they did their work on the source.
//! 3. What users wrote into definitions (CHECK, defaults, generated columns) runs with the rights of the table's
//!    owner, and not with those of the superuser who merges.
//! 4. A constraint that does not hold is a conflict, and all that was written is undone.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::concat;
use heliosdb_plugin_host::services::Conflict;
use heliosdb_storage::ids::{CollectionId, RowId};

use super::Progress;
use super::rows::TableWork;
use super::schema::Catalogs;
use crate::catalog::model::{Constraint, ConstraintKind, Table};
use crate::catalog::{CatalogSnapshot, Oid};
use crate::ddl::constraint::Fill;
use crate::dml::write::Writer;
use crate::error::{Result, SqlError, state};
use crate::session::Session;
use crate::session::info::SessionInfo;
use crate::session::settings::{Identity, Settings};

/// Acts for another role, and then for the one before again, whatever happens.
struct Acting {
    info: Arc<SessionInfo>,
    before: Identity,
}

impl Acting {
    fn new(info: &Arc<SessionInfo>, role: Oid) -> Acting {
        let before = info.with_settings(Settings::identity);
        if before.current() != role {
            info.become_definer(role);
        }
        Acting {
            info: info.clone(),
            before,
        }
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        if self.info.with_settings(Settings::identity) != self.before {
            self.info.act_as(self.before);
        }
    }
}

impl Session {
    /// Does something with the rights of a role.
    pub(in crate::branch) fn as_role<T>(
        &mut self,
        role: Oid,
        work: impl FnOnce(&mut Session) -> Result<T>,
    ) -> Result<T> {
        let _acting = Acting::new(&self.info, role);
        work(self)
    }

    pub(super) fn write_merged(
        &mut self,
        catalogs: &Catalogs,
        work: Vec<TableWork>,
        progress: &mut Progress,
    ) -> Result<()> {
        let savepoint = self.transaction()?.savepoint();
        let written = self.write_tables(catalogs, work);
        let checked = written.and_then(|()| self.check_new_constraints(catalogs));
        let Err(error) = checked else {
            return Ok(());
        };
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
        Ok(())
    }

    fn write_tables(&mut self, catalogs: &Catalogs, work: Vec<TableWork>) -> Result<()> {
        self.transaction()?.begin_statement();
        let (_, catalog) = self.write_view()?;
        let mut writer = Writer::merging(self, catalog.clone());
        for table in &work {
            let storage = &table.storage.storage;
            writer.delete_from(self, &table.target, storage, &table.deleted)?;
        }
        for table in work {
            if table.written.is_empty() {
                continue;
            }
            let rows = table.written.iter().flat_map(|(rows, _)| rows);
            let rows: Vec<RowId> = rows.copied().collect();
            let columns = (0..table.target.meta.columns.len()).map(|at| {
                let chunks = table.written.iter();
                let chunks = chunks.map(|(_, columns)| columns[at].as_ref());
                concat(&chunks.collect::<Vec<_>>()).map_err(SqlError::from)
            });
            let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
            let count = rows.len();
            let batch = self.as_role(table.target.meta.table.owner, |session| {
                session.with_state(|session, state| {
                    writer.check_rows(session, state, &table.target, (columns, count), None)
                })
            })?;
            let storage = &table.storage.storage;
            writer.put(self, &table.target, storage, &rows, &batch)?;
        }
        for (table, index) in &catalogs.unfilled {
            let filled = self.fill_index(&catalog, *table, CollectionId(*index), Fill::Locked);
            let name = catalog.table(*table).map(|table| table.name.clone());
            filled.map_err(|error| error.with_table("", name.unwrap_or_default()))?;
        }
        for table in &catalogs.redefined {
            self.define_storage(&catalog, *table)?;
        }
        self.with_state(|session, state| writer.finish(session, state))
    }

    /// Looks at rows of the target by what the source demands of them since, and by what the target demands of
    /// what the source took away.
    fn check_new_constraints(&mut self, catalogs: &Catalogs) -> Result<()> {
        let before = &catalogs.target;
        let (_, catalog) = self.write_view()?;
        let is_new = |constraint: &Constraint| match &constraint.kind {
            // Its keys may be gone.
            ConstraintKind::ForeignKey(key) if catalogs.is_copied(key.referenced_table) => true,
            _ => {
                let old = before.constraint(constraint.oid);
                old.is_none_or(|old| !old.validated)
            }
        };
        let constraints: Vec<Arc<Constraint>> = catalog
            .constraints()
            .filter(|c| c.validated && before.table(c.table).is_some() && is_new(c))
            .cloned()
            .collect();
        for constraint in constraints {
            let owner = catalog.table(constraint.table).map(|table| table.owner);
            let role = owner.unwrap_or(self.info.role().oid);
            self.as_role(role, |session| {
                session.check_existing_rows(&catalog, &constraint)
            })?;
        }
        let tables: Vec<Arc<Table>> = catalog.tables().cloned().collect();
        for table in tables {
            let Some(old) = before.table(table.oid) else {
                continue;
            };
            let places: Vec<u16> = table
                .live_columns()
                .filter(|(id, column)| {
                    column.not_null && old.column_at(id.0).is_none_or(|old| !old.not_null)
                })
                .map(|(id, _)| id.0)
                .collect();
            if !places.is_empty() {
                let mut same = table.as_ref().clone();
                for place in &places {
                    same.columns[usize::from(*place)].not_null = false;
                }
                let checked = self.make_not_null(&catalog, &mut same, &places, true);
                checked.map_err(|error| error.with_table("", &table.name))?;
            }
            self.check_domains(&catalog, &table, old)?;
        }
        Ok(())
    }

    /// Values of domains that ask for more, or for something else, than they did on the target.
    fn check_domains(
        &mut self,
        catalog: &CatalogSnapshot,
        table: &Table,
        old: &Table,
    ) -> Result<()> {
        for (id, column) in table.live_columns() {
            let Some(rules) = &column.domain else {
                continue;
            };
            let known = old.column_at(id.0).and_then(|old| old.domain.as_ref());
            let is_new = known.is_none_or(|known| {
                let is_known = |check| known.checks.contains(check);
                (rules.not_null && !known.not_null) || !rules.checks.iter().all(is_known)
            });
            if !is_new {
                continue;
            }
            self.scan_table(catalog, table.oid, &[id.0], |_, batch| {
                rules.check(batch.column(0)).map_err(|error| {
                    let constraint = error.constraint.clone().unwrap_or_default();
                    error
                        .with_table("", &table.name)
                        .with_constraint(&constraint)
                })
            })?;
        }
        Ok(())
    }
}
