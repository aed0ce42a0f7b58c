//! Loading a sorted collection that comes in its order.

use std::sync::Arc;

use super::files::{Age, Files};
use super::series::{Content, Series};
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Ts};

/// Versions between two looks at the interrupt.
const INTERRUPT_VERSIONS: u64 = 1024;

/// Takes all versions of a sorted collection, by key, newest first.
pub struct SortedLoader {
    files: Arc<Files>,
    collection: CollectionId,
    series: Series,
    last: Option<(Vec<u8>, Ts)>,
    versions: u64,
}

impl std::fmt::Debug for SortedLoader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SortedLoader")
            .field("collection", &self.collection)
            .finish_non_exhaustive()
    }
}

impl SortedLoader {
    pub(super) fn new(files: &Arc<Files>, collection: CollectionId) -> Result<SortedLoader> {
        files.begin([collection].into_iter())?;
        Ok(SortedLoader {
            files: Arc::clone(files),
            collection,
            series: Series::new(files, Content::Sorted(collection), Age::New),
            last: None,
            versions: 0,
        })
    }

    /// Add a version: keys rise, and the versions of one key go from the newest to the oldest. No
    /// `value` is a removal.
    pub fn push(&mut self, key: &[u8], begin: Ts, value: Option<&[u8]>) -> Result<()> {
        if self.versions.is_multiple_of(INTERRUPT_VERSIONS) {
            self.files.options.interrupt.check()?;
        }
        let end = match &mut self.last {
            Some((last, newer)) if *last == key => Some(std::mem::replace(newer, begin)),
            Some((last, _)) if last.as_slice() > key => return Err(self.out_of_order(key, begin)),
            last => {
                *last = Some((key.to_vec(), begin));
                self.series.cut()?;
                None
            }
        };
        if begin == Ts::ZERO || end.is_some_and(|end| end <= begin) {
            return Err(self.out_of_order(key, begin));
        }
        self.series.push_entry(key, begin, end, value)?;
        self.versions += 1;
        Ok(())
    }

    fn out_of_order(&self, key: &[u8], begin: Ts) -> Error {
        Error::invalid(format!(
            "version {begin} of key {key:02x?} of collection {} is out of order",
            self.collection
        ))
    }

    /// All versions are in; how many.
    pub fn finish(self) -> Result<u64> {
        self.series.finish()?;
        self.files.end(None);
        Ok(self.versions)
    }
}
