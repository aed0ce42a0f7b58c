//! `torture`: run random histories until a number of them, or a time, is over; print what was done.
//!
//! A history that fails prints the command that runs it alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use heliosdb_sim::CrashModel;
use heliosdb_sim::torture::{Config, Totals, torture};

const USAGE: &str = "\
usage: torture [--histories N] [--seconds N] [--seed N] [--steps N] [--model lost|reordered|torn]

  --histories N  stop after N histories (default: 100, or no limit when --seconds is given)
  --seconds N    stop after N seconds
  --seed N       seed of the first history; the next ones count up (default 1)
  --steps N      steps of a history (default 60)
  --model M      crash in this model only (default: in all three)
  --keep-going   go on after a failure
  --live         only run the histories and compare: no reopening, crash, fault or damage";

struct Arguments {
    histories: Option<u64>,
    seconds: Option<u64>,
    seed: u64,
    keep_going: bool,
    config: Config,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    run(&arguments)
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut parsed = Arguments {
        histories: None,
        seconds: None,
        seed: 1,
        keep_going: false,
        config: Config::default(),
    };
    while let Some(word) = words.next() {
        if word == "--keep-going" {
            parsed.keep_going = true;
            continue;
        }
        if word == "--live" {
            parsed.config.live_only = true;
            continue;
        }
        let value = words
            .next()
            .ok_or_else(|| format!("{word} needs a value"))?;
        let number = || {
            value
                .parse::<u64>()
                .map_err(|_| format!("{word}: not a number: {value}"))
        };
        match word.as_str() {
            "--histories" => parsed.histories = Some(number()?),
            "--seconds" => parsed.seconds = Some(number()?),
            "--seed" => parsed.seed = number()?,
            "--steps" => parsed.config.steps = number()? as usize,
            "--model" => {
                let model = CrashModel::from_name(&value);
                parsed.config.models = vec![model.ok_or_else(|| format!("no model {value}"))?];
            }
            _ => return Err(format!("unknown option {word}")),
        }
    }
    Ok(parsed)
}

fn run(arguments: &Arguments) -> ExitCode {
    let start = Instant::now();
    let limit = match (arguments.histories, arguments.seconds) {
        (Some(histories), _) => histories,
        (None, Some(_)) => u64::MAX,
        (None, None) => 100,
    };
    let deadline = arguments.seconds.map(Duration::from_secs);
    let mut totals = Totals::default();
    let mut failures = 0;
    let mut told = Instant::now();
    for seed in (arguments.seed..).take(limit.try_into().unwrap_or(usize::MAX)) {
        if deadline.is_some_and(|deadline| start.elapsed() >= deadline) {
            break;
        }
        if !one(seed, &arguments.config, &mut totals) {
            failures += 1;
            if !arguments.keep_going {
                break;
            }
        }
        if told.elapsed() >= Duration::from_secs(10) {
            told = Instant::now();
            eprintln!("[{:5.0} s] {totals}", start.elapsed().as_secs_f64());
        }
    }
    println!("{totals}; {:.0} s", start.elapsed().as_secs_f64());
    if failures == 0 {
        return ExitCode::SUCCESS;
    }
    println!("{failures} histories failed");
    ExitCode::FAILURE
}

/// Run one history; on failure say why and how to run it again.
fn one(seed: u64, config: &Config, totals: &mut Totals) -> bool {
    let outcome = catch_unwind(AssertUnwindSafe(|| torture(seed, config, totals)));
    let why = match outcome {
        Ok(Ok(())) => return true,
        Ok(Err(report)) => report.to_string(),
        Err(_) => "a panic, printed above".to_string(),
    };
    let mut again = format!("--histories 1 --seed {seed} --steps {}", config.steps);
    if config.live_only {
        again.push_str(" --live");
    }
    if let [model] = config.models[..] {
        again.push_str(&format!(" --model {}", model.name()));
    }
    println!("history {seed} failed: {why}");
    println!("  again: cargo run --release -p heliosdb-sim --bin torture -- {again}");
    false
}
