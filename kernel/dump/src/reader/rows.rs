//! Batches of rows, out of the frames of a section.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::ArrowError;

use super::Dump;
use crate::error::{Result, counted};
use crate::format::FrameHeader;

/// Iterator over the batches of a section. It holds one frame in memory.
pub struct Rows<'a> {
    dump: &'a Dump,
    frames: std::slice::Iter<'a, FrameHeader>,
    batches: VecDeque<RecordBatch>,
    failed: bool,
}

impl<'a> Rows<'a> {
    pub(super) fn new(dump: &'a Dump, frames: &'a [FrameHeader]) -> Rows<'a> {
        Rows {
            dump,
            frames: frames.iter(),
            batches: VecDeque::new(),
            failed: false,
        }
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            if let Some(batch) = self.batches.pop_front() {
                return Some(Ok(batch));
            }
            match self.dump.batches(self.frames.next()?) {
                Ok(batches) => self.batches = batches.into(),
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl Dump {
    /// The batches of one frame. Their schema is what the frame says; whoever knows the table
    /// compares it.
    pub(crate) fn batches(&self, frame: &FrameHeader) -> Result<Vec<RecordBatch>> {
        let raw = self.payload(frame)?;
        // The checksum is right, so these are bytes that our writer wrote, or somebody's who made
        // them up. The latter may find what Arrow answers with a panic.
        let decoded = catch_unwind(AssertUnwindSafe(|| decode(raw)));
        let batches = match decoded {
            Ok(Ok(batches)) => batches,
            Ok(Err(e)) => return Err(self.malformed(frame, "Arrow IPC", e.to_string())),
            Err(_) => {
                let found = "something that its decoder gives up on";
                return Err(self.malformed(frame, "Arrow IPC", found.to_owned()));
            }
        };
        let rows: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        match rows == u64::from(frame.items) {
            true => Ok(batches),
            false => {
                let expected = counted(frame.items.into(), "row");
                Err(self.malformed(frame, &expected, rows.to_string()))
            }
        }
    }
}

fn decode(raw: Vec<u8>) -> Result<Vec<RecordBatch>, ArrowError> {
    let mut decoder = StreamDecoder::new();
    let mut batches = Vec::new();
    let mut rest = Buffer::from_vec(raw);
    while !rest.is_empty() {
        batches.extend(decoder.decode(&mut rest)?);
    }
    decoder.finish()?;
    Ok(batches)
}
