//! CREATE INDEX and ALTER INDEX.

use heliosdb_storage::TableLockMode;
use sqlparser::ast::{self, Expr};

use super::put;
use crate::catalog::Relation;
use crate::catalog::model::*;
use crate::error::{Result, SqlError, state};
use crate::names::{self, fold};
use crate::session::outcome::Outcome;
use crate::session::{Session, done};

impl Session {
    pub(crate) fn create_index(&mut self, create: &ast::CreateIndex) -> Result<Outcome> {
        if let Some(method) = &create.using
            && !matches!(method, ast::IndexType::BTree)
        {
            return Err(SqlError::unsupported(format!(
                "index access method {method}"
            )));
        }
        if create.predicate.is_some() {
            return Err(SqlError::unsupported("a partial index"));
        }
        if !create.include.is_empty() {
            return Err(SqlError::unsupported("INCLUDE columns of an index"));
        }
        if !create.with.is_empty() || !create.index_options.is_empty() {
            return Err(SqlError::unsupported("index storage parameters"));
        }
        if create.nulls_distinct == Some(false) {
            return Err(SqlError::unsupported("UNIQUE NULLS NOT DISTINCT"));
        }
        if create.concurrently {
            return Err(SqlError::unsupported("CREATE INDEX CONCURRENTLY"));
        }
        let table = self.ddl_table(&create.table_name, TableLockMode::Share)?;
        let (_, catalog) = self.write_view()?;
        let mut columns = Vec::new();
        let mut column_names = Vec::new();
        for c in &create.columns {
            let Expr::Identifier(ident) = &c.column.expr else {
                return Err(SqlError::unsupported("an index on an expression"));
            };
            if c.operator_class.is_some() {
                return Err(SqlError::unsupported("an operator class"));
            }
            let name = fold(ident);
            let (id, _) = table.column(&name).ok_or_else(|| {
                SqlError::new(
                    state::UNDEFINED_COLUMN,
                    format!("column \"{name}\" does not exist"),
                )
            })?;
            super::constraint::check_indexable(&table, id.0)?;
            let descending = c.column.options.asc == Some(false);
            columns.push(IndexColumn {
                column: id.0,
                descending,
                nulls_first: c.column.options.nulls_first.unwrap_or(descending),
            });
            column_names.push(name);
        }
        let name = match &create.name {
            Some(name) => {
                let (schema, name) = names::qualified(name, &self.info.database)?;
                if schema.is_some() {
                    return Err(SqlError::new(
                        state::SYNTAX_ERROR,
                        "an index is always in the schema of its table",
                    ));
                }
                name
            }
            None => names::choose(&table.name, &column_names.join("_"), "idx", |n| {
                catalog.relation_in(table.schema, n).is_some()
            }),
        };
        if create.if_not_exists && catalog.relation_in(table.schema, &name).is_some() {
            self.notify_skipped(format!("relation \"{name}\" already exists, skipping"));
            return done("CREATE INDEX");
        }
        self.check_free(&catalog, table.schema, &name)?;
        let index = Index {
            oid: self.instance.allocate_oid()?,
            schema: table.schema,
            name,
            owner: table.owner,
            table: table.oid,
            collection: self.instance.allocate_collection()?.0,
            columns,
            unique: create.unique,
            constraint: None,
            primary: false,
        };
        self.add_index(index, Vec::new(), true)?;
        done("CREATE INDEX")
    }

    pub(crate) fn alter_index(
        &mut self,
        name: &ast::ObjectName,
        operation: &ast::AlterIndexOperation,
    ) -> Result<Outcome> {
        let (_, catalog) = self.write_view()?;
        let Relation::Index(index) = self.relation(&catalog, name)? else {
            return Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!("\"{name}\" is not an index"),
            ));
        };
        self.check_owner(index.owner, "index", &index.name)?;
        let ast::AlterIndexOperation::RenameIndex { index_name } = operation;
        let (_, new) = names::qualified(index_name, &self.info.database)?;
        self.check_free(&catalog, index.schema, &new)?;
        let mut changes = Vec::new();
        // A constraint and its index have one name.
        if let Some(constraint) = index.constraint.and_then(|c| catalog.constraint(c)) {
            changes.push(put!(
                Constraint,
                Constraint {
                    name: new.clone(),
                    ..constraint.as_ref().clone()
                }
            ));
        }
        changes.push(put!(
            Index,
            Index {
                name: new,
                ..index.as_ref().clone()
            }
        ));
        self.change_catalog(changes)?;
        done("ALTER INDEX")
    }
}
