//! REINDEX: an index is filled anew from the rows of its table, into a collection of its own; the old one goes.

use std::sync::Arc;

use heliosdb_storage::TableLockMode;
use heliosdb_storage::ids::CollectionId;

use super::constraint::Fill;
use super::put;
use crate::catalog::Relation;
use crate::catalog::model::*;
use crate::error::{Result, SqlError, state};
use crate::names;
use crate::session::outcome::Outcome;
use crate::session::reindex::{Reindex, ReindexKind};
use crate::session::{Session, done};

impl Session {
    pub(crate) fn reindex(&mut self, reindex: &Reindex) -> Result<Outcome> {
        self.check_writable("REINDEX")?;
        if let Some(option) = &reindex.refused {
            let option = option.to_uppercase();
            return Err(SqlError::unsupported(format!("REINDEX ({option})")));
        }
        if reindex.concurrently {
            return Err(SqlError::unsupported("REINDEX CONCURRENTLY").with_hint(
                "Make another index with CREATE INDEX CONCURRENTLY, and drop this one.",
            ));
        }
        let (_, catalog) = self.write_view()?;
        match reindex.kind {
            ReindexKind::Index => match self.relation(&catalog, &reindex.name)? {
                Relation::Index(index) => {
                    self.check_owner(index.owner, "index", &index.name)?;
                    self.build_anew(index.table, |other| other.oid == index.oid)?;
                }
                other => return Err(not_a(other.name(), "an index")),
            },
            ReindexKind::Table => match self.relation(&catalog, &reindex.name)? {
                Relation::Table(table) => {
                    self.check_owner(table.owner, "table", &table.name)?;
                    if !self.build_anew(table.oid, |_| true)? {
                        let name = &table.name;
                        self.notify_skipped(format!("table \"{name}\" has no indexes to reindex"));
                    }
                }
                other => return Err(not_a(other.name(), "a table or materialized view")),
            },
            ReindexKind::Schema | ReindexKind::Database => {
                let word = match reindex.kind {
                    ReindexKind::Schema => "SCHEMA",
                    _ => "DATABASE",
                };
                if self.txn.in_block() {
                    return Err(SqlError::new(
                        state::ACTIVE_SQL_TRANSACTION,
                        format!("REINDEX {word} cannot run inside a transaction block"),
                    ));
                }
                let name = names::parts(&reindex.name)?.join(".");
                let schema = self.reindexed_schema(reindex.kind, &name)?;
                let in_schema = |of: Oid| schema.is_none_or(|schema| schema == of);
                let tables: Vec<Arc<Table>> = catalog
                    .tables()
                    .filter(|table| in_schema(table.schema))
                    .cloned()
                    .collect();
                for table in tables {
                    let of = Relation::Table(table.clone());
                    if self.info.check_not_of_others(&catalog, &of).is_ok() {
                        self.build_anew(table.oid, |_| true)?;
                    }
                }
            }
            ReindexKind::System => {
                return Err(SqlError::unsupported("REINDEX SYSTEM")
                    .with_hint("The system catalog has no indexes that could be built anew."));
            }
        }
        done("REINDEX")
    }

    /// The schema whose indexes are built anew; all schemas' of a database.
    fn reindexed_schema(&self, kind: ReindexKind, name: &str) -> Result<Option<Oid>> {
        let role = self.info.role();
        let catalog = self.info.catalog();
        if kind == ReindexKind::Database {
            if name != self.info.database {
                return Err(SqlError::new(
                    state::FEATURE_NOT_SUPPORTED,
                    "can only reindex the currently open database",
                ));
            }
            if !role.superuser {
                return Err(SqlError::new(
                    state::INSUFFICIENT_PRIVILEGE,
                    format!("must be owner of database {name}"),
                ));
            }
            return Ok(None);
        }
        let Some(schema) = catalog.schema_by_name(name) else {
            return Err(SqlError::new(
                state::INVALID_SCHEMA_NAME,
                format!("schema \"{name}\" does not exist"),
            ));
        };
        self.check_owner(schema.owner, "schema", name)?;
        Ok(Some(schema.oid))
    }

    /// Builds those indexes of a table that are wanted; whether there are any.
    fn build_anew(&mut self, table: Oid, wanted: impl Fn(&Index) -> bool) -> Result<bool> {
        let (_, found) = self.table_now(table)?;
        // What others hold of its keys is held in the old index.
        self.lock_table(found.collection_id(), TableLockMode::AccessExclusive)?;
        let (catalog, _) = self.table_now(table)?;
        let (mut changes, mut fresh) = (Vec::new(), Vec::new());
        for index in catalog.indexes_of(table).filter(|index| wanted(index)) {
            let collection: CollectionId = self.instance.allocate_collection()?;
            fresh.push(collection);
            changes.push(put!(
                Index,
                Index {
                    collection: collection.0,
                    ..index.as_ref().clone()
                }
            ));
        }
        if fresh.is_empty() {
            return Ok(false);
        }
        let catalog = self.change_catalog(changes)?;
        for collection in fresh {
            self.fill_index(&catalog, table, collection, Fill::Locked)?;
        }
        self.define_storage(&catalog, table)?;
        Ok(true)
    }
}

fn not_a(name: &str, what: &str) -> SqlError {
    SqlError::new(
        state::WRONG_OBJECT_TYPE,
        format!("\"{name}\" is not {what}"),
    )
}
