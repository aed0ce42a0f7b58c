//! Large values: they come out as they went in, and only who asks for one reads its page.

use arrow_buffer::BooleanBuffer;

use super::memory_io::contents;
use super::*;
use crate::error::Error;
use crate::segment::format::{Directory, PagePlace, Run, TRAILER_BYTES, Trailer};
use crate::segment::page::PAGE_HEADER_BYTES;

const MIN: usize = 64;
const PAGE: usize = 256;
const OPTIONS: SegmentOptions = SegmentOptions {
    page_bytes: PAGE,
    blob_bytes_min: MIN,
    sketch_rows_min: 8,
    memory: None,
};

fn types() -> Vec<ColumnType> {
    vec![
        ColumnType::Int64,
        ColumnType::Text,
        ColumnType::Bytea,
        ColumnType::Json,
        ColumnType::Jsonb,
        ColumnType::Array(Box::new(ColumnType::Text)),
    ]
}

/// Just below, at and above what is large, and what is a page; noise, or repeats of a letter.
fn value() -> impl Strategy<Value = Datum> {
    let lengths = [
        0,
        1,
        MIN - 1,
        MIN,
        MIN + 1,
        PAGE - 1,
        PAGE,
        PAGE + 1,
        5 * PAGE,
    ];
    let length = prop::sample::select(lengths.to_vec());
    let value = (length, any::<u32>()).prop_map(|(length, seed)| {
        let letter = |n: usize| {
            let mixed = (n as u32 + 1).wrapping_mul(seed).wrapping_mul(0x9E37_79B1) >> 27;
            b'a' + if seed % 2 == 0 {
                (seed >> 8) as u8 % 26
            } else {
                mixed as u8 % 26
            }
        };
        Datum::Bytes((0..length).map(letter).collect())
    });
    prop_oneof![5 => value, 1 => Just(Datum::Null)]
}

fn row() -> impl Strategy<Value = Vec<Datum>> {
    let array = datum_of(&ColumnType::Array(Box::new(ColumnType::Text)));
    (any::<i64>(), value(), value(), value(), value(), array)
        .prop_map(|(n, a, b, c, d, e)| vec![Datum::Int64(n), a, b, c, d, e])
}

fn writer(io: &Arc<dyn Io>, options: SegmentOptions) -> SegmentWriter {
    SegmentWriter::create(io, NAME, TimelineId::MAIN, options, Arc::new(NoCodecs)).unwrap()
}

fn open(io: &Arc<dyn Io>, cache_bytes: usize) -> SegmentReader {
    let cache = PageCache::new(cache_bytes);
    SegmentReader::open(io, NAME, None, &cache, &Codecs::none()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn values_of_every_length_at_every_time(
        rows in prop::collection::vec((row(), prop::option::of(prop::option::of(row()))), 1..80),
        exclude in prop::collection::btree_set(0u64..80, 0..40),
        page_bytes in prop::sample::select(vec![16usize, PAGE, 4096]),
        cache_bytes in prop::sample::select(vec![0usize, 64 << 20]),
    ) {
        let table = Arc::new(table(&types()));
        let io = MemoryIo::empty();
        let mut writer = writer(&io, SegmentOptions { page_bytes, ..OPTIONS });
        writer.begin_rows(&table).unwrap();
        // Each row at 10, and, where there is a second version or a delete, at 20.
        for (id, (first, second)) in rows.iter().enumerate() {
            let (id, first) = (RowId(id as u64), encode(&table, first));
            let Some(second) = second else {
                writer.push_row(id, Ts(10), None, Some(&first)).unwrap();
                continue;
            };
            let second = second.as_ref().map(|row| encode(&table, row));
            writer.push_row(id, Ts(20), None, second.as_deref()).unwrap();
            writer.push_row(id, Ts(10), Some(Ts(20)), Some(&first)).unwrap();
        }
        writer.finish().unwrap();
        let reader = open(&io, cache_bytes);
        let exclude = Arc::new(RoaringTreemap::from_iter(exclude));
        for at in [10, 20] {
            let expected: BTreeMap<u64, Vec<Datum>> = rows.iter().enumerate().filter_map(|(id, (first, second))| {
                let row = match second {
                    Some(second) if at == 20 => second.as_ref()?,
                    _ => first,
                };
                Some((id as u64, row.clone()))
            }).collect();
            let all = everything(&table, Ts(at));
            let read = rows_of(reader.scan_rows(&table, all.clone()).unwrap()).unwrap();
            prop_assert!(read.keys().eq(expected.keys()));
            prop_assert!(read.iter().all(|(id, row)| same_row(row, &expected[id])));
            let some = RowScan { exclude: Arc::clone(&exclude), ..all.clone() };
            let read = rows_of(reader.scan_rows(&table, some).unwrap()).unwrap();
            prop_assert!(read.keys().eq(expected.keys().filter(|id| !exclude.contains(**id))));
            prop_assert!(read.iter().all(|(id, row)| same_row(row, &expected[id])));
            for (id, row) in &expected {
                let (_, found) = reader
                    .row_version(table.id, RowId(*id), Ts(at), RowColumns::ALL)
                    .unwrap()
                    .unwrap();
                prop_assert!(same_row(&decode(&table, &found.unwrap()), row), "row {id}");
            }
            // A filter on a column with large values.
            for column in 1..5 {
                let Some(wanted) = expected.values().next().map(|row| row[column].clone()) else { continue };
                if table.columns[column].ty == ColumnType::Json || wanted == Datum::Null { continue }
                let range = ColumnRange::between(ColumnId(column as u16), Bound::Included(wanted.clone()), Bound::Included(wanted.clone()));
                let scan = RowScan { ranges: vec![range], ..all.clone() };
                let read = rows_of(reader.scan_rows(&table, scan).unwrap()).unwrap();
                let equal = expected.iter().filter(|(_, row)| row[column] == wanted);
                prop_assert!(equal.clone().count() > 0);
                for (id, row) in equal {
                    prop_assert!(same_row(&read[id], row));
                }
            }
        }
    }

    /// By the row and by the column the same file is made.
    #[test]
    fn the_same_file_either_way(
        rows in prop::collection::vec(row(), 1..120),
        page_bytes in prop::sample::select(vec![16usize, PAGE]),
        run_rows in 1usize..50,
    ) {
        let table = table(&types());
        let options = SegmentOptions { page_bytes, ..OPTIONS };
        let (one, other) = (MemoryIo::empty(), MemoryIo::empty());
        let mut by_row = writer(&one, options.clone());
        by_row.begin_rows(&table).unwrap();
        for (id, row) in rows.iter().enumerate() {
            let row = encode(&table, row);
            by_row.push_row(RowId(id as u64), Ts(7), None, Some(&row)).unwrap();
        }
        by_row.finish().unwrap();
        let mut by_column = writer(&other, options);
        by_column.begin_rows(&table).unwrap();
        let mut id = 0;
        for rows in rows.chunks(run_rows) {
            let ids = id..id + rows.len() as u64;
            id = ids.end;
            let run = RowRun {
                begins: ids.clone().map(|_| 7).collect(),
                ids: ids.collect(),
                ends: None,
                deleted: None,
                columns: batch_of(&table, rows).columns().to_vec(),
            };
            by_column.push_run(&run).unwrap();
        }
        by_column.finish().unwrap();
        prop_assert!(contents(&one, NAME) == contents(&other, NAME));
    }
}

/// A number, and a text of `bytes` bytes in every other row.
fn documents(rows: u64, bytes: usize) -> (Arc<TableDef>, Vec<u8>) {
    let table = Arc::new(table(&[ColumnType::Int64, ColumnType::Text]));
    let io = MemoryIo::empty();
    let mut writer = writer(&io, OPTIONS);
    writer.begin_rows(&table).unwrap();
    for n in 0..rows {
        let text = if n % 2 == 0 { bytes } else { 3 };
        let row = encode(&table, &[Datum::Int64(n as i64), document(n, text)]);
        writer.push_row(RowId(n), Ts(5), None, Some(&row)).unwrap();
    }
    writer.finish().unwrap();
    (table, contents(&io, NAME))
}

fn document(n: u64, bytes: usize) -> Datum {
    Datum::Bytes(format!("{n:x} ").bytes().cycle().take(bytes).collect())
}

/// The blob pages of a file, with their rows.
fn blob_pages(bytes: &[u8]) -> Vec<(PagePlace, u32)> {
    let (rest, trailer) = bytes.split_at(bytes.len() - TRAILER_BYTES);
    let trailer = Trailer::decode(NAME, trailer.try_into().unwrap(), bytes.len() as u64).unwrap();
    let directory = &rest[trailer.directory_offset as usize..];
    let directory = Directory::decode(NAME, 0, directory).unwrap();
    let io = MemoryIo::with(NAME, bytes.to_vec());
    let reader = open(&io, 0);
    let mut pages = Vec::new();
    for collection in &directory.collections {
        let Run::Rows(rows) = &collection.run else {
            continue;
        };
        for block in &rows.head {
            let index = reader
                .blob_index(collection.id, block, ColumnId(1))
                .unwrap();
            let index = index.unwrap();
            pages.extend(index.pages.iter().map(|page| (page.place, page.values)));
        }
    }
    pages
}

/// The file with all blob pages damaged but those at places that `keep` has.
fn damaged(bytes: &[u8], keep: impl Fn(usize) -> bool) -> Arc<dyn Io> {
    let mut damaged = bytes.to_vec();
    for (number, (place, _)) in blob_pages(bytes).into_iter().enumerate() {
        if !keep(number) {
            damaged[place.offset as usize + PAGE_HEADER_BYTES] ^= 0xFF;
        }
    }
    MemoryIo::with(NAME, damaged)
}

#[test]
fn who_does_not_ask_for_a_large_value_does_not_read_it() {
    let (table, bytes) = documents(400, 300);
    let none = damaged(&bytes, |_| false);
    let reader = open(&none, 0);
    // Rows of 300 bytes in 1 KiB of page: without blob pages there were a hundred blocks.
    assert!(
        reader.block_count(table.id) < 10,
        "{}",
        reader.block_count(table.id)
    );
    let range = |column, value: Datum| {
        ColumnRange::between(
            ColumnId(column),
            Bound::Included(value.clone()),
            Bound::Included(value),
        )
    };
    let narrow = RowScan {
        projection: vec![ColumnId(0)],
        ranges: vec![range(0, Datum::Int64(17))],
        ..everything(&table, Ts(5))
    };
    let found = rows_of(reader.scan_rows(&table, narrow.clone()).unwrap()).unwrap();
    assert_eq!(found[&17], [Datum::Int64(17)]);
    // A short text beside large ones.
    let wide = RowScan {
        projection: vec![ColumnId(0), ColumnId(1)],
        ..narrow.clone()
    };
    let found = rows_of(reader.scan_rows(&table, wide.clone()).unwrap()).unwrap();
    assert_eq!(found[&17], [Datum::Int64(17), document(17, 3)]);
    let read = |n| reader.row_version(table.id, RowId(n), Ts(5), RowColumns::ALL);
    assert!(read(17).is_ok());
    let number = RowColumns {
        count: usize::MAX,
        wanted: Some(&[true, false]),
    };
    assert!(
        reader
            .row_version(table.id, RowId(18), Ts(5), number)
            .is_ok()
    );
    // And one that is asked for is told to be damaged, where it is.
    let places: Vec<u64> = blob_pages(&bytes)
        .iter()
        .map(|(place, _)| place.offset)
        .collect();
    let ask = RowScan {
        ranges: vec![range(0, Datum::Int64(18))],
        ..wide
    };
    let scan = reader.scan_rows(&table, ask).unwrap();
    for error in [
        read(18).map(drop).unwrap_err(),
        rows_of(scan).map(drop).unwrap_err(),
    ] {
        match error {
            Error::Corruption { file, offset, .. } => {
                assert_eq!(file, NAME);
                assert!(places.contains(&offset), "{offset}");
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_large_value_is_read_from_its_own_page_alone() {
    // Of pages of 256 bytes, each takes two values of 100.
    let (table, bytes) = documents(100, 100);
    let pages = blob_pages(&bytes);
    assert!(
        pages.len() == 25 && pages.iter().all(|(_, values)| *values == 2),
        "{pages:?}"
    );
    for (number, row) in [(0, 0), (0, 2), (7, 28), (24, 98)] {
        let io = damaged(&bytes, |page| page == number);
        for cache_bytes in [0, 1 << 20] {
            let reader = open(&io, cache_bytes);
            let found = reader.row_version(table.id, RowId(row), Ts(5), RowColumns::ALL);
            let (_, found) = found.unwrap().unwrap();
            let expected = [Datum::Int64(row as i64), document(row, 100)];
            assert_eq!(decode(&table, &found.unwrap()), expected);
            assert!(
                reader
                    .row_version(table.id, RowId(50), Ts(5), RowColumns::ALL)
                    .is_err()
            );
            let wanted = BooleanBuffer::collect_bool(100, |n| n as u64 == row);
            let others = (0..100).filter(|n| !wanted.value(*n as usize));
            let alone = RowScan {
                exclude: Arc::new(others.collect()),
                ..everything(&table, Ts(5))
            };
            let found = rows_of(reader.scan_rows(&table, alone).unwrap()).unwrap();
            assert_eq!(found[&row], expected);
        }
    }
}

/// What is said of a column's space has its blob pages in it, and they are compressed unless the column
/// is not to be.
#[test]
fn blob_pages_count_and_are_compressed() {
    for (compression, encoding) in [
        (None, crate::codec::Encoding::Zstd),
        (Some("none"), crate::codec::Encoding::Plain),
    ] {
        let mut table = table(&[ColumnType::Int64, ColumnType::Text]);
        table.columns[1].compression = compression.map(Arc::from);
        let io = MemoryIo::empty();
        let mut writer = writer(&io, SegmentOptions::default());
        writer.begin_rows(&table).unwrap();
        for n in 0..50 {
            let row = encode(&table, &[Datum::Int64(n), document(n as u64, 20_000)]);
            writer
                .push_row(RowId(n as u64), Ts(5), None, Some(&row))
                .unwrap();
        }
        let meta = writer.finish().unwrap();
        let reader = open(&io, 1 << 20);
        let mut inventory = Inventory::default();
        inventory.add(&reader);
        let pages = inventory.finish();
        let blobs = pages.iter().find(|pages| {
            pages.column == ColumnId(1)
                && pages.encoding == encoding
                && pages.raw_bytes >= 1_000_000
        });
        let blobs = blobs.unwrap_or_else(|| panic!("{pages:?}"));
        // Three values a page.
        assert!(
            blobs.pages >= 17 && blobs.raw_bytes < 1_001_000,
            "{blobs:?}"
        );
        let stored = blobs.stored_bytes;
        assert_eq!(stored < 200_000, compression.is_none(), "{blobs:?}");
        let sizes = reader.collection_bytes();
        assert!(sizes[0].bytes > stored && sizes[0].bytes < meta.bytes);
        // All of the file but header, directory and trailer.
        assert_eq!(reader.bytes_of(table.id), reader.directory_offset() - 32);
    }
}
