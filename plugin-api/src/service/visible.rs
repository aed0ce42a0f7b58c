//! `visible/1`: which versions of rows the statement sees.
//!
//! A version is named by its row and the SCN that it began at, as [`changes/1`](super::changes) tells both.
//! The name is unique and stays: no two commits have one SCN, and no row id is used again. So what a plugin
//! remembers of versions it may ask about at any time, in a statement that reads the present, the past or a
//! branch.

use std::marker::PhantomData;
use std::sync::Arc;

use abi_stable::StableAbi;
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BooleanArray, UInt64Array};
use arrow_schema::DataType;

use crate::abi::arrow::AbiColumn;
use crate::abi::value::AbiResult;
use crate::abi::Published;
use crate::error::{Error, Result};

/// The vtable of `visible/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct VisibleV1 {
    /// For `count` versions of rows of a table, `rows` and `begins` (UInt64, no NULLs), a boolean each.
    pub visible: extern "C" fn(
        host: *const (),
        statement: *const (),
        table: u32,
        rows: AbiColumn,
        begins: AbiColumn,
        count: u64,
        result: &mut AbiColumn,
    ) -> AbiResult<()>,
}

unsafe impl Published for VisibleV1 {
    const ID: &'static str = "visible/1";
}

/// What the statement sees of versions.
#[derive(Clone, Copy)]
pub struct Visible<'a> {
    host: *const (),
    statement: *const (),
    vtable: &'static VisibleV1,
    lifetime: PhantomData<&'a ()>,
}

impl Visible<'_> {
    pub(crate) fn new(
        host: *const (),
        statement: *const (),
        vtable: &'static VisibleV1,
    ) -> Visible<'static> {
        Visible {
            host,
            statement,
            vtable,
            lifetime: PhantomData,
        }
    }

    /// Of the versions of a table's rows, given by row and SCN of their beginning, those that the
    /// statement sees. A row that the statement's own transaction has written is seen in none that began
    /// with a commit.
    ///
    /// # Errors
    ///
    /// `42P01` for no table, `42501` for one that the role may not read.
    pub fn of(&self, table: u32, rows: &[u64], begins: &[u64]) -> Result<BooleanArray> {
        if rows.len() != begins.len() {
            return Err(Error::contract("a version is a row and its beginning"));
        }
        let column = |numbers: &[u64]| {
            let numbers: ArrayRef = Arc::new(UInt64Array::from(numbers.to_vec()));
            AbiColumn::export(&numbers, false)
        };
        let mut result = AbiColumn::empty();
        let done = (self.vtable.visible)(
            self.host,
            self.statement,
            table,
            column(rows)?,
            column(begins)?,
            rows.len() as u64,
            &mut result,
        );
        done.into_result().map_err(Error::from)?;
        let result = result.import(&DataType::Boolean, rows.len())?;
        Ok(result.as_boolean().clone())
    }
}
