//! Fills frames with batches of rows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType};

use super::{Payload, Pipeline};
use crate::error::{Error, Result};
use crate::format::{FRAME_RAW_BYTES, FrameKind};

/// A batch larger than this is cut.
const BATCH_BYTES_MAX: usize = 4 * FRAME_RAW_BYTES;

/// Collects the batches of one section.
#[derive(Default)]
pub(crate) struct RowFrames {
    stream: Option<StreamWriter<Vec<u8>>>,
    items: u32,
}

impl RowFrames {
    /// Add a batch; all of a section have one schema.
    pub fn push(&mut self, batch: &RecordBatch, pipeline: &mut Pipeline<'_>) -> Result<()> {
        let (rows, bytes) = (batch.num_rows(), batch.get_array_memory_size());
        if bytes <= BATCH_BYTES_MAX || rows <= 1 {
            return self.write(batch, pipeline);
        }
        let piece = (rows / bytes.div_ceil(FRAME_RAW_BYTES)).max(1);
        for start in (0..rows).step_by(piece) {
            let slice = batch.slice(start, piece.min(rows - start));
            let columns = slice.columns().iter().map(compact);
            let columns = columns.collect::<Result<Vec<_>, _>>().map_err(encoding)?;
            let slice = RecordBatch::try_new(slice.schema(), columns).map_err(encoding)?;
            self.write(&slice, pipeline)?;
        }
        Ok(())
    }

    fn write(&mut self, batch: &RecordBatch, pipeline: &mut Pipeline<'_>) -> Result<()> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let out = Vec::with_capacity(FRAME_RAW_BYTES);
                let stream = StreamWriter::try_new(out, batch.schema_ref()).map_err(encoding)?;
                none.insert(stream)
            }
        };
        stream.write(batch).map_err(encoding)?;
        self.items += batch.num_rows() as u32;
        match stream.get_ref().len() >= FRAME_RAW_BYTES {
            true => self.close(pipeline),
            false => Ok(()),
        }
    }

    /// No more batches.
    pub fn finish(mut self, pipeline: &mut Pipeline<'_>) -> Result<()> {
        self.close(pipeline)
    }

    fn close(&mut self, pipeline: &mut Pipeline<'_>) -> Result<()> {
        let Some(stream) = self.stream.take() else {
            return Ok(());
        };
        // Ends the stream, too.
        let raw = stream.into_inner().map_err(encoding)?;
        pipeline.frame(Payload {
            kind: FrameKind::Rows,
            items: std::mem::take(&mut self.items),
            raw,
        })
    }
}

/// A slice of a view array, or of an array of them, keeps all the bytes of the whole, and IPC would
/// write them with every slice.
fn compact(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        DataType::List(field) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            let (from, to) = (offsets[0], offsets[list.len()]);
            let values = list.values().slice(from as usize, (to - from) as usize);
            let offsets: ScalarBuffer<i32> = offsets.iter().map(|offset| offset - from).collect();
            Arc::new(ListArray::try_new(
                Arc::clone(field),
                OffsetBuffer::new(offsets),
                compact(&values)?,
                list.nulls().cloned(),
            )?)
        }
        _ => Arc::clone(array),
    })
}

fn encoding(error: ArrowError) -> Error {
    heliosdb_storage::Error::invalid(format!("rows that Arrow IPC does not take: {error}")).into()
}
