//! Writing one segment of several.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use super::definitions::Judged;
use super::keep::Keep;
use super::{entries, rows};
use crate::catalog::CATALOG;
use crate::engine::EngineInner;
use crate::error::{Error, Result};
use crate::flush::name_of;
use crate::history::Horizons;
use crate::ids::{CollectionId, TimelineId, Ts};
use crate::memory::{Part, Reservation};
use crate::schema::TableDef;
use crate::segment::{PageCache, SegmentReader, SegmentWriter};
use crate::view::{Layer, Path, Superversion};

/// For pages that are being read; most are read once.
const CACHE_BYTES: usize = 8 << 20;
/// Pages' worth of rows that a file has in memory while it is merged: a block in each of four streams, of which
/// the longest column has four pages, and the others have some together. Large values come on top.
pub const RUN_PAGES: usize = 20;

/// One merge.
pub struct Merging<'a> {
    pub engine: &'a EngineInner,
    pub timeline: TimelineId,
    pub segments: Vec<SegmentReader>,
    /// Of these collections something is in older files, or in the timelines above.
    pub known_before: HashSet<CollectionId>,
    /// Collections past their time of which something is in memory or in another file.
    pub dead_elsewhere: HashSet<CollectionId>,
    pub horizons: &'a Horizons,
    pub definitions: &'a Judged,
    /// Says when to stop.
    pub check: &'a dyn Fn() -> Result<()>,
}

impl<'a> Merging<'a> {
    /// Of the segments in `range` of the layers of `path`, which is of all that is committed on the
    /// timeline. Memtables of the path are not held while the merge runs.
    pub fn new(
        engine: &'a EngineInner,
        path: &Path,
        range: Range<usize>,
        horizons: &'a Horizons,
        definitions: &'a Judged,
        check: &'a dyn Fn() -> Result<()>,
    ) -> Merging<'a> {
        let Superversion { active, layers } = &**path.own();
        let segments = layers[range.clone()].iter().filter_map(Layer::segment);
        let segments: Vec<_> = segments.cloned().collect();
        let (newer, older) = (&layers[..range.start], &layers[range.end..]);
        let ids = segments.iter().flat_map(|s| &s.meta().collections);
        let is_before =
            |id: &&CollectionId| older.iter().any(|layer| layer.has(**id)) || path.is_above(**id);
        let is_elsewhere = |id: &CollectionId| {
            active.has(*id) || newer.iter().chain(older).any(|layer| layer.has(*id))
        };
        Merging {
            engine,
            timeline: active.timeline(),
            known_before: ids.filter(is_before).copied().collect(),
            dead_elsewhere: definitions.dead().filter(is_elsewhere).collect(),
            segments,
            horizons,
            definitions,
            check,
        }
    }

    pub fn segments(&self) -> &[SegmentReader] {
        &self.segments
    }

    /// Write segment `number`, and sync it and its name; `None` when nothing is left, and no file.
    pub fn write(&self, number: u64) -> Result<Option<SegmentReader>> {
        let (engine, name) = (self.engine, name_of(number));
        let io = &engine.io;
        let cache_bytes = CACHE_BYTES.min(engine.memory.work_bytes_max() / 4);
        let cache = PageCache::new(cache_bytes);
        let blobs = self.segments.iter().map(SegmentReader::blob_bytes_at_once);
        let runs_bytes =
            self.segments.len() * RUN_PAGES * engine.options.page_bytes + blobs.sum::<usize>();
        let _memory = Reservation::of(&engine.memory, Part::Work, cache_bytes + runs_bytes);
        let readers = self.segments().iter();
        let readers = readers.map(|segment| engine.flusher.open_beside(io, segment, &cache));
        let readers = readers.collect::<Result<Vec<_>>>()?;
        let options = engine.segment_options();
        let codecs = engine.flusher.codecs().current();
        let mut writer = SegmentWriter::create(io, &name, self.timeline, options, codecs)?;
        let ids: BTreeSet<CollectionId> = readers
            .iter()
            .flat_map(|reader| reader.meta().collections.iter().copied())
            .collect();
        for id in ids {
            (self.check)()?;
            if !self.definitions.is_dead(id) {
                self.write_collection(&readers, id, &mut writer)?;
            }
        }
        let meta = writer.finish()?;
        if meta.collections.is_empty() {
            io.remove(&name)
                .map_err(|e| Error::io("remove", &name, e))?;
            return Ok(None);
        }
        engine.sync_segment_names()?;
        engine
            .flusher
            .open_segment(io, &name, Some(&meta))
            .map(Some)
    }

    fn write_collection(
        &self,
        readers: &[SegmentReader],
        id: CollectionId,
        writer: &mut SegmentWriter,
    ) -> Result<()> {
        let readers: Vec<_> = readers
            .iter()
            .filter(|reader| reader.has(id))
            .cloned()
            .collect();
        let keep = Keep {
            horizon: self.horizons.of(id),
            is_oldest: !self.known_before.contains(&id),
        };
        if readers.iter().any(|reader| reader.has_rows(id)) {
            let table = self.definitions.table(id);
            let table = table.ok_or_else(|| Error::internal(format!("rows of no table, {id}")))?;
            return rows::merge(&readers, table, keep, self.check, writer);
        }
        match id {
            CATALOG => entries::merge_definitions(&readers, id, keep, &self.dead_elsewhere, writer),
            _ => entries::merge(&readers, id, keep, self.check, writer),
        }
    }

    /// Whether `merged` tells less of times before the horizons than the segments did: fewer versions, or
    /// fewer values of them.
    pub fn loses_history(&self, merged: Option<&SegmentReader>) -> bool {
        let before: u64 = self.segments().iter().map(versions).sum();
        let loses_columns = |segment: &SegmentReader| {
            let tables = segment.meta().collections.iter();
            let mut tables = tables.filter_map(|id| self.definitions.table(*id));
            tables.any(|table| segment.has_dropped_values(table))
        };
        before > merged.map_or(0, versions) || self.segments().iter().any(loses_columns)
    }
}

/// Write what is newest in `readers`, which are from the newest to the oldest, of every key of a
/// collection; deletes stay. `table` is its definition if it has rows. This is how the runs of one
/// transaction become one.
pub fn merge_newest(
    readers: &[SegmentReader],
    id: CollectionId,
    table: Option<&TableDef>,
    check: &dyn Fn() -> Result<()>,
    writer: &mut SegmentWriter,
) -> Result<()> {
    let readers = readers.iter().filter(|reader| reader.has(id));
    let readers: Vec<_> = readers.cloned().collect();
    let keep = Keep {
        horizon: Ts::MAX,
        is_oldest: false,
    };
    match table {
        Some(table) => rows::merge(&readers, table, keep, check, writer),
        None => entries::merge(&readers, id, keep, check, writer),
    }
}

/// How many versions a segment has.
pub fn versions(segment: &SegmentReader) -> u64 {
    let collections = segment.collection_bytes();
    collections
        .iter()
        .map(|collection| collection.versions)
        .sum()
}

/// What of a segment is known to go when it is written anew, alone, and does so then: collections that
/// are past their time, versions that ended before the horizon, and deletes that hide nothing.
pub fn garbage_bytes(
    segment: &SegmentReader,
    path: &Path,
    older: &[Layer],
    horizons: &Horizons,
    definitions: &Judged,
) -> u64 {
    let collections = segment.collection_bytes().into_iter();
    let garbage = collections.map(|c| {
        let id = c.collection;
        let is_oldest = || !older.iter().any(|layer| layer.has(id)) && !path.is_above(id);
        match id {
            // Definitions may have to stay for the sake of what they name.
            CATALOG => 0,
            _ if definitions.is_dead(id) => c.bytes,
            // What ends in this file ends by its newest version.
            _ if c.max_ts > horizons.of(id) => 0,
            // A delete takes its RowId and its time at least.
            _ if is_oldest() => c.hist_bytes + c.tombstones * 16,
            _ => c.hist_bytes,
        }
    });
    garbage.sum()
}
