//! `kill9`: the long form of the test. See the library for what it does.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Kill a server again and again while clients write, and check that it kept what it acknowledged.
#[derive(Parser)]
struct Arguments {
    /// The server to start.
    #[arg(long, default_value = "target/release/heliosdb-lite")]
    binary: PathBuf,
    #[arg(long, default_value_t = 200)]
    cycles: u32,
    #[arg(long, default_value_t = 6)]
    clients: u32,
    /// The moments of the kills follow from it; what the server was doing then does not.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the database goes; kept afterwards. Default: a temporary directory.
    #[arg(long)]
    data: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let temporary = match tempfile::tempdir() {
        Ok(directory) => directory,
        Err(error) => {
            eprintln!("kill9: no temporary directory: {error}");
            return ExitCode::FAILURE;
        }
    };
    let options = heliosdb_kill9::Options {
        binary: arguments.binary,
        directory: arguments
            .data
            .unwrap_or_else(|| temporary.path().join("db")),
        cycles: arguments.cycles,
        clients: arguments.clients,
        seed: arguments.seed,
    };
    match heliosdb_kill9::run(&options) {
        Ok(report) => {
            println!(
                "{} kills, {} more during start-up; {} transactions acknowledged, none lost, none half; {} of those in flight had committed",
                report.kills,
                report.kills_during_start,
                report.acknowledged,
                report.found_unacknowledged
            );
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("kill9: {why} (--seed {})", options.seed);
            ExitCode::FAILURE
        }
    }
}
