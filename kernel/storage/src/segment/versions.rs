//! Every version of a segment, with its timestamps: what copies history reads.
//!
//! HEAD and HIST of a row collection are two streams here, each by rising RowId, because each is laid
//! out that way; whoever wants one order merges them. A sorted collection comes merged.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryViewArray, BooleanArray, StringViewArray, UInt64Array};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};
use arrow_schema::DataType;
use arrow_select::nullif::nullif;
use roaring::RoaringTreemap;

use super::format::{Block, Rows};
use super::range::RunCursor;
use super::reader::{Keep, Picked, SegmentReader};
use super::scan::ScanColumn;
use crate::datum::malformed;
use crate::error::Result;
use crate::ids::{CollectionId, ColumnId, Ts};
use crate::schema::TableDef;

/// Which versions to read.
#[derive(Clone, Debug)]
pub enum RowPick {
    /// Of each row that is not in `exclude` the version at the time asked for, unless it is a delete.
    Visible { exclude: Arc<RoaringTreemap> },
    /// All that began by the time asked for, deletes included. Of HEAD only rows in `among`: the
    /// others have no second version outside of this file.
    All { among: Arc<RoaringTreemap> },
    /// Of HEAD the rows that are not in `except`, deletes included; of HIST what ends after `horizon`.
    Kept {
        except: Arc<RoaringTreemap>,
        horizon: Ts,
    },
}

/// Versions by rising RowId, those of one row newest first. Never empty.
#[derive(Clone, Debug)]
pub struct RowRun {
    pub ids: ScalarBuffer<u64>,
    pub begins: ScalarBuffer<u64>,
    /// `None` when only newer sources know.
    pub ends: Option<ScalarBuffer<u64>>,
    /// Bit set: a delete. `None` when there is none.
    pub deleted: Option<BooleanBuffer>,
    pub columns: Vec<ArrayRef>,
}

impl RowRun {
    /// How many.
    pub fn count(&self) -> usize {
        self.ids.len()
    }
}

/// Reads one run of a row collection, a block at a time. Between two blocks it holds no rows.
pub struct RowRuns {
    reader: SegmentReader,
    collection: CollectionId,
    columns: Vec<ScanColumn>,
    at: Ts,
    pick: RowPick,
    hist: bool,
    blocks: Range<usize>,
}

impl SegmentReader {
    /// The versions of `table` in HEAD, or in HIST, that began at or before `at`. What is in the file of
    /// columns from number `columns_max` on is not the table's.
    pub fn row_runs(
        &self,
        table: &TableDef,
        columns_max: usize,
        pick: RowPick,
        at: Ts,
        hist: bool,
    ) -> Result<RowRuns> {
        let mut columns = Vec::new();
        let mut blocks = 0..0;
        if let Some((_, collection, rows)) = self.rows(table.id)? {
            for column in 0..table.columns.len() {
                let column = ColumnId(column as u16);
                columns.push(self.scan_column(table, columns_max, rows, column)?);
            }
            let visible = matches!(pick, RowPick::Visible { .. });
            blocks = match hist {
                false => 0..rows.head.len(),
                // HEAD alone has the newest versions.
                true if visible && at >= collection.max_ts => 0..0,
                true => 0..rows.hist.len(),
            };
        }
        Ok(RowRuns {
            reader: self.clone(),
            collection: table.id,
            columns,
            at,
            pick,
            hist,
            blocks,
        })
    }
}

impl RowRuns {
    /// What is still to come has no lower RowId, which the directory tells; `None` at the end.
    pub fn next_row(&self) -> Result<Option<u64>> {
        let Some((_, _, rows)) = self.reader.rows(self.collection)? else {
            return Ok(None);
        };
        let blocks = match self.hist {
            false => rows.head.get(self.blocks.clone()),
            true => rows.hist.get(self.blocks.clone()),
        };
        Ok(blocks.and_then(<[_]>::first).map(|block| block.min_row))
    }

    /// Read the next block: what is wanted of it, if anything is.
    pub fn read_block(&mut self) -> Result<Option<RowRun>> {
        match self.blocks.next() {
            Some(number) => self.block(number),
            None => Ok(None),
        }
    }

    fn block(&self, number: usize) -> Result<Option<RowRun>> {
        let Some((_, _, rows)) = self.reader.rows(self.collection)? else {
            return Ok(None);
        };
        let block = match self.hist {
            false => &rows.head[number],
            true => &rows.hist[number],
        };
        if block.min_ts > self.at || !self.may_have(block) {
            return Ok(None);
        }
        let c = self.collection;
        let ids = self.reader.row_ids_of(c, block)?;
        let begins = self.reader.begins(c, block)?;
        let ends = self.reader.ends(c, block)?;
        let deleted = self.reader.deleted(c, block)?;
        let wanted = self.wanted(block, &ids, &begins, ends.as_ref(), deleted.as_ref());
        let picked = Picked::new(block.rows as usize, wanted);
        if picked.count() == 0 {
            return Ok(None);
        }
        self.run(
            rows,
            block,
            &picked,
            RowRun {
                ids,
                begins,
                ends,
                deleted,
                columns: Vec::with_capacity(self.columns.len()),
            },
        )
        .map(Some)
    }

    /// What the directory tells.
    fn may_have(&self, block: &Block) -> bool {
        let rows = block.min_row..=block.max_row;
        match &self.pick {
            RowPick::Visible { .. } => block.tombstones < block.rows,
            RowPick::All { .. } if self.hist => true,
            RowPick::Kept { .. } => true,
            RowPick::All { among } => among.range_cardinality(rows) > 0,
        }
    }

    /// Which rows to return; `None` for all.
    fn wanted(
        &self,
        block: &Block,
        ids: &[u64],
        begins: &[u64],
        ends: Option<&ScalarBuffer<u64>>,
        deleted: Option<&BooleanBuffer>,
    ) -> Option<BooleanBuffer> {
        let mut wanted: Option<BooleanBuffer> = None;
        let mut narrow = |bits: BooleanBuffer| {
            wanted = Some(match wanted.take() {
                Some(wanted) => &wanted & &bits,
                None => bits,
            });
        };
        let rows = ids.len();
        if block.max_ts > self.at {
            narrow(BooleanBuffer::collect_bool(rows, |row| {
                begins[row] <= self.at.0
            }));
        }
        match &self.pick {
            RowPick::Visible { exclude } => {
                if let Some(deleted) = deleted {
                    narrow(!deleted);
                }
                if let Some(ends) = ends {
                    narrow(BooleanBuffer::collect_bool(rows, |row| {
                        self.at.0 < ends[row]
                    }));
                }
                if exclude.range_cardinality(block.min_row..=block.max_row) > 0 {
                    narrow(BooleanBuffer::collect_bool(rows, |row| {
                        !exclude.contains(ids[row])
                    }));
                }
            }
            RowPick::All { among } if !self.hist => {
                narrow(BooleanBuffer::collect_bool(rows, |row| {
                    among.contains(ids[row])
                }));
            }
            RowPick::All { .. } => {}
            RowPick::Kept { except, horizon } => match ends {
                Some(ends) => narrow(BooleanBuffer::collect_bool(rows, |row| {
                    ends[row] > horizon.0
                })),
                None if except.range_cardinality(block.min_row..=block.max_row) == 0 => {}
                None => narrow(BooleanBuffer::collect_bool(rows, |row| {
                    !except.contains(ids[row])
                })),
            },
        }
        wanted
    }

    /// Of `whole`, of which the columns are still to be read, the rows that were picked.
    fn run(&self, rows: &Rows, block: &Block, picked: &Picked, whole: RowRun) -> Result<RowRun> {
        let numbers = |numbers: ScalarBuffer<u64>| -> Result<ScalarBuffer<u64>> {
            match picked.rows() {
                None => Ok(numbers),
                Some(_) => {
                    let numbers: ArrayRef = Arc::new(UInt64Array::new(numbers, None));
                    let picked = picked.of(&numbers)?;
                    Ok(picked
                        .as_primitive::<arrow_array::types::UInt64Type>()
                        .values()
                        .clone())
                }
            }
        };
        let mut run = RowRun {
            ids: numbers(whole.ids)?,
            begins: numbers(whole.begins)?,
            ends: whole.ends.map(numbers).transpose()?,
            deleted: None,
            columns: whole.columns,
        };
        let visible = matches!(self.pick, RowPick::Visible { .. });
        if let Some(deleted) = whole.deleted.filter(|_| !visible) {
            let deleted: ArrayRef = Arc::new(BooleanArray::new(deleted, None));
            let bits = picked.of(&deleted)?;
            run.deleted = Some(bits.as_boolean().values().clone());
        }
        for column in &self.columns {
            // What is copied is read once.
            let (reader, keep) = (&self.reader, Keep::Stored);
            let array = column.array(reader, self.collection, rows, block, picked, keep)?;
            run.columns.push(match (picked.rows(), &run.deleted) {
                (Some(_), _) if !column.is_constant() => compact(array),
                // What a column is given that a row does not have yet, a delete is not given.
                (_, Some(deleted)) if column.is_constant() => {
                    nullif(&array, &BooleanArray::new(deleted.clone(), None))
                        .map_err(|e| malformed("an array that can have NULLs", e))?
                }
                _ => array,
            });
        }
        Ok(run)
    }
}

/// The same values without bytes that none of them uses: what picks rows of a view array keeps all
/// of its buffers.
pub fn compact(array: ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Utf8View => {
            let views: &StringViewArray = array.as_string_view();
            Arc::new(views.gc())
        }
        DataType::BinaryView => {
            let views: &BinaryViewArray = array.as_binary_view();
            Arc::new(views.gc())
        }
        _ => array,
    }
}

/// Key, begin, and value, `None` for a delete.
pub type EntryVersion = (Vec<u8>, Ts, Option<Vec<u8>>);

/// Iterates over all versions of a sorted collection by key, newest first.
pub struct EntryVersions {
    head: RunCursor,
    hist: RunCursor,
    /// The key whose versions of HIST are being handed out.
    inside: Option<Vec<u8>>,
    at: Ts,
}

impl SegmentReader {
    /// The first key of `c` in this file, as the directory has it.
    pub fn first_key(&self, c: CollectionId) -> Result<Option<&[u8]>> {
        // Every key of HIST is in HEAD.
        let first = self.sorted(c)?.and_then(|(_, _, run)| run.head.first());
        Ok(first.map(|page| page.first_key.as_slice()))
    }

    /// The versions of `c` that began at or before `at`; `None` when there are none.
    pub fn entry_versions(&self, c: CollectionId, at: Ts) -> Result<Option<EntryVersions>> {
        let Some((index, collection, _)) = self.sorted(c)? else {
            return Ok(None);
        };
        if at < collection.min_ts {
            return Ok(None);
        }
        let mut versions = EntryVersions {
            head: RunCursor::new(self.clone(), index, false),
            hist: RunCursor::new(self.clone(), index, true),
            inside: None,
            at,
        };
        versions.head.seek(&[])?;
        versions.hist.seek(&[])?;
        Ok(Some(versions))
    }
}

impl EntryVersions {
    fn find_next(&mut self) -> Result<Option<EntryVersion>> {
        loop {
            if let Some(key) = &self.inside {
                if self.hist.key() != Some(key.as_slice()) {
                    self.inside = None;
                    continue;
                }
                let (begin, value) = self.hist.version();
                let found =
                    (begin <= self.at).then(|| (key.clone(), begin, value.map(<[u8]>::to_vec)));
                self.hist.advance()?;
                match found {
                    None => continue,
                    found => return Ok(found),
                }
            }
            let Some(key) = self.head.key() else {
                return Ok(None);
            };
            // Every key of HIST is in HEAD.
            let key = key.to_vec();
            let (begin, value) = self.head.version();
            let found = (begin <= self.at).then(|| (key.clone(), begin, value.map(<[u8]>::to_vec)));
            self.head.advance()?;
            if self.hist.key() == Some(key.as_slice()) {
                self.inside = Some(key);
            }
            if found.is_some() {
                return Ok(found);
            }
        }
    }
}

impl Iterator for EntryVersions {
    type Item = Result<EntryVersion>;

    fn next(&mut self) -> Option<Result<EntryVersion>> {
        self.find_next().transpose()
    }
}
