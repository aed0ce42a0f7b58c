//! Publishing a load: everything appears at once.
//!
//! 1. Finish the shared segments, and sync the names of all.
//! 2. Keep flushes out, and see that none is due: a memtable that was frozen before must not bring
//!    row counts after the load that know nothing of it. Reserve room for the log's record: a full disk
//!    refuses here.
//! 3. With commits kept out for a moment, hold what was loaded against what there is, put the record
//!    into the log and set the clock and the counters. Before this the files are the load's, and go with it.
//! 4. Wait until the record is durable, and swap the segments in. Nobody could see them before: the
//!    first commit that may know of them comes after.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::LoadedState;
use super::files::{Files, Finished, TableSummary};
use super::table::NUMBER_MAX;
use crate::error::{Error, Result};
use crate::flush::entry_of;
use crate::history::Horizons;
use crate::history::named::PINS;
use crate::ids::{CollectionId, RowId, TimelineId, Ts};
use crate::manifest::{LoadEdit, TableCounts};
use crate::segment::SegmentReader;
use crate::sequence::SequenceState;
use crate::view::{Layer, Path, Superversion};
use crate::wal::record::Record;

impl Files {
    pub fn publish(&self, state: LoadedState) -> Result<()> {
        let engine = &*self.engine;
        let (finished, tables) = self.finish_all()?;
        if !finished.is_empty() {
            engine.sync_segment_names()?;
        }
        let timeline = engine.timelines.get(self.timeline)?;
        let edit = edit_of((timeline.id(), self.floor), &finished, &tables, state)?;
        // Newest first, as readers want them.
        let segments: Vec<_> = finished.into_iter().rev().map(|s| s.reader).collect();

        engine.log.check()?;
        let turn = engine.flusher.turn();
        let ticket = loop {
            engine.flush_in_turn(&turn)?;
            let record = Record::load(edit.clone());
            let reserved = engine.log.reserve(record.bytes.len())?;
            let _window = engine.freeze.write();
            let sources = timeline.sources();
            if sources.frozen().next().is_some() {
                continue;
            }
            check_new(&sources, &segments)?;
            let path = Path::new(&timeline, Ts::MAX);
            let path = path.over(Arc::new(with_segments(&sources, &segments)));
            check_defined(&path, &tables)?;
            let expired = engine.cursors_expire_before();
            engine.pins.check_load(edit.horizons.all(), expired)?;
            if let Some(archiver) = &engine.archiver {
                archiver.need(&edit.segments);
            }
            let ticket = engine.log.push_load(record, edit.last_ts, reserved)?;
            // From here on the log may name the files.
            self.published.store(true, Ordering::Release);
            engine.pins.load(&edit.horizons);
            for (table, counts) in &edit.tables {
                let counters = engine.tables.get(*table);
                counters.reserve_below(counts.next_row);
                timeline.live.add(*table, counts.live_rows);
            }
            engine.take_over(timeline.id(), edit.next_collection, &edit.sequences);
            break ticket;
        };
        engine.log.wait(ticket)?;
        let _window = engine.freeze.write();
        timeline.set_sources(with_segments(&timeline.sources(), &segments));
        if segments.iter().any(|segment| segment.has(PINS)) {
            engine.read_pins()?;
        }
        Ok(())
    }
}

/// The log's record of a load.
fn edit_of(
    (timeline, floor): (TimelineId, Ts),
    finished: &[Finished],
    tables: &[TableSummary],
    state: LoadedState,
) -> Result<LoadEdit> {
    let last_ts = state.last_ts;
    if last_ts.0 >= NUMBER_MAX {
        return Err(Error::invalid(format!("{last_ts} is no timestamp")));
    }
    let history_from = state.history_from;
    if history_from > last_ts {
        return Err(Error::invalid(format!(
            "a load that ends at {last_ts} and has the history from {history_from} on"
        )));
    }
    for segment in finished {
        let newest = segment.reader.meta().max_ts;
        let oldest = segment.reader.meta().min_ts;
        if oldest <= floor && floor > Ts::ZERO {
            return Err(Error::invalid(format!(
                "a version of {oldest} in a load of timeline {timeline}, which branched off at {floor}"
            )));
        }
        if newest > last_ts {
            return Err(Error::invalid(format!(
                "a version of {newest} in a load that ends at {last_ts}"
            )));
        }
    }
    let mut counts: std::collections::BTreeMap<CollectionId, TableCounts> = tables
        .iter()
        .map(|table| {
            let counts = TableCounts {
                next_row: RowId(table.row_max.0 + 1),
                live_rows: table.live_rows,
            };
            (table.id, counts)
        })
        .collect();
    for (table, next_row) in state.next_rows {
        let Some(counts) = counts.get_mut(&table) else {
            return Err(Error::invalid(format!("table {table} was not loaded")));
        };
        if next_row < counts.next_row || next_row.0 > NUMBER_MAX {
            return Err(Error::invalid(format!(
                "row {next_row} of table {table} may be handed out, but {} may be there",
                counts.next_row
            )));
        }
        counts.next_row = next_row;
    }
    let mut horizons = Horizons::new(history_from);
    for (id, from) in state.tables_from {
        let Some(table) = tables.iter().find(|table| table.id == id) else {
            return Err(Error::invalid(format!("table {id} was not loaded")));
        };
        if from > last_ts {
            return Err(Error::invalid(format!(
                "a load that ends at {last_ts} and has the history of table {id} from {from} on"
            )));
        }
        for id in std::iter::once(&id).chain(&table.indexes) {
            horizons.set(*id, from);
        }
    }
    let sequences = state.sequences.into_iter();
    Ok(LoadEdit {
        timeline,
        last_ts,
        horizons,
        next_collection: state.next_collection,
        segments: finished
            .iter()
            .map(|segment| entry_of(segment.number, &segment.reader))
            .collect(),
        tables: counts.into_iter().collect(),
        sequences: sequences
            .map(|(id, value, is_called)| (id, SequenceState { value, is_called }))
            .collect(),
    })
}

fn with_segments(sources: &Superversion, new: &[SegmentReader]) -> Superversion {
    let new = new.iter().cloned().map(Layer::Segment);
    Superversion {
        active: Arc::clone(&sources.active),
        layers: new.chain(sources.layers.iter().cloned()).collect(),
    }
}

/// Nothing of a loaded collection may be there: its versions could be newer or older than loaded ones.
fn check_new(sources: &Superversion, segments: &[SegmentReader]) -> Result<()> {
    for id in segments
        .iter()
        .flat_map(|segment| &segment.meta().collections)
    {
        if sources.has(*id) {
            return Err(Error::invalid(format!(
                "collection {id} is not empty and cannot be loaded"
            )));
        }
    }
    Ok(())
}

/// Without its definition a table's rows could be neither flushed nor read.
fn check_defined(path: &Path, tables: &[TableSummary]) -> Result<()> {
    for table in tables {
        let Some(def) = path.newest_definition(table.id)? else {
            return Err(Error::invalid(format!("table {} is not defined", table.id)));
        };
        let types = def.columns.iter().map(|column| &column.ty);
        if !types.eq(&table.types) {
            return Err(Error::invalid(format!(
                "table {} is defined with other columns than were loaded",
                table.id
            )));
        }
    }
    Ok(())
}
