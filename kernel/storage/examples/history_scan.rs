//! How fast a table is scanned as it was before a part of its rows was updated, beside as it is now.
//!
//! ```text
//! cargo run --release -p heliosdb-storage --example history_scan -- DIR [MILLIONS] [ROUNDS]
//! ```
//!
//! Makes a table of so many million rows in DIR, which must not exist, updates every tenth, and merges it all
//! into one segment, as VACUUM does. Then both scans take turns on one thread: four columns, of which the
//! numbers are added up, and which the page cache has room for.

#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringViewArray};
use arrow_schema::{Field, Schema};
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId};
use heliosdb_storage::io::Io;
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::schema::{ColumnDef, ColumnType, TableDef};
use heliosdb_storage::{
    Durability, Engine, Interrupt, Isolation, Options, ReadView, ScanRequest, Transaction,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const BATCH_ROWS: i64 = 8192;
/// Every so many rows one is updated.
const UPDATED: usize = 10;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("name a directory")?);
    let mut number = |default: f64| match arguments.next() {
        Some(text) => text.parse::<f64>(),
        None => Ok(default),
    };
    let rows = (number(2.0)? * 1e6) as i64;
    let rounds = number(20.0)? as usize;
    let disk = Arc::new(Disk::open(&directory)?);
    let options = Options {
        memory_bytes_max: 2 << 30,
        ..Options::default()
    };
    let engine = Engine::open(disk.clone(), options)?;
    let mut txn = begin(&engine);
    txn.define_table(&table())?;
    txn.commit(Durability::Synchronous)?;
    let mut names = Vec::new();
    for from in (0..rows).step_by(BATCH_ROWS as usize) {
        let ids: Vec<i64> = (from..(from + BATCH_ROWS).min(rows)).collect();
        let mut txn = begin(&engine);
        names.extend(txn.insert(&table(), &batch(&ids, 0)?)?.into_iter().zip(ids));
        txn.commit(Durability::Synchronous)?;
    }
    let before = engine.durable();
    let updated: Vec<(RowId, i64)> = names.into_iter().step_by(UPDATED).collect();
    for some in updated.chunks(BATCH_ROWS as usize) {
        let (names, ids): (Vec<RowId>, Vec<i64>) = some.iter().copied().unzip();
        let mut txn = begin(&engine);
        txn.update(&table(), &names, &batch(&ids, 1)?)?;
        txn.commit(Durability::Synchronous)?;
    }
    engine.flush()?;
    engine.compact_all(&Interrupt::new())?;
    let (now, past) = (engine.visible_view(), engine.view_at(before)?);
    let mut micros = [Vec::new(), Vec::new()];
    let sum = rows * (rows - 1) / 2 * 7;
    for _ in 0..rounds {
        for ((view, micros), more) in [&now, &past].into_iter().zip(&mut micros).zip([1, 0]) {
            let start = disk.monotonic_micros();
            let found = scan(view)?;
            micros.push(disk.monotonic_micros() - start);
            let wanted = (rows, sum + more * updated.len() as i64);
            if found != wanted {
                return Err(format!("{found:?} for {wanted:?}").into());
            }
        }
    }
    let [now, past] = micros.map(|mut micros| {
        micros.sort_unstable();
        micros[micros.len() / 2] as f64 / 1e3
    });
    println!(
        "{} segments, now {now:.1} ms, past {past:.1} ms, {:.2} times as long",
        engine.stats().segments,
        past / now
    );
    engine.close()?;
    Ok(())
}

/// How many rows, and the sum of a column.
fn scan(view: &ReadView) -> Result<(i64, i64)> {
    let columns = (0..4).map(ColumnId).collect();
    let (mut rows, mut sum, mut others) = (0, 0, 0);
    for part in view.scan(Arc::new(table()), ScanRequest::columns(columns))? {
        for batch in part {
            let batch = batch?;
            rows += batch.num_rows() as i64;
            let numbers = batch.column(2).as_primitive::<Int64Type>();
            sum += numbers.values().iter().sum::<i64>();
            let numbers = batch.column(1).as_primitive::<Int32Type>();
            others += numbers.values().iter().map(|n| i64::from(*n)).sum::<i64>();
            others += batch.column(3).len() as i64;
        }
    }
    std::hint::black_box(others);
    Ok((rows, sum))
}

fn begin(engine: &Engine) -> Transaction {
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    txn
}

/// `(id bigint, k int, n bigint, s text)`.
fn table() -> TableDef {
    let types = [
        ColumnType::Int64,
        ColumnType::Int32,
        ColumnType::Int64,
        ColumnType::Text,
    ];
    TableDef {
        id: CollectionId(2000),
        columns: types.into_iter().map(ColumnDef::new).collect(),
        indexes: Vec::new(),
        computed: Vec::new(),
        retention: None,
    }
}

fn batch(ids: &[i64], more: i64) -> Result<RecordBatch> {
    let fields = table().columns.into_iter().enumerate();
    let fields = fields.map(|(i, column)| Field::new(format!("c{i}"), column.ty.arrow(), true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(ids.iter().copied())),
        Arc::new(Int32Array::from_iter_values(
            ids.iter().map(|id| (id % 1000) as i32),
        )),
        Arc::new(Int64Array::from_iter_values(
            ids.iter().map(|id| id * 7 + more),
        )),
        Arc::new(StringViewArray::from_iter_values(
            ids.iter()
                .map(|id| format!("value {}", id * 7919 % 1_000_003)),
        )),
    ];
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}
