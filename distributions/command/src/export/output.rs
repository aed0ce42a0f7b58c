//! Where a dump goes: a file, or standard output.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::path::{Path, PathBuf};

use crate::partial::PartialFile;

pub enum Output {
    File(PartialFile),
    Standard(BufWriter<Stdout>),
}

/// Where it went.
pub enum Written {
    File { path: PathBuf, bytes: u64 },
    Standard,
}

impl Output {
    /// `-` is standard output. `replace` allows that the file exists.
    ///
    /// # Errors
    ///
    /// One line: the file exists or cannot be written, or standard output is a terminal.
    pub fn open(target: &Path, replace: bool) -> Result<Output, String> {
        if target != Path::new("-") {
            return PartialFile::create(target, replace).map(Output::File);
        }
        let out = io::stdout();
        if out.is_terminal() {
            return Err("a dump is not for a terminal; name a file".to_owned());
        }
        Ok(Output::Standard(BufWriter::new(out)))
    }

    /// What was written so far, to read, and what to call it; `None` if it is gone.
    ///
    /// # Errors
    ///
    /// One line that names the file.
    pub fn reopen(&mut self) -> Result<Option<(File, String)>, String> {
        match self {
            Output::File(file) => {
                let name = file.target().display().to_string();
                Ok(Some((file.reopen()?, name)))
            }
            Output::Standard(_) => Ok(None),
        }
    }

    /// The dump is whole.
    ///
    /// # Errors
    ///
    /// One line that names the file.
    pub fn finish(self) -> Result<Written, String> {
        match self {
            Output::File(file) => {
                let path = file.target().to_path_buf();
                let bytes = file.finish()?;
                Ok(Written::File { path, bytes })
            }
            Output::Standard(mut out) => {
                let flushed = out.flush();
                flushed.map_err(|error| format!("cannot write to standard output: {error}"))?;
                Ok(Written::Standard)
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::File(file) => file.write(bytes),
            Output::Standard(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::File(file) => file.flush(),
            Output::Standard(out) => out.flush(),
        }
    }
}
