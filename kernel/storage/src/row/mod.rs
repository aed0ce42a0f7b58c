//! The row: how one version of one row lies in the memtable, the log and a transaction's write set.
//!
//! ```text
//! natts u16 │ null bitmap │ fixed slots │ end offsets u32 … │ variable data
//!
//! natts         columns this row knows; the table may have got more since
//! null bitmap   ⌈natts/8⌉ bytes, bit set = NULL
//! fixed slots   the fixed-width columns' value bytes, in column order; a NULL keeps a zeroed slot
//! end offsets   per variable-width column, in column order: where its value ends, counted from
//!               the start of the variable data; a NULL is of length 0
//! variable data the variable-width columns' value bytes, back to back
//! ```
//!
//! 1. Where a column lies depends only on natts and the types before it, so a column is found in
//!    O(1) and without copying ([`RowRef::value`]).
//! 2. A column beyond natts reads as [`crate::schema::ColumnDef::missing`], so ADD COLUMN touches
//!    no row.
//! 3. A dropped column is written as NULL and reads as NULL, whatever old rows hold.
//! 4. Any bytes may be read: damage is an error, never a panic.
//!
//! [`RowEncoder`] makes rows of Arrow batches, [`BatchBuilder`] makes batches of rows.

mod batch;
mod encode;

pub use self::batch::{BatchBuilder, BatchShape, ROW_ID_COLUMN};
pub(crate) use self::batch::{batch, batch_schema};
pub use self::encode::RowEncoder;
pub(crate) use self::encode::write_row;

use std::sync::Arc;

use arrow_array::RecordBatch;

use crate::datum::{Datum, fixed};
use crate::error::{Error, Result};
use crate::ids::ColumnId;
use crate::schema::{ColumnType, TableDef};

/// Bytes of natts.
const NATTS_BYTES: usize = 2;
/// Bytes of one end offset.
const OFFSET_BYTES: usize = 4;
/// As many as [`ColumnId`] can tell from computed ones; PostgreSQL stops at 1,600.
pub const COLUMNS_MAX: usize = 1 << 15;

/// Reads and writes the rows of one [`TableDef`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RowCodec {
    columns: Arc<[Column]>,
}

#[derive(Debug)]
struct Column {
    ty: ColumnType,
    dropped: bool,
    /// Value bytes for rows that end before this column.
    missing: Option<Box<[u8]>>,
    place: Place,
    /// Bytes of fixed slots before this column.
    fixed_before: usize,
    /// Variable-width columns before this one.
    variable_before: usize,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Fixed { width: usize },
    Variable,
}

impl RowCodec {
    /// Fails when a missing value is not one of its column.
    pub fn new(table: &TableDef) -> Result<RowCodec> {
        if table.columns.len() > COLUMNS_MAX {
            return Err(Error::invalid(format!("{} columns", table.columns.len())));
        }
        let (mut fixed_before, mut variable_before) = (0, 0);
        let mut columns = Vec::with_capacity(table.columns.len());
        for def in &table.columns {
            let missing = match &def.missing {
                Some(bytes) if !def.dropped => match Datum::decode(bytes)? {
                    Datum::Null => None,
                    value => {
                        let mut bytes = Vec::new();
                        value.write_value(&def.ty, &mut bytes)?;
                        Some(bytes.into_boxed_slice())
                    }
                },
                _ => None,
            };
            let place = match def.ty.fixed_width_bytes() {
                Some(width) => Place::Fixed { width },
                None => Place::Variable,
            };
            columns.push(Column {
                ty: def.ty.clone(),
                dropped: def.dropped,
                missing,
                place,
                fixed_before,
                variable_before,
            });
            match place {
                Place::Fixed { width } => fixed_before += width,
                Place::Variable => variable_before += 1,
            }
        }
        Ok(RowCodec {
            columns: columns.into(),
        })
    }

    /// Append row `row` of `batch`, whose columns are those of the table without the dropped ones.
    /// For more than one row of a batch, [`RowEncoder`] resolves the columns once.
    pub fn encode(&self, batch: &RecordBatch, row: usize, out: &mut Vec<u8>) -> Result<()> {
        RowEncoder::new(self, batch)?.encode(row, out)
    }

    /// View `bytes` as a row.
    pub fn row<'a>(&'a self, bytes: &'a [u8]) -> Result<RowRef<'a>> {
        RowRef::new(self, bytes)
    }

    /// One column of a row, copied out.
    pub fn datum(&self, row: &[u8], column: ColumnId) -> Result<Datum> {
        self.row(row)?.datum(column)
    }

    /// The type of a column.
    pub fn column_type(&self, column: ColumnId) -> Result<&ColumnType> {
        Ok(&self.column(column)?.ty)
    }

    pub fn column_count(&self) -> usize {
        self.columns.len()
    }

    fn column(&self, column: ColumnId) -> Result<&Column> {
        self.columns.get(usize::from(column.0)).ok_or_else(|| {
            Error::invalid(format!(
                "no column {column} in a table of {}",
                self.columns.len()
            ))
        })
    }

    /// Bytes of fixed slots and number of variable-width columns among the first `natts` columns.
    fn extent(&self, natts: usize) -> (usize, usize) {
        match natts.checked_sub(1).map(|last| &self.columns[last]) {
            None => (0, 0),
            Some(column) => match column.place {
                Place::Fixed { width } => (column.fixed_before + width, column.variable_before),
                Place::Variable => (column.fixed_before, column.variable_before + 1),
            },
        }
    }
}

/// A row in place: its frame has been checked, each value is checked when asked for.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    codec: &'a RowCodec,
    natts: usize,
    nulls: &'a [u8],
    fixed: &'a [u8],
    ends: &'a [u8],
    data: &'a [u8],
}

impl<'a> RowRef<'a> {
    fn new(codec: &'a RowCodec, bytes: &'a [u8]) -> Result<RowRef<'a>> {
        let short = || damaged("a whole row", format!("{} bytes", bytes.len()));
        let (natts, rest) = bytes.split_at_checked(NATTS_BYTES).ok_or_else(short)?;
        let natts = usize::from(u16::from_le_bytes(fixed(natts)?));
        if natts > codec.columns.len() {
            let expected = format!("a row of at most {} columns", codec.columns.len());
            return Err(damaged(expected, format!("{natts} columns")));
        }
        let (fixed_bytes, variable) = codec.extent(natts);
        let (nulls, rest) = rest.split_at_checked(natts.div_ceil(8)).ok_or_else(short)?;
        let (fixed, rest) = rest.split_at_checked(fixed_bytes).ok_or_else(short)?;
        let (ends, data) = rest
            .split_at_checked(variable * OFFSET_BYTES)
            .ok_or_else(short)?;
        Ok(RowRef {
            codec,
            natts,
            nulls,
            fixed,
            ends,
            data,
        })
    }

    /// The value bytes of a column, `None` when NULL.
    pub fn value(&self, column: ColumnId) -> Result<Option<&'a [u8]>> {
        let index = usize::from(column.0);
        let column = self.codec.column(column)?;
        if column.dropped {
            return Ok(None);
        }
        if index >= self.natts {
            return Ok(column.missing.as_deref());
        }
        if self.nulls[index / 8] & (1 << (index % 8)) != 0 {
            return Ok(None);
        }
        let (values, start, end) = match column.place {
            Place::Fixed { width } => {
                (self.fixed, column.fixed_before, column.fixed_before + width)
            }
            Place::Variable => {
                let index = column.variable_before;
                let start = if index == 0 { 0 } else { self.end(index - 1)? };
                (self.data, start, self.end(index)?)
            }
        };
        match values.get(start..end) {
            Some(value) => Ok(Some(value)),
            None => Err(damaged(
                format!("column {index} inside {} bytes", values.len()),
                format!("{start}..{end}"),
            )),
        }
    }

    /// A column's value, copied out.
    pub fn datum(&self, column: ColumnId) -> Result<Datum> {
        match self.value(column)? {
            None => Ok(Datum::Null),
            Some(value) => Datum::from_value(self.codec.column_type(column)?, value),
        }
    }

    fn end(&self, variable: usize) -> Result<usize> {
        let at = variable * OFFSET_BYTES;
        Ok(u32::from_le_bytes(fixed(&self.ends[at..at + OFFSET_BYTES])?) as usize)
    }
}

fn damaged(expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Error {
    Error::corruption("a stored row", 0, expected, found)
}

#[cfg(test)]
pub(crate) mod tests;
