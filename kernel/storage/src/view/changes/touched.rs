//! The rows of a table that anybody wrote in a span, whatever became of them.

use super::begun::ByKey;
use crate::error::Result;
use crate::ids::{CollectionId, RowId, Ts};
use crate::view::{ReadView, row_of};

/// Iterator over row ids, by their order, each once. A row that was changed and changed back is among them,
/// which [`Changes::Net`](super::Changes::Net) leaves out: who compares with a third state needs it.
pub struct TouchedRows {
    keys: ByKey,
    done: bool,
}

impl std::fmt::Debug for TouchedRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TouchedRows").finish_non_exhaustive()
    }
}

impl TouchedRows {
    /// `view` is of the end of the span.
    pub(crate) fn new(view: &ReadView, table: CollectionId, since: Ts) -> Result<TouchedRows> {
        Ok(TouchedRows {
            keys: ByKey::new(view, table, since)?,
            done: false,
        })
    }

    fn next_row(&mut self) -> Result<Option<RowId>> {
        let key = self.keys.next()?;
        key.map(|key| row_of(&key)).transpose()
    }
}

impl Iterator for TouchedRows {
    type Item = Result<RowId>;

    fn next(&mut self) -> Option<Result<RowId>> {
        if self.done {
            return None;
        }
        let next = self.next_row().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}
