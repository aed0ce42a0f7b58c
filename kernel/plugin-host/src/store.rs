//! Plugin stores: named, versioned, sorted collections of bytes, and the directory that names them.
//!
//! A store belongs to a plugin and is one collection of the storage engine, so it is logged,
//! recovered, transactional and readable AS OF like a table. The directory is a collection, too:
//!
//! ```text
//! key    plugin │ 0 │ store │ 0                        the live one
//!        plugin │ 0 │ store │ 0 │ collection u32 BE    any other
//! value  format u8 = 1 │ JSON of DirectoryRow
//! ```
//!
//! Invariants:
//!
//! 1. A (plugin, store) has at most one live collection, and only that one is read or written by the
//!    plugin. The key makes it so.
//! 2. A collection has one row in the directory from before its first entry until after its last:
//!    whatever stops in between, somebody can find it and remove it.
//! 3. Whoever writes to a store holds its table lock in ROW EXCLUSIVE and saw, holding it, that the
//!    store is still the live one ([`lock_for_write`]). A migration takes a conflicting lock from the
//!    first entry it reads to the commit that publishes, so no write falls between the two.
//!
//! A store's rows outlive its plugin: the directory lists them whether or not the plugin is there.

use std::ops::Bound;

use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::{
    Error, LockWait, ReadView, Result, RowLockMode, TableLockMode, Transaction,
};
use serde::{Deserialize, Serialize};

/// The directory of stores.
pub const STORES: CollectionId = CollectionId(18);

const FORMAT: u8 = 1;
const DIRECTORY: &str = "the directory of plugin stores";

/// What a collection is to its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreState {
    /// What the plugin reads and writes.
    Live,
    /// What a migration that has not ended writes into; a running row of the journal names it.
    Shadow,
    /// What was live before the last migration; kept until that is finalized.
    Retired,
    /// Nobody's any more, or a dry run's: the next sweep removes it.
    Discarded,
}

impl std::fmt::Display for StoreState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            StoreState::Live => "live",
            StoreState::Shadow => "shadow",
            StoreState::Retired => "retired",
            StoreState::Discarded => "discarded",
        })
    }
}

/// One collection of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreInfo {
    pub plugin: String,
    pub name: String,
    pub version: u32,
    pub collection: CollectionId,
    pub state: StoreState,
}

/// The stored part of a [`StoreInfo`]; the rest is in the key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DirectoryRow {
    version: u32,
    collection: u32,
    state: StoreState,
}

/// Every collection of every store, in order of plugin and store, the live one of a store first.
pub fn stores(view: &ReadView) -> Result<Vec<StoreInfo>> {
    read(view, Bound::Unbounded, Bound::Unbounded)
}

/// Every collection of one plugin's stores.
pub fn stores_of(view: &ReadView, plugin: &str) -> Result<Vec<StoreInfo>> {
    let mut from = plugin.as_bytes().to_vec();
    from.push(0);
    let mut to = plugin.as_bytes().to_vec();
    to.push(1);
    read(view, Bound::Included(&from), Bound::Excluded(&to))
}

/// The live collection of a store.
pub fn find(view: &ReadView, plugin: &str, name: &str) -> Result<Option<StoreInfo>> {
    let key = live_key(plugin, name);
    match view.get(STORES, &key)? {
        Some(value) => Ok(Some(decode(&key, &value)?)),
        None => Ok(None),
    }
}

/// Make an empty live store of a plugin that has none of that name. `allocate` is a collection id
/// that was never used.
pub fn create(
    tx: &mut Transaction,
    allocate: CollectionId,
    plugin: &str,
    name: &str,
    version: u32,
) -> Result<StoreInfo> {
    check_name(plugin)?;
    check_name(name)?;
    // The key's lock decides between two that create at once; the loser then sees the winner's row.
    tx.lock_key(
        STORES,
        &live_key(plugin, name),
        RowLockMode::Update,
        LockWait::Block,
    )?;
    if find(&tx.latest_view(), plugin, name)?.is_some() {
        return Err(Error::invalid(format!(
            "store \"{name}\" of plugin \"{plugin}\" already exists"
        )));
    }
    let info = StoreInfo {
        plugin: plugin.to_owned(),
        name: name.to_owned(),
        version,
        collection: allocate,
        state: StoreState::Live,
    };
    write(tx, &info)?;
    Ok(info)
}

/// Keep migrations of a store out until the transaction ends, and see that none came before:
/// `SerializationFailure` when `store` is no longer the live one.
pub fn lock_for_write(tx: &mut Transaction, store: &StoreInfo) -> Result<()> {
    tx.lock_table(
        store.collection,
        TableLockMode::RowExclusive,
        LockWait::Block,
    )?;
    match find(&tx.latest_view(), &store.plugin, &store.name)? {
        Some(live) if live == *store => Ok(()),
        _ => Err(Error::SerializationFailure),
    }
}

/// Set a key of a store.
pub fn put(tx: &mut Transaction, store: &StoreInfo, key: &[u8], value: &[u8]) -> Result<()> {
    lock_for_write(tx, store)?;
    tx.put(store.collection, key, value)
}

/// Remove a key of a store, whether it is there or not.
pub fn remove(tx: &mut Transaction, store: &StoreInfo, key: &[u8]) -> Result<()> {
    lock_for_write(tx, store)?;
    tx.remove(store.collection, key)
}

/// Put a row of the directory.
pub(crate) fn write(tx: &mut Transaction, info: &StoreInfo) -> Result<()> {
    tx.put(STORES, &key_of(info), &encode(info)?)
}

/// Take a row out of the directory; its collection is empty, or gets another row.
pub(crate) fn forget(tx: &mut Transaction, info: &StoreInfo) -> Result<()> {
    tx.remove(STORES, &key_of(info))
}

/// Give a collection another state.
pub(crate) fn set_state(
    tx: &mut Transaction,
    info: &StoreInfo,
    state: StoreState,
) -> Result<StoreInfo> {
    let changed = StoreInfo {
        state,
        ..info.clone()
    };
    if key_of(info) != key_of(&changed) {
        forget(tx, info)?;
    }
    write(tx, &changed)?;
    Ok(changed)
}

fn read(view: &ReadView, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<Vec<StoreInfo>> {
    view.range(STORES, from, to)?
        .map(|entry| entry.and_then(|(key, value)| decode(&key, &value)))
        .collect()
}

/// Names stand in keys between NULs.
fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.contains('\0') {
        return Err(Error::invalid(format!(
            "{name:?} is not a name for a plugin or a store"
        )));
    }
    Ok(())
}

fn live_key(plugin: &str, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(plugin.len() + name.len() + 6);
    key.extend_from_slice(plugin.as_bytes());
    key.push(0);
    key.extend_from_slice(name.as_bytes());
    key.push(0);
    key
}

fn key_of(info: &StoreInfo) -> Vec<u8> {
    let mut key = live_key(&info.plugin, &info.name);
    if info.state != StoreState::Live {
        key.extend_from_slice(&info.collection.0.to_be_bytes());
    }
    key
}

/// (plugin, store, what follows the second NUL) of a key of the directory or of the journal.
pub(crate) fn split_key(key: &[u8]) -> Option<(&str, &str, &[u8])> {
    let mut parts = key.splitn(3, |byte| *byte == 0);
    let plugin = std::str::from_utf8(parts.next()?).ok()?;
    let name = std::str::from_utf8(parts.next()?).ok()?;
    Some((plugin, name, parts.next()?))
}

fn encode(info: &StoreInfo) -> Result<Vec<u8>> {
    encode_row(
        FORMAT,
        &DirectoryRow {
            version: info.version,
            collection: info.collection.0,
            state: info.state,
        },
    )
}

/// A format byte and JSON.
pub(crate) fn encode_row(format: u8, row: &impl Serialize) -> Result<Vec<u8>> {
    let mut value = vec![format];
    serde_json::to_writer(&mut value, row)
        .map_err(|e| Error::invalid(format!("a row that JSON cannot hold: {e}")))?;
    Ok(value)
}

/// Read a row of the directory.
pub fn decode(key: &[u8], value: &[u8]) -> Result<StoreInfo> {
    let damaged = |expected: &str| {
        Error::corruption(
            DIRECTORY,
            0,
            expected,
            format!(
                "{} = {}",
                key.escape_ascii(),
                String::from_utf8_lossy(value)
            ),
        )
    };
    let (plugin, name, rest) =
        split_key(key).ok_or_else(|| damaged("a plugin and a store in the key"))?;
    let row: DirectoryRow = match value {
        [FORMAT, json @ ..] => {
            serde_json::from_slice(json).map_err(|e| damaged(&format!("a row: {e}")))?
        }
        _ => return Err(damaged("a row of a known format")),
    };
    let info = StoreInfo {
        plugin: plugin.to_owned(),
        name: name.to_owned(),
        version: row.version,
        collection: CollectionId(row.collection),
        state: row.state,
    };
    let live = info.state == StoreState::Live;
    if live != rest.is_empty() || (!live && rest != info.collection.0.to_be_bytes()) {
        return Err(damaged("a key that agrees with its row"));
    }
    Ok(info)
}

#[cfg(test)]
mod tests;
