//! `torture`: run random histories until a number of them, or a time, is over; print what was done.
//!
//! Histories run beside each other, each on its own disk and alone on its thread, so a seed is one history
//! whatever runs beside it.
//!
//! A history that fails prints the command that runs it alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use heliosdb_sim::CrashModel;
use heliosdb_sim::torture::{Config, Totals, torture};

const USAGE: &str = "\
usage: torture [--histories N] [--seconds N] [--seed N] [--steps N] [--model lost|reordered|torn]

  --histories N  stop after N histories (default: 100, or no limit when --seconds is given)
  --seconds N    begin no history after N seconds; those begun run to their end
  --seed N       seed of the first history; the next ones count up (default 1)
  --steps N      steps of a history (default 60)
  --threads N    histories at a time (default: as many as there are processors)
  --model M      crash in this model only (default: in all three)
  --keep-going   go on after a failure
  --live         only run the histories and compare: no reopening, crash, fault or damage";

struct Arguments {
    histories: Option<u64>,
    seconds: Option<u64>,
    seed: u64,
    threads: usize,
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
        threads: std::thread::available_parallelism().map_or(1, usize::from),
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
            "--threads" => parsed.threads = number()?.max(1) as usize,
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
    let end = arguments.seed.saturating_add(limit);
    let deadline = arguments.seconds.map(Duration::from_secs);
    let next = AtomicU64::new(arguments.seed);
    let done = Mutex::new(Done {
        totals: Totals::default(),
        failures: 0,
        told: start,
    });
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || deadline.is_some_and(|deadline| start.elapsed() >= deadline) {
                return;
            }
            let mut totals = Totals::default();
            let held = one(seed, &arguments.config, &mut totals);
            let mut done = done.lock().unwrap_or_else(|e| e.into_inner());
            done.totals += totals;
            if !held {
                done.failures += 1;
            }
            if done.failures > 0 && !arguments.keep_going {
                return;
            }
            if done.told.elapsed() >= Duration::from_secs(10) {
                done.told = Instant::now();
                let seconds = start.elapsed().as_secs_f64();
                eprintln!("[{seconds:5.0} s] {}", done.totals);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(work);
        }
    });
    let done = done.into_inner().unwrap_or_else(|e| e.into_inner());
    println!("{}; {:.0} s", done.totals, start.elapsed().as_secs_f64());
    if done.failures == 0 {
        return ExitCode::SUCCESS;
    }
    println!("{} histories failed", done.failures);
    ExitCode::FAILURE
}

/// What all threads have done.
struct Done {
    totals: Totals,
    failures: u64,
    /// When somebody was last told.
    told: Instant,
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
