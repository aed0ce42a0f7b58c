//! {{about}}
//!
//! An encoded block is a list of runs: the number of rows (u32), 1 for a value or 0 for NULL (u8),
//! and the value (i64), all little-endian.

use std::sync::Arc;

use heliosdb_plugin_api::arrow::array::cast::AsArray;
use heliosdb_plugin_api::arrow::array::types::Int64Type;
use heliosdb_plugin_api::arrow::array::{Array, Int64Array};
use heliosdb_plugin_api::arrow::{ArrayRef, DataType};
use heliosdb_plugin_api::{Codec, Error, Host, Plugin, Registrar, Result, Settings, state};

pub struct {{Plugin}};

impl Plugin for {{Plugin}} {
    const MANIFEST: &'static str = include_str!("../plugin.toml");

    fn start(_host: Host, _settings: &Settings) -> Result<{{Plugin}}> {
        Ok({{Plugin}})
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.codec("{{id}}", RunLength)
    }
}

const RUN_BYTES: usize = 4 + 1 + 8;

struct RunLength;

impl Codec for RunLength {
    /// Asked before a block is encoded: one that would hardly shrink is stored without the codec.
    fn analyze(&self, block: &ArrayRef) -> Result<Option<u64>> {
        Ok(runs(block).map(|runs| (runs.len() * RUN_BYTES) as u64))
    }

    fn encode(&self, block: &ArrayRef) -> Result<Vec<u8>> {
        let runs = runs(block).ok_or_else(|| Error::internal("only bigint is encoded"))?;
        let mut bytes = Vec::with_capacity(runs.len() * RUN_BYTES);
        for (rows, value) in runs {
            bytes.extend(rows.to_le_bytes());
            bytes.push(u8::from(value.is_some()));
            bytes.extend(value.unwrap_or(0).to_le_bytes());
        }
        Ok(bytes)
    }

    /// `encoded` comes from a disk: nothing in it may be believed.
    fn decode(&self, encoded: &[u8], ty: &DataType, rows: usize) -> Result<ArrayRef> {
        let damaged = || Error::new(state::DATA_CORRUPTED, "the runs do not make up the block");
        if *ty != DataType::Int64 {
            return Err(damaged());
        }
        let (runs, []) = encoded.as_chunks::<RUN_BYTES>() else {
            return Err(damaged());
        };
        let mut values = Vec::with_capacity(rows);
        for run in runs {
            let [a, b, c, d, valid, value @ ..] = *run;
            let count = u32::from_le_bytes([a, b, c, d]) as usize;
            let value = match valid {
                0 => None,
                1 => Some(i64::from_le_bytes(value)),
                _ => return Err(damaged()),
            };
            if count == 0 || count > rows - values.len() {
                return Err(damaged());
            }
            values.extend(std::iter::repeat_n(value, count));
        }
        if values.len() != rows {
            return Err(damaged());
        }
        Ok(Arc::new(Int64Array::from(values)))
    }
}

/// Rows in a row with the same value, and the value; `None` for a block of another type.
fn runs(block: &ArrayRef) -> Option<Vec<(u32, Option<i64>)>> {
    let values = block.as_primitive_opt::<Int64Type>()?;
    let mut runs: Vec<(u32, Option<i64>)> = Vec::new();
    for row in 0..values.len() {
        let value = values.is_valid(row).then(|| values.value(row));
        match runs.last_mut() {
            Some((count, last)) if *last == value => *count += 1,
            _ => runs.push((1, value)),
        }
    }
    Some(runs)
}

// What a server looks for in the file. To link the plugin into a server instead, leave this line to
// a cdylib crate of its own and write `heliosdb_plugin_api::plugin!({{Plugin}});` here.
heliosdb_plugin_api::export_plugin!({{Plugin}});
