//! What cannot stay when a type of a user goes: columns, views, domains, and what names the type in an
//! expression.

use std::cmp::Reverse;
use std::collections::VecDeque;

use super::super::stored_text::Places;
use super::super::user_type::schema_name;
use super::{DropSet, describe, mentions};
use crate::catalog::CatalogSnapshot;
use crate::catalog::model::*;
use crate::error::Result;

/// What is asked about, and what it depends on, in PostgreSQL's order: what depends on the type of arrays
/// first, then by age, columns from the last to the first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    of_array: Reverse<bool>,
    object: Oid,
    place: Reverse<u16>,
    what: String,
    on: String,
}

impl Asked {
    fn of(object: Oid, what: String, on: String) -> Asked {
        Asked {
            of_array: Reverse(false),
            object,
            place: Reverse(0),
            what,
            on,
        }
    }
}

impl DropSet {
    /// Adds what cannot stay when the type `oid` goes: columns, views, and what names it in an expression.
    pub(super) fn close_type(
        &mut self,
        catalog: &CatalogSnapshot,
        oid: Oid,
        queue: &mut VecDeque<Oid>,
    ) -> Result<()> {
        let Some(ty) = catalog.types().get(oid) else {
            return Ok(());
        };
        let is_it =
            |type_oid: Oid| type_oid == ty.oid || (type_oid == ty.array_oid && ty.array_oid != 0);
        let uses = Places::find(catalog, &schema_name(catalog, ty.schema), &ty.name)?;
        let on_type = describe(catalog, oid);
        let mut asked: Vec<Asked> = Vec::new();
        for table in catalog.tables() {
            for (id, column) in table.live_columns() {
                let names_it = uses.columns.contains(&(table.oid, id.0));
                if !self.objects.contains(&table.oid)
                    && (is_it(column.type_oid) || names_it)
                    && self.typed_columns.insert((table.oid, id.0))
                {
                    let of_array = column.type_oid == ty.array_oid;
                    let what = format!("column {} of table {}", column.name, table.name);
                    let on = if of_array {
                        format!("{on_type}[]")
                    } else {
                        on_type.clone()
                    };
                    asked.push(Asked {
                        of_array: Reverse(of_array),
                        object: table.oid,
                        place: Reverse(id.0),
                        what,
                        on,
                    });
                }
            }
        }
        for (table, place) in &uses.defaults {
            if let Some(table) = catalog.table(*table)
                && let Some(column) = table.column_at(*place)
                && !self.objects.contains(&table.oid)
                && !self.typed_columns.contains(&(table.oid, *place))
                && self.defaults.insert((table.oid, *place))
            {
                let what = format!(
                    "default value for column {} of table {}",
                    column.name, table.name
                );
                asked.push(Asked::of(table.oid, what, on_type.clone()));
            }
        }
        for (table, policy) in &uses.policies {
            if let Some(table) = catalog.table(*table)
                && !self.objects.contains(&table.oid)
                && let Some(policy) = table.policies.iter().find(|p| p.oid == *policy)
                && self.policies.insert((table.oid, policy.oid))
            {
                let what = format!("policy {} on table {}", policy.name, table.name);
                asked.push(Asked::of(table.oid, what, on_type.clone()));
            }
        }
        let types = catalog.types().iter();
        let types = types.filter(|t| t.domain().is_some_and(|d| is_it(d.base)));
        let mut objects: Vec<(Oid, String)> = types.map(|t| (t.oid, on_type.clone())).collect();
        let named = uses.objects.iter().filter(|object| **object != oid);
        objects.extend(named.map(|object| (*object, on_type.clone())));
        for view in catalog
            .views()
            .filter(|v| v.columns.iter().any(|c| is_it(c.type_oid)))
        {
            if !uses.objects.contains(&view.oid) {
                objects.push((view.oid, self.typed_column_of(catalog, view, &on_type)));
            }
        }
        for (object, on) in objects {
            let of = catalog.constraint(object).map(|c| c.table);
            let of = of.or_else(|| catalog.index(object).map(|i| i.table));
            let goes = of.is_some_and(|table| self.objects.contains(&table));
            if !goes && self.objects.insert(object) {
                let what = describe(catalog, object);
                asked.push(Asked::of(object, what, on));
                queue.push_back(object);
            }
        }
        asked.sort();
        self.asked.extend(asked.into_iter().map(|a| (a.what, a.on)));
        Ok(())
    }

    /// The column that goes and that a view has among its own.
    fn typed_column_of(&self, catalog: &CatalogSnapshot, view: &View, on_type: &str) -> String {
        let column = self.typed_columns.iter().find_map(|(table, place)| {
            let reads = view.depends_on.iter().any(|on| on.oid == *table);
            let table = catalog.table(*table).filter(|_| reads)?;
            let column = table.column_at(*place)?;
            mentions(&view.definition, &column.name)
                .then(|| format!("column {} of table {}", column.name, table.name))
        });
        column.unwrap_or_else(|| on_type.to_owned())
    }
}
