//! What branches and history cost: HeliosDB beside itself, and its history beside MariaDB's.
//!
//! Six parts, each of which may be run alone. The engine runs in this process, every commit durable; that of
//! [`live`] is in a process of its own, which is killed. Nothing counts before it is known to be
//! right: every part holds what it read against what it wrote, and ends with an error where the two differ.

mod create;
mod live;
mod mariadb;
mod merge;
mod past;
mod read;
mod reading;
mod space;

// Only what is named is linked.
use heliosdb_branching as _;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use heliosdb_kernel::{Config, Connection, Database};

use crate::Options;
pub use live::{CHILD, child};

/// The parts, in their order.
const PARTS: [(&str, Part); 6] = [
    ("create", create::run),
    ("merge", merge::run),
    ("read", read::run),
    ("past", past::run),
    ("live", live::run),
    ("space", space::run),
];

type Part = fn(&Plan) -> Result<(), String>;

/// Rounds of a cell, whose median is shown.
const ROUNDS: u32 = 7;
const ROUNDS_QUICK: u32 = 3;
/// Sizes of the databases that branches are made in.
const SIZES: &str = "10MB,1GB,5GB";
const SIZES_QUICK: &str = "10MB,100MB";
const BRANCHES: u32 = 1_000;
const BRANCHES_QUICK: u32 = 100;

/// How much is measured.
struct Plan {
    quick: bool,
    rounds: u32,
    /// How long one sample of what takes microseconds is repeated.
    slice: Duration,
    /// In bytes.
    sizes: Vec<u64>,
    /// That live at a time.
    branches: u32,
}

impl Plan {
    fn new(options: &Options) -> Result<Plan, String> {
        let quick = options.quick;
        let or = |full, little| if quick { little } else { full };
        let sizes = options.sizes.as_deref();
        let sizes = sizes.unwrap_or(if quick { SIZES_QUICK } else { SIZES });
        Ok(Plan {
            quick,
            rounds: options.rounds.unwrap_or(or(ROUNDS, ROUNDS_QUICK)),
            slice: Duration::from_millis(or(150, 50).into()),
            sizes: sizes.split(',').map(size).collect::<Result<_, _>>()?,
            branches: options.connections.unwrap_or(or(BRANCHES, BRANCHES_QUICK)),
        })
    }

    /// The first, or the second of a quick run.
    fn choose<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

pub fn run(options: &Options) -> Result<(), String> {
    let plan = Plan::new(options)?;
    let names: Vec<&str> = match &options.only {
        Some(only) => only.split(',').map(str::trim).collect(),
        None => PARTS.iter().map(|(name, _)| *name).collect(),
    };
    let part = |name: &str| -> Result<Part, String> {
        let known: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        let found = PARTS.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, run)| *run)
            .ok_or_else(|| format!("no part is called {name}; there are: {}", known.join(", ")))
    };
    let parts: Result<Vec<Part>, String> = names.iter().map(|name| part(name)).collect();
    for (name, run) in names.iter().zip(parts?) {
        let start = Instant::now();
        println!("## {name}\n");
        run(&plan).map_err(|error| format!("{name}: {error}"))?;
        println!("\n({name}: {:.0} s)\n", start.elapsed().as_secs_f64());
    }
    Ok(())
}

/// `10MB`, in bytes; the units are powers of 1,000.
fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let wrong = || format!("{text} is not a size such as 10MB or 1GB");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    match digits.trim().parse::<u64>() {
        Ok(number) if number > 0 => number.checked_mul(unit).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn open(directory: &Path, settings: &str) -> Result<Database, String> {
    let config = Config::parse(settings, "branches.toml").map_err(text)?;
    Database::open_with(directory, &config).map_err(text)
}

/// Bytes of the files that tables and indexes are in.
fn segment_bytes(directory: &Path) -> Result<u64, String> {
    let files = fs::read_dir(directory.join("segments")).map_err(text)?;
    let mut bytes = 0;
    for file in files {
        // A file that is merged away may go between its listing and the look at it.
        bytes += file.map_err(text)?.metadata().map_or(0, |file| file.len());
    }
    Ok(bytes)
}

/// A connection whose errors name their statement.
struct Client {
    connection: Connection,
}

impl Client {
    fn new(database: &Database) -> Result<Client, String> {
        let connection = database.connect().map_err(text)?;
        Ok(Client { connection })
    }

    /// One that is on a branch.
    fn on(database: &Database, branch: &str) -> Result<Client, String> {
        let mut client = Client::new(database)?;
        client.run(&format!("USE BRANCH {branch}"))?;
        Ok(client)
    }

    /// Run a statement; the rows that it affected.
    fn run(&mut self, sql: &str) -> Result<u64, String> {
        let ran = self.connection.execute(sql);
        ran.map_err(|error| format!("{sql}: {error}"))
    }

    /// The one number that a query returns.
    fn number(&mut self, sql: &str) -> Result<i64, String> {
        let rows = self.connection.query(sql, &[]);
        rows.and_then(|rows| rows.one()?.get(0))
            .map_err(|error| format!("{sql}: {error}"))
    }

    /// The same, which must be this one.
    fn expect(&mut self, sql: &str, expected: i64) -> Result<(), String> {
        same(sql, self.number(sql)?, expected)
    }

    /// Run a statement that must affect so many rows.
    fn affect(&mut self, sql: &str, expected: u64) -> Result<(), String> {
        same(sql, self.run(sql)?, expected)
    }

    fn scn(&mut self) -> Result<i64, String> {
        self.number("SELECT helios_current_scn()")
    }
}

/// An error where a measurement is of something wrong.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: {found:?} instead of {expected:?}"))
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Seconds of one call, as the mean of those that fit into `slice`.
fn mean(slice: Duration, mut call: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
    let begin = Instant::now();
    let mut calls = 0_u32;
    loop {
        call()?;
        calls += 1;
        let passed = begin.elapsed();
        if passed >= slice {
            return Ok(passed.as_secs_f64() / f64::from(calls));
        }
    }
}

/// The sample that `percent` of them do not exceed; there must be some.
fn percentile(samples: &mut [f64], percent: usize) -> f64 {
    samples.sort_by(f64::total_cmp);
    let at = (samples.len() * percent).div_ceil(100).max(1) - 1;
    samples[at]
}

/// Numbers that look random (xorshift64*, Vigna 2016), the same ones in every run.
struct Random(u64);

impl Random {
    fn new() -> Random {
        Random(0x9E37_79B9_7F4A_7C15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// From 1 to `high`.
    fn up_to(&mut self, high: i64) -> i64 {
        1 + ((self.next() >> 32) % high as u64) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::{percentile, size};

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("10MB"), Ok(10_000_000));
        assert_eq!(size(" 2gb "), Ok(2_000_000_000));
        for wrong in ["", "10", "0MB", "MB", "10XB", "99999999999999GB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_percentile_is_a_sample() {
        let mut samples: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut samples, 99), 198.0);
        assert_eq!(percentile(&mut samples, 50), 100.0);
        assert_eq!(percentile(&mut [7.0], 99), 7.0);
    }
}
