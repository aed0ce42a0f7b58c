//! The digests of a table, out of batches of its rows.
//!
//! A batch is hashed column by column into a matrix of `begin │ end │ RowId │ columns that are not
//! dropped │ dropped ones` per row, a few rows at a time so that it stays in the cache; then each row
//! is hashed from its piece of the matrix. All digests are parts of the same line.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, RecordBatch};
use arrow_buffer::ToByteSlice;
use heliosdb_storage::{Error, Result};

use super::values::hash_values;
use super::{Digest, digest_of};

/// Value hashes in the matrix: 256 KiB.
const MATRIX_HASHES: usize = 32 << 10;
/// Of a line: begin, end and RowId come before the columns.
const BEGIN: usize = 0;
const END: usize = 1;
const ROW_ID: usize = 2;
const COLUMNS: usize = 3;
/// The end of a version that nothing replaced.
const NO_END: u64 = u64::MAX;

/// A line of the matrix.
pub(crate) struct Line<'a> {
    hashes: &'a [u64],
    live: usize,
}

impl Line<'_> {
    pub fn begin(&self) -> u64 {
        self.hashes[BEGIN]
    }

    pub fn end(&self) -> u64 {
        self.hashes[END]
    }

    fn values(&self) -> Digest {
        digest(&self.hashes[COLUMNS..COLUMNS + self.live])
    }

    fn version(&self) -> Digest {
        digest(self.hashes)
    }

    /// Of the RowId and the values of all columns, without the times.
    pub fn row(&self) -> Digest {
        digest(&self.hashes[ROW_ID..])
    }
}

fn digest(hashes: &[u64]) -> Digest {
    digest_of(hashes.to_byte_slice())
}

/// Makes lines out of batches.
pub(crate) struct RowHasher {
    /// Column of the batch per column of the line.
    order: Vec<usize>,
    live: usize,
    matrix: Vec<u64>,
}

impl RowHasher {
    /// `dropped` per column of the table.
    pub fn new(dropped: &[bool]) -> RowHasher {
        let with = |wanted: bool| (0..dropped.len()).filter(move |&c| dropped[c] == wanted);
        RowHasher {
            order: with(false).chain(with(true)).collect(),
            live: with(false).count(),
            matrix: Vec::new(),
        }
    }

    /// Columns of the table.
    fn columns(&self) -> usize {
        self.order.len()
    }

    /// Call `each` with the line of every row. The batch is all columns of the table and then the
    /// RowIds; `begins` and `ends` are of its length, and without them a line has zeros.
    pub fn lines(
        &mut self,
        batch: &RecordBatch,
        begins: Option<&[u64]>,
        ends: Option<&[u64]>,
        mut each: impl FnMut(Line<'_>),
    ) -> Result<()> {
        let width = COLUMNS + self.columns();
        let row_ids = ids(batch, self.columns())?;
        let rows_max = (MATRIX_HASHES / width).max(1);
        let mut start = 0;
        while start < batch.num_rows() {
            let rows = rows_max.min(batch.num_rows() - start);
            self.matrix.clear();
            self.matrix.resize(rows * width, 0);
            for (row, line) in self.matrix.chunks_exact_mut(width).enumerate() {
                line[BEGIN] = begins.map_or(0, |begins| begins[start + row]);
                line[END] = ends.map_or(NO_END, |ends| ends[start + row]);
                line[ROW_ID] = row_ids[start + row];
            }
            for (position, &column) in self.order.iter().enumerate() {
                let out = &mut self.matrix[COLUMNS + position..];
                hash_values(batch.column(column), start..start + rows, out, width)?;
            }
            for hashes in self.matrix.chunks_exact(width) {
                each(Line {
                    hashes,
                    live: self.live,
                });
            }
            start += rows;
        }
        Ok(())
    }
}

/// The UInt64 column at `index` of a batch, without NULLs.
pub(crate) fn ids(batch: &RecordBatch, index: usize) -> Result<&[u64]> {
    let column = batch.columns().get(index);
    match column.and_then(|column| column.as_primitive_opt::<UInt64Type>()) {
        Some(ids) if ids.null_count() == 0 => Ok(ids.values()),
        _ => Err(Error::invalid(format!(
            "a batch whose column {index} is not of ids"
        ))),
    }
}

/// Digests and counts of a table's versions; see the parent module.
pub struct TableDigest {
    hasher: RowHasher,
    values: Digest,
    columns: Vec<Digest>,
    versions: Digest,
    rows: u64,
    superseded: u64,
}

impl TableDigest {
    /// Of no rows yet. `dropped` says it per column of the table.
    pub fn new(dropped: &[bool]) -> TableDigest {
        TableDigest {
            hasher: RowHasher::new(dropped),
            values: Digest::default(),
            columns: vec![Digest::default(); dropped.len()],
            versions: Digest::default(),
            rows: 0,
            superseded: 0,
        }
    }

    /// Add current rows: all columns, `_rowid`, `_begin`.
    pub fn add_current(&mut self, batch: &RecordBatch) -> Result<()> {
        let width = self.columns.len();
        let begins = ids(batch, width + 1)?;
        let (values, versions) = (&mut self.values, &mut self.versions);
        let live = self.hasher.live;
        let mut sums = vec![0u128; live];
        self.hasher.lines(batch, Some(begins), None, |line| {
            *values += line.values();
            *versions += line.version();
            for (sum, hash) in sums.iter_mut().zip(&line.hashes[COLUMNS..]) {
                *sum += u128::from(*hash);
            }
        })?;
        for (position, sum) in sums.into_iter().enumerate() {
            self.columns[self.hasher.order[position]] += Digest(sum);
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Add superseded versions: all columns, `_rowid`, `_begin`, `_end`.
    pub fn add_superseded(&mut self, batch: &RecordBatch) -> Result<()> {
        let width = self.columns.len();
        let (begins, ends) = (ids(batch, width + 1)?, ids(batch, width + 2)?);
        let versions = &mut self.versions;
        self.hasher.lines(batch, Some(begins), Some(ends), |line| {
            *versions += line.version();
        })?;
        self.superseded += batch.num_rows() as u64;
        Ok(())
    }

    /// Add what another counted of the same table.
    pub fn merge(&mut self, other: &TableDigest) {
        self.values += other.values;
        self.versions += other.versions;
        for (sum, column) in self.columns.iter_mut().zip(&other.columns) {
            *sum += *column;
        }
        self.rows += other.rows;
        self.superseded += other.superseded;
    }

    /// Current rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Superseded versions so far.
    pub fn superseded(&self) -> u64 {
        self.superseded
    }

    /// Of the values of the current rows.
    pub fn values(&self) -> Digest {
        self.values
    }

    /// Per column; of a dropped one 0.
    pub fn columns(&self) -> &[Digest] {
        &self.columns
    }

    /// Of all versions with their RowIds and times.
    pub fn versions(&self) -> Digest {
        self.versions
    }
}
