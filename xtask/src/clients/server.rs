//! A server for one client: its own directory, its own port, its end seen to.
//!
//! It listens on loopback and trusts, as what the clients prove is not how they log in. What it says goes to a
//! file; a panic in there is trouble, whatever the client made of it.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to start, and to end.
const START_SECONDS_MAX: u64 = 60;
const END_SECONDS_MAX: u64 = 60;

const USER: &str = "helios";
const DATABASE: &str = "helios";

pub struct Server {
    child: Child,
    pub port: u16,
    log: PathBuf,
}

/// The program to start: what the command line names, or the one built from this tree.
pub fn binary(root: &Path, target: &Path, named: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(named) = named {
        let found = std::fs::canonicalize(named);
        return found.map_err(|e| format!("{}: {e}", named.display()));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // The whole workspace's features, which is what is built already for the tests.
    let arguments = ["build", "--workspace", "--bin", "heliosdb-lite"];
    let built = Command::new(cargo)
        .args(arguments)
        .current_dir(root)
        .status();
    match built {
        Ok(status) if status.success() => Ok(target.join("debug/heliosdb-lite")),
        Ok(status) => Err(format!("building heliosdb-lite: {status}")),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}

impl Server {
    /// Starts it over an empty directory and waits until it says where it listens.
    pub fn start(binary: &Path, directory: &Path) -> Result<Self, String> {
        if directory.exists() {
            let removed = std::fs::remove_dir_all(directory);
            removed.map_err(|e| format!("{}: {e}", directory.display()))?;
        }
        Self::again(binary, directory)
    }

    /// Starts it over what is there.
    pub fn again(binary: &Path, directory: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", binary.display());
        std::fs::create_dir_all(directory).map_err(failed)?;
        let log = directory.join("server.log");
        let errors = std::fs::File::create(&log).map_err(failed)?;
        let mut child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--auth", "trust"])
            .arg("--data")
            .arg(directory.join("data"))
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(failed)?;
        let port = child.stdout.take().and_then(listening);
        let Some(port) = port else {
            let _ = child.kill();
            let _ = child.wait();
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("the server did not start: {said}"));
        };
        let server = Self { child, port, log };
        let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                return Err("the server says where it listens, and does not".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Where it writes what it has to say.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The environment by which clients find it.
    pub fn tell(&self, command: &mut Command) {
        let port = self.port.to_string();
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", &port)
            .env("PGUSER", USER)
            .env("PGDATABASE", DATABASE)
            .env("PGSSLMODE", "disable")
            .env(
                "DATABASE_URL",
                format!("postgres://{USER}@127.0.0.1:{port}/{DATABASE}?sslmode=disable"),
            );
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end, and tells what was wrong with it since it started.
    pub fn end(mut self) -> Vec<String> {
        let mut troubles = Vec::new();
        match self.child.try_wait() {
            Ok(None) => {
                if !self.ended_in_peace() {
                    troubles.push(format!(
                        "the server did not end within {END_SECONDS_MAX} s of SIGTERM"
                    ));
                }
            }
            Ok(Some(status)) => troubles.push(format!("the server had ended by itself: {status}")),
            Err(error) => troubles.push(format!("the server cannot be waited for: {error}")),
        }
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let panics = log.lines().filter(|line| line.contains("panicked at"));
        troubles.extend(panics.map(|line| format!("the server's log: {line}")));
        troubles
    }

    fn ended_in_peace(&mut self) -> bool {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let deadline = Instant::now() + Duration::from_secs(END_SECONDS_MAX);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.is_running() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The port that it prints with its URL; what it prints later is read away.
fn listening(stdout: std::process::ChildStdout) -> Option<u16> {
    let mut lines = BufReader::new(stdout).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("@127.0.0.1:")?;
        rest.split('/').next()?.parse().ok()
    });
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    port
}
