//! `type/1`: types with text and binary input and output over a built-in storage type.

use abi_stable::std_types::{RSlice, RStr};
use abi_stable::StableAbi;
use arrow_array::ArrayRef;

use super::{instance, registered};
use crate::abi::arrow::AbiColumn;
use crate::abi::value::AbiResult;
use crate::abi::Published;
use crate::arrow::conform;
use crate::error::{state, Error, Result};
use crate::guard::guarded;
use crate::plugin::Instance;

/// A type. Values are arrays of the storage type; each method keeps NULLs and the number of rows.
pub trait Type: Send + Sync {
    /// PostgreSQL's input function: text (Utf8View) to values. `typmod` is -1 without one.
    ///
    /// # Errors
    ///
    /// `22P02` at the row that is not a value.
    fn parse(&self, text: &ArrayRef, typmod: i32) -> Result<ArrayRef>;

    /// The output function: values to text.
    fn format(&self, values: &ArrayRef) -> Result<ArrayRef>;

    /// The receive function: binary wire format (bytea) to values.
    fn receive(&self, bytes: &ArrayRef, typmod: i32) -> Result<ArrayRef>;

    /// The send function: values to the binary wire format (bytea).
    fn send(&self, values: &ArrayRef) -> Result<ArrayRef>;

    /// The type modifier of `name(a, b)`.
    ///
    /// # Errors
    ///
    /// `22023` by default: the type takes none.
    fn typmod(&self, modifiers: &[&str]) -> Result<i32> {
        let _ = modifiers;
        Err(Error::new(
            state::INVALID_PARAMETER_VALUE,
            "the type takes no modifiers",
        ))
    }
}

/// The vtable of `type/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct TypeV1 {
    pub parse: extern "C" fn(
        instance: *const (),
        index: u32,
        text: AbiColumn,
        typmod: i32,
        result: &mut AbiColumn,
    ) -> AbiResult<()>,
    pub format: extern "C" fn(
        instance: *const (),
        index: u32,
        values: AbiColumn,
        result: &mut AbiColumn,
    ) -> AbiResult<()>,
    pub receive: extern "C" fn(
        instance: *const (),
        index: u32,
        bytes: AbiColumn,
        typmod: i32,
        result: &mut AbiColumn,
    ) -> AbiResult<()>,
    pub send: extern "C" fn(
        instance: *const (),
        index: u32,
        values: AbiColumn,
        result: &mut AbiColumn,
    ) -> AbiResult<()>,
    pub typmod: extern "C" fn(
        instance: *const (),
        index: u32,
        modifiers: RSlice<'_, RStr<'_>>,
    ) -> AbiResult<i32>,
}

unsafe impl Published for TypeV1 {
    const ID: &'static str = "type/1";
}

pub(crate) static TYPE: TypeV1 = TypeV1 {
    parse,
    format,
    receive,
    send,
    typmod,
};

/// Converts one column: the work of all four entries.
fn convert(
    this: *const (),
    index: u32,
    column: AbiColumn,
    result: &mut AbiColumn,
    sql_type: Option<&str>,
    body: impl FnOnce(&dyn Type, &ArrayRef) -> Result<ArrayRef>,
) -> Result<()> {
    // SAFETY: the host's pointer.
    let instance: &Instance = unsafe { instance(this) }?;
    let (declared, ty) = registered(&instance.registered.types, index, "type")?;
    let (array, _) = column.import_trusted()?;
    let converted = body(ty.as_ref(), &array)?;
    let converted = conform(converted, sql_type.unwrap_or(&declared.storage))?;
    *result = AbiColumn::export(&converted, false)?;
    Ok(())
}

extern "C" fn parse(
    this: *const (),
    index: u32,
    text: AbiColumn,
    typmod: i32,
    result: &mut AbiColumn,
) -> AbiResult<()> {
    guarded("type/1.parse", || {
        convert(this, index, text, result, None, |ty, text| {
            ty.parse(text, typmod)
        })
    })
}

extern "C" fn format(
    this: *const (),
    index: u32,
    values: AbiColumn,
    result: &mut AbiColumn,
) -> AbiResult<()> {
    guarded("type/1.format", || {
        convert(this, index, values, result, Some("text"), |ty, values| {
            ty.format(values)
        })
    })
}

extern "C" fn receive(
    this: *const (),
    index: u32,
    bytes: AbiColumn,
    typmod: i32,
    result: &mut AbiColumn,
) -> AbiResult<()> {
    guarded("type/1.receive", || {
        convert(this, index, bytes, result, None, |ty, bytes| {
            ty.receive(bytes, typmod)
        })
    })
}

extern "C" fn send(
    this: *const (),
    index: u32,
    values: AbiColumn,
    result: &mut AbiColumn,
) -> AbiResult<()> {
    guarded("type/1.send", || {
        convert(this, index, values, result, Some("bytea"), |ty, values| {
            ty.send(values)
        })
    })
}

extern "C" fn typmod(
    this: *const (),
    index: u32,
    modifiers: RSlice<'_, RStr<'_>>,
) -> AbiResult<i32> {
    guarded("type/1.typmod", || {
        let instance = unsafe { instance(this) }?;
        let (_, ty) = registered(&instance.registered.types, index, "type")?;
        let modifiers: Vec<&str> = modifiers.iter().map(|m| m.as_str()).collect();
        ty.typmod(&modifiers)
    })
}
