//! `crash-migrations`: torture migrations until a number of seeds, or a time, is over.
//!
//! A seed that fails prints the command that runs it alone.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use heliosdb_migration::{Config, Totals, torture};

const USAGE: &str = "\
usage: crash-migrations [--seeds N] [--seconds N] [--seed N]

  --seeds N    stop after N seeds (default: 100, or no limit when --seconds is given)
  --seconds N  stop after N seconds
  --seed N     the first seed; the next ones count up (default 1)";

struct Arguments {
    seeds: Option<u64>,
    seconds: Option<u64>,
    first: u64,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut parsed = Arguments {
        seeds: None,
        seconds: None,
        first: 1,
    };
    while let Some(word) = words.next() {
        let value = words
            .next()
            .ok_or_else(|| format!("{word} needs a value"))?;
        let number = value
            .parse()
            .map_err(|_| format!("{word}: not a number: {value}"))?;
        match word.as_str() {
            "--seeds" => parsed.seeds = Some(number),
            "--seconds" => parsed.seconds = Some(number),
            "--seed" => parsed.first = number,
            _ => return Err(format!("unknown option {word}")),
        }
    }
    Ok(parsed)
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let started = Instant::now();
    let seeds = match (arguments.seeds, arguments.seconds) {
        (Some(seeds), _) => seeds,
        (None, Some(_)) => u64::MAX,
        (None, None) => 100,
    };
    let config = Config {
        nested_one_in: 10,
        faults_one_in: 1,
        ..Config::default()
    };
    let end = arguments.seconds.map(Duration::from_secs);
    let mut totals = Totals::default();
    for seed in arguments.first..arguments.first.saturating_add(seeds) {
        if end.is_some_and(|end| started.elapsed() >= end) {
            break;
        }
        if let Err(why) = torture(seed, &config, &mut totals) {
            println!("{totals}\nfailed: {why}");
            println!(
                "again: cargo run --release -p heliosdb-migration --bin crash-migrations -- \
                 --seeds 1 --seed {seed}"
            );
            return ExitCode::FAILURE;
        }
    }
    println!("{totals}; {:.0} s", started.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}
