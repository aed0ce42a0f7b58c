//! Why a plugin file is refused.

use std::fmt;
use std::io;
use std::path::PathBuf;

use heliosdb_plugin_api::abi::{ABI_VERSION, BUILD_SECTION, MANIFEST_SECTION, ROOT_SYMBOL};
use heliosdb_plugin_api::manifest::ManifestError;

/// A refused file: one line, fit for a log and a terminal.
#[derive(Debug)]
pub struct FileError {
    pub path: PathBuf,
    /// The plugin that it claims to be, if it could say so.
    pub id: Option<String>,
    pub refusal: Refusal,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "plugin file \"{}\": {}",
            self.path.display(),
            self.refusal
        )
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.refusal)
    }
}

/// The reason, as a sentence about "it", the file.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("it is not a regular file")]
    NotAFile,
    #[error("it has {bytes} bytes; the most that is read is {max}")]
    TooLarge { bytes: u64, max: u64 },
    #[error("it is not a shared library: an ELF file was expected")]
    NotElf,
    #[error("plugin files cannot be loaded on this machine, only plugins that are linked in")]
    UnsupportedHost,
    #[error("it is built for {found}, and this server runs on {expected}")]
    Foreign {
        found: String,
        expected: &'static str,
    },
    #[error("it is {0}, not a shared library")]
    NotAShared(&'static str),
    #[error("it is truncated: it has {bytes} bytes and its headers describe {expected}")]
    Truncated { bytes: u64, expected: u64 },
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error(
        "it is a shared library but no HeliosDB plugin: there is no section {MANIFEST_SECTION}"
    )]
    NoManifest,
    #[error("it does not say how it was built: there is no section {BUILD_SECTION}")]
    NoBuild,
    #[error("section {section}: {why}")]
    Section { section: &'static str, why: String },
    #[error("manifest: {0}")]
    Manifest(#[from] ManifestError),
    #[error("it is built for plugin ABI {found}, and this server speaks ABI {ABI_VERSION}")]
    Abi { found: u32 },
    #[error("its manifest says abi = {manifest}, but it was built for plugin ABI {build}")]
    AbiDisagrees { manifest: u32, build: u32 },
    #[error(
        "it is built with panic = \"abort\", so a panic in it would end the server; build it with panic = \"unwind\""
    )]
    Abort,
    #[error("it is built with the unknown panic strategy \"{0}\"; \"unwind\" is needed")]
    Panic(String),
    #[error("it does not export the plugin's root, the symbol {ROOT_SYMBOL}")]
    NoRoot,
}

impl Refusal {
    pub(super) fn damaged(error: object::Error) -> Refusal {
        Refusal::Damaged(error.to_string())
    }
}
