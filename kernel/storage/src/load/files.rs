//! The segment files of one load, or of one bulk insert, until they are published or removed.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::LoadOptions;
use super::sorter::SortSpace;
use crate::engine::EngineInner;
use crate::error::{Error, Result};
use crate::flush::name_of;
use crate::ids::{CollectionId, RowId, TimelineId, Ts};
use crate::schema::ColumnType;
use crate::segment::{SegmentReader, SegmentWriter};
use crate::timeline::Base;

/// Which of two versions of a row a segment is to be asked for first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    /// Deletes of rows that a branch has from above.
    Oldest,
    Old,
    New,
}

/// A segment that is being written.
pub struct OpenSegment {
    number: u64,
    pub writer: SegmentWriter,
}

/// A segment that is whole and synced, but has no name yet in a manifest.
pub struct Finished {
    pub age: Age,
    pub number: u64,
    pub reader: SegmentReader,
}

/// What publishing must know of a loaded table.
pub struct TableSummary {
    pub id: CollectionId,
    pub types: Vec<ColumnType>,
    pub indexes: Vec<CollectionId>,
    /// On a branch by how many more than at the fork.
    pub live_rows: i64,
    pub row_max: RowId,
}

#[derive(Default)]
struct State {
    numbers: Vec<u64>,
    finished: Vec<Finished>,
    collections: HashSet<CollectionId>,
    tables: Vec<TableSummary>,
    /// Loaders of collections that are not finished.
    at_work: usize,
}

/// See the module's header.
pub struct Files {
    pub engine: Arc<EngineInner>,
    /// The main one when the load began, or that of the transaction.
    pub timeline: TimelineId,
    /// Where that branched off: what a load brings is newer, and what is older is the parent's.
    pub floor: Ts,
    /// Of a load, of which there is one at a time.
    is_load: bool,
    pub options: LoadOptions,
    pub sort: Arc<SortSpace>,
    state: Mutex<State>,
    /// Segments that small collections share, by age.
    shared: [Mutex<Option<OpenSegment>>; 3],
    /// The log may name the files, or a transaction has them: they are no longer to be removed here.
    pub published: AtomicBool,
}

impl Files {
    /// Of a load into `timeline`, or into the main one.
    pub fn new(
        engine: Arc<EngineInner>,
        timeline: Option<TimelineId>,
        options: LoadOptions,
    ) -> Result<Arc<Files>> {
        let timeline = match timeline {
            Some(timeline) => engine.timelines.get(timeline)?,
            None => engine.main(),
        };
        if engine.loading.swap(true, Ordering::AcqRel) {
            return Err(Error::invalid("another load is under way"));
        }
        // From here on dropping it makes room for another.
        let floor = timeline.base().map_or(Ts::ZERO, Base::fork_ts);
        let place = (timeline.id(), floor);
        Ok(Files::make(engine, place, options, true))
    }

    /// The files of a bulk insert on `timeline`: any number of them, beside a load, too.
    pub fn of_bulk(
        engine: Arc<EngineInner>,
        timeline: TimelineId,
        options: LoadOptions,
    ) -> Arc<Files> {
        Files::make(engine, (timeline, Ts::ZERO), options, false)
    }

    fn make(
        engine: Arc<EngineInner>,
        (timeline, floor): (TimelineId, Ts),
        mut options: LoadOptions,
        is_load: bool,
    ) -> Arc<Files> {
        let memory_max = engine.memory.work_bytes_max();
        options.memory_bytes = options.memory_bytes.min(memory_max);
        Arc::new(Files {
            sort: SortSpace::new(
                &engine.io,
                &options,
                &engine.sort_runs,
                Some(&engine.memory),
            ),
            timeline,
            floor,
            is_load,
            engine,
            options,
            state: Mutex::default(),
            shared: Default::default(),
            published: AtomicBool::new(false),
        })
    }

    /// Take `collections` on; each may be loaded once.
    pub fn begin(&self, collections: impl Iterator<Item = CollectionId>) -> Result<()> {
        let mut state = self.state.lock();
        for id in collections {
            if !state.collections.insert(id) {
                return Err(Error::invalid(format!("collection {id} is loaded twice")));
            }
        }
        state.at_work += 1;
        Ok(())
    }

    /// What [`Files::begin`] took on is written.
    pub fn end(&self, table: Option<TableSummary>) {
        let mut state = self.state.lock();
        state.at_work -= 1;
        state.tables.extend(table);
    }

    /// Whether a segment is long enough.
    pub fn is_full(&self, segment: &OpenSegment) -> bool {
        segment.writer.bytes() >= self.options.segment_bytes
    }

    /// Start a segment.
    pub fn create(&self) -> Result<OpenSegment> {
        let number = self.engine.take_segment_number()?;
        self.state.lock().numbers.push(number);
        let options = self.engine.segment_options();
        let codecs = self.engine.flusher.codecs().current();
        let timeline = self.timeline;
        let (io, name) = (&self.engine.io, name_of(number));
        let writer = SegmentWriter::create(io, &name, timeline, options, codecs)?;
        Ok(OpenSegment { number, writer })
    }

    /// End a segment and sync it; its name is synced when all are published.
    pub fn finish(&self, segment: OpenSegment, age: Age) -> Result<SegmentReader> {
        let OpenSegment { number, writer } = segment;
        let meta = writer.finish()?;
        let (io, name) = (&self.engine.io, name_of(number));
        let reader = self.engine.flusher.open_segment(io, &name, Some(&meta))?;
        self.state.lock().finished.push(Finished {
            age,
            number,
            reader: reader.clone(),
        });
        Ok(reader)
    }

    /// Let `write` add to a segment that is shared.
    pub fn share(
        &self,
        age: Age,
        write: impl FnOnce(&mut SegmentWriter) -> Result<()>,
    ) -> Result<()> {
        let mut shared = self.shared[age as usize].lock();
        let mut segment = match shared.take() {
            Some(segment) => segment,
            None => self.create()?,
        };
        write(&mut segment.writer)?;
        match self.is_full(&segment) {
            true => self.finish(segment, age).map(|_| ()),
            false => {
                *shared = Some(segment);
                Ok(())
            }
        }
    }

    /// Finish the shared segments; all that was loaded: segments from the oldest to the newest, and
    /// tables by id.
    pub fn finish_all(&self) -> Result<(Vec<Finished>, Vec<TableSummary>)> {
        if self.state.lock().at_work > 0 {
            return Err(Error::invalid("a collection of the load is not finished"));
        }
        for age in [Age::Oldest, Age::Old, Age::New] {
            if let Some(segment) = self.shared[age as usize].lock().take() {
                self.finish(segment, age)?;
            }
        }
        let mut state = self.state.lock();
        let mut finished = std::mem::take(&mut state.finished);
        finished.sort_unstable_by_key(|segment| (segment.age, segment.number));
        let mut tables = std::mem::take(&mut state.tables);
        tables.sort_unstable_by_key(|table| table.id);
        Ok((finished, tables))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // As far as it goes: the next open removes what is left. A closed database is somebody
        // else's by now.
        if !self.published.load(Ordering::Acquire) && self.engine.is_open() {
            for number in &self.state.lock().numbers {
                let _ = self.engine.io.remove(&name_of(*number));
            }
        }
        if self.is_load {
            self.engine.loading.store(false, Ordering::Release);
        }
    }
}
