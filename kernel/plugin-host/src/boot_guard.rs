//! The crash-loop guard: a plugin file whose start killed the server twice in a row is left out.
//!
//! No guard inside the process survives a segmentation fault or an abort, so this one is a file in
//! the data directory, `plugins.starting`. Before the host loads and starts a plugin file it writes
//! down that it does, durably; afterwards it takes the note back. A note that is found at boot tells
//! that the process died in between.
//!
//! 1. [`BootGuard::read`]: every note still `starting` is counted as a death.
//! 2. [`BootGuard::quarantine`]: a file with [`DEATHS_MAX`] deaths in a row is not started again.
//! 3. [`BootGuard::begin`] … the start … [`BootGuard::finish`]; one that did not end in time is
//!    counted as a death too ([`BootGuard::hung`]), so that not every boot waits for it.
//!
//! A start that ends, well or with an error, clears the count: only deaths in a row are counted. A
//! note belongs to a file's content. Another file, be it a new version or a repaired build, starts
//! afresh; so does the same one once its entry is removed from `plugins.starting`.

use std::sync::Arc;

use heliosdb_plugin_api::manifest::Version;
use heliosdb_storage::io::Io;
use serde::{Deserialize, Serialize};

use crate::file::{PluginFile, Sha256};
use crate::state_file::{self, StateFileError};

pub const STARTING_FILE: &str = "plugins.starting";
/// One death may be a power cut or a kill that came at a bad moment; two in a row are the plugin's.
pub const DEATHS_MAX: u32 = 2;
const HEADER: &str = "\
# Written by the server: plugin files being started, or whose start ended the server.
# To let a quarantined file try again, stop the server and remove its entry.
";

/// The notes of one database.
pub struct BootGuard {
    io: Arc<dyn Io>,
    notes: Vec<Note>,
    /// There is a file to remove when the last note goes.
    written: bool,
}

/// What is known of the starts of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    id: String,
    version: Version,
    sha256: Sha256,
    /// A start has begun and not ended.
    starting: bool,
    /// Starts in a row in which the process died or that did not end in time.
    deaths: u32,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    #[serde(default, rename = "plugin")]
    notes: Vec<Note>,
}

impl BootGuard {
    /// Read the notes and count the deaths they tell of. The count is durable with the next change.
    pub fn read(io: Arc<dyn Io>) -> Result<BootGuard, StateFileError> {
        let text = state_file::read(&io, STARTING_FILE)?;
        let contents: Contents =
            toml::from_str(text.as_deref().unwrap_or_default()).map_err(|error| {
                StateFileError::damaged(STARTING_FILE, text.as_deref().unwrap_or_default(), &error)
            })?;
        let mut notes = contents.notes;
        for note in notes.iter_mut().filter(|note| note.starting) {
            note.starting = false;
            note.deaths = note.deaths.saturating_add(1);
            tracing::warn!(plugin = %note.id, version = %note.version, deaths = note.deaths,
                "the server ended while it started this plugin");
        }
        Ok(BootGuard {
            io,
            notes,
            written: text.is_some(),
        })
    }

    /// Why `file` must not be started, if so.
    pub fn quarantine(&self, file: &PluginFile) -> Option<String> {
        let note = self.notes.iter().find(|note| note.is_of(file))?;
        (note.deaths >= DEATHS_MAX).then(|| {
            format!(
                "the server ended, or waited in vain, {} times in a row while it started this file; \
                 install another build, or remove the entry from {STARTING_FILE} to try again",
                note.deaths
            )
        })
    }

    /// Make the counted deaths durable and forget notes of files that are not there any more.
    pub fn settle(&mut self, present: &[&PluginFile]) -> Result<(), StateFileError> {
        self.notes
            .retain(|note| present.iter().any(|file| note.is_of(file)));
        self.write()
    }

    /// To be called before anything of `file` runs; it is on disk when this returns.
    pub fn begin(&mut self, file: &PluginFile) -> Result<(), StateFileError> {
        let deaths = self.take(file).map_or(0, |note| note.deaths);
        self.notes.push(Note {
            id: file.manifest.id.clone(),
            version: file.manifest.version,
            sha256: file.sha256,
            starting: true,
            deaths,
        });
        self.write()
    }

    /// The start ended, well or with an error, and the process is alive.
    pub fn finish(&mut self, file: &PluginFile) -> Result<(), StateFileError> {
        self.take(file);
        self.write()
    }

    /// The start did not end in time. It still runs, on a thread that nobody waits for.
    pub fn hung(&mut self, file: &PluginFile) -> Result<(), StateFileError> {
        if let Some(mut note) = self.take(file) {
            note.starting = false;
            note.deaths = note.deaths.saturating_add(1);
            self.notes.push(note);
        }
        self.write()
    }

    fn take(&mut self, file: &PluginFile) -> Option<Note> {
        let place = self.notes.iter().position(|note| note.is_of(file))?;
        Some(self.notes.remove(place))
    }

    /// A database whose plugins start well has no such file.
    fn write(&mut self) -> Result<(), StateFileError> {
        if self.notes.is_empty() {
            if std::mem::take(&mut self.written) {
                state_file::remove(&self.io, STARTING_FILE)?;
            }
            return Ok(());
        }
        self.written = true;
        let contents = Contents {
            notes: self.notes.clone(),
        };
        let text = toml::to_string(&contents)
            .map_err(|error| StateFileError::new(STARTING_FILE, error))?;
        state_file::replace(&self.io, STARTING_FILE, &format!("{HEADER}{text}"))
    }
}

impl Note {
    fn is_of(&self, file: &PluginFile) -> bool {
        self.id == file.manifest.id && self.sha256 == file.sha256
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Build;
    use heliosdb_plugin_api::manifest::Manifest;
    use heliosdb_storage::io::disk::Disk;

    fn file(content: &str) -> PluginFile {
        PluginFile {
            path: "a.so".into(),
            sha256: Sha256::of(content.as_bytes()),
            stamp: Default::default(),
            manifest: Manifest::parse("id = \"a\"\nversion = \"1.0.0\"\nabi = 1\n").unwrap(),
            build: Build {
                abi: 1,
                panic: "unwind".to_owned(),
            },
            exports: Vec::new(),
            imports: Vec::new(),
        }
    }

    fn directory() -> (tempfile::TempDir, Arc<dyn Io>) {
        let directory = tempfile::tempdir().unwrap();
        let io: Arc<dyn Io> = Arc::new(Disk::open(directory.path()).unwrap());
        (directory, io)
    }

    /// A boot that dies in the start of `file`: the guard is read, told, and never told the end.
    fn die_in_start(io: &Arc<dyn Io>, file: &PluginFile) {
        let mut guard = BootGuard::read(io.clone()).unwrap();
        assert_eq!(guard.quarantine(file), None);
        guard.settle(&[file]).unwrap();
        guard.begin(file).unwrap();
    }

    #[test]
    fn two_deaths_in_a_row_are_a_quarantine() {
        let (_directory, io) = directory();
        let bad = file("bad");
        die_in_start(&io, &bad);
        die_in_start(&io, &bad);
        // Later boots leave it out, and the count does not grow with them.
        for _ in 0..3 {
            let mut guard = BootGuard::read(io.clone()).unwrap();
            let reason = guard.quarantine(&bad).unwrap();
            assert!(reason.contains("2 times in a row"), "{reason}");
            guard.settle(&[&bad]).unwrap();
        }
        // Another content under the same name starts afresh, and the old note goes.
        let mended = file("mended");
        let mut guard = BootGuard::read(io.clone()).unwrap();
        assert_eq!(guard.quarantine(&mended), None);
        guard.settle(&[&mended]).unwrap();
        assert!(io.list("").unwrap().is_empty());
    }

    #[test]
    fn a_start_that_ends_clears_the_count() {
        let (_directory, io) = directory();
        let shaky = file("shaky");
        for _ in 0..4 {
            die_in_start(&io, &shaky);
            let mut guard = BootGuard::read(io.clone()).unwrap();
            assert_eq!(guard.quarantine(&shaky), None);
            guard.begin(&shaky).unwrap();
            guard.finish(&shaky).unwrap();
            assert!(io.list("").unwrap().is_empty());
        }
    }

    #[test]
    fn a_start_that_hangs_counts_as_a_death() {
        let (_directory, io) = directory();
        let slow = file("slow");
        for hangs in 0..2 {
            let mut guard = BootGuard::read(io.clone()).unwrap();
            assert_eq!(guard.quarantine(&slow), None, "after {hangs}");
            guard.begin(&slow).unwrap();
            guard.hung(&slow).unwrap();
        }
        let guard = BootGuard::read(io.clone()).unwrap();
        assert!(guard.quarantine(&slow).is_some());
    }

    #[test]
    fn a_damaged_file_is_named() {
        let (_directory, io) = directory();
        state_file::replace(&io, STARTING_FILE, "[[plugin]]\nid = \"a\"\ncount = 1\n").unwrap();
        let error = BootGuard::read(io).map(drop).unwrap_err().to_string();
        assert!(
            error.starts_with("plugins.starting in the data directory: line 3"),
            "{error}"
        );
    }
}
