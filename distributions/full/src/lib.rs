//! HeliosDB Full, the distribution that grows out of Lite: the same kernel with its own plugins
//! ([`bundle`]), behind the command line that both share ([`heliosdb_command`]) and commands of its own.

pub mod bundle;
mod import;
mod place;
mod report;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use heliosdb_command::args::Shared;
use heliosdb_command::{Edition, commands};

pub use import::Import;
pub use place::{DATA_DIRECTORY, Place, Target};
pub use verify::VerifyMigration;

/// What this distribution is.
pub const EDITION: Edition = Edition {
    program: "heliosdb-full",
    name: bundle::EDITION,
    title: "HeliosDB Full",
    plugins: bundle::plugins,
    plugin_ids: &bundle::PLUGINS,
};

/// HeliosDB Full: a SQL database that speaks PostgreSQL's protocol and takes over what Lite exports.
/// In this version it is one node.
///
/// Without a command it opens ./heliosdb-full-data, serves on 127.0.0.1:5433, and gives a SQL shell
/// when standard input is a terminal.
#[derive(Debug, Parser)]
#[command(name = "heliosdb-full", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(flatten)]
    Shared(Shared<Place, Target>),
    /// Make a database of what HeliosDB Lite exported.
    Import(Import),
    /// Compare a database with the dump that it was made of.
    VerifyMigration(VerifyMigration),
}

/// Run a command; its exit status.
pub fn run(arguments: Arguments) -> ExitCode {
    let edition = &EDITION;
    let outcome = match arguments.command {
        None => commands::open_and_shell(edition, DATA_DIRECTORY.as_ref()),
        Some(Command::Shared(command)) => commands::run(edition, command),
        Some(Command::Import(arguments)) => import::run(edition, &arguments),
        Some(Command::VerifyMigration(arguments)) => verify::run(edition, &arguments),
    };
    edition.exit(outcome)
}
