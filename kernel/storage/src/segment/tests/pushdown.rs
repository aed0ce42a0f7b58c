//! A scan with ranges and filters gives what the same scan without them gives, less what does not meet them.

use arrow_array::ArrayRef;
use arrow_buffer::BooleanBuffer;

use super::codec::{Rle, set_of, with_codec};
use super::encoding::{bound_of, found};
use super::*;
use crate::codec::CodecSet;
use crate::datum::arrow::ColumnValues;
use crate::segment::RowFilter;

/// Passes rows of which the bytes of some columns' values add up to an even number.
#[derive(Clone, Debug)]
struct Even {
    places: Vec<usize>,
    types: Vec<ColumnType>,
    /// Or cannot tell.
    knows: bool,
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().map(|byte| u32::from(*byte)).sum()
}

impl Even {
    fn passes(&self, row: &[Datum]) -> bool {
        let sums = self.places.iter().zip(&self.types).map(|(place, ty)| {
            let mut bytes = Vec::new();
            if row[*place] != Datum::Null {
                row[*place].write_value(ty, &mut bytes).unwrap();
            }
            sum(&bytes)
        });
        !self.knows || self.places.is_empty() || sums.sum::<u32>() % 2 == 0
    }
}

impl RowFilter for Even {
    fn columns(&self) -> &[usize] {
        &self.places
    }

    fn select(&self, columns: &[ArrayRef]) -> Option<BooleanBuffer> {
        let rows = columns[0].len();
        let passes = |row: usize| {
            let sums = columns.iter().zip(&self.types).map(|(column, ty)| {
                let values = ColumnValues::new(ty, column).unwrap();
                let mut bytes = Vec::new();
                if !values.is_null(row) {
                    values.write(row, &mut bytes).unwrap();
                }
                sum(&bytes)
            });
            sums.sum::<u32>() % 2 == 0
        };
        self.knows
            .then(|| BooleanBuffer::collect_bool(rows, passes))
    }
}

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
    fn ranges_and_filters_leave_out_what_does_not_meet_them(
        rows in rows(),
        ends in prop::collection::vec(any::<[usize; 5]>(), 0..3),
        even in prop::collection::vec((prop::collection::vec(any::<usize>(), 0..3), 0..10), 0..3),
        page_bytes in prop::sample::select(vec![100usize, 4096, 64 * 1024]),
        cache_bytes in prop::sample::select(vec![0usize, 64 << 10, 64 << 20]),
        projected in any::<u32>(),
        codec in any::<bool>(),
        among in prop::option::of((any::<usize>(), prop::collection::vec(any::<usize>(), 1..4))),
    ) {
        let types = all_types();
        // One from outside, or the built-in ones.
        let (table, codecs) = match codec {
            true => (with_codec(&types), set_of(Rle)),
            false => (Arc::new(table(&types)), Arc::new(NoCodecs) as Arc<dyn CodecSet>),
        };
        let io = MemoryIo::empty();
        let options = SegmentOptions {
            page_bytes,
            ..SegmentOptions::default()
        };
        let mut writer =
            SegmentWriter::create(&io, NAME, TimelineId::MAIN, options, Arc::clone(&codecs)).unwrap();
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
                ColumnRange::between(ColumnId(at as u16), bound_of(&values, *kind, *lower), bound_of(&values, *other, *upper))
            })
            .collect();
        // One without bounds asks for nothing, though it may leave out NULLs.
        ranges.retain(|range| (&range.lower, &range.upper) != (&Bound::Unbounded, &Bound::Unbounded));
        let mut scan = everything(&table, Ts(5));
        scan.projection.retain(|column| projected >> (column.0 % 32) & 1 == 1);
        let cache = PageCache::new(cache_bytes);
        let reader = SegmentReader::open(&io, NAME, None, &cache, &Codecs::new(codecs)).unwrap();
        let mut expected = rows_of(reader.scan_rows(&table, scan.clone()).unwrap()).unwrap();
        for range in &ranges {
            let at = usize::from(range.column.0);
            if let ColumnType::Array(_) = types[at] {
                continue;
            }
            let inside = found(&types[at], &column(at), range);
            expected.retain(|id, _| inside.value(*id as usize));
        }
        let places = scan.projection.len();
        for (columns, unknown) in even.iter().filter(|_| places > 0) {
            let places: Vec<usize> = columns.iter().map(|at| at % places).collect();
            let ty = |place: &usize| types[usize::from(scan.projection[*place].0)].clone();
            let even = Even { types: places.iter().map(ty).collect(), places, knows: *unknown > 0 };
            expected.retain(|_, row| even.passes(row));
            scan.filters.push(Arc::new(even));
        }
        // Of a list more may come than is in it, and nothing less.
        let mut listed = None;
        if let Some((at, places)) = among {
            let at = at % types.len();
            let values = column(at);
            let list = places.iter().map(|place| values[place % values.len()].clone());
            let list: Vec<Datum> = list.filter(|value| *value != Datum::Null).collect();
            if !list.is_empty() && !matches!(types[at], ColumnType::Array(_)) {
                let mut is_in = BooleanBuffer::new_unset(rows.len());
                for one in &list {
                    let one = Bound::Included(one.clone());
                    let range = ColumnRange::between(ColumnId(0), one.clone(), one);
                    is_in = &is_in | &found(&types[at], &values, &range);
                }
                ranges.push(ColumnRange::one_of(ColumnId(at as u16), list));
                listed = Some(is_in);
            }
        }
        scan.ranges = ranges;
        let at_most = expected.clone();
        if let Some(is_in) = &listed {
            expected.retain(|id, _| is_in.value(*id as usize));
        }
        // The second time with what the first left in the cache, the third with decoded pages.
        for round in 0..3 {
            if round == 2 {
                for id in 0..rows.len() as u64 {
                    reader.row_version(table.id, RowId(id), Ts(5), RowColumns::ALL).unwrap();
                }
            }
            let mut read = rows_of(reader.scan_rows(&table, scan.clone()).unwrap()).unwrap();
            if let Some(is_in) = &listed {
                prop_assert!(read.keys().all(|id| at_most.contains_key(id)));
                read.retain(|id, _| is_in.value(*id as usize));
            }
            prop_assert_eq!(read.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
            for (id, row) in &read {
                prop_assert!(same_row(row, &expected[id]), "row {}", id);
            }
        }
    }
}

#[test]
fn estimates_go_by_zone_maps() {
    let table = Arc::new(table(&[ColumnType::Int64, ColumnType::Text]));
    let io = MemoryIo::empty();
    let mut writer = create(&io, 4096);
    writer.begin_rows(&table).unwrap();
    for n in 0..10_000i64 {
        // A third is NULL.
        let number = if n % 3 == 0 {
            Datum::Null
        } else {
            Datum::Int64(n % 100)
        };
        let row = encode(
            &table,
            &[number, Datum::Bytes(vec![b'a' + (n % 2 * 2) as u8])],
        );
        writer
            .push_row(RowId(n as u64), Ts(5), None, Some(&row))
            .unwrap();
    }
    writer.finish().unwrap();
    let cache = PageCache::new(0);
    let reader = SegmentReader::open(&io, NAME, None, &cache, &Codecs::none()).unwrap();
    let share = |lower: Bound<i64>, upper: Bound<i64>| {
        let range = ColumnRange::between(
            ColumnId(0),
            lower.map(Datum::Int64),
            upper.map(Datum::Int64),
        );
        let (share, rows) = reader.share_estimate(&table, &[range]).unwrap();
        assert_eq!(rows, 10_000);
        share
    };
    let about = |found: f64, expected: f64| {
        assert!(
            (found - expected).abs() < 0.02,
            "{found}, where {expected} is right"
        );
    };
    about(share(Bound::Included(7), Bound::Included(7)), 2.0 / 300.0);
    about(share(Bound::Included(50), Bound::Unbounded), 1.0 / 3.0);
    about(share(Bound::Included(20), Bound::Excluded(30)), 0.2 / 3.0);
    about(share(Bound::Unbounded, Bound::Included(1000)), 2.0 / 3.0);
    about(share(Bound::Included(100), Bound::Unbounded), 0.0);
    // Of texts a few blocks are looked at.
    let text = |text: &str| {
        let bound = Bound::Included(Datum::Bytes(text.into()));
        let range = ColumnRange::between(ColumnId(1), bound.clone(), bound);
        reader.share_estimate(&table, &[range]).unwrap().0
    };
    about(text("a"), 0.5);
    about(text("b"), 0.0);
    assert!(text("b") > 0.0);
    about(reader.share_estimate(&table, &[]).unwrap().0, 1.0);
}
