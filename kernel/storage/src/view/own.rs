//! What a view has of its transaction: its writes up to a number, in memory and in private runs.
//!
//! A view keeps the memory and the runs of its making. When the transaction spills, its memory becomes a
//! run and a new, empty one takes its place; a view from before reads on in the old one, which is all
//! that it may see.

use std::sync::Arc;

use parking_lot::RwLock;

use super::{Kind, row_of};
use crate::error::Result;
use crate::ids::Ts;
use crate::memtable::split_key;
use crate::segment::SegmentReader;
use crate::transaction::private::PrivateRun;
use crate::transaction::ssi::Reads;
use crate::transaction::writeset::WriteSet;

/// See the module's header. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OwnWrites {
    pub set: Arc<RwLock<WriteSet>>,
    /// Newest first.
    pub runs: Arc<[PrivateRun]>,
    pub limit: u64,
    /// Under SERIALIZABLE, where the view notes what it reads, before it does.
    pub reads: Option<Arc<Reads>>,
}

impl OwnWrites {
    /// The runs, newest first, with the numbers to read them AS OF.
    pub fn runs(&self) -> impl Iterator<Item = (&SegmentReader, Ts)> {
        let limit = self.limit;
        self.runs
            .iter()
            .map(move |run| (run.reader(), run.at(limit)))
    }

    /// Call `f` with the newest write of a full key: its number, and its value or `None` for a delete.
    pub fn find<R>(
        &self,
        kind: Kind<'_>,
        full: &[u8],
        f: impl FnOnce(u64, Option<&[u8]>) -> R,
    ) -> Result<Option<R>> {
        if let Some((number, value)) = self.set.read().get(full, self.limit) {
            return Ok(Some(f(number, value)));
        }
        find_in_runs(&self.runs, kind, full, self.limit, f)
    }
}

/// Call `f` with the newest write of a full key in `runs`, which come newest first, up to `limit`.
pub(crate) fn find_in_runs<R>(
    runs: &[PrivateRun],
    kind: Kind<'_>,
    full: &[u8],
    limit: u64,
    f: impl FnOnce(u64, Option<&[u8]>) -> R,
) -> Result<Option<R>> {
    let (collection, key) = split_key(full);
    // Only one of the runs calls it.
    let mut f = Some(f);
    let mut found = |number: Ts, value: Option<&[u8]>| f.take().map(|f| f(number.0, value));
    for run in runs.iter().filter(|run| run.may_have(collection, key)) {
        let (reader, at) = (run.reader(), run.at(limit));
        let decided = match kind {
            Kind::Sorted => reader.find_entry(collection, key, at, false, &mut found)?,
            Kind::Rows(columns) => reader
                .row_version(collection, row_of(key)?, at, columns)?
                .map(|(number, value)| found(number, value.as_deref())),
        };
        if let Some(decided) = decided {
            return Ok(decided);
        }
    }
    Ok(None)
}
