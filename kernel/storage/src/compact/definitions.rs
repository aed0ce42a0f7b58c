//! What the catalog says of the collections that are merged.

use std::collections::{HashMap, HashSet};

use crate::catalog::{CATALOG, decode_table, table_of};
use crate::error::Result;
use crate::ids::{CollectionId, Ts};
use crate::schema::TableDef;
use crate::view::ReadView;
use crate::view::versions::all_live;

/// Every definition that there ever was, held against a horizon.
pub struct Definitions {
    tables: HashMap<CollectionId, TableDef>,
    dead: HashSet<CollectionId>,
}

/// The collections that a definition names: the table's rows and its indexes.
pub fn named(def: &TableDef) -> impl Iterator<Item = CollectionId> {
    std::iter::once(def.id).chain(def.indexes.iter().map(|index| index.id))
}

impl Definitions {
    /// `view` is of the present.
    pub fn read(view: &ReadView, horizon: Ts) -> Result<Definitions> {
        let (mut tables, mut live) = (HashMap::new(), HashSet::new());
        let mut ever = HashSet::new();
        // The key before, and when its version before began.
        let mut newer: Option<(Vec<u8>, Ts)> = None;
        for version in view.versions(CATALOG)? {
            let version = version?;
            let end = newer
                .filter(|(key, _)| *key == version.key)
                .map(|(_, ts)| ts);
            if let Some(value) = &version.value {
                let def = decode_table(table_of(&version.key)?, value)?;
                ever.extend(named(&def));
                if end.is_none_or(|end| end > horizon) {
                    live.extend(named(&def));
                }
                let as_written = tables
                    .entry(def.id)
                    .or_insert_with(|| all_live(def.clone()));
                // The definition AS OF the horizon.
                if version.begin <= horizon && end.is_none_or(|end| end > horizon) {
                    drop_columns(as_written, &def);
                }
            }
            newer = Some((version.key, version.begin));
        }
        Ok(Definitions {
            tables,
            dead: ever.difference(&live).copied().collect(),
        })
    }

    /// The definition to write a table's rows under: the newest, in which only those columns are
    /// dropped that were so at the horizon. A column never comes back, so nobody asks for them again.
    pub fn table(&self, id: CollectionId) -> Option<&TableDef> {
        self.tables.get(&id)
    }

    /// Whether a table or an index is past its time: no definition since the horizon names it.
    pub fn is_dead(&self, id: CollectionId) -> bool {
        self.dead.contains(&id)
    }

    pub fn dead(&self) -> impl Iterator<Item = CollectionId> {
        self.dead.iter().copied()
    }
}

fn drop_columns(newest: &mut TableDef, then: &TableDef) {
    for (column, then) in newest.columns.iter_mut().zip(&then.columns) {
        column.dropped |= then.dropped;
    }
}
