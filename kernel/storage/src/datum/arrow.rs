//! Between Arrow arrays and value bytes: [`ColumnValues`] reads, [`ColumnBuilder`] builds.
//!
//! Both resolve the column's type once, so that a loop over rows is a branch and a copy.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{BinaryViewBuilder, StringViewBuilder};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, FixedSizeBinaryArray,
    GenericBinaryArray, LargeBinaryArray, LargeStringArray, ListArray, OffsetSizeTrait,
    PrimitiveArray, StringViewArray, make_array, types::*,
};
use arrow_buffer::{
    BooleanBufferBuilder, Buffer, MutableBuffer, NullBuffer, NullBufferBuilder, OffsetBuffer,
    ScalarBuffer,
};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, Field};

use super::array::{self, write_array};
use super::{Datum, malformed, too_long};
use crate::error::{Error, Result};
use crate::schema::{ColumnDef, ColumnType};

/// An array of a known column type, its downcast resolved.
pub(crate) struct ColumnValues<'a> {
    nulls: Option<&'a NullBuffer>,
    kind: Values<'a>,
}

enum Values<'a> {
    Bool(&'a BooleanArray),
    /// Every primitive type: slots of `width` bytes.
    Fixed {
        width: usize,
        bytes: &'a [u8],
    },
    Uuid(&'a FixedSizeBinaryArray),
    Text(&'a StringViewArray),
    Jsonb(&'a LargeStringArray),
    Json(&'a BinaryViewArray),
    Bytea(&'a BinaryArray),
    Numeric(&'a LargeBinaryArray),
    List {
        list: &'a ListArray,
        item: ColumnType,
        values: Box<ColumnValues<'a>>,
    },
}

impl<'a> ColumnValues<'a> {
    /// `array` must be of the Arrow type of `ty`.
    pub fn new(ty: &ColumnType, array: &'a dyn Array) -> Result<ColumnValues<'a>> {
        let kind = match ty {
            ColumnType::Bool => Values::Bool(downcast(ty, array)?),
            ColumnType::Int16 => primitive::<Int16Type>(ty, array)?,
            ColumnType::Int32 => primitive::<Int32Type>(ty, array)?,
            ColumnType::Int64 => primitive::<Int64Type>(ty, array)?,
            ColumnType::Float32 => primitive::<Float32Type>(ty, array)?,
            ColumnType::Float64 => primitive::<Float64Type>(ty, array)?,
            ColumnType::Decimal { .. } => primitive::<Decimal128Type>(ty, array)?,
            ColumnType::Date => primitive::<Date32Type>(ty, array)?,
            ColumnType::Time => primitive::<Time64MicrosecondType>(ty, array)?,
            ColumnType::Timestamp | ColumnType::TimestampTz => {
                primitive::<TimestampMicrosecondType>(ty, array)?
            }
            ColumnType::Interval => primitive::<IntervalMonthDayNanoType>(ty, array)?,
            ColumnType::Oid => primitive::<UInt32Type>(ty, array)?,
            ColumnType::Uuid => Values::Uuid(downcast(ty, array)?),
            ColumnType::Text => Values::Text(downcast(ty, array)?),
            ColumnType::Jsonb => Values::Jsonb(downcast(ty, array)?),
            ColumnType::Json => Values::Json(downcast(ty, array)?),
            ColumnType::Bytea => Values::Bytea(downcast(ty, array)?),
            ColumnType::Numeric => Values::Numeric(downcast(ty, array)?),
            ColumnType::Array(item) => {
                let list: &ListArray = downcast(ty, array)?;
                let values = Box::new(ColumnValues::new(item, list.values())?);
                Values::List {
                    list,
                    item: (**item).clone(),
                    values,
                }
            }
        };
        Ok(ColumnValues {
            nulls: array.nulls(),
            kind,
        })
    }

    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// Whether nothing is NULL.
    pub fn is_full(&self) -> bool {
        self.nulls.is_none_or(|nulls| nulls.null_count() == 0)
    }

    /// The slots of `rows`, where the array has them as they are stored: every fixed width but bool.
    /// A NULL's slot may hold anything.
    pub fn slots(&self, rows: Range<usize>) -> Option<&'a [u8]> {
        match &self.kind {
            Values::Fixed { width, bytes } => Some(&bytes[rows.start * width..rows.end * width]),
            Values::Uuid(array) => {
                let (from, width) = (array.offset(), array.value_length() as usize);
                let bytes = &array.values()[from * width..];
                Some(&bytes[rows.start * width..rows.end * width])
            }
            _ => None,
        }
    }

    /// The values of a column of text.
    pub fn texts(&self) -> Result<&'a StringViewArray> {
        match &self.kind {
            Values::Text(texts) => Ok(texts),
            _ => Err(Error::internal("a column that is not text")),
        }
    }

    /// How many value bytes [`ColumnValues::write`] appends for `row`; 0 for a NULL.
    pub fn bytes(&self, row: usize) -> usize {
        if self.is_null(row) {
            return 0;
        }
        match &self.kind {
            Values::Bool(_) => 1,
            Values::Fixed { width, .. } => *width,
            Values::Uuid(array) => array.value_length() as usize,
            Values::Text(array) => view_bytes(array.views()[row]),
            Values::Json(array) => view_bytes(array.views()[row]),
            Values::Jsonb(array) => array.value_length(row) as usize,
            Values::Bytea(array) => array.value_length(row) as usize,
            Values::Numeric(array) => array.value_length(row) as usize,
            Values::List { list, item, values } => {
                let offsets = list.value_offsets();
                let items = offsets[row] as usize..offsets[row + 1] as usize;
                let count = items.len();
                array::frame_bytes(item, count)
                    + match item.fixed_width_bytes() {
                        Some(width) => count * width,
                        None => items.map(|item| values.bytes(item)).sum(),
                    }
            }
        }
    }

    /// Append the value bytes of `row`, which is not NULL.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        match &self.kind {
            Values::Bool(array) => out.push(u8::from(array.value(row))),
            Values::Fixed { width, bytes } => {
                out.extend_from_slice(&bytes[row * width..][..*width]);
            }
            Values::Uuid(array) => out.extend_from_slice(array.value(row)),
            Values::Text(array) => out.extend_from_slice(array.value(row).as_bytes()),
            Values::Jsonb(array) => out.extend_from_slice(array.value(row).as_bytes()),
            Values::Json(array) => out.extend_from_slice(array.value(row)),
            Values::Bytea(array) => out.extend_from_slice(array.value(row)),
            Values::Numeric(array) => out.extend_from_slice(array.value(row)),
            Values::List { list, item, values } => {
                let offsets = list.value_offsets();
                let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
                write_array(item, end - start, out, |index, out| {
                    if values.is_null(start + index) {
                        return Ok(false);
                    }
                    values.write(start + index, out)?;
                    Ok(true)
                })?;
            }
        }
        Ok(())
    }
}

/// The length in a view, which is its low half-word.
fn view_bytes(view: u128) -> usize {
    (view as u32) as usize
}

fn downcast<'a, A: Array + 'static>(ty: &ColumnType, array: &'a dyn Array) -> Result<&'a A> {
    // Compared whole: the Rust type of an array does not tell its scale or its zone.
    let given = array.data_type();
    match array.as_any().downcast_ref::<A>() {
        Some(array) if same_type(given, &ty.arrow()) => Ok(array),
        _ => Err(Error::invalid(format!(
            "an array of {given} for a column of type {ty:?}"
        ))),
    }
}

/// Equal but for the names and nullability of list items, which carry no meaning here.
fn same_type(a: &DataType, b: &DataType) -> bool {
    match (a, b) {
        (DataType::List(a), DataType::List(b)) => same_type(a.data_type(), b.data_type()),
        _ => a == b,
    }
}

fn primitive<'a, T: ArrowPrimitiveType>(
    ty: &ColumnType,
    array: &'a dyn Array,
) -> Result<Values<'a>> {
    let array: &arrow_array::PrimitiveArray<T> = downcast(ty, array)?;
    let bytes = array.values().inner().as_slice();
    Ok(Values::Fixed {
        width: size_of::<T::Native>(),
        bytes,
    })
}

/// Builds the Arrow array of one column from value bytes.
pub(crate) struct ColumnBuilder {
    ty: ColumnType,
    nulls: NullBufferBuilder,
    len: usize,
    kind: Builder,
}

enum Builder {
    Bool(BooleanBufferBuilder),
    Fixed {
        width: usize,
        bytes: MutableBuffer,
    },
    /// Keeps its own NULLs.
    Text(StringViewBuilder),
    /// Likewise.
    Json(BinaryViewBuilder),
    Bytes {
        ends: Vec<usize>,
        data: Vec<u8>,
    },
    List {
        item: ColumnType,
        ends: Vec<usize>,
        items: Box<ColumnBuilder>,
    },
}

impl ColumnDef {
    /// What rows have in the column that were written before it was there.
    pub fn missing_values(&self, rows: usize) -> Result<ArrayRef> {
        let value = self.missing.as_deref().map(Datum::decode).transpose()?;
        let bytes = match value {
            None | Some(Datum::Null) => None,
            Some(value) => {
                let mut bytes = Vec::new();
                value.write_value(&self.ty, &mut bytes)?;
                Some(bytes)
            }
        };
        let mut builder = ColumnBuilder::new(&self.ty, rows);
        for _ in 0..rows {
            builder.append(bytes.as_deref())?;
        }
        builder.finish()
    }
}

impl ColumnBuilder {
    pub fn new(ty: &ColumnType, capacity: usize) -> ColumnBuilder {
        let kind = match (ty, ty.fixed_width_bytes()) {
            (ColumnType::Bool, _) => Builder::Bool(BooleanBufferBuilder::new(capacity)),
            (_, Some(width)) => Builder::Fixed {
                width,
                bytes: MutableBuffer::new(width * capacity),
            },
            (ColumnType::Text, _) => Builder::Text(StringViewBuilder::with_capacity(capacity)),
            (ColumnType::Json, _) => Builder::Json(BinaryViewBuilder::with_capacity(capacity)),
            (ColumnType::Array(item), _) => Builder::List {
                item: (**item).clone(),
                ends: Vec::with_capacity(capacity),
                items: Box::new(ColumnBuilder::new(item, capacity)),
            },
            _ => Builder::Bytes {
                ends: Vec::with_capacity(capacity),
                data: Vec::new(),
            },
        };
        ColumnBuilder {
            ty: ty.clone(),
            nulls: NullBufferBuilder::new(capacity),
            len: 0,
            kind,
        }
    }

    /// Append one value, or NULL. After an error the builder is good for nothing but dropping.
    pub fn append(&mut self, value: Option<&[u8]>) -> Result<()> {
        self.len += 1;
        match &mut self.kind {
            Builder::Bool(bits) => bits.append(match value {
                None | Some([0]) => false,
                Some([1]) => true,
                Some(other) => return Err(malformed("a bool of 0 or 1", format!("{other:?}"))),
            }),
            Builder::Fixed { width, bytes } => match value {
                None => bytes.extend_zeros(*width),
                Some(value) if value.len() == *width => bytes.extend_from_slice(value),
                Some(other) => {
                    let found = format!("{} bytes", other.len());
                    return Err(malformed(format!("{width} bytes"), found));
                }
            },
            Builder::Text(text) => match value {
                None => text.append_null(),
                Some(value) => text
                    .try_append_value(utf8(value)?)
                    .map_err(|_| too_long(value.len()))?,
            },
            Builder::Json(text) => match value {
                None => text.append_null(),
                Some(value) => text
                    .try_append_value(utf8(value)?)
                    .map_err(|_| too_long(value.len()))?,
            },
            Builder::Bytes { ends, data } => {
                data.extend_from_slice(value.unwrap_or_default());
                ends.push(data.len());
            }
            Builder::List { item, ends, items } => {
                if let Some(value) = value {
                    let array = array::ArrayRef::parse(item, value)?;
                    for index in 0..array.len() {
                        items.append(array.element(index)?)?;
                    }
                }
                ends.push(items.len);
            }
        }
        self.nulls.append(value.is_some());
        Ok(())
    }

    /// Append row `row` of an array of the same type.
    pub fn append_of(&mut self, values: &ColumnValues<'_>, row: usize) -> Result<()> {
        if values.is_null(row) {
            return self.append(None);
        }
        match &values.kind {
            Values::Fixed { width, bytes } => self.append(Some(&bytes[row * width..][..*width])),
            Values::Text(array) => self.append(Some(array.value(row).as_bytes())),
            _ => {
                let mut value = Vec::new();
                values.write(row, &mut value)?;
                self.append(Some(&value))
            }
        }
    }

    pub fn finish(mut self) -> Result<ArrayRef> {
        let nulls = self.nulls.finish();
        Ok(match self.kind {
            Builder::Bool(mut bits) => Arc::new(BooleanArray::new(bits.finish(), nulls)),
            Builder::Fixed { bytes, .. } => fixed_array(&self.ty, self.len, bytes.into(), nulls)?,
            Builder::Text(mut text) => Arc::new(text.finish()),
            Builder::Json(mut text) => Arc::new(text.finish()),
            Builder::Bytes { ends, data } => {
                bytes_array(&self.ty, starts(&ends), Buffer::from_vec(data), nulls)?
            }
            Builder::List { item, ends, items } => {
                let offsets = offsets::<i32>(starts(&ends))?;
                let field = Arc::new(Field::new_list_field(item.arrow(), true));
                let items = items.finish()?;
                Arc::new(ListArray::try_new(field, offsets, items, nulls).map_err(damaged)?)
            }
        })
    }
}

/// `0, ends[0], ends[1], …`
fn starts(ends: &[usize]) -> impl Iterator<Item = usize> + '_ {
    std::iter::once(0).chain(ends.iter().copied())
}

/// Wrap `len` slots of a fixed-width type other than bool.
pub(crate) fn fixed_array(
    ty: &ColumnType,
    len: usize,
    bytes: Buffer,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    match ty {
        ColumnType::Int16 => primitive_array::<Int16Type>(ty, len, bytes, nulls),
        ColumnType::Int32 => primitive_array::<Int32Type>(ty, len, bytes, nulls),
        ColumnType::Int64 => primitive_array::<Int64Type>(ty, len, bytes, nulls),
        ColumnType::Float64 => primitive_array::<Float64Type>(ty, len, bytes, nulls),
        ColumnType::Date => primitive_array::<Date32Type>(ty, len, bytes, nulls),
        ColumnType::Timestamp | ColumnType::TimestampTz => {
            primitive_array::<TimestampMicrosecondType>(ty, len, bytes, nulls)
        }
        _ => any_fixed_array(ty, len, bytes, nulls),
    }
}

/// [`fixed_array`] of what most columns are, without what it takes to be any array.
fn primitive_array<T: ArrowPrimitiveType>(
    ty: &ColumnType,
    len: usize,
    bytes: Buffer,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let is_whole = len.checked_mul(size_of::<T::Native>()) == Some(bytes.len());
    if !is_whole || !bytes.as_ptr().cast::<T::Native>().is_aligned() {
        return any_fixed_array(ty, len, bytes, nulls);
    }
    let values = ScalarBuffer::<T::Native>::new(bytes, 0, len);
    let array = PrimitiveArray::<T>::try_new(values, nulls).map_err(damaged)?;
    Ok(Arc::new(array.with_data_type(ty.arrow())))
}

fn any_fixed_array(
    ty: &ColumnType,
    len: usize,
    bytes: Buffer,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let data = ArrayData::builder(ty.arrow())
        .len(len)
        .add_buffer(bytes)
        .nulls(nulls)
        .align_buffers(true)
        .build()
        .map_err(damaged)?;
    Ok(make_array(data))
}

/// Wrap `data` cut at `offsets` (one more than there are values, from 0) as `bytea`, `numeric` or
/// `jsonb`.
pub(crate) fn bytes_array(
    ty: &ColumnType,
    starts: impl Iterator<Item = usize>,
    data: Buffer,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    Ok(match ty {
        ColumnType::Bytea => {
            Arc::new(BinaryArray::try_new(offsets(starts)?, data, nulls).map_err(damaged)?)
        }
        ColumnType::Numeric => {
            let offsets = offsets::<i64>(starts)?;
            Arc::new(GenericBinaryArray::try_new(offsets, data, nulls).map_err(damaged)?)
        }
        ColumnType::Jsonb => {
            Arc::new(LargeStringArray::try_new(offsets(starts)?, data, nulls).map_err(damaged)?)
        }
        other => {
            return Err(Error::invalid(format!(
                "{other:?} is not kept as plain bytes"
            )));
        }
    })
}

fn offsets<O: OffsetSizeTrait>(starts: impl Iterator<Item = usize>) -> Result<OffsetBuffer<O>> {
    let mut last = 0;
    let mut offsets = Vec::with_capacity(starts.size_hint().0);
    for start in starts {
        if start < last {
            return Err(malformed(
                "offsets that rise",
                format!("{start} after {last}"),
            ));
        }
        last = start;
        offsets.push(O::from_usize(start).ok_or_else(|| too_long(start))?);
    }
    Ok(OffsetBuffer::new(ScalarBuffer::from(offsets)))
}

pub(crate) fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|e| malformed("UTF-8", e))
}

/// Arrow's checks found what the bytes should not hold.
pub(crate) fn damaged(error: ArrowError) -> Error {
    malformed("a valid column", error)
}
