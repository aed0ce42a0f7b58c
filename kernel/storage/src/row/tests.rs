//! Rows of every type, rows older than their table, and rows that are no rows.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt64Array};
use arrow_select::concat::concat;
use proptest::prelude::*;

use super::batch::{batch, batch_schema};
use super::*;
use crate::datum::tests::{all_types, any_type, array_datum, datum_of, same};
use crate::ids::{CollectionId, RowId};
use crate::schema::ColumnDef;

pub(crate) fn table(types: &[ColumnType]) -> TableDef {
    TableDef {
        id: CollectionId(2000),
        columns: types.iter().cloned().map(ColumnDef::new).collect(),
        computed: Vec::new(),
        retention: None,
        indexes: Vec::new(),
    }
}

fn all(table: &TableDef) -> Vec<ColumnId> {
    (0..table.columns.len() as u16).map(ColumnId).collect()
}

/// A batch of `rows`, each with a value per kept column of `table`.
pub(crate) fn batch_of(table: &TableDef, rows: &[Vec<Datum>]) -> RecordBatch {
    let kept: Vec<ColumnId> = all(table)
        .into_iter()
        .filter(|c| !table.columns[c.0 as usize].dropped)
        .collect();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (position, column) in kept.iter().enumerate() {
        let ty = &table.columns[column.0 as usize].ty;
        let values: Vec<ArrayRef> = rows
            .iter()
            .map(|row| row[position].to_array(ty).unwrap())
            .collect();
        let values: Vec<&dyn Array> = values.iter().map(|v| v.as_ref()).collect();
        columns.push(concat(&values).unwrap());
    }
    batch(
        batch_schema(table, &kept, false).unwrap(),
        columns,
        rows.len(),
    )
    .unwrap()
}

fn types_and_rows() -> impl Strategy<Value = (Vec<ColumnType>, Vec<Vec<Datum>>)> {
    prop::collection::vec(any_type(), 0..12).prop_flat_map(|types| {
        let row: Vec<_> = types.iter().map(datum_of).collect();
        (Just(types), prop::collection::vec(row, 1..6))
    })
}

proptest! {
    #[test]
    fn batches_survive_rows((types, rows) in types_and_rows()) {
        let table = table(&types);
        let codec = RowCodec::new(&table).unwrap();
        let given = batch_of(&table, &rows);
        let encoder = RowEncoder::new(&codec, &given).unwrap();
        let mut builder = BatchBuilder::new(&table, &all(&table), true).unwrap();
        for (index, row) in rows.iter().enumerate() {
            let mut bytes = Vec::new();
            encoder.encode(index, &mut bytes).unwrap();
            for (column, value) in row.iter().enumerate() {
                let read = codec.datum(&bytes, ColumnId(column as u16)).unwrap();
                prop_assert!(same(&read, value), "{:?} became {:?}", value, read);
            }
            builder.push(RowId(index as u64 + 7), &bytes).unwrap();
        }
        prop_assert_eq!(builder.len(), rows.len());
        let back = builder.finish().unwrap();
        let ids = UInt64Array::from_iter_values(7..7 + rows.len() as u64);
        prop_assert_eq!(back.column(types.len()).as_ref(), &ids as &dyn Array);
        for (column, array) in given.columns().iter().enumerate() {
            prop_assert_eq!(back.column(column).to_data(), array.to_data());
        }
    }

    #[test]
    fn random_bytes_are_an_error_or_a_row(
        types in prop::collection::vec(any_type(), 0..6),
        bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        read_everything(&table(&types), &bytes);
    }

    #[test]
    fn a_damaged_row_never_panics(
        (types, rows) in types_and_rows(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let table = table(&types);
        let mut bytes = Vec::new();
        RowCodec::new(&table).unwrap().encode(&batch_of(&table, &rows), 0, &mut bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        read_everything(&table, &bytes);
        read_everything(&table, &bytes[..at]);
    }
}

fn read_everything(table: &TableDef, bytes: &[u8]) {
    let codec = RowCodec::new(table).unwrap();
    for column in all(table) {
        let _ = codec.datum(bytes, column);
    }
    let mut builder = BatchBuilder::new(table, &all(table), false).unwrap();
    if builder.push(RowId(1), bytes).is_ok() {
        let _ = builder.finish();
    }
}

/// ALTER TABLE … ADD COLUMN with a default, then DROP COLUMN: old rows are not touched.
#[test]
fn old_rows_take_missing_values_and_forget_dropped_columns() {
    let old = table(&[ColumnType::Int32, ColumnType::Text]);
    let mut bytes = Vec::new();
    let row = vec![Datum::Int32(5), Datum::Bytes(b"five".to_vec())];
    RowCodec::new(&old)
        .unwrap()
        .encode(&batch_of(&old, &[row]), 0, &mut bytes)
        .unwrap();

    let mut new = table(&[
        ColumnType::Int32,
        ColumnType::Text,
        ColumnType::Array(Box::new(ColumnType::Int64)),
        ColumnType::Bool,
    ]);
    let added = array_datum(&ColumnType::Int64, &[Datum::Int64(1), Datum::Null]);
    new.columns[0].dropped = true;
    new.columns[2].missing = Some(Arc::from(added.encode()));
    let codec = RowCodec::new(&new).unwrap();
    assert_eq!(codec.datum(&bytes, ColumnId(0)).unwrap(), Datum::Null);
    assert_eq!(
        codec.datum(&bytes, ColumnId(1)).unwrap(),
        Datum::Bytes(b"five".to_vec())
    );
    assert_eq!(codec.datum(&bytes, ColumnId(2)).unwrap(), added);
    assert_eq!(codec.datum(&bytes, ColumnId(3)).unwrap(), Datum::Null);
    assert!(codec.datum(&bytes, ColumnId(4)).is_err());

    let row = vec![
        Datum::Bytes(b"six".to_vec()),
        Datum::Null,
        Datum::Bool(true),
    ];
    let mut bytes = Vec::new();
    codec
        .encode(&batch_of(&new, &[row]), 0, &mut bytes)
        .unwrap();
    assert_eq!(codec.datum(&bytes, ColumnId(0)).unwrap(), Datum::Null);
    assert_eq!(codec.datum(&bytes, ColumnId(2)).unwrap(), Datum::Null);
    assert_eq!(codec.datum(&bytes, ColumnId(3)).unwrap(), Datum::Bool(true));
}

#[test]
fn a_missing_value_of_another_type_is_refused() {
    let mut table = table(&[ColumnType::Int32]);
    table.columns[0].missing = Some(Arc::from(Datum::Bool(true).encode()));
    assert!(RowCodec::new(&table).is_err());
}

#[test]
fn a_projection_of_nothing_still_counts_rows() {
    let table = table(&all_types());
    let nulls = vec![Datum::Null; table.columns.len()];
    let mut bytes = Vec::new();
    RowCodec::new(&table)
        .unwrap()
        .encode(&batch_of(&table, &[nulls]), 0, &mut bytes)
        .unwrap();
    let mut builder = BatchBuilder::new(&table, &[], false).unwrap();
    builder.push(RowId(1), &bytes).unwrap();
    builder.push(RowId(2), &bytes).unwrap();
    assert_eq!(builder.finish().unwrap().num_rows(), 2);
}
