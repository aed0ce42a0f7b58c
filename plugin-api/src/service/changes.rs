//! `changes/1`: what was committed to a table between two SCNs, and cursors that outlive a crash.
//!
//! Changes are signed rows: −1 with the image that went, +1 with the one that came. A batch has the columns
//! asked for, then `_rowid` and `_scn` (UInt64) and `_sign` (Int8). The two rows of an update stand next to
//! each other, the one that went first.
//!
//! A *cursor* says how far its owner has come. It keeps the history that the owner has yet to read, and is
//! moved in the transaction in which the owner writes what it made of the changes: after a crash both are
//! there, or neither. So each change takes effect once.

use std::marker::PhantomData;
use std::ops::RangeInclusive;

use abi_stable::std_types::{ROption, RSlice, RStr, RVec};
use abi_stable::StableAbi;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Int8Array, UInt64Array};

use crate::abi::arrow::AbiColumn;
use crate::abi::value::AbiResult;
use crate::abi::Published;
use crate::error::{Error, Result};

/// Which changes of a table to read.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct AbiSpan<'a> {
    pub table: u32,
    pub columns: RSlice<'a, RStr<'a>>,
    /// What was committed by then is known.
    pub since: u64,
    /// Up to and with this one.
    pub until: u64,
    /// Of each row the difference between the two ends, instead of every version as it came.
    pub net: bool,
}

/// The vtable of `changes/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct ChangesV1 {
    /// The newest SCN that may be remembered: all that was committed by then is on disk.
    pub latest: extern "C" fn(host: *const (), statement: *const ()) -> AbiResult<u64>,
    pub create_cursor:
        extern "C" fn(host: *const (), statement: *const (), name: RStr<'_>) -> AbiResult<u64>,
    pub cursor: extern "C" fn(
        host: *const (),
        statement: *const (),
        name: RStr<'_>,
    ) -> AbiResult<ROption<u64>>,
    pub advance_cursor: extern "C" fn(
        host: *const (),
        statement: *const (),
        name: RStr<'_>,
        to: u64,
    ) -> AbiResult<()>,
    pub remove_cursor:
        extern "C" fn(host: *const (), statement: *const (), name: RStr<'_>) -> AbiResult<()>,
    /// A stream of changes, to be closed once; `next` and `close` take it.
    pub open: extern "C" fn(
        host: *const (),
        statement: *const (),
        span: AbiSpan<'_>,
    ) -> AbiResult<*mut ()>,
    /// The next batch, none of them empty.
    pub next:
        extern "C" fn(statement: *const (), stream: *mut ()) -> AbiResult<ROption<RVec<AbiColumn>>>,
    pub close: extern "C" fn(stream: *mut ()),
}

unsafe impl Published for ChangesV1 {
    const ID: &'static str = "changes/1";
}

/// Which changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Every version as it came, by commit and then by row: for who follows the commits.
    Every,
    /// Of each row the difference between the two ends, by row: for who follows the table.
    Net,
}

/// A batch of signed rows.
#[derive(Clone, Debug)]
pub struct SignedRows {
    /// The columns asked for.
    pub columns: Vec<ArrayRef>,
    pub rows: UInt64Array,
    /// When it came, of the row that came; when it went, of the one that went.
    pub scns: UInt64Array,
    /// 1 or −1.
    pub signs: Int8Array,
}

impl SignedRows {
    /// Takes a batch apart that has the three last.
    ///
    /// # Errors
    ///
    /// `38000` for a batch that is none of changes.
    pub fn new(mut batch: Vec<ArrayRef>) -> Result<SignedRows> {
        let broken = || Error::contract("a batch of changes ends with _rowid, _scn and _sign");
        let signs = batch.pop().ok_or_else(broken)?;
        let scns = batch.pop().ok_or_else(broken)?;
        let rows = batch.pop().ok_or_else(broken)?;
        let number = |array: &ArrayRef| array.as_primitive_opt::<UInt64Type>().cloned();
        let signed = SignedRows {
            columns: batch,
            rows: number(&rows).ok_or_else(broken)?,
            scns: number(&scns).ok_or_else(broken)?,
            signs: signs
                .as_primitive_opt::<Int8Type>()
                .cloned()
                .ok_or_else(broken)?,
        };
        let count = signed.rows.len();
        let lengths = signed.columns.iter().map(|column| column.len());
        let mut lengths = lengths.chain([signed.scns.len(), signed.signs.len()]);
        match lengths.all(|length| length == count) {
            true => Ok(signed),
            false => Err(broken()),
        }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Reads changes and moves cursors.
#[derive(Clone, Copy)]
pub struct Changes<'a> {
    host: *const (),
    statement: *const (),
    vtable: &'static ChangesV1,
    lifetime: PhantomData<&'a ()>,
}

impl<'a> Changes<'a> {
    pub(crate) fn new(
        host: *const (),
        statement: *const (),
        vtable: &'static ChangesV1,
    ) -> Changes<'a> {
        Changes {
            host,
            statement,
            vtable,
            lifetime: PhantomData,
        }
    }

    /// The newest SCN that may be remembered: all that was committed by then is on disk.
    pub fn latest(&self) -> Result<u64> {
        let latest = (self.vtable.latest)(self.host, self.statement);
        latest.into_result().map_err(Error::from)
    }

    /// A new cursor of this plugin at [`latest`](Self::latest), which is returned. It is there when the
    /// transaction commits, and its history is held from now on.
    ///
    /// # Errors
    ///
    /// `42710` when there is one of that name; `25006` where the statement may only read; so with what
    /// moves and removes one.
    pub fn create_cursor(&self, name: &str) -> Result<u64> {
        let at = (self.vtable.create_cursor)(self.host, self.statement, name.into());
        at.into_result().map_err(Error::from)
    }

    /// Where a cursor of this plugin is, if there is one.
    ///
    /// # Errors
    ///
    /// `55000` for one that fell too far behind: it holds nothing any more, and what followed it is to be
    /// made anew.
    pub fn cursor(&self, name: &str) -> Result<Option<u64>> {
        let at = (self.vtable.cursor)(self.host, self.statement, name.into());
        Ok(at.into_result().map_err(Error::from)?.into_option())
    }

    /// All up to and with `to` was taken in.
    ///
    /// # Errors
    ///
    /// `40001` for a cursor that another transaction has moved since this one began;
    /// `42704` for no cursor, `55000` for one that fell too far behind, `22023` for a move back or into
    /// the future.
    pub fn advance_cursor(&self, name: &str, to: u64) -> Result<()> {
        let done = (self.vtable.advance_cursor)(self.host, self.statement, name.into(), to);
        done.into_result().map_err(Error::from)
    }

    pub fn remove_cursor(&self, name: &str) -> Result<()> {
        let done = (self.vtable.remove_cursor)(self.host, self.statement, name.into());
        done.into_result().map_err(Error::from)
    }

    /// What was committed to a table after the first SCN of `span`, up to and with the last.
    ///
    /// # Errors
    ///
    /// `42P01` for no table, `42703` for a column that it does not have, `42501` for a table that the
    /// role may not read, `22023` for a span whose history is gone or is still to come.
    pub fn read(
        &self,
        table: u32,
        columns: &[&str],
        span: RangeInclusive<u64>,
        which: Which,
    ) -> Result<ChangeBatches<'a>> {
        let columns: Vec<RStr<'_>> = columns.iter().map(|&name| name.into()).collect();
        let span = AbiSpan {
            table,
            columns: columns.as_slice().into(),
            since: *span.start(),
            until: *span.end(),
            net: which == Which::Net,
        };
        let stream = (self.vtable.open)(self.host, self.statement, span);
        Ok(ChangeBatches {
            changes: *self,
            stream: stream.into_result().map_err(Error::from)?,
        })
    }
}

/// Batches of changes, none of them empty.
pub struct ChangeBatches<'a> {
    changes: Changes<'a>,
    stream: *mut (),
}

impl Iterator for ChangeBatches<'_> {
    type Item = Result<SignedRows>;

    fn next(&mut self) -> Option<Result<SignedRows>> {
        let batch = (self.changes.vtable.next)(self.changes.statement, self.stream);
        let batch = batch.into_result().map_err(Error::from);
        let batch = batch.map(ROption::into_option).transpose()?;
        Some(batch.and_then(|batch| {
            let columns = batch.into_iter().map(|c| Ok(c.import_trusted()?.0));
            SignedRows::new(columns.collect::<Result<_>>()?)
        }))
    }
}

impl Drop for ChangeBatches<'_> {
    fn drop(&mut self) {
        (self.changes.vtable.close)(self.stream);
    }
}
