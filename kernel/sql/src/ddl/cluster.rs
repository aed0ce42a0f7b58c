//! CLUSTER: a table is written anew in the order of an index, so that a range of its keys is in few blocks, and zone
//! maps leave the others out. Rows that come later are where they come, as in PostgreSQL; the index is
//! remembered for the next time.

use std::sync::Arc;

use heliosdb_storage::TableLockMode;

use super::put;
use crate::catalog::CatalogSnapshot;
use crate::catalog::model::*;
use crate::error::{Result, SqlError, state};
use crate::names;
use crate::session::cluster::Cluster;
use crate::session::outcome::Outcome;
use crate::session::{Session, done};

impl Session {
    pub(crate) fn cluster(&mut self, cluster: &Cluster) -> Result<Outcome> {
        self.check_writable("CLUSTER")?;
        let Some(name) = &cluster.table else {
            return self.cluster_all();
        };
        let table = self.ddl_table(name, TableLockMode::AccessExclusive)?;
        let (_, catalog) = self.write_view()?;
        let mut indexes = catalog.indexes_of(table.oid);
        let index = match &cluster.index {
            Some(index) => {
                let index = names::fold(index);
                indexes.find(|i| i.name == index).ok_or_else(|| {
                    let message = format!(
                        "index \"{index}\" for table \"{}\" does not exist",
                        table.name
                    );
                    SqlError::new(state::UNDEFINED_OBJECT, message)
                })?
            }
            None => indexes.find(|i| i.clustered).ok_or_else(|| {
                let message = format!(
                    "there is no previously clustered index for table \"{}\"",
                    table.name
                );
                SqlError::new(state::UNDEFINED_OBJECT, message)
            })?,
        };
        self.cluster_on(&catalog, &table, &index.clone())?;
        done("CLUSTER")
    }

    /// All tables of the role that were clustered before.
    fn cluster_all(&mut self) -> Result<Outcome> {
        if self.txn.in_block() {
            return Err(SqlError::new(
                state::ACTIVE_SQL_TRANSACTION,
                "CLUSTER cannot run inside a transaction block",
            ));
        }
        let (_, catalog) = self.write_view()?;
        for index in catalog.indexes().filter(|index| index.clustered) {
            let Some(table) = catalog.table(index.table) else {
                continue;
            };
            if self.check_owner(table.owner, "table", &table.name).is_err() {
                continue;
            }
            self.lock_table(table.collection_id(), TableLockMode::AccessExclusive)?;
            let (_, catalog) = self.write_view()?;
            self.cluster_on(&catalog, table, index)?;
        }
        done("CLUSTER")
    }

    fn cluster_on(
        &mut self,
        catalog: &Arc<CatalogSnapshot>,
        table: &Arc<Table>,
        index: &Arc<Index>,
    ) -> Result<()> {
        if index.predicate.is_some() {
            return Err(SqlError::new(
                state::FEATURE_NOT_SUPPORTED,
                format!("cannot cluster on partial index \"{}\"", index.name),
            ));
        }
        let order = index.columns.iter().map(|key| {
            let column = table
                .column_at(key.column)
                .ok_or_else(|| SqlError::unsupported("CLUSTER on an index with an expression"))?;
            Ok(format!(
                "{} {} NULLS {}",
                names::quote(&column.name),
                if key.descending { "DESC" } else { "ASC" },
                if key.nulls_first { "FIRST" } else { "LAST" },
            ))
        });
        let order = order.collect::<Result<Vec<_>>>()?.join(", ");
        let items = table.live_columns();
        let items = items
            .map(|(_, column)| names::quote(&column.name))
            .collect();
        let columns = table.columns.clone();
        self.rewrite_table(catalog, table.as_ref().clone(), columns, items, &order)?;
        let (_, catalog) = self.write_view()?;
        let changed = catalog.indexes_of(table.oid).filter_map(|other| {
            let clustered = other.oid == index.oid;
            (other.clustered != clustered).then(|| {
                put!(
                    Index,
                    Index {
                        clustered,
                        ..other.as_ref().clone()
                    }
                )
            })
        });
        let changed: Vec<_> = changed.collect();
        if !changed.is_empty() {
            self.change_catalog(changed)?;
        }
        Ok(())
    }
}
