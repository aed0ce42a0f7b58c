//! How fast a log is replayed, and how long a database takes to open after a clean stop.
//!
//! ```text
//! cargo run --release -p heliosdb-storage --example replay -- DIR [MILLIONS] [ROWS_PER_COMMIT] [GB]
//! ```
//!
//! 1. Makes a database in DIR/crashed with a log of so many million operations and no segments: each row is
//!    inserted, with an entry in an index, and half of the rows are updated. (A memtable that holds all of
//!    it stands for one that was not flushed.) The directory is left as a crash leaves it, and opened with
//!    default options, which replays the log: operations per second, of rows and of index entries.
//! 2. Makes DIR/stopped, of so many GB in segments, stops it cleanly, and opens it: milliseconds.
//!
//! DIR must not exist.

#![allow(clippy::print_stdout, reason = "it is a program for people")]
#![allow(clippy::disallowed_methods, reason = "copies a directory")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow_schema::{Field, Schema};
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId};
use heliosdb_storage::io::Io;
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::schema::{ColumnDef, ColumnType, IndexDef, KeyColumn, TableDef};
use heliosdb_storage::{Durability, Engine, Interrupt, Isolation, Options, Transaction};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let root = PathBuf::from(arguments.next().ok_or("name a directory")?);
    let mut number = |default: f64| match arguments.next() {
        Some(text) => text.parse::<f64>(),
        None => Ok(default),
    };
    let operations = number(3.0)? * 1e6;
    let per_commit = number(10.0)? as i64;
    let gigabytes = number(1.0)?;
    fs::create_dir(&root)?;
    if operations > 0.0 {
        replay(&root, operations as i64, per_commit)?;
    }
    if gigabytes > 0.0 {
        reopen(&root, gigabytes)?;
    }
    Ok(())
}

/// Part 1.
fn replay(root: &Path, operations: i64, per_commit: i64) -> Result<()> {
    let large = Options {
        memtable_bytes_max: 1 << 40,
        ..Options::default()
    };
    let alive = root.join("alive");
    let engine = open(&alive, large)?;
    define(&engine)?;
    // A row and its entry; an update of half the rows.
    let rows = operations * 2 / 5;
    for start in (0..rows).step_by(per_commit as usize) {
        let ids: Vec<i64> = (start..(start + per_commit).min(rows)).collect();
        let mut txn = begin(&engine);
        let names = txn.insert(&table(), &batch(&ids)?)?;
        txn.commit(Durability::Asynchronous)?;
        let (again, ids): (Vec<RowId>, Vec<i64>) = names.into_iter().zip(ids).step_by(2).unzip();
        let mut txn = begin(&engine);
        txn.update(&table(), &again, &batch(&ids)?)?;
        txn.commit(Durability::Asynchronous)?;
    }
    engine.settle(engine.durable())?;
    engine.wait_durable(heliosdb_storage::ids::Ts(u64::MAX))?;
    let crashed = root.join("crashed");
    copy(&alive, &crashed)?;
    engine.close()?;
    fs::remove_dir_all(&alive)?;
    let log = size(&crashed.join("wal"))?;
    for run in 1..=3 {
        let opened = root.join(format!("run{run}"));
        copy(&crashed, &opened)?;
        let (micros, cpu) = time_to_open(&opened)?;
        println!(
            "replay: {operations} operations, {} MB of log, {:.0} ms of which its thread ran {:.0} ms, {:.2} \
             million operations/s, {:.2} in its time",
            log >> 20,
            micros / 1e3,
            cpu / 1e3,
            operations as f64 / micros,
            operations as f64 / cpu,
        );
        fs::remove_dir_all(&opened)?;
    }
    fs::remove_dir_all(&crashed)?;
    Ok(())
}

/// Part 2.
fn reopen(root: &Path, gigabytes: f64) -> Result<()> {
    let stopped = root.join("stopped");
    let engine = open(&stopped, Options::default())?;
    define(&engine)?;
    let mut next = 0;
    while (size(&stopped.join("segments"))? as f64) < gigabytes * f64::from(1 << 30) {
        for _ in 0..100 {
            let ids: Vec<i64> = (next..next + 1000).collect();
            next += 1000;
            let mut txn = begin(&engine);
            txn.insert(&table(), &batch(&ids)?)?;
            txn.commit(Durability::Asynchronous)?;
        }
    }
    let segments = engine.stats().segments;
    engine.close()?;
    let bytes = size(&stopped)?;
    for _ in 0..3 {
        let (micros, cpu) = time_to_open(&stopped)?;
        println!(
            "open: {} MB with {} of log, {next} rows in {segments} segments, {:.1} ms of which its thread \
             ran {:.1}",
            bytes >> 20,
            size(&stopped.join("wal"))? >> 20,
            micros / 1e3,
            cpu / 1e3
        );
    }
    Ok(())
}

fn open(directory: &Path, options: Options) -> Result<Engine> {
    Ok(Engine::open(Arc::new(Disk::open(directory)?), options)?)
}

/// Microseconds, and those that the thread had a processor for: the machine may have other work.
fn time_to_open(directory: &Path) -> Result<(f64, f64)> {
    let disk = Arc::new(Disk::open(directory)?);
    let (start, ran) = (disk.monotonic_micros(), cpu_micros()?);
    let engine = Engine::open(disk.clone(), Options::default())?;
    let took = (disk.monotonic_micros() - start) as f64;
    let ran = cpu_micros()? - ran;
    engine.close()?;
    Ok((took, ran))
}

fn cpu_micros() -> Result<f64> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = stat.split(' ').next().ok_or("no schedstat")?;
    Ok(nanos.parse::<f64>()? / 1e3)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, to) = (entry?, to);
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name()))?,
            false => drop(fs::copy(entry.path(), to.join(entry.file_name()))?),
        }
    }
    Ok(())
}

fn size(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // One that was there when the directory was read may be gone.
        bytes += match entry.metadata() {
            Ok(data) if data.is_dir() => size(&entry.path())?,
            Ok(data) => data.len(),
            Err(_) => 0,
        };
    }
    Ok(bytes)
}

fn begin(engine: &Engine) -> Transaction {
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    txn
}

fn define(engine: &Engine) -> Result<()> {
    let mut txn = begin(engine);
    txn.define_table(&table())?;
    txn.commit(Durability::Synchronous)?;
    Ok(())
}

/// `(id bigint unique, name text)`.
fn table() -> TableDef {
    TableDef {
        id: CollectionId(2000),
        columns: vec![
            ColumnDef::new(ColumnType::Int64),
            ColumnDef::new(ColumnType::Text),
        ],
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

/// Ids in an order that has nothing to do with that of the rows, and 80 bytes that do not compress.
fn batch(ids: &[i64]) -> Result<RecordBatch> {
    let schema = Schema::new(vec![
        Field::new("c0", ColumnType::Int64.arrow(), true),
        Field::new("c1", ColumnType::Text.arrow(), true),
    ]);
    let mix = |n: i64| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) as i64;
    let name = |n: &i64| {
        (0..5).fold(String::new(), |s, i| {
            s + &format!("{:016x}", mix(n * 5 + i))
        })
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(ids.iter().map(|n| Some(mix(*n))).collect::<Int64Array>()),
        Arc::new(
            ids.iter()
                .map(|n| Some(name(n)))
                .collect::<StringViewArray>(),
        ),
    ];
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}
