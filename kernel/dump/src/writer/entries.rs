//! Fills frames with entries.

use super::{Payload, Pipeline};
use crate::error::Result;
use crate::format::entry::Entry;
use crate::format::{FRAME_RAW_BYTES, FrameKind};

/// Collects the entries of one section.
#[derive(Default)]
pub(crate) struct EntryFrames {
    raw: Vec<u8>,
    items: u32,
}

impl EntryFrames {
    pub fn push(&mut self, entry: &Entry<'_>, pipeline: &mut Pipeline<'_>) -> Result<()> {
        let bytes = entry.key.len() + entry.value.map_or(0, <[u8]>::len);
        if entry.encode(&mut self.raw).is_none() {
            return Err(heliosdb_storage::Error::RowTooLong { bytes }.into());
        }
        self.items += 1;
        match self.raw.len() >= FRAME_RAW_BYTES {
            true => self.close(pipeline),
            false => Ok(()),
        }
    }

    /// No more entries.
    pub fn finish(mut self, pipeline: &mut Pipeline<'_>) -> Result<()> {
        self.close(pipeline)
    }

    fn close(&mut self, pipeline: &mut Pipeline<'_>) -> Result<()> {
        if self.items == 0 {
            return Ok(());
        }
        pipeline.frame(Payload {
            kind: FrameKind::Entries,
            items: std::mem::take(&mut self.items),
            raw: std::mem::take(&mut self.raw),
        })
    }
}
