//! `helios_dump_diff [--json] [--history] A B`: what differs between two dumps, by object, table, sequence
//! and store; with `--history` also in the versions of rows and entries, which only a moved database keeps.
//!
//! Exit status 0: equal; 1: different; 2: a file is not a whole dump, or the arguments are wrong. Both
//! files are verified from end to end first.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use heliosdb_dump::{Dump, Silent, diff, diff_history, source};

const USAGE: &str = "usage: helios_dump_diff [--json] [--history] A B";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            eprintln!("helios_dump_diff: {message}");
            ExitCode::from(2)
        }
    }
}

/// Whether they are equal.
fn run() -> Result<bool, String> {
    let (mut json, mut history, mut files) = (false, false, Vec::new());
    for argument in std::env::args_os().skip(1) {
        match argument.to_str() {
            Some("--json") => json = true,
            Some("--history") => history = true,
            Some("--help" | "-h") => {
                println!("{USAGE}");
                return Ok(true);
            }
            Some(option) if option.starts_with('-') => {
                return Err(format!("unknown option {option}\n{USAGE}"));
            }
            _ => files.push(argument),
        }
    }
    let [first, second] = files.as_slice() else {
        return Err(USAGE.to_owned());
    };
    let (first, second) = (open(Path::new(first))?, open(Path::new(second))?);
    let mut difference = diff(&first, &second);
    if history {
        difference.history = diff_history(&first, &second);
    }
    let text = match json {
        true => {
            let json = difference.to_json().map_err(|e| e.to_string())?;
            format!("{json}\n")
        }
        false => difference.to_string(),
    };
    // A reader that has seen enough is no trouble.
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e.to_string()),
        _ => Ok(difference.is_equal()),
    }
}

fn open(path: &Path) -> Result<Dump, String> {
    let name = path.display().to_string();
    let file = source::open_file(path).map_err(|e| format!("could not open \"{name}\": {e}"))?;
    Dump::open(file, &name, &Silent).map_err(|e| e.to_string())
}
