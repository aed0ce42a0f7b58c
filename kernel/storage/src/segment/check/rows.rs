//! The rows of one collection in a segment.

use arrow_array::Array;
use arrow_buffer::{BooleanBuffer, ScalarBuffer};

use super::{Chain, InHead, Span, bytes, page, run};
use crate::check::finding::{Broken, Place, Report};
use crate::datum::arrow::ColumnValues;
use crate::error::Result;
use crate::ids::{CollectionId, ColumnId, Ts};
use crate::schema::ColumnType;
use crate::segment::column::ColumnPageBuilder;
use crate::segment::format::{Block, ColumnPage, PagePlace, Rows, ZoneMap};
use crate::segment::page::PAGE_HEADER_BYTES;
use crate::segment::reader::{Keep, Picked, SegmentReader};
use crate::segment::sketch::Sketch;

/// The span of versions, if all of them can be read.
pub fn check(
    segment: &SegmentReader,
    c: CollectionId,
    rows: &Rows,
    report: &mut Report<'_>,
) -> Result<Option<Span>> {
    let mut check = RowsCheck {
        segment,
        c,
        rows,
        report,
        span: Span::new(),
        whole: true,
        sketches: rows
            .sketches
            .iter()
            .map(|place| place.map(|_| Sketch::default()))
            .collect(),
    };
    check.head()?;
    check.sketches()?;
    check.hist()?;
    Ok(check.whole.then_some(check.span))
}

struct RowsCheck<'a, 'r> {
    segment: &'a SegmentReader,
    c: CollectionId,
    rows: &'a Rows,
    report: &'a mut Report<'r>,
    span: Span,
    /// Whether all RowIds and timestamps could be read.
    whole: bool,
    /// Of the columns of HEAD that have one, as far as they could be read.
    sketches: Vec<Option<Sketch>>,
}

/// What orders the versions of a block.
struct BlockKeys {
    ids: ScalarBuffer<u64>,
    begins: ScalarBuffer<u64>,
    ends: Option<ScalarBuffer<u64>>,
}

impl RowsCheck<'_, '_> {
    fn place(&self, place: PagePlace, hist: bool, number: usize, what: &str) -> Place {
        let part = format!("{} block {number}, {what}", run(hist));
        page(self.segment, self.c, place, part)
    }

    /// HEAD, and the bitmap of its RowIds.
    fn head(&mut self) -> Result<()> {
        let bitmap_place = page(self.segment, self.c, self.rows.bitmap, "bitmap of RowIds");
        let bitmap = self.segment.row_ids(self.c);
        let bitmap = self.report.take(|| bitmap_place.clone(), bitmap)?.flatten();
        self.report.advance(bytes(self.rows.bitmap))?;
        let mut in_bitmap = bitmap.as_ref().map(|bitmap| bitmap.iter());
        let (mut differs, mut last) = (Broken::default(), None);
        for (number, block) in self.rows.head.iter().enumerate() {
            let Some(keys) = self.block(false, number, block)? else {
                in_bitmap = None;
                continue;
            };
            let mut unordered = Broken::default();
            for id in keys.ids.iter().copied() {
                if last.is_some_and(|last| last >= id) {
                    unordered.add(|| format!("row {id} does not come after the one before it"));
                }
                last = Some(id);
                if let Some(in_bitmap) = &mut in_bitmap {
                    let found = in_bitmap.next();
                    if found != Some(id) {
                        differs.add(|| match found {
                            Some(found) => format!("expected row {id}, found row {found}"),
                            None => format!("expected row {id}, found no more rows"),
                        });
                    }
                }
            }
            let place = self.place(block.row_ids, false, number, "RowIds");
            unordered.report(self.report, || place);
        }
        if let Some(found) = in_bitmap.and_then(|mut rest| rest.next()) {
            differs.add(|| format!("expected the end, found row {found}"));
        }
        differs.report(self.report, || bitmap_place);
        Ok(())
    }

    /// What the file says of how many values its columns have, beside what HEAD has.
    fn sketches(&mut self) -> Result<()> {
        for (index, counted) in std::mem::take(&mut self.sketches).into_iter().enumerate() {
            let Some(place) = self.rows.sketches[index] else {
                continue;
            };
            let id = ColumnId(index as u16);
            let at = || page(self.segment, self.c, place, "sketch").column(id);
            let said = self.segment.sketch(self.c, id);
            let said = self.report.take(at, said)?.flatten();
            self.report.advance(bytes(place))?;
            if let (Some(said), Some(counted)) = (said, counted)
                && *said != counted
            {
                let what = format!(
                    "expected about {:.0} different values, found about {:.0}",
                    said.estimate(),
                    counted.estimate()
                );
                self.report.damage(at(), what);
            }
        }
        Ok(())
    }

    /// HIST, beside HEAD, which has the newest version of every row.
    fn hist(&mut self) -> Result<()> {
        let mut head = HeadRows {
            segment: self.segment,
            c: self.c,
            rows: self.rows,
            block: 0,
            loaded: None,
        };
        let mut chain = Chain::new();
        for (number, block) in self.rows.hist.iter().enumerate() {
            let Some(keys) = self.block(true, number, block)? else {
                chain.forget();
                continue;
            };
            let Some(ends) = &keys.ends else { continue };
            let mut broken = Broken::default();
            for ((id, begin), end) in keys.ids.iter().zip(keys.begins.iter()).zip(ends.iter()) {
                let lives = (Ts(*begin), Ts(*end));
                if let Some(wrong) = chain.next(id, lives, || head.find(*id)) {
                    broken.add(|| format!("version {begin} to {end} of row {id} {wrong}"));
                }
            }
            let place = self.place(block.row_ids, true, number, "versions");
            broken.report(self.report, || place);
        }
        Ok(())
    }

    /// Every page of a block by itself. `None` when what orders its versions cannot be read.
    fn block(&mut self, hist: bool, number: usize, block: &Block) -> Result<Option<BlockKeys>> {
        let (segment, c) = (self.segment, self.c);
        let place = |place, what: &str| {
            let part = format!("{} block {number}, {what}", run(hist));
            page(segment, c, place, part)
        };
        let row_ids = || place(block.row_ids, "RowIds");
        let begins_place = || place(block.begins, "begins");
        let ids = self.report.take(row_ids, segment.row_ids_of(c, block))?;
        let begins = self.report.take(begins_place, segment.begins(c, block))?;
        let mut done = bytes(block.row_ids) + bytes(block.begins);
        let mut ends = Some(None);
        if let Some(at) = block.ends {
            ends = self
                .report
                .take(|| place(at, "ends"), segment.ends(c, block))?;
            done += bytes(at);
        }
        let mut deleted = None;
        if let Some(at) = block.deleted {
            let read = segment.deleted(c, block);
            deleted = self.report.take(|| place(at, "deleted"), read)?.flatten();
            done += bytes(at);
            let count = deleted.as_ref().map(BooleanBuffer::count_set_bits);
            if count.is_some_and(|count| count != block.tombstones as usize) {
                let what = format!(
                    "expected {} deletes, found {}",
                    block.tombstones,
                    count.unwrap_or_default()
                );
                self.report.damage(place(at, "deleted"), what);
            }
        }
        self.report.advance(done)?;
        if let Some(ids) = &ids {
            let found = (ids.first().copied(), ids.last().copied());
            if found != (Some(block.min_row), Some(block.max_row)) {
                let what = format!(
                    "expected rows {} to {}, found {found:?}",
                    block.min_row, block.max_row
                );
                self.report.damage(row_ids(), what);
            }
        }
        if let Some(begins) = &begins {
            let mut span = Span::new();
            begins.iter().for_each(|begin| span.cover(Ts(*begin)));
            let said = Span {
                min: block.min_ts,
                max: block.max_ts,
            };
            if span != said {
                let what = format!("expected versions of {said}, found {span}");
                self.report.damage(begins_place(), what);
            }
            self.span.cover(span.min);
            self.span.cover(span.max);
        }
        for (index, column) in block.columns.iter().enumerate() {
            if let Some(column) = column {
                let id = ColumnId(index as u16);
                let place = || place(column.place, "values").column(id);
                self.column((hist, block), id, column, deleted.as_ref(), &place)?;
            }
        }
        let keys = match (ids, begins, ends) {
            (Some(ids), Some(begins), Some(ends)) => Some(BlockKeys { ids, begins, ends }),
            _ => None,
        };
        self.whole &= keys.is_some();
        Ok(keys)
    }

    fn column(
        &mut self,
        (hist, block): (bool, &Block),
        id: ColumnId,
        column: &ColumnPage,
        deleted: Option<&BooleanBuffer>,
        place: &dyn Fn() -> Place,
    ) -> Result<()> {
        let all = Picked::new(block.rows as usize, None);
        let read = self
            .segment
            .column_part(self.c, self.rows, block, id, &all, Keep::Stored);
        let array = self.report.take(place, read)?.flatten();
        let blobs = column.blobs.as_ref();
        let done = blobs.map_or(0, |blobs| {
            bytes(blobs.index)
                + u64::from(blobs.pages) * PAGE_HEADER_BYTES as u64
                + blobs.stored_bytes
        });
        self.report.advance(bytes(column.place) + done)?;
        let Some(array) = array else {
            if !hist {
                self.sketches[usize::from(id.0)] = None;
            }
            return Ok(());
        };
        if array.null_count() != column.nulls as usize {
            let what = format!(
                "expected {} NULLs, found {}",
                column.nulls,
                array.null_count()
            );
            self.report.damage(place(), what);
        }
        let valued =
            |row: &usize| deleted.is_some_and(|bits| bits.value(*row)) && array.is_valid(*row);
        if let Some(row) = (0..array.len()).find(valued) {
            let what = format!("the delete at place {row} has a value");
            self.report.damage(place(), what);
        }
        let values = values_of(&self.rows.columns[usize::from(id.0)].ty, array.as_ref());
        let Some(values) = self.report.take(place, values)? else {
            if !hist {
                self.sketches[usize::from(id.0)] = None;
            }
            return Ok(());
        };
        if !hist && let Some(sketch) = &mut self.sketches[usize::from(id.0)] {
            values.sketch(sketch);
        }
        let zone = self.report.take(place, values.zone_map())?.flatten();
        if let (Some(found), Some(said)) = (&zone, &column.zone)
            && !bounds(said, found)
        {
            let what = "a value is outside of the page's zone map";
            self.report.damage(place(), what);
        }
        Ok(())
    }
}

/// The values as they would be written.
fn values_of(ty: &ColumnType, array: &dyn Array) -> Result<ColumnPageBuilder> {
    let mut builder = ColumnPageBuilder::new(ty);
    builder.extend(&ColumnValues::new(ty, array)?, 0..array.len())?;
    Ok(builder)
}

/// Whether the values whose own zone map is `of` lie within `zone`.
fn bounds(zone: &ZoneMap, of: &ZoneMap) -> bool {
    let above = zone.min <= of.min;
    // Of two bounds cut at the same place the values may still go on behind it.
    let below = match zone.max.cmp(&of.max) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => zone.max_cut || !of.max_cut,
        std::cmp::Ordering::Less => zone.max_cut && of.max.starts_with(&zone.max),
    };
    above && below
}

/// Looks up rows in HEAD, in rising order.
struct HeadRows<'a> {
    segment: &'a SegmentReader,
    c: CollectionId,
    rows: &'a Rows,
    block: usize,
    /// Of `block`; `None` inside when it cannot be read, which was told before.
    loaded: Option<Option<BlockKeys>>,
}

impl HeadRows<'_> {
    fn find(&mut self, id: u64) -> InHead {
        let head = &self.rows.head;
        while head.get(self.block).is_some_and(|block| block.max_row < id) {
            self.block += 1;
            self.loaded = None;
        }
        let Some(block) = head.get(self.block).filter(|block| block.min_row <= id) else {
            return InHead::Missing;
        };
        let (segment, c) = (self.segment, self.c);
        let loaded = self.loaded.get_or_insert_with(|| {
            let ids = segment.row_ids_of(c, block).ok()?;
            let begins = segment.begins(c, block).ok()?;
            Some(BlockKeys {
                ids,
                begins,
                ends: None,
            })
        });
        let Some(keys) = loaded else {
            return InHead::Unknown;
        };
        match keys.ids.binary_search(&id) {
            Ok(row) => InHead::Since(Ts(keys.begins[row])),
            Err(_) => InHead::Missing,
        }
    }
}
