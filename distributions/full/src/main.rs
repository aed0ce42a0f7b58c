//! `heliosdb-full`: see `heliosdb_full::Arguments` for what it can be told.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    heliosdb_command::log_to_stderr();
    heliosdb_full::run(heliosdb_full::Arguments::parse())
}
