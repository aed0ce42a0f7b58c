//! How Full's command line names a database: a directory, a cluster, or a server.
//!
//! The default directory is not Lite's, because neither program opens the other's databases. A cluster has a name; in this version it is one node, whose directory follows from the name.

use std::path::{Path, PathBuf};

use clap::Args;
use heliosdb_command::args;

/// Where a database lives when nobody says otherwise.
pub const DATA_DIRECTORY: &str = "./heliosdb-full-data";
/// Where clusters live.
const CLUSTERS: &str = "./heliosdb-clusters";
const CLUSTER_NAME_BYTES_MAX: usize = 63;

/// The database of a command.
#[derive(Debug, Args)]
#[group(id = "place", multiple = false)]
pub struct Place {
    /// The database's directory. [default: ./heliosdb-full-data]
    #[arg(long, visible_alias = "database", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A cluster of one node, which keeps its data in ./heliosdb-clusters/NAME/node-1.
    #[arg(long, value_name = "NAME", value_parser = cluster_name)]
    pub cluster: Option<String>,
}

/// What was named, if anything.
fn given(data: Option<&Path>, cluster: Option<&str>) -> Option<PathBuf> {
    match cluster {
        Some(name) => Some(Path::new(CLUSTERS).join(name).join("node-1")),
        None => data.map(Path::to_path_buf),
    }
}

impl args::Place for Place {
    fn directory(&self) -> PathBuf {
        let given = given(self.data.as_deref(), self.cluster.as_deref());
        given.unwrap_or_else(|| PathBuf::from(DATA_DIRECTORY))
    }
}

/// A database that must be named.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Target {
    /// Open this database's directory in this process.
    #[arg(long, visible_alias = "database", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Open this cluster's one node in this process.
    #[arg(long, value_name = "NAME", value_parser = cluster_name)]
    pub cluster: Option<String>,
    /// Connect to a server: postgres://user:password@host:port/database. The password may come from
    /// PGPASSWORD.
    #[arg(long, value_name = "URL")]
    pub connection: Option<String>,
}

impl args::Target for Target {
    fn directory(&self) -> Option<PathBuf> {
        given(self.data.as_deref(), self.cluster.as_deref())
    }

    fn connection(&self) -> Option<&str> {
        self.connection.as_deref()
    }
}

/// A cluster's name becomes a directory's, so it is a plain word.
fn cluster_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let first = text
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric());
    if first && text.len() <= CLUSTER_NAME_BYTES_MAX && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "a cluster's name has 1 to {CLUSTER_NAME_BYTES_MAX} of a-z, A-Z, 0-9, - and _, and begins with a letter or a digit"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_stays_below_its_directory() {
        assert_eq!(cluster_name("prod-1"), Ok("prod-1".to_owned()));
        for name in ["", ".", "..", "a/b", "-x", "a b", &"x".repeat(64)] {
            assert!(cluster_name(name).is_err(), "{name}");
        }
    }
}
