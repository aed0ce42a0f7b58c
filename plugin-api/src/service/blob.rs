//! `blob/1`: values of a plugin that are larger than an entry of a store should be, read in parts.
//!
//! A blob lies in one of the plugin's own stores, in pieces, beside the store's entries. So it is written in
//! the statement's transaction, is read AS OF and on branches, travels in dumps and goes with its store, as
//! every entry does. Its key:
//!
//! ```text
//! 0xFF │ owner u64 BE │ blob u64 BE │ piece u32 BE        piece 0 is the head, the content begins with 1
//! head  version u8 = 0 │ finished u8 (0, 1) │ length u64 LE
//! ```
//!
//! An *owner* is whatever the plugin wants to remove blobs together with, such as an index. Keys of the
//! plugin's own entries in such a store must not begin with 0xFF.
//!
//! A blob is appended to until it is finished. Only then it can be read, and from then on it does not change.

pub mod pieces;

use std::ops::Range;

use abi_stable::std_types::{ROption, RSlice, RStr, RVec};
use abi_stable::StableAbi;

use crate::abi::value::AbiResult;
use crate::abi::Published;
use crate::error::{Error, Result};

/// Names a blob in its store.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlobId {
    pub owner: u64,
    pub blob: u64,
}

/// The vtable of `blob/1`. Stores are named as in the manifest.
#[repr(C)]
#[derive(StableAbi)]
pub struct BlobV1 {
    pub append: extern "C" fn(
        host: *const (),
        statement: *const (),
        store: RStr<'_>,
        id: BlobId,
        bytes: RSlice<'_, u8>,
    ) -> AbiResult<()>,
    /// The length.
    pub finish: extern "C" fn(
        host: *const (),
        statement: *const (),
        store: RStr<'_>,
        id: BlobId,
    ) -> AbiResult<u64>,
    /// The length of one that is finished.
    pub length: extern "C" fn(
        host: *const (),
        statement: *const (),
        store: RStr<'_>,
        id: BlobId,
    ) -> AbiResult<ROption<u64>>,
    pub read: extern "C" fn(
        host: *const (),
        statement: *const (),
        store: RStr<'_>,
        id: BlobId,
        from: u64,
        to: u64,
    ) -> AbiResult<RVec<u8>>,
    pub remove: extern "C" fn(
        host: *const (),
        statement: *const (),
        store: RStr<'_>,
        id: BlobId,
    ) -> AbiResult<()>,
    pub remove_all: extern "C" fn(
        host: *const (),
        statement: *const (),
        store: RStr<'_>,
        owner: u64,
    ) -> AbiResult<()>,
}

unsafe impl Published for BlobV1 {
    const ID: &'static str = "blob/1";
}

/// The blobs in one store of the plugin, as the statement sees them.
#[derive(Clone, Copy)]
pub struct Blobs<'a> {
    host: *const (),
    statement: *const (),
    vtable: &'static BlobV1,
    store: &'a str,
}

impl<'a> Blobs<'a> {
    pub(crate) fn new(
        host: *const (),
        statement: *const (),
        vtable: &'static BlobV1,
        store: &'a str,
    ) -> Blobs<'a> {
        Blobs {
            host,
            statement,
            vtable,
            store,
        }
    }

    /// Adds to the end of a blob, which begins with the first bytes that are added.
    ///
    /// # Errors
    ///
    /// `55000` when it is finished; `25006` where the statement may only read; so with all that writes.
    pub fn append(&self, id: BlobId, bytes: &[u8]) -> Result<()> {
        let done = (self.vtable.append)(
            self.host,
            self.statement,
            self.store.into(),
            id,
            bytes.into(),
        );
        done.into_result().map_err(Error::from)
    }

    /// It is whole, and so long. One that nothing was added to is empty.
    ///
    /// # Errors
    ///
    /// `55000` when it was finished before.
    pub fn finish(&self, id: BlobId) -> Result<u64> {
        let length = (self.vtable.finish)(self.host, self.statement, self.store.into(), id);
        length.into_result().map_err(Error::from)
    }

    /// A blob at once.
    pub fn write(&self, id: BlobId, bytes: &[u8]) -> Result<()> {
        self.append(id, bytes)?;
        self.finish(id).map(drop)
    }

    /// How long a blob is; `None` when there is none that is finished.
    pub fn length(&self, id: BlobId) -> Result<Option<u64>> {
        let length = (self.vtable.length)(self.host, self.statement, self.store.into(), id);
        Ok(length.into_result().map_err(Error::from)?.into_option())
    }

    /// Part of a blob.
    ///
    /// # Errors
    ///
    /// `42704` when there is none that is finished, `22023` for a range that does not lie in it.
    pub fn read(&self, id: BlobId, range: Range<u64>) -> Result<Vec<u8>> {
        let bytes = (self.vtable.read)(
            self.host,
            self.statement,
            self.store.into(),
            id,
            range.start,
            range.end,
        );
        Ok(bytes.into_result().map_err(Error::from)?.into())
    }

    /// Removes a blob, finished or not, whether it is there or not.
    pub fn remove(&self, id: BlobId) -> Result<()> {
        let done = (self.vtable.remove)(self.host, self.statement, self.store.into(), id);
        done.into_result().map_err(Error::from)
    }

    /// Removes every blob of an owner.
    pub fn remove_all(&self, owner: u64) -> Result<()> {
        let done = (self.vtable.remove_all)(self.host, self.statement, self.store.into(), owner);
        done.into_result().map_err(Error::from)
    }
}
