//! The payloads of a block's pages: columns, numbers and bits, in Arrow's own layout.
//!
//! ```text
//! column, fixed width      rows slots of value bytes │ validity
//! column, variable width   rows + 1 offsets u32, from 0 │ values │ validity
//!   validity               ⌈rows/8⌉ bytes, bit set = not NULL; left out when nothing is NULL
//! RowIds, begins, ends     rows u64
//! deleted                  ⌈rows/8⌉ bytes, bit set = tombstone
//! ```
//!
//! Slots stand first so that they are aligned: an array of a fixed-width type other than bool is
//! the page itself. A NULL has a zeroed slot or no bytes; so has every column of a tombstone.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, StringArray, StringViewArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use super::blob::{BlobBuilder, BlobValues, may_be_blob};
use super::format::{ZONE_BYTES_MAX, ZoneMap};
use super::sketch::Sketch;
use crate::datum::arrow::{ColumnBuilder, ColumnValues, bytes_array, damaged, fixed_array};
use crate::datum::{VALUE_BYTES_MAX, malformed, too_long};
use crate::error::Result;
use crate::key::{append_ordered, ordered_bounds, ordered_bytes, ordered_fixed, ordered_width};
use crate::schema::ColumnType;

const OFFSET_BYTES: usize = 4;
/// A column of a block may have so many times as much in blob pages as in its own page: 4 MiB, which is what
/// a scan that returns the values has in memory at once.
const BLOB_FACTOR: usize = 16;

/// Collects one column of a block.
pub(super) struct ColumnPageBuilder {
    ty: ColumnType,
    width: Option<usize>,
    values: Vec<u8>,
    /// Variable width only.
    ends: Vec<u32>,
    validity: BitBuilder,
    nulls: u32,
    /// Fixed width only.
    range: Option<(u128, u128)>,
    /// Where large values go elsewhere.
    blobs: Option<BlobBuilder>,
}

impl ColumnPageBuilder {
    pub fn new(ty: &ColumnType) -> ColumnPageBuilder {
        ColumnPageBuilder {
            width: ty.fixed_width_bytes(),
            ty: ty.clone(),
            values: Vec::new(),
            ends: Vec::new(),
            validity: BitBuilder::default(),
            nulls: 0,
            range: None,
            blobs: None,
        }
    }

    /// A builder that keeps values of at least so many bytes out of the page, where they may be.
    pub fn with_blobs(ty: &ColumnType, blob_bytes_min: usize) -> ColumnPageBuilder {
        ColumnPageBuilder {
            blobs: may_be_blob(ty).then(|| BlobBuilder::new(blob_bytes_min)),
            ..ColumnPageBuilder::new(ty)
        }
    }

    /// Append a value of the column's type, or NULL.
    pub fn push(&mut self, value: Option<&[u8]>) -> Result<()> {
        self.validity.push(value.is_some());
        if value.is_none() {
            self.nulls += 1;
        }
        let Some(width) = self.width else {
            let value = value.unwrap_or_default();
            match &mut self.blobs {
                Some(blobs) if blobs.takes(value.len()) => {
                    blobs.push(self.ends.len(), |out| {
                        out.extend_from_slice(value);
                        Ok(())
                    })?;
                }
                _ => self.values.extend_from_slice(value),
            }
            self.ends.push(self.values.len() as u32);
            return Ok(());
        };
        match value {
            None => self.values.resize(self.values.len() + width, 0),
            Some(value) => {
                // Also checks the length.
                let ordered = ordered_fixed(&self.ty, value)?;
                let (min, max) = self.range.unwrap_or((ordered, ordered));
                self.range = Some((min.min(ordered), max.max(ordered)));
                self.values.extend_from_slice(value);
            }
        }
        Ok(())
    }

    /// Append rows of an array.
    pub fn extend(&mut self, values: &ColumnValues<'_>, rows: Range<usize>) -> Result<()> {
        let nulls = self.validity.extend(
            rows.clone().map(|row| !values.is_null(row)),
            values.is_full(),
        );
        self.nulls += nulls;
        let Some(width) = self.width else {
            for row in rows {
                match &mut self.blobs {
                    _ if values.is_null(row) => {}
                    Some(blobs) if blobs.takes(values.bytes(row)) => {
                        blobs.push(self.ends.len(), |out| values.write(row, out))?;
                    }
                    _ => values.write(row, &mut self.values)?,
                }
                self.ends.push(self.values.len() as u32);
            }
            return Ok(());
        };
        let start = self.values.len();
        match values.slots(rows.clone()) {
            Some(slots) => self.values.extend_from_slice(slots),
            None => {
                for row in rows.clone() {
                    match values.is_null(row) {
                        true => self.values.resize(self.values.len() + width, 0),
                        false => values.write(row, &mut self.values)?,
                    }
                }
            }
        }
        let slots = &mut self.values[start..];
        let is_null = |row: usize| values.is_null(rows.start + row);
        if nulls > 0 {
            for (row, slot) in slots.chunks_exact_mut(width).enumerate() {
                if is_null(row) {
                    slot.fill(0);
                }
            }
        }
        let is_null: Option<&dyn Fn(usize) -> bool> = (nulls > 0).then_some(&is_null);
        if let Some((min, max)) = ordered_bounds(&self.ty, slots, is_null)? {
            let (low, high) = self.range.unwrap_or((min, max));
            self.range = Some((low.min(min), high.max(max)));
        }
        Ok(())
    }

    /// How many of `rows` may be appended until the builder is full, the one that fills it included.
    pub fn room(
        &self,
        values: &ColumnValues<'_>,
        rows: Range<usize>,
        bytes_max: usize,
    ) -> Result<usize> {
        let (mut bytes, mut blob_bytes) = (self.bytes(), self.blob_bytes());
        if let Some(width) = self.width {
            let room = bytes_max.saturating_sub(bytes).div_ceil(width);
            return Ok(room.clamp(1, rows.len().max(1)));
        }
        for row in rows.clone() {
            let value = values.bytes(row);
            if value > VALUE_BYTES_MAX {
                return Err(too_long(value));
            }
            bytes += OFFSET_BYTES;
            match &self.blobs {
                Some(blobs) if blobs.takes(value) => blob_bytes += value,
                _ => bytes += value,
            }
            if is_full(bytes, blob_bytes, bytes_max) {
                return Ok(row + 1 - rows.start);
            }
        }
        Ok(rows.len())
    }

    /// What it takes in memory.
    pub fn heap_bytes(&self) -> usize {
        self.values.capacity()
            + self.ends.capacity() * size_of::<u32>()
            + self.blobs.as_ref().map_or(0, BlobBuilder::heap_bytes)
    }

    /// Whether the payload has `bytes_max` bytes, or large values many times as many.
    pub fn is_full(&self, bytes_max: usize) -> bool {
        is_full(self.bytes(), self.blob_bytes(), bytes_max)
    }

    /// Bytes of the payload so far, to the precision that closing a block needs.
    fn bytes(&self) -> usize {
        self.values.len() + self.ends.len() * OFFSET_BYTES
    }

    fn blob_bytes(&self) -> usize {
        self.blobs.as_ref().map_or(0, BlobBuilder::bytes)
    }

    /// The large values so far, if any; then start over.
    pub fn take_blobs(&mut self) -> Option<BlobValues> {
        self.blobs.as_mut()?.take()
    }

    fn is_blob(&self, row: usize) -> bool {
        self.blobs.as_ref().is_some_and(|blobs| blobs.has(row))
    }

    pub fn nulls(&self) -> u32 {
        self.nulls
    }

    /// Write the payload, which does not have large values, to `out` and start over.
    pub fn take(&mut self, out: &mut Vec<u8>) {
        out.clear();
        let ends = self.width.is_none().then_some(&self.ends[..]);
        let validity = (self.nulls > 0).then_some(&self.validity);
        write_payload(ends, &self.values, validity, out);
        self.values.clear();
        self.ends.clear();
        self.validity.clear();
        self.nulls = 0;
        self.range = None;
    }

    /// Count the values so far.
    pub fn sketch(&self, sketch: &mut Sketch) {
        let is_null = |row| self.nulls > 0 && !self.validity.get(row);
        if let Some(width) = self.width {
            let mut last: Option<&[u8]> = None;
            for (row, value) in self.values.chunks_exact(width).enumerate() {
                if last != Some(value) && !is_null(row) {
                    sketch.add(value);
                    last = Some(value);
                }
            }
            return;
        }
        let mut start = 0;
        for (row, end) in self.ends.iter().enumerate() {
            let end = *end as usize;
            // A large value has no bytes here.
            let elsewhere = end == start && self.is_blob(row);
            if !elsewhere && !is_null(row) {
                sketch.add(&self.values[start..end]);
            }
            start = end;
        }
        if let Some(blobs) = &self.blobs {
            blobs.values().for_each(|value| sketch.add(value));
        }
    }

    /// Bounds of the values so far.
    pub fn zone_map(&self) -> Result<Option<ZoneMap>> {
        if let Some(width) = ordered_width(&self.ty) {
            let bound = |ordered: u128| ordered.to_be_bytes()[16 - width..].to_vec();
            return Ok(self.range.map(|(min, max)| ZoneMap {
                min: bound(min),
                max: bound(max),
                max_cut: false,
            }));
        }
        if matches!(self.ty, ColumnType::Array(_)) {
            return Ok(None);
        }
        let mut range: Option<(&[u8], &[u8])> = None;
        let mut start = 0;
        for (row, end) in self.ends.iter().enumerate() {
            let end = *end as usize;
            // A large value has no bytes here.
            let elsewhere = end == start && self.is_blob(row);
            if self.validity.get(row) && !elsewhere {
                let value = ordered_bytes(&self.ty, &self.values[start..end])?;
                let (min, max) = range.unwrap_or((value, value));
                range = Some((min.min(value), max.max(value)));
            }
            start = end;
        }
        // Of large values the beginning says as much as a zone map can: see below.
        if let Some((low, high)) = self.blobs.as_ref().and_then(BlobBuilder::range) {
            let (min, max) = range.unwrap_or((low, high));
            range = Some((min.min(low), max.max(high)));
        }
        let Some((min, max)) = range else {
            return Ok(None);
        };
        // Escaping at least keeps a byte a byte: more than the first 16 are never needed.
        let bound = |value: &[u8]| -> Result<(Vec<u8>, bool)> {
            let head = &value[..value.len().min(ZONE_BYTES_MAX)];
            let mut key = Vec::new();
            append_ordered(&ColumnType::Bytea, head, &mut key)?;
            let cut = key.len() > ZONE_BYTES_MAX;
            key.truncate(ZONE_BYTES_MAX);
            Ok((key, cut))
        };
        let ((min, _), (max, max_cut)) = (bound(min)?, bound(max)?);
        Ok(Some(ZoneMap { min, max, max_cut }))
    }
}

fn is_full(bytes: usize, blob_bytes: usize, bytes_max: usize) -> bool {
    bytes >= bytes_max || blob_bytes >= bytes_max.saturating_mul(BLOB_FACTOR)
}

/// Bits, eight to a byte, the lowest first.
#[derive(Default)]
pub(super) struct BitBuilder {
    bytes: Vec<u8>,
    len: usize,
}

impl BitBuilder {
    pub fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if bit {
            self.bytes[self.len / 8] |= 1 << (self.len % 8);
        }
        self.len += 1;
    }

    /// Append bits, which are all set when `all_set`; how many of them are not.
    fn extend(&mut self, bits: impl ExactSizeIterator<Item = bool>, all_set: bool) -> u32 {
        if !all_set {
            return bits
                .map(|bit| {
                    self.push(bit);
                    u32::from(!bit)
                })
                .sum();
        }
        let mut rest = bits.len();
        while rest > 0 && !self.len.is_multiple_of(8) {
            self.push(true);
            rest -= 1;
        }
        self.bytes.resize(self.bytes.len() + rest / 8, u8::MAX);
        self.len += rest / 8 * 8;
        for _ in 0..rest % 8 {
            self.push(true);
        }
        0
    }

    fn get(&self, index: usize) -> bool {
        self.bytes[index / 8] & (1 << (index % 8)) != 0
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.len = 0;
    }
}

fn write_payload(
    ends: Option<&[u32]>,
    values: &[u8],
    validity: Option<&BitBuilder>,
    out: &mut Vec<u8>,
) {
    if let Some(ends) = ends {
        out.extend_from_slice(&0u32.to_le_bytes());
        for end in ends {
            out.extend_from_slice(&end.to_le_bytes());
        }
    }
    out.extend_from_slice(values);
    if let Some(validity) = validity {
        out.extend_from_slice(validity.bytes());
    }
}

/// The payload that [`decode_column`] reads `array` from, and that a builder makes of its values. One
/// of more than `bytes_max` bytes is an error, found early: views may name the same bytes many times.
pub(super) fn encode_column(
    ty: &ColumnType,
    array: &dyn Array,
    bytes_max: usize,
) -> Result<Vec<u8>> {
    let column = ColumnValues::new(ty, array)?;
    let width = ty.fixed_width_bytes();
    let (mut values, mut ends) = (Vec::new(), Vec::new());
    let mut validity = BitBuilder::default();
    let mut nulls = false;
    for row in 0..array.len() {
        let null = column.is_null(row);
        nulls |= null;
        validity.push(!null);
        match width {
            _ if !null => column.write(row, &mut values)?,
            Some(width) => values.resize(values.len() + width, 0),
            None => {}
        }
        if values.len() > bytes_max {
            return Err(malformed(format!("at most {bytes_max} bytes"), "more"));
        }
        if width.is_none() {
            ends.push(u32::try_from(values.len()).map_err(|_| too_long(values.len()))?);
        }
    }
    let mut out = Vec::new();
    let ends = width.is_none().then_some(&ends[..]);
    write_payload(ends, &values, nulls.then_some(&validity), &mut out);
    Ok(out)
}

/// The array in a column page of `rows` rows.
pub(super) fn decode_column(ty: &ColumnType, rows: usize, page: &Buffer) -> Result<ArrayRef> {
    let short = || {
        malformed(
            format!("a page of {rows} rows"),
            format!("{} bytes", page.len()),
        )
    };
    let values_at = if ty.fixed_width_bytes().is_some() {
        0
    } else {
        (rows + 1) * OFFSET_BYTES
    };
    let offsets = page.get(..values_at).ok_or_else(short)?;
    let offset = |index: usize| {
        let at = index * OFFSET_BYTES;
        let bytes = [
            offsets[at],
            offsets[at + 1],
            offsets[at + 2],
            offsets[at + 3],
        ];
        u32::from_le_bytes(bytes) as usize
    };
    let values_len = match ty.fixed_width_bytes() {
        Some(width) => rows * width,
        None => offset(rows),
    };
    let rest = page
        .len()
        .checked_sub(values_at + values_len)
        .ok_or_else(short)?;
    let values = page.slice_with_length(values_at, values_len);
    let nulls = match rest {
        0 => None,
        bytes if bytes == rows.div_ceil(8) => {
            let bits = page.slice_with_length(values_at + values_len, bytes);
            Some(NullBuffer::new(BooleanBuffer::new(bits, 0, rows)))
        }
        _ => return Err(short()),
    };
    match ty {
        ColumnType::Bool => {
            if let Some(other) = values.iter().find(|byte| **byte > 1) {
                return Err(malformed("a bool of 0 or 1", other));
            }
            let bits = BooleanBuffer::collect_bool(rows, |row| values[row] == 1);
            Ok(Arc::new(BooleanArray::new(bits, nulls)))
        }
        _ if ty.fixed_width_bytes().is_some() => fixed_array(ty, rows, values, nulls),
        _ => {
            let starts: Vec<u32> = (0..=rows).map(|row| offset(row) as u32).collect();
            variable_array(ty, &starts, values, nulls)
        }
    }
}

/// The array of values of a variable width: one begins at each of `starts` but the last, and ends where
/// the next one does.
pub(super) fn variable_array(
    ty: &ColumnType,
    starts: &[u32],
    values: Buffer,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let rows = starts.len().saturating_sub(1);
    match ty {
        ColumnType::Text | ColumnType::Json => {
            // One look at all bytes and at where they are cut; views by themselves are looked at one
            // by one.
            let texts = match i32::try_from(values.len()) {
                Ok(_) => string_views(starts, values, nulls)?,
                Err(_) => return Err(too_long(values.len())),
            };
            Ok(match ty {
                ColumnType::Json => Arc::new(texts.to_binary_view()),
                _ => Arc::new(texts),
            })
        }
        ColumnType::Array(_) => {
            let short = || malformed("values that rise", format!("{} bytes", values.len()));
            let mut builder = ColumnBuilder::new(ty, rows);
            for row in 0..rows {
                let (start, end) = (starts[row] as usize, starts[row + 1] as usize);
                let value = values.get(start..end).ok_or_else(short)?;
                let null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
                builder.append(if null { None } else { Some(value) })?;
            }
            builder.finish()
        }
        _ => bytes_array(
            ty,
            starts.iter().map(|start| *start as usize),
            values,
            nulls,
        ),
    }
}

fn string_views(
    starts: &[u32],
    values: Buffer,
    nulls: Option<NullBuffer>,
) -> Result<StringViewArray> {
    let rise = starts.windows(2).all(|pair| pair[0] <= pair[1]);
    if !rise
        || starts
            .last()
            .is_some_and(|end| *end as usize > values.len())
    {
        let expected = format!("offsets that rise to {}", values.len());
        return Err(malformed(expected, "others"));
    }
    let starts = starts.iter().map(|start| *start as i32);
    let offsets = OffsetBuffer::new(starts.collect::<Vec<_>>().into());
    let texts = StringArray::try_new(offsets, values, nulls).map_err(damaged)?;
    Ok(StringViewArray::from(&texts))
}

/// The numbers in a page of `rows` u64.
pub(super) fn decode_numbers(rows: usize, page: &Buffer) -> Result<ScalarBuffer<u64>> {
    if page.len() != rows * size_of::<u64>() {
        return Err(malformed(
            format!("{rows} numbers"),
            format!("{} bytes", page.len()),
        ));
    }
    if page.as_ptr().align_offset(align_of::<u64>()) == 0 {
        return Ok(ScalarBuffer::new(page.clone(), 0, rows));
    }
    let (numbers, _) = page.as_chunks::<8>();
    Ok(numbers
        .iter()
        .map(|bytes| u64::from_le_bytes(*bytes))
        .collect())
}

/// The bits in a page of `rows` bits.
pub(super) fn decode_bits(rows: usize, page: &Buffer) -> Result<BooleanBuffer> {
    if page.len() != rows.div_ceil(8) {
        return Err(malformed(
            format!("{rows} bits"),
            format!("{} bytes", page.len()),
        ));
    }
    Ok(BooleanBuffer::new(page.clone(), 0, rows))
}
