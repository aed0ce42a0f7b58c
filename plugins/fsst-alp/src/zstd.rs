//! zstd, which takes what nothing better is known for. A whole block has to be decompressed for one
//! value of it.

use std::cell::RefCell;
use std::io::Read;

use ::zstd::bulk::Compressor;
use heliosdb_plugin_api::{Error, Result, state};

use crate::frame::damaged;

/// zstd's default. The levels above it gain little on blocks of 64 to 256 KiB.
const LEVEL: i32 = 3;
/// The quickest level. It finds fewer repetitions, which makes it better where there are none:
/// it does not break runs of bytes, whose frequencies are all there is to use, for short matches.
const QUICK_LEVEL: i32 = 1;
/// A block that shrinks to less than one in so many bytes has repetitions.
const REPETITIVE: usize = 4;

/// The shorter of what two levels make.
pub fn compress(bytes: &[u8]) -> Result<Vec<u8>> {
    let compressed = at_level(bytes, LEVEL)?;
    if compressed.len() < bytes.len() / REPETITIVE {
        return Ok(compressed);
    }
    let other = at_level(bytes, QUICK_LEVEL)?;
    Ok(match other.len() < compressed.len() {
        true => other,
        false => compressed,
    })
}

/// About how many bytes [`compress`] makes of them.
pub fn estimate(bytes: &[u8]) -> Result<usize> {
    Ok(at_level(bytes, QUICK_LEVEL)?.len())
}

thread_local! {
    /// A compressor's tables take longer to make than a sample takes to compress.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

fn at_level(bytes: &[u8], level: i32) -> Result<Vec<u8>> {
    let failed = |e| Error::new(state::OUT_OF_MEMORY, format!("zstd cannot compress: {e}"));
    COMPRESSOR.with_borrow_mut(|compressor| {
        let compressor = match compressor {
            Some(compressor) => compressor,
            None => compressor.insert(Compressor::new(level).map_err(failed)?),
        };
        compressor.set_compression_level(level).map_err(failed)?;
        compressor.compress(bytes).map_err(failed)
    })
}

/// What was compressed, which had `length` bytes. The memory grows with what comes, for a length may
/// be damaged.
pub fn decompress(compressed: &[u8], length: usize) -> Result<Vec<u8>> {
    let no_frame = |_| damaged("it holds no zstd frame");
    let decoder = ::zstd::stream::read::Decoder::with_buffer(compressed).map_err(no_frame)?;
    let mut bytes = Vec::new();
    let mut limited = decoder.take(length as u64 + 1);
    limited.read_to_end(&mut bytes).map_err(no_frame)?;
    match bytes.len() == length {
        true => Ok(bytes),
        false => Err(damaged("its zstd frame has another length")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_length_or_frame_is_refused() {
        let bytes = vec![7; 10_000];
        let compressed = compress(&bytes).unwrap();
        assert_eq!(decompress(&compressed, bytes.len()).unwrap(), bytes);
        for (frame, length) in [
            (&compressed[..], bytes.len() - 1),
            (&compressed, bytes.len() + 1),
            (&compressed[..compressed.len() - 1], bytes.len()),
            (b"nothing", 7),
            (b"", 1),
        ] {
            assert!(decompress(frame, length).is_err());
        }
    }
}
