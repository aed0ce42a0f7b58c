//! `golden`: make the golden files of the newest version in a directory that does not exist.

#![allow(
    clippy::disallowed_methods,
    reason = "it writes into the repository, not into a database"
)]

use std::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use heliosdb_sim::golden;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(directory), None) = (arguments.next(), arguments.next()) else {
        eprintln!(
            "usage: golden DIRECTORY, such as testing/sim/golden/v{}",
            golden::VERSION
        );
        return ExitCode::from(2);
    };
    match make(Path::new(&directory)) {
        Ok(bytes) => {
            println!("{bytes} bytes in {}", Path::new(&directory).display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("golden: {error}");
            ExitCode::FAILURE
        }
    }
}

fn make(directory: &Path) -> Result<usize, Box<dyn Error>> {
    if let Err(e) = fs::create_dir(directory) {
        return Err(match e.kind() {
            ErrorKind::AlreadyExists => format!(
                "{} exists: golden files are never overwritten",
                directory.display()
            )
            .into(),
            _ => format!("{}: {e}", directory.display()).into(),
        });
    }
    let mut bytes = 0;
    for (name, content) in golden::make()? {
        let path = directory.join(&name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let content = golden::kept(&name, &content);
        bytes += content.len();
        fs::write(path, content)?;
    }
    Ok(bytes)
}
