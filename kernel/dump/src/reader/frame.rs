//! Payloads: read, checked, decompressed, with memory that the file justifies.

use std::io::Read;

use super::input::Input;
use crate::error::Result;
use crate::format::{FRAME_HEADER_BYTES, FRAME_RAW_BYTES, FrameCodec, FrameHeader, Wrong};

/// What is read of the file at once.
const PIECE_BYTES: usize = 1 << 20;
/// A payload may be taken at its word when it is at most this many times what is stored; one that
/// claims more is decompressed as far as it goes.
const RATIO_BELIEVED: usize = 64;
/// Window of the streaming decoder, as a power of two: that of zstd's level 19, the highest that
/// exports use.
const WINDOW_LOG_MAX: u32 = 23;

/// Check the payload of a frame, handing it to `each` piece by piece.
pub(super) fn check_payload(
    input: &Input,
    frame: &FrameHeader,
    each: &mut dyn FnMut(&[u8]),
) -> Result<()> {
    let start = frame.position + FRAME_HEADER_BYTES as u64;
    let (stored, rest) = (
        u64::from(frame.stored_bytes),
        input.bytes.saturating_sub(start),
    );
    if stored > rest {
        return Err(input.truncated(input.bytes, "a frame"));
    }
    let mut piece = vec![0; PIECE_BYTES.min(frame.stored_bytes as usize)];
    let (mut done, mut crc) = (0, 0);
    while done < stored {
        let count = (stored - done).min(piece.len() as u64) as usize;
        let piece = &mut piece[..count];
        input.fill(piece, start + done, "a frame")?;
        crc = crc32c::crc32c_append(crc, piece);
        each(piece);
        done += count as u64;
    }
    match crc == frame.payload_crc {
        true => Ok(()),
        false => {
            let wrong = Wrong::checksum("the content of a frame", start, frame.payload_crc, crc);
            Err(input.damaged(wrong))
        }
    }
}

/// The payload of a frame, checked and decompressed.
pub(super) fn read_payload(input: &Input, frame: &FrameHeader) -> Result<Vec<u8>> {
    let mut stored = Vec::new();
    check_payload(input, frame, &mut |piece| stored.extend_from_slice(piece))?;
    match frame.codec {
        FrameCodec::Plain => Ok(stored),
        FrameCodec::Zstd => decompress(&stored, frame.raw_bytes as usize).map_err(|found| {
            let expected = format!("{} bytes of zstd", frame.raw_bytes);
            let start = frame.position + FRAME_HEADER_BYTES as u64;
            input.damaged(Wrong::new("the content of a frame", start, expected, found))
        }),
    }
}

/// Decompress to exactly `raw_bytes`; `Err` says what was found.
fn decompress(stored: &[u8], raw_bytes: usize) -> Result<Vec<u8>, String> {
    let believed = raw_bytes
        <= stored
            .len()
            .saturating_mul(RATIO_BELIEVED)
            .max(FRAME_RAW_BYTES);
    let raw = match believed {
        true => zstd::bulk::decompress(stored, raw_bytes).map_err(|e| e.to_string())?,
        false => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(stored).map_err(|e| e.to_string())?;
            let limited = decoder.window_log_max(WINDOW_LOG_MAX);
            limited.map_err(|e| e.to_string())?;
            let mut raw = Vec::new();
            let read = decoder.take(raw_bytes as u64 + 1).read_to_end(&mut raw);
            read.map_err(|e| e.to_string())?;
            raw
        }
    };
    match raw.len() == raw_bytes {
        true => Ok(raw),
        false if raw.len() > raw_bytes => Err("more".to_owned()),
        false => Err(format!("{} bytes", raw.len())),
    }
}
