//! The directory that an import fills: whether it may, what it makes there, and how that goes again.
//!
//! 1. [`Found::look`] reads names and writes nothing. What may be there before an import: nothing; an
//!    operator's `heliosdb.toml` and `plugins`; what an import that did not finish left, which only a
//!    whole marker says of anything.
//! 2. [`Target::take`] makes the directory if it is not there, holds its lock until the end, and sets
//!    the marker ([`super::marker`]); then everything that belongs to a database is removed.
//! 3. [`Target::publish`] takes the marker away, or [`Target::abandon`] takes everything away: what was
//!    made, then the marker, then the directories that were not there before.
//!
//! A name that is in no list here belongs to somebody else, and the directory is refused untouched.

use std::io::{ErrorKind, Result as IoResult};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use heliosdb_plugin_host::boot_guard::STARTING_FILE;
use heliosdb_plugin_host::file::Sha256;
use heliosdb_plugin_host::lockfile;
use heliosdb_plugin_host::state_file;
use heliosdb_storage::io::disk::{Disk, LOCK_FILE};
use heliosdb_storage::io::{File, Io, OpenMode};

use super::error::ImportError;
use super::marker::{ConfigFile, MARKER_FILE, Marker, Sign};
use super::report::Report;

/// The settings of a directory.
pub(super) const CONFIG_FILE: &str = "heliosdb.toml";
/// Where the settings of a dump go when there are others, or when this build refuses them.
pub(super) const IMPORTED_CONFIG_FILE: &str = "heliosdb.toml.imported";
/// What an operator may have put there.
const OPERATORS: [&str; 2] = [CONFIG_FILE, "plugins"];
/// What a database keeps in directories of their own, with files in them and nothing else.
const DATABASE_DIRECTORIES: [&str; 3] = ["wal", "segments", LOAD_DIRECTORY];
/// Where index entries are sorted; empty when that is done.
const LOAD_DIRECTORY: &str = "load";
/// What it keeps beside them. The lock goes last of all, with the directory.
const DATABASE_FILES: [&str; 4] = [
    lockfile::LOCK_FILE,
    "plugins.lock.new",
    STARTING_FILE,
    "plugins.starting.new",
];
/// The marker before it has its name.
const MARKER_HALF: &str = "import.pending.new";
/// The settings before they have theirs.
const CONFIG_HALF: &str = "import.config.new";

/// The page before it has its name.
const PAGE_HALF: &str = "import.page.new";
/// The end of a page's name, which no file of a database has.
const PAGE_END: &str = ".html";

/// Whether a file of this name in the target can be the import's page.
pub(super) fn is_page_name(name: &str) -> bool {
    name.len() > PAGE_END.len() && name.ends_with(PAGE_END) && !name.contains(['/', '\0'])
}

/// A directory that an import may fill, as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub path: PathBuf,
    /// It, and as many directories above it, are not there, or were not before the first import that
    /// did not finish.
    missing: u32,
    /// An operator's settings are there.
    pub has_config: bool,
    /// What an earlier import left.
    pub leftovers: Option<Marker>,
    /// Bytes that go when it is cleaned up.
    pub left_bytes: u64,
}

impl Found {
    /// Looks, and touches nothing.
    pub fn look(path: &Path) -> Result<Found, ImportError> {
        let refused = |why: String| ImportError::Target {
            directory: path.to_path_buf(),
            why,
        };
        let mut found = Found {
            path: path.to_path_buf(),
            missing: 0,
            has_config: false,
            leftovers: None,
            left_bytes: 0,
        };
        if !path.exists() {
            if let Some(nowhere) = beyond_nothing(path) {
                return Err(refused(format!("\"{}\" does not exist", nowhere.display())));
            }
            found.missing = missing_levels(path);
            return Ok(found);
        }
        if !path.is_dir() {
            return Err(refused("it is a file, not a directory".to_owned()));
        }
        let io: Arc<dyn Io> = Arc::new(Disk::open(path).map_err(|e| refused(e.to_string()))?);
        let names = io.list("").map_err(|e| refused(e.to_string()))?;
        let sign = Marker::read(&io)?;
        // A crash that came while the marker was made leaves it where there was nothing else yet.
        let torn = sign == Sign::Torn;
        if let Sign::Whole(marker) = sign {
            found.leftovers = Some(*marker);
        }
        let ours = match &found.leftovers {
            Some(marker) => marker.config.as_ref(),
            None => None,
        };
        let our_config = match ours {
            Some(config) if made(&io, config)? => Some(config.file.as_str()),
            _ => None,
        };
        let mut our_page = None;
        if let Some(marker) = &found.leftovers {
            our_page = marker.page.as_deref().filter(|name| is_page_name(name));
            found.missing = marker.made_directories;
            let bytes = DATABASE_DIRECTORIES.iter().map(|name| bytes_in(&io, name));
            found.left_bytes = bytes.sum();
        }
        // A database is what its owner wants to hear of, whatever else is there.
        let (first, then): (Vec<&String>, Vec<&String>) = names
            .iter()
            .partition(|name| DATABASE_DIRECTORIES.contains(&name.as_str()));
        for name in first.into_iter().chain(then) {
            let name = name.as_str();
            let known = OPERATORS.contains(&name)
                || name == MARKER_HALF
                || name == LOCK_FILE
                || torn && name == MARKER_FILE
                || our_config == Some(name);
            let left = found.leftovers.is_some()
                && (name == MARKER_FILE
                    || name == CONFIG_HALF
                    || name == PAGE_HALF
                    || our_page == Some(name)
                    || DATABASE_DIRECTORIES.contains(&name)
                    || DATABASE_FILES.contains(&name));
            // A database that was being made and got nowhere leaves these.
            let nothing = || {
                DATABASE_DIRECTORIES.contains(&name)
                    && io.list(name).is_ok_and(|files| files.is_empty())
            };
            if !known && !left && !nothing() {
                let mut why = match DATABASE_DIRECTORIES.contains(&name) {
                    true => "it has a database".to_owned(),
                    false => format!("it is not empty: it has \"{name}\""),
                };
                if torn {
                    why += &format!(
                        ", and its {MARKER_FILE} is damaged, so nothing says that an import left it; \
                         if what is here is whole, remove that file"
                    );
                }
                return Err(refused(why));
            }
        }
        found.has_config =
            names.iter().any(|name| name == CONFIG_FILE) && our_config != Some(CONFIG_FILE);
        Ok(found)
    }

    /// The nearest directory that is there.
    pub fn existing(&self) -> &Path {
        let mut path = self.path.as_path();
        while !path.exists() {
            match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => path = parent,
                _ => return Path::new("."),
            }
        }
        path
    }
}

/// The directory that is not there and that the path leaves again by `..`.
fn beyond_nothing(path: &Path) -> Option<PathBuf> {
    let mut walked = PathBuf::new();
    let mut nowhere = None;
    for part in path.components() {
        if part == Component::ParentDir && nowhere.is_some() {
            return nowhere;
        }
        walked.push(part);
        if nowhere.is_none() && !walked.exists() {
            nowhere = Some(walked.clone());
        }
    }
    None
}

/// How many directories are missing, from `path` upwards.
fn missing_levels(path: &Path) -> u32 {
    let missing = path
        .ancestors()
        .take_while(|p| !p.as_os_str().is_empty() && !p.exists());
    u32::try_from(missing.count()).unwrap_or(u32::MAX)
}

/// Whether a settings file is the one that an import made, and not an operator's.
fn made(io: &Arc<dyn Io>, config: &ConfigFile) -> Result<bool, ImportError> {
    let name = match config.file.as_str() {
        CONFIG_FILE => CONFIG_FILE,
        IMPORTED_CONFIG_FILE => IMPORTED_CONFIG_FILE,
        _ => return Ok(false),
    };
    let text = state_file::read(io, name)?;
    Ok(text.is_some_and(|text| Sha256::of(text.as_bytes()) == config.sha256))
}

/// The directory of an import that is under way. Whoever holds it owns the directory's lock.
pub(super) struct Target {
    io: Arc<dyn Io>,
    /// Held for as long as this lives.
    _lock: Arc<dyn Send + Sync>,
    path: PathBuf,
    marker: Marker,
}

impl Target {
    /// From here on the directory is a building site.
    ///
    /// # Errors
    ///
    /// Somebody else has the directory, or has put something into it, or it cannot be written. Then it
    /// is as it was found.
    pub fn take(found: &Found, mut marker: Marker) -> Result<Target, ImportError> {
        marker.made_directories = found.missing;
        let taken = Held::take(&found.path);
        let (io, lock): (Arc<dyn Io>, _) = match taken {
            Ok((held, lock)) => (Arc::new(held), lock),
            Err(error) => {
                remove_directories(&found.path, found.missing);
                return Err(ImportError::Target {
                    directory: found.path.clone(),
                    why: match error.kind() {
                        ErrorKind::WouldBlock => "another process is using it".to_owned(),
                        _ => error.to_string(),
                    },
                });
            }
        };
        let target = Target {
            io,
            _lock: lock,
            path: found.path.clone(),
            marker,
        };
        if let Err(error) = target.look_again(found) {
            if found.missing > 0 {
                target.withdraw(found);
            }
            return Err(error);
        }
        // Under the earlier import's marker, which stays until this one's replaces it: a full disk has
        // room for a marker only afterwards.
        if let Some(earlier) = &found.leftovers {
            target.clear_leftovers(earlier)?;
        }
        if let Err(error) = target.marker.write(&target.io) {
            target.withdraw(found);
            return Err(error.into());
        }
        // Empty directories of a database that was never made.
        match target.clear() {
            Ok(()) => Ok(target),
            Err(error) => Err(target.abandoned(error)),
        }
    }

    /// Between looking and locking somebody may have made a database.
    fn look_again(&self, found: &Found) -> Result<(), ImportError> {
        let again = Found::look(&self.path)?;
        match again.leftovers == found.leftovers && again.has_config == found.has_config {
            true => Ok(()),
            false => Err(ImportError::Target {
                directory: self.path.clone(),
                why: "it has changed meanwhile".to_owned(),
            }),
        }
    }

    /// The marker could not be written, and nothing else was.
    fn withdraw(self, found: &Found) {
        let Target { io, path, .. } = self;
        let _ = io.remove(MARKER_HALF);
        if found.leftovers.is_none() {
            let _ = io.remove(LOCK_FILE);
            drop(io);
            remove_directories(&path, found.missing);
        }
    }

    fn clear_leftovers(&self, earlier: &Marker) -> Result<(), ImportError> {
        if let Some(config) = &earlier.config {
            self.remove_config(config)?;
        }
        self.remove_page(earlier)?;
        self.clear()
    }

    /// What the engine and the plugins are to read and write.
    pub fn io(&self) -> &Arc<dyn Io> {
        &self.io
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The page that the marker names, if it names one. What could not be written is not there.
    ///
    /// # Errors
    ///
    /// There is no page; nothing else is wrong.
    pub fn write_page(&self, report: &Report) -> IoResult<()> {
        let Some(name) = &self.marker.page else {
            return Ok(());
        };
        let written = (|| {
            let file = self.io.open(PAGE_HALF, OpenMode::CreateNew)?;
            file.write_at(report.to_html().as_bytes(), 0)?;
            file.sync_data()?;
            self.io.rename(PAGE_HALF, name)?;
            self.io.sync_dir("")
        })();
        if written.is_err() {
            for name in [PAGE_HALF, name] {
                let _ = self.io.remove(name);
            }
        }
        written
    }

    /// The last step: the settings, if there are any to write, and then the marker goes. When this
    /// fails nothing was published.
    pub fn publish(&self, config: Option<(&'static str, &str)>) -> Result<(), ImportError> {
        let _ = self.io.remove_dir(LOAD_DIRECTORY);
        if let Some((name, text)) = config {
            let file = self.io.open(CONFIG_HALF, OpenMode::CreateNew)?;
            file.write_at(text.as_bytes(), 0)?;
            file.sync_data()?;
            // What came while the import ran is an operator's.
            if self.io.list("")?.iter().any(|there| there == name) {
                return Err(ImportError::Target {
                    directory: self.path.clone(),
                    why: format!("\"{name}\" has come into it meanwhile"),
                });
            }
            self.io.rename(CONFIG_HALF, name)?;
            self.io.sync_dir("")?;
        }
        Marker::remove(&self.io)?;
        Ok(())
    }

    /// Removes everything that the import made, under the marker: half of it must not be opened.
    pub fn abandon(self) -> Result<(), ImportError> {
        if !self.io.list("")?.iter().any(|name| name == MARKER_FILE) {
            self.marker.write(&self.io)?;
        }
        self.clear()?;
        if let Some(config) = &self.marker.config {
            self.remove_config(config)?;
        }
        self.remove_page(&self.marker)?;
        Marker::remove(&self.io)?;
        remove_if_there(|| self.io.remove(LOCK_FILE))?;
        let Target {
            io, path, marker, ..
        } = self;
        drop(io);
        remove_directories(&path, marker.made_directories);
        Ok(())
    }

    /// Abandons, and says both what failed and what could not be cleaned up after it.
    pub fn abandoned(self, error: ImportError) -> ImportError {
        match self.abandon() {
            Ok(()) => error,
            Err(left) => ImportError::Leftovers {
                error: Box::new(error),
                why: left.to_string(),
            },
        }
    }

    /// Removes what belongs to a database.
    fn clear(&self) -> Result<(), ImportError> {
        for directory in DATABASE_DIRECTORIES {
            let names = match self.io.list(directory) {
                Ok(names) => names,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            for name in names {
                self.io.remove(&format!("{directory}/{name}"))?;
            }
            // One that was mounted there stays, empty.
            let _ = self.io.remove_dir(directory);
        }
        for name in DATABASE_FILES
            .iter()
            .chain(&[MARKER_HALF, CONFIG_HALF, PAGE_HALF])
        {
            remove_if_there(|| self.io.remove(name))?;
        }
        self.io.sync_dir("")?;
        Ok(())
    }

    fn remove_page(&self, marker: &Marker) -> Result<(), ImportError> {
        match marker.page.as_deref().filter(|name| is_page_name(name)) {
            Some(name) => Ok(remove_if_there(|| self.io.remove(name))?),
            None => Ok(()),
        }
    }

    fn remove_config(&self, config: &ConfigFile) -> Result<(), ImportError> {
        if made(&self.io, config)? {
            remove_if_there(|| self.io.remove(&config.file))?;
        }
        Ok(())
    }
}

/// Bytes of the segments of a database, and of its log.
pub(super) fn sizes(io: &Arc<dyn Io>) -> (u64, u64) {
    (bytes_in(io, "segments"), bytes_in(io, "wal"))
}

/// Of the files of a directory, as far as they can be read.
fn bytes_in(io: &Arc<dyn Io>, directory: &str) -> u64 {
    let names = io.list(directory).unwrap_or_default().into_iter();
    let length = |name: String| {
        let file = io.open(&format!("{directory}/{name}"), OpenMode::Read);
        file.and_then(|file| file.len()).unwrap_or(0)
    };
    names.map(length).sum()
}

fn remove_if_there(remove: impl FnOnce() -> IoResult<()>) -> IoResult<()> {
    match remove() {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Those that the import made, from `path` upwards, as long as they are empty.
fn remove_directories(path: &Path, levels: u32) {
    for directory in path.ancestors().take(levels as usize) {
        if remove_directory(directory).is_err() {
            return;
        }
    }
}

#[allow(clippy::disallowed_methods)] // Io stays inside its directory, which is itself to go.
fn remove_directory(path: &Path) -> IoResult<()> {
    std::fs::remove_dir(path)
}

/// A directory whose lock is held: whoever asks for the lock gets it, as part of the one who has it.
struct Held {
    disk: Disk,
    /// Weak, because a plugin's handle keeps the clock, which is this, for as long as the process lives.
    lock: Weak<dyn Send + Sync>,
}

impl Held {
    fn take(path: &Path) -> IoResult<(Held, Arc<dyn Send + Sync>)> {
        let disk = Disk::open(path)?;
        let lock: Arc<dyn Send + Sync> = disk.lock()?.into();
        let held = Held {
            disk,
            lock: Arc::downgrade(&lock),
        };
        Ok((held, lock))
    }
}

impl Io for Held {
    fn lock(&self) -> IoResult<Box<dyn Send + Sync>> {
        let lock = self.lock.upgrade().ok_or(ErrorKind::WouldBlock)?;
        Ok(Box::new(lock))
    }

    fn root(&self) -> Option<PathBuf> {
        Io::root(&self.disk)
    }

    fn open(&self, name: &str, mode: OpenMode) -> IoResult<Arc<dyn File>> {
        self.disk.open(name, mode)
    }

    fn create_dir(&self, name: &str) -> IoResult<()> {
        self.disk.create_dir(name)
    }

    fn list(&self, dir: &str) -> IoResult<Vec<String>> {
        self.disk.list(dir)
    }

    fn rename(&self, from: &str, to: &str) -> IoResult<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> IoResult<()> {
        self.disk.remove(name)
    }

    fn remove_dir(&self, name: &str) -> IoResult<()> {
        self.disk.remove_dir(name)
    }

    fn sync_dir(&self, dir: &str) -> IoResult<()> {
        self.disk.sync_dir(dir)
    }

    fn now_micros(&self) -> u64 {
        self.disk.now_micros()
    }

    fn monotonic_micros(&self) -> u64 {
        self.disk.monotonic_micros()
    }

    fn thread_cpu_micros(&self) -> u64 {
        self.disk.thread_cpu_micros()
    }

    fn random_u64(&self) -> u64 {
        self.disk.random_u64()
    }

    fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> Option<JoinHandle<()>> {
        self.disk.spawn(name, work)
    }
}
