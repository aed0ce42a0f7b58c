//! HeliosDB Lite, the one-node distribution: the kernel and Lite's plugins ([`bundle`]) behind the
//! command line that it shares with Full ([`heliosdb_command`]).

pub mod bundle;
pub mod tour;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use heliosdb_command::args::{self, Place, Shared};
use heliosdb_command::{Edition, Failed, commands};

/// What this distribution is.
pub const EDITION: Edition = Edition {
    program: "heliosdb-lite",
    name: "lite",
    title: "HeliosDB Lite",
    plugins: bundle::plugins,
    plugin_ids: &bundle::PLUGINS,
};

/// Where a database lives when nobody says otherwise.
pub const DATA_DIRECTORY: &str = "./heliosdb-data";

/// HeliosDB Lite: an embedded, one-node SQL database that speaks PostgreSQL's protocol.
///
/// Without a command it opens ./heliosdb-data, serves on 127.0.0.1:5433, and gives a SQL shell when
/// standard input is a terminal.
#[derive(Debug, Parser)]
#[command(name = "heliosdb-lite", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(flatten)]
    Shared(Shared<Directory, Target>),
    /// Show what there is, on generated data, in about a minute.
    Tour(tour::Tour),
    #[command(hide = true, disable_help_flag = true)]
    Import(OfFull),
    #[command(hide = true, disable_help_flag = true)]
    VerifyMigration(OfFull),
}

/// The arguments of a command that only Full has.
#[derive(Debug, Args)]
pub struct OfFull {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// The database of a command.
#[derive(Debug, Args)]
#[group(id = "place")]
pub struct Directory {
    /// The database's directory.
    #[arg(long, visible_alias = "database", value_name = "DIR", default_value = DATA_DIRECTORY)]
    pub data: PathBuf,
}

impl Place for Directory {
    fn directory(&self) -> PathBuf {
        self.data.clone()
    }
}

/// A database that must be named.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Target {
    /// Open this database's directory in this process.
    #[arg(long, visible_alias = "database", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Connect to a server: postgres://user:password@host:port/database. The password may come from
    /// PGPASSWORD.
    #[arg(long, value_name = "URL")]
    pub connection: Option<String>,
}

impl args::Target for Target {
    fn directory(&self) -> Option<PathBuf> {
        self.data.clone()
    }

    fn connection(&self) -> Option<&str> {
        self.connection.as_deref()
    }
}

/// Run a command; its exit status.
pub fn run(arguments: Arguments) -> ExitCode {
    let edition = &EDITION;
    let outcome = match arguments.command {
        None => commands::open_and_shell(edition, DATA_DIRECTORY.as_ref()),
        Some(Command::Shared(command)) => commands::run(edition, command),
        Some(Command::Tour(tour)) => tour::run(&tour),
        Some(Command::Import(_)) => Err(only_full("import")),
        Some(Command::VerifyMigration(_)) => Err(only_full("verify-migration")),
    };
    edition.exit(outcome)
}

/// Status 2, as for any command that there is not.
fn only_full(command: &str) -> Failed {
    let message = format!(
        "{command} is a command of HeliosDB Full: heliosdb-full {command} takes the same arguments"
    );
    Failed::Status(2, message)
}
