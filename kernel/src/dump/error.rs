//! Why a dump is not imported, or not compared.
//!
//! In PostgreSQL's manner: the error's own text is one line, [`ImportError::detail`] lists everything
//! of the kind that is wrong, [`ImportError::hint`] says what to do. Each kind is looked for to its
//! end, so that nobody has to come back for the second missing plugin.

use std::fmt;
use std::path::PathBuf;

use heliosdb_plugin_host::StateFileError;
use heliosdb_plugin_host::boot::BootError;
use heliosdb_sql::SqlError;

use super::marker::show_time;
use super::report::Report;
use super::text::{bytes, counted};
use crate::config::ConfigError;
use crate::error::{Error, OpenError};

/// See the module's header. Whatever it is, the target of an import is as it was before, unless
/// [`ImportError::Leftovers`] says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot open \"{}\": {error}", file.display())]
    File {
        file: PathBuf,
        error: std::io::Error,
    },
    /// Damage, truncation, another format, content that contradicts itself.
    #[error(transparent)]
    Dump(Box<heliosdb_dump::Error>),
    #[error("a dump of HeliosDB {dump} cannot be imported into HeliosDB {here}")]
    Edition { dump: String, here: String },
    /// Rows of the catalog that this build does not understand.
    #[error("this build cannot read {} of the dump's catalog", counted(.0.len() as u64, "entry"))]
    Catalog(Vec<String>),
    #[error("plugins that the dump needs are not ready here: {}", names(.0))]
    Plugins(Vec<PluginProblem>),
    #[error("cannot import into \"{}\": {why}", directory.display())]
    Target { directory: PathBuf, why: String },
    /// An import whose end nobody saw is run again.
    #[error(
        "\"{}\" is already imported into \"{}\", at {}",
        file.display(),
        directory.display(),
        show_time(*at_micros)
    )]
    Already {
        file: PathBuf,
        directory: PathBuf,
        at_micros: u64,
    },
    #[error(
        "not enough space in \"{}\": the database may need {}, and there is room for {}",
        directory.display(),
        bytes(*needed_bytes),
        bytes(*free_bytes)
    )]
    Space {
        directory: PathBuf,
        needed_bytes: u64,
        free_bytes: u64,
    },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Boot(#[from] BootError),
    /// Plugins that did not start although they could have been expected to, with the reasons.
    #[error("plugins did not start on what was imported: {}", names(.0))]
    NotStarted(Vec<PluginProblem>),
    /// The directory to compare cannot be opened.
    #[error(transparent)]
    Open(Box<OpenError>),
    /// The state of plugins has to be migrated before it can be compared; a line for each of them.
    #[error("migrations of plugins are pending")]
    Pending(Vec<String>),
    /// What was read back is not what the dump has.
    #[error("what was imported differs from the dump")]
    Differs(Box<Report>),
    #[error(transparent)]
    Kernel(Box<Error>),
    #[error(transparent)]
    StateFile(#[from] StateFileError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Storage(#[from] heliosdb_storage::Error),
    #[error("{}", .0.message)]
    Sql(Box<SqlError>),
    /// The import failed, and so did taking away what it had made.
    #[error("{error}; and what it made could not be removed: {why}")]
    Leftovers {
        error: Box<ImportError>,
        why: String,
    },
}

/// What speaks against one plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginProblem {
    pub plugin: String,
    /// That the dump was written with; empty when nobody knew.
    pub version: String,
    pub why: String,
}

impl fmt::Display for PluginProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PluginProblem {
            plugin,
            version,
            why,
        } = self;
        match version.is_empty() {
            true => write!(f, "plugin \"{plugin}\": {why}"),
            false => write!(f, "plugin \"{plugin}\" {version}: {why}"),
        }
    }
}

/// Each plugin once.
fn names(problems: &[PluginProblem]) -> String {
    let mut names: Vec<&str> = problems.iter().map(|p| p.plugin.as_str()).collect();
    names.dedup();
    names.join(", ")
}

impl ImportError {
    /// Everything that is wrong, one thing a line.
    pub fn detail(&self) -> Option<String> {
        let lines = |problems: &[PluginProblem]| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            lines.join("\n")
        };
        match self {
            ImportError::Plugins(problems) | ImportError::NotStarted(problems) => {
                Some(lines(problems))
            }
            ImportError::Catalog(lines) | ImportError::Pending(lines) => Some(lines.join("\n")),
            ImportError::Differs(report) => Some(report.remarks().join("\n")),
            ImportError::Sql(error) => error.detail.clone(),
            ImportError::Leftovers { error, .. } => error.detail(),
            _ => None,
        }
    }

    /// All three, as PostgreSQL's programs print them.
    pub fn explain(&self) -> String {
        let mut text = self.to_string();
        if let Some(detail) = self.detail() {
            text += &format!("\nDETAIL:  {}", detail.replace('\n', "\n         "));
        }
        if let Some(hint) = self.hint() {
            text += &format!("\nHINT:  {hint}");
        }
        text
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            ImportError::Dump(error)
                if matches!(**error, heliosdb_dump::Error::UnsupportedVersion { .. }) =>
            {
                "Import with a version that reads this format. Nothing was changed."
            }
            ImportError::Dump(error) if error.is_damage() => {
                "Copy the dump again, or export it again. Nothing was changed."
            }
            ImportError::Edition { .. } => "Compatibility runs from Lite to Full only.",
            ImportError::Catalog(_) => {
                "Import with the version that wrote the dump, or a newer one."
            }
            ImportError::Plugins(_) => {
                "Put each missing plugin into the plugin directory of the target. Where only state of \
                 it would stay behind, unread, --keep-orphans imports without it."
            }
            ImportError::Target { .. } => {
                "An import needs a directory that does not exist, is empty, or has only heliosdb.toml \
                 and plugins in it."
            }
            ImportError::Already { .. } => {
                "verify-migration compares the two; helios_imports has what was imported. Nothing was \
                 changed."
            }
            ImportError::Space { .. } => "Free some space, or import to another disk.",
            ImportError::NotStarted(_) => {
                "Nothing was changed. Bring a plugin that works, or remove it."
            }
            ImportError::Differs(_) => "Nothing was kept. This is a bug; please report it.",
            ImportError::Leftovers { .. } => {
                "Remove the directory, or run the import again: it starts over."
            }
            ImportError::Pending(_) => {
                "Start heliosdb-full on the database once, or run heliosdb-full plugin migrate, and \
                 compare then. Nothing was changed."
            }
            // It says so itself.
            ImportError::Open(_) => return None,
            ImportError::Sql(error) => return error.hint.clone(),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl From<heliosdb_dump::Error> for ImportError {
    fn from(error: heliosdb_dump::Error) -> ImportError {
        ImportError::Dump(Box::new(error))
    }
}

impl From<OpenError> for ImportError {
    fn from(error: OpenError) -> ImportError {
        ImportError::Open(Box::new(error))
    }
}

impl From<SqlError> for ImportError {
    fn from(error: SqlError) -> ImportError {
        ImportError::Sql(Box::new(error))
    }
}

/// What the layers below refuse while a directory is being filled.
impl From<Error> for ImportError {
    fn from(error: Error) -> ImportError {
        match error {
            Error::Storage(error) => error.into(),
            Error::Plugins(error) => error.into(),
            Error::StateFile(error) => error.into(),
            Error::Directory(error) => error.into(),
            Error::Sql(error) => error.into(),
            other => ImportError::Kernel(Box::new(other)),
        }
    }
}
