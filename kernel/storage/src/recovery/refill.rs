//! Filling the memtables from the log, which is the last step of opening a database.
//!
//! The engine around it is whole, nobody has it yet, and of its threads only the one that flushes runs.
//! A memtable that is full is frozen and waits for its flush as after a commit, so a log takes no more
//! memory than its transactions did: that of
//! [`Options::memtables_frozen_max`](crate::options::Options::memtables_frozen_max) memtables and one
//! more, however long it is. A crash in the middle leaves what a crash in any flush leaves.
//!
//! It is shared with the check of a closed database, which has no engine ([`Memtable::replay`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::EngineInner;
use crate::error::Result;
use crate::ids::{CollectionId, Lsn, TimelineId, Ts};
use crate::manifest::{Manifest, TimelineEntry};
use crate::memtable::{Memtable, TxnSlot, full_key};
use crate::planted::{self, Bug};
use crate::timeline::LiveRows;
use crate::transaction::writeset::WriteKind;
use crate::wal::file::WalFile;
use crate::wal::reader::{self, Replay};
use crate::wal::record::{Logged, LoggedTransaction};

/// The part of the log that may have transactions that are not in segments.
#[derive(Default)]
pub struct Unflushed {
    files: Vec<WalFile>,
    /// Per timeline what segments hold.
    flushed: BTreeMap<TimelineId, Ts>,
    end: Lsn,
}

impl Unflushed {
    /// Of `files`, which are all of the log and know their newest commits.
    pub fn new(files: &[WalFile], manifest: &Manifest, end: Lsn) -> Unflushed {
        let flushed = |(id, timeline): (&TimelineId, &TimelineEntry)| (*id, timeline.flushed_ts);
        let flushed: BTreeMap<_, _> = manifest.timelines.iter().map(flushed).collect();
        let least = flushed.values().min().copied().unwrap_or(Ts::ZERO);
        let first = files.iter().position(|file| file.ts_max > least);
        let late = usize::from(planted::is(Bug::RecoverySkipsFile));
        let first = first.map(|first| (first + late).min(files.len()));
        Unflushed {
            files: first.map_or(Vec::new(), |first| files[first..].to_vec()),
            flushed,
            end,
        }
    }
}

impl Memtable {
    /// Put the versions of a logged transaction in, and count rows; about how many bytes they take.
    pub fn replay(&self, transaction: &LoggedTransaction, rows: &LiveRows) -> Result<usize> {
        let mut bytes = 0;
        let slot = TxnSlot::committed(transaction.ts);
        // Keys come in order, so a table's rows come together.
        let mut live: Option<(CollectionId, i64)> = None;
        let count = |live: Option<(CollectionId, i64)>| {
            if let Some((table, delta)) = live {
                rows.add(table, delta);
            }
        };
        transaction.writes(|write| {
            let delta = match write.kind {
                WriteKind::Insert => 1,
                WriteKind::Delete => -1,
                _ => 0,
            };
            if delta != 0 {
                match &mut live {
                    Some((table, sum)) if *table == write.collection => *sum += delta,
                    _ => count(live.replace((write.collection, delta))),
                }
            }
            let key = full_key(write.collection, write.key);
            bytes += self.insert(key, Arc::clone(&slot), write.value.map(Box::from));
            Ok(())
        })?;
        count(live);
        self.note_commit(transaction.ts);
        Ok(bytes)
    }
}

impl EngineInner {
    /// Step 5 of [`recovery`](super).
    pub fn refill(&self, unflushed: &Unflushed) -> Result<()> {
        if unflushed.files.is_empty() {
            return Ok(());
        }
        let mut refill = Refill {
            engine: self,
            flushed: &unflushed.flushed,
            transactions: 0,
        };
        reader::read_until(&unflushed.files, unflushed.end, &mut refill)?;
        tracing::info!(transactions = refill.transactions, "replayed the log");
        Ok(())
    }
}

struct Refill<'a> {
    engine: &'a EngineInner,
    flushed: &'a BTreeMap<TimelineId, Ts>,
    transactions: u64,
}

impl Replay for Refill<'_> {
    fn manifest(&mut self, _: Manifest) -> Result<()> {
        Ok(())
    }

    fn record(&mut self, _: usize, record: Logged) -> Result<()> {
        let Logged::Transaction(transaction) = record else {
            return Ok(());
        };
        // Of a timeline that was dropped later nothing is wanted.
        let flushed = self.flushed.get(&transaction.timeline);
        if flushed.is_none_or(|flushed| transaction.ts <= *flushed) {
            return Ok(());
        }
        self.transactions += 1;
        self.engine.admit_to_memtable()?;
        let timeline = self.engine.timelines.get(transaction.timeline)?;
        let active = &timeline.sources().active;
        let bytes = active.replay(&transaction, &timeline.live)?;
        self.engine.timelines.add_active(bytes);
        self.engine.after_commit();
        Ok(())
    }
}
