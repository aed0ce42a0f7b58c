//! The runs of a row collection.

use std::ops::Range;

use arrow_array::Array;
use roaring::RoaringTreemap;

use super::{Order, Output, SegmentOptions, collection};
use crate::datum::arrow::ColumnValues;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, ColumnId, RowId, Ts};
use crate::row::RowCodec;
use crate::schema::{ColumnDef, TableDef};
use crate::segment::column::{BitBuilder, ColumnPageBuilder};
use crate::segment::format::{BLOCK_ROWS_MAX, Block, Collection, ColumnPage, Rows, Run};
use crate::segment::page::{PageId, PageKind};
use crate::segment::sketch::Sketch;
use crate::segment::versions::RowRun;

/// A block closes when a column has this many pages' worth of bytes.
const BLOCK_PAGES_MAX: usize = 4;

pub(super) struct RowsWriter {
    id: CollectionId,
    codec: RowCodec,
    columns: Vec<ColumnDef>,
    order: Order<RowId>,
    rows: RoaringTreemap,
    head: RunWriter,
    hist: RunWriter,
    sketch_rows_min: usize,
}

/// The open block of a run, and the closed ones.
struct RunWriter {
    hist: bool,
    page_bytes: usize,
    row_ids: Vec<u64>,
    begins: Vec<u64>,
    ends: Vec<u64>,
    deleted: BitBuilder,
    tombstones: u32,
    columns: Vec<Option<ColumnPageBuilder>>,
    /// One for each column, of HEAD.
    sketches: Vec<Sketch>,
    blocks: Vec<Block>,
    /// The last version of a run that came by the column.
    last: Option<(u64, u64)>,
}

impl RowsWriter {
    pub fn new(table: &TableDef, options: &SegmentOptions) -> Result<RowsWriter> {
        let columns = table.columns.iter();
        Ok(RowsWriter {
            id: table.id,
            codec: RowCodec::new(table)?,
            columns: columns
                .map(|column| ColumnDef {
                    missing: None,
                    ..column.clone()
                })
                .collect(),
            order: Order::new(),
            rows: RoaringTreemap::new(),
            head: RunWriter::new(table, false, options),
            hist: RunWriter::new(table, true, options),
            sketch_rows_min: options.sketch_rows_min,
        })
    }

    pub fn push(
        &mut self,
        output: &mut Output,
        id: RowId,
        begin: Ts,
        end: Option<Ts>,
        row: Option<&[u8]>,
    ) -> Result<()> {
        self.order.check(id, begin, end)?;
        let hist = end.is_some();
        let run = if hist {
            &mut self.hist
        } else {
            self.rows.insert(id.0);
            &mut self.head
        };
        run.row_ids.push(id.0);
        run.begins.push(begin.0);
        run.ends.extend(end.map(|end| end.0));
        run.deleted.push(row.is_none());
        run.tombstones += u32::from(row.is_none());
        let row = row.map(|row| self.codec.row(row)).transpose()?;
        for (index, column) in run.columns.iter_mut().enumerate() {
            let Some(column) = column else { continue };
            column.push(match &row {
                Some(row) => row.value(ColumnId(index as u16))?,
                None => None,
            })?;
        }
        if run.is_full() {
            self.close_block(output, hist)?;
        }
        Ok(())
    }

    /// Close the block that is full of HEAD or HIST, and tell of memory while it has the most.
    fn close_block(&mut self, output: &mut Output, hist: bool) -> Result<()> {
        self.account(output, 0);
        let run = if hist { &mut self.hist } else { &mut self.head };
        let closed = run.close_block(self.id, &self.columns, output)?;
        self.account(output, closed);
        Ok(())
    }

    /// Tell of blocks that were closed, whose places take so much, and of what is open.
    fn account(&self, output: &mut Output, closed: usize) {
        let open = self.head.heap_bytes() + self.hist.heap_bytes();
        output.account(closed, open);
    }

    pub fn push_rows(
        &mut self,
        output: &mut Output,
        run: &RowRun,
        mut rows: Range<usize>,
        ends: Option<&[u64]>,
    ) -> Result<()> {
        let (hist, first) = (ends.is_some(), rows.start);
        self.check_run(run, rows.clone(), ends)?;
        for begin in &run.begins[rows.clone()] {
            self.order.span(Ts(*begin));
        }
        if !hist {
            let appended = self.rows.append(run.ids[rows.clone()].iter().copied());
            appended.map_err(|e| Error::internal(format!("RowIds that do not rise: {e}")))?;
        }
        let columns = self.columns.iter().zip(&run.columns);
        let values = columns.map(|(def, array)| ColumnValues::new(&def.ty, array.as_ref()));
        let values = values.collect::<Result<Vec<_>>>()?;
        while !rows.is_empty() {
            let writer = if hist { &mut self.hist } else { &mut self.head };
            let end = rows.start + writer.room(&values, rows.clone())?;
            let ends = ends.map(|ends| &ends[rows.start - first..end - first]);
            writer.extend(run, &values, rows.start..end, ends)?;
            rows.start = end;
            if writer.is_full() {
                self.close_block(output, hist)?;
            }
        }
        Ok(())
    }

    /// Hold the shape of `run`, and the order of `rows`, against what there is.
    fn check_run(&self, run: &RowRun, rows: Range<usize>, ends: Option<&[u64]>) -> Result<()> {
        let all = run.count();
        let whole = rows.end <= all
            && run.begins.len() == all
            && ends.is_none_or(|ends| ends.len() == rows.len())
            && run.deleted.as_ref().is_none_or(|bits| bits.len() == all)
            && run.columns.len() == self.columns.len()
            && run.columns.iter().all(|column| column.len() == all);
        if !whole {
            return Err(Error::internal("a run of rows that do not fit together"));
        }
        let writer = if ends.is_some() {
            &self.hist
        } else {
            &self.head
        };
        let mut last = writer.last;
        for (place, row) in rows.enumerate() {
            let (id, begin) = (run.ids[row], run.begins[row]);
            let fits = match (ends, last) {
                (None, last) => last.is_none_or(|(last, _)| last < id),
                (Some(ends), last) => {
                    let newer = last.filter(|(last, _)| *last == id);
                    begin < ends[place]
                        && last.is_none_or(|(last, _)| last <= id)
                        && newer.is_none_or(|(_, newer)| newer == ends[place])
                }
            };
            if !fits {
                return Err(Error::internal(format!(
                    "version ({id}, {begin}) does not follow {last:?} in a segment"
                )));
            }
            last = Some((id, begin));
        }
        Ok(())
    }

    pub fn finish(mut self, output: &mut Output) -> Result<Option<Collection>> {
        if self.order.is_empty() {
            return Ok(None);
        }
        self.head.close_block(self.id, &self.columns, output)?;
        self.hist.close_block(self.id, &self.columns, output)?;
        // What a page is encoded with, it says itself.
        self.columns
            .iter_mut()
            .for_each(|column| column.compression = None);
        let mut bitmap = Vec::with_capacity(self.rows.serialized_size());
        self.rows.optimize();
        self.rows
            .serialize_into(&mut bitmap)
            .map_err(|e| Error::internal(format!("a bitmap into memory: {e}")))?;
        let kind = PageKind::RowBitmap;
        let page = PageId {
            kind,
            collection: self.id,
            column: ColumnId(0),
            rows: 0,
        };
        let bitmap = output.page(page, &bitmap)?;
        let mut sketches = Vec::with_capacity(self.head.columns.len());
        let counted: usize = self
            .head
            .blocks
            .iter()
            .map(|block| block.rows as usize)
            .sum();
        for (column, sketch) in (0u16..).map(ColumnId).zip(&self.head.sketches) {
            let kind = PageKind::Sketch;
            let worth = counted >= self.sketch_rows_min && !sketch.is_empty();
            sketches.push(match worth {
                true => Some(output.page(
                    PageId {
                        kind,
                        column,
                        ..page
                    },
                    sketch.page(),
                )?),
                false => None,
            });
        }
        let (head, hist) = (self.head.blocks, self.hist.blocks);
        let run = Run::Rows(Rows {
            columns: self.columns,
            sketches,
            bitmap,
            head,
            hist,
        });
        Ok(Some(collection(
            self.id,
            self.order.min_ts,
            self.order.max_ts,
            run,
        )))
    }
}

impl RunWriter {
    fn new(table: &TableDef, hist: bool, options: &SegmentOptions) -> RunWriter {
        let columns = table.columns.iter();
        RunWriter {
            hist,
            sketches: match hist {
                true => Vec::new(),
                false => vec![Sketch::default(); columns.len()],
            },
            page_bytes: options.page_bytes,
            row_ids: Vec::new(),
            begins: Vec::new(),
            ends: Vec::new(),
            deleted: BitBuilder::default(),
            tombstones: 0,
            columns: columns
                .map(|column| {
                    let min = options.blob_bytes_min;
                    (!column.dropped).then(|| ColumnPageBuilder::with_blobs(&column.ty, min))
                })
                .collect(),
            blocks: Vec::new(),
            last: None,
        }
    }

    fn column_bytes_max(&self) -> usize {
        self.page_bytes * BLOCK_PAGES_MAX
    }

    fn is_full(&self) -> bool {
        let bytes_max = self.column_bytes_max();
        let mut columns = self.columns.iter().flatten();
        self.row_ids.len() == BLOCK_ROWS_MAX || columns.any(|column| column.is_full(bytes_max))
    }

    /// How many of `rows` the open block still takes; one at least.
    fn room(&self, values: &[ColumnValues<'_>], mut rows: Range<usize>) -> Result<usize> {
        rows.end = rows
            .end
            .min(rows.start + BLOCK_ROWS_MAX - self.row_ids.len());
        for (column, values) in self.columns.iter().zip(values) {
            if let Some(column) = column {
                let room = column.room(values, rows.clone(), self.column_bytes_max())?;
                rows.end = rows.start + room;
            }
        }
        Ok(rows.len())
    }

    fn extend(
        &mut self,
        run: &RowRun,
        values: &[ColumnValues<'_>],
        rows: Range<usize>,
        ends: Option<&[u64]>,
    ) -> Result<()> {
        self.row_ids.extend_from_slice(&run.ids[rows.clone()]);
        self.begins.extend_from_slice(&run.begins[rows.clone()]);
        self.ends.extend_from_slice(ends.unwrap_or_default());
        for row in rows.clone() {
            let deleted = run.deleted.as_ref().is_some_and(|bits| bits.value(row));
            self.deleted.push(deleted);
            self.tombstones += u32::from(deleted);
        }
        for (column, values) in self.columns.iter_mut().zip(values) {
            if let Some(column) = column {
                column.extend(values, rows.clone())?;
            }
        }
        if let Some(row) = rows.last() {
            self.last = Some((run.ids[row], run.begins[row]));
        }
        Ok(())
    }

    /// What the columns of the open block take in memory.
    fn heap_bytes(&self) -> usize {
        let numbers = [&self.row_ids, &self.begins, &self.ends];
        let numbers = numbers.iter().map(|numbers| numbers.capacity());
        let columns = self.columns.iter().flatten();
        columns.map(ColumnPageBuilder::heap_bytes).sum::<usize>()
            + numbers.sum::<usize>() * size_of::<u64>()
    }

    /// What the block's places take in memory.
    fn close_block(
        &mut self,
        collection: CollectionId,
        defs: &[ColumnDef],
        output: &mut Output,
    ) -> Result<usize> {
        let (Some(min_row), Some(max_row)) = (self.row_ids.first(), self.row_ids.last()) else {
            return Ok(0);
        };
        let (min_row, max_row) = (*min_row, *max_row);
        let rows = self.row_ids.len() as u32;
        let id = |kind, column| PageId {
            kind,
            collection,
            column,
            rows,
        };
        let no_column = ColumnId(0);
        let numbers = |output: &mut Output, kind, numbers: &[u64]| {
            output.numbers_page(id(kind, no_column), numbers)
        };
        let row_ids = numbers(output, PageKind::RowIds, &self.row_ids)?;
        let begins = numbers(output, PageKind::Begins, &self.begins)?;
        let ends = match self.hist {
            true => Some(numbers(output, PageKind::Ends, &self.ends)?),
            false => None,
        };
        let deleted = match self.tombstones {
            0 => None,
            _ => Some(output.page(id(PageKind::Deleted, no_column), self.deleted.bytes())?),
        };
        let mut columns = Vec::with_capacity(self.columns.len());
        let mut raw = Vec::new();
        for (index, (column, def)) in self.columns.iter_mut().zip(defs).enumerate() {
            let Some(column) = column else {
                columns.push(None);
                continue;
            };
            let (nulls, zone) = (column.nulls(), column.zone_map()?);
            if let Some(sketch) = self.sketches.get_mut(index) {
                column.sketch(sketch);
            }
            column.take(&mut raw);
            let id = id(PageKind::Column, ColumnId(index as u16));
            let written = output.column_page(id, def, &raw)?;
            columns.push(Some(ColumnPage {
                place: written.place,
                nulls,
                zone,
                codec: written.codec,
                rival: written.rival,
                blobs: None,
            }));
        }
        // Behind the pages of all columns, which are read together.
        for (index, (column, def)) in self.columns.iter_mut().zip(defs).enumerate() {
            let blobs = column.as_mut().and_then(ColumnPageBuilder::take_blobs);
            if let (Some(blobs), Some(page)) = (blobs, &mut columns[index]) {
                let id = id(PageKind::BlobIndex, ColumnId(index as u16));
                page.blobs = Some(output.blob_pages(id, def, &blobs, self.page_bytes)?);
            }
        }
        let block = Block {
            rows,
            tombstones: self.tombstones,
            min_row,
            max_row,
            min_ts: Ts(self.begins.iter().copied().min().unwrap_or(0)),
            max_ts: Ts(self.begins.iter().copied().max().unwrap_or(0)),
            row_ids,
            begins,
            ends,
            deleted,
            columns,
        };
        let bytes = block.heap_bytes();
        self.blocks.push(block);
        self.row_ids.clear();
        self.begins.clear();
        self.ends.clear();
        self.deleted.clear();
        self.tombstones = 0;
        Ok(bytes)
    }
}
