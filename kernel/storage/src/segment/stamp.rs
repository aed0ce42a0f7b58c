//! Private runs: segments that a transaction wrote before it had a timestamp.
//!
//! A run is a segment like any other, but for what its begins are: the *numbers* of the transaction's
//! writes. Read as it is, AS OF a number, it shows the transaction's own writes up to then. Read
//! *stamped*, it shows what the transaction committed: every version of HEAD begins at the commit's
//! timestamp, and HIST, which has what the transaction itself wrote over, is not there.
//!
//! The file does not change when it is stamped. Its timestamp is in the manifest, which says that it is
//! a run.

use std::sync::Arc;

use arrow_buffer::ScalarBuffer;

use super::SegmentMeta;
use super::format::{Directory, Run};
use super::reader::{Inner, SegmentReader};
use crate::error::Result;
use crate::ids::Ts;
use crate::memory::{Part, Reservation};

/// What stands in the place of all begins.
pub(super) struct Stamp {
    pub ts: Ts,
    /// As many times as a block has rows, at most.
    begins: ScalarBuffer<u64>,
}

impl Stamp {
    pub fn begins(&self, rows: u32) -> ScalarBuffer<u64> {
        self.begins.slice(0, rows as usize)
    }
}

/// A run that is ready to be stamped: all the work is done that the commit point should not wait for.
pub struct Unstamped {
    run: SegmentReader,
    directory: Directory,
    rows_max: u32,
}

impl SegmentReader {
    /// Prepare for [`Unstamped::at`].
    pub fn unstamped(&self) -> Unstamped {
        let mut directory = self.0.directory.clone();
        let mut rows_max = 0;
        for collection in &mut directory.collections {
            match &mut collection.run {
                Run::Rows(rows) => {
                    rows.hist.clear();
                    let longest = rows.head.iter().map(|block| block.rows).max();
                    rows_max = rows_max.max(longest.unwrap_or(0));
                }
                Run::Sorted(sorted) => sorted.hist.clear(),
            }
        }
        Unstamped {
            run: self.clone(),
            directory,
            rows_max,
        }
    }

    /// The file as it is, without a stamp. Reads the directory once more.
    pub fn as_written(&self) -> Result<SegmentReader> {
        let inner = &*self.0;
        match &inner.stamp {
            None => Ok(self.clone()),
            Some(_) => SegmentReader::of_file(
                Arc::clone(&inner.file),
                &inner.meta.name,
                None,
                &inner.cache,
                &inner.column_codecs,
            ),
        }
    }

    /// The commit that a run belongs to; `None` when the file's own timestamps count.
    pub fn stamp(&self) -> Option<Ts> {
        self.0.stamp.as_ref().map(|stamp| stamp.ts)
    }
}

impl Unstamped {
    /// The run as a commit at `ts`. It shares file and pages with the run as it was.
    pub fn at(self, ts: Ts) -> SegmentReader {
        let Unstamped {
            run,
            mut directory,
            rows_max,
        } = self;
        (directory.min_ts, directory.max_ts) = (ts, ts);
        for collection in &mut directory.collections {
            (collection.min_ts, collection.max_ts) = (ts, ts);
            match &mut collection.run {
                Run::Rows(rows) => {
                    for block in &mut rows.head {
                        (block.min_ts, block.max_ts) = (ts, ts);
                    }
                }
                Run::Sorted(sorted) => {
                    for page in &mut sorted.head {
                        (page.min_ts, page.max_ts) = (ts, ts);
                    }
                }
            }
        }
        let inner = &*run.0;
        let memory = inner.cache.budget().map(|budget| {
            let begins = rows_max as usize * size_of::<u64>();
            Reservation::of(budget, Part::Files, directory.heap_bytes() + begins)
        });
        SegmentReader(Arc::new(Inner {
            file: Arc::clone(&inner.file),
            number: inner.number,
            cache: Arc::clone(&inner.cache),
            meta: SegmentMeta {
                min_ts: ts,
                max_ts: ts,
                ..inner.meta.clone()
            },
            directory,
            directory_offset: inner.directory_offset,
            places: inner.places.clone(),
            finders: Arc::clone(&inner.finders),
            codecs: inner.codecs.clone(),
            column_codecs: Arc::clone(&inner.column_codecs),
            stamp: Some(Stamp {
                ts,
                begins: vec![ts.0; rows_max as usize].into(),
            }),
            _memory: memory,
        }))
    }
}
