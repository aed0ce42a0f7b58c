//! Writing a segment: entries in order in, pages out as they fill.
//!
//! A writer holds one open block per run (HEAD and HIST) of one collection, the places of the pages
//! written, and, until the collection ends, its RowIds as a bitmap or 8 bytes per key.
//!
//! 1. Created: the file exists, nothing of it is promised.
//! 2. `begin_rows` or `begin_sorted`, then that collection's entries; any number of times, each
//!    collection once.
//! 3. [`SegmentWriter::finish`] writes directory and trailer and syncs the file. Only now may a
//!    manifest name it, after the directory of the file system has been synced, which is the
//!    caller's part. A writer dropped before leaves a file that no manifest names, to be removed
//!    at recovery.

mod keyed;
mod rows;
mod sorted;

use std::ops::Range;
use std::sync::Arc;

use super::SegmentMeta;
use super::blob::{BlobPage, BlobValues};
use super::encoded::PageEncoder;
use super::encoding::{Chooser, Rival, integers};
use super::entries::encode_entries;
use super::format::{
    Blobs, Collection, Directory, PageCodec, PagePlace, Run, TRAILER_BYTES, Trailer, encode_header,
};
use super::page::{Compression, EncodedBy, PageFramer, PageId, PageKind, frame_encoded};
use super::versions::RowRun;
use crate::codec::{self, BuiltIn, CodecSet};
use crate::error::{Error, Result};
use crate::ids::{CollectionId, RowId, TimelineId, Ts};
use crate::io::{File, Io, OpenMode};
use crate::memory::{MemoryBudget, Part, Reservation};
use crate::planted::{self, Bug};
use crate::schema::{ColumnDef, TableDef};

pub use self::keyed::{DefinitionOf, KeyedWriter};

use self::rows::RowsWriter;
use self::sorted::SortedWriter;

/// Written to the file at once.
const WRITE_BUFFER_BYTES: usize = 1 << 20;
/// With a budget, as one part in so many of it, if that is less.
const WRITE_BUFFER_SHARE: usize = 128;
/// Of a budget, for the hashes of a collection's keys: one with more keys gets a filter that spares
/// nothing, for a filter of so many would find no place in the page cache.
const HASHES_SHARE: usize = 32;

#[derive(Clone, Debug)]
pub struct SegmentOptions {
    /// Aim of a page's length before compression.
    pub page_bytes: usize,
    /// Values of at least so many bytes are not in the pages of their columns.
    pub blob_bytes_min: usize,
    /// So many rows a table has to have in HEAD for its columns to have sketches.
    pub sketch_rows_min: usize,
    /// What the writer builds is counted there.
    pub memory: Option<Arc<MemoryBudget>>,
}

impl Default for SegmentOptions {
    fn default() -> SegmentOptions {
        SegmentOptions {
            page_bytes: 64 * 1024,
            blob_bytes_min: 4 * 1024,
            sketch_rows_min: 4 * 1024,
            memory: None,
        }
    }
}

/// See the module's header. After an error the writer and its file are to be dropped.
pub struct SegmentWriter {
    output: Output,
    options: SegmentOptions,
    timeline: TimelineId,
    open: Option<Open>,
    done: Vec<Collection>,
}

enum Open {
    Rows(RowsWriter),
    Sorted(SortedWriter),
}

impl SegmentWriter {
    /// Create file `name`, which must not exist. Columns that name one of `codecs` are encoded with
    /// it.
    pub fn create(
        io: &Arc<dyn Io>,
        name: &str,
        timeline: TimelineId,
        options: SegmentOptions,
        codecs: Arc<dyn CodecSet>,
    ) -> Result<SegmentWriter> {
        let file = io
            .open(name, OpenMode::CreateNew)
            .map_err(|e| Error::io("create", name, e))?;
        let output = Output {
            file,
            name: name.to_owned(),
            written: 0,
            buffer: encode_header(timeline.0).to_vec(),
            framer: PageFramer::new()?,
            encoder: PageEncoder::new(codecs),
            chooser: Chooser::default(),
            buffer_bytes: match &options.memory {
                None => WRITE_BUFFER_BYTES,
                Some(budget) => WRITE_BUFFER_BYTES.min(budget.bytes_max() / WRITE_BUFFER_SHARE),
            },
            memory: options
                .memory
                .as_ref()
                .map(|budget| Reservation::new(budget, Part::Work)),
            directory_bytes: 0,
        };
        Ok(SegmentWriter {
            output,
            options,
            timeline,
            open: None,
            done: Vec::new(),
        })
    }

    /// Start the rows of `table`, in its present definition.
    pub fn begin_rows(&mut self, table: &TableDef) -> Result<()> {
        self.end_collection()?;
        self.check_new(table.id)?;
        self.open = Some(Open::Rows(RowsWriter::new(table, &self.options)?));
        Ok(())
    }

    /// Add a version of a row: rows by rising RowId, the versions of one row from newest to oldest.
    /// `end` is `None` for the newest and `begin` of the version before for the others. No `row` is
    /// a delete.
    pub fn push_row(
        &mut self,
        id: RowId,
        begin: Ts,
        end: Option<Ts>,
        row: Option<&[u8]>,
    ) -> Result<()> {
        match &mut self.open {
            Some(Open::Rows(rows)) => rows.push(&mut self.output, id, begin, end, row),
            _ => Err(Error::internal("a row outside of a row collection")),
        }
    }

    /// Add versions by the column: to HEAD when they have no ends, else to HIST; deletes have NULLs.
    /// A collection's rows come through this or through [`SegmentWriter::push_row`], not both.
    ///
    /// The order within each run is held. That every row of HIST is in HEAD, and that each version
    /// ends where the next newer one begins, is the caller's promise: the runs arrive apart here.
    pub fn push_run(&mut self, run: &RowRun) -> Result<()> {
        self.push_rows(run, 0..run.count(), run.ends.as_deref())
    }

    /// [`SegmentWriter::push_run`] of some rows, which end where `ends` says, one for each of them.
    pub fn push_rows(
        &mut self,
        run: &RowRun,
        rows: Range<usize>,
        ends: Option<&[u64]>,
    ) -> Result<()> {
        match &mut self.open {
            Some(Open::Rows(open)) => open.push_rows(&mut self.output, run, rows, ends),
            _ => Err(Error::internal("rows outside of a row collection")),
        }
    }

    /// Bytes of the file so far.
    pub fn bytes(&self) -> u64 {
        self.output.position()
    }

    /// Start the sorted collection `id`.
    pub fn begin_sorted(&mut self, id: CollectionId) -> Result<()> {
        self.end_collection()?;
        self.check_new(id)?;
        let mut sorted = SortedWriter::new(id, self.options.page_bytes);
        if let Some(budget) = &self.options.memory {
            sorted.limit_hashes(budget.bytes_max() / HASHES_SHARE);
        }
        self.open = Some(Open::Sorted(sorted));
        Ok(())
    }

    /// Add a version of an entry, in the order [`SegmentWriter::push_row`] asks for.
    pub fn push_entry(
        &mut self,
        key: &[u8],
        begin: Ts,
        end: Option<Ts>,
        value: Option<&[u8]>,
    ) -> Result<()> {
        match &mut self.open {
            Some(Open::Sorted(sorted)) => sorted.push(&mut self.output, key, begin, end, value),
            _ => Err(Error::internal("an entry outside of a sorted collection")),
        }
    }

    /// Write what is left, and sync the file.
    pub fn finish(mut self) -> Result<SegmentMeta> {
        self.end_collection()?;
        let min_ts = self.done.iter().map(|c| c.min_ts).min().unwrap_or(Ts::ZERO);
        let max_ts = self.done.iter().map(|c| c.max_ts).max().unwrap_or(Ts::ZERO);
        let collections = self.done.iter().map(|c| c.id).collect();
        let directory = Directory {
            min_ts,
            max_ts,
            collections: self.done,
        }
        .encode();
        let checksum = crc32c::crc32c(&directory);
        let directory_offset = self.output.position();
        let bytes = directory_offset + (directory.len() + TRAILER_BYTES) as u64;
        let trailer = Trailer {
            directory_offset,
            directory_bytes: u32::try_from(directory.len())
                .map_err(|_| Error::internal("a directory of more than 4 GiB"))?,
            directory_crc: checksum,
            file_bytes: bytes,
        };
        self.output.buffer.extend_from_slice(&directory);
        self.output.buffer.extend_from_slice(&trailer.encode());
        self.output.write()?;
        let Output { file, name, .. } = self.output;
        if !planted::is(Bug::FlushUnsynced) {
            file.sync_data().map_err(|e| Error::io("sync", &name, e))?;
        }
        Ok(SegmentMeta {
            name,
            bytes,
            timeline: self.timeline,
            min_ts,
            max_ts,
            checksum,
            collections,
        })
    }

    fn check_new(&self, id: CollectionId) -> Result<()> {
        match self.done.iter().any(|done| done.id == id) {
            true => Err(Error::internal(format!(
                "collection {id} twice in one segment"
            ))),
            false => Ok(()),
        }
    }

    /// A collection without entries leaves no trace.
    fn end_collection(&mut self) -> Result<()> {
        let done = match self.open.take() {
            None => None,
            Some(Open::Rows(rows)) => rows.finish(&mut self.output)?,
            Some(Open::Sorted(sorted)) => sorted.finish(&mut self.output)?,
        };
        self.done.extend(done);
        Ok(())
    }
}

/// A column page that was written.
struct WrittenColumn {
    place: PagePlace,
    codec: Option<PageCodec>,
    rival: Option<(Rival, u32)>,
}

/// The file and what of it is not written yet.
struct Output {
    file: Arc<dyn File>,
    name: String,
    written: u64,
    buffer: Vec<u8>,
    framer: PageFramer,
    encoder: PageEncoder,
    chooser: Chooser,
    /// When to write.
    buffer_bytes: usize,
    memory: Option<Reservation>,
    /// What was told of pages that are closed.
    directory_bytes: usize,
}

impl Output {
    fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn page(&mut self, id: PageId, raw: &[u8]) -> Result<PagePlace> {
        self.framed(id, raw, Compression::Zstd)
    }

    fn framed(&mut self, id: PageId, raw: &[u8], compression: Compression) -> Result<PagePlace> {
        let (position, out) = (self.position(), &mut self.buffer);
        let place = self.framer.frame(id, raw, compression, position, out)?;
        self.write_when_full()?;
        Ok(place)
    }

    /// Write a page of numbers, bit-packed when that is shorter.
    fn numbers_page(&mut self, id: PageId, numbers: &[u64]) -> Result<PagePlace> {
        let raw_bytes = std::mem::size_of_val(numbers);
        if integers::encoded_bytes(numbers) >= raw_bytes {
            let raw: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
            return self.framed(id, &raw, Compression::None);
        }
        let mut packed = Vec::new();
        integers::encode(numbers, &mut packed);
        let by = EncodedBy::BuiltIn(BuiltIn::Bitpacking);
        self.encoded(id, by, raw_bytes, &packed)
    }

    /// Write a page of entries.
    fn entries_page(&mut self, id: PageId, raw: &[u8]) -> Result<PagePlace> {
        let hist = id.kind == PageKind::EntriesHist;
        match encode_entries(raw, hist, &mut self.framer.zstd)? {
            Some(stored) => self.encoded(id, EncodedBy::Entries, raw.len(), &stored),
            None => self.page(id, raw),
        }
    }

    /// Write a page that was made `stored`.
    fn encoded(
        &mut self,
        id: PageId,
        by: EncodedBy,
        raw_bytes: usize,
        stored: &[u8],
    ) -> Result<PagePlace> {
        let (position, out) = (self.position(), &mut self.buffer);
        let place = frame_encoded(id, by, raw_bytes, stored, position, out)?;
        self.write_when_full()?;
        Ok(place)
    }

    /// Write a page of `column` in the way the column asks for, where that is of any use, and otherwise
    /// in the way that suits its values.
    fn column_page(&mut self, id: PageId, column: &ColumnDef, raw: &[u8]) -> Result<WrittenColumn> {
        let plain = |place| WrittenColumn {
            place,
            codec: None,
            rival: None,
        };
        let named = match column.compression.as_ref() {
            Some(name) if **name == *codec::NONE => {
                return self.framed(id, raw, Compression::None).map(plain);
            }
            Some(name) if **name == *codec::ZSTD => return self.page(id, raw).map(plain),
            named => named,
        };
        let rows = id.rows as usize;
        if let Some(name) = named
            && let Some(stored) = self.encoder.encode(name, &column.ty, rows, raw)
        {
            return Ok(WrittenColumn {
                place: self.encoded(id, EncodedBy::Named, raw.len(), &stored)?,
                codec: Some(PageCodec::Named(Arc::clone(name))),
                rival: None,
            });
        }
        let Output {
            chooser, framer, ..
        } = self;
        let choice = chooser.choose(&column.ty, rows, raw, &mut framer.zstd)?;
        let rival = choice.rival;
        let rival = rival.map(|(rival, bytes)| (rival, u32::try_from(bytes).unwrap_or(u32::MAX)));
        let Some((codec, stored)) = choice.encoded else {
            return Ok(WrittenColumn {
                rival,
                ..plain(self.page(id, raw)?)
            });
        };
        Ok(WrittenColumn {
            place: self.encoded(id, EncodedBy::BuiltIn(codec), raw.len(), &stored)?,
            codec: Some(PageCodec::BuiltIn(codec)),
            rival,
        })
    }

    /// A page or block was closed, whose place takes so much; what is open takes `open_bytes`.
    fn account(&mut self, directory_bytes: usize, open_bytes: usize) {
        self.directory_bytes += directory_bytes;
        if let Some(memory) = &mut self.memory {
            memory.set(self.buffer.capacity() + self.directory_bytes + open_bytes);
        }
    }

    /// Write the large values of a column of a block, then their index, which is page `id`.
    fn blob_pages(
        &mut self,
        id: PageId,
        column: &ColumnDef,
        values: &BlobValues,
        page_bytes: usize,
    ) -> Result<Blobs> {
        let compression = match column.compression.as_ref() {
            Some(name) if **name == *codec::NONE => Compression::None,
            _ => Compression::Zstd,
        };
        let (mut raw_bytes, mut stored_bytes) = (0, 0);
        let mut pages = Vec::new();
        for (values, raw) in values.pages(page_bytes) {
            let id = PageId {
                kind: PageKind::Blobs,
                rows: values,
                ..id
            };
            let place = self.framed(id, raw, compression)?;
            raw_bytes += u64::from(place.raw_bytes);
            stored_bytes += u64::from(place.stored_bytes);
            pages.push(BlobPage { place, values });
        }
        Ok(Blobs {
            index: self.page(id, &values.index(&pages))?,
            // No more than there are rows in a block.
            pages: pages.len() as u32,
            raw_bytes,
            stored_bytes,
        })
    }

    fn write_when_full(&mut self) -> Result<()> {
        match self.buffer.len() >= self.buffer_bytes {
            true => self.write(),
            false => Ok(()),
        }
    }

    fn write(&mut self) -> Result<()> {
        self.file
            .write_at(&self.buffer, self.written)
            .map_err(|e| Error::io("write", &self.name, e))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// The order entries must come in, and the span of their timestamps.
struct Order<K> {
    last: Option<(K, Ts)>,
    min_ts: Ts,
    max_ts: Ts,
}

impl<K: Ord + std::fmt::Debug> Order<K> {
    fn new() -> Order<K> {
        Order {
            last: None,
            min_ts: Ts::MAX,
            max_ts: Ts::ZERO,
        }
    }

    /// Hold the next version against invariants 1 and 2 of the module above; a file that breaks
    /// them would be read wrongly for ever.
    fn check(&mut self, key: K, begin: Ts, end: Option<Ts>) -> Result<()> {
        let last = self.last.as_ref().map(|(key, newer)| (key, *newer));
        check_order(last, &key, begin, end)?;
        self.span(begin);
        self.last = Some((key, begin));
        Ok(())
    }
}

fn check_order<K: Ord + std::fmt::Debug + ?Sized>(
    last: Option<(&K, Ts)>,
    key: &K,
    begin: Ts,
    end: Option<Ts>,
) -> Result<()> {
    let fits = match (&last, end) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((last, _)), None) => *last < key,
        (Some((last, newer)), Some(end)) => *last == key && *newer == end && begin < end,
    };
    match fits {
        true => Ok(()),
        false => Err(Error::internal(format!(
            "version ({key:?}, {begin:?}, {end:?}) does not follow {last:?} in a segment"
        ))),
    }
}

impl Order<Vec<u8>> {
    /// [`Order::check`] of a key that is kept without a new vector.
    fn check_key(&mut self, key: &[u8], begin: Ts, end: Option<Ts>) -> Result<()> {
        let last = self
            .last
            .as_ref()
            .map(|(key, newer)| (key.as_slice(), *newer));
        check_order(last, key, begin, end)?;
        self.span(begin);
        let (last, newer) = self.last.get_or_insert_default();
        *newer = begin;
        if end.is_none() {
            last.clear();
            last.extend_from_slice(key);
        }
        Ok(())
    }
}

impl<K> Order<K> {
    fn span(&mut self, begin: Ts) {
        self.min_ts = self.min_ts.min(begin);
        self.max_ts = self.max_ts.max(begin);
    }

    fn is_empty(&self) -> bool {
        self.min_ts > self.max_ts
    }
}

fn collection(id: CollectionId, min_ts: Ts, max_ts: Ts, run: Run) -> Collection {
    Collection {
        id,
        min_ts,
        max_ts,
        run,
    }
}
