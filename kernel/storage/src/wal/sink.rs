//! Where commits go once they have their order: the seam at which a replicated log can stand.
//!
//! The log's leader hands over what was queued, a batch at a time and in commit order. When
//! [`LogSink::commit`] returns, all of the batch may be acknowledged: it is *committed*. The local log
//! commits by writing and syncing. One with replicas commits when enough of them have the batch, and may
//! write its own copy before, beside or after.
//!
//! 1. A batch is committed as a whole and in its turn, or it is not.
//! 2. A sink that has failed is not asked again. After [`Error::LeadershipLost`] what was not committed is for
//!    another leader to decide: the engine takes nothing more, and shows nobody what lies above the
//!    committed point. Those who have seen it are told so by their commit.
//! 3. Recovery replays the local copy. A sink that writes it before the batch is committed must take the tail
//!    away before the engine is opened again.

use super::record::{Effect, Record};
use super::writer::Writer;
use crate::error::{Error, Result};
use crate::ids::Ts;
use crate::planted::{self, Bug};

/// Records in commit order.
pub struct Batch<'a> {
    records: &'a [Record],
}

impl<'a> Batch<'a> {
    pub(crate) fn new(records: &'a [Record]) -> Batch<'a> {
        Batch { records }
    }

    /// The records as they stand in the log.
    pub fn records(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.records.iter().map(|record| record.bytes.as_slice())
    }

    /// The newest commit in here. A load's timestamp may be older than those before it.
    pub fn last_ts(&self) -> Option<Ts> {
        let times = self
            .records
            .iter()
            .filter_map(|record| match &record.effect {
                Effect::Load(edit) => Some(edit.last_ts),
                effect => effect.commit_ts(),
            });
        times.max()
    }
}

/// The local copy of the log, for the time of one batch.
pub struct LocalLog<'a> {
    writer: &'a mut Writer,
}

impl<'a> LocalLog<'a> {
    pub(crate) fn new(writer: &'a mut Writer) -> LocalLog<'a> {
        LocalLog { writer }
    }

    /// Append the batch to the local copy.
    pub fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        self.writer.append(batch.records)
    }

    /// Make what was written survive a crash of this machine.
    pub fn sync(&mut self) -> Result<()> {
        match planted::is(Bug::AcknowledgedUnsynced) {
            true => Ok(()),
            false => self.writer.sync(),
        }
    }
}

/// See the module's header.
pub trait LogSink: Send {
    /// Commit the batch, and write it to the local copy.
    ///
    /// # Errors
    ///
    /// [`Error::LeadershipLost`], or what went wrong with the disk. In both cases nothing of the batch may be
    /// acknowledged.
    fn commit(&mut self, batch: &Batch<'_>, local: &mut LocalLog<'_>) -> Result<()>;
}

/// One machine: what is synced here is committed.
#[derive(Debug, Default)]
pub struct LocalSink;

impl LogSink for LocalSink {
    fn commit(&mut self, batch: &Batch<'_>, local: &mut LocalLog<'_>) -> Result<()> {
        local.write(batch)?;
        local.sync()
    }
}

/// Whether an error says that the tail is somebody else's.
pub(crate) fn is_lost(error: &Error) -> bool {
    matches!(error, Error::LeadershipLost { .. })
}
