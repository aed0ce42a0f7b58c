//! `store/1`: the plugin's own keyspaces, transactional like every table.

use std::ops::Bound;

use abi_stable::std_types::{ROption, RSlice, RStr, RVec};
use abi_stable::StableAbi;

use crate::abi::value::{entries_in, AbiBound, AbiEntry, AbiResult};
use crate::abi::Published;
use crate::error::{Error, Result};
use crate::migration::Entry;

/// The vtable of `store/1`. Stores are named as in the manifest.
#[repr(C)]
#[derive(StableAbi)]
pub struct StoreV1 {
    pub get: extern "C" fn(
        host: *const (),
        statement: *const (),
        store: RStr<'_>,
        key: RSlice<'_, u8>,
    ) -> AbiResult<ROption<RVec<u8>>>,
    /// Entries from one bound to the other in the order of their keys, at most `limit`.
    pub range: extern "C" fn(
        host: *const (),
        statement: *const (),
        store: RStr<'_>,
        from: AbiBound<'_>,
        to: AbiBound<'_>,
        limit: u64,
    ) -> AbiResult<RVec<AbiEntry>>,
    pub put: extern "C" fn(
        host: *const (),
        statement: *const (),
        store: RStr<'_>,
        key: RSlice<'_, u8>,
        value: RSlice<'_, u8>,
    ) -> AbiResult<()>,
    pub remove: extern "C" fn(
        host: *const (),
        statement: *const (),
        store: RStr<'_>,
        key: RSlice<'_, u8>,
    ) -> AbiResult<()>,
}

unsafe impl Published for StoreV1 {
    const ID: &'static str = "store/1";
}

/// Entries fetched across the border at once.
const PAGE_ENTRIES: u64 = 1024;

/// One store of the plugin, as the statement sees it.
#[derive(Clone, Copy)]
pub struct Store<'a> {
    host: *const (),
    statement: *const (),
    vtable: &'static StoreV1,
    name: &'a str,
}

impl<'a> Store<'a> {
    pub(crate) fn new(
        host: *const (),
        statement: *const (),
        vtable: &'static StoreV1,
        name: &'a str,
    ) -> Store<'a> {
        Store {
            host,
            statement,
            vtable,
            name,
        }
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let found = (self.vtable.get)(self.host, self.statement, self.name.into(), key.into());
        let found = found.into_result().map_err(Error::from)?;
        Ok(found.into_option().map(RVec::into))
    }

    /// # Errors
    ///
    /// `25006` where the statement may only read, as a function in a query; so with `remove`.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let store = self.name.into();
        let done = (self.vtable.put)(self.host, self.statement, store, key.into(), value.into());
        done.into_result().map_err(Error::from)
    }

    pub fn remove(&self, key: &[u8]) -> Result<()> {
        let done = (self.vtable.remove)(self.host, self.statement, self.name.into(), key.into());
        done.into_result().map_err(Error::from)
    }

    /// All entries in a range, in the order of their keys, fetched in pages.
    pub fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<Vec<Entry>> {
        let mut all: Vec<Entry> = Vec::new();
        loop {
            let start = match all.last() {
                Some(last) => Bound::Excluded(last.key.as_slice()),
                None => from,
            };
            let page = (self.vtable.range)(
                self.host,
                self.statement,
                self.name.into(),
                start.into(),
                to.into(),
                PAGE_ENTRIES,
            );
            let page = entries_in(page.into_result().map_err(Error::from)?);
            let full = page.len() as u64 >= PAGE_ENTRIES;
            all.extend(page);
            if !full {
                return Ok(all);
            }
        }
    }

    /// All entries.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        self.range(Bound::Unbounded, Bound::Unbounded)
    }
}
