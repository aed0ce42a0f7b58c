//! What statements ask before they do something, and how they are refused.

use crate::catalog::access::Privileges;
use crate::catalog::model::{Routine, Schema, Table, oid};
use crate::catalog::{CatalogSnapshot, Oid, Relation};
use crate::error::{Result, SqlError, state};
use crate::names::is_temporary_schema;
use crate::privilege::Authority;
use crate::privilege::acl::ObjectClass;

/// 42501 in PostgreSQL's words.
pub(crate) fn denied(kind: &str, name: &str) -> SqlError {
    SqlError::new(
        state::INSUFFICIENT_PRIVILEGE,
        format!("permission denied for {kind} {name}"),
    )
}

/// 42501 for what only an owner may do.
pub(crate) fn not_owner(kind: &str, name: &str) -> SqlError {
    SqlError::new(
        state::INSUFFICIENT_PRIVILEGE,
        format!("must be owner of {kind} {name}"),
    )
}

/// 42501 for who would give something to a role that they cannot become.
pub(crate) fn must_be_member(role: &str) -> SqlError {
    SqlError::new(
        state::INSUFFICIENT_PRIVILEGE,
        format!("must be member of role \"{role}\""),
    )
}

impl Authority {
    pub fn check_owner(&self, owner: Oid, kind: &str, name: &str) -> Result<()> {
        match self.has(owner) {
            true => Ok(()),
            false => Err(not_owner(kind, name)),
        }
    }

    pub fn has_schema(
        &self,
        catalog: &CatalogSnapshot,
        schema: &Schema,
        wanted: Privileges,
    ) -> bool {
        // A session's own, whoever it acts for. Others' are nobody's to name.
        if is_temporary_schema(&schema.name) {
            return true;
        }
        self.on(catalog, ObjectClass::Schema, schema.oid, schema.owner)
            .contains(wanted)
    }

    pub fn check_schema(
        &self,
        catalog: &CatalogSnapshot,
        schema: &Schema,
        wanted: Privileges,
    ) -> Result<()> {
        match self.has_schema(catalog, schema, wanted) {
            true => Ok(()),
            false => Err(denied("schema", &schema.name)),
        }
    }

    pub fn check_routine(&self, catalog: &CatalogSnapshot, routine: &Routine) -> Result<()> {
        let class = ObjectClass::Function;
        match self
            .on(catalog, class, routine.oid, routine.owner)
            .contains(Privileges::EXECUTE)
        {
            true => Ok(()),
            false => Err(denied(routine.kind.noun(), &routine.name)),
        }
    }

    pub fn check_database(
        &self,
        catalog: &CatalogSnapshot,
        database: &str,
        wanted: Privileges,
    ) -> Result<()> {
        let class = ObjectClass::Database;
        let has = self.on(catalog, class, oid::DATABASE, oid::BOOTSTRAP_ROLE);
        match has.contains(wanted) {
            true => Ok(()),
            false => Err(denied("database", database)),
        }
    }

    /// All of `wanted` on a relation as a whole.
    pub fn check_relation(
        &self,
        catalog: &CatalogSnapshot,
        relation: &Relation,
        wanted: Privileges,
    ) -> Result<()> {
        match self.on_relation(catalog, relation).contains(wanted) {
            true => Ok(()),
            false => Err(denied(relation.kind(), relation.name())),
        }
    }

    pub fn check_table(
        &self,
        catalog: &CatalogSnapshot,
        table: &Table,
        wanted: Privileges,
    ) -> Result<()> {
        let has = self.on(catalog, ObjectClass::Table, table.oid, table.owner);
        match has.contains(wanted) {
            true => Ok(()),
            false => Err(denied("table", &table.name)),
        }
    }

    /// One privilege on these columns (attribute numbers) of a table: as a whole, or on each of them. With no
    /// columns, on any.
    pub fn check_columns(
        &self,
        catalog: &CatalogSnapshot,
        table: &Table,
        columns: &[i32],
        wanted: Privileges,
    ) -> Result<()> {
        let has = self.on(catalog, ObjectClass::Table, table.oid, table.owner);
        if has.contains(wanted) {
            return Ok(());
        }
        let on = |column: &i32| self.on_column(catalog, table.oid, *column).contains(wanted);
        let may = match columns {
            [] => attributes(table).any(|column| on(&column)),
            columns => columns.iter().all(on),
        };
        match may {
            true => Ok(()),
            false => Err(denied("table", &table.name)),
        }
    }

    /// Whether it may see the values of these columns, in the message of an error for instance.
    pub fn may_see(&self, catalog: &CatalogSnapshot, table: &Table, columns: &[i32]) -> bool {
        let may = self.check_columns(catalog, table, columns, Privileges::SELECT);
        may.is_ok() && !self.is_bound_by(table)
    }
}

/// The attribute numbers of the columns that a table has.
pub(crate) fn attributes(table: &Table) -> impl Iterator<Item = i32> + '_ {
    table.live_columns().map(|(id, _)| i32::from(id.0) + 1)
}
