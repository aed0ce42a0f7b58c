//! Codecs of a plugin.

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BooleanArray, new_empty_array};
use arrow_schema::DataType;
pub use heliosdb_plugin_api::Comparison;
use heliosdb_plugin_api::Result;
use heliosdb_plugin_api::abi::arrow::AbiColumn;
use heliosdb_plugin_api::extension::codec::CodecV1;
use heliosdb_plugin_api::manifest::CodecDecl;
use std::ops::Range;
use std::sync::atomic::Ordering;

use super::registered::Registered;

/// A codec.
pub type Codec = Registered<CodecV1, CodecDecl>;

impl Codec {
    /// About how many bytes the block would take; `None` when the codec has nothing to offer.
    pub fn analyze(&self, block: &ArrayRef) -> Result<Option<u64>> {
        let block = AbiColumn::export(block, false)?;
        let bytes = self
            .active
            .call(|instance| (self.vtable.analyze)(instance, self.index, block))?;
        Ok(bytes.into_option())
    }

    pub fn encode(&self, block: &ArrayRef) -> Result<Vec<u8>> {
        let block = AbiColumn::export(block, false)?;
        let encoded = self
            .active
            .call(|instance| (self.vtable.encode)(instance, self.index, block))?;
        Ok(encoded.into())
    }

    /// The block again, checked to be `rows` values of type `ty`.
    pub fn decode(&self, encoded: &[u8], ty: &DataType, rows: usize) -> Result<ArrayRef> {
        let like = AbiColumn::export(&new_empty_array(ty), false)?;
        let mut column = AbiColumn::empty();
        self.active.call(|instance| {
            let (index, rows) = (self.index, rows as u64);
            (self.vtable.decode)(instance, index, encoded.into(), like, rows, &mut column)
        })?;
        self.import(column, ty, rows)
    }

    /// Values `slice` of a block of `rows`.
    pub fn decode_slice(
        &self,
        encoded: &[u8],
        ty: &DataType,
        rows: usize,
        slice: Range<usize>,
    ) -> Result<ArrayRef> {
        let like = AbiColumn::export(&new_empty_array(ty), false)?;
        let mut column = AbiColumn::empty();
        let (start, end) = (slice.start as u64, slice.end as u64);
        self.active.call(|instance| {
            (self.vtable.decode_slice)(
                instance,
                self.index,
                encoded.into(),
                like,
                rows as u64,
                start,
                end,
                &mut column,
            )
        })?;
        self.import(column, ty, slice.len())
    }

    /// Which values compare so with `constants`; `None` when only decoding can tell, or a codec of the plugin
    /// failed to tell before.
    pub fn filter(
        &self,
        encoded: &[u8],
        rows: usize,
        comparison: Comparison,
        constants: &ArrayRef,
    ) -> Result<Option<BooleanArray>> {
        if self.active.filter_failed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let constants = AbiColumn::export(constants, constants.len() == 1)?;
        let mut column = AbiColumn::empty();
        let filled = self.active.call(|instance| {
            (self.vtable.filter)(
                instance,
                self.index,
                encoded.into(),
                rows as u64,
                comparison as u8,
                constants,
                &mut column,
            )
        });
        let found = filled.and_then(|filled| match filled {
            true => self.import(column, &DataType::Boolean, rows).map(Some),
            false => Ok(None),
        });
        if found.is_err() {
            self.active.filter_failed.store(true, Ordering::Relaxed);
        }
        Ok(found?.map(|found| found.as_boolean().clone()))
    }

    fn import(&self, column: AbiColumn, ty: &DataType, rows: usize) -> Result<ArrayRef> {
        column.import(ty, rows).map_err(|error| {
            self.active
                .broke(format!("codec {}: {}", self.declared.name, error.message))
        })
    }
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.declared.name)
    }
}
