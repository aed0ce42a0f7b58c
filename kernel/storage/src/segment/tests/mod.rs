//! Segments: what goes in comes out, at every time; and damage is always told.
#![allow(clippy::unwrap_used)]

mod blobs;
mod codec;
mod columns;
mod damage;
mod encoding;
mod entries;
mod memory_io;
mod model;
mod pushdown;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use arrow_array::{Array, UInt64Array};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use roaring::RoaringTreemap;

use self::memory_io::MemoryIo;
use super::*;
use crate::codec::{Codecs, NoCodecs};
use crate::datum::Datum;
use crate::datum::tests::{all_types, datum_of, same};
use crate::error::Result;
use crate::ids::{ColumnId, RowId};
use crate::io::Io;
use crate::row::RowCodec;
use crate::row::tests::{batch_of, table};
use crate::schema::{ColumnType, TableDef};

const NAME: &str = "segments/1.seg";
const SORTED: CollectionId = CollectionId(2001);

fn encode(table: &TableDef, row: &[Datum]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let batch = batch_of(table, &[row.to_vec()]);
    RowCodec::new(table)
        .unwrap()
        .encode(&batch, 0, &mut bytes)
        .unwrap();
    bytes
}

fn decode(table: &TableDef, row: &[u8]) -> Vec<Datum> {
    let codec = RowCodec::new(table).unwrap();
    (0..codec.column_count())
        .map(|c| codec.datum(row, ColumnId(c as u16)).unwrap())
        .collect()
}

fn same_row(a: &[Datum], b: &[Datum]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

fn everything(table: &TableDef, at: Ts) -> RowScan {
    RowScan {
        projection: (0..table.columns.len() as u16).map(ColumnId).collect(),
        columns_max: usize::MAX,
        row_id: true,
        at,
        exclude: Arc::default(),
        ranges: Vec::new(),
        filters: Vec::new(),
        blocks: 0..usize::MAX,
    }
}

/// Row id → values, of all batches.
fn rows_of(scan: SegmentScan) -> Result<BTreeMap<u64, Vec<Datum>>> {
    let mut rows = BTreeMap::new();
    for batch in scan {
        let batch = batch?;
        assert!(batch.num_rows() > 0);
        let (ids, columns) = batch.columns().split_last().unwrap();
        let ids: &UInt64Array = ids.as_any().downcast_ref().unwrap();
        for row in 0..batch.num_rows() {
            let values = columns
                .iter()
                .map(|c| Datum::from_array(c, row).unwrap())
                .collect();
            assert!(
                rows.insert(ids.value(row), values).is_none(),
                "a row came twice"
            );
        }
    }
    Ok(rows)
}

fn create(io: &Arc<dyn Io>, page_bytes: usize) -> SegmentWriter {
    let options = SegmentOptions {
        page_bytes,
        // Few values are as large, and some are.
        blob_bytes_min: page_bytes / 4,
        sketch_rows_min: 8,
        ..SegmentOptions::default()
    };
    SegmentWriter::create(io, NAME, TimelineId::MAIN, options, Arc::new(NoCodecs)).unwrap()
}

fn cache() -> Arc<PageCache> {
    PageCache::new(64 << 20)
}

/// Readers are shared between threads, and iterators wander from one to another.
#[test]
fn what_is_handed_out_may_cross_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    fn moved<T: Send + 'static>() {}
    shared::<SegmentReader>();
    moved::<SegmentScan>();
    moved::<EntryRange>();
    moved::<SegmentWriter>();
}

#[test]
fn every_type_survives_with_nulls_and_huge_values() {
    let table = Arc::new(table(&all_types()));
    let mut runner = TestRunner::deterministic();
    let mut rows: Vec<Vec<Datum>> = vec![vec![Datum::Null; table.columns.len()]];
    for _ in 0..300 {
        let values = table.columns.iter().map(|column| datum_of(&column.ty));
        rows.push(
            values
                .map(|v| v.new_tree(&mut runner).unwrap().current())
                .collect(),
        );
    }
    for (index, column) in table.columns.iter().enumerate() {
        if matches!(
            column.ty,
            ColumnType::Text | ColumnType::Bytea | ColumnType::Jsonb | ColumnType::Json
        ) {
            rows[7][index] = Datum::Bytes(vec![b'x'; 3 << 20]);
            rows[8][index] = Datum::Bytes(Vec::new());
        }
    }
    for page_bytes in [256, 64 * 1024] {
        let io = MemoryIo::empty();
        let mut writer = create(&io, page_bytes);
        writer.begin_rows(&table).unwrap();
        for (index, row) in rows.iter().enumerate() {
            let bytes = encode(&table, row);
            writer
                .push_row(RowId(index as u64), Ts(5), None, Some(&bytes))
                .unwrap();
        }
        let meta = writer.finish().unwrap();
        let reader =
            SegmentReader::open(&io, NAME, Some(&meta), &cache(), &Codecs::none()).unwrap();
        assert_eq!(reader.live_rows(table.id), rows.len() as u64);
        let read = rows_of(reader.scan_rows(&table, everything(&table, Ts(5))).unwrap()).unwrap();
        assert_eq!(read.len(), rows.len());
        for (index, row) in rows.iter().enumerate() {
            assert!(same_row(&read[&(index as u64)], row), "row {index}");
            let (begin, bytes) = reader
                .row_version(table.id, RowId(index as u64), Ts(9), RowColumns::ALL)
                .unwrap()
                .unwrap();
            assert_eq!(begin, Ts(5));
            assert!(
                same_row(&decode(&table, &bytes.unwrap()), row),
                "row {index} alone"
            );
        }
    }
}

/// A file outlives its table's definition: a column dropped after the flush, one dropped before,
/// and one added with a default.
#[test]
fn later_definitions_of_the_table_read_old_files() {
    let mut then = table(&[ColumnType::Int32, ColumnType::Text, ColumnType::Int64]);
    then.columns[1].dropped = true;
    let io = MemoryIo::empty();
    let mut writer = create(&io, 1024);
    writer.begin_rows(&then).unwrap();
    let row = encode(&then, &[Datum::Int32(1), Datum::Int64(2)]);
    writer.push_row(RowId(9), Ts(5), None, Some(&row)).unwrap();
    writer.finish().unwrap();

    let mut now = table(&[
        ColumnType::Int32,
        ColumnType::Text,
        ColumnType::Int64,
        ColumnType::Text,
        ColumnType::Bool,
    ]);
    now.columns[0].dropped = true;
    now.columns[1].dropped = true;
    let added = Datum::Bytes(b"since".to_vec());
    now.columns[3].missing = Some(Arc::from(added.encode()));
    let now = Arc::new(now);
    let reader = SegmentReader::open(&io, NAME, None, &cache(), &Codecs::none()).unwrap();
    let rows = rows_of(reader.scan_rows(&now, everything(&now, Ts(5))).unwrap()).unwrap();
    let expected = vec![
        Datum::Null,
        Datum::Null,
        Datum::Int64(2),
        added,
        Datum::Null,
    ];
    assert_eq!(rows[&9], expected);
    let (_, bytes) = reader
        .row_version(now.id, RowId(9), Ts(5), RowColumns::ALL)
        .unwrap()
        .unwrap();
    assert_eq!(decode(&now, &bytes.unwrap()), expected);

    let other = Arc::new(table(&[
        ColumnType::Int32,
        ColumnType::Text,
        ColumnType::Int32,
    ]));
    assert!(reader.scan_rows(&other, everything(&other, Ts(5))).is_err());
}

#[test]
fn zone_maps_skip_blocks_and_never_a_match() {
    let table = Arc::new(table(&[ColumnType::Int64, ColumnType::Text]));
    let text = |n: u64| Datum::Bytes(format!("a prefix of some length {n:06}").into_bytes());
    let io = MemoryIo::empty();
    let mut writer = create(&io, 512);
    writer.begin_rows(&table).unwrap();
    for n in 0..1000 {
        let row = encode(&table, &[Datum::Int64(n as i64), text(n)]);
        writer.push_row(RowId(n), Ts(5), None, Some(&row)).unwrap();
    }
    writer.finish().unwrap();
    let reader = SegmentReader::open(&io, NAME, None, &cache(), &Codecs::none()).unwrap();
    assert!(reader.block_count(table.id) > 10);
    let found = |column, lower, upper| {
        let range = ColumnRange::between(ColumnId(column), lower, upper);
        let scan = RowScan {
            ranges: vec![range],
            ..everything(&table, Ts(5))
        };
        rows_of(reader.scan_rows(&table, scan).unwrap()).unwrap()
    };
    let number = |n| Datum::Int64(n);
    let few = found(
        0,
        Bound::Included(number(500)),
        Bound::Excluded(number(510)),
    );
    assert_eq!(
        few.into_keys().collect::<Vec<_>>(),
        Vec::from_iter(500..510)
    );
    assert!(found(0, Bound::Excluded(number(999)), Bound::Unbounded).is_empty());
    assert!(found(0, Bound::Unbounded, Bound::Excluded(number(0))).is_empty());
    assert!(found(0, Bound::Included(number(999)), Bound::Unbounded).contains_key(&999));
    // The bounds of text are cut within the common prefix: no block may be left out for it.
    let one = found(1, Bound::Included(text(3)), Bound::Included(text(3)));
    assert_eq!(one.into_keys().collect::<Vec<_>>(), [3]);
    let after = Bound::Included(Datum::Bytes(b"b".to_vec()));
    assert!(found(1, after, Bound::Unbounded).is_empty());
}

#[test]
fn large_text_is_compressed_and_noise_is_not() {
    let write = |value: &dyn Fn(u64) -> Vec<u8>| {
        let io = MemoryIo::empty();
        let mut writer = create(&io, 64 * 1024);
        writer.begin_sorted(SORTED).unwrap();
        for n in 0..1000u64 {
            writer
                .push_entry(&n.to_be_bytes(), Ts(1), None, Some(&value(n)))
                .unwrap();
        }
        writer.finish().unwrap().bytes
    };
    assert!(write(&|n| format!("the same words, and {n}").repeat(10).into_bytes()) < 100_000);
    let mut state = 1u64;
    let noise = std::cell::RefCell::new(move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as u8
    });
    let bytes = write(&|_| (0..256).map(|_| noise.borrow_mut()()).collect());
    assert!(bytes > 256_000 && bytes < 300_000, "{bytes}");
}

#[test]
fn the_cache_stays_within_its_budget_and_serves_repeats() {
    let table = Arc::new(table(&[ColumnType::Int64]));
    let io = MemoryIo::empty();
    let mut writer = create(&io, 1024);
    writer.begin_rows(&table).unwrap();
    for n in 0..20_000 {
        let row = encode(&table, &[Datum::Int64(n as i64 * 7919)]);
        writer.push_row(RowId(n), Ts(5), None, Some(&row)).unwrap();
    }
    writer.finish().unwrap();
    let small = PageCache::new(16 * 20_000);
    let reader = SegmentReader::open(&io, NAME, None, &small, &Codecs::none()).unwrap();
    for _ in 0..2 {
        let scan = reader.scan_rows(&table, everything(&table, Ts(5))).unwrap();
        assert_eq!(
            scan.map(|batch| batch.unwrap().num_rows()).sum::<usize>(),
            20_000
        );
        assert!(small.bytes() > 0 && small.bytes() <= 16 * 20_000);
    }
}

#[test]
fn versions_out_of_order_are_refused() {
    let table = table(&[ColumnType::Int64]);
    let row = encode(&table, &[Datum::Int64(1)]);
    type Push = (u64, u64, Option<u64>);
    let refused = |pushes: &[Push]| {
        let io = MemoryIo::empty();
        let mut writer = create(&io, 1024);
        writer.begin_rows(&table).unwrap();
        let (last, before) = pushes.split_last().unwrap();
        let mut push = |(id, begin, end): &Push| {
            writer.push_row(RowId(*id), Ts(*begin), end.map(Ts), Some(&row))
        };
        before.iter().for_each(|version| push(version).unwrap());
        push(last).is_err()
    };
    assert!(refused(&[(1, 5, Some(6))]));
    assert!(refused(&[(2, 5, None), (1, 5, None)]));
    assert!(refused(&[(1, 5, None), (1, 3, Some(4))]));
    assert!(refused(&[(1, 5, None), (1, 5, Some(5))]));
    assert!(!refused(&[(1, 5, None), (1, 3, Some(5)), (1, 2, Some(3))]));
}

#[test]
fn a_manifest_that_says_otherwise_is_not_believed() {
    let io = MemoryIo::empty();
    let meta = create(&io, 1024).finish().unwrap();
    assert!(meta.collections.is_empty());
    assert!(SegmentReader::open(&io, NAME, Some(&meta), &cache(), &Codecs::none()).is_ok());
    let other = SegmentMeta {
        checksum: !meta.checksum,
        ..meta
    };
    assert!(SegmentReader::open(&io, NAME, Some(&other), &cache(), &Codecs::none()).is_err());
}

/// A block of which few rows are left out comes in pieces, which share its columns.
#[test]
fn what_lies_between_excluded_rows_is_not_copied() {
    let table = Arc::new(table(&[ColumnType::Int64]));
    let io = MemoryIo::empty();
    let mut writer = create(&io, 1 << 20);
    writer.begin_rows(&table).unwrap();
    for id in 0..3000 {
        let row = encode(&table, &[Datum::Int64(id)]);
        let begin = Ts(5);
        writer
            .push_row(RowId(id as u64), begin, None, Some(&row))
            .unwrap();
    }
    let meta = writer.finish().unwrap();
    let reader = SegmentReader::open(&io, NAME, Some(&meta), &cache(), &Codecs::none()).unwrap();
    let sizes = |exclude: &[u64]| {
        let exclude = Arc::new(exclude.iter().copied().collect::<RoaringTreemap>());
        let scan = RowScan {
            exclude: Arc::clone(&exclude),
            ..everything(&table, Ts(9))
        };
        let batches = reader.scan_rows(&table, scan.clone()).unwrap();
        let sizes: Vec<usize> = batches.map(|batch| batch.unwrap().num_rows()).collect();
        let read = rows_of(reader.scan_rows(&table, scan).unwrap()).unwrap();
        assert!(
            read.iter()
                .all(|(id, row)| same_row(row, &[Datum::Int64(*id as i64)]))
        );
        assert!(
            read.keys()
                .copied()
                .eq((0..3000).filter(|id| !exclude.contains(*id)))
        );
        sizes
    };
    assert_eq!(sizes(&[0, 1000, 1001]), [999, 1998]);
    assert_eq!(sizes(&[2999]), [2999]);
    // Pieces would be too small.
    let many: Vec<u64> = (0..3000).step_by(50).collect();
    assert_eq!(sizes(&many), [2940]);
}
