//! The built `heliosdb-lite`, from outside: start-up errors (`startup`), the `sql` command (`sql`),
//! plugins from writing one to switching it off (`plugin`), living with one (`operator`), a directory of
//! Full's (`edition`), `check`, `backup`, and other people's clients (`psql`, `psycopg`, `flights`), which skip with
//! a printed reason when the client or the data is not there.

// Helpers outside #[test] functions unwrap too.
#![allow(clippy::unwrap_used)]

mod backup;
mod branch;
mod check;
mod edition;
mod flights;
mod operator;
mod plugin;
mod psql;
mod psycopg;
mod sql;
mod startup;
mod tour;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_heliosdb-lite");

fn lite(arguments: &[&str]) -> Output {
    lite_with_input(arguments, "")
}

fn lite_with_input(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(BINARY)
        .args(arguments)
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that fails at once does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Run `sql --data DIR`; standard output of a run that must succeed.
fn sql(directory: &Path, arguments: &[&str]) -> String {
    let mut all = vec!["sql", "--data", directory.to_str().unwrap()];
    all.extend(arguments);
    let output = lite(&all);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// A server in a process of its own; ends with the test.
struct Running {
    child: Child,
    pub port: u16,
    pub announced: Vec<String>,
}

impl Running {
    fn start(directory: &Path, auth: &str) -> Running {
        let mut child = Command::new(BINARY)
            .args(["serve", "--listen", "127.0.0.1:0", "--auth", auth, "--data"])
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut announced = Vec::new();
        let port = loop {
            let line = lines
                .next()
                .expect("the server said where it listens")
                .unwrap();
            let port = line
                .strip_prefix("postgres://helios@127.0.0.1:")
                .and_then(|rest| rest.strip_suffix("/helios"))
                .map(|port| port.parse().unwrap());
            announced.push(line);
            if let Some(port) = port {
                break port;
            }
        };
        if auth == "scram" {
            announced.push(lines.next().unwrap().unwrap());
        }
        Running {
            child,
            port,
            announced,
        }
    }

    /// SIGTERM, and the exit status.
    fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// True if a program can be run; otherwise the reason to skip is printed.
fn have(program: &str, argument: &str) -> bool {
    let found = Command::new(program)
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        println!("skipped: {program} {argument} does not run here");
    }
    found
}
