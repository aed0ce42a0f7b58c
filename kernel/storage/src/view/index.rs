//! Lookups through an index: columns → RowIds.
//!
//! An entry's value is the RowId, 8 bytes big-endian. Its key is the encoded columns; when the index
//! is not unique, or when a key column is NULL (a NULL equals nothing), the RowId follows the columns
//! so that equal columns of different rows are different keys.
//!
//! A row for which the index's predicate is not true has no entry.

use std::ops::Bound;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};

use super::{Kind, ReadView, row_of};
use crate::datum::Datum;
use crate::datum::arrow::ColumnValues;
use crate::error::{Error, Result};
use crate::ids::{ColumnId, RowId};
use crate::key::{append_column, append_key, encode_key, prefix_range};
use crate::memtable::PREFIX_BYTES;
use crate::schema::{ColumnType, IndexDef, KeyColumn, TableDef};

/// Longest encoded index key.
pub const KEY_BYTES_MAX: usize = 16 << 10;

/// Which part of an index to read: equality on the leading columns, then optionally a range on the
/// next one. A `Null` in `prefix` means IS NULL. A range never includes NULLs.
#[derive(Clone, Debug)]
pub struct IndexRange {
    pub prefix: Vec<Datum>,
    pub lower: Bound<Datum>,
    pub upper: Bound<Datum>,
}

impl IndexRange {
    /// Entries whose leading columns equal `prefix`.
    pub fn equal(prefix: Vec<Datum>) -> IndexRange {
        IndexRange {
            prefix,
            lower: Bound::Unbounded,
            upper: Bound::Unbounded,
        }
    }

    /// The whole index.
    pub fn all() -> IndexRange {
        IndexRange::equal(Vec::new())
    }
}

/// The types of an index's key columns.
pub fn key_types(table: &TableDef, index: &IndexDef) -> Result<Vec<ColumnType>> {
    let column = |id: ColumnId| {
        table
            .column_type(id)
            .cloned()
            .ok_or_else(|| Error::invalid(format!("index {} is on no column {id}", index.id)))
    };
    index.columns.iter().map(|key| column(key.column)).collect()
}

/// An index entry's key, and whether it has a NULL.
#[derive(Default)]
pub(crate) struct EntryKey {
    pub key: Vec<u8>,
    pub has_null: bool,
    /// The transaction that adds it certainly did not write the key before.
    pub is_first: bool,
}

impl EntryKey {
    /// Add the next column, from its value bytes.
    pub fn append(
        &mut self,
        ty: &ColumnType,
        value: Option<&[u8]>,
        column: KeyColumn,
    ) -> Result<()> {
        self.has_null |= value.is_none();
        append_column(ty, value, column, &mut self.key)
    }

    /// All columns are in: tell apart what may be equal.
    pub fn finish(&mut self, index: &IndexDef, id: RowId) -> Result<()> {
        if self.key.len() > KEY_BYTES_MAX {
            return Err(Error::KeyTooLong {
                bytes: self.key.len(),
                max_bytes: KEY_BYTES_MAX,
            });
        }
        if !index.unique || self.has_null {
            self.key.extend_from_slice(&id.0.to_be_bytes());
        }
        Ok(())
    }
}

/// The entry of row `id` in `index`, if it has one; `value` gives the value bytes of a column.
pub(crate) fn entry_key<'a>(
    types: &[ColumnType],
    index: &IndexDef,
    id: RowId,
    mut value: impl FnMut(ColumnId) -> Result<Option<&'a [u8]>>,
) -> Result<Option<EntryKey>> {
    if let Some(predicate) = index.predicate
        && value(predicate)? != Some(TRUE)
    {
        return Ok(None);
    }
    let mut entry = EntryKey {
        key: Vec::new(),
        has_null: false,
        is_first: false,
    };
    for (column, ty) in index.columns.iter().zip(types) {
        entry.append(ty, value(column.column)?, *column)?;
    }
    entry.finish(index, id)?;
    Ok(Some(entry))
}

/// Value bytes of a boolean that is true.
const TRUE: &[u8] = &[1];

/// Makes the entries of the rows of a batch in one index.
pub(crate) struct EntryEncoder<'a> {
    index: &'a IndexDef,
    types: &'a [ColumnType],
    /// Per key column.
    values: Vec<ColumnValues<'a>>,
    predicate: Option<&'a BooleanArray>,
    scratch: Vec<u8>,
}

impl<'a> EntryEncoder<'a> {
    /// `arrays` are those of [`IndexDef::reads`].
    pub fn new(
        index: &'a IndexDef,
        types: &'a [ColumnType],
        mut arrays: impl Iterator<Item = &'a ArrayRef>,
    ) -> Result<EntryEncoder<'a>> {
        let values = types.iter().zip(arrays.by_ref());
        let values = values.map(|(ty, array)| ColumnValues::new(ty, array.as_ref()));
        let values = values.collect::<Result<_>>()?;
        let predicate = match index.predicate {
            None => None,
            Some(_) => Some(
                arrays
                    .next()
                    .and_then(|array| array.as_boolean_opt())
                    .ok_or_else(|| Error::invalid("a predicate that is not boolean"))?,
            ),
        };
        Ok(EntryEncoder {
            index,
            types,
            values,
            predicate,
            scratch: Vec::new(),
        })
    }

    /// Make `entry` that of row `row` of the batch, which is row `id` of the table; whether it has one.
    pub fn encode(&mut self, row: usize, id: RowId, entry: &mut EntryKey) -> Result<bool> {
        if let Some(predicate) = self.predicate
            && !(predicate.is_valid(row) && predicate.value(row))
        {
            return Ok(false);
        }
        entry.key.clear();
        entry.has_null = false;
        let columns = self.types.iter().zip(&self.index.columns);
        for (values, (ty, column)) in self.values.iter().zip(columns) {
            if values.is_null(row) {
                entry.append(ty, None, *column)?;
                continue;
            }
            self.scratch.clear();
            values.write(row, &mut self.scratch)?;
            entry.append(ty, Some(&self.scratch), *column)?;
        }
        entry.finish(self.index, id)?;
        Ok(true)
    }
}

/// Call `each` with the RowId of every row of `batch` that has an entry in `index`, and the entry's key.
/// The batch is what [`IndexDef::reads`] names, in that order, then the RowIds.
pub fn entry_keys(
    table: &TableDef,
    index: &IndexDef,
    batch: &RecordBatch,
    mut each: impl FnMut(RowId, &[u8]),
) -> Result<()> {
    let (types, width) = (key_types(table, index)?, index.reads().len());
    let ids = batch.columns().get(width);
    let Some(ids) = ids.and_then(|ids| ids.as_primitive_opt::<UInt64Type>()) else {
        return Err(Error::invalid("a batch of keys without RowIds"));
    };
    let mut encoder = EntryEncoder::new(index, &types, batch.columns()[..width].iter())?;
    let mut entry = EntryKey::default();
    for (row, id) in ids.values().iter().enumerate() {
        if encoder.encode(row, RowId(*id), &mut entry)? {
            each(RowId(*id), &entry.key);
        }
    }
    Ok(())
}

type EntryBounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Bounds on entry keys that hold exactly the entries of `range`.
fn key_bounds(table: &TableDef, index: &IndexDef, range: &IndexRange) -> Result<EntryBounds> {
    let types = key_types(table, index)?;
    let prefix = encode_key(&range.prefix, &index.columns, &types)?;
    let end = |end: Option<Vec<u8>>| end.map_or(Bound::Unbounded, Bound::Excluded);
    if let (Bound::Unbounded, Bound::Unbounded) = (&range.lower, &range.upper) {
        let (from, to) = prefix_range(&prefix);
        return Ok((Bound::Included(from), end(to)));
    }
    let Some(column) = index.columns.get(range.prefix.len()) else {
        return Err(Error::invalid("a range behind the last column of an index"));
    };
    // DESC turns the range around.
    let (lower, upper) = match column.descending {
        false => (&range.lower, &range.upper),
        true => (&range.upper, &range.lower),
    };
    let key = |datum: &Datum| {
        if *datum == Datum::Null {
            return Err(Error::invalid("NULL as the bound of a range"));
        }
        let mut values = range.prefix.clone();
        values.push(datum.clone());
        encode_key(&values, &index.columns, &types)
    };
    let nulls = {
        let mut values = range.prefix.clone();
        values.push(Datum::Null);
        encode_key(&values, &index.columns, &types)?
    };
    let from = match lower {
        Bound::Included(datum) => Bound::Included(key(datum)?),
        Bound::Excluded(datum) => match prefix_range(&key(datum)?).1 {
            Some(after) => Bound::Included(after),
            None => return Err(Error::internal("a key of nothing but 0xFF")),
        },
        Bound::Unbounded if column.nulls_first => match prefix_range(&nulls).1 {
            Some(after) => Bound::Included(after),
            None => return Err(Error::internal("a key of nothing but 0xFF")),
        },
        Bound::Unbounded => Bound::Included(prefix.clone()),
    };
    let to = match upper {
        Bound::Included(datum) => end(prefix_range(&key(datum)?).1),
        Bound::Excluded(datum) => Bound::Excluded(key(datum)?),
        Bound::Unbounded if column.nulls_first => end(prefix_range(&prefix).1),
        Bound::Unbounded => Bound::Excluded(nulls),
    };
    Ok((from, to))
}

impl ReadView {
    /// RowIds of the entries in `range`, in index order. Every one of them is visible to this view.
    pub fn index_rows(
        &self,
        table: &TableDef,
        index: &IndexDef,
        range: &IndexRange,
    ) -> Result<Vec<RowId>> {
        let rows = self.index_rows_max(table, index, range, usize::MAX)?;
        Ok(rows.unwrap_or_default())
    }

    /// [`ReadView::index_rows`], unless they are more than `rows_max`: then `None`, found out without
    /// reading the others.
    pub fn index_rows_max(
        &self,
        table: &TableDef,
        index: &IndexDef,
        range: &IndexRange,
        rows_max: usize,
    ) -> Result<Option<Vec<RowId>>> {
        if index.unique
            && range.prefix.len() == index.columns.len()
            && !range.prefix.contains(&Datum::Null)
        {
            let types = key_types(table, index)?;
            let key = encode_key(&range.prefix, &index.columns, &types)?;
            return match self.get(index.id, &key)? {
                Some(value) => Ok(Some(vec![row_of(&value)?])),
                None => Ok(Some(Vec::new())),
            };
        }
        let (from, to) = key_bounds(table, index, range)?;
        let from = from.as_ref().map(|k| k.as_slice());
        let to = to.as_ref().map(|k| k.as_slice());
        let mut rows = Vec::new();
        for entry in self.range(index.id, from, to)? {
            if rows.len() == rows_max {
                return Ok(None);
            }
            rows.push(row_of(&entry?.1)?);
        }
        Ok(Some(rows))
    }

    /// The row with a whole key, none of it NULL, of a unique index. `types` are its
    /// [`key_types`].
    pub fn unique_row(
        &self,
        index: &IndexDef,
        types: &[ColumnType],
        key: &[Datum],
    ) -> Result<Option<RowId>> {
        let mut full = Vec::with_capacity(PREFIX_BYTES + 16 * key.len());
        full.extend_from_slice(&index.id.0.to_be_bytes());
        append_key(key, &index.columns, types, &mut full)?;
        let row = self.lookup_full(Kind::Sorted, &full, |_, value| {
            value.map(row_of).transpose()
        })?;
        Ok(row.transpose()?.flatten())
    }
}
