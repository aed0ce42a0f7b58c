//! `cargo xtask clients`: the server asked by the drivers and frameworks that people use.
//!
//! Every client has a directory in `testing/clients`. It is set up from its registry below `target/clients`, gets
//! a server of its own with an empty database, and its programme tells of each case on a line (see
//! [`report`]). What is known to fail stands in the client's `expected.txt` with the reason; a failure that is
//! not there, and one there that no longer fails, both make the command fail.
//!
//! A client that this machine cannot have is skipped, and the reason is told. This knows nothing of what the
//! programmes ask.

mod document;
mod report;
mod server;
mod setup;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use report::{Expected, Report};
pub use server::{Server, binary};
use setup::Setup;

/// A programme that takes longer hangs.
const CLIENT_SECONDS_MAX: u64 = 45 * 60;

pub struct Client {
    pub name: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    setup: Setup,
}

pub const CLIENTS: &[Client] = &[
    Client {
        name: "psql",
        title: "psql",
        setup: Setup::Installed {
            programs: &["psql", "bash"],
            command: &["bash", "cases.sh"],
        },
    },
    Client {
        name: "psycopg",
        title: "psycopg 3",
        setup: Setup::Python(&["cases.py"]),
    },
    Client {
        name: "asyncpg",
        title: "asyncpg",
        setup: Setup::Python(&["cases.py"]),
    },
    Client {
        name: "sqlalchemy",
        title: "SQLAlchemy, its dialect compliance suite",
        setup: Setup::Python(&["run.py"]),
    },
    Client {
        name: "django",
        title: "Django",
        setup: Setup::Python(&["run.py"]),
    },
    Client {
        name: "node-postgres",
        title: "node-postgres (pg, pg-cursor, pg-query-stream)",
        setup: Setup::Node(&["cases.js"]),
    },
    Client {
        name: "pgjdbc",
        title: "pgjdbc",
        setup: Setup::Java("Cases.java"),
    },
    Client {
        name: "rust",
        title: "tokio-postgres and sqlx",
        setup: Setup::Cargo,
    },
];

/// What the command line says.
struct Options {
    only: Vec<String>,
    binary: Option<PathBuf>,
    write_docs: bool,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            only: Vec::new(),
            binary: None,
            write_docs: false,
        };
        let mut arguments = arguments.iter();
        while let Some(&argument) = arguments.next() {
            let mut value = || {
                let value = arguments.next().copied();
                value.ok_or_else(|| format!("{argument} wants a value"))
            };
            match argument {
                "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
                "--binary" => options.binary = Some(value()?.into()),
                "--write-docs" => options.write_docs = true,
                _ => return Err(format!("not an option of clients: {argument}")),
            }
        }
        for name in &options.only {
            if !CLIENTS.iter().any(|client| client.name == name) {
                let known: Vec<&str> = CLIENTS.iter().map(|client| client.name).collect();
                let known = known.join(", ");
                return Err(format!("no client {name}; there are {known}"));
            }
        }
        Ok(options)
    }
}

pub fn run(root: &Path, arguments: &[&str]) -> ExitCode {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let target = crate::ci::target_dir(root);
    let binary = match server::binary(root, &target, options.binary.as_deref()) {
        Ok(binary) => binary,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut is_well = true;
    let mut told = String::new();
    for client in CLIENTS {
        let wanted = options.only.is_empty() || options.only.iter().any(|o| o == client.name);
        if !wanted {
            continue;
        }
        println!("\n=== {} ===", client.name);
        let place = Place::new(root, &target, client.name);
        let report = match ask(client, &place, &binary) {
            Ok(report) => report,
            Err(error) => Report::broken(&error),
        };
        if let Err(error) = place.keep(&report) {
            eprintln!("cannot keep the report of {}: {error}", client.name);
        }
        let expected = match Expected::read(&place.sources.join("expected.txt")) {
            Ok(expected) => expected,
            Err(error) => {
                told.push_str(&format!("{}: {error}\n", client.name));
                is_well = false;
                continue;
            }
        };
        let verdict = report.against(&expected);
        is_well &= verdict.is_well();
        told.push_str(&verdict.summary(client.name, &report));
    }
    println!("\n=== summary ===\n{told}");
    if options.write_docs {
        let written = document::write(root, &target);
        if let Err(error) = written {
            eprintln!("{error}");
            is_well = false;
        }
    }
    match is_well {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Where a client's things are.
pub struct Place {
    /// `testing/clients/NAME`, in the repository.
    pub sources: PathBuf,
    /// `target/clients/NAME`: what was installed, the database, the log, the report.
    pub work: PathBuf,
}

impl Place {
    fn new(root: &Path, target: &Path, name: &str) -> Self {
        Self {
            sources: root.join("testing/clients").join(name),
            work: target.join("clients").join(name),
        }
    }

    fn report(&self) -> PathBuf {
        self.work.join("report.txt")
    }

    fn keep(&self, report: &Report) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.work)?;
        std::fs::write(self.report(), report.text())
    }
}

/// Sets the client up, and runs it against a server of its own.
fn ask(client: &Client, place: &Place, binary: &Path) -> Result<Report, String> {
    std::fs::create_dir_all(&place.work).map_err(|e| format!("{}: {e}", place.work.display()))?;
    let mut command = match client.setup.prepare(place)? {
        Ok(command) => command,
        Err(missing) => {
            println!("skipped: {missing}");
            return Ok(Report::skipped(&missing));
        }
    };
    let server = Server::start(binary, &place.work.join("server"))?;
    server.tell(&mut command);
    let limit = Duration::from_secs(CLIENT_SECONDS_MAX);
    let mut report = report::listen(&mut command, &place.work.join("client.log"), limit)?;
    report.troubles.extend(server.end());
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_name_clients_that_there_are() {
        let options = Options::parse(&["--only", "psql,django", "--write-docs"]).unwrap();
        assert_eq!(options.only, ["psql", "django"]);
        assert!(options.write_docs && options.binary.is_none());
        assert!(Options::parse(&["--only", "oracle"]).is_err());
        assert!(Options::parse(&["--binary"]).is_err());
        assert!(Options::parse(&["--fast"]).is_err());
    }

    #[test]
    fn every_client_has_its_directory() {
        for client in CLIENTS {
            let place = Place::new(&crate::root(), Path::new("target"), client.name);
            assert!(place.sources.is_dir(), "{}", client.name);
            Expected::read(&place.sources.join("expected.txt")).unwrap();
        }
    }
}
