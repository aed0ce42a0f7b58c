//! Backups and restores: directories, settings and times around what storage does.
//!
//! A backup has copies of the operator's files ([`COMPANIONS`]), too, so that it opens with its settings and
//! its plugins. How the files and the log go together is told in `heliosdb_storage::backup`.

use std::path::Path;
use std::sync::Arc;

use heliosdb_sql::types::datetime::parse_timestamptz;
use heliosdb_sql::types::format::Format;
use heliosdb_storage::io::Io;
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::{Engine, RestoreOptions};

pub use heliosdb_storage::ids::Ts;
pub use heliosdb_storage::{BackedUp, Coverage, Interrupt, Restored};

use crate::config::Config;
use crate::dump::marker;
use crate::error::Error;

/// What is copied besides the database's own files.
pub(crate) const COMPANIONS: [&str; 3] = ["heliosdb.toml", "plugins", "plugins.lock"];

/// Make a backup of an open database in `target`, which is made, or empty.
pub(crate) fn back_up(engine: &Engine, target: &Path) -> Result<BackedUp, Error> {
    Ok(engine.backup(&made(target)?, &Interrupt::new())?)
}

/// Make a backup of the database in `directory`, which nobody has open and which is not changed, in
/// `target`, which is made, or empty.
pub fn back_up_closed(
    directory: &Path,
    target: &Path,
    interrupt: &Interrupt,
) -> Result<BackedUp, Error> {
    let source = there(directory)?;
    marker::refuse(&source)?;
    let target = made(target)?;
    let done = heliosdb_storage::back_up_closed(&source, &target, &COMPANIONS, interrupt);
    Ok(done?)
}

/// A restore.
#[derive(Clone, Debug)]
pub struct Restore<'a> {
    pub backup: &'a Path,
    /// The directory of `[storage] archive`.
    pub archive: Option<&'a Path>,
    /// The newest commit to restore is this or older; `None`: the newest there is.
    pub to: Option<Ts>,
    /// Is made, or empty.
    pub target: &'a Path,
    pub interrupt: Arc<Interrupt>,
}

impl Restore<'_> {
    /// Make the database.
    ///
    /// # Errors
    ///
    /// Without anything written: a time that is not covered. The message names those that are.
    pub fn run(&self) -> Result<Restored, Error> {
        let backup = there(self.backup)?;
        let archive = self.archive.map(there).transpose()?;
        // Before the target is made.
        let covered = heliosdb_storage::coverage(&backup, archive.as_ref())?;
        if let Some(asked) = self.to.filter(|to| *to < covered.from || *to > covered.to) {
            return Err(Error::NotCovered {
                asked: show_time(asked),
                from: show_time(covered.from),
                to: show_time(covered.to),
                why: covered.why,
            });
        }
        let options = RestoreOptions {
            to: self.to,
            companions: &COMPANIONS,
            interrupt: Arc::clone(&self.interrupt),
            ..RestoreOptions::default()
        };
        let target = made(self.target)?;
        let restored = heliosdb_storage::restore(&backup, archive.as_ref(), &target, &options);
        Ok(restored?)
    }
}

/// The times that a restore can be asked for.
pub fn coverage(backup: &Path, archive: Option<&Path>) -> Result<Coverage, Error> {
    let archive = archive.map(there).transpose()?;
    Ok(heliosdb_storage::coverage(
        &there(backup)?,
        archive.as_ref(),
    )?)
}

/// A time as SQL reads it, in UTC when it says no other; or an SCN, which is a number.
pub fn parse_time(text: &str) -> Result<Ts, String> {
    if let Ok(scn) = text.parse() {
        return Ok(Ts(scn));
    }
    let micros = parse_timestamptz(text, &Format::default()).map_err(|error| error.message)?;
    let micros = u64::try_from(micros).map_err(|_| format!("\"{text}\" is before 1970"))?;
    Ok(Ts(micros))
}

/// To the microsecond.
pub fn show_time(ts: Ts) -> String {
    marker::show_moment(ts.0)
}

/// A directory that is there.
fn there(directory: &Path) -> Result<Arc<dyn Io>, Error> {
    match directory.is_dir() {
        true => Ok(Arc::new(Disk::open(directory)?)),
        false => Err(Error::NoSuchDirectory(directory.to_path_buf())),
    }
}

fn made(directory: &Path) -> Result<Arc<dyn Io>, Error> {
    Ok(Arc::new(Disk::open(directory)?))
}

/// Where the settings say that the log of the database in `directory` goes.
pub(crate) fn archive_of(
    config: &Config,
    directory: Option<&Path>,
) -> Result<Option<heliosdb_storage::ArchiveDirectory>, Error> {
    let Some(archive) = &config.storage.archive else {
        return Ok(None);
    };
    let path = match directory {
        Some(directory) => directory.join(archive),
        None => archive.clone(),
    };
    Ok(Some(heliosdb_storage::ArchiveDirectory(made(&path)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_timestamp_or_an_scn() {
        let micros = 1_795_237_200_000_001;
        assert_eq!(parse_time("1795237200000001"), Ok(Ts(micros)));
        assert_eq!(parse_time("2026-11-21 05:00:00.000001"), Ok(Ts(micros)));
        assert_eq!(parse_time("2026-11-21 06:00:00.000001+01"), Ok(Ts(micros)));
        assert_eq!(show_time(Ts(micros)), "2026-11-21 05:00:00.000001 UTC");
        assert_eq!(parse_time(&show_time(Ts(micros))), Ok(Ts(micros)));
        assert!(parse_time("yesterday evening").is_err());
        assert!(parse_time("1969-12-31").is_err());
    }
}
