//! Changes of a sorted collection.

use super::{Changed, Changes, Keys};
use crate::error::Result;
use crate::ids::{CollectionId, Ts};
use crate::memtable::full_key;
use crate::view::{Kind, ReadView};

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryChange {
    pub key: Vec<u8>,
    /// The commit that made it what it is.
    pub ts: Ts,
    /// −1: what went, if there was anything.
    pub old: Option<Vec<u8>>,
    /// +1: what came, if anything did.
    pub new: Option<Vec<u8>>,
}

/// Iterator over the changes of a sorted collection.
pub struct EntryChanges {
    view: ReadView,
    collection: CollectionId,
    keys: Keys,
    failed: bool,
}

impl std::fmt::Debug for EntryChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EntryChanges")
            .field("collection", &self.collection)
            .field("until", &self.view.ts())
            .finish_non_exhaustive()
    }
}

impl EntryChanges {
    /// `view` is of the end of the span.
    pub(crate) fn new(
        view: ReadView,
        collection: CollectionId,
        since: Ts,
        which: Changes,
    ) -> Result<EntryChanges> {
        Ok(EntryChanges {
            keys: Keys::new(&view, collection, since, which)?,
            view,
            collection,
            failed: false,
        })
    }

    fn find_next(&mut self) -> Result<Option<EntryChange>> {
        while let Some(Changed { key, before, after }) = self.keys.next(&self.view)? {
            let full = full_key(self.collection, &key);
            let at = |ts| {
                let path = &self.view.0.path;
                let found = path.find(Kind::Sorted, &full, ts, |ts, value| {
                    (ts, value.map(<[u8]>::to_vec))
                });
                found.map(|found| found.unwrap_or((ts, None)))
            };
            let ((_, old), (ts, new)) = (at(before)?, at(after)?);
            if old.is_some() || new.is_some() {
                return Ok(Some(EntryChange { key, ts, old, new }));
            }
        }
        Ok(None)
    }
}

impl Iterator for EntryChanges {
    type Item = Result<EntryChange>;

    fn next(&mut self) -> Option<Result<EntryChange>> {
        if self.failed {
            return None;
        }
        let next = self.find_next();
        self.failed = next.is_err();
        next.transpose()
    }
}
