//! Whether the catalog has changed, without asking storage.
//!
//! Every statement has to know that the catalog it was planned for is still the one it sees, and the
//! catalog's version is a row like any other. [`CatalogWatch`] spares most statements that read: who
//! changes the catalog holds a [`CatalogWriter`] from before its first change until after its
//! transaction has ended. Of a catalog that was seen while there was no writer, at a time that was the
//! present then, all later views see the same as long as there was none since.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use heliosdb_storage::ReadView;
use heliosdb_storage::ids::{TimelineId, Ts};

use super::snapshot::CatalogVersion;

/// How many writers have begun, and how many have ended.
#[derive(Debug, Default)]
pub(crate) struct CatalogWatch {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// Someone who may change the catalog.
#[derive(Debug)]
pub(crate) struct CatalogWriter(Arc<CatalogWatch>);

/// Since when, and since how many writers, a catalog has been the newest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CatalogSince {
    timeline: TimelineId,
    ts: Ts,
    writers: u64,
    pub version: CatalogVersion,
}

impl CatalogWatch {
    pub fn writer(self: &Arc<Self>) -> CatalogWriter {
        self.begun.fetch_add(1, Ordering::SeqCst);
        CatalogWriter(self.clone())
    }

    /// How many writers there have been; `None` while there is one.
    pub fn writers(&self) -> Option<u64> {
        let ended = self.ended.load(Ordering::SeqCst);
        (self.begun.load(Ordering::SeqCst) == ended).then_some(ended)
    }

    /// What may be remembered of the catalog in a view, which still was the one at a later present
    /// that was looked at after `writers` were counted.
    pub fn since(&self, view: &ReadView, writers: u64, version: CatalogVersion) -> CatalogSince {
        CatalogSince {
            timeline: view.timeline(),
            ts: view.ts(),
            writers,
            version,
        }
    }

    /// Whether a view sees the catalog that was remembered.
    pub fn stands(&self, since: CatalogSince, view: &ReadView) -> bool {
        view.timeline() == since.timeline
            && view.ts() >= since.ts
            && self.begun.load(Ordering::SeqCst) == since.writers
    }
}

impl Drop for CatalogWriter {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_count_while_someone_writes() {
        let watch = Arc::new(CatalogWatch::default());
        assert_eq!(watch.writers(), Some(0));
        let first = watch.writer();
        let second = watch.writer();
        assert_eq!(watch.writers(), None);
        drop(first);
        assert_eq!(watch.writers(), None);
        drop(second);
        assert_eq!(watch.writers(), Some(2));
    }
}
