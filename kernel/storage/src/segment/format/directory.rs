//! The bytes of a segment's directory.
//!
//! ```text
//! directory   min_ts u64 │ max_ts u64 │ count u32 │ collections …
//! collection  id u32 │ kind u8 (1 rows, 2 sorted) │ min_ts u64 │ max_ts u64 │ run
//!   rows      count u16, columns (marks u8 │ type │ sketch place) … │ bitmap place │
//!             count u32, HEAD blocks … │ count u32, HIST blocks …
//!   marks     1 is dropped, 2 has a sketch
//!   block     rows u32 │ tombstones u32 │ min_row u64 │ max_row u64 │ min_ts u64 │ max_ts u64 │
//!             places of: RowIds, begins, ends (HIST), tombstones (if any) │
//!             per kept column: place │ nulls u32 │ flags u8 │ zone map │ codec │ rival │ blobs
//!   flags     1 has a zone map, 2 its max is cut, 4 has a codec from outside, 8 has a built-in one,
//!             16 has a rival, 32 has values in blob pages
//!   codec     from outside: u8 length, name; built-in: its code in page headers u8
//!   rival     code u8, as in page headers │ about how many bytes the page would have u32
//!   blobs     place of the index │ blob pages u32 │ their raw bytes u64 │ their stored bytes u64
//!   zone map  min: u8 length, bytes │ max: u8 length, bytes
//!   sorted    bloom place │ entries u64 │ count u32, HEAD pages … │ count u32, HIST pages …
//!   page      place │ entries u32 │ min_ts u64 │ max_ts u64 │ first key: u32 length, bytes
//! place       offset u64 │ raw_bytes u32 │ stored_bytes u32
//! type        tag u8; decimal: precision u8, scale i8; array: the item's type
//! ```

use std::sync::Arc;

use super::{
    Blobs, Block, Collection, ColumnPage, Directory, PageCodec, PagePlace, Rows, Run, Sorted,
    SortedPage, ZONE_BYTES_MAX, ZoneMap,
};
use crate::codec::BuiltIn;
use crate::datum::fixed;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, Ts};
use crate::schema::{ColumnDef, ColumnType};
use crate::segment::encoding::Rival;
use crate::segment::page::{CODEC_PLAIN, CODEC_ZSTD, built_in_code, built_in_of};

/// Arrays of arrays of … deeper than this are damage.
const TYPE_DEPTH_MAX: usize = 16;
const KIND_ROWS: u8 = 1;
const KIND_SORTED: u8 = 2;
const DROPPED: u8 = 1;
const HAS_SKETCH: u8 = 2;
const MARKS: u8 = DROPPED | HAS_SKETCH;
const ZONE_PRESENT: u8 = 1;
const ZONE_MAX_CUT: u8 = 2;
const HAS_CODEC: u8 = 4;
const HAS_BUILT_IN: u8 = 8;
const HAS_RIVAL: u8 = 16;
const HAS_BLOBS: u8 = 32;
const FLAGS: u8 = ZONE_PRESENT | ZONE_MAX_CUT | HAS_CODEC | HAS_BUILT_IN | HAS_RIVAL | HAS_BLOBS;

impl Directory {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder(Vec::new());
        out.u64(self.min_ts.0);
        out.u64(self.max_ts.0);
        out.u32(self.collections.len() as u32);
        for collection in &self.collections {
            out.u32(collection.id.0);
            out.u8(match collection.run {
                Run::Rows(_) => KIND_ROWS,
                Run::Sorted(_) => KIND_SORTED,
            });
            out.u64(collection.min_ts.0);
            out.u64(collection.max_ts.0);
            match &collection.run {
                Run::Rows(rows) => out.rows(rows),
                Run::Sorted(sorted) => out.sorted(sorted),
            }
        }
        out.0
    }

    /// `offset` is where `bytes` begin in `file`, for the error.
    pub fn decode(file: &str, offset: u64, bytes: &[u8]) -> Result<Directory> {
        let mut input = Decoder {
            file,
            offset,
            bytes,
            at: 0,
        };
        let min_ts = Ts(input.u64()?);
        let max_ts = Ts(input.u64()?);
        let collections = input.list(|input| {
            let id = CollectionId(input.u32()?);
            let kind = input.u8()?;
            let min_ts = Ts(input.u64()?);
            let max_ts = Ts(input.u64()?);
            let run = match kind {
                KIND_ROWS => Run::Rows(input.rows()?),
                KIND_SORTED => Run::Sorted(input.sorted()?),
                other => return Err(input.damaged("a kind of collection", other)),
            };
            Ok(Collection {
                id,
                min_ts,
                max_ts,
                run,
            })
        })?;
        if input.at != bytes.len() {
            return Err(input.damaged("the end of the directory", "more bytes"));
        }
        Ok(Directory {
            min_ts,
            max_ts,
            collections,
        })
    }
}

struct Encoder(Vec<u8>);

impl Encoder {
    fn u8(&mut self, v: u8) {
        self.0.push(v);
    }

    fn u16(&mut self, v: u16) {
        self.0.extend_from_slice(&v.to_le_bytes());
    }

    fn u32(&mut self, v: u32) {
        self.0.extend_from_slice(&v.to_le_bytes());
    }

    fn u64(&mut self, v: u64) {
        self.0.extend_from_slice(&v.to_le_bytes());
    }

    /// At most 255 bytes.
    fn short_bytes(&mut self, bytes: &[u8]) {
        self.u8(bytes.len() as u8);
        self.0.extend_from_slice(bytes);
    }

    fn place(&mut self, place: &PagePlace) {
        self.u64(place.offset);
        self.u32(place.raw_bytes);
        self.u32(place.stored_bytes);
    }

    fn column_type(&mut self, ty: &ColumnType) {
        let mut ty = ty;
        loop {
            self.u8(type_tag(ty));
            match ty {
                ColumnType::Decimal { precision, scale } => {
                    self.u8(*precision);
                    self.u8(*scale as u8);
                }
                ColumnType::Array(item) => {
                    ty = item;
                    continue;
                }
                _ => {}
            }
            return;
        }
    }

    fn rows(&mut self, rows: &Rows) {
        self.u16(rows.columns.len() as u16);
        for (column, sketch) in rows.columns.iter().zip(&rows.sketches) {
            let dropped = if column.dropped { DROPPED } else { 0 };
            let sketched = if sketch.is_some() { HAS_SKETCH } else { 0 };
            self.u8(dropped | sketched);
            self.column_type(&column.ty);
            if let Some(sketch) = sketch {
                self.place(sketch);
            }
        }
        self.place(&rows.bitmap);
        for blocks in [&rows.head, &rows.hist] {
            self.u32(blocks.len() as u32);
            for block in blocks {
                self.block(block);
            }
        }
    }

    fn block(&mut self, block: &Block) {
        self.u32(block.rows);
        self.u32(block.tombstones);
        self.u64(block.min_row);
        self.u64(block.max_row);
        self.u64(block.min_ts.0);
        self.u64(block.max_ts.0);
        self.place(&block.row_ids);
        self.place(&block.begins);
        for place in [&block.ends, &block.deleted].into_iter().flatten() {
            self.place(place);
        }
        for column in block.columns.iter().flatten() {
            self.place(&column.place);
            self.u32(column.nulls);
            let zone = match &column.zone {
                None => 0,
                Some(zone) if zone.max_cut => ZONE_PRESENT | ZONE_MAX_CUT,
                Some(_) => ZONE_PRESENT,
            };
            let codec = match &column.codec {
                None => 0,
                Some(PageCodec::Named(_)) => HAS_CODEC,
                Some(PageCodec::BuiltIn(_)) => HAS_BUILT_IN,
            };
            let rival = if column.rival.is_some() { HAS_RIVAL } else { 0 };
            let blobs = if column.blobs.is_some() { HAS_BLOBS } else { 0 };
            self.u8(zone | codec | rival | blobs);
            if let Some(zone) = &column.zone {
                for bound in [&zone.min, &zone.max] {
                    debug_assert!(bound.len() <= ZONE_BYTES_MAX);
                    self.short_bytes(bound);
                }
            }
            match &column.codec {
                None => {}
                Some(PageCodec::Named(name)) => self.short_bytes(name.as_bytes()),
                Some(PageCodec::BuiltIn(codec)) => self.u8(built_in_code(*codec)),
            }
            if let Some((rival, bytes)) = column.rival {
                self.u8(match rival {
                    Rival::Plain => CODEC_PLAIN,
                    Rival::Zstd => CODEC_ZSTD,
                    Rival::BuiltIn(codec) => built_in_code(codec),
                });
                self.u32(bytes);
            }
            if let Some(blobs) = &column.blobs {
                self.place(&blobs.index);
                self.u32(blobs.pages);
                self.u64(blobs.raw_bytes);
                self.u64(blobs.stored_bytes);
            }
        }
    }

    fn sorted(&mut self, sorted: &Sorted) {
        self.place(&sorted.bloom);
        self.u64(sorted.entries);
        for pages in [&sorted.head, &sorted.hist] {
            self.u32(pages.len() as u32);
            for page in pages {
                self.place(&page.place);
                self.u32(page.entries);
                self.u64(page.min_ts.0);
                self.u64(page.max_ts.0);
                self.u32(page.first_key.len() as u32);
                self.0.extend_from_slice(&page.first_key);
            }
        }
    }
}

struct Decoder<'a> {
    file: &'a str,
    offset: u64,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    fn damaged(&self, expected: &str, found: impl std::fmt::Display) -> Error {
        Error::corruption(self.file, self.offset + self.at as u64, expected, found)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        match rest.get(..len) {
            Some(taken) => {
                self.at += len;
                Ok(taken)
            }
            None => Err(self.damaged("more of the directory", "its end")),
        }
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(fixed(self.take(2)?)?))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(fixed(self.take(4)?)?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(fixed(self.take(8)?)?))
    }

    /// A u32 count and that many items. Nothing is reserved on the word of the count.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.u32()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn short_bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    fn place(&mut self) -> Result<PagePlace> {
        Ok(PagePlace {
            offset: self.u64()?,
            raw_bytes: self.u32()?,
            stored_bytes: self.u32()?,
        })
    }

    fn column_type(&mut self) -> Result<ColumnType> {
        let mut depth = 0;
        let mut ty = loop {
            match self.u8()? {
                TAG_ARRAY if depth < TYPE_DEPTH_MAX => depth += 1,
                TAG_DECIMAL => {
                    let precision = self.u8()?;
                    break ColumnType::Decimal {
                        precision,
                        scale: self.u8()? as i8,
                    };
                }
                tag => match SIMPLE_TYPES.iter().find(|(of, _)| *of == tag) {
                    Some((_, ty)) => break ty.clone(),
                    None => return Err(self.damaged("a column type", tag)),
                },
            }
        };
        for _ in 0..depth {
            ty = ColumnType::Array(Box::new(ty));
        }
        Ok(ty)
    }

    fn rows(&mut self) -> Result<Rows> {
        let count = self.u16()?;
        let (mut columns, mut sketches) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let marks = self.u8()?;
            if marks & !MARKS != 0 {
                return Err(self.damaged("the marks of a column", marks));
            }
            columns.push(ColumnDef {
                dropped: marks & DROPPED != 0,
                ..ColumnDef::new(self.column_type()?)
            });
            sketches.push(match marks & HAS_SKETCH {
                0 => None,
                _ => Some(self.place()?),
            });
        }
        let bitmap = self.place()?;
        let head = self.list(|input| input.block(&columns, false))?;
        let hist = self.list(|input| input.block(&columns, true))?;
        Ok(Rows {
            columns,
            sketches,
            bitmap,
            head,
            hist,
        })
    }

    fn block(&mut self, columns: &[ColumnDef], hist: bool) -> Result<Block> {
        let rows = self.u32()?;
        let tombstones = self.u32()?;
        let (min_row, max_row) = (self.u64()?, self.u64()?);
        let (min_ts, max_ts) = (Ts(self.u64()?), Ts(self.u64()?));
        let (row_ids, begins) = (self.place()?, self.place()?);
        let ends = if hist { Some(self.place()?) } else { None };
        let deleted = if tombstones > 0 {
            Some(self.place()?)
        } else {
            None
        };
        let mut pages = Vec::with_capacity(columns.len());
        for column in columns {
            pages.push(if column.dropped {
                None
            } else {
                Some(self.column_page()?)
            });
        }
        Ok(Block {
            rows,
            tombstones,
            min_row,
            max_row,
            min_ts,
            max_ts,
            row_ids,
            begins,
            ends,
            deleted,
            columns: pages,
        })
    }

    fn column_page(&mut self) -> Result<ColumnPage> {
        let place = self.place()?;
        let nulls = self.u32()?;
        let flags = self.u8()?;
        if flags & !FLAGS != 0 {
            return Err(self.damaged("the flags of a column page", flags));
        }
        let zone = if flags & ZONE_PRESENT == 0 {
            None
        } else {
            Some(ZoneMap {
                min: self.short_bytes()?.to_vec(),
                max: self.short_bytes()?.to_vec(),
                max_cut: flags & ZONE_MAX_CUT != 0,
            })
        };
        let codec = match flags & (HAS_CODEC | HAS_BUILT_IN) {
            0 => None,
            HAS_CODEC => match std::str::from_utf8(self.short_bytes()?) {
                Ok(name) => Some(PageCodec::Named(Arc::from(name))),
                Err(e) => return Err(self.damaged("the name of a codec", e)),
            },
            HAS_BUILT_IN => Some(PageCodec::BuiltIn(self.built_in()?)),
            _ => return Err(self.damaged("one codec", "two")),
        };
        let rival = match flags & HAS_RIVAL {
            0 => None,
            _ => Some((self.rival()?, self.u32()?)),
        };
        let blobs = match flags & HAS_BLOBS {
            0 => None,
            _ => Some(Blobs {
                index: self.place()?,
                pages: self.u32()?,
                raw_bytes: self.u64()?,
                stored_bytes: self.u64()?,
            }),
        };
        Ok(ColumnPage {
            place,
            nulls,
            zone,
            codec,
            rival,
            blobs,
        })
    }

    fn built_in(&mut self) -> Result<BuiltIn> {
        let code = self.u8()?;
        built_in_of(code).ok_or_else(|| self.damaged("a built-in codec", code))
    }

    fn rival(&mut self) -> Result<Rival> {
        Ok(match self.u8()? {
            CODEC_PLAIN => Rival::Plain,
            CODEC_ZSTD => Rival::Zstd,
            code => match built_in_of(code) {
                Some(codec) => Rival::BuiltIn(codec),
                None => return Err(self.damaged("a codec", code)),
            },
        })
    }

    fn sorted(&mut self) -> Result<Sorted> {
        let bloom = self.place()?;
        let entries = self.u64()?;
        let page = |input: &mut Self| {
            let place = input.place()?;
            let entries = input.u32()?;
            let (min_ts, max_ts) = (Ts(input.u64()?), Ts(input.u64()?));
            let len = input.u32()?;
            Ok(SortedPage {
                place,
                entries,
                min_ts,
                max_ts,
                first_key: input.take(len as usize)?.to_vec(),
            })
        };
        Ok(Sorted {
            bloom,
            entries,
            head: self.list(page)?,
            hist: self.list(page)?,
        })
    }
}

const TAG_DECIMAL: u8 = 7;
const TAG_ARRAY: u8 = 19;
/// Tags of the types that need nothing but a tag. A tag is never given a second meaning.
const SIMPLE_TYPES: [(u8, ColumnType); 18] = [
    (1, ColumnType::Bool),
    (2, ColumnType::Int16),
    (3, ColumnType::Int32),
    (4, ColumnType::Int64),
    (5, ColumnType::Float32),
    (6, ColumnType::Float64),
    (8, ColumnType::Numeric),
    (9, ColumnType::Date),
    (10, ColumnType::Time),
    (11, ColumnType::Timestamp),
    (12, ColumnType::TimestampTz),
    (13, ColumnType::Interval),
    (14, ColumnType::Text),
    (15, ColumnType::Bytea),
    (16, ColumnType::Jsonb),
    (17, ColumnType::Uuid),
    (18, ColumnType::Oid),
    (20, ColumnType::Json),
];

fn type_tag(ty: &ColumnType) -> u8 {
    match ty {
        ColumnType::Decimal { .. } => TAG_DECIMAL,
        ColumnType::Array(_) => TAG_ARRAY,
        simple => {
            let found = SIMPLE_TYPES.iter().find(|(_, ty)| ty == simple);
            found
                .expect("every other type is in the table; a test walks them all")
                .0
        }
    }
}
