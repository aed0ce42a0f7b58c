//! `import.pending`: the sign that a directory holds half a database.
//!
//! ```toml
//! # An import of "mydb.dump" into this directory began at 2026-11-21 05:00:00 UTC and has not …
//! format = 1
//! dump = "mydb.dump"
//! dump_id = "0d9e3c4e-…"
//! started_at_micros = 1795237200000000
//! made_directories = 1
//! page = "migration-report.html"
//!
//! [config]
//! file = "heliosdb.toml"
//! sha256 = "ba7816bf…"
//! # sha256 of the lines above: 9f86d081…
//! ```
//!
//! 1. An import writes it, durably, before anything else, and removes it, durably, after everything
//!    else. So a directory without it holds nothing of an import, or all of it.
//! 2. While it is there nothing but another import opens the directory. Whoever does checks twice:
//!    before the lock, so that nothing is touched in vain, and with it, because an import may have
//!    begun, and died, in between.
//! 3. `config` names the settings file that the import will make, so that the next one tells it from
//!    an operator's own; `page` names the page that it will write.
//! 4. Only a marker that is whole, which its last line proves, gives the files beside it to the next
//!    import. Any other forbids to open the directory all the same, and gives nothing away.

use std::io::ErrorKind;
use std::sync::Arc;

use heliosdb_plugin_host::StateFileError;
use heliosdb_plugin_host::file::Sha256;
use heliosdb_plugin_host::state_file;
use heliosdb_sql::types::datetime::write_timestamp;
use heliosdb_storage::Engine;
use heliosdb_storage::io::{Io, OpenMode};
use serde::{Deserialize, Serialize};

use crate::backup;
use crate::config::{Config, Switch};
use crate::edition::{self, LITE};
use crate::error::Error;

pub(crate) const MARKER_FILE: &str = "import.pending";
const FORMAT: u32 = 1;
/// Begins the last line, whatever it says.
const SEAL: &str = "# sha256 of the lines above: ";
/// More than a marker can have, whatever the dump is called.
const BYTES_MAX: u64 = 64 << 10;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Marker {
    format: u32,
    pub dump: String,
    pub dump_id: String,
    pub started_at_micros: u64,
    /// The directory, and as many above it, were not there before the import, nor before those that it
    /// repeats.
    pub made_directories: u32,
    /// A file that the import writes for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigFile>,
}

/// What a directory says of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// There is none that has not finished.
    Absent,
    /// There is one, and what belongs to a database is its own.
    Whole(Box<Marker>),
    /// A file by that name which no import wrote to its end: it proves nothing.
    Torn,
}

/// The settings file that an import makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigFile {
    pub file: String,
    pub sha256: Sha256,
}

impl Marker {
    pub fn new(dump: &str, dump_id: &str, started_at_micros: u64) -> Marker {
        Marker {
            format: FORMAT,
            dump: dump.to_owned(),
            dump_id: dump_id.to_owned(),
            started_at_micros,
            made_directories: 0,
            page: None,
            config: None,
        }
    }

    /// Make it durable.
    pub fn write(&self, io: &Arc<dyn Io>) -> Result<(), StateFileError> {
        let toml = toml::to_string(self).map_err(|error| StateFileError {
            file: MARKER_FILE,
            why: error.to_string(),
        })?;
        let mut text = format!("{}\n{toml}", self.explain());
        text += &seal(&text);
        state_file::replace(io, MARKER_FILE, &text)
    }

    /// For whoever finds the file and wonders. One line, whatever the dump is called.
    fn explain(&self) -> String {
        let dump = self.dump.escape_debug();
        let started = show_time(self.started_at_micros);
        format!(
            "# An import of \"{dump}\" into this directory began at {started} and has not finished: \
             what is here is no whole database. Run the import again; it starts over."
        )
    }

    /// What an import that did not finish left.
    ///
    /// # Errors
    ///
    /// The file is there and cannot be read.
    pub fn read(io: &Arc<dyn Io>) -> Result<Sign, StateFileError> {
        let failed = |error: std::io::Error| StateFileError {
            file: MARKER_FILE,
            why: error.to_string(),
        };
        let file = match io.open(MARKER_FILE, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Sign::Absent),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = vec![0; file.len().map_err(failed)?.min(BYTES_MAX) as usize];
        let got = file.read_at(&mut bytes, 0).map_err(failed)?;
        let marker = std::str::from_utf8(&bytes[..got]).ok().and_then(parse);
        Ok(marker.map_or(Sign::Torn, |marker| Sign::Whole(Box::new(marker))))
    }

    /// The last step of an import.
    pub fn remove(io: &Arc<dyn Io>) -> Result<(), StateFileError> {
        state_file::remove(io, MARKER_FILE)
    }
}

/// The last line, which proves that those before it are whole.
fn seal(lines: &str) -> String {
    format!("{SEAL}{}\n", Sha256::of(lines.as_bytes()))
}

/// `None` when it is not what [`Marker::write`] wrote.
fn parse(text: &str) -> Option<Marker> {
    let (lines, sealed) = text.split_at(text.rfind(SEAL)?);
    if sealed != seal(lines) {
        return None;
    }
    let marker: Marker = toml::from_str(lines).ok()?;
    (marker.format == FORMAT).then_some(marker)
}

/// [`Error::ImportPending`] when the file is there.
pub(crate) fn refuse(io: &Arc<dyn Io>) -> Result<(), Error> {
    match io.list("")?.iter().any(|name| name == MARKER_FILE) {
        true => Err(Error::ImportPending),
        false => Ok(()),
    }
}

/// The engine of a directory that holds a whole database of the edition, or none yet.
pub(crate) fn open_engine(
    io: Arc<dyn Io>,
    config: &Config,
    edition: &str,
) -> Result<Engine, Error> {
    if edition == LITE && config.background.cpu_governor == Switch::Off {
        return Err(Error::GovernorOff);
    }
    refuse(&io)?;
    let options = heliosdb_storage::Options {
        archive: backup::archive_of(config, io.root().as_deref())?,
        ..config.storage_options()
    };
    let engine = Engine::open(io.clone(), options)?;
    refuse(&io)?;
    edition::claim(&engine, edition)?;
    Ok(engine)
}

/// Microseconds since the Unix epoch, for people: to the second.
pub(crate) fn show_time(micros: u64) -> String {
    show_moment(micros - micros % 1_000_000)
}

/// The same to the microsecond, for commits.
pub(crate) fn show_moment(micros: u64) -> String {
    let mut text = String::new();
    write_timestamp(i64::try_from(micros).unwrap_or(i64::MAX), &mut text);
    text + " UTC"
}

#[cfg(test)]
mod tests {
    use heliosdb_storage::io::disk::Disk;

    use super::*;
    use crate::{Database, plugins};

    fn disk() -> (tempfile::TempDir, Arc<dyn Io>) {
        let directory = tempfile::tempdir().unwrap();
        let io: Arc<dyn Io> = Arc::new(Disk::open(directory.path()).unwrap());
        (directory, io)
    }

    #[test]
    fn it_says_what_happened_and_reads_back() {
        let (_directory, io) = disk();
        assert_eq!(Marker::read(&io).unwrap(), Sign::Absent);
        let mut marker = Marker::new("my\ndb.dump", "id", 1_795_237_200_123_456);
        marker.config = Some(ConfigFile {
            file: "heliosdb.toml".to_owned(),
            sha256: Sha256::of(b"x"),
        });
        marker.write(&io).unwrap();
        assert_eq!(Marker::read(&io).unwrap(), Sign::Whole(Box::new(marker)));
        let text = state_file::read(&io, MARKER_FILE).unwrap().unwrap();
        assert!(
            text.starts_with(
                "# An import of \"my\\ndb.dump\" into this directory began at \
                 2026-11-21 05:00:00 UTC and has not finished"
            ),
            "{text}"
        );
        Marker::remove(&io).unwrap();
        assert!(io.list("").unwrap().is_empty());
    }

    /// Cut anywhere, changed anywhere, of another format, or no text: it is no proof, and still a sign.
    #[test]
    fn one_that_is_not_whole_is_torn() {
        let (directory, io) = disk();
        Marker::new("a.dump", "id", 1).write(&io).unwrap();
        let whole = state_file::read(&io, MARKER_FILE).unwrap().unwrap();
        assert!(parse(&whole).is_some());
        let is_torn = |text: &[u8]| {
            overwrite(&io, text);
            assert_eq!(Marker::read(&io).unwrap(), Sign::Torn);
            assert!(matches!(refuse(&io), Err(Error::ImportPending)));
        };
        for length in 0..whole.len() {
            is_torn(&whole.as_bytes()[..length]);
        }
        for place in 0..whole.len() {
            let mut changed = whole.clone().into_bytes();
            changed[place] ^= 1;
            is_torn(&changed);
        }
        let of_tomorrow = Marker {
            format: FORMAT + 1,
            ..Marker::new("a.dump", "id", 1)
        };
        of_tomorrow.write(&io).unwrap();
        assert_eq!(Marker::read(&io).unwrap(), Sign::Torn);
        drop(directory);
    }

    fn overwrite(io: &Arc<dyn Io>, text: &[u8]) {
        let file = io.open(MARKER_FILE, OpenMode::ReadWrite).unwrap();
        file.set_len(0).unwrap();
        file.write_at(text, 0).unwrap();
    }

    #[test]
    fn nothing_opens_a_directory_that_has_it() {
        let (directory, io) = disk();
        let path = directory.path();
        Database::open(path).unwrap().close().unwrap();
        let before = io.list("").unwrap();
        let config = Config::default();
        Marker::new("a.dump", "id", 1).write(&io).unwrap();
        let refusals = [
            Database::open(path).map(drop).unwrap_err(),
            Database::plan_plugins(path, &config, &[])
                .map(drop)
                .unwrap_err(),
            plugins::dry_run(path, &config, &[], "lite")
                .map(drop)
                .unwrap_err(),
            plugins::finalize(path, &config, "lite", "p")
                .map(drop)
                .unwrap_err(),
            plugins::rollback(path, &config, "lite", "p")
                .map(drop)
                .unwrap_err(),
        ];
        for refused in refusals {
            assert!(matches!(refused.error, Error::ImportPending), "{refused}");
            let said = refused.to_string();
            assert!(
                said.contains("has not finished. Run the import again"),
                "{said}"
            );
        }
        Marker::remove(&io).unwrap();
        assert_eq!(io.list("").unwrap(), before);
        Database::open(path).unwrap().close().unwrap();
    }

    /// A new database is not made beside the sign either.
    #[test]
    fn nothing_is_made_in_a_directory_that_has_it() {
        let (directory, io) = disk();
        Marker::new("a.dump", "id", 1).write(&io).unwrap();
        Database::open(directory.path()).map(drop).unwrap_err();
        assert_eq!(io.list("").unwrap(), [MARKER_FILE]);
    }
}
