//! The sign that a directory is not a database yet, though it looks like one.
//!
//! Whoever makes a database of many files writes it first and removes it last, both durably. While it is
//! there nothing opens the directory, and no check calls it whole.

use std::io::ErrorKind;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::flush::SEGMENTS;
use crate::io::disk::LOCK_FILE;
use crate::io::{Io, OpenMode};
use crate::wal::file::DIRECTORY;

pub const FILE: &str = "unfinished";

/// A database in the making. Dropped before its end it is removed, as far as it goes.
pub struct Making {
    io: Arc<dyn Io>,
    ended: bool,
    _lock: Box<dyn Send + Sync>,
}

impl Making {
    /// Take an empty directory. `what` is for whoever finds it unfinished and wonders.
    pub fn begin(io: &Arc<dyn Io>, what: &str) -> Result<Making> {
        let lock = io.lock().map_err(|e| match e.kind() {
            ErrorKind::WouldBlock => Error::DirectoryLocked,
            _ => Error::io("lock", LOCK_FILE, e),
        })?;
        let names = io.list("").map_err(|e| Error::io("list", ".", e))?;
        if let Some(name) = names.iter().find(|name| *name != LOCK_FILE) {
            let found = name.clone();
            return Err(Error::DirectoryNotEmpty { found });
        }
        let file = io.open(FILE, OpenMode::CreateNew);
        let file = file.map_err(|e| Error::io("create", FILE, e))?;
        let making = Making {
            io: Arc::clone(io),
            ended: false,
            _lock: lock,
        };
        let text = format!(
            "{what} has not finished: what is in this directory is no whole database. Remove it.\n"
        );
        let written = file.write_at(text.as_bytes(), 0);
        written.map_err(|e| Error::io("write", FILE, e))?;
        file.sync_data().map_err(|e| Error::io("sync", FILE, e))?;
        making.sync_names()?;
        Ok(making)
    }

    fn sync_names(&self) -> Result<()> {
        let synced = self.io.sync_dir("");
        synced.map_err(|e| Error::io("sync", ".", e))
    }

    /// All is there and synced, and so are the names in the directories beneath.
    pub fn end(mut self) -> Result<()> {
        // The other names must not come later than this one goes.
        self.sync_names()?;
        let removed = self.io.remove(FILE);
        removed.map_err(|e| Error::io("remove", FILE, e))?;
        // Whether or not the next call succeeds: a directory without the file is whole.
        self.ended = true;
        self.sync_names()
    }

    /// All there is was made since: the directory was empty. The sign goes last. Errors are for whoever
    /// finds it.
    fn remove_all(&self) {
        let is_sign = |name: &str| [FILE, LOCK_FILE].contains(&name);
        let names = || self.io.list("").unwrap_or_default();
        // Not every implementation lists directories.
        for directory in names()
            .iter()
            .map(String::as_str)
            .chain([DIRECTORY, SEGMENTS])
        {
            for name in self.io.list(directory).unwrap_or_default() {
                let _ = self.io.remove(&format!("{directory}/{name}"));
            }
            let _ = self.io.remove_dir(directory);
        }
        for name in names().iter().filter(|name| !is_sign(name)) {
            let _ = self.io.remove(name);
        }
        let left = names();
        if self.io.sync_dir("").is_ok() && left.iter().all(|name| is_sign(name)) {
            let _ = self.io.remove(FILE);
        }
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if !self.ended {
            self.remove_all();
        }
    }
}

/// Refuse a directory that has it.
pub fn refuse(io: &dyn Io) -> Result<()> {
    match io.open(FILE, OpenMode::Read) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io("open", FILE, e)),
        Ok(_) => Err(Error::NotADatabase {
            reason: format!(
                "it has a file \"{FILE}\": a backup or a restore into it was cut off before its end"
            ),
        }),
    }
}
