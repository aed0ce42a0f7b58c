//! A scan with ranges gives what the same scan without them gives, less what does not meet them.

use super::encoding::{bound_of, found};
use super::*;

/// Rows that repeat out of a few, so that all codecs are chosen somewhere.
fn rows() -> impl Strategy<Value = Vec<Option<Vec<Datum>>>> {
    let row: Vec<_> = all_types().iter().map(datum_of).collect();
    let pool = prop::collection::vec(prop_oneof![9 => row.prop_map(Some), 1 => Just(None)], 1..30);
    (pool, 1usize..150, 1usize..9).prop_map(|(pool, len, step)| {
        let row = |row: usize| pool[row / step % pool.len()].clone();
        (0..len).map(row).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn ranges_leave_out_what_does_not_meet_them(
        rows in rows(),
        ends in prop::collection::vec(any::<[usize; 5]>(), 1..3),
        page_bytes in prop::sample::select(vec![100usize, 4096, 64 * 1024]),
        cache_bytes in prop::sample::select(vec![0usize, 64 << 10, 64 << 20]),
        projected in any::<u32>(),
    ) {
        let types = all_types();
        let table = Arc::new(table(&types));
        let io = MemoryIo::empty();
        let options = SegmentOptions { page_bytes };
        let mut writer =
            SegmentWriter::create(&io, NAME, TimelineId::MAIN, options, Arc::new(NoCodecs)).unwrap();
        writer.begin_rows(&table).unwrap();
        for (id, row) in (0u64..).zip(&rows) {
            let row = row.as_ref().map(|row| encode(&table, row));
            writer.push_row(RowId(id), Ts(5), None, row.as_deref()).unwrap();
        }
        writer.finish().unwrap();
        let column = |column: usize| -> Vec<Datum> {
            rows.iter().map(|row| row.as_ref().map_or(Datum::Null, |row| row[column].clone())).collect()
        };
        let mut ranges: Vec<ColumnRange> = ends
            .iter()
            .map(|[at, kind, lower, other, upper]| {
                let at = at % types.len();
                let values = column(at);
                ColumnRange {
                    column: ColumnId(at as u16),
                    lower: bound_of(&values, *kind, *lower),
                    upper: bound_of(&values, *other, *upper),
                }
            })
            .collect();
        // One without bounds asks for nothing, though it may leave out NULLs.
        ranges.retain(|range| (&range.lower, &range.upper) != (&Bound::Unbounded, &Bound::Unbounded));
        let mut scan = everything(&table, Ts(5));
        scan.projection.retain(|column| projected >> (column.0 % 32) & 1 == 1);
        let cache = PageCache::new(cache_bytes);
        let reader = SegmentReader::open(&io, NAME, None, &cache, &Codecs::none()).unwrap();
        let mut expected = rows_of(reader.scan_rows(&table, scan.clone()).unwrap()).unwrap();
        for range in &ranges {
            let at = usize::from(range.column.0);
            if let ColumnType::Array(_) = types[at] {
                continue;
            }
            let inside = found(&types[at], &column(at), range);
            expected.retain(|id, _| inside.value(*id as usize));
        }
        scan.ranges = ranges;
        // The second time with what the first left in the cache, the third with decoded pages.
        for round in 0..3 {
            if round == 2 {
                for id in 0..rows.len() as u64 {
                    reader.row_version(table.id, RowId(id), Ts(5), RowColumns::ALL).unwrap();
                }
            }
            let read = rows_of(reader.scan_rows(&table, scan.clone()).unwrap()).unwrap();
            prop_assert_eq!(read.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
            for (id, row) in &read {
                prop_assert!(same_row(row, &expected[id]), "row {}", id);
            }
        }
    }
}
