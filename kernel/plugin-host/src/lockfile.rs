//! `plugins.lock`: which plugin files this database has trusted with its process.
//!
//! A version of a plugin is one file for ever. The first load of a version pins its SHA-256; another
//! file that claims the same version is refused, because either it was damaged or exchanged, or its
//! author released two things under one name. A version that was never loaded is pinned beside the
//! older ones, and the log says so.
//!
//! ```toml
//! format = 1
//!
//! [[plugin]]
//! id = "jsonschema"
//! version = "1.0.0"
//! sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
//! ```
//!
//! To accept another file of the same version (an author who rebuilds), remove its `[[plugin]]` entry
//! while the server is stopped. Plugins that are linked into the server are not pinned: they are the
//! server.

use std::fmt;
use std::sync::Arc;

use heliosdb_plugin_api::manifest::Version;
use heliosdb_storage::io::Io;
use serde::{Deserialize, Serialize};

use crate::file::{PluginFile, Sha256};
use crate::state_file::{self, StateFileError};

pub const LOCK_FILE: &str = "plugins.lock";
const FORMAT: u32 = 1;
const HEADER: &str = "\
# Written by the server: the plugin files that this database has loaded, by their SHA-256.
# To accept another file of the same version, stop the server and remove the entry.
";

/// The pins of one database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginLock {
    /// In the order of id and version.
    pins: Vec<Pin>,
}

/// One version of one plugin and the file that it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    pub id: String,
    pub version: Version,
    pub sha256: Sha256,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    format: u32,
    #[serde(default, rename = "plugin")]
    pins: Vec<Pin>,
}

/// How a file stands to the pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// It is the pinned file.
    Same,
    /// No version of the plugin was ever loaded.
    First,
    /// Other versions were; this is the newest of them.
    NewVersion { newest: Version },
}

/// The file is not the one that was pinned under its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinMismatch {
    pub id: String,
    pub version: Version,
    pub pinned: Sha256,
    pub found: Sha256,
}

impl fmt::Display for PinMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "plugin \"{}\" {} is another file than the one first loaded: pinned sha256 {}, found {}. \
             Restore that file, raise the version, or remove the entry from {LOCK_FILE} to accept this one",
            self.id, self.version, self.pinned, self.found
        )
    }
}

impl std::error::Error for PinMismatch {}

impl PluginLock {
    /// The pins of the data directory; none when there is no file.
    pub fn read(io: &Arc<dyn Io>) -> Result<PluginLock, StateFileError> {
        match state_file::read(io, LOCK_FILE)? {
            None => Ok(PluginLock::default()),
            Some(text) => PluginLock::parse(&text),
        }
    }

    fn parse(text: &str) -> Result<PluginLock, StateFileError> {
        let refuse = |why: String| Err(StateFileError::new(LOCK_FILE, why));
        let Contents { format, mut pins } = toml::from_str(text)
            .map_err(|error| StateFileError::damaged(LOCK_FILE, text, &error))?;
        if format != FORMAT {
            return refuse(format!("format {format} is unknown, expected {FORMAT}"));
        }
        pins.sort_by(|a, b| (&a.id, a.version).cmp(&(&b.id, b.version)));
        for pair in pins.windows(2) {
            if (&pair[0].id, pair[0].version) == (&pair[1].id, pair[1].version) {
                let Pin { id, version, .. } = &pair[0];
                return refuse(format!("plugin \"{id}\" {version} is pinned twice"));
            }
        }
        Ok(PluginLock { pins })
    }

    /// Whether `file` may be loaded.
    pub fn check(&self, file: &PluginFile) -> Result<Pinned, PinMismatch> {
        let (id, version) = (&file.manifest.id, file.manifest.version);
        let own = || self.pins.iter().filter(|pin| pin.id == *id);
        match own().find(|pin| pin.version == version) {
            Some(pin) if pin.sha256 == file.sha256 => Ok(Pinned::Same),
            Some(pin) => Err(PinMismatch {
                id: id.clone(),
                version,
                pinned: pin.sha256,
                found: file.sha256,
            }),
            None => Ok(match own().next_back() {
                Some(pin) => Pinned::NewVersion {
                    newest: pin.version,
                },
                None => Pinned::First,
            }),
        }
    }

    /// Pin `file`, which [`PluginLock::check`] accepted. True if there is something to write.
    pub fn pin(&mut self, file: &PluginFile) -> Result<bool, PinMismatch> {
        let id = &file.manifest.id;
        let version = file.manifest.version;
        match self.check(file)? {
            Pinned::Same => return Ok(false),
            Pinned::First => {
                tracing::info!(plugin = %id, %version, sha256 = %file.sha256, "plugin file pinned");
            }
            Pinned::NewVersion { newest } => {
                tracing::info!(plugin = %id, %version, %newest, sha256 = %file.sha256,
                    "another version of a plugin pinned");
            }
        }
        let key = (id, version);
        let place = self
            .pins
            .partition_point(|pin| (&pin.id, pin.version) < key);
        let pin = Pin {
            id: id.clone(),
            version,
            sha256: file.sha256,
        };
        self.pins.insert(place, pin);
        Ok(true)
    }

    /// Make the pins durable. To be done before the first pinned file is loaded.
    pub fn write(&self, io: &Arc<dyn Io>) -> Result<(), StateFileError> {
        let contents = Contents {
            format: FORMAT,
            pins: self.pins.clone(),
        };
        let text =
            toml::to_string(&contents).map_err(|error| StateFileError::new(LOCK_FILE, error))?;
        state_file::replace(io, LOCK_FILE, &format!("{HEADER}{text}"))
    }

    pub fn pins(&self) -> &[Pin] {
        &self.pins
    }

    /// The ids of all plugins ever loaded from a file, each once.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let mut last = None;
        self.pins.iter().filter_map(move |pin| {
            let new = last != Some(&pin.id);
            last = Some(&pin.id);
            new.then_some(pin.id.as_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Build;
    use heliosdb_plugin_api::manifest::Manifest;
    use heliosdb_storage::io::disk::Disk;

    fn file(version: &str, content: &str) -> PluginFile {
        let manifest = format!("id = \"a\"\nversion = \"{version}\"\nabi = 1\n");
        PluginFile {
            path: "a.so".into(),
            sha256: Sha256::of(content.as_bytes()),
            stamp: Default::default(),
            manifest: Manifest::parse(&manifest).unwrap(),
            build: Build {
                abi: 1,
                panic: "unwind".to_owned(),
            },
            exports: Vec::new(),
            imports: Vec::new(),
        }
    }

    #[test]
    fn a_version_is_one_file_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let io: Arc<dyn Io> = Arc::new(Disk::open(directory.path()).unwrap());
        let mut lock = PluginLock::read(&io).unwrap();
        assert_eq!(lock.check(&file("1.0.0", "x")), Ok(Pinned::First));
        assert_eq!(lock.pin(&file("1.0.0", "x")), Ok(true));
        assert_eq!(lock.pin(&file("1.0.0", "x")), Ok(false));
        lock.write(&io).unwrap();

        let mut lock = PluginLock::read(&io).unwrap();
        assert_eq!(lock.check(&file("1.0.0", "x")), Ok(Pinned::Same));
        let mismatch = lock.check(&file("1.0.0", "y")).unwrap_err().to_string();
        let (x, y) = (Sha256::of(b"x"), Sha256::of(b"y"));
        assert!(
            mismatch.contains(&format!("pinned sha256 {x}, found {y}")),
            "{mismatch}"
        );

        // A new version is pinned beside the old one, which stays what it was.
        let newest = "1.0.0".parse().unwrap();
        let new = file("1.1.0", "y");
        assert_eq!(lock.check(&new), Ok(Pinned::NewVersion { newest }));
        assert_eq!(lock.pin(&new), Ok(true));
        lock.write(&io).unwrap();
        let lock = PluginLock::read(&io).unwrap();
        assert_eq!(lock.pins().len(), 2);
        assert_eq!(lock.ids().collect::<Vec<_>>(), ["a"]);
        assert!(lock.check(&file("1.0.0", "y")).is_err());
    }

    #[test]
    fn a_damaged_file_is_refused_with_its_line() {
        let error = |text: &str| PluginLock::parse(text).unwrap_err().to_string();
        assert_eq!(
            error("format = 2\n"),
            "plugins.lock in the data directory: format 2 is unknown, expected 1"
        );
        assert!(error("format = 1\n[[plugin]]\nid = 7\n").contains("line 3"));
        let pin = format!(
            "[[plugin]]\nid = \"a\"\nversion = \"1.0.0\"\nsha256 = \"{}\"\n",
            Sha256::of(b"x")
        );
        assert!(error(&format!("format = 1\n{pin}{pin}")).contains("pinned twice"));
        assert!(
            error("format = 1\n[[plugin]]\nid = \"a\"\nversion = \"1\"\nsha256 = \"00\"\n")
                .contains("not a SHA-256")
        );
    }
}
