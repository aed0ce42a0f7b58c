//! Pages that a codec from outside encoded; [`crate::codec`] says what is expected of one, and what
//! is not believed.
//!
//! ```text
//! name length u8 │ name │ crc32c u32 of the raw payload │ what the codec gave
//! ```
//!
//! The raw payload is the page as `column` lays it out, whose length the page header has as
//! `raw_bytes`. It is the yardstick on both sides: what a codec decodes is put in that form and must
//! come out as it was.

use std::ops::Bound;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBuffer, Buffer};

use super::column::{decode_column, encode_column};
use super::filter::{ColumnRange, ValueRange};
use super::page::saves_enough;
use crate::codec::{CODEC_NAME_BYTES_MAX, CodecSet, ColumnCodec, Condition};
use crate::datum::{Datum, fixed};
use crate::ids::ColumnId;
use crate::schema::ColumnType;

/// Bytes of the length of the name.
const LENGTH_BYTES: usize = 1;
const CRC_BYTES: usize = 4;

const _: () = assert!(CODEC_NAME_BYTES_MAX < 1 << (8 * LENGTH_BYTES));

/// Encodes the column pages of one segment.
pub(super) struct PageEncoder {
    codecs: Arc<dyn CodecSet>,
    /// Codecs that failed or lied. One that did is not asked again for this segment.
    distrusted: Vec<Arc<str>>,
}

impl PageEncoder {
    pub fn new(codecs: Arc<dyn CodecSet>) -> PageEncoder {
        PageEncoder {
            codecs,
            distrusted: Vec::new(),
        }
    }

    /// The stored bytes of a page of `rows` values whose raw payload is `raw`, encoded by codec
    /// `name`; `None` when it is to be stored without.
    pub fn encode(
        &mut self,
        name: &Arc<str>,
        ty: &ColumnType,
        rows: usize,
        raw: &[u8],
    ) -> Option<Vec<u8>> {
        if name.len() > CODEC_NAME_BYTES_MAX
            || self.distrusted.contains(name)
            || !self.codecs.may_encode(name)
        {
            return None;
        }
        let codec = self.codecs.codec(name)?;
        match encode(&*codec, name, ty, rows, raw) {
            Ok(stored) => stored,
            Err(detail) => {
                tracing::warn!("codec \"{name}\" {detail}; its pages are stored without it");
                self.distrusted.push(Arc::clone(name));
                None
            }
        }
    }
}

/// `None` when there is no gain; the error is what the codec did, to follow its name.
fn encode(
    codec: &dyn ColumnCodec,
    name: &str,
    ty: &ColumnType,
    rows: usize,
    raw: &[u8],
) -> Result<Option<Vec<u8>>, String> {
    let column = decode_column(ty, rows, &Buffer::from_slice_ref(raw))
        .map_err(|e| format!("was given a page that cannot be read: {e}"))?;
    let frame_bytes = LENGTH_BYTES + name.len() + CRC_BYTES;
    let estimate = codec
        .analyze(&column)
        .map_err(|e| format!("could not estimate a page: {e}"))?;
    let estimate = estimate.and_then(|bytes| usize::try_from(bytes).ok());
    let estimate = estimate.unwrap_or(usize::MAX);
    if !saves_enough(estimate.saturating_add(frame_bytes), raw.len()) {
        return Ok(None);
    }
    let encoded = codec
        .encode(&column)
        .map_err(|e| format!("could not encode a page: {e}"))?;
    if !saves_enough(encoded.len().saturating_add(frame_bytes), raw.len()) {
        return Ok(None);
    }
    if decode(codec, &encoded, ty, rows, raw.len())? != raw {
        return Err("gave other values than it had encoded".to_owned());
    }
    try_filter(codec, &encoded, ty, &column)?;
    let mut stored = Vec::with_capacity(frame_bytes + encoded.len());
    stored.push(name.len() as u8);
    stored.extend_from_slice(name.as_bytes());
    stored.extend_from_slice(&crc32c::crc32c(raw).to_le_bytes());
    stored.extend_from_slice(&encoded);
    Ok(Some(stored))
}

/// Whether the codec finds in what it encoded what is there: around one value, in a list of it, and by its
/// first character.
fn try_filter(
    codec: &dyn ColumnCodec,
    encoded: &[u8],
    ty: &ColumnType,
    column: &ArrayRef,
) -> Result<(), String> {
    let middle = column.len() / 2;
    let mut rows = (middle..column.len()).chain(0..middle);
    let Some(row) = rows.find(|row| column.is_valid(*row)) else {
        return Ok(());
    };
    let failed = |e| format!("was given a value that cannot be read: {e}");
    let value = Datum::from_array(column, row).map_err(failed)?;
    let id = ColumnId(0);
    let one = Bound::Included(value.clone());
    let end = Bound::Excluded(value.clone());
    let mut ranges = vec![
        ColumnRange::between(id, one.clone(), one),
        ColumnRange::between(id, Bound::Unbounded, end.clone()),
        ColumnRange::between(id, end, Bound::Unbounded),
        ColumnRange::one_of(id, vec![value.clone()]),
    ];
    ranges.extend(ColumnRange::of_first_character(id, ty, &value));
    for range in ranges {
        let Some(values) = ValueRange::new(&range, ty).map_err(failed)? else {
            continue;
        };
        if let Some(found) = filter(codec, encoded, column.len(), values.conditions())
            && found != values.select_few(ty, column).map_err(failed)?
        {
            return Err("found other values than it had encoded".to_owned());
        }
    }
    Ok(())
}

/// Which values meet all conditions; `None` when the codec cannot tell, or gives no answer.
fn filter(
    codec: &dyn ColumnCodec,
    encoded: &[u8],
    rows: usize,
    conditions: &[Condition],
) -> Option<BooleanBuffer> {
    let mut found: Option<BooleanBuffer> = None;
    for condition in conditions {
        let these = codec.filter(encoded, rows, condition).ok()??;
        if these.len() != rows {
            return None;
        }
        found = Some(match found {
            Some(found) => &found & &these,
            None => these,
        });
    }
    found
}

/// What a codec decodes, as a raw payload, which should have `raw_bytes`. The error is what the codec
/// did, to follow its name.
fn decode(
    codec: &dyn ColumnCodec,
    encoded: &[u8],
    ty: &ColumnType,
    rows: usize,
    raw_bytes: usize,
) -> Result<Vec<u8>, String> {
    let expected = ty.arrow();
    let column: ArrayRef = codec
        .decode(encoded, &expected, rows)
        .map_err(|e| format!("could not decode a page: {e}"))?;
    if *column.data_type() != expected {
        return Err(format!("gave {} for {expected}", column.data_type()));
    }
    if column.len() != rows {
        return Err(format!("gave {} rows for {rows}", column.len()));
    }
    // An array is safe to read only when its parts fit together, and foreign memory need not.
    let data = column.to_data();
    data.validate_full()
        .map_err(|e| format!("gave an invalid array: {e}"))?;
    encode_column(ty, &column, raw_bytes)
        .map_err(|e| format!("gave an array that was not stored: {e}"))
}

/// The stored bytes of an encoded page, taken apart.
pub(super) struct EncodedPage<'a> {
    pub codec: &'a str,
    crc: u32,
    encoded: &'a [u8],
}

impl<'a> EncodedPage<'a> {
    /// `None` when they are not those of an encoded page.
    pub fn parse(stored: &'a [u8]) -> Option<EncodedPage<'a>> {
        let (len, rest) = stored.split_at_checked(LENGTH_BYTES)?;
        let (name, rest) = rest.split_at_checked(usize::from(len[0]))?;
        let (crc, encoded) = rest.split_at_checked(CRC_BYTES)?;
        Some(EncodedPage {
            codec: std::str::from_utf8(name).ok()?,
            crc: u32::from_le_bytes(fixed(crc).ok()?),
            encoded,
        })
    }

    /// The raw payload. The error is what the codec did, to follow its name.
    pub fn decode(
        &self,
        codec: &dyn ColumnCodec,
        ty: &ColumnType,
        rows: usize,
        raw_bytes: usize,
    ) -> Result<Buffer, String> {
        let raw = decode(codec, self.encoded, ty, rows, raw_bytes)?;
        if raw.len() != raw_bytes || crc32c::crc32c(&raw) != self.crc {
            return Err("gave other values than were stored".to_owned());
        }
        Ok(Buffer::from_slice_ref(&raw))
    }

    /// Which rows meet all conditions, as the codec tells without decoding; `None` when it cannot.
    pub fn filter(
        &self,
        codec: &dyn ColumnCodec,
        rows: usize,
        conditions: &[Condition],
    ) -> Option<BooleanBuffer> {
        filter(codec, self.encoded, rows, conditions)
    }
}
