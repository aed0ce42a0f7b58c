//! Measures HeliosDB beside a peer: same machine, same data, same client, same durability, one run.
//!
//! `cargo run --release -p heliosdb-bench -- pgbench` starts PostgreSQL and `heliosdb-lite` on
//! loopback, gives both the same pgbench data, and alternates between them, so that a slow minute of
//! the machine falls on both. It prints a table of medians and ratios and never judges: a bar belongs
//! to whoever reads the table.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark starts processes and reads the clock"
)]
#![allow(
    clippy::result_large_err,
    reason = "an error of SQL ends the benchmark"
)]

mod branches;
mod codec;
mod duckdb;
mod dump;
mod flights;
mod history;
mod idle;
mod jsonschema;
mod oltp;
mod peer;
mod pgbench;
mod process;
mod sysbench;
mod table;
mod tpch;

use std::process::ExitCode;

const USAGE: &str = "usage: heliosdb-bench <what> [options]

what:
  oltp        TPC-B and point reads through the embedded API, beside PostgreSQL
  pgbench     TPC-B and select-only through pgbench, and sysbench where it is, beside PostgreSQL
  idle        memory of connections that say nothing, beside PostgreSQL
  branches    making, merging and reading branches, the past by its age, and what history takes, beside MariaDB
  history     reading the past, keeping it, and opening a large database
  flights     COPY of the nycflights13 data, its queries, and a few more, beside PostgreSQL
  jsonschema  20,000 documents inserted with and without a schema
  codec       the codecs of fsst-alp beside their papers, and choosing beside trying all
  dump        dump and restore of TPC-H, beside pg_dump and pg_restore
  load        COPY of TPC-H table by table with all keys, beside PostgreSQL
  scan        the 22 queries of TPC-H, after its load, beside PostgreSQL and DuckDB
  space       the files of TPC-H, after its load, merged and vacuumed, beside PostgreSQL's and DuckDB's

options:
  --scale N      scale factor: of pgbench, oltp and history (10), of TPC-H (dump: 2, others: 1)
  --seconds N    length of one measurement of pgbench, oltp and history (10)
  --rounds N     measurements per cell; the median is shown (3; dump: 1; branches: 7)
  --connections N  how many of them idle opens (2000), and how many branches live at a time (1000)
  --only A,B     these parts of branches: create, merge, read, past, live, space
  --sizes A,B    of the databases that branches are made in (10MB,1GB,5GB)
  --quick        less of branches: smaller tables and fewer rounds, in a minute or two
  --data DIR     where nycflights13 is (../shared/data/nycflights13); for codec, where the
                 directories dbtext, alp and nycflights13 are (../shared/data)
";

/// Measurements of a cell, unless the benchmark has another default.
const ROUNDS: u32 = 3;

/// What to measure and for how long.
pub struct Options {
    /// What the benchmark's own default is, if absent; so is `rounds`.
    pub scale: Option<f64>,
    pub seconds: u32,
    pub rounds: Option<u32>,
    pub data: Option<String>,
    pub connections: Option<u32>,
    /// The rest is of branches.
    pub only: Option<String>,
    pub sizes: Option<String>,
    pub quick: bool,
}

impl Options {
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(ROUNDS)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("heliosdb-bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), String> {
    if let [first, rest @ ..] = arguments
        && first == branches::CHILD
    {
        return branches::child(rest);
    }
    let mut what = None;
    let mut options = Options {
        scale: None,
        seconds: 10,
        rounds: None,
        data: None,
        connections: None,
        only: None,
        sizes: None,
        quick: false,
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || {
            rest.next()
                .ok_or(format!("{argument} wants a value\n\n{USAGE}"))
        };
        match argument.as_str() {
            "--scale" => options.scale = Some(scale(value()?)?),
            "--seconds" => options.seconds = number(value()?)?,
            "--rounds" => options.rounds = Some(number(value()?)?),
            "--connections" => options.connections = Some(number(value()?)?),
            "--only" => options.only = Some(value()?.clone()),
            "--sizes" => options.sizes = Some(value()?.clone()),
            "--quick" => options.quick = true,
            "--data" => options.data = Some(value()?.clone()),
            name if what.is_none() && !name.starts_with('-') => what = Some(name.to_owned()),
            other => return Err(format!("unknown argument {other}\n\n{USAGE}")),
        }
    }
    match what.as_deref() {
        Some("branches") => branches::run(&options),
        Some("codec") => codec::run(&options),
        Some("dump") => dump::run(&options),
        Some("load") => tpch::load::run(&options),
        Some("oltp") => oltp::run(&options),
        Some("pgbench") => pgbench::run(&options),
        Some("scan") => tpch::run(&options),
        Some("space") => tpch::space::run(&options),
        Some("idle") => idle::run(&options),
        Some("history") => history::run(&options),
        Some("flights") => flights::run(&options),
        Some("jsonschema") => jsonschema::run(&options),
        Some(other) => Err(format!("unknown benchmark {other}\n\n{USAGE}")),
        None => Err(USAGE.to_owned()),
    }
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(n) if n > 0.0 => Ok(n),
        _ => Err(format!("{text} is not a number above 0")),
    }
}

fn number(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("{text} is not a number above 0")),
        Ok(n) => Ok(n),
    }
}
