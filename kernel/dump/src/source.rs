//! Where a dump is read from: something with a length that gives bytes at any offset.
//!
//! The database's own files go through `heliosdb_storage::io::Io`; a dump is a file of the user's, and
//! this is the one module that opens one.

use std::fs::File;
use std::io;
use std::path::Path;

/// A dump's bytes. Reads may come from several threads at once.
pub trait Source: Send + Sync {
    /// How many there are.
    fn bytes(&self) -> io::Result<u64>;
    /// Fill `buf` from `offset`; fewer bytes only at the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Source for File {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            let at = offset + filled as u64;
            match std::os::unix::fs::FileExt::read_at(self, &mut buf[filled..], at) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }
}

/// A dump in memory.
impl Source for Vec<u8> {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// Open the user's file for [`Dump::open`](crate::Dump::open).
#[allow(clippy::disallowed_methods)] // The database's own files go through Io; this one is the user's.
pub fn open_file(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok(file)
}
