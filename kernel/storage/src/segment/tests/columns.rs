//! Rows that come by the column make the file that they make one by one, to the byte.

use arrow_buffer::BooleanBuffer;

use super::memory_io::contents;
use super::*;

/// Rows of every type, some of them deletes.
fn rows(types: Vec<ColumnType>) -> impl Strategy<Value = Vec<Option<Vec<Datum>>>> {
    let row: Vec<_> = types.iter().map(datum_of).collect();
    prop::collection::vec(
        prop_oneof![6 => row.prop_map(Some), 1 => Just(None)],
        1..150,
    )
}

fn one_by_one(table: &TableDef, rows: &[(u64, Option<Vec<Datum>>)], page_bytes: usize) -> Vec<u8> {
    let io = MemoryIo::empty();
    let mut writer = create(&io, page_bytes);
    writer.begin_rows(table).unwrap();
    for (id, row) in rows {
        let row = row.as_ref().map(|row| encode(table, row));
        writer
            .push_row(RowId(*id), Ts(id + 7), None, row.as_deref())
            .unwrap();
    }
    writer.finish().unwrap();
    contents(&io, NAME)
}

fn by_the_column(
    table: &TableDef,
    rows: &[(u64, Option<Vec<Datum>>)],
    page_bytes: usize,
    run_rows: usize,
) -> Vec<u8> {
    let io = MemoryIo::empty();
    let mut writer = create(&io, page_bytes);
    writer.begin_rows(table).unwrap();
    let nulls = vec![Datum::Null; table.columns.len()];
    for rows in rows.chunks(run_rows) {
        // A slice of something larger, as batches often are.
        let mut values = vec![rows[0].1.clone().unwrap_or(nulls.clone())];
        values.extend(
            rows.iter()
                .map(|(_, row)| row.clone().unwrap_or(nulls.clone())),
        );
        let batch = batch_of(table, &values).slice(1, rows.len());
        let deleted = BooleanBuffer::from_iter(rows.iter().map(|(_, row)| row.is_none()));
        let run = RowRun {
            ids: rows.iter().map(|(id, _)| *id).collect(),
            begins: rows.iter().map(|(id, _)| id + 7).collect(),
            ends: None,
            deleted: (deleted.count_set_bits() > 0).then_some(deleted),
            columns: batch.columns().to_vec(),
        };
        writer.push_run(&run).unwrap();
    }
    writer.finish().unwrap();
    contents(&io, NAME)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_same_file_either_way(
        rows in rows(all_types()),
        gaps in prop::collection::vec(1u64..3, 150),
        page_bytes in prop::sample::select(vec![16usize, 100, 4096, 64 * 1024]),
        run_rows in 1usize..80,
    ) {
        let table = table(&all_types());
        let mut id = 0;
        let rows: Vec<_> = rows.into_iter().zip(gaps).map(|(row, gap)| {
            id += gap;
            (id, row)
        }).collect();
        let (a, b) = (
            one_by_one(&table, &rows, page_bytes),
            by_the_column(&table, &rows, page_bytes, run_rows),
        );
        let differs = a.iter().zip(&b).position(|(a, b)| a != b);
        prop_assert!(a == b, "{} and {} bytes, at {differs:?}", a.len(), b.len());
    }
}

#[test]
fn runs_out_of_order_are_refused() {
    let table = table(&[]);
    let run = |ids: &[u64], begins: &[u64], ends: Option<&[u64]>| RowRun {
        ids: ids.iter().copied().collect(),
        begins: begins.iter().copied().collect(),
        ends: ends.map(|ends| ends.iter().copied().collect()),
        deleted: None,
        columns: Vec::new(),
    };
    let check = |runs: &[RowRun]| {
        let mut writer = create(&MemoryIo::empty(), 4096);
        writer.begin_rows(&table).unwrap();
        runs.iter().try_for_each(|run| writer.push_run(run))
    };
    assert!(check(&[run(&[1, 3], &[5, 5], None), run(&[4], &[5], None)]).is_ok());
    assert!(check(&[run(&[1, 1], &[5, 5], None)]).is_err());
    assert!(check(&[run(&[1, 3], &[5, 5], None), run(&[3], &[5], None)]).is_err());
    assert!(check(&[run(&[1, 3], &[5], None)]).is_err());
    // Versions of a row go from newest to oldest, each up to the next newer one.
    assert!(check(&[run(&[1, 1, 2], &[5, 3, 9], Some(&[8, 5, 11]))]).is_ok());
    assert!(check(&[run(&[1, 1], &[5, 3], Some(&[8, 4]))]).is_err());
    assert!(check(&[run(&[1, 1], &[3, 5], Some(&[5, 8]))]).is_err());
    assert!(check(&[run(&[2, 1], &[5, 5], Some(&[8, 8]))]).is_err());
    assert!(check(&[run(&[1], &[5], Some(&[5]))]).is_err());
}
