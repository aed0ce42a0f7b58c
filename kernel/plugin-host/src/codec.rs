//! The codecs of plugins, as storage asks for them.
//!
//! Storage names a codec and never a plugin; the [`Registry`] knows whose it is. A plugin that is off
//! does not encode and still decodes, and one that is quarantined does neither: its pages are then
//! as unreadable as if it were missing, and are not taken for damaged ones.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use heliosdb_plugin_api::Error;
use heliosdb_storage::codec::{CodecError, CodecSet, ColumnCodec};

use crate::active::codec::Codec;
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
        Codec::analyze(self, column).map_err(said)
    }

    fn encode(&self, column: &ArrayRef) -> Result<Vec<u8>, CodecError> {
        Codec::encode(self, column).map_err(said)
    }

    fn decode(&self, encoded: &[u8], ty: &DataType, rows: usize) -> Result<ArrayRef, CodecError> {
        Codec::decode(self, encoded, ty, rows).map_err(said)
    }
}

fn said(error: Error) -> CodecError {
    CodecError::new(match error.detail {
        Some(detail) => format!("{}: {detail}", error.message),
        None => error.message,
    })
}
