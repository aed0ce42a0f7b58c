//! Inserts many rows in one transaction, as COPY does, row by row and in bulk, and says how fast that was.
//!
//! ```text
//! cargo run --release -p heliosdb-storage --example bulk_insert -- [ROWS] [DIRECTORY]
//! ```
//!
//! Rows of 16 columns like those of TPC-H's `lineitem`, with its primary key of two columns and an index on
//! a column in no order, in batches of 8192.

#![allow(clippy::print_stdout, reason = "it is a program for people")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringViewArray};
use arrow_schema::{Field, Schema};
use heliosdb_storage::ids::{CollectionId, ColumnId};
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::schema::{ColumnDef, ColumnType, IndexDef, KeyColumn, TableDef};
use heliosdb_storage::*;

const TABLE: CollectionId = CollectionId(2000);
const PRIMARY: CollectionId = CollectionId(2001);
const SECONDARY: CollectionId = CollectionId(2002);
const BATCH_ROWS: i64 = 8192;
const LINES_PER_ORDER: i64 = 4;

fn table() -> TableDef {
    let key = |column| KeyColumn {
        column: ColumnId(column),
        descending: false,
        nulls_first: false,
    };
    let mut types = vec![ColumnType::Int64; 7];
    types.extend([
        ColumnType::Int32,
        ColumnType::Int32,
        ColumnType::Int32,
        ColumnType::Int32,
    ]);
    types.extend(vec![ColumnType::Text; 5]);
    TableDef {
        id: TABLE,
        columns: types.into_iter().map(ColumnDef::new).collect(),
        computed: Vec::new(),
        retention: None,
        indexes: vec![
            IndexDef {
                id: PRIMARY,
                columns: vec![key(0), key(7)],
                unique: true,
                predicate: None,
            },
            IndexDef {
                id: SECONDARY,
                columns: vec![key(1)],
                unique: false,
                predicate: None,
            },
        ],
    }
}

/// Cheap and without any pattern that a compressor would like too much.
fn mixed(n: i64, salt: i64) -> i64 {
    let mut x = (n.wrapping_mul(16) + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64);
    x ^= x >> 29;
    x.wrapping_mul(0xbf58_476d_1ce4_e5b9_u64 as i64) >> 20
}

fn batch(from: i64, to: i64) -> RecordBatch {
    let mut columns: Vec<ArrayRef> = Vec::new();
    let orders = (from..to).map(|n| n / LINES_PER_ORDER);
    columns.push(Arc::new(Int64Array::from_iter_values(orders)));
    for salt in 1..7 {
        let values = (from..to).map(|n| mixed(n, salt).rem_euclid(200_000));
        columns.push(Arc::new(Int64Array::from_iter_values(values)));
    }
    let lines = (from..to).map(|n| (n % LINES_PER_ORDER) as i32);
    columns.push(Arc::new(Int32Array::from_iter_values(lines)));
    for salt in 8..11 {
        let dates = (from..to).map(|n| mixed(n, salt).rem_euclid(2500) as i32);
        columns.push(Arc::new(Int32Array::from_iter_values(dates)));
    }
    let short = [
        "A",
        "N",
        "R",
        "DELIVER IN PERSON",
        "COLLECT COD",
        "TRUCK",
        "MAIL",
        "SHIP",
    ];
    for salt in 11..15 {
        let texts = (from..to).map(|n| short[mixed(n, salt).rem_euclid(8) as usize]);
        columns.push(Arc::new(StringViewArray::from_iter_values(texts)));
    }
    let comments = (from..to).map(|n| format!("carefully final {:x} deposits", mixed(n, 15)));
    columns.push(Arc::new(StringViewArray::from_iter_values(comments)));
    let fields = columns.iter().enumerate();
    let fields = fields.map(|(n, c)| Field::new(format!("c{n}"), c.data_type().clone(), true));
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).unwrap()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rows: i64 = arguments
        .next()
        .map_or(2_000_000, |rows| rows.parse().unwrap());
    let directory = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let batches: Vec<RecordBatch> = (0..rows)
        .step_by(BATCH_ROWS as usize)
        .map(|from| batch(from, (from + BATCH_ROWS).min(rows)))
        .collect();
    let single = measure("row by row", &directory, &batches, |txn| {
        for batch in &batches {
            txn.insert(&table(), batch).unwrap();
        }
    });
    let bulk = measure("in bulk", &directory, &batches, |txn| {
        let mut bulk = txn.bulk_insert(&table()).unwrap();
        for batch in &batches {
            bulk.push(txn, batch).unwrap();
        }
        bulk.finish(txn).unwrap();
    });
    println!("{:.2} times as fast", single / bulk);
}

/// Seconds until the rows are committed.
fn measure(
    name: &str,
    directory: &std::path::Path,
    batches: &[RecordBatch],
    insert: impl Fn(&mut Transaction),
) -> f64 {
    let directory = tempfile::tempdir_in(directory).unwrap();
    let disk = Arc::new(Disk::open(directory.path()).unwrap());
    let engine = Engine::open(disk, Options::default()).unwrap();
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    txn.define_table(&table()).unwrap();
    txn.commit(Durability::Synchronous).unwrap();

    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let begun = Instant::now();
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    insert(&mut txn);
    let inserted = begun.elapsed();
    txn.commit(Durability::Synchronous).unwrap();
    let committed = begun.elapsed().as_secs_f64();
    let stats = engine.stats();
    println!(
        "{name}: {rows} rows inserted {:.2} s, committed {committed:.2} s ({:.0} rows/s); WAL {} MB, \
         segments {} ({} MB)",
        inserted.as_secs_f64(),
        rows as f64 / committed,
        stats.wal_bytes >> 20,
        stats.segments,
        stats.segment_bytes >> 20,
    );
    engine.close().unwrap();
    committed
}
