//! The first part of a load: the system collections and the stores of plugins.

use std::sync::Arc;

use heliosdb_storage::ids::{CollectionId, Ts};
use heliosdb_storage::view::Version;
use heliosdb_storage::{Engine, LoadedState, Loader, SortedLoader};

use crate::error::{Error, Result};
use crate::export::StoreCounter;
use crate::format::section;
use crate::manifest::{Manifest, SequenceManifest, StoreManifest};
use crate::options::LoadOptions;
use crate::progress::Progress;
use crate::reader::Dump;

/// Load catalog, stores and sequences, and publish them.
///
/// # Errors
///
/// `NotEmpty` when the engine has any of it already; `Content` when a store is not what the manifest
/// says; `Storage(Canceled)` when the interrupt was. Nothing is published then.
pub fn load_state(
    dump: &Dump,
    engine: &Engine,
    options: &LoadOptions,
    progress: &dyn Progress,
) -> Result<()> {
    let manifest = dump.manifest();
    if let Some(table) = engine.latest_view().tables_ever()?.first() {
        return Err(Error::NotEmpty(format!("it has table {}", table.def.id)));
    }
    let stores = manifest.stores.iter().map(section::store);
    let sections: Vec<String> = std::iter::once(section::CATALOG.to_owned())
        .chain(stores)
        .collect();
    let items = sections.iter().filter_map(|name| manifest.section(name));
    let items = items.map(|section| section.items).sum();
    progress.begin("loading catalog and plugin stores, entries", Some(items));
    let loader = engine.loader(heliosdb_storage::LoadOptions {
        interrupt: Arc::clone(&options.interrupt),
        ..Default::default()
    })?;
    load_catalog(dump, engine, &loader, progress)?;
    for store in &manifest.stores {
        load_store(dump, store, &loader, progress)?;
    }
    options.interrupt.check()?;
    loader.publish(state(manifest))?;
    show_sequences(manifest, engine)?;
    progress.end();
    Ok(())
}

/// Whoever draws a value from now on draws what no branch was given.
fn state(manifest: &Manifest) -> LoadedState {
    let going_on = |shown: &SequenceManifest| {
        let counters = manifest.branches.iter().flat_map(|all| &all.counters);
        let mut counters = counters.filter(|counter| counter.collection == shown.collection);
        counters.next().unwrap_or(shown).clone()
    };
    let sequences = manifest.sequences.iter().map(going_on);
    LoadedState {
        last_ts: Ts(manifest.snapshot_ts),
        history_from: Ts(manifest.oldest_ts),
        tables_from: Vec::new(),
        next_collection: CollectionId(manifest.next_collection),
        sequences: sequences
            .map(|s| (CollectionId(s.collection), s.value, s.is_called))
            .collect(),
        next_rows: Vec::new(),
    }
}

/// Let the main timeline show what it showed, where branches are further on.
fn show_sequences(manifest: &Manifest, engine: &Engine) -> Result<()> {
    if manifest.branches.is_some() {
        for s in &manifest.sequences {
            let state = (CollectionId(s.collection), s.value, s.is_called);
            engine.load_sequence(engine.main_timeline(), state, false)?;
        }
    }
    Ok(())
}

fn load_catalog(
    dump: &Dump,
    engine: &Engine,
    loader: &Loader,
    progress: &dyn Progress,
) -> Result<()> {
    let view = engine.latest_view();
    let mut current: Option<(CollectionId, SortedLoader)> = None;
    for entry in dump.entries(section::CATALOG)? {
        let (collection, version) = entry?;
        let sorted = match current.take() {
            Some((id, sorted)) if id == collection => sorted,
            before => {
                if let Some((_, sorted)) = before {
                    sorted.finish()?;
                }
                if view.versions(collection)?.next().is_some() {
                    let what = format!("it has entries in collection {collection}");
                    return Err(Error::NotEmpty(what));
                }
                loader.sorted(collection)?
            }
        };
        let (_, sorted) = current.insert((collection, sorted));
        push(sorted, &version)?;
        progress.advance(1);
    }
    if let Some((_, sorted)) = current {
        sorted.finish()?;
    }
    Ok(())
}

fn load_store(
    dump: &Dump,
    store: &StoreManifest,
    loader: &Loader,
    progress: &dyn Progress,
) -> Result<()> {
    let what = format!("store {}", store.label());
    let wanted = CollectionId(store.collection);
    let mut sorted = loader.sorted(wanted)?;
    let mut counter = StoreCounter::default();
    for entry in dump.entries(&section::store(store))? {
        let (collection, version) = entry?;
        if collection != wanted {
            let found = format!("an entry of collection {collection}");
            return Err(Error::content(what, format!("collection {wanted}"), found));
        }
        counter.add(&version.key, version.value.as_deref());
        push(&mut sorted, &version)?;
        progress.advance(1);
    }
    sorted.finish()?;
    let (expected, found) = (
        format!("{} entries, digest {}", store.entries, store.digest),
        format!(
            "{} entries, digest {}",
            counter.tally.entries, counter.tally.digest
        ),
    );
    match expected == found {
        true => Ok(()),
        false => Err(Error::content(what, expected, found)),
    }
}

pub(super) fn push(sorted: &mut SortedLoader, version: &Version) -> Result<()> {
    Ok(sorted.push(&version.key, version.begin, version.value.as_deref())?)
}
