//! Clauses of plugins inside CREATE TABLE and ALTER TABLE (`clause/1`).
//!
//! A clause is applied after the rest of its statement: its table and column are then there, in the
//! same transaction. The plugin says what the clause means, which is a constraint; the kernel makes
//! it, and checks the rows that are there unless the clause says NOT VALID. COMPRESSION, a clause of
//! the kernel's own, comes along.

use std::borrow::Cow;
use std::sync::Arc;

use heliosdb_plugin_host::active::clause::{Clause, ClauseAction, ClauseTarget};

use super::grammar::{ClauseKind, PlacedClause};
use super::objects;
use super::services::Reads;
use crate::catalog::Oid;
use crate::catalog::model::{Constraint, ConstraintKind, PluginConstraint, Table};
use crate::ddl::constraint::Existing;
use crate::error::{Result, SqlError, state};
use crate::names;
use crate::session::Session;
use crate::session::statement::position_in;
use crate::types::names::format_type;

/// The clauses of one statement, and its text.
#[derive(Default)]
pub(crate) struct Clauses<'a> {
    list: Cow<'a, [PlacedClause]>,
    text: &'a str,
}

impl<'a> Clauses<'a> {
    pub fn new(list: &'a [PlacedClause], text: &'a str) -> Clauses<'a> {
        Clauses {
            list: Cow::Borrowed(list),
            text,
        }
    }

    /// Without those of ADD COLUMN IF NOT EXISTS for a column that the table has.
    pub fn but_for_columns_of(&self, table: &Table) -> Clauses<'a> {
        let is_there = |clause: &PlacedClause| {
            clause.with_new_column
                && clause
                    .column
                    .as_ref()
                    .is_some_and(|c| table.column(c).is_some())
        };
        let list = self.list.iter().filter(|c| !is_there(c)).cloned();
        Clauses {
            list: list.collect(),
            text: self.text,
        }
    }
}

impl Session {
    /// Does what the clauses of a statement ask for. `existing` says whether the table has rows.
    pub(crate) fn apply_clauses(
        &mut self,
        table: Oid,
        clauses: &Clauses<'_>,
        existing: Existing,
    ) -> Result<()> {
        for clause in clauses.list.iter() {
            let existing = match clause.not_valid {
                true => Existing::NotValid,
                false => existing,
            };
            self.apply_clause(table, clause, existing).map_err(|e| {
                // Errors about the clause's words point at it; those about rows have no place.
                let words = e.code.as_str().starts_with("42") || e.code.as_str().starts_with("0A");
                match e.position {
                    None if words => e.with_position(position_in(clauses.text, clause.at)),
                    _ => e,
                }
            })?;
        }
        Ok(())
    }

    fn apply_clause(
        &mut self,
        table: Oid,
        placed: &PlacedClause,
        existing: Existing,
    ) -> Result<()> {
        let meant = match &placed.kind {
            ClauseKind::Plugin(meant) => meant,
            ClauseKind::Compression { method } => {
                return self.set_compression(table, placed.column.as_deref(), method);
            }
        };
        let (plugin, arguments) = (&meant.plugin, &meant.arguments);
        self.check_usable(plugin, &format!("clause {}", meant.clause))?;
        let (catalog, table) = self.table_now(table)?;
        let column = match &placed.column {
            None => None,
            Some(name) => Some(table.column(name).ok_or_else(|| {
                SqlError::new(
                    state::UNDEFINED_COLUMN,
                    format!(
                        "column \"{name}\" of relation \"{}\" does not exist",
                        table.name
                    ),
                )
            })?),
        };
        let target = ClauseTarget {
            schema: catalog
                .schema(table.schema)
                .map_or_else(String::new, |s| s.name.clone()),
            table: table.name.clone(),
            column: column.map(|(_, c)| (c.name.clone(), format_type(&c.ty(), c.typmod))),
        };
        let columns: Vec<u16> = match column {
            Some((id, _)) => vec![id.0],
            None => table.live_columns().map(|(id, _)| id.0).collect(),
        };
        let registry = self.instance.plugins().registry();
        let is_it = |c: &&Arc<Clause>| **c.plugin() == **plugin && c.declared.name == meant.clause;
        let clause = registry
            .clauses()
            .iter()
            .find(is_it)
            .ok_or_else(|| SqlError::internal("an active plugin without its clause"))?;
        let actions = self.with_services(Reads::Free, |services| {
            clause.apply(services, &target, arguments)
        })?;
        for action in actions {
            let ClauseAction::AddConstraint {
                kind,
                options,
                definition,
                depends_on,
            } = action;
            let by = PluginConstraint {
                plugin: plugin.clone(),
                kind,
                columns: columns.clone(),
                options,
                definition,
                depends_on,
            };
            self.add_plugin_constraint(&table, placed, by, existing)?;
        }
        Ok(())
    }

    fn add_plugin_constraint(
        &mut self,
        table: &Table,
        placed: &PlacedClause,
        by: PluginConstraint,
        existing: Existing,
    ) -> Result<()> {
        let contract = |what: String| {
            SqlError::new(
                state::EXTERNAL_ROUTINE_EXCEPTION,
                format!("plugin \"{}\" {what}", by.plugin),
            )
        };
        let registry = self.instance.plugins().registry();
        if registry.constraint(&by.plugin, &by.kind).is_none() {
            return Err(contract(format!("has no constraint \"{}\"", by.kind)));
        }
        let (catalog, table) = self.table_now(table.oid)?;
        if let Some(gone) = by
            .depends_on
            .iter()
            .find(|oid| !objects::can_be_needed(&catalog, **oid))
        {
            return Err(contract(format!(
                "named object {gone}, which does not exist"
            )));
        }
        let name = match &placed.constraint {
            Some(name) => {
                self.check_constraint_name(&catalog, &table, name)?;
                name.clone()
            }
            None => {
                let part = placed.column.as_deref().unwrap_or_default();
                names::choose(&table.name, part, "check", |n| {
                    catalog.constraints_of(table.oid).any(|c| c.name == n)
                })
            }
        };
        let constraint = Constraint {
            oid: self.instance.allocate_oid()?,
            name,
            table: table.oid,
            kind: ConstraintKind::Plugin(by),
            validated: existing != Existing::NotValid,
        };
        self.put_constraint(constraint, existing)
    }
}
