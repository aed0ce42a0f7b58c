//! A plugin file, read and judged without running any of it.
//!
//! Loading a shared object runs its initialisers, so everything that can be known before is taken
//! from its bytes: that it is whole and for this machine, how it was built, what it claims to be and
//! that it has a root. What only running can tell (layouts, registrations) is the loader's business.
//!
//! [`PluginFile::read`] stops at the first reason to refuse; [`examine`] goes on as far as it can,
//! for `plugin check`. No content of a file, however damaged, makes either panic.

mod elf;
#[cfg(test)]
pub(crate) mod forge;
mod refusal;
mod sha256;
mod suspicion;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use heliosdb_plugin_api::abi::{ABI_VERSION, BUILD_SECTION, MANIFEST_SECTION, ROOT_SYMBOL};
use heliosdb_plugin_api::manifest::Manifest;

use elf::Image;

pub use elf::{Allocator, Import};
pub use refusal::{FileError, Refusal};
pub use sha256::Sha256;
pub use suspicion::Warning;

/// The end of the name of a file that [`discover`] takes for a plugin.
pub const EXTENSION: &str = "so";
/// A debug build with all its symbols is some 100 MB.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A file that may be loaded, as far as reading can tell.
#[derive(Clone, Debug)]
pub struct PluginFile {
    pub path: PathBuf,
    pub sha256: Sha256,
    pub(crate) stamp: Stamp,
    pub manifest: Manifest,
    pub build: Build,
    pub exports: Vec<String>,
    pub imports: Vec<Import>,
}

/// Which file of the file system was read, and when it was last written: inode, bytes, and the time
/// in seconds and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// What the build section says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    pub abi: u32,
    pub panic: String,
}

/// Everything that reading tells of a file that is a shared object.
#[derive(Debug)]
pub struct Examined {
    pub bytes: u64,
    pub sha256: Sha256,
    pub(crate) stamp: Stamp,
    pub build: Result<Build, Refusal>,
    pub manifest: Result<Manifest, Refusal>,
    /// The root's symbol is exported.
    pub root: Result<(), Refusal>,
    pub exports: Vec<String>,
    pub imports: Vec<Import>,
    /// The libraries it needs.
    pub libraries: Vec<String>,
    pub allocator: Allocator,
    pub warnings: Vec<Warning>,
}

impl PluginFile {
    pub fn read(path: &Path) -> Result<PluginFile, FileError> {
        let examined = examine(path)?;
        let id = examined.manifest.as_ref().ok().map(|m| m.id.clone());
        PluginFile::accept(path, examined).map_err(|refusal| FileError {
            path: path.to_path_buf(),
            id,
            refusal,
        })
    }

    /// The build is judged before the manifest: a newer ABI may have a newer kind of manifest.
    fn accept(path: &Path, examined: Examined) -> Result<PluginFile, Refusal> {
        let build = examined.build?;
        let manifest = examined.manifest?;
        examined.root?;
        if manifest.abi != build.abi {
            return Err(Refusal::AbiDisagrees {
                manifest: manifest.abi,
                build: build.abi,
            });
        }
        Ok(PluginFile {
            path: path.to_path_buf(),
            sha256: examined.sha256,
            stamp: examined.stamp,
            manifest,
            build,
            exports: examined.exports,
            imports: examined.imports,
        })
    }

    /// The file is still the one that was judged, of which the hash is. Between the two the server
    /// may have waited for other plugins.
    ///
    /// # Errors
    ///
    /// One line.
    #[expect(
        clippy::disallowed_methods,
        reason = "plugin files are the operator's and may lie outside the data directory"
    )]
    pub(crate) fn check_unchanged(&self) -> Result<(), String> {
        let metadata = fs::metadata(&self.path).map_err(|e| format!("it cannot be read: {e}"))?;
        if Stamp::of(&metadata) != self.stamp {
            return Err("its file was exchanged after the server had checked it".to_owned());
        }
        Ok(())
    }
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// Read all that can be told of a file. An error means that it is no whole shared object of this
/// machine; what it lacks as a plugin is in the parts of [`Examined`].
pub fn examine(path: &Path) -> Result<Examined, FileError> {
    let examined = Bytes::read(path).and_then(|bytes| examine_bytes(bytes.as_slice(), bytes.stamp));
    examined.map_err(|refusal| FileError {
        path: path.to_path_buf(),
        id: None,
        refusal,
    })
}

fn examine_bytes(data: &[u8], stamp: Stamp) -> Result<Examined, Refusal> {
    let image = Image::parse(data)?;
    let (exports, imports) = image.dynamic_symbols()?;
    let libraries = image.libraries()?;
    let allocator = image.allocator()?;
    let root = match exports.iter().any(|name| name == ROOT_SYMBOL) {
        true => Ok(()),
        false => Err(Refusal::NoRoot),
    };
    Ok(Examined {
        bytes: data.len() as u64,
        sha256: Sha256::of(data),
        stamp,
        build: build(&image),
        manifest: manifest(&image),
        root,
        warnings: suspicion::warnings(&exports, &imports, &libraries, allocator),
        exports,
        imports,
        libraries,
        allocator,
    })
}

/// A file without a manifest is no plugin at all, which is said before how it was built.
fn build(image: &Image<'_>) -> Result<Build, Refusal> {
    text(image, MANIFEST_SECTION)?.ok_or(Refusal::NoManifest)?;
    let text = text(image, BUILD_SECTION)?.ok_or(Refusal::NoBuild)?;
    let build = Build::parse(text)?;
    if build.abi != ABI_VERSION {
        return Err(Refusal::Abi { found: build.abi });
    }
    match build.panic.as_str() {
        "unwind" => Ok(build),
        "abort" => Err(Refusal::Abort),
        other => Err(Refusal::Panic(other.to_owned())),
    }
}

fn manifest(image: &Image<'_>) -> Result<Manifest, Refusal> {
    let text = text(image, MANIFEST_SECTION)?.ok_or(Refusal::NoManifest)?;
    Ok(Manifest::parse(text)?)
}

fn text<'data>(image: &Image<'data>, section: &'static str) -> Result<Option<&'data str>, Refusal> {
    let Some(bytes) = image.section(section)? else {
        return Ok(None);
    };
    std::str::from_utf8(bytes)
        .map(Some)
        .map_err(|error| Refusal::Section {
            section,
            why: format!("not UTF-8 after {} bytes", error.valid_up_to()),
        })
}

impl Build {
    /// Lines of `key=value`. Keys that are not known here are left alone: a later kit may say more.
    fn parse(text: &str) -> Result<Build, Refusal> {
        let wrong = |why: String| Refusal::Section {
            section: BUILD_SECTION,
            why,
        };
        let (mut abi, mut panic) = (None, None);
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let (key, value) = line
                .split_once('=')
                .ok_or_else(|| wrong(format!("\"{line}\" is not key=value")))?;
            let again = match key.trim() {
                "abi" => abi.replace(value.trim()).is_some(),
                "panic" => panic.replace(value.trim()).is_some(),
                _ => false,
            };
            if again {
                return Err(wrong(format!("\"{}\" is said twice", key.trim())));
            }
        }
        let abi = abi.ok_or_else(|| wrong("there is no line abi=".to_owned()))?;
        let panic = panic.ok_or_else(|| wrong("there is no line panic=".to_owned()))?;
        Ok(Build {
            abi: abi
                .parse()
                .map_err(|_| wrong(format!("abi=\"{abi}\" is not a number")))?,
            panic: panic.to_owned(),
        })
    }
}

/// The plugin files in `directory`, in the order of their names: those that may be loaded and those
/// that are refused. Names that do not end in `.so`, and hidden ones, are nobody's of ours.
#[expect(
    clippy::disallowed_methods,
    reason = "plugin files are the operator's and may lie outside the data directory"
)]
pub fn discover(directory: &Path) -> std::io::Result<Vec<Result<PluginFile, FileError>>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|e| e == EXTENSION) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths.iter().map(|path| PluginFile::read(path)).collect())
}

/// The content of a file at an address that suits every ELF structure.
struct Bytes {
    words: Vec<u64>,
    len: usize,
    stamp: Stamp,
}

impl Bytes {
    #[expect(
        clippy::disallowed_methods,
        reason = "plugin files are the operator's and may lie outside the data directory"
    )]
    fn read(path: &Path) -> Result<Bytes, Refusal> {
        let mut file = fs::File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Refusal::NotAFile);
        }
        let bytes = metadata.len();
        let len = match usize::try_from(bytes) {
            Ok(len) if bytes <= FILE_BYTES_MAX => len,
            _ => {
                return Err(Refusal::TooLarge {
                    bytes,
                    max: FILE_BYTES_MAX,
                });
            }
        };
        let mut words = vec![0u64; len.div_ceil(size_of::<u64>())];
        file.read_exact(&mut object::pod::bytes_of_slice_mut(&mut words)[..len])?;
        let stamp = Stamp::of(&metadata);
        Ok(Bytes { words, len, stamp })
    }

    fn as_slice(&self) -> &[u8] {
        &object::pod::bytes_of_slice(&self.words)[..self.len]
    }
}
