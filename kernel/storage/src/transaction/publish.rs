//! Commit of a transaction whose writes are in private runs.
//!
//! 1. Write what is left in memory to a run, too: now the runs are everything.
//! 2. Make them fit to be read as segments. No two of them may have the same key, since both versions would
//!    have begun at the same time, and nothing may be left of what was rolled back or of a collection
//!    that the transaction itself drops. Mostly that is so; if not, all runs are merged into one.
//! 3. Make the names of the files durable; the files are. Reserve room for the log's record, which names them:
//!    a full disk refuses here.
//! 4. Keep commits out for a moment, without any I/O: freeze the active memtable, which is older than the
//!    runs, and at the commit point put them in front of it and of all other layers, with the timestamp.
//!    The log's record names them.
//! 5. Give the locks back, and wait until the record is durable.
//!
//! Until the commit point the files are the transaction's, and go with it when it is refused. A crash before
//! the record is durable leaves files that nothing names.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Transaction;
use super::private::{PrivateRun, RunFile, create_run, write_run};
use super::ssi::{KeyRanges, Serial};
use crate::catalog::{CATALOG, FIRST_COLLECTION, table_of};
use crate::compact::merge_newest;
use crate::engine::EngineInner;
use crate::error::Result;
use crate::flush::entry_of;
use crate::ids::{CollectionId, RowId, Ts};
use crate::manifest::RunsEdit;
use crate::memtable::full_key;
use crate::segment::{RowColumns, SegmentReader, Unstamped};
use crate::timeline::Timeline;
use crate::view::{Layer, OwnWrites, Superversion, row_key};
use crate::wal::log::Ticket;
use crate::wal::record::Record;

/// A run, newest first where there are several, and its file.
type Run = (SegmentReader, Arc<RunFile>);

impl Transaction {
    /// Steps 1 to 4. The commit's timestamp and its place in the log.
    pub(super) fn publish_runs(&mut self, serial: Option<Serial>) -> Result<(Ts, Ticket)> {
        self.spill()?;
        let engine = Arc::clone(&self.engine);
        let private = self.writes.runs();
        let dropped = dropped_collections(private)?;
        let is_fit = |run: &PrivateRun| {
            let holds = |id: &CollectionId| run.reader().has(*id);
            run.cap().is_none() && !run.overlaps && !dropped.iter().any(holds)
        };
        let runs: Vec<Run> = match private.iter().all(is_fit) {
            // Its own numbers go: the commit's are put in their place.
            true => private
                .iter()
                .map(|run| (run.reader().clone(), Arc::clone(&run.file)))
                .collect(),
            false => {
                let merged = self.merge(&self.writes.latest(), &dropped);
                engine.stop_after_sync(merged)?.into_iter().collect()
            }
        };
        engine.make_room_for_freeze()?;
        if !runs.is_empty() {
            engine.sync_segment_names()?;
        }
        let mut edit = RunsEdit {
            timeline: self.timeline.id(),
            ts: Ts::ZERO,
            segments: Vec::new(),
            tables: self.tables_of(&runs),
        };
        // The layers want the newest first, the log the oldest.
        let mut unstamped: Vec<Unstamped> = Vec::new();
        for (reader, file) in &runs {
            let mut entry = entry_of(file.number, reader);
            entry.is_run = true;
            edit.segments.insert(0, entry);
            unstamped.push(reader.unstamped());
        }
        // No timestamp takes more than this one.
        let record = Record::runs(edit.clone().at(Ts(u64::MAX)));
        let reserved = engine.log.reserve(record.bytes.len())?;
        let publish = || {
            let window = engine.freeze.write();
            self.timeline.check(self.epoch)?;
            engine.freeze_memtable(&window, &self.timeline);
            engine.log.commit_as(reserved, |ts| {
                // From here on the log may name the files.
                for (_, file) in &runs {
                    file.is_committed.store(true, Ordering::Release);
                }
                engine.show_runs(&self.timeline, edit.at(ts), unstamped)
            })
        };
        let committed = match serial {
            None => publish(),
            Some(serial) => serial.commit(written(&runs), true, publish),
        };
        self.writes.clear();
        committed
    }

    /// Per table the first RowId that nobody has, and how many rows there are more.
    fn tables_of(&self, runs: &[Run]) -> Vec<(CollectionId, RowId, i64)> {
        let counts = self.writes.row_counts();
        let mut tables = BTreeMap::new();
        for extent in runs.iter().flat_map(|(reader, _)| reader.extents()) {
            let Some(row) = extent.max_row else { continue };
            let rows = counts.get(&extent.collection).copied().unwrap_or(0);
            let (next, _) = tables
                .entry(extent.collection)
                .or_insert((RowId::default(), rows));
            *next = (*next).max(RowId(row.saturating_add(1)));
        }
        let tables = tables.into_iter();
        tables.map(|(id, (next, rows))| (id, next, rows)).collect()
    }

    /// One run of all that counts; `None` when that is nothing.
    fn merge(&self, own: &OwnWrites, dropped: &HashSet<CollectionId>) -> Result<Option<Run>> {
        let mut readers = Vec::new();
        // What was rolled back is left out first. The files go with the last of these.
        let mut cut: Vec<Arc<RunFile>> = Vec::new();
        for run in self.writes.runs() {
            match run.cap() {
                None => readers.push(run.reader().clone()),
                Some(cap) => {
                    let (reader, file) = self.cut(own, run.reader(), cap)?;
                    readers.push(reader);
                    cut.push(file);
                }
            }
        }
        let (file, mut writer) = create_run(&self.engine, self.timeline.id())?;
        let ids: BTreeSet<CollectionId> = readers
            .iter()
            .flat_map(|reader| reader.meta().collections.iter().copied())
            .collect();
        let mut is_empty = true;
        for id in ids.difference(&dropped.iter().copied().collect()) {
            let table = super::definition_of(&self.timeline, own, *id)?;
            let check = || self.interrupt.check();
            merge_newest(&readers, *id, table.as_ref(), &check, &mut writer)?;
            is_empty = false;
        }
        let meta = writer.finish()?;
        if is_empty {
            return Ok(None);
        }
        let flusher = &self.engine.flusher;
        let reader = flusher.open_segment(&self.engine.io, &meta.name, Some(&meta))?;
        Ok(Some((reader, file)))
    }

    /// A run as it was at `cap`.
    fn cut(&self, own: &OwnWrites, run: &SegmentReader, cap: Ts) -> Result<Run> {
        write_run(&self.engine, &self.timeline, own, |writer| {
            for id in run.meta().collections.iter().copied() {
                if run.has_rows(id) {
                    let rows = run.row_ids(id)?.unwrap_or_default();
                    for row in rows.iter() {
                        self.interrupt.check()?;
                        let version = run.row_version(id, RowId(row), cap, RowColumns::ALL)?;
                        if let Some((number, value)) = version {
                            let full = full_key(id, &row_key(RowId(row)));
                            writer.push(&full, number, None, value.as_deref())?;
                        }
                    }
                    continue;
                }
                for entry in run.range(id, Bound::Unbounded, Bound::Unbounded, cap)? {
                    self.interrupt.check()?;
                    let (key, number, value) = entry?;
                    writer.push(&full_key(id, &key), number, None, value.as_deref())?;
                }
            }
            Ok(())
        })
    }
}

/// What SERIALIZABLE is told that the runs write: all of every collection in them.
fn written(runs: &[Run]) -> KeyRanges {
    let mut written = KeyRanges::default();
    let collections = runs
        .iter()
        .flat_map(|(reader, _)| &reader.meta().collections);
    for id in collections.filter(|id| **id >= FIRST_COLLECTION) {
        written.insert_bounds(*id, Bound::Unbounded, Bound::Unbounded);
    }
    written
}

/// The tables whose definitions the transaction leaves removed.
fn dropped_collections(runs: &[PrivateRun]) -> Result<HashSet<CollectionId>> {
    // Of each table the newest that is said.
    let mut known = BTreeMap::new();
    for run in runs {
        let at = run.at(u64::MAX);
        for entry in run
            .reader()
            .range(CATALOG, Bound::Unbounded, Bound::Unbounded, at)?
        {
            let (key, _, value) = entry?;
            known.entry(table_of(&key)?).or_insert(value.is_none());
        }
    }
    let dropped = known.into_iter().filter(|(_, is_dropped)| *is_dropped);
    Ok(dropped.map(|(id, _)| id).collect())
}

impl EngineInner {
    /// A run's commit freezes the memtable. Not too much may wait for its flush.
    fn make_room_for_freeze(&self) -> Result<()> {
        self.log.check()?;
        match self.is_behind() {
            true => self.flush_frozen(),
            false => Ok(()),
        }
    }

    /// Step 4, at the commit point; `runs` come newest first. The record.
    fn show_runs(&self, timeline: &Timeline, edit: RunsEdit, runs: Vec<Unstamped>) -> Record {
        let sources = timeline.sources();
        let runs = runs.into_iter();
        let runs = runs.map(|run| Layer::Segment(run.at(edit.ts)));
        timeline.set_sources(Superversion {
            active: Arc::clone(&sources.active),
            layers: runs.chain(sources.layers.iter().cloned()).collect(),
        });
        for (table, _, rows) in &edit.tables {
            timeline.live.add(*table, *rows);
        }
        if let Some(archiver) = &self.archiver {
            archiver.need(&edit.segments);
        }
        Record::runs(edit)
    }
}
