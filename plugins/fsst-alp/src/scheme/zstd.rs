//! Strings and floats as zstd frames.
//!
//! ```text
//! strings   lengths │ a frame of the strings
//! floats    a frame of the floats
//! ```

use std::ops::Range;

use heliosdb_plugin_api::Result;

use crate::float::Float;
use crate::frame::{Reader, VALUE_BYTES_MAX, damaged};
use crate::lengths::{self, Lengths};
use crate::text::Strings;
use crate::zstd;

pub fn encode_strings(strings: &[&[u8]], out: &mut Vec<u8>) -> Result<()> {
    let each: Vec<usize> = strings.iter().map(|s| s.len()).collect();
    lengths::write(&each, out);
    out.extend_from_slice(&zstd::compress(&strings.concat())?);
    Ok(())
}

/// Some of `count` strings.
pub fn strings(mut reader: Reader<'_>, count: usize, range: Range<usize>) -> Result<Strings> {
    let lengths = Lengths::read(&mut reader, count)?;
    if lengths.total() > VALUE_BYTES_MAX {
        return Err(damaged("its strings are too long"));
    }
    let (start, ends) = lengths.ends(range)?;
    let mut bytes = zstd::decompress(reader.rest(), lengths.total())?;
    let end = ends.last().copied().unwrap_or(start);
    bytes.truncate(end);
    bytes.drain(..start.min(end));
    Ok(Strings {
        bytes,
        ends: ends.into_iter().map(|end| end - start).collect(),
    })
}

pub fn encode_floats<F: Float>(floats: &[F], out: &mut Vec<u8>) -> Result<()> {
    let bytes: Vec<u8> = floats.iter().flat_map(|f| f.le_bytes()).collect();
    out.extend_from_slice(&zstd::compress(&bytes)?);
    Ok(())
}

/// Some of `count` floats.
pub fn floats<F: Float>(reader: Reader<'_>, count: usize, range: Range<usize>) -> Result<Vec<F>> {
    let bytes = zstd::decompress(reader.rest(), count * F::BYTES)?;
    let wanted = bytes.chunks_exact(F::BYTES).skip(range.start);
    wanted
        .take(range.len())
        .map(|bytes| F::read(&mut Reader::new(bytes)))
        .collect()
}
