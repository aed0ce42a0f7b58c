//! Types of a plugin.

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use heliosdb_plugin_api::Result;
use heliosdb_plugin_api::abi::RStr;
use heliosdb_plugin_api::abi::arrow::AbiColumn;
use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::extension::types::TypeV1;
use heliosdb_plugin_api::manifest::TypeDecl;

use super::registered::Registered;

/// A type.
pub type Type = Registered<TypeV1, TypeDecl>;

impl Type {
    fn convert(
        &self,
        values: &ArrayRef,
        result: &DataType,
        call: impl FnOnce(*const (), AbiColumn, &mut AbiColumn) -> AbiResult<()>,
    ) -> Result<ArrayRef> {
        let argument = AbiColumn::export(values, false)?;
        let mut column = AbiColumn::empty();
        self.active
            .call(|instance| call(instance, argument, &mut column))?;
        column.import(result, values.len()).map_err(|error| {
            self.active
                .broke(format!("type {}: {}", self.declared.name, error.message))
        })
    }

    /// Text (Utf8View) to values of the storage type, whose Arrow type is `storage`.
    pub fn parse(&self, text: &ArrayRef, typmod: i32, storage: &DataType) -> Result<ArrayRef> {
        self.convert(text, storage, |instance, text, result| {
            (self.vtable.parse)(instance, self.index, text, typmod, result)
        })
    }

    /// Values to text (Utf8View).
    pub fn format(&self, values: &ArrayRef) -> Result<ArrayRef> {
        self.convert(values, &DataType::Utf8View, |instance, values, result| {
            (self.vtable.format)(instance, self.index, values, result)
        })
    }

    /// The binary wire format (Binary) to values.
    pub fn receive(&self, bytes: &ArrayRef, typmod: i32, storage: &DataType) -> Result<ArrayRef> {
        self.convert(bytes, storage, |instance, bytes, result| {
            (self.vtable.receive)(instance, self.index, bytes, typmod, result)
        })
    }

    /// Values to the binary wire format (Binary).
    pub fn send(&self, values: &ArrayRef) -> Result<ArrayRef> {
        self.convert(values, &DataType::Binary, |instance, values, result| {
            (self.vtable.send)(instance, self.index, values, result)
        })
    }

    /// The type modifier of `name(a, b)`.
    pub fn typmod(&self, modifiers: &[&str]) -> Result<i32> {
        let modifiers: Vec<RStr<'_>> = modifiers.iter().map(|m| RStr::from(*m)).collect();
        self.active.call(|instance| {
            (self.vtable.typmod)(instance, self.index, modifiers.as_slice().into())
        })
    }
}
