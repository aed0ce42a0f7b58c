//! The wire protocol, from a client's side: a driver (`driver`), frames written by hand (`frames`),
//! and the life of a server (`life`).
//!
//! Every test has a server of its own on a port the system chose, over a database in a temporary
//! directory.
// Tests wait for other threads and open sockets; their helpers unwrap.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod activity;
mod cursors;
mod driver;
mod export;
mod frames;
mod hba;
mod hostile;
mod life;
mod metrics;
mod notify;
mod pgbench;
mod raw;
mod sockets;
mod tls;

use std::net::SocketAddr;

use heliosdb_kernel::{AuthMethod, Database, FIRST_NAME, Server, ServerConfig};

const PASSWORD: &str = "correct horse";

/// A served database. Fields go in this order: server, database, directory.
struct Served {
    server: Option<Server>,
    database: Database,
    _directory: tempfile::TempDir,
}

impl Served {
    fn trust() -> Served {
        Served::new(AuthMethod::Trust, 50)
    }

    fn new(auth: AuthMethod, max_connections: usize) -> Served {
        let config = ServerConfig {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            auth,
            max_connections,
            ..ServerConfig::default()
        };
        Served::with(&config)
    }

    fn with(config: &ServerConfig) -> Served {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path()).unwrap();
        if config.asks_for_passwords() {
            database.set_password(FIRST_NAME, PASSWORD).unwrap();
        }
        let server = Some(database.serve(config).unwrap());
        Served {
            server,
            database,
            _directory: directory,
        }
    }

    fn address(&self) -> SocketAddr {
        self.server.as_ref().unwrap().addresses()[0]
    }
}
