//! The server process under test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::Options;

pub struct Server {
    child: Child,
    pub port: u16,
}

/// A process that may not have said yet where it listens.
pub struct Starting {
    child: Child,
}

impl Starting {
    pub fn kill(mut self) -> Result<(), String> {
        kill(&mut self.child)
    }
}

impl Server {
    /// Start the process and go on at once.
    pub fn spawn(options: &Options) -> Result<Starting, String> {
        let child = Command::new(&options.binary)
            .args([
                "serve",
                "--auth",
                "trust",
                "--listen",
                "127.0.0.1:0",
                "--data",
            ])
            .arg(&options.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", options.binary.display()))?;
        Ok(Starting { child })
    }

    /// Start the process and wait until it has recovered and listens.
    pub fn start(options: &Options) -> Result<Server, String> {
        let mut child = Server::spawn(options)?.child;
        let out = child.stdout.take().ok_or("the server has no output")?;
        for line in BufReader::new(out).lines() {
            let line = line.map_err(|e| e.to_string())?;
            let port = line
                .strip_prefix("postgres://helios@127.0.0.1:")
                .and_then(|rest| rest.strip_suffix("/helios"))
                .and_then(|port| port.parse().ok());
            if let Some(port) = port {
                return Ok(Server { child, port });
            }
        }
        let status = child.wait().map_err(|e| e.to_string())?;
        Err(format!("the server did not start: {status}"))
    }

    /// SIGKILL, and wait until the process is gone.
    pub fn kill(mut self) -> Result<(), String> {
        kill(&mut self.child)
    }
}

fn kill(child: &mut Child) -> Result<(), String> {
    child
        .kill()
        .and_then(|()| child.wait())
        .map(drop)
        .map_err(|e| format!("cannot kill: {e}"))
}
