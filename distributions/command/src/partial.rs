//! A file that is there as a whole or not at all.
//!
//! 1. It grows under another name, `FILE.partial`, which is locked: two programs that write the same
//!    file cannot mix.
//! 2. It gets its own name when everything in it is on disk, and the directory is synced after that.
//! 3. What exists under its own name stays, unless the writer was told to replace it.
//! 4. A writer that gives up removes what it wrote. One that is killed leaves `FILE.partial`, which the
//!    next writer takes over.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Between the writer and the file.
const BUFFER_BYTES: usize = 1 << 20;
const PRIVATE: u32 = 0o600;

/// A file that is being written; dropped, it is gone.
#[derive(Debug)]
pub struct PartialFile {
    target: PathBuf,
    path: PathBuf,
    file: BufWriter<File>,
    replace: bool,
    finished: bool,
}

impl PartialFile {
    /// Begin a file for its owner alone. `replace` allows that `target` exists, now and at the end.
    ///
    /// # Errors
    ///
    /// One line that names the file.
    pub fn create(target: &Path, replace: bool) -> Result<PartialFile, String> {
        // A dump has all that the database has, secrets of roles among it.
        let file = PartialFile::begin(target, replace, PRIVATE)?;
        let private = fs::Permissions::from_mode(PRIVATE);
        let made = file.file.get_ref().set_permissions(private);
        made.map_err(|error| format!("cannot write {}: {error}", file.path.display()))?;
        Ok(file)
    }

    /// Begin a file for whoever the umask lets read it; it replaces what `target` is then.
    ///
    /// # Errors
    ///
    /// One line that names the file.
    pub fn readable(target: &Path) -> Result<PartialFile, String> {
        PartialFile::begin(target, true, 0o666)
    }

    fn begin(target: &Path, replace: bool, mode: u32) -> Result<PartialFile, String> {
        refuse_target(target, replace)?;
        let mut name = target.as_os_str().to_owned();
        name.push(".partial");
        let path = PathBuf::from(name);
        let failed = |error: io::Error| format!("cannot write {}: {error}", path.display());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(mode)
            .open(&path)
            .map_err(failed)?;
        let busy = || format!("another program is writing {}", path.display());
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(busy()),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Between the open and the lock its writer may have finished and renamed it.
        if !is_at(&file, &path).map_err(failed)? {
            return Err(busy());
        }
        file.set_len(0).map_err(failed)?;
        Ok(PartialFile {
            target: target.to_path_buf(),
            path,
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            replace,
            finished: false,
        })
    }

    /// The name it is going to have.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// A second handle, to read what was written so far.
    ///
    /// # Errors
    ///
    /// One line that names the file.
    pub fn reopen(&mut self) -> Result<File, String> {
        let opened = self.file.flush().and_then(|()| File::open(&self.path));
        opened.map_err(|error| format!("cannot read {}: {error}", self.path.display()))
    }

    /// Everything is written: make it durable and give it its name. Its size in bytes.
    ///
    /// # Errors
    ///
    /// One line that names the file; what was written is gone.
    pub fn finish(mut self) -> Result<u64, String> {
        let failed = |error| format!("cannot write {}: {error}", self.target.display());
        self.file.flush().map_err(failed)?;
        let file = self.file.get_ref();
        file.sync_all().map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        if self.replace {
            refuse_target(&self.target, true)?;
            fs::rename(&self.path, &self.target).map_err(failed)?;
        } else {
            name_new(&self.path, &self.target).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => exists(&self.target),
                _ => failed(error),
            })?;
        }
        self.finished = true;
        let parent = match self.target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(parent)
            .and_then(|directory| directory.sync_all())
            .map_err(failed)?;
        Ok(bytes)
    }
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.finished {
            // Whoever failed says why; a file that stays behind is taken over by the next writer.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether `file` is what `path` names.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Rename, unless something has the new name. A link fails then, where a rename would not; a file
/// system without links gets the check and the rename.
fn name_new(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) if fs::symlink_metadata(to).is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
    }
}

/// What exists may be replaced if it is a file and the writer was told to.
fn refuse_target(target: &Path, replace: bool) -> Result<(), String> {
    let found = match fs::symlink_metadata(target) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("cannot write {}: {error}", target.display())),
    };
    if !found.is_file() {
        let shown = target.display();
        return Err(format!("{shown} exists and is not a regular file"));
    }
    match replace {
        true => Ok(()),
        false => Err(exists(target)),
    }
}

fn exists(target: &Path) -> String {
    let shown = target.display();
    format!("{shown} exists; choose another name, or replace it with --force")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn it_appears_when_it_is_finished() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.dump");
        let mut file = PartialFile::create(&target, false).unwrap();
        file.write_all(b"whole").unwrap();
        assert_eq!(names(directory.path()), ["a.dump.partial"]);
        assert_eq!(file.finish(), Ok(5));
        assert_eq!(names(directory.path()), ["a.dump"]);
        assert_eq!(fs::read(&target).unwrap(), b"whole");
    }

    #[test]
    fn one_that_is_given_up_leaves_nothing_and_one_that_was_killed_is_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.dump");
        fs::write(directory.path().join("a.dump.partial"), "left by a kill").unwrap();
        let mut file = PartialFile::create(&target, false).unwrap();
        file.write_all(b"new").unwrap();
        file.flush().unwrap();
        let partial = fs::read(directory.path().join("a.dump.partial")).unwrap();
        assert_eq!(partial, b"new");
        drop(file);
        assert_eq!(names(directory.path()), [""; 0]);
    }

    #[test]
    fn what_exists_stays_unless_it_is_to_be_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.dump");
        let mut late = PartialFile::create(&target, false).unwrap();
        late.write_all(b"late").unwrap();
        fs::write(&target, "first").unwrap();
        for refused in [
            PartialFile::create(&target, false).map(drop),
            late.finish().map(drop),
        ] {
            let said = refused.unwrap_err();
            assert!(
                said.contains("a.dump exists") && said.contains("--force"),
                "{said}"
            );
        }
        assert_eq!(names(directory.path()), ["a.dump"]);
        assert_eq!(fs::read(&target).unwrap(), b"first");
        let mut forced = PartialFile::create(&target, true).unwrap();
        forced.write_all(b"second").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"first");
        forced.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"second");
        let said = PartialFile::create(directory.path(), true).unwrap_err();
        assert!(said.ends_with("is not a regular file"), "{said}");
    }

    #[test]
    fn two_writers_do_not_mix() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.dump");
        let mut first = PartialFile::create(&target, false).unwrap();
        first.write_all(b"first").unwrap();
        let said = PartialFile::create(&target, false).unwrap_err();
        assert!(said.contains("another program is writing"), "{said}");
        first.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"first");
    }
}
