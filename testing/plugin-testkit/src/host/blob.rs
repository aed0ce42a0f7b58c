//! `blob/1`, over the entries of stores as a server has it.

use std::ops::Bound;

use heliosdb_plugin_api::Result;
use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::abi::{ROption, RSlice, RStr, RVec};
use heliosdb_plugin_api::service::blob::pieces::{self, Entries};
use heliosdb_plugin_api::service::{BlobId, BlobV1};

use super::{Inner, answer, lock};

pub static BLOB: BlobV1 = BlobV1 {
    append,
    finish,
    length,
    read,
    remove,
    remove_all,
};

struct Lent<'a> {
    host: &'a Inner,
    store: &'a str,
}

impl Entries for Lent<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let stores = lock(&self.host.stores);
        Ok(stores.get(self.store).and_then(|s| s.get(key)).cloned())
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.host.writable()?;
        let mut stores = lock(&self.host.stores);
        let entries = stores.entry(self.store.to_owned()).or_default();
        entries.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn remove(&self, key: &[u8]) -> Result<()> {
        self.host.writable()?;
        if let Some(entries) = lock(&self.host.stores).get_mut(self.store) {
            entries.remove(key);
        }
        Ok(())
    }

    fn keys(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, limit: usize) -> Result<Vec<Vec<u8>>> {
        // Those who ask never ask for a range that a map would panic of: it ends after it begins, or
        // both ends are one key, of which the last is included.
        let stores = lock(&self.host.stores);
        let Some(entries) = stores.get(self.store) else {
            return Ok(Vec::new());
        };
        let keys = entries.range::<[u8], _>((from, to)).take(limit);
        Ok(keys.map(|(key, _)| key.clone()).collect())
    }
}

fn lent<T>(
    host: *const (),
    statement: *const (),
    store: RStr<'_>,
    work: impl FnOnce(&dyn Entries) -> Result<T>,
) -> AbiResult<T> {
    answer(host, statement, |host| {
        let store = store.as_str();
        work(&Lent { host, store })
    })
}

extern "C" fn append(
    host: *const (),
    statement: *const (),
    store: RStr<'_>,
    id: BlobId,
    bytes: RSlice<'_, u8>,
) -> AbiResult<()> {
    lent(host, statement, store, |entries| {
        pieces::append(entries, id, bytes.as_slice())
    })
}

extern "C" fn finish(
    host: *const (),
    statement: *const (),
    store: RStr<'_>,
    id: BlobId,
) -> AbiResult<u64> {
    lent(host, statement, store, |entries| {
        pieces::finish(entries, id)
    })
}

extern "C" fn length(
    host: *const (),
    statement: *const (),
    store: RStr<'_>,
    id: BlobId,
) -> AbiResult<ROption<u64>> {
    lent(host, statement, store, |entries| {
        Ok(pieces::length(entries, id)?.into())
    })
}

extern "C" fn read(
    host: *const (),
    statement: *const (),
    store: RStr<'_>,
    id: BlobId,
    from: u64,
    to: u64,
) -> AbiResult<RVec<u8>> {
    lent(host, statement, store, |entries| {
        Ok(pieces::read(entries, id, from..to)?.into())
    })
}

extern "C" fn remove(
    host: *const (),
    statement: *const (),
    store: RStr<'_>,
    id: BlobId,
) -> AbiResult<()> {
    lent(host, statement, store, |entries| {
        pieces::remove(entries, id)
    })
}

extern "C" fn remove_all(
    host: *const (),
    statement: *const (),
    store: RStr<'_>,
    owner: u64,
) -> AbiResult<()> {
    lent(host, statement, store, |entries| {
        pieces::remove_all(entries, owner)
    })
}
