//! TRUNCATE: the table gets new, empty collections; a reader of an older snapshot keeps the old.

use std::collections::BTreeSet;
use std::sync::Arc;

use heliosdb_storage::TableLockMode;
use heliosdb_storage::ids::CollectionId;
use sqlparser::ast;

use super::put;
use crate::catalog::Relation;
use crate::catalog::access::Privileges;
use crate::catalog::model::*;
use crate::error::{Result, SqlError, state};
use crate::session::outcome::Outcome;
use crate::session::{Session, done};

impl Session {
    /// A table that TRUNCATE names, locked.
    fn truncated_table(&mut self, name: &ast::ObjectName) -> Result<Arc<Table>> {
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
        let role = self.info.role();
        role.check_table(&catalog, &table, Privileges::TRUNCATE)?;
        self.lock_table(table.collection_id(), TableLockMode::AccessExclusive)?;
        Ok(table)
    }

    pub(crate) fn truncate(&mut self, truncate: &ast::Truncate) -> Result<Outcome> {
        if truncate.partitions.is_some() || truncate.if_exists || truncate.on_cluster.is_some() {
            return Err(SqlError::unsupported("this form of TRUNCATE"));
        }
        self.check_writable("TRUNCATE TABLE")?;
        self.begin_ddl()?;
        let cascade = matches!(truncate.cascade, Some(ast::CascadeOption::Cascade));
        let restart = matches!(
            truncate.identity,
            Some(ast::TruncateIdentityOption::Restart)
        );
        let mut tables: Vec<Arc<Table>> = Vec::new();
        for name in &truncate.table_names {
            tables.push(self.truncated_table(&name.name)?);
        }
        let (_, catalog) = self.write_view()?;
        let mut oids: BTreeSet<Oid> = tables.iter().map(|t| t.oid).collect();
        let mut at = 0;
        while at < tables.len() {
            let table = tables[at].clone();
            for fk in catalog.foreign_keys_to(table.oid) {
                if oids.contains(&fk.table) {
                    continue;
                }
                let child = catalog
                    .table(fk.table)
                    .ok_or_else(|| SqlError::internal("a constraint without its table"))?;
                if !cascade {
                    return Err(SqlError::new(
                        state::FEATURE_NOT_SUPPORTED,
                        "cannot truncate a table referenced in a foreign key constraint",
                    )
                    .with_detail(format!(
                        "Table \"{}\" references \"{}\".",
                        child.name, table.name
                    ))
                    .with_hint(format!(
                        "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                        child.name
                    )));
                }
                self.info
                    .role()
                    .check_table(&catalog, child, Privileges::TRUNCATE)?;
                self.lock_table(child.collection_id(), TableLockMode::AccessExclusive)?;
                self.notify_skipped(format!("truncate cascades to table \"{}\"", child.name));
                oids.insert(child.oid);
                tables.push(child.clone());
            }
            at += 1;
        }
        let mut changes = Vec::new();
        let mut old = Vec::new();
        for table in &tables {
            self.check_none_waits("TRUNCATE", table)?;
            old.push(table.collection);
            let fresh = Table {
                collection: self.instance.allocate_collection()?.0,
                ..table.as_ref().clone()
            };
            self.lock_table(fresh.collection_id(), TableLockMode::AccessExclusive)?;
            changes.push(put!(Table, fresh));
            for index in catalog.indexes_of(table.oid) {
                let collection = self.instance.allocate_collection()?.0;
                changes.push(put!(
                    Index,
                    Index {
                        collection,
                        ..index.as_ref().clone()
                    }
                ));
            }
            if restart {
                for sequence in catalog.sequences() {
                    if sequence.owned_by.is_some_and(|o| o.table == table.oid) {
                        self.check_owner(sequence.owner, "sequence", &sequence.name)?;
                        let mut sequence = sequence.as_ref().clone();
                        let start = sequence.start;
                        self.restart_sequence(&mut sequence, start)?;
                        changes.push(put!(Sequence, sequence));
                    }
                }
            }
        }
        let catalog = self.change_catalog(changes)?;
        for collection in old {
            self.transaction()?
                .drop_collection(CollectionId(collection))?;
        }
        for table in &tables {
            self.define_storage(&catalog, table.oid)?;
        }
        done("TRUNCATE TABLE")
    }
}
