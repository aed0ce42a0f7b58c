//! One collection on its way into segments: shared ones while it is small, its own when it is not.

use std::sync::Arc;

use super::files::{Age, Files, OpenSegment};
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Ts};
use crate::schema::TableDef;
use crate::segment::{RowRun, SegmentReader, SegmentWriter};

/// A collection of at most so many bytes shares a segment with others.
const SHARED_BYTES_MAX: u64 = 4 << 20;

/// What the collection holds.
pub enum Content {
    Rows(Arc<TableDef>),
    Sorted(CollectionId),
}

/// A version that waits to be written.
enum Waiting {
    Rows(RowRun),
    Entry {
        key: Vec<u8>,
        begin: Ts,
        end: Option<Ts>,
        value: Option<Vec<u8>>,
    },
}

impl Waiting {
    fn write(&self, writer: &mut SegmentWriter) -> Result<()> {
        match self {
            Waiting::Rows(run) => writer.push_run(run),
            Waiting::Entry {
                key,
                begin,
                end,
                value,
            } => writer.push_entry(key, *begin, *end, value.as_deref()),
        }
    }
}

/// See the module's header.
pub struct Series {
    files: Arc<Files>,
    content: Content,
    age: Age,
    waiting: Vec<Waiting>,
    waiting_bytes: u64,
    own: Option<OpenSegment>,
    /// Own segments that are finished.
    done: Vec<SegmentReader>,
}

/// Where the rows of a finished series are.
pub struct Written {
    /// In segments of their own, by rising RowId.
    pub segments: Vec<SegmentReader>,
    /// Or in a shared one, and here.
    pub runs: Vec<RowRun>,
}

impl Series {
    pub fn new(files: &Arc<Files>, content: Content, age: Age) -> Series {
        Series {
            files: Arc::clone(files),
            content,
            age,
            waiting: Vec::new(),
            waiting_bytes: 0,
            own: None,
            done: Vec::new(),
        }
    }

    /// Add rows of about `bytes` bytes, as [`SegmentWriter::push_run`] takes them.
    pub fn push_run(&mut self, run: RowRun, bytes: u64) -> Result<()> {
        if run.count() == 0 {
            return Ok(());
        }
        match self.own_writer(bytes)? {
            Some(writer) => writer.push_run(&run),
            None => {
                self.waiting.push(Waiting::Rows(run));
                Ok(())
            }
        }
    }

    /// Add an entry, as [`SegmentWriter::push_entry`] takes it.
    pub fn push_entry(
        &mut self,
        key: &[u8],
        begin: Ts,
        end: Option<Ts>,
        value: Option<&[u8]>,
    ) -> Result<()> {
        let bytes = key.len() + value.map_or(0, <[u8]>::len) + size_of::<Waiting>();
        match self.own_writer(bytes as u64)? {
            Some(writer) => writer.push_entry(key, begin, end, value),
            None => {
                self.waiting.push(Waiting::Entry {
                    key: key.to_vec(),
                    begin,
                    end,
                    value: value.map(<[u8]>::to_vec),
                });
                Ok(())
            }
        }
    }

    /// End the own segment if it is long enough. The caller is between two rows or keys.
    pub fn cut(&mut self) -> Result<()> {
        if self.own.as_ref().is_some_and(|own| self.files.is_full(own)) {
            self.end_own()?;
        }
        Ok(())
    }

    fn end_own(&mut self) -> Result<()> {
        if let Some(own) = self.own.take() {
            self.done.push(self.files.finish(own, self.age)?);
        }
        Ok(())
    }

    /// The writer of the own segment; `None` while what is there and `more` bytes can wait.
    fn own_writer(&mut self, more: u64) -> Result<Option<&mut SegmentWriter>> {
        self.waiting_bytes += more;
        let shared_max = SHARED_BYTES_MAX.min(self.files.options.segment_bytes);
        if self.own.is_none() && (!self.done.is_empty() || self.waiting_bytes > shared_max) {
            let mut own = self.files.create()?;
            begin(&mut own.writer, &self.content)?;
            for waiting in self.waiting.drain(..) {
                waiting.write(&mut own.writer)?;
            }
            self.own = Some(own);
        }
        Ok(self.own.as_mut().map(|own| &mut own.writer))
    }

    /// Write what is left.
    pub fn finish(mut self) -> Result<Written> {
        self.end_own()?;
        if !self.waiting.is_empty() {
            self.files.share(self.age, |writer| {
                begin(writer, &self.content)?;
                self.waiting.iter().try_for_each(|w| w.write(writer))
            })?;
        }
        let runs = self
            .waiting
            .into_iter()
            .filter_map(|waiting| match waiting {
                Waiting::Rows(run) => Some(run),
                Waiting::Entry { .. } => None,
            });
        Ok(Written {
            runs: runs.collect(),
            segments: self.done,
        })
    }
}

fn begin(writer: &mut SegmentWriter, content: &Content) -> Result<()> {
    match content {
        Content::Rows(table) => writer.begin_rows(table),
        Content::Sorted(id) => writer.begin_sorted(*id),
    }
}

impl Written {
    /// When the current version of `row` began. Rows are asked for in rising order: `from` is where
    /// the last call stopped.
    pub fn begin_of(
        &self,
        table: CollectionId,
        row: u64,
        from: &mut (usize, usize),
    ) -> Result<Option<Ts>> {
        if !self.runs.is_empty() {
            while let Some(run) = self.runs.get(from.0) {
                from.1 += run.ids[from.1..].partition_point(|id| *id < row);
                match run.ids.get(from.1) {
                    Some(id) if *id == row => return Ok(Some(Ts(run.begins[from.1]))),
                    Some(_) => return Ok(None),
                    None => *from = (from.0 + 1, 0),
                }
            }
            return Ok(None);
        }
        while let Some(segment) = self.segments.get(from.0) {
            let rows = segment.row_ids(table)?;
            let last = rows.and_then(|rows| rows.max());
            let last = last.ok_or_else(|| Error::internal("a segment without the table's rows"))?;
            if row <= last {
                return segment.newest_begin(table, crate::ids::RowId(row));
            }
            *from = (from.0 + 1, 0);
        }
        Ok(None)
    }
}
