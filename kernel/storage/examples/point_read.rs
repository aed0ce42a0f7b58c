//! How many rows a thread finds by a unique key in a second.
//!
//! ```text
//! cargo run --release -p heliosdb-storage --example point_read -- DIR [MILLIONS] [SECONDS] [UPDATED]
//! ```
//!
//! A table like pgbench's accounts, of so many million rows in merged segments, is made in DIR when that
//! does not exist. Each read is what the compiled route of a prepared SELECT does: a view of what is visible,
//! the row of a key, and a batch of one column of it. Keys are random; every read is held against what
//! was written.
//!
//! `UPDATED` is how many of the rows, in percent, are updated before the reads and stay in memory.

#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringViewArray};
use arrow_schema::{Field, Schema};
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId};
use heliosdb_storage::io::Io;
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::schema::{ColumnDef, ColumnType, IndexDef, KeyColumn, TableDef};
use heliosdb_storage::view::index::key_types;
use heliosdb_storage::{Durability, Engine, Interrupt, Isolation, Options, RowReader, Transaction};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const BATCH_ROWS: i32 = 8192;
const READS_BETWEEN_LOOKS: u64 = 1000;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("name a directory")?);
    let mut number = |default: f64| match arguments.next() {
        Some(text) => text.parse::<f64>(),
        None => Ok(default),
    };
    let rows = (number(1.0)? * 1e6) as i32;
    let micros = (number(4.0)? * 1e6) as u64;
    let updated = (number(0.0)? / 100.0 * f64::from(rows)) as i32;
    let disk = Arc::new(Disk::open(&directory)?);
    let engine = Engine::open(disk.clone(), Options::default())?;
    if engine.visible_view().row_count_estimate(table().id) == 0 {
        fill(&engine, rows)?;
    }
    let stats = engine.stats();
    println!("{rows} rows in {} segments", stats.segments);
    update(&engine, updated)?;
    let (table, index) = (table(), &table().indexes[0]);
    let types = key_types(&table, index)?;
    let reader = RowReader::new(&table, &[ColumnId(2)], false, None)?;
    for _ in 0..3 {
        let mut seed = 42_u64;
        let (start, mut reads) = (disk.monotonic_micros(), 0);
        let took = loop {
            for _ in 0..READS_BETWEEN_LOOKS {
                seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let key = ((seed >> 33) % rows as u64) as i32;
                let view = engine.visible_view();
                let row = view.unique_row(index, &types, &[Datum::Int32(key)])?;
                let found = view.read(&reader, &[row.ok_or("no such row")?])?;
                let balance = found.column(0).as_primitive::<Int32Type>().value(0);
                if balance != balance_of(key) {
                    return Err(format!("key {key} has {balance}").into());
                }
            }
            reads += READS_BETWEEN_LOOKS;
            let took = disk.monotonic_micros() - start;
            if took >= micros {
                break took;
            }
        };
        println!(
            "{:.0} thousand reads/s, {:.0} ns each",
            reads as f64 / took as f64 * 1e3,
            took as f64 / reads as f64 * 1e3
        );
    }
    engine.close()?;
    Ok(())
}

/// The table with all its rows, flushed and merged.
fn fill(engine: &Engine, rows: i32) -> Result<()> {
    let mut txn = begin(engine);
    txn.define_table(&table())?;
    txn.commit(Durability::Synchronous)?;
    for from in (0..rows).step_by(BATCH_ROWS as usize) {
        let mut txn = begin(engine);
        txn.insert(&table(), &batch(from, (from + BATCH_ROWS).min(rows))?)?;
        txn.commit(Durability::Asynchronous)?;
    }
    engine.flush()?;
    engine.compact_all(&Interrupt::new())?;
    Ok(())
}

/// The first rows once more, as they are.
fn update(engine: &Engine, rows: i32) -> Result<()> {
    let table = table();
    let types = key_types(&table, &table.indexes[0])?;
    for from in (0..rows).step_by(BATCH_ROWS as usize) {
        let to = (from + BATCH_ROWS).min(rows);
        let view = engine.visible_view();
        let find = |key| view.unique_row(&table.indexes[0], &types, &[Datum::Int32(key)]);
        let found = (from..to).map(|key| Ok(find(key)?.ok_or("no such row")?));
        let mut txn = begin(engine);
        txn.update(
            &table,
            &found.collect::<Result<Vec<RowId>>>()?,
            &batch(from, to)?,
        )?;
        txn.commit(Durability::Synchronous)?;
    }
    Ok(())
}

fn begin(engine: &Engine) -> Transaction {
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    txn
}

/// `(aid int unique, bid int, abalance int, filler text)`.
fn table() -> TableDef {
    let types = [
        ColumnType::Int32,
        ColumnType::Int32,
        ColumnType::Int32,
        ColumnType::Text,
    ];
    TableDef {
        id: CollectionId(2000),
        columns: types.into_iter().map(ColumnDef::new).collect(),
        indexes: vec![IndexDef {
            id: CollectionId(2001),
            columns: vec![KeyColumn {
                column: ColumnId(0),
                descending: false,
                nulls_first: false,
            }],
            unique: true,
            predicate: None,
        }],
        computed: Vec::new(),
        retention: None,
    }
}

fn balance_of(key: i32) -> i32 {
    key.wrapping_mul(0x2545_f491) >> 12
}

fn batch(from: i32, to: i32) -> Result<RecordBatch> {
    let schema = Schema::new(
        table()
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| Field::new(format!("c{i}"), column.ty.arrow(), true))
            .collect::<Vec<_>>(),
    );
    let numbers = |f: fn(i32) -> i32| -> ArrayRef {
        Arc::new(Int32Array::from_iter_values((from..to).map(f)))
    };
    let filler = (from..to).map(|_| format!("{:84}", ""));
    let columns = vec![
        numbers(|key| key),
        numbers(|key| key / 100_000),
        numbers(balance_of),
        Arc::new(StringViewArray::from_iter_values(filler)),
    ];
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}
