//! `blob/1`, over the entries of the plugin's store.

use std::ops::Bound;

use heliosdb_plugin_api::Result;
use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::abi::{ROption, RSlice, RStr, RVec};
use heliosdb_plugin_api::service::blob::pieces::{self, Entries};
use heliosdb_plugin_api::service::{BlobId, BlobV1};

use super::{caller, guarded};
use crate::services::StatementServices;

pub(super) static BLOB: BlobV1 = BlobV1 {
    append,
    finish,
    length,
    read,
    remove,
    remove_all,
};

/// A store of the plugin that asks.
struct Lent<'a> {
    plugin: &'a str,
    services: &'a dyn StatementServices,
    store: &'a str,
}

impl Entries for Lent<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.services.store_get(self.plugin, self.store, key)
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.services.store_put(self.plugin, self.store, key, value)
    }

    fn remove(&self, key: &[u8]) -> Result<()> {
        self.services.store_remove(self.plugin, self.store, key)
    }

    fn keys(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, limit: usize) -> Result<Vec<Vec<u8>>> {
        let (plugin, store) = (self.plugin, self.store);
        let pairs = self.services.store_range(plugin, store, from, to, limit)?;
        Ok(pairs.into_iter().map(|(key, _)| key).collect())
    }
}

fn answer<T>(
    handle: *const (),
    statement: *const (),
    store: RStr<'_>,
    work: impl FnOnce(&dyn Entries) -> Result<T>,
) -> AbiResult<T> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        let store = store.as_str();
        work(&Lent {
            plugin,
            services,
            store,
        })
    })
}

extern "C" fn append(
    handle: *const (),
    statement: *const (),
    store: RStr<'_>,
    id: BlobId,
    bytes: RSlice<'_, u8>,
) -> AbiResult<()> {
    answer(handle, statement, store, |entries| {
        pieces::append(entries, id, bytes.as_slice())
    })
}

extern "C" fn finish(
    handle: *const (),
    statement: *const (),
    store: RStr<'_>,
    id: BlobId,
) -> AbiResult<u64> {
    answer(handle, statement, store, |entries| {
        pieces::finish(entries, id)
    })
}

extern "C" fn length(
    handle: *const (),
    statement: *const (),
    store: RStr<'_>,
    id: BlobId,
) -> AbiResult<ROption<u64>> {
    answer(handle, statement, store, |entries| {
        Ok(pieces::length(entries, id)?.into())
    })
}

extern "C" fn read(
    handle: *const (),
    statement: *const (),
    store: RStr<'_>,
    id: BlobId,
    from: u64,
    to: u64,
) -> AbiResult<RVec<u8>> {
    answer(handle, statement, store, |entries| {
        Ok(pieces::read(entries, id, from..to)?.into())
    })
}

extern "C" fn remove(
    handle: *const (),
    statement: *const (),
    store: RStr<'_>,
    id: BlobId,
) -> AbiResult<()> {
    answer(handle, statement, store, |entries| {
        pieces::remove(entries, id)
    })
}

extern "C" fn remove_all(
    handle: *const (),
    statement: *const (),
    store: RStr<'_>,
    owner: u64,
) -> AbiResult<()> {
    answer(handle, statement, store, |entries| {
        pieces::remove_all(entries, owner)
    })
}
