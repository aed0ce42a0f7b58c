//! DuckDB, in a process of its own that runs what it is told.
//!
//! It comes from PyPI into a virtual environment beside the built programs, once.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;

use crate::peer::checked;

/// The release that is measured.
pub const VERSION: &str = "2.0.0";

const DRIVER: &str = include_str!("../peers/duckdb.py");

/// A running DuckDB with a database file.
pub struct DuckDb {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What one request led to.
#[derive(Debug, Deserialize)]
pub struct Answer {
    pub seconds: f64,
    /// Of the last statement with rows; NULL is `None`.
    pub rows: Vec<Vec<Option<String>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Error { error: String },
    Answer(Answer),
}

impl DuckDb {
    /// Open `file` with `threads` threads; a file that does not exist becomes a new database.
    pub fn open(file: &Path, threads: u32) -> Result<DuckDb, String> {
        let python = environment()?;
        let mut child = Command::new(python)
            .args(["-c", DRIVER])
            .arg(file)
            .arg(threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start DuckDB: {e}"))?;
        let requests = child.stdin.take().ok_or("DuckDB has no input")?;
        let answers = child.stdout.take().ok_or("DuckDB has no output")?;
        Ok(DuckDb {
            child,
            requests,
            answers: BufReader::new(answers),
        })
    }

    /// Run statements, one after another.
    pub fn run(&mut self, sql: &str) -> Result<Answer, String> {
        let request = serde_json::json!({ "sql": sql });
        writeln!(self.requests, "{request}").map_err(|e| format!("DuckDB: {e}"))?;
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .map_err(|e| format!("DuckDB: {e}"))?;
        match serde_json::from_str(&line) {
            Ok(Line::Answer(answer)) => Ok(answer),
            Ok(Line::Error { error }) => Err(format!("DuckDB: {error}\n{sql}")),
            Err(e) => Err(format!("DuckDB answered {line:?}: {e}")),
        }
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Close the database.
    pub fn close(self) -> Result<(), String> {
        let DuckDb {
            mut child,
            requests,
            ..
        } = self;
        drop(requests);
        match child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("DuckDB ended with {status}")),
            Err(e) => Err(format!("DuckDB: {e}")),
        }
    }
}

/// The Python of an environment that has DuckDB.
fn environment() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
    let place = program.with_file_name(format!("peer-duckdb-{VERSION}"));
    let python = place.join("bin").join("python");
    let whole = place.join("whole");
    if !whole.exists() {
        eprintln!("installing DuckDB {VERSION} into {}", place.display());
        checked(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
        let package = format!("duckdb=={VERSION}");
        checked(Command::new(&python).args(["-m", "pip", "install", "--quiet", &package]))?;
        fs::write(&whole, "").map_err(|e| format!("{}: {e}", whole.display()))?;
    }
    Ok(python)
}
