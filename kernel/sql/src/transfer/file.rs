//! Files of the server that COPY reads and writes: a superuser's, outside of the database's directory and of its
//! simulator.

// No file of the database: those have one door, `heliosdb_storage::io`.
#![allow(clippy::disallowed_methods)]

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SpillFile, SpillWriter};

use crate::error::{Result, SqlError, SqlState, state};
use crate::plan::error::convert;

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// A file that is copied from.
pub(crate) struct Source {
    file: File,
    piece: Vec<u8>,
}

impl Source {
    pub fn open(name: &str) -> Result<Source> {
        let path = Path::new(name);
        check_absolute(path, "from")?;
        let file = File::open(path).map_err(|e| could_not_open(name, "reading", &e))?;
        check_no_directory(name, &file)?;
        Ok(Source {
            file,
            piece: vec![0; PIECE_BYTES],
        })
    }

    /// The file, from its beginning.
    pub fn into_file(self) -> File {
        self.file
    }

    /// What comes next; nothing at the end.
    pub fn next(&mut self) -> Result<&[u8]> {
        loop {
            match self.file.read(&mut self.piece) {
                Ok(length) => return Ok(&self.piece[..length]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    let message = format!("could not read from COPY file: {}", said(&e));
                    return Err(SqlError::new(code_of(&e), message));
                }
            }
        }
    }
}

/// What a client sends, put aside in a file for formats that are read from their end. It is gone when it is
/// dropped.
pub(crate) struct Spool {
    file: Arc<dyn SpillFile>,
    writer: Box<dyn SpillWriter>,
}

impl Spool {
    pub fn create(environment: &RuntimeEnv) -> Result<Spool> {
        let disk = &environment.disk_manager;
        let file = disk.create_tmp_file("COPY FROM STDIN").map_err(convert)?;
        let writer = file.open_writer().map_err(convert)?;
        Ok(Spool { file, writer })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(|e| put_aside(&e))
    }

    /// All that was written, to be read.
    pub fn file(&mut self) -> Result<File> {
        self.writer.finish().map_err(convert)?;
        let path = self.file.path();
        let path = path.ok_or_else(|| SqlError::internal("a file of the spool has no path"))?;
        File::open(path).map_err(|e| put_aside(&e))
    }
}

fn put_aside(error: &io::Error) -> SqlError {
    let message = format!("could not put COPY data aside: {}", said(error));
    SqlError::new(code_of(error), message)
}

/// A file that is copied to, new or emptied.
pub(crate) struct Target {
    file: File,
}

impl Target {
    pub fn create(name: &str) -> Result<Target> {
        let path = Path::new(name);
        check_absolute(path, "to")?;
        let file = File::create(path).map_err(|e| could_not_open(name, "writing", &e))?;
        Ok(Target { file })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| {
            let message = format!("could not write to COPY file: {}", said(&e));
            SqlError::new(code_of(&e), message)
        })
    }
}

fn check_absolute(path: &Path, way: &str) -> Result<()> {
    if path.is_absolute() {
        return Ok(());
    }
    let message = format!("relative path not allowed for COPY {way} file");
    Err(SqlError::new(state::INVALID_NAME, message))
}

fn check_no_directory(name: &str, file: &File) -> Result<()> {
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(is_a_directory(name)),
        _ => Ok(()),
    }
}

fn is_a_directory(name: &str) -> SqlError {
    SqlError::new(
        state::WRONG_OBJECT_TYPE,
        format!("\"{name}\" is a directory"),
    )
}

fn could_not_open(name: &str, what: &str, error: &io::Error) -> SqlError {
    let message = format!("could not open file \"{name}\" for {what}: {}", said(error));
    let opened = SqlError::new(code_of(error), message);
    if !matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::PermissionDenied
    ) {
        return opened;
    }
    let (way, does) = match what {
        "reading" => ("FROM", "read"),
        _ => ("TO", "write"),
    };
    opened.with_hint(format!(
        "COPY {way} instructs the PostgreSQL server process to {does} a file. You may want a client-side facility such as psql's \\copy."
    ))
}

/// The system's words, without the number.
fn said(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// PostgreSQL's SQLSTATE for an error of the file system.
fn code_of(error: &io::Error) -> SqlState {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            state::INSUFFICIENT_PRIVILEGE
        }
        ErrorKind::NotFound => state::UNDEFINED_FILE,
        ErrorKind::AlreadyExists => state::DUPLICATE_FILE,
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::DirectoryNotEmpty => {
            state::WRONG_OBJECT_TYPE
        }
        ErrorKind::StorageFull => state::DISK_FULL,
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => state::INSUFFICIENT_RESOURCES,
        _ => state::IO_ERROR,
    }
}
