//! `changes(t0, t1)`: what was committed to a collection after one time, up to another.
//!
//! A change is told in signed rows: −1 with the image that went, +1 with the one that came. An insert has
//! no first, a delete no second, an update has both. There are two ways to read them:
//!
//! * [`Changes::Net`] gives of each key what it was at `since` and what it is at `until`: what a view
//!   needs that is to follow its table. By key. The time with it is that of the last change.
//! * [`Changes::Every`] gives every version as it came, by commit and then by key: what a consumer needs
//!   that follows the commits. The image that went is the one that the version replaced.
//!
//! Promises, for what is not before the collection's history:
//!
//! 1. The state at `since` and the signed rows of either way make the state at `until`.
//! 2. What is read of segments are the blocks in which anything changed since, of which first keys and
//!    times alone, and then the images that are asked for. A memtable with commits in that time is
//!    walked over, as far as it holds the collection: memory, and bounded by its size.
//! 3. Memory: keys of one block per run of each segment ([`Changes::Net`]), or of so many versions
//!    ([`Changes::Every`], which then starts over for the next ones); and one batch.
//!
//! It does not see what a transaction has written and not committed, nor what DDL makes of rows without
//! writing them: the images are as the definition that is given shows them.

mod begun;
mod entries;
mod rows;
mod touched;

pub use entries::{EntryChange, EntryChanges};
pub use rows::RowChanges;
pub use touched::TouchedRows;

pub(crate) use begun::ByKey;
use begun::ByTime;

use super::ReadView;
use crate::error::Result;
use crate::ids::{CollectionId, ColumnId, Ts};

/// See the module's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Of each key the difference between the two ends.
    Net,
    /// Every version, in the order of commits.
    Every,
}

/// Which changes of a table to read.
#[derive(Clone, Debug)]
pub struct ChangesRequest {
    /// What was committed by then is known.
    pub since: Ts,
    /// Up to and with this commit; not in the future.
    pub until: Ts,
    pub which: Changes,
    pub projection: Vec<ColumnId>,
}

/// A key that changed, and the two times whose images tell how.
struct Changed {
    key: Vec<u8>,
    before: Ts,
    after: Ts,
}

/// The keys that changed, in the order asked for.
enum Keys {
    Net { keys: ByKey, since: Ts },
    Every(ByTime),
}

impl Keys {
    /// `view` is of the end of the span.
    fn new(view: &ReadView, c: CollectionId, since: Ts, which: Changes) -> Result<Keys> {
        Ok(match which {
            Changes::Net => Keys::Net {
                keys: ByKey::new(view, c, since)?,
                since,
            },
            Changes::Every => Keys::Every(ByTime::new(view, c, since)),
        })
    }

    fn next(&mut self, view: &ReadView) -> Result<Option<Changed>> {
        Ok(match self {
            Keys::Net { keys, since } => keys.next()?.map(|key| Changed {
                key,
                before: *since,
                after: view.ts(),
            }),
            Keys::Every(versions) => versions.next(view)?.map(|(begin, key)| Changed {
                key,
                // Two commits are a microsecond apart at least.
                before: Ts(begin.0.saturating_sub(1)),
                after: begin,
            }),
        })
    }
}
