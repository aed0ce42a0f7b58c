//! WAL files: names, and making new ones.
//!
//! A file is named for the LSN of its first byte and never changes its length: it is made full of
//! zeros and synced under a temporary name, and gets its own when the log reaches it, so writing to
//! it later changes no metadata that `fdatasync` would have to flush.

use std::io::ErrorKind;
use std::sync::Arc;

use super::batch::ALIGNMENT;
use crate::error::{Error, Result};
use crate::ids::{Lsn, Ts};
use crate::io::{File, Io, OpenMode};

pub const DIRECTORY: &str = "wal";
/// The temporary name of a file that is needed now; those that are made ahead have numbers. They may be
/// in the making at the same time, one of each kind.
pub const PREPARED_NOW: &str = "wal/prepared-now";
const PREPARED: &str = "prepared-";
const EXTENSION: &str = ".wal";
const ZEROS_BYTES: usize = 1 << 20;

/// A file of the log.
#[derive(Clone)]
pub struct WalFile {
    pub name: String,
    pub start: Lsn,
    pub len: u64,
    pub file: Arc<dyn File>,
    /// Newest commit whose record begins in here.
    pub ts_max: Ts,
}

impl WalFile {
    pub fn end(&self) -> Lsn {
        Lsn(self.start.0 + self.len)
    }
}

pub fn name_of(start: Lsn) -> String {
    format!("{DIRECTORY}/{:016x}{EXTENSION}", start.0)
}

/// The temporary name of a file that is made ahead of its use.
pub fn prepared_name(number: u64) -> String {
    format!("{DIRECTORY}/{PREPARED}{number}")
}

/// Whether a name in the directory is that of a file without a place in the log.
pub fn is_prepared(name: &str) -> bool {
    name.starts_with(PREPARED)
}

pub fn parse_name(name: &str) -> Option<Lsn> {
    let digits = name.strip_suffix(EXTENSION)?;
    if digits.len() != 16 {
        return None;
    }
    u64::from_str_radix(digits, 16).ok().map(Lsn)
}

/// Open all files of the log, in order, and check that they follow each other.
pub fn open_all(io: &dyn Io) -> Result<Vec<WalFile>> {
    let names = match io.list(DIRECTORY) {
        Ok(names) => names,
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Error::io("list", DIRECTORY, e)),
    };
    let mut starts: Vec<Lsn> = names.iter().filter_map(|name| parse_name(name)).collect();
    starts.sort_unstable();
    let mut files: Vec<WalFile> = Vec::new();
    for start in starts {
        let name = name_of(start);
        let file = io
            .open(&name, OpenMode::ReadWrite)
            .map_err(|e| Error::io("open", &name, e))?;
        let len = file.len().map_err(|e| Error::io("stat", &name, e))?;
        if let Some(previous) = files.last()
            && previous.end() != start
        {
            let expected = format!("the log to go on at {}", previous.end());
            return Err(Error::corruption(
                &name,
                0,
                expected,
                format!("a file at {start}"),
            ));
        }
        if len == 0 || len % ALIGNMENT != 0 {
            let expected = format!("a length that is a multiple of {ALIGNMENT}");
            return Err(Error::corruption(
                &name,
                len,
                expected,
                format!("{len} bytes"),
            ));
        }
        files.push(WalFile {
            name,
            start,
            len,
            file,
            ts_max: Ts::ZERO,
        });
    }
    Ok(files)
}

/// Make a file of `len` zeros, synced, that waits under `name` for its place. Where there is no space for
/// it, nothing of it stays.
pub fn prepare(io: &dyn Io, name: String, len: u64) -> Result<Prepared> {
    discard(io, &name)?;
    let made = fill(io, &name, len);
    if let Err(Error::DiskFull { .. }) = &made {
        // As far as it goes; the next one of that name, or the next open, removes what is left.
        let _ = io.remove(&name);
    }
    let file = made?;
    Ok(Prepared { name, file, len })
}

fn fill(io: &dyn Io, name: &str, len: u64) -> Result<Arc<dyn File>> {
    let failed = |op, e| Error::io(op, name, e);
    let file = io
        .open(name, OpenMode::CreateNew)
        .map_err(|e| failed("create", e))?;
    file.allocate(len).map_err(|e| failed("allocate", e))?;
    let zeros = vec![0; ZEROS_BYTES.min(len as usize)];
    let mut at = 0;
    while at < len {
        let n = (len - at).min(zeros.len() as u64);
        file.write_at(&zeros[..n as usize], at)
            .map_err(|e| failed("write", e))?;
        at += n;
    }
    file.sync_data().map_err(|e| failed("sync", e))?;
    Ok(file)
}

/// Remove a file that may not be there.
pub fn discard(io: &dyn Io, name: &str) -> Result<()> {
    match io.remove(name) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io("remove", name, e)),
    }
}

/// Remove what an earlier run prepared and did not use.
pub fn discard_prepared(io: &dyn Io) -> Result<()> {
    let names = match io.list(DIRECTORY) {
        Ok(names) => names,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("list", DIRECTORY, e)),
    };
    let mut prepared = names.iter().filter(|name| is_prepared(name));
    prepared.try_for_each(|name| discard(io, &format!("{DIRECTORY}/{name}")))
}

/// A zero-filled file without a place in the log yet.
pub struct Prepared {
    pub name: String,
    pub file: Arc<dyn File>,
    pub len: u64,
}

impl Prepared {
    /// Give the file its place.
    pub fn install(self, io: &dyn Io, start: Lsn) -> Result<WalFile> {
        let name = name_of(start);
        io.rename(&self.name, &name)
            .map_err(|e| Error::io("rename", &self.name, e))?;
        io.sync_dir(DIRECTORY)
            .map_err(|e| Error::io("sync", DIRECTORY, e))?;
        Ok(WalFile {
            name,
            start,
            len: self.len,
            file: self.file,
            ts_max: Ts::ZERO,
        })
    }
}

/// Remove a file that is not needed any more. One at a time is durable before the next, oldest
/// first, so that a crash leaves no gap.
pub fn remove(io: &dyn Io, name: &str) -> Result<()> {
    io.remove(name).map_err(|e| Error::io("remove", name, e))?;
    io.sync_dir(DIRECTORY)
        .map_err(|e| Error::io("sync", DIRECTORY, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_their_lsns_and_nothing_else_is_a_name() {
        assert_eq!(name_of(Lsn(4096)), "wal/0000000000001000.wal");
        assert_eq!(parse_name("0000000000001000.wal"), Some(Lsn(4096)));
        for name in [
            "prepared-1",
            "1000.wal",
            "000000000000100g.wal",
            "0000000000001000.wal~",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
