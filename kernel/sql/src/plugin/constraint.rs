//! Constraints that plugins check (`constraint/1`).
//!
//! A constraint's plugin is looked for at every check and not kept, because a plugin may be
//! quarantined between two statements. One that is not there refuses the write: a check that cannot
//! be made is not a check that passed.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use heliosdb_plugin_host::active::constraint::{ConstraintDefinition, Violation};
use heliosdb_storage::ids::ColumnId;

use super::availability::Availability;
use super::crossing;
use super::services::Reads;
use crate::catalog::CatalogSnapshot;
use crate::catalog::meta::TableMeta;
use crate::catalog::model::{Constraint, PluginConstraint};
use crate::error::{Result, SqlError, state};
use crate::session::Session;
use crate::types::extension;

/// A plugin's constraint with what a check needs of its table.
#[derive(Debug)]
pub(crate) struct PluginCheck {
    by: PluginConstraint,
    definition: ConstraintDefinition,
    /// Places of its columns among the live ones.
    places: Vec<usize>,
}

impl PluginCheck {
    pub fn new(catalog: &CatalogSnapshot, constraint: &Constraint) -> Result<PluginCheck> {
        let by = constraint
            .plugin()
            .ok_or_else(|| SqlError::internal("a constraint of no plugin"))?
            .clone();
        let meta = catalog.table_meta(constraint.table)?;
        let places = live_places(&meta, &by.columns)?;
        let schema = catalog
            .schema(meta.table.schema)
            .map_or_else(String::new, |s| s.name.clone());
        let definition = ConstraintDefinition {
            name: constraint.name.clone(),
            schema,
            table: meta.table.name.clone(),
            columns: places
                .iter()
                .map(|p| meta.columns[*p].name.clone())
                .collect(),
            options: by.options.clone(),
        };
        Ok(PluginCheck {
            by,
            definition,
            places,
        })
    }

    pub fn name(&self) -> &str {
        &self.definition.name
    }

    pub fn table(&self) -> &str {
        &self.definition.table
    }

    /// Whether it reads one of these columns, by place.
    pub fn reads_any(&self, places: &[usize]) -> bool {
        self.places.iter().any(|p| places.contains(p))
    }

    /// The columns it reads, from all live ones.
    pub fn columns_of(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.places
            .iter()
            .map(|p| {
                batch
                    .columns()
                    .get(*p)
                    .map(extension::unwrapped)
                    .ok_or_else(|| SqlError::internal("rows without a column of a constraint"))
            })
            .collect()
    }

    /// Checks rows, given as the columns it reads; of those that violate it, the first.
    pub fn first_violation(
        &self,
        session: &mut Session,
        columns: &[ArrayRef],
    ) -> Result<Option<Violation>> {
        let rows = columns.first().map_or(0, |c| c.len());
        let columns = columns
            .iter()
            .map(crossing::any)
            .collect::<Result<Vec<_>>>()?;
        let registry = session.instance.plugins().registry();
        let check = registry
            .constraint(&self.by.plugin, &self.by.kind)
            .ok_or_else(|| self.cannot_check(session))?;
        let found = session.with_services(Reads::Held, |s| {
            check.check(s, &self.definition, &columns, rows)
        })?;
        Ok(found.into_iter().min_by_key(|violation| violation.row))
    }

    fn cannot_check(&self, session: &Session) -> SqlError {
        let availability = session.availability(&self.by.plugin);
        let why = match &availability {
            Availability::Usable => "without its constraint".to_owned(),
            other => other.to_string(),
        };
        let error = SqlError::new(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "constraint \"{}\" of relation \"{}\" cannot be checked: plugin \"{}\" is {why}",
                self.name(),
                self.table(),
                self.by.plugin,
            ),
        )
        .with_table(&self.definition.schema, self.table())
        .with_constraint(self.name());
        match availability.hint(&self.by.plugin) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

fn live_places(meta: &Arc<TableMeta>, columns: &[u16]) -> Result<Vec<usize>> {
    columns
        .iter()
        .map(|c| {
            meta.position(ColumnId(*c))
                .ok_or_else(|| SqlError::internal("a constraint over a dropped column"))
        })
        .collect()
}

/// Adds what the plugin says of a violation to the error it becomes. Which row it was stays there.
pub(crate) fn explain(mut error: SqlError, violation: Violation) -> SqlError {
    if let Some(message) = violation.message {
        error.message = message;
    }
    if let Some(detail) = violation.detail {
        error.detail = Some(match error.detail {
            Some(row) => format!("{detail}\n{row}"),
            None => detail,
        });
    }
    if violation.hint.is_some() {
        error.hint = violation.hint;
    }
    error
}
