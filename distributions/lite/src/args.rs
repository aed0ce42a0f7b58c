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
