//! What history costs: reading the past, keeping it under load, and opening a large database.
//!
//! HeliosDB beside itself, embedded, in one run: `AS OF` a time before a tenth of the rows was updated
//! beside the present; TPC-B in a database that keeps all history beside one that keeps a second of it;
//! and the time to open a database of a gigabyte after it was closed. No peer has the first two.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use heliosdb_kernel::{Config, Database, SqlError};

use crate::Options;
use crate::oltp::{self, Tpcb};
use crate::peer::temporary_directory;
use crate::table;

/// Of the scanned table.
const ROWS: u64 = 2_000_000;
/// Every tenth is updated.
const UPDATED: u64 = 10;
const SCALE: f64 = 10.0;
/// At which TPC-B runs.
const THREADS: u32 = 8;
/// Until the files of the database that is opened have so many bytes.
const LARGE_BYTES: u64 = 1 << 30;
const ROWS_PER_STATEMENT: u64 = 500_000;

const TABLE: &str = "CREATE TABLE t (id bigint PRIMARY KEY, k int, n bigint, s text)";

/// Adds up three of the columns, so that they are read.
const SCAN: &str = "SELECT count(*), sum(k), sum(n), max(s) FROM t";

pub fn run(options: &Options) -> Result<(), String> {
    let directory = temporary_directory()?;
    let mut rows = scans(&directory.path().join("scan"), options)?;
    rows.push(keeping(directory.path(), options)?);
    table::print(&["work", "without", "with", "ratio"], &rows);
    println!();
    opening(&directory.path().join("large"), options)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn open(directory: &Path, settings: &str) -> Result<Database, String> {
    let config = Config::parse(settings, "history.toml").map_err(text)?;
    Database::open_with(directory, &config).map_err(text)
}

/// Milliseconds of the scan in the present and in the past, where the present is and is not in segments.
fn scans(directory: &Path, options: &Options) -> Result<Vec<Vec<String>>, String> {
    let database = open(directory, "")?;
    let run = |sql: &str| database.execute(sql).map_err(text);
    run(TABLE)?;
    run(&format!(
        "INSERT INTO t SELECT i, i % 1000, i::bigint * 7919 % 1000003, 'value ' || i::bigint * 7919 % 1000003 \
         FROM generate_series(1, {ROWS}) AS g(i)"
    ))?;
    run("CHECKPOINT")?;
    let answer = |sql: &str| -> Result<String, String> {
        let shown = database.query(sql, &[]).map_err(text)?;
        let row = shown.one().map_err(text)?;
        let number = |at| row.get::<i64>(at).map_err(text);
        Ok(format!("{} {}", number(0)?, number(1)?))
    };
    let before = answer(SCAN)?;
    let scn = database.query("SELECT helios_current_scn()", &[]);
    let scn: i64 = scn.and_then(|rows| rows.one()?.get(0)).map_err(text)?;
    run(&format!(
        "UPDATE t SET k = k + 1, n = n + 1 WHERE id % {UPDATED} = 0"
    ))?;
    let past = format!("{SCAN} AS OF SCN {scn}");
    let mut rows = Vec::new();
    for (where_it_is, prepare) in [
        ("updates in memory", ""),
        ("updates in segments", "CHECKPOINT"),
        ("after VACUUM", "VACUUM"),
    ] {
        if !prepare.is_empty() {
            run(prepare)?;
        }
        if answer(&past)? != before || answer(SCAN)? == before {
            return Err(format!("{where_it_is}: the past or the present is wrong"));
        }
        let [mut now, mut then] = [Vec::new(), Vec::new()];
        for _ in 0..options.rounds() {
            for (sql, into) in [(SCAN, &mut now), (past.as_str(), &mut then)] {
                let start = Instant::now();
                black_box(database.query(sql, &[]).map_err(text)?);
                into.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        let (now, then) = (table::median(&mut now), table::median(&mut then));
        rows.push(row(
            &format!("scan AS OF, ms ({where_it_is})"),
            now,
            then,
            then / now,
        ));
    }
    database.close().map_err(text)?;
    Ok(rows)
}

/// TPC-B, transactions a second, with a second of history and with all of it.
fn keeping(directory: &Path, options: &Options) -> Result<Vec<String>, String> {
    let branches = options.scale.unwrap_or(SCALE).ceil() as u32;
    let mut databases = Vec::new();
    for retention in ["1 s", "forever"] {
        let settings = format!("[storage]\nretention = \"{retention}\"\n");
        let database = open(&directory.join(retention), &settings)?;
        oltp::load(&database, branches)?;
        databases.push(database);
    }
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..options.rounds() {
        for (database, rates) in databases.iter().zip(&mut rates) {
            let make = |c: &mut _| -> Result<Tpcb, SqlError> { Tpcb::new(c, branches) };
            rates.push(oltp::rate(database, THREADS, options, make)?);
        }
    }
    let [little, all] = rates.map(|mut samples| table::median(&mut samples));
    for database in databases {
        database.close().map_err(text)?;
    }
    Ok(row(
        &format!("TPC-B /s, {THREADS} threads, keeping all history"),
        little,
        all,
        all / little,
    ))
}

/// Milliseconds until a database of a gigabyte that was closed answers.
fn opening(directory: &Path, options: &Options) -> Result<(), String> {
    let database = open(directory, "")?;
    database.execute(TABLE).map_err(text)?;
    let mut rows = 0;
    let bytes = loop {
        // Text that becomes half as long, since it is in hexadecimal, and no shorter.
        let digests: Vec<String> = (0..8)
            .map(|n| format!("md5((8 * i + {n})::text)"))
            .collect();
        let sql = format!(
            "INSERT INTO t SELECT i, i % 1000, i, {} FROM generate_series({}, {}) AS g(i)",
            digests.join(" || "),
            rows + 1,
            rows + ROWS_PER_STATEMENT
        );
        database.execute(&sql).map_err(text)?;
        rows += ROWS_PER_STATEMENT;
        database.execute("CHECKPOINT").map_err(text)?;
        let bytes = segment_bytes(directory)?;
        if bytes >= LARGE_BYTES {
            break bytes;
        }
    };
    database.close().map_err(text)?;
    let mut times = Vec::new();
    for _ in 0..options.rounds() {
        let start = Instant::now();
        let database = open(directory, "")?;
        let one = database.query("SELECT k FROM t WHERE id = $1", &[&1_i64]);
        one.and_then(|rows| rows.one()?.get::<i32>(0))
            .map_err(text)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        database.close().map_err(text)?;
    }
    println!(
        "a database of {} MB ({rows} rows) opens and answers in {:.0} ms",
        bytes / 1_000_000,
        table::median(&mut times)
    );
    Ok(())
}

fn segment_bytes(directory: &Path) -> Result<u64, String> {
    let files = fs::read_dir(directory.join("segments")).map_err(text)?;
    let length = |file: std::io::Result<fs::DirEntry>| Ok(file?.metadata()?.len());
    let lengths: std::io::Result<Vec<u64>> = files.map(length).collect();
    Ok(lengths.map_err(text)?.iter().sum())
}

fn row(work: &str, without: f64, with: f64, ratio: f64) -> Vec<String> {
    vec![
        work.to_owned(),
        format!("{without:.0}"),
        format!("{with:.0}"),
        format!("{ratio:.2}"),
    ]
}
