//! Timelines: branches of the database's history.
//!
//! A timeline has memtables and segments of its own; up to its fork it shows what its parent showed
//! then ([`crate::view::path`]). Every version, lock, WAL record and file names the timeline it belongs
//! to. Only [`TimelineId::MAIN`](crate::ids::TimelineId::MAIN) exists yet, and what is read from disk
//! is checked against that here, in one place.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::error::{Error, Result};
use crate::ids::{CollectionId, TimelineId, Ts};
use crate::view::{Path, Superversion};

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

/// One timeline, and the newest of its sources.
pub struct Timeline {
    id: TimelineId,
    base: Option<Base>,
    sources: RwLock<Arc<Superversion>>,
    /// Columns that tables had at the fork, as far as somebody asked; they do not change.
    columns_at_fork: RwLock<HashMap<CollectionId, usize>>,
}

/// Where a timeline branched off.
pub struct Base {
    pub parent: Arc<Timeline>,
    /// The newest timestamp that both have in common. Every commit of the timeline is newer.
    pub fork_ts: Ts,
}

impl Timeline {
    pub fn new(id: TimelineId, base: Option<Base>, sources: Superversion) -> Arc<Timeline> {
        Arc::new(Timeline {
            id,
            base,
            sources: RwLock::new(Arc::new(sources)),
            columns_at_fork: RwLock::default(),
        })
    }

    pub fn id(&self) -> TimelineId {
        self.id
    }

    pub fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    pub fn sources(&self) -> Arc<Superversion> {
        Arc::clone(&self.sources.read())
    }

    /// Swap the sources. The caller holds the freeze lock.
    pub fn set_sources(&self, sources: Superversion) {
        *self.sources.write() = Arc::new(sources);
    }

    /// How many columns a table had at the fork; of a table that was not there, any number.
    pub fn columns_at_fork(&self, table: CollectionId) -> Result<usize> {
        let Some(base) = &self.base else {
            return Ok(usize::MAX);
        };
        if let Some(columns) = self.columns_at_fork.read().get(&table) {
            return Ok(*columns);
        }
        let def = Path::new(&base.parent, base.fork_ts).newest_definition(table)?;
        let columns = def.map_or(usize::MAX, |def| def.columns.len());
        self.columns_at_fork.write().insert(table, columns);
        Ok(columns)
    }
}
