//! Timelines: branches of the database's history.
//!
//! Every version, lock, WAL record and file names the timeline it belongs to. Only
//! [`TimelineId::MAIN`](crate::ids::TimelineId::MAIN) exists yet, and what is read from disk is
//! checked against that here, in one place.

use crate::error::{Error, Result};
use crate::ids::TimelineId;

/// Accept the timeline id found at `offset` of `file`.
pub fn known(timeline: TimelineId, file: &str, offset: u64) -> Result<TimelineId> {
    if timeline == TimelineId::MAIN {
        return Ok(timeline);
    }
    Err(Error::corruption(
        file,
        offset,
        format!("timeline {}", TimelineId::MAIN),
        format!("timeline {timeline}"),
    ))
}
