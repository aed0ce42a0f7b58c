//! `heliosdb-lite`: see `heliosdb_lite::args` for what it can be told.

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("HELIOS_LOG").unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    heliosdb_lite::run(heliosdb_lite::args::Arguments::parse())
}
