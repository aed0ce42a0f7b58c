//! The system collections: storage's table definitions and pins, the SQL layer's catalog, and the plugin
//! host's two, all in one section.
//!
//! All versions of storage's and the SQL layer's are exported, so that AS OF finds old definitions with
//! old rows; of the pins those that there are, for what they hold is there. The plugin host's two are cut down, because they name collections that are not in the
//! dump:
//!
//! * Of the **directory of stores** only the rows of live stores. An older version of such a row that
//!   names another collection (what was live before a migration) becomes a removal: AS OF that time
//!   the store is not there, rather than there and empty.
//! * Of the **journal of migrations** only rows of live stores that are published or finalized, and of
//!   those only the newest version: the ones before say how far the step was. A step that has not ended
//!   works on a shadow; the target runs it again, from the start.

use std::collections::HashSet;

use heliosdb_plugin_host::migration::{MIGRATIONS, MigrationState, migrations};
use heliosdb_plugin_host::store::{self, STORES, StoreState};
use heliosdb_storage::ReadView;
use heliosdb_storage::catalog::CATALOG;
use heliosdb_storage::history::named::PINS;
use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::view::Version;

use super::{Export, Oldest};
use crate::error::Result;
use crate::format::entry::Entry;
use crate::format::section;
use crate::writer::{EntryFrames, Pipeline};

pub(super) fn export(
    export: &Export<'_>,
    pipeline: &mut Pipeline<'_>,
    oldest: &mut Oldest,
) -> Result<()> {
    let mut collections = vec![CATALOG, PINS, STORES, MIGRATIONS];
    collections.extend(&export.described.system_collections);
    collections.sort_unstable();
    collections.dedup();
    let live = Live::new(export.view)?;
    pipeline.section(section::CATALOG.to_owned());
    let mut frames = EntryFrames::default();
    for collection in collections {
        let mut last: Option<Vec<u8>> = None;
        for version in versions(export.view, collection, &export.described.rewritten)? {
            export.interrupt().check()?;
            let mut version = version?;
            let temporary = &export.described.temporary.entries;
            if !temporary.is_empty() && temporary.contains(&(collection, version.key.clone())) {
                continue;
            }
            let newest = last.as_ref() != Some(&version.key);
            if newest {
                last = Some(version.key.clone());
            }
            let current = newest && version.value.is_some();
            let wanted = match collection {
                PINS => current && export.options.history,
                MIGRATIONS => current && live.steps.contains(&version.key),
                STORES => live.keep(&mut version)? && (current || export.options.history),
                _ => current || export.options.history,
            };
            if !wanted {
                continue;
            }
            oldest.see(version.begin.0);
            let entry = Entry {
                collection,
                begin: version.begin,
                key: &version.key,
                value: version.value.as_deref(),
            };
            frames.push(&entry, pipeline)?;
            export.progress.advance(1);
        }
    }
    frames.finish(pipeline)
}

/// The versions of a collection, as they go into the dump.
pub(super) fn versions<'a>(
    view: &ReadView,
    collection: CollectionId,
    rewritten: &'a [(CollectionId, Vec<Version>)],
) -> Result<Box<dyn Iterator<Item = heliosdb_storage::Result<Version>> + 'a>> {
    match rewritten.iter().find(|(id, _)| *id == collection) {
        Some((_, versions)) => Ok(Box::new(versions.iter().cloned().map(Ok))),
        None => Ok(Box::new(view.versions(collection)?)),
    }
}

/// What of the plugin host's collections is in the dump.
pub(super) struct Live {
    /// Keys of the directory's rows of live stores.
    stores: HashSet<Vec<u8>>,
    /// Their collections.
    collections: HashSet<CollectionId>,
    /// Keys of the journal's rows of steps that ran.
    steps: HashSet<Vec<u8>>,
}

impl Live {
    pub(super) fn new(view: &ReadView) -> Result<Live> {
        let mut stores = store::stores(view)?;
        stores.retain(|store| store.state == StoreState::Live);
        let mut steps = migrations(view)?;
        steps.retain(|step| {
            matches!(
                step.state,
                MigrationState::Published | MigrationState::Finalized
            ) && stores
                .iter()
                .any(|store| store.plugin == step.plugin && store.name == step.store)
        });
        let key =
            |plugin: &str, name: &str| [plugin.as_bytes(), b"\0", name.as_bytes(), b"\0"].concat();
        Ok(Live {
            collections: stores.iter().map(|store| store.collection).collect(),
            steps: steps
                .iter()
                .map(|step| {
                    let mut key = key(&step.plugin, &step.store);
                    key.extend_from_slice(&step.number.to_be_bytes());
                    key
                })
                .collect(),
            stores: stores
                .iter()
                .map(|store| key(&store.plugin, &store.name))
                .collect(),
        })
    }

    /// Whether a version of the directory is in the dump; it may lose its value.
    pub(super) fn keep(&self, version: &mut Version) -> Result<bool> {
        if !self.stores.contains(&version.key) {
            return Ok(false);
        }
        if let Some(value) = &version.value {
            let row = store::decode(&version.key, value)?;
            if !self.collections.contains(&row.collection) {
                version.value = None;
            }
        }
        Ok(true)
    }
}
