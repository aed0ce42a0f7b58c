//! `undrop/1`: tables that were dropped come back.
//!
//! The host finds out when a table was dropped, and brings it back from the history with what belonged to it, in
//! the statement's transaction and on the session's branch. What of it cannot come back it tells in notices.

use std::marker::PhantomData;

use abi_stable::std_types::RStr;
use abi_stable::StableAbi;

use crate::abi::value::AbiResult;
use crate::abi::Published;
use crate::error::{Error, Result};

/// The vtable of `undrop/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct UndropV1 {
    /// Both names are as SQL writes them; without a name in the second the table keeps its own.
    pub table: extern "C" fn(
        host: *const (),
        statement: *const (),
        table: RStr<'_>,
        name: RStr<'_>,
    ) -> AbiResult<()>,
}

unsafe impl Published for UndropV1 {
    const ID: &'static str = "undrop/1";
}

/// What was dropped from the statement's database.
#[derive(Clone, Copy)]
pub struct Undrop<'a> {
    host: *const (),
    statement: *const (),
    vtable: &'static UndropV1,
    lifetime: PhantomData<&'a ()>,
}

impl Undrop<'_> {
    pub(crate) fn new(
        host: *const (),
        statement: *const (),
        vtable: &'static UndropV1,
    ) -> Undrop<'static> {
        Undrop {
            host,
            statement,
            vtable,
            lifetime: PhantomData,
        }
    }

    /// Brings back the table of this name that was dropped last, under its own name or another one.
    ///
    /// # Errors
    ///
    /// `42P01` when the history knows of none, `22023` when its rows are kept no more, `42501` for who was not its
    /// owner, `42P07` when the name is taken, `3F000` when its schema is gone, `42704` when a type of it is, and
    /// `23503` when rows refer to what is not there any more.
    pub fn table(&self, table: &str, name: Option<&str>) -> Result<()> {
        let (table, name) = (table.into(), name.unwrap_or_default().into());
        let done = (self.vtable.table)(self.host, self.statement, table, name);
        done.into_result().map_err(Error::from)
    }
}
