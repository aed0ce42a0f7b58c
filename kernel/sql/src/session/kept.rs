//! Rows that are kept for later: what they take of the memory of queries.
//!
//! A batch shares buffers with what it was cut or sorted out of. One that is kept is made to own what it shows
//! ([`own`]), so that its size is what keeping it takes, and what it was made of can go.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{take, take_record_batch};
use arrow::datatypes::DataType;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use heliosdb_storage::memory::{MemoryBudget, Part};

use crate::error::Result;

/// Bytes of the memory of queries, given back when it is dropped.
pub(crate) struct Memory {
    budget: Arc<MemoryBudget>,
    bytes: usize,
}

impl Memory {
    pub fn new(budget: &Arc<MemoryBudget>) -> Memory {
        Memory {
            budget: Arc::clone(budget),
            bytes: 0,
        }
    }

    pub fn grow(&mut self, bytes: usize) -> Result<()> {
        self.budget.try_grow(Part::Queries, bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// A part of it.
    pub fn split(&mut self, bytes: usize) -> Memory {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Memory {
            budget: Arc::clone(&self.budget),
            bytes,
        }
    }

    /// All of it.
    pub fn take(&mut self) -> Memory {
        self.split(self.bytes)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.budget.shrink(Part::Queries, self.bytes);
    }
}

/// The rows of a statement inside of another, for as long as they are looked at.
pub(crate) struct KeptRows {
    batches: Vec<RecordBatch>,
    memory: Memory,
}

impl KeptRows {
    pub fn new(budget: &Arc<MemoryBudget>) -> KeptRows {
        KeptRows {
            batches: Vec::new(),
            memory: Memory::new(budget),
        }
    }

    /// 53200 when there is no memory for it.
    pub fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.memory.grow(batch.get_array_memory_size())?;
        self.batches.push(batch);
        Ok(())
    }

    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }
}

impl std::fmt::Debug for KeptRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.batches.fmt(f)
    }
}

/// The same rows in buffers that hold not much else.
pub(crate) fn own(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(own_array);
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = columns.collect::<Result<_>>()?;
    Ok(RecordBatch::try_new_with_options(
        batch.schema(),
        columns,
        &rows,
    )?)
}

fn own_array(array: &ArrayRef) -> Result<ArrayRef> {
    let array: ArrayRef = match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        DataType::List(field) => {
            let list: &ListArray = array.as_list();
            let offsets = list.offsets();
            let (first, last) = (offsets[0] as usize, offsets[list.len()] as usize);
            let values = own_array(&list.values().slice(first, last - first))?;
            let offsets = OffsetBuffer::from_lengths(offsets.lengths());
            let nulls = list.nulls().cloned();
            Arc::new(ListArray::try_new(field.clone(), offsets, values, nulls)?)
        }
        _ => Arc::clone(array),
    };
    if !is_part(array.as_ref()) {
        return Ok(array);
    }
    let all = UInt64Array::from_iter_values(0..array.len() as u64);
    Ok(take(array.as_ref(), &all, None)?)
}

/// Whether it holds more than twice what it shows. Of views this looks at the views alone, whose data have
/// been gathered.
fn is_part(array: &dyn Array) -> bool {
    let data = array.to_data();
    let Ok(shown) = data.get_slice_memory_size() else {
        return false;
    };
    let buffers = data.buffers();
    let held: usize = match array.data_type() {
        DataType::Utf8View | DataType::BinaryView => {
            buffers[..1].iter().map(|b| b.capacity()).sum()
        }
        _ => buffers.iter().map(|b| b.capacity()).sum(),
    };
    // Buffers are rounded up.
    held > 2 * shown + 256
}

/// The same rows, the last first.
pub(crate) fn reversed(batch: &RecordBatch) -> Result<RecordBatch> {
    // Without columns all rows are the same.
    if batch.num_columns() == 0 {
        return Ok(batch.clone());
    }
    let backward = UInt64Array::from_iter_values((0..batch.num_rows() as u64).rev());
    Ok(take_record_batch(batch, &backward)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Int64Array, ListBuilder, StringViewArray, StringViewBuilder};

    use super::*;

    /// A small piece of large batches takes what a small piece takes, whatever its columns are.
    #[test]
    fn a_piece_that_is_kept_holds_itself_only() {
        let rows = 8_000_usize;
        let text = |i: usize| (!i.is_multiple_of(5)).then(|| format!("the text of row {i}"));
        let mut lists = ListBuilder::new(StringViewBuilder::new());
        for i in 0..rows {
            lists.values().append_value(format!("the first of row {i}"));
            lists.values().append_null();
            lists.append(!i.is_multiple_of(3));
        }
        let batch = RecordBatch::try_from_iter([
            (
                "i",
                Arc::new(Int64Array::from_iter_values(0..rows as i64)) as ArrayRef,
            ),
            (
                "b",
                Arc::new(
                    (0..rows)
                        .map(|i| Some(i.is_multiple_of(2)))
                        .collect::<BooleanArray>(),
                ) as ArrayRef,
            ),
            (
                "short",
                Arc::new(
                    (0..rows)
                        .map(|i| Some(i.to_string()))
                        .collect::<StringViewArray>(),
                ) as ArrayRef,
            ),
            (
                "long",
                Arc::new((0..rows).map(text).collect::<StringViewArray>()) as ArrayRef,
            ),
            ("list", Arc::new(lists.finish()) as ArrayRef),
        ])
        .unwrap();
        let piece = batch.slice(4_001, 40);
        let owned = own(&piece).unwrap();
        assert_eq!(owned, piece);
        let (held, holds) = (piece.get_array_memory_size(), owned.get_array_memory_size());
        assert!(holds < 20_000 && held > 1_000_000, "{holds} of {held}");
        // What is whole stays as it is.
        let numbers = batch.project(&[0]).unwrap();
        let kept = own(&numbers).unwrap();
        assert_eq!(
            kept.column(0).to_data().buffers()[0].as_ptr(),
            numbers.column(0).to_data().buffers()[0].as_ptr()
        );
    }

    #[test]
    fn rows_without_columns_are_rows() {
        let batch = RecordBatch::try_new_with_options(
            Arc::new(arrow::datatypes::Schema::empty()),
            Vec::new(),
            &RecordBatchOptions::new().with_row_count(Some(3)),
        )
        .unwrap();
        assert_eq!(own(&batch).unwrap().num_rows(), 3);
        assert_eq!(reversed(&batch).unwrap().num_rows(), 3);
    }
}
