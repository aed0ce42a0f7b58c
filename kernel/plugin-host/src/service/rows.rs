//! `visible/1` and `changes/1`.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, BooleanArray};
use arrow_schema::DataType;
use heliosdb_plugin_api::abi::arrow::AbiColumn;
use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::abi::{ROption, RStr, RVec};
use heliosdb_plugin_api::service::changes::AbiSpan;
use heliosdb_plugin_api::service::{ChangesV1, VisibleV1, Which};
use heliosdb_plugin_api::{Error, Result};

use super::{caller, guarded};
use crate::services::{ChangeStream, ChangesSpan};

pub(super) static VISIBLE: VisibleV1 = VisibleV1 { visible };

pub(super) static CHANGES: ChangesV1 = ChangesV1 {
    latest,
    create_cursor,
    cursor,
    advance_cursor,
    remove_cursor,
    open,
    next,
    close,
};

extern "C" fn visible(
    handle: *const (),
    statement: *const (),
    table: u32,
    rows: AbiColumn,
    begins: AbiColumn,
    count: u64,
    result: &mut AbiColumn,
) -> AbiResult<()> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        let count = usize::try_from(count).map_err(|_| Error::contract("too many versions"))?;
        let numbers = |column: AbiColumn| column.import(&DataType::UInt64, count);
        let (rows, begins) = (numbers(rows)?, numbers(begins)?);
        if rows.null_count() > 0 || begins.null_count() > 0 {
            return Err(Error::contract("a version is a row and its beginning"));
        }
        let rows = rows.as_primitive::<UInt64Type>().values().iter();
        let begins = begins.as_primitive::<UInt64Type>().values().iter();
        let versions: Vec<(u64, u64)> = rows.copied().zip(begins.copied()).collect();
        let seen = services.visible(plugin, table, &versions)?;
        let seen: ArrayRef = Arc::new(BooleanArray::from(seen));
        *result = AbiColumn::export(&seen, false)?;
        Ok(())
    })
}

extern "C" fn latest(handle: *const (), statement: *const ()) -> AbiResult<u64> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        services.changes_latest()
    })
}

extern "C" fn create_cursor(
    handle: *const (),
    statement: *const (),
    name: RStr<'_>,
) -> AbiResult<u64> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        services.cursor_create(plugin, name.as_str())
    })
}

extern "C" fn cursor(
    handle: *const (),
    statement: *const (),
    name: RStr<'_>,
) -> AbiResult<ROption<u64>> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        Ok(services.cursor_find(plugin, name.as_str())?.into())
    })
}

extern "C" fn advance_cursor(
    handle: *const (),
    statement: *const (),
    name: RStr<'_>,
    to: u64,
) -> AbiResult<()> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        services.cursor_advance(plugin, name.as_str(), to)
    })
}

extern "C" fn remove_cursor(
    handle: *const (),
    statement: *const (),
    name: RStr<'_>,
) -> AbiResult<()> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        services.cursor_remove(plugin, name.as_str())
    })
}

extern "C" fn open(
    handle: *const (),
    statement: *const (),
    span: AbiSpan<'_>,
) -> AbiResult<*mut ()> {
    guarded(statement, || {
        let (plugin, services) = unsafe { caller(handle, statement) }?;
        let span = ChangesSpan {
            table: span.table,
            columns: span.columns.iter().map(|name| name.as_str()).collect(),
            since: span.since,
            until: span.until,
            which: match span.net {
                true => Which::Net,
                false => Which::Every,
            },
        };
        let stream: ChangeStream = services.changes(plugin, &span)?;
        Ok(Box::into_raw(Box::new(stream)).cast())
    })
}

extern "C" fn next(statement: *const (), stream: *mut ()) -> AbiResult<ROption<RVec<AbiColumn>>> {
    guarded(statement, || {
        // SAFETY: `open` made it, and one thread at a time reads it.
        let stream = unsafe { stream.cast::<ChangeStream>().as_mut() }
            .ok_or_else(|| Error::contract("the stream of changes is null"))?;
        let batch = stream.next().transpose()?;
        let export = |batch: Vec<ArrayRef>| {
            let columns = batch.iter().map(|array| AbiColumn::export(array, false));
            columns.collect::<Result<RVec<_>>>()
        };
        Ok(batch.map(export).transpose()?.into())
    })
}

extern "C" fn close(stream: *mut ()) {
    // Nobody could be told of a panic; what it leaves is memory.
    let closed = guarded(std::ptr::null(), || {
        if !stream.is_null() {
            // SAFETY: `open` made it with `Box::into_raw`, and the plugin closes it once.
            drop(unsafe { Box::from_raw(stream.cast::<ChangeStream>()) });
        }
        Ok(())
    });
    drop(closed);
}
