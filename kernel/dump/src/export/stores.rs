//! Plugin stores: the live collection of each, with its versions.

use heliosdb_plugin_host::migration::{Entry as StoreEntry, Tally};
use heliosdb_plugin_host::store::{StoreState, stores};

use super::{Export, Oldest};
use crate::error::Result;
use crate::format::entry::Entry;
use crate::format::section;
use crate::manifest::StoreManifest;
use crate::writer::{EntryFrames, Pipeline};

pub(super) fn export(
    export: &Export<'_>,
    pipeline: &mut Pipeline<'_>,
    oldest: &mut Oldest,
) -> Result<Vec<StoreManifest>> {
    let mut manifests = Vec::new();
    for store in stores(export.view)? {
        if store.state != StoreState::Live {
            continue;
        }
        let mut manifest = StoreManifest {
            plugin: store.plugin,
            name: store.name,
            version: store.version,
            collection: store.collection.0,
            entries: 0,
            versions: 0,
            digest: String::new(),
        };
        pipeline.section(section::store(&manifest));
        let mut frames = EntryFrames::default();
        let mut counter = StoreCounter::default();
        for version in export.view.versions(store.collection)? {
            export.interrupt().check()?;
            let version = version?;
            let current = counter.add(&version.key, version.value.as_deref());
            if !current && !export.options.history {
                continue;
            }
            oldest.see(version.begin.0);
            manifest.versions += 1;
            let entry = Entry {
                collection: store.collection,
                begin: version.begin,
                key: &version.key,
                value: version.value.as_deref(),
            };
            frames.push(&entry, pipeline)?;
            export.progress.advance(1);
        }
        frames.finish(pipeline)?;
        manifest.entries = counter.tally.entries;
        manifest.digest = counter.tally.digest.to_string();
        manifests.push(manifest);
    }
    Ok(manifests)
}

/// Counts the entries that are there now out of versions in order, as the journal of migrations does.
#[derive(Default)]
pub(crate) struct StoreCounter {
    pub tally: Tally,
    last: Option<Vec<u8>>,
}

impl StoreCounter {
    /// Take the next version; whether it is an entry that is there.
    pub fn add(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        if self.last.as_deref() == Some(key) {
            return false;
        }
        self.last = Some(key.to_vec());
        let Some(value) = value else { return false };
        self.tally.add(&StoreEntry {
            key: key.to_vec(),
            value: value.to_vec(),
        });
        true
    }
}
