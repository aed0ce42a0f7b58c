//! Files from one directory to another.

use std::io::ErrorKind;

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::io::{File, Io, OpenMode};

const CHUNK_BYTES: usize = 1 << 20;

/// How a file got to where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is the same file as the other one.
    Linked,
    Copied,
}

/// Give `from`'s file, which nobody writes to any more, a name in `to`: by a link, or, where that cannot
/// be, by a synced copy. The name's directory is for the caller to sync.
pub fn bring(
    from: (&dyn Io, &str),
    to: (&dyn Io, &str),
    interrupt: &Interrupt,
) -> Result<(Way, u64)> {
    let file = from.0.open(from.1, OpenMode::Read);
    let file = file.map_err(|e| Error::io("open", from.1, e))?;
    let len = file.len().map_err(|e| Error::io("stat", from.1, e))?;
    if let Some(root) = from.0.root() {
        match to.0.link(&root.join(from.1), to.1) {
            Ok(()) => return Ok((Way::Linked, len)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                return Err(Error::io("link", to.1, e));
            }
            // Another file system, one without links, a file with too many: whatever it is, a copy has
            // the last word.
            Err(_) => {}
        }
    }
    let copy = to.0.open(to.1, OpenMode::CreateNew);
    let copy = copy.map_err(|e| Error::io("create", to.1, e))?;
    copy_bytes((&*file, from.1), (&*copy, to.1), len, interrupt)?;
    copy.sync_data().map_err(|e| Error::io("sync", to.1, e))?;
    Ok((Way::Copied, len))
}

/// Copy `names` from one directory to the other: files, and directories of files. What is not there is
/// left out.
pub fn copy_all(from: &dyn Io, to: &dyn Io, names: &[&str], interrupt: &Interrupt) -> Result<()> {
    for name in names {
        match from.list(name) {
            Ok(files) => {
                make_dir(to, name)?;
                for file in files {
                    copy_file(from, to, &format!("{name}/{file}"), interrupt)?;
                }
                sync_dir(to, name)?;
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(_) => copy_file(from, to, name, interrupt)?,
        }
    }
    Ok(())
}

/// Copy a file that somebody may write to; what is no file, or not there, is left out.
fn copy_file(from: &dyn Io, to: &dyn Io, name: &str, interrupt: &Interrupt) -> Result<()> {
    let file = match from.open(name, OpenMode::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("open", name, e)),
    };
    let len = match file.len() {
        Ok(_) if from.list(name).is_ok() => return Ok(()),
        len => len.map_err(|e| Error::io("stat", name, e))?,
    };
    let copy = to.open(name, OpenMode::CreateNew);
    let copy = copy.map_err(|e| Error::io("create", name, e))?;
    copy_bytes((&*file, name), (&*copy, name), len, interrupt)?;
    copy.sync_data().map_err(|e| Error::io("sync", name, e))
}

/// The first `len` bytes of a file.
fn copy_bytes(
    from: (&dyn File, &str),
    to: (&dyn File, &str),
    len: u64,
    interrupt: &Interrupt,
) -> Result<()> {
    let mut buf = vec![0; CHUNK_BYTES.min(len as usize)];
    let mut at = 0;
    while at < len {
        interrupt.check()?;
        let want = (len - at).min(buf.len() as u64) as usize;
        let read = from.0.read_at(&mut buf[..want], at);
        let n = read.map_err(|e| Error::io("read", from.1, e))?;
        if n < want {
            let expected = format!("{len} bytes");
            return Err(Error::corruption(from.1, at, expected, at + n as u64));
        }
        let written = to.0.write_at(&buf[..n], at);
        written.map_err(|e| Error::io("write", to.1, e))?;
        at += n as u64;
    }
    Ok(())
}

/// Make the names in a directory durable.
pub fn sync_dir(io: &dyn Io, name: &str) -> Result<()> {
    let shown = if name.is_empty() { "." } else { name };
    io.sync_dir(name).map_err(|e| Error::io("sync", shown, e))
}

/// Make a directory that is not there.
pub fn make_dir(io: &dyn Io, name: &str) -> Result<()> {
    match io.create_dir(name) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Error::io("create", name, e)),
    }
}
