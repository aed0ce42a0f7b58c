//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use heliosdb_kernel::AuthMethod;
use heliosdb_kernel::config::parse_auth_method;

use crate::output::Format;

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
    /// Serve a database until SIGTERM or SIGINT.
    Serve(Serve),
    /// Run SQL and leave; exit status 1 if anything failed.
    Sql(Sql),
    /// Write, check and list plugins.
    #[command(subcommand)]
    Plugin(Plugin),
}

#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// Write a new plugin: a crate that builds and passes its tests.
    New(PluginNew),
    /// Check a plugin file by reading and by running it; exit status 1 if a server would refuse it.
    Check(PluginCheck),
    /// Show the plugins of a database, and what the next start of a server does with each.
    List(PluginList),
    /// Bring the state of all plugins to the versions of their code, as a start of a server does.
    Migrate(PluginMigrate),
    /// Remove the state that a plugin's migrations kept for going back.
    Finalize(PluginState),
    /// Go back to a plugin's state before its last migration; what it wrote since is given up.
    Rollback(PluginState),
}

#[derive(Debug, Args)]
pub struct PluginMigrate {
    /// The database's directory.
    #[arg(long, visible_alias = "database", value_name = "DIR", default_value = crate::DATA_DIRECTORY)]
    pub data: PathBuf,
    /// Settings. [default: DIR/heliosdb.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Do all of it, verify it, say what it did, and keep nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct PluginState {
    /// The plugin.
    pub name: String,
    /// The database's directory.
    #[arg(long, visible_alias = "database", value_name = "DIR", default_value = crate::DATA_DIRECTORY)]
    pub data: PathBuf,
    /// Settings. [default: DIR/heliosdb.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct PluginNew {
    /// What the plugin is called: a-z, 0-9 and _, from a letter.
    pub name: String,
    /// What it adds to the database.
    #[arg(long, value_enum)]
    pub kind: PluginKind,
    /// The directory to write it to. [default: ./NAME]
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// The directory plugin-api of a HeliosDB checkout. [default: where this program was built]
    #[arg(long, value_name = "DIR")]
    pub api: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PluginKind {
    /// A function of SQL.
    Function,
    /// A check on written rows, and the clause of CREATE TABLE that asks for it.
    Constraint,
    /// A way of storing columns.
    Codec,
}

#[derive(Debug, Args)]
pub struct PluginCheck {
    /// The plugin file (.so). Code of it runs in this process.
    pub file: PathBuf,
    /// One JSON array instead of lines.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct PluginList {
    /// The database's directory.
    #[arg(long, visible_alias = "database", value_name = "DIR", default_value = crate::DATA_DIRECTORY)]
    pub data: PathBuf,
    /// Settings. [default: DIR/heliosdb.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// The database's directory, made if it does not exist.
    #[arg(long, visible_alias = "database", value_name = "DIR", default_value = crate::DATA_DIRECTORY)]
    pub data: PathBuf,
    /// Address to listen on; port 0 lets the system choose. [default: 127.0.0.1:5433]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Settings. [default: DIR/heliosdb.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How clients prove who they are: scram, or trust (on loopback only). [default: scram]
    #[arg(long, value_parser = parse_auth_method)]
    pub auth: Option<AuthMethod>,
}

#[derive(Debug, Args)]
pub struct Sql {
    #[command(flatten)]
    pub target: Target,
    /// SQL or one backslash command; may be repeated. Without -c and -f, standard input is run.
    #[arg(short = 'c', long = "command", value_name = "SQL")]
    pub commands: Vec<String>,
    /// A file of SQL and backslash commands, run after the -c; - is standard input.
    #[arg(short = 'f', long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Settings, with --data. [default: DIR/heliosdb.toml if it exists]
    #[arg(long, value_name = "FILE", requires = "data")]
    pub config: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
}

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
