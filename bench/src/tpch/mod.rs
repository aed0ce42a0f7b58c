//! TPC-H beside DuckDB and PostgreSQL: loading, the 22 queries, the space on disk.
//!
//! The rows are CSV files, made once, in pieces of [`ROWS_PER_COPY`](heliosdb_tpch::ROWS_PER_COPY). All
//! three load them by COPY, a piece a statement. HeliosDB and PostgreSQL have every key, foreign key and
//! secondary index while they load; DuckDB has none, which is how it is fastest. DuckDB runs inside its
//! client; HeliosDB is asked through psql over loopback, which adds the sending of the result. A query
//! counts only when both give the same rows. The first run of each, which reads what no query before it did,
//! is shown beside the median of all.

mod answers;
pub mod load;
mod pieces;
mod settle;
pub mod space;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use heliosdb_tpch::{Data, INDEXES, QUERIES, Query, Scale, TABLES};

use crate::Options;
use crate::duckdb::{self, DuckDb};
use crate::peer::{Peer, checked};
use crate::process;
use crate::table;
use pieces::Piece;

/// Raw rows of one gigabyte.
const SCALE: f64 = 1.0;
/// What this machine has; HeliosDB takes as many as there are.
const THREADS: u32 = 2;

pub fn run(options: &Options) -> Result<(), String> {
    let scale = Scale::new(options.scale.unwrap_or(SCALE))?;
    let threads = std::thread::available_parallelism().map_or(0, usize::from);
    if threads != THREADS as usize {
        eprintln!("this machine has {threads} processors; the peers get {THREADS} threads");
    }
    let mut helios = Peer::helios()?;
    let postgres = Peer::postgres()?;
    let file = postgres.scratch().join("tpch.duckdb");
    let mut duck = DuckDb::open(&file, THREADS)?;
    println!("{}", postgres.version()?);
    println!("DuckDB {}", duckdb::VERSION);
    println!("{}", helios.version()?);

    let data = Data::new(scale, Data::TEXT_BYTES);
    let pieces = pieces::write(&data, helios.scratch())?;
    drop(data);
    let raw_bytes: u64 = pieces.iter().map(|piece| piece.bytes).sum();
    println!(
        "TPC-H scale {}: {} MB of rows as CSV\n",
        scale.factor(),
        raw_bytes / 1_000_000
    );

    let loads = [
        load_server(&postgres, &pieces)?,
        load_duckdb(&mut duck, &pieces)?,
        load_server(&helios, &pieces)?,
    ];
    for piece in &pieces {
        fs::remove_file(&piece.file).map_err(|e| format!("{}: {e}", piece.file.display()))?;
    }
    let spaces = [
        postgres_bytes(&postgres)?,
        bytes_under(&file)?,
        bytes_under(&helios.data())?,
    ];
    print_loads(loads, spaces, raw_bytes);
    let segments = helios.data().join("segments");
    let seconds = settle::settle(&segments)?;
    println!(
        "{seconds} s after the load HeliosDB has merged what it merges, {} MB, and the queries begin\n",
        bytes_under(&segments)? / 1_000_000
    );

    let mut rows = Vec::new();
    let (mut ratios, mut first_ratios) = (Vec::new(), Vec::new());
    for query in &QUERIES {
        let sql = query.sql(scale.factor());
        let [mut theirs, mut our] = [Vec::new(), Vec::new()];
        for _ in 0..options.rounds() {
            let expected = duck.run(&sql)?;
            let found = answers::ask(&helios, &sql)?;
            answers::same(&found.rows, &expected.rows)
                .map_err(|why| format!("query {}: {why}", query.number))?;
            theirs.push(expected.seconds);
            our.push(found.seconds);
        }
        let first = [theirs[0], our[0]];
        let median = [table::median(&mut theirs), table::median(&mut our)];
        ratios.push(median[1] / median[0]);
        first_ratios.push(first[1] / first[0]);
        rows.push(row(query, median, first));
    }
    table::print(
        &[
            "query",
            "DuckDB ms",
            "HeliosDB ms",
            "times as long",
            "first: DuckDB ms",
            "HeliosDB ms",
        ],
        &rows,
    );
    println!(
        "\ngeometric mean of {} queries: {:.2} times DuckDB's time, {:.2} times of the first runs; memory at most: DuckDB {} MB, HeliosDB {} MB",
        ratios.len(),
        geometric_mean(&ratios),
        geometric_mean(&first_ratios),
        process::memory_peak(duck.process()) / 1_000_000,
        process::memory_peak(helios.process()) / 1_000_000,
    );
    duck.close()?;
    helios.stop()
}

/// Of DuckDB's time and ours, the median and that of the first run.
fn row(query: &Query, median: [f64; 2], first: [f64; 2]) -> Vec<String> {
    let milliseconds = |seconds: f64| format!("{:.0}", seconds * 1e3);
    vec![
        format!("{} {}", query.number, query.title),
        milliseconds(median[0]),
        milliseconds(median[1]),
        format!("{:.2}", median[1] / median[0]),
        milliseconds(first[0]),
        milliseconds(first[1]),
    ]
}

fn geometric_mean(ratios: &[f64]) -> f64 {
    let logarithms: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
    (logarithms / ratios.len() as f64).exp()
}

/// Make the tables with all of their keys and indexes.
fn create(peer: &Peer) -> Result<(), String> {
    for table in &TABLES {
        peer.psql(table.create)?;
    }
    for index in INDEXES {
        peer.psql(index)?;
    }
    Ok(())
}

/// Seconds of the COPYs, until the rows are as durable as the server makes them.
fn load_server(peer: &Peer, pieces: &[Piece]) -> Result<f64, String> {
    create(peer)?;
    let mut seconds = 0.0;
    for piece in pieces {
        seconds += copy(peer, piece)?;
    }
    peer.psql("CHECKPOINT")?;
    peer.psql("ANALYZE")?;
    Ok(seconds)
}

/// Seconds of one COPY.
fn copy(peer: &Peer, piece: &Piece) -> Result<f64, String> {
    let rows = fs::File::open(&piece.file).map_err(|e| format!("{}: {e}", piece.file.display()))?;
    let copy = format!("COPY {} FROM STDIN WITH (FORMAT csv)", piece.table);
    let start = Instant::now();
    checked(
        peer.client("psql")
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", &copy])
            .stdin(Stdio::from(rows)),
    )?;
    Ok(start.elapsed().as_secs_f64())
}

fn load_duckdb(duck: &mut DuckDb, pieces: &[Piece]) -> Result<f64, String> {
    for table in &TABLES {
        duck.run(&without_keys(table.create))?;
    }
    let mut seconds = 0.0;
    for piece in pieces {
        let file = piece.file.display();
        seconds += duck
            .run(&format!(
                "COPY {} FROM '{file}' (FORMAT csv, HEADER false)",
                piece.table
            ))?
            .seconds;
    }
    duck.run("CHECKPOINT; ANALYZE")?;
    Ok(seconds)
}

/// A CREATE TABLE of ours without its keys. Each stands on a line of its own, or behind its column.
fn without_keys(create: &str) -> String {
    let lines = create.lines().filter(|line| {
        let line = line.trim_start();
        !line.starts_with("PRIMARY KEY") && !line.starts_with("FOREIGN KEY")
    });
    let columns: Vec<&str> = lines
        .map(|line| {
            let bare = line.split(" REFERENCES").next().unwrap_or(line);
            let bare = bare.split(" PRIMARY KEY").next().unwrap_or(bare);
            bare.trim_end_matches(',')
        })
        .collect();
    let (first, last) = (0, columns.len() - 1);
    let mut text = String::new();
    for (i, column) in columns.iter().enumerate() {
        text.push_str(column);
        text.push_str(match i {
            i if i == first || i == last || i + 1 == last => "\n",
            _ => ",\n",
        });
    }
    text
}

fn postgres_bytes(peer: &Peer) -> Result<u64, String> {
    let size = peer.psql("SELECT pg_database_size(current_database())")?;
    size.trim().parse().map_err(|e| format!("{size}: {e}"))
}

/// What a file, or all files in a directory, have.
fn bytes_under(path: &Path) -> Result<u64, String> {
    let failed = |e| format!("{}: {e}", path.display());
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let mut bytes = 0;
    for entry in fs::read_dir(path).map_err(failed)? {
        bytes += bytes_under(&entry.map_err(failed)?.path())?;
    }
    Ok(bytes)
}

fn print_loads(loads: [f64; 3], spaces: [u64; 3], raw_bytes: u64) {
    let names = [
        "PostgreSQL, all keys",
        "DuckDB, no keys",
        "HeliosDB, all keys",
    ];
    let rows: Vec<Vec<String>> = names
        .iter()
        .zip(loads.iter().zip(spaces))
        .map(|(name, (seconds, bytes))| {
            vec![
                (*name).to_owned(),
                format!("{seconds:.1}"),
                format!("{:.0}", raw_bytes as f64 / 1e6 / seconds),
                format!("{}", bytes / 1_000_000),
            ]
        })
        .collect();
    table::print(&["load", "s", "MB/s", "MB on disk"], &rows);
    println!(
        "\nHeliosDB loads {:.2} times as fast as PostgreSQL and {:.2} times as fast as DuckDB, and takes {:.2} of PostgreSQL's space and {:.2} of DuckDB's\n",
        loads[0] / loads[2],
        loads[1] / loads[2],
        spaces[2] as f64 / spaces[0] as f64,
        spaces[2] as f64 / spaces[1] as f64,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_and_columns_stay() {
        let create = "CREATE TABLE t (\n    a integer PRIMARY KEY,\n    b char(1) NOT NULL,\n    c integer NOT NULL REFERENCES u,\n    PRIMARY KEY (a, b),\n    FOREIGN KEY (b) REFERENCES u\n)";
        assert_eq!(
            without_keys(create),
            "CREATE TABLE t (\n    a integer,\n    b char(1) NOT NULL,\n    c integer NOT NULL\n)\n"
        );
    }

    #[test]
    fn the_geometric_mean_of_a_ratio_and_its_inverse_is_one() {
        assert!((geometric_mean(&[4.0, 0.25]) - 1.0).abs() < 1e-12);
    }
}
