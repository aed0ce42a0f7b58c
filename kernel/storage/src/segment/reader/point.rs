//! One row, or the entry of one key.
//!
//! What is looked at is as little as can be: the directory tells the block or page, and where RowIds have
//! no gaps the place in it; timestamps are read only of a block that has some newer than asked for,
//! HIST only when HEAD has a version that is too new.

use crate::datum::arrow::{ColumnBuilder, ColumnValues};
use crate::error::{Error, Result};
use crate::ids::{CollectionId, ColumnId, RowId, Ts};
use crate::row::{RowCodec, write_row};
use crate::schema::{ColumnType, TableDef};
use crate::segment::format::{Block, Directory, Rows, Run, Sorted};
use crate::segment::range::RunCursor;
use crate::segment::reader::blobs::ColumnOf;
use crate::segment::reader::{RowColumns, SegmentReader, Version};
use crate::segment::search::{KeyHeads, below, position};

/// What finds blocks or pages of HEAD.
pub(in crate::segment) enum Finder {
    /// The blocks' highest RowIds.
    Rows(Vec<u64>),
    /// The pages' first keys.
    Sorted(KeyHeads),
}

impl Finder {
    /// Those of all collections.
    pub fn of(directory: &Directory) -> Vec<Finder> {
        let collections = directory.collections.iter();
        collections
            .map(|collection| match &collection.run {
                Run::Rows(rows) => Finder::Rows(rows.head.iter().map(|b| b.max_row).collect()),
                Run::Sorted(sorted) => {
                    let pages = sorted.head.iter();
                    Finder::Sorted(KeyHeads::new(pages.map(|page| page.first_key.as_slice())))
                }
            })
            .collect()
    }

    /// The block of HEAD that a row is in, if any.
    fn block<'a>(&self, rows: &'a Rows, row: u64) -> Option<&'a Block> {
        let Finder::Rows(highest) = self else {
            return None;
        };
        let (first, last) = (highest.first()?, highest.last()?);
        let block = rows.head.get(below(highest, *first..=*last, row))?;
        (block.min_row <= row).then_some(block)
    }

    /// The number of the page of HEAD that a key is on, if any.
    fn page(&self, sorted: &Sorted, key: &[u8]) -> Option<usize> {
        let Finder::Sorted(heads) = self else {
            return None;
        };
        let is_behind = |page: usize| sorted.head[page].first_key.as_slice() > key;
        heads.split(key, is_behind).checked_sub(1)
    }
}

/// A version of a row in a segment. Its columns are read when they are asked for.
pub struct RowPlace<'a> {
    reader: &'a SegmentReader,
    /// Of the collection in the directory.
    index: usize,
    rows: &'a Rows,
    block: &'a Block,
    position: usize,
}

impl RowPlace<'_> {
    fn collection(&self) -> CollectionId {
        self.reader.0.directory.collections[self.index].id
    }

    fn column(&self, column: ColumnId) -> ColumnOf<'_> {
        ColumnOf {
            collection: self.collection(),
            rows: self.rows,
            block: self.block,
            column,
        }
    }

    /// When it began.
    pub fn begin(&self) -> Result<Ts> {
        let Block { min_ts, max_ts, .. } = self.block;
        if min_ts == max_ts {
            return Ok(*min_ts);
        }
        let begins = self.reader.begins(self.collection(), self.block)?;
        Ok(Ts(begins[self.position]))
    }

    /// Whether it is a delete.
    pub fn is_delete(&self) -> Result<bool> {
        let deleted = self.reader.deleted(self.collection(), self.block)?;
        Ok(deleted.is_some_and(|deleted| deleted.value(self.position)))
    }

    /// How many columns the table had at the flush.
    pub fn column_count(&self) -> usize {
        self.rows.columns.len()
    }

    /// Append one of those columns, of type `ty`, to `out`.
    pub(crate) fn append(
        &self,
        column: ColumnId,
        ty: &ColumnType,
        out: &mut ColumnBuilder,
    ) -> Result<()> {
        let Some((array, at)) = self.reader.column_at(self.column(column), self.position)? else {
            return out.append(None);
        };
        let stored = &self.rows.columns[usize::from(column.0)].ty;
        if stored != ty {
            let expected = format!("column {column} of type {ty:?}");
            let found = format!("{stored:?}");
            return Err(Error::corruption(
                &self.reader.0.meta.name,
                0,
                expected,
                found,
            ));
        }
        out.append_of(&ColumnValues::new(ty, array.as_ref())?, at)
    }

    /// In the row format as of the flush, as far as `columns` asks for it; `None` for a delete.
    pub fn encode(&self, columns: RowColumns<'_>) -> Result<Option<Vec<u8>>> {
        if self.is_delete()? {
            return Ok(None);
        }
        let (c, rows) = (self.collection(), self.rows);
        let codec = self.reader.0.codecs[self.index].as_ref();
        let mut codec = codec.ok_or_else(|| Error::internal("rows without a codec"))?;
        let narrow;
        if columns.count < codec.column_count() {
            let columns = rows.columns[..columns.count].to_vec();
            narrow = RowCodec::new(&TableDef {
                id: c,
                columns,
                computed: Vec::new(),
                retention: None,
                indexes: Vec::new(),
            })?;
            codec = &narrow;
        }
        let mut bytes = Vec::new();
        write_row(codec, &mut bytes, |column, out| {
            if !columns.wants(column) {
                return Ok(false);
            }
            let of = self.column(ColumnId(column as u16));
            let Some((array, at)) = self.reader.column_at(of, self.position)? else {
                return Ok(false);
            };
            let values = ColumnValues::new(&rows.columns[column].ty, array.as_ref())?;
            if values.is_null(at) {
                return Ok(false);
            }
            values.write(at, out).map(|()| true)
        })?;
        Ok(Some(bytes))
    }
}

impl SegmentReader {
    /// The newest version of a row with begin ≤ `at`.
    pub fn find_row(&self, c: CollectionId, row: RowId, at: Ts) -> Result<Option<RowPlace<'_>>> {
        let Some((index, collection, rows)) = self.rows(c)? else {
            return Ok(None);
        };
        if at < collection.min_ts {
            return Ok(None);
        }
        let Some(newest) = self.newest(index, rows, row)? else {
            return Ok(None);
        };
        if newest.block.max_ts <= at || newest.begin()? <= at {
            return Ok(Some(newest));
        }
        // In HIST the versions of a row may run over from one block into the next.
        let first = rows.hist.partition_point(|block| block.max_row < row.0);
        for block in &rows.hist[first..] {
            if block.min_row > row.0 {
                break;
            }
            // Nothing in it is old enough, so of a row of many versions it is not read.
            if block.min_ts > at {
                continue;
            }
            let ids = self.row_ids_of(c, block)?;
            let begins = self.begins(c, block)?;
            let start = ids.partition_point(|id| *id < row.0);
            let end = start + ids[start..].partition_point(|id| *id == row.0);
            // From newest to oldest.
            let position = start + begins[start..end].partition_point(|begin| *begin > at.0);
            if position < end {
                return Ok(Some(RowPlace {
                    block,
                    position,
                    ..newest
                }));
            }
        }
        Ok(None)
    }

    /// A row in HEAD.
    fn newest<'a>(
        &'a self,
        index: usize,
        rows: &'a Rows,
        row: RowId,
    ) -> Result<Option<RowPlace<'a>>> {
        let Some(block) = self.0.finders[index].block(rows, row.0) else {
            return Ok(None);
        };
        let place = |position| RowPlace {
            reader: self,
            index,
            rows,
            block,
            position,
        };
        // Each row is there once, so where there are as many as there can be none is missing.
        if block.max_row - block.min_row == u64::from(block.rows) - 1 {
            return Ok(Some(place((row.0 - block.min_row) as usize)));
        }
        let ids = self.row_ids_of(self.0.directory.collections[index].id, block)?;
        let position = position(&ids, block.min_row..=block.max_row, row.0);
        Ok(position.map(place))
    }

    /// [`SegmentReader::find_row`], in the row format as of the flush, as far as `columns` asks for it.
    pub fn row_version(
        &self,
        c: CollectionId,
        row: RowId,
        at: Ts,
        columns: RowColumns<'_>,
    ) -> Result<Option<Version>> {
        match self.find_row(c, row, at)? {
            Some(found) => Ok(Some((found.begin()?, found.encode(columns)?))),
            None => Ok(None),
        }
    }

    /// When the newest version of a row began; `None` when the row is not in this file.
    pub fn newest_begin(&self, c: CollectionId, row: RowId) -> Result<Option<Ts>> {
        let Some((index, _, rows)) = self.rows(c)? else {
            return Ok(None);
        };
        let newest = self.newest(index, rows, row)?;
        newest.map(|newest| newest.begin()).transpose()
    }

    /// The newest version of an entry with begin ≤ `at`.
    pub fn entry(&self, c: CollectionId, key: &[u8], at: Ts) -> Result<Option<Version>> {
        self.find_entry(c, key, at, false, |begin, value| {
            (begin, value.map(<[u8]>::to_vec))
        })
    }

    /// Call `f` with the begin of the newest version of an entry with begin ≤ `at`, and its value or `None`
    /// for a delete. `last`: no other file is asked after this one, so that the key is likely to be here.
    pub fn find_entry<R>(
        &self,
        c: CollectionId,
        key: &[u8],
        at: Ts,
        last: bool,
        f: impl FnOnce(Ts, Option<&[u8]>) -> R,
    ) -> Result<Option<R>> {
        let Some((index, collection, sorted)) = self.sorted(c)? else {
            return Ok(None);
        };
        if at < collection.min_ts {
            return Ok(None);
        }
        // A page at hand says sooner whether the key is there than the filter does, which spares reading one.
        let page = || {
            let page = self.0.finders[index].page(sorted, key)?;
            sorted.head.get(page)
        };
        let at_hand = match last {
            true => page().and_then(|page| self.entries_at_hand(page)),
            false => None,
        };
        let entries = match at_hand {
            Some(entries) => entries,
            None => {
                if !self.bloom(c, sorted)?.may_contain(key) {
                    return Ok(None);
                }
                let Some(page) = page() else {
                    return Ok(None);
                };
                self.entries(c, page, false)?
            }
        };
        let Some((begin, value)) = entries.find(key)? else {
            return Ok(None);
        };
        let begin = self.stamp().unwrap_or(begin);
        if begin <= at {
            return Ok(Some(f(begin, value)));
        }
        let mut older = RunCursor::new(self.clone(), index, true);
        older.seek(key)?;
        while older.key() == Some(key) {
            let (begin, value) = older.version();
            if begin <= at {
                return Ok(Some(f(begin, value)));
            }
            older.advance()?;
        }
        Ok(None)
    }
}
