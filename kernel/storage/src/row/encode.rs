//! Rows out of Arrow batches, and out of value bytes.

use arrow_array::RecordBatch;

use super::{NATTS_BYTES, OFFSET_BYTES, Place, RowCodec};
use crate::datum::arrow::ColumnValues;
use crate::datum::{VALUE_BYTES_MAX, too_long};
use crate::error::{Error, Result};

/// Encodes the rows of one batch; the columns' types are resolved once.
pub struct RowEncoder<'a> {
    codec: RowCodec,
    rows: usize,
    /// Per column of the table; `None` where it is dropped.
    columns: Vec<Option<ColumnValues<'a>>>,
}

impl<'a> RowEncoder<'a> {
    /// `batch` has the columns of the table without the dropped ones, in order.
    pub fn new(codec: &RowCodec, batch: &'a RecordBatch) -> Result<RowEncoder<'a>> {
        let kept = codec
            .columns
            .iter()
            .filter(|column| !column.dropped)
            .count();
        if batch.num_columns() != kept {
            return Err(Error::invalid(format!(
                "a batch of {} columns for a table of {kept}",
                batch.num_columns()
            )));
        }
        let mut arrays = batch.columns().iter();
        let mut columns = Vec::with_capacity(codec.columns.len());
        for column in codec.columns.iter() {
            let array = if column.dropped { None } else { arrays.next() };
            columns.push(match array {
                Some(array) => Some(ColumnValues::new(&column.ty, array.as_ref())?),
                None => None,
            });
        }
        Ok(RowEncoder {
            codec: codec.clone(),
            rows: batch.num_rows(),
            columns,
        })
    }

    /// Append row `row` of the batch to `out`.
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        if row >= self.rows {
            return Err(Error::invalid(format!(
                "row {row} of a batch of {}",
                self.rows
            )));
        }
        write_row(&self.codec, out, |index, out| match &self.columns[index] {
            Some(values) if !values.is_null(row) => values.write(row, out).map(|()| true),
            _ => Ok(false),
        })
    }
}

/// Append a row with all columns of `codec`. `write(i, out)` appends the value bytes of column `i`,
/// or nothing and returns false when it is NULL; it is called once per column.
pub(crate) fn write_row(
    codec: &RowCodec,
    out: &mut Vec<u8>,
    mut write: impl FnMut(usize, &mut Vec<u8>) -> Result<bool>,
) -> Result<()> {
    let natts = codec.columns.len();
    let (fixed_bytes, variable) = codec.extent(natts);
    let row = out.len();
    let nulls = row + NATTS_BYTES;
    let fixed = nulls + natts.div_ceil(8);
    let ends = fixed + fixed_bytes;
    let data = ends + variable * OFFSET_BYTES;
    out.extend_from_slice(&(natts as u16).to_le_bytes());
    out.resize(data, 0);
    for (index, column) in codec.columns.iter().enumerate() {
        // Every value is first appended at the end; a fixed one then moves to its slot.
        let start = out.len();
        let present = !column.dropped && write(index, out)?;
        if !present {
            out.truncate(start);
            out[nulls + index / 8] |= 1 << (index % 8);
        }
        match column.place {
            Place::Fixed { width } => {
                if present {
                    debug_assert_eq!(out.len() - start, width);
                    out.copy_within(start..start + width, fixed + column.fixed_before);
                }
                out.truncate(start);
            }
            Place::Variable => {
                let end = out.len() - data;
                if out.len() - row > VALUE_BYTES_MAX {
                    return Err(too_long(out.len() - row));
                }
                let at = ends + column.variable_before * OFFSET_BYTES;
                out[at..at + OFFSET_BYTES].copy_from_slice(&(end as u32).to_le_bytes());
            }
        }
    }
    Ok(())
}
