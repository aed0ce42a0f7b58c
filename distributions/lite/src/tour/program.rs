//! Other programs of ours, run as a reader would run them.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::stage::Stage;
use super::step::Trouble;

/// A command line, and how it is shown.
pub struct Program {
    command: Command,
    shown: String,
    heard: bool,
}

pub struct Ran {
    pub success: bool,
    pub took: Duration,
    /// What it wrote to standard output.
    pub output: String,
    /// What it wrote to standard error, unless that went to a terminal and nobody [listened](Program::heard).
    pub complaints: String,
}

impl Program {
    pub fn new(path: &Path) -> Program {
        let name = path.file_name().unwrap_or(path.as_os_str());
        Program {
            command: Command::new(path),
            shown: name.to_string_lossy().into_owned(),
            heard: false,
        }
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Program {
        let argument = argument.as_ref();
        let text = argument.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,".contains(c);
        if !text.is_empty() && text.chars().all(plain) {
            self.shown.push_str(&format!(" {text}"));
        } else {
            self.shown
                .push_str(&format!(" '{}'", text.replace('\'', r"'\''")));
        }
        self.command.arg(argument);
        self
    }

    pub fn args<const N: usize>(self, arguments: [&str; N]) -> Program {
        arguments.into_iter().fold(self, Program::arg)
    }

    /// Give it the password in `file`, which is not shown.
    pub fn password(mut self, file: &Path) -> Result<Program, Trouble> {
        let password = fs::read_to_string(file)
            .map_err(|error| Trouble::failed(format!("{}: {error}", file.display())))?;
        self.command.env("PGPASSWORD", password.trim_end());
        self.shown = format!("PGPASSWORD=$(cat {}) {}", file.display(), self.shown);
        Ok(self)
    }

    /// Keep what it writes to standard error even on a terminal, to be looked at.
    pub fn heard(mut self) -> Program {
        self.heard = true;
        self
    }

    /// Run it; on a terminal its progress is seen.
    pub fn run(mut self) -> Result<Ran, Trouble> {
        let begun = Instant::now();
        let complaints = if io::stderr().is_terminal() && !self.heard {
            Stdio::inherit()
        } else {
            Stdio::piped()
        };
        let ran = self
            .command
            .stdin(Stdio::null())
            .stderr(complaints)
            .output();
        let ran =
            ran.map_err(|error| Trouble::failed(format!("cannot run {}: {error}", self.shown)))?;
        Ok(Ran {
            success: ran.status.success(),
            took: begun.elapsed(),
            output: String::from_utf8_lossy(&ran.stdout).into_owned(),
            complaints: String::from_utf8_lossy(&ran.stderr).into_owned(),
        })
    }

    pub fn shown(&self) -> &str {
        &self.shown
    }
}

/// Show a command line, run it, show what it said.
pub fn show(stage: &Stage, program: Program) -> Result<Ran, Trouble> {
    stage.line(&format!("\n$ {}", program.shown()))?;
    let ran = program.run()?;
    for text in [&ran.complaints, &ran.output] {
        if !text.is_empty() {
            stage.line(text.trim_end())?;
        }
    }
    Ok(ran)
}

/// The same, and it must succeed.
pub fn succeed(stage: &Stage, program: Program) -> Result<Ran, Trouble> {
    let ran = show(stage, program)?;
    if ran.success {
        Ok(ran)
    } else {
        Err(Trouble::failed("the command above was to succeed"))
    }
}

/// This program's file.
pub fn this() -> Result<PathBuf, Trouble> {
    std::env::current_exe()
        .map_err(|error| Trouble::failed(format!("cannot find this program: {error}")))
}

/// A program next to this one, or in PATH.
pub fn find(name: &str) -> Result<Option<PathBuf>, Trouble> {
    let beside = this()?.with_file_name(name);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::env::split_paths(&path).map(|directory| directory.join(name));
    Ok(std::iter::once(beside)
        .chain(candidates)
        .find(|candidate| candidate.is_file()))
}
