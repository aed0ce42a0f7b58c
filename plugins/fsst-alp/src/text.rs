//! Strings of bytes out of Arrow arrays and into them.

use std::sync::Arc;

use arrow_array::builder::make_view;
use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, BinaryArray, LargeStringArray, OffsetSizeTrait, StringViewArray,
};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use heliosdb_plugin_api::{Error, Result};

use crate::frame::damaged;
use crate::nulls::Rows;

/// Whether blocks of this type hold strings.
pub fn is_text(ty: &DataType) -> bool {
    matches!(
        ty,
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Binary
    )
}

/// The strings of a block that are not NULL; `None` when it holds none of any kind.
pub fn strings(block: &ArrayRef) -> Option<Vec<&[u8]>> {
    Some(match block.data_type() {
        DataType::Utf8View => {
            let texts = block.as_string_view().iter().flatten();
            texts.map(str::as_bytes).collect()
        }
        DataType::LargeUtf8 => {
            let texts = block.as_string::<i64>().iter().flatten();
            texts.map(str::as_bytes).collect()
        }
        DataType::Binary => block.as_binary::<i32>().iter().flatten().collect(),
        _ => return None,
    })
}

/// Decoded strings, one after the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Strings {
    pub bytes: Vec<u8>,
    /// Where each ends. They rise, and none is above the number of bytes.
    pub ends: Vec<usize>,
}

impl Strings {
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = starts.zip(&self.ends);
        ranges.map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }

    /// An array of type `ty`, of these strings and the NULLs of `rows`.
    pub fn into_array(self, ty: &DataType, rows: &Rows) -> Result<ArrayRef> {
        if self.ends.len() != rows.values() {
            return Err(damaged("it has another number of strings"));
        }
        let invalid = |_| damaged("its strings are no text");
        let nulls = rows.nulls().cloned();
        Ok(match ty {
            DataType::Utf8View => {
                let mut start = 0;
                let mut views = Vec::with_capacity(self.ends.len());
                for (end, string) in self.ends.iter().zip(self.iter()) {
                    let offset = u32::try_from(start).map_err(|_| damaged("it is too long"))?;
                    views.push(make_view(string, 0, offset));
                    start = *end;
                }
                let views = ScalarBuffer::from(rows.spread(views, 0));
                let bytes = Buffer::from_vec(self.bytes);
                let array = StringViewArray::try_new(views, vec![bytes], nulls);
                Arc::new(array.map_err(invalid)?)
            }
            DataType::LargeUtf8 => {
                let offsets = self.offsets(rows)?;
                let bytes = Buffer::from_vec(self.bytes);
                Arc::new(LargeStringArray::try_new(offsets, bytes, nulls).map_err(invalid)?)
            }
            DataType::Binary => {
                let offsets = self.offsets(rows)?;
                let bytes = Buffer::from_vec(self.bytes);
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls).map_err(invalid)?)
            }
            other => return Err(Error::contract(format!("strings are no {other}"))),
        })
    }

    /// Offsets of all rows: a NULL has no bytes.
    fn offsets<O: OffsetSizeTrait>(&self, rows: &Rows) -> Result<OffsetBuffer<O>> {
        let too_long = || damaged("it is too long");
        let mut offsets = vec![O::usize_as(0)];
        let mut ends = self.ends.iter();
        let mut last = 0;
        let mut push = |valid: bool| -> Result<()> {
            if valid && let Some(end) = ends.next() {
                last = *end;
            }
            let offset = O::from_usize(last).ok_or_else(too_long)?;
            offsets.push(offset);
            Ok(())
        };
        match rows.nulls() {
            Some(nulls) => nulls.iter().try_for_each(&mut push)?,
            None => (0..self.ends.len()).try_for_each(|_| push(true))?,
        }
        Ok(OffsetBuffer::new(ScalarBuffer::from(offsets)))
    }
}
