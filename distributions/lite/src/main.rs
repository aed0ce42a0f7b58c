//! `heliosdb-lite`: see `heliosdb_lite::Arguments` for what it can be told.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    heliosdb_command::log_to_stderr();
    heliosdb_lite::run(heliosdb_lite::Arguments::parse())
}
