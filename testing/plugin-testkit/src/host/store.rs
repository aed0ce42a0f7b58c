//! `store/1` over maps.

use std::ops::Bound;

use heliosdb_plugin_api::Error;
use heliosdb_plugin_api::abi::value::{AbiBound, AbiEntry, AbiResult};
use heliosdb_plugin_api::abi::{ROption, RSlice, RStr, RVec};
use heliosdb_plugin_api::service::StoreV1;

use super::{answer, lock};

pub static STORE: StoreV1 = StoreV1 {
    get,
    range,
    put,
    remove,
};

extern "C" fn get(
    host: *const (),
    statement: *const (),
    store: RStr<'_>,
    key: RSlice<'_, u8>,
) -> AbiResult<ROption<RVec<u8>>> {
    answer(host, statement, |host| {
        let stores = lock(&host.stores);
        let found = stores.get(store.as_str()).and_then(|s| s.get(&key[..]));
        Ok(found.map(|value| value.clone().into()).into())
    })
}

extern "C" fn range(
    host: *const (),
    statement: *const (),
    store: RStr<'_>,
    from: AbiBound<'_>,
    to: AbiBound<'_>,
    limit: u64,
) -> AbiResult<RVec<AbiEntry>> {
    answer(host, statement, |host| {
        let (from, to) = (Bound::<&[u8]>::from(from), Bound::<&[u8]>::from(to));
        if is_empty(from, to) {
            return Ok(RVec::new());
        }
        let stores = lock(&host.stores);
        let Some(entries) = stores.get(store.as_str()) else {
            return Ok(RVec::new());
        };
        let limit =
            usize::try_from(limit).map_err(|_| Error::contract("the limit is too large"))?;
        let entries = entries.range::<[u8], _>((from, to)).take(limit);
        let entry = |(key, value): (&Vec<u8>, &Vec<u8>)| AbiEntry {
            key: key.clone().into(),
            value: value.clone().into(),
        };
        Ok(entries.map(entry).collect())
    })
}

/// Ranges of which a map would panic.
fn is_empty(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    match (from, to) {
        (Bound::Excluded(from), Bound::Excluded(to)) => from >= to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from > to,
        _ => false,
    }
}

extern "C" fn put(
    host: *const (),
    statement: *const (),
    store: RStr<'_>,
    key: RSlice<'_, u8>,
    value: RSlice<'_, u8>,
) -> AbiResult<()> {
    answer(host, statement, |host| {
        host.writable()?;
        let mut stores = lock(&host.stores);
        let entries = stores.entry(store.to_string()).or_default();
        entries.insert(key.to_vec(), value.to_vec());
        Ok(())
    })
}

extern "C" fn remove(
    host: *const (),
    statement: *const (),
    store: RStr<'_>,
    key: RSlice<'_, u8>,
) -> AbiResult<()> {
    answer(host, statement, |host| {
        host.writable()?;
        if let Some(entries) = lock(&host.stores).get_mut(store.as_str()) {
            entries.remove(&key[..]);
        }
        Ok(())
    })
}
