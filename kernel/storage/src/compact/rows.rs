//! Merging a table's rows, by the column.
//!
//! HEAD and HIST are written one after the other, each from streams of runs by rising RowId:
//!
//! * HEAD of the new file has of every row the version of the newest file that has the row. Which rows
//!   those are the bitmaps tell, so the streams have no row in common.
//! * HIST has the HIST of all files, and the HEAD versions of rows that newer files have, too. Where one
//!   of those ends only the newer files know: it is where the version before it in the order of files
//!   began. For that, the RowIds and times of newest versions come along, without their columns.
//!
//! As long as one stream's rows are next, they are handed on as a range of its run, so runs that overlap
//! nothing are copied column by column. Memory: a run per stream that overlaps, four per file at most.

use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringTreemap;

use super::keep::Keep;
use crate::error::{Error, Result};
use crate::ids::Ts;
use crate::schema::TableDef;
use crate::segment::{RowPick, RowRun, RowRuns, SegmentReader, SegmentWriter};

/// Write `table`'s rows in `readers`, which are from the newest to the oldest and all have some.
pub fn merge(
    readers: &[SegmentReader],
    table: &TableDef,
    keep: Keep,
    check: &dyn Fn() -> Result<()>,
    writer: &mut SegmentWriter,
) -> Result<()> {
    writer.begin_rows(table)?;
    let mut rows = Vec::with_capacity(readers.len());
    for reader in readers {
        rows.push(reader.row_ids(table.id)?.unwrap_or_default());
    }
    // Per file the rows that newer files have, and those that older files have.
    let newer = running_unions(rows.iter());
    let mut older = running_unions(rows.iter().rev());
    older.reverse();

    let mut sources = Vec::new();
    for (reader, newer) in readers.iter().zip(&newer) {
        let pick = RowPick::Kept {
            except: Arc::clone(newer),
            horizon: keep.horizon,
        };
        sources.extend(Source::open(reader, table, pick, false)?);
    }
    let out = Out::new(writer, keep, check);
    Merge { sources, out }.head()?;

    let times = TableDef {
        id: table.id,
        columns: Vec::new(),
        computed: Vec::new(),
        retention: None,
        indexes: Vec::new(),
    };
    let mut sources = Vec::new();
    for (file, reader) in readers.iter().enumerate() {
        let all = |among: RoaringTreemap| RowPick::All {
            among: Arc::new(among),
        };
        let mut known_here = &*rows[file] & &*older[file];
        known_here -= &*newer[file];
        if let Some(mut source) = Source::open(reader, &times, all(known_here), false)? {
            source.times_only = true;
            sources.push(source);
        }
        let superseded = &*rows[file] & &*newer[file];
        sources.extend(Source::open(reader, table, all(superseded), false)?);
        let pick = RowPick::Kept {
            except: Arc::default(),
            horizon: keep.horizon,
        };
        sources.extend(Source::open(reader, table, pick, true)?);
    }
    let out = Out::new(writer, keep, check);
    Merge { sources, out }.hist()
}

/// For each of `sets` the union of those before it.
fn running_unions<'a>(
    sets: impl Iterator<Item = &'a Arc<RoaringTreemap>>,
) -> Vec<Arc<RoaringTreemap>> {
    let mut unions: Vec<Arc<RoaringTreemap>> = Vec::new();
    let mut union = Arc::new(RoaringTreemap::new());
    for set in sets {
        unions.push(Arc::clone(&union));
        union = match union.is_empty() {
            true => Arc::clone(set),
            false => Arc::new(&*union | &**set),
        };
    }
    unions
}

/// A stream, and where it is.
struct Source {
    runs: RowRuns,
    /// `None` until the merge comes to it: then it holds no rows.
    run: Option<RowRun>,
    at: usize,
    /// The next row; while there is no run, one that is not above it.
    next: u64,
    /// It has no columns, and nothing of it is written.
    times_only: bool,
}

impl Source {
    fn open(
        reader: &SegmentReader,
        table: &TableDef,
        pick: RowPick,
        hist: bool,
    ) -> Result<Option<Source>> {
        if matches!(&pick, RowPick::All { among } if among.is_empty()) {
            return Ok(None);
        }
        let runs = reader.row_runs(table, usize::MAX, pick, Ts::MAX, hist)?;
        let next = runs.next_row()?;
        Ok(next.map(|next| Source {
            runs,
            run: None,
            at: 0,
            next,
            times_only: false,
        }))
    }

    /// Its run, which the merge has read.
    fn run(&self) -> Result<&RowRun> {
        let run = self.run.as_ref();
        run.ok_or_else(|| Error::internal("a merge of rows that were not read"))
    }
}

struct Merge<'a> {
    /// From the newest file to the oldest, of one file HEAD before HIST.
    sources: Vec<Source>,
    out: Out<'a>,
}

impl Merge<'_> {
    fn head(mut self) -> Result<()> {
        while let Some((least, others)) = self.least()? {
            let source = &self.sources[least];
            let (run, at) = (source.run()?, source.at);
            let end = match others {
                None => run.count(),
                Some(row) => at + run.ids[at..].partition_point(|id| *id < row),
            };
            self.out.current(&self.sources, least, at..end)?;
            self.go_to(least, end)?;
        }
        self.out.write(&self.sources)
    }

    fn hist(mut self) -> Result<()> {
        // The version before: its row, and when it began.
        let mut newer: Option<(u64, u64)> = None;
        while let Some((least, others)) = self.least()? {
            loop {
                let source = &self.sources[least];
                let (run, at) = (source.run()?, source.at);
                let (row, begin) = (run.ids[at], run.begins[at]);
                let known = run.ends.as_ref().map(|ends| ends[at]);
                let begun = newer.filter(|(newer, _)| *newer == row).map(|(_, ts)| ts);
                newer = Some((row, begin));
                let ran_out = at + 1 == run.count();
                if let Some(end) = known.or(begun).filter(|_| !source.times_only) {
                    self.out.superseded(&self.sources, least, at, end)?;
                }
                self.go_to(least, at + 1)?;
                let goes_on = |other| self.sources[least].next < other;
                if ran_out || !others.is_none_or(goes_on) {
                    break;
                }
            }
        }
        self.out.write(&self.sources)
    }

    /// The source with the least row, the newest of several, and a row that no other is below.
    fn least(&mut self) -> Result<Option<(usize, Option<u64>)>> {
        loop {
            let mut least: Option<(usize, u64)> = None;
            let mut others: Option<u64> = None;
            for (place, source) in self.sources.iter().enumerate() {
                let other = match least {
                    Some((_, known)) if known <= source.next => Some(source.next),
                    _ => least.replace((place, source.next)).map(|(_, row)| row),
                };
                others = match (others, other) {
                    (Some(others), Some(other)) => Some(others.min(other)),
                    (others, other) => others.or(other),
                };
            }
            let Some((place, row)) = least else {
                return Ok(None);
            };
            let unread = |source: &Source| source.run.is_none() && source.next <= row;
            match self.sources.iter().position(unread) {
                None => return Ok(Some((place, others))),
                Some(unread) => self.read(unread)?,
            }
        }
    }

    /// Read the next run of `source`, or a part of the way to it.
    fn read(&mut self, source: usize) -> Result<()> {
        (self.out.check)()?;
        let read = self.sources[source].runs.read_block()?;
        let Some(run) = read else {
            return self.skip(source);
        };
        let source = &mut self.sources[source];
        (source.next, source.at) = (run.ids[0], 0);
        source.run = Some(run);
        Ok(())
    }

    /// `source` has come to row `to` of its run.
    fn go_to(&mut self, source: usize, to: usize) -> Result<()> {
        let run = self.sources[source].run()?;
        if to < run.count() {
            let next = run.ids[to];
            let source = &mut self.sources[source];
            (source.at, source.next) = (to, next);
            return Ok(());
        }
        // What was taken of the run, before it goes.
        self.out.write(&self.sources)?;
        self.sources[source].run = None;
        self.skip(source)
    }

    /// Go on behind a run. A source without any more is dropped.
    fn skip(&mut self, source: usize) -> Result<()> {
        match self.sources[source].runs.next_row()? {
            Some(next) => self.sources[source].next = next,
            None => {
                // Places change.
                self.out.write(&self.sources)?;
                self.sources.remove(source);
            }
        }
        Ok(())
    }
}

/// Hands ranges of runs to the writer.
struct Out<'a> {
    writer: &'a mut SegmentWriter,
    keep: Keep,
    check: &'a dyn Fn() -> Result<()>,
    /// Rows of the present run of a source that are to be written.
    source: usize,
    rows: Range<usize>,
    /// Of HIST, one for each of `rows`.
    ends: Vec<u64>,
}

impl<'a> Out<'a> {
    fn new(
        writer: &'a mut SegmentWriter,
        keep: Keep,
        check: &'a dyn Fn() -> Result<()>,
    ) -> Out<'a> {
        Out {
            writer,
            keep,
            check,
            source: 0,
            rows: 0..0,
            ends: Vec::new(),
        }
    }

    /// Take newest versions of a source.
    fn current(&mut self, sources: &[Source], source: usize, rows: Range<usize>) -> Result<()> {
        let run = sources[source].run()?;
        let Some(deleted) = &run.deleted else {
            return self.take(sources, source, rows);
        };
        for row in rows {
            if self
                .keep
                .keeps(Ts(run.begins[row]), None, deleted.value(row))
            {
                self.take(sources, source, row..row + 1)?;
            }
        }
        Ok(())
    }

    /// Take a version of a source, which ends at `end`.
    fn superseded(
        &mut self,
        sources: &[Source],
        source: usize,
        row: usize,
        end: u64,
    ) -> Result<()> {
        let run = sources[source].run()?;
        let deleted = run.deleted.as_ref().is_some_and(|bits| bits.value(row));
        if self.keep.keeps(Ts(run.begins[row]), Some(Ts(end)), deleted) {
            self.take(sources, source, row..row + 1)?;
            self.ends.push(end);
        }
        Ok(())
    }

    fn take(&mut self, sources: &[Source], source: usize, rows: Range<usize>) -> Result<()> {
        if self.source != source || self.rows.end != rows.start {
            self.write(sources)?;
            (self.source, self.rows) = (source, rows);
        } else {
            self.rows.end = rows.end;
        }
        Ok(())
    }

    /// Write what was taken.
    fn write(&mut self, sources: &[Source]) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let ends = std::mem::take(&mut self.ends);
        if rows.is_empty() {
            return Ok(());
        }
        let ends = (!ends.is_empty()).then_some(&ends[..]);
        self.writer
            .push_rows(sources[self.source].run()?, rows, ends)
    }
}
