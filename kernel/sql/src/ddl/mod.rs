//! DDL: statements that change the catalog, and with it tables and indexes in storage.
//!
//! All of it runs in the session's transaction. Catalog rows, storage definitions and index entries
//! are written together, so that a crash, a ROLLBACK or a savepoint undoes them together.

mod alter;
mod cluster;
mod column_type;
mod comment;
mod compression;
pub(crate) mod constraint;
mod create_table;
mod domain;
mod drop;
mod generated;
pub(crate) mod grant;
pub(crate) mod index;
pub(crate) mod index_labels;
mod like;
pub(crate) mod owner;
pub(crate) mod policy;
mod reindex;
mod rename;
pub(crate) mod retention;
pub(crate) mod returning;
mod rewrite;
pub(crate) mod role_settings;
mod role_uses;
mod roles;
pub(crate) mod routine;
mod row_expression;
mod schema;
mod sequence;
pub(crate) mod stored_text;
pub(crate) mod temporary;
mod truncate;
mod user_type;
mod validate;
mod view;

pub(crate) use drop::{ExtensionUses, describe};

use std::sync::Arc;

use heliosdb_storage::{RowLockMode, TableLockMode};
use sqlparser::ast;

use crate::catalog::access::Privileges;
use crate::catalog::model::{Schema, Table};
use crate::catalog::store;
use crate::catalog::{CatalogSnapshot, Oid, Relation};
use crate::error::{Result, SqlError, state};
use crate::names;
use crate::session::Session;
use crate::types::PgType;

impl Session {
    /// What every DDL statement begins with: it waits until no other transaction changes the
    /// catalog, and then reads the newest one.
    pub(crate) fn begin_ddl(&mut self) -> Result<()> {
        self.check_writable("DDL")?;
        let wait = self.lock_wait();
        let transaction = self.transaction()?;
        transaction.lock_key(
            store::CATALOG,
            store::VERSION_KEY,
            RowLockMode::Update,
            wait,
        )?;
        transaction.begin_statement();
        self.write_view()?;
        Ok(())
    }

    /// The schema a new relation goes into: the one named, the session's own for a temporary one, or the first of
    /// the search path.
    pub(crate) fn creation_schema(
        &mut self,
        name: &ast::ObjectName,
        temporary: bool,
    ) -> Result<(Arc<Schema>, String)> {
        let is_temporary = self.is_temporary(name, temporary)?;
        let (schema, name) = names::qualified(name, &self.info.database)?;
        if is_temporary {
            return Ok((self.own_temporary_schema()?, name));
        }
        let (_, catalog) = self.write_view()?;
        let schema = self.schema_to_create_in(&catalog, schema.as_deref(), &name)?;
        Ok((schema, name))
    }

    /// The same for names that are no part of the statement's tree.
    pub(crate) fn schema_to_create_in(
        &self,
        catalog: &CatalogSnapshot,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Arc<Schema>> {
        let schema = match schema {
            Some(schema) => catalog.schema_by_name(schema).ok_or_else(|| {
                SqlError::new(
                    state::INVALID_SCHEMA_NAME,
                    format!("schema \"{schema}\" does not exist"),
                )
            })?,
            None => self
                .info
                .search_path()
                .iter()
                .filter(|s| *s != "pg_catalog" && !names::is_temporary_schema(s))
                .find_map(|s| catalog.schema_by_name(s))
                .ok_or_else(|| {
                    SqlError::new(
                        state::INVALID_SCHEMA_NAME,
                        "no schema has been selected to create in",
                    )
                })?,
        };
        if matches!(schema.name.as_str(), "pg_catalog" | "information_schema") {
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                format!("permission denied to create \"{}.{name}\"", schema.name),
            )
            .with_detail("System catalog modifications are currently disallowed."));
        }
        let role = self.info.role();
        role.check_schema(catalog, schema, Privileges::CREATE)?;
        Ok(schema.clone())
    }

    /// 42P07 when the name is taken in the schema.
    pub(crate) fn check_free(
        &self,
        catalog: &CatalogSnapshot,
        schema: Oid,
        name: &str,
    ) -> Result<()> {
        match catalog.relation_in(schema, name) {
            None => Ok(()),
            Some(_) => Err(SqlError::new(
                state::DUPLICATE_TABLE,
                format!("relation \"{name}\" already exists"),
            )),
        }
    }

    /// The table a DDL statement is about, locked; 42P01 or 42809 when it is not one.
    pub(crate) fn ddl_table(
        &mut self,
        name: &ast::ObjectName,
        mode: TableLockMode,
    ) -> Result<Arc<Table>> {
        let (_, catalog) = self.write_view()?;
        let table = match self.relation(&catalog, name)? {
            Relation::Table(t) => t,
            other => {
                return Err(SqlError::new(
                    state::WRONG_OBJECT_TYPE,
                    format!("\"{}\" is not a table", other.name()),
                ));
            }
        };
        self.check_owner(table.owner, "table", &table.name)?;
        self.lock_table(table.collection_id(), mode)?;
        Ok(table)
    }

    /// Tells storage what a table now looks like.
    pub(crate) fn define_storage(&mut self, catalog: &CatalogSnapshot, table: Oid) -> Result<()> {
        let meta = catalog.table_meta(table)?;
        for index in catalog.indexes_of(table) {
            let keys = index.columns.iter().map(|c| usize::from(c.column));
            let mut keys = keys.filter_map(|c| Some(meta.table.columns.get(c)?.ty()));
            if let Some(ty) = keys.find(|ty| !ty.is_comparable()) {
                return Err(no_operator_class(&ty));
            }
        }
        self.transaction()?.define_table(&meta.storage)?;
        Ok(())
    }
}

fn no_operator_class(ty: &PgType) -> SqlError {
    SqlError::new(
        state::UNDEFINED_OBJECT,
        format!(
            "data type {} has no default operator class for access method \"btree\"",
            ty.name()
        ),
    )
    .with_hint(
        "You must specify an operator class for the index or define a default operator class for \
         the data type.",
    )
}

/// Shorthand for a change that adds or replaces an object.
macro_rules! put {
    ($kind:ident, $object:expr) => {
        $crate::catalog::store::Change::Put($crate::catalog::model::Object::$kind(
            ::std::sync::Arc::new($object),
        ))
    };
}
pub(crate) use put;
