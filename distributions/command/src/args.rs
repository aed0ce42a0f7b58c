//! The command line that the distributions share.
//!
//! How a database is named differs between them (Full knows clusters), so commands are generic over it:
//! [`Place`] has a default, [`Target`] may be a server and has none. A distribution's own subcommands
//! stand in its own crate, beside [`Shared`].

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use heliosdb_kernel::AuthMethod;
use heliosdb_kernel::config::parse_auth_method;

use crate::backup::{Backup, Restore};
use crate::branches::Branch;
use crate::check::Check;
use crate::export::Export;
use crate::output::Format;

/// The database that a command is about, of which there is a default.
pub trait Place: Args {
    fn directory(&self) -> PathBuf;
}

/// A database in a directory or behind a connection; one of the two is always given.
pub trait Target: Args {
    fn directory(&self) -> Option<PathBuf>;
    fn connection(&self) -> Option<&str>;
}

/// The commands that every distribution has.
#[derive(Debug, Subcommand)]
pub enum Shared<P: Place, T: Target> {
    /// Serve a database until SIGTERM or SIGINT.
    Serve(Serve<P>),
    /// Run SQL and leave; exit status 1 if anything failed.
    Sql(Sql<T>),
    /// Write, check and list plugins.
    #[command(subcommand)]
    Plugin(Plugin<P>),
    /// Draw, make and drop branches.
    #[command(subcommand)]
    Branch(Branch<T>),
    /// Read all of a database that is not running, and say what is damaged and where.
    Check(Check<P>),
    /// Copy the files of a database, also of a running one, into a directory that is a database.
    Backup(Backup<P>),
    /// Make a new database of a backup, with the archive of the log as of any time since.
    Restore(Restore),
    /// Write the database into one file, which HeliosDB Full imports.
    Export(Export<P>),
}

#[derive(Debug, Subcommand)]
pub enum Plugin<P: Place> {
    /// Write a new plugin: a crate that builds and passes its tests.
    New(PluginNew),
    /// Check a plugin file by reading and by running it; exit status 1 if a server would refuse it.
    Check(PluginCheck),
    /// Show the plugins of a database, and what the next start of a server does with each.
    List(PluginList<P>),
    /// Bring the state of all plugins to the versions of their code, as a start of a server does.
    Migrate(PluginMigrate<P>),
    /// Remove the state that a plugin's migrations kept for going back.
    Finalize(PluginState<P>),
    /// Go back to a plugin's state before its last migration; what it wrote since is given up.
    Rollback(PluginState<P>),
}

#[derive(Debug, Args)]
pub struct PluginMigrate<P: Place> {
    #[command(flatten)]
    pub place: P,
    /// Settings. [default: DIR/heliosdb.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Do all of it, verify it, say what it did, and keep nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct PluginState<P: Place> {
    /// The plugin.
    pub name: String,
    #[command(flatten)]
    pub place: P,
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
pub struct PluginList<P: Place> {
    #[command(flatten)]
    pub place: P,
    /// Settings. [default: DIR/heliosdb.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct Serve<P: Place> {
    #[command(flatten)]
    pub place: P,
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
pub struct Sql<T: Target> {
    #[command(flatten)]
    pub target: T,
    /// SQL or one backslash command; may be repeated. Without -c and -f, standard input is run.
    #[arg(short = 'c', long = "command", value_name = "SQL")]
    pub commands: Vec<String>,
    /// A file of SQL and backslash commands, run after the -c; - is standard input.
    #[arg(short = 'f', long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Settings, without --connection. [default: DIR/heliosdb.toml if it exists]
    #[arg(long, value_name = "FILE", conflicts_with = "connection")]
    pub config: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
}
