//! Row runs as Arrow batches, a block at a time.
//!
//! For each block: what the directory rules out is not read; then RowIds, timestamps, tombstones and the
//! columns that ranges are about settle which rows are wanted, reading only those pages that could
//! matter, and encoded ones without decoding them; then conditions are asked, one after another, each about
//! the rows that are left; then the other columns, of which only the wanted rows are decoded (Abadi et al., "Materialization Strategies in a Column-Oriented DBMS", ICDE 2007). When all
//! rows are wanted and the pages are cached decoded, they are the batch; when few are not, what lies between
//! those is a batch each, and nothing is copied either.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt64Array, new_null_array};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_schema::SchemaRef;
use roaring::RoaringTreemap;

use super::filter::{ColumnRange, RowFilter, ValueRange, ZoneFilter};
use super::format::{Block, Rows};
use super::reader::{Keep, Picked, SegmentReader};
use crate::datum::Datum;
use crate::datum::arrow::ColumnBuilder;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, ColumnId, Ts};
use crate::memory::{Part, Reservation};
use crate::row::{batch, batch_schema};
use crate::schema::{ColumnType, TableDef};

/// Batches that are parts of a block have as many rows on average; with fewer, copying them together costs less
/// than what is done for each batch.
const SPAN_ROWS_MIN: usize = 256;

/// So many rows of a block for each excluded one make it worth looking for those, and not at each row.
const ROWS_PER_EXCLUDED: u64 = 16;

/// What to read of a segment's rows.
#[derive(Clone, Debug)]
pub struct RowScan {
    pub projection: Vec<ColumnId>,
    /// What is in the file of columns from this number on is not the table's.
    pub columns_max: usize,
    /// Append the row ids, as `_rowid`.
    pub row_id: bool,
    pub at: Ts,
    /// Rows decided by newer sources.
    pub exclude: Arc<RoaringTreemap>,
    /// Rows that do not meet all of these are left out, where the file can tell.
    pub ranges: Vec<ColumnRange>,
    /// And those that do not meet these, but where they cannot tell.
    pub filters: Vec<Arc<dyn RowFilter>>,
    /// Of `0..block_count`: the part of the segment this scan reads.
    pub blocks: Range<usize>,
}

/// Iterates over batches of at most a block's rows; none is empty.
pub struct SegmentScan {
    reader: SegmentReader,
    collection: CollectionId,
    schema: SchemaRef,
    columns: Vec<ScanColumn>,
    row_id: bool,
    at: Ts,
    exclude: Arc<RoaringTreemap>,
    ranges: Vec<RangeFilter>,
    filters: Vec<Arc<dyn RowFilter>>,
    keep: Keep,
    blocks: Range<usize>,
    /// What is left of the block that was read last.
    ready: VecDeque<RecordBatch>,
    /// What was handed out last, where the cache does not have it.
    memory: Option<Reservation>,
}

/// A range that rows are held against.
struct RangeFilter {
    zone: ZoneFilter,
    /// `None` when values cannot be held against it.
    values: Option<ValueRange>,
}

/// Where a projected column comes from.
pub(super) enum ScanColumn {
    Stored(ColumnId),
    /// Not in this file: dropped, or added after the flush.
    Constant {
        ty: ColumnType,
        value: Option<Vec<u8>>,
    },
}

impl SegmentReader {
    /// The rows of `table` as of `scan.at`: of each row the newest version with begin ≤ that, unless
    /// it is a delete or excluded.
    pub fn scan_rows(&self, table: &Arc<TableDef>, scan: RowScan) -> Result<SegmentScan> {
        let schema = batch_schema(table, &scan.projection, scan.row_id)?;
        let mut columns = Vec::new();
        let mut ranges = Vec::new();
        let mut blocks = 0..0;
        let mut keep = Keep::Decoded;
        if let Some((_, collection, rows)) = self.rows(table.id)? {
            for column in &scan.projection {
                columns.push(self.scan_column(table, scan.columns_max, rows, *column)?);
            }
            for range in &scan.ranges {
                let column = self.scan_column(table, scan.columns_max, rows, range.column)?;
                if let ScanColumn::Stored(column) = column {
                    let ty = &rows.columns[usize::from(column.0)].ty;
                    let Some(zone) = ZoneFilter::new(range, ty)? else {
                        continue;
                    };
                    let values = ValueRange::new(range, ty)?;
                    ranges.push(RangeFilter { zone, values });
                }
            }
            let read = scan.ranges.iter().map(|range| range.column);
            keep = self.keep(rows, scan.projection.iter().copied().chain(read));
            // HEAD alone has the newest versions.
            let needed = match scan.at >= collection.max_ts {
                true => rows.head.len(),
                false => rows.head.len() + rows.hist.len(),
            };
            blocks = scan.blocks.start.min(needed)..scan.blocks.end.min(needed);
        }
        let budget = self.0.cache.budget();
        let memory = budget.filter(|_| keep == Keep::Stored);
        Ok(SegmentScan {
            memory: memory.map(|budget| Reservation::new(budget, Part::Scans)),
            reader: self.clone(),
            collection: table.id,
            schema,
            columns,
            row_id: scan.row_id,
            at: scan.at,
            exclude: scan.exclude,
            ranges,
            filters: scan.filters,
            keep,
            blocks,
            ready: VecDeque::new(),
        })
    }

    pub(super) fn scan_column(
        &self,
        table: &TableDef,
        columns_max: usize,
        rows: &Rows,
        column: ColumnId,
    ) -> Result<ScanColumn> {
        let index = usize::from(column.0);
        let Some(def) = table.columns.get(index) else {
            return Err(Error::invalid(format!(
                "no column {column} in table {}",
                table.id
            )));
        };
        let constant = |value| {
            Ok(ScanColumn::Constant {
                ty: def.ty.clone(),
                value,
            })
        };
        let stored = rows.columns.get(index).filter(|_| index < columns_max);
        match stored {
            _ if def.dropped => constant(None),
            Some(stored) if stored.dropped => constant(None),
            Some(stored) if stored.ty == def.ty => Ok(ScanColumn::Stored(column)),
            Some(stored) => {
                let expected = format!("column {column} of type {:?}", def.ty);
                let found = format!("{:?}", stored.ty);
                Err(Error::corruption(&self.meta().name, 0, expected, found))
            }
            None => match def.missing.as_deref().map(Datum::decode).transpose()? {
                None | Some(Datum::Null) => constant(None),
                Some(value) => {
                    let mut bytes = Vec::new();
                    value.write_value(&def.ty, &mut bytes)?;
                    constant(Some(bytes))
                }
            },
        }
    }
}

impl ScanColumn {
    fn is(&self, other: ColumnId) -> bool {
        matches!(self, ScanColumn::Stored(column) if *column == other)
    }

    pub(super) fn is_constant(&self) -> bool {
        matches!(self, ScanColumn::Constant { .. })
    }

    /// The rows of a block's column that were picked.
    pub(super) fn array(
        &self,
        reader: &SegmentReader,
        collection: CollectionId,
        rows: &Rows,
        block: &Block,
        picked: &Picked,
        keep: Keep,
    ) -> Result<ArrayRef> {
        match self {
            ScanColumn::Constant { ty, value } => constant(ty, value.as_deref(), picked.count()),
            ScanColumn::Stored(column) => {
                let part = reader.column_part(collection, rows, block, *column, picked, keep)?;
                part.ok_or_else(|| Error::internal(format!("no page of {column:?}")))
            }
        }
    }
}

impl SegmentScan {
    /// The wanted rows of a block, in one batch or more.
    fn block(&self, number: usize) -> Result<Vec<RecordBatch>> {
        let Some((_, _, rows)) = self.reader.rows(self.collection)? else {
            return Ok(Vec::new());
        };
        let block = match number.checked_sub(rows.head.len()) {
            None => &rows.head[number],
            Some(number) => &rows.hist[number],
        };
        if block.min_ts > self.at || block.tombstones == block.rows || self.ruled_out(block) {
            return Ok(Vec::new());
        }
        let mut wanted = self.wanted(block)?;
        let mut decoded = Vec::new();
        for range in &self.ranges {
            if wanted
                .as_ref()
                .is_some_and(|wanted| wanted.count_set_bits() == 0)
            {
                return Ok(Vec::new());
            }
            let Some((column, inside)) = self.inside(rows, block, range, &mut decoded)? else {
                continue;
            };
            debug_assert_eq!(inside.len(), block.rows as usize, "{column:?}");
            wanted = Some(match wanted {
                Some(wanted) => &wanted & &inside,
                None => inside,
            });
        }
        let mut picked = Picked::new(block.rows as usize, wanted);
        if picked.count() == 0 {
            return Ok(Vec::new());
        }
        let spans = spans(&picked).filter(|_| self.filters.is_empty());
        if spans.is_some() {
            picked = Picked::new(block.rows as usize, None);
        }
        let known = self.columns.iter().map(|column| {
            let known = decoded.iter().find(|(known, _)| column.is(*known));
            known.map(|(_, array)| picked.of(array)).transpose()
        });
        let mut rows_read = RowsRead {
            known: known.collect::<Result<_>>()?,
            picked,
        };
        let read = |place: usize, picked: &Picked| -> Result<ArrayRef> {
            let column = self.columns.get(place);
            let column = column.ok_or_else(|| Error::invalid(format!("no column {place}")))?;
            let Self { reader, keep, .. } = self;
            column.array(reader, self.collection, rows, block, picked, *keep)
        };
        for filter in &self.filters {
            rows_read.narrow(&**filter, read)?;
            if rows_read.picked.count() == 0 {
                return Ok(Vec::new());
            }
        }
        let RowsRead { picked, known } = rows_read;
        let mut columns = Vec::with_capacity(self.columns.len() + 1);
        for (place, known) in known.into_iter().enumerate() {
            columns.push(match known {
                Some(array) => array,
                None => read(place, &picked)?,
            });
        }
        if self.row_id {
            let ids: ArrayRef = {
                let ids = self.reader.row_ids_of(self.collection, block)?;
                Arc::new(UInt64Array::new(ids, None))
            };
            columns.push(picked.of(&ids)?);
        }
        let batch = batch(Arc::clone(&self.schema), columns, picked.count())?;
        Ok(match spans {
            None => vec![batch],
            Some(spans) => {
                let slices = spans.into_iter();
                slices
                    .map(|(from, to)| batch.slice(from, to - from))
                    .collect()
            }
        })
    }

    /// Which rows of the block meet a range; `None` when all do, or none can be told not to. What had to be
    /// decoded for that joins `decoded`.
    fn inside(
        &self,
        rows: &Rows,
        block: &Block,
        filter: &RangeFilter,
        decoded: &mut Vec<(ColumnId, ArrayRef)>,
    ) -> Result<Option<(ColumnId, BooleanBuffer)>> {
        let column = filter.zone.column;
        let page = block.columns.get(usize::from(column.0));
        let (Some(values), Some(Some(page))) = (&filter.values, page) else {
            return Ok(None);
        };
        let is_between = |zone| filter.zone.must_match(zone);
        let all_between = page.nulls == 0 && page.zone.as_ref().is_some_and(is_between);
        if all_between && !values.is_list() {
            return Ok(None);
        }
        let told =
            self.reader
                .column_filter(self.collection, rows, block, column, values, self.keep)?;
        let Some((inside, array)) = told else {
            return Ok(None);
        };
        decoded.extend(array.map(|array| (column, array)));
        Ok(Some((column, inside)))
    }

    /// Whether zone maps show that no row of the block is wanted.
    fn ruled_out(&self, block: &Block) -> bool {
        let mut zones = self.ranges.iter().map(|range| &range.zone);
        zones.any(|zone| match block.columns.get(usize::from(zone.column.0)) {
            Some(Some(page)) => match &page.zone {
                Some(bounds) => !zone.may_match(bounds),
                // No value at all: only NULLs, which meet no range.
                None => page.nulls == block.rows,
            },
            _ => false,
        })
    }

    /// Which rows to return; `None` for all.
    fn wanted(&self, block: &Block) -> Result<Option<BooleanBuffer>> {
        let c = self.collection;
        let rows = block.rows as usize;
        let mut wanted: Option<BooleanBuffer> = None;
        let mut narrow = |bits: BooleanBuffer| {
            wanted = Some(match wanted.take() {
                Some(wanted) => &wanted & &bits,
                None => bits,
            });
        };
        if let Some(deleted) = self.reader.deleted(c, block)? {
            narrow(!&deleted);
        }
        if block.max_ts > self.at {
            let begins = self.reader.begins(c, block)?;
            narrow(BooleanBuffer::collect_bool(rows, |row| {
                begins[row] <= self.at.0
            }));
        }
        if let Some(ends) = self.reader.ends(c, block)? {
            narrow(BooleanBuffer::collect_bool(rows, |row| {
                self.at.0 < ends[row]
            }));
        }
        let excluded = self
            .exclude
            .range_cardinality(block.min_row..=block.max_row);
        if excluded > 0 {
            let ids = self.reader.row_ids_of(c, block)?;
            let are_few = excluded.saturating_mul(ROWS_PER_EXCLUDED) < u64::from(block.rows);
            narrow(match are_few && ids.is_sorted() {
                true => outside(&ids, &self.exclude),
                false => BooleanBuffer::collect_bool(rows, |row| !self.exclude.contains(ids[row])),
            });
        }
        Ok(wanted)
    }
}

/// From where to where the rows are that were picked, where that is most of a block, in few pieces.
fn spans(picked: &Picked) -> Option<Vec<(usize, usize)>> {
    let rows = picked.rows()?;
    let spans_max = picked.count() / SPAN_ROWS_MIN;
    if picked.count() < rows.len() / 2 {
        return None;
    }
    let spans: Vec<_> = rows.set_slices().take(spans_max + 1).collect();
    (spans.len() <= spans_max).then_some(spans)
}

/// Which of these row ids, which ascend, are not excluded: each that is gets looked for from where the one before
/// was found (Bentley and Yao, "An almost optimal algorithm for unbounded searching", 1976).
fn outside(ids: &[u64], exclude: &RoaringTreemap) -> BooleanBuffer {
    let mut bits = BooleanBufferBuilder::new(ids.len());
    bits.append_n(ids.len(), true);
    let mut at = 0;
    let mut excluded = exclude.iter();
    while let Some(from) = ids.get(at) {
        excluded.advance_to(*from);
        let Some(id) = excluded.next() else {
            break;
        };
        let mut step = 1;
        while ids.get(at + step).is_some_and(|next| *next < id) {
            step *= 2;
        }
        let near = &ids[at..ids.len().min(at + step + 1)];
        at += near.partition_point(|next| *next < id);
        // More than once where these are older versions.
        while ids.get(at) == Some(&id) {
            bits.set_bit(at, false);
            at += 1;
        }
    }
    bits.finish()
}

/// Rows of a block, as far as they have been read.
struct RowsRead {
    picked: Picked,
    /// By place: columns of the picked rows.
    known: Vec<Option<ArrayRef>>,
}

impl RowsRead {
    /// Leaves out what does not meet a filter. `read` gives a column of the picked rows.
    fn narrow(
        &mut self,
        filter: &dyn RowFilter,
        read: impl Fn(usize, &Picked) -> Result<ArrayRef>,
    ) -> Result<()> {
        let mut columns = Vec::new();
        for place in filter.columns() {
            let array = match self.known.get(*place) {
                Some(Some(array)) => Arc::clone(array),
                _ => read(*place, &self.picked)?,
            };
            if let Some(known) = self.known.get_mut(*place) {
                *known = Some(Arc::clone(&array));
            }
            columns.push(array);
        }
        if columns.is_empty() {
            return Ok(());
        }
        let chosen = filter.select(&columns);
        let Some(chosen) = chosen.filter(|chosen| chosen.len() == self.picked.count()) else {
            return Ok(());
        };
        if chosen.count_set_bits() == chosen.len() {
            return Ok(());
        }
        let of_these = Picked::new(chosen.len(), Some(chosen.clone()));
        for known in self.known.iter_mut().flatten() {
            *known = of_these.of(known)?;
        }
        self.picked = self.picked.narrowed(chosen);
        Ok(())
    }
}

fn constant(ty: &ColumnType, value: Option<&[u8]>, len: usize) -> Result<ArrayRef> {
    if value.is_none() {
        return Ok(new_null_array(&ty.arrow(), len));
    }
    let mut builder = ColumnBuilder::new(ty, len);
    for _ in 0..len {
        builder.append(value)?;
    }
    builder.finish()
}

impl Iterator for SegmentScan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                if let Some(memory) = &mut self.memory {
                    memory.set(batch.get_array_memory_size());
                }
                return Some(Ok(batch));
            }
            let number = self.blocks.next()?;
            match self.block(number) {
                Ok(batches) => self.ready.extend(batches),
                Err(error) => {
                    self.blocks = 0..0;
                    return Some(Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn looking_for_the_excluded_finds_what_looking_at_each_does(
            mut ids in prop::collection::vec(0u64..5000, 0..600),
            exclude in prop::collection::btree_set(0u64..6000, 0..100),
        ) {
            ids.sort_unstable();
            let exclude = RoaringTreemap::from_iter(exclude);
            let each = BooleanBuffer::collect_bool(ids.len(), |at| !exclude.contains(ids[at]));
            prop_assert_eq!(outside(&ids, &exclude), each);
        }
    }

    #[test]
    fn few_holes_leave_spans_and_many_do_not() {
        let rows = 4096;
        let without = |is_hole: &dyn Fn(usize) -> bool| {
            let wanted = BooleanBuffer::collect_bool(rows, |row| !is_hole(row));
            spans(&Picked::new(rows, Some(wanted)))
        };
        assert_eq!(without(&|_| false), None);
        assert_eq!(without(&|row| row == 10), Some(vec![(0, 10), (11, 4096)]));
        assert_eq!(without(&|row| row % 100 == 0), None);
        assert_eq!(without(&|row| row > 1000), None);
    }
}
