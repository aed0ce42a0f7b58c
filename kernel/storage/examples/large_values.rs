//! What rows with a large value cost those who do not ask for it, and those who ask for one.
//!
//! ```text
//! cargo run --release -p heliosdb-storage --example large_values -- DIR [ROWS] [BYTES] [BLOB_BYTES_MIN]
//! ```
//!
//! A table `(k int, n int, doc text)` of so many rows with values of so many bytes is made in DIR, which must
//! not exist, and merged. Then, each time with an engine opened anew: a scan that filters `n` and returns
//! `k`; reads of single rows with their value, at random; a scan of all values. The values are like JSON
//! documents: words and numbers, by the row.

#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::error::Error;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringViewArray};
use arrow_schema::{Field, Schema};
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId};
use heliosdb_storage::io::Io;
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::schema::{ColumnDef, ColumnType, TableDef};
use heliosdb_storage::segment::ColumnRange;
use heliosdb_storage::{
    Durability, Engine, Interrupt, Isolation, Options, ReadView, RowReader, ScanRequest,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Bytes of values that are read one by one, about, and how many values at most.
const READ_BYTES: usize = 2 << 30;
const READS_MAX: usize = 5000;
const WORDS: [&str; 16] = [
    "order", "customer", "status", "shipped", "pending", "address", "street", "total", "currency",
    "item", "quantity", "price", "discount", "comment", "priority", "created",
];

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("name a directory")?;
    let mut number = |default: usize| match arguments.next() {
        Some(text) => text.parse::<usize>(),
        None => Ok(default),
    };
    let (rows, bytes) = (number(50_000)?, number(20_000)?);
    let blob_bytes_min = number(Options::default().blob_bytes_min)?;
    let directory = Path::new(&directory);
    let options = Options {
        blob_bytes_min,
        ..Options::default()
    };
    let disk = Arc::new(Disk::open(directory)?);
    let engine = Engine::open(disk.clone(), options.clone())?;
    let start = disk.monotonic_micros();
    fill(&engine, rows, bytes)?;
    let took = disk.monotonic_micros() - start;
    let stats = engine.stats();
    println!(
        "{rows} rows of {bytes} bytes, blobs from {blob_bytes_min}: made in {:.1} s, {:.1} MB in {} segments",
        took as f64 / 1e6,
        stats.segment_bytes as f64 / 1e6,
        stats.segments
    );
    engine.close()?;

    for _ in 0..2 {
        let engine = Engine::open(disk.clone(), options.clone())?;
        let table = Arc::new(table());
        let view = engine.visible_view();
        let asked = engine.stats().pages_read;
        let start = disk.monotonic_micros();
        let found = narrow(&view, &table)?;
        let cold = disk.monotonic_micros() - start;
        let start = disk.monotonic_micros();
        narrow(&view, &table)?;
        let again = disk.monotonic_micros() - start;
        println!(
            "narrow scan: {found} rows, {:.1} ms, again {:.1} ms, {} pages asked for",
            cold as f64 / 1e3,
            again as f64 / 1e3,
            (engine.stats().pages_read - asked) / 2
        );

        let reader = RowReader::new(&table, &[ColumnId(2)], false, None)?;
        let mut seed = 42_u64;
        let start = disk.monotonic_micros();
        let reads = (READ_BYTES / bytes.max(1)).clamp(1, READS_MAX);
        for _ in 0..reads {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let row = (seed >> 33) % rows as u64 + 1;
            let found = view.read(&reader, &[RowId(row)])?;
            if found.column(0).as_string_view().value(0).len() < bytes {
                return Err("a value that is too short".into());
            }
        }
        let took = disk.monotonic_micros() - start;
        println!(
            "point read of a value: {:.1} µs",
            took as f64 / reads as f64
        );

        let start = disk.monotonic_micros();
        let mut read = 0;
        for part in view.scan(Arc::clone(&table), ScanRequest::columns(vec![ColumnId(2)]))? {
            for batch in part {
                let batch = batch?;
                let documents = batch.column(0).as_string_view().iter();
                read += documents.flatten().map(str::len).sum::<usize>();
            }
        }
        let took = disk.monotonic_micros() - start;
        println!(
            "scan of all values: {:.0} MB in {:.2} s",
            read as f64 / 1e6,
            took as f64 / 1e6
        );
        drop(view);
        engine.close()?;
    }
    Ok(())
}

/// How many rows have a number that every other has, so that no zone map tells.
fn narrow(view: &ReadView, table: &Arc<TableDef>) -> Result<usize> {
    let request = ScanRequest {
        ranges: vec![ColumnRange::between(
            ColumnId(1),
            Bound::Included(Datum::Int32(256)),
            Bound::Excluded(Datum::Int32(768)),
        )],
        ..ScanRequest::columns(vec![ColumnId(0)])
    };
    let mut found = 0;
    for part in view.scan(Arc::clone(table), request)? {
        for batch in part {
            found += batch?.num_rows();
        }
    }
    Ok(found)
}

fn fill(engine: &Engine, rows: usize, bytes: usize) -> Result<()> {
    let begin = || {
        let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
        txn.begin_statement();
        txn
    };
    let mut txn = begin();
    txn.define_table(&table())?;
    txn.commit(Durability::Synchronous)?;
    for from in (0..rows).step_by(256) {
        let mut txn = begin();
        txn.insert(&table(), &batch(from, (from + 256).min(rows), bytes)?)?;
        txn.commit(Durability::Asynchronous)?;
    }
    engine.flush()?;
    engine.compact_all(&Interrupt::new())?;
    Ok(())
}

fn table() -> TableDef {
    let types = [ColumnType::Int32, ColumnType::Int32, ColumnType::Text];
    TableDef {
        id: CollectionId(2000),
        columns: types.into_iter().map(ColumnDef::new).collect(),
        indexes: Vec::new(),
        computed: Vec::new(),
        retention: None,
    }
}

fn document(row: usize, bytes: usize) -> String {
    let mut seed = (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut text = String::with_capacity(bytes + 32);
    while text.len() < bytes {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let word = WORDS[(seed >> 60) as usize];
        text.push_str(&format!("\"{word}\":{},", (seed >> 40) & 0xFFFF));
    }
    text
}

fn batch(from: usize, to: usize, bytes: usize) -> Result<RecordBatch> {
    let columns = table().columns;
    let fields = columns.iter().enumerate();
    let fields = fields.map(|(i, column)| Field::new(format!("c{i}"), column.ty.arrow(), true));
    let numbers = |f: fn(usize) -> i32| -> ArrayRef {
        Arc::new(Int32Array::from_iter_values((from..to).map(f)))
    };
    let documents = (from..to).map(|row| document(row, bytes));
    let columns = vec![
        numbers(|row| row as i32),
        numbers(|row| (row.wrapping_mul(2_654_435_761) >> 7) as i32 & 0x3FF),
        Arc::new(StringViewArray::from_iter_values(documents)),
    ];
    let schema = Schema::new(fields.collect::<Vec<_>>());
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}
