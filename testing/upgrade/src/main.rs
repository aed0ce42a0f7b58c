//! Moves generated databases from Lite to Full, as many as one likes. See the library for what is
//! compared.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use heliosdb_upgrade::journey::Totals;
use heliosdb_upgrade::{Result, damage, run, text};

/// Generate databases, move each from Lite to Full, and compare value by value.
#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 2000)]
    databases: u64,
    /// The first seed; the next ones count up.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Instead: change every byte of a copy of this dump, one after the other, and see that no import
    /// of it begins. The work grows with the square of its size.
    #[arg(long, value_name = "DUMP")]
    damage: Option<PathBuf>,
}

/// Databases between two lines of progress.
const SHOWN_EVERY: u64 = 50;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(dump) = &arguments.damage {
        return match damage(dump) {
            Ok(refused) => {
                println!("{refused} changed bytes, and every import refused");
                ExitCode::SUCCESS
            }
            Err(why) => {
                println!("failed: {why}");
                ExitCode::FAILURE
            }
        };
    }
    let started = Instant::now();
    let mut totals = Totals::default();
    let last = arguments.seed.saturating_add(arguments.databases);
    for seed in arguments.seed..last {
        match run(seed) {
            Ok(one) => totals += one,
            Err(why) => {
                println!("{totals}\nseed {seed} failed: {why}");
                println!(
                    "again: cargo run --release -p heliosdb-upgrade -- --databases 1 --seed {seed}"
                );
                return ExitCode::FAILURE;
            }
        }
        if totals.databases.is_multiple_of(SHOWN_EVERY) {
            println!("{totals}; {:.0} s", started.elapsed().as_secs_f64());
        }
    }
    println!("{totals}; {:.0} s", started.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}

fn damage(dump: &Path) -> Result<u64> {
    let directory = tempfile::tempdir().map_err(text)?;
    let copy = directory.path().join("copy.dump");
    std::fs::copy(dump, &copy).map_err(text)?;
    damage::every_byte(&copy, &directory.path().join("target"))
}
