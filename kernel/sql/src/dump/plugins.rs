//! The plugins that a database knows, and what it needs of each.
//!
//! A plugin is listed when the server has it, or when the database has anything of it: an extension (a
//! dropped one too), a store, an object, a column of its type, a codec. So the reader of a dump knows
//! what it cannot do without, also of a plugin that the writer had already lost.

use std::collections::{BTreeMap, BTreeSet};

use heliosdb_dump::PluginDescription;
use heliosdb_plugin_host::store::{StoreState, stores};
use heliosdb_plugin_host::{PluginStatus, State};
use heliosdb_storage::ReadView;
use heliosdb_storage::codec::Encoding;

use crate::catalog::CatalogSnapshot;
use crate::catalog::model::Compression;
use crate::error::Result;
use crate::instance::Instance;

#[derive(Default)]
struct Known {
    /// What the extension says, for when the plugin is away.
    version: Option<String>,
    installed: bool,
    status: Option<PluginStatus>,
    stores: Vec<(String, u32)>,
    objects: u64,
    types: BTreeSet<String>,
    codecs: BTreeSet<String>,
}

/// By id.
pub(super) fn describe(
    instance: &Instance,
    catalog: &CatalogSnapshot,
    view: &ReadView,
) -> Result<Vec<PluginDescription>> {
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    for status in instance.plugins().plugins() {
        // A file that could not be read is nobody's, whatever its name.
        if status.manifest.is_some() || status.state == State::Missing {
            let plugin = known.entry(status.id.clone()).or_default();
            plugin.status = Some(status);
        }
    }
    for extension in catalog.all_extensions() {
        let plugin = known.entry(extension.name.clone()).or_default();
        plugin.version = Some(extension.version.clone());
        plugin.installed = extension.installed;
    }
    for store in stores(view)? {
        if store.state == StoreState::Live {
            let plugin = known.entry(store.plugin).or_default();
            plugin.stores.push((store.name, store.version));
        }
    }
    for object in catalog.plugin_objects() {
        known.entry(object.plugin.clone()).or_default().objects += 1;
    }
    for (_, column) in catalog.tables().flat_map(|t| t.live_columns()) {
        if let Some(ty) = &column.extension_type {
            let plugin = known.entry(ty.plugin.clone()).or_default();
            plugin.types.insert(ty.name.clone());
        }
        if let Some(Compression::Codec { plugin, name }) = &column.compression {
            let plugin = known.entry(plugin.clone()).or_default();
            plugin.codecs.insert(name.clone());
        }
    }
    for pages in instance.engine().codecs_in_use() {
        if let Encoding::Codec(codec) = &pages.encoding {
            let plugin = owner(instance, catalog, &known, codec);
            let plugin = known.entry(plugin).or_default();
            plugin.codecs.insert(codec.to_string());
        }
    }
    Ok(known.into_iter().map(|(id, p)| p.described(id)).collect())
}

/// The plugin of a codec that pages name: one that is known, else who said so when it was installed.
/// Storage does not know; a codec that nobody remembers stands under its own name.
fn owner(
    instance: &Instance,
    catalog: &CatalogSnapshot,
    known: &BTreeMap<String, Known>,
    codec: &str,
) -> String {
    let declares = |p: &PluginStatus| {
        let codecs = p.manifest.iter().flat_map(|m| &m.provides.codecs);
        codecs.into_iter().any(|c| c.name == codec)
    };
    let plugins = instance.plugins().plugins();
    if let Some(plugin) = plugins.into_iter().find(declares) {
        return plugin.id;
    }
    let installed = catalog
        .all_extensions()
        .find(|e| e.provides.codecs.iter().any(|c| c.name == codec));
    if let Some(extension) = installed {
        return extension.name.clone();
    }
    let chosen = known.iter().find(|(_, p)| p.codecs.contains(codec));
    chosen.map_or_else(|| codec.to_owned(), |(id, _)| id.clone())
}

impl Known {
    fn described(self, id: String) -> PluginDescription {
        let status = self.status.as_ref();
        let manifest = status.and_then(|s| s.manifest.as_ref());
        let linkage = match status {
            Some(s) if s.path.is_some() => Some("dynamic"),
            Some(_) if manifest.is_some() => Some("static"),
            _ => None,
        };
        let version = manifest.map(|m| m.version.to_string()).or(self.version);
        PluginDescription {
            id,
            version: version.unwrap_or_default(),
            state: status.map_or(State::Missing, |s| s.state).name().to_owned(),
            linkage: linkage.map(str::to_owned),
            installed: self.installed,
            stores: self.stores,
            objects: self.objects,
            types: self.types.into_iter().collect(),
            codecs_in_use: self.codecs.into_iter().collect(),
        }
    }
}
