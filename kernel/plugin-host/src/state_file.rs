//! Small text files in the data directory, read whole and replaced whole.
//!
//! A reader finds the old text or the new one, never a part: the new text is synced under another
//! name, then renamed, then the directory is synced.

use std::fmt;
use std::io;
use std::sync::Arc;

use heliosdb_storage::io::{Io, OpenMode};

/// More than any of these files can need; a larger one is not ours.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Why such a file cannot be used: its name and one line.
#[derive(Debug)]
pub struct StateFileError {
    pub file: &'static str,
    pub why: String,
}

impl StateFileError {
    pub(crate) fn new(file: &'static str, why: impl fmt::Display) -> StateFileError {
        let why = why.to_string();
        StateFileError { file, why }
    }

    /// What the TOML reader said, with the line.
    pub(crate) fn damaged(
        file: &'static str,
        text: &str,
        error: &toml::de::Error,
    ) -> StateFileError {
        let line = error.span().map_or(1, |span| line_at(text, span.start));
        let message: Vec<&str> = error.message().lines().collect();
        StateFileError::new(file, format!("line {line}: {}", message.join(" ")))
    }
}

impl fmt::Display for StateFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in the data directory: {}", self.file, self.why)
    }
}

impl std::error::Error for StateFileError {}

/// The line, from 1, that the byte at `offset` is on.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    1 + before.iter().filter(|b| **b == b'\n').count()
}

/// The text of `name`; `None` when there is no such file.
pub fn read(io: &Arc<dyn Io>, name: &'static str) -> Result<Option<String>, StateFileError> {
    let failed = |error: io::Error| StateFileError::new(name, error);
    let file = match io.open(name, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let len = file.len().map_err(failed)?;
    if len > FILE_BYTES_MAX {
        return Err(StateFileError::new(
            name,
            format!("it has {len} bytes, which is no file of this server"),
        ));
    }
    let mut bytes = vec![0; usize::try_from(len).expect("FILE_BYTES_MAX fits in memory")];
    let got = file.read_at(&mut bytes, 0).map_err(failed)?;
    bytes.truncate(got);
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| StateFileError::new(name, "it is not UTF-8 text"))
}

/// Make `text` all there is in `name`, durably.
pub fn replace(io: &Arc<dyn Io>, name: &'static str, text: &str) -> Result<(), StateFileError> {
    let failed = |error: io::Error| StateFileError::new(name, error);
    let new = format!("{name}.new");
    remove_if_there(io, &new).map_err(failed)?;
    let file = io.open(&new, OpenMode::CreateNew).map_err(failed)?;
    file.write_at(text.as_bytes(), 0).map_err(failed)?;
    file.sync_data().map_err(failed)?;
    io.rename(&new, name).map_err(failed)?;
    io.sync_dir("").map_err(failed)
}

/// Make sure that there is no file `name`, durably.
pub fn remove(io: &Arc<dyn Io>, name: &'static str) -> Result<(), StateFileError> {
    remove_if_there(io, name)
        .and_then(|()| io.sync_dir(""))
        .map_err(|error| StateFileError::new(name, error))
}

fn remove_if_there(io: &Arc<dyn Io>, name: &str) -> io::Result<()> {
    match io.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heliosdb_storage::io::disk::Disk;

    #[test]
    fn a_file_is_replaced_whole_and_a_leftover_is_no_hindrance() {
        let directory = tempfile::tempdir().unwrap();
        let io: Arc<dyn Io> = Arc::new(Disk::open(directory.path()).unwrap());
        assert_eq!(read(&io, "f").unwrap(), None);
        replace(&io, "f", "a long first text").unwrap();
        // A crash between the write and the rename leaves this behind.
        let left = io.open("f.new", OpenMode::CreateNew).unwrap();
        left.write_at(b"half of someth", 0).unwrap();
        replace(&io, "f", "second").unwrap();
        assert_eq!(read(&io, "f").unwrap().as_deref(), Some("second"));
        assert_eq!(io.list("").unwrap(), ["f"]);
        remove(&io, "f").unwrap();
        remove(&io, "f").unwrap();
        assert_eq!(read(&io, "f").unwrap(), None);
    }

    #[test]
    fn a_foreign_file_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let io: Arc<dyn Io> = Arc::new(Disk::open(directory.path()).unwrap());
        let file = io.open("f", OpenMode::CreateNew).unwrap();
        file.write_at(&[0xff, 0xfe], 0).unwrap();
        let error = read(&io, "f").unwrap_err().to_string();
        assert_eq!(error, "f in the data directory: it is not UTF-8 text");
    }
}
