//! What the catalog says of the collections that are merged.

use std::collections::{HashMap, HashSet};

use crate::catalog::{CATALOG, decode_table, table_of};
use crate::error::Result;
use crate::history::Horizons;
use crate::ids::{CollectionId, Ts};
use crate::schema::{Retention, TableDef};
use crate::view::ReadView;
use crate::view::versions::all_live;

/// Every definition that there ever was.
pub struct Definitions {
    versions: Vec<Version>,
    retentions: HashMap<CollectionId, Retention>,
}

/// By table, newest first.
struct Version {
    begin: Ts,
    /// Exclusive.
    end: Option<Ts>,
    def: TableDef,
}

/// The collections that a definition names: the table's rows and its indexes.
pub fn named(def: &TableDef) -> impl Iterator<Item = CollectionId> {
    std::iter::once(def.id).chain(def.indexes.iter().map(|index| index.id))
}

impl Definitions {
    /// `view` is of the present.
    pub fn read(view: &ReadView) -> Result<Definitions> {
        let (mut versions, mut retentions) = (Vec::<Version>::new(), HashMap::new());
        // The key before, and when its version before began.
        let mut newer: Option<(Vec<u8>, Ts)> = None;
        for version in view.versions(CATALOG)? {
            let version = version?;
            let end = newer
                .filter(|(key, _)| *key == version.key)
                .map(|(_, ts)| ts);
            if let Some(value) = &version.value {
                let def = decode_table(table_of(&version.key)?, value)?;
                let is_newest = versions.last().is_none_or(|known| known.def.id != def.id);
                if let Some(retention) = def.retention.filter(|_| is_newest) {
                    retentions.extend(named(&def).map(|id| (id, retention)));
                }
                versions.push(Version {
                    begin: version.begin,
                    end,
                    def,
                });
            }
            newer = Some((version.key, version.begin));
        }
        Ok(Definitions {
            versions,
            retentions,
        })
    }

    /// The collections whose past is kept for another time than the database's, as the newest definitions
    /// have it, those of dropped tables among them.
    pub fn retentions(&self) -> impl Iterator<Item = (CollectionId, Retention)> {
        self.retentions.iter().map(|(id, keep)| (*id, *keep))
    }

    /// Hold them against horizons.
    pub fn at(&self, horizons: &Horizons) -> Judged {
        let (mut tables, mut live) = (HashMap::new(), HashSet::new());
        let mut newest: HashMap<CollectionId, &TableDef> = HashMap::new();
        let mut ever = HashSet::new();
        for Version { begin, end, def } in &self.versions {
            let is_wanted = |id: CollectionId| end.is_none_or(|end| end > horizons.of(id));
            ever.extend(named(def));
            live.extend(named(def).filter(|id| is_wanted(*id)));
            newest.entry(def.id).or_insert(def);
            let as_written = tables
                .entry(def.id)
                .or_insert_with(|| all_live(def.clone()));
            // The definition AS OF the horizon.
            if *begin <= horizons.of(def.id) && is_wanted(def.id) {
                drop_columns(as_written, newest.get(&def.id).copied().unwrap_or(def), def);
            }
        }
        Judged {
            tables,
            dead: ever.difference(&live).copied().collect(),
        }
    }
}

/// What becomes of collections.
pub struct Judged {
    tables: HashMap<CollectionId, TableDef>,
    dead: HashSet<CollectionId>,
}

impl Judged {
    /// The definition to write a table's rows under: the newest, in which only those columns are
    /// dropped that were so at the horizon. One that was dropped never comes back, so nobody asks for it again.
    /// One that was never there may come from another timeline, here or on a timeline that reads these rows, and
    /// is written as what it begins with.
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

fn drop_columns(as_written: &mut TableDef, newest: &TableDef, then: &TableDef) {
    let columns = as_written.columns.iter_mut();
    for ((column, now), then) in columns.zip(&newest.columns).zip(&then.columns) {
        column.dropped |= then.dropped && !then.free && now.dropped;
    }
}
