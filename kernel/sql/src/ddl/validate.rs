//! Constraints against the rows that are there: ADD CONSTRAINT, and VALIDATE CONSTRAINT after NOT VALID.

use std::sync::Arc;

use super::constraint::Existing;
use super::put;
use crate::catalog::CatalogSnapshot;
use crate::catalog::model::*;
use crate::dml::write::Writer;
use crate::error::{Result, SqlError, state};
use crate::plugin::constraint::{PluginCheck, explain};
use crate::session::Session;

impl Session {
    /// Writes a constraint into the catalog, and looks at the rows when it is to hold of them.
    pub(crate) fn put_constraint(
        &mut self,
        constraint: Constraint,
        existing: Existing,
    ) -> Result<()> {
        let catalog = self.change_catalog(vec![put!(Constraint, constraint.clone())])?;
        if existing == Existing::Check {
            self.check_existing_rows(&catalog, &constraint)?;
        }
        Ok(())
    }

    /// ALTER TABLE … VALIDATE CONSTRAINT.
    pub(super) fn validate_constraint(&mut self, table: Oid, name: &str) -> Result<()> {
        let (catalog, table) = self.table_now(table)?;
        let found = catalog
            .constraints_of(table.oid)
            .find(|c| c.name == name)
            .ok_or_else(|| {
                SqlError::new(
                    state::UNDEFINED_OBJECT,
                    format!(
                        "constraint \"{name}\" of relation \"{}\" does not exist",
                        table.name
                    ),
                )
            })?;
        if matches!(
            found.kind,
            ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. }
        ) {
            return Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!(
                    "constraint \"{name}\" of relation \"{}\" is not a foreign key or check constraint",
                    table.name
                ),
            ));
        }
        if found.validated {
            return Ok(());
        }
        let constraint = found.as_ref().clone();
        self.check_existing_rows(&catalog, &constraint)?;
        let validated = Constraint {
            validated: true,
            ..constraint
        };
        self.change_catalog(vec![put!(Constraint, validated)])?;
        Ok(())
    }

    /// Looks at every row of the constraint's table. Keys are not looked at: their indexes are built
    /// over the rows.
    pub(crate) fn check_existing_rows(
        &mut self,
        catalog: &Arc<CatalogSnapshot>,
        constraint: &Constraint,
    ) -> Result<()> {
        match &constraint.kind {
            ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. } => Ok(()),
            ConstraintKind::Check { .. } => self.check_existing_condition(catalog, constraint),
            ConstraintKind::ForeignKey(_) => self.check_existing_parents(catalog, constraint),
            ConstraintKind::Plugin(_) => self.check_existing_with_plugin(catalog, constraint),
        }
    }

    fn check_existing_condition(
        &mut self,
        catalog: &Arc<CatalogSnapshot>,
        constraint: &Constraint,
    ) -> Result<()> {
        let (program, at, target) = self.with_state(|session, state| {
            let target = session.write_target(state, catalog, constraint.table)?;
            let at = target.checks.iter().position(|c| c.oid == constraint.oid);
            let at = at.ok_or_else(|| SqlError::internal("a check that is not its table's"))?;
            Ok((target.conditions.program(state, &[])?, at, target))
        })?;
        let all: Vec<u16> = target.meta.columns.iter().map(|c| c.id.0).collect();
        self.scan_table(catalog, constraint.table, &all, |_, batch| {
            let holds = program.condition(at, batch)?;
            if holds.iter().any(|h| h == Some(false)) {
                return Err(violated_by_some_row(&constraint.name, target.name()));
            }
            Ok(())
        })
    }

    /// Looks up the parent of every row.
    fn check_existing_parents(
        &mut self,
        catalog: &Arc<CatalogSnapshot>,
        constraint: &Constraint,
    ) -> Result<()> {
        let target = self
            .with_state(|session, state| session.write_target(state, catalog, constraint.table))?;
        let Some(fk) = target
            .foreign_keys
            .iter()
            .find(|f| f.constraint.oid == constraint.oid)
        else {
            return Err(SqlError::internal("a foreign key that is not its table's"));
        };
        let mut writer = Writer::checking_at_once(self, catalog.clone());
        let all: Vec<u16> = target.meta.columns.iter().map(|c| c.id.0).collect();
        self.scan_table(catalog, constraint.table, &all, |session, batch| {
            crate::dml::foreign_key::check_rows(&mut writer, session, fk, batch)
        })?;
        self.with_state(|session, state| writer.finish(session, state))
    }

    fn check_existing_with_plugin(
        &mut self,
        catalog: &Arc<CatalogSnapshot>,
        constraint: &Constraint,
    ) -> Result<()> {
        let check = PluginCheck::new(catalog, constraint)?;
        let columns = constraint.columns().to_vec();
        self.scan_table(
            catalog,
            constraint.table,
            &columns,
            |session, batch| match check.first_violation(session, batch.columns())? {
                None => Ok(()),
                Some(violation) => {
                    let error = violated_by_some_row(&constraint.name, check.table());
                    Err(explain(error, violation))
                }
            },
        )
    }
}

fn violated_by_some_row(constraint: &str, table: &str) -> SqlError {
    SqlError::new(
        state::CHECK_VIOLATION,
        format!(
            "check constraint \"{constraint}\" of relation \"{table}\" is violated by some row"
        ),
    )
}
