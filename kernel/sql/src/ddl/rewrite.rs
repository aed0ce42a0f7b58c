//! Writing a table anew: it gets a new collection with other rows, or the same in another order, and its indexes new ones
//! over these. A reader of an older snapshot, or of the past, keeps the old.

use std::sync::Arc;

use heliosdb_storage::TableLockMode;
use heliosdb_storage::ids::CollectionId;

use super::constraint::Fill;
use super::put;
use crate::catalog::CatalogSnapshot;
use crate::catalog::model::*;
use crate::catalog::store::Change;
use crate::dml::insert::changed_meanwhile;
use crate::error::{Result, SqlError};
use crate::names;
use crate::plan::policy::RAW;
use crate::session::Session;
use crate::session::statement::parse_query;

impl Session {
    /// Writes a table anew, which this transaction has locked against everybody: with `columns`, dropped ones
    /// among them, whose values are `items`, expressions over the old ones, one for each that is live; in the
    /// order of `order`, a list for ORDER BY, or none. What the constraints say is not looked at.
    pub(super) fn rewrite_table(
        &mut self,
        catalog: &Arc<CatalogSnapshot>,
        table: Table,
        mut columns: Vec<Column>,
        items: Vec<String>,
        order: &str,
    ) -> Result<()> {
        // Who writes there looks up this table's rows where they were when the statement began.
        let related: Vec<Oid> = catalog.related_tables(table.oid).collect();
        for related in related.into_iter().filter(|related| *related != table.oid) {
            if let Some(related) = catalog.table(related) {
                self.lock_table(related.collection_id(), TableLockMode::ShareRowExclusive)?;
            }
        }
        // The statement began before it had the locks: others may have written meanwhile.
        let transaction = self.transaction()?;
        transaction.begin_statement();
        if !transaction.sees_newest_rows(table.collection_id())? {
            return Err(changed_meanwhile(&table.name));
        }
        let schema = catalog.schema(table.schema);
        let schema = schema.ok_or_else(|| SqlError::internal("a table without its schema"))?;
        let mut text = format!(
            "SELECT {} FROM {}.{}.{}",
            items.join(", "),
            names::quote(RAW),
            names::quote(&schema.name),
            names::quote(&table.name)
        );
        if !order.is_empty() {
            text.push_str(" ORDER BY ");
            text.push_str(order);
        }
        let rows = self.plan_query(parse_query(&text)?.as_ref(), &[])?;
        // The rows are written to a table that is there for as long, and belongs to nobody else.
        columns.iter_mut().for_each(|column| column.missing = None);
        let fresh = Table {
            oid: self.instance.allocate_oid()?,
            name: format!("{} of {}", table.name, table.oid),
            collection: self.instance.allocate_collection()?.0,
            columns: columns.clone(),
            ..table.clone()
        };
        let (written, collection) = (fresh.oid, fresh.collection);
        self.lock_table(CollectionId(collection), TableLockMode::AccessExclusive)?;
        let with_fresh = self.change_catalog(vec![put!(Table, fresh)])?;
        self.define_storage(&with_fresh, written)?;
        self.fill_table(written, &rows)?;
        // Then they are this table's.
        let (oid, old) = (table.oid, table.collection);
        let rewritten = Table {
            collection,
            columns,
            ..table
        };
        let mut changes = vec![Change::Remove(written), put!(Table, rewritten)];
        let mut indexes = Vec::new();
        for index in catalog.indexes_of(oid) {
            let collection = self.instance.allocate_collection()?;
            indexes.push(collection);
            changes.push(put!(
                Index,
                Index {
                    collection: collection.0,
                    ..index.as_ref().clone()
                }
            ));
        }
        let catalog = self.change_catalog(changes)?;
        let dropped = CollectionId(old);
        self.transaction()?.drop_collection(dropped)?;
        for index in indexes {
            self.fill_index(&catalog, oid, index, Fill::Locked)?;
        }
        self.define_storage(&catalog, oid)
    }
}
