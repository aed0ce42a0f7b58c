//! Everything that may speak against an import, asked before anything is written.
//!
//! In this order, each kind to its end: the file, byte by byte; its edition; whether this build reads
//! its catalog; the plugins that it needs; the target; space. Only a target that has this very dump
//! already is told at once: nothing else matters then.

use std::fs::File;
use std::io::Result as IoResult;
use std::path::{Path, PathBuf};

use heliosdb_dump::reader::Entries;
use heliosdb_dump::{Dump, Manifest, Progress};
use heliosdb_plugin_host::{migration, store};
use heliosdb_storage::catalog::{CATALOG as TABLES, FIRST_COLLECTION, decode_table};
use heliosdb_storage::history::named::{NamedPin, PINS};
use heliosdb_storage::ids::CollectionId;

use super::ImportOptions;
use super::earlier;
use super::error::ImportError;
use super::plugins::{self, Readiness};
use super::settings::{self, Settings};
use super::target::{CONFIG_FILE, Found, is_page_name};
use super::text::counted;

/// Problems of one kind that are listed; more say no more.
const LISTED_MAX: usize = 20;
/// The section of the catalog in a dump.
pub(super) const CATALOG_SECTION: &str = "catalog";

/// An import against which nothing speaks.
pub(super) struct Preflight {
    pub dump: Dump,
    pub found: Found,
    pub settings: Settings,
    pub readiness: Readiness,
}

/// See the module's header.
pub(super) fn preflight(
    file: &Path,
    target: &Path,
    options: &ImportOptions<'_>,
    progress: &dyn Progress,
) -> Result<Preflight, ImportError> {
    let dump = open(file, progress)?;
    let manifest = dump.manifest();
    check_edition(manifest, options.edition)?;
    check_catalog(&dump)?;
    // Looked at before its turn, because its settings and plugins count.
    let found = Found::look(target);
    if let Err(ImportError::Target { directory, .. }) = &found
        && let Some(at_micros) = earlier::imported_at(directory, &manifest.dump_id)
    {
        return Err(ImportError::Already {
            file: file.to_path_buf(),
            directory: directory.clone(),
            at_micros,
        });
    }
    let has_config = match &found {
        Ok(found) => found.has_config,
        Err(_) => target.join(CONFIG_FILE).is_file(),
    };
    let settings = settings::choose(target, has_config, dump.config()?, options);
    let (settings, found) = match (settings, found) {
        // In what is no directory of ours nothing has to be right.
        (Err(_), Err(refused)) => return Err(refused),
        (settings, found) => (settings?, found),
    };
    let readiness = plugins::check(manifest, &settings.survey, options.keep_orphans)?;
    let found = found?;
    if let Some(name) = options.page
        && !is_page_name(name)
    {
        return Err(ImportError::Target {
            directory: target.to_path_buf(),
            why: format!("\"{name}\" cannot be the report in it; it is called NAME.html"),
        });
    }
    check_space(manifest, &found, &settings)?;
    options.interrupt.check()?;
    Ok(Preflight {
        dump,
        found,
        settings,
        readiness,
    })
}

/// Opens a dump, which reads and checks all of it.
pub(super) fn open(file: &Path, progress: &dyn Progress) -> Result<Dump, ImportError> {
    let opened = open_file(file).map_err(|error| ImportError::File {
        file: file.to_path_buf(),
        error,
    })?;
    Ok(Dump::open(opened, &file.display().to_string(), progress)?)
}

#[allow(clippy::disallowed_methods)] // The dump is the user's file, not the database's.
fn open_file(file: &Path) -> IoResult<File> {
    File::open(file)
}

/// What Lite has, Full has, and not the other way.
fn check_edition(manifest: &Manifest, here: &str) -> Result<(), ImportError> {
    let dump = manifest.edition.as_str();
    if dump == here || dump == "lite" {
        return Ok(());
    }
    Err(ImportError::Edition {
        dump: dump.to_owned(),
        here: here.to_owned(),
    })
}

/// Every row of every version is one that this build can decode.
fn check_catalog(dump: &Dump) -> Result<(), ImportError> {
    let mut problems = Vec::new();
    let mut entries: Vec<Entries<'_>> = vec![dump.entries(CATALOG_SECTION)?];
    for branch in dump.manifest().branches() {
        entries.push(dump.branch_entries(branch.id)?);
    }
    for entry in entries.into_iter().flatten() {
        let (collection, version) = entry?;
        // The stores of plugins stand beside the catalog of a branch.
        if collection >= FIRST_COLLECTION {
            continue;
        }
        let Some(value) = &version.value else {
            continue;
        };
        if let Err(why) = check_entry(collection, &version.key, value) {
            problems.push(why);
            if problems.len() == LISTED_MAX {
                break;
            }
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(ImportError::Catalog(problems)),
    }
}

fn check_entry(collection: CollectionId, key: &[u8], value: &[u8]) -> Result<(), String> {
    match collection {
        TABLES => {
            let id = key
                .try_into()
                .map_err(|_| format!("a table's key of {}", counted(key.len() as u64, "byte")))?;
            let id = CollectionId(u32::from_be_bytes(id));
            decode_table(id, value).map(drop).map_err(|e| e.to_string())
        }
        PINS => NamedPin::decode(key, value)
            .map(drop)
            .map_err(|e| e.to_string()),
        store::STORES => store::decode(key, value)
            .map(drop)
            .map_err(|e| e.to_string()),
        migration::MIGRATIONS => migration::check_entry(key, value).map_err(|e| e.to_string()),
        _ => match heliosdb_sql::catalog::check_entry(collection, key, value) {
            Some(checked) => checked.map_err(|e| match e.detail {
                Some(detail) => format!("{}: {detail}", e.message),
                None => e.message,
            }),
            None => Err(format!(
                "collection {collection} means nothing to this build"
            )),
        },
    }
}

/// An upper bound that is rarely met: rows before compression (segments compress them, which leaves
/// room for index entries and for sorting these), and two files of the log.
pub(super) fn needed_bytes(manifest: &Manifest, settings: &Settings) -> u64 {
    let log = settings.config.storage_options().wal_segment_bytes;
    manifest.raw_bytes().saturating_add(log.saturating_mul(2))
}

fn check_space(manifest: &Manifest, found: &Found, settings: &Settings) -> Result<(), ImportError> {
    let needed_bytes = needed_bytes(manifest, settings);
    let directory: PathBuf = found.existing().to_path_buf();
    let free_bytes = free_bytes(&directory)?.saturating_add(found.left_bytes);
    match free_bytes >= needed_bytes {
        true => Ok(()),
        false => Err(ImportError::Space {
            directory,
            needed_bytes,
            free_bytes,
        }),
    }
}

/// What somebody without privileges may still write to the file system of `path`.
fn free_bytes(path: &Path) -> IoResult<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a NUL, and `stat` is writable for the whole call.
    if unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it has filled `stat`.
    let stat = unsafe { stat.assume_init() };
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
