//! Filling the memtables from the log, which is the last step of opening a database.
//!
//! The engine around it is whole, nobody has it yet, and of its threads only the one that flushes runs.
//! A memtable that is full is frozen and waits for its flush as after a commit, so a log takes no more
//! memory than its transactions did: that of
//! [`Options::memtables_frozen_max`](crate::options::Options::memtables_frozen_max) memtables and one
//! more, however long it is. A crash in the middle leaves what a crash in any flush leaves.
//!
//! The commit of a run froze the memtable, and so does this where it comes to one ([`NewerRuns`]): what
//! was committed before it goes below it, what came after above.
//!
//! It is shared with the check of a closed database, which has no engine ([`Memtable::replay`]).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::engine::EngineInner;
use crate::error::Result;
use crate::ids::{CollectionId, Lsn, TimelineId, Ts};
use crate::manifest::{Manifest, TimelineEntry};
use crate::memtable::{Memtable, TxnSlot, full_key};
use crate::planted::{self, Bug};
use crate::timeline::{LiveRows, Timeline};
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
    runs: BTreeMap<TimelineId, NewerRuns>,
}

/// The runs of a timeline that are newer than what the log alone has, or some of it, and what they add to
/// the tables' rows. By their timestamps.
#[derive(Clone, Default)]
pub struct NewerRuns {
    runs: VecDeque<Ts>,
    counts: VecDeque<(Ts, CollectionId, i64)>,
}

impl NewerRuns {
    /// Of all timelines.
    pub fn all(manifest: &Manifest) -> BTreeMap<TimelineId, NewerRuns> {
        let timelines = manifest.timelines.iter();
        timelines
            .map(|(id, entry)| (*id, NewerRuns::of(entry)))
            .collect()
    }

    fn of(entry: &TimelineEntry) -> NewerRuns {
        let segments = entry.segments.iter().map(|segment| segment.ts_min);
        let mut runs: Vec<Ts> = segments.filter(|ts| *ts > entry.flushed_ts).collect();
        runs.sort_unstable();
        NewerRuns {
            runs: runs.into(),
            counts: entry.unflushed.iter().copied().collect(),
        }
    }

    /// The replay has come to a commit of `ts`: `freeze` what it had before, if there is a run between,
    /// and count the rows of that.
    pub fn pass(&mut self, ts: Ts, rows: &LiveRows, freeze: impl FnOnce()) {
        if self.runs.front().is_some_and(|run| *run < ts) {
            freeze();
        }
        while self.runs.pop_front_if(|run| *run < ts).is_some() {}
        while let Some((_, table, more)) = self.counts.pop_front_if(|(run, _, _)| *run < ts) {
            rows.add(table, more);
        }
    }
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
            runs: NewerRuns::all(manifest),
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
        let mut refill = Refill {
            engine: self,
            flushed: &unflushed.flushed,
            runs: unflushed.runs.clone(),
            transactions: 0,
        };
        if !unflushed.files.is_empty() {
            reader::read_until(&unflushed.files, unflushed.end, &mut refill)?;
        }
        for (_, timeline) in self.timelines.all() {
            refill.pass_runs(&timeline, Ts::MAX);
        }
        tracing::info!(transactions = refill.transactions, "replayed the log");
        Ok(())
    }
}

struct Refill<'a> {
    engine: &'a EngineInner,
    flushed: &'a BTreeMap<TimelineId, Ts>,
    runs: BTreeMap<TimelineId, NewerRuns>,
    transactions: u64,
}

impl Refill<'_> {
    fn pass_runs(&mut self, timeline: &Timeline, ts: Ts) {
        let engine = self.engine;
        let runs = self.runs.entry(timeline.id()).or_default();
        runs.pass(ts, &timeline.live, || {
            engine.freeze_memtable(&engine.freeze.write(), timeline);
            engine.after_runs();
        });
    }
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
        let timeline = self.engine.timelines.get(transaction.timeline)?;
        self.pass_runs(&timeline, transaction.ts);
        self.transactions += 1;
        self.engine.admit_to_memtable()?;
        let active = &timeline.sources().active;
        let bytes = active.replay(&transaction, &timeline.live)?;
        self.engine.timelines.add_active(bytes);
        active.count(bytes);
        self.engine.after_commit();
        Ok(())
    }
}
