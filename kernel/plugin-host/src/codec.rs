//! The codecs of plugins, as storage asks for them.
//!
//! Storage names a codec and never a plugin; the [`Registry`] knows whose it is. A plugin that is off
//! does not encode and still decodes, and one that is quarantined does neither: its pages are then
//! as unreadable as if it were missing, and are not taken for damaged ones.
//!
//! Storage holds `json` as a BinaryView, and plugins are promised LargeUtf8 for it
//! (`heliosdb_plugin_api::arrow`), so it changes its form on the way, also inside arrays.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryViewArray, LargeStringArray, ListArray};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field};
use heliosdb_plugin_api::Error;
use heliosdb_storage::codec::{self as storage, CodecError, CodecSet, ColumnCodec, Condition};

use crate::active::codec::{Codec, Comparison};
use crate::registry::Registry;

/// The codecs of one server's plugins.
pub struct PluginCodecs {
    registry: Arc<Registry>,
}

impl PluginCodecs {
    pub fn new(registry: Arc<Registry>) -> PluginCodecs {
        PluginCodecs { registry }
    }
}

impl CodecSet for PluginCodecs {
    fn codec(&self, name: &str) -> Option<Arc<dyn ColumnCodec>> {
        let codec = self.registry.decoder(name)?;
        (!codec.is_quarantined()).then(|| Arc::clone(codec) as Arc<dyn ColumnCodec>)
    }

    fn may_encode(&self, name: &str) -> bool {
        let codec = self.registry.codec(name);
        codec.is_some_and(|codec| !codec.is_quarantined())
    }
}

/// The inherent methods of the same names do the work.
impl ColumnCodec for Codec {
    fn name(&self) -> &str {
        &self.declared.name
    }

    fn analyze(&self, column: &ArrayRef) -> Result<Option<u64>, CodecError> {
        Codec::analyze(self, &outward(column)?).map_err(said)
    }

    fn encode(&self, column: &ArrayRef) -> Result<Vec<u8>, CodecError> {
        Codec::encode(self, &outward(column)?).map_err(said)
    }

    fn decode(&self, encoded: &[u8], ty: &DataType, rows: usize) -> Result<ArrayRef, CodecError> {
        let column = Codec::decode(self, encoded, &outward_type(ty), rows).map_err(said)?;
        inward(&column, ty)
    }

    fn filter(
        &self,
        encoded: &[u8],
        rows: usize,
        condition: &Condition,
    ) -> Result<Option<BooleanBuffer>, CodecError> {
        let comparison = match condition.comparison {
            storage::Comparison::Equal => Comparison::Equal,
            storage::Comparison::Less => Comparison::Less,
            storage::Comparison::LessOrEqual => Comparison::LessOrEqual,
            storage::Comparison::Greater => Comparison::Greater,
            storage::Comparison::GreaterOrEqual => Comparison::GreaterOrEqual,
            storage::Comparison::In => Comparison::In,
            storage::Comparison::StartsWith => Comparison::StartsWith,
        };
        let constants = outward(&condition.constants)?;
        let found = Codec::filter(self, encoded, rows, comparison, &constants).map_err(said)?;
        Ok(found.map(|found| match found.nulls() {
            Some(valid) => found.values() & valid.inner(),
            None => found.values().clone(),
        }))
    }
}

/// The Arrow type in which a column of this one crosses to a plugin.
fn outward_type(ty: &DataType) -> DataType {
    match ty {
        DataType::BinaryView => DataType::LargeUtf8,
        DataType::List(item) => DataType::new_list(outward_type(item.data_type()), true),
        other => other.clone(),
    }
}

fn outward(column: &ArrayRef) -> Result<ArrayRef, CodecError> {
    match column.data_type() {
        DataType::BinaryView => {
            let texts = column.as_binary_view().iter().map(|value| {
                let text = value.map(std::str::from_utf8).transpose();
                text.map_err(|e| CodecError::new(format!("json that is not UTF-8: {e}")))
            });
            let texts = texts.collect::<Result<LargeStringArray, _>>()?;
            Ok(Arc::new(texts))
        }
        DataType::List(item) if outward_type(item.data_type()) != *item.data_type() => {
            with_items(column.as_list(), outward(column.as_list::<i32>().values())?)
        }
        _ => Ok(Arc::clone(column)),
    }
}

/// The reverse of [`outward`], into `ty`.
fn inward(column: &ArrayRef, ty: &DataType) -> Result<ArrayRef, CodecError> {
    match (ty, column.data_type()) {
        (DataType::BinaryView, DataType::LargeUtf8) => {
            let texts = column.as_string::<i64>();
            Ok(Arc::new(BinaryViewArray::from_iter(texts.iter())))
        }
        (DataType::List(item), DataType::List(given)) if item != given => {
            let items = inward(column.as_list::<i32>().values(), item.data_type())?;
            with_items(column.as_list(), items)
        }
        _ => Ok(Arc::clone(column)),
    }
}

fn with_items(list: &ListArray, items: ArrayRef) -> Result<ArrayRef, CodecError> {
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
    let list = ListArray::try_new(field, offsets, items, nulls);
    Ok(Arc::new(list.map_err(|e| CodecError::new(e.to_string()))?))
}

fn said(error: Error) -> CodecError {
    CodecError::new(match error.detail {
        Some(detail) => format!("{}: {detail}", error.message),
        None => error.message,
    })
}
