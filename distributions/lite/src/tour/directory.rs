//! Where a tour works: a directory of its own that goes away, or one that stays.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Directories of earlier tours with the same process id that are stepped around.
const ATTEMPTS: u32 = 100;

#[derive(Clone)]
pub struct Directory {
    path: PathBuf,
    kept: bool,
}

impl Directory {
    /// `keep`, or a new one among the system's temporary files. Either way nobody else may look in.
    pub fn new(keep: Option<&Path>) -> Result<Directory, String> {
        let (path, kept) = match keep {
            Some(path) => (kept(path)?, true),
            None => (temporary()?, false),
        };
        Ok(Directory { path, kept })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_kept(&self) -> bool {
        self.kept
    }

    /// Remove it, unless it is to be kept.
    pub fn remove(&self) {
        if !self.kept
            && let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            eprintln!(
                "heliosdb-lite: cannot remove {}: {error}",
                self.path.display()
            );
        }
    }
}

fn kept(path: &Path) -> Result<PathBuf, String> {
    let cannot = |error| format!("cannot use {}: {error}", path.display());
    match make(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        other => other.map_err(cannot)?,
    }
    if fs::read_dir(path).map_err(cannot)?.next().is_some() {
        return Err(format!("{} is not empty", path.display()));
    }
    fs::canonicalize(path).map_err(cannot)
}

fn temporary() -> Result<PathBuf, String> {
    let parent = std::env::temp_dir();
    let process = std::process::id();
    for attempt in 0..ATTEMPTS {
        let path = parent.join(format!("heliosdb-tour-{process}-{attempt}"));
        match make(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(format!("cannot create {}: {error}", path.display())),
        }
    }
    Err(format!(
        "{} is full of directories of tours",
        parent.display()
    ))
}

fn make(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)
}
