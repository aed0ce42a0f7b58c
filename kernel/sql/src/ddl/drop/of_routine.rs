//! What cannot stay when a function goes: what calls it in an expression or a query.

use std::collections::VecDeque;

use super::super::stored_text::Places;
use super::{DropSet, describe};
use crate::catalog::CatalogSnapshot;
use crate::catalog::model::*;
use crate::error::Result;

impl DropSet {
    /// Adds what cannot stay when the routine `oid` goes. Bodies of other routines may name what is not there.
    pub(super) fn close_routine(
        &mut self,
        catalog: &CatalogSnapshot,
        oid: Oid,
        queue: &mut VecDeque<Oid>,
    ) -> Result<()> {
        let Some(routine) = catalog.routines().get(oid) else {
            return Ok(());
        };
        let uses = Places::of_routine(catalog, routine)?;
        let on = describe(catalog, oid);
        for (table, place) in &uses.columns {
            if let Some(table) = catalog.table(*table)
                && let Some(column) = table.column_at(*place)
                && !self.objects.contains(&table.oid)
                && self.typed_columns.insert((table.oid, *place))
            {
                let what = format!("column {} of table {}", column.name, table.name);
                self.asked.push((what, on.clone()));
            }
        }
        for (table, place) in &uses.defaults {
            if let Some(table) = catalog.table(*table)
                && !self.objects.contains(&table.oid)
            {
                self.ask_default(catalog, table, *place, oid);
            }
        }
        for (table, policy) in &uses.policies {
            if let Some(table) = catalog.table(*table)
                && !self.objects.contains(&table.oid)
                && let Some(policy) = table.policies.iter().find(|p| p.oid == *policy)
            {
                self.ask_policy(table, policy, on.clone());
            }
        }
        for object in uses.objects {
            let of = catalog.constraint(object).map(|c| c.table);
            let of = of.or_else(|| catalog.index(object).map(|i| i.table));
            let goes = of.is_some_and(|table| self.objects.contains(&table));
            if !goes && self.objects.insert(object) {
                self.asked.push((describe(catalog, object), on.clone()));
                queue.push_back(object);
            }
        }
        Ok(())
    }
}
