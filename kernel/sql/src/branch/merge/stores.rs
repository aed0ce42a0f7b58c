//! Entries of plugins' stores, each by itself.
//!
//! A store is found by its plugin and name. One that a side made on its own has another collection there, so
//! each side is read where it is. Between versions of a store nothing is merged: a migration is not one entry's.

use std::collections::BTreeSet;

use heliosdb_plugin_host::services::Conflict;
use heliosdb_plugin_host::store::{self, StoreInfo, StoreState};
use heliosdb_storage::{Changes, ReadView};

use super::{Progress, Sides, State};
use crate::branch::lineage::settled;
use crate::error::{Result, SqlError};
use crate::session::Session;

impl Session {
    /// Brings what the source wrote into stores since the base.
    pub(super) fn merge_stores(&mut self, sides: &Sides, progress: &mut Progress) -> Result<()> {
        let engine = self.instance.engine().clone();
        let source = sides.source.view(&engine)?;
        let views = |states: &[State]| -> Result<Vec<ReadView>> {
            states.iter().map(|state| state.view(&engine)).collect()
        };
        let (bases, grounds) = (views(&sides.common.bases)?, views(&sides.common.grounds)?);
        for from in store::stores(&source)?.into_iter() {
            if from.state != StoreState::Live {
                continue;
            }
            let mut keys = BTreeSet::new();
            for (timeline, since, until) in sides.news_of_source() {
                let which = Changes::Every;
                for change in
                    engine.entry_changes_on(timeline, from.collection, since, until, which)?
                {
                    keys.insert(change?.key);
                }
            }
            if keys.is_empty() {
                continue;
            }
            let here = self.transaction()?.latest_view();
            let into = match store::find(&here, &from.plugin, &from.name)? {
                Some(into) => into,
                None => {
                    let (plugin, name) = (&from.plugin, &from.name);
                    let collection = engine.allocate_collection_id();
                    store::create(self.transaction()?, collection, plugin, name, from.version)?
                }
            };
            if into.version != from.version {
                progress.conflict(of_store(&from, None, "its version differs"));
                continue;
            }
            // Where it is in each of them, if it is there.
            let stores = |views: &[ReadView]| -> Result<Vec<Option<StoreInfo>>> {
                let stores = views.iter();
                let stores = stores.map(|view| store::find(view, &from.plugin, &from.name));
                Ok(stores.collect::<heliosdb_storage::Result<_>>()?)
            };
            let (in_bases, in_grounds) = (stores(&bases)?, stores(&grounds)?);
            let lost = sides.keys_of_lost(&engine, (from.collection, into.collection))?;
            store::lock_for_write(self.transaction()?, &into)?;
            for key in keys {
                let read = |view: &ReadView, of: &StoreInfo| view.get(of.collection, &key);
                let latest = self.transaction()?.latest_view();
                let values = |views: &[ReadView], stores: &[Option<StoreInfo>]| {
                    let values = views.iter().zip(stores).map(|(view, of)| match of {
                        Some(of) => read(view, of),
                        None => Ok(None),
                    });
                    values.collect::<heliosdb_storage::Result<Vec<_>>>()
                };
                let of_bases = values(&bases, &in_bases)?;
                let of_grounds = values(&grounds, &in_grounds)?;
                // Where both have it from a branch that is gone, as it was when it came.
                let of_lost = lost.get(&key).map(|places| {
                    let states = places.iter().map(|place| sides.lost[*place].after);
                    let views = views(&states.collect::<Vec<_>>())?;
                    Ok::<_, SqlError>(values(&views, &stores(&views)?)?)
                });
                let of_lost = of_lost.transpose()?;
                let of_base = match &of_lost {
                    Some(of_lost) => settled(of_lost, &[], PartialEq::eq),
                    None => settled(&of_bases, &of_grounds, PartialEq::eq),
                };
                let (of_source, of_target) = (read(&source, &from)?, read(&latest, &into)?);
                if of_base == Some(&of_source) || of_source == of_target {
                    continue;
                }
                if of_base != Some(&of_target) {
                    let what = "both branches changed this entry";
                    progress.conflict(of_store(&from, Some(&key), what));
                    continue;
                }
                let transaction = self.transaction()?;
                match of_source {
                    Some(value) => store::put(transaction, &into, &key, &value)?,
                    None => store::remove(transaction, &into, &key)?,
                }
            }
        }
        Ok(())
    }
}

fn of_store(store: &StoreInfo, key: Option<&[u8]>, what: &str) -> Conflict {
    Conflict {
        kind: "store".to_owned(),
        object: format!("{}.{}", store.plugin, store.name),
        key: key.map(|key| key.escape_ascii().to_string()),
        detail: Some(what.to_owned()),
        ..Conflict::default()
    }
}
