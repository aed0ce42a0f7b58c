//! Reads and empties collections a batch at a time, each with a view and a transaction of its own,
//! so that neither memory nor what a view pins grows with the collection.

use std::ops::Bound;

use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::{Durability, Engine, Isolation, ReadView};

use super::{Entry, Result, Settings, Tally};

/// Some entries in key order.
pub(super) struct Batch {
    pub entries: Vec<Entry>,
    /// Nothing follows them.
    pub last: bool,
}

/// The entries that come after the key `after`, as many as the settings allow.
pub(super) fn read(
    view: &ReadView,
    collection: CollectionId,
    after: Option<&[u8]>,
    settings: &Settings,
) -> Result<Batch> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut range = view.range(collection, from, Bound::Unbounded)?;
    let mut entries = Vec::new();
    let mut bytes = 0;
    while entries.len() < settings.batch_entries_max.max(1)
        && (entries.is_empty() || bytes < settings.batch_bytes)
    {
        let Some(entry) = range.next() else {
            return Ok(Batch {
                entries,
                last: true,
            });
        };
        let (key, value) = entry?;
        bytes += key.len() + value.len();
        entries.push(Entry { key, value });
    }
    let last = range.next().transpose()?.is_none();
    Ok(Batch { entries, last })
}

/// Call `visit` with each entry, in key order, up to the key `until` where there is one.
pub(super) fn visit(
    engine: &Engine,
    collection: CollectionId,
    until: Option<&[u8]>,
    settings: &Settings,
    mut visit: impl FnMut(&Entry) -> Result<()>,
) -> Result<()> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        settings.interrupt.check()?;
        let batch = read(
            &engine.latest_view(),
            collection,
            after.as_deref(),
            settings,
        )?;
        for entry in &batch.entries {
            if until.is_some_and(|until| entry.key.as_slice() > until) {
                return Ok(());
            }
            visit(entry)?;
        }
        match batch.entries.into_iter().next_back() {
            Some(entry) if !batch.last => after = Some(entry.key),
            _ => return Ok(()),
        }
    }
}

/// Count the entries up to the key `until`, or all.
pub(super) fn tally(
    engine: &Engine,
    collection: CollectionId,
    until: Option<&[u8]>,
    settings: &Settings,
) -> Result<Tally> {
    let mut tally = Tally::default();
    visit(engine, collection, until, settings, |entry| {
        tally.add(entry);
        Ok(())
    })?;
    Ok(tally)
}

/// Remove all entries; how many there were. Stopped in between, it can be called again.
pub(super) fn empty(engine: &Engine, collection: CollectionId, settings: &Settings) -> Result<u64> {
    let mut removed = 0;
    let mut after: Option<Vec<u8>> = None;
    loop {
        settings.interrupt.check()?;
        // What is removed already need not be walked over again.
        let view = engine.latest_view();
        let batch = read(&view, collection, after.as_deref(), settings)?;
        if !batch.entries.is_empty() {
            let mut tx = engine.begin(Isolation::ReadCommitted, settings.interrupt.clone());
            for entry in &batch.entries {
                tx.remove(collection, &entry.key)?;
            }
            tx.commit(Durability::Synchronous)?;
            removed += batch.entries.len() as u64;
        }
        match batch.entries.into_iter().next_back() {
            Some(entry) if !batch.last => after = Some(entry.key),
            _ => return Ok(removed),
        }
    }
}
